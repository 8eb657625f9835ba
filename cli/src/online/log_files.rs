//! Exported logs and proofs, verified without a node: everything is computed again from the files.
//!
//! ```text
//! DIR/vkey                 the log's verifier key (C2SP signed-note)
//! DIR/checkpoint           the signed checkpoint (C2SP tlog-checkpoint)
//! DIR/entries/00000000 ..  the exact bytes of each entry, exactly as many as the checkpoint says
//! ```

use std::fs;
use std::path::{Path, PathBuf};

use waypost_proto::checkpoint::{CheckpointError, SignedCheckpoint};
use waypost_proto::limit;
use waypost_proto::note::{NoteError, Verifier};
use waypost_proto::tlog_proof::{TlogProof, TlogProofError};

use super::mirror::{Mirror, MirrorError};
use crate::home::read_file;
use crate::output::Failure;

/// Bytes of a verifier key's file.
const VKEY_BYTES: usize = 1024;

/// A log in files that does not hold.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FileLogError {
    /// The verifier key does not parse.
    #[error("the verifier key does not parse: {0}")]
    Key(#[from] NoteError),
    /// The checkpoint does not verify.
    #[error("the checkpoint does not verify")]
    Checkpoint(#[from] CheckpointError),
    /// The proof does not verify.
    #[error("the proof does not verify")]
    Proof(#[from] TlogProofError),
    /// The entries do not make the checkpoint's root.
    #[error(transparent)]
    Mirror(#[from] MirrorError),
    /// More files than entries, or fewer.
    #[error("the folder holds {found} entries, the checkpoint says {expected}")]
    Count {
        /// Files found.
        found: u64,
        /// Entries of the checkpoint.
        expected: u64,
    },
}

impl From<FileLogError> for Failure {
    fn from(error: FileLogError) -> Self {
        Self::error("the log does not verify")
            .caused_by(&error)
            .because("these files were changed, or are not of this log")
            .next("get them again from the agency; compare its verifier key with the directory: waypost directory show")
    }
}

/// A verified log.
#[derive(Debug)]
pub(crate) struct Verified {
    /// The checkpoint.
    pub(crate) checkpoint: SignedCheckpoint,
    /// What the key is called: the log's origin.
    pub(crate) origin: String,
    /// Index of the entry that a proof shows; none for a whole log.
    pub(crate) index: Option<u64>,
}

/// The name of an entry's file.
pub(crate) fn entry_name(index: u64) -> String {
    format!("{index:08}")
}

/// The folder of the entries.
pub(crate) fn entries_folder(folder: &Path) -> PathBuf {
    folder.join("entries")
}

/// Reads a verifier key.
pub(crate) fn read_vkey(file: &Path) -> Result<Verifier, Failure> {
    let bytes = read_file(file, VKEY_BYTES)?;
    let text = String::from_utf8_lossy(&bytes);
    Ok(text.trim_end().parse().map_err(FileLogError::Key)?)
}

/// Verifies an exported log: each entry hashed in order, the root compared with the signed one.
pub(crate) fn verify_folder(folder: &Path, verifier: &Verifier) -> Result<Verified, Failure> {
    let note = read_file(&folder.join("checkpoint"), limit::NOTE_BYTES)?;
    let checkpoint = SignedCheckpoint::verify(&note, verifier).map_err(FileLogError::Checkpoint)?;
    let entries = entries_folder(folder);
    let found = count(&entries)?;
    if found != checkpoint.size() {
        return Err(FileLogError::Count {
            found,
            expected: checkpoint.size(),
        }
        .into());
    }
    let mut mirror = Mirror::empty();
    for index in 0..checkpoint.size() {
        let bytes = read_file(&entries.join(entry_name(index)), limit::ENTRY_BYTES)?;
        mirror.append(index, &bytes).map_err(FileLogError::Mirror)?;
    }
    mirror
        .check(checkpoint.checkpoint())
        .map_err(FileLogError::Mirror)?;
    Ok(Verified {
        checkpoint,
        origin: verifier.name().to_string(),
        index: None,
    })
}

fn count(folder: &Path) -> Result<u64, Failure> {
    let files = fs::read_dir(folder).map_err(|e| {
        Failure::error(format!("`{}` cannot be read", folder.display())).caused_by(&e)
    })?;
    Ok(u64::try_from(files.count()).unwrap_or(u64::MAX))
}

/// Verifies one entry and its proof.
pub(crate) fn verify_proof(
    proof: &Path,
    entry: &Path,
    verifier: &Verifier,
) -> Result<Verified, Failure> {
    let proof = read_file(proof, limit::PROOF_BYTES)?;
    let entry = read_file(entry, limit::ENTRY_BYTES)?;
    let proof = TlogProof::parse(&proof).map_err(FileLogError::Proof)?;
    let checkpoint = proof
        .verify(&entry, verifier)
        .map_err(FileLogError::Proof)?;
    Ok(Verified {
        index: Some(proof.index),
        checkpoint,
        origin: verifier.name().to_string(),
    })
}

#[cfg(test)]
mod tests {
    use waypost_proto::entry::Entry;
    use waypost_proto::merkle::{self, leaf_hash};
    use waypost_proto::note::{KeyName, NoteSigner};

    use super::*;
    use crate::online::fixture::{self, own};

    struct Log {
        folder: tempfile::TempDir,
        signer: NoteSigner,
        entries: Vec<Vec<u8>>,
    }

    /// An exported log of three entries.
    fn log() -> Log {
        let folder = tempfile::tempdir().unwrap();
        let signer = NoteSigner::generate(KeyName::of_log(&own())).unwrap();
        let mut mirror = Mirror::empty();
        let mut entries = Vec::new();
        fs::create_dir(entries_folder(folder.path())).unwrap();
        for index in 0..3 {
            let item = fixture::incoming(index);
            let bytes = Entry {
                time: item.time,
                event: fixture::received(&item),
            }
            .encode();
            mirror.append(index, &bytes).unwrap();
            fs::write(
                entries_folder(folder.path()).join(entry_name(index)),
                &bytes,
            )
            .unwrap();
            entries.push(bytes);
        }
        let checkpoint = SignedCheckpoint::sign(&signer, 3, mirror.root());
        fs::write(folder.path().join("checkpoint"), checkpoint.as_bytes()).unwrap();
        fs::write(
            folder.path().join("vkey"),
            format!("{}\n", signer.verifier()),
        )
        .unwrap();
        Log {
            folder,
            signer,
            entries,
        }
    }

    #[test]
    fn an_exported_log_verifies_without_a_node() {
        let log = log();
        let key = read_vkey(&log.folder.path().join("vkey")).unwrap();
        assert_eq!(&key, log.signer.verifier());
        let verified = verify_folder(log.folder.path(), &key).unwrap();
        assert_eq!(verified.checkpoint.size(), 3);
        assert_eq!(verified.origin, format!("waypost/{}", own()));
    }

    #[test]
    fn a_changed_entry_a_missing_one_and_one_too_many_are_found() {
        let changed = log();
        let entry = entries_folder(changed.folder.path()).join(entry_name(1));
        let other = log();
        fs::write(&entry, &other.entries[2]).unwrap();
        assert!(verify_folder(changed.folder.path(), changed.signer.verifier()).is_err());
        fs::remove_file(&entry).unwrap();
        assert!(verify_folder(changed.folder.path(), changed.signer.verifier()).is_err());
        fs::write(
            entries_folder(other.folder.path()).join(entry_name(3)),
            b"more",
        )
        .unwrap();
        let failure = verify_folder(other.folder.path(), other.signer.verifier()).unwrap_err();
        assert!(failure.to_string().contains("4 entries"), "{failure}");
    }

    #[test]
    fn a_log_of_another_key_is_refused() {
        let (one, two) = (log(), log());
        assert!(verify_folder(one.folder.path(), two.signer.verifier()).is_err());
    }

    #[test]
    fn an_entry_and_its_proof_verify_and_another_entry_does_not() {
        let log = log();
        let leaves: Vec<_> = log.entries.iter().map(|e| leaf_hash(e)).collect();
        let left = merkle::node_hash(&leaves[0], &leaves[1]);
        let root = merkle::node_hash(&left, &leaves[2]);
        let checkpoint = SignedCheckpoint::sign(&log.signer, 3, root);
        let proof = TlogProof::new(2, vec![left], &checkpoint).encode();
        let file = log.folder.path().join("proof");
        fs::write(&file, proof).unwrap();
        let entry = |index| entries_folder(log.folder.path()).join(entry_name(index));
        let key = log.signer.verifier();
        assert_eq!(verify_proof(&file, &entry(2), key).unwrap().index, Some(2));
        assert!(verify_proof(&file, &entry(1), key).is_err());
    }
}
