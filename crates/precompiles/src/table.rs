//! Which precompile lives where, since which hard fork.

use zvm_core::{Address, SpecId};

use crate::{Precompile, PrecompileFn, ecrecover, linear, modexp};

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
    Missing(&'static str),
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
