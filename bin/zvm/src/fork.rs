//! `zvm fork`: what a fork is of, and recordings of forks.

use std::{path::PathBuf, process::ExitCode, sync::Arc};

use anyhow::Context;
use clap::{Args, Parser, Subcommand};
use serde_json::{Map, Value, json};
use zvm::{B256, DatabaseConfig};
use zvm_fork::{Origin, Recorder, Recording, Source};

use crate::{commands::Cli, engine, failure::usage, output::Output, value};

#[derive(Debug, Subcommand)]
pub(crate) enum ForkCommand {
    /// Show the block that a fork is of, and how much a recording has
    Info(InfoArgs),
    /// Run any command on a fork, and write what it reads of it to a file
    Record(RecordArgs),
    /// Make one recording of several of the same block
    Merge(MergeArgs),
    /// Check a recording against its own proofs, and if asked against a node
    Verify(VerifyArgs),
}

#[derive(Debug, Args)]
pub(crate) struct InfoArgs {
    /// `fork:URL@BLOCK` or `fork:FILE`
    #[arg(value_name = "FORK")]
    fork: DatabaseConfig,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RecordArgs {
    /// The file to write
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Fetch and write proofs of all accounts and slots, too
    #[arg(long)]
    proofs: bool,
    /// The command with its arguments, such as `call --db fork:URL ADDRESS SIGNATURE`
    #[arg(
        value_name = "COMMAND",
        trailing_var_arg = true,
        allow_hyphen_values = true,
        required = true
    )]
    command: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct MergeArgs {
    /// The recordings
    #[arg(value_name = "FILE", required = true)]
    inputs: Vec<PathBuf>,
    /// The file to write
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// The recording
    #[arg(value_name = "FILE")]
    input: PathBuf,
    /// Hash that the block must have, from somebody who is trusted
    #[arg(long, value_name = "HASH", value_parser = value::hash)]
    hash: Option<B256>,
    /// Read everything again and compare, from a fork such as `fork:URL?verify`, at the same block
    #[arg(long, value_name = "FORK")]
    against: Option<DatabaseConfig>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl ForkCommand {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        match self {
            Self::Info(args) => info(&args).map(|()| ExitCode::SUCCESS),
            Self::Record(args) => record(&args),
            Self::Merge(args) => merge(&args).map(|()| ExitCode::SUCCESS),
            Self::Verify(args) => verify(&args).map(|()| ExitCode::SUCCESS),
        }
    }
}

fn info(args: &InfoArgs) -> anyhow::Result<()> {
    let source = open(&args.fork)?;
    let mut facts = of_origin(source.origin());
    if let DatabaseConfig::Fork(config) = &args.fork
        && let zvm_state::ForkSource::Recording(path) = &config.source
    {
        facts.extend(of_size(&Recording::read(path)?));
    }
    print(facts, args.json)
}

fn record(args: &RecordArgs) -> anyhow::Result<ExitCode> {
    let words = std::iter::once("zvm").chain(args.command.iter().map(String::as_str));
    let command = match Cli::try_parse_from(words) {
        Ok(cli) => cli.command,
        Err(error) => return Ok(crate::failure::report_arguments(&error)),
    };
    engine::start_recording();
    let code = command.run()?;
    let recorders = engine::take_recorders();
    let mut recordings = recorders.iter().map(|recorder| recorded(recorder, args.proofs));
    let first = recordings.next().ok_or_else(|| {
        usage("nothing to record: expected a command with --db fork:URL or fork:URL@BLOCK")
    })??;
    let whole = recordings.try_fold(first, |whole, next| anyhow::Ok(whole.merge(&next?)?))?;
    whole.write(&args.output)?;
    Ok(code)
}

fn recorded(recorder: &Arc<Recorder>, with_proofs: bool) -> anyhow::Result<Recording> {
    match with_proofs {
        true => Ok(recorder.recording_with_proofs()?),
        false => Ok(recorder.recording()),
    }
}

fn merge(args: &MergeArgs) -> anyhow::Result<()> {
    let mut recordings = args.inputs.iter().map(|path| anyhow::Ok((path, Recording::read(path)?)));
    let (_, first) = recordings.next().ok_or_else(|| usage("expected a recording"))??;
    let whole = recordings.try_fold(first, |whole, next: anyhow::Result<_>| {
        let (path, next) = next?;
        whole.merge(&next).with_context(|| format!("{}: cannot merge", path.display()))
    })?;
    Ok(whole.write(&args.output)?)
}

fn verify(args: &VerifyArgs) -> anyhow::Result<()> {
    let named = || args.input.display().to_string();
    let mut recording = Recording::read(&args.input)?;
    let hash = recording.origin().block.hash;
    if let Some(expected) = args.hash.filter(|expected| *expected != hash) {
        anyhow::bail!("{}: of block {hash}, expected {expected}", named());
    }
    let proven = recording.verify().with_context(|| format!("{}: not true", named()))?;
    let mut facts = of_origin(recording.origin());
    facts.extend([
        ("proven_accounts", json!(proven.accounts)),
        ("proven_slots", json!(proven.slots)),
        ("proven_codes", json!(proven.codes)),
        ("proven_block_hashes", json!(proven.block_hashes)),
        ("unproven", json!(proven.unproven)),
    ]);
    if let Some(against) = &args.against {
        let source = open(against)?;
        let found = source.origin().block.hash;
        anyhow::ensure!(found == hash, "{against}: at block {found}, expected {hash}");
        let reads = recording.reads();
        for (read, found) in reads.iter().zip(source.fetch(&reads)?) {
            let same = recording.insert(*read, &found);
            same.with_context(|| format!("{}: {against} says otherwise", named()))?;
        }
        facts.push(("compared", json!(reads.len())));
    }
    print(facts, args.json)
}

/// What is read of a fork goes through this.
fn open(config: &DatabaseConfig) -> anyhow::Result<Arc<dyn Source>> {
    let opened = engine::open_database(config)?;
    let fork =
        opened.fork.ok_or_else(|| usage(format!("{config}: expected fork:URL or fork:FILE")))?;
    Ok(fork.source)
}

fn of_origin(origin: &Origin) -> Vec<(&'static str, Value)> {
    vec![
        ("chain", json!(origin.chain_id)),
        ("block", json!(origin.block.number)),
        ("block_hash", json!(origin.block.hash)),
        ("state_root", json!(origin.header.state_root)),
        ("timestamp", json!(origin.header.timestamp)),
        ("spec", json!(origin.spec.map(|spec| spec.name()))),
        ("verified", json!(origin.is_verified)),
    ]
}

fn of_size(recording: &Recording) -> Vec<(&'static str, Value)> {
    let size = recording.size();
    vec![
        ("accounts", json!(size.accounts)),
        ("slots", json!(size.slots)),
        ("codes", json!(size.codes)),
        ("block_hashes", json!(size.block_hashes)),
        ("proof_nodes", json!(size.nodes)),
        ("transactions", json!(size.transactions)),
    ]
}

fn print(facts: Vec<(&'static str, Value)>, as_json: bool) -> anyhow::Result<()> {
    let mut out = Output::stdout();
    if as_json {
        let object: Map<_, _> = facts.into_iter().map(|(name, fact)| (name.into(), fact)).collect();
        out.json(&object.into())?;
    } else {
        for (name, fact) in facts {
            let text = match fact {
                Value::Null => "unknown".to_owned(),
                Value::String(text) => text,
                other => other.to_string(),
            };
            out.line(format!("{:<20} {text}", name.replace('_', " ")))?;
        }
    }
    Ok(out.finish()?)
}
