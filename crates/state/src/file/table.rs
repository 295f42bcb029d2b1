//! Reading tables: look-ups and ranges whose faults say where they are.

use std::path::Path;

use redb::{ReadableTable, TableHandle};
use zvm_core::{DbError, hex};

use super::{
    error::{corrupt, fault},
    record::unseal,
};

/// What `decode` makes of the body under `key`; `None` where there is no record.
pub(super) fn get<T>(
    path: &Path,
    table: &(impl ReadableTable<&'static [u8], &'static [u8]> + TableHandle),
    key: &[u8],
    decode: impl FnOnce(&[u8]) -> Result<T, String>,
) -> Result<Option<T>, DbError> {
    let record = table.get(key).map_err(fault("read", path))?;
    record.map(|record| open(path, table.name(), key, record.value(), decode)).transpose()
}

/// All records whose key begins with `prefix`, in key order: keys and what `decode` makes of the
/// bodies.
pub(super) fn entries<'a, T: 'a>(
    path: &'a Path,
    table: &'a (impl ReadableTable<&'static [u8], &'static [u8]> + TableHandle),
    prefix: &'a [u8],
    decode: fn(&[u8]) -> Result<T, String>,
) -> Result<impl Iterator<Item = Result<(Vec<u8>, T), DbError>> + 'a, DbError> {
    let range = table.range(prefix..).map_err(fault("read", path))?;
    Ok(range
        .map(move |entry| {
            let (key, record) = entry.map_err(fault("read", path))?;
            let key = key.value().to_vec();
            if !key.starts_with(prefix) {
                return Ok(None);
            }
            let body = open(path, table.name(), &key, record.value(), decode)?;
            Ok(Some((key, body)))
        })
        .map_while(Result::transpose))
}

fn open<T>(
    path: &Path,
    table: &str,
    key: &[u8],
    record: &[u8],
    decode: impl FnOnce(&[u8]) -> Result<T, String>,
) -> Result<T, DbError> {
    unseal(key, record)
        .and_then(decode)
        .map_err(|what| corrupt(path, format!("{table} 0x{}: {what}", hex::encode(key))))
}
