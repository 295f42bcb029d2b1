//! How a store is opened and how much of its past it keeps.

use std::{fmt, str::FromStr};

use crate::{
    config::{parse_bytes, show_bytes},
    kv::{Access, Durability, Engine},
};
use serde::{Deserialize, Serialize};

/// How to open a [`FileDb`](crate::FileDb).
#[derive(Clone, Copy, Debug)]
pub struct FileOptions {
    /// Which engine keeps the bytes.
    pub engine: Engine,
    /// What the store is opened for.
    pub access: Access,
    /// How much of the past is kept. The store remembers what it was last told and goes by that if
    /// it is told nothing.
    pub history: Option<History>,
    /// Whether a commit is on disk when it returns. If buffered, every 32nd is.
    pub durability: Durability,
    /// Bytes of the store that the engine may keep in memory.
    pub cache_bytes: usize,
    /// Bytes of changed accounts and slots that may wait in memory to be written together. They are
    /// on disk all the same, block by block.
    pub pending_bytes: usize,
    /// Bytes of trie branches kept in memory beside those that are not on disk yet.
    pub trie_cache_bytes: usize,
    /// Bytes of trie branches that may wait in memory to be written together.
    pub trie_dirty_bytes: usize,
}

impl Default for FileOptions {
    fn default() -> Self {
        Self {
            engine: Engine::Redb,
            access: Access::Create,
            history: None,
            durability: Durability::Synced,
            cache_bytes: 128 << 20,
            pending_bytes: 256 << 20,
            trie_cache_bytes: 96 << 20,
            trie_dirty_bytes: 96 << 20,
        }
    }
}

/// How much of the past is kept. Reads and writes as `all`, `128` (blocks) or `512MiB`.
///
/// Beside that, the states of the last 128 blocks and of all since the oldest open snapshot can
/// always be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum History {
    /// All of it.
    All,
    /// The states of this many blocks before the head.
    Blocks(u64),
    /// As many blocks as fit, about, into this many bytes on disk.
    Bytes(u64),
}

impl Default for History {
    /// 128 blocks.
    fn default() -> Self {
        Self::Blocks(128)
    }
}

/// A text that says nothing of how much is kept.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{found:?}, expected all, a number of blocks such as 128, or a size such as 512MiB")]
pub struct UnknownHistory {
    /// The text.
    pub found: String,
}

impl FromStr for History {
    type Err = UnknownHistory;

    fn from_str(text: &str) -> Result<Self, UnknownHistory> {
        if text == "all" {
            return Ok(Self::All);
        }
        if let Ok(blocks) = text.parse() {
            return Ok(Self::Blocks(blocks));
        }
        let bytes = parse_bytes(text);
        bytes.map(Self::Bytes).ok_or_else(|| UnknownHistory { found: text.to_owned() })
    }
}

impl fmt::Display for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::Blocks(blocks) => write!(f, "{blocks}"),
            Self::Bytes(bytes) => f.write_str(&show_bytes(*bytes)),
        }
    }
}

impl TryFrom<String> for History {
    type Error = UnknownHistory;

    fn try_from(text: String) -> Result<Self, UnknownHistory> {
        text.parse()
    }
}

impl From<History> for String {
    fn from(history: History) -> Self {
        history.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn history_reads_back_as_written() {
        for text in ["all", "0", "128", "512MiB", "3GiB", "1000B", "64KiB"] {
            assert_eq!(text.parse::<History>().unwrap().to_string(), text);
        }
        assert_eq!("1024KiB".parse::<History>().unwrap().to_string(), "1MiB");
        for text in ["", "some", "-1", "12 blocks", "99999999999GiB"] {
            let error = text.parse::<History>().unwrap_err().to_string();
            assert!(error.contains("expected all"), "{error}");
        }
    }
}
