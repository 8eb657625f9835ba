//! `agency`, `roster`, `desk`: the administrator's commands.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use waypost_proto::id::{AgencyId, DeskName, Fingerprint, NodeId};
use waypost_proto::vocabulary::{AgencyAttestation, DeskAttestation, Role};

/// `agency ..`.
#[derive(Debug, Subcommand)]
pub enum AgencyCommand {
    /// Make the keys of a new agency, its first desk and its first officer
    Init(Box<AgencyInit>),
}

/// `agency init`.
#[derive(Debug, Args)]
pub struct AgencyInit {
    /// The agency's id, the country first, such as `gb.example-county.child-protection`
    pub id: AgencyId,
    /// The agency's name, for people
    #[arg(long)]
    pub name: String,
    /// What the agency is: a role code such as `CPA`, `SCH`, `POL`, `NGO`, `NRMCA`
    #[arg(long)]
    pub role: Role,
    /// Whose law it works under, such as `GB-EAW`
    #[arg(long)]
    pub jurisdiction: String,
    /// Where other agencies' nodes reach its node
    #[arg(long, value_name = "HOST:PORT")]
    pub endpoint: String,
    /// Where its officers reach its node [default: the same host, the next port]
    #[arg(long, value_name = "HOST:PORT")]
    pub desk_endpoint: Option<String>,
    /// The id of the node that hosts it [default: the agency's id]
    #[arg(long, value_name = "NODEID")]
    pub node: Option<NodeId>,
    /// The first desk
    #[arg(long, default_value = "intake")]
    pub desk: DeskName,
    /// The first officer's role title, never a name
    #[arg(long, default_value = "Duty officer")]
    pub title: String,
    /// What the agency is attested for: confidentiality-policy, escalation-contact,
    /// policy-document, statutory
    #[arg(long, value_delimiter = ',', value_name = "ATTESTATION")]
    pub attest: Vec<AgencyAttestation>,
    /// What the desk is attested for: child-specialist, vetted, emergency
    #[arg(long, value_delimiter = ',', value_name = "ATTESTATION")]
    pub desk_attest: Vec<DeskAttestation>,
    /// Fingerprint of the scheme operator, if you were told it already
    #[arg(long, value_name = "FINGERPRINT")]
    pub operator: Option<Fingerprint>,
    /// Algorithms of every key; those that the directory asks for
    #[arg(long, value_enum, default_value_t = SuiteName::PostQuantum)]
    pub suite: SuiteName,
}

/// Algorithms of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SuiteName {
    /// ML-DSA-65 with Ed25519, ML-KEM-768 with X25519 (RFC 9980).
    PostQuantum,
    /// Ed25519 and X25519 (RFC 9580): for tests, and directories that name it.
    Classical,
}

/// `roster ..`.
#[derive(Debug, Subcommand)]
pub enum RosterCommand {
    /// Sign a new version of the roster, valid for 30 days
    Sign(RosterSign),
    /// Give the roster as it is to the agency's node
    Publish,
    /// Show the roster
    Show,
}

/// `roster sign`.
#[derive(Debug, Args)]
pub struct RosterSign {
    /// How many days it is valid, at most 30
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=30))]
    pub days: u64,
    /// Give it to the agency's node at once
    #[arg(long)]
    pub publish: bool,
}

/// `desk ..`.
#[derive(Debug, Subcommand)]
pub enum DeskCommand {
    /// Make another desk, at which this home's officer works (administrator)
    Add(DeskAdd),
    /// Write the desk's secret key to a file, for recovery
    ExportKey(ExportKey),
}

/// `desk add`.
#[derive(Debug, Args)]
pub struct DeskAdd {
    /// The desk's name, such as `liaison`
    pub name: DeskName,
    /// The desk's one role [default: that of the home's desk]
    #[arg(long)]
    pub role: Option<Role>,
    /// What the desk is attested for: child-specialist, vetted, emergency
    #[arg(long, value_delimiter = ',', value_name = "ATTESTATION")]
    pub attest: Vec<DeskAttestation>,
    /// Give the new roster to the agency's node at once
    #[arg(long)]
    pub publish: bool,
}

/// `desk export-key`.
#[derive(Debug, Args)]
pub struct ExportKey {
    /// Which desk [default: that of the home]
    #[arg(long)]
    pub desk: Option<DeskName>,
    /// The file to write; it must not exist
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// Export without asking: whoever has the file can read every message to the desk
    #[arg(long)]
    pub yes_export_secret_key: bool,
}
