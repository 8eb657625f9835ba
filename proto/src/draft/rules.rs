//! What single kinds ask of a draft (MIN-08 to MIN-10).

use super::DraftError;
use crate::form::Form;
use crate::kind::Kind;
use crate::vocabulary::Purpose;

/// The purposes that a request to another State may have, by its type (DOMAIN a.1, M26). A rule sees
/// the purpose, so that what crosses the border depends on what is asked.
const REQUEST_PURPOSES: &[(&str, &[Purpose])] = &[
    ("LOCATE_CHILD", &[Purpose::Trace]),
    ("SITUATION_REPORT", &[Purpose::Child]),
    ("PROTECTIVE_MEASURE", &[Purpose::Child]),
    ("DANGER_ALERT", &[Purpose::Protect]),
    ("PLACEMENT_CONSENT", &[Purpose::Child]),
    ("SAFE_RETURN", &[Purpose::Return]),
    ("FAMILY_TRACE", &[Purpose::Trace]),
    (
        "STATUS_QUERY",
        &[
            Purpose::Child,
            Purpose::Protect,
            Purpose::Trace,
            Purpose::Return,
        ],
    ),
];

/// Whether the type of a request to another State fits its purpose.
pub(crate) fn request_fits(form: &Form, purpose: Purpose) -> bool {
    let wanted = form.text("request.type");
    REQUEST_PURPOSES
        .iter()
        .any(|(code, purposes)| Some(*code) == wanted && purposes.contains(&purpose))
}

/// What the form's kind asks for.
pub(super) fn check(form: &Form, purpose: Purpose) -> Result<(), DraftError> {
    match form.kind() {
        Kind::ReferralChild if !carers_accounted_for(form) => Err(DraftError::Carers),
        Kind::LiaisonRequest if !request_fits(form, purpose) => Err(DraftError::RequestType),
        Kind::LiaisonReply if !result_stated(form) => Err(DraftError::Result),
        _ => Ok(()),
    }
}

/// Those who care for a child are told of a referral, unless that raises a risk, leads to injury of
/// others or obstructs enquiries: one of the two is on record. In immediate danger nobody is asked.
fn carers_accounted_for(form: &Form) -> bool {
    form.flag("fam.carer_informed") == Some(true)
        || form.text("fam.carer_not_informed_reason").is_some()
        || form.flag("rsk.immediate_danger") == Some(true)
}

/// The requested State states the final result (CETS 197 Art 34).
fn result_stated(form: &Form) -> bool {
    match form.text("result.stage") {
        Some("final") => form.text("result.result").is_some(),
        stage => stage.is_some(),
    }
}
