//! Receipts: what a transaction did (Yellow Paper, section 4.4.2).

use alloy_primitives::{B256, Bloom, Log};
use alloy_rlp::Encodable;

use crate::{
    TxType, envelope,
    rlp::{Item, Lengths, Reader, Rlp, RlpError, RlpFault, write_items, write_list},
};

/// The receipt of a transaction in its block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Envelope type, which is that of the transaction.
    pub tx_type: TxType,
    /// How it ended.
    pub outcome: ReceiptOutcome,
    /// Gas used by this transaction and all before it in the block.
    pub cumulative_gas_used: u64,
    /// Addresses and topics of the logs.
    pub bloom: Bloom,
    /// What contracts logged, in order.
    pub logs: Vec<Log>,
}

/// The first field of a receipt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReceiptOutcome {
    /// Whether it succeeded (EIP-658, from Byzantium on).
    Status(bool),
    /// Root of the state after the transaction (before Byzantium).
    Root(B256),
}

impl Receipt {
    /// A receipt with the bloom that follows from `logs`.
    #[must_use]
    pub fn new(
        tx_type: TxType,
        outcome: ReceiptOutcome,
        cumulative_gas_used: u64,
        logs: Vec<Log>,
    ) -> Self {
        let bloom = logs.iter().collect();
        Self { tx_type, outcome, cumulative_gas_used, bloom, logs }
    }

    /// The envelope, as the trie of receipts holds it.
    #[must_use]
    pub fn encode_2718(&self) -> Vec<u8> {
        let mut out = Vec::new();
        envelope::write(self.tx_type, &mut out, |out| {
            self.outcome.write(out);
            self.cumulative_gas_used.encode(out);
            self.bloom.encode(out);
            write_items(out, &self.logs);
        });
        out
    }

    /// Reads an envelope, which must be all of `bytes`.
    pub fn decode_2718(bytes: &[u8]) -> Result<Self, RlpError> {
        let (tx_type, list) = envelope::decode(bytes, "receipt")?;
        Self::from_list(tx_type, &list)
    }

    /// Reads the list of an envelope.
    fn from_list(tx_type: TxType, list: &Item<'_>) -> Result<Self, RlpError> {
        let mut fields = list.list("receipt")?;
        let receipt = Self {
            tx_type,
            outcome: ReceiptOutcome::read(&mut fields)?,
            cumulative_gas_used: fields.u64("cumulative gas used")?,
            bloom: fields.fixed("bloom").map(Bloom::new)?,
            logs: fields.items("logs")?,
        };
        fields.finish("receipt")?;
        Ok(receipt)
    }
}

impl Rlp for Receipt {
    /// As an item of a list, where an envelope with a type is a string.
    fn write(&self, out: &mut Vec<u8>) {
        envelope::write_item(&self.encode_2718(), out);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, RlpError> {
        let (tx_type, list) = envelope::read(reader, "receipt")?;
        Self::from_list(tx_type, &list)
    }
}

impl Rlp for ReceiptOutcome {
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Status(success) => success.encode(out),
            Self::Root(root) => root.encode(out),
        }
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, RlpError> {
        let item = reader.item("status or state root")?;
        match item.string("status or state root")? {
            [] => Ok(Self::Status(false)),
            [1] => Ok(Self::Status(true)),
            root => B256::try_from(root).map(Self::Root).map_err(|_| {
                let expected = Lengths::Only(32);
                item.error("status or state root", RlpFault::Length { found: root.len(), expected })
            }),
        }
    }
}

impl Rlp for Log {
    fn write(&self, out: &mut Vec<u8>) {
        write_list(out, |out| {
            self.address.encode(out);
            write_list(out, |out| self.topics().iter().for_each(|topic| topic.encode(out)));
            self.data.data.encode(out);
        });
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, RlpError> {
        let item = reader.item("log")?;
        let mut fields = item.list("log")?;
        let address = fields.address("address of a log")?;
        let topics = fields.list_of("topics", |list| list.hash("topic"))?;
        let data = fields.bytes("data of a log")?;
        fields.finish("log")?;
        let found = topics.len();
        Self::new(address, topics, data)
            .ok_or_else(|| item.error("log", RlpFault::TooMany { found, max: 4 }))
    }
}
