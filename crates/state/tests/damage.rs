//! Files that were cut, altered, locked or left behind by a crash.

use std::{
    fs,
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use proptest::prelude::*;
use tempfile::{TempDir, tempdir};
use zvm_core::{AccountInfo, Address, B256, Database, DbError, StateBackend, U256};
use zvm_state::FileDb;

/// Writes accounts with storage, enough for trees of several pages.
fn fill(db: &mut FileDb, accounts: u64) {
    let mut batch = db.batch();
    for id in 0..accounts {
        let address = Address::left_padding_from(&id.to_be_bytes());
        let info = AccountInfo { nonce: id, balance: U256::from(id), ..AccountInfo::default() };
        batch = batch.set_account(address, info);
        for slot in 0..id % 5 {
            batch = batch.set_storage(address, U256::from(slot), U256::from(id + 1));
        }
    }
    batch.commit().unwrap();
}

/// A store that was closed cleanly: its folder, its file, the bytes of the file and the root.
fn closed_store() -> (TempDir, PathBuf, Vec<u8>, B256) {
    let folder = tempdir().unwrap();
    let mut db = FileDb::open(folder.path()).unwrap();
    fill(&mut db, 40);
    fill(&mut db, 60);
    let root = db.state_root().unwrap();
    drop(db);
    let file = folder.path().join("state.redb");
    let bytes = fs::read(&file).unwrap();
    (folder, file, bytes, root)
}

/// The refusal to open `folder`, checked to be one line that names the path.
fn refusal(folder: &Path) -> DbError {
    let error = FileDb::open(folder).expect_err("the store must be refused");
    let message = error.to_string();
    assert!(message.contains(&*folder.to_string_lossy()), "{message}");
    assert!(!message.contains('\n'), "{message}");
    error
}

/// The root of everything a store holds, as it reads back.
fn content_root(db: &dyn StateBackend) -> B256 {
    let mut accounts = Vec::new();
    db.for_each_account(B256::ZERO, &mut |_, address, info| {
        let storage = zvm_trie::storage_root(db.storage_entries(address)?);
        accounts.push((address, info, storage));
        Ok(ControlFlow::Continue(()))
    })
    .unwrap();
    zvm_trie::state_root(accounts)
}

/// Opens an altered store: it is refused and left alone, or it is whole and has `root`.
fn refused_or_whole(folder: &Path, file: &Path, altered: &[u8], root: B256) -> bool {
    fs::write(file, altered).unwrap();
    match FileDb::open(folder) {
        Ok(db) => {
            assert_eq!(content_root(&db), root, "an altered store opened with other content");
            true
        }
        Err(error) => {
            assert!(!error.to_string().contains('\n'), "{error}");
            assert!(fs::read(file).unwrap() == altered, "a refused file was changed");
            false
        }
    }
}

#[test]
fn a_file_cut_anywhere_is_refused_and_left_alone() {
    let (folder, file, bytes, _) = closed_store();
    for eighth in 0..8 {
        for cut in [eighth * bytes.len() / 8, eighth * bytes.len() / 8 + 17] {
            fs::write(&file, &bytes[..cut]).unwrap();
            let error = refusal(folder.path());
            assert!(matches!(error, DbError::Corrupt { .. }), "cut at {cut}: {error:?}");
            assert!(fs::read(&file).unwrap() == bytes[..cut], "the refused file was changed");
        }
    }
}

#[test]
fn garbage_is_refused_and_left_alone() {
    let folder = tempdir().unwrap();
    let file = folder.path().join("state.redb");
    for garbage in [vec![0; 1], vec![0; 100_000], vec![0xa5; 70_001], b"{\"json\": true}".to_vec()]
    {
        fs::write(&file, &garbage).unwrap();
        assert!(matches!(refusal(folder.path()), DbError::Corrupt { .. }));
        assert!(fs::read(&file).unwrap() == garbage);
    }
}

#[test]
fn a_flipped_bit_is_noticed_or_harmless() {
    let (folder, file, bytes, root) = closed_store();
    // Every byte of the header, then a sample of the pages.
    let header = 0..320;
    let pages = (320..bytes.len()).step_by(8209);
    for at in header.chain(pages) {
        let mut altered = bytes.clone();
        altered[at] ^= 1 << (at % 8);
        refused_or_whole(folder.path(), &file, &altered, root);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn an_overwritten_stretch_is_noticed_or_harmless(
        at in any::<prop::sample::Index>(),
        noise in prop::collection::vec(any::<u8>(), 1..6000),
    ) {
        let (folder, file, mut bytes, root) = closed_store();
        let start = at.index(bytes.len());
        let end = bytes.len().min(start + noise.len());
        bytes[start..end].copy_from_slice(&noise[..end - start]);
        refused_or_whole(folder.path(), &file, &bytes, root);
    }
}

#[test]
fn a_newer_or_older_format_is_refused_and_left_alone() {
    let (folder, file, ..) = closed_store();
    let format = FileDb::open(folder.path()).unwrap().stat().unwrap().format;
    let refusal_of = |other: u32| {
        let meta = redb::TableDefinition::<&[u8], &[u8]>::new("meta");
        let database = redb::Database::open(&file).unwrap();
        let transaction = database.begin_write().unwrap();
        let (key, value) = (b"format".as_slice(), other.to_be_bytes());
        transaction.open_table(meta).unwrap().insert(key, value.as_slice()).unwrap();
        transaction.commit().unwrap();
        drop(database);
        let bytes = fs::read(&file).unwrap();
        let refusal = refusal(folder.path());
        assert!(fs::read(&file).unwrap() == bytes);
        refusal
    };
    let (newer, older) = (format + 1, format - 1);
    assert!(
        matches!(refusal_of(newer), DbError::NewerFormat { found, known, .. } if (found, known) == (newer, format))
    );
    assert!(
        matches!(refusal_of(older), DbError::OlderFormat { found, known, .. } if (found, known) == (older, format))
    );
}

#[test]
fn a_redb_file_of_something_else_is_refused() {
    let folder = tempdir().unwrap();
    drop(redb::Database::create(folder.path().join("state.redb")).unwrap());
    assert!(matches!(refusal(folder.path()), DbError::Corrupt { .. }));
}

#[test]
fn a_damaged_record_says_where_it_is() {
    let (folder, file, ..) = closed_store();
    // So long after its block, a record is in its table and nowhere else.
    let mut db = FileDb::open(folder.path()).unwrap();
    for _ in 0..130 {
        db.batch().commit().unwrap();
    }
    drop(db);
    let accounts = redb::TableDefinition::<&[u8], &[u8]>::new("accounts");
    let database = redb::Database::open(&file).unwrap();
    let transaction = database.begin_write().unwrap();
    let address = Address::left_padding_from(&7_u64.to_be_bytes());
    let key = zvm_core::keccak256(address);
    transaction
        .open_table(accounts)
        .unwrap()
        .insert(key.as_slice(), [1, 2, 3, 4, 5, 6, 7].as_slice())
        .unwrap();
    transaction.commit().unwrap();
    drop(database);

    let mut db = FileDb::open(folder.path()).unwrap();
    let root = db.state_root().unwrap();
    let read = db.account(address).unwrap_err().to_string();
    let written =
        db.batch().set_storage(address, U256::from(1), U256::from(1)).commit().unwrap_err();
    for error in [read, written.to_string()] {
        assert!(error.contains("state.redb"), "{error}");
        assert!(error.contains(&format!("accounts {key}: checksum")), "{error}");
    }
    assert_eq!((db.head().unwrap().number, db.state_root().unwrap()), (132, root));
}

#[test]
fn paths_that_cannot_hold_a_store_are_refused() {
    let folder = tempdir().unwrap();
    let plain = folder.path().join("plain");
    fs::write(&plain, "text").unwrap();
    assert!(matches!(refusal(&plain), DbError::Io { .. }));
    assert!(matches!(refusal(&plain.join("below")), DbError::Io { .. }));
    assert_eq!(fs::read_to_string(&plain).unwrap(), "text");

    fs::create_dir_all(folder.path().join("odd/state.redb")).unwrap();
    assert!(matches!(refusal(&folder.path().join("odd")), DbError::Corrupt { .. }));
}

#[cfg(unix)]
#[test]
fn a_folder_without_permission_is_refused() {
    use std::os::unix::fs::PermissionsExt;

    let folder = tempdir().unwrap();
    let closed = folder.path().join("closed");
    fs::create_dir(&closed).unwrap();
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o500)).unwrap();
    if fs::write(closed.join("probe"), "").is_ok() {
        eprintln!("SKIPPED: this user may write anywhere (root?)");
        return;
    }
    assert!(matches!(refusal(&closed), DbError::Io { .. }));
}

#[test]
fn a_second_opener_is_told_that_the_store_is_in_use() {
    let folder = tempdir().unwrap();
    let first = FileDb::open(folder.path()).unwrap();
    assert!(matches!(refusal(folder.path()), DbError::Locked { .. }));
    drop(first);
    FileDb::open(folder.path()).unwrap();
}

#[test]
fn a_draft_left_by_a_crash_is_replaced() {
    let folder = tempdir().unwrap();
    fs::write(folder.path().join("state.redb.new"), "half made").unwrap();
    let mut db = FileDb::open(folder.path()).unwrap();
    fill(&mut db, 3);
    drop(db);
    assert!(!folder.path().join("state.redb.new").exists());
    assert!(FileDb::open(folder.path()).unwrap().account(Address::ZERO).unwrap().is_some());
}
