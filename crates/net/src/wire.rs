//! From the fields of messages to the types of the house, and back.
//!
//! Whatever comes off the wire passes here before anything believes it.

use prost::bytes::Bytes as Wire;
use zvm_core::{
    Account, AccountInfo, Address, B256, BlockId, Bytes, DecodeDiffError, KECCAK_EMPTY, StateDiff,
    U256,
};

use crate::proto;

/// A field that is not what it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WireError {
    /// Another number of bytes than it has.
    #[error("{field}: {found} bytes, expected {expected}")]
    Length {
        /// Which field.
        field: &'static str,
        /// How many bytes there are.
        found: usize,
        /// How many there should be.
        expected: &'static str,
    },

    /// A number with a leading zero byte, so that there would be two ways to write it.
    #[error("{field}: expected no leading zero bytes")]
    LeadingZero {
        /// Which field.
        field: &'static str,
    },

    /// Nothing where something must be.
    #[error("{field}: absent")]
    Absent {
        /// Which field.
        field: &'static str,
    },

    /// No diff.
    #[error(transparent)]
    Diff(#[from] DecodeDiffError),
}

/// A session's name: nobody guesses it.
pub(crate) type SessionId = [u8; 16];

pub(crate) fn address(field: &'static str, bytes: &[u8]) -> Result<Address, WireError> {
    array(field, bytes, "20").map(Address::from)
}

pub(crate) fn hash(field: &'static str, bytes: &[u8]) -> Result<B256, WireError> {
    array(field, bytes, "32").map(B256::from)
}

pub(crate) fn session(bytes: &[u8]) -> Result<SessionId, WireError> {
    array("session", bytes, "16")
}

fn array<const N: usize>(
    field: &'static str,
    bytes: &[u8],
    expected: &'static str,
) -> Result<[u8; N], WireError> {
    bytes.try_into().map_err(|_| WireError::Length { field, found: bytes.len(), expected })
}

pub(crate) fn word(field: &'static str, bytes: &[u8]) -> Result<U256, WireError> {
    if bytes.len() > 32 {
        return Err(WireError::Length { field, found: bytes.len(), expected: "at most 32" });
    }
    if bytes.first() == Some(&0) {
        return Err(WireError::LeadingZero { field });
    }
    Ok(U256::from_be_slice(bytes))
}

pub(crate) fn from_word(word: U256) -> Wire {
    let bytes = word.to_be_bytes::<32>();
    Wire::copy_from_slice(bytes.get(32 - word.byte_len()..).unwrap_or_default())
}

pub(crate) fn from_slice(bytes: impl AsRef<[u8]>) -> Wire {
    Wire::copy_from_slice(bytes.as_ref())
}

pub(crate) fn diff(bytes: &[u8]) -> Result<StateDiff, WireError> {
    Ok(StateDiff::decode(bytes)?)
}

/// Empty bytes stand for the hash of no code.
fn code_hash(bytes: &[u8]) -> Result<B256, WireError> {
    if bytes.is_empty() { Ok(KECCAK_EMPTY) } else { hash("code hash", bytes) }
}

fn from_code_hash(info: &AccountInfo) -> Wire {
    if info.has_code() { from_slice(info.code_hash) } else { Wire::new() }
}

pub(crate) fn account(found: &proto::Account) -> Result<Option<Account>, WireError> {
    if !found.exists {
        return Ok(None);
    }
    let info = AccountInfo {
        nonce: found.nonce,
        balance: word("balance", &found.balance)?,
        code_hash: code_hash(&found.code_hash)?,
    };
    Ok(Some(Account { info, has_storage: found.has_storage }))
}

pub(crate) fn from_account(account: Option<Account>) -> proto::Account {
    let Some(Account { info, has_storage }) = account else { return proto::Account::default() };
    proto::Account {
        exists: true,
        nonce: info.nonce,
        balance: from_word(info.balance),
        code_hash: from_code_hash(&info),
        has_storage,
    }
}

pub(crate) fn account_entry(
    entry: &proto::AccountEntry,
) -> Result<(Address, AccountInfo), WireError> {
    let info = AccountInfo {
        nonce: entry.nonce,
        balance: word("balance", &entry.balance)?,
        code_hash: code_hash(&entry.code_hash)?,
    };
    Ok((address("address", &entry.address)?, info))
}

pub(crate) fn from_account_entry(address: Address, info: AccountInfo) -> proto::AccountEntry {
    proto::AccountEntry {
        address: from_slice(address),
        nonce: info.nonce,
        balance: from_word(info.balance),
        code_hash: from_code_hash(&info),
    }
}

pub(crate) fn slot_entry(entry: &proto::SlotEntry) -> Result<(U256, U256), WireError> {
    Ok((word("slot", &entry.slot)?, word("word", &entry.word)?))
}

pub(crate) fn from_slot_entry(slot: U256, word: U256) -> proto::SlotEntry {
    proto::SlotEntry { slot: from_word(slot), word: from_word(word) }
}

/// The state a session reads: that after a block, who made the block, and the name that the state has
/// in this life of the server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) block: BlockId,
    pub(crate) mark: Option<B256>,
    pub(crate) state: u64,
}

pub(crate) fn standing(found: &proto::Standing) -> Result<Standing, WireError> {
    let hash_of = |bytes: &[u8]| hash("block hash", bytes);
    let mark = match found.mark.as_ref() {
        [] => None,
        mark => Some(hash("mark", mark)?),
    };
    let block = BlockId { number: found.number, hash: hash_of(&found.hash)? };
    Ok(Standing { block, mark, state: found.state })
}

pub(crate) fn from_standing(standing: &Standing) -> proto::Standing {
    proto::Standing {
        number: standing.block.number,
        hash: from_slice(standing.block.hash),
        mark: standing.mark.map(from_slice).unwrap_or_default(),
        state: standing.state,
    }
}

/// One thing to be read of a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Read {
    /// An account.
    Account(Address),
    /// A word of an account's storage.
    Slot(Address, U256),
    /// The code with this hash.
    Code(B256),
    /// The hash of the block with this number.
    BlockHash(u64),
}

/// What was found by a [`Read`] of the same name.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Found {
    /// An account, if there is one.
    Account(Option<Account>),
    /// A word.
    Slot(U256),
    /// Code.
    Code(Bytes),
    /// The hash of a block.
    BlockHash(B256),
}

/// What a query asks for.
pub(crate) enum Asked {
    Read(Read),
    Floor,
}

pub(crate) fn query(query: &proto::Query) -> Result<Asked, WireError> {
    use proto::query::What;
    let read = match query.what.as_ref().ok_or(WireError::Absent { field: "query" })? {
        What::Account(bytes) => Read::Account(address("address", bytes)?),
        What::Slot(at) => Read::Slot(address("address", &at.address)?, word("slot", &at.slot)?),
        What::Code(bytes) => Read::Code(hash("code hash", bytes)?),
        What::BlockHash(number) => Read::BlockHash(*number),
        What::Floor(proto::Floor {}) => return Ok(Asked::Floor),
    };
    Ok(Asked::Read(read))
}

pub(crate) fn from_read(read: Read) -> proto::Query {
    use proto::query::What;
    let what = match read {
        Read::Account(address) => What::Account(from_slice(address)),
        Read::Slot(address, slot) => {
            What::Slot(proto::Slot { address: from_slice(address), slot: from_word(slot) })
        }
        Read::Code(hash) => What::Code(from_slice(hash)),
        Read::BlockHash(number) => What::BlockHash(number),
    };
    proto::Query { what: Some(what) }
}

pub(crate) fn from_found(found: Found) -> proto::answer::What {
    use proto::answer::What;
    match found {
        Found::Account(account) => What::Account(from_account(account)),
        Found::Slot(word) => What::Word(from_word(word)),
        Found::Code(code) => What::Code(code.0),
        Found::BlockHash(hash) => What::BlockHash(from_slice(hash)),
    }
}

/// What an answer has, if it is one to `read`.
pub(crate) fn found(read: Read, answer: proto::answer::What) -> Result<Found, WireError> {
    use proto::answer::What;
    Ok(match (read, answer) {
        (Read::Account(_), What::Account(found)) => Found::Account(account(&found)?),
        (Read::Slot(..), What::Word(bytes)) => Found::Slot(word("word", &bytes)?),
        (Read::Code(_), What::Code(code)) => Found::Code(Bytes(code)),
        (Read::BlockHash(_), What::BlockHash(bytes)) => {
            Found::BlockHash(hash("block hash", &bytes)?)
        }
        _ => return Err(WireError::Absent { field: "the answer to what was asked" }),
    })
}

/// A change that a client asks for.
pub(crate) enum Write {
    Commit { id: B256, block: BlockId, diff: StateDiff },
    Seed(StateDiff),
    Unwind(u64),
    Snapshot,
    Revert(u64),
    Release(u64),
    BlockHash(u64, B256),
}

pub(crate) fn write(what: Option<proto::write_request::What>) -> Result<Write, WireError> {
    use proto::write_request::What;
    Ok(match what.ok_or(WireError::Absent { field: "what to write" })? {
        What::Commit(commit) => Write::Commit {
            id: hash("id", &commit.id)?,
            block: BlockId { number: commit.number, hash: hash("block hash", &commit.hash)? },
            diff: diff(&commit.diff)?,
        },
        What::Seed(bytes) => Write::Seed(diff(&bytes)?),
        What::Unwind(number) => Write::Unwind(number),
        What::Snapshot(proto::TakeSnapshot {}) => Write::Snapshot,
        What::Revert(id) => Write::Revert(id),
        What::Release(id) => Write::Release(id),
        What::BlockHash(at) => Write::BlockHash(at.number, hash("block hash", &at.hash)?),
    })
}

#[cfg(test)]
mod tests {
    use proptest::{collection, prelude::*};

    use super::*;

    proptest! {
        #[test]
        fn words_read_back(bytes: [u8; 32], shift in 0_usize..=256) {
            let value = U256::from_be_bytes(bytes).checked_shr(shift).unwrap_or_default();
            prop_assert_eq!(word("word", &from_word(value)), Ok(value));
        }

        #[test]
        fn what_is_read_as_a_word_is_written_in_the_same_bytes(
            bytes in collection::vec(any::<u8>(), 0..40),
        ) {
            if let Ok(value) = word("word", &bytes) {
                prop_assert_eq!(from_word(value).to_vec(), bytes);
            }
        }
    }

    #[test]
    fn accounts_read_back() {
        let info = AccountInfo { nonce: 7, balance: U256::MAX, code_hash: B256::repeat_byte(1) };
        for found in [
            None,
            Some(Account::default()),
            Some(Account { info, has_storage: true }),
            Some(AccountInfo { nonce: 1, ..AccountInfo::default() }.into()),
        ] {
            assert_eq!(account(&from_account(found)), Ok(found));
        }
    }

    #[test]
    fn an_answer_to_something_else_is_refused() {
        let answer = from_found(Found::Slot(U256::ZERO));
        assert!(found(Read::Account(Address::ZERO), answer.clone()).is_err());
        assert!(found(Read::Slot(Address::ZERO, U256::ZERO), answer).is_ok());
    }

    #[test]
    fn faults_name_the_field() {
        let short = address("address", &[1; 19]).unwrap_err();
        assert_eq!(short.to_string(), "address: 19 bytes, expected 20");
        let zero = word("balance", &[0, 1]).unwrap_err();
        assert_eq!(zero.to_string(), "balance: expected no leading zero bytes");
        assert!(write(None).is_err());
        assert!(query(&proto::Query { what: None }).is_err());
    }
}
