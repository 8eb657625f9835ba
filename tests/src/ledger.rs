//! An agency's log, read whole and checked against its signed checkpoint.

use anyhow::{Context as _, Result, ensure};
use waypost_proto::checkpoint::SignedCheckpoint;
use waypost_proto::directory::AgencyRecord;
use waypost_proto::entry::Entry;
use waypost_proto::id::MessageId;
use waypost_proto::merkle::{Tree, leaf_hash};
use waypost_proto::tlog_proof::TlogProof;
use waypost_proto::wire::{self, log_entry::Event};

use crate::officer::Officer;
use crate::scheme::{Agency, Scheme};

/// A verified copy of a log.
#[derive(Debug)]
pub struct Ledger {
    /// Its entries, exact bytes.
    pub bytes: Vec<Vec<u8>>,
    /// The same, decoded.
    pub entries: Vec<Entry>,
    /// The tree over them.
    pub tree: Tree,
}

/// What the directory says of an agency.
///
/// # Errors
/// When the directory does not hold it.
pub fn record(scheme: &Scheme, agency: &Agency) -> Result<AgencyRecord> {
    let directory = scheme.directory()?;
    directory.agency(&agency.id).cloned().context("a record")
}

impl Ledger {
    /// Reads the officer's agency's log, and checks that its entries lead to the root that the key of
    /// the directory signed.
    ///
    /// # Errors
    /// What the node says, or what does not verify.
    pub async fn read(scheme: &Scheme, agency: &Agency, officer: &mut Officer) -> Result<Self> {
        let record = record(scheme, agency)?;
        let reply = officer
            .desk
            .log_checkpoint(wire::LogCheckpointRequest {})
            .await?
            .into_inner();
        let key = &record.log_keys.first().context("a log key")?.verifier;
        let signed = SignedCheckpoint::verify(&reply.checkpoint, key)?;
        let request = wire::LogEntriesRequest {
            from: 0,
            to: signed.size(),
        };
        let mut stream = officer.desk.log_entries(request).await?.into_inner();
        let mut bytes = Vec::new();
        while let Some(reply) = stream.message().await? {
            ensure!(reply.index == bytes.len() as u64, "entries out of order");
            bytes.push(reply.entry);
        }
        let tree = Tree::of(bytes.iter().map(|entry| leaf_hash(entry)));
        ensure!(tree.size() == signed.size(), "entries are missing");
        ensure!(
            tree.root() == *signed.root(),
            "another root than the one signed"
        );
        let entries = bytes
            .iter()
            .map(|entry| Entry::decode(entry))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            bytes,
            entries,
            tree,
        })
    }

    /// The names of the entries that concern a message, in order.
    #[must_use]
    pub fn story(&self, id: &MessageId) -> Vec<&'static str> {
        let about = self
            .entries
            .iter()
            .filter(|entry| entry.message_id() == Some(*id));
        about.map(Entry::name).collect()
    }

    /// How many entries have this name.
    #[must_use]
    pub fn count(&self, name: &str) -> usize {
        self.entries
            .iter()
            .filter(|entry| entry.name() == name)
            .count()
    }

    /// Ids of the messages received, in the order of the log.
    #[must_use]
    pub fn received(&self) -> Vec<MessageId> {
        let received = self
            .entries
            .iter()
            .filter(|entry| matches!(entry.event, Event::Received(_)));
        received.filter_map(Entry::message_id).collect()
    }

    /// Reasons of the refusals that are logged, in order.
    #[must_use]
    pub fn refusals(&self) -> Vec<&str> {
        self.entries
            .iter()
            .filter_map(|entry| match &entry.event {
                Event::Refused(refused) => Some(refused.reason.as_str()),
                _ => None,
            })
            .collect()
    }
}

/// Checks the proof of evidence under the agency's log key, offline, and gives the entry with its
/// index.
///
/// # Errors
/// What does not verify.
pub fn prove(evidence: &wire::Evidence, record: &AgencyRecord) -> Result<(u64, Entry)> {
    let proof = TlogProof::parse(&evidence.proof)?;
    let key = &record.log_keys.first().context("a log key")?.verifier;
    proof.verify(&evidence.entry, key)?;
    Ok((proof.index, Entry::decode(&evidence.entry)?))
}
