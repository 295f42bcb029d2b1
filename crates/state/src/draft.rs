//! A folder in the making, of a store or a backup: beside the one it will be.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use zvm_core::{DbError, StateBackend};

use crate::{
    FileDb,
    config::{DatabaseConfig, open, open_store},
    disk::{io_error, sync_folder},
    kv::{Access, Durability},
};

/// A folder that gets its name when it is complete, so that there is a whole one or none.
pub(crate) struct Draft {
    /// The folder of the draft.
    draft: PathBuf,
    /// The folder it will be.
    path: PathBuf,
}

impl Draft {
    /// A draft of the store that `config` names.
    pub(crate) fn of(config: &DatabaseConfig, suffix: &str) -> Result<Self, DbError> {
        match config.folder() {
            Some(path) => Self::new(path, "make a database here", suffix),
            None => {
                let action = "keep what it is given; a folder is needed";
                Err(DbError::Unsupported { backend: "memory:", action })
            }
        }
    }

    /// A draft of the folder `path`, which has `suffix` after its name. There must be nothing in
    /// the folder itself; `action` says what for.
    pub(crate) fn new(path: &Path, action: &'static str, suffix: &str) -> Result<Self, DbError> {
        let path = path.to_owned();
        let is_free = match fs::read_dir(&path) {
            Ok(mut entries) => entries.next().is_none(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => true,
            Err(error) => return Err(io_error("read", &path)(error)),
        };
        if !is_free {
            return Err(io_error(action, &path)(io::ErrorKind::DirectoryNotEmpty.into()));
        }
        let Some(name) = path.file_name() else {
            return Err(io_error(action, &path)(io::ErrorKind::InvalidInput.into()));
        };
        let mut name = name.to_owned();
        name.push(suffix);
        let draft = path.with_file_name(name);
        Ok(Self { draft, path })
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

    /// Gives the draft, which must be closed, its name.
    pub(crate) fn finish(self) -> Result<(), DbError> {
        fs::rename(&self.draft, &self.path).map_err(io_error("rename to its name", &self.draft))?;
        let parent = self.path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let parent = parent.unwrap_or(Path::new("."));
        // A rename is on disk when the folder around it is.
        sync_folder(parent)
    }

    /// Removes the draft, if there is one.
    pub(crate) fn discard(&self) -> Result<(), DbError> {
        match fs::remove_dir_all(&self.draft) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(io_error("remove", &self.draft)(error))
            }
            _ => Ok(()),
        }
    }
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
    use super::*;

    #[test]
    fn a_draft_is_written_and_synced_whatever_the_configuration_says_of_the_store() {
        let config = "cached(9):file:./state?history=all&durability=buffered&readonly";
        let draft = within(&config.parse().unwrap(), Path::new("./draft"));
        assert_eq!(draft.to_string(), "file:./draft?history=all");
    }
}
