//! A node made of a store: it answers and proves out of it, and lies on demand.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicUsize, Ordering},
};

use zvm_core::{
    AccountDiff, AccountInfo, Address, B256, BlockId, Bytes, Database, DbError, Header,
    KECCAK_EMPTY, SlotDiff, SpecId, StateBackend, StateDiff, U256, keccak256,
};
use zvm_state::FileDb;
use zvm_trie::AccountProof;

use crate::{Found, Origin, ProofRequest, Read, RemoteAccount, Source};

/// An answer on its way out.
pub(crate) enum Answer<'a> {
    Proof(&'a mut AccountProof),
    Found(&'a mut Found),
    Header(&'a mut Header),
}

type Tamper = Box<dyn FnMut(Answer<'_>) + Send>;

/// The node. Its blocks are headers alone, of which the last has the state.
pub(crate) struct StoreNode {
    db: FileDb,
    origin: Origin,
    headers: Vec<Header>,
    tamper: Mutex<Option<Tamper>>,
    /// How many times it was asked anything.
    pub(crate) requests: AtomicUsize,
    _folder: tempfile::TempDir,
}

/// Bytes that look random, and are the same every time.
pub(crate) fn random(seed: &str, index: u64) -> B256 {
    keccak256([seed.as_bytes(), &index.to_be_bytes()].concat())
}

/// The address of an account.
pub(crate) fn account(index: u64) -> Address {
    Address::from_word(random("account", index))
}

/// The account and slots of the contract with `index`: its code is `code(index)`.
pub(crate) fn code(index: u64) -> Bytes {
    random("code", index).repeat(1 + index as usize % 3).into()
}

/// The state: accounts 0 to 39, of which the even ones have code and slots 0 to `index`.
pub(crate) fn state() -> StateDiff {
    let mut diff = StateDiff::default();
    for index in 0..40 {
        let code = if index % 2 == 0 { code(index) } else { Bytes::new() };
        let info = AccountInfo {
            nonce: index,
            balance: U256::from_be_bytes(random("balance", index).0) >> (index * 6),
            code_hash: if code.is_empty() { KECCAK_EMPTY } else { keccak256(&code) },
        };
        let mut change = AccountDiff { new: Some(info), ..AccountDiff::default() };
        if !code.is_empty() {
            for slot in 0..=index {
                let new = U256::from_be_bytes(random("word", index * 64 + slot).0) >> (slot * 6);
                let word = SlotDiff { old: U256::ZERO, new };
                change.storage.insert(U256::from(slot), word);
            }
            diff.code.insert(info.code_hash, code);
        }
        diff.accounts.insert(account(index), change);
    }
    diff
}

impl StoreNode {
    /// At block 299, with the rules of Cancun.
    pub(crate) fn new() -> Self {
        Self::with(|_, _| {})
    }

    /// The same with changes to the state and to the last header.
    pub(crate) fn with(change: impl FnOnce(&mut StateDiff, &mut Header)) -> Self {
        let mut headers: Vec<Header> = Vec::new();
        for number in 0..300 {
            headers.push(Header {
                number,
                parent_hash: headers.last().map_or(B256::ZERO, Header::hash),
                timestamp: 1_700_000_000 + 12 * number,
                base_fee_per_gas: Some(7),
                withdrawals_root: Some(B256::ZERO),
                blob_gas_used: Some(0),
                excess_blob_gas: Some(0),
                parent_beacon_block_root: Some(random("beacon", number)),
                ..Header::default()
            });
        }
        let mut header = headers.pop().expect("there are 300");
        let mut state = state();
        change(&mut state, &mut header);
        let folder = tempfile::tempdir().expect("a folder for tests");
        let mut db = FileDb::open(folder.path().join("state")).expect("a new store");
        db.commit(&state).expect("an empty store takes any state");
        header.state_root = db.state_root().expect("a store knows its root");
        let block = BlockId { number: header.number, hash: header.hash() };
        headers.push(header.clone());
        let spec = Some(SpecId::CANCUN);
        let origin = Origin { chain_id: 31_337, block, header, spec, is_verified: false };
        let requests = AtomicUsize::new(0);
        Self { db, origin, headers, tamper: Mutex::new(None), requests, _folder: folder }
    }

    /// Has `change` see every answer that goes out from now on.
    pub(crate) fn tamper(&self, change: impl FnMut(Answer<'_>) + Send + 'static) {
        *self.lock() = Some(Box::new(change));
    }

    /// Makes it honest again.
    pub(crate) fn repent(&self) {
        *self.lock() = None;
    }

    /// The same node with another header.
    pub(crate) fn set_header(&mut self, header: Header) {
        self.origin.header = header;
    }

    /// The root of its state after changes, by itself.
    pub(crate) fn root_after(&self, diff: &StateDiff) -> B256 {
        self.db.root_after(diff).expect("a store works out roots")
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Tamper>> {
        self.tamper.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn send(&self, answer: Answer<'_>) {
        if let Some(tamper) = &mut *self.lock() {
            tamper(answer);
        }
    }

    fn find(&self, read: &Read) -> Result<Found, DbError> {
        Ok(match *read {
            Read::Account(address) => {
                let account = self.db.account(address)?;
                let remote = |info| RemoteAccount { info, storage_root: None };
                Found::Account(account.map(|account| remote(account.info)))
            }
            Read::Slot(address, slot) => Found::Word(self.db.storage(address, slot)?),
            Read::Code(hash, _) => Found::Code(self.db.code(hash)?),
            Read::BlockHash(number) => {
                let header = self.headers.get(number as usize);
                let missing = DbError::MissingBlockHash { number };
                Found::BlockHash(header.ok_or(missing)?.hash())
            }
        })
    }
}

impl Source for StoreNode {
    fn origin(&self) -> &Origin {
        &self.origin
    }

    fn name(&self) -> String {
        "store:".into()
    }

    fn fetch(&self, reads: &[Read]) -> Result<Vec<Found>, DbError> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let mut found = reads.iter().map(|read| self.find(read)).collect::<Result<Vec<_>, _>>()?;
        found.iter_mut().for_each(|found| self.send(Answer::Found(found)));
        Ok(found)
    }

    fn prove(&self, requests: &[ProofRequest]) -> Result<Vec<AccountProof>, DbError> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let prove = |request: &ProofRequest| self.db.proof(request.address, &request.slots);
        let mut proofs = requests.iter().map(prove).collect::<Result<Vec<_>, _>>()?;
        proofs.iter_mut().for_each(|proof| self.send(Answer::Proof(proof)));
        Ok(proofs)
    }

    fn headers(&self, numbers: &[u64]) -> Result<Vec<Header>, DbError> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let header = |number: &u64| {
            let header = self.headers.get(*number as usize).cloned();
            header.ok_or(DbError::MissingBlockHash { number: *number })
        };
        let mut headers = numbers.iter().map(header).collect::<Result<Vec<_>, _>>()?;
        headers.iter_mut().for_each(|header| self.send(Answer::Header(header)));
        Ok(headers)
    }
}
