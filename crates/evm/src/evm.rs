//! The engine: buffers and code cache that live from one execution to the next.

use zvm_core::{Address, BlockEnv, Bytes, Database, Transaction, U256};

use crate::{Config, ExecError, Executed, Tracer};

/// A machine with its buffers and its cache of decoded code.
///
/// Reuse one for many executions: everything it allocates is kept, nothing of a state is.
#[derive(Debug, Default)]
pub struct Evm {}

/// A call without a transaction around it: no intrinsic gas, no fees, no nonce.
#[derive(Clone, Debug)]
pub struct Message {
    /// Answers `CALLER`.
    pub caller: Address,
    /// Answers `ADDRESS`: whose storage is worked on.
    pub address: Address,
    /// Answers `ORIGIN`.
    pub origin: Address,
    /// Answers `GASPRICE`, in wei.
    pub gas_price: U256,
    /// Code to run instead of that of `address`.
    pub code: Option<Bytes>,
    /// Calldata.
    pub data: Bytes,
    /// Wei, moved from `caller` to `address` before the code runs.
    pub value: U256,
    /// Gas to run with.
    pub gas: u64,
}

impl Evm {
    /// A machine with empty buffers.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Executes `tx` on `db` as part of `block`. `db` is only read; the changes are in
    /// [`Executed::diff`].
    pub fn execute<T: Tracer>(
        &mut self,
        tx: &Transaction,
        block: &BlockEnv,
        config: &Config,
        db: &dyn Database,
        tracer: &mut T,
    ) -> Result<Executed, ExecError> {
        let _ = (tx, block, config, db, tracer);
        unimplemented!("landing shortly")
    }

    /// Runs `message` on `db` without a transaction around it.
    pub fn call<T: Tracer>(
        &mut self,
        message: &Message,
        block: &BlockEnv,
        config: &Config,
        db: &dyn Database,
        tracer: &mut T,
    ) -> Result<Executed, ExecError> {
        let _ = (message, block, config, db, tracer);
        unimplemented!("landing shortly")
    }
}
