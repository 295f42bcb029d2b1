//! Accounts as genesis files list them: the `alloc` of geth's `genesis.json`.

use std::{collections::BTreeMap, fmt};

use alloy_primitives::{Address, Bytes, U256, hex};
use serde::{
    Deserialize, Deserializer,
    de::{self, IgnoredAny, MapAccess, Visitor},
};

/// Accounts by address; addresses are hex with or without `0x`.
pub type Alloc = BTreeMap<Address, AllocAccount>;

/// One account. What a file leaves out is zero or empty; a field that is not known is an error.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "Fields")]
pub struct AllocAccount {
    /// Transactions sent, or contracts created. Written as a number, or as a string of decimal
    /// digits, or of hex digits after `0x`.
    pub nonce: u64,
    /// Wei; written as the nonce.
    pub balance: U256,
    /// Hex.
    pub code: Bytes,
    /// Words under their slots, all hex with or without `0x`. Zeros are absent slots.
    pub storage: BTreeMap<U256, U256>,
}

/// An account as it is written.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Fields {
    #[serde(deserialize_with = "nonce")]
    nonce: u64,
    /// The oldest files called it `wei`.
    #[serde(deserialize_with = "number", alias = "wei")]
    balance: U256,
    #[serde(deserialize_with = "code")]
    code: Bytes,
    #[serde(deserialize_with = "storage")]
    storage: BTreeMap<U256, U256>,
    /// geth accepts a key here. It is passed over.
    #[serde(rename = "secretKey")]
    _secret_key: IgnoredAny,
}

impl From<Fields> for AllocAccount {
    fn from(fields: Fields) -> Self {
        let Fields { nonce, balance, code, storage, .. } = fields;
        Self { nonce, balance, code, storage }
    }
}

/// A number as JSON, or as a string of decimal digits, or of hex digits after `0x`.
#[derive(Clone, Copy, Debug)]
pub struct Number(pub U256);

impl Number {
    /// It, if it is below 2^64.
    pub fn short(self) -> Result<u64, NumberTooLong> {
        u64::try_from(self.0).map_err(|_| NumberTooLong { found: self.0 })
    }
}

/// A number that needs more than 64 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{found}, expected below 2^64")]
pub struct NumberTooLong {
    /// The number.
    pub found: U256,
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visit;

        impl Visitor<'_> for Visit {
            type Value = Number;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number, or a string with one, decimal or hex after 0x")
            }

            fn visit_u64<E>(self, number: u64) -> Result<Number, E> {
                Ok(Number(U256::from(number)))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Number, E> {
                let digits = text.strip_prefix("0x");
                let word = digits.map_or_else(|| digits_to_word(text, 10), hex_to_word);
                word.map(Number).ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
            }
        }

        deserializer.deserialize_any(Visit)
    }
}

/// A storage slot or word: hex with or without `0x`, as map key or value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StorageWord(pub U256);

impl<'de> Deserialize<'de> for StorageWord {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visit;

        impl Visitor<'_> for Visit {
            type Value = StorageWord;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string of 1 to 64 hex digits")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<StorageWord, E> {
                let word = hex_to_word(text.strip_prefix("0x").unwrap_or(text));
                word.map(StorageWord)
                    .ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
            }
        }

        deserializer.deserialize_str(Visit)
    }
}

fn hex_to_word(digits: &str) -> Option<U256> {
    if digits.len() <= 64 { digits_to_word(digits, 16) } else { None }
}

fn digits_to_word(digits: &str, radix: u32) -> Option<U256> {
    // The library skips underscores and takes nothing for zero.
    let are_digits = !digits.is_empty() && digits.chars().all(|digit| digit.is_digit(radix));
    if are_digits { U256::from_str_radix(digits, radix.into()).ok() } else { None }
}

fn nonce<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let number = Number::deserialize(deserializer)?;
    number.short().map_err(|error| de::Error::custom(format!("nonce {error}")))
}

fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<U256, D::Error> {
    Number::deserialize(deserializer).map(|Number(number)| number)
}

/// Bytes from a string of hex digits, with or without `0x`.
pub fn code<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
    struct Visit;

    impl Visitor<'_> for Visit {
        type Value = Bytes;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a string of hex digits")
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<Bytes, E> {
            hex::decode(text).map(Bytes::from).map_err(|error| E::custom(format!("code: {error}")))
        }
    }

    deserializer.deserialize_str(Visit)
}

fn storage<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<U256, U256>, D::Error> {
    struct Visit;

    impl<'de> Visitor<'de> for Visit {
        type Value = BTreeMap<U256, U256>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("words under their slots")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut storage = BTreeMap::new();
            while let Some((StorageWord(slot), StorageWord(word))) = map.next_entry()? {
                if storage.insert(slot, word).is_some() {
                    return Err(de::Error::custom(format!("slot {slot:#x} comes twice")));
                }
            }
            Ok(storage)
        }
    }

    deserializer.deserialize_map(Visit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_in_every_form() {
        for (text, expected) in [
            ("7", Some(7)),
            (r#""7""#, Some(7)),
            (r#""0x1f""#, Some(31)),
            (r#""0x001f""#, Some(31)),
            ("-1", None),
            ("1.5", None),
            (r#""""#, None),
            (r#""0x""#, None),
            (r#""1_0""#, None),
            (r#""1f""#, None),
            (r#""+1""#, None),
        ] {
            let number = serde_json::from_str::<Number>(text).ok();
            assert_eq!(number.map(|number| number.0), expected.map(U256::from), "{text}");
        }
        let most = format!("\"{}\"", U256::MAX);
        assert_eq!(serde_json::from_str::<Number>(&most).unwrap().0, U256::MAX);
        let more = format!("\"{}0\"", U256::MAX);
        assert!(serde_json::from_str::<Number>(&more).is_err());
    }

    #[test]
    fn faults_are_named_with_their_place() {
        for (text, expected) in [
            (r#"{"nonce": "0x10000000000000000"}"#, "expected below 2^64 at line 1 column"),
            (r#"{"storge": {}}"#, "unknown field `storge`"),
            (r#"{"storage": {"1": "2", "0x01": "3"}}"#, "slot 0x1 comes twice"),
            (r#"{"code": "0x0"}"#, "code: "),
            (r#"{"balance": null}"#, "expected a number, or a string"),
        ] {
            let error = serde_json::from_str::<AllocAccount>(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
