use std::collections::BTreeSet;
use std::path::PathBuf;

use super::*;
use crate::Bundle;
use crate::fixtures::{built_in, built_in_and};

/// The solver on the search path. The tests need it: a proof that is skipped proves nothing.
fn cvc5() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap();
    std::env::split_paths(&path)
        .map(|folder| folder.join("cvc5"))
        .find(|program| program.is_file())
        .expect("cvc5 is not on the search path: run scripts/prerequisites")
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

fn run(bundle: &Bundle) -> Report {
    run_only(bundle, |_| true)
}

fn run_only(bundle: &Bundle, wanted: fn(&Theorem) -> bool) -> Report {
    let rules = Rules::compile(bundle).unwrap();
    runtime().block_on(prove_only(&rules, &cvc5(), wanted))
}

fn refuted(report: &Report) -> BTreeMap<&'static str, String> {
    report
        .failures()
        .map(|proof| match &proof.outcome {
            Outcome::Refuted { counterexample } => (proof.theorem.id, counterexample.clone()),
            other => panic!("{}: {other:?}", proof.theorem.id),
        })
        .collect()
}

/// The default bundle without one of its files.
fn without(file: &str, extra: &str) -> Bundle {
    let bundle = Bundle::builtin().unwrap();
    let files = bundle.files().filter(|(n, _)| *n != file);
    let files: Vec<_> = files.map(|(n, t)| (n.to_owned(), t.to_owned())).collect();
    let extra = (!extra.is_empty()).then(|| ("extra.cedar".to_owned(), extra.to_owned()));
    Bundle::new(files.into_iter().chain(extra)).unwrap()
}

#[test]
fn every_theorem_holds_for_the_built_in_bundle() {
    let report = run(&Bundle::builtin().unwrap());
    assert!(report.holds(), "{report}");
    assert_eq!(report.proofs.len(), THEOREMS.len());
}

#[test]
fn every_theorem_holds_for_the_bundle_of_another_state() {
    let report = run(&Bundle::of_invented_state().unwrap());
    assert!(report.holds(), "{report}");
    assert_eq!(report.proofs.len(), THEOREMS.len());
}

#[test]
fn a_bundle_that_asks_a_parent_before_child_protection_is_told_is_refuted_in_words() {
    let report = run_only(
        &built_in_and(
            r#"@id("parents-first") @source("test") @basis("LB-6E") @advice("none")
           forbid (principal, action == Waypost::Action::"P-CHILD", resource)
           when { context.manifest.consent == Waypost::ConsentState::"refused" };"#,
        ),
        |t| t.id == "FLOOR-04",
    );
    let text = &refuted(&report)["FLOOR-04"];
    assert!(
        text.contains("the desk with role `CPA` does not receive"),
        "{text}"
    );
    assert!(text.ends_with("; forbidden by `parents-first`"), "{text}");
}

#[test]
fn a_bundle_that_crosses_a_border_without_the_danger_test_is_refuted_in_words() {
    let bundle = Bundle::of_invented_state().unwrap();
    let files = bundle.files().map(|(name, text)| {
        let text = text.replace(
            "Waypost::LegalBasis::\"LB-H96-37\"",
            "Waypost::LegalBasis::\"LB-6E\"",
        );
        (name.to_owned(), text)
    });
    let report = run_only(&Bundle::new(files).unwrap(), |t| t.id == "PROP-22");
    let text = &refuted(&report)["PROP-22"];
    assert!(
        text.contains("recipient.zone is `other`") || text.contains("recipient.zone is `adequate`"),
        "{text}"
    );
}

#[test]
fn a_bundle_that_passes_on_for_another_purpose_is_refuted() {
    let report = run_only(
        &built_in_and(
            r#"@id("onward") @source("test") @basis("LB-6E")
           permit (principal, action == Waypost::Action::"forward", resource)
           when { context.provider_permits && context.manifest.handling == Waypost::Handling::"H0" };"#,
        ),
        |t| t.id == "PROP-18",
    );
    assert!(
        refuted(&report)["PROP-18"].ends_with("; permitted by `onward`"),
        "{report}"
    );
}

#[test]
fn a_bundle_that_gives_offences_to_law_enforcement_is_refuted_in_words() {
    let report = run(&without(
        "forbid/offence.cedar",
        r#"@id("too-much") @source("test") @basis("LB-6E")
           permit (principal, action == Waypost::Action::"P-PROTECT",
                   resource == Waypost::Part::"OFF.rest")
           when { principal.role == Waypost::Role::"POLX" };"#,
    ));
    let refuted = refuted(&report);
    let text = &refuted["PROP-05"];
    let start = "the desk with role `POLX` receives `OFF.rest` for purpose `P-PROTECT` when ";
    assert!(text.starts_with(start), "{text}");
    assert!(text.ends_with("; permitted by `too-much`"), "{text}");
    assert_eq!(refuted.len(), 1, "{report}");
}

#[test]
fn a_bundle_that_treats_unknown_as_adult_is_refuted_in_words() {
    let bundle = Bundle::builtin().unwrap();
    let files = bundle.files().map(|(name, text)| {
        let text = match name {
            "forbid/child.cedar" => text.replace(
                r#"context.manifest.minor_status != Waypost::MinorStatus::"adult""#,
                r#"context.manifest.minor_status == Waypost::MinorStatus::"child""#,
            ),
            _ => text.to_owned(),
        };
        (name.to_owned(), text)
    });
    let about_children = |t: &Theorem| ["PROP-11", "PROP-12", "PROP-13"].contains(&t.id);
    let report = run_only(&Bundle::new(files).unwrap(), about_children);
    let refuted = refuted(&report);
    assert_eq!(
        refuted.keys().copied().collect::<Vec<_>>(),
        ["PROP-11", "PROP-13"]
    );
    assert!(
        refuted["PROP-11"].contains("`child` and `unknown` exchanged"),
        "{report}"
    );
    assert!(
        refuted["PROP-13"].contains("minor_status is `unknown`"),
        "{report}"
    );
}

#[test]
fn a_bundle_that_permits_less_than_a_floor_is_refuted_in_words() {
    let report = run_only(
        &built_in_and(
            r#"@id("no-children") @source("test") @basis("LB-6E") @advice("none")
           forbid (principal, action in Waypost::Action::"disclose", resource)
           when { context.manifest.minor_status != Waypost::MinorStatus::"adult" &&
                  context.manifest.consent == Waypost::ConsentState::"refused" };"#,
        ),
        |t| t.kind == Kind::Floor,
    );
    let text = &refuted(&report)["FLOOR-02"];
    assert!(text.contains("does not receive"), "{text}");
    assert!(text.ends_with("; forbidden by `no-children`"), "{text}");
}

#[test]
fn a_policy_that_can_fail_is_refuted() {
    let report = run_only(
        &built_in_and(
            r#"@id("erring") @source("test") @basis("LB-6E") @advice("none")
           forbid (principal, action, resource == Waypost::Part::"IND")
           when { context.manifest.retention_days * 9 == 5 };"#,
        ),
        |t| t.kind == Kind::NeverErrs,
    );
    assert!(
        refuted(&report)["SOUND-01"].contains("`erring` can fail"),
        "{report}"
    );
}

#[test]
fn without_its_forbids_hardly_a_ceiling_stands() {
    // Each ceiling is about something: a bundle that permits everything breaks every one.
    let all = r#"@id("everything") @source("test") @basis("LB-6E")
                 permit (principal, action, resource);"#;
    let report = run(&Bundle::new([("all.cedar", all)]).unwrap());
    let broken: BTreeSet<_> = refuted(&report).into_keys().collect();
    let ceilings: BTreeSet<_> = THEOREMS
        .iter()
        .filter(|t| t.kind == Kind::Ceiling)
        .map(|t| t.id)
        .collect();
    assert_eq!(broken, ceilings, "{report}");
}

#[test]
fn a_solver_that_is_missing_or_says_nothing_is_a_failure() {
    for solver in ["/nonexistent/cvc5", "/bin/true"] {
        let report = runtime().block_on(prove(&built_in(), Path::new(solver)));
        assert!(!report.holds());
        let undecided = report
            .failures()
            .filter(|p| matches!(p.outcome, Outcome::Failed { .. }));
        assert!(undecided.count() > 0, "{report}");
    }
}

#[test]
fn the_theorems_are_exactly_the_files_and_their_policies_pass_strict_validation() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut on_disk = BTreeSet::new();
    for name in ["ceilings", "floors"] {
        for entry in std::fs::read_dir(folder.join(name)).unwrap() {
            on_disk.insert(std::fs::read_to_string(entry.unwrap().path()).unwrap());
        }
    }
    let stated: BTreeSet<_> = THEOREMS
        .iter()
        .filter(|t| !t.policies.is_empty())
        .map(|t| t.policies.to_owned())
        .collect();
    assert_eq!(on_disk, stated);
    let rules = built_in();
    let validator = cedar_policy::Validator::new(rules.names().schema.clone());
    for theorem in THEOREMS {
        let set = named(&theorem.policies.parse().unwrap()).ok().unwrap();
        assert_eq!(set.num_of_templates(), 0, "{}", theorem.id);
        let result = validator.validate(&set, cedar_policy::ValidationMode::Strict);
        assert!(
            result.validation_passed_without_warnings(),
            "{}: {result}",
            theorem.id
        );
    }
}

#[test]
fn minor_status_stands_in_one_place_of_a_request() {
    // PROP-11's proof by exchange rests on it.
    assert_eq!(crate::schema::SCHEMA.matches(": MinorStatus").count(), 1);
    assert_eq!(crate::schema::SCHEMA.matches("<MinorStatus>").count(), 0);
}
