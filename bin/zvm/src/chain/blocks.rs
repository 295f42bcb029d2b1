//! `zvm chain init`, `import` and `export`: blocks in and out.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, anyhow};
use clap::Args;
use serde_json::json;
use zvm_core::{
    Block, BlockId,
    genesis::Genesis,
    rlp::{Reader, Rlp},
};
use zvm_state::{kv::Access, open_store};
use zvm_txlog::{Chain, Imported, Log};

use crate::{
    db::{counting_bar, open_existing},
    engine::DbArgs,
    failure::usage,
    output::Output,
    source::Source,
};

#[derive(Debug, Args)]
pub(crate) struct InitArgs {
    /// A genesis.json, as geth has it
    genesis: PathBuf,
    #[command(flatten)]
    db: DbArgs,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// Blocks in RLP, one after the other, as geth and `zvm chain export` write them
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The genesis.json of the chain: begins it where there is none, and where there is, brings its
    /// rules up to date
    #[arg(long, value_name = "FILE")]
    genesis: Option<PathBuf>,
    #[command(flatten)]
    db: DbArgs,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// Where to write the blocks; the file must not be there
    file: PathBuf,
    /// The first block
    #[arg(long, value_name = "BLOCK", default_value_t = 1)]
    from: u64,
    /// The last block [default: the head]
    #[arg(long, value_name = "BLOCK")]
    to: Option<u64>,
    #[command(flatten)]
    db: DbArgs,
}

pub(super) fn init(args: &InitArgs) -> anyhow::Result<()> {
    let chain = open(&args.db, &args.genesis)?;
    show(chain.head()?, None, args.json)
}

pub(super) fn import(args: &ImportArgs) -> anyhow::Result<()> {
    let mut chain = match &args.genesis {
        Some(genesis) => open(&args.db, genesis)?,
        None => Chain::open(Box::new(open_existing(&args.db.db, Access::Write)?))?,
    };
    let mut new = 0_u64;
    for path in &args.files {
        let name = path.display();
        let bytes = fs::read(path).with_context(|| format!("{name}: cannot read"))?;
        let bar = counting_bar(bytes.len() as u64, "bytes of blocks");
        let mut reader = Reader::new(&bytes);
        while !reader.is_empty() {
            let block = Block::read(&mut reader)
                .map_err(|error| usage(format!("{name}: no blocks in RLP: {error}")))?;
            let id = BlockId { number: block.header.number, hash: block.hash() };
            let imported = chain
                .import(&block)
                .with_context(|| format!("{name}: block {}, {}", id.number, id.hash))?;
            // A chain that was exported is one branch, and its last block is its head.
            if imported == Imported::Side && block.header.difficulty.is_zero() {
                chain.select(id.hash)?;
            }
            new += u64::from(imported != Imported::Known);
            bar.set_position((bytes.len() - reader.rest().len()) as u64);
        }
        bar.finish_and_clear();
    }
    show(chain.head()?, Some(new), args.json)
}

pub(super) fn export(args: &ExportArgs) -> anyhow::Result<()> {
    let db = open_existing(&args.db.db, Access::Read)?;
    let log = Log::new(&db);
    let head = log.head()?.ok_or_else(|| anyhow!("no chain here: there is no first block"))?;
    let name = args.file.display();
    let mut blocks = Vec::new();
    let file = fs::File::create_new(&args.file).with_context(|| format!("{name}: cannot make"))?;
    let mut out = std::io::BufWriter::new(file);
    for number in args.from..=args.to.unwrap_or(head.number) {
        let block = log.block_at(number)?.ok_or_else(|| anyhow!("no block {number}"))?;
        blocks.clear();
        block.write(&mut blocks);
        std::io::Write::write_all(&mut out, &blocks)
            .with_context(|| format!("{name}: cannot write"))?;
    }
    let file = out.into_inner().map_err(|error| error.into_error());
    file.and_then(|file| file.sync_all()).with_context(|| format!("{name}: cannot write"))
}

/// Opens the chain that begins with `genesis`, beginning it where there is none.
fn open(db: &DbArgs, genesis: &Path) -> anyhow::Result<Chain> {
    let source = Source::file(genesis)?;
    let genesis: Genesis = serde_json::from_str(&source.text)
        .map_err(|error| usage(format!("{}: no genesis: {error}", source.name)))?;
    let store = open_store(&db.db, Access::Create)?;
    Ok(Chain::init(Box::new(store), &genesis)?)
}

/// Prints the head, and how many blocks are new.
fn show(head: BlockId, new: Option<u64>, as_json: bool) -> anyhow::Result<()> {
    let mut out = Output::stdout();
    if as_json {
        out.json(&json!({ "number": head.number, "hash": head.hash, "imported": new }))?;
    } else {
        if let Some(new) = new {
            out.field("imported", format!("{new} blocks"))?;
        }
        out.field("head", format!("{}, {}", head.number, head.hash))?;
    }
    Ok(out.finish()?)
}
