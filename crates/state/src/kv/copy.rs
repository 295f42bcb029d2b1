//! All of a store, in batches of bounded size.

use std::iter;

use zvm_core::DbError;

use super::{KvReader, Order, Table, WriteBatch};

/// Bytes of a batch after which the next one begins.
const PART_BYTES: usize = 16 << 20;

/// Everything that `reader` holds, table after table in key order, in batches that an engine writes
/// one after another to have a copy.
///
/// Memory use is that of one batch of 16 MiB and one record. An error is the last item.
pub fn parts(reader: &dyn KvReader) -> impl Iterator<Item = Result<WriteBatch, DbError>> {
    let mut entries = Table::ALL.into_iter().flat_map(|table| {
        match reader.iter(table, &[], None, Order::Forward) {
            Ok(entries) => Box::new(entries.map(move |entry| Ok((table, entry?)))),
            Err(error) => {
                Box::new(iter::once(Err(error))) as Box<dyn Iterator<Item = Result<_, DbError>>>
            }
        }
    });
    let mut is_over = false;
    iter::from_fn(move || {
        let mut part = WriteBatch::new();
        while !is_over && part.bytes() < PART_BYTES {
            match entries.next() {
                Some(Ok((table, (key, value)))) => part.put(table, &key, &value),
                Some(Err(error)) => {
                    is_over = true;
                    return Some(Err(error));
                }
                None => is_over = true,
            }
        }
        (!part.is_empty()).then_some(Ok(part))
    })
}
