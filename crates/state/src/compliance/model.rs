//! A world state written as plainly as possible, to compare backends with.

use std::{collections::BTreeMap, ops::ControlFlow, sync::Arc};

use zvm_core::{Account, AccountInfo, Address, B256, Database, StateBackend, U256, keccak256};
use zvm_trie::{slot_hash, state_root, storage_root};

/// Accounts by address. Clones share what did not change, since a workload keeps one of each block.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Model(pub(super) BTreeMap<Address, Arc<Held>>);

/// An account with its storage. Zero words are not kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) info: AccountInfo,
    pub(super) storage: BTreeMap<U256, U256>,
}

/// All of a model in the order in which backends walk: by hash.
pub(super) struct Walk(Vec<Visited>);

/// An account of a walk: its hash, and its slots with theirs.
struct Visited {
    account: (B256, Address, AccountInfo),
    slots: Vec<(B256, U256, U256)>,
}

impl Model {
    pub(super) fn set_account(&mut self, address: Address, info: AccountInfo) {
        self.held(address).info = info;
    }

    pub(super) fn delete_account(&mut self, address: Address) {
        self.0.remove(&address);
    }

    pub(super) fn set_storage(&mut self, address: Address, slot: U256, word: U256) {
        if !word.is_zero() {
            self.held(address).storage.insert(slot, word);
        } else if self.0.contains_key(&address) {
            self.held(address).storage.remove(&slot);
        }
    }

    fn held(&mut self, address: Address) -> &mut Held {
        Arc::make_mut(self.0.entry(address).or_default())
    }

    pub(super) fn root(&self) -> B256 {
        state_root(self.0.iter().map(|(address, held)| {
            let words = held.storage.iter().map(|(slot, word)| (*slot, *word));
            (*address, held.info, storage_root(words))
        }))
    }

    pub(super) fn walk(&self) -> Walk {
        let slots = |held: &Held| {
            let hashed = |(slot, word): (&U256, &U256)| (slot_hash(*slot), *slot, *word);
            let mut slots: Vec<_> = held.storage.iter().map(hashed).collect();
            slots.sort_unstable();
            slots
        };
        let visited = |(address, held): (&Address, &Arc<Held>)| Visited {
            account: (keccak256(address), *address, held.info),
            slots: slots(held),
        };
        let mut accounts: Vec<_> = self.0.iter().map(visited).collect();
        accounts.sort_unstable_by_key(|visited| visited.account.0);
        Walk(accounts)
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
                .map(|held| Account { info: held.info, has_storage: !held.storage.is_empty() });
            assert_eq!(account, expected_account, "{when}: account {address}");
            for &slot in slots {
                let expected = expected.and_then(|held| held.storage.get(&slot)).copied();
                let word = state.storage(address, slot).expect("storage reads");
                assert_eq!(word, expected.unwrap_or_default(), "{when}: {address} slot {slot}");
            }
        }
    }
}

impl Walk {
    /// Compares the walks of `backend` with this one: the whole state, in order.
    pub(super) fn check(&self, backend: &dyn StateBackend, when: &str) {
        let mut accounts = self.0.iter().map(|visited| visited.account);
        backend
            .for_each_account(B256::ZERO, &mut |hash, address, info| {
                let found = Some((hash, address, info));
                assert_eq!(found, accounts.next(), "{when}: walk at {address}");
                Ok(ControlFlow::Continue(()))
            })
            .expect("accounts walk");
        assert_eq!(accounts.next(), None, "{when}: the walk ends early");
        for Visited { account: (_, address, _), slots } in &self.0 {
            let mut slots = slots.iter().copied();
            backend
                .for_each_slot(*address, B256::ZERO, &mut |hash, slot, word| {
                    let found = Some((hash, slot, word));
                    assert_eq!(found, slots.next(), "{when}: walk of {address} at slot {slot}");
                    Ok(ControlFlow::Continue(()))
                })
                .expect("slots walk");
            assert_eq!(slots.next(), None, "{when}: the walk of {address} ends early");
        }
    }
}
