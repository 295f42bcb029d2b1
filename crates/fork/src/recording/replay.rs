//! A recording in place of the node.

use std::path::{Path, PathBuf};

use zvm_core::{B256, DbError};
use zvm_trie::AccountProof;

use super::Recording;
use crate::{
    Found, Origin, PlacedTransaction, ProofRequest, Read, Source,
    proofs::{Gap, proof_out_of},
};

/// Answers out of a [`Recording`] and connects to nothing.
///
/// A read that was not recorded is [`DbError::NotRecorded`] with address and slot.
#[derive(Clone, Debug)]
pub struct Replay {
    path: PathBuf,
    recording: Recording,
}

impl Replay {
    /// Reads the file at `path`.
    pub fn open(path: &Path) -> Result<Self, DbError> {
        Ok(Self::new(Recording::read(path)?, path))
    }

    /// Of a recording in memory. `path` is what errors name.
    #[must_use]
    pub fn new(recording: Recording, path: &Path) -> Self {
        Self { path: path.to_owned(), recording }
    }

    /// What is replayed.
    #[must_use]
    pub fn recording(&self) -> &Recording {
        &self.recording
    }

    fn not_recorded(&self, what: impl Into<String>) -> DbError {
        DbError::NotRecorded { path: self.path.clone(), what: what.into() }
    }

    fn prove_one(&self, request: &ProofRequest) -> Result<AccountProof, DbError> {
        let root = self.recording.origin().header.state_root;
        proof_out_of(self.recording.nodes(), root, request).map_err(|gap| match gap {
            Gap::Missing(read) => self.not_recorded(format!("proof of {read}")),
            Gap::Damaged(read, error) => DbError::Corrupt {
                path: self.path.clone(),
                what: format!("proof of {read}: {error}"),
            },
        })
    }
}

impl Source for Replay {
    fn origin(&self) -> &Origin {
        self.recording.origin()
    }

    fn name(&self) -> String {
        self.path.display().to_string()
    }

    fn fetch(&self, reads: &[Read]) -> Result<Vec<Found>, DbError> {
        let get = |read: &Read| {
            self.recording.get(read).ok_or_else(|| self.not_recorded(read.to_string()))
        };
        reads.iter().map(get).collect()
    }

    fn known(&self, read: &Read) -> Option<Found> {
        self.recording.get(read)
    }

    /// Nothing can be fetched, and what was not recorded is an error only when it is read.
    fn prefetch(&self, _: &[Read]) -> Result<(), DbError> {
        Ok(())
    }

    fn prove(&self, requests: &[ProofRequest]) -> Result<Vec<AccountProof>, DbError> {
        requests.iter().map(|request| self.prove_one(request)).collect()
    }

    fn transaction(&self, hash: B256) -> Result<PlacedTransaction, DbError> {
        let placed = self.recording.transaction(hash);
        placed
            .ok_or_else(|| self.not_recorded(format!("transaction {hash}")))?
            .map_err(|what| DbError::Corrupt { path: self.path.clone(), what })
    }
}
