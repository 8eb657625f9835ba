//! `open`: fetch, verify, decrypt with the desk's key, compare with the manifest, show, report.
//!
//! What was opened goes to the terminal and nowhere else. What a message says beyond its manifest is
//! not shown, but danger is; both logs learn of it.

use serde::Serialize;
use serde_json::value::RawValue;
use waypost_proto::catalogue::Shape;
use waypost_proto::envelope::{OpenMessageError, Opened};
use waypost_proto::form::{Form, Leaf};
use waypost_proto::header::Header;
use waypost_proto::kind::Kind;
use waypost_proto::openpgp::DeskKey;
use waypost_proto::taxonomy::Taxonomy;
use waypost_proto::truthful::{self, Violation};
use waypost_proto::vocabulary::Handling;
use waypost_proto::wire;

use super::answer::{self, Fault};
use super::call;
use super::fetch::{self, Fetched, Theirs};
use super::mail::{self, Direction, Item, short};
use super::send::Sent;
use super::session::Session;
use crate::args::Open;
use crate::clock::iso;
use crate::context::Context;
use crate::output::{Failure, Output, Page, Report, Status};

/// A message as shown.
#[derive(Serialize)]
struct Shown {
    message: String,
    case: String,
    kind: &'static str,
    title: &'static str,
    direction: &'static str,
    from: String,
    from_name: String,
    officer_title: String,
    to: String,
    created: String,
    logged_at: String,
    log_index: u64,
    counterpart_log: String,
    purpose: &'static str,
    handling: &'static str,
    danger: bool,
    /// Whether the content is what the manifest declares.
    truthful: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    fault: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reported: Option<Sent>,
    /// The form, as `refer` reads it; null when nothing may be shown.
    form: Option<Box<RawValue>>,
    #[serde(skip)]
    lines: Vec<Line>,
    #[serde(skip)]
    next: Vec<String>,
}

/// A value for people.
struct Line {
    category: String,
    name: String,
    value: String,
}

impl Report for Shown {
    const COMMAND: &'static str = "open";

    fn page(&self, page: &mut Page) {
        page.heading(self.title);
        if self.danger {
            page.bad("IMMEDIATE DANGER to a person: act first, telephone, then read on");
        }
        page.field("from", &format_args!("{} ({})", self.from, self.from_name));
        page.field(
            "signed by",
            &format_args!("{}, an officer of that agency's roster", self.officer_title),
        );
        page.field("to", &self.to);
        page.field("made", &self.created);
        page.field(
            "logged",
            &format_args!(
                "{}, entry {} of your agency's log",
                self.logged_at, self.log_index
            ),
        );
        page.field("their log", &self.counterpart_log);
        page.field("for", &self.purpose);
        page.field("handling", &self.handling);
        page.field("message", &self.message);
        page.field("case", &self.case);
        if let Some(fault) = &self.fault {
            page.heading("This message is not what it declares");
            page.bad(fault);
            page.line(match self.form {
                Some(_) => "Only what was declared is shown below, and danger.",
                None => "Nothing of it is shown.",
            });
            if let Some(sent) = &self.reported {
                page.line(&format!(
                    "It was reported to the sender, in both logs (message {}).",
                    short(&sent.message)
                ));
            }
        }
        let mut category = "";
        for line in &self.lines {
            if line.category != category {
                page.heading(&line.category);
                category = &line.category;
            }
            page.field(&line.name, &line.value);
        }
        page.next_steps(&self.next);
    }

    fn status(&self) -> Status {
        if self.truthful {
            Status::Done
        } else {
            Status::Error
        }
    }
}

/// `open ID`.
pub(crate) async fn run(wanted: &Open, context: &Context) -> Result<Output, Failure> {
    let mut session = Session::open(context).await?;
    let items = mail::list(&mut session.client, None).await?;
    let item = mail::find(&items, wanted.message.as_str())?;
    // Before the fetch is logged: an officer without the desk's key has nothing to fetch.
    let key = desk_key(&session, item)?;
    let fetched = fetch::fetch(&mut session, item).await?;
    let opened = fetched
        .message
        .open(&key, &fetched.sender, &fetched.recipient);
    match opened {
        Ok(opened) => show(&mut session, &items, item, &fetched, &opened).await,
        Err(error) => unreadable(&mut session, &items, item, &fetched, &error).await,
    }
}

/// The own desk's key that the message is sealed to.
fn desk_key(session: &Session<'_>, item: &Item) -> Result<DeskKey, Failure> {
    let sealed_to = match item.direction {
        Direction::In => item.header.recipient_key,
        Direction::Out => item.header.sender_key,
    };
    session
        .desk_key(&item.own_desk().desk, &sealed_to)
        .map_err(|failure| {
            failure.because("the message is sealed to this key, and opens with no other")
        })
}

/// Compares with the manifest, shows, and reports what is owed.
async fn show(
    session: &mut Session<'_>,
    items: &[Item],
    item: &Item,
    fetched: &Fetched,
    opened: &Opened,
) -> Result<Output, Failure> {
    let header = opened.header();
    let mut shown = frame(item, fetched, header);
    match opened.truthful() {
        Ok(truthful) => fill(&mut shown, truthful.form()),
        Err(violation) => {
            shown.truthful = false;
            shown.fault = Some(violation.to_string());
            let fault = fault(&violation, fetched);
            if let Some(form) = violation.declared_only(&header.manifest) {
                fill(&mut shown, &form);
            }
            tell(session, &fault);
            shown.reported = reported(session, items, item, &fault).await;
        }
    }
    if item.direction == Direction::In {
        let request = wire::ReportOpenedRequest {
            message_id: item.id().as_bytes().to_vec(),
        };
        if let Err(error) = call::answer(session.client.report_opened(request)).await {
            session.context.note(&format!(
                "The log does not hold yet that you opened it: {error}. Open it again later."
            ));
        }
        shown.next = next_steps(items, item);
    }
    Ok(Output::of(&shown))
}

/// A body that does not open is reported with the officer's signature.
async fn unreadable(
    session: &mut Session<'_>,
    items: &[Item],
    item: &Item,
    fetched: &Fetched,
    error: &OpenMessageError,
) -> Result<Output, Failure> {
    let failure =
        Failure::error(format!("the message {} cannot be opened", item.id())).caused_by(error);
    let reason = match error {
        // Not the sender's doing: there is nothing to report.
        OpenMessageError::Party(_) => {
            return Err(failure.next("type the command again; then: waypost doctor"));
        }
        OpenMessageError::Open(_) => "does-not-open",
        OpenMessageError::Plaintext
        | OpenMessageError::OtherHeader
        | OpenMessageError::Commitment => "commitment",
    };
    let fault = Fault {
        kind: Kind::ReportUnreadable,
        reason,
        body_digest: fetched.message.body_digest().to_string(),
        parts: Vec::new(),
    };
    tell(session, &fault);
    let failure = match reported(session, items, item, &fault).await {
        Some(sent) => failure.because(format!(
            "reported to the sender, in both logs (message {})",
            sent.message
        )),
        None => failure,
    };
    Err(failure.next("telephone the sender and ask to send it again"))
}

/// Says that a report goes out, before it does.
fn tell(session: &Session<'_>, fault: &Fault) {
    session.context.note(&format!(
        "{}: this is reported to the sender's desk and in both logs. The report names the message and the fault, and nothing of the content.",
        fault.kind.title()
    ));
}

/// Sends the report. One that cannot be sent does not keep the message from the officer.
async fn reported(
    session: &mut Session<'_>,
    items: &[Item],
    item: &Item,
    fault: &Fault,
) -> Option<Sent> {
    match answer::report(session, items, item, fault).await {
        Ok(sent) => sent,
        Err(failure) => {
            session.context.note(&format!(
                "The report could not be sent: {failure}\nOpen the message again later to send it."
            ));
            None
        }
    }
}

fn fault(violation: &Violation, fetched: &Fetched) -> Fault {
    let fault = violation.fault();
    let parts = match fault {
        truthful::Fault::Understated { parts }
        | truthful::Fault::Ceiling { parts, .. }
        | truthful::Fault::Overstated { parts } => parts.iter().map(|p| p.code()).collect(),
        _ => Vec::new(),
    };
    Fault {
        kind: fault.report(),
        reason: fault.reason(),
        body_digest: fetched.message.body_digest().to_string(),
        parts,
    }
}

fn frame(item: &Item, fetched: &Fetched, header: &Header) -> Shown {
    let officer = fetched.sender.any_officer(&header.officer);
    let facts = &header.manifest.facts;
    Shown {
        message: header.message_id.to_string(),
        case: header.case_id.to_string(),
        kind: header.kind.code(),
        title: header.kind.title(),
        direction: match item.direction {
            Direction::In => "in",
            Direction::Out => "out",
        },
        from: header.sender.to_string(),
        from_name: fetched.sender.record().name.clone(),
        officer_title: officer.map_or_else(String::new, |(o, _)| o.title.clone()),
        to: header.recipient.to_string(),
        created: iso(header.created),
        logged_at: iso(fetched.own.entry().time),
        log_index: fetched.own.index(),
        counterpart_log: match fetched.theirs {
            Theirs::Submitted(index) => format!("sent: entry {index} of the sender's log, proved"),
            Theirs::Received(index) => {
                format!("received: entry {index} of the recipient's log, proved")
            }
            Theirs::Expired(index) => {
                format!("came too late: entry {index} of the recipient's log, proved")
            }
            Theirs::NotYet => "no receipt yet".into(),
        },
        purpose: facts.purpose.code(),
        handling: handling(facts.handling),
        danger: facts.danger,
        truthful: true,
        fault: None,
        reported: None,
        form: None,
        lines: Vec::new(),
        next: Vec::new(),
    }
}

const fn handling(code: Handling) -> &'static str {
    match code {
        Handling::H0 => "H0: use only to prevent and combat crime",
        Handling::H1 => "H1: not in court proceedings without the sender's permission",
        Handling::H2 => "H2: not to be passed on without the sender's permission",
        Handling::H3 => "H3: other restrictions; ask the sender",
    }
}

fn fill(shown: &mut Shown, form: &Form) {
    if form.flag("rsk.immediate_danger") == Some(true) {
        shown.danger = true;
    }
    shown.lines = lines(form);
    shown.form = RawValue::from_string(form.to_json().to_string()).ok();
}

/// Every value in words, fields once, codes by what they mean.
fn lines(form: &Form) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    for leaf in form.leaves() {
        let label = leaf.field().label();
        let (category, name) = label.split_once(": ").unwrap_or(("Message", label));
        let value = value(form, &leaf);
        match lines.last_mut() {
            Some(last) if last.name == name && last.category == category => {
                last.value = format!("{}\n{value}", last.value);
            }
            _ => lines.push(Line {
                category: category.to_owned(),
                name: name.to_owned(),
                value,
            }),
        }
    }
    lines
}

fn value(form: &Form, leaf: &Leaf<'_>) -> String {
    let path = leaf.path();
    if let Some(code) = leaf.code() {
        let taxonomy = Taxonomy::current().ok();
        let label = taxonomy.and_then(|t| t.label(code)).unwrap_or_default();
        return format!("{label} ({code})");
    }
    match leaf.field().shape() {
        Shape::Flag => form
            .flag(path)
            .map_or("", |yes| if yes { "yes" } else { "no" })
            .into(),
        Shape::Number => form
            .number(path)
            .map_or_else(String::new, |n| n.to_string()),
        _ if leaf.field().is_list() => form.texts(path).join("\n"),
        _ => form.text(path).unwrap_or_default().to_owned(),
    }
}

fn next_steps(items: &[Item], item: &Item) -> Vec<String> {
    let id = short(&item.id());
    let acknowledged = items.iter().any(|other| {
        other.header.kind == Kind::Acknowledgement && other.header.in_reply_to == Some(item.id())
    });
    let mut steps = Vec::new();
    if item.header.kind.opens_case() && !acknowledged {
        steps.push(format!(
            "waypost ack {id}: the sender sees that a person has it in hand"
        ));
    }
    if item.header.kind == Kind::LiaisonRequest {
        steps.push(format!(
            "waypost reply {id} --form FILE: what came of it (`M27`)"
        ));
    }
    steps.push(format!("waypost reply {id} --text-file FILE"));
    steps
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::online::fixture;

    const FORM: &str = r#"{
        "age": {"minor_status": "child", "age_disputed": false},
        "ind": {"codes": ["IND-PHY-06", "IND-PSY-08"]},
        "exp": {"types": ["ForcedLabour", "ForcedBegging"]}
    }"#;

    #[test]
    fn values_are_shown_in_words_once_and_codes_by_what_they_mean() {
        let form = Form::from_json(Kind::ReferralNrm, FORM).unwrap();
        let lines = lines(&form);
        let of = |name: &str| {
            let found: Vec<_> = lines.iter().filter(|l| l.name == name).collect();
            assert_eq!(found.len(), 1, "{name}");
            found[0].value.clone()
        };
        assert_eq!(of("minor status"), "child");
        assert_eq!(of("age disputed"), "no");
        assert_eq!(of("types"), "ForcedLabour\nForcedBegging");
        let codes = of("codes");
        assert!(codes.contains("(IND-PHY-06)") && codes.contains("(IND-PSY-08)"));
        assert!(codes.len() > 40, "the label is missing: {codes}");
    }

    #[test]
    fn danger_in_the_content_is_shown_whatever_the_manifest_declares() {
        let form = Form::from_json(Kind::ReferralNrm, r#"{"rsk": {"immediate_danger": true}}"#);
        let mut shown = sample();
        fill(&mut shown, &form.unwrap());
        assert!(shown.danger);
        let output = Output::of(&shown);
        assert!(output.text().contains("IMMEDIATE DANGER"));
        assert_eq!(output.json()["form"]["rsk"]["immediate_danger"], true);
    }

    #[test]
    fn a_message_that_is_not_what_it_declares_ends_in_an_error() {
        let mut shown = sample();
        shown.truthful = false;
        shown.fault = Some("TRU-03: ..".into());
        let output = Output::of(&shown);
        assert_eq!(output.status(), Status::Error);
        assert!(output.text().contains("Nothing of it is shown"));
    }

    #[test]
    fn an_acknowledged_referral_is_not_offered_for_acknowledgement_again() {
        let item = fixture::incoming(1);
        assert!(next_steps(std::slice::from_ref(&item), &item)[0].contains("waypost ack"));
        let mut header =
            fixture::header(Kind::Acknowledgement, 9, fixture::own(), fixture::other());
        header.in_reply_to = Some(item.id());
        let ack = fixture::item(5, Direction::Out, header, mail::Outcome::Queued);
        assert!(next_steps(&[item.clone(), ack], &item)[0].contains("waypost reply"));
    }

    fn sample() -> Shown {
        let text = String::new;
        Shown {
            message: text(),
            case: text(),
            kind: "",
            title: "Referral",
            direction: "in",
            from: text(),
            from_name: text(),
            officer_title: text(),
            to: text(),
            created: text(),
            logged_at: text(),
            log_index: 1,
            counterpart_log: text(),
            purpose: "",
            handling: handling(Handling::H2),
            danger: false,
            truthful: true,
            fault: None,
            reported: None,
            form: None,
            lines: Vec::new(),
            next: Vec::new(),
        }
    }
}
