//! The agency's own log as this client has seen it, and whether the node's list is true to it.
//!
//! A receipt proves to the sender that the recipient's node has the message. The node could give the
//! receipt and hide the message from its own officers; so the client replays the proved log beside
//! the list. It keeps the right edge of the tree (a few hashes), not the entries, and a running
//! digest of the messages that stood in the list, so that none can vanish later.

use std::collections::{BTreeMap, BTreeSet};

use waypost_proto::checkpoint::Checkpoint;
use waypost_proto::entry::{Entry, EntryError};
use waypost_proto::id::{AgencyId, Digest, MessageId};
use waypost_proto::merkle::{self, Frontier};
use waypost_proto::wire::log_entry::Event;

use super::mail::{Direction, Item, Outcome};
use crate::home::LogMirror;

/// A log replayed so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mirror {
    frontier: Frontier,
    messages: Digest,
}

/// A log that is not what its checkpoint says.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MirrorError {
    /// What was kept does not parse.
    #[error("what was kept of the log in state.json does not parse")]
    Kept,
    /// The log is shorter than what was seen.
    #[error("the node's log has {found} entries, {seen} have been seen: entries were taken away")]
    Shorter {
        /// Entries found.
        found: u64,
        /// Entries seen.
        seen: u64,
    },
    /// An entry out of place.
    #[error("the node sent entry {found} where {expected} belongs")]
    Index {
        /// Index found.
        found: u64,
        /// Index expected.
        expected: u64,
    },
    /// An entry that does not decode.
    #[error("entry {index} of the log does not decode: {source}")]
    Entry {
        /// Where.
        index: u64,
        /// What is wrong.
        source: EntryError,
    },
    /// The entries do not make the root of the checkpoint, or not after what was seen.
    #[error(
        "the entries that the node sent do not make the root of its signed checkpoint of {size} entries: the log was changed"
    )]
    Root {
        /// Entries of the checkpoint.
        size: u64,
    },
}

impl Mirror {
    /// Nothing seen yet.
    pub(crate) fn empty() -> Self {
        Self {
            frontier: Frontier::empty(),
            messages: Digest::of(b""),
        }
    }

    /// What was kept.
    pub(crate) fn parse(kept: &LogMirror) -> Result<Self, MirrorError> {
        let frontier = Frontier::from_hashes(kept.size, kept.frontier.clone());
        Ok(Self {
            frontier: frontier.ok_or(MirrorError::Kept)?,
            messages: kept.messages,
        })
    }

    /// What to keep.
    pub(crate) fn keep(&self) -> LogMirror {
        LogMirror {
            size: self.frontier.size(),
            frontier: self.frontier.hashes().to_vec(),
            messages: self.messages,
        }
    }

    /// Entries replayed.
    pub(crate) const fn size(&self) -> u64 {
        self.frontier.size()
    }

    /// Root over them.
    pub(crate) fn root(&self) -> Digest {
        self.frontier.root()
    }

    /// Adds the next entry's exact bytes.
    pub(crate) fn append(&mut self, index: u64, bytes: &[u8]) -> Result<Entry, MirrorError> {
        let expected = self.frontier.size();
        if index != expected {
            return Err(MirrorError::Index {
                found: index,
                expected,
            });
        }
        self.frontier.append(merkle::leaf_hash(bytes));
        Entry::decode(bytes).map_err(|source| MirrorError::Entry { index, source })
    }

    /// Whether the entries replayed are exactly those of the checkpoint.
    pub(crate) fn check(&self, checkpoint: &Checkpoint) -> Result<(), MirrorError> {
        if self.size() == checkpoint.size && self.root() == checkpoint.root {
            Ok(())
        } else {
            Err(MirrorError::Root {
                size: checkpoint.size,
            })
        }
    }

    /// Whether the listed messages before this mirror's size are those that stood there.
    pub(crate) fn holds(&self, items: &[Item]) -> bool {
        let before = items.iter().filter(|i| i.position < self.size());
        chain(Digest::of(b""), before) == self.messages
    }

    /// Notes the messages listed from `from` up to this mirror's size.
    pub(crate) fn note(&mut self, items: &[Item], from: u64) {
        let size = self.size();
        let listed = items.iter().filter(|i| (from..size).contains(&i.position));
        self.messages = chain(self.messages, listed);
    }
}

fn chain<'a>(start: Digest, items: impl Iterator<Item = &'a Item>) -> Digest {
    items.fold(start, |digest, item| {
        let position = item.position.to_be_bytes();
        Digest::of_parts(&[digest.as_bytes(), &position, item.header_digest.as_bytes()])
    })
}

/// One way in which the node's list is not true to the log that it signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Mismatch {
    /// Logged, and not in the list.
    Hidden {
        /// Index of the entry.
        index: u64,
        /// Which.
        message: MessageId,
    },
    /// In the list, and not logged.
    NotLogged {
        /// Where the list says that it stands.
        position: u64,
        /// Which.
        message: MessageId,
    },
    /// In both, with another header or time.
    Different {
        /// Index of the entry.
        index: u64,
        /// Which.
        message: MessageId,
    },
    /// The list tells another outcome than the log.
    Outcome {
        /// Index of the entry that tells the outcome.
        index: u64,
        /// Which.
        message: MessageId,
    },
}

impl Mismatch {
    /// What happened, in words.
    pub(crate) fn words(&self) -> String {
        match self {
            Self::Hidden { index, message } => format!(
                "the node logged the message {message} (entry {index}) and does not show it"
            ),
            Self::NotLogged { position, message } => format!(
                "the node shows the message {message} and its log does not hold it (entry {position})"
            ),
            Self::Different { index, message } => format!(
                "the node shows the message {message} with another header, sender or time than it logged (entry {index})"
            ),
            Self::Outcome { index, message } => format!(
                "the node tells another outcome of the message {message} than it logged (entry {index})"
            ),
        }
    }
}

/// What an entry says of a message that this agency holds: which, and its header's digest.
fn made(entry: &Entry, own: &AgencyId) -> Option<(Direction, MessageId, Digest)> {
    let (direction, facts) = match &entry.event {
        Event::Received(e) => (Direction::In, e.message.as_ref()?),
        Event::Submitted(e) => (Direction::Out, e.message.as_ref()?),
        _ => return None,
    };
    let agency = match direction {
        Direction::In => &facts.recipient_agency,
        Direction::Out => &facts.sender_agency,
    };
    let id = MessageId::try_from(facts.message_id.as_slice()).ok()?;
    let header = Digest::try_from(facts.header_digest.as_slice()).ok()?;
    (agency == own.as_str()).then_some((direction, id, header))
}

/// Compares proved entries with the list. `entries` are all of the log from `from` up to `size`; the
/// list was asked for after the checkpoint of `size` entries, so what it lacks is hidden.
pub(crate) fn compare(
    own: &AgencyId,
    entries: &[(u64, Entry)],
    (from, size): (u64, u64),
    items: &[Item],
) -> Vec<Mismatch> {
    let listed: BTreeMap<u64, &Item> = items.iter().map(|i| (i.position, i)).collect();
    let sent: BTreeMap<MessageId, &Item> = items
        .iter()
        .filter(|i| i.direction == Direction::Out)
        .map(|i| (i.id(), i))
        .collect();
    let mut logged = BTreeSet::new();
    let mut found = Vec::new();
    for (index, entry) in entries {
        let index = *index;
        if let Some((direction, message, header)) = made(entry, own) {
            logged.insert(index);
            match listed.get(&index) {
                None => found.push(Mismatch::Hidden { index, message }),
                Some(item) => {
                    let same = item.direction == direction
                        && item.id() == message
                        && item.header_digest == header
                        && item.time == entry.time;
                    if !same {
                        found.push(Mismatch::Different { index, message });
                    }
                }
            }
        }
        found.extend(outcome(index, entry, own, &sent));
    }
    let unlogged = listed
        .range(from..size)
        .filter(|(position, _)| !logged.contains(*position));
    found.extend(unlogged.map(|(position, item)| Mismatch::NotLogged {
        position: *position,
        message: item.id(),
    }));
    found
}

/// A final outcome of a message of ours that the list does not tell.
fn outcome(
    index: u64,
    entry: &Entry,
    own: &AgencyId,
    sent: &BTreeMap<MessageId, &Item>,
) -> Option<Mismatch> {
    let logged = match &entry.event {
        Event::Delivered(_) => Outcome::Delivered,
        Event::Refused(e) if e.sender_agency == own.as_str() => Outcome::Refused,
        Event::Expired(e) if e.sender_agency == own.as_str() => Outcome::Expired,
        _ => return None,
    };
    let message = entry.message_id()?;
    let item = sent.get(&message)?;
    (item.outcome != logged).then_some(Mismatch::Outcome { index, message })
}

#[cfg(test)]
mod tests {
    use waypost_proto::id::Timestamp;
    use waypost_proto::note::{KeyName, NoteSigner};
    use waypost_proto::wire;

    use super::*;
    use crate::online::fixture::{self, own};

    /// The log: a genesis, a received message, its fetch.
    fn log(item: &Item) -> Vec<Entry> {
        let entry = |event| Entry {
            time: item.time,
            event,
        };
        vec![
            entry(Event::Genesis(wire::Genesis::default())),
            entry(fixture::received(item)),
            entry(Event::Fetched(wire::Fetched::default())),
        ]
    }

    fn indexed(entries: &[Entry]) -> Vec<(u64, Entry)> {
        (0..).zip(entries.iter().cloned()).collect()
    }

    fn compare_all(entries: &[Entry], items: &[Item]) -> Vec<Mismatch> {
        let size = u64::try_from(entries.len()).unwrap();
        compare(&own(), &indexed(entries), (0, size), items)
    }

    #[test]
    fn a_list_that_is_true_to_the_log_has_no_mismatch() {
        let item = fixture::incoming(1);
        assert_eq!(compare_all(&log(&item), &[item]), []);
    }

    #[test]
    fn a_message_that_is_logged_and_not_shown_is_found() {
        let item = fixture::incoming(1);
        let message = item.id();
        let found = compare_all(&log(&item), &[]);
        assert_eq!(found, [Mismatch::Hidden { index: 1, message }]);
        assert!(found[0].words().contains("does not show it"));
    }

    #[test]
    fn a_message_that_is_shown_and_not_logged_is_found() {
        let (item, other) = (fixture::incoming(1), fixture::incoming(2));
        let message = other.id();
        let found = compare_all(&log(&item), &[item, other]);
        assert_eq!(
            found,
            [Mismatch::NotLogged {
                position: 2,
                message
            }]
        );
    }

    #[test]
    fn a_message_after_the_checkpoint_is_not_judged_by_it() {
        let (item, later) = (fixture::incoming(1), fixture::incoming(3));
        assert_eq!(compare_all(&log(&item), &[item, later]), []);
    }

    #[test]
    fn a_message_shown_with_another_header_or_time_is_found() {
        let item = fixture::incoming(1);
        let entries = log(&item);
        let message = item.id();
        let mut changed = item.clone();
        changed.header_digest = Digest::of(b"another");
        let expected = [Mismatch::Different { index: 1, message }];
        assert_eq!(compare_all(&entries, &[changed]), expected);
        let mut moved = item;
        moved.time = Timestamp(1);
        assert_eq!(compare_all(&entries, &[moved]), expected);
    }

    #[test]
    fn a_delivery_that_is_logged_and_told_as_waiting_is_found() {
        let item = fixture::outgoing(0, Outcome::Queued);
        let message = item.id();
        let delivered = Event::Delivered(wire::Delivered {
            message_id: message.as_bytes().to_vec(),
            ..Default::default()
        });
        let entries = [fixture::submitted(&item), delivered].map(|event| Entry {
            time: item.time,
            event,
        });
        let expected = [Mismatch::Outcome { index: 1, message }];
        assert_eq!(compare_all(&entries, &[item]), expected);
        let told = fixture::outgoing(0, Outcome::Delivered);
        assert_eq!(compare_all(&entries, &[told]), []);
    }

    fn replayed(entries: &[Entry]) -> Mirror {
        let mut mirror = Mirror::empty();
        for (index, entry) in indexed(entries) {
            assert_eq!(mirror.append(index, &entry.encode()).unwrap(), entry);
        }
        mirror
    }

    #[test]
    fn a_mirror_is_kept_and_read_back() {
        let item = fixture::incoming(1);
        let mut mirror = replayed(&log(&item));
        mirror.note(&[item], 0);
        assert_eq!(Mirror::parse(&mirror.keep()).unwrap(), mirror);
        let mut kept = mirror.keep();
        kept.size += 1;
        assert!(matches!(Mirror::parse(&kept), Err(MirrorError::Kept)));
    }

    #[test]
    fn an_entry_out_of_place_is_refused() {
        let mut mirror = Mirror::empty();
        let error = mirror.append(1, b"").unwrap_err();
        assert!(matches!(
            error,
            MirrorError::Index {
                found: 1,
                expected: 0
            }
        ));
    }

    #[test]
    fn entries_that_do_not_make_the_signed_root_are_refused() {
        let item = fixture::incoming(1);
        let mirror = replayed(&log(&item));
        let name = KeyName::of_log(&own());
        let signer = NoteSigner::generate(name).unwrap();
        let sign = |size, root| {
            waypost_proto::checkpoint::SignedCheckpoint::sign(&signer, size, root)
                .checkpoint()
                .clone()
        };
        assert!(mirror.check(&sign(3, mirror.root())).is_ok());
        let other = mirror.check(&sign(3, Digest::of(b"other")));
        assert!(matches!(other, Err(MirrorError::Root { size: 3 })));
    }

    #[test]
    fn a_message_that_was_once_shown_and_then_vanishes_is_noticed() {
        let item = fixture::incoming(1);
        let mut mirror = replayed(&log(&item));
        mirror.note(std::slice::from_ref(&item), 0);
        assert!(mirror.holds(&[item.clone(), fixture::incoming(7)]));
        assert!(!mirror.holds(&[]));
        assert!(!mirror.holds(&[fixture::incoming(0), item]));
    }
}
