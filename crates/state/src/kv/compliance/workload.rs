//! Random batches, applied to a store and to plain maps.

use std::{collections::BTreeMap, path::Path};

use super::{Open, entries};
use crate::kv::{Durability, KvReader, KvView, Order, Table, WriteBatch};

/// What a store holds, as maps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Model {
    tables: BTreeMap<Table, BTreeMap<Vec<u8>, Vec<u8>>>,
}

/// Runs `steps` random steps from `seed` on the store at `path`, comparing it with the model after
/// each.
///
/// # Panics
///
/// If store and model part; the message has the seed and the step.
pub fn check_workload(seed: u64, steps: usize, path: &Path, open: Open<'_>) {
    let mut random = Random::new(seed);
    let mut store = open(&path.join("store")).expect("a store is made");
    let mut model = Model::default();
    let mut views: Vec<(Box<dyn KvView>, Model)> = Vec::new();
    for step in 0..steps {
        let when = format!("seed {seed}, step {step}");
        match random.below(16) {
            0 => views.push((store.view().expect("a view"), model.clone())),
            1 if !views.is_empty() => {
                let at = random.below(views.len() as u64) as usize;
                let (view, then) = views.swap_remove(at);
                then.check(&*view, &mut random, &format!("{when}, an old view"));
            }
            2 => {
                views.clear();
                store.write(WriteBatch::new(), Durability::Synced).expect("a sync");
                drop(store);
                store = open(&path.join("store")).expect("a store opens again");
            }
            3 => {
                let folder = path.join(format!("copy {step}"));
                store.view().expect("a view").checkpoint(&folder).expect("a checkpoint");
                let copy = open(&folder).expect("a copy opens");
                model.check(&*copy, &mut random, &format!("{when}, a copy"));
            }
            _ => {
                let batch = random.batch(&mut model);
                let durability = match random.below(4) {
                    0 => Durability::Synced,
                    _ => Durability::Buffered,
                };
                store.write(batch, durability).expect("a batch is written");
            }
        }
        model.check(&*store, &mut random, &when);
    }
}

impl Model {
    /// Compares all of `reader`, then random look-ups and iterations.
    ///
    /// # Panics
    ///
    /// If they part; the message begins with `when`.
    pub fn check(&self, reader: &dyn KvReader, random: &mut Random, when: &str) {
        let found = Self::of(reader);
        assert!(found == *self, "{when}: found {found:?}, expected {self:?}");
        let nothing = BTreeMap::new();
        for _ in 0..8 {
            let table = random.table();
            let model = self.tables.get(&table).unwrap_or(&nothing);
            let keys: Vec<Vec<u8>> = (0..random.below(5)).map(|_| random.key()).collect();
            let keys: Vec<&[u8]> = keys.iter().map(Vec::as_slice).collect();
            let expected: Vec<_> = keys.iter().map(|key| model.get(*key).cloned()).collect();
            assert_eq!(reader.multi_get(table, &keys).expect("a read"), expected, "{when}");
            for (key, value) in keys.iter().zip(expected) {
                assert_eq!(reader.get(table, key).expect("a read"), value, "{when}");
            }

            let (prefix, from) = (random.key(), random.key());
            let from = (random.below(3) > 0).then_some(from.as_slice());
            let order = [Order::Forward, Order::Reverse][random.below(2) as usize];
            let mut expected: Vec<_> = model
                .iter()
                .filter(|(key, _)| key.starts_with(&prefix))
                .filter(|(key, _)| match order {
                    Order::Forward => from.is_none_or(|from| key.as_slice() >= from),
                    Order::Reverse => from.is_none_or(|from| key.as_slice() <= from),
                })
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect();
            if order == Order::Reverse {
                expected.reverse();
            }
            let found = entries(reader, table, &prefix, from, order);
            assert_eq!(found, expected, "{when}: {table:?} {prefix:?} {from:?} {order:?}");
        }
    }

    /// What `reader` holds.
    ///
    /// # Panics
    ///
    /// If the engine fails.
    pub fn of(reader: &dyn KvReader) -> Self {
        let mut tables = BTreeMap::new();
        for table in Table::ALL {
            let entries = entries(reader, table, &[], None, Order::Forward);
            if !entries.is_empty() {
                tables.insert(table, entries.into_iter().collect());
            }
        }
        Self { tables }
    }
}

/// Random numbers, the same for the same seed (splitmix64).
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// Numbers from `seed`.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `limit`, which is not 0.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }

    /// A batch of a few changes, which are made to `model` too.
    pub fn batch(&mut self, model: &mut Model) -> WriteBatch {
        let mut batch = WriteBatch::new();
        for _ in 0..self.below(3) / 2 {
            let table = self.table();
            let (first, end) = (self.key(), self.key());
            let end = (self.below(8) > 0).then_some(end);
            batch.delete_range(table, &first, end.as_deref());
            let keys = model.tables.entry(table).or_default();
            keys.retain(|key, _| *key < first || end.as_ref().is_some_and(|end| key >= end));
        }
        for _ in 0..self.below(12) {
            let (table, key) = (self.table(), self.key());
            let keys = model.tables.entry(table).or_default();
            if self.below(4) == 0 {
                batch.delete(table, &key);
                keys.remove(&key);
            } else {
                let value = vec![self.below(256) as u8; self.below(40) as usize];
                batch.put(table, &key, &value);
                keys.insert(key, value);
            }
        }
        model.tables.retain(|_, keys| !keys.is_empty());
        batch
    }

    /// One of three tables, so that changes meet.
    fn table(&mut self) -> Table {
        [Table::Meta, Table::Storage, Table::Changes][self.below(3) as usize]
    }

    /// A short key of few different bytes.
    fn key(&mut self) -> Vec<u8> {
        (0..self.below(4)).map(|_| [0, 1, 0x7f, 0xff][self.below(4) as usize]).collect()
    }
}
