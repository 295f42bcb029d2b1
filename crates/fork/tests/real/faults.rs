//! Every trouble of the proxy: what is read is right, or it is a clear error in time.

use std::{
    io::Write,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use flate2::{Compression, write::GzEncoder};
use serde_json::{Value, json};
use zvm_core::{Database, DbError};
use zvm_fork::Read;

use crate::{
    CONTRACT, SLOTS, anvil, check, config, fork, held,
    support::{Proxy, Trouble},
    word,
};

/// Troubles that pass.
fn passing() -> Vec<(&'static str, Trouble)> {
    vec![
        ("delay", Trouble::Delay(Duration::from_millis(50))),
        ("drop", Trouble::Drop),
        ("429", Trouble::Limit(None)),
        ("429 with Retry-After", Trouble::Limit(Some(1))),
        ("503", Trouble::Status(503)),
        ("500", Trouble::Status(500)),
        ("truncated", Trouble::Truncate),
        ("corrupt", Trouble::Corrupt),
        ("html", Trouble::Html),
        ("errors in a batch", Trouble::Errors(0, -32603, "internal error")),
        ("rate limit in a batch", Trouble::Errors(1, -32005, "limit exceeded")),
        ("left out", Trouble::Omit),
        ("wrong ids", Trouble::WrongIds),
    ]
}

#[test]
fn a_trouble_that_passes_is_not_noticed() {
    let Some(anvil) = anvil() else { return };
    let proxy = Proxy::start(&anvil.url);
    for (name, trouble) in passing() {
        eprintln!("trouble: {name}");
        proxy.next([trouble.clone(), trouble.clone()]);
        let db = fork(&proxy.url, "");
        proxy.next([trouble.clone(), trouble.clone()]);
        db.prefetch(&(0..SLOTS).map(|slot| Read::Slot(CONTRACT, word(slot))).collect::<Vec<_>>())
            .unwrap();
        proxy.next([trouble]);
        check(&db).unwrap();
    }
}

#[test]
fn a_trouble_that_stays_is_an_error_in_time_and_leaves_nothing_behind() {
    let Some(anvil) = anvil() else { return };
    let proxy = Proxy::start(&anvil.url);
    let hash = fork(&proxy.url, "").origin().block.hash;
    let mut troubles = passing();
    troubles.retain(|(name, _)| {
        !matches!(*name, "delay" | "left out" | "errors in a batch" | "rate limit in a batch")
    });
    troubles.push(("hang", Trouble::Hang));
    troubles.push(("403", Trouble::Status(403)));
    troubles.push(("all errors", Trouble::Without("jsonrpc", -32000)));
    for (name, trouble) in troubles {
        let folder = tempfile::tempdir().unwrap();
        let more = format!("@{hash}?timeout=1s&cache={}", folder.path().display());
        let db = fork(&proxy.url, &more);
        assert_eq!(db.storage(CONTRACT, word(0)).unwrap(), held(0));
        proxy.always(trouble);
        let start = Instant::now();
        let error = db.storage(CONTRACT, word(3)).expect_err(name);
        let took = start.elapsed();
        eprintln!("trouble: {name}: {error} (after {took:?})");
        assert!(matches!(error, DbError::Remote { .. }), "{name}: {error:?}");
        assert!(error.to_string().contains(&proxy.url), "{name}: {error}");
        // The time-out is 1 s; the rest is for a busy machine.
        assert!(took < Duration::from_secs(20), "{name}: {took:?}");
        proxy.calm();
        let start = Instant::now();
        assert_eq!(db.storage(CONTRACT, word(3)).unwrap(), held(3), "{name}");
        eprintln!("trouble: {name}: well again after {:?}", start.elapsed());
        check(&db).unwrap();
        // What is in the cache is right, and all of it is there.
        drop(db);
        check(&fork(&proxy.url, &format!("{more}&offline"))).unwrap();
    }
}

#[test]
fn a_request_that_hangs_holds_up_nobody_else() {
    let Some(anvil) = anvil() else { return };
    let proxy = Proxy::start(&anvil.url);
    let db = fork(&proxy.url, "?timeout=600s&retries=0");
    let in_flight = |expected: u64| {
        while proxy.in_flight() != expected {
            thread::sleep(Duration::from_millis(5));
        }
    };
    let source = db.source().clone();
    let read = Read::Slot(CONTRACT, word(3));
    // Not the last request of opening, which has its answer before it counts as over.
    in_flight(0);
    proxy.next([Trouble::Stick]);
    // It gives its first try 300 s, and is left to itself.
    let hanging = thread::spawn(move || source.fetch(&[read]));
    in_flight(1);
    // The node is well again for whoever asks now: the same and something else.
    check(&db).unwrap();
    assert!(!hanging.is_finished());
    in_flight(1);
    // Nor does the first one need the answer any more: it goes with its connection.
    drop(proxy);
    let _ = hanging.join().unwrap();
}

#[test]
fn opening_while_the_node_limits_waits_and_then_works() {
    let Some(anvil) = anvil() else { return };
    let proxy = Proxy::start(&anvil.url);
    proxy.next([Trouble::Limit(Some(1)), Trouble::Limit(None), Trouble::Limit(None)]);
    let start = Instant::now();
    check(&fork(&proxy.url, "")).unwrap();
    assert!(start.elapsed() >= Duration::from_secs(1), "it was told to wait");
}

#[test]
fn a_wait_that_is_longer_than_there_is_time_is_named() {
    let Some(anvil) = anvil() else { return };
    let proxy = Proxy::start(&anvil.url);
    proxy.always(Trouble::Limit(Some(3600)));
    let error = zvm_fork::open(&config(&proxy.url, "?timeout=1s")).map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("asks to wait 3600 s"), "{error}");
    proxy.calm();
    check(&fork(&proxy.url, "")).unwrap();
}

#[test]
fn whoever_is_not_let_in_does_not_knock_again() {
    let Some(anvil) = anvil() else { return };
    let proxy = Proxy::start(&anvil.url);
    proxy.always(Trouble::Status(403));
    let refused = |more: &str| {
        let before = proxy.requests();
        let error = zvm_fork::open(&config(&proxy.url, more)).map(|_| ()).unwrap_err().to_string();
        (error, proxy.requests() - before)
    };
    let (error, requests) = refused("");
    assert!(error.contains("HTTP status 403; refused after 1 tries"), "{error}");
    assert_eq!(requests, 1);
    // Somebody else may be friendlier.
    let other = Proxy::start(&anvil.url);
    check(&fork(&proxy.url, &format!("?endpoints={}", other.url))).unwrap();
    other.always(Trouble::Status(401));
    let (error, requests) = refused(&format!("?endpoints={}", other.url));
    assert!(error.contains("refused after 2 tries"), "{error}");
    assert_eq!(requests, 1);
}

#[test]
fn of_a_batch_only_what_failed_is_asked_again() {
    let Some(anvil) = anvil() else { return };
    let proxy = Proxy::start(&anvil.url);
    proxy.always(Trouble::Without("eth_getStorageValues", -32601));
    let db = fork(&proxy.url, "");
    proxy.calm();
    let before = proxy.calls();
    proxy.next([Trouble::Errors(0, -32603, "internal error")]);
    let reads: Vec<_> = (0..SLOTS).map(|slot| Read::Slot(CONTRACT, word(slot))).collect();
    db.prefetch(&reads).unwrap();
    assert_eq!(proxy.calls() - before, SLOTS + SLOTS / 3);
    check(&db).unwrap();
}

#[test]
fn one_altered_word_is_found_and_named_where_answers_are_verified() {
    let Some(anvil) = anvil() else { return };
    let proxy = Proxy::start(&anvil.url);
    let hash = fork(&proxy.url, "").origin().block.hash;
    let folder = tempfile::tempdir().unwrap();
    let more = format!("@{hash}?verify&timeout=1s&cache={}", folder.path().display());
    let db = fork(&proxy.url, &more);
    let alter = |method: &str, _: &Value, result: &mut Value| {
        if method == "eth_getProof" {
            let slots = result.get_mut("storageProof").and_then(Value::as_array_mut);
            slots.into_iter().flatten().for_each(|slot| slot["value"] = json!("0x1337"));
        }
    };
    proxy.always(Trouble::Change(Arc::new(alter)));
    let error = db.storage(CONTRACT, word(3)).unwrap_err();
    assert!(matches!(error, DbError::Unproven { .. }), "{error:?}");
    let named = error.to_string();
    assert!(named.contains("slot 0x3") || named.contains("slot 3"), "{named}");
    proxy.calm();
    check(&db).unwrap();
    drop(db);
    check(&fork(&proxy.url, &format!("{more}&offline"))).unwrap();
}

#[test]
fn in_a_storm_nothing_wrong_is_read() {
    let Some(anvil) = anvil() else { return };
    let proxy = Proxy::start(&anvil.url);
    let folder = tempfile::tempdir().unwrap();
    let hash = fork(&proxy.url, "").origin().block.hash;
    let more = format!("@{hash}?timeout=1s&cache={}", folder.path().display());
    let db = fork(&proxy.url, &more);
    let troubles = passing();
    let mut failed = 0;
    for round in 0..60_usize {
        let storm =
            (0..5).map(|index| troubles[(round * 7 + index * 5) % troubles.len()].1.clone());
        proxy.next(storm);
        match db.storage(CONTRACT, word(round as u64)) {
            Ok(found) => assert_eq!(found, held(round as u64), "slot {round}"),
            Err(DbError::Remote { .. }) => failed += 1,
            Err(error) => panic!("{error}"),
        }
    }
    eprintln!("{failed} of 60 reads failed in the storm");
    proxy.calm();
    check(&db).unwrap();
    drop(db);
    check(&fork(&proxy.url, &format!("{more}&offline"))).unwrap();
}

#[test]
fn an_answer_that_unpacks_to_too_much_is_refused() {
    let Some(anvil) = anvil() else { return };
    let proxy = Proxy::start(&anvil.url);
    let db = fork(&proxy.url, "?timeout=60s&retries=0");
    let mut packed = GzEncoder::new(Vec::new(), Compression::best());
    let spaces = vec![b' '; 1 << 20];
    for _ in 0..=zvm_fork::RESPONSE_BYTES_MAX >> 20 {
        packed.write_all(&spaces).unwrap();
    }
    let packed = packed.finish().unwrap();
    assert!(packed.len() < 1 << 20);
    proxy.always(Trouble::Gzip(packed.into()));
    let error = db.storage(CONTRACT, word(3)).unwrap_err().to_string();
    assert!(error.contains("an answer of more than 67108864 bytes"), "{error}");
    proxy.calm();
    check(&db).unwrap();
}
