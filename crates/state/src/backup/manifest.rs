//! What a backup says of itself, as JSON in one form.

use std::{
    fs::File,
    io::{Read, Write},
    path::{Component, Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use zvm_core::{B256, BlockId, keccak256};

use super::BackupError;
use crate::disk::io_error;

/// The file in the folder of a backup.
pub(crate) const FILE: &str = "manifest.json";

/// What the text says it is.
const FORMAT: &str = "zvm-backup";

/// Version of the form.
const VERSION: u32 = 1;

/// Longest text to read: a quarter of a million files.
const BYTES_MAX: u64 = 64 << 20;

/// What is in a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The engine of the store: `redb` or `rocksdb`.
    pub engine: String,
    /// Version of the layout of the store.
    pub store_format: u32,
    /// The last block.
    pub block: BlockId,
    /// Its state root.
    pub state_root: B256,
    /// Every file, in the order of their paths.
    pub files: Vec<BackupFile>,
}

/// A file of a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupFile {
    /// Where it is in the folder, with `/` between the names.
    pub path: String,
    /// Its length.
    pub bytes: u64,
    /// keccak-256 of its content.
    pub keccak256: B256,
}

/// The text.
#[derive(Serialize, Deserialize)]
struct Document {
    format: String,
    version: u32,
    #[serde(flatten)]
    manifest: Manifest,
    /// keccak-256 of this as JSON without white space and without this field.
    #[serde(skip_serializing_if = "Option::is_none")]
    keccak256: Option<B256>,
}

/// What is read first.
#[derive(Deserialize)]
struct Header {
    format: String,
    version: u32,
}

impl Manifest {
    /// Reads the manifest of the backup in `folder`.
    ///
    /// There is one text for each manifest, so that a changed byte is noticed wherever it is.
    ///
    /// # Errors
    ///
    /// If it cannot be read, is of a newer version or not as it was written.
    pub fn read(folder: &Path) -> Result<Self, BackupError> {
        let path = folder.join(FILE);
        let mut bytes = Vec::new();
        File::open(&path)
            .and_then(|file| file.take(BYTES_MAX).read_to_end(&mut bytes))
            .map_err(io_error("read the manifest of a backup", &path))?;
        let fault = |what: String| BackupError::Manifest { path: path.clone(), what };
        let header: Header =
            serde_json::from_slice(&bytes).map_err(|error| fault(error.to_string()))?;
        if header.format != FORMAT {
            return Err(fault(format!("format {:?}, expected {FORMAT:?}", header.format)));
        }
        if header.version > VERSION {
            return Err(BackupError::Newer { path, found: header.version, known: VERSION });
        }
        let document: Document =
            serde_json::from_slice(&bytes).map_err(|error| fault(error.to_string()))?;
        if document.manifest.text().as_bytes() != bytes {
            return Err(fault("changed since it was written".to_owned()));
        }
        for file in &document.manifest.files {
            file.relative().ok_or_else(|| fault(format!("{:?} is no path in it", file.path)))?;
        }
        Ok(document.manifest)
    }

    /// Bytes of all files.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.files.iter().fold(0, |bytes, file| bytes.saturating_add(file.bytes))
    }

    /// Writes the manifest of the backup in `folder`, on disk when this returns.
    pub(super) fn write(&self, folder: &Path) -> Result<(), BackupError> {
        let path = folder.join(FILE);
        let written = File::create_new(&path).and_then(|mut file| {
            file.write_all(self.text().as_bytes())?;
            file.sync_all()
        });
        Ok(written.map_err(io_error("write", &path))?)
    }

    fn text(&self) -> String {
        let mut document = Document {
            format: FORMAT.to_owned(),
            version: VERSION,
            manifest: self.clone(),
            keccak256: None,
        };
        let plain = "strings and numbers are JSON";
        document.keccak256 = Some(keccak256(serde_json::to_vec(&document).expect(plain)));
        let mut text = serde_json::to_string_pretty(&document).expect(plain);
        text.push('\n');
        text
    }
}

impl BackupFile {
    /// The path in the folder; `None` if it leads out of it.
    pub(super) fn relative(&self) -> Option<PathBuf> {
        let path = Path::new(&self.path);
        let is_within =
            path.components().all(|component| matches!(component, Component::Normal(_)));
        (is_within && !self.path.is_empty()).then(|| path.to_owned())
    }
}
