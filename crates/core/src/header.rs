//! Headers of blocks (Yellow Paper, section 4.4).

use alloy_primitives::{Address, B64, B256, Bloom, Bytes, U256, b256, keccak256};
use alloy_rlp::Encodable;
use serde::{Deserialize, Serialize};

use crate::{
    BlockEnv, EMPTY_ROOT, quantity,
    rlp::{Reader, Rlp, RlpError, write_list},
};

/// keccak-256 of the RLP of an empty list: the ommers hash of a block without ommers.
pub const EMPTY_OMMERS_HASH: B256 =
    b256!("1dcc4de8dec75d7aab85b567b6ccd41ad312451b948a7413f0a142fd40d49347");

/// The header of a block. JSON is that of `eth_getBlockByNumber`.
///
/// Later hard forks appended fields. The encoding ends before the first that is `None`, so a
/// field behind a missing one does not count; which must be there is a rule of each hard fork.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Header {
    /// Hash of the header before.
    pub parent_hash: B256,
    /// keccak-256 of the list of ommers.
    #[serde(rename = "sha3Uncles")]
    pub ommers_hash: B256,
    /// Who gets fees and, before Paris, the reward.
    #[serde(rename = "miner")]
    pub beneficiary: Address,
    /// Root of the state after the block.
    pub state_root: B256,
    /// Root of the list of transactions.
    pub transactions_root: B256,
    /// Root of the list of receipts.
    pub receipts_root: B256,
    /// Addresses and topics of all logs.
    pub logs_bloom: Bloom,
    /// Proof-of-work difficulty; zero from Paris on.
    pub difficulty: U256,
    /// Height; the genesis has 0.
    #[serde(with = "quantity")]
    pub number: u64,
    /// Gas all transactions may use together.
    #[serde(with = "quantity")]
    pub gas_limit: u64,
    /// Gas all transactions used together.
    #[serde(with = "quantity")]
    pub gas_used: u64,
    /// Unix time in seconds.
    #[serde(with = "quantity")]
    pub timestamp: u64,
    /// What its maker liked to say; 32 bytes at most.
    pub extra_data: Bytes,
    /// Mix hash of the proof of work; PREVRANDAO from Paris on (EIP-4399).
    pub mix_hash: B256,
    /// Nonce of the proof of work; zero from Paris on.
    pub nonce: B64,
    /// Base fee per gas in wei (EIP-1559, from London on).
    #[serde(default, with = "quantity::option", skip_serializing_if = "Option::is_none")]
    pub base_fee_per_gas: Option<u64>,
    /// Root of the list of withdrawals (EIP-4895, from Shanghai on).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub withdrawals_root: Option<B256>,
    /// Blob gas all transactions used together (EIP-4844, from Cancun on).
    #[serde(default, with = "quantity::option", skip_serializing_if = "Option::is_none")]
    pub blob_gas_used: Option<u64>,
    /// Blob gas used in excess of the target so far, this block's without (EIP-4844).
    #[serde(default, with = "quantity::option", skip_serializing_if = "Option::is_none")]
    pub excess_blob_gas: Option<u64>,
    /// Root of the parent's beacon block (EIP-4788, from Cancun on).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_beacon_block_root: Option<B256>,
    /// Commitment to requests to the beacon chain (EIP-7685, from Prague on).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests_hash: Option<B256>,
}

impl Header {
    /// The block's hash: keccak-256 of the encoded header.
    #[must_use]
    pub fn hash(&self) -> B256 {
        keccak256(self.encode())
    }

    /// What the block tells its transactions.
    #[must_use]
    pub fn env(&self) -> BlockEnv {
        BlockEnv {
            number: self.number,
            timestamp: self.timestamp,
            beneficiary: self.beneficiary,
            gas_limit: self.gas_limit,
            difficulty: self.difficulty,
            prevrandao: self.mix_hash,
            base_fee: self.base_fee_per_gas.unwrap_or(0),
            excess_blob_gas: self.excess_blob_gas.unwrap_or(0),
        }
    }
}

impl Default for Header {
    /// Height 0, no transactions, no fields of later forks; all else zero.
    fn default() -> Self {
        Self {
            parent_hash: B256::ZERO,
            ommers_hash: EMPTY_OMMERS_HASH,
            beneficiary: Address::ZERO,
            state_root: EMPTY_ROOT,
            transactions_root: EMPTY_ROOT,
            receipts_root: EMPTY_ROOT,
            logs_bloom: Bloom::ZERO,
            difficulty: U256::ZERO,
            number: 0,
            gas_limit: 0,
            gas_used: 0,
            timestamp: 0,
            extra_data: Bytes::new(),
            mix_hash: B256::ZERO,
            nonce: B64::ZERO,
            base_fee_per_gas: None,
            withdrawals_root: None,
            blob_gas_used: None,
            excess_blob_gas: None,
            parent_beacon_block_root: None,
            requests_hash: None,
        }
    }
}

impl Rlp for Header {
    fn write(&self, out: &mut Vec<u8>) {
        write_list(out, |out| {
            self.parent_hash.encode(out);
            self.ommers_hash.encode(out);
            self.beneficiary.encode(out);
            self.state_root.encode(out);
            self.transactions_root.encode(out);
            self.receipts_root.encode(out);
            self.logs_bloom.encode(out);
            self.difficulty.encode(out);
            self.number.encode(out);
            self.gas_limit.encode(out);
            self.gas_used.encode(out);
            self.timestamp.encode(out);
            self.extra_data.encode(out);
            self.mix_hash.encode(out);
            self.nonce.encode(out);
            let later: [Option<&dyn Encodable>; 6] = [
                self.base_fee_per_gas.as_ref().map(|field| field as _),
                self.withdrawals_root.as_ref().map(|field| field as _),
                self.blob_gas_used.as_ref().map(|field| field as _),
                self.excess_blob_gas.as_ref().map(|field| field as _),
                self.parent_beacon_block_root.as_ref().map(|field| field as _),
                self.requests_hash.as_ref().map(|field| field as _),
            ];
            later.into_iter().map_while(|field| field).for_each(|field| field.encode(out));
        });
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, RlpError> {
        /// Reads a field if the list goes on.
        fn later<'a, T>(
            fields: &mut Reader<'a>,
            read: impl FnOnce(&mut Reader<'a>) -> Result<T, RlpError>,
        ) -> Result<Option<T>, RlpError> {
            if fields.is_empty() { Ok(None) } else { read(fields).map(Some) }
        }

        let mut fields = reader.list("header")?;
        let header = Self {
            parent_hash: fields.hash("parent hash")?,
            ommers_hash: fields.hash("ommers hash")?,
            beneficiary: fields.address("beneficiary")?,
            state_root: fields.hash("state root")?,
            transactions_root: fields.hash("transactions root")?,
            receipts_root: fields.hash("receipts root")?,
            logs_bloom: fields.fixed("logs bloom").map(Bloom::new)?,
            difficulty: fields.u256("difficulty")?,
            number: fields.u64("number")?,
            gas_limit: fields.u64("gas limit")?,
            gas_used: fields.u64("gas used")?,
            timestamp: fields.u64("timestamp")?,
            extra_data: fields.bytes("extra data")?,
            mix_hash: fields.hash("mix hash")?,
            nonce: fields.fixed("nonce").map(B64::new)?,
            base_fee_per_gas: later(&mut fields, |list| list.u64("base fee per gas"))?,
            withdrawals_root: later(&mut fields, |list| list.hash("withdrawals root"))?,
            blob_gas_used: later(&mut fields, |list| list.u64("blob gas used"))?,
            excess_blob_gas: later(&mut fields, |list| list.u64("excess blob gas"))?,
            parent_beacon_block_root: later(&mut fields, |list| {
                list.hash("parent beacon block root")
            })?,
            requests_hash: later(&mut fields, |list| list.hash("requests hash"))?,
        };
        fields.finish("header")?;
        Ok(header)
    }
}
