//! RLP read strictly and without copies (Yellow Paper, appendix B).
//!
//! Each value has one encoding, and only that is accepted: what decodes gives the same bytes when
//! encoded again. An error says at which byte which field is wrong, and how.
//!
//! ```
//! use zvm_core::rlp::Reader;
//!
//! let mut reader = Reader::new(&[0xc3, 0x05, 0x81, 0xff]);
//! let mut pair = reader.list("pair")?;
//! assert_eq!((pair.u64("first")?, pair.u64("second")?), (5, 0xff));
//! pair.finish("pair")?;
//!
//! let error = Reader::new(&[0x82, 0x00, 0x01]).u64("gas limit").unwrap_err();
//! assert_eq!(error.to_string(), "gas limit at byte 0: an integer that begins with a zero byte");
//! # Ok::<(), zvm_core::rlp::RlpError>(())
//! ```

use alloy_primitives::{Address, B256, Bytes, TxKind, U256};
use alloy_rlp::{EMPTY_LIST_CODE, EMPTY_STRING_CODE};

/// Why bytes are not what they should be, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} at byte {offset}: {fault}")]
pub struct RlpError {
    /// Where the faulty item begins, counted from the first byte of the outermost input.
    pub offset: usize,
    /// What was to be read there.
    pub field: &'static str,
    /// What is wrong with it.
    pub fault: RlpFault,
}

/// What is wrong with an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RlpFault {
    /// The header promises more than there is.
    #[error("needs {needed} bytes, {left} are left")]
    TooShort {
        /// Bytes of the item, its header without.
        needed: u64,
        /// Bytes behind its header.
        left: usize,
    },
    /// A list, or the input, ends where an item is expected.
    #[error("missing")]
    Missing,
    /// A byte below 0x80, which is its own encoding, with a header before it.
    #[error("a byte below 0x80 with a header")]
    ByteWithHeader,
    /// A length below 56 in the long form.
    #[error("a length of {length} in the long form")]
    LongForm {
        /// The length.
        length: u64,
    },
    /// A length that begins with a zero byte.
    #[error("a length that begins with a zero byte")]
    LengthZeros,
    /// An integer that begins with a zero byte.
    #[error("an integer that begins with a zero byte")]
    IntegerZeros,
    /// An integer of too many bytes.
    #[error("an integer of {found} bytes, expected {max} at most")]
    IntegerSize {
        /// Its bytes.
        found: usize,
        /// Bytes of the largest.
        max: usize,
    },
    /// A list where there must be a string.
    #[error("a list, expected a string")]
    ExpectedString,
    /// A string where there must be a list.
    #[error("a string, expected a list")]
    ExpectedList,
    /// A string of the wrong length.
    #[error("{found} bytes, expected {expected}")]
    Length {
        /// Its bytes.
        found: usize,
        /// What is right.
        expected: Lengths,
    },
    /// Bytes behind the last item.
    #[error("{length} bytes too many")]
    Trailing {
        /// How many.
        length: usize,
    },
    /// A list of too many items.
    #[error("{found} items, expected {max} at most")]
    TooMany {
        /// Its items.
        found: usize,
        /// What is right.
        max: usize,
    },
    /// An integer that its field does not allow.
    #[error("{found:#x}, expected {expected}")]
    Value {
        /// The integer.
        found: U256,
        /// What is right.
        expected: &'static str,
    },
    /// A first byte that begins neither a list nor one of the envelopes of EIP-2718.
    #[error("envelope of type {found:#04x}, expected 0x01 to 0x04 or a list")]
    TxType {
        /// The byte.
        found: u8,
    },
    /// A blob transaction with its blobs, as peers send it to each other (EIP-4844).
    #[error("a blob transaction in its network form, expected it without blobs")]
    Sidecar,
}

/// Lengths that a string may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lengths {
    /// One length.
    Only(usize),
    /// Two lengths.
    Either(usize, usize),
}

impl std::fmt::Display for Lengths {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Only(length) => write!(f, "{length}"),
            Self::Either(one, other) => write!(f, "{one} or {other}"),
        }
    }
}

/// A value with one RLP encoding.
pub trait Rlp: Sized {
    /// Appends the encoding.
    fn write(&self, out: &mut Vec<u8>);

    /// Takes the next item of `reader`.
    fn read(reader: &mut Reader<'_>) -> Result<Self, RlpError>;

    /// The encoding.
    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write(&mut out);
        out
    }

    /// The value that `bytes` encode, which must hold nothing else.
    fn decode(bytes: &[u8]) -> Result<Self, RlpError> {
        let mut reader = Reader::new(bytes);
        let value = Self::read(&mut reader)?;
        reader.finish("input")?;
        Ok(value)
    }
}

/// Appends a list whose items `write` appends.
pub fn write_list(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    write(out);
    let end = out.len();
    alloy_rlp::Header { list: true, payload_length: end - start }.encode(out);
    // The header is known last and comes first.
    let header = out.len() - end;
    out[start..].rotate_right(header);
}

/// Appends a list of `items`.
pub fn write_items<T: Rlp>(out: &mut Vec<u8>, items: &[T]) {
    write_list(out, |out| items.iter().for_each(|item| item.write(out)));
}

/// One item: a string or a list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Item<'a> {
    /// Whether it is a list.
    pub is_list: bool,
    /// The string, or the items of the list.
    pub payload: &'a [u8],
    /// Header and payload.
    pub all: &'a [u8],
    /// Where it begins, counted from the first byte of the outermost input.
    pub offset: usize,
}

impl<'a> Item<'a> {
    /// Reads the payload of a list, or the input inside a string.
    #[must_use]
    pub fn reader(&self) -> Reader<'a> {
        let header = self.all.len() - self.payload.len();
        Reader { rest: self.payload, offset: self.offset + header }
    }

    /// The list it is, to read in.
    pub fn list(&self, field: &'static str) -> Result<Reader<'a>, RlpError> {
        if self.is_list {
            Ok(self.reader())
        } else {
            Err(self.error(field, RlpFault::ExpectedList))
        }
    }

    /// The string it is.
    pub fn string(&self, field: &'static str) -> Result<&'a [u8], RlpError> {
        if self.is_list {
            Err(self.error(field, RlpFault::ExpectedString))
        } else {
            Ok(self.payload)
        }
    }

    /// An error at this item.
    #[must_use]
    pub fn error(&self, field: &'static str, fault: RlpFault) -> RlpError {
        RlpError { offset: self.offset, field, fault }
    }
}

/// Reads items one after the other. `field` names what is expected, for errors.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
    offset: usize,
}

impl<'a> Reader<'a> {
    /// Reads `input` from its first byte.
    #[must_use]
    pub fn new(input: &'a [u8]) -> Self {
        Self { rest: input, offset: 0 }
    }

    /// What has not been read yet.
    #[must_use]
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Whether everything has been read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// An error at the next byte.
    #[must_use]
    pub fn error(&self, field: &'static str, fault: RlpFault) -> RlpError {
        RlpError { offset: self.offset, field, fault }
    }

    /// Fails if anything is left.
    pub fn finish(&self, field: &'static str) -> Result<(), RlpError> {
        match self.rest.len() {
            0 => Ok(()),
            length => Err(self.error(field, RlpFault::Trailing { length })),
        }
    }

    /// Takes one byte, which need not be an item.
    pub fn byte(&mut self, field: &'static str) -> Result<u8, RlpError> {
        let (byte, rest) =
            self.rest.split_first().ok_or_else(|| self.error(field, RlpFault::Missing))?;
        self.rest = rest;
        self.offset += 1;
        Ok(*byte)
    }

    /// Takes the next item, whatever it is. What is inside a list is not looked at.
    pub fn item(&mut self, field: &'static str) -> Result<Item<'a>, RlpError> {
        let (first, behind) =
            self.rest.split_first().ok_or_else(|| self.error(field, RlpFault::Missing))?;
        let (is_list, header, payload_length) = match *first {
            0..EMPTY_STRING_CODE => (false, 0, 1),
            code @ EMPTY_STRING_CODE..EMPTY_LIST_CODE => {
                let (header, length) = self.length(field, code - EMPTY_STRING_CODE, behind)?;
                (false, header, length)
            }
            code => {
                let (header, length) = self.length(field, code - EMPTY_LIST_CODE, behind)?;
                (true, header, length)
            }
        };
        let (header, behind) = self.rest.split_at(header);
        let short = RlpFault::TooShort { needed: payload_length, left: behind.len() };
        let length = usize::try_from(payload_length).map_err(|_| self.error(field, short))?;
        let (payload, rest) =
            behind.split_at_checked(length).ok_or_else(|| self.error(field, short))?;
        if let ([_], [0..EMPTY_STRING_CODE], false) = (header, payload, is_list) {
            return Err(self.error(field, RlpFault::ByteWithHeader));
        }
        let all = &self.rest[..header.len() + payload.len()];
        let item = Item { is_list, payload, all, offset: self.offset };
        self.offset += all.len();
        self.rest = rest;
        Ok(item)
    }

    /// Bytes of the header and of the payload, from the first byte less its kind.
    fn length(
        &self,
        field: &'static str,
        code: u8,
        behind: &[u8],
    ) -> Result<(usize, u64), RlpError> {
        let size = match code {
            0..=55 => return Ok((1, code.into())),
            _ => usize::from(code - 55),
        };
        let digits = behind.get(..size).ok_or_else(|| {
            self.error(field, RlpFault::TooShort { needed: size as u64, left: behind.len() })
        })?;
        if digits.first() == Some(&0) {
            return Err(self.error(field, RlpFault::LengthZeros));
        }
        // Eight bytes at most: codes end at 63.
        let length = digits.iter().fold(0, |length: u64, digit| length << 8 | u64::from(*digit));
        if length < 56 {
            return Err(self.error(field, RlpFault::LongForm { length }));
        }
        Ok((1 + size, length))
    }

    /// Takes a list and reads in it. Its reader must be [finished](Self::finish).
    pub fn list(&mut self, field: &'static str) -> Result<Reader<'a>, RlpError> {
        self.item(field)?.list(field)
    }

    /// Takes a list of `T`.
    pub fn items<T: Rlp>(&mut self, field: &'static str) -> Result<Vec<T>, RlpError> {
        self.list_of(field, T::read)
    }

    /// Takes a list whose items `read` takes.
    pub fn list_of<T>(
        &mut self,
        field: &'static str,
        mut read: impl FnMut(&mut Self) -> Result<T, RlpError>,
    ) -> Result<Vec<T>, RlpError> {
        let mut list = self.list(field)?;
        let mut items = Vec::new();
        while !list.is_empty() {
            items.push(read(&mut list)?);
        }
        Ok(items)
    }

    /// Takes a string.
    pub fn string(&mut self, field: &'static str) -> Result<&'a [u8], RlpError> {
        self.item(field)?.string(field)
    }

    /// Takes a string and keeps a copy.
    pub fn bytes(&mut self, field: &'static str) -> Result<Bytes, RlpError> {
        self.string(field).map(Bytes::copy_from_slice)
    }

    /// Takes a string of `N` bytes.
    pub fn fixed<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], RlpError> {
        let item = self.item(field)?;
        let string = item.string(field)?;
        string.try_into().map_err(|_| {
            item.error(field, RlpFault::Length { found: string.len(), expected: Lengths::Only(N) })
        })
    }

    /// Takes 20 bytes.
    pub fn address(&mut self, field: &'static str) -> Result<Address, RlpError> {
        self.fixed(field).map(Address::new)
    }

    /// Takes a callee: an address, or nothing for a creation.
    pub fn tx_kind(&mut self, field: &'static str) -> Result<TxKind, RlpError> {
        let item = self.item(field)?;
        let bytes = item.string(field)?;
        if bytes.is_empty() {
            return Ok(TxKind::Create);
        }
        let expected = Lengths::Either(0, 20);
        let address = Address::try_from(bytes)
            .map_err(|_| item.error(field, RlpFault::Length { found: bytes.len(), expected }))?;
        Ok(TxKind::Call(address))
    }

    /// Takes 32 bytes.
    pub fn hash(&mut self, field: &'static str) -> Result<B256, RlpError> {
        self.fixed(field).map(B256::new)
    }

    /// Takes an integer below 2^256.
    pub fn u256(&mut self, field: &'static str) -> Result<U256, RlpError> {
        Ok(U256::from_be_slice(self.integer(field, 32)?))
    }

    /// Takes an integer below 2^64.
    pub fn u64(&mut self, field: &'static str) -> Result<u64, RlpError> {
        let digits = self.integer(field, 8)?;
        Ok(digits.iter().fold(0, |number, digit| number << 8 | u64::from(*digit)))
    }

    /// Takes an integer below 2^8.
    pub fn u8(&mut self, field: &'static str) -> Result<u8, RlpError> {
        Ok(self.integer(field, 1)?.first().copied().unwrap_or(0))
    }

    /// Big-endian digits without leading zeros, `max` at most.
    fn integer(&mut self, field: &'static str, max: usize) -> Result<&'a [u8], RlpError> {
        let item = self.item(field)?;
        let digits = item.string(field)?;
        if digits.first() == Some(&0) {
            return Err(item.error(field, RlpFault::IntegerZeros));
        }
        if digits.len() > max {
            return Err(item.error(field, RlpFault::IntegerSize { found: digits.len(), max }));
        }
        Ok(digits)
    }
}

#[cfg(test)]
mod tests {
    use alloy_primitives::hex;

    use super::*;

    fn fault(bytes: &[u8]) -> Option<RlpFault> {
        Reader::new(bytes).item("item").err().map(|error| error.fault)
    }

    #[test]
    fn items_of_every_length_read_back() {
        for length in (0..300).chain([0xffff, 0x1_0000]) {
            let payload = vec![0x80; length];
            let mut list = Vec::new();
            write_list(&mut list, |out| out.extend_from_slice(&payload));
            let mut string = Vec::new();
            alloy_rlp::Encodable::encode(&payload[..], &mut string);
            for (bytes, is_list) in [(list, true), (string, false)] {
                let mut reader = Reader::new(&bytes);
                let item = reader.item("item").unwrap();
                assert_eq!(
                    (item.is_list, item.payload, item.all),
                    (is_list, &payload[..], &bytes[..])
                );
                assert!(reader.is_empty(), "{length}");
            }
        }
    }

    #[test]
    fn each_value_has_one_encoding() {
        for (bytes, expected) in [
            (&hex!("8100")[..], RlpFault::ByteWithHeader),
            (&hex!("817f")[..], RlpFault::ByteWithHeader),
            (&hex!("b83700")[..], RlpFault::LongForm { length: 55 }),
            (&hex!("f801")[..], RlpFault::LongForm { length: 1 }),
            (&hex!("f800")[..], RlpFault::LengthZeros),
            (&hex!("b9003800")[..], RlpFault::LengthZeros),
            (&hex!("f90038")[..], RlpFault::LengthZeros),
        ] {
            assert_eq!(fault(bytes), Some(expected), "{bytes:02x?}");
        }
        assert_eq!(fault(&[0x81, 0x80]), None);
    }

    #[test]
    fn what_is_not_there_is_not_read() {
        assert_eq!(fault(&[]), Some(RlpFault::Missing));
        assert_eq!(fault(&[0x83, 1, 2]), Some(RlpFault::TooShort { needed: 3, left: 2 }));
        assert_eq!(fault(&[0xb9, 1]), Some(RlpFault::TooShort { needed: 2, left: 1 }));
        for first in [0xbf, 0xff] {
            let bytes = [[first].as_slice(), &[0xff; 8]].concat();
            assert_eq!(fault(&bytes), Some(RlpFault::TooShort { needed: u64::MAX, left: 0 }));
        }
    }

    #[test]
    fn integers_are_short_and_fit() {
        let read = |bytes| Reader::new(bytes).u64("number").map_err(|error| error.fault);
        assert_eq!(read(&hex!("80")), Ok(0));
        assert_eq!(read(&hex!("88ffffffffffffffff")), Ok(u64::MAX));
        assert_eq!(read(&hex!("00")), Err(RlpFault::IntegerZeros));
        assert_eq!(read(&hex!("820001")), Err(RlpFault::IntegerZeros));
        assert_eq!(
            read(&hex!("89010000000000000000")),
            Err(RlpFault::IntegerSize { found: 9, max: 8 })
        );
        assert_eq!(read(&hex!("c0")), Err(RlpFault::ExpectedString));
    }

    #[test]
    fn errors_count_from_the_outermost_byte() {
        // [[1, 2], "x" in five bytes]
        let bytes = hex!("c9c20102850000000078");
        let mut outer = Reader::new(&bytes).list("outer").unwrap();
        let mut inner = outer.list("inner").unwrap();
        assert_eq!(inner.u64("one").unwrap(), 1);
        let error = inner.hash("two").unwrap_err();
        assert_eq!(error.to_string(), "two at byte 3: 1 bytes, expected 32");
        let error = inner.finish("inner").map(|()| outer.u64("x").unwrap_err());
        assert_eq!(error.unwrap().offset, 4);
    }
}
