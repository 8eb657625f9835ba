//! `directory`: the scheme operator's commands, and the installation of what they publish.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use waypost_proto::id::Fingerprint;

use super::SuiteName;

/// `directory ..`.
#[derive(Debug, Subcommand)]
pub enum DirectoryCommand {
    /// Make the key of a new scheme operator
    New {
        /// Country whose ids it vouches for, two lower-case letters
        #[arg(long, value_name = "COUNTRY")]
        country: String,
        /// Algorithms of its key and of all agencies under it
        #[arg(long, value_enum, default_value_t = SuiteName::PostQuantum)]
        suite: SuiteName,
    },
    /// Add or change an agency or a node (operator)
    Add(DirectoryAdd),
    /// Sign a new version of the directory (operator)
    Sign {
        /// How many days it is valid, at most 30
        #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=30))]
        days: u64,
    },
    /// Show the installed directory, or the operator's own
    Show,
    /// Check a directory file without installing it
    Verify {
        /// The file
        file: PathBuf,
        /// The operator's fingerprint [default: the one pinned in the home]
        #[arg(long, value_name = "FINGERPRINT")]
        pin: Option<Fingerprint>,
    },
    /// Install a directory file in the home
    Install {
        /// The file
        file: PathBuf,
        /// The operator's fingerprint, as you were told it on another way
        #[arg(long, value_name = "FINGERPRINT")]
        pin: Option<Fingerprint>,
    },
}

/// `directory add`.
#[derive(Debug, Args)]
pub struct DirectoryAdd {
    /// An agency's `registration.pb`
    #[arg(
        long,
        value_name = "FILE",
        required_unless_present = "node",
        conflicts_with = "node"
    )]
    pub registration: Option<PathBuf>,
    /// The verifier key of the agency's log, as its node wrote it
    #[arg(long, value_name = "FILE", requires = "registration")]
    pub log_key: Option<PathBuf>,
    /// Accept another certificate of a known agency: only after checking it with them in person
    #[arg(long, requires = "registration")]
    pub accept_new_certificate: bool,
    /// A node's record, as the node wrote it
    #[arg(long, value_name = "FILE")]
    pub node: Option<PathBuf>,
}
