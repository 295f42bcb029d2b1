//! `KZG_POINT_EVALUATION`: what a blob's polynomial is at a point.
//!
//! One pairing equation over the curve of EIP-2537 decides. It needs a single constant of the
//! trusted setup, so neither its 4096 points nor the library that holds them are taken along.

use std::sync::LazyLock;

use sha2::{Digest, Sha256};
use zvm_core::{U256, hex, uint};

use crate::{
    PrecompileError, charge,
    curve::{G1, G2, Group, Scalar, pairings_cancel},
};

/// `KZG_POINT_EVALUATION` (0x0a): checks that a committed polynomial is `y` at `z`; then gives the
/// number of field elements in a blob and their modulus, 32 bytes each.
///
/// Input, exactly 192 bytes: versioned hash of the commitment (32), `z` (32), `y` (32), commitment
/// (48), proof (48). All that does not fit together is invalid input.
/// Gas: 50,000. Source: EIP-4844, since Cancun.
pub(crate) fn point_evaluation(
    input: &[u8],
    gas: u64,
    output: &mut Vec<u8>,
) -> Result<u64, PrecompileError> {
    let price = charge(gas, 50_000)?;
    let input: &[u8; 192] =
        input.try_into().map_err(|_| PrecompileError::InvalidInput("not 192 bytes"))?;
    let (versioned_hash, rest) = input.split_at(32);
    let (z, rest) = rest.split_first_chunk::<32>().expect("32 of 160 bytes");
    let (y, rest) = rest.split_first_chunk::<32>().expect("32 of 128 bytes");
    let (commitment, proof) = rest.split_at(48);

    let mut hash = Sha256::digest(commitment);
    hash[0] = VERSION;
    if hash[..] != *versioned_hash {
        return Err(PrecompileError::InvalidInput("the versioned hash is of another commitment"));
    }
    if !verify(commitment, z, y, proof)? {
        return Err(PrecompileError::InvalidInput("the proof does not hold"));
    }
    output.extend_from_slice(&U256::from(FIELD_ELEMENTS_PER_BLOB).to_be_bytes::<32>());
    output.extend_from_slice(&MODULUS.to_be_bytes::<32>());
    Ok(price)
}

/// EIP-4844: `VERSIONED_HASH_VERSION_KZG`.
const VERSION: u8 = 1;

/// EIP-4844: `FIELD_ELEMENTS_PER_BLOB`.
const FIELD_ELEMENTS_PER_BLOB: u64 = 4096;

/// EIP-4844: `BLS_MODULUS`, the order of the subgroups.
const MODULUS: U256 =
    uint!(52435875175126190479447740508185965837690552500527637822603658699938581184513_U256);

/// The constants of the equation.
struct Setup {
    /// The generator of G1.
    g1: G1,
    /// The negative generator of G2.
    minus_g2: G2,
    /// The generator of G2 times the secret of the ceremony.
    tau_g2: G2,
}

static SETUP: LazyLock<Setup> = LazyLock::new(|| {
    Setup {
    g1: G1::from_compressed(&hex!(
        "97f1d3a73197d7942695638c4fa9ac0fc3688c4f9774b905a14e3a3f171bac586c55e83ff97a1aeffb3af00adb22c6bb"
    ))
    .expect("the generator is in the subgroup"),
    // The published generator starts with 0x93: 0x20 is the sign of y.
    minus_g2: G2::from_compressed(&hex!(
        "b3e02b6052719f607dacd3a088274f65596bd0d09920b61ab5da61bbdc7f5049334cf11213945d57e5ac7d055d042b7e"
        "024aa2b2f08f0a91260805272dc51051c6e47ad4fa403b02b4510b647ae3d1770bac0326a805bbefd48056c8c121bdb8"
    ))
    .expect("the generator is in the subgroup"),
    // The second of the points `g2_monomial` in the consensus specifications' trusted setup.
    tau_g2: G2::from_compressed(&hex!(
        "b5bfd7dd8cdeb128843bc287230af38926187075cbfbefa81009a2ce615ac53d2914e5870cb452d2afaaab24f3499f72"
        "185cbfee53492714734429b7b38608e23926c911cceceac9a36851477ba4c60b087041de621000edc98edada20c1def2"
    ))
    .expect("the setup is in the subgroup"),
}
});

/// Whether the polynomial behind `commitment` is `y` at `z`. With the polynomial `p`, its quotient
/// `q` and the secret `tau` this is `p(tau) - y = q(tau) (tau - z)`, or, so that only points of G1
/// are multiplied, `e(commitment - y g1 + z proof, g2) = e(proof, tau g2)`.
fn verify(
    commitment: &[u8],
    z: &[u8; 32],
    y: &[u8; 32],
    proof: &[u8],
) -> Result<bool, PrecompileError> {
    let [z_value, y_value] = [z, y].map(|bytes| U256::from_be_bytes(*bytes));
    if z_value >= MODULUS || y_value >= MODULUS {
        return Err(PrecompileError::InvalidInput("z or y is not below the modulus"));
    }
    let point = |bytes| {
        G1::from_compressed(bytes)
            .ok_or(PrecompileError::InvalidInput("commitment or proof is no point of G1"))
    };
    let (commitment, proof) = (point(commitment)?, point(proof)?);
    let minus_y = Scalar::reduce(&(MODULUS - y_value).to_be_bytes());
    let shifted = G1::sum_of_products(&[(SETUP.g1, minus_y), (proof, Scalar::reduce(z))]);
    let left = commitment.sum(&shifted);
    Ok(pairings_cancel(&[(left, SETUP.minus_g2), (proof, SETUP.tau_g2)]))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The constant polynomial 0: commitment and proof are infinity, and `y` is 0 anywhere.
    fn constant_zero() -> [u8; 192] {
        let mut input = [0; 192];
        input[96] = 0xc0;
        input[144] = 0xc0;
        let mut hash = Sha256::digest(&input[96..144]);
        hash[0] = VERSION;
        input[..32].copy_from_slice(&hash);
        input[63] = 7;
        input
    }

    fn run(input: &[u8]) -> Result<Vec<u8>, PrecompileError> {
        let mut output = Vec::new();
        point_evaluation(input, 50_000, &mut output).map(|gas_used| {
            assert_eq!(gas_used, 50_000);
            output
        })
    }

    fn is_invalid(input: &[u8]) -> bool {
        matches!(run(input), Err(PrecompileError::InvalidInput(_)))
    }

    #[test]
    fn a_proof_that_holds_gives_blob_size_and_modulus() {
        let expected = hex!(
            "0000000000000000000000000000000000000000000000000000000000001000"
            "73eda753299d7d483339d80809a1d80553bda402fffe5bfeffffffff00000001"
        );
        assert_eq!(run(&constant_zero()), Ok(expected.to_vec()));
    }

    #[test]
    fn a_constant_is_no_other_constant() {
        let mut input = constant_zero();
        input[95] = 1;
        assert_eq!(run(&input), Err(PrecompileError::InvalidInput("the proof does not hold")));
    }

    #[test]
    fn versioned_hash_must_match_in_version_and_digest() {
        for at in [0, 1, 31] {
            let mut input = constant_zero();
            input[at] ^= 1;
            assert!(is_invalid(&input), "byte {at}");
        }
    }

    #[test]
    fn z_and_y_must_be_below_the_modulus() {
        for at in [32, 64] {
            let mut input = constant_zero();
            input[at..at + 32].copy_from_slice(&MODULUS.to_be_bytes::<32>());
            assert!(is_invalid(&input));
        }
    }

    #[test]
    fn only_192_bytes_are_valid() {
        let input = constant_zero();
        assert!(is_invalid(&input[..191]));
        assert!(is_invalid(&[&input[..], &[0]].concat()));
        assert!(is_invalid(&[]));
    }

    #[test]
    fn less_gas_than_the_price_is_out_of_gas() {
        let result = point_evaluation(&constant_zero(), 49_999, &mut Vec::new());
        assert_eq!(result, Err(PrecompileError::OutOfGas));
    }
}
