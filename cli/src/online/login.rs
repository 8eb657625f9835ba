//! The log-in to the agency's own node: it holds for one TLS connection (proto/spec/desk.md).

use std::io;

use prost::Message as _;
use waypost_proto::context::Context as SignatureContext;
use waypost_proto::directory::NodeRecord;
use waypost_proto::id::{AgencyId, Digest, NodeId, Timestamp};
use waypost_proto::openpgp::{SignError, SigningKey};
use waypost_proto::wire;

use super::call::{self, CallError, Client};
use crate::connection::{self, Connection, ConnectionError};
use crate::output::Failure;

const NONCE: usize = 32;

/// A node that does not let the officer in, or that is not to be trusted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoginError {
    /// No connection.
    #[error("the node `{node}` cannot be reached at {endpoint}")]
    Unreachable {
        /// The node.
        node: NodeId,
        /// `host:port`.
        endpoint: String,
        /// Why.
        #[source]
        source: ConnectionError,
    },
    /// Whoever answers holds another key than the directory names.
    #[error(
        "what answers at {endpoint} does not hold the TLS key that the directory names for the node `{node}`: nothing was sent to it"
    )]
    NotPinned {
        /// The node.
        node: NodeId,
        /// `host:port`.
        endpoint: String,
    },
    /// LGN-01: the challenge is another node's.
    #[error(
        "LGN-01: the node calls itself `{found}`, the directory names `{expected}`: not logged in"
    )]
    OtherNode {
        /// Found, as told.
        found: String,
        /// Expected.
        expected: NodeId,
    },
    /// LGN-02: the challenge is not 32 bytes.
    #[error("LGN-02: the node's challenge is not {NONCE} bytes: not logged in")]
    Challenge,
    /// The officer's key does not sign.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// No random bytes.
    #[error("the operating system gives no random bytes")]
    Random,
    /// A call fails.
    #[error(transparent)]
    Call(#[from] CallError),
}

impl From<LoginError> for Failure {
    fn from(error: LoginError) -> Self {
        let next = match error {
            LoginError::Call(error) => return error.into(),
            LoginError::Unreachable { .. } => {
                "look at the network, then ask who runs the node; in an emergency, telephone"
            }
            LoginError::NotPinned { .. } | LoginError::OtherNode { .. } => {
                "install the current directory: `waypost directory install FILE`; if it is current, somebody stands between you and the node: tell who runs it"
            }
            LoginError::Challenge | LoginError::Sign(_) | LoginError::Random => "waypost doctor",
        };
        Self::error("the log-in to the node failed")
            .caused_by(&error)
            .next(next)
    }
}

/// What the node told at the log-in.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Welcome {
    /// Directories in force at the node.
    pub(crate) directories: Vec<wire::DirectoryState>,
    /// True past the validity of the agency's directory or roster.
    pub(crate) degraded: bool,
}

/// Connects to a node, and to nothing that does not hold its pinned key.
pub(crate) async fn connect(node: &NodeRecord) -> Result<Connection, LoginError> {
    let pins: Vec<Digest> = node.tls_keys().collect();
    connection::connect(&node.desk_endpoint, &pins)
        .await
        .map_err(|error| refused(node, error))
}

/// Tells a wrong key from a node that is away.
fn refused(node: &NodeRecord, source: ConnectionError) -> LoginError {
    let wrong_key = match &source {
        ConnectionError::Unreachable { source, .. } => is_wrong_key(source),
        _ => false,
    };
    let (node, endpoint) = (node.id.clone(), node.desk_endpoint.clone());
    if wrong_key {
        LoginError::NotPinned { node, endpoint }
    } else {
        LoginError::Unreachable {
            node,
            endpoint,
            source,
        }
    }
}

fn is_wrong_key(error: &io::Error) -> bool {
    error
        .get_ref()
        .and_then(|e| e.downcast_ref::<rustls::Error>())
        .is_some_and(|e| matches!(e, rustls::Error::InvalidCertificate(_)))
}

/// Logs the officer in (LGN-01 to LGN-04).
pub(crate) async fn log_in(
    connection: Connection,
    agency: &AgencyId,
    node: &NodeId,
    officer: &SigningKey,
    at: Timestamp,
) -> Result<(Client, Welcome), LoginError> {
    let Connection { mut desk, exporter } = connection;
    let fingerprint = officer.certificate().fingerprint();
    let request = wire::ChallengeRequest {
        agency: agency.to_string(),
        officer: fingerprint.as_bytes().to_vec(),
    };
    let challenge = call::answer(desk.challenge(request)).await?;
    check(&challenge, node)?;
    let mut client_nonce = vec![0; NONCE];
    aws_lc_rs::rand::fill(&mut client_nonce).map_err(|_| LoginError::Random)?;
    let content = wire::LogInContent {
        agency: agency.to_string(),
        node: node.to_string(),
        officer: fingerprint.as_bytes().to_vec(),
        node_nonce: challenge.nonce,
        client_nonce,
        exporter: exporter.to_vec(),
    }
    .encode_to_vec();
    let signature = officer.sign(SignatureContext::Login, &content, at)?;
    let request = wire::LogInRequest { content, signature };
    let reply = call::answer(desk.log_in(request)).await?;
    let welcome = Welcome {
        directories: reply.directories,
        degraded: reply.degraded,
    };
    Ok((desk, welcome))
}

/// What is not this node's challenge is not signed.
fn check(challenge: &wire::ChallengeReply, node: &NodeId) -> Result<(), LoginError> {
    if challenge.node != node.as_str() {
        let plain = challenge.node.chars().filter(char::is_ascii_graphic);
        return Err(LoginError::OtherNode {
            found: plain.take(80).collect(),
            expected: node.clone(),
        });
    }
    if challenge.nonce.len() == NONCE {
        Ok(())
    } else {
        Err(LoginError::Challenge)
    }
}

#[cfg(test)]
mod tests {
    use waypost_proto::id::Digest;

    use super::*;

    fn node() -> NodeRecord {
        NodeRecord {
            id: "gb.example-host".parse().unwrap(),
            peer_endpoint: "127.0.0.1:1".into(),
            desk_endpoint: "127.0.0.1:1".into(),
            tls_key: Digest::of(b"key"),
            tls_key_next: None,
        }
    }

    fn challenge(node: &str, bytes: usize) -> wire::ChallengeReply {
        wire::ChallengeReply {
            node: node.into(),
            nonce: vec![0; bytes],
        }
    }

    /// LGN-01.
    #[test]
    fn the_challenge_of_another_node_is_not_signed() {
        let error = check(&challenge("gb.other-host\u{1b}", NONCE), &node().id).unwrap_err();
        assert!(matches!(error, LoginError::OtherNode { found, .. } if found == "gb.other-host"));
        assert!(check(&challenge("gb.example-host", NONCE), &node().id).is_ok());
    }

    /// LGN-02.
    #[test]
    fn a_challenge_of_another_length_is_not_signed() {
        let error = check(&challenge("gb.example-host", 16), &node().id).unwrap_err();
        assert!(matches!(error, LoginError::Challenge));
    }

    #[test]
    fn a_wrong_key_is_told_apart_from_a_node_that_is_away() {
        let unreachable = |source| ConnectionError::Unreachable {
            endpoint: "127.0.0.1:1".into(),
            source,
        };
        let wrong = io::Error::other(rustls::Error::InvalidCertificate(
            rustls::CertificateError::ApplicationVerificationFailure,
        ));
        let error = refused(&node(), unreachable(wrong));
        assert!(matches!(error, LoginError::NotPinned { .. }));
        let away = io::Error::from(io::ErrorKind::ConnectionRefused);
        let error = refused(&node(), unreachable(away));
        assert!(matches!(error, LoginError::Unreachable { .. }));
        assert!(Failure::from(error).to_string().contains("telephone"));
    }
}
