//! The permit: a value that a node must hold before it commits or delivers a message.

use std::collections::BTreeSet;
use std::fmt;

use waypost_proto::id::Digest;
use waypost_proto::manifest::Manifest;
use waypost_proto::reason::Reason;
use waypost_proto::vocabulary::Part;

use crate::judge::{Cause, Decision, Judge, Objection};

/// A message whose every declared part both bundles allow.
///
/// INVARIANT (permitted is proved): [`permit`] is the only constructor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permitted<T> {
    message: T,
    rules: BTreeSet<String>,
    sender_bundle: Digest,
    recipient_bundle: Digest,
}

impl<T> Permitted<T> {
    /// The message.
    pub const fn message(&self) -> &T {
        &self.message
    }

    /// The message, without the permit.
    pub fn into_message(self) -> T {
        self.message
    }

    /// Ids of the rules that permit it, for the log.
    pub const fn rules(&self) -> &BTreeSet<String> {
        &self.rules
    }

    /// The bundles it was judged under, the sender's and the recipient's: preconditions of the commit.
    pub const fn bundles(&self) -> (Digest, Digest) {
        (self.sender_bundle, self.recipient_bundle)
    }
}

/// A message that may not go.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// These parts are not allowed.
    #[error("{}", Parts(.0))]
    Parts(Vec<(Part, Vec<Objection>)>),
    /// The manifest was decided under other bundles than those in force.
    #[error(
        "the message was decided under policy bundles that are not in force; fetch the current bundles and send it again"
    )]
    Bundles,
}

impl Denied {
    /// The reason that stands in the log and goes back to the sender.
    #[must_use]
    pub const fn reason(&self) -> Reason {
        match self {
            Self::Parts(_) => Reason::NotPermitted,
            Self::Bundles => Reason::Bundle,
        }
    }

    /// Ids of the rules that forbid it, for the log.
    #[must_use]
    pub fn rules(&self) -> BTreeSet<String> {
        let Self::Parts(parts) = self else {
            return BTreeSet::new();
        };
        let objections = parts.iter().flat_map(|(_, objections)| objections);
        objections
            .flat_map(|o| match &o.cause {
                Cause::Forbidden(rules) | Cause::Failed(rules) => rules.as_slice(),
                Cause::NothingPermits => &[],
            })
            .map(|rule| rule.id.clone())
            .collect()
    }
}

struct Parts<'a>(&'a [(Part, Vec<Objection>)]);

impl fmt::Display for Parts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not permitted:")?;
        for (index, (part, _)) in self.0.iter().enumerate() {
            write!(f, "{} `{part}`", if index == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

/// Decides again on every part of a message's manifest, and on the envelope, which every message
/// discloses whether its manifest lists it or not. `manifest` finds the manifest in the message, so
/// that a permit cannot be had for one message with the manifest of another.
///
/// # Errors
/// [`Denied::Bundles`] when the manifest names other bundles than the judge's; otherwise every part
/// that is not allowed, with the objections.
pub fn permit<T>(
    judge: &Judge,
    message: T,
    manifest: impl FnOnce(&T) -> &Manifest,
) -> Result<Permitted<T>, Denied> {
    let stated = manifest(&message);
    let sender_bundle = judge.sender_rules.digest();
    let recipient_bundle = judge.recipient_rules.digest();
    let versions = &stated.versions;
    if versions.sender_bundle != sender_bundle || versions.recipient_bundle != recipient_bundle {
        return Err(Denied::Bundles);
    }
    let mut rules = BTreeSet::new();
    let mut denied = Vec::new();
    let mut parts = stated.parts.clone();
    parts.insert(Part::Env);
    for part in parts {
        match judge.judge(&stated.facts, part) {
            Decision::Allow(by) => rules.extend(by.iter().map(|rule| rule.id.clone())),
            Decision::Deny(objections) => denied.push((part, objections)),
        }
    }
    if denied.is_empty() {
        Ok(Permitted {
            message,
            rules,
            sender_bundle,
            recipient_bundle,
        })
    } else {
        Err(Denied::Parts(denied))
    }
}

#[cfg(test)]
mod tests {
    use waypost_proto::manifest::Versions;
    use waypost_proto::vocabulary::{Purpose, Role};

    use super::*;
    use crate::fixtures::{adult_who_consents, attested, built_in, judge};

    fn manifest(parts: &[Part]) -> Manifest {
        let bundle = built_in().digest();
        Manifest {
            facts: adult_who_consents(),
            parts: parts.iter().copied().collect(),
            versions: Versions {
                sender_bundle: bundle,
                recipient_bundle: bundle,
                catalogue: Digest::of(b"catalogue"),
                taxonomy: Digest::of(b"taxonomy"),
            },
            profile: String::new(),
            clocks: Vec::new(),
            due_at: None,
            calendar: String::new(),
        }
    }

    #[test]
    fn a_permit_names_the_rules_and_the_bundles() {
        let judge = judge(Role::Ngo, attested(Role::NrmCa));
        let permitted = permit(&judge, manifest(&[Part::Ind, Part::OffCompelled]), |m| m).unwrap();
        let rules: Vec<_> = permitted.rules().iter().map(String::as_str).collect();
        assert_eq!(
            rules,
            ["referral-compelled-act", "referral-parts", "reply-envelope"]
        );
        assert_eq!(
            permitted.bundles(),
            (built_in().digest(), built_in().digest())
        );
        assert_eq!(permitted.message().parts.len(), 2);
    }

    #[test]
    fn one_part_too_many_denies_the_message_and_is_named() {
        let judge = judge(Role::Ngo, attested(Role::NrmCa));
        let denied = permit(&judge, manifest(&[Part::Ind, Part::OffRest]), |m| m).unwrap_err();
        assert_eq!(denied.reason().code(), "not-permitted");
        assert_eq!(denied.to_string(), "not permitted: `OFF.rest`");
        assert!(denied.rules().contains("offence-isolation"));
    }

    #[test]
    fn a_message_that_declares_no_part_still_discloses_its_envelope() {
        let judge = judge(Role::Ngo, attested(Role::NrmCa));
        let mut empty = manifest(&[]);
        empty.facts.purpose = Purpose::XImmEnf;
        let denied = permit(&judge, empty, |m| m).unwrap_err();
        assert!(denied.rules().contains("never-purpose"));
    }

    #[test]
    fn a_manifest_decided_under_another_bundle_is_refused() {
        let judge = judge(Role::Ngo, attested(Role::NrmCa));
        let mut other = manifest(&[Part::Ind]);
        other.versions.recipient_bundle = Digest::of(b"another");
        assert_eq!(
            permit(&judge, other, |m| m).unwrap_err().reason(),
            Reason::Bundle
        );
    }
}
