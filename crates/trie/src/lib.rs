//! Merkle Patricia tries (Yellow Paper, appendix D): roots, stored tries and proofs; and the
//! append-only Merkle log of RFC 9162, in [`log`].
//!
//! # Roots of everything
//!
//! A root is computed in one pass over the entries in key order. Only the branches on the path to
//! the latest key are held, so memory grows with the depth of the trie and not with its size.
//!
//! ```
//! use zvm_core::{AccountInfo, Address, EMPTY_ROOT, U256};
//! use zvm_trie::{ordered_root, state_root, storage_root};
//!
//! let storage = storage_root([(U256::from(1), U256::from(42))]);
//! assert_ne!(storage, EMPTY_ROOT);
//!
//! let alice = Address::repeat_byte(0xa1);
//! let root = state_root([(alice, AccountInfo::default(), storage)]);
//! assert_ne!(root, state_root([(alice, AccountInfo::default(), EMPTY_ROOT)]));
//!
//! // Of a block: the transactions, and the receipts, as they are in EIP-2718.
//! let transactions_root = ordered_root(&[&b"transaction 0"[..], b"transaction 1"]);
//! assert_ne!(transactions_root, EMPTY_ROOT);
//! ```
//!
//! * [`state_root`] and [`storage_root`] hash their keys, as the world state does.
//! * [`ordered_root`] keys a list by its indexes: transactions, receipts and withdrawals of a block.
//! * [`trie_root`] takes keys as they are.
//! * [`RootBuilder`] is below all of them, for entries that already come in key order.
//!
//! # Stored tries
//!
//! A store keeps the leaves and, as an index over them, one record for each [`Branch`]. [`update`]
//! takes the changed leaves and gives the new root and the records that differ; it reads no more
//! than the branches above the changes. [`RecordBuilder`] makes all records from all leaves.
//!
//! ```
//! use zvm_core::keccak256;
//! use zvm_trie::{Change, EmptyTrie, UpdateOptions, trie_root, update};
//!
//! let (mut a, mut b) = (keccak256("a"), keccak256("b"));
//! if a > b {
//!     std::mem::swap(&mut a, &mut b);
//! }
//! let put = |key| Change { key, existed: false, value: Some(b"value") };
//! // A store may do without records of subtrees so small that they are quickly built again.
//! let options = UpdateOptions { small_max: 0, ..UpdateOptions::ACCOUNTS };
//! let after = update(&EmptyTrie, &[put(a), put(b)], options)?;
//! assert_eq!(after.root, trie_root([(a, "value"), (b, "value")]));
//! assert_eq!(after.branches.len(), 1);
//! # Ok::<(), zvm_core::DbError>(())
//! ```
//!
//! [`SmallRoots`] takes many tries of a few leaves each, without records, and gives their roots.
//!
//! Both hash the nodes of a level together, eight or four at a time where the processor has the
//! registers for it (AVX-512, AVX2).
//!
//! The two ways, from everything and from changes, share the encoding of paths and nothing else, so
//! one can check the other.
//!
//! # Proofs
//!
//! [`prove`] lists the nodes towards a key out of a stored trie, and [`verify_proof`] says what such a
//! list proves under a root: the value, or that there is none. An [`AccountProof`] is the answer to
//! `eth_getProof` and verifies itself. Verifying shares no code with proving.
//!
//! A [`PartialTrie`] knows of a trie what proofs have shown. Changes to that give the root of the
//! whole.
//!
//! Not here: any I/O. A store answers as a [`TrieReader`] and writes what it is given.

mod account_proof;
mod branch;
mod builder;
mod error;
mod keccak;
pub mod log;
mod nibbles;
mod node;
mod node_set;
mod parallel;
mod partial;
mod proof_node;
mod prove;
mod reader;
mod records;
mod roots;
mod small_roots;
mod unhashed;
mod update;
mod verify;

pub use account_proof::{AccountProof, AccountProofError, StorageProof};
pub use branch::{Branch, BranchError, Child, NodeRef};
pub use builder::{RootBuilder, write_path};
pub use error::InconsistentTrie;
pub use nibbles::Nibbles;
pub use node_set::NodeSet;
pub use partial::{HiddenNode, PartialTrie};
pub use proof_node::NodeError;
pub use prove::{prove, prove_many};
pub use reader::{EmptyTrie, LeafVisitor, TrieReader};
pub use records::RecordBuilder;
pub use roots::{
    address_hashes, decode_account, decode_word, encode_account, encode_word, ordered_root,
    slot_hash, state_root, storage_root, storage_roots, trie_root,
};
pub use small_roots::SmallRoots;
pub use update::{BranchUpdates, Change, TrieUpdate, UpdateOptions, update, update_below};
pub use verify::{ProofError, verify_proof};
