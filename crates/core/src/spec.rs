//! The hard forks of Ethereum mainnet that change execution.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// A hard fork: the set of rules a block is executed by, oldest first.
///
/// Own type rather than a peer's: the fixtures need [`SpecId::CONSTANTINOPLE`], which ran with
/// EIP-1283 for no mainnet block and which others have dropped. Forks that change only the
/// difficulty or the blob schedule (Muir Glacier, BPO1, …) are not listed, they are configuration.
#[allow(non_camel_case_types, reason = "the field writes hard forks in capitals")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum SpecId {
    /// Genesis rules.
    FRONTIER,
    /// EIP-2, EIP-7.
    HOMESTEAD,
    /// EIP-150.
    TANGERINE,
    /// EIP-155, 160, 161, 170.
    SPURIOUS_DRAGON,
    /// EIP-140, 196, 197, 198, 211, 214.
    BYZANTIUM,
    /// EIP-145, 1014, 1052, 1283. Never ran on mainnet without Petersburg.
    CONSTANTINOPLE,
    /// Constantinople without EIP-1283 (`ConstantinopleFix` in fixtures).
    PETERSBURG,
    /// EIP-152, 1108, 1344, 1884, 2028, 2200.
    ISTANBUL,
    /// EIP-2565, 2929, 2930.
    BERLIN,
    /// EIP-1559, 3198, 3529, 3541.
    LONDON,
    /// EIP-3675, 4399.
    PARIS,
    /// EIP-3651, 3855, 3860, 4895.
    SHANGHAI,
    /// EIP-1153, 4788, 4844, 5656, 6780, 7516.
    CANCUN,
    /// EIP-2537, 2935, 7002, 7251, 7623, 7685, 7691, 7702.
    PRAGUE,
    /// EIP-7594, 7823, 7825, 7883, 7918, 7934, 7939, 7951.
    #[default]
    OSAKA,
}

impl SpecId {
    /// Every hard fork, oldest first.
    pub const ALL: [Self; 15] = [
        Self::FRONTIER,
        Self::HOMESTEAD,
        Self::TANGERINE,
        Self::SPURIOUS_DRAGON,
        Self::BYZANTIUM,
        Self::CONSTANTINOPLE,
        Self::PETERSBURG,
        Self::ISTANBUL,
        Self::BERLIN,
        Self::LONDON,
        Self::PARIS,
        Self::SHANGHAI,
        Self::CANCUN,
        Self::PRAGUE,
        Self::OSAKA,
    ];

    /// Whether the rules of `fork` are in force under `self`.
    #[inline]
    #[must_use]
    pub const fn has(self, fork: Self) -> bool {
        self as u8 >= fork as u8
    }

    /// The label the official fixtures use, such as `EIP158` or `Cancun`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::FRONTIER => "Frontier",
            Self::HOMESTEAD => "Homestead",
            Self::TANGERINE => "EIP150",
            Self::SPURIOUS_DRAGON => "EIP158",
            Self::BYZANTIUM => "Byzantium",
            Self::CONSTANTINOPLE => "Constantinople",
            Self::PETERSBURG => "ConstantinopleFix",
            Self::ISTANBUL => "Istanbul",
            Self::BERLIN => "Berlin",
            Self::LONDON => "London",
            Self::PARIS => "Paris",
            Self::SHANGHAI => "Shanghai",
            Self::CANCUN => "Cancun",
            Self::PRAGUE => "Prague",
            Self::OSAKA => "Osaka",
        }
    }
}

impl fmt::Display for SpecId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that is no hard fork zvm executes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown hard fork {name:?}, expected one of {}", SpecId::ALL.map(SpecId::name).join(", "))]
pub struct UnknownSpec {
    /// The name as it was given.
    pub name: String,
}

impl FromStr for SpecId {
    type Err = UnknownSpec;

    /// Reads fixture labels, EIP numbers of the unnamed forks and common aliases, in any case.
    fn from_str(name: &str) -> Result<Self, UnknownSpec> {
        Ok(match name.to_ascii_lowercase().as_str() {
            "frontier" => Self::FRONTIER,
            "homestead" => Self::HOMESTEAD,
            "eip150" | "tangerine" | "tangerinewhistle" => Self::TANGERINE,
            "eip158" | "eip161" | "spurious" | "spuriousdragon" => Self::SPURIOUS_DRAGON,
            "byzantium" => Self::BYZANTIUM,
            "constantinople" => Self::CONSTANTINOPLE,
            "constantinoplefix" | "petersburg" => Self::PETERSBURG,
            "istanbul" => Self::ISTANBUL,
            "berlin" => Self::BERLIN,
            "london" => Self::LONDON,
            "paris" | "merge" => Self::PARIS,
            "shanghai" => Self::SHANGHAI,
            "cancun" => Self::CANCUN,
            "prague" => Self::PRAGUE,
            "osaka" => Self::OSAKA,
            _ => return Err(UnknownSpec { name: name.to_owned() }),
        })
    }
}

impl Serialize for SpecId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for SpecId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_reads_back() {
        for spec in SpecId::ALL {
            assert_eq!(spec.name().parse(), Ok(spec));
        }
    }

    #[test]
    fn unknown_name_lists_the_known_ones() {
        let message = "Atlantis".parse::<SpecId>().unwrap_err().to_string();
        assert!(message.contains("\"Atlantis\"") && message.contains("Osaka"), "{message}");
    }

    #[test]
    fn forks_are_ordered_by_activation() {
        assert!(SpecId::ALL.is_sorted());
        assert!(SpecId::OSAKA.has(SpecId::FRONTIER) && !SpecId::FRONTIER.has(SpecId::HOMESTEAD));
    }
}
