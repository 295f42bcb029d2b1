//! A configuration as a string.

use std::{fmt, str::FromStr};

use serde::{Serialize, Serializer};
use zvm_core::DbError;

use super::{DatabaseConfig, KeySource, StoreConfig, parse, show_bytes};
use crate::{CacheLimits, kv::Durability};

impl FromStr for DatabaseConfig {
    type Err = DbError;

    /// [`DbError::Config`] names the byte at which the faulty part begins.
    fn from_str(text: &str) -> Result<Self, DbError> {
        parse::config(text)
    }
}

impl fmt::Display for DatabaseConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory => f.write_str("memory:"),
            Self::File(store) => write!(f, "file:{store}"),
            Self::RocksDb(store) => write!(f, "rocksdb:{store}"),
            Self::Cached { limits: CacheLimits { entries, code_bytes }, inner } => {
                write!(f, "cached({entries}")?;
                if *code_bytes != CacheLimits::CODE_BYTES {
                    write!(f, ",{}", show_bytes(*code_bytes))?;
                }
                write!(f, "):{inner}")
            }
        }
    }
}

impl fmt::Display for StoreConfig {
    /// The path, and the options that are not the default.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&escape(&self.path.to_string_lossy()))?;
        let default = Self::new(&self.path);
        let mut options = Vec::new();
        if self.history != default.history {
            options.push(format!("history={}", self.history));
        }
        if self.durability != default.durability {
            let durability = match self.durability {
                Durability::Synced => "synced",
                Durability::Buffered => "buffered",
            };
            options.push(format!("durability={durability}"));
        }
        if self.cache_bytes != default.cache_bytes {
            options.push(format!("cache={}", show_bytes(self.cache_bytes as u64)));
        }
        if self.is_read_only {
            options.push("readonly".to_owned());
        }
        match &self.key {
            None => {}
            Some(KeySource::KeyFile(path)) => {
                options.push(format!("key-file={}", escape(&path.to_string_lossy())));
            }
            Some(KeySource::PassphraseFile(path)) => {
                options.push(format!("passphrase-file={}", escape(&path.to_string_lossy())));
            }
            Some(KeySource::PassphraseEnv(name)) => {
                options.push(format!("passphrase-env={}", escape(name)));
            }
        }
        if options.is_empty() { Ok(()) } else { write!(f, "?{}", options.join("&")) }
    }
}

impl Serialize for DatabaseConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// What stands between options, and what escapes it.
fn escape(text: &str) -> String {
    text.replace('%', "%25").replace('?', "%3F").replace('&', "%26")
}

/// The opposite of [`escape`]. Whatever else follows a `%` is left as it is.
pub(super) fn unescape(text: &str) -> String {
    // The sign of escapes itself comes last, or what it yields would be taken for an escape.
    text.replace("%3F", "?").replace("%3f", "?").replace("%26", "&").replace("%25", "%")
}
