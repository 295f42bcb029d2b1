//! A transaction at its place in a block.

use zvm_core::{B256, Header, Log, SignedTransaction};
use zvm_trie::ordered_root;

/// A transaction of a remote chain with the block that it is in, and what came of it there.
///
/// That the block has these transactions in this order is checked against its header, and the header
/// is known by its hash. What came of the transaction is what somebody says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlacedTransaction {
    header: Header,
    transactions: Vec<SignedTransaction>,
    index: usize,
    outcome: ReportedOutcome,
}

/// What came of a transaction, as its receipt has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReportedOutcome {
    /// Whether it succeeded; `None` before Byzantium, where receipts do not say.
    pub succeeded: Option<bool>,
    /// Gas of this transaction alone.
    pub gas_used: u64,
    /// What contracts logged, in order.
    pub logs: Vec<Log>,
}

impl PlacedTransaction {
    /// The transaction at `index` of the block with this `header`.
    ///
    /// # Errors
    ///
    /// What is wrong: there is none at that place, or the header is that of a block with other
    /// transactions.
    pub fn new(
        header: Header,
        transactions: Vec<SignedTransaction>,
        index: usize,
        outcome: ReportedOutcome,
    ) -> Result<Self, String> {
        let encoded: Vec<_> = transactions.iter().map(SignedTransaction::encode_2718).collect();
        let (found, expected) = (ordered_root(&encoded), header.transactions_root);
        let (number, count) = (header.number, transactions.len());
        if found != expected {
            return Err(format!(
                "block {number}: its transactions have root {found}, expected {expected}"
            ));
        }
        if index >= count {
            return Err(format!("transaction {index} of block {number}, which has {count}"));
        }
        Ok(Self { header, transactions, index, outcome })
    }

    /// The header of the block.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// All transactions of the block, in order.
    #[must_use]
    pub fn transactions(&self) -> &[SignedTransaction] {
        &self.transactions
    }

    /// Its place among them, from 0.
    #[must_use]
    pub fn index(&self) -> usize {
        self.index
    }

    /// What came of it, as somebody says.
    #[must_use]
    pub fn outcome(&self) -> &ReportedOutcome {
        &self.outcome
    }

    /// The hash of the transaction.
    #[must_use]
    pub fn hash(&self) -> B256 {
        // The index is that of a transaction, see `new`.
        self.transactions.get(self.index).map(SignedTransaction::hash).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use zvm_core::{SigningKey, UnsignedTransaction};

    use super::*;

    #[test]
    fn a_block_has_the_transactions_that_its_header_says() {
        let key = SigningKey::new(&[7; 32]).unwrap();
        let sign = |nonce| UnsignedTransaction { nonce, ..Default::default() }.sign(&key);
        let transactions = vec![sign(0), sign(1)];
        let encoded: Vec<_> = transactions.iter().map(SignedTransaction::encode_2718).collect();
        let header =
            Header { number: 9, transactions_root: ordered_root(&encoded), ..Header::default() };
        let placed = |transactions: &[SignedTransaction], index| {
            let outcome = ReportedOutcome::default();
            PlacedTransaction::new(header.clone(), transactions.to_vec(), index, outcome)
        };
        let second = placed(&transactions, 1).unwrap();
        assert_eq!(second.hash(), transactions[1].hash());
        let error = placed(&transactions, 2).unwrap_err();
        assert_eq!(error, "transaction 2 of block 9, which has 2");
        let swapped = [transactions[1].clone(), transactions[0].clone()];
        for others in [&swapped[..], &transactions[..1], &[]] {
            let error = placed(others, 0).unwrap_err();
            assert!(error.starts_with("block 9: its transactions have root 0x"), "{error}");
        }
    }
}
