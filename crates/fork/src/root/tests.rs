//! Roots out of proofs against those of the store that gave the proofs.

use std::collections::BTreeMap;

use proptest::{collection, option, prelude::*};
use zvm_core::{AccountDiff, KECCAK_EMPTY, SlotDiff, StateDiff};

use super::*;
use crate::{
    Recorder, Replay, Verified,
    testing::{Answer, StoreNode, account},
};
use std::{path::Path, sync::Arc};

/// Changes to accounts that are there and to such that are not, made of what a diff says of them.
fn diff() -> impl Strategy<Value = StateDiff> {
    let word = prop_oneof![2 => Just(U256::ZERO), 1 => any::<u64>().prop_map(U256::from)];
    let storage = collection::btree_map((0_u64..45).prop_map(U256::from), word, 0..12);
    let balance = option::weighted(0.8, any::<u64>());
    let change = (balance, any::<bool>(), storage).prop_map(|(balance, wiped, storage)| {
        let info = |balance| AccountInfo {
            nonce: 1,
            balance: U256::from(balance),
            code_hash: KECCAK_EMPTY,
        };
        let slot = |(slot, new)| (slot, SlotDiff { old: U256::ZERO, new });
        let storage: BTreeMap<_, _> = match balance {
            Some(_) => storage.into_iter().map(slot).collect(),
            None => BTreeMap::new(),
        };
        AccountDiff {
            old: None,
            new: balance.map(info),
            wiped: wiped && balance.is_some(),
            storage,
        }
    });
    let accounts = collection::btree_map((0_u64..44).prop_map(account), change, 0..8);
    accounts.prop_map(|accounts| StateDiff { accounts, ..StateDiff::default() })
}

fn changed(diff: &StateDiff) -> Vec<Changed> {
    let change = |(address, change): (&Address, &AccountDiff)| Changed {
        address: *address,
        info: change.new,
        is_cut_off: change.wiped || change.new.is_none(),
        words: change.storage.iter().map(|(slot, word)| (*slot, word.new)).collect(),
    };
    diff.accounts.iter().map(change).collect()
}

#[test]
fn roots_are_those_of_a_store_that_knows_everything() {
    let node = Arc::new(StoreNode::new());
    let recorder = Arc::new(Recorder::new(node.clone()));
    let verified = Verified::new(recorder.clone()).unwrap();
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(200));
    runner
        .run(&diff(), |diff| {
            let root = root_after(&verified, &changed(&diff)).unwrap();
            prop_assert_eq!(root, node.root_after(&diff));
            // What was recorded gives the same root again.
            let replay = Replay::new(recorder.recording(), Path::new("x.fork"));
            prop_assert_eq!(root_after(&replay, &changed(&diff)).unwrap(), root);
            Ok(())
        })
        .unwrap();
}

#[test]
fn nothing_changed_asks_nobody_and_gives_the_root_there_is() {
    let node = StoreNode::new();
    let root = root_after(&node, &[]).unwrap();
    assert_eq!(root, node.origin().header.state_root);
}

#[test]
fn removing_all_slots_and_all_accounts_leaves_what_there_was_before_them() {
    let node = StoreNode::new();
    let mut diff = StateDiff::default();
    for (address, change) in crate::testing::state().accounts {
        let zero = |(slot, _)| (slot, SlotDiff::default());
        let storage = change.storage.into_iter().map(zero).collect();
        let emptied = AccountDiff { new: change.new, storage, ..AccountDiff::default() };
        diff.accounts.insert(address, emptied);
    }
    assert_eq!(root_after(&node, &changed(&diff)).unwrap(), node.root_after(&diff));
    for change in diff.accounts.values_mut() {
        *change = AccountDiff::default();
    }
    assert_eq!(root_after(&node, &changed(&diff)).unwrap(), EMPTY_ROOT);
}

#[test]
fn an_altered_proof_gives_no_root() {
    let node = StoreNode::new();
    let change = Changed {
        address: account(8),
        info: Some(AccountInfo::default()),
        is_cut_off: false,
        words: vec![(U256::from(3), U256::from(7))],
    };
    node.tamper(|answer| {
        if let Answer::Proof(proof) = answer {
            let mut node = proof.storage_proof[0].proof[0].to_vec();
            node[9] ^= 1;
            proof.storage_proof[0].proof[0] = node.into();
        }
    });
    let error = root_after(&node, &[change]).unwrap_err().to_string();
    let expected = format!("store:: not proven: slot 0x3 of {}: node 0 of the proof", account(8));
    assert!(error.starts_with(&expected), "{error}");
}

#[test]
fn a_neighbour_that_is_too_deep_is_named_by_its_path() {
    let node = StoreNode::new();
    let path = zvm_trie::Nibbles::from_nibbles(&[0xa; 12]).unwrap();
    let hidden = HiddenNode { path, hash: B256::ZERO };
    let request = |key| ProofRequest { address: Address::from_word(key), slots: Vec::new() };
    let error = request_below(&node, hidden, || "accounts".into(), request).unwrap_err();
    let expected = "store:: not proven: state root: accounts: node 0x";
    assert!(error.to_string().starts_with(expected), "{error}");
    assert!(error.to_string().contains("Nibbles(aaaaaaaaaaaa)"), "{error}");
}
