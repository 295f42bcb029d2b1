//! State roots of a remote state with changes, out of proofs.

#[cfg(test)]
mod tests;

use zvm_core::{AccountInfo, Address, B256, Bytes, DbError, EMPTY_ROOT, U256, keccak256};
use zvm_trie::{AccountProof, HiddenNode, PartialTrie, encode_account, encode_word, slot_hash};

use crate::{
    ProofRequest, Read, Source,
    proofs::{check_account, prove_in_parts},
};

/// How an account differs from the remote one.
#[derive(Clone, Debug)]
pub(crate) struct Changed {
    pub(crate) address: Address,
    /// What it is now; `None` where there is none.
    pub(crate) info: Option<AccountInfo>,
    /// The remote slots do not count any more.
    pub(crate) is_cut_off: bool,
    /// Words written, zeros included.
    pub(crate) words: Vec<(U256, U256)>,
}

/// Keys and new values of a trie; `None` removes.
type Changes = Vec<(B256, Option<Vec<u8>>)>;

/// Most keys that are tried to find one that begins with a path: about a second's work.
const TRIES_MAX: u64 = 1 << 22;
/// Nibbles of the longest path for which they most likely suffice.
const PATH_MAX: usize = 5;

/// The root of the state that `source` reads with `changed` over it.
///
/// Removing a leaf may need its neighbour, which no proof of the leaf shows. Any key that begins like
/// the path of the neighbour proves it, and is found by trying. Where the trie is too large for that,
/// as mainnet's is for accounts, the root is [`DbError::Unproven`], with the path.
pub(crate) fn root_after(source: &dyn Source, changed: &[Changed]) -> Result<B256, DbError> {
    let state_root = source.origin().header.state_root;
    if changed.is_empty() {
        return Ok(state_root);
    }
    let requests: Vec<_> = changed.iter().map(Changed::request).collect();
    let proofs = prove_in_parts(source, &requests)?;
    let mut leaves = Changes::new();
    let mut storages = Vec::new();
    for (change, proof) in changed.iter().zip(&proofs) {
        storages.push(match change.is_cut_off || change.words.is_empty() {
            true => None,
            false => Some(change.storage(source, proof)?),
        });
    }
    // All storages make their changes side by side: what they lack is asked for in one batch.
    loop {
        let mut lacking = Vec::new();
        for (change, storage) in changed.iter().zip(&mut storages) {
            let Some(storage) = storage else { continue };
            if let Err(hidden) = storage.set_all(&change.leaves()) {
                let owner = || format!("storage of {}", change.address);
                lacking.push(request_below(source, hidden, owner, |key| ProofRequest {
                    address: change.address,
                    slots: vec![U256::from_be_bytes(key.0)],
                })?);
            }
        }
        if lacking.is_empty() {
            break;
        }
        for proof in prove_in_parts(source, &lacking)? {
            let owner = changed.iter().position(|change| change.address == proof.address);
            let storage = owner.and_then(|owner| storages.get_mut(owner)?.as_mut());
            if let Some(storage) = storage {
                reveal_slots(source, storage, &proof)?;
            }
        }
    }
    let mut accounts = PartialTrie::new(state_root);
    for ((change, proof), storage) in changed.iter().zip(&proofs).zip(&mut storages) {
        let key = keccak256(change.address);
        let remote = check_account(proof, state_root)
            .map_err(|what| unproven(source, Read::Account(change.address), what))?;
        reveal(source, &mut accounts, Read::Account(change.address), key, &proof.account_proof)?;
        let leaf = change.info.map(|info| {
            let remote_root = remote.and_then(|remote| remote.storage_root);
            let root = match storage {
                Some(storage) => storage.root(),
                None if change.is_cut_off => change.root_alone(),
                None => remote_root.unwrap_or(EMPTY_ROOT),
            };
            let mut leaf = Vec::new();
            encode_account(&info, root, &mut leaf);
            leaf
        });
        leaves.push((key, leaf));
    }
    while let Err(hidden) = accounts.set_all(&leaves) {
        let request = request_below(
            source,
            hidden,
            || "accounts".into(),
            |key| ProofRequest { address: Address::from_word(key), slots: Vec::new() },
        )?;
        for proof in prove_in_parts(source, &[request])? {
            let (read, key) = (Read::Account(proof.address), keccak256(proof.address));
            reveal(source, &mut accounts, read, key, &proof.account_proof)?;
        }
    }
    Ok(accounts.root())
}

impl Changed {
    /// What has to be proven before it can be changed.
    fn request(&self) -> ProofRequest {
        let slots = match self.is_cut_off {
            true => Vec::new(),
            false => self.words.iter().map(|(slot, _)| *slot).collect(),
        };
        ProofRequest { address: self.address, slots }
    }

    /// The leaves of its storage that are written.
    fn leaves(&self) -> Changes {
        let leaf = |(slot, word): &(U256, U256)| {
            let mut leaf = Vec::new();
            encode_word(*word, &mut leaf);
            (slot_hash(*slot), (!word.is_zero()).then_some(leaf))
        };
        self.words.iter().map(leaf).collect()
    }

    /// The root of its storage if the words written are all there is.
    fn root_alone(&self) -> B256 {
        zvm_trie::storage_root(self.words.iter().copied())
    }

    /// The remote storage, as far as the proof has it.
    fn storage(&self, source: &dyn Source, proof: &AccountProof) -> Result<PartialTrie, DbError> {
        let root = match proof.storage_hash.is_zero() {
            true => EMPTY_ROOT,
            false => proof.storage_hash,
        };
        let mut storage = PartialTrie::new(root);
        reveal_slots(source, &mut storage, proof)?;
        Ok(storage)
    }
}

fn reveal_slots(
    source: &dyn Source,
    storage: &mut PartialTrie,
    proof: &AccountProof,
) -> Result<(), DbError> {
    for slot in &proof.storage_proof {
        let read = Read::Slot(proof.address, slot.key);
        reveal(source, storage, read, slot_hash(slot.key), &slot.proof)?;
    }
    Ok(())
}

fn reveal(
    source: &dyn Source,
    trie: &mut PartialTrie,
    read: Read,
    key: B256,
    proof: &[Bytes],
) -> Result<(), DbError> {
    let revealed = trie.reveal(key, proof).map(drop);
    revealed.map_err(|error| unproven(source, read, error.to_string()))
}

/// Asks for the proof of something whose hash begins with the path of a hidden node. `request` makes
/// a request of 32 bytes, of which an address takes the last 20.
fn request_below(
    source: &dyn Source,
    hidden: HiddenNode,
    owner: impl Fn() -> String,
    request: impl Fn(B256) -> ProofRequest,
) -> Result<ProofRequest, DbError> {
    let hash = |request: &ProofRequest| match request.slots.first() {
        Some(slot) => slot_hash(*slot),
        None => keccak256(request.address),
    };
    let found = (hidden.path.len() <= PATH_MAX).then(|| {
        let mut requests = (0..TRIES_MAX).map(|number| request(B256::from(U256::from(number))));
        requests.find(|request| hidden.path.is_prefix_of(&hash(request)))
    });
    found.flatten().ok_or_else(|| DbError::Unproven {
        endpoint: source.name(),
        what: format!("state root: {}: {hidden}", owner()),
    })
}

fn unproven(source: &dyn Source, read: Read, what: String) -> DbError {
    DbError::Unproven { endpoint: source.name(), what: format!("{read}: {what}") }
}
