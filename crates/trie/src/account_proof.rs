//! What `eth_getProof` answers (EIP-1186).

use alloy_primitives::{Address, B256, Bytes, U256};
use serde::{Deserialize, Serialize};
use zvm_core::{AccountInfo, EMPTY_ROOT, KECCAK_EMPTY, keccak256};

use crate::{ProofError, encode_account, encode_word, slot_hash, verify_proof};

/// An account and some of its slots, with proofs. In JSON the answer to `eth_getProof`.
///
/// Nothing in it is to be believed before [`verify`](Self::verify).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AccountProof {
    /// Whose account.
    pub address: Address,
    /// In wei; zero if there is no account.
    pub balance: U256,
    /// keccak-256 of the code; that of no code, or zero, if there is no account.
    pub code_hash: B256,
    /// Zero if there is no account.
    #[serde(with = "quantity")]
    pub nonce: u64,
    /// Root of the storage; that of the empty trie, or zero, if there is no account.
    pub storage_hash: B256,
    /// Nodes of the state trie towards keccak-256 of the address.
    pub account_proof: Vec<Bytes>,
    /// The slots asked for.
    pub storage_proof: Vec<StorageProof>,
}

/// A slot with its proof.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct StorageProof {
    /// The slot. Written as 32 bytes; read in any length up to that.
    #[serde(with = "slot")]
    pub key: U256,
    /// The word; zero if there is no such slot.
    pub value: U256,
    /// Nodes of the storage trie towards keccak-256 of the slot.
    pub proof: Vec<Bytes>,
}

impl AccountProof {
    /// Checks everything said here against a state root: the account, or that there is none
    /// (`None`), and every slot.
    ///
    /// # Errors
    ///
    /// What does not hold.
    pub fn verify(&self, state_root: B256) -> Result<Option<AccountInfo>, AccountProofError> {
        let key = keccak256(self.address);
        let proven = verify_proof(state_root, key, &self.account_proof)
            .map_err(|source| AccountProofError::Account { address: self.address, source })?;
        let info =
            AccountInfo { nonce: self.nonce, balance: self.balance, code_hash: self.code_hash };
        let is_right = match proven {
            Some(leaf) => {
                let mut claimed = Vec::new();
                encode_account(&info, self.storage_hash, &mut claimed);
                leaf == claimed
            }
            None => {
                self.nonce == 0
                    && self.balance.is_zero()
                    && (self.code_hash == KECCAK_EMPTY || self.code_hash.is_zero())
                    && (self.storage_hash == EMPTY_ROOT || self.storage_hash.is_zero())
            }
        };
        if !is_right {
            let proven = proven.map(Bytes::copy_from_slice);
            return Err(AccountProofError::AccountDiffers { address: self.address, proven });
        }
        let storage_root = if proven.is_some() { self.storage_hash } else { EMPTY_ROOT };
        for slot in &self.storage_proof {
            slot.verify(storage_root)?;
        }
        Ok(proven.map(|_| info))
    }
}

impl StorageProof {
    /// Checks the word against the root of its storage.
    ///
    /// # Errors
    ///
    /// What does not hold.
    pub fn verify(&self, storage_root: B256) -> Result<(), AccountProofError> {
        let key = slot_hash(self.key);
        let proven = verify_proof(storage_root, key, &self.proof)
            .map_err(|source| AccountProofError::Slot { slot: self.key, source })?;
        let mut claimed = Vec::new();
        if !self.value.is_zero() {
            encode_word(self.value, &mut claimed);
        }
        // No leaf has an empty value, so this is also how an absent slot looks.
        if proven.unwrap_or_default() != claimed {
            let proven = proven.map(Bytes::copy_from_slice);
            return Err(AccountProofError::SlotDiffers {
                slot: self.key,
                claimed: self.value,
                proven,
            });
        }
        Ok(())
    }
}

/// Why an [`AccountProof`] does not hold.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AccountProofError {
    /// The proof of the account proves nothing.
    #[error("account {address}: {source}")]
    Account {
        /// Whose account.
        address: Address,
        /// What is wrong with the proof.
        source: ProofError,
    },

    /// The proof of the account is good, and the account is another one.
    #[error("account {address}: the proof has {}, not the account given", shown(proven))]
    AccountDiffers {
        /// Whose account.
        address: Address,
        /// RLP of the account proven; `None` if it is proven absent.
        proven: Option<Bytes>,
    },

    /// The proof of a slot proves nothing.
    #[error("slot {slot}: {source}")]
    Slot {
        /// The slot.
        slot: U256,
        /// What is wrong with the proof.
        source: ProofError,
    },

    /// The proof of a slot is good, and the word is another one.
    #[error("slot {slot}: the proof has {}, not {claimed}", shown(proven))]
    SlotDiffers {
        /// The slot.
        slot: U256,
        /// The word given.
        claimed: U256,
        /// RLP of the word proven; `None` if it is proven absent.
        proven: Option<Bytes>,
    },
}

fn shown(proven: &Option<Bytes>) -> String {
    proven.as_ref().map_or_else(|| "nothing".into(), Bytes::to_string)
}

/// A number as JSON-RPC writes it: hexadecimal without leading zeros.
mod quantity {
    use alloy_primitives::U64;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(number: &u64, out: S) -> Result<S::Ok, S::Error> {
        U64::from(*number).serialize(out)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(input: D) -> Result<u64, D::Error> {
        Ok(U64::deserialize(input)?.to())
    }
}

/// A slot as 32 bytes.
mod slot {
    use alloy_primitives::{B256, U256};
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(slot: &U256, out: S) -> Result<S::Ok, S::Error> {
        B256::from(*slot).serialize(out)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(input: D) -> Result<U256, D::Error> {
        U256::deserialize(input)
    }
}
