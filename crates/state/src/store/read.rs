//! Reading records: look-ups and walks whose faults say where they are.

use zvm_core::{DbError, hex};

use super::record::{seal, unseal};
use crate::kv::{KvReader, Order, Table, WriteBatch};

/// What `decode` makes of the body under `key`; `None` where there is no record.
pub(super) fn get<T>(
    kv: &dyn KvReader,
    table: Table,
    key: &[u8],
    decode: impl FnOnce(&[u8]) -> Result<T, String>,
) -> Result<Option<T>, DbError> {
    let record = kv.get(table, key)?;
    record.map(|record| open(kv, table, key, &record, decode)).transpose()
}

/// [`get`] for many keys, sorted for the engine's sake.
pub(super) fn get_all<T>(
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
pub(super) fn entries<'a, T: 'a, const N: usize>(
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
pub(super) fn exact<const N: usize>(
    kv: &dyn KvReader,
    table: Table,
    key: &[u8],
) -> Result<[u8; N], DbError> {
    key.try_into().map_err(|_| {
        corrupt_at(kv, table, key, format!("key of {} bytes, expected {N}", key.len()))
    })
}

/// Opens the envelope of a record and decodes its body.
pub(super) fn open<T>(
    kv: &dyn KvReader,
    table: Table,
    key: &[u8],
    record: &[u8],
    decode: impl FnOnce(&[u8]) -> Result<T, String>,
) -> Result<T, DbError> {
    unseal(key, record).and_then(decode).map_err(|what| corrupt_at(kv, table, key, what))
}

/// Damage of the record under `key`.
pub(super) fn corrupt_at(
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
pub(super) fn corrupt(kv: &dyn KvReader, what: impl Into<String>) -> DbError {
    DbError::Corrupt { path: kv.path().to_owned(), what: what.into() }
}

/// Adds the record that stores `body` under `key`.
pub(super) fn put(batch: &mut WriteBatch, table: Table, key: &[u8], body: &[u8]) {
    batch.put(table, key, &seal(key, body));
}
