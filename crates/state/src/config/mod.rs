//! The factory: from a configuration to an open backend.

mod endpoint;
mod fork;
mod net;
mod parse;
mod secret;
mod size;
mod table;
#[cfg(test)]
mod tests;
mod text;

use std::path::{Path, PathBuf};

use zvm_core::{DbError, StateBackend};

use crate::{
    CacheLimits, CachedDb, FileDb, FileOptions, History, MemoryDb,
    kv::{Access, Durability, Engine, Key},
};

pub use endpoint::Endpoint;
pub use fork::{BlockRef, ForkCache, ForkConfig, ForkSource};
pub use net::NetConfig;
pub use secret::SecretSource;

pub use size::parse_bytes;
pub(crate) use size::show_bytes;

/// Which backend to open, and how.
///
/// Written as a string:
///
/// | string | backend |
/// |---|---|
/// | `memory:` | a [`MemoryDb`] that starts empty |
/// | `file:PATH`, `file:PATH?OPTIONS` | a [`FileDb`] in the folder `PATH`, on redb |
/// | `rocksdb:PATH`, `rocksdb:PATH?OPTIONS` | the same on RocksDB (feature `rocksdb`) |
/// | `fork:URL`, `fork:URL@BLOCK`, `fork:FILE` | the state of a remote node, or a recording of it |
/// | `net:HOST:PORT` | the database of another process |
/// | `cached(N):INNER`, `cached(N,BYTES):INNER` | a [`CachedDb`] over another backend |
///
/// Options of a store are joined by `&`: `history=128`, `history=512MiB` or `history=all`;
/// `durability=synced` or `buffered`; `cache=256MiB` for the engine; `readonly`; and one of
/// `key-file=PATH`, `passphrase-file=PATH` and `passphrase-env=NAME`. In paths and values `?`, `&`
/// and `%` are written `%3F`, `%26` and `%25`.
///
/// Those of [`ForkConfig`] and [`NetConfig`] are named like their fields.
///
/// It deserialises from such a string, or from a table whose `kind` is one of `memory`, `file`,
/// `rocksdb` and `cached`, with the options as fields. What it serialises to is
/// [`text`](Self::text). `Display` leaves out the keys that addresses of nodes often hold.
///
/// ```
/// use zvm_state::{DatabaseConfig, History};
///
/// let config: DatabaseConfig = "cached(100000):file:./state?history=512MiB&readonly".parse()?;
/// let DatabaseConfig::Cached { inner, .. } = config else { panic!("expected a cache") };
/// let DatabaseConfig::File(store) = *inner else { panic!("expected a file") };
/// assert!(store.is_read_only);
/// assert_eq!(store.history, Some(History::Bytes(512 << 20)));
/// # Ok::<(), zvm_core::DbError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum DatabaseConfig {
    /// `memory:`.
    #[default]
    Memory,
    /// `file:PATH`.
    File(StoreConfig),
    /// `rocksdb:PATH`.
    RocksDb(StoreConfig),
    /// `fork:URL@BLOCK` or `fork:FILE`.
    Fork(Box<ForkConfig>),
    /// `net:HOST:PORT`.
    Net(Box<NetConfig>),
    /// `cached(N):INNER`.
    Cached {
        /// How much is kept.
        limits: CacheLimits,
        /// The backend behind.
        inner: Box<DatabaseConfig>,
    },
}

/// A store in a folder, and how to open it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreConfig {
    /// The folder, made on first use.
    pub path: PathBuf,
    /// How much of the past is kept; as the store was last told if this is `None`.
    pub history: Option<History>,
    /// Whether a commit is on disk when it returns.
    pub durability: Durability,
    /// Bytes of the store that the engine may keep in memory.
    pub cache_bytes: usize,
    /// Whether the store is opened to be read only. It must exist then.
    pub is_read_only: bool,
    /// Where the key of an encrypted store is.
    pub key: Option<KeySource>,
}

/// Where a key is to be found. The key itself is never part of a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// A file with the key.
    KeyFile(PathBuf),
    /// A file with a passphrase; the end of its line is not part of it.
    PassphraseFile(PathBuf),
    /// An environment variable with a passphrase.
    PassphraseEnv(String),
}

impl StoreConfig {
    /// A store in `path` with default options.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        let FileOptions { history, durability, cache_bytes, .. } = FileOptions::default();
        let path = path.into();
        Self { path, history, durability, cache_bytes, is_read_only: false, key: None }
    }

    fn open(&self, engine: Engine, access: Access) -> Result<FileDb, DbError> {
        let options = FileOptions {
            engine,
            access: if self.is_read_only { Access::Read } else { access },
            history: self.history,
            durability: self.durability,
            cache_bytes: self.cache_bytes,
            ..FileOptions::default()
        };
        let key = self.key.as_ref().map(KeySource::read).transpose()?;
        FileDb::open_with_key(&self.path, options, key.as_ref())
    }
}

impl KeySource {
    /// Fetches the key.
    pub fn read(&self) -> Result<Key, DbError> {
        match self {
            Self::KeyFile(path) => Key::from_file(path),
            Self::PassphraseFile(path) => {
                let passphrase = SecretSource::File(path.clone()).read("passphrase")?;
                Ok(Key::from_passphrase(passphrase.as_str()))
            }
            Self::PassphraseEnv(name) => {
                let passphrase = SecretSource::Env(name.clone()).read("passphrase")?;
                Ok(Key::from_passphrase(passphrase.as_str()))
            }
        }
    }
}

impl DatabaseConfig {
    /// The store in a folder, if there is one, below all caches.
    #[must_use]
    pub fn store(&self) -> Option<&StoreConfig> {
        match self {
            Self::Memory | Self::Fork(_) | Self::Net(_) => None,
            Self::File(store) | Self::RocksDb(store) => Some(store),
            Self::Cached { inner, .. } => inner.store(),
        }
    }

    /// The folder of [`store`](Self::store).
    #[must_use]
    pub fn folder(&self) -> Option<&Path> {
        self.store().map(|store| store.path.as_path())
    }
}

/// Opens the backend that `config` names. [`DbError::Config`] for remote state, which takes
/// [`open_with`].
pub fn open(config: &DatabaseConfig) -> Result<Box<dyn StateBackend>, DbError> {
    open_with(config, &mut |remote| {
        Err(refused(
            remote,
            "remote state is not opened here, which has neither `fork:` nor `net:`",
        ))
    })
}

/// Opens a backend that takes a network.
pub type OpenRemote<'a> = dyn FnMut(&DatabaseConfig) -> Result<Box<dyn StateBackend>, DbError> + 'a;

/// Opens the backend that `config` names, with `remote` to open what [`DatabaseConfig::Fork`] and
/// [`DatabaseConfig::Net`] name, below whatever caches.
pub fn open_with(
    config: &DatabaseConfig,
    remote: &mut OpenRemote<'_>,
) -> Result<Box<dyn StateBackend>, DbError> {
    Ok(match config {
        DatabaseConfig::Memory => Box::new(MemoryDb::new()),
        DatabaseConfig::File(_) | DatabaseConfig::RocksDb(_) => {
            Box::new(open_store(config, Access::Create)?)
        }
        DatabaseConfig::Fork(_) | DatabaseConfig::Net(_) => remote(config)?,
        DatabaseConfig::Cached { limits, inner } => {
            Box::new(CachedDb::new(open_with(inner, remote)?, *limits))
        }
    })
}

fn refused(config: &DatabaseConfig, what: &str) -> DbError {
    DbError::Config { config: config.to_string(), what: what.to_owned() }
}

/// Opens the store that `config` names, behind whatever caches: for what only a store can do, such
/// as proofs and checks. One that `config` says is to be read only is, whatever `access` says.
pub fn open_store(config: &DatabaseConfig, access: Access) -> Result<FileDb, DbError> {
    match config {
        DatabaseConfig::Memory | DatabaseConfig::Fork(_) | DatabaseConfig::Net(_) => {
            Err(refused(config, "no store: expected file:FOLDER or rocksdb:FOLDER"))
        }
        DatabaseConfig::File(store) => store.open(Engine::Redb, access),
        #[cfg(feature = "rocksdb")]
        DatabaseConfig::RocksDb(store) => store.open(Engine::RocksDb, access),
        #[cfg(not(feature = "rocksdb"))]
        DatabaseConfig::RocksDb(_) => {
            Err(refused(config, "rocksdb: is not in this build, which lacks the feature rocksdb"))
        }
        DatabaseConfig::Cached { inner, .. } => open_store(inner, access),
    }
}
