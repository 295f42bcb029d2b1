//! Backends that answer [`Database`](zvm_core::Database): in memory, in a file, and cached.
//!
//! A backend holds accounts, storage and code as of one block. The EVM reads it through
//! `&dyn Database` and returns a [`StateDiff`](zvm_core::StateDiff); committing that diff, or a
//! [`Batch`](zvm_core::Batch) of changes by hand, is the only way to write.
//!
//! ```
//! # use zvm_core::{Address, Database, DbError, StateBackend, U256};
//! let alice = Address::repeat_byte(0xa1);
//! let mut db = zvm_state::MemoryDb::new();
//! db.set_balance(alice, U256::from(10)); // wei
//! assert_eq!(db.account(alice)?.map(|a| a.balance), Some(U256::from(10)));
//!
//! let before = db.snapshot()?;
//! db.batch().delete_account(alice).commit()?;
//! db.revert(before)?;
//! assert!(db.account(alice)?.is_some());
//! # Ok::<(), DbError>(())
//! ```
//!
//! [`open`] turns a [`DatabaseConfig`], such as `file:./state`, into whichever backend it names.
//! With the feature `test-support`, `compliance` holds the suite that every backend passes.
//!
//! Not here: remote state, which [`open_with`] lets others open.

mod backup;
mod cached;
#[cfg(any(test, feature = "test-support"))]
pub mod compliance;
mod config;
pub mod disk;
mod draft;
pub mod dump;
pub mod kv;
mod memory;
mod migrate;
mod past;
mod store;

pub use backup::{Backup, BackupError, BackupFile, Manifest, RestoreStep, restore};
pub use cached::{CacheLimits, CacheStats, CachedDb, HitCount};
pub use config::{
    BlockRef, DatabaseConfig, Endpoint, ForkCache, ForkConfig, ForkSource, KeySource, NetConfig,
    OpenRemote, SecretSource, StoreConfig, open, open_store, open_with, parse_bytes,
};
pub use memory::MemoryDb;
pub use migrate::{Copied, MigrateError, copy, migrate};
pub use past::reverse;
pub use store::{CheckLevel, Checked, FileDb, FileOptions, FileStat, History, UnknownHistory};
pub use zvm_trie::{AccountProof, AccountProofError, StorageProof};
