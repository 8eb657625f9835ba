//! `officer`: officers who come and go.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use waypost_proto::id::{AgencyId, DeskName};
use waypost_proto::officer::Code;

use super::SuiteName;

/// `officer ..`.
#[derive(Debug, Subcommand)]
pub enum OfficerCommand {
    /// Make a new officer's key on their own machine, and a request to be admitted
    Request(OfficerRequest),
    /// Admit an officer who asked, and hand over the keys of their desks (administrator)
    Admit(OfficerAdmit),
    /// Take in what the administrator sent: the roster, and the keys of your desks
    Join(OfficerJoin),
    /// Take an officer off the roster and change every desk key they knew (administrator)
    Remove(OfficerRemove),
    /// Show the agency's officers
    List,
}

/// `officer request`.
#[derive(Debug, Args)]
pub struct OfficerRequest {
    /// The agency's id, as the administrator gave it
    pub agency: AgencyId,
    /// Your role title, never a name
    #[arg(long)]
    pub title: String,
    /// The desks that you will work at, separated by commas; the first is your usual one
    #[arg(long, value_delimiter = ',', required = true)]
    pub desk: Vec<DeskName>,
    /// Algorithms of the key; those of the agency
    #[arg(long, value_enum, default_value_t = SuiteName::PostQuantum)]
    pub suite: SuiteName,
}

/// `officer admit`.
#[derive(Debug, Args)]
pub struct OfficerAdmit {
    /// The officer's request
    #[arg(value_name = "REQUEST")]
    pub request: PathBuf,
    /// The desks, separated by commas [default: those that the request asks for]
    #[arg(long, value_delimiter = ',')]
    pub desk: Vec<DeskName>,
    /// The role title [default: that of the request]
    #[arg(long)]
    pub title: Option<String>,
    /// The request's code, as the officer read it to you on the telephone [default: asked for]
    #[arg(long)]
    pub code: Option<Code>,
    /// Give the new roster to the agency's node at once
    #[arg(long)]
    pub publish: bool,
}

/// `officer join`.
#[derive(Debug, Args)]
pub struct OfficerJoin {
    /// The file that the administrator sent
    #[arg(value_name = "ADMISSION")]
    pub admission: PathBuf,
    /// The file's code, as the administrator read it to you on the telephone: the first time
    /// [default: asked for]
    #[arg(long)]
    pub code: Option<Code>,
}

/// `officer remove`.
#[derive(Debug, Args)]
pub struct OfficerRemove {
    /// The officer: `officer-1a2b3c4d`, or the start of their key, at least 8 digits
    pub officer: String,
    /// Give the new roster to the agency's node at once
    #[arg(long)]
    pub publish: bool,
    /// Remove without asking
    #[arg(long)]
    pub yes: bool,
}
