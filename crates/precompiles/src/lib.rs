//! The precompiled contracts of every hard fork: inputs, gas, and the libraries behind. No I/O.

use zvm_core::{Address, SpecId};

/// One precompiled contract under the rules of one hard fork.
#[derive(Clone, Copy, Debug)]
pub struct Precompile {
    /// The name of EIP-7910, such as `ECREC` or `BLS12_G1ADD`.
    pub name: &'static str,
    /// Runs it.
    pub run: PrecompileFn,
}

/// Runs a precompile on `input` with at most `gas`: appends the output to `output` and returns the gas used.
///
/// On an error the caller consumes all gas of the call; what was appended is meaningless.
pub type PrecompileFn =
    fn(input: &[u8], gas: u64, output: &mut Vec<u8>) -> Result<u64, PrecompileError>;

/// Why a precompile failed. All gas of the call is consumed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PrecompileError {
    /// The call carried less gas than the price.
    #[error("out of gas")]
    OutOfGas,
    /// The input breaks a rule of the precompile.
    #[error("invalid input: {0}")]
    InvalidInput(&'static str),
}

/// Precompiles that `spec` has and this build lacks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("hard fork {spec} needs precompiles that are not compiled in: {}", missing.join(", "))]
pub struct MissingPrecompiles {
    /// The hard fork asked for.
    pub spec: SpecId,
    /// Names of the missing precompiles, with the Cargo feature that brings each.
    pub missing: Vec<String>,
}

/// The precompiles of one hard fork, by address.
#[derive(Debug)]
pub struct Precompiles {}

impl Precompiles {
    /// The set of `spec`; built once per process.
    pub fn of(_spec: SpecId) -> Result<&'static Self, MissingPrecompiles> {
        Ok(&Self {})
    }

    /// The precompile at `address`.
    #[inline]
    pub fn get(&self, _address: &Address) -> Option<&Precompile> {
        None
    }

    /// Every address of the set, ascending. They are warm from the start (EIP-2929).
    pub fn addresses(&self) -> impl Iterator<Item = Address> + '_ {
        std::iter::empty()
    }
}
