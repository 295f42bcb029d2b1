//! Any bytes as code: the listing accounts for every byte.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|code: &[u8]| {
    let mut at = 0;
    for instruction in zvm_evm::disassemble(code) {
        assert_eq!(instruction.pc, at);
        at += 1 + instruction.immediate.len();
        let _ = instruction.to_string();
    }
    assert_eq!(at, code.len());
});
