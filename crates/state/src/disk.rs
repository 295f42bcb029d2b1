//! What everything that touches files needs.

#[cfg(unix)]
use std::fs::File;
use std::{io, path::Path};

use zvm_core::DbError;

/// An I/O refusal on `path`, for `map_err`. `action` is a verb phrase.
pub(crate) fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> DbError {
    move |source| DbError::Io { action, path: path.to_owned(), source }
}

/// Puts the names in a folder on disk. Only Unix opens folders.
pub(crate) fn sync_folder(path: &Path) -> Result<(), DbError> {
    #[cfg(unix)]
    File::open(path).and_then(|folder| folder.sync_all()).map_err(io_error("sync", path))?;
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}
