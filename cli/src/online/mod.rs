//! Commands that speak to the agency's node, or work on what it gave.

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
