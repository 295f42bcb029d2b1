//! What was done to a list, told from the list that it should be.

use std::{collections::HashSet, fmt};

use zvm_core::{Address, B256};

/// A part of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LogPart {
    /// The header, or the block as a whole.
    Block,
    /// The difficulties of the block and all before it.
    TotalDifficulty,
    /// A transaction of the body.
    Transaction(u32),
    /// A receipt, with sender and recipient.
    Receipt(u32),
    /// The ommers.
    Ommers,
    /// The withdrawals.
    Withdrawals,
    /// The entry of the block in the Merkle log.
    BlockEntry,
    /// The entry of a transaction in the Merkle log.
    Entry(u32),
    /// A hash above entries of the Merkle log.
    Subtree {
        /// How often entries were paired for it.
        level: u32,
        /// Its index on that level.
        index: u64,
    },
    /// Size and root of the Merkle log.
    TreeHead,
    /// By which a transaction is found.
    Place(u32),
    /// By which transactions are found, whatever the block.
    Places,
    /// What the steps of the block changed.
    Steps,
    /// By which events are found, in the section that ends with the block.
    EventIndex,
    /// By which the history of an address is found, in the section that ends with the block.
    AddressIndex(Address),
    /// By which histories are found, whatever the address.
    AddressIndexes,
}

impl fmt::Display for LogPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Block => f.write_str("the block"),
            Self::TotalDifficulty => f.write_str("its total difficulty"),
            Self::Transaction(index) => write!(f, "transaction {index}"),
            Self::Receipt(index) => write!(f, "receipt {index}"),
            Self::Ommers => f.write_str("the ommers"),
            Self::Withdrawals => f.write_str("the withdrawals"),
            Self::BlockEntry => f.write_str("its entry in the Merkle log"),
            Self::Entry(index) => write!(f, "the entry of transaction {index} in the Merkle log"),
            Self::Subtree { level, index } => {
                write!(f, "subtree {index} of level {level} of the Merkle log")
            }
            Self::TreeHead => f.write_str("the head of the Merkle log"),
            Self::Place(index) => write!(f, "the place of transaction {index}"),
            Self::Places => f.write_str("the place of a transaction"),
            Self::Steps => f.write_str("what its transactions changed"),
            Self::EventIndex => f.write_str("the index of events"),
            Self::AddressIndexes => f.write_str("the index of an address"),
            Self::AddressIndex(address) => write!(f, "the index of address {address}"),
        }
    }
}

/// What was done to a part of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// It is not what it was.
    Changed,
    /// It is not there.
    Dropped,
    /// It was not there.
    Inserted,
    /// It is something that belongs elsewhere.
    Moved {
        /// Where it belongs.
        from: u64,
    },
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Changed => f.write_str("was changed"),
            Self::Dropped => f.write_str("was dropped"),
            Self::Inserted => f.write_str("was inserted"),
            Self::Moved { from } => write!(f, "is in the place of another: it belongs at {from}"),
        }
    }
}

/// What was done to the list `found`, which should be `expected` and is not: where it begins to
/// differ, and why.
pub(super) fn place(
    expected: &[B256],
    found: &[B256],
    part: fn(u32) -> LogPart,
) -> (LogPart, FaultKind) {
    let same = expected.iter().zip(found).take_while(|(one, other)| one == other).count();
    let wanted: HashSet<&B256> = expected.iter().collect();
    let there: HashSet<&B256> = found.iter().collect();
    let is_kept = expected.get(same).is_none_or(|hash| there.contains(hash));
    let is_known = found.get(same).is_none_or(|hash| wanted.contains(hash));
    let kind = match (is_kept, is_known) {
        (false, false) => FaultKind::Changed,
        (false, true) => FaultKind::Dropped,
        (true, false) => FaultKind::Inserted,
        (true, true) => {
            let from = found.get(same).and_then(|hash| expected.iter().position(|one| one == hash));
            match from {
                // The same one twice.
                Some(from) if from < same => FaultKind::Inserted,
                Some(from) => FaultKind::Moved { from: from as u64 },
                None => FaultKind::Dropped,
            }
        }
    };
    (part(same as u32), kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_done_to_a_list_is_told() {
        let list = |bytes: &[u8]| -> Vec<B256> {
            bytes.iter().map(|byte| B256::repeat_byte(*byte)).collect()
        };
        for (found, index, kind) in [
            (&[1, 2, 9, 4][..], 2, FaultKind::Changed),
            (&[1, 3, 4], 1, FaultKind::Dropped),
            (&[1, 2, 3], 3, FaultKind::Dropped),
            (&[], 0, FaultKind::Dropped),
            (&[1, 9, 2, 3, 4], 1, FaultKind::Inserted),
            (&[1, 2, 3, 4, 9], 4, FaultKind::Inserted),
            (&[1, 1, 2, 3, 4], 1, FaultKind::Inserted),
            (&[1, 3, 2, 4], 1, FaultKind::Moved { from: 2 }),
            (&[4, 1, 2, 3], 0, FaultKind::Moved { from: 3 }),
        ] {
            let told = place(&list(&[1, 2, 3, 4]), &list(found), LogPart::Transaction);
            assert_eq!(told, (LogPart::Transaction(index), kind), "{found:?}");
        }
    }
}
