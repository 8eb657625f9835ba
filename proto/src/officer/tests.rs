//! Requests, admissions and removals, and every way in which they are refused.

use std::collections::BTreeSet;

use prost::Message;

use super::*;
use crate::id::Fingerprint;
use crate::limit;
use crate::openpgp::{DeskKey, KeyRole, SecretKey, SigningKey, Suite};
use crate::roster::Roster;
use crate::testing::{Agency, BORN, NOW, intake, key, scheme, signed};
use crate::wire;

const NAME: &str = "officer-1a2b3c4d";

fn agency() -> &'static Agency {
    &scheme().sender
}

fn request() -> OfficerRequest {
    OfficerRequest {
        agency: agency().id.clone(),
        title: "Caseworker".into(),
        desks: BTreeSet::from([intake()]),
        created: NOW,
    }
}

fn officer() -> SecretKey {
    key(KeyRole::Officer, NAME)
}

fn request_code(result: Result<VerifiedRequest, RequestError>) -> String {
    let error = result.map(|_| ()).unwrap_err().to_string();
    error.chars().take(6).collect()
}

/// A request's content, changed and signed by `signer`.
fn changed(
    signer: &SecretKey,
    change: impl FnOnce(&mut wire::OfficerRequest),
) -> Result<VerifiedRequest, RequestError> {
    let bytes = request().sign(&officer().signing_key().unwrap()).unwrap();
    let file = wire::Signed::decode(bytes.as_slice()).unwrap();
    let mut content = wire::OfficerRequest::decode(file.content.as_slice()).unwrap();
    content.certificate = signer.certificate().as_bytes().to_vec();
    change(&mut content);
    let signer = signer.signing_key().unwrap();
    let file = signed(&signer, Context::OfficerRequest, content.encode_to_vec());
    VerifiedRequest::verify(&file.encode_to_vec(), NOW)
}

#[test]
fn a_request_comes_back_whole_and_its_code_is_that_of_its_content() {
    let officer = officer();
    let bytes = request().sign(&officer.signing_key().unwrap()).unwrap();
    let verified = VerifiedRequest::verify(&bytes, NOW).unwrap();
    assert_eq!(*verified.request(), request());
    assert_eq!(verified.certificate(), officer.certificate());
    let shown = verified.code().to_string();
    assert_eq!(shown.len(), 24);
    assert_eq!(
        shown.to_uppercase().parse::<Code>().unwrap(),
        verified.code()
    );
    let other = changed(&officer, |content| content.title = "Supervisor".into()).unwrap();
    assert_ne!(other.code(), verified.code());
}

#[test]
fn a_code_is_twenty_digits() {
    for bad in [
        "",
        "1a2b",
        "1a2b 3c4d 5e6f 7081 92a3 b",
        "1a2b 3c4d 5e6f 7081 92ag",
    ] {
        assert_eq!(bad.parse::<Code>(), Err(NotACode), "`{bad}`");
    }
    assert!("1A2B-3c4d5e6f 708192a3".parse::<Code>().is_ok());
}

// OFF-01
#[test]
fn a_request_that_is_too_long_or_holds_unknown_fields_is_refused() {
    let long = vec![0; limit::OFFICER_REQUEST_BYTES + 1];
    assert_eq!(request_code(VerifiedRequest::verify(&long, NOW)), "OFF-01");
    assert_eq!(
        request_code(VerifiedRequest::verify(b"\x0a\xff", NOW)),
        "OFF-01"
    );
    let mut bytes = request().sign(&officer().signing_key().unwrap()).unwrap();
    bytes.extend([0xf8, 0x07, 0x01]);
    assert_eq!(request_code(VerifiedRequest::verify(&bytes, NOW)), "OFF-01");
}

// OFF-02
#[test]
fn a_request_with_another_certificate_than_an_officers_is_refused() {
    let mut twice = officer();
    twice.rotate_encryption_key(NOW).unwrap();
    for other in [
        key(KeyRole::Agency, NAME),
        key(KeyRole::Officer, "Jane Doe"),
        key(KeyRole::Officer, "officer-1A2B3C4D"),
        twice,
    ] {
        assert_eq!(request_code(changed(&other, |_| ())), "OFF-02");
    }
    let suite = Suite::Classical;
    let unborn = SecretKey::generate(KeyRole::Officer, suite, NAME, NOW.plus(900)).unwrap();
    let bytes = OfficerRequest {
        created: NOW.plus(900),
        ..request()
    }
    .sign(&unborn.signing_key().unwrap())
    .unwrap();
    assert_eq!(request_code(VerifiedRequest::verify(&bytes, NOW)), "OFF-02");
    let broken = changed(&officer(), |content| content.certificate.truncate(40));
    assert_eq!(request_code(broken), "OFF-02");
}

// OFF-03
#[test]
fn a_request_for_a_key_that_did_not_sign_it_is_refused() {
    let (mine, theirs) = (officer(), officer());
    let swapped = changed(&mine, |content| {
        content.certificate = theirs.certificate().as_bytes().to_vec();
    });
    assert_eq!(request_code(swapped), "OFF-03");
    let bytes = request().sign(&mine.signing_key().unwrap()).unwrap();
    let file = wire::Signed::decode(bytes.as_slice()).unwrap();
    let other_use = signed(&mine.signing_key().unwrap(), Context::Login, file.content);
    let refused = VerifiedRequest::verify(&other_use.encode_to_vec(), NOW);
    assert_eq!(request_code(refused), "OFF-03");
}

// OFF-04
#[test]
fn a_request_with_a_name_for_a_title_or_unsorted_desks_is_refused() {
    let changes: [fn(&mut wire::OfficerRequest); 7] = [
        |content| content.agency = "GB.example".into(),
        |content| content.title = "Jane <jane@example.org>".into(),
        |content| content.title = String::new(),
        |content| content.desks = Vec::new(),
        |content| content.desks = vec!["intake".into(), "intake".into()],
        |content| content.desks = vec!["liaison".into(), "intake".into()],
        |content| content.desks = vec!["../intake".into()],
    ];
    for (index, change) in changes.into_iter().enumerate() {
        assert_eq!(
            request_code(changed(&officer(), change)),
            "OFF-04",
            "{index}"
        );
    }
    let many = changed(&officer(), |content| {
        content.desks = (0..=limit::ROSTER_DESKS)
            .map(|n| format!("d{n:03}"))
            .collect();
    });
    assert_eq!(request_code(many), "OFF-04");
}

// OFF-05
#[test]
fn a_request_from_the_future_is_refused() {
    let late = NOW.0 + limit::CLOCK_SKEW_SECONDS;
    assert!(changed(&officer(), |content| content.created = late).is_ok());
    let refused = changed(&officer(), |content| content.created = late + 1);
    assert_eq!(request_code(refused), "OFF-05");
}

/// An agency with a new officer on its roster.
struct Joining {
    officer: SecretKey,
    roster: Roster,
    certificates: Vec<Vec<u8>>,
}

impl Joining {
    fn new() -> Self {
        let officer = officer();
        let mut roster = agency().roster.clone();
        roster.version += 1;
        let desks = BTreeSet::from([intake()]);
        roster.admit(officer.certificate(), "Caseworker".into(), desks);
        let certificates = [&agency().desk, &agency().officer, &officer]
            .map(|key| key.certificate().as_bytes().to_vec());
        Self {
            officer,
            roster,
            certificates: certificates.into(),
        }
    }

    fn admission(&self) -> Admission {
        let roster = self.roster.sign(&agency().key).unwrap();
        Admission {
            officer: self.officer.certificate().fingerprint(),
            operator: Some(Fingerprint::new([7; 32])),
            registration: wire::Registration {
                record: Some(agency().record_wire.clone()),
                roster: Some(wire::Signed::decode(roster.as_slice()).unwrap()),
                certificates: self.certificates.clone(),
            },
            keys: vec![handed(&agency().desk, &self.officer, &agency().key)],
        }
    }

    fn judge(&self, admission: &Admission) -> Result<VerifiedAdmission, AdmissionError> {
        self.judge_by(admission, &agency().key)
    }

    fn judge_by(
        &self,
        admission: &Admission,
        signer: &SigningKey,
    ) -> Result<VerifiedAdmission, AdmissionError> {
        let bytes = admission.sign(signer, NOW).unwrap();
        let trust = Trust::Pinned(agency().certificate.fingerprint());
        VerifiedAdmission::verify(&bytes, &self.officer, trust, NOW)
    }
}

/// The desk's newest key, handed over to `officer`.
fn handed(desk: &SecretKey, officer: &SecretKey, by: &SigningKey) -> HandedKey {
    let key = *desk.certificate().encryption_keys().last().unwrap();
    let sealed = desk.desk_key(&key).unwrap();
    HandedKey {
        desk: intake(),
        key,
        sealed: sealed.hand_over(by, officer.certificate(), NOW).unwrap(),
    }
}

#[track_caller]
fn refused(result: Result<VerifiedAdmission, AdmissionError>, check: &str) {
    let error = result.map(|_| ()).unwrap_err().to_string();
    assert!(error.starts_with(&format!("{check}: ")), "{error}");
}

#[test]
fn an_officer_who_was_told_the_code_accepts_the_admission_and_holds_the_desks_key() {
    let joining = Joining::new();
    let bytes = joining.admission().sign(&agency().key, NOW).unwrap();
    let told = Trust::Told(Code::of_admission(&bytes).unwrap());
    let verified = VerifiedAdmission::verify(&bytes, &joining.officer, told, NOW).unwrap();
    assert_eq!(verified.agency().digest(), agency().certificate.digest());
    assert_eq!(verified.roster().roster().version, 2);
    assert_eq!(verified.officer().title, "Caseworker");
    assert_eq!(verified.record().id, agency().id);
    let [handed] = &verified.admission().keys[..] else {
        unreachable!("one key")
    };
    let key = DeskKey::accept(&handed.sealed, &joining.officer, verified.agency(), NOW).unwrap();
    assert_eq!(key.fingerprint(), handed.key);
}

// OFF-10
#[test]
fn an_admission_that_is_too_long_or_holds_unknown_fields_is_refused() {
    let joining = Joining::new();
    let trust = Trust::Pinned(agency().certificate.fingerprint());
    let verify = |bytes: &[u8]| VerifiedAdmission::verify(bytes, &joining.officer, trust, NOW);
    refused(verify(&vec![0; limit::ADMISSION_BYTES + 1]), "OFF-10");
    refused(verify(b"\x0a\xff"), "OFF-10");
    let mut bytes = joining.admission().sign(&agency().key, NOW).unwrap();
    bytes.extend([0xf8, 0x07, 0x01]);
    refused(verify(&bytes), "OFF-10");
}

// OFF-11
#[test]
fn an_admission_with_another_code_or_of_another_agency_is_refused() {
    let joining = Joining::new();
    let bytes = joining.admission().sign(&agency().key, NOW).unwrap();
    let other = Trust::Told("0000 0000 0000 0000 0000".parse().unwrap());
    refused(
        VerifiedAdmission::verify(&bytes, &joining.officer, other, NOW),
        "OFF-11",
    );
    refused(
        joining.judge_by(&joining.admission(), &scheme().recipient.key),
        "OFF-11",
    );
}

// OFF-12
#[test]
fn an_admission_that_the_agency_did_not_sign_is_refused() {
    let joining = Joining::new();
    let bytes = joining.admission().sign(&agency().key, NOW).unwrap();
    let file = wire::Signed::decode(bytes.as_slice()).unwrap();
    let forger = &scheme().recipient.key;
    let trust = Trust::Pinned(agency().certificate.fingerprint());
    for forged in [
        signed(forger, Context::Admission, file.content.clone()),
        signed(&agency().key, Context::Roster, file.content.clone()),
    ] {
        let forged = forged.encode_to_vec();
        let verified = VerifiedAdmission::verify(&forged, &joining.officer, trust, NOW);
        refused(verified, "OFF-12");
    }
    // The certificate of one, in an admission signed by another.
    let mut content = wire::Admission::decode(file.content.as_slice()).unwrap();
    content.certificate = vec![1, 2, 3];
    let broken = signed(&agency().key, Context::Admission, content.encode_to_vec());
    let verified = VerifiedAdmission::verify(&broken.encode_to_vec(), &joining.officer, trust, NOW);
    refused(verified, "OFF-12");
}

// OFF-13
#[test]
fn an_admission_without_a_whole_and_current_chain_is_refused() {
    let joining = Joining::new();
    let change = |change: &dyn Fn(&mut Admission)| {
        let mut admission = joining.admission();
        change(&mut admission);
        refused(joining.judge(&admission), "OFF-13");
    };
    change(&|admission| admission.registration.record = None);
    change(&|admission| admission.registration.roster = None);
    change(&|admission| admission.registration.certificates.truncate(1));
    change(&|admission| admission.registration.certificates.push(vec![9]));
    let theirs = &scheme().recipient;
    change(&|admission| admission.registration.record = Some(theirs.record_wire.clone()));
    change(&|admission| {
        let roster = joining.roster.sign(&theirs.key).unwrap();
        admission.registration.roster = wire::Signed::decode(roster.as_slice()).ok();
    });
    let mut expired = Joining::new();
    expired.roster.created = BORN;
    expired.roster.valid_until = BORN.plus(limit::ROSTER_VALID_SECONDS);
    refused(expired.judge(&expired.admission()), "OFF-13");
}

// OFF-14
#[test]
fn an_admission_for_another_officer_or_of_a_roster_without_this_one_is_refused() {
    let joining = Joining::new();
    let other = Joining::new();
    refused(joining.judge(&other.admission()), "OFF-14");
    let mut renamed = other.admission();
    renamed.officer = joining.officer.certificate().fingerprint();
    refused(joining.judge(&renamed), "OFF-14");
    let mut revoked = Joining::new();
    let own = revoked.officer.certificate().fingerprint();
    revoked.roster.revoked.insert(own);
    refused(revoked.judge(&revoked.admission()), "OFF-14");
}

// OFF-15
#[test]
fn an_admission_with_keys_of_other_desks_or_without_the_one_in_use_is_refused() {
    let joining = Joining::new();
    let good = joining.admission();
    for keys in [
        Vec::new(),
        vec![good.keys[0].clone(), good.keys[0].clone()],
        vec![HandedKey {
            desk: "liaison".parse().unwrap(),
            ..good.keys[0].clone()
        }],
        vec![HandedKey {
            key: Fingerprint::new([1; 32]),
            ..good.keys[0].clone()
        }],
        vec![good.keys[0].clone(); limit::HANDED_KEYS + 1],
    ] {
        let admission = Admission {
            keys,
            ..good.clone()
        };
        refused(joining.judge(&admission), "OFF-15");
    }
}

// OFF-16
#[test]
fn a_key_that_is_sealed_to_another_or_by_another_or_is_another_is_refused() {
    let joining = Joining::new();
    let good = joining.admission();
    let with = |sealed: Vec<u8>| Admission {
        keys: vec![HandedKey {
            sealed,
            ..good.keys[0].clone()
        }],
        ..good.clone()
    };
    let desk = &agency().desk;
    for sealed in [
        Vec::new(),
        handed(desk, &agency().officer, &agency().key).sealed,
        handed(desk, &joining.officer, &scheme().recipient.key).sealed,
        handed(&scheme().recipient.desk, &joining.officer, &agency().key).sealed,
    ] {
        refused(joining.judge(&with(sealed)), "OFF-16");
    }
}

fn listed(roster: &Roster) -> BTreeSet<Fingerprint> {
    roster.officers.keys().copied().collect()
}

// OFF-20, OFF-21
#[test]
fn a_removal_strikes_the_officer_off_and_every_key_they_knew() {
    let joining = Joining::new();
    let (gone, stays) = (
        joining.officer.certificate().fingerprint(),
        agency().officer.certificate().fingerprint(),
    );
    let mut roster = joining.roster.next(9, NOW, 60);
    assert_eq!((roster.version, roster.valid_until), (10, NOW.plus(60)));
    let desks = roster.remove(&gone).unwrap();
    assert_eq!(desks, BTreeSet::from([intake()]));
    assert_eq!(roster.remove(&gone), None);
    let mut desk = key(KeyRole::Desk, "intake");
    let old = desk.certificate().encryption_keys()[0];
    let listed_desk = roster.desks.get_mut(&intake()).unwrap();
    listed_desk.encryption_key = old;
    let new = desk.rotate_encryption_key(NOW).unwrap();
    roster.rekey(&intake(), desk.certificate());
    assert_eq!(listed(&roster), BTreeSet::from([stays]));
    assert_eq!(roster.revoked, BTreeSet::from([gone, old]));
    assert_eq!(roster.desks[&intake()].encryption_key, new);
    // A key that stays in use is not revoked.
    roster.rekey(&intake(), desk.certificate());
    assert!(!roster.revoked.contains(&new));
}

#[test]
fn the_next_version_is_newer_than_any_seen() {
    let roster = &agency().roster;
    assert_eq!(roster.next(0, NOW, 1).version, roster.version + 1);
    assert_eq!(roster.next(41, NOW, 1).version, 42);
}
