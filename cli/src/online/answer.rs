//! `ack`, `reply`, and a desk's reports: messages that answer one of a case.

use std::path::Path;

use anstream::adapter::strip_str;
use serde::Serialize;
use waypost_proto::draft::{Draft, Minimisation, Reason, Request, no_origin_conflict};
use waypost_proto::envelope::Addressing;
use waypost_proto::form::{Form, FormBuilder, FormError};
use waypost_proto::kind::Kind;
use waypost_proto::limit;
use waypost_proto::party::Party;

use super::cases;
use super::chain;
use super::input;
use super::mail::{self, Direction, Item};
use super::policy::{self, Selection};
use super::refer::{ABROAD, WORD, both_rules, unfit};
use super::send::{self, Ends, Sent};
use super::session::Session;
use crate::args::{FormFormat, IdStart, Reply};
use crate::context::Context;
use crate::output::{Failure, Output, Page, Report};

/// Bytes of a reply's text: 1,000 characters, and room to say that there are too many.
const TEXT_BYTES: usize = 64 * 1024;

/// An acknowledgement that was sent.
#[derive(Debug, Serialize)]
struct Acknowledged {
    kind: &'static str,
    answers: String,
    sent: Sent,
}

/// A reply that was sent.
#[derive(Debug, Serialize)]
struct Replied {
    kind: &'static str,
    answers: String,
    #[serde(flatten)]
    selection: Option<Selection>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sent: Option<Sent>,
    /// The selection was shown before it was confirmed.
    #[serde(skip)]
    shown: bool,
}

impl Report for Acknowledged {
    const COMMAND: &'static str = "ack";

    fn page(&self, page: &mut Page) {
        page.good("acknowledged: the sender will see that a person has it in hand");
        self.sent.page(page);
    }
}

impl Report for Replied {
    const COMMAND: &'static str = "reply";

    fn page(&self, page: &mut Page) {
        if let Some(selection) = self.selection.as_ref().filter(|_| !self.shown) {
            selection.page(page);
        }
        if let Some(sent) = &self.sent {
            page.good("sent: your agency's node holds it durably and delivers it; this is proved");
            sent.page(page);
            page.next_steps(&[format!("waypost case show {}", sent.case)]);
        }
    }
}

/// `ack ID`.
pub(crate) async fn acknowledge(wanted: &IdStart, context: &Context) -> Result<Output, Failure> {
    let mut session = Session::open(context).await?;
    let items = mail::list(&mut session.client, None).await?;
    let item = mail::find(&items, wanted.as_str())?;
    let may = item.direction == Direction::In && item.header.kind.opens_case();
    if !may {
        return Err(Failure::invalid("only a referral that came in is acknowledged")
            .next("find it: `waypost inbox --all`; to answer another message: `waypost reply ID --text-file FILE`"));
    }
    let before = items.iter().find(|other| {
        other.header.kind == Kind::Acknowledgement && other.header.in_reply_to == Some(item.id())
    });
    if let Some(before) = before {
        return Err(Failure::invalid("it is acknowledged already")
            .because(format!("by the message {}", before.id()))
            .next(format!("waypost case show {}", item.header.case_id)));
    }
    let sent = answer(&mut session, &items, item, |own, title| {
        professionals(Kind::Acknowledgement, own, title).map(FormBuilder::build)
    })
    .await?;
    Ok(Output::of(&Acknowledged {
        kind: Kind::Acknowledgement.code(),
        answers: item.id().to_string(),
        sent,
    }))
}

/// `reply ID`, with a text or a form.
pub(crate) async fn reply(wanted: &Reply, context: &Context) -> Result<Output, Failure> {
    match (&wanted.text_file, &wanted.form) {
        (Some(path), _) => reply_with_text(wanted, path, context).await,
        (None, Some(path)) => reply_with_form(wanted, path, context).await,
        (None, None) => Err(Failure::invalid("a reply is a text or a form")
            .next("waypost reply ID --text-file FILE")),
    }
}

/// `reply ID --form FILE`: what came of a request of another State, as far as both bundles allow.
async fn reply_with_form(
    wanted: &Reply,
    path: &Path,
    context: &Context,
) -> Result<Output, Failure> {
    let form = input::referral(path, FormFormat::Waypost)?.form;
    let mut session = Session::open(context).await?;
    let items = mail::list(&mut session.client, None).await?;
    let item = mail::find(&items, wanted.message.as_str())?;
    let asked = item.direction == Direction::In && item.header.kind == Kind::LiaisonRequest;
    if !asked || form.kind() != Kind::LiaisonReply {
        return Err(Failure::invalid(
            "a form of the kind `M27` answers a request of another State (`M26`) that came in",
        )
        .because("nothing was sent")
        .next("to answer another message: `waypost reply ID --text-file FILE`"));
    }
    let (from, to) = (item.own_desk(), item.counterpart());
    let mut request = request(item);
    request.no_origin_conflict = no_origin_conflict(
        &form,
        from.agency.country().as_str(),
        to.agency.country().as_str(),
    );
    if !wanted.basis.is_empty() {
        request.legal_bases = wanted.basis.iter().copied().collect();
    }
    let mut replied = Replied {
        kind: Kind::LiaisonReply.code(),
        answers: item.id().to_string(),
        selection: None,
        sent: None,
        shown: false,
    };
    let agree = |minimisation: &Minimisation| {
        replied.selection = Some(Selection::of(minimisation));
        if wanted.yes {
            return Ok(());
        }
        let question = format!(
            "{}\nSend this to {to}? By sending you also say that nobody there is implicated in the case{ABROAD}.",
            strip_str(Output::of(&replied).text())
        );
        replied.shown = true;
        context.confirm(&question, WORD, "--yes")
    };
    let own_form = |_: &Party, _: &str| Ok(form);
    let sent = send_answer(&mut session, &items, item, request, own_form, agree).await?;
    replied.sent = Some(sent);
    Ok(Output::of(&replied))
}

/// `reply ID --text-file FILE`.
async fn reply_with_text(
    wanted: &Reply,
    path: &Path,
    context: &Context,
) -> Result<Output, Failure> {
    let text = input::text(path, TEXT_BYTES)?;
    let text = text.trim();
    if text.is_empty() {
        return Err(Failure::invalid("the text is empty").because("nothing was sent"));
    }
    context.note(
        "A reply is a note between professionals. No rule reads it: write nothing about the person in it.",
    );
    let mut session = Session::open(context).await?;
    let items = mail::list(&mut session.client, None).await?;
    let item = mail::find(&items, wanted.message.as_str())?;
    let sent = answer(&mut session, &items, item, |own, title| {
        let mut builder = professionals(Kind::Reply, own, title)?;
        builder.text("note", text)?;
        Ok(builder.build())
    })
    .await?;
    Ok(Output::of(&Replied {
        kind: Kind::Reply.code(),
        answers: item.id().to_string(),
        selection: None,
        sent: Some(sent),
        shown: false,
    }))
}

/// A form with who acts: the agency and the officer's role title, never a name.
fn professionals(kind: Kind, own: &Party, title: &str) -> Result<FormBuilder, FormError> {
    let mut builder = FormBuilder::new(kind)?;
    builder.text("pro.organisation", &own.record().name)?;
    builder.text("pro.role_title", title)?;
    Ok(builder)
}

/// Makes, seals and submits an answer to `item` that says nothing about the person: all of it may go,
/// or none of it does.
pub(crate) async fn answer(
    session: &mut Session<'_>,
    items: &[Item],
    item: &Item,
    form: impl FnOnce(&Party, &str) -> Result<Form, FormError>,
) -> Result<Sent, Failure> {
    send_answer(session, items, item, request(item), form, all_may_go).await
}

/// Makes, minimises, seals and submits an answer to `item`, back to the desk at the other end, once
/// `agree` has seen what is taken out.
async fn send_answer(
    session: &mut Session<'_>,
    items: &[Item],
    item: &Item,
    request: Request,
    form: impl FnOnce(&Party, &str) -> Result<Form, FormError>,
    agree: impl FnOnce(&Minimisation) -> Result<(), Failure>,
) -> Result<Sent, Failure> {
    let agency = session.agency.clone();
    let own = chain::look_up(session, &agency).await?;
    let theirs = chain::look_up(session, &item.counterpart().agency).await?;
    let (from, to) = (item.own_desk().clone(), item.counterpart().clone());
    send::check_officer(session, &own.party, &from)?;
    let officer = session.signing.certificate().fingerprint();
    let title = own
        .party
        .any_officer(&officer)
        .map_or("", |(o, _)| o.title.as_str());
    let form = form(&own.party, title).map_err(|e| {
        Failure::invalid("the message cannot be made of this text")
            .caused_by(&e)
            .because("nothing was sent")
            .next("correct the text and type the command again")
    })?;
    let rules = both_rules(session, &own, &theirs).await?;
    let judge = rules.judge(
        policy::recipient(&theirs.party, &to.desk, &from.agency)?,
        policy::sender(&own.party, &from.desk)?,
    );
    let draft = Draft::new(form, request).map_err(|e| unfit(&e))?;
    let minimisation = draft
        .minimise(&judge, rules.versions()?)
        .map_err(|e| unfit(&e))?;
    agree(&minimisation)?;
    let addressing = Addressing {
        message_id: send::new_message()?,
        case_id: item.header.case_id,
        in_reply_to: Some(item.id()),
        sender: from,
        recipient: to,
        created: session.now,
        expires: session.now.plus(limit::EXPIRY_SECONDS),
        case_seen: seen(items, item),
    };
    let ends = Ends {
        sender: &own.party,
        recipient: &theirs.party,
        suite: theirs.head.suite(),
    };
    send::seal_and_submit(session, &minimisation.minimised, addressing, ends, None).await
}

fn all_may_go(minimisation: &Minimisation) -> Result<(), Failure> {
    if minimisation.withheld.is_empty() {
        return Ok(());
    }
    let rules = minimisation.withheld.iter().map(|w| match &w.reason {
        Reason::Forbidden { rule, .. } => format!("{}: rule `{rule}`", w.label),
        _ => format!("{}: no rule permits it", w.label),
    });
    Err(
        Failure::denied("the rules do not let this answer go to this desk")
            .because(rules.collect::<Vec<_>>().join("; "))
            .because("nothing was sent")
            .next("telephone the other agency; see `waypost policy explain`"),
    )
}

/// How many messages of the item's case this side holds.
fn seen(items: &[Item], item: &Item) -> u32 {
    let grouped = cases::group(items);
    let case = grouped.iter().find(|g| g.id == item.header.case_id);
    case.map_or(0, cases::Grouped::seen)
}

/// An answer serves the purpose of what it answers, on the same basis.
fn request(item: &Item) -> Request {
    let manifest = &item.header.manifest;
    Request {
        purpose: manifest.facts.purpose,
        legal_bases: manifest.facts.legal_bases.clone(),
        handling: manifest.facts.handling,
        retention_days: manifest.facts.retention_days,
        transfer_basis: manifest.facts.transfer_basis,
        override_ground: None,
        represented: manifest.facts.represented,
        no_origin_conflict: true,
        no_implicated_party: true,
        profile: manifest.profile.clone(),
    }
}

/// A desk's report about a message that says more than it declares, or does not open.
pub(crate) async fn report(
    session: &mut Session<'_>,
    items: &[Item],
    item: &Item,
    fault: &Fault,
) -> Result<Option<Sent>, Failure> {
    let own_kind = [Kind::ReportUnderstated, Kind::ReportUnreadable];
    let reported = items.iter().any(|other| {
        other.direction == Direction::Out
            && own_kind.contains(&other.header.kind)
            && other.header.in_reply_to == Some(item.id())
    });
    // A report is not reported, or two desks would go on for ever.
    let owed = item.direction == Direction::In && !own_kind.contains(&item.header.kind);
    if reported || !owed {
        return Ok(None);
    }
    let sent = answer(session, items, item, |_, _| {
        let mut builder = FormBuilder::new(fault.kind)?;
        builder.text("message_id", &item.id().to_string())?;
        builder.text("header_digest", &item.header_digest.to_string())?;
        builder.text("body_digest", &fault.body_digest)?;
        builder.text("reason", fault.reason)?;
        for part in &fault.parts {
            builder.text("parts", part)?;
        }
        Ok(builder.build())
    })
    .await?;
    Ok(Some(sent))
}

/// What a desk reports. Names parts, never values.
#[derive(Debug, Clone)]
pub(crate) struct Fault {
    /// Which report.
    pub(crate) kind: Kind,
    /// Its reason.
    pub(crate) reason: &'static str,
    /// SHA-256 of the body.
    pub(crate) body_digest: String,
    /// Parts found beyond the manifest.
    pub(crate) parts: Vec<&'static str>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::online::fixture;

    #[test]
    fn an_answer_serves_the_purpose_and_basis_of_what_it_answers() {
        let item = fixture::incoming(1);
        let request = request(&item);
        assert_eq!(request.purpose, item.header.manifest.facts.purpose);
        assert_eq!(request.legal_bases, item.header.manifest.facts.legal_bases);
    }

    #[test]
    fn an_answer_says_how_many_messages_of_the_case_were_seen() {
        let mut other = fixture::incoming(2);
        other.header.case_id = waypost_proto::id::CaseId::new([9; 16]);
        let items = [fixture::incoming(1), other];
        assert_eq!(seen(&items, &items[0]), 1);
    }
}
