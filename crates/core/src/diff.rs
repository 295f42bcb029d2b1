//! The state diff: the one currency of the house.

use std::collections::BTreeMap;

use alloy_primitives::{Address, B256, Bytes, U256};
use serde::{Deserialize, Serialize};

use crate::AccountInfo;

/// What an execution changed, with the values before and after.
///
/// Canonical: only real changes are listed, in the order of addresses and slots, so the same
/// transactions give the same bytes on any machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateDiff {
    /// Changed accounts.
    pub accounts: BTreeMap<Address, AccountDiff>,
    /// Code deployed by these changes, by its hash. Inverting keeps it: code is never unlearned.
    pub code: BTreeMap<B256, Bytes>,
}

/// The change of one account.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountDiff {
    /// Before; `None` where there was no account.
    pub old: Option<AccountInfo>,
    /// After; `None` where there is no account any more.
    pub new: Option<AccountInfo>,
    /// All slots not listed in `storage` were deleted on the way.
    ///
    /// Execution knows only the slots it has read, so a destroyed account lists no others. The
    /// reverse of such a diff needs the backend, which can see what it deletes.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub wiped: bool,
    /// Changed slots.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub storage: BTreeMap<U256, SlotDiff>,
}

/// The change of one storage word. A word of zero is an absent slot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotDiff {
    /// Before.
    pub old: U256,
    /// After.
    pub new: U256,
}

impl AccountDiff {
    /// Whether nothing changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.old == self.new && !self.wiped && self.storage.is_empty()
    }

    /// This change followed by `later`.
    fn then(&mut self, later: Self) {
        self.new = later.new;
        if later.wiped {
            self.wiped = true;
            for slot in self.storage.values_mut() {
                slot.new = U256::ZERO;
            }
        }
        for (key, change) in later.storage {
            let slot = self.storage.entry(key).or_insert(change);
            slot.new = change.new;
        }
        // A listed slot overrides the wipe, so under one even an unchanged word must stay listed.
        if !self.wiped {
            self.storage.retain(|_, slot| slot.old != slot.new);
        }
    }
}

impl StateDiff {
    /// Whether nothing changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.accounts.is_empty()
    }

    /// This diff followed by `later`, as one diff.
    #[must_use]
    pub fn then(mut self, later: Self) -> Self {
        for (address, change) in later.accounts {
            self.accounts
                .entry(address)
                .and_modify(|account| account.then(change.clone()))
                .or_insert(change);
        }
        self.accounts.retain(|_, account| !account.is_empty());
        self.code.extend(later.code);
        self
    }

    /// The diff that undoes this one. Exact where no account is [`wiped`](AccountDiff::wiped)
    /// beyond the slots it lists.
    #[must_use]
    pub fn invert(&self) -> Self {
        let mut inverse = self.clone();
        for account in inverse.accounts.values_mut() {
            std::mem::swap(&mut account.old, &mut account.new);
            account.wiped = false;
            account.storage.retain(|_, slot| slot.old != slot.new);
            for slot in account.storage.values_mut() {
                std::mem::swap(&mut slot.old, &mut slot.new);
            }
        }
        inverse.accounts.retain(|_, account| !account.is_empty());
        inverse
    }
}
