//! What opening a redb store does to its file, for each kind of access: nothing, if it is refused or
//! only read.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use tempfile::{TempDir, tempdir};
use zvm_core::DbError;
use zvm_state::kv::{
    Access, Durability, Engine, Entry, KvReader, KvStore, Options, Order, Table, WriteBatch, open,
};

const FILE: &str = "state.redb";

/// What the layout above asks of a store: that its format is known.
fn vet(reader: &dyn KvReader) -> Result<(), DbError> {
    let path = || reader.path().to_owned();
    match reader.get(Table::Meta, b"format")?.as_deref() {
        Some([1]) => Ok(()),
        Some([newer]) => {
            Err(DbError::NewerFormat { path: path(), found: u32::from(*newer), known: 1 })
        }
        _ => Err(DbError::Corrupt { path: path(), what: "no format".to_owned() }),
    }
}

fn options(access: Access) -> Options<'static> {
    let mut initial = WriteBatch::new();
    initial.put(Table::Meta, b"format", &[1]);
    Options { access, initial, vet: &vet, ..Options::default() }
}

fn open_redb(folder: &Path) -> Result<Box<dyn KvStore>, DbError> {
    open(Engine::Redb, folder, options(Access::Create))
}

/// Writes entries enough for trees of several pages.
fn fill(store: &mut dyn KvStore, entries: u32, value: u8) {
    let mut batch = WriteBatch::new();
    for key in 0..entries {
        batch.put(Table::Accounts, &key.to_be_bytes(), &[value; 60]);
    }
    store.write(batch, Durability::Synced).unwrap();
}

/// All entries, or the first error.
fn content(store: &dyn KvReader) -> Result<Vec<Entry>, DbError> {
    let mut content = Vec::new();
    for table in Table::ALL {
        for entry in store.iter(table, &[], None, Order::Forward)? {
            content.push(entry?);
        }
    }
    Ok(content)
}

/// A store that was closed cleanly: its folder, its file, the bytes of the file and its content.
fn closed_store() -> (TempDir, PathBuf, Vec<u8>, Vec<Entry>) {
    let folder = tempdir().unwrap();
    let mut store = open_redb(folder.path()).unwrap();
    fill(&mut *store, 400, 1);
    fill(&mut *store, 600, 2);
    let content = content(&*store).unwrap();
    drop(store);
    let file = folder.path().join(FILE);
    let bytes = fs::read(&file).unwrap();
    (folder, file, bytes, content)
}

/// The refusal to open `folder`, checked to be one line that names the path.
fn refusal(folder: &Path) -> DbError {
    let error = open_redb(folder).map(drop).expect_err("the store must be refused");
    let message = error.to_string();
    assert!(message.contains(&*folder.to_string_lossy()), "{message}");
    assert!(!message.contains('\n'), "{message}");
    error
}

/// Opens an altered store for each access: it is refused and left alone, or it is whole.
fn refused_or_whole(folder: &Path, file: &Path, altered: &[u8], expected: &[Entry]) {
    for access in [Access::Read, Access::Create] {
        fs::write(file, altered).unwrap();
        match open(Engine::Redb, folder, options(access)) {
            Ok(store) => match content(&*store) {
                Ok(found) => assert!(found == expected, "an altered store has other content"),
                Err(error) => assert!(matches!(error, DbError::Corrupt { .. }), "{error}"),
            },
            Err(error) => {
                assert!(!error.to_string().contains('\n'), "{error}");
                assert!(fs::read(file).unwrap() == altered, "a refused file was changed");
            }
        }
        if access == Access::Read {
            assert!(fs::read(file).unwrap() == altered, "reading changed the file");
        }
    }
}

#[test]
fn a_flipped_bit_is_noticed_or_harmless() {
    let (folder, file, bytes, content) = closed_store();
    // Every byte of the header, then a sample of the pages.
    let header = 0..320;
    let pages = (320..bytes.len()).step_by(8209);
    for at in header.chain(pages) {
        let mut altered = bytes.clone();
        altered[at] ^= 1 << (at % 8);
        refused_or_whole(folder.path(), &file, &altered, &content);
    }
}

#[test]
fn a_store_refused_by_vetting_is_left_alone() {
    let (folder, file, ..) = closed_store();
    let mut store = open_redb(folder.path()).unwrap();
    let mut newer = WriteBatch::new();
    newer.put(Table::Meta, b"format", &[2]);
    store.write(newer, Durability::Synced).unwrap();
    drop(store);
    let bytes = fs::read(&file).unwrap();
    assert!(matches!(refusal(folder.path()), DbError::NewerFormat { found: 2, known: 1, .. }));
    assert!(fs::read(&file).unwrap() == bytes);
}

#[test]
fn the_store_of_another_engine_is_refused() {
    let folder = tempdir().unwrap();
    fs::create_dir(folder.path().join("state.rocksdb")).unwrap();
    let error = refusal(folder.path());
    assert!(matches!(error, DbError::Corrupt { .. }), "{error:?}");
    assert!(error.to_string().contains("a store of RocksDB"), "{error}");
    assert!(!folder.path().join(FILE).exists());
}

#[test]
fn only_creating_makes_a_store() {
    let home = tempdir().unwrap();
    let folder = home.path().join("absent");
    for access in [Access::Read, Access::Write] {
        let error = open(Engine::Redb, &folder, options(access)).map(drop).unwrap_err();
        assert!(matches!(error, DbError::Io { .. }), "{error:?}");
        assert!(!folder.exists());
    }
    open(Engine::Redb, &folder, options(Access::Create)).unwrap();
    open(Engine::Redb, &folder, options(Access::Write)).unwrap();
}

#[test]
fn a_store_open_for_reading_takes_readers_and_no_writes() {
    let (folder, file, bytes, expected) = closed_store();
    let mut first = open(Engine::Redb, folder.path(), options(Access::Read)).unwrap();
    let second = open(Engine::Redb, folder.path(), options(Access::Read)).unwrap();
    assert!(matches!(refusal(folder.path()), DbError::Locked { .. }));
    let error = first.write(WriteBatch::new(), Durability::Synced).unwrap_err();
    assert!(matches!(error, DbError::ReadOnly { .. }), "{error:?}");
    assert!(content(&*first).unwrap() == expected);
    assert!(content(&*second.view().unwrap()).unwrap() == expected);
    drop((first, second));
    assert!(fs::read(&file).unwrap() == bytes, "reading changed the file");
    open_redb(folder.path()).unwrap();
}

#[cfg(unix)]
#[test]
fn a_folder_without_permission_can_be_read_only() {
    use std::os::unix::fs::PermissionsExt;

    let (folder, file, bytes, expected) = closed_store();
    fs::remove_file(folder.path().join("lock")).unwrap();
    let permit = |mode| fs::set_permissions(folder.path(), fs::Permissions::from_mode(mode));
    permit(0o500).unwrap();
    if fs::write(folder.path().join("probe"), "").is_ok() {
        eprintln!("SKIPPED: this user may write anywhere (root?)");
        return;
    }
    assert!(matches!(refusal(folder.path()), DbError::Io { .. }));
    let store = open(Engine::Redb, folder.path(), options(Access::Read)).unwrap();
    assert!(content(&*store).unwrap() == expected);
    assert!(fs::read(&file).unwrap() == bytes);
    permit(0o700).unwrap();
}

/// Names the store for the child of `a_killed_process_loses_no_synced_batch`.
const CHILD_STORE: &str = "ZVM_KV_TEST_CHILD";

#[test]
fn a_killed_process_loses_no_synced_batch() {
    if let Some(folder) = std::env::var_os(CHILD_STORE) {
        write_until_killed(Path::new(&folder));
    }
    let home = tempdir().unwrap();
    let folder = home.path().join("store");
    for round in 0..3 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "a_killed_process_loses_no_synced_batch", "--nocapture"])
            .env(CHILD_STORE, &folder)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // The child says each batch once it is written.
        let mut acknowledged = 0;
        let lines = std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().unwrap()));
        for line in lines {
            let number = line.unwrap().rsplit("wrote ").next().and_then(|n| n.parse().ok());
            if let Some(number) = number {
                acknowledged = number;
                if number % 10 == 7 + round {
                    break;
                }
            }
        }
        child.kill().unwrap();
        child.wait().unwrap();

        // Looking at the store as the crash left it changes nothing and finds the same.
        let file = fs::read(folder.join(FILE)).unwrap();
        let seen = last(&*open(Engine::Redb, &folder, options(Access::Read)).unwrap());
        assert!(fs::read(folder.join(FILE)).unwrap() == file, "reading changed the file");
        let found = last(&*open_redb(&folder).unwrap());
        assert!(found >= acknowledged, "batch {acknowledged} was acknowledged, found {found}");
        assert_eq!(seen, found);
    }
}

/// The number of the last batch, which is in two tables.
fn last(store: &dyn KvReader) -> u64 {
    let [meta, code] = [Table::Meta, Table::Code].map(|table| {
        let value = store.get(table, b"last").unwrap();
        value.map_or(0, |value| u64::from_be_bytes(value.try_into().unwrap()))
    });
    assert_eq!(meta, code);
    meta
}

fn write_until_killed(folder: &Path) -> ! {
    let mut store = open_redb(folder).unwrap();
    for number in last(&*store) + 1.. {
        let mut batch = WriteBatch::new();
        batch.put(Table::Meta, b"last", &number.to_be_bytes());
        batch.put(Table::Code, b"last", &number.to_be_bytes());
        store.write(batch, Durability::Synced).unwrap();
        println!("wrote {number}");
    }
    unreachable!("numbers do not run out")
}
