//! A store whose records were damaged one by one.

use std::{collections::BTreeMap, path::Path};

use zvm_core::{
    AccountInfo, Address, B256, Bytes, Database, DbError, StateBackend, U256, keccak256,
};

use super::{address, commit, content_root, open, store};
use crate::{
    CheckLevel, FileDb, FileOptions, History,
    kv::{
        Durability, KvReader, Options, Order, Table, WriteBatch,
        compliance::Random,
        sim::{Crash, SimDisk},
    },
    store::{recover::initial, slices::SLICES},
};

/// Accounts in a small store, more than make do without a branch.
const SMALL_WORLD: u64 = 15;

/// Its last block: late enough for records to be where they belong.
const SMALL_HEAD: u64 = 72;

/// As few blocks as can be, and an index.
const KEPT: History = History::Bytes(1);

/// Everything in a store.
fn records(kv: &dyn KvReader) -> Vec<(Table, Vec<u8>, Vec<u8>)> {
    let mut records = Vec::new();
    for table in Table::ALL {
        for entry in kv.iter(table, &[], None, Order::Forward).unwrap() {
            let (key, value) = entry.unwrap();
            records.push((table, key, value));
        }
    }
    records
}

/// A store with few records, but some in every table: accounts with code and with many slots, and
/// as many small blocks after them as it takes for all to be where they belong.
fn small_store() -> SimDisk {
    let disk = SimDisk::default();
    let mut db = open(&disk, KEPT, Durability::Synced).unwrap();
    let mut batch = db.batch();
    for id in 0..SMALL_WORLD {
        let address = address(id);
        let code = Bytes::from(vec![id as u8; 1 + id as usize / 4]);
        let info = AccountInfo { code_hash: keccak256(&code), ..AccountInfo::default() };
        batch.set_code(code);
        batch = batch.set_account(address, info);
        for slot in 0..id * 4 {
            batch = batch.set_storage(address, U256::from(slot), U256::from(slot + 1));
        }
    }
    batch.commit().unwrap();
    for number in 2..=SMALL_HEAD {
        small_commit(&mut db, number).unwrap();
        db.set_block_hash(number, B256::with_last_byte(number as u8)).unwrap();
    }
    drop(db);
    // One batch instead of a log of them all is quicker to open.
    let copy = Path::new("copy");
    store(&disk).unwrap().view().unwrap().checkpoint(copy).unwrap();
    disk
}

/// A block that changes a slot of one account, and the nonce of another.
fn small_commit(db: &mut FileDb, number: u64) -> Result<(), DbError> {
    let address = |id: u64| address(id % SMALL_WORLD);
    let old = db.account(address(number * 5))?.unwrap_or_default();
    let info = AccountInfo { nonce: number, ..old.info };
    let slot = U256::from(number % 28);
    db.batch()
        .set_account(address(number * 5), info)
        .set_storage(address(number * 5), slot, U256::from(number % 3))
        .commit()
}

/// What a store answers about blocks, accounts, slots and code, as text; errors are passed over.
fn answers(db: &mut FileDb, next: u64) -> BTreeMap<String, String> {
    let mut answers = BTreeMap::new();
    let mut note = |what: String, answer: Result<String, DbError>| {
        answer.ok().map(|answer| answers.insert(what, answer));
    };
    for number in db.floor()..=next {
        note(format!("hash of {number}"), db.block_hash(number).map(|hash| hash.to_string()));
        let Ok(then) = db.at(number) else { continue };
        for id in 0..SMALL_WORLD {
            let address = address(id);
            let account = then.account(address);
            if let Ok(Some(account)) = &account {
                let code = then.code(account.code_hash).map(|code| code.to_string());
                note(format!("code of {id} at {number}"), code);
            }
            let account = account.map(|account| format!("{account:?}"));
            note(format!("account {id} at {number}"), account);
            for slot in [0, 5, 17] {
                let word = then.storage(address, U256::from(slot)).map(|word| word.to_string());
                note(format!("slot {slot} of {id} at {number}"), word);
            }
        }
    }
    note("content".into(), content_root(db).map(|root| root.to_string()));
    note(
        "next".into(),
        small_commit(db, next).and_then(|()| db.state_root()).map(|r| r.to_string()),
    );
    note("back".into(), db.unwind(next - 3).and_then(|()| db.state_root()).map(|r| r.to_string()));
    answers
}

/// Opens a store of `disk` after `damage` was done to it.
fn opened(disk: &SimDisk, damage: WriteBatch) -> Result<FileDb, DbError> {
    let disk = disk.after(Crash::Cut { kept: 0 });
    let options = Options { initial: &|| Ok(initial()), ..Options::default() };
    let mut kv = disk.open(Path::new("copy"), options)?;
    kv.write(damage, Durability::Synced)?;
    FileDb::over(kv, FileOptions { history: Some(KEPT), ..FileOptions::default() })
}

#[test]
fn a_flipped_bit_in_any_record_is_an_error_or_harmless() {
    let disk = small_store();
    let mut db = opened(&disk, WriteBatch::new()).unwrap();
    let whole = records(db.store());
    // The tables behind the block hashes belong to the log.
    for table in Table::ALL.into_iter().take_while(|table| *table <= Table::BlockHashes) {
        assert!(whole.iter().any(|record| record.0 == table), "no record in {}", table.name());
    }
    let right = answers(&mut db, SMALL_HEAD + 1);
    let mut random = Random::new(72);
    for (table, key, mut value) in whole {
        let bit = random.below(8 * value.len() as u64) as usize;
        value[bit / 8] ^= 1 << (bit % 8);
        let mut batch = WriteBatch::new();
        batch.put(table, &key, &value);
        let Ok(mut db) = opened(&disk, batch) else { continue };
        for (what, answer) in answers(&mut db, SMALL_HEAD + 1) {
            let place = format!("bit {bit} of {} {key:02x?}: {what}", table.name());
            assert_eq!(Some(&answer), right.get(&what), "{place}");
        }
    }
}

#[test]
fn damage_of_what_is_about_to_be_replaced_is_harmless() {
    let disk = SimDisk::default();
    let mut db = open(&disk, History::All, Durability::Synced).unwrap();
    let fill = |db: &mut FileDb, word| {
        let slots = (0..20).map(U256::from);
        slots.fold(db.batch(), |it, slot| it.set_storage(Address::ZERO, slot, word)).commit()
    };
    fill(&mut db, U256::from(1)).unwrap();
    let head = SLICES as u64 + 70;
    for number in 2..=head {
        commit(&mut db, number).unwrap();
    }
    fill(&mut db, U256::from(2)).unwrap();
    let mut waiting = Vec::new();
    for table in [Table::Accounts, Table::Storage] {
        let keys = (0..SLICES).flat_map(|slice| db.pending.slice(table, slice));
        waiting.extend(keys.map(|(key, _)| (table, key.to_vec())));
    }
    drop(db);
    let (mut kv, mut batch) = (store(&disk).unwrap(), WriteBatch::new());
    let mut damaged = BTreeMap::new();
    for (table, key) in waiting {
        if let Some(mut value) = kv.get(table, &key).unwrap() {
            value[3] ^= 4;
            batch.put(table, &key, &value);
            *damaged.entry(table).or_insert(0) += 1;
        }
    }
    assert!(damaged.len() == 2, "{damaged:?}");
    kv.write(batch, Durability::Synced).unwrap();
    drop(kv);
    let mut db = open(&disk, History::All, Durability::Synced).unwrap();
    db.check(CheckLevel::Branches, &mut |_| {}).unwrap();
    for number in 0..SLICES as u64 {
        commit(&mut db, number).unwrap();
    }
    db.check(CheckLevel::Branches, &mut |_| {}).unwrap();
    assert_eq!(content_root(&db).unwrap(), db.state_root().unwrap());
}

/// A record under another key is not there, which who looks for it cannot know. The trie does.
#[test]
fn a_flipped_bit_in_any_key_never_leads_to_a_wrong_root() {
    let disk = small_store();
    let mut db = opened(&disk, WriteBatch::new()).unwrap();
    let whole = records(db.store());
    let right = answers(&mut db, SMALL_HEAD + 1);
    let mut random = Random::new(73);
    for (table, key, value) in whole.iter().filter(|(_, key, _)| !key.is_empty()).step_by(2) {
        let mut flipped = key.clone();
        let bit = random.below(8 * key.len() as u64) as usize;
        flipped[bit / 8] ^= 1 << (bit % 8);
        let mut batch = WriteBatch::new();
        batch.delete(*table, key);
        batch.put(*table, &flipped, value);
        let Ok(mut db) = opened(&disk, batch) else { continue };
        let found = answers(&mut db, SMALL_HEAD + 1);
        for what in ["next", "back"] {
            let place = format!("bit {bit} of {} {key:02x?}: {what}", table.name());
            assert!(found.get(what).is_none_or(|root| Some(root) == right.get(what)), "{place}");
        }
    }
}
