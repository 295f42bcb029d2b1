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
mod model;
pub mod retention;
mod workload;

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
    for (name, fact) in facts::ALL {
        eprintln!("fact: {name}");
        fact(fresh());
    }
    for seed in 0..4 {
        let contender =
            Contender { name: "backend".to_owned(), backend: fresh(), reopen: Box::new(&reopen) };
        let workload = Workload { seed, blocks: 150, addresses: 6, slots: 12 };
        workload.run(vec![contender], &mut |_| {});
    }
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
    use std::cell::Cell;

    use tempfile::tempdir;

    use super::{Workload, check_backend, contenders};
    use crate::{FileDb, MemoryDb};
    use zvm_core::StateBackend;

    #[test]
    fn memory_keeps_the_promises_of_a_backend() {
        check_backend(|| Box::new(MemoryDb::new()), |backend| backend);
    }

    #[test]
    fn a_file_keeps_the_promises_of_a_backend() {
        let folder = tempdir().unwrap();
        let latest = Cell::new(0);
        let path = |number: u32| folder.path().join(number.to_string());
        let open =
            |number| -> Box<dyn StateBackend> { Box::new(FileDb::open(path(number)).unwrap()) };
        check_backend(
            || {
                latest.set(latest.get() + 1);
                open(latest.get())
            },
            |backend| {
                drop(backend);
                open(latest.get())
            },
        );
    }

    #[test]
    fn all_backends_give_the_same_states_dumps_and_diffs() {
        let folder = tempdir().unwrap();
        let workload = Workload { seed: 1, blocks: 200, addresses: 48, slots: 20 };
        let outcome = workload.run(contenders(folder.path()).unwrap(), &mut |_| {});
        assert_eq!(outcome.committed, 200);
    }
}
