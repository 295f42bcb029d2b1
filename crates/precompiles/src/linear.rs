//! The precompiles priced by the word: `SHA256`, `RIPEMD160` and `ID`.

use ripemd::Ripemd160;
use sha2::{Digest, Sha256};

use crate::{PrecompileError, charge};

/// `SHA256` (0x02): the SHA-256 digest of the input, 32 bytes.
///
/// Gas: 60, and 12 per word. Source: Yellow Paper, appendix E, since Frontier.
pub(crate) fn sha256(input: &[u8], gas: u64, output: &mut Vec<u8>) -> Result<u64, PrecompileError> {
    let price = charge(gas, linear(input, 60, 12))?;
    output.extend_from_slice(&Sha256::digest(input));
    Ok(price)
}

/// `RIPEMD160` (0x03): the RIPEMD-160 digest of the input, 20 bytes after 12 zeros.
///
/// Gas: 600, and 120 per word. Source: Yellow Paper, appendix E, since Frontier.
pub(crate) fn ripemd160(
    input: &[u8],
    gas: u64,
    output: &mut Vec<u8>,
) -> Result<u64, PrecompileError> {
    let price = charge(gas, linear(input, 600, 120))?;
    output.extend_from_slice(&[0; 12]);
    output.extend_from_slice(&Ripemd160::digest(input));
    Ok(price)
}

/// `ID` (0x04): the input.
///
/// Gas: 15, and 3 per word. Source: Yellow Paper, appendix E, since Frontier.
pub(crate) fn identity(
    input: &[u8],
    gas: u64,
    output: &mut Vec<u8>,
) -> Result<u64, PrecompileError> {
    let price = charge(gas, linear(input, 15, 3))?;
    output.extend_from_slice(input);
    Ok(price)
}

/// `base`, and `per_word` for each 32 bytes begun.
fn linear(input: &[u8], base: u64, per_word: u64) -> u64 {
    (input.len().div_ceil(32) as u64).saturating_mul(per_word).saturating_add(base)
}

#[cfg(test)]
mod tests {
    use zvm_core::hex;

    use super::*;
    use crate::PrecompileFn;

    fn run(precompile: PrecompileFn, input: &[u8]) -> (u64, Vec<u8>) {
        let mut output = Vec::new();
        let gas_used = precompile(input, u64::MAX, &mut output).expect("nothing is invalid here");
        (gas_used, output)
    }

    #[test]
    fn digests_of_nothing_are_the_published_ones() {
        let sha256_of_nothing =
            hex!("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        assert_eq!(run(sha256, b""), (60, sha256_of_nothing.to_vec()));
        let ripemd160_of_nothing =
            hex!("0000000000000000000000009c1185a5c5e9fc54612808977ee8f548b2258d31");
        assert_eq!(run(ripemd160, b""), (600, ripemd160_of_nothing.to_vec()));
        assert_eq!(run(identity, b""), (15, Vec::new()));
    }

    #[test]
    fn a_word_begun_is_a_word_paid() {
        assert_eq!(run(identity, &[7; 32]), (18, vec![7; 32]));
        assert_eq!(run(identity, &[7; 33]), (21, vec![7; 33]));
        assert_eq!(run(sha256, &[7; 33]).0, 84);
        assert_eq!(run(ripemd160, &[7; 33]).0, 840);
    }

    #[test]
    fn the_price_itself_is_enough_gas_and_one_less_is_not() {
        let mut output = Vec::new();
        for (precompile, price) in [(sha256 as PrecompileFn, 72), (ripemd160, 720), (identity, 18)]
        {
            assert_eq!(precompile(b"a", price, &mut output), Ok(price));
            assert_eq!(precompile(b"a", price - 1, &mut output), Err(PrecompileError::OutOfGas));
        }
    }
}
