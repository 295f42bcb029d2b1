//! Proofs, damaged in all sorts of ways. Each must be refused, or say what is true.
//!
//! Used by the tests, in a small number of cases, and by the example `mutate_proofs` in any number.

use std::{collections::BTreeMap, ops::ControlFlow};

use alloy_primitives::Bytes;
use zvm_core::{AccountInfo, Address, B256, DbError, EMPTY_ROOT, KECCAK_EMPTY, U256, keccak256};
use zvm_trie::{
    AccountProof, AccountProofError, Branch, LeafVisitor, Nibbles, NodeError, ProofError,
    StorageProof, TrieReader, encode_account, encode_word, prove_many, trie_root, verify_proof,
};

/// Counts by what was done and what came of it.
pub(crate) type Tally = BTreeMap<(&'static str, String), u64>;

/// Makes `cases` damaged proofs and checks every one.
///
/// # Panics
///
/// If a proof is accepted that says something wrong.
pub(crate) fn run(cases: u64, seed: u64) -> Tally {
    let mut random = Random(seed);
    let tries = [Trie::hashed(&mut random), Trie::crowded(&mut random)];
    let accounts = accounts(&mut random);
    let mut tally = Tally::new();
    for _ in 0..cases {
        let outcome = match random.below(4) {
            0 => claim(&accounts, &mut random),
            1 => forge(&tries[random.below(2)], &mut random),
            _ => damage(&tries[random.below(2)], &mut random),
        };
        *tally.entry(outcome).or_default() += 1;
    }
    tally
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    fn word(&mut self) -> B256 {
        let mut word = B256::ZERO;
        word.chunks_mut(8).for_each(|chunk| chunk.copy_from_slice(&self.next().to_be_bytes()));
        word
    }
}

/// Leaves alone; all records are missing.
struct Leaves<'a>(&'a BTreeMap<B256, Vec<u8>>);

impl TrieReader for Leaves<'_> {
    fn branch(&self, _: &Nibbles) -> Result<Option<Branch>, DbError> {
        Ok(None)
    }

    fn leaves(&self, path: &Nibbles, visit: &mut LeafVisitor<'_>) -> Result<(), DbError> {
        for (key, value) in self.0.range(path.first_key()..=path.last_key()) {
            if visit(*key, value)? == ControlFlow::Break(()) {
                break;
            }
        }
        Ok(())
    }
}

/// A trie with proofs of its keys and of absent ones.
struct Trie {
    root: B256,
    leaves: BTreeMap<B256, Vec<u8>>,
    proofs: Vec<(B256, Vec<Vec<u8>>)>,
}

impl Trie {
    fn new(leaves: BTreeMap<B256, Vec<u8>>, absent: impl IntoIterator<Item = B256>) -> Self {
        let keys: Vec<B256> = leaves.keys().copied().chain(absent).collect();
        let proofs = prove_many(&Leaves(&leaves), &keys).expect("a map does not fail");
        let proofs =
            proofs.into_iter().map(|proof| proof.iter().map(|node| node.to_vec()).collect());
        Self { root: trie_root(&leaves), proofs: keys.into_iter().zip(proofs).collect(), leaves }
    }

    /// As keys of the state are, spread evenly.
    fn hashed(random: &mut Random) -> Self {
        let leaves = (0..600)
            .map(|_| (random.word(), random.word()[..1 + random.below(32)].to_vec()))
            .collect();
        let absent: Vec<_> = (0..300).map(|_| random.word()).collect();
        Self::new(leaves, absent)
    }

    /// Keys with long prefixes in common: extensions, and nodes within nodes.
    fn crowded(random: &mut Random) -> Self {
        let mut key = || {
            let mut key = B256::ZERO;
            for _ in 0..random.below(5) {
                key[[0, 1, 14, 29, 30, 31][random.below(6)]] =
                    [1, 0x10, 0x11, 0xff][random.below(4)];
            }
            key
        };
        let leaves: BTreeMap<_, _> = (0..300).map(|n: u32| (key(), vec![n as u8 | 1])).collect();
        let absent: Vec<_> = (0..300).map(|_| key()).collect();
        Self::new(leaves, absent)
    }
}

/// A proof with something wrong in it, against the true root.
fn damage(trie: &Trie, random: &mut Random) -> (&'static str, String) {
    let (mut key, mut proof) = trie.proofs[random.below(trie.proofs.len())].clone();
    let other = &trie.proofs[random.below(trie.proofs.len())];
    let mut root = trie.root;
    let at = random.below(proof.len());
    let name = match random.below(9) {
        0 => {
            bytes(&mut proof[at], random);
            "node changed"
        }
        1 => {
            proof.remove(at);
            "node dropped"
        }
        2 => {
            let node = proof[random.below(proof.len())].clone();
            proof.insert(at, node);
            "node repeated"
        }
        3 => {
            let end = proof.len();
            proof.swap(at, random.below(end));
            "nodes swapped"
        }
        4 => {
            proof.insert(random.below(at + 2), other.1[random.below(other.1.len())].clone());
            "node of another proof"
        }
        5 => {
            key = other.0;
            "another key"
        }
        6 => {
            proof.clone_from(&other.1);
            "another proof"
        }
        7 => {
            bytes(root.as_mut_slice(), random);
            "another root"
        }
        _ => "nothing changed",
    };
    let result = verify_proof(root, key, &proof);
    if let Ok(value) = result {
        assert_eq!(root, trie.root, "{name}: accepted under another root");
        let truth = trie.leaves.get(&key).map(Vec::as_slice);
        assert_eq!(value, truth, "{name}: accepted with a wrong value");
    }
    (name, outcome(result))
}

/// A proof whose nodes are changed and hashed again up to a root that fits: anything may come of
/// it, as long as `alloy-trie` sees no less wrong with it.
fn forge(trie: &Trie, random: &mut Random) -> (&'static str, String) {
    let (key, mut proof) = trie.proofs[random.below(trie.proofs.len())].clone();
    let mut hash = B256::ZERO;
    let mut replaced = B256::ZERO;
    for at in (0..=random.below(proof.len())).rev() {
        let before = keccak256(&proof[at]);
        let node = &mut proof[at];
        match node.windows(32).position(|window| window == replaced.as_slice()) {
            Some(place) => node[place..place + 32].copy_from_slice(hash.as_slice()),
            None => bytes(node, random),
        }
        (replaced, hash) = (before, keccak256(node));
    }
    let result = verify_proof(hash, key, &proof);
    if let Ok(value) = result {
        let path = alloy_trie::Nibbles::unpack(key);
        let nodes: Vec<_> = proof.iter().map(|node| Bytes::copy_from_slice(node)).collect();
        alloy_trie::proof::verify_proof(hash, path, value.map(<[u8]>::to_vec), &nodes)
            .expect("alloy-trie accepts what is accepted here");
    }
    ("forged", outcome(result))
}

/// Changes bytes in one of several ways. Vectors also change their length.
fn bytes<B: Damage + ?Sized>(target: &mut B, random: &mut Random) {
    target.damage(random);
}

trait Damage {
    fn damage(&mut self, random: &mut Random);
}

impl Damage for [u8] {
    fn damage(&mut self, random: &mut Random) {
        let at = random.below(self.len());
        self[at] ^= 1 << random.below(8);
    }
}

impl Damage for Vec<u8> {
    fn damage(&mut self, random: &mut Random) {
        let at = random.below(self.len());
        let edge = [0x00, 0x01, 0x20, 0x7f, 0x80, 0x81, 0xa0, 0xb8, 0xc0, 0xc1, 0xf8, 0xff];
        match random.below(6) {
            0 => self.truncate(at),
            1 => self.push(random.next() as u8),
            2 => self.insert(at, edge[random.below(edge.len())]),
            3 => drop(self.remove(at)),
            4 => self[at] = edge[random.below(edge.len())],
            _ => self.as_mut_slice().damage(random),
        }
    }
}

/// A small state with proofs of its accounts, one of them absent.
fn accounts(random: &mut Random) -> (B256, Vec<AccountProof>) {
    let mut state = BTreeMap::new();
    let mut proofs = Vec::new();
    for n in 0..60_u8 {
        let slots: Vec<U256> = (0..random.below(30)).map(U256::from).collect();
        let mut storage = BTreeMap::new();
        for slot in slots.iter().skip(1) {
            let mut value = Vec::new();
            encode_word(*slot << (n % 200), &mut value);
            storage.insert(keccak256(slot.to_be_bytes::<32>()), value);
        }
        let keys: Vec<_> = slots.iter().map(|slot| keccak256(slot.to_be_bytes::<32>())).collect();
        let nodes = prove_many(&Leaves(&storage), &keys).expect("a map does not fail");
        let storage_proof = slots.iter().zip(nodes).map(|(slot, proof)| StorageProof {
            key: *slot,
            value: *slot << (n % 200),
            proof,
        });
        let address = Address::repeat_byte(n);
        let info = AccountInfo {
            nonce: u64::from(n),
            balance: U256::from(random.next()),
            code_hash: KECCAK_EMPTY,
        };
        let is_absent = n == 7;
        let storage_hash = if is_absent { EMPTY_ROOT } else { trie_root(&storage) };
        if !is_absent {
            let mut leaf = Vec::new();
            encode_account(&info, storage_hash, &mut leaf);
            state.insert(keccak256(address), leaf);
        }
        proofs.push(AccountProof {
            address,
            balance: if is_absent { U256::ZERO } else { info.balance },
            code_hash: info.code_hash,
            nonce: if is_absent { 0 } else { info.nonce },
            storage_hash,
            account_proof: Vec::new(),
            storage_proof: if is_absent { Vec::new() } else { storage_proof.collect() },
        });
    }
    let keys: Vec<_> = proofs.iter().map(|proof| keccak256(proof.address)).collect();
    let nodes = prove_many(&Leaves(&state), &keys).expect("a map does not fail");
    for (proof, nodes) in proofs.iter_mut().zip(nodes) {
        proof.account_proof = nodes;
    }
    (trie_root(&state), proofs)
}

/// A good proof of an account with another claim.
fn claim(
    (root, proofs): &(B256, Vec<AccountProof>),
    random: &mut Random,
) -> (&'static str, String) {
    let original = &proofs[random.below(proofs.len())];
    let mut proof = original.clone();
    let flip = U256::from(1) << random.below(256);
    let slot = random.below(proof.storage_proof.len());
    let name = match random.below(9) {
        0 => {
            proof.nonce ^= 1 << random.below(64);
            "another nonce"
        }
        1 => {
            proof.balance ^= flip;
            "another balance"
        }
        2 => {
            bytes(proof.code_hash.as_mut_slice(), random);
            "another code hash"
        }
        3 => {
            bytes(proof.storage_hash.as_mut_slice(), random);
            "another storage root"
        }
        4 => {
            bytes(proof.address.as_mut_slice(), random);
            "another address"
        }
        5 if !proof.storage_proof.is_empty() => {
            proof.storage_proof[slot].value ^= flip;
            "another word"
        }
        6 if !proof.storage_proof.is_empty() => {
            proof.storage_proof[slot].key ^= flip;
            "another slot"
        }
        7 if !proof.storage_proof.is_empty() => {
            let nodes = &mut proof.storage_proof[slot].proof;
            if let Some(at) = random.below(nodes.len() + 1).checked_sub(1) {
                let mut node = nodes[at].to_vec();
                bytes(&mut node, random);
                nodes[at] = node.into();
            } else {
                nodes.push(Bytes::new());
            }
            "node of a slot changed"
        }
        _ => "account unchanged",
    };
    let result = proof.verify(*root);
    if proof == *original {
        assert!(result.is_ok(), "refused as it was: {result:?}");
    } else if result.is_ok() {
        // The proof that a key is absent may serve another absent one.
        assert!(is_true(&proof, proofs), "{name}: accepted {proof:?}");
    }
    let outcome = match result {
        Ok(_) => "accepted, right".into(),
        Err(AccountProofError::Account { source, .. } | AccountProofError::Slot { source, .. }) => {
            outcome(Err(source))
        }
        Err(AccountProofError::AccountDiffers { .. }) => "refused: AccountDiffers".into(),
        Err(AccountProofError::SlotDiffers { .. }) => "refused: SlotDiffers".into(),
        Err(other) => format!("refused: {other}"),
    };
    (name, outcome)
}

/// Whether everything said in `proof` is so in the state that `accounts` are all of.
fn is_true(proof: &AccountProof, accounts: &[AccountProof]) -> bool {
    let account = accounts.iter().find(|account| account.address == proof.address);
    let head =
        |proof: &AccountProof| (proof.nonce, proof.balance, proof.code_hash, proof.storage_hash);
    let slots = account.map_or(&[][..], |account| &account.storage_proof);
    head(proof) == account.map_or((0, U256::ZERO, KECCAK_EMPTY, EMPTY_ROOT), head)
        && proof.storage_proof.iter().all(|claim| {
            let slot = slots.iter().find(|slot| slot.key == claim.key);
            claim.value == slot.map_or(U256::ZERO, |slot| slot.value)
        })
}

fn outcome(result: Result<Option<&[u8]>, ProofError>) -> String {
    match result {
        Ok(Some(_)) => "accepted: present".into(),
        Ok(None) => "accepted: absent".into(),
        Err(ProofError::Node { error: NodeError::Rlp(_), .. }) => "refused: Rlp".into(),
        Err(ProofError::Node { error, .. }) => format!("refused: {}", variant(&error)),
        Err(error) => format!("refused: {}", variant(&error)),
    }
}

/// The name of an error without its fields.
fn variant(error: &impl std::fmt::Debug) -> String {
    let shown = format!("{error:?}");
    shown.split([' ', '(', '{']).next().unwrap_or_default().to_owned()
}
