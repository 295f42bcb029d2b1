//! Choosing what is not the default.

use zvm_core::{BlobParams, BlockEnv, SpecId, StateBackend};
use zvm_evm::Config;
use zvm_state::{DatabaseConfig, MemoryDb};

use crate::{Error, Zvm};

/// Settings of a [`Zvm`] to be. From [`Zvm::builder`].
///
/// ```
/// use zvm::{BlockEnv, SpecId, Zvm};
///
/// let zvm = Zvm::builder()
///     .spec(SpecId::SHANGHAI)
///     .chain_id(137)
///     .block(BlockEnv { number: 50_000_000, ..BlockEnv::default() })
///     .database("memory:")?
///     .build()?;
/// assert_eq!(zvm.spec(), SpecId::SHANGHAI);
/// # Ok::<(), zvm::Error>(())
/// ```
#[derive(Default)]
#[must_use = "nothing happens until `build`"]
pub struct Builder {
    spec: SpecId,
    chain_id: Option<u64>,
    blob: Option<BlobParams>,
    block: BlockEnv,
    database: DatabaseConfig,
    backend: Option<Box<dyn StateBackend>>,
}

impl Builder {
    /// The hard fork; default the latest.
    pub fn spec(mut self, spec: SpecId) -> Self {
        self.spec = spec;
        self
    }

    /// What `CHAINID` answers; default 1.
    pub fn chain_id(mut self, chain_id: u64) -> Self {
        self.chain_id = Some(chain_id);
        self
    }

    /// Blob schedule; default mainnet's at the hard fork.
    pub fn blob_params(mut self, blob: BlobParams) -> Self {
        self.blob = Some(blob);
        self
    }

    /// The block that everything runs in; default number 1 with 60 million gas and no fees.
    pub fn block(mut self, block: BlockEnv) -> Self {
        self.block = block;
        self
    }

    /// Where the state lives, such as `file:./state`; default `memory:`. Opened by `build`.
    pub fn database(mut self, config: &str) -> Result<Self, Error> {
        self.database = config.parse()?;
        Ok(self)
    }

    /// A backend that is open already, in place of [`database`](Self::database).
    pub fn backend(mut self, backend: Box<dyn StateBackend>) -> Self {
        self.backend = Some(backend);
        self
    }

    /// Opens the database. Fails where it cannot, or where this build lacks a precompile of the
    /// hard fork.
    pub fn build(self) -> Result<Zvm, Error> {
        let mut config = Config::new(self.spec)?;
        config.chain_id = self.chain_id.unwrap_or(config.chain_id);
        config.blob = self.blob.unwrap_or(config.blob);
        let backend = match (self.backend, &self.database) {
            (Some(backend), _) => backend,
            (None, DatabaseConfig::Memory) => Box::new(MemoryDb::new()),
            (None, database) => zvm_state::open(database)?,
        };
        Ok(Zvm::from_parts(config, self.block, backend))
    }
}
