use std::cell::RefCell;

use super::*;
use crate::id::Digest;
use crate::vocabulary::{ConsentState, MinorStatus};

/// Allows some parts, and remembers what it was asked.
struct Allowing {
    parts: BTreeSet<Part>,
    asked: RefCell<Vec<Part>>,
}

impl Allowing {
    fn all() -> Self {
        Self::all_but(&[])
    }

    fn all_but(parts: &[Part]) -> Self {
        let parts = Part::ALL
            .iter()
            .copied()
            .filter(|p| !parts.contains(p))
            .collect();
        Self {
            parts,
            asked: RefCell::default(),
        }
    }
}

impl Decider for Allowing {
    fn decide(&self, _: &Facts, part: Part) -> Verdict {
        self.asked.borrow_mut().push(part);
        if self.parts.contains(&part) {
            Verdict::Allow {
                rules: vec![format!("allow-{part}")],
            }
        } else {
            Verdict::Withhold(Reason::NotPermitted { by: Side::Both })
        }
    }
}

fn versions() -> Versions {
    let digest = Digest::of(b"");
    Versions {
        sender_bundle: digest,
        recipient_bundle: digest,
        catalogue: digest,
        taxonomy: digest,
    }
}

fn request() -> Request {
    Request {
        purpose: Purpose::Ident,
        legal_bases: BTreeSet::from([LegalBasis::Lb6e]),
        handling: Handling::H1,
        retention_days: 365,
        transfer_basis: None,
        override_ground: None,
        represented: false,
        no_origin_conflict: true,
        no_implicated_party: true,
        profile: "GB-EAW-NRM".to_owned(),
    }
}

fn form(json: &str) -> Form {
    Form::from_json(Kind::ReferralNrm, json).unwrap()
}

fn facts_of(json: &str) -> Facts {
    Draft::new(form(json), request()).unwrap().facts().clone()
}

fn minimise(json: &str, decider: &Allowing) -> Minimisation {
    Draft::new(form(json), request())
        .unwrap()
        .minimise(decider, versions())
        .unwrap()
}

fn remaining(minimisation: &Minimisation) -> Form {
    Form::from_bytes(Kind::ReferralNrm, minimisation.minimised.payload()).unwrap()
}

// MIN-01
#[test]
fn a_draft_needs_a_legal_basis_and_a_transfer_basis_that_is_one() {
    let none = Request {
        legal_bases: BTreeSet::new(),
        ..request()
    };
    assert!(matches!(
        Draft::new(form("{}"), none),
        Err(DraftError::Bases { .. })
    ));
    let wrong = Request {
        transfer_basis: Some(LegalBasis::Lb6e),
        ..request()
    };
    assert!(matches!(
        Draft::new(form("{}"), wrong),
        Err(DraftError::Transfer { code: "LB-6E" })
    ));
}

// MIN-02
#[test]
fn a_draft_to_a_state_of_origin_or_an_implicated_party_is_refused() {
    let origin = Request {
        no_origin_conflict: false,
        ..request()
    };
    assert_eq!(
        Draft::new(form("{}"), origin).unwrap_err(),
        DraftError::OriginConflict
    );
    let implicated = Request {
        no_implicated_party: false,
        ..request()
    };
    assert_eq!(
        Draft::new(form("{}"), implicated).unwrap_err(),
        DraftError::ImplicatedParty
    );
}

// MIN-03
#[test]
fn a_minor_status_that_is_not_recorded_is_unknown_and_needs_no_consent() {
    for json in [
        "{}",
        r#"{"age":{"minor_status":"unknown"}}"#,
        r#"{"age":{"minor_status":"child"}}"#,
    ] {
        let facts = facts_of(json);
        assert!(facts.minor_status.is_childish());
        assert_eq!(facts.consent, ConsentState::NotRequired);
    }
    assert_eq!(facts_of("{}").minor_status, MinorStatus::Unknown);
}

// MIN-03
#[test]
fn an_adult_has_refused_unless_consent_is_recorded_and_not_withdrawn() {
    let adult = |cns: &str| {
        facts_of(&format!(
            r#"{{"age":{{"minor_status":"adult"}},"cns":{{{cns}}}}}"#
        ))
    };
    assert_eq!(adult("").consent, ConsentState::Refused);
    assert_eq!(
        adult(r#""participation_consent":"refused""#).consent,
        ConsentState::Refused
    );
    assert_eq!(
        adult(r#""participation_consent":"given""#).consent,
        ConsentState::Given
    );
    let withdrawn = adult(
        r#""participation_consent":"given","withdrawn_at":"2026-01-31","sharing_consent":{"whole_referral":true}"#,
    );
    assert_eq!(withdrawn.consent, ConsentState::Withdrawn);
    assert!(withdrawn.consented_parts.is_empty());
}

// MIN-03
#[test]
fn consent_to_the_whole_referral_covers_what_its_kind_carries_and_no_more() {
    let given = |sharing: &str| {
        facts_of(&format!(
            r#"{{"cns":{{"participation_consent":"given","sharing_consent":{{{sharing}}}}}}}"#
        ))
        .consented_parts
    };
    assert_eq!(
        given(r#""whole_referral":true"#),
        Kind::ReferralNrm.ceiling().iter().copied().collect()
    );
    assert_eq!(
        given(r#""parts":["AGE","IDN.rest"]"#),
        BTreeSet::from([Part::Age, Part::IdnRest])
    );
    assert!(given("").is_empty());
}

// MIN-03
#[test]
fn an_override_stands_only_against_a_refusal_and_agrees_with_the_form() {
    let ground = Some(OverrideGround::ImmediateDanger);
    let overriding = || Request {
        override_ground: ground,
        ..request()
    };
    let refused = form(r#"{"age":{"minor_status":"adult"}}"#);
    let draft = Draft::new(refused, overriding()).unwrap();
    assert_eq!(draft.facts().consent, ConsentState::Overridden);
    assert_eq!(draft.facts().override_ground, ground);
    let child = form(r#"{"age":{"minor_status":"child"}}"#);
    assert_eq!(
        Draft::new(child, overriding()).unwrap_err(),
        DraftError::OverrideUnneeded
    );
    let other =
        form(r#"{"age":{"minor_status":"adult"},"cns":{"override_ground":"EXPLOITATION"}}"#);
    assert_eq!(
        Draft::new(other, overriding()).unwrap_err(),
        DraftError::OverrideDiffers
    );
}

// MIN-03
#[test]
fn danger_is_what_the_form_says() {
    assert!(facts_of(r#"{"rsk":{"immediate_danger":true}}"#).danger);
    assert!(!facts_of(r#"{"rsk":{"immediate_danger":false}}"#).danger);
    assert!(!facts_of("{}").danger);
}

// MIN-04
#[test]
fn the_decider_is_asked_once_a_part_and_never_beyond_the_ceiling_of_the_kind() {
    let decider = Allowing::all();
    let json = r#"{"idn":{"given_name":"a","family_name":"b","gender":"male"},
        "ind":{"codes":["IND-PHY-06","IND-PHY-05","IND-PSY-02"]},
        "cop":{"willing_to_cooperate":false},"nar":{"account_text":"x"}}"#;
    let minimisation = minimise(json, &decider);
    let asked = decider.asked.into_inner();
    assert_eq!(
        asked,
        [
            Part::IdnGender,
            Part::IdnRest,
            Part::Ind,
            Part::NarText,
            Part::OffSign,
            Part::CopRest
        ]
    );
    let by_ceiling: Vec<_> = minimisation
        .withheld
        .iter()
        .map(|w| (w.path, w.part, w.reason.clone()))
        .collect();
    assert_eq!(
        by_ceiling,
        [
            ("nar.account_text", Part::NarText, Reason::KindCeiling),
            (
                "cop.willing_to_cooperate",
                Part::CopRest,
                Reason::KindCeiling
            ),
        ]
    );
}

// MIN-04
#[test]
fn what_a_part_withholds_is_taken_out_and_the_manifest_names_only_what_remains() {
    let json = r#"{"idn":{"given_name":"Anna","gender":"female"},"doc":{"national_id":"4711"},"age":{"minor_status":"child"}}"#;
    let minimisation = minimise(json, &Allowing::all_but(&[Part::Doc, Part::IdnRest]));
    let form = remaining(&minimisation);
    assert_eq!(form.text("idn.given_name"), None);
    assert_eq!(form.text("doc.national_id"), None);
    assert_eq!(form.text("idn.gender"), Some("female"));
    assert_eq!(
        minimisation.minimised.manifest().parts,
        BTreeSet::from([Part::IdnGender, Part::Age])
    );
    let bytes = minimisation.minimised.payload();
    assert!(!bytes.windows(4).any(|w| w == b"Anna" || w == b"4711"));
    let shared: Vec<_> = minimisation
        .shared
        .iter()
        .map(|s| (s.path, s.rules.clone()))
        .collect();
    assert_eq!(
        shared,
        [
            ("idn.gender", vec!["allow-IDN.gender".to_owned()]),
            ("age.minor_status", vec!["allow-AGE".to_owned()]),
        ]
    );
}

// MIN-05
#[test]
fn a_code_is_taken_out_if_any_part_that_it_leaks_is_withheld() {
    let json = r#"{"ind":{"codes":["IND-PHY-03","IND-PHY-06","IND-PSY-02","IND-PSY-08"],"vulnerability_codes":["VUL-SIT-01"]},
        "rsk":{"risk_codes":["RISK-03","RISK-06"]}}"#;
    let minimisation = minimise(json, &Allowing::all_but(&[Part::HltRest]));
    let form = remaining(&minimisation);
    assert_eq!(
        form.texts("ind.codes"),
        ["IND-PHY-06", "IND-PSY-02", "IND-PSY-08"]
    );
    assert_eq!(form.texts("rsk.risk_codes"), ["RISK-06"]);
    assert!(form.texts("ind.vulnerability_codes").is_empty());
    assert_eq!(
        minimisation.minimised.manifest().parts,
        BTreeSet::from([Part::Ind, Part::OffSign, Part::PsySelfHarm, Part::RskRest])
    );
    let codes: Vec<_> = minimisation
        .withheld
        .iter()
        .map(|w| (w.code.as_deref().unwrap(), w.part))
        .collect();
    assert_eq!(
        codes,
        [
            ("IND-PHY-03", Part::HltRest),
            ("VUL-SIT-01", Part::OffRest),
            ("RISK-03", Part::HltRest)
        ]
    );
}

// MIN-06
#[test]
fn an_address_leaves_only_with_the_flag_that_it_is_safe() {
    let json = r#"{"saf":{"phone":"1","safe_to_phone":false,"email":"a@b","safe_to_email":true,"postal_street":"s",
        "alternative_contact_name":"n","alternative_contact_permission":true,"safe_times":"mornings"}}"#;
    let form = remaining(&minimise(json, &Allowing::all()));
    assert_eq!(form.text("saf.phone"), None);
    assert_eq!(form.flag("saf.safe_to_phone"), Some(false));
    assert_eq!(form.text("saf.email"), Some("a@b"));
    assert_eq!(form.text("saf.postal_street"), None);
    assert_eq!(form.text("saf.alternative_contact_name"), Some("n"));
    assert_eq!(form.text("saf.safe_times"), Some("mornings"));
}

// MIN-07
#[test]
fn the_account_never_leaves_even_if_a_policy_allows_everything() {
    let json = r#"{"nar":{"account_ref":"ref-1","account_text":"text","journey":"text"}}"#;
    let minimisation = minimise(json, &Allowing::all());
    let form = remaining(&minimisation);
    assert_eq!(form.text("nar.account_ref"), Some("ref-1"));
    assert_eq!(form.parts().unwrap(), BTreeSet::from([Part::NarRef]));
}

// FORM-01
#[test]
fn what_remains_must_fit_a_payload() {
    let mut builder = crate::form::FormBuilder::new(Kind::ReferralNrm).unwrap();
    for _ in 0..20 {
        builder
            .text("ned.needs", &"x".repeat(limit::TEXT_CHARS))
            .unwrap();
    }
    let draft = Draft::new(builder.build(), request()).unwrap();
    let refused = draft.minimise(&Allowing::all(), versions());
    assert!(matches!(
        refused,
        Err(DraftError::Form(FormError::TooLarge { .. }))
    ));
}

#[test]
fn debug_output_of_every_stage_holds_no_value() {
    let json = r#"{"idn":{"given_name":"Anna"},"ind":{"codes":["IND-PHY-06"],"observed_by":"Berta"},"edu":{"school":"Cedric"}}"#;
    let draft = Draft::new(form(json), request()).unwrap();
    let before = format!("{draft:?} {:?}", draft.form().leaves());
    let after = format!(
        "{:?}",
        draft.minimise(&Allowing::all(), versions()).unwrap()
    );
    for value in ["Anna", "Berta", "Cedric", "IND-PHY"] {
        assert!(!before.contains(value) && !after.contains(value));
    }
}
