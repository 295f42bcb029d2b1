//! The precompiled contracts of every hard fork: inputs, gas, and the libraries behind.
//!
//! A precompile is a contract at a small fixed address that the machine runs natively. Which ones
//! exist, and what they cost, follows from the hard fork: ask for its [`Precompiles`], look up the
//! callee, run it.
//!
//! ```
//! use zvm_core::{SpecId, address, hex};
//! use zvm_precompiles::{PrecompileError, Precompiles};
//!
//! let precompiles = Precompiles::of(SpecId::FRONTIER)?;
//! let sha256 = precompiles.get(&address!("0000000000000000000000000000000000000002")).unwrap();
//!
//! let mut output = Vec::new();
//! let gas_used = (sha256.run)(b"abc", 100, &mut output)?;
//! assert_eq!(gas_used, 60 + 12); // 12 for each word begun
//! assert_eq!(output[..4], hex!("ba7816bf"));
//!
//! // Gas is checked before any work is done.
//! assert_eq!((sha256.run)(b"abc", 71, &mut output), Err(PrecompileError::OutOfGas));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Each precompile is a small file that reads its input, prices it and leaves the mathematics to a
//! well-kept library. Those that are heavy to build hide behind Cargo features, all on by default:
//! `bn254`, `bls12-381` (needs a C compiler; KZG too) and `p256`. A hard fork that needs one that is
//! off is refused by name, see [`MissingPrecompiles`]. `fast` puts libsecp256k1 behind `ECREC`.
//!
//! Not here: calls, value transfers and warm addresses (`zvm-evm`), and any I/O.

mod blake2f;
#[cfg(feature = "bls12-381")]
mod bls12_381;
#[cfg(feature = "bn254")]
mod bn254;
#[cfg(feature = "bls12-381")]
mod curve;
mod ecrecover;
mod input;
#[cfg(feature = "bls12-381")]
mod kzg;
mod linear;
mod modexp;
#[cfg(feature = "p256")]
mod p256verify;
mod table;

pub use table::{MissingPrecompiles, Precompiles};

/// One precompiled contract under the rules of one hard fork.
#[derive(Clone, Copy, Debug)]
pub struct Precompile {
    /// The name of EIP-7910, such as `ECREC` or `BLS12_G1ADD`.
    pub name: &'static str,
    /// Runs it.
    pub run: PrecompileFn,
}

/// Runs a precompile on `input` with at most `gas`: appends the output to `output` and returns the
/// gas used.
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

/// The price, if `gas` covers it. Called before any work, so that all work is paid for.
fn charge(gas: u64, price: u64) -> Result<u64, PrecompileError> {
    if price > gas { Err(PrecompileError::OutOfGas) } else { Ok(price) }
}
