//! A store that breaks its word: it answers a commit at once, and writes it later.

use std::sync::mpsc::{self, Sender};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};
use waypost_node::sequencer;
use waypost_node::store::memory::MemoryStore;
use waypost_node::store::{Batch, Key, KeyRange, Page, Space, Store, StoreError};

/// How late a commit is written: a kill loses what was answered in this time.
const LATE: Duration = Duration::from_millis(400);

/// A store in memory in front of an honest one, which gets every commit [`LATE`].
#[derive(Debug)]
pub struct LateStore {
    answers: MemoryStore,
    queue: Sender<Batch>,
}

impl LateStore {
    /// Puts it in front of `honest`.
    ///
    /// # Errors
    /// When `honest` cannot be read, or there is no thread.
    pub fn before(honest: impl Store + 'static) -> Result<Self> {
        let answers = MemoryStore::new();
        copy(&honest, &answers)?;
        let (queue, waiting) = mpsc::channel::<Batch>();
        thread::Builder::new()
            .name("late".into())
            .spawn(move || {
                for batch in waiting {
                    thread::sleep(LATE);
                    // Nobody is left to be told.
                    let _ = honest.commit(batch);
                }
            })
            .context("a thread")?;
        Ok(Self { answers, queue })
    }
}

impl Store for LateStore {
    fn get(&self, key: &Key) -> Result<Option<Vec<u8>>, StoreError> {
        self.answers.get(key)
    }

    fn scan(&self, range: &KeyRange, rows: usize) -> Result<Page, StoreError> {
        self.answers.scan(range, rows)
    }

    fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        self.answers.commit(batch.clone())?;
        self.queue.send(batch).map_err(|_| StoreError::Stopped)
    }
}

/// Copies every record that has an owner, or is the node's own.
fn copy(from: &dyn Store, to: &MemoryStore) -> Result<()> {
    let agencies = sequencer::agencies(from)?;
    for space in Space::ALL {
        let owned = agencies.iter().map(|id| KeyRange::of(id, *space, &[]));
        for range in owned.chain([KeyRange::node(*space, &[])]) {
            let mut next = Some(range);
            while let Some(range) = next {
                let page = from.scan(&range, usize::MAX)?;
                let mut batch = Batch::new();
                for (key, value) in page.rows {
                    batch.put(key, value);
                }
                to.commit(batch)?;
                next = page.next;
            }
        }
    }
    Ok(())
}
