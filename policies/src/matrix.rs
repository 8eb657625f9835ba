//! The golden matrix: what the built-in bundle allows to every role, for every purpose, in a few
//! situations. A change of a policy shows its whole effect as a difference of `policies/matrix/`.
//!
//! To accept a change: `WAYPOST_WRITE_MATRIX=1 cargo test --workspace --lib matrix`, then review the
//! difference.

use std::fmt::Write as _;
use std::path::Path;

use waypost_proto::manifest::Facts;
use waypost_proto::vocabulary::{Part, Purpose, Role};

use crate::fixtures::{adult_who_consents, adult_who_refuses, attested, between, built_in, child};

fn matrix(title: &str, facts: &Facts) -> String {
    let mut text = format!(
        "# What the built-in bundle lets an NGO send: {title}.\n\
         # The recipient is domestic and holds every attestation. A pair that is not listed: nothing.\n\
         role\tpurpose\tparts\n"
    );
    let rules = built_in();
    for role in Role::ALL {
        let judge = between(&rules, &rules, Role::Ngo, attested(*role));
        for purpose in Purpose::ALL {
            let facts = Facts {
                purpose: *purpose,
                ..facts.clone()
            };
            let allowed = Part::ALL
                .iter()
                .filter(|part| judge.judge(&facts, **part).allows());
            let parts: Vec<&str> = allowed.map(|part| part.code()).collect();
            if !parts.is_empty() {
                writeln!(text, "{role}\t{purpose}\t{}", parts.join(" ")).unwrap();
            }
        }
    }
    text
}

fn check(name: &str, title: &str, facts: &Facts) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("matrix")
        .join(name);
    let now = matrix(title, facts);
    if std::env::var_os("WAYPOST_WRITE_MATRIX").is_some() {
        std::fs::write(&path, &now).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    let changed: Vec<_> = now
        .lines()
        .filter(|line| !golden.lines().any(|g| g == *line))
        .map(|line| format!("+ {line}"))
        .chain(
            golden
                .lines()
                .filter(|line| !now.lines().any(|n| n == *line))
                .map(|line| format!("- {line}")),
        )
        .collect();
    assert_eq!(now, golden, "{name} differs:\n{}", changed.join("\n"));
}

#[test]
fn an_adult_who_consents_to_everything() {
    check(
        "adult-consents.tsv",
        "an adult who consents to everything",
        &adult_who_consents(),
    );
}

#[test]
fn an_adult_who_refuses() {
    check(
        "adult-refuses.tsv",
        "an adult who refuses",
        &adult_who_refuses(),
    );
}

#[test]
fn a_child_without_any_consent() {
    check("child.tsv", "a child, without any consent", &child());
}
