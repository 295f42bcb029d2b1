//! Heads that somebody vouches for.

use serde::{Deserialize, Serialize};
use zvm_core::{Address, B256, Signature, SigningKey, keccak256};

use super::TreeHead;

/// A head of a log, signed by whoever keeps it. Two of one signer that are not consistent show that
/// the log was rewritten.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SignedTreeHead {
    /// The chain whose log it is.
    pub chain_id: u64,
    /// Size and root.
    #[serde(flatten)]
    pub head: TreeHead,
    /// Unix time in seconds.
    pub timestamp: u64,
    /// The signature of [`hash`](Self::hash).
    pub signature: Signature,
}

impl SignedTreeHead {
    /// Signs a head.
    #[must_use]
    pub fn sign(chain_id: u64, head: TreeHead, timestamp: u64, key: &SigningKey) -> Self {
        let unsigned = Self { chain_id, head, timestamp, signature: Signature::default() };
        Self { signature: key.sign(unsigned.hash()), ..unsigned }
    }

    /// What is signed: `keccak256("zvm tree head 1" ‖ chain id u64 ‖ size u64 ‖ time u64 ‖ root)` as a
    /// personal message (EIP-191, version `E`), so that a wallet can do it.
    #[must_use]
    pub fn hash(&self) -> B256 {
        let message = [
            b"zvm tree head 1".as_slice(),
            &self.chain_id.to_be_bytes(),
            &self.head.size.to_be_bytes(),
            &self.timestamp.to_be_bytes(),
            self.head.root.as_slice(),
        ];
        let message = keccak256(message.concat());
        keccak256([b"\x19Ethereum Signed Message:\n32", message.as_slice()].concat())
    }

    /// Who signed it; `None` if nobody could have, or the signature is the twin of one (EIP-2).
    #[must_use]
    pub fn signer(&self) -> Option<Address> {
        self.signature.recover(self.hash()).filter(|_| self.signature.has_low_s())
    }
}
