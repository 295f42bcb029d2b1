//! What became of commits, and of those who stand behind them.

use zvm_core::AccountInfo;
use zvm_state::{FileDb, MemoryDb};

use super::*;

const ALICE: SessionId = [1; 16];

fn commit(id: u64, number: u64) -> Write {
    let info = AccountInfo { nonce: id, ..AccountInfo::default() };
    let mut diff = StateDiff::default();
    diff.accounts.entry(Address::ZERO).or_default().new = Some(info);
    let block = BlockId { number, hash: B256::ZERO };
    Write::Commit { id: name(id), block, diff }
}

fn name(id: u64) -> B256 {
    B256::from(U256::from(id))
}

fn held(backend: impl StateBackend + 'static) -> Held {
    Held::new(Box::new(backend), 1 << 20)
}

/// Writes at the present.
fn write(held: &mut Held, write: Write, others: &[StateName]) -> Result<StateName, Refusal> {
    let others = others.iter().copied().collect();
    held.write(ALICE, held.tip(), write, &others).map(|written| written.at)
}

fn nonce(held: &Held, at: StateName) -> Option<u64> {
    let overlay = held.way_to(at).ok()?;
    let account = held.view(overlay.as_ref()).database().account(Address::ZERO).unwrap();
    Some(account.map_or(0, |account| account.nonce))
}

#[test]
fn a_commit_that_was_asked_about_first_is_never_made() {
    let mut held = held(MemoryDb::new());
    assert_eq!(held.fate(name(1), 1, true).unwrap(), Fate::Refused);
    assert!(matches!(write(&mut held, commit(1, 1), &[]), Err(Refusal::Barred)));
    assert_eq!(held.standing().unwrap().block.number, 0);
    assert!(write(&mut held, commit(2, 1), &[]).is_ok());
    assert_eq!(held.fate(name(2), 1, true).unwrap(), Fate::Kept);
    // Sent again it is not made again.
    assert!(write(&mut held, commit(2, 2), &[]).is_ok());
    assert_eq!(held.standing().unwrap().block.number, 1);
}

#[test]
fn a_store_knows_after_a_restart_who_made_a_block() {
    let folder = tempfile::tempdir().unwrap();
    let mut before = held(FileDb::open(folder.path()).unwrap());
    assert!(write(&mut before, commit(1, 1), &[]).is_ok());
    drop(before);
    let mut after = held(FileDb::open(folder.path()).unwrap());
    assert_eq!(after.standing().unwrap().mark, Some(name(1)));
    assert_eq!(after.fate(name(1), 1, false).unwrap(), Fate::Kept);
    assert_eq!(after.fate(name(7), 1, false).unwrap(), Fate::Refused);
    assert_eq!(after.fate(name(8), 2, false).unwrap(), Fate::Refused);
    assert!(matches!(write(&mut after, commit(8, 2), &[]), Err(Refusal::Barred)));
}

#[test]
fn a_server_that_cannot_know_says_so() {
    let mut state = MemoryDb::new();
    state.set_nonce(Address::ZERO, 1);
    assert_eq!(held(state).fate(name(1), 1, false).unwrap(), Fate::Unknown);

    let mut held = held(MemoryDb::new());
    for number in 1..=FATES_MAX as u64 + 3 {
        assert!(write(&mut held, commit(number, number), &[]).is_ok());
    }
    // Forgotten, but not taken for refused.
    assert_eq!(held.fate(name(3), 3, true).unwrap(), Fate::Unknown);
    assert_eq!(held.fate(name(4), 4, true).unwrap(), Fate::Kept);
    assert_eq!(held.fate(name(0), 4, true).unwrap(), Fate::Refused);
}

#[test]
fn ways_back_are_kept_for_those_who_stand_there_and_no_longer() {
    let mut held = held(MemoryDb::new());
    let first = write(&mut held, commit(1, 1), &[]).ok().unwrap();
    assert!(held.steps.is_empty());
    let second = write(&mut held, commit(2, 2), &[first]).ok().unwrap();
    let third = write(&mut held, commit(3, 3), &[first, second]).ok().unwrap();
    assert_eq!([first, second, third].map(|at| nonce(&held, at)), [Some(1), Some(2), Some(3)]);
    // The first has moved on.
    let fourth = write(&mut held, commit(4, 4), &[second]).ok().unwrap();
    assert_eq!([first, second, fourth].map(|at| nonce(&held, at)), [None, Some(2), Some(4)]);

    // Back between them: who stands before it stays, who stood behind it has lost its state.
    let back = write(&mut held, Write::Unwind(3), &[second]).ok().unwrap();
    assert_eq!(back, third);
    assert_eq!([second, third, fourth].map(|at| nonce(&held, at)), [Some(2), Some(3), None]);
    let again = write(&mut held, commit(14, 4), &[second]).ok().unwrap();
    assert_ne!(again, fourth);
    assert_eq!([second, fourth, again].map(|at| nonce(&held, at)), [Some(2), None, Some(14)]);
    let _ = write(&mut held, commit(15, 5), &[]);
    assert!(held.steps.is_empty() && held.bytes == 0);
}

#[test]
fn who_stands_behind_cannot_write() {
    let mut held = held(MemoryDb::new());
    let first = held.tip();
    assert!(write(&mut held, commit(1, 1), &[first]).is_ok());
    let late = held.write(ALICE, first, commit(2, 2), &BTreeSet::new());
    assert!(matches!(late, Err(Refusal::Behind { head: 1 })));
}
