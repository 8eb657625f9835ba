//! Names of records: whose they are, what they are, and which.

use std::fmt;
use std::ops::Bound;

use waypost_proto::id::AgencyId;

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
    /// Messages: what never changes of them, by message id.
    Message = 16,
    /// The detached signatures of messages, by message id.
    Signature = 29,
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
    /// Where messages stand, by message id.
    State = 27,
    /// The counterparts' log evidence of messages, by message id.
    Evidence = 28,
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
