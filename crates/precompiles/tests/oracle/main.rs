//! Every precompile against `revm-precompile`: same result, same gas, same output.
//!
//! Inputs are valid ones and what comes of them: cut, extended, with a bit flipped or a word
//! overwritten. Each is run under a hard fork of choice with plenty of gas, with exactly the price
//! and with one less.

mod points;

use num_bigint::BigUint;
use proptest::{collection::vec, prelude::*, sample::select};
use revm_precompile::{PrecompileHalt, PrecompileSpecId, PrecompileStatus};
use zvm_core::{Address, SigningKey, SpecId, hex};
use zvm_precompiles::{PrecompileError, Precompiles};

use points::{
    BLS_MODULUS, BN254_MODULUS, bls_fp, bls_g1, bls_g2, bls_generator, bn254_g1, bn254_g2,
    compress, negate, outsider, tau_g1,
};

/// More than any input of these tests costs, but what is out of reach anyway.
const PLENTY: u64 = 1 << 30;

#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Success { gas_used: u64, output: Vec<u8> },
    OutOfGas,
    Invalid,
}

fn ours(spec: SpecId, number: u16, input: &[u8], gas: u64) -> Outcome {
    let precompile = *Precompiles::of(spec).unwrap().get(&address(number)).unwrap();
    // Output is appended: what was there before stays.
    let mut output = vec![0xaa];
    match (precompile.run)(input, gas, &mut output) {
        Ok(gas_used) => {
            assert_eq!(output.remove(0), 0xaa);
            Outcome::Success { gas_used, output }
        }
        Err(PrecompileError::OutOfGas) => Outcome::OutOfGas,
        Err(PrecompileError::InvalidInput(_)) => Outcome::Invalid,
    }
}

fn theirs(spec: SpecId, number: u16, input: &[u8], gas: u64) -> Outcome {
    let precompile = revm(spec).get(&address(number)).unwrap();
    let result = precompile.execute(input, gas, 0).expect("no fatal errors in Ethereum");
    match result.status {
        PrecompileStatus::Success => {
            Outcome::Success { gas_used: result.gas_used, output: result.bytes.to_vec() }
        }
        PrecompileStatus::Halt(PrecompileHalt::OutOfGas) => Outcome::OutOfGas,
        // A length beyond 64 bits runs into the limit of EIP-7823 here whatever the hard fork. What
        // it breaks before Osaka is the purse.
        PrecompileStatus::Halt(PrecompileHalt::ModexpEip7823LimitSize)
            if !spec.has(SpecId::OSAKA) =>
        {
            Outcome::OutOfGas
        }
        PrecompileStatus::Halt(_) => Outcome::Invalid,
        PrecompileStatus::Revert => panic!("no precompile of Ethereum reverts"),
    }
}

fn revm(spec: SpecId) -> &'static revm_precompile::Precompiles {
    revm_precompile::Precompiles::new(match spec {
        _ if spec.has(SpecId::OSAKA) => PrecompileSpecId::OSAKA,
        _ if spec.has(SpecId::PRAGUE) => PrecompileSpecId::PRAGUE,
        _ if spec.has(SpecId::CANCUN) => PrecompileSpecId::CANCUN,
        _ if spec.has(SpecId::BERLIN) => PrecompileSpecId::BERLIN,
        _ if spec.has(SpecId::ISTANBUL) => PrecompileSpecId::ISTANBUL,
        _ if spec.has(SpecId::BYZANTIUM) => PrecompileSpecId::BYZANTIUM,
        _ => PrecompileSpecId::HOMESTEAD,
    })
}

fn address(number: u16) -> Address {
    Address::left_padding_from(&number.to_be_bytes())
}

/// Compares precompile `number` on `input`; says whether it succeeded.
fn compare(spec: SpecId, number: u16, input: &[u8]) -> Result<bool, TestCaseError> {
    let found = ours(spec, number, input, PLENTY);
    prop_assert_eq!(&found, &theirs(spec, number, input, PLENTY));
    let Outcome::Success { gas_used, .. } = found else { return Ok(false) };
    prop_assert_eq!(&ours(spec, number, input, gas_used), &found);
    if let Some(short) = gas_used.checked_sub(1) {
        prop_assert_eq!(ours(spec, number, input, short), Outcome::OutOfGas);
        prop_assert_eq!(theirs(spec, number, input, short), Outcome::OutOfGas);
    }
    Ok(true)
}

/// Runs a precompile that cannot fail on `input`.
fn output(number: u16, input: &[u8]) -> Vec<u8> {
    match ours(SpecId::OSAKA, number, input, u64::MAX) {
        Outcome::Success { output, .. } => output,
        other => panic!("{number:#x} gives {other:?} on {}", hex::encode(input)),
    }
}

/// A hard fork at least as late as `since`.
fn spec(since: SpecId) -> impl Strategy<Value = SpecId> {
    select(SpecId::ALL.into_iter().filter(|spec| spec.has(since)).collect::<Vec<_>>())
}

/// A way to spoil an input, or to leave it as it is.
#[derive(Clone, Debug)]
enum Change {
    None,
    Cut(usize),
    Extend(Vec<u8>),
    Flip(usize, u8),
    Fill(usize, u8),
}

impl Change {
    fn apply(&self, mut input: Vec<u8>) -> Vec<u8> {
        let len = input.len().max(1);
        match self {
            Self::None => {}
            Self::Cut(at) => input.truncate(at % len),
            Self::Extend(bytes) => input.extend_from_slice(bytes),
            Self::Flip(at, bit) => {
                if let Some(byte) = input.get_mut(at % len) {
                    *byte ^= 1 << (bit % 8);
                }
            }
            Self::Fill(at, byte) => {
                let word = at % len / 32 * 32;
                let end = input.len().min(word + 32);
                input[word..end].fill(*byte);
            }
        }
        input
    }
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        4 => Just(Change::None),
        1 => any::<usize>().prop_map(Change::Cut),
        1 => vec(any::<u8>(), 1..200).prop_map(Change::Extend),
        2 => (any::<usize>(), any::<u8>()).prop_map(|(at, bit)| Change::Flip(at, bit)),
        1 => (any::<usize>(), select(vec![0, 1, 0xff])).prop_map(|(at, byte)| Change::Fill(at, byte)),
    ]
}

/// 32 bytes, often with few bits set.
fn word() -> impl Strategy<Value = [u8; 32]> {
    prop_oneof![
        3 => any::<[u8; 32]>(),
        1 => any::<u8>().prop_map(|byte| { let mut word = [0; 32]; word[31] = byte; word }),
        1 => select(vec![[0; 32], [0xff; 32]]),
    ]
}

/// A scalar that is a private key on either curve.
fn key() -> impl Strategy<Value = [u8; 32]> {
    any::<[u8; 32]>().prop_map(|mut key| {
        key[0] = 0x7f;
        key
    })
}

#[test]
fn each_hard_fork_has_the_same_addresses() {
    for spec in SpecId::ALL {
        let found: Vec<Address> = Precompiles::of(spec).unwrap().addresses().collect();
        let mut expected: Vec<Address> = revm(spec).addresses().copied().collect();
        expected.sort_unstable();
        assert_eq!(found, expected, "{spec}");
    }
}

#[test]
fn names_are_those_of_eip_7910() {
    let precompiles = Precompiles::of(SpecId::OSAKA).unwrap();
    for address in precompiles.addresses() {
        let expected = revm(SpecId::OSAKA).get(&address).unwrap().id().name();
        assert_eq!(precompiles.get(&address).unwrap().name, expected);
    }
}

proptest! {
    /// Uniform bytes, for every precompile of every hard fork.
    #[test]
    fn noise_agrees(spec in spec(SpecId::FRONTIER), mut input in vec(any::<u8>(), 0..400)) {
        for address in Precompiles::of(spec).unwrap().addresses() {
            let number = u16::from_be_bytes([address[18], address[19]]);
            if number == 0x09 && input.len() == 213 {
                // Four billion rounds take their time.
                input[..2].fill(0);
            }
            compare(spec, number, &input)?;
            // As many bytes as the precompile wants, most of them zero.
            compare(spec, number, &vec![0; input.len() / 32 * 32])?;
        }
    }

    #[test]
    fn ecrec_agrees(
        spec in spec(SpecId::FRONTIER),
        (key, hash) in (key(), word()),
        (v, high_s) in (select(vec![0, 1, 26, 27, 27, 28, 28, 29]), any::<bool>()),
        change in change(),
    ) {
        let signature = SigningKey::new(&key).unwrap().sign(hash.into());
        let (r, mut s) = (signature.r.to_be_bytes::<32>(), signature.s.to_be_bytes_vec());
        if high_s {
            s = negate(&s, "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141");
        }
        let input = [&hash[..], &[0; 31], &[v], &r, &s].concat();
        compare(spec, 0x01, &change.apply(input))?;
    }

    #[test]
    fn p256verify_agrees(
        (key, hash) in (key(), word()),
        high_s in any::<bool>(),
        change in change(),
    ) {
        use p256::ecdsa::{Signature, SigningKey, signature::hazmat::PrehashSigner};

        let key = SigningKey::from_slice(&key).unwrap();
        let signature: Signature = key.sign_prehash(&hash).unwrap();
        let (r, s) = signature.split_bytes();
        let mut s = s.to_vec();
        if high_s {
            s = negate(&s, "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551");
        }
        let point = key.verifying_key().to_sec1_point(false);
        let input = [&hash[..], &r, &s, &point.as_bytes()[1..]].concat();
        if matches!(change, Change::None) {
            prop_assert_eq!(output(0x100, &input).len(), 32, "the signature is valid");
        }
        compare(SpecId::OSAKA, 0x100, &change.apply(input))?;
    }

    #[test]
    fn blake2f_agrees(
        spec in spec(SpecId::ISTANBUL),
        rounds in 0u32..3000,
        words in vec(any::<u8>(), 208),
        last in select(vec![0, 0, 1, 1, 2, 0xff]),
        change in change(),
    ) {
        let input = change.apply([&rounds.to_be_bytes()[..], &words, &[last]].concat());
        // A flip high in the number of rounds would take its time.
        prop_assume!(input.len() < 4 || input[..2] == [0, 0]);
        compare(spec, 0x09, &input)?;
    }

    #[test]
    fn modexp_agrees(
        spec in spec(SpecId::BYZANTIUM),
        [base, exponent, modulus] in [number(), number(), number()],
        is_odd in any::<bool>(),
        change in change(),
    ) {
        let mut modulus = modulus;
        if let Some(byte) = modulus.last_mut() {
            *byte |= u8::from(is_odd);
        }
        let mut input = Vec::new();
        for number in [&base, &exponent, &modulus] {
            input.extend_from_slice(&[0; 24]);
            input.extend_from_slice(&(number.len() as u64).to_be_bytes());
        }
        let input = [input, base, exponent, modulus].concat();
        compare(spec, 0x05, &change.apply(input))?;
    }

    /// Lengths alone, up to absurd ones, and hardly any numbers.
    #[test]
    fn modexp_prices_agree(
        spec in spec(SpecId::BYZANTIUM),
        lengths in [length(), length(), length()],
        data in vec(select(vec![0, 1, 0x80, 0xff]), 0..100),
    ) {
        let input = [lengths.concat(), data].concat();
        let gas = 1 << 24;
        prop_assert_eq!(ours(spec, 0x05, &input, gas), theirs(spec, 0x05, &input, gas));
    }
}

/// A number of up to 130 bytes, mostly of a length where something changes.
fn number() -> impl Strategy<Value = Vec<u8>> {
    let lengths = vec![0, 1, 2, 8, 31, 32, 33, 63, 64, 65, 95, 96, 97, 128, 130];
    prop_oneof![select(lengths), 0usize..130]
        .prop_flat_map(|len| prop_oneof![3 => vec(any::<u8>(), len), 1 => vec(0u8..2, len)])
}

fn length() -> impl Strategy<Value = [u8; 32]> {
    let of = |value: u64| {
        let mut word = [0; 32];
        word[24..].copy_from_slice(&value.to_be_bytes());
        word
    };
    prop_oneof![
        6 => select(vec![0u64, 1, 2, 31, 32, 33, 64, 65, 1023, 1024, 1025, 4096]).prop_map(of),
        2 => select(vec![1 << 20, u64::from(u32::MAX), 1 << 40, 1 << 61, u64::MAX]).prop_map(of),
        1 => any::<[u8; 32]>(),
    ]
}

proptest! {
    // Fewer of these, as they are slow; `PROPTEST_CASES` counts for them too.
    #![proptest_config(ProptestConfig::with_cases(ProptestConfig::default().cases / 3))]

    #[test]
    fn bn254_addition_and_multiplication_agree(
        spec in spec(SpecId::BYZANTIUM),
        (left, right, scalar) in (bn254_g1(), bn254_g1(), word()),
        change in change(),
    ) {
        compare(spec, 0x06, &change.apply([&left[..], &right].concat()))?;
        compare(spec, 0x06, &[&left[..], &left].concat())?;
        compare(spec, 0x07, &change.apply([&left[..], &scalar].concat()))?;
    }

    #[test]
    fn bn254_pairing_agrees(
        spec in spec(SpecId::BYZANTIUM),
        pairs in vec((bn254_g1(), any::<u64>()), 0..4),
        cancel in any::<bool>(),
        change in change(),
    ) {
        let mut input = Vec::new();
        for (p, scalar) in pairs {
            let q = bn254_g2(scalar);
            input.extend_from_slice(&[&p[..], &q].concat());
            if cancel && p != [0; 64] {
                let y = negate(&p[32..], BN254_MODULUS);
                input.extend_from_slice(&[&p[..32], &y, &q].concat());
            }
        }
        if cancel {
            prop_assert_eq!(output(0x08, &input)[31], 1);
        }
        compare(spec, 0x08, &change.apply(input))?;
    }

    #[test]
    fn bls12_additions_and_maps_agree(
        (a, b) in (word(), word()),
        change in change(),
    ) {
        let spec = SpecId::PRAGUE;
        let (g1, g2) = ([bls_g1(a), bls_g1(b)], [bls_g2(a), bls_g2(b)]);
        compare(spec, 0x0b, &change.apply(g1.concat()))?;
        compare(spec, 0x0b, &[&g1[0][..], &outsider()].concat())?;
        compare(spec, 0x0b, &[&g1[0][..], &g1[0]].concat())?;
        compare(spec, 0x0d, &change.apply(g2.concat()))?;
        compare(spec, 0x0d, &[&g2[0][..], &g2[0]].concat())?;
        compare(spec, 0x10, &change.apply(bls_fp(a)))?;
        compare(spec, 0x11, &change.apply([bls_fp(a), bls_fp(b)].concat()))?;
    }

    #[test]
    fn bls12_sums_of_products_agree(
        terms in vec((word(), word(), 0u8..8), 1..5),
        change in change(),
    ) {
        let [mut g1, mut g2] = [Vec::new(), Vec::new()];
        for (seed, scalar, kind) in terms {
            let [mut p, mut q] = [bls_g1(seed), bls_g2(seed)];
            match kind {
                0 => p = output(0x0b, &[&p[..], &outsider()].concat()),
                1 => p.fill(0),
                2 => q.fill(0),
                _ => {}
            }
            g1.extend_from_slice(&[&p[..], &scalar].concat());
            g2.extend_from_slice(&[&q[..], &scalar].concat());
        }
        compare(SpecId::PRAGUE, 0x0c, &change.apply(g1))?;
        compare(SpecId::OSAKA, 0x0e, &change.apply(g2))?;
    }

    #[test]
    fn bls12_pairing_agrees(
        pairs in vec((word(), word(), 0u8..8), 1..4),
        cancel in any::<bool>(),
        change in change(),
    ) {
        let mut input = Vec::new();
        for (a, b, kind) in pairs {
            let [mut p, mut q] = [bls_g1(a), bls_g2(b)];
            match kind {
                0 if !cancel => p = output(0x0b, &[&p[..], &outsider()].concat()),
                1 => p.fill(0),
                2 => q.fill(0),
                _ => {}
            }
            input.extend_from_slice(&[&p[..], &q].concat());
            if cancel {
                let y = negate(&p[64..], BLS_MODULUS);
                input.extend_from_slice(&[&p[..64], &y, &q].concat());
            }
        }
        if cancel {
            prop_assert_eq!(output(0x0f, &input)[31], 1);
        }
        compare(SpecId::PRAGUE, 0x0f, &change.apply(input))?;
    }

    /// Polynomials `a x + b` with their true value at `z`, and what comes of them.
    #[test]
    fn kzg_point_evaluation_agrees(
        spec in spec(SpecId::CANCUN),
        [a, b, z] in [word(), word(), word()],
        change in change(),
    ) {
        let order = hex!("73eda753299d7d483339d80809a1d80553bda402fffe5bfeffffffff00000001");
        let order = BigUint::from_bytes_be(&order);
        let [a, b, z] = [a, b, z].map(|word| BigUint::from_bytes_be(&word) % &order);
        let y = (&a * &z + &b) % &order;
        let [a, b, z, y] = [a, b, z, y].map(|value| {
            let digits = value.to_bytes_be();
            [vec![0; 32 - digits.len()], digits].concat()
        });
        let commitment = compress(&output(0x0c, &[tau_g1(), a.clone(), bls_generator(), b].concat()));
        let proof = compress(&output(0x0c, &[bls_generator(), a].concat()));
        let mut hash = output(0x02, &commitment);
        hash[0] = 1;
        let input = [hash, z, y, commitment, proof].concat();
        prop_assert_eq!(output(0x0a, &input).len(), 64, "the proof holds");

        let changed = change.apply(input);
        compare(spec, 0x0a, &changed)?;
        if let Ok(mut changed) = <[u8; 192]>::try_from(changed) {
            // With the hash put right, what else was changed comes to light.
            let hash = output(0x02, &changed[96..144]);
            changed[..32].copy_from_slice(&hash);
            changed[0] = 1;
            compare(spec, 0x0a, &changed)?;
        }
    }
}
