//! Any bytes as a proof: a key, and nodes behind lengths of two bytes. The root and the hashes within
//! the nodes are made to fit, so that the bytes behind them are looked at.
#![no_main]

use libfuzzer_sys::fuzz_target;
use zvm_core::{B256, keccak256};
use zvm_trie::verify_proof;

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
    // With a node more it is refused, whatever it was.
    proof.push(vec![0x80]);
    if value.is_ok() {
        assert!(verify_proof(hash, key, &proof).is_err());
    }
});
