//! True answers pass, and no alteration does.

use std::sync::atomic::Ordering;

use zvm_core::{AccountDiff, AccountInfo, SlotDiff};

use super::*;
use crate::testing::{Answer, StoreNode, account, code, random, state};

fn verified(node: StoreNode) -> (Arc<StoreNode>, Verified) {
    let node = Arc::new(node);
    let verified = Verified::new(node.clone()).expect("an honest header");
    (node, verified)
}

/// Everything there is to read, and as much that is absent.
fn all_reads() -> Vec<Read> {
    let mut reads = Vec::new();
    for (address, change) in state().accounts {
        reads.push(Read::Account(address));
        reads.extend(change.storage.keys().map(|slot| Read::Slot(address, *slot)));
        reads.push(Read::Slot(address, U256::from(1000)));
        let hash = change.new.expect("accounts are only added").code_hash;
        if state().code.contains_key(&hash) {
            reads.push(Read::Code(hash, address));
        }
    }
    reads.extend((100..120).map(|index| Read::Account(account(index))));
    reads.push(Read::Slot(account(100), U256::ZERO));
    reads.extend([299, 298, 297, 43].map(Read::BlockHash));
    reads
}

#[test]
fn true_answers_pass() {
    let (node, verified) = verified(StoreNode::new());
    let reads = all_reads();
    let found = verified.fetch(&reads).unwrap();
    for ((read, found), plain) in reads.iter().zip(&found).zip(node.fetch(&reads).unwrap()) {
        match (found, plain) {
            (Found::Account(Some(found)), Found::Account(Some(plain))) => {
                assert_eq!(found.info, plain.info, "{read}");
                assert!(found.storage_root.is_some());
            }
            (found, plain) => assert_eq!(*found, plain, "{read}"),
        }
    }
    assert!(verified.origin().is_verified);
}

#[test]
fn a_batch_is_one_request_for_proofs_and_one_for_code() {
    let (node, verified) = verified(StoreNode::new());
    let reads: Vec<_> =
        all_reads().into_iter().filter(|read| !matches!(read, Read::BlockHash(_))).collect();
    verified.fetch(&reads).unwrap();
    assert_eq!(node.requests.load(Ordering::Relaxed), 2);
}

#[test]
fn the_hashes_of_blocks_cost_one_walk() {
    let (node, verified) = verified(StoreNode::new());
    // That of the parent is in the header.
    verified.fetch(&[Read::BlockHash(298)]).unwrap();
    assert_eq!(node.requests.load(Ordering::Relaxed), 0);
    verified.fetch(&[Read::BlockHash(50), Read::BlockHash(200)]).unwrap();
    verified.fetch(&[Read::BlockHash(51)]).unwrap();
    assert_eq!(node.requests.load(Ordering::Relaxed), 1);
    let error = verified.fetch(&[Read::BlockHash(300)]).unwrap_err();
    assert!(matches!(error, DbError::MissingBlockHash { number: 300 }), "{error}");
}

/// A node whose state has the hashes of 250 and later blocks.
fn with_history() -> StoreNode {
    let hash = random("hash of block", 250);
    StoreNode::with(|state, header| {
        header.requests_hash = Some(B256::ZERO);
        let info = AccountInfo { nonce: 1, ..AccountInfo::default() };
        let word = SlotDiff { old: U256::ZERO, new: U256::from_be_bytes(hash.0) };
        let storage = [(U256::from(250), word)].into();
        let change = AccountDiff { new: Some(info), storage, ..AccountDiff::default() };
        state.accounts.insert(HISTORY_STORAGE, change);
    })
}

#[test]
fn the_state_answers_for_the_blocks_whose_hash_it_has() {
    let (_, verified) = verified(with_history());
    let found = verified.fetch(&[Read::BlockHash(250)]).unwrap();
    assert_eq!(found, [Found::BlockHash(random("hash of block", 250))]);
    // It has none of that block: the chain of headers answers.
    let found = verified.fetch(&[Read::BlockHash(249)]).unwrap();
    assert_ne!(found, [Found::BlockHash(B256::ZERO)]);
}

/// Alters the first answer that `change` applies to, and says what was refused.
fn refused(
    node: &StoreNode,
    verified: &Verified,
    read: Read,
    change: impl FnMut(Answer<'_>) + Send + 'static,
) -> String {
    node.tamper(change);
    let error = verified.fetch(&[read]).expect_err("an altered answer");
    node.repent();
    let DbError::Unproven { endpoint, what } = error else { panic!("{error:?}") };
    assert_eq!(endpoint, "store:");
    what
}

#[test]
fn each_of_a_thousand_alterations_is_found_and_named() {
    let (node, verified) = verified(StoreNode::new());
    for index in 0..1000 {
        let bytes = random("alteration", index);
        let pick = |count: usize, at: usize| {
            usize::from(u16::from_be_bytes([bytes[at], bytes[at + 1]])) % count
        };
        // Any of 256 bits.
        let flip = U256::from(1) << pick(256, 2);
        let owner = 2 * pick(20, 0) as u64;
        let address = account(owner);
        let slot = U256::from(pick(owner as usize + 1, 4));
        let (of_account, of_slot) = (Read::Account(address), Read::Slot(address, slot));
        let (what, expected) = match index % 6 {
            0 => {
                let what = refused(&node, &verified, of_account, move |answer| {
                    if let Answer::Proof(proof) = answer {
                        proof.balance ^= flip;
                    }
                });
                (what, format!("account {address}: balance "))
            }
            1 => {
                let what = refused(&node, &verified, of_account, move |answer| {
                    if let Answer::Proof(proof) = answer {
                        proof.nonce ^= 1 << (index % 64);
                    }
                });
                (what, format!("account {address}: nonce "))
            }
            2 => {
                let hash = keccak_of_code(owner);
                let place = pick(32, 6);
                let read = Read::Code(hash, address);
                let what = refused(&node, &verified, read, move |answer| {
                    if let Answer::Found(Found::Code(code)) = answer {
                        let mut altered = code.to_vec();
                        altered[place] ^= 1 << (index % 8);
                        *code = altered.into();
                    }
                });
                (what, format!("code {hash} of {address}: code with hash "))
            }
            3 => {
                let what = refused(&node, &verified, of_slot, move |answer| {
                    if let Answer::Proof(proof) = answer {
                        proof.storage_proof[0].value ^= flip;
                    }
                });
                (what, format!("slot {slot:#x} of {address}: word "))
            }
            4 => {
                let is_storage = index % 12 == 4;
                let (at, bit) = (pick(usize::MAX, 8), index % 8);
                let what = refused(&node, &verified, of_slot, move |answer| {
                    if let Answer::Proof(proof) = answer {
                        let nodes = match is_storage {
                            true => &mut proof.storage_proof[0].proof,
                            false => &mut proof.account_proof,
                        };
                        let which = at % nodes.len();
                        let mut node = nodes[which].to_vec();
                        let place = at / 7 % node.len();
                        node[place] ^= 1 << bit;
                        nodes[which] = node.into();
                    }
                });
                let read = if is_storage { of_slot } else { of_account };
                (what, format!("{read}: node "))
            }
            _ => {
                let number = 43 + pick(255, 10) as u64;
                let field = pick(10, 12);
                // Fresh, so that nothing is known but the last header.
                let verified = Verified::new(node.clone()).unwrap();
                let what = refused(&node, &verified, Read::BlockHash(42), move |answer| {
                    if let Answer::Header(header) = answer
                        && header.number == number
                    {
                        alter(header, field, flip);
                    }
                });
                (what, format!("header of block {number}: its hash is "))
            }
        };
        assert!(what.starts_with(&expected), "{index}: {what:?}, expected {expected:?}");
    }
}

fn keccak_of_code(owner: u64) -> B256 {
    zvm_core::keccak256(code(owner))
}

/// Changes one field of a header.
fn alter(header: &mut Header, field: usize, flip: U256) {
    let low = flip.as_limbs().iter().fold(0, |low, limb| low | limb);
    let hash = B256::from(flip);
    match field {
        0 => header.parent_hash ^= hash,
        1 => header.state_root ^= hash,
        2 => header.transactions_root ^= hash,
        3 => header.timestamp ^= low,
        4 => header.gas_limit ^= low,
        5 => header.gas_used ^= low,
        6 => header.mix_hash ^= hash,
        7 => header.difficulty ^= flip,
        8 => header.base_fee_per_gas = Some(7 ^ low),
        _ => header.beneficiary ^= Address::repeat_byte(1 + (low % 255) as u8),
    }
}

#[test]
fn a_header_that_is_not_that_of_the_block_is_refused_at_once() {
    for field in 0..10 {
        let mut node = StoreNode::new();
        let mut header = node.origin().header.clone();
        alter(&mut header, field, U256::from(1) << 70);
        node.set_header(header);
        let error = Verified::new(Arc::new(node)).err().expect("another header").to_string();
        assert!(
            error.starts_with("store:: not proven: header of block 299: its hash is "),
            "{error}"
        );
    }
}

#[test]
fn answers_to_another_question_are_refused() {
    let (node, verified) = verified(StoreNode::new());
    let (asked, other) = (account(2), account(4));
    let answer = node.prove(&[ProofRequest { address: other, slots: Vec::new() }]).unwrap();
    let what = refused(&node, &verified, Read::Account(asked), move |question| {
        if let Answer::Proof(proof) = question {
            *proof = answer[0].clone();
        }
    });
    assert_eq!(what, format!("account {asked}: a proof of account {other}"));
    let what = refused(&node, &verified, Read::Slot(asked, U256::ZERO), |question| {
        if let Answer::Proof(proof) = question {
            proof.storage_proof[0].key = U256::from(1);
        }
    });
    assert_eq!(what, format!("slot 0x0 of {asked}: a proof of slot 0x1"));
    let what = refused(&node, &verified, Read::Slot(asked, U256::ZERO), |question| {
        if let Answer::Proof(proof) = question {
            proof.storage_proof.clear();
        }
    });
    assert_eq!(what, format!("account {asked}: 0 slots, expected 1"));
}

#[test]
fn many_slots_are_proven_in_parts() {
    let (node, verified) = verified(StoreNode::new());
    let address = account(38);
    let reads: Vec<_> = (0..1000).map(|slot| Read::Slot(address, U256::from(slot))).collect();
    let found = verified.fetch(&reads).unwrap();
    assert_eq!(found, node.fetch(&reads).unwrap());
    let nothing_after = verified.prove(&[ProofRequest { address, slots: Vec::new() }]).unwrap();
    assert!(nothing_after[0].storage_proof.is_empty());
}
