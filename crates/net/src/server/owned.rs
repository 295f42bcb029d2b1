//! Snapshots of the backend, and the sessions they belong to.
//!
//! The backend keeps them as a stack: to forget one is to forget all later ones. So one that its
//! session forgets stays there as long as later ones of other sessions do.

use zvm_core::{DbError, SnapshotId, StateBackend};

use super::held::StateName;
use crate::wire::SessionId;

/// The snapshots there are, oldest first.
#[derive(Default)]
pub(super) struct Owned {
    taken: Vec<Taken>,
}

struct Taken {
    id: SnapshotId,
    /// `None` where nobody wants it any more.
    owner: Option<SessionId>,
    /// The state it is of.
    of: StateName,
}

impl Owned {
    /// Takes a snapshot of the present state `of` for `session`.
    pub(super) fn take(
        &mut self,
        session: SessionId,
        of: StateName,
        backend: &mut dyn StateBackend,
    ) -> Result<SnapshotId, DbError> {
        let id = backend.snapshot()?;
        self.taken.push(Taken { id, owner: Some(session), of });
        Ok(id)
    }

    /// Takes the backend to the snapshot `id` of `session`. Answers the state that is.
    pub(super) fn revert(
        &mut self,
        session: SessionId,
        id: SnapshotId,
        backend: &mut dyn StateBackend,
    ) -> Result<StateName, DbError> {
        let position = self.position(session, id)?;
        let of = self.taken.get(position).map_or(StateName::MAX, |taken| taken.of);
        match backend.revert(id) {
            Ok(()) => {
                self.taken.truncate(position);
                Ok(of)
            }
            Err(error @ DbError::UnknownSnapshot { .. }) => {
                // Its block was unwound.
                self.taken.remove(position);
                Err(error)
            }
            Err(error) => Err(error),
        }
    }

    /// Forgets the snapshot `id` of `session` and all its later ones.
    pub(super) fn release(
        &mut self,
        session: SessionId,
        id: SnapshotId,
        backend: &mut dyn StateBackend,
    ) -> Result<(), DbError> {
        let position = self.position(session, id)?;
        self.disown(position, session, backend);
        Ok(())
    }

    /// Forgets all snapshots of `session`.
    pub(super) fn end(&mut self, session: SessionId, backend: &mut dyn StateBackend) {
        self.disown(0, session, backend);
    }

    fn position(&self, session: SessionId, id: SnapshotId) -> Result<usize, DbError> {
        let is_it = |taken: &Taken| taken.id == id && taken.owner == Some(session);
        self.taken.iter().position(is_it).ok_or(DbError::UnknownSnapshot { id })
    }

    fn disown(&mut self, from: usize, session: SessionId, backend: &mut dyn StateBackend) {
        for taken in self.taken.iter_mut().skip(from) {
            taken.owner = taken.owner.filter(|owner| *owner != session);
        }
        while let Some(last) = self.taken.pop_if(|last| last.owner.is_none()) {
            // Unknown where its block was unwound, and then there is nothing to forget.
            let _ = backend.release(last.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use zvm_core::{Address, Database, U256};
    use zvm_state::MemoryDb;

    use super::*;

    const ALICE: SessionId = [1; 16];
    const BOB: SessionId = [2; 16];

    fn balance(db: &MemoryDb) -> u64 {
        let account = db.account(Address::ZERO).unwrap();
        account.map_or(0, |account| account.balance.saturating_to())
    }

    #[test]
    fn a_session_has_its_own_snapshots_only() {
        let (mut db, mut owned) = (MemoryDb::new(), Owned::default());
        let first = owned.take(ALICE, 0, &mut db).unwrap();
        db.set_balance(Address::ZERO, U256::from(1));
        let second = owned.take(BOB, 1, &mut db).unwrap();
        db.set_balance(Address::ZERO, U256::from(2));
        assert!(owned.revert(BOB, first, &mut db).is_err());
        assert!(owned.release(ALICE, second, &mut db).is_err());

        // Alice's is below Bob's, and goes with it.
        owned.end(ALICE, &mut db);
        assert!(owned.revert(ALICE, first, &mut db).is_err());
        assert_eq!(owned.revert(BOB, second, &mut db).unwrap(), 1);
        assert_eq!(balance(&db), 1);
        owned.end(BOB, &mut db);
        assert!(owned.taken.is_empty());
        assert!(db.release(first).is_err());
    }

    #[test]
    fn a_snapshot_of_an_unwound_block_is_unknown() {
        let (mut db, mut owned) = (MemoryDb::new(), Owned::default());
        db.set_balance(Address::ZERO, U256::from(1));
        db.set_balance(Address::ZERO, U256::from(2));
        let id = owned.take(ALICE, 0, &mut db).unwrap();
        db.unwind(1).unwrap();
        assert!(matches!(
            owned.revert(ALICE, id, &mut db),
            Err(DbError::UnknownSnapshot { id: found }) if found == id
        ));
    }
}
