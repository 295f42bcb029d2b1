//! Numbers and bytes as fixtures write them: `0x` strings, padded or not, sometimes too long.

use std::{fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess, Visitor},
};
use zvm_core::{B256, Bytes, U256, hex};

/// A number that may not fit a word. In a transaction that is a reason to reject it, not a fault
/// of the fixture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Quantity {
    /// At most 256 bits.
    Word(U256),
    /// More than 256 bits.
    Oversized,
}

impl Quantity {
    /// The number, if it fits `N`.
    pub(crate) fn fit<N: TryFrom<U256>>(self) -> Option<N> {
        match self {
            Self::Word(word) => N::try_from(word).ok(),
            Self::Oversized => None,
        }
    }

    /// Reads `0x` digits with or without padding; old files write `0x:bigint 0x…` for long ones.
    fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix("0x:bigint ").unwrap_or(text).strip_prefix("0x")?;
        if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        let digits = digits.trim_start_matches('0');
        match digits.len() {
            0 => Some(Self::Word(U256::ZERO)),
            1..=64 => U256::from_str_radix(digits, 16).ok().map(Self::Word),
            _ => Some(Self::Oversized),
        }
    }
}

/// A number of at most 256 bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Word(pub(crate) U256);

impl From<Word> for B256 {
    fn from(word: Word) -> Self {
        Self::from(word.0)
    }
}

/// A number of at most 64 bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Short(pub(crate) u64);

/// A string of bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Data(pub(crate) Bytes);

/// Reads `T` from a string with `parse`, or says what was expected.
fn from_text<'de, D: Deserializer<'de>, T>(
    deserializer: D,
    expected: &'static str,
    parse: fn(&str) -> Option<T>,
) -> Result<T, D::Error> {
    struct Text<T> {
        expected: &'static str,
        parse: fn(&str) -> Option<T>,
    }
    impl<T> Visitor<'_> for Text<T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.expected)
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
            (self.parse)(text).ok_or_else(|| {
                let shown: String = text.chars().take(80).collect();
                E::invalid_value(de::Unexpected::Str(&shown), &self.expected)
            })
        }
    }
    deserializer.deserialize_str(Text { expected, parse })
}

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        from_text(deserializer, "a number as 0x string", Self::parse)
    }
}

impl<'de> Deserialize<'de> for Word {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        from_text(deserializer, "a number of at most 256 bits as 0x string", |text| {
            Quantity::parse(text)?.fit().map(Self)
        })
    }
}

impl<'de> Deserialize<'de> for Short {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        from_text(deserializer, "a number of at most 64 bits as 0x string", |text| {
            Quantity::parse(text)?.fit().map(Self)
        })
    }
}

impl<'de> Deserialize<'de> for Data {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        from_text(deserializer, "bytes as 0x string with an even number of digits", |text| {
            hex::decode(text.strip_prefix("0x")?).ok().map(|bytes| Self(bytes.into()))
        })
    }
}

/// The entries of a JSON object in the order of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entries<K, V>(pub(crate) Vec<(K, V)>);

impl<K, V> Default for Entries<K, V> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, K: Deserialize<'de>, V: Deserialize<'de>> Deserialize<'de> for Entries<K, V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object<K, V>(PhantomData<(K, V)>);
        impl<'de, K: Deserialize<'de>, V: Deserialize<'de>> Visitor<'de> for Object<K, V> {
            type Value = Entries<K, V>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_map(Object(PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_does_not_matter() {
        for text in ["0x", "0x0", "0x00"] {
            assert_eq!(Quantity::parse(text), Some(Quantity::Word(U256::ZERO)));
        }
        let long = format!("0x{}0a", "0".repeat(70));
        assert_eq!(Quantity::parse(&long), Some(Quantity::Word(U256::from(10))));
    }

    #[test]
    fn a_long_number_is_oversized_and_not_unreadable() {
        let digits = format!("1{}", "0".repeat(64));
        assert_eq!(Quantity::parse(&format!("0x{digits}")), Some(Quantity::Oversized));
        assert_eq!(Quantity::parse(&format!("0x:bigint 0x{digits}")), Some(Quantity::Oversized));
    }

    #[test]
    fn signs_and_separators_are_no_digits() {
        for text in ["0x+1", "0x1_0", "-0x1", "10", "0xg"] {
            assert_eq!(Quantity::parse(text), None, "{text}");
        }
    }

    #[test]
    fn errors_name_place_and_expectation() {
        let error = serde_json::from_str::<Data>("\n  \"0x123\"").unwrap_err().to_string();
        assert!(
            error.contains("expected bytes as 0x string") && error.contains("line 2"),
            "{error}"
        );
        let error = serde_json::from_str::<Short>("5").unwrap_err().to_string();
        assert!(error.contains("expected a number of at most 64 bits as 0x string"), "{error}");
    }
}
