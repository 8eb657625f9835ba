//! Desk keys: one encryption subkey's secret, handed from the administrator to officers (OPG-50 to
//! OPG-53).

use std::fmt;

use sequoia_openpgp as pgp;

use pgp::crypto::{KeyPair, S2K, SessionKey};
use pgp::packet::key::{Encrypted, SecretParts, SubordinateRole};
use pgp::packet::{Key, PKESK, Packet};
use pgp::serialize::MarshalInto;
use zeroize::Zeroizing;

use super::certificate::{Certificate, CertificateError};
use super::key::{KeyError, SecretKey, SigningKey};
use super::open::{self, OpenError};
use super::packets::{self, Frame, tag};
use super::policy;
use super::seal::{self, SealError};
use super::session_key::Encapsulator;
use super::signature;
use crate::context::Context;
use crate::id::{Fingerprint, Timestamp};

/// A hand-over that is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AcceptError {
    /// It is not sealed to the officer by the administrator, for this use (OPG-51).
    #[error(transparent)]
    Open(#[from] OpenError),
    /// It is sealed to a key that the officer does not have, or not now.
    #[error(transparent)]
    Recipient(#[from] CertificateError),
    /// It does not hold one certificate and one secret subkey of it (OPG-52).
    #[error("the hand-over is not a desk's certificate and one secret subkey of it")]
    Content,
}

/// One encryption subkey's secret, with the certificate that it belongs to.
#[derive(Clone)]
pub struct DeskKey {
    certificate: Certificate,
    secret: Key<SecretParts, SubordinateRole>,
    fingerprint: Fingerprint,
}

impl DeskKey {
    /// `None` unless `secret` is unprotected and of a subkey of `certificate`.
    pub(super) fn new(
        certificate: Certificate,
        secret: Key<SecretParts, SubordinateRole>,
    ) -> Option<Self> {
        let fingerprint = signature::fingerprint(&secret.fingerprint())?;
        let public = &certificate.subkey(&fingerprint)?.encapsulator;
        (secret.has_unencrypted_secret() && belongs(&secret, public)).then_some(Self {
            certificate,
            secret,
            fingerprint,
        })
    }

    /// The encryption subkey's fingerprint.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// The certificate that it belongs to.
    #[must_use]
    pub fn desk_certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// Seals this key to an officer's newest encryption subkey, signed by the administrator under
    /// [`Context::HandOver`] (OPG-50).
    ///
    /// # Errors
    /// [`SealError`]; [`SealError::Recipients`] if the officer has no key valid at `at`.
    pub fn hand_over(
        &self,
        admin: &SigningKey,
        officer: &Certificate,
        at: Timestamp,
    ) -> Result<Vec<u8>, SealError> {
        let recipient = officer
            .encryption_keys()
            .last()
            .and_then(|newest| officer.recipient(newest, at).ok())
            .ok_or(SealError::Recipients { found: 0 })?;
        let secret = self.secret_packet().map_err(|_| SealError::Backend)?;
        let content = Zeroizing::new([self.certificate.as_bytes(), &secret].concat());
        seal::seal_in(Context::HandOver, &content, admin, &[recipient], at)
    }

    /// Accepts what [`DeskKey::hand_over`] made for `officer`. Whether `admin` may hand over this
    /// desk's keys, and whether the key is current, the caller takes from the directory and roster.
    ///
    /// # Errors
    /// [`AcceptError`].
    pub fn accept(
        bytes: &[u8],
        officer: &SecretKey,
        admin: &Certificate,
        at: Timestamp,
    ) -> Result<Self, AcceptError> {
        let recipients = open::recipients(bytes).map_err(OpenError::from)?;
        let [fingerprint] = recipients.as_slice() else {
            return Err(OpenError::Recipients.into());
        };
        let recipient = officer.certificate().recipient(fingerprint, at)?;
        let key = officer
            .desk_key(fingerprint)
            .map_err(|_| CertificateError::NoSuchKey {
                fingerprint: *fingerprint,
            })?;
        let content = open::open_in(Context::HandOver, bytes, &key, admin, &[recipient], at)?;
        Self::from_content(&content).ok_or(AcceptError::Content)
    }

    /// OPG-52: a certificate, then one secret subkey packet.
    fn from_content(content: &[u8]) -> Option<Self> {
        let frames = packets::frames(content).ok()?;
        let secret = frames.last()?;
        let certificate = content.get(..content.len().checked_sub(secret.bytes.len())?)?;
        let certificate = Certificate::parse(certificate).ok()?;
        match (secret.tag, packets::canonical(secret)) {
            (tag::SECRET_SUBKEY, Some(Packet::SecretSubkey(key))) => Self::new(certificate, key),
            _ => None,
        }
    }

    /// A transferable secret key for other OpenPGP tools: this subkey **unprotected**, the primary
    /// as a stub without its secret, and no other subkey (OPG-53). Whoever has it can open every
    /// body sealed to the subkey.
    ///
    /// # Errors
    /// [`KeyError::Backend`].
    pub fn export(&self) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        let frames =
            packets::frames(self.certificate.as_bytes()).map_err(|_| KeyError::Malformed)?;
        let (head, pairs) = frames.split_first_chunk::<4>().ok_or(KeyError::Malformed)?;
        let [_, direct, user_id, binding] = head;
        let is_ours = |pair: &&[Frame<'_>]| {
            pair.first()
                .and_then(packets::canonical)
                .is_some_and(|packet| match packet {
                    Packet::PublicSubkey(key) => {
                        signature::fingerprint(&key.fingerprint()) == Some(self.fingerprint)
                    }
                    _ => false,
                })
        };
        let ours = pairs.chunks(2).find(is_ours).ok_or(KeyError::Malformed)?;
        let subkey_binding = ours.get(1).ok_or(KeyError::Malformed)?;
        let stub = self.primary_stub()?;
        let secret = self.secret_packet()?;
        let parts = [
            &stub,
            direct.bytes,
            user_id.bytes,
            binding.bytes,
            &secret,
            subkey_binding.bytes,
        ];
        Ok(Zeroizing::new(parts.concat()))
    }

    pub(super) fn pair(&self) -> Option<KeyPair> {
        self.secret.clone().into_keypair().ok()
    }

    fn secret_packet(&self) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        let packet = Packet::from(self.secret.clone());
        packet
            .to_vec()
            .map(Zeroizing::new)
            .map_err(|_| KeyError::Backend)
    }

    /// The primary with random bytes where its protected secret would stand, so that no passphrase
    /// unlocks it. GnuPG's mark for an absent secret (S2K specifier 101) will not do: RFC 9580 has
    /// no form of it for v6 keys, and rPGP does not read it.
    fn primary_stub(&self) -> Result<Vec<u8>, KeyError> {
        let mut random = [0; 16 + 15 + STUB_BYTES];
        aws_lc_rs::rand::fill(&mut random).map_err(|_| KeyError::Backend)?;
        let (&salt, rest) = random.split_first_chunk::<16>().ok_or(KeyError::Backend)?;
        let (nonce, secret) = rest.split_first_chunk::<15>().ok_or(KeyError::Backend)?;
        let s2k = S2K::Argon2 {
            salt,
            t: 1,
            p: 1,
            m: 10,
        };
        let (nonce, secret) = (Box::from(*nonce), Box::from(secret));
        let secret = Encrypted::new_aead(s2k, policy::CIPHER, policy::AEAD, nonce, secret);
        let primary = self
            .certificate
            .primary()
            .clone()
            .add_secret(secret.into())
            .0;
        Packet::from(primary)
            .to_vec()
            .map_err(|_| KeyError::Backend)
    }
}

/// As long as a protected secret of the post-quantum suite: two seeds and a tag.
const STUB_BYTES: usize = 32 + 32 + 16;

/// Whether the secret opens what the public key seals: a secret packet may carry any public part.
fn belongs(secret: &Key<SecretParts, SubordinateRole>, public: &Encapsulator) -> bool {
    let mut bytes = [0; 32];
    if aws_lc_rs::rand::fill(&mut bytes).is_err() {
        return false;
    }
    let session_key = SessionKey::from(&bytes[..]);
    let opened = || -> Option<SessionKey> {
        let sealed = PKESK::from(public.wrap(&session_key).ok()?);
        let mut pair = secret.clone().into_keypair().ok()?;
        sealed.decrypt(&mut pair, None).map(|(_, key)| key)
    };
    opened().is_some_and(|opened| opened == session_key)
}

impl fmt::Debug for DeskKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeskKey")
            .field("fingerprint", &self.fingerprint)
            .finish_non_exhaustive()
    }
}
