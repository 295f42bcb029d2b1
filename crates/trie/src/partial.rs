//! A trie of which only what was proven is known, and which can be changed all the same.

use zvm_core::{B256, EMPTY_ROOT, keccak256};

use crate::{
    Nibbles, NodeError, ProofError,
    branch::{NodeRef, Slots},
    nibbles::{common_nibbles, key_nibble},
    node::NodeWriter,
    proof_node,
    update::Present,
    verify_proof,
};

/// A trie known by its root and by proofs: nodes on the way to proven keys, and beside them the
/// hashes of all others.
///
/// Known keys can be changed, and the root follows: it is that of the whole trie with these changes
/// made. A change that needs a node nobody has revealed is a [`HiddenNode`], never a wrong root.
///
/// ```
/// use zvm_core::keccak256;
/// use zvm_trie::{PartialTrie, trie_root};
///
/// let (a, b) = (keccak256("a"), keccak256("b"));
/// let mut trie = PartialTrie::new(trie_root([(a, "1")]));
/// let hidden = trie.set(b, Some(b"2")).unwrap_err();
/// assert!(hidden.path.is_empty());
///
/// // The proof that there is no `b` has the one leaf there is.
/// let leaf = [&[0xe3, 0xa1, 0x20], a.as_slice(), b"1"].concat(); // RLP;
/// assert_eq!(trie.reveal(b, &[leaf])?, None);
/// trie.set(b, Some(b"2"))?;
/// assert_eq!(trie.root(), trie_root([(a, "1"), (b, "2")]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct PartialTrie {
    /// The root that proofs are checked against: the one without changes.
    origin: B256,
    root: Node,
}

/// A node that a change needs and that no proof has revealed.
///
/// The proof of any key whose hash begins with `path` reveals it, whether the trie has that key or
/// not.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("node {hash} at path {path:?} of the trie is needed, and no proof has it")]
pub struct HiddenNode {
    /// The nibbles above it.
    pub path: Nibbles,
    /// Its hash.
    pub hash: B256,
}

/// A node, which hangs below the nibbles that lead to it.
#[derive(Clone, Debug, Default)]
enum Node {
    #[default]
    Empty,
    Leaf(Leaf),
    /// A branch, and the extension above it if it is further down than where it hangs.
    Branch(Box<Branch>),
    /// Whatever has this hash.
    Hidden(B256),
    /// A branch below an extension that is known.
    HiddenBranch {
        path: Nibbles,
        hash: B256,
    },
}

#[derive(Clone, Debug)]
struct Leaf {
    key: B256,
    value: Vec<u8>,
    /// How its parent names it, if it has been worked out where it hangs now.
    name: Option<NodeRef>,
}

#[derive(Clone, Debug)]
struct Branch {
    path: Nibbles,
    children: [Node; 16],
    /// The name of the branch node alone, if nothing has changed since it was worked out.
    name: Option<NodeRef>,
}

impl PartialTrie {
    /// A trie of which nothing is known but its root.
    #[must_use]
    pub fn new(root: B256) -> Self {
        let node = if root == EMPTY_ROOT { Node::Empty } else { Node::Hidden(root) };
        Self { origin: root, root: node }
    }

    /// Makes known what the proof of `key` has, and says what it proves: the value, or `None`.
    ///
    /// The proof is of the trie as it was without changes; it may come after changes, which stay.
    ///
    /// # Errors
    ///
    /// Those of [`verify_proof`]; nothing has become known.
    pub fn reveal<'p, N: AsRef<[u8]>>(
        &mut self,
        key: B256,
        proof: &'p [N],
    ) -> Result<Option<&'p [u8]>, ProofError> {
        let value = verify_proof(self.origin, key, proof)?;
        let nodes: Vec<_> = proof.iter().map(|node| (keccak256(node), node.as_ref())).collect();
        self.root
            .reveal(Nibbles::EMPTY, &key, &nodes)
            .map_err(|(index, error)| ProofError::Node { index, error })?;
        Ok(value)
    }

    /// The value of `key` with all changes made.
    ///
    /// # Errors
    ///
    /// [`HiddenNode`] on the way there.
    pub fn get(&self, key: B256) -> Result<Option<&[u8]>, HiddenNode> {
        let (mut node, mut path) = (&self.root, Nibbles::EMPTY);
        while let Node::Branch(branch) = node
            && branch.path.is_prefix_of(&key)
        {
            let nibble = key_nibble(&key, branch.path.len());
            (node, path) = (&branch.children[usize::from(nibble)], branch.path.child(nibble));
        }
        match node {
            Node::Leaf(leaf) if leaf.key == key => Ok(Some(&leaf.value)),
            _ => node.check_known(path, &key).map(|()| None),
        }
    }

    /// Gives `key` a value, or removes it. An empty value is none.
    ///
    /// # Errors
    ///
    /// [`HiddenNode`] on the way there, or beside a removed leaf if it takes the place of the branch
    /// above; nothing has changed.
    pub fn set(&mut self, key: B256, value: Option<&[u8]>) -> Result<(), HiddenNode> {
        match value {
            None | Some([]) => self.root.remove(Nibbles::EMPTY, &key),
            Some(value) => self.root.insert(Nibbles::EMPTY, &key, value),
        }
    }

    /// Makes all `changes`, new values first: what then takes the place of a removed leaf is known
    /// in more cases than if they were made in any order.
    ///
    /// # Errors
    ///
    /// As [`set`](Self::set); some of the changes have been made. All can be made again when the
    /// node is known.
    pub fn set_all<V: AsRef<[u8]>>(
        &mut self,
        changes: &[(B256, Option<V>)],
    ) -> Result<(), HiddenNode> {
        let value = |change: &Option<V>| change.as_ref().is_some_and(|v| !v.as_ref().is_empty());
        let (values, removals): (Vec<_>, Vec<_>) =
            changes.iter().partition(|(_, change)| value(change));
        values
            .into_iter()
            .chain(removals)
            .try_for_each(|(key, value)| self.set(*key, value.as_ref().map(AsRef::as_ref)))
    }

    /// The root with all changes made.
    #[must_use]
    pub fn root(&mut self) -> B256 {
        match self.root.name(0, &mut NodeWriter::default()) {
            None => EMPTY_ROOT,
            Some((name, _)) => name.root(),
        }
    }
}

impl Node {
    /// The node that has these bytes and hangs at `path`. What is within it comes with it.
    fn read(bytes: &[u8], path: Nibbles) -> Result<Self, NodeError> {
        let name = (bytes.len() > 2).then(|| NodeRef::of(bytes));
        match proof_node::Node::decode(bytes, path.len())? {
            proof_node::Node::Empty => Ok(Self::Empty),
            proof_node::Node::Leaf { path: rest, value } => {
                let key = rest.iter().fold(path, |path, nibble| path.child(nibble)).first_key();
                Ok(Self::Leaf(Leaf { key, value: value.to_vec(), name }))
            }
            proof_node::Node::Extension { path: rest, child } => {
                let path = rest.iter().fold(path, |path, nibble| path.child(nibble));
                match child {
                    proof_node::Reference::Hash(hash) => Ok(Self::HiddenBranch { path, hash }),
                    proof_node::Reference::Inline(bytes) => Self::read_branch(bytes, path),
                }
            }
            proof_node::Node::Branch { children } => {
                let mut branch = Branch { path, children: Default::default(), name };
                for (nibble, child) in (0..).zip(children) {
                    branch.children[usize::from(nibble)] = match child {
                        None => Self::Empty,
                        Some(proof_node::Reference::Hash(hash)) => Self::Hidden(hash),
                        Some(proof_node::Reference::Inline(bytes)) => {
                            Self::read(bytes, path.child(nibble))?
                        }
                    };
                }
                Ok(Self::Branch(Box::new(branch)))
            }
        }
    }

    /// The same where nothing but a branch can be.
    fn read_branch(bytes: &[u8], path: Nibbles) -> Result<Self, NodeError> {
        match Self::read(bytes, path)? {
            Self::Branch(branch) if branch.path == path => Ok(Self::Branch(branch)),
            _ => Err(NodeError::ExtensionChild),
        }
    }

    /// Goes towards `key` and puts in what is hidden and among `nodes`. An error says which of them
    /// is none.
    fn reveal(
        &mut self,
        path: Nibbles,
        key: &B256,
        nodes: &[(B256, &[u8])],
    ) -> Result<(), (usize, NodeError)> {
        let find = |hash: &B256| nodes.iter().position(|(found, _)| found == hash);
        match self {
            Self::Hidden(hash) => {
                let Some(index) = find(hash) else { return Ok(()) };
                *self = Self::read(nodes[index].1, path).map_err(|error| (index, error))?;
            }
            Self::HiddenBranch { path, hash } if path.is_prefix_of(key) => {
                let Some(index) = find(hash) else { return Ok(()) };
                *self = Self::read_branch(nodes[index].1, *path).map_err(|error| (index, error))?;
            }
            Self::Branch(branch) if branch.path.is_prefix_of(key) => {
                let nibble = key_nibble(key, branch.path.len());
                let child = &mut branch.children[usize::from(nibble)];
                return child.reveal(branch.path.child(nibble), key, nodes);
            }
            _ => return Ok(()),
        }
        self.reveal(path, key, nodes)
    }

    /// Fails if what is below here on the way to `key` is not known.
    fn check_known(&self, hang: Nibbles, key: &B256) -> Result<(), HiddenNode> {
        match self {
            Self::Hidden(hash) => Err(HiddenNode { path: hang, hash: *hash }),
            Self::HiddenBranch { path, hash } if path.is_prefix_of(key) => {
                Err(HiddenNode { path: *path, hash: *hash })
            }
            _ => Ok(()),
        }
    }

    fn insert(&mut self, hang: Nibbles, key: &B256, value: &[u8]) -> Result<(), HiddenNode> {
        self.check_known(hang, key)?;
        match self {
            Self::Branch(branch) if branch.path.is_prefix_of(key) => {
                let nibble = key_nibble(key, branch.path.len());
                let child = &mut branch.children[usize::from(nibble)];
                child.insert(branch.path.child(nibble), key, value)?;
                branch.name = None;
                return Ok(());
            }
            Self::Leaf(leaf) if leaf.key == *key => {
                leaf.value = value.to_vec();
                leaf.name = None;
                return Ok(());
            }
            _ => {}
        }
        let mut new = Self::Leaf(Leaf { key: *key, value: value.to_vec(), name: None });
        if let Some(present) = self.lead() {
            // The two part above what hangs here, which stays whole, and moves down.
            let depth = common_nibbles(&present, &key.0);
            let mut children = <[Self; 16]>::default();
            children[usize::from(key_nibble(key, depth))] = new;
            let moved = std::mem::take(self).moved();
            children[usize::from(key_nibble(&B256::new(present), depth))] = moved;
            let path = Nibbles::of_key(key, depth);
            new = Self::Branch(Box::new(Branch { path, children, name: None }));
        }
        *self = new;
        Ok(())
    }

    fn remove(&mut self, hang: Nibbles, key: &B256) -> Result<(), HiddenNode> {
        self.check_known(hang, key)?;
        match self {
            Self::Leaf(leaf) if leaf.key == *key => *self = Self::Empty,
            Self::Branch(branch) if branch.path.is_prefix_of(key) => {
                let nibble = key_nibble(key, branch.path.len());
                let at = usize::from(nibble);
                if !matches!(&branch.children[at], Self::Leaf(leaf) if leaf.key == *key) {
                    branch.children[at].remove(branch.path.child(nibble), key)?;
                    branch.name = None;
                    return Ok(());
                }
                if let Some((only, child)) = branch.only_beside(nibble) {
                    if let Self::Hidden(hash) = *child {
                        return Err(HiddenNode { path: branch.path.child(only), hash });
                    }
                    *self = std::mem::take(child).moved();
                    return Ok(());
                }
                branch.children[at] = Self::Empty;
                branch.name = None;
            }
            _ => {}
        }
        Ok(())
    }

    /// The nibbles that lead to what hangs here, as the beginning of a key. `None` if that is
    /// nothing, or not known.
    fn lead(&self) -> Option<[u8; 32]> {
        match self {
            Self::Empty | Self::Hidden(_) => None,
            Self::Leaf(leaf) => Some(leaf.key.0),
            Self::Branch(branch) => Some(*branch.path.padded()),
            Self::HiddenBranch { path, .. } => Some(*path.padded()),
        }
    }

    /// The same node hung elsewhere.
    fn moved(mut self) -> Self {
        if let Self::Leaf(leaf) = &mut self {
            leaf.name = None;
        }
        self
    }

    /// How the parent names what hangs here, `depth` nibbles down, and what it is.
    fn name(&mut self, depth: usize, writer: &mut NodeWriter) -> Option<(NodeRef, Present)> {
        match self {
            Self::Empty => None,
            Self::Leaf(leaf) => {
                let name =
                    leaf.name.get_or_insert_with(|| writer.leaf(&leaf.key, depth, &leaf.value));
                Some((*name, Present::Leaf))
            }
            Self::Branch(branch) => {
                let name = branch.name(writer);
                Some((writer.extension(&branch.path, depth, name), Present::Branch))
            }
            Self::Hidden(hash) => Some((NodeRef::hash(*hash), Present::Branch)),
            Self::HiddenBranch { path, hash } => {
                Some((writer.extension(path, depth, NodeRef::hash(*hash)), Present::Branch))
            }
        }
    }
}

impl Branch {
    /// The one child there is beside that under `nibble`, and its nibble; `None` if there are more.
    fn only_beside(&mut self, nibble: u8) -> Option<(u8, &mut Node)> {
        let mut others = (0..)
            .zip(&mut self.children)
            .filter(|(at, child)| *at != nibble && !matches!(child, Node::Empty));
        others.next().filter(|_| others.next().is_none())
    }

    /// The name of the branch node alone.
    fn name(&mut self, writer: &mut NodeWriter) -> NodeRef {
        if let Some(name) = self.name {
            return name;
        }
        let mut slots = Slots::default();
        for (nibble, child) in self.children.iter_mut().enumerate() {
            if let Some((name, present)) = child.name(self.path.len() + 1, writer) {
                slots.set(nibble, name, present);
            }
        }
        *self.name.insert(writer.branch(&slots))
    }
}
