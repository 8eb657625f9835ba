//! The `waypost` binary: see the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(waypost_cli::start(std::env::args_os()))
}
