use std::{collections::BTreeMap, fs, path::Path};

use tempfile::tempdir;
use zvm_core::{AccountInfo, Address, Database, StateBackend, U256};

use super::*;
use crate::{StoreConfig, config::KeySource, kv::Access, open_store};

fn config(path: impl Into<PathBuf>) -> DatabaseConfig {
    DatabaseConfig::File(StoreConfig::new(path))
}

/// A block that changes some accounts.
fn commit(db: &mut FileDb, number: u64) {
    let mut batch = db.batch();
    for id in 0..50 {
        let address = Address::from_word(zvm_core::keccak256((number * id).to_be_bytes()));
        let info = AccountInfo { nonce: number, ..AccountInfo::default() };
        batch = batch.set_account(address, info);
        batch = batch.set_storage(address, U256::from(id), U256::from(number));
    }
    batch.commit().unwrap();
}

/// A store of 40 blocks in `path`.
fn store(config: &DatabaseConfig) -> FileDb {
    let mut db = open_store(config, Access::Create).unwrap();
    for number in 1..=40 {
        commit(&mut db, number);
    }
    db
}

/// Everything in a folder, by path.
fn content(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let files = files_in(folder).unwrap();
    files.into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

#[test]
fn a_restored_store_is_the_one_backed_up_with_its_past() {
    let home = tempdir().unwrap();
    let db = store(&config(home.path().join("state")));
    let (backup, copy) = (home.path().join("backup"), home.path().join("copy"));
    let manifest = db.backup().unwrap().write(&backup).unwrap();
    assert_eq!(
        (manifest.block, manifest.state_root),
        (db.head().unwrap(), db.state_root().unwrap())
    );
    assert_eq!(Manifest::read(&backup).unwrap(), manifest);
    let names: Vec<_> = manifest.files.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(names, ["state.redb"]);

    let before = content(&backup);
    let (mut copied, mut checked) = (0, 0);
    let restored = restore(&backup, &config(&copy), &mut |step| match step {
        RestoreStep::Copied { bytes, of } => {
            assert!(bytes <= of);
            copied = bytes;
        }
        RestoreStep::Checked { accounts, .. } => checked = accounts,
    });
    assert_eq!(restored.unwrap(), manifest);
    assert_eq!(copied, manifest.files[0].bytes);
    assert!(checked > 500, "{checked}");
    assert_eq!(content(&backup), before);

    let mut copy = open_store(&config(&copy), Access::Write).unwrap();
    copy.check(CheckLevel::Branches, &mut |_| {}).unwrap();
    assert_eq!(copy.floor(), db.floor());
    commit(&mut copy, 41);
    copy.unwind(7).unwrap();
    copy.check(CheckLevel::Branches, &mut |_| {}).unwrap();
}

#[test]
fn a_backup_made_while_commits_go_on_is_a_state_that_was_committed() {
    let home = tempdir().unwrap();
    let mut db = store(&config(home.path().join("state")));
    for round in 0..4_u64 {
        let (path, copy) = (home.path().join(format!("{round}")), home.path().join("copy"));
        let (head, root) = (db.head().unwrap(), db.state_root().unwrap());
        let backup = db.backup().unwrap();
        let manifest = std::thread::scope(|scope| {
            let written = scope.spawn(|| backup.write(&path).unwrap());
            let mut number = head.number;
            while !written.is_finished() || number < head.number + 5 {
                number += 1;
                commit(&mut db, number);
            }
            written.join().unwrap()
        });
        assert_eq!((manifest.block, manifest.state_root), (head, root));
        restore(&path, &config(&copy), &mut |_| {}).unwrap();
        let copy_db = open_store(&config(&copy), Access::Read).unwrap();
        assert_eq!((copy_db.head().unwrap(), copy_db.state_root().unwrap()), (head, root));
        drop(copy_db);
        fs::remove_dir_all(copy).unwrap();
    }
    db.check(CheckLevel::Branches, &mut |_| {}).unwrap();
}

#[test]
fn a_changed_byte_anywhere_is_refused_by_file_and_leaves_no_target() {
    let home = tempdir().unwrap();
    let db = store(&config(home.path().join("state")));
    let (backup, target) = (home.path().join("backup"), home.path().join("target"));
    db.backup().unwrap().write(&backup).unwrap();
    for (path, whole) in content(&backup) {
        let step = (whole.len() / 40).max(1);
        for at in (0..whole.len()).step_by(step).chain([whole.len() - 1]) {
            let mut changed = whole.clone();
            changed[at] ^= 1 << (at % 8);
            fs::write(&path, &changed).unwrap();
            let error = restore(&backup, &config(&target), &mut |_| {}).unwrap_err().to_string();
            assert!(error.starts_with(path.to_str().unwrap()), "byte {at}: {error}");
        }
        for other in [&whole[..whole.len() - 1], &[&whole[..], b"\n"].concat()] {
            fs::write(&path, other).unwrap();
            let error = restore(&backup, &config(&target), &mut |_| {}).unwrap_err().to_string();
            assert!(error.starts_with(path.to_str().unwrap()), "{error}");
        }
        fs::remove_file(&path).unwrap();
        let error = restore(&backup, &config(&target), &mut |_| {}).unwrap_err().to_string();
        assert!(error.starts_with(path.to_str().unwrap()), "{error}");
        fs::write(&path, whole).unwrap();
    }
    let mut names: Vec<_> =
        fs::read_dir(home.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["backup", "state"]);
    restore(&backup, &config(&target), &mut |_| {}).unwrap();
}

#[test]
fn what_is_there_is_never_written_over() {
    let home = tempdir().unwrap();
    let place = home.path().join("state");
    let db = store(&config(&place));
    let backup = home.path().join("backup");
    db.backup().unwrap().write(&backup).unwrap();
    drop(db);
    let before = content(home.path());
    let error = restore(&backup, &config(&place), &mut |_| {}).unwrap_err();
    assert!(error.to_string().contains("cannot make a database here"), "{error}");
    let db = open_store(&config(&place), Access::Read).unwrap();
    let error = db.backup().unwrap().write(&backup).unwrap_err();
    assert!(error.to_string().contains("cannot make a backup here"), "{error}");
    let error = db.backup().unwrap().write(&place).unwrap_err();
    assert!(error.to_string().contains("cannot make a backup here"), "{error}");
    assert_eq!(content(home.path()), before);
}

#[test]
fn what_is_no_backup_is_named() {
    let home = tempdir().unwrap();
    let target = config(home.path().join("target"));
    let db = store(&config(home.path().join("state")));
    let backup = home.path().join("backup");
    let fault = |config: &DatabaseConfig| restore(&backup, config, &mut |_| {}).unwrap_err();
    assert!(fault(&target).to_string().contains("cannot read the manifest of a backup"));
    db.backup().unwrap().write(&backup).unwrap();

    let rocks = DatabaseConfig::RocksDb(StoreConfig::new(home.path().join("target")));
    assert!(matches!(fault(&rocks), BackupError::Engine { .. }));
    let memory = fault(&DatabaseConfig::Memory).to_string();
    assert!(memory.contains("a folder is needed"), "{memory}");

    let path = backup.join(manifest::FILE);
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("\"version\": 1", "\"version\": 2")).unwrap();
    assert!(matches!(fault(&target), BackupError::Newer { found: 2, known: 1, .. }));
    fs::write(&path, text.replace("zvm-backup", "tarball")).unwrap();
    assert!(fault(&target).to_string().contains("format \"tarball\", expected \"zvm-backup\""));

    // Written as it should be, and wrong.
    let whole = db.backup().unwrap().manifest;
    let with = |files: Vec<BackupFile>| {
        fs::remove_file(&path).unwrap();
        Manifest { files, ..whole.clone() }.write(&backup).unwrap();
        fault(&target).to_string()
    };
    let file = |path: &str| BackupFile { path: path.to_owned(), bytes: 0, keccak256: B256::ZERO };
    for outside in ["", "/etc/passwd", "../state/state.redb", "a/../b"] {
        assert!(with(vec![file(outside)]).contains("is no path in it"), "{outside}");
    }
    assert!(with(Vec::new()).contains("state.redb"));
    let huge = BackupFile { bytes: u64::MAX, ..file("absent") };
    assert!(with(vec![huge.clone(), huge]).contains("absent: cannot open"));
    fs::remove_file(&path).unwrap();
    let newer = Manifest { store_format: u32::MAX, ..whole.clone() };
    newer.write(&backup).unwrap();
    assert!(matches!(fault(&target), BackupError::Newer { found: u32::MAX, .. }));
    fs::remove_file(&path).unwrap();
    let files = serde_json::from_str::<Manifest>(&text).unwrap().files;
    Manifest { state_root: B256::ZERO, files, ..whole }.write(&backup).unwrap();
    assert!(fault(&target).to_string().contains("the store is at block 40 with root"));
}

#[test]
fn an_encrypted_store_stays_encrypted_and_needs_its_key() {
    let home = tempdir().unwrap();
    let with_key = |name: &str, key: &str| {
        let key_file = home.path().join(key);
        fs::write(&key_file, key.repeat(64 / key.len())).unwrap();
        let mut store = StoreConfig::new(home.path().join(name));
        store.key = Some(KeySource::KeyFile(key_file));
        DatabaseConfig::File(store)
    };
    let mut db = store(&with_key("state", "ab"));
    let secret = b"a word that is to be found nowhere";
    let mut batch = db.batch();
    let code_hash = batch.set_code(zvm_core::Bytes::from_static(secret));
    let info = AccountInfo { code_hash, ..AccountInfo::default() };
    batch.set_account(Address::repeat_byte(7), info).commit().unwrap();
    let backup = home.path().join("backup");
    db.backup().unwrap().write(&backup).unwrap();
    for (path, bytes) in content(&backup) {
        assert!(!bytes.windows(secret.len()).any(|part| part == secret), "{}", path.display());
    }
    let refused = |to: &DatabaseConfig| match restore(&backup, to, &mut |_| {}) {
        Err(BackupError::Database(error)) => error,
        other => panic!("{other:?}"),
    };
    assert!(matches!(refused(&config(home.path().join("copy"))), DbError::Encrypted { .. }));
    assert!(matches!(refused(&with_key("copy", "cd")), DbError::WrongKey { .. }));
    assert!(!home.path().join("copy").exists());
    restore(&backup, &with_key("copy", "ab"), &mut |_| {}).unwrap();
    let copy = open_store(&with_key("copy", "ab"), Access::Read).unwrap();
    assert_eq!(copy.code(code_hash).unwrap().as_ref(), secret);
}
