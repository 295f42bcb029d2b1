//! What an engine promises, one promise at a time.

use std::{ops::ControlFlow, path::Path};

use zvm_core::DbError;

use super::{Open, entries};
use crate::kv::{
    Durability::{Buffered, Synced},
    Entry, KvStore, Order, Table, WriteBatch,
};

type Fact = (&'static str, fn(&Path, Open<'_>));

/// Lists facts under their names.
macro_rules! facts {
    ($($name:ident),* $(,)?) => {
        /// Every fact; each gets a path where nothing is, and the way to open a store there.
        pub(super) const ALL: &[Fact] = &[$((stringify!($name), $name)),*];
    };
}

facts!(
    a_new_store_is_empty,
    tables_are_apart,
    empty_and_large_keys_and_values_read_back,
    many_keys_are_found_in_the_order_asked,
    iteration_starts_where_it_is_told,
    a_visit_sees_both_ends_and_stops_when_told,
    a_put_survives_the_deletion_of_its_range,
    a_deleted_prefix_takes_no_neighbour,
    deleting_the_absent_changes_nothing,
    a_view_keeps_what_it_saw,
    a_synced_batch_lasts_with_all_before_it,
    a_view_keeps_the_store_open,
    a_second_opener_is_told_that_the_store_is_in_use,
    a_checkpoint_is_a_store_of_its_own,
    a_checkpoint_goes_into_an_empty_folder_only,
    stats_count_every_table,
);

fn fresh(path: &Path, open: Open<'_>) -> Box<dyn KvStore> {
    open(path).expect("a store is made")
}

fn write(store: &mut dyn KvStore, change: impl FnOnce(&mut WriteBatch)) {
    let mut batch = WriteBatch::new();
    change(&mut batch);
    store.write(batch, Synced).expect("a batch is written");
}

fn get(store: &dyn KvStore, table: Table, key: &[u8]) -> Option<Vec<u8>> {
    store.get(table, key).expect("a read succeeds")
}

fn pairs<const N: usize>(pairs: [(&[u8], &[u8]); N]) -> Vec<Entry> {
    pairs.into_iter().map(|(key, value)| (key.to_vec(), value.to_vec())).collect()
}

fn all(store: &dyn KvStore, table: Table) -> Vec<Entry> {
    entries(store, table, &[], None, Order::Forward)
}

fn a_new_store_is_empty(path: &Path, open: Open<'_>) {
    let store = fresh(path, open);
    for table in Table::ALL {
        assert_eq!(get(&*store, table, b"key"), None);
        assert_eq!(store.multi_get(table, &[b"key", b"other"]).unwrap(), [None, None]);
        assert!(all(&*store, table).is_empty());
    }
}

fn tables_are_apart(path: &Path, open: Open<'_>) {
    let mut store = fresh(path, open);
    for table in Table::ALL {
        write(&mut *store, |batch| batch.put(table, b"key", table.name().as_bytes()));
    }
    write(&mut *store, |batch| batch.delete_prefix(Table::Code, b""));
    for table in Table::ALL {
        let expected = (table != Table::Code).then(|| table.name().as_bytes().to_vec());
        assert_eq!(get(&*store, table, b"key"), expected);
    }
}

fn empty_and_large_keys_and_values_read_back(path: &Path, open: Open<'_>) {
    let mut store = fresh(path, open);
    let large: Vec<u8> = (0..300_000_u32).flat_map(u32::to_be_bytes).collect();
    write(&mut *store, |batch| {
        batch.put(Table::Code, b"", b"under nothing");
        batch.put(Table::Code, b"nothing", b"");
        batch.put(Table::Code, b"large", &large);
        batch.put(Table::Code, &[0xff; 600], &[0xff; 600]);
    });
    assert_eq!(get(&*store, Table::Code, b""), Some(b"under nothing".to_vec()));
    assert_eq!(get(&*store, Table::Code, b"nothing"), Some(Vec::new()));
    assert_eq!(get(&*store, Table::Code, b"large"), Some(large));
    assert_eq!(get(&*store, Table::Code, &[0xff; 600]), Some(vec![0xff; 600]));
    assert_eq!(all(&*store, Table::Code).len(), 4);
}

fn many_keys_are_found_in_the_order_asked(path: &Path, open: Open<'_>) {
    let mut store = fresh(path, open);
    write(&mut *store, |batch| {
        for key in 0..=99_u8 {
            batch.put(Table::History, &[key], &[key, key]);
        }
    });
    let keys: [&[u8]; 5] = [&[70], &[3], &[], &[3], &[200]];
    let found = store.multi_get(Table::History, &keys).unwrap();
    assert_eq!(found, [Some(vec![70, 70]), Some(vec![3, 3]), None, Some(vec![3, 3]), None]);
}

fn iteration_starts_where_it_is_told(path: &Path, open: Open<'_>) {
    let mut store = fresh(path, open);
    let keys: [&[u8]; 6] = [b"a", b"b", b"b\0", b"bb", b"b\xff\xff", b"c"];
    write(&mut *store, |batch| keys.iter().for_each(|key| batch.put(Table::Changes, key, key)));
    let found = |prefix: &[u8], from: Option<&[u8]>, order| -> Vec<Vec<u8>> {
        entries(&*store, Table::Changes, prefix, from, order)
            .into_iter()
            .map(|(key, _)| key)
            .collect()
    };
    use Order::{Forward, Reverse};
    assert_eq!(found(b"b", None, Forward), keys[1..5]);
    assert_eq!(found(b"b", Some(b"b\0"), Forward), keys[2..5]);
    assert_eq!(found(b"b", Some(b"b\x01"), Forward), keys[3..5]);
    assert_eq!(found(b"b", Some(b"a"), Forward), keys[1..5]);
    assert!(found(b"b", Some(b"c"), Forward).is_empty());
    assert!(found(b"b\xff\xff\xff", None, Forward).is_empty());
    assert_eq!(found(b"b", None, Reverse), [keys[4], keys[3], keys[2], keys[1]]);
    assert_eq!(found(b"b", Some(b"bb"), Reverse), [keys[3], keys[2], keys[1]]);
    assert_eq!(found(b"b", Some(b"ba"), Reverse), [keys[2], keys[1]]);
    assert_eq!(found(b"b", Some(b"c"), Reverse), [keys[4], keys[3], keys[2], keys[1]]);
    assert!(found(b"b", Some(b"a"), Reverse).is_empty());
    assert_eq!(found(b"", Some(b"b"), Reverse), [keys[1], keys[0]]);
    assert_eq!(found(b"", None, Reverse).len(), 6);
}

fn a_visit_sees_both_ends_and_stops_when_told(path: &Path, open: Open<'_>) {
    let mut store = fresh(path, open);
    let keys: [&[u8]; 5] = [b"a", b"b", b"b\0", b"bb", b"c"];
    write(&mut *store, |batch| keys.iter().for_each(|key| batch.put(Table::Changes, key, key)));
    let seen = |first: &[u8], last: &[u8], most: usize| {
        let mut seen = Vec::new();
        let visited = store.visit(Table::Changes, first, last, &mut |key, value| {
            assert_eq!(key, value);
            seen.push(key.to_vec());
            Ok(if seen.len() < most { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
        });
        visited.unwrap();
        seen
    };
    assert_eq!(seen(b"b", b"bb", 9), keys[1..4]);
    assert_eq!(seen(b"", b"b\xff", 9), keys[..4]);
    assert_eq!(seen(b"b", b"bb", 2), keys[1..3]);
    assert_eq!(seen(b"ba", b"ba", 9), keys[..0]);
    assert_eq!(seen(b"c", b"\xff\xff", 9), keys[4..]);
    assert_eq!(seen(b"c", b"b", 9), keys[..0], "from behind");
    store.visit(Table::Code, b"", b"\xff", &mut |_, _| unreachable!("an empty table")).unwrap();
    let error = DbError::MissingBlockHash { number: 7 };
    let failed = store.visit(Table::Changes, b"a", b"c", &mut |_, _| {
        Err(DbError::MissingBlockHash { number: 7 })
    });
    assert_eq!(failed.unwrap_err().to_string(), error.to_string());
}

fn a_put_survives_the_deletion_of_its_range(path: &Path, open: Open<'_>) {
    let mut store = fresh(path, open);
    write(&mut *store, |batch| {
        for key in [b"a1", b"a2", b"a3"] {
            batch.put(Table::Storage, key, b"old");
        }
    });
    write(&mut *store, |batch| {
        batch.put(Table::Storage, b"a2", b"new");
        batch.put(Table::Storage, b"a4", b"new");
        batch.delete_prefix(Table::Storage, b"a");
        batch.delete(Table::Storage, b"a4");
    });
    assert_eq!(all(&*store, Table::Storage), pairs([(b"a2", b"new")]));
}

fn a_deleted_prefix_takes_no_neighbour(path: &Path, open: Open<'_>) {
    let mut store = fresh(path, open);
    write(&mut *store, |batch| {
        for key in [&b"a\xfe"[..], b"a\xff", b"a\xff\xff", b"b", b"\xff\xfe", b"\xff\xff\x01"] {
            batch.put(Table::Storage, key, b"");
        }
    });
    write(&mut *store, |batch| {
        batch.delete_prefix(Table::Storage, b"a\xff");
        batch.delete_prefix(Table::Storage, b"\xff\xff");
    });
    let left = pairs([(b"a\xfe", b""), (b"b", b""), (b"\xff\xfe", b"")]);
    assert_eq!(all(&*store, Table::Storage), left);

    write(&mut *store, |batch| batch.delete_range(Table::Storage, b"a\xfe", Some(b"b")));
    assert_eq!(all(&*store, Table::Storage), left[1..]);
    write(&mut *store, |batch| batch.delete_range(Table::Storage, b"c", None));
    assert_eq!(all(&*store, Table::Storage), left[1..2]);
}

fn deleting_the_absent_changes_nothing(path: &Path, open: Open<'_>) {
    let mut store = fresh(path, open);
    write(&mut *store, |batch| {
        batch.delete(Table::Meta, b"key");
        batch.delete_prefix(Table::Code, b"key");
        batch.delete_prefix(Table::Changes, b"");
    });
    write(&mut *store, |_| ());
    for table in Table::ALL {
        assert!(all(&*store, table).is_empty());
    }
}

fn a_view_keeps_what_it_saw(path: &Path, open: Open<'_>) {
    let mut store = fresh(path, open);
    let empty = store.view().unwrap();
    write(&mut *store, |batch| batch.put(Table::Accounts, b"key", b"1"));
    let first = store.view().unwrap();
    write(&mut *store, |batch| {
        batch.put(Table::Accounts, b"key", b"2");
        batch.put(Table::Accounts, b"other", b"2");
    });
    write(&mut *store, |batch| batch.delete_prefix(Table::Accounts, b"k"));

    assert_eq!(empty.get(Table::Accounts, b"key").unwrap(), None);
    assert_eq!(first.get(Table::Accounts, b"key").unwrap(), Some(b"1".to_vec()));
    assert_eq!(first.multi_get(Table::Accounts, &[b"other"]).unwrap(), [None]);
    let seen = entries(&*first, Table::Accounts, b"", None, Order::Reverse);
    assert_eq!(seen, pairs([(b"key", b"1")]));
    assert_eq!(all(&*store, Table::Accounts), pairs([(b"other", b"2")]));
    std::thread::scope(|scope| {
        scope.spawn(|| assert!(empty.get(Table::Accounts, b"other").unwrap().is_none()));
    });
}

fn a_synced_batch_lasts_with_all_before_it(path: &Path, open: Open<'_>) {
    let mut store = fresh(path, open);
    for key in 0..10_u8 {
        let mut batch = WriteBatch::new();
        batch.put(Table::Changes, &[key], &[key]);
        batch.delete(Table::Changes, &[key / 2]);
        store.write(batch, Buffered).unwrap();
    }
    store.write(WriteBatch::new(), Synced).unwrap();
    let before = all(&*store, Table::Changes);
    assert_eq!(before.len(), 5);
    drop(store);
    assert_eq!(all(&*open(path).unwrap(), Table::Changes), before);
}

fn a_view_keeps_the_store_open(path: &Path, open: Open<'_>) {
    let mut store = fresh(path, open);
    write(&mut *store, |batch| batch.put(Table::Code, b"key", b"value"));
    let view = store.view().unwrap();
    drop(store);
    assert_eq!(view.get(Table::Code, b"key").unwrap(), Some(b"value".to_vec()));
    assert!(matches!(open(path).map(drop), Err(DbError::Locked { .. })));
    drop(view);
    open(path).unwrap();
}

fn a_second_opener_is_told_that_the_store_is_in_use(path: &Path, open: Open<'_>) {
    let store = fresh(path, open);
    let error = open(path).map(drop).unwrap_err();
    assert!(matches!(error, DbError::Locked { .. }), "{error:?}");
    drop(store);
    open(path).unwrap();
}

fn a_checkpoint_is_a_store_of_its_own(path: &Path, open: Open<'_>) {
    let mut store = fresh(&path.join("store"), open);
    write(&mut *store, |batch| {
        for key in 0..2000_u32 {
            let table = Table::ALL[key as usize % Table::ALL.len()];
            batch.put(table, &key.to_be_bytes(), &[7; 100]);
        }
    });
    // Not on disk yet, and in the copy all the same.
    let mut batch = WriteBatch::new();
    batch.put(Table::Meta, b"buffered", b"");
    store.write(batch, Buffered).unwrap();
    let expected = Table::ALL.map(|table| all(&*store, table));
    let view = store.view().unwrap();
    write(&mut *store, |batch| batch.delete_prefix(Table::Code, b""));
    let folder = path.join("copy");
    view.checkpoint(&folder).unwrap();
    drop(view);

    let mut copy = open(&folder).unwrap();
    assert_eq!(Table::ALL.map(|table| all(&*copy, table)), expected);
    write(&mut *copy, |batch| batch.delete_prefix(Table::Meta, b""));
    assert!(get(&*store, Table::Meta, b"buffered").is_some());
    drop(copy);
    open(&folder).unwrap();
}

fn a_checkpoint_goes_into_an_empty_folder_only(path: &Path, open: Open<'_>) {
    let mut store = fresh(&path.join("store"), open);
    write(&mut *store, |batch| batch.put(Table::Meta, b"key", b"value"));
    let folder = path.join("copy");
    store.view().unwrap().checkpoint(&folder).unwrap();
    assert!(matches!(store.view().unwrap().checkpoint(&folder), Err(DbError::Io { .. })));
    let error = store.view().unwrap().checkpoint(&path.join("store")).unwrap_err();
    assert!(matches!(error, DbError::Io { .. } | DbError::Locked { .. }), "{error:?}");
    assert!(get(&*open(&folder).unwrap(), Table::Meta, b"key").is_some());
    assert!(get(&*store, Table::Meta, b"key").is_some());
}

fn stats_count_every_table(path: &Path, open: Open<'_>) {
    let mut store = fresh(path, open);
    write(&mut *store, |batch| {
        for key in 0..5000_u32 {
            batch.put(Table::Accounts, &key.to_be_bytes(), &[7; 60]);
        }
    });
    let stats = store.stats().unwrap();
    assert!(stats.disk_bytes > 0);
    let tables: Vec<Table> = stats.tables.iter().map(|row| row.table).collect();
    assert_eq!(tables, Table::ALL);
    let accounts = stats.tables[Table::Accounts as usize];
    // Estimates of a log-structured engine; the order of magnitude is what can be relied on.
    assert!((2500..=10_000).contains(&accounts.entries), "{accounts:?}");
    assert!(accounts.bytes > 0, "{accounts:?}");
}
