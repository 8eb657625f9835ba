//! `case list` and `case show`: cases, where they stand, and what happened when, each step proved.

use std::collections::BTreeSet;

use serde::Serialize;
use waypost_proto::entry::Entry;
use waypost_proto::id::MessageId;
use waypost_proto::wire::{self, log_entry::Event};

use super::call;
use super::cases::{self, Grouped};
use super::mail::{self, Direction, Item, short};
use super::own_log;
use super::session::Session;
use crate::args::{CaseCommand, IdStart};
use crate::clock::iso;
use crate::context::Context;
use crate::output::{Failure, Output, Page, Report};

/// Steps of one case that are proved at most.
const STEPS: usize = 1000;

/// One case.
#[derive(Debug, Serialize)]
struct Row {
    case: String,
    counterpart: String,
    side: &'static str,
    state: &'static str,
    words: String,
    messages: usize,
    latest: String,
}

/// All cases.
#[derive(Debug, Serialize)]
struct List {
    cases: Vec<Row>,
}

impl Report for List {
    const COMMAND: &'static str = "case list";

    fn page(&self, page: &mut Page) {
        page.heading("Cases");
        for row in &self.cases {
            page.line(&format!("{}  with {}", short(&row.case), row.counterpart));
            page.field("", &row.words);
            page.field(
                "",
                &format_args!("{} messages, the latest {}", row.messages, row.latest),
            );
        }
        if self.cases.is_empty() {
            page.line("none");
        }
        if let Some(row) = self.cases.first() {
            page.next_steps(&[format!("waypost case show {}", short(&row.case))]);
        }
    }
}

/// One step of a case, as the own log proves it.
#[derive(Debug, Serialize)]
struct Step {
    time: String,
    log_index: u64,
    event: &'static str,
    message: String,
    words: String,
}

/// One case and what happened.
#[derive(Debug, Serialize)]
struct Detail {
    #[serde(flatten)]
    row: Row,
    timeline: Vec<Step>,
}

impl Report for Detail {
    const COMMAND: &'static str = "case show";

    fn page(&self, page: &mut Page) {
        page.heading("Case");
        page.field("case", &self.row.case);
        page.field("with", &self.row.counterpart);
        page.field("stands", &self.row.words);
        page.heading("What happened, as your agency's log proves it");
        for step in &self.timeline {
            page.field(
                &step.time,
                &format_args!(
                    "{} ({}; entry {})",
                    step.words,
                    short(&step.message),
                    step.log_index
                ),
            );
        }
    }
}

/// `case ..`.
pub(crate) async fn run(command: &CaseCommand, context: &Context) -> Result<Output, Failure> {
    let mut session = Session::open(context).await?;
    match command {
        CaseCommand::List => {
            let items = mail::list(&mut session.client, None).await?;
            let cases = cases::group(&items).iter().rev().map(row).collect();
            Ok(Output::of(&List { cases }))
        }
        CaseCommand::Show { case } => show(&mut session, case).await,
    }
}

fn row(grouped: &Grouped<'_>) -> Row {
    let last = grouped.items.last();
    let (side, state) = match &grouped.case {
        Ok(case) => (
            match case.side {
                waypost_proto::case::Side::Referrer => "referrer",
                waypost_proto::case::Side::Recipient => "recipient",
            },
            case.state.name(),
        ),
        Err(_) => ("", "unlawful"),
    };
    Row {
        case: grouped.id.to_string(),
        counterpart: last.map_or_else(String::new, |i| i.counterpart().to_string()),
        side,
        state,
        words: grouped.words(),
        messages: grouped.items.len(),
        latest: last.map_or_else(String::new, |i| iso(i.time)),
    }
}

async fn show(session: &mut Session<'_>, wanted: &IdStart) -> Result<Output, Failure> {
    let items = mail::list(&mut session.client, None).await?;
    let id = mail::find_case(&items, wanted.as_str())?;
    let grouped = cases::group(&items);
    let Some(case) = grouped.iter().find(|g| g.id == id) else {
        return Err(Failure::error("the case is gone").next("waypost case list"));
    };
    let timeline = timeline(session, &case.items).await?;
    let row = row(case);
    Ok(Output::of(&Detail { row, timeline }))
}

/// The entries that concern the case's messages, each proved to be in the log.
async fn timeline(session: &mut Session<'_>, items: &[&Item]) -> Result<Vec<Step>, Failure> {
    let ids: BTreeSet<MessageId> = items.iter().map(|i| i.id()).collect();
    let from = items.iter().map(|i| i.position).min().unwrap_or_default();
    let checkpoint = own_log::checkpoint(session).await?;
    own_log::check_consistent(session, &checkpoint).await?;
    let to = checkpoint.size();
    let mut found = Vec::new();
    if from < to {
        let request = wire::LogEntriesRequest { from, to };
        let mut stream = call::answer(session.client.log_entries(request)).await?;
        while let Some(reply) = call::next(&mut stream).await? {
            let entry = Entry::decode(&reply.entry).map_err(|e| own_log::false_log(&e))?;
            if entry.message_id().is_some_and(|id| ids.contains(&id)) && found.len() < STEPS {
                found.push((reply.index, reply.entry));
            }
        }
    }
    let mut steps = Vec::new();
    for (index, bytes) in found {
        let request = wire::LogProofRequest { index };
        let reply = call::answer(session.client.log_proof(request)).await?;
        let evidence = reply.evidence.unwrap_or_default();
        let proved = own_log::proved(&evidence, session.record()?, session.now)?;
        if proved.index() != index || evidence.entry != bytes {
            return Err(Failure::error(format!(
                "entry {index} of the log is not what the node showed"
            ))
            .next("tell your administrator and the scheme operator: waypost log export DIR"));
        }
        steps.extend(step(index, proved.entry(), items));
    }
    Ok(steps)
}

fn step(index: u64, entry: &Entry, items: &[&Item]) -> Option<Step> {
    let id = entry.message_id()?;
    let item = items.iter().find(|i| i.id() == id)?;
    Some(Step {
        time: iso(entry.time),
        log_index: index,
        event: entry.name(),
        message: id.to_string(),
        words: words(&entry.event, item),
    })
}

/// A step in words.
fn words(event: &Event, item: &Item) -> String {
    let title = item.header.kind.title();
    let counterpart = &item.counterpart().agency;
    match event {
        Event::Submitted(_) => format!("{title}: sent to {counterpart}"),
        Event::Received(_) => format!("{title}: received from {counterpart}"),
        Event::Delivered(_) => format!("{title}: receipt by the node of {counterpart}"),
        Event::Refused(refused) => {
            let reason = refused.reason.parse::<waypost_proto::reason::Reason>();
            let text = reason.map_or("", waypost_proto::reason::Reason::text);
            format!("{title}: refused; {text}")
        }
        Event::Expired(_) => format!("{title}: expired, never accepted before its deadline"),
        Event::Unconfirmed(_) => {
            format!("{title}: past its deadline without an answer; still asked for")
        }
        Event::GapDelivered(_) => format!("{title}: {counterpart} knows that it will not come"),
        Event::Fetched(_) => match item.direction {
            Direction::In => format!("{title}: fetched by an officer of your agency"),
            Direction::Out => format!("{title}: your agency's copy was fetched"),
        },
        Event::Opened(_) => format!("{title}: an officer of your agency says that it was opened"),
        _ => title.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::online::fixture;
    use crate::online::mail::Outcome;

    #[test]
    fn a_step_names_what_happened_and_where_it_is_logged() {
        let item = fixture::outgoing(4, Outcome::Delivered);
        let entry = Entry {
            time: item.time,
            event: fixture::submitted(&item),
        };
        let step = step(4, &entry, &[&item]).unwrap();
        assert_eq!((step.event, step.log_index), ("submitted", 4));
        assert!(step.words.contains("sent to gb.example-school"));
    }

    #[test]
    fn an_entry_of_another_case_is_no_step() {
        let (item, other) = (fixture::incoming(1), fixture::incoming(2));
        let entry = Entry {
            time: item.time,
            event: fixture::received(&other),
        };
        assert!(step(2, &entry, &[&item]).is_none());
    }

    #[test]
    fn a_row_tells_the_state_by_name_and_in_words() {
        let items = [fixture::incoming(1)];
        let row = row(&cases::group(&items)[0]);
        assert_eq!((row.side, row.state), ("recipient", "received"));
        assert!(row.words.contains("nobody has acknowledged"));
    }
}
