//! `demo`: a whole referral between two agencies on this machine.

use std::path::PathBuf;

use crate::context::Context;
use crate::output::{Failure, Output};

/// Plays it, and keeps everything that was made in `keep`.
///
/// # Errors
/// What did not go as it should.
#[expect(clippy::unused_async, reason = "it starts nodes and waits for them")]
pub async fn run(_keep: Option<PathBuf>, _context: &Context) -> Result<Output, Failure> {
    Err(Failure::error("this build has no demonstration"))
}
