//! Connections: so many, and each has to say something soon.

use std::{
    fmt, io,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Sleep, sleep},
};
use tokio_stream::Stream;
use tonic::transport::server::Connected;

use super::{Event, Listener};

/// Whoever connects, one after the other.
pub(super) struct Incoming {
    socket: TcpListener,
    permits: Arc<Semaphore>,
    patience: Duration,
    listener: Listener,
}

/// A connection. Until the first request with a token its time is short: a handshake that is not
/// gone on with, and whatever speaks something else or nothing, keep no connection open.
pub(super) struct Connection {
    stream: TcpStream,
    peer: Peer,
    patience: Pin<Box<Sleep>>,
    listener: Listener,
    _permit: OwnedSemaphorePermit,
}

/// Who is at the other end.
#[derive(Clone, Debug)]
pub(super) struct Peer {
    address: SocketAddr,
    is_admitted: Arc<AtomicBool>,
}

impl Incoming {
    pub(super) fn new(
        socket: TcpListener,
        connections_max: usize,
        patience: Duration,
        listener: Listener,
    ) -> Self {
        // More than there can be are as many as there can be.
        let permits = Semaphore::new(connections_max.min(Semaphore::MAX_PERMITS));
        Self { socket, permits: Arc::new(permits), patience, listener }
    }
}

impl Stream for Incoming {
    type Item = io::Result<Connection>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            let (stream, address) = match ready!(self.socket.poll_accept(context)) {
                Ok(accepted) => accepted,
                Err(error) => return Poll::Ready(Some(Err(error))),
            };
            let peer = Peer { address, is_admitted: Arc::default() };
            let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() else {
                (self.listener)(Event::refused(&peer, "too many connections"));
                continue;
            };
            if let Err(error) = stream.set_nodelay(true) {
                return Poll::Ready(Some(Err(error)));
            }
            return Poll::Ready(Some(Ok(Connection {
                stream,
                peer,
                patience: Box::pin(sleep(self.patience)),
                listener: Arc::clone(&self.listener),
                _permit: permit,
            })));
        }
    }
}

impl Connected for Connection {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer.clone()
    }
}

impl Peer {
    /// Notes that it has shown a token that is known.
    pub(super) fn admit(&self) {
        self.is_admitted.store(true, Ordering::Relaxed);
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address.fmt(f)
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.peer.is_admitted.load(Ordering::Relaxed)
            && self.patience.as_mut().poll(context).is_ready()
        {
            let what = "no request with a token in time";
            (self.listener)(Event::slow(&self.peer, what));
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, what)));
        }
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
