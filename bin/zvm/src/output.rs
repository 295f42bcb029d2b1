//! Writing results to standard output.

use std::io::{self, BufWriter, StdoutLock, Write};

use serde_json::Value;

/// Standard output, buffered. A closed pipe is an error to pass up, not a panic.
pub(crate) struct Output(BufWriter<StdoutLock<'static>>);

impl Output {
    pub(crate) fn stdout() -> Self {
        crate::progress::end();
        Self(BufWriter::new(io::stdout().lock()))
    }

    /// Writes a line.
    pub(crate) fn line(&mut self, text: impl AsRef<str>) -> io::Result<()> {
        self.bytes(text.as_ref().as_bytes())?;
        self.bytes(b"\n")
    }

    /// Writes `name` and `text` in two columns.
    pub(crate) fn field(&mut self, name: &str, text: impl AsRef<str>) -> io::Result<()> {
        self.line(format!("{name:<14} {}", text.as_ref()))
    }

    /// Writes one JSON value in one line.
    pub(crate) fn json(&mut self, value: &Value) -> io::Result<()> {
        self.line(value.to_string())
    }

    /// Writes bytes as they are.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes).map_err(blame)
    }

    /// Makes sure that all is written.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        self.0.flush().map_err(blame)
    }
}

/// Says which file it was; the kind stays, a closed pipe is known by it.
fn blame(error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("standard output: cannot write: {error}"))
}
