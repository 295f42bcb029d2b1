//! Answers kept in memory and on disk.

mod disk;
mod nodes;
mod record;
mod state_file;
#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use quick_cache::{Weighter, sync::Cache};
use zvm_core::{Address, B256, Bytes, DbError, Header};
use zvm_trie::AccountProof;

use crate::{Found, Origin, PlacedTransaction, Prestate, ProofRequest, Read, Source};
use record::Record;
use state_file::StateFile;

pub use disk::DiskCache;

/// Keeps the answers of another source, and what proves them: in memory, and on disk for the next
/// process.
///
/// What is on disk belongs to one block of one chain and, unless it was verified, to one endpoint.
/// A disk that cannot be read or written makes reads slower and nothing else; see
/// [`disk_fault`](Self::disk_fault).
pub struct Kept {
    inner: Arc<dyn Source>,
    memory: Cache<Read, Found, Size>,
    /// Nodes of tries by their hashes.
    nodes: Cache<B256, Bytes, Size>,
    disk: Option<Disk>,
    hits: [AtomicU64; 3],
}

/// Where answers came from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeptStats {
    /// Out of memory.
    pub memory: u64,
    /// From disk.
    pub disk: u64,
    /// From the source behind.
    pub fetched: u64,
}

/// What is on disk of one state.
struct Disk {
    cache: DiskCache,
    state: Mutex<StateFile>,
    fault: Mutex<Option<DbError>>,
}

/// Weighs answers by the memory they take.
#[derive(Clone)]
struct Size;

/// What a read, its answer and the space around them take.
const ENTRY_BYTES: u64 = 256;
/// What entries weigh typically, for which the space of the cache is laid out.
const ENTRY_BYTES_TYPICAL: u64 = 2 * ENTRY_BYTES;

impl Weighter<Read, Found> for Size {
    fn weight(&self, _: &Read, found: &Found) -> u64 {
        ENTRY_BYTES + if let Found::Code(code) = found { code.len() as u64 } else { 0 }
    }
}

impl Weighter<B256, Bytes> for Size {
    fn weight(&self, _: &B256, node: &Bytes) -> u64 {
        ENTRY_BYTES + node.len() as u64
    }
}

/// Of the memory for answers, a part like this is there for nodes, beside it.
const NODES_PART: usize = 4;

const MEMORY: usize = 0;
const DISK: usize = 1;
const FETCHED: usize = 2;

impl Kept {
    /// Bytes of memory unless told otherwise.
    pub const MEMORY_BYTES: u64 = 256 << 20;

    /// Keeps answers of `inner` in `memory_bytes` of memory, with a quarter of that for proofs beside
    /// it, and nowhere else.
    #[must_use]
    pub fn new(inner: Arc<dyn Source>, memory_bytes: u64) -> Self {
        let entries = usize::try_from(memory_bytes / ENTRY_BYTES_TYPICAL).unwrap_or(usize::MAX);
        let memory = Cache::with_weighter(entries, memory_bytes, Size);
        let (entries, node_bytes) = (entries / NODES_PART, memory_bytes / NODES_PART as u64);
        let nodes = Cache::with_weighter(entries, node_bytes, Size);
        Self { inner, memory, nodes, disk: None, hits: Default::default() }
    }

    /// Keeps them on disk, too. `endpoint` tells endpoints apart where answers are not verified; a
    /// hash of it becomes part of a file's name.
    #[must_use]
    pub fn with_disk(mut self, cache: DiskCache, endpoint: &str) -> Self {
        let state = Mutex::new(StateFile::new(cache.state_path(self.inner.origin(), endpoint)));
        self.disk = Some(Disk { cache, state, fault: Mutex::new(None) });
        self
    }

    /// Where answers have come from so far.
    #[must_use]
    pub fn stats(&self) -> KeptStats {
        let [memory, disk, fetched] = self.hits.each_ref().map(|hits| hits.load(Ordering::Relaxed));
        KeptStats { memory, disk, fetched }
    }

    /// Why the disk was last of no use, if it was. Asked once; it is forgotten then.
    pub fn disk_fault(&self) -> Option<DbError> {
        self.disk.as_ref()?.fault.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// The answer out of memory or from disk.
    fn find(&self, read: &Read) -> Option<(Found, usize)> {
        let key = key(read);
        if let Some(found) = self.memory.get(&key) {
            return Some((found, MEMORY));
        }
        let disk = self.disk.as_ref()?;
        let found = match key {
            Read::Code(hash, _) => disk.cache.code(hash).map(|code| code.map(Found::Code)),
            _ => disk.state().find(&key),
        };
        let found = disk.note(found)??;
        self.memory.insert(key, found.clone());
        Some((found, DISK))
    }

    /// Keeps answers that were fetched.
    fn keep(&self, fetched: &HashMap<Read, Found>) {
        for (read, found) in fetched {
            self.memory.insert(*read, found.clone());
        }
        let Some(disk) = &self.disk else { return };
        for (read, found) in fetched {
            if let (Read::Code(hash, _), Found::Code(code)) = (read, found) {
                disk.note(disk.cache.put_code(*hash, code));
            }
        }
        let of_state = fetched.iter().filter(|(read, _)| !matches!(read, Read::Code(..)));
        disk.append(of_state.map(|(read, found)| Record::Answer(*read, found.clone())));
    }

    fn count(&self, place: usize, count: usize) {
        self.hits[place].fetch_add(count as u64, Ordering::Relaxed);
    }
}

/// The read under which an answer is kept: code is the same whoever has it.
fn key(read: &Read) -> Read {
    match *read {
        Read::Code(hash, _) => Read::Code(hash, Address::ZERO),
        read => read,
    }
}

impl Disk {
    fn state(&self) -> MutexGuard<'_, StateFile> {
        // What is in the file is checked again with every look at it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn append(&self, records: impl Iterator<Item = Record>) {
        let written = self.state().append(records);
        if let Some(bytes) = self.note(written) {
            self.note(self.cache.wrote(bytes));
        }
    }

    /// Takes a failure of the disk for an answer that is not there, and remembers it.
    fn note<T>(&self, outcome: Result<T, DbError>) -> Option<T> {
        outcome
            .map_err(|error| {
                *self.fault.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
            })
            .ok()
    }
}

impl Source for Kept {
    fn origin(&self) -> &Origin {
        self.inner.origin()
    }

    fn name(&self) -> String {
        self.inner.name()
    }

    fn fetch(&self, reads: &[Read]) -> Result<Vec<Found>, DbError> {
        let mut found: Vec<_> = reads
            .iter()
            .map(|read| {
                let (found, place) = self.find(read)?;
                self.count(place, 1);
                Some(found)
            })
            .collect();
        let mut missing: Vec<Read> = Vec::new();
        let mut asked = std::collections::HashSet::new();
        for (read, _) in reads.iter().zip(&found).filter(|(_, found)| found.is_none()) {
            if asked.insert(key(read)) {
                missing.push(*read);
            }
        }
        if missing.is_empty() {
            return Ok(found.into_iter().flatten().collect());
        }
        let answers = self.inner.fetch(&missing)?;
        self.count(FETCHED, missing.len());
        let fetched: HashMap<_, _> = missing.iter().map(key).zip(answers).collect();
        self.keep(&fetched);
        for (read, found) in reads.iter().zip(&mut found) {
            if found.is_none() {
                *found = fetched.get(&key(read)).cloned();
            }
        }
        let no_answer =
            || DbError::Remote { endpoint: self.name(), what: "answers are missing".into() };
        found.into_iter().map(|found| found.ok_or_else(no_answer)).collect()
    }

    fn known(&self, read: &Read) -> Option<Found> {
        self.find(read).map(|(found, _)| found).or_else(|| self.inner.known(read))
    }

    fn prove(&self, requests: &[ProofRequest]) -> Result<Vec<AccountProof>, DbError> {
        self.prove_kept(requests)
    }

    fn headers(&self, numbers: &[u64]) -> Result<Vec<Header>, DbError> {
        self.inner.headers(numbers)
    }

    fn transaction(&self, hash: B256) -> Result<PlacedTransaction, DbError> {
        self.inner.transaction(hash)
    }

    fn prestate(&self, hash: B256) -> Result<Option<Prestate>, DbError> {
        self.inner.prestate(hash)
    }
}
