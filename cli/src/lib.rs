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

use args::{Arguments, Color, Command, Global};
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

mod adapter;
pub mod connection;
pub mod online;
pub mod rpc;

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
        Command::Demo(wanted) => demo::run(wanted.keep, context).await,
        _ => Err(Failure::error("this build has no such command")),
    }
}
