//! What can be wrong with the input of a run.

use std::io;

/// A file that cannot be executed as a fixture.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FixtureError {
    /// The operating system, the archive or its compression refused.
    #[error("cannot {action}: {source}")]
    Read {
        /// What was attempted, as a verb phrase.
        action: &'static str,
        /// The refusal.
        source: io::Error,
    },
    /// The file is longer than any fixture.
    #[error("{bytes} bytes, at most {max} are read")]
    TooLarge {
        /// Length of the file.
        bytes: u64,
        /// The limit.
        max: u64,
    },
    /// The file is no text.
    #[error("not UTF-8 at byte {offset}")]
    NotUtf8 {
        /// Of the first bad byte, from 0.
        offset: usize,
    },
    /// The JSON is damaged or of another type than the shape asks for.
    #[error("line {line}, column {column}: {what}")]
    Json {
        /// From 1.
        line: usize,
        /// In bytes, from 1.
        column: usize,
        /// What was found and what was expected.
        what: String,
    },
    /// A post entry points beyond the lists of its transaction.
    #[error("indexes.{list} is {index}, but the transaction has {len}")]
    Index {
        /// `data`, `gas` or `value`.
        list: &'static str,
        /// From 0.
        index: usize,
        /// Entries in the list.
        len: usize,
    },
    /// A block of mainnet is not what it says.
    #[error("block {number}: {what}")]
    Block {
        /// Its number.
        number: u64,
        /// What was found.
        what: String,
    },
    /// A field is missing that this kind of transaction or hard fork needs.
    #[error("{field} is missing, expected {expected}")]
    Missing {
        /// Path in the case.
        field: &'static str,
        /// What was expected there.
        expected: &'static str,
    },
}

impl FixtureError {
    /// `error` from reading `part`, which is a part of `whole`: lines and columns count in the
    /// whole.
    pub(crate) fn json(error: &serde_json::Error, part: &str, whole: &str) -> Self {
        let start = (part.as_ptr() as usize).saturating_sub(whole.as_ptr() as usize);
        let before = &whole.as_bytes()[..start.min(whole.len())];
        let lines = before.iter().filter(|byte| **byte == b'\n').count();
        let column = match error.line() {
            0 | 1 => {
                let line = before.rsplit(|byte| *byte == b'\n').next().map_or(0, <[u8]>::len);
                line + error.column()
            }
            _ => error.column(),
        };
        // serde_json ends its message with the place inside the part.
        let what = error.to_string();
        let place = format!(" at line {} column {}", error.line(), error.column());
        let what = what.strip_suffix(&place).unwrap_or(&what).to_owned();
        Self::Json { line: lines + error.line().max(1), column, what }
    }
}

/// A run that cannot begin: the way it was asked for is wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UsageError {
    /// A source does not exist.
    #[error("{path}: no such file or directory")]
    NoSuchPath {
        /// As it was given.
        path: String,
    },
}
