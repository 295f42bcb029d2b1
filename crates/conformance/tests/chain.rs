//! The chain of the official JSON-RPC compatibility suite: every hard fork from Frontier to BPO2.

use std::{collections::HashMap, fs::File, io::Read, path::PathBuf};

use zvm_core::{
    Block,
    genesis::Genesis,
    rlp::{Reader, Rlp},
};
use zvm_state::{FileDb, MemoryDb};
use zvm_txlog::{Beside, Chain, Imported, LogStore};

/// The files of the suite that are no requests, or a loud word that they are not there.
fn files() -> Option<HashMap<String, Vec<u8>>> {
    let fixtures = std::env::var_os("ZVM_FIXTURES").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/fixtures"),
        PathBuf::from,
    );
    let path = fixtures.with_file_name("fixtures-rpc").join("rpc-compat.tar.zst");
    if !path.exists() {
        eprintln!(
            "SKIPPED: {} is not there; set ZVM_FIXTURES to the folder beside",
            path.display()
        );
        return None;
    }
    let mut archive = tar::Archive::new(zstd::Decoder::new(File::open(path).unwrap()).unwrap());
    let mut files = HashMap::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().display().to_string();
        let Some(name) = name.strip_prefix("rpc-compat/") else { continue };
        if !name.contains('/') && !name.is_empty() {
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            files.insert(name.to_owned(), bytes);
        }
    }
    Some(files)
}

fn imports(store: Box<dyn LogStore>, files: &HashMap<String, Vec<u8>>) {
    let genesis: Genesis = serde_json::from_slice(&files["genesis.json"]).unwrap();
    let mut chain = Chain::init(store, &genesis).unwrap();
    let mut reader = Reader::new(&files["chain.rlp"]);
    let mut blocks = Vec::new();
    while !reader.is_empty() {
        let block = Block::read(&mut reader).unwrap();
        assert_eq!(chain.import(&block).unwrap(), Imported::Head, "block {}", block.header.number);
        blocks.push(block);
    }
    let request: serde_json::Value = serde_json::from_slice(&files["headfcu.json"]).unwrap();
    let expected = request["params"][0]["headBlockHash"].as_str().unwrap().to_owned();
    let head = chain.head().unwrap();
    assert_eq!((head.number, head.hash.to_string()), (54, expected));
    for block in &blocks {
        assert_eq!(chain.log().block_at(block.header.number).unwrap().as_ref(), Some(block));
        assert_eq!(chain.import(block).unwrap(), Imported::Known);
    }
}

#[test]
fn the_chain_of_all_forks_imports_in_memory_and_on_disk() {
    let Some(files) = files() else { return };
    imports(Box::new(Beside::new(MemoryDb::with_history(usize::MAX))), &files);
    let folder = tempfile::tempdir().unwrap();
    imports(Box::new(FileDb::open(folder.path().join("chain")).unwrap()), &files);
}
