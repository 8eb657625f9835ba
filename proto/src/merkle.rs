//! The Merkle tree of a log: RFC 6962, section 2.1, with SHA-256 (`spec/log.md`, LOG-01 to LOG-04).
//!
//! Whoever keeps a log stores one hash for each *complete* subtree: level 0 holds the leaf hashes,
//! and node `index` of level `level` covers the leaves from `index << level` on, `1 << level` of
//! them. A complete subtree never changes, so nodes are written once. Roots and proofs of any size
//! up to the present one are computed from O(log n) of them.
//!
//! In scope: hashing, the frontier that a sequencer appends to, proofs and their verification. Out of
//! scope: where nodes are stored ([`Nodes`]), and who signs a root (`checkpoint`).

mod tree;

pub use tree::{OutOfTree, Tree};

use crate::id::Digest;

/// Leaves that a tree may hold: no count of leaves overflows below it.
pub const MAX_LEAVES: u64 = 1 << 62;

/// A frontier or a proof that cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum TreeError<E: std::error::Error + 'static> {
    /// The caller asked for a leaf that the tree of this size does not hold.
    #[error("leaf {index} is not in a tree of {size} leaves")]
    Index {
        /// Leaf asked for.
        index: u64,
        /// Leaves of the tree.
        size: u64,
    },
    /// The caller asked for consistency with a larger tree.
    #[error("a tree of {from} leaves is no beginning of one of {to}")]
    Order {
        /// Leaves of the tree that should be the beginning.
        from: u64,
        /// Leaves of the whole tree.
        to: u64,
    },
    /// More leaves than any tree may hold.
    #[error("a tree of {size} leaves is too large")]
    Size {
        /// Leaves asked for.
        size: u64,
    },
    /// The store failed to give a node.
    #[error("node {index} of level {level} cannot be read")]
    Node {
        /// Level of the node; 0 is the leaves.
        level: u8,
        /// Number of the node in its level.
        index: u64,
        /// Why.
        #[source]
        source: E,
    },
}

/// A proof that does not hold: the peer that gave it misbehaved, or it belongs to something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// LOG-03: the leaf is beyond the tree's end.
    #[error("leaf {index} is not in a tree of {size} leaves")]
    Index {
        /// Leaf claimed.
        index: u64,
        /// Leaves of the tree.
        size: u64,
    },
    /// LOG-04: the smaller tree was not given first.
    #[error("a tree of {from} leaves is no beginning of one of {to}")]
    Order {
        /// Leaves of the tree that should be the beginning.
        from: u64,
        /// Leaves of the whole tree.
        to: u64,
    },
    /// The path has more or fewer hashes than its place in the tree calls for.
    #[error("the path has {found} hashes, which is not the number that these sizes call for")]
    Length {
        /// Hashes found.
        found: usize,
    },
    /// The path leads to another root.
    #[error("the path leads to another root")]
    Root,
}

/// Hash of a leaf: SHA-256 of a zero byte and the exact entry (LOG-01).
#[must_use]
pub fn leaf_hash(entry: &[u8]) -> Digest {
    Digest::of_parts(&[&[0], entry])
}

/// Hash of an inner node: SHA-256 of a one byte, the left and the right hash (LOG-01).
#[must_use]
pub fn node_hash(left: &Digest, right: &Digest) -> Digest {
    Digest::of_parts(&[&[1], left.as_bytes(), right.as_bytes()])
}

/// Root of the tree without leaves: SHA-256 of nothing (LOG-01).
#[must_use]
pub fn empty_root() -> Digest {
    Digest::of(&[])
}

/// The stored nodes of one log.
///
/// A node exists once its subtree is complete; proofs of a size ask only for nodes that are complete
/// at that size.
pub trait Nodes {
    /// Why a node cannot be read.
    type Error: std::error::Error + 'static;

    /// Hash of the complete subtree `index` of `level`.
    ///
    /// # Errors
    ///
    /// The node is not stored, or the store failed.
    fn node(&self, level: u8, index: u64) -> Result<Digest, Self::Error>;
}

fn read<N: Nodes>(nodes: &N, level: u8, index: u64) -> Result<Digest, TreeError<N::Error>> {
    nodes.node(level, index).map_err(|source| TreeError::Node {
        level,
        index,
        source,
    })
}

/// Largest power of two up to `count`, as its exponent. `count` is at least 1.
fn log2_floor(count: u64) -> u8 {
    u8::try_from(count.max(1).ilog2()).unwrap_or(63)
}

/// RFC 6962's k: the largest power of two smaller than `count`. `count` is at least 2.
fn split(count: u64) -> u64 {
    1 << log2_floor(count.saturating_sub(1))
}

/// The complete subtrees that the leaves from `from` to before `to` consist of, left to right, as
/// level and index. `from` is a multiple of the size of the first.
fn complete_subtrees(mut from: u64, to: u64) -> Vec<(u8, u64)> {
    let mut subtrees = Vec::new();
    while from < to {
        let level = log2_floor(to - from);
        subtrees.push((level, from >> level));
        from += 1 << level;
    }
    subtrees
}

/// Hash over complete subtrees, largest first, as RFC 6962 joins them: from the right.
fn join(subtrees: &[Digest]) -> Digest {
    subtrees
        .iter()
        .copied()
        .rev()
        .reduce(|right, left| node_hash(&left, &right))
        .unwrap_or_else(empty_root)
}

/// Hash of the leaves from `from` to before `to`, a subtree that RFC 6962's splitting yields.
fn range_hash<N: Nodes>(nodes: &N, from: u64, to: u64) -> Result<Digest, TreeError<N::Error>> {
    let hashes = complete_subtrees(from, to)
        .into_iter()
        .map(|(level, index)| read(nodes, level, index))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(join(&hashes))
}

/// Root of the tree's first `size` leaves.
///
/// # Errors
///
/// [`TreeError::Size`] or [`TreeError::Node`].
pub fn root<N: Nodes>(nodes: &N, size: u64) -> Result<Digest, TreeError<N::Error>> {
    Frontier::load(size, nodes).map(|frontier| frontier.root())
}

/// The right edge of a tree: its complete subtrees, largest first. All that appending needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    /// INVARIANT (frontier): one hash for each one-bit of `size`, the highest bit first.
    hashes: Vec<Digest>,
}

impl Frontier {
    /// That of the tree without leaves.
    #[must_use]
    pub const fn empty() -> Self {
        Self {
            size: 0,
            hashes: Vec::new(),
        }
    }

    /// That of the first `size` leaves of a stored tree.
    ///
    /// # Errors
    ///
    /// [`TreeError::Size`] or [`TreeError::Node`].
    pub fn load<N: Nodes>(size: u64, nodes: &N) -> Result<Self, TreeError<N::Error>> {
        if size > MAX_LEAVES {
            return Err(TreeError::Size { size });
        }
        let hashes = complete_subtrees(0, size)
            .into_iter()
            .map(|(level, index)| read(nodes, level, index))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self { size, hashes })
    }

    /// From its plain form; `None` unless there is exactly one hash for each one-bit of `size`.
    #[must_use]
    pub fn from_hashes(size: u64, hashes: Vec<Digest>) -> Option<Self> {
        let fits = size <= MAX_LEAVES && u32::try_from(hashes.len()) == Ok(size.count_ones());
        fits.then_some(Self { size, hashes })
    }

    /// Its plain form: the hashes of the complete subtrees, largest first.
    #[must_use]
    pub fn hashes(&self) -> &[Digest] {
        &self.hashes
    }

    /// Leaves of the tree.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Root of the tree (LOG-02).
    #[must_use]
    pub fn root(&self) -> Digest {
        join(&self.hashes)
    }

    /// Adds a leaf and returns the nodes that this completes, as level, index and hash: the leaf
    /// first, each the child of the next. They are to be stored.
    pub fn append(&mut self, leaf: Digest) -> Vec<(u8, u64, Digest)> {
        let index = self.size;
        let mut hash = leaf;
        let mut completed = vec![(0, index, hash)];
        // Each trailing one-bit of the old size is a subtree that now gets its sibling.
        for level in 1..=63 {
            if (index >> (level - 1)) & 1 == 0 {
                break;
            }
            let Some(left) = self.hashes.pop() else { break };
            hash = node_hash(&left, &hash);
            completed.push((level, index >> level, hash));
        }
        self.hashes.push(hash);
        self.size += 1;
        completed
    }
}

/// Proof that leaf `index` is in the tree of the first `size` leaves: the siblings from the leaf's up
/// to the root's child (RFC 6962, 2.1.1). O(log n) reads.
///
/// # Errors
///
/// [`TreeError::Index`], [`TreeError::Size`] or [`TreeError::Node`].
pub fn inclusion_proof<N: Nodes>(
    nodes: &N,
    index: u64,
    size: u64,
) -> Result<Vec<Digest>, TreeError<N::Error>> {
    if size > MAX_LEAVES {
        return Err(TreeError::Size { size });
    }
    if index >= size {
        return Err(TreeError::Index { index, size });
    }
    let (mut from, mut to) = (0, size);
    let mut path = Vec::new();
    while to - from > 1 {
        let middle = from + split(to - from);
        if index < middle {
            path.push(range_hash(nodes, middle, to)?);
            to = middle;
        } else {
            path.push(range_hash(nodes, from, middle)?);
            from = middle;
        }
    }
    path.reverse();
    Ok(path)
}

/// Proof that the tree of the first `from` leaves is the beginning of that of the first `to`
/// (RFC 6962, 2.1.2). Empty when `from` is 0 or the sizes are equal. O(log n) reads.
///
/// # Errors
///
/// [`TreeError::Order`], [`TreeError::Size`] or [`TreeError::Node`].
pub fn consistency_proof<N: Nodes>(
    nodes: &N,
    from: u64,
    to: u64,
) -> Result<Vec<Digest>, TreeError<N::Error>> {
    if to > MAX_LEAVES {
        return Err(TreeError::Size { size: to });
    }
    if from > to {
        return Err(TreeError::Order { from, to });
    }
    if from == 0 {
        return Ok(Vec::new());
    }
    // The subtree of leaves `start` to before `end` holds the last leaf of the smaller tree.
    let (mut start, mut end) = (0, to);
    let mut path = Vec::new();
    while from < end {
        let middle = start + split(end - start);
        if from <= middle {
            path.push(range_hash(nodes, middle, end)?);
            end = middle;
        } else {
            path.push(range_hash(nodes, start, middle)?);
            start = middle;
        }
    }
    // The verifier has the subtree's hash only if it is the whole smaller tree.
    if start > 0 {
        path.push(range_hash(nodes, start, end)?);
    }
    path.reverse();
    Ok(path)
}

/// Checks LOG-03: that `leaf`, a leaf hash, is leaf `index` of the tree of `size` leaves with `root`.
///
/// # Errors
///
/// [`VerifyError`]: the proof does not show it.
pub fn verify_inclusion(
    leaf: &Digest,
    index: u64,
    size: u64,
    path: &[Digest],
    root: &Digest,
) -> Result<(), VerifyError> {
    if index >= size {
        return Err(VerifyError::Index { index, size });
    }
    let wrong_length = VerifyError::Length { found: path.len() };
    // RFC 9162, 2.1.3.2: `node` and `last` are our node and the last one of the same level.
    let (mut node, mut last) = (index, size - 1);
    let mut hash = *leaf;
    for sibling in path {
        if last == 0 {
            return Err(wrong_length);
        }
        if node & 1 == 1 || node == last {
            hash = node_hash(sibling, &hash);
            // The last node of a level may have no sibling there: it rises until it has one.
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            hash = node_hash(&hash, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    if last != 0 {
        return Err(wrong_length);
    }
    if hash == *root {
        Ok(())
    } else {
        Err(VerifyError::Root)
    }
}

/// Checks LOG-04: that the tree `from` (size and root) is the beginning of the tree `to`.
///
/// # Errors
///
/// [`VerifyError`]: the proof does not show it.
pub fn verify_consistency(
    from: (u64, &Digest),
    to: (u64, &Digest),
    path: &[Digest],
) -> Result<(), VerifyError> {
    let ((from, from_root), (to, to_root)) = (from, to);
    let wrong_length = VerifyError::Length { found: path.len() };
    if from > to {
        return Err(VerifyError::Order { from, to });
    }
    if from == 0 || from == to {
        let same = if from == to {
            *from_root == *to_root
        } else {
            *from_root == empty_root()
        };
        return match (path, same) {
            ([], true) => Ok(()),
            ([], false) => Err(VerifyError::Root),
            (_, _) => Err(wrong_length),
        };
    }
    // RFC 9162, 2.1.4.2: start at the largest subtree that ends where the smaller tree ends. If that
    // is the whole smaller tree, its root is known and not in the path.
    let rise = from.trailing_zeros();
    let (mut node, mut last) = ((from - 1) >> rise, (to - 1) >> rise);
    let mut rest = path.iter();
    let seed = if from.is_power_of_two() {
        Some(from_root)
    } else {
        rest.next()
    };
    let (mut small, mut large) = seed.map_or(Err(wrong_length), |seed| Ok((*seed, *seed)))?;
    for hash in rest {
        if last == 0 {
            return Err(wrong_length);
        }
        if node & 1 == 1 || node == last {
            small = node_hash(hash, &small);
            large = node_hash(hash, &large);
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            large = node_hash(&large, hash);
        }
        node >>= 1;
        last >>= 1;
    }
    if last != 0 {
        return Err(wrong_length);
    }
    if small == *from_root && large == *to_root {
        Ok(())
    } else {
        Err(VerifyError::Root)
    }
}

#[cfg(test)]
mod tests;
