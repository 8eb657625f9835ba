//! Messages for the tests of this module, made without keys.

use std::collections::BTreeSet;

use waypost_proto::draft::Request;
use waypost_proto::header::Header;
use waypost_proto::id::{AgencyId, CaseId, DeskAddress, Digest, Fingerprint, MessageId, Timestamp};
use waypost_proto::kind::Kind;
use waypost_proto::manifest::{Facts, Manifest, Versions};
use waypost_proto::openpgp::Suite;
use waypost_proto::vocabulary::{ConsentState, Handling, LegalBasis, MinorStatus, Part, Purpose};
use waypost_proto::wire::{self, log_entry::Event};

use super::mail::{Direction, Item, Outcome};

pub(crate) fn own() -> AgencyId {
    "gb.example-authority".parse().unwrap()
}

pub(crate) fn other() -> AgencyId {
    "gb.example-school".parse().unwrap()
}

fn desk(agency: AgencyId) -> DeskAddress {
    DeskAddress {
        agency,
        desk: "intake".parse().unwrap(),
    }
}

fn manifest() -> Manifest {
    Manifest {
        facts: Facts {
            purpose: Purpose::Ident,
            legal_bases: BTreeSet::from([LegalBasis::Lb6e]),
            minor_status: MinorStatus::Unknown,
            consent: ConsentState::NotRequired,
            consented_parts: BTreeSet::new(),
            override_ground: None,
            danger: false,
            handling: Handling::H2,
            retention_days: 365,
            transfer_basis: None,
            represented: false,
        },
        parts: BTreeSet::from([Part::Env]),
        versions: Versions {
            sender_bundle: Digest::of(b"bundle"),
            recipient_bundle: Digest::of(b"bundle"),
            catalogue: Digest::of(b"catalogue"),
            taxonomy: Digest::of(b"taxonomy"),
        },
        profile: "GB-EAW-NRM".into(),
        clocks: Vec::new(),
        due_at: None,
        calendar: String::new(),
    }
}

/// A header of `kind` whose message id starts with `id`.
pub(crate) fn header(kind: Kind, id: u8, sender: AgencyId, recipient: AgencyId) -> Header {
    Header {
        message_id: MessageId::new([id; 16]),
        case_id: CaseId::new([7; 16]),
        kind,
        in_reply_to: None,
        sender: desk(sender),
        recipient: desk(recipient),
        officer: Fingerprint::new([1; 32]),
        sender_key: Fingerprint::new([2; 32]),
        recipient_key: Fingerprint::new([3; 32]),
        suite: Suite::PostQuantum,
        sender_roster: Digest::of(b"a"),
        recipient_roster: Digest::of(b"b"),
        created: Timestamp(1000),
        expires: Timestamp(2000),
        case_seen: 0,
        manifest: manifest(),
        commitment: Digest::of(b"commitment"),
    }
}

pub(crate) fn item(position: u64, direction: Direction, header: Header, outcome: Outcome) -> Item {
    Item {
        position,
        direction,
        header_digest: Digest::of(&header.encode()),
        header,
        outcome,
        reason: None,
        time: Timestamp(1000 + position),
        fetched_at: None,
        opened_at: None,
        body_bytes: 4096,
    }
}

/// A referral that came in at `position`.
pub(crate) fn incoming(position: u64) -> Item {
    let id = u8::try_from(position).unwrap() + 1;
    let header = header(Kind::ReferralNrm, id, other(), own());
    item(position, Direction::In, header, Outcome::Received)
}

/// A referral that went out at `position`.
pub(crate) fn outgoing(position: u64, outcome: Outcome) -> Item {
    let id = u8::try_from(position).unwrap() + 1;
    let header = header(Kind::ReferralNrm, id, own(), other());
    item(position, Direction::Out, header, outcome)
}

fn facts(item: &Item) -> wire::MessageFacts {
    wire::MessageFacts {
        message_id: item.id().as_bytes().to_vec(),
        sender_agency: item.header.sender.agency.to_string(),
        recipient_agency: item.header.recipient.agency.to_string(),
        header_digest: item.header_digest.as_bytes().to_vec(),
        ..Default::default()
    }
}

/// The entry's event of an incoming message.
pub(crate) fn received(item: &Item) -> Event {
    Event::Received(wire::Received {
        message: Some(facts(item)),
        ..Default::default()
    })
}

/// The entry's event of an outgoing message.
pub(crate) fn submitted(item: &Item) -> Event {
    Event::Submitted(wire::Submitted {
        message: Some(facts(item)),
        ..Default::default()
    })
}

/// What an officer says of a disclosure.
pub(crate) fn request() -> Request {
    Request {
        purpose: Purpose::Ident,
        legal_bases: BTreeSet::from([LegalBasis::Lb6e]),
        handling: Handling::H2,
        retention_days: 365,
        transfer_basis: None,
        override_ground: None,
        represented: false,
        no_origin_conflict: true,
        no_implicated_party: true,
        profile: "GB-EAW-NRM".into(),
    }
}
