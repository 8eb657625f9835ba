//! How the desk service is called: bounded in time, and its failures told in words.

use std::future::Future;
use std::time::Duration;

use tokio_stream::StreamExt as _;
use tonic::transport::Channel;
use tonic::{Code, Response, Status, Streaming};

use crate::output::Failure;
use crate::rpc::desk_client::DeskClient;

/// The node's desk service, over the one connection that the officer logged in on.
pub(crate) type Client = DeskClient<Channel>;

/// How long one call may take; also the longest wait for the next item of a stream.
const CALL: Duration = Duration::from_secs(30);
/// Characters of the node's own words that are shown.
const WORDS: usize = 200;

/// A call that did not give an answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    /// No answer in time.
    #[error("the node did not answer within {} seconds", CALL.as_secs())]
    Slow,
    /// The connection broke. The log-in held for it alone.
    #[error("the connection to the node was lost")]
    Lost,
    /// The node does not let this officer in, or not yet.
    #[error("the node refuses the log-in: {text}")]
    LoggedOut {
        /// The node's words, printable.
        text: String,
    },
    /// The node does not have it.
    #[error("the node does not have it: {text}")]
    Absent {
        /// The node's words, printable.
        text: String,
    },
    /// Any other refusal.
    #[error("the node answers `{code:?}`: {text}")]
    Refused {
        /// gRPC code.
        code: Code,
        /// The node's words, printable.
        text: String,
    },
}

impl From<Status> for CallError {
    fn from(status: Status) -> Self {
        let text = words(status.message());
        let broken = std::error::Error::source(&status).is_some();
        match status.code() {
            Code::DeadlineExceeded => Self::Slow,
            Code::Unavailable | Code::Unknown | Code::Internal | Code::Cancelled if broken => {
                Self::Lost
            }
            Code::Unauthenticated | Code::PermissionDenied => Self::LoggedOut { text },
            Code::NotFound => Self::Absent { text },
            code => Self::Refused { code, text },
        }
    }
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        let next = match &error {
            CallError::Slow | CallError::Lost => "type the command again; then `waypost doctor`",
            CallError::LoggedOut { .. } => {
                "ask the agency administrator whether the published roster holds your key: `waypost roster show`"
            }
            CallError::Absent { .. } => "look at what there is: `waypost inbox --all`",
            CallError::Refused { .. } => "type the command again; then ask who runs the node",
        };
        Self::error(error.to_string()).next(next)
    }
}

/// The node's words are its own: one line, shortened, without control characters.
pub(crate) fn words(text: &str) -> String {
    text.chars()
        .filter(|c| !c.is_control())
        .take(WORDS)
        .collect()
}

/// Waits for one answer, not for ever.
pub(crate) async fn answer<T>(
    call: impl Future<Output = Result<Response<T>, Status>>,
) -> Result<T, CallError> {
    let answered = tokio::time::timeout(CALL, call).await;
    Ok(answered.map_err(|_| CallError::Slow)??.into_inner())
}

/// The next item of a stream; none at its end.
pub(crate) async fn next<T>(stream: &mut Streaming<T>) -> Result<Option<T>, CallError> {
    let item = tokio::time::timeout(CALL, stream.next()).await;
    Ok(item.map_err(|_| CallError::Slow)?.transpose()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_the_node_reach_the_terminal_without_control_characters() {
        let status = Status::not_found("gone\u{1b}[2J\n away");
        assert_eq!(
            CallError::from(status).to_string(),
            "the node does not have it: gone[2J away"
        );
    }

    #[test]
    fn a_node_that_does_not_know_the_officer_is_told_apart_from_one_that_is_busy() {
        let out = CallError::from(Status::unauthenticated("LGN-04"));
        assert!(matches!(out, CallError::LoggedOut { .. }));
        let busy = CallError::from(Status::unavailable("busy"));
        assert!(matches!(busy, CallError::Refused { .. }));
    }

    #[test]
    fn every_failed_call_says_what_to_do_next() {
        for error in [
            CallError::Slow,
            CallError::Lost,
            CallError::LoggedOut {
                text: String::new(),
            },
            CallError::Absent {
                text: String::new(),
            },
        ] {
            assert!(Failure::from(error).to_string().contains("next: "));
        }
    }
}
