//! ENV-01 to ENV-13 and OPN-01 to OPN-04 of proto/spec/message.md, with real keys.

use prost::Message as _;

use super::*;
use crate::header::tests::wire_header;
use crate::openpgp::{KeyRole, Recipient};
use crate::roster::Roster;
use crate::testing::{DAY, NOW, intake, key, scheme};

const SALTED_PAYLOAD: &[u8] = &[7; SALT + 100];

/// The chains of sender and recipient.
struct Parties {
    sender: Party,
    recipient: Party,
}

impl Parties {
    fn new() -> Self {
        Self {
            sender: scheme().sender.party(),
            recipient: scheme().recipient.party(),
        }
    }

    /// The sender's roster is changed, and signed again.
    fn with_sender_roster(change: impl FnOnce(&mut Roster)) -> Self {
        let mut roster = scheme().sender.roster.clone();
        change(&mut roster);
        Self {
            sender: scheme().sender.party_with(&roster),
            ..Self::new()
        }
    }

    fn keys(&self) -> [Recipient; 2] {
        [&self.recipient, &self.sender].map(|party| party.recipient(&intake(), NOW).unwrap())
    }
}

/// What a message is made of: a test changes one thing.
struct Making {
    header: wire::Header,
    /// The header that the body names; this one when there is none.
    names: Option<Digest>,
    /// What follows the header's digest in the body: salt and payload.
    content: Vec<u8>,
    /// Signs the body.
    inner: SigningKey,
    /// Signs the envelope.
    outer: SigningKey,
    recipients: Vec<Recipient>,
}

impl Making {
    fn new(parties: &Parties) -> Self {
        let scheme = scheme();
        let keys = Parties::new().keys();
        let (salt, payload) = SALTED_PAYLOAD.split_at(SALT);
        let header = wire::Header {
            sender_agency: scheme.sender.id.to_string(),
            sender_desk: intake().to_string(),
            recipient_agency: scheme.recipient.id.to_string(),
            recipient_desk: intake().to_string(),
            officer: fingerprint(&scheme.sender.signer()),
            sender_key: keys[1].fingerprint().as_bytes().to_vec(),
            recipient_key: keys[0].fingerprint().as_bytes().to_vec(),
            suite: wire::Suite::Classical.into(),
            sender_roster: parties.sender.roster().digest().as_bytes().to_vec(),
            recipient_roster: parties.recipient.roster().digest().as_bytes().to_vec(),
            created: NOW.0,
            expires: NOW.0 + DAY,
            commitment: commitment(salt, payload).as_bytes().to_vec(),
            ..wire_header()
        };
        Self {
            header,
            names: None,
            content: SALTED_PAYLOAD.to_vec(),
            inner: scheme.sender.signer(),
            outer: scheme.sender.signer(),
            recipients: keys.into(),
        }
    }

    fn envelope(self) -> wire::Envelope {
        let header = self.header.encode_to_vec();
        let digest = Digest::of(&header);
        let names = self.names.unwrap_or(digest);
        let plaintext = [names.as_bytes().as_slice(), &self.content].concat();
        let body = openpgp::seal(&plaintext, &self.inner, &self.recipients, NOW).unwrap();
        let covered = signed_digests(digest, Digest::of(&body));
        let signature = self.outer.sign(Context::Envelope, &covered, NOW).unwrap();
        wire::Envelope {
            header,
            body,
            signature,
        }
    }
}

fn fingerprint(key: &SigningKey) -> Vec<u8> {
    key.certificate().fingerprint().as_bytes().to_vec()
}

fn message(change: impl FnOnce(&mut Making)) -> wire::Envelope {
    message_between(&Parties::new(), change).1
}

/// Rosters differ with each signature, so the same parties judge.
fn message_between(
    parties: &Parties,
    change: impl FnOnce(&mut Making),
) -> (&Parties, wire::Envelope) {
    let mut making = Making::new(parties);
    change(&mut making);
    (parties, making.envelope())
}

fn judged(
    (parties, envelope): (&Parties, wire::Envelope),
    at: Timestamp,
) -> Result<Authenticated, EnvelopeError> {
    let received = Received::decode(envelope)?;
    received.authenticate(&parties.sender, &parties.recipient, Suite::Classical, at)
}

#[track_caller]
fn assert_refused<T>(result: Result<T, EnvelopeError>, check: &str, reason: Reason) {
    let Err(error) = result else {
        panic!("{check} is not made")
    };
    assert!(error.to_string().starts_with(check), "{check}: {error}");
    assert_eq!(error.reason(), reason);
}

/// Decoding refuses the envelope.
#[track_caller]
fn undecodable(check: &str, reason: Reason, envelope: wire::Envelope) {
    assert_refused(Received::decode(envelope), check, reason);
}

/// Authentication refuses the message.
#[track_caller]
fn unauthentic(check: &str, reason: Reason, change: impl FnOnce(&mut Making)) {
    let parties = Parties::new();
    assert_refused(
        judged(message_between(&parties, change), NOW),
        check,
        reason,
    );
}

fn desk_key() -> DeskKey {
    let desk = &scheme().recipient.desk;
    desk.desk_key(&desk.certificate().encryption_keys()[0])
        .unwrap()
}

/// Opening refuses the message, which authentication accepts.
#[track_caller]
fn unopened(check: &str, change: impl FnOnce(&mut Making)) {
    let parties = Parties::new();
    let authenticated = judged(message_between(&parties, change), NOW).unwrap();
    let error = authenticated
        .open(&desk_key(), &parties.sender, &parties.recipient)
        .unwrap_err()
        .to_string();
    assert!(error.starts_with(check), "{check}: {error}");
}

#[test]
fn a_message_is_received_authenticated_and_opened_by_both_desks() {
    let parties = Parties::new();
    let authenticated = judged(message_between(&parties, |_| ()), NOW).unwrap();
    let own = &scheme().sender.desk;
    let own = own
        .desk_key(&own.certificate().encryption_keys()[0])
        .unwrap();
    for key in [desk_key(), own] {
        let opened = authenticated
            .open(&key, &parties.sender, &parties.recipient)
            .unwrap();
        assert_eq!(opened.payload.as_slice(), &SALTED_PAYLOAD[SALT..]);
        assert!(!format!("{opened:?}").contains("payload"));
    }
}

/// ENV-01.
#[test]
fn each_part_is_within_its_limit() {
    let malformed = |change: fn(&mut wire::Envelope)| {
        let mut envelope = wire::Envelope::default();
        change(&mut envelope);
        undecodable("ENV-01", Reason::Malformed, envelope);
    };
    malformed(|e| e.header = vec![0; 16 * 1024 + 1]);
    malformed(|e| e.body = vec![0; 256 * 1024 + 1]);
    malformed(|e| e.signature = vec![0; 8 * 1024 + 1]);
}

/// ENV-02.
#[test]
fn a_header_that_breaks_a_rule_is_refused() {
    let envelope = message(|m| m.header.version = 2);
    undecodable("ENV-02: HDR-02", Reason::Malformed, envelope);
}

/// ENV-03.
#[test]
fn a_body_of_another_shape_is_refused() {
    let good = message(|_| ());
    let malformed = |body: Vec<u8>| {
        let envelope = wire::Envelope {
            body,
            ..good.clone()
        };
        undecodable("ENV-03", Reason::Malformed, envelope);
    };
    malformed(Vec::new());
    malformed(good.body[..good.body.len() - 1].to_vec());
    malformed([good.body.as_slice(), &[0]].concat());
    malformed(good.signature.clone());
}

/// ENV-04.
#[test]
fn a_body_sealed_to_other_keys_than_the_two_named_is_refused() {
    let refused = |change: fn(&mut Making)| {
        undecodable("ENV-04", Reason::Recipients, message(change));
    };
    refused(|m| m.header.sender_key = vec![9; 32]);
    refused(|m| m.header.recipient_key = vec![9; 32]);
    refused(|m| m.recipients.truncate(1));
    refused(|m| {
        m.recipients.truncate(1);
        m.header.sender_key = m.header.recipient_key.clone();
    });
    refused(|m| m.recipients.push(stranger()));
}

/// A desk key that no roster names.
fn stranger() -> Recipient {
    let certificate = key(KeyRole::Desk, "gb.example.other/intake")
        .certificate()
        .clone();
    certificate
        .recipient(&certificate.encryption_keys()[0], NOW)
        .unwrap()
}

/// ENV-05.
#[test]
fn a_message_from_more_than_five_minutes_ahead_is_refused() {
    unauthentic("ENV-05", Reason::Clock, |m| m.header.created = NOW.0 + 301);
    let parties = Parties::new();
    let message = message_between(&parties, |m| m.header.created = NOW.0 + 300);
    assert!(judged(message, NOW).is_ok());
}

/// ENV-06.
#[test]
fn a_message_past_its_expiry_is_refused() {
    let parties = Parties::new();
    let authenticated = judged(message_between(&parties, |_| ()), NOW).unwrap();
    let expires = NOW.0 + DAY;
    let before = authenticated.check_not_expired(Timestamp(expires - 1));
    assert!(before.is_ok());
    let at = authenticated.check_not_expired(Timestamp(expires));
    assert_refused(at, "ENV-06", Reason::Expired);
}

/// ENV-07.
#[test]
fn a_message_under_another_roster_is_refused() {
    unauthentic("ENV-07", Reason::Roster, |m| {
        m.header.sender_roster = vec![9; 32];
    });
    unauthentic("ENV-07", Reason::Roster, |m| {
        m.header.recipient_roster = vec![9; 32];
    });
}

/// ENV-08.
#[test]
fn an_officer_who_may_not_sign_for_the_desk_is_refused() {
    unauthentic("ENV-08", Reason::Officer, |m| {
        m.outer = scheme().recipient.signer();
        m.header.officer = fingerprint(&m.outer);
    });
    let officer = scheme().sender.signer().certificate().fingerprint();
    let revoked = Parties::with_sender_roster(|roster| {
        roster.revoked.insert(officer);
    });
    let result = judged(message_between(&revoked, |_| ()), NOW);
    assert_refused(result, "ENV-08", Reason::Officer);
}

/// ENV-09.
#[test]
fn a_signature_by_another_key_is_refused() {
    unauthentic("ENV-09", Reason::Signature, |m| {
        m.outer = scheme().recipient.signer();
    });
}

/// ENV-09.
#[test]
fn a_signature_covers_the_header_and_the_body() {
    let parties = Parties::new();
    let (_, good) = message_between(&parties, |_| ());
    let (_, other) = message_between(&parties, |m| m.header.case_seen = 1);
    for mixed in [
        wire::Envelope {
            header: other.header,
            ..good.clone()
        },
        wire::Envelope {
            body: other.body,
            ..good.clone()
        },
        wire::Envelope {
            signature: Vec::new(),
            ..good
        },
    ] {
        let result = judged((&parties, mixed), NOW);
        assert_refused(result, "ENV-09", Reason::Signature);
    }
}

/// ENV-10.
#[test]
fn a_desk_key_that_is_not_the_rosters_or_is_revoked_is_refused() {
    unauthentic("ENV-10", Reason::Key, |m| {
        let other = stranger();
        m.header.recipient_key = other.fingerprint().as_bytes().to_vec();
        m.recipients[0] = other;
    });
    let own = scheme().sender.desk.certificate().encryption_keys()[0];
    let revoked = Parties::with_sender_roster(|roster| {
        roster.revoked.insert(own);
    });
    let result = judged(message_between(&revoked, |_| ()), NOW);
    assert_refused(result, "ENV-10", Reason::Key);
}

/// ENV-11.
#[test]
fn another_suite_than_the_directory_names_is_refused() {
    let envelope = message(|m| m.header.suite = wire::Suite::Pq.into());
    undecodable("ENV-11", Reason::Suite, envelope);
    let parties = Parties::new();
    let (_, envelope) = message_between(&parties, |_| ());
    let received = Received::decode(envelope).unwrap();
    let result =
        received.authenticate(&parties.sender, &parties.recipient, Suite::PostQuantum, NOW);
    assert_refused(result, "ENV-11", Reason::Suite);
}

/// ENV-12.
#[test]
fn chains_of_other_agencies_are_refused() {
    let parties = Parties::new();
    let (_, envelope) = message_between(&parties, |_| ());
    let Parties { sender, recipient } = &parties;
    for (sender, recipient) in [(recipient, recipient), (sender, sender)] {
        let received = Received::decode(envelope.clone()).unwrap();
        let result = received.authenticate(sender, recipient, Suite::Classical, NOW);
        assert_refused(result, "ENV-12", Reason::UnknownAgency);
    }
}

/// ENV-13.
#[test]
fn a_message_under_an_expired_roster_is_refused() {
    let parties = Parties::new();
    let message = message_between(&parties, |_| ());
    let result = judged(message, NOW.plus(31 * DAY));
    assert_refused(result, "ENV-13", Reason::RosterExpired);
}

/// OPN-01.
#[test]
fn a_message_is_not_opened_on_a_chain_that_does_not_hold() {
    let parties = Parties::new();
    let authenticated = judged(message_between(&parties, |_| ()), NOW).unwrap();
    let officer = scheme().sender.signer().certificate().fingerprint();
    let revoked = Parties::with_sender_roster(|roster| {
        roster.revoked.insert(officer);
    });
    let error = authenticated
        .open(&desk_key(), &revoked.sender, &revoked.recipient)
        .unwrap_err();
    assert!(error.to_string().starts_with("OPN-01: CHN-04"));
}

/// OPN-02.
#[test]
fn a_body_that_another_officer_signed_is_not_opened() {
    unopened("OPN-02", |m| m.inner = scheme().recipient.signer());
}

/// OPN-02.
#[test]
fn a_key_that_the_body_is_not_sealed_to_does_not_open_it() {
    let parties = Parties::new();
    let authenticated = judged(message_between(&parties, |_| ()), NOW).unwrap();
    let other = key(KeyRole::Desk, "gb.example.other/intake");
    let other = other
        .desk_key(&other.certificate().encryption_keys()[0])
        .unwrap();
    let error = authenticated
        .open(&other, &parties.sender, &parties.recipient)
        .unwrap_err();
    assert!(error.to_string().starts_with("OPN-02"));
}

/// OPN-03.
#[test]
fn a_body_of_another_header_is_not_opened() {
    unopened("OPN-03", |m| m.names = Some(Digest::of(b"another header")));
}

/// OPN-03.
#[test]
fn a_body_too_short_for_a_digest_and_a_salt_is_not_opened() {
    unopened("OPN-03", |m| m.content.truncate(SALT - 1));
    unopened("OPN-03", |m| m.content.clear());
}

/// OPN-04.
#[test]
fn another_payload_or_salt_than_committed_to_is_not_opened() {
    unopened("OPN-04", |m| m.content.push(0));
    unopened("OPN-04", |m| m.content[0] ^= 1);
    unopened("OPN-04", |m| m.header.commitment = vec![9; 32]);
}
