//! Who is refused, and what for.

mod common;

use std::{
    io::{Read, Write},
    net::TcpStream,
    ops::ControlFlow,
    time::Duration,
};

use common::{READER, WRITER, address, client, crowd, info, options, serve, way};
use zvm_core::{B256, Bytes, Database, DbError, StateBackend, StateDiff, keccak256};
use zvm_net::{NetDb, NetOptions, TlsIdentity, TlsOptions};
use zvm_state::{DatabaseConfig, MemoryDb};

fn refused(options: NetOptions) -> String {
    NetDb::open(options).err().expect("nobody is let in").to_string()
}

#[test]
fn a_wrong_token_is_named_and_not_shown() {
    let (options, heard) = options();
    let server = serve(MemoryDb::new(), options);
    let place = server.address();
    let error = refused(way(place, "a-wrong-token-it-is"));
    assert_eq!(error, format!("net:{place}: refused: a wrong token"));
    assert_eq!(
        refused(NetOptions::new(place.to_string())),
        format!("net:{place}: refused: no token")
    );
    heard.wait_for("refused: a wrong token");
    heard.wait_for("refused: no token");
    server.stop().unwrap();
}

#[test]
fn a_reader_cannot_write() {
    let server = serve(MemoryDb::new(), options().0);
    let mut reader = client(&server, READER);
    let writer = way(server.address(), WRITER);
    let mut readonly = NetDb::open(NetOptions { is_read_only: true, ..writer }).unwrap();
    for db in [&mut reader, &mut readonly] {
        let error = db.batch().set_account(address(1), info(1)).commit().unwrap_err();
        assert!(matches!(error, DbError::ReadOnly { .. }), "{error}");
        assert!(db.snapshot().is_err() && db.unwind(0).is_err());
        assert!(db.set_block_hash(1, B256::ZERO).is_err());
        assert_eq!(db.account(address(1)).unwrap(), None);
    }
    server.stop().unwrap();
}

#[test]
fn an_oversized_request_is_refused_by_its_size() {
    let (mut options, _) = options();
    options.limits.request_bytes = 100_000;
    options.limits.reads = 100;
    let server = serve(MemoryDb::new(), options);
    let mut db = client(&server, WRITER);
    let code = Bytes::from(vec![1; 200_000]);
    let diff = StateDiff { code: [(keccak256(&code), code)].into(), ..StateDiff::default() };
    let error = db.commit(&diff).unwrap_err().to_string();
    assert!(error.contains("bytes, the server takes 100000"), "{error}");
    assert_eq!(db.head().unwrap().number, 0);
    // This check is the client's. What does not check is refused by the server.
    let error = db.root_after(&diff).unwrap_err().to_string();
    assert!(error.contains("refused") && error.contains("100000"), "{error}");
    let reads = vec![zvm_net::Read::BlockHash(1); 101];
    let error = db.read_many(&reads).unwrap_err().to_string();
    assert!(error.contains("101 reads at once, this server takes 100"), "{error}");
    db.batch().set_account(address(1), info(1)).commit().unwrap();
    server.stop().unwrap();
}

#[test]
fn an_answer_beyond_the_limit_is_refused_by_name() {
    let (mut options, _) = options();
    options.limits.reply_bytes = 50_000;
    let server = serve(MemoryDb::new(), options);
    let mut db = client(&server, WRITER);
    let mut batch = db.batch();
    let hash = batch.set_code(vec![1; 20_000].into());
    batch.commit().unwrap();
    assert_eq!(db.code(hash).unwrap().len(), 20_000);
    let error = db.read_many(&[zvm_net::Read::Code(hash); 3]).unwrap_err().to_string();
    assert!(error.contains("an answer of more than 50000 bytes"), "{error}");
    server.stop().unwrap();
}

#[test]
fn a_client_that_does_not_go_on_with_its_walk_is_given_up_by_name() {
    let (mut options, heard) = options();
    options.limits.patience = Duration::from_millis(500);
    let server = serve(MemoryDb::new(), options);
    let mut writer = client(&server, WRITER);
    writer.seed(&crowd(200_000)).unwrap();
    let slow = client(&server, READER);
    let mut count = 0;
    let error = slow
        .for_each_account(B256::ZERO, &mut |_, _, _| {
            count += 1;
            if count == 1 {
                heard.wait_for("slow client");
                // Nobody else has to wait for it.
                writer.batch().set_account(address(1), info(1)).commit()?;
            }
            Ok(ControlFlow::Continue(()))
        })
        .unwrap_err()
        .to_string();
    assert!(error.contains("a slow client: it took no page of its walk in time"), "{error}");
    assert!(count < 200_000);
    // And its next request is as good as any.
    assert_eq!(slow.account(address(2)).unwrap().map(|account| account.info), Some(info(2)));
    server.stop().unwrap();
}

#[test]
fn whoever_says_nothing_or_garbage_is_cut_off_and_hurts_nobody() {
    let (mut options, heard) = options();
    options.limits.patience = Duration::from_millis(300);
    options.limits.connections = 8;
    let server = serve(MemoryDb::new(), options);
    let mut db = client(&server, WRITER);
    for _ in 0..3 {
        let garbage: [&[u8]; 7] = [
            b"",
            b"GET / HTTP/1.1\r\n\r\n",
            b"\x16\x03\x01\x02\x00\x01\x00",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\xff\xff\xff\xff\xff\xff",
            &[0; 1000],
            &[0xff; 100_000],
        ];
        for bytes in garbage {
            let mut stream = TcpStream::connect(server.address()).unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
            // It may have hung up before it has it all.
            let _ = stream.write_all(bytes);
            let mut answer = Vec::new();
            // The end, or an end that is no good; but an end.
            match stream.read_to_end(&mut answer) {
                Ok(_) => {}
                Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset),
            }
        }
        db.batch().set_account(address(1), info(1)).commit().unwrap();
    }
    heard.wait_for("slow client: no request with a token in time");
    server.stop().unwrap();
}

#[test]
fn connections_and_sessions_beyond_the_limit_are_refused() {
    let (mut options, heard) = options();
    options.limits.sessions = 2;
    options.limits.connections = 3;
    options.limits.linger = Duration::ZERO;
    let server = serve(MemoryDb::new(), options);
    let first = client(&server, WRITER);
    let second = client(&server, READER);
    let error = refused(way(server.address(), READER));
    assert!(error.contains("2 sessions are open, as many as may be"), "{error}");
    drop(second);
    let _third = client(&server, READER);
    let _idle = TcpStream::connect(server.address()).unwrap();
    let _more = TcpStream::connect(server.address()).unwrap();
    heard.wait_for("too many connections");
    assert_eq!(first.account(address(1)).unwrap(), None);
    server.stop().unwrap();
}

#[test]
fn a_server_that_stops_finishes_what_runs_and_its_clients_say_so() {
    let server = serve(MemoryDb::new(), options().0);
    let place = server.address();
    let mut db =
        NetDb::open(NetOptions { timeout: Duration::from_millis(700), ..way(place, WRITER) })
            .unwrap();
    db.batch().set_account(address(1), info(1)).commit().unwrap();
    server.stop().unwrap();
    // Refused, or out of time while it tries again.
    let read = db.account(address(1)).unwrap_err();
    let written = db.batch().set_account(address(1), info(2)).commit().unwrap_err();
    for error in [read.to_string(), written.to_string()] {
        assert!(error.starts_with(&format!("net:{place}: ")), "{error}");
    }
    assert!(refused(way(place, WRITER)).contains("cannot connect"));
}

#[test]
fn an_encrypted_connection_needs_a_server_that_is_vouched_for() {
    let made = rcgen::generate_simple_self_signed(["database.example".to_owned()]).unwrap();
    let (mut options, _) = options();
    options.tls = Some(TlsIdentity {
        certificates: made.cert.pem().into_bytes(),
        key: made.signing_key.serialize_pem().into_bytes().into(),
    });
    let server = serve(MemoryDb::new(), options);
    let tls = |authorities: Option<&str>, server_name: Option<&str>| {
        let authorities = authorities.map(|pem| pem.as_bytes().to_vec());
        let server_name = server_name.map(str::to_owned);
        let tls = Some(TlsOptions { authorities, server_name });
        NetOptions { tls, ..way(server.address(), WRITER) }
    };
    let pem = made.cert.pem();
    let mut db = NetDb::open(tls(Some(&pem), Some("database.example"))).unwrap();
    db.batch().set_account(address(1), info(1)).commit().unwrap();
    assert!(db.account(address(1)).unwrap().is_some());
    // Another name, nobody who vouches, no encryption.
    for options in [
        tls(Some(&pem), Some("other.example")),
        tls(None, Some("database.example")),
        way(server.address(), WRITER),
    ] {
        let error = refused(options);
        assert!(error.starts_with("net:127.0.0.1:"), "{error}");
    }

    // The same by a configuration.
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    std::fs::write(path("ca.pem"), &pem).unwrap();
    std::fs::write(path("token"), format!("{WRITER}\n")).unwrap();
    let text = format!(
        "net:{}?token-file={}&ca-file={}&server-name=database.example&timeout=5s",
        server.address(),
        path("token"),
        path("ca.pem")
    );
    let DatabaseConfig::Net(config) = text.parse().unwrap() else { panic!("{text}") };
    assert!(NetDb::from_config(&config).unwrap().account(address(1)).unwrap().is_some());
    std::fs::write(path("token"), "short").unwrap();
    let error = NetDb::from_config(&config).err().expect("no token").to_string();
    assert!(error.contains("a token of 5 characters"), "{error}");
    server.stop().unwrap();
}

#[test]
fn limits_beyond_what_there_can_be_are_none() {
    let (mut options, _) = options();
    options.limits.connections = usize::MAX;
    options.limits.running = usize::MAX;
    let server = serve(MemoryDb::new(), options);
    assert_eq!(client(&server, WRITER).head().unwrap().number, 0);
}
