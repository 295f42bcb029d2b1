//! What a backend promises, one promise at a time.

use std::ops::ControlFlow;

use zvm_core::{
    AccountDiff, AccountInfo, B256, BlockId, Bytes, DbError, EMPTY_ROOT, SlotDiff, SnapshotId,
    StateBackend, StateDiff, U256, b256, keccak256,
};

use super::{address, word};

pub(super) type Fact = (&'static str, fn(Box<dyn StateBackend>));

/// Lists facts under their names.
macro_rules! facts {
    ($($name:ident),* $(,)?) => {
        /// Every fact; each gets an empty backend.
        pub(super) const ALL: &[Fact] = &[$((stringify!($name), |db| $name(&mut *{db}))),*];
    };
}

/// Facts of a backend that has no block yet.
pub(super) const OF_NO_BLOCK: &[&str] = &[
    "a_state_given_in_parts_gets_its_block",
    "a_new_backend_stands_at_block_0",
    "the_first_block_may_have_any_number",
    "a_first_block_0_can_be_gone_back_to",
    "there_is_always_a_next_block",
    "a_revert_leads_back_before_the_first_block",
];

facts!(
    an_empty_state_has_nothing,
    a_known_state_has_its_known_root,
    an_empty_account_is_not_an_absent_one,
    zero_words_leave_nothing,
    deleting_an_account_deletes_its_storage,
    an_account_deleted_and_made_again_starts_without_storage,
    a_slot_written_back_after_a_deletion_is_there,
    a_wipe_keeps_the_slots_it_lists,
    has_storage_follows_the_last_slot,
    the_root_after_a_diff_can_be_told_without_committing_it,
    storage_makes_the_account_that_holds_it,
    deleting_the_absent_changes_nothing,
    later_calls_of_a_batch_win,
    a_dropped_batch_changes_nothing,
    code_reads_back_by_its_hash,
    block_hashes_read_back,
    extreme_values_read_back,
    entries_come_in_the_order_of_slots,
    a_revert_restores_every_slot_of_a_deleted_account,
    a_revert_undoes_a_creation,
    a_revert_undoes_a_wipe,
    a_revert_forgets_later_snapshots,
    a_release_keeps_the_present_and_earlier_snapshots,
    an_unknown_snapshot_is_an_error,
    code_stays_known_after_a_revert,
    a_state_given_in_parts_gets_its_block,
    a_new_backend_stands_at_block_0,
    every_commit_makes_a_block,
    the_first_block_may_have_any_number,
    a_first_block_0_can_be_gone_back_to,
    there_is_always_a_next_block,
    a_block_out_of_turn_is_refused,
    earlier_states_read_as_they_were,
    a_destroyed_account_has_its_slots_in_the_past,
    a_state_that_is_not_kept_is_an_error,
    an_unwind_forgets_later_blocks_and_their_snapshots,
    blocks_that_were_unwound_can_be_made_again,
    a_revert_takes_back_the_head,
    a_revert_leads_back_before_the_first_block,
    walks_come_in_the_order_of_hashes,
    walks_start_and_stop_where_they_are_told,
);

fn info(balance: u64) -> AccountInfo {
    AccountInfo { balance: word(balance), ..AccountInfo::default() }
}

fn entries(db: &dyn StateBackend, id: u8) -> Vec<(U256, U256)> {
    db.storage_entries(address(id)).unwrap()
}

/// Account 1 with slots 1 to 3 holding 10 to 30.
fn with_three_slots(db: &mut dyn StateBackend) {
    let mut batch = db.batch().set_account(address(1), info(5));
    for slot in 1..=3 {
        batch = batch.set_storage(address(1), word(slot), word(10 * slot));
    }
    batch.commit().unwrap();
}

fn three_slots() -> Vec<(U256, U256)> {
    (1..=3).map(|slot| (word(slot), word(10 * slot))).collect()
}

fn an_empty_state_has_nothing(db: &mut dyn StateBackend) {
    assert_eq!(db.account(address(1)).unwrap(), None);
    assert_eq!(db.storage(address(1), word(1)).unwrap(), U256::ZERO);
    assert!(entries(db, 1).is_empty());
    assert_eq!(db.state_root().unwrap(), EMPTY_ROOT);
    let hash = B256::repeat_byte(7);
    assert!(matches!(db.code(hash), Err(DbError::MissingCode { code_hash }) if code_hash == hash));
    assert!(matches!(db.block_hash(3), Err(DbError::MissingBlockHash { number: 3 })));
}

fn a_known_state_has_its_known_root(db: &mut dyn StateBackend) {
    with_three_slots(db);
    db.batch().set_account(address(2), info(1)).commit().unwrap();
    let expected = b256!("5a0092a87e91562d30e5ccc7a373edede83e163e3fced18efa782a5673525c7f");
    assert_eq!(db.state_root().unwrap(), expected);
}

fn an_empty_account_is_not_an_absent_one(db: &mut dyn StateBackend) {
    db.batch().set_account(address(1), AccountInfo::default()).commit().unwrap();
    assert_eq!(db.account(address(1)).unwrap(), Some(AccountInfo::default().into()));
    assert_ne!(db.state_root().unwrap(), EMPTY_ROOT);
}

fn zero_words_leave_nothing(db: &mut dyn StateBackend) {
    db.batch().set_account(address(1), info(5)).commit().unwrap();
    let without = db.state_root().unwrap();
    db.batch().set_storage(address(1), word(1), word(9)).commit().unwrap();
    assert_ne!(db.state_root().unwrap(), without);
    db.batch().set_storage(address(1), word(1), U256::ZERO).commit().unwrap();
    assert!(entries(db, 1).is_empty());
    assert_eq!(db.state_root().unwrap(), without);
}

fn deleting_an_account_deletes_its_storage(db: &mut dyn StateBackend) {
    with_three_slots(db);
    // Execution lists only the slots it has read; here none.
    let gone = AccountDiff { old: Some(info(5)), wiped: true, ..AccountDiff::default() };
    let diff = StateDiff { accounts: [(address(1), gone)].into(), ..StateDiff::default() };
    db.commit(&diff).unwrap();
    assert_eq!(db.account(address(1)).unwrap(), None);
    assert_eq!(db.storage(address(1), word(1)).unwrap(), U256::ZERO);
    assert!(entries(db, 1).is_empty());
    assert_eq!(db.state_root().unwrap(), EMPTY_ROOT);
}

fn an_account_deleted_and_made_again_starts_without_storage(db: &mut dyn StateBackend) {
    with_three_slots(db);
    db.batch().delete_account(address(1)).set_account(address(1), info(5)).commit().unwrap();
    assert_eq!(db.account(address(1)).unwrap(), Some(info(5).into()));
    assert!(entries(db, 1).is_empty());

    with_three_slots(db);
    db.batch().delete_account(address(1)).commit().unwrap();
    db.batch().set_account(address(1), info(6)).commit().unwrap();
    assert!(entries(db, 1).is_empty());
}

fn a_slot_written_back_after_a_deletion_is_there(db: &mut dyn StateBackend) {
    with_three_slots(db);
    // The word is the old one, yet the deletion in between took it.
    db.batch()
        .delete_account(address(1))
        .set_storage(address(1), word(2), word(20))
        .commit()
        .unwrap();
    assert_eq!(db.account(address(1)).unwrap().unwrap().info, AccountInfo::default());
    assert_eq!(entries(db, 1), [(word(2), word(20))]);
}

fn a_wipe_keeps_the_slots_it_lists(db: &mut dyn StateBackend) {
    with_three_slots(db);
    let same = SlotDiff { old: word(20), new: word(20) };
    let fresh = SlotDiff { old: U256::ZERO, new: word(40) };
    let change = AccountDiff {
        old: Some(info(5)),
        new: Some(info(6)),
        wiped: true,
        storage: [(word(2), same), (word(4), fresh)].into(),
    };
    let diff = StateDiff { accounts: [(address(1), change)].into(), ..StateDiff::default() };
    db.commit(&diff).unwrap();
    assert_eq!(entries(db, 1), [(word(2), word(20)), (word(4), word(40))]);
}

fn has_storage_follows_the_last_slot(db: &mut dyn StateBackend) {
    with_three_slots(db);
    for slot in 1..=3 {
        assert!(db.account(address(1)).unwrap().unwrap().has_storage);
        db.batch().set_storage(address(1), word(slot), U256::ZERO).commit().unwrap();
    }
    assert!(!db.account(address(1)).unwrap().unwrap().has_storage);
}

fn the_root_after_a_diff_can_be_told_without_committing_it(db: &mut dyn StateBackend) {
    with_three_slots(db);
    let before = db.state_root().unwrap();
    assert_eq!(db.root_after(&StateDiff::default()).unwrap(), before);
    let batch = db
        .batch()
        .set_storage(address(1), word(1), word(11))
        .set_storage(address(2), word(1), word(1))
        .set_account(address(3), info(1));
    let diff = batch.to_diff().unwrap();
    drop(batch);
    let after = db.root_after(&diff).unwrap();
    assert_eq!((db.state_root().unwrap(), entries(db, 1)), (before, three_slots()));
    db.commit(&diff).unwrap();
    assert_eq!(db.state_root().unwrap(), after);

    let diff = db.batch().delete_account(address(1)).to_diff().unwrap();
    let after = db.root_after(&diff).unwrap();
    db.commit(&diff).unwrap();
    assert_eq!(db.state_root().unwrap(), after);
}

fn storage_makes_the_account_that_holds_it(db: &mut dyn StateBackend) {
    db.batch().set_storage(address(1), word(1), word(2)).commit().unwrap();
    assert_eq!(db.account(address(1)).unwrap().unwrap().info, AccountInfo::default());
    db.batch().set_storage(address(2), word(1), U256::ZERO).commit().unwrap();
    assert_eq!(db.account(address(2)).unwrap(), None);
}

fn deleting_the_absent_changes_nothing(db: &mut dyn StateBackend) {
    with_three_slots(db);
    let before = db.state_root().unwrap();
    db.batch().delete_account(address(9)).commit().unwrap();
    db.batch().set_storage(address(1), word(9), U256::ZERO).commit().unwrap();
    assert_eq!(db.state_root().unwrap(), before);
}

fn later_calls_of_a_batch_win(db: &mut dyn StateBackend) {
    with_three_slots(db);
    db.batch()
        .set_account(address(1), info(6))
        .set_account(address(1), info(7))
        .set_storage(address(1), word(1), word(8))
        .set_storage(address(1), word(1), word(9))
        .set_account(address(2), info(1))
        .set_storage(address(2), word(1), word(1))
        .delete_account(address(2))
        .commit()
        .unwrap();
    assert_eq!(db.account(address(1)).unwrap().unwrap().info, info(7));
    assert_eq!(db.storage(address(1), word(1)).unwrap(), word(9));
    assert_eq!(db.account(address(2)).unwrap(), None);
}

fn a_dropped_batch_changes_nothing(db: &mut dyn StateBackend) {
    with_three_slots(db);
    let before = db.state_root().unwrap();
    let mut batch = db.batch().delete_account(address(1));
    let hash = batch.set_code(Bytes::from_static(&[0x01]));
    drop(batch);
    assert_eq!(db.state_root().unwrap(), before);
    assert!(db.code(hash).is_err());
}

fn code_reads_back_by_its_hash(db: &mut dyn StateBackend) {
    let code = Bytes::from(vec![0x5b; 24_576]);
    let mut batch = db.batch();
    let hash = batch.set_code(code.clone());
    batch.commit().unwrap();
    assert_eq!(hash, keccak256(&code));
    assert_eq!(db.code(hash).unwrap(), code);
}

fn block_hashes_read_back(db: &mut dyn StateBackend) {
    db.set_block_hash(u64::MAX, B256::repeat_byte(1)).unwrap();
    db.set_block_hash(0, B256::repeat_byte(2)).unwrap();
    db.set_block_hash(0, B256::repeat_byte(3)).unwrap();
    assert_eq!(db.block_hash(u64::MAX).unwrap(), B256::repeat_byte(1));
    assert_eq!(db.block_hash(0).unwrap(), B256::repeat_byte(3));
}

fn extreme_values_read_back(db: &mut dyn StateBackend) {
    let info =
        AccountInfo { nonce: u64::MAX, balance: U256::MAX, code_hash: B256::repeat_byte(0xff) };
    db.batch()
        .set_account(address(0xff), info)
        .set_storage(address(0xff), U256::MAX, U256::MAX)
        .set_storage(address(0xff), U256::ZERO, word(1))
        .commit()
        .unwrap();
    assert_eq!(db.account(address(0xff)).unwrap().unwrap().info, info);
    assert_eq!(entries(db, 0xff), [(U256::ZERO, word(1)), (U256::MAX, U256::MAX)]);
}

fn entries_come_in_the_order_of_slots(db: &mut dyn StateBackend) {
    let mut batch = db.batch();
    for slot in (0..40).rev() {
        batch = batch.set_storage(address(1), word(slot), word(slot + 1));
    }
    batch.commit().unwrap();
    let expected: Vec<_> = (0..40).map(|slot| (word(slot), word(slot + 1))).collect();
    assert_eq!(entries(db, 1), expected);
}

fn a_revert_restores_every_slot_of_a_deleted_account(db: &mut dyn StateBackend) {
    with_three_slots(db);
    let before = db.state_root().unwrap();
    let snapshot = db.snapshot().unwrap();
    let gone = AccountDiff { old: Some(info(5)), wiped: true, ..AccountDiff::default() };
    let diff = StateDiff { accounts: [(address(1), gone)].into(), ..StateDiff::default() };
    db.commit(&diff).unwrap();
    db.revert(snapshot).unwrap();
    assert_eq!(entries(db, 1), three_slots());
    assert_eq!(db.state_root().unwrap(), before);
}

fn a_revert_undoes_a_creation(db: &mut dyn StateBackend) {
    let snapshot = db.snapshot().unwrap();
    with_three_slots(db);
    db.revert(snapshot).unwrap();
    assert_eq!(db.account(address(1)).unwrap(), None);
    assert_eq!(db.state_root().unwrap(), EMPTY_ROOT);
}

fn a_revert_undoes_a_wipe(db: &mut dyn StateBackend) {
    with_three_slots(db);
    let snapshot = db.snapshot().unwrap();
    db.batch()
        .delete_account(address(1))
        .set_account(address(1), info(9))
        .set_storage(address(1), word(2), word(20))
        .set_storage(address(1), word(4), word(40))
        .commit()
        .unwrap();
    db.revert(snapshot).unwrap();
    assert_eq!(db.account(address(1)).unwrap().unwrap().info, info(5));
    assert_eq!(entries(db, 1), three_slots());
}

fn a_revert_forgets_later_snapshots(db: &mut dyn StateBackend) {
    let outer = db.snapshot().unwrap();
    with_three_slots(db);
    let inner = db.snapshot().unwrap();
    assert!(inner > outer);
    db.batch().delete_account(address(1)).commit().unwrap();
    db.revert(outer).unwrap();
    for id in [inner, outer] {
        assert!(
            matches!(db.revert(id), Err(DbError::UnknownSnapshot { id: found }) if found == id)
        );
    }
    assert!(db.snapshot().unwrap() > inner);
}

fn a_release_keeps_the_present_and_earlier_snapshots(db: &mut dyn StateBackend) {
    let outer = db.snapshot().unwrap();
    with_three_slots(db);
    let inner = db.snapshot().unwrap();
    db.batch().set_storage(address(1), word(2), word(7)).commit().unwrap();
    db.release(inner).unwrap();
    assert_eq!(db.storage(address(1), word(2)).unwrap(), word(7));
    assert!(db.revert(inner).is_err());
    db.revert(outer).unwrap();
    assert_eq!(db.state_root().unwrap(), EMPTY_ROOT);
}

fn an_unknown_snapshot_is_an_error(db: &mut dyn StateBackend) {
    let id = SnapshotId(77);
    assert!(matches!(db.revert(id), Err(DbError::UnknownSnapshot { .. })));
    assert!(matches!(db.release(id), Err(DbError::UnknownSnapshot { .. })));
}

fn code_stays_known_after_a_revert(db: &mut dyn StateBackend) {
    let snapshot = db.snapshot().unwrap();
    let mut batch = db.batch();
    let hash = batch.set_code(Bytes::from_static(&[0x01]));
    batch.set_account(address(1), AccountInfo { code_hash: hash, ..info(1) }).commit().unwrap();
    db.revert(snapshot).unwrap();
    assert_eq!(db.account(address(1)).unwrap(), None);
    assert!(db.code(hash).is_ok());
}

fn head(db: &dyn StateBackend) -> u64 {
    db.head().unwrap().number
}

fn block(number: u64) -> BlockId {
    BlockId { number, hash: B256::with_last_byte(number as u8) }
}

fn a_new_backend_stands_at_block_0(db: &mut dyn StateBackend) {
    assert_eq!(db.head().unwrap(), BlockId::default());
    assert_eq!(db.at(0).unwrap().account(address(1)).unwrap(), None);
    db.unwind(0).unwrap();
}

fn every_commit_makes_a_block(db: &mut dyn StateBackend) {
    db.commit(&StateDiff::default()).unwrap();
    assert_eq!(db.head().unwrap(), BlockId { number: 1, hash: B256::ZERO });
    with_three_slots(db);
    assert_eq!(head(db), 2);
    db.commit_block(block(3), &StateDiff::default()).unwrap();
    assert_eq!(db.head().unwrap(), block(3));
}

fn the_first_block_may_have_any_number(db: &mut dyn StateBackend) {
    db.commit_block(block(1_000_000), &StateDiff::default()).unwrap();
    with_three_slots(db);
    assert_eq!(head(db), 1_000_001);
    assert_eq!(db.at(1_000_000).unwrap().account(address(1)).unwrap(), None);
    let before = db.at(999_999).err().expect("there was no such block");
    assert!(matches!(before, DbError::NoHistory { number: 999_999, floor: 1_000_000, .. }));
    db.unwind(1_000_000).unwrap();
    assert_eq!(db.head().unwrap(), block(1_000_000));
}

fn a_first_block_0_can_be_gone_back_to(db: &mut dyn StateBackend) {
    let genesis = db.batch().set_account(address(1), info(5)).to_diff().unwrap();
    db.commit_block(block(0), &genesis).unwrap();
    db.batch().set_account(address(1), info(6)).commit().unwrap();
    db.batch().set_account(address(1), info(7)).commit().unwrap();
    for (number, expected) in [(0, info(5)), (1, info(6)), (2, info(7))] {
        let account = db.at(number).unwrap().account(address(1)).unwrap();
        assert_eq!(account.map(|account| account.info), Some(expected), "block {number}");
    }
    db.unwind(0).unwrap();
    assert_eq!(db.head().unwrap(), block(0));
    assert_eq!(db.account(address(1)).unwrap().unwrap().info, info(5));
    db.batch().set_account(address(1), info(8)).commit().unwrap();
    assert_eq!(head(db), 1);
}

fn there_is_always_a_next_block(db: &mut dyn StateBackend) {
    for number in [1 << 63, u64::MAX] {
        let refused = db.commit_block(block(number), &StateDiff::default()).unwrap_err();
        assert!(matches!(refused, DbError::Unsupported { .. }), "{refused:?}");
    }
    db.commit_block(block((1 << 63) - 1), &StateDiff::default()).unwrap();
    with_three_slots(db);
    assert_eq!(head(db), 1 << 63);
}

fn a_block_out_of_turn_is_refused(db: &mut dyn StateBackend) {
    with_three_slots(db);
    let root = db.state_root().unwrap();
    for number in [0, 1, 3, u64::MAX] {
        let diff = StateDiff { code: [(B256::ZERO, Bytes::new())].into(), ..StateDiff::default() };
        let refused = db.commit_block(block(number), &diff).unwrap_err();
        assert!(matches!(refused, DbError::NotNext { number: n, head: 1 } if n == number));
    }
    assert_eq!((head(db), db.state_root().unwrap()), (1, root));
    assert!(db.code(B256::ZERO).is_err());
}

fn earlier_states_read_as_they_were(db: &mut dyn StateBackend) {
    with_three_slots(db);
    db.batch().set_account(address(1), info(6)).commit().unwrap();
    db.batch().set_storage(address(1), word(1), U256::ZERO).commit().unwrap();
    db.batch().set_storage(address(1), word(9), word(9)).commit().unwrap();
    let expected = [
        (0, None, 0, 0),
        (1, Some(info(5)), 10, 0),
        (2, Some(info(6)), 10, 0),
        (3, Some(info(6)), 0, 0),
        (4, Some(info(6)), 0, 9),
    ];
    for (number, info, first, ninth) in expected {
        let then = db.at(number).unwrap();
        let account = then.account(address(1)).unwrap();
        assert_eq!(account.map(|account| account.info), info, "block {number}");
        assert_eq!(account.is_some_and(|account| account.has_storage), number > 0);
        assert_eq!(then.storage(address(1), word(1)).unwrap(), word(first), "block {number}");
        assert_eq!(then.storage(address(1), word(9)).unwrap(), word(ninth), "block {number}");
    }
}

fn a_destroyed_account_has_its_slots_in_the_past(db: &mut dyn StateBackend) {
    with_three_slots(db);
    db.batch().delete_account(address(1)).commit().unwrap();
    db.batch().set_storage(address(1), word(2), word(7)).commit().unwrap();
    db.batch()
        .delete_account(address(1))
        .set_storage(address(1), word(3), word(8))
        .commit()
        .unwrap();
    for (number, words) in [(1, [10, 20, 30]), (2, [0, 0, 0]), (3, [0, 7, 0]), (4, [0, 0, 8])] {
        let then = db.at(number).unwrap();
        for (slot, expected) in (1..).zip(words) {
            let found = then.storage(address(1), word(slot)).unwrap();
            assert_eq!(found, word(expected), "block {number}, slot {slot}");
        }
    }
    db.unwind(1).unwrap();
    assert_eq!(entries(db, 1), three_slots());
}

fn a_state_that_is_not_kept_is_an_error(db: &mut dyn StateBackend) {
    with_three_slots(db);
    let beyond = db.at(2).err().expect("there is no such block");
    assert!(matches!(beyond, DbError::NoHistory { number: 2, floor: 0, head: 1 }), "{beyond:?}");
    assert!(matches!(db.unwind(2), Err(DbError::NoHistory { number: 2, .. })));
    assert_eq!(head(db), 1);
}

fn an_unwind_forgets_later_blocks_and_their_snapshots(db: &mut dyn StateBackend) {
    with_three_slots(db);
    let (root, kept) = (db.state_root().unwrap(), db.snapshot().unwrap());
    db.batch().delete_account(address(1)).commit().unwrap();
    let gone = db.snapshot().unwrap();
    with_three_slots(db);
    db.unwind(1).unwrap();
    assert_eq!((head(db), db.state_root().unwrap()), (1, root));
    assert_eq!(entries(db, 1), three_slots());
    assert!(db.at(2).is_err());
    assert!(matches!(db.revert(gone), Err(DbError::UnknownSnapshot { .. })));
    db.revert(kept).unwrap();
    assert_eq!(head(db), 1);
}

fn blocks_that_were_unwound_can_be_made_again(db: &mut dyn StateBackend) {
    for balance in 1..=4 {
        db.batch().set_account(address(1), info(balance)).commit().unwrap();
    }
    db.unwind(2).unwrap();
    for balance in [13, 14] {
        db.batch().set_account(address(1), info(balance)).commit().unwrap();
    }
    for (number, balance) in [(1, 1), (2, 2), (3, 13), (4, 14)] {
        let account = db.at(number).unwrap().account(address(1)).unwrap();
        assert_eq!(account, Some(info(balance).into()), "block {number}");
    }
}

fn a_revert_takes_back_the_head(db: &mut dyn StateBackend) {
    with_three_slots(db);
    let snapshot = db.snapshot().unwrap();
    db.commit_block(block(2), &StateDiff::default()).unwrap();
    db.commit_block(block(3), &StateDiff::default()).unwrap();
    db.revert(snapshot).unwrap();
    assert_eq!(db.head().unwrap(), BlockId { number: 1, hash: B256::ZERO });
}

fn a_revert_leads_back_before_the_first_block(db: &mut dyn StateBackend) {
    let snapshot = db.snapshot().unwrap();
    db.commit_block(block(77), &StateDiff::default()).unwrap();
    with_three_slots(db);
    db.revert(snapshot).unwrap();
    assert_eq!(db.head().unwrap(), BlockId::default());
    assert_eq!(db.state_root().unwrap(), EMPTY_ROOT);
    db.commit_block(block(5), &StateDiff::default()).unwrap();
    assert_eq!(head(db), 5);
}

/// Accounts 1 to 40, each with as many slots.
fn with_many(db: &mut dyn StateBackend) {
    let mut batch = db.batch();
    for id in 1..=40 {
        batch = batch.set_account(address(id), info(id.into()));
        for slot in 0..id {
            batch = batch.set_storage(address(id), word(slot.into()), word(id.into()));
        }
    }
    batch.commit().unwrap();
}

fn walks_come_in_the_order_of_hashes(db: &mut dyn StateBackend) {
    with_many(db);
    let mut accounts = Vec::new();
    db.for_each_account(B256::ZERO, &mut |hash, address, info| {
        assert_eq!(hash, keccak256(address));
        accounts.push((hash, info.balance));
        Ok(ControlFlow::Continue(()))
    })
    .unwrap();
    assert_eq!(accounts.len(), 40);
    assert!(accounts.is_sorted());
    let mut slots = Vec::new();
    db.for_each_slot(address(40), B256::ZERO, &mut |hash, slot, found| {
        assert_eq!((hash, found), (keccak256(slot.to_be_bytes::<32>()), word(40)));
        slots.push(hash);
        Ok(ControlFlow::Continue(()))
    })
    .unwrap();
    assert_eq!(slots.len(), 40);
    assert!(slots.is_sorted());
}

fn walks_start_and_stop_where_they_are_told(db: &mut dyn StateBackend) {
    with_many(db);
    let from = B256::repeat_byte(0x77);
    let mut visited = Vec::new();
    db.for_each_account(from, &mut |hash, _, _| {
        visited.push(hash);
        Ok(if visited.len() < 3 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
    })
    .unwrap();
    assert!(visited.len() == 3 && visited[0] >= from);

    visited.clear();
    db.for_each_slot(address(40), from, &mut |hash, _, _| {
        visited.push(hash);
        Ok(if visited.len() < 3 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
    })
    .unwrap();
    assert!(visited.len() == 3 && visited[0] >= from);

    let failed =
        db.for_each_account(B256::ZERO, &mut |_, address, _| Err(DbError::Ambiguous { address }));
    assert!(matches!(failed, Err(DbError::Ambiguous { .. })));
}

fn a_state_given_in_parts_gets_its_block(db: &mut dyn StateBackend) {
    // The second part goes on with the storage of the first.
    let first =
        db.batch().set_account(address(1), info(5)).set_storage(address(1), word(1), word(10));
    let first = first.to_diff().unwrap();
    db.seed(&first).unwrap();
    let second = db.batch().set_storage(address(1), word(2), word(20));
    let second = second.set_storage(address(1), word(3), word(30)).set_account(address(2), info(1));
    let second = second.to_diff().unwrap();
    db.seed(&second).unwrap();
    assert_eq!(db.head().unwrap(), BlockId::default());
    assert_eq!(entries(db, 1), three_slots());
    // The root of a_known_state_has_its_known_root.
    let root = b256!("5a0092a87e91562d30e5ccc7a373edede83e163e3fced18efa782a5673525c7f");
    assert_eq!(db.state_root().unwrap(), root);

    let block = BlockId { number: 9, hash: B256::repeat_byte(9) };
    db.commit_block(block, &StateDiff::default()).unwrap();
    assert_eq!((db.head().unwrap(), db.state_root().unwrap()), (block, root));
    assert!(matches!(db.seed(&second), Err(DbError::Unsupported { .. })));
    db.batch().delete_account(address(1)).commit().unwrap();
    assert_eq!(db.at(9).unwrap().storage(address(1), word(2)).unwrap(), word(20));
    db.unwind(9).unwrap();
    assert_eq!(db.state_root().unwrap(), root);
}
