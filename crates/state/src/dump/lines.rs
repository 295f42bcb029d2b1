//! In: the lines that a dump has written.

use std::{
    fmt,
    io::{BufRead, Read},
};

use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess, Visitor},
};
use zvm_core::{
    AccountInfo, Address, B256, BlockId, Bytes, U256,
    genesis::{self, Number, StorageWord},
    keccak256,
};
use zvm_trie::slot_hash;

use super::{FORMAT, LoadError, Seeder, VERSION};

/// Longest line to read. An account with its code and its first slots is far below.
const LINE_BYTES_MAX: u64 = 256 << 20;

/// The first line.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Header {
    #[serde(deserialize_with = "format")]
    #[serde(rename = "format")]
    _format: (),
    #[serde(deserialize_with = "version")]
    #[serde(rename = "version")]
    _version: (),
    pub(super) block: BlockId,
    pub(super) root: B256,
}

/// Any other line. Without nonce and balance it goes on with the storage of the account before.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    address: Address,
    nonce: Option<Number>,
    balance: Option<Number>,
    #[serde(default, deserialize_with = "genesis::code")]
    code: Bytes,
    #[serde(default)]
    storage: Slots,
}

/// Slots in ascending order of their hashes, none of them zero.
#[derive(Default)]
struct Slots(Vec<(B256, U256, U256)>);

/// Where the last line has left off.
struct Last {
    hash: B256,
    address: Address,
    info: AccountInfo,
    slot: Option<B256>,
}

/// Reads all lines into `seeder`.
pub(super) fn read(text: impl BufRead, seeder: &mut Seeder<'_>) -> Result<Header, LoadError> {
    let mut lines = Lines { text, buffer: Vec::new(), number: 0 };
    let Some(header) = lines.next::<Header>()? else {
        return Err(lines.fault("no header"));
    };
    let mut last: Option<Last> = None;
    while let Some(line) = lines.next::<Line>()? {
        let Line { address, nonce, balance, code, storage } = line;
        match (nonce, balance) {
            (Some(Number(nonce)), Some(Number(balance))) => {
                let hash = keccak256(address);
                if last.as_ref().is_some_and(|last| last.hash >= hash) {
                    let what = format!("account {address} comes twice or out of order");
                    return Err(lines.fault(&what));
                }
                let nonce = nonce.try_into();
                let nonce = nonce.map_err(|_| lines.fault("nonce, expected below 2^64"))?;
                let info = AccountInfo { nonce, balance, code_hash: seeder.code(code)? };
                seeder.account(address, info)?;
                last = Some(Last { hash, address, info, slot: None });
            }
            (None, None) if code.is_empty() => {}
            _ => return Err(lines.fault("nonce and balance, expected both or only storage")),
        }
        let Some(last) = last.as_mut().filter(|last| last.address == address) else {
            let what = format!("storage of {address} does not follow its account");
            return Err(lines.fault(&what));
        };
        let first = storage.0.first().map(|slot| slot.0);
        if last.slot.is_some() && first <= last.slot {
            return Err(lines.fault("slots come twice or out of order"));
        }
        last.slot = storage.0.last().map(|slot| slot.0).or(last.slot);
        for (_, slot, word) in storage.0 {
            seeder.slot(address, last.info, slot, word)?;
        }
    }
    Ok(header)
}

/// Text line by line.
struct Lines<R> {
    text: R,
    buffer: Vec<u8>,
    number: usize,
}

impl<R: BufRead> Lines<R> {
    /// The next line; `None` at the end.
    fn next<T: for<'de> Deserialize<'de>>(&mut self) -> Result<Option<T>, LoadError> {
        self.buffer.clear();
        let mut bounded = (&mut self.text).take(LINE_BYTES_MAX);
        let length = bounded.read_until(b'\n', &mut self.buffer).map_err(LoadError::Read)?;
        if length == 0 {
            return Ok(None);
        }
        self.number += 1;
        if length as u64 == LINE_BYTES_MAX {
            return Err(self.fault(&format!("{LINE_BYTES_MAX} bytes and more, expected fewer")));
        }
        // With its end the parser would count one line more.
        let line = self.buffer.strip_suffix(b"\n").unwrap_or(&self.buffer);
        let parsed = serde_json::from_slice(line);
        parsed.map(Some).map_err(|error| LoadError::json(error, self.number))
    }

    /// A fault of the line as a whole.
    fn fault(&self, what: &str) -> LoadError {
        LoadError::Text { line: self.number, column: 0, what: what.to_owned() }
    }
}

fn format<'de, D: Deserializer<'de>>(deserializer: D) -> Result<(), D::Error> {
    match String::deserialize(deserializer)? {
        format if format == FORMAT => Ok(()),
        other => Err(de::Error::custom(format!("format {other:?}, expected {FORMAT:?}"))),
    }
}

fn version<'de, D: Deserializer<'de>>(deserializer: D) -> Result<(), D::Error> {
    match u64::deserialize(deserializer)? {
        VERSION => Ok(()),
        other => Err(de::Error::custom(format!("version {other}, expected {VERSION}"))),
    }
}

impl<'de> Deserialize<'de> for Slots {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visit;

        impl<'de> Visitor<'de> for Visit {
            type Value = Slots;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("words under their slots")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Slots, A::Error> {
                let mut slots: Vec<(B256, U256, U256)> = Vec::new();
                while let Some((StorageWord(slot), StorageWord(word))) = map.next_entry()? {
                    let hash = slot_hash(slot);
                    if slots.last().is_some_and(|last| last.0 >= hash) {
                        let what = format!("slot {slot:#x} comes twice or out of order");
                        return Err(de::Error::custom(what));
                    }
                    if word.is_zero() {
                        return Err(de::Error::custom(format!("slot {slot:#x} is zero")));
                    }
                    slots.push((hash, slot, word));
                }
                Ok(Slots(slots))
            }
        }

        deserializer.deserialize_map(Visit)
    }
}
