//! `check-log DIR [PROOF ENTRY]`: checks a log exported by `waypost log export DIR`, and a proof made
//! by `waypost log prove`, with foreign implementations. Prints one line a check; exit code 0 or 1.

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let lines = match arguments.as_slice() {
        [log] => interop_tlog::check_log(Path::new(log)).map(|line| vec![line]),
        [log, proof, entry] => interop_tlog::check_log(Path::new(log)).and_then(|first| {
            let second =
                interop_tlog::check_proof(Path::new(log), Path::new(proof), Path::new(entry))?;
            Ok(vec![first, second])
        }),
        _ => Err("usage: check-log DIR [PROOF ENTRY]".to_owned()),
    };
    match lines {
        Ok(lines) => {
            lines.iter().for_each(|line| println!("ok: {line}"));
            ExitCode::SUCCESS
        }
        Err(error) => {
            println!("failed: {error}");
            ExitCode::FAILURE
        }
    }
}
