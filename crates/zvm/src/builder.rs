//! Choosing what is not the default.

use zvm_core::{BlobParams, BlockEnv, SpecId, StateBackend};
use zvm_evm::Config;
use zvm_state::DatabaseConfig;

use crate::{Error, OpenedDatabase, Zvm};

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
    spec: Option<SpecId>,
    chain_id: Option<u64>,
    blob: Option<BlobParams>,
    block: Option<BlockEnv>,
    database: DatabaseConfig,
    opened: Option<OpenedDatabase>,
}

impl Builder {
    /// The hard fork; default that of the forked block, or the latest.
    pub fn spec(mut self, spec: SpecId) -> Self {
        self.spec = Some(spec);
        self
    }

    /// What `CHAINID` answers; default that of the forked chain, or 1.
    pub fn chain_id(mut self, chain_id: u64) -> Self {
        self.chain_id = Some(chain_id);
        self
    }

    /// Blob schedule; default mainnet's at the hard fork.
    pub fn blob_params(mut self, blob: BlobParams) -> Self {
        self.blob = Some(blob);
        self
    }

    /// The block that everything runs in; default the one after the forked block, or number 1 with
    /// 60 million gas and no fees.
    pub fn block(mut self, block: BlockEnv) -> Self {
        self.block = Some(block);
        self
    }

    /// Where the state lives, such as `file:./state` or `fork:http://localhost:8545@17`; default
    /// `memory:`. Opened by `build`.
    pub fn database(self, config: &str) -> Result<Self, Error> {
        Ok(self.database_config(config.parse()?))
    }

    /// [`database`](Self::database), parsed already.
    pub fn database_config(mut self, config: DatabaseConfig) -> Self {
        self.database = config;
        self
    }

    /// A backend that is open already, in place of [`database`](Self::database).
    pub fn backend(mut self, backend: Box<dyn StateBackend>) -> Self {
        self.opened = Some(OpenedDatabase { backend, fork: None });
        self
    }

    /// A database that is open already, in place of [`database`](Self::database).
    pub fn opened(mut self, database: OpenedDatabase) -> Self {
        self.opened = Some(database);
        self
    }

    /// Opens the database. Fails where it cannot, or where this build lacks a precompile of the
    /// hard fork.
    pub fn build(self) -> Result<Zvm, Error> {
        let OpenedDatabase { backend, fork } = match self.opened {
            Some(opened) => opened,
            None => OpenedDatabase::open(&self.database)?,
        };
        let origin = fork.as_ref().map(|fork| fork.origin());
        let spec = self.spec.or(origin.and_then(|origin| origin.spec)).unwrap_or_default();
        let mut config = Config::new(spec)?;
        let chain_id = self.chain_id.or(origin.map(|origin| origin.chain_id));
        config.chain_id = chain_id.unwrap_or(config.chain_id);
        let block = self.block.or_else(|| fork.as_ref().map(|fork| fork.next_block()));
        let block = block.unwrap_or_default();
        // A chain has a schedule of its own from one hard fork to the next.
        let of_chain = origin.and_then(|origin| origin.chain()?.blob_params_at(block.timestamp));
        config.blob = self.blob.or(of_chain).unwrap_or(config.blob);
        Ok(Zvm::from_parts(config, block, backend, fork))
    }
}
