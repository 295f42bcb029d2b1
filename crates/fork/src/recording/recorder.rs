//! Remembering what is read.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use zvm_core::{Address, B256, Bytes, DbError, Header, U256};
use zvm_trie::AccountProof;

use super::{Recording, RecordingSize};
use crate::{Found, Origin, PlacedTransaction, ProofRequest, Read, Source, proofs::prove_in_parts};

/// Passes reads on and remembers the answers.
///
/// A source that answers the same read in two ways is refused: what came of it could not be
/// replayed.
pub struct Recorder {
    inner: Arc<dyn Source>,
    recording: Mutex<Recording>,
}

impl Recorder {
    /// A recorder in front of `inner` that has seen nothing.
    #[must_use]
    pub fn new(inner: Arc<dyn Source>) -> Self {
        let recording = Mutex::new(Recording::new(inner.origin().clone()));
        Self { inner, recording }
    }

    /// What has been read so far.
    #[must_use]
    pub fn recording(&self) -> Recording {
        self.lock().clone()
    }

    /// How much has been read so far.
    #[must_use]
    pub fn size(&self) -> RecordingSize {
        self.lock().size()
    }

    /// What has been read so far, with proofs of all accounts and slots, which are fetched and
    /// checked now.
    pub fn recording_with_proofs(&self) -> Result<Recording, DbError> {
        let mut recording = self.recording();
        let mut slots: BTreeMap<Address, Vec<U256>> = BTreeMap::new();
        for read in recording.reads() {
            match read {
                Read::Account(address) => drop(slots.entry(address).or_default()),
                Read::Slot(address, slot) => slots.entry(address).or_default().push(slot),
                Read::Code(..) | Read::BlockHash(_) => {}
            }
        }
        let requests: Vec<_> =
            slots.into_iter().map(|(address, slots)| ProofRequest { address, slots }).collect();
        for proof in prove_in_parts(&*self.inner, &requests)? {
            nodes_of(&proof).for_each(|node| recording.insert_node(node.clone()));
        }
        recording.verify().map_err(|error| DbError::Unproven {
            endpoint: self.inner.name(),
            what: error.to_string(),
        })?;
        Ok(recording)
    }

    /// Adds a transaction of the block that follows, as if it had been asked for.
    pub fn insert(&self, placed: &PlacedTransaction) -> Result<(), DbError> {
        self.lock().insert_transaction(placed).map_err(|error| DbError::Remote {
            endpoint: self.inner.name(),
            what: error.to_string(),
        })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Recording> {
        // Every change of a recording is whole by itself.
        self.recording.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Source for Recorder {
    fn origin(&self) -> &Origin {
        self.inner.origin()
    }

    fn name(&self) -> String {
        self.inner.name()
    }

    fn fetch(&self, reads: &[Read]) -> Result<Vec<Found>, DbError> {
        let found = self.inner.fetch(reads)?;
        let mut recording = self.lock();
        for (read, found) in reads.iter().zip(&found) {
            recording.insert(*read, found).map_err(|conflict| DbError::Remote {
                endpoint: self.inner.name(),
                what: format!("two answers to one read: {conflict}"),
            })?;
        }
        Ok(found)
    }

    fn known(&self, read: &Read) -> Option<Found> {
        self.inner.known(read)
    }

    /// Without recording anything: what is recorded must not depend on what was fetched ahead.
    fn prefetch(&self, reads: &[Read]) -> Result<(), DbError> {
        self.inner.prefetch(reads)
    }

    /// Records the nodes, so that roots can be worked out again.
    fn prove(&self, requests: &[ProofRequest]) -> Result<Vec<AccountProof>, DbError> {
        let proofs = self.inner.prove(requests)?;
        let mut recording = self.lock();
        for node in proofs.iter().flat_map(nodes_of) {
            recording.insert_node(node.clone());
        }
        drop(recording);
        Ok(proofs)
    }

    fn headers(&self, numbers: &[u64]) -> Result<Vec<Header>, DbError> {
        self.inner.headers(numbers)
    }

    /// Records the transaction, with its block, if that follows the state.
    fn transaction(&self, hash: B256) -> Result<PlacedTransaction, DbError> {
        let placed = self.inner.transaction(hash)?;
        self.insert(&placed)?;
        Ok(placed)
    }
}

/// The nodes of the proofs of an account and its slots.
fn nodes_of(proof: &AccountProof) -> impl Iterator<Item = &Bytes> {
    proof.account_proof.iter().chain(proof.storage_proof.iter().flat_map(|slot| &slot.proof))
}
