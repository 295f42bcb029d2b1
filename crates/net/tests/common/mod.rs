//! Servers on local ports, and clients of them.
#![allow(dead_code, reason = "each test binary uses a part")]

use std::{
    net::{SocketAddr, TcpListener},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use zeroize::Zeroizing;
use zvm_core::{AccountInfo, Address, StateBackend, StateDiff, U256};
use zvm_net::{Event, NetDb, NetOptions, Role, Server, ServerOptions, Token, Tokens};

pub(crate) const WRITER: &str = "token-of-a-writer";
pub(crate) const READER: &str = "token-of-a-reader";

/// What a server under test has said.
#[derive(Clone, Default)]
pub(crate) struct Heard(Arc<Mutex<Vec<Event>>>);

impl Heard {
    /// Waits until the server says something with `text` in it.
    #[track_caller]
    pub(crate) fn wait_for(&self, text: &str) {
        let end = Instant::now() + Duration::from_secs(60);
        loop {
            let events = self.0.lock().unwrap().clone();
            if events.iter().any(|event| event.to_string().contains(text)) {
                return;
            }
            assert!(Instant::now() < end, "nothing of {text:?} in {events:?}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

pub(crate) fn token(text: &str) -> Token {
    Token::new(Zeroizing::new(text.to_owned())).unwrap()
}

/// Options of a server that knows a writer and a reader.
pub(crate) fn options() -> (ServerOptions, Heard) {
    let heard = Heard::default();
    let events = heard.clone();
    let options = ServerOptions {
        tokens: Tokens::new().with(&token(WRITER), Role::Writes).with(&token(READER), Role::Reads),
        listener: Arc::new(move |event| events.0.lock().unwrap().push(event)),
        ..ServerOptions::default()
    };
    (options, heard)
}

pub(crate) fn serve(backend: impl StateBackend + 'static, options: ServerOptions) -> Server {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    Server::start(Box::new(backend), socket, options).unwrap()
}

/// How to get to a server as who shows `token`.
pub(crate) fn way(address: SocketAddr, token: &str) -> NetOptions {
    NetOptions { token: Some(self::token(token)), ..NetOptions::new(address.to_string()) }
}

pub(crate) fn client(server: &Server, token: &str) -> NetDb {
    NetDb::open(way(server.address(), token)).unwrap()
}

pub(crate) fn address(id: u64) -> Address {
    Address::left_padding_from(&(id + 1).to_be_bytes())
}

pub(crate) fn info(balance: u64) -> AccountInfo {
    AccountInfo { balance: U256::from(balance), ..AccountInfo::default() }
}

/// A diff that makes `count` accounts with a slot each.
pub(crate) fn crowd(count: u64) -> StateDiff {
    let mut diff = StateDiff::default();
    for id in 0..count {
        let change = diff.accounts.entry(address(id)).or_default();
        change.new = Some(info(id));
    }
    diff
}
