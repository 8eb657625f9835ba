use std::collections::BTreeSet;

use super::*;
use crate::catalogue::Catalogue;
use crate::vocabulary::{ConsentState, LegalBasis};

fn request(purpose: Purpose) -> Request {
    Request {
        purpose,
        legal_bases: BTreeSet::from([LegalBasis::Lb6e]),
        handling: Handling::H1,
        retention_days: 365,
        transfer_basis: None,
        override_ground: None,
        represented: false,
        no_origin_conflict: true,
        no_implicated_party: true,
        profile: "GB-EAW-CHILD".to_owned(),
    }
}

fn draft(kind: Kind, purpose: Purpose, json: &str) -> Result<Draft, DraftError> {
    Draft::new(Form::from_json(kind, json).unwrap(), request(purpose))
}

// MIN-08
#[test]
fn child_protection_is_told_whether_the_carers_know_or_why_not_unless_a_person_is_in_danger() {
    let referral = |json| draft(Kind::ReferralChild, Purpose::Child, json);
    for silent in [
        "{}",
        r#"{"fam":{"carer_informed":false}}"#,
        r#"{"rsk":{"immediate_danger":false}}"#,
    ] {
        assert_eq!(referral(silent).unwrap_err(), DraftError::Carers);
    }
    for accounted in [
        r#"{"fam":{"carer_informed":true}}"#,
        r#"{"fam":{"carer_informed":false,"carer_not_informed_reason":"risk-to-child"}}"#,
        r#"{"rsk":{"immediate_danger":true}}"#,
    ] {
        assert!(referral(accounted).is_ok(), "{accounted}");
    }
}

#[test]
fn no_answer_about_consent_keeps_a_child_from_child_protection() {
    for consent in ["given", "refused"] {
        let json = format!(
            r#"{{"age":{{"minor_status":"child"}},"fam":{{"carer_informed":true}},
                "cns":{{"participation_consent":"{consent}","withdrawn_at":"2026-05-04"}}}}"#
        );
        let draft = draft(Kind::ReferralChild, Purpose::Child, &json).unwrap();
        assert_eq!(draft.facts().consent, ConsentState::NotRequired);
    }
}

// MIN-09
#[test]
fn a_request_to_another_state_has_a_type_and_the_purpose_that_fits_it() {
    let of = |kind: &str| format!(r#"{{"request":{{"type":"{kind}"}}}}"#);
    let ask = |kind: &str, purpose| draft(Kind::LiaisonRequest, purpose, &of(kind));
    assert!(ask("LOCATE_CHILD", Purpose::Trace).is_ok());
    assert!(ask("STATUS_QUERY", Purpose::Return).is_ok());
    assert_eq!(
        ask("LOCATE_CHILD", Purpose::Invest).unwrap_err(),
        DraftError::RequestType
    );
    assert_eq!(
        ask("DANGER_ALERT", Purpose::Child).unwrap_err(),
        DraftError::RequestType
    );
    let none = draft(Kind::LiaisonRequest, Purpose::Trace, "{}");
    assert_eq!(none.unwrap_err(), DraftError::RequestType);
}

// MIN-09
#[test]
fn every_type_of_request_has_a_purpose() {
    let form = Catalogue::current().unwrap().form(Kind::LiaisonRequest);
    let field = form.unwrap().field("request.type").unwrap();
    let crate::catalogue::Shape::OneOf(types) = field.shape() else {
        panic!("not a closed list")
    };
    assert_eq!(types.len(), 8);
    for code in types {
        let fits = Purpose::ALL.iter().filter(|purpose| {
            let json = format!(r#"{{"request":{{"type":"{code}"}}}}"#);
            draft(Kind::LiaisonRequest, **purpose, &json).is_ok()
        });
        assert!(fits.count() > 0, "{code}");
    }
}

// MIN-10
#[test]
fn a_reply_to_another_state_says_how_far_it_is_and_a_final_one_its_result() {
    let reply = |json| draft(Kind::LiaisonReply, Purpose::Trace, json);
    for short in [
        "{}",
        r#"{"result":{"result":"done"}}"#,
        r#"{"result":{"stage":"final"}}"#,
    ] {
        assert_eq!(reply(short).unwrap_err(), DraftError::Result);
    }
    assert!(reply(r#"{"result":{"stage":"interim"}}"#).is_ok());
    let refused = r#"{"result":{"stage":"final","result":"not-done","reason":"DANGER"}}"#;
    assert!(reply(refused).is_ok());
}

// MIN-02
#[test]
fn whoever_needs_protection_is_not_told_of_to_a_state_that_may_be_theirs() {
    let free = |imm: &str, flag: bool| {
        let json = format!(
            r#"{{"request":{{"type":"SAFE_RETURN"}},"imm":{{{imm}}},"rsk":{{"non_refoulement_flag":{flag}}}}}"#
        );
        let form = Form::from_json(Kind::LiaisonRequest, &json).unwrap();
        assert!(no_origin_conflict(&form, "xx", "xx"), "within a State");
        no_origin_conflict(&form, "gb", "xx")
    };
    assert!(free(
        r#""citizenship":"XX","protection_claim":"none""#,
        false
    ));
    assert!(free(r#""citizenship":"XX""#, false));
    assert!(free(r#""citizenship":"QQ""#, true));
    for claim in ["possible", "claimed", "granted"] {
        let of = |state: &str| format!(r#""citizenship":"{state}","protection_claim":"{claim}""#);
        assert!(!free(&of("XX"), false));
        assert!(!free(&of("xx"), false));
        assert!(!free(&of("Ruritania"), false), "a name may be any State");
        assert!(free(&of("QQ"), false));
    }
    assert!(!free("", true), "an unknown citizenship may be any");
    let two = r#""citizenship":"QQ","second_citizenship":"XX""#;
    assert!(!free(two, true));
}

#[test]
fn nothing_asked_of_a_child_or_across_a_border_is_about_co_operation() {
    // PROP-06. What is not asked cannot be held against anybody.
    for kind in [
        Kind::ReferralChild,
        Kind::LiaisonRequest,
        Kind::LiaisonReply,
    ] {
        let form = Catalogue::current().unwrap().form(kind).unwrap();
        for field in form.fields() {
            assert!(!field.part().code().starts_with("COP"), "{}", field.path());
            let text = format!("{} {:?}", field.path(), field.shape()).to_lowercase();
            for word in ["cooperat", "co-operat", "credib", "willing"] {
                assert!(!text.contains(word), "{}", field.path());
            }
        }
    }
}
