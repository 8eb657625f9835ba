//! Vectors of the tree (`spec/log.md`, LOG-01 to LOG-04) and of how a checkpoint follows the last one
//! seen (LOG-14, LOG-15).

use super::sample::{AGENCY, SampleLog};
use super::{Area, Vector, run};
use crate::checkpoint::{Checkpoint, Progress, ProgressError, check_progress};
use crate::id::Digest;
use crate::merkle::{self, VerifyError};
use crate::note::KeyName;

pub(super) const INCLUSION: Area = Area {
    name: "inclusion",
    generate: inclusions,
    run: run_inclusion,
};

pub(super) const CONSISTENCY: Area = Area {
    name: "consistency",
    generate: consistencies,
    run: run_consistency,
};

/// LOG-01 to LOG-03.
#[test]
fn every_inclusion_vector_ends_as_it_says() {
    run(&INCLUSION);
}

/// LOG-04, LOG-14, LOG-15.
#[test]
fn every_consistency_vector_ends_as_it_says() {
    run(&CONSISTENCY);
}

/// How `expect` names an error, after its stage.
pub(super) fn verify_error(error: VerifyError) -> &'static str {
    match error {
        VerifyError::Index { .. } => "index",
        VerifyError::Order { .. } => "order",
        VerifyError::Length { .. } => "length",
        VerifyError::Root => "root",
    }
}

fn path_of(vector: &Vector) -> Vec<Digest> {
    vector
        .all("path")
        .into_iter()
        .map(|hash| hash.try_into().unwrap())
        .collect()
}

fn number(vector: &Vector, name: &str) -> u64 {
    vector.one_text(name).parse().unwrap()
}

fn digest(vector: &Vector, name: &str) -> Digest {
    vector.one(name).try_into().unwrap()
}

fn run_inclusion(vector: &Vector) -> String {
    let leaf = merkle::leaf_hash(vector.one("entry"));
    let (index, size) = (number(vector, "index"), number(vector, "size"));
    let root = digest(vector, "root");
    match merkle::verify_inclusion(&leaf, index, size, &path_of(vector), &root) {
        Ok(()) => "ok".to_owned(),
        Err(error) => format!("inclusion/{}", verify_error(error)),
    }
}

fn inclusions() -> Vec<Vector> {
    let log = SampleLog::of(13);
    [included(&log), not_included(&log)].concat()
}

/// A vector that claims `entry` at `index` of the first `size` entries.
fn inclusion(
    log: &SampleLog,
    [name, expect]: [&str; 2],
    (entry, index, size): (usize, u64, u64),
    path: &[Digest],
    about: &str,
) -> Vector {
    let vector = Vector::new(name, "LOG-03", expect, about)
        .hex("entry", &log.entries[entry])
        .text("index", &index)
        .text("size", &size)
        .hex("root", log.root(size).as_bytes());
    with_path(vector, path)
}

fn with_path(vector: Vector, path: &[Digest]) -> Vector {
    path.iter()
        .fold(vector, |vector, hash| vector.hex("path", hash.as_bytes()))
}

fn path_to(log: &SampleLog, index: u64, size: u64) -> Vec<Digest> {
    merkle::inclusion_proof(log, index, size).unwrap()
}

fn included(log: &SampleLog) -> Vec<Vector> {
    let vector = |name: &str, index: usize, size: u64, about: &str| {
        let number = u64::try_from(index).unwrap();
        inclusion(
            log,
            [name, "ok"],
            (index, number, size),
            &path_to(log, number, size),
            about,
        )
    };
    vec![
        vector("first-of-one", 0, 1, "the only entry: an empty path"),
        vector("first-of-eight", 0, 8, "a full tree"),
        vector(
            "fifth-of-thirteen",
            4,
            13,
            "a path through the left subtree",
        ),
        vector(
            "last-of-thirteen",
            12,
            13,
            "the last entry has fewer siblings",
        ),
    ]
}

fn not_included(log: &SampleLog) -> Vec<Vector> {
    let vector =
        |name: &str, error: &str, place: (usize, u64, u64), path: &[Digest], about: &str| {
            inclusion(
                log,
                [name, &format!("inclusion/{error}")],
                place,
                path,
                about,
            )
        };
    let path = path_to(log, 4, 13);
    let mut swapped = path.clone();
    swapped.swap(0, 1);
    let last = path_to(log, 12, 13);
    let longer = [last.as_slice(), &path[..1]].concat();
    vec![
        vector(
            "another-entry",
            "root",
            (5, 4, 13),
            &path,
            "the path of entry 4 for entry 5",
        ),
        vector(
            "another-size",
            "length",
            (4, 4, 13),
            &path_to(log, 4, 8),
            "the path in eight entries",
        ),
        vector(
            "index-beyond-the-end",
            "index",
            (12, 13, 13),
            &last,
            "the index is the size",
        ),
        vector(
            "swapped",
            "root",
            (4, 4, 13),
            &swapped,
            "two hashes are swapped",
        ),
        vector(
            "too-short",
            "length",
            (4, 4, 13),
            &path[..3],
            "the last hash is missing",
        ),
        vector(
            "too-long",
            "length",
            (12, 12, 13),
            &longer,
            "a hash too many",
        ),
        node_as_entry(log),
    ]
}

/// LOG-01: leaves and inner nodes are hashed apart.
fn node_as_entry(log: &SampleLog) -> Vector {
    let [left, right] = [0, 1].map(|leaf: usize| merkle::leaf_hash(&log.entries[leaf]));
    let node = [&[1], left.as_bytes().as_slice(), right.as_bytes()].concat();
    let node = Vector::new(
        "node-as-entry",
        "LOG-01",
        "inclusion/root",
        "an inner node as an entry",
    )
    .hex("entry", &node)
    .text("index", &0)
    .text("size", &2)
    .hex("root", log.root(4).as_bytes());
    with_path(node, &path_to(log, 0, 4)[1..])
}

fn run_consistency(vector: &Vector) -> String {
    let seen = (!vector.all("seen-size").is_empty())
        .then(|| (number(vector, "seen-size"), digest(vector, "seen-root")));
    let new = Checkpoint {
        origin: KeyName::of_log(&AGENCY.parse().unwrap()),
        size: number(vector, "size"),
        root: digest(vector, "root"),
    };
    match check_progress(seen, &new, &path_of(vector)) {
        Ok(progress) => {
            let found = match progress {
                Progress::Same => "same",
                Progress::Newer => "newer",
                Progress::Older => "older",
            };
            assert_eq!(found, vector.one_text("progress"), "`{}`", vector.name);
            "ok".to_owned()
        }
        Err(ProgressError::Contradiction { .. }) => "progress/contradiction".to_owned(),
        Err(ProgressError::NeedlessPath { .. }) => "progress/needless-path".to_owned(),
        Err(ProgressError::NotConsistent { source, .. }) => {
            format!("consistency/{}", verify_error(source))
        }
    }
}

fn consistencies() -> Vec<Vector> {
    let log = SampleLog::of(13);
    [consistent(&log), not_consistent(&log), forks(&log)].concat()
}

/// A vector of the first `new` entries after `seen`, a size and root.
fn consistency(
    log: &SampleLog,
    vector: Vector,
    seen: Option<(u64, Digest)>,
    new: u64,
    path: &[Digest],
) -> Vector {
    let vector = match seen {
        Some((size, root)) => vector
            .text("seen-size", &size)
            .hex("seen-root", root.as_bytes()),
        None => vector,
    };
    with_path(
        vector
            .text("size", &new)
            .hex("root", log.root(new).as_bytes()),
        path,
    )
}

fn path_between(log: &SampleLog, from: u64, to: u64) -> Vec<Digest> {
    merkle::consistency_proof(log, from, to).unwrap()
}

fn consistent(log: &SampleLog) -> Vec<Vector> {
    let vector = |name: &str, progress: &str, seen: Option<u64>, new: u64, about: &str| {
        let vector = Vector::new(name, "LOG-14", "ok", about).text("progress", &progress);
        let (from, to) = seen.map_or((0, new), |seen| (seen.min(new), seen.max(new)));
        let seen = seen.map(|size| (size, log.root(size)));
        consistency(log, vector, seen, new, &path_between(log, from, to))
    };
    vec![
        vector("first-seen", "newer", None, 6, "nothing was seen before"),
        vector(
            "grown",
            "newer",
            Some(6),
            13,
            "from six entries to thirteen",
        ),
        vector(
            "grown-from-a-full-tree",
            "newer",
            Some(8),
            13,
            "the root of eight is not in the path",
        ),
        vector(
            "grown-from-nothing",
            "newer",
            Some(0),
            6,
            "from a log without entries",
        ),
        vector("same", "same", Some(6), 6, "the checkpoint last seen again"),
        vector(
            "older",
            "older",
            Some(13),
            6,
            "six entries after thirteen were seen",
        ),
    ]
}

fn not_consistent(log: &SampleLog) -> Vec<Vector> {
    let vector = |name: &str, expect: &str, seen: u64, new: u64, path: &[Digest], about: &str| {
        let vector = Vector::new(name, "LOG-14", expect, about);
        consistency(log, vector, Some((seen, log.root(seen))), new, path)
    };
    let path = path_between(log, 6, 13);
    let other = path_between(log, 6, 12);
    let mut swapped = path.clone();
    swapped.swap(0, 1);
    vec![
        vector(
            "grown-without-path",
            "consistency/length",
            6,
            13,
            &[],
            "no path from six to thirteen",
        ),
        vector(
            "older-without-path",
            "consistency/length",
            13,
            6,
            &[],
            "no path for a smaller size",
        ),
        vector(
            "path-of-other-sizes",
            "consistency/root",
            6,
            13,
            &other,
            "the path from six to twelve",
        ),
        vector(
            "path-swapped",
            "consistency/root",
            6,
            13,
            &swapped,
            "two hashes are swapped",
        ),
        vector(
            "path-too-short",
            "consistency/length",
            6,
            13,
            &path[..3],
            "the last hash is missing",
        ),
        vector(
            "needless-path",
            "progress/needless-path",
            6,
            6,
            &path,
            "a path between equal sizes",
        ),
        vector(
            "path-from-nothing",
            "consistency/length",
            0,
            6,
            &path,
            "a path from no entries",
        ),
    ]
}

fn forks(log: &SampleLog) -> Vec<Vector> {
    let forked = Some((6, merkle::leaf_hash(b"another history")));
    let rewritten = Vector::new(
        "rewritten",
        "LOG-14",
        "consistency/root",
        "grown from another history",
    );
    let contradiction = Vector::new(
        "contradiction",
        "LOG-15",
        "progress/contradiction",
        "two roots of six",
    );
    let path = path_between(log, 6, 13);
    vec![
        consistency(log, rewritten, forked, 13, &path),
        consistency(log, contradiction, forked, 6, &[]),
    ]
}
