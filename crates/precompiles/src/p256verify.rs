//! `P256VERIFY`: signatures on secp256r1, the curve of passkeys and secure enclaves.

use p256::ecdsa::{Signature, VerifyingKey, signature::hazmat::PrehashVerifier};

use crate::{PrecompileError, charge};

/// `P256VERIFY` (0x100): the word 1 if a signature on secp256r1 is valid, else no output.
///
/// Input, exactly 160 bytes: hash, r, s, x and y of the public key, 32 bytes each. Whatever is
/// wrong, length included, is an invalid signature and no failure. High `s` is valid.
/// Gas: 6900. Source: EIP-7951, since Osaka.
pub(crate) fn p256verify(
    input: &[u8],
    gas: u64,
    output: &mut Vec<u8>,
) -> Result<u64, PrecompileError> {
    let price = charge(gas, 6900)?;
    if input.try_into().is_ok_and(is_valid) {
        output.extend_from_slice(&[0; 31]);
        output.push(1);
    }
    Ok(price)
}

fn is_valid(input: &[u8; 160]) -> bool {
    let (hash, rest) = input.split_at(32);
    let (signature, key) = rest.split_at(64);
    // SEC 1 puts the tag 4 before an uncompressed point.
    let mut point = [4; 65];
    point[1..].copy_from_slice(key);
    // Both constructors check their ranges, and that the point is on the curve.
    match (Signature::from_slice(signature), VerifyingKey::from_sec1_bytes(&point)) {
        (Ok(signature), Ok(key)) => key.verify_prehash(hash, &signature).is_ok(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use p256::ecdsa::{SigningKey, signature::hazmat::PrehashSigner};

    use super::*;

    fn signed() -> [u8; 160] {
        let key = SigningKey::from_slice(&[7; 32]).unwrap();
        let hash = [0x11; 32];
        let signature: Signature = key.sign_prehash(&hash).unwrap();
        let point = key.verifying_key().to_sec1_point(false);
        [&hash, &signature.to_bytes()[..], &point.as_bytes()[1..]].concat().try_into().unwrap()
    }

    fn run(input: &[u8]) -> Vec<u8> {
        let mut output = Vec::new();
        assert_eq!(p256verify(input, 6900, &mut output), Ok(6900));
        output
    }

    #[test]
    fn valid_signature_gives_the_word_one() {
        let mut one = [0; 32];
        one[31] = 1;
        assert_eq!(run(&signed()), one);
    }

    #[test]
    fn anything_wrong_gives_no_output() {
        let valid = signed();
        assert!(run(&[]).is_empty());
        assert!(run(&valid[..159]).is_empty());
        assert!(run(&[&valid[..], &[0]].concat()).is_empty());
        for at in [0, 32, 64, 96, 128] {
            let mut flipped = valid;
            flipped[at] ^= 1;
            assert!(run(&flipped).is_empty(), "byte {at}");
            let mut zeroed = valid;
            zeroed[at..at + 32].fill(0);
            assert!(run(&zeroed).is_empty(), "word at {at}");
        }
    }

    #[test]
    fn less_gas_than_the_price_is_out_of_gas() {
        let result = p256verify(&signed(), 6899, &mut Vec::new());
        assert_eq!(result, Err(PrecompileError::OutOfGas));
    }
}
