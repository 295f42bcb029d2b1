//! The cache against its promises: what is kept is right, bounded, and answers without the inner
//! backend.

use tempfile::tempdir;
use zvm_core::{AccountInfo, keccak256};

use super::*;
use crate::{
    FileDb, MemoryDb,
    compliance::{check_backend, check_stores},
};

const ALICE: Address = Address::repeat_byte(0xa1);

const TINY: CacheLimits = CacheLimits { entries: 2, code_bytes: 200 };

fn large() -> CacheLimits {
    CacheLimits::entries(100_000)
}

fn over_memory(limits: CacheLimits) -> CachedDb {
    CachedDb::new(Box::new(MemoryDb::new()), limits)
}

fn hits(hits: u64, misses: u64) -> HitCount {
    HitCount { hits, misses }
}

#[test]
fn a_cache_over_memory_keeps_the_promises_of_a_backend() {
    for limits in [TINY, large()] {
        check_backend(|| Box::new(over_memory(limits)), |backend| backend);
    }
}

#[test]
fn a_cache_over_a_cache_keeps_the_promises_of_a_backend() {
    for (outer, inner) in [(TINY, large()), (large(), TINY)] {
        let nested = || CachedDb::new(Box::new(over_memory(inner)), outer);
        check_backend(|| Box::new(nested()), |backend| backend);
    }
}

#[test]
fn a_cache_over_a_file_keeps_the_promises_of_a_backend() {
    for limits in [TINY, large()] {
        let home = tempdir().unwrap();
        check_stores(home.path(), |path| {
            Box::new(CachedDb::new(Box::new(FileDb::open(path).unwrap()), limits))
        });
    }
}

#[test]
fn second_reads_are_hits_even_of_what_is_not_there() {
    let db = over_memory(large());
    for _ in 0..3 {
        assert_eq!(db.account(ALICE).unwrap(), None);
        assert_eq!(db.storage(ALICE, U256::from(1)).unwrap(), U256::ZERO);
    }
    let stats = db.stats();
    assert_eq!((stats.accounts, stats.slots), (hits(2, 1), hits(2, 1)));
    assert_eq!((stats.accounts_kept, stats.slots_kept), (1, 1));
}

#[test]
fn a_commit_leaves_the_new_values_in_the_cache() {
    let mut db = over_memory(large());
    let mut batch = db.batch();
    let code = Bytes::from_static(&[0x5b]);
    let code_hash = batch.set_code(code.clone());
    let info = AccountInfo { code_hash, ..AccountInfo::default() };
    let word = U256::from(7);
    batch.set_account(ALICE, info).set_storage(ALICE, U256::from(1), word).commit().unwrap();
    let before = db.stats();
    assert_eq!(db.account(ALICE).unwrap(), Some(Account { info, has_storage: true }));
    assert_eq!(db.storage(ALICE, U256::from(1)).unwrap(), word);
    assert_eq!(db.code(code_hash).unwrap(), code);
    let after = db.stats();
    assert_eq!(after.accounts.misses, before.accounts.misses);
    assert_eq!(after.slots.misses, before.slots.misses);
    assert_eq!((after.code, after.code_bytes_kept), (hits(1, 0), 1));
}

#[test]
fn code_stays_known_and_the_rest_is_forgotten_after_a_revert() {
    let mut db = over_memory(large());
    let before = db.snapshot().unwrap();
    let mut batch = db.batch();
    let code_hash = batch.set_code(Bytes::from_static(&[0x5b]));
    batch.set_storage(ALICE, U256::from(1), U256::from(7)).commit().unwrap();
    db.revert(before).unwrap();
    let stats = db.stats();
    assert_eq!((stats.accounts_kept, stats.slots_kept, stats.code_bytes_kept), (0, 0, 1));
    assert!(db.code(code_hash).is_ok());
    assert_eq!(db.account(ALICE).unwrap(), None);
}

#[test]
fn what_is_kept_stays_within_the_limits() {
    let mut db = over_memory(CacheLimits { entries: 100, code_bytes: 10_000 });
    for number in 0..1_000_u64 {
        let address = Address::from_word(keccak256(number.to_be_bytes()));
        let mut batch = db.batch();
        batch.set_code(Bytes::from(number.to_be_bytes().repeat(64)));
        let _ = batch.set_storage(address, U256::from(number), U256::from(1)).commit();
        db.account(address).unwrap();
    }
    let stats = db.stats();
    assert!((1..=100).contains(&stats.accounts_kept), "{stats:?}");
    assert!((1..=100).contains(&stats.slots_kept), "{stats:?}");
    assert!((1..=10_000).contains(&stats.code_bytes_kept), "{stats:?}");
}

#[test]
fn a_refused_commit_changes_nothing() {
    let mut db = over_memory(large());
    db.batch().set_storage(ALICE, U256::from(1), U256::from(7)).commit().unwrap();
    let diff = db.batch().delete_account(ALICE).to_diff().unwrap();
    let far = BlockId { number: 9, hash: B256::ZERO };
    assert!(matches!(db.commit_block(far, &diff), Err(DbError::NotNext { number: 9, head: 1 })));
    assert_eq!(db.storage(ALICE, U256::from(1)).unwrap(), U256::from(7));
}
