//! What everything that touches files needs.

#[cfg(unix)]
use std::fs::File;
use std::{
    ffi::OsString,
    fs::{self, OpenOptions},
    io::{self, Write},
    path::Path,
    process,
    sync::atomic::{AtomicU64, Ordering},
};

use zvm_core::DbError;

use crate::kv::Durability;

/// An I/O refusal on `path`, for `map_err`. `action` is a verb phrase.
pub fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> DbError {
    move |source| DbError::Io { action, path: path.to_owned(), source }
}

/// Puts the names in a folder on disk. Only Unix opens folders.
pub fn sync_folder(path: &Path) -> Result<(), DbError> {
    #[cfg(unix)]
    File::open(path).and_then(|folder| folder.sync_all()).map_err(io_error("sync", path))?;
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}

/// Writes a file that has the old content, or none, until it has all of `bytes`: a draft beside it
/// takes its name. [`Durability::Synced`] has it on disk when this returns; without, a power failure
/// may leave anything of that name.
pub fn write_whole(path: &Path, bytes: &[u8], durability: Durability) -> Result<(), DbError> {
    static DRAFTS: AtomicU64 = AtomicU64::new(0);
    let Some(name) = path.file_name() else {
        return Err(io_error("write", path)(io::ErrorKind::InvalidInput.into()));
    };
    let number = DRAFTS.fetch_add(1, Ordering::Relaxed);
    let mut draft = OsString::from(".");
    draft.push(name);
    draft.push(format!(".{}-{number}.new", process::id()));
    let draft = path.with_file_name(draft);
    let is_synced = durability == Durability::Synced;
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&draft)
        .and_then(|mut file| {
            file.write_all(bytes)?;
            if is_synced { file.sync_all() } else { Ok(()) }
        })
        .and_then(|()| fs::rename(&draft, path));
    if let Err(error) = written {
        let _ = fs::remove_file(&draft);
        return Err(io_error("write", path)(error));
    }
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    if is_synced { sync_folder(parent.unwrap_or(Path::new("."))) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_written_whole_and_nothing_stays_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        for content in ["one", "another"] {
            write_whole(&path, content.as_bytes(), Durability::Synced).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), content);
        }
        // A folder cannot be replaced by a file.
        let taken = folder.path().join("taken");
        fs::create_dir(&taken).unwrap();
        let error = write_whole(&taken, b"content", Durability::Buffered).unwrap_err();
        assert!(error.to_string().contains("taken: cannot write"), "{error}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }
}
