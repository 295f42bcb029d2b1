//! `zvm t8n`: a block on a state that is given whole, in the manner of geth's `evm t8n`.

use std::{
    fmt, fs,
    io::Write,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context;
use clap::Args;
use serde_json::{Map, Value, json};
use zvm::U256;
use zvm_conformance::t8n::{Document, Inputs, Rules, Shows, T8nError, transition};

use crate::{output::Output, source::Source};

/// The input and output that is no file.
const STDIN: &str = "stdin";
const STDOUT: &str = "stdout";
const STDERR: &str = "stderr";

#[derive(Debug, Args)]
pub(crate) struct T8nArgs {
    /// Accounts by address: a JSON file, or stdin
    #[arg(long = "input.alloc", value_name = "FILE", default_value = "alloc.json")]
    alloc: String,
    /// The block around the transactions: a JSON file, or stdin
    #[arg(long = "input.env", value_name = "FILE", default_value = "env.json")]
    env: String,
    /// Transactions: a JSON file, a file with the RLP of their list as a JSON string, or stdin
    #[arg(long = "input.txs", value_name = "FILE", default_value = "txs.json")]
    txs: String,
    /// Blob parameters in place of those of the hard fork: a JSON file with target, max and
    /// baseFeeUpdateFraction, or stdin
    #[arg(long = "input.blobParams", value_name = "FILE")]
    blob_params: Option<String>,
    /// Where the accounts afterwards go: a file, stdout or stderr
    #[arg(long = "output.alloc", value_name = "FILE", default_value = "alloc.json")]
    output_alloc: String,
    /// Where roots, receipts and rejected transactions go: a file, stdout or stderr
    #[arg(long = "output.result", value_name = "FILE", default_value = "result.json")]
    output_result: String,
    /// Where the RLP of the transactions in the block goes: a file, stdout or stderr
    #[arg(long = "output.body", value_name = "FILE")]
    output_body: Option<String>,
    /// Folder for files; made if there is none
    #[arg(long = "output.basedir", value_name = "FOLDER", default_value = ".")]
    basedir: PathBuf,
    /// Hard fork, such as Cancun, or a transition such as BerlinToLondonAt5
    #[arg(long = "state.fork", value_name = "NAME", default_value = "GrayGlacier")]
    fork: String,
    /// Chain that transactions are signed for
    #[arg(long = "state.chainid", value_name = "ID", default_value_t = 1)]
    chain_id: u64,
    /// Wei for the block before Paris; -1 pays nothing and touches nobody
    #[arg(
        long = "state.reward",
        value_name = "WEI",
        default_value_t = 0,
        allow_negative_numbers = true
    )]
    reward: i128,
    /// Write a trace of each transaction, trace-INDEX-HASH.jsonl (EIP-3155)
    #[arg(long)]
    trace: bool,
    /// Show memory in traces
    #[arg(long = "trace.memory", overrides_with = "no_memory")]
    trace_memory: bool,
    /// Show no memory in traces, as is the default
    #[arg(long = "trace.nomemory", id = "no_memory", overrides_with = "trace_memory")]
    _no_memory: bool,
    /// Show no stack in traces
    #[arg(long = "trace.nostack")]
    trace_no_stack: bool,
    /// Show return data in traces
    #[arg(long = "trace.returndata", overrides_with = "no_return_data")]
    trace_return_data: bool,
    /// Show no return data in traces, as is the default
    #[arg(
        long = "trace.noreturndata",
        id = "no_return_data",
        overrides_with = "trace_return_data"
    )]
    _no_return_data: bool,
}

/// A failure with the exit code that the makers of `t8n` gave it.
#[derive(Debug)]
struct Failure {
    code: u8,
    what: String,
}

impl Failure {
    fn json(what: impl fmt::Display) -> Self {
        Self { code: 10, what: what.to_string() }
    }

    fn io(error: impl fmt::Display) -> Self {
        Self { code: 11, what: error.to_string() }
    }
}

impl From<T8nError> for Failure {
    fn from(error: T8nError) -> Self {
        Self { code: error.exit_code(), what: error.to_string() }
    }
}

/// Runs the transition: 0, or an exit code of `evm t8n` with the fault on standard error.
pub(crate) fn run(args: &T8nArgs) -> ExitCode {
    match execute(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure { code, what }) => {
            // Nowhere to say it where standard error is closed.
            let _ = writeln!(std::io::stderr(), "ERROR({code}): {what}");
            ExitCode::from(code)
        }
    }
}

fn execute(args: &T8nArgs) -> Result<(), Failure> {
    let inputs = [&args.alloc, &args.env, &args.txs].into_iter().chain(&args.blob_params);
    let from_stdin = inputs.into_iter().any(|name| name == STDIN);
    let stdin: Document = match from_stdin {
        true => {
            let text = Source::path(Path::new("-")).map_err(Failure::io)?.text;
            serde_json::from_str(&text).map_err(Failure::json)?
        }
        false => Document::default(),
    };
    let read = |name: &str, given: Option<String>, field: &str| match name {
        STDIN => given.ok_or_else(|| Failure::json(format!("{field} is missing"))),
        name => Ok(Source::file(Path::new(name))
            .map_err(|error| Failure::io(format!("{error:#}")))?
            .text),
    };
    let text = |raw: Option<Box<serde_json::value::RawValue>>| raw.map(|raw| raw.get().to_owned());
    let alloc = read(&args.alloc, text(stdin.alloc), "alloc")?;
    let env = read(&args.env, text(stdin.env), "env")?;
    let txs = read(&args.txs, text(stdin.txs.or(stdin.txs_rlp)), "txs")?;
    let blob_params = match &args.blob_params {
        Some(name) => Some(read(name, text(stdin.blob_params), "blobParams")?),
        None => None,
    };
    fs::create_dir_all(&args.basedir).map_err(Failure::io)?;
    let rules = Rules {
        fork: args.fork.clone(),
        chain_id: args.chain_id,
        reward: u128::try_from(args.reward).ok().map(U256::from),
        traces: args.trace.then(|| args.basedir.clone()),
        shows: Shows {
            memory: args.trace_memory,
            no_stack: args.trace_no_stack,
            return_data: args.trace_return_data,
        },
    };
    let done = transition(
        Inputs { alloc: &alloc, env: &env, txs: &txs, blob_params: blob_params.as_deref() },
        &rules,
    )?;
    let mut streams = [(STDOUT, Map::new()), (STDERR, Map::new())];
    let outputs = [
        ("alloc", Some(&args.output_alloc), done.alloc),
        ("result", Some(&args.output_result), done.result),
        ("body", args.output_body.as_ref(), json!(done.body)),
    ];
    for (field, place, value) in outputs {
        let Some(place) = place.filter(|place| !place.is_empty()) else { continue };
        match streams.iter_mut().find(|(name, _)| name == place) {
            Some((_, document)) => drop(document.insert(field.to_owned(), value)),
            None => {
                let path = args.basedir.join(place);
                let text = pretty(&value)?;
                fs::write(&path, text)
                    .map_err(|error| Failure::io(format!("{}: {error}", path.display())))?;
            }
        }
    }
    let [(_, stdout), (_, stderr)] = streams;
    if !stdout.is_empty() {
        let text = pretty(&stdout.into())?;
        let mut out = Output::stdout();
        out.line(text).and_then(|()| out.finish()).map_err(Failure::io)?;
    }
    if !stderr.is_empty() {
        writeln!(std::io::stderr(), "{}", pretty(&stderr.into())?).map_err(Failure::io)?;
    }
    Ok(())
}

fn pretty(value: &Value) -> Result<String, Failure> {
    serde_json::to_string_pretty(value).context("cannot write JSON").map_err(Failure::json)
}
