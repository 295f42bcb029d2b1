//! The connection of a client, made anew when it breaks.

use std::{
    future::Future,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    time::Duration,
};

use prost::bytes::Bytes as Wire;
use tokio::{
    runtime::{Builder, Runtime},
    time::{Instant, timeout_at},
};
use tonic::{
    Code, Request, Status, Streaming,
    metadata::{Ascii, MetadataValue},
    service::{Interceptor, interceptor::InterceptedService},
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint},
};
use zvm_core::DbError;

use super::{NetOptions, TlsOptions};
use crate::{
    fault,
    proto::{self, Fault, PROTOCOL, fault::What, state_client::StateClient},
    token::Token,
    wire::{self, Standing},
};

/// The generated client, with the token on every request.
pub(super) type Client = StateClient<InterceptedService<Channel, Bearer>>;

/// Largest answer that is taken, in bytes: more than a server with default limits gives.
const REPLY_BYTES_MAX: usize = 256 << 20;

/// Pauses between attempts to connect.
const PAUSE_FIRST: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_millis(500);

/// How often a connection without traffic is tried, and how long that may take.
const PING: Duration = Duration::from_secs(10);

/// How long it may take to say good-bye.
const PARTING: Duration = Duration::from_millis(500);

/// A server, and the session that this client has there.
pub(super) struct Remote {
    endpoint: Endpoint,
    bearer: Bearer,
    /// What errors call the server.
    name: String,
    timeout: Duration,
    runtime: Option<Runtime>,
    link: Mutex<Option<Arc<Link>>>,
}

/// A session at the other end of a connection.
pub(super) struct Link {
    pub(super) client: Client,
    pub(super) session: Wire,
    /// The life of the server.
    pub(super) server: Wire,
    pub(super) writes: bool,
    pub(super) is_resumed: bool,
    pub(super) request_bytes_max: u64,
    /// Where the session stands, as far as this client has been told.
    standing: Mutex<Standing>,
    is_alive: Arc<AtomicBool>,
}

/// Why a call has no answer.
pub(super) enum Failure {
    /// The server says so.
    Refused(Box<Fault>),
    /// The connection broke, or time was up. Whether the server did what it was asked is not known.
    Cut(String),
    /// What the server says makes no sense.
    Unread(String),
}

/// Puts the token on requests.
#[derive(Clone)]
pub(super) struct Bearer(Option<MetadataValue<Ascii>>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(token) = &self.0 {
            request.metadata_mut().insert("authorization", token.clone());
        }
        Ok(request)
    }
}

impl Bearer {
    fn new(token: Option<&Token>) -> Option<Self> {
        let Some(token) = token else { return Some(Self(None)) };
        let mut value = MetadataValue::try_from(token.header().as_str()).ok()?;
        value.set_sensitive(true);
        Some(Self(Some(value)))
    }
}

impl Remote {
    /// Gets ready; nothing is connected yet.
    pub(super) fn new(options: &NetOptions) -> Result<Self, DbError> {
        let name = format!("net:{}", options.address);
        let refused = |what: String| DbError::Remote { endpoint: name.clone(), what };
        let scheme = if options.tls.is_some() { "https" } else { "http" };
        let mut endpoint = Endpoint::from_shared(format!("{scheme}://{}", options.address))
            .map_err(|error| refused(format!("no address: {}", chain(&error))))?
            .connect_timeout(options.timeout)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(PING)
            .keep_alive_timeout(PING)
            .keep_alive_while_idle(true);
        if let Some(TlsOptions { authorities, server_name }) = &options.tls {
            let mut tls = match authorities {
                Some(pem) => ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem)),
                None => ClientTlsConfig::new().with_webpki_roots(),
            };
            if let Some(name) = server_name {
                tls = tls.domain_name(name);
            }
            endpoint = endpoint
                .tls_config(tls)
                .map_err(|error| refused(format!("certificates: {}", chain(&error))))?;
        }
        let bearer = Bearer::new(options.token.as_ref())
            .ok_or_else(|| refused("a token that fits into no header".to_owned()))?;
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("zvm-net-client")
            .enable_all()
            .build()
            .map_err(|error| refused(format!("no thread for the connection: {error}")))?;
        let (timeout, link) = (options.timeout, Mutex::new(None));
        Ok(Self { endpoint, bearer, name, timeout, runtime: Some(runtime), link })
    }

    /// When a call that begins now has to be over.
    pub(super) fn deadline(&self) -> Instant {
        Instant::now() + self.timeout
    }

    /// What errors call the server.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn error(&self, what: impl Into<String>) -> DbError {
        DbError::Remote { endpoint: self.name.clone(), what: what.into() }
    }

    /// What a failure is to a caller.
    pub(super) fn failed(&self, failure: Failure) -> DbError {
        match failure {
            Failure::Refused(fault) => fault::error(*fault, &self.name),
            Failure::Cut(what) | Failure::Unread(what) => self.error(what),
        }
    }

    /// Runs `future` on the threads of the connection, from whatever thread this is: one of another
    /// runtime may be blocked, but must not be made to run this one.
    pub(super) fn run<T: Send + 'static>(
        &self,
        deadline: Instant,
        future: impl Future<Output = Result<T, Status>> + Send + 'static,
    ) -> Result<T, Failure> {
        let gone = || Failure::Cut("the connection has ended".to_owned());
        let runtime = self.runtime.as_ref().ok_or_else(gone)?;
        let (answered, answer) = mpsc::sync_channel(1);
        runtime.spawn(async move {
            // The other end is there as long as this function is.
            let _ = answered.send(timeout_at(deadline, future).await);
        });
        match answer.recv().map_err(|_| gone())? {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(status)) => Err(failure(&status)),
            Err(_) => Err(Failure::Cut(format!("no answer within {:?}", self.timeout))),
        }
    }

    /// The session, attached anew if its connection broke. `is_patient` waits for a server that is
    /// not there, until the deadline.
    pub(super) fn link(&self, deadline: Instant, is_patient: bool) -> Result<Arc<Link>, Failure> {
        let mut current = self.current();
        if let Some(link) = current.as_ref().filter(|link| link.is_alive()) {
            return Ok(Arc::clone(link));
        }
        // Others wait here meanwhile: they want the same.
        let known = current.as_ref().map(|link| link.session.clone()).unwrap_or_default();
        let mut pause = PAUSE_FIRST;
        loop {
            let failure = match self.attach(known.clone(), deadline) {
                Ok(link) => {
                    let link = Arc::new(link);
                    *current = Some(Arc::clone(&link));
                    return Ok(link);
                }
                Err(failure) => failure,
            };
            let is_passing = matches!(failure, Failure::Cut(_)) || is_closing(&failure);
            if !is_patient || !is_passing || Instant::now() + pause > deadline {
                return Err(failure);
            }
            std::thread::sleep(pause);
            pause = PAUSE_MAX.min(2 * pause);
        }
    }

    /// Takes `link` for broken.
    pub(super) fn give_up(&self, link: &Link) {
        link.is_alive.store(false, Ordering::Release);
    }

    fn current(&self) -> MutexGuard<'_, Option<Arc<Link>>> {
        self.link.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Connects, and begins a session or goes on with `session`.
    fn attach(&self, session: Wire, deadline: Instant) -> Result<Link, Failure> {
        let (endpoint, bearer) = (self.endpoint.clone(), self.bearer.clone());
        let (client, attached, events) = self.run(deadline, async move {
            let unconnected = |error| format!("cannot connect: {}", chain(&error));
            let channel =
                endpoint.connect().await.map_err(unconnected).map_err(Status::unavailable)?;
            let mut client = StateClient::with_interceptor(channel, bearer)
                .max_decoding_message_size(REPLY_BYTES_MAX);
            let request = proto::AttachRequest { protocol: PROTOCOL, session };
            let mut events = client.attach(request).await?.into_inner();
            let attached = events.message().await?;
            let attached = attached.ok_or_else(|| Status::unavailable("no word of the session"))?;
            Ok((client, attached, events))
        })?;
        let unread = |error| Failure::Unread(format!("its answer: {error}"));
        let standing = wire::standing(&attached.standing.unwrap_or_default()).map_err(unread)?;
        let is_alive = Arc::new(AtomicBool::new(true));
        if let Some(runtime) = &self.runtime {
            runtime.spawn(watch(events, Arc::clone(&is_alive)));
        }
        Ok(Link {
            client,
            session: attached.session,
            server: attached.server,
            writes: attached.writes,
            is_resumed: attached.resumed,
            request_bytes_max: attached.request_bytes_max,
            standing: Mutex::new(standing),
            is_alive,
        })
    }
}

/// Listens until there is nothing more to hear: then the session has to be attached anew.
async fn watch(mut events: Streaming<proto::Attached>, is_alive: Arc<AtomicBool>) {
    while let Ok(Some(event)) = events.message().await {
        if event.closing {
            break;
        }
    }
    is_alive.store(false, Ordering::Release);
}

impl Link {
    pub(super) fn standing(&self) -> Standing {
        *self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes where the session stands now.
    pub(super) fn stand(&self, standing: Standing) {
        *self.standing.lock().unwrap_or_else(PoisonError::into_inner) = standing;
    }

    fn is_alive(&self) -> bool {
        self.is_alive.load(Ordering::Acquire)
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        let link = self.current().take().filter(|link| link.is_alive());
        if let Some(link) = link {
            // So that the session is not kept for nothing. It ends without, too.
            let _ = self.run(Instant::now() + PARTING, async move {
                let request = proto::DetachRequest { session: link.session.clone() };
                link.client.clone().detach(request).await
            });
        }
        if let Some(runtime) = self.runtime.take() {
            // Waiting is forbidden where this is dropped inside another runtime.
            runtime.shutdown_background();
        }
    }
}

impl Failure {
    /// Whether the session is over, so that another has to be attached.
    pub(super) fn ends_session(&self) -> bool {
        match self {
            Self::Cut(_) => true,
            Self::Refused(fault) => {
                matches!(fault.what, Some(What::NoSession(_) | What::Closing(_)))
            }
            Self::Unread(_) => false,
        }
    }
}

/// Whether the server shuts down; another may come in its place.
fn is_closing(failure: &Failure) -> bool {
    let Failure::Refused(fault) = failure else { return false };
    matches!(fault.what, Some(What::Closing(_)))
}

/// What a status without an answer means.
fn failure(status: &Status) -> Failure {
    if let Some(fault) = fault::carried(status) {
        return Failure::Refused(Box::new(fault));
    }
    match status.code() {
        Code::Unavailable
        | Code::Unknown
        | Code::Cancelled
        | Code::Internal
        | Code::DeadlineExceeded => Failure::Cut(match status.message() {
            "" => "the connection broke".to_owned(),
            message => message.to_owned(),
        }),
        // By the library at the other end, such as for a request beyond its limit.
        _ => {
            let what = format!("refused: {}", status.message());
            Failure::Refused(Box::new(Fault { what: Some(What::Other(what)) }))
        }
    }
}

/// The messages of an error and of its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let message = cause.to_string();
        if !text.contains(&message) {
            text = format!("{text}: {message}");
        }
        source = cause.source();
    }
    text
}
