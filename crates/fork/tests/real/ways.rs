//! Ways to a node: through TLS, and through a proxy.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

use rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};

use crate::{anvil, check, config, fork};

/// Something that listens on a port of this machine, and serves each connection on a thread.
fn listen(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let serve = Arc::new(serve);
    thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            let serve = serve.clone();
            thread::spawn(move || serve(connection));
        }
    });
    port
}

/// The lines before the body of a message of HTTP.
fn head(reader: &mut impl BufRead) -> Option<Vec<String>> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        match line.trim_end() {
            "" => return Some(lines),
            line => lines.push(line.to_owned()),
        }
    }
}

/// Answers one request with what the node at `upstream` answers.
fn forward(stream: &mut (impl Read + Write), upstream: &str) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let head = head(&mut reader)?;
    let length = head
        .iter()
        .find_map(|line| line.to_lowercase().strip_prefix("content-length:")?.trim().parse().ok());
    let mut body = vec![0; length?];
    reader.read_exact(&mut body).ok()?;
    let mut answer =
        ureq::post(upstream).header("Content-Type", "application/json").send(&body).ok()?;
    let text = answer.body_mut().read_to_vec().ok()?;
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", text.len());
    let stream = reader.into_inner();
    stream.write_all(&[head.as_bytes(), &text].concat()).ok()?;
    stream.flush().ok()
}

#[test]
fn a_node_behind_tls_is_read_if_somebody_vouches_for_it() {
    let Some(anvil) = anvil() else { return };
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let server = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let (server, upstream) = (Arc::new(server), anvil.url.clone());
    let port = listen(move |connection| {
        let session = ServerConnection::new(server.clone()).unwrap();
        let mut stream = StreamOwned::new(session, connection);
        while forward(&mut stream, &upstream).is_some() {}
    });
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let trusted = file("ca.pem", &made.cert.pem());
    check(&fork(&format!("https://localhost:{port}"), &format!("?ca-file={trusted}"))).unwrap();

    let refused = |url: &str, more: &str| {
        zvm_fork::open(&config(url, more)).map(|_| ()).unwrap_err().to_string()
    };
    // Nobody does, or for another name.
    for (url, more) in [
        (format!("https://localhost:{port}"), String::new()),
        (format!("https://127.0.0.1:{port}"), format!("?ca-file={trusted}")),
    ] {
        let error = refused(&url, &more);
        assert!(error.contains(&format!(":{port}: ")) && error.contains("ertificate"), "{error}");
    }
    let empty = file("empty.pem", "nothing");
    let error = refused(&format!("https://localhost:{port}"), &format!("?ca-file={empty}"));
    assert!(error.contains("expected certificates in the form PEM"), "{error}");
    let missing = folder.path().join("missing.pem").display().to_string();
    let error = refused(&format!("https://localhost:{port}"), &format!("?ca-file={missing}"));
    assert!(error.contains("missing.pem: cannot read the certificates"), "{error}");
}

#[test]
fn a_node_behind_a_proxy_is_asked_through_it() {
    let Some(anvil) = anvil() else { return };
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let (heads, upstream) = (seen.clone(), anvil.url.trim_start_matches("http://").to_owned());
    let port = listen(move |client| {
        let Some(lines) = head(&mut BufReader::new(&client)) else { return };
        heads.lock().unwrap().extend(lines);
        let node = TcpStream::connect(&upstream).unwrap();
        (&client).write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
        thread::scope(|scope| {
            scope.spawn(|| {
                let _ = std::io::copy(&mut &client, &mut &node);
                let _ = node.shutdown(Shutdown::Both);
            });
            let _ = std::io::copy(&mut &node, &mut &client);
            let _ = client.shutdown(Shutdown::Both);
        });
    });
    // There is no such host: only the proxy knows the way.
    let way = format!("?proxy=http://me:hunter2@127.0.0.1:{port}");
    let db = fork("http://node.invalid:8545", &way);
    check(&db).unwrap();
    let lines = seen.lock().unwrap().clone();
    assert!(lines.iter().any(|line| line.starts_with("CONNECT node.invalid:8545 ")), "{lines:?}");
    let is_authorized =
        |line: &String| line.to_lowercase().starts_with("proxy-authorization: basic");
    assert!(lines.iter().any(is_authorized), "{lines:?}");

    let down = "?timeout=1s&proxy=http://me:hunter2@127.0.0.1:1";
    let error = zvm_fork::open(&config("http://node.invalid:8545", down)).map(|_| ()).unwrap_err();
    let error = error.to_string();
    assert!(error.starts_with("http://node.invalid:8545: "), "{error}");
    assert!(!error.contains("hunter2"), "{error}");
}
