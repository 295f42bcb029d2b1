//! A backend over remote state.

mod overlay;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, PoisonError};

use zvm_core::{
    AccessListItem, Account, Address, B256, Batch, BlockId, Bytes, Database, DbError, EMPTY_ROOT,
    SnapshotId, StateBackend, StateDiff, U256, VisitAccount, VisitSlot,
    map::{AddressMap, B256Map, HashMap},
};
use zvm_trie::slot_hash;

use crate::{
    Found, Origin, Read, RemoteAccount, Source,
    ahead::{fetch_ahead, run_ahead},
    root::root_after,
};
use overlay::{Local, Overlay, Undo};

/// A copy of a remote state that can be changed.
///
/// What is changed stays here, in memory, over the remote state, which is only read: a slot set to
/// zero is zero whatever the remote one is, and a deleted account does not come back. The head is
/// the forked block and then the blocks committed here, all of which can be gone back to; a commit
/// asks the remote side nothing.
///
/// Accounts cannot be listed, for nobody says which there are, but for an empty state; nor can the
/// slots of an account that has some on the remote side.
pub struct ForkDb {
    remote: Remote,
    overlay: Overlay,
    code: B256Map<Bytes>,
    block_hashes: HashMap<u64, B256>,
    /// One for each block committed here, oldest first.
    steps: Vec<Step>,
    next_id: u64,
    /// Open snapshots, oldest first, each with the number of steps then.
    marks: Vec<(SnapshotId, usize)>,
}

/// A block committed here.
struct Step {
    block: BlockId,
    undo: Vec<Undo>,
}

/// The remote state, and what it takes to ask it.
struct Remote {
    source: Arc<dyn Source>,
    /// An account that has it, for each code an account was seen with.
    homes: Arc<Mutex<B256Map<Address>>>,
}

/// The same state with what is remote read in another way.
struct View<'a> {
    db: &'a ForkDb,
    remote: Remote,
}

/// An earlier state.
struct Earlier<'a> {
    now: &'a ForkDb,
    /// The accounts that have changed since, as they were.
    accounts: AddressMap<Option<Local>>,
}

impl ForkDb {
    /// The state that `source` reads, unchanged.
    #[must_use]
    pub fn new(source: Arc<dyn Source>) -> Self {
        Self {
            remote: Remote { source, homes: Arc::default() },
            overlay: Overlay::default(),
            code: B256Map::default(),
            block_hashes: HashMap::default(),
            steps: Vec::new(),
            next_id: 0,
            marks: Vec::new(),
        }
    }

    /// Which state was forked.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        self.remote.source.origin()
    }

    /// What is read of the remote state goes through this.
    #[must_use]
    pub fn source(&self) -> &Arc<dyn Source> {
        &self.remote.source
    }

    /// Reads in one go what will be needed; worth it where the [`source`](Self::source) keeps what it
    /// has read. Code comes along with its accounts.
    pub fn prefetch(&self, reads: &[Read]) -> Result<(), DbError> {
        fetch_ahead(&*self.remote.source, reads)
    }

    /// [`prefetch`](Self::prefetch) of the accounts and slots of an access list (EIP-2930).
    pub fn prefetch_access_list(&self, list: &[AccessListItem]) -> Result<(), DbError> {
        let reads = list.iter().flat_map(|item| {
            let keys = item.storage_keys.iter();
            let slots = keys.map(|key| Read::Slot(item.address, (*key).into()));
            [Read::Account(item.address)].into_iter().chain(slots)
        });
        self.prefetch(&reads.collect::<Vec<_>>())
    }

    /// What `run` makes of this state, with as few requests as possible: it runs on made-up answers
    /// where the true ones are not known yet, all of these are fetched in one batch, and it runs
    /// again, until nothing was made up. The result is that of one run read by read.
    ///
    /// `run` must do nothing but answer: it is called many times, and the last answer counts. Worth
    /// it where the [`source`](Self::source) keeps what it has read.
    pub fn run_ahead<T>(&self, mut run: impl FnMut(&dyn Database) -> T) -> Result<T, DbError> {
        run_ahead(&self.remote.source, |source| {
            let homes = self.remote.homes.clone();
            run(&View { db: self, remote: Remote { source, homes } })
        })
    }

    /// All that was changed here. What was before is remote, and reads as absent and zero in it.
    #[must_use]
    pub fn overlay(&self) -> StateDiff {
        StateDiff {
            code: self.code.iter().map(|(hash, code)| (*hash, code.clone())).collect(),
            ..self.overlay.diff()
        }
    }

    /// A root over what was changed here: the same for the same changes to a fork of the same state,
    /// and without asking the remote side. It is no state root: it stands for accounts and words
    /// written, deleted and zero ones included, and for nothing else.
    #[must_use]
    pub fn overlay_root(&self) -> B256 {
        self.overlay.root()
    }

    /// Whether all there is was made here.
    fn knows_all(&self) -> bool {
        self.origin().header.state_root == EMPTY_ROOT
    }

    /// The state root with `overlay` over the remote state.
    fn root_of(&self, overlay: &Overlay) -> Result<B256, DbError> {
        match self.knows_all() {
            true => Ok(overlay.state_root()),
            false => root_after(&*self.remote.source, &overlay.changed()),
        }
    }

    /// Takes back all but the first `steps` blocks committed here.
    fn go_back(&mut self, steps: usize) {
        for step in self.steps.drain(steps.min(self.steps.len())..).rev() {
            self.overlay.undo(&step.undo);
        }
        self.marks.retain(|mark| mark.1 <= steps);
    }

    fn position(&self, id: SnapshotId) -> Result<usize, DbError> {
        // Ids grow, so the marks are sorted by them.
        self.marks
            .binary_search_by_key(&id, |mark| mark.0)
            .map_err(|_| DbError::UnknownSnapshot { id })
    }

    /// Code that was made here, or by its hash from the remote side.
    fn code_by(&self, remote: &Remote, code_hash: B256) -> Result<Bytes, DbError> {
        if let Some(code) = self.code.get(&code_hash) {
            return Ok(code.clone());
        }
        let homes = remote.homes.lock().unwrap_or_else(PoisonError::into_inner);
        let home = homes.get(&code_hash).copied();
        drop(homes);
        let home = home.ok_or(DbError::MissingCode { code_hash })?;
        let read = Read::Code(code_hash, home);
        match remote.fetch(read)? {
            Found::Code(code) => Ok(code),
            _ => Err(remote.wrong(read)),
        }
    }

    fn block_hash_by(&self, remote: &Remote, number: u64) -> Result<B256, DbError> {
        if let Some(hash) = self.block_hashes.get(&number) {
            return Ok(*hash);
        }
        if number <= self.origin().block.number {
            return remote.block_hash(number);
        }
        let step = self.steps.iter().rev().find(|step| step.block.number == number);
        let hash = step.map(|step| step.block.hash).filter(|hash| !hash.is_zero());
        hash.ok_or(DbError::MissingBlockHash { number })
    }

    fn present(&self) -> BlockId {
        self.steps.last().map_or(self.origin().block, |step| step.block)
    }

    /// How many of the steps lead to block `number`.
    fn steps_to(&self, number: u64) -> Result<usize, DbError> {
        let (floor, head) = (self.origin().block.number, self.present().number);
        // Each step is one block further.
        let steps = number.checked_sub(floor).and_then(|steps| usize::try_from(steps).ok());
        steps.filter(|steps| *steps <= self.steps.len()).ok_or(DbError::NoHistory {
            number,
            floor,
            head,
        })
    }
}

impl Remote {
    /// The answer to one read.
    fn fetch(&self, read: Read) -> Result<Found, DbError> {
        let found = self.source.fetch(&[read])?.pop();
        found.ok_or_else(|| self.wrong(read))
    }

    fn wrong(&self, read: Read) -> DbError {
        DbError::Remote { endpoint: self.source.name(), what: format!("{read}: no answer") }
    }

    fn account(&self, address: Address) -> Result<Option<RemoteAccount>, DbError> {
        let read = Read::Account(address);
        let Found::Account(account) = self.fetch(read)? else { return Err(self.wrong(read)) };
        if let Some(RemoteAccount { info, .. }) = account
            && info.has_code()
        {
            let mut homes = self.homes.lock().unwrap_or_else(PoisonError::into_inner);
            homes.insert(info.code_hash, address);
        }
        Ok(account)
    }

    fn storage(&self, address: Address, slot: U256) -> Result<U256, DbError> {
        let read = Read::Slot(address, slot);
        match self.fetch(read)? {
            Found::Word(word) => Ok(word),
            _ => Err(self.wrong(read)),
        }
    }

    /// The account as it is with `local` over it.
    fn account_under(
        &self,
        local: Option<&Local>,
        address: Address,
    ) -> Result<Option<Account>, DbError> {
        let of_remote = |account: RemoteAccount| Account {
            info: account.info,
            has_storage: account.has_storage(),
        };
        let Some(local) = local else { return Ok(self.account(address)?.map(of_remote)) };
        let Some(info) = local.info else { return Ok(None) };
        let has_storage = local.has_words() || !local.is_cut_off && self.has_storage(address)?;
        Ok(Some(Account { info, has_storage }))
    }

    /// The word as it is with `local` over it.
    fn storage_under(
        &self,
        local: Option<&Local>,
        address: Address,
        slot: U256,
    ) -> Result<U256, DbError> {
        match local {
            None => self.storage(address, slot),
            Some(local) => match local.word(slot) {
                Some(word) => Ok(word),
                // An account that was made here is asked about once, not slot by slot.
                None if self.account(address)?.is_none() => Ok(U256::ZERO),
                None => self.storage(address, slot),
            },
        }
    }

    /// Whether the remote account may have storage.
    fn has_storage(&self, address: Address) -> Result<bool, DbError> {
        Ok(self.account(address)?.is_some_and(|account| account.has_storage()))
    }

    fn block_hash(&self, number: u64) -> Result<B256, DbError> {
        let read = Read::BlockHash(number);
        match self.fetch(read)? {
            Found::BlockHash(hash) => Ok(hash),
            _ => Err(self.wrong(read)),
        }
    }
}

impl Database for ForkDb {
    fn account(&self, address: Address) -> Result<Option<Account>, DbError> {
        self.remote.account_under(self.overlay.get(address), address)
    }

    fn storage(&self, address: Address, slot: U256) -> Result<U256, DbError> {
        self.remote.storage_under(self.overlay.get(address), address, slot)
    }

    fn code(&self, code_hash: B256) -> Result<Bytes, DbError> {
        self.code_by(&self.remote, code_hash)
    }

    fn block_hash(&self, number: u64) -> Result<B256, DbError> {
        self.block_hash_by(&self.remote, number)
    }
}

impl Database for View<'_> {
    fn account(&self, address: Address) -> Result<Option<Account>, DbError> {
        self.remote.account_under(self.db.overlay.get(address), address)
    }

    fn storage(&self, address: Address, slot: U256) -> Result<U256, DbError> {
        self.remote.storage_under(self.db.overlay.get(address), address, slot)
    }

    fn code(&self, code_hash: B256) -> Result<Bytes, DbError> {
        self.db.code_by(&self.remote, code_hash)
    }

    fn block_hash(&self, number: u64) -> Result<B256, DbError> {
        self.db.block_hash_by(&self.remote, number)
    }
}

impl Database for Earlier<'_> {
    fn account(&self, address: Address) -> Result<Option<Account>, DbError> {
        match self.accounts.get(&address) {
            Some(local) => self.now.remote.account_under(local.as_ref(), address),
            None => self.now.account(address),
        }
    }

    fn storage(&self, address: Address, slot: U256) -> Result<U256, DbError> {
        match self.accounts.get(&address) {
            Some(local) => self.now.remote.storage_under(local.as_ref(), address, slot),
            None => self.now.storage(address, slot),
        }
    }

    fn code(&self, code_hash: B256) -> Result<Bytes, DbError> {
        self.now.code(code_hash)
    }

    fn block_hash(&self, number: u64) -> Result<B256, DbError> {
        self.now.block_hash(number)
    }
}

impl StateBackend for ForkDb {
    fn read_ahead(&self, run: &mut dyn FnMut(&dyn Database)) -> Result<(), DbError> {
        self.run_ahead(run)
    }

    fn commit_block(&mut self, block: BlockId, diff: &StateDiff) -> Result<(), DbError> {
        let head = self.present().number;
        if head.checked_add(1) != Some(block.number) {
            return Err(DbError::NotNext { number: block.number, head });
        }
        let undo = self.overlay.apply(diff);
        self.code.extend(diff.code.iter().map(|(hash, code)| (*hash, code.clone())));
        self.steps.push(Step { block, undo });
        Ok(())
    }

    fn head(&self) -> Result<BlockId, DbError> {
        Ok(self.present())
    }

    fn at(&self, number: u64) -> Result<Box<dyn Database + '_>, DbError> {
        let steps = self.steps_to(number)?;
        let later = self.steps.get(steps..).unwrap_or_default().iter().rev();
        let accounts = self.overlay.before(later.map(|step| &*step.undo));
        Ok(Box::new(Earlier { now: self, accounts }))
    }

    fn floor(&self) -> Result<u64, DbError> {
        Ok(self.origin().block.number)
    }

    fn unwind(&mut self, number: u64) -> Result<(), DbError> {
        let steps = self.steps_to(number)?;
        self.go_back(steps);
        Ok(())
    }

    /// Out of proofs, so only where the source gives them.
    fn state_root(&self) -> Result<B256, DbError> {
        self.root_of(&self.overlay)
    }

    /// As [`state_root`](Self::state_root).
    fn root_after(&self, diff: &StateDiff) -> Result<B256, DbError> {
        let mut overlay = self.overlay.clone();
        overlay.apply(diff);
        self.root_of(&overlay)
    }

    fn for_each_account(&self, from: B256, visit: &mut VisitAccount<'_>) -> Result<(), DbError> {
        if !self.knows_all() {
            return Err(cannot("list accounts: nobody says which there are"));
        }
        for (hash, address, local) in self.overlay.sorted() {
            if hash >= from
                && let Some(info) = local.info
                && visit(hash, address, info)?.is_break()
            {
                break;
            }
        }
        Ok(())
    }

    fn for_each_slot(
        &self,
        address: Address,
        from: B256,
        visit: &mut VisitSlot<'_>,
    ) -> Result<(), DbError> {
        let local = self.overlay.get(address);
        if !local.is_some_and(|local| local.is_cut_off) && self.remote.has_storage(address)? {
            return Err(cannot("list the slots of an account: nobody says which there are"));
        }
        let hashed = |(slot, word)| (slot_hash(slot), slot, word);
        let words = local.into_iter().flat_map(Local::words).map(hashed);
        let mut words: Vec<_> = words.filter(|(hash, ..)| *hash >= from).collect();
        words.sort_unstable();
        for (hash, slot, word) in words {
            if visit(hash, slot, word)?.is_break() {
                break;
            }
        }
        Ok(())
    }

    fn snapshot(&mut self) -> Result<SnapshotId, DbError> {
        let id = SnapshotId(self.next_id);
        self.next_id += 1;
        self.marks.push((id, self.steps.len()));
        Ok(id)
    }

    fn revert(&mut self, id: SnapshotId) -> Result<(), DbError> {
        let position = self.position(id)?;
        let steps = self.marks.get(position).map_or(0, |mark| mark.1);
        self.go_back(steps);
        self.marks.truncate(position);
        Ok(())
    }

    fn release(&mut self, id: SnapshotId) -> Result<(), DbError> {
        let position = self.position(id)?;
        self.marks.truncate(position);
        Ok(())
    }

    fn set_block_hash(&mut self, number: u64, hash: B256) -> Result<(), DbError> {
        self.block_hashes.insert(number, hash);
        Ok(())
    }

    fn batch(&mut self) -> Batch<'_> {
        Batch::new(self)
    }
}

fn cannot(action: &'static str) -> DbError {
    DbError::Unsupported { backend: "a forked state".into(), action: action.into() }
}
