//! `zvm statetest`: the official tests.

use std::{
    io::{self, IsTerminal, Write},
    num::NonZeroUsize,
    path::PathBuf,
    process::ExitCode,
    sync::{Mutex, mpsc},
    thread,
    time::Duration,
};

use anyhow::Context;
use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use regex::Regex;
use zvm::SpecId;
use zvm_conformance::{Options, Progress, Report, Suite};

use crate::failure::usage;

/// Executes official tests.
#[derive(Debug, Args)]
pub(crate) struct SuiteArgs {
    /// Folders, JSON files and .tar.zst archives.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Only this hard fork, such as Cancun.
    #[arg(long, value_name = "FORK")]
    spec: Option<SpecId>,
    /// Only cases whose name or file matches.
    #[arg(long = "match", value_name = "REGEX")]
    filter: Option<Regex>,
    /// Worker threads [default: one per core].
    #[arg(long, value_name = "N")]
    jobs: Option<NonZeroUsize>,
    /// Writes an EIP-3155 trace of the cases run to standard error, one case after the other.
    #[arg(long)]
    trace: bool,
    /// Prints JSON lines; the last one holds the totals.
    #[arg(long)]
    json: bool,
    /// Writes a JUnit report.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
}

/// Runs the tests: 0 if all passed, 1 if any failed or none ran, 2 for wrong use.
pub(crate) fn run(suite: Suite, args: SuiteArgs) -> anyhow::Result<ExitCode> {
    let options = Options {
        suite,
        spec: args.spec,
        filter: args.filter,
        jobs: args.jobs,
        keep_units: args.junit.is_some(),
        trace: args.trace.then(|| Mutex::new(Box::new(io::BufWriter::new(io::stderr())) as _)),
    };
    let shows_progress = io::stderr().is_terminal() && !args.trace;
    let report =
        watched(&args.paths, &options, shows_progress).map_err(|error| usage(error.to_string()))?;
    if let Some(path) = &args.junit {
        std::fs::write(path, report.to_junit())
            .with_context(|| format!("{}: cannot write the JUnit report", path.display()))?;
    }
    let text = if args.json { report.to_json_lines() } else { report.to_string() };
    io::stdout().write_all(text.as_bytes()).context("cannot write the report")?;
    if report.total() == 0 {
        anyhow::bail!("no {} test in {}", suite.name(), shown(&args.paths));
    }
    Ok(if report.is_success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs the tests with a bar of progress beside them.
fn watched(
    paths: &[PathBuf],
    options: &Options,
    shows_progress: bool,
) -> Result<Report, zvm_conformance::UsageError> {
    let progress = Progress::default();
    let (finished, wait) = mpsc::channel::<()>();
    thread::scope(|scope| {
        if shows_progress {
            let progress = &progress;
            scope.spawn(move || show(progress, &wait));
        }
        let report = zvm_conformance::run(paths, options, &progress);
        drop(finished);
        report
    })
}

/// Draws the counters until the other end of `wait` is dropped.
fn show(progress: &Progress, wait: &mpsc::Receiver<()>) {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    // A template that does not parse costs the looks of the bar, not the run.
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} ({elapsed})") {
        bar.set_style(style);
    }
    while let Err(mpsc::RecvTimeoutError::Timeout) = wait.recv_timeout(Duration::from_millis(100)) {
        bar.set_message(format!(
            "{} entries in {} files, {} failed",
            progress.units(),
            progress.files(),
            progress.failed()
        ));
        bar.tick();
    }
    bar.finish_and_clear();
}

fn shown(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}
