//! Commands that speak to the agency's own node, or work on what it gave.
//!
//! In scope: connecting and logging in, chains checked by this client itself, sending, reading and
//! answering, and the proof that the node keeps its log. The node is never believed: what it relays is
//! verified from the pinned operator down, and its list is held against its signed log.
//!
//! ```text
//! session  connection + log-in                  own_log  checkpoints, entries, proofs
//! chain    operator -> ... -> roster            mirror   the list against the log
//! refer, answer -> policy -> send               inbox, open, cases, export, log
//! ```

pub(crate) mod call;
pub(crate) mod login;
pub(crate) mod session;

pub(crate) mod chain;
pub(crate) mod own_log;

pub(crate) mod mail;
pub(crate) mod mirror;

pub(crate) mod cases;

pub(crate) mod input;
pub(crate) mod policy;
pub(crate) mod send;

pub(crate) mod answer;
pub(crate) mod refer;

pub(crate) mod export;
pub(crate) mod fetch;
pub(crate) mod inbox;
pub(crate) mod open;

pub(crate) mod case_view;

pub(crate) mod log;
pub(crate) mod log_files;

#[cfg(test)]
pub(crate) mod fixture;

use prost::Message as _;
use waypost_proto::{limit, strict, wire};

use crate::args::OnlineCommand;
use crate::context::Context;
use crate::output::{Failure, Output};

/// Runs one of them.
///
/// # Errors
/// What it could not do.
pub async fn run(command: OnlineCommand, context: &Context) -> Result<Output, Failure> {
    match command {
        OnlineCommand::Refer(wanted) => refer::run(*wanted, context).await,
        OnlineCommand::Inbox { all } => inbox::run(all, context).await,
        OnlineCommand::Open(wanted) => open::run(&wanted, context).await,
        OnlineCommand::Ack { message } => answer::acknowledge(&message, context).await,
        OnlineCommand::Reply(wanted) => answer::reply(&wanted, context).await,
        OnlineCommand::Case(command) => case_view::run(&command, context).await,
        OnlineCommand::Message(command) => export::run(&command, context).await,
        OnlineCommand::Log(command) => log::run(&command, context).await,
    }
}

/// Gives a roster, an encoded `Signed`, and the certificates that it names to the agency's node. It
/// vouches for itself, so nobody logs in.
///
/// # Errors
/// The node cannot be reached, or refuses.
pub async fn publish_roster(
    context: &Context,
    roster: &[u8],
    certificates: &[Vec<u8>],
) -> Result<(), Failure> {
    let settings = context.home.agency()?;
    let directory = context.directory()?;
    let node = session::own_node(&directory, &settings.agency)?;
    let signed: wire::Signed = strict::decode(roster, limit::ROSTER_BYTES)
        .map_err(|e| Failure::error("this is not a signed roster").caused_by(&e))?;
    let request = wire::PublishRosterRequest {
        agency: settings.agency.to_string(),
        roster: Some(signed),
        certificates: certificates.to_vec(),
    };
    if request.encoded_len() > limit::DESK_CALL_BYTES {
        return Err(
            Failure::error("the roster with its certificates is too large for one call")
                .next("take officers out who have left, then sign again"),
        );
    }
    let mut connection = login::connect(node).await?;
    call::answer(connection.desk.publish_roster(request))
        .await
        .map_err(|error| {
            Failure::error("the node does not take the roster")
                .caused_by(&error)
                .next("look at the roster: `waypost roster show`; then ask who runs the node")
        })?;
    Ok(())
}
