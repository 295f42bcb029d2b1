//! Several clients of one server: each sees one state, until it moves on.

mod common;

use std::ops::ControlFlow;

use common::{READER, WRITER, address, client, crowd, info, options, serve};
use zvm_core::{B256, Database, DbError, StateBackend, U256};
use zvm_net::{Found, NetDb, Read, ServerOptions};
use zvm_state::{CacheLimits, CachedDb, MemoryDb};

fn balance(db: &dyn Database, id: u64) -> Option<u64> {
    db.account(address(id)).unwrap().map(|account| account.balance.to())
}

fn accounts(db: &dyn StateBackend) -> Vec<(B256, u64)> {
    let mut found = Vec::new();
    db.for_each_account(B256::ZERO, &mut |hash, _, info| {
        found.push((hash, info.balance.to()));
        Ok(ControlFlow::Continue(()))
    })
    .unwrap();
    found
}

/// What a state says, as two backends can be compared by it.
#[derive(Debug, PartialEq)]
struct Everything {
    number: u64,
    root: B256,
    accounts: Vec<(B256, u64)>,
    slots: Vec<Vec<(U256, U256)>>,
}

fn everything(db: &dyn StateBackend) -> Everything {
    Everything {
        number: db.head().unwrap().number,
        root: db.state_root().unwrap(),
        accounts: accounts(db),
        slots: (0..6).map(|id| db.storage_entries(address(id)).unwrap()).collect(),
    }
}

/// Block `number` of a small random life.
fn block(db: &mut dyn StateBackend, number: u64) {
    let mut batch = db.batch();
    for turn in 0..4 {
        let (id, slot) = ((number * 7 + turn * 3) % 6, U256::from((number + turn) % 5));
        batch = match (number + turn) % 5 {
            0 => batch.delete_account(address(id)),
            1 => batch.set_account(address(id), info(number)),
            turn => batch.set_storage(address(id), slot, U256::from(number * (turn % 2))),
        };
    }
    batch.commit().unwrap();
}

#[test]
fn a_reader_stays_at_its_state_until_it_moves_on() {
    let server = serve(MemoryDb::new(), options().0);
    let mut writer = client(&server, WRITER);
    let mut reader = client(&server, READER);
    for number in 1..=40 {
        block(&mut writer, number);
        let seen = reader.refresh().unwrap();
        assert_eq!(seen.number, number);
        let before = everything(&reader);
        assert_eq!(before, everything(&writer), "block {number}");
        // Three blocks later all is as it was.
        let mut ahead = client(&server, WRITER);
        for next in 1..=3 {
            block(&mut ahead, 100 * number + next);
        }
        assert_eq!(everything(&reader), before, "block {number}");
        let diff = ahead.batch().set_account(address(1), info(7)).to_diff().unwrap();
        let then = reader.root_after(&diff).unwrap();
        ahead.unwind(number).unwrap();
        assert_eq!(reader.root_after(&diff).unwrap(), then);
        assert_eq!(everything(&reader), before, "block {number}");
    }
    server.stop().unwrap();
}

#[test]
fn a_cache_in_front_of_a_reader_is_as_right_as_the_reader() {
    let server = serve(MemoryDb::new(), options().0);
    let mut writer = client(&server, WRITER);
    writer.batch().set_account(address(1), info(1)).commit().unwrap();
    let reader = Box::new(client(&server, READER));
    let mut reader = CachedDb::new(reader, CacheLimits::entries(10));
    assert_eq!(balance(&reader, 1), Some(1));
    writer
        .batch()
        .set_account(address(1), info(2))
        .set_account(address(2), info(2))
        .commit()
        .unwrap();
    assert_eq!((balance(&reader, 1), balance(&reader, 2)), (Some(1), None));
    reader.refresh().unwrap();
    assert_eq!((balance(&reader, 1), balance(&reader, 2)), (Some(2), Some(2)));
    server.stop().unwrap();
}

#[test]
fn who_writes_to_a_state_that_others_have_changed_is_refused_and_moves_on() {
    let server = serve(MemoryDb::new(), options().0);
    let [mut fast, mut slow] = [(); 2].map(|()| client(&server, WRITER));
    fast.batch().set_account(address(1), info(1)).commit().unwrap();
    let refused = slow.batch().set_account(address(1), info(2)).commit().unwrap_err();
    assert!(refused.to_string().contains("others have changed the state"), "{refused}");
    assert_eq!((slow.head().unwrap().number, balance(&slow, 1)), (1, Some(1)));
    slow.batch().set_account(address(1), info(2)).commit().unwrap();
    assert_eq!((slow.head().unwrap().number, balance(&slow, 1)), (2, Some(2)));
    server.stop().unwrap();
}

#[test]
fn a_reader_of_a_block_that_was_unwound_is_told() {
    let server = serve(MemoryDb::new(), options().0);
    let mut writer = client(&server, WRITER);
    block(&mut writer, 1);
    block(&mut writer, 2);
    let mut reader = client(&server, READER);
    writer.unwind(1).unwrap();
    block(&mut writer, 3);
    let lost = reader.account(address(1)).unwrap_err().to_string();
    assert!(lost.contains("the state of this session is gone"), "{lost}");
    assert_eq!(reader.refresh().unwrap().number, 2);
    assert_eq!(everything(&reader), everything(&writer));
    server.stop().unwrap();
}

#[test]
fn a_reader_too_far_behind_is_told() {
    let (mut options, _) = options();
    options.limits.behind_bytes = 100 << 10;
    let server = serve(MemoryDb::new(), options);
    let mut writer = client(&server, WRITER);
    let mut reader = client(&server, READER);
    writer.commit(&crowd(10)).unwrap();
    assert_eq!(balance(&reader, 1), None);
    writer.commit(&crowd(1000)).unwrap();
    let lost = reader.account(address(1)).unwrap_err().to_string();
    assert!(lost.contains("the state of this session is gone"), "{lost}");
    reader.refresh().unwrap();
    assert_eq!(balance(&reader, 1), Some(1));
    server.stop().unwrap();
}

#[test]
fn many_reads_are_of_one_state_and_each_has_its_own_error() {
    let server = serve(MemoryDb::new(), options().0);
    let mut db = client(&server, WRITER);
    db.batch().set_storage(address(1), U256::from(1), U256::from(2)).commit().unwrap();
    let none = B256::repeat_byte(9);
    let reads =
        [Read::Slot(address(1), U256::from(1)), Read::Code(none), Read::Account(address(2))];
    let found = db.read_many(&reads.repeat(1000)).unwrap();
    assert_eq!(found.len(), 3000);
    for found in found.chunks(3) {
        assert!(matches!(found[0], Ok(Found::Slot(word)) if word == U256::from(2)));
        assert!(matches!(found[1], Err(DbError::MissingCode { code_hash }) if code_hash == none));
        assert!(matches!(found[2], Ok(Found::Account(None))));
    }
    server.stop().unwrap();
}

#[test]
fn a_long_walk_beside_a_writer_is_of_one_state() {
    let server = serve(MemoryDb::new(), options().0);
    let mut writer = client(&server, WRITER);
    writer.seed(&crowd(80_000)).unwrap();
    writer.batch().commit().unwrap();
    let reader = client(&server, READER);
    let (mut count, mut sum, mut last) = (0, 0, B256::ZERO);
    reader
        .for_each_account(B256::ZERO, &mut |hash, _, account| {
            if count % 10_000 == 0 {
                // Gone, changed and new accounts, before and behind the walk.
                let batch = writer.batch().delete_account(address(count));
                let batch = batch.set_account(address(79_999 - count), info(9));
                batch.set_account(address(100_000 + count), info(1)).commit()?;
            }
            assert!(hash > last || count == 0);
            (count, sum, last) = (count + 1, sum + account.balance.to::<u64>(), hash);
            Ok(ControlFlow::Continue(()))
        })
        .unwrap();
    assert_eq!((count, sum), (80_000, 79_999 * 80_000 / 2));
    assert_eq!(writer.head().unwrap().number, 9);
    server.stop().unwrap();
}

#[test]
fn snapshots_end_with_their_session() {
    let (mut options, _) = options();
    options.limits.linger = std::time::Duration::ZERO;
    let server = serve(MemoryDb::with_history(0), options);
    let mut first = client(&server, WRITER);
    let snapshot = first.snapshot().unwrap();
    first.batch().set_account(address(1), info(1)).commit().unwrap();
    let mut second = client(&server, WRITER);
    assert!(matches!(second.revert(snapshot), Err(DbError::UnknownSnapshot { .. })));
    // The snapshot is all that keeps the way back.
    assert_eq!(second.floor().unwrap(), 0);
    drop(first);
    second.batch().set_account(address(1), info(2)).commit().unwrap();
    assert_eq!(second.floor().unwrap(), 2);
    server.stop().unwrap();
}

#[test]
fn calls_from_asynchronous_code_work() {
    let server = serve(MemoryDb::new(), options().0);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let mut db = client(&server, WRITER);
        db.batch().set_account(address(1), info(1)).commit().unwrap();
        assert_eq!(balance(&db, 1), Some(1));
        assert_eq!(accounts(&db).len(), 1);
        drop(db);
    });
    // Also the server may be started and dropped there.
    runtime.block_on(async { drop(serve(MemoryDb::new(), ServerOptions::default())) });
    server.stop().unwrap();
}

#[test]
fn threads_share_a_client() {
    let server = serve(MemoryDb::new(), options().0);
    let mut db = client(&server, WRITER);
    db.commit(&crowd(100)).unwrap();
    let db: &NetDb = &db;
    std::thread::scope(|scope| {
        for thread in 0..8 {
            scope.spawn(move || {
                for id in 0..100 {
                    assert_eq!(balance(db, (id + thread) % 100), Some((id + thread) % 100));
                }
            });
        }
    });
    server.stop().unwrap();
}
