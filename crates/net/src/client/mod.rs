//! The client: another process's database as a backend.

mod commit;
mod link;
mod reads;
mod writes;

use std::{
    fs::{self, File},
    io::Read as _,
    path::Path,
    sync::Arc,
    time::Duration,
};

use prost::bytes::Bytes as Wire;
use tokio::time::Instant;
use zvm_core::{BlockId, DbError, SnapshotId};
use zvm_state::{DatabaseConfig, NetConfig};

use crate::{token::Token, wire::Standing};
use link::{Failure, Link, Remote};

pub use commit::{Fate, Unsettled};

/// The database of another process.
///
/// It reads one state: that after the block it stood at when it was opened, after its own last commit,
/// or where [`refresh`](zvm_core::StateBackend::refresh) has led. What others commit is seen after a
/// refresh; a write to a state that others have changed is refused and moves on to theirs.
///
/// Calls block, but may be made from any thread, those of an asynchronous runtime included. A broken
/// connection is made anew, and what has been read is asked again, within the time-out. A commit that
/// was cut off is asked about, see [`settle`](Self::settle).
pub struct NetDb {
    remote: Remote,
    is_read_only: bool,
    place: Place,
    snapshots: Snapshots,
    unsettled: Option<Unsettled>,
}

/// Where a server is, and how to talk to it.
#[derive(Clone)]
pub struct NetOptions {
    /// `HOST:PORT`.
    pub address: String,
    /// The token to show.
    pub token: Option<Token>,
    /// How the connection is encrypted; not at all without.
    pub tls: Option<TlsOptions>,
    /// How long a call may take, with all that is tried again.
    pub timeout: Duration,
    /// Whether to write nothing, whatever the token allows.
    pub is_read_only: bool,
}

/// Who vouches for a server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsOptions {
    /// Certificates of authorities in PEM; those that browsers know, if not given.
    pub authorities: Option<Vec<u8>>,
    /// The name in the server's certificate; the host, if not given.
    pub server_name: Option<String>,
}

/// The state that is read, by all that can be said of it.
#[derive(Clone)]
struct Place {
    standing: Standing,
    /// The life of the server in which the state has its name.
    server: Wire,
}

/// Snapshots of this client. Those of the server belong to a session and begin anew with its life, so
/// they have other names here.
#[derive(Default)]
struct Snapshots {
    taken: Vec<(SnapshotId, Wire, u64)>,
    next: u64,
}

/// Largest file of certificates, in bytes.
const CERTIFICATES_MAX: u64 = 1 << 20;

impl NetOptions {
    /// A server at `HOST:PORT`, without token and encryption.
    #[must_use]
    pub fn new(address: impl Into<String>) -> Self {
        let address = address.into();
        let timeout = NetConfig::TIMEOUT;
        Self { address, token: None, tls: None, timeout, is_read_only: false }
    }

    /// What `config` says, with the token and the certificates it names.
    pub fn read(config: &NetConfig) -> Result<Self, DbError> {
        let named = || DatabaseConfig::Net(Box::new(config.clone())).to_string();
        let token = config.token.as_ref().map(|source| {
            Token::new(source.read("token")?)
                .map_err(|error| DbError::Config { config: named(), what: error.to_string() })
        });
        let authorities = config.ca_file.as_deref().map(certificates).transpose()?;
        let is_tls = config.is_tls || authorities.is_some() || config.server_name.is_some();
        let server_name = config.server_name.clone();
        Ok(Self {
            address: config.address.clone(),
            token: token.transpose()?,
            tls: is_tls.then_some(TlsOptions { authorities, server_name }),
            timeout: config.timeout,
            is_read_only: config.is_read_only,
        })
    }
}

fn certificates(path: &Path) -> Result<Vec<u8>, DbError> {
    let fault =
        |source| DbError::Io { action: "read the certificates", path: path.to_owned(), source };
    let mut pem = Vec::new();
    fs::metadata(path)
        .and_then(|_| File::open(path)?.take(CERTIFICATES_MAX).read_to_end(&mut pem))
        .map_err(fault)?;
    Ok(pem)
}

impl NetDb {
    /// Connects, and stands at the latest state.
    pub fn open(options: NetOptions) -> Result<Self, DbError> {
        let remote = Remote::new(&options)?;
        // Whoever opens waits for no server to come: its address is probably wrong.
        let link =
            remote.link(remote.deadline(), false).map_err(|failure| remote.failed(failure))?;
        let place = Place { standing: link.standing(), server: link.server.clone() };
        Ok(Self {
            remote,
            is_read_only: options.is_read_only,
            place,
            snapshots: Snapshots::default(),
            unsettled: None,
        })
    }

    /// [`open`](Self::open) with what a configuration says.
    pub fn from_config(config: &NetConfig) -> Result<Self, DbError> {
        Self::open(NetOptions::read(config)?)
    }

    /// The session, standing at the state that is read here.
    fn link_here(&self, deadline: Instant) -> Result<Arc<Link>, Failure> {
        let link = self.remote.link(deadline, true)?;
        match self.place.is(&link) {
            true => Ok(link),
            false => Err(Failure::Unread(format!(
                "the state after block {} is not at hand any more: the connection broke, and the \
                 server is at block {} now; refresh to go on",
                self.place.standing.block.number,
                link.standing().block.number
            ))),
        }
    }
}

impl Place {
    fn of(link: &Link) -> Self {
        Self { standing: link.standing(), server: link.server.clone() }
    }

    /// Whether the session of `link` stands here.
    fn is(&self, link: &Link) -> bool {
        let (here, there) = (self.standing, link.standing());
        if self.server == link.server {
            return here.state == there.state;
        }
        // Names of states begin anew with each life of a server. What stays is the block, and the mark
        // of who made it; a state that was never committed to has neither.
        here.block == there.block && here.mark == there.mark && here.block != BlockId::default()
    }
}
