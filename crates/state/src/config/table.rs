//! A configuration as a table of a TOML or JSON file.

use std::{fmt, path::PathBuf};

use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess, Visitor, value::MapAccessDeserializer},
};

use super::{
    DatabaseConfig, StoreConfig,
    parse::{ENTRIES_MAX, OptionFault, option, parse_entries},
    parse_bytes,
};
use crate::CacheLimits;

/// Every field of every kind.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Table {
    kind: Kind,
    path: Option<PathBuf>,
    history: Option<Scalar>,
    durability: Option<Scalar>,
    cache: Option<Scalar>,
    #[serde(default)]
    readonly: bool,
    key_file: Option<Scalar>,
    passphrase_file: Option<Scalar>,
    passphrase_env: Option<Scalar>,
    entries: Option<Scalar>,
    code: Option<Scalar>,
    inner: Option<Box<DatabaseConfig>>,
}

#[derive(Clone, Copy, Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Memory,
    File,
    RocksDb,
    Cached,
}

/// A string, or a number as one.
#[derive(Deserialize)]
#[serde(untagged)]
enum Scalar {
    Number(u64),
    Text(String),
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Text(text) => f.write_str(text),
        }
    }
}

impl<'de> Deserialize<'de> for DatabaseConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visit;

        impl<'de> Visitor<'de> for Visit {
            type Value = DatabaseConfig;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a database, as a string such as \"file:./state\" or as a table")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<DatabaseConfig, E> {
                text.parse().map_err(E::custom)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<DatabaseConfig, A::Error> {
                let table = Table::deserialize(MapAccessDeserializer::new(map))?;
                table.config().map_err(de::Error::custom)
            }
        }

        deserializer.deserialize_any(Visit)
    }
}

impl Table {
    fn config(self) -> Result<DatabaseConfig, String> {
        let is_store = matches!(self.kind, Kind::File | Kind::RocksDb);
        let is_cached = self.kind == Kind::Cached;
        // Every field, whether it is there, and whether its kind has it.
        let fields = [
            ("path", self.path.is_some(), is_store),
            ("history", self.history.is_some(), is_store),
            ("durability", self.durability.is_some(), is_store),
            ("cache", self.cache.is_some(), is_store),
            ("readonly", self.readonly, is_store),
            ("key-file", self.key_file.is_some(), is_store),
            ("passphrase-file", self.passphrase_file.is_some(), is_store),
            ("passphrase-env", self.passphrase_env.is_some(), is_store),
            ("entries", self.entries.is_some(), is_cached),
            ("code", self.code.is_some(), is_cached),
            ("inner", self.inner.is_some(), is_cached),
        ];
        if let Some((name, ..)) =
            fields.iter().find(|(_, is_there, is_known)| *is_there && !is_known)
        {
            return Err(format!("{name} means nothing for this kind of database"));
        }
        match self.kind {
            Kind::Memory => Ok(DatabaseConfig::Memory),
            Kind::File => self.store().map(DatabaseConfig::File),
            Kind::RocksDb => self.store().map(DatabaseConfig::RocksDb),
            Kind::Cached => self.cached(),
        }
    }

    fn store(self) -> Result<StoreConfig, String> {
        let path = self.path.filter(|path| !path.as_os_str().is_empty());
        let mut store = StoreConfig::new(path.ok_or("no path")?);
        store.is_read_only = self.readonly;
        let options = [
            ("history", self.history),
            ("durability", self.durability),
            ("cache", self.cache),
            ("key-file", self.key_file),
            ("passphrase-file", self.passphrase_file),
            ("passphrase-env", self.passphrase_env),
        ];
        for (name, value) in options {
            let Some(value) = value else { continue };
            // In a table nothing needs escaping, and nothing may be taken for an escape.
            option(&mut store, name, Some(&value.to_string())).map_err(|fault| match fault {
                OptionFault::Name(what) => what,
                OptionFault::Value(expected) => format!("{name}: expected {expected}"),
            })?;
        }
        Ok(store)
    }

    fn cached(self) -> Result<DatabaseConfig, String> {
        let entries = self.entries.ok_or("no entries")?.to_string();
        let entries = parse_entries(&entries)
            .ok_or_else(|| format!("entries: expected a number from 1 to {ENTRIES_MAX}"))?;
        let mut limits = CacheLimits::entries(entries);
        if let Some(code) = self.code {
            let bytes = parse_bytes(&code.to_string());
            limits.code_bytes = bytes.ok_or("code: expected a size such as 64MiB")?;
        }
        Ok(DatabaseConfig::Cached { limits, inner: self.inner.ok_or("no inner")? })
    }
}
