//! `zvm db`: states moved out, in and elsewhere through the binary.

mod common;

use std::path::Path;

use common::{Place, artifact};
use zvm_state::kv::Access;

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

#[cfg(unix)]
#[test]
fn a_dump_goes_where_links_and_pipes_lead() {
    use std::os::unix::fs::{FileTypeExt, symlink};

    let place = with_token();
    let path = |name: &str| place.path().join(name);
    let dump = |name: &str| place.run(["db", "dump", "-o", name]);
    assert_eq!(dump("plain").code, 0);
    let expected = std::fs::read_to_string(path("plain")).unwrap();

    place.write("old", "old");
    symlink("old", path("link")).unwrap();
    assert_eq!(dump("link").code, 0);
    assert!(path("link").is_symlink());
    assert_eq!(std::fs::read_to_string(path("old")).unwrap(), expected);

    let made = std::process::Command::new("mkfifo").arg(path("pipe")).status().unwrap();
    assert!(made.success());
    let read = std::thread::scope(|scope| {
        let reader = scope.spawn(|| std::fs::read_to_string(path("pipe")).unwrap());
        assert_eq!(dump("pipe").code, 0);
        reader.join().unwrap()
    });
    assert_eq!(read, expected);
    assert!(std::fs::metadata(path("pipe")).unwrap().file_type().is_fifo());

    dump("none/plain").fails(1, "none/plain: cannot write: No such file or directory (os error 2)");
    dump(".").fails(1, "cannot write: Is a directory");
    assert_eq!(names(place.path()), ["link", "old", "pipe", "plain", "zvm-state"]);
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

/// A place with the token deployed and then `blocks` more blocks.
fn with_blocks(blocks: u64) -> Place {
    let place = with_token();
    add_blocks(&place, blocks);
    place
}

fn add_blocks(place: &Place, blocks: u64) {
    for wei in 1..=blocks {
        let account = place.run(["account", ALICE, "--set-balance", &wei.to_string(), "--json"]);
        assert_eq!(account.json()["balance"], wei.to_string());
    }
}

const ALICE: &str = "0xa11ce00000000000000000000000000000000000";

#[test]
fn every_level_of_check_passes_a_whole_store_and_changes_nothing() {
    let place = with_token();
    let file = place.path().join("zvm-state/state.redb");
    let before = std::fs::read(&file).unwrap();
    let stat = place.run(["db", "stat", "--count", "--json"]).json();
    for level in ["head", "sample", "full", "all"] {
        let checked = place.run(["db", "check", "--level", level, "--json"]).json();
        assert_eq!(
            (&checked["level"], &checked["state_root"]),
            (&level.into(), &stat["state_root"])
        );
        let accounts = if level == "full" || level == "all" {
            &stat["accounts"]
        } else {
            &checked["accounts"]
        };
        assert_eq!(&checked["accounts"], accounts, "{level}");
    }
    let text = place.run(["db", "check"]);
    assert_eq!((text.code, text.stderr.as_str()), (0, ""));
    assert!(text.stdout.contains("level          full"), "{}", text.stdout);
    assert_eq!(std::fs::read(&file).unwrap(), before);
}

#[test]
fn unwinding_leads_to_the_state_of_that_block() {
    let place = with_blocks(3);
    let dumped = place.run(["db", "dump"]).stdout;
    place.run(["account", ALICE, "--set-balance", "99"]);
    let head = place.run(["db", "stat", "--json"]).json();
    let number = head["block"].as_u64().unwrap();
    place.run(["db", "unwind", "77"]).fails(1, "no state of block 77");
    let unwound = place.run(["db", "unwind", &(number - 1).to_string(), "--json"]).json();
    assert_eq!((&unwound["undone"], &unwound["block"]), (&1.into(), &(number - 1).into()));
    assert_eq!(place.run(["db", "dump"]).stdout, dumped);
    place.run(["db", "unwind", "1"]);
    assert_eq!(place.run(["account", ALICE, "--json"]).json()["exists"], false);
}

#[test]
fn a_rebuilt_trie_is_the_same() {
    let place = with_token();
    let before = place.run(["db", "check", "--level", "all", "--json"]).json();
    let rebuilt = place.run(["db", "rebuild-trie", "--json"]).json();
    assert_eq!(rebuilt["state_root"], before["state_root"]);
    assert_eq!(place.run(["db", "check", "--level", "all", "--json"]).json(), before);
}

#[test]
fn pruning_says_from_where_on_states_are_kept() {
    let place = with_token();
    place.run(["db", "prune", "--history", "all", "--json"]).json();
    add_blocks(&place, 145);
    // As it was told last.
    let kept = place.run(["db", "prune", "--json"]).json();
    assert_eq!(kept["history"], "all");
    assert_eq!((&kept["first_block"], &kept["forgotten"]), (&0.into(), &0.into()));
    let pruned = place.run(["db", "prune", "--history", "3", "--json"]).json();
    let first = pruned["first_block"].as_u64().unwrap();
    assert!(first > 0, "{pruned}");
    assert_eq!(place.run(["db", "stat", "--json"]).json()["first_block"], first);
    place.run(["db", "unwind", "0"]).fails(1, &format!("kept from block {first} to block"));
    place.run(["db", "check", "--level", "all", "--json"]).json();
    place.run(["db", "prune", "--history", "some"]).fails(2, "--history: ");
}

#[test]
fn a_proof_is_verified_without_the_database() {
    let place = with_token();
    let (head, words) = (place.run(["db", "stat", "--json"]).json(), ["0x0", "0x1", "0xdead"]);
    let text = place.run(["db", "dump"]).stdout;
    let account: serde_json::Value = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .find(|line: &serde_json::Value| !line["storage"].is_null())
        .unwrap();
    let token = account["address"].as_str().unwrap();
    let proof = place.run(["db", "proof", token, words[0], words[1], words[2], "--json"]);
    let object = proof.json();
    assert_eq!(object["stateRoot"], head["state_root"]);
    assert_eq!(object["blockHash"], head["block_hash"]);
    assert!(object["accountProof"].is_array() && object["storageProof"][2]["proof"].is_array());
    std::fs::remove_dir_all(place.path().join("zvm-state")).unwrap();

    let verified =
        place.run_with_stdin(&["db", "verify-proof", "-", "--json"], &proof.stdout).json();
    assert_eq!((&verified["exists"], &verified["address"]), (&true.into(), &token.into()));
    for (index, slot) in words.iter().enumerate() {
        let found = &verified["slots"][index];
        assert_eq!(found["value"], account["storage"].get(slot).cloned().unwrap_or("0x0".into()));
    }
    assert_eq!(verified["slots"][2]["exists"], false);
    place.write("proof.json", &proof.stdout);
    let shown = place.run(["db", "verify-proof", "proof.json"]);
    assert!(shown.stdout.contains("exists: proven"), "{}", shown.stdout);
    assert!(shown.stdout.contains("slot 0xdead    absent: proven"), "{}", shown.stdout);

    // As a node answers it, which does not say the root.
    let mut bare = object.clone();
    bare.as_object_mut().unwrap().remove("stateRoot");
    let answer = serde_json::json!({ "jsonrpc": "2.0", "id": 1, "result": bare });
    place.write("answer.json", answer.to_string());
    place.run(["db", "verify-proof", "answer.json"]).fails(2, "no stateRoot in it; --root");
    let root = head["state_root"].as_str().unwrap();
    let with_root = place.run(["db", "verify-proof", "answer.json", "--root", root, "--json"]);
    assert_eq!(with_root.json(), verified);
}

#[test]
fn a_proof_that_does_not_hold_is_refused_by_its_node() {
    let place = with_token();
    let object = place.run(["db", "proof", ALICE, "7", "--json"]).json();
    place.write("absent.json", object.to_string());
    let absent = place.run(["db", "verify-proof", "absent.json"]);
    assert!(absent.stdout.contains("does not exist: proven"), "{}{}", absent.stdout, absent.stderr);
    assert!(absent.stdout.contains("slot 0x7       absent: proven"), "{}", absent.stdout);

    let verify = |object: &serde_json::Value| {
        place.write("bad.json", object.to_string());
        place.run(["db", "verify-proof", "bad.json"])
    };
    let mut changed = object.clone();
    let node = changed["accountProof"][0].as_str().unwrap().to_owned();
    let last = if node.ends_with('0') { "1" } else { "0" };
    changed["accountProof"][0] = format!("{}{last}", &node[..node.len() - 1]).into();
    verify(&changed).fails(1, "bad.json: not proven: account 0x");
    verify(&changed).fails(1, "node 0 of the proof has hash");
    let mut changed = object.clone();
    changed["balance"] = "0x5".into();
    verify(&changed).fails(1, "the proof has nothing, not the account given");
    let mut changed = object.clone();
    changed["accountProof"] = serde_json::json!([]);
    verify(&changed).fails(1, "proof ends before node 0");
    let root = format!("0x{}", "11".repeat(32));
    place
        .run(["db", "verify-proof", "absent.json", "--root", &root])
        .fails(1, &format!("expected {root}"));
}

#[test]
fn rubbish_for_the_tools_is_named() {
    let place = Place::new();
    for command in ["check", "rebuild-trie", "prune"] {
        place.run(["db", command]).fails(1, "file:./zvm-state: no database here");
        place.run(["db", command, "--db", "memory:"]).fails(1, "no store: expected file");
    }
    place.run(["db", "unwind", "1"]).fails(1, "no database here");
    place.run(["db", "proof", ALICE]).fails(1, "no database here");
    place.run(["db", "proof", "0x12"]).fails(2, "ADDRESS>: 1 bytes, expected an address of 20");
    place.run(["db", "proof", ALICE, "five"]).fails(2, "is no number");
    place.run(["db", "unwind", "one"]).fails(2, "BLOCK>: invalid digit");
    place.run(["db", "verify-proof", "none.json"]).fails(1, "none.json: cannot open");
    for (text, fault) in [
        ("", "at line 1 column 0; expected a proof"),
        ("[1", "line 1 column"),
        ("{\n  \"address\": 7}", "at line 2 column"),
        ("{\"result\": {}}", "missing field `address`"),
    ] {
        place.run_with_stdin(&["db", "verify-proof", "-"], text).fails(2, fault);
    }
    place.run(["db", "verify-proof", "-", "--root", "0x12"]).fails(2, "--root: 1 bytes");
    std::fs::create_dir(place.path().join("empty")).unwrap();
    place.run(["db", "check", "--db", "file:empty"]).fails(1, "state.redb: cannot open");
    place.run(["db", "unwind", "0", "--db", "file:empty"]).fails(1, "state.redb: cannot open");
    assert!(
        !place.path().join("zvm-state").exists() && !place.path().join("empty/state.redb").exists()
    );
}

#[test]
fn a_backup_restores_to_an_equal_database() {
    let place = with_blocks(3);
    let stat = place.run(["db", "stat", "--json"]).json();
    let made = place.run(["db", "backup", "saved", "--json"]).json();
    assert_eq!((&made["block"], &made["engine"]), (&stat["block"], &"redb".into()));
    let text = std::fs::read_to_string(place.path().join("saved/manifest.json")).unwrap();
    let manifest: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(manifest["state_root"], stat["state_root"]);
    assert_eq!(manifest["files"][0]["path"], "state.redb");
    let restored = place.run(["db", "restore", "saved", "--db", "file:again", "--json"]).json();
    assert_eq!(restored["state_root"], stat["state_root"]);
    let dumped = place.run(["db", "dump"]).stdout;
    assert_eq!(place.run(["db", "dump", "--db", "file:again"]).stdout, dumped);
    place.run(["db", "unwind", "1", "--db", "file:again", "--json"]).json();

    place.run(["db", "backup", "saved"]).fails(1, "saved: cannot make a backup here");
    place
        .run(["db", "restore", "saved", "--db", "file:again"])
        .fails(1, "again: cannot make a database here");
}

#[test]
fn a_backup_with_a_changed_byte_is_refused_by_file() {
    let place = with_token();
    place.run(["db", "backup", "saved", "--json"]).json();
    for name in ["state.redb", "manifest.json"] {
        let path = place.path().join("saved").join(name);
        let whole = std::fs::read(&path).unwrap();
        let mut changed = whole.clone();
        changed[whole.len() / 2] ^= 1;
        std::fs::write(&path, changed).unwrap();
        place
            .run(["db", "restore", "saved", "--db", "file:again"])
            .fails(1, &format!("saved/{name}: "));
        std::fs::write(&path, whole).unwrap();
    }
    place
        .run(["db", "restore", "nowhere", "--db", "file:again"])
        .fails(1, "nowhere/manifest.json: cannot read");
    place
        .run(["db", "restore", "zvm-state", "--db", "file:again"])
        .fails(1, "zvm-state/manifest.json: cannot read");
    place.run(["db", "restore", "saved", "--db", "memory:"]).fails(1, "a folder is needed");
    place.run(["db", "restore", "saved", "--db", "rocksdb:again"]).fails(1, "a backup of redb");
    place
        .run(["db", "backup", "more", "--db", "file:none"])
        .fails(1, "file:none: no database here");
    let mut names: Vec<_> =
        std::fs::read_dir(place.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["saved", "zvm-state"]);
}

/// Every command that reads or writes the default database, which is at `zvm-state`.
const ON_A_STORE: &[&[&str]] = &[
    &["stat"],
    &["check"],
    &["dump"],
    &["proof", ALICE],
    &["backup", "more"],
    &["migrate", "file:zvm-state", "file:more"],
    &["open"],
    &["unwind", "1"],
    &["prune"],
    &["rebuild-trie"],
];

fn on_a_store(place: &Place) -> impl Iterator<Item = common::Run> {
    ON_A_STORE.iter().map(|words| place.run([&["db"], *words].concat()))
}

#[test]
fn a_store_in_use_is_named() {
    let place = with_token();
    let _open = zvm_state::FileDb::open(place.path().join("zvm-state")).unwrap();
    for run in on_a_store(&place) {
        run.fails(1, "zvm-state: in use by another process");
    }
}

/// The names in a folder, locks aside.
fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.filter(|name| name != "lock").collect();
    names.sort();
    names
}

#[test]
fn looking_makes_no_store_and_changes_no_backup() {
    let place = with_token();
    place.run(["db", "backup", "saved", "--json"]).json();
    std::fs::create_dir(place.path().join("photos")).unwrap();
    place.write("photos/one.jpg", "kept");
    let store = std::fs::read(place.path().join("saved/state.redb")).unwrap();
    for command in ["account", "storage", "call"] {
        let on = |database| place.run([command, ALICE, "--db", database]);
        on("file:photos").fails(1, "state.redb: cannot open");
        assert!(!on("file:saved").stdout.is_empty() || command == "storage");
    }
    assert_eq!(std::fs::read_dir(place.path().join("photos")).unwrap().count(), 1);
    assert_eq!(names(&place.path().join("saved")), ["manifest.json", "state.redb"]);
    assert_eq!(std::fs::read(place.path().join("saved/state.redb")).unwrap(), store);
    place.run(["db", "restore", "saved", "--db", "file:again", "--json"]).json();

    // Beside others who look, and not beside one who writes.
    let options = zvm_state::FileOptions { access: Access::Read, ..Default::default() };
    let folder = place.path().join("zvm-state");
    let reader = zvm_state::FileDb::open_with(&folder, options).unwrap();
    assert_eq!(place.run(["account", ALICE]).code, 0);
    drop(reader);
    let _writer = zvm_state::FileDb::open(&folder).unwrap();
    place.run(["account", ALICE]).fails(1, "in use by another process");
}

#[test]
fn what_is_shown_of_a_database_is_what_was_named() {
    let place = with_token();
    let stat = place.run(["db", "stat", "--json"]).json();
    assert_eq!(stat["database"], "file:./zvm-state");
    let file = std::fs::metadata(place.path().join("zvm-state/state.redb")).unwrap();
    assert_eq!(stat["bytes_on_disk"], file.len());
    // Not to be found, which is another thing than not there.
    place.write("plain", "");
    place.run(["db", "stat", "--db", "file:plain/below"]).fails(1, "cannot open: ");
    place.run(["account", ALICE, "--db", "file:plain/below"]).fails(1, "cannot open: ");
}

#[test]
fn a_store_of_a_newer_format_is_named_and_left_alone() {
    use zvm_state::kv::{Durability, Engine, Options, Table, WriteBatch, open};

    let place = with_token();
    let folder = place.path().join("zvm-state");
    let mut store = open(Engine::Redb, &folder, Options::default()).unwrap();
    let mut batch = WriteBatch::new();
    batch.put(Table::Meta, b"format", &99_u32.to_be_bytes());
    store.write(batch, Durability::Synced).unwrap();
    drop(store);
    let before = std::fs::read(folder.join("state.redb")).unwrap();
    for run in on_a_store(&place) {
        run.fails(1, "format 99 is newer than format");
    }
    assert_eq!(std::fs::read(folder.join("state.redb")).unwrap(), before);
    assert!(!place.path().join("more").exists());
}

#[test]
fn what_is_no_database_is_named_and_left_alone() {
    let place = Place::new();
    let folder = place.path().join("zvm-state");
    std::fs::create_dir(&folder).unwrap();
    for rubbish in [&b"no database"[..], &[0; 70_000]] {
        std::fs::write(folder.join("state.redb"), rubbish).unwrap();
        for run in on_a_store(&place) {
            run.fails(1, "state.redb: ");
        }
        assert_eq!(std::fs::read(folder.join("state.redb")).unwrap(), rubbish);
    }
    std::fs::remove_dir_all(&folder).unwrap();
    place.write("zvm-state", "a file");
    for run in on_a_store(&place) {
        run.fails(1, "zvm-state: cannot ");
    }
    assert_eq!(std::fs::read(place.path().join("zvm-state")).unwrap(), b"a file");
}

/// Nobody in particular, who owns nothing.
#[cfg(unix)]
const NOBODY: u32 = 65534;

#[cfg(unix)]
#[test]
fn a_folder_that_takes_no_files_can_be_read_and_is_named_when_written() {
    use std::os::unix::{
        fs::{MetadataExt, PermissionsExt},
        process::CommandExt,
    };

    let place = with_token();
    place.run(["db", "backup", "saved", "--json"]).json();
    let folder = place.path().join("zvm-state");
    let is_root = std::fs::metadata(place.path()).unwrap().uid() == 0;
    let run = |words: &[&str]| {
        let mut command = place.command();
        command.args(words);
        if is_root {
            // Root may write everywhere.
            command.uid(NOBODY).gid(NOBODY);
        }
        command.output().map(|output| common::Run {
            code: output.status.code().expect("no signal"),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        })
    };
    let permit = |path: &Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    let closed = [(folder.join("state.redb"), 0o444), (folder.join("lock"), 0o444)];
    closed.iter().for_each(|(path, mode)| permit(path, *mode));
    permit(&folder, 0o555);
    permit(place.path(), 0o555);
    let before = std::fs::read(folder.join("state.redb")).unwrap();
    match run(&["--version"]) {
        Ok(version) if version.code == 0 => {
            for words in ON_A_STORE {
                let run = run(&[&["db"], *words].concat()).unwrap();
                match words[0] {
                    "stat" | "check" | "dump" | "proof" => {
                        assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{words:?}");
                    }
                    _ => run.fails(1, "Permission denied"),
                }
            }
            let restore = run(&["db", "restore", "saved", "--db", "file:again"]).unwrap();
            restore.fails(1, "Permission denied");
        }
        _ => eprintln!("NOT TESTED: another user cannot run the binary"),
    }
    assert_eq!(std::fs::read(folder.join("state.redb")).unwrap(), before);
    permit(place.path(), 0o755);
    permit(&folder, 0o755);
    let names = std::fs::read_dir(place.path()).unwrap().count();
    assert_eq!(names, 2, "something was left behind");
}
