//! The state inside a block: that of the parent with all changes so far.

use std::sync::{Mutex, MutexGuard, PoisonError};

use zvm_core::{
    Account, Address, B256, Bytes, Database, DbError, StateDiff, U256,
    map::{AddressMap, B256Map, Entry, HashMap},
};

/// The changes of a block so far over the state they were made on.
///
/// Also remembers what has been read: transactions of one block mostly meet at the same accounts,
/// and the state below may be on a disk.
pub(super) struct Overlay<'a> {
    base: &'a dyn Database,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    accounts: AddressMap<KnownAccount>,
    code: B256Map<Bytes>,
}

struct KnownAccount {
    account: Option<Account>,
    storage: HashMap<U256, U256>,
    /// Nothing of the storage below is left: slots that are not listed are zero.
    hides_base: bool,
    /// A word other than zero was written since.
    is_written: bool,
}

impl Known {
    fn account(
        &mut self,
        address: Address,
        base: &dyn Database,
    ) -> Result<&mut KnownAccount, DbError> {
        Ok(match self.accounts.entry(address) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(unknown) => {
                let account = base.account(address)?;
                unknown.insert(KnownAccount {
                    account,
                    storage: HashMap::default(),
                    hides_base: account.is_none_or(|account| !account.has_storage),
                    is_written: false,
                })
            }
        })
    }
}

impl<'a> Overlay<'a> {
    pub(super) fn new(base: &'a dyn Database) -> Self {
        Self { base, known: Mutex::default() }
    }

    /// Puts `diff`, which an execution on this state has yielded, over it.
    pub(super) fn apply(&mut self, diff: &StateDiff) -> Result<(), DbError> {
        let known = self.known.get_mut().unwrap_or_else(PoisonError::into_inner);
        for (address, change) in &diff.accounts {
            let account = known.account(*address, self.base)?;
            if change.old.is_none() || change.new.is_none() || change.wiped {
                account.storage.clear();
                account.hides_base = true;
                account.is_written = false;
            }
            account.storage.extend(change.storage.iter().map(|(slot, word)| (*slot, word.new)));
            account.is_written |= change.storage.values().any(|word| !word.new.is_zero());
            // That every slot is zero by now goes unseen. It matters to no creation: whoever wrote
            // those zeros has code or a nonce.
            let has_storage = !account.hides_base || account.is_written;
            account.account = change.new.map(|info| Account { info, has_storage });
        }
        known.code.extend(diff.code.iter().map(|(hash, code)| (*hash, code.clone())));
        Ok(())
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // Whoever panicked left at worst a fact that was true when it was read.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Database for Overlay<'_> {
    fn account(&self, address: Address) -> Result<Option<Account>, DbError> {
        Ok(self.known().account(address, self.base)?.account)
    }

    fn storage(&self, address: Address, slot: U256) -> Result<U256, DbError> {
        let mut known = self.known();
        let account = known.account(address, self.base)?;
        if account.account.is_none() {
            return Ok(U256::ZERO);
        }
        Ok(match account.storage.entry(slot) {
            Entry::Occupied(word) => *word.get(),
            Entry::Vacant(_) if account.hides_base => U256::ZERO,
            Entry::Vacant(unknown) => *unknown.insert(self.base.storage(address, slot)?),
        })
    }

    fn code(&self, code_hash: B256) -> Result<Bytes, DbError> {
        if let Some(code) = self.known().code.get(&code_hash) {
            return Ok(code.clone());
        }
        // Not kept here: the machine has a cache of its own.
        self.base.code(code_hash)
    }

    fn block_hash(&self, number: u64) -> Result<B256, DbError> {
        self.base.block_hash(number)
    }
}
