//! Opening: what the last process left in memory is worked out again from `changes`.

use std::collections::BTreeMap;

use zvm_core::{B256, DbError, U256};

use super::{
    FileOptions, History, WALK_STEP,
    commit::TRIE_LAG,
    history::for_each_change,
    keys::{Kind, SlotKey},
    leaves::Leaves,
    read::{corrupt, get, get_all, open, put},
    record::{AccountRecord, Head, SlotRecord, array, number},
    tries::{TrieChanges, Tries},
};
use crate::kv::{KvReader, Table, WriteBatch};

/// The layout of this program. A store with a higher number is refused.
pub(crate) const FORMAT_VERSION: u32 = 6;

/// Keys of `meta`.
pub(super) mod meta {
    /// Format version, 4 bytes without envelope: it must be readable whatever an envelope becomes.
    pub(crate) const FORMAT: &[u8] = b"format";
    /// [`Head`](super::record::Head); absent in a new store.
    pub(crate) const HEAD: &[u8] = b"head";
    /// The first block whose state can be read u64 ‖ bytes of history u64.
    pub(crate) const HISTORY: &[u8] = b"history";
    /// The block of the stored tries u64; absent if they are those before the first block.
    pub(crate) const TRIE: &[u8] = b"trie";
    /// The block with which the index begins u64; absent if there is none.
    pub(crate) const INDEX: &[u8] = b"index";
    /// How much of the past is kept, as text; absent until the store is told.
    pub(crate) const RETENTION: &[u8] = b"retention";
    /// There, and empty, as long as the tries are being built anew.
    pub(crate) const REBUILDING: &[u8] = b"rebuilding";
    /// With the number of a block u64 behind it: the mark that was left with the block.
    pub(crate) const MARK: &[u8] = b"mark";
}

/// For how many blocks their marks are kept: longer than anybody waits who was cut off.
const MARKS_KEPT: u64 = 256;

/// The key of the mark of block `number`.
pub(super) fn mark_key(number: u64) -> Vec<u8> {
    [meta::MARK, &number.to_be_bytes()].concat()
}

/// Puts the mark of block `number`, and ends that of a block long before.
pub(super) fn stage_mark(number: u64, mark: B256, batch: &mut WriteBatch) {
    put(batch, Table::Meta, &mark_key(number), mark.as_slice());
    if let Some(ended) = number.checked_sub(MARKS_KEPT) {
        batch.delete(Table::Meta, &mark_key(ended));
    }
}

/// Puts how much of the past is kept.
pub(super) fn stage_retention(retention: History, batch: &mut WriteBatch) {
    put(batch, Table::Meta, meta::RETENTION, retention.to_string().as_bytes());
}

/// What a new store starts with.
pub(super) fn initial() -> WriteBatch {
    let mut batch = WriteBatch::new();
    batch.put(Table::Meta, meta::FORMAT, &FORMAT_VERSION.to_be_bytes());
    batch
}

/// Checks that a store has the format of this program.
pub(super) fn vet(kv: &dyn KvReader) -> Result<(), DbError> {
    let format = kv.get(Table::Meta, meta::FORMAT)?;
    let format = format.ok_or_else(|| corrupt(kv, "meta format: absent, expected a version"))?;
    let found = format
        .as_slice()
        .try_into()
        .map(u32::from_be_bytes)
        .map_err(|_| corrupt(kv, format!("meta format: {} bytes, expected 4", format.len())))?;
    match found {
        FORMAT_VERSION => Ok(()),
        0 => Err(corrupt(kv, format!("meta format: 0, expected {FORMAT_VERSION}"))),
        found => {
            let (path, known) = (kv.path().to_owned(), FORMAT_VERSION);
            Err(match found > FORMAT_VERSION {
                true => DbError::NewerFormat { path, found, known },
                false => DbError::OlderFormat { path, found, known },
            })
        }
    }
}

/// The records of `meta`.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Meta {
    pub(super) head: Head,
    /// The first block whose state can be read.
    pub(super) floor: u64,
    /// About how many bytes the history takes.
    pub(super) history_bytes: u64,
    /// The block of the stored tries; `None` if they are those before the first block.
    pub(super) trie_block: Option<u64>,
    /// The block with which the index began to be written; `None` as long as there is none.
    pub(super) index_start: Option<u64>,
    /// How much of the past is kept.
    pub(super) retention: History,
}

impl Meta {
    pub(super) fn read(kv: &dyn KvReader) -> Result<Self, DbError> {
        let head = get(kv, Table::Meta, meta::HEAD, Head::decode)?.unwrap_or_default();
        let history = get(kv, Table::Meta, meta::HISTORY, |body| {
            let (floor, bytes) = body.split_at_checked(8).ok_or("history: too short")?;
            Ok((number(floor)?, number(bytes)?))
        })?;
        let trie_block = get(kv, Table::Meta, meta::TRIE, number)?;
        let index_start = get(kv, Table::Meta, meta::INDEX, number)?;
        let retention = get(kv, Table::Meta, meta::RETENTION, |body| {
            let text = str::from_utf8(body).map_err(|error| format!("retention: {error}"))?;
            text.parse().map_err(|error| format!("retention: {error}"))
        })?;
        let (floor, history_bytes) = history.unwrap_or_default();
        let number = head.number();
        if history.is_some() != number.is_some()
            || trie_block > number
            || index_start > number
            || floor > number.unwrap_or(0)
        {
            let what = format!(
                "meta: head {number:?}, history {history:?}, tries {trie_block:?} and index \
                 {index_start:?} do not fit"
            );
            return Err(corrupt(kv, what));
        }
        let retention = retention.unwrap_or_default();
        Ok(Self { head, floor, history_bytes, trie_block, index_start, retention })
    }

    pub(super) fn stage(&self, batch: &mut WriteBatch) {
        put(batch, Table::Meta, meta::HEAD, &self.head.encode());
        match self.head.block {
            Some(_) => {
                let history = [self.floor.to_be_bytes(), self.history_bytes.to_be_bytes()];
                put(batch, Table::Meta, meta::HISTORY, &history.concat());
            }
            None => batch.delete(Table::Meta, meta::HISTORY),
        }
        for (name, block) in [(meta::TRIE, self.trie_block), (meta::INDEX, self.index_start)] {
            match block {
                Some(block) => put(batch, Table::Meta, name, &block.to_be_bytes()),
                None => batch.delete(Table::Meta, name),
            }
        }
    }
}

/// Brings the stored tries, which are those of `meta.trie_block`, up to the head.
pub(super) fn catch_up(
    kv: &dyn KvReader,
    meta: &Meta,
    options: &FileOptions,
) -> Result<Tries, DbError> {
    let unfit = |what: String| Err(corrupt(kv, format!("trie_accounts: {what}; rebuild the trie")));
    if get(kv, Table::Meta, meta::REBUILDING, |_| Ok(()))?.is_some() {
        return unfit("the last rebuild was interrupted".to_owned());
    }
    let mut tries = Tries::new(options.trie_cache_bytes);
    let Some(head) = meta.head.number().filter(|head| Some(*head) != meta.trie_block) else {
        return Ok(tries);
    };
    // No commit leaves more behind, and what there is to be worked out must fit into memory.
    if head.saturating_sub(meta.trie_block.unwrap_or(meta.floor)) >= TRIE_LAG {
        return unfit(format!("of block {:?}, the head is {head}", meta.trie_block));
    }
    let first = meta.trie_block.map_or(0, |block| block.saturating_add(1));
    let touched = Touched::read(kv, first, head)?;
    let (accounts, slots) = (touched.accounts, touched.slots);
    let mut changes = TrieChanges::default();
    tries.update_storage(kv, &slots_now(kv, slots)?, |_| None, &mut changes)?;
    let root = match accounts.is_empty() {
        // Blocks without a change have the root before them.
        true => touched.root,
        false => tries.update_accounts(kv, &accounts_now(kv, accounts)?, &mut changes)?,
    };
    if root != meta.head.root {
        return unfit(format!("leads to root {root}, the head has {}", meta.head.root));
    }
    tries.hold(changes);
    Ok(tries)
}

/// What some blocks have changed, and whether it was there before them.
struct Touched {
    /// The root before them.
    root: B256,
    accounts: BTreeMap<B256, bool>,
    slots: BTreeMap<SlotKey, bool>,
}

impl Touched {
    /// Reads the changes of blocks `first` to `last`.
    fn read(kv: &dyn KvReader, first: u64, last: u64) -> Result<Self, DbError> {
        let (mut root, mut accounts, mut slots) = (None, BTreeMap::new(), BTreeMap::new());
        for_each_change(kv, first, last, |change, key, record| {
            open(kv, Table::Changes, key, record, |body| {
                let existed = !body.is_empty();
                match change.kind {
                    Kind::Head if root.is_none() => root = Some(Head::decode(body)?.root),
                    Kind::Account => {
                        accounts.entry(array(change.key)?.into()).or_insert(existed);
                    }
                    Kind::Slot => {
                        slots.entry(array(change.key)?).or_insert(existed);
                    }
                    _ => {}
                }
                Ok(())
            })
        })?;
        let root = root.ok_or_else(|| corrupt(kv, "changes: blocks without a head before them"))?;
        Ok(Self { root, accounts, slots })
    }
}

/// Accounts as they are, of which is known whether they were there before.
fn accounts_now(kv: &dyn KvReader, touched: BTreeMap<B256, bool>) -> Result<Leaves<B256>, DbError> {
    let mut leaves = Leaves::with_capacity(touched.len());
    for_each_now(
        kv,
        Table::Accounts,
        touched,
        AccountRecord::decode_leaf,
        |hash, existed, now| {
            leaves.push_account(hash, existed, now.as_ref().map(|(info, root)| (info, *root)));
        },
    )?;
    Ok(leaves)
}

/// Likewise slots.
fn slots_now(
    kv: &dyn KvReader,
    touched: BTreeMap<SlotKey, bool>,
) -> Result<Leaves<SlotKey>, DbError> {
    let mut leaves = Leaves::with_capacity(touched.len());
    for_each_now(kv, Table::Storage, touched, SlotRecord::decode, |key, existed, now| {
        leaves.push_slot(key, existed, now.map_or(U256::ZERO, |record| record.word));
    })?;
    Ok(leaves)
}

/// Visits each key with what is stored under it. It does not hold more than a few records at once.
fn for_each_now<K: AsRef<[u8]>, T>(
    kv: &dyn KvReader,
    table: Table,
    touched: BTreeMap<K, bool>,
    decode: impl Fn(&[u8]) -> Result<T, String>,
    mut visit: impl FnMut(K, bool, Option<T>),
) -> Result<(), DbError> {
    let mut touched = touched.into_iter();
    loop {
        let some: Vec<(K, bool)> = touched.by_ref().take(WALK_STEP).collect();
        if some.is_empty() {
            return Ok(());
        }
        let keys: Vec<&K> = some.iter().map(|(key, _)| key).collect();
        let records = get_all(kv, table, &keys, &decode)?;
        for ((key, existed), record) in some.into_iter().zip(records) {
            visit(key, existed, record);
        }
    }
}
