//! Reading.

use std::ops::ControlFlow;

use tokio::time::Instant;
use tonic::{Response, Status};
use zvm_core::{
    Account, Address, B256, Bytes, Database, DbError, StateDiff, U256, VisitAccount, VisitSlot,
    keccak256,
};

use super::{
    NetDb,
    link::{Failure, Link},
};
use crate::{
    fault,
    proto::{self, WalkPage, answer::What},
    wire::{self, Found, Read, WireError},
};

/// How many reads go into one request.
const READS: usize = 1000;

/// How often a walk is begun again that comes no further.
const IN_VAIN_MAX: u32 = 3;

impl NetDb {
    /// Reads many things of one state, in few requests. There are as many answers as there are `reads`,
    /// in their order.
    pub fn read_many(&self, reads: &[Read]) -> Result<Vec<Result<Found, DbError>>, DbError> {
        self.read_at(None, reads)
    }

    /// [`read_many`](Self::read_many) of the state after block `at`.
    pub(super) fn read_at(
        &self,
        at: Option<u64>,
        reads: &[Read],
    ) -> Result<Vec<Result<Found, DbError>>, DbError> {
        let mut found = Vec::with_capacity(reads.len());
        for reads in reads.chunks(READS) {
            let queries = reads.iter().copied().map(wire::from_read).collect();
            let answers = self.ask(at, queries)?;
            for (read, answer) in reads.iter().zip(answers) {
                found.push(match answer.what {
                    Some(What::Fault(fault)) => Err(fault::error(fault, self.remote.name())),
                    Some(what) => Ok(wire::found(*read, what).map_err(|error| self.unread(error))?),
                    None => return Err(self.unread(WireError::Absent { field: "an answer" })),
                });
            }
        }
        Ok(found)
    }

    /// One thing of the state after block `at`.
    fn read_one(&self, at: Option<u64>, read: Read) -> Result<Found, DbError> {
        let found = self.read_at(at, &[read])?.pop();
        found.unwrap_or_else(|| Err(self.unread(WireError::Absent { field: "an answer" })))
    }

    /// Answers, as many as queries.
    pub(super) fn ask(
        &self,
        at: Option<u64>,
        queries: Vec<proto::Query>,
    ) -> Result<Vec<proto::Answer>, DbError> {
        let expected = queries.len();
        let reply = self.call(|link| {
            let (mut client, session) = (link.client.clone(), link.session.clone());
            let request = proto::ReadRequest { session, at, queries: queries.clone() };
            async move { client.read(request).await }
        })?;
        let answers = reply.answers;
        match answers.len() == expected {
            true => Ok(answers),
            false => {
                let what = format!("{} answers to {expected} queries", answers.len());
                Err(self.remote.error(what))
            }
        }
    }

    pub(super) fn root(&self, diff: Option<&StateDiff>) -> Result<B256, DbError> {
        let diff = diff.map(StateDiff::encode).map(prost::bytes::Bytes::from);
        let reply = self.call(|link| {
            let (mut client, session) = (link.client.clone(), link.session.clone());
            let request = proto::RootRequest { session, diff: diff.clone() };
            async move { client.root(request).await }
        })?;
        wire::hash("root", &reply.root).map_err(|error| self.unread(error))
    }

    /// Asks something that changes nothing, again and again until there is an answer or no time.
    fn call<T, F>(&self, request: impl Fn(&Link) -> F) -> Result<T, DbError>
    where
        T: Send + 'static,
        F: Future<Output = Result<Response<T>, Status>> + Send + 'static,
    {
        let deadline = self.remote.deadline();
        let attempt = || -> Result<T, Failure> {
            let link = self.link_here(deadline)?;
            let answer = self.remote.run(deadline, request(&link));
            if let Err(failure) = &answer
                && failure.ends_session()
            {
                self.remote.give_up(&link);
            }
            Ok(answer?.into_inner())
        };
        loop {
            match attempt() {
                Err(failure) if failure.ends_session() && Instant::now() < deadline => {}
                answer => return answer.map_err(|failure| self.remote.failed(failure)),
            }
        }
    }

    fn unread(&self, error: WireError) -> DbError {
        self.remote.error(format!("its answer: {error}"))
    }

    /// Visits what a walk finds, page by page. `visit` answers the hash behind which to go on if the
    /// connection breaks, and whether to go on at all.
    fn walk(
        &self,
        address: Option<Address>,
        from: B256,
        visit: &mut dyn FnMut(WalkPage) -> Result<ControlFlow<(), Option<B256>>, DbError>,
    ) -> Result<(), DbError> {
        let address = address.map(wire::from_slice).unwrap_or_default();
        let mut from = wire::from_slice(from);
        // How often it has begun without a page coming.
        let mut in_vain = 0;
        while in_vain < IN_VAIN_MAX {
            in_vain += 1;
            let mut pages = self.call(|link| {
                let (mut client, session) = (link.client.clone(), link.session.clone());
                let (from, address) = (from.clone(), address.clone());
                async move { client.walk(proto::WalkRequest { session, from, address }).await }
            })?;
            loop {
                let next = self.remote.run(self.remote.deadline(), async move {
                    let page = pages.message().await?;
                    Ok((page, pages))
                });
                let (page, rest) = match next {
                    Ok((Some(page), rest)) => (page, rest),
                    Ok((None, _)) => break,
                    Err(Failure::Cut(_)) => break,
                    Err(failure) => return Err(self.remote.failed(failure)),
                };
                (pages, in_vain) = (rest, 0);
                let is_last = page.last;
                match visit(page)? {
                    ControlFlow::Break(()) => return Ok(()),
                    ControlFlow::Continue(_) if is_last => return Ok(()),
                    ControlFlow::Continue(None) => {}
                    ControlFlow::Continue(Some(next)) => from = wire::from_slice(next),
                }
            }
            // Cut off: it goes on where it was, at the same state or not at all.
        }
        Err(self.remote.error(format!("a walk that was cut off {IN_VAIN_MAX} times")))
    }

    pub(super) fn walk_accounts(
        &self,
        from: B256,
        visit: &mut VisitAccount<'_>,
    ) -> Result<(), DbError> {
        self.walk(None, from, &mut |page| {
            let mut next = None;
            for entry in &page.accounts {
                let (address, info) = wire::account_entry(entry).map_err(|e| self.unread(e))?;
                let hash = keccak256(address);
                next = after(hash);
                if visit(hash, address, info)?.is_break() || next.is_none() {
                    return Ok(ControlFlow::Break(()));
                }
            }
            Ok(ControlFlow::Continue(next))
        })
    }

    pub(super) fn walk_slots(
        &self,
        address: Address,
        from: B256,
        visit: &mut VisitSlot<'_>,
    ) -> Result<(), DbError> {
        self.walk(Some(address), from, &mut |page| {
            let mut next = None;
            for entry in &page.slots {
                let (slot, word) = wire::slot_entry(entry).map_err(|error| self.unread(error))?;
                let hash = keccak256(slot.to_be_bytes::<32>());
                next = after(hash);
                if visit(hash, slot, word)?.is_break() || next.is_none() {
                    return Ok(ControlFlow::Break(()));
                }
            }
            Ok(ControlFlow::Continue(next))
        })
    }
}

/// The state after a block, and the block; of the state that is read if there is none.
pub(super) struct Then<'a> {
    db: &'a NetDb,
    at: Option<u64>,
}

impl NetDb {
    /// The state after block `at`.
    pub(super) fn then(&self, at: Option<u64>) -> Then<'_> {
        Then { db: self, at }
    }
}

impl Database for Then<'_> {
    fn account(&self, address: Address) -> Result<Option<Account>, DbError> {
        match self.db.read_one(self.at, Read::Account(address))? {
            Found::Account(account) => Ok(account),
            _ => Err(self.db.unread(ANOTHER)),
        }
    }

    fn storage(&self, address: Address, slot: U256) -> Result<U256, DbError> {
        match self.db.read_one(self.at, Read::Slot(address, slot))? {
            Found::Slot(word) => Ok(word),
            _ => Err(self.db.unread(ANOTHER)),
        }
    }

    fn code(&self, code_hash: B256) -> Result<Bytes, DbError> {
        match self.db.read_one(self.at, Read::Code(code_hash))? {
            Found::Code(code) => Ok(code),
            _ => Err(self.db.unread(ANOTHER)),
        }
    }

    fn block_hash(&self, number: u64) -> Result<B256, DbError> {
        match self.db.read_one(self.at, Read::BlockHash(number))? {
            Found::BlockHash(hash) => Ok(hash),
            _ => Err(self.db.unread(ANOTHER)),
        }
    }
}

impl Database for NetDb {
    fn account(&self, address: Address) -> Result<Option<Account>, DbError> {
        self.then(None).account(address)
    }

    fn storage(&self, address: Address, slot: U256) -> Result<U256, DbError> {
        self.then(None).storage(address, slot)
    }

    fn code(&self, code_hash: B256) -> Result<Bytes, DbError> {
        self.then(None).code(code_hash)
    }

    fn block_hash(&self, number: u64) -> Result<B256, DbError> {
        self.then(None).block_hash(number)
    }
}

/// What an answer to something else is.
const ANOTHER: WireError = WireError::Absent { field: "the answer to what was asked" };

/// The hash behind this one, unless it is the last there can be.
fn after(hash: B256) -> Option<B256> {
    U256::from_be_bytes(hash.0).checked_add(U256::from(1)).map(B256::from)
}
