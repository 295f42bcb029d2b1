//! The block after the recorded state, with the transactions of it that were asked for.
//!
//! | part | bytes |
//! |---|---|
//! | header | length (varint), RLP |
//! | transactions | how many (varint); length (varint) and EIP-2718 envelope; in their order |
//! | outcomes | how many (varint, at least one); places ascending |
//!
//! An outcome is the place of its transaction (varint), one byte (0 = it failed, 1 = it succeeded,
//! 2 = the receipt does not say), the gas it used (varint) and its logs (length as a varint, RLP).

use std::collections::BTreeMap;

use zvm_core::{
    B256, Header, Log, SignedTransaction,
    compact::{Reader, require, write_bytes},
    rlp::{Reader as RlpReader, Rlp, RlpError, write_items},
    varint,
};

use super::RecordingError;
use crate::{PlacedTransaction, ReportedOutcome};

/// The block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NextBlock {
    pub(super) header: Header,
    transactions: Vec<SignedTransaction>,
    /// What came of the transactions that were asked for, by their places.
    outcomes: BTreeMap<usize, ReportedOutcome>,
}

const FAILED: u8 = 0;
const SUCCEEDED: u8 = 1;
const UNSAID: u8 = 2;

impl NextBlock {
    pub(super) fn of(placed: &PlacedTransaction) -> Self {
        Self {
            header: placed.header().clone(),
            transactions: placed.transactions().to_vec(),
            outcomes: [(placed.index(), placed.outcome().clone())].into(),
        }
    }

    /// How many transactions were asked for.
    pub(super) fn len(&self) -> usize {
        self.outcomes.len()
    }

    /// Adds what `other` has of the same block. `Err` names what differs, in the plural.
    pub(super) fn merge(&mut self, other: &Self) -> Result<(), &'static str> {
        if (&self.header, &self.transactions) != (&other.header, &other.transactions) {
            return Err("blocks");
        }
        for (index, outcome) in &other.outcomes {
            let known = self.outcomes.entry(*index).or_insert_with(|| outcome.clone());
            if known != outcome {
                return Err("receipts");
            }
        }
        Ok(())
    }

    /// The transaction with `hash`, if it was asked for. An error says why there cannot be such a
    /// block.
    pub(super) fn transaction(&self, hash: B256) -> Option<Result<PlacedTransaction, String>> {
        let is_it = |index: usize| self.transactions.get(index).is_some_and(|tx| tx.hash() == hash);
        let (index, outcome) = self.outcomes.iter().find(|(index, _)| is_it(**index))?;
        let (header, transactions) = (self.header.clone(), self.transactions.clone());
        Some(PlacedTransaction::new(header, transactions, *index, outcome.clone()))
    }

    /// Checks that the header is that of a block with these transactions, after the block with the
    /// hash `parent`.
    pub(super) fn verify(&self, parent: B256) -> Result<(), String> {
        let found = self.header.parent_hash;
        if found != parent {
            return Err(format!("the next block follows {found}, expected {parent}"));
        }
        let (header, transactions) = (self.header.clone(), self.transactions.clone());
        PlacedTransaction::new(header, transactions, 0, ReportedOutcome::default()).map(drop)
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        write_bytes(out, &self.header.encode());
        varint::write(out, self.transactions.len() as u64);
        for transaction in &self.transactions {
            write_bytes(out, &transaction.encode_2718());
        }
        varint::write(out, self.outcomes.len() as u64);
        for (index, ReportedOutcome { succeeded, gas_used, logs }) in &self.outcomes {
            varint::write(out, *index as u64);
            out.push(match succeeded {
                Some(false) => FAILED,
                Some(true) => SUCCEEDED,
                None => UNSAID,
            });
            varint::write(out, *gas_used);
            let mut list = Vec::new();
            write_items(&mut list, logs);
            write_bytes(out, &list);
        }
    }

    /// Reads what [`write`](Self::write) has written.
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, RecordingError> {
        let header = rlp(reader, "a header", Header::decode)?;
        let mut transactions = Vec::new();
        for _ in 0..reader.varint("a number of transactions")? {
            transactions.push(rlp(reader, "a transaction", SignedTransaction::decode_2718)?);
        }
        let offset = reader.offset();
        let count = reader.varint("a number of outcomes")?;
        require(count > 0, offset, "an outcome at least")?;
        let mut outcomes = BTreeMap::new();
        for _ in 0..count {
            let offset = reader.offset();
            let index = usize::try_from(reader.varint("a place")?).unwrap_or(usize::MAX);
            let follows = outcomes.last_key_value().is_none_or(|(last, _)| *last < index);
            let is_there = index < transactions.len();
            require(follows && is_there, offset, "the place of a later transaction")?;
            let offset = reader.offset();
            let byte = reader.byte("how it ended")?;
            require(byte <= UNSAID, offset, "how it ended, up to 2")?;
            let succeeded = (byte != UNSAID).then_some(byte == SUCCEEDED);
            let gas_used = reader.varint("gas")?;
            let logs = rlp(reader, "logs", logs)?;
            outcomes.insert(index, ReportedOutcome { succeeded, gas_used, logs });
        }
        Ok(Self { header, transactions, outcomes })
    }
}

/// Reads bytes with their length and what is in them.
fn rlp<T>(
    reader: &mut Reader<'_>,
    expected: &'static str,
    decode: impl Fn(&[u8]) -> Result<T, RlpError>,
) -> Result<T, RecordingError> {
    let offset = reader.offset();
    let bytes = reader.bytes(expected)?;
    decode(bytes).map_err(|error| RecordingError::Rlp { what: expected, offset, error })
}

/// A list of logs that is all of `bytes`.
fn logs(bytes: &[u8]) -> Result<Vec<Log>, RlpError> {
    let mut reader = RlpReader::new(bytes);
    let logs = reader.items("logs")?;
    reader.finish("logs")?;
    Ok(logs)
}
