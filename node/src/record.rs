//! What the node keeps, and under which keys. Every key is scoped by agency; formats are in
//! `node/wire/waypost/node/v1/store.proto`.
//!
//! | space | rest of the key | value |
//! |---|---|---|
//! | `Message` | message id | [`Message`] |
//! | `State` | message id | [`State`] |
//! | `Evidence` | message id | the counterpart's evidence: the sender's, or the receipt |
//! | `Tombstone` | message id | digest and position of a message that came too late |
//! | `Conflict` | message id, header digest | digest of other bytes under a known id |
//! | `Conflict` | counterpart, 0, size | that its log contradicted itself there |
//! | `List` | log index | message id, in the order of the log |
//! | `CaseMessage` | case id, log index | message id |
//! | `Case` | case id | [`Case`] |
//! | `Outbox` | counterpart, 0, lane, number | [`Queued`] |
//! | `Order` | counterpart, 0, lane, 0, direction | last number |
//! | `Order` | counterpart, 0, lane, 0, `gap`, number | position of a `Gap` entry |
//! | `Subject` | subject ref, case id | nothing: never leaves this node |
//! | `Peer` | counterpart | last seen checkpoint of its log |
//! | `Roster` | agency | version and digest last accepted |
//! | `Bundle` | agency | digest last accepted |
//! | `Directory` | country | version and digest last accepted |
//! | `Object` | type, digest, chunk | certificates, rosters and bundles that entries cite |

use prost::Message as _;
use waypost_proto::case::{self, Case, Side};
use waypost_proto::evidence::{LastSeen, Proved};
use waypost_proto::id::{AgencyId, CaseId, Digest, IdError, MessageId, SubjectRef, Timestamp};
use waypost_proto::lane::Lane;
use waypost_proto::wire;

use crate::store::{Key, KeyRange, Space, Store, StoreError, rows};

pub(crate) mod format {
    //! The stored formats, as generated.
    #![expect(unreachable_pub, reason = "generated; documented in the .proto file")]
    include!(concat!(env!("OUT_DIR"), "/waypost.node.v1.rs"));
}

/// A stored record that does not decode: the disk was changed by something else.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a stored {what} does not decode: restore the data folder from a backup")]
pub struct Corrupt {
    /// What it should have been.
    pub what: &'static str,
}

const fn corrupt(what: &'static str) -> Corrupt {
    Corrupt { what }
}

/// What never changes of a message of this agency, either direction.
#[derive(Debug, Clone)]
pub struct Message {
    /// The header's exact bytes.
    pub header: Vec<u8>,
    /// Bytes of the body, which rests in the vault.
    pub body_bytes: u64,
    /// Submitted here, or received here.
    pub outgoing: bool,
    /// Index of the entry that made it.
    pub position: u64,
    /// That entry's log time.
    pub time: Timestamp,
    /// Lane of the pair's order.
    pub lane: Lane,
    /// Number in that lane.
    pub number: u64,
    /// SHA-256 of the header.
    pub header_digest: Digest,
    /// SHA-256 of the body.
    pub body_digest: Digest,
}

impl Message {
    /// The stored form.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        format::StoredMessage {
            header: self.header.clone(),
            body_bytes: self.body_bytes,
            outgoing: self.outgoing,
            position: self.position,
            time: self.time.0,
            lane: self.lane.code().to_owned(),
            number: self.number,
            header_digest: self.header_digest.as_bytes().to_vec(),
            body_digest: self.body_digest.as_bytes().to_vec(),
        }
        .encode_to_vec()
    }

    /// From the stored form.
    ///
    /// # Errors
    /// [`Corrupt`].
    pub fn decode(bytes: &[u8]) -> Result<Self, Corrupt> {
        const WHAT: Corrupt = corrupt("message");
        let stored = format::StoredMessage::decode(bytes).map_err(|_| WHAT)?;
        let digest = |bytes: &[u8]| Digest::try_from(bytes).map_err(|_: IdError| WHAT);
        Ok(Self {
            body_bytes: stored.body_bytes,
            outgoing: stored.outgoing,
            position: stored.position,
            time: Timestamp(stored.time),
            number: stored.number,
            header_digest: digest(&stored.header_digest)?,
            body_digest: digest(&stored.body_digest)?,
            header: stored.header,
            lane: stored.lane.parse().map_err(|_| WHAT)?,
        })
    }
}

/// Where a message stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// How it ended, or where it is.
    pub outcome: wire::Outcome,
    /// Reason of a refusal.
    pub reason: String,
    /// When it was first fetched.
    pub fetched_at: Option<Timestamp>,
    /// When an officer first reported it opened.
    pub opened_at: Option<Timestamp>,
}

impl State {
    /// Neither fetched nor opened.
    #[must_use]
    pub const fn new(outcome: wire::Outcome) -> Self {
        Self {
            outcome,
            reason: String::new(),
            fetched_at: None,
            opened_at: None,
        }
    }

    /// The stored form.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        format::MessageState {
            outcome: self.outcome.into(),
            reason: self.reason.clone(),
            fetched_at: self.fetched_at.map_or(0, |t| t.0),
            opened_at: self.opened_at.map_or(0, |t| t.0),
        }
        .encode_to_vec()
    }

    /// From the stored form.
    ///
    /// # Errors
    /// [`Corrupt`].
    pub fn decode(bytes: &[u8]) -> Result<Self, Corrupt> {
        const WHAT: Corrupt = corrupt("state of a message");
        let stored = format::MessageState::decode(bytes).map_err(|_| WHAT)?;
        let instant = |seconds: u64| (seconds != 0).then_some(Timestamp(seconds));
        Ok(Self {
            outcome: wire::Outcome::try_from(stored.outcome).map_err(|_| WHAT)?,
            reason: stored.reason,
            fetched_at: instant(stored.fetched_at),
            opened_at: instant(stored.opened_at),
        })
    }
}

/// The stored form of a case.
#[must_use]
pub fn encode_case(case: &Case) -> Vec<u8> {
    format::StoredCase {
        counterpart: case.counterpart.to_string(),
        referrer: case.side == Side::Referrer,
        state: match case.state {
            case::State::Sent => 1,
            case::State::Received => 2,
            case::State::Acknowledged => 3,
        },
        referral: case.referral.as_bytes().to_vec(),
        messages: case.messages,
    }
    .encode_to_vec()
}

/// A case from its stored form.
///
/// # Errors
/// [`Corrupt`].
pub fn decode_case(bytes: &[u8]) -> Result<Case, Corrupt> {
    const WHAT: Corrupt = corrupt("case");
    let stored = format::StoredCase::decode(bytes).map_err(|_| WHAT)?;
    Ok(Case {
        counterpart: stored.counterpart.parse().map_err(|_| WHAT)?,
        side: if stored.referrer {
            Side::Referrer
        } else {
            Side::Recipient
        },
        state: match stored.state {
            1 => case::State::Sent,
            2 => case::State::Received,
            3 => case::State::Acknowledged,
            _ => return Err(WHAT),
        },
        referral: MessageId::try_from(stored.referral.as_slice()).map_err(|_| WHAT)?,
        messages: stored.messages,
    })
}

/// A checkpoint that was last seen, with its exact bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Size and root.
    pub last: LastSeen,
    /// The signed checkpoint.
    pub checkpoint: Vec<u8>,
}

impl Seen {
    /// What is last seen after `proved`, which was checked against `before`.
    #[must_use]
    pub fn after(before: Option<Self>, proved: &Proved) -> Self {
        let last = proved.last_seen(before.as_ref().map(|s| s.last));
        match before {
            Some(before) if before.last == last => before,
            _ => Self {
                last,
                checkpoint: proved.signed_checkpoint().as_bytes().to_vec(),
            },
        }
    }

    /// The stored form.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        format::Seen {
            size: self.last.size,
            root: self.last.root.as_bytes().to_vec(),
            checkpoint: self.checkpoint.clone(),
        }
        .encode_to_vec()
    }

    /// From the stored form.
    ///
    /// # Errors
    /// [`Corrupt`].
    pub fn decode(bytes: &[u8]) -> Result<Self, Corrupt> {
        const WHAT: Corrupt = corrupt("last seen checkpoint");
        let stored = format::Seen::decode(bytes).map_err(|_| WHAT)?;
        let root = Digest::try_from(stored.root.as_slice()).map_err(|_| WHAT)?;
        Ok(Self {
            last: LastSeen {
                size: stored.size,
                root,
            },
            checkpoint: stored.checkpoint,
        })
    }
}

/// Version and digest of a directory, roster or bundle that was accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accepted {
    /// Version; 0 for a bundle.
    pub version: u64,
    /// SHA-256 of its exact bytes.
    pub digest: Digest,
}

impl Accepted {
    /// The stored form.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        format::Accepted {
            version: self.version,
            digest: self.digest.as_bytes().to_vec(),
        }
        .encode_to_vec()
    }

    /// From the stored form.
    ///
    /// # Errors
    /// [`Corrupt`].
    pub fn decode(bytes: &[u8]) -> Result<Self, Corrupt> {
        const WHAT: Corrupt = corrupt("accepted version");
        let stored = format::Accepted::decode(bytes).map_err(|_| WHAT)?;
        let digest = Digest::try_from(stored.digest.as_slice()).map_err(|_| WHAT)?;
        Ok(Self {
            version: stored.version,
            digest,
        })
    }
}

/// A tombstone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tombstone {
    /// SHA-256 of the header of the message that came too late.
    pub header_digest: Digest,
    /// Index of the `Expired` entry.
    pub position: u64,
}

impl Tombstone {
    /// The stored form.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        format::Tombstone {
            header_digest: self.header_digest.as_bytes().to_vec(),
            position: self.position,
        }
        .encode_to_vec()
    }

    /// From the stored form.
    ///
    /// # Errors
    /// [`Corrupt`].
    pub fn decode(bytes: &[u8]) -> Result<Self, Corrupt> {
        const WHAT: Corrupt = corrupt("tombstone");
        let stored = format::Tombstone::decode(bytes).map_err(|_| WHAT)?;
        let header_digest = Digest::try_from(stored.header_digest.as_slice()).map_err(|_| WHAT)?;
        Ok(Self {
            header_digest,
            position: stored.position,
        })
    }
}

/// A number from its stored form: 8 bytes, big-endian; 0 when absent.
///
/// # Errors
/// [`Corrupt`].
pub fn decode_number(bytes: Option<&[u8]>) -> Result<u64, Corrupt> {
    match bytes {
        None => Ok(0),
        Some(bytes) => bytes
            .try_into()
            .map(u64::from_be_bytes)
            .map_err(|_| corrupt("number")),
    }
}

/// A message id from its stored form.
///
/// # Errors
/// [`Corrupt`].
pub fn decode_message_id(bytes: &[u8]) -> Result<MessageId, Corrupt> {
    MessageId::try_from(bytes).map_err(|_| corrupt("message id"))
}

/// Where a message is kept.
#[must_use]
pub fn message(agency: &AgencyId, id: &MessageId) -> Key {
    Key::of(agency, Space::Message, id.as_bytes())
}

/// Where the detached signature of a message is kept: larger than all else of it, and asked for only
/// with its body.
#[must_use]
pub fn signature(agency: &AgencyId, id: &MessageId) -> Key {
    Key::of(agency, Space::Signature, id.as_bytes())
}

/// Where it is kept how a message stands.
#[must_use]
pub fn state(agency: &AgencyId, id: &MessageId) -> Key {
    Key::of(agency, Space::State, id.as_bytes())
}

/// Where the counterpart's evidence of a message is kept.
#[must_use]
pub fn evidence(agency: &AgencyId, id: &MessageId) -> Key {
    Key::of(agency, Space::Evidence, id.as_bytes())
}

/// Where a tombstone is kept.
#[must_use]
pub fn tombstone(agency: &AgencyId, id: &MessageId) -> Key {
    Key::of(agency, Space::Tombstone, id.as_bytes())
}

/// Where the digests of other bytes under a known id are kept.
#[must_use]
pub fn conflict(agency: &AgencyId, id: &MessageId, header: &Digest) -> Key {
    Key::of(
        agency,
        Space::Conflict,
        &[id.as_bytes().as_slice(), header.as_bytes()].concat(),
    )
}

/// That a counterpart's log contradicted itself at a size.
#[must_use]
pub fn contradiction(agency: &AgencyId, counterpart: &AgencyId, size: u64) -> Key {
    let rest = [counterpart.as_str().as_bytes(), &[0], &size.to_be_bytes()].concat();
    Key::of(agency, Space::Conflict, &rest)
}

/// The agency's messages in the order of its log.
#[must_use]
pub fn list_item(agency: &AgencyId, position: u64) -> Key {
    Key::of(agency, Space::List, &position.to_be_bytes())
}

/// All of the agency's messages.
#[must_use]
pub fn list(agency: &AgencyId) -> KeyRange {
    KeyRange::of(agency, Space::List, &[])
}

/// One case's messages in the order of the log.
#[must_use]
pub fn case_message(agency: &AgencyId, case: &CaseId, position: u64) -> Key {
    let rest = [case.as_bytes().as_slice(), &position.to_be_bytes()].concat();
    Key::of(agency, Space::CaseMessage, &rest)
}

/// All of one case's messages.
#[must_use]
pub fn case_messages(agency: &AgencyId, case: &CaseId) -> KeyRange {
    KeyRange::of(agency, Space::CaseMessage, case.as_bytes())
}

/// Where a case is kept.
#[must_use]
pub fn case(agency: &AgencyId, id: &CaseId) -> Key {
    Key::of(agency, Space::Case, id.as_bytes())
}

fn pair(counterpart: &AgencyId, lane: Lane, rest: &[u8]) -> Vec<u8> {
    // Ids and lanes hold no zero byte.
    [
        counterpart.as_str().as_bytes(),
        &[0],
        lane.code().as_bytes(),
        &[0],
        rest,
    ]
    .concat()
}

/// What waits at a place in a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Queued {
    /// The message that has the place.
    pub message: MessageId,
    /// Position of the entry that it was refused or expired: only the gap notice is left to offer.
    pub gap: Option<u64>,
}

impl Queued {
    /// The stored form: the id, and the position in 8 bytes, big-endian.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let gap = self.gap.map(u64::to_be_bytes);
        let gap = gap.as_ref().map_or(&[][..], |bytes| bytes);
        [self.message.as_bytes().as_slice(), gap].concat()
    }

    /// From the stored form.
    ///
    /// # Errors
    /// [`Corrupt`].
    pub fn decode(bytes: &[u8]) -> Result<Self, Corrupt> {
        let (id, rest) = bytes.split_at_checked(16).ok_or_else(|| corrupt("queue"))?;
        let gap = match rest {
            [] => None,
            rest => Some(decode_number(Some(rest))?),
        };
        Ok(Self {
            message: decode_message_id(id)?,
            gap,
        })
    }
}

/// A place in the queue to one counterpart.
#[must_use]
pub fn outbox_item(agency: &AgencyId, counterpart: &AgencyId, lane: Lane, number: u64) -> Key {
    Key::of(
        agency,
        Space::Outbox,
        &pair(counterpart, lane, &number.to_be_bytes()),
    )
}

/// The queue to one counterpart in one lane.
#[must_use]
pub fn outbox(agency: &AgencyId, counterpart: &AgencyId, lane: Lane) -> KeyRange {
    KeyRange::of(agency, Space::Outbox, &pair(counterpart, lane, &[]))
}

/// The first key after the queue to one counterpart in one lane.
#[must_use]
pub fn after_outbox(agency: &AgencyId, counterpart: &AgencyId, lane: Lane) -> Key {
    // Numbers are 8 bytes.
    Key::of(agency, Space::Outbox, &pair(counterpart, lane, &[0xff; 9]))
}

/// Every queue of the agency.
#[must_use]
pub fn outboxes(agency: &AgencyId) -> KeyRange {
    KeyRange::of(agency, Space::Outbox, &[])
}

/// The counterpart and lane that a place in a queue belongs to.
#[must_use]
pub fn outbox_queue(key: &Key) -> Option<(AgencyId, Lane)> {
    let mut words = key.rest().split(|b| *b == 0);
    let mut word = || std::str::from_utf8(words.next()?).ok();
    let counterpart = word()?.parse().ok()?;
    let lane = word()?.parse().ok()?;
    Some((counterpart, lane))
}

/// The last number given to a message to the counterpart.
#[must_use]
pub fn last_sent(agency: &AgencyId, counterpart: &AgencyId, lane: Lane) -> Key {
    Key::of(agency, Space::Order, &pair(counterpart, lane, b"out"))
}

/// The last number of the counterpart that a message or a gap notice consumed.
#[must_use]
pub fn last_accepted(agency: &AgencyId, counterpart: &AgencyId, lane: Lane) -> Key {
    Key::of(agency, Space::Order, &pair(counterpart, lane, b"in"))
}

/// The position of the `Gap` entry of a number of the counterpart.
#[must_use]
pub fn gap(agency: &AgencyId, counterpart: &AgencyId, lane: Lane, number: u64) -> Key {
    let rest = [b"gap".as_slice(), &number.to_be_bytes()].concat();
    Key::of(agency, Space::Order, &pair(counterpart, lane, &rest))
}

/// That a case is about a person of this agency.
#[must_use]
pub fn subject_case(agency: &AgencyId, subject: &SubjectRef, case: &CaseId) -> Key {
    let rest = [subject.as_bytes().as_slice(), case.as_bytes()].concat();
    Key::of(agency, Space::Subject, &rest)
}

/// The last seen checkpoint of a counterpart's log.
#[must_use]
pub fn seen(agency: &AgencyId, counterpart: &AgencyId) -> Key {
    Key::of(agency, Space::Peer, counterpart.as_str().as_bytes())
}

/// The roster last accepted, this agency's or a counterpart's.
#[must_use]
pub fn roster(agency: &AgencyId, whose: &AgencyId) -> Key {
    Key::of(agency, Space::Roster, whose.as_str().as_bytes())
}

/// The bundle last accepted, this agency's or a counterpart's.
#[must_use]
pub fn bundle(agency: &AgencyId, whose: &AgencyId) -> Key {
    Key::of(agency, Space::Bundle, whose.as_str().as_bytes())
}

/// The directory last accepted.
#[must_use]
pub fn directory(agency: &AgencyId, country: &str) -> Key {
    Key::of(agency, Space::Directory, country.as_bytes())
}

/// A chunk of a certificate, roster or bundle.
#[must_use]
pub fn object_chunk(agency: &AgencyId, kind: wire::ObjectType, digest: &Digest, chunk: u16) -> Key {
    let kind = [u8::try_from(i32::from(kind)).unwrap_or_default()];
    let rest = [kind.as_slice(), digest.as_bytes(), &chunk.to_be_bytes()].concat();
    Key::of(agency, Space::Object, &rest)
}

/// All chunks of a certificate, roster or bundle.
#[must_use]
pub fn object(agency: &AgencyId, kind: wire::ObjectType, digest: &Digest) -> KeyRange {
    let kind = [u8::try_from(i32::from(kind)).unwrap_or_default()];
    KeyRange::of(
        agency,
        Space::Object,
        &[kind.as_slice(), digest.as_bytes()].concat(),
    )
}

/// What was last accepted under `key`, if anything that decodes.
///
/// # Errors
/// When the store fails.
pub fn accepted(store: &dyn Store, key: &Key) -> Result<Option<Accepted>, StoreError> {
    let stored = store.get(key)?;
    Ok(stored.and_then(|bytes| Accepted::decode(&bytes).ok()))
}

/// Exact bytes of the agency's own signed roster that was last accepted, if one was.
///
/// # Errors
/// When the store fails.
pub fn published_roster(
    store: &dyn Store,
    agency: &AgencyId,
) -> Result<Option<Vec<u8>>, StoreError> {
    let Some(accepted) = accepted(store, &roster(agency, agency))? else {
        return Ok(None);
    };
    read_object(store, agency, wire::ObjectType::Roster, &accepted.digest)
}

/// A certificate, roster or bundle that the agency's entries cite, if it is there whole.
///
/// # Errors
/// When the store fails.
pub fn read_object(
    store: &dyn Store,
    agency: &AgencyId,
    kind: wire::ObjectType,
    digest: &Digest,
) -> Result<Option<Vec<u8>>, StoreError> {
    let mut bytes = Vec::new();
    for row in rows(store, &object(agency, kind, digest)) {
        bytes.extend(row?.1);
    }
    Ok((Digest::of(&bytes) == *digest).then_some(bytes))
}
