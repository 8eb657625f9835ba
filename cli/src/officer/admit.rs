//! `officer admit`: an officer on the roster, and the keys of their desks sealed to them.
//!
//! Typed again for the same officer it gives the admission anew; with more desks, those too.

use std::collections::BTreeSet;

use serde::Serialize;
use waypost_proto::id::DeskName;
use waypost_proto::limit;
use waypost_proto::officer::{Code, VerifiedRequest};

use super::{Person, Sending};
use crate::administration::{self, Administration, Change, VALID_SECONDS};
use crate::agency::suite_name;
use crate::args::OfficerAdmit;
use crate::clock::iso;
use crate::context::Context;
use crate::home::{HomeFile, read_file};
use crate::output::{Failure, Output, Page, Report};
use crate::registration::Registered;
use crate::roster;

#[derive(Debug, Serialize)]
struct Admitted {
    agency: String,
    admission: Sending,
    roster_version: u64,
    roster_valid_until: String,
    published: bool,
    next: Vec<String>,
}

impl Report for Admitted {
    const COMMAND: &'static str = "officer admit";

    fn page(&self, page: &mut Page) {
        let to = &self.admission.to;
        page.good(&format!("The roster of {} lists the officer.", self.agency));
        page.field("officer", &to.officer);
        page.field("title", &to.title);
        page.field("desks", &to.desks.join(", "));
        page.field("key", &to.fingerprint);
        let until = format!(
            "version {}, valid until {}",
            self.roster_version, self.roster_valid_until
        );
        page.field("roster", &until);
        page.field("published", if self.published { &"yes" } else { &"no" });
        page.field("admission", &self.admission.file);
        page.field("code", &self.admission.code);
        page.next_steps(&self.next);
    }
}

/// Admits.
pub(super) async fn run(wanted: &OfficerAdmit, context: &Context) -> Result<Output, Failure> {
    let bytes = read_file(&wanted.request, limit::OFFICER_REQUEST_BYTES)?;
    let request = VerifiedRequest::verify(&bytes, context.now()).map_err(|e| {
        Failure::invalid("the request is refused")
            .caused_by(&e)
            .next("ask the officer for a new one: waypost officer request")
    })?;
    let desks = check(wanted, &request, &roster::registered(context)?)?;
    confirm(wanted, &request, &desks, context)?;
    let administration = Administration::open(context)?;
    let after = listed(&administration, wanted, &request, desks)?;
    let fingerprint = request.certificate().fingerprint();
    let officer = after.roster().roster().officers.get(&fingerprint);
    let officer = officer.ok_or_else(|| Failure::error("the roster does not hold the officer"))?;
    let secrets = administration.secrets(&officer.desks)?;
    let admission = administration.admission(&after, &fingerprint, &secrets)?;
    let code = Code::of_admission(&admission)
        .map_err(|e| Failure::error("the admission is too large").caused_by(&e))?;
    let file = HomeFile::Admission(fingerprint);
    let sending = Sending {
        to: Person::of(&after, &fingerprint, officer),
        file: context.home.path_of(&file).display().to_string(),
        code: code.to_string(),
    };
    let after = administration.commit(Change {
        first: Vec::new(),
        after,
        then: vec![(file, admission)],
    })?;
    if wanted.publish {
        administration::publish(context, &after).await?;
    }
    let mut next: Vec<String> = administration::publish_step(wanted.publish)
        .into_iter()
        .collect();
    next.push(format!(
        "Send `{}` to the officer. Only their key opens what is secret in it.",
        sending.file
    ));
    next.push(format!(
        "Read this code to them on the telephone: {code}\nThey type: waypost officer join FILE"
    ));
    let roster = after.roster().roster();
    Ok(Output::of(&Admitted {
        agency: roster.agency.to_string(),
        admission: sending,
        roster_version: roster.version,
        roster_valid_until: iso(roster.valid_until),
        published: wanted.publish,
        next,
    }))
}

/// OFF-06: of this agency, of its suite, not revoked, for desks that it has. Gives the desks: those of
/// one who is listed already stay, since to take one away its key has to change.
fn check(
    wanted: &OfficerAdmit,
    request: &VerifiedRequest,
    agency: &Registered,
) -> Result<BTreeSet<DeskName>, Failure> {
    let roster = agency.roster().roster();
    let asked = request.request();
    let refused = || Failure::invalid("OFF-06: the officer cannot be admitted");
    if asked.agency != roster.agency {
        return Err(refused()
            .because(format!(
                "the request is to `{}`, this is `{}`",
                asked.agency, roster.agency
            ))
            .next("use the home of the right administrator: `--home DIR`"));
    }
    let suite = request.certificate().suite();
    if suite != agency.suite() {
        return Err(refused()
            .because("the officer's key is of another suite than the agency's")
            .next(format!(
                "ask for a new request: waypost officer request .. --suite {}",
                suite_name(agency.suite())
            )));
    }
    let fingerprint = request.certificate().fingerprint();
    if roster.revoked.contains(&fingerprint) {
        return Err(refused()
            .because("this key was revoked when the officer was removed")
            .next("whoever comes back makes a new key: waypost officer request, in a new home"));
    }
    let mut desks: BTreeSet<DeskName> = if wanted.desk.is_empty() {
        asked.desks.clone()
    } else {
        wanted.desk.iter().cloned().collect()
    };
    if let Some(desk) = desks.iter().find(|desk| !roster.desks.contains_key(*desk)) {
        let known: Vec<String> = roster.desks.keys().map(|d| format!("`{d}`")).collect();
        return Err(refused()
            .because(format!(
                "the agency has no desk `{desk}`; it has {}",
                known.join(", ")
            ))
            .next("name the desks: `--desk NAME`; or make it: waypost desk add NAME"));
    }
    if let Some(listed) = roster.officers.get(&fingerprint) {
        desks.extend(listed.desks.iter().cloned());
    }
    Ok(desks)
}

/// OFF-07: the request is the one that the officer made, by the code that they read out.
fn confirm(
    wanted: &OfficerAdmit,
    request: &VerifiedRequest,
    desks: &BTreeSet<DeskName>,
    context: &Context,
) -> Result<(), Failure> {
    let told = match wanted.code {
        Some(code) => code,
        None => {
            let desks: Vec<&str> = desks.iter().map(DeskName::as_str).collect();
            let question = format!(
                "{}, {}, asks to be admitted; desks: {}.\n\
                 Telephone the officer, at a number that you know, and type the code that they read to you:",
                request.certificate().user_id(),
                wanted.title.as_ref().unwrap_or(&request.request().title),
                desks.join(", "),
            );
            context
                .ask(&question, "--code CODE")?
                .parse()
                .map_err(|e| {
                    Failure::invalid("this is not a code")
                        .caused_by(&e)
                        .because("nobody was admitted")
                })?
        }
    };
    if told == request.code() {
        return Ok(());
    }
    Err(
        Failure::invalid("OFF-07: this is not the code of the request")
            .because("the file is not the one that this officer made, or the code was misheard")
            .because("nobody was admitted")
            .next("ask the officer to read the code again, and to send the file again"),
    )
}

/// The agency with the officer on its roster: as it is, if that lists them so already.
fn listed(
    administration: &Administration<'_>,
    wanted: &OfficerAdmit,
    request: &VerifiedRequest,
    desks: BTreeSet<DeskName>,
) -> Result<Registered, Failure> {
    let certificate = request.certificate();
    let before = administration.roster();
    let listed = before.officers.get(&certificate.fingerprint());
    let title = match (&wanted.title, listed) {
        (Some(title), _) => title.clone(),
        (None, Some(listed)) => listed.title.clone(),
        (None, None) => request.request().title.clone(),
    };
    let same = listed.is_some_and(|listed| listed.desks == desks && listed.title == title);
    if same && administration.before.roster().is_fresh(administration.now) {
        return Ok(administration.before.clone());
    }
    let mut roster = administration.next(VALID_SECONDS);
    roster.admit(certificate, title, desks);
    administration
        .sign(&roster, None, &[certificate])
        .map_err(|failure| failure.because("nobody was admitted"))
}
