//! `zvm tx trace`: a transaction of a remote chain, executed again at its place in its block.

use std::{path::PathBuf, process::ExitCode};

use alloy_json_abi::{Function, JsonAbi};
use clap::{Args, ValueEnum};
use serde_json::json;
use zvm::{B256, DatabaseConfig, Difference, Executed, Retrace, StateBefore, TxKind};

use crate::{
    artifact::Artifact,
    engine::{open_database, open_unrecorded},
    failure::{FAILED, usage},
    output::Output,
    report::Report,
    source::Source,
    value,
    watch::WatchArgs,
};

#[derive(Debug, Args)]
pub(crate) struct TraceArgs {
    /// Hash of the transaction
    #[arg(value_parser = value::hash)]
    hash: B256,
    /// The node whose chain it is in, `fork:URL`, or a recording, `fork:FILE`. Without a block it is
    /// the transaction's own
    #[arg(long, value_name = "DATABASE")]
    db: DatabaseConfig,
    /// Where the state comes from that the transaction met
    #[arg(long, value_enum, value_name = "FROM", default_value = "auto")]
    state: From,
    /// Artifact or ABI that names functions, events and errors
    #[arg(long, value_name = "FILE")]
    abi: Option<PathBuf>,
    /// Leave the call tree out
    #[arg(long, conflicts_with = "call_tree")]
    no_call_tree: bool,
    #[command(flatten)]
    watch: WatchArgs,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum From {
    /// From the node if it tells and the receipt agrees with what comes of it, or else by replaying
    Auto,
    /// By executing what came before in the block
    Replay,
    /// As the node tells it (debug_traceTransaction)
    Prestate,
}

pub(super) fn trace(args: TraceArgs) -> anyhow::Result<ExitCode> {
    let TraceArgs { hash, db, state, abi, no_call_tree, mut watch, json } = args;
    if !is_fork(&db) {
        return Err(usage(format!("--db: {db}: expected fork:URL or fork:FILE")));
    }
    watch.show_calls(!no_call_tree);
    let abi = match abi {
        Some(path) => Some(Artifact::parse(&Source::file(&path)?)?.abi),
        None => None,
    };
    let fork = open_unrecorded(&db)?.fork;
    let fork = fork.ok_or_else(|| usage(format!("--db: {db}: expected fork:URL or fork:FILE")))?;
    let placed = fork.source.transaction(hash)?;
    let before = Retrace::config_before(&db, &placed)?;
    let state = match state {
        From::Auto => StateBefore::Auto,
        From::Replay => StateBefore::Replay,
        From::Prestate => StateBefore::Prestate,
    };
    let retrace = Retrace::new(&before, open_database(&before)?, placed, state)?;
    let mut tracer = watch.start(retrace.spec())?;
    let executed = match &mut tracer {
        Some(tracer) => retrace.run(tracer)?,
        None => retrace.run(&mut zvm::NoTracer)?,
    };
    let calls = watch.finish(tracer, &executed)?;
    let differences = retrace.differences(&executed);
    let function = abi.as_ref().and_then(|abi| called(abi, &retrace));
    let report = Report {
        abi: abi.as_ref(),
        function,
        calls: calls.as_ref(),
        extra: facts(&retrace, &executed, &differences),
        ..Report::new(&executed)
    };
    match json {
        true => {
            let mut object = report.to_json();
            object["differences"] = differences.iter().map(difference_json).collect();
            let mut out = Output::stdout();
            out.json(&object)?;
            out.finish()?;
        }
        // That the transaction failed then is no failure now.
        false => drop(report.print(false)?),
    }
    Ok(if differences.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
}

/// Whether there is a fork below whatever caches.
fn is_fork(config: &DatabaseConfig) -> bool {
    match config {
        DatabaseConfig::Fork(_) => true,
        DatabaseConfig::Cached { inner, .. } => is_fork(inner),
        _ => false,
    }
}

/// The function that the calldata of the transaction names.
fn called<'a>(abi: &'a JsonAbi, retrace: &Retrace) -> Option<&'a Function> {
    let tx = retrace.transaction();
    let selector = tx.data.get(..4).filter(|_| tx.to != TxKind::Create)?;
    abi.functions().find(|function| function.selector() == selector)
}

/// What there is to say beside the execution.
fn facts(
    retrace: &Retrace,
    executed: &Executed,
    differences: &[Difference],
) -> Vec<(&'static str, String)> {
    let (placed, tx) = (retrace.placed(), retrace.transaction());
    let header = placed.header();
    let mut facts = vec![
        ("transaction", placed.hash().to_string()),
        ("block", header.number.to_string()),
        ("block hash", header.hash().to_string()),
        ("index", placed.index().to_string()),
        ("spec", retrace.spec().to_string()),
        ("from", tx.sender.to_string()),
    ];
    facts.extend(tx.to.to().map(|to| ("to", to.to_string())));
    facts.extend(executed.created.map(|address| ("address", address.to_string())));
    let state = match retrace.state() {
        StateBefore::Prestate => "as the node tells it".to_owned(),
        _ => format!("block {} and {} transactions", header.number - 1, placed.index()),
    };
    facts.push(("state", state));
    match differences {
        [] => facts.push(("receipt", "says the same".to_owned())),
        _ => facts.extend(differences.iter().map(|one| ("DIFFERS", one.to_string()))),
    }
    if !differences.is_empty() && retrace.is_spec_guessed() {
        let hint =
            "the hard fork is told by the fields of the header alone; ?spec=NAME says another";
        facts.push(("hint", hint.to_owned()));
    }
    facts
}

fn difference_json(difference: &Difference) -> serde_json::Value {
    let Difference { what, here, receipt } = difference;
    json!({"what": what, "here": here, "receipt": receipt})
}
