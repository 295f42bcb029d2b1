//! Writing: everything but commits, of which it matters what became of them.

use prost::bytes::Bytes as Wire;
use tokio::time::Instant;
use zvm_core::{
    B256, Batch, BlockId, Database, DbError, SnapshotId, StateBackend, StateDiff, VisitAccount,
    VisitSlot,
};

use super::{
    NetDb, Place,
    link::{Failure, Link},
};
use crate::{
    proto::{self, answer::What, fault, query, write_request::What as Change},
    wire,
};

/// What a request has beside the diff it carries, at most.
const REQUEST_REST: u64 = 1 << 10;

impl NetDb {
    /// Whether this client may write.
    pub(super) fn check_writes(&self, link: &Link) -> Result<(), DbError> {
        match self.is_read_only || !link.writes {
            true => Err(DbError::ReadOnly { path: self.remote.name().into() }),
            false => Ok(()),
        }
    }

    /// Checks that the server takes a request that carries so many bytes.
    pub(super) fn check_size(&self, link: &Link, bytes: usize) -> Result<(), DbError> {
        let (bytes, max) = ((bytes as u64).saturating_add(REQUEST_REST), link.request_bytes_max);
        match bytes > max {
            true => Err(self
                .remote
                .error(format!("a request of {bytes} bytes, the server takes {max}"))),
            false => Ok(()),
        }
    }

    /// Sends a change over `link` and moves where it leads.
    pub(super) fn send(
        &mut self,
        link: &Link,
        deadline: Instant,
        change: Change,
    ) -> Result<proto::WriteReply, Failure> {
        let mut client = link.client.clone();
        let request = proto::WriteRequest { session: link.session.clone(), what: Some(change) };
        let reply = self.remote.run(deadline, async move { client.write(request).await });
        let reply = match reply {
            Ok(reply) => reply.into_inner(),
            Err(failure) => {
                if failure.ends_session() {
                    self.remote.give_up(link);
                }
                if let Failure::Refused(fault) = &failure
                    && matches!(fault.what, Some(fault::What::Changed(_)))
                {
                    // What this was about is past. If it fails, the next call says so.
                    let _ = self.move_on(deadline);
                }
                return Err(failure);
            }
        };
        let standing = wire::standing(&reply.standing.clone().unwrap_or_default());
        link.stand(standing.map_err(|error| Failure::Unread(format!("its answer: {error}")))?);
        self.place = Place::of(link);
        Ok(reply)
    }

    /// Makes a change that is not a commit.
    fn change(&mut self, change: Change, bytes: usize) -> Result<(Wire, u64), DbError> {
        let deadline = self.remote.deadline();
        self.settle()?;
        let link = self.link_here(deadline).map_err(|failure| self.remote.failed(failure))?;
        self.check_writes(&link)?;
        self.check_size(&link, bytes)?;
        match self.send(&link, deadline, change) {
            Ok(reply) => Ok((link.session.clone(), reply.snapshot)),
            Err(Failure::Cut(what)) => {
                Err(self.remote.error(format!("cut off, it may have been done or not: {what}")))
            }
            Err(failure) => Err(self.remote.failed(failure)),
        }
    }

    /// Moves the session to the latest state.
    pub(super) fn move_on(&mut self, deadline: Instant) -> Result<(), Failure> {
        loop {
            let link = self.remote.link(deadline, true)?;
            let (mut client, session) = (link.client.clone(), link.session.clone());
            let request = proto::RefreshRequest { session };
            match self.remote.run(deadline, async move { client.refresh(request).await }) {
                Ok(reply) => {
                    let standing = wire::standing(&reply.into_inner());
                    let unread = |error| Failure::Unread(format!("its answer: {error}"));
                    link.stand(standing.map_err(unread)?);
                    self.place = Place::of(&link);
                    return Ok(());
                }
                Err(failure) if failure.ends_session() && Instant::now() < deadline => {
                    self.remote.give_up(&link);
                }
                Err(failure) => return Err(failure),
            }
        }
    }

    /// The server's snapshot behind `id`, if the session still has it, and where it is in the list.
    fn snapshot_of(&self, id: SnapshotId) -> Result<(usize, u64), DbError> {
        let unknown = DbError::UnknownSnapshot { id };
        let taken = &self.snapshots.taken;
        let Ok(position) = taken.binary_search_by_key(&id, |taken| taken.0) else {
            return Err(unknown);
        };
        let link = self.link_here(self.remote.deadline());
        let link = link.map_err(|failure| self.remote.failed(failure))?;
        match taken.get(position) {
            Some((_, session, theirs)) if *session == link.session => Ok((position, *theirs)),
            _ => Err(unknown),
        }
    }

    /// Ends a snapshot and all later ones by a change of it.
    fn end_snapshot(
        &mut self,
        id: SnapshotId,
        change: impl FnOnce(u64) -> Change,
    ) -> Result<(), DbError> {
        let (position, theirs) = self.snapshot_of(id)?;
        self.change(change(theirs), 0).map_err(|error| match error {
            // By the name it has here.
            DbError::UnknownSnapshot { .. } => DbError::UnknownSnapshot { id },
            error => error,
        })?;
        self.snapshots.taken.truncate(position);
        Ok(())
    }
}

impl StateBackend for NetDb {
    fn commit_block(&mut self, block: BlockId, diff: &StateDiff) -> Result<(), DbError> {
        self.commit_with(block, diff, None)
    }

    fn commit_marked(
        &mut self,
        block: BlockId,
        diff: &StateDiff,
        mark: B256,
    ) -> Result<(), DbError> {
        self.commit_with(block, diff, Some(mark))
    }

    /// The mark of the block that is stood at; those of others are not asked for.
    fn mark_of(&self, number: u64) -> Result<Option<B256>, DbError> {
        let standing = &self.place.standing;
        Ok(standing.mark.filter(|_| standing.block.number == number))
    }

    fn refresh(&mut self) -> Result<BlockId, DbError> {
        self.settle()?;
        let deadline = self.remote.deadline();
        self.move_on(deadline).map_err(|failure| self.remote.failed(failure))?;
        self.head()
    }

    fn seed(&mut self, diff: &StateDiff) -> Result<(), DbError> {
        let bytes = diff.encode();
        let length = bytes.len();
        self.change(Change::Seed(bytes.into()), length).map(drop)
    }

    fn head(&self) -> Result<BlockId, DbError> {
        Ok(self.place.standing.block)
    }

    fn at(&self, number: u64) -> Result<Box<dyn Database + '_>, DbError> {
        // Whether there is such a state is said now.
        self.ask(Some(number), Vec::new())?;
        Ok(Box::new(self.then(Some(number))))
    }

    fn floor(&self) -> Result<u64, DbError> {
        let floor = proto::Query { what: Some(query::What::Floor(proto::Floor {})) };
        match self.ask(None, vec![floor])?.pop().and_then(|answer| answer.what) {
            Some(What::Floor(number)) => Ok(number),
            Some(What::Fault(fault)) => Err(crate::fault::error(fault, self.remote.name())),
            _ => Err(self.remote.error("no answer to what was asked")),
        }
    }

    fn unwind(&mut self, number: u64) -> Result<(), DbError> {
        self.change(Change::Unwind(number), 0).map(drop)
    }

    fn state_root(&self) -> Result<B256, DbError> {
        self.root(None)
    }

    fn root_after(&self, diff: &StateDiff) -> Result<B256, DbError> {
        self.root(Some(diff))
    }

    fn for_each_account(&self, from: B256, visit: &mut VisitAccount<'_>) -> Result<(), DbError> {
        self.walk_accounts(from, visit)
    }

    fn for_each_slot(
        &self,
        address: zvm_core::Address,
        from: B256,
        visit: &mut VisitSlot<'_>,
    ) -> Result<(), DbError> {
        self.walk_slots(address, from, visit)
    }

    fn snapshot(&mut self) -> Result<SnapshotId, DbError> {
        let (session, theirs) = self.change(Change::Snapshot(proto::TakeSnapshot {}), 0)?;
        let id = SnapshotId(self.snapshots.next);
        self.snapshots.next = self.snapshots.next.saturating_add(1);
        self.snapshots.taken.push((id, session, theirs));
        Ok(id)
    }

    fn revert(&mut self, id: SnapshotId) -> Result<(), DbError> {
        self.end_snapshot(id, Change::Revert)
    }

    fn release(&mut self, id: SnapshotId) -> Result<(), DbError> {
        self.end_snapshot(id, Change::Release)
    }

    fn set_block_hash(&mut self, number: u64, hash: B256) -> Result<(), DbError> {
        let hash = wire::from_slice(hash);
        self.change(Change::BlockHash(proto::BlockHash { number, hash }), 0).map(drop)
    }

    fn batch(&mut self) -> Batch<'_> {
        Batch::new(self)
    }
}
