//! Outcomes: what the recipient's answers prove goes into the log, and out of the queue.

use std::sync::Arc;

use prost::Message as _;
use waypost_proto::case;
use waypost_proto::directory::AgencyRecord;
use waypost_proto::evidence::{BY_RECIPIENT, EvidenceError, Gap, Proved, Receipt};
use waypost_proto::header::Header;
use waypost_proto::id::{AgencyId, CaseId, MessageId};
use waypost_proto::reason::{Fate, Reason};
use waypost_proto::wire::{self, log_entry::Event};

use super::{Item, Line};
use crate::contradiction;
use crate::host::{Node, Stop};
use crate::record;
use crate::sequencer::{Abort, Queued, Tx};

/// What was settled of a request.
#[derive(Debug)]
pub(super) struct Settled {
    /// How many outcomes are in the log.
    pub(super) count: usize,
    /// Whether every place that was offered has left the queue.
    pub(super) whole: bool,
    /// Why something was not settled.
    pub(super) stop: Option<Stop>,
}

/// The outcomes of one request's answers, in order.
pub(super) struct Settling<'r> {
    node: &'r Arc<Node>,
    line: &'r Line,
    recipient: &'r AgencyRecord,
    /// What was last seen of the recipient's log, as stored.
    before: Option<record::Seen>,
    /// The same, with what the answers have proved so far.
    seen: Option<record::Seen>,
    /// Whether no place stays in the queue.
    whole: bool,
    waiting: Vec<Queued<(), Stop>>,
}

impl<'r> Settling<'r> {
    pub(super) fn new(
        node: &'r Arc<Node>,
        line: &'r Line,
        recipient: &'r AgencyRecord,
        before: Option<record::Seen>,
    ) -> Self {
        Self {
            node,
            line,
            recipient,
            seen: before.clone(),
            before,
            whole: true,
            waiting: Vec::new(),
        }
    }

    /// Verifies a receipt for `item`, whose own entry is `entry`, and settles it.
    pub(super) async fn proved(
        &mut self,
        item: &Item,
        entry: &Event,
        evidence: wire::Evidence,
    ) -> Result<(), Stop> {
        let proved = self.verify(&evidence).await?;
        let outcome = match entry {
            Event::Submitted(submitted) => match proved.receipt(submitted) {
                Ok(Receipt::Accepted) => Outcome::Delivered,
                Ok(Receipt::Tombstone) => Outcome::Expired,
                Err(error) => return Err(distrust(&error)),
            },
            gap => {
                let gap = Gap::of(gap).ok_or(Stop::Failed)?;
                proved.gap_receipt(&gap).map_err(|e| distrust(&e))?;
                Outcome::Gap
            }
        };
        self.settle(item, outcome.event(item, &proved), outcome, Some(evidence))
            .await
    }

    /// Settles a message that the recipient refuses for good.
    pub(super) async fn refused(&mut self, item: &Item, reason: Reason) -> Result<(), Stop> {
        if reason.fate() == Fate::Later || item.queued.gap.is_some() {
            let detail = "the recipient's node cannot take it now";
            return Err(Stop::refuse(reason, detail));
        }
        // Whoever seals it again asks for what is current.
        if matches!(reason, Reason::Roster | Reason::Key | Reason::Bundle) {
            self.node.parties.forget(&self.line.counterpart);
        }
        let message = &item.message;
        let event = Event::Refused(wire::Refused {
            message_id: item.queued.message.as_bytes().to_vec(),
            sender_agency: self.line.agency.to_string(),
            recipient_agency: self.line.counterpart.to_string(),
            reason: reason.code().to_owned(),
            header_digest: message.header_digest.as_bytes().to_vec(),
            body_digest: message.body_digest.as_bytes().to_vec(),
            by: BY_RECIPIENT.to_owned(),
            lane: message.lane.code().to_owned(),
            number: message.number,
        });
        self.settle(item, event, Outcome::Refused(reason), None)
            .await
    }

    /// Waits until every outcome is durable.
    pub(super) async fn finish(self) -> Settled {
        let mut settled = Settled {
            count: 0,
            whole: self.whole,
            stop: None,
        };
        for queued in self.waiting {
            match queued.committed().await {
                Ok(_) => settled.count = settled.count.saturating_add(1),
                Err(abort) => {
                    settled.whole = false;
                    settled.stop.get_or_insert(Stop::from(abort));
                }
            }
        }
        settled
    }

    async fn verify(&mut self, evidence: &wire::Evidence) -> Result<Proved, Stop> {
        let last = self.seen.as_ref().map(|s| s.last);
        match Proved::verify(evidence, self.recipient, last, self.node.now()) {
            Ok(proved) => {
                self.seen = Some(record::Seen::after(self.seen.take(), &proved));
                Ok(proved)
            }
            Err(error) => {
                let (agency, before) = (&self.line.agency, self.seen.as_ref());
                contradiction::keep(self.node, agency, self.recipient, before, evidence, &error)
                    .await;
                Err(distrust(&error))
            }
        }
    }

    /// Queues the commit that logs the outcome and changes the place in the queue.
    async fn settle(
        &mut self,
        item: &Item,
        event: Event,
        outcome: Outcome,
        evidence: Option<wire::Evidence>,
    ) -> Result<(), Stop> {
        // A gap notice takes the place of what was refused or expired.
        self.whole &= matches!(outcome, Outcome::Delivered | Outcome::Gap);
        let line = self.line.clone();
        let (id, number) = (item.queued.message, item.message.number);
        let header = Header::decode(&item.message.header).map_err(|_| Stop::Failed)?;
        let (opens, case) = (header.kind.opens_case(), header.case_id);
        let (before, seen) = (self.before.clone(), self.seen.clone());
        let commit = move |tx: &mut Tx<'_>| {
            see(tx, &line, before.as_ref(), seen.as_ref())?;
            let position = tx.append(event)?;
            settle_message(tx, &line, (&id, number), outcome, position, evidence)?;
            if outcome == Outcome::Delivered && opens {
                receipt_case(tx, &line.agency, &case)?;
            }
            tracing::info!(agency = %line.agency, counterpart = %line.counterpart, message = %id, ?outcome, "settled");
            Ok(())
        };
        let queued = self.node.sequencer.queue(&self.line.agency, commit).await;
        let queued = queued.map_err(|error| Stop::from(Abort::Failed(error)))?;
        self.waiting.push(queued);
        Ok(())
    }
}

/// How a place in the queue ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Delivered,
    Expired,
    Refused(Reason),
    /// The recipient knows that the number will not come.
    Gap,
}

impl Outcome {
    /// The entry that a verified receipt leads to.
    fn event(self, item: &Item, proved: &Proved) -> Event {
        let checkpoint = proved.checkpoint();
        let message_id = item.queued.message.as_bytes().to_vec();
        let recipient_root = checkpoint.root.as_bytes().to_vec();
        let receipt_entry = proved.digest().as_bytes().to_vec();
        match self {
            Self::Gap => Event::GapDelivered(wire::GapDelivered {
                message_id,
                recipient_index: proved.index(),
                recipient_size: checkpoint.size,
                recipient_root,
                receipt_entry,
            }),
            // The tombstone, as it is.
            Self::Expired => proved.entry().event.clone(),
            Self::Delivered | Self::Refused(_) => Event::Delivered(wire::Delivered {
                message_id,
                recipient_index: proved.index(),
                recipient_size: checkpoint.size,
                recipient_root,
                receipt_entry,
            }),
        }
    }
}

/// A receipt that does not verify settles nothing: the message stays queued.
fn distrust(error: &EvidenceError) -> Stop {
    tracing::warn!(%error, "the recipient's evidence does not verify");
    Stop::refuse(Reason::Unavailable, error)
}

/// Stores what was last seen of the recipient's log, if nobody else has stored something else since.
fn see(
    tx: &mut Tx<'_>,
    line: &Line,
    before: Option<&record::Seen>,
    seen: Option<&record::Seen>,
) -> Result<(), Abort<Stop>> {
    let key = record::seen(&line.agency, &line.counterpart);
    let stored = tx.get(&key)?;
    let now = stored.as_deref().map(record::Seen::decode).transpose()?;
    if now.as_ref() == seen {
        return Ok(());
    }
    match seen {
        Some(seen) if now.as_ref() == before => Ok(tx.put(key, seen.encode())?),
        _ => {
            let detail = "last seen changed meanwhile";
            Err(Abort::Rejected(Stop::refuse(Reason::Busy, detail)))
        }
    }
}

fn state(tx: &mut Tx<'_>, agency: &AgencyId, id: &MessageId) -> Result<record::State, Abort<Stop>> {
    let bytes = tx
        .get(&record::state(agency, id))?
        .ok_or_else(|| Abort::Rejected(Stop::Failed))?;
    Ok(record::State::decode(&bytes)?)
}

/// Changes the message and its place in the queue. `position` is that of the outcome's entry.
fn settle_message(
    tx: &mut Tx<'_>,
    line: &Line,
    (id, number): (&MessageId, u64),
    outcome: Outcome,
    position: u64,
    evidence: Option<wire::Evidence>,
) -> Result<(), Abort<Stop>> {
    let Line {
        agency,
        counterpart,
        lane,
    } = line;
    let place = record::outbox_item(agency, counterpart, *lane, number);
    let mut state = state(tx, agency, id)?;
    state.outcome = match outcome {
        Outcome::Delivered => wire::Outcome::Delivered,
        Outcome::Expired => wire::Outcome::Expired,
        Outcome::Refused(reason) => {
            reason.code().clone_into(&mut state.reason);
            wire::Outcome::Refused
        }
        Outcome::Gap => return Ok(tx.delete(place)?),
    };
    tx.put(record::state(agency, id), state.encode())?;
    if let Some(evidence) = evidence {
        tx.put(record::evidence(agency, id), evidence.encode_to_vec())?;
    }
    if outcome == Outcome::Delivered {
        return Ok(tx.delete(place)?);
    }
    let notice = record::Queued {
        message: *id,
        gap: Some(position),
    };
    Ok(tx.put(place, notice.encode())?)
}

/// The receipt of a referral moves its case on.
fn receipt_case(tx: &mut Tx<'_>, agency: &AgencyId, case: &CaseId) -> Result<(), Abort<Stop>> {
    let key = record::case(agency, case);
    let Some(bytes) = tx.get(&key)? else {
        return Ok(());
    };
    let moved = record::decode_case(&bytes)?
        .step(&case::Event::ReferralReceipted)
        .map_err(|e| Abort::Rejected(Stop::refuse(Reason::Case, e)))?;
    Ok(tx.put(key, record::encode_case(&moved))?)
}

/// Past its expiry without an answer: said once, and asked for until it is resolved.
pub(super) async fn unconfirmed(node: &Node, line: &Line, id: MessageId) -> Result<(), Stop> {
    let Line {
        agency,
        counterpart,
        ..
    } = line.clone();
    let commit = move |tx: &mut Tx<'_>| -> Result<(), Abort<Stop>> {
        let mut state = state(tx, &agency, &id)?;
        tx.append(Event::Unconfirmed(wire::Unconfirmed {
            message_id: id.as_bytes().to_vec(),
            recipient_agency: counterpart.to_string(),
        }))?;
        state.outcome = wire::Outcome::Unconfirmed;
        Ok(tx.put(record::state(&agency, &id), state.encode())?)
    };
    node.sequencer.run(&line.agency, commit).await?;
    tracing::warn!(agency = %line.agency, counterpart = %line.counterpart, message = %id, "unconfirmed");
    Ok(())
}
