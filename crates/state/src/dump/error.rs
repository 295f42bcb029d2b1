//! What can go wrong between a state and its text.

use std::io;

use zvm_core::{B256, DbError};

/// What can go wrong in a [`dump`](super::dump).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DumpError {
    /// The text cannot be written.
    #[error("cannot write the dump: {0}")]
    Write(#[source] io::Error),

    /// The backend failed.
    #[error(transparent)]
    Database(#[from] DbError),
}

/// What can go wrong in a [`load`](super::load).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The text cannot be read, or is not compressed as it should be.
    #[error("cannot read the state: {0}")]
    Read(#[source] io::Error),

    /// The text is not what it should be.
    #[error("line {line} column {column}: {what}")]
    Text {
        /// Counted from 1; of the text without compression.
        line: usize,
        /// Counted in bytes from 1; 0 where the line as a whole is at fault.
        column: usize,
        /// What was found and what was expected.
        what: String,
    },

    /// There is something in the target already. It was left as it was.
    #[error("the database to load into is not empty")]
    NotEmpty,

    /// What was loaded is not the state that it claims to be.
    #[error("state root {found}, expected {expected}: the state is cut short or was changed")]
    Root {
        /// Root of what was loaded.
        found: B256,
        /// Root that the text names.
        expected: B256,
    },

    /// The backend failed.
    #[error(transparent)]
    Database(#[from] DbError),
}

impl LoadError {
    /// The fault that the JSON parser found, in text that begins on line `first` of the whole.
    pub(super) fn json(error: serde_json::Error, first: usize) -> Self {
        if error.is_io() {
            return Self::Read(error.into());
        }
        let (line, column) = (error.line(), error.column());
        let text = error.to_string();
        let place = format!(" at line {line} column {column}");
        let what = text.strip_suffix(&place).unwrap_or(&text).to_owned();
        // The parser has looked one byte ahead: a value that ends its line is at fault there.
        let line = if column == 0 { line.saturating_sub(1).max(1) } else { line };
        Self::Text { line: first + line.saturating_sub(1), column, what }
    }
}
