//! Opening: who is asked, what is shown to them, and what is known without asking.

use zvm_core::{Database, StateBackend, U256};

use crate::{
    CONTRACT, SLOTS, anvil, check, config, fork, held, opened,
    support::{Anvil, Proxy, Trouble},
    word,
};

#[test]
fn who_asks_is_shown_to_the_node_and_nobody_else() {
    let Some(anvil) = anvil() else { return };
    let proxy = Proxy::start(&anvil.url);
    let host = proxy.url.trim_start_matches("http://");
    fork(&format!("http://me:hunter2@{host}/path"), "?user-agent=tester/1");
    let headers = proxy.headers();
    assert!(headers.contains(&"user-agent: tester/1".to_owned()), "{headers:?}");
    let basic = headers.iter().any(|line| line.starts_with("authorization: basic "));
    assert!(basic, "{headers:?}");

    let token = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(token.path(), "hunter3\n").unwrap();
    fork(&proxy.url, &format!("?token-file={}", token.path().display()));
    assert!(proxy.headers().contains(&"authorization: bearer hunter3".to_owned()));

    proxy.always(Trouble::Status(401));
    let url = format!("http://me:hunter2@{host}/hunter4");
    let error = zvm_fork::open(&config(&url, "?timeout=1s")).map(|_| ()).unwrap_err();
    for shown in [error.to_string(), format!("{error:?}")] {
        assert!(shown.contains("401") && shown.contains(&proxy.url), "{shown}");
        assert!(!shown.contains("hunter"), "{shown}");
    }
}

#[test]
fn another_endpoint_answers_when_the_first_does_not() {
    let Some(anvil) = anvil() else { return };
    let (first, second) = (Proxy::start(&anvil.url), Proxy::start(&anvil.url));
    let more = format!("?endpoints={}&timeout=2s", second.url);
    for trouble in [Trouble::Drop, Trouble::Status(403), Trouble::Html, Trouble::Limit(Some(60))] {
        first.calm();
        let db = fork(&first.url, &more);
        first.always(trouble.clone());
        check(&db).unwrap();
        // Also from the beginning.
        check(&fork(&first.url, &more)).unwrap();
    }
    assert!(second.requests() > 0);
}

#[test]
fn an_endpoint_of_another_chain_is_refused_by_name() {
    let (Some(anvil), Some(other)) = (anvil(), Anvil::start(&["--chain-id", "77"])) else { return };
    let proxy = Proxy::start(&anvil.url);
    let db = fork(&proxy.url, &format!("?endpoints={}&timeout=1s", other.url));
    proxy.always(Trouble::Status(403));
    let error = db.account(crate::ALICE).unwrap_err().to_string();
    let names_it = error.contains(&other.url) && error.contains("serves chain 77, expected 31337");
    assert!(names_it || error.contains("403"), "{error}");
    proxy.calm();
    check(&db).unwrap();
}

#[test]
fn a_quorum_is_of_endpoints_with_the_same_block() {
    let (Some(anvil), Some(other)) = (anvil(), Anvil::start(&["--timestamp", "1"])) else { return };
    other.mine();
    let same = Proxy::start(&anvil.url);
    check(&fork(&anvil.url, &format!("?quorum=2&endpoints={}", same.url))).unwrap();
    let config = config(&anvil.url, &format!("?quorum=2&timeout=1s&endpoints={}", other.url));
    let error = zvm_fork::open(&config).map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("at 1 of 2 endpoints, expected 2"), "{error}");
}

#[test]
fn what_is_in_the_cache_is_not_asked_again() {
    let Some(anvil) = anvil() else { return };
    let proxy = Proxy::start(&anvil.url);
    let folder = tempfile::tempdir().unwrap();
    let hash = fork(&proxy.url, "").origin().block.hash;
    let more = format!("@{hash}?cache={}", folder.path().display());
    check(&fork(&proxy.url, &more)).unwrap();
    let before = proxy.requests();
    let again = opened(&proxy.url, &more);
    check(&again.db).unwrap();
    assert_eq!((proxy.requests(), again.traffic.unwrap().requests()), (before, 0));

    // Nor does it take a node.
    drop(proxy);
    let url = "http://127.0.0.1:1";
    let error = zvm_fork::open(&config(url, &format!("{more}&offline"))).map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("offline"), "another endpoint: {error}");
}

#[test]
fn what_others_may_have_said_is_not_taken_for_the_word_of_one() {
    let Some(anvil) = anvil() else { return };
    let (proxy, other) = (Proxy::start(&anvil.url), Proxy::start(&anvil.url));
    let folder = tempfile::tempdir().unwrap();
    let hash = fork(&proxy.url, "").origin().block.hash;
    let alone = format!("@{hash}?cache={}", folder.path().display());
    let both = format!("{alone}&endpoints={}", other.url);
    check(&fork(&proxy.url, &both)).unwrap();
    let before = proxy.requests();
    check(&fork(&proxy.url, &both)).unwrap();
    assert_eq!(proxy.requests(), before);
    check(&fork(&proxy.url, &alone)).unwrap();
    assert!(proxy.requests() > before);
}

#[test]
fn offline_only_the_cache_is_read() {
    let Some(anvil) = anvil() else { return };
    let folder = tempfile::tempdir().unwrap();
    let hash = fork(&anvil.url, "").origin().block.hash;
    let more = format!("@{hash}?cache={}", folder.path().display());
    check(&fork(&anvil.url, &more)).unwrap();
    let db = fork(&anvil.url, &format!("{more}&offline"));
    check(&db).unwrap();
    let error = db.storage(crate::ALICE, crate::word(1)).unwrap_err().to_string();
    assert!(error.contains("offline") && error.contains("slot 0x1 of 0xA1"), "{error}");
}

#[test]
fn a_root_that_was_worked_out_is_worked_out_again_without_the_node() {
    let Some(anvil) = anvil() else { return };
    let proxy = Proxy::start(&anvil.url);
    let folder = tempfile::tempdir().unwrap();
    let hash = fork(&proxy.url, "").origin().block.hash;
    for verify in ["", "&verify"] {
        let more = format!("@{hash}?cache={}{verify}", folder.path().display());
        let root = |more: &str| {
            let mut db = fork(&proxy.url, more);
            let removed = db.batch().set_storage(CONTRACT, word(3), U256::ZERO);
            removed.set_storage(CONTRACT, word(4), word(7)).commit().unwrap();
            check_but(&db, &[3, 4]);
            db.state_root().unwrap()
        };
        let first = root(&more);
        let before = proxy.requests();
        assert_eq!((root(&more), proxy.requests()), (first, before));
        assert_eq!(root(&format!("{more}&offline")), first);
    }
}

/// Reads what is known of the node, but for some slots.
fn check_but(db: &dyn Database, slots: &[u64]) {
    for slot in (0..SLOTS).filter(|slot| !slots.contains(slot)) {
        assert_eq!(db.storage(CONTRACT, word(slot)).unwrap(), held(slot), "slot {slot}");
    }
}
