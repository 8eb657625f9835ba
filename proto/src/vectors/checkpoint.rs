//! Vectors of verifier keys, notes and checkpoints (`spec/log.md`, LOG-05 to LOG-10).

use super::sample::{SampleLog, signer};
use super::{Area, Vector, run};
use crate::checkpoint::{CheckpointError, SignedCheckpoint};
use crate::limit;
use crate::note::{NoteError, Verifier};

pub(super) const CHECKPOINT: Area = Area {
    name: "checkpoint",
    generate: checkpoints,
    run: run_checkpoint,
};

/// LOG-05 to LOG-10.
#[test]
fn every_checkpoint_vector_ends_as_it_says() {
    run(&CHECKPOINT);
}

fn note_error(error: NoteError) -> &'static str {
    match error {
        NoteError::Name => "key/name",
        NoteError::VerifierKey => "key/form",
        NoteError::KeyId => "key/id",
        NoteError::Seed => "key/seed",
        NoteError::TooLong { .. } => "note/length",
        NoteError::NotText => "note/text",
        NoteError::Shape => "note/shape",
        NoteError::TooManySignatures => "note/signatures",
        NoteError::SignatureLine { .. } => "note/signature-line",
        NoteError::NotSigned => "note/not-signed",
        NoteError::BadSignature => "note/bad-signature",
    }
}

/// How `expect` names an error.
pub(super) fn checkpoint_error(error: &CheckpointError) -> &'static str {
    match error {
        CheckpointError::Note(error) => note_error(*error),
        CheckpointError::TooLong { .. } => "checkpoint/length",
        CheckpointError::Lines => "checkpoint/lines",
        CheckpointError::Origin { .. } => "checkpoint/origin",
        CheckpointError::Size => "checkpoint/size",
        CheckpointError::Root => "checkpoint/root",
        CheckpointError::EmptyRoot => "checkpoint/empty-root",
    }
}

fn run_checkpoint(vector: &Vector) -> String {
    let verifier: Verifier = match vector.one_text("vkey").parse() {
        Ok(verifier) => verifier,
        Err(error) => return note_error(error).to_owned(),
    };
    match SignedCheckpoint::verify(vector.one("note"), &verifier) {
        Ok(signed) => {
            assert_eq!(signed.size().to_string(), vector.one_text("size"));
            assert_eq!(signed.root().as_bytes(), vector.one("root"));
            "ok".to_owned()
        }
        Err(error) => checkpoint_error(&error).to_owned(),
    }
}

fn checkpoints() -> Vec<Vector> {
    let log = SampleLog::of(5);
    let groups = [
        good(&log),
        bad_keys(&log),
        bad_signatures(&log),
        bad_notes(&log),
        bad_numbers(&log),
        bad_lines(&log),
    ];
    groups.concat()
}

/// The note of the sample log's head, and its text and signature line.
fn head(log: &SampleLog) -> (String, String, String) {
    let note = String::from_utf8(log.checkpoint(5).as_bytes().to_vec()).unwrap();
    let (text, line) = note.rsplit_once("\n\n").unwrap();
    (note.clone(), text.to_owned(), line.to_owned())
}

/// The signature line of a note.
fn line_of(signed: &SignedCheckpoint) -> &str {
    std::str::from_utf8(signed.as_bytes())
        .unwrap()
        .rsplit_once("\n\n")
        .unwrap()
        .1
}

const FOREIGN: &str = "\u{2014} witness.example/w1 AAAAAAAAAAAA\n";

fn good(log: &SampleLog) -> Vec<Vector> {
    let (note, text, _) = head(log);
    let vector = |name: &str, check: &str, size: u64, note: &[u8], about: &str| {
        let vector = Vector::new(name, check, "ok", about).text("vkey", log.signer.verifier());
        vector
            .base64("note", note)
            .text("size", &size)
            .hex("root", log.root(size).as_bytes())
    };
    let witnessed = format!("{note}{}", FOREIGN.repeat(15));
    let other = SignedCheckpoint::sign(&signer(2), 5, log.root(5));
    let shared_name = format!("{note}{}", line_of(&other));
    let extended = log
        .signer
        .sign(&format!("{text}\nan extension line\n"))
        .unwrap();
    let empty = log.checkpoint(0);
    vec![
        vector(
            "five-entries",
            "LOG-08",
            5,
            note.as_bytes(),
            "a log of five entries",
        ),
        vector(
            "no-entries",
            "LOG-09",
            0,
            empty.as_bytes(),
            "a log without entries",
        ),
        vector(
            "other-signatures",
            "LOG-07",
            5,
            witnessed.as_bytes(),
            "15 unknown signatures follow",
        ),
        vector(
            "key-of-the-same-name",
            "LOG-07",
            5,
            shared_name.as_bytes(),
            "another key of this name signed too",
        ),
        vector(
            "extension-line",
            "LOG-10",
            5,
            &extended,
            "an extension line follows the root",
        ),
    ]
}

fn bad_keys(log: &SampleLog) -> Vec<Vector> {
    let (note, ..) = head(log);
    let vkey = log.signer.verifier().to_string();
    let id = vkey.split('+').nth(1).unwrap();
    let vector = |name: &str, error: &str, vkey: String, about: &str| {
        let vector = Vector::new(name, "LOG-05", &format!("key/{error}"), about);
        vector.text("vkey", &vkey).base64("note", note.as_bytes())
    };
    vec![
        vector(
            "key-id-of-another-key",
            "id",
            vkey.replace(id, "00000000"),
            "the id is not the key's",
        ),
        vector(
            "key-id-in-capitals",
            "form",
            vkey.replace(id, "ABCDEF01"),
            "the id is in capitals",
        ),
        vector(
            "key-of-another-type",
            "form",
            vkey.replace("+AY", "+Ao"),
            "the key's type is 0x02",
        ),
        vector(
            "key-name-with-a-space",
            "name",
            vkey.replace("waypost/", "way post/"),
            "a space in the name",
        ),
    ]
}

fn bad_note(log: &SampleLog, [name, check, error]: [&str; 3], note: &str, about: &str) -> Vector {
    let vector = Vector::new(name, check, &format!("note/{error}"), about);
    vector
        .text("vkey", log.signer.verifier())
        .base64("note", note.as_bytes())
}

fn bad_signatures(log: &SampleLog) -> Vec<Vector> {
    let (note, text, _) = head(log);
    let vector = |name: &str, error: &str, note: &str, about: &str| {
        bad_note(log, [name, "LOG-07", error], note, about)
    };
    let other = SignedCheckpoint::sign(&signer(2), 5, log.root(5));
    let four = log.checkpoint(4);
    let stranger = format!("{text}\n\n{}", line_of(&other));
    let moved = format!("{text}\n\n{}", line_of(&four));
    let both = format!("{note}{}", line_of(&four));
    vec![
        vector(
            "not-signed",
            "not-signed",
            &stranger,
            "only another key of the same name signed",
        ),
        vector(
            "false-signature",
            "bad-signature",
            &moved,
            "the signature is that of four entries",
        ),
        vector(
            "false-beside-true-signature",
            "bad-signature",
            &both,
            "a true and a false signature",
        ),
    ]
}

fn bad_notes(log: &SampleLog) -> Vec<Vector> {
    let (note, text, line) = head(log);
    let vector = |name: &str, error: &str, note: &str, about: &str| {
        bad_note(log, [name, "LOG-06", error], note, about)
    };
    let hyphen = format!("{text}\n\n-{}", line.trim_start_matches('\u{2014}'));
    let id_only = format!("{note}\u{2014} witness.example/w1 AAAAAA==\n");
    let many = format!("{text}\n\n{}{line}", FOREIGN.repeat(limit::NOTE_SIGNATURES));
    let long = format!("{note}\u{2014} w {}\n", "AAAA".repeat(4096));
    vec![
        vector(
            "no-signature",
            "shape",
            &format!("{text}\n"),
            "the text stands alone",
        ),
        vector(
            "no-last-newline",
            "shape",
            note.trim_end(),
            "the last newline is missing",
        ),
        vector(
            "carriage-returns",
            "text",
            &note.replace('\n', "\r\n"),
            "lines end in CR and LF",
        ),
        vector(
            "hyphen-for-dash",
            "signature-line",
            &hyphen,
            "a signature line starts with a hyphen",
        ),
        vector(
            "signature-of-no-bytes",
            "signature-line",
            &id_only,
            "a signature line holds a key id only",
        ),
        vector(
            "seventeen-signatures",
            "signatures",
            &many,
            "16 unknown signatures before the log's",
        ),
        vector(
            "too-long-a-note",
            "length",
            &long,
            "an unknown signature of 12 KiB",
        ),
    ]
}

fn bad_text(log: &SampleLog, [name, check, error, about]: [&str; 4], text: &str) -> Vector {
    let vector = Vector::new(name, check, &format!("checkpoint/{error}"), about);
    let note = log.signer.sign(text).unwrap();
    vector
        .text("vkey", log.signer.verifier())
        .base64("note", &note)
}

fn bad_numbers(log: &SampleLog) -> Vec<Vector> {
    let five = log.checkpoint(5).checkpoint().text();
    let sized = |name: &str, size: &str, about: &str| {
        let text = five.replace("\n5\n", &format!("\n{size}\n"));
        bad_text(log, [name, "LOG-08", "size", about], &text)
    };
    let (two_lines, root) = five.trim_end().rsplit_once('\n').unwrap();
    let rooted = |name: &str, root: &str, about: &str| {
        let text = format!("{two_lines}\n{root}\n");
        bad_text(log, [name, "LOG-08", "root", about], &text)
    };
    let short = "AAAA".repeat(10) + "AA==";
    let unpadded = root.trim_end_matches('=');
    let beyond = "18446744073709551616";
    vec![
        sized(
            "size-with-leading-zero",
            "05",
            "the size has a leading zero",
        ),
        sized("size-with-sign", "+5", "the size has a plus sign"),
        sized("size-beyond-64-bits", beyond, "the size is 2^64"),
        rooted("short-root", &short, "the root has 31 bytes"),
        rooted("unpadded-root", unpadded, "no base64 padding"),
    ]
}

fn bad_lines(log: &SampleLog) -> Vec<Vector> {
    let five = log.checkpoint(5).checkpoint().text();
    let (two_lines, _) = five.trim_end().rsplit_once('\n').unwrap();
    let police = five.replace("child-protection", "police");
    let empty = five.replace("\n5\n", "\n0\n");
    let long = "x".repeat(limit::CHECKPOINT_TEXT_BYTES);
    let vector = |name: &str, check: &str, error: &str, text: &str, about: &str| {
        bad_text(log, [name, check, error, about], text)
    };
    vec![
        vector(
            "another-origin",
            "LOG-08",
            "origin",
            &police,
            "the origin is another agency's",
        ),
        vector(
            "no-root",
            "LOG-08",
            "lines",
            &format!("{two_lines}\n"),
            "the line of the root is missing",
        ),
        vector(
            "empty-line",
            "LOG-10",
            "lines",
            &format!("{five}\nx\n"),
            "an empty line before an extension line",
        ),
        vector(
            "empty-log-with-a-root",
            "LOG-09",
            "empty-root",
            &empty,
            "no entries, but the root of five",
        ),
        vector(
            "too-long-a-text",
            "LOG-10",
            "length",
            &format!("{five}{long}\n"),
            "extension lines of over 2 KiB",
        ),
    ]
}
