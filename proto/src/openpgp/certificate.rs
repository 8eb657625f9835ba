//! Certificates: parsed once, strictly, and kept with their exact bytes (OPG-20 to OPG-28).

use std::fmt;
use std::sync::Arc;

use sequoia_openpgp as pgp;

use pgp::packet::key::{PrimaryRole, PublicParts};
use pgp::packet::{Key, Packet, Signature, UserID};
use pgp::types::KeyFlags;

use super::packets::{self, Frame, FramingError, tag};
use super::policy::{self, Suite};
use super::primary::Primary;
use super::session_key::Encapsulator;
use super::signature::{self, Use, VerifyError};
use crate::context::Context;
use crate::id::{Digest, Fingerprint, Timestamp};
use crate::limit;

/// A certificate that is not accepted, or a key of it that may not be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// Longer than `limit::CERTIFICATE_BYTES` (OPG-20).
    #[error("certificate of {bytes} bytes, more than {}", limit::CERTIFICATE_BYTES)]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// Not whole packets (OPG-01).
    #[error("certificate is not framed strictly: {source}")]
    Framing {
        /// Why.
        source: FramingError,
    },
    /// It holds secrets (OPG-21).
    #[error("this is a secret key, expected a certificate")]
    Secret,
    /// A packet that does not belong there (OPG-21).
    #[error("packet {index} of the certificate has type {tag}, which does not belong there")]
    Packet {
        /// Its place, from 0.
        index: usize,
        /// Its type.
        tag: u8,
    },
    /// It ends before it is whole (OPG-21).
    #[error("the certificate is not whole")]
    Incomplete,
    /// Not v6 (OPG-22).
    #[error("key of version {found}, expected 6")]
    Version {
        /// Its version.
        found: u8,
    },
    /// A packet that sequoia does not read, or would write in other bytes (OPG-23).
    #[error("packet {index} of the certificate is not in canonical form")]
    NotCanonical {
        /// Its place, from 0.
        index: usize,
    },
    /// An algorithm that is not on the allow-list, or of the other suite (OPG-24).
    #[error("key algorithm {algorithm} is not allowed here")]
    Algorithm {
        /// Public-key algorithm number.
        algorithm: u8,
    },
    /// The user id is empty, too long, or not printable text (OPG-25).
    #[error(
        "the user id is not 1 to {} bytes of printable text",
        limit::USER_ID_BYTES
    )]
    UserId,
    /// A self-signature is not accepted (OPG-26).
    #[error("self-signature in packet {index}: {source}")]
    SelfSignature {
        /// Its place, from 0.
        index: usize,
        /// Why.
        source: VerifyError,
    },
    /// Key flags other than those of its kind (OPG-27).
    #[error("the key flags in packet {index} do not fit the key")]
    Flags {
        /// Place of the signature, from 0.
        index: usize,
    },
    /// A subkey stands twice (OPG-21).
    #[error("subkey {fingerprint} stands twice")]
    Repeated {
        /// The subkey.
        fingerprint: Fingerprint,
    },
    /// No such encryption subkey.
    #[error("the certificate has no encryption key {fingerprint}")]
    NoSuchKey {
        /// The subkey asked for.
        fingerprint: Fingerprint,
    },
    /// The key, or the certificate, is not yet or no longer valid (OPG-28).
    #[error("key {fingerprint} is not valid at {}", at.0)]
    NotValid {
        /// The subkey asked for.
        fingerprint: Fingerprint,
        /// The time asked for.
        at: Timestamp,
    },
}

/// When a key may be used: from its binding on, until it expires.
#[derive(Debug, Clone, Copy)]
struct Validity {
    from: Timestamp,
    until: Option<Timestamp>,
}

impl Validity {
    fn of(key_created: Timestamp, signature: &Signature, signed: Timestamp) -> Self {
        let until = signature
            .key_validity_period()
            .map(|d| key_created.plus(d.as_secs()));
        Self {
            from: signed,
            until,
        }
    }

    /// A key made by a clock that runs ahead of ours is already valid (`CLOCK_SKEW_SECONDS`).
    fn holds(&self, at: Timestamp) -> bool {
        self.from <= at.plus(limit::CLOCK_SKEW_SECONDS) && self.until.is_none_or(|until| at < until)
    }
}

#[derive(Debug)]
pub(super) struct Subkey {
    pub(super) fingerprint: Fingerprint,
    pub(super) encapsulator: Encapsulator,
    validity: Validity,
}

#[derive(Debug)]
struct Parsed {
    bytes: Box<[u8]>,
    digest: Digest,
    fingerprint: Fingerprint,
    suite: Suite,
    user_id: Box<str>,
    primary: Primary,
    may_sign: bool,
    validity: Validity,
    subkeys: Vec<Subkey>,
}

/// An OpenPGP v6 certificate with its exact bytes. Cheap to clone.
#[derive(Clone)]
pub struct Certificate(Arc<Parsed>);

/// An encryption key that a body may be sealed to.
#[derive(Clone)]
pub struct Recipient {
    certificate: Certificate,
    subkey: usize,
    fingerprint: Fingerprint,
}

impl Certificate {
    /// Parses a certificate: a v6 primary key with its direct-key signature, one user id with its
    /// binding, and encryption subkeys with theirs, in this order and nothing else. Every
    /// self-signature is verified; whether the keys are valid at some time is asked later.
    ///
    /// # Errors
    /// One per check, OPG-20 to OPG-27.
    pub fn parse(bytes: &[u8]) -> Result<Self, CertificateError> {
        if bytes.len() > limit::CERTIFICATE_BYTES {
            return Err(CertificateError::TooLong { bytes: bytes.len() });
        }
        let frames =
            packets::frames(bytes).map_err(|source| CertificateError::Framing { source })?;
        let head @ [key, direct, user_id, binding] =
            frames.first_chunk().ok_or_else(|| out_of_place(&frames))?;
        expect_tags(
            head,
            0,
            &[
                tag::PUBLIC_KEY,
                tag::SIGNATURE,
                tag::USER_ID,
                tag::SIGNATURE,
            ],
        )?;

        let (primary, suite) = parse_primary(key)?;
        let (flags, validity) = check_direct_key(direct, &primary)?;
        let user_id = check_user_id(user_id, binding, &primary)?;
        let mut subkeys = Vec::new();
        for (pair, frames) in frames.get(4..).unwrap_or_default().chunks(2).enumerate() {
            subkeys.push(check_subkey(frames, 4 + 2 * pair, &primary, suite)?);
        }
        check_distinct(&subkeys)?;
        let fingerprint = signature::fingerprint(&primary.key.fingerprint())
            .ok_or(CertificateError::NotCanonical { index: 0 })?;
        Ok(Self(Arc::new(Parsed {
            bytes: bytes.into(),
            digest: Digest::of(bytes),
            fingerprint,
            suite,
            user_id,
            primary,
            may_sign: flags.for_signing(),
            validity,
            subkeys,
        })))
    }

    /// The primary key's fingerprint.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        self.0.fingerprint
    }

    /// SHA-256 of its exact bytes.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.0.digest
    }

    /// Its exact bytes, as parsed.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0.bytes
    }

    /// The suite of all its keys.
    #[must_use]
    pub fn suite(&self) -> Suite {
        self.0.suite
    }

    /// The user id: for an officer an opaque id and a role title, never a name.
    #[must_use]
    pub fn user_id(&self) -> &str {
        &self.0.user_id
    }

    /// The encryption subkeys' fingerprints, in the order of the certificate: the newest last.
    #[must_use]
    pub fn encryption_keys(&self) -> Vec<Fingerprint> {
        self.0.subkeys.iter().map(|s| s.fingerprint).collect()
    }

    /// Verifies a detached signature over the context's line and `content`, judging the key at
    /// `at`: the log time of the first entry that holds the signature (DESIGN 2).
    ///
    /// # Errors
    /// One per check, OPG-10 to OPG-17.
    pub fn verify(
        &self,
        context: Context,
        content: &[u8],
        signature: &[u8],
        at: Timestamp,
    ) -> Result<(), VerifyError> {
        let signature = signature::parse(signature)?;
        self.verify_parts(&signature, Use::Detached, &[context.line(), content], at)
    }

    /// The same for a parsed signature of either use over data.
    pub(super) fn verify_parts(
        &self,
        signature: &Signature,
        purpose: Use,
        parts: &[&[u8]],
        at: Timestamp,
    ) -> Result<(), VerifyError> {
        let created = signature::verify(signature, purpose, &self.0.primary, |hasher| {
            signature::hash_parts(signature, parts, hasher)
        })?;
        signature::check_time(created, at)?;
        if !self.0.may_sign {
            return Err(VerifyError::MayNotSign);
        }
        if !self.is_valid(at) {
            return Err(VerifyError::KeyNotValid { at });
        }
        Ok(())
    }

    /// The encryption subkey `subkey`, if both it and the certificate are valid at `at` (OPG-28).
    ///
    /// # Errors
    /// [`CertificateError::NoSuchKey`], [`CertificateError::NotValid`].
    pub fn recipient(
        &self,
        subkey: &Fingerprint,
        at: Timestamp,
    ) -> Result<Recipient, CertificateError> {
        let fingerprint = *subkey;
        let (index, found) = self
            .0
            .subkeys
            .iter()
            .enumerate()
            .find(|(_, s)| s.fingerprint == fingerprint)
            .ok_or(CertificateError::NoSuchKey { fingerprint })?;
        if !self.is_valid(at) || !found.validity.holds(at) {
            return Err(CertificateError::NotValid { fingerprint, at });
        }
        Ok(Recipient {
            certificate: self.clone(),
            subkey: index,
            fingerprint,
        })
    }

    pub(super) fn may_sign(&self) -> bool {
        self.0.may_sign
    }

    pub(super) fn is_valid(&self, at: Timestamp) -> bool {
        self.0.validity.holds(at)
    }

    pub(super) fn primary(&self) -> &Key<PublicParts, PrimaryRole> {
        &self.0.primary.key
    }

    pub(super) fn subkey(&self, fingerprint: &Fingerprint) -> Option<&Subkey> {
        self.0
            .subkeys
            .iter()
            .find(|s| s.fingerprint == *fingerprint)
    }
}

impl Recipient {
    /// The encryption subkey's fingerprint.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// The certificate that it belongs to.
    #[must_use]
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    pub(super) fn encapsulator(&self) -> Option<&Encapsulator> {
        let subkey = self.certificate.0.subkeys.get(self.subkey);
        subkey.map(|subkey| &subkey.encapsulator)
    }
}

impl PartialEq for Certificate {
    fn eq(&self, other: &Self) -> bool {
        self.0.bytes == other.0.bytes
    }
}

impl Eq for Certificate {}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate")
            .field("fingerprint", &self.0.fingerprint)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recipient")
            .field("fingerprint", &self.fingerprint)
            .finish_non_exhaustive()
    }
}

/// OPG-21: why fewer packets than a certificate has are not one.
fn out_of_place(frames: &[Frame<'_>]) -> CertificateError {
    let expected = [tag::PUBLIC_KEY, tag::SIGNATURE, tag::USER_ID];
    let end = frames.len().min(expected.len());
    match expect_tags(frames, 0, expected.get(..end).unwrap_or_default()) {
        Err(error) => error,
        Ok(()) => CertificateError::Incomplete,
    }
}

fn expect_tags(frames: &[Frame<'_>], first: usize, tags: &[u8]) -> Result<(), CertificateError> {
    for (place, (frame, &expected)) in frames.iter().zip(tags).enumerate() {
        if matches!(frame.tag, tag::SECRET_KEY | tag::SECRET_SUBKEY) {
            return Err(CertificateError::Secret);
        }
        if frame.tag != expected {
            return Err(CertificateError::Packet {
                index: first + place,
                tag: frame.tag,
            });
        }
    }
    Ok(())
}

/// OPG-22.
pub(super) fn expect_v6(frame: &Frame<'_>) -> Result<(), CertificateError> {
    match frame.body.first() {
        Some(6) => Ok(()),
        Some(&found) => Err(CertificateError::Version { found }),
        None => Err(CertificateError::Incomplete),
    }
}

fn parse_primary(frame: &Frame<'_>) -> Result<(Primary, Suite), CertificateError> {
    expect_v6(frame)?;
    let not_canonical = CertificateError::NotCanonical { index: 0 };
    let Some(Packet::PublicKey(key)) = packets::canonical(frame) else {
        return Err(not_canonical);
    };
    let suite = Suite::of_signing(key.pk_algo()).ok_or(CertificateError::Algorithm {
        algorithm: key.pk_algo().into(),
    })?;
    Ok((Primary::import(key).ok_or(not_canonical)?, suite))
}

fn self_signature(frame: &Frame<'_>, index: usize) -> Result<Signature, CertificateError> {
    signature::parse_frame(frame)
        .map_err(|source| CertificateError::SelfSignature { index, source })
}

fn check_direct_key(
    frame: &Frame<'_>,
    primary: &Primary,
) -> Result<(KeyFlags, Validity), CertificateError> {
    let index = 1;
    let signature = self_signature(frame, index)?;
    let signed = signature::verify(&signature, Use::DirectKey, primary, |hasher| {
        signature.hash_direct_key(hasher, &primary.key)
    })
    .map_err(|source| CertificateError::SelfSignature { index, source })?;
    let flags = signature.key_flags().unwrap_or_else(KeyFlags::empty);
    let certify = KeyFlags::empty().set_certification();
    if flags != certify && flags != certify.set_signing() {
        return Err(CertificateError::Flags { index });
    }
    let created = policy::seconds(primary.key.creation_time());
    Ok((flags, Validity::of(created, &signature, signed)))
}

fn check_user_id(
    frame: &Frame<'_>,
    binding: &Frame<'_>,
    primary: &Primary,
) -> Result<Box<str>, CertificateError> {
    let text = std::str::from_utf8(frame.body).map_err(|_| CertificateError::UserId)?;
    if !is_user_id(text) {
        return Err(CertificateError::UserId);
    }
    if packets::canonical(frame).is_none() {
        return Err(CertificateError::NotCanonical { index: 2 });
    }
    let index = 3;
    let signature = self_signature(binding, index)?;
    signature::verify(&signature, Use::UserId, primary, |hasher| {
        signature.hash_userid_binding(hasher, &primary.key, &UserID::from(frame.body))
    })
    .map_err(|source| CertificateError::SelfSignature { index, source })?;
    Ok(text.into())
}

/// OPG-25.
pub(super) fn is_user_id(text: &str) -> bool {
    (1..=limit::USER_ID_BYTES).contains(&text.len()) && !text.chars().any(char::is_control)
}

fn check_subkey(
    frames: &[Frame<'_>],
    index: usize,
    primary: &Primary,
    suite: Suite,
) -> Result<Subkey, CertificateError> {
    expect_tags(frames, index, &[tag::PUBLIC_SUBKEY, tag::SIGNATURE])?;
    let [frame, binding] = frames else {
        return Err(CertificateError::Incomplete);
    };
    expect_v6(frame)?;
    let Some(Packet::PublicSubkey(key)) = packets::canonical(frame) else {
        return Err(CertificateError::NotCanonical { index });
    };
    if key.pk_algo() != suite.encryption() {
        return Err(CertificateError::Algorithm {
            algorithm: key.pk_algo().into(),
        });
    }
    let encapsulator = Encapsulator::import(key).ok_or(CertificateError::NotCanonical { index })?;
    let key = &encapsulator.key;
    let index = index + 1;
    let signature = self_signature(binding, index)?;
    let signed = signature::verify(&signature, Use::Subkey, primary, |hasher| {
        signature.hash_subkey_binding(hasher, &primary.key, key)
    })
    .map_err(|source| CertificateError::SelfSignature { index, source })?;
    if signature.key_flags() != Some(policy::encryption_flags()) {
        return Err(CertificateError::Flags { index });
    }
    let created = policy::seconds(key.creation_time());
    let fingerprint = signature::fingerprint(&key.fingerprint())
        .ok_or(CertificateError::NotCanonical { index })?;
    let validity = Validity::of(created, &signature, signed.max(created));
    Ok(Subkey {
        fingerprint,
        encapsulator,
        validity,
    })
}

fn check_distinct(subkeys: &[Subkey]) -> Result<(), CertificateError> {
    for (index, subkey) in subkeys.iter().enumerate() {
        if subkeys
            .iter()
            .take(index)
            .any(|s| s.fingerprint == subkey.fingerprint)
        {
            return Err(CertificateError::Repeated {
                fingerprint: subkey.fingerprint,
            });
        }
    }
    Ok(())
}
