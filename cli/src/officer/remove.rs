//! `officer remove`: an officer off the roster, and a new key for every desk whose key they knew.
//!
//! What was sealed before stays readable for those who remain: former keys are kept. Interrupted, and
//! typed again, it does what is left (`administration`).

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use waypost_proto::id::{DeskName, Fingerprint, Timestamp};
use waypost_proto::limit;
use waypost_proto::officer::Code;
use waypost_proto::openpgp::{Certificate, DeskKey, KeyError, SecretKey};

use super::{Person, Sending};
use crate::administration::{self, Administration, Change, Files, VALID_SECONDS};
use crate::args::OfficerRemove;
use crate::clock::iso;
use crate::context::Context;
use crate::home::HomeFile;
use crate::output::{Failure, Output, Page, Report};
use crate::registration::Registered;
use crate::roster;

#[derive(Debug, Serialize)]
struct Removed {
    agency: String,
    officer: String,
    fingerprint: String,
    /// The officer had been removed before: only what was left was done.
    again: bool,
    /// Desks with a new key.
    desks: Vec<String>,
    /// Desks at which nobody is left.
    empty: Vec<String>,
    roster_version: u64,
    roster_valid_until: String,
    published: bool,
    admissions: Vec<Sending>,
    next: Vec<String>,
}

impl Report for Removed {
    const COMMAND: &'static str = "officer remove";

    fn page(&self, page: &mut Page) {
        page.good(&format!(
            "{} is off the roster of {}.",
            self.officer, self.agency
        ));
        page.field("revoked", &self.fingerprint);
        page.field("new keys for", &self.desks.join(", "));
        let until = format!(
            "version {}, valid until {}",
            self.roster_version, self.roster_valid_until
        );
        page.field("roster", &until);
        page.field("published", if self.published { &"yes" } else { &"no" });
        if !self.published {
            page.bad("The node does not know yet: until it does, the officer can still log in.");
        }
        for desk in &self.empty {
            page.bad(&format!(
                "Nobody is left at the desk {desk}: what comes there waits. Admit an officer."
            ));
        }
        if !self.admissions.is_empty() {
            page.heading("New desk keys for those who remain");
        }
        for admission in &self.admissions {
            page.item(&admission.to.words());
            page.field("  file", &admission.file);
        }
        page.next_steps(&self.next);
    }
}

/// The agency without the officer, and what has to be written before it.
struct Renewal {
    after: Registered,
    first: Files,
    secrets: BTreeMap<DeskName, SecretKey>,
    desks: BTreeSet<DeskName>,
}

/// Removes.
pub(super) async fn run(wanted: &OfficerRemove, context: &Context) -> Result<Output, Failure> {
    let registered = roster::registered(context)?;
    let gone = find(&registered, &wanted.officer)?.clone();
    let again = !administration::lists(registered.roster().roster(), &gone);
    if !again && registered.roster().roster().officers.len() == 1 {
        return Err(
            Failure::invalid("the last officer of an agency cannot be removed")
                .because("nothing was changed")
                .next("admit another officer first: waypost officer admit REQUEST"),
        );
    }
    if !wanted.yes && !again {
        let question = format!(
            "Remove {} and change every desk key that they knew?\nMessages on their way to these \
             desks are refused and have to be sent again.",
            gone.user_id()
        );
        context.confirm(&question, gone.user_id(), "--yes")?;
    }
    let administration = Administration::open(context)?;
    let mut renewal = if again {
        repeated(&administration)
    } else {
        renew(&administration, &gone)?
    };
    let (then, admissions) = hand_over(&administration, &mut renewal)?;
    let after = administration.commit(Change {
        first: renewal.first,
        after: renewal.after,
        then,
    })?;
    if wanted.publish {
        administration::publish(context, &after).await?;
    }
    let roster = after.roster().roster();
    let empty = renewal.desks.iter().filter(|desk| {
        let works = |officer: &waypost_proto::roster::Officer| officer.desks.contains(*desk);
        !roster.officers.values().any(works)
    });
    Ok(Output::of(&Removed {
        agency: roster.agency.to_string(),
        officer: gone.user_id().to_owned(),
        fingerprint: gone.fingerprint().to_string(),
        again,
        empty: empty.map(ToString::to_string).collect(),
        desks: renewal.desks.iter().map(ToString::to_string).collect(),
        roster_version: roster.version,
        roster_valid_until: iso(roster.valid_until),
        published: wanted.publish,
        next: next_steps(wanted.publish, &admissions),
        admissions,
    }))
}

fn next_steps(published: bool, admissions: &[Sending]) -> Vec<String> {
    let mut next: Vec<String> = administration::publish_step(published)
        .into_iter()
        .collect();
    if !admissions.is_empty() {
        next.push(
            "Send each file to its officer, who types: waypost officer join FILE\nUntil then they \
             read nothing that is sealed from now on."
                .to_owned(),
        );
    }
    next.push(
        "What was on its way, sealed under the former roster, is refused; whoever sent it sees so in \
         `waypost inbox` and sends it again."
            .to_owned(),
    );
    next
}

/// The one officer, by id or by the start of the key: listed, or removed by the command before.
fn find<'r>(registered: &'r Registered, wanted: &str) -> Result<&'r Certificate, Failure> {
    let roster = registered.roster().roster();
    let digits = wanted.len() >= 8 && wanted.bytes().all(|b| b.is_ascii_hexdigit());
    let prefix = wanted.to_ascii_lowercase();
    let mut found = registered.parsed().filter(|certificate| {
        let fingerprint = certificate.fingerprint();
        let officer =
            administration::lists(roster, certificate) || roster.revoked.contains(&fingerprint);
        let named = certificate.user_id() == wanted
            || (digits && fingerprint.to_string().starts_with(&prefix));
        officer && named
    });
    match (found.next(), found.next()) {
        (Some(officer), None) => Ok(officer),
        (None, _) => Err(Failure::invalid("the roster holds no such officer")
            .because("an officer is named as `officer-1a2b3c4d`, or by the first 8 digits of the key or more")
            .next("waypost officer list")),
        (Some(_), Some(_)) => Err(Failure::invalid("several officers are named so")
            .next("give the first digits of the key: waypost officer list")),
    }
}

/// OFF-22: the officer was removed, and the command ended before all was written: whoever remains is given the
/// keys of every desk.
fn repeated(administration: &Administration<'_>) -> Renewal {
    Renewal {
        after: administration.before.clone(),
        first: Vec::new(),
        secrets: BTreeMap::new(),
        desks: administration.roster().desks.keys().cloned().collect(),
    }
}

/// The next roster: without the officer, and with a new key for each desk of theirs (OFF-20, OFF-21).
fn renew(administration: &Administration<'_>, gone: &Certificate) -> Result<Renewal, Failure> {
    let context = administration.context;
    let own = context.certificate(&HomeFile::OfficerCertificate)?;
    let mut roster = administration.next(VALID_SECONDS);
    let desks = roster
        .remove(&gone.fingerprint())
        .ok_or_else(|| Failure::invalid("the roster holds no such officer"))?;
    let mut secrets = administration.secrets(&desks)?;
    let mut first = Vec::new();
    for (name, secret) in &mut secrets {
        let Some(desk) = roster.desks.get(name) else {
            continue;
        };
        let retired = rotate(secret, &desk.encryption_key, administration.now).map_err(|e| {
            Failure::error(format!("the key of the desk `{name}` cannot be changed")).caused_by(&e)
        })?;
        roster.rekey(name, secret.certificate());
        let mut keep = |key: &DeskKey| -> Result<(), Failure> {
            let file = HomeFile::DeskSealed(name.clone(), key.fingerprint());
            first.push((file, administration.seal(key, &own)?));
            Ok(())
        };
        // Before it leaves the desk's own key file: bodies sealed to it open with nothing else.
        retired.iter().try_for_each(&mut keep)?;
        let listed = roster.officers.get(&own.fingerprint());
        if listed.is_some_and(|officer| officer.desks.contains(name)) {
            newest(secret).iter().try_for_each(&mut keep)?;
        }
        let locked = administration.locked(name, secret)?;
        first.push((HomeFile::DeskKey(name.clone()), locked));
    }
    let mut certificates: Vec<&Certificate> =
        secrets.values().map(SecretKey::certificate).collect();
    // Kept until the next change, so that the command finds the officer when it is typed again.
    certificates.push(gone);
    let after = administration.sign(&roster, None, &certificates)?;
    Ok(Renewal {
        after,
        first,
        secrets,
        desks,
    })
}

fn newest(secret: &SecretKey) -> Option<DeskKey> {
    let keys = secret.certificate().encryption_keys();
    keys.last().and_then(|key| secret.desk_key(key).ok())
}

/// OFF-21: gives the desk a subkey that nobody was handed. One that an interrupted command has left is
/// used: the roster in force does not name it, so nobody has it. Gives the oldest one, if it had to
/// make room.
fn rotate(
    secret: &mut SecretKey,
    in_use: &Fingerprint,
    at: Timestamp,
) -> Result<Option<DeskKey>, KeyError> {
    let keys = secret.certificate().encryption_keys();
    if keys.last().is_some_and(|newest| newest != in_use) {
        return Ok(None);
    }
    let retired = match keys.first() {
        Some(oldest) if keys.len() >= limit::ENCRYPTION_KEYS => {
            Some(secret.retire_encryption_key(oldest)?)
        }
        _ => None,
    };
    secret.rotate_encryption_key(at)?;
    Ok(retired)
}

/// An admission for each officer who remains at one of the desks; this home's own has the keys already.
fn hand_over(
    administration: &Administration<'_>,
    renewal: &mut Renewal,
) -> Result<(Files, Vec<Sending>), Failure> {
    let roster = renewal.after.roster().roster();
    let own = administration.settings.officer;
    let remain: Vec<_> = roster
        .officers
        .iter()
        .filter(|(fingerprint, officer)| {
            **fingerprint != own && !officer.desks.is_disjoint(&renewal.desks)
        })
        .collect();
    let needed: BTreeSet<&DeskName> = remain.iter().flat_map(|(_, o)| &o.desks).collect();
    let more = needed
        .into_iter()
        .filter(|desk| !renewal.secrets.contains_key(*desk));
    let more = administration.secrets(more)?;
    renewal.secrets.extend(more);
    let (mut files, mut sendings) = (Vec::new(), Vec::new());
    for (fingerprint, officer) in remain {
        let admission = administration.admission(&renewal.after, fingerprint, &renewal.secrets)?;
        let code = Code::of_admission(&admission)
            .map_err(|e| Failure::error("the admission is too large").caused_by(&e))?;
        let file = HomeFile::Admission(*fingerprint);
        sendings.push(Sending {
            to: Person::of(&renewal.after, fingerprint, officer),
            file: administration
                .context
                .home
                .path_of(&file)
                .display()
                .to_string(),
            code: code.to_string(),
        });
        files.push((file, admission));
    }
    Ok((files, sendings))
}

#[cfg(test)]
mod tests {
    use waypost_proto::openpgp::{KeyRole, Suite};

    use super::*;

    // OFF-21
    #[test]
    fn a_desk_gets_a_key_that_nobody_was_handed_and_the_oldest_one_is_not_lost() {
        let at = Timestamp(1_795_300_000);
        let mut desk = SecretKey::generate(KeyRole::Desk, Suite::Classical, "x", at).unwrap();
        let keys = |desk: &SecretKey| desk.certificate().encryption_keys();
        let first = keys(&desk)[0];
        assert!(rotate(&mut desk, &first, at).unwrap().is_none());
        let [kept, second] = keys(&desk)[..] else {
            unreachable!("two keys")
        };
        assert_eq!(kept, first);
        // Interrupted, and done again: the second was never in use.
        assert!(rotate(&mut desk, &first, at).unwrap().is_none());
        assert_eq!(keys(&desk), [first, second]);
        for _ in 2..limit::ENCRYPTION_KEYS {
            let in_use = *keys(&desk).last().unwrap();
            assert!(rotate(&mut desk, &in_use, at).unwrap().is_none());
        }
        let in_use = *keys(&desk).last().unwrap();
        let retired = rotate(&mut desk, &in_use, at).unwrap().unwrap();
        assert_eq!(retired.fingerprint(), first);
        assert_eq!(keys(&desk).len(), limit::ENCRYPTION_KEYS);
        assert_eq!(keys(&desk)[0], second);
    }
}
