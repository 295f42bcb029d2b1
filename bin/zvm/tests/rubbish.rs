//! Rubbish in: one line that names argument or file, place and expectation; no panic, no damage.

mod common;

use common::{Place, artifact};

const ADDRESS: &str = "0x00000000000000000000000000000000000000b0";

#[test]
fn hex_is_counted_and_checked() {
    let place = Place::new();
    place.run(["run", "6001600"]).fails(2, "CODE: odd number of hex digits (7)");
    place.run(["run", "60g1"]).fails(2, "CODE: character 'g' at 2 is no hex digit");
    place
        .run(["run", "00", "--calldata", "0x1"])
        .fails(2, "--calldata: odd number of hex digits (1)");
    place.write("bad.hex", "0x60\n0x");
    place.run(["disasm", "bad.hex"]).fails(2, "bad.hex: character '\\n' at 4 is no hex digit");
    place.write("cut.hex", "0x600");
    place.run(["run", "cut.hex"]).fails(2, "cut.hex: odd number of hex digits (3)");
}

#[test]
fn arguments_are_named() {
    let place = Place::new();
    place
        .run(["run", "00", "--spec", "Atlantis"])
        .fails(2, "--spec: unknown hard fork \"Atlantis\"");
    place.run(["run", "00", "--gas", "lots"]).fails(2, "--gas: ");
    place.run(["run", "00", "--value", "1eth"]).fails(2, "--value: \"1eth\" is no number");
    place.run(["account", "0x12"]).fails(2, "ADDRESS>: 1 bytes, expected an address of 20");
    place.run(["demo", "--db", "memory:"]).fails(2, "--db: memory: forgets");
    place.run(["account", ADDRESS, "--db", "tape:x"]).fails(2, "at byte 0: no such scheme");
    place.run(["wat"]).fails(2, "unrecognized subcommand 'wat' (try --help)");
    place.run(["account"]).fails(2, "arguments were not provided: <ADDRESS> (try --help)");
    place.run(["db", "stat", "--cuont"]).fails(2, "tip: a similar argument exists: '--count'");
}

#[test]
fn signatures_and_arguments_are_checked_before_anything_runs() {
    let place = Place::new();
    for signature in ["f(", "f(uint257)", "f", "f)("] {
        place.run(["send", ADDRESS, signature]).fails(2, &format!("function {signature:?}: "));
    }
    let signature = "f(address,uint8)";
    place.run(["send", ADDRESS, signature, ADDRESS]).fails(2, "f: expected 2 arguments");
    place
        .run(["send", ADDRESS, signature, ADDRESS, "256"])
        .fails(2, "f: argument 2 (uint8): \"256\"");
    let token = artifact("Token");
    place.run(["deploy", &token]).fails(2, "constructor of Token: expected 3 arguments");
    place
        .run(["send", ADDRESS, "fly", "--abi", &token])
        .fails(2, "not in the ABI, expected one of");
    assert!(!place.path().join("zvm-state").exists(), "wrong use made a database");
}

#[test]
fn json_of_the_wrong_shape_is_placed() {
    let place = Place::new();
    place.write("a.json", r#"{"abi":[],"bytecode":7}"#);
    place
        .run(["deploy", "a.json"])
        .fails(2, "a.json: invalid type: integer `7`, expected bytecode");
    place.write("a.json", r#"{"abi":[]"#);
    place
        .run(["deploy", "a.json"])
        .fails(2, "a.json: EOF while parsing an object at line 1 column");
    place.write("a.json", "[".repeat(1_000_000));
    place.run(["deploy", "a.json"]).fails(2, "line 1 column");
    let (open, close) = (r#"{"components":["#.repeat(500), "]}".repeat(500));
    place.write("a.json", format!(r#"{{"abi":[{{"type":"error","inputs":[{open}{close}]}}]}}"#));
    place.run(["deploy", "a.json"]).fails(2, "recursion limit exceeded at line 1 column");
    let deep = format!("uint256{}", "[]".repeat(1_000_000));
    let function = format!(
        r#"{{"type":"function","name":"f","stateMutability":"view","outputs":[],"inputs":[{{"name":"x","type":"{deep}"}}]}}"#
    );
    place.write("a.json", format!("[{function}]"));
    place.run(["send", ADDRESS, "f", "1", "--abi", "a.json"]).fails(2, "nested more than 16 deep");
    for (account, expected) in [
        (r#"{"balance":[]}"#, "invalid type: sequence, expected a number"),
        (r#"{"balance":"ten"}"#, "\"ten\" is no number"),
        (r#"{"nonce":"0x10000000000000000"}"#, "is 2^64 or more"),
        (r#"{"code":"0x6"}"#, "odd number of hex digits (1)"),
        (r#"{"coed":"0x"}"#, "unknown field `coed`"),
    ] {
        place.write("pre.json", format!(r#"{{"{ADDRESS}":{account}}}"#));
        let run = place.run(["run", "00", "--prestate", "pre.json"]);
        run.fails(2, expected);
        assert!(run.stderr.contains("pre.json: "), "{}", run.stderr);
    }
}

#[test]
fn long_and_binary_files_are_refused() {
    let place = Place::new();
    // Sparse: 100 MB that take no space.
    std::fs::File::create(place.path().join("big")).unwrap().set_len(100_000_000).unwrap();
    place.run(["run", "big"]).fails(2, "big: too long, expected at most");
    place.write("binary", [0x60, 0xff]);
    place.run(["disasm", "binary"]).fails(2, "binary: byte 1 is no text");
}

#[test]
fn missing_files_fail_without_being_wrong_use() {
    let place = Place::new();
    place.run(["run", "@nowhere.hex"]).fails(1, "nowhere.hex: cannot open");
    place.run(["run", "00", "--prestate", "nowhere.json"]).fails(1, "nowhere.json: cannot open");
    place.run(["call", ADDRESS]).fails(1, "no database here");
    assert!(!place.path().join("zvm-state").exists(), "reading made a database");
    place.write("file", "");
    place.run(["deploy", "00", "--db", "file:./file/state"]).fails(1, "./file/state");
}

#[cfg(unix)]
#[test]
fn database_without_permission_is_named() {
    use std::os::unix::fs::PermissionsExt;

    let place = Place::new();
    let folder = place.path().join("closed");
    std::fs::create_dir(&folder).unwrap();
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o000)).unwrap();
    if std::fs::read_dir(&folder).is_ok() {
        eprintln!("NOT TESTED: this user may read everything");
        return;
    }
    place.run(["deploy", "00", "--db", "file:./closed/state"]).fails(1, "Permission denied");
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn damaged_database_is_named_and_left_alone() {
    let place = Place::new();
    assert_eq!(place.run(["deploy", &artifact("Token"), "A", "B", "1"]).code, 0);
    let file = place.path().join("zvm-state/state.redb");
    let whole = std::fs::read(&file).unwrap();
    for damaged in [&whole[..whole.len() / 2], &whole[..100], &[0x5a; 5000]] {
        std::fs::write(&file, damaged).unwrap();
        place.run(["account", ADDRESS]).fails(1, "state.redb");
        place.run(["deploy", "00"]).fails(1, "state.redb");
        assert_eq!(std::fs::read(&file).unwrap(), damaged, "the damaged file was changed");
    }
    std::fs::write(&file, whole).unwrap();
    assert_eq!(place.run(["account", ADDRESS]).code, 0);
}
