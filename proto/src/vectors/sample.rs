//! A log with fixed entries and keys, from which the vectors, the examples of `spec/log.md` and the
//! sample for foreign implementations are made.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::path::Path;

use prost::Message;
use zeroize::Zeroizing;

use super::assert_current;
use crate::checkpoint::SignedCheckpoint;
use crate::id::Digest;
use crate::merkle::{self, Frontier, Nodes};
use crate::note::{KeyName, NoteSigner};
use crate::tiles::Tiler;
use crate::tlog_proof::TlogProof;
use crate::wire;

/// A log in memory, of real entries and a fixed key.
pub(super) struct SampleLog {
    pub(super) signer: NoteSigner,
    pub(super) entries: Vec<Vec<u8>>,
    nodes: BTreeMap<(u8, u64), Digest>,
}

impl Nodes for SampleLog {
    type Error = Infallible;

    fn node(&self, level: u8, index: u64) -> Result<Digest, Infallible> {
        Ok(self.nodes[&(level, index)])
    }
}

pub(super) const AGENCY: &str = "gb.example-county.child-protection";

pub(super) fn signer(seed: u8) -> NoteSigner {
    let name = KeyName::of_log(&AGENCY.parse().unwrap());
    NoteSigner::from_seed(name, Zeroizing::new([seed; 32])).unwrap()
}

/// The first entry opens the epoch, the others say that an officer fetched a message.
fn entry(number: u64) -> Vec<u8> {
    let event = match number {
        0 => wire::log_entry::Event::Genesis(wire::Genesis {
            agency: AGENCY.to_owned(),
            epoch: 1,
            previous_checkpoint: Vec::new(),
        }),
        _ => wire::log_entry::Event::Fetched(wire::Fetched {
            message_id: vec![u8::try_from(number % 256).unwrap(); 16],
            officer: vec![0xa5; 32],
        }),
    };
    wire::LogEntry {
        version: 1,
        time: 1_780_000_000 + 60 * number,
        event: Some(event),
    }
    .encode_to_vec()
}

impl SampleLog {
    pub(super) fn of(size: u64) -> Self {
        let entries: Vec<_> = (0..size).map(entry).collect();
        let mut frontier = Frontier::empty();
        let mut nodes = BTreeMap::new();
        for entry in &entries {
            let completed = frontier.append(merkle::leaf_hash(entry));
            nodes.extend(
                completed
                    .into_iter()
                    .map(|(level, index, hash)| ((level, index), hash)),
            );
        }
        Self {
            signer: signer(1),
            entries,
            nodes,
        }
    }

    pub(super) fn root(&self, size: u64) -> Digest {
        merkle::root(self, size).unwrap()
    }

    pub(super) fn checkpoint(&self, size: u64) -> SignedCheckpoint {
        SignedCheckpoint::sign(&self.signer, size, self.root(size))
    }

    pub(super) fn proof(&self, index: u64, size: u64) -> TlogProof {
        let path = merkle::inclusion_proof(self, index, size).unwrap();
        TlogProof::new(index, path, &self.checkpoint(size))
    }
}

/// What `waypost log export` and `waypost log prove` would write of the sample log, which the foreign
/// implementations in `interop/` check: kept current as a vector is.
#[test]
fn the_sample_for_foreign_implementations_is_current() {
    let log = SampleLog::of(13);
    let head = log.checkpoint(13);
    let mut files = BTreeMap::new();
    let vkey = format!("{}\n", log.signer.verifier());
    files.insert("log/vkey".to_owned(), vkey.into_bytes());
    files.insert("log/checkpoint".to_owned(), head.as_bytes().to_vec());
    for (index, entry) in (0..).zip(&log.entries) {
        files.insert(format!("log/entries/{index:08}"), entry.clone());
        let proof = log.proof(index, 13).encode();
        files.insert(format!("proofs/{index:08}.tlog-proof"), proof);
    }
    // The same log, grown until it fills a tile.
    let grown = SampleLog::of(300);
    let mut tiler = Tiler::new();
    let full = grown
        .entries
        .iter()
        .flat_map(|entry| tiler.push(entry).unwrap());
    let mut tiles: Vec<_> = full.collect();
    tiles.extend(tiler.finish(&grown.checkpoint(300)).unwrap());
    files.extend(
        tiles
            .into_iter()
            .map(|file| (format!("tiles/{}", file.path), file.bytes)),
    );
    let path = merkle::consistency_proof(&log, 5, 13).unwrap();
    let path: String = path.iter().map(|hash| format!("{hash}\n")).collect();
    files.insert("older/consistency".to_owned(), path.into_bytes());
    files.insert(
        "older/checkpoint".to_owned(),
        log.checkpoint(5).as_bytes().to_vec(),
    );
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../interop/tlog/testdata");
    assert_current(&directory, &files);
}

/// The example bytes of the specification are those that the code makes.
#[test]
fn the_examples_of_the_specification_are_current() {
    let spec = include_str!("../../spec/log.md");
    let log = SampleLog::of(3);
    let proof = String::from_utf8(log.proof(1, 3).encode()).unwrap();
    let leaves: Vec<_> = log
        .entries
        .iter()
        .map(|entry| merkle::leaf_hash(entry).to_string())
        .collect();
    let examples = [
        hex::encode(&log.entries[1]),
        leaves.join("\n"),
        log.root(2).to_string(),
        log.root(3).to_string(),
        log.signer.verifier().to_string(),
        String::from_utf8(log.checkpoint(3).as_bytes().to_vec()).unwrap(),
        proof,
        merkle::consistency_proof(&log, 2, 3).unwrap()[0].to_string(),
    ];
    for example in examples {
        assert!(
            spec.contains(&example),
            "spec/log.md lacks this example:\n{example}"
        );
    }
}
