//! `zvm db`: whole databases. Looking at them, keeping them right, and moving their state out, in and
//! elsewhere.

mod backup;
mod proof;
#[cfg(feature = "net")]
mod serve;
mod target;
mod upkeep;

use std::{
    fs::File,
    io::{self, BufWriter, IsTerminal, Read},
    path::PathBuf,
    process::ExitCode,
};

use anyhow::Context;
use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use zvm::{B256, DatabaseConfig, StateBackend};
use zvm_state::{
    FileDb,
    dump::{self, LoadError},
    kv::Access,
    migrate, open_store,
};

use crate::{
    engine::{DbArgs, check_exists, existing, open_database},
    failure::usage,
    output::Output,
};
use target::Target;

#[derive(Debug, Subcommand)]
pub(crate) enum DbCommand {
    /// Open a database, making an empty one where there is none
    Open(OpenArgs),
    /// Show block, state root and size
    Stat(StatArgs),
    /// Look for damage; changes nothing
    Check(upkeep::CheckArgs),
    /// Go back to a block and forget those after it
    Unwind(upkeep::UnwindArgs),
    /// Build the branches of all tries anew from accounts and slots
    RebuildTrie(upkeep::RebuildArgs),
    /// Delete old history now instead of bit by bit
    Prune(upkeep::PruneArgs),
    /// Copy a store with its past into a folder, with the hash of every file
    Backup(backup::BackupArgs),
    /// Make a store of a backup in which nothing has changed, and verify its root
    Restore(backup::RestoreArgs),
    /// Serve a database to other processes, for which it is net:HOST:PORT
    #[cfg(feature = "net")]
    Serve(Box<serve::ServeArgs>),
    /// Prove an account and slots, as eth_getProof does
    Proof(proof::ProofArgs),
    /// Check such a proof against a state root, without a database
    VerifyProof(proof::VerifyArgs),
    /// Write the state as JSON lines: equal states are equal bytes
    Dump(DumpArgs),
    /// Make a database from a dump, a geth genesis.json or a state dumped by anvil
    Load(LoadArgs),
    /// Copy the present state into a new database; continues what was interrupted
    Migrate(MigrateArgs),
}

#[derive(Debug, Args)]
pub(crate) struct OpenArgs {
    #[command(flatten)]
    db: DbArgs,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct StatArgs {
    #[command(flatten)]
    db: DbArgs,
    /// Count accounts and slots, which reads all of them
    #[arg(long)]
    count: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct DumpArgs {
    #[command(flatten)]
    db: DbArgs,
    /// File to write; there is a whole one or none, unless it is a pipe or a device [default: standard output]
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Print what was dumped as one JSON object; needs --output
    #[arg(long, requires = "output")]
    json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct LoadArgs {
    /// What to load, gzip or not; - is standard input
    #[arg(value_name = "FILE")]
    input: PathBuf,
    #[command(flatten)]
    db: DbArgs,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct MigrateArgs {
    /// Database to copy, such as file:./state
    from: DatabaseConfig,
    /// Database to make, such as file:./copy
    to: DatabaseConfig,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl DbCommand {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        match self {
            Self::Open(args) => {
                let facts = stat(&args.db.db, Access::Create, false)?;
                show(&facts, args.json)?;
            }
            Self::Stat(args) => {
                check_exists(&args.db.db)?;
                let facts = stat(&args.db.db, Access::Read, args.count)?;
                show(&facts, args.json)?;
            }
            Self::Check(args) => upkeep::check(&args)?,
            Self::Unwind(args) => upkeep::unwind(&args)?,
            Self::RebuildTrie(args) => upkeep::rebuild_trie(&args)?,
            Self::Prune(args) => upkeep::prune(&args)?,
            Self::Backup(args) => backup::backup(&args)?,
            Self::Restore(args) => backup::restore(&args)?,
            #[cfg(feature = "net")]
            Self::Serve(args) => serve::serve(&args)?,
            Self::Proof(args) => proof::proof(&args)?,
            Self::VerifyProof(args) => proof::verify(&args)?,
            Self::Dump(args) => dump(&args)?,
            Self::Load(args) => load(&args)?,
            Self::Migrate(args) => migrate_to(&args)?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// What there is to say of a database.
fn stat(
    config: &DatabaseConfig,
    access: Access,
    count: bool,
) -> anyhow::Result<Vec<(&'static str, Value)>> {
    let store = config.store().map(|_| open_store(config, access)).transpose()?;
    let first_block = store.as_ref().map(FileDb::floor);
    let bytes = store.as_ref().map(|store| store.stat()).transpose()?;
    let bytes = bytes.map(|stat| stat.sizes.disk_bytes);
    let db: Box<dyn StateBackend> = match store {
        Some(store) => Box::new(store),
        None => open_database(config)?.backend,
    };
    let (head, root) = (db.head()?, db.state_root()?);
    let mut facts = vec![
        ("database", json!(config.to_string())),
        ("block", json!(head.number)),
        ("block_hash", json!(head.hash)),
        ("state_root", json!(root)),
    ];
    // From where on the past can be read.
    facts.extend(first_block.map(|number| ("first_block", json!(number))));
    facts.extend(bytes.map(|bytes| ("bytes_on_disk", json!(bytes))));
    if count {
        let bar = walk_bar("counting");
        let counted = dump::dump(&*db, &mut io::sink(), |hash| advance(&bar, hash))?;
        bar.finish_and_clear();
        facts.push(("accounts", json!(counted.accounts)));
        facts.push(("slots", json!(counted.slots)));
    }
    Ok(facts)
}

fn dump(args: &DumpArgs) -> anyhow::Result<()> {
    let db = open_database(&existing(&args.db.db)?)?.backend;
    let Some(path) = &args.output else {
        // The bar would run through the lines.
        let bar = match io::stdout().is_terminal() {
            true => ProgressBar::hidden(),
            false => walk_bar("dumping"),
        };
        let mut out = BufWriter::new(io::stdout().lock());
        dump::dump(&*db, &mut out, |hash| advance(&bar, hash))?;
        bar.finish_and_clear();
        return Ok(());
    };
    let name = path.display();
    let target = Target::new(path).with_context(|| format!("{name}: cannot write"))?;
    let bar = walk_bar("dumping");
    let mut out = BufWriter::new(target.file());
    let dumped = dump::dump(&*db, &mut out, |hash| advance(&bar, hash))
        .with_context(|| format!("{name}: cannot dump"))?;
    bar.finish_and_clear();
    let written = out.into_inner().map(drop).map_err(io::IntoInnerError::into_error);
    written.and_then(|()| target.finish()).with_context(|| format!("{name}: cannot write"))?;
    let facts = [
        ("file", json!(name.to_string())),
        ("block", json!(dumped.block.number)),
        ("state_root", json!(dumped.root)),
        ("accounts", json!(dumped.accounts)),
        ("slots", json!(dumped.slots)),
    ];
    show(&facts, args.json)
}

fn load(args: &LoadArgs) -> anyhow::Result<()> {
    let is_stdin = args.input.as_os_str() == "-";
    let name = if is_stdin { "standard input".into() } else { args.input.display().to_string() };
    let (text, bar): (Box<dyn Read>, _) = if is_stdin {
        (Box::new(io::stdin().lock()), ProgressBar::hidden())
    } else {
        let file = File::open(&args.input).with_context(|| format!("{name}: cannot open"))?;
        let bytes = file.metadata().map(|file| file.len()).unwrap_or_default();
        let bar = styled(ProgressBar::new(bytes), "loading");
        (Box::new(bar.wrap_read(file)), bar)
    };
    let result = dump::load_new(text, &args.db.db);
    bar.finish_and_clear();
    let loaded = result.map_err(|error| match error {
        LoadError::Text { .. } | LoadError::Root { .. } => usage(format!("{name}: {error}")),
        LoadError::Read(_) => anyhow::Error::new(error).context(name),
        error => error.into(),
    })?;
    let facts = [
        ("database", json!(args.db.db.to_string())),
        ("block", json!(loaded.block.number)),
        ("state_root", json!(loaded.root)),
        ("accounts", json!(loaded.accounts)),
        ("slots", json!(loaded.slots)),
    ];
    show(&facts, args.json)
}

fn migrate_to(args: &MigrateArgs) -> anyhow::Result<()> {
    let from = open_database(&existing(&args.from)?)?.backend;
    let bar = walk_bar("copying");
    let copied = migrate(&*from, &args.to, |hash| advance(&bar, hash))?;
    bar.finish_and_clear();
    let facts = [
        ("database", json!(args.to.to_string())),
        ("block", json!(copied.block.number)),
        ("state_root", json!(copied.root)),
        ("accounts", json!(copied.accounts)),
        ("slots", json!(copied.slots)),
        ("continued", json!(copied.is_continued)),
    ];
    show(&facts, args.json)
}

/// Opens the store of a database that is there already.
pub(crate) fn open_existing(config: &DatabaseConfig, access: Access) -> anyhow::Result<FileDb> {
    check_exists(config)?;
    Ok(open_store(config, access)?)
}

pub(crate) fn show(facts: &[(&str, Value)], as_json: bool) -> anyhow::Result<()> {
    let mut out = Output::stdout();
    if as_json {
        let object = facts.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
        out.json(&Value::Object(object.collect()))?;
    } else {
        for (name, value) in facts {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            out.field(&name.replace('_', " "), text)?;
        }
    }
    Ok(out.finish()?)
}

/// How far a walk in the order of hashes can come: they spread evenly.
const WALK_STEPS: u64 = 1 << 16;

/// A bar on standard error, if that is a terminal.
fn walk_bar(what: &'static str) -> ProgressBar {
    styled(ProgressBar::new(WALK_STEPS), what)
}

/// A bar over as many things as there may be.
pub(crate) fn counting_bar(count: u64, what: &'static str) -> ProgressBar {
    styled(ProgressBar::new(count), what)
}

fn styled(bar: ProgressBar, what: &'static str) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg} {bar:40} {percent}% in {elapsed}, {eta} left");
    bar.set_style(style.expect("a known template"));
    bar.set_message(what);
    bar
}

fn advance(bar: &ProgressBar, hash: B256) {
    bar.set_position(u64::from(u16::from_be_bytes([hash[0], hash[1]])));
}
