//! The suite every engine passes: facts one by one, and random batches beside a plain map.

mod facts;
mod workload;

use std::path::Path;

use zvm_core::DbError;

pub use workload::{Model, Random, check_workload};

use super::{Durability, Entry, KvReader, KvStore, Order, Table, WriteBatch};

/// How the suite opens a store: made if absent, open once at a time.
pub type Open<'a> = &'a dyn Fn(&Path) -> Result<Box<dyn KvStore>, DbError>;

/// Checks every fact and a few random workloads.
///
/// `home` is an empty folder, or whatever serves `open` as one: stores are opened at paths in it.
///
/// # Panics
///
/// If the engine breaks a promise of [`KvReader`] or [`KvStore`]; the message says which.
pub fn check_store(home: &Path, open: Open<'_>) {
    for (name, fact) in facts::ALL {
        eprintln!("fact: {name}");
        fact(&home.join(name), open);
    }
    for seed in 0..4 {
        check_workload(seed, 120, &home.join(format!("workload {seed}")), open);
    }
}

/// All entries of an iteration.
///
/// # Panics
///
/// If the engine fails.
pub fn entries(
    reader: &dyn KvReader,
    table: Table,
    prefix: &[u8],
    from: Option<&[u8]>,
    order: Order,
) -> Vec<Entry> {
    let entries = reader.iter(table, prefix, from, order).expect("an iteration begins");
    entries.collect::<Result<_, _>>().expect("an iteration goes to its end")
}

/// Flips one bit of the value under `key`, as a failing disk does when no engine notices. The bit
/// is counted modulo the length of the value.
///
/// # Panics
///
/// If there is no such value, if it is empty, or if the engine fails.
pub fn flip_bit(store: &mut dyn KvStore, table: Table, key: &[u8], bit: usize) {
    let mut value = store.get(table, key).expect("a read").expect("a value to be damaged");
    let bit = bit % (8 * value.len());
    value[bit / 8] ^= 1 << (bit % 8);
    let mut batch = WriteBatch::new();
    batch.put(table, key, &value);
    store.write(batch, Durability::Synced).expect("a batch is written");
}
