//! Going back: the changes of some blocks backwards, as one batch.

use std::collections::{BTreeMap, BTreeSet};

use zvm_core::{B256, DbError, EMPTY_ROOT, U256};

use super::{
    FileDb,
    commit::set_state,
    history::{Change, change_bytes, for_each_change},
    index::stage_trim,
    keys::{Kind, SlotKey, change_key},
    pending::{Pending, Redo},
    plan::{AccountChange, SlotChange},
    read::{corrupt, corrupt_at, exact, get_all, open},
    recent::Recent,
    record::{AccountRecord, Head, SlotRecord},
    recover::Meta,
    slices::{SLICES, Turns},
    tries::TrieChanges,
};
use crate::kv::{Durability, KvReader, Order, Table, WriteBatch};

/// How many changes go into one batch, unless a single block has more: further back it goes in several,
/// each of which leads to a block.
const STEP_CHANGES: u64 = 1 << 16;

impl FileDb {
    /// Goes back to block `target`; `None` is before the first one. The history must reach there.
    pub(super) fn unwind_to(&mut self, target: Option<u64>) -> Result<(), DbError> {
        while let Some(head) = self.meta.head.number() {
            if target.is_some_and(|target| target >= head) {
                return Ok(());
            }
            self.unwind_step(self.step_from(head, target, STEP_CHANGES)?)?;
        }
        Ok(())
    }

    /// Where the next step from `head` to `target` ends, which takes `most` changes back, or one block.
    fn step_from(&self, head: u64, target: Option<u64>, most: u64) -> Result<Option<u64>, DbError> {
        let kv = &self.kv();
        let mut changes = 0;
        for entry in kv.iter(Table::Changes, &[], None, Order::Reverse)? {
            let block = Change::parse(kv, &entry?.0)?.block;
            if target.is_some_and(|target| block <= target) {
                break;
            }
            changes += 1;
            if changes > most && block < head {
                return Ok(Some(block));
            }
        }
        Ok(target)
    }

    fn unwind_step(&mut self, target: Option<u64>) -> Result<(), DbError> {
        let kv = &self.kv();
        let tries = self.tries()?;
        let first = target.map_or(0, |target| target.saturating_add(1));
        let before = Before::read(kv, first)?;
        let head = before.head(kv)?;
        let found = head.number();
        if found.unwrap_or_default() != target.unwrap_or_default() {
            let what = format!("changes: block {found:?} comes before {first}");
            return Err(corrupt(kv, what));
        }

        let (accounts, slots) = before.to_present(kv)?;
        let backwards =
            |change: AccountChange| AccountChange { old: change.new, new: change.old, ..change };
        let accounts: Vec<_> = accounts.into_iter().map(backwards).collect();
        let backwards =
            |change: SlotChange| SlotChange { old: change.new, new: change.old, ..change };
        let slots: Vec<_> = slots.into_iter().map(backwards).collect();

        let mut branches = TrieChanges::default();
        for (life_after, root) in
            tries.update_storage(kv, &slots.iter().collect(), |_| None, &mut branches)?
        {
            // The account says which root its storage had; a life that is not its own is over.
            let hash = B256::from_slice(&life_after[..32]);
            let account = accounts.binary_search_by_key(&hash, |account| account.hash);
            let record = account.ok().and_then(|index| accounts[index].new.as_ref());
            let expected = record
                .filter(|record| record.life(&hash) == Some(life_after))
                .map_or(EMPTY_ROOT, |record| record.storage_root);
            if root != expected {
                let what = format!(
                    "changes: storage of {hash} unwinds to root {root}, expected {expected}"
                );
                return Err(corrupt(kv, what));
            }
        }
        let root = match accounts.is_empty() {
            true => self.meta.head.root,
            false => tries.update_accounts(kv, &accounts.iter().collect(), &mut branches)?,
        };
        if root != head.root {
            let what =
                format!("changes: block {found:?} unwinds to root {root}, expected {}", head.root);
            return Err(corrupt(kv, what));
        }

        let mut batch = WriteBatch::new();
        // All that waits goes to its tables, where what goes back hides it.
        self.stage_waiting(&mut batch);
        let mut redo = Redo::default();
        set_state(&accounts, &slots, &mut redo);
        redo.stage_records(&mut batch);
        batch.delete_range(Table::Changes, &change_key(first, Kind::Head, &[]), None);
        let index: BTreeSet<_> = before
            .values
            .keys()
            .filter_map(|(kind, key)| Change { block: 0, kind: *kind, key }.index_key())
            .collect();
        for key in &index {
            stage_trim(kv, key, target, &mut batch)?;
        }
        tries.stage_all(&branches, &mut batch);
        let meta = match head.block {
            None => Meta { head, retention: self.meta.retention, ..Meta::default() },
            Some(block) => Meta {
                head,
                history_bytes: self.meta.history_bytes.saturating_sub(before.bytes),
                turns: Turns::after(found),
                // An index that begins later has yet to begin.
                index_start: self.meta.index_start.filter(|start| *start <= block.number),
                ..self.meta
            },
        };
        meta.stage(&mut batch);
        // Later commits may not come: what was gone back to is on disk whatever they are told.
        self.kv.write(batch, Durability::Synced)?;

        self.set_meta(meta);
        self.pending = Pending::default();
        self.recent = Recent::default();
        self.cells.clear();
        self.tail.take();
        if let Some(tries) = self.tries.get_mut() {
            tries.follow(branches, 0..SLICES);
        }
        self.marks.retain(|mark| mark.1 <= found);
        Ok(())
    }
}

/// The oldest values that the newest blocks have changed.
#[derive(Debug, Default)]
struct Before {
    /// By kind and key: the block that changed the value, and its body; an empty one is an absent
    /// value.
    values: BTreeMap<(Kind, Vec<u8>), (u64, Vec<u8>)>,
    /// Bytes of the history of these blocks.
    bytes: u64,
}

impl Before {
    /// Reads the changes of the blocks from `first` on.
    fn read(kv: &dyn KvReader, first: u64) -> Result<Self, DbError> {
        let mut before = Self::default();
        for_each_change(kv, first, u64::MAX, |change, key, record| {
            let bytes = change_bytes(change.kind, key, record);
            before.bytes = before.bytes.saturating_add(bytes);
            let body = open(kv, Table::Changes, key, record, |body| Ok(body.to_vec()))?;
            let place = (change.kind, change.key.to_vec());
            before.values.entry(place).or_insert((change.block, body));
            Ok(())
        })?;
        Ok(before)
    }

    /// The head before these blocks.
    fn head(&self, kv: &dyn KvReader) -> Result<Head, DbError> {
        match self.values.get(&(Kind::Head, Vec::new())) {
            Some((_, body)) => {
                Head::decode(body).map_err(|what| corrupt(kv, format!("changes: {what}")))
            }
            None => Err(corrupt(kv, "changes: blocks without a head before them")),
        }
    }

    /// The changes that lead from the values before to those now stored, in key order. What is the
    /// same in both is left out.
    fn to_present(
        &self,
        kv: &dyn KvReader,
    ) -> Result<(Vec<AccountChange>, Vec<SlotChange>), DbError> {
        let of_kind = |kind| {
            self.values.iter().filter(move |((found, _), _)| *found == kind).map(
                |((kind, key), (block, body))| {
                    (change_key(*block, *kind, key), key.as_slice(), body.as_slice())
                },
            )
        };
        let keys: Vec<&[u8]> = of_kind(Kind::Account).map(|(_, key, _)| key).collect();
        let present = get_all(kv, Table::Accounts, &keys, AccountRecord::decode)?;
        let mut accounts = Vec::new();
        for ((name, key, body), present) in of_kind(Kind::Account).zip(present) {
            let old = decoded(kv, &name, body, AccountRecord::decode)?;
            if old != present {
                let hash = B256::new(exact(kv, Table::Changes, key)?);
                accounts.push(AccountChange { hash, old, new: present });
            }
        }

        let keys: Vec<&[u8]> = of_kind(Kind::Slot).map(|(_, key, _)| key).collect();
        let present = get_all(kv, Table::Storage, &keys, SlotRecord::decode)?;
        let mut slots = Vec::new();
        for ((name, key, body), present) in of_kind(Kind::Slot).zip(present) {
            let key: SlotKey = exact(kv, Table::Changes, key)?;
            let old = decoded(kv, &name, body, SlotRecord::decode)?;
            if let Some(SlotRecord { slot, .. }) = old.or(present)
                && old != present
            {
                let word = |record: Option<SlotRecord>| record.map_or(U256::ZERO, |slot| slot.word);
                slots.push(SlotChange { key, slot, old: word(old), new: word(present) });
            }
        }
        Ok((accounts, slots))
    }
}

/// What `decode` makes of a value before; `None` if it was absent.
fn decoded<T>(
    kv: &dyn KvReader,
    name: &[u8],
    body: &[u8],
    decode: impl Fn(&[u8]) -> Result<T, String>,
) -> Result<Option<T>, DbError> {
    if body.is_empty() {
        return Ok(None);
    }
    decode(body).map(Some).map_err(|what| corrupt_at(kv, Table::Changes, name, what))
}

#[cfg(test)]
mod tests {
    use tempfile::tempdir;
    use zvm_core::{AccountInfo, Address, Database, StateBackend};

    use super::*;
    use crate::CheckLevel;

    #[test]
    fn a_long_way_back_goes_in_steps_each_of_which_leads_to_a_block() {
        let home = tempdir().unwrap();
        let mut db = FileDb::open(home.path()).unwrap();
        // Block n changes n accounts, and its head: n + 1 changes, and a redo.
        for nonce in 1..=9 {
            let info = AccountInfo { nonce, ..AccountInfo::default() };
            let accounts = (1..=nonce as u8).map(Address::repeat_byte);
            accounts.fold(db.batch(), |batch, it| batch.set_account(it, info)).commit().unwrap();
        }
        let step =
            |db: &FileDb, target, most| db.step_from(db.number().unwrap(), target, most).unwrap();
        assert_eq!(step(&db, Some(0), 0), Some(8), "one block at least");
        assert_eq!(step(&db, Some(0), 11), Some(8), "block 9 has so many");
        assert_eq!(step(&db, Some(0), 20), Some(8));
        assert_eq!(step(&db, Some(0), 21), Some(7), "and block 8 ten");
        assert_eq!(step(&db, Some(7), 1000), Some(7));
        assert_eq!(step(&db, None, 1000), None);
        // Their redos are gone after the first step.
        let ways = [(Some(5), 21, vec![Some(7), Some(5)]), (None, 17, vec![Some(2), None])];
        for (target, most, ends) in ways {
            let mut seen = Vec::new();
            while db.number() != target {
                let end = step(&db, target, most);
                db.unwind_step(end).unwrap();
                db.check(CheckLevel::Branches, &mut |_| {}).unwrap();
                let nonce = db.account(Address::repeat_byte(1)).unwrap().map(|it| it.info.nonce);
                assert_eq!(nonce, end);
                seen.push(end);
            }
            assert_eq!(seen, ends);
        }
    }
}
