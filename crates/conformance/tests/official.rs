//! The runner on files: the project's own small cases, rubbish, and archives of the official
//! tests where they are at hand.

use std::{fs, path::PathBuf};

use zvm_conformance::{Options, Progress, Report, Suite, run};

fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn run_all(path: PathBuf, options: &Options) -> Report {
    run(&[path], options, &Progress::default()).expect("the path exists")
}

/// Runs an official archive, or says loudly that it is not there.
fn run_archive(name: &str, options: &Options) -> Option<Report> {
    let folder = std::env::var_os("ZVM_FIXTURES")
        .map_or_else(|| repository().join("../shared/fixtures"), PathBuf::from);
    let path = folder.join(name);
    if !path.exists() {
        eprintln!("SKIPPED: {} is not there; set ZVM_FIXTURES", path.display());
        return None;
    }
    Some(run_all(path, options))
}

#[test]
fn own_cases_pass_and_amsterdam_is_skipped_with_its_reason() {
    let report = run_all(repository().join("fixtures/state"), &Options::default());
    assert!(report.failures.is_empty(), "{report}");
    assert_eq!((report.passed, report.skipped(), report.total()), (3, 1, 4));
    assert!(report.skipped.keys().all(|reason| reason.starts_with("Amsterdam: ")));
}

#[test]
fn filters_leave_out_and_count() {
    let options = Options { spec: Some(zvm_core::SpecId::PRAGUE), ..Options::default() };
    let report = run_all(repository().join("fixtures/state"), &options);
    assert_eq!((report.passed, report.deselected, report.total()), (1, 3, 4), "{report}");
}

#[test]
fn rubbish_is_a_failure_that_names_file_and_place() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| fs::write(folder.path().join(name), bytes).unwrap();
    write("a-truncated.json", b"{\"t\": {\"env\": {},\n \"transaction\": {\"data\"");
    write("b-deep.json", format!("{{\"t\":{{\"x\":{}", "[".repeat(200_000)).as_bytes());
    write("c-bytes.json", b"{\"t\xff\": 1}");
    write("d-type.json", b"{\"t\": {\"transaction\": 5}}");
    write("e-broken.tar.zst", b"not zstd");
    let report = run_all(folder.path().to_owned(), &Options::default());
    let failures: Vec<_> = report.failures.iter().map(ToString::to_string).collect();
    assert_eq!(failures.len(), 5, "{failures:#?}");
    assert!(failures[0].contains("a-truncated.json: line 2, column"), "{}", failures[0]);
    assert!(failures[1].contains("b-deep.json: line 1, column"), "{}", failures[1]);
    assert!(failures[2].contains("c-bytes.json: not UTF-8 at byte 3"), "{}", failures[2]);
    assert!(failures[3].contains("d-type.json t: line 1, column"), "{}", failures[3]);
    assert!(failures[4].contains("e-broken.tar.zst: cannot read the archive"), "{}", failures[4]);
    assert!(!report.is_success());
}

#[test]
fn all_vm_tests_pass() {
    let Some(report) = run_archive("vm-tests-legacy.tar.zst", &Options::default()) else { return };
    assert!(report.failures.is_empty(), "{report}");
    assert_eq!((report.passed, report.total()), (520, 520));
}

#[test]
fn all_shanghai_state_tests_pass() {
    let Some(report) = run_archive("eest-shanghai-state.tar.zst", &Options::default()) else {
        return;
    };
    assert!(report.failures.is_empty(), "{report}");
    assert_eq!((report.passed, report.total()), (28, 28));
}

#[test]
fn all_cancun_state_tests_pass() {
    let Some(report) = run_archive("eest-cancun-state.tar.zst", &Options::default()) else {
        return;
    };
    assert!(report.failures.is_empty(), "{report}");
    assert_eq!((report.passed, report.total()), (1152, 1152));
}

#[test]
fn all_transaction_tests_pass() {
    let options = Options { suite: Suite::Transaction, ..Options::default() };
    for (name, units) in
        [("transaction-tests.tar.zst", 2274), ("eest-prague-transaction.tar.zst", 55)]
    {
        let Some(report) = run_archive(name, &options) else { return };
        assert!(report.failures.is_empty(), "{report}");
        assert_eq!((report.passed, report.total()), (units, units), "{name}");
    }
}

#[test]
fn all_tests_of_encodings_keys_and_difficulties_pass() {
    let options = Options { suite: Suite::Transaction, ..Options::default() };
    for (name, units) in [
        ("rlp-tests.tar.zst", 55),
        ("difficulty-tests.tar.zst", 17_218),
        ("basic-tests.tar.zst", 4667),
    ] {
        let Some(report) = run_archive(name, &options) else { return };
        assert!(report.failures.is_empty(), "{report}");
        assert_eq!((report.passed, report.total()), (units, units), "{name}");
    }
}

#[test]
fn all_shanghai_and_prague_block_tests_pass() {
    let options = Options { suite: Suite::Block, ..Options::default() };
    for (name, chains) in
        [("eest-shanghai-blockchain.tar.zst", 20), ("eest-prague-blockchain.tar.zst", 245)]
    {
        let Some(report) = run_archive(name, &options) else { return };
        assert!(report.failures.is_empty(), "{report}");
        assert_eq!((report.passed, report.total()), (chains, chains));
    }
}
