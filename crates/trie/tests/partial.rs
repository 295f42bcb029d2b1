//! Tries known by proofs, changed, against the whole tries with the same changes.

mod common;

use std::collections::BTreeMap;

use common::{Changes, MapTrie, changes, crowded_key};
use proptest::{collection, prelude::*};
use zvm_core::{B256, EMPTY_ROOT, keccak256};
use zvm_trie::{
    HiddenNode, Nibbles, NodeSet, PartialTrie, ProofError, UpdateOptions, prove, trie_root,
};

/// A trie with these leaves, and its root.
fn whole(leaves: &Changes) -> (MapTrie, B256) {
    MapTrie::build(MapTrie::default().leaves_after(leaves), 0)
}

/// Makes `changes` in `partial`, revealing what is hidden by proofs of the first key below.
fn change(partial: &mut PartialTrie, whole: &MapTrie, changes: &Changes) -> usize {
    let list: Vec<_> = changes.iter().map(|(key, value)| (*key, value.as_deref())).collect();
    for hidden_count in 0.. {
        let Err(HiddenNode { path, .. }) = partial.set_all(&list) else { return hidden_count };
        let key = path.first_key();
        partial.reveal(key, &prove(whole, key).unwrap()).unwrap();
    }
    unreachable!("there are fewer nodes than that")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn the_root_follows_any_changes(
        before in changes(40),
        rounds in collection::vec(changes(15), 1..4),
        reveals_first: bool,
    ) {
        let (mut trie, root) = whole(&before);
        let origin = trie.clone();
        let mut partial = PartialTrie::new(root);
        prop_assert_eq!(partial.root(), root);
        for changes in rounds {
            if reveals_first {
                for key in changes.keys() {
                    let proof = prove(&origin, *key).unwrap();
                    let proven = partial.reveal(*key, &proof).unwrap();
                    prop_assert_eq!(proven, origin.leaves.get(key).map(Vec::as_slice));
                }
            }
            change(&mut partial, &origin, &changes);
            let root = trie.apply(&changes, UpdateOptions { small_max: 0, threads: 1 }, false);
            prop_assert_eq!(partial.root(), root);
            for key in changes.keys() {
                prop_assert_eq!(partial.get(*key), Ok(trie.leaves.get(key).map(Vec::as_slice)));
            }
        }
    }

    #[test]
    fn with_the_proofs_of_the_changed_keys_only_neighbours_of_removed_ones_are_hidden(
        before in changes(40),
        changes in changes(15),
    ) {
        let (trie, root) = whole(&before);
        let mut partial = PartialTrie::new(root);
        for key in changes.keys() {
            partial.reveal(*key, &prove(&trie, *key).unwrap()).unwrap();
        }
        let removals = changes.iter().filter(|(key, value)| {
            value.is_none() && trie.leaves.contains_key(*key)
        });
        let removals = removals.count();
        prop_assert!(change(&mut partial, &trie, &changes) <= removals);
    }

    #[test]
    fn proofs_come_back_out_of_their_nodes(
        before in changes(40),
        keys in collection::vec(crowded_key(), 1..10),
    ) {
        let (trie, root) = whole(&before);
        let mut nodes = NodeSet::default();
        let proofs: Vec<_> = keys.iter().map(|key| prove(&trie, *key).unwrap()).collect();
        for node in proofs.iter().flatten() {
            nodes.insert(node.clone());
        }
        for (key, proof) in keys.iter().zip(proofs) {
            prop_assert_eq!(nodes.proof(root, *key), Ok(proof));
        }
    }

    #[test]
    fn a_change_that_fails_changes_nothing(
        before in changes(40),
        seen in collection::vec(crowded_key(), 0..3),
        changes in changes(15),
    ) {
        let (trie, root) = whole(&before);
        let mut partial = PartialTrie::new(root);
        for key in seen {
            partial.reveal(key, &prove(&trie, key).unwrap()).unwrap();
        }
        let mut leaves: BTreeMap<_, _> = trie.leaves.clone();
        for (key, value) in changes {
            if partial.set(key, value.as_deref()).is_ok() {
                match value {
                    Some(value) => leaves.insert(key, value),
                    None => leaves.remove(&key),
                };
            }
            prop_assert_eq!(partial.root(), trie_root(&leaves));
        }
    }
}

#[test]
fn a_removal_names_the_neighbour_it_needs() {
    let (a, b) = (B256::repeat_byte(0x11), B256::repeat_byte(0x22));
    let leaves = Changes::from([(a, Some(vec![7; 40])), (b, Some(vec![7; 40]))]);
    let (trie, root) = whole(&leaves);
    let mut partial = PartialTrie::new(root);
    partial.reveal(a, &prove(&trie, a).unwrap()).unwrap();
    let hidden = partial.set(a, None).unwrap_err();
    assert_eq!(hidden.path, Nibbles::from_nibbles(&[2]).unwrap());
    assert!(hidden.to_string().contains("at path Nibbles(2) of the trie"), "{hidden}");
    assert_eq!(partial.root(), root);
    // The proof of an absent key that begins like that has it as well.
    let absent = B256::repeat_byte(0x23);
    assert_eq!(partial.reveal(absent, &prove(&trie, absent).unwrap()), Ok(None));
    partial.set(a, None).unwrap();
    assert_eq!(partial.root(), trie_root([(b, [7; 40])]));
    partial.set(b, None).unwrap();
    assert_eq!(partial.root(), EMPTY_ROOT);
}

#[test]
fn proofs_of_another_trie_reveal_nothing() {
    let key = B256::repeat_byte(0x11);
    let (trie, root) = whole(&Changes::from([(key, Some(vec![1]))]));
    let proof = prove(&trie, key).unwrap();
    let mut other = PartialTrie::new(keccak256("another root"));
    assert!(matches!(other.reveal(key, &proof), Err(ProofError::Hash { .. })));
    assert!(other.get(key).is_err());
    // Those of the trie as it was are good whatever has changed since.
    let mut partial = PartialTrie::new(root);
    partial.reveal(key, &proof).unwrap();
    partial.set(key, Some(b"2")).unwrap();
    partial.reveal(key, &proof).unwrap();
    assert_eq!(partial.get(key), Ok(Some(&b"2"[..])));
}
