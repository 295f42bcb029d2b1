//! What is kept is found again, and nothing else is.

use std::{fs, path::Path, thread};

use proptest::{collection, prelude::*, sample::Index};
use zvm_core::{AccountInfo, B256, KECCAK_EMPTY, U256, keccak256};

use super::*;
use crate::{
    RemoteAccount, Verified,
    testing::{Answer, StoreNode, account, code},
};

const ENDPOINT: &str = "https://a.example/key";

/// Some of everything.
fn reads() -> Vec<Read> {
    let mut reads = vec![Read::BlockHash(298), Read::BlockHash(7)];
    for index in 30..44 {
        let address = account(index);
        reads.push(Read::Account(address));
        reads.extend((0..9).map(|slot| Read::Slot(address, U256::from(slot))));
        if index < 40 && index % 2 == 0 {
            reads.push(Read::Code(keccak256(code(index)), address));
        }
    }
    reads
}

fn kept(node: &Arc<StoreNode>, folder: &Path, endpoint: &str) -> Kept {
    let cache = DiskCache::open(folder, 1 << 30).unwrap();
    Kept::new(node.clone(), Kept::MEMORY_BYTES).with_disk(cache, endpoint)
}

/// A node, and a folder with all it has said.
fn warm() -> (Arc<StoreNode>, tempfile::TempDir, Vec<Found>) {
    let node = Arc::new(StoreNode::new());
    let folder = tempfile::tempdir().unwrap();
    let kept = kept(&node, folder.path(), ENDPOINT);
    let found = kept.fetch(&reads()).unwrap();
    assert_eq!(kept.stats().fetched, reads().len() as u64);
    assert!(kept.disk_fault().is_none());
    (node, folder, found)
}

fn requests(node: &StoreNode) -> usize {
    node.requests.load(Ordering::Relaxed)
}

/// The one file with answers.
fn state_file(folder: &Path) -> std::path::PathBuf {
    let mut files = fs::read_dir(folder.join("fork-v1/state")).unwrap();
    let file = files.next().unwrap().unwrap().path();
    assert!(files.next().is_none());
    file
}

#[test]
fn nothing_is_asked_twice() {
    let (node, folder, found) = warm();
    assert_eq!(requests(&node), 1);
    let again = kept(&node, folder.path(), ENDPOINT);
    assert_eq!(again.fetch(&reads()).unwrap(), found);
    for (read, found) in reads().iter().zip(&found) {
        assert_eq!(again.known(read).as_ref(), Some(found), "{read}");
        assert_eq!(again.fetch(&[*read, *read]).unwrap(), [found.clone(), found.clone()]);
    }
    assert_eq!(requests(&node), 1);
    let stats = again.stats();
    assert_eq!((stats.disk, stats.fetched), (reads().len() as u64, 0));

    let new = Read::Slot(account(2), U256::from(50));
    assert_eq!(again.known(&new), None);
    again.fetch(&[reads()[3], new, new]).unwrap();
    assert_eq!((requests(&node), again.stats().fetched), (2, 1));
}

#[test]
fn what_was_proven_once_is_proven_without_asking() {
    let node = Arc::new(StoreNode::new());
    let folder = tempfile::tempdir().unwrap();
    let slots: Vec<_> = (0..20).map(U256::from).collect();
    let mut requests: Vec<_> = (0..44)
        .map(|index| ProofRequest { address: account(index), slots: slots.clone() })
        .collect();
    let asked = || node.requests.load(Ordering::Relaxed);
    let first = kept(&node, folder.path(), ENDPOINT);
    let proofs = node.prove(&requests).unwrap();
    assert_eq!((first.prove(&requests).unwrap(), asked()), (proofs.clone(), 2));
    // From memory, and from disk; also parts of it, and in another order.
    for kept in [first, kept(&node, folder.path(), ENDPOINT)] {
        assert_eq!(kept.prove(&requests).unwrap(), proofs);
        assert!(kept.disk_fault().is_none());
    }
    requests.reverse();
    requests.iter_mut().for_each(|request| request.slots.truncate(3));
    let again = kept(&node, folder.path(), ENDPOINT);
    assert_eq!(again.prove(&requests).unwrap().len(), 44);
    assert_eq!(asked(), 2);
    // What is new is asked for, where nodes that are known do not show it.
    requests.iter_mut().for_each(|request| request.slots.extend((20..50).map(U256::from)));
    let proofs = again.prove(&requests).unwrap();
    assert_eq!(asked(), 3);
    assert_eq!(proofs, node.prove(&requests).unwrap());
}

#[test]
fn an_altered_proof_is_as_if_it_had_never_been_there() {
    let node = Arc::new(StoreNode::new());
    let folder = tempfile::tempdir().unwrap();
    let request = ProofRequest { address: account(8), slots: vec![U256::from(3)] };
    node.tamper(|answer| {
        if let Answer::Proof(proof) = answer {
            let mut node = proof.account_proof[0].to_vec();
            node[9] ^= 1;
            proof.account_proof[0] = node.into();
        }
    });
    let bad = kept(&node, folder.path(), ENDPOINT).prove(std::slice::from_ref(&request)).unwrap();
    node.repent();
    let kept = kept(&node, folder.path(), ENDPOINT);
    let good = kept.prove(std::slice::from_ref(&request)).unwrap();
    assert_ne!(good, bad);
    assert_eq!(good, node.prove(&[request]).unwrap());
}

#[test]
fn endpoints_and_verified_answers_do_not_mix() {
    let (node, folder, _) = warm();
    kept(&node, folder.path(), "https://b.example/key").fetch(&reads()).unwrap();
    assert_eq!(requests(&node), 2);
    let verified: Arc<dyn Source> = Arc::new(Verified::new(node.clone()).unwrap());
    let through = |endpoint| {
        let cache = DiskCache::open(folder.path(), 1 << 30).unwrap();
        let kept = Kept::new(verified.clone(), Kept::MEMORY_BYTES).with_disk(cache, endpoint);
        kept.fetch(&reads()).unwrap();
        kept.stats().fetched
    };
    // Code is the same everywhere.
    let codes = reads().iter().filter(|read| matches!(read, Read::Code(..))).count();
    assert_eq!(through(ENDPOINT), (reads().len() - codes) as u64);
    // Of verified answers it does not matter whose they were.
    assert_eq!(through("https://c.example"), 0);
}

#[test]
fn a_failure_is_not_kept() {
    let node = Arc::new(StoreNode::new());
    let folder = tempfile::tempdir().unwrap();
    let kept = kept(&node, folder.path(), ENDPOINT);
    let read = Read::Slot(account(2), U256::from(1));
    assert!(kept.fetch(&[read, Read::BlockHash(1000)]).is_err());
    assert_eq!(kept.known(&read), None);
    kept.fetch(&[read]).unwrap();
    assert_eq!(kept.stats().fetched, 1);
}

#[test]
fn whoever_holds_the_file_for_good_holds_up_nobody() {
    let (node, folder, found) = warm();
    let other = fs::File::open(state_file(folder.path())).unwrap();
    other.lock().unwrap();
    let kept = kept(&node, folder.path(), ENDPOINT);
    assert_eq!(kept.fetch(&reads()).unwrap(), found);
    let new = |slot: u64| Read::Slot(account(2), U256::from(slot));
    kept.fetch(&[new(50)]).unwrap();
    let fault = kept.disk_fault().unwrap().to_string();
    assert!(fault.contains("another process does not let go of it"), "{fault}");
    // It is in memory all the same, and what follows is kept once the other is gone.
    assert!(kept.known(&new(50)).is_some());
    drop(other);
    kept.fetch(&[new(51)]).unwrap();
    assert!(kept.disk_fault().is_none());
}

#[test]
fn a_file_cut_at_any_byte_gives_what_is_whole_and_is_whole_again() {
    let (node, folder, found) = warm();
    let path = state_file(folder.path());
    let bytes = fs::read(&path).unwrap();
    for cut in (0..bytes.len()).step_by(53).chain([0, 1, 7, 8, 9, 15, 16, bytes.len() - 1]) {
        fs::write(&path, &bytes[..cut]).unwrap();
        let again = kept(&node, folder.path(), ENDPOINT);
        assert_eq!(again.fetch(&reads()).unwrap(), found, "cut at {cut}");
        assert!(again.disk_fault().is_none());
        let third = kept(&node, folder.path(), ENDPOINT);
        assert_eq!(third.fetch(&reads()).unwrap(), found, "cut at {cut}");
        assert_eq!(third.stats().fetched, 0, "cut at {cut}");
    }
}

#[test]
fn a_damaged_byte_costs_a_request_and_no_more() {
    let (node, folder, found) = warm();
    let path = state_file(folder.path());
    let bytes = fs::read(&path).unwrap();
    for at in (0..bytes.len()).step_by(97) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1 << (at % 8);
        fs::write(&path, &damaged).unwrap();
        let again = kept(&node, folder.path(), ENDPOINT);
        assert_eq!(again.fetch(&reads()).unwrap(), found, "damaged at {at}");
        assert!(again.stats().fetched > 0, "damaged at {at}");
        let third = kept(&node, folder.path(), ENDPOINT);
        assert_eq!(third.fetch(&reads()).unwrap(), found, "damaged at {at}");
        assert_eq!(third.stats().fetched, 0, "damaged at {at}");
    }
}

#[test]
fn damage_under_an_open_cache_is_noticed() {
    let (node, folder, found) = warm();
    let cache = DiskCache::open(folder.path(), 1 << 30).unwrap();
    // No memory to speak of: everything comes from disk.
    let open = Kept::new(node.clone(), 1).with_disk(cache, ENDPOINT);
    assert_eq!(open.fetch(&reads()).unwrap(), found);
    let path = state_file(folder.path());
    let mut bytes = fs::read(&path).unwrap();
    for at in (20..bytes.len()).step_by(11) {
        bytes[at] ^= 1;
    }
    fs::write(&path, &bytes).unwrap();
    assert_eq!(open.fetch(&reads()).unwrap(), found);
    fs::remove_file(&path).unwrap();
    assert_eq!(open.fetch(&reads()).unwrap(), found);
    open.fetch(&[Read::Slot(account(2), U256::from(50))]).unwrap();
    assert!(path.exists());
}

#[test]
fn damaged_code_is_fetched_anew() {
    let (node, folder, _) = warm();
    let hash = keccak256(code(32));
    let name = zvm_core::hex::encode(hash);
    let path = folder.path().join("fork-v1/code").join(&name[..2]).join(&name);
    fs::write(&path, b"something else").unwrap();
    let again = kept(&node, folder.path(), ENDPOINT);
    let found = again.fetch(&[Read::Code(hash, account(32))]).unwrap();
    assert_eq!(found, [Found::Code(code(32))]);
    assert_eq!(fs::read(&path).unwrap(), code(32));
}

#[test]
fn wrong_code_is_not_kept() {
    let node = Arc::new(StoreNode::new());
    let folder = tempfile::tempdir().unwrap();
    let read = Read::Code(keccak256(code(32)), account(32));
    node.tamper(|answer| {
        if let Answer::Found(Found::Code(code)) = answer {
            *code = b"something else".into();
        }
    });
    kept(&node, folder.path(), ENDPOINT).fetch(&[read]).unwrap();
    node.repent();
    let found = kept(&node, folder.path(), ENDPOINT).fetch(&[read]).unwrap();
    assert_eq!(found, [Found::Code(code(32))]);
}

#[test]
fn caches_in_one_folder_learn_from_each_other() {
    let node = Arc::new(StoreNode::new());
    let folder = tempfile::tempdir().unwrap();
    let reads = reads();
    let expected = node.fetch(&reads).unwrap();
    let caches: Vec<_> = (0..4).map(|_| kept(&node, folder.path(), ENDPOINT)).collect();
    thread::scope(|scope| {
        for (offset, kept) in caches.iter().enumerate() {
            let (reads, expected) = (&reads, &expected);
            scope.spawn(move || {
                for at in 0..reads.len() {
                    let at = (at + offset * reads.len() / 4) % reads.len();
                    assert_eq!(kept.fetch(&[reads[at]]).unwrap(), [expected[at].clone()]);
                }
            });
        }
    });
    let fetched: u64 = caches.iter().map(|kept| kept.stats().fetched).sum();
    // Each found most of what the others had fetched; only by chance two fetch the same.
    assert!(fetched < 2 * reads.len() as u64, "{fetched} of {}", reads.len());
    let last = kept(&node, folder.path(), ENDPOINT);
    assert_eq!(last.fetch(&reads).unwrap(), expected);
    assert_eq!(last.stats().fetched, 0);
}

#[test]
fn the_folder_stays_within_its_bytes() {
    let node = Arc::new(StoreNode::new());
    let folder = tempfile::tempdir().unwrap();
    let cache = DiskCache::open(folder.path(), 20_000).unwrap();
    for endpoint in 0..10 {
        let endpoint = format!("https://{endpoint}.example");
        let kept = Kept::new(node.clone(), 1).with_disk(cache.clone(), &endpoint);
        for read in reads() {
            kept.fetch(&[read]).unwrap();
        }
    }
    cache.prune().unwrap();
    let mut bytes = 0;
    let mut folders = vec![folder.path().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            match entry.metadata().unwrap() {
                metadata if metadata.is_dir() => folders.push(entry.path()),
                metadata => bytes += metadata.len(),
            }
        }
    }
    assert!(bytes <= 20_000, "{bytes}");
}

#[test]
fn a_folder_that_cannot_be_written_to_is_named_and_does_no_harm() {
    let (node, folder, found) = warm();
    let path = state_file(folder.path());
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    let kept = kept(&node, folder.path(), ENDPOINT);
    assert_eq!(kept.fetch(&reads()).unwrap(), found);
    let fault = kept.disk_fault().unwrap().to_string();
    assert!(fault.starts_with(&format!("{}: cannot", path.display())), "{fault}");
    assert!(kept.disk_fault().is_none());
}

#[test]
fn origins_and_numbers_are_kept_by_endpoint() {
    let node = StoreNode::new();
    let origin = node.origin();
    let hash = origin.block.hash;
    let folder = tempfile::tempdir().unwrap();
    let cache = DiskCache::open(folder.path(), 1 << 20).unwrap();
    assert_eq!(cache.origin(hash, ENDPOINT), None);
    cache.put_origin(origin, ENDPOINT).unwrap();
    assert_eq!(cache.origin(hash, ENDPOINT).as_ref(), Some(origin));
    assert_eq!(cache.origin(hash, "https://b.example"), None);
    let mut lie = origin.clone();
    lie.header.timestamp += 1;
    cache.put_origin(&lie, ENDPOINT).unwrap();
    assert_eq!(cache.origin(hash, ENDPOINT), None);

    cache.put_number(1, 299, hash, ENDPOINT).unwrap();
    assert_eq!(cache.number(1, 299, ENDPOINT), Some(hash));
    assert_eq!(cache.number(1, 298, ENDPOINT), None);
    assert_eq!(cache.number(2, 299, ENDPOINT), None);
    let path = fs::read_dir(folder.path().join("fork-v1/number")).unwrap().next().unwrap();
    let path = path.unwrap().path();
    let mut bytes = fs::read(&path).unwrap();
    bytes[5] ^= 1;
    fs::write(&path, bytes).unwrap();
    assert_eq!(cache.number(1, 299, ENDPOINT), None);
}

/// A read that goes into the file of a state, and an answer.
fn answer() -> impl Strategy<Value = (Read, Found)> {
    let address = || any::<[u8; 20]>().prop_map(Address::from);
    let hash = || any::<[u8; 32]>().prop_map(B256::from);
    let word = || {
        (any::<[u8; 32]>(), 0..257_usize).prop_map(|(bytes, shift)| {
            U256::from_be_bytes(bytes).checked_shr(shift).unwrap_or_default()
        })
    };
    let info = (any::<u64>(), word(), prop_oneof![Just(KECCAK_EMPTY), hash()])
        .prop_map(|(nonce, balance, code_hash)| AccountInfo { nonce, balance, code_hash });
    let account = (info, proptest::option::of(hash()))
        .prop_map(|(info, storage_root)| RemoteAccount { info, storage_root });
    prop_oneof![
        (address(), proptest::option::of(account))
            .prop_map(|(address, account)| (Read::Account(address), Found::Account(account))),
        (address(), word(), word())
            .prop_map(|(address, slot, word)| (Read::Slot(address, slot), Found::Word(word))),
        (any::<u64>(), hash())
            .prop_map(|(number, hash)| (Read::BlockHash(number), Found::BlockHash(hash))),
    ]
}

proptest! {
    #[test]
    fn records_have_one_form((read, found) in answer(), at in any::<Index>(), to: u8) {
        let mut bytes = Vec::new();
        let record = Record::Answer(read, found);
        record.write(&mut bytes);
        prop_assert_eq!(Record::read(&bytes), Ok(record));
        let at = at.index(bytes.len());
        bytes[at] = to;
        if let Ok(record) = Record::read(&bytes) {
            let mut again = Vec::new();
            record.write(&mut again);
            prop_assert_eq!(again, bytes);
        }
    }

    #[test]
    fn any_bytes_are_read_as_a_record_without_panic(bytes in collection::vec(any::<u8>(), 0..200)) {
        let _ = Record::read(&bytes);
    }
}
