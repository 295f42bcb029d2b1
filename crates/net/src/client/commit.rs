//! Commits, and what became of them.
//!
//! A commit has an id that no other has, and the server writes it with the block. When the answer does
//! not come, the id is asked about over a new connection: the server says that the block is kept or
//! that it never will be, also after it was killed and started again. Number and hash of the head would
//! not tell: two writers can make blocks that look the same, and a block without a hash says nothing.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;
use zvm_core::{B256, BlockId, DbError, StateDiff};

use super::{
    NetDb, Place,
    link::{Failure, Link},
};
use crate::{
    proto::{self, fate_reply, write_request::What as Change},
    wire::{self, Standing},
};

/// How long it is asked at least what became of a commit.
const FATE_TIME: Duration = Duration::from_secs(1);

/// What became of a commit of which the answer was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fate {
    /// The block is part of the state, or was until somebody went back before it.
    Kept,
    /// It was not made, and never will be.
    Refused,
    /// The server cannot tell: it was started anew, and its database keeps no marks.
    Unknown,
}

/// A commit of which nobody could say yet what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsettled {
    /// Its id, which is the mark of the block if it was made.
    pub id: B256,
    /// The block.
    pub block: BlockId,
    /// The life of the server in which it was sent.
    server: prost::bytes::Bytes,
}

impl NetDb {
    /// The commit of which it is not known what became of it. Until it is, nothing is written.
    #[must_use]
    pub fn unsettled(&self) -> Option<&Unsettled> {
        self.unsettled.as_ref()
    }

    /// Asks what became of a commit that was cut off, if there is one; `None` if there is none. Every
    /// write does so first.
    pub fn settle(&mut self) -> Result<Option<Fate>, DbError> {
        let Some(unsettled) = self.unsettled.clone() else { return Ok(None) };
        let deadline = self.remote.deadline();
        let fate = self.fate(&unsettled, deadline);
        fate.map(Some).map_err(|failure| self.remote.failed(failure))
    }

    /// Commits, with `mark` as the id if there is one.
    pub(super) fn commit_with(
        &mut self,
        block: BlockId,
        diff: &StateDiff,
        mark: Option<B256>,
    ) -> Result<(), DbError> {
        let deadline = self.remote.deadline();
        self.settle()?;
        let diff = prost::bytes::Bytes::from(diff.encode());
        loop {
            let link = self.link_here(deadline).map_err(|failure| self.remote.failed(failure))?;
            self.check_writes(&link)?;
            self.check_size(&link, diff.len())?;
            // A new one each time: once asked about, an id can never be committed.
            let id = match mark {
                Some(mark) => mark,
                None => self.new_id()?,
            };
            let change = Change::Commit(proto::Commit {
                id: wire::from_slice(id),
                number: block.number,
                hash: wire::from_slice(block.hash),
                diff: diff.clone(),
            });
            let what = match self.send(&link, deadline, change) {
                Ok(_) => return Ok(()),
                Err(Failure::Cut(what)) => what,
                // It was refused before anything was done.
                Err(failure) if failure.ends_session() && Instant::now() < deadline => continue,
                Err(failure) => return Err(self.remote.failed(failure)),
            };
            match self.find_out(Unsettled { id, block, server: link.server.clone() }, deadline) {
                Ok(Fate::Kept) => return Ok(()),
                Ok(Fate::Refused) if mark.is_none() && Instant::now() < deadline => {}
                Ok(Fate::Refused) => {
                    let what = format!("block {} was cut off and not made: {what}", block.number);
                    return Err(self.remote.error(what));
                }
                Ok(Fate::Unknown) | Err(_) => {
                    let what = format!(
                        "block {} was cut off, and whether it was made is not known (commit {id}): \
                         {what}",
                        block.number
                    );
                    return Err(self.remote.error(what));
                }
            }
        }
    }

    /// What became of a commit that was just cut off. If that cannot be found out now, the next write
    /// will ask.
    fn find_out(&mut self, unsettled: Unsettled, deadline: Instant) -> Result<Fate, Failure> {
        self.unsettled = Some(unsettled.clone());
        // If the commit has used up its time, there is a little more for this.
        self.fate(&unsettled, deadline.max(Instant::now() + FATE_TIME))
    }

    fn fate(&mut self, unsettled: &Unsettled, deadline: Instant) -> Result<Fate, Failure> {
        let (link, fate) = loop {
            let link = self.remote.link(deadline, true)?;
            let mut client = link.client.clone();
            let request = proto::FateRequest {
                session: link.session.clone(),
                id: wire::from_slice(unsettled.id),
                number: unsettled.block.number,
                server: unsettled.server.clone(),
            };
            match self.remote.run(deadline, async move { client.fate(request).await }) {
                Ok(reply) => break (link, reply.into_inner().fate),
                Err(failure) if failure.ends_session() && Instant::now() < deadline => {
                    self.remote.give_up(&link);
                }
                Err(failure) => return Err(failure),
            }
        };
        self.unsettled = None;
        match fate_reply::Fate::try_from(fate) {
            Ok(fate_reply::Fate::Kept) => {
                self.stand_behind(unsettled, &link);
                Ok(Fate::Kept)
            }
            Ok(fate_reply::Fate::Refused) => Ok(Fate::Refused),
            Ok(fate_reply::Fate::Unknown) => Ok(Fate::Unknown),
            Err(_) => Err(Failure::Unread(format!("its answer: fate {fate}"))),
        }
    }

    /// Stands at the state after a commit of its own that has turned out to be kept.
    fn stand_behind(&mut self, made: &Unsettled, link: &Arc<Link>) {
        let there = link.standing();
        let is_ours = there.mark == Some(made.id) || there.mark.is_none() && link.is_resumed;
        self.place = match is_ours && there.block == made.block {
            true => Place::of(link),
            // Others have gone on since. No session stands here, and reads will say so.
            false => {
                let standing = Standing { block: made.block, mark: Some(made.id), state: u64::MAX };
                Place { standing, server: made.server.clone() }
            }
        };
    }

    fn new_id(&self) -> Result<B256, DbError> {
        let mut id = B256::ZERO;
        getrandom::fill(id.as_mut_slice())
            .map_err(|error| self.remote.error(format!("no random bytes: {error}")))?;
        Ok(id)
    }
}
