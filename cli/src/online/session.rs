//! An officer at work: the home, the verified directory, and a log-in to the agency's own node.

use waypost_proto::directories::Directories;
use waypost_proto::directory::{AgencyRecord, NodeRecord};
use waypost_proto::directory_file::VerifiedDirectory;
use waypost_proto::id::{AgencyId, Country, DeskName, Fingerprint, Timestamp};
use waypost_proto::openpgp::{DeskKey, SecretKey, SigningKey};

use super::call::Client;
use super::login;
use crate::context::{Context, no_directory_of};
use crate::output::Failure;

/// An officer who has logged in.
pub(crate) struct Session<'a> {
    /// The command's context.
    pub(crate) context: &'a Context,
    /// When the command started.
    pub(crate) now: Timestamp,
    /// The officer's agency.
    pub(crate) agency: AgencyId,
    /// The officer's usual desk.
    pub(crate) desk: DeskName,
    /// The installed directories.
    pub(crate) directory: Directories,
    /// The node's desk service.
    pub(crate) client: Client,
    /// Signs as the officer.
    pub(crate) signing: SigningKey,
    officer: SecretKey,
}

impl<'a> Session<'a> {
    /// Unlocks the officer's key and logs in to the agency's own node.
    pub(crate) async fn open(context: &'a Context) -> Result<Self, Failure> {
        let settings = context.home.agency()?;
        let directory = context.directory()?;
        let node = own_node(&directory, &settings.agency)?.clone();
        let now = context.now();
        let connection = login::connect(&node).await?;
        let officer = context.officer_key()?;
        let signing = signing_key(&officer)?;
        let (client, welcome) =
            login::log_in(connection, &settings.agency, &node.id, &signing, now).await?;
        warn(context, &directory, &welcome, now);
        Ok(Self {
            context,
            now,
            agency: settings.agency,
            desk: settings.desk,
            directory,
            client,
            signing,
            officer,
        })
    }

    /// The own agency's record in the installed directory: its log keys above all.
    pub(crate) fn record(&self) -> Result<&AgencyRecord, Failure> {
        record(&self.directory, &self.agency)
    }

    /// The installed directory of a country.
    pub(crate) fn installed(&self, country: &Country) -> Result<&VerifiedDirectory, Failure> {
        let installed = self.directory.of(country).map(AsRef::as_ref);
        installed.ok_or_else(|| no_directory_of(country))
    }

    /// One of the keys of the agency's desks, as handed over to this officer.
    pub(crate) fn desk_key(&self, desk: &DeskName, key: &Fingerprint) -> Result<DeskKey, Failure> {
        self.context.desk_key(desk, key, &self.officer)
    }
}

/// Says what makes the node accept less than usual.
fn warn(context: &Context, directories: &Directories, welcome: &login::Welcome, now: Timestamp) {
    for head in directories.iter().map(|d| d.head()) {
        let (country, version) = (head.country(), head.version());
        let at_node = welcome
            .directories
            .iter()
            .find(|d| d.country == country.as_str());
        let current = format!(
            "Get the current file from the scheme operator of `{country}`, then: waypost directory install FILE"
        );
        if !head.is_fresh(now) {
            context.note(&format!(
                "The installed directory of `{country}` has expired. {current}"
            ));
        }
        match at_node {
            None => context.note(&format!(
                "The node has no directory of `{country}`: no message goes to this country. Tell who runs the node."
            )),
            Some(state) if state.degraded => context.note(&format!(
                "The node is degraded: its directory of `{country}` has expired, and no message goes to this country or comes from it. Tell who runs the node. If somebody is in danger, telephone."
            )),
            Some(state) if state.version > version && head.is_fresh(now) => context.note(&format!(
                "The node uses version {} of the directory of `{country}`, this home version {version}. {current}",
                state.version
            )),
            Some(_) => {}
        }
    }
    if welcome.degraded {
        context.note(
            "The node is degraded: its directory or your agency's roster has expired, and it takes no new messages. Ask your administrator: waypost roster sign --publish. If somebody is in danger, telephone.",
        );
    }
}

fn signing_key(officer: &SecretKey) -> Result<SigningKey, Failure> {
    officer.signing_key().map_err(|error| {
        Failure::error("the officer's key does not sign")
            .caused_by(&error)
            .next("waypost doctor")
    })
}

/// An agency of the installed directories.
pub(crate) fn record<'d>(
    directory: &'d Directories,
    agency: &AgencyId,
) -> Result<&'d AgencyRecord, Failure> {
    let country = agency.country();
    let directory = directory
        .of(&country)
        .ok_or_else(|| no_directory_of(&country))?;
    directory.agency(agency).ok_or_else(|| {
        Failure::error(format!("the installed directory does not hold `{agency}`")).next(
            "look at `waypost directory show`; if the agency is new, get the current file from the scheme operator: waypost directory install FILE",
        )
    })
}

/// The node that the directory names for an agency.
pub(crate) fn own_node<'d>(
    directory: &'d Directories,
    agency: &AgencyId,
) -> Result<&'d NodeRecord, Failure> {
    let record = record(directory, agency)?;
    // DIR-11: a verified directory holds the node that each agency names.
    directory.node(&record.node).ok_or_else(|| {
        Failure::error(format!(
            "the installed directory does not hold the node `{}`",
            record.node
        ))
        .next("waypost directory install FILE")
    })
}
