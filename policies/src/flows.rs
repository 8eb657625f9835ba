//! The invented forms of `fixtures/school` and `fixtures/liaison`, from draft to permit: what each
//! leaves behind stands in `withheld.tsv` beside them. No person is behind it.
//!
//! To accept a change: `WAYPOST_WRITE_MATRIX=1 cargo test --workspace --lib flows`, then review the
//! difference.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use waypost_proto::draft::{
    Draft, DraftError, Minimisation, Reason, Request, Withheld, no_origin_conflict,
};
use waypost_proto::form::Form;
use waypost_proto::id::Digest;
use waypost_proto::kind::Kind;
use waypost_proto::manifest::Versions;
use waypost_proto::vocabulary::{Handling, LegalBasis, Part, Purpose, Role};

use crate::fixtures::{abroad, attested, attested_abroad, between, built_in, judge};
use crate::{Judge, permit};

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../fixtures")
        .join(name)
}

/// Every form of a folder, by name.
fn forms(name: &str) -> BTreeMap<String, Form> {
    let entries = std::fs::read_dir(folder(name)).unwrap();
    let paths = entries.map(|e| e.unwrap().path());
    paths
        .filter(|path| path.extension().is_some_and(|e| e == "json"))
        .map(|path| {
            let text = std::fs::read_to_string(&path).unwrap();
            let form = Form::from_named_json(&text, Kind::ReferralNrm).unwrap();
            let stem = path.file_stem().unwrap().to_str().unwrap().to_owned();
            (stem, form)
        })
        .collect()
}

fn form(name: &str, file: &str) -> Form {
    forms(name).remove(file).unwrap()
}

fn request(purpose: Purpose, bases: &[LegalBasis]) -> Request {
    Request {
        purpose,
        legal_bases: bases.iter().copied().collect(),
        handling: Handling::H2,
        retention_days: 365,
        transfer_basis: None,
        override_ground: None,
        represented: false,
        no_origin_conflict: true,
        no_implicated_party: true,
        profile: String::new(),
    }
}

fn to_child_protection() -> Request {
    let bases = [LegalBasis::Lb6e, LegalBasis::Lb9g, LegalBasis::LbS1p18];
    request(Purpose::Child, &bases)
}

/// Across a border, with safeguards and after the danger test; for the purpose that fits the form.
fn across_the_border(form: &Form) -> Request {
    let purpose = match form.text("request.type") {
        Some("SITUATION_REPORT") => Purpose::Child,
        Some("DANGER_ALERT") => Purpose::Protect,
        Some("SAFE_RETURN" | "STATUS_QUERY") => Purpose::Return,
        _ => Purpose::Trace,
    };
    let bases = [LegalBasis::Lb6e, LegalBasis::Lb9c, LegalBasis::LbH96p37];
    Request {
        transfer_basis: Some(LegalBasis::LbT46),
        no_origin_conflict: no_origin_conflict(form, "gb", "xx"),
        ..request(purpose, &bases)
    }
}

/// A liaison office of this State and its counterpart, each under its own bundle; a reply comes back.
fn between_states(kind: Kind) -> Judge {
    let (own, theirs) = (built_in(), abroad());
    let (first, second) = match kind {
        Kind::LiaisonReply => (&theirs, &own),
        _ => (&own, &theirs),
    };
    between(first, second, Role::Liai, attested_abroad(Role::Liai))
}

fn school_to_child_protection() -> Judge {
    judge(Role::Dsl, attested(Role::Cpa))
}

fn minimise(judge: &Judge, form: Form, request: Request) -> Result<Minimisation, DraftError> {
    let versions = Versions {
        sender_bundle: judge.sender_rules.digest(),
        recipient_bundle: judge.recipient_rules.digest(),
        catalogue: Digest::of(b"catalogue"),
        taxonomy: Digest::of(b"taxonomy"),
    };
    Draft::new(form, request)?.minimise(judge, versions)
}

fn why(withheld: &Withheld) -> &str {
    match &withheld.reason {
        Reason::Forbidden { rule, .. } => rule,
        Reason::KindCeiling => "(never in this kind)",
        Reason::NotPermitted { .. } => "(nothing permits it)",
        Reason::Error => "(error)",
    }
}

/// What each form of a folder leaves behind; and the nodes permit what goes.
fn withheld(name: &str, run: impl Fn(Form) -> (Judge, Result<Minimisation, DraftError>)) {
    let mut text = String::from("form\twhat stays\tpart\trule\n");
    for (file, form) in forms(name) {
        let values: Vec<String> = form
            .leaves()
            .iter()
            .filter(|leaf| leaf.code().is_none())
            .filter_map(|leaf| Some(format!("{}\t{}", leaf.path(), form.text(leaf.path())?)))
            .collect();
        let (judge, outcome) = run(form);
        let outcome = match outcome {
            Ok(outcome) => outcome,
            Err(error) => {
                let error = error.to_string();
                let (check, _) = error.split_once(':').unwrap();
                writeln!(text, "{file}\t(everything)\t\t{check}").unwrap();
                continue;
            }
        };
        for left in &outcome.withheld {
            let what = left.code.as_deref().unwrap_or(left.path);
            writeln!(text, "{file}\t{what}\t{}\t{}", left.part, why(left)).unwrap();
            let value = values
                .iter()
                .find_map(|v| v.strip_prefix(&format!("{}\t", left.path)));
            if let Some(value) = value.filter(|v| v.len() > 12) {
                let payload = String::from_utf8_lossy(outcome.minimised.payload());
                assert!(!payload.contains(value), "{file}: {}", left.path);
            }
        }
        let manifest = outcome.minimised.manifest().clone();
        assert!(permit(&judge, manifest, |m| m).is_ok(), "{file}");
    }
    let path = folder(name).join("withheld.tsv");
    if std::env::var_os("WAYPOST_WRITE_MATRIX").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(text, golden, "{name}");
}

#[test]
fn what_a_schools_referrals_leave_behind() {
    withheld("school", |form| {
        let judge = school_to_child_protection();
        let outcome = minimise(&judge, form, to_child_protection());
        (judge, outcome)
    });
}

#[test]
fn what_requests_and_replies_of_liaison_offices_leave_behind() {
    withheld("liaison", |form| {
        let judge = between_states(form.kind());
        let request = across_the_border(&form);
        let outcome = minimise(&judge, form, request);
        (judge, outcome)
    });
}

#[test]
fn a_pupil_made_to_carry_drugs_is_told_of_without_a_word_of_the_offence() {
    let judge = school_to_child_protection();
    let form = form("school", "found-with-drugs");
    let outcome = minimise(&judge, form, to_child_protection()).unwrap();
    let codes: BTreeSet<_> = outcome
        .shared
        .iter()
        .filter_map(|s| s.code.as_deref())
        .collect();
    assert!(
        codes.contains("IND-PHY-06") && codes.contains("IND-PSY-08"),
        "{codes:?}"
    );
    for told_by in ["RISK-11", "VUL-SIT-01", "IND-PHY-03"] {
        assert!(!codes.contains(told_by), "{told_by}");
    }
    let parts = &outcome.minimised.manifest().parts;
    assert!(parts.contains(&Part::OffSign));
    assert!(!parts.contains(&Part::OffCompelled) && !parts.contains(&Part::OffRest));
}

#[test]
fn without_a_basis_for_offence_data_the_sign_stays_and_the_rest_goes() {
    let judge = school_to_child_protection();
    let request = request(Purpose::Child, &[LegalBasis::Lb6e]);
    let outcome = minimise(&judge, form("school", "found-with-drugs"), request).unwrap();
    let codes: BTreeSet<_> = outcome
        .shared
        .iter()
        .filter_map(|s| s.code.as_deref())
        .collect();
    assert!(
        !codes.contains("IND-PHY-06") && codes.contains("IND-PSY-02"),
        "{codes:?}"
    );
}

#[test]
fn danger_abroad_is_told_on_vital_interests_without_a_test_and_only_the_minimum_goes() {
    let judge = between_states(Kind::LiaisonRequest);
    let request = Request {
        transfer_basis: Some(LegalBasis::LbT49f),
        ..request(Purpose::Protect, &[LegalBasis::Lb6d])
    };
    let outcome = minimise(&judge, form("liaison", "danger-alert"), request).unwrap();
    let withheld: Vec<_> = outcome
        .withheld
        .iter()
        .map(|w| (w.path, w.code.as_deref()))
        .collect();
    let expected = [("hlt.urgent_need", None), ("ind.codes", Some("IND-SOC-06"))];
    assert_eq!(withheld, expected);
    let manifest = outcome.minimised.manifest().clone();
    assert!(manifest.facts.danger && permit(&judge, manifest, |m| m).is_ok());
}

#[test]
fn nothing_about_the_person_crosses_a_border_before_the_danger_test() {
    let judge = between_states(Kind::LiaisonRequest);
    let form = form("liaison", "locate-child");
    let mut request = across_the_border(&form);
    request.legal_bases.remove(&LegalBasis::LbH96p37);
    let outcome = minimise(&judge, form, request).unwrap();
    let parts = &outcome.minimised.manifest().parts;
    assert_eq!(*parts, BTreeSet::from([Part::Env, Part::Pro]));
}

#[test]
fn what_a_stricter_state_does_not_receive_is_not_sent_to_it() {
    let form = || form("liaison", "report-on-child");
    let request = across_the_border(&form());
    let own = built_in();
    let alone = between(&own, &own, Role::Liai, attested_abroad(Role::Liai));
    let under = |judge: &Judge| {
        let outcome = minimise(judge, form(), request.clone()).unwrap();
        outcome.minimised.manifest().parts.clone()
    };
    let (alone, both) = (under(&alone), under(&between_states(Kind::LiaisonRequest)));
    assert!(both.is_subset(&alone));
    for part in [Part::Edu, Part::RskPlan] {
        assert!(alone.contains(&part) && !both.contains(&part), "{part}");
    }
}
