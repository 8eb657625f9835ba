//! What a store promises. Every comment on [`Store`] is a term of the contract, not a description of
//! one engine; the `conformance` suite tests them on all.
//!
//! A store is an ordered map from [`Key`] to at most 32 KiB. There are no transactions over reads:
//! the sequencer is the only writer, reads what it needs, and commits one [`Batch`] with preconditions.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::key::{Key, KeyRange};
use crate::limit;

/// Durable records of a node.
///
/// INVARIANT (durable when it returns): after `commit` returned `Ok`, a power cut loses nothing of
/// the batch.
///
/// INVARIANT (no read ahead of the disk): `get` and `scan` return only what was committed so. While a
/// commit is running they return the state before it, so nobody acts on what a power cut could undo.
///
/// INVARIANT (the first failure is the last): after an I/O error the store's state in memory, in the
/// page cache and on the disk may differ, and a sync that is tried again may succeed without writing
/// anything. So every call fails from then on, the node stops, and what is on the disk is found out by
/// opening the store anew: recovery is the ordinary way of starting.
pub trait Store: fmt::Debug + Send + Sync {
    /// The value of `key`.
    ///
    /// # Errors
    /// [`StoreError::Io`] or [`StoreError::Stopped`].
    fn get(&self, key: &Key) -> Result<Option<Vec<u8>>, StoreError>;

    /// The first rows of `range`, in order of their keys, as one commit left them: at most `rows`,
    /// [`limit::SCAN_ROWS`], and about [`limit::SCAN_BYTES`]. [`Page::next`] continues; commits may
    /// come between two pages.
    ///
    /// # Errors
    /// [`StoreError::Io`] or [`StoreError::Stopped`].
    fn scan(&self, range: &KeyRange, rows: usize) -> Result<Page, StoreError>;

    /// Checks the batch's preconditions, then makes all of its writes, or none.
    ///
    /// Returns when they are on the disk: neither a killed process nor a power cut undoes them. One
    /// commit runs at a time; further callers wait.
    ///
    /// # Errors
    /// * [`StoreError::Changed`]: a precondition does not hold; nothing was written; the store goes on.
    /// * [`StoreError::TooLarge`]: a bound was exceeded; nothing was written; the store goes on.
    /// * [`StoreError::Io`]: the outcome is **unknown**: after the next start the batch is there whole or
    ///   not at all. The store is stopped.
    /// * [`StoreError::Stopped`]: an earlier call failed; nothing was written.
    fn commit(&self, batch: Batch) -> Result<(), StoreError>;
}

/// Why a store did not do what it was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The record at `key` is not what the batch expected: another writer was here.
    #[error("the record at {key} changed since it was read")]
    Changed {
        /// The first key whose precondition failed.
        key: Key,
    },
    /// A key, value or batch exceeds its bound: the caller's mistake.
    #[error("{what} of {bytes} bytes exceeds the limit of {limit}")]
    TooLarge {
        /// `a key`, `a value` or `a commit`.
        what: &'static str,
        /// Its size.
        bytes: usize,
        /// The bound.
        limit: usize,
    },
    /// The disk, or what is on it. Fatal; see INVARIANT (the first failure is the last).
    #[error("the store failed while it was {doing}")]
    Io {
        /// What it was doing, such as `syncing a commit`.
        doing: &'static str,
        /// What went wrong.
        #[source]
        source: Arc<dyn std::error::Error + Send + Sync>,
    },
    /// An earlier call failed.
    #[error("the store stopped after an earlier failure; restart the node")]
    Stopped,
}

impl StoreError {
    /// Whether the node must stop.
    #[must_use]
    pub const fn is_fatal(&self) -> bool {
        matches!(self, Self::Io { .. } | Self::Stopped)
    }
}

/// The first rows of a range.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// Keys and values, in order.
    pub rows: Vec<(Key, Vec<u8>)>,
    /// What is left of the range, if anything may be.
    pub next: Option<KeyRange>,
}

impl Page {
    /// Takes rows of `range` until `rows` or a bound of [`Store::scan`] is reached.
    pub(crate) fn collect<E>(
        range: &KeyRange,
        rows: usize,
        source: impl IntoIterator<Item = Result<(Key, Vec<u8>), E>>,
    ) -> Result<Self, E> {
        let rows = rows.min(limit::SCAN_ROWS);
        let mut page = Self::default();
        let mut bytes = 0_usize;
        for row in source {
            let full = page.rows.len() >= rows || bytes >= limit::SCAN_BYTES;
            if full {
                page.next = Some(match page.rows.last() {
                    Some((key, _)) => range.clone().after(key),
                    None => range.clone(),
                });
                break;
            }
            let (key, value) = row?;
            bytes = bytes.saturating_add(value.len());
            page.rows.push((key, value));
        }
        Ok(page)
    }
}

/// Shows how many rows, not what they hold.
impl fmt::Debug for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Page {{ {} rows, more: {} }}",
            self.rows.len(),
            self.next.is_some()
        )
    }
}

/// What a batch expects of a record before it writes.
#[derive(Clone, PartialEq, Eq)]
pub enum Expected {
    /// There is none.
    Absent,
    /// It has this value.
    Value(Vec<u8>),
}

impl Expected {
    /// Whether `found` is what was expected.
    pub(super) fn holds(&self, found: Option<&[u8]>) -> bool {
        match self {
            Self::Absent => found.is_none(),
            Self::Value(value) => found == Some(value),
        }
    }
}

impl fmt::Debug for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Absent => "Absent",
            Self::Value(_) => "Value(..)",
        })
    }
}

/// Writes that are made together, and what must hold before.
#[derive(Clone, Default)]
pub struct Batch {
    pub(super) expected: Vec<(Key, Expected)>,
    pub(super) writes: BTreeMap<Key, Option<Vec<u8>>>,
}

impl Batch {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A batch of `writes`: a value to put, or nothing to delete.
    #[must_use]
    pub const fn from_writes(writes: BTreeMap<Key, Option<Vec<u8>>>) -> Self {
        Self {
            expected: Vec::new(),
            writes,
        }
    }

    /// The record at `key` must be as `expected`.
    pub fn expect(&mut self, key: Key, expected: Expected) {
        self.expected.push((key, expected));
    }

    /// Puts `value` at `key`.
    pub fn put(&mut self, key: Key, value: Vec<u8>) {
        self.writes.insert(key, Some(value));
    }

    /// Deletes what is at `key`, if anything.
    pub fn delete(&mut self, key: Key) {
        self.writes.insert(key, None);
    }

    /// How many records it puts or deletes.
    #[must_use]
    pub fn records(&self) -> usize {
        self.writes.len()
    }

    /// The batch, once every bound holds.
    pub(super) fn checked(self) -> Result<Self, StoreError> {
        let within = |what, bytes, limit| {
            if bytes <= limit {
                Ok(())
            } else {
                Err(StoreError::TooLarge { what, bytes, limit })
            }
        };
        let mut total = 0_usize;
        for (key, value) in &self.writes {
            let value_bytes = value.as_ref().map_or(0, Vec::len);
            within("a key", key.as_bytes().len(), limit::KEY_BYTES)?;
            within("a value", value_bytes, limit::VALUE_BYTES)?;
            total = total
                .saturating_add(key.as_bytes().len())
                .saturating_add(value_bytes);
        }
        within("a commit", total, limit::COMMIT_BYTES)?;
        Ok(self)
    }
}

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Batch {{ {} preconditions, {} writes }}",
            self.expected.len(),
            self.writes.len()
        )
    }
}
