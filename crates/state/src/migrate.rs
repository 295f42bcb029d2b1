//! A whole state from one backend into another.

use std::{ops::ControlFlow, path::PathBuf};

use zvm_core::{Address, B256, BlockId, DbError, StateBackend, U256};

use crate::{config::DatabaseConfig, draft::Draft, dump::Seeder};

/// How many blocks back `BLOCKHASH` can reach, and so how many hashes go along.
const BLOCK_HASHES: u64 = 256;

/// What has been copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Copied {
    /// The block whose state it is.
    pub block: BlockId,
    /// The root of the state, which is that of the source.
    pub root: B256,
    /// Number of accounts copied, without those of an earlier run.
    pub accounts: u64,
    /// Number of slots copied, without those of an earlier run.
    pub slots: u64,
    /// Whether an interrupted copy was continued.
    pub is_continued: bool,
}

/// What can go wrong in a [`copy`] or [`migrate`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MigrateError {
    /// The target has a state of its own. It was left as it was.
    #[error("the database to copy into is at block {}, expected an empty one", block.number)]
    NotEmpty {
        /// The head of the target.
        block: BlockId,
    },

    /// What was copied is not the state of the source: it has changed since an interrupted copy
    /// that was continued.
    #[error("state root {found}, expected {expected}: the source has changed since the copy began")]
    Root {
        /// Root of what was copied.
        found: B256,
        /// Root of the source.
        expected: B256,
    },

    /// The source is not what it says it is: its accounts and slots have another root.
    #[error(
        "the source has the state root {expected}, its accounts and slots give {found}: look for damage with `zvm db check`"
    )]
    Source {
        /// Root of what was copied, which is all there is.
        found: B256,
        /// Root of the source.
        expected: B256,
    },

    /// Like [`Root`](Self::Root); the unfinished copy is of no use any more.
    #[error("{}: not a copy of this source, or of an earlier state of it; remove it to begin anew", draft.display())]
    Stale {
        /// The folder with the unfinished copy.
        draft: PathBuf,
    },

    /// One of the backends failed.
    #[error(transparent)]
    Database(#[from] DbError),
}

/// Makes the store that `to` names a copy of the present state of `from`, without its past.
///
/// The copy is made in a folder beside, `PATH.migrating`, that takes its name when the root is
/// verified; there must be nothing at `PATH`. A copy that was interrupted stays there, and the next
/// call continues it. `progress` is told how far the walk is, as the hash of an address.
pub fn migrate(
    from: &dyn StateBackend,
    to: &DatabaseConfig,
    progress: impl FnMut(B256),
) -> Result<Copied, MigrateError> {
    let draft = Draft::of(to, ".migrating")?;
    let mut target = draft.open(to)?;
    if target.head()? != BlockId::default() {
        // A copy that was complete but for its name. It is only taken if it is of this very state.
        let root = target.state_root()?;
        if (target.head()?, root) != (from.head()?, from.state_root()?) {
            return Err(MigrateError::Stale { draft: draft.folder().to_owned() });
        }
        let block = target.head()?;
        drop(target);
        draft.finish()?;
        return Ok(Copied { block, root, accounts: 0, slots: 0, is_continued: true });
    }
    let copied = copy(from, &mut *target, progress);
    drop(target);
    match copied {
        Ok(_) => draft.finish()?,
        Err(MigrateError::Root { .. }) => {
            return Err(MigrateError::Stale { draft: draft.folder().to_owned() });
        }
        // Never to be continued. What went wrong is worth more than that it cannot be removed either.
        Err(MigrateError::Source { .. }) => drop(draft.clear()),
        Err(_) => {}
    }
    copied
}

/// Copies the present state of `from` into `to`, which must not have been committed to, in bounded
/// parts, with the hashes of the last 256 blocks as far as they are known.
///
/// Accounts and slots go in the order of their hashes, so what is in `to` says how far an
/// interrupted copy has come, and this one continues there. Until the root is verified `to` has no
/// block.
pub fn copy(
    from: &dyn StateBackend,
    to: &mut dyn StateBackend,
    mut progress: impl FnMut(B256),
) -> Result<Copied, MigrateError> {
    let (block, expected) = (from.head()?, from.state_root()?);
    let found = to.head()?;
    if found != BlockId::default() {
        return Err(MigrateError::NotEmpty { block: found });
    }
    let last = last_account(to)?;
    let mut seeder = Seeder::new(to);
    let start = last.map_or(B256::ZERO, |last| last.0);
    from.for_each_account(start, &mut |hash, address, info| {
        if info.has_code() {
            seeder.code(from.code(info.code_hash)?)?;
        }
        seeder.account(address, info)?;
        // The last part may have ended within the storage of its last account.
        let start = match last {
            Some((_, last, slot)) if last == address => slot,
            _ => B256::ZERO,
        };
        from.for_each_slot(address, start, &mut |_, slot, word| {
            seeder.slot(address, info, slot, word)?;
            Ok(ControlFlow::Continue(()))
        })?;
        progress(hash);
        Ok(ControlFlow::Continue(()))
    })?;
    let root = seeder.root()?;
    if root != expected {
        return Err(match last {
            Some(_) => MigrateError::Root { found: root, expected },
            None => MigrateError::Source { found: root, expected },
        });
    }
    let (accounts, slots) = (seeder.accounts, seeder.slots);
    for number in block.number.saturating_sub(BLOCK_HASHES)..=block.number {
        match from.block_hash(number) {
            Ok(hash) => seeder.block_hash(number, hash)?,
            Err(DbError::MissingBlockHash { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    seeder.finish(block)?;
    Ok(Copied { block, root, accounts, slots, is_continued: last.is_some() })
}

/// The last account in the order of hashes, with the hash of its last slot.
fn last_account(db: &dyn StateBackend) -> Result<Option<(B256, Address, B256)>, DbError> {
    let mut last = None;
    let account = last_hash(|from| {
        let mut first = None;
        db.for_each_account(from, &mut |hash, address, _| {
            first = Some(hash);
            last = Some(address);
            Ok(ControlFlow::Break(()))
        })?;
        Ok(first)
    })?;
    let (Some(hash), Some(address)) = (account, last) else { return Ok(None) };
    let slot = last_hash(|from| {
        let mut first = None;
        db.for_each_slot(address, from, &mut |hash, _, _| {
            first = Some(hash);
            Ok(ControlFlow::Break(()))
        })?;
        Ok(first)
    })?;
    Ok(Some((hash, address, slot.unwrap_or_default())))
}

/// The last of some hashes, where `first_from` answers the first from a hash on. Walks go forward
/// only, so the end is found by halving what lies behind the last hash known.
fn last_hash(
    mut first_from: impl FnMut(B256) -> Result<Option<B256>, DbError>,
) -> Result<Option<B256>, DbError> {
    let Some(mut last) = first_from(B256::ZERO)? else { return Ok(None) };
    let mut end = U256::MAX;
    loop {
        let known = U256::from_be_bytes(last.0);
        if known >= end {
            return Ok(Some(last));
        }
        let middle = known + (end - known).div_ceil(U256::from(2));
        match first_from(B256::from(middle))? {
            Some(hash) => last = hash,
            None => end = middle - U256::from(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use tempfile::tempdir;
    use zvm_core::{AccountInfo, Bytes, Database, SlotDiff, StateDiff, keccak256};

    use super::*;
    use crate::{
        FileDb, FileOptions, MemoryDb, StoreConfig, dump,
        kv::{self, Durability, Table, WriteBatch, sim::SimDisk},
        open,
    };

    fn source(accounts: u64, slots: u64) -> MemoryDb {
        let mut db = MemoryDb::new();
        let mut batch = db.batch();
        let code_hash = batch.set_code(Bytes::from_static(&[0x5b]));
        for id in 0..accounts {
            let address = Address::from_word(keccak256(id.to_be_bytes()));
            let info = AccountInfo { nonce: id, balance: U256::from(id), code_hash };
            batch = batch.set_account(address, info);
            for slot in 0..slots {
                batch = batch.set_storage(address, U256::from(slot), U256::from(id + 1));
            }
        }
        let diff = batch.to_diff().unwrap();
        let block = BlockId { number: 500, hash: B256::repeat_byte(5) };
        db.commit_block(block, &diff).unwrap();
        db.set_block_hash(400, B256::repeat_byte(4)).unwrap();
        db.set_block_hash(100, B256::repeat_byte(1)).unwrap();
        db
    }

    fn text(db: &dyn StateBackend) -> String {
        let mut text = Vec::new();
        dump::dump(db, &mut text, |_| {}).unwrap();
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn a_copy_is_the_same_state_at_the_same_block() {
        let from = source(50, 3);
        let mut to = MemoryDb::new();
        let copied = copy(&from, &mut to, |_| {}).unwrap();
        assert_eq!((copied.accounts, copied.slots, copied.is_continued), (50, 150, false));
        assert_eq!(text(&to), text(&from));
        assert_eq!(to.block_hash(400).unwrap(), B256::repeat_byte(4));
        assert!(to.block_hash(100).is_err());
        assert!(matches!(copy(&from, &mut to, |_| {}), Err(MigrateError::NotEmpty { .. })));
    }

    #[test]
    fn an_empty_state_is_copied_too() {
        let mut to = MemoryDb::new();
        let copied = copy(&MemoryDb::new(), &mut to, |_| {}).unwrap();
        assert_eq!(copied.root, zvm_core::EMPTY_ROOT);
    }

    /// What an interrupted copy of `from` has left: its first accounts, the last of them with only
    /// the first of its slots.
    fn unfinished(from: &dyn StateBackend, accounts: usize, slots: usize) -> MemoryDb {
        let mut to = MemoryDb::new();
        let mut part = StateDiff::default();
        let mut left = accounts;
        from.for_each_account(B256::ZERO, &mut |_, address, info| {
            let change = part.accounts.entry(address).or_default();
            change.new = Some(info);
            left -= 1;
            let mut slots = if left == 0 { slots } else { usize::MAX };
            from.for_each_slot(address, B256::ZERO, &mut |_, slot, new| {
                if slots == 0 {
                    return Ok(ControlFlow::Break(()));
                }
                slots -= 1;
                change.storage.insert(slot, SlotDiff { old: U256::ZERO, new });
                Ok(ControlFlow::Continue(()))
            })?;
            Ok(if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        })
        .unwrap();
        to.seed(&part).unwrap();
        to
    }

    #[test]
    fn an_interrupted_copy_is_continued() {
        let from = source(40, 6);
        for (accounts, slots) in [(1, 0), (1, 6), (7, 0), (7, 3), (40, 5), (40, 6)] {
            let mut to = unfinished(&from, accounts, slots);
            let copied = copy(&from, &mut to, |_| {}).unwrap();
            // The last account and its last slot are written once more.
            assert_eq!((copied.accounts, copied.is_continued), (41 - accounts as u64, true));
            assert_eq!(
                copied.slots,
                40 * 6 - 6 * (accounts as u64 - 1) - slots.saturating_sub(1) as u64
            );
            assert_eq!(text(&to), text(&from));
        }
    }

    #[test]
    fn a_store_gets_its_name_when_it_is_whole() {
        let folder = tempdir().unwrap();
        let path = folder.path().join("state");
        let from = source(50, 3);
        let config = DatabaseConfig::File(StoreConfig::new(&path));
        let copied = migrate(&from, &config, |_| {}).unwrap();
        assert_eq!((copied.accounts, copied.is_continued), (50, false));
        assert_eq!(text(&*open(&config).unwrap()), text(&from));
        let again = migrate(&from, &config, |_| {}).unwrap_err();
        assert!(matches!(again, MigrateError::Database(DbError::Io { .. })), "{again}");

        // The other way round, through the file.
        let mut back = MemoryDb::new();
        copy(&*open(&config).unwrap(), &mut back, |_| {}).unwrap();
        assert_eq!(text(&back), text(&from));
    }

    #[test]
    fn a_copy_of_another_state_is_not_continued() {
        let folder = tempdir().unwrap();
        let config = DatabaseConfig::File(StoreConfig::new(folder.path().join("state")));
        let draft = DatabaseConfig::File(StoreConfig::new(folder.path().join("state.migrating")));
        let mut stray = open(&draft).unwrap();
        let batch = stray.batch().set_account(Address::repeat_byte(9), AccountInfo::default());
        let diff = batch.to_diff().unwrap();
        stray.seed(&diff).unwrap();
        drop(stray);
        let stale = migrate(&source(5, 1), &config, |_| {}).unwrap_err();
        assert!(matches!(stale, MigrateError::Stale { .. }), "{stale}");
        assert!(config.folder().is_some_and(|folder| !folder.exists()));
    }

    #[test]
    fn a_source_that_lacks_slots_is_named_and_leaves_no_copy() {
        let disk = SimDisk::default();
        let store = || disk.open("store".as_ref(), kv::Options::default()).unwrap();
        let mut from = FileDb::over(store(), FileOptions::default()).unwrap();
        // More than its record takes, and then as many blocks as it takes to put them in their table.
        let slots = (0..20).map(U256::from);
        let batch = slots
            .fold(from.batch(), |batch, slot| batch.set_storage(Address::ZERO, slot, U256::ONE));
        batch.commit().unwrap();
        for _ in 0..128 {
            from.batch().commit().unwrap();
        }
        drop(from);
        let mut slots = WriteBatch::new();
        slots.delete_prefix(Table::Storage, &[]);
        store().write(slots, Durability::Synced).unwrap();
        let from = FileDb::over(store(), FileOptions::default()).unwrap();

        let home = tempdir().unwrap();
        let config = DatabaseConfig::File(StoreConfig::new(home.path().join("state")));
        let error = migrate(&from, &config, |_| {}).unwrap_err();
        assert!(matches!(error, MigrateError::Source { .. }), "{error}");
        assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 0);
    }

    #[test]
    fn memory_is_no_place_to_migrate_to() {
        let error = migrate(&MemoryDb::new(), &DatabaseConfig::Memory, |_| {}).unwrap_err();
        assert!(error.to_string().contains("a folder is needed"), "{error}");
    }
}
