//! `policy explain`: why a part, or a whole form, may or may not go to a desk.

use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use serde::Serialize;
use waypost_policies::explain::{self, Explanation, SharedPart, WithheldPart};
use waypost_policies::{Cause, Judge, RecipientDesk, SenderFacts, Zone};
use waypost_proto::catalogue::Catalogue;
use waypost_proto::draft::{Draft, Request};
use waypost_proto::form::Form;
use waypost_proto::kind::Kind;
use waypost_proto::limit;
use waypost_proto::manifest::{Facts, Versions};
use waypost_proto::taxonomy::Taxonomy;
use waypost_proto::vocabulary::{
    AgencyAttestation, ConsentState, DeskAttestation, Handling, MinorStatus,
};
use zeroize::Zeroizing;

use super::{rules, set};
use crate::adapter::uk_nrm::{self, NotCarried};
use crate::args::{Explain, FormFormat, ZoneName};
use crate::home::read_file;
use crate::output::{Failure, Output, Page, Report};

/// Days that an explanation assumes; no rule of the schema's tests it alone.
const RETENTION_DAYS: u32 = 365;

#[derive(Debug, Serialize)]
struct Explained {
    role: &'static str,
    purpose: &'static str,
    bundle: String,
    shared: Vec<SharedLine>,
    withheld: Vec<WithheldLine>,
    outside_kind: Vec<&'static str>,
    /// Answers of another system's form that have no place in ours.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    not_carried: Vec<NotCarriedLine>,
    #[serde(skip)]
    text: String,
}

#[derive(Debug, Serialize)]
struct NotCarriedLine {
    key: &'static str,
    reason: &'static str,
}

#[derive(Debug, Serialize)]
struct SharedLine {
    part: &'static str,
    rules: Vec<RuleLine>,
}

#[derive(Debug, Serialize)]
struct WithheldLine {
    part: &'static str,
    forbidden_by: Vec<RuleLine>,
    would_be_allowed_if: Vec<String>,
}

#[derive(Debug, Serialize)]
struct RuleLine {
    id: String,
    source: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    advice: String,
}

impl RuleLine {
    fn of(rule: &waypost_policies::Rule) -> Self {
        Self {
            id: rule.id.clone(),
            source: rule.source.clone(),
            advice: rule.advice.clone(),
        }
    }
}

impl SharedLine {
    fn of(shared: &SharedPart) -> Self {
        let rules = shared.rules.iter().map(|rule| RuleLine::of(rule)).collect();
        Self {
            part: shared.part.code(),
            rules,
        }
    }
}

impl WithheldLine {
    fn of(withheld: &WithheldPart) -> Self {
        let mut forbidden_by: Vec<RuleLine> = Vec::new();
        for objection in &withheld.objections {
            if let Cause::Forbidden(rules) | Cause::Failed(rules) = &objection.cause {
                forbidden_by.extend(rules.iter().map(|rule| RuleLine::of(rule)));
            }
        }
        Self {
            part: withheld.part.code(),
            forbidden_by,
            would_be_allowed_if: withheld.changes.iter().map(ToString::to_string).collect(),
        }
    }
}

impl Explained {
    fn of(explanation: &Explanation, bundle: String, not_carried: &[NotCarried]) -> Self {
        Self {
            role: explanation.role.code(),
            purpose: explanation.purpose.code(),
            bundle,
            shared: explanation.shared.iter().map(SharedLine::of).collect(),
            withheld: explanation.withheld.iter().map(WithheldLine::of).collect(),
            outside_kind: explanation
                .outside_kind
                .iter()
                .map(|part| part.code())
                .collect(),
            not_carried: not_carried
                .iter()
                .map(|n| NotCarriedLine {
                    key: n.key,
                    reason: n.reason,
                })
                .collect(),
            text: explanation.to_string(),
        }
    }
}

impl Report for Explained {
    const COMMAND: &'static str = "policy explain";

    fn page(&self, page: &mut Page) {
        self.text.lines().for_each(|line| page.line(line));
        if !self.not_carried.is_empty() {
            page.line("Not taken over from the form:");
        }
        for not_carried in &self.not_carried {
            page.item(&format!("{}: {}", not_carried.key, not_carried.reason));
        }
    }
}

/// Explains.
///
/// # Errors
/// A bundle or form at fault, or facts that do not fit together.
pub fn explain(wanted: &Explain) -> Result<Output, Failure> {
    let rules = rules(wanted.bundle.bundle.as_deref())?;
    let recipient = RecipientDesk {
        role: wanted.role,
        desk: set(&wanted.desk_attest),
        agency: set(&wanted.attest),
        zone: match wanted.zone {
            ZoneName::Domestic => Zone::Domestic,
            ZoneName::Adequate => Zone::Adequate,
            ZoneName::Other => Zone::Other,
        },
    };
    // A sender is asked about its recipient here; of itself the best is assumed.
    let sender = SenderFacts {
        role: wanted.sender,
        desk: set(DeskAttestation::ALL),
        agency: set(AgencyAttestation::ALL),
    };
    let digest = rules.digest();
    let judge = Judge {
        sender_rules: Arc::clone(&rules),
        recipient_rules: rules,
        recipient,
        sender,
    };
    let mut not_carried = Vec::new();
    let explanation = match &wanted.form {
        None => explain::parts(&judge, &facts(wanted)?, &set(&wanted.part)),
        Some(path) => {
            let draft = draft(wanted, path, &mut not_carried)?;
            let versions = Versions {
                sender_bundle: digest,
                recipient_bundle: digest,
                catalogue: Catalogue::current().map_err(|e| at_fault(e))?.digest(),
                taxonomy: Taxonomy::current().map_err(|e| at_fault(e))?.digest(),
            };
            let outcome = draft
                .minimise(&judge, versions)
                .map_err(|e| Failure::invalid("the form cannot be judged").caused_by(&e))?;
            explain::minimisation(&judge, &outcome)
        }
    };
    Ok(Output::of(&Explained::of(
        &explanation,
        digest.to_string(),
        &not_carried,
    )))
}

fn at_fault(error: &dyn std::error::Error) -> Failure {
    Failure::error("this build is at fault").caused_by(error)
}

/// The facts as given. They are those of one message, so they must fit together.
fn facts(wanted: &Explain) -> Result<Facts, Failure> {
    let consent = wanted.consent.unwrap_or(ConsentState::NotRequired);
    if wanted.override_ground.is_some() != (consent == ConsentState::Overridden) {
        return Err(
            Failure::invalid("`--override-ground` and `--consent overridden` go together")
                .next("give both, or neither"),
        );
    }
    let consented = match (consent, wanted.consented.as_slice()) {
        (ConsentState::Given, []) => set(&wanted.part),
        (_, given) => set(given),
    };
    Ok(Facts {
        purpose: wanted.purpose,
        legal_bases: set(&wanted.basis),
        minor_status: wanted.minor.unwrap_or(MinorStatus::Unknown),
        consent,
        consented_parts: consented,
        override_ground: wanted.override_ground,
        danger: wanted.danger,
        handling: Handling::H2,
        retention_days: RETENTION_DAYS,
        transfer_basis: wanted.transfer_basis,
        represented: wanted.represented,
    })
}

fn draft(
    wanted: &Explain,
    path: &Path,
    not_carried: &mut Vec<NotCarried>,
) -> Result<Draft, Failure> {
    let form = read_form(path, wanted.format, not_carried)?;
    let request = Request {
        purpose: wanted.purpose,
        legal_bases: set(&wanted.basis),
        handling: Handling::H2,
        retention_days: RETENTION_DAYS,
        transfer_basis: wanted.transfer_basis,
        override_ground: wanted.override_ground,
        represented: wanted.represented,
        no_origin_conflict: true,
        no_implicated_party: true,
        profile: String::new(),
    };
    Draft::new(form, request)
        .map_err(|e| Failure::invalid("the form cannot be judged").caused_by(&e))
}

fn read_form(
    path: &Path,
    format: FormFormat,
    not_carried: &mut Vec<NotCarried>,
) -> Result<Form, Failure> {
    let text = read_text(path)?;
    let refused = |error: &dyn std::error::Error| {
        Failure::invalid("the form is not accepted")
            .caused_by(error)
            .next("correct the form, or say in which format it is: `--as waypost` or `--as uk-nrm`")
    };
    match format {
        FormFormat::Waypost => {
            Form::from_named_json(&text, Kind::ReferralNrm).map_err(|e| refused(&e))
        }
        FormFormat::UkNrm => {
            let adapted = uk_nrm::read(&text).map_err(|e| refused(&e))?;
            not_carried.extend(adapted.not_carried);
            Ok(adapted.form)
        }
    }
}

fn read_text(path: &Path) -> Result<Zeroizing<String>, Failure> {
    let bytes = if path == Path::new("-") {
        let mut bytes = Zeroizing::new(Vec::new());
        let most = u64::try_from(limit::FORM_JSON_BYTES)
            .unwrap_or_default()
            .saturating_add(1);
        std::io::stdin()
            .take(most)
            .read_to_end(&mut bytes)
            .map_err(|e| Failure::error("standard input cannot be read").caused_by(&e))?;
        bytes
    } else {
        read_file(path, limit::FORM_JSON_BYTES)?
    };
    let text = std::str::from_utf8(&bytes)
        .map_err(|e| Failure::invalid("the form is not UTF-8 text").caused_by(&e))?;
    Ok(Zeroizing::new(text.to_owned()))
}
