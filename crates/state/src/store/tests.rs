//! The store over a simulated disk: crashes, full disks, what is kept.

mod damage;

use std::{ops::ControlFlow, path::Path, sync::LazyLock};

use zvm_core::{
    AccountInfo, Address, Assembled, B256, BlockId, Database, DbError, EMPTY_ROOT, StateBackend,
    StateDiff, U256, hex, keccak256,
};
use zvm_trie::{state_root, storage_root};

use super::{
    CheckLevel, FileDb, FileOptions, History,
    keys::Kind,
    read::put,
    recover::{initial, meta},
    slices::{SLICES, Turns, slice_of},
};
use crate::{
    MemoryDb,
    compliance::check_backend,
    kv::{
        Durability, KvReader, KvStore, Options, Order, Table, WriteBatch,
        sim::{Crash, SimDisk},
    },
};

fn open(disk: &SimDisk, history: History, durability: Durability) -> Result<FileDb, DbError> {
    let options = FileOptions { history: Some(history), durability, ..FileOptions::default() };
    FileDb::over(store(disk)?, options)
}

fn store(disk: &SimDisk) -> Result<Box<dyn KvStore>, DbError> {
    let options = Options { initial: &|| Ok(initial()), ..Options::default() };
    disk.open(Path::new("store"), options)
}

/// The root of all that a store says it holds, by the shortest way.
fn content_root(db: &FileDb) -> Result<B256, DbError> {
    let mut accounts = Vec::new();
    db.for_each_account(B256::ZERO, &mut |_, address, info| {
        accounts.push((address, info, storage_root(db.storage_entries(address)?)));
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(state_root(accounts))
}

#[test]
fn a_state_that_was_asked_about_is_the_one_that_is_committed() {
    let open = || open(&SimDisk::default(), History::default(), Durability::Synced).unwrap();
    let [mut db, mut other] = [open(), open()];
    let account = |id: u8, nonce| {
        let info = AccountInfo { nonce, ..AccountInfo::default() };
        let mut db = MemoryDb::new();
        let words = (0..20).fold(db.batch(), |batch, slot| {
            let word = U256::from(u64::from(id) + nonce + slot);
            batch.set_storage(Address::repeat_byte(id), U256::from(slot), word)
        });
        words.set_account(Address::repeat_byte(id), info).to_diff().unwrap()
    };
    let (a, b) = (account(1, 1), account(2, 5));
    let mut check = |db: &mut FileDb, diff: &StateDiff, asked: &[&StateDiff]| {
        for diff in asked {
            db.root_after(diff).unwrap();
        }
        db.commit(diff).unwrap();
        other.commit(diff).unwrap();
        assert_eq!(db.state_root().unwrap(), other.state_root().unwrap());
        assert_eq!(db.state_root().unwrap(), content_root(db).unwrap());
    };
    check(&mut db, &a, &[&a]);
    check(&mut db, &b, &[&b, &a]);
    let c = account(1, 2);
    check(&mut db, &c, &[&a, &c]);

    // What was worked out on a state that is gone.
    let d = account(2, 9);
    db.root_after(&d).unwrap();
    db.unwind(1).unwrap();
    db.commit(&d).unwrap();
    assert_eq!(db.state_root().unwrap(), content_root(&db).unwrap());
    db.check(CheckLevel::Branches, &mut |_| {}).unwrap();
}

/// The address of one of twenty accounts. The hashes of fifteen begin with the same two nibbles, of thirteen
/// with the same three: their branches are stored, but for that which hangs above its slice as long as
/// nothing is beside the fifteen.
fn address(id: u64) -> Address {
    static ADDRESSES: LazyLock<Vec<Address>> = LazyLock::new(|| {
        let firsts = [[0x600; 13].as_slice(), &[0x60f; 2], &[0x620; 2], &[0x800; 3]].concat();
        let mut addresses = (0_u64..).map(|number| Address::from_word(U256::from(number).into()));
        let begins = |address: &Address| {
            u16::from_be_bytes([keccak256(address)[0], keccak256(address)[1]]) >> 4
        };
        firsts.into_iter().filter_map(|first| addresses.find(|it| begins(it) == first)).collect()
    });
    ADDRESSES[id as usize % 20]
}

/// A block that changes a few of twenty accounts, destroys some and gives others many slots.
fn commit(db: &mut FileDb, number: u64) -> Result<(), DbError> {
    let mut batch = db.batch();
    for step in 0..4 {
        let id = (number * 7 + step * 5) % 20;
        let address = address(id);
        if (number + step) % 11 == 3 {
            batch = batch.delete_account(address);
        }
        let info = AccountInfo { nonce: number, ..AccountInfo::default() };
        batch = batch.set_account(address, info);
        for slot in 0..(id % 4) * 6 {
            let word = U256::from((number + slot) % 5);
            batch = batch.set_storage(address, U256::from(slot), word);
        }
    }
    batch.commit()
}

#[test]
fn a_simulated_disk_keeps_the_promises_of_a_backend() {
    let disk = std::cell::RefCell::new(SimDisk::default());
    let over = || Box::new(open(&disk.borrow(), History::Blocks(80), Durability::Synced).unwrap());
    check_backend(
        || {
            *disk.borrow_mut() = SimDisk::default();
            over()
        },
        |backend| {
            drop(backend);
            over()
        },
    );
}

/// Opens what a crash has left and checks that it is the state after one of `roots`' blocks, whole
/// and fit to go on.
fn check_survivor(disk: &SimDisk, roots: &[B256], acknowledged: usize, when: &str) {
    let mut db = open(disk, History::Blocks(80), Durability::Synced).expect(when);
    let head = db.head().unwrap().number as usize;
    assert!(head >= acknowledged, "{when}: head {head}, acknowledged {acknowledged}");
    assert_eq!(db.state_root().unwrap(), roots[head], "{when}");
    assert_eq!(content_root(&db).unwrap(), roots[head], "{when}");
    db.check(CheckLevel::Branches, &mut |_| {}).expect(when);
    let back = head.saturating_sub(3);
    db.unwind(back as u64).expect(when);
    assert_eq!(content_root(&db).unwrap(), roots[back], "{when}");
    for (number, root) in roots.iter().enumerate().take(head + 3).skip(back + 1) {
        commit(&mut db, number as u64).expect(when);
        assert_eq!(db.state_root().unwrap(), *root, "{when}: redone block {number}");
    }
}

#[test]
fn any_prefix_of_the_log_is_a_block() {
    let disk = SimDisk::default();
    let mut db = open(&disk, History::Blocks(80), Durability::Buffered).unwrap();
    let mut roots = vec![EMPTY_ROOT];
    for number in 1..=5 {
        commit(&mut db, number).unwrap();
        roots.push(db.state_root().unwrap());
    }
    let unsynced = disk.unsynced_bytes();
    for kept in (0..=unsynced).step_by(37).chain([unsynced]) {
        let when = format!("{kept} of {unsynced} bytes");
        check_survivor(&disk.after(Crash::Cut { kept }), &roots, 0, &when);
    }
}

#[test]
fn a_torn_log_is_a_block_at_or_behind_the_last_synced() {
    for seed in 0..12 {
        let disk = SimDisk::default();
        let mut roots = vec![EMPTY_ROOT];
        // Longer than branches and records wait, so that all ways of writing are met.
        let synced = 100 + seed as usize * 7;
        // Every other time more waits than there may.
        let pending_bytes = if seed % 2 == 0 { 1 << 20 } else { 4000 };
        let trie_dirty_bytes = if seed % 3 == 0 { 1 << 20 } else { 2000 };
        let open = |durability| {
            let history = History::Blocks(80);
            let options = FileOptions {
                history: Some(history),
                durability,
                pending_bytes,
                trie_dirty_bytes,
                ..Default::default()
            };
            FileDb::over(store(&disk).unwrap(), options).unwrap()
        };
        let mut db = open(Durability::Synced);
        for number in 1..=synced {
            commit(&mut db, number as u64).unwrap();
            roots.push(db.state_root().unwrap());
        }
        drop(db);
        let mut db = open(Durability::Buffered);
        for number in synced + 1..=synced + 80 {
            commit(&mut db, number as u64).unwrap();
            roots.push(db.state_root().unwrap());
        }
        let when = format!("seed {seed}");
        check_survivor(&disk.after(Crash::Tear { seed }), &roots, synced, &when);
        let kept = disk.unsynced_bytes() * (seed as usize + 1) / 13;
        check_survivor(&disk.after(Crash::Cut { kept }), &roots, synced, &when);
    }
}

#[test]
fn no_more_waits_than_may_but_for_the_last_block() {
    let most_waiting = |pending_bytes, trie_dirty_bytes| {
        let disk = SimDisk::default();
        let options = FileOptions { pending_bytes, trie_dirty_bytes, ..FileOptions::default() };
        let mut db = FileDb::over(store(&disk).unwrap(), options).unwrap();
        let (mut pending, mut dirty) = (0, 0);
        for number in 1..=300 {
            commit(&mut db, number).unwrap();
            pending = pending.max(db.pending.bytes());
            dirty = dirty.max(db.tries().unwrap().dirty_bytes());
        }
        drop(db);
        let db = FileDb::over(store(&disk).unwrap(), options).unwrap();
        db.check(CheckLevel::Branches, &mut |_| {}).unwrap();
        (pending, dirty)
    };
    let block = most_waiting(0, 0);
    let all = most_waiting(1 << 20, 1 << 20);
    let few = most_waiting(4000, 1 << 20);
    assert!(few.0 <= 4000 + block.0 && 4000 + block.0 < all.0, "{few:?} {block:?} {all:?}");
    let few = most_waiting(1 << 20, 2000);
    assert!(few.1 <= 2000 + block.1 && 2000 + block.1 < all.1, "{few:?} {block:?} {all:?}");
}

#[test]
fn a_crash_takes_a_bounded_number_of_buffered_blocks() {
    let disk = SimDisk::default();
    let mut db = open(&disk, History::Blocks(80), Durability::Buffered).unwrap();
    for number in 1..=100 {
        commit(&mut db, number).unwrap();
    }
    let survivor = disk.after(Crash::Cut { kept: 0 });
    let head = open(&survivor, History::Blocks(80), Durability::Synced).unwrap().head().unwrap();
    assert_eq!(head.number, 96);
}

#[test]
fn a_full_disk_changes_nothing() {
    for writes in 0..40 {
        let disk = SimDisk::default();
        let mut db = open(&disk, History::Blocks(8), Durability::Synced).unwrap();
        for number in 1..=50 {
            commit(&mut db, number).unwrap();
        }
        disk.fill_up_after(Some(writes));
        let mut number = 51;
        let refused = loop {
            let before = (db.head().unwrap(), db.state_root().unwrap());
            if let Err(error) = commit(&mut db, number) {
                assert_eq!((db.head().unwrap(), db.state_root().unwrap()), before);
                break error;
            }
            number += 1;
        };
        assert!(matches!(refused, DbError::Io { .. }), "{refused}");
        assert_eq!(content_root(&db).unwrap(), db.state_root().unwrap());
        disk.fill_up_after(None);
        commit(&mut db, number).unwrap();
        db.check(CheckLevel::Branches, &mut |_| {}).unwrap();
        drop(db);
        let db = open(&disk, History::Blocks(8), Durability::Synced).unwrap();
        db.check(CheckLevel::Branches, &mut |_| {}).unwrap();
    }
}

#[test]
fn a_deleted_branch_is_found_and_a_rebuilt_trie_is_whole() {
    let disk = SimDisk::default();
    let mut db = open(&disk, History::All, Durability::Synced).unwrap();
    // Just after the slice of most was written, none of its branches can be worked out from what waits.
    let head = 1 + slice_of(&[0x60]) as u64;
    for number in 1..=head {
        commit(&mut db, number).unwrap();
    }
    let whole = db.check(CheckLevel::Branches, &mut |_| {}).unwrap();
    assert!(whole.branches > 3 && whole.accounts == 20, "{whole:?}");
    for table in [Table::TrieAccounts, Table::TrieStorage] {
        let kv = db.store();
        let key = kv.iter(table, &[], None, Order::Reverse).unwrap().next().unwrap().unwrap().0;
        drop(db);
        let mut kv = store(&disk).unwrap();
        let mut batch = WriteBatch::new();
        batch.delete(table, &key);
        kv.write(batch, Durability::Synced).unwrap();
        drop(kv);

        db = open(&disk, History::All, Durability::Synced).unwrap();
        let missing = db.check(CheckLevel::Branches, &mut |_| {});
        assert!(missing.is_err(), "{missing:?}");
        assert_eq!(db.rebuild_trie(&mut |_| {}).unwrap().accounts, 20);
        assert_eq!(db.check(CheckLevel::Branches, &mut |_| {}).unwrap(), whole);
    }
    commit(&mut db, head + 1).unwrap();
    db.unwind(20).unwrap();
    db.check(CheckLevel::Branches, &mut |_| {}).unwrap();
}

#[test]
fn a_sample_of_many_draws_is_every_account_once() {
    let disk = SimDisk::default();
    let mut db = open(&disk, History::All, Durability::Synced).unwrap();
    let info = AccountInfo { nonce: 1, ..AccountInfo::default() };
    let accounts = (0..16).map(Address::repeat_byte);
    accounts.fold(db.batch(), |batch, it| batch.set_account(it, info)).commit().unwrap();
    // Sixteen accounts are all there are, however many are drawn.
    assert_eq!(db.check(CheckLevel::Sample(1000), &mut |_| {}).unwrap().accounts, 16);
}

#[test]
fn an_interrupted_rebuild_is_told_and_can_be_done_again() {
    // Fewer blocks than branches wait for, and more.
    for blocks in [20, 64] {
        for writes in 1..=2 {
            let disk = SimDisk::default();
            let mut db = open(&disk, History::All, Durability::Synced).unwrap();
            for number in 1..=blocks {
                commit(&mut db, number).unwrap();
            }
            disk.fill_up_after(Some(writes));
            let error = db.rebuild_trie(&mut |_| {}).unwrap_err();
            assert!(matches!(error, DbError::Io { .. }), "{error:?}");
            disk.fill_up_after(None);
            let refused = |db: &mut FileDb| {
                let error = commit(db, blocks + 1).unwrap_err().to_string();
                assert!(error.contains("the last rebuild was interrupted"), "{error}");
            };
            refused(&mut db);
            drop(db);
            let mut db = open(&disk, History::All, Durability::Synced).unwrap();
            refused(&mut db);
            assert_eq!(content_root(&db).unwrap(), db.state_root().unwrap());

            db.rebuild_trie(&mut |_| {}).unwrap();
            db.check(CheckLevel::Branches, &mut |_| {}).unwrap();
            commit(&mut db, blocks + 1).unwrap();
            drop(db);
            let db = open(&disk, History::All, Durability::Synced).unwrap();
            db.check(CheckLevel::Branches, &mut |_| {}).unwrap();
        }
    }
}

#[test]
fn slices_of_other_blocks_than_the_head_says_are_refused() {
    let disk = SimDisk::default();
    let mut db = open(&disk, History::All, Durability::Synced).unwrap();
    let head = SLICES as u64 + 9;
    for number in 1..=head {
        commit(&mut db, number).unwrap();
    }
    drop(db);
    let opened = |turns: Turns| {
        let mut kv = store(&disk).unwrap();
        let mut batch = WriteBatch::new();
        put(&mut batch, Table::Meta, meta::SLICES, &turns.encode());
        kv.write(batch, Durability::Synced).unwrap();
        drop(kv);
        open(&disk, History::All, Durability::Synced)
    };
    let right = open(&disk, History::All, Durability::Synced).unwrap().meta.turns;
    for wrong in [Turns::before(9), Turns::after(Some(head + 1))] {
        let error = opened(wrong).unwrap_err().to_string();
        assert!(error.contains("do not fit"), "{error}");
    }
    // What waits would be passed over.
    let mut db = opened(Turns::after(Some(head))).unwrap();
    let error = commit(&mut db, head + 1).unwrap_err().to_string();
    assert!(error.contains("leads to root"), "{error}");
    drop(db);
    let mut db = opened(right).unwrap();
    commit(&mut db, head + 1).unwrap();
    db.check(CheckLevel::Branches, &mut |_| {}).unwrap();
}

#[test]
fn branches_come_back_whatever_is_beside_them() {
    let disk = SimDisk::default();
    let mut db = open(&disk, History::All, Durability::Synced).unwrap();
    // With fewer beside them, the branches of fifteen hang at the root, one nibble or two below it.
    let worlds =
        [0..13, 0..15, 0..17, 0..20, 0..15, 0..12, 0..13, 3..20, 0..20, 0..0, 0..14, 0..18];
    let mut heads = Vec::new();
    for (nonce, world) in (1..).zip(worlds) {
        let batch = (0..20).fold(db.batch(), |batch, id| match world.contains(&id) {
            true => batch.set_account(address(id), AccountInfo { nonce, ..AccountInfo::default() }),
            false => batch.delete_account(address(id)),
        });
        batch.commit().unwrap();
        for blocks in [0, SLICES / 2, SLICES / 2] {
            (0..blocks).for_each(|_| db.batch().commit().unwrap());
            drop(db);
            db = open(&disk, History::All, Durability::Synced).unwrap();
            let checked = db.check(CheckLevel::Branches, &mut |_| {}).unwrap();
            assert_eq!(checked.accounts, world.clone().count() as u64);
            heads.push(db.head().unwrap().number);
        }
    }
    for head in heads.into_iter().rev().skip(1) {
        db.unwind(head).unwrap();
        db.check(CheckLevel::Branches, &mut |_| {}).unwrap();
        drop(db);
        db = open(&disk, History::All, Durability::Synced).unwrap();
        db.check(CheckLevel::Branches, &mut |_| {}).unwrap();
    }
}

#[test]
fn a_value_before_a_block_that_does_not_decode_is_named_by_its_key() {
    let disk = SimDisk::default();
    let mut db = open(&disk, History::All, Durability::Synced).unwrap();
    for number in 1..=20 {
        commit(&mut db, number).unwrap();
    }
    drop(db);
    let mut kv = store(&disk).unwrap();
    let block = 2_u64.to_be_bytes();
    let mut changes = kv.iter(Table::Changes, &block, None, Order::Forward).unwrap();
    let is_account = |key: &[u8]| key[8] == Kind::Account as u8;
    let key = changes.find_map(|entry| Some(entry.unwrap().0).filter(|key| is_account(key)));
    let key = key.unwrap();
    drop(changes);
    let mut batch = WriteBatch::new();
    put(&mut batch, Table::Changes, &key, b"no account");
    kv.write(batch, Durability::Synced).unwrap();
    drop(kv);
    let mut db = open(&disk, History::All, Durability::Synced).unwrap();
    let error = db.unwind(1).unwrap_err().to_string();
    assert!(error.contains(&hex::encode(key)), "{error}");
}

#[test]
fn every_account_and_slot_proves_against_the_root() {
    let disk = SimDisk::default();
    let mut db = open(&disk, History::default(), Durability::Synced).unwrap();
    for number in 1..=40 {
        commit(&mut db, number).unwrap();
    }
    let slots: Vec<U256> = (0..20).map(U256::from).collect();
    for id in 0..18 {
        let address = Address::repeat_byte(id);
        let proof = db.proof(address, &slots).unwrap();
        let proven = proof.verify(db.state_root().unwrap()).unwrap();
        assert_eq!(proven, db.account(address).unwrap().map(|account| account.info));
        for slot in proof.storage_proof {
            assert_eq!(slot.value, db.storage(address, slot.key).unwrap());
        }
    }
}

#[test]
fn history_stays_within_what_is_kept() {
    let disk = SimDisk::default();
    let mut db = open(&disk, History::Blocks(150), Durability::Synced).unwrap();
    let mut sizes = Vec::new();
    for number in 1..=600 {
        commit(&mut db, number).unwrap();
        let kept = number - db.floor();
        assert!(kept <= 150 + 34 || number < 300, "block {number}: {kept} kept");
        sizes.push(db.stat().unwrap().sizes.tables.iter().map(|table| table.entries).sum::<u64>());
    }
    let (early, late) = (sizes[300], sizes[599]);
    assert!(late < early * 3 / 2, "{early} records after 300 blocks, {late} after 600");
    let error = db.at(100).err().expect("long forgotten");
    assert!(matches!(error, DbError::NoHistory { number: 100, head: 600, .. }));
    db.unwind(db.floor()).unwrap();
    db.check(CheckLevel::Branches, &mut |_| {}).unwrap();
}

#[test]
fn an_index_begun_late_leads_to_what_was_changed_before() {
    let disk = SimDisk::default();
    let [alice, bob] = [0xa1, 0xb0].map(Address::repeat_byte);
    // Alice in every block, Bob in every seventh, whose slot is never the same twice.
    let change = |db: &mut FileDb, number: u64| {
        let info = AccountInfo { nonce: number, ..AccountInfo::default() };
        let batch = db.batch().set_account(alice, info);
        match number % 7 {
            0 => batch.set_storage(bob, U256::from(1), U256::from(number)).commit().unwrap(),
            _ => batch.commit().unwrap(),
        }
    };
    let check = |db: &FileDb, head: u64, when: &str| {
        for number in db.floor()..=head {
            let then = db.at(number).unwrap();
            let nonce = then.account(alice).unwrap().map_or(0, |account| account.info.nonce);
            assert_eq!(nonce, number, "{when}");
            let word = then.storage(bob, U256::from(1)).unwrap();
            assert_eq!(word, U256::from(number / 7 * 7), "{when}, block {number}");
        }
    };
    let entries =
        |db: &FileDb| db.kv.iter(Table::History, &[], None, Order::Forward).unwrap().count();

    let mut db = open(&disk, History::Blocks(128), Durability::Synced).unwrap();
    (1..=300).for_each(|number| change(&mut db, number));
    assert_eq!(entries(&db), 0, "so short a past has no index");
    check(&db, 300, "without an index");
    drop(db);

    let mut db = open(&disk, History::All, Durability::Synced).unwrap();
    check(&db, 300, "opened again");
    for number in 301..=500 {
        change(&mut db, number);
        if number % 33 == 0 {
            check(&db, number, "while the index begins");
        }
    }
    assert!(entries(&db) > 0);
    drop(db);

    // What was begun is kept up.
    let mut db = open(&disk, History::Blocks(128), Durability::Synced).unwrap();
    (501..=520).for_each(|number| change(&mut db, number));
    check(&db, 520, "with a short past again");
    // Before the index began, and on along another way.
    db.unwind(db.floor()).unwrap();
    let floor = db.head().unwrap().number;
    (floor + 1..=floor + 100).for_each(|number| change(&mut db, number));
    check(&db, floor + 100, "after going back");
    drop(db);
    let db = open(&disk, History::All, Durability::Synced).unwrap();
    check(&db, floor + 100, "after going back, opened again");
}

#[test]
fn the_slots_of_a_destroyed_account_count_as_history() {
    let disk = SimDisk::default();
    let mut db = open(&disk, History::Bytes(64 << 10), Durability::Synced).unwrap();
    let alice = Address::repeat_byte(0xa1);
    let mut batch = db.batch();
    for slot in 0..2000 {
        batch = batch.set_storage(alice, U256::from(slot), U256::from(1));
    }
    let diff = batch.to_diff().unwrap();
    db.seed(&diff).unwrap();
    db.batch().delete_account(alice).commit().unwrap();
    let slots = |db: &FileDb| db.stat().unwrap().sizes.tables[Table::Storage as usize].entries;
    assert_eq!(slots(&db), 2000);
    // So short a past would be kept, but for what it holds back.
    for _ in 0..140 {
        db.batch().commit().unwrap();
    }
    assert_eq!(slots(&db), 0);
    db.unwind(db.floor()).unwrap();
    for _ in 0..200 {
        db.batch().commit().unwrap();
    }
    assert!(db.head().unwrap().number - db.floor() > 150, "{}", db.floor());
}

#[test]
fn slots_move_between_the_record_and_the_table() {
    /// How many slots there are after a block, and the incarnations of those in the table.
    type Step<'a> = (u64, &'a [u32]);
    let recreated = [&[0; 12][..], &[1; 9][..]].concat();
    let steps: [Step<'_>; 9] = [
        (8, &[]),
        (9, &[0; 9]),
        (10, &[0; 10]),
        (8, &[]),
        (12, &[0; 12]),
        // Destroyed: what is in the table stays for the past, and what comes later is apart.
        (0, &[0; 12]),
        (3, &[0; 12]),
        (9, &recreated),
        (1, &[0; 12]),
    ];
    let alice = Address::repeat_byte(0xa1);
    // A block sets the words of all slots to its number.
    let word = |block: u64, slot: u64| match block.checked_sub(1) {
        Some(step) if slot < steps[step as usize].0 => U256::from(block),
        _ => U256::ZERO,
    };
    let check = |db: &FileDb, block: u64, when: &str| {
        let when = format!("block {block}, {when}");
        let hash = keccak256(alice);
        let kv = db.kv();
        let in_table = kv.iter(Table::Storage, hash.as_slice(), None, Order::Forward).unwrap();
        let incarnations: Vec<u32> = in_table
            .map(|entry| u32::from_be_bytes(*entry.unwrap().0[32..].first_chunk().unwrap()))
            .collect();
        let expected = block.checked_sub(1).map_or(&[][..], |step| steps[step as usize].1);
        assert_eq!(incarnations, expected, "{when}");
        for then in 0..=block {
            let state = db.at(then).unwrap();
            for slot in 0..12 {
                let found = state.storage(alice, U256::from(slot)).unwrap();
                assert_eq!(found, word(then, slot), "{when}: slot {slot} at {then}");
            }
        }
        let slots: Vec<U256> = (0..12).map(U256::from).collect();
        let proof = db.proof(alice, &slots).unwrap();
        proof.verify(db.state_root().unwrap()).unwrap();
        for (slot, proven) in (0..).zip(&proof.storage_proof) {
            assert_eq!(proven.value, word(block, slot), "{when}: proof of slot {slot}");
        }
        assert_eq!(content_root(db).unwrap(), db.state_root().unwrap(), "{when}");
        db.check(CheckLevel::Branches, &mut |_| {}).unwrap();
        db.check(CheckLevel::Sample(1), &mut |_| {}).unwrap();
    };
    let disk = SimDisk::default();
    let mut db = open(&disk, History::All, Durability::Synced).unwrap();
    for block in 1..=steps.len() as u64 {
        let batch = match steps[block as usize - 1].0 {
            0 => db.batch().delete_account(alice),
            _ => (0..12).fold(db.batch(), |batch, slot| {
                batch.set_storage(alice, U256::from(slot), word(block, slot))
            }),
        };
        batch.commit().unwrap();
        check(&db, block, "committed");
        // What the tries on disk lack is worked out, forwards and backwards.
        db.batch().delete_account(alice).commit().unwrap();
        drop(db);
        db = open(&disk, History::All, Durability::Synced).unwrap();
        db.unwind(block).unwrap();
        check(&db, block, "gone back to");
        drop(db);
        db = open(&disk, History::All, Durability::Synced).unwrap();
        check(&db, block, "opened again");
    }
    for block in (0..steps.len() as u64).rev() {
        db.unwind(block).unwrap();
        check(&db, block, "unwound to");
    }
}

#[test]
fn pruning_at_once_leaves_what_is_kept_and_a_whole_store() {
    let disk = SimDisk::default();
    let mut db = open(&disk, History::All, Durability::Synced).unwrap();
    for number in 1..=500 {
        commit(&mut db, number).unwrap();
    }
    let entries = |db: &FileDb| db.stat().unwrap().sizes.tables;
    let (before, root) = (entries(&db), db.state_root().unwrap());
    assert_eq!(db.prune(History::All, &mut |_| {}).unwrap(), 0);
    assert_eq!(entries(&db), before);

    let floor = db.prune(History::Blocks(140), &mut |_| {}).unwrap();
    assert_eq!((floor, db.floor()), (360, 360));
    let after = entries(&db);
    for table in [Table::Changes, Table::History] {
        let (kept, all) = (after[table as usize].entries, before[table as usize].entries);
        assert!(kept * 3 < all, "{}: {kept} of {all} kept", table.name());
    }
    assert!(db.at(359).is_err());
    db.at(360).unwrap();
    drop(db);
    let mut db = open(&disk, History::Blocks(140), Durability::Synced).unwrap();
    assert_eq!((db.floor(), db.state_root().unwrap()), (360, root));
    // What commits always keep.
    assert!(db.prune(History::Blocks(0), &mut |_| {}).unwrap() <= 500 - 128);
    db.check(CheckLevel::Branches, &mut |_| {}).unwrap();
    db.unwind(db.floor()).unwrap();
    db.check(CheckLevel::Branches, &mut |_| {}).unwrap();
}

#[test]
fn a_store_remembers_how_much_of_its_past_is_kept() {
    let disk = SimDisk::default();
    let open_as_it_is = || FileDb::over(store(&disk).unwrap(), FileOptions::default()).unwrap();
    assert_eq!(open_as_it_is().history(), History::default());
    drop(open(&disk, History::All, Durability::Synced).unwrap());
    let mut db = open_as_it_is();
    (1..=400).for_each(|number| commit(&mut db, number).unwrap());
    assert_eq!((db.history(), db.floor()), (History::All, 0));
    db.prune(History::Blocks(200), &mut |_| {}).unwrap();
    drop(db);
    let mut db = open_as_it_is();
    (401..=420).for_each(|number| commit(&mut db, number).unwrap());
    assert_eq!((db.history(), db.floor()), (History::Blocks(200), 220));
    db.unwind(300).unwrap();
    drop(db);
    assert_eq!(open_as_it_is().history(), History::Blocks(200));
    let told = open(&disk, History::Bytes(1), Durability::Synced).unwrap();
    assert_eq!(told.history(), History::Bytes(1), "what is said now counts");
}

#[test]
fn a_seeded_state_is_that_of_the_first_block() {
    let disk = SimDisk::default();
    let mut db = open(&disk, History::default(), Durability::Synced).unwrap();
    let alice = Address::repeat_byte(0xa1);
    for balance in 1..4 {
        let info = AccountInfo { balance: U256::from(balance), ..AccountInfo::default() };
        let batch = db.batch().delete_account(alice).set_account(alice, info);
        let diff = batch.set_storage(alice, U256::ZERO, U256::from(balance)).to_diff().unwrap();
        db.seed(&diff).unwrap();
    }
    let root = db.state_root().unwrap();
    assert_eq!(content_root(&db).unwrap(), root);
    let before = db.snapshot().unwrap();
    commit(&mut db, 1).unwrap();
    assert!(db.seed(&StateDiff::default()).is_err());
    db.revert(before).unwrap();
    assert_eq!(db.state_root().unwrap(), root);
    drop(db);
    let db = open(&disk, History::default(), Durability::Synced).unwrap();
    assert_eq!(db.storage_entries(alice).unwrap(), [(U256::ZERO, U256::from(3))]);
    db.check(CheckLevel::Branches, &mut |_| {}).unwrap();
}

#[test]
fn an_assembled_account_whose_slots_stay_is_told_without_a_walk() {
    let disk = SimDisk::default();
    let mut db = open(&disk, History::default(), Durability::Synced).unwrap();
    let alice = Address::repeat_byte(0xa1);
    let slots = (0..20).map(U256::from);
    let batch = slots.fold(db.batch(), |batch, slot| batch.set_storage(alice, slot, U256::ONE));
    batch.commit().unwrap();
    for _ in 0..SLICES {
        db.batch().commit().unwrap();
    }
    let info = AccountInfo { nonce: 1, ..AccountInfo::default() };
    let diff = db.batch().set_account(alice, info).to_diff().unwrap();
    drop(db);
    // Whoever walks the storage finds nothing there.
    let mut kv = store(&disk).unwrap();
    let mut batch = WriteBatch::new();
    batch.delete_prefix(Table::Storage, &[]);
    kv.write(batch, Durability::Synced).unwrap();
    drop(kv);
    let db = open(&disk, History::default(), Durability::Synced).unwrap();
    assert!(Assembled::new(&db, diff).account(alice).unwrap().unwrap().has_storage);
}

#[test]
fn a_mark_is_on_disk_with_its_block_and_goes_with_time() {
    let disk = SimDisk::default();
    let mut db = open(&disk, History::default(), Durability::Synced).unwrap();
    let mark = |number: u64| B256::from(U256::from(number));
    for number in 1..=300 {
        let block = BlockId { number, hash: B256::ZERO };
        db.commit_marked(block, &StateDiff::default(), mark(number)).unwrap();
    }
    assert!(db.commit_marked(BlockId::default(), &StateDiff::default(), mark(7)).is_err());
    commit(&mut db, 1).unwrap();
    drop(db);
    let db = open(&disk, History::default(), Durability::Synced).unwrap();
    assert_eq!(db.mark_of(300).unwrap(), Some(mark(300)));
    assert_eq!(db.mark_of(45).unwrap(), Some(mark(45)));
    assert_eq!(
        (db.mark_of(44).unwrap(), db.mark_of(301).unwrap(), db.mark_of(0).unwrap()),
        (None, None, None)
    );
    db.check(CheckLevel::Branches, &mut |_| {}).unwrap();
}
