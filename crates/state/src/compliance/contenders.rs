//! The backends there are.

use std::path::Path;

use zvm_core::{DbError, StateBackend};

use super::Contender;
use crate::{
    CacheLimits, CachedDb, CheckLevel, FileDb, FileOptions, History, MemoryDb,
    kv::{Durability, Engine},
};

/// What stands in front of a backend: names, and limits of caches from the innermost out. Small
/// ones, so that entries come and go.
const CACHES: [(&str, &[usize]); 3] =
    [("", &[]), ("cached(40):", &[40]), ("cached(9):cached(400):", &[400, 9])];

/// An empty backend of each kind in this build, alone and behind caches, with stores below
/// `folder`. They differ in how much of the past they keep.
///
/// When a store is opened again, all of its records are [checked](FileDb::check).
///
/// # Panics
///
/// If opening it again or the check fails.
pub fn contenders(folder: &Path) -> Result<Vec<Contender<'static>>, DbError> {
    let mut contenders = Vec::new();
    for (prefix, caches) in CACHES {
        contenders.push(Contender {
            name: format!("{prefix}memory"),
            backend: behind(caches, Box::new(MemoryDb::new())),
            reopen: Box::new(|backend| backend),
        });
    }
    let engines = [
        ("file", Engine::Redb),
        #[cfg(feature = "rocksdb")]
        ("rocksdb", Engine::RocksDb),
    ];
    for (name, engine) in engines {
        let histories = [History::default(), History::All, History::Bytes(256 << 10)];
        for ((prefix, caches), history) in CACHES.into_iter().zip(histories) {
            // What a power loss leaves is for the simulated disk to show.
            let durability = Durability::Buffered;
            let options = FileOptions {
                engine,
                history: Some(history),
                durability,
                ..FileOptions::default()
            };
            let path = folder.join(format!("{name}-{}", caches.len()));
            contenders.push(Contender {
                name: format!("{prefix}{name}"),
                backend: behind(caches, Box::new(FileDb::open_with(&path, options)?)),
                reopen: Box::new(move |backend| {
                    drop(backend);
                    let db = FileDb::open_with(&path, options).expect("a store opens again");
                    db.check(CheckLevel::Branches, &mut |_| {}).expect("a store checks");
                    behind(caches, Box::new(db))
                }),
            });
        }
    }
    Ok(contenders)
}

fn behind(caches: &[usize], backend: Box<dyn StateBackend>) -> Box<dyn StateBackend> {
    caches.iter().fold(backend, |backend, entries| {
        Box::new(CachedDb::new(backend, CacheLimits::entries(*entries)))
    })
}
