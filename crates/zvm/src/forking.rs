//! Forks for tests: of a node where there is a network, of a recording where there is none.

use std::{
    env, fmt, fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use zvm_core::{B256, DbError};
use zvm_fork::{Recorder, Recording};
use zvm_state::{BlockRef, DatabaseConfig, ForkConfig, ForkSource};

use crate::{Error, OpenedDatabase, Zvm};

/// A fork to be. From [`Zvm::fork`].
///
/// ```no_run
/// use zvm::Zvm;
///
/// let zvm = Zvm::fork("https://mainnet.example/KEY").at(20_000_000).recorded("x.fork").open()?;
/// # Ok::<(), zvm::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "nothing happens until `open`"]
pub struct ForkBuilder {
    url: String,
    block: BlockRef,
    hash: Option<B256>,
    is_verified: bool,
    recording: Option<PathBuf>,
}

/// A block to fork at: its number, its hash, or a tag such as [`BlockRef::Finalized`].
pub trait ForkBlock {
    /// As a node is asked for it.
    fn block(self) -> BlockRef;
}

impl ForkBlock for u64 {
    fn block(self) -> BlockRef {
        BlockRef::Number(self)
    }
}

impl ForkBlock for B256 {
    fn block(self) -> BlockRef {
        BlockRef::Hash(self)
    }
}

impl ForkBlock for BlockRef {
    fn block(self) -> BlockRef {
        self
    }
}

impl Zvm {
    /// A fork of the state of a node, whose address is not looked at before the node is asked.
    /// [`Zvm::open`] takes all options there are, such as `fork:URL?timeout=3s`.
    pub fn fork(url: impl Into<String>) -> ForkBuilder {
        ForkBuilder {
            url: url.into(),
            block: BlockRef::Latest,
            hash: None,
            is_verified: false,
            recording: None,
        }
    }
}

impl ForkBuilder {
    /// The environment variable that has recordings made: `1` allows the network.
    pub const RECORD: &str = "ZVM_RECORD";

    /// At which block; default the latest.
    pub fn at(mut self, block: impl ForkBlock) -> Self {
        self.block = block.block();
        self
    }

    /// The block must have this hash.
    pub fn hash(mut self, hash: B256) -> Self {
        self.hash = Some(hash);
        self
    }

    /// Has every answer checked by a proof.
    pub fn verified(mut self) -> Self {
        self.is_verified = true;
        self
    }

    /// Runs on the recording `path` and connects to nothing, unless the environment has
    /// `ZVM_RECORD=1`: then the node is asked, and what was read is written to `path` when the engine
    /// is dropped, beside what is there of the same block.
    pub fn recorded(mut self, path: impl AsRef<Path>) -> Self {
        self.recording = Some(path.as_ref().to_owned());
        self
    }

    /// Opens the fork.
    ///
    /// # Errors
    ///
    /// Where the node or the recording cannot be read, or is not of that block.
    pub fn open(self) -> Result<Zvm, Error> {
        let is_recording = env::var(Self::RECORD).is_ok_and(|value| value == "1");
        self.open_as(is_recording)
    }

    /// The same with or without the network.
    fn open_as(self, is_recording: bool) -> Result<Zvm, Error> {
        let Some(path) = self.recording.clone() else {
            return Zvm::builder().opened(OpenedDatabase::open(&self.config()?)?).build();
        };
        if !is_recording {
            if !path.exists() {
                let what = format!("there is no recording; {}=1 has it made", Self::RECORD);
                return Err(DbError::NotRecorded { path, what }.into());
            }
            let config = ForkConfig {
                hash: self.hash,
                is_verified: self.is_verified,
                ..ForkConfig::new(ForkSource::Recording(path.clone()), BlockRef::Latest)
            };
            let opened = OpenedDatabase::open(&DatabaseConfig::Fork(Box::new(config)))?;
            if let Some(fork) = &opened.fork {
                check_block(
                    self.block,
                    &path,
                    fork.origin().block.number,
                    fork.origin().block.hash,
                )?;
            }
            return Zvm::builder().opened(opened).build();
        }
        let mut opened = OpenedDatabase::open_recorded(&self.config()?)?;
        if let Some(fork) = &mut opened.fork
            && let Some(recorder) = fork.recorder.clone()
        {
            let with_proofs = self.is_verified;
            fork.saving = Some(Arc::new(Saving { recorder, path, with_proofs }));
        }
        Zvm::builder().opened(opened).build()
    }

    fn config(&self) -> Result<DatabaseConfig, Error> {
        let DatabaseConfig::Fork(mut config) = format!("fork:{}", self.url).parse()? else {
            return Err(DbError::Config {
                config: "fork:".into(),
                what: "expected the address of a node".into(),
            }
            .into());
        };
        if self.block != BlockRef::Latest {
            config.block = self.block;
        }
        config.hash = self.hash.or(config.hash);
        config.is_verified |= self.is_verified;
        Ok(DatabaseConfig::Fork(config))
    }
}

/// Checks that a recording is of the block that a test asks for.
fn check_block(block: BlockRef, path: &Path, number: u64, hash: B256) -> Result<(), Error> {
    let is_right = match block {
        BlockRef::Number(expected) => expected == number,
        BlockRef::Hash(expected) => expected == hash,
        _ => true,
    };
    if is_right {
        return Ok(());
    }
    let what = format!("block {block}; it is of block {number} with hash {hash}");
    Err(DbError::NotRecorded { path: path.to_owned(), what }.into())
}

/// Writes what was recorded when nobody needs it any more.
pub(crate) struct Saving {
    recorder: Arc<Recorder>,
    path: PathBuf,
    with_proofs: bool,
}

impl Saving {
    fn save(&self) -> Result<(), Error> {
        let mut recording = match self.with_proofs {
            true => self.recorder.recording_with_proofs()?,
            false => self.recorder.recording(),
        };
        // What is there of another block makes room.
        if let Ok(before) = Recording::read(&self.path)
            && before.origin().block == recording.origin().block
        {
            recording = recording.merge(&before).map_err(|error| DbError::Corrupt {
                path: self.path.clone(),
                what: error.to_string(),
            })?;
        }
        if let Some(folder) = self.path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            let fault = zvm_state::disk::io_error("create the folder", folder);
            fs::create_dir_all(folder).map_err(fault)?;
        }
        Ok(recording.write(&self.path)?)
    }
}

impl Drop for Saving {
    fn drop(&mut self) {
        // There is nobody to give an error to; the next run on the recording will tell.
        if let Err(error) = self.save() {
            // Not `eprintln!`: it panics where standard error is closed.
            let _ = writeln!(io::stderr(), "not recorded: {error}");
        }
    }
}

impl fmt::Debug for Saving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Saving").field("path", &self.path).finish_non_exhaustive()
    }
}
