//! Any bytes as a recording, with the right checksum behind them: what is read is written back the
//! same, byte for byte, and its proofs are checked without panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use zvm_core::keccak256;
use zvm_fork::Recording;

fuzz_target!(|bytes: &[u8]| {
    let _ = Recording::decode(bytes);
    let sealed = [bytes, keccak256(bytes).as_slice()].concat();
    if let Ok(recording) = Recording::decode(&sealed) {
        assert_eq!(recording.encode(), sealed);
        let _ = recording.verify();
        let merged = recording.clone().merge(&recording);
        assert_eq!(merged.as_ref(), Ok(&recording));
        for read in recording.reads() {
            assert!(recording.get(&read).is_some());
        }
    }
});
