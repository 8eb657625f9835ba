//! A tree whose nodes are all in memory: for a directory, or a log that is checked whole.

use super::{Frontier, Nodes, inclusion_proof};
use crate::id::Digest;

/// A node that the tree does not hold: asked only past its size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the tree does not reach that far")]
pub struct OutOfTree;

/// Every complete subtree of a list of leaves.
#[derive(Debug, Clone)]
pub struct Tree {
    levels: Vec<Vec<Digest>>,
    frontier: Frontier,
}

impl Tree {
    /// The tree over leaf hashes.
    #[must_use]
    pub fn of(leaves: impl IntoIterator<Item = Digest>) -> Self {
        let mut tree = Self {
            levels: Vec::new(),
            frontier: Frontier::empty(),
        };
        for leaf in leaves {
            for (level, _, hash) in tree.frontier.append(leaf) {
                let level = usize::from(level);
                if tree.levels.len() <= level {
                    tree.levels.push(Vec::new());
                }
                if let Some(row) = tree.levels.get_mut(level) {
                    row.push(hash);
                }
            }
        }
        tree
    }

    /// Leaves.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.frontier.size()
    }

    /// Root over them.
    #[must_use]
    pub fn root(&self) -> Digest {
        self.frontier.root()
    }

    /// The path from one leaf to the root; none past the size.
    #[must_use]
    pub fn inclusion_proof(&self, index: u64) -> Option<Vec<Digest>> {
        inclusion_proof(self, index, self.size()).ok()
    }
}

impl Nodes for Tree {
    type Error = OutOfTree;

    fn node(&self, level: u8, index: u64) -> Result<Digest, OutOfTree> {
        let index = usize::try_from(index).map_err(|_| OutOfTree)?;
        self.levels
            .get(usize::from(level))
            .and_then(|row| row.get(index))
            .copied()
            .ok_or(OutOfTree)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::merkle::{leaf_hash, verify_inclusion};

    #[test]
    fn every_leaf_of_a_tree_in_memory_is_proved() {
        for size in 0..40_u64 {
            let leaves: Vec<Digest> = (0..size).map(|i| leaf_hash(&i.to_be_bytes())).collect();
            let tree = Tree::of(leaves.iter().copied());
            for (index, leaf) in (0..).zip(&leaves) {
                let path = tree.inclusion_proof(index).unwrap();
                verify_inclusion(leaf, index, size, &path, &tree.root()).unwrap();
            }
            assert_eq!(tree.inclusion_proof(size), None);
        }
    }
}
