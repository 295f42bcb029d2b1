//! Proofs out of random tries, checked here and by `alloy-trie`.

mod common;
#[path = "common/mutate.rs"]
mod mutate;

use std::collections::BTreeSet;

use common::{Changes, MapTrie, changes, crowded_key};
use proptest::{collection, prelude::*};
use serde_json::json;
use zvm_core::{AccountInfo, Address, B256, EMPTY_ROOT, KECCAK_EMPTY, U256, keccak256};
use zvm_trie::{
    AccountProof, AccountProofError, EmptyTrie, ProofError, StorageProof, UpdateOptions,
    encode_account, encode_word, prove, prove_many, verify_proof,
};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn every_key_and_every_absent_key_proves(
        changes in changes(60),
        absent in collection::vec(crowded_key(), 20),
        small_max in prop_oneof![Just(0_u64), Just(8), Just(1000)],
    ) {
        let mut trie = MapTrie::default();
        let root = trie.apply(&changes, UpdateOptions { small_max, threads: 1 }, false);
        let keys: Vec<B256> = changes.keys().copied().chain(absent).collect();
        let proofs = prove_many(&trie, &keys).unwrap();
        for (key, proof) in keys.iter().zip(&proofs) {
            let value = trie.leaves.get(key);
            prop_assert_eq!(
                verify_proof(root, *key, proof), Ok(value.map(Vec::as_slice)), "{}", key
            );
            // One by one they are the same.
            prop_assert_eq!(&prove(&trie, *key).unwrap(), proof);
            let path = alloy_trie::Nibbles::unpack(key);
            let theirs = alloy_trie::proof::verify_proof(root, path, value.cloned(), proof);
            prop_assert!(theirs.is_ok(), "{key}: {theirs:?}");
            // Every node is needed, and there is none to add.
            for end in 0..proof.len() {
                let cut = verify_proof(root, *key, &proof[..end]);
                let is_missing =
                    matches!(cut, Err(ProofError::Missing { index, .. }) if index == end);
                prop_assert!(is_missing, "{cut:?}");
            }
        }
    }

    #[test]
    fn proofs_come_from_the_same_nodes_as_those_of_alloy(changes in changes(60)) {
        let (trie, _) = MapTrie::build(MapTrie::default().leaves_after(&changes), 0);
        let paths: Vec<_> = changes.keys().map(alloy_trie::Nibbles::unpack).collect();
        let retainer = alloy_trie::proof::ProofRetainer::from_iter(paths);
        let mut reference = alloy_trie::HashBuilder::default().with_proof_retainer(retainer);
        for (key, value) in &trie.leaves {
            reference.add_leaf(alloy_trie::Nibbles::unpack(key), value);
        }
        reference.root();
        // It also lists nodes that stand within their parents.
        let theirs: BTreeSet<_> = reference
            .take_proof_nodes()
            .into_nodes_sorted()
            .into_iter()
            .filter(|(path, node)| !trie.leaves.is_empty() && (path.is_empty() || node.len() >= 32))
            .map(|(_, node)| node)
            .collect();
        let keys: Vec<_> = changes.keys().copied().collect();
        let ours: BTreeSet<_> = prove_many(&trie, &keys).unwrap().into_iter().flatten().collect();
        prop_assert_eq!(ours, theirs);
    }
}

#[test]
fn damaged_proofs_are_refused_or_say_what_is_true() {
    let tally = mutate::run(20_000, 7);
    assert_eq!(tally.values().sum::<u64>(), 20_000);
    let outcomes: BTreeSet<&str> =
        tally.keys().map(|(_, outcome)| outcome.split(':').next().unwrap_or_default()).collect();
    assert!(outcomes.contains("accepted") && outcomes.contains("refused"), "{tally:?}");
}

#[test]
fn an_empty_trie_has_an_empty_proof() {
    assert!(prove(&EmptyTrie, B256::ZERO).unwrap().is_empty());
    assert!(prove_many(&EmptyTrie, &[]).unwrap().is_empty());
}

/// An account with one slot, the only one in its state, and the proof of a present and an absent
/// slot.
fn account_proof() -> (B256, AccountProof) {
    let key = |slot: u64| keccak256(U256::from(slot).to_be_bytes::<32>());
    let mut word = Vec::new();
    encode_word(U256::from(0x1234), &mut word);
    let mut storage = MapTrie::default();
    let changes = Changes::from([(key(1), Some(word))]);
    let storage_hash = storage.apply(&changes, UpdateOptions::STORAGE, false);

    let address = Address::repeat_byte(0xa1);
    let info = AccountInfo { nonce: 300, balance: U256::from(10), code_hash: KECCAK_EMPTY };
    let mut leaf = Vec::new();
    encode_account(&info, storage_hash, &mut leaf);
    let mut state = MapTrie::default();
    let changes = Changes::from([(keccak256(address), Some(leaf))]);
    let root = state.apply(&changes, UpdateOptions::ACCOUNTS, false);

    let storage_proof = [(1, 0x1234), (2, 0)].map(|(slot, value)| StorageProof {
        key: U256::from(slot),
        value: U256::from(value),
        proof: prove(&storage, key(slot)).unwrap(),
    });
    let proof = AccountProof {
        address,
        balance: info.balance,
        code_hash: info.code_hash,
        nonce: info.nonce,
        storage_hash,
        account_proof: prove(&state, keccak256(address)).unwrap(),
        storage_proof: storage_proof.into(),
    };
    (root, proof)
}

#[test]
fn an_account_proof_holds_for_what_it_says_and_no_more() {
    let (root, proof) = account_proof();
    let info = proof.verify(root).unwrap().expect("the account exists");
    assert_eq!((info.nonce, info.balance), (300, U256::from(10)));

    let richer = AccountProof { balance: U256::from(11), ..proof.clone() };
    assert!(matches!(richer.verify(root), Err(AccountProofError::AccountDiffers { .. })));
    let other_root = proof.verify(B256::ZERO);
    assert!(matches!(other_root, Err(AccountProofError::Account { .. })));
    let mut other_word = proof.clone();
    other_word.storage_proof[1].value = U256::from(1);
    assert!(matches!(other_word.verify(root), Err(AccountProofError::SlotDiffers { .. })));
    let mut cut = proof;
    cut.storage_proof[0].proof.clear();
    assert!(matches!(cut.verify(root), Err(AccountProofError::Slot { .. })));
}

#[test]
fn an_absent_account_proves_as_nothing() {
    let (root, present) = account_proof();
    let mut absent = AccountProof {
        address: Address::ZERO,
        balance: U256::ZERO,
        code_hash: KECCAK_EMPTY,
        nonce: 0,
        storage_hash: EMPTY_ROOT,
        account_proof: present.account_proof,
        storage_proof: vec![StorageProof {
            key: U256::from(1),
            value: U256::ZERO,
            proof: Vec::new(),
        }],
    };
    assert_eq!(absent.verify(root), Ok(None));
    // Some nodes answer with zero hashes.
    (absent.code_hash, absent.storage_hash) = (B256::ZERO, B256::ZERO);
    assert_eq!(absent.verify(root), Ok(None));
    absent.balance = U256::from(1);
    assert!(matches!(absent.verify(root), Err(AccountProofError::AccountDiffers { .. })));
}

#[test]
fn account_proofs_are_written_as_eth_get_proof_answers() {
    let (root, proof) = account_proof();
    let written = serde_json::to_value(&proof).unwrap();
    let node = |node: &alloy_primitives::Bytes| json!(node.to_string());
    assert_eq!(
        written,
        json!({
            "address": "0xa1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1",
            "balance": "0xa",
            "codeHash": KECCAK_EMPTY.to_string(),
            "nonce": "0x12c",
            "storageHash": proof.storage_hash.to_string(),
            "accountProof": [node(&proof.account_proof[0])],
            "storageProof": [
                {
                    "key": B256::with_last_byte(1).to_string(),
                    "value": "0x1234",
                    "proof": [node(&proof.storage_proof[0].proof[0])],
                },
                {
                    "key": B256::with_last_byte(2).to_string(),
                    "value": "0x0",
                    "proof": [node(&proof.storage_proof[1].proof[0])],
                },
            ],
        })
    );
    let mut short_key = written.clone();
    short_key["storageProof"][0]["key"] = json!("0x1");
    for answer in [written, short_key] {
        let read: AccountProof = serde_json::from_value(answer).unwrap();
        assert_eq!(read, proof);
        assert!(read.verify(root).is_ok());
    }
}
