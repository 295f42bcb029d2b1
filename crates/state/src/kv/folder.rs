//! The folder of a store: one process at a time, and nothing half made.
//!
//! An engine keeps one file or folder of its own in it, beside the lock file of every engine.

use std::{
    ffi::OsStr,
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
};

use zvm_core::DbError;

use super::Access;
use crate::disk::{io_error, sync_folder};

/// The lock file, which stays when its lock is gone.
const LOCK: &str = "lock";

/// The file of redb in the folder.
pub(super) const REDB: &str = "state.redb";

/// The folder of RocksDB in the folder.
pub(super) const ROCKSDB: &str = "state.rocksdb";

/// What a store in the making has after its name.
const DRAFT: &str = ".new";

/// What engines keep in the folder, to tell that another engine's store is there.
const STORES: [(&str, &str); 2] = [(REDB, "redb"), (ROCKSDB, "RocksDB")];

/// Whether a store has a file or folder of this name in its folder, or one in the making.
pub(crate) fn is_of_store(name: &OsStr) -> bool {
    let name = name.to_str().unwrap_or_default();
    let name = name.strip_suffix(DRAFT).unwrap_or(name);
    name == LOCK || STORES.iter().any(|(store, _)| *store == name)
}

/// The folder of an open store. The lock is let go of with it.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    /// `None` where reading only, in a folder that takes no new files and has no lock.
    lock: Option<File>,
}

impl Folder {
    /// Takes the lock of `path` for the store `name`: alone to write, among readers to read. Only
    /// [`Access::Create`] makes the folder, or a lock file where no store is.
    pub(super) fn lock(path: &Path, name: &str, access: Access) -> Result<Self, DbError> {
        match access {
            Access::Create => {
                fs::create_dir_all(path).map_err(io_error("create the database folder", path))?;
            }
            Access::Read | Access::Write => {
                let folder = fs::metadata(path).map_err(io_error("open the database", path))?;
                if !folder.is_dir() {
                    return Err(io_error("open the database", path)(
                        io::ErrorKind::NotADirectory.into(),
                    ));
                }
                find(path, name, access)?;
            }
        }
        let lock = match access {
            Access::Read => lock_shared(path)?,
            Access::Write | Access::Create => Some(lock_alone(path)?),
        };
        Ok(Self { path: path.to_owned(), lock })
    }

    /// The path of the engine's own file or folder, `name`, and whether it exists.
    ///
    /// A folder that holds the store of another engine is refused, and so is one without a store
    /// unless it may be made.
    pub(super) fn find(&self, name: &str, access: Access) -> Result<(PathBuf, bool), DbError> {
        find(&self.path, name, access)
    }

    /// Makes `name` under another name and renames it when it is complete and on disk, so that a
    /// crash leaves nothing or all of it.
    pub(super) fn create(
        &self,
        name: &str,
        make: impl FnOnce(&Path) -> Result<(), DbError>,
    ) -> Result<(), DbError> {
        let draft = self.path.join(format!("{name}{DRAFT}"));
        // What a crash in here has left. The lock is ours, so nobody is writing it.
        remove(&draft)?;
        make(&draft)?;
        let path = self.path.join(name);
        fs::rename(&draft, &path).map_err(io_error("rename", &draft))?;
        sync_folder(&self.path)
    }
}

fn find(folder: &Path, name: &str, access: Access) -> Result<(PathBuf, bool), DbError> {
    let path = folder.join(name);
    if exists(&path)? {
        return Ok((path, true));
    }
    for (other, engine) in STORES.iter().filter(|(other, _)| *other != name) {
        if exists(&folder.join(other))? {
            let what = format!("{other}: this is a store of {engine}, expected {name}");
            return Err(corrupt(folder, what));
        }
    }
    match access {
        Access::Create => Ok((path, false)),
        Access::Read | Access::Write => {
            Err(io_error("open", &path)(io::ErrorKind::NotFound.into()))
        }
    }
}

/// Makes `name` in the folder `path`, in which there must be nothing, as
/// [`create`](Folder::create) does.
pub(super) fn copy_to(
    path: &Path,
    name: &str,
    make: impl FnOnce(&Path) -> Result<(), DbError>,
) -> Result<(), DbError> {
    // Already without the lock, whose file would be new in a folder that is not ours.
    check_empty(path, name)?;
    let folder = Folder::lock(path, name, Access::Create)?;
    check_empty(path, name)?;
    folder.create(name, make)
}

/// Refuses a folder that holds more than a crash in [`copy_to`] leaves.
fn check_empty(path: &Path, name: &str) -> Result<(), DbError> {
    let draft = format!("{name}{DRAFT}");
    let fault = || io_error("read the folder", path);
    let entries = match fs::read_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(fault())?,
    };
    for entry in entries {
        let found = entry.map_err(fault())?.file_name();
        if found != LOCK && found != draft.as_str() {
            return Err(io_error("copy a store to where files are", path)(
                io::ErrorKind::DirectoryNotEmpty.into(),
            ));
        }
    }
    Ok(())
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Closing the file is not enough: a process being started has its files open too, up to the
        // moment at which it becomes another program. If this fails, closing is all there is.
        if let Some(lock) = &self.lock {
            let _ = lock.unlock();
        }
    }
}

/// Bytes of `path` that do not read back as what was written.
pub(super) fn corrupt(path: &Path, what: impl Into<String>) -> DbError {
    DbError::Corrupt { path: path.to_owned(), what: what.into() }
}

fn lock_alone(folder: &Path) -> Result<File, DbError> {
    let path = folder.join(LOCK);
    let file = File::options()
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(io_error("open the lock file", &path))?;
    locked(file.try_lock(), folder, &path)?;
    Ok(file)
}

fn lock_shared(folder: &Path) -> Result<Option<File>, DbError> {
    let path = folder.join(LOCK);
    // Making the lock file is not essential: where it cannot be made, nobody can write either.
    let file = File::open(&path).or_else(|_| {
        File::options().read(true).write(true).create(true).truncate(false).open(&path)
    });
    match file {
        Ok(file) => {
            locked(file.try_lock_shared(), folder, &path)?;
            Ok(Some(file))
        }
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem
            ) =>
        {
            Ok(None)
        }
        Err(error) => Err(io_error("open the lock file", &path)(error)),
    }
}

fn locked(answer: Result<(), TryLockError>, folder: &Path, file: &Path) -> Result<(), DbError> {
    match answer {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => Err(DbError::Locked { path: folder.to_owned() }),
        Err(TryLockError::Error(source)) => Err(io_error("lock", file)(source)),
    }
}

fn exists(path: &Path) -> Result<bool, DbError> {
    fs::exists(path).map_err(io_error("open", path))
}

/// Removes a file or a folder with all in it, if there is one.
fn remove(path: &Path) -> Result<(), DbError> {
    let removed = match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    };
    removed.map_err(io_error("remove", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lock_goes_with_the_folder_even_if_its_file_is_open_elsewhere() {
        let temporary = tempfile::tempdir().unwrap();
        fs::write(temporary.path().join(REDB), "").unwrap();
        for access in [Access::Create, Access::Read] {
            let folder = Folder::lock(temporary.path(), REDB, access).unwrap();
            // What a process that is being started has.
            let _elsewhere = folder.lock.as_ref().unwrap().try_clone().unwrap();
            drop(folder);
            Folder::lock(temporary.path(), REDB, Access::Create).unwrap();
        }
    }
}
