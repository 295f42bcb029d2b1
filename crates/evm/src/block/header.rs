//! What the header of a block must say, given that of its parent.

use zvm_core::{
    B64, B256, BlobParams, ChainConfig, EMPTY_OMMERS_HASH, EMPTY_REQUESTS_HASH, EMPTY_ROOT, Header,
    INITIAL_BASE_FEE, SpecId, U256,
};

use super::{
    InvalidBlock, dao,
    difficulty::{ParentDifficulty, next_difficulty},
    fees::{self, ELASTICITY, ParentBlobGas},
};
use crate::transaction::blob;

/// Yellow Paper, 4.3.4: most bytes of extra data.
const EXTRA_DATA_MAX: usize = 32;

/// Yellow Paper, 4.3.4: the gas limit moves by less than this part of the parent's.
const GAS_LIMIT_BOUND_DIVISOR: u64 = 1024;

/// Yellow Paper, 4.3.4: the least gas limit.
const GAS_LIMIT_MIN: u64 = 5000;

/// EIP-1985: the most, which has been every client's rule since before that EIP.
const GAS_LIMIT_MAX: u64 = i64::MAX as u64;

/// Whether a block has proof of work or not: what its number and time do not tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Consensus {
    /// The total difficulty before the block is below the terminal one (EIP-3675).
    ProofOfWork,
    /// From Paris on.
    ProofOfStake,
}

/// Checks the header of a block against that of its parent: all that can be known without the body
/// and without executing it. The seal of a proof of work is not looked at.
pub fn validate_header(
    chain: &ChainConfig,
    consensus: Consensus,
    header: &Header,
    parent: &Header,
) -> Result<(), InvalidBlock> {
    let spec = super::spec_of(chain, consensus, header);
    let expected = parent.hash();
    if header.parent_hash != expected {
        return Err(InvalidBlock::ParentHash { found: header.parent_hash, expected });
    }
    let expected = parent.number.saturating_add(1);
    if header.number != expected {
        return Err(InvalidBlock::Number { found: header.number, expected });
    }
    if header.timestamp <= parent.timestamp {
        let (found, parent) = (header.timestamp, parent.timestamp);
        return Err(InvalidBlock::Timestamp { found, parent });
    }
    extra_data(chain, header)?;
    gas_limit(spec, header, parent)?;
    if header.gas_used > header.gas_limit {
        let (gas_used, gas_limit) = (header.gas_used, header.gas_limit);
        return Err(InvalidBlock::GasUsedAboveLimit { gas_used, gas_limit });
    }
    seal(chain, consensus, spec, header, parent)?;
    presence(spec, header)?;
    base_fee(header, parent)?;
    blob_gas(chain, spec, header, parent)
}

fn extra_data(chain: &ChainConfig, header: &Header) -> Result<(), InvalidBlock> {
    let len = header.extra_data.len();
    if len > EXTRA_DATA_MAX {
        return Err(InvalidBlock::ExtraData { len, max: EXTRA_DATA_MAX });
    }
    if let Some(since) = super::dao_block(chain).and_then(|fork| header.number.checked_sub(fork))
        && since < dao::EXTRA_DATA_BLOCKS
        && *header.extra_data != *dao::EXTRA_DATA
    {
        return Err(InvalidBlock::DaoExtraData { found: header.extra_data.clone() });
    }
    Ok(())
}

fn gas_limit(spec: SpecId, header: &Header, parent: &Header) -> Result<(), InvalidBlock> {
    // The first block with a base fee has twice the limit, and so the old one as its target.
    let is_first = spec.has(SpecId::LONDON) && parent.base_fee_per_gas.is_none();
    let before = parent.gas_limit.saturating_mul(if is_first { ELASTICITY } else { 1 });
    let bound = (before / GAS_LIMIT_BOUND_DIVISOR).saturating_sub(1);
    let min = before.saturating_sub(bound).max(GAS_LIMIT_MIN);
    let max = before.saturating_add(bound).min(GAS_LIMIT_MAX);
    let found = header.gas_limit;
    if before < GAS_LIMIT_BOUND_DIVISOR || !(min..=max).contains(&found) {
        return Err(InvalidBlock::GasLimit { found, min, max });
    }
    Ok(())
}

/// What stands for the work or, from Paris on, for there being none (EIP-3675).
fn seal(
    chain: &ChainConfig,
    consensus: Consensus,
    spec: SpecId,
    header: &Header,
    parent: &Header,
) -> Result<(), InvalidBlock> {
    let expected = difficulty(chain, consensus, spec, header, parent);
    if header.difficulty != expected {
        return Err(InvalidBlock::Difficulty { found: header.difficulty, expected });
    }
    if consensus == Consensus::ProofOfStake {
        if header.nonce != B64::ZERO {
            return Err(InvalidBlock::Nonce { found: header.nonce });
        }
        if header.ommers_hash != EMPTY_OMMERS_HASH {
            let (found, expected) = (header.ommers_hash, EMPTY_OMMERS_HASH);
            return Err(InvalidBlock::OmmersHash { found, expected });
        }
    }
    Ok(())
}

fn difficulty(
    chain: &ChainConfig,
    consensus: Consensus,
    spec: SpecId,
    header: &Header,
    parent: &Header,
) -> U256 {
    if consensus == Consensus::ProofOfStake {
        return U256::ZERO;
    }
    let parent = ParentDifficulty {
        difficulty: parent.difficulty,
        timestamp: parent.timestamp,
        has_ommers: parent.ommers_hash != EMPTY_OMMERS_HASH,
    };
    let delay = chain.bomb_delay_at(header.number);
    next_difficulty(spec, delay, header.number, header.timestamp, &parent)
}

/// The header of an empty block after `parent` at `timestamp`: all that the rules leave no choice
/// about, and the parent's gas limit. The root of the state is to be filled in.
#[must_use]
pub fn child_of(
    chain: &ChainConfig,
    consensus: Consensus,
    parent: &Header,
    timestamp: u64,
) -> Header {
    let number = parent.number.saturating_add(1);
    let spec = chain.spec_at(number, timestamp, consensus == Consensus::ProofOfStake);
    let (is_london, is_cancun) = (spec.has(SpecId::LONDON), spec.has(SpecId::CANCUN));
    let is_first = is_london && parent.base_fee_per_gas.is_none();
    let params = chain.blob_params_at(timestamp).filter(|_| is_cancun);
    let mut header = Header {
        parent_hash: parent.hash(),
        number,
        timestamp,
        gas_limit: parent.gas_limit.saturating_mul(if is_first { ELASTICITY } else { 1 }),
        base_fee_per_gas: is_london.then(|| next_base_fee(parent)),
        withdrawals_root: spec.has(SpecId::SHANGHAI).then_some(EMPTY_ROOT),
        blob_gas_used: is_cancun.then_some(0),
        excess_blob_gas: params.map(|params| next_excess_blob_gas(spec, &params, parent)),
        parent_beacon_block_root: is_cancun.then_some(B256::ZERO),
        requests_hash: spec.has(SpecId::PRAGUE).then_some(EMPTY_REQUESTS_HASH),
        ..Header::default()
    };
    header.difficulty = difficulty(chain, consensus, spec, &header, parent);
    header
}

/// Each hard fork has its fields, no more and no fewer.
fn presence(spec: SpecId, header: &Header) -> Result<(), InvalidBlock> {
    let fields = [
        ("base fee", SpecId::LONDON, header.base_fee_per_gas.is_some()),
        ("withdrawals root", SpecId::SHANGHAI, header.withdrawals_root.is_some()),
        ("blob gas used", SpecId::CANCUN, header.blob_gas_used.is_some()),
        ("excess blob gas", SpecId::CANCUN, header.excess_blob_gas.is_some()),
        ("parent beacon block root", SpecId::CANCUN, header.parent_beacon_block_root.is_some()),
        ("requests hash", SpecId::PRAGUE, header.requests_hash.is_some()),
    ];
    for (field, since, is_present) in fields {
        match (spec.has(since), is_present) {
            (true, false) => return Err(InvalidBlock::MissingField { field }),
            (false, true) => return Err(InvalidBlock::UnexpectedField { field }),
            _ => {}
        }
    }
    Ok(())
}

/// EIP-1559.
fn base_fee(header: &Header, parent: &Header) -> Result<(), InvalidBlock> {
    let Some(found) = header.base_fee_per_gas else { return Ok(()) };
    let expected = next_base_fee(parent);
    match found == expected {
        true => Ok(()),
        false => Err(InvalidBlock::BaseFee { found, expected }),
    }
}

/// The base fee of a block after `parent`, in wei (EIP-1559).
pub(super) fn next_base_fee(parent: &Header) -> u64 {
    parent.base_fee_per_gas.map_or(INITIAL_BASE_FEE, |base_fee| {
        fees::next_base_fee(parent.gas_limit, parent.gas_used, base_fee)
    })
}

/// EIP-4844.
fn blob_gas(
    chain: &ChainConfig,
    spec: SpecId,
    header: &Header,
    parent: &Header,
) -> Result<(), InvalidBlock> {
    // Both fields are there from Cancun on, and never before.
    let params = chain.blob_params_at(header.timestamp);
    let (Some(params), Some(found)) = (params, header.excess_blob_gas) else { return Ok(()) };
    let expected = next_excess_blob_gas(spec, &params, parent);
    if found != expected {
        return Err(InvalidBlock::ExcessBlobGas { found, expected });
    }
    let (found, max) = (header.blob_gas_used.unwrap_or(0), blob::gas_max(&params));
    if found > max {
        return Err(InvalidBlock::BlobGasAboveLimit { found, max });
    }
    Ok(())
}

/// The excess of blob gas of a block of `spec` after `parent` (EIP-4844).
pub(super) fn next_excess_blob_gas(spec: SpecId, params: &BlobParams, parent: &Header) -> u64 {
    let parent = ParentBlobGas {
        excess_blob_gas: parent.excess_blob_gas.unwrap_or(0),
        blob_gas_used: parent.blob_gas_used.unwrap_or(0),
        base_fee: parent.base_fee_per_gas.unwrap_or(0),
    };
    fees::next_excess_blob_gas(spec, params, &parent)
}
