//! The suite of all backends, on forks.

use zvm_state::{CacheLimits, CachedDb, compliance::check_fork};

use crate::{fork, support::Anvil};

#[test]
fn a_fork_of_an_empty_chain_keeps_the_promises_of_a_backend() {
    let Some(anvil) = Anvil::start(&[]) else { return };
    check_fork(|| Box::new(fork(&anvil.url, "")));
}

#[test]
fn caches_over_a_fork_keep_them_too() {
    let Some(anvil) = Anvil::start(&[]) else { return };
    check_fork(|| {
        let inner = CachedDb::new(Box::new(fork(&anvil.url, "")), CacheLimits::entries(100_000));
        Box::new(CachedDb::new(Box::new(inner), CacheLimits::entries(1000)))
    });
}
