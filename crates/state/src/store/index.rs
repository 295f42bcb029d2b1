//! Which blocks changed a key: on disk for a long past, in memory for the newest blocks.
//!
//! A past of a few hundred blocks needs no index. To look through them, fingerprints of what each has
//! changed are kept in memory, and read from `changes` when the past is first asked for. A longer past has
//! the table `history`. It is written in slices of the key space, one with each block, so that entries
//! which lie beside each other are written together; the fingerprints are those of the blocks that a
//! slice may not have yet. An index that was begun is kept up.

use std::{collections::VecDeque, ops::ControlFlow};

use zvm_core::DbError;

use super::{
    History,
    history::Change,
    keys::{IndexKey, Kind, change_key},
    plan::Plan,
    read::{entries, put},
    record::{decode_blocks, encode_blocks},
    recover::Meta,
    slices,
};
use crate::kv::{KvReader, Order, Table, WriteBatch};

/// It is written in as many slices as everything else, but one with each block whatever waits.
const SLICES: u64 = slices::SLICES as u64;

/// A past of up to this many blocks has no index.
const BLOCKS_WITHOUT_INDEX: u64 = 256;

impl History {
    /// Whether so long a past is looked up in the index.
    pub(super) fn needs_index(self) -> bool {
        match self {
            Self::Blocks(blocks) => blocks > BLOCKS_WITHOUT_INDEX,
            Self::Bytes(_) | Self::All => true,
        }
    }
}

impl Meta {
    /// The first block that the index may not have in all of its slices.
    pub(super) fn first_not_indexed(&self) -> u64 {
        let kept = self.floor.saturating_add(1);
        let head = self.head.number().unwrap_or_default();
        match self.index_start {
            // Each slice has had its turn.
            Some(start) if head >= start.saturating_add(SLICES - 1) => {
                kept.max(head.saturating_sub(SLICES - 2))
            }
            _ => kept,
        }
    }
}

/// Fingerprints of what the newest blocks changed: those that the index may not have.
#[derive(Debug, Default)]
pub(super) struct Tail {
    /// Oldest first, each with its fingerprints in order.
    blocks: VecDeque<(u64, Vec<u32>)>,
}

impl Tail {
    /// Reads them from `changes`.
    pub(super) fn read(kv: &dyn KvReader, meta: &Meta) -> Result<Self, DbError> {
        let mut tail = Self::default();
        let Some(head) = meta.head.number() else { return Ok(tail) };
        for block in meta.first_not_indexed()..=head {
            let mut keys = Vec::new();
            for entry in kv.iter(Table::Changes, &block.to_be_bytes(), None, Order::Forward)? {
                let key = entry?.0;
                let change = Change::parse(kv, &key)?;
                if change.kind == Kind::Redo {
                    break;
                }
                keys.extend(change.index_key());
            }
            tail.push(block, &keys);
        }
        Ok(tail)
    }

    /// Adds a block.
    pub(super) fn push(&mut self, block: u64, keys: &[IndexKey]) {
        let mut prints: Vec<u32> = keys.iter().map(IndexKey::fingerprint).collect();
        prints.sort_unstable();
        prints.dedup();
        self.blocks.push_back((block, prints));
    }

    /// Forgets blocks before `first`.
    pub(super) fn drop_before(&mut self, first: u64) {
        while self.blocks.pop_front_if(|(block, _)| *block < first).is_some() {}
    }

    /// The blocks after `block` that may have changed `key`, oldest first.
    pub(super) fn blocks_after(&self, block: u64, key: &IndexKey) -> impl Iterator<Item = u64> {
        let print = key.fingerprint();
        self.blocks
            .iter()
            .filter(move |(number, prints)| *number > block && prints.binary_search(&print).is_ok())
            .map(|(number, _)| *number)
    }
}

/// The index keys of a block.
pub(super) fn index_keys(plan: &Plan) -> Vec<IndexKey> {
    let accounts = plan.accounts.iter().map(|account| IndexKey::account(&account.hash));
    accounts.chain(plan.slots.iter().map(|slot| IndexKey::slot(&slot.key))).collect()
}

/// Writes the slice whose turn it is with `block`, which changes `keys`: what changed since the last
/// turn, or since `meta`, the state before, can be read where there was none.
pub(super) fn stage_slice(
    kv: &dyn KvReader,
    meta: &Meta,
    block: u64,
    keys: &[IndexKey],
    batch: &mut WriteBatch,
) -> Result<(), DbError> {
    let slice = block % SLICES;
    let mut hits: Vec<(IndexKey, u64)> = Vec::new();
    let width = 256 / SLICES;
    let (lowest, highest) = ((slice * width) as u8, (slice * width + width - 1) as u8);
    let earlier = match meta.head.block {
        Some(_) => meta.first_not_indexed()..block,
        None => block..block,
    };
    for earlier in earlier {
        for kind in [Kind::Account, Kind::Slot] {
            let first = change_key(earlier, kind, &[lowest]);
            let mut last = change_key(earlier, kind, &[highest]);
            // Longer than any key, so that none comes behind it.
            last.resize(last.len() + 128, 0xff);
            kv.visit(Table::Changes, &first, &last, &mut |key, _| {
                hits.extend(Change::parse(kv, key)?.index_key().map(|key| (key, earlier)));
                Ok(ControlFlow::Continue(()))
            })?;
        }
    }
    let now = keys.iter().filter(|key| key.slice(SLICES) == slice);
    hits.extend(now.map(|key| (*key, block)));
    hits.sort_unstable();
    hits.dedup();
    for of_key in hits.chunk_by(|a, b| a.0 == b.0) {
        let blocks: Vec<u64> = of_key.iter().map(|hit| hit.1).collect();
        stage_entry(&of_key[0].0, &blocks, batch);
    }
    Ok(())
}

/// Writes an entry.
fn stage_entry(key: &IndexKey, blocks: &[u64], batch: &mut WriteBatch) {
    if let Some(last) = blocks.last() {
        put(batch, Table::History, &key.entry(*last), &encode_blocks(blocks));
    }
}

/// Removes the blocks after `target` from the entries of `key`.
pub(super) fn stage_trim(
    kv: &dyn KvReader,
    key: &IndexKey,
    target: Option<u64>,
    batch: &mut WriteBatch,
) -> Result<(), DbError> {
    let from = target.map_or(0, |target| target.saturating_add(1));
    let start = key.entry(from);
    for entry in entries::<_, 25>(kv, Table::History, &key.0, Some(&start), decode_blocks)? {
        let (entry_key, mut blocks) = entry?;
        batch.delete(Table::History, &entry_key);
        blocks.retain(|block| *block < from);
        stage_entry(key, &blocks, batch);
    }
    Ok(())
}
