//! One pass from entries in key order to a root.

use alloy_rlp::{EMPTY_STRING_CODE, Encodable, Header};
use zvm_core::{B256, EMPTY_ROOT, keccak256};

/// Computes a root from entries in ascending key order.
///
/// An entry can be written as a node only when the next key is known: how far the two agree says at
/// which depth they part, and so which branches are complete. Keys may be prefixes of others.
#[derive(Debug, Default)]
pub struct RootBuilder {
    /// Branches on the path to the latest key, outermost first. More children may follow.
    open: Vec<OpenBranch>,
    /// For each open branch in turn: room for its list header, then its children so far.
    buffer: Vec<u8>,
    /// The latest entry, not yet in `buffer`. No entry has been pushed while `value` is empty.
    key: Vec<u8>,
    value: Vec<u8>,
}

/// A branch that is being filled.
#[derive(Debug)]
struct OpenBranch {
    /// Nibbles of the key above this branch.
    depth: usize,
    /// Where its room in the buffer begins.
    start: usize,
    /// Children written, absent ones included: the lowest nibble that can still be added.
    children: usize,
    /// The value of the key that ends here; empty if there is none.
    value: Vec<u8>,
}

/// A complete node at the end of the buffer, with its list header.
struct Node {
    /// Where the room begins, unused bytes before the header included.
    start: usize,
    /// Where the header begins.
    header: usize,
}

/// How a parent names a node: the node itself below 32 bytes, otherwise its hash.
struct Reference {
    bytes: [u8; 33],
    length: usize,
}

/// The longest list header: one byte of kind, eight of length.
const HEADER_ROOM: usize = 9;

impl RootBuilder {
    /// Adds an entry. An empty value is an absent entry and is passed over.
    ///
    /// # Panics
    ///
    /// If `key` is not above the key pushed before.
    pub fn push(&mut self, key: &[u8], value: &[u8]) {
        if !value.is_empty() {
            self.push_with(key, |out| out.extend_from_slice(value));
        }
    }

    /// Adds an entry whose value, never empty, is appended by `write_value`.
    pub(crate) fn push_with(&mut self, key: &[u8], write_value: impl FnOnce(&mut Vec<u8>)) {
        if !self.value.is_empty() {
            assert!(self.key.as_slice() < key, "trie keys come in ascending order, each once");
            self.settle(common_nibbles(&self.key, key));
        }
        self.key.clear();
        self.key.extend_from_slice(key);
        self.value.clear();
        write_value(&mut self.value);
    }

    /// The root over all entries pushed; [`EMPTY_ROOT`] if there were none.
    pub fn finish(mut self) -> B256 {
        if self.value.is_empty() {
            return EMPTY_ROOT;
        }
        let mut node = self.leaf();
        while let Some(branch) = self.open.len().checked_sub(1) {
            let reference = self.take_reference(node);
            self.add_child(branch, &reference);
            node = self.close(None);
        }
        // The root is named by its hash whatever its length.
        keccak256(&self.buffer[node.header..])
    }

    /// Writes the latest entry, now that the next key is known to agree in `shared` nibbles, and
    /// completes all branches below that depth. A branch at `shared` is open afterwards.
    fn settle(&mut self, shared: usize) {
        if shared == 2 * self.key.len() {
            // The next key continues this one. No branch can be open here yet: every earlier key
            // that passes this depth would sort above this one.
            self.open_branch(shared).value = std::mem::take(&mut self.value);
            return;
        }
        let mut top = self.branch_at_least(shared);
        let node = self.leaf();
        let reference = self.take_reference(node);
        self.add_child(top, &reference);
        while self.open[top].depth > shared {
            let node = self.close(Some(shared));
            let reference = self.take_reference(node);
            top = self.branch_at_least(shared);
            self.add_child(top, &reference);
        }
    }

    /// Index of the innermost open branch, after opening one at `depth` if all are above it.
    fn branch_at_least(&mut self, depth: usize) -> usize {
        if self.open.last().is_none_or(|branch| branch.depth < depth) {
            self.open_branch(depth);
        }
        self.open.len() - 1
    }

    fn open_branch(&mut self, depth: usize) -> &mut OpenBranch {
        let start = self.begin();
        self.open.push(OpenBranch { depth, start, children: 0, value: Vec::new() });
        self.open.last_mut().expect("pushed above")
    }

    /// Adds a child to the open branch of that index, under the nibble of the latest key.
    fn add_child(&mut self, branch: usize, child: &Reference) {
        let branch = &mut self.open[branch];
        let nibble = usize::from(nibble(&self.key, branch.depth));
        let absent = nibble - branch.children;
        self.buffer.resize(self.buffer.len() + absent, EMPTY_STRING_CODE);
        self.buffer.extend_from_slice(child.as_slice());
        branch.children = nibble + 1;
    }

    /// The latest entry as a leaf below the innermost open branch.
    fn leaf(&mut self) -> Node {
        let from = self.open.last().map_or(0, |branch| branch.depth + 1);
        let start = self.begin();
        write_path(&mut self.buffer, &self.key, from, 2 * self.key.len(), true);
        self.value.as_slice().encode(&mut self.buffer);
        self.seal(start)
    }

    /// Completes the innermost open branch, under an extension if its parent is more than one
    /// nibble above. The parent is the next open branch, or one still to be opened at `shared`.
    fn close(&mut self, shared: Option<usize>) -> Node {
        let branch = self.open.pop().expect("called with a branch open");
        let absent = 16 - branch.children;
        self.buffer.resize(self.buffer.len() + absent, EMPTY_STRING_CODE);
        branch.value.as_slice().encode(&mut self.buffer);
        let node = self.seal(branch.start);

        let parent = self.open.last().map(|parent| parent.depth).max(shared);
        let from = parent.map_or(0, |depth| depth + 1);
        if from == branch.depth {
            return node;
        }
        let reference = self.take_reference(node);
        let start = self.begin();
        write_path(&mut self.buffer, &self.key, from, branch.depth, false);
        self.buffer.extend_from_slice(reference.as_slice());
        self.seal(start)
    }

    /// Makes room for a list header and returns where it begins.
    fn begin(&mut self) -> usize {
        let start = self.buffer.len();
        self.buffer.resize(start + HEADER_ROOM, 0);
        start
    }

    /// Turns everything written since [`begin`](Self::begin) answered `start` into a node.
    fn seal(&mut self, start: usize) -> Node {
        let payload = start + HEADER_ROOM;
        let list = Header { list: true, payload_length: self.buffer.len() - payload };
        let header = payload - list.length();
        list.encode(&mut &mut self.buffer[header..payload]);
        Node { start, header }
    }

    /// Takes the last node off the buffer and returns how its parent names it.
    fn take_reference(&mut self, node: Node) -> Reference {
        let encoded = &self.buffer[node.header..];
        let mut bytes = [0; 33];
        let length = if encoded.len() < 32 {
            bytes[..encoded.len()].copy_from_slice(encoded);
            encoded.len()
        } else {
            bytes[0] = EMPTY_STRING_CODE + 32;
            bytes[1..].copy_from_slice(keccak256(encoded).as_slice());
            bytes.len()
        };
        self.buffer.truncate(node.start);
        Reference { bytes, length }
    }
}

impl Reference {
    fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

/// Nibble `index` of `key`, the high half of a byte first.
fn nibble(key: &[u8], index: usize) -> u8 {
    let byte = key[index / 2];
    if index.is_multiple_of(2) { byte >> 4 } else { byte & 0x0f }
}

/// How many nibbles two different keys have in common at their start.
fn common_nibbles(a: &[u8], b: &[u8]) -> usize {
    let bytes = a.iter().zip(b).take_while(|(a, b)| a == b).count();
    match (a.get(bytes), b.get(bytes)) {
        (Some(a), Some(b)) if a >> 4 == b >> 4 => 2 * bytes + 1,
        _ => 2 * bytes,
    }
}

/// Appends nibbles `from..to` of `key` as an RLP string in the hex-prefix encoding (Yellow Paper,
/// appendix C): parity and kind in the first nibble.
///
/// # Panics
///
/// If `key` has fewer nibbles.
pub fn write_path(out: &mut Vec<u8>, key: &[u8], from: usize, to: usize, is_leaf: bool) {
    let odd = !(to - from).is_multiple_of(2);
    let kind = if is_leaf { 0x20 } else { 0x00 };
    let first = if odd { kind | 0x10 | nibble(key, from) } else { kind };
    let pairs = from + usize::from(odd)..to;
    let payload_length = 1 + pairs.len() / 2;
    if payload_length > 1 {
        Header { list: false, payload_length }.encode(out);
    }
    out.push(first);
    if pairs.start.is_multiple_of(2) {
        out.extend_from_slice(&key[pairs.start / 2..pairs.end / 2]);
    } else {
        out.extend(pairs.step_by(2).map(|at| nibble(key, at) << 4 | nibble(key, at + 1)));
    }
}
