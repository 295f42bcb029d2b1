//! Nodes of a proof, read strictly: each has one encoding.

use zvm_core::{
    B256,
    rlp::{Item, Reader, RlpError},
};

/// Why bytes are not a node of a trie.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NodeError {
    /// Not RLP of one list, or not in its shortest form.
    #[error("not canonical RLP: {0}")]
    Rlp(#[from] RlpError),

    /// Neither a leaf or extension (2 items) nor a branch (17).
    #[error("a list of {found} items, expected 2 or 17")]
    ItemCount {
        /// Items in the list; counting stops at 18.
        found: usize,
    },

    /// A path that is not in hex-prefix encoding (Yellow Paper, appendix C).
    #[error("path begins with {first:?}, which is no hex-prefix encoding")]
    HexPrefix {
        /// First byte, if there is one.
        first: Option<u8>,
    },

    /// An extension without nibbles.
    #[error("an extension over no nibbles")]
    EmptyExtension,

    /// An extension above something else than a branch.
    #[error("below an extension there must be a branch")]
    ExtensionChild,

    /// A leaf that ends elsewhere than at the last of 64 nibbles, or another node that reaches there.
    #[error("a node of {nibbles} nibbles at depth {depth}, in a trie of 64 nibbles")]
    Depth {
        /// Nibbles above the node.
        depth: usize,
        /// Nibbles of its path; 1 for a branch.
        nibbles: usize,
    },

    /// A leaf without value.
    #[error("a leaf without value")]
    EmptyValue,

    /// A child that is neither a hash nor a node below 32 bytes.
    #[error("item {item} has {length} bytes, expected a hash or a node below 32 bytes")]
    Reference {
        /// Place of the item in its node, from 0.
        item: usize,
        /// Its length in bytes; that of a list is counted with its header.
        length: usize,
    },

    /// A branch that is none.
    #[error("a branch of {found} children, expected two at least")]
    FewChildren {
        /// How many it has.
        found: usize,
    },

    /// A branch with a value, for a key that others continue.
    #[error("a branch with a value")]
    BranchValue,

    /// A node that is short enough to be within its parent, named by hash.
    #[error("a node below 32 bytes, which belongs into its parent")]
    Short,
}

/// A decoded node.
#[expect(clippy::large_enum_variant, reason = "one at a time, and not for long")]
pub(crate) enum Node<'n> {
    /// That of the trie without entries.
    Empty,
    Leaf {
        path: HexPrefix<'n>,
        value: &'n [u8],
    },
    Extension {
        path: HexPrefix<'n>,
        child: Reference<'n>,
    },
    Branch {
        children: [Option<Reference<'n>>; 16],
    },
}

/// How a node names its child.
#[derive(Clone, Copy)]
pub(crate) enum Reference<'n> {
    Hash(B256),
    /// RLP of the child, header included.
    Inline(&'n [u8]),
}

/// Where a node leads.
pub(crate) enum Next<'n> {
    End(Option<&'n [u8]>),
    Hash(B256),
    Inline(&'n [u8]),
}

impl<'n> Node<'n> {
    /// Reads a node that hangs `depth` nibbles down, and the nodes within it.
    pub(crate) fn decode(node: &'n [u8], depth: usize) -> Result<Self, NodeError> {
        if depth == 0 && node == [alloy_rlp::EMPTY_STRING_CODE] {
            return Ok(Self::Empty);
        }
        let mut reader = Reader::new(node);
        let mut list = reader.list("node")?;
        reader.finish("node")?;
        let mut items = [Item::default(); 17];
        let mut count = 0;
        while !list.is_empty() {
            let item = list.item("item of a node")?;
            *items.get_mut(count).ok_or(NodeError::ItemCount { found: 18 })? = item;
            count += 1;
        }
        match count {
            2 => Self::short(&items[0], &items[1], depth),
            17 => Self::branch(&items, depth),
            found => Err(NodeError::ItemCount { found }),
        }
    }

    /// A leaf or an extension.
    fn short(path: &Item<'n>, second: &Item<'n>, depth: usize) -> Result<Self, NodeError> {
        let (path, is_leaf) = HexPrefix::decode(path.string("path")?)?;
        if is_leaf {
            let value = second.string("value")?;
            if value.is_empty() {
                return Err(NodeError::EmptyValue);
            }
            if depth + path.len() != 64 {
                return Err(NodeError::Depth { depth, nibbles: path.len() });
            }
            return Ok(Self::Leaf { path, value });
        }
        if path.len() == 0 {
            return Err(NodeError::EmptyExtension);
        }
        if depth + path.len() >= 64 {
            return Err(NodeError::Depth { depth, nibbles: path.len() });
        }
        let child = reference(second, 1, depth + path.len())?
            .ok_or(NodeError::Reference { item: 1, length: 0 })?;
        Ok(Self::Extension { path, child })
    }

    fn branch(items: &[Item<'n>; 17], depth: usize) -> Result<Self, NodeError> {
        if depth >= 64 {
            return Err(NodeError::Depth { depth, nibbles: 1 });
        }
        if !items[16].string("value of a branch")?.is_empty() {
            return Err(NodeError::BranchValue);
        }
        let mut children = [None; 16];
        for (index, child) in children.iter_mut().enumerate() {
            *child = reference(&items[index], index, depth + 1)?;
        }
        match children.iter().flatten().count() {
            found @ (0 | 1) => Err(NodeError::FewChildren { found }),
            _ => Ok(Self::Branch { children }),
        }
    }

    pub(crate) fn step(self, path: &mut Path) -> Next<'n> {
        match self {
            Self::Empty => Next::End(None),
            Self::Leaf { path: nibbles, value } => {
                Next::End(path.follow(&nibbles).then_some(value))
            }
            Self::Extension { path: nibbles, child } => {
                if path.follow(&nibbles) {
                    child.into()
                } else {
                    Next::End(None)
                }
            }
            Self::Branch { children } => {
                let child = path.next().and_then(|nibble| children[usize::from(nibble)]);
                child.map_or(Next::End(None), Into::into)
            }
        }
    }
}

impl<'n> From<Reference<'n>> for Next<'n> {
    fn from(reference: Reference<'n>) -> Self {
        match reference {
            Reference::Hash(hash) => Self::Hash(hash),
            Reference::Inline(node) => Self::Inline(node),
        }
    }
}

/// The child that an item names, or `None` if there is none. `index` is its place in the node.
fn reference<'n>(
    item: &Item<'n>,
    index: usize,
    depth: usize,
) -> Result<Option<Reference<'n>>, NodeError> {
    match (item.is_list, item.payload.len()) {
        (false, 0) => Ok(None),
        (false, 32) => Ok(Some(Reference::Hash(B256::from_slice(item.payload)))),
        (true, _) if item.all.len() < 32 => {
            // Whether or not the key leads there. 31 bytes bound the recursion.
            Node::decode(item.all, depth)?;
            Ok(Some(Reference::Inline(item.all)))
        }
        _ => Err(NodeError::Reference { item: index, length: item.all.len() }),
    }
}

/// Nibbles in hex-prefix encoding.
pub(crate) struct HexPrefix<'n> {
    bytes: &'n [u8],
    /// The place of the first nibble in `bytes`: behind the flag, and its padding if there is one.
    start: usize,
}

impl<'n> HexPrefix<'n> {
    /// The nibbles, and whether the flag says leaf.
    fn decode(bytes: &'n [u8]) -> Result<(Self, bool), NodeError> {
        let first = bytes.first().copied();
        let (start, is_leaf) = match first {
            Some(0x00) => (2, false),
            Some(0x10..=0x1f) => (1, false),
            Some(0x20) => (2, true),
            Some(0x30..=0x3f) => (1, true),
            _ => return Err(NodeError::HexPrefix { first }),
        };
        Ok((Self { bytes, start }, is_leaf))
    }

    fn len(&self) -> usize {
        2 * self.bytes.len() - self.start
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = u8> + '_ {
        self.bytes.iter().flat_map(|byte| [byte >> 4, byte & 0x0f]).skip(self.start)
    }
}

/// A key, and how many of its 64 nibbles are above the present node.
pub(crate) struct Path {
    pub(crate) key: B256,
    pub(crate) at: usize,
}

impl Path {
    /// The next nibble; `None` behind the last.
    fn next(&mut self) -> Option<u8> {
        let byte = *self.key.get(self.at / 2)?;
        let nibble = if self.at.is_multiple_of(2) { byte >> 4 } else { byte & 0x0f };
        self.at += 1;
        Some(nibble)
    }

    /// Goes along `nibbles`, and says whether the key does.
    fn follow(&mut self, nibbles: &HexPrefix<'_>) -> bool {
        nibbles.iter().all(|nibble| self.next() == Some(nibble))
    }
}
