//! A world state written as plainly as possible, to compare backends with.

use std::{collections::BTreeMap, ops::ControlFlow};

use zvm_core::{Account, AccountInfo, Address, B256, Database, StateBackend, U256, keccak256};
use zvm_trie::{state_root, storage_root};

/// Accounts with their storage. Zero words are not kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Model(pub(super) BTreeMap<Address, (AccountInfo, BTreeMap<U256, U256>)>);

impl Model {
    pub(super) fn set_account(&mut self, address: Address, info: AccountInfo) {
        self.0.entry(address).or_default().0 = info;
    }

    pub(super) fn delete_account(&mut self, address: Address) {
        self.0.remove(&address);
    }

    pub(super) fn set_storage(&mut self, address: Address, slot: U256, word: U256) {
        if !word.is_zero() {
            self.0.entry(address).or_default().1.insert(slot, word);
        } else if let Some(account) = self.0.get_mut(&address) {
            account.1.remove(&slot);
        }
    }

    pub(super) fn root(&self) -> B256 {
        state_root(self.0.iter().map(|(address, (info, storage))| {
            (*address, *info, storage_root(storage.iter().map(|(slot, word)| (*slot, *word))))
        }))
    }

    /// Compares `backend` with the model: its root, and all it says of `addresses` and `slots`.
    pub(super) fn check(
        &self,
        backend: &dyn StateBackend,
        addresses: &[Address],
        slots: &[U256],
        when: &str,
    ) {
        self.check_past(backend.as_database(), addresses, slots, when);
        for &address in addresses {
            let entries = backend.storage_entries(address).expect("storage lists");
            let expected_entries: Vec<(U256, U256)> = self
                .0
                .get(&address)
                .into_iter()
                .flat_map(|(_, storage)| storage)
                .map(|(slot, word)| (*slot, *word))
                .collect();
            assert_eq!(entries, expected_entries, "{when}: storage of {address}");
        }
        let root = backend.state_root().expect("the root computes");
        assert_eq!(root, self.root(), "{when}: state root");
        self.check_walk(backend, when);
    }

    /// Compares the walks of `backend` with the model: the whole state, in order.
    fn check_walk(&self, backend: &dyn StateBackend, when: &str) {
        let mut addresses: Vec<_> =
            self.0.keys().map(|address| (keccak256(address), address)).collect();
        addresses.sort_unstable();
        let mut expected = addresses.into_iter();
        backend
            .for_each_account(B256::ZERO, &mut |hash, address, info| {
                let account =
                    expected.next().map(|(hash, address)| (hash, *address, self.0[address].0));
                assert_eq!(Some((hash, address, info)), account, "{when}: walk");
                Ok(ControlFlow::Continue(()))
            })
            .expect("accounts walk");
        assert_eq!(expected.next(), None, "{when}: walk");
    }

    /// Compares what `state` says of `addresses` and `slots` with the model.
    pub(super) fn check_past(
        &self,
        state: &dyn Database,
        addresses: &[Address],
        slots: &[U256],
        when: &str,
    ) {
        for &address in addresses {
            let expected = self.0.get(&address);
            let account = state.account(address).expect("account reads");
            let expected_account = expected
                .map(|(info, storage)| Account { info: *info, has_storage: !storage.is_empty() });
            assert_eq!(account, expected_account, "{when}: account {address}");
            for &slot in slots {
                let expected = expected.and_then(|account| account.1.get(&slot)).copied();
                let word = state.storage(address, slot).expect("storage reads");
                assert_eq!(word, expected.unwrap_or_default(), "{when}: {address} slot {slot}");
            }
        }
    }
}
