//! `MODEXP`: `base ^ exponent mod modulus` on numbers of any size, in three price lists.

use num_bigint::BigUint;
use zvm_core::U256;

use crate::{
    PrecompileError, charge,
    input::{padded, slice},
};

/// EIP-7823: longest base, exponent or modulus in bytes.
const LEN_MAX_OSAKA: u64 = 1024;

/// Longest base or modulus in bytes that is looked at at all. Every price list asks more than 2^54
/// gas for longer ones.
const LEN_MAX: u64 = u32::MAX as u64;

/// `MODEXP` (0x05): `base ^ exponent mod modulus`, as long as the modulus; `0 mod 0` is 0.
///
/// Input, zeros after its end: the lengths of base, exponent and modulus, 32 bytes each, and then
/// the three numbers, big-endian.
/// Gas: multiplication complexity times bits of the exponent, by 20. Source: EIP-198, since
/// Byzantium.
pub(crate) fn byzantium(
    input: &[u8],
    gas: u64,
    output: &mut Vec<u8>,
) -> Result<u64, PrecompileError> {
    let call = Call::read(input);
    let len = u128::from(call.longest());
    let complexity = match len {
        0..=64 => len * len,
        65..=1024 => len * len / 4 + 96 * len - 3072,
        _ => (len * len / 16).saturating_add(480 * len - 199_680),
    };
    let price = fit(complexity.saturating_mul(call.iterations(8)) / 20)?;
    call.run(charge(gas, price)?, output)
}

/// `MODEXP` (0x05) as in [`byzantium`], at another price.
///
/// Gas: squared words times bits of the exponent, by 3, at least 200. Source: EIP-2565, since
/// Berlin.
pub(crate) fn berlin(input: &[u8], gas: u64, output: &mut Vec<u8>) -> Result<u64, PrecompileError> {
    let call = Call::read(input);
    let words = u128::from(call.longest().div_ceil(8));
    let price = fit((words * words).saturating_mul(call.iterations(8)) / 3)?;
    call.run(charge(gas, price.max(200))?, output)
}

/// `MODEXP` (0x05) as in [`byzantium`], at another price and with no number above 1024 bytes.
///
/// Gas: 16 up to 32 bytes, twice the squared words above, times bits of the exponent, at least 500.
/// Source: EIP-7823 and EIP-7883, since Osaka.
pub(crate) fn osaka(input: &[u8], gas: u64, output: &mut Vec<u8>) -> Result<u64, PrecompileError> {
    let call = Call::read(input);
    if call.longest().max(call.exponent_len) > LEN_MAX_OSAKA {
        return Err(PrecompileError::InvalidInput("a number is longer than 1024 bytes"));
    }
    let words = u128::from(call.longest().div_ceil(8));
    let complexity = if call.longest() <= 32 { 16 } else { 2 * words * words };
    let price = fit(complexity.saturating_mul(call.iterations(16)))?;
    call.run(charge(gas, price.max(500))?, output)
}

/// The input, taken apart as far as the price needs. Lengths saturate: no gas pays for 2^64 bytes.
struct Call<'a> {
    base_len: u64,
    exponent_len: u64,
    modulus_len: u64,
    /// The numbers, which may end early.
    data: &'a [u8],
}

impl<'a> Call<'a> {
    fn read(input: &'a [u8]) -> Self {
        let len = |at| U256::from_be_bytes(padded::<32>(slice(input, at, 32))).saturating_to();
        Self {
            base_len: len(0),
            exponent_len: len(32),
            modulus_len: len(64),
            data: input.get(96..).unwrap_or_default(),
        }
    }

    /// The longer of base and modulus, in bytes.
    fn longest(&self) -> u64 {
        self.base_len.max(self.modulus_len)
    }

    /// Steps of square-and-multiply: bits of the exponent below its highest, at least 1.
    ///
    /// Only the first 32 bytes are looked at; each byte after them counts as `per_byte`.
    fn iterations(&self, per_byte: u64) -> u128 {
        let head_len = self.exponent_len.min(32) as usize;
        let head = padded::<32>(self.stored(self.base_len, head_len as u64));
        let head = U256::from_be_bytes(head) >> (8 * (32 - head_len));
        let tail_len = self.exponent_len.saturating_sub(32);
        let bits = u128::from(tail_len) * u128::from(per_byte)
            + (head.bit_len() as u128).saturating_sub(1);
        bits.max(1)
    }

    /// What the input really holds of `len` bytes from `offset`; zeros follow.
    fn stored(&self, offset: u64, len: u64) -> &'a [u8] {
        let clamp = |value| usize::try_from(value).unwrap_or(usize::MAX);
        slice(self.data, clamp(offset), clamp(len))
    }

    /// Appends the result. `price` is paid: what follows allocates in proportion to it.
    fn run(&self, price: u64, output: &mut Vec<u8>) -> Result<u64, PrecompileError> {
        if self.longest() > LEN_MAX {
            return Err(PrecompileError::OutOfGas);
        }
        if self.modulus_len == 0 {
            return Ok(price);
        }
        let (base_len, modulus_len) = (self.base_len as usize, self.modulus_len as usize);
        let fill = |stored: &[u8], len| {
            let mut number = vec![0; len];
            number[..stored.len()].copy_from_slice(stored);
            number
        };
        let base = fill(self.stored(0, self.base_len), base_len);
        let exponent = self.stored(self.base_len, self.exponent_len);
        let modulus_at = self.base_len.saturating_add(self.exponent_len);
        let modulus = fill(self.stored(modulus_at, self.modulus_len), modulus_len);

        let mut power = modpow(&base, exponent, &modulus);
        // An exponent can be longer than any memory where the other numbers are short. Its end
        // beyond the input is zeros, which only square the result.
        let mut zeros = self.exponent_len - exponent.len() as u64;
        while zeros > 0 {
            let step = zeros.min(4096);
            let mut exponent = vec![0; step as usize + 1];
            exponent[0] = 1;
            power = modpow(&power, &exponent, &modulus);
            zeros -= step;
        }

        let digits = &power[power.len().saturating_sub(modulus_len)..];
        output.resize(output.len() + modulus_len - digits.len(), 0);
        output.extend_from_slice(digits);
        Ok(price)
    }
}

/// `base ^ exponent mod modulus` over the faster library; nothing or zeros for a modulus of zero.
///
/// Aurora is ahead on small numbers, even moduli and short exponents, by up to sixteen times;
/// num-bigint is ahead by a tenth to a fifth on odd moduli from 96 bytes, the shape of RSA.
fn modpow(base: &[u8], exponent: &[u8], modulus: &[u8]) -> Vec<u8> {
    let is_odd = modulus.last().is_some_and(|byte| byte & 1 == 1);
    if is_odd && modulus.len() >= 96 && exponent.len() >= 32 && exponent[0] != 0 && modulus[0] != 0
    {
        let [base, exponent, modulus] = [base, exponent, modulus].map(BigUint::from_bytes_be);
        base.modpow(&exponent, &modulus).to_bytes_be()
    } else {
        aurora_engine_modexp::modexp(base, exponent, modulus)
    }
}

/// A price in 64 bits. One that does not fit is more than any gas.
fn fit(price: u128) -> Result<u64, PrecompileError> {
    u64::try_from(price).map_err(|_| PrecompileError::OutOfGas)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::PrecompileFn;

    const ALL: [PrecompileFn; 3] = [byzantium, berlin, osaka];

    fn call(lengths: [U256; 3], data: &[u8]) -> Vec<u8> {
        let mut input = Vec::new();
        for len in lengths {
            input.extend_from_slice(&len.to_be_bytes::<32>());
        }
        input.extend_from_slice(data);
        input
    }

    fn small(lengths: [u64; 3], data: &[u8]) -> Vec<u8> {
        call(lengths.map(U256::from), data)
    }

    fn run(precompile: PrecompileFn, input: &[u8]) -> Result<(u64, Vec<u8>), PrecompileError> {
        let mut output = Vec::new();
        precompile(input, 1 << 40, &mut output).map(|gas_used| (gas_used, output))
    }

    #[test]
    fn three_to_the_fifth_mod_hundred_is_43() {
        for precompile in ALL {
            let (_, output) = run(precompile, &small([1, 1, 2], &[3, 5, 0, 100])).unwrap();
            assert_eq!(output, [0, 43]);
        }
    }

    #[test]
    fn empty_input_costs_the_least_and_gives_nothing() {
        for (precompile, price) in ALL.into_iter().zip([0, 200, 500]) {
            assert_eq!(run(precompile, &[]), Ok((price, Vec::new())));
        }
    }

    #[test]
    fn modulus_of_zero_gives_zeros() {
        for precompile in ALL {
            let (_, output) = run(precompile, &small([1, 1, 3], &[3, 5])).unwrap();
            assert_eq!(output, [0; 3]);
        }
    }

    #[test]
    fn anything_mod_one_is_zero() {
        for precompile in ALL {
            let (_, output) = run(precompile, &small([0, 0, 1], &[1])).unwrap();
            assert_eq!(output, [0]);
        }
    }

    #[test]
    fn lengths_beyond_memory_are_out_of_gas_at_once() {
        for len in [U256::from(u64::MAX), U256::from(1u64 << 33), U256::MAX] {
            let one = U256::from(1);
            let mut output = Vec::new();
            for lengths in [[len, one, one], [one, one, len], [len, len, len]] {
                for precompile in ALL {
                    let result = precompile(&call(lengths, &[2, 2, 2]), u64::MAX, &mut output);
                    assert!(result.is_err());
                }
            }
            for precompile in [byzantium, berlin] {
                let result = precompile(&call([one, len, one], &[]), 1 << 30, &mut output);
                assert_eq!(result, Err(PrecompileError::OutOfGas));
            }
            assert_eq!(output.capacity(), 0);
        }
    }

    #[test]
    fn without_base_and_modulus_the_exponent_is_free_before_osaka() {
        let input = call([U256::ZERO, U256::MAX, U256::ZERO], &[]);
        assert_eq!(run(byzantium, &input), Ok((0, Vec::new())));
        assert_eq!(run(berlin, &input), Ok((200, Vec::new())));
        assert!(matches!(run(osaka, &input), Err(PrecompileError::InvalidInput(_))));
        // EIP-7883 prices numbers of up to 32 bytes alike, even those of none.
        let input = small([0, 1024, 0], &[]);
        assert_eq!(run(osaka, &input), Ok((16 * 16 * 992, Vec::new())));
    }

    #[test]
    fn exponent_beyond_the_input_squares_without_being_stored() {
        // 3 ^ (2 ^ (8 * (10_000 - 1))) mod 251: the exponent is one byte 1 and 9,999 zeros.
        let mut expected = 3u32;
        for _ in 0..8 * 9_999 {
            expected = expected * expected % 251;
        }
        let (_, output) = run(berlin, &small([1, 10_000, 1], &[3, 1])).unwrap();
        assert_eq!(output, [0], "the modulus lies beyond the input too");
        let mut data = vec![3, 1];
        data.resize(10_001, 0);
        data.push(251);
        let (_, output) = run(berlin, &small([1, 10_000, 1], &data)).unwrap();
        assert_eq!(u32::from(output[0]), expected);
    }

    #[test]
    fn osaka_takes_1024_bytes_and_not_one_more() {
        assert!(run(osaka, &small([1024, 1, 1], &[1; 1026])).is_ok());
        for lengths in [[1025, 1, 1], [1, 1025, 1], [1, 1, 1025]] {
            assert!(matches!(
                run(osaka, &small(lengths, &[])),
                Err(PrecompileError::InvalidInput(_))
            ));
        }
    }

    proptest! {
        /// Both libraries, on either side of the border between them.
        #[test]
        fn modpow_matches_num_bigint(
            base in proptest::collection::vec(any::<u8>(), 0..130),
            exponent in proptest::collection::vec(any::<u8>(), 0..40),
            modulus in proptest::collection::vec(any::<u8>(), 1..130),
        ) {
            let [b, e, m] = [&base, &exponent, &modulus].map(|bytes| BigUint::from_bytes_be(bytes));
            prop_assume!(m != BigUint::ZERO);
            let found = BigUint::from_bytes_be(&modpow(&base, &exponent, &modulus));
            prop_assert_eq!(found, b.modpow(&e, &m));
        }
    }
}
