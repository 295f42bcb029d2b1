//! Faults of RocksDB as errors of ours.

use std::{io, path::Path};

use rocksdb::{Error, ErrorKind};
use zvm_core::DbError;

use crate::{disk::io_error, kv::folder::corrupt};

/// A fault of RocksDB on `path`, for `map_err`. `action` is a verb phrase.
pub(super) fn fault(action: &'static str, path: &Path) -> impl FnOnce(Error) -> DbError {
    move |error| {
        let text = error.as_ref();
        match error.kind() {
            ErrorKind::Corruption => corrupt(path, one_line(text)),
            ErrorKind::IOError => match refusal(text) {
                // The folder is there, so it is a file of it that is missing.
                io::ErrorKind::NotFound => corrupt(path, one_line(text)),
                io::ErrorKind::ResourceBusy => DbError::Locked { path: path.to_owned() },
                kind => io_error(action, path)(io::Error::new(kind, error)),
            },
            _ => DbError::Engine {
                context: format!("{}: cannot {action}", path.display()),
                source: error.into(),
            },
        }
    }
}

/// What the operating system said, which RocksDB tells by words alone, with the path among them.
fn refusal(text: &str) -> io::ErrorKind {
    [
        ("While lock file", io::ErrorKind::ResourceBusy),
        ("lock hold by current process", io::ErrorKind::ResourceBusy),
        ("No such file", io::ErrorKind::NotFound),
        ("No space left", io::ErrorKind::StorageFull),
        ("Permission denied", io::ErrorKind::PermissionDenied),
    ]
    .into_iter()
    .find(|(words, _)| text.contains(words))
    .map_or(io::ErrorKind::Other, |(_, kind)| kind)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_told_by_rocksdbs_words_and_not_by_those_of_the_path() {
        for (text, kind) in [
            (
                "IO error: While lock file: /state/LOCK: Resource temporarily unavailable",
                io::ErrorKind::ResourceBusy,
            ),
            (
                "IO error: lock hold by current process, acquire time 1 acquiring thread 2: \
                 /state/LOCK: No locks available",
                io::ErrorKind::ResourceBusy,
            ),
            (
                "IO error: No space left on device: While appending to file: /blocks/000008.sst: \
                 No space left on device",
                io::ErrorKind::StorageFull,
            ),
            (
                "IO error: while open a file for lock: /state/LOCK: Permission denied",
                io::ErrorKind::PermissionDenied,
            ),
            (
                "IO error: No such file or directory: While open a file for random read: \
                 /blocks/000008.sst: No such file or directory",
                io::ErrorKind::NotFound,
            ),
            ("IO error: While fsync: /blocks/000008.log: Input/output error", io::ErrorKind::Other),
        ] {
            assert_eq!(refusal(text), kind, "{text}");
        }
    }
}
