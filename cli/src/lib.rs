//! `waypost`: the tool of officers, administrators and scheme operators.
//!
//! In scope: the command line, the home folder with its keys, what people read. Out of scope: what
//! the bytes mean (`waypost-proto`), what may be sent (`waypost-policies`), keeping and moving
//! messages (`waypost-node`, met only over gRPC).
//!
//! Every command is a function from its [`args`] and a [`context::Context`] to an
//! [`output::Output`] or an [`output::Failure`]; [`start`] does the rest.

use std::ffi::OsString;

use clap::Parser as _;
use clap::error::ErrorKind;

use args::{
    AgencyCommand, Arguments, Color, Command, DeskCommand, Global, PolicyCommand, RosterCommand,
};
use clock::Clock;
use context::Context;
use home::Home;
use output::{Failure, Output, Status};

pub mod args;
pub mod output;

pub mod context;
pub mod home;
pub mod passphrase;

pub mod clock;
pub mod environment;

pub mod administration;
pub mod agency;
pub mod desk;
pub mod officer;
pub mod registration;
pub mod roster;

pub mod directory;

mod adapter;
pub mod connection;
pub mod online;
pub mod rpc;

pub mod policy;

pub mod doctor;

pub mod demo;

/// Runs one command line, its own name included, and gives the exit code.
#[must_use]
pub fn start(arguments: impl IntoIterator<Item = OsString>) -> u8 {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            // Nothing is left to say when even this cannot be written.
            let _ = error.print();
            return match error.kind() {
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Status::Done.code(),
                _ => Status::Usage.code(),
            };
        }
    };
    colour(arguments.global.color);
    let as_json = arguments.global.json;
    let ended = prepare(&arguments.global).and_then(|context| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let runtime = runtime.map_err(|e| Failure::error("cannot start").caused_by(&e))?;
        runtime.block_on(run(arguments.command, &context))
    });
    output::write(&ended, as_json).unwrap_or_else(|_| Status::Error.code())
}

fn colour(choice: Color) {
    match choice {
        Color::Auto => anstream::ColorChoice::Auto,
        Color::Always => anstream::ColorChoice::Always,
        Color::Never => anstream::ColorChoice::Never,
    }
    .write_global();
}

fn prepare(global: &Global) -> Result<Context, Failure> {
    let home = Home::locate(global.home.as_deref())?;
    Ok(Context::new(
        home,
        Clock::System,
        passphrase::Source::of(global),
    ))
}

/// Runs one command.
///
/// # Errors
/// What the command could not do.
pub async fn run(command: Command, context: &Context) -> Result<Output, Failure> {
    match command {
        Command::Online(command) => online::run(command, context).await,
        Command::Agency(AgencyCommand::Init(wanted)) => agency::init(&wanted, context),
        Command::Roster(RosterCommand::Sign(wanted)) => roster::sign(&wanted, context).await,
        Command::Roster(RosterCommand::Publish) => roster::publish(context).await,
        Command::Roster(RosterCommand::Show) => roster::show(context),
        Command::Desk(DeskCommand::ExportKey(wanted)) => desk::export_key(&wanted, context),
        Command::Desk(DeskCommand::Add(wanted)) => desk::add(&wanted, context).await,
        Command::Officer(command) => officer::run(command, context).await,
        Command::Directory(command) => directory::run(command, context),
        Command::Policy(PolicyCommand::Explain(wanted)) => policy::explain(&wanted),
        Command::Policy(PolicyCommand::Check(wanted)) => policy::check(&wanted),
        Command::Policy(PolicyCommand::Prove(wanted)) => policy::prove(&wanted).await,
        Command::Doctor(wanted) => doctor::run(&wanted, context).await,
        Command::Demo(wanted) => demo::run(wanted.keep, context).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(line: &[&str]) -> u8 {
        start(line.iter().map(OsString::from))
    }

    #[test]
    fn help_is_exit_code_0_and_wrong_usage_64() {
        assert_eq!(code(&["waypost", "--help"]), 0);
        assert_eq!(code(&["waypost"]), 64);
        assert_eq!(code(&["waypost", "nonsense"]), 64);
        assert_eq!(code(&["waypost", "--passphrase", "x", "inbox"]), 64);
    }

    #[test]
    fn a_command_without_a_home_is_exit_code_1() {
        assert_eq!(
            code(&[
                "waypost",
                "--home",
                "/no/such/home",
                "--json",
                "roster",
                "show"
            ]),
            1
        );
    }
}
