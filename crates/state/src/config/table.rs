//! A configuration as a table of a TOML or JSON file.

use std::{collections::BTreeMap, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess, Visitor},
};

use super::{
    BlockRef, DatabaseConfig, ForkConfig, ForkSource, NetConfig, StoreConfig,
    parse::{CACHES_MAX, ENTRIES_MAX, OptionFault, option, parse_entries},
    parse_bytes,
};
use crate::CacheLimits;

/// The kinds of databases, as a table names them.
const KINDS: [&str; 6] = ["memory", "file", "rocksdb", "cached", "fork", "net"];

/// A table: its kind, the database inside it, and all other fields.
struct Table {
    kind: String,
    inner: Option<Box<DatabaseConfig>>,
    fields: BTreeMap<String, Setting>,
}

/// The value of a field.
#[derive(Deserialize)]
#[serde(untagged)]
enum Setting {
    Flag(bool),
    Number(u64),
    Text(String),
    List(Vec<String>),
}

impl fmt::Display for Setting {
    /// As it would stand behind the name of an option.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(flag) => flag.fmt(f),
            Self::Number(number) => number.fmt(f),
            Self::Text(text) => f.write_str(text),
            Self::List(list) => f.write_str(&list.join(",")),
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
                Table::read(map)?.config().map_err(de::Error::custom)
            }
        }

        deserializer.deserialize_any(Visit)
    }
}

impl Table {
    fn read<'de, A: MapAccess<'de>>(mut map: A) -> Result<Self, A::Error> {
        let (mut kind, mut inner, mut fields) = (None, None, BTreeMap::new());
        while let Some(name) = map.next_key::<String>()? {
            let is_second = match name.as_str() {
                "kind" => kind.replace(map.next_value::<String>()?).is_some(),
                "inner" => inner.replace(map.next_value::<Box<DatabaseConfig>>()?).is_some(),
                _ => {
                    // What stands there may be a secret, which no error repeats.
                    let value = map.next_value::<Setting>().map_err(|_| {
                        de::Error::custom(format!("{name}: expected text, a number or a flag"))
                    })?;
                    fields.insert(name.clone(), value).is_some()
                }
            };
            if is_second {
                return Err(de::Error::custom(format!("{name} comes twice")));
            }
        }
        let kind = kind.ok_or_else(|| de::Error::missing_field("kind"))?;
        if !KINDS.contains(&kind.as_str()) {
            return Err(de::Error::unknown_variant(&kind, &KINDS));
        }
        Ok(Self { kind, inner, fields })
    }

    fn config(self) -> Result<DatabaseConfig, String> {
        if self.inner.is_some() && self.kind != "cached" {
            return Err("inner means nothing for this kind of database".to_owned());
        }
        match self.kind.as_str() {
            "file" => self.store().map(DatabaseConfig::File),
            "rocksdb" => self.store().map(DatabaseConfig::RocksDb),
            "fork" => self.fork().map(Box::new).map(DatabaseConfig::Fork),
            "net" => self.net().map(Box::new).map(DatabaseConfig::Net),
            "cached" => self.cached(),
            _ => self.finish(DatabaseConfig::Memory),
        }
    }

    fn store(mut self) -> Result<StoreConfig, String> {
        let mut store = StoreConfig::new(self.place("path")?);
        self.options(&["readonly"], |name, value| option(&mut store, name, value))?;
        Ok(store)
    }

    fn fork(mut self) -> Result<ForkConfig, String> {
        // A field of its own, so that no `@` in an address is taken for that of a block.
        let block = match self.fields.remove("block") {
            Some(block) => block.to_string().parse().map_err(|what| format!("block: {what}"))?,
            None => BlockRef::Latest,
        };
        let has_path = self.fields.contains_key("path");
        let source = match has_path {
            true if self.fields.contains_key("url") => return Err("a url and a path".to_owned()),
            true if block != BlockRef::Latest => {
                return Err("block means nothing for a recording, which has its own".to_owned());
            }
            true => {
                let path = self.place("path")?;
                if path.contains("://") {
                    return Err(
                        "path: expected that of a recording; an address is a url".to_owned()
                    );
                }
                ForkSource::Recording(path.into())
            }
            false => {
                let url = self.place("url").map_err(|_| "no url, and no path of a recording")?;
                let endpoint = ForkConfig::endpoint(&url).map_err(|what| format!("url: {what}"))?;
                ForkSource::Node(endpoint)
            }
        };
        let mut fork = ForkConfig::new(source, block);
        self.options(&["verify", "offline"], |name, value| fork.option(name, value))?;
        Ok(fork)
    }

    fn net(mut self) -> Result<NetConfig, String> {
        let address = self.place("address")?;
        let net = NetConfig::from_place(&address);
        let mut net = net.map_err(|_| "address: expected HOST:PORT".to_owned())?;
        self.options(&["tls", "readonly"], |name, value| net.option(name, value))?;
        Ok(net)
    }

    fn cached(mut self) -> Result<DatabaseConfig, String> {
        let entries = self.fields.remove("entries").ok_or("no entries")?.to_string();
        let entries = parse_entries(&entries)
            .ok_or_else(|| format!("entries: expected a number from 1 to {ENTRIES_MAX}"))?;
        let mut limits = CacheLimits::entries(entries);
        if let Some(code) = self.fields.remove("code") {
            let bytes = parse_bytes(&code.to_string());
            limits.code_bytes = bytes.ok_or("code: expected a size such as 64MiB")?;
        }
        let inner = self.inner.take().ok_or("no inner")?;
        let (mut caches, mut below) = (1, &*inner);
        while let DatabaseConfig::Cached { inner, .. } = below {
            (caches, below) = (caches + 1, inner);
        }
        if caches > CACHES_MAX {
            return Err(format!("more than {CACHES_MAX} caches over each other"));
        }
        self.finish(DatabaseConfig::Cached { limits, inner })
    }

    /// Where it is: a field that must be there.
    fn place(&mut self, name: &str) -> Result<String, String> {
        match self.fields.remove(name) {
            Some(Setting::Text(text)) if !text.is_empty() => Ok(text),
            Some(_) => Err(format!("{name}: expected text")),
            None => Err(format!("no {name}")),
        }
    }

    /// Reads all fields that are left as options, of which `flags` have no value. In a table nothing
    /// needs escaping, and nothing may be taken for an escape.
    fn options(
        self,
        flags: &[&str],
        mut read: impl FnMut(&str, Option<&str>) -> Result<(), OptionFault>,
    ) -> Result<(), String> {
        for (name, value) in &self.fields {
            let value = match (flags.contains(&name.as_str()), value) {
                (true, Setting::Flag(true)) => None,
                // As if it were not there.
                (true, Setting::Flag(false)) => continue,
                (true, _) => return Err(format!("{name}: expected true or false")),
                (false, value) => Some(value.to_string()),
            };
            read(name, value.as_deref()).map_err(|fault| match fault {
                OptionFault::Name(what) => format!("{name}: {what}"),
                OptionFault::Value(expected) => format!("{name}: expected {expected}"),
            })?;
        }
        Ok(())
    }

    /// `config`, if no field is left.
    fn finish(self, config: DatabaseConfig) -> Result<DatabaseConfig, String> {
        match self.fields.first_key_value() {
            None => Ok(config),
            Some((name, _)) => Err(format!("{name} means nothing for this kind of database")),
        }
    }
}
