//! Commits that overwrite each other's records, so that a store soon uses its space again.
//!
//! Each is made from its number alone: whoever knows how many were made knows every record.

use std::collections::BTreeMap;

use anyhow::Result;
use waypost_node::limit;
use waypost_node::store::{Batch, Expected, Key, Space, Store};
use waypost_proto::id::AgencyId;

use crate::seeded::Seeded;

/// Records that are written again and again.
const RECORDS: u64 = 64;
/// Records of one commit.
const TOGETHER: u64 = 24;

/// What a store holds.
pub type Records = BTreeMap<Key, Vec<u8>>;

/// A store that holds something else than so many commits made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("after {commits} commits, the record at {key} is another")]
pub struct Other {
    /// The commits that it says it holds.
    pub commits: u64,
    /// The first record that differs.
    pub key: Key,
}

/// The owner of the records.
#[derive(Debug, Clone)]
pub struct Owner(AgencyId);

impl Owner {
    /// One like any other.
    ///
    /// # Errors
    /// None in a working harness.
    pub fn new() -> Result<Self> {
        Ok(Self("gb.example.ngo".parse()?))
    }

    fn count(&self) -> Key {
        Key::of(&self.0, Space::LogHead, &[])
    }

    fn record(&self, index: u64) -> Key {
        Key::of(&self.0, Space::Message, &index.to_be_bytes())
    }

    /// What the commit with this number, from 1, writes: values, or deletions.
    fn writes(&self, commit: u64) -> BTreeMap<Key, Option<Vec<u8>>> {
        let mut random = Seeded::new(commit);
        let mut writes = BTreeMap::new();
        for _ in 0..TOGETHER {
            let key = self.record(random.within(0..RECORDS));
            let length = random.within(0..limit::VALUE_BYTES as u64 / 8);
            let value = (0..length).flat_map(|_| random.number().to_be_bytes());
            writes.insert(key, (!length.is_multiple_of(8)).then(|| value.collect()));
        }
        writes.insert(self.count(), Some(commit.to_be_bytes().to_vec()));
        writes
    }

    /// Makes the commit with this number.
    ///
    /// # Errors
    /// What the store says; also when the last one was another.
    pub fn commit(&self, store: &dyn Store, commit: u64) -> Result<()> {
        let mut batch = Batch::from_writes(self.writes(commit));
        let last = match commit.saturating_sub(1) {
            0 => Expected::Absent,
            last => Expected::Value(last.to_be_bytes().to_vec()),
        };
        batch.expect(self.count(), last);
        Ok(store.commit(batch)?)
    }

    /// How many commits the store holds, every one of them whole.
    ///
    /// # Errors
    /// What the store says; [`Other`].
    pub fn held(&self, store: &dyn Store) -> Result<u64> {
        let count = store.get(&self.count())?.unwrap_or_default();
        let commits = count.try_into().map_or(0, u64::from_be_bytes);
        let mut records = Records::new();
        for commit in 1..=commits {
            for (key, value) in self.writes(commit) {
                match value {
                    Some(value) => records.insert(key, value),
                    None => records.remove(&key),
                };
            }
        }
        for key in (0..RECORDS).map(|index| self.record(index)) {
            if store.get(&key)?.as_ref() != records.get(&key) {
                return Err(Other { commits, key }.into());
            }
        }
        Ok(commits)
    }
}
