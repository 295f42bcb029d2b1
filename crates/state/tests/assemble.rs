//! A base and diffs, assembled, against a backend that committed the diffs.

use std::collections::BTreeMap;

use proptest::{collection, prelude::*};
use zvm_core::{
    AccountInfo, Address, Bytes, Database, DbError, StateBackend, StateDiff, U256, assemble,
};
use zvm_state::MemoryDb;

/// A change by hand: which account, and what becomes of it.
#[derive(Clone, Debug)]
enum Change {
    Balance(u8, u64),
    Word(u8, u64, u64),
    Delete(u8),
}

fn change() -> impl Strategy<Value = Change> {
    let id = 0_u8..4;
    prop_oneof![
        (id.clone(), 0_u64..3).prop_map(|(id, wei)| Change::Balance(id, wei)),
        (id.clone(), 0_u64..4, 0_u64..3).prop_map(|(id, slot, word)| Change::Word(id, slot, word)),
        id.prop_map(Change::Delete),
    ]
}

/// Commits one block and answers its diff.
fn commit(db: &mut MemoryDb, changes: &[Change]) -> StateDiff {
    let mut batch = db.batch();
    for change in changes {
        batch = match *change {
            Change::Balance(id, wei) => {
                let balance = U256::from(wei);
                let info = AccountInfo { balance, ..AccountInfo::default() };
                batch.set_account(Address::repeat_byte(id), info)
            }
            Change::Word(id, slot, word) => {
                batch.set_storage(Address::repeat_byte(id), U256::from(slot), U256::from(word))
            }
            Change::Delete(id) => batch.delete_account(Address::repeat_byte(id)),
        };
    }
    let diff = batch.to_diff().unwrap();
    batch.commit().unwrap();
    diff
}

fn assert_same(found: &dyn Database, expected: &dyn Database, when: &str) {
    for address in (0..4).map(Address::repeat_byte) {
        let (account, expected_account) = (found.account(address), expected.account(address));
        assert_eq!(account.unwrap(), expected_account.unwrap(), "{when}: {address}");
        for slot in (0..4).map(U256::from) {
            let (word, expected_word) =
                (found.storage(address, slot), expected.storage(address, slot));
            assert_eq!(word.unwrap(), expected_word.unwrap(), "{when}: {address} slot {slot}");
        }
    }
}

proptest! {
    #[test]
    fn every_base_and_every_block_give_the_state_that_was(
        blocks in collection::vec(collection::vec(change(), 0..6), 1..8),
    ) {
        let mut db = MemoryDb::new();
        let mut states = vec![db.clone()];
        let mut diffs = BTreeMap::new();
        for (number, changes) in (1..).zip(&blocks) {
            diffs.insert(number, commit(&mut db, changes));
            states.push(db.clone());
        }
        for (base, state) in states.iter().enumerate() {
            for (at, expected) in states.iter().enumerate().skip(base) {
                let found = assemble(state, &diffs, at as u64).unwrap();
                assert_same(&found, expected, &format!("block {at} from {base}"));
            }
        }
    }
}

#[test]
fn code_of_a_later_block_is_there() {
    let mut db = MemoryDb::new();
    let base = db.clone();
    let mut batch = db.batch();
    let code = Bytes::from_static(&[0x5b]);
    let code_hash = batch.set_code(code.clone());
    let info = AccountInfo { code_hash, ..AccountInfo::default() };
    let diff = batch.set_account(Address::ZERO, info).to_diff().unwrap();
    let diffs = [(1, diff)].into();
    assert_eq!(assemble(&base, &diffs, 1).unwrap().code(code_hash).unwrap(), code);
    assert!(assemble(&base, &diffs, 0).unwrap().code(code_hash).is_err());
}

#[test]
fn blocks_before_the_base_and_behind_a_hole_are_refused() {
    let mut db = MemoryDb::new();
    let mut diffs = BTreeMap::new();
    for number in 1..=5 {
        let diff = commit(&mut db, &[Change::Balance(1, number)]);
        if number != 4 {
            diffs.insert(number, diff);
        }
    }
    db.unwind(2).unwrap();
    for number in [1, 4, 5] {
        let error = assemble(&db, &diffs, number).map(|_| ()).unwrap_err();
        let expected = matches!(
            error,
            DbError::NoHistory { number: found, floor: 2, head: 3 } if found == number
        );
        assert!(expected, "{error}");
    }
    assert!(assemble(&db, &diffs, 3).is_ok());
}
