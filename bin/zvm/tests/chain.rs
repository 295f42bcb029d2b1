//! `zvm chain init` and `import`, and `zvm tx send`: a chain through the binary.

mod common;

use common::Place;
use serde_json::{Value, json};

/// Whose key is 0x0707…07.
fn rich() -> String {
    zvm_keys::from_hex(&"07".repeat(32)).unwrap().address().to_string()
}

/// A chain of proof of stake with the rules of Cancun, on which Prague comes at `prague`.
fn genesis(prague: u64) -> Value {
    json!({
        "config": {
            "chainId": 7, "homesteadBlock": 0, "eip150Block": 0, "eip155Block": 0,
            "eip158Block": 0, "byzantiumBlock": 0, "constantinopleBlock": 0,
            "petersburgBlock": 0, "istanbulBlock": 0, "berlinBlock": 0, "londonBlock": 0,
            "terminalTotalDifficulty": 0, "shanghaiTime": 0, "cancunTime": 0,
            "pragueTime": prague,
        },
        "difficulty": "0x0",
        "gasLimit": "0x1c9c380",
        "alloc": { rich(): { "balance": "0xde0b6b3a7640000" } },
    })
}

/// A time that does not come.
const NEVER: u64 = 1 << 40;

#[test]
fn a_chain_knows_its_rules_and_refuses_others_by_name() {
    let place = Place::new();
    place.write("genesis.json", genesis(NEVER).to_string());
    place.write("key", "07".repeat(32));
    place.run(["chain", "import", "blocks.rlp"]).fails(1, "no database here");
    let begun = place.run(["chain", "init", "genesis.json", "--json"]).json();
    assert_eq!(begun["number"], 0);
    let to = format!("0x{}", "b0".repeat(20));
    let transaction = json!({ "to": to, "value": "0x5" }).to_string();
    let send = ["tx", "send", &transaction, "--key-file", "key", "--json"];
    assert_eq!(place.run(send).json()["blockNumber"], "0x1");
    assert_eq!(place.run(["chain", "export", "blocks.rlp"]).code, 0);

    // In again elsewhere: the rules are needed once.
    let other = Place::new();
    other.write("genesis.json", genesis(NEVER).to_string());
    other.write("blocks.rlp", std::fs::read(place.path().join("blocks.rlp")).unwrap());
    let arguments = ["chain", "import", "blocks.rlp", "--genesis", "genesis.json", "--json"];
    assert_eq!(other.run(arguments).json()["imported"], 1);
    let again = other.run(["chain", "import", "blocks.rlp", "--json"]).json();
    assert_eq!((&again["imported"], &again["number"]), (&json!(0), &json!(1)));
    assert_eq!(again["hash"], place.run(["chain", "head", "--json"]).json()["hash"]);

    other.write("genesis.json", genesis(NEVER + 1).to_string());
    assert_eq!(other.run(arguments).code, 0);
    let mut changed = genesis(NEVER);
    changed["config"]["muirGlacierBlock"] = json!(1);
    other.write("genesis.json", changed.to_string());
    other.run(arguments).fails(1, "muirGlacierBlock was absent for blocks of this chain, and is 1");
    changed["timestamp"] = json!("0x1");
    other.write("genesis.json", changed.to_string());
    other.run(arguments).fails(1, "there is a chain here already");
}

#[test]
fn a_transaction_is_signed_mined_and_answered_with_its_receipt() {
    let place = Place::new();
    place.write("genesis.json", genesis(NEVER).to_string());
    place.write("key", "07".repeat(32));
    let to = format!("0x{}", "b0".repeat(20));
    let transaction = json!({ "to": to, "value": "0x5" }).to_string();
    let send = ["tx", "send", &transaction, "--key-file", "key", "--json"];
    place.run(send).fails(1, "no database here");
    assert_eq!(place.run(["chain", "init", "genesis.json"]).code, 0);
    let receipt = place.run(send).json();
    assert_eq!((&receipt["status"], &receipt["gasUsed"]), (&json!("0x1"), &json!("0x5208")));
    assert_eq!(receipt["from"].as_str().unwrap().to_lowercase(), rich().to_lowercase());
    let hash = receipt["transactionHash"].as_str().unwrap();
    assert_eq!(place.run(["chain", "receipt", hash, "--json"]).json(), receipt);
    let account = place.run(["account", &to, "--json"]).json();
    assert_eq!(account["balance"], "5");

    // What a contract refuses is in a block all the same.
    let reverting = json!({ "input": "0x5f5ffd", "gas": "0x30d40" }).to_string();
    let send = ["tx", "send", &reverting, "--key-file", "key", "--json"];
    let run = place.run(send);
    assert_eq!(run.code, 1, "{}", run.stderr);
    let refused: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!((&refused["status"], &refused["blockNumber"]), (&json!("0x0"), &json!("0x2")));

    // Signed elsewhere, sent as it is.
    let whole = json!({ "to": to, "value": "0x5", "nonce": "0x2", "gas": "0x5208",
        "gasPrice": "0x77359400", "chainId": "0x7" });
    let signed = place.run(["tx", "sign", &whole.to_string(), "--key-file", "key"]).stdout;
    let receipt = place.run(["tx", "send", signed.trim(), "--json"]).json();
    assert_eq!(receipt["blockNumber"], "0x3");
    place.run(["tx", "send", signed.trim()]).fails(1, "nonce 2 too low, account has 3");
    assert_eq!(place.run(["chain", "head", "--json"]).json()["number"], "0x3");

    let too_much = json!({ "to": to, "value": "0xffffffffffffffffff" }).to_string();
    place.run(["tx", "send", &too_much, "--key-file", "key"]).fails(1, "needs");
    place.run(["tx", "send", &transaction]).fails(2, "--key-file or --key-env");
    place.run(["tx", "send", "0x01"]).fails(2, "not a transaction");
    let other = json!({ "to": to, "chainId": "0x8" }).to_string();
    place.run(["tx", "send", &other, "--key-file", "key"]).fails(1, "chain id 8, expected 7");
}
