//! Any JSON as a state diff: what is read is written back the same, and composing never panics.
#![no_main]

use libfuzzer_sys::fuzz_target;
use zvm_core::StateDiff;

fuzz_target!(|json: &[u8]| {
    let Ok(diff) = serde_json::from_slice::<StateDiff>(json) else { return };
    let text = serde_json::to_string(&diff).expect("a diff can be written");
    assert_eq!(serde_json::from_str::<StateDiff>(&text).expect("and read back"), diff);
    let _ = diff.clone().then(diff.invert());
});
