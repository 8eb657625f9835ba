//! `policy`: look at, check and prove the rules.

use std::path::PathBuf;

use clap::{ArgGroup, Args, Subcommand, ValueEnum};
use waypost_proto::vocabulary::{
    AgencyAttestation, ConsentState, DeskAttestation, LegalBasis, MinorStatus, OverrideGround,
    Part, Purpose, Role,
};

use super::online::FormFormat;

/// `policy ..`.
#[derive(Debug, Subcommand)]
pub enum PolicyCommand {
    /// Why a part may or may not go to a desk
    Explain(Box<Explain>),
    /// Parse and validate a bundle, and report every fault
    Check(BundleFolder),
    /// Prove what every bundle must keep, for all possible messages
    Prove(Prove),
}

/// Which bundle.
#[derive(Debug, Clone, Args)]
pub struct BundleFolder {
    /// Folder of Cedar files [default: the built-in bundle]
    #[arg(long, value_name = "DIR")]
    pub bundle: Option<PathBuf>,
}

/// `policy prove`.
#[derive(Debug, Args)]
pub struct Prove {
    /// Which bundle.
    #[command(flatten)]
    pub bundle: BundleFolder,
    /// The solver [default: `cvc5` of the search path]
    #[arg(long, value_name = "PATH")]
    pub solver: Option<PathBuf>,
}

/// Where the recipient is, seen from the sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ZoneName {
    /// The same State.
    Domestic,
    /// Another State with an adequacy decision.
    Adequate,
    /// Any other State.
    Other,
}

/// `policy explain`.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("what").required(true).args(["part", "form"]))]
pub struct Explain {
    /// Which bundle.
    #[command(flatten)]
    pub bundle: BundleFolder,
    /// Role of the receiving desk
    #[arg(long)]
    pub role: Role,
    /// What it is for
    #[arg(long)]
    pub purpose: Purpose,
    /// The parts, such as `IDN.rest`; several are separated by commas
    #[arg(long, value_delimiter = ',')]
    pub part: Vec<Part>,
    /// All parts of this form; `-` reads it from standard input
    #[arg(long, value_name = "FILE")]
    pub form: Option<PathBuf>,
    /// The form's format
    #[arg(long = "as", value_enum, default_value_t = FormFormat::Waypost)]
    pub format: FormFormat,
    /// Role of the sending desk
    #[arg(long, default_value = "SCH", value_name = "ROLE")]
    pub sender: Role,
    /// Legal basis; several are separated by commas
    #[arg(long, value_delimiter = ',', default_value = "LB-6E")]
    pub basis: Vec<LegalBasis>,
    /// Whether the person is a child: child, adult, unknown [default: unknown]; a form says it itself
    #[arg(long, value_name = "STATUS", conflicts_with = "form")]
    pub minor: Option<MinorStatus>,
    /// Consent: not_required, given, refused, withdrawn, overridden [default: not_required]
    #[arg(long, value_name = "STATE", conflicts_with = "form")]
    pub consent: Option<ConsentState>,
    /// Parts that the consent covers [default with consent: all that are asked about]
    #[arg(
        long,
        value_delimiter = ',',
        value_name = "PART",
        conflicts_with = "form"
    )]
    pub consented: Vec<Part>,
    /// Why a refusal is overridden
    #[arg(long, value_name = "GROUND")]
    pub override_ground: Option<OverrideGround>,
    /// A person is in immediate danger
    #[arg(long, conflicts_with = "form")]
    pub danger: bool,
    /// The person is represented for this purpose
    #[arg(long)]
    pub represented: bool,
    /// Where the recipient is
    #[arg(long, value_enum, default_value_t = ZoneName::Domestic)]
    pub zone: ZoneName,
    /// Basis of a transfer to another State
    #[arg(long, value_name = "BASIS")]
    pub transfer_basis: Option<LegalBasis>,
    /// What the receiving agency is attested for
    #[arg(long, value_delimiter = ',', value_name = "ATTESTATION")]
    pub attest: Vec<AgencyAttestation>,
    /// What the receiving desk is attested for
    #[arg(long, value_delimiter = ',', value_name = "ATTESTATION")]
    pub desk_attest: Vec<DeskAttestation>,
}
