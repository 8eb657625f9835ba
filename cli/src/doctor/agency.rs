//! The home of an agency.

use waypost_proto::directories::Directories;
use waypost_proto::directory::VerifiedHead;
use waypost_proto::id::Timestamp;
use waypost_proto::limit;

use super::Findings;
use crate::clock::{days_until, iso};
use crate::connection;
use crate::context::Context;
use crate::home::{AgencySettings, HomeFile};
use crate::roster::{RENEW_DAYS, registered};

/// Days before its end from which a directory is to be replaced.
const DIRECTORY_DAYS: u64 = 7;

pub(super) async fn look(
    settings: &AgencySettings,
    offline: bool,
    context: &Context,
    findings: &mut Findings,
) {
    keys(settings, context, findings);
    roster(settings, context, findings);
    if settings.operators.is_empty() {
        findings.problem(
            "no scheme operator is pinned: no other agency and no node can be trusted",
            "waypost directory install FILE --pin FINGERPRINT",
        );
        return;
    }
    match context.directory() {
        Ok(directories) => {
            for directory in directories.iter() {
                freshness(directory.head(), context.now(), findings);
            }
            listed(settings, &directories, context, findings);
            if !offline {
                node(settings, &directories, findings).await;
            }
        }
        Err(failure) => findings.failure(&failure),
    }
}

fn keys(settings: &AgencySettings, context: &Context, findings: &mut Findings) {
    let mut files = vec![HomeFile::OfficerKey];
    if let Ok(registered) = registered(context) {
        let desks = registered.roster().roster().desks.iter();
        let own = desks.filter(|(name, _)| **name == settings.desk);
        files.extend(
            own.map(|(name, desk)| HomeFile::DeskSealed(name.clone(), desk.encryption_key)),
        );
    }
    for file in files {
        match context.home.read(&file) {
            Ok(_) => findings.good(format!("`{}` is there", file.path().display())),
            Err(failure) => findings.failure(&failure),
        }
    }
    match context.certificate(&HomeFile::OfficerCertificate) {
        Ok(officer) if officer.fingerprint() == settings.officer => {
            findings.good("the officer's certificate is the one of the settings");
        }
        Ok(_) => findings.problem(
            "the officer's certificate is not the one of the settings",
            "restore `home.toml` and `public/officer.pgp` from a backup",
        ),
        Err(failure) => findings.failure(&failure),
    }
    if context.home.holds(&HomeFile::AgencyKey) {
        findings.note(
            "this home holds the agency's own secret key",
            "keep it on the administrator's machine only; officers need `officer/` and `public/`",
        );
    }
}

fn roster(settings: &AgencySettings, context: &Context, findings: &mut Findings) {
    let registered = match registered(context) {
        Ok(registered) => registered,
        Err(failure) => return findings.failure(&failure),
    };
    let roster = registered.roster().roster();
    let now = context.now();
    let renew = "waypost roster sign --publish";
    clock(roster.created, "the roster was signed", now, findings);
    if !registered.roster().is_fresh(now) {
        findings.problem(
            "the roster has expired: counterparts refuse your messages",
            renew,
        );
    } else if days_until(roster.valid_until, now) < RENEW_DAYS {
        findings.note(
            format!("the roster expires on {}", iso(roster.valid_until)),
            renew,
        );
    } else {
        findings.good(format!(
            "the roster, version {}, is valid until {}",
            roster.version,
            iso(roster.valid_until)
        ));
    }
    let listed = roster.officers.get(&settings.officer);
    let revoked = roster.revoked.contains(&settings.officer);
    if listed.is_some_and(|officer| officer.desks.contains(&settings.desk)) && !revoked {
        findings.good(format!(
            "the roster lets this officer sign for `{}`",
            settings.desk
        ));
    } else {
        findings.problem(
            format!(
                "the roster does not let this officer sign for `{}`",
                settings.desk
            ),
            "ask the agency's administrator",
        );
    }
}

fn clock(signed: Timestamp, what: &str, now: Timestamp, findings: &mut Findings) {
    if signed.since(now) > limit::CLOCK_SKEW_SECONDS {
        findings.problem(
            format!(
                "this machine's clock stands at {}, before {what}: {}",
                iso(now),
                iso(signed)
            ),
            "set the clock",
        );
    }
}

fn freshness(head: &VerifiedHead, now: Timestamp, findings: &mut Findings) {
    let current =
        "get the current file from the scheme operator, then: waypost directory install FILE";
    let (country, until) = (head.country(), iso(head.valid_until()));
    if !head.is_fresh(now) {
        findings.problem(format!("the directory of `{country}` has expired"), current);
    } else if days_until(head.valid_until(), now) < DIRECTORY_DAYS {
        findings.note(
            format!("the directory of `{country}` expires on {until}"),
            current,
        );
    } else {
        findings.good(format!(
            "the directory of `{country}`, version {}, verifies and is valid until {until}",
            head.version()
        ));
    }
}

fn listed(
    settings: &AgencySettings,
    directories: &Directories,
    context: &Context,
    findings: &mut Findings,
) {
    let ask = "ask the scheme operator to add it: `waypost directory add`";
    let Some(record) = directories.agency(&settings.agency) else {
        return findings.problem("the directory does not list your agency", ask);
    };
    match context.certificate(&HomeFile::AgencyCertificate) {
        Ok(own) if record.certificate.fingerprint == own.fingerprint() => {
            findings.good("the directory lists your agency with its own key");
        }
        Ok(_) => findings.problem(
            "the directory lists your agency with another key: someone may be posing as it",
            "telephone the scheme operator at once",
        ),
        Err(failure) => findings.failure(&failure),
    }
    if record.log_key(context.now()).is_none() {
        findings.problem(
            "the directory holds no log key of your agency that is valid now",
            ask,
        );
    }
}

/// Only whether the pinned node answers: a log-in would need the passphrase.
async fn node(settings: &AgencySettings, directories: &Directories, findings: &mut Findings) {
    let Some(node) = directories
        .agency(&settings.agency)
        .and_then(|a| directories.node(&a.node))
    else {
        return;
    };
    let pins: Vec<_> = node.tls_keys().collect();
    match connection::connect(&node.desk_endpoint, &pins).await {
        Ok(_) => findings.good(format!(
            "the node `{}` answers at {} with the key of the directory",
            node.id, node.desk_endpoint
        )),
        Err(error) => findings.problem(
            crate::output::Failure::error(format!("the node `{}` is not reached", node.id))
                .caused_by(&error)
                .to_string(),
            "look at the network, then ask who runs the node; `--offline` leaves this out",
        ),
    }
}
