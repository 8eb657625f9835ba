//! `officer list`.

use serde::Serialize;

use super::Person;
use crate::context::Context;
use crate::output::{Failure, Output, Page, Report};
use crate::roster;

#[derive(Debug, Serialize)]
struct Listed {
    agency: String,
    roster_version: u64,
    officers: Vec<Row>,
    revoked: usize,
}

#[derive(Debug, Serialize)]
struct Row {
    #[serde(flatten)]
    person: Person,
    /// The officer of this home.
    own: bool,
}

impl Report for Listed {
    const COMMAND: &'static str = "officer list";

    fn page(&self, page: &mut Page) {
        page.heading(&format!(
            "Officers of {}, roster version {}",
            self.agency, self.roster_version
        ));
        for row in &self.officers {
            let own = if row.own { " (you)" } else { "" };
            page.item(&format!("{}{own}", row.person.words()));
            page.field("  key", &row.person.fingerprint);
        }
        if self.revoked > 0 {
            page.line(&format!(
                "{} keys are revoked: those of officers who left, and desk keys that they knew.",
                self.revoked
            ));
        }
    }
}

/// Lists them.
pub(super) fn run(context: &Context) -> Result<Output, Failure> {
    let settings = context.home.agency()?;
    let registered = roster::registered(context)?;
    let roster = registered.roster().roster();
    let officers = roster.officers.iter().map(|(fingerprint, officer)| Row {
        person: Person::of(&registered, fingerprint, officer),
        own: *fingerprint == settings.officer,
    });
    Ok(Output::of(&Listed {
        agency: roster.agency.to_string(),
        roster_version: roster.version,
        officers: officers.collect(),
        revoked: roster.revoked.len(),
    }))
}
