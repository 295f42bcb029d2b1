//! Proofs out of the nodes of earlier ones.

use zvm_core::{B256, Bytes, DbError, EMPTY_ROOT, keccak256};
use zvm_trie::{AccountProof, NodeSet, ProofError, decode_account, slot_hash, verify_proof};

use super::{Kept, record::Record};
use crate::{ProofRequest, proofs::proof_out_of};

impl Kept {
    /// Proofs of all `requests`, in their order: out of nodes that are kept, or from the source
    /// behind. A node is known by its hash, so it does not matter who gave it.
    pub(super) fn prove_kept(
        &self,
        requests: &[ProofRequest],
    ) -> Result<Vec<AccountProof>, DbError> {
        let mut proofs: Vec<_> = requests.iter().map(|request| self.proven(request)).collect();
        let is_missing = |(request, proof): (&ProofRequest, &Option<AccountProof>)| {
            proof.is_none().then(|| request.clone())
        };
        let missing: Vec<_> = requests.iter().zip(&proofs).filter_map(is_missing).collect();
        if !missing.is_empty() {
            let fetched = self.inner.prove(&missing)?;
            self.keep_nodes(&fetched);
            let places = proofs.iter_mut().filter(|proof| proof.is_none());
            places.zip(fetched).for_each(|(place, proof)| *place = Some(proof));
        }
        let no_answer =
            || DbError::Remote { endpoint: self.inner.name(), what: "proofs are missing".into() };
        proofs.into_iter().collect::<Option<_>>().ok_or_else(no_answer)
    }

    /// The proof that the nodes here make.
    fn proven(&self, request: &ProofRequest) -> Option<AccountProof> {
        let state_root = self.inner.origin().header.state_root;
        let mut nodes = NodeSet::default();
        let key = keccak256(request.address);
        let account = self.gather(&mut nodes, state_root, key)?;
        let leaf = verify_proof(state_root, key, &account).ok()?;
        let storage_root = match leaf {
            Some(leaf) => decode_account(leaf).ok()?.1,
            None => EMPTY_ROOT,
        };
        for slot in &request.slots {
            self.gather(&mut nodes, storage_root, slot_hash(*slot))?;
        }
        proof_out_of(&nodes, state_root, request).ok()
    }

    /// Adds what proves `key` to `nodes`, and hands it back.
    fn gather(&self, nodes: &mut NodeSet, root: B256, key: B256) -> Option<Vec<Bytes>> {
        loop {
            match nodes.proof(root, key) {
                Ok(proof) => return Some(proof),
                Err(ProofError::Missing { expected, .. }) => {
                    let node = self.find_node(expected)?;
                    // Each of them brings the walk one step further.
                    nodes.insert(node);
                }
                Err(_) => return None,
            }
        }
    }

    /// The node with this hash, from memory or from disk.
    fn find_node(&self, hash: B256) -> Option<Bytes> {
        if let Some(node) = self.nodes.get(&hash) {
            return Some(node);
        }
        let disk = self.disk.as_ref()?;
        let found = disk.state().find_node(hash);
        let node = disk.note(found)??;
        self.nodes.insert(hash, node.clone());
        Some(node)
    }

    fn keep_nodes(&self, proofs: &[AccountProof]) {
        let mut nodes = NodeSet::default();
        for proof in proofs {
            let of_slots = proof.storage_proof.iter().flat_map(|slot| &slot.proof);
            proof.account_proof.iter().chain(of_slots).for_each(|node| {
                nodes.insert(node.clone());
            });
        }
        let new = nodes.iter().filter(|(hash, _)| self.nodes.get(*hash).is_none());
        let new: Vec<_> = new.map(|(_, node)| Record::Node(node.clone())).collect();
        for (hash, node) in nodes.iter() {
            self.nodes.insert(*hash, node.clone());
        }
        if let Some(disk) = &self.disk {
            disk.append(new.into_iter());
        }
    }
}
