//! `directory`: the scheme operator's commands, and the installation of what they publish.

use std::path::Path;

use serde::Serialize;
use waypost_proto::directory_file::VerifiedDirectory;
use waypost_proto::id::{Fingerprint, Timestamp};
use waypost_proto::openpgp::{KeyRole, SecretKey};
use waypost_proto::{limit, strict, wire};

use crate::agency::suite_name;
use crate::args::{DirectoryCommand, SuiteName};
use crate::clock::{days_until, iso};
use crate::context::Context;
use crate::home::{HomeFile, OperatorSettings, Settings, read_file};
use crate::output::{Failure, Output, Page, Report, Status};

mod install;
mod records;

/// Bytes of a directory file.
const FILE_BYTES: usize = 1 << 30;

/// Runs one of them.
///
/// # Errors
/// What it could not do.
pub fn run(command: DirectoryCommand, context: &Context) -> Result<Output, Failure> {
    match command {
        DirectoryCommand::New { country, suite } => new(&country, suite, context),
        DirectoryCommand::Add(wanted) => records::add(&wanted, context),
        DirectoryCommand::Sign { days } => records::sign(days, context),
        DirectoryCommand::Show => show(context),
        DirectoryCommand::Verify { file, pin } => verify(&file, pin, context),
        DirectoryCommand::Install { file, pin } => install::install(&file, pin, context),
    }
}

#[derive(Debug, Serialize)]
struct New {
    country: String,
    fingerprint: String,
    suite: &'static str,
    home: String,
    next: Vec<String>,
}

impl Report for New {
    const COMMAND: &'static str = "directory new";

    fn page(&self, page: &mut Page) {
        page.good(&format!(
            "The scheme operator for `{}` is set up.",
            self.country
        ));
        page.field("home", &self.home);
        page.field("suite", &self.suite);
        page.field("fingerprint", &self.fingerprint);
        page.next_steps(&self.next);
    }
}

fn new(country: &str, suite: SuiteName, context: &Context) -> Result<Output, Failure> {
    context.home.check_unused()?;
    if country.len() != 2 || !country.bytes().all(|b| b.is_ascii_lowercase()) {
        return Err(
            Failure::invalid("`--country` is not two lower-case letters")
                .next("give the country's code, such as `--country gb`"),
        );
    }
    let passphrase = context.new_passphrase("the new key of the scheme operator")?;
    let user_id = format!("scheme operator {country}");
    let failed = |e| Failure::error("the operator's key cannot be made").caused_by(&e);
    let key = SecretKey::generate(KeyRole::Operator, suite.into(), &user_id, context.now())
        .map_err(failed)?;
    let fingerprint = key.certificate().fingerprint();
    let home = &context.home;
    home.write(
        &HomeFile::OperatorKey,
        &key.lock(&passphrase).map_err(failed)?,
    )?;
    home.write(&HomeFile::OperatorCertificate, key.certificate().as_bytes())?;
    home.write_settings(&Settings::Operator(OperatorSettings {
        country: country.to_owned(),
        fingerprint,
    }))?;
    Ok(Output::of(&New {
        country: country.to_owned(),
        fingerprint: fingerprint.to_string(),
        suite: suite_name(suite.into()),
        home: home.root().display().to_string(),
        next: vec![
            "Keep this home on a machine without a network.".to_owned(),
            "Give the fingerprint to every agency and node on another way than this file: on \
             paper, or on the telephone."
                .to_owned(),
            "Add what they send: waypost directory add --registration FILE --log-key FILE\n\
             and: waypost directory add --node FILE"
                .to_owned(),
            "Then: waypost directory sign".to_owned(),
        ],
    }))
}

/// What a directory holds, for people.
#[derive(Debug, Serialize)]
struct Summary {
    operator: String,
    country: String,
    suite: &'static str,
    version: u64,
    digest: String,
    valid_until: String,
    days_left: u64,
    fresh: bool,
    agencies: Vec<AgencySummary>,
    nodes: Vec<NodeSummary>,
}

#[derive(Debug, Serialize)]
struct AgencySummary {
    id: String,
    name: String,
    roles: Vec<&'static str>,
    jurisdiction: String,
    node: String,
    fingerprint: String,
    log_keys: Vec<String>,
    attestations: Vec<&'static str>,
}

#[derive(Debug, Serialize)]
struct NodeSummary {
    id: String,
    peer_endpoint: String,
    desk_endpoint: String,
    tls_key: String,
}

impl Summary {
    fn of(directory: &VerifiedDirectory, now: Timestamp) -> Self {
        let head = directory.head();
        let agencies = directory.agencies().map(|agency| AgencySummary {
            id: agency.id.to_string(),
            name: agency.name.clone(),
            roles: agency.roles.iter().map(|r| r.code()).collect(),
            jurisdiction: agency.jurisdiction.clone(),
            node: agency.node.to_string(),
            fingerprint: agency.certificate.fingerprint.to_string(),
            log_keys: agency
                .log_keys
                .iter()
                .map(|k| k.verifier.to_string())
                .collect(),
            attestations: agency.attestations.iter().map(|a| a.code()).collect(),
        });
        let nodes = directory.nodes().map(|node| NodeSummary {
            id: node.id.to_string(),
            peer_endpoint: node.peer_endpoint.clone(),
            desk_endpoint: node.desk_endpoint.clone(),
            tls_key: node.tls_key.to_string(),
        });
        Self {
            operator: directory.operator().fingerprint().to_string(),
            country: head.country().to_string(),
            suite: suite_name(head.suite()),
            version: head.version(),
            digest: head.digest().to_string(),
            valid_until: iso(head.valid_until()),
            days_left: days_until(head.valid_until(), now),
            fresh: head.is_fresh(now),
            agencies: agencies.collect(),
            nodes: nodes.collect(),
        }
    }

    fn head(&self, page: &mut Page) {
        page.field("operator", &self.operator);
        page.field("country", &self.country);
        page.field("suite", &self.suite);
        page.field("version", &self.version);
        page.field("valid until", &self.valid_until);
        page.field(
            "holds",
            &format!(
                "{} agencies, {} nodes",
                self.agencies.len(),
                self.nodes.len()
            ),
        );
        if !self.fresh {
            page.bad("It has expired. Get the current file from the scheme operator.");
        }
    }

    fn whole(&self, page: &mut Page) {
        page.heading(&format!("Directory of `{}`", self.country));
        self.head(page);
        page.heading("Agencies");
        for agency in &self.agencies {
            page.item(&format!("{} ({})", agency.id, agency.roles.join(", ")));
            page.field("  name", &agency.name);
            page.field("  node", &agency.node);
            page.field("  key", &agency.fingerprint);
        }
        page.heading("Nodes");
        for node in &self.nodes {
            page.item(&node.id);
            page.field("  peers", &node.peer_endpoint);
            page.field("  desks", &node.desk_endpoint);
        }
    }

    const fn status(&self) -> Status {
        if self.fresh {
            Status::Done
        } else {
            Status::Error
        }
    }
}

#[derive(Debug, Serialize)]
struct Shown {
    directories: Vec<Summary>,
}

impl Report for Shown {
    const COMMAND: &'static str = "directory show";

    fn page(&self, page: &mut Page) {
        for directory in &self.directories {
            directory.whole(page);
        }
    }

    fn status(&self) -> Status {
        if self.directories.iter().all(|directory| directory.fresh) {
            Status::Done
        } else {
            Status::Error
        }
    }
}

fn show(context: &Context) -> Result<Output, Failure> {
    let now = context.now();
    let directories = match context.home.settings()? {
        Settings::Agency(_) => {
            let installed = context.directory()?;
            installed.iter().map(|d| Summary::of(d, now)).collect()
        }
        Settings::Operator(operator) => {
            let bytes = context.home.read(&HomeFile::OperatorDirectory)?;
            vec![Summary::of(&read(&bytes, &operator.fingerprint, now)?, now)]
        }
    };
    Ok(Output::of(&Shown { directories }))
}

fn read(bytes: &[u8], pin: &Fingerprint, now: Timestamp) -> Result<VerifiedDirectory, Failure> {
    VerifiedDirectory::verify(bytes, pin, now).map_err(|error| {
        let failure = Failure::error("the directory does not verify").caused_by(&error);
        match operator_of(bytes).filter(|found| found != pin) {
            Some(found) => failure
                .because(format!("it is signed by {found}, and {pin} is pinned"))
                .next("ask the scheme operator on the telephone which fingerprint is theirs"),
            None => failure.next("get the file from the scheme operator again"),
        }
    })
}

/// The head that a file claims. Not verified.
fn head_of(bytes: &[u8]) -> Option<wire::DirectoryHead> {
    let file: wire::Directory = strict::decode(bytes, FILE_BYTES).ok()?;
    strict::decode(&file.head?.content, limit::RECORD_BYTES).ok()
}

/// The fingerprint of the certificate that a file claims to be signed by. Not verified.
fn operator_of(bytes: &[u8]) -> Option<Fingerprint> {
    let file: wire::Directory = strict::decode(bytes, FILE_BYTES).ok()?;
    let certificate = waypost_proto::openpgp::Certificate::parse(&file.operator).ok()?;
    Some(certificate.fingerprint())
}

#[derive(Debug, Serialize)]
struct Verified(Summary);

impl Report for Verified {
    const COMMAND: &'static str = "directory verify";

    fn page(&self, page: &mut Page) {
        page.good("The head, every record and every certificate verify.");
        self.0.head(page);
    }

    fn status(&self) -> Status {
        self.0.status()
    }
}

fn verify(path: &Path, pin: Option<Fingerprint>, context: &Context) -> Result<Output, Failure> {
    let bytes = read_file(path, FILE_BYTES)?;
    let pinned = || match context.home.settings() {
        Ok(Settings::Agency(agency)) => {
            let country = head_of(&bytes)?.country.parse().ok()?;
            agency.operators.get(&country).copied()
        }
        Ok(Settings::Operator(operator)) => Some(operator.fingerprint),
        // Without a home the pin is given, or asked for below.
        Err(_) => None,
    };
    let pin = pin.or_else(pinned).ok_or_else(|| {
        Failure::invalid("it is not known whose signature to expect").next(format!(
            "waypost directory verify {} --pin FINGERPRINT",
            path.display()
        ))
    })?;
    let directory = read(&bytes, &pin, context.now())?;
    Ok(Output::of(&Verified(Summary::of(
        &directory,
        context.now(),
    ))))
}

#[cfg(test)]
mod tests;
