//! The server: any backend, for other processes.

mod connection;
mod held;
mod overlay;
mod owned;
mod service;
mod session;
mod walk;

use std::{
    fmt, io,
    net::{SocketAddr, TcpListener},
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

use tokio::{
    runtime::{Builder, Runtime},
    sync::watch,
};
use tonic::{
    service::interceptor::InterceptedService,
    transport::{Identity, ServerTlsConfig},
};
use zvm_core::StateBackend;

use crate::{proto::state_server::StateServer, token::Tokens};
use connection::{Incoming, Peer};
use service::{Gate, Service, Shared};

/// A backend that is being served, from threads of its own.
///
/// Dropping it ends the service at once; [`stop`](Self::stop) lets what runs finish first.
pub struct Server {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    drain: Duration,
    done: mpsc::Receiver<Result<(), tonic::transport::Error>>,
    runtime: Option<Runtime>,
}

/// Who may do what, and how much.
#[derive(Clone)]
pub struct ServerOptions {
    /// Who may read and write.
    pub tokens: Tokens,
    /// What the server shows of itself on encrypted connections; without, they are in clear.
    pub tls: Option<TlsIdentity>,
    /// How much is taken.
    pub limits: Limits,
    /// Hears what happens; errors of clients are no errors of the server.
    pub listener: Listener,
}

/// A certificate and its key.
#[derive(Clone)]
pub struct TlsIdentity {
    /// The certificate, and those that lead to one that clients know, in PEM.
    pub certificates: Vec<u8>,
    /// The private key in PEM.
    pub key: zeroize::Zeroizing<Vec<u8>>,
}

/// What a server takes at most.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of a request.
    pub request_bytes: usize,
    /// Bytes of an answer to one request.
    pub reply_bytes: usize,
    /// Things read by one request.
    pub reads: usize,
    /// Connections.
    pub connections: usize,
    /// Sessions.
    pub sessions: usize,
    /// Requests that run at a time; further ones wait.
    pub running: usize,
    /// Time until a client has to say who it is, and to take the next part of an answer.
    pub patience: Duration,
    /// Time that a request may take, from its first byte to its answer.
    pub request_time: Duration,
    /// Time that a session is kept for a client whose connection has broken.
    pub linger: Duration,
    /// Memory for the states of sessions that stand behind the present.
    pub behind_bytes: usize,
    /// Time for what runs when the server is stopped.
    pub drain: Duration,
}

/// What hears of [`Event`]s.
pub type Listener = Arc<dyn Fn(Event) + Send + Sync>;

/// Something that happened at a server.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A client was refused, such as for a wrong token.
    Refused {
        /// Its address.
        peer: String,
        /// Why.
        what: String,
    },
    /// A client took too long and was given up.
    Slow {
        /// Its address.
        peer: String,
        /// For what.
        what: String,
    },
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            request_bytes: 64 << 20,
            reply_bytes: 64 << 20,
            reads: 10_000,
            connections: 256,
            sessions: 256,
            running: 64,
            patience: Duration::from_secs(10),
            request_time: Duration::from_secs(60),
            linger: Duration::from_secs(30),
            behind_bytes: 64 << 20,
            drain: Duration::from_secs(30),
        }
    }
}

impl Default for ServerOptions {
    /// Nobody is let in: there are no tokens.
    fn default() -> Self {
        Self {
            tokens: Tokens::new(),
            tls: None,
            limits: Limits::default(),
            listener: Arc::new(|_| {}),
        }
    }
}

impl Event {
    fn refused(peer: &Peer, what: impl Into<String>) -> Self {
        Self::Refused { peer: peer.to_string(), what: what.into() }
    }

    fn slow(peer: &Peer, what: impl Into<String>) -> Self {
        Self::Slow { peer: peer.to_string(), what: what.into() }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused { peer, what } => write!(f, "{peer}: refused: {what}"),
            Self::Slow { peer, what } => write!(f, "{peer}: slow client: {what}"),
        }
    }
}

/// Why a server does not start, or did not end well.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// The operating system refused threads or the socket.
    #[error("cannot listen: {0}")]
    Listen(#[from] io::Error),
    /// Certificate and key are none, or do not belong together.
    #[error("certificate and key cannot be used: {0}")]
    Tls(#[source] tonic::transport::Error),
    /// Serving failed.
    #[error("cannot serve: {0}")]
    Serve(#[source] tonic::transport::Error),
    /// What ran was cut off when the time for it was over.
    #[error("requests were still running after {} s", .0.as_secs())]
    Cut(Duration),
}

/// How many threads serve the wire. The work on the database has others.
const THREADS: usize = 2;

impl Server {
    /// Serves `backend` to whoever connects to `socket`.
    pub fn start(
        backend: Box<dyn StateBackend>,
        socket: TcpListener,
        options: ServerOptions,
    ) -> Result<Self, ServerError> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(THREADS)
            .thread_name("zvm-net-server")
            .enable_all()
            .build()?;
        let address = socket.local_addr()?;
        let ServerOptions { tokens, tls, limits, listener } = options;
        let mut server = tonic::transport::Server::builder()
            .timeout(limits.request_time)
            // Who has gone without a word is noticed by this.
            .http2_keepalive_interval(Some(limits.patience))
            .http2_keepalive_timeout(Some(limits.patience))
            .max_concurrent_streams(Some(STREAMS_MAX))
            .http2_max_header_list_size(Some(HEADERS_MAX));
        if let Some(TlsIdentity { certificates, key }) = tls {
            let config = ServerTlsConfig::new()
                .identity(Identity::from_pem(certificates, key.as_slice()))
                .timeout(limits.patience);
            server = server.tls_config(config).map_err(ServerError::Tls)?;
        }
        let (stop, closing) = watch::channel(false);
        let shared = Shared::new(backend, limits, Arc::clone(&listener), closing.clone())?;
        let gate = Gate::new(tokens, Arc::clone(&listener));
        let service = StateServer::new(Service::new(Arc::new(shared)))
            .max_decoding_message_size(limits.request_bytes)
            .max_encoding_message_size(limits.reply_bytes.saturating_add(1 << 20));
        let service = InterceptedService::new(service, gate);

        socket.set_nonblocking(true)?;
        let socket = {
            let _inside = runtime.enter();
            tokio::net::TcpListener::from_std(socket)?
        };
        let (finished, done) = mpsc::sync_channel(1);
        runtime.spawn(async move {
            let incoming = Incoming::new(socket, limits.connections, limits.patience, listener);
            let mut closing = closing;
            let closed = async move {
                // Fails where the server was dropped.
                let _ = closing.wait_for(|is_closing| *is_closing).await;
            };
            let served = server.serve_with_incoming_shutdown(service, incoming, closed).await;
            let _ = finished.send(served);
        });
        Ok(Self { address, stop, drain: limits.drain, done, runtime: Some(runtime) })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Finishes what runs, takes nothing new, and closes the database.
    pub fn stop(mut self) -> Result<(), ServerError> {
        self.finish(None)
    }

    /// Serves until the process is told to end (SIGINT or SIGTERM), and [stops](Self::stop). `notice`
    /// hears of the signal. A second one cuts off what runs.
    pub fn serve_until_signal(mut self, notice: impl FnOnce()) -> Result<(), ServerError> {
        let (signalled, signal) = mpsc::sync_channel(2);
        if let Some(runtime) = &self.runtime {
            runtime.spawn(signals(signalled));
        }
        loop {
            // Both are waited for: a server may fail by itself.
            match signal.recv_timeout(STEP) {
                Ok(received) => break received?,
                Err(mpsc::RecvTimeoutError::Disconnected) => break,
                Err(mpsc::RecvTimeoutError::Timeout) => {}
            }
            if let Ok(served) = self.done.try_recv() {
                return served.map_err(ServerError::Serve);
            }
        }
        notice();
        self.finish(Some(&signal))
    }

    /// `again` says that there is no more time.
    fn finish(
        &mut self,
        again: Option<&mpsc::Receiver<io::Result<()>>>,
    ) -> Result<(), ServerError> {
        let _ = self.stop.send(true);
        let end = Instant::now() + self.drain;
        let served = loop {
            match self.done.recv_timeout(STEP) {
                Ok(served) => break served.map_err(ServerError::Serve),
                Err(mpsc::RecvTimeoutError::Disconnected) => break Ok(()),
                Err(mpsc::RecvTimeoutError::Timeout) => {}
            }
            if Instant::now() > end || again.is_some_and(|again| again.try_recv().is_ok()) {
                break Err(ServerError::Cut(self.drain));
            }
        };
        if let Some(runtime) = self.runtime.take() {
            // A commit that runs is given the time to be on disk. Cut in two it is never.
            runtime.shutdown_timeout(self.drain);
        }
        served
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.stop.send(true);
        if let Some(runtime) = self.runtime.take() {
            // Never waits, which a caller inside another runtime could not.
            runtime.shutdown_background();
        }
    }
}

/// How often it is looked whether there is anything new of two things.
const STEP: Duration = Duration::from_millis(50);

/// Calls of one connection at a time.
const STREAMS_MAX: u32 = 1024;

/// Bytes of the headers of a call.
const HEADERS_MAX: u32 = 16 << 10;

/// Says each time that the process is told to end.
async fn signals(signalled: mpsc::SyncSender<io::Result<()>>) {
    let failed = signalled.clone();
    if let Err(error) = hear_signals(signalled).await {
        let _ = failed.try_send(Err(error));
    }
}

#[cfg(unix)]
async fn hear_signals(signalled: mpsc::SyncSender<io::Result<()>>) -> io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};

    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    loop {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        // Full where there were several already.
        let _ = signalled.try_send(Ok(()));
    }
}

#[cfg(not(unix))]
async fn hear_signals(signalled: mpsc::SyncSender<io::Result<()>>) -> io::Result<()> {
    loop {
        tokio::signal::ctrl_c().await?;
        let _ = signalled.try_send(Ok(()));
    }
}
