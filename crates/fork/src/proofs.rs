//! Checking what `eth_getProof` answers.

use zvm_core::{AccountInfo, B256, Bytes, DbError, EMPTY_ROOT, U256, keccak256};
use zvm_trie::{
    AccountProof, NodeSet, ProofError, StorageProof, decode_account, decode_word, slot_hash,
    verify_proof,
};

use crate::{ProofRequest, Read, RemoteAccount, Source};

/// Most slots that are proven by one answer: with proofs of ten nodes it has one to two MiB.
const SLOTS_PER_REQUEST: usize = 256;

/// Asks for proofs in answers of a bearable size, and checks that they are those asked for.
///
/// Nothing else in them is checked.
pub(crate) fn prove_in_parts(
    source: &dyn Source,
    requests: &[ProofRequest],
) -> Result<Vec<AccountProof>, DbError> {
    let mut parts = Vec::new();
    for (place, ProofRequest { address, slots }) in requests.iter().enumerate() {
        let mut chunks = slots.chunks(SLOTS_PER_REQUEST);
        let first = chunks.next().unwrap_or_default();
        for slots in std::iter::once(first).chain(chunks) {
            parts.push((place, ProofRequest { address: *address, slots: slots.to_vec() }));
        }
    }
    let (places, parts): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
    let proofs = source.prove(&parts)?;
    let unproven = |what: String| DbError::Unproven { endpoint: source.name(), what };
    if proofs.len() != parts.len() {
        return Err(unproven(format!("{} proofs, expected {}", proofs.len(), parts.len())));
    }
    let mut whole: Vec<AccountProof> = Vec::with_capacity(requests.len());
    for ((place, part), proof) in places.into_iter().zip(&parts).zip(proofs) {
        check_answers(part, &proof).map_err(unproven)?;
        match whole.get_mut(place) {
            Some(begun) => begun.storage_proof.extend(proof.storage_proof),
            None => whole.push(proof),
        }
    }
    Ok(whole)
}

/// Checks that a proof is of what was asked for.
fn check_answers(request: &ProofRequest, proof: &AccountProof) -> Result<(), String> {
    let (address, read) = (request.address, Read::Account(request.address));
    if proof.address != address {
        return Err(format!("{read}: a proof of account {}", proof.address));
    }
    let (slots, proven) = (&request.slots, &proof.storage_proof);
    for (slot, proof) in slots.iter().zip(proven) {
        if *slot != proof.key {
            return Err(format!(
                "{}: a proof of slot {:#x}",
                Read::Slot(address, *slot),
                proof.key
            ));
        }
    }
    match slots.len() == proven.len() {
        true => Ok(()),
        false => Err(format!("{read}: {} slots, expected {}", proven.len(), slots.len())),
    }
}

/// The account that a proof proves. An error says which part of the answer is wrong.
pub(crate) fn check_account(
    proof: &AccountProof,
    state_root: B256,
) -> Result<Option<RemoteAccount>, String> {
    let leaf = verify_proof(state_root, keccak256(proof.address), &proof.account_proof)
        .map_err(|error| error.to_string())?;
    let proven = match leaf {
        Some(leaf) => Some(decode_account(leaf).map_err(|error| error.to_string())?),
        None => None,
    };
    let (info, root) = proven.unwrap_or((AccountInfo::default(), EMPTY_ROOT));
    // Some nodes answer with zero hashes where there is no account.
    let is_right = |found: B256, right| found == right || (proven.is_none() && found.is_zero());
    if proof.nonce != info.nonce {
        return Err(format!("nonce {}, proven is {}", proof.nonce, info.nonce));
    }
    if proof.balance != info.balance {
        return Err(format!("balance {}, proven is {}", proof.balance, info.balance));
    }
    if !is_right(proof.code_hash, info.code_hash) {
        return Err(format!("code hash {}, proven is {}", proof.code_hash, info.code_hash));
    }
    if !is_right(proof.storage_hash, root) {
        return Err(format!("storage root {}, proven is {root}", proof.storage_hash));
    }
    Ok(proven.map(|(info, root)| RemoteAccount { info, storage_root: Some(root) }))
}

/// The word that a proof proves. An error says which part of the answer is wrong.
pub(crate) fn check_slot(proof: &StorageProof, storage_root: B256) -> Result<U256, String> {
    let leaf = verify_proof(storage_root, slot_hash(proof.key), &proof.proof)
        .map_err(|error| error.to_string())?;
    let proven = match leaf {
        Some(leaf) => decode_word(leaf).map_err(|error| error.to_string())?,
        None => U256::ZERO,
    };
    match proof.value == proven {
        true => Ok(proven),
        false => Err(format!("word {:#x}, proven is {proven:#x}", proof.value)),
    }
}

/// Why nodes do not prove something.
pub(crate) enum Gap {
    /// A node on the way is not among them.
    Missing(Read),
    /// A node on the way is none.
    Damaged(Read, String),
}

/// The proof of an account and slots that `nodes` make in the state with this root.
pub(crate) fn proof_out_of(
    nodes: &NodeSet,
    state_root: B256,
    request: &ProofRequest,
) -> Result<AccountProof, Gap> {
    let address = request.address;
    let read = Read::Account(address);
    let (account_proof, leaf) = one_proof(nodes, state_root, keccak256(address), read)?;
    let account = leaf.map(|leaf| decode_account(&leaf)).transpose();
    let account = account.map_err(|error| Gap::Damaged(read, error.to_string()))?;
    let storage_hash = account.map_or(EMPTY_ROOT, |(_, root)| root);
    let storage_proof = request.slots.iter().map(|&key| {
        let read = Read::Slot(address, key);
        let (proof, leaf) = one_proof(nodes, storage_hash, slot_hash(key), read)?;
        let value = leaf.map_or(Ok(U256::ZERO), |leaf| decode_word(&leaf));
        let value = value.map_err(|error| Gap::Damaged(read, error.to_string()))?;
        Ok(StorageProof { key, value, proof })
    });
    let storage_proof = storage_proof.collect::<Result<_, Gap>>()?;
    let info = account.map(|(info, _)| info).unwrap_or_default();
    let AccountInfo { nonce, balance, code_hash } = info;
    Ok(AccountProof {
        address,
        balance,
        code_hash,
        nonce,
        storage_hash,
        account_proof,
        storage_proof,
    })
}

/// The proof of one key, and the leaf it proves.
fn one_proof(
    nodes: &NodeSet,
    root: B256,
    key: B256,
    read: Read,
) -> Result<(Vec<Bytes>, Option<Vec<u8>>), Gap> {
    let proof = nodes.proof(root, key).map_err(|error| match error {
        ProofError::Missing { .. } => Gap::Missing(read),
        error => Gap::Damaged(read, error.to_string()),
    })?;
    let leaf = verify_proof(root, key, &proof);
    let leaf = leaf.map_err(|error| Gap::Damaged(read, error.to_string()))?.map(<[u8]>::to_vec);
    Ok((proof, leaf))
}

/// Checks that code has this hash.
pub(crate) fn check_code(code: &[u8], hash: B256) -> Result<(), String> {
    match keccak256(code) {
        found if found == hash => Ok(()),
        found => Err(format!("code with hash {found}")),
    }
}
