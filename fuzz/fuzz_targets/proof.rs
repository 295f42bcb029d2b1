//! Any bytes as a proof: a key, and nodes behind lengths of two bytes. The root and the hashes within
//! the nodes are made to fit, so that the bytes behind them are looked at. What verifies is revealed in
//! a partial trie and changed.
#![no_main]

use libfuzzer_sys::fuzz_target;
use zvm_core::{B256, keccak256};
use zvm_trie::{PartialTrie, verify_proof};

fuzz_target!(|bytes: &[u8]| {
    let Some((key, mut rest)) = bytes.split_first_chunk::<32>() else { return };
    let mut proof = Vec::new();
    while let Some((length, behind)) = rest.split_first_chunk::<2>() {
        let length = usize::from(u16::from_be_bytes(*length)).min(behind.len());
        let (node, behind) = behind.split_at(length);
        proof.push(node.to_vec());
        rest = behind;
    }
    // A run of 32 bytes 0xaa stands for the hash of the next node.
    let mut hash = B256::ZERO;
    for node in proof.iter_mut().rev() {
        while let Some(at) = node.windows(32).position(|window| window == [0xaa; 32]) {
            node[at..at + 32].copy_from_slice(hash.as_slice());
        }
        hash = keccak256(&*node);
    }
    let key = B256::new(*key);
    let value = verify_proof(hash, key, &proof).map(|value| value.map(<[u8]>::to_vec));
    let mut trie = PartialTrie::new(hash);
    let revealed = trie.reveal(key, &proof).map(|value| value.map(<[u8]>::to_vec));
    assert_eq!(revealed, value);
    assert_eq!(trie.root(), hash);
    if let Ok(value) = &value {
        assert_eq!(trie.get(key), Ok(value.as_deref()));
        // A removal may need a neighbour that is hidden; putting the value back never does.
        let _ = trie.set(key, None);
        trie.set(key, Some(b"1")).expect("the way is known");
        if let Some(value) = value {
            trie.set(key, Some(value)).expect("the way is known");
            assert_eq!(trie.root(), hash);
        }
    }
    // With a node more it is refused, whatever it was.
    proof.push(vec![0x80]);
    if value.is_ok() {
        assert!(verify_proof(hash, key, &proof).is_err());
    }
});
