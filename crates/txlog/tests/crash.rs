//! What a power loss leaves of a log: a simulated disk drops and tears what was not synced.

use zvm_core::{B256, StateBackend};
use zvm_state::{
    FileDb, FileOptions,
    kv::{
        Durability, Options,
        compliance::Random,
        sim::{Crash, SimDisk},
    },
};
use zvm_txlog::{Log, LogWriter, Senders, testing::Blocks};

/// The first block: near the end of a section, so that few blocks go over it.
const FIRST: u64 = 59;

fn open(disk: &SimDisk) -> FileDb {
    let kv = disk.open("store".as_ref(), Options::default()).unwrap();
    let options = FileOptions { durability: Durability::Buffered, ..FileOptions::default() };
    FileDb::over(kv, options).unwrap()
}

fn blocks(seed: u64) -> Blocks {
    Blocks { seed, ..Blocks::default() }
}

/// Commits a block on the head and answers its hash.
fn commit(db: &mut FileDb, seed: u64) -> B256 {
    let head = Log::new(db).head().unwrap();
    let (number, parent) = head.map_or((FIRST, B256::ZERO), |head| (head.number + 1, head.hash));
    let made = blocks(seed).block(number, parent);
    LogWriter::new(db).commit(&made.as_new()).unwrap();
    made.hash
}

/// The head of the log that is left, which is that of the state, and whole.
fn left(disk: &SimDisk) -> Option<B256> {
    let db = open(disk);
    let head = Log::new(&db).head().unwrap();
    let verified = Log::new(&db).verify(&[], Senders::Trust, &mut |_| {}).unwrap();
    match head {
        Some(head) => assert_eq!(verified.blocks, head.number + 1 - FIRST),
        None => assert_eq!(db.head().unwrap().number, 0),
    }
    head.map(|head| head.hash)
}

/// A short history with ways back in it. `look` sees the disk after each step, with the heads that
/// there were so far.
fn history(seed: u64, look: &mut dyn FnMut(&SimDisk, &[Option<B256>])) {
    let disk = SimDisk::default();
    let mut db = open(&disk);
    let mut random = Random::new(seed);
    let mut heads = vec![None];
    for step in 0..12 {
        heads.push(Some(commit(&mut db, seed + step)));
        look(&disk, &heads);
        if random.below(6) == 0 {
            let head = db.head().unwrap().number;
            let target = head.saturating_sub(random.below(4)).max(db.floor());
            db.unwind(target).unwrap();
            heads.push(Log::new(&db).head().unwrap().map(|head| head.hash));
            look(&disk, &heads);
        }
    }
}

#[test]
fn wherever_a_disk_stops_it_leaves_a_whole_block() {
    for seed in 0..4 {
        let mut random = Random::new(seed);
        history(seed, &mut |disk, heads| {
            let all = disk.unsynced_bytes();
            assert_eq!(left(&disk.after(Crash::Cut { kept: all })), *heads.last().unwrap());
            for _ in 0..25 {
                let kept = random.below(all as u64 + 1) as usize;
                let found = left(&disk.after(Crash::Cut { kept }));
                assert!(heads.contains(&found), "seed {seed}, {kept} of {all} bytes: {found:?}");
            }
        });
    }
}

#[test]
fn a_torn_disk_leaves_a_whole_block() {
    for seed in 0..4 {
        history(seed, &mut |disk, heads| {
            for tear in 0..12 {
                let found = left(&disk.after(Crash::Tear { seed: tear }));
                assert!(heads.contains(&found), "seed {seed}, tear {tear}: {found:?}");
            }
        });
    }
}

#[test]
fn a_full_disk_refuses_a_block_and_keeps_what_is_there() {
    let disk = SimDisk::default();
    let mut db = open(&disk);
    for seed in 0..6 {
        commit(&mut db, seed);
    }
    let before = Log::new(&db).head().unwrap().unwrap();
    disk.fill_up_after(Some(0));
    let made = blocks(9).block(before.number + 1, before.hash);
    LogWriter::new(&mut db).commit(&made.as_new()).unwrap_err();
    assert_eq!(Log::new(&db).head().unwrap(), Some(before));
    disk.fill_up_after(None);
    Log::new(&db).verify(&[], Senders::Trust, &mut |_| {}).unwrap();
    LogWriter::new(&mut db).commit(&made.as_new()).unwrap();
    Log::new(&db).verify(&[], Senders::Trust, &mut |_| {}).unwrap();
}
