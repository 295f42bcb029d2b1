//! Running another program as one step of a command.

use std::{
    ffi::OsStr,
    fmt, io,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

/// Why a command did not finish.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The words were not understood.
    Usage(String),
    /// Something this machine lacks, with the way to get it.
    Missing(String),
    /// A program was started and failed; it has said why.
    Step { line: String, code: Option<i32> },
    /// A program could not be started.
    Start { line: String, source: io::Error },
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(what) | Self::Missing(what) => f.write_str(what),
            Self::Step { line, code: Some(code) } => write!(f, "`{line}` failed with code {code}"),
            Self::Step { line, code: None } => write!(f, "`{line}` was ended by a signal"),
            Self::Start { line, source } => write!(f, "cannot start `{line}`: {source}"),
        }
    }
}

impl Failure {
    /// The code of the step that failed; 2 for wrong use; 1 for all else.
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Usage(_) => ExitCode::from(2),
            Self::Step { code: Some(code), .. } => ExitCode::from(u8::try_from(*code).unwrap_or(1)),
            _ => ExitCode::FAILURE,
        }
    }
}

/// `cargo` with `args`: the one that runs this program.
pub(crate) fn cargo<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(args);
    command
}

/// Prints the command line, runs it with this program's terminal, and waits.
pub(crate) fn run(command: &mut Command) -> Result<(), Failure> {
    let line = line(command);
    eprintln!("$ {line}");
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(Failure::Step { line, code: status.code() }),
        Err(source) => Err(Failure::Start { line, source }),
    }
}

/// Whether the program starts and succeeds; its output is thrown away.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}

/// The top of the repository.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask is a folder of the repository")
}

/// The folder of official fixtures, if there is one on this machine.
pub(crate) fn fixtures() -> Option<PathBuf> {
    let path = match std::env::var_os("ZVM_FIXTURES") {
        Some(path) => PathBuf::from(path),
        None => root().join("../shared/fixtures"),
    };
    path.is_dir().then_some(path)
}

/// The command as one would type it.
fn line(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or_default();
    let mut line = program.to_string_lossy().into_owned();
    for arg in command.get_args() {
        line.push(' ');
        line.push_str(&arg.to_string_lossy());
    }
    line
}
