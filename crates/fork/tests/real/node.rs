//! What a node says, in whatever way it takes questions.

use std::{sync::Barrier, thread, time::Duration};

use serde_json::json;
use zvm_core::{Database, DbError, SpecId, StateBackend};
use zvm_fork::{Found, Read};

use crate::{
    ALICE, CONTRACT, NOBODY, SLOTS, anvil, check, config, fork, held, opened,
    support::{Proxy, Trouble},
    word,
};

fn slots() -> Vec<Read> {
    (0..SLOTS).map(|slot| Read::Slot(CONTRACT, word(slot))).collect()
}

#[test]
fn a_fork_says_what_the_node_says() {
    let Some(anvil) = anvil() else { return };
    let db = fork(&anvil.url, "");
    check(&db).unwrap();
    let origin = db.origin();
    let block = anvil.call("eth_getBlockByNumber", json!(["0x1", false]));
    assert_eq!(json!(origin.block.hash), block["hash"]);
    assert_eq!((origin.chain_id, origin.block.number), (31_337, 1));
    assert_eq!(origin.header.hash(), origin.block.hash);
    assert_eq!(origin.spec, Some(SpecId::OSAKA));
    let genesis = anvil.call("eth_getBlockByNumber", json!(["0x0", false]));
    assert_eq!(json!(db.block_hash(0).unwrap()), genesis["hash"]);
    assert_eq!(db.block_hash(1).unwrap(), origin.block.hash);
}

#[test]
fn a_fork_stays_at_its_block_whatever_the_node_does() {
    let Some(anvil) = anvil() else { return };
    let hash = fork(&anvil.url, "").origin().block.hash;
    let db = fork(&anvil.url, "");
    // What is set by hand is set in the last block there is.
    anvil.mine();
    anvil.set_storage(CONTRACT, word(3), word(1));
    anvil.set_balance(ALICE, word(1));
    assert_eq!(anvil.mine(), 3);
    check(&db).unwrap();
    for block in ["@1".to_owned(), "@0x1".to_owned(), format!("@{hash}"), format!("?hash={hash}")] {
        check(&fork(&anvil.url, &block)).unwrap();
    }
    let latest = fork(&anvil.url, "@latest");
    assert_eq!(latest.storage(CONTRACT, word(3)).unwrap(), word(1));
    let error = zvm_fork::open(&config(&anvil.url, "@77")).map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("no such block"), "{error}");
    let wrong = format!("@2?hash={hash}");
    let error = zvm_fork::open(&config(&anvil.url, &wrong)).map(|_| ()).unwrap_err().to_string();
    assert!(error.contains(&format!("expected {hash}")), "{error}");
}

#[test]
fn many_reads_are_one_request() {
    let Some(anvil) = anvil() else { return };
    let proxy = Proxy::start(&anvil.url);
    let db = fork(&proxy.url, "");
    assert_eq!(proxy.requests(), 1);
    db.prefetch(&slots()).unwrap();
    assert_eq!(proxy.requests(), 2);
    let accounts = [ALICE, CONTRACT, NOBODY].map(Read::Account);
    db.prefetch(&accounts).unwrap();
    let requests = proxy.requests();
    check(&db).unwrap();
    assert_eq!((requests, proxy.requests()), (3, 3), "code comes with its account");
}

#[test]
fn a_node_that_lacks_something_is_asked_in_another_way() {
    let Some(anvil) = anvil() else { return };
    let proxy = Proxy::start(&anvil.url);
    for trouble in [
        Trouble::Without("eth_getStorageValues", -32601),
        Trouble::Without("eth_getProof", -32601),
        Trouble::Without("blockHash", -32602),
        Trouble::NoBatches,
        Trouble::BatchLimit(7),
        Trouble::BatchLimit(1),
        Trouble::Reverse,
    ] {
        proxy.always(trouble);
        let db = fork(&proxy.url, "");
        db.prefetch(&slots()).unwrap();
        check(&db).unwrap();
    }
    assert!(proxy.most_in_flight() > 1, "single calls go side by side");
}

#[test]
fn a_node_asked_by_number_is_watched_for_another_block_there() {
    let Some(anvil) = anvil() else { return };
    let proxy = Proxy::start(&anvil.url);
    proxy.always(Trouble::Without("blockHash", -32602));
    let db = fork(&proxy.url, "");
    check(&db).unwrap();
    // The chain is another one from the genesis on.
    anvil.call("anvil_rollback", json!([1]));
    anvil.call("evm_increaseTime", json!([1000]));
    anvil.mine();
    let error = db.storage(CONTRACT, word(1000)).unwrap_err();
    assert!(error.to_string().contains("expected 0x"), "{error}");
}

#[test]
fn equal_reads_at_the_same_time_are_made_once() {
    let Some(anvil) = anvil() else { return };
    let proxy = Proxy::start(&anvil.url);
    let opened = opened(&proxy.url, "");
    let source = opened.db.source();
    proxy.always(Trouble::Delay(Duration::from_millis(300)));
    let before = proxy.calls();
    let start = Barrier::new(8);
    let read = || {
        start.wait();
        source.fetch(&[Read::Slot(CONTRACT, word(3))]).unwrap()
    };
    thread::scope(|scope| {
        let readers: Vec<_> = (0..8).map(|_| scope.spawn(read)).collect();
        for reader in readers {
            assert_eq!(reader.join().unwrap(), [Found::Word(held(3))]);
        }
    });
    assert_eq!(proxy.calls() - before, 1);
    let traffic = opened.traffic.unwrap();
    assert_eq!((traffic.requests(), traffic.calls()), (proxy.requests(), proxy.calls()));
}

#[test]
fn a_fork_is_read_from_within_an_async_runtime() {
    let Some(anvil) = anvil() else { return };
    let url = &anvil.url;
    let one = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    one.block_on(async { check(&fork(url, "")).unwrap() });
    let many = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let url = url.clone();
    many.block_on(async move {
        let db = fork(&url, "?batch=1");
        tokio::spawn(async move {
            db.prefetch(&slots()).unwrap();
            check(&db).unwrap();
        })
        .await
        .unwrap();
    });
}

#[test]
fn before_eip_161_an_empty_account_is_told_from_none_by_a_proof_or_not_at_all() {
    let Some(anvil) = anvil() else { return };
    let proxy = Proxy::start(&anvil.url);
    let db = fork(&proxy.url, "?spec=Homestead");
    check(&db).unwrap();
    proxy.always(Trouble::Without("eth_getProof", -32601));
    let db = fork(&proxy.url, "?spec=Homestead");
    let error = db.account(NOBODY).unwrap_err();
    assert!(matches!(error, DbError::Ambiguous { address: NOBODY }), "{error}");
    assert!(db.account(ALICE).unwrap().is_some());
}

#[test]
fn an_account_without_code_and_nonce_is_asked_for_its_storage() {
    let Some(anvil) = anvil() else { return };
    anvil.set_balance(NOBODY, word(1));
    anvil.mine();
    let db = fork(&anvil.url, "");
    assert!(!db.account(NOBODY).unwrap().unwrap().has_storage);
    let mut other = fork(&anvil.url, "");
    other.batch().set_storage(NOBODY, word(1), word(1)).commit().unwrap();
    assert!(other.account(NOBODY).unwrap().unwrap().has_storage);
}

#[test]
fn an_access_list_brings_what_a_call_will_read() {
    let Some(anvil) = anvil() else { return };
    // Loads slots 3 and 4.
    anvil.set_code(CONTRACT, &[0x60, 0x03, 0x54, 0x60, 0x04, 0x54, 0x00]);
    anvil.mine();
    let node = zvm_fork::Node::open(&config(&anvil.url, "")).unwrap();
    let reads = node.access_list(&json!({"from": ALICE, "to": CONTRACT})).unwrap();
    for read in
        [Read::Account(CONTRACT), Read::Slot(CONTRACT, word(3)), Read::Slot(CONTRACT, word(4))]
    {
        assert!(reads.contains(&read), "{reads:?}");
    }
}

#[test]
fn the_head_moves_with_blocks_made_here_and_the_node_is_not_asked() {
    let Some(anvil) = anvil() else { return };
    let proxy = Proxy::start(&anvil.url);
    let mut db = fork(&proxy.url, "");
    let before = proxy.requests();
    db.commit(&zvm_core::StateDiff::default()).unwrap();
    assert_eq!((db.head().unwrap().number, proxy.requests()), (2, before));
}
