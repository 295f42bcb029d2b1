//! Random tries against `alloy-trie`.

use std::collections::BTreeMap;

use alloy_trie::{HashBuilder, Nibbles, TrieAccount, root};
use proptest::{collection, prelude::*};
use zvm_core::{AccountInfo, Address, B256, U256};
use zvm_trie::{ordered_root, state_root, storage_root, storage_roots, trie_root};

/// Words from one byte to full length, so that leaves fall on both sides of 32 bytes.
fn word() -> impl Strategy<Value = U256> {
    (any::<[u64; 4]>(), 0_usize..256).prop_map(|(limbs, shift)| U256::from_limbs(limbs) >> shift)
}

/// Keys that often share long prefixes, all of one length.
fn crowded_key() -> impl Strategy<Value = [u8; 6]> {
    prop_oneof![
        any::<[u8; 6]>(),
        collection::vec(prop_oneof![Just(0x00), Just(0x01), Just(0x10), Just(0xff)], 6)
            .prop_map(|bytes| bytes.try_into().expect("six bytes")),
    ]
}

proptest! {
    #[test]
    fn plain_roots_match(
        entries in collection::btree_map(crowded_key(), collection::vec(any::<u8>(), 1..60), 0..80),
    ) {
        let mut reference = HashBuilder::default();
        for (key, value) in &entries {
            reference.add_leaf(Nibbles::unpack(key), value);
        }
        prop_assert_eq!(trie_root(&entries), reference.root());
    }

    #[test]
    fn storage_roots_match(slots in collection::hash_map(word(), word(), 0..100)) {
        let present: BTreeMap<B256, U256> = slots
            .iter()
            .filter(|(_, word)| !word.is_zero())
            .map(|(slot, word)| (B256::from(*slot), *word))
            .collect();
        prop_assert_eq!(storage_root(slots), root::storage_root_unhashed(present));
    }

    #[test]
    fn storage_roots_of_many_accounts_match(
        accounts in collection::vec(collection::hash_map(word(), word(), 0..12), 0..40),
    ) {
        let theirs: Vec<B256> = accounts
            .iter()
            .map(|slots| {
                let present = slots.iter().filter(|(_, word)| !word.is_zero());
                let present = present.map(|(slot, word)| (B256::from(*slot), *word));
                root::storage_root_unhashed(present)
            })
            .collect();
        prop_assert_eq!(storage_roots(accounts), theirs);
    }

    #[test]
    fn state_roots_match(
        accounts in collection::btree_map(
            any::<[u8; 20]>(),
            (any::<u64>(), word(), any::<[u8; 32]>(), any::<[u8; 32]>()),
            0..60,
        ),
    ) {
        let ours = accounts.iter().map(|(address, (nonce, balance, storage, code))| {
            let info =
                AccountInfo { nonce: *nonce, balance: *balance, code_hash: B256::from(*code) };
            (Address::from(*address), info, B256::from(*storage))
        });
        let theirs = accounts.iter().map(|(address, (nonce, balance, storage, code))| {
            let account = TrieAccount {
                nonce: *nonce,
                balance: *balance,
                storage_root: B256::from(*storage),
                code_hash: B256::from(*code),
            };
            (Address::from(*address), account)
        });
        prop_assert_eq!(state_root(ours), root::state_root_unhashed(theirs));
    }

    #[test]
    fn ordered_roots_match(items in collection::vec(collection::vec(any::<u8>(), 1..40), 0..300)) {
        let theirs = root::ordered_trie_root_with_encoder(&items, |item, out: &mut Vec<u8>| {
            out.extend_from_slice(item);
        });
        prop_assert_eq!(ordered_root(&items), theirs);
    }
}
