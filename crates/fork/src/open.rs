//! From a configuration to a fork, with the layers it asks for.

use std::sync::Arc;

use zeroize::Zeroizing;
use zvm_core::{B256, DbError};
use zvm_state::{BlockRef, Endpoint, ForkCache, ForkConfig, ForkSource};

use crate::{
    DiskCache, ForkDb, Found, Kept, Node, Origin, PlacedTransaction, Read, Recorder, Replay,
    Source, Traffic, Verified, node::refused, source::known_chains,
};

/// The numbers that chains of development nodes have.
const DEVELOPMENT_CHAINS: [u64; 2] = [31_337, 1337];

/// A fork, and the handles to what is below it.
pub struct Opened {
    /// The fork.
    pub db: ForkDb,
    /// What reading costs; `None` where nothing is ever asked.
    pub traffic: Option<Arc<Traffic>>,
    /// What was read, where that was asked for.
    pub recorder: Option<Arc<Recorder>>,
}

/// What is below a fork.
struct Below {
    source: Arc<dyn Source>,
    traffic: Option<Arc<Traffic>>,
}

/// A node that must not be asked.
struct Offline {
    origin: Origin,
    name: String,
}

/// Opens the fork that `config` names: a node behind proofs, if they are wanted, and caches, or a
/// recording.
///
/// A block given by its hash, or by a number that is final, is known after the first time: then
/// nothing is asked before something is read that is not in the cache.
pub fn open(config: &ForkConfig) -> Result<Opened, DbError> {
    let Below { source, traffic } = below(config)?;
    Ok(Opened { db: ForkDb::new(source), traffic, recorder: None })
}

/// [`open`] with a [`Recorder`] that remembers all that is read.
pub fn open_recorded(config: &ForkConfig) -> Result<Opened, DbError> {
    let Below { source, traffic } = below(config)?;
    let recorder = Arc::new(Recorder::new(source));
    Ok(Opened { db: ForkDb::new(recorder.clone()), traffic, recorder: Some(recorder) })
}

fn below(config: &ForkConfig) -> Result<Below, DbError> {
    let endpoint = match &config.source {
        ForkSource::Recording(path) => {
            let replay: Arc<dyn Source> = match config.is_verified {
                true => Arc::new(Verified::new(Arc::new(Replay::open(path)?))?),
                false => Arc::new(Replay::open(path)?),
            };
            check_hash(config, replay.origin(), &replay.name())?;
            return Ok(Below { source: replay, traffic: None });
        }
        ForkSource::Node(endpoint) => endpoint,
    };
    let cache = disk_cache(config)?;
    let whose = &*whose(config, endpoint);
    let known = cache.as_ref().and_then(|cache| known_origin(cache, config, whose));
    if config.is_offline {
        let origin = known.ok_or_else(|| {
            refused(config, "offline, and the cache does not have this block: name it by its hash")
        })?;
        let offline = Offline { origin, name: endpoint.to_string() };
        let source = layers(Arc::new(offline), config, cache, whose)?;
        return Ok(Below { source, traffic: None });
    }
    let node = match known {
        Some(origin) => Node::resume(config, origin)?,
        None => Node::open(config)?,
    };
    let traffic = Some(node.traffic());
    let is_development = DEVELOPMENT_CHAINS.contains(&node.origin().chain_id);
    let cache = match config.cache {
        // Such nodes change their state at will, and the block stays the same.
        ForkCache::User if is_development => None,
        _ => cache,
    };
    if let Some(cache) = &cache {
        remember(cache, config, whose, &node);
    }
    Ok(Below { source: layers(Arc::new(node), config, cache, whose)?, traffic })
}

/// Whose answers those of a fork are: of any of its endpoints.
fn whose(config: &ForkConfig, first: &Endpoint) -> Zeroizing<String> {
    let others = config.endpoints.iter();
    let urls: Vec<_> = std::iter::once(first).chain(others).map(Endpoint::url).collect();
    Zeroizing::new(urls.join(" "))
}

/// Puts proofs and caches over a node.
fn layers(
    node: Arc<dyn Source>,
    config: &ForkConfig,
    cache: Option<DiskCache>,
    whose: &str,
) -> Result<Arc<dyn Source>, DbError> {
    let source = match config.is_verified {
        true => Arc::new(Verified::new(node)?),
        false => node,
    };
    let kept = Kept::new(source, Kept::MEMORY_BYTES);
    let kept = match cache {
        Some(cache) => kept.with_disk(cache, whose),
        None => kept,
    };
    Ok(Arc::new(kept))
}

/// The cache on disk. Where nobody has asked for one it is left out if it cannot be had.
fn disk_cache(config: &ForkConfig) -> Result<Option<DiskCache>, DbError> {
    match &config.cache {
        ForkCache::Off => Ok(None),
        ForkCache::Folder(folder) => DiskCache::open(folder, config.cache_bytes).map(Some),
        ForkCache::User => {
            let folder = DiskCache::user_folder();
            Ok(folder.and_then(|folder| DiskCache::open(&folder, config.cache_bytes).ok()))
        }
    }
}

/// The block, if the cache knows which one is meant.
fn known_origin(cache: &DiskCache, config: &ForkConfig, whose: &str) -> Option<Origin> {
    let hash = match (config.block, config.hash) {
        (BlockRef::Hash(hash), _) | (BlockRef::Latest, Some(hash)) => hash,
        (BlockRef::Number(number), hash) => {
            let of_chain = |(_, chain): (_, zvm_core::ChainConfig)| {
                cache.number(chain.chain_id, number, whose)
            };
            hash.or_else(|| known_chains().into_iter().find_map(of_chain))?
        }
        _ => return None,
    };
    let origin = cache.origin(hash, whose)?;
    let is_meant = match config.block {
        BlockRef::Number(number) => origin.block.number == number,
        _ => true,
    };
    // How the hard fork is told may have changed, and a quorum is asked for each time.
    let is_plain = config.quorum <= 1 && config.chain.is_none();
    let origin = Origin { spec: config.spec.or(origin.spec), is_verified: false, ..origin };
    (is_meant && is_plain && config.hash.is_none_or(|expected| expected == hash)).then_some(origin)
}

/// Keeps which block it is. What cannot be kept is asked again.
fn remember(cache: &DiskCache, config: &ForkConfig, whose: &str, node: &Node) {
    let origin = node.origin();
    if node.traffic().requests() == 0 {
        return; // It came from there.
    }
    if config.spec.is_none() && config.chain.is_none() {
        let _ = cache.put_origin(origin, whose);
    }
    let is_public = known_chains().iter().any(|(_, chain)| chain.chain_id == origin.chain_id);
    if let BlockRef::Number(number) = config.block
        && is_public
        && node.finalized().is_some_and(|finalized| number <= finalized)
    {
        let _ = cache.put_number(origin.chain_id, number, origin.block.hash, whose);
    }
}

/// Checks that a recording is of the block that was asked for.
fn check_hash(config: &ForkConfig, origin: &Origin, name: &str) -> Result<(), DbError> {
    let is_right = |hash: B256| hash == origin.block.hash;
    match config.hash {
        Some(hash) if !is_right(hash) => Err(DbError::Unproven {
            endpoint: name.to_owned(),
            what: format!("recorded at block {}, expected {hash}", origin.block.hash),
        }),
        _ => Ok(()),
    }
}

impl Source for Offline {
    fn origin(&self) -> &Origin {
        &self.origin
    }

    fn name(&self) -> String {
        self.name.clone()
    }

    fn fetch(&self, reads: &[Read]) -> Result<Vec<Found>, DbError> {
        match reads.first() {
            None => Ok(Vec::new()),
            Some(read) => Err(DbError::Remote {
                endpoint: self.name.clone(),
                what: format!("{read}: offline, and not in the cache"),
            }),
        }
    }

    fn transaction(&self, hash: B256) -> Result<PlacedTransaction, DbError> {
        let what = format!("transaction {hash}: offline, and transactions are not in the cache");
        Err(DbError::Remote { endpoint: self.name.clone(), what })
    }
}
