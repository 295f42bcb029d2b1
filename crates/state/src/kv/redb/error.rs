//! Faults of redb as errors of ours.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
};

use redb::CursorError;
use zvm_core::DbError;

use crate::{disk::io_error, kv::folder::corrupt};

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
        error @ Error::TableTypeMismatch { .. } => corrupt(path, error.to_string()),
        error => DbError::Engine {
            context: format!("{}: cannot {action}", path.display()),
            source: error.into(),
        },
    }
}

/// A fault of a cursor that writes, likewise.
pub(super) fn cursor_fault(error: CursorError, path: &Path) -> DbError {
    match error {
        CursorError::Storage(error) => fault("write", path)(error),
        error => corrupt(path, format!("keys out of order: {error}")),
    }
}

/// Runs `work`, in which redb may panic where a file was altered after redb had written it.
pub(super) fn guarded<T>(
    path: &Path,
    work: impl FnOnce() -> Result<T, DbError>,
) -> Result<T, DbError> {
    // redb's own locks are poisoned by a panic, so a state half changed is never used.
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|_| Err(corrupt(path, "redb cannot make sense of it")))
}
