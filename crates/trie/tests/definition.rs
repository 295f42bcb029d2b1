//! Random tries against the definition of the Yellow Paper, appendix D, written out literally.
//! Unlike in `alloy.rs`, keys have any length and continue one another.

use alloy_rlp::Header;
use proptest::{collection, prelude::*};
use zvm_core::{B256, EMPTY_ROOT, keccak256};
use zvm_trie::trie_root;

/// An entry with its key in nibbles.
type Entry = (Vec<u8>, Vec<u8>);

/// `TRIE(J)`: the hash of the root node.
fn definition(entries: &[Entry]) -> B256 {
    if entries.is_empty() { EMPTY_ROOT } else { keccak256(node(entries, 0)) }
}

/// `c(J, i)`: the node over `entries`, which agree in their first `depth` nibbles.
fn node(entries: &[Entry], depth: usize) -> Vec<u8> {
    let (first, value) = &entries[0];
    if entries.len() == 1 {
        return list(&[string(&hex_prefix(&first[depth..], 2)), string(value)]);
    }
    let shared = (depth..)
        .find(|&at| first.get(at).is_none() || entries.iter().any(|e| e.0.get(at) != first.get(at)))
        .expect("keys are finite");
    if shared > depth {
        let path = string(&hex_prefix(&first[depth..shared], 0));
        return list(&[path, reference(entries, shared)]);
    }
    let mut items: Vec<Vec<u8>> = (0..16)
        .map(|nibble| {
            let below: Vec<Entry> =
                entries.iter().filter(|e| e.0.get(depth) == Some(&nibble)).cloned().collect();
            if below.is_empty() { string(&[]) } else { reference(&below, depth + 1) }
        })
        .collect();
    let ends_here = entries.iter().find(|e| e.0.len() == depth);
    items.push(string(ends_here.map_or(&[], |e| &e.1)));
    list(&items)
}

/// `n(J, i)`: how a parent names a node.
fn reference(entries: &[Entry], depth: usize) -> Vec<u8> {
    let node = node(entries, depth);
    if node.len() < 32 { node } else { string(keccak256(node).as_slice()) }
}

/// `HP(x, t)`, appendix C.
fn hex_prefix(nibbles: &[u8], kind: u8) -> Vec<u8> {
    let mut all = if nibbles.len() % 2 == 1 { vec![kind + 1] } else { vec![kind, 0] };
    all.extend(nibbles);
    all.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

fn string(bytes: &[u8]) -> Vec<u8> {
    alloy_rlp::encode(bytes)
}

fn list(items: &[Vec<u8>]) -> Vec<u8> {
    let mut out = Vec::new();
    Header { list: true, payload_length: items.iter().map(Vec::len).sum() }.encode(&mut out);
    out.extend(items.concat());
    out
}

proptest! {
    #[test]
    fn roots_follow_the_definition(
        entries in collection::btree_map(
            collection::vec(prop_oneof![Just(0x00), Just(0x0f), Just(0xf0), any::<u8>()], 0..5),
            prop_oneof![collection::vec(any::<u8>(), 1..4), collection::vec(any::<u8>(), 1..400)],
            0..40,
        ),
    ) {
        let nibbles = |key: &Vec<u8>| key.iter().flat_map(|byte| [byte >> 4, byte & 15]).collect();
        let unpacked: Vec<Entry> =
            entries.iter().map(|(key, value)| (nibbles(key), value.clone())).collect();
        prop_assert_eq!(trie_root(&entries), definition(&unpacked));
    }
}
