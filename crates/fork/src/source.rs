//! What is read of a remote state, and who answers it.

use std::fmt;

use zvm_core::{
    AccountInfo, Address, B256, BlockId, Bytes, ChainConfig, DbError, EMPTY_ROOT, Header, SpecId,
    U256,
};
use zvm_trie::AccountProof;

use crate::{PlacedTransaction, Prestate};

/// Something to read of a remote state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Read {
    /// An account.
    Account(Address),
    /// The word at a slot of an account.
    Slot(Address, U256),
    /// Code by its hash, and an account that has it.
    Code(B256, Address),
    /// The hash of a block by its number.
    BlockHash(u64),
}

/// What a [`Read`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// For [`Read::Account`]; `None` where there is none.
    Account(Option<RemoteAccount>),
    /// For [`Read::Slot`]; zero where there is none.
    Word(U256),
    /// For [`Read::Code`]; its hash is the one asked for.
    Code(Bytes),
    /// For [`Read::BlockHash`].
    BlockHash(B256),
}

/// An account as far as a node tells of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RemoteAccount {
    /// Nonce, balance and code hash.
    pub info: AccountInfo,
    /// Root of its storage, where that was asked for.
    pub storage_root: Option<B256>,
}

/// Which state of which chain it is that a [`Source`] reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Answers `CHAINID`.
    pub chain_id: u64,
    /// The block after which it is.
    pub block: BlockId,
    /// The header of that block.
    pub header: Header,
    /// The hard fork whose rules that block had, where it is known.
    pub spec: Option<SpecId>,
    /// Whether every answer has been checked against the header, and the header against its hash.
    pub is_verified: bool,
}

/// An account and slots of it to prove.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProofRequest {
    /// Whose account.
    pub address: Address,
    /// Slots to prove along with it.
    pub slots: Vec<U256>,
}

/// A remote state as of one block.
///
/// Layers: a node, whatever checks its answers, whatever keeps them. Every read is answered or
/// refused; an unknown value is never taken for zero.
pub trait Source: Send + Sync {
    /// Which state this is.
    fn origin(&self) -> &Origin;

    /// What to call it in errors: scheme and host of a node, or a file. Never more of an address.
    fn name(&self) -> String;

    /// Answers all of `reads`, in their order and each with its kind of [`Found`], or none.
    fn fetch(&self, reads: &[Read]) -> Result<Vec<Found>, DbError>;

    /// The answer to `read`, if it is known without asking anybody.
    fn known(&self, read: &Read) -> Option<Found> {
        let _ = read;
        None
    }

    /// Makes `reads` known, as far as this source keeps answers. They may never be read.
    fn prefetch(&self, reads: &[Read]) -> Result<(), DbError> {
        self.fetch(reads).map(drop)
    }

    /// Proofs as `eth_getProof` answers them, one for each of `requests`. Nothing in them is to be
    /// believed before it is checked against the state root.
    fn prove(&self, requests: &[ProofRequest]) -> Result<Vec<AccountProof>, DbError> {
        let _ = requests;
        Err(DbError::Unsupported {
            backend: "this forked state".into(),
            action: "prove what it says".into(),
        })
    }

    /// The headers of blocks up to that of the state, by number. They may be anything: whoever
    /// relies on them walks from the block's hash along the hashes of parents.
    fn headers(&self, numbers: &[u64]) -> Result<Vec<Header>, DbError> {
        let _ = numbers;
        Err(DbError::Unsupported {
            backend: "this forked state".into(),
            action: "give headers".into(),
        })
    }

    /// The transaction with `hash` at its place in its block, which may be any block of the chain.
    fn transaction(&self, hash: B256) -> Result<PlacedTransaction, DbError> {
        let _ = hash;
        Err(DbError::Unsupported {
            backend: "this forked state".into(),
            action: "give transactions".into(),
        })
    }

    /// The state that the transaction with `hash` met, if there is somebody who tells. It is believed
    /// as it comes.
    fn prestate(&self, hash: B256) -> Result<Option<Prestate>, DbError> {
        let _ = hash;
        Ok(None)
    }
}

impl RemoteAccount {
    /// Whether any slot is non-zero, as far as that is known.
    ///
    /// Where no root was asked for, an account that can have storage counts as having some. This
    /// only says that slots are worth a look: an account with code or nonce is in the way of a
    /// creation whether or not it has storage (EIP-7610).
    #[must_use]
    pub fn has_storage(&self) -> bool {
        match self.storage_root {
            Some(root) => root != EMPTY_ROOT,
            None => self.info.has_code() || self.info.nonce > 0,
        }
    }
}

impl Origin {
    /// The chain's rules, where its number is one of mainnet, Sepolia, Holesky and Hoodi.
    #[must_use]
    pub fn chain(&self) -> Option<ChainConfig> {
        known_chains()
            .into_iter()
            .map(|(_, chain)| chain)
            .find(|chain| chain.chain_id == self.chain_id)
    }
}

/// The public networks by name.
pub(crate) fn known_chains() -> [(&'static str, ChainConfig); 4] {
    [
        ("mainnet", ChainConfig::mainnet()),
        ("sepolia", ChainConfig::sepolia()),
        ("holesky", ChainConfig::holesky()),
        ("hoodi", ChainConfig::hoodi()),
    ]
}

impl fmt::Display for Read {
    /// As errors name it, with address and slot.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Account(address) => write!(f, "account {address}"),
            Self::Slot(address, slot) => write!(f, "slot {slot:#x} of {address}"),
            Self::Code(hash, address) => write!(f, "code {hash} of {address}"),
            Self::BlockHash(number) => write!(f, "hash of block {number}"),
        }
    }
}
