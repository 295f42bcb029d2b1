//! What goes into a contract and how to read what comes out.

use zvm_core::Bytes;

/// The input of a call, together with the type of its answer.
///
/// Every function declared with `sol!` is one; [`Raw`] is one for bytes.
pub trait Calldata {
    /// What the contract answers.
    type Return;

    /// Selector and arguments, as the contract reads them.
    fn encode(&self) -> Bytes;

    /// Reads the answer. The error says what was expected.
    fn decode(output: &Bytes) -> Result<Self::Return, String>;
}

/// Calldata and answer as plain bytes.
///
/// ```
/// use zvm::{Address, Bytes, Raw, Zvm, hex};
///
/// let mut zvm = Zvm::memory();
/// let echo = Address::repeat_byte(1);
/// zvm.set_code(echo, hex!("3660006000373660 00f3"))?; // returns its calldata
/// assert_eq!(zvm.call(echo, Raw(b"hello"))?, Bytes::from(b"hello"));
/// # Ok::<(), zvm::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Raw<B>(pub B);

impl<B: AsRef<[u8]>> Calldata for Raw<B> {
    type Return = Bytes;

    fn encode(&self) -> Bytes {
        Bytes::copy_from_slice(self.0.as_ref())
    }

    fn decode(output: &Bytes) -> Result<Bytes, String> {
        Ok(output.clone())
    }
}

#[cfg(feature = "sol")]
impl<C: alloy_sol_types::SolCall> Calldata for C {
    type Return = C::Return;

    fn encode(&self) -> Bytes {
        self.abi_encode().into()
    }

    fn decode(output: &Bytes) -> Result<C::Return, String> {
        C::abi_decode_returns(output)
            .map_err(|error| format!("result of {}: {error}", C::SIGNATURE))
    }
}
