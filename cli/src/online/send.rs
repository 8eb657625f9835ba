//! Sealing and submitting: what every outgoing message goes through.
//!
//! ```text
//! Minimised -> Sealed -> submit -> the node's `Submitted` entry, proved to be of exactly this message
//! ```

use serde::Serialize;
use waypost_proto::draft::Minimised;
use waypost_proto::envelope::{self, Addressing, Received};
use waypost_proto::id::{CaseId, DeskAddress, MessageId, SubjectRef};
use waypost_proto::lane::Lane;
use waypost_proto::openpgp::Suite;
use waypost_proto::party::Party;
use waypost_proto::reason::{Fate, Reason};
use waypost_proto::wire;

use super::call::{self, CallError};
use super::own_log;
use super::session::Session;
use crate::clock::iso;
use crate::output::{Failure, Page};

/// Both ends of a message.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ends<'p> {
    /// The own agency's chain.
    pub(crate) sender: &'p Party,
    /// The recipient's.
    pub(crate) recipient: &'p Party,
    /// The suite of the directory.
    pub(crate) suite: Suite,
}

/// A message that the own node holds durably.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Sent {
    /// Its id.
    pub(crate) message: String,
    /// Its case.
    pub(crate) case: String,
    /// To whom.
    pub(crate) to: String,
    /// Bytes of the sealed body.
    pub(crate) sealed_bytes: usize,
    /// The lane that it is numbered in.
    pub(crate) lane: &'static str,
    /// Index of its entry in the own log.
    pub(crate) log_index: u64,
    /// Log time of that entry.
    pub(crate) logged_at: String,
    /// When it is no longer accepted.
    pub(crate) expires: String,
}

impl Sent {
    /// In words.
    pub(crate) fn page(&self, page: &mut Page) {
        page.field("message", &self.message);
        page.field("case", &self.case);
        page.field("to", &self.to);
        page.field(
            "sealed",
            &format_args!(
                "{} bytes; only the two desks can open it",
                self.sealed_bytes
            ),
        );
        if self.lane == Lane::Danger.code() {
            page.field("lane", &"danger: it goes before everything that waits");
        }
        page.field(
            "logged",
            &format_args!(
                "{}, entry {} of your agency's log",
                self.logged_at, self.log_index
            ),
        );
        page.field("expires", &self.expires);
    }
}

/// 16 random bytes.
pub(crate) fn random_id() -> Result<[u8; 16], Failure> {
    let mut bytes = [0; 16];
    aws_lc_rs::rand::fill(&mut bytes)
        .map_err(|_| Failure::error("the operating system gives no random bytes"))?;
    Ok(bytes)
}

/// A new message's id.
pub(crate) fn new_message() -> Result<MessageId, Failure> {
    random_id().map(MessageId::new)
}

/// A new case's id.
pub(crate) fn new_case() -> Result<CaseId, Failure> {
    random_id().map(CaseId::new)
}

/// A new reference to a person's file.
pub(crate) fn new_subject() -> Result<SubjectRef, Failure> {
    random_id().map(SubjectRef::new)
}

/// Refuses, before anything is sealed, what the own roster does not let this officer do.
pub(crate) fn check_officer(
    session: &Session<'_>,
    sender: &Party,
    from: &DeskAddress,
) -> Result<(), Failure> {
    let officer = session.signing.certificate().fingerprint();
    sender.officer(&officer, &from.desk).map_err(|e| {
        Failure::error(format!("you may not send for the desk `{}`", from.desk))
            .caused_by(&e)
            .next("ask your administrator: `waypost roster show`; or name another desk: `--desk NAME`")
    })?;
    Ok(())
}

/// Seals, submits, and verifies the node's answer.
pub(crate) async fn seal_and_submit(
    session: &mut Session<'_>,
    minimised: &Minimised,
    addressing: Addressing,
    ends: Ends<'_>,
    subject: Option<SubjectRef>,
) -> Result<Sent, Failure> {
    check_officer(session, ends.sender, &addressing.sender)?;
    let to = addressing.recipient.to_string();
    let (message, case, expires) = (
        addressing.message_id,
        addressing.case_id,
        addressing.expires,
    );
    let sealed = envelope::seal(
        minimised,
        addressing,
        &session.signing,
        ends.sender,
        ends.recipient,
    )
    .map_err(|e| {
        Failure::error("the message cannot be sealed")
            .caused_by(&e)
            .next("waypost doctor")
    })?;
    let envelope = sealed.into_wire();
    let sealed_bytes = envelope.body.len();
    let (facts, lane) = checked(session, &envelope, ends)?;
    let request = wire::SubmitRequest {
        envelope: Some(envelope),
        subject_ref: subject.map_or_else(Vec::new, |s| s.as_bytes().to_vec()),
    };
    let reply = call::answer(session.client.submit(request))
        .await
        .map_err(|e| unknown_fate(message, e))?;
    let evidence = match reply.result {
        Some(wire::submit_reply::Result::Receipt(evidence)) => evidence,
        Some(wire::submit_reply::Result::Refusal(refusal)) => return Err(refused(&refusal)),
        None => return Err(unproved(message)),
    };
    let proved = own_log::own_entry(session, &evidence).await?;
    proved
        .submitted(&facts, lane)
        .map_err(|e| unproved(message).caused_by(&e))?;
    Ok(Sent {
        message: message.to_string(),
        case: case.to_string(),
        to,
        sealed_bytes,
        lane: lane.code(),
        log_index: proved.index(),
        logged_at: iso(proved.entry().time),
        expires: iso(expires),
    })
}

/// Reads the own message as the recipient's node will, and gives the facts and the lane that the log must
/// hold.
fn checked(
    session: &Session<'_>,
    envelope: &wire::Envelope,
    ends: Ends<'_>,
) -> Result<(wire::MessageFacts, Lane), Failure> {
    Received::decode(envelope.clone())
        .and_then(|r| r.authenticate(ends.sender, ends.recipient, ends.suite, session.now))
        .map(|authenticated| (authenticated.facts(), authenticated.header().lane()))
        .map_err(|e| {
            Failure::error("the sealed message would be refused, so it was not sent")
                .caused_by(&e)
                .next("waypost doctor")
        })
}

fn unproved(message: MessageId) -> Failure {
    Failure::undetermined("the node does not prove that it holds the message")
        .because(format!("message {message}"))
        .next("waypost inbox --all: if the message is not there, send it again; then tell who runs the node")
}

/// The answer was lost: the node may hold the message or not.
fn unknown_fate(message: MessageId, error: CallError) -> Failure {
    match error {
        CallError::Slow | CallError::Lost => {
            Failure::undetermined("the node's answer was lost: it may hold the message or not")
                .because(error.to_string())
                .because(format!("message {message}"))
                .next("waypost inbox --all: if the message is not there, send it again")
        }
        error => error.into(),
    }
}

/// A refusal in words. The text is the closed list's, not the node's.
pub(crate) fn refused(refusal: &wire::Refusal) -> Failure {
    let Ok(reason) = refusal.reason.parse::<Reason>() else {
        return Failure::error(
            "the node refuses the message for a reason that this software does not know",
        )
        .next("update the software");
    };
    let failure = match reason {
        Reason::NotPermitted | Reason::Bundle => Failure::denied("the node refuses the message"),
        _ => Failure::error("the node refuses the message"),
    };
    let failure = failure
        .because(format!("{reason}: {}", reason.text()))
        .because("nothing was sent");
    match (reason.fate(), reason) {
        (_, Reason::Degraded) => failure.next("ask your administrator: waypost roster sign --publish; if somebody is in danger, telephone"),
        (Fate::Later, _) => failure.next("type the command again in a few minutes; if somebody is in danger, telephone"),
        (Fate::Final, _) => failure.next("correct what is named, then type the command again"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::Status;

    fn refusal(reason: &str) -> Failure {
        refused(&wire::Refusal {
            reason: reason.into(),
            text: "words of the node".into(),
            last_seen: 0,
        })
    }

    #[test]
    fn every_refusal_says_why_and_what_to_do_in_the_words_of_the_closed_list() {
        for reason in Reason::ALL {
            let text = refusal(reason.code()).to_string();
            assert!(text.contains(reason.text()), "{reason}");
            assert!(text.contains("next: "), "{reason}");
            assert!(!text.contains("words of the node"), "{reason}");
        }
    }

    #[test]
    fn a_refusal_by_the_policy_has_an_exit_code_of_its_own() {
        assert_eq!(refusal("not-permitted").status(), Status::Denied);
        assert_eq!(refusal("busy").status(), Status::Error);
        assert_eq!(refusal("something-new").status(), Status::Error);
    }

    #[test]
    fn a_lost_answer_is_undetermined_and_not_a_failure() {
        let failure = unknown_fate(MessageId::new([1; 16]), CallError::Lost);
        assert_eq!(failure.status(), Status::Undetermined);
    }

    #[test]
    fn ids_are_not_repeated() {
        assert_ne!(random_id().unwrap(), random_id().unwrap());
    }
}
