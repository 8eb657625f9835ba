//! Log-in (proto/spec/desk.md): an officer proves to be one, on this very connection.

use aws_lc_rs::{constant_time, rand};
use waypost_proto::context::Context;
use waypost_proto::id::{AgencyId, Fingerprint};
use waypost_proto::strict;
use waypost_proto::wire;

use crate::host::Node;
use crate::limit;
use crate::tls::connection::{Challenge, DeskConnection, Session};

/// A log-in that does not hold. All look alike from outside but for the check's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LogInError {
    /// LGN-01: another node, agency or officer than the challenge's.
    #[error("LGN-01: the log-in names another node, agency or officer than the challenge")]
    Names,
    /// LGN-02: no challenge, or another nonce.
    #[error("LGN-02: the log-in does not answer this connection's challenge; ask for another one")]
    Challenge,
    /// LGN-03: another connection's exporter.
    #[error("LGN-03: the log-in is for another connection")]
    Connection,
    /// LGN-04: not an officer of the current roster, or the signature does not verify.
    #[error("LGN-04: not signed by an officer of the agency's current roster")]
    Officer,
    /// The connection has an officer already.
    #[error("this connection is logged in already: open another one")]
    Already,
    /// No random bytes could be had.
    #[error("the operating system gives no random bytes")]
    Random,
}

/// A fresh challenge for this connection, instead of the one before.
///
/// # Errors
/// When no random bytes can be had.
pub fn challenge(
    connection: &DeskConnection,
    agency: AgencyId,
    officer: Fingerprint,
) -> Result<[u8; 32], LogInError> {
    let mut nonce = [0; 32];
    rand::fill(&mut nonce).map_err(|_| LogInError::Random)?;
    connection.challenge(Challenge {
        agency,
        officer,
        nonce,
    });
    Ok(nonce)
}

/// Logs the officer in on this connection.
///
/// # Errors
/// LGN-01 to LGN-04.
pub fn log_in(
    node: &Node,
    connection: &DeskConnection,
    request: &wire::LogInRequest,
) -> Result<Session, LogInError> {
    let challenge = connection.take_challenge().ok_or(LogInError::Challenge)?;
    let content: wire::LogInContent =
        strict::decode(&request.content, limit::LOG_IN_BYTES).map_err(|_| LogInError::Names)?;
    let names_match = content.node == node.id.as_str()
        && content.agency == challenge.agency.as_str()
        && content.officer == challenge.officer.as_bytes()
        && content.client_nonce.len() == 32;
    if !names_match {
        return Err(LogInError::Names);
    }
    constant_time::verify_slices_are_equal(&content.node_nonce, &challenge.nonce)
        .map_err(|_| LogInError::Challenge)?;
    constant_time::verify_slices_are_equal(&content.exporter, connection.exporter())
        .map_err(|_| LogInError::Connection)?;
    let agency = node.agency(&challenge.agency).ok_or(LogInError::Officer)?;
    let own = agency.own();
    let (_, certificate) = own
        .any_officer(&challenge.officer)
        .ok_or(LogInError::Officer)?;
    certificate
        .verify(
            Context::Login,
            &request.content,
            &request.signature,
            node.now(),
        )
        .map_err(|_| LogInError::Officer)?;
    let session = Session {
        agency: challenge.agency,
        officer: challenge.officer,
    };
    connection
        .log_in(session.clone())
        .map_err(|_| LogInError::Already)?;
    Ok(session)
}
