//! The officer's commands: referral, inbox, answers, the log.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Subcommand, ValueEnum};
use waypost_proto::id::{AgencyId, DeskName, IdError, SubjectRef};
use waypost_proto::limit;
use waypost_proto::vocabulary::{Handling, LegalBasis, OverrideGround, Purpose};

/// Commands that speak to the agency's node, or work on what it gave.
#[derive(Debug, Subcommand)]
pub enum OnlineCommand {
    /// Send a referral: only what the rules allow, and you see what is taken out
    Refer(Box<Refer>),
    /// What came in and what is waiting
    Inbox {
        /// Messages that were opened too
        #[arg(long)]
        all: bool,
    },
    /// Decrypt, check and show a message
    Open(Open),
    /// Confirm that a person has the message in hand
    Ack {
        /// The message, or the start of its id
        #[arg(value_name = "ID")]
        message: IdStart,
    },
    /// Answer a message in its case
    Reply(Reply),
    /// Cases of the agency
    #[command(subcommand)]
    Case(CaseCommand),
    /// Single messages
    #[command(subcommand)]
    Message(MessageCommand),
    /// The agency's log: what was done, provably
    #[command(subcommand)]
    Log(LogCommand),
}

/// The start of a message's or case's id, at least six hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdStart(String);

impl IdStart {
    /// Digits that are given at least.
    pub const LEAST: usize = 6;
    /// Digits of a whole id.
    pub const WHOLE: usize = 32;

    /// The digits, in lower case.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for IdStart {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text.to_ascii_lowercase();
        let fits = (Self::LEAST..=Self::WHOLE).contains(&digits.len());
        if fits && digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            Ok(Self(digits))
        } else {
            Err("an id is 32 hexadecimal digits; give at least the first 6")
        }
    }
}

impl fmt::Display for IdStart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// `AGENCY[/DESK]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    /// The agency.
    pub agency: AgencyId,
    /// Its desk; none: the one whose role fits what is sent.
    pub desk: Option<DeskName>,
}

impl FromStr for Destination {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        match text.split_once('/') {
            None => Ok(Self {
                agency: text.parse()?,
                desk: None,
            }),
            Some((agency, desk)) => Ok(Self {
                agency: agency.parse()?,
                desk: Some(desk.parse()?),
            }),
        }
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.desk {
            None => write!(f, "{}", self.agency),
            Some(desk) => write!(f, "{}/{desk}", self.agency),
        }
    }
}

/// In what form a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FormFormat {
    /// Waypost's own, as JSON.
    Waypost,
    /// A submission of the United Kingdom's NRM form.
    UkNrm,
}

/// `refer`.
#[derive(Debug, Args)]
pub struct Refer {
    /// To whom. Given several times, each recipient gets its own message, minimised and sealed by
    /// itself, in a case of its own
    #[arg(long, value_name = "AGENCY[/DESK]", required = true)]
    pub to: Vec<Destination>,
    /// Send to those who can have it, even if others of several recipients cannot
    #[arg(long)]
    pub partial: bool,
    /// The form; `-` reads it from standard input. Its `kind` says what is sent: M01/NRM (the
    /// default), M01/CHILD, M26
    #[arg(long, value_name = "FILE")]
    pub form: PathBuf,
    /// The form's format
    #[arg(long = "as", value_enum, default_value_t = FormFormat::Waypost)]
    pub format: FormFormat,
    /// What it is for, such as `P-IDENT`, `P-CHILD`, `P-PROTECT`
    #[arg(long)]
    pub purpose: Purpose,
    /// Legal basis; several are separated by commas, such as `LB-6E,LB-COE10`
    #[arg(long, value_delimiter = ',', required = true)]
    pub basis: Vec<LegalBasis>,
    /// From which of your desks [default: that of the home]
    #[arg(long)]
    pub desk: Option<DeskName>,
    /// Why an adult's refusal is overridden
    #[arg(long = "override", value_name = "GROUND")]
    pub override_ground: Option<OverrideGround>,
    /// Basis of a transfer to another State
    #[arg(long, value_name = "BASIS")]
    pub transfer_basis: Option<LegalBasis>,
    /// Handling code
    #[arg(long, default_value = "H2")]
    pub handling: Handling,
    /// Days after which the recipient reviews erasure
    #[arg(long, default_value_t = 365, value_name = "DAYS")]
    pub retention_days: u32,
    /// The person is represented for this purpose
    #[arg(long)]
    pub represented: bool,
    /// Hours after which it is no longer accepted
    #[arg(long, default_value_t = limit::EXPIRY_SECONDS / 3600, value_name = "HOURS",
        value_parser = clap::value_parser!(u64).range(1..=limit::EXPIRY_MAX_SECONDS / 3600))]
    pub expires_hours: u64,
    /// The person's existing file at your agency [default: a new one]
    #[arg(long, value_name = "REF")]
    pub subject: Option<SubjectRef>,
    /// Show what would be sent and what would be taken out; send nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Send without asking
    #[arg(long)]
    pub yes: bool,
}

/// `open`.
#[derive(Debug, Args)]
pub struct Open {
    /// The message, or the start of its id
    #[arg(value_name = "ID")]
    pub message: IdStart,
}

/// `reply`.
#[derive(Debug, Args)]
pub struct Reply {
    /// The message that it answers, or the start of its id
    #[arg(value_name = "ID")]
    pub message: IdStart,
    /// The file with the text; `-` reads it from standard input
    #[arg(long, value_name = "FILE", required_unless_present = "form")]
    pub text_file: Option<PathBuf>,
    /// A form instead of a text: what came of a request of another State (`M27`)
    #[arg(long, value_name = "FILE", conflicts_with = "text_file")]
    pub form: Option<PathBuf>,
    /// Legal basis of the form [default: those of the request]
    #[arg(long, value_delimiter = ',', requires = "form")]
    pub basis: Vec<LegalBasis>,
    /// Send the form without asking
    #[arg(long, requires = "form")]
    pub yes: bool,
}

/// `case ..`.
#[derive(Debug, Subcommand)]
pub enum CaseCommand {
    /// All cases
    List,
    /// One case and its messages
    Show {
        /// The case, or the start of its id
        #[arg(value_name = "ID")]
        case: IdStart,
    },
}

/// `message ..`.
#[derive(Debug, Subcommand)]
pub enum MessageCommand {
    /// Write a message's sealed body as a plain OpenPGP message file
    Export {
        /// The message, or the start of its id
        #[arg(value_name = "ID")]
        message: IdStart,
        /// The file to write; it must not exist
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        /// Also write the certificate of the officer who sent it to this file; it must not exist
        #[arg(long, value_name = "FILE")]
        sender_cert: Option<PathBuf>,
    },
}

/// `log ..`. Files are those of C2SP, which other tools verify too.
#[derive(Debug, Subcommand)]
pub enum LogCommand {
    /// Fetch and check the log's signed checkpoint
    Checkpoint(CheckpointLog),
    /// Show entries
    Show(ShowLog),
    /// Fetch one entry with its proof
    Prove(ProveLog),
    /// Check an exported log, or an entry and its proof, without a node
    Verify(VerifyLog),
    /// Check that the log of one size continues that of another
    Consistency(ConsistencyLog),
    /// Fetch the whole log into a folder, for others to verify
    Export(ExportLog),
}

/// `log checkpoint`.
#[derive(Debug, Args)]
pub struct CheckpointLog {
    /// Also write it to this file
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// `log show`.
#[derive(Debug, Args)]
pub struct ShowLog {
    /// First entry
    #[arg(long, default_value_t = 0)]
    pub from: u64,
    /// Entry after the last [default: the log's size]
    #[arg(long)]
    pub to: Option<u64>,
}

/// `log prove`.
#[derive(Debug, Args)]
pub struct ProveLog {
    /// Position of the entry
    pub index: u64,
    /// The file for the proof (C2SP tlog-proof); it must not exist
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// Also write the entry's exact bytes to this file; it must not exist
    #[arg(long, value_name = "FILE")]
    pub entry: Option<PathBuf>,
}

/// `log verify`.
#[derive(Debug, Args)]
pub struct VerifyLog {
    /// An exported log: the folder of `waypost log export`
    #[arg(value_name = "DIR", required_unless_present = "proof", conflicts_with_all = ["proof", "entry"])]
    pub folder: Option<PathBuf>,
    /// A tlog-proof
    #[arg(long, value_name = "FILE", requires = "entry")]
    pub proof: Option<PathBuf>,
    /// The exact bytes of the entry that it proves
    #[arg(long, value_name = "FILE", requires = "proof")]
    pub entry: Option<PathBuf>,
    /// The log's verifier key in a file [default: the installed directory's key of the log]
    #[arg(long, value_name = "FILE")]
    pub vkey: Option<PathBuf>,
}

/// `log consistency`.
#[derive(Debug, Args)]
pub struct ConsistencyLog {
    /// The smaller size
    pub from: u64,
    /// The larger size
    pub to: u64,
}

/// `log export`.
#[derive(Debug, Args)]
pub struct ExportLog {
    /// The folder to write; it must be empty or absent
    pub folder: PathBuf,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_may_be_shortened_to_six_digits_and_no_further() {
        assert_eq!("00FFaa".parse::<IdStart>().unwrap().as_str(), "00ffaa");
        for bad in ["00ffa", "00ffag", "", &"0".repeat(33), "00ffa\u{e9}"] {
            assert!(bad.parse::<IdStart>().is_err(), "`{bad}`");
        }
    }
}
