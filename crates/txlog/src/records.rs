//! Bodies of stored records. Faults are told as text: the caller knows the table and the file.

use alloy_rlp::Encodable;
use zvm_core::{
    Address, B256, Block, Header, Log, Receipt, ReceiptOutcome, TxKind, TxType, U256, keccak256,
    rlp::{Reader, Rlp, RlpError, RlpFault, write_items, write_list},
};
use zvm_trie::log::TreeHead;

/// A body of 8 bytes.
pub(crate) fn number(body: &[u8]) -> Result<u64, String> {
    array(body).map(u64::from_be_bytes)
}

/// A body of 32 bytes.
pub(crate) fn hash(body: &[u8]) -> Result<B256, String> {
    array(body).map(B256::new)
}

/// Blocks of a section: the lowest bit is the first of them. At least one is set.
pub(crate) fn bitmap(body: &[u8]) -> Result<u64, String> {
    let blocks = number(body)?;
    if blocks == 0 { Err("no block".to_owned()) } else { Ok(blocks) }
}

/// Writes what [`bitmap`] reads.
pub(crate) fn bitmap_body(blocks: u64) -> [u8; 8] {
    blocks.to_be_bytes()
}

/// Where a transaction is: `block u64 ‖ index u32`.
pub(crate) fn place(body: &[u8]) -> Result<(u64, u32), String> {
    let bytes: [u8; 12] = array(body)?;
    let (block, index) = bytes.split_at(8);
    Ok((number(block)?, array(index).map(u32::from_be_bytes)?))
}

/// Writes what [`place`] reads.
pub(crate) fn place_body(block: u64, index: u32) -> Vec<u8> {
    [block.to_be_bytes().as_slice(), &index.to_be_bytes()].concat()
}

/// A head of the Merkle log: `size u64 ‖ root`.
pub(crate) fn tree_head(body: &[u8]) -> Result<TreeHead, String> {
    let bytes: [u8; 40] = array(body)?;
    let (size, root) = bytes.split_at(8);
    Ok(TreeHead { size: number(size)?, root: hash(root)? })
}

/// Writes what [`tree_head`] reads.
pub(crate) fn tree_head_body(head: &TreeHead) -> Vec<u8> {
    [head.size.to_be_bytes().as_slice(), head.root.as_slice()].concat()
}

/// A header behind the difficulties of the block and all before it, in RLP.
pub(crate) fn header(body: &[u8]) -> Result<(U256, Header), String> {
    let mut reader = Reader::new(body);
    let mut read = || -> Result<_, RlpError> {
        let record = (reader.u256("total difficulty")?, Header::read(&mut reader)?);
        reader.finish("header")?;
        Ok(record)
    };
    read().map_err(|error| error.to_string())
}

/// Writes what [`header`] reads.
pub(crate) fn header_body(header: &Header, total_difficulty: U256) -> Vec<u8> {
    let mut out = Vec::new();
    total_difficulty.encode(&mut out);
    header.write(&mut out);
    out
}

/// A block but for its header: the lists of transactions, ommers and, from Shanghai on, withdrawals.
pub(crate) fn body(body: &[u8]) -> Result<Block, String> {
    let mut reader = Reader::new(body);
    let mut read = || -> Result<_, RlpError> {
        let block = Block {
            header: Header::default(),
            transactions: reader.items("transactions")?,
            ommers: reader.items("ommers")?,
            withdrawals: match reader.is_empty() {
                true => None,
                false => Some(reader.items("withdrawals")?),
            },
        };
        reader.finish("body")?;
        Ok(block)
    };
    read().map_err(|error| error.to_string())
}

/// Writes what [`body`] reads.
pub(crate) fn body_body(block: &Block) -> Vec<u8> {
    let mut out = Vec::new();
    write_items(&mut out, &block.transactions);
    write_items(&mut out, &block.ommers);
    if let Some(withdrawals) = &block.withdrawals {
        write_items(&mut out, withdrawals);
    }
    out
}

/// A transaction of a block and what came of it: what a receipt holds but for the bloom, which
/// follows from the logs, and what would take long to work out again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StoredReceipt {
    pub(crate) hash: B256,
    pub(crate) sender: Address,
    pub(crate) to: TxKind,
    pub(crate) tx_type: TxType,
    pub(crate) outcome: ReceiptOutcome,
    pub(crate) cumulative_gas_used: u64,
    pub(crate) logs: Vec<Log>,
}

impl StoredReceipt {
    pub(crate) fn new(hash: B256, sender: Address, to: TxKind, receipt: &Receipt) -> Self {
        Self {
            hash,
            sender,
            to,
            tx_type: receipt.tx_type,
            outcome: receipt.outcome,
            cumulative_gas_used: receipt.cumulative_gas_used,
            logs: receipt.logs.clone(),
        }
    }

    /// keccak-256 of the receipt, the envelope of EIP-2718.
    pub(crate) fn receipt_hash(&self) -> B256 {
        keccak256(self.clone().into_receipt().encode_2718())
    }

    /// The receipt, its bloom worked out anew.
    pub(crate) fn into_receipt(self) -> Receipt {
        Receipt::new(self.tx_type, self.outcome, self.cumulative_gas_used, self.logs)
    }
}

/// The receipts of a block: an RLP list with a list for each transaction.
pub(crate) fn receipts(body: &[u8]) -> Result<Vec<StoredReceipt>, String> {
    let mut reader = Reader::new(body);
    let receipts = reader.items("receipts");
    let receipts = receipts.and_then(|receipts| reader.finish("receipts").map(|()| receipts));
    receipts.map_err(|error| error.to_string())
}

/// Writes what [`receipts`] reads.
pub(crate) fn receipts_body(receipts: &[StoredReceipt]) -> Vec<u8> {
    let mut out = Vec::new();
    write_items(&mut out, receipts);
    out
}

impl Rlp for StoredReceipt {
    fn write(&self, out: &mut Vec<u8>) {
        write_list(out, |out| {
            self.hash.encode(out);
            self.sender.encode(out);
            self.to.to().map_or(&[][..], |to| to.as_slice()).encode(out);
            (self.tx_type as u8).encode(out);
            self.outcome.write(out);
            self.cumulative_gas_used.encode(out);
            write_items(out, &self.logs);
        });
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, RlpError> {
        let mut fields = reader.list("receipt")?;
        let receipt = Self {
            hash: fields.hash("transaction hash")?,
            sender: fields.address("sender")?,
            to: fields.tx_kind("recipient")?,
            tx_type: read_type(&mut fields)?,
            outcome: ReceiptOutcome::read(&mut fields)?,
            cumulative_gas_used: fields.u64("cumulative gas used")?,
            logs: fields.items("logs")?,
        };
        fields.finish("receipt")?;
        Ok(receipt)
    }
}

fn read_type(fields: &mut Reader<'_>) -> Result<TxType, RlpError> {
    let start = fields.clone();
    let found = fields.u8("transaction type")?;
    let fault = || start.error("transaction type", RlpFault::TxType { found });
    TxType::from_byte(found).ok_or_else(fault)
}

fn array<const N: usize>(body: &[u8]) -> Result<[u8; N], String> {
    body.try_into().map_err(|_| format!("{} bytes, expected {N}", body.len()))
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};
    use zvm_core::{Bytes, Withdrawal};

    use super::*;

    #[test]
    fn records_read_back_as_written() {
        let block = Block {
            withdrawals: Some(vec![Withdrawal { index: 7, ..Withdrawal::default() }]),
            ommers: vec![Header { number: 3, ..Header::default() }],
            ..Block::default()
        };
        assert_eq!(body(&body_body(&block)), Ok(block));
        let block = Block::default();
        assert_eq!(body(&body_body(&block)), Ok(block));
        let found = header(&header_body(&Header::default(), U256::MAX));
        assert_eq!(found, Ok((U256::MAX, Header::default())));
        let head = TreeHead { size: 3, root: B256::repeat_byte(3) };
        assert_eq!(tree_head(&tree_head_body(&head)), Ok(head));
        assert_eq!(place(&place_body(5, 7)), Ok((5, 7)));

        let log = Log::new(Address::ZERO, vec![B256::ZERO; 4], Bytes::from_static(b"data"));
        let logs = vec![log.unwrap()];
        for (to, outcome) in [
            (TxKind::Create, ReceiptOutcome::Status(true)),
            (TxKind::Call(Address::ZERO), ReceiptOutcome::Status(false)),
            (TxKind::Create, ReceiptOutcome::Root(B256::repeat_byte(9))),
        ] {
            let receipt = Receipt::new(TxType::Blob, outcome, 21_000, logs.clone());
            let stored = StoredReceipt::new(B256::ZERO, Address::repeat_byte(1), to, &receipt);
            let read = receipts(&receipts_body(std::slice::from_ref(&stored)));
            assert_eq!(read, Ok(vec![stored.clone()]));
            assert_eq!(stored.into_receipt(), receipt);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_decode_without_panic(bytes in vec(any::<u8>(), 0..200)) {
            let _ = receipts(&bytes);
            let _ = header(&bytes);
            let _ = body(&bytes);
            let _ = tree_head(&bytes);
            let _ = place(&bytes);
        }
    }
}
