//! Writing: batches, new files and copies.

use std::{ops::Bound, path::Path};

use redb::{Builder, Database, ReadableTable, WriteTransaction};
use zvm_core::DbError;

use super::{
    definition,
    error::{cursor_fault, fault},
    stretch::{Change, OpenTable, Stretch},
};
use crate::kv::{Durability, TableChanges, WriteBatch};

/// So many changes are looked at together, whether they are close to each other.
const GROUP: usize = 64;

/// So many groups are not looked at after one whose changes are far apart.
const SPARSE: usize = 15;

/// Writes `batch` in one transaction.
pub(super) fn batch(
    database: &Database,
    path: &Path,
    batch: WriteBatch,
    durability: Durability,
) -> Result<(), DbError> {
    let mut transaction = database.begin_write().map_err(fault("write", path))?;
    transaction
        .set_durability(match durability {
            Durability::Synced => redb::Durability::Immediate,
            Durability::Buffered => redb::Durability::None,
        })
        .map_err(fault("write", path))?;
    for changes in batch.into_tables() {
        apply(&transaction, path, &changes)?;
    }
    transaction.commit().map_err(fault("commit", path))
}

fn apply(
    transaction: &WriteTransaction,
    path: &Path,
    changes: &TableChanges,
) -> Result<(), DbError> {
    let mut table =
        transaction.open_table(definition(changes.table())).map_err(fault("write", path))?;
    for (first, end) in changes.ranges() {
        let range = (Bound::Included(first), end.map_or(Bound::Unbounded, Bound::Excluded));
        table.retain_in::<&[u8], _>(range, |_, _| false).map_err(fault("write", path))?;
    }
    let last = table.last().map_err(fault("write", path))?.map(|(key, _)| key.value().to_vec());
    let is_new = |key: &[u8]| last.as_deref().is_none_or(|last| key > last);
    let within: Vec<_> = changes.records().take_while(|(key, _)| !is_new(key)).collect();
    apply_within(&mut table, path, &within)?;
    // Behind the last key there is nothing to delete, and a cursor fills page after page at a
    // third of the cost: the changes of a block, a copy, a store that is loaded for the first time.
    let mut end = table.upper_bound_mut(Bound::<&[u8]>::Unbounded).map_err(fault("write", path))?;
    for (key, value) in changes.records().skip(within.len()) {
        if let Some(value) = value {
            end.insert_before(key, value).map_err(|error| cursor_fault(error, path))?;
        }
    }
    end.close().map_err(fault("write", path))
}

/// Changes among what is stored, in stretches where they are close together and one by one elsewhere.
fn apply_within(
    table: &mut OpenTable<'_>,
    path: &Path,
    changes: &[Change<'_>],
) -> Result<(), DbError> {
    let mut stretch = Stretch::new(path);
    if changes.len() >= GROUP {
        stretch.reserve(changes.len());
    }
    let mut sparse = 0_usize;
    for (number, group) in changes.chunks(GROUP).enumerate() {
        let next = changes.get((number + 1) * GROUP);
        let is_looked_at = group.len() == GROUP && sparse == 0;
        if is_looked_at && stretch.extend(table, group, next.map(|next| next.0))?.is_continue() {
            continue;
        }
        stretch.write(table)?;
        sparse = if is_looked_at { SPARSE } else { sparse.saturating_sub(1) };
        for (key, value) in group {
            match value {
                Some(value) => table.insert(*key, *value).map(drop),
                None => table.remove(*key).map(drop),
            }
            .map_err(fault("write", path))?;
        }
    }
    stretch.write(table)
}

/// Makes a store at `path` that holds `content`, on disk when this returns.
pub(super) fn create(
    path: &Path,
    cache_bytes: usize,
    content: impl IntoIterator<Item = Result<WriteBatch, DbError>>,
) -> Result<(), DbError> {
    let mut builder = Builder::new();
    builder.set_cache_size(cache_bytes);
    let database = builder.create(path).map_err(fault("create", path))?;
    for part in content {
        batch(&database, path, part?, Durability::Synced)?;
    }
    database.close().map_err(fault("close", path))
}
