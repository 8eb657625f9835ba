//! Checkpoints: C2SP `tlog-checkpoint`, a signed note of a log's origin, size and root
//! (`spec/log.md`, LOG-08 to LOG-10), and how one is judged against the last one seen (LOG-14, LOG-15).
//!
//! ```text
//! bytes -> SignedCheckpoint::verify (form, signature, origin) -> check_progress (consistency)
//! ```

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::id::Digest;
use crate::limit;
use crate::merkle::{self, VerifyError};
use crate::note::{self, KeyName, NoteError, NoteSigner, Verifier};

/// A checkpoint that is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// LOG-06, LOG-07: it is no note, or the log's key did not sign it.
    #[error("the checkpoint's note is refused")]
    Note(#[source] NoteError),
    /// LOG-10: the text is longer than any checkpoint's.
    #[error("the checkpoint's text has {found} bytes, more than {max}", max = limit::CHECKPOINT_TEXT_BYTES)]
    TooLong {
        /// Bytes found.
        found: usize,
    },
    /// LOG-08: not at least three lines, or an empty one.
    #[error("a checkpoint has lines for origin, size and root, and no empty line")]
    Lines,
    /// LOG-08: it speaks of another log than its key's.
    #[error("the checkpoint's origin is not `{expected}`")]
    Origin {
        /// Origin that the key stands for.
        expected: KeyName,
    },
    /// LOG-08: not a decimal number below 2^64 without leading zeros.
    #[error("the checkpoint's size is not a decimal number without leading zeros")]
    Size,
    /// LOG-08: not 32 bytes in standard base64.
    #[error("the checkpoint's root is not a SHA-256 hash in base64")]
    Root,
    /// LOG-09: no leaves, but another root than that of no leaves.
    #[error("a log without entries has another root")]
    EmptyRoot,
}

/// What a log's key says about the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which log: its key's name, [`KeyName::of_log`].
    pub origin: KeyName,
    /// Entries of the log.
    pub size: u64,
    /// Root of their tree.
    pub root: Digest,
}

impl Checkpoint {
    /// The text of the note: three lines.
    #[must_use]
    pub fn text(&self) -> String {
        format!(
            "{}\n{}\n{}\n",
            self.origin,
            self.size,
            STANDARD.encode(self.root.as_bytes())
        )
    }

    /// LOG-08 to LOG-10. Extension lines are neither read nor kept here; they stay in the note.
    fn parse(text: &str, origin: &KeyName) -> Result<Self, CheckpointError> {
        if text.len() > limit::CHECKPOINT_TEXT_BYTES {
            return Err(CheckpointError::TooLong { found: text.len() });
        }
        let lines = text.strip_suffix('\n').ok_or(CheckpointError::Lines)?;
        if lines.split('\n').any(str::is_empty) {
            return Err(CheckpointError::Lines);
        }
        let mut lines = lines.split('\n');
        let (Some(name), Some(size), Some(root)) = (lines.next(), lines.next(), lines.next())
        else {
            return Err(CheckpointError::Lines);
        };
        if name != origin.as_str() {
            return Err(CheckpointError::Origin {
                expected: origin.clone(),
            });
        }
        let size = parse_decimal(size).ok_or(CheckpointError::Size)?;
        let root = parse_hash(root).ok_or(CheckpointError::Root)?;
        if size == 0 && root != merkle::empty_root() {
            return Err(CheckpointError::EmptyRoot);
        }
        Ok(Self {
            origin: origin.clone(),
            size,
            root,
        })
    }
}

/// A decimal number in its only form: no sign, no leading zeros.
pub(crate) fn parse_decimal(text: &str) -> Option<u64> {
    let number: u64 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

/// A hash in its only base64 form.
pub(crate) fn parse_hash(text: &str) -> Option<Digest> {
    Digest::try_from(STANDARD.decode(text).ok()?.as_slice()).ok()
}

/// A checkpoint with the exact note that proves it: made by the log's key, or verified with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedCheckpoint {
    checkpoint: Checkpoint,
    bytes: Vec<u8>,
}

impl SignedCheckpoint {
    /// Signs the head of the signer's log. The origin is the key's name.
    #[must_use]
    pub fn sign(signer: &NoteSigner, size: u64, root: Digest) -> Self {
        let checkpoint = Checkpoint {
            origin: signer.verifier().name().clone(),
            size,
            root,
        };
        // A name is at most NOTE_NAME_BYTES, so that the text always fits.
        let bytes = signer.sign_checked(&checkpoint.text());
        Self { checkpoint, bytes }
    }

    /// Verifies a note as a checkpoint of the log whose key `verifier` is.
    ///
    /// # Errors
    ///
    /// [`CheckpointError`]: whoever sent it misbehaved, or it is another log's.
    pub fn verify(bytes: &[u8], verifier: &Verifier) -> Result<Self, CheckpointError> {
        let opened = note::open(bytes, verifier).map_err(CheckpointError::Note)?;
        let checkpoint = Checkpoint::parse(opened.text, verifier.name())?;
        Ok(Self {
            checkpoint,
            bytes: bytes.to_vec(),
        })
    }

    /// What it says.
    #[must_use]
    pub const fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// Entries of the log.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.checkpoint.size
    }

    /// Root of their tree.
    #[must_use]
    pub const fn root(&self) -> &Digest {
        &self.checkpoint.root
    }

    /// The exact note.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The note with no other signature than the log's: what is kept as proof. A sender may pad a
    /// note with lines of unknown keys; without them two notes always fit in one entry.
    ///
    /// # Errors
    ///
    /// As [`Self::verify`], if `verifier` is not the key that this was verified with.
    pub fn bare(&self, verifier: &Verifier) -> Result<Self, CheckpointError> {
        let opened = note::open(&self.bytes, verifier).map_err(CheckpointError::Note)?;
        let bytes = [opened.text, "\n", opened.signature_line]
            .concat()
            .into_bytes();
        Self::verify(&bytes, verifier)
    }
}

/// How a checkpoint stands to the last one seen of the same log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// It says the same.
    Same,
    /// The log has grown, or nothing was seen before: this is now the last one seen.
    Newer,
    /// An earlier state of the same log: true, but the last one seen stays.
    Older,
}

/// A checkpoint that cannot stand beside the last one seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProgressError {
    /// LOG-15: two signed checkpoints of one size have different roots. Both are to be kept: they
    /// prove that the log's holder misbehaved, whatever else is said.
    #[error("two signed checkpoints of {size} entries contradict each other")]
    Contradiction {
        /// The size of both.
        size: u64,
    },
    /// LOG-14: the path does not show that one is the beginning of the other.
    #[error("consistency between {from} and {to} entries is not shown")]
    NotConsistent {
        /// The smaller size.
        from: u64,
        /// The larger size.
        to: u64,
        /// Why.
        #[source]
        source: VerifyError,
    },
    /// LOG-14: a path where there is nothing to prove.
    #[error("{found} hashes were given where no path is needed")]
    NeedlessPath {
        /// Hashes found.
        found: usize,
    },
}

/// Judges a verified checkpoint against the size and root last seen of the same log (LOG-14, LOG-15).
/// `path` is the consistency proof from the smaller to the larger of the two sizes; it is empty when
/// there was nothing before, the sizes are equal, or one of them is 0.
///
/// Checkpoints of one log must be judged one at a time: what is last seen is read, and changed, in
/// the commit that accepts this one.
///
/// # Errors
///
/// [`ProgressError`].
pub fn check_progress(
    last_seen: Option<(u64, Digest)>,
    new: &Checkpoint,
    path: &[Digest],
) -> Result<Progress, ProgressError> {
    let seen = last_seen.map(|(size, root)| (size, size.cmp(&new.size), root));
    let (from, to, progress) = match &seen {
        Some((size, std::cmp::Ordering::Equal, root)) if *root != new.root => {
            return Err(ProgressError::Contradiction { size: *size });
        }
        None | Some((_, std::cmp::Ordering::Equal, _)) => {
            if !path.is_empty() {
                return Err(ProgressError::NeedlessPath { found: path.len() });
            }
            return Ok(if seen.is_some() {
                Progress::Same
            } else {
                Progress::Newer
            });
        }
        Some((size, std::cmp::Ordering::Less, root)) => {
            ((*size, root), (new.size, &new.root), Progress::Newer)
        }
        Some((size, std::cmp::Ordering::Greater, root)) => {
            ((new.size, &new.root), (*size, root), Progress::Older)
        }
    };
    merkle::verify_consistency(from, to, path).map_err(|source| ProgressError::NotConsistent {
        from: from.0,
        to: to.0,
        source,
    })?;
    Ok(progress)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::convert::Infallible;

    use zeroize::Zeroizing;

    use super::*;
    use crate::merkle::{Frontier, Nodes, leaf_hash};

    struct Log(BTreeMap<(u8, u64), Digest>);

    impl Nodes for Log {
        type Error = Infallible;

        fn node(&self, level: u8, index: u64) -> Result<Digest, Infallible> {
            Ok(self.0[&(level, index)])
        }
    }

    impl Log {
        fn of(entries: u8) -> Self {
            let mut nodes = BTreeMap::new();
            let mut frontier = Frontier::empty();
            for entry in 0..entries {
                for (level, index, hash) in frontier.append(leaf_hash(&[entry])) {
                    nodes.insert((level, index), hash);
                }
            }
            Self(nodes)
        }

        fn head(&self, size: u64) -> Checkpoint {
            Checkpoint {
                origin: name(),
                size,
                root: merkle::root(self, size).unwrap(),
            }
        }

        fn path(&self, from: u64, to: u64) -> Vec<Digest> {
            merkle::consistency_proof(self, from, to).unwrap()
        }
    }

    fn name() -> KeyName {
        KeyName::of_log(&"gb.example-county.child-protection".parse().unwrap())
    }

    fn signer() -> NoteSigner {
        NoteSigner::from_seed(name(), Zeroizing::new([7; 32])).unwrap()
    }

    fn seen(checkpoint: &Checkpoint) -> Option<(u64, Digest)> {
        Some((checkpoint.size, checkpoint.root))
    }

    /// LOG-08.
    #[test]
    fn a_signed_checkpoint_verifies_with_its_key_only() {
        let signed = SignedCheckpoint::sign(&signer(), 3, leaf_hash(b""));
        let verified = SignedCheckpoint::verify(signed.as_bytes(), signer().verifier()).unwrap();
        assert_eq!(verified, signed);
        let other = NoteSigner::from_seed(name(), Zeroizing::new([8; 32])).unwrap();
        let refused = SignedCheckpoint::verify(signed.as_bytes(), other.verifier());
        assert_eq!(refused, Err(CheckpointError::Note(NoteError::NotSigned)));
    }

    fn read(text: &str) -> Result<Checkpoint, CheckpointError> {
        let note = signer().sign(text).unwrap();
        SignedCheckpoint::verify(&note, signer().verifier())
            .map(|signed| signed.checkpoint().clone())
    }

    const ROOT: &str = "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=";

    /// LOG-08, LOG-09.
    #[test]
    fn a_text_that_is_not_exactly_a_checkpoint_is_refused() {
        let name = name();
        assert_eq!(read(&format!("{name}\n1\n{ROOT}\n")).unwrap().size, 1);
        for size in [
            "01",
            "+1",
            "-1",
            "1 ",
            "",
            "0x1",
            "18446744073709551616",
            "١",
        ] {
            let refused = read(&format!("{name}\n{size}\n{ROOT}\n")).unwrap_err();
            let expected = if size.is_empty() {
                CheckpointError::Lines
            } else {
                CheckpointError::Size
            };
            assert_eq!(refused, expected, "`{size}`");
        }
        for root in [
            ROOT.trim_end_matches('='),
            "AAAA",
            &ROOT.replace("q2I=", "q2J="),
            &ROOT.replace('+', "-"),
            &format!("{ROOT} "),
        ] {
            if root != ROOT {
                assert_eq!(
                    read(&format!("{name}\n1\n{root}\n")),
                    Err(CheckpointError::Root),
                    "`{root}`"
                );
            }
        }
        assert_eq!(read(&format!("{name}\n1\n")), Err(CheckpointError::Lines));
        assert_eq!(
            read(&format!("{name}\n\n1\n{ROOT}\n")),
            Err(CheckpointError::Lines)
        );
        assert_eq!(
            read(&format!("{name}\n0\n{ROOT}\n")),
            Err(CheckpointError::EmptyRoot)
        );
        let other = read(&format!("{name}x\n1\n{ROOT}\n"));
        assert_eq!(other, Err(CheckpointError::Origin { expected: name }));
    }

    /// LOG-10.
    #[test]
    fn extension_lines_are_kept_in_the_note_and_bounded() {
        let text = format!("{}\n1\n{ROOT}\nsomething else\n", name());
        let note = signer().sign(&text).unwrap();
        let signed = SignedCheckpoint::verify(&note, signer().verifier()).unwrap();
        assert_eq!(signed.as_bytes(), note);
        assert_eq!(
            read(&format!("{}\n1\n{ROOT}\n\nx\n", name())),
            Err(CheckpointError::Lines)
        );
        let long = format!(
            "{}\n1\n{ROOT}\n{}\n",
            name(),
            "x".repeat(limit::CHECKPOINT_TEXT_BYTES)
        );
        assert_eq!(
            read(&long),
            Err(CheckpointError::TooLong { found: long.len() })
        );
    }

    /// LOG-15: proof must fit in an entry, whatever a sender adds.
    #[test]
    fn a_bare_checkpoint_has_only_the_logs_signature_and_two_fit_in_an_entry() {
        let text = format!("{}\n1\n{ROOT}\n", name());
        let long = format!(
            "{text}{}\n",
            "x".repeat(limit::CHECKPOINT_TEXT_BYTES - text.len() - 1)
        );
        let mut padded = signer().sign(&long).unwrap();
        padded.extend(format!("\u{2014} other {}\n", "AAAA".repeat(3000)).into_bytes());
        let signed = SignedCheckpoint::verify(&padded, signer().verifier()).unwrap();
        let bare = signed.bare(signer().verifier()).unwrap();
        assert_eq!(bare.as_bytes(), signer().sign(&long).unwrap());
        assert_eq!(bare.checkpoint(), signed.checkpoint());
        assert!(2 * bare.as_bytes().len() + 1024 < limit::ENTRY_BYTES);
    }

    /// LOG-14.
    #[test]
    fn a_checkpoint_is_newer_older_or_the_same_when_consistency_is_shown() {
        let log = Log::of(20);
        let (small, large) = (log.head(6), log.head(20));
        assert_eq!(check_progress(None, &small, &[]), Ok(Progress::Newer));
        assert_eq!(
            check_progress(seen(&small), &large, &log.path(6, 20)),
            Ok(Progress::Newer)
        );
        assert_eq!(
            check_progress(seen(&large), &small, &log.path(6, 20)),
            Ok(Progress::Older)
        );
        assert_eq!(
            check_progress(seen(&large), &large, &[]),
            Ok(Progress::Same)
        );
        assert_eq!(
            check_progress(seen(&log.head(0)), &small, &[]),
            Ok(Progress::Newer)
        );
        assert_eq!(
            check_progress(seen(&small), &log.head(0), &[]),
            Ok(Progress::Older)
        );
    }

    /// LOG-14: in both directions.
    #[test]
    fn without_consistency_a_checkpoint_is_refused() {
        let log = Log::of(20);
        let (small, large) = (log.head(6), log.head(20));
        for (last, new) in [(&small, &large), (&large, &small)] {
            for path in [vec![], log.path(5, 20), log.path(6, 19)] {
                let refused = check_progress(seen(last), new, &path);
                assert!(matches!(
                    refused,
                    Err(ProgressError::NotConsistent {
                        from: 6,
                        to: 20,
                        ..
                    })
                ));
            }
        }
        for last in [None, seen(&small)] {
            let refused = check_progress(last, &small, &log.path(6, 20));
            assert!(matches!(refused, Err(ProgressError::NeedlessPath { .. })));
        }
    }

    /// LOG-15.
    #[test]
    fn two_roots_of_one_size_are_a_contradiction() {
        let log = Log::of(20);
        let forked = Checkpoint {
            root: leaf_hash(b"forked"),
            ..log.head(6)
        };
        let refused = check_progress(seen(&log.head(6)), &forked, &[]);
        assert_eq!(refused, Err(ProgressError::Contradiction { size: 6 }));
    }
}
