//! Blocks: a header and what it commits to.

use alloy_primitives::{Address, B256};
use alloy_rlp::Encodable;
use serde::{Deserialize, Serialize};

use crate::{
    Header, SignedTransaction, quantity,
    rlp::{Reader, Rlp, RlpError, write_items, write_list},
};

/// A header with transactions, ommers and withdrawals.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Block {
    /// The header.
    pub header: Header,
    /// Transactions in the order of execution.
    pub transactions: Vec<SignedTransaction>,
    /// Headers of blocks that lost the race (Yellow Paper, section 4.4.1); none from Paris on.
    pub ommers: Vec<Header>,
    /// Withdrawals from the beacon chain (EIP-4895); `None` before Shanghai.
    pub withdrawals: Option<Vec<Withdrawal>>,
}

impl Rlp for Block {
    fn write(&self, out: &mut Vec<u8>) {
        write_list(out, |out| {
            self.header.write(out);
            write_items(out, &self.transactions);
            write_items(out, &self.ommers);
            if let Some(withdrawals) = &self.withdrawals {
                write_items(out, withdrawals);
            }
        });
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, RlpError> {
        let mut fields = reader.list("block")?;
        let block = Self {
            header: Header::read(&mut fields)?,
            transactions: fields.items("transactions")?,
            ommers: fields.items("ommers")?,
            withdrawals: match fields.is_empty() {
                true => None,
                false => Some(fields.items("withdrawals")?),
            },
        };
        fields.finish("block")?;
        Ok(block)
    }
}

/// Stake that leaves the beacon chain for an account (EIP-4895). JSON is that of JSON-RPC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Withdrawal {
    /// Counts all withdrawals.
    #[serde(with = "quantity")]
    pub index: u64,
    /// The validator whose stake it is.
    #[serde(with = "quantity")]
    pub validator_index: u64,
    /// Who gets it.
    pub address: Address,
    /// How much, in gwei.
    #[serde(with = "quantity")]
    pub amount: u64,
}

impl Rlp for Withdrawal {
    fn write(&self, out: &mut Vec<u8>) {
        write_list(out, |out| {
            self.index.encode(out);
            self.validator_index.encode(out);
            self.address.encode(out);
            self.amount.encode(out);
        });
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, RlpError> {
        let mut fields = reader.list("withdrawal")?;
        let withdrawal = Self {
            index: fields.u64("index of a withdrawal")?,
            validator_index: fields.u64("validator index of a withdrawal")?,
            address: fields.address("address of a withdrawal")?,
            amount: fields.u64("amount of a withdrawal")?,
        };
        fields.finish("withdrawal")?;
        Ok(withdrawal)
    }
}

impl Block {
    /// The block's hash, which is that of its header.
    #[must_use]
    pub fn hash(&self) -> B256 {
        self.header.hash()
    }
}
