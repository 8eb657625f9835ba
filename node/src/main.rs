//! `waypost-node`: the daemon. The library holds everything; here are the command line, the logs and
//! the exit code: 0 done, 1 failed, 64 the command line or the configuration is wrong.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::{Parser, Subcommand};
use tracing_subscriber::EnvFilter;
use waypost_node::config::{Config, Format, Log};
use waypost_node::serve::{self, RunError};
use waypost_node::{setup, start};
use waypost_proto::id::AgencyId;

/// The command line or the configuration is wrong (`sysexits.h`: EX_USAGE).
const USAGE: u8 = 64;

/// Carries referrals between agencies: the node.
#[derive(Debug, Parser)]
#[command(name = "waypost-node", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make this node's key and folders, and its record for the directory
    Init(WithConfig),
    /// The agencies that this node hosts
    Agency {
        #[command(subcommand)]
        command: AgencyCommand,
    },
    /// Serve peers and desks until SIGTERM or SIGINT
    Run {
        #[command(flatten)]
        with: WithConfig,
        /// Write the bound addresses to this file once the node listens
        #[arg(long, value_name = "PATH")]
        ready_file: Option<PathBuf>,
    },
    /// The configuration
    Config {
        #[command(subcommand)]
        command: ConfigCommand,
    },
}

#[derive(Debug, Subcommand)]
enum AgencyCommand {
    /// Make an agency's log key and keep its registration
    Add {
        /// The agency, such as `gb.example-county.child-protection`
        id: AgencyId,
        /// What the agency handed over
        #[arg(long, value_name = "FILE")]
        registration: PathBuf,
        #[command(flatten)]
        with: WithConfig,
    },
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Report everything that is wrong in the configuration
    Check(WithConfig),
}

#[derive(Debug, clap::Args)]
struct WithConfig {
    /// The configuration
    #[arg(long, value_name = "FILE", default_value = "node.toml")]
    config: PathBuf,
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let code = if error.use_stderr() { USAGE } else { 0 };
            // Nothing else can be said if the terminal is gone.
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    match run(arguments.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "waypost-node: {error:#}");
            let usage = error.is::<waypost_node::config::ConfigError>();
            if usage {
                ExitCode::from(USAGE)
            } else {
                ExitCode::FAILURE
            }
        }
    }
}

fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Init(with) => init(&Config::load(&with.config)?),
        Command::Agency {
            command:
                AgencyCommand::Add {
                    id,
                    registration,
                    with,
                },
        } => add_agency(&Config::load(&with.config)?, &id, &registration),
        Command::Run { with, ready_file } => {
            let config = Config::load(&with.config)?;
            log_to_stderr(config.log);
            serve(&config, ready_file.as_deref())?;
            Ok(())
        }
        Command::Config {
            command: ConfigCommand::Check(with),
        } => {
            Config::load(&with.config)?;
            say(&format!("`{}` is in order", with.config.display()))
        }
    }
}

#[tokio::main]
async fn serve(config: &Config, ready_file: Option<&Path>) -> Result<(), RunError> {
    serve::run(config, start::open_store, ready_file).await
}

fn init(config: &Config) -> anyhow::Result<()> {
    let identity = setup::init(config)?;
    say(&format!("TLS key {}", identity.digest()))?;
    let record = config.data.join(setup::NODE_RECORD_FILE);
    say(&format!(
        "next: send `{}` to the scheme operator, for `waypost directory add`",
        record.display()
    ))
}

fn add_agency(config: &Config, id: &AgencyId, registration: &Path) -> anyhow::Result<()> {
    let hosted = setup::add_agency(config, id, registration)?;
    say(&hosted.log_key.verifier().to_string())
}

/// The node's own events at the configured level, others' from `warn`.
fn log_to_stderr(log: Log) {
    let own = log.level.as_str();
    let filter = EnvFilter::new(format!(
        "warn,waypost_node={own},waypost_proto={own},waypost_policies={own}"
    ));
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    match log.format {
        Format::Text => lines.init(),
        Format::Json => lines.json().init(),
    }
}

fn say(line: &str) -> anyhow::Result<()> {
    writeln!(std::io::stdout(), "{line}").context("cannot write to standard output")
}
