//! `zvm db serve`: a database for other processes.

use std::{
    fs,
    net::{TcpListener, ToSocketAddrs},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use anyhow::Context;
use clap::Args;
use serde_json::json;
use zeroize::Zeroizing;
use zvm_net::{Limits, Role, Server, ServerOptions, TlsIdentity, Token, Tokens};
use zvm_state::{SecretSource, parse_bytes};

use crate::{
    engine::{DbArgs, check_exists, existing, open_database},
    failure::{print_line, usage},
    output::Output,
};

/// Serves until it is told to end by Ctrl-C or SIGTERM; then it finishes what runs.
///
/// Clients show a token of at least 16 characters. One kind may read and write, the other only read.
/// Without --token-file and --token-env nothing can be written, and a store is opened for reading.
#[derive(Debug, Args)]
#[command(after_help = "\
Elsewhere the database is net:HOST:PORT, with options: token-file=PATH or token-env=NAME, tls,
ca-file=PATH, server-name=NAME, timeout=10s, readonly. For example:

  zvm db serve --db file:./state --token-file ./token
  zvm db stat --db 'net:127.0.0.1:7545?token-file=./token'")]
pub(crate) struct ServeArgs {
    #[command(flatten)]
    db: DbArgs,
    /// Where to listen; port 0 takes any
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:7545")]
    listen: String,
    /// File with the token of who may read and write
    #[arg(long, value_name = "FILE", conflicts_with = "token_env")]
    token_file: Option<PathBuf>,
    /// Environment variable with that token
    #[arg(long, value_name = "NAME")]
    token_env: Option<String>,
    /// File with the token of who may read
    #[arg(long, value_name = "FILE", conflicts_with = "read_token_env")]
    read_token_file: Option<PathBuf>,
    /// Environment variable with that token
    #[arg(long, value_name = "NAME")]
    read_token_env: Option<String>,
    /// Let whoever is on this machine read and write; only where a loopback address is listened to
    #[arg(long, conflicts_with_all = ["token_file", "token_env", "read_token_file", "read_token_env"])]
    no_token: bool,
    /// Certificates in PEM, that of this server first; connections are encrypted then
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The private key of the certificate, in PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Largest request, such as 64MiB; a commit is one request
    #[arg(long, value_name = "SIZE", default_value = "64MiB", value_parser = size)]
    max_request: usize,
    /// Most clients at a time
    #[arg(long, value_name = "NUMBER", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    max_clients: u32,
    /// Seconds until a slow client is given up: one that does not say who it is, or takes no more of
    /// its answer
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    patience: u64,
    /// Print one JSON object when it listens
    #[arg(long)]
    json: bool,
}

fn size(text: &str) -> Result<usize, String> {
    let bytes = parse_bytes(text).and_then(|bytes| usize::try_from(bytes).ok());
    bytes.filter(|bytes| *bytes > 0).ok_or_else(|| "expected a size such as 64MiB".to_owned())
}

/// What is wanted of a token's place.
fn source(file: &Option<PathBuf>, env: &Option<String>) -> Option<SecretSource> {
    let file = file.clone().map(SecretSource::File);
    file.or_else(|| env.clone().map(SecretSource::Env))
}

pub(super) fn serve(args: &ServeArgs) -> anyhow::Result<()> {
    let (write, read) = (
        source(&args.token_file, &args.token_env),
        source(&args.read_token_file, &args.read_token_env),
    );
    if write.is_none() && read.is_none() && !args.no_token {
        return Err(usage(
            "no token: give --token-file, --token-env, --read-token-file or --read-token-env, or let \
             everybody on this machine in with --no-token",
        ));
    }
    let places: Vec<_> = args
        .listen
        .to_socket_addrs()
        .map_err(|error| usage(format!("--listen: {:?}: {error}", args.listen)))?
        .collect();
    let is_local = places.iter().all(|place| place.ip().is_loopback());
    if args.no_token && !is_local {
        return Err(usage("--no-token: only on a loopback address, such as 127.0.0.1:7545"));
    }
    let mut tokens = if args.no_token { Tokens::anybody(Role::Writes) } else { Tokens::new() };
    for (source, role) in [(&write, Role::Writes), (&read, Role::Reads)] {
        let Some(source) = source else { continue };
        let token = Token::new(source.read("token")?);
        let place = match source {
            SecretSource::File(path) => path.display().to_string(),
            SecretSource::Env(name) => name.clone(),
        };
        tokens = tokens.with(&token.map_err(|error| usage(format!("{place}: {error}")))?, role);
    }
    let tls = match (&args.tls_cert, &args.tls_key) {
        (Some(certificates), Some(key)) => {
            let read = |path: &PathBuf| {
                fs::read(path).with_context(|| format!("{}: cannot read", path.display()))
            };
            Some(TlsIdentity { certificates: read(certificates)?, key: Zeroizing::new(read(key)?) })
        }
        _ => None,
    };
    if !is_local && tls.is_none() {
        print_line(
            "tokens and state go over the network in clear; --tls-cert and --tls-key encrypt",
        );
    }

    let writes = write.is_some() || args.no_token;
    check_exists(&args.db.db)?;
    let config = if writes { args.db.db.clone() } else { existing(&args.db.db)? };
    let db = open_database(&config)?.backend;
    let socket = TcpListener::bind(places.as_slice())
        .with_context(|| format!("{}: cannot listen", args.listen))?;
    let limits = Limits {
        request_bytes: args.max_request,
        connections: args.max_clients as usize,
        sessions: args.max_clients as usize,
        patience: Duration::from_secs(args.patience),
        ..Limits::default()
    };
    let listener = Arc::new(|event: zvm_net::Event| print_line(&event.to_string()));
    let server = Server::start(db, socket, ServerOptions { tokens, tls, limits, listener })?;

    let mut out = Output::stdout();
    let place = server.address().to_string();
    match args.json {
        true => out.json(&json!({ "database": config.to_string(), "listening": place }))?,
        false => {
            out.field("database", config.to_string())?;
            out.field("listening", format!("{place}, Ctrl-C ends"))?;
        }
    }
    out.finish()?;
    server.serve_until_signal(|| print_line("finishing what runs; Ctrl-C again ends at once"))?;
    Ok(())
}
