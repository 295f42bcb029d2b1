//! Watching an execution: the tracers behind `--trace`, `--call-tree` and `--profile`.

use std::{
    fs::File,
    io::{BufWriter, Write},
    path::{Path, PathBuf},
};

use anyhow::Context;
use clap::Args;
use zvm::{
    Executed, SpecId,
    tracers::{CallTracer, Eip3155, GasProfile, Summary, flame_graph},
};

#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Watching")]
pub(crate) struct WatchArgs {
    /// Write every opcode as a JSON line (EIP-3155), to standard error or to a file
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true)]
    trace: Option<Option<PathBuf>>,
    /// Show who called whom
    #[arg(long)]
    call_tree: bool,
    /// Write where the gas went: a flame graph as .svg, else folded stacks as text
    #[arg(long, value_name = "FILE")]
    profile: Option<PathBuf>,
}

/// The tracers asked for, as one.
pub(crate) type Watch =
    (Option<Eip3155<BufWriter<Box<dyn Write>>>>, (Option<CallTracer>, Option<GasProfile>));

impl WatchArgs {
    /// For commands that show the call tree unless told otherwise.
    pub(crate) fn show_calls(&mut self, is_shown: bool) {
        self.call_tree = is_shown;
    }

    /// The tracers asked for; `None` if that is none, so that code runs in the fast loop.
    pub(crate) fn start(&self, spec: SpecId) -> anyhow::Result<Option<Watch>> {
        let out: Option<Box<dyn Write>> = match &self.trace {
            None => None,
            Some(None) => {
                crate::progress::end();
                Some(Box::new(std::io::stderr()))
            }
            Some(Some(path)) => Some(Box::new(create(path)?)),
        };
        let trace = out.map(|out| Eip3155::new(BufWriter::new(out), spec));
        let calls = self.call_tree.then(CallTracer::new);
        let profile = self.profile.as_ref().map(|_| GasProfile::new());
        let is_on = trace.is_some() || calls.is_some() || profile.is_some();
        Ok(is_on.then_some((trace, (calls, profile))))
    }

    /// Writes what goes into files, and hands back the call tree.
    pub(crate) fn finish(
        &self,
        watch: Option<Watch>,
        executed: &Executed,
    ) -> anyhow::Result<Option<CallTracer>> {
        let Some((trace, (calls, profile))) = watch else { return Ok(None) };
        if let Some(mut trace) = trace {
            trace.summary(&Summary::of(executed));
            trace.finish().and_then(|mut out| out.flush()).context("cannot write the trace")?;
        }
        if let (Some(path), Some(profile)) = (&self.profile, &profile) {
            write_profile(path, profile)?;
        }
        Ok(calls)
    }
}

/// Writes a flame graph, or folded stacks where the file is no `.svg`.
pub(crate) fn write_profile(path: &Path, profile: &GasProfile) -> anyhow::Result<()> {
    let is_svg = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("svg"));
    let text = if is_svg { flame_graph(profile, "gas") } else { profile.folded() };
    let write = create(path)?.write_all(text.as_bytes());
    write.with_context(|| format!("{}: cannot write", path.display()))
}

fn create(path: &Path) -> anyhow::Result<File> {
    File::create(path).with_context(|| format!("{}: cannot create", path.display()))
}
