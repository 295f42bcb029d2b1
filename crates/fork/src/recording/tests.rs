//! Recordings survive bytes, in one form, and nothing else does.

use std::{path::Path, sync::Arc};

use proptest::{collection, option, prelude::*, sample::Index};
use zvm_core::{
    AccountInfo, BlockId, DbError, EMPTY_ROOT, Header, Log, SignedTransaction, SigningKey, SpecId,
    UnsignedTransaction, compact::CompactError, rlp::Rlp,
};

use zvm_trie::ordered_root;

use super::*;
use crate::{
    ProofRequest, ReportedOutcome, Source,
    testing::{Answer, StoreNode, account, state},
};

fn word() -> impl Strategy<Value = U256> {
    prop_oneof![
        Just(U256::ZERO),
        (any::<[u8; 32]>(), 0..256_usize)
            .prop_map(|(bytes, shift)| U256::from_be_bytes(bytes) >> shift),
    ]
}

fn hash() -> impl Strategy<Value = B256> {
    any::<[u8; 32]>().prop_map(B256::from)
}

/// A read of few things, so that they meet, with the one answer it has.
fn read() -> impl Strategy<Value = (Read, Found)> {
    let address = || any::<u8>().prop_map(|byte| Address::repeat_byte(byte % 8));
    prop_oneof![
        address().prop_map(|address| {
            let byte = u64::from(address[0]);
            let code_hash = if byte % 2 == 0 { KECCAK_EMPTY } else { B256::repeat_byte(7) };
            let root =
                [None, Some(EMPTY_ROOT), Some(B256::repeat_byte(9))][address[0] as usize % 3];
            let info = AccountInfo { nonce: byte << 7, balance: U256::from(byte), code_hash };
            let account = RemoteAccount { info, storage_root: root };
            (Read::Account(address), Found::Account((byte != 5).then_some(account)))
        }),
        (address(), word()).prop_map(|(address, slot)| {
            (Read::Slot(address, slot), Found::Word(slot.wrapping_mul(slot)))
        }),
        collection::vec(any::<u8>(), 0..200).prop_map(|code| {
            (Read::Code(keccak256(&code), Address::ZERO), Found::Code(code.into()))
        }),
        (0..40_u64).prop_map(|number| {
            (Read::BlockHash(number << 7), Found::BlockHash(B256::repeat_byte(number as u8)))
        }),
    ]
}

fn origin() -> impl Strategy<Value = Origin> {
    let spec = option::of((0..SpecId::ALL.len()).prop_map(|index| SpecId::ALL[index]));
    (any::<u64>(), any::<u64>(), hash(), spec, any::<bool>()).prop_map(
        |(chain_id, number, hash, spec, is_verified)| {
            let header = Header { number, base_fee_per_gas: Some(7), ..Header::default() };
            Origin { chain_id, block: BlockId { number, hash }, header, spec, is_verified }
        },
    )
}

/// A transaction of the block after `parent`, which has `count`.
fn placed(parent: B256, count: u64, index: usize, gas_used: u64) -> PlacedTransaction {
    let key = SigningKey::new(&[7; 32]).unwrap();
    let sign = |nonce| UnsignedTransaction { nonce, ..Default::default() }.sign(&key);
    let transactions: Vec<_> = (0..count).map(sign).collect();
    let encoded: Vec<_> = transactions.iter().map(SignedTransaction::encode_2718).collect();
    let (number, transactions_root) = (9, ordered_root(&encoded));
    let header = Header { number, parent_hash: parent, transactions_root, ..Header::default() };
    let log = Log::new_unchecked(Address::ZERO, vec![parent], vec![1; index].into());
    let succeeded = [None, Some(false), Some(true)][index % 3];
    let outcome = ReportedOutcome { succeeded, gas_used, logs: vec![log; index] };
    PlacedTransaction::new(header, transactions, index, outcome).unwrap()
}

fn recording() -> impl Strategy<Value = Recording> {
    let nodes = collection::vec(collection::vec(any::<u8>(), 0..60), 0..4);
    let next = collection::vec(0..4_usize, 0..3);
    (origin(), collection::vec(read(), 0..20), nodes, next).prop_map(
        |(origin, reads, nodes, next)| {
            let parent = origin.block.hash;
            let mut recording = Recording::new(origin);
            for index in next {
                recording.insert_transaction(&placed(parent, 4, index, 21_000)).expect("one block");
            }
            for (read, found) in reads {
                recording.insert(read, &found).expect("one answer to each read");
            }
            nodes.into_iter().for_each(|node| recording.insert_node(node.into()));
            recording
        },
    )
}

/// Puts the right checksum behind bytes.
fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    let checksum = keccak256(&bytes);
    bytes.extend_from_slice(checksum.as_slice());
    bytes
}

proptest! {
    #[test]
    fn recordings_survive_bytes(recording in recording()) {
        prop_assert_eq!(Recording::decode(&recording.encode()), Ok(recording));
    }

    #[test]
    fn the_order_of_reads_does_not_show(
        origin in origin(),
        reads in collection::vec(read(), 0..20),
    ) {
        let record = |reads: &mut dyn Iterator<Item = &(Read, Found)>| {
            let mut recording = Recording::new(origin.clone());
            reads.for_each(|(read, found)| recording.insert(*read, found).unwrap());
            recording.encode()
        };
        let forward = record(&mut reads.iter());
        prop_assert_eq!(&forward, &record(&mut reads.iter().rev()));
        prop_assert_eq!(&forward, &record(&mut reads.iter().chain(&reads)));
    }

    #[test]
    fn everything_inserted_is_there(origin in origin(), reads in collection::vec(read(), 0..20)) {
        let mut recording = Recording::new(origin);
        for (read, found) in &reads {
            recording.insert(*read, found).unwrap();
        }
        for (read, found) in &reads {
            let kept = recording.get(read);
            prop_assert_eq!(kept.as_ref(), Some(found));
        }
        for read in recording.reads() {
            prop_assert!(recording.get(&read).is_some());
        }
    }

    #[test]
    fn changed_and_cut_files_are_refused(
        recording in recording(),
        at in any::<Index>(),
        flip in 1_u8..,
    ) {
        let mut bytes = recording.encode();
        let at = at.index(bytes.len());
        prop_assert!(Recording::decode(&bytes[..at]).is_err());
        bytes[at] ^= flip;
        prop_assert!(Recording::decode(&bytes).is_err());
    }

    #[test]
    fn what_decodes_is_written_in_the_same_bytes(
        recording in recording(),
        at in any::<Index>(),
        to in any::<u8>(),
    ) {
        // With the checksum made good, so that the rest is looked at.
        let mut bytes = recording.encode();
        bytes.truncate(bytes.len() - 32);
        let at = at.index(bytes.len());
        bytes[at] = to;
        let bytes = sealed(bytes);
        match Recording::decode(&bytes) {
            Ok(recording) => prop_assert_eq!(recording.encode(), bytes),
            Err(RecordingError::Form(CompactError::Invalid { offset, .. })) => {
                prop_assert!(offset <= bytes.len() - 32);
            }
            Err(_) => {}
        }
    }

    #[test]
    fn merging_is_recording_both(
        origin in origin(),
        reads in collection::vec(read(), 0..20),
        cut in any::<Index>(),
    ) {
        let record = |reads: &[(Read, Found)]| {
            let mut recording = Recording::new(origin.clone());
            reads.iter().for_each(|(read, found)| recording.insert(*read, found).unwrap());
            recording
        };
        let (one, other) = reads.split_at(cut.index(reads.len() + 1));
        let (one, other) = (record(one), record(other));
        let whole = record(&reads);
        prop_assert_eq!(one.clone().merge(&other), Ok(whole.clone()));
        prop_assert_eq!(other.merge(&one), Ok(whole.clone()));
        prop_assert_eq!(whole.clone().merge(&whole), Ok(whole));
    }
}

#[test]
fn transactions_of_the_next_block_are_recorded_and_of_no_other() {
    let parent = B256::repeat_byte(1);
    let block = BlockId { number: 8, hash: parent };
    let origin = Origin {
        chain_id: 1,
        block,
        header: Header { number: 8, ..Header::default() },
        spec: None,
        is_verified: false,
    };
    let with = |placed: &PlacedTransaction| {
        let mut recording = Recording::new(origin.clone());
        recording.insert_transaction(placed).map(|()| recording)
    };
    let (first, second) = (placed(parent, 3, 0, 5), placed(parent, 3, 2, 6));
    let foreign = placed(B256::ZERO, 3, 1, 5);
    let recording = with(&first).unwrap().merge(&with(&second).unwrap()).unwrap();
    let recording = recording.merge(&with(&foreign).unwrap()).unwrap();
    let replay = Replay::new(recording.clone(), Path::new("x.fork"));
    for known in [&first, &second] {
        assert_eq!(&replay.transaction(known.hash()).unwrap(), known);
    }
    // It is in the block, and nobody asked what came of it.
    let error = replay.transaction(placed(parent, 3, 1, 5).hash()).unwrap_err();
    assert!(error.to_string().contains("x.fork: not recorded: transaction 0x"), "{error}");
    for (other, expected) in [
        (placed(parent, 4, 0, 5), "two blocks for block 9"),
        (placed(parent, 3, 0, 6), "two receipts for block 9"),
    ] {
        let error = recording.clone().merge(&with(&other).unwrap()).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
    // Without one, it is what it was before there were any.
    assert_eq!((Recording::new(origin).encode()[8], recording.encode()[8]), (1, 2));
}

#[test]
fn a_next_block_that_cannot_be_is_no_proof_of_anything() {
    let origin = StoreNode::new().origin().clone();
    let good = placed(origin.block.hash, 3, 1, 5);
    let mut recording = Recording::new(origin);
    recording.insert_transaction(&good).unwrap();
    recording.verify().unwrap();
    // Bytes of a transaction are others: another root than that of the header.
    let bytes = recording.encode();
    let encoded = good.transactions()[0].encode_2718();
    let at = bytes.windows(encoded.len()).position(|part| part == encoded).unwrap();
    let mut altered = bytes[..bytes.len() - 32].to_vec();
    altered[at + encoded.len() - 1] ^= 1;
    let altered = Recording::decode(&sealed(altered)).unwrap();
    let error = altered.verify().unwrap_err().to_string();
    assert!(error.contains("block 9: its transactions have root"), "{error}");
    let replay = Replay::new(altered, Path::new("x.fork"));
    let error = replay.transaction(good.hash()).unwrap_err();
    assert!(matches!(error, DbError::Corrupt { .. }), "{error:?}");
}

fn recorder() -> (Arc<StoreNode>, Recorder) {
    let node = Arc::new(StoreNode::new());
    (node.clone(), Recorder::new(node))
}

/// Reads of the accounts from `first` to `last`, with their slots and code.
fn reads(first: u64, last: u64) -> Vec<Read> {
    let mut reads = vec![Read::BlockHash(298)];
    for index in first..=last {
        let address = account(index);
        reads.push(Read::Account(address));
        let Some(change) = state().accounts.remove(&address) else { continue };
        reads.extend(change.storage.keys().map(|slot| Read::Slot(address, *slot)));
        let hash = change.new.expect("accounts are only added").code_hash;
        if hash != KECCAK_EMPTY {
            reads.push(Read::Code(hash, address));
        }
    }
    reads
}

#[test]
fn what_was_recorded_replays_and_nothing_else() {
    let (node, recorder) = recorder();
    let reads = reads(0, 45);
    let found = recorder.fetch(&reads).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.fork");
    recorder.recording().write(&path).unwrap();
    let replay = Replay::open(&path).unwrap();
    assert_eq!(replay.origin(), node.origin());
    assert_eq!(replay.fetch(&reads).unwrap(), found);
    assert_eq!(replay.fetch(&replay.recording().reads()).unwrap().len(), reads.len());

    let missing = Read::Slot(account(2), U256::from(1000));
    let error = replay.fetch(&[reads[1], missing]).unwrap_err();
    let expected = format!("{}: not recorded: slot 0x3e8 of {}", path.display(), account(2));
    assert_eq!(error.to_string(), expected);
    for missing in [Read::Account(account(50)), Read::BlockHash(7)] {
        let error = replay.fetch(&[missing]).unwrap_err();
        assert!(matches!(&error, DbError::NotRecorded { .. }), "{error}");
        assert!(error.to_string().ends_with(&missing.to_string()), "{error}");
    }
}

#[test]
fn proofs_come_along_and_hold() {
    let (node, recorder) = recorder();
    recorder.fetch(&reads(0, 45)).unwrap();
    let recording = recorder.recording_with_proofs().unwrap();
    let proven = recording.verify().unwrap();
    let size = recording.size();
    assert_eq!(
        proven,
        Proven {
            accounts: size.accounts,
            slots: size.slots,
            codes: size.codes,
            block_hashes: 1,
            unproven: 0,
        }
    );
    let replay = Replay::new(Recording::decode(&recording.encode()).unwrap(), Path::new("x.fork"));
    let request = ProofRequest { address: account(8), slots: vec![U256::ZERO, U256::from(3)] };
    let absent = ProofRequest { address: account(44), slots: Vec::new() };
    let requests = [request, absent];
    assert_eq!(replay.prove(&requests).unwrap(), node.prove(&requests).unwrap());
    let unknown = ProofRequest { address: account(8), slots: vec![U256::from(77)] };
    let error = replay.prove(&[unknown]);
    // Whether a proof is there depends on the nodes on the way; it is never a wrong one.
    if let Err(error) = error {
        assert!(error.to_string().contains("proof of slot 0x4d"), "{error}");
    }
}

#[test]
fn lies_in_a_recording_are_named() {
    let (_, recorder) = recorder();
    recorder.fetch(&reads(0, 10)).unwrap();
    let recording = recorder.recording_with_proofs().unwrap();

    let mut lie = recording.clone();
    let slots = lie.slots.get_mut(&account(8)).unwrap();
    *slots.get_mut(&U256::from(3)).unwrap() += U256::from(1);
    let error = lie.verify().unwrap_err().to_string();
    assert!(error.starts_with(&format!("slot 0x3 of {}: recorded as", account(8))), "{error}");

    let mut lie = recording.clone();
    lie.accounts.get_mut(&account(8)).unwrap().as_mut().unwrap().info.nonce += 1;
    let error = lie.verify().unwrap_err().to_string();
    assert!(error.starts_with(&format!("account {}: recorded as nonce 9", account(8))), "{error}");

    let mut lie = recording.clone();
    lie.accounts.insert(account(8), None);
    assert!(matches!(lie.verify(), Err(VerifyError::Differs { .. })));

    let mut lie = recording.clone();
    lie.origin.header.timestamp += 1;
    assert!(matches!(lie.verify(), Err(VerifyError::Header { .. })));

    let mut lie = recording.clone();
    lie.block_hashes.insert(298, B256::ZERO);
    let error = lie.verify().unwrap_err().to_string();
    assert!(error.starts_with("hash of block 298: recorded as"), "{error}");

    // Without nodes nothing is proven, and nothing is wrong.
    let mut bare = recording;
    bare.nodes = NodeSet::default();
    let proven = bare.verify().unwrap();
    assert_eq!((proven.accounts, proven.slots, proven.block_hashes), (0, 0, 1));
}

#[test]
fn a_node_that_changes_its_mind_is_not_recorded() {
    let (node, recorder) = recorder();
    let read = Read::Slot(account(2), U256::from(1));
    recorder.fetch(&[read]).unwrap();
    node.tamper(|answer| {
        if let Answer::Found(Found::Word(word)) = answer {
            *word += U256::from(1);
        }
    });
    let error = recorder.fetch(&[read]).unwrap_err().to_string();
    let expected = format!("store:: two answers to one read: slot 0x1 of {}: ", account(2));
    assert!(error.starts_with(&expected), "{error}");
}

#[test]
fn recordings_of_different_states_do_not_merge() {
    let (_, recorder) = recorder();
    recorder.fetch(&reads(0, 3)).unwrap();
    let ours = recorder.recording();
    let fault = |change: fn(&mut Recording)| {
        let mut theirs = ours.clone();
        change(&mut theirs);
        ours.clone().merge(&theirs).unwrap_err().to_string()
    };
    assert_eq!(
        fault(|theirs| theirs.origin.chain_id = 1),
        "one recording is of chain 31337, the other of chain 1"
    );
    let error = fault(|theirs| theirs.origin.block.hash = B256::ZERO);
    assert!(error.starts_with("one recording is of block 299 (0x"), "{error}");
    assert!(error.ends_with(&format!("the other of block 299 ({})", B256::ZERO)), "{error}");
    assert_eq!(
        fault(|theirs| theirs.origin.spec = Some(SpecId::OSAKA)),
        "the recordings have two hard forks for block 299"
    );
    assert_eq!(
        fault(|theirs| {
            theirs.slots.get_mut(&account(2)).unwrap().insert(U256::ZERO, U256::ZERO);
        }),
        format!(
            "slot 0x0 of {}: {:#x} at first, and then 0x0",
            account(2),
            ours.slots[&account(2)][&U256::ZERO]
        )
    );
    // Verified is what both are.
    let mut verified = ours.clone();
    verified.origin.is_verified = true;
    assert!(!ours.clone().merge(&verified).unwrap().origin.is_verified);
    assert!(verified.clone().merge(&verified).unwrap().origin.is_verified);
}

#[test]
fn damaged_files_are_named_with_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.fork");
    let (_, recorder) = recorder();
    let bytes = recorder.recording().encode();
    let error = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        let error = Recording::read(&path).unwrap_err().to_string();
        error.strip_prefix(&format!("{}: ", path.display())).unwrap().to_owned()
    };
    assert_eq!(error(b"{}"), r#"damaged: no recording: expected "zvmfork\0" at the beginning"#);
    #[cfg(unix)]
    assert!(
        Recording::read(Path::new("/dev/zero")).unwrap_err().to_string().contains("no recording")
    );
    let mut newer = bytes.clone();
    newer[8] = 3;
    assert_eq!(error(&newer), "format 3 is newer than format 2, the last this program knows");
    let mut flipped = bytes.clone();
    flipped[100] ^= 1;
    assert!(error(&flipped).starts_with("damaged: checksum 0x"));
    let mut trailing = bytes[..bytes.len() - 32].to_vec();
    trailing.push(0);
    let end = trailing.len() - 1;
    assert_eq!(error(&sealed(trailing)), format!("damaged: byte {end}: expected the end"));
    std::fs::remove_file(&path).unwrap();
    let error = Recording::read(&path).unwrap_err();
    assert!(matches!(error, DbError::Io { .. }), "{error}");
}

#[test]
fn the_form_is_the_one_documented() {
    let header = Header { number: 300, ..Header::default() };
    let block = BlockId { number: 300, hash: B256::repeat_byte(0xaa) };
    let spec = Some(SpecId::OSAKA);
    let origin = Origin { chain_id: 300, block, header: header.clone(), spec, is_verified: true };
    let mut recording = Recording::new(origin);
    let address = Address::repeat_byte(0xa1);
    let info = AccountInfo { nonce: 300, balance: U256::from(0x0102), code_hash: KECCAK_EMPTY };
    let account = RemoteAccount { info, storage_root: Some(EMPTY_ROOT) };
    recording.insert(Read::Account(address), &Found::Account(Some(account))).unwrap();
    let slot = Read::Slot(address, U256::from(1));
    recording.insert(slot, &Found::Word(U256::ZERO)).unwrap();
    let code = Bytes::from_static(&[0x5b]);
    let read = Read::Code(keccak256(&code), address);
    recording.insert(read, &Found::Code(code)).unwrap();
    let hash = B256::repeat_byte(0xbb);
    recording.insert(Read::BlockHash(299), &Found::BlockHash(hash)).unwrap();
    recording.insert_node(Bytes::from_static(&[0x80]));

    let header = header.encode();
    let mut expected = b"zvmfork\0".to_vec();
    expected.extend([1, 1, 0xac, 0x02, 5]);
    expected.extend(b"Osaka");
    expected.extend([0xaa; 32]);
    varint_of(&mut expected, header.len());
    expected.extend(header);
    expected.push(1);
    expected.extend([0xa1; 20]);
    expected.extend([1 | 4, 0xac, 0x02, 2, 1, 2]); // flags, nonce, balance
    expected.push(1);
    expected.extend([0xa1; 20]);
    expected.extend([1, 1, 1, 0]); // one slot, 1, with zero
    expected.extend([1, 1, 0x5b]);
    expected.extend([1, 0xab, 0x02]);
    expected.extend([0xbb; 32]);
    expected.extend([1, 1, 0x80]);
    assert_eq!(recording.encode(), sealed(expected));
}

fn varint_of(out: &mut Vec<u8>, length: usize) {
    zvm_core::varint::write(out, length as u64);
}
