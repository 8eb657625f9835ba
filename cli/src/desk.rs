//! `desk add`: another desk. `desk export-key`: the desk's secret subkey for any OpenPGP tool, for
//! recovery.

use serde::Serialize;
use waypost_proto::id::Fingerprint;
use waypost_proto::openpgp::{KeyError, KeyRole, SecretKey};
use waypost_proto::roster::{CertificateRef, Desk};

use crate::administration::{self, Administration, Change, VALID_SECONDS};
use crate::agency::key_failure;
use crate::args::{DeskAdd, ExportKey};
use crate::context::Context;
use crate::home::{HomeFile, write_new_file};
use crate::output::{Failure, Output, Page, Report};
use crate::roster;

#[derive(Debug, Serialize)]
struct Added {
    agency: String,
    desk: String,
    role: &'static str,
    encryption_key: String,
    roster_version: u64,
    published: bool,
    next: Vec<String>,
}

impl Report for Added {
    const COMMAND: &'static str = "desk add";

    fn page(&self, page: &mut Page) {
        page.good(&format!("{} has the desk {}.", self.agency, self.desk));
        page.field("role", &self.role);
        page.field("encryption key", &self.encryption_key);
        page.field("roster", &format_args!("version {}", self.roster_version));
        page.field("published", if self.published { &"yes" } else { &"no" });
        page.next_steps(&self.next);
    }
}

/// Adds a desk, with a key of its own, at which this home's officer works.
///
/// # Errors
/// There is one of that name, or this is not the administrator's home.
pub async fn add(wanted: &DeskAdd, context: &Context) -> Result<Output, Failure> {
    let administration = Administration::open(context)?;
    let (settings, now) = (&administration.settings, administration.now);
    let name = &wanted.name;
    let before = administration.roster();
    if before.desks.contains_key(name) {
        return Err(
            Failure::invalid(format!("there is a desk `{name}` already"))
                .next("waypost roster show"),
        );
    }
    let usual = before.desks.get(&settings.desk).map(|desk| desk.role);
    let role = wanted.role.or(usual).ok_or_else(|| {
        Failure::invalid("no role is named").next("add `--role ROLE`, such as `NGO`")
    })?;
    let record = administration.before.wire().record.clone();
    let mut record = record.unwrap_or_default();
    let known = administration.before.record().roles.contains(&role);
    if !known {
        record.roles.push(role.code().to_owned());
        record.roles.sort_unstable();
    }
    let user_id = format!("{}/{name}", settings.agency);
    let suite = administration.before.suite();
    let secret = SecretKey::generate(KeyRole::Desk, suite, &user_id, now).map_err(key_failure)?;
    let (first, encryption_key) = files(&administration, wanted, &secret)?;
    let mut roster = administration.next(VALID_SECONDS);
    let desk = Desk {
        role,
        certificate: CertificateRef::of(secret.certificate()),
        encryption_key,
        attestations: wanted.attest.iter().copied().collect(),
    };
    roster.desks.insert(name.clone(), desk);
    if let Some(own) = roster.officers.get_mut(&settings.officer) {
        own.desks.insert(name.clone());
    }
    let after = administration.sign(&roster, Some(record), &[secret.certificate()])?;
    let after = administration.commit(Change {
        first,
        after,
        then: Vec::new(),
    })?;
    if wanted.publish {
        administration::publish(context, &after).await?;
    }
    Ok(Output::of(&Added {
        agency: settings.agency.to_string(),
        desk: name.to_string(),
        role: role.code(),
        encryption_key: encryption_key.to_string(),
        roster_version: after.roster().roster().version,
        published: wanted.publish,
        next: next_steps(wanted, known, context),
    }))
}

/// The desk's own key, and its subkey sealed to this home's officer.
fn files(
    administration: &Administration<'_>,
    wanted: &DeskAdd,
    secret: &SecretKey,
) -> Result<(administration::Files, Fingerprint), Failure> {
    let own = administration
        .context
        .certificate(&HomeFile::OfficerCertificate)?;
    let keys = secret.certificate().encryption_keys();
    let key = keys
        .last()
        .ok_or(KeyError::Malformed)
        .and_then(|subkey| secret.desk_key(subkey))
        .map_err(key_failure)?;
    let (name, fingerprint) = (&wanted.name, key.fingerprint());
    let sealed = administration.seal(&key, &own)?;
    let locked = administration.locked(name, secret)?;
    let files = vec![
        (HomeFile::DeskKey(name.clone()), locked),
        (HomeFile::DeskSealed(name.clone(), fingerprint), sealed),
    ];
    Ok((files, fingerprint))
}

fn next_steps(wanted: &DeskAdd, known: bool, context: &Context) -> Vec<String> {
    let mut next = Vec::new();
    if !known {
        next.push(format!(
            "The role is new to your agency: send `{}` to the scheme operator, and install the directory \
             that they sign then. Before that the node does not take the roster.",
            context.home.path_of(&HomeFile::Registration).display()
        ));
    }
    next.extend(administration::publish_step(wanted.publish));
    next.push(format!(
        "Other officers work at it after: waypost officer admit REQUEST --desk {}",
        wanted.name
    ));
    next
}

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
    let registered = roster::registered(context)?;
    let listed = registered.roster().roster().desks.get(&desk);
    let in_use = listed
        .ok_or_else(|| {
            Failure::invalid(format!("your agency has no desk `{desk}`"))
                .next("waypost roster show")
        })?
        .encryption_key;
    let officer = context.officer_key()?;
    let key = context.desk_key(&desk, &in_use, &officer)?;
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
