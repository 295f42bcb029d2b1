//! What the proofs within a recording prove.

use zvm_core::{AccountInfo, Address, B256, EMPTY_ROOT, U256, keccak256};
use zvm_trie::{ProofError, decode_account, decode_word, slot_hash, verify_proof};

use super::Recording;
use crate::{Read, RemoteAccount};

/// How much of a recording is proven by its own nodes against its own header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Proven {
    /// Accounts, absent ones included.
    pub accounts: usize,
    /// Slots.
    pub slots: usize,
    /// Codes of proven accounts.
    pub codes: usize,
    /// Hashes of blocks; the header only commits to that of its parent.
    pub block_hashes: usize,
    /// All that has no proof here.
    pub unproven: usize,
}

/// What in a recording is not true.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// The header is not that of the block.
    #[error("the header has hash {found}, expected that of the block, {expected}")]
    Header {
        /// The hash of the header.
        found: B256,
        /// The hash of the block.
        expected: B256,
    },

    /// A node on the way is none.
    #[error("{read}: {source}")]
    Proof {
        /// What was to be proven.
        read: Read,
        /// What is wrong with its proof.
        source: Box<ProofError>,
    },

    /// The proof is good, and what was recorded is something else.
    #[error("{read}: recorded as {recorded}, proven is {proven}")]
    Differs {
        /// What was recorded.
        read: Read,
        /// Its answer.
        recorded: String,
        /// The right answer.
        proven: String,
    },

    /// The block of a recorded transaction is none, or not the next one.
    #[error("{what}")]
    Next {
        /// What is wrong.
        what: String,
    },
}

impl Recording {
    /// Checks everything that has a proof here, and says how much that is.
    ///
    /// What it comes to is that the block's [hash](crate::Origin::block) commits to all that was
    /// proven. Whether that is the hash of a block of the chain is for somebody else to say.
    ///
    /// # Errors
    ///
    /// The first thing that is not true. A proof that is missing is not an error.
    pub fn verify(&self) -> Result<Proven, VerifyError> {
        let origin = &self.origin;
        let (found, expected) = (origin.header.hash(), origin.block.hash);
        if found != expected {
            return Err(VerifyError::Header { found, expected });
        }
        if let Some(next) = &self.next {
            next.verify(expected).map_err(|what| VerifyError::Next { what })?;
        }
        let mut proven = Proven::default();
        for (address, account) in &self.accounts {
            let Some(leaf) = self.proven_account(*address)? else { continue };
            check_account(*address, account.as_ref(), leaf)?;
            proven.accounts += 1;
        }
        for (address, slots) in &self.slots {
            let Some(leaf) = self.proven_account(*address)? else { continue };
            let root = leaf.map_or(EMPTY_ROOT, |(_, root)| root);
            for (slot, word) in slots {
                proven.slots += usize::from(self.check_slot(root, *address, *slot, *word)?);
            }
        }
        let is_known = |hash: &B256| {
            self.accounts.iter().any(|(address, account)| {
                account.is_some_and(|account| account.info.code_hash == *hash)
                    && matches!(self.proven_account(*address), Ok(Some(_)))
            })
        };
        proven.codes = self.code.keys().filter(|hash| is_known(hash)).count();
        if let Some(parent) = origin.block.number.checked_sub(1)
            && let Some(hash) = self.block_hashes.get(&parent)
        {
            let right = origin.header.parent_hash;
            if *hash != right {
                let read = Read::BlockHash(parent);
                let (recorded, proven) = (hash.to_string(), right.to_string());
                return Err(VerifyError::Differs { read, recorded, proven });
            }
            proven.block_hashes = 1;
        }
        let size = self.size();
        proven.unproven = (size.accounts + size.slots + size.codes + size.block_hashes)
            - (proven.accounts + proven.slots + proven.codes + proven.block_hashes);
        Ok(proven)
    }

    /// The account and its storage root that the nodes prove: `None` if they prove nothing of it.
    fn proven_account(
        &self,
        address: Address,
    ) -> Result<Option<Option<(AccountInfo, B256)>>, VerifyError> {
        let root = self.origin.header.state_root;
        let read = Read::Account(address);
        let Some(leaf) = self.proven(root, keccak256(address), read)? else { return Ok(None) };
        let Some(leaf) = leaf else { return Ok(Some(None)) };
        let account = decode_account(&leaf).map_err(|error| VerifyError::Differs {
            read,
            recorded: "an account".into(),
            proven: error.to_string(),
        })?;
        Ok(Some(Some(account)))
    }

    /// Whether the nodes prove anything of a slot, which then is right.
    fn check_slot(
        &self,
        root: B256,
        address: Address,
        slot: U256,
        word: U256,
    ) -> Result<bool, VerifyError> {
        let read = Read::Slot(address, slot);
        let Some(leaf) = self.proven(root, slot_hash(slot), read)? else { return Ok(false) };
        let right = leaf.map_or(Ok(U256::ZERO), |leaf| decode_word(&leaf));
        if right == Ok(word) {
            return Ok(true);
        }
        let proven = right.map_or_else(|error| error.to_string(), |word| format!("{word:#x}"));
        Err(VerifyError::Differs { read, recorded: format!("{word:#x}"), proven })
    }

    /// The leaf of `key`, or that there is none; `None` if a node on the way is not here.
    fn proven(
        &self,
        root: B256,
        key: B256,
        read: Read,
    ) -> Result<Option<Option<Vec<u8>>>, VerifyError> {
        let fault = |source| VerifyError::Proof { read, source: Box::new(source) };
        let proof = match self.nodes.proof(root, key) {
            Ok(proof) => proof,
            Err(ProofError::Missing { .. }) => return Ok(None),
            Err(source) => return Err(fault(source)),
        };
        let leaf = verify_proof(root, key, &proof).map_err(fault)?;
        Ok(Some(leaf.map(<[u8]>::to_vec)))
    }
}

fn check_account(
    address: Address,
    recorded: Option<&RemoteAccount>,
    leaf: Option<(AccountInfo, B256)>,
) -> Result<(), VerifyError> {
    let is_right = match (recorded, leaf) {
        (None, None) => true,
        (Some(recorded), Some((info, root))) => {
            recorded.info == info && recorded.storage_root.is_none_or(|recorded| recorded == root)
        }
        _ => false,
    };
    if is_right {
        return Ok(());
    }
    let proven = leaf.map(|(info, root)| RemoteAccount { info, storage_root: Some(root) });
    Err(VerifyError::Differs {
        read: Read::Account(address),
        recorded: super::show(&recorded.copied()),
        proven: super::show(&proven),
    })
}
