//! The generator is worth its programs only if they go places.

use zvm_evm::opcode;
use zvm_tests::{SPECS, Stats, generate};

#[test]
fn programs_reach_every_opcode_of_every_hard_fork() {
    let mut stats = Stats::default();
    for index in 0..40_000 {
        stats.add(&generate(2, index));
    }
    for spec in SPECS {
        let missed = stats.missed(spec, |byte| opcode::info(byte, spec).is_some());
        assert!(missed.is_empty(), "{spec}: {missed:02x?}\n{stats}");
    }
}

#[test]
fn the_same_seed_gives_the_same_program() {
    let (one, other) = (generate(7, 11).to_string(), generate(7, 11).to_string());
    assert_eq!(one, other);
    assert_ne!(one, generate(8, 11).to_string());
}
