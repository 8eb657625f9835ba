//! An agency's log as it is stored, and reading it (`proto/spec/log.md`).
//!
//! Stored are the exact entries, the hash of each complete subtree, and one head. All that one commit
//! appended appears together, so whoever has read a head finds every entry and node below it.

use std::ops::Range;
use std::sync::Arc;

use prost::Message;
use waypost_proto::checkpoint::{CheckpointError, SignedCheckpoint};
use waypost_proto::id::{AgencyId, Digest, Timestamp};
use waypost_proto::merkle::{self, Frontier, Nodes, TreeError};
use waypost_proto::note::{KeyName, NoteSigner};
use waypost_proto::tlog_proof::TlogProof;
use waypost_proto::wire;

use crate::limit;
use crate::store::{Batch, Expected, Key, KeyRange, Space, Store, StoreError, rows};

/// The version of entries that this node writes.
const ENTRY_VERSION: u32 = 1;
const HEAD_VERSION: u8 = 1;

/// Why a log was not read, opened or made.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LogError {
    /// There is no log of this agency.
    #[error("there is no log of `{agency}` here: make one with `waypost-node agency add`")]
    Absent {
        /// The agency.
        agency: AgencyId,
    },
    /// There is already a log of this agency at this epoch or a later one.
    #[error("the log of `{agency}` is already at epoch {epoch}")]
    Exists {
        /// The agency.
        agency: AgencyId,
        /// The epoch of the log that is there.
        epoch: u32,
    },
    /// The configured epoch is not the stored one.
    #[error("the log of `{agency}` is at epoch {stored}, but its key is for epoch {configured}")]
    Epoch {
        /// The agency.
        agency: AgencyId,
        /// The epoch in the store.
        stored: u32,
        /// The epoch of the key.
        configured: u32,
    },
    /// The key's name is another log's.
    #[error("the log key named `{name}` is not for the log of `{agency}`")]
    Key {
        /// The agency.
        agency: AgencyId,
        /// The key's name.
        name: KeyName,
    },
    /// The stored head was not signed with the configured key.
    #[error("the last checkpoint of `{agency}` was not signed with its log key")]
    Checkpoint {
        /// The agency.
        agency: AgencyId,
        /// Why it was refused.
        #[source]
        source: CheckpointError,
    },
    /// Asked for something at or beyond the log's end: the caller's mistake, or the store lost entries
    /// that a counterpart has seen.
    #[error("the log of `{agency}` has {size} entries, fewer than {asked}")]
    Beyond {
        /// The agency.
        agency: AgencyId,
        /// Its size.
        size: u64,
        /// How many it would have to have.
        asked: u64,
    },
    /// What is stored is not a log.
    #[error(
        "the log of `{agency}` is damaged ({what}): restore the data folder from a backup and begin a new epoch"
    )]
    Damaged {
        /// The agency.
        agency: AgencyId,
        /// What is wrong.
        what: &'static str,
    },
    /// The store failed.
    #[error("the log of `{agency}` was not read")]
    Store {
        /// The agency.
        agency: AgencyId,
        /// Why.
        #[source]
        source: StoreError,
    },
}

/// An agency's log and the key that signs its checkpoints.
#[derive(Debug)]
pub struct LogConfig {
    pub(super) agency: AgencyId,
    pub(super) epoch: u32,
    pub(super) signer: NoteSigner,
}

impl LogConfig {
    /// The log of `agency` at `epoch`, from 1.
    ///
    /// # Errors
    /// [`LogError::Key`] if the key is another log's.
    pub fn new(agency: AgencyId, epoch: u32, signer: NoteSigner) -> Result<Self, LogError> {
        let name = signer.verifier().name();
        if *name == KeyName::of_log(&agency) {
            Ok(Self {
                agency,
                epoch,
                signer,
            })
        } else {
            Err(LogError::Key {
                agency,
                name: name.clone(),
            })
        }
    }
}

/// The last commit of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Counted from 1; a new one begins with a new key and an empty tree.
    pub epoch: u32,
    /// Entries.
    pub size: u64,
    /// Time of the last entry.
    pub time: Timestamp,
    /// Root of the tree.
    pub root: Digest,
    /// The signed checkpoint, exactly.
    pub checkpoint: Arc<[u8]>,
}

impl Head {
    /// Signs the head of a log whose tree has `frontier` and whose last entry is of `time`.
    pub(super) fn sign(config: &LogConfig, time: Timestamp, frontier: &Frontier) -> Self {
        let root = frontier.root();
        let signed = SignedCheckpoint::sign(&config.signer, frontier.size(), root);
        Self {
            epoch: config.epoch,
            size: frontier.size(),
            time,
            root,
            checkpoint: signed.as_bytes().into(),
        }
    }

    pub(super) fn key(agency: &AgencyId) -> Key {
        Key::of(agency, Space::LogHead, &[])
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        [
            &[HEAD_VERSION][..],
            &self.epoch.to_be_bytes(),
            &self.size.to_be_bytes(),
            &self.time.0.to_be_bytes(),
            self.root.as_bytes(),
            &self.checkpoint,
        ]
        .concat()
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let rest = bytes.strip_prefix(&[HEAD_VERSION])?;
        let (epoch, rest) = rest.split_first_chunk()?;
        let (size, rest) = rest.split_first_chunk()?;
        let (time, rest) = rest.split_first_chunk()?;
        let (root, checkpoint) = rest.split_first_chunk()?;
        Some(Self {
            epoch: u32::from_be_bytes(*epoch),
            size: u64::from_be_bytes(*size),
            time: Timestamp(u64::from_be_bytes(*time)),
            root: Digest::new(*root),
            checkpoint: checkpoint.into(),
        })
    }

    /// The stored head of `agency`'s log, and its exact bytes.
    pub(super) fn load(
        store: &dyn Store,
        agency: &AgencyId,
    ) -> Result<Option<(Self, Vec<u8>)>, LogError> {
        let found = store
            .get(&Self::key(agency))
            .map_err(|source| failed(agency, source))?;
        let Some(bytes) = found else {
            return Ok(None);
        };
        match Self::from_bytes(&bytes) {
            Some(head) => Ok(Some((head, bytes))),
            None => Err(damaged(agency, "its head")),
        }
    }
}

pub(super) fn entry_key(agency: &AgencyId, epoch: u32, index: u64) -> Key {
    let rest = [&epoch.to_be_bytes()[..], &index.to_be_bytes()].concat();
    Key::of(agency, Space::LogEntry, &rest)
}

pub(super) fn node_key(agency: &AgencyId, epoch: u32, level: u8, index: u64) -> Key {
    let rest = [&epoch.to_be_bytes()[..], &[level], &index.to_be_bytes()].concat();
    Key::of(agency, Space::LogNode, &rest)
}

/// The exact bytes of an entry.
pub(super) fn encode_entry(time: Timestamp, event: wire::log_entry::Event) -> Vec<u8> {
    wire::LogEntry {
        version: ENTRY_VERSION,
        time: time.0,
        event: Some(event),
    }
    .encode_to_vec()
}

/// The stored nodes of one epoch.
pub(super) struct StoredNodes<'a> {
    pub(super) store: &'a dyn Store,
    pub(super) agency: &'a AgencyId,
    pub(super) epoch: u32,
}

impl Nodes for StoredNodes<'_> {
    type Error = LogError;

    fn node(&self, level: u8, index: u64) -> Result<Digest, LogError> {
        let key = node_key(self.agency, self.epoch, level, index);
        let found = self
            .store
            .get(&key)
            .map_err(|source| failed(self.agency, source))?;
        let found = found.ok_or_else(|| damaged(self.agency, "a node is missing"))?;
        Digest::try_from(found.as_slice()).map_err(|_| damaged(self.agency, "a node"))
    }
}

fn failed(agency: &AgencyId, source: StoreError) -> LogError {
    LogError::Store {
        agency: agency.clone(),
        source,
    }
}

fn damaged(agency: &AgencyId, what: &'static str) -> LogError {
    LogError::Damaged {
        agency: agency.clone(),
        what,
    }
}

/// Why a proof was not made: what the nodes say, or that there are none to ask for.
pub(super) fn tree_error(agency: &AgencyId, error: TreeError<LogError>) -> LogError {
    let beyond = |size, asked| LogError::Beyond {
        agency: agency.clone(),
        size,
        asked,
    };
    match error {
        TreeError::Node { source, .. } => source,
        TreeError::Index { index, size } => beyond(size, index.saturating_add(1)),
        TreeError::Order { from, to } => beyond(to, from),
        TreeError::Size { .. } => damaged(agency, "its size"),
    }
}

/// Begins the log of `config`, at its epoch, with a genesis entry. Never done by itself: a node that
/// lost its store must not begin a second log under the same key.
///
/// # Errors
/// [`LogError::Exists`] if there is a log of this epoch or a later one, or what the store says.
pub fn create_log(store: &dyn Store, config: &LogConfig, now: Timestamp) -> Result<Head, LogError> {
    let agency = &config.agency;
    let (expected, previous) = match Head::load(store, agency)? {
        None => (Expected::Absent, None),
        Some((head, _)) if head.epoch >= config.epoch => {
            return Err(LogError::Exists {
                agency: agency.clone(),
                epoch: head.epoch,
            });
        }
        Some((head, bytes)) => (Expected::Value(bytes), Some(head)),
    };
    let time = previous.as_ref().map_or(now, |head| head.time.max(now));
    let genesis = wire::Genesis {
        agency: agency.to_string(),
        epoch: config.epoch,
        previous_checkpoint: previous.map_or_else(Vec::new, |head| head.checkpoint.to_vec()),
    };
    let entry = encode_entry(time, wire::log_entry::Event::Genesis(genesis));

    let mut batch = Batch::new();
    batch.expect(Head::key(agency), expected);
    let mut frontier = Frontier::empty();
    for (level, index, hash) in frontier.append(merkle::leaf_hash(&entry)) {
        batch.put(
            node_key(agency, config.epoch, level, index),
            hash.as_bytes().to_vec(),
        );
    }
    batch.put(entry_key(agency, config.epoch, 0), entry);
    let head = Head::sign(config, time, &frontier);
    batch.put(Head::key(agency), head.to_bytes());
    batch.put(
        Key::node(Space::Agency, agency.as_str().as_bytes()),
        Vec::new(),
    );
    // Crash before or in this step: no log, or a whole one with its genesis; the command is repeated.
    store
        .commit(batch)
        .map_err(|source| failed(agency, source))?;
    Ok(head)
}

/// Every agency that has, or had, a log here.
///
/// # Errors
/// What the store says.
pub fn agencies(store: &dyn Store) -> Result<Vec<AgencyId>, StoreError> {
    let mut found = Vec::new();
    for row in rows(store, &KeyRange::node(Space::Agency, &[])) {
        let (key, _) = row?;
        let id = std::str::from_utf8(key.rest())
            .ok()
            .and_then(|id| id.parse().ok());
        found.extend(id);
    }
    Ok(found)
}

/// Reads one agency's log, at its present epoch. Never ahead of what is durable.
#[derive(Debug, Clone)]
pub struct Log {
    store: Arc<dyn Store>,
    agency: AgencyId,
}

impl Log {
    /// The log of `agency` in `store`.
    #[must_use]
    pub const fn new(store: Arc<dyn Store>, agency: AgencyId) -> Self {
        Self { store, agency }
    }

    /// Its head.
    ///
    /// # Errors
    /// [`LogError::Absent`], or what the store says.
    pub fn head(&self) -> Result<Head, LogError> {
        match Head::load(&*self.store, &self.agency)? {
            Some((head, _)) => Ok(head),
            None => Err(LogError::Absent {
                agency: self.agency.clone(),
            }),
        }
    }

    /// Its signed checkpoint, exactly.
    ///
    /// # Errors
    /// As [`Self::head`].
    pub fn checkpoint(&self) -> Result<Arc<[u8]>, LogError> {
        Ok(self.head()?.checkpoint)
    }

    /// The exact bytes of the entry at `index`, from 0.
    ///
    /// # Errors
    /// [`LogError::Beyond`] if the log is not that long, or what the store says.
    pub fn entry(&self, index: u64) -> Result<Vec<u8>, LogError> {
        let head = self.head()?;
        self.entry_of(&head, index)
    }

    /// The exact bytes of the entries in `range`, cut at the log's end and after
    /// [`limit::READ_ENTRIES`] or about [`limit::SCAN_BYTES`]: ask again from where it ended.
    ///
    /// # Errors
    /// What the store says.
    pub fn entries(&self, range: Range<u64>) -> Result<Vec<Vec<u8>>, LogError> {
        let head = self.head()?;
        let key = |index| entry_key(&self.agency, head.epoch, index);
        let keys = KeyRange::of(&self.agency, Space::LogEntry, &head.epoch.to_be_bytes())
            .from(key(range.start))
            .before(key(range.end.min(head.size)));
        let page = self
            .store
            .scan(&keys, limit::READ_ENTRIES)
            .map_err(|source| failed(&self.agency, source))?;
        for ((found, _), index) in page.rows.iter().zip(range) {
            if *found != key(index) {
                return Err(damaged(&self.agency, "an entry is missing"));
            }
        }
        Ok(page.rows.into_iter().map(|(_, entry)| entry).collect())
    }

    /// Hashes that prove entry `index` in the tree of the first `size` entries.
    ///
    /// # Errors
    /// [`LogError::Beyond`] if the log is not that long, or what the store says.
    pub fn inclusion(&self, index: u64, size: u64) -> Result<Vec<Digest>, LogError> {
        self.inclusion_of(&self.head()?, index, size)
    }

    /// Hashes that prove that the first `from` entries are the beginning of the first `to`.
    ///
    /// # Errors
    /// [`LogError::Beyond`] if the log is not that long, or what the store says.
    pub fn consistency(&self, from: u64, to: u64) -> Result<Vec<Digest>, LogError> {
        self.consistency_of(&self.head()?, from, to)
    }

    /// The entry at `index`, proved at the present checkpoint, with consistency from the size
    /// `consistency_from` that the other side last saw (0: nothing).
    ///
    /// # Errors
    /// [`LogError::Beyond`] if the log is not that long, or what the store says. For a
    /// `consistency_from` that this node once signed it means that the store lost entries.
    pub fn evidence(&self, index: u64, consistency_from: u64) -> Result<wire::Evidence, LogError> {
        self.evidence_of(&self.head()?, index, consistency_from)
    }

    /// The entries at `indexes`, all proved at the present checkpoint: the first with consistency from
    /// `consistency_from`, those after it from the checkpoint that the one before has shown. Gives the
    /// size of that checkpoint besides.
    ///
    /// # Errors
    /// As [`Self::evidence`].
    pub fn evidences(
        &self,
        indexes: impl IntoIterator<Item = u64>,
        consistency_from: u64,
    ) -> Result<(u64, Vec<wire::Evidence>), LogError> {
        let head = self.head()?;
        let from = std::iter::once(consistency_from).chain(std::iter::repeat(head.size));
        let each = indexes.into_iter().zip(from);
        let each = each.map(|(index, from)| self.evidence_of(&head, index, from));
        Ok((head.size, each.collect::<Result<_, _>>()?))
    }

    fn evidence_of(
        &self,
        head: &Head,
        index: u64,
        consistency_from: u64,
    ) -> Result<wire::Evidence, LogError> {
        let proof = TlogProof {
            index,
            path: self.inclusion_of(head, index, head.size)?,
            checkpoint: head.checkpoint.to_vec(),
            extra: None,
        };
        let consistency = match consistency_from {
            0 => Vec::new(),
            from if from == head.size => Vec::new(),
            from => self.consistency_of(head, from, head.size)?,
        };
        Ok(wire::Evidence {
            entry: self.entry_of(head, index)?,
            proof: proof.encode(),
            consistency_from,
            consistency: consistency
                .iter()
                .map(|hash| hash.as_bytes().to_vec())
                .collect(),
        })
    }

    fn entry_of(&self, head: &Head, index: u64) -> Result<Vec<u8>, LogError> {
        self.within(head, index.saturating_add(1))?;
        let found = self.store.get(&entry_key(&self.agency, head.epoch, index));
        let found = found.map_err(|source| failed(&self.agency, source))?;
        found.ok_or_else(|| damaged(&self.agency, "an entry is missing"))
    }

    fn inclusion_of(&self, head: &Head, index: u64, size: u64) -> Result<Vec<Digest>, LogError> {
        self.within(head, size)?;
        merkle::inclusion_proof(&self.nodes(head), index, size)
            .map_err(|error| tree_error(&self.agency, error))
    }

    fn consistency_of(&self, head: &Head, from: u64, to: u64) -> Result<Vec<Digest>, LogError> {
        self.within(head, to)?;
        merkle::consistency_proof(&self.nodes(head), from, to)
            .map_err(|error| tree_error(&self.agency, error))
    }

    fn nodes(&self, head: &Head) -> StoredNodes<'_> {
        StoredNodes {
            store: &*self.store,
            agency: &self.agency,
            epoch: head.epoch,
        }
    }

    fn within(&self, head: &Head, asked: u64) -> Result<(), LogError> {
        if asked <= head.size {
            Ok(())
        } else {
            Err(LogError::Beyond {
                agency: self.agency.clone(),
                size: head.size,
                asked,
            })
        }
    }
}
