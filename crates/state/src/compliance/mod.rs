//! The suite every backend passes: facts one by one, and a random workload beside a plain model.
//!
//! ```
//! zvm_state::compliance::check_backend(
//!     || Box::new(zvm_state::MemoryDb::new()),
//!     |backend| backend, // nothing to close and open again
//! );
//! ```

mod facts;
mod model;
mod workload;

use zvm_core::{Address, StateBackend, U256};

pub use workload::check_workload;

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
        check_workload(seed, 300, fresh(), &reopen);
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

    use super::check_backend;
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
}
