//! Keys of the tables. Integers are big-endian, so keys sort as what they mean.

use zvm_core::{Address, B256, BlockId, keccak256};

/// How many blocks an entry of an index is about. Each block is a bit of a word.
pub(crate) const SECTION: u64 = 64;

/// The section a block is in.
pub(crate) fn section_of(block: u64) -> u64 {
    block / SECTION
}

/// Where a block is in its section.
pub(crate) fn place_in_section(block: u64) -> u8 {
    (block % SECTION) as u8
}

/// The first block of the section `block` is in.
pub(crate) fn section_start(block: u64) -> u64 {
    block - block % SECTION
}

/// Whether a block is the last of its section, with which the section goes into the indexes.
pub(crate) fn ends_section(block: u64) -> bool {
    block % SECTION == SECTION - 1
}

/// The key in `headers` and `bodies`: `number ‖ hash`.
pub(crate) fn block_key(block: BlockId) -> [u8; 40] {
    let mut key = [0; 40];
    key[..8].copy_from_slice(&block.number.to_be_bytes());
    key[8..].copy_from_slice(block.hash.as_slice());
    key
}

/// The key in `step_diffs`: `block ‖ step`. Step 0 is what is done before the first transaction,
/// step `i + 1` is transaction `i`.
pub(crate) fn step_key(block: u64, step: u32) -> [u8; 12] {
    let mut key = [0; 12];
    key[..8].copy_from_slice(&block.to_be_bytes());
    key[8..].copy_from_slice(&step.to_be_bytes());
    key
}

/// What events are found by: the address that logged, or a topic at its place. Eight bytes of a
/// hash; two may share one, so what is found is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct EventKey([u8; 9]);

impl EventKey {
    /// The contract that logged.
    pub(crate) fn address(address: Address) -> Self {
        Self::new(0, keccak256(address))
    }

    /// A topic at place 0 to 3.
    pub(crate) fn topic(place: usize, topic: B256) -> Self {
        Self::new(place as u8 + 1, keccak256(topic))
    }

    fn new(kind: u8, hash: B256) -> Self {
        let mut key = [kind; 9];
        key[1..].copy_from_slice(&hash[..8]);
        Self(key)
    }

    /// What its keys in `event_index` begin with.
    pub(crate) fn prefix(&self) -> &[u8] {
        &self.0
    }

    /// Its key in `event_index`: `kind ‖ 8 bytes of keccak ‖ section`.
    pub(crate) fn entry(&self, section: u64) -> [u8; 17] {
        let mut key = [0; 17];
        key[..9].copy_from_slice(&self.0);
        key[9..].copy_from_slice(&section.to_be_bytes());
        key
    }
}

/// The key in `address_index`: `address ‖ section`.
pub(crate) fn address_key(address: Address, section: u64) -> [u8; 28] {
    let mut key = [0; 28];
    key[..20].copy_from_slice(address.as_slice());
    key[20..].copy_from_slice(&section.to_be_bytes());
    key
}

/// The last eight bytes of a key, as the number they are.
pub(crate) fn last_number(key: &[u8]) -> u64 {
    key.last_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes))
}
