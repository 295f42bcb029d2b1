//! Engines in several places on one database.
#![cfg(all(feature = "net", feature = "sol"))]

use std::{
    net::TcpListener,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use zvm::{Address, U256, Zvm, hex, sol};
use zvm_net::{Role, Server, ServerOptions, Tokens};
use zvm_state::MemoryDb;

sol! {
    function increment();
    function number() returns (uint256);
}

const COUNTER: &str = include_str!("../../../contracts/artifacts/Counter.json");

fn initcode() -> Vec<u8> {
    let artifact: serde_json::Value = serde_json::from_str(COUNTER).unwrap();
    let mut initcode = hex::decode(artifact["bytecode"].as_str().unwrap()).unwrap();
    initcode.extend([0; 32]);
    initcode
}

fn number(zvm: &mut Zvm, counter: Address) -> u64 {
    zvm.call(counter, numberCall {}).unwrap().to()
}

/// Tells the readers that it is over, also where the writer fails.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn two_engines_share_a_database_and_readers_see_whole_blocks() {
    let options = ServerOptions { tokens: Tokens::anybody(Role::Writes), ..Default::default() };
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = Server::start(Box::new(MemoryDb::new()), socket, options).unwrap();
    let plain = format!("net:{}", server.address());
    let cached = format!("cached(1000):{plain}");

    let mut writer = Zvm::open(&plain).unwrap();
    let counter = writer.deploy(initcode()).unwrap();
    let start = writer.head().unwrap().number;
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let done = &done;
        let look = move |config: &str| {
            let (mut looks, mut last) = (0, 0);
            while !done.load(Ordering::Relaxed) || looks == 0 {
                let mut reader = Zvm::open(config).unwrap();
                // Whatever is committed meanwhile, the block and all that is in it stay as they are.
                let head = reader.head().unwrap().number;
                for _ in 0..3 {
                    assert_eq!(number(&mut reader, counter), head - start);
                }
                assert!(head >= last);
                (looks, last) = (looks + 1, head);
            }
        };
        for config in [&plain, &cached, &plain] {
            scope.spawn(move || look(config));
        }
        let _ends = Ends(done);
        for _ in 0..60 {
            writer.transact(counter, incrementCall {}).unwrap();
        }
    });
    assert_eq!(number(&mut writer, counter), 60);

    // A second writer goes on where the first has stopped, and the first hears of it.
    let mut second = Zvm::open(&cached).unwrap();
    second.transact(counter, incrementCall {}).unwrap();
    let refused = writer.transact(counter, incrementCall {}).unwrap_err().to_string();
    assert!(refused.contains("others have changed the state"), "{refused}");
    writer.transact(counter, incrementCall {}).unwrap();
    assert_eq!(number(&mut writer, counter), 62);
    assert_eq!(writer.balance(Address::ZERO).unwrap(), U256::ZERO);
    server.stop().unwrap();
}
