//! A state to start from, in the shape of genesis files and fixtures: accounts by address.

use std::{collections::BTreeMap, path::Path};

use serde::Deserialize;
use zvm::{AccountInfo, Bytes, U256, Zvm};

use crate::{failure::usage, source::Source, value};

/// One account; whatever is left out is zero or empty.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Account {
    #[serde(default)]
    balance: Number,
    #[serde(default)]
    nonce: Number,
    #[serde(default)]
    code: Code,
    #[serde(default)]
    storage: BTreeMap<Word, Word>,
}

/// A JSON number, or a string of decimal digits or of hex digits after `0x`.
#[derive(Debug, Default)]
struct Number(U256);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl serde::de::Visitor<'_> for Visitor {
            type Value = Number;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a number, or a string with one")
            }

            fn visit_u64<E>(self, number: u64) -> Result<Number, E> {
                Ok(Number(U256::from(number)))
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Number, E> {
                value::word(text).map(Number).map_err(E::custom)
            }
        }

        deserializer.deserialize_any(Visitor)
    }
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
struct Word(U256);

impl TryFrom<String> for Word {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        value::word(&text).map(Self)
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(try_from = "String")]
struct Code(Bytes);

impl TryFrom<String> for Code {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        value::hex(&text).map(Self)
    }
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
struct Address(zvm::Address);

impl TryFrom<String> for Address {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        value::address(&text).map(Self)
    }
}

/// Reads `path` into the state of `zvm`.
pub(crate) fn load(path: &Path, zvm: &mut Zvm) -> anyhow::Result<()> {
    let source = Source::file(path)?;
    let accounts: BTreeMap<Address, Account> = serde_json::from_str(&source.text)
        .map_err(|error| usage(format!("{}: {error}", source.name)))?;
    let mut batch = zvm.database().batch();
    for (Address(address), account) in accounts {
        let nonce = account.nonce.0;
        let nonce = nonce.try_into().map_err(|_| {
            usage(format!("{}: account {address}: nonce {nonce} is 2^64 or more", source.name))
        })?;
        let code_hash = batch.set_code(account.code.0);
        let info = AccountInfo { nonce, balance: account.balance.0, code_hash };
        batch = batch.set_account(address, info);
        for (slot, word) in account.storage {
            batch = batch.set_storage(address, slot.0, word.0);
        }
    }
    Ok(batch.commit()?)
}
