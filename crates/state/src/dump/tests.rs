//! Dumps against their promises: the same bytes from any backend, nothing taken that is not whole.

use std::{io::Write, ops::ControlFlow, path::Path, sync::LazyLock};

use flate2::{Compression, write::GzEncoder};
use proptest::prelude::*;
use tempfile::tempdir;
use zvm_core::{AccountInfo, Address, B256, BlockId, Bytes, StateBackend, U256, b256, hex};

use super::*;
use crate::{CacheLimits, CachedDb, DatabaseConfig, FileDb, MemoryDb, StoreConfig};

const BLOCK: BlockId = BlockId { number: 7, hash: B256::repeat_byte(0x77) };

fn text(backend: &dyn StateBackend) -> String {
    let mut out = Vec::new();
    dump(backend, &mut out, |_| {}).unwrap();
    String::from_utf8(out).unwrap()
}

fn loaded(text: &[u8]) -> (MemoryDb, Result<Loaded, LoadError>) {
    let mut db = MemoryDb::new();
    let result = load(text, &mut db);
    (db, result)
}

/// The message of the error that loading `text` gives.
fn fault(text: &str) -> String {
    loaded(text.as_bytes()).1.unwrap_err().to_string()
}

/// Three accounts: one with code, one with slots for three lines, and an empty one.
fn sample() -> MemoryDb {
    let mut db = MemoryDb::new();
    let mut batch = db.batch();
    let code_hash = batch.set_code(Bytes::from_static(&[0x60, 0x01]));
    let info = AccountInfo { nonce: u64::MAX, balance: U256::MAX, code_hash };
    batch = batch.set_account(Address::repeat_byte(1), info);
    for slot in 0..2 * SLOTS_PER_LINE + 1 {
        let word = U256::from(slot + 1);
        batch = batch.set_storage(Address::repeat_byte(2), U256::from(slot), word);
    }
    let empty = AccountInfo::default();
    let diff = batch.set_account(Address::repeat_byte(3), empty).to_diff().unwrap();
    db.commit_block(BLOCK, &diff).unwrap();
    db
}

#[test]
fn equal_states_are_equal_bytes_on_any_backend() {
    let source = sample();
    let expected = text(&source);
    let folder = tempdir().unwrap();
    let file = || Box::new(FileDb::open(folder.path().join("file")).unwrap());
    let cached = |inner| Box::new(CachedDb::new(inner, CacheLimits::entries(3)));
    let backends: [Box<dyn StateBackend>; 3] =
        [Box::new(MemoryDb::new()), file(), cached(Box::<MemoryDb>::default())];
    for mut backend in backends {
        let loaded = load(expected.as_bytes(), &mut *backend).unwrap();
        assert_eq!(text(&*backend), expected);
        let root = source.state_root().unwrap();
        let slots = 2 * SLOTS_PER_LINE as u64 + 1;
        assert_eq!(loaded, Loaded { block: BLOCK, root, accounts: 3, slots });
        backend.commit(&Default::default()).unwrap();
        assert_eq!(backend.head().unwrap().number, 8);
    }
}

#[test]
fn the_form_is_the_one_documented() {
    let text = text(&sample());
    let lines: Vec<&str> = text.lines().collect();
    let root = sample().state_root().unwrap();
    let hash = BLOCK.hash;
    assert_eq!(
        lines[0],
        format!(
            r#"{{"format":"zvm-state","version":1,"block":{{"number":7,"hash":"{hash}"}},"root":"{root}"}}"#
        )
    );
    assert_eq!(lines.len(), 1 + 3 + 2);
    let most = "f".repeat(64);
    let one = format!(
        r#"{{"address":"0x{}","nonce":"0xffffffffffffffff","balance":"0x{most}","code":"0x6001"}}"#,
        "01".repeat(20)
    );
    assert!(lines.contains(&one.as_str()), "{one}");
    let more = format!(r#"{{"address":"0x{}","storage":{{"0x"#, "02".repeat(20));
    assert_eq!(lines.iter().filter(|line| line.starts_with(&more)).count(), 2);
}

#[test]
fn a_compressed_dump_loads() {
    let expected = text(&sample());
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(expected.as_bytes()).unwrap();
    let gzip = gzip.finish().unwrap();
    let hex = hex::encode_prefixed(&gzip);
    for compressed in [&gzip, hex.as_bytes(), format!("\"{hex}\"\n").as_bytes()] {
        let (db, result) = loaded(compressed);
        result.unwrap();
        assert_eq!(text(&db), expected);
    }
    assert!(matches!(loaded(&gzip[..gzip.len() / 2]).1, Err(LoadError::Read(_))));
}

#[test]
fn a_database_with_anything_in_it_is_left_as_it_was() {
    let dump = text(&sample());
    let mut seeded = MemoryDb::new();
    seeded.set_balance(Address::ZERO, U256::from(1));
    let before = text(&seeded);
    assert!(matches!(load(dump.as_bytes(), &mut seeded), Err(LoadError::NotEmpty)));
    assert_eq!(text(&seeded), before);
}

#[test]
fn a_dump_cut_short_or_changed_gets_no_block() {
    let dump = text(&sample());
    let lines: Vec<&str> = dump.lines().collect();
    for cut in 1..lines.len() {
        let (db, result) = loaded(lines[..cut].join("\n").as_bytes());
        assert!(matches!(result, Err(LoadError::Root { .. })), "{cut} lines: {result:?}");
        assert_eq!(db.head().unwrap(), BlockId::default());
    }
    let changed = dump.replace("\"0x5\":\"0x6\"", "\"0x5\":\"0x7\"");
    assert_ne!(changed, dump);
    assert!(matches!(loaded(changed.as_bytes()).1, Err(LoadError::Root { .. })));
}

#[test]
fn faults_of_lines_are_named_with_their_place() {
    let root = zvm_core::EMPTY_ROOT;
    let hash = B256::ZERO;
    let header = format!(
        r#"{{"format":"zvm-state","version":1,"block":{{"number":7,"hash":"{hash}"}},"root":"{root}"}}"#
    );
    let later = header.replace("\"version\":1", "\"version\":2");
    assert_eq!(fault(&later), "line 1 column 33: version 2, expected 1");
    let account =
        |id: &str, rest: &str| format!("{header}\n{{\"address\":\"0x{}\"{rest}}}\n", id.repeat(20));
    let whole = r#","nonce":"0x0","balance":"0x0""#;
    for (text, expected) in [
        (account("01", r#","nonce":"0x0""#), "line 2 column 0: nonce and balance, expected both"),
        (account("01", r#","storage":{"0x0":"0x1"}"#), "does not follow its account"),
        (account("01", r#","nonce":true"#), "line 2 column 68: invalid type: boolean"),
        (account("01", &format!("{whole},\"extra\":1")), "line 2 column 93: unknown field `extra`"),
        (account("01", &format!("{whole},\"storage\":{{\"0x0\":\"0x0\"}}")), "slot 0x0 is zero"),
        (
            account("01", &format!("{whole},\"storage\":{{\"0x0\":\"0x1\",\"0x0\":\"0x1\"}}")),
            "slot 0x0 comes twice",
        ),
        (account("01", whole).repeat(2), "line 3 column 9: unknown field `format`"),
        (
            account("01", whole) + &account("01", whole)[header.len() + 1..],
            "line 3 column 0: account",
        ),
        (format!("{header}\n\n"), "line 2 column 0: EOF"),
    ] {
        let found = fault(&text);
        assert!(found.contains(expected), "{text}: {found}");
    }
}

#[test]
fn what_is_no_state_is_named() {
    for (text, expected) in [
        ("", "line 1 column 0: EOF"),
        ("hello", "line 1 column 1: expected value"),
        ("[]", "line 1 column 1: invalid type: sequence, expected an object with the accounts"),
        ("{}", "expected an object with the accounts under \"alloc\" (geth)"),
        ("{\n \"alloc\": {\"0x01\": {}}}", "line 2 column"),
        ("{\"alloc\": {}, \"accounts\": {}}", "accounts come twice"),
        ("{\"alloc\": {}} {}", "trailing characters"),
        ("0x1f8b", "cannot read the state: "),
    ] {
        let found = fault(text);
        assert!(found.contains(expected), "{text}: {found}");
    }
    let twice = format!("{{\"alloc\": {{\"{0}\": {{}}, \"0x{0}\": {{}}}}}}", "00".repeat(20));
    assert!(fault(&twice).contains("comes twice"));
}

/// The allocation of a development chain, its numbers in every form.
#[test]
fn a_genesis_file_loads() {
    let genesis = r#"{
        "config": {"chainId": 1337, "terminalTotalDifficulty": 0},
        "difficulty": "0x1", "gasLimit": "0x1c9c380", "extraData": "0x",
        "alloc": {
            "00000000000000000000000000000000000000a1": {"balance": "1000000000000000000000"},
            "0x00000000000000000000000000000000000000a2": {"balance": "0x10", "nonce": "0x2"},
            "00000000000000000000000000000000000000a3": {
                "balance": "0", "nonce": 1, "code": "0x5b00",
                "storage": {
                    "0x0000000000000000000000000000000000000000000000000000000000000010": "0x2a",
                    "11": "00000000000000000000000000000000000000000000000000000000000000ff",
                    "12": "0x00"
                }
            }
        }
    }"#;
    let (db, result) = loaded(genesis.as_bytes());
    let result = result.unwrap();
    assert_eq!((result.block, result.accounts, result.slots), (BlockId::default(), 3, 2));
    let address = |last| Address::with_last_byte(last);
    let thousand = U256::from(1000) * U256::from(10).pow(U256::from(18));
    let account = |last| zvm_core::Database::account(&db, address(last)).unwrap().unwrap();
    assert_eq!(account(0xa1).balance, thousand);
    assert_eq!((account(0xa2).balance, account(0xa2).nonce), (U256::from(16), 2));
    assert_eq!((account(0xa3).nonce, account(0xa3).has_code()), (1, true));
    let entries = db.storage_entries(address(0xa3)).unwrap();
    assert_eq!(entries, [(0x10, 0x2a), (0x11, 0xff)].map(|(a, b)| (U256::from(a), U256::from(b))));
}

#[test]
fn what_anvil_dumps_loads_with_the_root_that_anvil_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/anvil");
    for name in ["dump-state.json", "anvil_dumpState.json"] {
        let (_, result) = loaded(&std::fs::read(folder.join(name)).unwrap());
        let result = result.unwrap();
        assert_eq!(
            result.root,
            b256!("3c8463c2c7dda65b7965d1562837df0532fa898d97a8c38063329195e67fd214"),
            "{name}"
        );
        assert_eq!(result.block.number, 3, "{name}");
    }
}

#[test]
fn a_new_store_is_there_when_it_is_whole_and_not_before() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("state");
    let config = DatabaseConfig::File(StoreConfig::new(&path));
    let dump = text(&sample());
    let cut = &dump[..dump.len() / 2];
    assert!(load_new(cut.as_bytes(), &config).is_err());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    load_new(dump.as_bytes(), &config).unwrap();
    assert_eq!(text(&*crate::open(&config).unwrap()), dump);
    let again = load_new(dump.as_bytes(), &config).unwrap_err().to_string();
    assert!(again.contains("cannot make a database here"), "{again}");
}

#[test]
fn a_failing_writer_ends_the_dump() {
    struct Full(usize);

    impl Write for Full {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            let left = self.0.checked_sub(bytes.len());
            self.0 = left.ok_or(std::io::ErrorKind::StorageFull)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    let db = sample();
    let length = text(&db).len();
    for room in [0, 200, 300, length / 2, length - 1] {
        let result = dump(&db, &mut Full(room), |_| {});
        assert!(matches!(result, Err(DumpError::Write(_))), "{room} bytes: {result:?}");
    }
    assert!(dump(&db, &mut Full(length), |_| {}).is_ok());
}

#[test]
fn a_state_of_many_parts_is_one_block() {
    let mut db = MemoryDb::new();
    let mut seeder = Seeder::new(&mut db);
    let info = AccountInfo::default();
    for id in 0..30_000_u64 {
        let address = Address::from_word(U256::from(id).into());
        seeder.account(address, info).unwrap();
        seeder.slot(address, info, U256::from(1), U256::from(id + 1)).unwrap();
    }
    seeder.finish(BLOCK).unwrap();
    assert_eq!(db.head().unwrap(), BLOCK);
    let mut accounts = 0;
    db.for_each_account(B256::ZERO, &mut |_, _, _| {
        accounts += 1;
        Ok(ControlFlow::Continue(()))
    })
    .unwrap();
    assert_eq!(accounts, 30_000);
    assert!(db.seed(&Default::default()).is_err());
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(bytes in any::<Vec<u8>>(), at in any::<prop::sample::Index>()) {
        static DUMP: LazyLock<String> = LazyLock::new(|| text(&sample()));
        let _ = loaded(&bytes);
        let mut dump = DUMP.as_bytes()[..600].to_vec();
        let at = at.index(dump.len());
        dump.splice(at..at + 1, bytes);
        let _ = loaded(&dump);
    }
}
