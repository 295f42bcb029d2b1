//! `zvm log` and `zvm chain logs`, `history`: a log made by the library, asked through the binary.

mod common;

use common::Place;
use serde_json::json;
use zvm::{Address, B256};
use zvm_state::FileDb;
use zvm_txlog::{
    Log, LogWriter,
    testing::{Blocks, MadeBlock},
};

/// A place with blocks 0 to `last` in the default database.
fn with_blocks(last: u64) -> (Place, Vec<MadeBlock>) {
    let place = Place::new();
    let blocks = Blocks { transactions_max: 6, is_signed: true, ..Blocks::default() };
    let mut db = FileDb::open(place.path().join("zvm-state")).unwrap();
    let mut made: Vec<MadeBlock> = Vec::new();
    for number in 0..=last {
        let parent = made.last().map_or(B256::ZERO, |block| block.hash);
        let block = blocks.block(number, parent);
        LogWriter::new(&mut db).commit(&block.as_new()).unwrap();
        made.push(block);
    }
    (place, made)
}

#[test]
fn a_proof_is_made_from_a_database_and_verified_without_one() {
    let (place, made) = with_blocks(20);
    let head = place.run(["log", "head", "--json"]);
    place.write("head.json", &head.stdout);
    assert_eq!(head.json()["block"], 20);
    let block = made.iter().position(|block| !block.receipts.is_empty()).unwrap();
    let hash = made[block].block.transactions[0].hash();

    let proof = place.run(["log", "prove", &hash.to_string()]);
    assert_eq!(proof.json()["entry"]["transactionHash"], json!(hash));
    place.write("proof.json", &proof.stdout);
    let other = Place::new();
    for name in ["proof.json", "head.json"] {
        other.write(name, std::fs::read(place.path().join(name)).unwrap());
    }
    let arguments = ["log", "verify", "--proof", "proof.json", "--head", "head.json", "--json"];
    assert_eq!(other.run(arguments).json()["root"], head.json()["root"]);
    let changed = proof.stdout.replace("\"index\":0", "\"index\":1");
    other.write("proof.json", &changed);
    other.run(arguments).fails(1, "not proven");
    other.write("proof.json", "{}");
    other.run(arguments).fails(2, "expected what zvm log prints");

    let proof = place.run(["log", "prove", "--block", "7"]);
    assert_eq!(proof.json()["entry"]["number"], 7);
    place.run(["log", "prove", "--block", "21"]).fails(1, "no block 21");
    place.run(["log", "prove", &B256::ZERO.to_string()]).fails(1, "no transaction");
}

#[test]
fn two_heads_are_shown_to_be_consistent() {
    let (place, _) = with_blocks(20);
    let old = place.run(["log", "head", "--block", "9", "--json"]);
    let head = place.run(["log", "head", "--json"]);
    let size = old.json()["size"].to_string();
    let proof = place.run(["log", "consistency", &size]);
    assert_eq!(proof.json()["root"], head.json()["root"]);
    place.write("proof.json", &proof.stdout);
    place.write("old.json", &old.stdout);
    place.write("head.json", &head.stdout);
    let arguments =
        ["log", "verify", "--proof", "proof.json", "--head", "old.json", "--head", "head.json"];
    assert_eq!(place.run(arguments).code, 0);
    let mut other = old.json();
    other["root"] = json!(B256::ZERO);
    place.write("old.json", other.to_string());
    place.run(arguments).fails(1, "not proven");
    place.run(["log", "consistency", "100000"]).fails(1, "entries, not 100000");
}

#[test]
fn a_whole_log_is_verified_against_signed_heads() {
    let (place, made) = with_blocks(70);
    place.write("key", "07".repeat(32));
    let arguments =
        ["log", "head", "--block", "30", "--key-file", "key", "--chain-id", "1", "--json"];
    place.write("head.json", place.run(arguments).stdout);
    let signer = zvm_keys::from_hex(&"07".repeat(32)).unwrap().address().to_string();
    let arguments = ["log", "verify", "--json", "--head", "head.json", "--signer", signer.as_str()];
    let verified = place.run(arguments).json();
    assert_eq!((&verified["blocks"], &verified["heads"]), (&json!(71), &json!(1)));
    let transactions: usize = made.iter().map(|block| block.receipts.len()).sum();
    assert_eq!(verified["transactions"], transactions);
    let arguments = ["log", "verify", "--head", "head.json", "--signer"];
    let stranger = Address::ZERO.to_string();
    place.run(arguments.into_iter().chain([stranger.as_str()])).fails(1, "not signed by 0x0000");
}

#[test]
fn events_and_histories_are_found() {
    let (place, made) = with_blocks(70);
    let db = FileDb::open(place.path().join("zvm-state")).unwrap();
    let address = Blocks::address(1);
    let page = Log::new(&db).history(address, None, zvm_state::kv::Order::Forward, 3).unwrap();
    drop(db);
    let address = address.to_string();
    let found = place.run(["chain", "history", &address, "--oldest", "--limit", "3", "--json"]);
    let found = found.json();
    assert_eq!(found["appearances"], json!(page.appearances));
    let next = found["next"].as_str().unwrap();
    let rest = place.run(["chain", "history", &address, "--oldest", "--from", next, "--json"]);
    assert_ne!(rest.json()["appearances"], json!([]));

    let events = || made.iter().flat_map(|block| &block.receipts).flat_map(|found| &found.logs);
    let topic = Blocks::topic(1);
    let expected = events()
        .filter(|log| log.address == Blocks::address(1))
        .filter(|log| log.topics().len() > 1)
        .filter(|log| log.topics()[1] == topic)
        .count();
    let topic = topic.to_string();
    let arguments =
        ["chain", "logs", "--address", &address, "--topic", "*", "--topic", &topic, "--json"];
    assert_eq!(place.run(arguments).stdout.lines().count(), expected);
    let limited = place.run(["chain", "logs", "--limit", "5"]);
    assert_eq!(limited.code, 1);
    assert!(limited.stderr.contains("go on with --from"), "{}", limited.stderr);
    place.run(["chain", "logs", "--topic", "0x12"]).fails(2, "--topic");
    place.run(["chain", "history", &address, "--from", "x"]).fails(2, "expected BLOCK");
}
