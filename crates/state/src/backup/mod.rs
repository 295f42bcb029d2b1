//! Backups of stores: made beside commits, and restored when nothing in them has changed.
//!
//! A backup is a folder with the files of a store and a manifest, which has the block, the state root
//! and the hash of every file. A store encrypted is encrypted in its backups, under the same key.

mod manifest;
#[cfg(test)]
mod tests;

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use alloy_primitives::Keccak256;
use zvm_core::{B256, DbError, StateBackend};

use crate::{
    CheckLevel, FileDb,
    config::DatabaseConfig,
    disk::{io_error, sync_folder},
    draft::Draft,
    kv::{KvView, Table},
    store::FORMAT_VERSION,
};
pub(crate) use manifest::FILE as MANIFEST;
pub use manifest::{BackupFile, Manifest};

/// A store as it was when [`FileDb::backup`] was called, to be written while commits go on.
///
/// As long as this lives, the store counts as open and does not reuse the space of what it holds.
pub struct Backup {
    view: Box<dyn KvView>,
    /// What is known before there are files.
    manifest: Manifest,
}

/// What can go wrong with a backup.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackupError {
    /// The manifest is not one, has changed since it was written, or is that of another state.
    #[error("{}: not the manifest of this backup: {what}", path.display())]
    Manifest {
        /// The file.
        path: PathBuf,
        /// What was found and what was expected.
        what: String,
    },

    /// The backup, or the store in it, was written by a newer program.
    #[error("{}: version {found} is newer than version {known}, the last this program knows", path.display())]
    Newer {
        /// The manifest.
        path: PathBuf,
        /// Version of the backup or of the layout of the store.
        found: u32,
        /// The newest version this program can read.
        known: u32,
    },

    /// A file is not what it was when the backup was made.
    #[error("{}: changed since the backup: {what}", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
        /// What was found and what was expected.
        what: String,
    },

    /// The backup is that of another engine's store.
    #[error("a backup of {found} cannot become {config}; `migrate` changes the engine")]
    Engine {
        /// The engine in the manifest.
        found: String,
        /// What was to be made.
        config: String,
    },

    /// The store or a file could not be read or written, or the state is not whole.
    #[error(transparent)]
    Database(#[from] DbError),
}

/// How far a [`restore`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestoreStep {
    /// Bytes copied.
    Copied {
        /// So far.
        bytes: u64,
        /// In all.
        of: u64,
    },
    /// Accounts of the copy checked, with their slots and code.
    Checked {
        /// So far.
        accounts: u64,
        /// In all, about.
        of: u64,
    },
}

impl FileDb {
    /// Holds on to the present state and its past, to be written as a backup.
    ///
    /// # Errors
    ///
    /// If the store cannot be read.
    pub fn backup(&self) -> Result<Backup, DbError> {
        Ok(Backup {
            view: self.store().view()?,
            manifest: Manifest {
                engine: self.engine().name().to_owned(),
                store_format: self.stat()?.format,
                block: self.head()?,
                state_root: self.state_root()?,
                files: Vec::new(),
            },
        })
    }
}

impl Backup {
    /// Writes the backup to `folder`, where there must be nothing.
    ///
    /// It is made in a folder beside, `FOLDER.backing-up`, that takes its name when it is complete and
    /// on disk. After an error there is neither; what a crash has left is removed by the next call.
    ///
    /// # Errors
    ///
    /// If the store cannot be read or the backup not be written.
    pub fn write(&self, folder: &Path) -> Result<Manifest, BackupError> {
        let draft = Draft::new(folder, "make a backup here", ".backing-up")?;
        draft.clear()?;
        let manifest = self.write_draft(draft.folder());
        finish(draft, manifest)
    }

    fn write_draft(&self, folder: &Path) -> Result<Manifest, BackupError> {
        self.view.checkpoint(folder)?;
        let mut manifest = self.manifest.clone();
        for path in files_in(folder)? {
            let relative = path.strip_prefix(folder).unwrap_or(&path);
            // Taken while the copy was made.
            if relative == Path::new("lock") {
                fs::remove_file(&path).map_err(io_error("remove", &path))?;
                continue;
            }
            let names: Option<Vec<_>> = relative.iter().map(|name| name.to_str()).collect();
            let names = names.ok_or_else(|| {
                io_error("back up a file of this name", &path)(
                    io::ErrorKind::InvalidFilename.into(),
                )
            })?;
            let (bytes, keccak256) = copy_hashed(&path, &mut io::sink(), &path, &mut |_| {})?;
            manifest.files.push(BackupFile { path: names.join("/"), bytes, keccak256 });
        }
        manifest.write(folder)?;
        sync_folder(folder)?;
        Ok(manifest)
    }
}

/// Makes the store that `to` names out of the backup in `backup`, which stays as it is.
///
/// Every file is compared with the manifest while it is copied, to a folder beside,
/// `PATH.restoring`. The copy is opened, and its root computed from all of the state, before it takes
/// its name. There must be nothing at `PATH`; after an error there still is not. An encrypted backup
/// needs the key of its store in `to`.
///
/// # Errors
///
/// What has changed, or is not as the manifest says.
pub fn restore(
    backup: &Path,
    to: &DatabaseConfig,
    progress: &mut dyn FnMut(RestoreStep),
) -> Result<Manifest, BackupError> {
    let manifest = Manifest::read(backup)?;
    if manifest.store_format > FORMAT_VERSION {
        let path = backup.join(manifest::FILE);
        let (found, known) = (manifest.store_format, FORMAT_VERSION);
        return Err(BackupError::Newer { path, found, known });
    }
    let draft = Draft::of(to, ".restoring")?;
    if Some(manifest.engine.as_str()) != engine_of(to) {
        return Err(BackupError::Engine { found: manifest.engine, config: to.to_string() });
    }
    draft.clear()?;
    let restored = restore_draft(backup, manifest, to, &draft, progress);
    finish(draft, restored)
}

fn restore_draft(
    backup: &Path,
    manifest: Manifest,
    to: &DatabaseConfig,
    draft: &Draft,
    progress: &mut dyn FnMut(RestoreStep),
) -> Result<Manifest, BackupError> {
    let target = draft.folder();
    let of = manifest.bytes();
    let mut before = 0_u64;
    let mut folders = vec![target.to_owned()];
    for file in &manifest.files {
        let Some(relative) = file.relative() else { continue };
        let (from, path) = (backup.join(&relative), target.join(&relative));
        if let Some(folder) = path.parent().filter(|folder| !folders.iter().any(|f| f == folder)) {
            fs::create_dir_all(folder).map_err(io_error("create the folder", folder))?;
            folders.push(folder.to_owned());
        }
        let mut copy = File::create_new(&path).map_err(io_error("create", &path))?;
        let (bytes, hash) = copy_hashed(&from, &mut copy, &path, &mut |bytes| {
            progress(RestoreStep::Copied { bytes: before.saturating_add(bytes), of });
        })?;
        copy.sync_all().map_err(io_error("sync", &path))?;
        if bytes != file.bytes {
            let what = format!("{bytes} bytes, the manifest has {}", file.bytes);
            return Err(BackupError::Changed { path: from, what });
        }
        if hash != file.keccak256 {
            let what = format!("keccak-256 {hash}, the manifest has {}", file.keccak256);
            return Err(BackupError::Changed { path: from, what });
        }
        before = before.saturating_add(bytes);
    }
    for folder in &folders {
        sync_folder(folder)?;
    }
    let db = draft.open_to_read(to)?;
    let (head, root) = (db.head()?, db.state_root()?);
    if (head, root) != (manifest.block, manifest.state_root) {
        let what = format!(
            "block {} with root {}, the store is at block {} with root {root}",
            manifest.block.number, manifest.state_root, head.number
        );
        return Err(BackupError::Manifest { path: backup.join(manifest::FILE), what });
    }
    let of = db.stat()?.sizes.entries(Table::Accounts);
    db.check(CheckLevel::State, &mut |checked| {
        progress(RestoreStep::Checked { accounts: checked.accounts, of });
    })?;
    Ok(manifest)
}

/// Gives the draft its name if it is complete, and removes it otherwise.
fn finish(draft: Draft, result: Result<Manifest, BackupError>) -> Result<Manifest, BackupError> {
    match result {
        Ok(_) => draft.finish()?,
        // What went wrong is worth more than that the draft cannot be removed either.
        Err(_) => drop(draft.clear()),
    }
    result
}

/// The name of the engine of a configuration, below all caches.
fn engine_of(config: &DatabaseConfig) -> Option<&'static str> {
    match config {
        DatabaseConfig::Memory | DatabaseConfig::Fork(_) | DatabaseConfig::Net(_) => None,
        DatabaseConfig::File(_) => Some("redb"),
        DatabaseConfig::RocksDb(_) => Some("rocksdb"),
        DatabaseConfig::Cached { inner, .. } => engine_of(inner),
    }
}

/// Bytes read at once.
const CHUNK: usize = 1 << 20;

/// Copies the file `from` to `to`, the file `to_path`, and answers its length and keccak-256.
fn copy_hashed(
    from: &Path,
    to: &mut dyn Write,
    to_path: &Path,
    progress: &mut dyn FnMut(u64),
) -> Result<(u64, B256), DbError> {
    let mut file = File::open(from).map_err(io_error("open", from))?;
    let (mut hasher, mut length) = (Keccak256::new(), 0);
    let mut chunk = vec![0; CHUNK];
    loop {
        let bytes = match file.read(&mut chunk) {
            Ok(0) => return Ok((length, hasher.finalize())),
            Ok(count) => &chunk[..count],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(io_error("read", from)(error)),
        };
        hasher.update(bytes);
        to.write_all(bytes).map_err(io_error("write", to_path))?;
        length += bytes.len() as u64;
        progress(length);
    }
}

/// The files in a folder and those in it, in the order of their paths.
fn files_in(folder: &Path) -> Result<Vec<PathBuf>, DbError> {
    let (mut folders, mut files) = (vec![folder.to_owned()], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).map_err(io_error("read the folder", &folder))? {
            let entry = entry.map_err(io_error("read the folder", &folder))?;
            let kind = entry.file_type().map_err(io_error("read", &entry.path()))?;
            match kind.is_dir() {
                true => folders.push(entry.path()),
                false => files.push(entry.path()),
            }
        }
    }
    files.sort_unstable();
    Ok(files)
}
