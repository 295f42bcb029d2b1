//! In: a genesis file or what anvil dumps, one JSON document with accounts under their addresses.

use std::{cell::RefCell, collections::BTreeSet, fmt, io::Read};

use serde::{
    Deserialize, Deserializer,
    de::{self, DeserializeSeed, IgnoredAny, MapAccess, Visitor},
};
use zvm_core::{
    AccountInfo, Address, DbError,
    genesis::{AllocAccount, Number},
};

use super::{LoadError, Seeder};

/// Reads the document into `seeder` and answers the number of the block whose state it is.
///
/// Accounts are passed on as they are read; the rest, such as anvil's blocks, is passed over.
pub(super) fn read(text: impl Read, seeder: &mut Seeder<'_>) -> Result<u64, LoadError> {
    let failure = RefCell::new(None);
    let mut json = serde_json::Deserializer::from_reader(text);
    let found = json.deserialize_map(Document { seeder, failure: &failure });
    let number = found.and_then(|number| json.end().map(|()| number));
    match failure.into_inner() {
        Some(error) => Err(LoadError::Database(error)),
        None => number.map_err(|error| LoadError::json(error, 1)),
    }
}

/// The whole document.
struct Document<'a, 's> {
    seeder: &'a mut Seeder<'s>,
    /// What the backend said, which the parser's errors cannot carry.
    failure: &'a RefCell<Option<DbError>>,
}

/// What matters of the block that anvil stood at.
#[derive(Deserialize)]
struct BlockNumber {
    number: Option<Number>,
}

impl<'de> Visitor<'de> for Document<'_, '_> {
    type Value = u64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with the accounts under \"alloc\" (geth) or \"accounts\" (anvil)")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<u64, A::Error> {
        let (mut has_accounts, mut best, mut number) = (false, None, None);
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "alloc" | "accounts" if has_accounts => {
                    return Err(de::Error::custom("accounts come twice"));
                }
                "alloc" | "accounts" => {
                    has_accounts = true;
                    let accounts = Accounts { seeder: self.seeder, failure: self.failure };
                    map.next_value_seed(accounts)?;
                }
                "best_block_number" => best = map.next_value::<Option<Number>>()?,
                "block" => number = map.next_value::<Option<BlockNumber>>()?.and_then(|b| b.number),
                "number" => number = map.next_value::<Option<Number>>()?,
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        if !has_accounts {
            return Err(de::Error::invalid_value(de::Unexpected::Map, &self));
        }
        let Some(Number(number)) = best.or(number) else { return Ok(0) };
        let fault = |_| de::Error::custom(format!("block number {number}, expected below 2^64"));
        number.try_into().map_err(fault)
    }
}

/// The accounts under their addresses.
struct Accounts<'a, 's> {
    seeder: &'a mut Seeder<'s>,
    failure: &'a RefCell<Option<DbError>>,
}

impl<'de> DeserializeSeed<'de> for Accounts<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Accounts<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("accounts under their addresses")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut seen = BTreeSet::new();
        while let Some(address) = map.next_key::<Address>()? {
            if !seen.insert(address) {
                return Err(de::Error::custom(format!("account {address} comes twice")));
            }
            let account = map.next_value()?;
            if let Err(error) = take(self.seeder, address, account) {
                *self.failure.borrow_mut() = Some(error);
                return Err(de::Error::custom("the database failed"));
            }
        }
        Ok(())
    }
}

fn take(seeder: &mut Seeder<'_>, address: Address, account: AllocAccount) -> Result<(), DbError> {
    let code_hash = seeder.code(account.code)?;
    let info = AccountInfo { nonce: account.nonce, balance: account.balance, code_hash };
    seeder.account(address, info)?;
    for (slot, word) in account.storage.into_iter().filter(|(_, word)| !word.is_zero()) {
        seeder.slot(address, info, slot, word)?;
    }
    Ok(())
}
