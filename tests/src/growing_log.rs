//! A log that grows, and what appending to it and proving from it touch: the real sequencer and log
//! over any store, whose reads and writes are counted.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context as _, Result, bail};
use waypost_node::clock::SystemClock;
use waypost_node::sequencer::{Abort, Log, LogConfig, Sequencer, create_log};
use waypost_node::store::{Batch, Key, KeyRange, Page, Store, StoreError};
use waypost_node::vault::Vault;
use waypost_proto::id::{AgencyId, Digest};
use waypost_proto::merkle::{leaf_hash, verify_consistency, verify_inclusion};
use waypost_proto::note::{KeyName, NoteSigner};
use waypost_proto::wire::{self, log_entry::Event};

use crate::scheme;

/// Entries of one commit while a log is filled.
const FILL_ENTRIES: u64 = 250;

/// A store that counts what it is asked.
#[derive(Debug)]
pub struct Counted {
    store: Arc<dyn Store>,
    reads: AtomicUsize,
    writes: AtomicUsize,
}

impl Counted {
    /// Counts what `store` is asked from now on.
    #[must_use]
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self {
            store,
            reads: AtomicUsize::new(0),
            writes: AtomicUsize::new(0),
        }
    }

    /// Records read, and records written, since this was last asked.
    pub fn take(&self) -> (usize, usize) {
        let taken = |count: &AtomicUsize| count.swap(0, Ordering::Relaxed);
        (taken(&self.reads), taken(&self.writes))
    }
}

impl Store for Counted {
    fn get(&self, key: &Key) -> Result<Option<Vec<u8>>, StoreError> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.store.get(key)
    }

    fn scan(&self, range: &KeyRange, rows: usize) -> Result<Page, StoreError> {
        let page = self.store.scan(range, rows)?;
        self.reads.fetch_add(page.rows.len(), Ordering::Relaxed);
        Ok(page)
    }

    fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        self.writes.fetch_add(batch.records(), Ordering::Relaxed);
        self.store.commit(batch)
    }
}

/// What one operation touched.
#[derive(Debug, Clone, Copy, Default)]
pub struct Touched {
    /// Records read from the store.
    pub reads: usize,
    /// Records written to it.
    pub writes: usize,
    /// Hashes of the proof, if it is one.
    pub hashes: usize,
}

/// A tree, as whoever saw its checkpoint knows it: size and root.
pub type Seen = (u64, Digest);

/// A proof, and all that it takes to check it.
#[derive(Debug)]
pub enum Proof {
    /// That a leaf is in a tree.
    Inclusion {
        /// Hash of the leaf.
        leaf: Digest,
        /// Its place.
        index: u64,
        /// The tree.
        to: Seen,
        /// The proof.
        path: Vec<Digest>,
    },
    /// That a tree is the beginning of another.
    Consistency {
        /// The smaller tree.
        from: Seen,
        /// The tree as it is now.
        to: Seen,
        /// The proof.
        path: Vec<Digest>,
    },
}

impl Proof {
    /// Checks it.
    ///
    /// # Errors
    /// When it does not hold.
    pub fn check(&self) -> Result<()> {
        match self {
            Self::Inclusion {
                leaf,
                index,
                to: (size, root),
                path,
            } => verify_inclusion(leaf, *index, *size, path, root)?,
            Self::Consistency { from, to, path } => {
                verify_consistency((from.0, &from.1), (to.0, &to.1), path)?;
            }
        }
        Ok(())
    }

    fn hashes(&self) -> usize {
        match self {
            Self::Inclusion { path, .. } | Self::Consistency { path, .. } => path.len(),
        }
    }
}

/// A running sequencer with one log.
pub struct GrowingLog {
    agency: AgencyId,
    store: Arc<Counted>,
    log: Log,
    sequencer: Sequencer,
    /// The tree after each commit.
    seen: Vec<Seen>,
}

impl fmt::Debug for GrowingLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GrowingLog").finish_non_exhaustive()
    }
}

impl GrowingLog {
    /// Begins a log in `store`, with its vault in `folder`.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn begin(store: Arc<dyn Store>, folder: &Path) -> Result<Self> {
        let agency: AgencyId = "gb.growing-log".parse()?;
        let store = Arc::new(Counted::new(store));
        let counted: Arc<dyn Store> = Arc::clone(&store) as Arc<dyn Store>;
        let vault = Arc::new(Vault::open(&folder.join("vault.slots"))?);
        let signer = NoteSigner::generate(KeyName::of_log(&agency))?;
        let config = LogConfig::new(agency.clone(), 1, signer)?;
        create_log(counted.as_ref(), &config, scheme::now())?;
        let log = Log::new(Arc::clone(&counted), agency.clone());
        let sequencer = Sequencer::start(counted, vault, vec![config], Arc::new(SystemClock))?;
        Ok(Self {
            agency,
            store,
            log,
            sequencer,
            seen: Vec::new(),
        })
    }

    /// Appends until the log has `size` entries, many in a commit.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn fill(&mut self, size: u64) -> Result<()> {
        let mut now = self.now()?.0;
        while now < size {
            self.append((size - now).min(FILL_ENTRIES)).await?;
            now = self.now()?.0;
        }
        Ok(())
    }

    /// Appends `count` entries in one commit, and says what that touched.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn append(&mut self, count: u64) -> Result<Touched> {
        let size = self.now()?.0;
        self.store.take();
        let run = self
            .sequencer
            .handle()
            .run(&self.agency, move |tx| -> Result<(), Abort<()>> {
                for index in size..size + count {
                    tx.append(Event::Fetched(wire::Fetched {
                        message_id: u128::from(index).to_be_bytes().to_vec(),
                        officer: vec![0; 32],
                    }))?;
                }
                Ok(())
            });
        match run.await {
            Ok(_) => {}
            Err(Abort::Failed(error)) => return Err(error.into()),
            Err(Abort::Rejected(())) => bail!("nothing rejects it"),
        }
        let touched = self.touched(0);
        self.seen.push(self.now()?);
        Ok(touched)
    }

    /// The tree as it is now.
    ///
    /// # Errors
    /// When the store fails.
    pub fn now(&self) -> Result<Seen> {
        let head = self.log.head()?;
        Ok((head.size, head.root))
    }

    /// The tree after each commit of [`Self::append`], the oldest first.
    #[must_use]
    pub fn seen(&self) -> &[Seen] {
        &self.seen
    }

    /// Proves entry `index`, and says what making the proof touched.
    ///
    /// # Errors
    /// When the store fails, or the log is not that long.
    pub fn inclusion(&self, index: u64) -> Result<(Proof, Touched)> {
        self.store.take();
        let to = self.now()?;
        let proof = Proof::Inclusion {
            leaf: leaf_hash(&self.log.entry(index)?),
            index,
            to,
            path: self.log.inclusion(index, to.0)?,
        };
        let touched = self.touched(proof.hashes());
        Ok((proof, touched))
    }

    /// Proves that `from` is the beginning of the log, and says what making the proof touched.
    ///
    /// # Errors
    /// When the store fails, or the log is not that long.
    pub fn consistency(&self, from: Seen) -> Result<(Proof, Touched)> {
        self.store.take();
        let to = self.now()?;
        let path = self.log.consistency(from.0, to.0)?;
        let proof = Proof::Consistency { from, to, path };
        let touched = self.touched(proof.hashes());
        Ok((proof, touched))
    }

    /// Ends the sequencer.
    pub async fn stop(self) {
        self.sequencer.shutdown().await;
    }

    fn touched(&self, hashes: usize) -> Touched {
        let (reads, writes) = self.store.take();
        Touched {
            reads,
            writes,
            hashes,
        }
    }
}

/// Numbers below `bound`, spread over it and the same in every run.
///
/// # Errors
/// None for a `bound` above 0.
pub fn spread(count: u64, bound: u64) -> Result<Vec<u64>> {
    let one = |index: u64| {
        let digest = Digest::of(&index.to_be_bytes());
        let first = digest.as_bytes().first_chunk().context("eight bytes")?;
        u64::from_be_bytes(*first)
            .checked_rem(bound)
            .context("a bound above 0")
    };
    (0..count).map(one).collect()
}

#[cfg(test)]
mod tests {
    use waypost_node::store::memory::MemoryStore;

    use super::*;

    /// Records that every proof reads: the head, and for inclusion the entry.
    const READ_ALWAYS: usize = 4;

    /// DESIGN 10: what an append writes, and what a proof reads and holds, grows with the number of
    /// levels of the tree and not with its size.
    #[tokio::test]
    async fn appending_and_proving_touch_a_bounded_number_of_records_a_level() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = GrowingLog::begin(Arc::new(MemoryStore::new()), folder.path()).unwrap();
        for size in [1_000_u64, 100_000] {
            log.fill(size - 1).await.unwrap();
            let append = log.append(1).await.unwrap();
            let levels = usize::try_from(size.ilog2()).unwrap() + 1;
            assert_eq!(append.reads, 0, "the frontier is in memory");
            // The entry, the head, the leaf's node, and one node a level that is completed.
            assert!((3..=2 + levels).contains(&append.writes), "{append:?}");

            let indices = spread(200, size).unwrap().into_iter();
            let mut proofs: Vec<_> = indices.map(|index| log.inclusion(index)).collect();
            proofs.extend(log.seen().iter().map(|seen| log.consistency(*seen)));
            for proof in proofs {
                let (proof, touched) = proof.unwrap();
                proof.check().unwrap();
                // RFC 6962, 2.1.1 and 2.1.2: consistency takes one more.
                assert!(touched.hashes <= levels + 1, "{proof:?}");
                assert!(touched.reads > touched.hashes, "the head is read, too");
                assert!(touched.reads <= READ_ALWAYS + 2 * levels, "{touched:?}");
                assert_eq!(touched.writes, 0);
            }
        }
        log.stop().await;
    }
}
