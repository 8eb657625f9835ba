//! TLS as Waypost uses it (DESIGN 2, TLS): configurations only, the sockets are the callers'.
//!
//! TLS 1.3, key exchange X25519MLKEM768 and nothing else, Ed25519 keys in self-signed certificates,
//! HTTP/2. A certificate is only a wrapper: what counts is the SHA-256 of its
//! SubjectPublicKeyInfo, pinned by the directory, and the handshake signature that proves its
//! secret. Names, validity dates, issuers and public authorities are not looked at.
//!
//! What is recorded today stays closed to a quantum computer. The handshake's signature is
//! classical: forging it would need that computer while the connection is made.
//!
//! INVARIANT (every connection is pinned): there is no resumption, no ticket and no early data, so
//! the pin is checked against the directory of the moment on every connection.

use std::fmt;
use std::net::Ipv4Addr;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WantsClientCert};
use rustls::crypto::aws_lc_rs::{self, cipher_suite, kx_group, sign};
use rustls::crypto::{CryptoProvider, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{NoServerSessionStorage, ParsedCertificate, WantsServerCert};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{
    CertificateError, ClientConfig, ConfigBuilder, ConnectionCommon, DigitallySignedStruct,
    DistinguishedName, PeerIncompatible, PeerMisbehaved, ServerConfig, SignatureScheme,
    WantsVerifier,
};

use crate::id::Digest;
use crate::limit;

/// Label of the exporter that a log-in signs, so that it holds for one connection only.
pub const EXPORTER_LABEL: &[u8] = b"EXPORTER-waypost-v1-login";
/// Bytes of that exporter.
pub const EXPORTER_BYTES: usize = 32;
/// The one application protocol: HTTP/2, for gRPC.
pub const ALPN: &[u8] = b"h2";

/// What can be wrong with a key, a certificate or a connection.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum TlsError {
    /// A certificate above [`limit::TLS_CERTIFICATE_BYTES`].
    #[error("a TLS certificate of {found} bytes is larger than {limit}")]
    CertificateSize {
        /// Its size in bytes.
        found: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// Not one X.509 certificate.
    #[error("the TLS certificate does not parse")]
    Certificate {
        /// The parser's reason.
        #[source]
        source: rustls::Error,
    },
    /// Not an Ed25519 secret key in PKCS #8.
    #[error("the TLS secret key is not an Ed25519 key in PKCS #8")]
    Key,
    /// The certificate is for another key.
    #[error("the TLS certificate and the secret key do not belong together")]
    Mismatch,
    /// rustls refuses the configuration: a bug here.
    #[error("the TLS configuration is refused")]
    Configuration {
        /// Its reason.
        #[source]
        source: rustls::Error,
    },
    /// The handshake is not finished.
    #[error("the TLS connection has no exporter: its handshake is not finished")]
    Exporter,
}

/// SHA-256 of a certificate's SubjectPublicKeyInfo: the name of a TLS key in the directory.
///
/// # Errors
/// [`TlsError::CertificateSize`] before parsing, [`TlsError::Certificate`] after.
pub fn spki_digest(certificate: &[u8]) -> Result<Digest, TlsError> {
    if certificate.len() > limit::TLS_CERTIFICATE_BYTES {
        return Err(TlsError::CertificateSize {
            found: certificate.len(),
            limit: limit::TLS_CERTIFICATE_BYTES,
        });
    }
    let certificate = CertificateDer::from(certificate);
    let parsed = ParsedCertificate::try_from(&certificate)
        .map_err(|source| TlsError::Certificate { source })?;
    Ok(Digest::of(&parsed.subject_public_key_info()))
}

/// A node's TLS key with its self-signed certificate.
#[derive(Clone)]
pub struct Identity {
    certified: CertifiedKey,
    digest: Digest,
}

impl Identity {
    /// From a DER certificate and an Ed25519 secret key in PKCS #8.
    ///
    /// # Errors
    /// When either does not parse, or they do not belong together.
    pub fn new(certificate: &[u8], secret_key: &[u8]) -> Result<Self, TlsError> {
        let digest = spki_digest(certificate)?;
        let key = sign::any_eddsa_type(&PrivatePkcs8KeyDer::from(secret_key))
            .map_err(|_| TlsError::Key)?;
        let certified = CertifiedKey::new(vec![CertificateDer::from(certificate.to_vec())], key);
        certified.keys_match().map_err(|_| TlsError::Mismatch)?;
        Ok(Self { certified, digest })
    }

    /// Its name in the directory.
    #[must_use]
    pub const fn digest(&self) -> Digest {
        self.digest
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("digest", &self.digest)
            .finish_non_exhaustive()
    }
}

/// Which keys may connect, asked during the handshake; the answer may change between connections.
pub type KnownKey = Arc<dyn Fn(&Digest) -> bool + Send + Sync>;

/// For a node that calls a peer: presents `identity`, accepts a server with one of `pins` only.
///
/// # Errors
/// [`TlsError::Configuration`]: a bug.
pub fn peer_client(identity: &Identity, pins: &[Digest]) -> Result<ClientConfig, TlsError> {
    let resolver = Arc::new(SingleCertAndKey::from(identity.certified.clone()));
    Ok(finish_client(
        client(pins)?.with_client_cert_resolver(resolver),
    ))
}

/// For an officer's machine: no certificate of its own, accepts a node with one of `pins` only.
///
/// # Errors
/// [`TlsError::Configuration`]: a bug.
pub fn desk_client(pins: &[Digest]) -> Result<ClientConfig, TlsError> {
    Ok(finish_client(client(pins)?.with_no_client_auth()))
}

/// For a node's peer listener: a client without a key for which `known` answers true is refused
/// during the handshake.
///
/// # Errors
/// [`TlsError::Configuration`]: a bug.
pub fn peer_server(identity: &Identity, known: KnownKey) -> Result<ServerConfig, TlsError> {
    Ok(finish_server(
        server()?.with_client_cert_verifier(Arc::new(Pinned { known })),
        identity,
    ))
}

/// For a node's desk listener: officers have no TLS key, they log in above.
///
/// # Errors
/// [`TlsError::Configuration`]: a bug.
pub fn desk_server(identity: &Identity) -> Result<ServerConfig, TlsError> {
    Ok(finish_server(server()?.with_no_client_auth(), identity))
}

/// What a client passes for a server's name: a constant. It is not sent and nothing looks at it.
#[must_use]
pub fn server_name() -> ServerName<'static> {
    ServerName::from(std::net::IpAddr::from(Ipv4Addr::UNSPECIFIED))
}

/// The secret that only the two ends of this connection share ([`EXPORTER_LABEL`], no context).
///
/// # Errors
/// [`TlsError::Exporter`] before the handshake is finished.
pub fn exporter<Side>(
    connection: &ConnectionCommon<Side>,
) -> Result<[u8; EXPORTER_BYTES], TlsError> {
    connection
        .export_keying_material([0; EXPORTER_BYTES], EXPORTER_LABEL, None)
        .map_err(|_| TlsError::Exporter)
}

/// Suites of 256 bits, to match ML-KEM-768.
fn provider() -> CryptoProvider {
    CryptoProvider {
        cipher_suites: vec![
            cipher_suite::TLS13_AES_256_GCM_SHA384,
            cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
        ],
        kx_groups: vec![kx_group::X25519MLKEM768],
        ..aws_lc_rs::default_provider()
    }
}

fn client(pins: &[Digest]) -> Result<ConfigBuilder<ClientConfig, WantsClientCert>, TlsError> {
    let pins: Box<[Digest]> = pins.into();
    let known: KnownKey = Arc::new(move |key| pins.contains(key));
    Ok(ClientConfig::builder_with_provider(Arc::new(provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|source| TlsError::Configuration { source })?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Pinned { known })))
}

fn finish_client(mut config: ClientConfig) -> ClientConfig {
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.resumption = Resumption::disabled();
    config.enable_early_data = false;
    config.enable_sni = false;
    config
}

fn server() -> Result<ConfigBuilder<ServerConfig, WantsVerifier>, TlsError> {
    ServerConfig::builder_with_provider(Arc::new(provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|source| TlsError::Configuration { source })
}

fn finish_server(
    builder: ConfigBuilder<ServerConfig, WantsServerCert>,
    identity: &Identity,
) -> ServerConfig {
    let resolver = Arc::new(SingleCertAndKey::from(identity.certified.clone()));
    let mut config = builder.with_cert_resolver(resolver);
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.max_early_data_size = 0;
    config
}

/// Judges the other side by its key alone, in both directions.
struct Pinned {
    known: KnownKey,
}

impl fmt::Debug for Pinned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pinned").finish_non_exhaustive()
    }
}

impl Pinned {
    fn judge(
        &self,
        end_entity: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
    ) -> Result<(), rustls::Error> {
        if !others.is_empty() {
            return Err(CertificateError::BadEncoding.into());
        }
        let key = spki_digest(end_entity).map_err(|_| CertificateError::BadEncoding)?;
        if (self.known)(&key) {
            Ok(())
        } else {
            Err(CertificateError::ApplicationVerificationFailure.into())
        }
    }

    fn verify(
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        if signature.scheme != SignatureScheme::ED25519 {
            return Err(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme.into());
        }
        let algorithms = aws_lc_rs::default_provider().signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, &algorithms)
    }
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.judge(end_entity, intermediates)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(PeerIncompatible::ServerDoesNotSupportTls12Or13.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Self::verify(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }
}

impl ClientCertVerifier for Pinned {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        self.judge(end_entity, intermediates)?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(PeerIncompatible::ServerDoesNotSupportTls12Or13.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Self::verify(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }
}

#[cfg(test)]
mod tests {
    use rustls::ClientConnection;

    use super::*;

    #[test]
    fn what_is_not_a_certificate_has_no_digest() {
        assert!(matches!(
            spki_digest(b""),
            Err(TlsError::Certificate { .. })
        ));
        assert!(matches!(
            spki_digest(&[0x30; 200]),
            Err(TlsError::Certificate { .. })
        ));
    }

    #[test]
    fn a_certificate_above_its_limit_is_refused_before_it_is_parsed() {
        let large = vec![0x30; limit::TLS_CERTIFICATE_BYTES + 1];
        assert!(matches!(
            spki_digest(&large),
            Err(TlsError::CertificateSize { found, limit }) if found == limit + 1
        ));
    }

    #[test]
    fn there_is_no_exporter_before_the_handshake() {
        let config = Arc::new(desk_client(&[]).unwrap());
        let connection = ClientConnection::new(config, server_name()).unwrap();
        assert_eq!(exporter(&connection), Err(TlsError::Exporter));
    }

    #[test]
    fn a_client_offers_nothing_but_what_this_page_names() {
        let config = desk_client(&[]).unwrap();
        let provider = config.crypto_provider();
        let groups: Vec<_> = provider
            .kx_groups
            .iter()
            .map(|group| group.name())
            .collect();
        assert_eq!(groups, [rustls::NamedGroup::X25519MLKEM768]);
        assert!(
            provider
                .cipher_suites
                .iter()
                .all(|suite| suite.tls13().is_some())
        );
        assert_eq!(config.alpn_protocols, [b"h2".to_vec()]);
        assert!(!config.enable_sni && !config.enable_early_data);
    }
}
