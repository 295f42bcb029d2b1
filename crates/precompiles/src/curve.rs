//! The curve BLS12-381 over blst: the few operations the precompiles need, made safe.
//!
//! blst is a C library, and its Rust face covers signatures only. This is the one module of the
//! crate with `unsafe`. Everywhere the reason is the same: blst reads and writes through pointers
//! to plain structs of fixed size, keeps none of them, and each pointer here comes from a
//! reference to a whole value of the type that blst declares.

use blst::{
    BLST_ERROR, MultiPoint, blst_bendian_from_fp, blst_fp, blst_fp_from_bendian, blst_fp2,
    blst_fp12, blst_map_to_g1, blst_map_to_g2, blst_p1, blst_p1_add_or_double_affine,
    blst_p1_affine, blst_p1_affine_in_g1, blst_p1_affine_is_inf, blst_p1_affine_on_curve,
    blst_p1_from_affine, blst_p1_mult, blst_p1_to_affine, blst_p1_uncompress, blst_p2,
    blst_p2_add_or_double_affine, blst_p2_affine, blst_p2_affine_in_g2, blst_p2_affine_is_inf,
    blst_p2_affine_on_curve, blst_p2_from_affine, blst_p2_mult, blst_p2_to_affine,
    blst_p2_uncompress, blst_scalar, blst_scalar_from_be_bytes,
};
use zvm_core::hex;

/// An element of the base field.
pub(crate) type Fp = blst_fp;
/// An element of its quadratic extension: real and imaginary part.
pub(crate) type Fp2 = blst_fp2;
/// A point on the curve over [`Fp`]. Zeros are infinity.
pub(crate) type G1 = blst_p1_affine;
/// A point on the twist over [`Fp2`]. Zeros are infinity.
pub(crate) type G2 = blst_p2_affine;

/// EIP-2537: the field modulus, big-endian.
pub(crate) const FP_MODULUS: [u8; 48] = hex!(
    "1a0111ea397fe69a4b1ba7b6434bacd764774b84f38512bf6730d2a0f6b0f6241eabfffeb153ffffb9feffffffffaaab"
);

/// A field that coordinates come from, as a row of elements of [`Fp`].
pub(crate) trait Field: Default {
    /// The elements of [`Fp`] it is made of, real part first.
    fn parts(&self) -> &[Fp];
    /// As [`parts`](Self::parts), to be written to.
    fn parts_mut(&mut self) -> &mut [Fp];
}

impl Field for Fp {
    fn parts(&self) -> &[Fp] {
        std::slice::from_ref(self)
    }

    fn parts_mut(&mut self) -> &mut [Fp] {
        std::slice::from_mut(self)
    }
}

impl Field for Fp2 {
    fn parts(&self) -> &[Fp] {
        &self.fp
    }

    fn parts_mut(&mut self) -> &mut [Fp] {
        &mut self.fp
    }
}

/// Reads 48 bytes, big-endian; `None` if they are not below the modulus.
pub(crate) fn fp_from_bytes(bytes: &[u8; 48]) -> Option<Fp> {
    if *bytes >= FP_MODULUS {
        return None;
    }
    let mut element = Fp::default();
    // SAFETY: reads 48 bytes and writes an `Fp`, both borrowed here.
    unsafe { blst_fp_from_bendian(&mut element, bytes.as_ptr()) };
    Some(element)
}

/// Writes 48 bytes, big-endian.
pub(crate) fn fp_to_bytes(element: &Fp) -> [u8; 48] {
    let mut bytes = [0; 48];
    // SAFETY: reads an `Fp` and writes 48 bytes, both borrowed here.
    unsafe { blst_bendian_from_fp(bytes.as_mut_ptr(), element) };
    bytes
}

/// A scalar below the order of the subgroups, little-endian.
#[derive(Clone, Copy)]
pub(crate) struct Scalar([u8; 32]);

impl Scalar {
    /// Bits of a scalar.
    const BITS: usize = 255;

    /// Any 32 bytes, big-endian, modulo the order.
    pub(crate) fn reduce(bytes: &[u8; 32]) -> Self {
        let mut scalar = blst_scalar::default();
        // SAFETY: reads the 32 bytes it is told of and writes a `blst_scalar`, both borrowed here.
        // What is returned, whether the scalar is zero, does not matter.
        unsafe { blst_scalar_from_be_bytes(&mut scalar, bytes.as_ptr(), bytes.len()) };
        Self(scalar.b)
    }
}

/// A group of points, [`G1`] or [`G2`]; infinity is `default()`.
pub(crate) trait Group: Copy + Default {
    /// Where its coordinates come from.
    type Field: Field;

    /// The point at `x` and `y`; `None` if the curve does not pass there.
    fn new(x: Self::Field, y: Self::Field) -> Option<Self>;
    /// The two coordinates; zeros for infinity.
    fn coordinates(&self) -> [&Self::Field; 2];
    /// Reads the compressed form of the Zcash protocol; `None` if it is no point of the subgroup.
    fn from_compressed(bytes: &[u8]) -> Option<Self>;
    /// Whether it is the neutral element.
    fn is_infinity(&self) -> bool;
    /// Whether it lies in the subgroup of prime order.
    fn is_in_subgroup(&self) -> bool;
    /// The sum of two points.
    fn sum(&self, other: &Self) -> Self;
    /// The sum of points of the subgroup, each times a scalar.
    fn sum_of_products(terms: &[(Self, Scalar)]) -> Self;
    /// Maps a field element into the subgroup (RFC 9380, section 6.6.3).
    fn map(element: &Self::Field) -> Self;
}

macro_rules! group {
    ($point:ty, $field:ty, $jacobian:ty, $compressed_len:literal, $on_curve:ident, $uncompress:ident,
     $is_inf:ident, $in_group:ident, $from_affine:ident, $to_affine:ident, $add:ident, $mult:ident,
     $map:ident) => {
        impl Group for $point {
            type Field = $field;

            fn new(x: $field, y: $field) -> Option<Self> {
                let point = Self { x, y };
                // SAFETY: reads a point borrowed here.
                unsafe { $on_curve(&point) }.then_some(point)
            }

            fn coordinates(&self) -> [&$field; 2] {
                [&self.x, &self.y]
            }

            fn from_compressed(bytes: &[u8]) -> Option<Self> {
                let bytes: &[u8; $compressed_len] = bytes.try_into().ok()?;
                let mut point = Self::default();
                // SAFETY: reads as many bytes as a compressed point has, and writes a point.
                let result = unsafe { $uncompress(&mut point, bytes.as_ptr()) };
                (result == BLST_ERROR::BLST_SUCCESS && point.is_in_subgroup()).then_some(point)
            }

            fn is_infinity(&self) -> bool {
                // SAFETY: reads a point borrowed here.
                unsafe { $is_inf(self) }
            }

            fn is_in_subgroup(&self) -> bool {
                // SAFETY: reads a point borrowed here.
                unsafe { $in_group(self) }
            }

            fn sum(&self, other: &Self) -> Self {
                let (mut left, mut sum) = <($jacobian, $jacobian)>::default();
                let mut affine = Self::default();
                // SAFETY: reads and writes points borrowed here, no one both at once.
                unsafe {
                    $from_affine(&mut left, self);
                    $add(&mut sum, &left, other);
                    $to_affine(&mut affine, &sum);
                }
                affine
            }

            fn sum_of_products(terms: &[(Self, Scalar)]) -> Self {
                // blst works on inverses of many coordinates at once, which infinity would spoil.
                let counts =
                    |(point, scalar): &&(Self, Scalar)| !point.is_infinity() && scalar.0 != [0; 32];
                let (points, scalars): (Vec<Self>, Vec<[u8; 32]>) =
                    terms.iter().filter(counts).map(|(point, scalar)| (*point, scalar.0)).unzip();
                let scalars = scalars.as_flattened();
                let sum = match points.as_slice() {
                    [] => return Self::default(),
                    [point] => {
                        // Alone, a point is multiplied faster by its endomorphism.
                        let (mut factor, mut product) = <($jacobian, $jacobian)>::default();
                        // SAFETY: reads a point and the 32 bytes of its scalar and writes points,
                        // all borrowed here, no one both at once.
                        unsafe {
                            $from_affine(&mut factor, point);
                            $mult(&mut product, &factor, scalars.as_ptr(), Scalar::BITS);
                        }
                        product
                    }
                    points => points.mult(scalars, Scalar::BITS),
                };
                let mut affine = Self::default();
                // SAFETY: reads and writes points borrowed here.
                unsafe { $to_affine(&mut affine, &sum) };
                affine
            }

            fn map(element: &$field) -> Self {
                let mut mapped = <$jacobian>::default();
                let mut affine = Self::default();
                // SAFETY: reads a field element and writes points borrowed here. A null second
                // element is how blst is told that there is only one.
                unsafe {
                    $map(&mut mapped, element, std::ptr::null());
                    $to_affine(&mut affine, &mapped);
                }
                affine
            }
        }
    };
}

group!(
    G1,
    Fp,
    blst_p1,
    48,
    blst_p1_affine_on_curve,
    blst_p1_uncompress,
    blst_p1_affine_is_inf,
    blst_p1_affine_in_g1,
    blst_p1_from_affine,
    blst_p1_to_affine,
    blst_p1_add_or_double_affine,
    blst_p1_mult,
    blst_map_to_g1
);
group!(
    G2,
    Fp2,
    blst_p2,
    96,
    blst_p2_affine_on_curve,
    blst_p2_uncompress,
    blst_p2_affine_is_inf,
    blst_p2_affine_in_g2,
    blst_p2_from_affine,
    blst_p2_to_affine,
    blst_p2_add_or_double_affine,
    blst_p2_mult,
    blst_map_to_g2
);

/// Whether the product of the pairings is one. The points must lie in their subgroups.
pub(crate) fn pairings_cancel(pairs: &[(G1, G2)]) -> bool {
    // Infinity pairs to one with everything.
    let (p, q): (Vec<G1>, Vec<G2>) =
        pairs.iter().copied().filter(|(p, q)| !p.is_infinity() && !q.is_infinity()).unzip();
    p.is_empty() || blst_fp12::miller_loop_n(&q, &p).final_exp() == blst_fp12::default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scalar(value: u8) -> Scalar {
        let mut bytes = [0; 32];
        bytes[31] = value;
        Scalar::reduce(&bytes)
    }

    fn point() -> G1 {
        let mut bytes = [0; 48];
        bytes[47] = 1;
        G1::map(&fp_from_bytes(&bytes).unwrap())
    }

    #[test]
    fn field_elements_survive_a_round_trip_and_end_below_the_modulus() {
        let mut largest = FP_MODULUS;
        largest[47] -= 1;
        let element = fp_from_bytes(&largest).unwrap();
        assert_eq!(fp_to_bytes(&element), largest);
        assert!(fp_from_bytes(&FP_MODULUS).is_none());
        assert!(fp_from_bytes(&[0xff; 48]).is_none());
    }

    #[test]
    fn infinity_is_neutral() {
        let (point, infinity) = (point(), G1::default());
        assert_eq!(point.sum(&infinity), point);
        assert_eq!(infinity.sum(&point), point);
        assert!(infinity.sum(&infinity).is_infinity());
        assert_eq!(
            G1::sum_of_products(&[
                (infinity, scalar(3)),
                (point, scalar(1)),
                (infinity, scalar(0))
            ]),
            point
        );
        assert!(G1::sum_of_products(&[(point, scalar(0))]).is_infinity());
        assert!(G1::sum_of_products(&[]).is_infinity());
    }

    #[test]
    fn opposite_multiples_cancel_to_zeros() {
        // The order less one: multiplying by it negates.
        let minus_one = Scalar::reduce(&hex!(
            "73eda753299d7d483339d80809a1d80553bda402fffe5bfeffffffff00000000"
        ));
        let negative = G1::sum_of_products(&[(point(), minus_one)]);
        assert!(negative.is_in_subgroup() && negative != point());
        let sum = point().sum(&negative);
        assert!(sum.is_infinity());
        assert_eq!(fp_to_bytes(&sum.x), [0; 48]);
        assert_eq!(fp_to_bytes(&sum.y), [0; 48]);
        let sum = G1::sum_of_products(&[(point(), minus_one), (point(), scalar(1))]);
        assert!(sum.is_infinity());
    }

    #[test]
    fn products_of_many_points_are_sums_of_single_ones() {
        // blst takes one way for a single point, another up to 31 and a third beyond.
        for count in [1, 2, 31, 32, 150] {
            let terms: Vec<_> = (0..count).map(|at| (point(), scalar(at))).collect();
            let single = terms
                .iter()
                .fold(G1::default(), |sum, &term| sum.sum(&G1::sum_of_products(&[term])));
            assert_eq!(G1::sum_of_products(&terms), single, "{count} points");
        }
    }
}
