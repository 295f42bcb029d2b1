//! The transaction of a program: every envelope its hard fork has, and now and then a broken rule.

use zvm_core::{
    AccessListItem, Address, Authorization, B256, SignedAuthorization, SpecId, TxKind, TxType, U256,
};

use super::{body, words, world, world::Places};
use crate::{Program, Rng};

/// Fills the transaction of `program`.
pub(super) fn send(rng: &mut Rng, program: &mut Program, places: &Places) {
    let spec = program.spec;
    let nonce = program.actors[&places.sender].nonce;
    let base_fee = program.block.base_fee;
    let tx = &mut program.tx;
    tx.sender = places.sender;
    tx.nonce = nonce;
    tx.tx_type = envelope(rng, spec);
    tx.to = world::callee(rng, places);
    tx.chain_id = (tx.tx_type != TxType::Legacy || rng.chance(50)).then_some(1);
    if rng.chance(25) {
        tx.value = U256::from(rng.below(1_000));
    }
    tx.gas_price = U256::from(base_fee + rng.pick(&[0, 0, 1, 10, 1_000]));
    if tx.tx_type >= TxType::AccessList {
        tx.access_list = access_list(rng, places);
    }
    if tx.tx_type >= TxType::DynamicFee {
        tx.max_priority_fee = U256::from(rng.below(1_000)).min(tx.gas_price);
    }
    // No encoding has a blob or set-code transaction that creates, so the peer does not look.
    if tx.tx_type >= TxType::Blob && tx.to == TxKind::Create {
        tx.to = TxKind::Call(places.contracts[0]);
    }
    if tx.tx_type == TxType::Blob {
        for i in 0..rng.range(1, 6) {
            let mut hash = B256::from(U256::from(i));
            hash[0] = 1;
            tx.blob_hashes.push(hash);
        }
        tx.max_fee_per_blob_gas = U256::from(1_u64 << 40);
    }
    if tx.tx_type == TxType::SetCode {
        for _ in 0..rng.range(1, 4) {
            tx.authorizations.push(authorization(rng, places, nonce));
        }
    }
    match tx.to {
        TxKind::Create => program.initcode = body::initcode(rng, places, 0),
        TxKind::Call(_) => tx.data = calldata(rng).into(),
    }
    let intrinsic = intrinsic_gas(program);
    program.tx.gas_limit = intrinsic + budget(rng);
    // One broken rule at a time: which of two is named is nobody's promise.
    if rng.chance(4) && is_known(program) {
        break_a_rule(rng, program, places, intrinsic);
    }
}

/// An envelope of `spec`, seldom one of a later hard fork.
fn envelope(rng: &mut Rng, spec: SpecId) -> TxType {
    let (tx_type, since) = rng.pick(&ENVELOPES);
    if rng.chance(50) && spec.has(since) || rng.chance(1) { tx_type } else { TxType::Legacy }
}

/// Envelopes and the hard forks they came with.
const ENVELOPES: [(TxType, SpecId); 4] = [
    (TxType::AccessList, SpecId::BERLIN),
    (TxType::DynamicFee, SpecId::LONDON),
    (TxType::Blob, SpecId::CANCUN),
    (TxType::SetCode, SpecId::PRAGUE),
];

/// Whether the envelope is part of the hard fork.
fn is_known(program: &Program) -> bool {
    let (tx_type, spec) = (program.tx.tx_type, program.spec);
    ENVELOPES.iter().all(|(envelope, since)| *envelope != tx_type || spec.has(*since))
}

/// Gas beyond the intrinsic: from none at all to a few million.
fn budget(rng: &mut Rng) -> u64 {
    let (low, high) = rng.weighted(&[
        (3, (0, 100)),
        (6, (100, 3_000)),
        (11, (3_000, 30_000)),
        (25, (30_000, 200_000)),
        (50, (200_000, 1_000_000)),
        (5, (1_000_000, 5_000_000)),
    ]);
    rng.range(low, high)
}

fn calldata(rng: &mut Rng) -> Vec<u8> {
    let mut data = Vec::new();
    for _ in 0..rng.below(4) {
        data.extend(words::word(rng).to_be_bytes::<32>());
    }
    data.truncate(rng.range(0, 128) as usize);
    if rng.chance(3) {
        // Long enough for the floor of EIP-7623 to decide.
        data.resize(rng.range(500, 4_000) as usize, rng.below(2) as u8);
    }
    data
}

fn access_list(rng: &mut Rng, places: &Places) -> Vec<AccessListItem> {
    let mut list = Vec::new();
    for _ in 0..rng.below(4) {
        let storage_keys = (0..rng.below(4)).map(|_| B256::from(words::key(rng))).collect();
        list.push(AccessListItem { address: places.any(rng), storage_keys });
    }
    list
}

fn authorization(rng: &mut Rng, places: &Places, sender_nonce: u64) -> SignedAuthorization {
    let authority = match rng.below(20) {
        0 => None,
        1..=4 => Some(places.sender),
        5..=8 => Some(places.rich),
        9..=12 if !places.delegated.is_empty() => Some(rng.pick(&places.delegated)),
        13..=15 => Some(Address::with_last_byte(0xab)),
        // Never a precompile: there is no key to its address.
        _ => Some(rng.pick(&places.contracts)),
    };
    let address = if rng.chance(15) { Address::ZERO } else { places.any(rng) };
    let chain_id = rng.weighted(&[(10, 1), (9, 0), (1, 5)]);
    let nonce = match authority {
        Some(at) if at == places.sender => sender_nonce + 1,
        _ => rng.pick(&[0, 0, 0, 1, 1, 2, u64::MAX]),
    };
    let authorization = Authorization { chain_id: U256::from(chain_id), address, nonce };
    SignedAuthorization { authorization, authority }
}

/// What the transaction needs before the first opcode: enough of the rules to aim close to the
/// border, which is what matters here; the engines know the rest.
fn intrinsic_gas(program: &Program) -> u64 {
    let (spec, case) = (program.spec, program.assemble());
    let tx = &case.tx;
    let zeros = tx.data.iter().filter(|byte| **byte == 0).count() as u64;
    let others = tx.data.len() as u64 - zeros;
    let mut gas = 21_000 + 4 * zeros;
    gas += others * if spec.has(SpecId::ISTANBUL) { 16 } else { 68 };
    if tx.to == TxKind::Create {
        gas += if spec.has(SpecId::HOMESTEAD) { 32_000 } else { 0 };
        gas += if spec.has(SpecId::SHANGHAI) { 2 * tx.data.len().div_ceil(32) as u64 } else { 0 };
    }
    for item in &tx.access_list {
        gas += 2_400 + 1_900 * item.storage_keys.len() as u64;
    }
    gas += 25_000 * tx.authorizations.len() as u64;
    let floor = if spec.has(SpecId::PRAGUE) { 21_000 + 10 * zeros + 40 * others } else { 0 };
    gas.max(floor)
}

/// Breaks one rule of validity.
fn break_a_rule(rng: &mut Rng, program: &mut Program, places: &Places, intrinsic: u64) {
    let (tx, block) = (&mut program.tx, &mut program.block);
    match rng.below(16) {
        0 => tx.nonce += 1,
        1 => tx.nonce = tx.nonce.wrapping_sub(1),
        2 => tx.nonce = u64::MAX,
        3 => tx.gas_limit = intrinsic - rng.range(1, 100),
        4 => tx.gas_limit = 40_000_000,
        5 => tx.gas_limit = (1 << 24) + 1,
        6 => block.gas_limit = tx.gas_limit - 1,
        7 => tx.gas_price = U256::from(block.base_fee.saturating_sub(1)),
        8 => tx.max_priority_fee = tx.gas_price + U256::from(1),
        9 => tx.chain_id = Some(2),
        10 => tx.value = U256::MAX,
        11 => {
            let funds = U256::from(tx.gas_limit) * tx.gas_price + tx.value;
            let sender = program.actors.entry(places.sender).or_default();
            sender.balance = funds.saturating_sub(U256::from(rng.below(2)));
        }
        12 if tx.tx_type == TxType::Blob => tx.blob_hashes.clear(),
        12 => {
            tx.sender = places.contracts[0];
            tx.nonce = program.actors[&tx.sender].nonce;
        }
        13 if tx.tx_type == TxType::Blob => tx.blob_hashes.resize(10, tx.blob_hashes[0]),
        13 if !places.delegated.is_empty() => {
            // Allowed: a delegated account may send (EIP-7702).
            tx.sender = places.delegated[0];
            tx.nonce = program.actors[&tx.sender].nonce;
        }
        14 if tx.tx_type == TxType::Blob => tx.blob_hashes[0][0] = 2,
        14 => tx.authorizations.clear(),
        15 if tx.tx_type == TxType::Blob => tx.max_fee_per_blob_gas = U256::ZERO,
        _ if tx.to == TxKind::Create => {
            // One byte beyond EIP-3860 with the code that is there, or exactly on it.
            let length = program.initcode.assemble().len();
            let filler = (49_152 + rng.below(2)) as usize - length.min(49_152);
            program.initcode.ops.push(crate::Op::Bytes(vec![0; filler]));
            program.tx.gas_limit = 2_000_000;
        }
        _ => {}
    }
}
