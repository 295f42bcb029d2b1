//! Recordings as files.

use std::{fs::File, io::Read as _, path::Path};

use zvm_core::DbError;
use zvm_state::{
    disk::{io_error, write_whole},
    kv::Durability,
};

use super::{
    Recording, RecordingError,
    format::{MAGIC, VERSION_MAX},
};

/// The largest file that is read as a recording. A million slots with their proofs are below it.
const RECORDING_BYTES_MAX: u64 = 4 << 30;

impl Recording {
    /// Reads a file. [`DbError::Corrupt`] names what is wrong with it, and where.
    pub fn read(path: &Path) -> Result<Self, DbError> {
        let fault = || io_error("read the recording", path);
        // A device has no length before it is read, and no end maybe.
        let mut file = File::open(path).map_err(fault())?.take(RECORDING_BYTES_MAX + 1);
        let mut bytes = Vec::new();
        file.by_ref().take(MAGIC.len() as u64).read_to_end(&mut bytes).map_err(fault())?;
        if bytes == MAGIC {
            file.read_to_end(&mut bytes).map_err(fault())?;
        }
        if bytes.len() as u64 > RECORDING_BYTES_MAX {
            let what = format!("too long, expected {RECORDING_BYTES_MAX} bytes at most");
            return Err(DbError::Corrupt { path: path.to_owned(), what });
        }
        Self::decode(&bytes).map_err(|error| match error {
            RecordingError::Version { found } if found > VERSION_MAX => {
                let (found, known) = (found.into(), VERSION_MAX.into());
                DbError::NewerFormat { path: path.to_owned(), found, known }
            }
            error => DbError::Corrupt { path: path.to_owned(), what: error.to_string() },
        })
    }

    /// Writes a file, which has the old content or the new one whatever happens meanwhile.
    pub fn write(&self, path: &Path) -> Result<(), DbError> {
        write_whole(path, &self.encode(), Durability::Synced)
    }
}
