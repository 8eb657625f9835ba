//! Waiting for something to become true, with a deadline instead of a fixed pause.

use std::time::Duration;

use anyhow::{Result, bail, ensure};
use tokio::time::Instant;

/// How long anything may take on a busy machine before a test fails.
pub const DEADLINE: Duration = Duration::from_secs(120);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(20);

/// How long somebody has waited for something.
#[derive(Debug, Clone, Copy)]
pub struct Waiting {
    what: &'static str,
    since: Instant,
}

impl Waiting {
    /// From now on, for `what`.
    #[must_use]
    pub fn for_this(what: &'static str) -> Self {
        let since = Instant::now();
        Self { what, since }
    }

    /// Pauses before the next look.
    ///
    /// # Errors
    /// After [`DEADLINE`].
    pub async fn pause(&self) -> Result<()> {
        let what = self.what;
        ensure!(
            self.since.elapsed() < DEADLINE,
            "this did not happen within {DEADLINE:?}: {what}"
        );
        tokio::time::sleep(LOOK).await;
        Ok(())
    }
}

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
