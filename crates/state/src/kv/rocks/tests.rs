use tempfile::tempdir;

use super::*;
use crate::{
    FileDb, FileOptions,
    compliance::check_stores,
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
    let options = FileOptions { engine: Engine::RocksDb, ..FileOptions::default() };
    check_stores(home.path(), |path| Box::new(FileDb::open_with(path, options).unwrap()));
}
