//! HDR-01 to HDR-08 of proto/spec/message.md.

use super::*;
use crate::manifest::tests::wire_manifest;

/// A header that passes every check.
pub(crate) fn wire_header() -> wire::Header {
    wire::Header {
        version: VERSION,
        message_id: vec![1; 16],
        case_id: vec![2; 16],
        kind: wire::Kind::ReferralNrm.into(),
        sender_agency: "gb.example-charity".into(),
        sender_desk: "intake".into(),
        recipient_agency: "gb.example-authority".into(),
        recipient_desk: "nrm".into(),
        officer: vec![3; 32],
        sender_key: vec![4; 32],
        recipient_key: vec![5; 32],
        suite: wire::Suite::Pq.into(),
        sender_roster: vec![6; 32],
        recipient_roster: vec![7; 32],
        created: 1_800_000_000,
        expires: 1_800_000_000 + limit::EXPIRY_SECONDS,
        manifest: Some(wire_manifest()),
        commitment: vec![8; 32],
        ..Default::default()
    }
}

fn encoded(change: impl FnOnce(&mut wire::Header)) -> Vec<u8> {
    let mut wire = wire_header();
    change(&mut wire);
    wire.encode_to_vec()
}

/// The bytes are refused by `check`, which the error names.
fn refused_bytes(check: &str, bytes: &[u8]) {
    let error = Header::decode(bytes).unwrap_err().to_string();
    assert!(error.starts_with(check), "{check}: {error}");
}

fn refused(check: &str, change: impl FnOnce(&mut wire::Header)) {
    refused_bytes(check, &encoded(change));
}

fn accepted(change: impl FnOnce(&mut wire::Header)) {
    let bytes = encoded(change);
    assert_eq!(Header::decode(&bytes).unwrap().encode(), bytes);
}

#[test]
fn a_header_is_read_and_written_without_a_change() {
    accepted(|_| ());
    accepted(|h| h.suite = wire::Suite::Classical.into());
    accepted(|h| h.case_seen = 7);
}

/// HDR-01, STR-01.
#[test]
fn a_header_of_more_than_16_kib_is_refused() {
    refused("HDR-01: STR-01", |h| h.sender_desk = "x".repeat(16 * 1024));
}

/// HDR-01, STR-02.
#[test]
fn bytes_that_are_no_header_are_refused() {
    let bytes = encoded(|_| ());
    refused_bytes("HDR-01: STR-02", &bytes[..bytes.len() - 1]);
    refused_bytes("HDR-01: STR-02", b"\xff\xff");
}

/// HDR-01, STR-03.
#[test]
fn a_header_that_is_not_canonical_is_refused() {
    let unknown = [encoded(|_| ()), vec![0xf8, 0x07, 0x01]].concat();
    refused_bytes("HDR-01: STR-03", &unknown);
    // The version stands first: once more at the end, it would only repeat.
    let repeated = [encoded(|_| ()), vec![0x08, 0x01]].concat();
    refused_bytes("HDR-01: STR-03", &repeated);
    let default_written = [encoded(|_| ()), vec![0x90, 0x01, 0x00]].concat();
    refused_bytes("HDR-01: STR-03", &default_written);
}

/// HDR-01, STR-03. The manifest is no hiding place.
#[test]
fn an_unknown_field_inside_the_manifest_is_refused() {
    let manifest = [wire_manifest().encode_to_vec(), vec![0xf8, 0x07, 0x01]].concat();
    let mut head = encoded(|h| {
        h.manifest = None;
        h.commitment.clear();
    });
    head.extend([0x9a, 0x01]);
    prost::encoding::encode_varint(manifest.len() as u64, &mut head);
    head.extend(manifest);
    head.extend([0xa2, 0x01, 32]);
    head.extend([8; 32]);
    refused_bytes("HDR-01: STR-03", &head);
}

/// HDR-02.
#[test]
fn another_protocol_version_is_refused() {
    refused("HDR-02", |h| h.version = 0);
    refused("HDR-02", |h| h.version = 2);
}

/// HDR-03.
#[test]
fn ids_digests_and_fingerprints_have_their_length() {
    let fields: [fn(&mut wire::Header) -> &mut Vec<u8>; 8] = [
        |h| &mut h.message_id,
        |h| &mut h.case_id,
        |h| &mut h.officer,
        |h| &mut h.sender_key,
        |h| &mut h.recipient_key,
        |h| &mut h.sender_roster,
        |h| &mut h.recipient_roster,
        |h| &mut h.commitment,
    ];
    for field in fields {
        refused("HDR-03", |h| field(h).clear());
        refused("HDR-03", |h| field(h).push(0));
        refused("HDR-03", |h| {
            field(h).pop();
        });
    }
    refused("HDR-03", |h| {
        h.kind = wire::Kind::Reply.into();
        h.in_reply_to = vec![9; 15];
    });
}

/// HDR-03.
#[test]
fn agencies_and_desks_have_their_form() {
    refused("HDR-03", |h| h.sender_agency.clear());
    refused("HDR-03", |h| h.recipient_agency = "GB.example".into());
    refused("HDR-03", |h| h.sender_desk = "in take".into());
    refused("HDR-03", |h| h.recipient_desk = "x".repeat(33));
}

/// HDR-03. What a peer sent is not repeated in logs.
#[test]
fn an_error_does_not_repeat_what_a_peer_sent() {
    for change in [
        (|h| h.sender_desk = "A Name".into()) as fn(&mut wire::Header),
        |h| h.sender_agency = "A Name".into(),
    ] {
        let error = Header::decode(&encoded(change)).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("Name"));
    }
}

/// HDR-04.
#[test]
fn kind_and_suite_are_set_to_known_values() {
    refused("HDR-04", |h| h.kind = 0);
    refused("HDR-04", |h| h.kind = 99);
    refused("HDR-04", |h| h.suite = 0);
    refused("HDR-04", |h| h.suite = 3);
}

/// HDR-05.
#[test]
fn an_agency_does_not_write_to_itself() {
    refused("HDR-05", |h| h.recipient_agency = h.sender_agency.clone());
}

/// HDR-06.
#[test]
fn a_referral_answers_nothing_and_every_other_kind_answers() {
    refused("HDR-06", |h| h.in_reply_to = vec![9; 16]);
    for kind in Kind::ALL.iter().filter(|kind| kind.answers()) {
        refused("HDR-06", |h| h.kind = kind.to_wire().into());
        accepted(|h| {
            h.kind = kind.to_wire().into();
            h.in_reply_to = vec![9; 16];
        });
    }
}

/// HDR-07.
#[test]
fn a_message_expires_after_its_creation_and_at_most_14_days_later() {
    refused("HDR-07", |h| h.expires = h.created);
    refused("HDR-07", |h| h.expires = h.created - 1);
    refused("HDR-07", |h| h.expires = h.created + 14 * 24 * 3600 + 1);
    refused("HDR-07", |h| h.expires = u64::MAX);
    accepted(|h| h.expires = h.created + 14 * 24 * 3600);
    accepted(|h| h.expires = h.created + 1);
}

/// HDR-08.
#[test]
fn a_header_holds_a_manifest_that_passes_its_checks() {
    refused("HDR-08: no manifest", |h| h.manifest = None);
    refused("HDR-08: MAN-01", |h| {
        h.manifest = Some(wire::Manifest {
            handling: "H9".into(),
            ..wire_manifest()
        });
    });
    refused("HDR-08: MAN-04", |h| {
        h.manifest = Some(wire::Manifest::default());
    });
}
