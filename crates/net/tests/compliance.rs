//! The suite that every backend passes, over the wire.

mod common;

use std::cell::RefCell;

use common::{WRITER, client, options, serve};
use tempfile::tempdir;
use zvm_core::StateBackend;
use zvm_net::Server;
use zvm_state::{
    CacheLimits, CachedDb, FileDb, FileOptions, MemoryDb,
    compliance::{Contender, Workload, check_backend},
    kv::Durability,
};

/// What a power loss leaves is not for these tests to show.
fn open(path: &std::path::Path) -> FileDb {
    let options = FileOptions { durability: Durability::Buffered, ..FileOptions::default() };
    FileDb::open_with(path, options).unwrap()
}

/// A server of each state, by turns.
struct Servers(RefCell<Vec<Server>>);

impl Servers {
    fn new() -> Self {
        Self(RefCell::default())
    }

    /// Puts another server in the place of the last, which is stopped.
    fn serve(&self, backend: impl StateBackend + 'static) -> Box<dyn StateBackend> {
        if let Some(server) = self.0.borrow_mut().pop() {
            server.stop().unwrap();
        }
        self.0.borrow_mut().push(serve(backend, options().0));
        self.connect()
    }

    fn connect(&self) -> Box<dyn StateBackend> {
        Box::new(client(&self.0.borrow()[0], WRITER))
    }
}

fn cached(inner: Box<dyn StateBackend>) -> Box<dyn StateBackend> {
    Box::new(CachedDb::new(inner, CacheLimits::entries(1000)))
}

#[test]
fn a_memory_backend_keeps_its_promises_over_the_wire() {
    let servers = Servers::new();
    check_backend(
        || servers.serve(MemoryDb::new()),
        |backend| {
            drop(backend);
            servers.connect()
        },
    );
}

#[test]
fn a_store_keeps_its_promises_over_the_wire_and_over_restarts_of_the_server() {
    let (home, latest) = (tempdir().unwrap(), RefCell::new(0));
    let path = || home.path().join(latest.borrow().to_string());
    let servers = Servers::new();
    check_backend(
        || {
            *latest.borrow_mut() += 1;
            servers.serve(open(&path()))
        },
        |backend| {
            drop(backend);
            servers.0.borrow_mut().pop().unwrap().stop().unwrap();
            servers.serve(open(&path()))
        },
    );
}

#[test]
fn a_cache_over_the_wire_keeps_the_promises_of_a_backend() {
    let servers = Servers::new();
    check_backend(
        || cached(servers.serve(MemoryDb::new())),
        |backend| {
            drop(backend);
            cached(servers.connect())
        },
    );
}

#[test]
fn a_backend_over_the_wire_gives_the_states_dumps_and_diffs_of_one_in_memory() {
    let servers = Servers::new();
    let local = Contender {
        name: "memory".to_owned(),
        backend: Box::new(MemoryDb::new()),
        reopen: Box::new(|backend| backend),
    };
    let remote = Contender {
        name: "net".to_owned(),
        backend: servers.serve(MemoryDb::new()),
        reopen: Box::new(|backend| {
            drop(backend);
            servers.connect()
        }),
    };
    let workload = Workload { seed: 5, blocks: 60, addresses: 24, slots: 12 };
    assert_eq!(workload.run(vec![local, remote], &mut |_| {}).committed, 60);
}
