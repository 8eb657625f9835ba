//! `directory install`: pin the operator once, then only ever a newer directory of the same one.

use std::path::Path;

use serde::Serialize;
use waypost_proto::directory_file::VerifiedDirectory;
use waypost_proto::id::Fingerprint;

use super::{FILE_BYTES, Summary, read};
use crate::context::Context;
use crate::home::{AgencySettings, HomeFile, Seen, Settings, read_file};
use crate::output::{Failure, Output, Page, Report};

#[derive(Debug, Serialize)]
struct Installed {
    #[serde(flatten)]
    directory: Summary,
    pinned_now: bool,
    own_agency_listed: bool,
}

impl Report for Installed {
    const COMMAND: &'static str = "directory install";

    fn page(&self, page: &mut Page) {
        page.good("The directory is installed.");
        self.directory.head(page);
        if self.pinned_now {
            page.line("From now on only this operator's directories are accepted in this home.");
        }
        if !self.own_agency_listed {
            page.warning(
                "Your own agency is not in it: nobody can write to you yet. Ask the scheme operator.",
            );
        }
    }
}

/// Installs a directory file.
///
/// # Errors
/// It does not verify under the pinned operator, is expired or older than one seen, or holds another
/// certificate for the home's own agency.
pub(super) fn install(
    path: &Path,
    pin: Option<Fingerprint>,
    context: &Context,
) -> Result<Output, Failure> {
    let settings = context.home.agency()?;
    let bytes = read_file(path, FILE_BYTES)?;
    let pin = choose_pin(&settings, pin, context)?;
    let now = context.now();
    let directory = read(&bytes, &pin, now)?;
    let head = directory.head();
    if !head.is_fresh(now) {
        return Err(Failure::error("the directory has expired")
            .next("get the current file from the scheme operator"));
    }
    let own_agency_listed = check_own_agency(&settings, &directory, context)?;
    context.home.update_state(|state| {
        if let Some(Seen { version, digest }) = state.directory {
            head.check_not_older(version, digest).map_err(|e| {
                Failure::error("the directory is not newer than the one installed").caused_by(&e)
            })?;
        }
        // The file before the state: a newer file than the state knows is accepted, an older not.
        context.home.write(&HomeFile::Directory, &bytes)?;
        state.directory = Some(Seen {
            version: head.version(),
            digest: head.digest(),
        });
        Ok(())
    })?;
    let pinned_now = settings.operator.is_none();
    if pinned_now {
        let settings = AgencySettings {
            operator: Some(pin),
            ..settings
        };
        context.home.write_settings(&Settings::Agency(settings))?;
    }
    Ok(Output::of(&Installed {
        directory: Summary::of(&directory, now),
        pinned_now,
        own_agency_listed,
    }))
}

/// The pin of the home; for the first directory, the one that is given or typed. It is never taken
/// from the file, which would make it worth nothing.
fn choose_pin(
    settings: &AgencySettings,
    given: Option<Fingerprint>,
    context: &Context,
) -> Result<Fingerprint, Failure> {
    match (settings.operator, given) {
        (Some(pinned), Some(given)) if pinned != given => {
            Err(Failure::error("another scheme operator is pinned in this home")
                .because(format!("{pinned} is pinned, {given} was given"))
                .next("if the operator has changed, hear it from them in person first, and then make a new home"))
        }
        (Some(pin), _) | (None, Some(pin)) => Ok(pin),
        (None, None) => {
            let typed = context.ask(
                "This is the first directory of this home. Type the scheme operator's fingerprint, \
                 as they gave it to you on paper or on the telephone:",
                "--pin FINGERPRINT",
            )?;
            let digits: String = typed.chars().filter(|c| !c.is_whitespace()).collect();
            digits.to_ascii_lowercase().parse().map_err(|e| {
                Failure::invalid("this is not a fingerprint")
                    .caused_by(&e)
                    .next("type all 64 digits; spaces do not matter")
            })
        }
    }
}

/// Whether the home's own agency is listed, with its own certificate.
fn check_own_agency(
    settings: &AgencySettings,
    directory: &VerifiedDirectory,
    context: &Context,
) -> Result<bool, Failure> {
    let Some(listed) = directory.certificate(&settings.agency) else {
        return Ok(false);
    };
    let own = context.certificate(&HomeFile::AgencyCertificate)?;
    if listed.fingerprint() == own.fingerprint() {
        return Ok(true);
    }
    Err(Failure::error(format!(
        "the directory holds another key for your own agency `{}`",
        settings.agency
    ))
    .because(format!(
        "yours is {}, the directory's is {}: someone may be posing as your agency",
        own.fingerprint(),
        listed.fingerprint()
    ))
    .next("telephone the scheme operator at once; nothing was installed"))
}
