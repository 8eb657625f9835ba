//! Heads, records and proofs, and every way in which they are refused.

use super::*;
use crate::note::{KeyName, NoteSigner};
use crate::openpgp::KeyRole;
use crate::testing::{self, Agency, BORN, DAY, NOW, parsed, scheme, signed};

fn sender() -> &'static Agency {
    &scheme().sender
}

#[track_caller]
fn refused<T>(result: Result<T, DirectoryError>, check: &str) {
    let error = result.map(|_| ()).unwrap_err().to_string();
    assert!(error.starts_with(&format!("{check}: ")), "{error}");
}

fn content() -> wire::DirectoryHead {
    let signed = scheme().directory.signed_head();
    strict::decode(&signed.content, limit::RECORD_BYTES).unwrap()
}

/// The head after one change, signed again by the operator.
fn head(change: impl FnOnce(&mut wire::DirectoryHead)) -> Result<VerifiedHead, DirectoryError> {
    let mut head = content();
    change(&mut head);
    head_of(head.encode_to_vec())
}

fn head_of(content: Vec<u8>) -> Result<VerifiedHead, DirectoryError> {
    let operator = &scheme().operator;
    let signed = signed(operator, Context::Directory, content);
    VerifiedHead::verify(&signed, operator.certificate(), NOW)
}

/// The sender's record after one change.
fn agency(change: impl FnOnce(&mut wire::AgencyRecord)) -> Result<Record, DirectoryError> {
    let mut agency = sender().record_wire.clone();
    change(&mut agency);
    Record::parse(&testing::record(wire::record::Record::Agency(agency)).encode_to_vec())
}

/// The sender's node after one change.
fn node(change: impl FnOnce(&mut wire::NodeRecord)) -> Result<Record, DirectoryError> {
    let mut node = sender().node.clone();
    change(&mut node);
    Record::parse(&testing::record(wire::record::Record::Node(node)).encode_to_vec())
}

#[test]
fn a_signed_head_says_what_the_operator_signed() {
    let head = head(|_| ()).unwrap();
    assert_eq!(head.country().as_str(), "gb");
    assert_eq!(head.version(), 1);
    assert_eq!(head.suite(), Suite::Classical);
    assert_eq!(head.valid_until(), NOW.plus(30 * DAY));
    assert!(head.is_fresh(Timestamp(head.valid_until().0 - 1)));
    assert!(!head.is_fresh(head.valid_until()));
    agency(|_| ()).unwrap();
    node(|_| ()).unwrap();
}

#[test]
fn a_head_or_record_that_is_not_one_canonical_encoding_is_refused() {
    let unknown_field = [0xf8, 0x07, 0x01];
    let content = content().encode_to_vec();
    refused(
        head_of([&content, &unknown_field[..]].concat()),
        "DIR-01: STR-03",
    );
    refused(head_of(content[1..].to_vec()), "DIR-01: STR-02");
    refused(head_of(vec![0; limit::RECORD_BYTES + 1]), "DIR-01: STR-01");
    refused(
        agency(|agency| agency.name = "x".repeat(limit::RECORD_BYTES)),
        "DIR-01: STR-01",
    );
    refused(Record::parse(&unknown_field), "DIR-01: STR-03");
    refused(Record::parse(b""), "DIR-01: STR-02");
}

#[test]
fn a_head_that_the_operator_did_not_sign_as_a_head_is_refused() {
    let operator = &scheme().operator;
    let verified =
        |signed: &wire::Signed| VerifiedHead::verify(signed, operator.certificate(), NOW);
    let content = content().encode_to_vec();
    let by_an_agency = signed(&sender().key, Context::Directory, content.clone());
    let as_a_roster = signed(operator, Context::Roster, content.clone());
    let mut another = signed(operator, Context::Directory, content);
    another.content = head_of_version(2).encode_to_vec();
    for signed in [by_an_agency, as_a_roster, another] {
        refused(verified(&signed), "DIR-03");
    }
}

fn head_of_version(version: u64) -> wire::DirectoryHead {
    wire::DirectoryHead {
        version,
        ..content()
    }
}

#[test]
fn a_head_with_a_country_root_or_suite_of_another_form_is_refused() {
    for country in ["", "g", "GB", "gbr", "g1"] {
        refused(head(|head| head.country = country.into()), "DIR-04");
    }
    refused(head(|head| head.root = vec![0; 31]), "DIR-04");
    for suite in [0, 99, u32::MAX] {
        refused(head(|head| head.suite = suite), "DIR-04");
    }
}

#[test]
fn an_agency_with_an_id_code_text_or_log_key_of_another_form_is_refused() {
    let changes: [fn(&mut wire::AgencyRecord); 12] = [
        |agency| agency.id = "gb".into(),
        |agency| agency.name = String::new(),
        |agency| agency.name = "x".repeat(201),
        |agency| agency.name = "two\nlines".into(),
        |agency| agency.roles = vec!["ngo".into()],
        |agency| agency.jurisdiction = String::new(),
        |agency| agency.jurisdiction = "G".repeat(17),
        |agency| agency.node = "node one".into(),
        |agency| agency.certificate = None,
        |agency| agency.attestations = vec!["trusted".into()],
        |agency| agency.succession = vec![0; limit::SIGNATURE_BYTES + 1],
        |agency| agency.log_keys[0].vkey = "waypost".into(),
    ];
    for (index, change) in changes.into_iter().enumerate() {
        let error = agency(change).map(|_| ()).unwrap_err().to_string();
        assert!(error.starts_with("DIR-04: "), "{index}: {error}");
    }
}

#[test]
fn a_log_key_that_is_not_named_after_its_agency_is_refused() {
    let other = scheme().recipient.log.verifier().to_string();
    refused(agency(|agency| agency.log_keys[0].vkey = other), "DIR-04");
}

#[test]
fn a_node_with_an_endpoint_or_key_of_another_form_is_refused() {
    for endpoint in ["a.example:1", "192.0.2.1:443", "[2001:db8::1]:65535"] {
        node(|node| node.peer_endpoint = endpoint.into()).unwrap();
    }
    for endpoint in [
        "",
        "a.example",
        ":443",
        "a.example:0",
        "a.example:65536",
        "a.example:+1",
        "a.example:",
        "2001:db8::1:443",
        "https://a.example:443",
        "a.example:443/path",
    ] {
        refused(node(|node| node.peer_endpoint = endpoint.into()), "DIR-04");
        refused(node(|node| node.desk_endpoint = endpoint.into()), "DIR-04");
    }
    refused(node(|node| node.id = "gb".into()), "DIR-04");
    refused(node(|node| node.tls_key = vec![0; 31]), "DIR-04");
    refused(node(|node| node.tls_key_next = vec![0; 33]), "DIR-04");
}

#[test]
fn a_node_has_its_tls_key_and_the_next_one() {
    let Record::Node(record) = node(|node| node.tls_key_next = vec![9; 32]).unwrap() else {
        panic!("a node");
    };
    let has = |byte| record.tls_keys().any(|key| key == Digest::new([byte; 32]));
    assert!(has(1) && has(9) && !has(2));
}

#[test]
fn a_record_of_another_country_is_refused_although_it_is_proved() {
    let id = &sender().id;
    let other_country = head(|head| head.country = "fr".into()).unwrap();
    let proof = scheme().directory.agency_proof(id).unwrap();
    refused(other_country.agency(id, &proof), "DIR-05");
    let id = &sender().record.node;
    let proof = scheme().directory.node_proof(id).unwrap();
    refused(other_country.node(id, &proof), "DIR-05");
}

#[test]
fn every_record_is_proved_under_its_head() {
    let scheme = scheme();
    for agency in [&scheme.sender, &scheme.recipient] {
        let proof = scheme.directory.agency_proof(&agency.id).unwrap();
        let proved = scheme.head.agency(&agency.id, &proof).unwrap();
        assert_eq!(proved.certificate, agency.record.certificate);
        let proof = scheme.directory.node_proof(&agency.record.node).unwrap();
        let proved = scheme.head.node(&agency.record.node, &proof).unwrap();
        assert_eq!(proved.peer_endpoint, agency.node.peer_endpoint);
    }
}

#[test]
fn a_record_that_is_not_proved_is_refused() {
    let scheme = scheme();
    let id = &sender().id;
    let good = scheme.directory.agency_proof(id).unwrap();
    let changes: [fn(&mut wire::RecordProof); 7] = [
        |proof| proof.record.extend([0]),
        |proof| proof.index += 1,
        |proof| proof.index = u64::MAX,
        |proof| proof.path[0] = vec![0; 32],
        |proof| proof.path[0] = vec![0; 31],
        |proof| proof.path.clear(),
        |proof| proof.path = vec![vec![0; 32]; limit::PROOF_HASHES + 1],
    ];
    for change in changes {
        let mut proof = good.clone();
        change(&mut proof);
        refused(scheme.head.agency(id, &proof), "DIR-06");
    }
    let other_head = head(|head| head.root = vec![7; 32]).unwrap();
    refused(other_head.agency(id, &good), "DIR-06");
}

#[test]
fn the_proof_of_one_record_does_not_stand_for_another() {
    let scheme = scheme();
    let of_sender = scheme.directory.agency_proof(&sender().id).unwrap();
    refused(
        scheme.head.agency(&scheme.recipient.id, &of_sender),
        "DIR-06",
    );
    refused(
        scheme.head.node(&sender().record.node, &of_sender),
        "DIR-06",
    );
    let of_node = scheme.directory.node_proof(&sender().record.node).unwrap();
    refused(scheme.head.agency(&sender().id, &of_node), "DIR-06");
}

#[test]
fn a_head_older_than_one_seen_is_refused() {
    let head = head(|head| head.version = 7).unwrap();
    let other = Digest::of(b"another head of the same version");
    head.check_not_older(6, other).unwrap();
    head.check_not_older(7, head.digest()).unwrap();
    refused(head.check_not_older(7, other), "DIR-07");
    refused(head.check_not_older(8, head.digest()), "DIR-07");
}

#[test]
fn a_head_is_valid_for_thirty_days_at_most_and_not_created_in_the_future() {
    let from_to = |created: u64, valid_until: u64| {
        head(|head| {
            head.created = created;
            head.valid_until = valid_until;
        })
    };
    let (now, skew) = (NOW.0, limit::CLOCK_SKEW_SECONDS);
    for (created, valid_until) in [
        (now, now + 30 * DAY),
        (now + skew, now + skew + 1),
        // Expired: it verifies, and whether it may be used is for the caller.
        (BORN.0, BORN.0 + DAY),
    ] {
        from_to(created, valid_until).unwrap();
    }
    for (created, valid_until) in [
        (now, now + 30 * DAY + 1),
        (now, now),
        (now + skew + 1, now + skew + 2),
        (0, u64::MAX),
    ] {
        refused(from_to(created, valid_until), "DIR-08");
    }
}

#[test]
fn a_list_of_a_record_that_is_unsorted_repeated_or_too_long_is_refused() {
    let changes: [fn(&mut wire::AgencyRecord); 4] = [
        |agency| agency.roles = vec!["NGO".into(), "NGO".into()],
        |agency| agency.roles = vec!["b".into(), "a".into()],
        |agency| agency.attestations = vec!["b".into(), "a".into()],
        |agency| agency.log_keys = vec![agency.log_keys[0].clone(); limit::LOG_KEYS + 1],
    ];
    for (index, change) in changes.into_iter().enumerate() {
        let error = agency(change).map(|_| ()).unwrap_err().to_string();
        assert!(error.starts_with("DIR-09: "), "{index}: {error}");
    }
    let too_many = u64::try_from(limit::DIRECTORY_RECORDS).unwrap() + 1;
    refused(head(|head| head.records = too_many), "DIR-09");
}

/// Two log keys of the sender, from 100 to 200 and from 200, after one change to the first.
fn two_log_keys(
    change: impl FnOnce(&mut wire::LogKey, &wire::LogKey),
) -> Result<Record, DirectoryError> {
    agency(|agency| {
        let new = NoteSigner::generate(KeyName::of_log(&sender().id)).unwrap();
        let new = wire::LogKey {
            vkey: new.verifier().to_string(),
            valid_from: 200,
            valid_until: None,
            epoch: 2,
        };
        let mut old = wire::LogKey {
            valid_from: 100,
            valid_until: Some(200),
            ..agency.log_keys[0].clone()
        };
        change(&mut old, &new);
        agency.log_keys = vec![old, new];
    })
}

/// DIR-09: one log key at most is valid at a time.
#[test]
fn log_keys_follow_each_other_without_overlap() {
    let Record::Agency(record) = two_log_keys(|_, _| ()).unwrap() else {
        panic!("an agency");
    };
    let epoch_at = |at| record.log_key(Timestamp(at)).map(|key| key.epoch);
    assert_eq!(epoch_at(100), Some(1));
    assert_eq!(epoch_at(199), Some(1));
    assert_eq!(epoch_at(200), Some(2));
    assert_eq!(epoch_at(u64::MAX), Some(2));
    let changes: [fn(&mut wire::LogKey, &wire::LogKey); 5] = [
        |old, _| old.valid_until = None,
        |old, _| old.valid_until = Some(201),
        |old, _| old.valid_until = Some(99),
        |old, new| old.epoch = new.epoch,
        |old, new| old.vkey = new.vkey.clone(),
    ];
    for (index, change) in changes.into_iter().enumerate() {
        let error = two_log_keys(change).map(|_| ()).unwrap_err().to_string();
        assert!(error.starts_with("DIR-09: "), "{index}: {error}");
    }
}

/// The sender's record with another key, and what stands as the old key's signature.
fn successor(new: &Certificate, succession: Vec<u8>) -> AgencyRecord {
    parsed(&wire::AgencyRecord {
        certificate: Some(CertificateRef::of(new).to_wire()),
        succession,
        ..sender().record_wire.clone()
    })
}

fn succeeds(after: &AgencyRecord, new: &Certificate, waited: u64) -> Result<(), DirectoryError> {
    let before = (&sender().record, &sender().certificate);
    check_succession(before, (after, new), Timestamp(NOW.0 - waited), NOW)
}

#[test]
fn a_new_agency_key_is_signed_by_the_old_one_or_waits_for_seven_days() {
    let new = testing::key(KeyRole::Agency, "the next key");
    let new = new.certificate();
    let by = |signer: &crate::openpgp::SigningKey, context| {
        signer.sign(context, new.as_bytes(), NOW).unwrap()
    };
    let signed = successor(new, by(&sender().key, Context::Succession));
    succeeds(&signed, new, 0).unwrap();
    succeeds(&sender().record, &sender().certificate, 0).unwrap();

    let unsigned = successor(new, Vec::new());
    succeeds(&unsigned, new, 7 * DAY).unwrap();
    refused(succeeds(&unsigned, new, 7 * DAY - 1), "DIR-12");
    let by_another = successor(new, by(&scheme().recipient.key, Context::Succession));
    refused(succeeds(&by_another, new, 0), "DIR-12");
    let as_a_roster = successor(new, by(&sender().key, Context::Roster));
    refused(succeeds(&as_a_roster, new, 0), "DIR-12");
}

/// DIR-12: no wait makes one agency of two.
#[test]
fn another_agency_never_succeeds() {
    let other = &scheme().recipient;
    refused(
        succeeds(&other.record, &other.certificate, 30 * DAY),
        "DIR-12",
    );
}

#[test]
fn a_succession_is_judged_by_the_certificates_that_the_records_name() {
    let other = &scheme().recipient.certificate;
    refused(succeeds(&sender().record, other, 30 * DAY), "DIR-10");
}
