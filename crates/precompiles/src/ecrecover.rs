//! `ECREC`: who signed a hash. The curve is in `zvm-core`, which tells senders by it.

use zvm_core::{B256, Signature};

use crate::{PrecompileError, charge, input::padded};

/// `ECREC` (0x01): the address whose key signed a hash on secp256k1, 20 bytes after 12 zeros.
///
/// Input, zeros after its end: hash, `v` (27 or 28), `r`, `s`, 32 bytes each. A signature that
/// recovers to nobody is no failure: the output is empty. High `s` is valid, the limit of EIP-2
/// holds only for transactions.
/// Gas: 3000. Source: Yellow Paper, appendix E, since Frontier.
pub(crate) fn ecrecover(
    input: &[u8],
    gas: u64,
    output: &mut Vec<u8>,
) -> Result<u64, PrecompileError> {
    let price = charge(gas, 3000)?;
    let input = padded::<128>(input);
    let word = |index: usize| B256::from_slice(&input[32 * index..32 * (index + 1)]);
    let (hash, v, r, s) = (word(0), word(1), word(2), word(3));
    // `v` is a whole word, not only its last byte.
    if v[..31] == [0; 31]
        && let parity @ (0 | 1) = v[31].wrapping_sub(27)
        && let Some(signer) =
            (Signature { y_parity: parity == 1, r: r.into(), s: s.into() }).recover(hash)
    {
        output.extend_from_slice(signer.into_word().as_slice());
    }
    Ok(price)
}

#[cfg(test)]
mod tests {
    use zvm_core::hex;

    use super::*;

    /// Signature of a known key, `v` 28.
    const SIGNED: [u8; 128] = hex!(
        "456e9aea5e197a1f1af7a3e85a3212fa4049a3ba34c2289b4c860fc0b0c64ef3"
        "000000000000000000000000000000000000000000000000000000000000001c"
        "9242685bf161793cc25603c231bc2f568eb630ea16aa137d2664ac8038825608"
        "4f8ae3bd7535248d0bd448298cc2e2071e56992d0774dc340c368ae950852ada"
    );

    fn run(input: &[u8]) -> Vec<u8> {
        let mut output = Vec::new();
        assert_eq!(ecrecover(input, 3000, &mut output), Ok(3000));
        output
    }

    #[test]
    fn signature_recovers_to_its_signer() {
        let signer = hex!("0000000000000000000000007156526fbd7a3c72969b54f64e42c10fbb768c8a");
        assert_eq!(run(&SIGNED), signer);
        let longer = [&SIGNED[..], &[0xff; 9]].concat();
        assert_eq!(run(&longer), signer, "what follows the input does not count");
    }

    #[test]
    fn failed_recovery_gives_no_output_and_costs_the_same() {
        assert!(run(&[]).is_empty());
        for v in [0, 1, 26, 29, 255] {
            let mut input = SIGNED;
            input[63] = v;
            assert!(run(&input).is_empty(), "v = {v}");
        }
        let mut zero_s = SIGNED;
        zero_s[96..].fill(0);
        assert!(run(&zero_s).is_empty());
    }

    #[test]
    fn v_is_a_whole_word() {
        let mut input = SIGNED;
        input[32] = 1;
        assert!(run(&input).is_empty());
    }

    #[test]
    fn less_gas_than_the_price_is_out_of_gas() {
        let mut output = Vec::new();
        assert_eq!(ecrecover(&SIGNED, 2999, &mut output), Err(PrecompileError::OutOfGas));
        assert!(output.is_empty());
    }
}
