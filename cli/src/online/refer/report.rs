//! What `refer` says: of each recipient what goes and what stays, and what became of it.

use serde::Serialize;
use serde_json::Value;

use crate::online::input::NotCarried;
use crate::online::policy::Selection;
use crate::online::send::Sent;
use crate::output::{Failure, Page, Report, Status};

/// One recipient's message as decided, and as sent. The whole result where there is one recipient.
#[derive(Debug, Serialize)]
pub(super) struct Referral {
    pub(super) dry_run: bool,
    pub(super) from: String,
    pub(super) to: String,
    pub(super) recipient: String,
    pub(super) kind: &'static str,
    #[serde(skip)]
    pub(super) title: &'static str,
    pub(super) purpose: &'static str,
    /// Decided by the rosters of now; else by the installed directory alone.
    pub(super) live: bool,
    #[serde(flatten)]
    pub(super) selection: Selection,
    /// Answers of the given file that have no place in a referral.
    pub(super) not_carried: Vec<NotCarried>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) subject: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) sent: Option<Sent>,
    /// The selection was shown before it was confirmed.
    #[serde(skip)]
    pub(super) shown: bool,
}

impl Report for Referral {
    const COMMAND: &'static str = "refer";

    fn page(&self, page: &mut Page) {
        if !self.shown {
            self.decided(page);
        }
        match (&self.sent, self.dry_run) {
            (Some(sent), _) => {
                page.heading("Sent");
                page.good("your agency's node holds it durably and delivers it; this is proved");
                sent.page(page);
                file(page, self.subject.as_deref());
                page.next_steps(&[format!("waypost case show {}", sent.case)]);
            }
            (None, true) => {
                page.heading("Nothing was sent");
                page.line(if self.selection.says_something() {
                    "this was a dry run"
                } else {
                    "this was a dry run; the rules let nothing about the referral go to this recipient"
                });
            }
            (None, false) => {}
        }
    }

    fn status(&self) -> Status {
        if self.selection.says_something() {
            Status::Done
        } else {
            Status::Denied
        }
    }
}

fn file(page: &mut Page, subject: Option<&str>) {
    if let Some(subject) = subject {
        page.field(
            "person's file",
            &format_args!(
                "{subject} (keep it; for another message about the same person: --subject)"
            ),
        );
    }
}

impl Referral {
    fn decided(&self, page: &mut Page) {
        page.heading(self.title);
        page.field("from", &self.from);
        page.field("to", &format_args!("{} ({})", self.to, self.recipient));
        page.field("for", &self.purpose);
        if !self.live {
            page.warning("decided by the installed directory alone: the node could not be asked, so the desk's attestations and the recipient's own rules are not known");
        }
        self.selection.page(page);
        if !self.not_carried.is_empty() {
            page.heading("Answers of the file that a referral has no place for");
            for answer in &self.not_carried {
                page.item(&format!("{}: {}", answer.key, answer.reason));
            }
        }
    }
}

/// The result where there are several recipients.
#[derive(Debug, Serialize)]
pub(super) struct Several {
    pub(super) dry_run: bool,
    /// The person's file at the own agency, if anything was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) subject: Option<String>,
    /// One for each, in the order given.
    pub(super) recipients: Vec<One>,
}

/// One of several recipients.
#[derive(Debug, Serialize)]
pub(super) struct One {
    status: &'static str,
    #[serde(flatten)]
    what: What,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Value>,
    #[serde(skip)]
    ended: Status,
    #[serde(skip)]
    words: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum What {
    /// The rules were asked.
    Decided(Box<Referral>),
    /// They could not be.
    Unknown { to: String },
}

impl One {
    /// Of what became of the message to `to`.
    pub(super) fn of(to: String, referral: Option<Referral>, failure: Option<&Failure>) -> Self {
        let decided = referral.as_ref().map_or(Status::Error, Report::status);
        let ended = failure.map_or(decided, Failure::status);
        Self {
            status: ended.word(),
            what: match referral {
                Some(referral) => What::Decided(Box::new(referral)),
                None => What::Unknown { to },
            },
            error: failure.map(Failure::error_json),
            ended,
            words: failure.map(ToString::to_string),
        }
    }

    fn fate(&self, page: &mut Page) {
        let to = match &self.what {
            What::Decided(referral) => &referral.to,
            What::Unknown { to } => to,
        };
        match (&self.what, &self.words) {
            (_, Some(words)) => {
                page.bad(&format!("to {to}: NOT SENT"));
                page.line(words);
            }
            (What::Decided(referral), None) => match &referral.sent {
                Some(sent) => {
                    page.good(&format!(
                        "to {to}: your agency's node holds it durably and delivers it; this is proved"
                    ));
                    sent.page(page);
                }
                None if referral.selection.says_something() => {
                    page.line(&format!("to {to}: it may go"));
                }
                None => page.bad(&format!(
                    "to {to}: the rules let nothing about the referral go"
                )),
            },
            (What::Unknown { .. }, None) => {}
        }
    }
}

impl Report for Several {
    const COMMAND: &'static str = "refer";

    fn page(&self, page: &mut Page) {
        for one in &self.recipients {
            if let What::Decided(referral) = &one.what
                && !referral.shown
            {
                referral.decided(page);
            }
        }
        let sent = self.subject.is_some();
        page.heading(match (sent, self.dry_run) {
            (true, _) => "Sent: to each its own message, in a case of its own",
            (false, true) => "Nothing was sent: this was a dry run",
            (false, false) => "Nothing was sent",
        });
        for one in &self.recipients {
            one.fate(page);
        }
        file(page, self.subject.as_deref());
    }

    /// That of the first message which did not go.
    fn status(&self) -> Status {
        let ended = self.recipients.iter().map(|one| one.ended);
        ended
            .into_iter()
            .find(|status| *status != Status::Done)
            .unwrap_or(Status::Done)
    }
}
