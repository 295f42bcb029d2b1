//! Any bytes as a state diff: what is read is written back the same, byte for byte.
#![no_main]

use libfuzzer_sys::fuzz_target;
use zvm_core::StateDiff;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(diff) = StateDiff::decode(bytes) {
        assert_eq!(diff.encode(), bytes);
    }
});
