//! `zvm db`: states moved out, in and elsewhere through the binary.

mod common;

use std::path::Path;

use common::{Place, artifact};

/// A place with the token deployed in the default database.
fn with_token() -> Place {
    let place = Place::new();
    place.run(["deploy", &artifact("Token"), "Demo", "DMO", "1000", "--json"]).json();
    place
}

#[test]
fn a_dump_loads_into_an_equal_database() {
    let place = with_token();
    let stat = place.run(["db", "stat", "--count", "--json"]).json();
    let dumped = place.run(["db", "dump", "-o", "a.jsonl", "--json"]).json();
    let loaded = place.run(["db", "load", "a.jsonl", "--db", "file:b", "--json"]).json();
    for facts in [&dumped, &loaded] {
        for name in ["block", "state_root", "accounts", "slots"] {
            assert_eq!(facts[name], stat[name], "{name}");
        }
    }
    let text = std::fs::read_to_string(place.path().join("a.jsonl")).unwrap();
    assert_eq!(place.run(["db", "dump", "--db", "file:b"]).stdout, text);
    let cached = place.run_with_stdin(&["db", "load", "-", "--db", "cached(9):file:c"], &text);
    assert_eq!((cached.code, cached.stderr.as_str()), (0, ""));
    assert!(cached.stdout.contains("state root"), "{}", cached.stdout);
    assert_eq!(place.run(["db", "dump", "--db", "file:c?readonly"]).stdout, text);
}

#[test]
fn a_migrated_database_is_equal_and_goes_on() {
    let place = with_token();
    let stat = place.run(["db", "stat", "--json"]).json();
    let copied = place.run(["db", "migrate", "file:zvm-state", "file:copy", "--json"]).json();
    assert_eq!(copied["state_root"], stat["state_root"]);
    assert_eq!(copied["continued"], false);
    place.run(["deploy", &artifact("Counter"), "1", "--db", "file:copy", "--json"]).json();
    let head = place.run(["db", "stat", "--db", "file:copy", "--json"]).json();
    assert!(head["block"].as_u64() > stat["block"].as_u64(), "{head}");
    place
        .run(["db", "migrate", "file:zvm-state", "file:copy"])
        .fails(1, "copy: cannot make a database here");
}

#[test]
fn what_anvil_dumps_becomes_a_database() {
    let place = Place::new();
    let dump = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/anvil/dump-state.json");
    let loaded = place.run(["db", "load", dump.to_str().unwrap(), "--json"]).json();
    let root = "0x3c8463c2c7dda65b7965d1562837df0532fa898d97a8c38063329195e67fd214";
    assert_eq!((&loaded["state_root"], &loaded["block"]), (&root.into(), &3.into()));
    let account = place.run(["account", "0x00000000000000000000000000000000000000b1", "--json"]);
    assert_eq!(account.json()["balance"], "16");
}

#[test]
fn wrong_use_is_named_and_leaves_nothing() {
    let place = Place::new();
    place.run(["db", "stat"]).fails(1, "file:./zvm-state: no database here");
    place.run(["db", "dump", "-o", "a.jsonl"]).fails(1, "no database here");
    place.run(["db", "load", "none.json"]).fails(1, "none.json: cannot open");
    place.write("bad.json", "{\n  \"alloc\": 7\n}");
    place.run(["db", "load", "bad.json"]).fails(2, "bad.json: line 2 column 0: invalid type");
    place.write("bad.gz", [0x1f, 0x8b, 1, 2]);
    place.run(["db", "load", "bad.gz"]).fails(1, "bad.gz: cannot read the state");
    place.write("empty.json", "{\"alloc\": {}}");
    place.run(["db", "load", "empty.json", "--db", "memory:"]).fails(1, "a folder is needed");
    place.run(["db", "migrate", "file:a", "file:b"]).fails(1, "file:a: no database here");
    place.run(["db", "migrate", "file:a", "cached(x):file:b"]).fails(2, "at byte 7");
    place.run(["db", "migrate", "file:a", "file:b?passphrase=hunter2"]).fails(2, "passphrase=***");
    let names: Vec<_> = std::fs::read_dir(place.path()).unwrap().collect();
    assert_eq!(names.len(), 3, "only what the test wrote: {names:?}");
}

#[test]
fn open_makes_an_empty_database() {
    let place = Place::new();
    let opened = place.run(["db", "open", "--db", "file:new", "--json"]).json();
    assert_eq!((&opened["block"], &opened["database"]), (&0.into(), &"file:new".into()));
    let stat = place.run(["db", "stat", "--db", "file:new", "--count", "--json"]).json();
    assert_eq!((&stat["accounts"], &stat["state_root"]), (&0.into(), &opened["state_root"]));
}
