//! `roster`: renew, publish and show the signed list of the agency's officers and desks.

use serde::Serialize;
use waypost_proto::id::Timestamp;
use waypost_proto::roster::Roster;

use crate::administration::{self, Administration, Change};
use crate::args::RosterSign;
use crate::clock::{days_until, iso};
use crate::context::Context;
use crate::home::HomeFile;
use crate::output::{Failure, Output, Page, Report, Status};
use crate::registration::Registered;

/// Days before its end from which a roster is to be renewed.
pub const RENEW_DAYS: u64 = 7;

/// The agency's own registration, as the home holds it.
///
/// # Errors
/// Not in this home, or it does not verify.
pub fn registered(context: &Context) -> Result<Registered, Failure> {
    let bytes = context.home.read(&HomeFile::Registration)?;
    Registered::verify(&bytes, context.now())
        .map_err(|failure| failure.next("restore `public/registration.pb` from a backup"))
}

#[derive(Debug, Serialize)]
struct Signed {
    agency: String,
    version: u64,
    valid_until: String,
    digest: String,
    published: bool,
    next: Vec<String>,
}

impl Report for Signed {
    const COMMAND: &'static str = "roster sign";

    fn page(&self, page: &mut Page) {
        page.good(&format!("The roster of {} is signed.", self.agency));
        page.field("version", &self.version);
        page.field("valid until", &self.valid_until);
        page.field("published", if self.published { &"yes" } else { &"no" });
        page.next_steps(&self.next);
    }
}

/// Signs the next version.
///
/// # Errors
/// No agency key in this home, a wrong passphrase, or a node that refuses it.
pub async fn sign(wanted: &RosterSign, context: &Context) -> Result<Output, Failure> {
    let administration = Administration::open(context)?;
    let roster = administration.next(wanted.days.saturating_mul(86_400));
    let after = administration.commit(Change {
        first: Vec::new(),
        after: administration.sign(&roster, None, &[])?,
        then: Vec::new(),
    })?;
    if wanted.publish {
        administration::publish(context, &after).await?;
    }
    Ok(Output::of(&signed(&after, wanted.publish)))
}

fn signed(registered: &Registered, published: bool) -> Signed {
    let roster = registered.roster().roster();
    Signed {
        agency: roster.agency.to_string(),
        version: roster.version,
        valid_until: iso(roster.valid_until),
        digest: registered.roster().digest().to_string(),
        published,
        next: administration::publish_step(published)
            .into_iter()
            .collect(),
    }
}

#[derive(Debug, Serialize)]
struct Published {
    #[serde(flatten)]
    roster: Signed,
}

impl Report for Published {
    const COMMAND: &'static str = "roster publish";

    fn page(&self, page: &mut Page) {
        page.good(&format!(
            "The node of {} has its roster.",
            self.roster.agency
        ));
        page.field("version", &self.roster.version);
        page.field("valid until", &self.roster.valid_until);
    }
}

/// Gives the roster of the home to the node. Signed by the agency, so that any officer may bring it.
///
/// # Errors
/// None in this home, or a node that refuses it.
pub async fn publish(context: &Context) -> Result<Output, Failure> {
    let registered = registered(context)?;
    administration::publish(context, &registered).await?;
    Ok(Output::of(&Published {
        roster: signed(&registered, true),
    }))
}

#[derive(Debug, Serialize)]
struct Shown {
    agency: String,
    version: u64,
    created: String,
    valid_until: String,
    days_left: u64,
    fresh: bool,
    officers: Vec<ShownOfficer>,
    desks: Vec<ShownDesk>,
    revoked: Vec<String>,
}

#[derive(Debug, Serialize)]
struct ShownOfficer {
    fingerprint: String,
    title: String,
    desks: Vec<String>,
}

#[derive(Debug, Serialize)]
struct ShownDesk {
    name: String,
    role: &'static str,
    encryption_key: String,
    attestations: Vec<&'static str>,
}

impl Shown {
    fn of(roster: &Roster, now: Timestamp) -> Self {
        let officers = roster
            .officers
            .iter()
            .map(|(fingerprint, officer)| ShownOfficer {
                fingerprint: fingerprint.to_string(),
                title: officer.title.clone(),
                desks: officer.desks.iter().map(ToString::to_string).collect(),
            });
        let desks = roster.desks.iter().map(|(name, desk)| ShownDesk {
            name: name.to_string(),
            role: desk.role.code(),
            encryption_key: desk.encryption_key.to_string(),
            attestations: desk.attestations.iter().map(|a| a.code()).collect(),
        });
        Self {
            agency: roster.agency.to_string(),
            version: roster.version,
            created: iso(roster.created),
            valid_until: iso(roster.valid_until),
            days_left: days_until(roster.valid_until, now),
            fresh: now < roster.valid_until,
            officers: officers.collect(),
            desks: desks.collect(),
            revoked: roster.revoked.iter().map(ToString::to_string).collect(),
        }
    }
}

impl Report for Shown {
    const COMMAND: &'static str = "roster show";

    fn page(&self, page: &mut Page) {
        page.heading(&format!(
            "Roster of {}, version {}",
            self.agency, self.version
        ));
        page.field("signed", &self.created);
        page.field("valid until", &self.valid_until);
        page.heading("Officers");
        for officer in &self.officers {
            page.item(&format!(
                "{} for {}",
                officer.title,
                officer.desks.join(", ")
            ));
            page.field("  key", &officer.fingerprint);
        }
        page.heading("Desks");
        for desk in &self.desks {
            page.item(&format!(
                "{} ({}) {}",
                desk.name,
                desk.role,
                desk.attestations.join(", ")
            ));
            page.field("  key", &desk.encryption_key);
        }
        if !self.revoked.is_empty() {
            page.heading("No longer to be used");
            self.revoked
                .iter()
                .for_each(|fingerprint| page.item(fingerprint));
        }
        if !self.fresh {
            page.bad("It has expired: counterparts refuse your messages. Renew it: waypost roster sign --publish");
        } else if self.days_left < RENEW_DAYS {
            page.warning(&format!(
                "{} days left. Renew it: waypost roster sign --publish",
                self.days_left
            ));
        }
    }

    fn status(&self) -> Status {
        if self.fresh {
            Status::Done
        } else {
            Status::Error
        }
    }
}

/// Shows the roster that the home holds.
///
/// # Errors
/// Not in this home, or it does not verify.
pub fn show(context: &Context) -> Result<Output, Failure> {
    context.home.agency()?;
    let registered = registered(context)?;
    Ok(Output::of(&Shown::of(
        registered.roster().roster(),
        context.now(),
    )))
}
