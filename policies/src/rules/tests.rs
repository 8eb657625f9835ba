use waypost_proto::manifest::Facts;
use waypost_proto::vocabulary::Role;

use super::*;
use crate::fixtures::{adult_who_consents, attested, built_in, built_in_and, child, sender};

const NOTES: &str = r#"@source("test") @basis("LB-6E") @advice("none")"#;

fn faults(text: &str) -> Vec<String> {
    Rules::check(&built_in_and(text))
        .unwrap_err()
        .iter()
        .map(ToString::to_string)
        .collect()
}

#[test]
fn a_slice_and_a_kept_answer_say_what_the_whole_says() {
    let rules = built_in();
    for role in [Role::NrmCa, Role::ImmEnf, Role::Dsl] {
        for facts in [adult_who_consents(), child()] {
            for purpose in Purpose::ALL {
                let situation = Situation {
                    facts: Facts {
                        purpose: *purpose,
                        ..facts.clone()
                    },
                    sender: sender(Role::Ngo),
                    recipient: attested(role),
                };
                let prepared = situation.prepare(&rules.names).unwrap();
                for part in Part::ALL {
                    let whole = rules.ask_of(&rules.whole, &prepared, *part).unwrap();
                    assert_eq!(
                        rules.ask(&situation, *part),
                        whole,
                        "{role} {purpose} {part}"
                    );
                    assert_eq!(
                        rules.ask(&situation, *part),
                        whole,
                        "{role} {purpose} {part}"
                    );
                }
            }
        }
    }
    assert_eq!(rules.lock().len(), 3 * 2 * Purpose::ALL.len());
}

#[test]
fn only_so_many_situations_are_kept() {
    let rules = built_in();
    for days in 0..=u32::try_from(KEPT_SITUATIONS).unwrap() {
        let situation = Situation {
            facts: Facts {
                retention_days: days,
                ..child()
            },
            sender: sender(Role::Ngo),
            recipient: attested(Role::NrmCa),
        };
        rules.lock().insert(situation.clone(), BTreeMap::new());
        if rules.lock().len() == KEPT_SITUATIONS {
            assert_ne!(rules.ask(&situation, Part::Env), Answer::Failed(Vec::new()));
            break;
        }
    }
    assert_eq!(rules.lock().len(), 1);
}

#[test]
fn a_slice_leaves_out_what_cannot_apply() {
    let rules = built_in();
    let slice = |purpose, part| rules.slices[&(purpose, part)].num_of_policies();
    assert!(slice(Purpose::Invest, Part::Edu) + 5 < rules.rules.len());
}

#[test]
fn a_fault_names_its_file_and_policy() {
    let none = faults("permit (principal, action, resource);");
    assert_eq!(
        none,
        ["`zz-extra.cedar`, policy `policy0`: `@id` is missing or empty"]
    );
    let advice =
        faults(r#"@id("x") @source("test") @basis("LB-6E") forbid (principal, action, resource);"#);
    assert_eq!(
        advice,
        ["`zz-extra.cedar`, policy `x`: `@advice` is missing or empty"]
    );
    let twice = faults(&format!(
        r#"@id("never-purpose") {NOTES} forbid (principal, action, resource);"#
    ));
    assert_eq!(
        twice,
        [
            "`zz-extra.cedar`, policy `never-purpose`: `forbid/purpose.cedar` holds a policy of that id"
        ]
    );
    let unknown = faults(&format!(
        r#"@id("x") {NOTES} permit (principal, action, resource == Waypost::Part::"SECRET");"#
    ));
    assert!(
        unknown[0].starts_with("`zz-extra.cedar`, policy `x`: "),
        "{unknown:?}"
    );
}

#[test]
fn what_must_not_be_asked_cannot_be_written() {
    // PROP-06(b): co-operation and crime references are no facts.
    for fact in ["willing_to_cooperate", "crime_reference"] {
        let text = format!(
            r#"@id("x") {NOTES} permit (principal, action, resource)
                   when {{ context.manifest has {fact} }};"#
        );
        assert!(!faults(&text).is_empty(), "{fact}");
    }
}

#[test]
fn templates_syntax_errors_and_policies_that_never_apply_are_refused() {
    let template = faults(&format!(
        r#"@id("x") {NOTES} permit (principal == ?principal, action, resource);"#
    ));
    assert!(template[0].contains("holds a template"), "{template:?}");
    assert!(faults("permit (")[0].starts_with("`zz-extra.cedar` does not parse"));
    let never = faults(&format!(
        r#"@id("x") {NOTES} permit (principal, action, resource) when {{ false }};"#
    ));
    assert_eq!(never.len(), 1, "{never:?}");
}

#[test]
fn every_fault_is_reported_at_once() {
    let text = r#"permit (principal, action, resource);"#;
    let bundle = Bundle::new([("a.cedar", text), ("b.cedar", text)]).unwrap();
    assert_eq!(Rules::check(&bundle).unwrap_err().len(), 2);
}
