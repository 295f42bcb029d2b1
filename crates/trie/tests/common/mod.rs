//! A trie in maps, and keys that make small tries deep.

use std::{collections::BTreeMap, ops::ControlFlow};

use proptest::{collection, prelude::*};
use zvm_core::{B256, DbError};
use zvm_trie::{Branch, Change, LeafVisitor, Nibbles, RecordBuilder, TrieReader, UpdateOptions};

/// Leaves, and records as they would be stored.
#[derive(Clone, Default, Debug, PartialEq)]
pub(crate) struct MapTrie {
    pub(crate) leaves: BTreeMap<B256, Vec<u8>>,
    pub(crate) records: BTreeMap<Nibbles, Vec<u8>>,
}

impl TrieReader for MapTrie {
    fn branch(&self, path: &Nibbles) -> Result<Option<Branch>, DbError> {
        Ok(self.records.get(path).map(|bytes| Branch::decode(bytes).expect("a record we wrote")))
    }

    fn leaves(&self, path: &Nibbles, visit: &mut LeafVisitor<'_>) -> Result<(), DbError> {
        for (key, value) in self.leaves.range(path.first_key()..=path.last_key()) {
            if visit(*key, value)? == ControlFlow::Break(()) {
                break;
            }
        }
        Ok(())
    }
}

/// New values by key; `None` removes.
pub(crate) type Changes = BTreeMap<B256, Option<Vec<u8>>>;

impl MapTrie {
    /// Everything computed from the leaves alone, with its root.
    pub(crate) fn build(leaves: BTreeMap<B256, Vec<u8>>, small_max: u64) -> (Self, B256) {
        let mut records = BTreeMap::new();
        let mut builder = RecordBuilder::new(small_max, |path, branch| {
            assert!(records.insert(path, branch.encode()).is_none(), "each record once");
            Ok(())
        });
        for (key, value) in &leaves {
            builder.push(*key, value).expect("a map does not fail");
        }
        let root = builder.finish().expect("a map does not fail");
        (Self { leaves, records }, root)
    }

    /// `changes` as an update of this trie takes them.
    pub(crate) fn changes<'c>(&self, changes: &'c Changes) -> Vec<Change<'c>> {
        changes
            .iter()
            .map(|(key, value)| Change {
                key: *key,
                existed: self.leaves.contains_key(key),
                value: value.as_deref(),
            })
            .collect()
    }

    /// The leaves after `changes`.
    pub(crate) fn leaves_after(&self, changes: &Changes) -> BTreeMap<B256, Vec<u8>> {
        let mut leaves = self.leaves.clone();
        for (key, value) in changes {
            match value {
                Some(value) => leaves.insert(*key, value.clone()),
                None => leaves.remove(key),
            };
        }
        leaves
    }

    /// Updates the records and the leaves. The leaves an update sees are the new ones if `is_ahead`.
    pub(crate) fn apply(
        &mut self,
        changes: &Changes,
        options: UpdateOptions,
        is_ahead: bool,
    ) -> B256 {
        let list = self.changes(changes);
        let leaves = self.leaves_after(changes);
        let before = is_ahead.then(|| std::mem::replace(&mut self.leaves, leaves.clone()));
        let update = zvm_trie::update(self, &list, options).expect("a map does not fail");
        drop(before);
        self.leaves = leaves;
        assert!(update.branches.is_sorted_by(|a, b| a.0 < b.0), "records in order, each once");
        for (path, branch) in update.branches {
            match branch {
                Some(branch) => self.records.insert(path, branch.encode()),
                None => Some(self.records.remove(&path).expect("only stored records are deleted")),
            };
        }
        update.root
    }
}

/// Keys that share prefixes of all lengths, up to the last nibble, where nodes are inline.
pub(crate) fn crowded_key() -> impl Strategy<Value = B256> {
    let nibbles = || prop_oneof![Just(0_u8), Just(0x01), Just(0x10), Just(0x11), Just(0xf0)];
    let places = || prop_oneof![Just(0_usize), Just(1), Just(15), Just(29), Just(30), Just(31)];
    prop_oneof![
        6 => collection::vec((places(), nibbles()), 0..5).prop_map(|edits| {
            let mut key = B256::ZERO;
            for (place, byte) in edits {
                key[place] = byte;
            }
            key
        }),
        1 => any::<[u8; 32]>().prop_map(B256::from),
    ]
}

/// Values from one byte to more than a reference.
pub(crate) fn value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => collection::vec(any::<u8>(), 1..3),
        1 => collection::vec(any::<u8>(), 20..70),
    ]
}

/// A round of puts and removals.
pub(crate) fn changes(count: usize) -> impl Strategy<Value = Changes> {
    collection::btree_map(
        crowded_key(),
        prop_oneof![3 => value().prop_map(Some), 2 => Just(None)],
        0..count,
    )
}
