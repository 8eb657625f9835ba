use proptest::prelude::*;

use super::*;

fn nrm(json: &str) -> Result<Form, FormError> {
    Form::from_json(Kind::ReferralNrm, json)
}

fn refusal(json: &str) -> FormError {
    nrm(json).unwrap_err()
}

const RICH: &str = r#"{
  "env": {"reason_class": "identification"},
  "idn": {"given_name": "Zoë", "alias": "", "birthdate": "1999-02", "gender": "female"},
  "age": {"minor_status": "adult", "age_disputed": false, "age_at_exploitation": 0},
  "fam": {"number_of_children": 2, "dependants": ["one", "one"]},
  "cns": {"participation_consent": "given", "sharing_consent": {"parts": ["AGE", "IDN.rest"]}},
  "ind": {"codes": ["IND-PHY-06", "IND-PSY-02"], "vulnerability_codes": ["VUL-PER-04"]},
  "rsk": {"risk_codes": ["RISK-11"], "safety_plan": "line one\nline two"},
  "hlt": {}
}"#;

#[test]
fn a_form_survives_bytes_and_json() {
    let form = nrm(RICH).unwrap();
    let bytes = form.to_bytes();
    let again = Form::from_bytes(Kind::ReferralNrm, &bytes).unwrap();
    assert_eq!(again.to_bytes(), bytes);
    assert_eq!(nrm(&form.to_json()).unwrap().to_bytes(), bytes);
    assert_eq!(form.text("idn.given_name"), Some("Zoë"));
    assert_eq!(form.text("idn.alias"), None);
    assert_eq!(form.flag("age.age_disputed"), Some(false));
    assert_eq!(form.number("age.age_at_exploitation"), Some(0));
    assert_eq!(form.texts("fam.dependants"), ["one", "one"]);
}

#[test]
fn the_parts_of_a_form_are_those_of_its_fields_and_of_what_its_codes_leak() {
    let parts = nrm(RICH).unwrap().parts().unwrap();
    let expected = [
        Part::Env,
        Part::IdnGender,
        Part::IdnRest,
        Part::Age,
        Part::FamCount,
        Part::FamRest,
        Part::HltRest,
        Part::CnsRest,
        Part::Ind,
        Part::RskPlan,
        Part::RskRest,
        Part::OffSign,
        Part::OffRest,
    ];
    assert_eq!(parts, BTreeSet::from(expected));
}

// FORM-12
#[test]
fn a_text_may_name_its_kind_and_is_refused_where_another_is_read() {
    let named = |kind: &str| format!(r#"{{"age":{{"minor_status":"child"}},"kind":{kind}}}"#);
    let child = Form::from_named_json(&named(r#""M01/CHILD""#), Kind::ReferralNrm).unwrap();
    assert_eq!(child.kind(), Kind::ReferralChild);
    assert_eq!(child.text("age.minor_status"), Some("child"));
    let unnamed = Form::from_named_json("{}", Kind::LiaisonRequest).unwrap();
    assert_eq!(unnamed.kind(), Kind::LiaisonRequest);
    for wrong in [r#""M01/OTHER""#, "7", "null", r#"["M01/NRM"]"#] {
        let refused = Form::from_named_json(&named(wrong), Kind::ReferralNrm);
        assert_eq!(refused.unwrap_err(), FormError::Kind, "{wrong}");
    }
    assert!(nrm(&named(r#""M01/NRM""#)).is_ok());
    assert_eq!(nrm(&named(r#""M01/CHILD""#)).unwrap_err(), FormError::Kind);
    let twice = r#"{"kind":"M01/NRM","kind":"M01/NRM"}"#;
    assert!(matches!(nrm(twice), Err(FormError::UnknownField { .. })));
}

#[test]
fn what_is_shown_as_json_is_read_again_as_the_same_kind() {
    for (kind, json) in [
        (Kind::ReferralNrm, RICH),
        (
            Kind::LiaisonRequest,
            r#"{"request":{"type":"DANGER_ALERT"}}"#,
        ),
        (Kind::ReferralChild, "{}"),
    ] {
        let form = Form::from_json(kind, json).unwrap();
        let again = Form::from_named_json(&form.to_json(), Kind::Reply).unwrap();
        assert_eq!((again.kind(), again.to_bytes()), (kind, form.to_bytes()));
    }
}

#[test]
fn each_code_is_a_leaf_of_its_own() {
    let form = nrm(RICH).unwrap();
    let codes: Vec<_> = form
        .leaves()
        .iter()
        .filter_map(Leaf::code)
        .map(str::to_owned)
        .collect();
    assert_eq!(codes, ["IND-PHY-06", "IND-PSY-02", "VUL-PER-04", "RISK-11"]);
}

#[test]
fn retaining_takes_out_single_codes_and_leaves_no_empty_message() {
    let mut form = nrm(RICH).unwrap();
    form.retain(|leaf| leaf.code() == Some("IND-PSY-02") || leaf.path() == "idn.gender");
    let same = nrm(r#"{"idn":{"gender":"female"},"ind":{"codes":["IND-PSY-02"]}}"#).unwrap();
    assert_eq!(form.to_bytes(), same.to_bytes());
    assert!(Form::from_bytes(Kind::ReferralNrm, &form.to_bytes()).is_ok());
    form.retain(|_| false);
    assert!(form.to_bytes().is_empty());
}

// FORM-01
#[test]
fn a_form_over_its_limit_is_refused_before_it_is_parsed() {
    let json = "x".repeat(limit::FORM_JSON_BYTES + 1);
    assert!(matches!(refusal(&json), FormError::TooLarge { .. }));
    let bytes = vec![0; limit::PAYLOAD_BYTES + 1];
    let refused = Form::from_bytes(Kind::ReferralNrm, &bytes).unwrap_err();
    assert!(matches!(refused, FormError::TooLarge { .. }));
}

// FORM-02
#[test]
fn what_is_not_an_object_of_json_is_refused_at_its_place() {
    assert_eq!(
        refusal("{\n \"idn\": }"),
        FormError::Json { line: 2, column: 9 }
    );
    assert!(matches!(refusal("[]"), FormError::Json { .. }));
    assert!(matches!(refusal("{} {}"), FormError::Json { .. }));
    let deep = format!("{}1{}", "{\"a\":".repeat(500), "}".repeat(500));
    assert!(matches!(refusal(&deep), FormError::Json { .. }));
}

// FORM-03
#[test]
fn an_unknown_or_repeated_field_is_refused_by_its_path() {
    let path = |p: &str| FormError::UnknownField { path: p.to_owned() };
    assert_eq!(
        refusal(r#"{"idn":{"first_name":"a"}}"#),
        path("idn.first_name")
    );
    assert_eq!(refusal(r#"{"xyz":{}}"#), path("xyz"));
    assert_eq!(
        refusal(r#"{"idn":{"Anna Secret":"a"}}"#),
        path("(a key that is not a field name)")
    );
    let twice = refusal(r#"{"idn":{"alias":"a","alias":"b"}}"#);
    assert_eq!(
        twice,
        FormError::Twice {
            path: "idn.alias".to_owned()
        }
    );
    assert!(matches!(
        refusal(r#"{"idn":{},"idn":{}}"#),
        FormError::Twice { .. }
    ));
    assert!(matches!(
        Form::from_json(Kind::Reply, r#"{"idn":{}}"#),
        Err(FormError::UnknownField { .. })
    ));
}

// FORM-04
#[test]
fn a_value_of_the_wrong_type_is_refused() {
    for json in [
        r#"{"idn":"a"}"#,
        r#"{"idn":{"alias":{"x":1}}}"#,
        r#"{"idn":{"alias":["a"]}}"#,
        r#"{"idn":{"alias":null}}"#,
        r#"{"idn":{"alias":1}}"#,
        r#"{"age":{"age_disputed":"yes"}}"#,
        r#"{"age":{"age_at_exploitation":-1}}"#,
        r#"{"age":{"age_at_exploitation":1.5}}"#,
        r#"{"age":{"age_at_exploitation":4294967296}}"#,
        r#"{"ind":{"codes":"IND-PHY-06"}}"#,
        r#"{"ind":{"codes":[["IND-PHY-06"]]}}"#,
        r#"{"idn":null}"#,
    ] {
        assert!(matches!(refusal(json), FormError::Type { .. }), "{json}");
    }
}

// FORM-05
#[test]
fn a_text_over_its_limit_is_refused_by_characters_not_bytes() {
    let text = |n: usize| format!(r#"{{"idn":{{"alias":"{}"}}}}"#, "é".repeat(n));
    assert!(nrm(&text(limit::TEXT_CHARS)).is_ok());
    let path = "idn.alias".to_owned();
    assert_eq!(
        refusal(&text(limit::TEXT_CHARS + 1)),
        FormError::TooLong {
            path,
            limit: limit::TEXT_CHARS
        }
    );
    let note = format!(r#"{{"note":"{}"}}"#, "x".repeat(1001));
    let path = "note".to_owned();
    assert_eq!(
        Form::from_json(Kind::Reply, &note).unwrap_err(),
        FormError::TooLong { path, limit: 1000 }
    );
}

// FORM-06
#[test]
fn a_list_that_is_too_long_or_has_an_empty_or_repeated_value_is_refused() {
    let list = |n: usize| format!(r#"{{"ned":{{"needs":[{}]}}}}"#, vec!["\"a\""; n].join(","));
    assert!(nrm(&list(limit::REPEATED_VALUES)).is_ok());
    assert!(matches!(
        refusal(&list(limit::REPEATED_VALUES + 1)),
        FormError::List { .. }
    ));
    assert!(matches!(
        refusal(r#"{"ned":{"needs":[""]}}"#),
        FormError::List { .. }
    ));
    assert!(matches!(
        refusal(r#"{"ind":{"codes":["IND-PHY-06","IND-PHY-06"]}}"#),
        FormError::List { .. }
    ));
}

// FORM-07
#[test]
fn control_characters_and_reordered_text_are_refused() {
    for escape in [
        "\\u0000",
        "\\u001b[2J",
        "\\r",
        "\\u0085",
        "\\u202e",
        "\\u2066",
        "\\ufeff",
    ] {
        let json = format!(r#"{{"idn":{{"alias":"a{escape}b"}}}}"#);
        assert_eq!(
            refusal(&json),
            FormError::Control {
                path: "idn.alias".to_owned()
            },
            "{escape}"
        );
    }
}

// FORM-08, FORM-09, FORM-10
#[test]
fn a_bad_date_choice_or_code_is_refused_with_what_to_do_and_without_the_value() {
    for (json, check) in [
        (r#"{"idn":{"birthdate":"31/03/1980"}}"#, "FORM-08"),
        (r#"{"idn":{"gender":"Secret"}}"#, "FORM-09"),
        (r#"{"ind":{"codes":["Secret"]}}"#, "FORM-10"),
        (r#"{"ind":{"codes":["RISK-11"]}}"#, "FORM-10"),
        (r#"{"rsk":{"risk_codes":["IND-PHY-06"]}}"#, "FORM-10"),
        (
            r#"{"cns":{"sharing_consent":{"parts":["Secret"]}}}"#,
            "FORM-10",
        ),
    ] {
        let refused = refusal(json);
        let text = format!("{refused} {refused:?}");
        assert!(text.starts_with(check), "{text}");
        assert!(!text.contains("Secret") && !text.contains("1980"), "{text}");
    }
    let upper = format!(r#"{{"message_id":"{}"}}"#, "AB".repeat(16));
    assert!(matches!(
        Form::from_json(Kind::ReportUnreadable, &upper),
        Err(FormError::Code { .. })
    ));
}

// FORM-11
#[test]
fn only_the_canonical_encoding_without_unknown_fields_is_a_payload() {
    let refused = |bytes: &[u8]| {
        let error = Form::from_bytes(Kind::ReferralNrm, bytes).unwrap_err();
        assert!(
            matches!(error, FormError::Encoding { .. }),
            "{bytes:?}: {error}"
        );
    };
    // idn { given_name: "a" } is 1a 03 0a 01 61.
    assert!(Form::from_bytes(Kind::ReferralNrm, &[0x1a, 3, 0x0a, 1, b'a']).is_ok());
    refused(&[0x1a, 5, 0x0a, 1, b'a', 0x78, 1]); // an unknown field inside
    refused(&[0x1a, 3, 0x0a, 1, b'a', 0xf8, 7, 1]); // an unknown field outside
    refused(&[0x1a, 0]); // an empty message
    refused(&[0x1a, 2, 0x0a, 0]); // an empty text
    refused(&[0x1a, 6, 0x0a, 1, b'b', 0x0a, 1, b'a']); // a field twice
    refused(&[0x1a, 0x83, 0, 0x0a, 1, b'a']); // a length in two bytes
    refused(&[0x22, 2, 0x18, 2]); // a flag that is neither 0 nor 1
    refused(&[0x1a, 3, 0x0a, 1, 0xff]); // not UTF-8
    refused(&[0x22, 2, 0x18, 1, 0x1a, 3, 0x0a, 1, b'a']); // out of order
}

// FORM-08 to FORM-10, on the way in from the wire.
#[test]
fn a_payload_passes_the_same_checks_as_an_officers_text() {
    // idn { gender: "x" }
    let refused = Form::from_bytes(Kind::ReferralNrm, &[0x1a, 3, 0x2a, 1, b'x']).unwrap_err();
    assert!(matches!(refused, FormError::OneOf { .. }));
}

#[test]
fn a_builder_refuses_what_a_text_would() {
    let mut builder = FormBuilder::new(Kind::ReferralNrm).unwrap();
    builder.text("idn.given_name", "a").unwrap();
    assert!(matches!(
        builder.text("idn.given_name", "b"),
        Err(FormError::Twice { .. })
    ));
    assert!(matches!(
        builder.text("idn", "b"),
        Err(FormError::UnknownField { .. })
    ));
    assert!(matches!(
        builder.flag("idn.alias", true),
        Err(FormError::Type { .. })
    ));
    assert!(matches!(
        builder.number("rsk.immediate_danger", 1),
        Err(FormError::Type { .. })
    ));
    builder.text("ned.needs", "one").unwrap();
    builder.text("ned.needs", "two").unwrap();
    assert_eq!(builder.build().texts("ned.needs"), ["one", "two"]);
}

proptest! {
    #[test]
    fn bytes_never_panic_and_what_is_accepted_is_canonical(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        for kind in Kind::ALL {
            if let Ok(form) = Form::from_bytes(*kind, &bytes) {
                let again = form.to_bytes();
                prop_assert_eq!(again.as_slice(), bytes.as_slice());
            }
        }
    }

    #[test]
    fn any_accepted_text_survives_both_encodings(text in "\\PC{0,40}", needs in proptest::collection::vec("\\PC{1,20}", 0..5)) {
        let mut builder = FormBuilder::new(Kind::ReferralNrm).unwrap();
        let accepted = builder.text("idn.alias", &text).is_ok()
            && needs.iter().all(|n| builder.text("ned.needs", n).is_ok());
        prop_assume!(accepted);
        let form = builder.build();
        let bytes = form.to_bytes();
        prop_assert_eq!(&Form::from_bytes(Kind::ReferralNrm, &bytes).unwrap().to_bytes(), &bytes);
        prop_assert_eq!(&nrm(&form.to_json()).unwrap().to_bytes(), &bytes);
    }
}
