//! `officer`: officers who come and go (proto/spec/officer.md).
//!
//! ```text
//! officer                         administrator
//! request  --- request file --->  admit    new roster, the desks' keys sealed to the officer
//! join     <-- admission file --
//! join     <-- admission file --  remove   new roster, new desk keys sealed to those who remain
//! ```

use serde::Serialize;
use waypost_proto::id::{DeskName, Fingerprint};
use waypost_proto::roster::Officer;

use crate::args::OfficerCommand;
use crate::context::Context;
use crate::output::{Failure, Output};
use crate::registration::Registered;

mod admit;
mod join;
mod list;
mod remove;
mod request;

#[cfg(test)]
mod tests;

/// Runs one of them.
///
/// # Errors
/// What it could not do.
pub async fn run(command: OfficerCommand, context: &Context) -> Result<Output, Failure> {
    match command {
        OfficerCommand::Request(wanted) => request::run(&wanted, context),
        OfficerCommand::Admit(wanted) => admit::run(&wanted, context).await,
        OfficerCommand::Join(wanted) => join::run(&wanted, context),
        OfficerCommand::Remove(wanted) => remove::run(&wanted, context).await,
        OfficerCommand::List => list::run(context),
    }
}

/// An officer for people: never a name.
#[derive(Debug, Clone, Serialize)]
struct Person {
    officer: String,
    title: String,
    desks: Vec<String>,
    fingerprint: String,
}

impl Person {
    fn of(registered: &Registered, fingerprint: &Fingerprint, officer: &Officer) -> Self {
        let certificate = registered.named(&officer.certificate);
        Self {
            officer: certificate.map_or_else(String::new, |c| c.user_id().to_owned()),
            title: officer.title.clone(),
            desks: officer.desks.iter().map(DeskName::to_string).collect(),
            fingerprint: fingerprint.to_string(),
        }
    }

    fn words(&self) -> String {
        format!(
            "{}, {}, for {}",
            self.officer,
            self.title,
            self.desks.join(", ")
        )
    }
}

/// A file that the administrator sends to an officer.
#[derive(Debug, Serialize)]
struct Sending {
    #[serde(flatten)]
    to: Person,
    file: String,
    /// To be read out on the telephone when the officer has no home of this agency yet.
    code: String,
}
