//! Any bytes as a transaction, block, header, receipt or withdrawal; the first byte says which. What
//! is read is written back the same, byte for byte, and what is not has its fault within the bytes.
//!
//! `cargo run -p zvm-conformance --example rlp_seeds ARCHIVE… fuzz/corpus/rlp` makes seeds.
#![no_main]

use libfuzzer_sys::fuzz_target;
use zvm_core::{
    Block, Header, Receipt, SignedTransaction, SpecId, Withdrawal,
    rlp::{Rlp, RlpError},
};

fuzz_target!(|input: &[u8]| {
    let Some((kind, bytes)) = input.split_first() else { return };
    let written = match kind {
        0 => SignedTransaction::decode_2718(bytes).map(|tx| {
            let _ = tx.recover(SpecId::OSAKA);
            tx.encode_2718()
        }),
        1 => again::<Block>(bytes),
        2 => again::<Header>(bytes),
        3 => Receipt::decode_2718(bytes).map(|receipt| receipt.encode_2718()),
        4 => again::<Withdrawal>(bytes),
        5 => again::<Receipt>(bytes),
        _ => again::<SignedTransaction>(bytes),
    };
    match written {
        Ok(written) => assert_eq!(written, bytes),
        Err(error) => assert!(error.offset <= bytes.len(), "{error}"),
    }
});

fn again<T: Rlp>(bytes: &[u8]) -> Result<Vec<u8>, RlpError> {
    T::decode(bytes).map(|value| value.encode())
}
