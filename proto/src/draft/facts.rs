//! The facts that have a source field in the form, and those that the request gives (MIN-03).

use std::collections::BTreeSet;

use super::{DraftError, Request};
use crate::form::Form;
use crate::manifest::Facts;
use crate::vocabulary::{ConsentState, MinorStatus, OverrideGround, Part};

/// The facts that a form's fields give. The recipient's client reckons them again (TRU-05).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FieldFacts {
    pub(crate) minor_status: MinorStatus,
    /// Before any override.
    pub(crate) consent: ConsentState,
    pub(crate) consented_parts: BTreeSet<Part>,
    pub(crate) override_ground: Option<OverrideGround>,
    pub(crate) danger: bool,
}

impl FieldFacts {
    /// Reads the facts from the fields. An absent minor status is unknown.
    pub(crate) fn of(form: &Form) -> Self {
        let code = form.text("age.minor_status");
        let minor_status = code
            .and_then(|c| c.parse().ok())
            .unwrap_or(MinorStatus::Unknown);
        Self::under(form, minor_status)
    }

    /// The same, with a minor status that the form may not hold.
    pub(crate) fn under(form: &Form, minor_status: MinorStatus) -> Self {
        let ground = form.text("cns.override_ground");
        Self {
            minor_status,
            consent: consent(form, minor_status),
            consented_parts: consented_parts(form),
            override_ground: ground.and_then(|code| code.parse().ok()),
            danger: form.flag("rsk.immediate_danger").unwrap_or(false),
        }
    }
}

/// A child's, and a possible child's, referral is never blocked by consent (DOMAIN PROP-12). An
/// adult who is not recorded as agreeing has not agreed.
fn consent(form: &Form, minor_status: MinorStatus) -> ConsentState {
    if minor_status.is_childish() {
        ConsentState::NotRequired
    } else if form.text("cns.withdrawn_at").is_some() {
        ConsentState::Withdrawn
    } else if form.text("cns.participation_consent") == Some("given") {
        ConsentState::Given
    } else {
        ConsentState::Refused
    }
}

/// The whole referral is what its kind may hold; else the parts that are listed; else none.
fn consented_parts(form: &Form) -> BTreeSet<Part> {
    if form.text("cns.withdrawn_at").is_some()
        || form.text("cns.participation_consent") == Some("refused")
    {
        BTreeSet::new()
    } else if form.flag("cns.sharing_consent.whole_referral") == Some(true) {
        form.kind().ceiling().iter().copied().collect()
    } else {
        let listed = form.texts("cns.sharing_consent.parts");
        listed.iter().filter_map(|code| code.parse().ok()).collect()
    }
}

/// All facts of a disclosure.
pub(super) fn facts(form: &Form, request: &Request) -> Result<Facts, DraftError> {
    let fields = FieldFacts::of(form);
    let override_ground = request.override_ground;
    if fields.override_ground.is_some() && fields.override_ground != override_ground {
        return Err(DraftError::OverrideDiffers);
    }
    let needed = matches!(
        fields.consent,
        ConsentState::Refused | ConsentState::Withdrawn
    );
    let consent = match override_ground {
        None => fields.consent,
        Some(_) if needed => ConsentState::Overridden,
        Some(_) => return Err(DraftError::OverrideUnneeded),
    };
    Ok(Facts {
        purpose: request.purpose,
        legal_bases: request.legal_bases.clone(),
        minor_status: fields.minor_status,
        consent,
        consented_parts: fields.consented_parts,
        override_ground,
        danger: fields.danger,
        handling: request.handling,
        retention_days: request.retention_days,
        transfer_basis: request.transfer_basis,
        represented: request.represented,
    })
}
