//! Stored branches: what an incremental update reads back instead of hashing the subtree again.

use std::sync::Arc;

use zvm_core::{
    B256, keccak256,
    varint::{self, VarintError},
};

use crate::{InconsistentTrie, Nibbles, node::references, update::Present};

/// How a node is named by its parent: by its hash, or by itself if its RLP is below 32 bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NodeRef {
    bytes: [u8; 32],
    /// 32 for a hash, less for a node.
    length: u8,
}

impl NodeRef {
    /// A node by its hash.
    pub const fn hash(hash: B256) -> Self {
        Self { bytes: hash.0, length: 32 }
    }

    /// A node by its RLP. `None` unless that is a list of 3 to 31 bytes in all.
    pub fn inline(node: &[u8]) -> Option<Self> {
        if inline_length(*node.first()?)? != node.len() {
            return None;
        }
        let mut bytes = [0; 32];
        bytes[..node.len()].copy_from_slice(node);
        Some(Self { bytes, length: node.len() as u8 })
    }

    /// A node of three bytes or more by its RLP.
    pub(crate) fn of(node: &[u8]) -> Self {
        if node.len() >= 32 {
            return Self::hash(keccak256(node));
        }
        let mut bytes = [0; 32];
        bytes[..node.len()].copy_from_slice(node);
        Self { bytes, length: node.len() as u8 }
    }

    /// The hash, or `None` for a node that stands for itself.
    pub fn as_hash(&self) -> Option<B256> {
        (self.length == 32).then_some(B256::new(self.bytes))
    }

    /// The root of a trie whose topmost node this is: its hash whatever its length.
    pub(crate) fn root(&self) -> B256 {
        self.as_hash().unwrap_or_else(|| keccak256(self.as_slice()))
    }

    /// 32 bytes of hash, or the RLP of a shorter node.
    pub fn as_slice(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }

    pub(crate) fn is_inline(&self) -> bool {
        self.length < 32
    }
}

/// The length of an inline node by its first byte, that of a short list. Below three bytes there is
/// no room for a path and what it leads to.
fn inline_length(first: u8) -> Option<usize> {
    matches!(first, 0xc2..=0xde).then(|| usize::from(first - 0xc0) + 1)
}

/// What a branch has under one nibble.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Child {
    /// Nothing.
    Empty,
    /// A single leaf. Its key and value are with the leaves, not in the record.
    Leaf(NodeRef),
    /// A branch without a record, behind an extension or not: its subtree is small enough to be built
    /// again from its leaves.
    Small(NodeRef),
    /// A branch with a record of its own, behind an extension or not.
    Branch(NodeRef),
}

/// The record of a branch node and of the extension node above it, if there is one.
///
/// It is stored under the path where the two *hang*: the path of the parent branch and one nibble,
/// or the empty path for the root. The branch node itself is at that path and
/// [`extension`](Self::extension). So the record of a child is always one look-up away.
///
/// Kept in memory as compact as stored: a branch has two or three children more often than sixteen.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Branch {
    extension: Nibbles,
    leaf_count: u64,
    children: u16,
    leaves: u16,
    small: u16,
    inline: u16,
    /// The references of the children, one behind the other. Shared, because a cache and the updates
    /// that read from it hold the same ones.
    refs: Arc<[u8]>,
}

/// Flag of a stored branch: there is an extension.
const HAS_EXTENSION: u8 = 1;
/// Flag of a stored branch: a child is named by itself.
const HAS_INLINE: u8 = 2;
/// Flag of a stored branch: a child is a branch without a record.
const HAS_SMALL: u8 = 4;

impl Branch {
    /// A branch with these children.
    ///
    /// # Errors
    ///
    /// Fewer than two children, or fewer leaves than children.
    pub fn new(
        extension: Nibbles,
        leaf_count: u64,
        children: &[Child; 16],
    ) -> Result<Self, BranchError> {
        let mut slots = Slots::default();
        for (nibble, child) in children.iter().enumerate() {
            match child {
                Child::Empty => {}
                Child::Leaf(node) => slots.set(nibble, *node, Present::Leaf),
                Child::Small(node) => slots.set(nibble, *node, Present::Small),
                Child::Branch(node) => slots.set(nibble, *node, Present::Branch),
            }
        }
        let branch = slots.pack(extension, leaf_count);
        branch.check_counts()?;
        Ok(branch)
    }

    /// The nibbles between the path where the record hangs and the branch node. Empty if there is no
    /// extension node.
    pub fn extension(&self) -> &Nibbles {
        &self.extension
    }

    /// How many leaves are below. For the record of a root: the entries of the trie.
    pub fn leaf_count(&self) -> u64 {
        self.leaf_count
    }

    /// The nibbles that have a child, nibble 0 in the lowest bit.
    pub fn child_mask(&self) -> u16 {
        self.children
    }

    /// The nibbles whose child is a single leaf, nibble 0 in the lowest bit.
    pub fn leaf_mask(&self) -> u16 {
        self.leaves
    }

    /// The nibbles whose child is a branch without a record, nibble 0 in the lowest bit.
    pub fn small_mask(&self) -> u16 {
        self.small
    }

    /// What is under `nibble`. Nothing is above 15.
    pub fn child(&self, nibble: u8) -> Child {
        if nibble > 15 || self.children >> nibble & 1 == 0 {
            return Child::Empty;
        }
        self.unpack().child(usize::from(nibble))
    }

    /// All sixteen children.
    pub fn children(&self) -> [Child; 16] {
        let slots = self.unpack();
        std::array::from_fn(|nibble| slots.child(nibble))
    }

    /// Bytes of memory held, for bounded caches.
    pub fn memory(&self) -> usize {
        size_of::<Self>() + self.refs.len()
    }

    /// The bytes to store. See [`encode_to`](Self::encode_to).
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(1 + 6 + 10 + 33 + self.refs.len());
        self.encode_to(&mut out);
        out
    }

    /// Appends the bytes to store:
    ///
    /// | bytes | what |
    /// |---|---|
    /// | 1 | flags: 1 = extension, 2 = inline children, 4 = small children |
    /// | 2 | mask of children, big-endian, nibble 0 in the lowest bit |
    /// | 2 | mask of children that are leaves |
    /// | 2 | with flag 4: mask of children that are branches without a record |
    /// | 2 | with flag 2: mask of children that stand for themselves |
    /// | 1–10 | number of leaves, LEB128 |
    /// | 1–33 | with flag 1: length of the extension in nibbles, then the nibbles, two a byte |
    /// | the rest | for each child in order: 32 bytes of hash, or its RLP, which tells its length |
    pub fn encode_to(&self, out: &mut Vec<u8>) {
        let mut flags = 0;
        if !self.extension.is_empty() {
            flags |= HAS_EXTENSION;
        }
        if self.inline != 0 {
            flags |= HAS_INLINE;
        }
        if self.small != 0 {
            flags |= HAS_SMALL;
        }
        out.push(flags);
        out.extend_from_slice(&self.children.to_be_bytes());
        out.extend_from_slice(&self.leaves.to_be_bytes());
        if self.small != 0 {
            out.extend_from_slice(&self.small.to_be_bytes());
        }
        if self.inline != 0 {
            out.extend_from_slice(&self.inline.to_be_bytes());
        }
        varint::write(out, self.leaf_count);
        if !self.extension.is_empty() {
            out.push(self.extension.len() as u8);
            out.extend_from_slice(self.extension.as_bytes());
        }
        out.extend_from_slice(&self.refs);
    }

    /// Reads what [`encode_to`](Self::encode_to) wrote. Every branch has one encoding, and nothing
    /// else is accepted.
    pub fn decode(bytes: &[u8]) -> Result<Self, BranchError> {
        let mut input = Input { rest: bytes };
        let flags = input.byte("flags")?;
        if flags & !(HAS_EXTENSION | HAS_INLINE | HAS_SMALL) != 0 {
            return Err(BranchError::Flags { found: flags });
        }
        let children = input.mask("mask of children")?;
        let leaves = input.mask("mask of leaves")?;
        let mut mask_if = |flag, field| match flags & flag {
            0 => Ok(0),
            _ => Some(input.mask(field)?)
                .filter(|mask| *mask != 0)
                .ok_or(BranchError::NotMinimal { field }),
        };
        let small = mask_if(HAS_SMALL, "mask of small children")?;
        let inline = mask_if(HAS_INLINE, "mask of inline children")?;
        if (leaves | small | inline) & !children != 0 || leaves & small != 0 {
            return Err(BranchError::Masks { children, leaves, small, inline });
        }
        let leaf_count = input.count()?;
        let extension = match flags & HAS_EXTENSION {
            0 => Nibbles::EMPTY,
            _ => input.extension()?,
        };
        let refs = input.rest;
        let mut end = 0;
        for nibble in (0..16).filter(|nibble| children >> nibble & 1 == 1) {
            end += if inline >> nibble & 1 == 1 {
                let first = *refs.get(end).ok_or(BranchError::Short { field: "inline child" })?;
                inline_length(first).ok_or(BranchError::Inline { nibble, first })?
            } else {
                32
            };
        }
        match refs.len() {
            length if length < end => return Err(BranchError::Short { field: "children" }),
            length if length > end => {
                return Err(BranchError::Trailing { length: length - end });
            }
            _ => {}
        }
        let branch =
            Self { extension, leaf_count, children, leaves, small, inline, refs: refs.into() };
        branch.check_counts()?;
        Ok(branch)
    }

    fn check_counts(&self) -> Result<(), BranchError> {
        let children = self.children.count_ones();
        if children < 2 || self.leaf_count < u64::from(children) {
            return Err(BranchError::Counts { children, leaves: self.leaf_count });
        }
        Ok(())
    }

    /// Where the branch node is if the record hangs at `path`.
    pub(crate) fn end(&self, path: &Nibbles) -> Result<Nibbles, InconsistentTrie> {
        path.join(&self.extension)
            .filter(|end| end.len() < 64)
            .ok_or(InconsistentTrie::Depth { path: *path })
    }

    /// This record, which hangs at `path`, as it would be if it hung `depth` nibbles down, and where that
    /// is. `None` if it hangs so far down anyway, or if its node is further up.
    pub fn hung_at(&self, path: &Nibbles, depth: usize) -> Option<(Nibbles, Self)> {
        let end = path.join(&self.extension)?;
        (path.len() < depth && depth <= end.len())
            .then(|| (end.prefix(depth), Self { extension: end.suffix(depth), ..self.clone() }))
    }

    pub(crate) fn set_extension(&mut self, extension: Nibbles) {
        self.extension = extension;
    }

    /// Takes the references out of the RLP of the branch node.
    pub(crate) fn set_references(&mut self, node: &[u8]) {
        let (mut refs, mut end) = ([0; 16 * 32], 0);
        for (_, reference) in references(node) {
            let next = end + reference.len();
            refs[end..next].copy_from_slice(&node[reference]);
            end = next;
        }
        self.refs = refs[..end].into();
    }

    pub(crate) fn unpack(&self) -> Slots {
        let mut slots = Slots {
            children: self.children,
            leaves: self.leaves,
            small: self.small,
            ..Slots::default()
        };
        let mut rest = &self.refs[..];
        for nibble in (0..16).filter(|nibble| self.children >> nibble & 1 == 1) {
            let length = match self.inline >> nibble & 1 {
                0 => 32,
                _ => usize::from(rest[0] - 0xc0) + 1,
            };
            let (node, behind) = rest.split_at(length);
            slots.refs[nibble].bytes[..length].copy_from_slice(node);
            slots.refs[nibble].length = length as u8;
            rest = behind;
        }
        slots
    }
}

/// The children of a branch, unpacked to be changed.
#[derive(Clone)]
pub(crate) struct Slots {
    pub(crate) children: u16,
    leaves: u16,
    small: u16,
    refs: [NodeRef; 16],
}

impl Default for Slots {
    fn default() -> Self {
        Self { children: 0, leaves: 0, small: 0, refs: [NodeRef::hash(B256::ZERO); 16] }
    }
}

impl Slots {
    /// Gives `nibble` the child `node`, which is `present`.
    pub(crate) fn set(&mut self, nibble: usize, node: NodeRef, present: Present) {
        self.clear(nibble);
        let bit = 1 << nibble;
        match present {
            Present::Empty => return,
            Present::Leaf => self.leaves |= bit,
            Present::Small => self.small |= bit,
            Present::Branch => {}
        }
        self.children |= bit;
        self.refs[nibble] = node;
    }

    pub(crate) fn clear(&mut self, nibble: usize) {
        self.children &= !(1 << nibble);
        self.leaves &= !(1 << nibble);
        self.small &= !(1 << nibble);
    }

    pub(crate) fn kinds(&self) -> Kinds {
        Kinds { children: self.children, leaves: self.leaves, small: self.small }
    }

    pub(crate) fn child(&self, nibble: usize) -> Child {
        match self.reference(nibble) {
            None => Child::Empty,
            Some(node) if self.leaves >> nibble & 1 == 1 => Child::Leaf(*node),
            Some(node) if self.small >> nibble & 1 == 1 => Child::Small(*node),
            Some(node) => Child::Branch(*node),
        }
    }

    pub(crate) fn reference(&self, nibble: usize) -> Option<&NodeRef> {
        (self.children >> nibble & 1 == 1).then(|| &self.refs[nibble])
    }

    pub(crate) fn pack(&self, extension: Nibbles, leaf_count: u64) -> Branch {
        let (mut refs, mut end) = ([0; 16 * 32], 0);
        for nibble in 0..16 {
            if let Some(node) = self.reference(nibble) {
                let node = node.as_slice();
                refs[end..end + node.len()].copy_from_slice(node);
                end += node.len();
            }
        }
        Branch { extension, refs: refs[..end].into(), ..self.outline(leaf_count) }
    }

    /// A branch without extension whose references are yet to be [set](Branch::set_references).
    pub(crate) fn outline(&self, leaf_count: u64) -> Branch {
        let inline = (0..16)
            .filter(|nibble| self.reference(*nibble).is_some_and(NodeRef::is_inline))
            .fold(0, |mask, nibble| mask | 1 << nibble);
        let Self { children, leaves, small, .. } = *self;
        let (extension, refs) = (Nibbles::EMPTY, Arc::default());
        Branch { extension, leaf_count, children, leaves, small, inline, refs }
    }
}

/// Of what kind the children of a branch are.
#[derive(Clone, Copy)]
pub(crate) struct Kinds {
    children: u16,
    leaves: u16,
    small: u16,
}

impl Kinds {
    pub(crate) fn at(self, nibble: u8) -> Present {
        let has = |mask: u16| mask >> nibble & 1 == 1;
        match (has(self.children), has(self.leaves), has(self.small)) {
            (false, ..) => Present::Empty,
            (_, true, _) => Present::Leaf,
            (_, _, true) => Present::Small,
            _ => Present::Branch,
        }
    }
}

/// Bytes still to be read.
struct Input<'a> {
    rest: &'a [u8],
}

impl Input<'_> {
    fn byte(&mut self, field: &'static str) -> Result<u8, BranchError> {
        let (first, rest) = self.rest.split_first().ok_or(BranchError::Short { field })?;
        self.rest = rest;
        Ok(*first)
    }

    fn mask(&mut self, field: &'static str) -> Result<u16, BranchError> {
        Ok(u16::from_be_bytes([self.byte(field)?, self.byte(field)?]))
    }

    fn count(&mut self) -> Result<u64, BranchError> {
        const FIELD: &str = "number of leaves";
        varint::read(&mut self.rest).map_err(|error| match error {
            VarintError::Cut => BranchError::Short { field: FIELD },
            VarintError::TooLarge | VarintError::NotShortest => {
                BranchError::NotMinimal { field: FIELD }
            }
        })
    }

    fn extension(&mut self) -> Result<Nibbles, BranchError> {
        const FIELD: &str = "extension";
        let length = usize::from(self.byte(FIELD)?);
        // A branch has children, so its own path ends before nibble 64.
        if !(1..64).contains(&length) {
            return Err(BranchError::Extension { length });
        }
        let (packed, rest) = self
            .rest
            .split_at_checked(length.div_ceil(2))
            .ok_or(BranchError::Short { field: FIELD })?;
        self.rest = rest;
        Nibbles::from_packed(packed, length).ok_or(BranchError::NotMinimal { field: FIELD })
    }
}

/// Why bytes are not a stored [`Branch`].
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BranchError {
    /// The bytes end within a field.
    #[error("branch record ends within its {field}")]
    Short {
        /// The field that is cut.
        field: &'static str,
    },

    /// Bytes are left behind the last child.
    #[error("{length} bytes behind the last child of a branch record")]
    Trailing {
        /// How many.
        length: usize,
    },

    /// A flag that this program does not know.
    #[error("flags {found:#04x} of a branch record, expected at most 0x07")]
    Flags {
        /// The flags as stored.
        found: u8,
    },

    /// A field could have been written shorter.
    #[error("{field} of a branch record is not in its one form")]
    NotMinimal {
        /// The field.
        field: &'static str,
    },

    /// The masks name children that are not there, or one as a leaf and as a branch.
    #[error(
        "branch record: leaves {leaves:#06x}, small {small:#06x} and inline {inline:#06x} do not fit \
         children {children:#06x}"
    )]
    Masks {
        /// Mask of children.
        children: u16,
        /// Mask of leaves.
        leaves: u16,
        /// Mask of branches without a record.
        small: u16,
        /// Mask of children that stand for themselves.
        inline: u16,
    },

    /// Too few children to be a branch, or fewer leaves than children.
    #[error("branch record with {children} children and {leaves} leaves")]
    Counts {
        /// Children in the mask.
        children: u32,
        /// Leaves by the record.
        leaves: u64,
    },

    /// An extension that cannot be above a branch.
    #[error("extension of {length} nibbles in a branch record, expected 1 to 63")]
    Extension {
        /// Its length in nibbles.
        length: usize,
    },

    /// A child that stands for itself does not begin as a short list.
    #[error(
        "inline child {nibble:x} of a branch record begins with {first:#04x}, expected 0xc2 to 0xde"
    )]
    Inline {
        /// Where in the branch.
        nibble: u8,
        /// The first byte found.
        first: u8,
    },
}
