//! Sorting a form's values by the verdicts on their parts (MIN-04 to MIN-06).

use std::collections::{BTreeMap, BTreeSet};

use super::{Reason, Shared, Side, Verdict, Withheld};
use crate::form::{Form, FormError, Leaf};
use crate::vocabulary::Part;

/// Addresses that leave only with the flag that it is safe to use them (DOMAIN b, SAF).
const SAFE_FLAGS: &[(&str, &str)] = &[
    ("saf.phone", "saf.safe_to_phone"),
    ("saf.alternative_phone", "saf.safe_to_phone"),
    ("saf.email", "saf.safe_to_email"),
    ("saf.postal_", "saf.safe_to_post"),
    ("saf.alternative_contact_relationship", "saf.safe_to_phone"),
    (
        "saf.alternative_contact_",
        "saf.alternative_contact_permission",
    ),
];

/// Sorts every value into what is withheld and what is shared.
pub(super) fn sort(
    form: &Form,
    verdicts: &BTreeMap<Part, Verdict>,
) -> Result<(Vec<Withheld>, Vec<Shared>), FormError> {
    let mut withheld = Vec::new();
    let mut shared = Vec::new();
    for leaf in form.leaves() {
        let code = leaf.code().map(str::to_owned);
        let (path, label) = (leaf.path(), leaf.field().label());
        match judge(form, &leaf, verdicts)? {
            Ok(rules) => shared.push(Shared {
                path,
                label,
                part: leaf.part(),
                rules,
                code,
            }),
            Err((part, reason)) => withheld.push(Withheld {
                path,
                label,
                part,
                reason,
                code,
            }),
        }
    }
    Ok((withheld, shared))
}

type Judgement = Result<Vec<String>, (Part, Reason)>;

/// The rules that allow a value, or the first part that withholds it and why; its own part first.
fn judge(
    form: &Form,
    leaf: &Leaf<'_>,
    verdicts: &BTreeMap<Part, Verdict>,
) -> Result<Judgement, FormError> {
    let leaked = leaf.parts()?;
    let own_first =
        std::iter::once(leaf.part()).chain(leaked.into_iter().filter(|p| *p != leaf.part()));
    let mut rules = BTreeSet::new();
    for part in own_first {
        match verdicts.get(&part) {
            Some(Verdict::Allow { rules: allowing }) => rules.extend(allowing.iter().cloned()),
            Some(Verdict::Withhold(reason)) => return Ok(Err((part, reason.clone()))),
            None => return Ok(Err((part, Reason::NotPermitted { by: Side::Both }))),
        }
    }
    if let Some(reason) = unsafe_address(form, leaf.path()) {
        return Ok(Err((leaf.part(), reason)));
    }
    Ok(Ok(rules.into_iter().collect()))
}

/// MIN-06: an address without the flag that it is safe.
fn unsafe_address(form: &Form, path: &str) -> Option<Reason> {
    let (_, flag) = SAFE_FLAGS
        .iter()
        .find(|(address, flag)| path.starts_with(address) && path != *flag)?;
    (form.flag(flag) != Some(true)).then(|| Reason::Forbidden {
        by: Side::Both,
        rule: "MIN-06".to_owned(),
        advice: format!("Ask the person, and record `{flag}` as true if it is so."),
        source: "DOMAIN b, SAF: never as a bare address without the safe flags".to_owned(),
    })
}
