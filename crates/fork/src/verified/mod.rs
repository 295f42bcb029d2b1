//! A node whose answers are checked.

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use zvm_core::{Address, B256, DbError, EMPTY_ROOT, Header, U256, address};
use zvm_trie::AccountProof;

use crate::{
    Found, Origin, PlacedTransaction, ProofRequest, Read, RemoteAccount, Source,
    proofs::{check_account, check_code, check_slot, prove_in_parts},
};

/// EIP-2935: the contract that has the hashes of blocks in its storage.
const HISTORY_STORAGE: Address = address!("0000f90827f1c53a10cb7a02335b175320002935");
/// EIP-2935: how many hashes it has.
const HISTORY_SERVE_WINDOW: u64 = 8191;

/// Believes nothing but the hash of the block: everything else a source says is checked against it.
///
/// The header must have that hash, accounts and slots are proven against the state root of the
/// header, code has the hash that its account says, and hashes of earlier blocks come from the chain
/// of headers or, where the state has them (EIP-2935), from the state. What does not hold is
/// [`DbError::Unproven`], which names the read and what was wrong.
///
/// That the hash is the right one is for the user to say, or for several nodes.
pub struct Verified {
    inner: Arc<dyn Source>,
    origin: Origin,
    /// Hashes by number, without a gap up to that of the block.
    hashes: Mutex<BTreeMap<u64, B256>>,
}

/// What has been proven for one batch of reads.
#[derive(Default)]
struct Answers {
    accounts: BTreeMap<Address, Option<RemoteAccount>>,
    slots: BTreeMap<(Address, U256), U256>,
}

impl Verified {
    /// Checks the header of `inner` against the hash of its block.
    pub fn new(inner: Arc<dyn Source>) -> Result<Self, DbError> {
        let mut origin = inner.origin().clone();
        let number = origin.block.number;
        check_header(&origin.header, number, origin.block.hash)
            .map_err(|what| unproven(&*inner, what))?;
        origin.is_verified = true;
        let mut hashes = BTreeMap::from([(number, origin.block.hash)]);
        if let Some(parent) = number.checked_sub(1) {
            hashes.insert(parent, origin.header.parent_hash);
        }
        Ok(Self { inner, origin, hashes: Mutex::new(hashes) })
    }

    /// Whether the storage of this state has the hash of block `number`.
    fn is_in_storage(&self, number: u64) -> bool {
        // The header has requests from the hard fork on that brought EIP-2935.
        self.origin.header.requests_hash.is_some()
            && (self.origin.block.number.saturating_sub(HISTORY_SERVE_WINDOW)
                ..self.origin.block.number)
                .contains(&number)
    }

    /// Proves accounts and slots, and what of the hashes of blocks is in storage.
    fn prove_reads(&self, reads: &[Read]) -> Result<Answers, DbError> {
        let mut wanted: BTreeMap<Address, BTreeSet<U256>> = BTreeMap::new();
        for read in reads {
            match *read {
                Read::Account(address) => drop(wanted.entry(address).or_default()),
                Read::Slot(address, slot) => drop(wanted.entry(address).or_default().insert(slot)),
                Read::BlockHash(number) => {
                    if self.is_in_storage(number) && !self.hashes().contains_key(&number) {
                        wanted.entry(HISTORY_STORAGE).or_default().insert(history_slot(number));
                    }
                }
                Read::Code(..) => {}
            }
        }
        let mut answers = Answers::default();
        if wanted.is_empty() {
            return Ok(answers);
        }
        let request = |(address, slots): (_, BTreeSet<_>)| ProofRequest {
            address,
            slots: slots.into_iter().collect(),
        };
        let requests: Vec<_> = wanted.into_iter().map(request).collect();
        for proof in prove_in_parts(&*self.inner, &requests)? {
            self.check(&proof, &mut answers)?;
        }
        Ok(answers)
    }

    fn check(&self, proof: &AccountProof, answers: &mut Answers) -> Result<(), DbError> {
        let address = proof.address;
        let account = check_account(proof, self.origin.header.state_root)
            .map_err(|what| self.unproven(Read::Account(address), what))?;
        let root = account.and_then(|account| account.storage_root).unwrap_or(EMPTY_ROOT);
        answers.accounts.insert(address, account);
        for slot in &proof.storage_proof {
            let word = check_slot(slot, root)
                .map_err(|what| self.unproven(Read::Slot(address, slot.key), what))?;
            answers.slots.insert((address, slot.key), word);
        }
        Ok(())
    }

    /// Code by its hash, for the reads that ask for it, in their order.
    fn codes(&self, reads: &[Read]) -> Result<Vec<Found>, DbError> {
        let reads: Vec<_> =
            reads.iter().filter(|read| matches!(read, Read::Code(..))).copied().collect();
        if reads.is_empty() {
            return Ok(Vec::new());
        }
        let found = self.inner.fetch(&reads)?;
        for (read, found) in reads.iter().zip(&found) {
            let (Read::Code(hash, _), Found::Code(code)) = (read, found) else {
                return Err(self.unproven(*read, "an answer of another kind".into()));
            };
            check_code(code, *hash).map_err(|what| self.unproven(*read, what))?;
        }
        Ok(found)
    }

    /// The hash of a block before this one: known, out of storage, or by the chain of headers.
    fn block_hash(&self, number: u64, answers: &Answers) -> Result<B256, DbError> {
        if let Some(hash) = self.hashes().get(&number) {
            return Ok(*hash);
        }
        if number > self.origin.block.number {
            return Err(DbError::MissingBlockHash { number });
        }
        match answers.slots.get(&(HISTORY_STORAGE, history_slot(number))) {
            // Zero where the block is older than the contract.
            Some(word) if self.is_in_storage(number) && !word.is_zero() => Ok(B256::from(*word)),
            _ => self.walk(number),
        }
    }

    /// Goes from header to header until the hash of block `number` is known. Not beyond what
    /// storage would have: `BLOCKHASH` does not reach that far by much.
    fn walk(&self, number: u64) -> Result<B256, DbError> {
        let (mut at, mut hash) =
            self.hashes().first_key_value().map(|(at, hash)| (*at, *hash)).unwrap_or_default();
        if at.saturating_sub(number) > HISTORY_SERVE_WINDOW {
            return Err(DbError::MissingBlockHash { number });
        }
        let numbers: Vec<_> = (number.saturating_add(1)..=at).rev().collect();
        let headers = self.inner.headers(&numbers)?;
        for header in headers {
            check_header(&header, at, hash).map_err(|what| unproven(&*self.inner, what))?;
            (at, hash) = (at.saturating_sub(1), header.parent_hash);
            self.hashes().insert(at, hash);
        }
        let hash = self.hashes().get(&number).copied();
        let missing = || self.unproven(Read::BlockHash(number), "headers are missing".into());
        hash.ok_or_else(missing)
    }

    fn hashes(&self) -> MutexGuard<'_, BTreeMap<u64, B256>> {
        // Hashes go in one by one from the top; there is no gap at any moment.
        self.hashes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn unproven(&self, read: Read, what: String) -> DbError {
        unproven(&*self.inner, format!("{read}: {what}"))
    }
}

impl Source for Verified {
    fn origin(&self) -> &Origin {
        &self.origin
    }

    fn name(&self) -> String {
        self.inner.name()
    }

    fn fetch(&self, reads: &[Read]) -> Result<Vec<Found>, DbError> {
        let answers = self.prove_reads(reads)?;
        let mut codes = self.codes(reads)?.into_iter();
        let missing = |read: &Read| self.unproven(*read, "no answer".into());
        reads
            .iter()
            .map(|read| {
                let found = match read {
                    Read::Account(address) => {
                        answers.accounts.get(address).copied().map(Found::Account)
                    }
                    Read::Slot(address, slot) => {
                        answers.slots.get(&(*address, *slot)).copied().map(Found::Word)
                    }
                    Read::Code(..) => codes.next(),
                    Read::BlockHash(number) => {
                        Some(Found::BlockHash(self.block_hash(*number, &answers)?))
                    }
                };
                found.ok_or_else(|| missing(read))
            })
            .collect()
    }

    fn prove(&self, requests: &[ProofRequest]) -> Result<Vec<AccountProof>, DbError> {
        let proofs = prove_in_parts(&*self.inner, requests)?;
        for proof in &proofs {
            self.check(proof, &mut Answers::default())?;
        }
        Ok(proofs)
    }

    fn headers(&self, numbers: &[u64]) -> Result<Vec<Header>, DbError> {
        self.inner.headers(numbers)
    }

    /// The block has what its header says, and the header is known by its hash. Nobody proves that
    /// the block is one of the chain, unless it is followed by the one whose hash is believed.
    fn transaction(&self, hash: B256) -> Result<PlacedTransaction, DbError> {
        self.inner.transaction(hash)
    }
}

/// EIP-2935: where the hash of block `number` is.
fn history_slot(number: u64) -> U256 {
    U256::from(number % HISTORY_SERVE_WINDOW)
}

/// Checks that a header is that of block `number`, which has `hash`.
fn check_header(header: &Header, number: u64, hash: B256) -> Result<(), String> {
    let found = header.hash();
    if found != hash {
        return Err(format!("header of block {number}: its hash is {found}, expected {hash}"));
    }
    match header.number == number {
        true => Ok(()),
        false => Err(format!("header of block {number}: it is that of block {}", header.number)),
    }
}

fn unproven(source: &dyn Source, what: String) -> DbError {
    DbError::Unproven { endpoint: source.name(), what }
}
