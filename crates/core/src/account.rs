//! An account as the world state holds it.

use alloy_primitives::{B256, U256, b256};
use serde::{Deserialize, Serialize};

/// keccak-256 of no bytes: the code hash of an account without code (Yellow Paper, 4.1).
pub const KECCAK_EMPTY: B256 =
    b256!("c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470");

/// Root of the empty trie: keccak-256 of `rlp("")` (Yellow Paper, appendix D).
pub const EMPTY_ROOT: B256 =
    b256!("56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421");

/// What an account says of itself: everything in its leaf but the storage root.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AccountInfo {
    /// Number of transactions sent, or of contracts created by a contract.
    pub nonce: u64,
    /// Balance in wei.
    pub balance: U256,
    /// keccak-256 of the code; [`KECCAK_EMPTY`] where there is none.
    pub code_hash: B256,
}

impl AccountInfo {
    /// Whether the account is empty in the sense of EIP-161: no nonce, no balance, no code.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nonce == 0 && self.balance.is_zero() && !self.has_code()
    }

    /// Whether there is code behind `code_hash`.
    #[must_use]
    pub fn has_code(&self) -> bool {
        self.code_hash != KECCAK_EMPTY
    }
}

impl Default for AccountInfo {
    fn default() -> Self {
        Self { nonce: 0, balance: U256::ZERO, code_hash: KECCAK_EMPTY }
    }
}

/// An account as a [`Database`](crate::Database) answers it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Nonce, balance and code hash.
    #[serde(flatten)]
    pub info: AccountInfo,
    /// Whether any slot is non-zero. Contract creation must know (EIP-7610).
    pub has_storage: bool,
}

impl std::ops::Deref for Account {
    type Target = AccountInfo;

    fn deref(&self) -> &AccountInfo {
        &self.info
    }
}

impl From<AccountInfo> for Account {
    /// An account without storage.
    fn from(info: AccountInfo) -> Self {
        Self { info, has_storage: false }
    }
}
