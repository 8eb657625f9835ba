//! Offline proofs that an entry is in a log: C2SP `tlog-proof` (`spec/log.md`, LOG-11, LOG-12).
//!
//! A proof carries the checkpoint verbatim. It says nothing until [`TlogProof::verify`] has held it
//! against the exact entry and the log's key.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::checkpoint::{CheckpointError, SignedCheckpoint, parse_decimal, parse_hash};
use crate::id::Digest;
use crate::limit;
use crate::merkle::{self, VerifyError};
use crate::note::Verifier;

const FIRST_LINE: &str = "c2sp.org/tlog-proof@v1";

/// A proof that is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TlogProofError {
    /// LOG-11: longer than any proof.
    #[error("the proof has {found} bytes, more than {max}", max = limit::PROOF_BYTES)]
    TooLong {
        /// Bytes found.
        found: usize,
    },
    /// LOG-11: another first line, or no blank line before the checkpoint.
    #[error("not a proof of the form `{FIRST_LINE}`")]
    Shape,
    /// LOG-11: the `extra` line is not base64 of at least one byte.
    #[error("the proof's extra data is not base64")]
    Extra,
    /// LOG-11: no `index` line, or not a decimal number without leading zeros.
    #[error("the proof's index is not a decimal number without leading zeros")]
    Index,
    /// LOG-11: a line of the path is not a hash.
    #[error("hash {line} of the proof is not a SHA-256 hash in base64")]
    Hash {
        /// Which, from 1.
        line: usize,
    },
    /// LOG-11: more hashes than any tree needs.
    #[error("the proof has more than {max} hashes", max = limit::PROOF_HASHES)]
    TooManyHashes,
    /// LOG-12: its checkpoint is refused.
    #[error("the proof's checkpoint is refused")]
    Checkpoint(#[source] CheckpointError),
    /// LOG-13: the entry is longer than any.
    #[error("the entry has {found} bytes, more than {max}", max = limit::ENTRY_BYTES)]
    EntryTooLong {
        /// Bytes found.
        found: usize,
    },
    /// LOG-12: the entry is not at that index of that log.
    #[error("the proof does not show that the entry is in the log")]
    Inclusion(#[source] VerifyError),
}

/// A proof as read or made; nothing in it has been verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlogProof {
    /// Index of the entry, from 0.
    pub index: u64,
    /// Hashes from the leaf's sibling up to the root's child.
    pub path: Vec<Digest>,
    /// The signed checkpoint, verbatim.
    pub checkpoint: Vec<u8>,
    /// Opaque data that nobody vouches for; never empty. Waypost writes none and ignores it.
    pub extra: Option<Vec<u8>>,
}

impl TlogProof {
    /// A proof without extra data.
    #[must_use]
    pub fn new(index: u64, path: Vec<Digest>, checkpoint: &SignedCheckpoint) -> Self {
        Self {
            index,
            path,
            checkpoint: checkpoint.as_bytes().to_vec(),
            extra: None,
        }
    }

    /// Its file form (LOG-11).
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut text = format!("{FIRST_LINE}\n");
        if let Some(extra) = self.extra.as_ref().filter(|extra| !extra.is_empty()) {
            text.push_str(&format!("extra {}\n", STANDARD.encode(extra)));
        }
        text.push_str(&format!("index {}\n", self.index));
        for hash in &self.path {
            text.push_str(&STANDARD.encode(hash.as_bytes()));
            text.push('\n');
        }
        text.push('\n');
        let mut bytes = text.into_bytes();
        bytes.extend(&self.checkpoint);
        bytes
    }

    /// The size that the checkpoint names, before anything is verified: to ask for what it takes to
    /// verify it.
    #[must_use]
    pub fn claimed_size(&self) -> Option<u64> {
        let text = std::str::from_utf8(&self.checkpoint).ok()?;
        parse_decimal(text.lines().nth(1)?)
    }

    /// Reads the file form (LOG-11). The checkpoint is taken verbatim.
    ///
    /// # Errors
    ///
    /// [`TlogProofError`], up to [`TlogProofError::TooManyHashes`].
    pub fn parse(bytes: &[u8]) -> Result<Self, TlogProofError> {
        if bytes.len() > limit::PROOF_BYTES {
            return Err(TlogProofError::TooLong { found: bytes.len() });
        }
        let blank = bytes
            .windows(2)
            .position(|pair| pair == b"\n\n")
            .ok_or(TlogProofError::Shape)?;
        let (head, rest) = bytes.split_at_checked(blank).ok_or(TlogProofError::Shape)?;
        let checkpoint = rest
            .strip_prefix(b"\n\n")
            .ok_or(TlogProofError::Shape)?
            .to_vec();
        let head = std::str::from_utf8(head).map_err(|_| TlogProofError::Shape)?;

        let mut lines = head.split('\n').peekable();
        if lines.next() != Some(FIRST_LINE) {
            return Err(TlogProofError::Shape);
        }
        let extra = lines
            .next_if(|line| line.starts_with("extra "))
            .map(parse_extra)
            .transpose()?;
        let index = lines
            .next()
            .and_then(|line| line.strip_prefix("index "))
            .and_then(parse_decimal)
            .ok_or(TlogProofError::Index)?;
        let mut path = Vec::new();
        for (number, line) in lines.enumerate() {
            if number >= limit::PROOF_HASHES {
                return Err(TlogProofError::TooManyHashes);
            }
            path.push(parse_hash(line).ok_or(TlogProofError::Hash { line: number + 1 })?);
        }
        Ok(Self {
            index,
            path,
            checkpoint,
            extra,
        })
    }

    /// Checks that the log whose key `verifier` is holds `entry`, byte for byte, at this index
    /// (LOG-12), and returns its checkpoint, which is still to be judged against the last one seen.
    ///
    /// # Errors
    ///
    /// [`TlogProofError`], from [`TlogProofError::Checkpoint`] on.
    pub fn verify(
        &self,
        entry: &[u8],
        verifier: &Verifier,
    ) -> Result<SignedCheckpoint, TlogProofError> {
        if entry.len() > limit::ENTRY_BYTES {
            return Err(TlogProofError::EntryTooLong { found: entry.len() });
        }
        let checkpoint = SignedCheckpoint::verify(&self.checkpoint, verifier)
            .map_err(TlogProofError::Checkpoint)?;
        let leaf = merkle::leaf_hash(entry);
        merkle::verify_inclusion(
            &leaf,
            self.index,
            checkpoint.size(),
            &self.path,
            checkpoint.root(),
        )
        .map_err(TlogProofError::Inclusion)?;
        Ok(checkpoint)
    }
}

fn parse_extra(line: &str) -> Result<Vec<u8>, TlogProofError> {
    line.strip_prefix("extra ")
        .and_then(|encoded| STANDARD.decode(encoded).ok())
        .filter(|extra| !extra.is_empty())
        .ok_or(TlogProofError::Extra)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use zeroize::Zeroizing;

    use super::*;
    use crate::merkle::leaf_hash;
    use crate::note::NoteSigner;

    fn signer() -> NoteSigner {
        let name = "waypost/gb.example-school".parse().unwrap();
        NoteSigner::from_seed(name, Zeroizing::new([9; 32])).unwrap()
    }

    /// A log of the two entries `a` and `b`, and the proof of `b`.
    fn proof() -> TlogProof {
        let root = merkle::node_hash(&leaf_hash(b"a"), &leaf_hash(b"b"));
        TlogProof::new(
            1,
            vec![leaf_hash(b"a")],
            &SignedCheckpoint::sign(&signer(), 2, root),
        )
    }

    /// LOG-11, LOG-12.
    #[test]
    fn a_proof_of_an_entry_verifies_and_one_of_another_does_not() {
        let proof = TlogProof::parse(&proof().encode()).unwrap();
        let signer = signer();
        assert_eq!(proof.verify(b"b", signer.verifier()).unwrap().size(), 2);
        let refused = proof.verify(b"a", signer.verifier());
        assert_eq!(refused, Err(TlogProofError::Inclusion(VerifyError::Root)));
        let long = vec![0; limit::ENTRY_BYTES + 1];
        let refused = proof.verify(&long, signer.verifier());
        assert_eq!(
            refused,
            Err(TlogProofError::EntryTooLong { found: long.len() })
        );
    }

    /// LOG-11: the example of C2SP's page, its shortened checkpoint included verbatim.
    #[test]
    fn the_example_of_the_c2sp_page_round_trips() {
        let example = "c2sp.org/tlog-proof@v1\n\
            extra YWdlLXYxLjIuMS1kYXJ3aW4tYXJtNjQudGFyLmd6\n\
            index 73894\n\
            gSKyXoYZUgZ6jduWYrkDOARinOMGJveXjgMkBTcdPlQ=\n\
            B95lDa8R83lS8n0eG+o0buTxRKQTYFi//1U8anccXmA=\n\
            \n\
            example.com/fancylog\n\
            109482\n\
            sFodV/vSp5O8n9a8QpW6PRY97tfOSW5bsc2Xl/EQi08=\n\
            \n\
            \u{2014} example.com/fancylog hI2DJw[...]1roloI=\n";
        let proof = TlogProof::parse(example.as_bytes()).unwrap();
        assert_eq!((proof.index, proof.path.len()), (73894, 2));
        assert_eq!(
            proof.extra.as_deref(),
            Some(b"age-v1.2.1-darwin-arm64.tar.gz".as_slice())
        );
        assert_eq!(proof.encode(), example.as_bytes());
    }

    #[test]
    fn a_proof_of_another_form_is_refused() {
        let good = String::from_utf8(proof().encode()).unwrap();
        let refused = |text: &str| TlogProof::parse(text.as_bytes()).unwrap_err();
        let changed = |from: &str, to: &str| refused(&good.replacen(from, to, 1));
        assert_eq!(changed("@v1", "@v2"), TlogProofError::Shape);
        assert_eq!(
            refused("c2sp.org/tlog-proof@v1\nindex 0\n"),
            TlogProofError::Shape
        );
        assert_eq!(changed("index 1", "index 01"), TlogProofError::Index);
        assert_eq!(changed("index 1\n", ""), TlogProofError::Index);
        assert_eq!(changed("index 1", "index 1\r"), TlogProofError::Index);
        assert_eq!(changed("index 1", "extra \nindex 1"), TlogProofError::Extra);
        assert_eq!(
            changed("index 1", "extra AB\nindex 1"),
            TlogProofError::Extra
        );
        assert_eq!(
            changed("index 1", "extra AA==\nextra AA==\nindex 1"),
            TlogProofError::Index
        );
        assert_eq!(
            changed("index 1", "index 1\nAAAA"),
            TlogProofError::Hash { line: 1 }
        );
        let hash = STANDARD.encode([0; 32]) + "\n";
        let many = format!("index 1\n{}", hash.repeat(limit::PROOF_HASHES));
        assert_eq!(changed("index 1\n", &many), TlogProofError::TooManyHashes);
        let long = good + &" ".repeat(limit::PROOF_BYTES);
        assert_eq!(
            refused(&long),
            TlogProofError::TooLong { found: long.len() }
        );
    }

    proptest! {
        #[test]
        fn every_proof_reads_back(
            index: u64,
            path in proptest::collection::vec(any::<[u8; 32]>().prop_map(Digest::new), 0..64),
            extra in proptest::option::of(proptest::collection::vec(any::<u8>(), 1..100)),
            checkpoint in proptest::collection::vec(any::<u8>(), 0..300),
        ) {
            let proof = TlogProof { index, path, checkpoint, extra };
            prop_assert_eq!(TlogProof::parse(&proof.encode()), Ok(proof));
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            if let Ok(proof) = TlogProof::parse(&bytes) {
                prop_assert_eq!(proof.encode(), bytes);
            }
        }
    }
}
