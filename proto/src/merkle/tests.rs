//! The tree against a naive recursive one, written from RFC 6962, 2.1, as it reads.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::convert::Infallible;

use proptest::prelude::*;

use super::*;

/// A store in memory that counts reads. Asking for a node that is not complete panics.
#[derive(Default)]
struct Memory {
    nodes: BTreeMap<(u8, u64), Digest>,
    reads: Cell<usize>,
}

impl Nodes for Memory {
    type Error = Infallible;

    fn node(&self, level: u8, index: u64) -> Result<Digest, Infallible> {
        self.reads.set(self.reads.get() + 1);
        Ok(self.nodes[&(level, index)])
    }
}

fn leaf(index: u64) -> Digest {
    leaf_hash(&index.to_be_bytes())
}

fn leaves(count: u64) -> Vec<Digest> {
    (0..count).map(leaf).collect()
}

fn store(count: u64) -> (Memory, Frontier) {
    let mut memory = Memory::default();
    let mut frontier = Frontier::empty();
    for index in 0..count {
        for (level, number, hash) in frontier.append(leaf(index)) {
            assert!(
                memory.nodes.insert((level, number), hash).is_none(),
                "a node was written twice"
            );
        }
    }
    (memory, frontier)
}

fn naive_split(count: usize) -> usize {
    let mut k = 1;
    while k * 2 < count {
        k *= 2;
    }
    k
}

fn naive_root(leaves: &[Digest]) -> Digest {
    match leaves {
        [] => Digest::of(b""),
        [one] => *one,
        many => {
            let (left, right) = many.split_at(naive_split(many.len()));
            node_hash(&naive_root(left), &naive_root(right))
        }
    }
}

fn naive_path(index: usize, leaves: &[Digest]) -> Vec<Digest> {
    if leaves.len() == 1 {
        return Vec::new();
    }
    let k = naive_split(leaves.len());
    let (left, right) = leaves.split_at(k);
    let (mut path, sibling) = if index < k {
        (naive_path(index, left), naive_root(right))
    } else {
        (naive_path(index - k, right), naive_root(left))
    };
    path.push(sibling);
    path
}

fn naive_subproof(from: usize, leaves: &[Digest], whole: bool) -> Vec<Digest> {
    if from == leaves.len() {
        return if whole {
            Vec::new()
        } else {
            vec![naive_root(leaves)]
        };
    }
    let k = naive_split(leaves.len());
    let (left, right) = leaves.split_at(k);
    let (mut path, sibling) = if from <= k {
        (naive_subproof(from, left, whole), naive_root(right))
    } else {
        (naive_subproof(from - k, right, false), naive_root(left))
    };
    path.push(sibling);
    path
}

/// Every way to change a path a little: one bit, one hash less, one more, two swapped.
fn mutations(path: &[Digest]) -> Vec<Vec<Digest>> {
    let mut all = Vec::new();
    for position in 0..path.len() {
        let mut flipped = path.to_vec();
        let mut bytes = *flipped[position].as_bytes();
        bytes[position % 32] ^= 1 << (position % 8);
        flipped[position] = Digest::new(bytes);
        all.push(flipped);
        let mut shorter = path.to_vec();
        shorter.remove(position);
        all.push(shorter);
        let mut longer = path.to_vec();
        longer.insert(position, path[position]);
        all.push(longer);
        if position > 0 && path[position] != path[position - 1] {
            let mut swapped = path.to_vec();
            swapped.swap(position, position - 1);
            all.push(swapped);
        }
    }
    let mut longer = path.to_vec();
    longer.push(leaf(0));
    all.push(longer);
    all
}

/// LOG-01 and LOG-02: values known from RFC 6962 implementations (Certificate Transparency's tests).
#[test]
fn hashes_are_those_of_rfc_6962() {
    let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    assert_eq!(empty_root().to_string(), empty);
    let empty_leaf = "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d";
    assert_eq!(leaf_hash(b"").to_string(), empty_leaf);
    let inputs: [&str; 8] = [
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    ];
    let mut frontier = Frontier::empty();
    for input in inputs {
        frontier.append(leaf_hash(&hex::decode(input).unwrap()));
    }
    let eight = "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328";
    assert_eq!(frontier.root().to_string(), eight);
}

/// LOG-03 and LOG-04, for each pair of sizes and each leaf, with every small mutation.
#[test]
fn every_proof_of_small_trees_is_the_naive_one_and_no_mutation_of_it_verifies() {
    let (memory, _) = store(40);
    let all = leaves(40);
    for size in 1..=40_u64 {
        let tree = &all[..usize::try_from(size).unwrap()];
        let root = naive_root(tree);
        assert_eq!(super::root(&memory, size).unwrap(), root);
        for index in 0..size {
            let path = inclusion_proof(&memory, index, size).unwrap();
            assert_eq!(path, naive_path(usize::try_from(index).unwrap(), tree));
            verify_inclusion(&leaf(index), index, size, &path, &root).unwrap();
            for mutation in mutations(&path) {
                verify_inclusion(&leaf(index), index, size, &mutation, &root).unwrap_err();
            }
        }
        for from in 1..=size {
            let before = naive_root(&all[..usize::try_from(from).unwrap()]);
            let path = consistency_proof(&memory, from, size).unwrap();
            assert_eq!(
                path,
                naive_subproof(usize::try_from(from).unwrap(), tree, true)
            );
            verify_consistency((from, &before), (size, &root), &path).unwrap();
            for mutation in mutations(&path) {
                verify_consistency((from, &before), (size, &root), &mutation).unwrap_err();
            }
        }
    }
}

/// LOG-04: from nothing, the path is empty and the smaller root is that of no leaves.
#[test]
fn a_tree_without_leaves_is_the_beginning_of_every_tree() {
    let (memory, frontier) = store(9);
    let path = consistency_proof(&memory, 0, 9).unwrap();
    assert!(path.is_empty());
    verify_consistency((0, &empty_root()), (9, &frontier.root()), &path).unwrap();
    let wrong = verify_consistency((0, &leaf(0)), (9, &frontier.root()), &path);
    assert_eq!(wrong, Err(VerifyError::Root));
    let padded = verify_consistency((0, &empty_root()), (9, &frontier.root()), &[leaf(0)]);
    assert_eq!(padded, Err(VerifyError::Length { found: 1 }));
}

#[test]
fn what_a_tree_does_not_hold_cannot_be_asked_for() {
    let (memory, frontier) = store(5);
    assert!(matches!(
        inclusion_proof(&memory, 5, 5),
        Err(TreeError::Index { index: 5, size: 5 })
    ));
    assert!(matches!(
        consistency_proof(&memory, 6, 5),
        Err(TreeError::Order { from: 6, to: 5 })
    ));
    assert!(matches!(
        Frontier::load(u64::MAX, &memory),
        Err(TreeError::Size { .. })
    ));
    let beyond = verify_inclusion(&leaf(0), 5, 5, &[], &frontier.root());
    assert_eq!(beyond, Err(VerifyError::Index { index: 5, size: 5 }));
    let backwards = verify_consistency((6, &leaf(0)), (5, &frontier.root()), &[]);
    assert_eq!(backwards, Err(VerifyError::Order { from: 6, to: 5 }));
}

#[test]
fn a_plain_frontier_needs_one_hash_for_each_one_bit_of_its_size() {
    let (_, frontier) = store(11);
    let again = Frontier::from_hashes(frontier.size(), frontier.hashes().to_vec());
    assert_eq!(again, Some(frontier));
    assert_eq!(Frontier::from_hashes(11, vec![leaf(0); 2]), None);
    assert_eq!(Frontier::from_hashes(u64::MAX, vec![leaf(0); 64]), None);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// LOG-02 to LOG-04 for trees up to some hundred leaves.
    #[test]
    fn larger_trees_agree_with_the_naive_one(size in 1_u64..600, a in any::<u64>(), b in any::<u64>()) {
        let (index, from) = (a % size, b % size + 1);
        let (memory, frontier) = store(size);
        let all = leaves(size);
        let root = naive_root(&all);
        let before = naive_root(&all[..usize::try_from(from).unwrap()]);
        prop_assert_eq!(frontier.root(), root);
        prop_assert_eq!(&Frontier::load(size, &memory).unwrap(), &frontier);

        let path = inclusion_proof(&memory, index, size).unwrap();
        prop_assert_eq!(&path, &naive_path(usize::try_from(index).unwrap(), &all));
        prop_assert_eq!(verify_inclusion(&leaf(index), index, size, &path, &root), Ok(()));
        for mutation in mutations(&path) {
            prop_assert!(verify_inclusion(&leaf(index), index, size, &mutation, &root).is_err());
        }
        if size > 1 {
            let other = (index + 1) % size;
            prop_assert!(verify_inclusion(&leaf(index), other, size, &path, &root).is_err());
            prop_assert!(verify_inclusion(&leaf(other), index, size, &path, &root).is_err());
        }

        let path = consistency_proof(&memory, from, size).unwrap();
        prop_assert_eq!(&path, &naive_subproof(usize::try_from(from).unwrap(), &all, true));
        prop_assert_eq!(verify_consistency((from, &before), (size, &root), &path), Ok(()));
        for mutation in mutations(&path) {
            prop_assert!(verify_consistency((from, &before), (size, &root), &mutation).is_err());
        }
        prop_assert!(verify_consistency((from, &leaf(size)), (size, &root), &path).is_err());
        prop_assert!(verify_consistency((from, &before), (size, &leaf(size)), &path).is_err());
    }

    /// DESIGN 10: proofs are O(log n) in reads.
    #[test]
    fn a_proof_reads_no_more_than_two_nodes_a_level(size in 1_u64..2000, a in any::<u64>()) {
        let (memory, _) = store(size);
        let levels = usize::try_from(size.ilog2()).unwrap() + 1;
        inclusion_proof(&memory, a % size, size).unwrap();
        prop_assert!(memory.reads.replace(0) <= 2 * levels);
        consistency_proof(&memory, a % size, size).unwrap();
        prop_assert!(memory.reads.get() <= 2 * levels);
    }
}
