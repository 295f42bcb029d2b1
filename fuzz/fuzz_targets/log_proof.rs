//! Any bytes as proofs out of a Merkle log: two sizes and a path. Nothing panics, and what a path proves
//! it proves for one root only.
#![no_main]

use libfuzzer_sys::fuzz_target;
use zvm_core::B256;
use zvm_trie::log::{ConsistencyProof, InclusionProof, LogProofError};

fuzz_target!(|bytes: &[u8]| {
    let Some((head, path)) = bytes.split_first_chunk::<16>() else { return };
    let number = |bytes: &[u8]| bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
    let (a, size) = (number(&head[..8]), number(&head[8..]));
    let path: Vec<B256> = path.chunks_exact(32).map(B256::from_slice).collect();

    let proof = InclusionProof { index: a, size, path: path.clone() };
    if let Err(LogProofError::Root { found, .. }) = proof.verify(B256::ZERO, B256::ZERO) {
        assert!(proof.verify(B256::ZERO, found).is_ok());
        assert!(proof.verify(B256::repeat_byte(1), found).is_err());
    }
    let proof = ConsistencyProof { old_size: a, size, path };
    if let Err(LogProofError::OldRoot { found, .. }) = proof.verify(B256::ZERO, B256::ZERO) {
        let _ = proof.verify(found, B256::ZERO);
    }
});
