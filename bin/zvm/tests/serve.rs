//! `zvm db serve`, and `net:` in the other commands.
#![cfg(feature = "net")]

mod common;

use std::{
    io::{BufRead, BufReader, Read},
    net::TcpStream,
    process::{Child, Command, Stdio},
};

use common::{Place, Run, artifact};

const TOKEN: &str = "a-token-for-writing";

/// A served database; killed unless it is stopped.
struct Served {
    child: Child,
    place: String,
}

impl Served {
    fn start(place: &Place, arguments: &[&str]) -> Self {
        place.write("token", format!("{TOKEN}\n"));
        let mut command = place.command();
        command.args(["db", "serve", "--listen", "127.0.0.1:0", "--json"]).args(arguments);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut served = Self { child, place: String::new() };
        let mut line = String::new();
        let mut said = BufReader::new(served.child.stdout.take().unwrap());
        said.read_line(&mut line).unwrap();
        let told: serde_json::Value = serde_json::from_str(&line).unwrap();
        served.place = told["listening"].as_str().unwrap().to_owned();
        served
    }

    /// The database elsewhere.
    fn db(&self) -> String {
        format!("net:{}?token-file=token", self.place)
    }

    /// Sends a signal and waits for the end.
    #[cfg(unix)]
    fn end(mut self, signal: &str) -> (Option<i32>, String) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
        let code = self.child.wait().unwrap().code();
        let mut errors = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
        (code, errors)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn with_counter() -> (Place, String) {
    let place = Place::new();
    let deployed = place.run(["deploy", &artifact("Counter"), "7", "--json"]).json();
    let counter = deployed["address"].as_str().or(deployed["contract"].as_str());
    let counter = counter.unwrap_or_else(|| panic!("{deployed}")).to_owned();
    (place, counter)
}

fn good(run: Run) -> String {
    assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{}", run.stdout);
    run.stdout
}

#[cfg(unix)]
#[test]
fn a_served_database_is_like_one_that_is_here() {
    let (place, counter) = with_counter();
    let stat = place.run(["db", "stat", "--count", "--json"]).json();
    let dump = good(place.run(["db", "dump"]));
    let served = Served::start(&place, &["--token-file", "token"]);
    let db = served.db();

    let far = place.run(["db", "stat", "--count", "--json", "--db", &db]).json();
    for name in ["block", "block_hash", "state_root", "accounts", "slots"] {
        assert_eq!(far[name], stat[name], "{name}");
    }
    assert_eq!(good(place.run(["db", "dump", "--db", &db])), dump);
    good(place.run(["send", &counter, "increment()", "--db", &db]));
    let number = good(place.run(["call", &counter, "number()(uint256)", "--db", &db]));
    assert!(number.trim_end().ends_with(" 8"), "{number}");
    let cached = format!("cached(100):{db}");
    assert_eq!(good(place.run(["call", &counter, "number()(uint256)", "--db", &cached])), number);
    let copied = place.run(["db", "migrate", &db, "file:copy", "--json"]).json();
    let here = place.run(["db", "stat", "--db", "file:copy", "--json"]).json();
    assert_eq!(copied["state_root"], here["state_root"]);

    let (code, errors) = served.end("-TERM");
    assert_eq!(code, Some(0), "{errors}");
    assert!(errors.contains("finishing what runs"), "{errors}");
    let after = place.run(["db", "stat", "--json"]).json();
    assert_eq!(after["state_root"], here["state_root"]);
    place.run(["db", "stat", "--db", &db]).fails(1, "cannot connect");
}

#[cfg(unix)]
#[test]
fn what_a_client_did_wrong_is_said_at_both_ends() {
    let (place, counter) = with_counter();
    place.write("read", "a-token-for-reading");
    place.write("wrong", "a-token-nobody-knows");
    let arguments = ["--token-file", "token", "--read-token-file", "read", "--max-request", "300B"];
    let served = Served::start(&place, &arguments);
    let db = |token: &str| format!("net:{}?token-file={token}", served.place);
    let stat = |db: &str| place.run(["db", "stat", "--db", db]);

    stat(&db("wrong")).fails(1, "refused: a wrong token");
    stat(&format!("net:{}", served.place)).fails(1, "refused: no token");
    good(stat(&db("read")));
    let send = ["send", &counter, "increment()", "--db", &db("read")];
    place.run(send).fails(1, "open for reading only");
    place
        .run(["deploy", &artifact("Counter"), "1", "--db", &format!("{}&readonly", db("token"))])
        .fails(1, "open for reading only");
    stat(&db("nowhere")).fails(1, "nowhere: cannot read the secret");
    stat("net:127.0.0.1:1?token=hunter2").fails(2, "a secret is never written here");
    // A commit with the code of the contract is larger than that.
    place
        .run(["deploy", &artifact("Counter"), "1", "--db", &db("token")])
        .fails(1, "bytes, the server takes 300");
    drop(TcpStream::connect(&served.place).unwrap());

    let (code, errors) = served.end("-INT");
    assert_eq!(code, Some(0), "{errors}");
    assert!(errors.contains("refused: a wrong token"), "{errors}");
    for secret in ["a-token-for", "a-token-nobody"] {
        assert!(!errors.contains(secret), "{errors}");
    }
}

#[test]
fn serving_without_what_it_needs_is_refused_by_name() {
    let place = Place::new();
    place.write("token", TOKEN);
    place.write("short", "short");
    let serve = |arguments: &[&str]| place.run([&["db", "serve"], arguments].concat());
    serve(&[]).fails(2, "no token: give --token-file");
    serve(&["--no-token", "--listen", "0.0.0.0:0"]).fails(2, "--no-token: only on a loopback");
    serve(&["--token-file", "short"])
        .fails(2, "short: a token of 5 characters, expected at least 16");
    let most = u64::MAX.to_string();
    serve(&["--no-token", "--max-clients", &most]).fails(2, "--max-clients: ");
    serve(&["--no-token", "--patience", &most]).fails(2, "--patience: ");
    serve(&["--token-file", "none"]).fails(1, "none: cannot read the secret");
    serve(&["--token-file", "token"]).fails(1, "no database here");
    serve(&["--token-file", "token", "--tls-cert", "cert"]).fails(2, "--tls-key");
    serve(&["--token-file", "token", "--listen", "nowhere"]).fails(2, "--listen");
    serve(&["--token-file", "token", "--max-request", "many"]).fails(2, "expected a size");
    let help = serve(&["--help"]);
    assert_eq!(help.code, 0);
    assert!(help.stdout.contains("net:127.0.0.1:7545?token-file=./token"), "{}", help.stdout);
}
