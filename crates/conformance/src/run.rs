//! A run: files are read by one thread and executed by the others.

use std::{
    any::Any,
    io::Write,
    num::NonZeroUsize,
    ops::Range,
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use regex::Regex;
use zvm_core::{B256, SpecId};
use zvm_evm::{
    Evm, Executed, NoTracer,
    tracers::{Eip3155, Summary},
};

use crate::{
    Failure, FixtureError, Report, Shape, Unit, UsageError, Verdict, basic, blocks,
    queue::Queue,
    shape,
    source::{self, File, Item},
    state,
    suite::Suite,
    transaction, vm,
};

/// What to run and how.
#[derive(Default)]
pub struct Options {
    /// Which tests.
    pub suite: Suite,
    /// Only this hard fork.
    pub spec: Option<SpecId>,
    /// Only cases whose name or file matches.
    pub filter: Option<Regex>,
    /// Worker threads; by default one per core. A trace needs one, or its lines would mix.
    pub jobs: Option<NonZeroUsize>,
    /// Keeps a record of every unit in the report.
    pub keep_units: bool,
    /// Where to write an EIP-3155 trace of everything that is run.
    pub trace: Option<Mutex<Box<dyn Write + Send>>>,
}

/// Counters to watch a run by.
#[derive(Debug, Default)]
pub struct Progress {
    files: AtomicU64,
    units: AtomicU64,
    failed: AtomicU64,
}

impl Progress {
    /// Files that were taken up.
    pub fn files(&self) -> u64 {
        self.files.load(Ordering::Relaxed)
    }

    /// Units that were run or skipped.
    pub fn units(&self) -> u64 {
        self.units.load(Ordering::Relaxed)
    }

    /// Failures so far.
    pub fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }
}

/// Runs every test of the suite below `paths`: folders, JSON files, `.tar.zst` archives.
///
/// Files of other shapes are counted and passed over. A file that cannot be read is a failure of
/// the report; only a run that cannot begin is an error.
pub fn run(
    paths: &[PathBuf],
    options: &Options,
    progress: &Progress,
) -> Result<Report, UsageError> {
    source::check(paths)?;
    let jobs = match (&options.trace, options.jobs) {
        (Some(_), _) => 1,
        (None, Some(jobs)) => jobs.get(),
        (None, None) => thread::available_parallelism().map_or(1, NonZeroUsize::get),
    };
    let queue = Queue::new();
    let total = Mutex::new(Report { suite: options.suite, ..Report::default() });
    thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                let mut worker = Worker {
                    options,
                    progress,
                    queue: &queue,
                    evm: Evm::new(),
                    report: Report::default(),
                };
                worker.work();
                total.lock().unwrap_or_else(PoisonError::into_inner).merge(worker.report);
            });
        }
        source::read_all(paths, &mut |item| {
            let bytes = item.as_ref().map_or(0, |file| file.text.len());
            queue.push(Job::Read(item), bytes);
            true
        });
        queue.close();
    });
    let mut report = total.into_inner().unwrap_or_else(PoisonError::into_inner);
    report.sort();
    Ok(report)
}

/// Post entries that are given away at once.
const PART: usize = 16;

enum Job {
    /// A file as the reader found it.
    Read(Item),
    /// Some units of a case.
    Part(Arc<Case>, Range<usize>),
}

/// A case in the hands of one or more workers.
struct Case {
    file: Arc<File>,
    name: String,
    /// Its JSON in the text of the file.
    text: Range<usize>,
    kind: Kind,
}

enum Kind {
    State(state::Case),
    Vm(vm::Case),
    Transaction(transaction::Case),
    Blocks(Box<blocks::Case>),
    Basic(basic::Case),
}

impl Case {
    fn len(&self) -> usize {
        match &self.kind {
            Kind::State(case) => case.len(),
            Kind::Transaction(case) => case.len(),
            Kind::Vm(_) | Kind::Blocks(_) => 1,
            Kind::Basic(case) => case.len(),
        }
    }
}

/// What one unit came to.
enum Outcome {
    Passed,
    Skipped(&'static str),
    Deselected,
    Failed { what: String, details: Vec<String> },
}

struct Worker<'a> {
    options: &'a Options,
    progress: &'a Progress,
    queue: &'a Queue<Job>,
    evm: Evm,
    report: Report,
}

impl Worker<'_> {
    fn work(&mut self) {
        while let Some(job) = self.queue.take() {
            match job {
                Job::Read(Ok(file)) => {
                    self.progress.files.fetch_add(1, Ordering::Relaxed);
                    let file = Arc::new(file);
                    if let Err(error) = self.file(&file) {
                        self.unreadable(file.name.clone(), None, &error);
                    }
                }
                Job::Read(Err((name, error))) => self.unreadable(name, None, &error),
                Job::Part(case, part) => part.for_each(|unit| self.unit(&case, unit)),
            }
            self.queue.done();
        }
    }

    /// Records a file or case that is no fixture.
    fn unreadable(&mut self, file: String, test: Option<String>, error: &FixtureError) {
        let what = error.to_string();
        self.progress.failed.fetch_add(1, Ordering::Relaxed);
        if self.options.keep_units {
            self.report.units.push(Unit {
                file: file.clone(),
                name: test.clone().unwrap_or_default(),
                verdict: Verdict::Failed(what.clone()),
            });
        }
        let (fork, indexes, details) = (None, None, Vec::new());
        self.report.failures.push(Failure { file, test, fork, indexes, what, details });
    }

    fn pass_over(&mut self, file: &File, shape: Shape) {
        *self.report.passed_over.entry((file.group.clone(), shape)).or_default() += 1;
    }

    fn file(&mut self, file: &Arc<File>) -> Result<(), FixtureError> {
        let shape = Shape::detect(&file.text)?;
        if !self.options.suite.has(shape) {
            self.pass_over(file, shape);
            return Ok(());
        }
        let selects_file = self.selects(&file.name);
        for (name, text) in shape::split(shape, &file.text)? {
            let kind = match shape {
                Shape::Vm => vm::Case::parse(text, &file.text).map(Kind::Vm),
                Shape::Transaction => {
                    transaction::Case::parse(text, &file.text).map(Kind::Transaction)
                }
                Shape::Blockchain => {
                    blocks::Case::parse(text, &file.text).map(|case| Kind::Blocks(Box::new(case)))
                }
                Shape::Basic(family) => {
                    basic::Case::parse(family, text, &file.text, &file.name).map(Kind::Basic)
                }
                _ => state::Case::parse(text, &file.text).map(Kind::State),
            };
            let kind = match kind {
                Ok(kind) => kind,
                Err(_) if shape::is_comment(text) => {
                    self.pass_over(file, Shape::Other);
                    continue;
                }
                Err(error) => {
                    self.unreadable(file.name.clone(), Some(name), &error);
                    continue;
                }
            };
            let start = text.as_ptr() as usize - file.text.as_ptr() as usize;
            let is_selected = selects_file || self.selects(&name);
            let text = start..start + text.len();
            let case = Arc::new(Case { file: file.clone(), name, text, kind });
            if is_selected {
                self.case(&case);
            } else {
                self.report.deselected += case.len() as u64;
            }
        }
        Ok(())
    }

    fn selects(&self, name: &str) -> bool {
        self.options.filter.as_ref().is_none_or(|filter| filter.is_match(name))
    }

    /// Runs a case, giving parts of it away while other workers wait.
    fn case(&mut self, case: &Arc<Case>) {
        for start in (0..case.len()).step_by(PART) {
            let part = start..case.len().min(start + PART);
            if self.queue.is_hungry() {
                self.queue.give(Job::Part(case.clone(), part));
            } else {
                part.for_each(|unit| self.unit(case, unit));
            }
        }
    }

    fn unit(&mut self, case: &Case, unit: usize) {
        let outcome = catch_unwind(AssertUnwindSafe(|| self.execute(case, unit)));
        let outcome = outcome.unwrap_or_else(|payload| {
            // Its buffers may be in any state.
            self.evm = Evm::new();
            let what = format!("the machine panicked: {}", panic_message(payload.as_ref()));
            Outcome::Failed { what, details: Vec::new() }
        });
        self.progress.units.fetch_add(1, Ordering::Relaxed);
        let verdict = match outcome {
            Outcome::Deselected => {
                self.report.deselected += 1;
                return;
            }
            Outcome::Passed => {
                self.report.passed += 1;
                Verdict::Passed
            }
            Outcome::Skipped(reason) => {
                *self.report.skipped.entry(reason.to_owned()).or_default() += 1;
                Verdict::Skipped(reason.to_owned())
            }
            Outcome::Failed { what, mut details } => {
                self.progress.failed.fetch_add(1, Ordering::Relaxed);
                let (fork, indexes) = label(case, unit);
                let spec = fork.as_ref().map_or_else(String::new, |fork| format!(" --spec {fork}"));
                details.push(format!(
                    "trace: zvm {} '{}' --match '^{}$'{spec} --trace",
                    self.options.suite.command(),
                    case.file.source,
                    regex::escape(&case.name)
                ));
                let verdict = Verdict::Failed(what.clone());
                self.report.failures.push(Failure {
                    file: case.file.name.clone(),
                    test: Some(case.name.clone()),
                    fork,
                    indexes,
                    what,
                    details,
                });
                verdict
            }
        };
        if self.options.keep_units {
            let (fork, indexes) = label(case, unit);
            let name = [Some(case.name.clone()), fork, indexes];
            let name = name.into_iter().flatten().collect::<Vec<_>>().join(" ");
            self.report.units.push(Unit { file: case.file.name.clone(), name, verdict });
        }
    }

    fn execute(&mut self, case: &Case, unit: usize) -> Outcome {
        let spec = match &case.kind {
            Kind::State(state) => state.spec(unit),
            Kind::Vm(_) => Some(vm::SPEC),
            Kind::Transaction(case) => case.spec(unit),
            Kind::Blocks(blocks) => blocks.spec(),
            Kind::Basic(_) => None,
        };
        if self.options.spec.is_some_and(|only| Some(only) != spec) {
            return Outcome::Deselected;
        }
        match &case.kind {
            Kind::State(state) => {
                if let Some(reason) = state.skip_reason(unit) {
                    return Outcome::Skipped(reason);
                }
                let run = match &self.options.trace {
                    None => state.run(unit, &mut self.evm, &mut NoTracer),
                    Some(out) => traced(out, spec.unwrap_or_default(), |trace| {
                        let run = state.run(unit, &mut self.evm, trace)?;
                        let (root, passed) = (run.state_root, run.verdict.is_ok());
                        summarise(trace, run.executed.as_ref(), root, passed, spec);
                        Ok(run)
                    }),
                };
                let run = match run {
                    Ok(run) => run,
                    Err(what) => return Outcome::Failed { what, details: Vec::new() },
                };
                match &run.verdict {
                    Ok(()) => Outcome::Passed,
                    Err(what) => Outcome::Failed {
                        what: what.clone(),
                        details: state.explain(unit, &run, &case.file.text[case.text.clone()]),
                    },
                }
            }
            Kind::Vm(vm) => {
                let run = match &self.options.trace {
                    None => vm.run(&mut self.evm, &mut NoTracer),
                    Some(out) => traced(out, vm::SPEC, |trace| {
                        let (executed, faults) = vm.run(&mut self.evm, trace)?;
                        let root = vm.root_after(&executed.diff);
                        summarise(trace, Some(&executed), root, faults.is_empty(), Some(vm::SPEC));
                        Ok((executed, faults))
                    }),
                };
                let mut faults = match run {
                    Ok((_, faults)) => faults,
                    Err(what) => vec![what],
                };
                if faults.is_empty() {
                    return Outcome::Passed;
                }
                let what = faults.remove(0);
                Outcome::Failed { what, details: faults }
            }
            Kind::Basic(case) => match case.run(unit) {
                Ok(()) => Outcome::Passed,
                Err(what) => Outcome::Failed { what, details: Vec::new() },
            },
            Kind::Transaction(case) => match case.run(unit) {
                Ok(()) => Outcome::Passed,
                Err(what) => Outcome::Failed { what, details: Vec::new() },
            },
            Kind::Blocks(blocks) => {
                if let Some(reason) = blocks.skip_reason() {
                    return Outcome::Skipped(reason);
                }
                let run = match &self.options.trace {
                    None => blocks.run(&mut NoTracer),
                    Some(out) => {
                        traced(out, spec.unwrap_or_default(), |trace| Ok(blocks.run(trace)))
                            .unwrap_or_else(|what| Err(what.into()))
                    }
                };
                match run {
                    Ok(()) => Outcome::Passed,
                    Err(blocks::Fault { what, details }) => Outcome::Failed { what, details },
                }
            }
        }
    }
}

type Trace<'a> = Eip3155<&'a mut (dyn Write + Send)>;

/// Runs `body` with a tracer that writes to `out`.
fn traced<R>(
    out: &Mutex<Box<dyn Write + Send>>,
    spec: SpecId,
    body: impl FnOnce(&mut Trace<'_>) -> Result<R, String>,
) -> Result<R, String> {
    let mut out = out.lock().unwrap_or_else(PoisonError::into_inner);
    let mut trace: Trace<'_> = Eip3155::new(&mut **out, spec);
    let result = body(&mut trace)?;
    trace.finish().map_err(|error| format!("cannot write the trace: {error}"))?;
    Ok(result)
}

/// Closes the trace of a unit with the line EIP-3155 asks for.
fn summarise(
    trace: &mut Trace<'_>,
    executed: Option<&Executed>,
    state_root: B256,
    passed: bool,
    spec: Option<SpecId>,
) {
    let summary = executed.map(Summary::of).unwrap_or_default();
    trace.summary(&Summary {
        state_root: Some(state_root),
        pass: Some(passed),
        fork: spec,
        ..summary
    });
}

/// Hard fork and indexes of a unit, for people.
fn label(case: &Case, unit: usize) -> (Option<String>, Option<String>) {
    let fork = match &case.kind {
        Kind::State(state) => {
            let (fork, indexes) = state.label(unit);
            return (Some(fork.to_owned()), Some(indexes.to_string()));
        }
        Kind::Basic(case) => return (None, case.label(unit).map(str::to_owned)),
        Kind::Vm(_) => vm::SPEC.name(),
        Kind::Transaction(case) => case.label(unit),
        Kind::Blocks(blocks) => blocks.label(),
    };
    (Some(fork.to_owned()), None)
}

fn panic_message(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("no message")
}
