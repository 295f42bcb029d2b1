//! Leaves of tries that change.

use std::ops::Range;

use zvm_core::{AccountInfo, B256, U256};
use zvm_trie::{Change, encode_account, encode_word};

use super::{
    keys::SlotKey,
    plan::{AccountChange, SlotChange},
};

/// What a trie is to be told of changes, in key order.
#[derive(Debug)]
pub(super) struct Leaves<K> {
    leaves: Vec<Leaf<K>>,
    /// The RLP of all of them, one behind the other.
    values: Vec<u8>,
}

#[derive(Debug)]
pub(super) struct Leaf<K> {
    pub(super) key: K,
    existed: bool,
    value: Range<usize>,
}

impl<K> Default for Leaves<K> {
    fn default() -> Self {
        Self::with_capacity(0)
    }
}

impl<K> Leaves<K> {
    fn with_capacity(leaves: usize) -> Self {
        Self { leaves: Vec::with_capacity(leaves), values: Vec::new() }
    }

    /// Adds a leaf. It goes if `write` writes nothing.
    fn push(&mut self, key: K, existed: bool, write: impl FnOnce(&mut Vec<u8>)) {
        let start = self.values.len();
        write(&mut self.values);
        self.leaves.push(Leaf { key, existed, value: start..self.values.len() });
    }

    pub(super) fn as_slice(&self) -> &[Leaf<K>] {
        &self.leaves
    }

    /// The change of a leaf, one of these, under `key` in its trie.
    pub(super) fn change(&self, leaf: &Leaf<K>, key: B256) -> Change<'_> {
        let value = Some(&self.values[leaf.value.clone()]).filter(|value| !value.is_empty());
        Change { key, existed: leaf.existed, value }
    }
}

impl Leaves<B256> {
    /// Adds an account with the root of its storage, or that there is none any more.
    pub(super) fn push_account(
        &mut self,
        hash: B256,
        existed: bool,
        new: Option<(&AccountInfo, B256)>,
    ) {
        self.push(hash, existed, |out| {
            if let Some((info, storage_root)) = new {
                encode_account(info, storage_root, out);
            }
        });
    }
}

impl Leaves<SlotKey> {
    /// Adds a slot; a word of zero is none.
    pub(super) fn push_slot(&mut self, key: SlotKey, existed: bool, word: U256) {
        self.push(key, existed, |out| {
            if !word.is_zero() {
                encode_word(word, out);
            }
        });
    }
}

impl<'a> FromIterator<&'a AccountChange> for Leaves<B256> {
    fn from_iter<I: IntoIterator<Item = &'a AccountChange>>(accounts: I) -> Self {
        let accounts = accounts.into_iter();
        let mut leaves = Self::with_capacity(accounts.size_hint().0);
        for AccountChange { hash, old, new } in accounts {
            let new = new.as_ref().map(|record| (&record.info, record.storage_root));
            leaves.push_account(*hash, old.is_some(), new);
        }
        leaves
    }
}

impl<'a> FromIterator<&'a SlotChange> for Leaves<SlotKey> {
    fn from_iter<I: IntoIterator<Item = &'a SlotChange>>(slots: I) -> Self {
        let slots = slots.into_iter();
        let mut leaves = Self::with_capacity(slots.size_hint().0);
        for slot in slots {
            leaves.push_slot(slot.key, !slot.old.is_zero(), slot.new);
        }
        leaves
    }
}
