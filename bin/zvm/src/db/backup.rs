//! `zvm db backup` and `zvm db restore`.

use std::{path::PathBuf, time::Duration};

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use zvm_state::{Manifest, RestoreStep, kv::Access};

use super::{counting_bar, open_existing, show};
use crate::engine::DbArgs;

#[derive(Debug, Args)]
pub(crate) struct BackupArgs {
    /// Folder to make; there is a whole backup or none
    folder: PathBuf,
    #[command(flatten)]
    db: DbArgs,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RestoreArgs {
    /// Folder of the backup, which stays as it is
    backup: PathBuf,
    #[command(flatten)]
    db: DbArgs,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn backup(args: &BackupArgs) -> anyhow::Result<()> {
    let db = open_existing(&args.db.db, Access::Read)?;
    let bar = ProgressBar::new_spinner();
    bar.set_style(ProgressStyle::with_template("{msg} {spinner} {elapsed}").expect("a template"));
    bar.set_message("copying");
    bar.enable_steady_tick(Duration::from_millis(200));
    let written = db.backup()?.write(&args.folder);
    bar.finish_and_clear();
    let facts = facts("backup", args.folder.display().to_string(), &written?);
    show(&facts, args.json)
}

pub(super) fn restore(args: &RestoreArgs) -> anyhow::Result<()> {
    let bar = counting_bar(0, "copying");
    let restored = zvm_state::restore(&args.backup, &args.db.db, &mut |step| match step {
        RestoreStep::Copied { bytes, of } => {
            bar.set_length(of);
            bar.set_position(bytes);
        }
        RestoreStep::Checked { accounts, of } => {
            bar.set_message("checking");
            bar.set_length(of);
            bar.set_position(accounts);
        }
    });
    bar.finish_and_clear();
    let facts = facts("database", args.db.db.to_string(), &restored?);
    show(&facts, args.json)
}

fn facts(name: &'static str, place: String, manifest: &Manifest) -> Vec<(&'static str, Value)> {
    vec![
        (name, json!(place)),
        ("engine", json!(manifest.engine)),
        ("block", json!(manifest.block.number)),
        ("block_hash", json!(manifest.block.hash)),
        ("state_root", json!(manifest.state_root)),
        ("files", json!(manifest.files.len())),
        ("bytes", json!(manifest.bytes())),
    ]
}
