//! The sequencer's thread: takes what waits, runs it, commits it, answers it.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::{broadcast, mpsc, watch};
use waypost_proto::checkpoint::SignedCheckpoint;
use waypost_proto::id::{AgencyId, Timestamp};
use waypost_proto::merkle::{self, Frontier};

use super::log::{
    Head, LogConfig, LogError, StoredNodes, agencies, entry_key, node_key, tree_error,
};
use super::tx::{Staged, Tx};
use super::{Appended, Done, Health, SequenceError, StartError};
use crate::body;
use crate::clock::Clock;
use crate::limit;
use crate::store::{Batch, Expected, Overlay, Store, StoreError};
use crate::vault::{Slot, Swept, Vault};

/// What callers send to the thread.
pub(super) enum Request {
    /// A transaction of an agency.
    Run(AgencyId, Box<dyn Work>),
    /// Finish what waits, and end.
    Stop,
}

/// A transaction on its way through the sequencer.
pub(super) trait Work: Send {
    /// Runs it. Returns whether what it staged is to be committed.
    fn run(&mut self, tx: &mut Tx<'_>) -> bool;

    /// Answers the caller, who may be gone.
    fn answer(self: Box<Self>, outcome: Result<Done, SequenceError>);
}

/// A log at its last commit. Kept in memory so that a commit reads nothing of it; loaded anew whenever
/// it could differ from the store.
struct Live {
    config: LogConfig,
    head: Head,
    /// The exact stored head: the precondition of the next commit.
    stored: Vec<u8>,
    frontier: Frontier,
}

impl Live {
    /// Loads a log and checks that it is whole: the frontier leads to the root that its key signed.
    fn load(store: &dyn Store, config: LogConfig) -> Result<Self, LogError> {
        let agency = &config.agency;
        let Some((head, stored)) = Head::load(store, agency)? else {
            return Err(LogError::Absent {
                agency: agency.clone(),
            });
        };
        if head.epoch != config.epoch {
            let (agency, stored, configured) = (agency.clone(), head.epoch, config.epoch);
            return Err(LogError::Epoch {
                agency,
                stored,
                configured,
            });
        }
        let signed = SignedCheckpoint::verify(&head.checkpoint, config.signer.verifier()).map_err(
            |source| LogError::Checkpoint {
                agency: agency.clone(),
                source,
            },
        )?;
        let nodes = StoredNodes {
            store,
            agency,
            epoch: head.epoch,
        };
        let frontier =
            Frontier::load(head.size, &nodes).map_err(|error| tree_error(agency, error))?;
        let root = frontier.root();
        if signed.size() != head.size || *signed.root() != head.root || root != head.root {
            return Err(LogError::Damaged {
                agency: agency.clone(),
                what: "its root",
            });
        }
        Ok(Self {
            config,
            head,
            stored,
            frontier,
        })
    }
}

/// A log as the running batch will leave it.
struct Advanced {
    frontier: Frontier,
    time: Timestamp,
}

/// What is committed together.
#[derive(Default)]
struct Pending {
    writes: Overlay,
    logs: BTreeMap<AgencyId, Advanced>,
    sealed: Vec<Slot>,
    erased: Vec<Slot>,
    bytes: usize,
    waiting: Vec<Waiting>,
}

/// A caller, and the entries of its transaction.
struct Waiting {
    agency: AgencyId,
    work: Box<dyn Work>,
    first: u64,
    count: u64,
    time: Timestamp,
}

impl Pending {
    fn is_full(&self) -> bool {
        self.waiting.len() >= limit::BATCH_TRANSACTIONS || self.bytes >= limit::BATCH_BYTES
    }

    fn answer_all(self, error: &SequenceError) {
        for waiting in self.waiting {
            waiting.work.answer(Err(error.clone()));
        }
    }
}

pub(super) struct Engine {
    store: Arc<dyn Store>,
    vault: Arc<Vault>,
    clock: Arc<dyn Clock>,
    logs: BTreeMap<AgencyId, Live>,
    appended: broadcast::Sender<Appended>,
}

impl Engine {
    /// Loads every log. This is the only recovery there is: a start after a crash does the same.
    pub(super) fn load(
        store: Arc<dyn Store>,
        vault: Arc<Vault>,
        clock: Arc<dyn Clock>,
        configs: Vec<LogConfig>,
        appended: broadcast::Sender<Appended>,
    ) -> Result<Self, LogError> {
        let mut logs = BTreeMap::new();
        for config in configs {
            let agency = config.agency.clone();
            logs.insert(agency, Live::load(&*store, config)?);
        }
        Ok(Self {
            store,
            vault,
            clock,
            logs,
            appended,
        })
    }

    /// Destroys the keys of bodies that no commit holds.
    pub(super) fn sweep(&self) -> Result<Swept, StartError> {
        // All agencies' bodies, also of those that are not served now.
        let agencies = agencies(&*self.store).map_err(StartError::Store)?;
        let live = body::live_slots(&*self.store, &agencies);
        self.vault
            .sweep(live.map(|slot| slot.map_err(StartError::Store)))
    }

    /// Serves until it is told to stop, nobody can ask any more, or something failed.
    pub(super) fn serve(
        mut self,
        mut queue: mpsc::Receiver<Request>,
        health: &watch::Sender<Health>,
    ) {
        while let Some(request) = queue.blocking_recv() {
            if let Err(error) = self.round(request, &mut queue) {
                // Nothing more is run or signed. Whoever still waits learns it now.
                queue.close();
                while let Some(request) = queue.blocking_recv() {
                    if let Request::Run(_, work) = request {
                        work.answer(Err(SequenceError::Stopped));
                    }
                }
                health.send_replace(Health::Failed(error));
                return;
            }
        }
        health.send_replace(Health::Stopped);
    }

    /// One commit: `first`, and whatever else waits.
    fn round(
        &mut self,
        first: Request,
        queue: &mut mpsc::Receiver<Request>,
    ) -> Result<(), SequenceError> {
        let mut pending = Pending::default();
        let mut next = Some(first);
        while let Some(request) = next {
            match request {
                // What was sent before is still taken; nobody can send any more.
                Request::Stop => queue.close(),
                Request::Run(agency, work) => {
                    if let Err(error) = self.run(agency, work, &mut pending) {
                        pending.answer_all(&error);
                        return Err(error);
                    }
                }
            }
            next = if pending.is_full() {
                None
            } else {
                queue.try_recv().ok()
            };
        }
        self.commit(pending)
    }

    /// Runs one transaction; what it staged joins the batch, or is dropped whole. Fails only if the
    /// node must stop.
    fn run(
        &self,
        agency: AgencyId,
        mut work: Box<dyn Work>,
        pending: &mut Pending,
    ) -> Result<(), SequenceError> {
        let Some(live) = self.logs.get(&agency) else {
            work.answer(Err(SequenceError::UnknownAgency { agency }));
            return Ok(());
        };
        let (size, last) = match pending.logs.get(&agency) {
            Some(advanced) => (advanced.frontier.size(), advanced.time),
            None => (live.head.size, live.head.time),
        };
        let mut tx = Tx {
            agency: &agency,
            store: &*self.store,
            vault: &self.vault,
            earlier: &pending.writes,
            now: self.clock.now().max(last),
            first: size,
            staged: Staged::default(),
            fatal: None,
        };
        let keep = work.run(&mut tx);
        let Tx {
            staged, fatal, now, ..
        } = tx;
        if let Some(error) = fatal {
            let error = SequenceError::Tx(error);
            work.answer(Err(error.clone()));
            return Err(error);
        }
        // INVARIANT (log is the commit).
        let unlogged = staged.entries.is_empty() && !staged.writes.is_empty();
        if !keep || unlogged {
            if let Err(error) = self.vault.discard(&staged.sealed) {
                let error = SequenceError::Vault(error);
                work.answer(Err(error.clone()));
                return Err(error);
            }
            if keep {
                work.answer(Err(SequenceError::Unlogged));
                return Ok(());
            }
        }
        // A rejection waits for the commit too: it may rest on what is not durable yet.
        let count = if keep {
            self.join(live, staged, now, pending)
        } else {
            0
        };
        pending.waiting.push(Waiting {
            agency,
            work,
            first: size,
            count,
            time: now,
        });
        Ok(())
    }

    /// Adds what a transaction staged, and its entries' nodes, to the batch. Returns how many entries.
    fn join(&self, live: &Live, staged: Staged, now: Timestamp, pending: &mut Pending) -> u64 {
        let Staged {
            writes,
            entries,
            sealed,
            erased,
            bytes,
        } = staged;
        let count = entries.len() as u64;
        pending.writes.extend(writes);
        pending.sealed.extend(sealed);
        pending.erased.extend(erased);
        pending.bytes = pending.bytes.saturating_add(bytes);
        if entries.is_empty() {
            return 0;
        }
        let agency = &live.config.agency;
        let epoch = live.config.epoch;
        let log = pending
            .logs
            .entry(agency.clone())
            .or_insert_with(|| Advanced {
                frontier: live.frontier.clone(),
                time: now,
            });
        log.time = now;
        for entry in entries {
            let key = entry_key(agency, epoch, log.frontier.size());
            for (level, index, hash) in log.frontier.append(merkle::leaf_hash(&entry)) {
                let node = hash.as_bytes().to_vec();
                pending
                    .writes
                    .insert(node_key(agency, epoch, level, index), Some(node));
            }
            pending.writes.insert(key, Some(entry));
        }
        count
    }

    /// Makes the batch durable and answers it. Fails only if the node must stop.
    ///
    /// INVARIANT (durable before answered): no caller is answered, and no checkpoint leaves, before
    /// the commit that holds it has returned.
    fn commit(&mut self, mut pending: Pending) -> Result<(), SequenceError> {
        let mut batch_writes = std::mem::take(&mut pending.writes);
        let heads = self.sign(&pending.logs, &mut batch_writes);
        if heads.is_empty() {
            // Only reads and rejections, of what was durable before.
            self.answer(pending);
            return Ok(());
        }
        let mut batch = Batch::from_writes(batch_writes);
        for agency in heads.keys() {
            if let Some(live) = self.logs.get(agency) {
                // Fails if another writer was here since the head was read.
                batch.expect(Head::key(agency), Expected::Value(live.stored.clone()));
            }
        }

        // Crash before or in this step: keys without bodies. The next start sweeps them.
        if let Err(error) = self.vault.sync() {
            return Self::fail(pending, SequenceError::Vault(error));
        }
        // Crash between the two: the same.
        match self.store.commit(batch) {
            Ok(()) => {}
            // Nothing was written. The checkpoints just signed are dropped and never left this thread.
            Err(error @ (StoreError::Changed { .. } | StoreError::TooLarge { .. })) => {
                return self.start_over(pending, &error);
            }
            // Crash in this step, or a failure reported: the batch is there whole or not at all, and
            // nobody knows. Nothing more is signed until the next start has read the heads.
            Err(error) => return Self::fail(pending, SequenceError::Store(error)),
        }
        // Crash from here on: durable, and unanswered. Callers ask again and find it done.
        for (agency, (head, stored)) in heads {
            if let Some(live) = self.logs.get_mut(&agency)
                && let Some(advanced) = pending.logs.remove(&agency)
            {
                live.frontier = advanced.frontier;
                live.head = head;
                live.stored = stored;
                // Nobody may be listening.
                let _ = self.appended.send(Appended {
                    agency,
                    size: live.head.size,
                });
            }
        }
        // Crash before or in this step: keys whose bodies' records are gone. The next start sweeps them.
        if let Err(error) = self.vault.erase(&pending.erased) {
            return Self::fail(pending, SequenceError::Vault(error));
        }
        self.answer(pending);
        Ok(())
    }

    /// Signs one checkpoint for each log that advanced, and stages its head.
    fn sign(
        &self,
        logs: &BTreeMap<AgencyId, Advanced>,
        writes: &mut Overlay,
    ) -> BTreeMap<AgencyId, (Head, Vec<u8>)> {
        let mut heads = BTreeMap::new();
        for (agency, advanced) in logs {
            if let Some(live) = self.logs.get(agency) {
                let head = Head::sign(&live.config, advanced.time, &advanced.frontier);
                let stored = head.to_bytes();
                writes.insert(Head::key(agency), Some(stored.clone()));
                heads.insert(agency.clone(), (head, stored));
            }
        }
        heads
    }

    /// Refuses a batch of which nothing was written, and reads anew what another writer may have
    /// changed.
    fn start_over(&mut self, pending: Pending, error: &StoreError) -> Result<(), SequenceError> {
        if let Err(error) = self.vault.discard(&pending.sealed) {
            return Self::fail(pending, SequenceError::Vault(error));
        }
        for agency in pending.logs.keys() {
            if let Some(live) = self.logs.remove(agency) {
                match Live::load(&*self.store, live.config) {
                    Ok(live) => self.logs.insert(agency.clone(), live),
                    Err(error) => return Self::fail(pending, SequenceError::Log(error)),
                };
            }
        }
        pending.answer_all(&SequenceError::Conflict(error.clone()));
        Ok(())
    }

    fn fail(pending: Pending, error: SequenceError) -> Result<(), SequenceError> {
        pending.answer_all(&error);
        Err(error)
    }

    /// Answers every caller from the heads as they are now.
    fn answer(&self, pending: Pending) {
        for Waiting {
            agency,
            work,
            first,
            count,
            time,
        } in pending.waiting
        {
            let outcome = match self.logs.get(&agency) {
                Some(live) => Ok(Done {
                    entries: first..first.saturating_add(count),
                    time,
                    size: live.head.size,
                    checkpoint: Arc::clone(&live.head.checkpoint),
                }),
                None => Err(SequenceError::UnknownAgency { agency }),
            };
            work.answer(outcome);
        }
    }
}
