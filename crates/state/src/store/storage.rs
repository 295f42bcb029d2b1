//! Where the slots of an account are.
//!
//! Most accounts that have storage have a few slots. These are in the record of the account, so that
//! who changes one touches one page instead of two, and nobody looks for them. Beyond
//! [`INLINE_MAX`] all of them are in the table `storage`, and there are branch records above them.

use std::ops::ControlFlow;

use zvm_core::{B256, DbError, U256};
use zvm_trie::{Branch, LeafVisitor, Nibbles, TrieReader, UpdateOptions, encode_word};

use super::{keys::slot_hash, record::SlotRecord};

/// Up to this many slots are in the record of their account: as many as need no branch record.
pub(super) const INLINE_MAX: u64 = UpdateOptions::STORAGE.small_max;

/// The slots of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Storage {
    /// In its record, in ascending order, none of them zero.
    Inline(Vec<SlotRecord>),
    /// In the table, under this incarnation; more than [`INLINE_MAX`].
    Table { incarnation: u32, slots: u64 },
}

impl Default for Storage {
    /// No slots.
    fn default() -> Self {
        Self::Inline(Vec::new())
    }
}

impl Storage {
    /// How many slots there are.
    pub(super) fn count(&self) -> u64 {
        match self {
            Self::Inline(slots) => slots.len() as u64,
            Self::Table { slots, .. } => *slots,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count() == 0
    }
}

/// The word of a slot in a record.
pub(super) fn inline_word(slots: &[SlotRecord], slot: U256) -> U256 {
    let found = slots.binary_search_by_key(&slot, |record| record.slot);
    found.map_or(U256::ZERO, |index| slots[index].word)
}

/// Sets a slot in a record. A word of zero removes it.
pub(super) fn set_inline(slots: &mut Vec<SlotRecord>, slot: U256, word: U256) {
    match slots.binary_search_by_key(&slot, |record| record.slot) {
        Ok(index) if word.is_zero() => drop(slots.remove(index)),
        Ok(index) => slots[index].word = word,
        Err(_) if word.is_zero() => {}
        Err(index) => slots.insert(index, SlotRecord { slot, word }),
    }
}

/// Slot and word of each slot in a record.
pub(super) fn inline_words(slots: &[SlotRecord]) -> impl Iterator<Item = (U256, U256)> {
    slots.iter().map(|record| (record.slot, record.word))
}

/// The slots of a record in the order of their hashes.
pub(super) fn by_hash(slots: &[SlotRecord]) -> Vec<(B256, SlotRecord)> {
    let mut hashed: Vec<_> = slots.iter().map(|slot| (slot_hash(slot.slot), *slot)).collect();
    hashed.sort_unstable_by_key(|slot| slot.0);
    hashed
}

/// The storage trie over slots in a record. It has no branch records.
pub(super) struct InlineTrie(pub(super) Vec<(B256, SlotRecord)>);

impl TrieReader for InlineTrie {
    fn branch(&self, _path: &Nibbles) -> Result<Option<Branch>, DbError> {
        Ok(None)
    }

    fn leaves(&self, path: &Nibbles, visit: &mut LeafVisitor<'_>) -> Result<(), DbError> {
        let mut value = Vec::with_capacity(33);
        for (hash, slot) in self.0.iter().filter(|(hash, _)| path.is_prefix_of(hash)) {
            value.clear();
            encode_word(slot.word, &mut value);
            if visit(*hash, &value)? == ControlFlow::Break(()) {
                break;
            }
        }
        Ok(())
    }
}
