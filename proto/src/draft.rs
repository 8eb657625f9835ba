//! From a draft to what may be sealed: facts, decisions, and what is taken out.
//!
//! ```text
//! Form + Request -> Draft -> minimise(decider) -> Minimised (sealed next) + what was withheld
//! ```
//!
//! INVARIANT (minimised before sealed): a [`Minimised`] is only made by [`Draft::minimise`], which
//! keeps a value only if its own part and every part that it leaks were allowed. `seal` takes
//! nothing else.

mod facts;
mod minimise;
mod origin;
mod rules;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use zeroize::Zeroizing;

use crate::form::{Form, FormError};
use crate::kind::Kind;
use crate::limit;
use crate::manifest::{Facts, Manifest, Versions};
use crate::vocabulary::{ConsentState, Handling, LegalBasis, OverrideGround, Part, Purpose};

pub(crate) use facts::FieldFacts;
pub use origin::no_origin_conflict;
pub(crate) use rules::request_fits;

/// What the officer says of a disclosure, besides the form.
#[derive(Debug, Clone)]
pub struct Request {
    /// What it is for.
    pub purpose: Purpose,
    /// Legal bases cited.
    pub legal_bases: BTreeSet<LegalBasis>,
    /// Handling code.
    pub handling: Handling,
    /// Days after which the recipient is to review erasure.
    pub retention_days: u32,
    /// Basis of a transfer to another State; none within a State.
    pub transfer_basis: Option<LegalBasis>,
    /// Why a refusal or absence of consent is overridden.
    pub override_ground: Option<OverrideGround>,
    /// The person is represented for this purpose.
    pub represented: bool,
    /// No recipient is in a State that the person needs protection from. The officer's client has
    /// compared citizenship, claim and risk ([`no_origin_conflict`]); none of the three leaves for it.
    pub no_origin_conflict: bool,
    /// No recipient is a party implicated in the case.
    pub no_implicated_party: bool,
    /// Profile that the clocks come from, such as `GB-EAW-NRM`.
    pub profile: String,
}

/// A draft that cannot be sent as it is. Says what to do, and no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DraftError {
    /// MIN-01: no legal basis, or more than fit.
    #[error("MIN-01: give 1 to {limit} legal bases, such as LB-6E")]
    Bases {
        /// Bases allowed.
        limit: usize,
    },
    /// MIN-01: the transfer basis is not one of a transfer.
    #[error(
        "MIN-01: `{code}` is not a basis of a transfer to another State: give LB-T45, LB-T46, LB-T49D or LB-T49F"
    )]
    Transfer {
        /// The code.
        code: &'static str,
    },
    /// MIN-02: a recipient is in a State that the person needs protection from.
    #[error(
        "MIN-02: the recipient is in, or acts for, a State that the person may need protection from: do not send; ask your safeguarding lead"
    )]
    OriginConflict,
    /// MIN-02: a recipient is implicated in the case.
    #[error(
        "MIN-02: the recipient is implicated in the case: do not send; ask your safeguarding lead for another recipient"
    )]
    ImplicatedParty,
    /// MIN-03: an override where none is needed.
    #[error(
        "MIN-03: an override ground is given, but consent is given or not required: take the ground out"
    )]
    OverrideUnneeded,
    /// MIN-03: the ground of the request and of the form differ.
    #[error(
        "MIN-03: the override ground of the request differs from `cns.override_ground`: make them the same"
    )]
    OverrideDiffers,
    /// MIN-08: a referral to child protection that does not say whether the carers know of it.
    #[error(
        "MIN-08: say whether those who care for the child were told (`fam.carer_informed`) or why not (`fam.carer_not_informed_reason`)"
    )]
    Carers,
    /// MIN-09: a request to another State without a type, or with one that the purpose does not fit.
    #[error(
        "MIN-09: `request.type` is missing, or does not fit the purpose: see proto/spec/catalogue.md, Requests to another State"
    )]
    RequestType,
    /// MIN-10: a reply to another State that does not say what came of the request.
    #[error(
        "MIN-10: say in `result.stage` whether this is `interim` or `final`; a final reply states its `result.result`"
    )]
    Result,
    /// FORM-01: too large once minimised.
    #[error(transparent)]
    Form(#[from] FormError),
}

/// Whose rules object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// The sender's.
    Sender,
    /// The recipient's.
    Recipient,
    /// Those of both.
    Both,
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sender => "the sender's policies",
            Self::Recipient => "the recipient's policies",
            Self::Both => "the policies of both",
        })
    }
}

/// Why a part is withheld.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// No message of this kind carries it (DOMAIN a.1).
    KindCeiling,
    /// A rule forbids it.
    Forbidden {
        /// Whose rule.
        by: Side,
        /// The rule's id.
        rule: String,
        /// What the officer can do.
        advice: String,
        /// Document and clause that the rule comes from.
        source: String,
    },
    /// No rule allows it.
    NotPermitted {
        /// In whose rules.
        by: Side,
    },
    /// The rules could not be evaluated: withheld to be safe.
    Error,
}

/// The decision on one part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It may be disclosed.
    Allow {
        /// Ids of the rules that allow it.
        rules: Vec<String>,
    },
    /// It may not.
    Withhold(Reason),
}

/// Decides whether a part may be disclosed; the recipient is the decider's own knowledge.
pub trait Decider {
    /// The decision on `part` under `facts`. Errors of evaluation are [`Reason::Error`].
    fn decide(&self, facts: &Facts, part: Part) -> Verdict;
}

/// A form with the facts of its disclosure.
#[derive(Debug)]
pub struct Draft {
    form: Form,
    facts: Facts,
    profile: String,
}

/// A field, or one code of a list, that was taken out.
#[derive(Clone, PartialEq, Eq)]
pub struct Withheld {
    /// The field's path in the form.
    pub path: &'static str,
    /// What people call it.
    pub label: &'static str,
    /// The part that may not be disclosed: its own, or one that the code leaks.
    pub part: Part,
    /// Why.
    pub reason: Reason,
    /// The code, if one code was taken out. A value: not for logs.
    pub code: Option<String>,
}

/// A field, or one code of a list, that stays in.
#[derive(Clone, PartialEq, Eq)]
pub struct Shared {
    /// The field's path in the form.
    pub path: &'static str,
    /// What people call it.
    pub label: &'static str,
    /// The part that it belongs to.
    pub part: Part,
    /// Ids of the rules that allow it and what it leaks.
    pub rules: Vec<String>,
    /// The code, if it is one of a list of codes. A value: not for logs.
    pub code: Option<String>,
}

impl fmt::Debug for Withheld {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Withheld")
            .field("path", &self.path)
            .field("part", &self.part)
            .field("reason", &self.reason)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("path", &self.path)
            .field("part", &self.part)
            .field("rules", &self.rules)
            .finish_non_exhaustive()
    }
}

/// The outcome of minimisation.
#[derive(Debug)]
pub struct Minimisation {
    /// What may be sealed.
    pub minimised: Minimised,
    /// What was taken out, and why.
    pub withheld: Vec<Withheld>,
    /// What stays in, and under which rules.
    pub shared: Vec<Shared>,
}

/// What may be sealed: only what was allowed, and the manifest that says which parts.
pub struct Minimised {
    kind: Kind,
    manifest: Manifest,
    payload: Zeroizing<Vec<u8>>,
}

impl Minimised {
    /// The kind of the message.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// The facts, without values.
    #[must_use]
    pub const fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The form's bytes.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }
}

impl fmt::Debug for Minimised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Minimised")
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

impl Draft {
    /// Derives the facts of the disclosure from the form and the request.
    ///
    /// # Errors
    /// MIN-01 to MIN-03, MIN-08 to MIN-10.
    pub fn new(form: Form, request: Request) -> Result<Self, DraftError> {
        if request.legal_bases.is_empty() || request.legal_bases.len() > limit::MANIFEST_BASES {
            return Err(DraftError::Bases {
                limit: limit::MANIFEST_BASES,
            });
        }
        if let Some(basis) = request.transfer_basis.filter(|b| !b.is_transfer()) {
            return Err(DraftError::Transfer { code: basis.code() });
        }
        if !request.no_origin_conflict {
            return Err(DraftError::OriginConflict);
        }
        if !request.no_implicated_party {
            return Err(DraftError::ImplicatedParty);
        }
        rules::check(&form, request.purpose)?;
        let facts = facts::facts(&form, &request)?;
        Ok(Self {
            form,
            facts,
            profile: request.profile,
        })
    }

    /// The facts that the decisions rest on.
    #[must_use]
    pub const fn facts(&self) -> &Facts {
        &self.facts
    }

    /// The form, whole.
    #[must_use]
    pub const fn form(&self) -> &Form {
        &self.form
    }

    /// Asks the decider once a part, and takes out what may not be disclosed (MIN-04 to MIN-07).
    ///
    /// # Errors
    /// FORM-01 if what remains is larger than a payload may be.
    pub fn minimise(
        self,
        decider: &impl Decider,
        versions: Versions,
    ) -> Result<Minimisation, DraftError> {
        let verdicts = self.verdicts(decider)?;
        let (withheld, shared) = minimise::sort(&self.form, &verdicts)?;
        let mut form = self.form;
        form.retain(|leaf| {
            !withheld
                .iter()
                .any(|w| w.path == leaf.path() && w.code.as_deref() == leaf.code())
        });
        let payload = form.to_bytes();
        if payload.len() > limit::PAYLOAD_BYTES {
            let (found, limit) = (payload.len(), limit::PAYLOAD_BYTES);
            return Err(FormError::TooLarge { found, limit }.into());
        }
        let manifest = Manifest {
            facts: self.facts,
            parts: form.parts()?,
            versions,
            profile: self.profile,
            clocks: Vec::new(),
            due_at: None,
            calendar: String::new(),
        };
        let minimised = Minimised {
            kind: form.kind(),
            manifest,
            payload,
        };
        Ok(Minimisation {
            minimised,
            withheld,
            shared,
        })
    }

    /// One verdict for each part that the form discloses.
    fn verdicts(&self, decider: &impl Decider) -> Result<BTreeMap<Part, Verdict>, DraftError> {
        let ceiling = self.form.kind().ceiling();
        let parts = self.form.parts()?;
        // Consent cannot widen a kind: beyond the ceiling only a rule that holds whatever the person
        // says is worth naming.
        let mut whatever_the_person_says = self.facts.clone();
        if whatever_the_person_says.consent != ConsentState::NotRequired {
            whatever_the_person_says.consent = ConsentState::Given;
            whatever_the_person_says.override_ground = None;
        }
        whatever_the_person_says.consented_parts = Part::ALL.iter().copied().collect();
        let verdict = |part: Part| {
            if ceiling.contains(&part) {
                return decider.decide(&self.facts, part);
            }
            match decider.decide(&whatever_the_person_says, part) {
                Verdict::Withhold(reason @ Reason::Forbidden { .. }) => Verdict::Withhold(reason),
                _ => Verdict::Withhold(Reason::KindCeiling),
            }
        };
        Ok(parts
            .into_iter()
            .map(|part| (part, verdict(part)))
            .collect())
    }
}

#[cfg(test)]
mod rules_tests;
#[cfg(test)]
mod tests;
