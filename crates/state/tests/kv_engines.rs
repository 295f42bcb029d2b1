//! What opening a store does to its files, for each engine and each kind of access: nothing, if it
//! is refused or only read.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use tempfile::{TempDir, tempdir};
use zvm_core::DbError;
use zvm_state::kv::{
    Access, Durability, Engine, Entry, KvReader, KvStore, Options, Order, Table, WriteBatch, open,
};

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

fn open_for(access: Access, engine: Engine, folder: &Path) -> Result<Box<dyn KvStore>, DbError> {
    let initial = || {
        let mut batch = WriteBatch::new();
        batch.put(Table::Meta, b"format", &[1]);
        Ok(batch)
    };
    open(engine, folder, Options { access, initial: &initial, vet: &vet, ..Options::default() })
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

/// A store that was closed cleanly: its folder, its files, and its content after each batch.
fn closed_store(engine: Engine) -> (TempDir, Files, Vec<Vec<Entry>>) {
    let folder = tempdir().unwrap();
    let mut store = open_for(Access::Create, engine, folder.path()).unwrap();
    let mut contents = vec![content(&*store).unwrap()];
    for (entries, value) in [(400, 1), (600, 2)] {
        fill(&mut *store, entries, value);
        contents.push(content(&*store).unwrap());
    }
    drop(store);
    let files = files(folder.path());
    (folder, files, contents)
}

type Files = BTreeMap<PathBuf, Vec<u8>>;

/// Every file in a folder and the folders in it, apart from locks.
fn files(folder: &Path) -> Files {
    let mut files = Files::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(self::files(&path));
        } else if !path.file_name().unwrap().eq_ignore_ascii_case("lock") {
            let bytes = fs::read(&path).unwrap();
            files.insert(path, bytes);
        }
    }
    files
}

/// Puts the files of a store back as they were.
fn restore(folder: &Path, files: &Files) {
    for path in self::files(folder).into_keys().filter(|path| !files.contains_key(path)) {
        fs::remove_file(path).unwrap();
    }
    files.iter().for_each(|(path, bytes)| fs::write(path, bytes).unwrap());
}

/// The refusal to open `folder`, checked to be one line that names the path.
fn refusal(engine: Engine, folder: &Path) -> DbError {
    let error = open_for(Access::Create, engine, folder).map(drop);
    let error = error.expect_err("the store must be refused");
    let message = error.to_string();
    assert!(message.contains(&*folder.to_string_lossy()), "{message}");
    assert!(!message.contains('\n'), "{message}");
    error
}

/// Opens a store of which `altered` differs from `files`: it is refused and left alone, or reads
/// as one of `contents` or not at all.
fn check_altered(
    engine: Engine,
    folder: &Path,
    files: &Files,
    altered: (&Path, Vec<u8>),
    contents: &[Vec<Entry>],
) {
    let mut files = files.clone();
    let (path, bytes) = altered;
    files.insert(path.to_owned(), bytes);
    for access in [Access::Read, Access::Create] {
        restore(folder, &files);
        match open_for(access, engine, folder) {
            Ok(store) => match content(&*store) {
                Ok(found) => assert!(contents.contains(&found), "{path:?}: other content"),
                Err(error) => assert!(matches!(error, DbError::Corrupt { .. }), "{error}"),
            },
            Err(error) => {
                // A version of another time is not damage in the eyes of an engine.
                let is_named = matches!(error, DbError::Corrupt { .. } | DbError::Engine { .. });
                assert!(is_named, "{path:?}: {error:?}");
                assert!(!error.to_string().contains('\n'), "{error}");
                assert!(self::files(folder) == files, "{path:?}: a refused store was changed");
            }
        }
        if access == Access::Read {
            assert!(self::files(folder) == files, "{path:?}: reading changed the store");
        }
    }
}

/// What a store may hold if `path` was altered: RocksDB cannot tell the end of its log from damage,
/// so there the batches before are right too.
fn allowed<'a>(path: &Path, contents: &'a [Vec<Entry>]) -> &'a [Vec<Entry>] {
    let is_log = path.extension().is_some_and(|extension| extension == "log");
    if is_log { contents } else { &contents[contents.len() - 1..] }
}

#[test]
fn a_flipped_bit_is_noticed_or_harmless() {
    for &engine in Engine::ALL {
        let (folder, files, contents) = closed_store(engine);
        for (path, bytes) in &files {
            // The head of every file, then a sample.
            let head = 0..bytes.len().min(320);
            let sample = (320..bytes.len()).step_by(8209);
            // RocksDB takes some milliseconds for each opening, and has many files.
            let step = if files.len() == 1 { 1 } else { 31 };
            for at in head.step_by(step).chain(sample) {
                let mut altered = bytes.clone();
                altered[at] ^= 1 << (at % 8);
                let allowed = allowed(path, &contents);
                check_altered(engine, folder.path(), &files, (path, altered), allowed);
            }
        }
    }
}

#[test]
fn a_file_cut_anywhere_is_noticed_or_harmless() {
    for &engine in Engine::ALL {
        let (folder, files, contents) = closed_store(engine);
        for (path, bytes) in &files {
            for cut in (0..4).map(|quarter| quarter * bytes.len() / 4) {
                let altered = (path.as_path(), bytes[..cut].to_vec());
                let allowed = allowed(path, &contents);
                check_altered(engine, folder.path(), &files, altered, allowed);
            }
        }
    }
}

#[test]
fn a_store_refused_by_vetting_is_left_alone() {
    for &engine in Engine::ALL {
        let (folder, ..) = closed_store(engine);
        let mut store = open_for(Access::Write, engine, folder.path()).unwrap();
        let mut newer = WriteBatch::new();
        newer.put(Table::Meta, b"format", &[2]);
        store.write(newer, Durability::Synced).unwrap();
        drop(store);
        let before = files(folder.path());
        let error = refusal(engine, folder.path());
        assert!(matches!(error, DbError::NewerFormat { found: 2, known: 1, .. }), "{error:?}");
        assert!(files(folder.path()) == before, "the refused store was changed");
    }
}

#[test]
fn the_store_of_another_engine_is_refused() {
    for &engine in Engine::ALL {
        let stores = ["state.redb", "state.rocksdb"];
        let [own, other] = if engine == Engine::Redb { stores } else { [stores[1], stores[0]] };
        let folder = tempdir().unwrap();
        fs::write(folder.path().join(other), "").unwrap();
        let error = refusal(engine, folder.path());
        assert!(matches!(error, DbError::Corrupt { .. }), "{error:?}");
        assert!(!folder.path().join(own).exists());
    }
}

#[test]
fn only_creating_makes_a_store() {
    for &engine in Engine::ALL {
        let home = tempdir().unwrap();
        let folder = home.path().join("absent");
        for access in [Access::Read, Access::Write] {
            let error = open_for(access, engine, &folder).map(drop).unwrap_err();
            assert!(matches!(error, DbError::Io { .. }), "{error:?}");
            assert!(!folder.exists());
            let foreign = tempdir().unwrap();
            let error = open_for(access, engine, foreign.path()).map(drop).unwrap_err();
            assert!(matches!(error, DbError::Io { .. }), "{error:?}");
            assert_eq!(fs::read_dir(foreign.path()).unwrap().count(), 0);
        }
        open_for(Access::Create, engine, &folder).unwrap();
        open_for(Access::Write, engine, &folder).unwrap();
    }
}

#[test]
fn a_store_open_for_reading_takes_readers_and_no_writes() {
    for &engine in Engine::ALL {
        let (folder, before, contents) = closed_store(engine);
        let expected = &contents[2];
        let mut first = open_for(Access::Read, engine, folder.path()).unwrap();
        let second = open_for(Access::Read, engine, folder.path()).unwrap();
        assert!(matches!(refusal(engine, folder.path()), DbError::Locked { .. }));
        let error = first.write(WriteBatch::new(), Durability::Synced).unwrap_err();
        assert!(matches!(error, DbError::ReadOnly { .. }), "{error:?}");
        assert!(content(&*first).unwrap() == *expected);
        assert!(content(&*second.view().unwrap()).unwrap() == *expected);
        drop((first, second));
        assert!(files(folder.path()) == before, "reading changed the store");
        open_for(Access::Write, engine, folder.path()).unwrap();
    }
}

#[test]
fn a_store_open_for_reading_can_be_copied() {
    for &engine in Engine::ALL {
        let (folder, before, contents) = closed_store(engine);
        let copy = folder.path().join("copy");
        let store = open_for(Access::Read, engine, folder.path()).unwrap();
        store.view().unwrap().checkpoint(&copy).unwrap();
        let found = content(&*open_for(Access::Read, engine, &copy).unwrap()).unwrap();
        assert!(found == contents[2]);
        fs::remove_dir_all(&copy).unwrap();
        drop(store);
        assert!(files(folder.path()) == before, "copying changed the store");
    }
}

#[test]
fn a_refused_copy_leaves_the_folder_as_it_was() {
    for &engine in Engine::ALL {
        let (folder, ..) = closed_store(engine);
        let foreign = tempdir().unwrap();
        fs::write(foreign.path().join("notes"), "kept").unwrap();
        let store = open_for(Access::Read, engine, folder.path()).unwrap();
        let error = store.view().unwrap().checkpoint(foreign.path()).unwrap_err();
        assert!(matches!(error, DbError::Io { .. }), "{error:?}");
        assert_eq!(fs::read_dir(foreign.path()).unwrap().count(), 1);
    }
}

#[cfg(unix)]
#[test]
fn a_folder_without_permission_can_be_read_only() {
    use std::os::unix::fs::PermissionsExt;

    for &engine in Engine::ALL {
        let (folder, before, contents) = closed_store(engine);
        fs::remove_file(folder.path().join("lock")).unwrap();
        let permit = |mode| fs::set_permissions(folder.path(), fs::Permissions::from_mode(mode));
        permit(0o500).unwrap();
        if fs::write(folder.path().join("probe"), "").is_ok() {
            eprintln!("SKIPPED: this user may write anywhere (root?)");
            return;
        }
        assert!(matches!(refusal(engine, folder.path()), DbError::Io { .. }));
        let store = open_for(Access::Read, engine, folder.path()).unwrap();
        assert!(content(&*store).unwrap() == contents[2]);
        assert!(files(folder.path()) == before);
        permit(0o700).unwrap();
    }
}

/// Names the store and the engine for the child of `a_killed_process_loses_no_synced_batch`.
const CHILD_STORE: &str = "ZVM_KV_TEST_CHILD";
const CHILD_ENGINE: &str = "ZVM_KV_TEST_ENGINE";

#[test]
fn a_killed_process_loses_no_synced_batch() {
    if let Some(folder) = std::env::var_os(CHILD_STORE) {
        let engine = std::env::var(CHILD_ENGINE).unwrap();
        let engine = Engine::named(&engine).unwrap();
        write_until_killed(engine, Path::new(&folder));
    }
    for &engine in Engine::ALL {
        let home = tempdir().unwrap();
        let folder = home.path().join("store");
        for round in 0..3 {
            let acknowledged = kill_a_writer(engine, &folder, round);
            // Looking at the store as the crash left it changes nothing and finds the same.
            let before = files(&folder);
            let seen = last(&*open_for(Access::Read, engine, &folder).unwrap());
            assert!(files(&folder) == before, "{engine:?}: reading changed the store");
            let found = last(&*open_for(Access::Write, engine, &folder).unwrap());
            assert!(found >= acknowledged, "{engine:?}: {acknowledged} was acknowledged, {found}");
            assert_eq!(seen, found);
        }
    }
}

/// Starts a child that writes, kills it, and answers the last number that it said was written.
fn kill_a_writer(engine: Engine, folder: &Path, round: u64) -> u64 {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_killed_process_loses_no_synced_batch", "--nocapture"])
        .env(CHILD_STORE, folder)
        .env(CHILD_ENGINE, engine.name())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().unwrap()));
    let acknowledged = lines
        .filter_map(|line| line.unwrap().rsplit("wrote ").next()?.parse().ok())
        .find(|number: &u64| number % 10 == 7 + round);
    child.kill().unwrap();
    child.wait().unwrap();
    acknowledged.expect("the child writes until it is killed")
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

fn write_until_killed(engine: Engine, folder: &Path) -> ! {
    let mut store = open_for(Access::Create, engine, folder).unwrap();
    for number in last(&*store) + 1.. {
        let mut batch = WriteBatch::new();
        batch.put(Table::Meta, b"last", &number.to_be_bytes());
        batch.put(Table::Code, b"last", &number.to_be_bytes());
        store.write(batch, Durability::Synced).unwrap();
        println!("wrote {number}");
    }
    unreachable!("numbers do not run out")
}
