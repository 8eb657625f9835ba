//! The demonstration's result, in plain words.

use serde::Serialize;

use super::claims::Claim;
use super::story::{Part, Sent, Story, Withheld};
use crate::output::{Page, Report, Status};

/// Fields of one reason that are named; further ones are counted.
const NAMED_FIELDS: usize = 4;

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
        page.line(
            "Before anything is sealed, the sharing policies of both agencies decide on each part.",
        );
        for (number, part) in (1..).zip(&self.story.parts) {
            page.heading(&format!("{number}. {}", part.title));
            shown(part, page);
        }
        if let Some(last) = self.story.parts.last() {
            page.heading(&format!(
                "What happened, as the log of {} proves it",
                last.from
            ));
            for step in &last.timeline {
                page.item(step);
            }
        }
        page.heading("What you need not believe");
        for claim in &self.claims {
            let line = format!("{}: {}", claim.claim, claim.tried);
            if claim.holds {
                page.good(&format!("  ok      {line}"));
            } else {
                page.bad(&format!("  FAILED  {line}"));
            }
        }
        let look = match &self.kept {
            Some(folder) => format!("look around in `{folder}`; proto/spec tells the formats"),
            None => "keep everything to look at: waypost demo --keep DIR".to_owned(),
        };
        page.next_steps(&[look, "prove the policies: waypost policy prove".to_owned()]);
    }

    fn status(&self) -> Status {
        if self.claims.iter().all(|claim| claim.holds) {
            Status::Done
        } else {
            Status::Error
        }
    }
}

fn shown(part: &Part, page: &mut Page) {
    page.line(part.told);
    page.field("from", &format_args!("{}/{}", part.from, part.from_desk));
    page.field("to", &format_args!("{}/{}", part.to, part.desk));
    let hurry = if part.sent.lane == "danger" {
        ", in the danger lane: before everything that waits"
    } else {
        ""
    };
    page.field(
        "goes",
        &format_args!("{} fields{hurry}", part.sent.shared_fields),
    );
    if part.sent.withheld.is_empty() {
        page.field("stays", &"nothing: all of it is what they need now");
    }
    stays(&part.sent, part.abroad, page);
    page.field(
        "sealed",
        &format_args!(
            "{} bytes, for two desks and nobody else",
            part.sent.sealed_bytes
        ),
    );
    page.field("receipt", &part.receipt);
    for fetched in &part.fetched {
        page.field("fetched", fetched);
    }
    page.field("acknowledged", &part.acknowledged);
    page.field("answer", &part.answer_text);
    stays(&part.answer, part.abroad, page);
    page.field("the case", &part.case_stands);
}

fn stays(sent: &Sent, abroad: bool, page: &mut Page) {
    for group in &sent.withheld {
        let named: Vec<&str> = group
            .fields
            .iter()
            .take(NAMED_FIELDS)
            .map(String::as_str)
            .collect();
        let more = match group.fields.len().saturating_sub(named.len()) {
            0 => String::new(),
            more => format!("; and {more} more"),
        };
        page.field("stays", &format_args!("{}{more}", named.join("; ")));
        page.field("  because", &because(group, abroad));
    }
}

/// By which rule of whose bundle.
fn because(group: &Withheld, abroad: bool) -> String {
    let whose = match (group.whose.as_str(), abroad) {
        ("sender", _) => " of the sender's State",
        ("recipient", _) => " of the recipient's State",
        ("both", true) => " of either State",
        ("both", false) => " of their State",
        _ => "",
    };
    if group.rule.is_empty() {
        return match group.whose.as_str() {
            "" => group.why.clone(),
            _ => format!("no rule{whose} allows it for this purpose, role and recipient"),
        };
    }
    format!("rule `{}`{whose} ({})", group.rule, group.source)
}
