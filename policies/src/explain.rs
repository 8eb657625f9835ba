//! What would be shared, what is withheld, by which rule, and what would change it: for people.
//!
//! What would change it is found by trying: each single change of the facts that people can bring
//! about is put to the judge. It is worded as what would have to be true, never as what to enter.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use waypost_proto::draft::Minimisation;
use waypost_proto::manifest::Facts;
use waypost_proto::vocabulary::{
    AgencyAttestation, ConsentState, DeskAttestation, LegalBasis, MinorStatus, Part, Purpose, Role,
};

use crate::facts::Zone;
use crate::judge::{Cause, Decision, Judge, Objection};
use crate::rules::Rule;
use crate::words;

/// A single change of the facts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// The person consents to it.
    Consent,
    /// A child specialist answers at the receiving desk.
    ChildSpecialist,
    /// The recipient has a confidentiality policy, vetted staff and an escalation contact.
    Attested,
    /// A further legal basis applies.
    Basis(LegalBasis),
    /// A basis of the transfer applies.
    Transfer(LegalBasis),
    /// The disclosure serves another purpose.
    Purpose(Purpose),
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Consent => f.write_str("the person consents to sharing it with this recipient"),
            Self::ChildSpecialist => {
                f.write_str("it goes to a desk where a child specialist answers")
            }
            Self::Attested => f.write_str(
                "the recipient is attested: confidentiality policy, vetted staff, escalation contact",
            ),
            Self::Basis(basis) => write!(f, "a further legal basis applies, such as {basis}"),
            Self::Transfer(basis) => {
                write!(f, "a basis of transfer to another State applies, such as {basis}")
            }
            Self::Purpose(purpose) => {
                write!(f, "it truly serves {purpose}, {}", words::purpose(*purpose))
            }
        }
    }
}

/// A part that would be shared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedPart {
    /// The part.
    pub part: Part,
    /// The rules that allow it.
    pub rules: Vec<Arc<Rule>>,
}

/// A part that is withheld.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WithheldPart {
    /// The part.
    pub part: Part,
    /// Who objects, and why.
    pub objections: Vec<Objection>,
    /// The single changes, each of which would allow it.
    pub changes: Vec<Change>,
}

/// An explanation. `Display` is text for people; it holds codes and rules, no value of a form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// The recipient's role.
    pub role: Role,
    /// The purpose.
    pub purpose: Purpose,
    /// What would be shared.
    pub shared: Vec<SharedPart>,
    /// What a rule, or the want of one, withholds.
    pub withheld: Vec<WithheldPart>,
    /// What no message of the kind carries, whatever the rules.
    pub outside_kind: BTreeSet<Part>,
}

/// Explains the decisions on the given parts.
#[must_use]
pub fn parts(judge: &Judge, facts: &Facts, parts: &BTreeSet<Part>) -> Explanation {
    let mut explanation = Explanation {
        role: judge.recipient.role,
        purpose: facts.purpose,
        shared: Vec::new(),
        withheld: Vec::new(),
        outside_kind: BTreeSet::new(),
    };
    for part in parts.iter().copied() {
        match judge.judge(facts, part) {
            Decision::Allow(rules) => explanation.shared.push(SharedPart { part, rules }),
            Decision::Deny(objections) => {
                let changes = changes(judge, facts, part);
                explanation.withheld.push(WithheldPart {
                    part,
                    objections,
                    changes,
                });
            }
        }
    }
    explanation
}

/// Explains a minimisation by the judge that decided it: every part that the draft held or leaked.
#[must_use]
pub fn minimisation(judge: &Judge, outcome: &Minimisation) -> Explanation {
    let ceiling = outcome.minimised.kind().ceiling();
    let outside_kind: BTreeSet<Part> = outcome
        .withheld
        .iter()
        .map(|w| w.part)
        .filter(|part| !ceiling.contains(part))
        .collect();
    let shared = outcome.shared.iter().map(|s| s.part);
    let withheld = outcome.withheld.iter().map(|w| w.part);
    let disclosed = outcome.minimised.manifest().parts.iter().copied();
    let asked: BTreeSet<Part> = shared
        .chain(withheld)
        .chain(disclosed)
        .filter(|p| !outside_kind.contains(p))
        .collect();
    let facts = &outcome.minimised.manifest().facts;
    Explanation {
        outside_kind,
        ..parts(judge, facts, &asked)
    }
}

/// Every single change under which the part would be allowed.
fn changes(judge: &Judge, facts: &Facts, part: Part) -> Vec<Change> {
    candidates(judge, facts)
        .into_iter()
        .filter(|c| helps(*c, judge, facts, part))
        .collect()
}

fn candidates(judge: &Judge, facts: &Facts) -> Vec<Change> {
    let mut candidates = vec![Change::ChildSpecialist, Change::Attested];
    if facts.minor_status == MinorStatus::Adult {
        candidates.push(Change::Consent);
    }
    if judge.recipient.zone != Zone::Domestic {
        candidates.extend([LegalBasis::LbT45, LegalBasis::LbT46].map(Change::Transfer));
    }
    // One of each article; the advice of the rules says more.
    candidates.extend([LegalBasis::Lb6e, LegalBasis::Lb9g, LegalBasis::Lb10].map(Change::Basis));
    candidates.extend(Purpose::ALL.iter().copied().map(Change::Purpose));
    candidates
}

fn helps(change: Change, judge: &Judge, facts: &Facts, part: Part) -> bool {
    let mut facts = facts.clone();
    let mut desk = judge.recipient.clone();
    match change {
        Change::Consent => {
            facts.consent = ConsentState::Given;
            facts.override_ground = None;
            facts.consented_parts.insert(part);
        }
        Change::ChildSpecialist => {
            desk.desk.insert(DeskAttestation::ChildSpecialist);
        }
        Change::Attested => {
            desk.desk.insert(DeskAttestation::Vetted);
            desk.agency.insert(AgencyAttestation::ConfidentialityPolicy);
            desk.agency.insert(AgencyAttestation::EscalationContact);
        }
        Change::Basis(basis) => {
            facts.legal_bases.insert(basis);
        }
        Change::Transfer(basis) => facts.transfer_basis = Some(basis),
        Change::Purpose(purpose) => facts.purpose = purpose,
    }
    let changed = Judge {
        recipient: desk,
        ..judge.clone()
    };
    changed.judge(&facts, part).allows()
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let purpose = words::purpose(self.purpose);
        let heading = format!("to the {} desk for {} ({purpose})", self.role, self.purpose);
        writeln!(f, "Shared {heading}:")?;
        if self.shared.is_empty() {
            writeln!(f, "  nothing")?;
        }
        for SharedPart { part, rules } in &self.shared {
            writeln!(f, "  {part}: {}", words::part(*part))?;
            for rule in rules {
                writeln!(f, "      allowed by `{}` ({})", rule.id, rule.source)?;
            }
        }
        if !self.withheld.is_empty() || !self.outside_kind.is_empty() {
            writeln!(f, "Withheld:")?;
        }
        for withheld in &self.withheld {
            withheld.fmt(f)?;
        }
        for part in &self.outside_kind {
            writeln!(f, "  {part}: {}", words::part(*part))?;
            writeln!(f, "      no message of this kind carries it")?;
        }
        Ok(())
    }
}

impl fmt::Display for WithheldPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "  {}: {}", self.part, words::part(self.part))?;
        for Objection { side, cause } in &self.objections {
            match cause {
                Cause::NothingPermits => writeln!(f, "      nothing permits it in {side}")?,
                Cause::Failed(_) => writeln!(
                    f,
                    "      {side} could not be evaluated, so it is withheld; tell the scheme operator"
                )?,
                Cause::Forbidden(rules) => {
                    for rule in rules {
                        writeln!(
                            f,
                            "      forbidden by `{}` ({}) in {side}",
                            rule.id, rule.source
                        )?;
                        writeln!(f, "      {}", rule.advice)?;
                    }
                }
            }
        }
        for change in &self.changes {
            writeln!(f, "      would be allowed if {change}")?;
        }
        let remedies = self.remedies();
        if self.changes.is_empty() && remedies.is_empty() {
            writeln!(f, "      no single change would allow it")?;
        } else if self.changes.is_empty() {
            let all: Vec<_> = remedies.into_iter().collect();
            writeln!(f, "      would need, together: {}", all.join("; "))?;
        }
        Ok(())
    }
}

impl WithheldPart {
    /// What would have to be true together; empty where something cannot be remedied.
    fn remedies(&self) -> BTreeSet<&str> {
        let mut remedies = BTreeSet::new();
        for objection in &self.objections {
            let Cause::Forbidden(rules) = &objection.cause else {
                return BTreeSet::new();
            };
            if rules.iter().any(|rule| rule.remedy.is_empty()) {
                return BTreeSet::new();
            }
            remedies.extend(rules.iter().map(|rule| rule.remedy.as_str()));
        }
        remedies
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{adult_who_consents, adult_who_refuses, attested, child, judge};

    fn one(judge: &Judge, facts: &Facts, part: Part) -> WithheldPart {
        let explained = parts(judge, facts, &BTreeSet::from([part]));
        explained.withheld.into_iter().next().unwrap()
    }

    #[test]
    fn a_refusal_is_explained_by_what_would_have_to_be_true() {
        let judge = judge(Role::Ngo, attested(Role::NrmCa));
        let parts_asked = BTreeSet::from([Part::Pro, Part::Ind]);
        let text = parts(&judge, &adult_who_refuses(), &parts_asked).to_string();
        assert_eq!(
            text,
            "Shared to the NRMCA desk for P-IDENT (formal identification):\n\
             \x20 PRO: professionals and point of contact\n\
             \x20     allowed by `referral-parts` (SOP R5 (necessary information only); CETS 197 Art 10)\n\
             \x20     allowed by `reply-point-of-contact` (SOP R6 (one point of contact); DOMAIN a.1 M03)\n\
             Withheld:\n\
             \x20 IND: indicators and vulnerabilities\n\
             \x20     forbidden by `adult-consent` (SOP R5; CoP 3.1-3, 3.4-7; DOMAIN PROP-10, PROP-12) in the policies of both\n\
             \x20     Ask the person whether this may be shared with this recipient, and record the answer. Without consent only an override ground permits the minimum, for protection.\n\
             \x20     would be allowed if the person consents to sharing it with this recipient\n"
        );
    }

    #[test]
    fn a_child_is_sent_to_a_specialist_and_never_asked_for_consent() {
        let mut desk = attested(Role::NrmCa);
        desk.desk.remove(&DeskAttestation::ChildSpecialist);
        let withheld = one(&judge(Role::Ngo, desk), &child(), Part::Ind);
        assert_eq!(withheld.changes, [Change::ChildSpecialist]);
    }

    #[test]
    fn a_missing_basis_is_named() {
        let mut facts = adult_who_consents();
        facts.legal_bases = BTreeSet::from([LegalBasis::Lb6e]);
        let judge = judge(Role::Ngo, attested(Role::NrmCa));
        let change = |part| one(&judge, &facts, part).changes;
        assert_eq!(change(Part::HltRest), [Change::Basis(LegalBasis::Lb9g)]);
        assert_eq!(
            change(Part::OffCompelled),
            [Change::Basis(LegalBasis::Lb10)]
        );
    }

    #[test]
    fn several_remedies_are_named_together() {
        let mut facts = adult_who_refuses();
        facts.legal_bases = BTreeSet::from([LegalBasis::Lb6e]);
        let judge = judge(Role::Ngo, attested(Role::NrmCa));
        let text = one(&judge, &facts, Part::HltRest).to_string();
        assert!(text.contains(
            "would need, together: a legal basis of Article 9 applies and is cited; the person consents to it"
        ), "{text}");
    }

    #[test]
    fn what_is_never_shared_is_said_to_be_so() {
        let judge = judge(Role::Ngo, attested(Role::NrmCa));
        let withheld = one(&judge, &adult_who_consents(), Part::OffRest);
        assert_eq!(withheld.changes, []);
        assert!(
            withheld
                .to_string()
                .contains("no single change would allow it")
        );
    }

    #[test]
    fn another_purpose_is_named_with_its_meaning() {
        let mut facts = adult_who_consents();
        facts.purpose = Purpose::Protect;
        let judge = judge(Role::Ngo, attested(Role::NrmCa));
        let withheld = one(&judge, &facts, Part::Ind);
        assert_eq!(withheld.changes, [Change::Purpose(Purpose::Ident)]);
        let text = withheld.to_string();
        assert!(
            text.contains("if it truly serves P-IDENT, formal identification"),
            "{text}"
        );
    }
}
