//! Other programs that tests talk to, fetched at the version the tests were made for.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
    process::Command,
};

use crate::step::{Failure, root, run, succeeds};

/// anvil, the node of Foundry, from npm.
const ANVIL_VERSION: &str = "1.7.1";

/// Fetches anvil, unless it is there, and prints where it is.
pub(crate) fn install(args: &[String]) -> Result<(), Failure> {
    if !args.is_empty() {
        return Err(Failure::Usage(format!("`peers` takes no arguments, found {args:?}")));
    }
    let folder = folder().join(format!("anvil-{ANVIL_VERSION}"));
    if !folder.exists() {
        let package = package().ok_or_else(|| {
            let (os, arch) = (env::consts::OS, env::consts::ARCH);
            Failure::Missing(format!("npm has no anvil for {os} on {arch}"))
        })?;
        fetch(&package, &folder)?;
    }
    println!("{}", folder.join("package/bin/anvil").display());
    Ok(())
}

/// `$ZVM_PEERS`, or a folder of the target directory.
fn folder() -> PathBuf {
    let target =
        || env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    env::var_os("ZVM_PEERS").map_or_else(|| target().join("peers"), PathBuf::from)
}

/// The package with the binary for this machine.
fn package() -> Option<String> {
    let os = match env::consts::OS {
        "linux" => "linux",
        "macos" => "darwin",
        _ => return None,
    };
    let arch = match env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        _ => return None,
    };
    Some(format!("@foundry-rs/anvil-{os}-{arch}@{ANVIL_VERSION}"))
}

/// Unpacks the npm package into `folder`, which is there afterwards as a whole or not at all.
fn fetch(package: &str, folder: &Path) -> Result<(), Failure> {
    if !succeeds(Command::new("npm").arg("--version")) {
        return Err(Failure::Missing("npm is missing; get it with Node.js".to_owned()));
    }
    let mut draft = folder.as_os_str().to_owned();
    draft.push(format!(".{}.part", std::process::id()));
    let draft = PathBuf::from(draft);
    let failed = |action: &str| {
        let line = format!("{action} {}", draft.display());
        move |source: io::Error| Failure::Start { line, source }
    };
    fs::create_dir_all(&draft).map_err(failed("mkdir"))?;
    let pack = ["pack", "--silent", "--pack-destination", ".", package];
    run(Command::new("npm").current_dir(&draft).args(pack).stdout(std::process::Stdio::null()))?;
    let entries = fs::read_dir(&draft).map_err(failed("read"))?;
    let archive = entries.filter_map(Result::ok).map(|entry| entry.path()).next();
    let archive =
        archive.ok_or_else(|| Failure::Missing(format!("npm gave no file of {package}")))?;
    run(Command::new("tar").current_dir(&draft).arg("-xzf").arg(&archive))?;
    fs::remove_file(&archive).map_err(failed("tidy"))?;
    // Somebody else may have been faster, with the same.
    if fs::rename(&draft, folder).is_err() {
        fs::remove_dir_all(&draft).map_err(failed("tidy"))?;
    }
    Ok(())
}
