//! A zvm database over the wire: for other processes, and of another process.
//!
//! [`Server`] serves any [`StateBackend`](zvm_core::StateBackend) over gRPC; [`NetDb`] is the backend
//! at the other end. A commit is one request and all or nothing; one that was acknowledged is kept, and
//! of one that was cut off the client finds out what became of it. What a client reads is one state,
//! whatever others commit meanwhile, until it [moves on](zvm_core::StateBackend::refresh).
//!
//! ```
//! use std::net::TcpListener;
//! use zvm_core::{Address, Database, StateBackend, U256};
//! use zvm_net::{NetDb, NetOptions, Role, Server, ServerOptions, Tokens};
//! use zvm_state::MemoryDb;
//!
//! let options = ServerOptions { tokens: Tokens::anybody(Role::Writes), ..Default::default() };
//! let socket = TcpListener::bind("127.0.0.1:0")?;
//! let server = Server::start(Box::new(MemoryDb::new()), socket, options)?;
//!
//! let alice = Address::repeat_byte(0xa1);
//! let mut db = NetDb::open(NetOptions::new(server.address().to_string()))?;
//! db.batch().set_storage(alice, U256::from(1), U256::from(2)).commit()?;
//! assert_eq!(db.storage(alice, U256::from(1))?, U256::from(2));
//! server.stop()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The messages are in `proto/state.proto`. Not here: other protocols, and the state of nodes
//! (`zvm-fork`).

mod client;
mod fault;
#[cfg(any(test, feature = "test-support"))]
pub mod fuzzing;
mod proto;
mod server;
mod token;
mod wire;

pub use client::{Fate, NetDb, NetOptions, TlsOptions, Unsettled};
pub use server::{Event, Limits, Listener, Server, ServerError, ServerOptions, TlsIdentity};
pub use token::{InvalidToken, Role, Token, Tokens};
pub use wire::{Found, Read, WireError};
