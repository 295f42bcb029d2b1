//! Times zvm beside revm on real blocks: from known senders to receipts and changes of the state.
//!
//! zvm's time has the blooms of the receipts in it, and what each transaction changed.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use serde_json::json;
use zvm_benches::{
    blocks::{Between, PeerBlock},
    peer,
    timing::{Stopwatch, race},
};
use zvm_conformance::{Replay, replays};
use zvm_core::ChainConfig;
use zvm_evm::Evm;

// What the binary is built with. Both engines allocate from it.
#[cfg(feature = "fast")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Per block and pair of engines.
const TIME: Duration = Duration::from_millis(150);

struct Measured {
    number: u64,
    gas: u64,
    zvm: Duration,
    state: Duration,
    journal: Duration,
}

fn main() -> ExitCode {
    let is_json = std::env::args().any(|argument| argument == "--json");
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let fixtures = std::env::var_os("ZVM_FIXTURES")
        .map_or_else(|| root.join("../shared/fixtures"), PathBuf::from);
    let blocks = match replays(&[fixtures.join("mainnet-blocks.tar.zst")]) {
        Ok(blocks) => blocks.ready,
        Err(error) => {
            eprintln!("LEFT OUT: {error}");
            return ExitCode::SUCCESS;
        }
    };
    let mut all = Vec::new();
    for block in &blocks {
        match measure(block) {
            Ok(measured) => all.push(measured),
            Err(why) => {
                eprintln!("block {}: {why}", block.header.number);
                return ExitCode::FAILURE;
            }
        }
    }
    print(&all, is_json);
    ExitCode::SUCCESS
}

/// Checks that both engines use the same gas, then races them.
fn measure(replay: &Replay) -> Result<Measured, String> {
    let (chain, mut evm, peer) = (ChainConfig::mainnet(), Evm::new(), PeerBlock::new(replay)?);
    let gas = replay.header.gas_used;
    replay.judge(&replay.run(&chain, &mut evm)?)?;
    for between in [Between::State, Between::Journal] {
        let found = peer.run(between)?.gas_used();
        if found != gas {
            return Err(format!("{} used {found} gas, not {gas}", peer::NAME));
        }
    }
    let mut ours = Stopwatch::new(|| replay.run(&chain, &mut evm));
    let mut state = Stopwatch::new(|| peer.run(Between::State));
    let mut journal = Stopwatch::new(|| peer.run(Between::Journal));
    race(&mut ours, &mut state, TIME);
    race(&mut ours, &mut journal, TIME);
    let (zvm, state, journal) = (ours.best(), state.best(), journal.best());
    Ok(Measured { number: replay.header.number, gas, zvm, state, journal })
}

fn print(all: &[Measured], is_json: bool) {
    let micros = |time: Duration| time.as_secs_f64() * 1e6;
    if !is_json {
        println!(
            "{:>9} {:>9} {:>9} {:>9} {:>9} {:>6} {:>6}  ({})",
            "block",
            "gas",
            "zvm us",
            "State us",
            "journal",
            "ratio",
            "ratio",
            peer::NAME
        );
    }
    for m in all {
        let (zvm, state, journal) = (micros(m.zvm), micros(m.state), micros(m.journal));
        if is_json {
            println!(
                "{}",
                json!({ "block": m.number, "gas_used": m.gas, "zvm_us": zvm, "revm_state_us": state,
                    "revm_journal_us": journal })
            );
        } else {
            println!(
                "{:>9} {:>9} {zvm:>9.1} {state:>9.1} {journal:>9.1} {:>6.3} {:>6.3}",
                m.number,
                m.gas,
                zvm / state,
                zvm / journal
            );
        }
    }
    let sum = |of: fn(&Measured) -> Duration| all.iter().map(of).sum::<Duration>().as_secs_f64();
    let (zvm, state, journal) = (sum(|m| m.zvm), sum(|m| m.state), sum(|m| m.journal));
    let mgas = all.iter().map(|m| m.gas).sum::<u64>() as f64 / 1e6;
    if is_json {
        println!(
            "{}",
            json!({ "blocks": all.len(), "zvm_mgas_per_s": mgas / zvm, "of_state": zvm / state,
                "of_journal": zvm / journal })
        );
    } else {
        println!(
            "{} blocks, {:.1} Mgas/s: {:.3} of the time of {} on its State, {:.3} on its journal",
            all.len(),
            mgas / zvm,
            zvm / state,
            peer::NAME,
            zvm / journal
        );
    }
}
