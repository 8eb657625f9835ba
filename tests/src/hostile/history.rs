//! A log that may lie: the entries of one history, and evidence of them.

use anyhow::{Context as _, Result};
use waypost_proto::checkpoint::SignedCheckpoint;
use waypost_proto::entry::Entry;
use waypost_proto::id::{AgencyId, Timestamp};
use waypost_proto::merkle::{self, Tree};
use waypost_proto::note::NoteSigner;
use waypost_proto::tlog_proof::TlogProof;
use waypost_proto::wire::{self, log_entry::Event};

/// The entries of a log, exact bytes.
#[derive(Debug, Clone)]
pub struct History {
    entries: Vec<Vec<u8>>,
}

impl History {
    /// A log that begins now.
    #[must_use]
    pub fn begin(agency: &AgencyId, at: Timestamp) -> Self {
        let mut history = Self {
            entries: Vec::new(),
        };
        let genesis = wire::Genesis {
            agency: agency.to_string(),
            epoch: 1,
            previous_checkpoint: Vec::new(),
        };
        history.append(Event::Genesis(genesis), at);
        history
    }

    /// Entries.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.entries.len() as u64
    }

    /// Appends an event, and gives its index.
    pub fn append(&mut self, event: Event, time: Timestamp) -> u64 {
        self.entries.push(Entry { time, event }.encode());
        self.size() - 1
    }

    /// The same beginning, without the last `entries`.
    #[must_use]
    pub fn without_last(&self, entries: usize) -> Self {
        let kept = self.entries.len().saturating_sub(entries);
        Self {
            entries: self.entries.iter().take(kept).cloned().collect(),
        }
    }

    /// Evidence of an entry as of the whole history, consistent from the size `from` as far as this
    /// history knows.
    ///
    /// # Errors
    /// When there is no such entry.
    pub fn evidence(&self, index: u64, from: u64, signer: &NoteSigner) -> Result<wire::Evidence> {
        let tree = Tree::of(self.entries.iter().map(|entry| merkle::leaf_hash(entry)));
        let entry = usize::try_from(index)
            .ok()
            .and_then(|index| self.entries.get(index));
        let path = tree.inclusion_proof(index).context("a path")?;
        let checkpoint = SignedCheckpoint::sign(signer, tree.size(), tree.root());
        // There is no proof to a size that this history does not reach.
        let consistency = merkle::consistency_proof(&tree, from, tree.size()).unwrap_or_default();
        Ok(wire::Evidence {
            entry: entry.context("an entry")?.clone(),
            proof: TlogProof::new(index, path, &checkpoint).encode(),
            consistency_from: from,
            consistency: consistency
                .iter()
                .map(|hash| hash.as_bytes().to_vec())
                .collect(),
        })
    }
}
