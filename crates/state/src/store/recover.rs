//! Opening: what the last process left in memory is worked out again.

use zvm_core::{B256, DbError, U256};

use super::{
    FileOptions, History, WALK_STEP,
    keys::{Life, SlotKey},
    leaves::Leaves,
    pending::{Layered, Pending},
    read::{corrupt, corrupt_at, exact, get, open, put},
    record::{AccountRecord, Head, SlotRecord, number},
    slices::{SLICES, Turns},
    tries::{TrieChanges, Tries, in_parts},
};
use crate::kv::{KvReader, Table, WriteBatch};

/// The layout of this program. A store with a higher number is refused.
pub(crate) const FORMAT_VERSION: u32 = 7;

/// Keys of `meta`.
pub(super) mod meta {
    /// Format version, 4 bytes without envelope: it must be readable whatever an envelope becomes.
    pub(crate) const FORMAT: &[u8] = b"format";
    /// [`Head`](super::record::Head); absent in a new store.
    pub(crate) const HEAD: &[u8] = b"head";
    /// The first block whose state can be read u64 ‖ bytes of history u64.
    pub(crate) const HISTORY: &[u8] = b"history";
    /// [`Turns`](super::slices::Turns); absent before the first block.
    pub(crate) const SLICES: &[u8] = b"slices";
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
    /// What the tables have of each slice.
    pub(super) turns: Turns,
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
        let turns = get(kv, Table::Meta, meta::SLICES, Turns::decode)?;
        let index_start = get(kv, Table::Meta, meta::INDEX, number)?;
        let retention = get(kv, Table::Meta, meta::RETENTION, |body| {
            let text = str::from_utf8(body).map_err(|error| format!("retention: {error}"))?;
            text.parse().map_err(|error| format!("retention: {error}"))
        })?;
        let (floor, history_bytes) = history.unwrap_or_default();
        let number = head.number();
        // A slice is written with each block, so the one whose turn is next was, SLICES - 1 blocks ago.
        let written = turns.map(|turns| (turns.first_waiting(), turns.last_written()));
        let is_slice_missed = written.zip(number).is_some_and(|((first, last), number)| {
            number.saturating_sub(first) > SLICES as u64 - 2 || last != Some(number)
        });
        if history.is_some() != number.is_some()
            || turns.is_some() != number.is_some()
            || is_slice_missed
            || index_start > number
            || floor > number.unwrap_or(0)
        {
            let what = format!(
                "meta: head {number:?}, history {history:?}, slices of blocks {written:?} and index \
                 {index_start:?} do not fit"
            );
            return Err(corrupt(kv, what));
        }
        let (turns, retention) = (turns.unwrap_or_default(), retention.unwrap_or_default());
        Ok(Self { head, floor, history_bytes, turns, index_start, retention })
    }

    pub(super) fn stage(&self, batch: &mut WriteBatch) {
        put(batch, Table::Meta, meta::HEAD, &self.head.encode());
        match self.head.block {
            Some(_) => {
                let history = [self.floor.to_be_bytes(), self.history_bytes.to_be_bytes()];
                put(batch, Table::Meta, meta::HISTORY, &history.concat());
                put(batch, Table::Meta, meta::SLICES, &self.turns.encode());
            }
            None => {
                batch.delete(Table::Meta, meta::HISTORY);
                batch.delete(Table::Meta, meta::SLICES);
            }
        }
        match self.index_start {
            Some(block) => put(batch, Table::Meta, meta::INDEX, &block.to_be_bytes()),
            None => batch.delete(Table::Meta, meta::INDEX),
        }
    }
}

/// Brings the tries, which are in each slice as of when it was written, up to the head: by the accounts
/// and slots that have been waiting since.
pub(super) fn catch_up(
    now: &Layered<'_>,
    meta: &Meta,
    options: &FileOptions,
) -> Result<Tries, DbError> {
    let Layered { kv, pending, .. } = *now;
    let unfit = |what: String| Err(corrupt(kv, format!("trie_accounts: {what}; rebuild the trie")));
    if get(kv, Table::Meta, meta::REBUILDING, |_| Ok(()))?.is_some() {
        return unfit("the last rebuild was interrupted".to_owned());
    }
    let mut tries = Tries::new(options.trie_cache_bytes);
    // Slice by slice, so that not all that waits is in memory twice. What has changed is in `changes`, so
    // leaves are read as they are now: what they replace may be damaged.
    let slices: Vec<usize> = (0..SLICES).collect();
    let mut changes = TrieChanges::default();
    for slice in &slices {
        let slots = waiting_slots(kv, pending, *slice)?;
        for (life, root) in tries.update_storage(now, &slots, |_| None, &mut changes)? {
            check_storage_root(now, &life, root)?;
        }
    }
    tries.hold(changes);
    let update = |slices: &[usize]| {
        let mut changes = TrieChanges::default();
        for slice in slices {
            tries.update_slice(now, &waiting_accounts(kv, pending, *slice)?, &mut changes)?;
        }
        Ok(changes)
    };
    let changes = in_parts(&slices, tries.threads(), update)?;
    changes.into_iter().for_each(|changes| tries.hold(changes));
    let root = tries.work_out_top(now)?;
    if root != meta.head.root {
        return unfit(format!("leads to root {root}, the head has {}", meta.head.root));
    }
    Ok(tries)
}

/// Checks that `root` is that of the storage of a life which goes on.
fn check_storage_root(now: &Layered<'_>, life: &Life, root: B256) -> Result<(), DbError> {
    let hash = B256::from_slice(&life[..32]);
    match get(now, Table::Accounts, hash.as_slice(), AccountRecord::decode)? {
        Some(record) if record.life(&hash) == Some(*life) && record.storage_root != root => {
            let what = format!(
                "storage leads to root {root}, expected {}; rebuild the trie",
                record.storage_root
            );
            Err(corrupt_at(now, Table::Accounts, hash.as_slice(), what))
        }
        _ => Ok(()),
    }
}

/// The accounts that wait in a slice.
fn waiting_accounts(
    kv: &dyn KvReader,
    pending: &Pending,
    slice: usize,
) -> Result<Leaves<B256>, DbError> {
    let mut leaves = Leaves::default();
    for_each_waiting(
        kv,
        pending,
        Table::Accounts,
        slice,
        AccountRecord::decode_leaf,
        |key: [u8; 32], existed, now| {
            leaves.push_account(
                key.into(),
                existed,
                now.as_ref().map(|(info, root)| (info, *root)),
            );
        },
    )?;
    Ok(leaves)
}

/// Likewise slots.
fn waiting_slots(
    kv: &dyn KvReader,
    pending: &Pending,
    slice: usize,
) -> Result<Leaves<SlotKey>, DbError> {
    let mut leaves = Leaves::default();
    for_each_waiting(
        kv,
        pending,
        Table::Storage,
        slice,
        SlotRecord::decode,
        |key, existed, now| {
            leaves.push_slot(key, existed, now.map_or(U256::ZERO, |slot| slot.word))
        },
    )?;
    Ok(leaves)
}

/// Visits what waits for a table in a slice: the key, whether it is in the table, and what there
/// is going to be under it.
fn for_each_waiting<const N: usize, T>(
    kv: &dyn KvReader,
    pending: &Pending,
    table: Table,
    slice: usize,
    decode: impl Fn(&[u8]) -> Result<T, String>,
    mut visit: impl FnMut([u8; N], bool, Option<T>),
) -> Result<(), DbError> {
    let mut waiting = pending.slice(table, slice);
    loop {
        let some: Vec<(&[u8], Option<&[u8]>)> = waiting.by_ref().take(WALK_STEP).collect();
        if some.is_empty() {
            return Ok(());
        }
        let keys: Vec<&[u8]> = some.iter().map(|(key, _)| *key).collect();
        let stored = kv.multi_get(table, &keys)?;
        for ((key, record), stored) in some.into_iter().zip(stored) {
            let record = record.map(|record| open(kv, table, key, record, &decode)).transpose()?;
            visit(exact(kv, table, key)?, stored.is_some(), record);
        }
    }
}
