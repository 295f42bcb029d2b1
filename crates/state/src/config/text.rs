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

impl DatabaseConfig {
    /// The whole configuration as a string that reads back, with whatever keys its addresses hold:
    /// for files, never for messages.
    #[must_use]
    pub fn text(&self) -> String {
        self.written(true)
    }

    /// As a string, whole or with the keys in addresses left out.
    fn written(&self, is_whole: bool) -> String {
        match self {
            Self::Memory => "memory:".to_owned(),
            Self::File(store) => format!("file:{store}"),
            Self::RocksDb(store) => format!("rocksdb:{store}"),
            Self::Fork(fork) => format!("fork:{}", fork.text(is_whole)),
            Self::Net(net) => format!("net:{}", net.text()),
            Self::Cached { limits: CacheLimits { entries, code_bytes }, inner } => {
                let inner = inner.written(is_whole);
                match *code_bytes {
                    CacheLimits::CODE_BYTES => format!("cached({entries}):{inner}"),
                    bytes => format!("cached({entries},{}):{inner}", show_bytes(bytes)),
                }
            }
        }
    }
}

impl fmt::Display for DatabaseConfig {
    /// [`text`](DatabaseConfig::text), but for what may be a key in an address, which is shown as
    /// `***`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written(false))
    }
}

impl fmt::Display for StoreConfig {
    /// The path, and the options that are not the default.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&escape(&self.path.to_string_lossy()))?;
        let default = Self::new(&self.path);
        let mut options = Vec::new();
        if let Some(history) = self.history {
            options.push(format!("history={history}"));
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
        serializer.serialize_str(&self.text())
    }
}

/// What stands between options, and what escapes it.
pub(super) fn escape(text: &str) -> String {
    text.replace('%', "%25").replace('?', "%3F").replace('&', "%26")
}

/// The opposite of [`escape`]. Whatever else follows a `%` is left as it is.
pub(super) fn unescape(text: &str) -> String {
    // The sign of escapes itself comes last, or what it yields would be taken for an escape.
    text.replace("%3F", "?").replace("%3f", "?").replace("%26", "&").replace("%25", "%")
}
