//! Opening a store in a folder.

use std::{fmt, path::Path};

use zvm_core::DbError;

#[cfg(feature = "rocksdb")]
use super::rocks::RocksKv;
use super::{
    KvReader, KvStore, WriteBatch,
    encrypt::{self, Key},
    redb::RedbKv,
};

/// Which program keeps the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Engine {
    /// redb: a B-tree in one file, in Rust alone.
    Redb,
    /// RocksDB: a log-structured merge tree in a folder.
    #[cfg(feature = "rocksdb")]
    RocksDb,
}

impl Engine {
    /// Every engine of this build.
    pub const ALL: &'static [Self] = &[
        Self::Redb,
        #[cfg(feature = "rocksdb")]
        Self::RocksDb,
    ];

    /// What it is called on command lines and in backups.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Redb => "redb",
            #[cfg(feature = "rocksdb")]
            Self::RocksDb => "rocksdb",
        }
    }

    /// The engine of this [`name`](Self::name), if it is in this build.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|engine| engine.name() == name)
    }
}

/// What a store is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Access {
    /// To be read. Nothing in the folder is changed but its lock file, and other readers may have it
    /// open.
    Read,
    /// To be read and written. The store must exist.
    Write,
    /// As [`Write`](Self::Write), but made with its folder where there is none.
    Create,
}

/// Gives what a new store starts with, see [`Options::initial`].
pub type Initial<'a> = dyn Fn() -> Result<WriteBatch, DbError> + 'a;

/// Judges what a store holds, see [`Options::vet`].
pub type Vet<'a> = dyn Fn(&dyn KvReader) -> Result<(), DbError> + 'a;

/// How to open a store.
pub struct Options<'a> {
    /// What for.
    pub access: Access,
    /// Bytes of the store that the engine may keep in memory.
    pub cache_bytes: usize,
    /// Asked for what a new store starts with. Made whole or not at all, so no store is without it.
    pub initial: &'a Initial<'a>,
    /// Called with the store, decrypted, before anything of it is changed. An error ends the
    /// opening and leaves the store as it is: this is the place to check the format version.
    pub vet: &'a Vet<'a>,
    /// Encrypts the store, or decrypts one that was made with a key; `None` for one in clear.
    pub key: Option<&'a Key>,
}

impl Default for Options<'_> {
    fn default() -> Self {
        Self {
            access: Access::Create,
            cache_bytes: 256 << 20,
            initial: &|| Ok(WriteBatch::new()),
            vet: &|_| Ok(()),
            key: None,
        }
    }
}

impl fmt::Debug for Options<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("access", &self.access)
            .field("cache_bytes", &self.cache_bytes)
            .finish_non_exhaustive()
    }
}

/// Opens the store of `engine` in `folder`.
///
/// A store that is damaged ([`DbError::Corrupt`]), in use ([`DbError::Locked`]) or refused by
/// [`Options::vet`] is left as it is, and so is one to which the key does not fit
/// ([`DbError::WrongKey`], [`DbError::Encrypted`], [`DbError::NotEncrypted`]).
pub fn open(
    engine: Engine,
    folder: &Path,
    options: Options<'_>,
) -> Result<Box<dyn KvStore>, DbError> {
    match engine {
        Engine::Redb => encrypt::open(options, folder, |options| RedbKv::open(folder, options)),
        #[cfg(feature = "rocksdb")]
        Engine::RocksDb => encrypt::open(options, folder, |options| RocksKv::open(folder, options)),
    }
}
