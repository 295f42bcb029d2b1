//! Faults of redb as errors of ours.

use std::{io, path::Path};

use zvm_core::DbError;

/// An I/O refusal on `path`, for `map_err`. `action` is a verb phrase.
pub(super) fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> DbError {
    move |source| DbError::Io { action, path: path.to_owned(), source }
}

/// A fault of redb on `path`, for `map_err`. `action` is a verb phrase.
pub(super) fn fault<E: Into<redb::Error>>(
    action: &'static str,
    path: &Path,
) -> impl FnOnce(E) -> DbError {
    use redb::Error;
    move |error| match error.into() {
        Error::DatabaseAlreadyOpen => DbError::Locked { path: path.to_owned() },
        Error::Corrupted(what) => corrupt(path, what),
        // What redb answers to a file that is not its own, or shorter than it says.
        Error::Io(source)
            if matches!(
                source.kind(),
                io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof
            ) =>
        {
            corrupt(path, source.to_string())
        }
        Error::Io(source) => io_error(action, path)(source),
        error @ (Error::TableDoesNotExist(_) | Error::TableTypeMismatch { .. }) => {
            corrupt(path, error.to_string())
        }
        error => DbError::Engine {
            context: format!("{}: cannot {action}", path.display()),
            source: error.into(),
        },
    }
}

/// Bytes of `path` that do not read back as what was written.
pub(super) fn corrupt(path: &Path, what: impl Into<String>) -> DbError {
    DbError::Corrupt { path: path.to_owned(), what: what.into() }
}
