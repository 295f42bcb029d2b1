//! Walks as streams of pages.
//!
//! Pages are made as long as there is room for them, and no lock is held while a client takes its
//! time: the walk goes on from the hash where it stopped, at the same state. A client that takes no
//! page for too long is told so, and the walk is over.

use std::{
    ops::ControlFlow,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::{Duration, Instant},
};

use tokio::{
    sync::mpsc::{self, error::TrySendError},
    time::timeout,
};
use tokio_stream::Stream;
use tonic::{Code, Status};
use zvm_core::{Address, B256, DbError, U256};

use super::{Event, connection::Peer, held::View, service::Shared, session::Session};
use crate::{
    fault::{refused, status},
    proto::WalkPage,
    wire::{from_account_entry, from_slot_entry},
};

/// Accounts or slots of a page.
const PAGE: usize = 1024;

/// Pages that may wait for the client: about as many as go through a fast network while the next are
/// being made.
const WAITING: usize = 32;

/// How long a walk may keep writers waiting.
const TURN: Duration = Duration::from_millis(100);

/// What is walked over.
#[derive(Clone, Copy)]
pub(super) enum Over {
    Accounts,
    Slots(Address),
}

/// The pages of a walk.
pub(super) struct Pages {
    pages: mpsc::Receiver<WalkPage>,
    /// Why there are no more, if not because the walk is done.
    failure: Arc<Mutex<Option<Status>>>,
}

impl Stream for Pages {
    type Item = Result<WalkPage, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.pages.poll_recv(context).map(|page| match page {
            Some(page) => Some(Ok(page)),
            None => self.failure.lock().unwrap_or_else(PoisonError::into_inner).take().map(Err),
        })
    }
}

/// Starts a walk over the state that `session` stands at.
pub(super) fn walk(
    shared: Arc<Shared>,
    session: Arc<Session>,
    peer: Option<Peer>,
    over: Over,
    from: B256,
) -> Pages {
    let (sender, pages) = mpsc::channel(WAITING);
    let failure = Arc::new(Mutex::new(None));
    let (failed, at) = (Arc::clone(&failure), session.standing().state);
    tokio::spawn(async move {
        let mut turn = Turn { over, from, at, sender };
        while let Err(stop) = turn.take(&shared, &session).await {
            let Stop::Full(page, next) = stop else {
                if let Stop::Failed(status) = stop {
                    *failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(status);
                }
                return;
            };
            let is_last = page.last;
            let sent = timeout(shared.limits.patience, turn.sender.send(page)).await;
            match sent {
                Ok(Ok(())) if is_last => return,
                Ok(Ok(())) => turn.from = next,
                Ok(Err(_)) => return,
                Err(_) => {
                    let what = "took no page of its walk in time";
                    if let Some(peer) = &peer {
                        (shared.listener)(Event::slow(peer, what));
                    }
                    let status = refused(Code::Aborted, format!("a slow client: it {what}"));
                    *failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(status);
                    return;
                }
            }
        }
    });
    Pages { pages, failure }
}

/// What a walk needs for its next pages.
#[derive(Clone)]
struct Turn {
    over: Over,
    from: B256,
    /// The state it is over: the session may move on meanwhile.
    at: u64,
    sender: mpsc::Sender<WalkPage>,
}

/// Why a turn is over before the walk is.
enum Stop {
    /// There is no room for this page, or others shall have their turn. The hash is the next one.
    Full(WalkPage, B256),
    /// The client has gone.
    Gone,
    Failed(Status),
}

impl From<DbError> for Stop {
    fn from(error: DbError) -> Self {
        Self::Failed(status(&error))
    }
}

impl Turn {
    async fn take(&self, shared: &Arc<Shared>, session: &Arc<Session>) -> Result<(), Stop> {
        let (turn, session) = (self.clone(), Arc::clone(session));
        let taken = shared.work(move |shared| {
            shared.seen(&session, |view, standing| match standing.state == turn.at {
                true => Ok(turn.pages(&view)),
                false => Err(refused(Code::Aborted, "the session has moved on during the walk")),
            })
        });
        taken.await.map_err(Stop::Failed)?
    }

    /// Makes pages as long as there is room and time.
    fn pages(&self, view: &View<'_>) -> Result<(), Stop> {
        let mut page = WalkPage::default();
        let mut stop = None;
        let started = Instant::now();
        let mut count = 0;
        // Whether to go on behind what is at `hash`.
        let mut flow = |page: &mut WalkPage, hash: B256| {
            count += 1;
            if count % PAGE != 0 {
                return ControlFlow::Continue(());
            }
            let full = std::mem::take(page);
            let next = after(hash);
            stop = match (self.sender.try_send(full), next) {
                (Ok(()), Some(_)) if started.elapsed() < TURN => None,
                // An empty page is as good as any to wait with.
                (Ok(()), Some(next)) => Some(Stop::Full(WalkPage::default(), next)),
                (Ok(()), None) => Some(Stop::Full(last(WalkPage::default()), B256::ZERO)),
                (Err(TrySendError::Full(page)), Some(next)) => Some(Stop::Full(page, next)),
                (Err(TrySendError::Full(page)), None) => Some(Stop::Full(last(page), B256::ZERO)),
                (Err(TrySendError::Closed(_)), _) => Some(Stop::Gone),
            };
            if stop.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        match self.over {
            Over::Accounts => view.for_each_account(self.from, &mut |hash, address, info| {
                page.accounts.push(from_account_entry(address, info));
                Ok(flow(&mut page, hash))
            })?,
            Over::Slots(address) => {
                view.for_each_slot(address, self.from, &mut |hash, slot: U256, word: U256| {
                    page.slots.push(from_slot_entry(slot, word));
                    Ok(flow(&mut page, hash))
                })?;
            }
        }
        Err(stop.unwrap_or(Stop::Full(last(page), B256::ZERO)))
    }
}

fn last(page: WalkPage) -> WalkPage {
    WalkPage { last: true, ..page }
}

/// The hash behind this one, unless it is the last there can be.
fn after(hash: B256) -> Option<B256> {
    U256::from_be_bytes(hash.0).checked_add(U256::from(1)).map(B256::from)
}
