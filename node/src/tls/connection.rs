//! Who is at the other end: found by a service in the extensions of each request.

use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use waypost_proto::id::{AgencyId, Digest, Fingerprint, NodeId};
use waypost_proto::tls::EXPORTER_BYTES;

/// A peer node, as named by the directory during the handshake. Connections are closed after
/// [`MAX_AGE`](crate::server::MAX_AGE), so a node that leaves the directory is not heard for longer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerConnection {
    /// SHA-256 of its SubjectPublicKeyInfo.
    pub key: Digest,
    /// Its name.
    pub node: NodeId,
}

/// What an officer was asked to sign on this connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge {
    /// The agency asked for.
    pub agency: AgencyId,
    /// The officer's certificate.
    pub officer: Fingerprint,
    /// Random bytes.
    pub nonce: [u8; 32],
}

/// Who is logged in on this connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// The agency for which the officer acts.
    pub agency: AgencyId,
    /// The officer's certificate.
    pub officer: Fingerprint,
}

/// The connection already belongs to an officer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this connection is already logged in: open another one")]
pub struct AlreadyLoggedIn;

/// An officer's connection. Clones share the log-in.
#[derive(Clone)]
pub struct DeskConnection {
    exporter: [u8; EXPORTER_BYTES],
    login: Arc<LogIn>,
}

#[derive(Default)]
struct LogIn {
    challenge: Mutex<Option<Challenge>>,
    session: OnceLock<Session>,
}

impl DeskConnection {
    /// A connection with this exporter, on which nobody is logged in.
    #[must_use]
    pub fn new(exporter: [u8; EXPORTER_BYTES]) -> Self {
        Self {
            exporter,
            login: Arc::default(),
        }
    }

    /// What a log-in on this connection must have signed.
    #[must_use]
    pub const fn exporter(&self) -> &[u8; EXPORTER_BYTES] {
        &self.exporter
    }

    /// Remembers what was asked, instead of what was asked before.
    pub fn challenge(&self, challenge: Challenge) {
        *self
            .login
            .challenge
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(challenge);
    }

    /// What was asked: once, so that each challenge allows one attempt.
    #[must_use]
    pub fn take_challenge(&self) -> Option<Challenge> {
        self.login
            .challenge
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    /// Gives the connection to an officer whose signature was verified.
    ///
    /// # Errors
    /// [`AlreadyLoggedIn`]: a connection has one officer for its whole life.
    pub fn log_in(&self, session: Session) -> Result<(), AlreadyLoggedIn> {
        self.login.session.set(session).map_err(|_| AlreadyLoggedIn)
    }

    /// Who is logged in, if anybody.
    #[must_use]
    pub fn session(&self) -> Option<&Session> {
        self.login.session.get()
    }
}

impl fmt::Debug for DeskConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeskConnection")
            .field("session", &self.session())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(officer: u8) -> Session {
        Session {
            agency: "gb.example-county.school".parse().unwrap(),
            officer: Fingerprint::new([officer; 32]),
        }
    }

    #[test]
    fn a_connection_has_one_officer_for_its_whole_life() {
        let connection = DeskConnection::new([7; 32]);
        assert_eq!(connection.session(), None);
        assert_eq!(connection.log_in(session(1)), Ok(()));
        assert_eq!(connection.clone().log_in(session(2)), Err(AlreadyLoggedIn));
        assert_eq!(connection.session(), Some(&session(1)));
    }

    #[test]
    fn a_challenge_allows_one_attempt() {
        let connection = DeskConnection::new([7; 32]);
        let Session { agency, officer } = session(1);
        let challenge = Challenge {
            agency,
            officer,
            nonce: [9; 32],
        };
        connection.challenge(challenge.clone());
        assert_eq!(connection.take_challenge(), Some(challenge));
        assert_eq!(connection.take_challenge(), None);
    }
}
