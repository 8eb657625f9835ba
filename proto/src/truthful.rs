//! Whether an opened message says what its manifest declares (DESIGN 3, Truthful).
//!
//! The recipient's client reckons parts, leaks and facts again from the content. A message that
//! discloses more than it declares is a violation: only what was declared is shown, and danger.

use std::collections::BTreeSet;
use std::fmt;

use crate::catalogue::Catalogue;
use crate::draft::{FieldFacts, request_fits};
use crate::form::{Form, FormError};
use crate::kind::Kind;
use crate::manifest::{Facts, Manifest};
use crate::taxonomy::Taxonomy;
use crate::vocabulary::{ConsentState, Part};

/// What is shown whatever was declared: a person in danger is not left so for a wrong manifest.
const DANGER: &str = "rsk.immediate_danger";

/// A form that says what its manifest declares. Made only by [`check`].
#[derive(Debug)]
pub struct Truthful {
    form: Form,
}

impl Truthful {
    /// The form.
    #[must_use]
    pub const fn form(&self) -> &Form {
        &self.form
    }

    /// The form, to keep.
    #[must_use]
    pub fn into_form(self) -> Form {
        self.form
    }
}

/// What is wrong. Names parts and facts, never values.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// TRU-01: the payload is not a form of the kind.
    #[error("TRU-01: {0}")]
    Form(#[from] FormError),
    /// TRU-02: decided under another catalogue or taxonomy than this program knows.
    #[error(
        "TRU-02: the manifest names another {list} than this program knows: update the software"
    )]
    Versions {
        /// `catalogue` or `taxonomy`.
        list: &'static str,
    },
    /// TRU-03: the content discloses parts that the manifest does not declare.
    #[error("TRU-03: the content discloses parts that the manifest does not declare: {}", list(.parts))]
    Understated {
        /// The parts.
        parts: BTreeSet<Part>,
    },
    /// TRU-04: the content holds parts that no message of its kind carries.
    #[error("TRU-04: the content holds parts that no `{kind}` message carries: {}", list(.parts))]
    Ceiling {
        /// The kind.
        kind: Kind,
        /// The parts.
        parts: BTreeSet<Part>,
    },
    /// TRU-05: a fact differs from the field that it comes from.
    #[error("TRU-05: the manifest's `{fact}` is not what the content says")]
    Fact {
        /// The fact.
        fact: &'static str,
    },
    /// TRU-06: the manifest declares parts that the content does not disclose.
    #[error("TRU-06: the manifest declares parts that the content does not disclose: {}", list(.parts))]
    Overstated {
        /// The parts.
        parts: BTreeSet<Part>,
    },
}

impl Fault {
    /// The reason that a desk's report carries (`DeskReport.reason`).
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Form(_) => "form",
            Self::Versions { .. } => "versions",
            Self::Understated { .. } => "understated",
            Self::Ceiling { .. } => "ceiling",
            Self::Fact { .. } => "fact",
            Self::Overstated { .. } => "overstated",
        }
    }

    /// The kind of report that the desk owes.
    #[must_use]
    pub const fn report(&self) -> Kind {
        match self {
            Self::Form(_) | Self::Versions { .. } => Kind::ReportUnreadable,
            _ => Kind::ReportUnderstated,
        }
    }
}

/// A message that is not what its manifest declares, with what may still be shown of it.
#[derive(Debug, thiserror::Error)]
#[error("{fault}")]
pub struct Violation {
    fault: Fault,
    form: Option<Box<Form>>,
}

impl Violation {
    /// What is wrong: the most serious fault found.
    #[must_use]
    pub const fn fault(&self) -> &Fault {
        &self.fault
    }

    /// What may be shown: the values whose own and leaked parts are all declared, and danger. None
    /// if the payload is not a form, or was decided under unknown lists.
    #[must_use]
    pub fn declared_only(self, manifest: &Manifest) -> Option<Form> {
        let mut form = *self.form?;
        let ceiling = form.kind().ceiling();
        let declared = |part: &Part| manifest.parts.contains(part) && ceiling.contains(part);
        form.retain(|leaf| {
            leaf.path() == DANGER || leaf.parts().is_ok_and(|parts| parts.iter().all(declared))
        });
        Some(form)
    }
}

/// Compares a payload with its manifest.
///
/// # Errors
/// TRU-01 to TRU-06 of proto/spec/catalogue.md, the first that applies.
pub fn check(kind: Kind, payload: &[u8], manifest: &Manifest) -> Result<Truthful, Violation> {
    let refused = |fault| Violation { fault, form: None };
    versions(manifest).map_err(refused)?;
    let form = Form::from_bytes(kind, payload).map_err(|e| refused(e.into()))?;
    match compare(&form, manifest) {
        Ok(()) => Ok(Truthful { form }),
        Err(fault) => Err(Violation {
            fault,
            form: Some(Box::new(form)),
        }),
    }
}

fn versions(manifest: &Manifest) -> Result<(), Fault> {
    let catalogue = Catalogue::current().map_err(|e| FormError::from(e.clone()))?;
    let taxonomy = Taxonomy::current().map_err(|e| FormError::from(e.clone()))?;
    if manifest.versions.catalogue != catalogue.digest() {
        return Err(Fault::Versions { list: "catalogue" });
    }
    if manifest.versions.taxonomy != taxonomy.digest() {
        return Err(Fault::Versions { list: "taxonomy" });
    }
    Ok(())
}

fn compare(form: &Form, manifest: &Manifest) -> Result<(), Fault> {
    let found = form.parts()?;
    let undeclared: BTreeSet<Part> = found.difference(&manifest.parts).copied().collect();
    if !undeclared.is_empty() {
        return Err(Fault::Understated { parts: undeclared });
    }
    let kind = form.kind();
    let beyond: BTreeSet<Part> = found
        .into_iter()
        .filter(|p| !kind.ceiling().contains(p))
        .collect();
    if !beyond.is_empty() {
        return Err(Fault::Ceiling {
            kind,
            parts: beyond,
        });
    }
    facts(form, &manifest.facts)?;
    let disclosed = form.parts()?;
    let missing: BTreeSet<Part> = manifest.parts.difference(&disclosed).copied().collect();
    if missing.is_empty() {
        Ok(())
    } else {
        Err(Fault::Overstated { parts: missing })
    }
}

/// Compares each fact whose source fields came along. All source fields of one fact have one part,
/// so that they come or stay together.
fn facts(form: &Form, declared: &Facts) -> Result<(), Fault> {
    let holds = |part: Part| form.leaves().iter().any(|leaf| leaf.part() == part);
    let found = FieldFacts::of(form);
    let differs = |fact, differs: bool| {
        if differs {
            Err(Fault::Fact { fact })
        } else {
            Ok(())
        }
    };
    if form.kind() == Kind::LiaisonRequest && holds(Part::Env) {
        differs("purpose", !request_fits(form, declared.purpose))?;
    }
    if holds(Part::Age) {
        differs("minor_status", declared.minor_status != found.minor_status)?;
    }
    if holds(Part::RskRest) {
        differs("danger", declared.danger != found.danger)?;
    }
    if holds(Part::CnsRest) {
        // Consent depends on minor status, which may have stayed behind.
        let found = FieldFacts::under(form, declared.minor_status);
        differs("consent", !consent_agrees(declared, found.consent))?;
        differs(
            "consented_parts",
            declared.consented_parts != found.consented_parts,
        )?;
        let ground = found.override_ground;
        differs(
            "override_ground",
            ground.is_some() && ground != declared.override_ground,
        )?;
    }
    Ok(())
}

fn consent_agrees(declared: &Facts, found: ConsentState) -> bool {
    match declared.consent {
        ConsentState::Overridden => {
            matches!(found, ConsentState::Refused | ConsentState::Withdrawn)
        }
        consent => consent == found,
    }
}

fn list(parts: &BTreeSet<Part>) -> impl fmt::Display {
    parts
        .iter()
        .map(|p| p.code())
        .collect::<Vec<_>>()
        .join(", ")
}

#[cfg(test)]
mod tests;
