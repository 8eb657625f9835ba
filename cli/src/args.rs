//! The command line: every command and option of `waypost`, as types.
//!
//! A passphrase is never an argument: other users of a machine can read arguments.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub use agency::{
    AgencyCommand, AgencyInit, DeskAdd, DeskCommand, ExportKey, RosterCommand, RosterSign,
    SuiteName,
};
pub use directory::{DirectoryAdd, DirectoryCommand};
pub use officer::{OfficerAdmit, OfficerCommand, OfficerJoin, OfficerRemove, OfficerRequest};
pub use online::{
    CaseCommand, CheckpointLog, ConsistencyLog, Destination, ExportLog, FormFormat, IdStart,
    LogCommand, MessageCommand, OnlineCommand, Open, ProveLog, Refer, Reply, ShowLog, VerifyLog,
};
pub use policy::{BundleFolder, Explain, PolicyCommand, Prove, ZoneName};

mod agency;
mod directory;
mod officer;
mod online;
mod policy;

/// Refer people who may be victims of trafficking to those who can protect them.
#[derive(Debug, Parser)]
#[command(
    name = "waypost",
    version,
    max_term_width = 100,
    arg_required_else_help = true,
    after_help = "Exit codes: 0 done, 1 error, 2 denied by policy, 3 invalid input, \
                  4 undetermined, 64 wrong usage."
)]
pub struct Arguments {
    /// Options of every command.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Options of every command.
#[derive(Debug, Args)]
#[command(next_help_heading = "Options of every command")]
pub struct Global {
    /// Folder of keys and settings [default: $WAYPOST_HOME, else ~/.waypost]
    #[arg(long, global = true, value_name = "DIR")]
    pub home: Option<PathBuf>,
    /// Print one JSON object instead of text
    #[arg(long, global = true)]
    pub json: bool,
    /// Read the passphrase from the first line of this file
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        conflicts_with = "passphrase_command"
    )]
    pub passphrase_file: Option<PathBuf>,
    /// Read the passphrase from the first line that this command prints
    #[arg(long, global = true, value_name = "COMMAND")]
    pub passphrase_command: Option<String>,
    /// When to use colour
    #[arg(long, global = true, value_enum, default_value_t = Color::Auto, value_name = "WHEN")]
    pub color: Color,
}

/// When to use colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// Where the terminal shows it.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Every command.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Commands that speak to the agency's node, or work on what it gave.
    #[command(flatten)]
    Online(OnlineCommand),
    /// Set up an agency: keys, first desk, first officer, roster
    #[command(subcommand)]
    Agency(AgencyCommand),
    /// The signed list of the agency's officers and desks
    #[command(subcommand)]
    Roster(RosterCommand),
    /// Desks and their keys
    #[command(subcommand)]
    Desk(DeskCommand),
    /// Officers who come and go
    #[command(subcommand)]
    Officer(OfficerCommand),
    /// The scheme's directory of agencies and nodes
    #[command(subcommand)]
    Directory(DirectoryCommand),
    /// What may be sent to whom, why, and the proof of it
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// Look for what is wrong or soon will be
    Doctor(Doctor),
    /// Play a whole referral between two agencies on this machine
    Demo(Demo),
}

/// `doctor`.
#[derive(Debug, Args)]
pub struct Doctor {
    /// Also look at this data folder of a node on this machine
    #[arg(long, value_name = "DIR")]
    pub node: Option<PathBuf>,
    /// Do not try to reach the node
    #[arg(long)]
    pub offline: bool,
}

/// `demo`.
#[derive(Debug, Args)]
pub struct Demo {
    /// Keep everything that was made, in this folder
    #[arg(long, value_name = "DIR")]
    pub keep: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, error::ErrorKind};

    use super::*;

    #[test]
    fn the_command_tree_is_consistent() {
        Arguments::command().debug_assert();
    }

    fn options(command: &clap::Command, found: &mut Vec<String>) {
        for argument in command.get_arguments() {
            found.extend(argument.get_long().map(str::to_owned));
        }
        for subcommand in command.get_subcommands() {
            options(subcommand, found);
        }
    }

    #[test]
    fn a_passphrase_is_never_an_argument() {
        let mut command = Arguments::command();
        command.build();
        let mut found = Vec::new();
        options(&command, &mut found);
        let mut about: Vec<_> = found.iter().filter(|o| o.contains("pass")).collect();
        about.sort();
        about.dedup();
        assert_eq!(about, ["passphrase-command", "passphrase-file"]);
        for attempt in ["--passphrase=x", "--password=x"] {
            let error = Arguments::try_parse_from(["waypost", attempt, "inbox"]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::UnknownArgument);
        }
    }

    #[test]
    fn a_destination_without_a_desk_is_the_agency() {
        let to: Destination = "gb.example-nrm".parse().unwrap();
        assert_eq!((to.agency.as_str(), to.desk), ("gb.example-nrm", None));
        let to: Destination = "gb.example-nrm/intake".parse().unwrap();
        assert_eq!(to.desk.unwrap().as_str(), "intake");
        assert!("gb.example-nrm/".parse::<Destination>().is_err());
    }
}
