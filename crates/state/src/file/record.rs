//! Stored records, byte by byte.
//!
//! Every record is `version u8 ‖ body ‖ checksum u32`, integers big-endian. The checksum is the
//! CRC-32 of the key, the version and the body, so a record also shows when it sits under another
//! key. Faults are told as text; the caller knows the table and the file.

use alloy_rlp::{Decodable, Encodable, Header};
use zvm_core::{AccountInfo, B256, KECCAK_EMPTY, U256, keccak256};

/// The version byte that this program writes, and the only one it reads.
const VERSION: u8 = 1;

/// Length of version and checksum.
const ENVELOPE: usize = 5;

/// An account as it is stored: the RLP list `[nonce, balance, code hash or "", slots]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AccountRecord {
    pub(super) info: AccountInfo,
    /// Number of non-zero slots.
    pub(super) slots: u64,
}

impl AccountRecord {
    pub(super) fn encode(&self) -> Vec<u8> {
        let code_hash = if self.info.has_code() { self.info.code_hash.as_slice() } else { &[] };
        let mut fields = Vec::with_capacity(80);
        self.info.nonce.encode(&mut fields);
        self.info.balance.encode(&mut fields);
        code_hash.encode(&mut fields);
        self.slots.encode(&mut fields);
        let mut body = Vec::with_capacity(fields.len() + 2);
        Header { list: true, payload_length: fields.len() }.encode(&mut body);
        body.extend(fields);
        body
    }

    pub(super) fn decode(body: &[u8]) -> Result<Self, String> {
        let rlp = |error: alloy_rlp::Error| format!("account: {error}");
        let mut rest = body;
        let mut fields = Header::decode_bytes(&mut rest, true).map_err(rlp)?;
        let nonce = u64::decode(&mut fields).map_err(rlp)?;
        let balance = U256::decode(&mut fields).map_err(rlp)?;
        let code_hash = match Header::decode_bytes(&mut fields, false).map_err(rlp)? {
            [] => KECCAK_EMPTY,
            hash => B256::try_from(hash).map_err(|_| length("code hash", hash.len(), 32))?,
        };
        let slots = u64::decode(&mut fields).map_err(rlp)?;
        match rest.len() + fields.len() {
            0 => Ok(Self { info: AccountInfo { nonce, balance, code_hash }, slots }),
            extra => Err(format!("account: {extra} bytes too many")),
        }
    }
}

/// keccak-256 of a slot's 32 bytes, as the storage trie keys it.
pub(super) fn slot_hash(slot: U256) -> B256 {
    keccak256(slot.to_be_bytes::<32>())
}

/// The key of a slot: `keccak(address) ‖ keccak(slot)`.
pub(super) fn storage_key(address_hash: B256, slot_hash: B256) -> [u8; 64] {
    let mut key = [0; 64];
    key[..32].copy_from_slice(address_hash.as_slice());
    key[32..].copy_from_slice(slot_hash.as_slice());
    key
}

/// A word without leading zeros, as it is stored.
pub(super) fn word_body(word: U256) -> Vec<u8> {
    word.to_be_bytes_trimmed_vec()
}

/// The word of a body. Zero is never stored.
pub(super) fn word(body: &[u8]) -> Result<U256, String> {
    match body {
        [] | [0, ..] => Err("word: empty or with leading zeros".to_owned()),
        bytes => U256::try_from_be_slice(bytes).ok_or_else(|| length("word", bytes.len(), 32)),
    }
}

/// A body of exactly `N` bytes.
pub(super) fn array<const N: usize>(body: &[u8]) -> Result<[u8; N], String> {
    body.try_into().map_err(|_| length("value", body.len(), N))
}

/// The record that stores `body` under `key`.
pub(super) fn seal(key: &[u8], body: &[u8]) -> Vec<u8> {
    let mut record = Vec::with_capacity(body.len() + ENVELOPE);
    record.push(VERSION);
    record.extend_from_slice(body);
    record.extend(checksum(key, &record).to_be_bytes());
    record
}

/// The body of the record found under `key`.
pub(super) fn unseal<'a>(key: &[u8], record: &'a [u8]) -> Result<&'a [u8], String> {
    let (sealed, found) = record
        .split_last_chunk()
        .filter(|(sealed, _)| !sealed.is_empty())
        .ok_or_else(|| format!("{} bytes, expected at least {ENVELOPE}", record.len()))?;
    let (found, expected) = (u32::from_be_bytes(*found), checksum(key, sealed));
    if found != expected {
        return Err(format!("checksum {found:#010x}, expected {expected:#010x}"));
    }
    match sealed {
        [VERSION, body @ ..] => Ok(body),
        [version, ..] => Err(format!("record version {version}, expected {VERSION}")),
        [] => Err("no version".to_owned()),
    }
}

fn checksum(key: &[u8], sealed: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(key);
    hasher.update(sealed);
    hasher.finalize()
}

fn length(what: &str, found: usize, expected: usize) -> String {
    format!("{what}: {found} bytes, expected {expected}")
}

#[cfg(test)]
mod tests {
    use proptest::{collection, prelude::*};

    use super::*;

    proptest! {
        #[test]
        fn accounts_read_back(
            nonce in any::<u64>(),
            balance in any::<[u8; 32]>(),
            code_hash in any::<Option<[u8; 32]>>(),
            slots in any::<u64>(),
        ) {
            let info = AccountInfo {
                nonce,
                balance: U256::from_be_bytes(balance),
                code_hash: code_hash.map_or(KECCAK_EMPTY, B256::from),
            };
            let record = AccountRecord { info, slots };
            prop_assert_eq!(AccountRecord::decode(&record.encode()), Ok(record));
        }

        #[test]
        fn any_bytes_decode_without_panic(bytes in collection::vec(any::<u8>(), 0..120)) {
            let _ = AccountRecord::decode(&bytes);
            let _ = unseal(b"key", &bytes);
            let _ = word(&bytes);
        }

        #[test]
        fn a_flipped_bit_or_another_key_is_noticed(
            body in collection::vec(any::<u8>(), 0..60),
            bit in any::<prop::sample::Index>(),
        ) {
            let mut record = seal(b"key", &body);
            prop_assert_eq!(unseal(b"key", &record), Ok(body.as_slice()));
            prop_assert!(unseal(b"kex", &record).is_err());
            let bit = bit.index(record.len() * 8);
            record[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(unseal(b"key", &record).is_err());
        }
    }
}
