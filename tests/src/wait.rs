//! Waiting for something to become true, with a deadline instead of a fixed pause.

use std::time::Duration;

use anyhow::{Result, bail};
use tokio::time::Instant;

/// How long anything may take on a busy machine before a test fails.
pub const DEADLINE: Duration = Duration::from_secs(120);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(20);

/// Asks `probe` until it gives a value.
///
/// # Errors
/// The probe's own error; after [`DEADLINE`], that `what` did not happen.
pub async fn until<T>(what: &str, mut probe: impl AsyncFnMut() -> Result<Option<T>>) -> Result<T> {
    let started = Instant::now();
    while started.elapsed() < DEADLINE {
        if let Some(value) = probe().await? {
            return Ok(value);
        }
        tokio::time::sleep(LOOK).await;
    }
    bail!("this did not happen within {DEADLINE:?}: {what}")
}
