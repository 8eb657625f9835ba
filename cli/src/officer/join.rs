//! `officer join`: what the administrator sent, verified and kept. The first time it makes the home
//! that of an officer of the agency; later it brings new desk keys.

use prost::Message as _;
use serde::Serialize;
use waypost_proto::id::{DeskName, Fingerprint};
use waypost_proto::limit;
use waypost_proto::officer::{AdmissionError, Code, Trust, VerifiedAdmission};

use crate::args::OfficerJoin;
use crate::clock::iso;
use crate::context::Context;
use crate::home::{AgencySettings, HomeFile, Seen, Settings, State, read_file};
use crate::output::{Failure, Output, Page, Report};
use crate::registration::Registered;

#[derive(Debug, Serialize)]
struct Joined {
    agency: String,
    name: String,
    agency_fingerprint: String,
    title: String,
    desks: Vec<String>,
    keys: usize,
    new_keys: usize,
    roster_version: u64,
    roster_valid_until: String,
    operator: Option<String>,
    next: Vec<String>,
}

impl Report for Joined {
    const COMMAND: &'static str = "officer join";

    fn page(&self, page: &mut Page) {
        page.good(&format!(
            "You are an officer of {} ({}).",
            self.agency, self.name
        ));
        page.field("title", &self.title);
        page.field("desks", &self.desks.join(", "));
        page.field(
            "desk keys",
            &format_args!("{}, {} of them new", self.keys, self.new_keys),
        );
        page.field("agency key", &self.agency_fingerprint);
        let until = format!(
            "version {}, valid until {}",
            self.roster_version, self.roster_valid_until
        );
        page.field("roster", &until);
        page.next_steps(&self.next);
    }
}

/// Joins.
pub(super) fn run(wanted: &OfficerJoin, context: &Context) -> Result<Output, Failure> {
    let settings = context.home.agency()?;
    let bytes = read_file(&wanted.admission, limit::ADMISSION_BYTES)?;
    let trust = trust(wanted, &bytes, context)?;
    let officer = context.officer_key()?;
    let now = context.now();
    let verified =
        VerifiedAdmission::verify(&bytes, &officer, trust, now).map_err(|e| refused(&e))?;
    let registration = verified.admission().registration.encode_to_vec();
    let registered = Registered::verify(&registration, now)?;
    let settings = joined(settings, &verified)?;
    let keys = &verified.admission().keys;
    let file = |desk: &DeskName, key: &Fingerprint| HomeFile::DeskSealed(desk.clone(), *key);
    let new_keys = keys
        .iter()
        .filter(|handed| !context.home.holds(&file(&handed.desk, &handed.key)))
        .count();
    context.home.update_state(|state| {
        let seen = not_older(state, &verified)?;
        let home = &context.home;
        // What nothing refers to first, the agency's certificate last but the settings: with it the
        // home has joined.
        for handed in keys {
            home.write(&file(&handed.desk, &handed.key), &handed.sealed)?;
        }
        home.write(&HomeFile::Registration, registered.as_bytes())?;
        home.write(&HomeFile::Roster, registered.roster().as_bytes())?;
        home.write_settings(&Settings::Agency(settings.clone()))?;
        home.write(&HomeFile::AgencyCertificate, verified.agency().as_bytes())?;
        state.rosters.insert(settings.agency.clone(), seen);
        Ok(())
    })?;
    Ok(Output::of(&report(&verified, &settings, new_keys, context)))
}

/// The agency's key, if the home knows it; else the code that the administrator read out.
fn trust(wanted: &OfficerJoin, bytes: &[u8], context: &Context) -> Result<Trust, Failure> {
    if context.home.holds(&HomeFile::AgencyCertificate) {
        let known = context.certificate(&HomeFile::AgencyCertificate)?;
        if let Some(told) = wanted.code {
            let found = Code::of_admission(bytes).map_err(|e| refused(&e.into()))?;
            if found != told {
                return Err(refused(&AdmissionError::Code { found }));
            }
        }
        return Ok(Trust::Pinned(known.fingerprint()));
    }
    if let Some(code) = wanted.code {
        return Ok(Trust::Told(code));
    }
    let typed = context.ask(
        "Telephone the administrator, at a number that you know, and type the code of the admission \
         that they read to you:",
        "--code CODE",
    )?;
    let code = typed.parse().map_err(|e| {
        Failure::invalid("this is not a code")
            .caused_by(&e)
            .because("nothing was taken in")
    })?;
    Ok(Trust::Told(code))
}

fn refused(error: &AdmissionError) -> Failure {
    let failure = Failure::invalid("the admission is refused")
        .caused_by(error)
        .because("nothing was taken in");
    match error {
        AdmissionError::Code { .. } => {
            failure.next("ask the administrator to read the code again, and to send the file again")
        }
        AdmissionError::Officer { .. } => {
            failure.next("use the home that made the request: `--home DIR`")
        }
        _ => failure.next("ask the administrator for your admission again: waypost officer admit"),
    }
}

/// OFF-17: of the agency that was asked, and of the pinned operator if there is one.
fn joined(
    settings: AgencySettings,
    verified: &VerifiedAdmission,
) -> Result<AgencySettings, Failure> {
    let refused =
        || Failure::invalid("OFF-17: the admission is refused").because("nothing was taken in");
    let agency = &verified.record().id;
    if *agency != settings.agency {
        return Err(refused()
            .because(format!(
                "you asked `{}`, this is of `{agency}`",
                settings.agency
            ))
            .next("ask the administrator of your agency"));
    }
    let operator = match (settings.own_operator(), verified.admission().operator) {
        (Some(pinned), Some(named)) if pinned != named => {
            return Err(refused()
                .because(format!("{pinned} is pinned in this home as the scheme operator, the agency names {named}"))
                .next("ask the administrator whether the operator has changed, and make a new home then"));
        }
        (pinned, named) => pinned.or(named),
    };
    let desks = &verified.officer().desks;
    let desk = match desks.first() {
        Some(first) if !desks.contains(&settings.desk) => first.clone(),
        _ => settings.desk,
    };
    let mut operators = settings.operators;
    operators.extend(operator.map(|pin| (settings.agency.country(), pin)));
    Ok(AgencySettings {
        desk,
        operators,
        ..settings
    })
}

/// OFF-17: not an older roster than one seen.
fn not_older(state: &State, verified: &VerifiedAdmission) -> Result<Seen, Failure> {
    let seen = Seen {
        version: verified.roster().roster().version,
        digest: verified.roster().digest(),
    };
    let older = state
        .rosters
        .get(&verified.record().id)
        .is_some_and(|before| {
            before.version > seen.version || (before.version == seen.version && *before != seen)
        });
    if older {
        return Err(Failure::invalid("OFF-17: the admission is refused")
            .because("its roster is older than one that this home has seen, or another of the same version")
            .because("nothing was taken in")
            .next("ask the administrator for your admission again: waypost officer admit"));
    }
    Ok(seen)
}

fn report(
    verified: &VerifiedAdmission,
    settings: &AgencySettings,
    new_keys: usize,
    context: &Context,
) -> Joined {
    let roster = verified.roster().roster();
    let officer = verified.officer();
    let mut next = Vec::new();
    let directory = HomeFile::Directory(settings.agency.country());
    if !context.home.holds(&directory) {
        next.push(match settings.own_operator() {
            Some(_) => "Get the directory from your administrator: waypost directory install FILE"
                .to_owned(),
            None => {
                "Get the directory and the scheme operator's fingerprint from your administrator: \
                     waypost directory install FILE --pin FINGERPRINT"
                    .to_owned()
            }
        });
    }
    next.push("waypost inbox".to_owned());
    Joined {
        agency: settings.agency.to_string(),
        name: verified.record().name.clone(),
        agency_fingerprint: verified.agency().fingerprint().to_string(),
        title: officer.title.clone(),
        desks: officer.desks.iter().map(ToString::to_string).collect(),
        keys: verified.admission().keys.len(),
        new_keys,
        roster_version: roster.version,
        roster_valid_until: iso(roster.valid_until),
        operator: settings.own_operator().map(|pin| pin.to_string()),
        next,
    }
}
