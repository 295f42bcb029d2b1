//! How a failure ends the program: one line on standard error, and an exit code.

use std::{fmt, io, process::ExitCode};

use clap::error::{ContextKind, ContextValue, ErrorKind};

/// Exit code where the thing itself failed.
pub(crate) const FAILED: u8 = 1;
/// Exit code of wrong use.
const WRONG_USE: u8 = 2;

/// Wrong use, found after the arguments were parsed: names the argument or file and what it should
/// have been.
#[derive(Debug)]
pub(crate) struct Usage(pub(crate) String);

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}

/// An error of wrong use.
pub(crate) fn usage(what: impl Into<String>) -> anyhow::Error {
    Usage(what.into()).into()
}

/// Prints `error` in one line and chooses the exit code.
pub(crate) fn report(error: &anyhow::Error) -> ExitCode {
    // Whoever reads our output has seen enough (`zvm … | head`); that is no failure.
    let is_closed_pipe = |cause: &(dyn std::error::Error + 'static)| {
        cause.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe)
    };
    if error.chain().any(is_closed_pipe) {
        return ExitCode::SUCCESS;
    }
    print_line(&chain(error));
    let is_usage = error.chain().any(|cause| cause.is::<Usage>());
    ExitCode::from(if is_usage { WRONG_USE } else { FAILED })
}

/// The messages of an error and its causes, without repeating a cause that its error names.
fn chain(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain() {
        let message = cause.to_string();
        if text.is_empty() {
            text = message;
        } else if !text.contains(&message) {
            text = format!("{text}: {message}");
        }
    }
    text
}

/// Prints what the argument parser has to say. Faults take one line; help and version are no errors.
pub(crate) fn report_arguments(error: &clap::Error) -> ExitCode {
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        _ => None,
    };
    match (error.kind(), text(ContextKind::InvalidArg), std::error::Error::source(error)) {
        (ErrorKind::ValueValidation, Some(argument), Some(source)) => {
            // `--calldata <HEX>`: the placeholder says nothing here.
            let name = argument.split_once(' ').map_or(argument, |(name, _)| name);
            print_line(&format!("{name}: {source}"));
            ExitCode::from(WRONG_USE)
        }
        (
            ErrorKind::DisplayHelp
            | ErrorKind::DisplayVersion
            | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand,
            ..,
        ) => {
            // Fails only where the terminal is gone.
            let _ = error.print();
            u8::try_from(error.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from)
        }
        _ => {
            // What comes behind the fault is how to use the command, in several lines.
            let text = error.render().to_string();
            let fault = text.split("\n\nUsage:").next().unwrap_or_default();
            let fault = fault.split("\n\nFor more information").next().unwrap_or_default();
            print_line(&format!("{} (try --help)", fault.trim_start_matches("error: ").trim_end()));
            ExitCode::from(WRONG_USE)
        }
    }
}

pub(crate) fn print_line(message: &str) {
    crate::progress::end();
    // Whatever was read from files and arguments is in there, too: no second line, no escape code.
    let message = message.split_whitespace().collect::<Vec<_>>().join(" ");
    let message = message.replace(char::is_control, "\u{fffd}");
    // Not `eprintln!`: it panics where standard error is closed.
    let _ = io::Write::write_all(&mut io::stderr(), format!("zvm: {message}\n").as_bytes());
}
