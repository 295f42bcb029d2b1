//! Answers of a node that are more than one value.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;
use zvm_core::{Address, B256, Header, U256, keccak256};
use zvm_trie::{AccountProof, verify_proof};

use crate::{ProofRequest, Read, json, rpc::Call};

/// Hash and header of a block. `Err` says what was found.
pub(super) fn header(block: &RawValue) -> Result<(B256, Header), String> {
    #[derive(Deserialize)]
    struct Hash {
        hash: Option<B256>,
    }
    if block.get() == "null" {
        return Err("no such block".to_owned());
    }
    let hash: Hash = parse(block)?;
    Ok((hash.hash.ok_or("a block without a hash")?, parse(block)?))
}

/// The accounts and slots of an access list. An error of the call itself leaves it as it is.
pub(super) fn access_list(result: &RawValue) -> Result<Vec<Read>, String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Item {
        address: Address,
        #[serde(default)]
        storage_keys: Vec<B256>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Reply {
        access_list: Vec<Item>,
    }
    let list = parse::<Reply>(result)?.access_list;
    let reads = list.into_iter().flat_map(|Item { address, storage_keys }| {
        let slots = storage_keys.into_iter().map(move |key| Read::Slot(address, key.into()));
        [Read::Account(address)].into_iter().chain(slots)
    });
    Ok(reads.collect())
}

/// Slots on their way into calls of `eth_getStorageValues`.
#[derive(Default)]
pub(super) struct StorageValues {
    chunks: Vec<BTreeMap<Address, Vec<U256>>>,
    /// Slots in the last chunk.
    count: usize,
}

impl StorageValues {
    /// Adds a slot and says in which call it is, and at which place among those of its account.
    pub(super) fn add(&mut self, address: Address, slot: U256, most: usize) -> (usize, usize) {
        if self.chunks.is_empty() || self.count >= most {
            self.chunks.push(BTreeMap::new());
            self.count = 0;
        }
        let mut place = 0;
        if let Some(chunk) = self.chunks.last_mut() {
            let slots = chunk.entry(address).or_default();
            place = slots.len();
            slots.push(slot);
        }
        self.count += 1;
        (self.chunks.len() - 1, place)
    }

    pub(super) fn calls(&self, block: &str) -> Vec<Call> {
        let of_slots = |slots: &[U256]| {
            slots.iter().map(|slot| json::of_word(*slot)).collect::<Vec<_>>().join(",")
        };
        let call = |chunk: &BTreeMap<Address, Vec<U256>>| {
            let accounts = chunk.iter();
            let accounts: Vec<_> = accounts
                .map(|(address, slots)| {
                    format!("{}:[{}]", json::of_address(*address), of_slots(slots))
                })
                .collect();
            Call::new("eth_getStorageValues", &[&format!("{{{}}}", accounts.join(",")), block])
        };
        self.chunks.iter().map(call).collect()
    }
}

/// What `eth_getStorageValues` answers: words in the order asked for.
pub(super) fn storage_values(result: &RawValue) -> Result<BTreeMap<Address, Vec<B256>>, String> {
    parse(result)
}

/// Calls of `eth_getProof`, each with at most so many slots.
pub(super) fn proof_calls(requests: &[ProofRequest], slots_max: usize, block: &str) -> Vec<Call> {
    let call = |address: Address, slots: &[U256]| {
        let slots: Vec<_> = slots.iter().map(|slot| json::of_word(*slot)).collect();
        let slots = format!("[{}]", slots.join(","));
        Call::new("eth_getProof", &[&json::of_address(address), &slots, block])
    };
    let calls = requests.iter().flat_map(|ProofRequest { address, slots }| {
        let parts: Vec<&[U256]> = match slots.is_empty() {
            true => vec![&[]],
            false => slots.chunks(slots_max).collect(),
        };
        parts.into_iter().map(|part| call(*address, part)).collect::<Vec<_>>()
    });
    calls.collect()
}

/// An account's proof, which may come in parts.
#[derive(Default)]
pub(super) struct ProofReply(Option<AccountProof>);

impl ProofReply {
    /// Adds a part.
    pub(super) fn take(&mut self, result: &RawValue) -> Result<(), String> {
        let part: AccountProof = parse(result)?;
        let Some(whole) = &mut self.0 else {
            self.0 = Some(part);
            return Ok(());
        };
        let fields = |proof: &AccountProof| {
            (proof.address, proof.balance, proof.nonce, proof.code_hash, proof.storage_hash)
        };
        if fields(whole) != fields(&part) {
            return Err("two answers with different accounts".to_owned());
        }
        whole.storage_proof.extend(part.storage_proof);
        Ok(())
    }

    /// The whole, which must be what was asked for.
    pub(super) fn finish(self, request: &ProofRequest) -> Result<AccountProof, String> {
        let proof = self.0.ok_or("no answer")?;
        let slots = proof.storage_proof.iter().map(|slot| slot.key);
        if proof.address != request.address || !slots.eq(request.slots.iter().copied()) {
            return Err("an account or slots that were not asked for".to_owned());
        }
        Ok(proof)
    }
}

/// Whether a proof ends in the account, under whatever root it is of.
pub(super) fn shows_account(proof: &AccountProof, address: Address) -> bool {
    let root = proof.account_proof.first().map(keccak256);
    let leaf = root.map(|root| verify_proof(root, keccak256(address), &proof.account_proof));
    matches!(leaf, Some(Ok(Some(_))))
}

pub(super) fn parse<'a, T: Deserialize<'a>>(result: &'a RawValue) -> Result<T, String> {
    serde_json::from_str(result.get())
        .map_err(|error| format!("{}: {error}", json::shortened(result.get())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> Box<RawValue> {
        RawValue::from_string(text.to_owned()).unwrap()
    }

    #[test]
    fn slots_are_split_into_calls() {
        let mut values = StorageValues::default();
        let (a, b) = (Address::repeat_byte(1), Address::repeat_byte(2));
        let places = [(a, 1), (a, 2), (b, 1), (a, 3)];
        let places = places.map(|(address, slot)| values.add(address, U256::from(slot), 3));
        assert_eq!(places, [(0, 0), (0, 1), (0, 0), (1, 0)]);
        assert_eq!(values.calls("\"latest\"").len(), 2);
    }

    #[test]
    fn a_proof_in_parts_is_put_together_and_checked_for_what_was_asked() {
        let part = |slot: u64, balance: &str| {
            raw(&format!(
                r#"{{"address":"{}","balance":"{balance}","codeHash":"{}","nonce":"0x0",
                "storageHash":"{}","accountProof":[],
                "storageProof":[{{"key":"{slot:#x}","value":"0x0","proof":[]}}]}}"#,
                Address::ZERO,
                B256::ZERO,
                B256::ZERO
            ))
        };
        let request = ProofRequest { address: Address::ZERO, slots: [1, 2].map(U256::from).into() };
        assert_eq!(proof_calls(std::slice::from_ref(&request), 1, "1").len(), 2);
        let mut reply = ProofReply::default();
        reply.take(&part(1, "0x5")).unwrap();
        assert!(reply.take(&part(2, "0x6")).is_err());
        reply.take(&part(2, "0x5")).unwrap();
        assert_eq!(reply.finish(&request).unwrap().storage_proof.len(), 2);
        let mut other = ProofReply::default();
        other.take(&part(1, "0x5")).unwrap();
        assert!(other.finish(&request).is_err());
        assert!(ProofReply::default().take(&raw("null")).is_err());
    }

    #[test]
    fn an_access_list_is_accounts_and_slots() {
        let list = raw(r#"{"accessList":[{"address":"0x0101010101010101010101010101010101010101",
            "storageKeys":["0x0000000000000000000000000000000000000000000000000000000000000007"]}],
            "gasUsed":"0x1"}"#);
        let address = Address::repeat_byte(1);
        let expected = vec![Read::Account(address), Read::Slot(address, U256::from(7))];
        assert_eq!(access_list(&list), Ok(expected));
        assert!(access_list(&raw("null")).is_err());
    }

    #[test]
    fn a_block_that_is_not_there_is_no_header() {
        assert_eq!(header(&raw("null")).unwrap_err(), "no such block");
        assert!(header(&raw("{}")).is_err());
    }
}
