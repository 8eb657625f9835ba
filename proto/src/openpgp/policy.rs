//! The allow-list: two suites, and nothing outside them (OPG-02).

use sequoia_openpgp as pgp;

use pgp::packet::key::{Key6, KeyRole, SecretParts};
use pgp::types::{
    AEADAlgorithm, Features, HashAlgorithm, KeyFlags, PublicKeyAlgorithm, SymmetricAlgorithm,
};

use crate::id::Timestamp;
use crate::wire;

/// The algorithms of a key or message. Everything in one message belongs to one suite (OPG-24).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Suite {
    /// RFC 9980: ML-DSA-65+Ed25519 signatures, ML-KEM-768+X25519 encryption.
    PostQuantum,
    /// RFC 9580: Ed25519 signatures, X25519 encryption. For tests and directories that name it.
    Classical,
}

/// A wire value that names no suite.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the cryptographic suite is not given")]
pub struct UnknownSuite;

impl From<Suite> for wire::Suite {
    fn from(suite: Suite) -> Self {
        match suite {
            Suite::PostQuantum => Self::Pq,
            Suite::Classical => Self::Classical,
        }
    }
}

impl TryFrom<wire::Suite> for Suite {
    type Error = UnknownSuite;

    fn try_from(suite: wire::Suite) -> Result<Self, UnknownSuite> {
        match suite {
            wire::Suite::Pq => Ok(Self::PostQuantum),
            wire::Suite::Classical => Ok(Self::Classical),
            wire::Suite::Unspecified => Err(UnknownSuite),
        }
    }
}

/// The one cipher and mode, for bodies and for secret keys at rest.
pub(super) const CIPHER: SymmetricAlgorithm = SymmetricAlgorithm::AES256;
/// RFC 9580 makes OCB the mode that every implementation has.
pub(super) const AEAD: AEADAlgorithm = AEADAlgorithm::OCB;
/// The hash that this implementation signs with.
pub(super) const HASH: HashAlgorithm = HashAlgorithm::SHA512;
/// Bytes of salt that a v6 signature with one of the allowed hashes carries.
pub(super) const SALT_BYTES: usize = 32;

pub(super) fn hash_allowed(hash: HashAlgorithm) -> bool {
    matches!(hash, HashAlgorithm::SHA512 | HashAlgorithm::SHA3_512)
}

impl Suite {
    pub(super) const fn signing(self) -> PublicKeyAlgorithm {
        match self {
            Self::PostQuantum => PublicKeyAlgorithm::MLDSA65_Ed25519,
            Self::Classical => PublicKeyAlgorithm::Ed25519,
        }
    }

    pub(super) const fn encryption(self) -> PublicKeyAlgorithm {
        match self {
            Self::PostQuantum => PublicKeyAlgorithm::MLKEM768_X25519,
            Self::Classical => PublicKeyAlgorithm::X25519,
        }
    }

    pub(super) fn of_signing(algorithm: PublicKeyAlgorithm) -> Option<Self> {
        [Self::PostQuantum, Self::Classical]
            .into_iter()
            .find(|s| s.signing() == algorithm)
    }

    pub(super) fn of_encryption(algorithm: PublicKeyAlgorithm) -> Option<Self> {
        [Self::PostQuantum, Self::Classical]
            .into_iter()
            .find(|s| s.encryption() == algorithm)
    }

    pub(super) fn generate_signing<R: KeyRole>(self) -> pgp::Result<Key6<SecretParts, R>> {
        match self {
            Self::PostQuantum => Key6::generate_mldsa65_ed25519(),
            Self::Classical => Key6::generate_ed25519(),
        }
    }

    pub(super) fn generate_encryption<R: KeyRole>(self) -> pgp::Result<Key6<SecretParts, R>> {
        match self {
            Self::PostQuantum => Key6::generate_mlkem768_x25519(),
            Self::Classical => Key6::generate_x25519(),
        }
    }
}

/// What a certificate says that its owner can read: SEIPDv2 and nothing older.
pub(super) fn features() -> Features {
    Features::empty().set_seipdv2()
}

/// The flags of an encryption subkey.
pub(super) fn encryption_flags() -> KeyFlags {
    KeyFlags::empty()
        .set_transport_encryption()
        .set_storage_encryption()
}

/// OpenPGP's 32-bit time, until 2106.
pub(super) fn openpgp_time(at: Timestamp) -> Option<pgp::types::Timestamp> {
    u32::try_from(at.0).ok().map(pgp::types::Timestamp::from)
}

pub(super) fn seconds(time: std::time::SystemTime) -> Timestamp {
    Timestamp(
        time.duration_since(std::time::UNIX_EPOCH)
            .map_or(0, |d| d.as_secs()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    // OPG-02
    #[test]
    fn the_suites_share_no_algorithm_and_have_wire_values() {
        for suite in [Suite::PostQuantum, Suite::Classical] {
            assert_eq!(Suite::of_signing(suite.signing()), Some(suite));
            assert_eq!(Suite::of_encryption(suite.encryption()), Some(suite));
            assert_eq!(Suite::of_signing(suite.encryption()), None);
            assert_eq!(Suite::try_from(wire::Suite::from(suite)), Ok(suite));
        }
        assert_eq!(Suite::try_from(wire::Suite::Unspecified), Err(UnknownSuite));
    }
}
