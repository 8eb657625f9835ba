//! The home of a scheme operator.

use waypost_proto::directory_file::VerifiedDirectory;

use super::Findings;
use crate::clock::{days_until, iso};
use crate::context::Context;
use crate::home::{HomeFile, OperatorSettings};

/// Days before its end from which the directory is to be signed again.
const SIGN_DAYS: u64 = 7;

pub(super) fn look(settings: &OperatorSettings, context: &Context, findings: &mut Findings) {
    match context.home.read(&HomeFile::OperatorKey) {
        Ok(_) => findings.good("the operator's secret key is there"),
        Err(failure) => findings.failure(&failure),
    }
    match context.certificate(&HomeFile::OperatorCertificate) {
        Ok(own) if own.fingerprint() == settings.fingerprint => {
            findings.good("the operator's certificate is the one of the settings");
        }
        Ok(_) => findings.problem(
            "the operator's certificate is not the one of the settings",
            "restore `home.toml` and `operator/operator.pgp` from a backup",
        ),
        Err(failure) => findings.failure(&failure),
    }
    directory(settings, context, findings);
}

fn directory(settings: &OperatorSettings, context: &Context, findings: &mut Findings) {
    let sign = "waypost directory sign";
    if !context.home.holds(&HomeFile::OperatorDirectory) {
        return findings.note("no directory has been signed yet", sign);
    }
    let bytes = match context.home.read(&HomeFile::OperatorDirectory) {
        Ok(bytes) => bytes,
        Err(failure) => return findings.failure(&failure),
    };
    let now = context.now();
    match VerifiedDirectory::verify(&bytes, &settings.fingerprint, now) {
        Ok(directory) if !directory.head().is_fresh(now) => {
            findings.problem("the directory has expired: every node is degraded", sign);
        }
        Ok(directory) if days_until(directory.head().valid_until(), now) < SIGN_DAYS => {
            let until = iso(directory.head().valid_until());
            findings.note(format!("the directory expires on {until}"), sign);
        }
        Ok(directory) => findings.good(format!(
            "the directory, version {}, is valid until {}",
            directory.head().version(),
            iso(directory.head().valid_until())
        )),
        Err(error) => findings.failure(
            &crate::output::Failure::error("the signed directory does not verify")
                .caused_by(&error)
                .next("restore `operator/directory.pb` from a backup"),
        ),
    }
}
