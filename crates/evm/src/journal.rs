//! The journal: what a transaction has read and written so far, with checkpoints to undo it.
//!
//! Every account and slot is looked up in the database at most once; afterwards it is an entry in a
//! vector, found by index. Undoing replays an append-only log backwards. All buffers are reused.

use std::{
    hash::{Hash, Hasher},
    sync::Arc,
};

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use zvm_core::{
    AccountDiff, AccountInfo, Address, B256, Bytes, Database, DbError, KECCAK_EMPTY, Log, SlotDiff,
    SpecId, StateDiff, U256, address,
};

use zvm_precompiles::Precompiles;

use crate::code::{Code, CodeCache};

/// Its touch survives a revert from Spurious Dragon on: mainnet's state says so since block
/// 2,675,119, where a call of it ran out of gas (EIP-161, addendum).
const RIPEMD160: Address = address!("0000000000000000000000000000000000000003");

/// Index of an account among those the transaction knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AccountId(u32);

/// A slot of an account. Hashed limb by limb: hashed as bytes, it would go the long way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct SlotKey(AccountId, U256);

impl Hash for SlotKey {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        let [a, b, c, d] = *self.1.as_limbs();
        state.write_u64(a ^ (u64::from(self.0.0) << 32));
        state.write_u64(b);
        state.write_u64(c);
        state.write_u64(d);
    }
}

/// An address, hashed as three numbers for the same reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct AddressKey(Address);

impl Hash for AddressKey {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        let [low, middle, high, _] = U256::from_be_bytes(self.0.into_word().0).into_limbs();
        state.write_u64(high);
        state.write_u64(middle);
        state.write_u64(low);
    }
}

/// Index of a slot among those the transaction knows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SlotId(u32);

#[derive(Debug)]
pub(crate) struct AccountEntry {
    pub(crate) address: Address,
    /// As the database had it before the transaction.
    original: Option<AccountInfo>,
    had_storage: bool,
    pub(crate) info: AccountInfo,
    /// Whether the state has the account. From Spurious Dragon on, only emptiness matters.
    pub(crate) exists: bool,
    /// Whether the database was asked. A warm account need not be.
    is_loaded: bool,
    pub(crate) is_warm: bool,
    is_touched: bool,
    /// Created by this transaction.
    pub(crate) is_created: bool,
    /// Goes away at the end of the transaction.
    pub(crate) is_destroyed: bool,
    code: Option<Arc<Code>>,
}

#[derive(Debug)]
pub(crate) struct Slot {
    account: AccountId,
    key: U256,
    /// Before the transaction.
    pub(crate) original: U256,
    pub(crate) present: U256,
    is_loaded: bool,
    pub(crate) is_warm: bool,
}

/// One step back.
#[derive(Debug)]
enum Undo {
    Balance { id: AccountId, old: U256 },
    Nonce { id: AccountId, old: u64 },
    Code { id: AccountId, old_hash: B256, old: Option<Arc<Code>> },
    Touched { id: AccountId, existed: bool, was_touched: bool },
    Created { id: AccountId },
    Destroyed { id: AccountId },
    AccountWarmed { id: AccountId },
    SlotWarmed { id: SlotId },
    Slot { id: SlotId, old: U256 },
    Transient { id: AccountId, key: U256, old: U256 },
}

/// A moment to return to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Checkpoint {
    undo: usize,
    logs: usize,
    refund: i64,
}

#[derive(Debug, Default)]
pub(crate) struct Journal {
    accounts: Vec<AccountEntry>,
    account_ids: HashMap<AddressKey, AccountId, RandomState>,
    slots: Vec<Slot>,
    slot_ids: HashMap<SlotKey, SlotId, RandomState>,
    transient: HashMap<SlotKey, U256, RandomState>,
    undo: Vec<Undo>,
    pub(crate) logs: Vec<Log>,
    pub(crate) refund: i64,
    keeps_ripemd_touch: bool,
    precompiles: Option<&'static Precompiles>,
}

impl Journal {
    /// Forgets everything; buffers are kept.
    pub(crate) fn reset(&mut self, spec: SpecId, precompiles: &'static Precompiles) {
        self.precompiles = Some(precompiles);
        self.accounts.clear();
        clear(&mut self.account_ids);
        self.slots.clear();
        clear(&mut self.slot_ids);
        clear(&mut self.transient);
        self.undo.clear();
        self.logs.clear();
        self.refund = 0;
        self.keeps_ripemd_touch = spec.has(SpecId::SPURIOUS_DRAGON);
    }

    /// The account, without asking the database.
    #[inline]
    pub(crate) fn id_of(&mut self, address: Address) -> AccountId {
        match self.account_ids.get(&AddressKey(address)) {
            Some(id) => *id,
            None => self.add_account(address),
        }
    }

    #[cold]
    fn add_account(&mut self, address: Address) -> AccountId {
        let id = AccountId(self.accounts.len() as u32);
        self.accounts.push(AccountEntry {
            address,
            original: None,
            had_storage: false,
            info: AccountInfo::default(),
            exists: false,
            is_loaded: false,
            // Warm from the start (EIP-2929).
            is_warm: self.precompiles.is_some_and(|set| set.get(&address).is_some()),
            is_touched: false,
            is_created: false,
            is_destroyed: false,
            code: None,
        });
        self.account_ids.insert(AddressKey(address), id);
        id
    }

    /// What is known of an account.
    #[inline]
    pub(crate) fn entry(&self, id: AccountId) -> &AccountEntry {
        &self.accounts[id.0 as usize]
    }

    #[inline]
    fn entry_mut(&mut self, id: AccountId) -> &mut AccountEntry {
        &mut self.accounts[id.0 as usize]
    }

    /// The account as it is now, asking the database the first time.
    #[inline]
    pub(crate) fn load(
        &mut self,
        id: AccountId,
        db: &dyn Database,
    ) -> Result<&AccountEntry, DbError> {
        if !self.entry(id).is_loaded {
            self.load_cold(id, db)?;
        }
        Ok(self.entry(id))
    }

    #[cold]
    fn load_cold(&mut self, id: AccountId, db: &dyn Database) -> Result<(), DbError> {
        let entry = self.entry_mut(id);
        let account = db.account(entry.address)?;
        entry.is_loaded = true;
        if let Some(account) = account {
            entry.original = Some(account.info);
            entry.had_storage = account.has_storage;
            entry.info = account.info;
            entry.exists = true;
        }
        Ok(())
    }

    /// Code of a loaded account; `None` if it has none.
    #[inline]
    pub(crate) fn code(
        &mut self,
        id: AccountId,
        codes: &mut CodeCache,
        db: &dyn Database,
    ) -> Result<Option<&Arc<Code>>, DbError> {
        let entry = self.entry_mut(id);
        if entry.code.is_none() && entry.info.code_hash != KECCAK_EMPTY {
            entry.code = Some(codes.load(entry.info.code_hash, db)?);
        }
        Ok(entry.code.as_ref())
    }

    /// Whether a creation at this loaded account collides (EIP-684, 7610).
    pub(crate) fn collides(&self, id: AccountId) -> bool {
        let entry = self.entry(id);
        entry.info.nonce != 0 || entry.info.has_code() || (entry.had_storage && !entry.is_created)
    }

    /// Marks the account as accessed; whether it was cold (EIP-2929).
    #[inline]
    pub(crate) fn warm_account(&mut self, id: AccountId) -> bool {
        let entry = self.entry_mut(id);
        if entry.is_warm {
            return false;
        }
        entry.is_warm = true;
        self.undo.push(Undo::AccountWarmed { id });
        true
    }

    /// Touches the account: it exists, and if it is empty at the end, EIP-161 clears it.
    #[inline]
    pub(crate) fn touch(&mut self, id: AccountId) {
        let entry = self.entry_mut(id);
        if !(entry.is_touched && entry.exists) {
            let undo = Undo::Touched { id, existed: entry.exists, was_touched: entry.is_touched };
            entry.is_touched = true;
            entry.exists = true;
            self.undo.push(undo);
        }
    }

    /// Sets the balance of a loaded account and touches it.
    #[inline]
    pub(crate) fn set_balance(&mut self, id: AccountId, balance: U256) {
        self.touch(id);
        let entry = self.entry_mut(id);
        let old = std::mem::replace(&mut entry.info.balance, balance);
        self.undo.push(Undo::Balance { id, old });
    }

    /// Adds wei to a loaded account and touches it. The sum of all balances fits a word on any
    /// real chain; a made-up state that breaks this wraps, as the reference does not define it.
    #[inline]
    pub(crate) fn add_balance(&mut self, id: AccountId, wei: U256) {
        if wei.is_zero() {
            self.touch(id);
        } else {
            self.set_balance(id, self.entry(id).info.balance.wrapping_add(wei));
        }
    }

    /// Moves wei between loaded accounts, touching both; false if `from` has less.
    #[inline]
    pub(crate) fn transfer(&mut self, from: AccountId, to: AccountId, wei: U256) -> bool {
        let Some(rest) = self.entry(from).info.balance.checked_sub(wei) else { return false };
        if !wei.is_zero() {
            self.set_balance(from, rest);
        }
        self.add_balance(to, wei);
        true
    }

    pub(crate) fn set_nonce(&mut self, id: AccountId, nonce: u64) {
        self.touch(id);
        let entry = self.entry_mut(id);
        let old = std::mem::replace(&mut entry.info.nonce, nonce);
        self.undo.push(Undo::Nonce { id, old });
    }

    /// Puts `code` with hash `code_hash` into a loaded account; `None` removes code.
    pub(crate) fn set_code(&mut self, id: AccountId, code: Option<Arc<Code>>, code_hash: B256) {
        self.touch(id);
        let entry = self.entry_mut(id);
        let old_hash = std::mem::replace(&mut entry.info.code_hash, code_hash);
        let old = std::mem::replace(&mut entry.code, code);
        self.undo.push(Undo::Code { id, old_hash, old });
    }

    /// Marks a loaded account as created by this transaction.
    pub(crate) fn mark_created(&mut self, id: AccountId) {
        self.touch(id);
        if !self.entry(id).is_created {
            self.entry_mut(id).is_created = true;
            self.undo.push(Undo::Created { id });
        }
    }

    /// Marks the account to go away at the end; whether it was not marked before.
    pub(crate) fn mark_destroyed(&mut self, id: AccountId) -> bool {
        if self.entry(id).is_destroyed {
            return false;
        }
        self.entry_mut(id).is_destroyed = true;
        self.undo.push(Undo::Destroyed { id });
        true
    }

    /// The slot, without asking the database.
    #[inline]
    pub(crate) fn slot_id(&mut self, account: AccountId, key: U256) -> SlotId {
        match self.slot_ids.get(&SlotKey(account, key)) {
            Some(id) => *id,
            None => self.add_slot(account, key),
        }
    }

    #[cold]
    fn add_slot(&mut self, account: AccountId, key: U256) -> SlotId {
        let id = SlotId(self.slots.len() as u32);
        self.slots.push(Slot {
            account,
            key,
            original: U256::ZERO,
            present: U256::ZERO,
            is_loaded: false,
            is_warm: false,
        });
        self.slot_ids.insert(SlotKey(account, key), id);
        id
    }

    #[inline]
    pub(crate) fn slot(&self, id: SlotId) -> &Slot {
        &self.slots[id.0 as usize]
    }

    /// The slot as it is now, asking the database the first time.
    #[inline]
    pub(crate) fn load_slot(&mut self, id: SlotId, db: &dyn Database) -> Result<&Slot, DbError> {
        if !self.slot(id).is_loaded {
            self.load_slot_cold(id, db)?;
        }
        Ok(self.slot(id))
    }

    #[cold]
    fn load_slot_cold(&mut self, id: SlotId, db: &dyn Database) -> Result<(), DbError> {
        let slot = &self.slots[id.0 as usize];
        let entry = self.entry(slot.account);
        // A contract made by this transaction starts without storage: creation refuses an
        // address that has any (EIP-7610).
        let word = if entry.is_created { U256::ZERO } else { db.storage(entry.address, slot.key)? };
        let slot = &mut self.slots[id.0 as usize];
        slot.original = word;
        slot.present = word;
        slot.is_loaded = true;
        Ok(())
    }

    /// Marks the slot as accessed; whether it was cold (EIP-2929).
    #[inline]
    pub(crate) fn warm_slot(&mut self, id: SlotId) -> bool {
        let slot = &mut self.slots[id.0 as usize];
        if slot.is_warm {
            return false;
        }
        slot.is_warm = true;
        self.undo.push(Undo::SlotWarmed { id });
        true
    }

    /// Writes a loaded slot.
    #[inline]
    pub(crate) fn set_slot(&mut self, id: SlotId, word: U256) {
        let slot = &mut self.slots[id.0 as usize];
        let old = std::mem::replace(&mut slot.present, word);
        self.undo.push(Undo::Slot { id, old });
    }

    pub(crate) fn transient(&self, id: AccountId, key: U256) -> U256 {
        self.transient.get(&SlotKey(id, key)).copied().unwrap_or_default()
    }

    pub(crate) fn set_transient(&mut self, id: AccountId, key: U256, word: U256) {
        let old = self.transient.insert(SlotKey(id, key), word).unwrap_or_default();
        self.undo.push(Undo::Transient { id, key, old });
    }

    pub(crate) fn checkpoint(&self) -> Checkpoint {
        Checkpoint { undo: self.undo.len(), logs: self.logs.len(), refund: self.refund }
    }

    /// Undoes everything since `checkpoint`.
    pub(crate) fn revert(&mut self, checkpoint: Checkpoint) {
        self.logs.truncate(checkpoint.logs);
        self.refund = checkpoint.refund;
        while self.undo.len() > checkpoint.undo {
            let Some(undo) = self.undo.pop() else { break };
            match undo {
                Undo::Balance { id, old } => self.entry_mut(id).info.balance = old,
                Undo::Nonce { id, old } => self.entry_mut(id).info.nonce = old,
                Undo::Code { id, old_hash, old } => {
                    let entry = self.entry_mut(id);
                    entry.info.code_hash = old_hash;
                    entry.code = old;
                }
                Undo::Touched { id, existed, was_touched } => {
                    let keeps_touch = self.keeps_ripemd_touch;
                    let entry = self.entry_mut(id);
                    if !(keeps_touch && entry.address == RIPEMD160) {
                        entry.exists = existed;
                        entry.is_touched = was_touched;
                    }
                }
                Undo::Created { id } => self.entry_mut(id).is_created = false,
                Undo::Destroyed { id } => self.entry_mut(id).is_destroyed = false,
                Undo::AccountWarmed { id } => self.entry_mut(id).is_warm = false,
                Undo::SlotWarmed { id } => self.slots[id.0 as usize].is_warm = false,
                Undo::Slot { id, old } => self.slots[id.0 as usize].present = old,
                Undo::Transient { id, key, old } => {
                    self.transient.insert(SlotKey(id, key), old);
                }
            }
        }
    }

    /// Ends the transaction: clears what is destroyed or, from Spurious Dragon on, touched and
    /// empty, and tells what changed.
    pub(crate) fn finish(&mut self, clears_empty: bool) -> StateDiff {
        let mut diff = StateDiff::default();
        for entry in &mut self.accounts {
            if !entry.is_loaded && !entry.is_touched {
                continue;
            }
            let is_cleared = entry.is_touched && clears_empty && entry.info.is_empty();
            entry.exists &= !entry.is_destroyed && !is_cleared;
            let new = entry.exists.then_some(entry.info);
            if new == entry.original {
                continue;
            }
            let wiped = new.is_none() && entry.had_storage;
            let change = AccountDiff { old: entry.original, new, wiped, ..AccountDiff::default() };
            diff.accounts.insert(entry.address, change);
            if let (Some(info), Some(code)) = (new, &entry.code)
                && info.code_hash != entry.original.map_or(KECCAK_EMPTY, |old| old.code_hash)
            {
                diff.code.insert(info.code_hash, code.to_bytes());
            }
        }
        for slot in &self.slots {
            let entry = self.entry(slot.account);
            let new = if entry.exists { slot.present } else { U256::ZERO };
            if slot.original == new {
                continue;
            }
            let account = diff.accounts.entry(entry.address).or_insert_with(|| {
                let info = Some(entry.info);
                AccountDiff { old: info, new: info, ..AccountDiff::default() }
            });
            account.storage.insert(slot.key, SlotDiff { old: slot.original, new });
        }
        diff
    }
}

/// Empties a map; one that a single transaction has blown up is given back, since clearing it
/// would cost every later transaction.
fn clear<K, V>(map: &mut HashMap<K, V, RandomState>) {
    const KEPT: usize = 1 << 12;
    if map.capacity() > KEPT && map.len() < map.capacity() / 8 {
        *map = HashMap::default();
    } else {
        map.clear();
    }
}

/// Bytes of a delegation to `address` (EIP-7702).
pub(crate) fn delegation(address: Address) -> Bytes {
    let mut bytes = [0; 23];
    bytes[..3].copy_from_slice(&[0xef, 0x01, 0x00]);
    bytes[3..].copy_from_slice(address.as_slice());
    Bytes::copy_from_slice(&bytes)
}

#[cfg(test)]
mod tests {
    use zvm_core::Account;

    use super::*;

    /// One account with 10 wei and a word of 7 in slot 1.
    struct OneAccount;

    const ALICE: Address = Address::repeat_byte(0xa1);

    impl Database for OneAccount {
        fn account(&self, address: Address) -> Result<Option<Account>, DbError> {
            let info = AccountInfo { balance: U256::from(10), ..AccountInfo::default() };
            Ok((address == ALICE).then_some(Account { info, has_storage: true }))
        }
        fn storage(&self, _: Address, slot: U256) -> Result<U256, DbError> {
            Ok(if slot == U256::from(1) { U256::from(7) } else { U256::ZERO })
        }
        fn code(&self, code_hash: B256) -> Result<Bytes, DbError> {
            Err(DbError::MissingCode { code_hash })
        }
        fn block_hash(&self, number: u64) -> Result<B256, DbError> {
            Err(DbError::MissingBlockHash { number })
        }
    }

    fn loaded(address: Address) -> (Journal, AccountId) {
        let mut journal = Journal { keeps_ripemd_touch: true, ..Journal::default() };
        let id = journal.id_of(address);
        journal.load(id, &OneAccount).unwrap();
        (journal, id)
    }

    #[test]
    fn a_revert_leaves_nothing_behind() {
        let (mut journal, alice) = loaded(ALICE);
        let checkpoint = journal.checkpoint();
        let slot = journal.slot_id(alice, U256::from(1));
        journal.load_slot(slot, &OneAccount).unwrap();
        journal.warm_slot(slot);
        journal.warm_account(alice);
        journal.set_slot(slot, U256::ZERO);
        journal.set_transient(alice, U256::ZERO, U256::from(5));
        journal.set_balance(alice, U256::ZERO);
        journal.set_nonce(alice, 9);
        journal.set_code(alice, None, B256::repeat_byte(1));
        journal.mark_created(alice);
        journal.mark_destroyed(alice);
        journal.refund += 4800;
        journal.revert(checkpoint);
        assert!(!journal.slot(slot).is_warm && !journal.entry(alice).is_warm);
        assert_eq!(journal.slot(slot).present, U256::from(7));
        assert_eq!(journal.transient(alice, U256::ZERO), U256::ZERO);
        assert!(!journal.entry(alice).is_created && !journal.entry(alice).is_destroyed);
        assert_eq!(journal.refund, 0);
        assert!(journal.finish(true).is_empty());
    }

    #[test]
    fn a_destroyed_account_takes_its_storage_with_it() {
        let (mut journal, alice) = loaded(ALICE);
        let slot = journal.slot_id(alice, U256::from(1));
        journal.load_slot(slot, &OneAccount).unwrap();
        journal.mark_destroyed(alice);
        let diff = journal.finish(true);
        let change = &diff.accounts[&ALICE];
        assert!(change.new.is_none() && change.wiped);
        assert_eq!(change.storage[&U256::from(1)].new, U256::ZERO);
    }

    #[test]
    fn a_slot_written_back_is_no_change() {
        let (mut journal, alice) = loaded(ALICE);
        let slot = journal.slot_id(alice, U256::from(1));
        journal.load_slot(slot, &OneAccount).unwrap();
        journal.set_slot(slot, U256::ZERO);
        journal.set_slot(slot, U256::from(7));
        assert!(journal.finish(true).is_empty());
    }

    #[test]
    fn a_touched_empty_account_exists_until_eip_161() {
        let nobody = Address::repeat_byte(9);
        let (mut journal, id) = loaded(nobody);
        journal.touch(id);
        assert!(journal.finish(true).is_empty());
        let (mut journal, id) = loaded(nobody);
        journal.touch(id);
        assert_eq!(journal.finish(false).accounts[&nobody].new, Some(AccountInfo::default()));
    }

    #[test]
    fn only_the_touch_of_ripemd160_survives_a_revert() {
        for (address, survives) in [(RIPEMD160, true), (Address::repeat_byte(9), false)] {
            let (mut journal, id) = loaded(address);
            let checkpoint = journal.checkpoint();
            journal.touch(id);
            journal.revert(checkpoint);
            assert_eq!(journal.entry(id).is_touched, survives, "{address}");
        }
    }
}
