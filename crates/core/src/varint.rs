//! Numbers in as few bytes as they need (LEB128), each in one form.
//!
//! Seven bits a byte, lowest first; the high bit is set on all bytes but the last.

/// Why bytes do not begin with a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VarintError {
    /// The bytes end within it.
    #[error("a number is cut")]
    Cut,
    /// It has more than 64 bits.
    #[error("a number of more than 64 bits")]
    TooLarge,
    /// It has been written in more bytes than it needs.
    #[error("a number longer than its shortest form")]
    NotShortest,
}

/// Appends `value`, which takes 1 to 10 bytes.
pub fn write(out: &mut Vec<u8>, mut value: u64) {
    while value > 0x7f {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Takes a number off the front of `bytes`, which stay as they are if there is none.
pub fn read(bytes: &mut &[u8]) -> Result<u64, VarintError> {
    let (mut rest, mut value) = (*bytes, 0);
    for shift in (0..64).step_by(7) {
        let (&byte, behind) = rest.split_first().ok_or(VarintError::Cut)?;
        rest = behind;
        let bits = u64::from(byte & 0x7f);
        // The tenth byte has room for one bit.
        if bits << shift >> shift != bits {
            return Err(VarintError::TooLarge);
        }
        value |= bits << shift;
        if byte == 0 && shift > 0 {
            return Err(VarintError::NotShortest);
        }
        if byte < 0x80 {
            *bytes = rest;
            return Ok(value);
        }
    }
    Err(VarintError::TooLarge)
}

#[cfg(test)]
mod tests {
    use proptest::{collection, prelude::*};

    use super::*;

    proptest! {
        #[test]
        fn numbers_read_back(value: u64, shift in 0_u32..64, behind in collection::vec(any::<u8>(), 0..3)) {
            let value = value >> shift;
            let mut bytes = Vec::new();
            write(&mut bytes, value);
            bytes.extend(&behind);
            let mut rest = bytes.as_slice();
            prop_assert_eq!((read(&mut rest), rest), (Ok(value), behind.as_slice()));
        }

        #[test]
        fn what_is_read_is_written_in_the_same_bytes(bytes in collection::vec(any::<u8>(), 0..12)) {
            let mut rest = bytes.as_slice();
            match read(&mut rest) {
                Ok(value) => {
                    let mut written = Vec::new();
                    write(&mut written, value);
                    prop_assert_eq!(&written, &bytes[..bytes.len() - rest.len()]);
                }
                Err(_) => prop_assert_eq!(rest, bytes.as_slice()),
            }
        }
    }

    #[test]
    fn faults_are_told_apart() {
        let read = |mut bytes: &[u8]| read(&mut bytes);
        assert_eq!(read(&[]), Err(VarintError::Cut));
        assert_eq!(read(&[0x80]), Err(VarintError::Cut));
        assert_eq!(read(&[0xff, 0x00]), Err(VarintError::NotShortest));
        let mut bytes = [0xff; 10];
        assert_eq!(read(&bytes), Err(VarintError::TooLarge));
        bytes[9] = 1;
        assert_eq!(read(&bytes), Ok(u64::MAX));
        bytes[9] = 2;
        assert_eq!(read(&bytes), Err(VarintError::TooLarge));
    }
}
