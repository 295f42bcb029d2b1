//! Which kind of fixture a file holds, told from its content.

use std::{cell::Cell, fmt};

use serde::{
    Deserializer,
    de::{self, DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

use crate::{FixtureError, basic::Basic, values::Entries};

/// The kinds of fixture files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Shape {
    /// One transaction on a state, for several hard forks.
    State,
    /// One frame, as VMTests had it.
    Vm,
    /// A chain of blocks.
    Blockchain,
    /// The validity of an encoded transaction.
    Transaction,
    /// One of the smaller families.
    Basic(Basic),
    /// JSON of no shape with something to judge in it: tries, precompiles, mainnet blocks, …
    Other,
}

impl Shape {
    /// For people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::State => "state",
            Self::Vm => "vm",
            Self::Blockchain => "blockchain",
            Self::Transaction => "transaction",
            Self::Basic(family) => family.name(),
            Self::Other => "other",
        }
    }

    /// The shape a key of a case gives away.
    fn of_key(key: &str) -> Option<Self> {
        Some(match key {
            "transaction" => Self::State,
            "exec" => Self::Vm,
            "blocks" | "genesisBlockHeader" | "genesisRLP" | "engineNewPayloads"
            | "lastblockhash" => Self::Blockchain,
            "txbytes" => Self::Transaction,
            _ => return Basic::of_key(key).map(Self::Basic),
        })
    }

    /// Reads `text` only until a key of its first case tells the shape.
    pub(crate) fn detect(text: &str) -> Result<Self, FixtureError> {
        let found = Cell::new(None);
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let outcome = Walk { level: 0, found: &found }.deserialize(&mut deserializer);
        match (found.get(), outcome) {
            (Some(shape), _) => Ok(shape),
            (None, Ok(())) => Ok(Self::Other),
            (None, Err(error)) => Err(FixtureError::json(&error, text, text)),
        }
    }
}

/// The cases of a file by name, each still as text. Those of a list have their place as name.
pub(crate) fn split(shape: Shape, text: &str) -> Result<Vec<(String, &str)>, FixtureError> {
    let error = |error| FixtureError::json(&error, text, text);
    match shape {
        Shape::Basic(Basic::GenesisHash) => Ok(vec![("genesis".to_owned(), text)]),
        Shape::Basic(Basic::KeyAddress | Basic::Signing) => {
            let cases: Vec<&RawValue> = serde_json::from_str(text).map_err(error)?;
            let named = cases.into_iter().enumerate();
            Ok(named.map(|(index, raw)| (index.to_string(), raw.get())).collect())
        }
        _ => {
            let cases: Entries<String, &RawValue> = serde_json::from_str(text).map_err(error)?;
            Ok(cases.0.into_iter().map(|(name, raw)| (name, raw.get())).collect())
        }
    }
}

/// Whether a case holds nothing to run: only `_info`.
pub(crate) fn is_comment(case: &str) -> bool {
    serde_json::from_str::<Entries<String, IgnoredAny>>(case)
        .is_ok_and(|entries| entries.0.iter().all(|(key, _)| key == "_info"))
}

/// Walks a file: its cases (level 0) and the keys of each case (level 1).
struct Walk<'a> {
    level: u8,
    found: &'a Cell<Option<Shape>>,
}

impl Walk<'_> {
    /// Ends the walk: `shape` is known and the rest need not be read.
    fn decide<E: de::Error>(&self, shape: Shape) -> Result<(), E> {
        self.found.set(Some(shape));
        Err(E::custom("decided"))
    }
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            if self.level == 0 {
                if key == "genesis_rlp_hex" {
                    return self.decide(Shape::Basic(Basic::GenesisHash));
                }
                map.next_value_seed(Walk { level: 1, found: self.found })?;
            } else if let Some(shape) = Shape::of_key(&key) {
                return self.decide(shape);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        if self.level == 0 {
            while list.next_element_seed(Walk { level: 1, found: self.found })?.is_some() {}
        } else {
            while list.next_element::<IgnoredAny>()?.is_some() {}
        }
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_case_with_a_telling_key_decides() {
        let shape = |text| Shape::detect(text).unwrap();
        assert_eq!(shape(r#"{"a":{"_info":{}},"b":{"transaction":{}}}"#), Shape::State);
        assert_eq!(shape(r#"{"a":{"exec":{}}}"#), Shape::Vm);
        assert_eq!(shape(r#"{"a":{"network":"x","blocks":[]}}"#), Shape::Blockchain);
        assert_eq!(shape(r#"{"a":{"in":[]}}"#), Shape::Other);
        assert_eq!(shape(r#"{"a":{"in":[],"out":"0xc0"}}"#), Shape::Basic(Basic::Rlp));
        assert_eq!(shape(r#"[{"seed":"cow"}]"#), Shape::Basic(Basic::KeyAddress));
        assert_eq!(shape(r#"{"genesis_rlp_hex":""}"#), Shape::Basic(Basic::GenesisHash));
        assert_eq!(shape("[1,2]"), Shape::Other);
        assert_eq!(shape("{\"a\":1}"), Shape::Other);
    }

    #[test]
    fn damage_before_the_decision_is_an_error_with_its_place() {
        let error = Shape::detect("{\"a\":\n  {\"env\": tru").unwrap_err().to_string();
        assert!(error.starts_with("line 2"), "{error}");
    }

    #[test]
    fn deep_nesting_is_an_error() {
        let deep = format!("{{\"a\":{}", "[".repeat(100_000));
        assert!(Shape::detect(&deep).is_err());
    }
}
