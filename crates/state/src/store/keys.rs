//! Keys of the tables. Integers are big-endian, so keys sort as what they mean.

use zvm_core::B256;

pub(super) use zvm_trie::slot_hash;

/// `keccak(address) ‖ incarnation`: what the slots and storage trie of one life of an account begin
/// with.
///
/// Slots that are in the record of their account need none. An account that loses all its slots in the
/// table at once gets a new incarnation with its next ones there. The old slots stay where they are for
/// as long as the past needs them.
pub(super) type Life = [u8; 36];

/// The key of a slot: `life ‖ keccak(slot)`.
pub(super) type SlotKey = [u8; 68];

pub(super) fn life(address_hash: &B256, incarnation: u32) -> Life {
    let mut key = [0; 36];
    key[..32].copy_from_slice(address_hash.as_slice());
    key[32..].copy_from_slice(&incarnation.to_be_bytes());
    key
}

pub(super) fn slot_key(life: &Life, slot_hash: &B256) -> SlotKey {
    let mut key = [0; 68];
    key[..36].copy_from_slice(life);
    key[36..].copy_from_slice(slot_hash.as_slice());
    key
}

/// The life a slot belongs to.
pub(super) fn life_of(key: &SlotKey) -> Life {
    std::array::from_fn(|index| key[index])
}

/// keccak-256 of the slot of a key.
pub(super) fn slot_hash_of(key: &SlotKey) -> B256 {
    B256::from_slice(&key[36..])
}

/// What a record in `changes` is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(super) enum Kind {
    /// The head before the block. The key is empty.
    Head = 0,
    /// An account, under the hash of its address.
    Account = 1,
    /// A slot, under its key in `storage`.
    Slot = 2,
    /// A life that ended in this block, with the number of its slots u64; none means zero.
    Ended = 3,
    /// A run of the records that the block wrote, under its number u32. Kept for the newest blocks.
    Redo = 4,
    /// No record has it: the end of redos.
    PastRedo = 5,
}

impl Kind {
    pub(super) fn from_byte(byte: u8) -> Option<Self> {
        [Self::Head, Self::Account, Self::Slot, Self::Ended, Self::Redo]
            .into_iter()
            .find(|kind| *kind as u8 == byte)
    }
}

/// The key in `changes`: `block ‖ kind ‖ key`.
pub(super) fn change_key(block: u64, kind: Kind, key: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(9 + key.len());
    bytes.extend_from_slice(&block.to_be_bytes());
    bytes.push(kind as u8);
    bytes.extend_from_slice(key);
    bytes
}

/// Under which a change is found in `history`: kind, and 16 bytes of the hashes in its key.
///
/// Two keys may share one. The index only says where to look; `changes` has the whole key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct IndexKey(pub(super) [u8; 17]);

impl IndexKey {
    pub(super) fn account(address_hash: &B256) -> Self {
        let mut key = [Kind::Account as u8; 17];
        key[1..].copy_from_slice(&address_hash[..16]);
        Self(key)
    }

    pub(super) fn slot(slot: &SlotKey) -> Self {
        let mut key = [Kind::Slot as u8; 17];
        key[1..9].copy_from_slice(&slot[..8]);
        key[9..].copy_from_slice(&slot[36..44]);
        Self(key)
    }

    /// The key in `history` of an entry whose last block is `block`.
    pub(super) fn entry(&self, block: u64) -> [u8; 25] {
        let mut key = [0; 25];
        key[..17].copy_from_slice(&self.0);
        key[17..].copy_from_slice(&block.to_be_bytes());
        key
    }

    /// Four bytes that few other keys have.
    pub(super) fn fingerprint(&self) -> u32 {
        let [_, a, b, c, d, _, _, _, _, e, f, g, h, ..] = self.0;
        u32::from_be_bytes([a, b, c, d]) ^ u32::from_be_bytes([e, f, g, h])
    }

    /// Which slice of the index it belongs to, below `slices`, a power of two up to 256.
    pub(super) fn slice(&self, slices: u64) -> u64 {
        u64::from(self.0[1]) * slices / 256
    }
}
