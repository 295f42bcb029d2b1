use tempfile::tempdir;

use super::*;
use crate::kv::compliance::check_store;

fn open(folder: &Path) -> Result<Box<dyn KvStore>, DbError> {
    Ok(Box::new(RocksKv::open(folder, Options::default())?))
}

#[test]
fn rocksdb_keeps_the_promises_of_an_engine() {
    let home = tempdir().unwrap();
    check_store(home.path(), &open);
}
