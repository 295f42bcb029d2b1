//! A bounded run of the differential fuzzer; `examples/fuzz_diff.rs` is the long one.

use zvm_tests::Fuzz;

#[test]
fn random_programs_run_as_on_the_peer() {
    let jobs = std::thread::available_parallelism().map_or(1, usize::from);
    let fuzz = Fuzz { cases: 5_000, seed: 1, start: 0, jobs, mismatches_max: 1, with_stats: false };
    let findings = fuzz.run(&|_| {});
    if let Some((index, mismatch)) = findings.mismatches.first() {
        panic!("program {index} of seed 1:\n{mismatch}");
    }
    assert_eq!(findings.programs, 5_000);
}
