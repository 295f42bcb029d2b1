//! `zvm bench`: how long the transactions of state tests take.

use std::{path::PathBuf, process::ExitCode, time::Duration};

use anyhow::bail;
use clap::Args;
use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;
use zvm::{B256, SpecId, keccak256};
use zvm_conformance::{Workload, WorkloadError, workloads};
use zvm_evm::{Evm, Executed, NoTracer, Outcome};

use crate::{failure::usage, output::Output};

#[derive(Debug, Args)]
pub(crate) struct BenchArgs {
    /// State tests: JSON files, folders of them, or .tar.zst archives
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Measure each case for at least this long, in milliseconds of thread CPU time
    #[arg(long, default_value_t = 500)]
    min_ms: u64,
    /// Accept cases whose state root or logs are not those of the file
    #[arg(long)]
    no_check: bool,
    /// Print one JSON object per case
    #[arg(long)]
    json: bool,
}

/// One line of the result. The order of the fields is that of the JSON.
#[derive(Debug, Serialize)]
struct Line {
    workload: String,
    spec: SpecId,
    gas_used: u64,
    status: &'static str,
    output_keccak: B256,
    runs: u64,
    min_us: f64,
    median_us: f64,
    mgas_per_s: f64,
}

pub(crate) fn run(args: &BenchArgs) -> anyhow::Result<ExitCode> {
    let found = workloads(&args.files).map_err(|error| match error {
        WorkloadError::Usage(error) => usage(error.to_string()),
        error => error.into(),
    })?;
    for (name, why) in &found.left_out {
        eprintln!("left out: {name}: {why}");
    }
    if found.ready.is_empty() {
        anyhow::bail!("nothing to measure: no state test in what was named");
    }
    let mut out = Output::stdout();
    if !args.json {
        out.line(format!(
            "{:>12} {:>11} {:>11} {:>9}  {:<8} workload",
            "gas", "min us", "median us", "Mgas/s", "status"
        ))?;
    }
    for workload in &found.ready {
        let line = measure(workload, args)?;
        if args.json {
            out.line(serde_json::to_string(&line)?)?;
        } else {
            out.line(format!(
                "{:>12} {:>11.2} {:>11.2} {:>9.0}  {:<8} {}",
                line.gas_used,
                line.min_us,
                line.median_us,
                line.mgas_per_s,
                line.status,
                line.workload
            ))?;
        }
    }
    out.finish()?;
    Ok(ExitCode::SUCCESS)
}

/// Runs one case until the time is up.
fn measure(workload: &Workload, args: &BenchArgs) -> anyhow::Result<Line> {
    let mut evm = Evm::new();
    let mut execute = || {
        evm.execute(
            &workload.transaction,
            &workload.block,
            &workload.config,
            workload.database(),
            &mut NoTracer,
        )
    };
    let first = match execute() {
        Ok(executed) => executed,
        Err(error) => bail!("{}: {error}", workload.name),
    };
    if !args.no_check
        && let Err(what) = workload.check(&first)
    {
        bail!("{}: {what} (--no-check accepts it)", workload.name);
    }
    // Code is decoded once it has run for a while: that belongs to the past of a warm cache.
    let time = Duration::from_millis(args.min_ms);
    let mut batch = |runs: usize| {
        let mut results = Vec::with_capacity(runs);
        let start = thread_time();
        for _ in 0..runs {
            results.push(execute());
        }
        // The state was never written, so freeing the results is all the reset there is.
        thread_time() - start
    };
    let (mut runs, mut warm_up) = (0, Duration::ZERO);
    while runs < WARM_UP_RUNS && warm_up < time {
        warm_up += batch(1);
        runs += 1;
    }
    let per_run = batch(1).max(Duration::from_nanos(1));
    let size = (BATCH_TIME.as_nanos() / per_run.as_nanos()).clamp(1, 64) as usize;
    let (mut spent, mut samples) = (Duration::ZERO, Vec::new());
    while spent < time || samples.len() < SAMPLES_MIN {
        let sample = batch(size);
        spent += sample;
        samples.push(micros(sample) / size as f64);
    }
    samples.sort_unstable_by(f64::total_cmp);
    let min_us = samples[0];
    Ok(Line {
        workload: workload.name.clone(),
        spec: workload.config.spec(),
        gas_used: first.gas_used,
        status: status(&first),
        output_keccak: keccak256(&first.output),
        runs: (samples.len() * size) as u64,
        min_us: round(min_us),
        median_us: round(samples[samples.len() / 2]),
        mgas_per_s: round(first.gas_used as f64 / min_us),
    })
}

/// More than enough for any code to be decoded.
const WARM_UP_RUNS: u32 = 1_000;
/// For a minimum and a median to mean something.
const SAMPLES_MIN: usize = 5;
/// A batch of this length does not notice the clock, which takes about half a microsecond.
const BATCH_TIME: Duration = Duration::from_micros(200);

fn status(executed: &Executed) -> &'static str {
    match executed.outcome {
        Outcome::Success(_) => "success",
        Outcome::Revert => "revert",
        Outcome::Halt(_) => "halt",
    }
}

/// CPU time this thread has had, which a busy machine disturbs least.
fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)
}

fn micros(time: Duration) -> f64 {
    time.as_nanos() as f64 / 1e3
}

/// To a thousandth.
fn round(number: f64) -> f64 {
    (number * 1e3).round() / 1e3
}
