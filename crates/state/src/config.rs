//! The factory: from a configuration string to an open backend.

use std::{fmt, path::PathBuf, str::FromStr};

use serde::{Deserialize, Serialize};
use zvm_core::{DbError, StateBackend};

use crate::{FileDb, MemoryDb};

/// Which backend to open. Reads and writes as a string of the form `SCHEME:REST`.
///
/// ```
/// use zvm_state::DatabaseConfig;
///
/// let config: DatabaseConfig = "file:./state".parse()?;
/// assert_eq!(config, DatabaseConfig::File { path: "./state".into() });
/// assert_eq!(config.to_string(), "file:./state");
/// # Ok::<(), zvm_core::DbError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[non_exhaustive]
pub enum DatabaseConfig {
    /// `memory:`, a [`MemoryDb`] that starts empty.
    #[default]
    Memory,
    /// `file:PATH`, a [`FileDb`] in the folder `PATH`.
    File {
        /// The folder, made on first use.
        path: PathBuf,
    },
}

/// Opens the backend that `config` names.
pub fn open(config: &DatabaseConfig) -> Result<Box<dyn StateBackend>, DbError> {
    Ok(match config {
        DatabaseConfig::Memory => Box::new(MemoryDb::new()),
        DatabaseConfig::File { path } => Box::new(FileDb::open(path)?),
    })
}

impl FromStr for DatabaseConfig {
    type Err = DbError;

    fn from_str(text: &str) -> Result<Self, DbError> {
        let fault = |what: String| DbError::Config { config: text.to_owned(), what };
        let Some((scheme, rest)) = text.split_once(':') else {
            return Err(fault("no scheme; expected memory: or file:PATH".to_owned()));
        };
        match (scheme, rest) {
            ("memory", "") => Ok(Self::Memory),
            ("memory", rest) => Err(fault(format!("{rest:?} after memory:, expected nothing"))),
            ("file", "") => Err(fault("no path after file:".to_owned())),
            ("file", path) => Ok(Self::File { path: path.into() }),
            ("rocksdb" | "fork" | "net", _) => {
                Err(fault(format!("{scheme}: is not in this build; it has memory: and file:PATH")))
            }
            _ if scheme.starts_with("cached(") => {
                Err(fault("cached(N): is not in this build; it has memory: and file:PATH".into()))
            }
            _ => Err(fault(format!("unknown scheme {scheme:?}; expected memory: or file:PATH"))),
        }
    }
}

impl fmt::Display for DatabaseConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory => f.write_str("memory:"),
            Self::File { path } => write!(f, "file:{}", path.display()),
        }
    }
}

impl TryFrom<String> for DatabaseConfig {
    type Error = DbError;

    fn try_from(text: String) -> Result<Self, DbError> {
        text.parse()
    }
}

impl From<DatabaseConfig> for String {
    fn from(config: DatabaseConfig) -> Self {
        config.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_read_back_as_written() {
        for text in ["memory:", "file:./state", "file:C:\\state"] {
            let config: DatabaseConfig = text.parse().unwrap();
            assert_eq!(config.to_string(), text);
            let json = serde_json::to_string(&config).unwrap();
            assert_eq!(json, format!("{text:?}"));
            assert_eq!(serde_json::from_str::<DatabaseConfig>(&json).unwrap(), config);
        }
    }

    #[test]
    fn faults_are_named() {
        for (text, expected) in [
            ("", "no scheme"),
            ("./state", "no scheme"),
            ("memory:x", "\"x\" after memory:"),
            ("file:", "no path"),
            ("rocksdb:./state", "rocksdb: is not in this build"),
            ("cached(64):file:./state", "cached(N): is not in this build"),
            ("fork:https://node@1", "fork: is not in this build"),
            ("net:host:1", "net: is not in this build"),
            ("files:./state", "unknown scheme \"files\""),
        ] {
            let error = text.parse::<DatabaseConfig>().unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
            assert!(error.starts_with(&format!("database {text:?}: ")), "{error}");
        }
    }
}
