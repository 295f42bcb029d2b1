//! Cases of the smaller families: encodings, keys, genesis blocks, difficulties.

mod difficulty;
mod genesis;
mod keys;
mod rlp;

use serde::de::DeserializeOwned;

use crate::FixtureError;

/// The families.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Basic {
    /// RLP and the value it is of, or RLP that is none.
    Rlp,
    /// Nibbles in hex-prefix encoding.
    HexPrefix,
    /// Difficulties of blocks by that of their parents.
    Difficulty,
    /// A key with its address.
    KeyAddress,
    /// A key with a transaction that it signed.
    Signing,
    /// A key under a password.
    Keystore,
    /// A genesis file with its block.
    Genesis,
    /// A genesis block with its hash. The file is one case.
    GenesisHash,
}

impl Basic {
    /// For people.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Rlp => "RLP",
            Self::HexPrefix => "hex prefix",
            Self::Difficulty => "difficulty",
            Self::KeyAddress => "key address",
            Self::Signing => "signing",
            Self::Keystore => "keystore",
            Self::Genesis => "genesis",
            Self::GenesisHash => "genesis hash",
        }
    }

    /// The family a key of a case gives away.
    pub(crate) fn of_key(key: &str) -> Option<Self> {
        Some(match key {
            "seed" | "addr" => Self::KeyAddress,
            "unsigned" | "signed" => Self::Signing,
            "password" | "priv" => Self::Keystore,
            "alloc" => Self::Genesis,
            "seq" => Self::HexPrefix,
            "out" => Self::Rlp,
            "currentBlockNumber" | "currentDifficulty" | "parentDifficulty" => Self::Difficulty,
            label if difficulty::is_network(label) => Self::Difficulty,
            _ => return None,
        })
    }
}

/// A case ready to run.
#[derive(Debug)]
pub(crate) enum Case {
    Rlp(rlp::Case),
    HexPrefix(rlp::HexPrefix),
    Difficulty(difficulty::Case),
    KeyAddress(keys::Address),
    Signing(keys::Signing),
    Keystore(keys::Keystore),
    Genesis(Box<genesis::Genesis>),
    GenesisHash(genesis::Hash),
}

impl Case {
    /// Reads a case from its JSON. `file` is the name of the file: old files of difficulties say
    /// nowhere else whose they are.
    pub(crate) fn parse(
        family: Basic,
        text: &str,
        whole: &str,
        file: &str,
    ) -> Result<Self, FixtureError> {
        Ok(match family {
            Basic::Rlp => Self::Rlp(read(text, whole)?),
            Basic::HexPrefix => Self::HexPrefix(read(text, whole)?),
            Basic::Difficulty => Self::Difficulty(difficulty::Case::parse(text, whole, file)?),
            Basic::KeyAddress => Self::KeyAddress(read(text, whole)?),
            Basic::Signing => Self::Signing(read(text, whole)?),
            Basic::Keystore => Self::Keystore(read(text, whole)?),
            Basic::Genesis => Self::Genesis(Box::new(genesis::Genesis::parse(text, whole)?)),
            Basic::GenesisHash => Self::GenesisHash(read(text, whole)?),
        })
    }

    /// Number of units.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Difficulty(case) => case.len(),
            _ => 1,
        }
    }

    /// What a unit is, where the case has more than one.
    pub(crate) fn label(&self, unit: usize) -> Option<&str> {
        match self {
            Self::Difficulty(case) => case.label(unit),
            _ => None,
        }
    }

    /// Runs a unit; `Err` says in one line what is not as expected.
    pub(crate) fn run(&self, unit: usize) -> Result<(), String> {
        match self {
            Self::Rlp(case) => case.run(),
            Self::HexPrefix(case) => case.run(),
            Self::Difficulty(case) => case.run(unit),
            Self::KeyAddress(case) => case.run(),
            Self::Signing(case) => case.run(),
            Self::Keystore(case) => case.run(),
            Self::Genesis(case) => case.run(),
            Self::GenesisHash(case) => case.run(),
        }
    }
}

fn read<T: DeserializeOwned>(text: &str, whole: &str) -> Result<T, FixtureError> {
    serde_json::from_str(text).map_err(|error| FixtureError::json(&error, text, whole))
}

/// `Err` unless the two are equal.
fn expect<T: PartialEq + std::fmt::Debug>(what: &str, found: T, expected: T) -> Result<(), String> {
    if found == expected {
        return Ok(());
    }
    Err(format!("{what} is {found:?}, expected {expected:?}"))
}
