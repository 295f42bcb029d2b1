//! Valid points of the three curves, in the encodings of the precompiles.

use num_bigint::BigUint;
use proptest::prelude::*;
use zvm_core::hex;

use crate::{output, word};

/// `bytes` as a number, taken from `modulus` in hexadecimal; as long as before.
pub(crate) fn negate(bytes: &[u8], modulus: &str) -> Vec<u8> {
    let modulus = BigUint::from_bytes_be(&hex::decode(modulus).unwrap());
    let difference = (&modulus - BigUint::from_bytes_be(bytes)) % &modulus;
    let digits = difference.to_bytes_be();
    [vec![0; bytes.len() - digits.len()], digits].concat()
}

pub(crate) const BN254_MODULUS: &str =
    "30644e72e131a029b85045b68181585d97816a916871ca8d3c208c16d87cfd47";

/// A multiple of the generator, 64 bytes.
pub(crate) fn bn254_g1() -> impl Strategy<Value = Vec<u8>> {
    word().prop_map(|scalar| {
        let mut input = [0; 96];
        input[31] = 1;
        input[63] = 2;
        input[64..].copy_from_slice(&scalar);
        output(0x07, &input)
    })
}

/// A multiple of the generator of the second group, 128 bytes.
pub(crate) fn bn254_g2(scalar: u64) -> Vec<u8> {
    use ark_ec::{AffineRepr, CurveGroup};
    use ark_ff::{BigInteger, PrimeField};

    let point = (ark_bn254::G2Affine::generator() * ark_bn254::Fr::from(scalar)).into_affine();
    let Some((x, y)) = point.xy() else { return vec![0; 128] };
    [x.c1, x.c0, y.c1, y.c0].iter().flat_map(|part| part.into_bigint().to_bytes_be()).collect()
}

pub(crate) const BLS_MODULUS: &str = "1a0111ea397fe69a4b1ba7b6434bacd764774b84f38512bf6730d2a0f6b0f624\
                           1eabfffeb153ffffb9feffffffffaaab";

/// A field element, 64 bytes.
pub(crate) fn bls_fp(seed: [u8; 32]) -> Vec<u8> {
    [&[0; 32][..], &seed].concat()
}

/// A point of the first subgroup, 128 bytes.
pub(crate) fn bls_g1(seed: [u8; 32]) -> Vec<u8> {
    output(0x10, &bls_fp(seed))
}

/// A point of the second subgroup, 256 bytes.
pub(crate) fn bls_g2(seed: [u8; 32]) -> Vec<u8> {
    output(0x11, &[bls_fp(seed), bls_fp([7; 32])].concat())
}

/// A point of the first curve outside the subgroup: (0, 2), of order 3.
pub(crate) fn outsider() -> [u8; 128] {
    let mut point = [0; 128];
    point[127] = 2;
    point
}

/// The generator of the first subgroup, 128 bytes.
pub(crate) fn bls_generator() -> Vec<u8> {
    let x = hex!(
        "17f1d3a73197d7942695638c4fa9ac0fc3688c4f9774b905a14e3a3f171bac58"
        "6c55e83ff97a1aeffb3af00adb22c6bb"
    );
    let y = hex!(
        "08b3f481e3aaa0f1a09e30ed741d8ae4fcf5e095d5d00af600db18cb2c04b3ed"
        "d03cc744a2888ae40caa232946c5e7e1"
    );
    [&[0; 16][..], &x, &[0; 16], &y].concat()
}

/// The generator times the secret of the ceremony: the second of the points `g1_monomial` in the
/// consensus specifications' trusted setup, 128 bytes.
pub(crate) fn tau_g1() -> Vec<u8> {
    decompress(&hex!(
        "ad3eb50121139aa34db1d545093ac9374ab7bca2c0f3bf28e27c8dcd8fc7cb42d25926fc0c97b336e9f0fb35e5a04c81"
    ))
}

/// The point on the first curve with this compressed form, which must not be infinity.
pub(crate) fn decompress(bytes: &[u8; 48]) -> Vec<u8> {
    let modulus = BigUint::from_bytes_be(&hex::decode(BLS_MODULUS).unwrap());
    let mut x = *bytes;
    x[0] &= 0x1f;
    let value = BigUint::from_bytes_be(&x);
    // y^2 = x^3 + 4; the modulus is 3 modulo 4, so a power gives the root.
    let square = (value.pow(3) + 4u8) % &modulus;
    let root = square.modpow(&((&modulus + 1u8) / 4u8), &modulus);
    assert_eq!(root.modpow(&BigUint::from(2u8), &modulus), square, "x is on the curve");
    let digits = root.to_bytes_be();
    let y = [vec![0; 48 - digits.len()], digits].concat();
    let other = negate(&y, BLS_MODULUS);
    let (low, high) = if y < other { (y, other) } else { (other, y) };
    let y = if bytes[0] & 0x20 == 0 { low } else { high };
    [&[0; 16][..], &x, &[0; 16], &y].concat()
}

/// The compressed form of a point of 128 bytes, 48 bytes.
pub(crate) fn compress(point: &[u8]) -> Vec<u8> {
    if point.iter().all(|&byte| byte == 0) {
        let mut infinity = vec![0; 48];
        infinity[0] = 0xc0;
        return infinity;
    }
    let (x, y) = (&point[16..64], &point[80..]);
    let is_larger = *y > *negate(y, BLS_MODULUS);
    let mut compressed = x.to_vec();
    compressed[0] |= 0x80 | if is_larger { 0x20 } else { 0 };
    compressed
}
