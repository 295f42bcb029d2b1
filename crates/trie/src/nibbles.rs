//! Paths in a trie: up to 64 nibbles.

use std::fmt;

use zvm_core::B256;

/// A path: the first nibbles of a 32-byte key, 64 at most.
///
/// Paths are ordered as the keys below them are; a path comes before its continuations.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Nibbles {
    /// Two nibbles a byte, the earlier one in the high half, zero behind the end. With zeros there
    /// the derived order is that of the paths.
    bytes: [u8; 32],
    length: u8,
}

impl Nibbles {
    /// The path of the root.
    pub const EMPTY: Self = Self { bytes: [0; 32], length: 0 };

    /// The first `length` nibbles of `key`; all 64 if `length` is more.
    pub fn of_key(key: &B256, length: usize) -> Self {
        Self { bytes: key.0, length: 64 }.prefix(length)
    }

    /// A path from one nibble a byte. `None` if a byte is above 15 or there are more than 64.
    pub fn from_nibbles(nibbles: &[u8]) -> Option<Self> {
        if nibbles.len() > 64 {
            return None;
        }
        let mut path = Self::EMPTY;
        for &nibble in nibbles {
            if nibble > 15 {
                return None;
            }
            path = path.child(nibble);
        }
        Some(path)
    }

    /// The path packed as by [`as_bytes`](Self::as_bytes). `None` unless there are exactly the bytes
    /// for `length` nibbles, and zero in the unused half.
    pub fn from_packed(packed: &[u8], length: usize) -> Option<Self> {
        if length > 64 || packed.len() != length.div_ceil(2) {
            return None;
        }
        if !length.is_multiple_of(2) && packed[length / 2] & 0x0f != 0 {
            return None;
        }
        let mut bytes = [0; 32];
        bytes[..packed.len()].copy_from_slice(packed);
        Some(Self { bytes, length: length as u8 })
    }

    /// Number of nibbles.
    pub fn len(&self) -> usize {
        usize::from(self.length)
    }

    /// Whether this is the path of the root.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Nibble `index`; zero behind the end.
    pub fn get(&self, index: usize) -> u8 {
        match self.bytes.get(index / 2) {
            Some(byte) if index.is_multiple_of(2) => byte >> 4,
            Some(byte) => byte & 0x0f,
            None => 0,
        }
    }

    /// One nibble after the other. As bytes they keep the order of paths, so they make a good key:
    /// what hangs below a path is what begins with it.
    pub fn iter(&self) -> impl Iterator<Item = u8> + '_ {
        (0..self.len()).map(|index| self.get(index))
    }

    /// The nibbles, two a byte. An odd path ends in half a byte of zero.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len().div_ceil(2)]
    }

    /// The path with zeros behind it.
    pub(crate) fn padded(&self) -> &[u8; 32] {
        &self.bytes
    }

    /// The least key below this path: the path and zeros. Keys below it lie between this and
    /// [`last_key`](Self::last_key).
    pub fn first_key(&self) -> B256 {
        B256::new(self.bytes)
    }

    /// The greatest key below this path: the path and ones.
    pub fn last_key(&self) -> B256 {
        let mut bytes = self.bytes;
        let whole = self.len() / 2;
        let mut rest = whole;
        if !self.len().is_multiple_of(2) {
            bytes[whole] |= 0x0f;
            rest += 1;
        }
        bytes[rest..].fill(0xff);
        B256::new(bytes)
    }

    /// Whether `key` lies below this path.
    pub fn is_prefix_of(&self, key: &B256) -> bool {
        common_nibbles(&self.bytes, &key.0) >= self.len()
    }

    /// The first `length` nibbles; all of them if there are fewer.
    pub fn prefix(&self, length: usize) -> Self {
        if length >= self.len() {
            return *self;
        }
        let mut bytes = self.bytes;
        let mut rest = length / 2;
        if !length.is_multiple_of(2) {
            bytes[rest] &= 0xf0;
            rest += 1;
        }
        bytes[rest..].fill(0);
        Self { bytes, length: length as u8 }
    }

    /// The path one `nibble` (0 to 15) further down. A path of 64 has no children and stays.
    pub fn child(&self, nibble: u8) -> Self {
        let mut child = *self;
        if let Some(byte) = child.bytes.get_mut(self.len() / 2) {
            *byte |= if self.len().is_multiple_of(2) { nibble << 4 } else { nibble & 0x0f };
            child.length += 1;
        }
        child
    }

    /// This path and then `rest`. `None` if that is more than 64 nibbles.
    pub fn join(&self, rest: &Self) -> Option<Self> {
        if self.len() + rest.len() > 64 {
            return None;
        }
        let mut joined = *self;
        if self.len().is_multiple_of(2) {
            joined.bytes[self.len() / 2..][..rest.as_bytes().len()]
                .copy_from_slice(rest.as_bytes());
            joined.length += rest.length;
        } else {
            for nibble in rest.iter() {
                joined = joined.child(nibble);
            }
        }
        Some(joined)
    }

    /// The nibbles from `start` on.
    pub fn suffix(&self, start: usize) -> Self {
        let mut suffix = Self::EMPTY;
        if start.is_multiple_of(2) && start <= self.len() {
            let bytes = &self.bytes[start / 2..];
            suffix.bytes[..bytes.len()].copy_from_slice(bytes);
            suffix.length = self.length - start as u8;
        } else {
            for index in start..self.len() {
                suffix = suffix.child(self.get(index));
            }
        }
        suffix
    }
}

impl fmt::Display for Nibbles {
    /// A hexadecimal digit for each nibble; nothing for the root.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.iter().try_for_each(|nibble| write!(f, "{nibble:x}"))
    }
}

impl fmt::Debug for Nibbles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Nibbles({self})")
    }
}

/// How many nibbles two keys have in common at their start.
pub(crate) fn common_nibbles(a: &[u8; 32], b: &[u8; 32]) -> usize {
    match a.iter().zip(b).position(|(a, b)| a != b) {
        Some(byte) if (a[byte] ^ b[byte]) < 0x10 => 2 * byte + 1,
        Some(byte) => 2 * byte,
        None => 64,
    }
}

/// Nibble `index` (below 64) of a key.
pub(crate) fn key_nibble(key: &B256, index: usize) -> u8 {
    let byte = key.0[index / 2];
    if index.is_multiple_of(2) { byte >> 4 } else { byte & 0x0f }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(digits: &str) -> Nibbles {
        let nibbles: Vec<u8> =
            digits.chars().map(|digit| digit.to_digit(16).expect("a digit") as u8).collect();
        Nibbles::from_nibbles(&nibbles).expect("64 at most")
    }

    #[test]
    fn paths_are_cut_and_joined_at_every_nibble() {
        let whole = path("0123456789abcdef5");
        for cut in 0..=whole.len() {
            let (head, tail) = (whole.prefix(cut), whole.suffix(cut));
            assert_eq!((head.len(), tail.len()), (cut, whole.len() - cut));
            assert_eq!(head.join(&tail), Some(whole));
            assert_eq!(format!("{head}{tail}"), whole.to_string());
            assert_eq!(Nibbles::from_packed(head.as_bytes(), cut), Some(head));
        }
        assert_eq!(whole.suffix(40), Nibbles::EMPTY);
    }

    #[test]
    fn order_is_that_of_the_nibbles() {
        let mut paths = ["", "0", "00", "000", "01", "1", "f", "f0", "ff"].map(path);
        let sorted = paths;
        paths.reverse();
        paths.sort();
        assert_eq!(paths, sorted);
        paths.sort_by_key(|path| path.iter().collect::<Vec<_>>());
        assert_eq!(paths, sorted);
    }

    #[test]
    fn the_keys_below_a_path_are_a_range() {
        let path = path("abc");
        assert!(path.is_prefix_of(&path.first_key()) && path.is_prefix_of(&path.last_key()));
        assert_eq!(path.first_key()[..3], [0xab, 0xc0, 0x00]);
        assert_eq!(path.last_key()[..3], [0xab, 0xcf, 0xff]);
        assert!(!path.is_prefix_of(&B256::ZERO));
        assert_eq!(Nibbles::EMPTY.last_key(), B256::repeat_byte(0xff));
    }

    #[test]
    fn too_long_and_unclean_paths_are_refused() {
        assert_eq!(Nibbles::from_nibbles(&[0; 65]), None);
        assert_eq!(Nibbles::from_nibbles(&[16]), None);
        assert_eq!(Nibbles::from_packed(&[0x12], 1), None);
        assert_eq!(Nibbles::from_packed(&[0x12], 3), None);
        assert_eq!(Nibbles::from_packed(&[0; 33], 66), None);
        assert_eq!(path("1").join(&Nibbles::of_key(&B256::ZERO, 64)), None);
    }
}
