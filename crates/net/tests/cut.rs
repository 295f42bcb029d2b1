//! Connections that break in the middle of a call.

mod common;

use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    ops::ControlFlow,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    thread,
    time::Duration,
};

use common::{WRITER, address, crowd, info, options, serve, way};
use zvm_core::{B256, Database, StateBackend, U256};
use zvm_net::{NetDb, NetOptions, Server};
use zvm_state::MemoryDb;

const WHOLE: u8 = 0;
/// The next that the client says does not arrive.
const CUT_REQUEST: u8 = 1;
/// What the client says arrives, and the answer does not.
const CUT_ANSWER: u8 = 2;
/// From now on nobody gets through.
const DOWN: u8 = 3;

/// A way to a server that breaks when it is told to; once, and then it is whole again.
struct Proxy {
    place: SocketAddr,
    fault: Arc<AtomicU8>,
}

impl Proxy {
    fn start(server: &Server) -> Self {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let (place, to) = (socket.local_addr().unwrap(), server.address());
        let fault = Arc::new(AtomicU8::new(WHOLE));
        let broken = Arc::clone(&fault);
        thread::spawn(move || {
            for client in socket.incoming().map_while(Result::ok) {
                if broken.load(Ordering::SeqCst) == DOWN {
                    continue;
                }
                let Ok(server) = TcpStream::connect(to) else { continue };
                let ends = [client, server];
                pump(&ends, 0, CUT_REQUEST, Arc::clone(&broken));
                pump(&ends, 1, CUT_ANSWER, Arc::clone(&broken));
            }
        });
        Self { place, fault }
    }

    fn open(&self, timeout: Duration) -> NetDb {
        NetDb::open(NetOptions { timeout, ..way(self.place, WRITER) }).unwrap()
    }

    fn set(&self, fault: u8) {
        self.fault.store(fault, Ordering::SeqCst);
    }
}

/// Carries what comes from one of two ends to the other, until it meets its fault.
fn pump(ends: &[TcpStream; 2], from: usize, cut: u8, fault: Arc<AtomicU8>) {
    let (mut from, mut to) = (ends[from].try_clone().unwrap(), ends[1 - from].try_clone().unwrap());
    thread::spawn(move || {
        let mut buffer = [0; 1 << 16];
        while let Ok(length @ 1..) = from.read(&mut buffer) {
            let met = fault.compare_exchange(cut, WHOLE, Ordering::SeqCst, Ordering::SeqCst);
            if met.is_ok() || fault.load(Ordering::SeqCst) == DOWN {
                break;
            }
            if to.write_all(&buffer[..length]).is_err() {
                break;
            }
        }
        for end in [from, to] {
            let _ = end.shutdown(Shutdown::Both);
        }
    });
}

#[test]
fn a_commit_that_is_cut_off_is_made_once() {
    let server = serve(MemoryDb::new(), options().0);
    let proxy = Proxy::start(&server);
    let mut db = proxy.open(Duration::from_secs(60));
    for number in 1..=60 {
        let diff = db
            .batch()
            .set_account(address(number), info(number))
            .set_storage(address(0), U256::ZERO, U256::from(number))
            .to_diff()
            .unwrap();
        proxy.set((number % 3) as u8);
        db.commit(&diff).unwrap();
        proxy.set(WHOLE);
        assert_eq!(db.head().unwrap().number, number);
        assert_eq!(db.storage(address(0), U256::ZERO).unwrap(), U256::from(number));
        assert_eq!(db.unsettled(), None);
    }
    let direct = common::client(&server, WRITER);
    assert_eq!(direct.head().unwrap().number, 60);
    server.stop().unwrap();
}

#[test]
fn what_is_read_is_asked_again_and_a_walk_goes_on_where_it_was() {
    let server = serve(MemoryDb::new(), options().0);
    let proxy = Proxy::start(&server);
    let mut db = proxy.open(Duration::from_secs(60));
    db.seed(&crowd(50_000)).unwrap();
    for id in 0..30 {
        proxy.set((id % 3) as u8);
        let account = db.account(address(id)).unwrap();
        assert_eq!(account.map(|account| account.info), Some(info(id)));
    }
    let (mut count, mut last) = (0, B256::ZERO);
    db.for_each_account(B256::ZERO, &mut |hash, _, _| {
        assert!(hash > last);
        (count, last) = (count + 1, hash);
        if count % 10_000 == 0 {
            proxy.set(CUT_ANSWER);
        }
        Ok(ControlFlow::Continue(()))
    })
    .unwrap();
    assert_eq!(count, 50_000);
    server.stop().unwrap();
}

#[test]
fn a_commit_whose_fate_is_not_known_yet_is_settled_later() {
    let server = serve(MemoryDb::new(), options().0);
    let proxy = Proxy::start(&server);
    let mut db = proxy.open(Duration::from_millis(500));
    db.batch().set_account(address(1), info(1)).commit().unwrap();
    let diff = db.batch().set_account(address(1), info(2)).to_diff().unwrap();
    proxy.set(DOWN);
    let error = db.commit(&diff).unwrap_err().to_string();
    assert!(error.contains("block 2 was cut off"), "{error}");
    let unsettled = db.unsettled().expect("it is not known").clone();
    assert!(error.contains(&unsettled.id.to_string()), "{error}");
    assert!(db.settle().is_err() && db.commit(&diff).is_err());

    proxy.set(WHOLE);
    assert_eq!(db.settle().unwrap(), Some(zvm_net::Fate::Refused));
    assert_eq!((db.head().unwrap().number, db.settle().unwrap()), (1, None));
    db.commit(&diff).unwrap();
    assert_eq!(db.head().unwrap().number, 2);
    server.stop().unwrap();
}
