//! Vectors of headers and manifests (`spec/message.md`, HDR-01 to HDR-08 and MAN-01 to MAN-09).

use prost::Message;

use super::{Area, Vector, run};
use crate::header::tests::wire_header;
use crate::header::{Header, HeaderError};
use crate::limit;
use crate::manifest::tests::wire_manifest;
use crate::manifest::{Manifest, ManifestError};
use crate::strict::{self, StrictError};
use crate::wire;

pub(super) const HEADER: Area = Area {
    name: "header",
    generate: headers,
    run: run_header,
};

pub(super) const MANIFEST: Area = Area {
    name: "manifest",
    generate: manifests,
    run: run_manifest,
};

/// HDR-01 to HDR-08.
#[test]
fn every_header_vector_ends_as_it_says() {
    run(&HEADER);
}

/// MAN-01 to MAN-09.
#[test]
fn every_manifest_vector_ends_as_it_says() {
    run(&MANIFEST);
}

fn strict_error(error: &StrictError) -> &'static str {
    match error {
        StrictError::TooLong { .. } => "strict/length",
        StrictError::Malformed => "strict/malformed",
        StrictError::NotCanonical => "strict/canonical",
    }
}

fn manifest_error(error: &ManifestError) -> &'static str {
    match error {
        ManifestError::Code(_) => "manifest/code",
        ManifestError::Unspecified { .. } => "manifest/unspecified",
        ManifestError::List { .. } => "manifest/list",
        ManifestError::NoBasis => "manifest/no-basis",
        ManifestError::NotAsserted { .. } => "manifest/not-asserted",
        ManifestError::Digest { .. } => "manifest/digest",
        ManifestError::Override => "manifest/override",
        ManifestError::Clock { .. } => "manifest/clock",
        ManifestError::Transfer { .. } => "manifest/transfer",
    }
}

fn run_header(vector: &Vector) -> String {
    let error = match Header::decode(vector.one("header")) {
        Ok(_) => "ok",
        Err(HeaderError::Encoding(error)) => strict_error(&error),
        Err(HeaderError::Manifest(error)) => manifest_error(&error),
        Err(HeaderError::Version { .. }) => "header/version",
        Err(HeaderError::Id { .. }) => "header/id",
        Err(HeaderError::Unspecified { .. }) => "header/unspecified",
        Err(HeaderError::SameAgency) => "header/same-agency",
        Err(HeaderError::Answer { .. }) => "header/answer",
        Err(HeaderError::Expiry) => "header/expiry",
        Err(HeaderError::NoManifest) => "header/no-manifest",
    };
    error.to_owned()
}

fn run_manifest(vector: &Vector) -> String {
    let bytes = vector.one("manifest");
    let wire: wire::Manifest = match strict::decode(bytes, limit::HEADER_BYTES) {
        Ok(wire) => wire,
        Err(error) => return strict_error(&error).to_owned(),
    };
    match Manifest::parse(&wire) {
        Ok(_) => "ok".to_owned(),
        Err(error) => manifest_error(&error).to_owned(),
    }
}

/// Name, check, expectation, what is special, and how the valid message is changed to it.
type Row<T> = (
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    fn(&mut T),
);

/// A field that no message has: number 127, with the value 1.
const UNKNOWN_FIELD: [u8; 3] = [0xf8, 0x07, 0x01];

fn headers() -> Vec<Vector> {
    let of = |name, check, expect, about, bytes: &[u8]| {
        Vector::new(name, check, expect, about).base64("header", bytes)
    };
    let good = wire_header().encode_to_vec();
    let cut = &good[..good.len() - 1];
    let unknown = [good.as_slice(), &UNKNOWN_FIELD].concat();
    let zero = [good.as_slice(), &[0x90, 0x01, 0x00]].concat();
    let mut vectors = vec![
        of(
            "cut-short",
            "HDR-01",
            "strict/malformed",
            "the last byte is missing",
            cut,
        ),
        of(
            "unknown-field",
            "HDR-01",
            "strict/canonical",
            "field 127 follows",
            &unknown,
        ),
        of(
            "default-written",
            "HDR-01",
            "strict/canonical",
            "`case_seen` is written as 0",
            &zero,
        ),
    ];
    for (name, check, expect, about, change) in HEADERS {
        let mut wire = wire_header();
        change(&mut wire);
        vectors.push(of(name, check, expect, about, &wire.encode_to_vec()));
    }
    vectors
}

const HEADERS: &[Row<wire::Header>] = &[
    (
        "referral",
        "HDR-06",
        "ok",
        "a referral answers no message",
        |_| (),
    ),
    (
        "reply",
        "HDR-06",
        "ok",
        "a reply names the message that it answers",
        |h| {
            h.kind = wire::Kind::Reply.into();
            h.in_reply_to = vec![9; 16];
        },
    ),
    (
        "fourteen-days",
        "HDR-07",
        "ok",
        "it expires 14 days after `created`",
        |h| {
            h.expires = h.created + 1_209_600;
        },
    ),
    ("too-long", "HDR-01", "strict/length", "over 16 KiB", |h| {
        h.sender_desk = "x".repeat(16 * 1024);
    }),
    (
        "version-2",
        "HDR-02",
        "header/version",
        "the version is 2",
        |h| h.version = 2,
    ),
    (
        "short-message-id",
        "HDR-03",
        "header/id",
        "the message id has 15 bytes",
        |h| {
            h.message_id.truncate(15);
        },
    ),
    (
        "no-officer",
        "HDR-03",
        "header/id",
        "the officer's fingerprint is missing",
        |h| {
            h.officer.clear();
        },
    ),
    (
        "agency-in-capitals",
        "HDR-03",
        "header/id",
        "an agency id in capitals",
        |h| {
            h.recipient_agency = "GB.EXAMPLE-AUTHORITY".into();
        },
    ),
    (
        "no-kind",
        "HDR-04",
        "header/unspecified",
        "the kind is not set",
        |h| h.kind = 0,
    ),
    (
        "unknown-kind",
        "HDR-04",
        "header/unspecified",
        "the kind is 99",
        |h| h.kind = 99,
    ),
    (
        "no-suite",
        "HDR-04",
        "header/unspecified",
        "the suite is not set",
        |h| h.suite = 0,
    ),
    (
        "one-agency",
        "HDR-05",
        "header/same-agency",
        "an agency writes to itself",
        |h| {
            h.recipient_agency = h.sender_agency.clone();
        },
    ),
    (
        "referral-that-answers",
        "HDR-06",
        "header/answer",
        "a referral names a message",
        |h| {
            h.in_reply_to = vec![9; 16];
        },
    ),
    (
        "reply-to-nothing",
        "HDR-06",
        "header/answer",
        "a reply names no message",
        |h| {
            h.kind = wire::Kind::Reply.into();
        },
    ),
    (
        "expired-when-made",
        "HDR-07",
        "header/expiry",
        "it expires when it is created",
        |h| {
            h.expires = h.created;
        },
    ),
    (
        "over-fourteen-days",
        "HDR-07",
        "header/expiry",
        "14 days and a second",
        |h| {
            h.expires = h.created + 1_209_601;
        },
    ),
    (
        "no-manifest",
        "HDR-08",
        "header/no-manifest",
        "the manifest is missing",
        |h| {
            h.manifest = None;
        },
    ),
    (
        "bad-manifest",
        "HDR-08",
        "manifest/no-basis",
        "the manifest is empty",
        |h| {
            h.manifest = Some(wire::Manifest::default());
        },
    ),
];

fn manifests() -> Vec<Vector> {
    let of = |name, check, expect, about, bytes: &[u8]| {
        Vector::new(name, check, expect, about).base64("manifest", bytes)
    };
    let unknown = [wire_manifest().encode_to_vec().as_slice(), &UNKNOWN_FIELD].concat();
    let mut vectors = vec![of(
        "unknown-field",
        "STR-03",
        "strict/canonical",
        "field 127 follows",
        &unknown,
    )];
    for (name, check, expect, about, change) in MANIFESTS {
        let mut wire = wire_manifest();
        change(&mut wire);
        vectors.push(of(name, check, expect, about, &wire.encode_to_vec()));
    }
    vectors
}

const MANIFESTS: &[Row<wire::Manifest>] = &[
    ("two-parts", "MAN-03", "ok", "two parts, in order", |_| ()),
    (
        "with-a-clock",
        "MAN-08",
        "ok",
        "a due time with its calendar",
        |m| {
            m.clocks = vec!["C1".into()];
            m.due_at = Some(1_800_000_000);
            m.calendar = "gb-eaw@2026.1".into();
        },
    ),
    (
        "overridden",
        "MAN-07",
        "ok",
        "an overridden consent with its ground",
        |m| {
            m.consent = wire::ConsentState::Overridden.into();
            m.override_ground = "EXPLOITATION".into();
        },
    ),
    (
        "transfer",
        "MAN-09",
        "ok",
        "a transfer with its basis",
        |m| {
            m.transfer_basis = "LB-T45".into();
        },
    ),
    (
        "unknown-purpose",
        "MAN-01",
        "manifest/code",
        "a purpose of no vocabulary",
        |m| {
            m.purpose = "P-OTHER".into();
        },
    ),
    (
        "unknown-part",
        "MAN-01",
        "manifest/code",
        "a part of no vocabulary",
        |m| {
            m.parts = vec!["IDN".into()];
        },
    ),
    (
        "no-minor-status",
        "MAN-02",
        "manifest/unspecified",
        "no minor status",
        |m| {
            m.minor_status = 0;
        },
    ),
    (
        "unknown-consent",
        "MAN-02",
        "manifest/unspecified",
        "the consent is 6",
        |m| {
            m.consent = 6;
        },
    ),
    (
        "parts-out-of-order",
        "MAN-03",
        "manifest/list",
        "the parts are not sorted",
        |m| {
            m.parts.reverse();
        },
    ),
    (
        "part-twice",
        "MAN-03",
        "manifest/list",
        "a part stands twice",
        |m| {
            m.parts = vec!["IND".into(); 2];
        },
    ),
    (
        "nine-clocks",
        "MAN-03",
        "manifest/list",
        "nine clocks",
        |m| {
            m.clocks = (1..=9).map(|i| format!("C{i}")).collect();
        },
    ),
    (
        "no-basis",
        "MAN-04",
        "manifest/no-basis",
        "no legal basis",
        |m| {
            m.legal_bases.clear();
        },
    ),
    (
        "origin-not-asserted",
        "MAN-05",
        "manifest/not-asserted",
        "`no_origin_conflict` is false",
        |m| {
            m.no_origin_conflict = false;
        },
    ),
    (
        "party-not-asserted",
        "MAN-05",
        "manifest/not-asserted",
        "`no_implicated_party` is false",
        |m| {
            m.no_implicated_party = false;
        },
    ),
    (
        "short-bundle",
        "MAN-06",
        "manifest/digest",
        "a bundle's digest of 31 bytes",
        |m| {
            m.sender_bundle.truncate(31);
        },
    ),
    (
        "no-taxonomy",
        "MAN-06",
        "manifest/digest",
        "the taxonomy is not cited",
        |m| {
            m.taxonomy.clear();
        },
    ),
    (
        "ground-without-override",
        "MAN-07",
        "manifest/override",
        "a ground, and consent given",
        |m| {
            m.override_ground = "EXPLOITATION".into();
        },
    ),
    (
        "override-without-ground",
        "MAN-07",
        "manifest/override",
        "overridden without a ground",
        |m| {
            m.consent = wire::ConsentState::Overridden.into();
        },
    ),
    (
        "due-without-calendar",
        "MAN-08",
        "manifest/clock",
        "a due time without a calendar",
        |m| {
            m.due_at = Some(1_800_000_000);
        },
    ),
    (
        "profile-with-a-space",
        "MAN-08",
        "manifest/clock",
        "a space in the profile",
        |m| {
            m.profile = "GB EAW".into();
        },
    ),
    (
        "transfer-by-another-basis",
        "MAN-09",
        "manifest/transfer",
        "LB-6E is no transfer basis",
        |m| {
            m.transfer_basis = "LB-6E".into();
        },
    ),
];
