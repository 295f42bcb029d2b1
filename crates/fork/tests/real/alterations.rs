//! Single words that a node's answers have otherwise: where answers are verified, each is found and
//! named.

use std::{sync::Arc, time::Instant};

use serde_json::{Value, json};
use zvm_core::{Address, B256, DbError, U256, keccak256};
use zvm_fork::{Opened, Read};

use crate::{
    ALICE, CONTRACT, NOBODY, SLOTS, anvil, code, config, opened,
    support::{Proxy, Trouble},
    word,
};

/// How many words are altered, one at a time.
const ALTERATIONS: u64 = 1000;

/// Fields of a header, as JSON has them, whose last digit can be another.
const HEADER: [&str; 18] = [
    "parentHash",
    "sha3Uncles",
    "miner",
    "stateRoot",
    "transactionsRoot",
    "receiptsRoot",
    "logsBloom",
    "difficulty",
    "gasLimit",
    "gasUsed",
    "timestamp",
    "mixHash",
    "nonce",
    "baseFeePerGas",
    "withdrawalsRoot",
    "excessBlobGas",
    "parentBeaconBlockRoot",
    "requestsHash",
];

/// A number that looks random, and is the same every time.
fn pick(index: u64, what: &str, below: usize) -> usize {
    let hash = keccak256([what.as_bytes(), &index.to_be_bytes()].concat());
    usize::try_from(U256::from_be_bytes(hash.0) % U256::from(below)).unwrap()
}

/// Changes one bit of a string of hexadecimal digits.
fn flip(value: &mut Value, at: usize) {
    let mut digits: Vec<char> = value.as_str().unwrap().chars().skip(2).collect();
    let place = at / 4 % digits.len();
    let old = digits[place].to_digit(16).unwrap();
    digits[place] = char::from_digit(old ^ 1 << (at % 4), 16).unwrap();
    *value = json!(format!("0x{}", digits.iter().collect::<String>()));
}

/// The same of a number, which has no leading zeros.
fn flip_number(value: &mut Value, at: usize) {
    let number: U256 = value.as_str().unwrap().parse().unwrap();
    *value = json!(format!("{:#x}", number ^ U256::ONE << (at % 64)));
}

/// Has one answer in it changed by `change`, and says what the read comes to.
fn altered(
    proxy: &Proxy,
    fork: &Opened,
    method: &'static str,
    read: Read,
    change: impl Fn(&mut Value) + Send + Sync + 'static,
) -> String {
    let alter = move |called: &str, _: &Value, result: &mut Value| {
        if called == method {
            change(result);
        }
    };
    proxy.always(Trouble::Change(Arc::new(alter)));
    let error = fork.db.source().fetch(&[read]).expect_err("nobody has noticed");
    proxy.calm();
    // Code is known by its hash whether or not anything is verified.
    let is_code = matches!((&error, read), (DbError::Remote { .. }, Read::Code(..)));
    assert!(is_code || matches!(error, DbError::Unproven { .. }), "{error:?}");
    error.to_string()
}

#[test]
fn each_of_a_thousand_altered_words_is_found_and_named() {
    let Some(anvil) = anvil() else { return };
    // Others, so that proofs have more than one node.
    for index in 0..64_u64 {
        anvil.set_balance(Address::from_word(keccak256(index.to_be_bytes())), word(1 + index));
    }
    anvil.mine();
    let proxy = Proxy::start(&anvil.url);
    let hash = opened(&proxy.url, "").db.origin().block.hash;
    let more = format!("@{hash}?verify&cache=off");
    let fork = opened(&proxy.url, &more);
    let code_hash = keccak256(code());
    let mut found = [0; 8];
    for index in 0..ALTERATIONS {
        let at = pick(index, "bit", 1 << 20);
        let address = [ALICE, CONTRACT, NOBODY][pick(index, "account", 3)];
        let slot = word(pick(index, "slot", SLOTS as usize) as u64);
        let (account, stored) = (Read::Account(address), Read::Slot(CONTRACT, slot));
        let of_account = |field: &'static str, change: fn(&mut Value, usize)| {
            let change = move |proof: &mut Value| change(&mut proof[field], at);
            altered(&proxy, &fork, "eth_getProof", account, change)
        };
        let kind = (index % 8) as usize;
        let (what, expected) = match kind {
            0 => (of_account("balance", flip_number), format!("{account}: balance ")),
            1 => (of_account("nonce", flip_number), format!("{account}: nonce ")),
            2 => (of_account("codeHash", flip), format!("{account}: code hash ")),
            3 => (of_account("storageHash", flip), format!("{account}: storage root ")),
            4 => {
                let read = Read::Code(code_hash, CONTRACT);
                let what = altered(&proxy, &fork, "eth_getCode", read, move |code| flip(code, at));
                (what, format!("{read}: code with hash "))
            }
            5 => {
                let what = altered(&proxy, &fork, "eth_getProof", stored, move |proof| {
                    flip_number(&mut proof["storageProof"][0]["value"], at);
                });
                (what, format!("{stored}: word "))
            }
            6 => {
                let of_storage = index % 16 == 6;
                let what = altered(&proxy, &fork, "eth_getProof", stored, move |proof| {
                    let nodes = match of_storage {
                        true => &mut proof["storageProof"][0]["proof"],
                        false => &mut proof["accountProof"],
                    };
                    let nodes = nodes.as_array_mut().unwrap();
                    let which = at % nodes.len();
                    flip(&mut nodes[which], at / 7);
                });
                let read = if of_storage { stored } else { Read::Account(CONTRACT) };
                (what, format!("{read}: node "))
            }
            _ => {
                let field = HEADER[pick(index, "field", HEADER.len())];
                let alter = move |method: &str, _: &Value, block: &mut Value| {
                    if method == "eth_getBlockByHash" {
                        match field {
                            "difficulty" | "gasLimit" | "gasUsed" | "timestamp"
                            | "baseFeePerGas" | "excessBlobGas" => {
                                flip_number(&mut block[field], at)
                            }
                            _ => flip(&mut block[field], at),
                        }
                    }
                };
                proxy.always(Trouble::Change(Arc::new(alter)));
                let error = zvm_fork::open(&config(&proxy.url, &more)).map(|_| ());
                let error = error.expect_err(field);
                proxy.calm();
                assert!(matches!(error, DbError::Unproven { .. }), "{error:?}");
                (error.to_string(), "header of block 2: its hash is ".to_owned())
            }
        };
        let told = what.strip_prefix(&proxy.url).unwrap_or(&what);
        assert!(told.contains(&expected), "{index}: {what:?}, expected {expected:?}");
        found[kind] += 1;
    }
    eprintln!(
        "found and named: {} balances, {} nonces, {} code hashes, {} storage roots, {} codes, \
         {} words, {} nodes of proofs, {} fields of headers",
        found[0], found[1], found[2], found[3], found[4], found[5], found[6], found[7]
    );
    // And what is not altered, is believed.
    crate::check(&fork.db).unwrap();
    cost(&proxy.url, hash);
}

/// Prints what it costs to read everything there is, verified and not.
fn cost(url: &str, hash: B256) {
    let mut reads: Vec<_> = (0..SLOTS).map(|slot| Read::Slot(CONTRACT, word(slot))).collect();
    reads.extend([ALICE, CONTRACT, NOBODY].map(Read::Account));
    for (name, verify) in [("unverified", ""), ("verified", "&verify")] {
        let fork = opened(url, &format!("@{hash}?cache=off{verify}"));
        let start = Instant::now();
        fork.db.prefetch(&reads).unwrap();
        let (took, traffic) = (start.elapsed(), fork.traffic.unwrap());
        eprintln!("{name}: {} reads, {traffic}, {took:?}", reads.len());
    }
}
