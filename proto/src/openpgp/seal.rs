//! Sealing: sign, pad, encrypt (OPG-30 to OPG-37).
//!
//! ```text
//! PKESK v6 (one a recipient)   SEIPD v2 ( one-pass signature, literal, signature, padding )
//! ```

use std::io::Write;

use sequoia_openpgp as pgp;

use pgp::PacketPile;
use pgp::crypto::SessionKey;
use pgp::packet::one_pass_sig::OnePassSig6;
use pgp::packet::{OnePassSig, Packet, Signature};
use pgp::parse::Parse;
use pgp::serialize::stream::{Encryptor, Message};
use pgp::serialize::{Marshal, MarshalInto};
use zeroize::Zeroizing;

use super::certificate::Recipient;
use super::key::SigningKey;
use super::packets::{self, tag};
use super::policy;
use super::signature::{self, SignError, Use};
use crate::context::Context;
use crate::id::{Fingerprint, Timestamp};
use crate::limit;

/// A body that could not be sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The signature could not be made.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// Nobody, or more than `limit::RECIPIENTS`.
    #[error("a body has 1 to {} recipients, not {found}", limit::RECIPIENTS)]
    Recipients {
        /// How many were given.
        found: usize,
    },
    /// A recipient given twice, or two keys of one certificate.
    #[error("recipient {fingerprint} is given twice")]
    Repeated {
        /// The second key.
        fingerprint: Fingerprint,
    },
    /// The signer and the recipients are not all of one suite (OPG-24).
    #[error("the key {fingerprint} is of another suite than the signer")]
    MixedSuites {
        /// The key.
        fingerprint: Fingerprint,
    },
    /// The sealed body would be longer than `limit::BODY_BYTES`.
    #[error(
        "the content is too long: sealed it would be {bytes} bytes, more than {}",
        limit::BODY_BYTES
    )]
    TooLong {
        /// Its length, sealed or, when that alone is too much, not yet sealed.
        bytes: usize,
    },
    /// The cryptographic library failed.
    #[error("the cryptographic library could not seal")]
    Backend,
}

/// Seals `plaintext` to exactly `recipients`, signed by `signer` at `at`. The signature covers the
/// line of [`Context::Body`] before it; [`super::open`] takes that line off again.
///
/// # Errors
/// [`SealError`]; nothing was sealed.
pub fn seal(
    plaintext: &[u8],
    signer: &SigningKey,
    recipients: &[Recipient],
    at: Timestamp,
) -> Result<Vec<u8>, SealError> {
    seal_in(Context::Body, plaintext, signer, recipients, at)
}

/// The same in another context: hand-over.
pub(super) fn seal_in(
    context: Context,
    plaintext: &[u8],
    signer: &SigningKey,
    recipients: &[Recipient],
    at: Timestamp,
) -> Result<Vec<u8>, SealError> {
    check_recipients(signer, recipients)?;
    if plaintext.len() > limit::BODY_BYTES {
        return Err(SealError::TooLong {
            bytes: plaintext.len(),
        });
    }
    let content = Zeroizing::new([context.line(), plaintext].concat());
    let intended: Vec<_> = recipients
        .iter()
        .map(|r| r.certificate().fingerprint())
        .collect();
    let signature = sign(&content, signer, &intended, at)?;
    let inner = pad(inner(&signature, &content)?)?;
    let body = encrypt(&inner, recipients)?;
    if body.len() > limit::BODY_BYTES {
        return Err(SealError::TooLong { bytes: body.len() });
    }
    Ok(body)
}

fn check_recipients(signer: &SigningKey, recipients: &[Recipient]) -> Result<(), SealError> {
    if !(1..=limit::RECIPIENTS).contains(&recipients.len()) {
        return Err(SealError::Recipients {
            found: recipients.len(),
        });
    }
    for (index, recipient) in recipients.iter().enumerate() {
        let fingerprint = recipient.fingerprint();
        if recipient.certificate().suite() != signer.certificate().suite() {
            return Err(SealError::MixedSuites { fingerprint });
        }
        let certificate = recipient.certificate().fingerprint();
        let mut earlier = recipients.iter().take(index);
        if earlier.any(|r| r.certificate().fingerprint() == certificate) {
            return Err(SealError::Repeated { fingerprint });
        }
    }
    Ok(())
}

/// The signature over `content`, naming the certificates it is meant for (OPG-34).
pub(super) fn sign(
    content: &[u8],
    signer: &SigningKey,
    intended: &[Fingerprint],
    at: Timestamp,
) -> Result<Signature, SealError> {
    let mut signer = signer.signer(at)?;
    let intended: Vec<_> = intended.iter().map(signature::to_openpgp).collect();
    signature::builder(Use::Body, at)?
        .set_intended_recipients(intended)
        .and_then(|builder| builder.sign_message(&mut signer, content))
        .map_err(|_| SealError::Backend)
}

/// OPG-33: the one-pass signature that belongs to `signature`, byte for byte.
pub(super) fn one_pass(signature: &Signature) -> Option<Vec<u8>> {
    let mut one_pass = OnePassSig6::try_from(signature).ok()?;
    one_pass.set_last(true);
    Packet::from(OnePassSig::from(one_pass)).to_vec().ok()
}

/// A literal packet of binary data starts so: format, no file name, no date (OPG-33).
pub(super) const LITERAL_HEADER: [u8; 6] = [b'b', 0, 0, 0, 0, 0];

/// One-pass signature, literal, signature; without the padding.
pub(super) fn inner(
    signature: &Signature,
    content: &[u8],
) -> Result<Zeroizing<Vec<u8>>, SealError> {
    let one_pass = one_pass(signature).ok_or(SealError::Backend)?;
    let signature = Packet::from(signature.clone())
        .to_vec()
        .map_err(|_| SealError::Backend)?;
    let literal = packet_header(tag::LITERAL, LITERAL_HEADER.len() + content.len())?;
    let length =
        one_pass.len() + literal.len() + LITERAL_HEADER.len() + content.len() + signature.len();
    // All at once, padding included, so that no copy of the content is left behind unzeroed.
    let mut inner = Zeroizing::new(Vec::with_capacity(padded_length(length)?));
    inner.extend_from_slice(&one_pass);
    inner.extend_from_slice(&literal);
    inner.extend_from_slice(&LITERAL_HEADER);
    inner.extend_from_slice(content);
    inner.extend_from_slice(&signature);
    Ok(inner)
}

/// A header with a five-octet length, whatever the length: so that every length can be padded to.
fn packet_header(tag: u8, length: usize) -> Result<[u8; HEADER_BYTES], SealError> {
    let length = u32::try_from(length).map_err(|_| SealError::TooLong { bytes: length })?;
    let [a, b, c, d] = length.to_be_bytes();
    Ok([0xc0 | tag, 0xff, a, b, c, d])
}

const HEADER_BYTES: usize = 6;

/// What `length` bytes and a padding packet make together.
fn padded_length(length: usize) -> Result<usize, SealError> {
    padme(length.saturating_add(HEADER_BYTES)).ok_or(SealError::TooLong { bytes: length })
}

/// Adds one padding packet, so that only Padmé's buckets show outside (OPG-35).
pub(super) fn pad(mut inner: Zeroizing<Vec<u8>>) -> Result<Zeroizing<Vec<u8>>, SealError> {
    let target = padded_length(inner.len())?;
    let header = packet_header(tag::PADDING, target - inner.len() - HEADER_BYTES)?;
    inner.extend_from_slice(&header);
    let padding_from = inner.len();
    inner.resize(target, 0);
    let padding = inner.get_mut(padding_from..).unwrap_or_default();
    aws_lc_rs::rand::fill(padding).map_err(|_| SealError::Backend)?;
    Ok(inner)
}

/// Padmé (Nikitin et al., PETS 2019): rounds a length up so that O(log log length) bits of it show,
/// at a cost of 12% at most. `None` if it overflows.
pub(super) fn padme(length: usize) -> Option<usize> {
    if length < 2 {
        return Some(length);
    }
    let exponent = length.ilog2();
    let kept = exponent.ilog2() + 1;
    let mask = (1_usize << (exponent - kept)) - 1;
    Some(length.checked_add(mask)? & !mask)
}

/// OPG-30: one PKESK v6 a recipient, one SEIPD v2, both of definite length.
pub(super) fn encrypt(inner: &[u8], recipients: &[Recipient]) -> Result<Vec<u8>, SealError> {
    let body = || -> Option<Vec<u8>> {
        let session_key = SessionKey::new(policy::CIPHER.key_size().ok()?).ok()?;
        let mut body = Vec::with_capacity(inner.len() + inner.len() / 8 + 4096);
        for recipient in recipients {
            let wrapped = recipient.encapsulator()?.wrap(&session_key).ok()?;
            Packet::from(wrapped).serialize(&mut body).ok()?;
        }
        container(inner, session_key)
            .ok()?
            .serialize(&mut body)
            .ok()?;
        packets::frames(&body).is_ok().then_some(body)
    };
    body().ok_or(SealError::Backend)
}

/// Sequoia streams in parts; read again, the packet is written with its one definite length.
fn container(inner: &[u8], session_key: SessionKey) -> pgp::Result<PacketPile> {
    let mut streamed = Vec::with_capacity(inner.len() + inner.len() / 128 + 4096);
    let message = Message::new(&mut streamed);
    let mut message = Encryptor::with_session_key(message, policy::CIPHER, session_key)?
        .aead_algo(policy::AEAD)
        .build()?;
    message.write_all(inner)?;
    message.finalize()?;
    PacketPile::from_bytes(&streamed)
}

#[cfg(test)]
mod tests {
    use super::*;

    // OPG-35
    #[test]
    fn padme_leaves_few_lengths_and_adds_at_most_an_eighth() {
        assert_eq!(padme(9), Some(10));
        assert_eq!(padme(4097), Some(4352));
        assert_eq!(padme(200_000), Some(200_704));
        for length in 2..5000 {
            let padded = padme(length).unwrap();
            assert!(
                padded >= length && (padded - length) * 8 <= length + 8,
                "{length}"
            );
            assert_eq!(padme(padded), Some(padded));
        }
        assert_eq!(padme(usize::MAX), None);
    }
}
