//! A message on its way: each stage is a type that only the stage before can make.
//!
//! ```text
//! Draft -> Minimised -> Sealed  ~~ wire ~~>  Received -> Authenticated -> Opened -> Truthful
//!          (draft.rs)   (seal)               (decode)    (chain, keys)    (open)    (truthful.rs)
//! ```
//!
//! Only [`Sealed`] encodes; only [`Received`] decodes. Between `Authenticated` and the log stands
//! `Permitted`, which only the policies make. proto/spec/message.md holds the numbered checks.

use std::fmt;

use aws_lc_rs::rand;
use zeroize::Zeroizing;

use crate::context::Context;
use crate::draft::Minimised;
use crate::header::{Header, HeaderError};
use crate::id::{CaseId, DeskAddress, Digest, Fingerprint, MessageId, Timestamp};
use crate::limit;
use crate::openpgp::{
    self, BodyError, DeskKey, OpenError, SealError, SignError, SigningKey, Suite, VerifyError,
};
use crate::party::{Party, PartyError};
use crate::reason::Reason;
use crate::truthful::{self, Truthful, Violation};
use crate::wire;

const SALT: usize = 32;

/// What the sender decides about one message beyond its content.
#[derive(Debug, Clone)]
pub struct Addressing {
    /// 16 random bytes.
    pub message_id: MessageId,
    /// The case, shared by the two agencies only.
    pub case_id: CaseId,
    /// The message that this one answers.
    pub in_reply_to: Option<MessageId>,
    /// Sending desk.
    pub sender: DeskAddress,
    /// Addressed desk.
    pub recipient: DeskAddress,
    /// By the officer's clock.
    pub created: Timestamp,
    /// When it is no longer accepted.
    pub expires: Timestamp,
    /// Messages of this case that the sender had seen.
    pub case_seen: u32,
}

/// A message that cannot be sealed.
#[derive(Debug, thiserror::Error)]
pub enum SealMessageError {
    /// The chain of one side does not hold.
    #[error(transparent)]
    Party(#[from] PartyError),
    /// The body cannot be sealed.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The header cannot be signed.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// The header would be refused by any node.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// A chain of another agency than the one addressed.
    #[error("the chain given for the {side} is of another agency")]
    Agency {
        /// `sender` or `recipient`.
        side: &'static str,
    },
    /// No random bytes could be had from the operating system.
    #[error("the operating system gives no random bytes")]
    Random,
}

/// A sealed message: header, body and signature, ready to submit.
#[derive(Debug, Clone)]
pub struct Sealed {
    message_id: MessageId,
    envelope: wire::Envelope,
}

impl Sealed {
    /// Its id.
    #[must_use]
    pub const fn message_id(&self) -> MessageId {
        self.message_id
    }

    /// The bytes to submit.
    #[must_use]
    pub fn into_wire(self) -> wire::Envelope {
        self.envelope
    }
}

/// SHA-256 over the context line, the salt and the payload.
fn commitment(salt: &[u8], payload: &[u8]) -> Digest {
    Digest::of_parts(&[Context::Commitment.line(), salt, payload])
}

/// What the envelope signature covers after its context line.
fn signed_digests(header: Digest, body: Digest) -> [u8; 64] {
    let mut content = [0; 64];
    let (left, right) = content.split_at_mut(32);
    left.copy_from_slice(header.as_bytes());
    right.copy_from_slice(body.as_bytes());
    content
}

/// Seals a minimised message to the recipient's desk and to the sender's own.
///
/// # Errors
/// When a chain does not hold, a key does not serve, or the header would be refused.
pub fn seal(
    minimised: &Minimised,
    addressing: Addressing,
    officer: &SigningKey,
    sender: &Party,
    recipient: &Party,
) -> Result<Sealed, SealMessageError> {
    let at = addressing.created;
    for (side, party, address) in [
        ("sender", sender, &addressing.sender),
        ("recipient", recipient, &addressing.recipient),
    ] {
        if party.record().id != address.agency {
            return Err(SealMessageError::Agency { side });
        }
        party.check_fresh(at)?;
    }
    sender.officer(
        &officer.certificate().fingerprint(),
        &addressing.sender.desk,
    )?;
    let own = sender.recipient(&addressing.sender.desk, at)?;
    let theirs = recipient.recipient(&addressing.recipient.desk, at)?;
    let mut salt = Zeroizing::new([0; SALT]);
    rand::fill(salt.as_mut()).map_err(|_| SealMessageError::Random)?;
    let payload = minimised.payload();
    let header = Header {
        message_id: addressing.message_id,
        case_id: addressing.case_id,
        kind: minimised.kind(),
        in_reply_to: addressing.in_reply_to,
        sender: addressing.sender,
        recipient: addressing.recipient,
        officer: officer.certificate().fingerprint(),
        sender_key: own.fingerprint(),
        recipient_key: theirs.fingerprint(),
        suite: officer.certificate().suite(),
        sender_roster: sender.roster().digest(),
        recipient_roster: recipient.roster().digest(),
        created: addressing.created,
        expires: addressing.expires,
        case_seen: addressing.case_seen,
        manifest: minimised.manifest().clone(),
        commitment: commitment(salt.as_ref(), payload),
    }
    .encode();
    let message_id = Header::decode(&header)?.message_id;
    let header_digest = Digest::of(&header);
    let plaintext =
        Zeroizing::new([header_digest.as_bytes().as_slice(), salt.as_ref(), payload].concat());
    let body = openpgp::seal(&plaintext, officer, &[theirs, own], at)?;
    let content = signed_digests(header_digest, Digest::of(&body));
    let signature = officer.sign(Context::Envelope, &content, at)?;
    Ok(Sealed {
        message_id,
        envelope: wire::Envelope {
            header,
            body,
            signature,
        },
    })
}

/// A message that does not hold.
#[derive(Debug, thiserror::Error)]
pub enum EnvelopeError {
    /// ENV-01: a part exceeds its limit.
    #[error("ENV-01: `{part}` holds {found} bytes, at most {limit} are accepted")]
    TooLong {
        /// The part.
        part: &'static str,
        /// Bytes found.
        found: usize,
        /// Bytes accepted.
        limit: usize,
    },
    /// ENV-02: the header breaks a rule.
    #[error("ENV-02: {0}")]
    Header(#[from] HeaderError),
    /// ENV-03: the body's outer shape breaks a rule.
    #[error("ENV-03: {0}")]
    Body(#[from] BodyError),
    /// ENV-04: the body is not sealed to exactly the two keys of the header.
    #[error("ENV-04: the body is not sealed to exactly the two desk keys of the header")]
    Recipients,
    /// ENV-05: created in the future.
    #[error("ENV-05: created more than {} minutes ahead of this clock", limit::CLOCK_SKEW_SECONDS / 60)]
    Future,
    /// ENV-06: past its expiry.
    #[error("ENV-06: past its expiry")]
    Expired,
    /// ENV-07: cites another roster than the party's.
    #[error("ENV-07: cites another roster of the {side} than the current one")]
    Roster {
        /// `sender` or `recipient`.
        side: &'static str,
    },
    /// ENV-08: the officer may not sign for the desk.
    #[error("ENV-08: {0}")]
    Officer(PartyError),
    /// ENV-09: the signature does not verify.
    #[error("ENV-09: the officer's signature does not verify: {0}")]
    Signature(#[from] VerifyError),
    /// ENV-10: a desk key is not the current one of the roster, is revoked, or is not valid.
    #[error("ENV-10: the {side}'s desk key is not the current, valid one of its roster")]
    Key {
        /// `sender` or `recipient`.
        side: &'static str,
    },
    /// ENV-11: header, body, officer or a desk of another suite than the directory names.
    #[error("ENV-11: another suite than the directory names, or more than one")]
    Suite,
    /// ENV-12: an agency other than the one whose chain was given.
    #[error("ENV-12: the {side} is another agency than the chain's")]
    Agency {
        /// `sender` or `recipient`.
        side: &'static str,
    },
    /// ENV-13: a roster past its validity.
    #[error("ENV-13: {0}")]
    RosterExpired(PartyError),
}

impl EnvelopeError {
    /// The reason that is logged and answered.
    #[must_use]
    pub const fn reason(&self) -> Reason {
        match self {
            Self::TooLong { .. } | Self::Header(_) | Self::Body(_) => Reason::Malformed,
            Self::Recipients => Reason::Recipients,
            Self::Future => Reason::Clock,
            Self::Expired => Reason::Expired,
            Self::Roster { .. } => Reason::Roster,
            Self::RosterExpired(_) => Reason::RosterExpired,
            Self::Officer(_) => Reason::Officer,
            Self::Signature(_) => Reason::Signature,
            Self::Key { .. } => Reason::Key,
            Self::Suite => Reason::Suite,
            Self::Agency { .. } => Reason::UnknownAgency,
        }
    }
}

/// A message as received: bounded, its header parsed, its body's outer shape checked. Trusts nothing.
#[derive(Debug, Clone)]
pub struct Received {
    header: Header,
    envelope: wire::Envelope,
    header_digest: Digest,
    body_digest: Digest,
}

fn within(part: &'static str, bytes: &[u8], limit: usize) -> Result<(), EnvelopeError> {
    if bytes.len() > limit {
        return Err(EnvelopeError::TooLong {
            part,
            found: bytes.len(),
            limit,
        });
    }
    Ok(())
}

impl Received {
    /// Decodes what a peer or an officer sent.
    ///
    /// # Errors
    /// ENV-01 to ENV-04, ENV-11.
    pub fn decode(envelope: wire::Envelope) -> Result<Self, EnvelopeError> {
        within("header", &envelope.header, limit::HEADER_BYTES)?;
        within("body", &envelope.body, limit::BODY_BYTES)?;
        within("signature", &envelope.signature, limit::SIGNATURE_BYTES)?;
        let header = Header::decode(&envelope.header)?;
        let outline = openpgp::outline(&envelope.body)?;
        // A set would take one key named on both sides for two.
        let mut sealed_to = outline.recipients;
        sealed_to.sort_unstable();
        let mut named = [header.sender_key, header.recipient_key];
        named.sort_unstable();
        if sealed_to != named {
            return Err(EnvelopeError::Recipients);
        }
        if outline.suite != header.suite {
            return Err(EnvelopeError::Suite);
        }
        Ok(Self {
            header_digest: Digest::of(&envelope.header),
            body_digest: Digest::of(&envelope.body),
            header,
            envelope,
        })
    }

    /// The header: what it says is not yet vouched for by anyone.
    #[must_use]
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// SHA-256 of the header's exact bytes.
    #[must_use]
    pub const fn header_digest(&self) -> Digest {
        self.header_digest
    }

    /// SHA-256 of the body's exact bytes.
    #[must_use]
    pub const fn body_digest(&self) -> Digest {
        self.body_digest
    }

    /// Checks who sent it: the signature by an officer of the sender's roster for the sending desk,
    /// and both desks' current keys. `at` is the time of judgement: the log time of the first entry
    /// that holds it.
    ///
    /// # Errors
    /// ENV-05, ENV-07 to ENV-13.
    pub fn authenticate(
        self,
        sender: &Party,
        recipient: &Party,
        suite: Suite,
        at: Timestamp,
    ) -> Result<Authenticated, EnvelopeError> {
        let header = &self.header;
        if header.created.since(at) > limit::CLOCK_SKEW_SECONDS {
            return Err(EnvelopeError::Future);
        }
        if header.suite != suite {
            return Err(EnvelopeError::Suite);
        }
        check_side(
            "sender",
            &header.sender,
            header.sender_roster,
            header.sender_key,
            sender,
            suite,
            at,
        )?;
        check_side(
            "recipient",
            &header.recipient,
            header.recipient_roster,
            header.recipient_key,
            recipient,
            suite,
            at,
        )?;
        let (_, certificate) = sender
            .officer(&header.officer, &header.sender.desk)
            .map_err(EnvelopeError::Officer)?;
        if certificate.suite() != suite {
            return Err(EnvelopeError::Suite);
        }
        let content = signed_digests(self.header_digest, self.body_digest);
        certificate.verify(Context::Envelope, &content, &self.envelope.signature, at)?;
        Ok(Authenticated { received: self, at })
    }
}

fn check_side(
    side: &'static str,
    address: &DeskAddress,
    roster: Digest,
    key: Fingerprint,
    party: &Party,
    suite: Suite,
    at: Timestamp,
) -> Result<(), EnvelopeError> {
    if party.record().id != address.agency {
        return Err(EnvelopeError::Agency { side });
    }
    if party.roster().digest() != roster {
        return Err(EnvelopeError::Roster { side });
    }
    party
        .check_fresh(at)
        .map_err(EnvelopeError::RosterExpired)?;
    // Current, unrevoked, valid at the time of judgement, and of a certificate that is at hand.
    let recipient = party
        .recipient(&address.desk, at)
        .map_err(|_| EnvelopeError::Key { side })?;
    if recipient.fingerprint() != key {
        return Err(EnvelopeError::Key { side });
    }
    if recipient.certificate().suite() != suite {
        return Err(EnvelopeError::Suite);
    }
    Ok(())
}

/// A message whose sender is known. Made only by [`Received::authenticate`].
#[derive(Debug, Clone)]
pub struct Authenticated {
    received: Received,
    at: Timestamp,
}

impl Authenticated {
    /// The header.
    #[must_use]
    pub const fn header(&self) -> &Header {
        &self.received.header
    }

    /// The exact parts.
    #[must_use]
    pub const fn envelope(&self) -> &wire::Envelope {
        &self.received.envelope
    }

    /// SHA-256 of the header's exact bytes.
    #[must_use]
    pub const fn header_digest(&self) -> Digest {
        self.received.header_digest
    }

    /// SHA-256 of the body's exact bytes.
    #[must_use]
    pub const fn body_digest(&self) -> Digest {
        self.received.body_digest
    }

    /// Refuses a message past its expiry at `at`.
    ///
    /// # Errors
    /// ENV-06.
    pub fn check_not_expired(&self, at: Timestamp) -> Result<(), EnvelopeError> {
        if at < self.received.header.expires {
            Ok(())
        } else {
            Err(EnvelopeError::Expired)
        }
    }

    /// The facts that both logs hold.
    #[must_use]
    pub fn facts(&self) -> wire::MessageFacts {
        let header = &self.received.header;
        let manifest = header.manifest.to_wire();
        wire::MessageFacts {
            message_id: header.message_id.as_bytes().to_vec(),
            case_id: header.case_id.as_bytes().to_vec(),
            kind: header.kind.to_wire().into(),
            in_reply_to: header
                .in_reply_to
                .map_or_else(Vec::new, |id| id.as_bytes().to_vec()),
            sender_agency: header.sender.agency.to_string(),
            sender_desk: header.sender.desk.to_string(),
            recipient_agency: header.recipient.agency.to_string(),
            recipient_desk: header.recipient.desk.to_string(),
            officer: header.officer.as_bytes().to_vec(),
            header_digest: self.header_digest().as_bytes().to_vec(),
            body_digest: self.body_digest().as_bytes().to_vec(),
            commitment: header.commitment.as_bytes().to_vec(),
            expires: header.expires.0,
            purpose: manifest.purpose,
            parts: manifest.parts,
            sender_roster: header.sender_roster.as_bytes().to_vec(),
            recipient_roster: header.recipient_roster.as_bytes().to_vec(),
            sender_bundle: manifest.sender_bundle,
            recipient_bundle: manifest.recipient_bundle,
            override_ground: manifest.override_ground,
        }
    }

    /// Opens the body with a desk's key. `sender` and `recipient` are the parties it was
    /// authenticated under.
    ///
    /// # Errors
    /// OPN-01 to OPN-04; all but OPN-01 are for the desk to report as unreadable.
    pub fn open(
        &self,
        key: &DeskKey,
        sender: &Party,
        recipient: &Party,
    ) -> Result<Opened, OpenMessageError> {
        let header = self.header();
        let at = self.at;
        let recipients = [
            recipient.recipient(&header.recipient.desk, at)?,
            sender.recipient(&header.sender.desk, at)?,
        ];
        let (_, officer) = sender.officer(&header.officer, &header.sender.desk)?;
        let plaintext = openpgp::open(&self.envelope().body, key, officer, &recipients, at)?;
        let (Some(digest), Some(salt), Some(payload)) = (
            plaintext.get(..32),
            plaintext.get(32..32 + SALT),
            plaintext.get(32 + SALT..),
        ) else {
            return Err(OpenMessageError::Plaintext);
        };
        if digest != self.header_digest().as_bytes() {
            return Err(OpenMessageError::OtherHeader);
        }
        if commitment(salt, payload) != header.commitment {
            return Err(OpenMessageError::Commitment);
        }
        Ok(Opened {
            header: header.clone(),
            payload: Zeroizing::new(payload.to_vec()),
        })
    }
}

/// A body that does not open, or is not the one that the header commits to.
#[derive(Debug, thiserror::Error)]
pub enum OpenMessageError {
    /// OPN-01: the chain of one side does not hold.
    #[error("OPN-01: {0}")]
    Party(#[from] PartyError),
    /// OPN-02: the body does not decrypt or verify.
    #[error("OPN-02: {0}")]
    Open(#[from] OpenError),
    /// OPN-03: the plaintext is too short.
    #[error("OPN-03: the body's content is too short")]
    Plaintext,
    /// OPN-03: the body belongs to another header.
    #[error("OPN-03: the body belongs to another header")]
    OtherHeader,
    /// OPN-04: the payload is not the one that the header commits to.
    #[error("OPN-04: the payload is not the one that the header commits to")]
    Commitment,
}

/// An opened message, whose manifest has not yet been compared with its content.
pub struct Opened {
    header: Header,
    payload: Zeroizing<Vec<u8>>,
}

/// Without the payload: `Zeroizing` would print it.
impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opened")
            .field("message_id", &self.header.message_id)
            .finish_non_exhaustive()
    }
}

impl Opened {
    /// The header.
    #[must_use]
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// Compares the manifest with the content.
    ///
    /// # Errors
    /// TRU-01 and on: a violation that the desk reports to both logs.
    pub fn truthful(&self) -> Result<Truthful, Violation> {
        truthful::check(self.header.kind, &self.payload, &self.header.manifest)
    }
}

#[cfg(test)]
mod seal_tests;
#[cfg(test)]
mod tests;
