//! What a successful transaction leaves behind.

use std::ops::Deref;

use zvm_evm::Executed;

/// A transaction that succeeded: the contract's answer, and through [`Deref`] gas, logs and diff.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt<R> {
    /// The answer of the contract.
    pub value: R,
    /// The whole result.
    pub executed: Executed,
}

impl<R> Receipt<R> {
    /// The events of type `E` in order, from whichever contract.
    #[cfg(feature = "sol")]
    #[must_use]
    pub fn events<E: alloy_sol_types::SolEvent>(&self) -> Vec<E> {
        self.executed.logs.iter().filter_map(|log| E::decode_log_data(&log.data).ok()).collect()
    }
}

impl<R> Deref for Receipt<R> {
    type Target = Executed;

    fn deref(&self) -> &Executed {
        &self.executed
    }
}
