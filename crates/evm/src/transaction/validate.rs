//! What makes a transaction invalid: checks that need no state, then those of its sender.

use zvm_core::{AccountInfo, BlockEnv, SpecId, Transaction, TxKind, TxType, U256};

use super::{blob, intrinsic::Gas};
use crate::{Config, InvalidTransaction, gas, limits::INITCODE_MAX};

/// EIP-7594: most blobs of one transaction.
const BLOBS_PER_TRANSACTION: u64 = 6;
/// EIP-4844: version of a blob hash made from a KZG commitment.
const BLOB_VERSION: u8 = 1;

/// What a transaction needs, whoever sends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Requirements {
    /// Gas paid before the first opcode (Yellow Paper, `g_0` in section 6.2).
    pub intrinsic_gas: u64,
    /// Gas paid at least in the end (EIP-7623); zero before Prague.
    pub floor_gas: u64,
    /// The most wei it can cost; `None` past 2^256.
    pub cost: Option<U256>,
}

impl Requirements {
    /// Checks `tx` by every rule of validity that needs no state.
    pub fn of(
        tx: &Transaction,
        block: &BlockEnv,
        config: &Config,
    ) -> Result<Self, InvalidTransaction> {
        let needed = Gas::of(tx, config.spec());
        let blob_base_fee = blob::base_fee(block.excess_blob_gas, &config.blob);
        transaction(tx, &needed, block, config, blob_base_fee)?;
        let Gas { intrinsic, floor } = needed;
        Ok(Self { intrinsic_gas: intrinsic, floor_gas: floor, cost: cost(tx) })
    }
}

/// Checks everything that the transaction, its block and the rules tell.
pub(super) fn transaction(
    tx: &Transaction,
    needed: &Gas,
    block: &BlockEnv,
    config: &Config,
    blob_base_fee: U256,
) -> Result<(), InvalidTransaction> {
    let (spec, checks) = (config.spec(), config.checks);
    let since = match tx.tx_type {
        TxType::Legacy => SpecId::FRONTIER,
        TxType::AccessList => SpecId::BERLIN,
        TxType::DynamicFee => SpecId::LONDON,
        TxType::Blob => SpecId::CANCUN,
        TxType::SetCode => SpecId::PRAGUE,
    };
    if !spec.has(since) {
        return Err(InvalidTransaction::TypeNotSupported { tx_type: tx.tx_type });
    }
    match tx.chain_id {
        Some(found) if found != config.chain_id => {
            return Err(InvalidTransaction::ChainId { found, expected: config.chain_id });
        }
        None if tx.tx_type != TxType::Legacy => return Err(InvalidTransaction::MissingChainId),
        _ => {}
    }
    let gas_limit = tx.gas_limit;
    if checks.gas_limit {
        if spec.has(SpecId::OSAKA) && gas_limit > gas::TRANSACTION_GAS_CAP {
            let cap = gas::TRANSACTION_GAS_CAP;
            return Err(InvalidTransaction::GasLimitCap { gas_limit, cap });
        }
        if gas_limit > block.gas_limit {
            let available = block.gas_limit;
            return Err(InvalidTransaction::BlockGasLimit { gas_limit, available });
        }
    }
    fees(tx, block, config)?;
    if tx.tx_type == TxType::Blob {
        blobs(tx, config, blob_base_fee)?;
    }
    if tx.tx_type == TxType::SetCode {
        if tx.to == TxKind::Create {
            return Err(InvalidTransaction::SetCodeCreate);
        }
        if tx.authorizations.is_empty() {
            return Err(InvalidTransaction::NoAuthorizations);
        }
    }
    if spec.has(SpecId::SHANGHAI) && tx.to == TxKind::Create && tx.data.len() > INITCODE_MAX {
        return Err(InvalidTransaction::InitcodeSize { size: tx.data.len(), limit: INITCODE_MAX });
    }
    if gas_limit < needed.intrinsic {
        return Err(InvalidTransaction::IntrinsicGas { gas_limit, needed: needed.intrinsic });
    }
    if gas_limit < needed.floor {
        return Err(InvalidTransaction::FloorGas { gas_limit, needed: needed.floor });
    }
    if tx.nonce == u64::MAX {
        return Err(InvalidTransaction::NonceIsMax);
    }
    Ok(())
}

/// EIP-1559.
fn fees(tx: &Transaction, block: &BlockEnv, config: &Config) -> Result<(), InvalidTransaction> {
    if !config.spec().has(SpecId::LONDON) {
        return Ok(());
    }
    if tx.tx_type >= TxType::DynamicFee && tx.max_priority_fee > tx.gas_price {
        return Err(InvalidTransaction::PriorityFeeAboveCap {
            max_priority_fee: tx.max_priority_fee,
            gas_price: tx.gas_price,
        });
    }
    if config.checks.base_fee && tx.gas_price < U256::from(block.base_fee) {
        return Err(InvalidTransaction::FeeCapBelowBaseFee {
            gas_price: tx.gas_price,
            base_fee: block.base_fee,
        });
    }
    Ok(())
}

/// EIP-4844.
fn blobs(tx: &Transaction, config: &Config, base_fee: U256) -> Result<(), InvalidTransaction> {
    if tx.to == TxKind::Create {
        return Err(InvalidTransaction::BlobCreate);
    }
    let count = tx.blob_hashes.len();
    if count == 0 {
        return Err(InvalidTransaction::NoBlobs);
    }
    let max = if config.spec().has(SpecId::OSAKA) {
        config.blob.max.min(BLOBS_PER_TRANSACTION)
    } else {
        config.blob.max
    };
    if count as u64 > max {
        return Err(InvalidTransaction::TooManyBlobs { count, max });
    }
    for (index, hash) in tx.blob_hashes.iter().enumerate() {
        if hash[0] != BLOB_VERSION {
            return Err(InvalidTransaction::BlobVersion { index, version: hash[0] });
        }
    }
    if config.checks.base_fee && tx.max_fee_per_blob_gas < base_fee {
        return Err(InvalidTransaction::BlobFeeCap { max_fee: tx.max_fee_per_blob_gas, base_fee });
    }
    Ok(())
}

/// Checks the transaction against its sender's account; the balance to start from.
pub(super) fn sender(
    tx: &Transaction,
    info: &AccountInfo,
    has_code: bool,
    config: &Config,
) -> Result<U256, InvalidTransaction> {
    let checks = config.checks;
    // In force before its hard fork too: nobody could sign for a contract anyway.
    if checks.sender_code && has_code {
        return Err(InvalidTransaction::SenderHasCode { sender: tx.sender });
    }
    if checks.nonce {
        let (found, expected) = (tx.nonce, info.nonce);
        if found < expected {
            return Err(InvalidTransaction::NonceTooLow { found, expected });
        }
        if found > expected {
            return Err(InvalidTransaction::NonceTooHigh { found, expected });
        }
    }
    let cost = cost(tx);
    if cost.is_some_and(|cost| cost <= info.balance) {
        return Ok(info.balance);
    }
    if checks.balance {
        let (sender, balance) = (tx.sender, info.balance);
        return Err(InvalidTransaction::InsufficientFunds { sender, balance, cost });
    }
    Ok(cost.unwrap_or(U256::MAX))
}

/// The most wei the transaction can cost; `None` past 2^256.
fn cost(tx: &Transaction) -> Option<U256> {
    let gas = tx.gas_price.checked_mul(U256::from(tx.gas_limit))?;
    let blob_gas = U256::from(blob::gas(tx.blob_hashes.len()));
    let blobs = tx.max_fee_per_blob_gas.checked_mul(blob_gas)?;
    gas.checked_add(blobs)?.checked_add(tx.value)
}
