//! The roster: which officers and desk keys an agency vouches for, for at most 30 days.

use std::collections::{BTreeMap, BTreeSet};

use prost::Message;

use crate::context::Context;
use crate::id::{AgencyId, DeskName, Digest, Fingerprint, IdError, Timestamp};
use crate::limit;
use crate::openpgp::{Certificate, SignError, SigningKey, VerifyError};
use crate::strict::{self, StrictError};
use crate::vocabulary::{DeskAttestation, Role, UnknownCode};
use crate::wire;

/// A certificate by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CertificateRef {
    /// The primary key.
    pub fingerprint: Fingerprint,
    /// SHA-256 of the certificate's exact bytes.
    pub digest: Digest,
}

impl CertificateRef {
    /// The name of `certificate`.
    #[must_use]
    pub fn of(certificate: &Certificate) -> Self {
        Self {
            fingerprint: certificate.fingerprint(),
            digest: certificate.digest(),
        }
    }

    /// Whether `certificate` is the one named, byte for byte.
    #[must_use]
    pub fn names(&self, certificate: &Certificate) -> bool {
        *self == Self::of(certificate)
    }

    pub(crate) fn parse(wire: Option<&wire::CertificateRef>) -> Result<Self, IdError> {
        let empty = wire::CertificateRef::default();
        let wire = wire.unwrap_or(&empty);
        Ok(Self {
            fingerprint: Fingerprint::try_from(wire.fingerprint.as_slice())?,
            digest: Digest::try_from(wire.digest.as_slice())?,
        })
    }

    pub(crate) fn to_wire(self) -> wire::CertificateRef {
        wire::CertificateRef {
            fingerprint: self.fingerprint.as_bytes().to_vec(),
            digest: self.digest.as_bytes().to_vec(),
        }
    }
}

/// An officer, as the agency vouches for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Officer {
    /// Signing certificate.
    pub certificate: CertificateRef,
    /// A role title, never a name.
    pub title: String,
    /// Desks for which the officer may sign.
    pub desks: BTreeSet<DeskName>,
}

/// A desk, as the agency vouches for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Desk {
    /// Its one role.
    pub role: Role,
    /// Its certificate.
    pub certificate: CertificateRef,
    /// The encryption subkey in use.
    pub encryption_key: Fingerprint,
    /// What it is attested for.
    pub attestations: BTreeSet<DeskAttestation>,
}

/// Content of a roster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Roster {
    /// Whose.
    pub agency: AgencyId,
    /// Grows with each signing.
    pub version: u64,
    /// When it was signed.
    pub created: Timestamp,
    /// When it is no longer to be used.
    pub valid_until: Timestamp,
    /// Officers, by fingerprint.
    pub officers: BTreeMap<Fingerprint, Officer>,
    /// Desks, by name.
    pub desks: BTreeMap<DeskName, Desk>,
    /// Fingerprints that must no longer be used.
    pub revoked: BTreeSet<Fingerprint>,
}

/// A roster that does not verify.
#[derive(Debug, thiserror::Error)]
pub enum RosterError {
    /// ROS-01: too long, malformed, unknown fields.
    #[error("ROS-01: {0}")]
    Encoding(#[from] StrictError),
    /// ROS-02: the agency's signature does not verify.
    #[error("ROS-02: the agency's signature on the roster does not verify: {0}")]
    Signature(#[from] VerifyError),
    /// ROS-03: an id, code or fingerprint does not parse.
    #[error("ROS-03: {0}")]
    Id(#[from] IdError),
    /// ROS-03: a code is not in its vocabulary.
    #[error("ROS-03: {0}")]
    Code(#[from] UnknownCode),
    /// ROS-04: the roster of another agency.
    #[error("ROS-04: the roster is of `{found}`, expected `{expected}`")]
    Agency {
        /// Found.
        found: AgencyId,
        /// Expected.
        expected: AgencyId,
    },
    /// ROS-05: valid for longer than 30 days, not after it was created, or created in the future.
    #[error("ROS-05: a roster is valid for at most {} days from its creation, which is not in the future", limit::ROSTER_VALID_SECONDS / 86_400)]
    Validity,
    /// ROS-06: a name stands twice, in the wrong order, or a limit is exceeded.
    #[error(
        "ROS-06: `{list}` is not sorted, repeats an entry, is empty or exceeds {limit} entries"
    )]
    List {
        /// The list.
        list: &'static str,
        /// Entries allowed.
        limit: usize,
    },
    /// ROS-07: a title that could hold a name or control characters.
    #[error("ROS-07: a title is 1 to 64 plain characters")]
    Title,
}

/// A roster whose signature and content have verified, with its exact bytes.
#[derive(Debug, Clone)]
pub struct VerifiedRoster {
    roster: Roster,
    bytes: Vec<u8>,
    digest: Digest,
}

impl VerifiedRoster {
    /// Verifies an encoded `Signed` roster of `agency`, under its certificate, judged at `at`.
    ///
    /// Whether it is expired or older than one seen is for the caller: [`Self::is_fresh`], `version`.
    ///
    /// # Errors
    /// ROS-01 to ROS-07 of proto/spec/directory.md.
    pub fn verify(
        bytes: &[u8],
        agency: &AgencyId,
        certificate: &Certificate,
        at: Timestamp,
    ) -> Result<Self, RosterError> {
        let signed: wire::Signed = strict::decode(bytes, limit::ROSTER_BYTES)?;
        certificate.verify(Context::Roster, &signed.content, &signed.signature, at)?;
        let roster = Roster::parse(&signed.content)?;
        // One created in the future would stay valid for longer than 30 days from now.
        if roster.created.since(at) > limit::CLOCK_SKEW_SECONDS {
            return Err(RosterError::Validity);
        }
        if &roster.agency != agency {
            return Err(RosterError::Agency {
                found: roster.agency,
                expected: agency.clone(),
            });
        }
        Ok(Self {
            roster,
            bytes: bytes.to_vec(),
            digest: Digest::of(bytes),
        })
    }

    /// The content.
    #[must_use]
    pub const fn roster(&self) -> &Roster {
        &self.roster
    }

    /// SHA-256 of the exact bytes: what headers cite.
    #[must_use]
    pub const fn digest(&self) -> Digest {
        self.digest
    }

    /// The exact bytes of the `Signed` roster.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether `at` is before the end of its validity.
    #[must_use]
    pub fn is_fresh(&self, at: Timestamp) -> bool {
        at < self.roster.valid_until
    }
}

impl Roster {
    /// Signs it.
    ///
    /// # Errors
    /// When the key cannot sign.
    pub fn sign(&self, agency: &SigningKey) -> Result<Vec<u8>, SignError> {
        let content = self.encode();
        let signature = agency.sign(Context::Roster, &content, self.created)?;
        Ok(wire::Signed { content, signature }.encode_to_vec())
    }

    /// The version after this one and after `seen`, made at `created`, otherwise the same.
    #[must_use]
    pub fn next(&self, seen: u64, created: Timestamp, valid_seconds: u64) -> Self {
        Self {
            version: self.version.max(seen).saturating_add(1),
            created,
            valid_until: created.plus(valid_seconds),
            ..self.clone()
        }
    }

    /// Lists an officer, or changes title and desks of one who is listed.
    pub fn admit(&mut self, certificate: &Certificate, title: String, desks: BTreeSet<DeskName>) {
        let certificate = CertificateRef::of(certificate);
        let officer = Officer {
            certificate,
            title,
            desks,
        };
        self.officers.insert(certificate.fingerprint, officer);
    }

    /// OFF-20: strikes an officer off, revokes their key, and gives the desks whose keys they know:
    /// each needs a new one. None: they are not listed.
    pub fn remove(&mut self, officer: &Fingerprint) -> Option<BTreeSet<DeskName>> {
        let removed = self.officers.remove(officer)?;
        self.revoked.insert(*officer);
        Some(removed.desks)
    }

    /// OFF-21: puts the newest encryption subkey of `certificate` in the place of the desk's present
    /// one, which is revoked.
    pub fn rekey(&mut self, desk: &DeskName, certificate: &Certificate) {
        let (Some(desk), Some(newest)) = (
            self.desks.get_mut(desk),
            certificate.encryption_keys().last().copied(),
        ) else {
            return;
        };
        if desk.encryption_key != newest {
            self.revoked.insert(desk.encryption_key);
        }
        desk.certificate = CertificateRef::of(certificate);
        desk.encryption_key = newest;
    }

    fn parse(content: &[u8]) -> Result<Self, RosterError> {
        let wire: wire::Roster = strict::decode(content, limit::ROSTER_BYTES)?;
        bounded("officers", wire.officers.len(), limit::ROSTER_OFFICERS, 1)?;
        bounded("desks", wire.desks.len(), limit::ROSTER_DESKS, 1)?;
        bounded("revoked", wire.revoked.len(), limit::ROSTER_REVOKED, 0)?;
        let roster = Self {
            agency: wire.agency.parse()?,
            version: wire.version,
            created: Timestamp(wire.created),
            valid_until: Timestamp(wire.valid_until),
            officers: wire
                .officers
                .iter()
                .map(parse_officer)
                .collect::<Result<_, RosterError>>()?,
            desks: wire
                .desks
                .iter()
                .map(parse_desk)
                .collect::<Result<_, RosterError>>()?,
            revoked: wire
                .revoked
                .iter()
                .map(|f| Fingerprint::try_from(f.as_slice()))
                .collect::<Result<_, _>>()?,
        };
        if roster.valid_until <= roster.created
            || roster.valid_until.since(roster.created) > limit::ROSTER_VALID_SECONDS
        {
            return Err(RosterError::Validity);
        }
        // Maps sort and drop repetitions: the same bytes come back only from a sorted list.
        if roster.encode() != content {
            return Err(RosterError::List {
                list: "officers, desks, attestations or revoked",
                limit: limit::ROSTER_OFFICERS,
            });
        }
        Ok(roster)
    }

    fn encode(&self) -> Vec<u8> {
        wire::Roster {
            agency: self.agency.to_string(),
            version: self.version,
            created: self.created.0,
            valid_until: self.valid_until.0,
            officers: self
                .officers
                .values()
                .map(|officer| wire::RosterOfficer {
                    certificate: Some(officer.certificate.to_wire()),
                    title: officer.title.clone(),
                    desks: officer.desks.iter().map(ToString::to_string).collect(),
                })
                .collect(),
            desks: self
                .desks
                .iter()
                .map(|(name, desk)| wire::RosterDesk {
                    name: name.to_string(),
                    role: desk.role.code().to_owned(),
                    certificate: Some(desk.certificate.to_wire()),
                    encryption_key: desk.encryption_key.as_bytes().to_vec(),
                    attestations: sorted_codes(&desk.attestations),
                })
                .collect(),
            revoked: self.revoked.iter().map(|f| f.as_bytes().to_vec()).collect(),
        }
        .encode_to_vec()
    }
}

/// Attestations in the order of their codes, as they stand on the wire.
fn sorted_codes(attestations: &BTreeSet<DeskAttestation>) -> Vec<String> {
    let codes: BTreeSet<&str> = attestations.iter().map(|a| a.code()).collect();
    codes.into_iter().map(str::to_owned).collect()
}

const fn bounded(
    list: &'static str,
    found: usize,
    limit: usize,
    least: usize,
) -> Result<(), RosterError> {
    if found > limit || found < least {
        Err(RosterError::List { list, limit })
    } else {
        Ok(())
    }
}

/// ROS-07: 1 to 64 plain characters.
pub(crate) fn is_title(title: &str) -> bool {
    let plain =
        |c: char| c.is_alphanumeric() || matches!(c, ' ' | '-' | ',' | '.' | '/' | '(' | ')');
    (1..=64).contains(&title.chars().count()) && title.chars().all(plain)
}

fn parse_officer(wire: &wire::RosterOfficer) -> Result<(Fingerprint, Officer), RosterError> {
    let certificate = CertificateRef::parse(wire.certificate.as_ref())?;
    if !is_title(&wire.title) {
        return Err(RosterError::Title);
    }
    let desks = wire
        .desks
        .iter()
        .map(|d| d.parse())
        .collect::<Result<_, _>>()?;
    Ok((
        certificate.fingerprint,
        Officer {
            certificate,
            title: wire.title.clone(),
            desks,
        },
    ))
}

fn parse_desk(wire: &wire::RosterDesk) -> Result<(DeskName, Desk), RosterError> {
    let desk = Desk {
        role: wire.role.parse()?,
        certificate: CertificateRef::parse(wire.certificate.as_ref())?,
        encryption_key: Fingerprint::try_from(wire.encryption_key.as_slice())?,
        attestations: wire
            .attestations
            .iter()
            .map(|a| a.parse())
            .collect::<Result<_, _>>()?,
    };
    Ok((wire.name.parse()?, desk))
}

#[cfg(test)]
mod tests;
