//! What each command does, step by step.

use std::{
    ffi::{OsStr, OsString},
    process::Command,
};

use crate::{
    rocksdb,
    step::{Failure, cargo, fixtures, root, run, succeeds},
};

/// The main job. Built in release, because what it prints is what a user will see every day.
pub(crate) fn demo(args: &[String]) -> Result<(), Failure> {
    need_c_compiler()?;
    zvm(["demo"].iter().map(OsStr::new).chain(args.iter().map(OsStr::new)))
}

/// Unit, integration and doc tests with debug assertions and overflow checks on; then the official
/// fixtures with the release binary, the one that users run.
///
/// Two profiles, so what both need is compiled twice. The release build is the default features of
/// one binary, a small part of the whole, and it is the only way to test what is shipped.
pub(crate) fn test(args: &[String]) -> Result<(), Failure> {
    let with_rocksdb = match args {
        [] => false,
        [flag] if flag == "--rocksdb" => true,
        _ => return Err(Failure::Usage(format!("`test` takes --rocksdb, found {args:?}"))),
    };
    need_c_compiler()?;
    run(&mut cargo(["test", "--workspace", "--no-fail-fast"]))?;
    if with_rocksdb {
        let mut test = cargo(["test", "--package", "zvm-state", "--features", "rocksdb"]);
        rocksdb::prepare(&mut test)?;
        run(&mut test)?;
    }
    if fixtures().is_some() {
        conformance(&[])
    } else {
        eprintln!("xtask: official state tests NOT run: {NO_FIXTURES}");
        Ok(())
    }
}

/// What a change must pass before it lands.
pub(crate) fn check(_: &[String]) -> Result<(), Failure> {
    run(&mut cargo(["fmt", "--all", "--check"]))?;
    // With the feature that the long runs on states need, or they would be passed over.
    let everything = [
        "--workspace",
        "--all-targets",
        "--features",
        "zvm-state/test-support,zvm-txlog/test-support",
    ];
    run(cargo(["clippy"]).args(everything).args(["--", "-D", "warnings"]))?;
    test(&[])?;
    run(cargo(["doc", "--workspace", "--lib", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings"))
}

/// The official tests in release: `zvm statetest` on the given files, folders and archives; without
/// any, every suite on the fixtures.
pub(crate) fn conformance(paths: &[String]) -> Result<(), Failure> {
    if !paths.is_empty() {
        let paths = paths.iter().map(OsString::from);
        return zvm(std::iter::once(OsString::from("statetest")).chain(paths));
    }
    let fixtures = fixtures().ok_or_else(|| Failure::Missing(NO_FIXTURES.to_owned()))?;
    for suite in ["statetest", "txtest", "blocktest"] {
        zvm([OsString::from(suite), fixtures.clone().into()])?;
    }
    Ok(())
}

/// The comparison benches; they have a crate of their own so that nothing else builds the peers.
pub(crate) fn bench(args: &[String]) -> Result<(), Failure> {
    need_c_compiler()?;
    run(cargo(["bench", "--package", "zvm-benches", "--bench", "compare", "--"]).args(args))
}

/// Stores of a large state beside nomt and a full recompute, and RocksDB if `args` ask for it.
pub(crate) fn state_bench(args: &[String]) -> Result<(), Failure> {
    need_c_compiler()?;
    let with_rocksdb = args.iter().any(|arg| arg == "--rocksdb");
    let features = if with_rocksdb { "nomt,rocksdb" } else { "nomt" };
    let bench = ["bench", "--package", "zvm-benches", "--features", features];
    let mut command = cargo(bench);
    if with_rocksdb {
        rocksdb::prepare(&mut command)?;
    }
    let rest = args.iter().filter(|arg| *arg != "--rocksdb");
    run(command.args(["--bench", "state", "--"]).args(rest))
}

/// The differential fuzzer, or a cargo-fuzz target by its name.
pub(crate) fn fuzz(args: &[String]) -> Result<(), Failure> {
    let targets = fuzz_targets();
    let known = || format!("one of: diff {}", targets.join(" "));
    let Some((name, rest)) = args.split_first() else {
        return Err(Failure::Usage(format!("`fuzz` needs a target, {}", known())));
    };
    if name == "diff" {
        let example =
            ["run", "--release", "--package", "zvm-tests", "--example", "fuzz_diff", "--"];
        return run(cargo(example).args(rest));
    }
    if !targets.contains(name) {
        return Err(Failure::Usage(format!("unknown fuzz target {name:?}, expected {}", known())));
    }
    // Through rustup, because libFuzzer needs nightly whatever toolchain runs this program.
    let cargo_fuzz = || {
        let mut command = Command::new("rustup");
        command.current_dir(root()).args(["run", "nightly", "cargo", "fuzz"]);
        command
    };
    if !succeeds(cargo_fuzz().arg("--version")) {
        return Err(Failure::Missing(
            "cargo-fuzz on a nightly toolchain is missing; get both with \
             `rustup toolchain install nightly` and `cargo install cargo-fuzz`"
                .to_owned(),
        ));
    }
    run(cargo_fuzz().args(["run", name]).args(rest))
}

/// One long random workload on every backend at once.
pub(crate) fn compliance(args: &[String]) -> Result<(), Failure> {
    example("zvm-state", "compliance", args)
}

/// Processes that commit to a store and are killed.
pub(crate) fn crash(args: &[String]) -> Result<(), Failure> {
    example("zvm-state", "crash", args)
}

/// Processes that commit whole blocks to a store, with their log, and are killed.
pub(crate) fn log_crash(args: &[String]) -> Result<(), Failure> {
    example("zvm-txlog", "log_crash", args)
}

/// How large the index of a million events is, and how long searching it takes.
pub(crate) fn log_bench(args: &[String]) -> Result<(), Failure> {
    example("zvm-txlog", "log_bench", args)
}

/// Many small commits to a store that keeps its past within bytes.
pub(crate) fn retention(args: &[String]) -> Result<(), Failure> {
    example("zvm-state", "retention", args)
}

/// What reading a remote state costs, beside anvil on the same upstream.
pub(crate) fn fork_bench(args: &[String]) -> Result<(), Failure> {
    if !args.is_empty() {
        return Err(Failure::Usage(format!("`fork-bench` takes no arguments, found {args:?}")));
    }
    run(&mut cargo(["run", "--release", "--package", "zvm-fork", "--example", "fork_bench"]))
}

/// Builds an example in release and runs it, with RocksDB if `args` ask for it.
fn example(package: &str, name: &str, args: &[String]) -> Result<(), Failure> {
    let asks = |arg: &String| matches!(arg.as_str(), "--rocksdb" | "rocksdb" | "both");
    let with_rocksdb = args.iter().any(asks);
    let features = if with_rocksdb { "test-support,rocksdb" } else { "test-support" };
    let example = ["run", "--release", "--package", package, "--features", features];
    let mut command = cargo(example);
    if with_rocksdb {
        rocksdb::prepare(&mut command)?;
    }
    let rest = args.iter().filter(|arg| *arg != "--rocksdb");
    run(command.args(["--example", name, "--"]).args(rest))
}

/// The compiled contracts are in the repository, so only who changes a source needs this.
pub(crate) fn contracts(args: &[String]) -> Result<(), Failure> {
    let script = match args {
        [] => "build",
        [flag] if flag == "--check" => "check",
        _ => return Err(Failure::Usage(format!("`contracts` takes --check, found {args:?}"))),
    };
    let npm = || {
        let mut command = Command::new("npm");
        command.current_dir(root().join("contracts"));
        command
    };
    if !succeeds(npm().arg("--version")) {
        return Err(Failure::Missing("Node.js with npm is missing, see https://nodejs.org".into()));
    }
    run(npm().args(["install", "--no-audit", "--no-fund"]))?;
    run(npm().args(["run", script]))
}

/// What to do where there are no fixtures.
const NO_FIXTURES: &str = "no fixtures found; set ZVM_FIXTURES to a folder that holds them \
    (looked in ../shared/fixtures beside the repository)";

/// Builds the release binary with default features and runs it.
fn zvm<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Result<(), Failure> {
    run(cargo(["run", "--release", "--package", "zvm-cli", "--bin", "zvm", "--"]).args(args))
}

/// The cryptography behind the precompiles has parts in C and assembly.
fn need_c_compiler() -> Result<(), Failure> {
    let compiler = std::env::var_os("CC").unwrap_or_else(|| "cc".into());
    if succeeds(Command::new(&compiler).arg("--version")) {
        return Ok(());
    }
    Err(Failure::Missing(format!(
        "no C compiler ({} does not run); get one with `apt install gcc libc6-dev`, \
         `dnf install gcc` or `xcode-select --install`, or set CC",
        compiler.display()
    )))
}

/// The names of the cargo-fuzz targets, sorted.
fn fuzz_targets() -> Vec<String> {
    let files = std::fs::read_dir(root().join("fuzz/fuzz_targets")).into_iter().flatten().flatten();
    let mut names: Vec<String> = files
        .map(|file| file.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()))
        .collect();
    names.sort();
    names
}
