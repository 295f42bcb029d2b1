//! Records: values that tell when they are damaged or out of place.
//!
//! A record is `version u8 ‖ body ‖ checksum u32`. The checksum is the CRC-32 of the key, the version
//! and the body, so a record also shows when it sits under another key. Look-ups and walks name the
//! record at fault.

use zvm_core::{DbError, hex};

use super::{KvReader, Order, Table, WriteBatch};

/// The version byte that this program writes, and the only one it reads.
const VERSION: u8 = 1;

/// Length of version and checksum.
pub const ENVELOPE: usize = 5;

/// What `decode` makes of the body under `key`; `None` where there is no record.
pub fn get<T>(
    kv: &dyn KvReader,
    table: Table,
    key: &[u8],
    decode: impl FnOnce(&[u8]) -> Result<T, String>,
) -> Result<Option<T>, DbError> {
    let record = kv.get(table, key)?;
    record.map(|record| open(kv, table, key, &record, decode)).transpose()
}

/// [`get`] for many keys, sorted for the engine's sake.
pub fn get_all<T>(
    kv: &dyn KvReader,
    table: Table,
    keys: &[impl AsRef<[u8]>],
    decode: impl Fn(&[u8]) -> Result<T, String>,
) -> Result<Vec<Option<T>>, DbError> {
    let keys: Vec<&[u8]> = keys.iter().map(AsRef::as_ref).collect();
    let records = kv.multi_get(table, &keys)?;
    keys.iter()
        .zip(records)
        .map(|(key, record)| {
            record.map(|record| open(kv, table, key, &record, &decode)).transpose()
        })
        .collect()
}

/// The records whose key begins with `prefix`, in key order from `from` on: keys and what `decode`
/// makes of the bodies. Keys of another length than `N` are damage.
pub fn entries<'a, T: 'a, const N: usize>(
    kv: &'a dyn KvReader,
    table: Table,
    prefix: &[u8],
    from: Option<&[u8]>,
    decode: impl Fn(&[u8]) -> Result<T, String> + 'a,
) -> Result<impl Iterator<Item = Result<([u8; N], T), DbError>> + 'a, DbError> {
    Ok(kv.iter(table, prefix, from, Order::Forward)?.map(move |entry| {
        let (key, record) = entry?;
        let key = exact(kv, table, &key)?;
        Ok((key, open(kv, table, &key, &record, &decode)?))
    }))
}

/// A key that must have `N` bytes.
pub fn exact<const N: usize>(
    kv: &dyn KvReader,
    table: Table,
    key: &[u8],
) -> Result<[u8; N], DbError> {
    key.try_into().map_err(|_| {
        corrupt_at(kv, table, key, format!("key of {} bytes, expected {N}", key.len()))
    })
}

/// Opens the envelope of a record and decodes its body.
pub fn open<T>(
    kv: &dyn KvReader,
    table: Table,
    key: &[u8],
    record: &[u8],
    decode: impl FnOnce(&[u8]) -> Result<T, String>,
) -> Result<T, DbError> {
    unseal(key, record).and_then(decode).map_err(|what| corrupt_at(kv, table, key, what))
}

/// Damage of the record under `key`.
pub fn corrupt_at(
    kv: &dyn KvReader,
    table: Table,
    key: &[u8],
    what: impl std::fmt::Display,
) -> DbError {
    let name = match table {
        Table::Meta => String::from_utf8_lossy(key).into_owned(),
        _ => format!("0x{}", hex::encode(key)),
    };
    corrupt(kv, format!("{} {name}: {what}", table.name()))
}

/// Damage of the store.
pub fn corrupt(kv: &dyn KvReader, what: impl Into<String>) -> DbError {
    DbError::Corrupt { path: kv.path().to_owned(), what: what.into() }
}

/// Adds the record that stores `body` under `key`.
pub fn put(batch: &mut WriteBatch, table: Table, key: &[u8], body: &[u8]) {
    batch.put(table, key, &seal(key, body));
}

/// The record that stores `body` under `key`.
pub fn seal(key: &[u8], body: &[u8]) -> Vec<u8> {
    let mut record = Vec::with_capacity(body.len() + ENVELOPE);
    record.push(VERSION);
    record.extend_from_slice(body);
    record.extend(checksum(key, &record).to_be_bytes());
    record
}

/// The body of the record found under `key`.
pub fn unseal<'a>(key: &[u8], record: &'a [u8]) -> Result<&'a [u8], String> {
    let (sealed, found) = record
        .split_last_chunk()
        .filter(|(sealed, _)| !sealed.is_empty())
        .ok_or_else(|| format!("{} bytes, expected at least {ENVELOPE}", record.len()))?;
    let (found, expected) = (u32::from_be_bytes(*found), checksum(key, sealed));
    if found != expected {
        return Err(format!("checksum {found:#010x}, expected {expected:#010x}"));
    }
    match sealed {
        [VERSION, body @ ..] => Ok(body),
        [version, ..] => Err(format!("record version {version}, expected {VERSION}")),
        [] => Err("no version".to_owned()),
    }
}

fn checksum(key: &[u8], sealed: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(key);
    hasher.update(sealed);
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use proptest::{collection, prelude::*};

    use super::*;

    proptest! {
        #[test]
        fn any_bytes_are_unsealed_without_panic(bytes in collection::vec(any::<u8>(), 0..120)) {
            let _ = unseal(b"key", &bytes);
        }

        #[test]
        fn a_flipped_bit_or_another_key_is_noticed(
            body in collection::vec(any::<u8>(), 0..60),
            bit in any::<prop::sample::Index>(),
        ) {
            let mut record = seal(b"key", &body);
            prop_assert_eq!(unseal(b"key", &record), Ok(body.as_slice()));
            prop_assert!(unseal(b"kex", &record).is_err());
            let bit = bit.index(record.len() * 8);
            record[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(unseal(b"key", &record).is_err());
        }
    }
}
