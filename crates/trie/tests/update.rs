//! Incremental updates against full recomputation: by `RootBuilder`, by `alloy-trie`, and record by
//! record by `RecordBuilder`.

mod common;

use std::collections::BTreeMap;

use alloy_trie::HashBuilder;
use common::{Changes, MapTrie, changes, value};
use proptest::{collection, prelude::*};
use zvm_core::{B256, DbError, EMPTY_ROOT, keccak256};
use zvm_trie::{
    Branch, Change, EmptyTrie, InconsistentTrie, Nibbles, RecordBuilder, SmallRoots, UpdateOptions,
    trie_root, update, update_below,
};

/// The records from `depth` nibbles on, as if nothing were above.
fn parts_of(records: &BTreeMap<Nibbles, Vec<u8>>, depth: usize) -> BTreeMap<Nibbles, Vec<u8>> {
    let decoded = records.iter().map(|(path, bytes)| (path, Branch::decode(bytes).unwrap()));
    decoded
        .filter_map(|(path, branch)| match path.len() < depth {
            true => branch.hung_at(path, depth),
            false => Some((*path, branch)),
        })
        .map(|(path, branch)| (path, branch.encode()))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn rounds_of_changes_leave_what_a_build_from_scratch_stores(
        rounds in collection::vec((changes(40), any::<bool>()), 1..6),
        small_max in prop_oneof![Just(0_u64), Just(2), Just(8)],
    ) {
        let options = UpdateOptions { small_max, threads: 1 };
        let mut trie = MapTrie::default();
        for (changes, is_ahead) in rounds {
            let root = trie.apply(&changes, options, is_ahead);
            let (expected, expected_root) = MapTrie::build(trie.leaves.clone(), small_max);
            prop_assert_eq!(&trie.records, &expected.records);
            prop_assert_eq!(root, expected_root);
            prop_assert_eq!(root, trie_root(&trie.leaves));
            let mut reference = HashBuilder::default();
            for (key, value) in &trie.leaves {
                reference.add_leaf(alloy_trie::Nibbles::unpack(key), value);
            }
            prop_assert_eq!(root, reference.root());
        }
    }

    #[test]
    fn removing_all_leaves_in_any_order_leaves_nothing(
        mut keys in collection::hash_set(common::crowded_key(), 1..30)
            .prop_map(Vec::from_iter).prop_shuffle(),
        small_max in 0_u64..9,
    ) {
        let options = UpdateOptions { small_max, threads: 1 };
        let mut trie = MapTrie::default();
        trie.apply(&keys.iter().map(|key| (*key, Some(vec![1]))).collect(), options, false);
        while let Some(key) = keys.pop() {
            let root = trie.apply(&Changes::from([(key, None)]), options, false);
            prop_assert_eq!(root, trie_root(&trie.leaves));
        }
        prop_assert_eq!(trie, MapTrie::default());
    }

    #[test]
    fn small_tries_hashed_together_have_the_roots_they_have_alone(tries in collection::vec(changes(12), 0..20)) {
        prop_assert_eq!(small_roots(&tries), roots_alone(&tries));
    }

    #[test]
    fn parts_of_a_trie_changed_alone_make_the_whole(
        before in changes(60),
        changes in changes(60),
        small_max in prop_oneof![Just(0_u64), Just(2), Just(8)],
        depth in 1_usize..4,
    ) {
        let options = UpdateOptions { small_max, threads: 1 };
        let mut trie = MapTrie::default();
        trie.apply(&before, options, false);
        let after = trie.leaves_after(&changes);
        let (expected, expected_root) = MapTrie::build(after.clone(), small_max);

        let mut parts = parts_of(&trie.records, depth);
        let part_of = |key: &B256| Nibbles::of_key(key, depth);
        let list = trie.changes(&changes);
        for of_part in list.chunk_by(|a, b| part_of(&a.key) == part_of(&b.key)) {
            let path = part_of(&of_part[0].key);
            let part = MapTrie { leaves: trie.leaves.clone(), records: parts.clone() };
            for (path, branch) in update_below(&part, path, of_part, options).unwrap() {
                prop_assert!(path.len() >= depth);
                match branch {
                    Some(branch) => parts.insert(path, branch.encode()),
                    None => parts.remove(&path),
                };
            }
        }
        prop_assert_eq!(&parts, &parts_of(&expected.records, depth));

        let mut above = BTreeMap::new();
        let mut whole = RecordBuilder::new(small_max, |path, branch| {
            above.insert(path, branch.encode());
            Ok(())
        });
        let leaves: Vec<_> = after.iter().collect();
        for of_part in leaves.chunk_by(|a, b| part_of(a.0) == part_of(b.0)) {
            let path = part_of(of_part[0].0);
            match parts.get(&path) {
                Some(branch) => whole.push_branch(path, &Branch::decode(branch).unwrap()).unwrap(),
                None => of_part.iter().for_each(|leaf| whole.push(*leaf.0, leaf.1).unwrap()),
            }
        }
        prop_assert_eq!(whole.finish().unwrap(), expected_root);
        let mut expected = expected.records;
        expected.retain(|path, _| path.len() < depth);
        prop_assert_eq!(above, expected);
    }

    #[test]
    fn a_record_reads_back(changes in changes(40), small_max in 0_u64..9) {
        let mut trie = MapTrie::default();
        trie.apply(&changes, UpdateOptions { small_max, threads: 1 }, false);
        for bytes in trie.records.values() {
            let branch = Branch::decode(bytes).unwrap();
            prop_assert_eq!(&branch.encode(), bytes);
            let parts = Branch::new(*branch.extension(), branch.leaf_count(), &branch.children());
            prop_assert_eq!(parts.as_ref(), Ok(&branch));
            // No prefix of a record is one, and no record goes on.
            for end in 0..bytes.len() {
                prop_assert!(Branch::decode(&bytes[..end]).is_err());
            }
            prop_assert!(Branch::decode(&[&bytes[..], &[0]].concat()).is_err());
        }
    }

    #[test]
    fn any_bytes_are_refused_or_read_back(
        bytes in prop_oneof![
            collection::vec(any::<u8>(), 0..100),
            (0_u8..8, collection::vec(any::<u8>(), 0..100))
                .prop_map(|(flags, rest)| [&[flags][..], &rest].concat()),
        ],
    ) {
        if let Ok(branch) = Branch::decode(&bytes) {
            prop_assert_eq!(branch.encode(), bytes);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn more_small_tries_than_are_kept_unhashed_have_their_roots(
        tries in collection::vec(
            collection::btree_map(any::<[u8; 32]>().prop_map(B256::from), value().prop_map(Some), 0..9),
            700..900,
        ),
    ) {
        prop_assert_eq!(small_roots(&tries), roots_alone(&tries));
    }

    #[test]
    fn the_number_of_threads_changes_nothing(
        rounds in collection::vec(
            collection::btree_map(
                (0_u32..4000).prop_map(|n| keccak256(n.to_be_bytes())),
                prop_oneof![2 => value().prop_map(Some), 1 => Just(None)],
                700..1500,
            ),
            3,
        ),
    ) {
        let mut one = MapTrie::default();
        let mut two = MapTrie::default();
        for changes in rounds {
            let options = UpdateOptions { small_max: 8, threads: 1 };
            let root = one.apply(&changes, options, false);
            prop_assert_eq!(two.apply(&changes, UpdateOptions { threads: 2, ..options }, true), root);
            prop_assert_eq!(&one, &two);
            prop_assert_eq!(&MapTrie::build(one.leaves.clone(), 8), &(one.clone(), root));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn threads_leave_inline_nodes_and_extensions_as_one_does(
        rounds in collection::vec(changes(900), 1..4),
        small_max in prop_oneof![Just(0_u64), Just(8)],
    ) {
        let mut trie = MapTrie::default();
        for changes in rounds {
            let root = trie.apply(&changes, UpdateOptions { small_max, threads: 2 }, false);
            prop_assert_eq!(&MapTrie::build(trie.leaves.clone(), small_max), &(trie.clone(), root));
        }
    }
}

#[test]
fn subtrees_hashed_before_their_parents_hang_where_they_should() {
    // Two children of the root, one of them with more nodes than are kept unhashed, and so are some
    // children of its own.
    let large = |n: u32| {
        let mut key = keccak256(n.to_be_bytes());
        key[0] = 0x55;
        key[1] = (n % 2) as u8;
        (key, Some(vec![n as u8 | 1; 90]))
    };
    let other = (B256::repeat_byte(0xaa), Some(vec![1]));
    let put: Changes = (0..4000).map(large).chain([other.clone()]).collect();
    // Without the other child the large one is the root; then it is one of two again.
    let remove: Changes = (0..4000)
        .map(large)
        .map(|(key, value)| (key, value.filter(|value| value[0] % 4 == 1)))
        .chain([(other.0, None)])
        .collect();
    for threads in [1, 2] {
        for small_max in [0, 8] {
            let options = UpdateOptions { small_max, threads };
            let mut trie = MapTrie::default();
            for changes in [&put, &remove, &put, &Changes::from([(other.0, None)])] {
                let root = trie.apply(changes, options, false);
                let expected = MapTrie::build(trie.leaves.clone(), small_max);
                assert_eq!((trie.clone(), root), expected);
            }
        }
    }
}

#[test]
fn a_large_trie_may_be_among_small_ones() {
    let trie = |count: u32| -> Changes {
        (0..count).map(|n| (keccak256(n.to_be_bytes()), Some(vec![1; 40]))).collect()
    };
    let tries = [trie(3), trie(0), trie(5000), trie(1)];
    assert_eq!(small_roots(&tries), roots_alone(&tries));
    assert_eq!(small_roots(&tries)[1], EMPTY_ROOT);
}

#[test]
fn a_record_appears_above_the_threshold_and_goes_at_it() {
    let options = UpdateOptions::STORAGE;
    let mut trie = MapTrie::default();
    for n in 0..8_u8 {
        trie.apply(&Changes::from([(keccak256([n]), Some(vec![n + 1]))]), options, false);
        assert!(trie.records.is_empty(), "{} leaves", n + 1);
    }
    trie.apply(&Changes::from([(keccak256([8]), Some(vec![9]))]), options, false);
    assert_eq!(trie.records.keys().collect::<Vec<_>>(), [&Nibbles::EMPTY]);
    assert_eq!(Branch::decode(&trie.records[&Nibbles::EMPTY]).unwrap().leaf_count(), 9);
    trie.apply(&Changes::from([(keccak256([0]), None)]), options, false);
    assert!(trie.records.is_empty());
}

#[test]
fn nothing_changed_gives_the_present_root_and_no_records() {
    let leaves: BTreeMap<_, _> = (0..100_u8).map(|n| (keccak256([n]), vec![n + 1])).collect();
    for small_max in [0, 8, 1000] {
        let (trie, root) = MapTrie::build(leaves.clone(), small_max);
        let absent = Change { key: B256::ZERO, existed: false, value: None };
        let empty = Change { key: B256::repeat_byte(1), existed: false, value: Some(&[]) };
        let options = UpdateOptions { small_max, threads: 1 };
        assert_eq!(update(&trie, &[], options).unwrap().root, root);
        let idle = update(&trie, &[absent, empty], options).unwrap();
        assert_eq!(idle.root, root);
    }
    assert_eq!(update(&EmptyTrie, &[], UpdateOptions::ACCOUNTS).unwrap().root, EMPTY_ROOT);
}

#[test]
fn a_lost_record_is_built_again_from_the_leaves() {
    let leaves: BTreeMap<_, _> = (0..200_u8).map(|n| (keccak256([n]), vec![n + 1])).collect();
    for small_max in [0, 8] {
        let (whole, _) = MapTrie::build(leaves.clone(), small_max);
        for lost in whole.records.keys() {
            let mut trie = whole.clone();
            trie.records.remove(lost);
            let changes: Changes = trie
                .leaves
                .keys()
                .filter(|key| lost.is_prefix_of(key))
                .map(|key| (*key, Some(vec![0xff; 40])))
                .collect();
            let root = trie.apply(&changes, UpdateOptions { small_max, threads: 1 }, false);
            let expected = MapTrie::build(trie.leaves.clone(), small_max);
            assert_eq!((trie, root), expected, "without {lost:?}");
        }
    }
}

#[test]
fn records_without_their_leaves_are_an_error() {
    let [a, b] = [B256::repeat_byte(0x11), B256::repeat_byte(0x22)];
    let (mut trie, _) = MapTrie::build([(a, vec![1]), (b, vec![2])].into(), 0);
    trie.leaves.clear();
    // Without `a` the leaf `b` moves up, and its key is needed.
    let remove = Change { key: a, existed: true, value: None };
    let error = update(&trie, &[remove], UpdateOptions::ACCOUNTS).unwrap_err();
    let DbError::Engine { source, .. } = error else { panic!("{error}") };
    let path = Nibbles::of_key(&b, 1);
    assert_eq!(source.downcast_ref(), Some(&InconsistentTrie::MissingLeaf { path }));
}

#[test]
#[should_panic(expected = "ascending order")]
fn unsorted_changes_are_a_mistake_of_the_caller() {
    let change = Change { key: B256::ZERO, existed: false, value: Some(&[1]) };
    let _ = update(&EmptyTrie, &[change, change], UpdateOptions::ACCOUNTS);
}

/// The roots of tries made of nothing, all at once.
fn small_roots(tries: &[Changes]) -> Vec<B256> {
    let mut roots = SmallRoots::default();
    for trie in tries {
        let leaves: Vec<_> = trie
            .iter()
            .map(|(key, value)| Change { key: *key, existed: false, value: value.as_deref() })
            .collect();
        roots.push(&leaves);
    }
    roots.finish()
}

/// The root of each trie alone.
fn roots_alone(tries: &[Changes]) -> Vec<B256> {
    let leaf = |(key, value): (&B256, &Option<Vec<u8>>)| value.clone().map(|value| (*key, value));
    tries.iter().map(|trie| trie_root(trie.iter().filter_map(leaf))).collect()
}
