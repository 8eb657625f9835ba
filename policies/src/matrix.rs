//! The golden matrices: what a bundle allows to every role, for every purpose, in a few situations,
//! and what two bundles allow together. A change of a policy shows its whole effect as a difference of
//! `policies/matrix/`.
//!
//! To accept a change: `WAYPOST_WRITE_MATRIX=1 cargo test --workspace --lib matrix`, then review the
//! difference.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use waypost_proto::manifest::Facts;
use waypost_proto::vocabulary::{Part, Purpose, Role};

use crate::fixtures::{
    abroad, across_the_border, adult_who_consents, adult_who_refuses, attested, attested_abroad,
    between, built_in, child,
};
use crate::{RecipientDesk, Rules};

/// The parts that one bundle allows on both sides.
fn allowed(rules: &Arc<Rules>, from: Role, to: &RecipientDesk, facts: &Facts, part: Part) -> bool {
    between(rules, rules, from, to.clone())
        .judge(facts, part)
        .allows()
}

fn list(parts: impl Iterator<Item = Part>) -> String {
    parts.map(|p| p.code()).collect::<Vec<_>>().join(" ")
}

fn for_purpose(facts: &Facts, purpose: Purpose) -> Facts {
    Facts {
        purpose,
        ..facts.clone()
    }
}

/// What one bundle lets an NGO send within the State.
fn of_one(rules: &Arc<Rules>, head: &str, facts: &Facts) -> String {
    let mut text = format!(
        "{head}\n\
         # The recipient is domestic and holds every attestation. A pair that is not listed: nothing.\n\
         role\tpurpose\tparts\n"
    );
    for role in Role::ALL {
        let desk = attested(*role);
        for purpose in Purpose::ALL {
            let facts = for_purpose(facts, *purpose);
            let parts = Part::ALL.iter().copied();
            let parts = list(parts.filter(|p| allowed(rules, Role::Ngo, &desk, &facts, *p)));
            if !parts.is_empty() {
                writeln!(text, "{role}\t{purpose}\t{parts}").unwrap();
            }
        }
    }
    text
}

/// What the two bundles of this build let `from` send, together and each alone.
fn of_both(title: &str, from: Role, desk: fn(Role) -> RecipientDesk, facts: &Facts) -> String {
    let mut text = format!(
        "# What the built-in bundle and that of the State `xx` let {title}.\n\
         # The recipient holds every attestation. What both allow goes. A pair that is not listed: nothing.\n\
         role\tpurpose\tboth\tonly the built-in\tonly `xx`\n"
    );
    let (own, theirs) = (built_in(), abroad());
    for role in Role::ALL {
        let to = desk(*role);
        let both = between(&own, &theirs, from, to.clone());
        for purpose in Purpose::ALL {
            let facts = for_purpose(facts, *purpose);
            let parts = || Part::ALL.iter().copied();
            let ours = |p: &Part| allowed(&own, from, &to, &facts, *p);
            let others = |p: &Part| allowed(&theirs, from, &to, &facts, *p);
            let columns = [
                list(parts().filter(|p| both.judge(&facts, *p).allows())),
                list(parts().filter(|p| ours(p) && !others(p))),
                list(parts().filter(|p| others(p) && !ours(p))),
            ];
            if columns.iter().any(|c| !c.is_empty()) {
                writeln!(text, "{role}\t{purpose}\t{}", columns.join("\t")).unwrap();
            }
        }
    }
    text
}

fn check(name: &str, now: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("matrix")
        .join(name);
    if std::env::var_os("WAYPOST_WRITE_MATRIX").is_some() {
        std::fs::write(&path, now).unwrap();
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

/// One situation under each bundle.
fn check_each(name: &str, title: &str, facts: &Facts) {
    let head = format!("# What the built-in bundle lets an NGO send: {title}.");
    check(name, &of_one(&built_in(), &head, facts));
    let head = format!("# What the bundle of the State `xx` lets an NGO send: {title}.");
    check(&format!("xx-{name}"), &of_one(&abroad(), &head, facts));
}

#[test]
fn an_adult_who_consents_to_everything() {
    check_each(
        "adult-consents.tsv",
        "an adult who consents to everything",
        &adult_who_consents(),
    );
}

#[test]
fn an_adult_who_refuses() {
    check_each(
        "adult-refuses.tsv",
        "an adult who refuses",
        &adult_who_refuses(),
    );
}

#[test]
fn a_child_without_any_consent() {
    check_each("child.tsv", "a child, without any consent", &child());
}

#[test]
fn a_school_about_a_child() {
    let title = "a school's safeguarding lead send about a child, within a State";
    check(
        "both-school-child.tsv",
        &of_both(title, Role::Dsl, attested, &child()),
    );
}

#[test]
fn a_liaison_office_to_another_state() {
    let danger = Facts {
        danger: true,
        ..child()
    };
    for (name, title, facts) in [
        ("child", "a child", child()),
        ("child-in-danger", "a child in immediate danger", danger),
        (
            "adult",
            "an adult who consents to everything",
            adult_who_consents(),
        ),
    ] {
        let title = format!("a liaison office send abroad about {title}");
        check(
            &format!("both-liaison-{name}.tsv"),
            &of_both(
                &title,
                Role::Liai,
                attested_abroad,
                &across_the_border(facts),
            ),
        );
    }
}
