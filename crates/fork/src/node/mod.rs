//! The state of a block as a node answers it, believed as it comes.

mod answers;
mod open;
mod placed;

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use serde_json::value::RawValue;
use zvm_core::{
    AccountInfo, Address, B256, Bytes, DbError, Header, KECCAK_EMPTY, SpecId, keccak256,
    map::B256Map,
};
use zvm_trie::AccountProof;

use crate::{
    Found, Origin, PlacedTransaction, Prestate, ProofRequest, Read, RemoteAccount, Source, json,
    rpc::{Answer, Call, CallError, Client, Traffic},
};
use answers::{ProofReply, StorageValues};

pub(crate) use open::refused;

/// Most slots in one `eth_getStorageValues`; geth, reth, Nethermind and Erigon take as many.
const STORAGE_VALUES_MAX: usize = 1024;

/// Most slots in one `eth_getProof`.
const PROOF_SLOTS_MAX: usize = 256;

/// Most bytes of code that is kept until somebody asks for it by its hash.
const CODE_BYTES_MAX: usize = 64 << 20;

/// A [`Source`] that asks a node, or several that serve the same state.
///
/// Pinned to the hash of its block: a node that has dropped the block refuses to answer and never
/// answers for another. Balance, nonce and code come in one batch. Whether an account without code
/// and nonce has storage, and before EIP-161 whether an empty one exists, is seen from a proof; if
/// the node gives none, the latter is [`DbError::Ambiguous`].
pub struct Node {
    client: Client,
    origin: Origin,
    /// Whether the node takes the hash of a block in place of its number (EIP-1898).
    takes_hash: AtomicBool,
    has_storage_values: AtomicBool,
    has_proofs: AtomicBool,
    /// Code that came with accounts, by its hash.
    code: Mutex<Codes>,
}

/// Code until it is asked for.
#[derive(Default)]
struct Codes {
    by_hash: B256Map<Bytes>,
    bytes: usize,
}

/// What a read takes.
enum Plan {
    /// The first of the calls for balance, nonce and code.
    Account(usize),
    /// A call of its own.
    Call(usize),
    /// A call for many slots, and the place among those of the account.
    Values(usize, usize),
    /// Known without a call.
    Known(Found),
}

impl Node {
    /// What reading has cost so far.
    #[must_use]
    pub fn traffic(&self) -> Arc<Traffic> {
        self.client.traffic().clone()
    }

    /// Makes any call; its answer as JSON. For what is not state, such as transactions.
    pub fn request(
        &self,
        method: &'static str,
        params: &serde_json::Value,
    ) -> Result<serde_json::Value, DbError> {
        let params: Vec<String> = match params {
            serde_json::Value::Array(list) => list.iter().map(ToString::to_string).collect(),
            one => vec![one.to_string()],
        };
        let params: Vec<&str> = params.iter().map(String::as_str).collect();
        let result = self.one(&Call::new(method, &params))?;
        serde_json::from_str(result.get()).map_err(|error| self.fault(method, &error.to_string()))
    }

    /// The accounts and slots that a call would touch, by `eth_createAccessList`. `call` is the
    /// transaction object of `eth_call`.
    pub fn access_list(&self, call: &serde_json::Value) -> Result<Vec<Read>, DbError> {
        let call = call.to_string();
        let made = |block: &str| vec![Call::new("eth_createAccessList", &[&call, block])];
        let answer = self.pinned(&made)?.pop();
        let result = self.result(answer, "eth_createAccessList")?;
        let reads = answers::access_list(&result);
        reads.map_err(|what| self.fault("eth_createAccessList", &what))
    }

    /// The block as a parameter: its hash, or its number where the node takes no hash.
    fn block(&self) -> String {
        let block = &self.origin.block;
        match self.takes_hash.load(Ordering::Relaxed) {
            true => format!(r#"{{"blockHash":"{}"}}"#, block.hash),
            false => json::of_quantity(block.number),
        }
    }

    /// Makes calls about the block, which `make` gets as a parameter.
    ///
    /// By number they go along with a look at the hash that the block has now.
    fn pinned(&self, make: &dyn Fn(&str) -> Vec<Call>) -> Result<Vec<Answer>, DbError> {
        if self.takes_hash.load(Ordering::Relaxed) {
            let calls = make(&self.block());
            let answers = self.client.batch(&calls)?;
            let all_invalid = answers
                .iter()
                .all(|answer| answer.as_ref().is_err_and(CallError::is_invalid_params));
            if answers.is_empty() || !all_invalid {
                return Ok(answers);
            }
            // Such a node does not know what the object is. Whether the parameters are wrong for
            // another reason is seen by asking the other way.
            self.takes_hash.store(false, Ordering::Relaxed);
        }
        let mut calls = make(&self.block());
        let number = json::of_quantity(self.origin.block.number);
        calls.push(Call::new("eth_getBlockByNumber", &[&number, "false"]));
        let mut answers = self.client.batch(&calls)?;
        let block = self.result(answers.pop(), "eth_getBlockByNumber")?;
        let (hash, _) = self.header(&block)?;
        if hash != self.origin.block.hash {
            let Origin { block, .. } = &self.origin;
            let what = format!("block {} is {hash} now, expected {}", block.number, block.hash);
            return Err(DbError::Remote { endpoint: self.client.name(), what });
        }
        Ok(answers)
    }

    fn one(&self, call: &Call) -> Result<Box<RawValue>, DbError> {
        let answer = self.client.call(call)?;
        self.result(Some(answer), call.method())
    }

    /// The result of a call, or its error with the name of the method.
    fn result(&self, answer: Option<Answer>, method: &str) -> Result<Box<RawValue>, DbError> {
        match answer {
            Some(Ok(result)) => Ok(result),
            Some(Err(error)) => Err(self.fault(method, &error.to_string())),
            None => Err(self.fault(method, "no answer")),
        }
    }

    fn fault(&self, what: &str, found: &str) -> DbError {
        DbError::Remote { endpoint: self.client.name(), what: format!("{what}: {found}") }
    }

    /// Hash and header of a block.
    fn header(&self, block: &RawValue) -> Result<(B256, Header), DbError> {
        answers::header(block).map_err(|what| self.fault("a block", &what))
    }

    /// Whether absent and empty accounts were different when the block was made.
    fn knows_empty_accounts(&self) -> bool {
        self.origin.spec.is_some_and(|spec| !spec.has(SpecId::SPURIOUS_DRAGON))
    }

    /// The calls for `reads`, with the block as a parameter, and what each read takes of them.
    fn plan(&self, reads: &[Read], block: &str) -> (Vec<Call>, Vec<Plan>) {
        let mut calls = Vec::new();
        let slots = reads.iter().filter(|read| matches!(read, Read::Slot(..))).count();
        let in_one = slots > 1 && self.has_storage_values.load(Ordering::Relaxed);
        let mut values = StorageValues::default();
        let plans = reads.iter().map(|read| {
            let at = calls.len();
            match *read {
                Read::Account(address) => {
                    let address = json::of_address(address);
                    for method in ["eth_getBalance", "eth_getTransactionCount", "eth_getCode"] {
                        calls.push(Call::new(method, &[&address, block]));
                    }
                    Plan::Account(at)
                }
                Read::Slot(address, slot) if in_one => {
                    let (chunk, place) = values.add(address, slot, STORAGE_VALUES_MAX);
                    Plan::Values(chunk, place)
                }
                Read::Slot(address, slot) => {
                    let (address, slot) = (json::of_address(address), json::of_word(slot));
                    calls.push(Call::new("eth_getStorageAt", &[&address, &slot, block]));
                    Plan::Call(at)
                }
                Read::Code(hash, address) => match self.known_code(hash) {
                    Some(code) => Plan::Known(Found::Code(code)),
                    None => {
                        calls.push(Call::new("eth_getCode", &[&json::of_address(address), block]));
                        Plan::Call(at)
                    }
                },
                Read::BlockHash(number) => match self.known_hash(number) {
                    Some(hash) => Plan::Known(Found::BlockHash(hash)),
                    None => {
                        let number = json::of_quantity(number);
                        calls.push(Call::new("eth_getBlockByNumber", &[&number, "false"]));
                        Plan::Call(at)
                    }
                },
            }
        });
        let mut plans: Vec<_> = plans.collect();
        let first = calls.len();
        for plan in &mut plans {
            if let Plan::Values(chunk, _) = plan {
                *chunk += first;
            }
        }
        calls.extend(values.calls(block));
        (calls, plans)
    }

    /// What the answers say to one read.
    fn found(
        &self,
        read: &Read,
        plan: &Plan,
        calls: &[Answer],
        values: &mut HashMap<usize, BTreeMap<Address, Vec<B256>>>,
    ) -> Result<Found, DbError> {
        let answer = |index: usize| match calls.get(index) {
            Some(Ok(result)) => Ok(&**result),
            Some(Err(error)) => Err(self.fault(&read.to_string(), &error.to_string())),
            None => Err(self.fault(&read.to_string(), "no answer")),
        };
        let wrong = |what: String| self.fault(&read.to_string(), &what);
        Ok(match (plan, *read) {
            (Plan::Known(found), _) => found.clone(),
            (Plan::Account(first), _) => {
                let balance = json::word(answer(*first)?).map_err(wrong)?;
                let nonce = json::quantity(answer(first + 1)?).map_err(wrong)?;
                let code = json::bytes(answer(first + 2)?).map_err(wrong)?;
                let code_hash = self.keep_code(code);
                let info = AccountInfo { nonce, balance, code_hash };
                Found::Account(Some(RemoteAccount { info, storage_root: None }))
            }
            (Plan::Values(chunk, place), Read::Slot(address, _)) => {
                if !values.contains_key(chunk) {
                    let parsed = answers::storage_values(answer(*chunk)?).map_err(wrong)?;
                    values.insert(*chunk, parsed);
                }
                let word = values.get(chunk).and_then(|found| found.get(&address)?.get(*place));
                let word = word.ok_or_else(|| wrong("left out of the answer".to_owned()))?;
                Found::Word((*word).into())
            }
            (Plan::Call(at), Read::Slot(..)) => {
                Found::Word(json::word(answer(*at)?).map_err(wrong)?)
            }
            (Plan::Call(at), Read::Code(hash, _)) => {
                let code = json::bytes(answer(*at)?).map_err(wrong)?;
                let found = if code.is_empty() { KECCAK_EMPTY } else { keccak256(&code) };
                if found != hash {
                    return Err(wrong(format!("code with hash {found}")));
                }
                Found::Code(code)
            }
            (Plan::Call(at), Read::BlockHash(number)) => {
                let (hash, header) = answers::header(answer(*at)?).map_err(wrong)?;
                if header.number != number {
                    return Err(wrong(format!("block {}", header.number)));
                }
                Found::BlockHash(hash)
            }
            _ => return Err(wrong("no answer".to_owned())),
        })
    }

    /// Answers reads of which no two are the same.
    fn fetch_unique(&self, reads: &[Read]) -> Result<Vec<Found>, DbError> {
        let (_, mut plans) = self.plan(reads, "");
        let mut answers = match reads.is_empty() {
            true => Vec::new(),
            false => self.pinned(&|block| self.plan(reads, block).0)?,
        };
        let is_refused = |plan: &Plan| match plan {
            Plan::Values(at, _) => answers.get(*at).is_some_and(Result::is_err),
            _ => false,
        };
        if plans.iter().any(is_refused) {
            // A node may have it and not for this block, so it is asked one by one from now on.
            self.has_storage_values.store(false, Ordering::Relaxed);
            plans = self.plan(reads, "").1;
            answers = self.pinned(&|block| self.plan(reads, block).0)?;
        }
        let mut values = HashMap::new();
        let found = reads.iter().zip(&plans);
        let mut found = found
            .map(|(read, plan)| self.found(read, plan, &answers, &mut values))
            .collect::<Result<Vec<_>, _>>()?;
        self.settle(reads, &mut found)?;
        Ok(found)
    }

    /// Finds out by proofs what calls do not say of accounts.
    fn settle(&self, reads: &[Read], found: &mut [Found]) -> Result<(), DbError> {
        let is_open = |found: &Found| match found {
            Found::Account(Some(RemoteAccount { info, .. })) => {
                let is_plain = info.nonce == 0 && !info.has_code();
                is_plain && (!info.balance.is_zero() || self.knows_empty_accounts())
            }
            _ => false,
        };
        let mut open = Vec::new();
        for (read, found) in reads.iter().zip(&mut *found) {
            if let (Read::Account(address), true) = (read, is_open(found)) {
                open.push(ProofRequest { address: *address, slots: Vec::new() });
            }
        }
        let proofs = match self.has_proofs.load(Ordering::Relaxed) && !open.is_empty() {
            true => self.try_prove(&open)?,
            false => None,
        };
        let proofs: HashMap<_, _> =
            proofs.into_iter().flatten().map(|proof| (proof.address, proof)).collect();
        for (read, found) in reads.iter().zip(found) {
            let (Read::Account(address), Found::Account(account)) = (read, &mut *found) else {
                continue;
            };
            let Some(RemoteAccount { info, storage_root }) = account else { continue };
            if let Some(proof) = proofs.get(address) {
                let root = proof.storage_hash;
                *storage_root = Some(if root.is_zero() { zvm_core::EMPTY_ROOT } else { root });
                let exists = !info.is_empty() || answers::shows_account(proof, *address);
                *account = account.filter(|_| exists);
            } else if info.is_empty() {
                if self.knows_empty_accounts() {
                    return Err(DbError::Ambiguous { address: *address });
                }
                *account = None;
            }
        }
        Ok(())
    }

    /// Proofs, or `None` where the node has none of this block.
    fn try_prove(&self, requests: &[ProofRequest]) -> Result<Option<Vec<AccountProof>>, DbError> {
        let made = |block: &str| answers::proof_calls(requests, PROOF_SLOTS_MAX, block);
        let answers = self.pinned(&made)?;
        if answers.iter().any(Result::is_err) {
            self.has_proofs.store(false, Ordering::Relaxed);
            return Ok(None);
        }
        self.proofs(requests, answers).map(Some)
    }

    fn proofs(
        &self,
        requests: &[ProofRequest],
        answers: Vec<Answer>,
    ) -> Result<Vec<AccountProof>, DbError> {
        let mut answers = answers.into_iter();
        let mut proofs = Vec::with_capacity(requests.len());
        for request in requests {
            let mut reply = ProofReply::default();
            let wrong = |what: String| self.fault(&format!("proof of {}", request.address), &what);
            for _ in 0..request.slots.len().div_ceil(PROOF_SLOTS_MAX).max(1) {
                let result = self.result(answers.next(), "eth_getProof")?;
                reply.take(&result).map_err(wrong)?;
            }
            proofs.push(reply.finish(request).map_err(wrong)?);
        }
        Ok(proofs)
    }

    fn known_code(&self, hash: B256) -> Option<Bytes> {
        if hash == KECCAK_EMPTY {
            return Some(Bytes::new());
        }
        self.code.lock().unwrap_or_else(PoisonError::into_inner).by_hash.get(&hash).cloned()
    }

    fn keep_code(&self, code: Bytes) -> B256 {
        if code.is_empty() {
            return KECCAK_EMPTY;
        }
        let hash = keccak256(&code);
        let mut codes = self.code.lock().unwrap_or_else(PoisonError::into_inner);
        if codes.bytes.saturating_add(code.len()) > CODE_BYTES_MAX {
            *codes = Codes::default();
        }
        codes.bytes += code.len();
        if let Some(same) = codes.by_hash.insert(hash, code) {
            codes.bytes -= same.len();
        }
        hash
    }

    fn known_hash(&self, number: u64) -> Option<B256> {
        let Origin { block, header, .. } = &self.origin;
        match number {
            _ if number == block.number => Some(block.hash),
            _ if number.checked_add(1) == Some(block.number) => Some(header.parent_hash),
            _ => None,
        }
    }
}

impl Source for Node {
    fn origin(&self) -> &Origin {
        &self.origin
    }

    fn name(&self) -> String {
        self.client.name()
    }

    fn fetch(&self, reads: &[Read]) -> Result<Vec<Found>, DbError> {
        // Each once: whoever gathers reads may not look at what they are.
        let mut places = HashMap::new();
        let mut unique = Vec::new();
        for read in reads {
            places.entry(*read).or_insert_with(|| {
                unique.push(*read);
                unique.len() - 1
            });
        }
        let found = self.fetch_unique(&unique)?;
        let found = reads.iter().map(|read| found.get(*places.get(read)?).cloned());
        found.collect::<Option<_>>().ok_or_else(|| self.fault("reads", "no answer"))
    }

    fn prove(&self, requests: &[ProofRequest]) -> Result<Vec<AccountProof>, DbError> {
        let made = |block: &str| answers::proof_calls(requests, PROOF_SLOTS_MAX, block);
        let answers = self.pinned(&made)?;
        self.proofs(requests, answers)
    }

    fn headers(&self, numbers: &[u64]) -> Result<Vec<Header>, DbError> {
        let call = |number: &u64| {
            Call::new("eth_getBlockByNumber", &[&json::of_quantity(*number), "false"])
        };
        let answers = self.client.batch(&numbers.iter().map(call).collect::<Vec<_>>())?;
        let header =
            |answer| Ok(self.header(&self.result(Some(answer), "eth_getBlockByNumber")?)?.1);
        answers.into_iter().map(header).collect()
    }

    fn transaction(&self, hash: B256) -> Result<PlacedTransaction, DbError> {
        self.placed(hash)
    }

    fn prestate(&self, hash: B256) -> Result<Option<Prestate>, DbError> {
        self.reached(hash)
    }
}
