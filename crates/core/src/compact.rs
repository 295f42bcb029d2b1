//! Records as bytes: numbers, words and runs of bytes behind each other, each in one form.
//!
//! A number is a [`varint`]. A word is its length in one byte and its big-endian bytes without
//! leading zeros. A run of bytes is its length, a number, and the bytes. What has been read is
//! written in the same bytes again, and an error says where which part is wrong.

use alloy_primitives::U256;

use crate::varint::{self, VarintError};

/// Why bytes are not what they should be, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CompactError {
    /// The bytes end too soon.
    #[error("ends at byte {offset}, expected {expected}")]
    End {
        /// Number of bytes read.
        offset: usize,
        /// What should have come next.
        expected: &'static str,
    },

    /// The bytes mean nothing, or what they mean is written another way.
    #[error("byte {offset}: expected {expected}")]
    Invalid {
        /// Where the faulty part begins.
        offset: usize,
        /// What should have stood there.
        expected: &'static str,
    },
}

/// Appends a word, which takes 1 to 33 bytes.
pub fn write_word(out: &mut Vec<u8>, word: U256) {
    out.push(word.byte_len() as u8);
    out.extend_from_slice(&word.to_be_bytes::<32>()[32 - word.byte_len()..]);
}

/// Appends a run of bytes.
pub fn write_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    varint::write(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Bytes and how many of them have been read. `expected` names what comes next, for errors.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    offset: usize,
}

impl<'a> Reader<'a> {
    /// Reads `bytes` from the first one.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, offset: 0 }
    }

    /// How many bytes have been read.
    #[must_use]
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// Takes a number.
    pub fn varint(&mut self, expected: &'static str) -> Result<u64, CompactError> {
        let offset = self.offset;
        let mut rest = self.bytes.get(offset..).unwrap_or_default();
        let value = varint::read(&mut rest).map_err(|error| match error {
            VarintError::Cut => CompactError::End { offset: self.bytes.len(), expected },
            VarintError::TooLarge => {
                CompactError::Invalid { offset, expected: "a number below 2^64" }
            }
            VarintError::NotShortest => {
                CompactError::Invalid { offset, expected: "a number in its shortest form" }
            }
        })?;
        self.offset = self.bytes.len() - rest.len();
        Ok(value)
    }

    /// Takes a word.
    pub fn word(&mut self, expected: &'static str) -> Result<U256, CompactError> {
        let offset = self.offset;
        let length = self.byte(expected)?;
        require(length <= 32, offset, "a length of at most 32")?;
        let bytes = self.take(length.into(), expected)?;
        require(bytes.first() != Some(&0), offset, "a word without leading zeros")?;
        Ok(U256::from_be_slice(bytes))
    }

    /// Takes a run of bytes.
    pub fn bytes(&mut self, expected: &'static str) -> Result<&'a [u8], CompactError> {
        let length = self.varint(expected)?;
        self.take(usize::try_from(length).unwrap_or(usize::MAX), expected)
    }

    /// Takes one byte.
    pub fn byte(&mut self, expected: &'static str) -> Result<u8, CompactError> {
        self.array::<1>(expected).map(|[byte]| byte)
    }

    /// Takes `N` bytes.
    pub fn array<const N: usize>(
        &mut self,
        expected: &'static str,
    ) -> Result<[u8; N], CompactError> {
        let rest = self.bytes.get(self.offset..).and_then(<[u8]>::first_chunk);
        let bytes = *rest.ok_or(CompactError::End { offset: self.bytes.len(), expected })?;
        self.offset += N;
        Ok(bytes)
    }

    /// Takes `length` bytes.
    pub fn take(
        &mut self,
        length: usize,
        expected: &'static str,
    ) -> Result<&'a [u8], CompactError> {
        let rest = self.bytes.get(self.offset..).and_then(|rest| rest.get(..length));
        let bytes = rest.ok_or(CompactError::End { offset: self.bytes.len(), expected })?;
        self.offset += length;
        Ok(bytes)
    }

    /// Fails if anything is left.
    pub fn finish(&self) -> Result<(), CompactError> {
        require(self.offset == self.bytes.len(), self.offset, "the end")
    }
}

/// An error at `offset` unless something `holds`.
pub fn require(holds: bool, offset: usize, expected: &'static str) -> Result<(), CompactError> {
    if holds { Ok(()) } else { Err(CompactError::Invalid { offset, expected }) }
}
