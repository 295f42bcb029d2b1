//! `zvm replay`: real blocks, executed and compared with their headers.

use std::{path::PathBuf, process::ExitCode, time::Instant};

use clap::Args;
use serde_json::json;
use zvm::ChainConfig;
use zvm_conformance::{Replay, replays};
use zvm_evm::Evm;

use crate::{
    failure::{FAILED, usage},
    output::Output,
};

/// Executes real blocks of mainnet.
#[derive(Debug, Args)]
pub(crate) struct ReplayArgs {
    /// Folders and .tar.zst archives of blocks with the state they read.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Executes each block so often, and shows the fastest.
    #[arg(long, value_name = "N", default_value_t = 1)]
    repeat: u32,
    /// Prints JSON lines; the last one holds the totals.
    #[arg(long)]
    json: bool,
}

/// Runs the blocks: 0 if all are as their headers say, 1 if any is not or there is none, 2 for wrong
/// use.
pub(crate) fn run(args: &ReplayArgs) -> anyhow::Result<ExitCode> {
    let blocks = replays(&args.paths).map_err(|error| usage(error.to_string()))?;
    let (chain, mut evm) = (ChainConfig::mainnet(), Evm::new());
    let mut out = Output::stdout();
    let (mut passed, mut gas, mut seconds) = (0_u64, 0_u64, 0.0);
    let mut failed = blocks.faults.len() as u64;
    for (file, error) in &blocks.faults {
        match args.json {
            true => out.json(&json!({"failure": {"file": file, "what": error.to_string()}}))?,
            false => out.line(format!("FAILED {file}: {error}"))?,
        }
    }
    for block in &blocks.ready {
        let number = block.header.number;
        match fastest(block, &chain, &mut evm, args.repeat) {
            Ok(best) => {
                passed += 1;
                gas += block.header.gas_used;
                seconds += best;
                let (count, used) = (block.transactions.len(), block.header.gas_used);
                let speed = rate(used, best);
                match args.json {
                    true => out.json(&json!({
                        "block": number, "transactions": count, "gas": used, "mgas_per_s": speed,
                    }))?,
                    false => out.line(format!(
                        "{number:>9}  {count:>4} transactions  {used:>9} gas  {speed:>8.1} Mgas/s"
                    ))?,
                }
            }
            Err(what) => {
                failed += 1;
                match args.json {
                    true => out.json(&json!({"failure": {"block": number, "what": what}}))?,
                    false => out.line(format!("FAILED {number}: {what}"))?,
                }
            }
        }
    }
    let speed = rate(gas, seconds);
    match args.json {
        true => out.line(format!(
            r#"{{"suite":"replay","passed":{passed},"failed":{failed},"skipped":0,"gas":{gas},"mgas_per_s":{speed:.1}}}"#
        ))?,
        false => out.line(format!("{passed} passed, {failed} failed; {gas} gas, {speed:.1} Mgas/s"))?,
    }
    out.finish()?;
    let is_good = failed == 0 && passed > 0;
    Ok(if is_good { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
}

/// Executes a block and checks it; the seconds of the fastest run.
fn fastest(block: &Replay, chain: &ChainConfig, evm: &mut Evm, repeat: u32) -> Result<f64, String> {
    let mut best = f64::INFINITY;
    for _ in 0..repeat.max(1) {
        let start = Instant::now();
        let executed = block.run(chain, evm)?;
        best = best.min(start.elapsed().as_secs_f64());
        block.judge(&executed)?;
    }
    Ok(best)
}

/// Millions of gas per second.
fn rate(gas: u64, seconds: f64) -> f64 {
    if seconds > 0.0 { gas as f64 / seconds / 1e6 } else { 0.0 }
}
