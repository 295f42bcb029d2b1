//! Forks of a real node, anvil, with a proxy before it that makes trouble.

mod alterations;
mod compliance;
mod faults;
mod node;
mod open;
#[path = "../support/mod.rs"]
mod support;
mod ways;

use support::Anvil;
use zvm_core::{Address, Bytes, Database, U256, keccak256};
use zvm_fork::{ForkDb, Opened};
use zvm_state::{DatabaseConfig, ForkConfig};

/// Slots of the contract that tests read.
const SLOTS: u64 = 60;

fn word(value: u64) -> U256 {
    U256::from(value)
}

/// What a slot of the contract holds: something at each third, otherwise nothing.
fn held(slot: u64) -> U256 {
    if slot.is_multiple_of(3) {
        U256::from_be_bytes(keccak256(slot.to_be_bytes()).0)
    } else {
        U256::ZERO
    }
}

const ALICE: Address = Address::repeat_byte(0xa1);
const CONTRACT: Address = Address::repeat_byte(0xc0);
const NOBODY: Address = Address::repeat_byte(0x99);

fn code() -> Bytes {
    Bytes::from_static(&[0x60, 0x01, 0x60, 0x02, 0x01, 0x00])
}

/// A node with a rich account and a contract, at block 1.
fn anvil() -> Option<Anvil> {
    let anvil = Anvil::start(&[])?;
    anvil.set_balance(ALICE, word(5));
    anvil.set_nonce(ALICE, 7);
    anvil.set_code(CONTRACT, &code());
    for slot in 0..SLOTS {
        if !held(slot).is_zero() {
            anvil.set_storage(CONTRACT, word(slot), held(slot));
        }
    }
    assert_eq!(anvil.mine(), 1);
    Some(anvil)
}

/// The configuration `fork:URL` with more behind it.
fn config(url: &str, more: &str) -> ForkConfig {
    let text = format!("fork:{url}{more}");
    match text.parse() {
        Ok(DatabaseConfig::Fork(config)) => *config,
        other => panic!("{text}: {other:?}"),
    }
}

fn opened(url: &str, more: &str) -> Opened {
    zvm_fork::open(&config(url, more)).unwrap_or_else(|error| panic!("{error}"))
}

fn fork(url: &str, more: &str) -> ForkDb {
    opened(url, more).db
}

/// Compares all that is known of the node with what the fork says.
fn check(db: &dyn Database) -> Result<(), zvm_core::DbError> {
    let alice = db.account(ALICE)?.expect("she is there");
    assert_eq!((alice.balance, alice.nonce, alice.has_code()), (word(5), 7, false));
    assert_eq!(db.account(NOBODY)?, None);
    let contract = db.account(CONTRACT)?.expect("it is there");
    assert_eq!(contract.code_hash, keccak256(code()));
    assert_eq!(db.code(contract.code_hash)?, code());
    for slot in 0..SLOTS {
        assert_eq!(db.storage(CONTRACT, word(slot))?, held(slot), "slot {slot}");
    }
    Ok(())
}
