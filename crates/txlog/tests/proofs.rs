//! Proofs out of a log of 100,000 transactions.

mod common;

use common::{Chain, memory};
use zvm_core::{B256, Receipt, keccak256};
use zvm_state::kv::compliance::Random;
use zvm_trie::log::TreeHead;
use zvm_txlog::{EntryProof, LogEntry, LogError, testing::Blocks};

/// Its transactions have no events: this is about their number.
fn large() -> Blocks {
    Blocks { transactions_max: 30, events_max: 0, ..Blocks::default() }
}

#[test]
fn every_transaction_of_a_large_log_proves_and_any_two_heads_are_consistent() {
    let mut chain = Chain::new(memory(), large());
    let mut count = 0;
    while count < 100_000 {
        chain.grow(chain.made.len() as u64);
        count += chain.made.last().map_or(0, |made| made.receipts.len());
    }
    let log = chain.log();
    let head = log.tree_head().unwrap();
    assert_eq!(head.size, (count + chain.made.len()) as u64);

    // Each at the head of its own block, and some at the last.
    for (number, made) in (0..).zip(&chain.made) {
        let then = log.tree_head_at(number).unwrap();
        log.prove_block(number, None).unwrap().verify(head.root).unwrap();
        for (index, receipt) in (0..).zip(&made.receipts) {
            let sizes = [Some((then, Some(then.size))), (index == 3).then_some((head, None))];
            for (head, size) in sizes.into_iter().flatten() {
                let proof = log.prove_transaction(number, index, size).unwrap();
                assert_eq!(proof.root, head.root);
                proof.verify(head.root).unwrap();
                check_entry(&proof, receipt, made.block.transactions[index as usize].hash());
            }
        }
    }

    let mut random = Random::new(1);
    let heads: Vec<TreeHead> =
        (0..chain.made.len() as u64).map(|number| log.tree_head_at(number).unwrap()).collect();
    for _ in 0..2000 {
        let [a, b] = [0; 2].map(|_| heads[random.below(heads.len() as u64) as usize]);
        let (old, new) = if a.size <= b.size { (a, b) } else { (b, a) };
        let proof = log.prove_consistency(old.size, Some(new.size)).unwrap();
        proof.verify(old.root, new.root).unwrap();
        if old.size < new.size {
            assert!(proof.verify(new.root, old.root).is_err());
        }
        // Sizes within a block are heads like any other.
        let size = random.below(head.size + 1);
        let within = log.tree_head_of(size).unwrap();
        let proof = log.prove_consistency(size, None).unwrap();
        proof.verify(within.root, head.root).unwrap();
    }
}

fn check_entry(proof: &EntryProof, receipt: &Receipt, hash: B256) {
    let LogEntry::Transaction { transaction_hash, receipt_hash, .. } = proof.entry else {
        panic!("{:?}", proof.entry);
    };
    assert_eq!(transaction_hash, hash);
    assert_eq!(receipt_hash, keccak256(receipt.encode_2718()));
}

#[test]
fn a_log_that_was_gone_back_from_is_not_consistent_with_the_one_after() {
    let mut chain = Chain::new(memory(), Blocks::default());
    chain.grow(100);
    let before = chain.log().tree_head().unwrap();
    let kept = chain.log().tree_head_at(50).unwrap();
    chain.back(50);
    assert_eq!(chain.log().tree_head().unwrap(), kept);
    chain.grow(150);
    let log = chain.log();
    let head = log.tree_head().unwrap();
    log.prove_consistency(kept.size, None).unwrap().verify(kept.root, head.root).unwrap();
    let proof = log.prove_consistency(before.size, None).unwrap();
    assert!(proof.verify(before.root, head.root).is_err());
}

#[test]
fn what_the_log_does_not_have_has_no_proof() {
    let mut chain = Chain::new(memory(), Blocks::default());
    chain.grow(10);
    let (log, size) = (chain.log(), chain.log().tree_head().unwrap().size);
    let error = log.prove_transaction(5, 100, None).unwrap_err();
    assert!(matches!(error, LogError::NoTransaction { index: 100, .. }), "{error}");
    let error = log.prove_transaction(11, 0, None).unwrap_err();
    assert!(matches!(error, LogError::NoBlock { number: 11 }), "{error}");
    let error = log.prove_block(3, Some(size + 1)).unwrap_err();
    assert!(matches!(error, LogError::Size { .. }), "{error}");
    let error = log.prove_block(3, Some(1)).unwrap_err();
    assert!(matches!(error, LogError::Proof(_)), "{error}");
}

#[test]
fn proofs_read_back_from_json() {
    let mut chain = Chain::new(memory(), Blocks { transactions_max: 9, ..Blocks::default() });
    chain.grow(30);
    let number = chain.made.iter().rposition(|made| !made.receipts.is_empty()).unwrap() as u64;
    for proof in [
        chain.log().prove_transaction(number, 0, None).unwrap(),
        chain.log().prove_block(number, None).unwrap(),
    ] {
        let text = serde_json::to_string(&proof).unwrap();
        assert_eq!(serde_json::from_str::<EntryProof>(&text).unwrap(), proof);
    }
}
