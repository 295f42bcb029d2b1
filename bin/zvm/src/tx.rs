//! `zvm tx`: transactions as they are sent, signed and read.

mod send;
mod trace;

use std::{path::PathBuf, process::ExitCode};

use clap::{Args, Subcommand};
use zeroize::Zeroizing;
use zvm::SpecId;
use zvm_core::{SignedTransaction, SigningKey, UnsignedTransaction, hex};
use zvm_keys::KeyError;

use crate::{engine::SpecArgs, failure::usage, output::Output, source::Source, value};

#[derive(Debug, Subcommand)]
pub(crate) enum TxCommand {
    /// Sign a transaction and print it as it is sent
    Sign(SignArgs),
    /// Show a signed transaction: its fields, its hash, its sender
    Decode(DecodeArgs),
    /// Put a transaction into a new block of a chain, and show its receipt
    Send(send::SendArgs),
    /// Execute a transaction of a remote chain again, at its place in its block
    Trace(trace::TraceArgs),
}

impl TxCommand {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        match self {
            Self::Sign(args) => sign(args),
            Self::Decode(args) => decode(&args),
            Self::Send(args) => send::send(&args),
            Self::Trace(args) => trace::trace(args),
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct SignArgs {
    /// The transaction as in JSON-RPC: a JSON object, a file with it, or - for standard input
    #[arg(value_name = "TRANSACTION")]
    transaction: String,
    #[command(flatten)]
    key: KeyArgs,
    /// Print the JSON of the signed transaction
    #[arg(long)]
    json: bool,
}

/// Where a key comes from. Not from an argument: those can be seen by others on the machine.
#[derive(Debug, Args)]
pub(crate) struct KeyArgs {
    /// File with the private key: 64 hex digits, or a keystore (Web3 version 3, EIP-2335)
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// Environment variable with the private key, 64 hex digits
    #[arg(long, value_name = "NAME", conflicts_with = "key_file")]
    key_env: Option<String>,
    /// File with the password of the keystore
    #[arg(long, value_name = "FILE", requires = "key_file")]
    password_file: Option<PathBuf>,
    /// Environment variable with the password of the keystore
    #[arg(long, value_name = "NAME", requires = "key_file", conflicts_with = "password_file")]
    password_env: Option<String>,
}

impl KeyArgs {
    /// Reads the key.
    pub(crate) fn read(&self) -> anyhow::Result<SigningKey> {
        if let Some(name) = &self.key_env {
            let text = variable(name)?;
            return zvm_keys::from_hex(&text).map_err(|error| usage(format!("{name}: {error}")));
        }
        let needed = || usage("--key-file or --key-env is needed");
        let path = self.key_file.as_deref().ok_or_else(needed)?;
        let password = self.password()?;
        zvm_keys::from_file(path, || password).map_err(|error| {
            let name = path.display();
            match error {
                KeyError::Read(_) => anyhow::Error::new(error).context(name.to_string()),
                KeyError::NoPassword => {
                    usage(format!("{name}: {error}; --password-file or --password-env gives it"))
                }
                _ => usage(format!("{name}: {error}")),
            }
        })
    }

    fn password(&self) -> anyhow::Result<Option<Zeroizing<String>>> {
        match (&self.password_file, &self.password_env) {
            (Some(path), _) => {
                let text = Zeroizing::new(Source::file(path)?.text);
                // An editor ends a file with a line break, which nobody types as part of a password.
                let text = text.strip_suffix('\n').unwrap_or(&text);
                Ok(Some(Zeroizing::new(text.strip_suffix('\r').unwrap_or(text).to_owned())))
            }
            (None, Some(name)) => variable(name).map(Some),
            (None, None) => Ok(None),
        }
    }
}

fn variable(name: &str) -> anyhow::Result<Zeroizing<String>> {
    std::env::var(name)
        .map(Zeroizing::new)
        .map_err(|_| usage(format!("{name}: no such environment variable, or not text")))
}

fn sign(args: SignArgs) -> anyhow::Result<ExitCode> {
    let source = Source::argument("TRANSACTION", &args.transaction)?;
    let body: UnsignedTransaction = serde_json::from_str(&source.text)
        .map_err(|error| usage(format!("{}: not a transaction: {error}", source.name)))?;
    let signed = body.sign(&args.key.read()?);
    let mut out = Output::stdout();
    match args.json {
        true => out.json(&serde_json::to_value(&signed)?)?,
        false => out.line(hex::encode_prefixed(signed.encode_2718()))?,
    }
    out.finish()?;
    Ok(ExitCode::SUCCESS)
}

#[derive(Debug, Args)]
pub(crate) struct DecodeArgs {
    /// The transaction: hex digits, a file of them, or - for standard input
    #[arg(value_name = "HEX")]
    transaction: String,
    #[command(flatten)]
    spec: SpecArgs,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

fn decode(args: &DecodeArgs) -> anyhow::Result<ExitCode> {
    let source = Source::argument("HEX", &args.transaction)?;
    let signed = signed(&source)?;
    let spec: SpecId = args.spec.spec;
    let sender = signed
        .sender(spec)
        .map_err(|error| usage(format!("{}: no sender under {spec}: {error}", source.name)))?;
    let mut shown = serde_json::to_value(&signed)?;
    let mut out = Output::stdout();
    if args.json {
        shown["from"] = serde_json::to_value(sender)?;
        out.json(&shown)?;
    } else {
        out.field("from", sender.to_string())?;
        for (name, value) in shown.as_object().into_iter().flatten() {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            out.field(name, text)?;
        }
    }
    out.finish()?;
    Ok(ExitCode::SUCCESS)
}

/// Reads a signed transaction from hex digits.
fn signed(source: &Source) -> anyhow::Result<SignedTransaction> {
    let bytes = value::hex(source.text.trim())
        .map_err(|error| usage(format!("{}: {error}", source.name)))?;
    SignedTransaction::decode_2718(&bytes)
        .map_err(|error| usage(format!("{}: not a transaction: {error}", source.name)))
}
