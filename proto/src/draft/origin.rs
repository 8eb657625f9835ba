//! Whether a recipient is in a State that the person needs protection from (MIN-02, DOMAIN PROP-23).

use crate::form::Form;

/// Whether nothing speaks against a recipient in the State `to`, as far as the form tells. `from` and
/// `to` are two-letter countries, as agency ids begin with.
///
/// Within a State there is no conflict. Abroad there may be one when the person claims protection, may
/// claim it or has it, or must not be returned. Then the recipient's State must be known not to be
/// theirs: citizenship is recorded, as a two-letter code, and is another. Whatever is not a code may
/// be any State.
#[must_use]
pub fn no_origin_conflict(form: &Form, from: &str, to: &str) -> bool {
    from == to || !needs_protection(form) || is_of_other_states(form, to)
}

fn needs_protection(form: &Form) -> bool {
    form.flag("rsk.non_refoulement_flag") == Some(true)
        || form
            .text("imm.protection_claim")
            .is_some_and(|claim| claim != "none")
}

fn is_of_other_states(form: &Form, to: &str) -> bool {
    let other = |state: &str| {
        state.len() == 2
            && state.bytes().all(|b| b.is_ascii_alphabetic())
            && !state.eq_ignore_ascii_case(to)
    };
    form.text("imm.citizenship").is_some_and(other)
        && form.text("imm.second_citizenship").is_none_or(other)
}
