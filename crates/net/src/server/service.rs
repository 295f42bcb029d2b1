//! The calls, one by one.

use std::{
    pin::Pin,
    sync::{Arc, RwLock, RwLockReadGuard, RwLockWriteGuard},
    task::{Context, Poll},
};

use tokio::{
    sync::{Semaphore, watch},
    task::spawn_blocking,
    time::timeout,
};
use tokio_stream::Stream;
use tonic::{
    Code, Request, Response, Status, service::Interceptor, transport::server::TlsConnectInfo,
};
use zvm_core::{Database, DbError, StateBackend};

use super::{
    Event, Limits, Listener,
    connection::Peer,
    held::{Fate, Held, Refusal, View},
    session::{Attachment, Session, Sessions},
    walk::{Over, Pages, walk},
};
use crate::{
    fault::{changed, closing, fault, malformed, no_session, refused, status},
    proto::{self, PROTOCOL, state_server::State},
    token::{Role, Tokens},
    wire::{self, Asked, Found, Read, SessionId, Standing},
};

/// What all calls share.
pub(super) struct Shared {
    /// Poisoned by a panic in the middle of a write, and of no use then.
    held: RwLock<Held>,
    sessions: Sessions,
    pub(super) limits: Limits,
    pub(super) listener: Listener,
    /// Names this life of the server.
    life: SessionId,
    running: Arc<Semaphore>,
    closing: watch::Receiver<bool>,
}

impl Shared {
    pub(super) fn new(
        backend: Box<dyn StateBackend>,
        limits: Limits,
        listener: Listener,
        closing: watch::Receiver<bool>,
    ) -> std::io::Result<Self> {
        let mut life = SessionId::default();
        getrandom::fill(&mut life).map_err(std::io::Error::other)?;
        Ok(Self {
            held: RwLock::new(Held::new(backend, limits.behind_bytes)),
            sessions: Sessions::new(limits.sessions),
            limits,
            listener,
            life,
            running: Arc::new(Semaphore::new(limits.running.min(Semaphore::MAX_PERMITS))),
            closing,
        })
    }

    /// Does work on the database, where waiting for a disk holds up nobody else.
    pub(super) async fn work<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Self) -> Result<T, Status> + Send + 'static,
    ) -> Result<T, Status> {
        let acquired = timeout(self.limits.patience, Arc::clone(&self.running).acquire_owned());
        let Ok(Ok(permit)) = acquired.await else {
            let what = format!("busy: {} requests are running", self.limits.running);
            return Err(refused(Code::ResourceExhausted, what));
        };
        let shared = Arc::clone(self);
        let worked = spawn_blocking(move || {
            let _permit = permit;
            work(&shared)
        });
        worked.await.unwrap_or_else(|_| Err(failed()))
    }

    /// Calls `look` with the state that `session` stands at.
    pub(super) fn seen<T>(
        &self,
        session: &Session,
        look: impl FnOnce(View<'_>, Standing) -> Result<T, Status>,
    ) -> Result<T, Status> {
        let held = self.read()?;
        let way = session.way(&held).map_err(refusal)?;
        look(held.view(way.as_deref()), session.standing())
    }

    fn read(&self) -> Result<RwLockReadGuard<'_, Held>, Status> {
        self.held.read().map_err(|_| failed())
    }

    fn write(&self) -> Result<RwLockWriteGuard<'_, Held>, Status> {
        self.held.write().map_err(|_| failed())
    }

    fn is_closing(&self) -> bool {
        *self.closing.borrow()
    }

    /// Ends a session, if it is there.
    fn end(&self, id: SessionId) -> Result<(), Status> {
        self.sessions.remove(id);
        self.write()?.end(id);
        Ok(())
    }
}

fn failed() -> Status {
    refused(Code::Internal, "the server has failed in the middle of its work")
}

fn refusal(refusal: Refusal) -> Status {
    match refusal {
        Refusal::Db(error) => status(&error),
        Refusal::Lost => refused(
            Code::Aborted,
            "the state of this session is gone: others went back before it or are far ahead; \
             refresh to go on",
        ),
        Refusal::Behind { head } => changed(head),
        Refusal::Barred => refused(Code::Aborted, "this commit was given up by its client"),
    }
}

/// Lets in who shows a token.
#[derive(Clone)]
pub(super) struct Gate {
    tokens: Arc<Tokens>,
    listener: Listener,
}

impl Gate {
    pub(super) fn new(tokens: Tokens, listener: Listener) -> Self {
        Self { tokens: Arc::new(tokens), listener }
    }
}

impl Interceptor for Gate {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        let header = request.metadata().get("authorization").map(|value| value.as_bytes());
        let peer = peer(request.extensions());
        let Some(role) = self.tokens.role(header) else {
            let what = match header {
                Some(_) => "a wrong token",
                None => "no token",
            };
            if let Some(peer) = peer {
                (self.listener)(Event::refused(&peer, what));
            }
            return Err(refused(Code::Unauthenticated, format!("refused: {what}")));
        };
        if let Some(peer) = peer {
            peer.admit();
        }
        request.extensions_mut().insert(role);
        Ok(request)
    }
}

fn peer(extensions: &tonic::Extensions) -> Option<Peer> {
    let tls = extensions.get::<TlsConnectInfo<Peer>>().map(TlsConnectInfo::get_ref);
    tls.or_else(|| extensions.get()).cloned()
}

/// The calls.
pub(super) struct Service(Arc<Shared>);

impl Service {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self(shared)
    }

    /// The session that a call names.
    fn session<T>(&self, request: &Request<T>, id: &[u8]) -> Result<Arc<Session>, Status> {
        if self.0.is_closing() {
            return Err(closing());
        }
        let id = wire::session(id).map_err(malformed)?;
        self.0.sessions.get(id, role(request)?).ok_or_else(no_session)
    }
}

/// What the gate has found.
fn role<T>(request: &Request<T>) -> Result<Role, Status> {
    let role = request.extensions().get().copied();
    role.ok_or_else(|| refused(Code::Unauthenticated, "refused: no token"))
}

#[tonic::async_trait]
impl State for Service {
    type AttachStream = Attachments;
    type WalkStream = Pages;

    async fn attach(
        &self,
        request: Request<proto::AttachRequest>,
    ) -> Result<Response<Attachments>, Status> {
        if self.0.is_closing() {
            return Err(closing());
        }
        let role = role(&request)?;
        let proto::AttachRequest { protocol, session } = request.into_inner();
        if protocol != PROTOCOL {
            let what = format!("protocol {protocol}, this server speaks {PROTOCOL}");
            return Err(refused(Code::FailedPrecondition, what));
        }
        let known = match session.as_ref() {
            [] => None,
            id => self.0.sessions.get(wire::session(id).map_err(malformed)?, role),
        };
        let (session, resumed) = match known {
            Some(session) => (session, true),
            None => {
                let begun = self.0.work(move |shared| {
                    // Under the lock, or the state might be left before anybody knows of the session.
                    let held = shared.read()?;
                    let standing = held.standing().map_err(|error| status(&error))?;
                    shared.sessions.begin(role, standing)
                });
                (begun.await?, false)
            }
        };
        let first = proto::Attached {
            session: wire::from_slice(session.id),
            standing: Some(wire::from_standing(&session.standing())),
            writes: session.role == Role::Writes,
            resumed,
            request_bytes_max: self.0.limits.request_bytes as u64,
            server: wire::from_slice(self.0.life),
            closing: false,
        };
        Ok(Response::new(Attachments::new(Arc::clone(&self.0), session, first)))
    }

    async fn detach(
        &self,
        request: Request<proto::DetachRequest>,
    ) -> Result<Response<proto::DetachReply>, Status> {
        let session = self.session(&request, &request.get_ref().session)?;
        self.0.work(move |shared| shared.end(session.id)).await?;
        Ok(Response::new(proto::DetachReply {}))
    }

    async fn refresh(
        &self,
        request: Request<proto::RefreshRequest>,
    ) -> Result<Response<proto::Standing>, Status> {
        let session = self.session(&request, &request.get_ref().session)?;
        let standing = self.0.work(move |shared| {
            let held = shared.read()?;
            let standing = held.standing().map_err(|error| status(&error))?;
            session.stand(standing);
            Ok(standing)
        });
        Ok(Response::new(wire::from_standing(&standing.await?)))
    }

    async fn read(
        &self,
        request: Request<proto::ReadRequest>,
    ) -> Result<Response<proto::ReadReply>, Status> {
        let session = self.session(&request, &request.get_ref().session)?;
        let proto::ReadRequest { at, queries, .. } = request.into_inner();
        let max = self.0.limits.reads;
        if queries.len() > max {
            let what = format!("{} reads at once, this server takes {max}", queries.len());
            return Err(refused(Code::ResourceExhausted, what));
        }
        let asked: Vec<_> =
            queries.iter().map(wire::query).collect::<Result<_, _>>().map_err(malformed)?;
        let answers = self.0.work(move |shared| {
            shared.seen(&session, |view, standing| {
                answers(&view, standing, at, &asked, shared.limits.reply_bytes)
            })
        });
        Ok(Response::new(proto::ReadReply { answers: answers.await? }))
    }

    async fn walk(&self, request: Request<proto::WalkRequest>) -> Result<Response<Pages>, Status> {
        let session = self.session(&request, &request.get_ref().session)?;
        let peer = peer(request.extensions());
        let proto::WalkRequest { from, address, .. } = request.into_inner();
        let from = wire::hash("from", &from).map_err(malformed)?;
        let over = match address.as_ref() {
            [] => Over::Accounts,
            bytes => Over::Slots(wire::address("address", bytes).map_err(malformed)?),
        };
        Ok(Response::new(walk(Arc::clone(&self.0), session, peer, over, from)))
    }

    async fn root(
        &self,
        request: Request<proto::RootRequest>,
    ) -> Result<Response<proto::RootReply>, Status> {
        let session = self.session(&request, &request.get_ref().session)?;
        let diff = request.into_inner().diff;
        let root = self.0.work(move |shared| {
            let diff = diff.as_deref().map(wire::diff).transpose().map_err(malformed)?;
            shared
                .seen(&session, |view, _| view.root(diff.as_ref()).map_err(|error| status(&error)))
        });
        Ok(Response::new(proto::RootReply { root: wire::from_slice(root.await?) }))
    }

    async fn write(
        &self,
        request: Request<proto::WriteRequest>,
    ) -> Result<Response<proto::WriteReply>, Status> {
        let session = self.session(&request, &request.get_ref().session)?;
        if session.role != Role::Writes {
            return Err(refused(Code::PermissionDenied, "this token is for reading only"));
        }
        let what = request.into_inner().what;
        let written = self.0.work(move |shared| {
            let write = wire::write(what).map_err(malformed)?;
            let mut held = shared.write()?;
            let others = shared.sessions.places_of_others(session.id);
            let at = session.standing().state;
            let written = held.write(session.id, at, write, &others).map_err(refusal)?;
            session.follow(&written);
            let standing = wire::from_standing(&session.standing());
            let snapshot = written.snapshot.map(|id| id.0).unwrap_or_default();
            Ok(proto::WriteReply { standing: Some(standing), snapshot })
        });
        Ok(Response::new(written.await?))
    }

    async fn fate(
        &self,
        request: Request<proto::FateRequest>,
    ) -> Result<Response<proto::FateReply>, Status> {
        let session = self.session(&request, &request.get_ref().session)?;
        if session.role != Role::Writes {
            return Err(refused(Code::PermissionDenied, "this token is for reading only"));
        }
        let proto::FateRequest { id, number, server, .. } = request.into_inner();
        let id = wire::hash("id", &id).map_err(malformed)?;
        let fate = self.0.work(move |shared| {
            let is_ours = server.as_ref() == shared.life.as_slice();
            let fate = shared.write()?.fate(id, number, is_ours);
            fate.map_err(|error| status(&error))
        });
        let fate = match fate.await? {
            Fate::Unknown => proto::fate_reply::Fate::Unknown,
            Fate::Kept => proto::fate_reply::Fate::Kept,
            Fate::Refused => proto::fate_reply::Fate::Refused,
        };
        Ok(Response::new(proto::FateReply { fate: fate.into() }))
    }
}

/// Reads what is asked, all of one state.
fn answers(
    view: &View<'_>,
    standing: Standing,
    at: Option<u64>,
    asked: &[Asked],
    bytes_max: usize,
) -> Result<Vec<proto::Answer>, Status> {
    let head = standing.block.number;
    let floor = || view.backend.floor().map(|floor| floor.min(head));
    let then = || -> Result<Box<dyn Database + '_>, DbError> {
        match at {
            Some(number) if number > head => {
                Err(DbError::NoHistory { number, floor: floor()?, head })
            }
            Some(number) if number < head => view.backend.at(number),
            _ => Ok(view.database()),
        }
    };
    let state = then().map_err(|error| status(&error))?;
    let mut bytes = 0_usize;
    let mut answers = Vec::with_capacity(asked.len());
    for asked in asked {
        let found = match asked {
            Asked::Floor => floor().map(proto::answer::What::Floor),
            Asked::Read(read) => self::read(&*state, *read).map(wire::from_found),
        };
        let what = found.unwrap_or_else(|error| proto::answer::What::Fault(fault(&error)));
        if let proto::answer::What::Code(code) = &what {
            bytes = bytes.saturating_add(code.len());
        }
        if bytes > bytes_max {
            let what = format!("an answer of more than {bytes_max} bytes; ask for less at once");
            return Err(refused(Code::ResourceExhausted, what));
        }
        answers.push(proto::Answer { what: Some(what) });
    }
    Ok(answers)
}

fn read(state: &dyn Database, read: Read) -> Result<Found, DbError> {
    Ok(match read {
        Read::Account(address) => Found::Account(state.account(address)?),
        Read::Slot(address, slot) => Found::Slot(state.storage(address, slot)?),
        Read::Code(hash) => Found::Code(state.code(hash)?),
        Read::BlockHash(number) => Found::BlockHash(state.block_hash(number)?),
    })
}

/// What a client hears as long as it holds a session: where it stands, and in the end that the server
/// closes.
pub(super) struct Attachments {
    first: Option<proto::Attached>,
    closing: Pin<Box<dyn Future<Output = ()> + Send>>,
    is_closed: bool,
    hold: Hold,
}

/// A client's hold on its session.
struct Hold {
    shared: Arc<Shared>,
    session: Arc<Session>,
    attachment: Attachment,
}

impl Attachments {
    fn new(shared: Arc<Shared>, session: Arc<Session>, first: proto::Attached) -> Self {
        let mut closing = shared.closing.clone();
        let closing = Box::pin(async move {
            let _ = closing.wait_for(|is_closing| *is_closing).await;
        });
        let attachment = session.attach();
        let hold = Hold { shared, session, attachment };
        Self { first: Some(first), closing, is_closed: false, hold }
    }
}

impl Stream for Attachments {
    type Item = Result<proto::Attached, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(first)));
        }
        if self.is_closed {
            return Poll::Ready(None);
        }
        self.closing.as_mut().poll(context).map(|()| {
            self.is_closed = true;
            let session = wire::from_slice(self.hold.session.id);
            Some(Ok(proto::Attached { session, closing: true, ..proto::Attached::default() }))
        })
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.session.let_go(self.attachment);
        let (shared, session) = (Arc::clone(&self.shared), Arc::clone(&self.session));
        let attachment = self.attachment;
        // Not where the runtime is going as well.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        runtime.spawn(async move {
            tokio::time::sleep(shared.limits.linger).await;
            if session.is_left(attachment) {
                // The database is busy or failed; either way there is nothing more to do here.
                let _ = shared.work(move |shared| shared.end(session.id)).await;
            }
        });
    }
}
