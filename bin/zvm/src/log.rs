//! `zvm log`: the Merkle log over blocks and transactions. Proofs out of it, and verifying all of it.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::Context;
use clap::{Args, Subcommand};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use zvm::{Address, B256};
use zvm_state::kv::Access;
use zvm_trie::log::{ConsistencyProof, SignedTreeHead, TreeHead};
use zvm_txlog::{EntryProof, Log, Senders};

use crate::{
    db::{counting_bar, open_existing, show},
    engine::DbArgs,
    failure::usage,
    output::Output,
    source::Source,
    value,
};

#[derive(Debug, Subcommand)]
pub(crate) enum LogCommand {
    /// Show size and root of the log, and sign them
    Head(HeadArgs),
    /// Prove that a transaction with its receipt, or a block, is in the log
    Prove(ProveArgs),
    /// Prove that the log of some size begins with that of a smaller one
    Consistency(ConsistencyArgs),
    /// Verify every block of the log, or a proof, which needs no database
    Verify(VerifyArgs),
}

#[derive(Debug, Args)]
pub(crate) struct HeadArgs {
    #[command(flatten)]
    db: DbArgs,
    /// The log as it was when this block was its last [default: the head]
    #[arg(long, value_name = "BLOCK")]
    block: Option<u64>,
    /// Sign it with the key in this file (64 hex digits); prints JSON
    #[arg(long, value_name = "FILE", requires = "chain_id")]
    key_file: Option<PathBuf>,
    /// The chain to sign it for
    #[arg(long, value_name = "ID")]
    chain_id: Option<u64>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ProveArgs {
    /// Hash of the transaction
    #[arg(value_name = "TRANSACTION", value_parser = value::hash)]
    #[arg(required_unless_present = "block")]
    transaction: Option<B256>,
    /// Prove this block instead
    #[arg(long, value_name = "BLOCK", conflicts_with = "transaction")]
    block: Option<u64>,
    /// Number of entries of the log to prove it in [default: all]
    #[arg(long, value_name = "COUNT")]
    size: Option<u64>,
    #[command(flatten)]
    db: DbArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ConsistencyArgs {
    /// Number of entries of the smaller log
    #[arg(value_name = "OLD")]
    old_size: u64,
    /// Number of entries of the larger log [default: all]
    #[arg(value_name = "NEW")]
    size: Option<u64>,
    #[command(flatten)]
    db: DbArgs,
}

#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    #[command(flatten)]
    db: DbArgs,
    /// A head from elsewhere, as `zvm log head --json` prints it: the log must begin with that log.
    /// Given more than once, with each of them
    #[arg(long = "head", value_name = "FILE")]
    heads: Vec<PathBuf>,
    /// Who must have signed the heads
    #[arg(long, value_name = "ADDRESS", value_parser = value::address)]
    signer: Option<Address>,
    /// Do not tell senders from signatures again, which is most of the work
    #[arg(long)]
    trust_senders: bool,
    /// Verify this proof instead, under the root in it or that of --head; - is standard input
    #[arg(long, value_name = "FILE")]
    proof: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl LogCommand {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        match self {
            Self::Head(args) => head(&args)?,
            Self::Prove(args) => prove(&args)?,
            Self::Consistency(args) => consistency(&args)?,
            Self::Verify(VerifyArgs {
                proof: Some(ref path), ref heads, ref signer, json, ..
            }) => {
                verify_proof(path, heads, *signer, json)?;
            }
            Self::Verify(args) => verify(&args)?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn head(args: &HeadArgs) -> anyhow::Result<()> {
    let db = open_existing(&args.db.db, Access::Read)?;
    let log = Log::new(&db);
    let last = log.head()?.map(|head| head.number);
    let block = args.block.or(last);
    let head = match block {
        Some(number) => log.tree_head_at(number)?,
        None => log.tree_head()?,
    };
    if let (Some(path), Some(chain_id)) = (&args.key_file, args.chain_id) {
        let key = zvm_keys::from_file(path, || None)
            .with_context(|| format!("{}: no key", path.display()))?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
        let signed = SignedTreeHead::sign(chain_id, head, now, &key);
        let mut out = Output::stdout();
        out.json(&serde_json::to_value(signed)?)?;
        return Ok(out.finish()?);
    }
    let facts = [("block", json!(block)), ("size", json!(head.size)), ("root", json!(head.root))];
    show(&facts, args.json)
}

fn prove(args: &ProveArgs) -> anyhow::Result<()> {
    let db = open_existing(&args.db.db, Access::Read)?;
    let log = Log::new(&db);
    let proof = match (args.transaction, args.block) {
        (Some(hash), _) => {
            let (block, index) = log
                .locate(hash)?
                .with_context(|| format!("{}: no transaction {hash} in the log", args.db.db))?;
            log.prove_transaction(block, index, args.size)?
        }
        (None, block) => log.prove_block(block.unwrap_or_default(), args.size)?,
    };
    print(&serde_json::to_value(proof)?)
}

/// A proof of consistency with the roots that it is about.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct Consistency {
    consistency: ConsistencyProof,
    old_root: B256,
    root: B256,
}

fn consistency(args: &ConsistencyArgs) -> anyhow::Result<()> {
    let db = open_existing(&args.db.db, Access::Read)?;
    let log = Log::new(&db);
    let consistency = log.prove_consistency(args.old_size, args.size)?;
    let old_root = log.tree_head_of(args.old_size)?.root;
    let root = log.tree_head_of(consistency.size)?.root;
    print(&serde_json::to_value(Consistency { consistency, old_root, root })?)
}

fn print(object: &Value) -> anyhow::Result<()> {
    let mut out = Output::stdout();
    out.json(object)?;
    Ok(out.finish()?)
}

fn verify(args: &VerifyArgs) -> anyhow::Result<()> {
    let heads = heads(&args.heads, args.signer)?;
    let db = open_existing(&args.db.db, Access::Read)?;
    let log = Log::new(&db);
    let last = log.head()?.map_or(0, |head| head.number);
    let senders = if args.trust_senders { Senders::Trust } else { Senders::Recover };
    let bar = counting_bar(last, "verifying");
    let verified = log.verify(&heads, senders, &mut |number| bar.set_position(number));
    bar.finish_and_clear();
    let verified = verified.with_context(|| args.db.db.to_string())?;
    let facts = [
        ("blocks", json!(verified.blocks)),
        ("transactions", json!(verified.transactions)),
        ("events", json!(verified.events)),
        ("size", json!(verified.head.size)),
        ("root", json!(verified.head.root)),
        ("heads", json!(heads.len())),
    ];
    show(&facts, args.json)
}

/// One of the two kinds of proof.
#[derive(Deserialize)]
#[serde(untagged)]
enum Proof {
    Entry(EntryProof),
    Consistency(Consistency),
}

fn verify_proof(
    path: &Path,
    heads_from: &[PathBuf],
    signer: Option<Address>,
    as_json: bool,
) -> anyhow::Result<()> {
    let heads = heads(heads_from, signer)?;
    let name = path.display();
    // The roots in a proof show that it fits together; a head from elsewhere shows what it is worth.
    let known = |size: u64, root: B256| match heads.iter().find(|head| head.size == size) {
        Some(head) => Ok(head.root),
        None if heads.is_empty() => Ok(root),
        None => Err(usage(format!("{name}: about a log of {size} entries, no --head is"))),
    };
    let facts = match read(path)? {
        Proof::Entry(proof) => {
            let root = known(proof.inclusion.size, proof.root)?;
            proof.verify(root).with_context(|| format!("{name}: not proven"))?;
            vec![
                ("entry", serde_json::to_value(proof.entry)?),
                ("size", json!(proof.inclusion.size)),
                ("root", json!(root)),
            ]
        }
        Proof::Consistency(Consistency { consistency, old_root, root }) => {
            let root = known(consistency.size, root)?;
            let old = heads.iter().find(|head| head.size == consistency.old_size);
            let old_root = old.map_or(old_root, |head| head.root);
            let proven = consistency.verify(old_root, root);
            proven.with_context(|| format!("{name}: not proven"))?;
            vec![
                ("old_size", json!(consistency.old_size)),
                ("old_root", json!(old_root)),
                ("size", json!(consistency.size)),
                ("root", json!(root)),
            ]
        }
    };
    show(&facts, as_json)
}

/// A head, signed or not.
#[derive(Deserialize)]
#[serde(untagged)]
enum Head {
    Signed(SignedTreeHead),
    Bare(TreeHead),
}

fn heads(paths: &[PathBuf], signer: Option<Address>) -> anyhow::Result<Vec<TreeHead>> {
    let head = |path: &PathBuf| {
        let head = read(path)?;
        let name = path.display();
        match (head, signer) {
            (Head::Bare(head), None) => Ok(head),
            (Head::Bare(_), Some(_)) => Err(usage(format!("{name}: a head without a signature"))),
            (Head::Signed(signed), signer) => {
                let found = signed.signer();
                let is_right = signer.is_none_or(|signer| found == Some(signer));
                match found.filter(|_| is_right) {
                    Some(_) => Ok(signed.head),
                    None => anyhow::bail!("{name}: not signed by {}", whom(signer)),
                }
            }
        }
    };
    paths.iter().map(head).collect()
}

fn whom(signer: Option<Address>) -> String {
    signer.map_or_else(|| "anybody".to_owned(), |signer| signer.to_string())
}

fn read<T: DeserializeOwned>(path: &Path) -> anyhow::Result<T> {
    let source = Source::path(path)?;
    serde_json::from_str(&source.text)
        .map_err(|error| usage(format!("{}: {error}; expected what zvm log prints", source.name)))
}
