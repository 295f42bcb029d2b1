//! Roots of Merkle Patricia tries (Yellow Paper, appendix D).
//!
//! A root is computed in one pass over the entries in key order. Only the branches on the path to
//! the latest key are held, so memory grows with the depth of the trie and not with its size.
//!
//! ```
//! use zvm_core::{AccountInfo, Address, EMPTY_ROOT, U256};
//! use zvm_trie::{state_root, storage_root};
//!
//! let storage = storage_root([(U256::from(1), U256::from(42))]);
//! assert_ne!(storage, EMPTY_ROOT);
//!
//! let alice = Address::repeat_byte(0xa1);
//! let root = state_root([(alice, AccountInfo::default(), storage)]);
//! assert_ne!(root, state_root([(alice, AccountInfo::default(), EMPTY_ROOT)]));
//! ```
//!
//! * [`state_root`] and [`storage_root`] hash their keys, as the world state does.
//! * [`ordered_root`] keys a list by its indexes, as block headers do.
//! * [`trie_root`] takes keys as they are.
//! * [`RootBuilder`] is below all of them, for entries that already come in key order.
//!
//! Not here: any I/O, and stored nodes. Every root is computed from all entries.

mod builder;
mod roots;

pub use builder::RootBuilder;
pub use roots::{ordered_root, state_root, storage_root, trie_root};
