//! Checking what `eth_getProof` answers.

use zvm_core::{AccountInfo, B256, DbError, EMPTY_ROOT, U256, keccak256};
use zvm_trie::{AccountProof, StorageProof, decode_account, decode_word, slot_hash, verify_proof};

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

/// Checks that code has this hash.
pub(crate) fn check_code(code: &[u8], hash: B256) -> Result<(), String> {
    match keccak256(code) {
        found if found == hash => Ok(()),
        found => Err(format!("code with hash {found}")),
    }
}
