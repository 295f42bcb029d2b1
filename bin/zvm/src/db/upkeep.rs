//! `zvm db check|unwind|rebuild-trie|prune`: a store looked through, put back and put right.

use clap::{Args, ValueEnum};
use serde_json::json;
use zvm::{DatabaseConfig, StateBackend};
use zvm_state::{CheckLevel, Checked, FileDb, History, kv::Access};

use super::{counting_bar, open_existing, show};
use crate::engine::DbArgs;

#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    db: DbArgs,
    /// How thoroughly
    #[arg(long, value_enum, default_value_t = Level::Full)]
    level: Level,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Levels of a check.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Level {
    /// The head, and that the stored trie leads to its root
    Head,
    /// That, and a thousand accounts with a slot of each, from leaf to root
    Sample,
    /// Every account, slot and code; the root computed from them alone
    Full,
    /// That, and every branch of the tries beside one built anew
    All,
}

/// Accounts of a sample.
const SAMPLE: u32 = 1000;

#[derive(Debug, Args)]
pub(crate) struct UnwindArgs {
    /// Block to go back to; the blocks after it are forgotten
    block: u64,
    #[command(flatten)]
    db: DbArgs,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RebuildArgs {
    #[command(flatten)]
    db: DbArgs,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct PruneArgs {
    /// What to keep: all, a number of blocks, or a size such as 512MiB [default: what --db says,
    /// and that is 128 blocks]
    #[arg(long)]
    history: Option<History>,
    #[command(flatten)]
    db: DbArgs,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl Level {
    fn level(self) -> CheckLevel {
        match self {
            Self::Head => CheckLevel::Head,
            Self::Sample => CheckLevel::Sample(SAMPLE),
            Self::Full => CheckLevel::State,
            Self::All => CheckLevel::Branches,
        }
    }

    fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }
}

pub(super) fn check(args: &CheckArgs) -> anyhow::Result<()> {
    let db = open_existing(&args.db.db, Access::Read)?;
    let accounts = match args.level {
        Level::Head => 0,
        Level::Sample => u64::from(SAMPLE),
        Level::Full | Level::All => accounts_in(&db)?,
    };
    let bar = counting_bar(accounts, "checking");
    let checked = db.check(args.level.level(), &mut |done| bar.set_position(done.accounts))?;
    bar.finish_and_clear();
    show(&facts(&args.db.db, &db, Some(args.level), &checked)?, args.json)
}

pub(super) fn rebuild_trie(args: &RebuildArgs) -> anyhow::Result<()> {
    let mut db = open_existing(&args.db.db, Access::Write)?;
    let bar = counting_bar(accounts_in(&db)?, "rebuilding");
    let rebuilt = db.rebuild_trie(&mut |done| bar.set_position(done.accounts))?;
    bar.finish_and_clear();
    show(&facts(&args.db.db, &db, None, &rebuilt)?, args.json)
}

/// About how many accounts there are.
fn accounts_in(db: &FileDb) -> anyhow::Result<u64> {
    Ok(db.stat()?.sizes.entries(zvm_state::kv::Table::Accounts))
}

fn facts(
    config: &DatabaseConfig,
    db: &FileDb,
    level: Option<Level>,
    checked: &Checked,
) -> anyhow::Result<Vec<(&'static str, serde_json::Value)>> {
    let mut facts = vec![("database", json!(config.to_string()))];
    facts.extend(level.map(|level| ("level", json!(level.name()))));
    facts.push(("block", json!(db.head()?.number)));
    facts.push(("state_root", json!(db.state_root()?)));
    facts.push(("accounts", json!(checked.accounts)));
    facts.push(("slots", json!(checked.slots)));
    facts.push(("branches", json!(checked.branches)));
    Ok(facts)
}

/// Blocks after which the bar moves.
const UNWIND_STEP: u64 = 64;

pub(super) fn unwind(args: &UnwindArgs) -> anyhow::Result<()> {
    let mut db = open_existing(&args.db.db, Access::Write)?;
    let from = db.head()?.number;
    // Says what is kept if that block is not, before anything is undone.
    drop(db.at(args.block)?);
    let undone = from - args.block;
    let bar = counting_bar(undone, "unwinding");
    while db.head()?.number > args.block {
        let number = db.head()?.number.saturating_sub(UNWIND_STEP).max(args.block);
        db.unwind(number)?;
        bar.set_position(from - number);
    }
    bar.finish_and_clear();
    let head = db.head()?;
    let facts = [
        ("database", json!(args.db.db.to_string())),
        ("block", json!(head.number)),
        ("block_hash", json!(head.hash)),
        ("state_root", json!(db.state_root()?)),
        ("undone", json!(undone)),
    ];
    show(&facts, args.json)
}

pub(super) fn prune(args: &PruneArgs) -> anyhow::Result<()> {
    let mut db = open_existing(&args.db.db, Access::Write)?;
    let history = args.history.unwrap_or(db.history());
    let (floor, head) = (db.floor(), db.head()?.number);
    let bar = counting_bar(head.saturating_sub(floor), "pruning");
    let first = db.prune(history, &mut |now| bar.set_position(now.saturating_sub(floor)))?;
    bar.finish_and_clear();
    let facts = [
        ("database", json!(args.db.db.to_string())),
        ("history", json!(history)),
        ("block", json!(head)),
        ("first_block", json!(first)),
        ("forgotten", json!(first.saturating_sub(floor))),
    ];
    show(&facts, args.json)
}
