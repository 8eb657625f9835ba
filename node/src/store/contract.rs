//! What a store promises. Every comment on [`Store`] is a term of the contract, not a description of
//! one engine; the `conformance` suite tests them on all.
//!
//! A store is an ordered map from [`Key`] to at most 32 KiB. There are no transactions over reads:
//! the sequencer is the only writer, reads what it needs, and commits one [`Batch`] with preconditions.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Bound;
use std::sync::Arc;

use waypost_proto::id::AgencyId;

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

macro_rules! spaces {
    ($($(#[$doc:meta])* $name:ident = $code:literal,)+) => {
        /// A key space. The codes are on the disk: never change or reuse one.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum Space {
            $($(#[$doc])* $name = $code,)+
        }

        impl Space {
            /// All of them, in order of their codes.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            const fn from_code(code: u8) -> Option<Self> {
                match code {
                    $($code => Some(Self::$name),)+
                    _ => None,
                }
            }
        }
    };
}

spaces! {
    /// The head of an agency's log: one record.
    LogHead = 1,
    /// Hashes of the complete subtrees of a log, by epoch, level and index.
    LogNode = 2,
    /// Entries of a log, by epoch and index.
    LogEntry = 3,
    /// The agencies whose logs are here, by id: node-wide.
    Agency = 4,
    /// Where a body's key is in the vault, by message id.
    Body = 8,
    /// A body's ciphertext, by message id and chunk number.
    BodyChunk = 9,
    /// Messages: header, signature and state, by message id.
    Message = 16,
    /// Messages that wait for a peer, by pair, lane and number.
    Outbox = 17,
    /// Messages in the order of the log, by log index.
    List = 18,
    /// The next number of each pair and lane.
    Order = 19,
    /// Messages that came too late, by message id.
    Tombstone = 20,
    /// Other bytes under a known message id, kept as evidence.
    Conflict = 21,
    /// Messages of a case, by case id and log index.
    CaseMessage = 22,
    /// Cases, by case id.
    Case = 24,
    /// A person's cases, messages and disclosures, by subject reference: never leaves the node.
    Subject = 26,
    /// What was last seen of a counterpart: its checkpoint.
    Peer = 32,
    /// The directory that was last accepted, by country.
    Directory = 33,
    /// The roster that was last accepted, by agency.
    Roster = 34,
    /// The policy bundle that was last accepted, by agency.
    Bundle = 35,
    /// Certificates, rosters and bundles that entries cite, by type, digest and chunk.
    Object = 36,
}

/// A key: whose it is (an agency's or the node's own), its space, and the rest, whose order is the
/// caller's to choose.
///
/// Encoded as the agency's id (empty for the node), a zero byte, the space's code, the rest; ids hold
/// no zero byte, so an agency's records lie together and no key of one is a key of another.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(Vec<u8>);

impl Key {
    /// A record of `agency`.
    #[must_use]
    pub fn of(agency: &AgencyId, space: Space, rest: &[u8]) -> Self {
        Self::encode(agency.as_str(), space, rest)
    }

    /// A record of the node itself.
    #[must_use]
    pub fn node(space: Space, rest: &[u8]) -> Self {
        Self::encode("", space, rest)
    }

    fn encode(name: &str, space: Space, rest: &[u8]) -> Self {
        let mut bytes = Vec::with_capacity(name.len() + 2 + rest.len());
        bytes.extend_from_slice(name.as_bytes());
        bytes.push(0);
        bytes.push(space as u8);
        bytes.extend_from_slice(rest);
        Self(bytes)
    }

    fn split(&self) -> (&[u8], Option<Space>, &[u8]) {
        let zero = self
            .0
            .iter()
            .position(|byte| *byte == 0)
            .unwrap_or(self.0.len());
        let (name, after) = self.0.split_at(zero);
        match after {
            [_, space, rest @ ..] => (name, Space::from_code(*space), rest),
            _ => (name, None, &[]),
        }
    }

    /// Its space; nothing if a newer version wrote it.
    #[must_use]
    pub fn space(&self) -> Option<Space> {
        self.split().1
    }

    /// Whether it is a record of `agency` or of the node itself, and so not of another agency.
    #[must_use]
    pub fn is_open_to(&self, agency: &AgencyId) -> bool {
        let name = self.split().0;
        name.is_empty() || name == agency.as_str().as_bytes()
    }

    /// The key without owner and space.
    #[must_use]
    pub fn rest(&self) -> &[u8] {
        self.split().2
    }

    /// As the store orders it.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// From bytes that a store returned.
    pub(super) fn from_stored(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }
}

/// Shows whose it is and its space only: the rest may be a subject reference.
impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, space, rest) = self.split();
        write!(
            f,
            "`{}`",
            if name.is_empty() {
                "node".into()
            } else {
                String::from_utf8_lossy(name)
            }
        )?;
        match space {
            Some(space) => write!(f, " {space:?}")?,
            None => write!(f, " an unknown space")?,
        }
        write!(f, " ({} bytes)", rest.len())
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Adjacent keys of one space.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRange {
    start: Key,
    // Excluded.
    end: Key,
}

impl KeyRange {
    /// Every key of `agency` and `space` whose rest starts with `prefix`.
    #[must_use]
    pub fn of(agency: &AgencyId, space: Space, prefix: &[u8]) -> Self {
        Self::from_prefix(Key::of(agency, space, prefix))
    }

    /// Every key of the node itself and `space` whose rest starts with `prefix`.
    #[must_use]
    pub fn node(space: Space, prefix: &[u8]) -> Self {
        Self::from_prefix(Key::node(space, prefix))
    }

    fn from_prefix(start: Key) -> Self {
        let mut end = start.0.clone();
        // The space's code is below 255, so an end is always found.
        while let Some(last) = end.pop() {
            if let Some(next) = last.checked_add(1) {
                end.push(next);
                break;
            }
        }
        Self {
            start,
            end: Key(end),
        }
    }

    /// Only from `key` on; all of the range if `key` comes before it.
    #[must_use]
    pub fn from(mut self, key: Key) -> Self {
        self.start = self.start.max(key);
        self
    }

    /// Only after `key`.
    #[must_use]
    pub fn after(self, key: &Key) -> Self {
        let mut next = key.clone();
        next.0.push(0);
        self.from(next)
    }

    /// Only before `key`; all of the range if it ends before `key`.
    #[must_use]
    pub fn before(mut self, key: Key) -> Self {
        self.end = self.end.min(key);
        self
    }

    /// Whether its keys are `agency`'s or the node's own.
    #[must_use]
    pub fn is_open_to(&self, agency: &AgencyId) -> bool {
        self.start.is_open_to(agency)
    }

    /// Whether it holds `key`.
    #[must_use]
    pub fn contains(&self, key: &Key) -> bool {
        self.start <= *key && *key < self.end
    }

    /// The first key that it could hold.
    pub(crate) const fn first(&self) -> &Key {
        &self.start
    }

    /// Its bounds, or nothing if no key fits between them.
    pub(crate) fn bounds(&self) -> Option<(Bound<&Key>, Bound<&Key>)> {
        (self.start < self.end)
            .then_some((Bound::Included(&self.start), Bound::Excluded(&self.end)))
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
            within("a key", key.0.len(), limit::KEY_BYTES)?;
            within("a value", value_bytes, limit::VALUE_BYTES)?;
            total = total
                .saturating_add(key.0.len())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_space_is_found_by_its_code_and_leaves_room_for_an_end() {
        for space in Space::ALL {
            assert_eq!(Space::from_code(*space as u8), Some(*space));
            assert!((*space as u8) < u8::MAX);
        }
    }

    #[test]
    fn a_key_shows_whose_it_is_and_not_what_it_names() {
        let agency: AgencyId = "gb.school".parse().unwrap();
        let key = Key::of(&agency, Space::Subject, b"secret");
        assert_eq!(key.to_string(), "`gb.school` Subject (6 bytes)");
        assert_eq!(key.rest(), b"secret");
        assert_eq!(
            format!("{:?}", Key::node(Space::Directory, b"")),
            "`node` Directory (0 bytes)"
        );
    }

    #[test]
    fn a_range_ends_after_its_last_key_even_at_the_last_byte() {
        let agency: AgencyId = "gb.school".parse().unwrap();
        let range = KeyRange::of(&agency, Space::Body, &[0xff, 0xff]);
        assert!(range.contains(&Key::of(&agency, Space::Body, &[0xff; 40])));
        assert!(!range.contains(&Key::of(&agency, Space::Body, &[0xff])));
        assert!(!range.contains(&Key::of(&agency, Space::BodyChunk, &[])));
    }
}
