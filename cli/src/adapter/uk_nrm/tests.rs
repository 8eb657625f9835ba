use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};
use waypost_proto::catalogue::Catalogue;
use waypost_proto::draft::{Decider, Draft, Reason, Request, Verdict};
use waypost_proto::id::Digest;
use waypost_proto::manifest::{Facts, Versions};
use waypost_proto::vocabulary::{Handling, LegalBasis, Part, Purpose};

use super::*;

fn fixtures() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/uk-nrm");
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    files.retain(|f| f.extension().is_some_and(|e| e == "json"));
    files.sort();
    files
}

fn fixture(name: &str) -> String {
    let path = fixtures()
        .into_iter()
        .find(|f| f.file_stem().unwrap() == name)
        .unwrap();
    fs::read_to_string(path).unwrap()
}

fn with(name: &str, changes: &[(&str, &str)]) -> String {
    let mut object: Map<String, Value> = serde_json::from_str(&fixture(name)).unwrap();
    for (key, value) in changes {
        object.insert((*key).to_owned(), Value::String((*value).to_owned()));
    }
    Value::Object(object).to_string()
}

/// Runs of exactly 24 characters of A-Z2-7 (fixtures/uk-nrm/README.md).
fn markers(text: &str) -> Vec<&str> {
    text.split(|c: char| !matches!(c, 'A'..='Z' | '2'..='7'))
        .filter(|run| run.len() == 24)
        .collect()
}

#[test]
fn every_key_of_the_uk_form_is_carried_or_named_as_not_carried() {
    let listed: BTreeSet<&str> = include_str!("../uk_nrm_keys.tsv")
        .lines()
        .skip(1)
        .map(|line| line.split('\t').next().unwrap())
        .collect();
    let handled: BTreeSet<&str> = TABLE.iter().map(|(key, _)| *key).collect();
    assert_eq!(listed.len(), 140);
    assert_eq!(TABLE.len(), handled.len(), "a key stands twice");
    assert_eq!(handled, listed);
}

#[test]
fn every_target_of_the_table_is_a_field_and_every_fixed_value_is_accepted() {
    let form = Catalogue::current()
        .unwrap()
        .form(Kind::ReferralNrm)
        .unwrap();
    for (key, to) in TABLE {
        let paths: Vec<&str> = match to {
            To::Text(p) | To::Joined(p) | To::Date(p) | To::Number(p) | To::YesNo(p) => vec![p],
            To::Choice(path, choices) => {
                for (_, value) in *choices {
                    FormBuilder::new(Kind::ReferralNrm)
                        .unwrap()
                        .text(path, value)
                        .unwrap();
                }
                vec![path]
            }
            To::IfYes(values) => {
                for (path, value) in *values {
                    FormBuilder::new(Kind::ReferralNrm)
                        .unwrap()
                        .text(path, value)
                        .unwrap();
                }
                values.iter().map(|(path, _)| *path).collect()
            }
            To::NotCarried(reason) => {
                assert!(!reason.is_empty());
                continue;
            }
            To::ReferralOrDuty => continue,
        };
        for path in paths {
            assert!(
                form.field(path).is_some(),
                "`{key}` goes to `{path}`, which is no field"
            );
        }
    }
}

#[test]
fn every_fixture_is_read_and_keeps_every_marker() {
    let mut seen = BTreeSet::new();
    assert_eq!(fixtures().len(), 4);
    for file in fixtures() {
        let text = fs::read_to_string(&file).unwrap();
        let adapted = read(&text).unwrap();
        let json = adapted.form.to_json();
        for marker in markers(&text) {
            assert!(json.contains(marker), "{} loses a marker", file.display());
            assert!(
                seen.insert(marker.to_owned()),
                "{} repeats a marker",
                file.display()
            );
        }
    }
    assert!(markers(&fixture("adult")).len() >= 12);
}

#[test]
fn an_adults_referral_records_consent_to_the_whole() {
    let form = read(&fixture("adult")).unwrap().form;
    assert_eq!(form.text("age.minor_status"), Some("adult"));
    assert_eq!(form.text("cns.participation_consent"), Some("given"));
    assert_eq!(form.flag("cns.sharing_consent.whole_referral"), Some(true));
    assert_eq!(form.text("pro.caseworker"), Some("Example Responder"));
    assert_eq!(form.texts("exp.types"), ["ForcedLabour"]);
    assert_eq!(form.texts("exp.places"), ["Exampleton", "Sampleford"]);
    assert_eq!(form.number("fam.number_of_children"), Some(2));
    assert!(
        form.text("nar.account_ref")
            .unwrap()
            .starts_with("account-")
    );
    // The UK form does not ask whether it is safe to telephone, so it is not known.
    assert_eq!(form.flag("saf.safe_to_phone"), None);
}

#[test]
fn a_child_and_a_possible_child_are_referred_without_a_record_of_consent() {
    for (name, status) in [("child", "child"), ("age-not-sure", "unknown")] {
        let form = read(&fixture(name)).unwrap().form;
        assert_eq!(form.text("age.minor_status"), Some(status));
        assert_eq!(form.text("cns.participation_consent"), None);
        assert!(!form.parts().unwrap().contains(&Part::CnsRest));
    }
}

#[test]
fn forced_crime_becomes_a_compelled_act_and_not_an_offence() {
    let form = read(&fixture("forced-crime")).unwrap().form;
    assert_eq!(
        form.texts("exp.types"),
        ["ForcedLabour", "ForcedCriminality"]
    );
    assert_eq!(form.texts("off.compelled_act").len(), 2);
    assert_eq!(form.text("idn.birthdate"), Some("2003-03-31"));
    let parts = form.parts().unwrap();
    assert!(parts.contains(&Part::OffCompelled) && !parts.contains(&Part::OffRest));
    assert!(form.text("nar.indicator_details").is_some());
}

#[test]
fn what_is_not_carried_is_named_with_a_reason() {
    let adapted = read(&fixture("adult")).unwrap();
    let keys: Vec<_> = adapted.not_carried.iter().map(|n| n.key).collect();
    assert_eq!(
        keys,
        [
            "Type",
            "Case.Jurisdiction",
            "Customer.Custom7",
            "Country",
            "CountryLabel",
            "HowToNotify"
        ]
    );
}

#[test]
fn a_duty_to_notify_report_is_refused_as_such() {
    let refused = read(&with("adult", &[("NRMOrDuty", "Duty to notify")])).unwrap_err();
    assert_eq!(refused, SubmissionError::DutyToNotify);
}

#[test]
fn wrong_answers_are_refused_by_key_and_without_the_answer() {
    for (key, value) in [
        ("AdultOrChild", "Secretvalue"),
        ("Customer.Custom10", "Secretvalue"),
        ("Customer.DOB", "Secretvalue"),
        ("SafeToEmail", "Secretvalue"),
        ("Customer.Alias", "Secretvalue\u{1b}[2J"),
        ("NRMOrDuty", "Secretvalue"),
    ] {
        let refused = read(&with("adult", &[(key, value)])).unwrap_err();
        let text = format!("{refused} {refused:?}");
        assert!(text.contains(key), "{text}");
        assert!(!text.contains("Secretvalue"), "{text}");
    }
}

#[test]
fn a_submission_that_is_not_texts_or_has_an_unknown_or_repeated_key_is_refused() {
    assert!(matches!(read("[]"), Err(SubmissionError::NotTexts { .. })));
    assert!(matches!(
        read(r#"{"Type":1}"#),
        Err(SubmissionError::NotTexts { .. })
    ));
    assert!(matches!(
        read(r#"{"Type":"1","Type":"2"}"#),
        Err(SubmissionError::NotTexts { .. })
    ));
    let unknown = |key: &str| SubmissionError::UnknownKey {
        key: key.to_owned(),
    };
    assert_eq!(
        read(r#"{"Type":"1","NewBox":"x"}"#).unwrap_err(),
        unknown("NewBox")
    );
    let refused = read(r#"{"Anna Example":"x"}"#).unwrap_err();
    assert_eq!(
        refused,
        unknown("(something that does not look like a key)")
    );
    let large = "x".repeat(limit::FORM_JSON_BYTES + 1);
    assert!(matches!(
        read(&large),
        Err(SubmissionError::TooLarge { .. })
    ));
}

#[test]
fn line_ends_of_a_browser_are_read_and_empty_answers_are_none() {
    let text = with(
        "adult",
        &[
            ("ExploitationDates", "one\r\ntwo"),
            ("Customer.Alias", "  "),
        ],
    );
    let form = read(&text).unwrap().form;
    assert_eq!(form.text("exp.period"), Some("one\ntwo"));
    assert_eq!(form.text("idn.alias"), None);
}

/// The most permissive policy there could be.
struct AllowAll;

impl Decider for AllowAll {
    fn decide(&self, _: &Facts, _: Part) -> Verdict {
        Verdict::Allow { rules: Vec::new() }
    }
}

#[test]
fn even_the_most_permissive_policy_sends_no_account_exploiter_or_co_operation() {
    let form = read(&fixture("adult")).unwrap().form;
    let request = Request {
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
    };
    let digest = Digest::of(b"");
    let versions = Versions {
        sender_bundle: digest,
        recipient_bundle: digest,
        catalogue: digest,
        taxonomy: digest,
    };
    let submission = fixture("adult");
    let minimisation = Draft::new(form, request)
        .unwrap()
        .minimise(&AllowAll, versions)
        .unwrap();
    let sent = String::from_utf8_lossy(minimisation.minimised.payload()).into_owned();
    let beyond: BTreeSet<Part> = minimisation
        .withheld
        .iter()
        .filter(|w| w.reason == Reason::KindCeiling)
        .map(|w| w.part)
        .collect();
    let expected = [
        Part::FamRest,
        Part::Edu,
        Part::NarText,
        Part::Xpl,
        Part::CopCrimeRef,
        Part::CopRest,
    ];
    assert_eq!(beyond, BTreeSet::from(expected));
    // The form does not say that it is safe to telephone.
    assert!(minimisation.withheld.iter().any(|w| w.path == "saf.phone"));
    let (leaving, staying): (Vec<&str>, Vec<&str>) = markers(&submission)
        .into_iter()
        .partition(|marker| sent.contains(marker));
    assert!(
        leaving.len() >= 6 && staying.len() >= 12,
        "{} {}",
        leaving.len(),
        staying.len()
    );
}
