//! Commands that speak to the agency's own node, or work on what it gave.
//!
//! In scope: connecting and logging in, chains checked by this client itself, sending, reading and
//! answering, and the proof that the node keeps its log. The node is never believed: what it relays is
//! verified from the pinned operator down, and its list is held against its signed log.
//!
//! ```text
//! session  connection + log-in                  own_log  checkpoints, entries, proofs
//! chain    operator -> ... -> roster            mirror   the list against the log
//! refer, answer -> policy -> send               inbox, open, cases, export, log
//! ```

pub(crate) mod call;
pub(crate) mod login;
pub(crate) mod session;

pub(crate) mod chain;
pub(crate) mod own_log;

pub(crate) mod mail;
pub(crate) mod mirror;

pub(crate) mod cases;

pub(crate) mod input;
pub(crate) mod policy;
pub(crate) mod send;

pub(crate) mod answer;
pub(crate) mod refer;

pub(crate) mod fetch;
pub(crate) mod inbox;
pub(crate) mod open;

#[cfg(test)]
pub(crate) mod fixture;

use crate::args::OnlineCommand;
use crate::context::Context;
use crate::output::{Failure, Output};

/// Runs one of them.
///
/// # Errors
/// What it could not do.
#[expect(clippy::unused_async, reason = "the commands call a node")]
pub async fn run(_command: OnlineCommand, _context: &Context) -> Result<Output, Failure> {
    Err(Failure::error(
        "this build has no commands that speak to a node",
    ))
}

/// Gives a roster and its certificates to the agency's node.
///
/// # Errors
/// The node cannot be reached, or refuses.
#[expect(clippy::unused_async, reason = "it calls a node")]
pub async fn publish_roster(
    _context: &Context,
    _roster: &[u8],
    _certificates: &[Vec<u8>],
) -> Result<(), Failure> {
    Err(Failure::error(
        "this build has no commands that speak to a node",
    ))
}
