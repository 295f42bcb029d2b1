//! A transaction as execution sees it: the sender is known, the signature is gone.

use alloy_primitives::{Address, B256, Bytes, TxKind, U256};
use serde::{Deserialize, Serialize};

/// The envelope types of EIP-2718.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[repr(u8)]
pub enum TxType {
    /// No envelope; with a chain id if signed by EIP-155.
    #[default]
    Legacy = 0,
    /// EIP-2930: access list.
    AccessList = 1,
    /// EIP-1559: fee cap and tip.
    DynamicFee = 2,
    /// EIP-4844: carries blob hashes.
    Blob = 3,
    /// EIP-7702: carries authorisations that set code of accounts.
    SetCode = 4,
}

impl TxType {
    /// The type whose envelopes begin with `byte`; a legacy transaction has no envelope, and 0.
    #[must_use]
    pub fn from_byte(byte: u8) -> Option<Self> {
        [Self::Legacy, Self::AccessList, Self::DynamicFee, Self::Blob, Self::SetCode]
            .into_iter()
            .find(|tx_type| *tx_type as u8 == byte)
    }
}

/// An address and slots of it that a transaction declares (EIP-2930).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AccessListItem {
    /// The account to warm.
    pub address: Address,
    /// Its slots to warm.
    pub storage_keys: Vec<B256>,
}

/// A wish of an account to run the code of another (EIP-7702).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Authorization {
    /// Chain it is valid on; zero means every chain.
    pub chain_id: U256,
    /// Account whose code is to be run; the zero address clears the delegation.
    pub address: Address,
    /// Nonce the authority must have.
    pub nonce: u64,
}

/// An [`Authorization`] with its signature and, where recovery succeeded, its signer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SignedAuthorization {
    /// What was signed.
    #[serde(flatten)]
    pub authorization: Authorization,
    /// Who signed it, `None` for a signature that recovers to nobody. Such an entry is paid for
    /// and skipped.
    pub authority: Option<Address>,
}

/// A transaction with a known sender, ready to execute.
///
/// Prices are full words: nothing in the encoding keeps a sender from writing more than 128 bits,
/// and the answer to that must be "cannot be paid", not "cannot be read".
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Transaction {
    /// Envelope type.
    pub tx_type: TxType,
    /// Who signed it.
    pub sender: Address,
    /// Must equal the sender's nonce.
    pub nonce: u64,
    /// The callee, or [`TxKind::Create`].
    pub to: TxKind,
    /// Wei to hand over.
    pub value: U256,
    /// Calldata, or initcode of a creation.
    pub data: Bytes,
    /// Gas the sender buys.
    pub gas_limit: u64,
    /// Chain it is signed for; `None` for a legacy transaction without EIP-155.
    pub chain_id: Option<u64>,
    /// Most wei per gas: `gasPrice` of types 0 and 1, `maxFeePerGas` from type 2 on.
    pub gas_price: U256,
    /// Tip in wei per gas (EIP-1559); used from type 2 on.
    pub max_priority_fee: U256,
    /// Accounts and slots to warm (EIP-2930); used from type 1 on.
    pub access_list: Vec<AccessListItem>,
    /// Versioned hashes of the blobs (EIP-4844); used by type 3.
    pub blob_hashes: Vec<B256>,
    /// Most wei per blob gas (EIP-4844); used by type 3.
    pub max_fee_per_blob_gas: U256,
    /// Delegations to set (EIP-7702); used by type 4.
    pub authorizations: Vec<SignedAuthorization>,
}

impl Default for Transaction {
    /// A legacy call of the zero address: no value, no data, 21,000 gas.
    fn default() -> Self {
        Self {
            tx_type: TxType::Legacy,
            sender: Address::ZERO,
            nonce: 0,
            to: TxKind::Call(Address::ZERO),
            value: U256::ZERO,
            data: Bytes::new(),
            gas_limit: 21_000,
            chain_id: None,
            gas_price: U256::ZERO,
            max_priority_fee: U256::ZERO,
            access_list: Vec::new(),
            blob_hashes: Vec::new(),
            max_fee_per_blob_gas: U256::ZERO,
            authorizations: Vec::new(),
        }
    }
}
