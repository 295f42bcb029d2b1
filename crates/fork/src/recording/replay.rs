//! A recording in place of the node.

use std::path::{Path, PathBuf};

use zvm_core::{B256, DbError, EMPTY_ROOT, KECCAK_EMPTY, U256, keccak256};
use zvm_trie::{AccountProof, ProofError, StorageProof, decode_account, decode_word, slot_hash};

use super::Recording;
use crate::{Found, Origin, PlacedTransaction, ProofRequest, Read, Source};

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

    /// The proof of one key, and the leaf it proves.
    fn proof(
        &self,
        root: B256,
        key: B256,
        read: impl Fn() -> Read,
    ) -> Result<(Vec<zvm_core::Bytes>, Option<Vec<u8>>), DbError> {
        let nodes = self.recording.nodes();
        let proof = nodes.proof(root, key).map_err(|error| match error {
            ProofError::Missing { .. } => self.not_recorded(format!("proof of {}", read())),
            error => self.corrupt(&read(), &error),
        })?;
        let leaf = zvm_trie::verify_proof(root, key, &proof)
            .map_err(|error| self.corrupt(&read(), &error))?
            .map(<[u8]>::to_vec);
        Ok((proof, leaf))
    }

    fn corrupt(&self, read: &Read, error: &dyn std::error::Error) -> DbError {
        DbError::Corrupt { path: self.path.clone(), what: format!("proof of {read}: {error}") }
    }

    fn prove_one(&self, request: &ProofRequest) -> Result<AccountProof, DbError> {
        let address = request.address;
        let read = || Read::Account(address);
        let root = self.recording.origin().header.state_root;
        let (account_proof, leaf) = self.proof(root, keccak256(address), read)?;
        let account = leaf.map(|leaf| decode_account(&leaf)).transpose();
        let account = account.map_err(|error| self.corrupt(&read(), &error))?;
        let storage_hash = account.map_or(EMPTY_ROOT, |(_, root)| root);
        let storage_proof = request.slots.iter().map(|&key| {
            let read = || Read::Slot(address, key);
            let (proof, leaf) = self.proof(storage_hash, slot_hash(key), read)?;
            let value = leaf.map_or(Ok(U256::ZERO), |leaf| decode_word(&leaf));
            let value = value.map_err(|error| self.corrupt(&read(), &error))?;
            Ok(StorageProof { key, value, proof })
        });
        let storage_proof = storage_proof.collect::<Result<_, DbError>>()?;
        let info = account.map(|(info, _)| info);
        Ok(AccountProof {
            address,
            balance: info.map_or(U256::ZERO, |info| info.balance),
            code_hash: info.map_or(KECCAK_EMPTY, |info| info.code_hash),
            nonce: info.map_or(0, |info| info.nonce),
            storage_hash,
            account_proof,
            storage_proof,
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
