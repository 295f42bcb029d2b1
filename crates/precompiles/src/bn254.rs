//! `BN254_ADD`, `BN254_MUL` and `BN254_PAIRING` (alt_bn128), in two price lists, over arkworks.

use ark_bn254::{Bn254, Fq, Fq2, Fr, G1Affine, G2Affine};
use ark_ec::{AffineRepr, CurveGroup, pairing::Pairing};
use ark_ff::{BigInt, BigInteger, One, PrimeField, Zero};

use crate::{PrecompileError, charge, input::padded};

/// `BN254_ADD` (0x06): the sum of two points of G1, 64 bytes.
///
/// Input, zeros after its end: two points. A point of G1 is x and y, 32 bytes each, below the field
/// modulus; zeros are the point at infinity.
/// Gas: 500. Source: EIP-196, since Byzantium.
pub(crate) fn add_byzantium(
    input: &[u8],
    gas: u64,
    output: &mut Vec<u8>,
) -> Result<u64, PrecompileError> {
    add(input, charge(gas, 500)?, output)
}

/// `BN254_ADD` (0x06) as in [`add_byzantium`]. Gas: 150. Source: EIP-1108, since Istanbul.
pub(crate) fn add_istanbul(
    input: &[u8],
    gas: u64,
    output: &mut Vec<u8>,
) -> Result<u64, PrecompileError> {
    add(input, charge(gas, 150)?, output)
}

/// `BN254_MUL` (0x07): a point of G1 times a scalar of any 32 bytes, 64 bytes.
///
/// Input, zeros after its end: point and scalar.
/// Gas: 40,000. Source: EIP-196, since Byzantium.
pub(crate) fn mul_byzantium(
    input: &[u8],
    gas: u64,
    output: &mut Vec<u8>,
) -> Result<u64, PrecompileError> {
    mul(input, charge(gas, 40_000)?, output)
}

/// `BN254_MUL` (0x07) as in [`mul_byzantium`]. Gas: 6000. Source: EIP-1108, since Istanbul.
pub(crate) fn mul_istanbul(
    input: &[u8],
    gas: u64,
    output: &mut Vec<u8>,
) -> Result<u64, PrecompileError> {
    mul(input, charge(gas, 6000)?, output)
}

/// `BN254_PAIRING` (0x08): the word 1 if the product of the pairings is one, else the word 0.
///
/// Input: any number of pairs of 192 bytes, a point of G1 and one of G2. The latter is x and y of
/// 64 bytes each, imaginary part first, and must lie in the subgroup. No pairs at all make 1.
/// Gas: 100,000, and 80,000 per pair. Source: EIP-197, since Byzantium.
pub(crate) fn pairing_byzantium(
    input: &[u8],
    gas: u64,
    output: &mut Vec<u8>,
) -> Result<u64, PrecompileError> {
    pairing(input, charge(gas, pairing_price(input, 100_000, 80_000))?, output)
}

/// `BN254_PAIRING` (0x08) as in [`pairing_byzantium`].
///
/// Gas: 45,000, and 34,000 per pair. Source: EIP-1108, since Istanbul.
pub(crate) fn pairing_istanbul(
    input: &[u8],
    gas: u64,
    output: &mut Vec<u8>,
) -> Result<u64, PrecompileError> {
    pairing(input, charge(gas, pairing_price(input, 45_000, 34_000))?, output)
}

fn add(input: &[u8], price: u64, output: &mut Vec<u8>) -> Result<u64, PrecompileError> {
    let input = padded::<128>(input);
    let sum = read_g1(&input[..64])? + read_g1(&input[64..])?;
    write_g1(sum.into_affine(), output);
    Ok(price)
}

fn mul(input: &[u8], price: u64, output: &mut Vec<u8>) -> Result<u64, PrecompileError> {
    let input = padded::<96>(input);
    let point = read_g1(&input[..64])?;
    // All of G1 has prime order, so a scalar may be cut down by it. Points in projective form are
    // multiplied by way of the endomorphism (GLV), affine ones are not.
    let product = point.into_group() * Fr::from_be_bytes_mod_order(&input[64..]);
    write_g1(product.into_affine(), output);
    Ok(price)
}

/// Bytes of a pair of points.
const PAIR: usize = 192;

fn pairing_price(input: &[u8], base: u64, per_pair: u64) -> u64 {
    ((input.len() / PAIR) as u64).saturating_mul(per_pair).saturating_add(base)
}

fn pairing(input: &[u8], price: u64, output: &mut Vec<u8>) -> Result<u64, PrecompileError> {
    let (pairs, []) = input.as_chunks::<PAIR>() else {
        return Err(PrecompileError::InvalidInput("not a multiple of 192 bytes"));
    };
    let mut g1 = Vec::with_capacity(pairs.len());
    let mut g2 = Vec::with_capacity(pairs.len());
    for pair in pairs {
        let (p, q) = (read_g1(&pair[..64])?, read_g2(&pair[64..])?);
        // Infinity pairs to one with everything.
        if !p.is_zero() && !q.is_zero() {
            g1.push(p);
            g2.push(q);
        }
    }
    let is_one = g1.is_empty() || Bn254::multi_pairing(g1, g2).0.is_one();
    output.extend_from_slice(&[0; 31]);
    output.push(u8::from(is_one));
    Ok(price)
}

/// A point of G1 in 64 bytes. Its subgroup is the whole curve.
fn read_g1(bytes: &[u8]) -> Result<G1Affine, PrecompileError> {
    let (x, y) = (read_fq(&bytes[..32])?, read_fq(&bytes[32..])?);
    if x.is_zero() && y.is_zero() {
        return Ok(G1Affine::identity());
    }
    let point = G1Affine::new_unchecked(x, y);
    if point.is_on_curve() { Ok(point) } else { Err(NOT_ON_CURVE) }
}

/// A point of G2 in 128 bytes.
fn read_g2(bytes: &[u8]) -> Result<G2Affine, PrecompileError> {
    let part = |at: usize| read_fq(&bytes[at..at + 32]);
    // `new` takes the real part first.
    let x = Fq2::new(part(32)?, part(0)?);
    let y = Fq2::new(part(96)?, part(64)?);
    if x.is_zero() && y.is_zero() {
        return Ok(G2Affine::identity());
    }
    let point = G2Affine::new_unchecked(x, y);
    if !point.is_on_curve() {
        Err(NOT_ON_CURVE)
    } else if !point.is_in_correct_subgroup_assuming_on_curve() {
        Err(PrecompileError::InvalidInput("a point is not in the subgroup"))
    } else {
        Ok(point)
    }
}

const NOT_ON_CURVE: PrecompileError = PrecompileError::InvalidInput("a point is not on the curve");

/// A field element in 32 bytes, big-endian.
fn read_fq(bytes: &[u8]) -> Result<Fq, PrecompileError> {
    let mut limbs = [0; 4];
    for (limb, bytes) in limbs.iter_mut().rev().zip(bytes.as_chunks::<8>().0) {
        *limb = u64::from_be_bytes(*bytes);
    }
    Fq::from_bigint(BigInt::new(limbs))
        .ok_or(PrecompileError::InvalidInput("a coordinate is not below the field modulus"))
}

fn write_g1(point: G1Affine, output: &mut Vec<u8>) {
    // Infinity has no coordinates and is written as zeros.
    let (x, y) = point.xy().unwrap_or_default();
    output.extend_from_slice(&x.into_bigint().to_bytes_be());
    output.extend_from_slice(&y.into_bigint().to_bytes_be());
}

#[cfg(test)]
mod tests {
    use zvm_core::{U256, hex, uint};

    use super::*;
    use crate::PrecompileFn;

    /// EIP-196: the field modulus.
    const P: U256 =
        uint!(21888242871839275222246405745257275088696311157297823662689037894645226208583_U256);

    fn words(words: &[U256]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_be_bytes::<32>()).collect()
    }

    fn run(precompile: PrecompileFn, input: &[u8]) -> Result<(u64, Vec<u8>), PrecompileError> {
        let mut output = Vec::new();
        precompile(input, 1 << 30, &mut output).map(|gas_used| (gas_used, output))
    }

    #[test]
    fn twice_the_generator_is_the_generator_and_itself() {
        let [x, y] = [U256::from(1), U256::from(2)];
        let (_, sum) = run(add_istanbul, &words(&[x, y, x, y])).unwrap();
        let (_, product) = run(mul_istanbul, &words(&[x, y, U256::from(2)])).unwrap();
        assert_eq!(sum, product);
        assert_eq!(
            sum[..32],
            hex!("030644e72e131a029b85045b68181585d97816a916871ca8d3c208c16d87cfd3")
        );
    }

    #[test]
    fn a_point_and_its_negative_add_to_infinity() {
        let [x, y] = [U256::from(1), U256::from(2)];
        let (_, sum) = run(add_istanbul, &words(&[x, y, x, P - y])).unwrap();
        assert_eq!(sum, [0; 64]);
    }

    #[test]
    fn input_missing_is_zero_and_input_left_over_is_ignored() {
        assert_eq!(run(add_byzantium, &[]), Ok((500, vec![0; 64])));
        assert_eq!(run(mul_byzantium, &[]), Ok((40_000, vec![0; 64])));
        let generator = words(&[U256::from(1), U256::from(2)]);
        assert_eq!(run(add_istanbul, &generator), Ok((150, generator.clone())));
        let mut longer = generator.clone();
        longer.resize(200, 0);
        longer.push(1);
        assert_eq!(run(add_istanbul, &longer), Ok((150, generator)));
    }

    #[test]
    fn scalar_of_all_ones_is_taken_modulo_the_order() {
        let [x, y] = [U256::from(1), U256::from(2)];
        let order = uint!(
            21888242871839275222246405745257275088548364400416034343698204186575808495617_U256
        );
        let (_, whole) = run(mul_istanbul, &words(&[x, y, U256::MAX])).unwrap();
        let (_, reduced) = run(mul_istanbul, &words(&[x, y, U256::MAX % order])).unwrap();
        assert_eq!(whole, reduced);
        assert_eq!(run(mul_istanbul, &words(&[x, y, order])).unwrap().1, [0; 64]);
    }

    #[test]
    fn coordinates_must_be_reduced_and_on_the_curve() {
        let [one, two] = [U256::from(1), U256::from(2)];
        for point in [[one, one], [P, U256::ZERO], [one + P, two], [U256::ZERO, P]] {
            for precompile in [add_istanbul, mul_istanbul] {
                let result = run(precompile, &words(&point));
                assert!(matches!(result, Err(PrecompileError::InvalidInput(_))), "{point:?}");
            }
        }
    }

    #[test]
    fn no_pairs_multiply_to_one() {
        let one = words(&[U256::from(1)]);
        assert_eq!(run(pairing_byzantium, &[]), Ok((100_000, one.clone())));
        assert_eq!(run(pairing_istanbul, &[]), Ok((45_000, one.clone())));
        assert_eq!(run(pairing_istanbul, &[0; 384]), Ok((45_000 + 2 * 34_000, one)));
    }

    #[test]
    fn pairs_come_in_whole() {
        for len in [1, 191, 193] {
            let result = run(pairing_istanbul, &vec![0; len]);
            assert!(matches!(result, Err(PrecompileError::InvalidInput(_))), "{len} bytes");
        }
    }

    #[test]
    fn a_point_off_the_subgroup_of_g2_is_invalid() {
        // The curve over Fq2 has a large cofactor: the first x that gives a point is no member.
        let point = (1u64..)
            .find_map(|x| G2Affine::get_point_from_x_unchecked(Fq2::from(x), false))
            .expect("half of all x give a point");
        assert!(!point.is_in_correct_subgroup_assuming_on_curve());
        let mut input = vec![0; 64];
        for part in [point.x.c1, point.x.c0, point.y.c1, point.y.c0] {
            input.extend_from_slice(&part.into_bigint().to_bytes_be());
        }
        assert!(matches!(run(pairing_istanbul, &input), Err(PrecompileError::InvalidInput(_))));
    }
}
