//! The decision: may this part go to this desk? What both bundles allow, goes.

use std::sync::Arc;

use waypost_proto::draft::{Decider, Reason, Side, Verdict};
use waypost_proto::manifest::Facts;
use waypost_proto::vocabulary::Part;

use crate::facts::{RecipientDesk, SenderFacts, Situation};
use crate::rules::{Answer, Rule, Rules};

/// Why a bundle objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// No rule permits it; none forbids it by name.
    NothingPermits,
    /// These rules forbid it.
    Forbidden(Vec<Arc<Rule>>),
    /// These rules could not be evaluated; empty when it is the engine that failed.
    Failed(Vec<Arc<Rule>>),
}

/// One bundle's objection to one part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Objection {
    /// Whose bundle.
    pub side: Side,
    /// Why.
    pub cause: Cause,
}

/// The decision on one part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Both bundles allow it: by these rules, sorted by id, each once.
    Allow(Vec<Arc<Rule>>),
    /// At least one bundle objects.
    Deny(Vec<Objection>),
}

impl Decision {
    /// Whether the part may go.
    #[must_use]
    pub const fn allows(&self) -> bool {
        matches!(self, Self::Allow(_))
    }
}

/// Decides what one desk may send to another, under the bundles of both.
#[derive(Debug, Clone)]
pub struct Judge {
    /// The sender's bundle.
    pub sender_rules: Arc<Rules>,
    /// The recipient's bundle.
    pub recipient_rules: Arc<Rules>,
    /// The receiving desk.
    pub recipient: RecipientDesk,
    /// The sending desk.
    pub sender: SenderFacts,
}

impl Judge {
    /// Decides on one part. Whatever cannot be evaluated is denied.
    #[must_use]
    pub fn judge(&self, facts: &Facts, part: Part) -> Decision {
        let situation = Situation {
            facts: facts.clone(),
            sender: self.sender.clone(),
            recipient: self.recipient.clone(),
        };
        if self.sender_rules.digest() == self.recipient_rules.digest() {
            return combine([(Side::Both, self.sender_rules.ask(&situation, part))]);
        }
        combine([
            (Side::Sender, self.sender_rules.ask(&situation, part)),
            (Side::Recipient, self.recipient_rules.ask(&situation, part)),
        ])
    }
}

impl Decider for Judge {
    fn decide(&self, facts: &Facts, part: Part) -> Verdict {
        match self.judge(facts, part) {
            Decision::Allow(rules) => Verdict::Allow {
                rules: rules.iter().map(|rule| rule.id.clone()).collect(),
            },
            Decision::Deny(objections) => Verdict::Withhold(reason(&objections)),
        }
    }
}

/// The one reason that is shown beside a field. A forbid that nothing can remedy comes before one
/// that something can, so that nobody is told to ask for consent in vain; a forbid before "nothing
/// permits it".
fn reason(objections: &[Objection]) -> Reason {
    let forbidding = objections.iter().flat_map(|objection| {
        let rules = match &objection.cause {
            Cause::Forbidden(rules) => rules.as_slice(),
            Cause::NothingPermits | Cause::Failed(_) => &[],
        };
        rules.iter().map(|rule| (objection.side, rule))
    });
    if objections
        .iter()
        .any(|o| matches!(o.cause, Cause::Failed(_)))
    {
        return Reason::Error;
    }
    match forbidding.min_by_key(|(_, rule)| (!rule.remedy.is_empty(), &rule.id)) {
        Some((by, rule)) => Reason::Forbidden {
            by,
            rule: rule.id.clone(),
            advice: rule.advice.clone(),
            source: rule.source.clone(),
        },
        None => Reason::NotPermitted {
            by: match objections {
                [only] => only.side,
                _ => Side::Both,
            },
        },
    }
}

/// INVARIANT (both allow): one objection denies.
fn combine(answers: impl IntoIterator<Item = (Side, Answer)>) -> Decision {
    let mut rules = Vec::new();
    let mut objections = Vec::new();
    for (side, answer) in answers {
        let cause = match answer {
            Answer::Allow(by) => {
                rules.extend(by);
                continue;
            }
            Answer::NothingPermits => Cause::NothingPermits,
            Answer::Forbidden(by) => Cause::Forbidden(by),
            Answer::Failed(by) => Cause::Failed(by),
        };
        objections.push(Objection { side, cause });
    }
    if objections.is_empty() {
        rules.sort();
        rules.dedup();
        Decision::Allow(rules)
    } else {
        Decision::Deny(objections)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use waypost_proto::vocabulary::{ConsentState, DeskAttestation, MinorStatus, Role};

    use super::*;
    use crate::Bundle;
    use crate::fixtures::{
        adult_who_consents, adult_who_refuses, attested, between, built_in, built_in_and, child,
        judge,
    };

    fn allowed(judge: &Judge, facts: &Facts) -> BTreeSet<Part> {
        Part::ALL
            .iter()
            .copied()
            .filter(|part| judge.judge(facts, *part).allows())
            .collect()
    }

    fn forbidding(decision: &Decision) -> Vec<String> {
        let Decision::Deny(objections) = decision else {
            return Vec::new();
        };
        objections
            .iter()
            .flat_map(|o| match &o.cause {
                Cause::Forbidden(rules) => rules.iter().map(|r| r.id.clone()).collect(),
                _ => Vec::new(),
            })
            .collect()
    }

    #[test]
    fn an_adult_who_consents_is_referred_with_the_minimum_and_nothing_beyond() {
        use Part::{
            Age, CnsRest, Com, Doc, Env, ExpNotify, ExpRest, FamCount, HltRest, HltUrgent,
            IdnGender, IdnRest, ImmCitizenship, Ind, LocArea, NarRef, Ned, OffCompelled, OffSign,
            Pro, RskRest, Saf, SexType,
        };
        let judge = judge(Role::Ngo, attested(Role::NrmCa));
        let expected = BTreeSet::from([
            Env,
            Pro,
            IdnGender,
            IdnRest,
            Age,
            Doc,
            ImmCitizenship,
            Com,
            Saf,
            LocArea,
            FamCount,
            CnsRest,
            Ind,
            RskRest,
            ExpNotify,
            ExpRest,
            NarRef,
            Ned,
            HltUrgent,
            HltRest,
            SexType,
            OffSign,
            OffCompelled,
        ]);
        assert_eq!(allowed(&judge, &adult_who_consents()), expected);
    }

    #[test]
    fn an_adult_who_refuses_is_not_referred_and_no_override_changes_that_for_identification() {
        let judge = judge(Role::Ngo, attested(Role::NrmCa));
        let nothing_of_the_person = BTreeSet::from([Part::Env, Part::Pro]);
        let mut facts = adult_who_refuses();
        assert_eq!(allowed(&judge, &facts), nothing_of_the_person);
        assert_eq!(
            forbidding(&judge.judge(&facts, Part::Ind)),
            ["adult-consent"]
        );
        facts.consent = ConsentState::Overridden;
        facts.override_ground = Some(waypost_proto::vocabulary::OverrideGround::SignificantHarm);
        assert_eq!(allowed(&judge, &facts), nothing_of_the_person);
    }

    #[test]
    fn consent_covers_only_the_parts_it_names() {
        let judge = judge(Role::Ngo, attested(Role::NrmCa));
        let mut facts = adult_who_consents();
        facts.consented_parts = BTreeSet::from([Part::Ind]);
        assert_eq!(
            allowed(&judge, &facts),
            BTreeSet::from([Part::Env, Part::Pro, Part::Ind])
        );
    }

    #[test]
    fn a_child_or_perhaps_a_child_needs_a_specialist_and_no_consent() {
        let with = judge(Role::Pol, attested(Role::NrmCa));
        let mut desk = attested(Role::NrmCa);
        desk.desk.remove(&DeskAttestation::ChildSpecialist);
        let without = judge(Role::Pol, desk);
        for minor_status in [MinorStatus::Child, MinorStatus::Unknown] {
            for consent in ConsentState::ALL {
                let facts = Facts {
                    minor_status,
                    consent: *consent,
                    ..child()
                };
                assert!(with.judge(&facts, Part::Ind).allows(), "{consent}");
                let decision = without.judge(&facts, Part::Ind);
                assert_eq!(forbidding(&decision), ["child-specialist"], "{consent}");
            }
        }
    }

    #[test]
    fn a_named_forbid_and_nothing_permits_it_are_told_apart() {
        let judge = judge(Role::Ngo, attested(Role::NrmCa));
        let facts = adult_who_consents();
        let unpermitted = judge.judge(&facts, Part::Edu);
        assert_eq!(
            unpermitted,
            Decision::Deny(vec![Objection {
                side: Side::Both,
                cause: Cause::NothingPermits
            }])
        );
        let decision = judge.judge(&facts, Part::CopCrimeRef);
        assert_eq!(forbidding(&decision), ["cooperation-withheld"]);
    }

    #[test]
    fn what_one_bundle_allows_and_the_other_does_not_is_withheld() {
        let stricter = built_in_and(
            r#"@id("no-documents") @source("test") @basis("LB-6E") @advice("none")
               forbid (principal, action, resource == Waypost::Part::"DOC");"#,
        );
        let stricter = Arc::new(Rules::compile(&stricter).unwrap());
        let facts = adult_who_consents();
        let desk = || attested(Role::NrmCa);
        let ours = between(&built_in(), &stricter, Role::Ngo, desk());
        let Decision::Deny(objections) = ours.judge(&facts, Part::Doc) else {
            panic!()
        };
        assert_eq!(
            objections.iter().map(|o| o.side).collect::<Vec<_>>(),
            [Side::Recipient]
        );
        let theirs = between(&stricter, &built_in(), Role::Ngo, desk());
        let Decision::Deny(objections) = theirs.judge(&facts, Part::Doc) else {
            panic!()
        };
        assert_eq!(
            objections.iter().map(|o| o.side).collect::<Vec<_>>(),
            [Side::Sender]
        );
        assert!(theirs.judge(&facts, Part::Ind).allows());
    }

    #[test]
    fn a_forbid_that_errs_denies_instead_of_being_skipped() {
        let erring = built_in_and(
            r#"@id("erring") @source("test") @basis("LB-6E") @advice("none")
               forbid (principal, action, resource == Waypost::Part::"IND")
               when { context.manifest.retention_days * 9223372036854775807 == 5 };"#,
        );
        let rules = Arc::new(Rules::compile(&erring).unwrap());
        let judge = between(&rules, &rules, Role::Ngo, attested(Role::NrmCa));
        let Decision::Deny(objections) = judge.judge(&adult_who_consents(), Part::Ind) else {
            panic!("an error allowed")
        };
        assert!(matches!(&objections[0].cause, Cause::Failed(rules) if rules[0].id == "erring"));
    }

    #[test]
    fn the_reason_shown_is_the_one_that_nothing_remedies() {
        let judge = judge(Role::Ngo, attested(Role::NrmCa));
        let shown = |part| match judge.decide(&adult_who_refuses(), part) {
            Verdict::Withhold(Reason::Forbidden { rule, .. }) => rule,
            other => panic!("{other:?}"),
        };
        assert_eq!(shown(Part::CopRest), "cooperation-withheld");
        assert_eq!(shown(Part::Ind), "adult-consent");
        let verdict = judge.decide(&adult_who_consents(), Part::Edu);
        assert_eq!(
            verdict,
            Verdict::Withhold(Reason::NotPermitted { by: Side::Both })
        );
        let verdict = judge.decide(&adult_who_consents(), Part::Ind);
        assert_eq!(
            verdict,
            Verdict::Allow {
                rules: vec!["referral-parts".to_owned()]
            }
        );
    }

    #[test]
    fn a_changed_fact_is_judged_anew() {
        let judge = judge(Role::Ngo, attested(Role::NrmCa));
        assert!(judge.judge(&adult_who_consents(), Part::Ind).allows());
        assert!(!judge.judge(&adult_who_refuses(), Part::Ind).allows());
        assert!(judge.judge(&adult_who_consents(), Part::Ind).allows());
    }

    #[test]
    fn the_built_in_bundle_says_the_same_from_its_bytes() {
        let bundle = Bundle::from_wire(&Bundle::builtin().unwrap().to_wire()).unwrap();
        assert_eq!(
            Rules::compile(&bundle).unwrap().digest(),
            built_in().digest()
        );
    }
}
