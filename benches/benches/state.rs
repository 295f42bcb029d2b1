//! Stores of a large state side by side; `zvm_benches::state` says what is measured.

use std::{collections::BTreeMap, path::PathBuf, process::ExitCode};

use zvm_benches::state::{
    BlockFigures, Failure, Figures, Kind, Workload, print_series, print_table, stages::Bench,
};
use zvm_core::B256;

/// That of the command `zvm`, for all contenders.
#[cfg(feature = "fast")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const USAGE: &str = "\
usage: cargo bench -p zvm-benches [--features nomt,rocksdb] --bench state -- [OPTIONS]
  --accounts N        accounts before the first block (1000000)
  --series N,N,...    one measurement for each of these sizes instead
  --blocks N          blocks to measure (100)
  --passes N          measures that many blocks so often, by turns, and keeps the cheapest pass (1)
  --engines A,B,...   contenders, all in this build by default
  --folder PATH       where the stores are and stay: another run goes on with them
  --json              one JSON line for each contender and size";

struct Options {
    sizes: Vec<u64>,
    blocks: u64,
    passes: u32,
    kinds: Vec<Kind>,
    folder: Option<PathBuf>,
    is_json: bool,
    /// Set in a child process.
    stage: Option<String>,
}

fn main() -> ExitCode {
    let options = match options(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(why) => {
            eprintln!("{why}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match run(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

fn options(mut arguments: impl Iterator<Item = String>) -> Result<Options, Failure> {
    let mut options = Options {
        sizes: vec![1_000_000],
        blocks: 100,
        passes: 1,
        kinds: Kind::ALL.to_vec(),
        folder: None,
        is_json: false,
        stage: None,
    };
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or_else(|| format!("{argument} needs a value"));
        match argument.as_str() {
            // Cargo says so to every bench.
            "--bench" => {}
            "--accounts" => options.sizes = vec![value()?.parse()?],
            "--series" => {
                options.sizes = value()?.split(',').map(str::parse).collect::<Result<_, _>>()?;
            }
            "--blocks" => options.blocks = value()?.parse()?,
            "--passes" => options.passes = value()?.parse()?,
            "--engines" => {
                options.kinds = value()?.split(',').map(str::parse).collect::<Result<_, _>>()?;
            }
            "--folder" => options.folder = Some(value()?.into()),
            "--json" => options.is_json = true,
            "--stage" => options.stage = Some(value()?),
            _ => return Err(format!("unknown argument {argument:?}").into()),
        }
    }
    Ok(options)
}

fn run(options: Options) -> Result<(), Failure> {
    if let Options { stage: Some(stage), sizes, kinds, folder: Some(folder), blocks, .. } = &options
    {
        let workload = Workload { accounts: sizes[0] };
        let bench = Bench { kind: kinds[0], workload, folder: folder.clone() };
        println!("{}", bench.run(stage, *blocks)?);
        return Ok(());
    }
    let temporary = tempfile::tempdir()?;
    let folder = options.folder.as_deref().unwrap_or(temporary.path());
    let mut series = Vec::new();
    for &accounts in &options.sizes {
        let workload = Workload { accounts };
        let bench = |&kind: &Kind| Bench {
            kind,
            workload,
            folder: folder.join(format!("{kind}-{accounts}")),
        };
        let benches: Vec<_> = options.kinds.iter().map(bench).collect();
        let all = measure(&benches, &options)?;
        if options.folder.is_none() {
            for bench in benches.iter().filter(|bench| bench.kind.is_stored()) {
                std::fs::remove_dir_all(&bench.folder)?;
            }
        }
        if options.is_json {
            for figures in &all {
                println!("{}", serde_json::to_string(figures)?);
            }
        } else {
            print_table(&all);
        }
        series.push(all);
    }
    if !options.is_json {
        print_series(&series);
    }
    Ok(())
}

/// All contenders at one size, by turns.
fn measure(benches: &[Bench], options: &Options) -> Result<Vec<Figures>, Failure> {
    let mut all = Vec::new();
    for bench in benches {
        all.push((bench.seed()?, None::<BlockFigures>));
    }
    let mut roots = BTreeMap::new();
    for _ in 0..options.passes.max(1) {
        for (bench, (_, best)) in benches.iter().zip(&mut all) {
            let found = bench.blocks(options.blocks)?;
            if bench.kind.has_ethereum_root() {
                compare(bench.kind, &found, &mut roots)?;
            }
            if best.as_ref().is_none_or(|best| found.cpu_us_per_leaf() < best.cpu_us_per_leaf()) {
                *best = Some(found);
            }
        }
    }
    let mut figures = Vec::new();
    for (bench, (seed, blocks)) in benches.iter().zip(all) {
        figures.push(Figures {
            contender: bench.kind.to_string(),
            accounts: bench.workload.accounts,
            seed,
            blocks: blocks.ok_or("no pass was made")?,
            reads: bench.reads()?,
        });
    }
    Ok(figures)
}

/// Checks that the roots in `found` are those that others had after the same blocks.
fn compare(
    kind: Kind,
    found: &BlockFigures,
    roots: &mut BTreeMap<u64, B256>,
) -> Result<(), Failure> {
    for (number, root) in (found.first..).zip(&found.roots) {
        let other = roots.entry(number).or_insert(*root);
        if other != root {
            return Err(
                format!("{kind}: root {root} after block {number}, expected {other}").into()
            );
        }
    }
    Ok(())
}
