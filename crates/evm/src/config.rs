//! What holds for a whole chain: hard fork, chain id, blob schedule, checks and limits.

use zvm_core::{BlobParams, SpecId};
use zvm_precompiles::{MissingPrecompiles, Precompiles};

/// The rules to execute by.
#[derive(Clone, Debug)]
pub struct Config {
    spec: SpecId,
    precompiles: &'static Precompiles,
    /// Answers `CHAINID` (EIP-1344); transactions must carry it (EIP-155).
    pub chain_id: u64,
    /// How many blobs a block holds and how their price moves (EIP-7840).
    pub blob: BlobParams,
    /// Which rules of validity to apply to transactions.
    pub checks: Checks,
}

/// Rules of transaction validity that a simulation may want to leave out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checks {
    /// The nonce must be the sender's.
    pub nonce: bool,
    /// The sender can pay for gas and value. Without it a missing balance is taken as there.
    pub balance: bool,
    /// The fee cap covers the base fee of the block and of its blobs.
    pub base_fee: bool,
    /// The gas limit fits the block, and the cap of EIP-7825.
    pub gas_limit: bool,
    /// The sender has no code (EIP-3607).
    pub sender_code: bool,
}

impl Checks {
    /// All of them: what consensus demands.
    pub const ALL: Self =
        Self { nonce: true, balance: true, base_fee: true, gas_limit: true, sender_code: true };
    /// None of them: what `eth_call` does.
    pub const NONE: Self = Self {
        nonce: false,
        balance: false,
        base_fee: false,
        gas_limit: false,
        sender_code: false,
    };
}

impl Config {
    /// Mainnet's rules at `spec`, all checks on. Fails where a precompile of `spec` is not
    /// compiled in, naming it.
    pub fn new(spec: SpecId) -> Result<Self, MissingPrecompiles> {
        Ok(Self {
            spec,
            precompiles: Precompiles::of(spec)?,
            chain_id: 1,
            blob: if spec.has(SpecId::PRAGUE) { BlobParams::PRAGUE } else { BlobParams::CANCUN },
            checks: Checks::ALL,
        })
    }

    /// The hard fork.
    #[must_use]
    pub fn spec(&self) -> SpecId {
        self.spec
    }

    /// The precompiles of the hard fork.
    #[must_use]
    pub fn precompiles(&self) -> &'static Precompiles {
        self.precompiles
    }
}
