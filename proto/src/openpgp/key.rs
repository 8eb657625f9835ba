//! Secret keys: made, signed with, rotated, and locked under a passphrase (OPG-40 to OPG-44).

use std::fmt;
use std::sync::Arc;

use sequoia_openpgp as pgp;

use pgp::crypto::{Password, S2K};
use pgp::packet::key::{
    Key6, KeyRole as PgpRole, PrimaryRole, SecretKeyMaterial, SecretParts, SubordinateRole,
};
use pgp::packet::{Key, Packet, UserID};
use pgp::serialize::MarshalInto;
use pgp::types::KeyFlags;
use zeroize::Zeroizing;

use super::certificate::{self, Certificate, CertificateError};
use super::desk_key::DeskKey;
use super::packets::{self, Frame, tag};
use super::policy::{self, Suite};
use super::primary::{Secret, Signer};
use super::signature::{self, SignError, Use};
use crate::context::Context;
use crate::id::{Fingerprint, Timestamp};
use crate::limit;

/// Whose key it is: which flags its primary has, and whether it has an encryption subkey.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyRole {
    /// The scheme operator: signs the directory head and bundles.
    Operator,
    /// An agency: signs its roster.
    Agency,
    /// A desk: certifies its encryption subkeys, signs nothing.
    Desk,
    /// An officer: signs, and receives desk keys by an encryption subkey.
    Officer,
}

impl KeyRole {
    const fn signs(self) -> bool {
        !matches!(self, Self::Desk)
    }

    const fn receives(self) -> bool {
        matches!(self, Self::Desk | Self::Officer)
    }
}

/// A secret key that could not be made, changed or unlocked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// A self-signature could not be made.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// The user id is empty, too long, or not printable text (OPG-25).
    #[error(
        "the user id is not 1 to {} bytes of printable text",
        limit::USER_ID_BYTES
    )]
    UserId,
    /// No more encryption subkeys fit: retire one, keeping its desk key for old bodies.
    #[error(
        "the certificate already has {} encryption keys",
        limit::ENCRYPTION_KEYS
    )]
    TooManyKeys,
    /// No such encryption subkey.
    #[error("the key has no encryption key {fingerprint}")]
    NoSuchKey {
        /// The subkey asked for.
        fingerprint: Fingerprint,
    },
    /// Not a key that [`SecretKey::lock`] wrote (OPG-42).
    #[error("not a well-formed secret key")]
    Malformed,
    /// The public part of the key is not an accepted certificate.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// Not protected as OPG-41 says.
    #[error("the secret key is not protected by Argon2 and AEAD with the parameters of OPG-41")]
    Protection,
    /// The passphrase is wrong, or the key was changed (OPG-43).
    #[error("the passphrase is wrong, or the key was tampered with")]
    Passphrase,
    /// The cryptographic library failed.
    #[error("the cryptographic library could not handle the key")]
    Backend,
}

/// A passphrase. Zeroed when dropped, never shown.
pub struct Passphrase(Zeroizing<String>);

impl Passphrase {
    /// Takes the passphrase over.
    #[must_use]
    pub const fn new(text: Zeroizing<String>) -> Self {
        Self(text)
    }

    fn password(&self) -> Password {
        Password::from(self.0.as_bytes())
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase(..)")
    }
}

/// A whole secret key, unlocked: the primary's secret and every encryption subkey's.
pub struct SecretKey {
    certificate: Certificate,
    primary: Key<SecretParts, PrimaryRole>,
    subkeys: Vec<Key<SecretParts, SubordinateRole>>,
}

/// The primary key of an operator, agency or officer, to sign with. Imported once, cheap to clone.
#[derive(Clone)]
pub struct SigningKey {
    certificate: Certificate,
    secret: Arc<Secret>,
}

impl SecretKey {
    /// Makes a key of `role` at `at`.
    ///
    /// # Errors
    /// [`KeyError::UserId`], [`KeyError::Sign`] if `at` is out of range, [`KeyError::Backend`].
    pub fn generate(
        role: KeyRole,
        suite: Suite,
        user_id: &str,
        at: Timestamp,
    ) -> Result<Self, KeyError> {
        if !certificate::is_user_id(user_id) {
            return Err(KeyError::UserId);
        }
        let primary: Key<SecretParts, PrimaryRole> =
            dated(suite.generate_signing().map_err(|_| KeyError::Backend)?, at)?.into();
        let mut bytes = bind_primary(&primary, role, user_id, at)?;
        let mut subkeys = Vec::new();
        if role.receives() {
            let (subkey, packets) = bind_subkey(&primary, suite, at)?;
            bytes.extend(packets);
            subkeys.push(subkey);
        }
        Ok(Self {
            certificate: Certificate::parse(&bytes)?,
            primary,
            subkeys,
        })
    }

    /// The certificate to publish.
    #[must_use]
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// The key to sign with.
    ///
    /// # Errors
    /// [`SignError::MayNotSign`] for a desk's key.
    pub fn signing_key(&self) -> Result<SigningKey, SignError> {
        if !self.certificate.may_sign() {
            return Err(SignError::MayNotSign);
        }
        let secret = Secret::import(&self.primary).ok_or(SignError::Backend)?;
        Ok(SigningKey {
            certificate: self.certificate.clone(),
            secret: Arc::new(secret),
        })
    }

    /// One encryption subkey's secret, to open with or to hand over.
    ///
    /// # Errors
    /// [`KeyError::NoSuchKey`].
    pub fn desk_key(&self, subkey: &Fingerprint) -> Result<DeskKey, KeyError> {
        let secret = self.subkeys.iter().find(|k| is(k, subkey));
        secret
            .and_then(|secret| DeskKey::new(self.certificate.clone(), secret.clone()))
            .ok_or(KeyError::NoSuchKey {
                fingerprint: *subkey,
            })
    }

    /// Adds an encryption subkey made at `at` and returns its fingerprint. Older ones stay, for
    /// bodies that were sealed to them: which one is current, the roster says.
    ///
    /// # Errors
    /// [`KeyError::TooManyKeys`], [`KeyError::Sign`], [`KeyError::Backend`]; the key is unchanged.
    pub fn rotate_encryption_key(&mut self, at: Timestamp) -> Result<Fingerprint, KeyError> {
        if self.subkeys.len() >= limit::ENCRYPTION_KEYS {
            return Err(KeyError::TooManyKeys);
        }
        let (subkey, packets) = bind_subkey(&self.primary, self.certificate.suite(), at)?;
        let bytes = [self.certificate.as_bytes(), &packets].concat();
        let fingerprint = signature::fingerprint(&subkey.fingerprint()).ok_or(KeyError::Backend)?;
        self.certificate = Certificate::parse(&bytes)?;
        self.subkeys.push(subkey);
        Ok(fingerprint)
    }

    /// Takes an encryption subkey out of the certificate. Its secret is handed back, because bodies
    /// sealed to it can be opened with nothing else.
    ///
    /// # Errors
    /// [`KeyError::NoSuchKey`]; the key is unchanged.
    pub fn retire_encryption_key(&mut self, subkey: &Fingerprint) -> Result<DeskKey, KeyError> {
        let retired = self.desk_key(subkey)?;
        let kept: Vec<_> = self
            .subkeys
            .iter()
            .filter(|k| !is(k, subkey))
            .cloned()
            .collect();
        let frames =
            packets::frames(self.certificate.as_bytes()).map_err(|_| KeyError::Malformed)?;
        let (head, pairs) = frames.split_at_checked(4).ok_or(KeyError::Malformed)?;
        let mut bytes: Vec<u8> = head.iter().flat_map(|f| f.bytes).copied().collect();
        for (key, pair) in self.subkeys.iter().zip(pairs.chunks(2)) {
            if !is(key, subkey) {
                bytes.extend(pair.iter().flat_map(|f| f.bytes));
            }
        }
        self.certificate = Certificate::parse(&bytes)?;
        self.subkeys = kept;
        Ok(retired)
    }

    /// The whole key, every secret under Argon2 and AEAD (OPG-40, OPG-41).
    ///
    /// # Errors
    /// [`KeyError::Backend`].
    pub fn lock(&self, passphrase: &Passphrase) -> Result<Vec<u8>, KeyError> {
        let password = passphrase.password();
        let mut secrets = vec![Packet::from(protect(self.primary.clone(), &password)?)];
        for subkey in &self.subkeys {
            secrets.push(Packet::from(protect(subkey.clone(), &password)?));
        }
        let secrets = secrets
            .iter()
            .map(|packet| packet.to_vec().map_err(|_| KeyError::Backend))
            .collect::<Result<Vec<_>, _>>()?;
        let mut secrets = secrets.into_iter();
        let mut locked = Vec::new();
        let frames =
            packets::frames(self.certificate.as_bytes()).map_err(|_| KeyError::Malformed)?;
        for frame in frames {
            match frame.tag {
                tag::PUBLIC_KEY | tag::PUBLIC_SUBKEY => {
                    locked.extend(secrets.next().ok_or(KeyError::Malformed)?);
                }
                _ => locked.extend_from_slice(frame.bytes),
            }
        }
        Ok(locked)
    }

    /// Reads what [`SecretKey::lock`] wrote.
    ///
    /// # Errors
    /// [`KeyError::Malformed`], [`KeyError::Certificate`], [`KeyError::Protection`],
    /// [`KeyError::Passphrase`].
    pub fn unlock(bytes: &[u8], passphrase: &Passphrase) -> Result<Self, KeyError> {
        if bytes.len() > 2 * limit::CERTIFICATE_BYTES {
            return Err(KeyError::Malformed);
        }
        let password = passphrase.password();
        let (mut public, mut primary, mut subkeys) = (Vec::new(), None, Vec::new());
        // The public half is checked whole before any secret is derived.
        let frames = packets::frames(bytes).map_err(|_| KeyError::Malformed)?;
        for frame in &frames {
            public.extend(public_half(frame)?);
        }
        let certificate = Certificate::parse(&public)?;
        for frame in &frames {
            match (frame.tag, packets::canonical(frame)) {
                (tag::SECRET_KEY, Some(Packet::SecretKey(key))) => {
                    primary = Some(unprotect(key, &password)?);
                }
                (tag::SECRET_SUBKEY, Some(Packet::SecretSubkey(key))) => {
                    subkeys.push(unprotect(key, &password)?);
                }
                (tag::SECRET_KEY | tag::SECRET_SUBKEY, _) => return Err(KeyError::Malformed),
                _ => {}
            }
        }
        Ok(Self {
            certificate,
            primary: primary.ok_or(KeyError::Malformed)?,
            subkeys,
        })
    }
}

impl SigningKey {
    /// The certificate that its signatures verify with.
    #[must_use]
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// A detached signature over the context's line and `content`, made at `at`.
    ///
    /// # Errors
    /// [`SignError::NotValid`] outside the key's validity, [`SignError::Time`],
    /// [`SignError::Backend`].
    pub fn sign(
        &self,
        context: Context,
        content: &[u8],
        at: Timestamp,
    ) -> Result<Vec<u8>, SignError> {
        let mut signer = self.signer(at)?;
        signature::sign(
            signature::builder(Use::Detached, at)?,
            &mut signer,
            &[context.line(), content],
        )
    }

    pub(super) fn signer(&self, at: Timestamp) -> Result<Signer<'_>, SignError> {
        if self.certificate.is_valid(at) {
            Ok(Signer {
                public: self.certificate.primary(),
                secret: &self.secret,
            })
        } else {
            Err(SignError::NotValid { at })
        }
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretKey")
            .field("certificate", &self.certificate)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey")
            .field("certificate", &self.certificate)
            .finish_non_exhaustive()
    }
}

fn is(key: &Key<SecretParts, SubordinateRole>, fingerprint: &Fingerprint) -> bool {
    signature::fingerprint(&key.fingerprint()) == Some(*fingerprint)
}

fn dated<R: PgpRole>(
    mut key: Key6<SecretParts, R>,
    at: Timestamp,
) -> Result<Key6<SecretParts, R>, KeyError> {
    let time = policy::openpgp_time(at).ok_or(SignError::Time { at })?;
    key.set_creation_time(time).map_err(|_| KeyError::Backend)?;
    Ok(key)
}

fn packets_of(packets: &[Packet]) -> Result<Vec<u8>, KeyError> {
    let parts: pgp::Result<Vec<_>> = packets.iter().map(MarshalInto::to_vec).collect();
    parts
        .map(|parts| parts.concat())
        .map_err(|_| KeyError::Backend)
}

/// The primary key, its direct-key signature, the user id, and its binding, all public.
fn bind_primary(
    key: &Key<SecretParts, PrimaryRole>,
    role: KeyRole,
    user_id: &str,
    at: Timestamp,
) -> Result<Vec<u8>, KeyError> {
    let public = key.parts_as_public();
    let flags = KeyFlags::empty()
        .set_certification()
        .set_signing_to(role.signs());
    let user_id = UserID::from(user_id);
    let direct = signature::builder(Use::DirectKey, at)?;
    let binding = signature::builder(Use::UserId, at)?;
    let secret = Secret::import(key).ok_or(KeyError::Backend)?;
    let signatures = || -> pgp::Result<_> {
        let secret = &secret;
        let mut signer = Signer { public, secret };
        let direct = direct
            .set_key_flags(flags)?
            .set_features(policy::features())?
            .set_preferred_aead_ciphersuites(vec![(policy::CIPHER, policy::AEAD)])?
            .sign_direct_key(&mut signer, public)?;
        let binding = binding.sign_userid_binding(&mut signer, public, &user_id)?;
        Ok((direct, binding))
    };
    let (direct, binding) = signatures().map_err(|_| KeyError::Backend)?;
    packets_of(&[
        public.clone().into(),
        direct.into(),
        user_id.into(),
        binding.into(),
    ])
}

/// A new encryption subkey, and its public packet with the binding.
fn bind_subkey(
    primary: &Key<SecretParts, PrimaryRole>,
    suite: Suite,
    at: Timestamp,
) -> Result<(Key<SecretParts, SubordinateRole>, Vec<u8>), KeyError> {
    let subkey: Key<SecretParts, SubordinateRole> = dated(
        suite.generate_encryption().map_err(|_| KeyError::Backend)?,
        at,
    )?
    .into();
    let public = primary.parts_as_public();
    let secret = &Secret::import(primary).ok_or(KeyError::Backend)?;
    let binding = signature::builder(Use::Subkey, at)?
        .set_key_flags(policy::encryption_flags())
        .and_then(|builder| {
            builder.sign_subkey_binding(&mut Signer { public, secret }, public, &subkey)
        })
        .map_err(|_| KeyError::Backend)?;
    let packets = packets_of(&[subkey.parts_as_public().clone().into(), binding.into()])?;
    Ok((subkey, packets))
}

/// OPG-41: Argon2id, RFC 9106's second choice: 3 passes over 64 MiB in 4 lanes.
const ARGON2_PASSES: u8 = 3;
const ARGON2_LANES: u8 = 4;
const ARGON2_MEMORY_EXPONENT: u8 = 16;

fn protect<R: PgpRole>(
    key: Key<SecretParts, R>,
    password: &Password,
) -> Result<Key<SecretParts, R>, KeyError> {
    let mut salt = [0; 16];
    aws_lc_rs::rand::fill(&mut salt).map_err(|_| KeyError::Backend)?;
    let s2k = S2K::Argon2 {
        salt,
        t: ARGON2_PASSES,
        p: ARGON2_LANES,
        m: ARGON2_MEMORY_EXPONENT,
    };
    let (public, mut secret) = key.take_secret();
    secret
        .encrypt_in_place_with(&public, s2k, policy::CIPHER, Some(policy::AEAD), password)
        .map_err(|_| KeyError::Backend)?;
    Ok(public.add_secret(secret).0)
}

fn unprotect<R: PgpRole>(
    key: Key<SecretParts, R>,
    password: &Password,
) -> Result<Key<SecretParts, R>, KeyError> {
    let (public, mut secret) = key.take_secret();
    let SecretKeyMaterial::Encrypted(encrypted) = &secret else {
        return Err(KeyError::Protection);
    };
    // Checked before deriving: the parameters decide how much memory that takes.
    let argon2 = matches!(
        *encrypted.s2k(),
        S2K::Argon2 {
            t: ARGON2_PASSES,
            p: ARGON2_LANES,
            m: ARGON2_MEMORY_EXPONENT,
            ..
        }
    );
    if !argon2 || encrypted.algo() != policy::CIPHER || encrypted.aead_algo() != Some(policy::AEAD)
    {
        return Err(KeyError::Protection);
    }
    secret
        .decrypt_in_place(&public, password)
        .map_err(|_| KeyError::Passphrase)?;
    Ok(public.add_secret(secret).0)
}

/// The public packet that belongs to a packet of a secret key.
fn public_half(frame: &Frame<'_>) -> Result<Vec<u8>, KeyError> {
    let packet = match frame.tag {
        tag::SECRET_KEY | tag::SECRET_SUBKEY => {
            certificate::expect_v6(frame)?;
            packets::canonical(frame).ok_or(KeyError::Malformed)?
        }
        // A public key where a secret is expected: the key is not whole.
        tag::PUBLIC_KEY | tag::PUBLIC_SUBKEY => return Err(KeyError::Malformed),
        _ => return Ok(frame.bytes.to_vec()),
    };
    match packet {
        Packet::SecretKey(key) => packets_of(&[Packet::from(key.take_secret().0)]),
        Packet::SecretSubkey(key) => packets_of(&[Packet::from(key.take_secret().0)]),
        _ => Err(KeyError::Malformed),
    }
}
