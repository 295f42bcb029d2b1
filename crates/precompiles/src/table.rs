//! Which precompile lives where, since which hard fork.

use zvm_core::{Address, SpecId};

use crate::{Precompile, PrecompileFn, blake2f, ecrecover, linear, modexp};

/// The precompiles of one hard fork, by address.
#[derive(Debug)]
pub struct Precompiles {
    slots: [Option<Precompile>; SLOTS],
    is_complete: bool,
}

impl Precompiles {
    /// The set of `spec`; built when zvm is compiled.
    ///
    /// An error names what the hard fork has and this build lacks, so that a missing Cargo feature
    /// shows at start and not as a wrong state root.
    pub fn of(spec: SpecId) -> Result<&'static Self, MissingPrecompiles> {
        static SETS: [Precompiles; SpecId::ALL.len()] = {
            let mut sets = [const { Precompiles::build(SpecId::FRONTIER) }; SpecId::ALL.len()];
            let mut at = 0;
            while at < sets.len() {
                sets[at] = Precompiles::build(SpecId::ALL[at]);
                at += 1;
            }
            sets
        };
        let set = &SETS[spec as usize];
        if set.is_complete { Ok(set) } else { Err(MissingPrecompiles::of(spec)) }
    }

    /// The precompile at `address`.
    #[inline]
    pub fn get(&self, address: &Address) -> Option<&Precompile> {
        // Asked at every call of every contract, and nearly always the answer is no: one
        // comparison of 18 bytes.
        let (zeros, number) = address.split_last_chunk::<2>()?;
        if zeros != [0; 18] {
            return None;
        }
        self.slots[slot(u16::from_be_bytes(*number))?].as_ref()
    }

    /// Every address of the set, ascending. They are warm from the start (EIP-2929).
    pub fn addresses(&self) -> impl Iterator<Item = Address> + '_ {
        (0..=HIGHEST)
            .filter(|&number| slot(number).is_some_and(|slot| self.slots[slot].is_some()))
            .map(|number| Address::left_padding_from(&number.to_be_bytes()))
    }

    const fn build(spec: SpecId) -> Self {
        let mut set = Self { slots: [None; SLOTS], is_complete: true };
        let mut at = 0;
        while at < TABLE.len() {
            let row = &TABLE[at];
            if spec.has(row.since) {
                let slot = slot(row.number).expect("every row has a slot");
                match row.code {
                    Code::Built(run) => {
                        set.slots[slot] = Some(Precompile { name: row.name, run });
                    }
                    Code::Missing(_) => set.is_complete = false,
                }
            }
            at += 1;
        }
        set
    }
}

/// Precompiles that `spec` has and this build lacks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("hard fork {spec} needs precompiles that are not compiled in: {}", missing.join(", "))]
pub struct MissingPrecompiles {
    /// The hard fork asked for.
    pub spec: SpecId,
    /// Names of the missing precompiles, with the Cargo feature that brings each.
    pub missing: Vec<String>,
}

impl MissingPrecompiles {
    fn of(spec: SpecId) -> Self {
        let mut missing = Vec::new();
        for row in TABLE {
            if let Code::Missing(feature) = row.code
                && spec.has(row.since)
            {
                let line = format!("{} (feature `{feature}`)", row.name);
                // A precompile whose price changed has several rows.
                if !missing.contains(&line) {
                    missing.push(line);
                }
            }
        }
        Self { spec, missing }
    }
}

/// A precompile from one hard fork on; later rows of the same number replace earlier ones.
struct Row {
    number: u16,
    since: SpecId,
    name: &'static str,
    code: Code,
}

enum Code {
    Built(PrecompileFn),
    /// Left out of this build; the Cargo feature that brings it.
    #[cfg_attr(
        all(feature = "bls12-381", feature = "bn254", feature = "p256"),
        expect(dead_code, reason = "this build lacks nothing")
    )]
    Missing(&'static str),
}

/// The precompile at a path if its Cargo feature is on.
macro_rules! code {
    ($feature:literal, $module:ident :: $run:ident) => {{
        #[cfg(feature = $feature)]
        let code = Code::Built(crate::$module::$run);
        #[cfg(not(feature = $feature))]
        let code = Code::Missing($feature);
        code
    }};
}

#[rustfmt::skip]
const TABLE: &[Row] = &[
    row(0x01, SpecId::FRONTIER, "ECREC", Code::Built(ecrecover::ecrecover)),
    row(0x02, SpecId::FRONTIER, "SHA256", Code::Built(linear::sha256)),
    row(0x03, SpecId::FRONTIER, "RIPEMD160", Code::Built(linear::ripemd160)),
    row(0x04, SpecId::FRONTIER, "ID", Code::Built(linear::identity)),
    row(0x05, SpecId::BYZANTIUM, "MODEXP", Code::Built(modexp::byzantium)),
    row(0x05, SpecId::BERLIN, "MODEXP", Code::Built(modexp::berlin)),
    row(0x05, SpecId::OSAKA, "MODEXP", Code::Built(modexp::osaka)),
    row(0x06, SpecId::BYZANTIUM, "BN254_ADD", code!("bn254", bn254::add_byzantium)),
    row(0x07, SpecId::BYZANTIUM, "BN254_MUL", code!("bn254", bn254::mul_byzantium)),
    row(0x08, SpecId::BYZANTIUM, "BN254_PAIRING", code!("bn254", bn254::pairing_byzantium)),
    row(0x06, SpecId::ISTANBUL, "BN254_ADD", code!("bn254", bn254::add_istanbul)),
    row(0x07, SpecId::ISTANBUL, "BN254_MUL", code!("bn254", bn254::mul_istanbul)),
    row(0x08, SpecId::ISTANBUL, "BN254_PAIRING", code!("bn254", bn254::pairing_istanbul)),
    row(0x09, SpecId::ISTANBUL, "BLAKE2F", Code::Built(blake2f::blake2f)),
    row(0x0a, SpecId::CANCUN, "KZG_POINT_EVALUATION", code!("bls12-381", kzg::point_evaluation)),
    row(0x0b, SpecId::PRAGUE, "BLS12_G1ADD", code!("bls12-381", bls12_381::g1_add)),
    row(0x0c, SpecId::PRAGUE, "BLS12_G1MSM", code!("bls12-381", bls12_381::g1_msm)),
    row(0x0d, SpecId::PRAGUE, "BLS12_G2ADD", code!("bls12-381", bls12_381::g2_add)),
    row(0x0e, SpecId::PRAGUE, "BLS12_G2MSM", code!("bls12-381", bls12_381::g2_msm)),
    row(0x0f, SpecId::PRAGUE, "BLS12_PAIRING_CHECK", code!("bls12-381", bls12_381::pairing_check)),
    row(0x10, SpecId::PRAGUE, "BLS12_MAP_FP_TO_G1", code!("bls12-381", bls12_381::map_fp_to_g1)),
    row(0x11, SpecId::PRAGUE, "BLS12_MAP_FP2_TO_G2", code!("bls12-381", bls12_381::map_fp2_to_g2)),
    row(0x100, SpecId::OSAKA, "P256VERIFY", code!("p256", p256verify::p256verify)),
];

const fn row(number: u16, since: SpecId, name: &'static str, code: Code) -> Row {
    Row { number, since, name, code }
}

/// The highest address in use.
const HIGHEST: u16 = 0x100;

/// Slots of a set: one for each number up to 0x11 and one for 0x100.
const SLOTS: usize = 0x13;

const fn slot(number: u16) -> Option<usize> {
    match number {
        0x01..=0x11 => Some(number as usize),
        0x100 => Some(SLOTS - 1),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_is_in_order_of_activation() {
        assert!(TABLE.iter().all(|row| slot(row.number).is_some()));
        for (at, row) in TABLE.iter().enumerate() {
            assert!(
                TABLE[..at].iter().all(|old| old.number != row.number || old.since < row.since),
                "{} since {} comes too late",
                row.name,
                row.since
            );
        }
    }

    #[test]
    fn every_slot_is_another() {
        let numbers: Vec<u16> = (0..=u16::MAX).filter(|&n| slot(n).is_some()).collect();
        let mut slots: Vec<usize> = numbers.iter().filter_map(|&n| slot(n)).collect();
        slots.dedup();
        assert_eq!(slots.len(), numbers.len());
        assert_eq!(numbers.last(), Some(&HIGHEST));
        assert!(slots.iter().all(|&slot| slot < SLOTS));
    }
}
