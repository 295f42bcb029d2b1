//! State diffs as bytes: compact, and one form for each diff.
//!
//! | part | bytes |
//! |---|---|
//! | version | 1, now `1` |
//! | number of accounts | varint |
//! | accounts, addresses ascending | see below |
//! | number of codes | varint |
//! | codes, hashes ascending | length (varint), code; the hash is not written but computed |
//!
//! An account is its address (20 bytes), one byte of flags, the old account if there was one, the
//! fields of the new account that differ from it (from an empty account if there was none), the
//! number of slots (varint), and the slots ascending: slot, old word, new word.
//!
//! | flag | meaning |
//! |---:|---|
//! | 1 | there was an account: nonce and balance follow |
//! | 2 | there is an account |
//! | 4 | wiped |
//! | 8 | the old account has code: its hash follows |
//! | 16 | another nonce follows |
//! | 32 | another balance follows |
//! | 64 | another code hash follows |
//!
//! A nonce is a varint: seven bits a byte, lowest first, the high bit set on all bytes but the
//! last. A balance, slot or word is its length in one byte and its big-endian bytes without leading
//! zeros. A hash is 32 bytes. Whatever could be written in two ways is refused in one of them, so
//! equal diffs are equal bytes and the other way round.

use std::collections::BTreeMap;

use alloy_primitives::{Address, B256, Bytes, U256, keccak256};

use crate::{
    AccountDiff, AccountInfo, KECCAK_EMPTY, SlotDiff, StateDiff,
    compact::{CompactError, Reader, require, write_bytes, write_word},
    varint,
};

/// The version that this program writes, and the only one it reads.
const VERSION: u8 = 1;

const HAS_OLD: u8 = 1;
const HAS_NEW: u8 = 1 << 1;
const WIPED: u8 = 1 << 2;
const OLD_CODE: u8 = 1 << 3;
const NONCE: u8 = 1 << 4;
const BALANCE: u8 = 1 << 5;
const CODE: u8 = 1 << 6;

/// Bytes that are no state diff.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeDiffError {
    /// The bytes end too soon.
    #[error("state diff: ends at byte {offset}, expected {expected}")]
    End {
        /// Number of bytes read.
        offset: usize,
        /// What should have come next.
        expected: &'static str,
    },

    /// The bytes were written by a program with another format.
    #[error("state diff: version {found}, expected {VERSION}")]
    Version {
        /// The first byte.
        found: u8,
    },

    /// The bytes mean nothing, or what they mean is written another way.
    #[error("state diff: byte {offset}: expected {expected}")]
    Invalid {
        /// Where the faulty part begins.
        offset: usize,
        /// What should have stood there.
        expected: &'static str,
    },
}

impl From<CompactError> for DecodeDiffError {
    fn from(error: CompactError) -> Self {
        match error {
            CompactError::End { offset, expected } => Self::End { offset, expected },
            CompactError::Invalid { offset, expected } => Self::Invalid { offset, expected },
        }
    }
}

impl StateDiff {
    /// The diff as bytes, compact and versioned: the same diff, the same bytes. The book has the
    /// form in its chapter on databases.
    ///
    /// Code is written without its hash, so [`code`](StateDiff::code) must be listed under the
    /// hashes that it has.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        varint::write(&mut out, self.accounts.len() as u64);
        for (address, account) in &self.accounts {
            out.extend_from_slice(address.as_slice());
            write_account(&mut out, account);
        }
        varint::write(&mut out, self.code.len() as u64);
        for code in self.code.values() {
            write_bytes(&mut out, code);
        }
        out
    }

    /// The diff that [`encode`](Self::encode) has written as `bytes`.
    ///
    /// Any bytes may be given. Those that `encode` would not write are refused, and memory stays
    /// below 100 times the length of `bytes`.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeDiffError> {
        let mut reader = Reader::new(bytes);
        match reader.byte("a version")? {
            VERSION => {}
            found => return Err(DecodeDiffError::Version { found }),
        }
        let mut diff = Self::default();
        for _ in 0..reader.varint("a number of accounts")? {
            let offset = reader.offset();
            let address = Address::from(reader.array("an address")?);
            let follows = diff.accounts.last_key_value().is_none_or(|(last, _)| *last < address);
            require(follows, offset, "an address above the one before")?;
            diff.accounts.insert(address, read_account(&mut reader)?);
        }
        for _ in 0..reader.varint("a number of codes")? {
            let offset = reader.offset();
            let code = Bytes::copy_from_slice(reader.bytes("a code")?);
            let hash = keccak256(&code);
            let follows = diff.code.last_key_value().is_none_or(|(last, _)| *last < hash);
            require(follows, offset, "a code whose hash is above the one before")?;
            diff.code.insert(hash, code);
        }
        reader.finish()?;
        Ok(diff)
    }
}

fn write_account(out: &mut Vec<u8>, account: &AccountDiff) {
    let base = account.old.unwrap_or_default();
    // Where there is no account any more, no field differs.
    let new = account.new.unwrap_or(base);
    let flag = |flag, is_set| if is_set { flag } else { 0 };
    let flags = flag(HAS_OLD, account.old.is_some())
        | flag(HAS_NEW, account.new.is_some())
        | flag(WIPED, account.wiped)
        | flag(OLD_CODE, base.has_code())
        | flag(NONCE, new.nonce != base.nonce)
        | flag(BALANCE, new.balance != base.balance)
        | flag(CODE, new.code_hash != base.code_hash);
    out.push(flags);
    if let Some(old) = account.old {
        varint::write(out, old.nonce);
        write_word(out, old.balance);
        if old.has_code() {
            out.extend_from_slice(old.code_hash.as_slice());
        }
    }
    if flags & NONCE != 0 {
        varint::write(out, new.nonce);
    }
    if flags & BALANCE != 0 {
        write_word(out, new.balance);
    }
    if flags & CODE != 0 {
        out.extend_from_slice(new.code_hash.as_slice());
    }
    varint::write(out, account.storage.len() as u64);
    for (&slot, word) in &account.storage {
        write_word(out, slot);
        write_word(out, word.old);
        write_word(out, word.new);
    }
}

fn read_account(reader: &mut Reader<'_>) -> Result<AccountDiff, CompactError> {
    let offset = reader.offset();
    let flags = reader.byte("flags of an account")?;
    let has = |flag| flags & flag != 0;
    let known = HAS_OLD | HAS_NEW | WIPED | OLD_CODE | NONCE | BALANCE | CODE;
    require(flags & !known == 0, offset, "flags below 128")?;
    require(has(HAS_OLD) || !has(OLD_CODE), offset, "code only of an account that was")?;
    let is_changed = has(NONCE) || has(BALANCE) || has(CODE);
    require(has(HAS_NEW) || !is_changed, offset, "changes only of an account that is")?;

    let old = match has(HAS_OLD) {
        true => Some(read_info(reader, has(OLD_CODE))?),
        false => None,
    };
    let base = old.unwrap_or_default();
    let mut new = base;
    if has(NONCE) {
        let offset = reader.offset();
        new.nonce = reader.varint("a nonce")?;
        require(new.nonce != base.nonce, offset, "another nonce")?;
    }
    if has(BALANCE) {
        let offset = reader.offset();
        new.balance = reader.word("a balance")?;
        require(new.balance != base.balance, offset, "another balance")?;
    }
    if has(CODE) {
        let offset = reader.offset();
        new.code_hash = B256::from(reader.array("a code hash")?);
        require(new.code_hash != base.code_hash, offset, "another code hash")?;
    }
    let new = has(HAS_NEW).then_some(new);
    Ok(AccountDiff { old, new, wiped: has(WIPED), storage: read_slots(reader)? })
}

fn read_info(reader: &mut Reader<'_>, has_code: bool) -> Result<AccountInfo, CompactError> {
    let nonce = reader.varint("a nonce")?;
    let balance = reader.word("a balance")?;
    let mut code_hash = KECCAK_EMPTY;
    if has_code {
        let offset = reader.offset();
        code_hash = B256::from(reader.array("a code hash")?);
        require(code_hash != KECCAK_EMPTY, offset, "the hash of some code")?;
    }
    Ok(AccountInfo { nonce, balance, code_hash })
}

fn read_slots(reader: &mut Reader<'_>) -> Result<BTreeMap<U256, SlotDiff>, CompactError> {
    let mut slots = BTreeMap::new();
    for _ in 0..reader.varint("a number of slots")? {
        let offset = reader.offset();
        let slot = reader.word("a slot")?;
        let follows = slots.last_key_value().is_none_or(|(last, _)| *last < slot);
        require(follows, offset, "a slot above the one before")?;
        let word = SlotDiff { old: reader.word("a word")?, new: reader.word("a word")? };
        slots.insert(slot, word);
    }
    Ok(slots)
}

#[cfg(test)]
mod tests {
    use proptest::{collection, option, prelude::*, sample::Index};

    use super::*;

    /// Words of every length, with zero and the greatest among them.
    fn word() -> impl Strategy<Value = U256> {
        prop_oneof![
            Just(U256::ZERO),
            Just(U256::MAX),
            (any::<[u8; 32]>(), 0..256_usize)
                .prop_map(|(bytes, shift)| U256::from_be_bytes(bytes) >> shift),
        ]
    }

    fn info() -> impl Strategy<Value = AccountInfo> {
        let nonce = prop_oneof![0_u64..300, any::<u64>(), Just(u64::MAX)];
        let code = option::of(any::<[u8; 32]>());
        (nonce, word(), code).prop_map(|(nonce, balance, code)| {
            let code_hash = code.map_or(KECCAK_EMPTY, B256::from);
            AccountInfo { nonce, balance, code_hash }
        })
    }

    fn account() -> impl Strategy<Value = AccountDiff> {
        let slot = (word(), word()).prop_map(|(old, new)| SlotDiff { old, new });
        let storage = collection::btree_map(word(), slot, 0..5);
        let fields = (option::of(info()), option::of(info()), any::<bool>(), storage);
        (fields, any::<bool>()).prop_map(|((old, new, wiped, storage), keep)| {
            let new = if keep { old } else { new };
            AccountDiff { old, new, wiped, storage }
        })
    }

    fn diff() -> impl Strategy<Value = StateDiff> {
        let address = any::<[u8; 20]>().prop_map(Address::from);
        let accounts = collection::btree_map(address, account(), 0..5);
        let code = collection::vec(collection::vec(any::<u8>(), 0..200), 0..4);
        (accounts, code).prop_map(|(accounts, code)| {
            let code = code.into_iter().map(|code| (keccak256(&code), Bytes::from(code)));
            StateDiff { accounts, code: code.collect() }
        })
    }

    /// What is read is written back the same, and a failure names a byte that is there.
    fn check(bytes: &[u8]) -> Result<(), TestCaseError> {
        match StateDiff::decode(bytes) {
            Ok(diff) => prop_assert_eq!(diff.encode(), bytes),
            Err(DecodeDiffError::End { offset, .. }) => prop_assert_eq!(offset, bytes.len()),
            Err(DecodeDiffError::Invalid { offset, .. }) => prop_assert!(offset < bytes.len()),
            Err(DecodeDiffError::Version { found }) => prop_assert_eq!(found, bytes[0]),
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn diffs_survive_bytes(diff in diff()) {
            prop_assert_eq!(StateDiff::decode(&diff.encode()), Ok(diff));
        }

        #[test]
        fn bytes_cut_short_are_refused(diff in diff(), at in any::<Index>()) {
            let bytes = diff.encode();
            let cut = &bytes[..at.index(bytes.len())];
            let found = StateDiff::decode(cut);
            let ends = matches!(found, Err(DecodeDiffError::End { offset, .. }) if offset == cut.len());
            prop_assert!(ends, "{:?}", found);
        }

        #[test]
        fn each_diff_has_one_form(diff in diff(), at in any::<Index>(), to in any::<u8>()) {
            let mut bytes = diff.encode();
            let at = at.index(bytes.len());
            bytes[at] = to;
            check(&bytes)?;
        }

        #[test]
        fn any_bytes_decode_without_panic(mut bytes in collection::vec(any::<u8>(), 0..300)) {
            check(&bytes)?;
            if let Some(version) = bytes.first_mut() {
                *version = VERSION;
            }
            check(&bytes)?;
        }
    }

    #[test]
    fn the_form_is_the_one_documented() {
        let old = AccountInfo { nonce: 300, balance: U256::from(0x0102), code_hash: KECCAK_EMPTY };
        let change = AccountDiff {
            old: Some(old),
            new: Some(AccountInfo { balance: U256::ZERO, ..old }),
            wiped: true,
            storage: [(U256::from(1), SlotDiff { old: U256::ZERO, new: U256::from(7) })].into(),
        };
        let code = Bytes::from_static(&[0x5b]);
        let diff = StateDiff {
            accounts: [(Address::repeat_byte(0xa1), change)].into(),
            code: [(keccak256(&code), code)].into(),
        };
        let mut expected = vec![1, 1];
        expected.extend([0xa1; 20]);
        expected.push(1 | 2 | 4 | 32);
        expected.extend([0xac, 0x02, 2, 1, 2]); // nonce and balance before
        expected.push(0); // balance after
        expected.extend([1, 1, 1, 0, 1, 7]); // one slot
        expected.extend([1, 1, 0x5b]); // one code
        assert_eq!(diff.encode(), expected);
        assert_eq!(StateDiff::default().encode(), [1, 0, 0]);
    }

    #[test]
    fn a_great_count_alone_allocates_nothing() {
        let mut bytes = vec![VERSION];
        varint::write(&mut bytes, u64::MAX);
        let expected = DecodeDiffError::End { offset: bytes.len(), expected: "an address" };
        assert_eq!(StateDiff::decode(&bytes), Err(expected));
    }

    #[test]
    fn faults_are_named_with_their_place() {
        let invalid = |offset, expected| Err(DecodeDiffError::Invalid { offset, expected });
        assert_eq!(StateDiff::decode(&[2]), Err(DecodeDiffError::Version { found: 2 }));
        assert_eq!(StateDiff::decode(&[1, 0, 0, 9]), invalid(3, "the end"));
        assert_eq!(StateDiff::decode(&[1, 0x80, 0]), invalid(1, "a number in its shortest form"));
        let mut long = vec![1];
        long.extend([0xff; 9]);
        long.push(2);
        assert_eq!(StateDiff::decode(&long), invalid(1, "a number below 2^64"));
        assert_eq!(
            StateDiff::decode(&[1, 0, 2, 1, 0, 1, 0]),
            invalid(5, "a code whose hash is above the one before")
        );
    }
}
