//! Every command of the binary: what it prints, what it leaves, how it exits.

mod common;

use std::{io::Read, process::Stdio};

use common::{Place, artifact};

const BOB: &str = "0x00000000000000000000000000000000000000b0";
/// The quickest of the official key store tests; its password is `foobartest121`.
const KEYSTORE: &str = r#"{"version": 3, "crypto": {"cipher": "aes-128-ctr",
    "ciphertext": "54ae683c6287fa3d58321f09d56e26d94e58a00d4f90bdd95782ae0e4aab618b",
    "cipherparams": {"iv": "681679cdb125bba9495d068b002816a4"},
    "kdf": "scrypt", "kdfparams": {"dklen": 32, "n": 8192, "r": 8, "p": 1,
        "salt": "c3407f363fce02a66e3c4bf4a8f6b7da1c1f54266cef66381f0625c251c32785"},
    "mac": "dea6bdf22a2f522166ed82808c22a6311e84c355f4bbe100d4260483ff675a46"}}"#;
const SENDER: &str = "0x5a564D0000000000000000000000000000000001";

/// A place with the token deployed, and the token's address.
fn with_token() -> (Place, String) {
    let place = Place::new();
    let run = place.run(["deploy", &artifact("Token"), "Demo", "DMO", "1000", "--json"]);
    let address = run.json()["address"].as_str().unwrap().to_owned();
    (place, address)
}

#[test]
fn run_takes_hex_files_artifacts_and_stdin() {
    let place = Place::new();
    // PUSH1 7, PUSH0, MSTORE, MSIZE, PUSH0, RETURN
    let code = "60075f52595ff3";
    place.write("code.hex", format!("0x{code}\n"));
    let word = format!("0x{:064x}", 7);
    for arguments in [vec!["run", code], vec!["run", "code.hex"], vec!["run", "@code.hex"]] {
        let json = place.run(arguments.iter().chain(&["--json"])).json();
        assert_eq!((&json["status"], &json["output"]), (&"success".into(), &word.as_str().into()));
        assert_eq!(json["gas_used"], 3 + 2 + 3 + 3 + 2 + 2);
    }
    let run = place.run_with_stdin(&["run", "-"], code);
    assert!(run.stdout.contains(&word), "{}", run.stdout);

    // number() of Counter's deployed code
    let counter = artifact("Counter");
    let json = place.run(["run", &counter, "--calldata", "0x8381f58a", "--json"]).json();
    assert_eq!(json["output"], format!("0x{:064x}", 0));
}

#[test]
fn run_answers_for_its_environment() {
    let place = Place::new();
    // CALLVALUE, PUSH0, MSTORE, CALLER, PUSH1 32, MSTORE, MSIZE, PUSH0, RETURN
    let code = "345f523360205259 5ff3".replace(' ', "");
    let json = place.run(["run", &code, "--value", "1.5ether", "--from", BOB, "--json"]).json();
    assert_eq!(json["output"], format!("0x{:064x}{:064x}", 1_500_000_000_000_000_000_u64, 0xb0));

    place.write("pre.json", format!(r#"{{"{BOB}":{{"balance":"0x10","nonce":3}}}}"#));
    // balance of BOB
    let code = "60b0315f52595ff3";
    let json = place.run(["run", code, "--prestate", "pre.json", "--json"]).json();
    assert_eq!(json["output"], format!("0x{:064x}", 16));
}

#[test]
fn run_obeys_the_hard_fork_and_the_gas_limit() {
    let place = Place::new();
    let run = place.run(["run", "5f", "--spec", "paris"]);
    assert_eq!(run.code, 1);
    assert!(run.stdout.contains("halted: undefined opcode 0x5f"), "{}", run.stdout);
    let run = place.run(["run", "5b600056", "--gas", "1000", "--json"]);
    assert_eq!(run.code, 1);
    let json: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!((&json["status"], &json["reason"]), (&"halt".into(), &"out of gas".into()));
    assert_eq!(json["gas_used"], 1000);
}

#[test]
fn traces_are_json_lines_beside_the_result() {
    let place = Place::new();
    let run = place.run(["run", "600100", "--trace"]);
    let lines: Vec<serde_json::Value> =
        run.stderr.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 3);
    assert_eq!((&lines[0]["pc"], &lines[0]["opName"]), (&0.into(), &"PUSH1".into()));

    let arguments = ["run", "600100", "--trace=t.jsonl", "--call-tree", "--profile", "p.svg"];
    let run = place.run(arguments);
    assert_eq!((run.code, run.stderr.as_str()), (0, ""));
    assert!(run.stdout.contains("CALL 0x"), "{}", run.stdout);
    assert_eq!(std::fs::read_to_string(place.path().join("t.jsonl")).unwrap().lines().count(), 3);
    assert!(std::fs::read_to_string(place.path().join("p.svg")).unwrap().contains("<svg"));
}

#[test]
fn contracts_stay_in_the_database() {
    let (place, token) = with_token();
    let balance = |holder: &str| {
        let run = place.run(["call", &token, "balanceOf(address)(uint256)", holder, "--json"]);
        run.json()["result"][0].as_str().unwrap().to_owned()
    };
    assert_eq!(balance(SENDER), "1000");

    let abi = artifact("Token");
    let sent = place.run(["send", &token, "transfer", BOB, "7", "--abi", &abi, "--json"]).json();
    assert_eq!(sent["result"], serde_json::json!([true]));
    assert_eq!(sent["logs"][0]["event"]["name"], "Transfer");
    assert_eq!(sent["logs"][0]["event"]["args"]["value"], "7");
    assert_eq!((balance(SENDER), balance(BOB)), ("993".to_owned(), "7".to_owned()));

    // A call changes nothing.
    place.run(["call", &token, "transfer(address,uint256)(bool)", BOB, "7"]);
    assert_eq!(balance(BOB), "7");
}

#[test]
fn the_past_answers_calls_and_reads() {
    let (place, token) = with_token();
    let abi = artifact("Token");
    let sent = place.run(["send", &token, "transfer", BOB, "7", "--abi", &abi, "--json"]).json();
    let block: u64 = sent["block"].as_str().unwrap().parse().unwrap();
    let before = (block - 1).to_string();
    let bob = ["call", &token, "balanceOf(address)(uint256)", BOB, "--json"];
    let balance = |at: &[&str]| {
        place.run([&bob[..], at].concat()).json()["result"][0].as_str().unwrap().to_owned()
    };
    assert_eq!((balance(&[]), balance(&["--at", &before])), ("7".to_owned(), "0".to_owned()));

    let nonce =
        |at: &str| place.run(["account", SENDER, "--at", at, "--json"]).json()["nonce"].clone();
    assert_eq!((nonce("0"), nonce(&before)), (0.into(), 1.into()));

    let later = (block + 1).to_string();
    let run = place.run([&bob[..], &["--at", &later]].concat());
    assert_eq!(run.code, 1);
    assert!(run.stderr.contains(&format!("no state of block {later}")), "{}", run.stderr);
    let run = place.run(["storage", &token, "--at", &before]);
    assert!(run.code == 2 && run.stderr.contains("name a slot"), "{}", run.stderr);
}

#[test]
fn reasons_are_read_by_convention_and_by_abi() {
    let (place, token) = with_token();
    let signature = "transfer(address,uint256)";
    let run = place.run(["call", &token, signature, BOB, "7", "--from", BOB]);
    assert_eq!(run.code, 1);
    assert!(run.stdout.contains("reverted: custom error 0xe450d38c"), "{}", run.stdout);
    let abi = artifact("Token");
    let run = place.run(["call", &token, signature, BOB, "7", "--from", BOB, "--abi", &abi]);
    assert!(run.stdout.contains("ERC20InsufficientBalance(sender: 0x"), "{}", run.stdout);
    assert!(run.stdout.contains("balance: 0, needed: 7)"), "{}", run.stdout);
    let run = place.run(["call", &token, "mint(address,uint256)", BOB, "7", "--from", BOB]);
    assert!(run.stdout.contains("reverted: only the owner mints"), "{}", run.stdout);

    let failures = place.run(["deploy", &artifact("Failures"), "--json"]).json();
    let failures = failures["address"].as_str().unwrap();
    let run = place.run(["call", failures, "panicDivision(uint256,uint256)", "1", "0"]);
    assert!(run.stdout.contains("panic 0x12: division or modulo by zero"), "{}", run.stdout);
    let run = place.run(["call", failures, "invalidOpcode()"]);
    assert!(run.stdout.contains("halted: invalid opcode"), "{}", run.stdout);
}

#[test]
fn every_kind_of_value_goes_in_and_out() {
    let place = Place::new();
    let failures = artifact("Failures");
    let deployed = place.run(["deploy", &failures, "--json"]).json();
    let to = deployed["address"].as_str().unwrap();
    let arguments =
        ["call", to, "echo", "true", "-5", "0xbeef", "hé llo", "[1,2,3]", "--abi", &failures];
    let json = place.run(arguments.iter().chain(&["--json"])).json();
    let expected = serde_json::json!([true, "-5", "0xbeef", "hé llo", ["1", "2", "3"]]);
    assert_eq!(json["result"], expected);
    let run = place.run(arguments);
    assert!(run.stdout.contains("\"hé llo\""), "{}", run.stdout);
    assert!(run.stdout.contains("[1, 2, 3]"), "{}", run.stdout);
}

#[test]
fn silence_is_no_answer() {
    let (place, _) = with_token();
    let arguments = ["call", BOB, "balanceOf(address)(uint256)", BOB];
    let run = place.run(arguments);
    assert_eq!(run.code, 1);
    assert!(run.stdout.contains("is there a contract?"), "{}", run.stdout);
    let run = place.run(arguments.iter().chain(&["--json"]));
    let json: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!((run.code, &json["status"]), (1, &"success".into()));
    assert!(json["result_error"].is_string() && json.get("result").is_none(), "{json}");
}

#[test]
fn constructors_take_value_and_arguments() {
    let place = Place::new();
    assert_eq!(place.run(["account", SENDER, "--set-balance", "10"]).code, 0);
    let counter = artifact("Counter");
    let json = place.run(["deploy", &counter, "9", "--value", "4", "--json"]).json();
    let address = json["address"].as_str().unwrap();
    let json = place.run(["account", address, "--json"]).json();
    assert_eq!((&json["balance"], &json["nonce"]), (&"4".into(), &1.into()));
    assert_eq!(place.run(["storage", address, "0", "--json"]).json(), "0x9");
    assert_eq!(place.run(["storage", address, "--json"]).json(), serde_json::json!({"0x0": "0x9"}));
    let run = place.run(["storage", address]);
    assert_eq!(run.stdout, format!("0x{:064x} 0x{:064x}\n", 0, 9));
}

#[test]
fn absent_accounts_are_said_to_be_absent() {
    let (place, _) = with_token();
    let run = place.run(["account", BOB]);
    assert!(run.stdout.contains("does not exist"), "{}", run.stdout);
    assert_eq!(place.run(["account", BOB, "--json"]).json()["exists"], false);
}

#[test]
fn disasm_shows_places_immediates_and_jumps() {
    let place = Place::new();
    let run = place.run(["disasm", "600456fe5b6009565f61ff"]);
    let expected = "\
0x0000  PUSH1 0x04                -> 0x0004
0x0002  JUMP
0x0003  INVALID
0x0004  JUMPDEST
0x0005  PUSH1 0x09                -> 0x0009, which is no JUMPDEST
0x0007  JUMP
0x0008  PUSH0
0x0009  PUSH2 0xff (truncated)
";
    assert_eq!(run.stdout, expected);
    let run = place.run(["disasm", "5f", "--spec", "Paris"]);
    assert_eq!(run.stdout, "0x0000  UNDEFINED(0x5f)\n");
    let json = place.run(["disasm", "6001", "--json"]).json();
    assert_eq!((&json["name"], &json["immediate"]), (&"PUSH1".into(), &"0x01".into()));
}

/// One transfer as a state test that expects `root`.
fn state_test(root: zvm::B256) -> String {
    serde_json::json!({ "transfer": {
        "env": {
            "currentCoinbase": "0x00000000000000000000000000000000000000c0",
            "currentGasLimit": "0x1000000",
            "currentNumber": "0x1",
            "currentTimestamp": "0x1",
            "currentBaseFee": "0x1",
            "currentRandom": format!("0x{:064x}", 0),
            "currentExcessBlobGas": "0x0",
        },
        "pre": { BOB: { "balance": "0x100000", "nonce": "0x0", "code": "0x", "storage": {} } },
        "transaction": {
            "sender": BOB,
            "secretKey": format!("0x{:064x}", 1),
            "nonce": "0x0",
            "gasPrice": "0xa",
            "gasLimit": ["0x5208"],
            "to": SENDER,
            "value": ["0x3"],
            "data": ["0x"],
        },
        "post": { "Cancun": [{
            "indexes": { "data": 0, "gas": 0, "value": 0 },
            "hash": root,
            "logs": zvm::keccak256([0xc0]),
        }] },
    }})
    .to_string()
}

#[test]
fn statetest_counts_what_passes_and_what_fails() {
    use zvm::{BlockEnv, SpecId, Transaction, U256, Zvm, address};

    let bob = BOB.parse().unwrap();
    let beneficiary = address!("00000000000000000000000000000000000000c0");
    let block = BlockEnv { beneficiary, base_fee: 1, ..BlockEnv::default() };
    let mut engine = Zvm::builder().spec(SpecId::CANCUN).block(block).build().unwrap();
    engine.set_balance(bob, U256::from(0x10_0000)).unwrap();
    let tx = Transaction {
        sender: bob,
        to: zvm::DEFAULT_SENDER.into(),
        value: U256::from(3),
        gas_price: U256::from(10),
        ..Transaction::default()
    };
    engine.execute(&tx).unwrap();

    let place = Place::new();
    place.write("good.json", state_test(engine.state_root().unwrap()));
    let run = place.run(["statetest", "--json", "good.json"]);
    let last = r#"{"suite":"state","passed":1,"failed":0,"skipped":0}"#;
    assert_eq!(run.stdout.lines().last(), Some(last), "{}{}", run.stdout, run.stderr);
    assert_eq!(run.code, 0);

    place.write("bad.json", state_test(zvm::B256::ZERO));
    let run = place.run(["statetest", "--json", "good.json", "bad.json"]);
    let last = r#"{"suite":"state","passed":1,"failed":1,"skipped":0}"#;
    assert_eq!((run.code, run.stdout.lines().last()), (1, Some(last)), "{}", run.stderr);
}

#[test]
fn demo_deploys_transfers_and_reads_back() {
    let place = Place::new();
    let run = place.run(["demo", "--db", "file:./state", "--profile", "flame.svg"]);
    assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{}", run.stdout);
    for text in [
        "event",
        "Transfer(",
        "999750 units",
        "250 units",
        "state root",
        "0 units",
        "verified",
        "flame.svg",
    ] {
        assert!(run.stdout.contains(text), "{text}\n{}", run.stdout);
    }
    assert!(std::fs::read_to_string(place.path().join("flame.svg")).unwrap().contains("Token"));
    // The line it ends with works.
    let next = run.stdout.lines().last().unwrap().trim().replace('\'', "");
    let run = place.run(next.split(' ').skip(1));
    assert!(run.stdout.contains("250"), "{}{}", run.stdout, run.stderr);
}

#[test]
fn completions_name_the_commands() {
    let place = Place::new();
    for shell in ["bash", "zsh", "fish"] {
        let run = place.run(["completions", shell]);
        assert_eq!(run.code, 0);
        assert!(run.stdout.contains("disasm"), "{shell}");
    }
}

#[test]
fn closed_pipe_ends_quietly() {
    let place = Place::new();
    place.write("long.hex", "5b".repeat(1_000_000));
    let mut command = place.command();
    command.args(["disasm", "long.hex"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut first = [0; 16];
    child.stdout.take().unwrap().read_exact(&mut first).unwrap();
    let mut stderr = String::new();
    child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    assert_eq!((child.wait().unwrap().code(), stderr.as_str()), (Some(0), ""));
}

#[test]
fn nothing_is_coloured_in_a_pipe() {
    let (place, token) = with_token();
    for run in [place.run(["account", &token]), place.run(["--help"]), place.run(["wat"])] {
        assert!(!run.stdout.contains('\x1b') && !run.stderr.contains('\x1b'));
    }
}

#[test]
fn a_transaction_is_signed_and_read_back() {
    let place = Place::new();
    place.write("key", "46".repeat(32));
    // The example of EIP-155.
    let transaction = r#"{"chainId": "0x1", "nonce": "0x9", "gasPrice": "0x4a817c800",
        "gas": "0x5208", "to": "0x3535353535353535353535353535353535353535",
        "value": "0xde0b6b3a7640000"}"#;
    place.write("tx.json", transaction);
    let signed = place.run(["tx", "sign", "tx.json", "--key-file", "key"]);
    let raw = "0xf86c098504a817c800825208943535353535353535353535353535353535353535880de0b6b3a764\
               00008025a028ef61340bd939bc2195fe537567866003e1a15d3c71ff63e1590620aa636276a067cbe9\
               d8997f761aecb703304b3800ccf555c9f3dc64214b297fb1966a3b6d83";
    assert_eq!((signed.code, signed.stdout.trim()), (0, raw), "{}", signed.stderr);
    let decoded = place.run(["tx", "decode", raw, "--json"]).json();
    assert_eq!(decoded["from"], "0x9d8a62f656a8d1615c1294fd71e9cfb3e4855a4f");
    assert_eq!(decoded["nonce"], "0x9");
    place.run(["tx", "decode", &raw[..raw.len() - 2]]).fails(2, "transaction at byte 0: needs");
    place.run(["tx", "decode", "0x05c0"]).fails(2, "envelope of type 0x05");
}

#[test]
fn a_key_comes_from_a_keystore_and_is_never_shown() {
    let place = Place::new();
    place.write("tx.json", r#"{"gasPrice": "0x1", "gas": "0x5208"}"#);
    place.write("key", "46".repeat(31));
    let sign = |more: &[&str]| {
        place.run([["tx", "sign", "tx.json", "--key-file", "key"].as_slice(), more].concat())
    };
    sign(&[]).fails(2, "key: not a key: expected 64 hex digits");
    place.write("key", KEYSTORE);
    sign(&[]).fails(2, "--password-file or --password-env gives it");
    place.write("password", "foobartest121\n");
    let run = sign(&["--password-file", "password"]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    place.write("password", "foobartest122\n");
    sign(&["--password-file", "password"]).fails(2, "wrong password");
}

/// Accounts, environment and transactions for `t8n`: a sender, a contract that keeps the hash of
/// block 4, and twice the same call of it.
fn t8n_input(block_hashes: &str) -> String {
    let call = r#"{"secretKey": "0x45a915e4d060149eb4365960e6a7a45f334393093061116b197e3240065ff2d8",
        "nonce": "0x0", "gas": "0x186a0", "gasPrice": "0x3b9aca00", "value": "0x0", "input": "0x",
        "to": "0x0000000000000000000000000000000000001000"}"#;
    format!(
        r#"{{"alloc": {{
            "0xa94f5374fce5edbc8e2a8697c15331677e6ebf0b": {{"balance": "0xde0b6b3a7640000"}},
            "0x0000000000000000000000000000000000001000": {{"balance": "0x0", "code": "0x600440600055"}}
        }}, "env": {{"currentCoinbase": "0xc0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0",
            "currentGasLimit": "0x1c9c380", "currentNumber": "5", "currentTimestamp": "1000",
            "currentDifficulty": "0x20000", "currentBaseFee": "0x7", "blockHashes": {{{block_hashes}}}}},
        "txs": [{call}, {call}]}}"#
    )
}

#[test]
fn a_block_is_executed_on_a_state_that_is_given_whole() {
    let place = Place::new();
    let hash = "44".repeat(32);
    let arguments = [
        "t8n",
        "--input.alloc=stdin",
        "--input.env=stdin",
        "--input.txs=stdin",
        "--output.alloc=stdout",
        "--output.body=body.rlp",
        "--output.basedir=out",
        "--state.fork=London",
        "--state.reward=2000000000000000000",
        "--trace",
    ];
    let input = t8n_input(&format!(r#""4": "0x{hash}""#));
    let accounts = place.run_with_stdin(&arguments, &input).json();
    let contract = &accounts["alloc"]["0x0000000000000000000000000000000000001000"];
    assert_eq!(contract["storage"][format!("0x{}", "0".repeat(64))], format!("0x{hash}"));
    let file = |name: &str| std::fs::read_to_string(place.path().join("out").join(name)).unwrap();
    let result: serde_json::Value = serde_json::from_str(&file("result.json")).unwrap();
    assert_eq!(result["receipts"][0]["status"], "0x1");
    assert_eq!(result["receipts"].as_array().unwrap().len(), 1);
    assert_eq!(result["rejected"][0]["index"], 1);
    assert_eq!(result["currentBaseFee"], "0x7");
    let hash = result["receipts"][0]["transactionHash"].as_str().unwrap();
    assert!(file(&format!("trace-0-{hash}.jsonl")).lines().count() > 5);
    // What is in the block goes in again, as RLP.
    place.write("in.json", input);
    let body = file("body.rlp");
    let whole: serde_json::Value =
        serde_json::from_slice(&std::fs::read(place.path().join("in.json")).unwrap()).unwrap();
    let again = serde_json::json!({"alloc": whole["alloc"], "env": whole["env"],
        "txsRlp": serde_json::from_str::<serde_json::Value>(&body).unwrap()});
    let arguments =
        [&arguments[..4], &["--output.alloc=", "--output.result=stdout"], &arguments[7..9]];
    let run = place.run_with_stdin(&arguments.concat(), &again.to_string());
    assert_eq!(run.json()["result"]["stateRoot"], result["stateRoot"]);
}

#[test]
fn t8n_traces_show_what_is_asked_for() {
    let place = Place::new();
    let input = t8n_input(&format!(r#""4": "0x{}""#, "44".repeat(32)));
    let arguments = ["t8n", "--input.alloc=stdin", "--input.env=stdin", "--input.txs=stdin"];
    let first = |shows: &[&str]| {
        let rules = ["--output.basedir=out", "--state.fork=London", "--trace"];
        let run = place.run_with_stdin(&[&arguments[..], &rules, shows].concat(), &input);
        assert_eq!((run.code, run.stderr.as_str()), (0, ""));
        let mut files = std::fs::read_dir(place.path().join("out")).unwrap();
        let trace = files.find_map(|file| {
            let path = file.unwrap().path();
            path.file_name()?
                .to_str()?
                .starts_with("trace-0-")
                .then(|| std::fs::read_to_string(path).unwrap())
        });
        let trace = trace.unwrap();
        let step: serde_json::Value = serde_json::from_str(trace.lines().nth(1).unwrap()).unwrap();
        (step["stack"].clone(), step.get("memory").is_some(), step.get("returnData").is_some())
    };
    let stack = serde_json::json!(["0x4"]);
    let null = serde_json::Value::Null;
    assert_eq!(first(&[]), (stack.clone(), false, false));
    assert_eq!(first(&["--trace.memory", "--trace.returndata"]), (stack.clone(), true, true));
    assert_eq!(first(&["--trace.nostack"]), (null, false, false));
    let twice =
        ["--trace.memory", "--trace.nomemory", "--trace.returndata", "--trace.noreturndata"];
    assert_eq!(first(&twice), (stack.clone(), false, false));
    let twice = ["--trace.nomemory", "--trace.memory"];
    assert_eq!(first(&twice), (stack, true, false));
}

#[test]
fn t8n_takes_blob_parameters_in_place_of_those_of_the_fork() {
    let place = Place::new();
    let mut input: serde_json::Value = serde_json::from_str(&t8n_input("")).unwrap();
    input["txs"] = serde_json::json!([]);
    for (field, value) in [
        ("currentRandom", "0x0"),
        ("parentBeaconBlockRoot", &format!("0x{}", "00".repeat(32))),
        ("parentExcessBlobGas", "0x0"),
        ("parentBlobGasUsed", "0xc0000"),
        ("parentBaseFee", "0x7"),
    ] {
        input["env"][field] = value.into();
    }
    input["env"]["withdrawals"] = serde_json::json!([]);
    let excess = |more: &[&str], input: &serde_json::Value| {
        let arguments = ["t8n", "--input.alloc=stdin", "--input.env=stdin", "--input.txs=stdin"];
        let outputs = ["--output.alloc=", "--output.result=stdout", "--state.fork=Cancun"];
        let arguments = [&arguments[..], &outputs, more].concat();
        let run = place.run_with_stdin(&arguments, &input.to_string());
        match run.code {
            0 => Ok(run.json()["result"]["currentExcessBlobGas"].clone()),
            code => Err(code),
        }
    };
    // Six blobs: three above the target of Cancun, one above that which is given.
    assert_eq!(excess(&[], &input), Ok("0x60000".into()));
    let params =
        serde_json::json!({"target": "0x5", "max": 10, "baseFeeUpdateFraction": "0x32f0ed"});
    place.write("blobs.json", params.to_string());
    assert_eq!(excess(&["--input.blobParams=blobs.json"], &input), Ok("0x20000".into()));
    assert_eq!(excess(&["--input.blobParams=stdin"], &input), Err(10));
    input["blobParams"] = params;
    assert_eq!(excess(&["--input.blobParams=stdin"], &input), Ok("0x20000".into()));
    place.write("blobs.json", r#"{"target": 5}"#);
    assert_eq!(excess(&["--input.blobParams=blobs.json"], &input), Err(10));
}

#[test]
fn t8n_fails_with_the_codes_of_its_makers() {
    let place = Place::new();
    let run = |fork: &str, input: &str| {
        let fork = format!("--state.fork={fork}");
        let arguments = ["t8n", "--input.alloc=stdin", "--input.env=stdin", "--input.txs=stdin"];
        let run = place.run_with_stdin(&[&arguments[..], &[&fork]].concat(), input);
        assert!(run.stderr.starts_with(&format!("ERROR({}): ", run.code)), "{}", run.stderr);
        run.code
    };
    assert_eq!(run("Atlantis", &t8n_input("")), 3);
    assert_eq!(run("London", &t8n_input("")), 4);
    assert_eq!(run("London", "{}"), 10);
    assert_eq!(run("London", &t8n_input("").replace("0x1c9c380", "much")), 10);
    let missing = place.run(["t8n", "--input.alloc=none.json"]);
    assert_eq!(missing.code, 11, "{}", missing.stderr);
}
