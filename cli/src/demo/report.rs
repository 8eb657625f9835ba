//! The demonstration's result, in plain words.

use serde::Serialize;

use super::claims::Claim;
use super::story::Story;
use crate::output::{Page, Report, Status};

/// Fields of one reason that are named; further ones are counted.
const NAMED_FIELDS: usize = 6;

/// What was shown.
#[derive(Debug, Serialize)]
pub(super) struct Demo {
    pub(super) kept: Option<String>,
    pub(super) story: Story,
    pub(super) claims: Vec<Claim>,
}

impl Report for Demo {
    const COMMAND: &'static str = "demo";

    fn page(&self, page: &mut Page) {
        let story = &self.story;
        page.heading("A referral travels");
        page.field("from", &story.from);
        page.field("to", &story.to);
        page.line(
            "The NGO has a submission of the United Kingdom's NRM form about an invented woman.",
        );
        page.line(
            "Before anything is sealed, the sharing policies of both agencies decide on each part.",
        );
        withheld(story, page);
        travelled(story, page);
        page.heading("What you need not believe");
        for claim in &self.claims {
            let line = format!("{}: {}", claim.claim, claim.tried);
            if claim.holds {
                page.good(&format!("  ok      {line}"));
            } else {
                page.bad(&format!("  FAILED  {line}"));
            }
        }
        match &self.kept {
            Some(folder) => page.next_steps(&[
                format!("look around in `{folder}`; proto/spec tells the formats"),
                "prove the policies: waypost policy prove".to_owned(),
            ]),
            None => page.next_steps(&[
                "keep everything to look at: waypost demo --keep DIR".to_owned(),
                "prove the policies: waypost policy prove".to_owned(),
            ]),
        }
    }

    fn status(&self) -> Status {
        if self.claims.iter().all(|claim| claim.holds) {
            Status::Done
        } else {
            Status::Error
        }
    }
}

fn withheld(story: &Story, page: &mut Page) {
    let referral = &story.referral;
    page.heading(&format!(
        "{} fields go; these stay with the NGO",
        referral.shared_fields
    ));
    for group in &referral.withheld {
        let named: Vec<&str> = group
            .fields
            .iter()
            .take(NAMED_FIELDS)
            .map(String::as_str)
            .collect();
        let more = group.fields.len().saturating_sub(named.len());
        let more = if more == 0 {
            String::new()
        } else {
            format!("; and {more} more")
        };
        page.item(&format!("{}{more}", named.join("; ")));
        page.field("  why", &group.why);
        if !group.source.is_empty() {
            page.field("  source", &group.source);
        }
    }
}

fn travelled(story: &Story, page: &mut Page) {
    let referral = &story.referral;
    page.heading("On its way");
    page.field(
        "sealed",
        &format!(
            "{} bytes, to two desks and nobody else (ML-KEM-768+X25519, signed with ML-DSA-65+Ed25519)",
            referral.sealed_bytes
        ),
    );
    page.field("sender's log", &format!("entry {}", referral.log_index));
    page.field("receipt", &story.receipt);
    for fetched in &story.fetched {
        page.field("fetched", fetched);
    }
    page.field("acknowledged by", &story.acknowledged);
    page.field("answer", &story.reply_text);
    page.field("the case stands", &story.case_stands);
    page.heading("What happened, as the NGO's own log proves it");
    for step in &story.timeline {
        page.item(step);
    }
}
