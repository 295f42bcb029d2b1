//! The seven precompiles of EIP-2537 for the curve BLS12-381: encodings and prices.

use crate::{
    PrecompileError, charge,
    curve::{Field, Fp, Fp2, G1, G2, Group, Scalar, fp_from_bytes, fp_to_bytes, pairings_cancel},
};

/// `BLS12_G1ADD` (0x0b): the sum of two points of G1, 128 bytes.
///
/// Input, exactly 256 bytes: two points on the curve, in the subgroup or not. A point of G1 is x
/// and y; each is 16 zeros and 48 bytes below the field modulus. Zeros are infinity.
/// Gas: 375. Source: EIP-2537, since Prague.
pub(crate) fn g1_add(input: &[u8], gas: u64, output: &mut Vec<u8>) -> Result<u64, PrecompileError> {
    add::<G1>(input, charge(gas, 375)?, output)
}

/// `BLS12_G2ADD` (0x0d): the sum of two points of G2, 256 bytes.
///
/// Input, exactly 512 bytes: two points on the curve, in the subgroup or not. A point of G2 is x
/// and y, each a real and an imaginary part as in [`g1_add`].
/// Gas: 600. Source: EIP-2537, since Prague.
pub(crate) fn g2_add(input: &[u8], gas: u64, output: &mut Vec<u8>) -> Result<u64, PrecompileError> {
    add::<G2>(input, charge(gas, 600)?, output)
}

/// `BLS12_G1MSM` (0x0c): the sum of points of G1, each times a scalar, 128 bytes.
///
/// Input: at least one term of 160 bytes, a point of the subgroup and a scalar of any 32 bytes.
/// Gas: 12,000 per term, less a discount that grows with their number. Source: EIP-2537, since
/// Prague.
pub(crate) fn g1_msm(input: &[u8], gas: u64, output: &mut Vec<u8>) -> Result<u64, PrecompileError> {
    let price = msm_price(input.len() / 160, 12_000, &G1_DISCOUNT);
    msm::<G1, 160>(input, charge(gas, price)?, output)
}

/// `BLS12_G2MSM` (0x0e): the sum of points of G2, each times a scalar, 256 bytes.
///
/// Input: at least one term of 288 bytes, a point of the subgroup and a scalar of any 32 bytes.
/// Gas: 22,500 per term, less a discount that grows with their number. Source: EIP-2537, since
/// Prague.
pub(crate) fn g2_msm(input: &[u8], gas: u64, output: &mut Vec<u8>) -> Result<u64, PrecompileError> {
    let price = msm_price(input.len() / 288, 22_500, &G2_DISCOUNT);
    msm::<G2, 288>(input, charge(gas, price)?, output)
}

/// `BLS12_PAIRING_CHECK` (0x0f): the word 1 if the product of the pairings is one, else the word 0.
///
/// Input: at least one pair of 384 bytes, a point of the subgroup of G1 and one of that of G2.
/// Gas: 37,700, and 32,600 per pair. Source: EIP-2537, since Prague.
pub(crate) fn pairing_check(
    input: &[u8],
    gas: u64,
    output: &mut Vec<u8>,
) -> Result<u64, PrecompileError> {
    let price = ((input.len() / 384) as u64).saturating_mul(32_600).saturating_add(37_700);
    let price = charge(gas, price)?;
    let pairs = chunks::<384>(input)?
        .iter()
        .map(|pair| {
            let (p, q) = pair.split_at(128);
            Ok((read_member::<G1>(p)?, read_member::<G2>(q)?))
        })
        .collect::<Result<Vec<_>, _>>()?;
    output.extend_from_slice(&[0; 31]);
    output.push(u8::from(pairings_cancel(&pairs)));
    Ok(price)
}

/// `BLS12_MAP_FP_TO_G1` (0x10): a point of the subgroup of G1 for a field element, 128 bytes.
///
/// Input, exactly 64 bytes: 16 zeros and 48 bytes below the field modulus.
/// Gas: 5500. Source: EIP-2537, since Prague.
pub(crate) fn map_fp_to_g1(
    input: &[u8],
    gas: u64,
    output: &mut Vec<u8>,
) -> Result<u64, PrecompileError> {
    let price = charge(gas, 5500)?;
    write_point(&G1::map(&read_field::<Fp>(exactly(input, 64)?)?), output);
    Ok(price)
}

/// `BLS12_MAP_FP2_TO_G2` (0x11): a point of the subgroup of G2 for a field element, 256 bytes.
///
/// Input, exactly 128 bytes: real and imaginary part as in [`map_fp_to_g1`].
/// Gas: 23,800. Source: EIP-2537, since Prague.
pub(crate) fn map_fp2_to_g2(
    input: &[u8],
    gas: u64,
    output: &mut Vec<u8>,
) -> Result<u64, PrecompileError> {
    let price = charge(gas, 23_800)?;
    write_point(&G2::map(&read_field::<Fp2>(exactly(input, 128)?)?), output);
    Ok(price)
}

fn add<G: Group>(input: &[u8], price: u64, output: &mut Vec<u8>) -> Result<u64, PrecompileError> {
    let (left, right) = exactly(input, 2 * point_len::<G>())?.split_at(point_len::<G>());
    // The one operation without a check of the subgroup: it would cost more than the addition.
    write_point(&read_point::<G>(left)?.sum(&read_point(right)?), output);
    Ok(price)
}

fn msm<G: Group, const TERM: usize>(
    input: &[u8],
    price: u64,
    output: &mut Vec<u8>,
) -> Result<u64, PrecompileError> {
    let terms = chunks::<TERM>(input)?
        .iter()
        .map(|term| {
            let (point, scalar) = term.split_last_chunk::<32>().expect("a scalar ends the term");
            Ok((read_member::<G>(point)?, Scalar::reduce(scalar)))
        })
        .collect::<Result<Vec<_>, _>>()?;
    write_point(&G::sum_of_products(&terms), output);
    Ok(price)
}

/// `per_term` for each term, times a discount in thousandths by their number.
fn msm_price(terms: usize, per_term: u64, discount: &[u16; 128]) -> u64 {
    // No terms are invalid, so their price does not matter.
    let discount = discount[terms.clamp(1, discount.len()) - 1];
    (terms as u64).saturating_mul(per_term * u64::from(discount)) / 1000
}

/// EIP-2537: discount of `BLS12_G1MSM` in thousandths, by the number of terms from 1 on.
#[rustfmt::skip]
const G1_DISCOUNT: [u16; 128] = [
    1000,  949,  848,  797,  764,  750,  738,  728,  719,  712,  705,  698,  692,  687,  682,  677,
     673,  669,  665,  661,  658,  654,  651,  648,  645,  642,  640,  637,  635,  632,  630,  627,
     625,  623,  621,  619,  617,  615,  613,  611,  609,  608,  606,  604,  603,  601,  599,  598,
     596,  595,  593,  592,  591,  589,  588,  586,  585,  584,  582,  581,  580,  579,  577,  576,
     575,  574,  573,  572,  570,  569,  568,  567,  566,  565,  564,  563,  562,  561,  560,  559,
     558,  557,  556,  555,  554,  553,  552,  551,  550,  549,  548,  547,  547,  546,  545,  544,
     543,  542,  541,  540,  540,  539,  538,  537,  536,  536,  535,  534,  533,  532,  532,  531,
     530,  529,  528,  528,  527,  526,  525,  525,  524,  523,  522,  522,  521,  520,  520,  519,
];

/// EIP-2537: discount of `BLS12_G2MSM` in thousandths, by the number of terms from 1 on.
#[rustfmt::skip]
const G2_DISCOUNT: [u16; 128] = [
    1000, 1000,  923,  884,  855,  832,  812,  796,  782,  770,  759,  749,  740,  732,  724,  717,
     711,  704,  699,  693,  688,  683,  679,  674,  670,  666,  663,  659,  655,  652,  649,  646,
     643,  640,  637,  634,  632,  629,  627,  624,  622,  620,  618,  615,  613,  611,  609,  607,
     606,  604,  602,  600,  598,  597,  595,  593,  592,  590,  589,  587,  586,  584,  583,  582,
     580,  579,  578,  576,  575,  574,  573,  571,  570,  569,  568,  567,  566,  565,  563,  562,
     561,  560,  559,  558,  557,  556,  555,  554,  553,  552,  552,  551,  550,  549,  548,  547,
     546,  545,  545,  544,  543,  542,  541,  541,  540,  539,  538,  537,  537,  536,  535,  535,
     534,  533,  532,  532,  531,  530,  530,  529,  528,  528,  527,  526,  526,  525,  524,  524,
];

fn exactly(input: &[u8], len: usize) -> Result<&[u8], PrecompileError> {
    if input.len() == len { Ok(input) } else { Err(WRONG_LEN) }
}

/// The whole input in parts of `N` bytes, at least one.
fn chunks<const N: usize>(input: &[u8]) -> Result<&[[u8; N]], PrecompileError> {
    match input.as_chunks::<N>() {
        (parts, []) if !parts.is_empty() => Ok(parts),
        _ => Err(WRONG_LEN),
    }
}

const WRONG_LEN: PrecompileError = PrecompileError::InvalidInput("wrong length");

/// Bytes of an element of the base field.
const FP_LEN: usize = 64;

fn point_len<G: Group>() -> usize {
    2 * FP_LEN * G::Field::default().parts().len()
}

/// A point on the curve, as long as the group's points are.
fn read_point<G: Group>(bytes: &[u8]) -> Result<G, PrecompileError> {
    if bytes.iter().all(|&byte| byte == 0) {
        return Ok(G::default());
    }
    let (x, y) = bytes.split_at(bytes.len() / 2);
    G::new(read_field(x)?, read_field(y)?)
        .ok_or(PrecompileError::InvalidInput("a point is not on the curve"))
}

/// A point of the subgroup.
fn read_member<G: Group>(bytes: &[u8]) -> Result<G, PrecompileError> {
    let point = read_point::<G>(bytes)?;
    // Infinity is in every group, and asking costs as much as for any other point.
    if point.is_infinity() || point.is_in_subgroup() {
        Ok(point)
    } else {
        Err(PrecompileError::InvalidInput("a point is not in the subgroup"))
    }
}

fn read_field<F: Field>(bytes: &[u8]) -> Result<F, PrecompileError> {
    let mut element = F::default();
    for (part, bytes) in element.parts_mut().iter_mut().zip(bytes.as_chunks::<FP_LEN>().0) {
        let (zeros, bytes) = bytes.split_last_chunk::<48>().expect("48 of 64 bytes");
        if zeros.iter().any(|&byte| byte != 0) {
            return Err(PrecompileError::InvalidInput("a coordinate is longer than 48 bytes"));
        }
        *part = fp_from_bytes(bytes)
            .ok_or(PrecompileError::InvalidInput("a coordinate is not below the field modulus"))?;
    }
    Ok(element)
}

fn write_point<G: Group>(point: &G, output: &mut Vec<u8>) {
    for part in point.coordinates().into_iter().flat_map(Field::parts) {
        output.extend_from_slice(&[0; 16]);
        output.extend_from_slice(&fp_to_bytes(part));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{PrecompileFn, curve::FP_MODULUS};

    fn run(precompile: PrecompileFn, input: &[u8]) -> Result<(u64, Vec<u8>), PrecompileError> {
        let mut output = Vec::new();
        precompile(input, 1 << 30, &mut output).map(|gas_used| (gas_used, output))
    }

    fn is_invalid(precompile: PrecompileFn, input: &[u8]) -> bool {
        matches!(run(precompile, input), Err(PrecompileError::InvalidInput(_)))
    }

    /// A point of G1 outside the subgroup: (0, 2) solves y^2 = x^3 + 4 and has order 3.
    fn outsider() -> [u8; 128] {
        let mut point = [0; 128];
        point[127] = 2;
        point
    }

    /// A point of the subgroup of G1.
    fn member() -> Vec<u8> {
        run(map_fp_to_g1, &[0; 64]).unwrap().1
    }

    #[test]
    fn only_addition_takes_points_off_the_subgroup() {
        let twice = [outsider(), outsider()].concat();
        let (gas_used, sum) = run(g1_add, &twice).unwrap();
        assert_eq!((gas_used, sum.len()), (375, 128));
        assert!(is_invalid(g1_msm, &[&outsider()[..], &[1; 32]].concat()));
        assert!(is_invalid(pairing_check, &[&outsider()[..], &[0; 256]].concat()));
    }

    #[test]
    fn infinity_is_zeros_on_the_way_in_and_out() {
        assert_eq!(run(g1_add, &[0; 256]), Ok((375, vec![0; 128])));
        assert_eq!(run(g2_add, &[0; 512]), Ok((600, vec![0; 256])));
        assert_eq!(run(g1_msm, &[0; 160]), Ok((12_000, vec![0; 128])));
        assert_eq!(run(g2_msm, &[0; 288]), Ok((22_500, vec![0; 256])));
        let mut one = vec![0; 32];
        one[31] = 1;
        assert_eq!(run(pairing_check, &[0; 384]), Ok((70_300, one)));
        // Three times a point of order three.
        let (_, twice) = run(g1_add, &[outsider(), outsider()].concat()).unwrap();
        let (_, thrice) = run(g1_add, &[&twice[..], &outsider()].concat()).unwrap();
        assert_eq!(thrice, [0; 128]);
    }

    #[test]
    fn no_input_is_invalid_everywhere() {
        let all: [PrecompileFn; 7] =
            [g1_add, g1_msm, g2_add, g2_msm, pairing_check, map_fp_to_g1, map_fp2_to_g2];
        for precompile in all {
            assert!(is_invalid(precompile, &[]));
        }
    }

    #[test]
    fn lengths_are_exact() {
        for (precompile, len) in [
            (g1_add as PrecompileFn, 256),
            (g1_msm, 320),
            (g2_add, 512),
            (g2_msm, 576),
            (pairing_check, 768),
            (map_fp_to_g1, 64),
            (map_fp2_to_g2, 128),
        ] {
            assert!(run(precompile, &vec![0; len]).is_ok());
            assert!(is_invalid(precompile, &vec![0; len - 1]));
            assert!(is_invalid(precompile, &vec![0; len + 1]));
        }
    }

    #[test]
    fn coordinates_have_16_zeros_and_a_reduced_number() {
        let mut input = [0; 64];
        input[16..].copy_from_slice(&FP_MODULUS);
        assert!(is_invalid(map_fp_to_g1, &input));
        input[63] -= 1;
        assert!(run(map_fp_to_g1, &input).is_ok());
        input[15] = 1;
        assert!(is_invalid(map_fp_to_g1, &input));
    }

    #[test]
    fn scalars_may_exceed_the_order() {
        let all_ones = [member(), vec![0xff; 32]].concat();
        let (_, product) = run(g1_msm, &all_ones).unwrap();
        // 2^256 - 1 is the sum of 2^255 and 2^255 - 1.
        let mut half = [0; 32];
        half[0] = 0x80;
        let mut rest = [0xff; 32];
        rest[0] = 0x7f;
        let parts = [&member()[..], &half, &member(), &rest].concat();
        assert_eq!(run(g1_msm, &parts).unwrap().1, product);
    }

    #[test]
    fn discount_ends_with_the_table() {
        assert_eq!(msm_price(1, 12_000, &G1_DISCOUNT), 12_000);
        assert_eq!(msm_price(2, 22_500, &G2_DISCOUNT), 45_000);
        assert_eq!(msm_price(128, 12_000, &G1_DISCOUNT), 128 * 12 * 519);
        assert_eq!(msm_price(129, 12_000, &G1_DISCOUNT), 129 * 12 * 519);
        assert_eq!(msm_price(1000, 22_500, &G2_DISCOUNT), 1000 * 22_500 * 524 / 1000);
    }
}
