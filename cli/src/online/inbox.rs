//! `inbox`: the agency's messages, held against the proved log, so that a host cannot receipt and hide.

use serde::Serialize;
use waypost_proto::entry::Entry;

use super::mail::{self, Direction, Item, short};
use super::mirror::{self, Mirror, Mismatch};
use super::own_log;
use super::session::Session;
use crate::clock::iso;
use crate::context::Context;
use crate::output::{Failure, Output, Page, Report, Status};

/// The messages, and whether the list is true to the log.
#[derive(Debug, Serialize)]
struct Inbox {
    messages: Vec<Row>,
    /// Messages that are not shown without `--all`.
    others: usize,
    log: Checked,
    mismatches: Vec<String>,
}

/// One message.
#[derive(Debug, Serialize)]
struct Row {
    id: String,
    case: String,
    direction: &'static str,
    kind: &'static str,
    title: &'static str,
    counterpart: String,
    desk: String,
    time: String,
    danger: bool,
    outcome: &'static str,
    state: String,
    sealed_bytes: u64,
}

/// How far the log was checked.
#[derive(Debug, Serialize)]
struct Checked {
    entries: u64,
    new_entries: u64,
    root: String,
}

impl Report for Inbox {
    const COMMAND: &'static str = "inbox";

    fn page(&self, page: &mut Page) {
        if !self.mismatches.is_empty() {
            page.heading("THE NODE'S LIST IS NOT TRUE TO ITS LOG");
            for mismatch in &self.mismatches {
                page.bad(mismatch);
            }
            page.line("Do not rely on this node. Tell your administrator and the scheme operator; keep proof: waypost log export DIR");
        }
        page.heading("Messages");
        for row in &self.messages {
            let danger = if row.danger { "DANGER  " } else { "" };
            let way = if row.direction == "in" { "from" } else { "to" };
            page.line(&format!(
                "{}  {danger}{}  {way} {}",
                short(&row.id),
                row.title,
                row.counterpart
            ));
            page.field("", &format_args!("{}  {}", row.time, row.state));
        }
        if self.messages.is_empty() {
            page.line("nothing new");
        }
        if self.others > 0 {
            page.line(&format!("{} more: waypost inbox --all", self.others));
        }
        if self.mismatches.is_empty() {
            page.good(&format!(
                "the list is complete: checked against all {} entries of the signed log ({} new)",
                self.log.entries, self.log.new_entries
            ));
        }
        let new = self
            .messages
            .iter()
            .find(|r| r.direction == "in" && r.state == "new");
        if let Some(row) = new {
            page.next_steps(&[format!("waypost open {}", short(&row.id))]);
        }
    }

    fn status(&self) -> Status {
        if self.mismatches.is_empty() {
            Status::Done
        } else {
            Status::Error
        }
    }
}

/// `inbox`.
pub(crate) async fn run(all: bool, context: &Context) -> Result<Output, Failure> {
    let mut session = Session::open(context).await?;
    let (items, log, mismatches) = reconcile(&mut session).await?;
    let wanted = |item: &&Item| all || is_open(item);
    let messages: Vec<Row> = items.iter().rev().filter(wanted).map(row).collect();
    Ok(Output::of(&Inbox {
        others: items.len().saturating_sub(messages.len()),
        messages,
        log,
        mismatches: mismatches.iter().map(Mismatch::words).collect(),
    }))
}

/// Whether somebody still has to look at it.
fn is_open(item: &Item) -> bool {
    match item.direction {
        Direction::In => item.opened_at.is_none(),
        Direction::Out => item.outcome != mail::Outcome::Delivered,
    }
}

fn row(item: &Item) -> Row {
    let header = &item.header;
    Row {
        id: item.id().to_string(),
        case: header.case_id.to_string(),
        direction: match item.direction {
            Direction::In => "in",
            Direction::Out => "out",
        },
        kind: header.kind.code(),
        title: header.kind.title(),
        counterpart: item.counterpart().to_string(),
        desk: item.own_desk().desk.to_string(),
        time: iso(item.time),
        danger: header.manifest.facts.danger,
        outcome: item.outcome.code(),
        state: item.state_words(),
        sealed_bytes: item.body_bytes,
    }
}

/// Lists every message and holds the list against the log: the new entries alone if what was seen
/// before still stands, else all of them.
async fn reconcile(
    session: &mut Session<'_>,
) -> Result<(Vec<Item>, Checked, Vec<Mismatch>), Failure> {
    let seen = own_log::mirror(session)?;
    let checkpoint = own_log::checkpoint(session).await?;
    // After the checkpoint: what the log holds up to it must be in the list by now.
    let items = mail::list(&mut session.client, None).await?;
    let start = if seen.holds(&items) {
        seen.clone()
    } else {
        own_log::check_consistent(session, &checkpoint).await?;
        Mirror::empty()
    };
    let from = start.size();
    let mut mirror = start;
    let mut entries: Vec<(u64, Entry)> = Vec::new();
    own_log::replay(session, &mut mirror, &checkpoint, |index, _, entry| {
        if entry.message_id().is_some() {
            entries.push((index, entry));
        }
        Ok(())
    })
    .await?;
    let range = (from, mirror.size());
    let mismatches = mirror::compare(&session.agency, &entries, range, &items);
    let checked = Checked {
        entries: mirror.size(),
        new_entries: mirror.size().saturating_sub(seen.size()),
        root: mirror.root().to_string(),
    };
    // What was not true is not noted, so that it is found again.
    if mismatches.is_empty() {
        mirror.note(&items, from);
        remember(session, &seen, &mirror)?;
    }
    Ok((items, checked, mismatches))
}

/// Keeps the mirror, unless another command has kept a longer one meanwhile.
fn remember(session: &Session<'_>, seen: &Mirror, mirror: &Mirror) -> Result<(), Failure> {
    let before = (seen.size() > 0).then(|| seen.keep());
    session.context.home.update_state(|state| {
        if state.log == before || state.log.as_ref().is_none_or(|l| l.size < mirror.size()) {
            state.log = Some(mirror.keep());
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::online::fixture;
    use crate::online::mail::Outcome;

    fn inbox(mismatches: Vec<String>) -> Inbox {
        Inbox {
            messages: vec![row(&fixture::incoming(1))],
            others: 2,
            log: Checked {
                entries: 3,
                new_entries: 3,
                root: String::new(),
            },
            mismatches,
        }
    }

    #[test]
    fn a_new_message_is_shown_with_the_command_that_opens_it() {
        let output = Output::of(&inbox(Vec::new()));
        assert_eq!(output.status(), Status::Done);
        assert!(
            output.text().contains("waypost open 02020202"),
            "{}",
            output.text()
        );
        assert_eq!(output.json()["messages"][0]["direction"], "in");
    }

    #[test]
    fn a_hidden_message_is_shouted_and_the_command_fails() {
        let output = Output::of(&inbox(vec![
            "the node logged a message and does not show it".into(),
        ]));
        assert_eq!(output.status(), Status::Error);
        assert!(output.text().contains("NOT TRUE TO ITS LOG"));
        assert!(!output.text().contains("the list is complete"));
    }

    #[test]
    fn what_is_delivered_or_opened_needs_nobody_any_more() {
        assert!(!is_open(&fixture::outgoing(1, Outcome::Delivered)));
        assert!(is_open(&fixture::outgoing(1, Outcome::Expired)));
        let mut item = fixture::incoming(1);
        assert!(is_open(&item));
        item.opened_at = Some(item.time);
        assert!(!is_open(&item));
    }
}
