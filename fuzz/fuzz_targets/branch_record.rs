//! Any bytes as the stored record of a branch: what is read is written back the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use zvm_trie::Branch;

fuzz_target!(|bytes: &[u8]| {
    let Ok(branch) = Branch::decode(bytes) else { return };
    assert_eq!(branch.encode(), bytes);
    let parts = Branch::new(*branch.extension(), branch.leaf_count(), &branch.children());
    assert_eq!(parts.as_ref(), Ok(&branch));
});
