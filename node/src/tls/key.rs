//! This node's TLS key: made once, kept in the data folder, named in the directory by its digest.

use std::io;
use std::path::Path;

use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, PKCS_ED25519};
use waypost_proto::limit;
use waypost_proto::tls::{Identity, TlsError};
use zeroize::Zeroizing;

use crate::files::{self, FileError};

/// The secret key, PKCS #8.
pub const SECRET_FILE: &str = "tls.key";
/// The certificate, DER.
pub const CERTIFICATE_FILE: &str = "tls.crt";
/// An Ed25519 key in PKCS #8, with its public key and room to spare.
const SECRET_BYTES: usize = 256;

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// One of the two files.
    #[error("this node's TLS key, which `waypost-node init` makes")]
    File {
        /// Which, and why.
        #[source]
        source: FileError,
    },
    /// Generation failed.
    #[error("a TLS key could not be generated")]
    Generate {
        /// Why.
        #[source]
        source: rcgen::Error,
    },
    /// The files hold no usable key.
    #[error("the TLS key in the data folder is not usable")]
    Unusable {
        /// Why.
        #[source]
        source: TlsError,
    },
}

/// The key in `folder`, generated if there is none yet.
///
/// # Errors
/// [`KeyError`].
pub fn load_or_generate(folder: &Path) -> Result<Identity, KeyError> {
    let secret_path = folder.join(SECRET_FILE);
    let key =
        KeyPair::generate_for(&PKCS_ED25519).map_err(|source| KeyError::Generate { source })?;
    let secret = Zeroizing::new(key.serialize_der());
    match files::create_secret(&secret_path, &secret) {
        Ok(()) => {}
        Err(FileError::Io { source, .. }) if source.kind() == io::ErrorKind::AlreadyExists => {}
        Err(source) => return Err(KeyError::File { source }),
    }
    if !folder.join(CERTIFICATE_FILE).exists() {
        certify(folder)?;
    }
    load(folder)
}

/// The key in `folder`.
///
/// # Errors
/// [`KeyError`]; others' permission to read the secret is one.
pub fn load(folder: &Path) -> Result<Identity, KeyError> {
    let file = |source| KeyError::File { source };
    let secret = files::read_secret(&folder.join(SECRET_FILE), SECRET_BYTES).map_err(file)?;
    let certificate =
        files::read_public(&folder.join(CERTIFICATE_FILE), limit::TLS_CERTIFICATE_BYTES)
            .map_err(file)?;
    Identity::new(&certificate, &secret).map_err(|source| KeyError::Unusable { source })
}

/// Wraps the key in a certificate that says nothing: no name, no host.
fn certify(folder: &Path) -> Result<(), KeyError> {
    let generate = |source| KeyError::Generate { source };
    let file = |source| KeyError::File { source };
    let secret = files::read_secret(&folder.join(SECRET_FILE), SECRET_BYTES).map_err(file)?;
    let key = KeyPair::try_from(secret.as_slice()).map_err(generate)?;
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, "waypost");
    let certificate = params.self_signed(&key).map_err(generate)?;
    files::write_public(&folder.join(CERTIFICATE_FILE), certificate.der()).map_err(file)
}

#[cfg(test)]
mod tests {
    use waypost_proto::id::Digest;

    use super::*;

    #[test]
    fn a_key_is_made_once_and_then_loaded() {
        let folder = tempfile::tempdir().unwrap();
        let made = load_or_generate(folder.path()).unwrap();
        assert_eq!(
            load_or_generate(folder.path()).unwrap().digest(),
            made.digest()
        );
        assert_eq!(load(folder.path()).unwrap().digest(), made.digest());
    }

    #[test]
    fn the_digest_is_that_of_the_public_key_info_as_another_library_encodes_it() {
        use rcgen::PublicKeyData;
        let folder = tempfile::tempdir().unwrap();
        let made = load_or_generate(folder.path()).unwrap();
        let secret = std::fs::read(folder.path().join(SECRET_FILE)).unwrap();
        let key = KeyPair::try_from(secret.as_slice()).unwrap();
        assert_eq!(made.digest(), Digest::of(&key.subject_public_key_info()));
    }

    #[test]
    fn a_lost_certificate_is_made_again_for_the_same_key() {
        let folder = tempfile::tempdir().unwrap();
        let made = load_or_generate(folder.path()).unwrap();
        std::fs::remove_file(folder.path().join(CERTIFICATE_FILE)).unwrap();
        assert_eq!(
            load_or_generate(folder.path()).unwrap().digest(),
            made.digest()
        );
    }

    #[test]
    fn a_certificate_of_another_key_is_refused() {
        let (ours, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        load_or_generate(ours.path()).unwrap();
        load_or_generate(other.path()).unwrap();
        std::fs::copy(
            other.path().join(CERTIFICATE_FILE),
            ours.path().join(CERTIFICATE_FILE),
        )
        .unwrap();
        let error = load(ours.path()).unwrap_err();
        assert!(
            matches!(
                error,
                KeyError::Unusable {
                    source: TlsError::Mismatch
                }
            ),
            "{error:?}"
        );
    }

    #[test]
    fn a_key_never_shows_in_debug_output() {
        let folder = tempfile::tempdir().unwrap();
        let identity = load_or_generate(folder.path()).unwrap();
        assert_eq!(
            format!("{identity:?}"),
            format!("Identity {{ digest: {}, .. }}", identity.digest())
        );
    }
}
