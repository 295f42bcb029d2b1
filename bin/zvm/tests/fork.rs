//! `zvm fork`: what is read of anvil is recorded, and replays where there is no network.

#[path = "../../../crates/fork/tests/support/anvil.rs"]
#[allow(dead_code, reason = "a part is used here")]
mod anvil;
mod common;

use std::process::Command;

use anvil::Anvil;
use common::{Place, Run};
use serde_json::Value;
use zvm_core::{Address, U256, hex};

const CONTRACT: &str = "0xc0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0";

/// A node with a contract that adds slots 0 and 1, writes the sum to slot 2, logs and returns it.
fn node() -> Option<Anvil> {
    let anvil = Anvil::start(&["--hardfork", "prague"])?;
    let contract = Address::repeat_byte(0xc0);
    let code = hex!("5f5460015401806002555f5260205fa060205ff3");
    anvil.set_code(contract, &code);
    for slot in [0_u64, 1, 9] {
        anvil.set_storage(contract, U256::from(slot), U256::from(7 + slot));
    }
    anvil.mine();
    Some(anvil)
}

/// Standard output of a run that went well; a fork says on standard error what it has asked.
#[track_caller]
fn went_well(run: &Run) -> &str {
    assert_eq!(run.code, 0, "{}{}", run.stdout, run.stderr);
    &run.stdout
}

fn json(run: &Run) -> Value {
    serde_json::from_str(went_well(run)).unwrap()
}

/// Runs the binary without any network; `None` where namespaces are not to be had.
fn offline(place: &Place, arguments: &[&str]) -> Option<String> {
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--net", env!("CARGO_BIN_EXE_zvm")]);
    let output = command.args(arguments).current_dir(place.path()).output().ok();
    let output = output.filter(|output| {
        let is_refused = String::from_utf8_lossy(&output.stderr).contains("unshare");
        !is_refused
    });
    if output.is_none() {
        eprintln!("SKIPPED: no network namespaces here (unshare --net)");
    }
    let output = output?;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).unwrap())
}

#[test]
fn a_recording_made_twice_is_the_same_and_replays_without_a_network() {
    let Some(node) = node() else { return };
    let place = Place::new();
    let live = format!("fork:{}@1", node.url);
    let record = |file: &str| {
        place.run([
            "fork", "record", "-o", file, "--proofs", "send", "--json", "--db", &live, CONTRACT,
        ])
    };
    let result = record("a.fork");
    let sent = json(&result);
    assert_eq!(sent["gas_used"].as_u64().map(|gas| gas > 21_000), Some(true), "{sent}");
    assert!(sent["state root"].is_string() || sent["state_root"].is_string(), "{sent}");
    assert_eq!(went_well(&record("b.fork")), result.stdout);
    let bytes = |file: &str| std::fs::read(place.path().join(file)).unwrap();
    assert!(bytes("a.fork") == bytes("b.fork"), "two recordings of the same differ");

    // Gas, logs, diff and root: all that the command prints.
    let replay = ["send", "--json", "--db", "fork:a.fork", CONTRACT];
    let replayed = place.run(replay);
    assert_eq!((went_well(&replayed), replayed.stderr.as_str()), (&*result.stdout, ""));
    if let Some(offline) = offline(&place, &replay) {
        assert_eq!(offline, result.stdout);
    }
    let unknown = place.run(["storage", "--db", "fork:a.fork", CONTRACT, "9"]);
    unknown.fails(1, &format!("a.fork: not recorded: slot 0x9 of {}", Address::repeat_byte(0xc0)));

    let facts = json(&place.run(["fork", "verify", "a.fork", "--json"]));
    assert_eq!((&facts["unproven"], &facts["block"]), (&0.into(), &1.into()), "{facts}");
    assert_eq!(facts["proven_slots"], 3, "{facts}");
    let against = format!("fork:{}@1?verify", node.url);
    let facts = json(&place.run(["fork", "verify", "a.fork", "--against", &against, "--json"]));
    assert!(facts["compared"].as_u64() > Some(4), "{facts}");
    let other = format!("0x{}", "11".repeat(32));
    let error = place.run(["fork", "verify", "a.fork", "--hash", &other]);
    error.fails(1, &format!("expected {other}"));
}

#[test]
fn recordings_of_one_block_merge_and_others_do_not() {
    let Some(node) = node() else { return };
    let place = Place::new();
    let at = |block: u64| format!("fork:{}@{block}", node.url);
    let record = |file: &str, block: u64, slot: &str| {
        let db = at(block);
        let run = place.run(["fork", "record", "-o", file, "storage", "--db", &db, CONTRACT, slot]);
        went_well(&run).to_owned()
    };
    record("a.fork", 1, "0");
    let nine = record("b.fork", 1, "9");
    went_well(&place.run(["fork", "merge", "a.fork", "b.fork", "-o", "ab.fork"]));
    went_well(&place.run(["fork", "merge", "b.fork", "a.fork", "-o", "ba.fork"]));
    let bytes = |file: &str| std::fs::read(place.path().join(file)).unwrap();
    assert!(bytes("ab.fork") == bytes("ba.fork"));
    let facts = json(&place.run(["fork", "info", "fork:ab.fork", "--json"]));
    assert_eq!((&facts["slots"], &facts["chain"]), (&2.into(), &31_337.into()), "{facts}");
    assert_eq!(place.run(["storage", "--db", "fork:ab.fork", CONTRACT, "9"]).stdout, nine);

    node.mine();
    record("c.fork", 2, "9");
    let run = place.run(["fork", "merge", "a.fork", "c.fork", "-o", "x.fork"]);
    run.fails(1, "c.fork: cannot merge: one recording is of block 1 (0x");
    assert!(!place.path().join("x.fork").exists());
    let mut damaged = bytes("a.fork");
    damaged[40] ^= 1;
    place.write("d.fork", damaged);
    place.run(["fork", "info", "fork:d.fork"]).fails(1, "d.fork: damaged: checksum 0x");
    place.run(["fork", "record", "-o", "x.fork", "disasm", "00"]);
    assert!(!place.path().join("x.fork").exists());
}
