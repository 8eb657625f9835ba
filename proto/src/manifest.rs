//! The manifest: the facts of a disclosure that nodes act on, without a value (DESIGN 3).

use std::collections::BTreeSet;
use std::str::FromStr;

use crate::id::{Digest, IdError, Timestamp};
use crate::limit;
use crate::vocabulary::{
    ConsentState, Handling, LegalBasis, MinorStatus, OverrideGround, Part, Purpose, UnknownCode,
};
use crate::wire;

/// The facts that a sharing decision rests on. None is a value from a form.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Facts {
    /// What the disclosure is for.
    pub purpose: Purpose,
    /// Legal bases cited.
    pub legal_bases: BTreeSet<LegalBasis>,
    /// Whether the person is a child.
    pub minor_status: MinorStatus,
    /// Consent, as it stands for this recipient.
    pub consent: ConsentState,
    /// Parts that the consent covers for this recipient.
    pub consented_parts: BTreeSet<Part>,
    /// Why a refusal is overridden.
    pub override_ground: Option<OverrideGround>,
    /// Immediate danger to a person.
    pub danger: bool,
    /// Handling code.
    pub handling: Handling,
    /// Days after which the recipient is to review erasure.
    pub retention_days: u32,
    /// Basis of a transfer to another State.
    pub transfer_basis: Option<LegalBasis>,
    /// The person is represented for this purpose.
    pub represented: bool,
}

/// What the parts were decided under, by digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Versions {
    /// The sender's policy bundle.
    pub sender_bundle: Digest,
    /// The recipient's policy bundle.
    pub recipient_bundle: Digest,
    /// The catalogue of fields and parts.
    pub catalogue: Digest,
    /// The indicator taxonomy.
    pub taxonomy: Digest,
}

/// The manifest of one message. Its facts are asserted by the sender; the recipient's client checks
/// those that have a source field once the body is open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// The facts.
    pub facts: Facts,
    /// Parts disclosed in the body, leaks of codes included.
    pub parts: BTreeSet<Part>,
    /// What they were decided under.
    pub versions: Versions,
    /// Profile that the clocks come from, such as `GB-EAW-NRM`.
    pub profile: String,
    /// Clock codes started or stopped.
    pub clocks: Vec<String>,
    /// Instant by which the recipient owes an answer; none until clocks exist.
    pub due_at: Option<Timestamp>,
    /// Calendar and version that `due_at` was reckoned with; empty without one.
    pub calendar: String,
}

/// A manifest that breaks a rule of proto/spec/message.md.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// MAN-01: a code is not in its vocabulary.
    #[error("MAN-01: {0}")]
    Code(#[from] UnknownCode),
    /// MAN-02: an enumeration holds no known value.
    #[error("MAN-02: `{field}` holds no known value")]
    Unspecified {
        /// The field.
        field: &'static str,
    },
    /// MAN-03: a list is not sorted, repeats a value, or is longer than its limit.
    #[error("MAN-03: `{field}` is not sorted, repeats a value or exceeds {limit} values")]
    List {
        /// The field.
        field: &'static str,
        /// Values allowed.
        limit: usize,
    },
    /// MAN-04: no legal basis.
    #[error("MAN-04: the manifest cites no legal basis")]
    NoBasis,
    /// MAN-05: an assertion that is constant in every permitted message is missing.
    #[error("MAN-05: `{field}` is not asserted")]
    NotAsserted {
        /// The field.
        field: &'static str,
    },
    /// MAN-06: a digest has the wrong length.
    #[error("MAN-06: `{field}`: {source}")]
    Digest {
        /// The field.
        field: &'static str,
        /// What is wrong.
        source: IdError,
    },
    /// MAN-07: an override ground without an overridden consent, or the reverse.
    #[error("MAN-07: an override ground and consent `overridden` go together")]
    Override,
    /// MAN-08: a clock before clocks exist, or a text that is not a plain code.
    #[error(
        "MAN-08: `{field}` is not a plain code of at most 32 characters, or stands without a clock"
    )]
    Clock {
        /// The field.
        field: &'static str,
    },
    /// MAN-09: the transfer basis is not one of a transfer.
    #[error("MAN-09: `{code}` is not a transfer basis")]
    Transfer {
        /// The code.
        code: &'static str,
    },
}

fn in_order(field: &'static str, limit: usize, codes: &[String]) -> Result<(), ManifestError> {
    if codes.len() > limit || !codes.is_sorted_by(|a, b| a < b) {
        return Err(ManifestError::List { field, limit });
    }
    Ok(())
}

fn sorted<T: FromStr<Err = UnknownCode> + Ord>(
    field: &'static str,
    limit: usize,
    codes: &[String],
) -> Result<BTreeSet<T>, ManifestError> {
    in_order(field, limit, codes)?;
    codes.iter().map(|c| known(c)).collect()
}

/// A code of a closed vocabulary; the error does not repeat what a peer sent.
fn known<T: FromStr<Err = UnknownCode>>(code: &str) -> Result<T, ManifestError> {
    code.parse()
        .map_err(|e: UnknownCode| ManifestError::Code(e.without_input()))
}

fn digest(field: &'static str, bytes: &[u8]) -> Result<Digest, ManifestError> {
    Digest::try_from(bytes).map_err(|source| ManifestError::Digest { field, source })
}

fn plain(field: &'static str, code: &str) -> Result<(), ManifestError> {
    let ok = code.len() <= 32
        && code
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'@' | b'.' | b'_'));
    if ok {
        Ok(())
    } else {
        Err(ManifestError::Clock { field })
    }
}

fn codes<T: Copy>(set: &BTreeSet<T>, code: fn(T) -> &'static str) -> Vec<String> {
    let mut list: Vec<String> = set.iter().map(|v| code(*v).to_owned()).collect();
    list.sort();
    list
}

fn optional<T: FromStr<Err = UnknownCode>>(code: &str) -> Result<Option<T>, ManifestError> {
    if code.is_empty() {
        Ok(None)
    } else {
        known(code).map(Some)
    }
}

impl Manifest {
    /// Parses the wire form.
    ///
    /// # Errors
    /// MAN-01 to MAN-09 of proto/spec/message.md.
    pub fn parse(wire: &wire::Manifest) -> Result<Self, ManifestError> {
        let facts = parse_facts(wire)?;
        if !wire.no_origin_conflict {
            return Err(ManifestError::NotAsserted {
                field: "no_origin_conflict",
            });
        }
        if !wire.no_implicated_party {
            return Err(ManifestError::NotAsserted {
                field: "no_implicated_party",
            });
        }
        plain("profile", &wire.profile)?;
        plain("calendar", &wire.calendar)?;
        if wire.due_at.is_some() == wire.calendar.is_empty() {
            return Err(ManifestError::Clock { field: "calendar" });
        }
        in_order("clocks", limit::MANIFEST_CLOCKS, &wire.clocks)?;
        if wire.clocks.iter().any(String::is_empty) {
            return Err(ManifestError::Clock { field: "clocks" });
        }
        wire.clocks.iter().try_for_each(|c| plain("clocks", c))?;
        Ok(Self {
            facts,
            parts: sorted("parts", limit::MANIFEST_PARTS, &wire.parts)?,
            versions: Versions {
                sender_bundle: digest("sender_bundle", &wire.sender_bundle)?,
                recipient_bundle: digest("recipient_bundle", &wire.recipient_bundle)?,
                catalogue: digest("catalogue", &wire.catalogue)?,
                taxonomy: digest("taxonomy", &wire.taxonomy)?,
            },
            profile: wire.profile.clone(),
            clocks: wire.clocks.clone(),
            due_at: wire.due_at.map(Timestamp),
            calendar: wire.calendar.clone(),
        })
    }

    /// The wire form.
    #[must_use]
    pub fn to_wire(&self) -> wire::Manifest {
        let facts = &self.facts;
        wire::Manifest {
            purpose: facts.purpose.code().to_owned(),
            legal_bases: codes(&facts.legal_bases, LegalBasis::code),
            minor_status: minor_to_wire(facts.minor_status).into(),
            consent: consent_to_wire(facts.consent).into(),
            consented_parts: codes(&facts.consented_parts, Part::code),
            override_ground: facts
                .override_ground
                .map_or_else(String::new, |g| g.code().to_owned()),
            danger: facts.danger,
            handling: facts.handling.code().to_owned(),
            retention_days: facts.retention_days,
            transfer_basis: facts
                .transfer_basis
                .map_or_else(String::new, |b| b.code().to_owned()),
            represented: facts.represented,
            no_origin_conflict: true,
            no_implicated_party: true,
            parts: codes(&self.parts, Part::code),
            profile: self.profile.clone(),
            clocks: self.clocks.clone(),
            due_at: self.due_at.map(|t| t.0),
            calendar: self.calendar.clone(),
            sender_bundle: self.versions.sender_bundle.as_bytes().to_vec(),
            recipient_bundle: self.versions.recipient_bundle.as_bytes().to_vec(),
            catalogue: self.versions.catalogue.as_bytes().to_vec(),
            taxonomy: self.versions.taxonomy.as_bytes().to_vec(),
        }
    }
}

fn parse_facts(wire: &wire::Manifest) -> Result<Facts, ManifestError> {
    let legal_bases: BTreeSet<LegalBasis> =
        sorted("legal_bases", limit::MANIFEST_BASES, &wire.legal_bases)?;
    if legal_bases.is_empty() {
        return Err(ManifestError::NoBasis);
    }
    let consent = consent_from_wire(wire.consent())?;
    let override_ground = optional::<OverrideGround>(&wire.override_ground)?;
    if override_ground.is_some() != (consent == ConsentState::Overridden) {
        return Err(ManifestError::Override);
    }
    let transfer_basis = optional::<LegalBasis>(&wire.transfer_basis)?;
    if let Some(basis) = transfer_basis.filter(|b| !b.is_transfer()) {
        return Err(ManifestError::Transfer { code: basis.code() });
    }
    Ok(Facts {
        purpose: known(&wire.purpose)?,
        legal_bases,
        minor_status: minor_from_wire(wire.minor_status())?,
        consent,
        consented_parts: sorted(
            "consented_parts",
            limit::MANIFEST_PARTS,
            &wire.consented_parts,
        )?,
        override_ground,
        danger: wire.danger,
        handling: known(&wire.handling)?,
        retention_days: wire.retention_days,
        transfer_basis,
        represented: wire.represented,
    })
}

const fn minor_to_wire(status: MinorStatus) -> wire::MinorStatus {
    match status {
        MinorStatus::Child => wire::MinorStatus::Child,
        MinorStatus::Adult => wire::MinorStatus::Adult,
        MinorStatus::Unknown => wire::MinorStatus::Unknown,
    }
}

const fn minor_from_wire(status: wire::MinorStatus) -> Result<MinorStatus, ManifestError> {
    match status {
        wire::MinorStatus::Child => Ok(MinorStatus::Child),
        wire::MinorStatus::Adult => Ok(MinorStatus::Adult),
        wire::MinorStatus::Unknown => Ok(MinorStatus::Unknown),
        wire::MinorStatus::Unspecified => Err(ManifestError::Unspecified {
            field: "minor_status",
        }),
    }
}

const fn consent_to_wire(consent: ConsentState) -> wire::ConsentState {
    match consent {
        ConsentState::NotRequired => wire::ConsentState::NotRequired,
        ConsentState::Given => wire::ConsentState::Given,
        ConsentState::Refused => wire::ConsentState::Refused,
        ConsentState::Withdrawn => wire::ConsentState::Withdrawn,
        ConsentState::Overridden => wire::ConsentState::Overridden,
    }
}

const fn consent_from_wire(consent: wire::ConsentState) -> Result<ConsentState, ManifestError> {
    match consent {
        wire::ConsentState::NotRequired => Ok(ConsentState::NotRequired),
        wire::ConsentState::Given => Ok(ConsentState::Given),
        wire::ConsentState::Refused => Ok(ConsentState::Refused),
        wire::ConsentState::Withdrawn => Ok(ConsentState::Withdrawn),
        wire::ConsentState::Overridden => Ok(ConsentState::Overridden),
        wire::ConsentState::Unspecified => Err(ManifestError::Unspecified { field: "consent" }),
    }
}

#[cfg(test)]
pub(crate) mod tests;
