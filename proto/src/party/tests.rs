//! The chain of one agency, and every link that can break.

use super::*;
use crate::context::Context;
use crate::openpgp::KeyRole;
use crate::roster::Roster;
use crate::testing::{Agency, BORN, DAY, NOW, intake, key, scheme};

fn sender() -> &'static Agency {
    &scheme().sender
}

fn assembled(
    record: AgencyRecord,
    agency: &Certificate,
    roster: &[u8],
) -> Result<Party, PartyError> {
    Party::assemble(record, agency, roster, sender().certificates(), NOW)
}

/// The sender's party after one change to its roster.
fn changed(change: impl FnOnce(&mut Roster)) -> Party {
    let mut roster = sender().roster.clone();
    change(&mut roster);
    sender().party_with(&roster)
}

#[track_caller]
fn refused<T>(result: Result<T, PartyError>, check: &str) {
    let error = result.map(|_| ()).unwrap_err().to_string();
    assert!(error.starts_with(&format!("{check}: ")), "{error}");
}

fn officer_of(agency: &Agency) -> Fingerprint {
    agency.officer.certificate().fingerprint()
}

#[test]
fn a_whole_chain_gives_the_officer_and_the_key_to_seal_to() {
    let party = sender().party();
    let (officer, certificate) = party.officer(&officer_of(sender()), &intake()).unwrap();
    assert_eq!(officer.title, "duty officer");
    assert_eq!(
        certificate.digest(),
        sender().officer.certificate().digest()
    );
    let login = sender().signer().sign(Context::Login, b"x", NOW).unwrap();
    certificate
        .verify(Context::Login, b"x", &login, NOW)
        .unwrap();
    assert!(party.any_officer(&officer_of(sender())).is_some());
    let recipient = party.recipient(&intake(), NOW).unwrap();
    let desk = sender().desk.certificate();
    assert_eq!(recipient.fingerprint(), desk.encryption_keys()[0]);
    assert_eq!(party.missing().count(), 0);
    party.check_fresh(NOW).unwrap();
}

#[test]
fn an_agency_certificate_that_the_directory_does_not_name_is_refused() {
    let (sender, other) = (sender(), &scheme().recipient);
    let of_another = assembled(
        sender.record.clone(),
        &other.certificate,
        &sender.roster_bytes,
    );
    refused(of_another, "CHN-01");
    let mut other_bytes = sender.record.clone();
    other_bytes.certificate.digest = Digest::of(b"the same key in other bytes");
    refused(
        assembled(other_bytes, &sender.certificate, &sender.roster_bytes),
        "CHN-01",
    );
}

#[test]
fn a_roster_that_does_not_verify_breaks_the_chain() {
    let sender = sender();
    let verified = |roster: &[u8]| assembled(sender.record.clone(), &sender.certificate, roster);
    refused(verified(&scheme().recipient.roster_bytes), "CHN-02: ROS-02");
    refused(verified(b"\xff"), "CHN-02: ROS-01");
}

#[test]
fn a_roster_is_refused_from_the_second_it_expires() {
    let party = sender().party();
    let end = sender().roster.valid_until;
    party.check_fresh(Timestamp(end.0 - 1)).unwrap();
    refused(party.check_fresh(end), "CHN-03");
}

#[test]
fn an_officer_signs_only_for_the_desks_that_the_roster_gives_them() {
    let known = officer_of(sender());
    let stranger = officer_of(&scheme().recipient);
    let party = sender().party();
    refused(party.officer(&stranger, &intake()), "CHN-04");
    assert!(party.any_officer(&stranger).is_none());
    refused(party.officer(&known, &"other".parse().unwrap()), "CHN-04");

    let without_desk = changed(|roster| {
        for officer in roster.officers.values_mut() {
            officer.desks.clear();
        }
    });
    refused(without_desk.officer(&known, &intake()), "CHN-04");
    assert!(without_desk.any_officer(&known).is_some());
}

#[test]
fn a_revoked_officer_neither_signs_nor_logs_in() {
    let known = officer_of(sender());
    let party = changed(|roster| {
        roster.revoked.insert(known);
    });
    refused(party.officer(&known, &intake()), "CHN-04");
    assert!(party.any_officer(&known).is_none());
}

#[test]
fn a_desk_that_the_roster_does_not_hold_is_refused() {
    let party = sender().party();
    let other = "other".parse().unwrap();
    refused(party.desk(&other), "CHN-05");
    refused(party.recipient(&other, NOW), "CHN-05");
}

#[test]
fn a_desk_with_a_role_that_the_directory_does_not_give_is_refused() {
    let sender = sender();
    let mut record = sender.record.clone();
    record.roles.clear();
    refused(
        assembled(record, &sender.certificate, &sender.roster_bytes),
        "CHN-06",
    );
}

#[test]
fn a_certificate_that_is_not_at_hand_is_missing_until_it_is_supplied() {
    let sender = sender();
    let mut party = Party::assemble(
        sender.record.clone(),
        &sender.certificate,
        &sender.roster_bytes,
        [],
        NOW,
    )
    .unwrap();
    let named: Vec<_> = sender.certificates().map(|c| c.digest()).into();
    assert_eq!(party.missing().collect::<Vec<_>>(), named);
    refused(party.officer(&officer_of(sender), &intake()), "CHN-07");
    refused(party.recipient(&intake(), NOW), "CHN-07");
    party.supply(sender.certificates());
    party.officer(&officer_of(sender), &intake()).unwrap();
    party.recipient(&intake(), NOW).unwrap();
}

/// CHN-07: else a revoked or unlisted key would sign under a listed fingerprint.
#[test]
fn a_fingerprint_with_the_digest_of_another_certificate_is_refused() {
    let known = officer_of(sender());
    let desk = sender().desk.certificate().digest();
    let party = changed(|roster| {
        for officer in roster.officers.values_mut() {
            officer.certificate.digest = desk;
        }
    });
    refused(party.officer(&known, &intake()), "CHN-07");
    assert!(party.any_officer(&known).is_none());
}

#[test]
fn nothing_is_sealed_to_a_key_that_cannot_be_used() {
    let other_key = scheme().recipient.desk.certificate().encryption_keys()[0];
    let of_another = changed(|roster| {
        for desk in roster.desks.values_mut() {
            desk.encryption_key = other_key;
        }
    });
    refused(of_another.recipient(&intake(), NOW), "CHN-08");
    let before_it_was_made = Timestamp(BORN.0 - DAY);
    refused(
        sender().party().recipient(&intake(), before_it_was_made),
        "CHN-08",
    );
    let desk = sender().desk.certificate();
    for revoked in [desk.fingerprint(), desk.encryption_keys()[0]] {
        let party = changed(|roster| {
            roster.revoked.insert(revoked);
        });
        refused(party.recipient(&intake(), NOW), "CHN-08");
    }
}

/// CHN-08: of the keys of a desk, the one that the roster names is sealed to.
#[test]
fn a_rotated_key_is_used_as_soon_as_the_roster_names_it() {
    let mut desk = key(KeyRole::Desk, "rotated");
    let new = desk.rotate_encryption_key(NOW).unwrap();
    let mut party = changed(|roster| {
        for entry in roster.desks.values_mut() {
            entry.certificate = CertificateRef::of(desk.certificate());
            entry.encryption_key = new;
        }
    });
    party.supply([desk.certificate().clone()]);
    let recipient = party.recipient(&intake(), NOW).unwrap();
    assert_eq!(recipient.fingerprint(), new);
}

#[test]
fn a_roster_older_than_one_seen_is_refused() {
    let party = changed(|roster| roster.version = 7);
    let digest = party.roster().digest();
    let other = Digest::of(b"another roster of the same version");
    party.check_not_older(6, other).unwrap();
    party.check_not_older(7, digest).unwrap();
    refused(party.check_not_older(7, other), "CHN-09");
    refused(party.check_not_older(8, digest), "CHN-09");
}
