//! Opening: what the last process left in memory is worked out again from `changes`.

use std::collections::BTreeMap;

use zvm_core::{B256, DbError, U256};

use super::{
    FileOptions, History,
    commit::TRIE_LAG,
    history::{Change, change_bytes},
    keys::{Kind, SlotKey, change_key},
    plan::{AccountChange, SlotChange},
    read::{corrupt, exact, get, get_all, open, put},
    record::{AccountRecord, Head, SlotRecord, number},
    tries::{TrieChanges, Tries},
};
use crate::kv::{KvReader, Order, Table, WriteBatch};

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
    let before = Before::read(kv, first, head)?;
    let (accounts, slots) = before.to_present(kv)?;
    let mut changes = TrieChanges::default();
    tries.update_storage(kv, &slots, |_| None, &mut changes)?;
    let root = match accounts.is_empty() {
        // Blocks without a change have the root before them.
        true => before.head(kv)?.root,
        false => tries.update_accounts(kv, &accounts, &mut changes)?,
    };
    if root != meta.head.root {
        return unfit(format!("leads to root {root}, the head has {}", meta.head.root));
    }
    tries.hold(changes);
    Ok(tries)
}

/// The oldest values that some blocks have changed.
#[derive(Debug, Default)]
pub(super) struct Before {
    /// By kind and key: the block that changed the value, and its body; an empty one is an absent
    /// value.
    pub(super) values: BTreeMap<(Kind, Vec<u8>), (u64, Vec<u8>)>,
    /// Bytes of the history of these blocks.
    pub(super) bytes: u64,
}

impl Before {
    /// Reads the changes of blocks `first` to `last`.
    pub(super) fn read(kv: &dyn KvReader, first: u64, last: u64) -> Result<Self, DbError> {
        let mut before = Self::default();
        let start = change_key(first, Kind::Head, &[]);
        for entry in kv.iter(Table::Changes, &[], Some(&start), Order::Forward)? {
            let (key, record) = entry?;
            let change = Change::parse(kv, &key)?;
            if change.block > last {
                break;
            }
            if change.kind == Kind::Redo {
                continue;
            }
            let bytes = change_bytes(change.kind, &key, &record);
            before.bytes = before.bytes.saturating_add(bytes);
            let body = open(kv, Table::Changes, &key, &record, |body| Ok(body.to_vec()))?;
            let place = (change.kind, change.key.to_vec());
            before.values.entry(place).or_insert((change.block, body));
        }
        Ok(before)
    }

    /// The head before these blocks.
    pub(super) fn head(&self, kv: &dyn KvReader) -> Result<Head, DbError> {
        match self.values.get(&(Kind::Head, Vec::new())) {
            Some((_, body)) => {
                Head::decode(body).map_err(|what| corrupt(kv, format!("changes: {what}")))
            }
            None => Err(corrupt(kv, "changes: blocks without a head before them")),
        }
    }

    /// The changes that lead from the values before to those now stored, in key order. What is the
    /// same in both is left out.
    pub(super) fn to_present(
        &self,
        kv: &dyn KvReader,
    ) -> Result<(Vec<AccountChange>, Vec<SlotChange>), DbError> {
        let of_kind = |kind| {
            self.values.iter().filter(move |((found, _), _)| *found == kind).map(
                |((kind, key), (block, body))| {
                    (change_key(*block, *kind, key), key.as_slice(), body.as_slice())
                },
            )
        };
        let keys: Vec<&[u8]> = of_kind(Kind::Account).map(|(_, key, _)| key).collect();
        let present = get_all(kv, Table::Accounts, &keys, AccountRecord::decode)?;
        let mut accounts = Vec::new();
        for ((name, key, body), present) in of_kind(Kind::Account).zip(present) {
            let old = decoded(kv, &name, body, AccountRecord::decode)?;
            if old != present {
                let hash = B256::new(exact(kv, Table::Changes, key)?);
                accounts.push(AccountChange { hash, old, new: present });
            }
        }

        let keys: Vec<&[u8]> = of_kind(Kind::Slot).map(|(_, key, _)| key).collect();
        let present = get_all(kv, Table::Storage, &keys, SlotRecord::decode)?;
        let mut slots = Vec::new();
        for ((name, key, body), present) in of_kind(Kind::Slot).zip(present) {
            let key: SlotKey = exact(kv, Table::Changes, key)?;
            let old = decoded(kv, &name, body, SlotRecord::decode)?;
            if let Some(SlotRecord { slot, .. }) = old.or(present)
                && old != present
            {
                let word = |record: Option<SlotRecord>| record.map_or(U256::ZERO, |slot| slot.word);
                slots.push(SlotChange { key, slot, old: word(old), new: word(present) });
            }
        }
        Ok((accounts, slots))
    }
}

/// What `decode` makes of a value before; `None` if it was absent.
fn decoded<T>(
    kv: &dyn KvReader,
    name: &[u8],
    body: &[u8],
    decode: impl Fn(&[u8]) -> Result<T, String>,
) -> Result<Option<T>, DbError> {
    if body.is_empty() {
        return Ok(None);
    }
    let decoded =
        decode(body).map_err(|what| super::read::corrupt_at(kv, Table::Changes, name, what));
    decoded.map(Some)
}
