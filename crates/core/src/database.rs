//! The two traits at the storage boundary: reading and owning a world state.

use std::{borrow::Cow, ops::ControlFlow, path::PathBuf};

use alloy_primitives::{Address, B256, Bytes, U256};
use serde::{Deserialize, Serialize};

use crate::{Account, AccountInfo, Batch, StateDiff};

/// Read access to one world state: the accounts, storage and code as of one block.
///
/// Used as `&dyn Database`. The journal remembers every account and slot it has read, so the
/// virtual call is paid once per cold access and never per opcode.
pub trait Database: Send + Sync {
    /// The account at `address`, or `None` where the state trie has no leaf for it.
    ///
    /// `None` and an empty account are different before EIP-161. A backend that cannot tell them
    /// apart answers [`DbError::Ambiguous`] for those hard forks. The account also says whether
    /// it has any storage, which creation must know (EIP-7610).
    fn account(&self, address: Address) -> Result<Option<Account>, DbError>;

    /// The word at `slot` of `address`. A slot never written reads as zero.
    fn storage(&self, address: Address, slot: U256) -> Result<U256, DbError>;

    /// The code with keccak-256 hash `code_hash`; [`DbError::MissingCode`] if it is not stored.
    ///
    /// Never asked for [`KECCAK_EMPTY`](crate::KECCAK_EMPTY).
    fn code(&self, code_hash: B256) -> Result<Bytes, DbError>;

    /// The hash of block `number`. Callers ask only for the 256 blocks `BLOCKHASH` can reach.
    fn block_hash(&self, number: u64) -> Result<B256, DbError>;
}

/// Names a snapshot of one backend. Ids grow; reverting to one forgets all later ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SnapshotId(pub u64);

/// Number and hash of a block. The hash is zero where nobody has given the block one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct BlockId {
    /// Number; the state before the first commit is that of block 0.
    pub number: u64,
    /// Hash of the header.
    pub hash: B256,
}

/// What the walk over accounts calls: keccak-256 of the address, the address, the account.
pub type VisitAccount<'a> =
    dyn FnMut(B256, Address, AccountInfo) -> Result<ControlFlow<()>, DbError> + 'a;

/// What the walk over storage calls: keccak-256 of the slot, the slot, its word.
pub type VisitSlot<'a> = dyn FnMut(B256, U256, U256) -> Result<ControlFlow<()>, DbError> + 'a;

/// A world state that can be changed, as a whole or not at all.
///
/// Every commit makes a block. A new backend stands at block 0.
pub trait StateBackend: Database {
    /// Makes ready what `run` is going to read, where reading takes a while and many reads at once take
    /// no longer: `run` may be called many times, on made-up answers, and what it does counts for
    /// nothing. Elsewhere this does nothing.
    fn read_ahead(&self, run: &mut dyn FnMut(&dyn Database)) -> Result<(), DbError> {
        let _ = run;
        Ok(())
    }

    /// Makes `diff` part of the state, as the state of the next block: all of it, or on an error
    /// none of it.
    ///
    /// Deleting an account deletes its storage; a slot set to zero is gone. Only new values count:
    /// the old ones are not compared with the present state. How durable the change is when this
    /// returns is the backend's configuration.
    fn commit(&mut self, diff: &StateDiff) -> Result<(), DbError> {
        let number = self.head()?.number.saturating_add(1);
        self.commit_block(BlockId { number, hash: B256::ZERO }, diff)
    }

    /// [`commit`](Self::commit) as the state of `block`, whose number follows that of the head. A
    /// backend that has never been written takes any number, so that a state can start at the
    /// block it was taken from, up to 2^63 - 1. [`DbError::NotNext`] for any other.
    fn commit_block(&mut self, block: BlockId, diff: &StateDiff) -> Result<(), DbError>;

    /// [`commit_block`](Self::commit_block) that leaves `mark` with the block, in the same write: who
    /// was cut off while it waited for the answer can ask whether the block is [its own](Self::mark_of).
    /// A backend that cannot keep marks commits without.
    fn commit_marked(
        &mut self,
        block: BlockId,
        diff: &StateDiff,
        mark: B256,
    ) -> Result<(), DbError> {
        let _ = mark;
        self.commit_block(block, diff)
    }

    /// The mark that was left with block `number`; `None` where there was none, where it is not kept
    /// any more, or where the backend keeps none. It outlives the unwinding of the block.
    fn mark_of(&self, number: u64) -> Result<Option<B256>, DbError> {
        let _ = number;
        Ok(None)
    }

    /// Moves on to the latest state, where others write to it, too, and answers its block. Until then
    /// a backend stays at the state it is at, whatever others do.
    fn refresh(&mut self) -> Result<BlockId, DbError> {
        self.head()
    }

    /// Makes `diff` part of the state from which the first block starts: a way to bring a large
    /// state in parts, each all or nothing, before [`commit_block`](Self::commit_block) gives it
    /// its block.
    ///
    /// No history is kept of it, and no snapshot covers it. [`DbError::Unsupported`] by a backend
    /// that has been committed to, or that takes its state only as a whole.
    fn seed(&mut self, diff: &StateDiff) -> Result<(), DbError> {
        let _ = diff;
        Err(DbError::Unsupported {
            backend: "this state".into(),
            action: "be given in parts".into(),
        })
    }

    /// The block whose state this is.
    fn head(&self) -> Result<BlockId, DbError>;

    /// The state after block `number`, up to the head, as far back as the backend keeps its past;
    /// [`DbError::NoHistory`] beyond.
    fn at(&self, number: u64) -> Result<Box<dyn Database + '_>, DbError>;

    /// The first block whose state [`at`](Self::at) reads.
    fn floor(&self) -> Result<u64, DbError>;

    /// Makes the state after block `number` the present one, and forgets all later blocks and
    /// their snapshots. [`DbError::NoHistory`] as for [`at`](Self::at).
    fn unwind(&mut self, number: u64) -> Result<(), DbError>;

    /// Root of the Merkle Patricia trie over the present state (Yellow Paper, appendix D).
    fn state_root(&self) -> Result<B256, DbError>;

    /// The [`state_root`](Self::state_root) there would be after a commit of `diff`, which is not
    /// made: how a chain knows that a block is right before the block is part of it.
    fn root_after(&self, diff: &StateDiff) -> Result<B256, DbError>;

    /// Visits all accounts in the order of keccak-256 of their addresses, from hash `from` on,
    /// until `visit` breaks.
    fn for_each_account(&self, from: B256, visit: &mut VisitAccount<'_>) -> Result<(), DbError>;

    /// Visits all non-zero words of `address` in the order of keccak-256 of their slots, from hash
    /// `from` on, until `visit` breaks.
    fn for_each_slot(
        &self,
        address: Address,
        from: B256,
        visit: &mut VisitSlot<'_>,
    ) -> Result<(), DbError>;

    /// All non-zero words in the storage of `address`, in the order of slots.
    fn storage_entries(&self, address: Address) -> Result<Vec<(U256, U256)>, DbError> {
        let mut entries = Vec::new();
        self.for_each_slot(address, B256::ZERO, &mut |_, slot, word| {
            entries.push((slot, word));
            Ok(ControlFlow::Continue(()))
        })?;
        entries.sort_unstable();
        Ok(entries)
    }

    /// Remembers the present state, its block included, under an id. Snapshots nest, and end with
    /// the process.
    ///
    /// They cover accounts and storage. Code and block hashes, once known, stay known.
    fn snapshot(&mut self) -> Result<SnapshotId, DbError>;

    /// Returns to the state of `id`, forgetting it and all later snapshots.
    fn revert(&mut self, id: SnapshotId) -> Result<(), DbError>;

    /// Forgets `id` and all later snapshots, keeping the present state.
    fn release(&mut self, id: SnapshotId) -> Result<(), DbError>;

    /// Records the hash that [`Database::block_hash`] answers for block `number`.
    fn set_block_hash(&mut self, number: u64, hash: B256) -> Result<(), DbError>;

    /// Starts a batch: changes by hand that are committed whole or dropped whole.
    fn batch(&mut self) -> Batch<'_>;
}

/// What can go wrong below the database traits.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DbError {
    /// An account refers to code that is not stored.
    #[error("no code with hash {code_hash} in the database")]
    MissingCode {
        /// The hash asked for.
        code_hash: B256,
    },

    /// The backend cannot tell an absent account from an empty one (matters before EIP-161).
    #[error("account {address}: cannot tell absent from empty before Spurious Dragon")]
    Ambiguous {
        /// The account asked for.
        address: Address,
    },

    /// No hash is known for a block that `BLOCKHASH` can reach.
    #[error("no hash of block {number} in the database")]
    MissingBlockHash {
        /// The block asked for.
        number: u64,
    },

    /// The snapshot was never made, or was reverted past or released.
    #[error("no snapshot {}", id.0)]
    UnknownSnapshot {
        /// The id asked for.
        id: SnapshotId,
    },

    /// The state of that block is not kept.
    #[error("no state of block {number}: {}", kept(*floor, *head))]
    NoHistory {
        /// The block asked for.
        number: u64,
        /// The first block whose state can be read.
        floor: u64,
        /// The last block.
        head: u64,
    },

    /// A commit for a block that does not follow the head.
    #[error("cannot commit block {number} on block {head}: expected block {}", head.saturating_add(1))]
    NotNext {
        /// The block to commit.
        number: u64,
        /// The last block.
        head: u64,
    },

    /// The backend cannot do this at all.
    #[error("{backend} cannot {action}")]
    Unsupported {
        /// What kind of backend, such as `a forked state`.
        backend: Cow<'static, str>,
        /// What was asked, as a verb phrase.
        action: Cow<'static, str>,
    },

    /// The operating system refused to open, read or write.
    #[error("{}: cannot {action}: {source}", path.display())]
    Io {
        /// What was attempted, as a verb phrase.
        action: &'static str,
        /// File or folder.
        path: PathBuf,
        /// The refusal.
        source: std::io::Error,
    },

    /// Another process holds the store.
    #[error("{}: in use by another process", path.display())]
    Locked {
        /// File or folder.
        path: PathBuf,
    },

    /// Stored bytes do not read back as what was written. Nothing was changed.
    #[error("{}: damaged: {what}", path.display())]
    Corrupt {
        /// File or folder.
        path: PathBuf,
        /// Which record, what was found and what was expected.
        what: String,
    },

    /// The store was written by a newer program. It was left as it is.
    #[error("{}: format {found} is newer than format {known}, the last this program knows", path.display())]
    NewerFormat {
        /// File or folder.
        path: PathBuf,
        /// The format version of the store.
        found: u32,
        /// The newest version this program can read.
        known: u32,
    },

    /// The store was written by a program so old that this one cannot read it. It was left as it is.
    #[error(
        "{}: format {found} is older than format {known}, the only one this program knows; dump the \
         state with the program that wrote it, and load the dump",
        path.display()
    )]
    OlderFormat {
        /// File or folder.
        path: PathBuf,
        /// The format version of the store.
        found: u32,
        /// The version this program can read.
        known: u32,
    },

    /// The store was opened to be read only.
    #[error("{}: open for reading only", path.display())]
    ReadOnly {
        /// File or folder.
        path: PathBuf,
    },

    /// The store is encrypted and no key was given.
    #[error("{}: encrypted; a key file or passphrase is needed", path.display())]
    Encrypted {
        /// File or folder.
        path: PathBuf,
    },

    /// A key was given for a store that is not encrypted.
    #[error("{}: not encrypted, but a key was given", path.display())]
    NotEncrypted {
        /// File or folder.
        path: PathBuf,
    },

    /// The store is encrypted with another key than the one given.
    #[error("{}: wrong key", path.display())]
    WrongKey {
        /// File or folder.
        path: PathBuf,
    },

    /// A configuration string or file asks for something that does not exist.
    #[error("database {config:?}: {what}")]
    Config {
        /// The text as it was given.
        config: String,
        /// The faulty part and what was expected.
        what: String,
    },

    /// Something remote did not answer as it should, in the time there was.
    #[error("{endpoint}: {what}")]
    Remote {
        /// Scheme and host, never more of an address: the rest may be a key.
        endpoint: String,
        /// What was asked, and what came of it.
        what: String,
    },

    /// A recording does not have what was asked.
    #[error("{}: not recorded: {what}", path.display())]
    NotRecorded {
        /// The recording.
        path: PathBuf,
        /// What was asked, with address and slot.
        what: String,
    },

    /// What a remote state says of itself is not what its header commits to.
    #[error("{endpoint}: not proven: {what}")]
    Unproven {
        /// Scheme and host, or the file.
        endpoint: String,
        /// What was asked, and what is wrong with the answer or its proof.
        what: String,
    },

    /// The engine below failed in a way of its own.
    #[error("{context}: {source}")]
    Engine {
        /// Where and what, such as `./state: commit`.
        context: String,
        /// The engine's own error.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// What can be read, as the end of a sentence.
fn kept(floor: u64, head: u64) -> String {
    match floor == head {
        true => format!("only the state of block {head} is kept"),
        false => format!("states are kept from block {floor} to block {head}"),
    }
}
