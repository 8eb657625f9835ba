//! Session keys, wrapped for a recipient's encryption subkey (OPG-31; RFC 9980, 4.2).

use aws_lc_rs::agreement::{EphemeralPrivateKey, UnparsedPublicKey, X25519, agree_ephemeral};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::kem::{AlgorithmId, EncapsulationKey, ML_KEM_768, SharedSecret};
use aws_lc_rs::rand::SystemRandom;
use sequoia_openpgp as pgp;

use pgp::crypto::SessionKey;
use pgp::crypto::ecdh::aes_key_wrap;
use pgp::crypto::mpi::{Ciphertext, PublicKey};
use pgp::packet::Key;
use pgp::packet::key::{PublicParts, SubordinateRole};
use pgp::packet::pkesk::PKESK6;
use pgp::types::{HashAlgorithm, PublicKeyAlgorithm};

use super::policy;

/// An encryption subkey's public half. Its ML-KEM half is imported once: most of what importing
/// and encapsulating anew would cost.
#[derive(Debug)]
pub(super) struct Encapsulator {
    pub(super) key: Key<PublicParts, SubordinateRole>,
    mlkem: Option<EncapsulationKey<AlgorithmId>>,
}

impl Encapsulator {
    /// `None` if the ML-KEM half is not a key.
    pub(super) fn import(key: Key<PublicParts, SubordinateRole>) -> Option<Self> {
        let mlkem = match key.mpis() {
            PublicKey::MLKEM768_X25519 { mlkem, .. } => {
                Some(EncapsulationKey::new(&ML_KEM_768, mlkem.as_slice()).ok()?)
            }
            _ => None,
        };
        Some(Self { key, mlkem })
    }

    /// The packet from which this key's owner, and nobody else, has the session key.
    pub(super) fn wrap(&self, session_key: &SessionKey) -> pgp::Result<PKESK6> {
        match (self.key.mpis(), &self.mlkem) {
            (PublicKey::MLKEM768_X25519 { ecdh, .. }, Some(mlkem)) => {
                let wrapped = wrap_hybrid(ecdh, mlkem, session_key)?;
                let recipient = Some(self.key.fingerprint());
                PKESK6::new(recipient, PublicKeyAlgorithm::MLKEM768_X25519, wrapped)
            }
            _ => PKESK6::for_recipient(session_key, &self.key),
        }
    }
}

fn wrap_hybrid(
    ecdh: &[u8; 32],
    mlkem: &EncapsulationKey<AlgorithmId>,
    session_key: &SessionKey,
) -> pgp::Result<Ciphertext> {
    let ephemeral = EphemeralPrivateKey::generate(&X25519, &SystemRandom::new())?;
    let ecdh_ciphertext: [u8; 32] = ephemeral.compute_public_key()?.as_ref().try_into()?;
    let (mlkem_ciphertext, mlkem_share) = mlkem.encapsulate()?;
    let peer = UnparsedPublicKey::new(&X25519, ecdh);
    let kek = agree_ephemeral(ephemeral, peer, Unspecified.into(), |ecdh_share| {
        combine(&mlkem_share, ecdh_share, &ecdh_ciphertext, ecdh)
    })?;
    Ok(Ciphertext::MLKEM768_X25519 {
        ecdh: Box::new(ecdh_ciphertext),
        mlkem: Box::new(mlkem_ciphertext.as_ref().try_into()?),
        esk: aes_key_wrap(
            policy::CIPHER,
            kek.as_protected(),
            session_key.as_protected(),
        )?
        .into(),
    })
}

/// `multiKeyCombine` of RFC 9980, 4.2.1.
fn combine(
    mlkem_share: &SharedSecret,
    ecdh_share: &[u8],
    ecdh_ciphertext: &[u8; 32],
    ecdh_public: &[u8; 32],
) -> pgp::Result<SessionKey> {
    let mut hash = HashAlgorithm::SHA3_256.context()?.for_digest();
    hash.update(mlkem_share.as_ref());
    hash.update(ecdh_share);
    hash.update(ecdh_ciphertext);
    hash.update(ecdh_public);
    hash.update(&[PublicKeyAlgorithm::MLKEM768_X25519.into()]);
    hash.update(b"OpenPGPCompositeKDFv1\x15");
    let mut kek = SessionKey::from(vec![0; 32]);
    hash.digest(&mut kek)?;
    Ok(kek)
}
