use clap::Parser as _;

use super::*;
use crate::args::{Arguments, Command, PolicyCommand};

fn policy(arguments: &[&str]) -> PolicyCommand {
    let line = ["waypost", "policy"].iter().chain(arguments);
    match Arguments::try_parse_from(line).unwrap().command {
        Command::Policy(command) => command,
        other => panic!("{other:?}"),
    }
}

fn explained(arguments: &[&str]) -> Result<Output, Failure> {
    match policy(&[&["explain"], arguments].concat()) {
        PolicyCommand::Explain(wanted) => explain(&wanted),
        other => panic!("{other:?}"),
    }
}

#[test]
fn immigration_enforcement_learns_nothing_and_is_told_by_which_rule() {
    let output = explained(&[
        "--role",
        "IMMENF",
        "--purpose",
        "P-IDENT",
        "--part",
        "IDN.rest,IND",
    ])
    .unwrap();
    assert_eq!(output.json()["shared"].as_array().unwrap().len(), 0);
    let withheld = output.json()["withheld"].as_array().unwrap();
    assert_eq!(withheld.len(), 2);
    assert_eq!(output.json()["command"], "policy explain");
    assert!(output.text().contains("IDN.rest"));
}

#[test]
fn a_form_is_explained_without_its_values() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("form.json");
    fs::write(
        &path,
        r#"{"idn": {"given_name": "SENTINEL"}, "nar": {"account_text": "SENTINEL"}}"#,
    )
    .unwrap();
    let output = explained(&[
        "--role",
        "NRMCA",
        "--purpose",
        "P-IDENT",
        "--form",
        path.to_str().unwrap(),
        "--desk-attest",
        "child-specialist,vetted",
        "--attest",
        "confidentiality-policy",
    ])
    .unwrap();
    assert!(
        output.json()["outside_kind"]
            .as_array()
            .unwrap()
            .iter()
            .any(|p| p == "NAR.text")
    );
    let everything = format!("{} {}", output.text(), output.json());
    assert!(!everything.contains("SENTINEL"));
}

#[test]
fn facts_that_do_not_fit_together_are_refused() {
    let failure = explained(&[
        "--role",
        "NRMCA",
        "--purpose",
        "P-IDENT",
        "--part",
        "IND",
        "--consent",
        "overridden",
    ])
    .unwrap_err();
    assert_eq!(failure.status(), Status::Invalid);
    assert!(failure.to_string().contains("--override-ground"));
}

#[test]
fn the_built_in_bundle_has_no_fault() {
    let output = check(&BundleFolder { bundle: None }).unwrap();
    assert_eq!(output.status(), Status::Done);
    assert!(output.json()["forbids"].as_u64().unwrap() > 10);
}

#[test]
fn every_fault_of_a_bundle_is_reported_and_the_exit_code_is_3() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("forbid")).unwrap();
    fs::write(
        folder.path().join("forbid/a.cedar"),
        "permit(principal, action, resource);",
    )
    .unwrap();
    fs::write(folder.path().join("b.cedar"), "not cedar").unwrap();
    let output = check(&BundleFolder {
        bundle: Some(folder.path().into()),
    })
    .unwrap();
    assert_eq!(output.status().code(), 3);
    assert!(
        output.json()["faults"].as_array().unwrap().len() >= 2,
        "{}",
        output.text()
    );
    assert!(bundle(Some(&folder.path().join("none"))).is_err());
}

#[test]
fn without_a_solver_nothing_is_proved_and_the_exit_code_is_4() {
    let wanted = Prove {
        bundle: BundleFolder { bundle: None },
        solver: Some("/no/such/solver".into()),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let failure = runtime.block_on(prove(&wanted)).unwrap_err();
    assert_eq!(failure.status().code(), 4);
}

fn proved(outcomes: &[&'static str]) -> Proved {
    let theorem = |outcome: &&'static str| ProvedTheorem {
        id: "PROP-01",
        statement: "a claim",
        source: "a source",
        outcome,
        detail: None,
    };
    Proved {
        bundle: String::new(),
        digest: String::new(),
        solver: String::new(),
        theorems: outcomes.iter().map(theorem).collect(),
    }
}

#[test]
fn a_refuted_theorem_is_exit_code_1_and_an_undetermined_one_4() {
    let code = |outcomes: &[&'static str]| proved(outcomes).status().code();
    assert_eq!(code(&[PROVED, PROVED]), 0);
    assert_eq!(code(&[PROVED, REFUTED, UNDETERMINED]), 1);
    assert_eq!(code(&[PROVED, UNDETERMINED]), 4);
    assert_eq!(code(&[]), 4);
}
