//! Bodies of stored records, byte by byte; integers are big-endian. Faults are told as text: the
//! caller knows the table and the file.

use alloy_rlp::{Decodable, Encodable, Header};
use zvm_core::{
    Account, AccountInfo, Address, B256, BlockId, EMPTY_ROOT, KECCAK_EMPTY, U256, varint,
};

use super::{
    keys::{Life, life},
    storage::{INLINE_MAX, Storage},
};
pub(super) use crate::kv::records::seal;

/// An account as it is stored: the RLP list
/// `[address, nonce, balance, code hash or "", storage root or "", slots, ...]`. What follows the number
/// of slots is the incarnation under which they are in the table `storage`; or, up to [`INLINE_MAX`]
/// of them, slot and word of each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct AccountRecord {
    /// What the key is the hash of: a walk over the state says whose accounts it meets.
    pub(super) address: Address,
    pub(super) info: AccountInfo,
    /// Root of the storage trie.
    pub(super) storage_root: B256,
    pub(super) storage: Storage,
}

impl AccountRecord {
    pub(super) fn without_storage(address: Address, info: AccountInfo) -> Self {
        Self { address, info, storage_root: EMPTY_ROOT, storage: Storage::default() }
    }

    pub(super) fn to_account(&self) -> Account {
        Account { info: self.info, has_storage: !self.storage.is_empty() }
    }

    /// The life whose slots are in `storage`, of the account under `hash`.
    pub(super) fn life(&self, hash: &B256) -> Option<Life> {
        match self.storage {
            Storage::Inline(_) => None,
            Storage::Table { incarnation, .. } => Some(life(hash, incarnation)),
        }
    }

    /// The slots that are in the record.
    pub(super) fn inline(&self) -> &[SlotRecord] {
        match &self.storage {
            Storage::Inline(slots) => slots,
            Storage::Table { .. } => &[],
        }
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let code_hash = if self.info.has_code() { self.info.code_hash.as_slice() } else { &[] };
        let slots = self.storage.count();
        let root = if slots > 0 { self.storage_root.as_slice() } else { &[] };
        let payload_length = self.address.length()
            + self.info.nonce.length()
            + self.info.balance.length()
            + code_hash.length()
            + root.length()
            + slots.length()
            + match &self.storage {
                Storage::Inline(slots) => {
                    slots.iter().map(|slot| slot.slot.length() + slot.word.length()).sum()
                }
                Storage::Table { incarnation, .. } => incarnation.length(),
            };
        let mut body = Vec::with_capacity(payload_length + 3);
        Header { list: true, payload_length }.encode(&mut body);
        self.address.encode(&mut body);
        self.info.nonce.encode(&mut body);
        self.info.balance.encode(&mut body);
        code_hash.encode(&mut body);
        root.encode(&mut body);
        slots.encode(&mut body);
        match &self.storage {
            Storage::Inline(slots) => {
                for slot in slots {
                    slot.slot.encode(&mut body);
                    slot.word.encode(&mut body);
                }
            }
            Storage::Table { incarnation, .. } => incarnation.encode(&mut body),
        }
        body
    }

    pub(super) fn decode(body: &[u8]) -> Result<Self, String> {
        let Fields { address, info, storage_root, mut rest } = Fields::decode(body)?;
        let slots = u64::decode(&mut rest).map_err(rlp)?;
        let storage = if slots > INLINE_MAX {
            Storage::Table { incarnation: u32::decode(&mut rest).map_err(rlp)?, slots }
        } else {
            Storage::Inline(decode_inline(slots, &mut rest)?)
        };
        if !rest.is_empty() {
            return Err(format!("account: {} bytes too many", rest.len()));
        }
        if (slots == 0) != (storage_root == EMPTY_ROOT) {
            return Err(format!("account: {slots} slots under storage root {storage_root}"));
        }
        Ok(Self { address, info, storage_root, storage })
    }

    /// What the trie of accounts has of a record: its slots are passed over.
    pub(super) fn decode_leaf(body: &[u8]) -> Result<(AccountInfo, B256), String> {
        let Fields { info, storage_root, .. } = Fields::decode(body)?;
        Ok((info, storage_root))
    }
}

/// The fields of an account before its slots, and the bytes behind them.
struct Fields<'a> {
    address: Address,
    info: AccountInfo,
    storage_root: B256,
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    fn decode(mut body: &'a [u8]) -> Result<Self, String> {
        let mut rest = Header::decode_bytes(&mut body, true).map_err(rlp)?;
        if !body.is_empty() {
            return Err(format!("account: {} bytes too many", body.len()));
        }
        let address = Address::decode(&mut rest).map_err(rlp)?;
        let nonce = u64::decode(&mut rest).map_err(rlp)?;
        let balance = U256::decode(&mut rest).map_err(rlp)?;
        let mut hash = |what, absent| match Header::decode_bytes(&mut rest, false) {
            Err(error) => Err(rlp(error)),
            Ok([]) => Ok(absent),
            Ok(hash) => B256::try_from(hash).map_err(|_| length(what, hash.len(), 32)),
        };
        let code_hash = hash("code hash", KECCAK_EMPTY)?;
        let storage_root = hash("storage root", EMPTY_ROOT)?;
        let info = AccountInfo { nonce, balance, code_hash };
        Ok(Self { address, info, storage_root, rest })
    }
}

/// So many slots, in ascending order, none of them zero.
fn decode_inline(count: u64, rest: &mut &[u8]) -> Result<Vec<SlotRecord>, String> {
    let mut slots: Vec<SlotRecord> = Vec::with_capacity(count.min(INLINE_MAX) as usize);
    for _ in 0..count {
        let slot = U256::decode(rest).map_err(rlp)?;
        let word = U256::decode(rest).map_err(rlp)?;
        if word.is_zero() {
            return Err(format!("account: slot {slot} is zero"));
        }
        if slots.last().is_some_and(|before| before.slot >= slot) {
            return Err(format!("account: slot {slot} is out of order"));
        }
        slots.push(SlotRecord { slot, word });
    }
    Ok(slots)
}

fn rlp(error: alloy_rlp::Error) -> String {
    format!("account: {error}")
}

/// The head as it is stored: `number u64 ‖ hash ‖ root`, or the root alone before the first block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) block: Option<BlockId>,
    pub(super) root: B256,
}

impl Head {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut body = Vec::with_capacity(72);
        if let Some(BlockId { number, hash }) = self.block {
            body.extend_from_slice(&number.to_be_bytes());
            body.extend_from_slice(hash.as_slice());
        }
        body.extend_from_slice(self.root.as_slice());
        body
    }

    pub(super) fn decode(body: &[u8]) -> Result<Self, String> {
        let (block, root) = match body.split_last_chunk::<32>() {
            Some(([], root)) => (None, root),
            Some((block, root)) => {
                let block: [u8; 40] = array(block)?;
                let (number_bytes, hash) = block.split_at(8);
                let hash = B256::from_slice(hash);
                (Some(BlockId { number: number(number_bytes)?, hash }), root)
            }
            None => return Err(length("head", body.len(), 72)),
        };
        Ok(Self { block, root: B256::from(*root) })
    }

    /// The number of the block; `None` before the first.
    pub(super) fn number(&self) -> Option<u64> {
        self.block.map(|block| block.number)
    }
}

impl Default for Head {
    /// That of a new store.
    fn default() -> Self {
        Self { block: None, root: EMPTY_ROOT }
    }
}

/// The blocks of a history entry: the first, then the distance to each next, as LEB128.
pub(super) fn encode_blocks(blocks: &[u64]) -> Vec<u8> {
    let mut body = Vec::with_capacity(blocks.len() + 3);
    let mut before = 0;
    for block in blocks {
        varint::write(&mut body, block - before);
        before = *block;
    }
    body
}

/// Reads what [`encode_blocks`] wrote: at least one block, ascending.
pub(super) fn decode_blocks(body: &[u8]) -> Result<Vec<u64>, String> {
    let (mut blocks, mut rest) = (Vec::<u64>::new(), body);
    while !rest.is_empty() {
        let distance = varint::read(&mut rest).map_err(|error| format!("blocks: {error}"))?;
        let block = match blocks.last() {
            None => Some(distance),
            Some(before) => before.checked_add(distance).filter(|block| block > before),
        };
        blocks.push(block.ok_or("blocks: not in ascending order")?);
    }
    match blocks.is_empty() {
        true => Err("blocks: none".to_owned()),
        false => Ok(blocks),
    }
}

/// A slot as it is stored: length of the slot u8 ‖ slot ‖ word, both without leading zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SlotRecord {
    /// What the end of the key is the hash of.
    pub(super) slot: U256,
    /// Never zero where it is stored.
    pub(super) word: U256,
}

impl SlotRecord {
    /// Nothing for a word of zero.
    pub(super) fn encode(&self) -> Vec<u8> {
        if self.word.is_zero() {
            return Vec::new();
        }
        let slot_length = self.slot.byte_len();
        let mut body = Vec::with_capacity(1 + slot_length + self.word.byte_len());
        body.push(slot_length as u8);
        body.extend_from_slice(&self.slot.to_be_bytes::<32>()[32 - slot_length..]);
        body.extend_from_slice(&self.word.to_be_bytes::<32>()[32 - self.word.byte_len()..]);
        body
    }

    pub(super) fn decode(body: &[u8]) -> Result<Self, String> {
        let (slot_length, rest) = body.split_first().ok_or("slot: empty")?;
        let (slot, word) = rest
            .split_at_checked(usize::from(*slot_length))
            .ok_or_else(|| length("slot", rest.len(), usize::from(*slot_length)))?;
        if word.is_empty() {
            return Err("word: empty".to_owned());
        }
        Ok(Self { slot: trimmed("slot", slot)?, word: trimmed("word", word)? })
    }
}

/// A number of at most 32 bytes without leading zeros.
fn trimmed(what: &str, bytes: &[u8]) -> Result<U256, String> {
    if bytes.first() == Some(&0) {
        return Err(format!("{what}: with leading zeros"));
    }
    U256::try_from_be_slice(bytes).ok_or_else(|| length(what, bytes.len(), 32))
}

/// A body of 8 bytes.
pub(super) fn number(body: &[u8]) -> Result<u64, String> {
    array(body).map(u64::from_be_bytes)
}

/// A body of exactly `N` bytes.
pub(super) fn array<const N: usize>(body: &[u8]) -> Result<[u8; N], String> {
    body.try_into().map_err(|_| length("value", body.len(), N))
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
            address in any::<[u8; 20]>(),
            nonce in any::<u64>(),
            balance in any::<[u8; 32]>(),
            code_hash in any::<Option<[u8; 32]>>(),
            storage in any::<Option<([u8; 32], u32, u64)>>(),
            inline in collection::btree_map(any::<u64>(), 1..=u64::MAX, 0..=INLINE_MAX as usize),
        ) {
            let info = AccountInfo {
                nonce,
                balance: U256::from_be_bytes(balance),
                code_hash: code_hash.map_or(KECCAK_EMPTY, B256::from),
            };
            let mut record = AccountRecord::without_storage(address.into(), info);
            if let Some((root, incarnation, slots)) = storage {
                record.storage_root = root.into();
                let slots = slots.max(INLINE_MAX + 1);
                record.storage = Storage::Table { incarnation, slots };
            } else if !inline.is_empty() {
                record.storage_root = balance.into();
                let slot = |(slot, word)| SlotRecord { slot: U256::from(slot), word: U256::from(word) };
                record.storage = Storage::Inline(inline.into_iter().map(slot).collect());
            }
            prop_assert_eq!(
                AccountRecord::decode_leaf(&record.encode()),
                Ok((record.info, record.storage_root))
            );
            prop_assert_eq!(AccountRecord::decode(&record.encode()), Ok(record));
        }

        #[test]
        fn slots_read_back(slot in any::<[u8; 32]>(), word in any::<[u8; 32]>(), zeros in 0..32_usize) {
            let (slot, word) = (U256::from_be_bytes(slot) >> (zeros * 8), U256::from_be_bytes(word));
            let record = SlotRecord { slot, word: word.max(U256::from(1)) };
            prop_assert_eq!(SlotRecord::decode(&record.encode()), Ok(record));
        }

        #[test]
        fn blocks_read_back(blocks in collection::btree_set(any::<u64>(), 1..9)) {
            let blocks: Vec<u64> = blocks.into_iter().collect();
            prop_assert_eq!(decode_blocks(&encode_blocks(&blocks)), Ok(blocks));
        }

        #[test]
        fn inline_slots_have_one_form(slots in collection::vec((0..3_u8, 0..2_u8), 1..4)) {
            let mut record = AccountRecord::without_storage(Address::ZERO, AccountInfo::default());
            record.storage_root = B256::repeat_byte(1);
            let slot = |&(slot, word)| SlotRecord { slot: U256::from(slot), word: U256::from(word) };
            record.storage = Storage::Inline(slots.iter().map(slot).collect());
            let is_valid = slots.is_sorted_by(|a, b| a.0 < b.0) && slots.iter().all(|slot| slot.1 > 0);
            prop_assert_eq!(AccountRecord::decode(&record.encode()).is_ok(), is_valid);
        }

        #[test]
        fn any_bytes_decode_without_panic(bytes in collection::vec(any::<u8>(), 0..120)) {
            let _ = AccountRecord::decode(&bytes);
            let _ = Head::decode(&bytes);
            let _ = decode_blocks(&bytes);
            let _ = SlotRecord::decode(&bytes);
        }
    }
}
