//! What compiling RocksDB takes beside Rust: a C++ compiler, and libclang to read its headers.
//!
//! libclang is used as installed, or else comes from PyPI as a wheel into `target/`, which needs no
//! root and touches nothing outside the repository.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::step::{Failure, root, run, succeeds};

/// The wheel, pinned: RocksDB's headers ask for nothing newer.
const WHEEL: &str = "libclang==18.1.1";

/// Where systems keep libraries; `*` stands for any name.
const LIBRARIES: &[&str] = &[
    "/usr/lib",
    "/usr/lib64",
    "/usr/local/lib",
    "/usr/lib/*-linux-gnu",
    "/usr/lib/llvm-*/lib",
    "/usr/lib64/llvm*/lib",
    "/opt/homebrew/opt/llvm/lib",
    "/Library/Developer/CommandLineTools/usr/lib",
];

/// Gives `command` the environment in which RocksDB compiles.
pub(crate) fn prepare(command: &mut Command) -> Result<(), Failure> {
    need_cpp_compiler()?;
    if std::env::var_os("LIBCLANG_PATH").is_some() || is_installed() {
        return Ok(());
    }
    let folder = root().join("target/libclang");
    let library = folder.join("clang/native");
    if !library.is_dir() {
        install(&folder)?;
    }
    command.env("LIBCLANG_PATH", library);
    // The wheel lacks the headers that come with a compiler, such as stddef.h.
    if std::env::var_os("BINDGEN_EXTRA_CLANG_ARGS").is_none()
        && let Some(headers) = compiler_headers()
    {
        command.env("BINDGEN_EXTRA_CLANG_ARGS", format!("-I{}", headers.display()));
    }
    Ok(())
}

fn need_cpp_compiler() -> Result<(), Failure> {
    let compiler = std::env::var_os("CXX").unwrap_or_else(|| "c++".into());
    if succeeds(Command::new(&compiler).arg("--version")) {
        return Ok(());
    }
    Err(Failure::Missing(format!(
        "no C++ compiler ({} does not run); get one with `apt install g++`, `dnf install gcc-c++` \
         or `xcode-select --install`, or set CXX",
        compiler.display()
    )))
}

/// Downloads the wheel into `folder`.
fn install(folder: &Path) -> Result<(), Failure> {
    let python = ["python3", "python"]
        .into_iter()
        .find(|python| succeeds(Command::new(python).args(["-m", "pip", "--version"])))
        .ok_or_else(|| {
            Failure::Missing(
                "libclang is missing, and Python with pip, which could get it; install libclang \
                 with `apt install libclang-dev` or `dnf install clang-devel`, or set LIBCLANG_PATH"
                    .to_owned(),
            )
        })?;
    let pip = ["-m", "pip", "install", "--quiet", "--no-deps", "--target"];
    run(Command::new(python).args(pip).arg(folder).arg(WHEEL))
}

/// Whether libclang is where its users look for it.
fn is_installed() -> bool {
    let llvm = printed(Command::new("llvm-config").arg("--libdir"));
    llvm.into_iter()
        .chain(LIBRARIES.iter().flat_map(|pattern| matching(pattern)))
        .any(|folder| holds_libclang(&folder))
}

fn holds_libclang(folder: &Path) -> bool {
    let names = fs::read_dir(folder).into_iter().flatten().flatten();
    names.filter_map(|file| file.file_name().into_string().ok()).any(|name| is_libclang(&name))
}

/// Whether a file of this name is the C library, not the C++ one beside it.
fn is_libclang(name: &str) -> bool {
    name.strip_prefix("libclang").is_some_and(|rest| {
        !rest.starts_with("-cpp")
            && (rest.contains(".so") || rest.contains(".dylib"))
            && (rest.starts_with('.') || rest.starts_with('-'))
    })
}

/// The folders that `pattern` means.
fn matching(pattern: &str) -> Vec<PathBuf> {
    let mut found = vec![PathBuf::from("/")];
    for part in pattern.split('/').filter(|part| !part.is_empty()) {
        found = match part.split_once('*') {
            None => found.into_iter().map(|folder| folder.join(part)).collect(),
            Some((start, end)) => found
                .into_iter()
                .flat_map(|folder| fs::read_dir(folder).into_iter().flatten().flatten())
                .filter(|entry| {
                    let name = entry.file_name();
                    let name = name.to_string_lossy();
                    name.starts_with(start) && name.ends_with(end)
                })
                .map(|entry| entry.path())
                .collect(),
        };
    }
    found
}

/// The folder of the headers that come with the C compiler.
fn compiler_headers() -> Option<PathBuf> {
    let compiler = std::env::var_os("CC").unwrap_or_else(|| "cc".into());
    printed(Command::new(compiler).arg("-print-file-name=include"))
}

/// The folder that `command` prints.
fn printed(command: &mut Command) -> Option<PathBuf> {
    let output = command.output().ok()?;
    let folder = PathBuf::from(String::from_utf8(output.stdout).ok()?.trim());
    folder.is_dir().then_some(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libclang_is_known_by_its_name() {
        for name in ["libclang.so", "libclang.so.1", "libclang-14.so.14.0.6", "libclang.dylib"] {
            assert!(is_libclang(name), "{name}");
        }
        for name in ["libclang-cpp.so.14", "libclangAST.a", "libclang_rt.so", "clang", "libclang.a"]
        {
            assert!(!is_libclang(name), "{name}");
        }
    }

    #[test]
    fn stars_stand_for_any_name() {
        let folder = root().join("xtask");
        let pattern = format!("{}/x*k/src", root().display());
        assert_eq!(matching(&pattern), [folder.join("src")]);
        assert!(matching("/no/such/*/folder").is_empty());
    }
}
