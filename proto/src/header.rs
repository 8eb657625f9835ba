//! The header: the clear part of a message, whose exact bytes are hashed, signed and logged.

use prost::Message;

use crate::id::{
    AgencyId, CaseId, DeskAddress, DeskName, Digest, Fingerprint, IdError, MessageId, Timestamp,
};
use crate::kind::Kind;
use crate::lane::Lane;
use crate::limit;
use crate::manifest::{Manifest, ManifestError};
use crate::openpgp::Suite;
use crate::strict::{self, StrictError};
use crate::wire;

/// The protocol version that this code speaks.
pub const VERSION: u32 = 1;

/// A parsed header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// This message, for ever.
    pub message_id: MessageId,
    /// The case, shared by the two agencies only.
    pub case_id: CaseId,
    /// What the body holds.
    pub kind: Kind,
    /// The message that this one answers or reports.
    pub in_reply_to: Option<MessageId>,
    /// Sending desk.
    pub sender: DeskAddress,
    /// Addressed desk.
    pub recipient: DeskAddress,
    /// Certificate of the officer who signed.
    pub officer: Fingerprint,
    /// The sending desk's encryption subkey.
    pub sender_key: Fingerprint,
    /// The addressed desk's encryption subkey.
    pub recipient_key: Fingerprint,
    /// Cryptographic suite.
    pub suite: Suite,
    /// The sender's signed roster.
    pub sender_roster: Digest,
    /// The recipient's signed roster.
    pub recipient_roster: Digest,
    /// When it was made, by the officer's clock.
    pub created: Timestamp,
    /// When it is no longer accepted.
    pub expires: Timestamp,
    /// Messages of this case that the sender had seen, both directions.
    pub case_seen: u32,
    /// The facts that nodes act on.
    pub manifest: Manifest,
    /// SHA-256 over context line, salt and payload.
    pub commitment: Digest,
}

/// A header that breaks a rule of proto/spec/message.md.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// HDR-01: too long, malformed, unknown fields.
    #[error("HDR-01: {0}")]
    Encoding(#[from] StrictError),
    /// HDR-02: another protocol version.
    #[error("HDR-02: protocol version {found}, this software speaks {VERSION}")]
    Version {
        /// The version found.
        found: u32,
    },
    /// HDR-03: an id, digest or fingerprint that does not parse.
    #[error("HDR-03: `{field}`: {source}")]
    Id {
        /// The field.
        field: &'static str,
        /// What is wrong.
        source: IdError,
    },
    /// HDR-04: an enumeration holds no known value.
    #[error("HDR-04: `{field}` holds no known value")]
    Unspecified {
        /// The field.
        field: &'static str,
    },
    /// HDR-05: sender and recipient are one agency.
    #[error("HDR-05: sender and recipient are the same agency")]
    SameAgency,
    /// HDR-06: `in_reply_to` is missing, or stands where nothing is answered.
    #[error("HDR-06: `{}` and in_reply_to do not fit", kind.code())]
    Answer {
        /// The kind.
        kind: Kind,
    },
    /// HDR-07: expiry before creation, or too long after it.
    #[error("HDR-07: a message expires after it is created and at most {} hours later", limit::EXPIRY_MAX_SECONDS / 3600)]
    Expiry,
    /// HDR-08: the manifest is missing or breaks a rule.
    #[error("HDR-08: {0}")]
    Manifest(#[from] ManifestError),
    /// HDR-08: no manifest.
    #[error("HDR-08: no manifest")]
    NoManifest,
}

fn bytes_id<'a, T: TryFrom<&'a [u8], Error = IdError>>(
    field: &'static str,
    bytes: &'a [u8],
) -> Result<T, HeaderError> {
    T::try_from(bytes).map_err(|source| HeaderError::Id { field, source })
}

fn desk(field: &'static str, agency: &str, desk: &str) -> Result<DeskAddress, HeaderError> {
    let agency: AgencyId = agency.parse().map_err(|source: IdError| HeaderError::Id {
        field,
        source: source.without_input(),
    })?;
    let desk: DeskName = desk.parse().map_err(|source: IdError| HeaderError::Id {
        field,
        source: source.without_input(),
    })?;
    Ok(DeskAddress { agency, desk })
}

impl Header {
    /// The lane that the message is numbered in: what concerns immediate danger has its own.
    #[must_use]
    pub const fn lane(&self) -> Lane {
        if self.manifest.facts.danger {
            Lane::Danger
        } else {
            Lane::Ordinary
        }
    }

    /// Parses exact bytes.
    ///
    /// # Errors
    /// HDR-01 to HDR-08 of proto/spec/message.md.
    pub fn decode(bytes: &[u8]) -> Result<Self, HeaderError> {
        let wire: wire::Header = strict::decode(bytes, limit::HEADER_BYTES)?;
        if wire.version != VERSION {
            return Err(HeaderError::Version {
                found: wire.version,
            });
        }
        let kind =
            Kind::from_wire(wire.kind()).ok_or(HeaderError::Unspecified { field: "kind" })?;
        let in_reply_to = match wire.in_reply_to.as_slice() {
            [] => None,
            bytes => Some(bytes_id("in_reply_to", bytes)?),
        };
        let header = Self {
            message_id: bytes_id("message_id", &wire.message_id)?,
            case_id: bytes_id("case_id", &wire.case_id)?,
            kind,
            in_reply_to,
            sender: desk("sender", &wire.sender_agency, &wire.sender_desk)?,
            recipient: desk("recipient", &wire.recipient_agency, &wire.recipient_desk)?,
            officer: bytes_id("officer", &wire.officer)?,
            sender_key: bytes_id("sender_key", &wire.sender_key)?,
            recipient_key: bytes_id("recipient_key", &wire.recipient_key)?,
            suite: Suite::try_from(wire.suite())
                .map_err(|_| HeaderError::Unspecified { field: "suite" })?,
            sender_roster: bytes_id("sender_roster", &wire.sender_roster)?,
            recipient_roster: bytes_id("recipient_roster", &wire.recipient_roster)?,
            created: Timestamp(wire.created),
            expires: Timestamp(wire.expires),
            case_seen: wire.case_seen,
            manifest: Manifest::parse(wire.manifest.as_ref().ok_or(HeaderError::NoManifest)?)?,
            commitment: bytes_id("commitment", &wire.commitment)?,
        };
        header.check()?;
        Ok(header)
    }

    fn check(&self) -> Result<(), HeaderError> {
        if self.sender.agency == self.recipient.agency {
            return Err(HeaderError::SameAgency);
        }
        if self.kind.answers() != self.in_reply_to.is_some() {
            return Err(HeaderError::Answer { kind: self.kind });
        }
        if self.expires <= self.created
            || self.expires.since(self.created) > limit::EXPIRY_MAX_SECONDS
        {
            return Err(HeaderError::Expiry);
        }
        Ok(())
    }

    /// The exact bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        wire::Header {
            version: VERSION,
            message_id: self.message_id.as_bytes().to_vec(),
            case_id: self.case_id.as_bytes().to_vec(),
            kind: self.kind.to_wire().into(),
            in_reply_to: self
                .in_reply_to
                .map_or_else(Vec::new, |id| id.as_bytes().to_vec()),
            sender_agency: self.sender.agency.to_string(),
            sender_desk: self.sender.desk.to_string(),
            recipient_agency: self.recipient.agency.to_string(),
            recipient_desk: self.recipient.desk.to_string(),
            officer: self.officer.as_bytes().to_vec(),
            sender_key: self.sender_key.as_bytes().to_vec(),
            recipient_key: self.recipient_key.as_bytes().to_vec(),
            suite: wire::Suite::from(self.suite).into(),
            sender_roster: self.sender_roster.as_bytes().to_vec(),
            recipient_roster: self.recipient_roster.as_bytes().to_vec(),
            created: self.created.0,
            expires: self.expires.0,
            case_seen: self.case_seen,
            manifest: Some(self.manifest.to_wire()),
            commitment: self.commitment.as_bytes().to_vec(),
        }
        .encode_to_vec()
    }
}

#[cfg(test)]
pub(crate) mod tests;
