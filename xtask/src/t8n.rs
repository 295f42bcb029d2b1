//! `zvm t8n` beside the executable specification of Ethereum, which is written in Python. Nothing
//! else here needs Python.

use std::{ffi::OsString, path::PathBuf, process::Command};

use crate::step::{Failure, cargo, root, run, succeeds};

/// The specification with its own `t8n`, at the version that the comparison was made for.
const SPECIFICATION: &str = "ethereum-execution==2.20.0";

/// Cases unless told otherwise.
const CASES: &str = "500";

/// Builds zvm, installs the specification into a folder of the target directory, and compares.
pub(crate) fn diff(args: &[String]) -> Result<(), Failure> {
    let is_number = |arg: &String| !arg.is_empty() && arg.bytes().all(|byte| byte.is_ascii_digit());
    if args.len() > 2 || !args.iter().all(is_number) {
        return Err(Failure::Usage(format!("`t8n-diff` takes COUNT and SEED, found {args:?}")));
    }
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    let environment = target.join("t8n-diff");
    let python = environment.join("bin/python");
    if !succeeds(Command::new(&python).args(["-c", "import ethereum_spec_tools.evm_tools"])) {
        if !succeeds(Command::new("python3").args(["-m", "venv", "--help"])) {
            return Err(Failure::Missing(
                "Python 3.11 with its venv module is missing; get it with `apt install python3-venv`"
                    .to_owned(),
            ));
        }
        run(Command::new("python3").args(["-m", "venv"]).arg(&environment))?;
        run(Command::new(&python).args(["-m", "pip", "install", "--quiet", SPECIFICATION]))?;
    }
    // Not in release: the blocks are small, and the other side takes the time.
    run(&mut cargo(["build", "--package", "zvm-cli"]))?;
    let mut words: Vec<OsString> =
        vec![root().join("tests/t8n_diff.py").into(), target.join("debug/zvm").into()];
    words.push(args.first().map_or(CASES, String::as_str).into());
    words.extend(args.get(1).map(Into::into));
    // The script's folder is no place for compiled Python.
    run(Command::new(&python).env("PYTHONDONTWRITEBYTECODE", "1").args(words))
}
