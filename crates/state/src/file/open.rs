//! Opening a store: one process at a time, nothing half made, nothing damaged by looking.

use std::{
    fs::{self, File, TryLockError},
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};

use redb::{Builder, Database, ReadableDatabase};
use zvm_core::DbError;

use super::{
    FORMAT_KEY, FORMAT_VERSION, META, TABLES,
    error::{corrupt, fault, io_error},
    preview::Preview,
};

/// Up to this file size, opening verifies the checksum of every page.
///
/// redb trusts a larger file as long as it was closed cleanly; its records still have checksums
/// of their own.
const VERIFIED_BYTES_MAX: u64 = 64 << 20;

/// Bytes of pages that redb keeps in memory.
const CACHE_BYTES: usize = 256 << 20;

/// An open database file and the lock on its folder.
pub(super) struct Store {
    pub(super) database: Database,
    /// `state.redb`, for errors.
    pub(super) path: PathBuf,
    /// Let go of last: fields are dropped in order.
    _lock: File,
}

impl Store {
    /// Opens the store in `folder`, making both if they do not exist.
    pub(super) fn open(folder: &Path) -> Result<Self, DbError> {
        fs::create_dir_all(folder).map_err(io_error("create the database folder", folder))?;
        let lock = lock(folder)?;
        let path = folder.join("state.redb");
        let database = match fs::metadata(&path) {
            Ok(file) if !file.is_file() => return Err(corrupt(&path, "not a regular file")),
            Ok(file) if file.len() == 0 => {
                return Err(corrupt(&path, "0 bytes, expected a redb file"));
            }
            Ok(file) => {
                let builder = builder(file.len());
                guarded(&path, || vet(&builder, &path))?;
                guarded(&path, || builder.open(&path).map_err(fault("open", &path)))?
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                create(folder, &path)?;
                builder(0).open(&path).map_err(fault("open", &path))?
            }
            Err(error) => return Err(io_error("open", &path)(error)),
        };
        Ok(Self { database, path, _lock: lock })
    }
}

/// Takes the lock of `folder`, which lives as long as the answer.
///
/// redb locks its file too, but a database in the making has no file yet.
fn lock(folder: &Path) -> Result<File, DbError> {
    let path = folder.join("lock");
    let file = File::options()
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(io_error("open the lock file", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(DbError::Locked { path: folder.to_owned() }),
        Err(TryLockError::Error(source)) => Err(io_error("lock", &path)(source)),
    }
}

/// Makes an empty database beside `path` and renames it when it is complete, so that a crash
/// leaves no file or a whole one.
fn create(folder: &Path, path: &Path) -> Result<(), DbError> {
    let draft = folder.join("state.redb.new");
    // What a crash in here has left. The lock is ours, so nobody is writing it.
    match fs::remove_file(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(io_error("remove", &draft)(error));
        }
        _ => {}
    }
    let database = Database::create(&draft).map_err(fault("create", &draft))?;
    let transaction = database.begin_write().map_err(fault("write", &draft))?;
    for table in TABLES {
        transaction.open_table(table).map_err(fault("write", &draft))?;
    }
    transaction
        .open_table(META)
        .map_err(fault("write", &draft))?
        .insert(FORMAT_KEY, FORMAT_VERSION.to_be_bytes().as_slice())
        .map_err(fault("write", &draft))?;
    transaction.commit().map_err(fault("commit", &draft))?;
    database.close().map_err(fault("close", &draft))?;
    fs::rename(&draft, path).map_err(io_error("rename", &draft))?;
    // The new name lasts once the folder is on disk. Only Unix opens folders.
    #[cfg(unix)]
    File::open(folder).and_then(|file| file.sync_all()).map_err(io_error("sync", folder))?;
    Ok(())
}

/// Opens a preview of the file and checks that it is a store of this format.
fn vet(builder: &Builder, path: &Path) -> Result<(), DbError> {
    let preview = File::open(path).and_then(Preview::new).map_err(io_error("open", path))?;
    let database = builder.create_with_backend(preview).map_err(fault("open", path))?;
    let transaction = database.begin_read().map_err(fault("read", path))?;
    let meta = transaction.open_table(META).map_err(fault("read", path))?;
    let format = meta.get(FORMAT_KEY).map_err(fault("read", path))?;
    let format = format.ok_or_else(|| corrupt(path, "meta: no format version"))?;
    let version = format.value().try_into().map(u32::from_be_bytes).map_err(|_| {
        corrupt(path, format!("meta: format of {} bytes, expected 4", format.value().len()))
    })?;
    match version {
        FORMAT_VERSION => Ok(()),
        newer if newer > FORMAT_VERSION => {
            Err(DbError::NewerFormat { path: path.to_owned(), found: newer, known: FORMAT_VERSION })
        }
        older => Err(corrupt(path, format!("meta: format {older}, expected {FORMAT_VERSION}"))),
    }
}

fn builder(file_bytes: u64) -> Builder {
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE_BYTES);
    builder.set_check_integrity_on_open(file_bytes <= VERIFIED_BYTES_MAX);
    builder
}

/// Runs `open`, which redb says may panic on an altered file it does not verify.
fn guarded<T>(path: &Path, open: impl FnOnce() -> Result<T, DbError>) -> Result<T, DbError> {
    // What the closures capture is dropped with the error, so no broken invariant can be seen.
    catch_unwind(AssertUnwindSafe(open))
        .unwrap_or_else(|_| Err(corrupt(path, "redb cannot make sense of it")))
}
