//! Which accounts and slots an execution touches, as an access list.

use std::collections::{BTreeMap, BTreeSet};

use zvm_core::{AccessListItem, Address, B256, U256};

use crate::Tracer;

/// Collects the accounts and slots an execution touches, reverted frames included.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccessCollector {
    accounts: BTreeMap<Address, BTreeSet<B256>>,
}

impl AccessCollector {
    /// Nothing touched yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Every account touched, with its slots.
    pub fn accounts(&self) -> impl Iterator<Item = (Address, impl Iterator<Item = B256>)> {
        self.accounts.iter().map(|(&address, slots)| (address, slots.iter().copied()))
    }

    /// The access list (EIP-2930) that declares what was touched, in ascending order.
    ///
    /// Accounts in `warm` start warm anyway, so listing them would only cost: as
    /// `eth_createAccessList` does, they are listed only for their slots. Give it the sender, the
    /// callee, the precompiles and, from Shanghai on, the coinbase (EIP-3651).
    #[must_use]
    pub fn access_list(&self, warm: impl IntoIterator<Item = Address>) -> Vec<AccessListItem> {
        let warm: BTreeSet<_> = warm.into_iter().collect();
        self.accounts
            .iter()
            .filter(|(address, slots)| !slots.is_empty() || !warm.contains(*address))
            .map(|(&address, slots)| AccessListItem {
                address,
                storage_keys: slots.iter().copied().collect(),
            })
            .collect()
    }

    fn touch_slot(&mut self, address: Address, slot: U256) {
        self.accounts.entry(address).or_default().insert(slot.into());
    }
}

impl Tracer for AccessCollector {
    fn account_access(&mut self, address: Address) {
        self.accounts.entry(address).or_default();
    }

    fn storage_read(&mut self, address: Address, slot: U256, _word: U256) {
        self.touch_slot(address, slot);
    }

    fn storage_write(&mut self, address: Address, slot: U256, _old: U256, _new: U256) {
        self.touch_slot(address, slot);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn list_is_sorted_and_leaves_out_what_is_warm() {
        let [sender, callee, token, other] = [4, 3, 2, 1].map(Address::repeat_byte);
        let mut touched = AccessCollector::new();
        for address in [sender, callee, token, other] {
            touched.account_access(address);
        }
        touched.storage_write(token, U256::from(2), U256::ZERO, U256::ONE);
        touched.storage_read(token, U256::from(1), U256::ZERO);
        touched.storage_read(token, U256::from(2), U256::ONE);
        touched.storage_read(callee, U256::from(7), U256::ZERO);

        let item = |address, slots: &[u64]| AccessListItem {
            address,
            storage_keys: slots.iter().map(|&slot| U256::from(slot).into()).collect(),
        };
        assert_eq!(
            touched.access_list([sender, callee]),
            [item(other, &[]), item(token, &[1, 2]), item(callee, &[7])]
        );
        assert_eq!(touched.accounts().count(), 4);
    }
}
