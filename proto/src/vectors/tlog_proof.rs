//! Vectors of offline proofs (`spec/log.md`, LOG-11 to LOG-13).

use super::checkpoint::checkpoint_error;
use super::sample::{SampleLog, signer};
use super::tree::verify_error;
use super::{Area, Vector, run};
use crate::checkpoint::SignedCheckpoint;
use crate::limit;
use crate::merkle;
use crate::note::Verifier;
use crate::tlog_proof::{TlogProof, TlogProofError};

pub(super) const TLOG_PROOF: Area = Area {
    name: "tlog-proof",
    generate: proofs,
    run: run_proof,
};

/// LOG-11 to LOG-13.
#[test]
fn every_tlog_proof_vector_ends_as_it_says() {
    run(&TLOG_PROOF);
}

fn proof_error(error: &TlogProofError) -> String {
    match error {
        TlogProofError::TooLong { .. } => "proof/length".to_owned(),
        TlogProofError::Shape => "proof/shape".to_owned(),
        TlogProofError::Extra => "proof/extra".to_owned(),
        TlogProofError::Index => "proof/index".to_owned(),
        TlogProofError::Hash { .. } => "proof/hash".to_owned(),
        TlogProofError::TooManyHashes => "proof/hashes".to_owned(),
        TlogProofError::Checkpoint(error) => checkpoint_error(error).to_owned(),
        TlogProofError::EntryTooLong { .. } => "entry/length".to_owned(),
        TlogProofError::Inclusion(error) => format!("inclusion/{}", verify_error(*error)),
    }
}

fn run_proof(vector: &Vector) -> String {
    let verifier: Verifier = vector.one_text("vkey").parse().unwrap();
    let verified = TlogProof::parse(vector.one("proof"))
        .and_then(|proof| proof.verify(vector.one("entry"), &verifier));
    verified.map_or_else(|error| proof_error(&error), |_| "ok".to_owned())
}

fn proofs() -> Vec<Vector> {
    let log = SampleLog::of(7);
    let proof = String::from_utf8(log.proof(5, 7).encode()).unwrap();
    [
        good(&log, &proof),
        bad_forms(&log, &proof),
        not_shown(&log, &proof),
    ]
    .concat()
}

/// A vector about entry 5 of the log.
fn fifth(log: &SampleLog, [name, check, expect]: [&str; 3], proof: &[u8], about: &str) -> Vector {
    let vector = Vector::new(name, check, expect, about).text("vkey", log.signer.verifier());
    vector
        .base64("proof", proof)
        .base64("entry", &log.entries[5])
}

/// The first two hashes of the path.
fn hashes(proof: &str) -> (&str, &str) {
    let mut lines = proof.lines().skip(2);
    (lines.next().unwrap(), lines.next().unwrap())
}

fn good(log: &SampleLog, proof: &str) -> Vec<Vector> {
    let extra = proof.replacen("index", "extra ZXh0cmE=\nindex", 1);
    let only = SampleLog::of(1);
    let of_one = Vector::new(
        "the-only-entry",
        "LOG-12",
        "ok",
        "the only entry of a log: no hashes",
    );
    let of_one = of_one.text("vkey", only.signer.verifier());
    vec![
        fifth(
            log,
            ["the-sixth-of-seven", "LOG-12", "ok"],
            proof.as_bytes(),
            "entry 5 of seven",
        ),
        fifth(
            log,
            ["extra-data", "LOG-11", "ok"],
            extra.as_bytes(),
            "extra data, which is ignored",
        ),
        of_one
            .base64("proof", &only.proof(0, 1).encode())
            .base64("entry", &only.entries[0]),
    ]
}

fn bad_forms(log: &SampleLog, proof: &str) -> Vec<Vector> {
    let changed = |from: &str, to: &str| proof.replacen(from, to, 1);
    let vector = |name: &str, error: &str, proof: String, about: &str| {
        fifth(
            log,
            [name, "LOG-11", &format!("proof/{error}")],
            proof.as_bytes(),
            about,
        )
    };
    let (first, _) = hashes(proof);
    let many = changed(first, &vec![first; limit::PROOF_HASHES].join("\n"));
    let long = format!("{proof}{}", " ".repeat(limit::PROOF_BYTES));
    vec![
        vector(
            "another-version",
            "shape",
            changed("@v1", "@v2"),
            "the first line names version 2",
        ),
        vector(
            "no-blank-line",
            "shape",
            proof.replace("\n\n", "\n"),
            "no blank line",
        ),
        vector(
            "empty-extra",
            "extra",
            changed("index", "extra \nindex"),
            "an extra line without data",
        ),
        vector(
            "no-index",
            "index",
            changed("index 5\n", ""),
            "the index line is missing",
        ),
        vector(
            "index-with-leading-zero",
            "index",
            changed("index 5", "index 05"),
            "the index is `05`",
        ),
        vector(
            "short-hash",
            "hash",
            changed(first, "AAAA"),
            "a hash of three bytes",
        ),
        vector(
            "too-many-hashes",
            "hashes",
            many,
            "more hashes than any tree needs",
        ),
        vector("too-long-a-proof", "length", long, "more than 32 KiB"),
    ]
}

fn not_shown(log: &SampleLog, proof: &str) -> Vec<Vector> {
    let changed = |from: &str, to: &str| proof.replacen(from, to, 1);
    let vector = |name: &str, expect: &str, proof: &str, about: &str| {
        fifth(log, [name, "LOG-12", expect], proof.as_bytes(), about)
    };
    let (first, second) = hashes(proof);
    let missing = changed(&format!("{first}\n"), "");
    let doubled = changed(first, &format!("{first}\n{first}"));
    let swapped = changed(&format!("{first}\n{second}"), &format!("{second}\n{first}"));
    let (before, _) = proof.split_once("\n\n").unwrap();
    let cut_off = format!("{before}\n\n");
    let other = SignedCheckpoint::sign(&signer(2), 7, log.root(7));
    let stranger = TlogProof::new(5, merkle::inclusion_proof(log, 5, 7).unwrap(), &other).encode();
    let long = Vector::new(
        "too-long-an-entry",
        "LOG-13",
        "entry/length",
        "one byte too many",
    );
    let long = long
        .text("vkey", log.signer.verifier())
        .base64("proof", proof.as_bytes());
    vec![
        vector(
            "another-index",
            "inclusion/root",
            &changed("index 5", "index 4"),
            "one less",
        ),
        vector(
            "index-beyond-the-end",
            "inclusion/index",
            &changed("index 5", "index 7"),
            "the log's size",
        ),
        vector(
            "hash-missing",
            "inclusion/length",
            &missing,
            "the first hash is missing",
        ),
        vector(
            "hash-doubled",
            "inclusion/length",
            &doubled,
            "the first hash stands twice",
        ),
        vector(
            "hashes-swapped",
            "inclusion/root",
            &swapped,
            "the first two hashes are swapped",
        ),
        vector(
            "checkpoint-cut-off",
            "note/shape",
            &cut_off,
            "nothing follows the blank line",
        ),
        fifth(
            log,
            ["signed-by-another-key", "LOG-12", "note/not-signed"],
            &stranger,
            "another key of the same name",
        ),
        long.base64("entry", &vec![0; limit::ENTRY_BYTES + 1]),
    ]
}
