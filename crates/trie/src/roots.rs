//! The tries of the protocol: which keys they use and how their values are written.

use alloy_rlp::Encodable;
use zvm_core::{
    AccountInfo, Address, B256, EMPTY_ROOT, U256, keccak256,
    rlp::{Reader, RlpError},
};

use crate::{Change, RootBuilder, SmallRoots, keccak::keccak256_many};

/// Root of the world state: `keccak(address)` to `[nonce, balance, storage root, code hash]`.
///
/// Accounts in any order, each address once; the last part of an item is the storage root.
///
/// # Panics
///
/// If an address comes twice.
pub fn state_root(accounts: impl IntoIterator<Item = (Address, AccountInfo, B256)>) -> B256 {
    let mut leaves: Vec<_> = accounts
        .into_iter()
        .map(|(address, info, storage_root)| (keccak256(address), info, storage_root))
        .collect();
    leaves.sort_unstable_by_key(|leaf| leaf.0);
    let mut trie = RootBuilder::default();
    for (hash, info, storage_root) in &leaves {
        trie.push_account(*hash, info, *storage_root);
    }
    trie.finish()
}

/// The keys of accounts in the trie of all: keccak-256 of their addresses, hashed together.
pub fn address_hashes<'a>(addresses: impl IntoIterator<Item = &'a Address>) -> Vec<B256> {
    let addresses: Vec<&[u8]> = addresses.into_iter().map(|address| address.as_slice()).collect();
    let mut hashes = vec![B256::ZERO; addresses.len()];
    keccak256_many(&addresses, &mut hashes);
    hashes
}

/// The key of a slot in the trie of its storage: keccak-256 of its 32 bytes, big-endian.
pub fn slot_hash(slot: U256) -> B256 {
    keccak256(slot.to_be_bytes::<32>())
}

/// Root of an account's storage: `keccak(slot)` to the word without leading zeros.
///
/// Slots in any order, each once. A word of zero is an absent slot and is passed over.
///
/// # Panics
///
/// If a slot comes twice.
pub fn storage_root(slots: impl IntoIterator<Item = (U256, U256)>) -> B256 {
    let mut leaves: Vec<_> = slots
        .into_iter()
        .filter(|(_, word)| !word.is_zero())
        .map(|(slot, word)| (slot_hash(slot), word))
        .collect();
    if leaves.is_empty() {
        return EMPTY_ROOT;
    }
    leaves.sort_unstable_by_key(|leaf| leaf.0);
    let mut trie = RootBuilder::default();
    for (hash, word) in leaves {
        trie.push_word(hash, word);
    }
    trie.finish()
}

/// [`storage_root`] of many accounts with a few slots each. They are hashed together, which takes a
/// fraction of the time.
///
/// # Panics
///
/// If a slot of an account comes twice.
pub fn storage_roots<S: IntoIterator<Item = (U256, U256)>>(
    accounts: impl IntoIterator<Item = S>,
) -> Vec<B256> {
    let (mut slots, mut words, mut ends) = (Vec::new(), Vec::new(), Vec::new());
    for storage in accounts {
        for (slot, word) in storage.into_iter().filter(|(_, word)| !word.is_zero()) {
            slots.push(slot.to_be_bytes::<32>());
            words.push(word);
        }
        ends.push(words.len());
    }
    let messages: Vec<&[u8]> = slots.iter().map(<[u8; 32]>::as_slice).collect();
    let mut hashes = vec![B256::ZERO; slots.len()];
    keccak256_many(&messages, &mut hashes);

    let mut leaves: Vec<(B256, U256)> = hashes.into_iter().zip(words).collect();
    let (mut roots, mut start, mut values) = (SmallRoots::default(), 0, Vec::new());
    for end in ends {
        let leaves = &mut leaves[start..end];
        leaves.sort_unstable_by_key(|leaf| leaf.0);
        values.clear();
        let mut value_ends = Vec::with_capacity(leaves.len());
        for (_, word) in &*leaves {
            encode_word(*word, &mut values);
            value_ends.push(values.len());
        }
        let mut from = 0;
        let changes: Vec<Change<'_>> = leaves
            .iter()
            .zip(value_ends)
            .map(|((key, _), to)| {
                let value = Some(&values[from..to]);
                from = to;
                Change { key: *key, existed: false, value }
            })
            .collect();
        roots.push(&changes);
        start = end;
    }
    roots.finish()
}

/// Root of a list: `rlp(index)` to the item.
///
/// The transactions, receipts and withdrawals of a block have such roots in its header. Items are
/// as the trie holds them: RLP, or for typed transactions and receipts (EIP-2718) the type byte and
/// the payload without a string header around them.
pub fn ordered_root<V: AsRef<[u8]>>(items: &[V]) -> B256 {
    // The order of rlp(index): 1 to 127 are single bytes below rlp(0) = 0x80, all others above.
    let single_bytes = 1..items.len().min(128);
    let longer = 128..items.len();
    let mut key = Vec::with_capacity(9);
    let mut trie = RootBuilder::default();
    for index in single_bytes.chain(0..items.len().min(1)).chain(longer) {
        key.clear();
        index.encode(&mut key);
        trie.push(&key, items[index].as_ref());
    }
    trie.finish()
}

/// Root over keys as they are, in any order, each once. An empty value is an absent entry.
///
/// # Panics
///
/// If a key comes twice.
pub fn trie_root<K: AsRef<[u8]>, V: AsRef<[u8]>>(
    entries: impl IntoIterator<Item = (K, V)>,
) -> B256 {
    let mut entries: Vec<_> = entries.into_iter().collect();
    entries.sort_unstable_by(|(a, _), (b, _)| a.as_ref().cmp(b.as_ref()));
    let mut trie = RootBuilder::default();
    for (key, value) in &entries {
        trie.push(key.as_ref(), value.as_ref());
    }
    trie.finish()
}

/// Appends the value of an account's leaf: `[nonce, balance, storage root, code hash]`.
pub fn encode_account(info: &AccountInfo, storage_root: B256, out: &mut Vec<u8>) {
    let payload_length = info.nonce.length() + info.balance.length() + 2 * 33;
    alloy_rlp::Header { list: true, payload_length }.encode(out);
    info.nonce.encode(out);
    info.balance.encode(out);
    storage_root.encode(out);
    info.code_hash.encode(out);
}

/// Appends the value of a storage leaf: the word without leading zeros. A word of zero has no leaf.
pub fn encode_word(word: U256, out: &mut Vec<u8>) {
    word.encode(out);
}

/// The account and its storage root out of the value of a leaf: what [`encode_account`] appends.
pub fn decode_account(leaf: &[u8]) -> Result<(AccountInfo, B256), RlpError> {
    let mut reader = Reader::new(leaf);
    let mut fields = reader.list("account")?;
    reader.finish("account")?;
    let (nonce, balance) = (fields.u64("nonce")?, fields.u256("balance")?);
    let storage_root = fields.hash("storage root")?;
    let code_hash = fields.hash("code hash")?;
    fields.finish("account")?;
    Ok((AccountInfo { nonce, balance, code_hash }, storage_root))
}

/// The word out of the value of a storage leaf: what [`encode_word`] appends.
pub fn decode_word(leaf: &[u8]) -> Result<U256, RlpError> {
    let mut reader = Reader::new(leaf);
    let word = reader.u256("word")?;
    reader.finish("word")?;
    Ok(word)
}

impl RootBuilder {
    /// Adds an account under `hash`, the keccak-256 of its address.
    ///
    /// # Panics
    ///
    /// As [`push`](Self::push).
    pub fn push_account(&mut self, hash: B256, info: &AccountInfo, storage_root: B256) {
        self.push_with(hash.as_slice(), |out| encode_account(info, storage_root, out));
    }

    /// Adds a storage word under `hash`, the keccak-256 of its slot. Zero is passed over.
    ///
    /// # Panics
    ///
    /// As [`push`](Self::push).
    pub fn push_word(&mut self, hash: B256, word: U256) {
        if !word.is_zero() {
            self.push_with(hash.as_slice(), |out| encode_word(word, out));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_entries_give_the_empty_root() {
        assert_eq!(state_root([]), EMPTY_ROOT);
        assert_eq!(storage_root([]), EMPTY_ROOT);
        assert_eq!(ordered_root::<Vec<u8>>(&[]), EMPTY_ROOT);
        assert_eq!(trie_root::<Vec<u8>, Vec<u8>>([]), EMPTY_ROOT);
    }

    #[test]
    fn addresses_are_hashed_together_as_alone() {
        for count in 0..20_u8 {
            let addresses: Vec<Address> = (0..count).map(Address::repeat_byte).collect();
            let alone: Vec<B256> = addresses.iter().map(keccak256).collect();
            assert_eq!(address_hashes(&addresses), alone);
        }
    }

    #[test]
    fn leaves_read_back() {
        let info = AccountInfo { nonce: 300, balance: U256::from(7), code_hash: B256::ZERO };
        let mut leaf = Vec::new();
        encode_account(&info, EMPTY_ROOT, &mut leaf);
        assert_eq!(decode_account(&leaf), Ok((info, EMPTY_ROOT)));
        leaf.push(0);
        assert!(decode_account(&leaf).is_err());
        for word in [U256::from(1), U256::from(0x80), U256::MAX] {
            let mut leaf = Vec::new();
            encode_word(word, &mut leaf);
            assert_eq!(decode_word(&leaf), Ok(word));
        }
    }

    #[test]
    fn zero_words_are_absent() {
        let one = [(U256::from(7), U256::from(1))];
        let with_zero = [(U256::from(8), U256::ZERO), one[0]];
        assert_eq!(storage_root(with_zero), storage_root(one));
        assert_eq!(storage_root([with_zero[0]]), EMPTY_ROOT);
    }

    #[test]
    fn a_root_node_below_32_bytes_is_hashed_all_the_same() {
        // [hp("a", leaf), "b"] = c4 82 20 61 62
        assert_eq!(trie_root([("a", "b")]), keccak256([0xc4, 0x82, 0x20, 0x61, 0x62]));
    }

    #[test]
    fn values_sit_in_branches_where_keys_continue() {
        // "" and "a": a branch with a value at the root, its one child under nibble 6.
        let root = trie_root([("", "v"), ("a", "b")]);
        let mut branch = vec![0xd3];
        branch.extend([0x80; 6]);
        branch.extend([0xc2, 0x31, b'b']);
        branch.extend([0x80; 9]);
        branch.push(b'v');
        assert_eq!(root, keccak256(branch));
    }
}
