//! A store in memory that fails on command: for tests and simulation.
//!
//! Every fault comes in two kinds, because a caller that is told of a failure does not know which it
//! was: the batch was not persisted, or it was and only the answer was lost.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::contract::{Batch, Page, Store, StoreError};
use super::key::{Key, KeyRange};

/// How a commit fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing of the batch is there after a restart.
    NotPersisted,
    /// The whole batch is there after a restart.
    Persisted,
}

/// A store in memory. Clones share one state.
#[derive(Clone, Default)]
pub struct MemoryStore(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    records: BTreeMap<Key, Vec<u8>>,
    commits: usize,
    fault: Option<(usize, Fault)>,
    stopped: bool,
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets the commit after `more` further ones fail.
    pub fn fail_after(&self, more: usize, fault: Fault) {
        let mut state = self.state();
        state.fault = Some((state.commits.saturating_add(more), fault));
    }

    /// How many commits it was asked to make that held their preconditions and bounds.
    #[must_use]
    pub fn commits(&self) -> usize {
        self.state().commits
    }

    /// What a restart finds: the same records, running again, without faults.
    #[must_use]
    pub fn restarted(&self) -> Self {
        let records = self.state().records.clone();
        Self(Arc::new(Mutex::new(State {
            records,
            ..State::default()
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn running(&self) -> Result<MutexGuard<'_, State>, StoreError> {
        let state = self.state();
        if state.stopped {
            Err(StoreError::Stopped)
        } else {
            Ok(state)
        }
    }
}

/// Shows how many records it holds, not what they are.
impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "MemoryStore {{ {} records }}",
            self.state().records.len()
        )
    }
}

impl Store for MemoryStore {
    fn get(&self, key: &Key) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.running()?.records.get(key).cloned())
    }

    fn scan(&self, range: &KeyRange, rows: usize) -> Result<Page, StoreError> {
        let state = self.running()?;
        let found = range
            .bounds()
            .map(|bounds| state.records.range(bounds))
            .into_iter()
            .flatten();
        let found = found.map(|(key, value)| Ok::<_, Infallible>((key.clone(), value.clone())));
        Page::collect(range, rows, found).map_err(|never| match never {})
    }

    fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        let Batch { expected, writes } = batch.checked()?;
        let mut state = self.running()?;
        for (key, expected) in expected {
            if !expected.holds(state.records.get(&key).map(Vec::as_slice)) {
                return Err(StoreError::Changed { key });
            }
        }
        let fault = state
            .fault
            .filter(|(at, _)| *at == state.commits)
            .map(|(_, fault)| fault);
        state.commits = state.commits.saturating_add(1);
        if fault != Some(Fault::NotPersisted) {
            for (key, value) in writes {
                match value {
                    Some(value) => state.records.insert(key, value),
                    None => state.records.remove(&key),
                };
            }
        }
        if fault.is_some() {
            state.stopped = true;
            let source = Arc::new(io::Error::other("injected"));
            return Err(StoreError::Io {
                doing: "syncing a commit",
                source,
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::conformance::{self, key};

    #[test]
    fn the_memory_store_keeps_the_contract() {
        conformance::all(MemoryStore::new);
    }

    #[test]
    fn a_commit_that_failed_was_made_or_not_and_only_a_restart_tells() {
        for fault in [Fault::NotPersisted, Fault::Persisted] {
            let store = MemoryStore::new();
            store.fail_after(1, fault);
            store.commit(conformance::put("a", "1")).unwrap();
            assert!(
                store
                    .commit(conformance::put("b", "2"))
                    .unwrap_err()
                    .is_fatal()
            );
            assert!(matches!(store.get(&key("a")), Err(StoreError::Stopped)));
            assert!(matches!(
                store.commit(Batch::new()),
                Err(StoreError::Stopped)
            ));

            let found = store.restarted().get(&key("b")).unwrap();
            assert_eq!(found.is_some(), fault == Fault::Persisted);
        }
    }
}
