//! Secrets that a configuration names and never holds.

use std::{
    env,
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use zeroize::Zeroizing;
use zvm_core::DbError;

use crate::disk::io_error;

/// Longest file of a secret to read. A longer one would be no better.
const SECRET_BYTES_MAX: u64 = 64 << 10;

/// Where a secret that is one line of text is to be found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretSource {
    /// A file; the end of its line is not part of the secret.
    File(PathBuf),
    /// An environment variable.
    Env(String),
}

impl SecretSource {
    /// Fetches the secret. `what` it is, such as `passphrase`, is for errors.
    pub fn read(&self, what: &'static str) -> Result<Zeroizing<String>, DbError> {
        match self {
            Self::File(path) => from_file(path),
            Self::Env(name) => from_env(name, what),
        }
    }
}

fn from_file(path: &Path) -> Result<Zeroizing<String>, DbError> {
    let fault = || io_error("read the secret", path);
    let invalid = |what: String| io::Error::new(io::ErrorKind::InvalidData, what);
    // With room for all of it and more, or a part would stay where the string grew from.
    let room = SECRET_BYTES_MAX as usize + 2;
    let mut text = Zeroizing::new(String::with_capacity(room));
    File::open(path)
        .and_then(|file| file.take(SECRET_BYTES_MAX + 1).read_to_string(&mut text))
        .map_err(fault())?;
    if text.len() as u64 > SECRET_BYTES_MAX {
        return Err(fault()(invalid(format!("longer than {SECRET_BYTES_MAX} bytes"))));
    }
    // `lines` would split a secret in two where `\r` is part of it.
    let line = text.strip_suffix('\n').unwrap_or(&text);
    let line = line.strip_suffix('\r').unwrap_or(line);
    if line.is_empty() {
        return Err(fault()(invalid("empty".to_owned())));
    }
    Ok(Zeroizing::new(line.to_owned()))
}

fn from_env(name: &str, what: &'static str) -> Result<Zeroizing<String>, DbError> {
    let text = env::var(name).ok().filter(|text| !text.is_empty());
    text.map(Zeroizing::new).ok_or_else(|| DbError::Config {
        config: format!("{what}-env={name}"),
        what: format!("no {what} in this environment variable"),
    })
}
