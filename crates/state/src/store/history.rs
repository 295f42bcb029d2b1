//! The past: values before each block, and states read through them.

use zvm_core::{Account, Address, B256, Bytes, Database, DbError, U256, keccak256};

use super::{
    FileDb,
    keys::{IndexKey, Kind, SlotKey, change_key, slot_hash, slot_key},
    plan::Plan,
    read::{corrupt_at, entries, get},
    record::{AccountRecord, Head, SlotRecord, decode_blocks, number, seal},
    storage::inline_word,
};
use crate::kv::{KvReader, Order, Table, WriteBatch, records::unseal};

/// Bytes that a change takes in the index, roughly.
const INDEX_BYTES: u64 = 40;

/// Bytes that a slot of a life that ended takes until the life is forgotten, its share of the
/// branches included, roughly.
const ENDED_SLOT_BYTES: u64 = 100;

/// A key of `changes`, taken apart.
#[derive(Clone, Copy, Debug)]
pub(super) struct Change<'a> {
    pub(super) block: u64,
    pub(super) kind: Kind,
    pub(super) key: &'a [u8],
}

impl<'a> Change<'a> {
    pub(super) fn parse(kv: &dyn KvReader, bytes: &'a [u8]) -> Result<Self, DbError> {
        let fault = |what| corrupt_at(kv, Table::Changes, bytes, what);
        let (block, rest) = bytes.split_first_chunk().ok_or_else(|| fault("a short key"))?;
        let (kind, key) = rest.split_first().ok_or_else(|| fault("a short key"))?;
        let kind = Kind::from_byte(*kind).ok_or_else(|| fault("an unknown kind"))?;
        let length = match kind {
            Kind::Head => 0,
            Kind::Account => 32,
            Kind::Slot => 68,
            Kind::Ended => 36,
            Kind::Redo | Kind::PastRedo => 4,
        };
        if key.len() != length {
            return Err(fault("a key of another length than its kind has"));
        }
        Ok(Self { block: u64::from_be_bytes(*block), kind, key })
    }

    /// Where the index has it.
    pub(super) fn index_key(&self) -> Option<IndexKey> {
        match self.kind {
            Kind::Account => Some(IndexKey::account(&B256::from_slice(self.key))),
            Kind::Slot => SlotKey::try_from(self.key).ok().map(|key| IndexKey::slot(&key)),
            Kind::Head | Kind::Ended | Kind::Redo | Kind::PastRedo => None,
        }
    }
}

/// Writes the values before `block`, and answers how much history that is.
pub(super) fn stage_changes(block: u64, before: &Head, plan: &Plan, batch: &mut WriteBatch) -> u64 {
    let mut bytes = 0_u64;
    let mut add = |kind, key: &[u8], body: &[u8]| {
        let key = change_key(block, kind, key);
        let record = seal(&key, body);
        bytes = bytes.saturating_add(change_bytes(kind, &key, &record));
        batch.put(Table::Changes, &key, &record);
    };
    add(Kind::Head, &[], &before.encode());
    for account in &plan.accounts {
        let before = account.old.as_ref().map(AccountRecord::encode).unwrap_or_default();
        add(Kind::Account, account.hash.as_slice(), &before);
    }
    for slot in &plan.slots {
        add(Kind::Slot, &slot.key, &slot.record_before().encode());
    }
    for (life, slots) in &plan.ended {
        add(Kind::Ended, life, &slots.to_be_bytes());
    }
    bytes
}

/// Visits what blocks `first` to `last` have changed, oldest first: each key of `changes` with its
/// record.
pub(super) fn for_each_change(
    kv: &dyn KvReader,
    first: u64,
    last: u64,
    mut visit: impl FnMut(Change<'_>, &[u8], &[u8]) -> Result<(), DbError>,
) -> Result<(), DbError> {
    let start = change_key(first, Kind::Head, &[]);
    for entry in kv.iter(Table::Changes, &[], Some(&start), Order::Forward)? {
        let (key, record) = entry?;
        let change = Change::parse(kv, &key)?;
        if change.block > last {
            break;
        }
        if change.kind != Kind::Redo {
            visit(change, &key, &record)?;
        }
    }
    Ok(())
}

/// How much history a change is, its place in the index and the slots it holds back included.
pub(super) fn change_bytes(kind: Kind, key: &[u8], record: &[u8]) -> u64 {
    let slots = match kind {
        Kind::Ended => unseal(key, record).and_then(number).unwrap_or_default(),
        _ => 0,
    };
    let bytes = (key.len() + record.len()) as u64 + INDEX_BYTES;
    bytes.saturating_add(slots.saturating_mul(ENDED_SLOT_BYTES))
}

/// A store as it was after an earlier block.
pub(super) struct Then<'a> {
    pub(super) db: &'a FileDb,
    pub(super) number: u64,
}

impl Then<'_> {
    /// What `decode` makes of the value before the first change after this block; `None` if there
    /// was no change, `Some(None)` if there was no value.
    fn before<T>(
        &self,
        index: IndexKey,
        kind: Kind,
        key: &[u8],
        decode: impl Fn(&[u8]) -> Result<T, String>,
    ) -> Result<Option<Option<T>>, DbError> {
        let kv = &self.db.kv();
        let absent_or = |body: &[u8]| match body {
            [] => Ok(None),
            body => decode(body).map(Some),
        };
        let changed_in = |block| get(kv, Table::Changes, &change_key(block, kind, key), absent_or);
        let start = index.entry(self.number.saturating_add(1));
        for entry in entries::<_, 25>(kv, Table::History, &index.0, Some(&start), decode_blocks)? {
            for block in entry?.1.into_iter().filter(|block| *block > self.number) {
                // Another key may share this place in the index.
                if let Some(before) = changed_in(block)? {
                    return Ok(Some(before));
                }
            }
        }
        for block in self.db.tail()?.blocks_after(self.number, &index) {
            if let Some(before) = changed_in(block)? {
                return Ok(Some(before));
            }
        }
        Ok(None)
    }

    fn record(&self, hash: &B256) -> Result<Option<AccountRecord>, DbError> {
        let index = IndexKey::account(hash);
        match self.before(index, Kind::Account, hash.as_slice(), AccountRecord::decode)? {
            Some(before) => Ok(before),
            None => self.db.record(hash),
        }
    }
}

impl Database for Then<'_> {
    fn account(&self, address: Address) -> Result<Option<Account>, DbError> {
        let record = self.record(&keccak256(address))?;
        Ok(record.map(|record| record.to_account()))
    }

    fn storage(&self, address: Address, slot: U256) -> Result<U256, DbError> {
        let hash = keccak256(address);
        let Some(record) = self.record(&hash)? else { return Ok(U256::ZERO) };
        let Some(life) = record.life(&hash) else {
            return Ok(inline_word(record.inline(), slot));
        };
        let key = slot_key(&life, &slot_hash(slot));
        match self.before(IndexKey::slot(&key), Kind::Slot, &key, SlotRecord::decode)? {
            Some(before) => Ok(before.map_or(U256::ZERO, |record| record.word)),
            None => self.db.word(&key),
        }
    }

    fn code(&self, code_hash: B256) -> Result<Bytes, DbError> {
        self.db.code(code_hash)
    }

    fn block_hash(&self, number: u64) -> Result<B256, DbError> {
        self.db.block_hash(number)
    }
}
