//! The Merkle log against the definitions of RFC 9162, section 2.1, written down as they are there.

use proptest::{collection::vec, prelude::*, sample::Index};
use zvm_core::{B256, SigningKey, keccak256};
use zvm_trie::log::{
    ConsistencyProof, EMPTY_LOG, Frontier, InclusionProof, LogProofError, MemoryNodes, ProveError,
    SignedTreeHead, TreeHead, leaf_hash, prove_consistency, prove_inclusion, root_at,
};

/// `MTH` (2.1.1), on entries.
fn root(entries: &[Vec<u8>]) -> B256 {
    match entries {
        [] => keccak256([]),
        [entry] => keccak256([&[0], entry.as_slice()].concat()),
        _ => {
            let (left, right) = entries.split_at(below(entries.len()));
            keccak256([&[1], root(left).as_slice(), root(right).as_slice()].concat())
        }
    }
}

/// `PATH` (2.1.3.1).
fn path(index: usize, entries: &[Vec<u8>]) -> Vec<B256> {
    if entries.len() == 1 {
        return Vec::new();
    }
    let (left, right) = entries.split_at(below(entries.len()));
    let (mut path, beside) = match index < left.len() {
        true => (path(index, left), right),
        false => (path(index - left.len(), right), left),
    };
    path.push(root(beside));
    path
}

/// `SUBPROOF` (2.1.4.1).
fn subproof(size: usize, entries: &[Vec<u8>], is_whole: bool) -> Vec<B256> {
    if size == entries.len() {
        return if is_whole { Vec::new() } else { vec![root(entries)] };
    }
    let (left, right) = entries.split_at(below(entries.len()));
    let (mut proof, beside) = match size <= left.len() {
        true => (subproof(size, left, is_whole), right),
        false => (subproof(size - left.len(), right, false), left),
    };
    proof.push(root(beside));
    proof
}

/// The largest power of two below `count`.
fn below(count: usize) -> usize {
    (0..).map(|bit| 1 << bit).take_while(|power| *power < count).last().unwrap()
}

fn nodes(entries: &[Vec<u8>]) -> MemoryNodes {
    MemoryNodes::new(entries.iter().map(|entry| leaf_hash(entry)))
}

fn entries(max: usize) -> impl Strategy<Value = Vec<Vec<u8>>> {
    vec(vec(any::<u8>(), 0..4), 0..max)
}

#[test]
fn every_proof_of_every_small_log_is_that_of_the_rfc_and_verifies() {
    let entries: Vec<Vec<u8>> = (0..40_u8).map(|entry| vec![entry]).collect();
    let nodes = nodes(&entries);
    for size in 0..=entries.len() {
        let log = &entries[..size];
        let root_now = root(log);
        assert_eq!(root_at(&nodes, size as u64).unwrap(), root_now);
        for index in 0..size {
            let proof = prove_inclusion(&nodes, index as u64, size as u64).unwrap();
            assert_eq!(proof.path, path(index, log));
            proof.verify(leaf_hash(&log[index]), root_now).unwrap();
        }
        for old in 0..=size {
            let proof = prove_consistency(&nodes, old as u64, size as u64).unwrap();
            let expected = if old == 0 { Vec::new() } else { subproof(old, log, true) };
            assert_eq!(proof.path, expected, "from {old} to {size}");
            proof.verify(root(&log[..old]), root_now).unwrap();
        }
    }
}

#[test]
fn what_is_not_in_the_log_has_no_proof() {
    let nodes = nodes(&[vec![1], vec![2]]);
    let error = prove_inclusion(&nodes, 2, 2).unwrap_err();
    assert!(matches!(error, ProveError::NoEntry { index: 2, size: 2 }), "{error}");
    let error = prove_consistency(&nodes, 2, 1).unwrap_err();
    assert!(matches!(error, ProveError::Order { old_size: 2, size: 1 }), "{error}");
    assert!(matches!(prove_inclusion(&nodes, 0, 4).unwrap_err(), ProveError::Database(_)));
}

#[test]
fn an_entry_is_never_taken_for_a_node() {
    let (a, b) = (leaf_hash(b"a"), leaf_hash(b"b"));
    let node = [a.as_slice(), b.as_slice()].concat();
    assert_ne!(leaf_hash(&node), root(&[b"a".to_vec(), b"b".to_vec()]));
}

#[test]
fn the_empty_log_has_the_hash_of_nothing() {
    assert_eq!(Frontier::new().head().root, EMPTY_LOG);
    assert_eq!(EMPTY_LOG, keccak256([]));
}

#[test]
fn a_frontier_has_a_peak_for_each_bit() {
    let frontier: Frontier = (0..11_u8).map(|entry| leaf_hash(&[entry])).collect();
    let again = Frontier::from_peaks(11, frontier.peaks().to_vec()).unwrap();
    assert_eq!(again, frontier);
    assert_eq!(Frontier::from_peaks(12, frontier.peaks().to_vec()).unwrap_err().expected, 2);
}

#[test]
fn a_signed_head_tells_its_signer_as_long_as_nothing_of_it_changes() {
    let key = SigningKey::new(&[7; 32]).unwrap();
    let head = TreeHead { size: 5, root: B256::repeat_byte(5) };
    let signed = SignedTreeHead::sign(1, head, 1_700_000_000, &key);
    assert_eq!(signed.signer(), Some(key.address()));
    let text = serde_json::to_string(&signed).unwrap();
    assert_eq!(serde_json::from_str::<SignedTreeHead>(&text).unwrap(), signed);
    let other = TreeHead { size: 6, ..head };
    for changed in [
        SignedTreeHead { chain_id: 2, ..signed },
        SignedTreeHead { head: other, ..signed },
        SignedTreeHead { timestamp: 0, ..signed },
    ] {
        assert_ne!(changed.signer(), Some(key.address()));
    }
}

proptest! {
    #[test]
    fn roots_and_proofs_are_those_of_the_rfc(
        entries in entries(200), at in any::<Index>(), to in any::<Index>(),
    ) {
        let nodes = nodes(&entries);
        let all = root(&entries);
        prop_assert_eq!(nodes.frontier().head().root, all);
        let size = entries.len();
        let old = at.index(size + 1);
        let consistency = prove_consistency(&nodes, old as u64, size as u64).unwrap();
        prop_assert_eq!(consistency.verify(root(&entries[..old]), all), Ok(()));
        if size > 0 {
            let index = to.index(size);
            let inclusion = prove_inclusion(&nodes, index as u64, size as u64).unwrap();
            prop_assert_eq!(&inclusion.path, &path(index, &entries));
            prop_assert_eq!(inclusion.verify(leaf_hash(&entries[index]), all), Ok(()));
        }
    }

    /// A flipped bit of the path, another leaf, index or size, a hash more or fewer: none of them
    /// proves what the proof did.
    #[test]
    fn a_changed_proof_of_inclusion_is_refused(
        size in 1_u64..300, at in any::<Index>(), bit in any::<Index>(), other in 0_u64..400,
    ) {
        let nodes = MemoryNodes::new((0..size).map(|entry| leaf_hash(&entry.to_be_bytes())));
        let (root, index) = (nodes.frontier().head().root, at.index(size as usize) as u64);
        let leaf = leaf_hash(&index.to_be_bytes());
        let proof = prove_inclusion(&nodes, index, size).unwrap();
        prop_assert!(proof.verify(flip(leaf, bit), root).is_err());
        prop_assert!(proof.verify(leaf, flip(root, bit)).is_err());
        if other != index {
            let moved = InclusionProof { index: other, ..proof.clone() };
            prop_assert!(moved.verify(leaf, root).is_err());
        }
        let longer = [proof.path.as_slice(), &[B256::ZERO]].concat();
        let count = proof.path.len();
        prop_assert_eq!(
            InclusionProof { path: longer, ..proof.clone() }.verify(leaf, root),
            Err(LogProofError::TooLong { found: count + 1, expected: count })
        );
        if count > 0 {
            let shorter = InclusionProof { path: proof.path[1..].to_vec(), ..proof.clone() };
            prop_assert!(shorter.verify(leaf, root).is_err());
            let mut changed = proof.clone();
            let hash = bit.index(count);
            changed.path[hash] = flip(changed.path[hash], bit);
            prop_assert!(changed.verify(leaf, root).is_err());
        }
    }

    #[test]
    fn a_changed_proof_of_consistency_is_refused(
        size in 2_u64..300, at in any::<Index>(), bit in any::<Index>(),
    ) {
        let nodes = MemoryNodes::new((0..size).map(|entry| leaf_hash(&entry.to_be_bytes())));
        let old_size = 1 + at.index(size as usize - 1) as u64;
        let [old_root, root] = [old_size, size].map(|size| root_at(&nodes, size).unwrap());
        let proof = prove_consistency(&nodes, old_size, size).unwrap();
        prop_assert!(proof.verify(flip(old_root, bit), root).is_err());
        prop_assert!(proof.verify(old_root, flip(root, bit)).is_err());
        let mut changed = proof.clone();
        let hash = bit.index(proof.path.len());
        changed.path[hash] = flip(changed.path[hash], bit);
        prop_assert!(changed.verify(old_root, root).is_err());
        let path = [proof.path.as_slice(), &[B256::ZERO]].concat();
        let longer = ConsistencyProof { path, ..proof.clone() };
        prop_assert!(longer.verify(old_root, root).is_err());
        let shorter = ConsistencyProof { path: proof.path[1..].to_vec(), ..proof };
        prop_assert!(shorter.verify(old_root, root).is_err());
    }

    #[test]
    fn any_proof_is_verified_without_panic(
        a in edge(), b in edge(), path in vec(any::<[u8; 32]>().prop_map(B256::from), 0..70),
    ) {
        let root = B256::ZERO;
        let _ = InclusionProof { index: a, size: b, path: path.clone() }.verify(root, root);
        let _ = ConsistencyProof { old_size: a, size: b, path }.verify(root, root);
    }
}

fn flip(mut hash: B256, bit: Index) -> B256 {
    let bit = bit.index(256);
    hash[bit / 8] ^= 1 << (bit % 8);
    hash
}

/// Sizes near the ends of their range and near powers of two.
fn edge() -> impl Strategy<Value = u64> {
    let near = (0_u32..64, -1_i64..2).prop_map(|(bit, by)| (1_u64 << bit).wrapping_add_signed(by));
    prop_oneof![near, any::<u64>(), Just(u64::MAX)]
}
