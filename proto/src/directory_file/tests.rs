//! A whole directory file, and every way in which it is refused.

use super::*;
use crate::testing::{BORN, DAY, NOW, scheme, signed};
use wire::record::Record as Either;

fn verified(bytes: &[u8]) -> Result<VerifiedDirectory, DirectoryError> {
    VerifiedDirectory::verify(bytes, &scheme().operator.certificate().fingerprint(), NOW)
}

#[track_caller]
fn refused(result: Result<VerifiedDirectory, DirectoryError>, check: &str) {
    let error = result.map(|_| ()).unwrap_err().to_string();
    assert!(error.starts_with(&format!("{check}: ")), "{error}");
}

/// The file as decoded, changed, not signed again.
fn tampered(
    change: impl FnOnce(&mut wire::Directory),
) -> Result<VerifiedDirectory, DirectoryError> {
    let mut file = strict::decode(&scheme().file, limit::DIRECTORY_BYTES).unwrap();
    change(&mut file);
    verified(&file.encode_to_vec())
}

/// The file changed, with a head signed over whatever its records then are: what a careless or
/// dishonest operator could publish.
fn published(
    change: impl FnOnce(&mut wire::Directory),
) -> Result<VerifiedDirectory, DirectoryError> {
    tampered(|file| {
        change(file);
        let tree = merkle::Tree::of(file.records.iter().map(|r| merkle::leaf_hash(r)));
        let head = file.head.clone().unwrap_or_default();
        let mut head: wire::DirectoryHead =
            strict::decode(&head.content, limit::RECORD_BYTES).unwrap();
        head.records = tree.size();
        head.root = tree.root().as_bytes().to_vec();
        let operator = &scheme().operator;
        file.head = Some(signed(operator, Context::Directory, head.encode_to_vec()));
    })
}

/// The records: two agencies, then two nodes. Changes the one at `index`.
fn with_record(
    index: usize,
    change: impl FnOnce(&mut Either),
) -> Result<VerifiedDirectory, DirectoryError> {
    published(|file| {
        let mut record: wire::Record =
            strict::decode(&file.records[index], limit::RECORD_BYTES).unwrap();
        change(record.record.as_mut().unwrap());
        file.records[index] = record.encode_to_vec();
    })
}

fn with_agency(
    change: impl FnOnce(&mut wire::AgencyRecord),
) -> Result<VerifiedDirectory, DirectoryError> {
    with_record(1, |record| match record {
        Either::Agency(agency) => change(agency),
        Either::Node(_) => panic!("an agency"),
    })
}

fn with_node(
    change: impl FnOnce(&mut wire::NodeRecord),
) -> Result<VerifiedDirectory, DirectoryError> {
    with_record(3, |record| match record {
        Either::Node(node) => change(node),
        Either::Agency(_) => panic!("a node"),
    })
}

#[test]
fn a_signed_directory_holds_its_agencies_and_nodes_by_id() {
    let (scheme, directory) = (scheme(), verified(&scheme().file).unwrap());
    let agencies: Vec<_> = directory.agencies().map(|agency| &agency.id).collect();
    assert_eq!(agencies, [&scheme.recipient.id, &scheme.sender.id]);
    assert_eq!(directory.nodes().count(), 2);
    let sender = &scheme.sender;
    let found = directory.certificate(&sender.id).unwrap();
    assert_eq!(found.as_bytes(), sender.certificate.as_bytes());
    let of_key = directory.node_of_tls_key(&Digest::new([1; 32])).unwrap();
    assert_eq!(directory.node(&sender.record.node), Some(of_key));
    assert!(directory.node_of_tls_key(&Digest::new([3; 32])).is_none());
    let stranger = "gb.example.stranger".parse().unwrap();
    assert!(directory.agency(&stranger).is_none());
    assert!(directory.agency_proof(&stranger).is_none());
    published(|_| ()).unwrap();
}

#[test]
fn a_file_that_is_not_one_canonical_encoding_is_refused() {
    let file = &scheme().file;
    let unknown_field = [0xf8, 0x07, 0x01];
    refused(
        verified(&[file, &unknown_field[..]].concat()),
        "DIR-01: STR-03",
    );
    refused(verified(&file[1..]), "DIR-01: STR-02");
    refused(tampered(|file| file.head = None), "DIR-01: STR-02");
    refused(
        published(|file| file.records[0] = b"\xff".to_vec()),
        "DIR-01: STR-02",
    );
}

#[test]
fn a_directory_of_another_operator_is_refused() {
    let other = scheme().sender.certificate.as_bytes();
    refused(tampered(|file| file.operator = other.to_vec()), "DIR-02");
    refused(tampered(|file| file.operator.clear()), "DIR-02");
    let pinned = scheme().sender.certificate.fingerprint();
    refused(
        VerifiedDirectory::verify(&scheme().file, &pinned, NOW),
        "DIR-02",
    );
}

#[test]
fn a_head_that_was_changed_after_signing_is_refused() {
    refused(
        tampered(|file| {
            if let Some(head) = &mut file.head {
                head.content.push(0);
            }
        }),
        "DIR-03",
    );
}

#[test]
fn a_record_of_another_form_is_refused() {
    refused(with_agency(|agency| agency.name.clear()), "DIR-04");
    refused(with_node(|node| node.peer_endpoint.clear()), "DIR-04");
}

#[test]
fn an_id_outside_the_country_of_the_operator_is_refused() {
    refused(with_node(|node| node.id = "ie.node2".into()), "DIR-05");
    refused(
        with_agency(|agency| {
            agency.id = "ie.example.ngo".into();
            agency.log_keys.clear();
        }),
        "DIR-05",
    );
}

#[test]
fn records_that_the_head_does_not_cover_are_refused() {
    refused(tampered(|file| file.records.truncate(3)), "DIR-06");
    refused(tampered(|file| file.records.swap(0, 1)), "DIR-06");
    refused(tampered(|file| file.records[0].push(0)), "DIR-06");
    let again = |file: &mut wire::Directory| file.records.push(file.records[3].clone());
    refused(tampered(again), "DIR-06");
}

/// DIR-08.
#[test]
fn a_directory_is_signed_for_thirty_days_at_most() {
    let sign = |valid_until| {
        let draft = scheme().draft();
        draft.sign(&scheme().operator, NOW, valid_until)
    };
    sign(NOW.plus(30 * DAY)).unwrap();
    let error = sign(NOW.plus(30 * DAY + 1)).unwrap_err();
    assert!(error.to_string().starts_with("DIR-08: "), "{error}");
}

/// DIR-08: one from the past verifies, and is not fresh.
#[test]
fn an_expired_directory_verifies_and_is_told_apart() {
    let draft = scheme().draft();
    let old = draft
        .sign(&scheme().operator, BORN, BORN.plus(DAY))
        .unwrap();
    assert!(!verified(&old).unwrap().head().is_fresh(NOW));
}

#[test]
fn records_out_of_order_or_twice_are_refused_although_they_are_signed() {
    refused(published(|file| file.records.swap(2, 3)), "DIR-09");
    refused(published(|file| file.records.swap(1, 2)), "DIR-09");
    let again = |file: &mut wire::Directory| file.records.push(file.records[3].clone());
    refused(published(again), "DIR-09");
    let same_id = |node: &mut wire::NodeRecord| node.id = "gb.node1".into();
    refused(with_node(same_id), "DIR-09");
}

/// DIR-09: the order is the operator's tool's to make.
#[test]
fn a_draft_is_sorted_when_it_is_signed() {
    let mut draft = scheme().draft();
    draft.records.reverse();
    let bytes = draft.sign(&scheme().operator, NOW, NOW.plus(DAY)).unwrap();
    verified(&bytes).unwrap();
}

#[test]
fn an_agency_without_the_certificate_that_it_names_is_refused() {
    refused(published(|file| file.certificates.clear()), "DIR-10");
    refused(published(|file| file.certificates[0].push(0)), "DIR-10");
    let other = scheme().recipient.certificate.fingerprint();
    let other_fingerprint = |agency: &mut wire::AgencyRecord| {
        if let Some(certificate) = &mut agency.certificate {
            certificate.fingerprint = other.as_bytes().to_vec();
        }
    };
    refused(with_agency(other_fingerprint), "DIR-10");
    let certificate = scheme().recipient.record_wire.certificate.clone();
    refused(
        with_agency(|agency| agency.certificate = certificate),
        "DIR-10",
    );
}

#[test]
fn an_agency_on_a_node_that_the_directory_does_not_hold_is_refused() {
    refused(
        with_agency(|agency| agency.node = "gb.node3".into()),
        "DIR-11",
    );
}

#[test]
fn two_nodes_with_one_tls_key_are_refused() {
    refused(with_node(|node| node.tls_key = vec![1; 32]), "DIR-13");
    refused(with_node(|node| node.tls_key_next = vec![1; 32]), "DIR-13");
    // A node whose next key is the one in use is still one node.
    with_node(|node| node.tls_key_next = vec![2; 32]).unwrap();
    let directory = with_node(|node| node.tls_key_next = vec![3; 32]).unwrap();
    let found = directory.node_of_tls_key(&Digest::new([3; 32])).unwrap();
    assert_eq!(found.id.as_str(), "gb.node2");
}

#[test]
fn a_draft_that_a_reader_would_refuse_is_not_signed() {
    let mut draft = scheme().draft();
    draft.certificates.clear();
    let error = draft
        .sign(&scheme().operator, NOW, NOW.plus(DAY))
        .unwrap_err();
    assert!(error.to_string().starts_with("DIR-10: "), "{error}");
}
