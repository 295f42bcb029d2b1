//! What was read of a remote state, to be read again without the node.

mod file;
mod format;
mod next;
mod recorder;
mod replay;
#[cfg(test)]
mod tests;
mod verify;

use std::collections::{BTreeMap, btree_map::Entry};

use zvm_core::{Address, B256, Bytes, KECCAK_EMPTY, U256, keccak256};
use zvm_trie::NodeSet;

use crate::{Found, Origin, PlacedTransaction, Read, RemoteAccount};
use next::NextBlock;

pub use format::RecordingError;
pub use recorder::Recorder;
pub use replay::Replay;
pub use verify::{Proven, VerifyError};

/// Accounts, slots, code and hashes of blocks as they were read of one state, and proofs of them if
/// they were asked for.
///
/// Recordings of the same reads are the same bytes, in whatever order the reads came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recording {
    origin: Origin,
    accounts: BTreeMap<Address, Option<RemoteAccount>>,
    /// No account is listed here without a slot.
    slots: BTreeMap<Address, BTreeMap<U256, U256>>,
    code: BTreeMap<B256, Bytes>,
    block_hashes: BTreeMap<u64, B256>,
    /// Nodes of the state trie and of the tries of storage.
    nodes: NodeSet,
    /// The block after the state, if a transaction of it was asked for.
    next: Option<NextBlock>,
}

/// How much there is of each kind in a [`Recording`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecordingSize {
    /// Accounts, absent ones included.
    pub accounts: usize,
    /// Slots, those of zero included.
    pub slots: usize,
    /// Codes.
    pub codes: usize,
    /// Hashes of blocks.
    pub block_hashes: usize,
    /// Nodes of tries.
    pub nodes: usize,
    /// Transactions of the next block.
    pub transactions: usize,
}

/// The same read with two answers.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{read}: {old} at first, and then {new}")]
pub struct Conflict {
    /// What was read.
    pub read: Read,
    /// The answer there is.
    pub old: String,
    /// The other one.
    pub new: String,
}

/// Why two recordings are not one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MergeError {
    /// They are of two chains.
    #[error("one recording is of chain {ours}, the other of chain {theirs}")]
    Chain {
        /// Number of the one.
        ours: u64,
        /// Number of the other.
        theirs: u64,
    },

    /// They are of two blocks.
    #[error(
        "one recording is of block {} ({}), the other of block {} ({})",
        ours.0, ours.1, theirs.0, theirs.1
    )]
    Block {
        /// Number and hash of the one.
        ours: (u64, B256),
        /// Number and hash of the other.
        theirs: (u64, B256),
    },

    /// They are of one block, and say different things of it.
    #[error("the recordings have two {what} for block {number}")]
    Origin {
        /// What differs, in the plural.
        what: &'static str,
        /// The block.
        number: u64,
    },

    /// They answer one read differently.
    #[error(transparent)]
    Conflict(#[from] Conflict),
}

impl Recording {
    /// A recording without reads.
    #[must_use]
    pub fn new(origin: Origin) -> Self {
        Self {
            origin,
            accounts: BTreeMap::new(),
            slots: BTreeMap::new(),
            code: BTreeMap::new(),
            block_hashes: BTreeMap::new(),
            nodes: NodeSet::default(),
            next: None,
        }
    }

    /// Which state it is of.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// How much there is of each kind.
    #[must_use]
    pub fn size(&self) -> RecordingSize {
        RecordingSize {
            accounts: self.accounts.len(),
            slots: self.slots.values().map(BTreeMap::len).sum(),
            codes: self.code.len(),
            block_hashes: self.block_hashes.len(),
            nodes: self.nodes.len(),
            transactions: self.next.as_ref().map_or(0, NextBlock::len),
        }
    }

    /// Everything that was read: what to fetch at once before the same is done again.
    ///
    /// Code is listed where an account has it.
    #[must_use]
    pub fn reads(&self) -> Vec<Read> {
        let mut reads: Vec<_> = self.accounts.keys().copied().map(Read::Account).collect();
        for (address, slots) in &self.slots {
            reads.extend(slots.keys().map(|slot| Read::Slot(*address, *slot)));
        }
        for (address, account) in &self.accounts {
            let hash = account.map_or(KECCAK_EMPTY, |account| account.info.code_hash);
            if self.code.contains_key(&hash) {
                reads.push(Read::Code(hash, *address));
            }
        }
        reads.extend(self.block_hashes.keys().copied().map(Read::BlockHash));
        reads
    }

    /// The answer to `read`, if it is here.
    #[must_use]
    pub fn get(&self, read: &Read) -> Option<Found> {
        match read {
            Read::Account(address) => self.accounts.get(address).copied().map(Found::Account),
            Read::Slot(address, slot) => {
                self.slots.get(address)?.get(slot).copied().map(Found::Word)
            }
            Read::Code(hash, _) => self.code.get(hash).cloned().map(Found::Code),
            Read::BlockHash(number) => self.block_hashes.get(number).copied().map(Found::BlockHash),
        }
    }

    /// Adds an answer. An answer of another kind than the read asks for, or code of another hash,
    /// is passed over.
    ///
    /// # Errors
    ///
    /// [`Conflict`] if there is another answer already, which stays.
    pub fn insert(&mut self, read: Read, found: &Found) -> Result<(), Conflict> {
        let conflict = |old: String, new: String| Conflict { read, old, new };
        match (read, found) {
            (Read::Account(address), Found::Account(new)) => match self.accounts.entry(address) {
                Entry::Vacant(place) => drop(place.insert(*new)),
                Entry::Occupied(mut place) => {
                    let both = together(place.get(), new);
                    let both = both.ok_or_else(|| conflict(show(place.get()), show(new)))?;
                    place.insert(both);
                }
            },
            (Read::Slot(address, slot), Found::Word(new)) => {
                let old = *self.slots.entry(address).or_default().entry(slot).or_insert(*new);
                if old != *new {
                    return Err(conflict(format!("{old:#x}"), format!("{new:#x}")));
                }
            }
            (Read::Code(hash, _), Found::Code(code)) if keccak256(code) == hash => {
                self.code.entry(hash).or_insert_with(|| code.clone());
            }
            (Read::BlockHash(number), Found::BlockHash(new)) => {
                let old = *self.block_hashes.entry(number).or_insert(*new);
                if old != *new {
                    return Err(conflict(old.to_string(), new.to_string()));
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Adds a node of a trie. [`verify`](Self::verify) says what nodes prove.
    pub fn insert_node(&mut self, node: Bytes) {
        self.nodes.insert(node);
    }

    /// Adds a transaction with its block, if that block follows the state; otherwise it is passed
    /// over.
    ///
    /// # Errors
    ///
    /// [`MergeError::Origin`] if another block is there already, or the same with another receipt.
    pub fn insert_transaction(&mut self, placed: &PlacedTransaction) -> Result<(), MergeError> {
        match placed.header().parent_hash == self.origin.block.hash {
            true => self.insert_next(&NextBlock::of(placed)),
            false => Ok(()),
        }
    }

    /// The transaction with `hash`, if it was recorded. An error says why its block cannot be.
    #[must_use]
    pub fn transaction(&self, hash: B256) -> Option<Result<PlacedTransaction, String>> {
        self.next.as_ref()?.transaction(hash)
    }

    fn insert_next(&mut self, next: &NextBlock) -> Result<(), MergeError> {
        let number = next.header.number;
        let mut known = self.next.clone().unwrap_or_else(|| next.clone());
        known.merge(next).map_err(|what| MergeError::Origin { what, number })?;
        self.next = Some(known);
        Ok(())
    }

    /// Nodes of tries.
    #[must_use]
    pub fn nodes(&self) -> &NodeSet {
        &self.nodes
    }

    /// Whether it has proofs.
    #[must_use]
    pub fn has_proofs(&self) -> bool {
        !self.nodes.is_empty()
    }

    /// This recording and `other` of the same state, as one. It is verified if both are.
    ///
    /// # Errors
    ///
    /// What keeps them from being one.
    pub fn merge(mut self, other: &Self) -> Result<Self, MergeError> {
        let (ours, theirs) = (&mut self.origin, &other.origin);
        if ours.chain_id != theirs.chain_id {
            return Err(MergeError::Chain { ours: ours.chain_id, theirs: theirs.chain_id });
        }
        if ours.block != theirs.block {
            let id = |origin: &Origin| (origin.block.number, origin.block.hash);
            return Err(MergeError::Block { ours: id(ours), theirs: id(theirs) });
        }
        let number = ours.block.number;
        if ours.header != theirs.header {
            return Err(MergeError::Origin { what: "headers", number });
        }
        ours.spec = match (ours.spec, theirs.spec) {
            (Some(one), Some(other)) if one != other => {
                return Err(MergeError::Origin { what: "hard forks", number });
            }
            (one, other) => one.or(other),
        };
        ours.is_verified &= theirs.is_verified;
        for (address, account) in &other.accounts {
            self.insert(Read::Account(*address), &Found::Account(*account))?;
        }
        for (address, slots) in &other.slots {
            for (slot, word) in slots {
                self.insert(Read::Slot(*address, *slot), &Found::Word(*word))?;
            }
        }
        for (number, hash) in &other.block_hashes {
            self.insert(Read::BlockHash(*number), &Found::BlockHash(*hash))?;
        }
        // Named by their hashes, these cannot differ.
        self.code.extend(other.code.iter().map(|(hash, code)| (*hash, code.clone())));
        for (_, node) in other.nodes.iter() {
            self.nodes.insert(node.clone());
        }
        if let Some(next) = &other.next {
            self.insert_next(next)?;
        }
        Ok(self)
    }
}

/// What two answers say of an account, which may know more together. `None` if they differ.
fn together(
    one: &Option<RemoteAccount>,
    other: &Option<RemoteAccount>,
) -> Option<Option<RemoteAccount>> {
    match (one, other) {
        (None, None) => Some(None),
        (Some(one), Some(other)) if one.info == other.info => {
            match (one.storage_root, other.storage_root) {
                (Some(a), Some(b)) if a != b => None,
                (a, b) => Some(Some(RemoteAccount { storage_root: a.or(b), ..*one })),
            }
        }
        _ => None,
    }
}

/// An account as conflicts show it.
fn show(account: &Option<RemoteAccount>) -> String {
    let Some(RemoteAccount { info, storage_root }) = account else { return "no account".into() };
    let root = storage_root.map_or_else(String::new, |root| format!(", storage root {root}"));
    format!("nonce {}, balance {}, code hash {}{root}", info.nonce, info.balance, info.code_hash)
}
