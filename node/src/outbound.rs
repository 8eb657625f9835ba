//! Submitting: an officer's sealed message becomes durable, numbered, and queued.
//!
//! ```text
//! Received -> Authenticated -> Permitted -> Committed (log + queue)
//! ```
//!
//! INVARIANT (durable before answered): the answer is made from the commit's result.

use std::sync::Arc;

use prost::Message as _;
use waypost_policies::Permitted;
use waypost_proto::case::Direction;
use waypost_proto::directories::Directories;
use waypost_proto::envelope::{Authenticated, Received};
use waypost_proto::id::{AgencyId, Fingerprint, SubjectRef, Timestamp};
use waypost_proto::reason::Reason;
use waypost_proto::wire::{self, log_entry::Event};

use crate::accept::{self, Sides};
use crate::host::{Agency, Node, Stop};
use crate::limit;
use crate::parties::Cited;
use crate::record;
use crate::sequencer::Abort;

/// Takes a message from an officer who has logged in, and answers with the `Submitted` entry.
///
/// # Errors
/// [`Stop`]: nothing was kept.
pub async fn submit(
    node: &Arc<Node>,
    agency: &Arc<Agency>,
    officer: &Fingerprint,
    envelope: wire::Envelope,
    subject: Option<SubjectRef>,
) -> Result<wire::Evidence, Stop> {
    let received = Received::decode(envelope).map_err(|e| Stop::refuse(e.reason(), e))?;
    let header = received.header();
    if header.sender.agency != agency.id || header.officer != *officer {
        return Err(Stop::refuse(
            Reason::Officer,
            "the message is not by the officer who logged in",
        ));
    }
    if let Some(position) = known(node, agency, &received)? {
        node.wake
            .queue(&agency.id, &header.recipient.agency, header.lane());
        return prove(node, &agency.id, position);
    }
    if header.kind.opens_case() && subject.is_none() {
        return Err(Stop::refuse(
            Reason::Malformed,
            "a message that opens a case names the person's file",
        ));
    }
    if node.is_degraded(agency) {
        return Err(Stop::refuse(
            Reason::Degraded,
            "directory or roster past its validity",
        ));
    }
    let directory = node.directory();
    let now = node.now();
    let recipient = &header.recipient.agency;
    let cited = Cited {
        roster: header.recipient_roster,
        bundle: header.manifest.versions.recipient_bundle,
        officer: None,
    };
    let counterpart = node.counterpart(&directory, recipient, cited, now).await?;
    let sides = Sides {
        sender: agency.own(),
        sender_bundle: Arc::clone(&agency.bundle),
        sender_rules: Arc::clone(&agency.rules),
        recipient: counterpart.party,
        recipient_bundle: counterpart.bundle,
        recipient_rules: counterpart.rules,
    };
    let suite = accept::suite(&directory, &agency.id, recipient)?;
    let message = accept::authenticate(received, &sides.sender, &sides.recipient, suite, now)?;
    message
        .check_not_expired(now)
        .map_err(|e| Stop::refuse(e.reason(), e))?;
    let permitted = accept::permitted(message, &sides)?;
    let task = {
        let (node, agency) = (Arc::clone(node), Arc::clone(agency));
        // Of its own: a caller who goes away must not leave a durable message without its wake.
        tokio::spawn(
            async move { commit(&node, &agency, directory, permitted, sides, subject).await },
        )
    };
    let position = task.await.map_err(|error| {
        tracing::error!(%error, "a submission ended early");
        Stop::Failed
    })??;
    prove(node, &agency.id, position)
}

/// The position of the same message, if it was submitted before.
fn known(node: &Node, agency: &Agency, received: &Received) -> Result<Option<u64>, Stop> {
    let Some(stored) = node.message(&agency.id, &received.header().message_id)? else {
        return Ok(None);
    };
    let same = stored.outgoing
        && stored.header_digest == received.header_digest()
        && stored.body_digest == received.body_digest();
    if same {
        Ok(Some(stored.position))
    } else {
        Err(Stop::refuse(Reason::IdReused, "id known with other bytes"))
    }
}

async fn commit(
    node: &Arc<Node>,
    agency: &Arc<Agency>,
    directory: Arc<Directories>,
    permitted: Permitted<Authenticated>,
    sides: Sides,
    subject: Option<SubjectRef>,
) -> Result<u64, Stop> {
    let owner = Arc::clone(agency);
    let id = permitted.message().header().message_id;
    let recipient = permitted.message().header().recipient.agency.clone();
    let lane = permitted.message().header().lane();
    let committed = node
        .sequencer
        .run(&agency.id, move |tx| {
            let message = permitted.message();
            let header = message.header();
            let counterpart = &header.recipient.agency;
            // What the permit was judged under is a precondition of the commit.
            let own = header.sender_roster;
            accept::check_still_holds(tx, &owner, &directory, own, header, &sides)?;
            if tx
                .get(&record::message(&owner.id, &header.message_id))?
                .is_some()
            {
                return Err(Abort::Rejected(Stop::refuse(
                    Reason::Busy,
                    "the same message is being submitted",
                )));
            }
            sides.accept(tx, &owner.id, &header.officer)?;
            let case = accept::step_case(tx, &owner.id, header, Direction::Out, counterpart)?;
            let last = record::last_sent(&owner.id, counterpart, lane);
            let number = accept::number(tx, &last)?.saturating_add(1);
            let submitted = wire::Submitted {
                message: Some(message.facts()),
                lane: lane.code().to_owned(),
                number,
                rules: permitted.rules().iter().cloned().collect(),
            };
            // A recipient takes no larger evidence.
            if submitted.encoded_len() > limit::SUBMITTED_BYTES {
                return Err(Abort::Rejected(Stop::refuse(
                    Reason::Malformed,
                    "too many parts and rules for one entry",
                )));
            }
            let position = tx.append(Event::Submitted(submitted))?;
            let stored = queued(message, position, tx.now(), number);
            accept::stage_message(tx, &owner, message, &stored, wire::Outcome::Queued, &case)?;
            tx.put_body(header.message_id, message.envelope().body.clone())?;
            tx.put(last, number.to_be_bytes().to_vec())?;
            let place = record::outbox_item(&owner.id, counterpart, lane, number);
            let waiting = record::Queued {
                message: header.message_id,
                gap: None,
            };
            tx.put(place, waiting.encode())?;
            if let Some(subject) = subject {
                tx.put(
                    record::subject_case(&owner.id, &subject, &header.case_id),
                    Vec::new(),
                )?;
            }
            Ok(position)
        })
        .await?;
    tracing::info!(agency = %agency.id, message = %id, counterpart = %recipient, "submitted");
    node.wake.queue(&agency.id, &recipient, lane);
    Ok(committed.value)
}

/// The message as it is stored: queued under its number.
fn queued(message: &Authenticated, position: u64, time: Timestamp, number: u64) -> record::Message {
    record::Message {
        header: message.envelope().header.clone(),
        body_bytes: message.envelope().body.len() as u64,
        outgoing: true,
        position,
        time,
        lane: message.header().lane(),
        number,
        header_digest: message.header_digest(),
        body_digest: message.body_digest(),
    }
}

fn prove(node: &Node, agency: &AgencyId, position: u64) -> Result<wire::Evidence, Stop> {
    node.evidence(agency, position, 0)
}
