//! Primary keys, imported once: what signs and what verifies (OPG-12, OPG-17).
//!
//! Packets and digests are sequoia's, the arithmetic on them is aws-lc's: several times faster than
//! through OpenSSL, and without importing a key for each signature. Both halves of a composite key
//! sign the same digest, and both have to verify (RFC 9980, 5.2).

use aws_lc_rs::signature::{
    ED25519, Ed25519KeyPair, KeyPair, ML_DSA_65, ML_DSA_65_SIGNING, ParsedPublicKey, PqdsaKeyPair,
};
use sequoia_openpgp as pgp;

use pgp::crypto::mpi;
use pgp::packet::Key;
use pgp::packet::key::{PrimaryRole, PublicParts, SecretKeyMaterial, SecretParts, UnspecifiedRole};
use pgp::types::HashAlgorithm;

/// The public half of a primary key.
#[derive(Debug)]
pub(super) struct Primary {
    pub(super) key: Key<PublicParts, PrimaryRole>,
    verifier: Verifier,
}

#[derive(Debug)]
enum Verifier {
    PostQuantum {
        eddsa: ParsedPublicKey,
        mldsa: ParsedPublicKey,
    },
    Classical {
        eddsa: ParsedPublicKey,
    },
}

impl Primary {
    /// `None` unless the key is of a suite.
    pub(super) fn import(key: Key<PublicParts, PrimaryRole>) -> Option<Self> {
        let verifier = match key.mpis() {
            mpi::PublicKey::MLDSA65_Ed25519 { eddsa, mldsa } => Verifier::PostQuantum {
                eddsa: ParsedPublicKey::new(&ED25519, eddsa.as_slice()).ok()?,
                mldsa: ParsedPublicKey::new(&ML_DSA_65, mldsa.as_slice()).ok()?,
            },
            mpi::PublicKey::Ed25519 { a } => Verifier::Classical {
                eddsa: ParsedPublicKey::new(&ED25519, a).ok()?,
            },
            _ => return None,
        };
        Some(Self { key, verifier })
    }

    /// Whether this key, with both halves if it has two, signed `digest`.
    pub(super) fn signed(&self, digest: &[u8], signature: &mpi::Signature) -> bool {
        match (&self.verifier, signature) {
            (
                Verifier::PostQuantum { eddsa, mldsa },
                mpi::Signature::MLDSA65_Ed25519 {
                    eddsa: first,
                    mldsa: second,
                },
            ) => {
                eddsa.verify_sig(digest, first.as_slice()).is_ok()
                    && mldsa.verify_sig(digest, second.as_slice()).is_ok()
            }
            (Verifier::Classical { eddsa }, mpi::Signature::Ed25519 { s }) => {
                eddsa.verify_sig(digest, s.as_slice()).is_ok()
            }
            _ => false,
        }
    }
}

/// The secret half of a primary key. aws-lc zeroes it when the last owner drops it.
pub(super) enum Secret {
    PostQuantum {
        eddsa: Ed25519KeyPair,
        mldsa: PqdsaKeyPair,
    },
    Classical {
        eddsa: Ed25519KeyPair,
    },
}

impl Secret {
    /// `None` unless the secret is unprotected and belongs to the public key.
    pub(super) fn import(key: &Key<SecretParts, PrimaryRole>) -> Option<Self> {
        let SecretKeyMaterial::Unencrypted(secret) = key.secret() else {
            return None;
        };
        secret.map(|secret| match (key.mpis(), secret) {
            (
                mpi::PublicKey::MLDSA65_Ed25519 {
                    eddsa: first,
                    mldsa: second,
                },
                mpi::SecretKeyMaterial::MLDSA65_Ed25519 { eddsa, mldsa },
            ) => {
                let eddsa =
                    Ed25519KeyPair::from_seed_and_public_key(eddsa, first.as_slice()).ok()?;
                let mldsa = PqdsaKeyPair::from_seed(&ML_DSA_65_SIGNING, mldsa).ok()?;
                let belongs = mldsa.public_key().as_ref() == second.as_slice();
                belongs.then_some(Self::PostQuantum { eddsa, mldsa })
            }
            (mpi::PublicKey::Ed25519 { a }, mpi::SecretKeyMaterial::Ed25519 { x }) => {
                let eddsa = Ed25519KeyPair::from_seed_and_public_key(x, a).ok()?;
                Some(Self::Classical { eddsa })
            }
            _ => None,
        })
    }

    fn sign(&self, digest: &[u8]) -> Option<mpi::Signature> {
        match self {
            Self::PostQuantum { eddsa, mldsa } => {
                let mut second = Box::new([0; MLDSA_BYTES]);
                mldsa.sign(digest, second.as_mut_slice()).ok()?;
                Some(mpi::Signature::MLDSA65_Ed25519 {
                    eddsa: ed25519(eddsa, digest)?,
                    mldsa: second,
                })
            }
            Self::Classical { eddsa } => Some(mpi::Signature::Ed25519 {
                s: ed25519(eddsa, digest)?,
            }),
        }
    }
}

/// Length of an ML-DSA-65 signature (FIPS 204, table 2).
const MLDSA_BYTES: usize = 3309;

fn ed25519(pair: &Ed25519KeyPair, digest: &[u8]) -> Option<Box<[u8; 64]>> {
    let signature = pair.try_sign(digest).ok()?;
    signature.as_ref().try_into().map(Box::new).ok()
}

/// A secret with its public key, as sequoia asks for them.
pub(super) struct Signer<'a> {
    pub(super) public: &'a Key<PublicParts, PrimaryRole>,
    pub(super) secret: &'a Secret,
}

impl pgp::crypto::Signer for Signer<'_> {
    fn public(&self) -> &Key<PublicParts, UnspecifiedRole> {
        self.public.role_as_unspecified()
    }

    fn sign(&mut self, _: HashAlgorithm, digest: &[u8]) -> pgp::Result<mpi::Signature> {
        let failed = || pgp::Error::InvalidOperation("the key did not sign".to_owned());
        self.secret.sign(digest).ok_or_else(|| failed().into())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::policy::{HASH, Suite};
    use super::*;

    type SecretPrimary = Key<SecretParts, PrimaryRole>;

    fn generate(suite: Suite) -> SecretPrimary {
        suite.generate_signing().unwrap().into()
    }

    fn sign(mut signer: impl pgp::crypto::Signer, digest: &[u8]) -> mpi::Signature {
        signer.sign(HASH, digest).unwrap()
    }

    fn sign_by_awslc(key: &SecretPrimary, digest: &[u8]) -> mpi::Signature {
        let (public, secret) = (key.parts_as_public(), &Secret::import(key).unwrap());
        sign(Signer { public, secret }, digest)
    }

    fn sign_by_openssl(key: &SecretPrimary, digest: &[u8]) -> mpi::Signature {
        sign(key.clone().into_keypair().unwrap(), digest)
    }

    fn imported(key: &SecretPrimary) -> Primary {
        Primary::import(key.parts_as_public().clone()).unwrap()
    }

    fn both_say(key: &SecretPrimary, digest: &[u8], signature: &mpi::Signature) -> bool {
        let ours = imported(key).signed(digest, signature);
        let openssl = key.parts_as_public().verify(signature, HASH, digest);
        assert_eq!(ours, openssl.is_ok());
        ours
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]

        // OPG-12, OPG-17
        #[test]
        fn what_one_library_signs_the_other_verifies(digest: [u8; 32], other: [u8; 32]) {
            for suite in [Suite::PostQuantum, Suite::Classical] {
                let key = generate(suite);
                let stranger = generate(suite);
                for signature in [sign_by_awslc(&key, &digest), sign_by_openssl(&key, &digest)] {
                    prop_assert!(both_say(&key, &digest, &signature));
                    prop_assert_eq!(both_say(&key, &other, &signature), digest == other);
                    prop_assert!(!both_say(&stranger, &digest, &signature));
                }
            }
        }
    }

    // OPG-12: each half has to be this key's, over this digest.
    #[test]
    fn a_composite_signature_with_a_half_of_another_digest_or_key_is_refused() {
        let halves = |signature| match signature {
            mpi::Signature::MLDSA65_Ed25519 { eddsa, mldsa } => (eddsa, mldsa),
            other => panic!("{other:?}"),
        };
        let (key, stranger) = (generate(Suite::PostQuantum), generate(Suite::PostQuantum));
        let (eddsa, mldsa) = halves(sign_by_awslc(&key, &[1; 64]));
        let whole = mpi::Signature::MLDSA65_Ed25519 {
            eddsa: eddsa.clone(),
            mldsa: mldsa.clone(),
        };
        assert!(both_say(&key, &[1; 64], &whole));
        for (other, digest) in [(&key, [2; 64]), (&stranger, [1; 64])] {
            let (other_eddsa, other_mldsa) = halves(sign_by_awslc(other, &digest));
            for mixed in [
                mpi::Signature::MLDSA65_Ed25519 {
                    eddsa: eddsa.clone(),
                    mldsa: other_mldsa,
                },
                mpi::Signature::MLDSA65_Ed25519 {
                    eddsa: other_eddsa,
                    mldsa: mldsa.clone(),
                },
            ] {
                assert!(!both_say(&key, &[1; 64], &mixed));
            }
        }
        let classical = mpi::Signature::Ed25519 { s: eddsa };
        assert!(!both_say(&key, &[1; 64], &classical));
    }

    // OPG-42
    #[test]
    fn a_secret_under_the_public_key_of_another_does_not_sign() {
        for suite in [Suite::PostQuantum, Suite::Classical] {
            let (one, other) = (generate(suite), generate(suite));
            let (_, secret) = one.take_secret();
            let (public, _) = other.take_secret();
            assert!(Secret::import(&public.add_secret(secret).0).is_none());
        }
    }

    // OPG-42
    #[test]
    fn a_secret_with_one_half_of_another_key_does_not_sign() {
        let secret_halves = |key: &SecretPrimary| match key.secret() {
            SecretKeyMaterial::Unencrypted(secret) => secret.map(Clone::clone),
            SecretKeyMaterial::Encrypted(_) => panic!("protected"),
        };
        let (one, other) = (generate(Suite::PostQuantum), generate(Suite::PostQuantum));
        let (first, second) = (secret_halves(&one), secret_halves(&other));
        let (
            mpi::SecretKeyMaterial::MLDSA65_Ed25519 { eddsa, mldsa },
            mpi::SecretKeyMaterial::MLDSA65_Ed25519 {
                eddsa: other_eddsa,
                mldsa: other_mldsa,
            },
        ) = (first, second)
        else {
            panic!("not composite");
        };
        for mixed in [
            mpi::SecretKeyMaterial::MLDSA65_Ed25519 {
                eddsa,
                mldsa: other_mldsa,
            },
            mpi::SecretKeyMaterial::MLDSA65_Ed25519 {
                eddsa: other_eddsa,
                mldsa,
            },
        ] {
            let public = one.parts_as_public().clone();
            assert!(Secret::import(&public.add_secret(mixed.into()).0).is_none());
        }
    }
}
