//! Reading call data, which for most precompiles continues with zeros for ever.

/// The first `N` bytes of `input`, filled up with zeros.
pub(crate) fn padded<const N: usize>(input: &[u8]) -> [u8; N] {
    let mut bytes = [0; N];
    let len = input.len().min(N);
    bytes[..len].copy_from_slice(&input[..len]);
    bytes
}

/// The bytes of `input` from `offset`, at most `len` of them; none where the input has ended.
pub(crate) fn slice(input: &[u8], offset: usize, len: usize) -> &[u8] {
    let rest = input.get(offset..).unwrap_or_default();
    &rest[..len.min(rest.len())]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn input_continues_with_zeros() {
        assert_eq!(padded::<4>(&[1, 2]), [1, 2, 0, 0]);
        assert_eq!(padded::<2>(&[1, 2, 3]), [1, 2]);
    }

    #[test]
    fn slice_ends_with_the_input() {
        assert_eq!(slice(&[1, 2, 3], 1, 5), [2, 3]);
        assert_eq!(slice(&[1, 2, 3], 0, 2), [1, 2]);
        assert!(slice(&[1, 2, 3], usize::MAX, usize::MAX).is_empty());
    }
}
