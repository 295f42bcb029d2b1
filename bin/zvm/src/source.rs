//! Where inputs come from: an argument, a file, standard input.

use std::{fs::File, io::Read, path::Path};

use anyhow::Context;
use zvm::Bytes;

use crate::{artifact::Artifact, failure::usage, value};

/// Longest file to read. Far beyond any artifact, well below what would trouble a machine.
const INPUT_BYTES_MAX: u64 = 32 << 20;

/// An input with the name to blame it by.
pub(crate) struct Source {
    /// The file, or `standard input`, or the argument.
    pub(crate) name: String,
    /// What is in it.
    pub(crate) text: String,
}

impl Source {
    /// Reads a text file of bounded length.
    pub(crate) fn file(path: &Path) -> anyhow::Result<Self> {
        let name = path.display().to_string();
        let file = File::open(path).with_context(|| format!("{name}: cannot open"))?;
        Self::read(name, file)
    }

    /// Reads a text file of bounded length, or standard input for `-`.
    pub(crate) fn path(path: &Path) -> anyhow::Result<Self> {
        match path.as_os_str() == "-" {
            true => Self::read("standard input".to_owned(), std::io::stdin().lock()),
            false => Self::file(path),
        }
    }

    fn read(name: String, from: impl Read) -> anyhow::Result<Self> {
        let mut bytes = Vec::new();
        let mut bounded = from.take(INPUT_BYTES_MAX + 1);
        bounded.read_to_end(&mut bytes).with_context(|| format!("{name}: cannot read"))?;
        if bytes.len() as u64 > INPUT_BYTES_MAX {
            return Err(usage(format!(
                "{name}: too long, expected at most {INPUT_BYTES_MAX} bytes"
            )));
        }
        let text = String::from_utf8(bytes).map_err(|error| {
            let at = error.utf8_error().valid_up_to();
            usage(format!("{name}: byte {at} is no text (UTF-8); expected hex or JSON"))
        })?;
        Ok(Self { name, text })
    }

    /// Reads what an argument stands for: `-`, `@FILE`, an existing file, or itself.
    pub(crate) fn argument(name: &str, text: &str) -> anyhow::Result<Self> {
        match text.strip_prefix('@') {
            _ if text == "-" => Self::read("standard input".to_owned(), std::io::stdin().lock()),
            Some(path) => Self::file(path.as_ref()),
            None if !text.starts_with("0x") && Path::new(text).is_file() => {
                Self::file(text.as_ref())
            }
            None => Ok(Self { name: name.to_owned(), text: text.to_owned() }),
        }
    }
}

/// Code given on the command line.
pub(crate) enum Code {
    /// Hex digits.
    Hex(Bytes),
    /// A compiler's artifact.
    Artifact(Artifact),
}

impl Code {
    /// Reads hex, an artifact, or a file of either.
    pub(crate) fn read(argument: &str, text: &str) -> anyhow::Result<Self> {
        let source = Source::argument(argument, text)?;
        let text = source.text.trim();
        if text.starts_with(['{', '[']) {
            return Ok(Self::Artifact(Artifact::parse(&source)?));
        }
        let is_file = source.name != argument;
        value::hex(text).map(Self::Hex).map_err(|error| {
            let hint = if is_file { "" } else { "; or is it a missing file?" };
            usage(format!("{}: {error}{hint}", source.name))
        })
    }

    /// The code as it stands in an account.
    pub(crate) fn into_runtime(self) -> anyhow::Result<Bytes> {
        match self {
            Self::Hex(code) => Ok(code),
            Self::Artifact(artifact) => artifact.runtime(),
        }
    }
}
