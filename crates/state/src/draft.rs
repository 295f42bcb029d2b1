//! A folder in the making, of a store or a backup: beside the one it will be.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use zvm_core::{DbError, StateBackend};

use crate::{
    FileDb,
    backup::MANIFEST,
    config::{DatabaseConfig, open, open_store},
    disk::{io_error, sync_folder},
    kv::{Access, Durability, is_of_store},
};

/// A folder that gets its name when it is complete, so that there is a whole one or none.
///
/// One process at a time has the draft of a name; others get [`DbError::Locked`].
#[derive(Debug)]
pub(crate) struct Draft {
    /// The folder of the draft.
    draft: PathBuf,
    /// The folder it will be.
    path: PathBuf,
    /// The folder of the draft, locked. `None` where folders cannot be.
    lock: Option<File>,
}

impl Draft {
    /// A draft of the store that `config` names.
    pub(crate) fn of(config: &DatabaseConfig, suffix: &str) -> Result<Self, DbError> {
        match config.folder() {
            Some(path) => Self::new(path, "make a database here", suffix),
            None => {
                let action = "keep what it is given; a folder is needed";
                Err(DbError::Unsupported { backend: "memory:".into(), action: action.into() })
            }
        }
    }

    /// A draft of the folder `path`, which has `suffix` after its name, with what a crash has left
    /// of an earlier one. There must be nothing in the folder itself; `action` says what for.
    pub(crate) fn new(path: &Path, action: &'static str, suffix: &str) -> Result<Self, DbError> {
        check_free(path, action)?;
        let Some(name) = path.file_name() else {
            return Err(io_error(action, path)(io::ErrorKind::InvalidInput.into()));
        };
        let mut name = name.to_owned();
        name.push(suffix);
        let draft = path.with_file_name(name);
        let lock = lock(&draft)?;
        let draft = Self { draft, path: path.to_owned(), lock };
        // Whoever had the lock before may just have finished.
        check_free(path, action)?;
        draft.check_ours(action)?;
        Ok(draft)
    }

    /// The folder of the draft.
    pub(crate) fn folder(&self) -> &Path {
        &self.draft
    }

    /// Opens the draft as the store that `config` names, making it where there is none.
    pub(crate) fn open(&self, config: &DatabaseConfig) -> Result<Box<dyn StateBackend>, DbError> {
        open(&within(config, &self.draft))
    }

    /// Opens the draft, which must be there, to be read.
    pub(crate) fn open_to_read(&self, config: &DatabaseConfig) -> Result<FileDb, DbError> {
        open_store(&within(config, &self.draft), Access::Read)
    }

    /// Refuses a folder of this name with anything in it that a draft never has: somebody else's.
    fn check_ours(&self, action: &'static str) -> Result<(), DbError> {
        let fault = || io_error("read the folder", &self.draft);
        for entry in fs::read_dir(&self.draft).map_err(fault())? {
            let name = entry.map_err(fault())?.file_name();
            if name != MANIFEST && !is_of_store(&name) {
                return Err(io_error(action, &self.draft)(io::ErrorKind::DirectoryNotEmpty.into()));
            }
        }
        Ok(())
    }

    /// Gives the draft, which must be closed, its name.
    pub(crate) fn finish(self) -> Result<(), DbError> {
        fs::rename(&self.draft, &self.path).map_err(io_error("rename to its name", &self.draft))?;
        let parent = self.path.parent().filter(|parent| !parent.as_os_str().is_empty());
        // A rename is on disk when the folder around it is.
        sync_folder(parent.unwrap_or(Path::new(".")))
    }

    /// Removes what is in the draft.
    pub(crate) fn clear(&self) -> Result<(), DbError> {
        let fault = || io_error("remove", &self.draft);
        for entry in fs::read_dir(&self.draft).map_err(fault())? {
            let entry = entry.map_err(fault())?;
            let is_folder = entry.file_type().map_err(fault())?.is_dir();
            let path = entry.path();
            let removed =
                if is_folder { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            removed.map_err(io_error("remove", &path))?;
        }
        Ok(())
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // There is none after `finish`, and one that has something in it stays.
        let _ = fs::remove_dir(&self.draft);
        // Closing alone would leave the lock to a process that is being started at this moment.
        if let Some(lock) = &self.lock {
            let _ = lock.unlock();
        }
    }
}

/// Checks that there is nothing in the folder `path`.
fn check_free(path: &Path, action: &'static str) -> Result<(), DbError> {
    let is_free = match fs::read_dir(path) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => true,
        Err(error) => return Err(io_error("read", path)(error)),
    };
    match is_free {
        true => Ok(()),
        false => Err(io_error(action, path)(io::ErrorKind::DirectoryNotEmpty.into())),
    }
}

/// Makes the folder `path` and locks the folder itself: a file in it would be in the way.
#[cfg(unix)]
fn lock(path: &Path) -> Result<Option<File>, DbError> {
    use std::{fs::TryLockError, os::unix::fs::MetadataExt};

    let fault = || io_error("lock the folder", path);
    let identity = |found: &fs::Metadata| (found.dev(), found.ino());
    loop {
        fs::create_dir_all(path).map_err(io_error("create the folder", path))?;
        let folder = match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            folder => folder.map_err(fault())?,
        };
        match folder.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(DbError::Locked { path: path.to_owned() }),
            // Some network file systems lock no folders.
            Err(TryLockError::Error(_)) => return Ok(None),
        }
        let locked = identity(&folder.metadata().map_err(fault())?);
        match fs::metadata(path) {
            Ok(found) if identity(&found) == locked => return Ok(Some(folder)),
            // Whoever had the lock has renamed or removed the folder in between.
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(fault()(error)),
        }
    }
}

/// Makes the folder `path`. Only Unix locks folders.
#[cfg(not(unix))]
fn lock(path: &Path) -> Result<Option<File>, DbError> {
    fs::create_dir_all(path).map_err(io_error("create the folder", path))?;
    Ok(None)
}

/// The store of `config` in another folder, to be written to, without caches.
fn within(config: &DatabaseConfig, folder: &Path) -> DatabaseConfig {
    let mut config = config.clone();
    while let DatabaseConfig::Cached { inner, .. } = config {
        config = *inner;
    }
    if let DatabaseConfig::File(store) | DatabaseConfig::RocksDb(store) = &mut config {
        store.path = folder.to_owned();
        store.is_read_only = false;
        // Whoever is told that it succeeded finds it on the disk: nothing is written after it that
        // would take it there.
        store.durability = Durability::Synced;
    }
    config
}

#[cfg(test)]
mod tests {
    use tempfile::tempdir;

    use super::*;

    fn draft(path: &Path) -> Result<Draft, DbError> {
        Draft::new(path, "make a test here", ".drafting")
    }

    #[cfg(unix)]
    #[test]
    fn a_draft_in_use_is_left_to_its_user() {
        let home = tempdir().unwrap();
        let path = home.path().join("state");
        let first = draft(&path).unwrap();
        fs::write(first.folder().join("half"), "made").unwrap();
        let error = draft(&path).unwrap_err();
        assert!(matches!(error, DbError::Locked { .. }), "{error:?}");
        assert_eq!(fs::read_to_string(first.folder().join("half")).unwrap(), "made");

        first.finish().unwrap();
        assert_eq!(fs::read_to_string(path.join("half")).unwrap(), "made");
        let error = draft(&path).unwrap_err();
        assert!(matches!(error, DbError::Io { .. }), "{error:?}");
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_folder_that_only_has_the_name_of_a_draft_is_left_alone() {
        let home = tempdir().unwrap();
        let folder = home.path().join("state.drafting");
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("notes"), "kept").unwrap();
        let error = draft(&home.path().join("state")).unwrap_err();
        assert!(error.to_string().contains("state.drafting: cannot make a test here"), "{error}");
        assert_eq!(fs::read_to_string(folder.join("notes")).unwrap(), "kept");
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
    }

    #[test]
    fn what_a_crash_has_left_of_a_draft_is_there_for_the_next() {
        let home = tempdir().unwrap();
        let path = home.path().join("state");
        let first = draft(&path).unwrap();
        fs::write(first.folder().join("lock"), "").unwrap();
        fs::write(first.folder().join("state.redb.new"), "half made").unwrap();
        fs::create_dir(first.folder().join("state.rocksdb")).unwrap();
        drop(first);
        let second = draft(&path).unwrap();
        assert!(second.folder().join("state.redb.new").exists());
        second.clear().unwrap();
        drop(second);
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_draft_is_written_and_synced_whatever_the_configuration_says_of_the_store() {
        let config = "cached(9):file:./state?history=all&durability=buffered&readonly";
        let draft = within(&config.parse().unwrap(), Path::new("./draft"));
        assert_eq!(draft.to_string(), "file:./draft?history=all");
    }
}
