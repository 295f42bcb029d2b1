use tempfile::tempdir;

use super::*;
use crate::{
    FileDb, FileOptions,
    compliance::check_stores,
    kv::{
        Access, Engine,
        compliance::{check_store, entries, flip_bit},
        open as open_kv,
        sim::SimDisk,
    },
};

fn with_key(key: &Key) -> Options<'_> {
    Options { key: Some(key), ..Options::default() }
}

fn batch(key: &[u8], value: &[u8]) -> WriteBatch {
    let mut batch = WriteBatch::new();
    batch.put(Table::Accounts, key, value);
    batch
}

#[test]
fn an_encrypted_store_keeps_the_promises_of_an_engine() {
    let key = Key::from_bytes([7; 32]);
    let disk = SimDisk::default();
    check_store("home".as_ref(), &|path| disk.open(path, with_key(&key)));
    let home = tempdir().unwrap();
    check_store(home.path(), &|path| open_kv(Engine::Redb, path, with_key(&key)));
}

#[test]
fn values_are_not_on_the_disk_in_clear() {
    let key = Key::from_bytes([7; 32]);
    let home = tempdir().unwrap();
    let mut initial = WriteBatch::new();
    initial.put(Table::Meta, b"format", b"a first secret");
    let options = Options { initial: &|| Ok(initial.clone()), ..with_key(&key) };
    let mut store = open_kv(Engine::Redb, home.path(), options).unwrap();
    store.write(batch(b"key", b"a second secret"), Durability::Synced).unwrap();
    assert_eq!(store.get(Table::Meta, b"format").unwrap(), Some(b"a first secret".to_vec()));
    drop(store);
    let file = std::fs::read(home.path().join("state.redb")).unwrap();
    let holds = |text: &[u8]| file.windows(text.len()).any(|window| window == text);
    assert!(holds(b"key") && holds(b"encryption"));
    assert!(!holds(b"secret"));
}

#[test]
fn a_wrong_key_is_named_as_such() {
    let keys = [
        Key::from_bytes([1; 32]),
        Key::from_bytes([2; 32]),
        Key::from_passphrase("correct horse"),
        Key::from_passphrase("battery staple"),
    ];
    for right in [0, 2] {
        let disk = SimDisk::default();
        let open = |key| disk.open("store".as_ref(), with_key(key)).map(drop);
        open(&keys[right]).unwrap();
        for (number, key) in keys.iter().enumerate() {
            match open(key) {
                Ok(()) => assert_eq!(number, right),
                Err(error) => {
                    assert!(matches!(error, DbError::WrongKey { .. }), "{error:?}");
                    assert_ne!(number, right);
                }
            }
        }
    }
}

#[test]
fn a_missing_and_a_needless_key_are_named_as_such() {
    let key = Key::from_bytes([1; 32]);
    let disk = SimDisk::default();
    disk.open("sealed".as_ref(), with_key(&key)).unwrap();
    let error = disk.open("sealed".as_ref(), Options::default()).map(drop).unwrap_err();
    assert!(matches!(error, DbError::Encrypted { .. }), "{error:?}");
    disk.open("clear".as_ref(), Options::default()).unwrap();
    let error = disk.open("clear".as_ref(), with_key(&key)).map(drop).unwrap_err();
    assert!(matches!(error, DbError::NotEncrypted { .. }), "{error:?}");
}

#[test]
fn vetting_sees_what_was_written() {
    let key = Key::from_bytes([1; 32]);
    let disk = SimDisk::default();
    let mut store = disk.open("store".as_ref(), with_key(&key)).unwrap();
    store.write(batch(b"key", b"value"), Durability::Synced).unwrap();
    drop(store);
    let vet = |reader: &dyn KvReader| {
        assert_eq!(reader.get(Table::Accounts, b"key")?, Some(b"value".to_vec()));
        Err(DbError::NewerFormat { path: reader.path().to_owned(), found: 2, known: 1 })
    };
    let options = Options { vet: &vet, access: Access::Write, ..with_key(&key) };
    let error = disk.open("store".as_ref(), options).map(drop).unwrap_err();
    assert!(matches!(error, DbError::NewerFormat { found: 2, .. }), "{error:?}");
    disk.open("store".as_ref(), with_key(&key)).unwrap();
}

/// The encrypted bytes under `record`, through a store that does not know of encryption.
fn raw(disk: &SimDisk, work: impl FnOnce(&mut dyn KvStore)) {
    work(&mut disk.open_raw("store".as_ref(), Options::default()).unwrap());
}

#[test]
fn an_altered_or_moved_value_does_not_decrypt() {
    let key = Key::from_bytes([1; 32]);
    let disk = SimDisk::default();
    let mut store = disk.open("store".as_ref(), with_key(&key)).unwrap();
    store.write(batch(b"a", b"value"), Durability::Synced).unwrap();
    store.write(batch(b"b", b"value"), Durability::Synced).unwrap();
    drop(store);
    raw(&disk, |raw| {
        flip_bit(raw, Table::Accounts, b"b", 250);
        let value = raw.get(Table::Accounts, b"a").unwrap().unwrap();
        raw.write(batch(b"c", &value), Durability::Synced).unwrap();
    });
    let store = disk.open("store".as_ref(), with_key(&key)).unwrap();
    assert_eq!(store.get(Table::Accounts, b"a").unwrap(), Some(b"value".to_vec()));
    for key in [b"b", b"c"] {
        let error = store.get(Table::Accounts, key).unwrap_err();
        assert!(matches!(error, DbError::Corrupt { .. }), "{error:?}");
        assert!(store.multi_get(Table::Accounts, &[b"a", key]).is_err());
    }
    let mut all = store.iter(Table::Accounts, b"", None, Order::Forward).unwrap();
    assert!(all.next().unwrap().is_ok());
    assert!(all.next().unwrap().is_err());
    assert!(all.next().is_none());
}

#[test]
fn a_damaged_record_is_not_taken_for_a_wrong_key() {
    let key = Key::from_passphrase("correct horse");
    let disk = SimDisk::default();
    disk.open("store".as_ref(), with_key(&key)).unwrap();
    let mut bits = 0;
    raw(&disk, |raw| bits = 8 * raw.get(Table::Meta, RECORD).unwrap().unwrap().len());
    for bit in (0..bits).step_by(5) {
        raw(&disk, |raw| flip_bit(raw, Table::Meta, RECORD, bit));
        let error = disk.open("store".as_ref(), with_key(&key)).map(drop).unwrap_err();
        assert!(matches!(error, DbError::Corrupt { .. }), "{error:?}");
        raw(&disk, |raw| flip_bit(raw, Table::Meta, RECORD, bit));
    }
}

#[test]
fn the_record_cannot_be_seen_or_changed_from_above() {
    let key = Key::from_bytes([1; 32]);
    let disk = SimDisk::default();
    let mut store = disk.open("store".as_ref(), with_key(&key)).unwrap();
    let mut all = WriteBatch::new();
    all.delete_prefix(Table::Meta, b"");
    all.delete(Table::Meta, RECORD);
    store.write(all, Durability::Synced).unwrap();
    assert_eq!(store.get(Table::Meta, RECORD).unwrap(), None);
    assert!(entries(&*store, Table::Meta, b"", None, Order::Forward).is_empty());
    drop(store);
    disk.open("store".as_ref(), with_key(&key)).unwrap();
}

#[test]
fn an_encrypted_state_keeps_the_promises_of_a_backend() {
    let home = tempdir().unwrap();
    let key = Key::from_bytes([7; 32]);
    check_stores(home.path(), |path| {
        Box::new(FileDb::open_with_key(path, FileOptions::default(), Some(&key)).unwrap())
    });
}
