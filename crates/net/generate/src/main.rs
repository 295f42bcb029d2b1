//! Writes `crates/net/src/proto/generated.rs` from `crates/net/proto/state.proto`.
//!
//! ```text
//! cargo run -p generate-net
//! ```
//!
//! The code is part of the repository, so that building zvm needs neither `protoc` nor this program;
//! a test compares the two. The .proto is read by a compiler in Rust.

use std::{
    error::Error,
    fs,
    path::{Path, PathBuf},
};

fn main() -> Result<(), Box<dyn Error>> {
    let target = net().join("src/proto/generated.rs");
    fs::write(&target, generate(&std::env::temp_dir())?)?;
    println!("{}", target.display());
    Ok(())
}

/// The folder of the crate.
fn net() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The code for messages, client and server. `folder` is for a draft.
fn generate(folder: &Path) -> Result<String, Box<dyn Error>> {
    let files = protox::compile(["state.proto"], [net().join("proto")])?;
    tonic_prost_build::configure()
        .bytes(".")
        .build_transport(false)
        .emit_rerun_if_changed(false)
        .out_dir(folder)
        .compile_fds(files)?;
    let draft = folder.join("zvm.net.v1.rs");
    let code = fs::read_to_string(&draft)?;
    fs::remove_file(draft)?;
    Ok(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_in_the_repository_is_that_of_the_proto() {
        let folder = tempfile::tempdir().unwrap();
        let found = fs::read_to_string(net().join("src/proto/generated.rs")).unwrap();
        let expected = generate(folder.path()).unwrap();
        assert!(found == expected, "run `cargo run -p generate-net`");
    }
}
