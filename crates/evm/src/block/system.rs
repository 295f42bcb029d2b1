//! Calls that the protocol makes to its own contracts, at the start and at the end of a block.

use zvm_core::{Address, BlockEnv, Bytes, Database, DbError, U256, address};

use crate::{Config, Evm, ExecError, Executed, Message, NoTracer};

/// EIP-4788: who makes these calls.
const SYSTEM_ADDRESS: Address = address!("fffffffffffffffffffffffffffffffffffffffe");

/// EIP-4788: keeps roots of the beacon chain.
pub const BEACON_ROOTS_CONTRACT: Address = address!("000f3df6d732807ef1319fb7b8bb8522d0beac02");

/// EIP-2935: keeps hashes of blocks.
pub const HISTORY_CONTRACT: Address = address!("0000f90827f1c53a10cb7a02335b175320002935");

/// EIP-7002: takes requests for withdrawals.
pub const WITHDRAWAL_CONTRACT: Address = address!("00000961ef480eb55e80d19ad83579a64c007002");

/// EIP-7251: takes requests for consolidations.
pub const CONSOLIDATION_CONTRACT: Address = address!("0000bbddc7ce488642fb579f8b00f3a590007251");

/// Gas of a call. It counts neither for the block nor for anyone's balance.
const GAS: u64 = 30_000_000;

/// Calls `contract` with `data`; `None` where it has no code.
pub(super) fn call(
    evm: &mut Evm,
    contract: Address,
    data: Bytes,
    block: &BlockEnv,
    config: &Config,
    db: &dyn Database,
) -> Result<Option<Executed>, DbError> {
    if !db.account(contract)?.is_some_and(|account| account.has_code()) {
        return Ok(None);
    }
    let message = Message {
        caller: SYSTEM_ADDRESS,
        address: contract,
        origin: SYSTEM_ADDRESS,
        gas_price: U256::ZERO,
        code: None,
        data,
        value: U256::ZERO,
        gas: GAS,
    };
    match evm.call(&message, block, config, db, &mut NoTracer) {
        Ok(executed) => Ok(Some(executed)),
        Err(ExecError::Database(error)) => Err(error),
        // A message has nothing that could break a rule of transactions.
        Err(ExecError::Invalid(_)) => Ok(None),
    }
}
