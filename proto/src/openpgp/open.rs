//! What anyone sees of a body, and opening it (OPG-30 to OPG-37).

use std::io::Read;

use sequoia_openpgp as pgp;

use pgp::crypto::SessionKey;
use pgp::packet::{PKESK, Packet, SEIP};
use pgp::parse::{PacketParser, PacketParserResult, Parse};
use zeroize::Zeroizing;

use super::certificate::{Certificate, Recipient};
use super::desk_key::DeskKey;
use super::packets::{self, Frame, FramingError, tag};
use super::policy::{self, Suite};
use super::seal::{self, LITERAL_HEADER};
use super::signature::{self, Use, VerifyError};
use crate::context::Context;
use crate::id::{Fingerprint, Timestamp};
use crate::limit;

/// A body whose outside is not as it must be. A node finds these without a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// Longer than `limit::BODY_BYTES` (OPG-30).
    #[error("body of {bytes} bytes, more than {}", limit::BODY_BYTES)]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// Not whole packets (OPG-01).
    #[error("body is not framed strictly: {source}")]
    Framing {
        /// Why.
        source: FramingError,
    },
    /// A packet other than session keys and then one encrypted container (OPG-30).
    #[error("packet {index} of the body has type {tag}, which does not belong there")]
    Packet {
        /// Its place, from 0.
        index: usize,
        /// Its type.
        tag: u8,
    },
    /// No encrypted container at the end (OPG-30).
    #[error("the body is not whole")]
    Incomplete,
    /// No recipient, or more than `limit::RECIPIENTS` (OPG-31).
    #[error("the body has {found} recipients, expected 1 to {}", limit::RECIPIENTS)]
    Recipients {
        /// How many.
        found: usize,
    },
    /// A recipient stands twice (OPG-31).
    #[error("recipient {fingerprint} stands twice")]
    Repeated {
        /// The recipient's subkey.
        fingerprint: Fingerprint,
    },
    /// A session key that is not v6 (OPG-31).
    #[error("session key packet of version {found}, expected 6")]
    SessionKeyVersion {
        /// Its version.
        found: u8,
    },
    /// A session key without a v6 recipient, or not well-formed (OPG-31).
    #[error("session key packet {index} is anonymous or not well-formed")]
    SessionKey {
        /// Its place, from 0.
        index: usize,
    },
    /// A session key by an algorithm of no suite, or of two (OPG-24).
    #[error("session key by algorithm {algorithm}, which is not allowed here")]
    Algorithm {
        /// Public-key algorithm number.
        algorithm: u8,
    },
    /// Not SEIPD v2: no AEAD (OPG-32).
    #[error("encrypted container of version {found}, expected 2")]
    ContainerVersion {
        /// Its version.
        found: u8,
    },
    /// Another cipher, mode or chunk size (OPG-32).
    #[error(
        "encrypted container with cipher {cipher}, mode {aead} and chunk size {chunk}, which is not allowed"
    )]
    Container {
        /// Symmetric algorithm number.
        cipher: u8,
        /// AEAD algorithm number.
        aead: u8,
        /// Chunk size octet.
        chunk: u8,
    },
}

/// A body that does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Its outside is not as it must be.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// Sealed to other keys than given (OPG-31).
    #[error("the body is not sealed to exactly the expected recipients")]
    Recipients,
    /// Of another suite than the signer (OPG-24).
    #[error("the body is not of the signer's suite")]
    Suite,
    /// Not sealed to this key.
    #[error("the body is not sealed to key {fingerprint}")]
    NotForThisKey {
        /// The key tried.
        fingerprint: Fingerprint,
    },
    /// The session key or the content does not decrypt: changed on the way (OPG-36).
    #[error("the body does not decrypt")]
    Decrypt,
    /// What is encrypted is not whole packets (OPG-01).
    #[error("the content is not framed strictly: {source}")]
    Framing {
        /// Why.
        source: FramingError,
    },
    /// What is encrypted is compressed (OPG-33).
    #[error("the content is compressed")]
    Compressed,
    /// Not exactly one signature (OPG-33).
    #[error("the content has {found} signatures, expected 1")]
    Signatures {
        /// How many.
        found: usize,
    },
    /// No padding (OPG-35).
    #[error("the content is not padded as Padmé asks")]
    Padding,
    /// Another sequence of packets (OPG-33).
    #[error("the content is not one-pass signature, literal, signature, padding")]
    Structure,
    /// A literal that is not plain binary data, or a one-pass signature that is not the
    /// signature's (OPG-33).
    #[error("the content's literal or one-pass signature is not in the one form allowed")]
    Form,
    /// The signature is not accepted.
    #[error(transparent)]
    Signature(#[from] VerifyError),
    /// Signed for another use (OPG-37).
    #[error("the content was signed for another use")]
    Context,
}

/// What a body shows without a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outline {
    /// The suite that it is sealed with.
    pub suite: Suite,
    /// The recipients' encryption subkeys, in the body's order.
    pub recipients: Vec<Fingerprint>,
}

/// Reads the outside of a body, strictly: session keys for named recipients of one suite, then one
/// encrypted container, and nothing else. Needs no key; a node does this with every body.
///
/// # Errors
/// [`BodyError`].
pub fn outline(body: &[u8]) -> Result<Outline, BodyError> {
    if body.len() > limit::BODY_BYTES {
        return Err(BodyError::TooLong { bytes: body.len() });
    }
    let frames = packets::frames(body).map_err(|source| BodyError::Framing { source })?;
    let (container, session_keys) = frames.split_last().ok_or(BodyError::Incomplete)?;
    for (index, frame) in session_keys.iter().enumerate() {
        if frame.tag != tag::PKESK {
            return Err(BodyError::Packet {
                index,
                tag: frame.tag,
            });
        }
    }
    match container.tag {
        tag::SEIPD => check_container(container)?,
        tag::PKESK => return Err(BodyError::Incomplete),
        tag => {
            return Err(BodyError::Packet {
                index: session_keys.len(),
                tag,
            });
        }
    }
    if !(1..=limit::RECIPIENTS).contains(&session_keys.len()) {
        return Err(BodyError::Recipients {
            found: session_keys.len(),
        });
    }
    let mut suites = Vec::new();
    let mut recipients: Vec<Fingerprint> = Vec::new();
    for (index, frame) in session_keys.iter().enumerate() {
        let (suite, fingerprint) = check_session_key(frame, index)?;
        if recipients.contains(&fingerprint) {
            return Err(BodyError::Repeated { fingerprint });
        }
        if suites.first().is_some_and(|&first| first != suite) {
            return Err(BodyError::Algorithm {
                algorithm: suite.encryption().into(),
            });
        }
        suites.push(suite);
        recipients.push(fingerprint);
    }
    let suite = suites
        .first()
        .copied()
        .ok_or(BodyError::Recipients { found: 0 })?;
    Ok(Outline { suite, recipients })
}

/// The recipients of [`outline`] alone.
///
/// # Errors
/// [`BodyError`].
pub fn recipients(body: &[u8]) -> Result<Vec<Fingerprint>, BodyError> {
    outline(body).map(|outline| outline.recipients)
}

/// Opens a body with `key` and verifies all of it: that it is sealed to exactly `recipients`, that
/// `signer` signed it for exactly them, with a key valid at `at`.
///
/// # Errors
/// [`OpenError`]; then nothing of the content is released.
pub fn open(
    body: &[u8],
    key: &DeskKey,
    signer: &Certificate,
    recipients: &[Recipient],
    at: Timestamp,
) -> Result<Zeroizing<Vec<u8>>, OpenError> {
    open_in(Context::Body, body, key, signer, recipients, at)
}

/// The same in another context: hand-over.
pub(super) fn open_in(
    context: Context,
    body: &[u8],
    key: &DeskKey,
    signer: &Certificate,
    recipients: &[Recipient],
    at: Timestamp,
) -> Result<Zeroizing<Vec<u8>>, OpenError> {
    let outline = outline(body)?;
    if outline.suite != signer.suite() {
        return Err(OpenError::Suite);
    }
    let given = recipients.iter().map(Recipient::fingerprint);
    if !same(outline.recipients.iter().copied(), given) {
        return Err(OpenError::Recipients);
    }
    let fingerprint = key.fingerprint();
    if !outline.recipients.contains(&fingerprint) {
        return Err(OpenError::NotForThisKey { fingerprint });
    }
    let inner = decrypt(body, key).ok_or(OpenError::Decrypt)?;
    let content = verify(&inner, signer, recipients, at)?;
    content
        .strip_prefix(context.line())
        .map(|plaintext| Zeroizing::new(plaintext.to_vec()))
        .ok_or(OpenError::Context)
}

/// OPG-32: version 2, AES-256, OCB, chunks of at most 4 MiB (RFC 9580, 5.13.2).
fn check_container(frame: &Frame<'_>) -> Result<(), BodyError> {
    match *frame.body {
        [2, cipher, aead, chunk, ..] => {
            let allowed = cipher == u8::from(policy::CIPHER) && aead == u8::from(policy::AEAD);
            if allowed && chunk <= 16 {
                Ok(())
            } else {
                Err(BodyError::Container {
                    cipher,
                    aead,
                    chunk,
                })
            }
        }
        [found, ..] => Err(BodyError::ContainerVersion { found }),
        [] => Err(BodyError::Incomplete),
    }
}

/// OPG-31.
fn check_session_key(frame: &Frame<'_>, index: usize) -> Result<(Suite, Fingerprint), BodyError> {
    match frame.body.first() {
        Some(6) => {}
        Some(&found) => return Err(BodyError::SessionKeyVersion { found }),
        None => return Err(BodyError::SessionKey { index }),
    }
    let Some(Packet::PKESK(PKESK::V6(session_key))) = packets::canonical(frame) else {
        return Err(BodyError::SessionKey { index });
    };
    let fingerprint = session_key
        .recipient()
        .and_then(signature::fingerprint)
        .ok_or(BodyError::SessionKey { index })?;
    let algorithm = session_key.pk_algo();
    let suite = Suite::of_encryption(algorithm).ok_or(BodyError::Algorithm {
        algorithm: algorithm.into(),
    })?;
    Ok((suite, fingerprint))
}

fn same(a: impl Iterator<Item = Fingerprint>, b: impl Iterator<Item = Fingerprint>) -> bool {
    let (mut a, mut b): (Vec<_>, Vec<_>) = (a.collect(), b.collect());
    a.sort_unstable();
    b.sort_unstable();
    a == b
}

/// What is encrypted, whole and authenticated to the last chunk; `None` without saying why.
fn decrypt(body: &[u8], key: &DeskKey) -> Option<Zeroizing<Vec<u8>>> {
    let mut session_key: Option<SessionKey> = None;
    let mut parsed = PacketParser::from_bytes(body).ok()?;
    while let PacketParserResult::Some(mut packet) = parsed {
        match &packet.packet {
            Packet::PKESK(PKESK::V6(pkesk)) => {
                if pkesk.recipient().and_then(signature::fingerprint) == Some(key.fingerprint()) {
                    session_key = pkesk.decrypt(&mut key.pair()?, None);
                }
            }
            Packet::SEIP(SEIP::V2(_)) => {
                packet.decrypt(None, session_key.as_ref()?).ok()?;
                // Room for all of it, so that no copy is left behind by growing.
                let mut inner = Zeroizing::new(Vec::with_capacity(body.len()));
                packet.read_to_end(&mut inner).ok()?;
                return Some(inner);
            }
            _ => return None,
        }
        (_, parsed) = packet.next().ok()?;
    }
    None
}

/// OPG-33 to OPG-35: the structure, then the signature; returns the signed content.
fn verify<'a>(
    inner: &'a [u8],
    signer: &Certificate,
    recipients: &[Recipient],
    at: Timestamp,
) -> Result<&'a [u8], OpenError> {
    let frames = packets::frames(inner).map_err(|source| OpenError::Framing { source })?;
    let [one_pass, literal, signed, _] = check_structure(&frames)?;
    if seal::padme(inner.len()) != Some(inner.len()) {
        return Err(OpenError::Padding);
    }
    let content = literal
        .body
        .strip_prefix(&LITERAL_HEADER)
        .ok_or(OpenError::Form)?;
    let signature = signature::parse_frame(signed)?;
    // The signature first: a wrong signer is told as such.
    signer.verify_parts(&signature, Use::Body, &[content], at)?;
    if seal::one_pass(&signature).as_deref() != Some(one_pass.bytes) {
        return Err(OpenError::Form);
    }
    let intended: Option<Vec<_>> = signature
        .intended_recipients()
        .map(signature::fingerprint)
        .collect();
    let expected = recipients.iter().map(|r| r.certificate().fingerprint());
    if !intended.is_some_and(|intended| same(intended.into_iter(), expected)) {
        return Err(VerifyError::IntendedRecipients.into());
    }
    Ok(content)
}

fn check_structure<'f, 'a>(frames: &'f [Frame<'a>]) -> Result<&'f [Frame<'a>; 4], OpenError> {
    let tags: Vec<u8> = frames.iter().map(|f| f.tag).collect();
    let signatures = tags.iter().filter(|&&t| t == tag::SIGNATURE).count();
    match (tags.as_slice(), <&[Frame<'a>; 4]>::try_from(frames)) {
        (
            [
                tag::ONE_PASS_SIGNATURE,
                tag::LITERAL,
                tag::SIGNATURE,
                tag::PADDING,
            ],
            Ok(four),
        ) => Ok(four),
        (tags, _) if tags.contains(&tag::COMPRESSED) => Err(OpenError::Compressed),
        _ if signatures != 1 => Err(OpenError::Signatures { found: signatures }),
        (tags, _) if !tags.contains(&tag::PADDING) => Err(OpenError::Padding),
        _ => Err(OpenError::Structure),
    }
}
