use super::*;
use crate::draft::{Decider, Draft, Request, Verdict};
use crate::id::Digest;
use crate::manifest::Versions;
use crate::vocabulary::{Handling, LegalBasis, MinorStatus, OverrideGround, Purpose};

struct AllowAll;

impl Decider for AllowAll {
    fn decide(&self, _: &Facts, _: Part) -> Verdict {
        Verdict::Allow { rules: Vec::new() }
    }
}

fn request() -> Request {
    Request {
        purpose: Purpose::Ident,
        legal_bases: BTreeSet::from([LegalBasis::Lb6e]),
        handling: Handling::H0,
        retention_days: 30,
        transfer_basis: None,
        override_ground: None,
        represented: false,
        no_origin_conflict: true,
        no_implicated_party: true,
        profile: "GB-EAW-NRM".to_owned(),
    }
}

fn versions() -> Versions {
    Versions {
        sender_bundle: Digest::of(b""),
        recipient_bundle: Digest::of(b""),
        catalogue: Catalogue::current().unwrap().digest(),
        taxonomy: Taxonomy::current().unwrap().digest(),
    }
}

const REFERRAL: &str = r#"{"idn":{"given_name":"a"},"age":{"minor_status":"adult"},
    "ind":{"codes":["IND-PHY-06","IND-PSY-02"]},"rsk":{"immediate_danger":true},
    "cns":{"participation_consent":"given","sharing_consent":{"whole_referral":true}}}"#;

fn minimised(json: &str, request: Request) -> (Vec<u8>, Manifest) {
    let form = Form::from_json(Kind::ReferralNrm, json).unwrap();
    let minimisation = Draft::new(form, request)
        .unwrap()
        .minimise(&AllowAll, versions())
        .unwrap();
    let minimised = minimisation.minimised;
    (minimised.payload().to_vec(), minimised.manifest().clone())
}

fn fault(payload: &[u8], manifest: &Manifest) -> Fault {
    check(Kind::ReferralNrm, payload, manifest)
        .unwrap_err()
        .fault()
        .clone()
}

#[test]
fn what_was_minimised_is_truthful() {
    let (payload, manifest) = minimised(REFERRAL, request());
    let truthful = check(Kind::ReferralNrm, &payload, &manifest).unwrap();
    assert_eq!(truthful.form().text("idn.given_name"), Some("a"));
    let overriding = Request {
        override_ground: Some(OverrideGround::Exploitation),
        ..request()
    };
    let (payload, manifest) = minimised(
        r#"{"age":{"minor_status":"adult"},"cns":{"capacity":"has"}}"#,
        overriding,
    );
    assert!(check(Kind::ReferralNrm, &payload, &manifest).is_ok());
}

// TRU-01
#[test]
fn a_payload_that_is_no_form_of_the_kind_is_unreadable() {
    let (mut payload, manifest) = minimised(REFERRAL, request());
    payload.push(0);
    let fault = fault(&payload, &manifest);
    assert_eq!(
        (fault.reason(), fault.report()),
        ("form", Kind::ReportUnreadable)
    );
}

// TRU-02
#[test]
fn a_manifest_under_unknown_lists_is_its_own_fault() {
    let (payload, manifest) = minimised(REFERRAL, request());
    for list in ["catalogue", "taxonomy"] {
        let mut other = manifest.clone();
        let digest = Digest::of(b"another");
        if list == "catalogue" {
            other.versions.catalogue = digest;
        } else {
            other.versions.taxonomy = digest;
        }
        let violation = check(Kind::ReferralNrm, &payload, &other).unwrap_err();
        assert_eq!(*violation.fault(), Fault::Versions { list });
        assert!(violation.declared_only(&other).is_none());
    }
}

// TRU-03
#[test]
fn an_undeclared_part_or_leak_is_understated_and_only_the_declared_is_shown() {
    let (payload, manifest) = minimised(REFERRAL, request());
    for part in [Part::IdnRest, Part::OffSign, Part::RskRest] {
        let mut less = manifest.clone();
        less.parts.remove(&part);
        let violation = check(Kind::ReferralNrm, &payload, &less).unwrap_err();
        assert_eq!(
            *violation.fault(),
            Fault::Understated {
                parts: BTreeSet::from([part])
            }
        );
        assert_eq!(violation.fault().report(), Kind::ReportUnderstated);
        let shown = violation.declared_only(&less).unwrap();
        assert_eq!(
            shown.text("idn.given_name").is_some(),
            part != Part::IdnRest
        );
        assert_eq!(
            shown.texts("ind.codes").contains(&"IND-PHY-06"),
            part != Part::OffSign
        );
        assert!(shown.texts("ind.codes").contains(&"IND-PSY-02"));
        assert_eq!(shown.flag("rsk.immediate_danger"), Some(true));
    }
}

// TRU-04
#[test]
fn a_part_beyond_the_ceiling_is_a_violation_even_if_declared_and_is_not_shown() {
    let (_, mut manifest) = minimised(REFERRAL, request());
    let json = r#"{"nar":{"account_text":"x"},"idn":{"given_name":"a"}}"#;
    let payload = Form::from_json(Kind::ReferralNrm, json).unwrap().to_bytes();
    manifest.parts = BTreeSet::from([Part::NarText, Part::IdnRest]);
    let violation = check(Kind::ReferralNrm, &payload, &manifest).unwrap_err();
    let parts = BTreeSet::from([Part::NarText]);
    assert_eq!(
        *violation.fault(),
        Fault::Ceiling {
            kind: Kind::ReferralNrm,
            parts
        }
    );
    let shown = violation.declared_only(&manifest).unwrap();
    assert_eq!(shown.text("nar.account_text"), None);
    assert_eq!(shown.text("idn.given_name"), Some("a"));
}

// TRU-05
#[test]
fn a_fact_that_differs_from_its_field_is_a_violation() {
    let (payload, manifest) = minimised(REFERRAL, request());
    let changed = |change: fn(&mut Facts)| {
        let mut other = manifest.clone();
        change(&mut other.facts);
        fault(&payload, &other)
    };
    assert_eq!(
        changed(|f| f.minor_status = MinorStatus::Child),
        Fault::Fact {
            fact: "minor_status"
        }
    );
    assert_eq!(
        changed(|f| f.danger = false),
        Fault::Fact { fact: "danger" }
    );
    assert_eq!(
        changed(|f| f.consent = ConsentState::NotRequired),
        Fault::Fact { fact: "consent" }
    );
    assert_eq!(
        changed(|f| f.consent = ConsentState::Overridden),
        Fault::Fact { fact: "consent" }
    );
    assert_eq!(
        changed(|f| f.consented_parts.clear()),
        Fault::Fact {
            fact: "consented_parts"
        }
    );
}

// TRU-05
#[test]
fn a_fact_whose_source_stayed_behind_is_not_compared() {
    let (_, mut manifest) = minimised(REFERRAL, request());
    let payload = Form::from_json(Kind::ReferralNrm, r#"{"idn":{"given_name":"a"}}"#)
        .unwrap()
        .to_bytes();
    manifest.parts = BTreeSet::from([Part::IdnRest]);
    assert!(check(Kind::ReferralNrm, &payload, &manifest).is_ok());
}

// TRU-05
#[test]
fn a_request_to_another_state_under_another_purpose_than_its_type_has_is_a_violation() {
    let asked = Request {
        purpose: Purpose::Trace,
        ..request()
    };
    let json = r#"{"request":{"type":"LOCATE_CHILD"},"idn":{"given_name":"a"}}"#;
    let form = Form::from_json(Kind::LiaisonRequest, json).unwrap();
    let draft = Draft::new(form, asked).unwrap();
    let minimised = draft.minimise(&AllowAll, versions()).unwrap().minimised;
    let mut manifest = minimised.manifest().clone();
    assert!(check(Kind::LiaisonRequest, minimised.payload(), &manifest).is_ok());
    manifest.facts.purpose = Purpose::Protect;
    let violation = check(Kind::LiaisonRequest, minimised.payload(), &manifest).unwrap_err();
    assert_eq!(*violation.fault(), Fault::Fact { fact: "purpose" });
}

// TRU-06
#[test]
fn a_declared_part_that_is_not_there_is_overstated() {
    let (payload, mut manifest) = minimised(REFERRAL, request());
    manifest.parts.insert(Part::Doc);
    let parts = BTreeSet::from([Part::Doc]);
    assert_eq!(fault(&payload, &manifest), Fault::Overstated { parts });
}

#[test]
fn a_violation_prints_no_value() {
    let (payload, mut manifest) = minimised(&REFERRAL.replace("\"a\"", "\"Annabelle\""), request());
    manifest.parts.clear();
    let violation = check(Kind::ReferralNrm, &payload, &manifest).unwrap_err();
    let text = format!("{violation} {violation:?}");
    assert!(!text.contains("Annabelle") && !text.contains("IND-PHY"));
}
