//! `directory install`: pin a country's operator once, then only ever a newer directory of the same one.

use std::path::Path;
use std::sync::Arc;

use serde::Serialize;
use waypost_proto::directory_file::VerifiedDirectory;
use waypost_proto::id::{Country, Fingerprint};

use super::{FILE_BYTES, Summary, head_of, read};
use crate::context::Context;
use crate::home::{AgencySettings, HomeFile, Seen, Settings, read_file};
use crate::output::{Failure, Output, Page, Report};

#[derive(Debug, Serialize)]
struct Installed {
    #[serde(flatten)]
    directory: Summary,
    pinned_now: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    own_agency_listed: Option<bool>,
}

impl Report for Installed {
    const COMMAND: &'static str = "directory install";

    fn page(&self, page: &mut Page) {
        page.good("The directory is installed.");
        self.directory.head(page);
        if self.pinned_now {
            page.line("From now on only this operator's directories of this country are accepted in this home.");
        }
        if self.own_agency_listed == Some(false) {
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
    let mut settings = context.home.agency()?;
    let bytes = read_file(path, FILE_BYTES)?;
    let claimed = claimed_country(&bytes)?;
    let pin = choose_pin(&settings, &claimed, pin, context)?;
    let now = context.now();
    let directory = Arc::new(read(&bytes, &pin, now)?);
    let head = directory.head();
    if !head.is_fresh(now) {
        return Err(Failure::error("the directory has expired")
            .next("get the current file from the scheme operator"));
    }
    check_others(&settings, &claimed, &pin, &directory, context)?;
    let own_agency_listed = check_own_agency(&settings, &directory, context)?;
    context.home.update_state(|state| {
        if let Some(Seen { version, digest }) = state.directories.get(&claimed) {
            head.check_not_older(*version, *digest).map_err(|e| {
                Failure::error("the directory is not newer than the one installed").caused_by(&e)
            })?;
        }
        // The file before the state: a newer file than the state knows is accepted, an older not.
        let file = HomeFile::Directory(claimed.clone());
        context.home.write(&file, &bytes)?;
        let seen = Seen {
            version: head.version(),
            digest: head.digest(),
        };
        state.directories.insert(claimed.clone(), seen);
        Ok(())
    })?;
    let pinned_now = settings.operators.insert(claimed, pin).is_none();
    if pinned_now {
        context.home.write_settings(&Settings::Agency(settings))?;
    }
    Ok(Output::of(&Installed {
        directory: Summary::of(&directory, now),
        pinned_now,
        own_agency_listed,
    }))
}

/// The country that a file says it is of. Nothing has verified yet: it only tells whose pin to take.
fn claimed_country(bytes: &[u8]) -> Result<Country, Failure> {
    head_of(bytes)
        .and_then(|head| head.country.parse().ok())
        .ok_or_else(|| {
            Failure::error("the file is not a directory")
                .next("get the file from the scheme operator again")
        })
}

/// The pin of the country; for its first directory, the one that is given or typed. It is never taken
/// from the file, which would make it worth nothing.
fn choose_pin(
    settings: &AgencySettings,
    country: &Country,
    given: Option<Fingerprint>,
    context: &Context,
) -> Result<Fingerprint, Failure> {
    match (settings.operators.get(country), given) {
        (Some(pinned), Some(given)) if *pinned != given => {
            Err(Failure::error(format!("another scheme operator is pinned for `{country}` in this home"))
                .because(format!("{pinned} is pinned, {given} was given"))
                .next("if the operator has changed, hear it from them in person first, and then make a new home"))
        }
        (Some(pin), _) => Ok(*pin),
        (None, Some(pin)) => Ok(pin),
        (None, None) => {
            let typed = context.ask(
                &format!(
                    "This is the first directory of `{country}` in this home. Type the fingerprint of \
                     its scheme operator, as they gave it to you on paper or on the telephone:"
                ),
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

/// DIR-13 and DIR-14: the directory stands beside those of other countries, and its operator is pinned
/// for none of them.
fn check_others(
    settings: &AgencySettings,
    claimed: &Country,
    pin: &Fingerprint,
    directory: &Arc<VerifiedDirectory>,
    context: &Context,
) -> Result<(), Failure> {
    let pinned_for = settings.operators.iter().find(|(_, other)| *other == pin);
    let country = pinned_for.map_or(claimed, |(country, _)| country);
    let others: Vec<Country> = settings.operators.keys().cloned().collect();
    let installed = |country: &Country| {
        let file = HomeFile::Directory(country.clone());
        country != claimed && context.home.holds(&file)
    };
    let others: Vec<_> = others.into_iter().filter(installed).collect();
    let checked = context
        .directories_of(&others)?
        .with(country, Arc::clone(directory));
    checked.map(|_| ()).map_err(|e| {
        Failure::error("the directory cannot stand beside the installed ones")
            .caused_by(&e)
            .next("telephone the scheme operator; nothing was installed")
    })
}

/// Whether the home's own agency is listed, with its own certificate; none in another country's.
fn check_own_agency(
    settings: &AgencySettings,
    directory: &VerifiedDirectory,
    context: &Context,
) -> Result<Option<bool>, Failure> {
    if *directory.head().country() != settings.agency.country() {
        return Ok(None);
    }
    let Some(listed) = directory.certificate(&settings.agency) else {
        return Ok(Some(false));
    };
    let own = context.certificate(&HomeFile::AgencyCertificate)?;
    if listed.fingerprint() == own.fingerprint() {
        return Ok(Some(true));
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
