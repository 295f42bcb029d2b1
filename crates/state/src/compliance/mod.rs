//! The suite every backend passes: facts one by one, and a random workload beside a plain model.
//!
//! ```
//! zvm_state::compliance::check_backend(
//!     || Box::new(zvm_state::MemoryDb::new()),
//!     |backend| backend, // nothing to close and open again
//! );
//! ```

mod changes;
mod contenders;
pub mod crash;
mod facts;
pub mod kill;
mod model;
pub mod retention;
mod workload;

use std::{cell::Cell, path::Path};

use zvm_core::{Address, StateBackend, U256};

pub use contenders::contenders;
pub use workload::{Contender, Outcome, Reopen, Workload};

/// Checks every fact and a few random workloads.
///
/// `fresh` opens an empty backend each time. `reopen` gives the same state back after closing and
/// opening it again; a backend without persistence returns what it was given.
///
/// # Panics
///
/// If the backend breaks a promise of [`StateBackend`]; the message says which.
pub fn check_backend(
    fresh: impl Fn() -> Box<dyn StateBackend>,
    reopen: impl Fn(Box<dyn StateBackend>) -> Box<dyn StateBackend>,
) {
    check_facts(facts::ALL.iter(), &fresh);
    check_workloads(fresh, reopen);
}

/// [`check_backend`] for what is no backend of its own and starts at a block: forks. `fresh` opens
/// one of block 0 of an empty state each time.
///
/// Left out is what is promised of a backend that has no block yet: that the first one may have any
/// number, and that its state can be given in parts.
///
/// # Panics
///
/// As [`check_backend`].
pub fn check_fork(fresh: impl Fn() -> Box<dyn StateBackend>) {
    let of_forks = facts::ALL.iter().filter(|(name, _)| !facts::OF_NO_BLOCK.contains(name));
    check_facts(of_forks, &fresh);
    check_workloads(fresh, |backend| backend);
}

fn check_facts<'a>(
    facts: impl Iterator<Item = &'a facts::Fact>,
    fresh: &dyn Fn() -> Box<dyn StateBackend>,
) {
    for (name, fact) in facts {
        eprintln!("fact: {name}");
        fact(fresh());
    }
}

fn check_workloads(
    fresh: impl Fn() -> Box<dyn StateBackend>,
    reopen: impl Fn(Box<dyn StateBackend>) -> Box<dyn StateBackend>,
) {
    for seed in 0..4 {
        let contender =
            Contender { name: "backend".to_owned(), backend: fresh(), reopen: Box::new(&reopen) };
        let workload = Workload { seed, blocks: 150, addresses: 6, slots: 12 };
        workload.run(vec![contender], &mut |_| {});
    }
}

/// [`check_backend`] for stores on disk. `open` opens the store in a folder, made where there is
/// none; `home` is a folder for them.
///
/// # Panics
///
/// As [`check_backend`].
pub fn check_stores(home: &Path, open: impl Fn(&Path) -> Box<dyn StateBackend>) {
    let latest = Cell::new(0);
    let open = || open(&home.join(latest.get().to_string()));
    check_backend(
        || {
            latest.set(latest.get() + 1);
            open()
        },
        |backend| {
            drop(backend);
            open()
        },
    );
}

/// A short name for an address.
fn address(id: u8) -> Address {
    Address::repeat_byte(id)
}

/// A short name for a word.
fn word(value: u64) -> U256 {
    U256::from(value)
}

#[cfg(test)]
mod tests {
    use tempfile::tempdir;

    use super::{Workload, check_backend, check_stores, contenders};
    use crate::{FileDb, MemoryDb};

    #[test]
    fn memory_keeps_the_promises_of_a_backend() {
        check_backend(|| Box::new(MemoryDb::new()), |backend| backend);
    }

    #[test]
    fn a_file_keeps_the_promises_of_a_backend() {
        let home = tempdir().unwrap();
        check_stores(home.path(), |path| Box::new(FileDb::open(path).unwrap()));
    }

    #[test]
    fn all_backends_give_the_same_states_dumps_and_diffs() {
        let folder = tempdir().unwrap();
        let workload = Workload { seed: 1, blocks: 200, addresses: 48, slots: 20 };
        let outcome = workload.run(contenders(folder.path()).unwrap(), &mut |_| {});
        assert_eq!(outcome.committed, 200);
    }
}
