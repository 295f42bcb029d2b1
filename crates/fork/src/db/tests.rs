//! A fork of a state in memory, beside that state itself.

use std::{
    ops::ControlFlow,
    sync::atomic::{AtomicUsize, Ordering},
};

use proptest::{collection, prelude::*};
use zvm_core::{AccountInfo, Header, KECCAK_EMPTY};
use zvm_state::MemoryDb;

use super::*;

/// The state of a [`MemoryDb`] as a remote one.
struct Local {
    state: MemoryDb,
    origin: Origin,
    fetches: AtomicUsize,
}

impl Source for Local {
    fn origin(&self) -> &Origin {
        &self.origin
    }

    fn name(&self) -> String {
        "memory".to_owned()
    }

    fn fetch(&self, reads: &[Read]) -> Result<Vec<Found>, DbError> {
        self.fetches.fetch_add(1, Ordering::Relaxed);
        let find = |read: &Read| {
            Ok(match *read {
                Read::Account(address) => Found::Account(
                    self.state
                        .account(address)?
                        .map(|account| RemoteAccount { info: account.info, storage_root: None }),
                ),
                Read::Slot(address, slot) => Found::Word(self.state.storage(address, slot)?),
                Read::Code(hash, _) => Found::Code(self.state.code(hash)?),
                Read::BlockHash(number) => Found::BlockHash(B256::with_last_byte(number as u8)),
            })
        };
        reads.iter().map(find).collect()
    }
}

fn address(id: u8) -> Address {
    Address::repeat_byte(id)
}

fn word(value: u64) -> U256 {
    U256::from(value)
}

fn info(balance: u64) -> AccountInfo {
    AccountInfo { balance: word(balance), nonce: 1, code_hash: KECCAK_EMPTY }
}

/// Account 1 with two slots and code, account 2 with neither, at block 9.
fn remote() -> Arc<Local> {
    let mut state = MemoryDb::new();
    state.insert_account(address(1), info(5));
    state.set_code(address(1), Bytes::from_static(&[0x5b]));
    state.set_storage(address(1), word(1), word(10));
    state.set_storage(address(1), word(2), word(20));
    state.insert_account(address(2), info(7));
    let root = state.state_root().unwrap();
    let header = Header { number: 9, state_root: root, ..Header::default() };
    let block = BlockId { number: 9, hash: header.hash() };
    let origin = Origin { chain_id: 1, block, header, spec: None, is_verified: false };
    Arc::new(Local { state, origin, fetches: AtomicUsize::new(0) })
}

/// The same block of an empty state, as number 0.
fn nothing() -> Local {
    let header = Header::default();
    let block = BlockId { number: 0, hash: header.hash() };
    let origin = Origin { chain_id: 1, block, header, spec: None, is_verified: false };
    Local { state: MemoryDb::new(), origin, fetches: AtomicUsize::new(0) }
}

#[test]
fn a_fork_of_nothing_keeps_the_promises_of_a_backend() {
    zvm_state::compliance::check_fork(|| Box::new(ForkDb::new(Arc::new(nothing()))));
}

fn fork() -> (ForkDb, Arc<Local>) {
    let remote = remote();
    (ForkDb::new(remote.clone()), remote)
}

#[test]
fn a_fork_reads_what_is_remote() {
    let (db, remote) = fork();
    let account = db.account(address(1)).unwrap().unwrap();
    assert_eq!((account.balance, account.has_storage), (word(5), true));
    assert_eq!(db.storage(address(1), word(2)).unwrap(), word(20));
    assert_eq!(db.code(account.code_hash).unwrap().as_ref(), [0x5b]);
    assert_eq!(db.account(address(3)).unwrap(), None);
    assert_eq!(db.block_hash(8).unwrap(), B256::with_last_byte(8));
    assert_eq!((db.head().unwrap(), db.floor().unwrap()), (remote.origin.block, 9));
    assert_eq!(db.state_root().unwrap(), remote.origin.header.state_root);
    assert!(matches!(db.code(B256::ZERO), Err(DbError::MissingCode { .. })));
}

#[test]
fn a_slot_set_to_zero_stays_zero_and_a_deleted_account_does_not_come_back() {
    let (mut db, _) = fork();
    db.batch().set_storage(address(1), word(1), U256::ZERO).commit().unwrap();
    assert_eq!(db.storage(address(1), word(1)).unwrap(), U256::ZERO);
    db.batch().delete_account(address(1)).commit().unwrap();
    assert_eq!(db.account(address(1)).unwrap(), None);
    assert_eq!(db.storage(address(1), word(2)).unwrap(), U256::ZERO);
    // Made again, it has none of the storage it once had.
    db.batch()
        .set_account(address(1), info(6))
        .set_storage(address(1), word(3), word(30))
        .commit()
        .unwrap();
    let words = [1, 2, 3].map(|slot| db.storage(address(1), word(slot)).unwrap());
    assert_eq!(words, [0, 0, 30].map(word));
    assert_eq!(db.storage_entries(address(1)).unwrap(), [(word(3), word(30))]);
    for (number, expected) in
        [(9, [10, 20, 0]), (10, [0, 20, 0]), (11, [0, 0, 0]), (12, [0, 0, 30])]
    {
        let then = db.at(number).unwrap();
        let words = [1, 2, 3].map(|slot| then.storage(address(1), word(slot)).unwrap());
        assert_eq!(words, expected.map(word), "block {number}");
        assert_eq!(then.account(address(1)).unwrap().is_some(), number != 11);
    }
    db.unwind(9).unwrap();
    assert_eq!(db.storage(address(1), word(1)).unwrap(), word(10));
    assert_eq!(db.overlay(), StateDiff { code: db.overlay().code, ..StateDiff::default() });
}

#[test]
fn a_block_without_changes_asks_nothing() {
    let (mut db, remote) = fork();
    let block = BlockId { number: 10, hash: B256::repeat_byte(1) };
    db.commit_block(block, &StateDiff::default()).unwrap();
    assert_eq!((db.head().unwrap(), db.block_hash(10).unwrap()), (block, block.hash));
    db.commit(&StateDiff::default()).unwrap();
    assert!(matches!(db.block_hash(11), Err(DbError::MissingBlockHash { number: 11 })));
    assert_eq!(db.state_root().unwrap(), remote.origin.header.state_root);
    assert_eq!(remote.fetches.load(Ordering::Relaxed), 0);
}

#[test]
fn an_account_made_here_is_asked_about_and_none_of_its_slots() {
    let (mut db, remote) = fork();
    db.batch().set_account(address(8), info(1)).commit().unwrap();
    let before = remote.fetches.load(Ordering::Relaxed);
    for slot in 0..100 {
        assert_eq!(db.storage(address(8), word(slot)).unwrap(), U256::ZERO);
    }
    // One look at the account each, which is what a source keeps.
    assert_eq!(remote.fetches.load(Ordering::Relaxed) - before, 100);
}

#[test]
fn what_nobody_knows_is_refused_and_not_guessed() {
    let (mut db, _) = fork();
    let refused = |error: Result<(), DbError>| matches!(error, Err(DbError::Unsupported { .. }));
    assert!(refused(db.for_each_account(B256::ZERO, &mut |_, _, _| Ok(ControlFlow::Continue(())))));
    assert!(refused(db.storage_entries(address(1)).map(drop)));
    assert_eq!(db.storage_entries(address(3)).unwrap(), []);
    assert!(refused(db.seed(&StateDiff::default())));
    for number in [0, 9, 11, u64::MAX] {
        let block = BlockId { number, hash: B256::ZERO };
        let error = db.commit_block(block, &StateDiff::default()).unwrap_err();
        assert!(matches!(error, DbError::NotNext { head: 9, .. }), "{error}");
        let error = if number == 9 { None } else { db.unwind(number).err() };
        assert!(
            error.is_none_or(|error| matches!(error, DbError::NoHistory { floor: 9, head: 9, .. }))
        );
    }
}

#[test]
fn the_same_changes_have_the_same_root_and_others_another() {
    let (mut a, _) = fork();
    let (mut b, _) = fork();
    let empty = a.overlay_root();
    a.batch()
        .set_storage(address(1), word(1), word(3))
        .set_account(address(2), info(1))
        .commit()
        .unwrap();
    b.batch().set_account(address(2), info(1)).commit().unwrap();
    assert_ne!(a.overlay_root(), b.overlay_root());
    b.batch().set_storage(address(1), word(1), word(3)).commit().unwrap();
    assert_eq!(a.overlay_root(), b.overlay_root());
    a.batch().set_storage(address(1), word(2), U256::ZERO).commit().unwrap();
    assert_ne!(a.overlay_root(), b.overlay_root());
    a.unwind(9).unwrap();
    assert_eq!(a.overlay_root(), empty);
}

/// One change by hand.
#[derive(Clone, Debug)]
enum Change {
    Account(u8, u64),
    Delete(u8),
    Slot(u8, u64, u64),
}

#[derive(Clone, Debug)]
enum Move {
    Commit(Vec<Change>),
    Snapshot,
    Revert,
    Release,
    Unwind(u64),
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        (1_u8..5, 0_u64..3).prop_map(|(id, balance)| Change::Account(id, balance)),
        (1_u8..5).prop_map(Change::Delete),
        (1_u8..5, 0_u64..4, 0_u64..3).prop_map(|(id, slot, value)| Change::Slot(id, slot, value)),
    ]
}

fn step() -> impl Strategy<Value = Move> {
    prop_oneof![
        4 => collection::vec(change(), 0..5).prop_map(Move::Commit),
        1 => Just(Move::Snapshot),
        1 => Just(Move::Revert),
        1 => Just(Move::Release),
        1 => (0_u64..4).prop_map(Move::Unwind),
    ]
}

/// What a state says of all that is ever changed, code and the guess at storage left out.
fn view(db: &dyn Database) -> Vec<(Option<AccountInfo>, Vec<U256>)> {
    let of = |id: u8| {
        let account = db.account(address(id)).unwrap().map(|account| account.info);
        let words = (0..4).map(|slot| db.storage(address(id), word(slot)).unwrap()).collect();
        (account, words)
    };
    (1..6).map(of).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// A fork beside the forked state itself, changed in the same ways.
    #[test]
    fn a_fork_is_the_forked_state_with_the_changes(moves in collection::vec(step(), 1..30)) {
        let (mut fork, remote) = fork();
        let mut whole = remote.state.clone();
        let base = whole.head().unwrap().number;
        let mut snapshots = Vec::new();
        for step in moves {
            match step {
                Move::Commit(changes) => {
                    let mut batch = whole.batch();
                    for change in changes {
                        batch = match change {
                            Change::Account(id, balance) => batch.set_account(address(id), info(balance)),
                            Change::Delete(id) => batch.delete_account(address(id)),
                            Change::Slot(id, slot, value) => {
                                batch.set_storage(address(id), word(slot), word(value))
                            }
                        };
                    }
                    let diff = batch.to_diff().unwrap();
                    whole.commit(&diff).unwrap();
                    fork.commit(&diff).unwrap();
                }
                Move::Snapshot => snapshots.push((whole.snapshot().unwrap(), fork.snapshot().unwrap())),
                Move::Revert | Move::Release if snapshots.is_empty() => {}
                Move::Revert => {
                    let (of_whole, of_fork) = snapshots.pop().unwrap();
                    whole.revert(of_whole).unwrap();
                    fork.revert(of_fork).unwrap();
                }
                Move::Release => {
                    let (of_whole, of_fork) = snapshots.pop().unwrap();
                    whole.release(of_whole).unwrap();
                    fork.release(of_fork).unwrap();
                }
                Move::Unwind(back) => {
                    let head = whole.head().unwrap().number;
                    let target = head.saturating_sub(back).max(base);
                    whole.unwind(target).unwrap();
                    fork.unwind(target - base + 9).unwrap();
                    // Those made later ended with their blocks, in both alike.
                    snapshots.retain(|(of_whole, of_fork)| {
                        let mut copy = whole.clone();
                        let is_open = copy.release(*of_whole).is_ok();
                        assert_eq!(fork.position(*of_fork).is_ok(), is_open);
                        is_open
                    });
                }
            }
            prop_assert_eq!(view(&fork), view(&whole));
            let head = whole.head().unwrap().number;
            prop_assert_eq!(fork.head().unwrap().number, head - base + 9);
            for number in base..=head {
                let then = fork.at(number - base + 9).unwrap();
                prop_assert_eq!(view(&*then), view(&*whole.at(number).unwrap()), "block {}", number);
            }
        }
    }
}
