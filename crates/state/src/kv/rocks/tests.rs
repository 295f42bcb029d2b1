use std::cell::Cell;

use tempfile::tempdir;
use zvm_core::StateBackend;

use super::*;
use crate::{
    FileDb, FileOptions,
    compliance::check_backend,
    kv::{self, Engine, Key, compliance::check_store},
};

fn open(folder: &Path) -> Result<Box<dyn KvStore>, DbError> {
    Ok(Box::new(RocksKv::open(folder, Options::default())?))
}

#[test]
fn rocksdb_keeps_the_promises_of_an_engine() {
    let home = tempdir().unwrap();
    check_store(home.path(), &open);
}

#[test]
fn an_encrypted_store_keeps_the_promises_on_rocksdb() {
    let home = tempdir().unwrap();
    let key = Key::from_bytes([7; 32]);
    check_store(home.path(), &|path| {
        kv::open(Engine::RocksDb, path, Options { key: Some(&key), ..Options::default() })
    });
}

#[test]
fn a_state_on_rocksdb_keeps_the_promises_of_a_backend() {
    let home = tempdir().unwrap();
    let number = Cell::new(0);
    let options = FileOptions { engine: Engine::RocksDb, ..FileOptions::default() };
    let open = || -> Box<dyn StateBackend> {
        let folder = home.path().join(number.get().to_string());
        Box::new(FileDb::open_with(folder, options).unwrap())
    };
    check_backend(
        || {
            number.set(number.get() + 1);
            open()
        },
        |backend| {
            drop(backend);
            open()
        },
    );
}
