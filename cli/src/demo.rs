//! `demo`: four agencies of two States on this machine, three messages between them, and the proof of what
//! is claimed.
//!
//! Everything is the real thing: the commands are this very program, run as an officer would run them;
//! the nodes are real processes that speak real TLS over the loopback interface. Only the people are
//! invented.
//!
//! ```text
//! cast    a school, child protection, the NRM authority, another State's liaison office
//! stage   folders, keys, two directories, four nodes
//! story   three times: refer -> open -> ack -> reply -> open
//! claims  what the reader need not believe: searched, verified, attacked
//! ```

use std::path::{Path, PathBuf};

use crate::context::Context;
use crate::output::{self, Failure, Output};

mod cast;
mod claims;
mod hostile;
mod report;
mod search;
mod stage;
mod story;

use report::Demo;
use stage::Stage;

/// Plays it, and keeps everything that was made in `keep`.
///
/// # Errors
/// What did not go as it should, or a claim that does not hold.
pub async fn run(keep: Option<PathBuf>, context: &Context) -> Result<Output, Failure> {
    let temporary;
    let folder = match &keep {
        Some(folder) => made(folder)?,
        None => {
            temporary = tempfile::tempdir()
                .map_err(|e| Failure::error("no temporary folder can be made").caused_by(&e))?;
            temporary.path()
        }
    };
    let stage = Stage::set(folder).await?;
    let story = story::play(&stage).await?;
    output::note("Proving it ..");
    let claims = claims::prove(&stage, &story, context).await?;
    if keep.is_some() {
        stage.export(&story).await?;
    }
    stage.strike().await;
    let demo = Demo {
        kept: keep.map(|folder| folder.display().to_string()),
        story,
        claims,
    };
    Ok(Output::of(&demo))
}

fn made(folder: &Path) -> Result<&Path, Failure> {
    let failed = |e: std::io::Error| {
        Failure::error(format!("`{}` cannot be made", folder.display())).caused_by(&e)
    };
    if folder.exists() && folder.read_dir().map_err(failed)?.next().is_some() {
        return Err(
            Failure::invalid(format!("`{}` is not empty", folder.display()))
                .next("name a new folder, or remove that one"),
        );
    }
    std::fs::create_dir_all(folder).map_err(failed)?;
    Ok(folder)
}
