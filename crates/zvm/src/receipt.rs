//! What a successful transaction leaves behind.

use std::{fmt, ops::Deref};

use zvm_evm::Executed;

/// A transaction that succeeded: the contract's answer, and through [`Deref`] gas, logs and diff.
#[derive(Clone, PartialEq, Eq)]
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
        decode_events(&self.executed.logs)
    }
}

/// The events of type `E` among `logs`, in order, from whichever contract.
#[cfg(feature = "sol")]
#[must_use]
pub fn decode_events<E: alloy_sol_types::SolEvent>(logs: &[zvm_core::Log]) -> Vec<E> {
    logs.iter().filter_map(|log| E::decode_log_data(&log.data).ok()).collect()
}

impl<R> Deref for Receipt<R> {
    type Target = Executed;

    fn deref(&self) -> &Executed {
        &self.executed
    }
}

/// Without `value`: what `sol!` makes for a function that returns nothing has no `Debug`, and
/// `unwrap_err` shall work all the same. The bytes are in the output.
impl<R> fmt::Debug for Receipt<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receipt").field("executed", &self.executed).finish_non_exhaustive()
    }
}
