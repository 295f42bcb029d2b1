//! `contracts/MerkleLog.sol` beside the verifier of `zvm-trie`: they agree on every proof.
#![cfg(feature = "sol")]

use zvm::{Address, B256, U256, Zvm, hex, keccak256, sol};
use zvm_core::SigningKey;
use zvm_trie::log::{
    ConsistencyProof, InclusionProof, MemoryNodes, SignedTreeHead, TreeHead, leaf_hash, node_hash,
    prove_consistency, prove_inclusion, root_at,
};
use zvm_txlog::LogEntry;

sol! {
    interface MerkleLog {
        function leafHash(bytes entry) returns (bytes32);
        function nodeHash(bytes32 left, bytes32 right) returns (bytes32);
        function verifyInclusion(
            bytes32 root, uint64 size, uint64 index, bytes32 leaf, bytes32[] path
        );
        function verifyConsistency(
            bytes32 oldRoot, uint64 oldSize, bytes32 root, uint64 size, bytes32[] path
        );
        function headHash(uint64 chainId, uint64 size, uint64 timestamp, bytes32 root)
            returns (bytes32);
        function headSigner(
            uint64 chainId, uint64 size, uint64 timestamp, bytes32 root,
            uint8 v, bytes32 r, bytes32 s
        ) returns (address);
    }
}

struct Contract {
    zvm: Zvm,
    at: Address,
}

impl Contract {
    fn new() -> Self {
        let artifact = include_str!("../../../contracts/artifacts/MerkleLog.json");
        let artifact: serde_json::Value = serde_json::from_str(artifact).unwrap();
        let initcode = hex::decode(artifact["bytecode"].as_str().unwrap()).unwrap();
        let mut zvm = Zvm::memory();
        let at = zvm.deploy(initcode).unwrap();
        Self { zvm, at }
    }

    /// Checks that both think the same of a proof.
    fn inclusion(&mut self, proof: &InclusionProof, leaf: B256, root: B256) -> bool {
        let InclusionProof { index, size, path } = proof.clone();
        let call = MerkleLog::verifyInclusionCall { root, size, index, leaf, path };
        let (theirs, ours) =
            (self.zvm.call(self.at, call).is_ok(), proof.verify(leaf, root).is_ok());
        assert_eq!(theirs, ours, "{proof:?}");
        ours
    }

    fn consistency(&mut self, proof: &ConsistencyProof, old_root: B256, root: B256) -> bool {
        let ConsistencyProof { old_size, size, path } = proof.clone();
        let call = MerkleLog::verifyConsistencyCall {
            oldRoot: old_root,
            oldSize: old_size,
            root,
            size,
            path,
        };
        let (theirs, ours) =
            (self.zvm.call(self.at, call).is_ok(), proof.verify(old_root, root).is_ok());
        assert_eq!(theirs, ours, "{proof:?}");
        ours
    }
}

/// The path as it is, with each hash changed, and with one more or fewer.
fn variants(path: &[B256]) -> Vec<Vec<B256>> {
    let mut variants = vec![path.to_vec(), [path, &[B256::ZERO]].concat()];
    variants.extend(path.split_last().map(|(_, rest)| rest.to_vec()));
    for index in 0..path.len() {
        let mut changed = path.to_vec();
        changed[index][index % 32] ^= 1 << (index % 8);
        variants.push(changed);
    }
    variants
}

#[test]
fn the_contract_and_the_library_agree_on_every_proof() {
    let mut contract = Contract::new();
    let leaves: Vec<B256> = (0..40_u8).map(|entry| leaf_hash(&[entry])).collect();
    let nodes = MemoryNodes::new(leaves.iter().copied());
    let root = |size| root_at(&nodes, size).unwrap();
    let (mut right, mut wrong) = (0, 0);
    let mut count = |is_right| if is_right { right += 1 } else { wrong += 1 };
    for size in (0..=40).filter(|size| *size < 18 || size % 5 == 0) {
        for index in 0..size {
            let leaf = leaves[index as usize];
            let proof = prove_inclusion(&nodes, index, size).unwrap();
            for path in variants(&proof.path) {
                count(contract.inclusion(&InclusionProof { path, ..proof }, leaf, root(size)));
            }
            let moved = InclusionProof { index: index ^ 1, ..proof };
            count(contract.inclusion(&moved, leaf, root(size)));
        }
        for old_size in 0..=size {
            let proof = prove_consistency(&nodes, old_size, size).unwrap();
            for path in variants(&proof.path) {
                let proof = ConsistencyProof { path, ..proof };
                count(contract.consistency(&proof, root(old_size), root(size)));
            }
            count(contract.consistency(&proof, root(old_size), root(size.wrapping_sub(1).min(40))));
        }
    }
    assert!(right > 400 && wrong > 1000, "{right} right, {wrong} wrong");
}

/// The entries of a log of 100,000 transactions, 16 to a block.
fn large_log() -> Vec<LogEntry> {
    let hash = |kind: u8, number: u64| keccak256([&[kind][..], &number.to_be_bytes()].concat());
    let block = |number| {
        let block_hash = hash(0, number);
        let transaction = move |index: u64| LogEntry::Transaction {
            block_number: number,
            block_hash,
            index: index as u32,
            transaction_hash: hash(1, 16 * number + index),
            receipt_hash: hash(2, 16 * number + index),
        };
        std::iter::once(LogEntry::Block { number, hash: block_hash })
            .chain((0..16).map(transaction))
    };
    (0..6250).flat_map(block).collect()
}

/// Where the shape of a tree changes, up to `size`, and some places between.
fn edges(size: u64) -> Vec<u64> {
    let powers = (0..64).map(|power| 1_u64 << power).take_while(|power| *power <= size);
    let around = powers.flat_map(|power| [power - 1, power, power + 1]);
    let between = (1..8).map(|part| size / 8 * part);
    let mut edges: Vec<u64> = around.chain(between).chain([size - 1, size]).collect();
    edges.retain(|edge| *edge <= size);
    edges.sort_unstable();
    edges.dedup();
    edges
}

#[test]
fn the_contract_and_the_library_agree_on_a_log_of_100_000_transactions() {
    let mut contract = Contract::new();
    let entries = large_log();
    let nodes = MemoryNodes::new(entries.iter().map(LogEntry::hash));
    let size = entries.len() as u64;
    let transactions = entries.iter().filter(|entry| matches!(entry, LogEntry::Transaction { .. }));
    assert_eq!((transactions.count(), size), (100_000, 106_250));
    let root = |size| root_at(&nodes, size).unwrap();
    let (mut right, mut wrong) = (0, 0);
    let mut count = |is_right| if is_right { right += 1 } else { wrong += 1 };

    // At its full size every 53rd entry, which meets every place in a block, and the edges of others.
    let whole = root(size);
    for index in (0..size).step_by(53).chain(edges(size - 1)) {
        let entry = &entries[index as usize];
        let call = MerkleLog::leafHashCall { entry: entry.encode().into() };
        let leaf = contract.zvm.call(contract.at, call).unwrap();
        assert_eq!(leaf, entry.hash());
        let proof = prove_inclusion(&nodes, index, size).unwrap();
        count(contract.inclusion(&proof, leaf, whole));
        let moved = InclusionProof { index: index ^ 1, ..proof };
        count(contract.inclusion(&moved, leaf, whole));
    }
    let sizes = edges(size);
    for (size, then) in sizes.iter().skip(2).map(|size| (*size, root(*size))) {
        for index in [0, size / 3, size - 2, size - 1] {
            let leaf = entries[index as usize].hash();
            let proof = prove_inclusion(&nodes, index, size).unwrap();
            for path in variants(&proof.path) {
                count(contract.inclusion(&InclusionProof { path, ..proof }, leaf, then));
            }
        }
        for (old_size, old) in
            sizes.iter().filter(|old| **old <= size).map(|old| (*old, root(*old)))
        {
            let proof = prove_consistency(&nodes, old_size, size).unwrap();
            count(contract.consistency(&proof, old, then));
            if size == *sizes.last().unwrap() {
                for path in variants(&proof.path) {
                    count(contract.consistency(&ConsistencyProof { path, ..proof }, old, then));
                }
            }
            count(contract.consistency(&proof, then, old));
        }
    }
    assert!(right > 3500 && wrong > 5000, "{right} right, {wrong} wrong");
}

#[test]
fn sizes_that_fit_no_path_are_refused_by_both() {
    let mut contract = Contract::new();
    let sizes = [0, 1, 2, 1 << 32, (1 << 63) - 1, 1 << 63, u64::MAX - 1, u64::MAX];
    let root = B256::repeat_byte(1);
    for (a, b) in sizes.iter().flat_map(|a| sizes.iter().map(move |b| (*a, *b))) {
        for length in [0, 1, 63, 64, 65] {
            let path = vec![B256::ZERO; length];
            contract.inclusion(
                &InclusionProof { index: a, size: b, path: path.clone() },
                root,
                root,
            );
            contract.consistency(&ConsistencyProof { old_size: a, size: b, path }, root, root);
        }
    }
}

#[test]
fn hashes_and_signers_of_heads_are_the_same_on_chain() {
    let Contract { mut zvm, at } = Contract::new();
    let (one, other) = (leaf_hash(b"one"), leaf_hash(b"other"));
    let call = MerkleLog::leafHashCall { entry: b"one".to_vec().into() };
    assert_eq!(zvm.call(at, call).unwrap(), one);
    let call = MerkleLog::nodeHashCall { left: one, right: other };
    assert_eq!(zvm.call(at, call).unwrap(), node_hash(one, other));

    let key = SigningKey::new(&[9; 32]).unwrap();
    let head = TreeHead { size: 77, root: one };
    let signed = SignedTreeHead::sign(1, head, 1_700_000_000, &key);
    let call = MerkleLog::headHashCall {
        chainId: 1,
        size: head.size,
        timestamp: signed.timestamp,
        root: head.root,
    };
    assert_eq!(zvm.call(at, call).unwrap(), signed.hash());
    let order = U256::from_str_radix(
        "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141",
        16,
    )
    .unwrap();
    let signature = signed.signature;
    for (v, s, is_right) in [
        (27 + u8::from(signature.y_parity), signature.s, true),
        // The twin in the upper half.
        (28 - u8::from(signature.y_parity), order - signature.s, false),
        (29, signature.s, false),
    ] {
        let (r, s) = (B256::from(signature.r), B256::from(s));
        let (timestamp, root) = (signed.timestamp, head.root);
        let call =
            MerkleLog::headSignerCall { chainId: 1, size: head.size, timestamp, root, v, r, s };
        let signer = zvm.call(at, call).ok();
        assert_eq!(signer, is_right.then_some(key.address()));
    }
}
