//! Faults of RocksDB as errors of ours.

use std::{io, path::Path};

use rocksdb::{Error, ErrorKind};
use zvm_core::DbError;

use crate::{disk::io_error, kv::folder::corrupt};

/// A fault of RocksDB on `path`, for `map_err`. `action` is a verb phrase.
pub(super) fn fault(action: &'static str, path: &Path) -> impl FnOnce(Error) -> DbError {
    move |error| {
        // RocksDB tells by words alone what the operating system said.
        let text = error.as_ref();
        let says = |words: &str| text.contains(words);
        match error.kind() {
            ErrorKind::Corruption => corrupt(path, one_line(text)),
            // The folder is there, so it is a file of it that is missing.
            ErrorKind::IOError if says("No such file") => corrupt(path, one_line(text)),
            ErrorKind::IOError if says("lock") => DbError::Locked { path: path.to_owned() },
            ErrorKind::IOError if says("No space left") => {
                io_error(action, path)(io::Error::new(io::ErrorKind::StorageFull, error))
            }
            ErrorKind::IOError if says("Permission denied") => {
                io_error(action, path)(io::Error::new(io::ErrorKind::PermissionDenied, error))
            }
            ErrorKind::IOError => io_error(action, path)(io::Error::other(error)),
            _ => DbError::Engine {
                context: format!("{}: cannot {action}", path.display()),
                source: error.into(),
            },
        }
    }
}

/// A fault while opening, where whatever RocksDB does not understand is damage.
pub(super) fn open_fault(path: &Path) -> impl FnOnce(Error) -> DbError {
    move |error| match error.kind() {
        ErrorKind::InvalidArgument | ErrorKind::NotSupported | ErrorKind::NotFound => {
            corrupt(path, one_line(error.as_ref()))
        }
        _ => fault("open", path)(error),
    }
}

fn one_line(text: &str) -> String {
    text.lines().collect::<Vec<_>>().join("; ")
}
