//! `desk export-key`: the desk's secret subkey for any OpenPGP tool, for recovery.

use serde::Serialize;

use crate::args::ExportKey;
use crate::context::Context;
use crate::home::write_new_file;
use crate::output::{Failure, Output, Page, Report};

#[derive(Debug, Serialize)]
struct Exported {
    desk: String,
    encryption_key: String,
    file: String,
    warning: &'static str,
}

const WARNING: &str = "Whoever has this file can read every message that was sealed to the desk, \
                       now and later. No passphrase protects it. Move it to a safe place at once, \
                       and delete it here.";

impl Report for Exported {
    const COMMAND: &'static str = "desk export-key";

    fn page(&self, page: &mut Page) {
        page.line(&format!(
            "The secret key of the desk {} is exported.",
            self.desk
        ));
        page.field("encryption key", &self.encryption_key);
        page.field("file", &self.file);
        page.warning(self.warning);
    }
}

/// Exports it.
///
/// # Errors
/// Not confirmed, no such desk in this home, a file that exists.
pub fn export_key(wanted: &ExportKey, context: &Context) -> Result<Output, Failure> {
    let settings = context.home.agency()?;
    let desk = wanted.desk.clone().unwrap_or(settings.desk);
    if wanted.out.exists() {
        return Err(
            Failure::error(format!("`{}` exists already", wanted.out.display()))
                .because("an export never writes over a file")
                .next("choose a name that is free: `--out FILE`"),
        );
    }
    if !wanted.yes_export_secret_key {
        let question = format!("Export the secret key of the desk {desk}?\n{WARNING}");
        context.confirm(&question, desk.as_str(), "--yes-export-secret-key")?;
    }
    let officer = context.officer_key()?;
    let key = context.desk_key(&desk, &officer)?;
    let secret = key
        .export()
        .map_err(|e| Failure::error("the desk's key cannot be exported").caused_by(&e))?;
    write_new_file(&wanted.out, &secret)?;
    Ok(Output::of(&Exported {
        desk: desk.to_string(),
        encryption_key: key.fingerprint().to_string(),
        file: wanted.out.display().to_string(),
        warning: WARNING,
    }))
}
