//! Running ahead of the answers.

#[cfg(test)]
mod tests;

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use zvm_core::{AccountInfo, B256, DbError, Header, U256};
use zvm_trie::AccountProof;

use crate::{Found, Origin, ProofRequest, Read, RemoteAccount, Source};

/// Most runs. Each but the last brings at least one answer that the next needs.
const RUNS_MAX: usize = 100;
/// Most reads that are fetched after one run. The first of them is one that is needed for sure.
const READS_MAX: usize = 10_000;

/// What `run` makes of a database over `source`, with as few requests as possible.
///
/// `run` is called with a source that answers what `source` knows and makes up the rest. What it made
/// up is fetched in one batch, and `run` is called again, until nothing was made up: that result is
/// the same as with `source` itself. So is the result where this leads nowhere, because it is done
/// with `source` itself then.
///
/// All that `run` does must be what it answers. It is called again and again, and only the last
/// answer counts.
pub(crate) fn run_ahead<T>(
    source: &Arc<dyn Source>,
    mut run: impl FnMut(Arc<dyn Source>) -> T,
) -> Result<T, DbError> {
    for _ in 0..RUNS_MAX {
        let guess = Arc::new(Guess::new(source.clone()));
        let outcome = run(guess.clone());
        let (made_up, seen) = guess.take();
        let Some(first) = made_up.first() else {
            // Known, so this asks nobody; but a recording learns what was read.
            source.fetch(&seen)?;
            // A machine does not read code again that it has run before, and one that replays the
            // recording will. To this run it does not matter whether there is any.
            let _ = source.fetch(&code_of(&**source, &seen));
            return Ok(outcome);
        };
        match fetch_ahead(&**source, &made_up) {
            Ok(()) => {}
            Err(error @ (DbError::Remote { .. } | DbError::Unproven { .. })) => return Err(error),
            // Something made up may be more than the source can do.
            Err(_) => break,
        }
        if source.known(first).is_none() {
            break;
        }
    }
    Ok(run(source.clone()))
}

/// Makes reads known, and the code of accounts along with them.
pub(crate) fn fetch_ahead(source: &dyn Source, reads: &[Read]) -> Result<(), DbError> {
    source.prefetch(reads)?;
    let mut code = code_of(source, reads);
    code.retain(|read| source.known(read).is_none());
    if code.is_empty() { Ok(()) } else { source.prefetch(&code) }
}

/// Reads of the code of all accounts among `reads` that are known to have some.
fn code_of(source: &dyn Source, reads: &[Read]) -> Vec<Read> {
    let of = |read: &Read| {
        let Read::Account(address) = *read else { return None };
        let Some(Found::Account(Some(account))) = source.known(read) else { return None };
        let has_code = account.info.has_code();
        has_code.then_some(Read::Code(account.info.code_hash, address))
    };
    reads.iter().filter_map(of).collect()
}

/// Answers what another source knows, makes up the rest, and remembers what that was.
struct Guess {
    inner: Arc<dyn Source>,
    reads: Mutex<Reads>,
}

#[derive(Default)]
struct Reads {
    /// All reads, once, in their order.
    seen: Vec<Read>,
    /// The same.
    is_seen: HashSet<Read>,
    /// Those whose answers were made up.
    made_up: Vec<Read>,
}

impl Guess {
    fn new(inner: Arc<dyn Source>) -> Self {
        Self { inner, reads: Mutex::default() }
    }

    /// What was made up, and everything that was read.
    fn take(&self) -> (Vec<Read>, Vec<Read>) {
        let reads = std::mem::take(&mut *self.lock());
        (reads.made_up, reads.seen)
    }

    fn answer(&self, read: &Read) -> Result<Found, DbError> {
        let known = self.inner.known(read);
        let mut reads = self.lock();
        if reads.is_seen.insert(*read) {
            reads.seen.push(*read);
            if known.is_none() && reads.made_up.len() < READS_MAX {
                reads.made_up.push(*read);
            }
        }
        match known {
            Some(found) => Ok(found),
            None => make_up(read, &self.inner.name()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Reads> {
        self.reads.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An answer that leads on, as far as one can be made up.
fn make_up(read: &Read, endpoint: &str) -> Result<Found, DbError> {
    match read {
        // Rich enough for any transfer, with room for any.
        Read::Account(_) => {
            let info = AccountInfo { balance: U256::MAX >> 8, ..AccountInfo::default() };
            Ok(Found::Account(Some(RemoteAccount { info, storage_root: None })))
        }
        Read::Slot(..) => Ok(Found::Word(U256::ZERO)),
        Read::BlockHash(_) => Ok(Found::BlockHash(B256::ZERO)),
        // Whoever runs it may remember code by its hash.
        Read::Code(..) => {
            let what = format!("{read}: not fetched yet");
            Err(DbError::Remote { endpoint: endpoint.to_owned(), what })
        }
    }
}

impl Source for Guess {
    fn origin(&self) -> &Origin {
        self.inner.origin()
    }

    fn name(&self) -> String {
        self.inner.name()
    }

    fn fetch(&self, reads: &[Read]) -> Result<Vec<Found>, DbError> {
        reads.iter().map(|read| self.answer(read)).collect()
    }

    fn prove(&self, requests: &[ProofRequest]) -> Result<Vec<AccountProof>, DbError> {
        self.inner.prove(requests)
    }

    fn headers(&self, numbers: &[u64]) -> Result<Vec<Header>, DbError> {
        self.inner.headers(numbers)
    }
}
