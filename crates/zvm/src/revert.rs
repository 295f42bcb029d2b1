//! Why a contract reverted.

use std::fmt;

use zvm_core::{Bytes, U256, hex};

/// The bytes of a revert, read by Solidity's conventions.
///
/// Shown as in `insufficient balance`, `panic 0x11: arithmetic overflow or underflow`,
/// `custom error 0xcf479181 with 64 bytes` or `no reason given`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RevertReason {
    /// No bytes at all.
    Empty,
    /// `Error(string)`: what stands in `require` and `revert`.
    Message(String),
    /// `Panic(uint256)`: the compiler's own checks. [`RevertReason::panic_meaning`] tells codes.
    Panic(U256),
    /// Anything else; a declared error starts with its selector of 4 bytes.
    Custom(Bytes),
}

impl RevertReason {
    /// Selector of `Error(string)`.
    const MESSAGE: [u8; 4] = [0x08, 0xc3, 0x79, 0xa0];
    /// Selector of `Panic(uint256)`.
    const PANIC: [u8; 4] = [0x4e, 0x48, 0x7b, 0x71];

    /// Reads the output of a reverted execution. Malformed conventions are [`Custom`](Self::Custom).
    #[must_use]
    pub fn decode(output: &Bytes) -> Self {
        if output.is_empty() {
            return Self::Empty;
        }
        let known = match output.split_first_chunk() {
            Some((&Self::MESSAGE, data)) => decode_string(data).map(Self::Message),
            Some((&Self::PANIC, data)) => word(data, 0).map(Self::Panic),
            _ => None,
        };
        known.unwrap_or_else(|| Self::Custom(output.clone()))
    }

    /// What Solidity means by a panic code.
    #[must_use]
    pub fn panic_meaning(code: U256) -> &'static str {
        match u64::try_from(code) {
            Ok(0x00) => "generic panic of the compiler",
            Ok(0x01) => "assertion failed",
            Ok(0x11) => "arithmetic overflow or underflow",
            Ok(0x12) => "division or modulo by zero",
            Ok(0x21) => "value out of range of an enum",
            Ok(0x22) => "badly encoded byte array in storage",
            Ok(0x31) => "pop from an empty array",
            Ok(0x32) => "index out of bounds",
            Ok(0x41) => "too much memory, or an array too long",
            Ok(0x51) => "call of an uninitialised function",
            _ => "unknown code",
        }
    }

    /// The reason as a declared error, `None` if it is another one.
    #[cfg(feature = "sol")]
    #[must_use]
    pub fn as_error<E: alloy_sol_types::SolError>(&self) -> Option<E> {
        match self {
            Self::Custom(data) => E::abi_decode(data).ok(),
            _ => None,
        }
    }
}

impl fmt::Display for RevertReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("no reason given"),
            Self::Message(message) => f.write_str(message),
            Self::Panic(code) => write!(f, "panic {code:#04x}: {}", Self::panic_meaning(*code)),
            Self::Custom(data) => match data.split_first_chunk::<4>() {
                Some((selector, rest)) => {
                    write!(f, "custom error {}", hex::encode_prefixed(selector))?;
                    if rest.is_empty() { Ok(()) } else { write!(f, " with {} bytes", rest.len()) }
                }
                None => write!(f, "unreadable reason {data}"),
            },
        }
    }
}

/// The word at byte `offset`.
fn word(data: &[u8], offset: usize) -> Option<U256> {
    data.get(offset..)?.first_chunk::<32>().map(|bytes| U256::from_be_bytes(*bytes))
}

/// A string as the only ABI-encoded value. Invalid UTF-8 is shown as well as possible.
fn decode_string(data: &[u8]) -> Option<String> {
    let offset = usize::try_from(word(data, 0)?).ok()?;
    let len = usize::try_from(word(data, offset)?).ok()?;
    let bytes = data.get(offset.checked_add(32)?..)?.get(..len)?;
    Some(String::from_utf8_lossy(bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(offset: u64, len: u64, text: &[u8]) -> Bytes {
        let mut data = RevertReason::MESSAGE.to_vec();
        data.extend(U256::from(offset).to_be_bytes::<32>());
        data.extend(U256::from(len).to_be_bytes::<32>());
        data.extend(text);
        data.into()
    }

    #[test]
    fn conventions_are_told_apart() {
        assert_eq!(RevertReason::decode(&Bytes::new()), RevertReason::Empty);
        assert_eq!(RevertReason::decode(&message(32, 2, b"no")).to_string(), "no");

        let mut panic = RevertReason::PANIC.to_vec();
        panic.extend(U256::from(0x12).to_be_bytes::<32>());
        let reason = RevertReason::decode(&panic.into());
        assert_eq!(reason.to_string(), "panic 0x12: division or modulo by zero");

        let custom = RevertReason::decode(&Bytes::from_static(&[1, 2, 3, 4]));
        assert_eq!(custom.to_string(), "custom error 0x01020304");
    }

    #[test]
    fn malformed_messages_are_custom_and_do_not_panic() {
        for bad in [
            message(32, 3, b"no"),
            message(u64::MAX, 2, b"no"),
            message(32, u64::MAX, b"no"),
            message(33, 2, b""),
            Bytes::from_static(&RevertReason::MESSAGE),
            Bytes::from_static(&RevertReason::PANIC),
        ] {
            assert_eq!(RevertReason::decode(&bad), RevertReason::Custom(bad.clone()), "{bad}");
        }
        assert_eq!(
            RevertReason::decode(&Bytes::from_static(&[7])).to_string(),
            "unreadable reason 0x07"
        );
    }
}
