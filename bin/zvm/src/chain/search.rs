//! `zvm chain logs` and `zvm chain history`.

use anyhow::bail;
use clap::Args;
use serde_json::{Value, json};
use zvm::{Address, B256};
use zvm_state::kv::{Access, Order};
use zvm_txlog::{Event, EventFilter, EventLimits, Log, LogError};

use crate::{db::open_existing, engine::DbArgs, failure::usage, output::Output, value};

#[derive(Debug, Args)]
pub(crate) struct LogsArgs {
    #[command(flatten)]
    db: DbArgs,
    /// The first block to look at
    #[arg(long, value_name = "BLOCK", default_value_t = 0)]
    from: u64,
    /// The last block to look at [default: the head]
    #[arg(long, value_name = "BLOCK")]
    to: Option<u64>,
    /// A contract that logged; given more than once, any of them
    #[arg(long = "address", value_name = "ADDRESS", value_parser = value::address)]
    addresses: Vec<Address>,
    /// Topics at the next place: one, several of which any will do (separated by commas), or * for any.
    /// Given up to four times
    #[arg(long = "topic", value_name = "HASH", value_parser = topics)]
    topics: Vec<Topics>,
    /// How many events to find at most; those of a block come together
    #[arg(long, value_name = "COUNT", default_value_t = 10_000)]
    limit: u64,
    /// Print one JSON object a line
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct HistoryArgs {
    /// Whose
    #[arg(value_parser = value::address)]
    address: Address,
    #[command(flatten)]
    db: DbArgs,
    /// Where to begin, as BLOCK or BLOCK:INDEX
    #[arg(long, value_name = "PLACE", value_parser = place)]
    from: Option<(u64, Option<u32>)>,
    /// Oldest first instead of newest first
    #[arg(long)]
    oldest: bool,
    /// How many transactions to list at most
    #[arg(long, value_name = "COUNT", default_value_t = 100)]
    limit: usize,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// What may be at a place; nothing stands for anything.
#[derive(Clone, Debug)]
struct Topics(Vec<B256>);

fn topics(text: &str) -> Result<Topics, String> {
    match text {
        "*" => Ok(Topics(Vec::new())),
        text => text.split(',').map(value::hash).collect::<Result<_, _>>().map(Topics),
    }
}

fn place(text: &str) -> Result<(u64, Option<u32>), String> {
    let (block, index) = match text.split_once(':') {
        Some((block, index)) => (block, Some(index)),
        None => (text, None),
    };
    let fault = || format!("{text:?}: expected BLOCK or BLOCK:INDEX, such as 17 or 17:3");
    let block = block.parse().map_err(|_| fault())?;
    let index = index.map(|index| index.parse().map_err(|_| fault())).transpose()?;
    Ok((block, index))
}

pub(super) fn logs(args: &LogsArgs) -> anyhow::Result<()> {
    if args.topics.len() > 4 {
        return Err(usage(format!("--topic: {} places, expected at most 4", args.topics.len())));
    }
    let db = open_existing(&args.db.db, Access::Read)?;
    let filter = EventFilter {
        from_block: args.from,
        to_block: args.to,
        addresses: args.addresses.clone(),
        topics: args.topics.iter().map(|topics| topics.0.clone()).collect(),
    };
    let limits = EventLimits { events_max: args.limit, ..EventLimits::default() };
    let mut out = Output::stdout();
    let mut next = None;
    for event in Log::new(&db).events(filter, limits)? {
        match event {
            Ok(event) if args.json => out.json(&event_json(&event))?,
            Ok(event) => out.line(event_line(&event))?,
            Err(LogError::Limit { next: block, .. }) => next = Some(block),
            Err(error) => return Err(error.into()),
        }
    }
    out.finish()?;
    if let Some(block) = next {
        bail!("more than {} events; go on with --from {block}, or --limit more", args.limit);
    }
    Ok(())
}

/// As eth_getLogs answers it.
fn event_json(event: &Event) -> Value {
    let quantity = |number: u64| format!("{number:#x}");
    json!({
        "address": event.log.address,
        "topics": event.log.topics(),
        "data": event.log.data.data,
        "blockNumber": quantity(event.block.number),
        "blockHash": event.block.hash,
        "transactionHash": event.transaction_hash,
        "transactionIndex": quantity(event.transaction_index.into()),
        "logIndex": quantity(event.index.into()),
        "removed": false,
    })
}

fn event_line(event: &Event) -> String {
    let Event { block, transaction_index, index, log, .. } = event;
    let topics = log.topics().iter().fold(String::new(), |line, topic| format!("{line} {topic}"));
    format!(
        "{}:{transaction_index}:{index} {}{topics} {}",
        block.number, log.address, log.data.data
    )
}

pub(super) fn history(args: &HistoryArgs) -> anyhow::Result<()> {
    let db = open_existing(&args.db.db, Access::Read)?;
    let order = if args.oldest { Order::Forward } else { Order::Reverse };
    let edge = if args.oldest { 0 } else { u32::MAX };
    let from = args.from.map(|(block, index)| (block, index.unwrap_or(edge)));
    let page = Log::new(&db).history(args.address, from, order, args.limit)?;
    let next = page.next.map(|(block, index)| format!("{block}:{index}"));
    let mut out = Output::stdout();
    if args.json {
        out.json(&json!({ "appearances": page.appearances, "next": next }))?;
        return Ok(out.finish()?);
    }
    for found in &page.appearances {
        let roles: Vec<_> = found.roles.names().collect();
        out.line(format!("{}:{} {}", found.block, found.index, roles.join(" ")))?;
    }
    if let Some(next) = next {
        out.line(format!("more: --from {next}"))?;
    }
    Ok(out.finish()?)
}
