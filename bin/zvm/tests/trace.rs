//! `zvm tx trace`: transactions that anvil has executed come to the same here, at their places in a
//! block with others.

#[path = "../../../crates/fork/tests/support/anvil.rs"]
#[allow(dead_code, reason = "a part is used here")]
mod anvil;
mod common;
#[path = "../../../crates/fork/tests/support/proxy.rs"]
#[allow(dead_code, reason = "a part is used here")]
mod proxy;

use std::sync::Arc;

use anvil::Anvil;
use common::{Place, Run};
use proxy::{Proxy, Trouble};
use serde_json::{Value, json};
use zvm_core::{
    AccessListItem, Address, Authorization, AuthorizationTuple, B256, SigningKey, TxKind, TxType,
    U256, UnsignedTransaction, hex, keccak256,
};

/// Adds 1 to slot 0, logs it and returns it.
const COUNTER: Address = Address::repeat_byte(0xc0);
/// Reverts with an error that has a name.
const REFUSER: Address = Address::repeat_byte(0xde);
/// Calls the counter twice.
const CALLER: Address = Address::repeat_byte(0xca);

/// A node, a block in it with transactions, and their hashes in their order.
struct Scene {
    node: Anvil,
    hashes: Vec<String>,
}

fn key(byte: u8) -> SigningKey {
    SigningKey::new(&[byte; 32]).unwrap()
}

fn body(tx_type: TxType, nonce: u64, to: TxKind) -> UnsignedTransaction {
    let gwei = U256::from(1_000_000_000_u64);
    UnsignedTransaction {
        tx_type,
        chain_id: Some(31_337),
        nonce,
        gas_price: U256::from(10) * gwei,
        max_priority_fee: gwei,
        gas_limit: 200_000,
        to,
        ..UnsignedTransaction::default()
    }
}

/// A block with transactions of most types that meet at one contract: one that reverts, one that
/// creates, one without a chain in its signature, one that delegates.
fn scene() -> Option<Scene> {
    let node = Anvil::start(&["--hardfork", "prague", "--order", "fifo"])?;
    node.set_code(COUNTER, &hex!("5f54600101805f55805f5260205fa05f5260205ff3"));
    let word = |bytes: &[u8]| [&[0x7f], bytes, &[0; 32][bytes.len()..]].concat();
    let refusal = [
        &word(&hex!("08c379a0"))[..],
        &hex!("5f5260206004526003602452"),
        &word(b"no!"),
        &hex!("60445260645ffd"),
    ];
    node.set_code(REFUSER, &refusal.concat());
    let call = [&hex!("5f5f5f5f5f73")[..], COUNTER.as_slice(), &hex!("5af150")].concat();
    node.set_code(CALLER, &[&call[..], &call, &[0]].concat());
    let keys: Vec<_> = (1..=6).map(key).collect();
    for key in &keys {
        node.set_balance(key.address(), U256::from(10).pow(U256::from(20)));
    }
    // To anvil every account is there, which to EIP-7702 makes a difference.
    node.set_balance(key(9).address(), U256::ONE);
    node.mine();
    node.call("evm_setAutomine", json!([false]));
    let access_list = vec![AccessListItem { address: COUNTER, storage_keys: vec![B256::ZERO] }];
    let delegation = Authorization { chain_id: U256::ZERO, address: COUNTER, nonce: 0 };
    let signed = [
        body(TxType::DynamicFee, 0, COUNTER.into()).sign(&keys[0]),
        UnsignedTransaction { access_list, ..body(TxType::AccessList, 0, COUNTER.into()) }
            .sign(&keys[1]),
        body(TxType::DynamicFee, 0, REFUSER.into()).sign(&keys[2]),
        // Deploys what the counter has.
        UnsignedTransaction {
            data: [&hex!("73")[..], COUNTER.as_slice(), &hex!("803b805f5f843c5ff3")]
                .concat()
                .into(),
            ..body(TxType::DynamicFee, 0, TxKind::Create)
        }
        .sign(&keys[3]),
        UnsignedTransaction { chain_id: None, ..body(TxType::Legacy, 0, CALLER.into()) }
            .sign(&keys[4]),
        UnsignedTransaction {
            authorizations: vec![AuthorizationTuple::sign(delegation, &key(9))],
            ..body(TxType::SetCode, 1, key(9).address().into())
        }
        .sign(&keys[0]),
    ];
    for tx in &signed {
        node.call("eth_sendRawTransaction", json!([hex::encode_prefixed(tx.encode_2718())]));
    }
    node.mine();
    let block = node.call("eth_getBlockByNumber", json!(["latest", false]));
    let hashes: Vec<_> = signed.iter().map(|tx| tx.hash().to_string()).collect();
    assert_eq!(block["transactions"], json!(hashes), "another order");
    Some(Scene { node, hashes })
}

impl Scene {
    fn receipt(&self, index: usize) -> Value {
        self.node.call("eth_getTransactionReceipt", json!([self.hashes[index]]))
    }

    fn trace(&self, place: &Place, index: usize, more: &[&str]) -> Run {
        let db = format!("fork:{}", self.node.url);
        let args = ["tx", "trace", &self.hashes[index], "--db", &db];
        place.run(args.iter().chain(more))
    }
}

/// The JSON of a trace that agrees with the receipt.
#[track_caller]
fn agreed(run: &Run) -> Value {
    assert_eq!(run.code, 0, "{}{}", run.stdout, run.stderr);
    let shown: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(shown["differences"], json!([]), "{shown}");
    shown
}

fn number(value: &Value) -> u64 {
    u64::from_str_radix(&value.as_str().unwrap()[2..], 16).unwrap()
}

#[test]
fn every_transaction_of_a_block_comes_to_what_its_receipt_says() {
    let Some(scene) = scene() else { return };
    let place = Place::new();
    for state in ["replay", "prestate", "auto"] {
        for index in 0..scene.hashes.len() {
            let shown = agreed(&scene.trace(&place, index, &["--json", "--state", state]));
            let receipt = scene.receipt(index);
            assert_eq!(shown["gas_used"], number(&receipt["gasUsed"]), "{state} {index}: {shown}");
            assert_eq!(shown["index"], index.to_string());
            assert_eq!(shown["status"] == "success", receipt["status"] == "0x1", "{shown}");
            let data = |logs: &Value| -> Vec<Value> {
                logs.as_array().unwrap().iter().map(|log| log["data"].clone()).collect()
            };
            assert_eq!(data(&shown["logs"]), data(&receipt["logs"]), "{state} {index}: {shown}");
            assert!(shown["calls"].as_array().is_some_and(|calls| !calls.is_empty()), "{shown}");
        }
    }
    // The second is on the state that the first has left.
    let second = agreed(&scene.trace(&place, 1, &["--json"]));
    assert_eq!(second["output"], json!(B256::from(U256::from(2))));
    let created = agreed(&scene.trace(&place, 3, &["--json"]));
    assert_eq!(created["address"].as_str().map(str::to_lowercase), {
        let address = scene.receipt(3)["contractAddress"].clone();
        address.as_str().map(str::to_lowercase)
    });
}

#[test]
fn a_trace_for_people_says_why_who_and_what_it_cost() {
    let Some(scene) = scene() else { return };
    let place = Place::new();
    let run = scene.trace(&place, 2, &[]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert!(run.stdout.contains("reverted: no!"), "{}", run.stdout);
    assert!(run.stdout.contains("receipt        says the same"), "{}", run.stdout);
    let cost = run.stderr.lines().last().unwrap();
    assert!(cost.starts_with("upstream: ") && cost.contains(" bytes received"), "{cost}");

    // The caller calls the counter twice.
    let more = ["--trace=steps.jsonl", "--profile", "gas.txt", "--state", "replay"];
    let run = scene.trace(&place, 4, &more);
    let counter = format!("{COUNTER}");
    assert!(run.stdout.matches(&counter).count() >= 2, "{}", run.stdout);
    let steps = std::fs::read_to_string(place.path().join("steps.jsonl")).unwrap();
    let steps: Vec<Value> = steps.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(steps.iter().filter(|step| step["opName"] == "SSTORE").count() == 2, "{steps:?}");
    assert_eq!(number(&steps.last().unwrap()["gasUsed"]), number(&scene.receipt(4)["gasUsed"]));
    assert!(!std::fs::read(place.path().join("gas.txt")).unwrap().is_empty());
    let run = scene.trace(&place, 4, &["--no-call-tree"]);
    assert_eq!(run.stdout.matches(&counter).count(), 2, "two logs: {}", run.stdout);
}

#[test]
fn a_block_is_replayed_in_few_requests() {
    let Some(scene) = scene() else { return };
    let proxy = Proxy::start(&scene.node.url);
    let place = Place::new();
    let db = format!("fork:{}", proxy.url);
    let last = scene.hashes.last().unwrap();
    let mut requests = Vec::new();
    for state in ["replay", "prestate"] {
        let before = proxy.requests();
        let run = place.run(["tx", "trace", last, "--db", &db, "--state", state, "--json"]);
        agreed(&run);
        requests.push(proxy.requests() - before);
        let said = format!("upstream: {} requests", proxy.requests() - before);
        assert!(run.stderr.contains(&said), "{said}: {}", run.stderr);
    }
    eprintln!("requests by replay and prestate: {requests:?}");
    assert!(requests[0] <= 10 && requests[1] <= 6, "{requests:?}");
}

#[test]
fn a_long_block_takes_no_more_requests_than_a_short_one() {
    let Some(scene) = scene() else { return };
    let node = &scene.node;
    // Each calls a contract of its own, which calls the counter, and writes a slot of its own.
    let callers: Vec<_> = (0..40_u8).map(|index| Address::repeat_byte(0x40 + index)).collect();
    let call = [&hex!("5f5f5f5f5f73")[..], COUNTER.as_slice(), &hex!("5af1503a305500")].concat();
    callers.iter().for_each(|caller| node.set_code(*caller, &call));
    let keys: Vec<_> = (0x20..0x34).map(key).collect();
    keys.iter().for_each(|key| {
        node.set_balance(key.address(), U256::from(10).pow(U256::from(20)));
    });
    node.mine();
    let mut last = String::new();
    for nonce in 0..6 {
        for (index, key) in keys.iter().enumerate() {
            let to = callers[(index * 7 + nonce * 11) % callers.len()];
            let tx = body(TxType::DynamicFee, nonce as u64, to.into()).sign(key);
            let bytes = hex::encode_prefixed(tx.encode_2718());
            node.call("eth_sendRawTransaction", json!([bytes]));
            last = tx.hash().to_string();
        }
    }
    node.mine();
    let proxy = Proxy::start(&node.url);
    let place = Place::new();
    let db = format!("fork:{}", proxy.url);
    let run = place.run(["tx", "trace", &last, "--db", &db, "--state", "replay", "--json"]);
    assert_eq!(agreed(&run)["index"], "119");
    let requests = proxy.requests();
    eprintln!("requests for a block of 120 transactions: {requests}");
    assert!(requests <= 12, "{requests}: {}", run.stderr);
}

#[test]
fn a_node_without_prestates_has_its_blocks_replayed() {
    let Some(scene) = scene() else { return };
    let proxy = Proxy::start(&scene.node.url);
    let place = Place::new();
    let db = format!("fork:{}", proxy.url);
    let trace =
        |state: &str| place.run(["tx", "trace", &scene.hashes[1], "--db", &db, "--state", state]);
    proxy.always(Trouble::Without("debug_traceTransaction", -32601));
    assert!(trace("auto").stdout.contains("state          block 1 and 1 transactions"));
    let run = trace("prestate");
    assert_eq!(run.code, 1);
    assert!(run.stderr.contains("cannot give the state that a transaction met"), "{}", run.stderr);

    // One that tells another state is not believed, for the receipt says something else.
    let alter = |method: &str, _: &Value, result: &mut Value| {
        if method == "debug_traceTransaction" {
            let key = format!("{COUNTER:#x}");
            result[&key]["storage"] = json!({});
        }
    };
    proxy.always(Trouble::Change(Arc::new(alter)));
    assert!(trace("auto").stdout.contains("state          block 1 and 1 transactions"));
    let run = trace("prestate");
    assert_eq!(run.code, 1);
    let expected = format!("slot 0x0 of {COUNTER}: not in the state");
    assert!(run.stderr.contains(&expected), "{}", run.stderr);
}

#[test]
fn what_contradicts_itself_is_refused_and_what_differs_is_named() {
    let Some(scene) = scene() else { return };
    let proxy = Proxy::start(&scene.node.url);
    let place = Place::new();
    let db = format!("fork:{}", proxy.url);
    let hash = &scene.hashes[1];
    let trace = |more: &[&str]| {
        place.run(["tx", "trace", hash, "--db", &db].iter().chain(more)) //
    };
    let change = |of: &'static str, change: fn(&mut Value)| {
        let alter = move |method: &str, _: &Value, result: &mut Value| {
            if method == of && !result.is_null() {
                change(result);
            }
        };
        proxy.always(Trouble::Change(Arc::new(alter)));
    };
    type Alteration = (&'static str, fn(&mut Value), &'static str);
    let refused: [Alteration; 8] = [
        ("eth_getTransactionByHash", |tx| *tx = Value::Null, "the node knows none"),
        ("eth_getTransactionByHash", |tx| tx["blockHash"] = Value::Null, "it waits"),
        (
            "eth_getTransactionByHash",
            |tx| tx["transactionIndex"] = json!("0x0"),
            "transaction 0 of its block has hash",
        ),
        ("eth_getTransactionReceipt", |receipt| *receipt = Value::Null, "no receipt"),
        (
            "eth_getTransactionReceipt",
            |receipt| receipt["blockHash"] = json!(B256::ZERO),
            "instead of its own",
        ),
        (
            "eth_getBlockByHash",
            |block| block["gasUsed"] = json!("0x1"),
            "the header of its block has hash",
        ),
        (
            "eth_getBlockByHash",
            |block| {
                let transactions = block["transactions"].as_array_mut().unwrap();
                if transactions.len() > 1 && transactions[0].is_object() {
                    transactions.swap(0, 1);
                }
            },
            "its transactions have root",
        ),
        (
            "eth_getBlockByHash",
            |block| block["transactions"][0]["type"] = json!("0x7e"),
            "transaction 0 of its block: transaction type 126, expected 0 to 4",
        ),
    ];
    for (method, alter, expected) in refused {
        change(method, alter);
        let run = trace(&[]);
        let message = run.stderr.lines().next().unwrap_or_default();
        assert_eq!((run.code, run.stdout.as_str()), (1, ""), "{method}: {}", run.stderr);
        assert!(message.starts_with("zvm: ") && message.contains(expected), "{message}");
        assert!(message.contains(hash.as_str()), "{message}");
    }
    for (alter, expected) in [
        ((|receipt| receipt["gasUsed"] = json!("0x1")) as fn(&mut Value), "gas used: "),
        (
            |receipt| receipt["status"] = json!("0x0"),
            "status: success here, failure in the receipt",
        ),
        (|receipt| receipt["logs"] = json!([]), "number of logs: 1 here, 0 in the receipt"),
        (|receipt| receipt["logs"][0]["data"] = json!("0x07"), "log 0: "),
    ] {
        change("eth_getTransactionReceipt", alter);
        let run = trace(&["--json"]);
        assert_eq!(run.code, 1, "{}", run.stderr);
        let shown: Value = serde_json::from_str(&run.stdout).unwrap();
        assert_eq!(shown["differences"].as_array().map(Vec::len), Some(1), "{shown}");
        assert!(shown["DIFFERS"].as_str().unwrap().starts_with(expected), "{shown}");
        assert!(shown["hint"].as_str().unwrap().contains("?spec=NAME"), "{shown}");
    }
}

#[test]
fn a_transaction_without_a_signature_is_nobodys_and_those_behind_it_have_their_prestate() {
    let Some(scene) = scene() else { return };
    let (node, sender) = (&scene.node, Address::repeat_byte(0xaa));
    node.set_balance(sender, U256::from(10).pow(U256::from(18)));
    node.call("anvil_impersonateAccount", json!([sender]));
    let unsigned = node.call("eth_sendTransaction", json!([{"from": sender, "to": COUNTER}]));
    let tx = body(TxType::DynamicFee, 2, COUNTER.into()).sign(&key(1));
    let signed =
        node.call("eth_sendRawTransaction", json!([hex::encode_prefixed(tx.encode_2718())]));
    node.mine();
    let place = Place::new();
    let db = format!("fork:{}", node.url);
    let trace = |hash: &Value, state: &str| {
        place.run(["tx", "trace", hash.as_str().unwrap(), "--db", &db, "--state", state, "--json"])
    };
    let run = trace(&unsigned, "auto");
    assert!(run.code == 1 && run.stderr.contains("it has no signature"), "{}", run.stderr);
    assert_eq!(agreed(&trace(&signed, "auto"))["index"], "1");
    let run = trace(&signed, "replay");
    let expected = "transaction 0 of the block (0x";
    assert!(run.code == 1 && run.stderr.contains(expected), "{}", run.stderr);
}

#[test]
fn a_block_may_be_named_if_it_is_the_right_one() {
    let Some(scene) = scene() else { return };
    let place = Place::new();
    let url = &scene.node.url;
    let block = scene.node.call("eth_getBlockByNumber", json!(["latest", false]));
    let own = block["hash"].as_str().unwrap();
    let trace = |db: &str| place.run(["tx", "trace", &scene.hashes[1], "--db", db, "--json"]);
    for good in [
        format!("fork:{url}@1"),
        format!("fork:{url}@2"),
        format!("fork:{url}@{own}"),
        format!("cached(1000):fork:{url}"),
        format!("fork:{url}?hash={own}&verify"),
        format!("fork:{url}?verify"),
    ] {
        agreed(&trace(&good));
    }
    for wrong in [format!("fork:{url}@0"), format!("fork:{url}@earliest")] {
        let run = trace(&wrong);
        assert_eq!(run.code, 1);
        assert!(run.stderr.contains("the transaction is in block 2 (0x"), "{}", run.stderr);
    }
    trace("memory:").fails(2, "--db: memory:: expected fork:URL or fork:FILE");
    let unknown = keccak256("nobody").to_string();
    let db = format!("fork:{url}");
    let run = place.run(["tx", "trace", &unknown, "--db", &db]);
    assert!(run.stderr.contains(&format!("transaction {unknown}: the node knows none")));
    place.run(["tx", "trace", "0x12", "--db", &db]).fails(2, "1 bytes, expected a hash of 32");
}

#[test]
fn a_recorded_transaction_is_traced_without_the_node() {
    let Some(scene) = scene() else { return };
    let place = Place::new();
    let db = format!("fork:{}", scene.node.url);
    let record = |file: &str, index: usize| {
        let hash = scene.hashes[index].as_str();
        place.run([
            "fork", "record", "-o", file, "--proofs", "tx", "trace", hash, "--db", &db, "--json",
        ])
    };
    let live = record("a.fork", 4);
    agreed(&live);
    record("b.fork", 4);
    let bytes = |file: &str| std::fs::read(place.path().join(file)).unwrap();
    assert!(bytes("a.fork") == bytes("b.fork"), "two recordings of the same differ");
    agreed(&record("c.fork", 1));
    for (one, other, both) in [("a.fork", "c.fork", "ac.fork"), ("c.fork", "a.fork", "ca.fork")] {
        let run = place.run(["fork", "merge", one, other, "-o", both]);
        assert_eq!(run.code, 0, "{}", run.stderr);
    }
    assert!(bytes("ac.fork") == bytes("ca.fork"));
    let (url, hashes) = (scene.node.url.clone(), scene.hashes.clone());
    drop(scene);

    let replay = |file: &str, index: usize| {
        place.run(["tx", "trace", &hashes[index], "--db", &format!("fork:{file}"), "--json"])
    };
    let replayed = replay("a.fork", 4);
    assert_eq!((&replayed.stdout, replayed.stderr.as_str()), (&live.stdout, ""));
    agreed(&replay("ac.fork", 4));
    agreed(&replay("ac.fork", 1));
    replay("a.fork", 1).fails(1, &format!("a.fork: not recorded: transaction {}", hashes[1]));
    let run = place.run(["fork", "info", "fork:ac.fork", "--json"]);
    assert_eq!(run.json()["transactions"], 2, "{}", run.stdout);
    let run = place.run(["fork", "verify", "ac.fork", "--json"]);
    assert_eq!(run.json()["unproven"], 0, "{}", run.stdout);
    let run = place.run(["tx", "trace", &hashes[1], "--db", &format!("fork:{url}?timeout=1s")]);
    assert_eq!(run.code, 1, "{}", run.stdout);
}
