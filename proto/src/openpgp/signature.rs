//! v6 signatures: what each kind may contain, and their verification (OPG-10 to OPG-17).

use sequoia_openpgp as pgp;

use pgp::crypto::hash::{Context as Hasher, Hash};
use pgp::packet::signature::SignatureBuilder;
use pgp::packet::signature::subpacket::SubpacketTag;
use pgp::packet::{Packet, Signature};
use pgp::serialize::MarshalInto;
use pgp::types::{PublicKeyAlgorithm, SignatureType};

use super::packets::{self, FramingError, tag};
use super::policy;
use super::primary::{Primary, Signer};
use crate::id::{Fingerprint, Timestamp};
use crate::limit;

/// A signature that could not be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// OpenPGP's 32-bit time ends in 2106.
    #[error("time {} is beyond OpenPGP's range", at.0)]
    Time {
        /// The time asked for.
        at: Timestamp,
    },
    /// The key is not valid then.
    #[error("the key is not valid at {}", at.0)]
    NotValid {
        /// The time asked for.
        at: Timestamp,
    },
    /// The certificate is one that may not sign: a desk's.
    #[error("the key may certify its own subkeys but not sign")]
    MayNotSign,
    /// The cryptographic library failed.
    #[error("the cryptographic library could not sign")]
    Backend,
}

/// A signature that is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// Longer than `limit::SIGNATURE_BYTES` (OPG-10).
    #[error("signature of {bytes} bytes, more than {}", limit::SIGNATURE_BYTES)]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// Not whole packets (OPG-01).
    #[error("signature is not framed strictly: {source}")]
    Framing {
        /// Why.
        source: FramingError,
    },
    /// Not exactly one packet (OPG-10).
    #[error("expected one signature packet, found {found} packets")]
    Count {
        /// Packets found.
        found: usize,
    },
    /// Not a canonical signature packet (OPG-10).
    #[error("not a well-formed signature packet")]
    Malformed,
    /// Not v6 (OPG-11).
    #[error("signature of version {found}, expected 6")]
    Version {
        /// Its version.
        found: u8,
    },
    /// Of another type (OPG-11).
    #[error("signature of type {found:#04x}, expected {expected:#04x}")]
    Type {
        /// The type that stands here.
        expected: u8,
        /// Its type.
        found: u8,
    },
    /// A hash or key algorithm that is not this key's or not on the allow-list (OPG-12).
    #[error("signature by key algorithm {key} with hash {hash}, which is not allowed here")]
    Algorithm {
        /// Public-key algorithm number.
        key: u8,
        /// Hash algorithm number.
        hash: u8,
    },
    /// A subpacket that is not allowed, stands twice, or is not hashed (OPG-13).
    #[error("subpacket {tag} is not allowed here")]
    Subpacket {
        /// Its type.
        tag: u8,
    },
    /// A subpacket that is required is not there (OPG-13).
    #[error("subpacket {tag} is missing")]
    Missing {
        /// Its type.
        tag: u8,
    },
    /// By another key (OPG-14).
    #[error("signed by {found}, expected {expected}")]
    WrongSigner {
        /// The key that should have signed.
        expected: Fingerprint,
        /// The key that it names.
        found: Fingerprint,
    },
    /// The certificate is one that may not sign (OPG-14).
    #[error("the certificate may not sign")]
    MayNotSign,
    /// The intended recipients are not exactly the recipients (OPG-34).
    #[error("signed for other recipients than it was sealed to")]
    IntendedRecipients,
    /// Made before its key (OPG-15).
    #[error("signature made at {}, before its key", created.0)]
    PredatesKey {
        /// When it claims to have been made.
        created: Timestamp,
    },
    /// Made after the time at which it is judged (OPG-15).
    #[error("signature made at {}, after {}", created.0, at.0)]
    FromTheFuture {
        /// When it claims to have been made.
        created: Timestamp,
        /// The time at which it is judged.
        at: Timestamp,
    },
    /// The key was not valid at the time at which it is judged (OPG-16).
    #[error("the signing key is not valid at {}", at.0)]
    KeyNotValid {
        /// The time at which it is judged.
        at: Timestamp,
    },
    /// The signature is wrong (OPG-17).
    #[error("the signature does not verify")]
    Bad,
}

/// The uses of a signature packet, and what each may contain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    Detached,
    Body,
    DirectKey,
    UserId,
    Subkey,
}

impl Use {
    pub(super) const fn signature_type(self) -> SignatureType {
        match self {
            Self::Detached | Self::Body => SignatureType::Binary,
            Self::DirectKey => SignatureType::DirectKey,
            Self::UserId => SignatureType::PositiveCertification,
            Self::Subkey => SignatureType::SubkeyBinding,
        }
    }

    const fn required(self) -> &'static [SubpacketTag] {
        use SubpacketTag::{IntendedRecipient, IssuerFingerprint, KeyFlags, SignatureCreationTime};
        match self {
            Self::Detached | Self::UserId => &[SignatureCreationTime, IssuerFingerprint],
            Self::Body => &[SignatureCreationTime, IssuerFingerprint, IntendedRecipient],
            Self::DirectKey | Self::Subkey => &[SignatureCreationTime, IssuerFingerprint, KeyFlags],
        }
    }

    const fn optional(self) -> &'static [SubpacketTag] {
        use SubpacketTag::{Features, KeyExpirationTime, PreferredAEADCiphersuites, PrimaryUserID};
        match self {
            Self::Detached | Self::Body => &[],
            Self::DirectKey => &[Features, PreferredAEADCiphersuites, KeyExpirationTime],
            Self::UserId => &[PrimaryUserID],
            Self::Subkey => &[KeyExpirationTime],
        }
    }
}

/// Starts a signature made at `at`.
pub(super) fn builder(purpose: Use, at: Timestamp) -> Result<SignatureBuilder, SignError> {
    let time = policy::openpgp_time(at).ok_or(SignError::Time { at })?;
    SignatureBuilder::new(purpose.signature_type())
        .set_hash_algo(policy::HASH)
        .set_signature_creation_time(time)
        .map_err(|_| SignError::Backend)
}

/// Signs the concatenation of `parts`.
pub(super) fn sign(
    builder: SignatureBuilder,
    signer: &mut Signer<'_>,
    parts: &[&[u8]],
) -> Result<Vec<u8>, SignError> {
    // Sequoia has no signing of parts, so they are joined; nothing of a message is secret from us.
    let message = zeroize::Zeroizing::new(parts.concat());
    let signature = builder
        .sign_message(signer, &message)
        .map_err(|_| SignError::Backend)?;
    Packet::from(signature)
        .to_vec()
        .map_err(|_| SignError::Backend)
}

/// The one signature packet that `bytes` are (OPG-10).
pub(super) fn parse(bytes: &[u8]) -> Result<Signature, VerifyError> {
    if bytes.len() > limit::SIGNATURE_BYTES {
        return Err(VerifyError::TooLong { bytes: bytes.len() });
    }
    let frames = packets::frames(bytes).map_err(|source| VerifyError::Framing { source })?;
    let [frame] = frames.as_slice() else {
        return Err(VerifyError::Count {
            found: frames.len(),
        });
    };
    parse_frame(frame)
}

/// The signature packet in `frame` (OPG-10).
pub(super) fn parse_frame(frame: &packets::Frame<'_>) -> Result<Signature, VerifyError> {
    if frame.tag != tag::SIGNATURE {
        return Err(VerifyError::Malformed);
    }
    match frame.body.first() {
        Some(6) => {}
        Some(&found) => return Err(VerifyError::Version { found }),
        None => return Err(VerifyError::Malformed),
    }
    match packets::canonical(frame) {
        Some(Packet::Signature(signature)) => Ok(signature),
        _ => Err(VerifyError::Malformed),
    }
}

/// Verifies `signature` by `primary` over what `hash` feeds, except for when it was made; returns that.
///
/// The digest is verified by [`Primary`] and not through `Signature::verify_*`: see INVARIANT (no
/// growing cache).
pub(super) fn verify(
    signature: &Signature,
    purpose: Use,
    primary: &Primary,
    hash: impl FnOnce(&mut Hasher) -> pgp::Result<()>,
) -> Result<Timestamp, VerifyError> {
    let key = &primary.key;
    check_header(signature, purpose, key.pk_algo())?;
    check_subpackets(signature, purpose)?;
    check_issuer(
        signature,
        &fingerprint(&key.fingerprint()).ok_or(VerifyError::Malformed)?,
    )?;
    let created = signature
        .signature_creation_time()
        .map(policy::seconds)
        .ok_or(VerifyError::Missing {
            tag: SubpacketTag::SignatureCreationTime.into(),
        })?;
    if created < policy::seconds(key.creation_time()) {
        return Err(VerifyError::PredatesKey { created });
    }
    let mut hasher = signature
        .hash_algo()
        .context()
        .map_err(|_| VerifyError::Malformed)?
        .for_signature(signature.version());
    hash(&mut hasher).map_err(|_| VerifyError::Malformed)?;
    let digest = hasher.into_digest().map_err(|_| VerifyError::Malformed)?;
    if !digest.starts_with(signature.digest_prefix()) {
        return Err(VerifyError::Bad);
    }
    if primary.signed(&digest, signature.mpis()) {
        Ok(created)
    } else {
        Err(VerifyError::Bad)
    }
}

/// Feeds the concatenation of `parts`, for [`verify`] with [`Use::Detached`] or [`Use::Body`].
pub(super) fn hash_parts(
    signature: &Signature,
    parts: &[&[u8]],
    hasher: &mut Hasher,
) -> pgp::Result<()> {
    if let Signature::V6(v6) = signature {
        hasher.update(v6.salt());
    }
    for part in parts {
        hasher.update(part);
    }
    signature.hash(hasher)
}

fn check_header(
    signature: &Signature,
    purpose: Use,
    key_algorithm: PublicKeyAlgorithm,
) -> Result<(), VerifyError> {
    let Signature::V6(v6) = signature else {
        return Err(VerifyError::Version {
            found: signature.version(),
        });
    };
    if signature.typ() != purpose.signature_type() {
        let (expected, found) = (purpose.signature_type().into(), signature.typ().into());
        return Err(VerifyError::Type { expected, found });
    }
    let (algorithm, hash) = (signature.pk_algo(), signature.hash_algo());
    if algorithm != key_algorithm
        || policy::Suite::of_signing(algorithm).is_none()
        || !policy::hash_allowed(hash)
    {
        return Err(VerifyError::Algorithm {
            key: algorithm.into(),
            hash: hash.into(),
        });
    }
    if v6.salt().len() != policy::SALT_BYTES {
        return Err(VerifyError::Malformed);
    }
    Ok(())
}

/// OPG-13: only hashed subpackets that have a use here, each once (recipients: each once).
fn check_subpackets(signature: &Signature, purpose: Use) -> Result<(), VerifyError> {
    if let Some(unhashed) = signature.unhashed_area().iter().next() {
        return Err(VerifyError::Subpacket {
            tag: unhashed.tag().into(),
        });
    }
    let mut seen = Vec::new();
    for subpacket in signature.hashed_area().iter() {
        let tag = subpacket.tag();
        let known = purpose.required().contains(&tag) || purpose.optional().contains(&tag);
        let repeated = seen.contains(&tag) && tag != SubpacketTag::IntendedRecipient;
        if !known || repeated {
            return Err(VerifyError::Subpacket { tag: tag.into() });
        }
        seen.push(tag);
    }
    match purpose.required().iter().find(|tag| !seen.contains(tag)) {
        Some(&tag) => Err(VerifyError::Missing { tag: tag.into() }),
        None => Ok(()),
    }
}

fn check_issuer(signature: &Signature, expected: &Fingerprint) -> Result<(), VerifyError> {
    let missing = VerifyError::Missing {
        tag: SubpacketTag::IssuerFingerprint.into(),
    };
    let issuer = signature.issuer_fingerprints().next().ok_or(missing)?;
    let found = fingerprint(issuer).ok_or(missing)?;
    if found == *expected {
        Ok(())
    } else {
        Err(VerifyError::WrongSigner {
            expected: *expected,
            found,
        })
    }
}

/// Refuses what was made later than `at`, allowing for clocks that differ (OPG-15).
pub(super) fn check_time(created: Timestamp, at: Timestamp) -> Result<(), VerifyError> {
    if created > at.plus(limit::CLOCK_SKEW_SECONDS) {
        return Err(VerifyError::FromTheFuture { created, at });
    }
    Ok(())
}

/// A v6 fingerprint; `None` for any other.
pub(super) fn fingerprint(fingerprint: &pgp::Fingerprint) -> Option<Fingerprint> {
    match fingerprint {
        pgp::Fingerprint::V6(bytes) => Some(Fingerprint::new(*bytes)),
        _ => None,
    }
}

/// The same in sequoia's type.
pub(super) fn to_openpgp(fingerprint: &Fingerprint) -> pgp::Fingerprint {
    pgp::Fingerprint::V6(*fingerprint.as_bytes())
}
