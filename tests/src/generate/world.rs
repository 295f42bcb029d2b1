//! The accounts of a program and their addresses.

use zvm_core::{Address, B256, SpecId, TxKind, U256, keccak256};

use super::{body, words};
use crate::{Actor, Code, Op, Program, Rng};

/// Addresses that code and transactions speak of.
#[derive(Debug)]
pub(super) struct Places {
    pub(super) spec: SpecId,
    pub(super) sender: Address,
    /// Accounts with code. The first is what transactions call.
    pub(super) contracts: Vec<Address>,
    /// An account with a balance and nothing else.
    pub(super) rich: Address,
    /// Accounts with EIP-7702 delegations; none before Prague.
    pub(super) delegated: Vec<Address>,
    pub(super) beneficiary: Address,
}

const SENDER: Address = Address::with_last_byte(0xaa);
const RICH: Address = Address::with_last_byte(0xbb);
/// An account that is in the state and empty, as there were before EIP-161.
const EMPTY: Address = Address::with_last_byte(0xee);
/// An account that is not in the state.
const ABSENT: Address = Address::with_last_byte(0xab);

/// EIP-7951.
const P256VERIFY: Address = zvm_core::address!("0000000000000000000000000000000000000100");

impl Places {
    /// An address worth calling, reading or paying.
    pub(super) fn any(&self, rng: &mut Rng) -> Address {
        match rng.below(20) {
            0..=9 => rng.pick(&self.contracts),
            10 => self.sender,
            11 => self.rich,
            12 => EMPTY,
            13 => ABSENT,
            14 => self.beneficiary,
            15..=16 if !self.delegated.is_empty() => rng.pick(&self.delegated),
            _ => self.precompile(rng),
        }
    }

    /// A precompile of this hard fork, or sometimes the next address.
    pub(super) fn precompile(&self, rng: &mut Rng) -> Address {
        let last = match self.spec {
            spec if spec.has(SpecId::PRAGUE) => 0x11,
            spec if spec.has(SpecId::CANCUN) => 0x0a,
            spec if spec.has(SpecId::ISTANBUL) => 9,
            spec if spec.has(SpecId::BYZANTIUM) => 8,
            _ => 4,
        };
        if self.spec.has(SpecId::OSAKA) && rng.chance(7) {
            return P256VERIFY;
        }
        // The cheap ones more often: pairings take most of a run's time and find little here.
        if rng.chance(60) {
            return Address::with_last_byte(rng.pick(&[1, 2, 3, 4, 4]));
        }
        Address::with_last_byte(rng.range(1, last + 1) as u8)
    }
}

/// Fills the block and the accounts of `program`.
pub(super) fn furnish(rng: &mut Rng, program: &mut Program) -> Places {
    let spec = program.spec;
    let count = rng.range(1, 4) as u8;
    let contracts: Vec<_> = (0..count).map(|i| Address::with_last_byte(0xc0 + i)).collect();
    let delegated = match spec.has(SpecId::PRAGUE) {
        true => (0..rng.range(1, 3) as u8).map(|i| Address::with_last_byte(0xd0 + i)).collect(),
        false => Vec::new(),
    };
    let beneficiary = match rng.below(10) {
        0 => SENDER,
        1 => contracts[0],
        2 => EMPTY,
        3 => RICH,
        _ => Address::with_last_byte(0xcb),
    };
    let places = Places { spec, sender: SENDER, contracts, rich: RICH, delegated, beneficiary };
    fill_block(rng, program, beneficiary);
    fill_accounts(rng, program, &places);
    places
}

fn fill_block(rng: &mut Rng, program: &mut Program, beneficiary: Address) {
    let spec = program.spec;
    let block = &mut program.block;
    block.beneficiary = beneficiary;
    block.number = rng.pick(&[1, 3, 255, 256, 257, 1_000, 20_000_000]);
    block.timestamp = rng.range(1, 2_000_000_000);
    block.gas_limit = 30_000_000;
    block.difficulty = words::word(rng);
    block.prevrandao = B256::from(words::word(rng));
    if spec.has(SpecId::LONDON) {
        block.base_fee = rng.pick(&[0, 1, 7, 1_000]);
    }
    if spec.has(SpecId::CANCUN) {
        block.excess_blob_gas = rng.pick(&[0, 0, 393_216, 10_000_000, 50_000_000]);
    }
}

fn fill_accounts(rng: &mut Rng, program: &mut Program, places: &Places) {
    let ether = U256::from(10).pow(U256::from(18));
    let nonce = rng.pick(&[0, 0, 1, 5, 200]);
    let mut actors = std::mem::take(&mut program.actors);
    actors.insert(SENDER, Actor { nonce, balance: ether, ..Actor::default() });
    actors.insert(RICH, Actor { balance: U256::from(rng.range(1, 1_000)), ..Actor::default() });
    if rng.chance(50) {
        actors.insert(EMPTY, Actor::default());
    }
    if rng.chance(10) {
        // Touching these and failing is the one thing EIP-161's clearing does differently (0x03).
        let at = Address::with_last_byte(rng.range(1, 4) as u8);
        actors.insert(at, Actor::default());
    }
    for (i, &at) in places.contracts.iter().enumerate() {
        let code = body::contract(rng, places);
        // Storage without code and nonce cannot come about, and the peer has no EIP-7610.
        let mut actor = Actor { nonce: 1, code, ..Actor::default() };
        if i > 0 && rng.chance(10) {
            actor.nonce = rng.pick(&[0, u64::MAX - 1, u64::MAX]);
        }
        if rng.chance(60) {
            actor.balance = U256::from(rng.below(1_000));
        }
        for _ in 0..rng.below(5) {
            let word = words::stored(rng);
            if !word.is_zero() {
                actor.storage.insert(words::key(rng), word);
            }
        }
        actors.insert(at, actor);
    }
    for &at in &places.delegated {
        let to = places.any(rng);
        let mut code = vec![0xef, 0x01, 0x00];
        code.extend(to);
        let code = Code { ops: vec![Op::Bytes(code)], parts: Vec::new() };
        let mut actor = Actor { nonce: rng.range(1, 3), code, ..Actor::default() };
        actor.balance = U256::from(rng.below(100));
        if rng.chance(50) {
            actor.storage.insert(U256::from(rng.below(3)), U256::from(rng.range(1, 3)));
        }
        actors.insert(at, actor);
    }
    if rng.chance(5) {
        squat(rng, &mut actors, places);
    }
    program.actors = actors;
}

/// Puts something where a creation will want to go.
fn squat(rng: &mut Rng, actors: &mut std::collections::BTreeMap<Address, Actor>, places: &Places) {
    let creator = if rng.chance(30) { places.sender } else { rng.pick(&places.contracts) };
    let nonce = actors[&creator].nonce;
    let mut actor = Actor::default();
    match rng.below(3) {
        0 => actor.nonce = 1,
        1 => actor.code.ops.push(Op::Plain(zvm_evm::opcode::STOP)),
        _ => actor.balance = U256::from(5),
    }
    actors.insert(created_by(creator, nonce), actor);
}

/// Where `creator` puts a contract with `nonce`: keccak-256 of `rlp([creator, nonce])`.
fn created_by(creator: Address, nonce: u64) -> Address {
    let bytes: Vec<u8> = nonce.to_be_bytes().into_iter().skip_while(|byte| *byte == 0).collect();
    let mut list = vec![0x94];
    list.extend(creator);
    match bytes.as_slice() {
        [single] if *single < 0x80 => list.push(*single),
        _ => {
            list.push(0x80 + bytes.len() as u8);
            list.extend(&bytes);
        }
    }
    let mut rlp = vec![0xc0 + list.len() as u8];
    rlp.extend(list);
    Address::from_word(keccak256(rlp))
}

/// Whom a transaction calls.
pub(super) fn callee(rng: &mut Rng, places: &Places) -> TxKind {
    match rng.below(100) {
        0..=77 => TxKind::Call(places.contracts[0]),
        78..=87 => TxKind::Create,
        _ => TxKind::Call(places.any(rng)),
    }
}
