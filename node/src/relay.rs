//! The relay: offers queued messages to their recipients' nodes, in order per pair of agencies.
//!
//! One task a pair, so that a dead peer delays nobody else. A message leaves the queue only when its
//! outcome is in the log: delivered (the receipt has verified), expired (the recipient's tombstone has
//! verified) or refused. Past its expiry without an answer it is logged as unconfirmed, and asked for
//! until it is resolved.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_lc_rs::rand;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use waypost_proto::case;
use waypost_proto::entry::Entry;
use waypost_proto::evidence::{EvidenceError, Proved, Receipt};
use waypost_proto::header::Header;
use waypost_proto::id::{AgencyId, MessageId};
use waypost_proto::reason::{Fate, Reason};
use waypost_proto::wire::{self, log_entry::Event};

use crate::accept::LANE;
use crate::contradiction;
use crate::host::{Node, Stop};
use crate::limit;
use crate::record;
use crate::sequencer::Abort;

type Pair = (AgencyId, AgencyId);

/// Tells the relay that something was queued.
#[derive(Debug, Default)]
pub struct Wake {
    pairs: Mutex<BTreeSet<Pair>>,
    notify: Notify,
}

impl Wake {
    /// Something was queued from `agency` to `counterpart`.
    pub fn pair(&self, agency: &AgencyId, counterpart: &AgencyId) {
        let mut pairs = self.pairs.lock().unwrap_or_else(PoisonError::into_inner);
        pairs.insert((agency.clone(), counterpart.clone()));
        self.notify.notify_one();
    }

    async fn next(&self) -> BTreeSet<Pair> {
        loop {
            let pairs =
                std::mem::take(&mut *self.pairs.lock().unwrap_or_else(PoisonError::into_inner));
            if !pairs.is_empty() {
                return pairs;
            }
            self.notify.notified().await;
        }
    }
}

/// Runs until `stop`: delivers what is queued, and what will be.
///
/// # Errors
/// When the queues cannot be read at the start.
pub async fn run(node: Arc<Node>, stop: CancellationToken) -> Result<(), Stop> {
    for pair in waiting(&node)? {
        node.wake.pair(&pair.0, &pair.1);
    }
    let mut tasks = JoinSet::new();
    let mut running: BTreeMap<Pair, Arc<Notify>> = BTreeMap::new();
    loop {
        let pairs = tokio::select! {
            () = stop.cancelled() => break,
            pairs = node.wake.next() => pairs,
            // A queue runs until it is told to stop: one that ended has failed.
            Some(_) = tasks.join_next() => {
                tracing::error!("a queue ended by itself");
                return Err(Stop::Failed);
            }
        };
        for pair in pairs {
            let notify = running.entry(pair.clone()).or_insert_with(|| {
                let notify = Arc::new(Notify::new());
                let lane = Lane {
                    node: Arc::clone(&node),
                    pair,
                    notify: Arc::clone(&notify),
                    seen_by_peer: 0,
                };
                tasks.spawn(lane.run(stop.clone()));
                notify
            });
            notify.notify_one();
        }
    }
    while tasks.join_next().await.is_some() {}
    Ok(())
}

fn waiting(node: &Node) -> Result<BTreeSet<Pair>, Stop> {
    let mut pairs = BTreeSet::new();
    for agency in node.agencies() {
        let mut next = Some(record::outboxes(&agency.id));
        while let Some(range) = next {
            let page = node.store.scan(&range, limit::SCAN_ROWS)?;
            let counterparts = page
                .rows
                .iter()
                .filter_map(|(key, _)| record::outbox_counterpart(key));
            pairs.extend(counterparts.map(|c| (agency.id.clone(), c)));
            next = page.next;
        }
    }
    Ok(pairs)
}

/// The queue of one pair.
struct Lane {
    node: Arc<Node>,
    pair: Pair,
    notify: Arc<Notify>,
    /// The size of our log that the recipient last saw, as far as we know: it corrects us.
    seen_by_peer: u64,
}

/// How an offer ended.
enum Offered {
    /// The outcome is in the log.
    Settled,
    /// The recipient's node refused it.
    Refused(Reason),
}

/// What the recipient's node answers to an offer.
enum Answer {
    /// Its evidence, not yet verified.
    Evidence(wire::Evidence),
    /// A refusal.
    Refused(Reason),
}

enum Step {
    /// The first message's outcome is in the log.
    Settled,
    /// Nothing waits.
    Empty,
    /// Try again after a pause.
    Again(Reason),
}

impl Lane {
    async fn run(mut self, stop: CancellationToken) {
        let mut failures: u32 = 0;
        loop {
            let pause = match self.step().await {
                Ok(Step::Settled) => {
                    failures = 0;
                    continue;
                }
                Ok(Step::Empty) => {
                    failures = 0;
                    None
                }
                Ok(Step::Again(reason)) => {
                    failures = failures.saturating_add(1);
                    tracing::info!(agency = %self.pair.0, counterpart = %self.pair.1, %reason, failures, "will try again");
                    Some(backoff(failures))
                }
                Err(stop) => {
                    failures = failures.saturating_add(1);
                    tracing::warn!(agency = %self.pair.0, counterpart = %self.pair.1, reason = %stop.reason(), failures, "delivery failed");
                    Some(backoff(failures))
                }
            };
            let woken = async {
                match pause {
                    // A new message does not cut a dead peer's pause short.
                    Some(pause) => tokio::time::sleep(pause).await,
                    None => self.notify.notified().await,
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = woken => {}
            }
        }
    }

    async fn step(&mut self) -> Result<Step, Stop> {
        let (agency, counterpart) = &self.pair;
        let first = self
            .node
            .store
            .scan(&record::outbox(agency, counterpart, LANE), 1)?;
        let Some((_, id)) = first.rows.first() else {
            return Ok(Step::Empty);
        };
        let id = record::decode_message_id(id)?;
        let Some(message) = self.node.message(agency, &id)? else {
            tracing::error!(message = %id, "a queued message is missing");
            return Err(Stop::Failed);
        };
        match self.offer(&id, &message).await {
            Ok(Offered::Settled) => Ok(Step::Settled),
            // Only the recipient's own word ends a message; what fails here is tried again.
            Ok(Offered::Refused(reason)) if reason.fate() == Fate::Final => {
                self.refused(&id, reason).await?;
                Ok(Step::Settled)
            }
            Ok(Offered::Refused(reason)) => self.wait(reason).await,
            Err(stop) => self.wait(stop.reason()).await,
        }
    }

    /// Tries again later. Of every message of the queue that is past its expiry, that is said once.
    async fn wait(&self, reason: Reason) -> Result<Step, Stop> {
        let (agency, counterpart) = &self.pair;
        let mut next = Some(record::outbox(agency, counterpart, LANE));
        while let Some(range) = next {
            let page = self.node.store.scan(&range, limit::SCAN_ROWS)?;
            for (_, id) in &page.rows {
                let id = record::decode_message_id(id)?;
                let Some(message) = self.node.message(agency, &id)? else {
                    continue;
                };
                let header = Header::decode(&message.header).map_err(|_| Stop::Failed)?;
                if self.node.now() >= header.expires && message.outcome == wire::Outcome::Queued {
                    self.unconfirmed(&id).await?;
                }
            }
            next = page.next;
        }
        Ok(Step::Again(reason))
    }

    /// Offers one message, and settles it by the recipient's evidence.
    async fn offer(&mut self, id: &MessageId, message: &record::Message) -> Result<Offered, Stop> {
        // The recipient may have seen another size than we think: it says so, and we prove from there.
        for _ in 0..limit::OFFER_ATTEMPTS {
            match self.offer_from(id, message, self.seen_by_peer).await {
                Err(Stop::LastSeen { size }) if size != self.seen_by_peer => {
                    self.seen_by_peer = size;
                }
                other => return other,
            }
        }
        Err(Stop::LastSeen {
            size: self.seen_by_peer,
        })
    }

    async fn offer_from(
        &mut self,
        id: &MessageId,
        message: &record::Message,
        from: u64,
    ) -> Result<Offered, Stop> {
        let (agency, counterpart) = self.pair.clone();
        let node = Arc::clone(&self.node);
        let directory = node.directory();
        let unknown = || Stop::refuse(Reason::UnknownAgency, "not in the directory");
        let record = directory.agency(&counterpart).ok_or_else(unknown)?;
        let peer = directory.node(&record.node).ok_or_else(unknown)?;
        let before = node.seen(&agency, &counterpart)?;
        let body = node.open_body(&agency, id)?;
        let evidence = node.evidence(&agency, message.position, from)?;
        let submitted = submitted(&evidence)?;
        let request = wire::DeliverRequest {
            envelope: Some(wire::Envelope {
                header: message.header.clone(),
                body,
                signature: message.signature.clone(),
            }),
            recipient_log_seen: before.as_ref().map_or(0, |s| s.last.size),
            evidence: Some(evidence),
        };
        let reply = match node.deliver_to(peer, request).await? {
            Answer::Evidence(evidence) => evidence,
            Answer::Refused(reason) => return Ok(Offered::Refused(reason)),
        };
        let last = before.as_ref().map(|s| s.last);
        let proved = match Proved::verify(&reply, record, last, node.now()) {
            Ok(proved) => proved,
            Err(error) => {
                contradiction::keep(&node, &agency, record, before.as_ref(), &reply, &error).await;
                return Err(distrust(&error));
            }
        };
        let receipt = proved.receipt(&submitted).map_err(|e| distrust(&e))?;
        if let Event::Received(received) = &proved.entry().event {
            // What it has now seen of our log: the next offer proves from there.
            self.seen_by_peer = self.seen_by_peer.max(received.sender_size);
        }
        self.settle(*id, before, reply, proved, receipt).await?;
        Ok(Offered::Settled)
    }

    /// Logs the outcome and takes the message from the queue, in one commit.
    async fn settle(
        &mut self,
        id: MessageId,
        before: Option<record::Seen>,
        evidence: wire::Evidence,
        proved: Proved,
        receipt: Receipt,
    ) -> Result<(), Stop> {
        let (agency, counterpart) = self.pair.clone();
        let last = proved.last_seen(before.as_ref().map(|s| s.last));
        let checkpoint = match &before {
            Some(before) if before.last == last => before.checkpoint.clone(),
            _ => proved.signed_checkpoint().as_bytes().to_vec(),
        };
        let seen = record::Seen { last, checkpoint };
        let (event, outcome) = match receipt {
            Receipt::Accepted => (delivered(&id, &proved), wire::Outcome::Delivered),
            Receipt::Tombstone => (proved.entry().event.clone(), wire::Outcome::Expired),
        };
        self.node
            .sequencer
            .run(&self.pair.0, move |tx| {
                let key = record::seen(&agency, &counterpart);
                let now = tx.get(&key)?;
                let now = now
                    .as_deref()
                    .map(record::Seen::decode)
                    .transpose()
                    .map_err(|e| Abort::Rejected(Stop::from(e)))?;
                if now != before {
                    return Err(Abort::Rejected(Stop::refuse(
                        Reason::Busy,
                        "last seen changed meanwhile",
                    )));
                }
                tx.append(event)?;
                tx.put(key, seen.encode())?;
                settle_message(tx, &agency, &counterpart, &id, outcome, "", Some(evidence))?;
                if receipt == Receipt::Accepted {
                    receipt_case(tx, &agency, &id)?;
                }
                Ok(())
            })
            .await?;
        tracing::info!(agency = %self.pair.0, counterpart = %self.pair.1, message = %id, ?outcome, "settled");
        Ok(())
    }

    async fn refused(&self, id: &MessageId, reason: Reason) -> Result<(), Stop> {
        let (agency, counterpart) = self.pair.clone();
        let id = *id;
        self.node
            .sequencer
            .run(&self.pair.0, move |tx| {
                let stored = stored(tx, &agency, &id)?;
                tx.append(Event::Refused(wire::Refused {
                    message_id: id.as_bytes().to_vec(),
                    sender_agency: agency.to_string(),
                    recipient_agency: counterpart.to_string(),
                    reason: reason.code().to_owned(),
                    header_digest: stored.header_digest.as_bytes().to_vec(),
                    body_digest: stored.body_digest.as_bytes().to_vec(),
                    by: "recipient".to_owned(),
                }))?;
                settle_message(
                    tx,
                    &agency,
                    &counterpart,
                    &id,
                    wire::Outcome::Refused,
                    reason.code(),
                    None,
                )
            })
            .await?;
        tracing::warn!(agency = %self.pair.0, counterpart = %self.pair.1, message = %id, %reason, "refused by the recipient");
        Ok(())
    }

    /// Past its expiry without an answer: said once, and asked for until it is resolved.
    async fn unconfirmed(&self, id: &MessageId) -> Result<(), Stop> {
        let (agency, counterpart) = self.pair.clone();
        let id = *id;
        self.node
            .sequencer
            .run(&self.pair.0, move |tx| {
                let mut message = stored(tx, &agency, &id)?;
                tx.append(Event::Unconfirmed(wire::Unconfirmed {
                    message_id: id.as_bytes().to_vec(),
                    recipient_agency: counterpart.to_string(),
                }))?;
                message.outcome = wire::Outcome::Unconfirmed;
                tx.put(record::message(&agency, &id), message.encode())?;
                Ok(())
            })
            .await?;
        tracing::warn!(agency = %self.pair.0, counterpart = %self.pair.1, message = %id, "unconfirmed");
        Ok(())
    }
}

/// A receipt that does not verify settles nothing: the message stays queued.
fn distrust(error: &EvidenceError) -> Stop {
    tracing::warn!(%error, "the recipient's evidence does not verify");
    match error {
        EvidenceError::From { seen, .. } => Stop::LastSeen { size: *seen },
        _ => Stop::refuse(Reason::Unavailable, error),
    }
}

fn submitted(evidence: &wire::Evidence) -> Result<wire::Submitted, Stop> {
    match Entry::decode(&evidence.entry).map(|entry| entry.event) {
        Ok(Event::Submitted(submitted)) => Ok(submitted),
        _ => Err(Stop::Failed),
    }
}

fn delivered(id: &MessageId, proved: &Proved) -> Event {
    let checkpoint = proved.checkpoint();
    Event::Delivered(wire::Delivered {
        message_id: id.as_bytes().to_vec(),
        recipient_index: proved.index(),
        recipient_size: checkpoint.size,
        recipient_root: checkpoint.root.as_bytes().to_vec(),
        receipt_entry: proved.digest().as_bytes().to_vec(),
    })
}

type Tx<'a> = crate::sequencer::Tx<'a>;

fn stored(
    tx: &mut Tx<'_>,
    agency: &AgencyId,
    id: &MessageId,
) -> Result<record::Message, Abort<Stop>> {
    let bytes = tx
        .get(&record::message(agency, id))?
        .ok_or_else(|| Abort::Rejected(Stop::Failed))?;
    record::Message::decode(&bytes).map_err(|e| Abort::Rejected(Stop::from(e)))
}

fn settle_message(
    tx: &mut Tx<'_>,
    agency: &AgencyId,
    counterpart: &AgencyId,
    id: &MessageId,
    outcome: wire::Outcome,
    reason: &str,
    evidence: Option<wire::Evidence>,
) -> Result<(), Abort<Stop>> {
    let mut message = stored(tx, agency, id)?;
    let place = record::outbox_item(agency, counterpart, &message.lane, message.number);
    message.outcome = outcome;
    reason.clone_into(&mut message.reason);
    message.counterpart = evidence;
    tx.put(record::message(agency, id), message.encode())?;
    tx.delete(place)?;
    Ok(())
}

/// The receipt of a referral moves its case on.
fn receipt_case(tx: &mut Tx<'_>, agency: &AgencyId, id: &MessageId) -> Result<(), Abort<Stop>> {
    let message = stored(tx, agency, id)?;
    let header = Header::decode(&message.header).map_err(|_| Abort::Rejected(Stop::Failed))?;
    if !header.kind.opens_case() {
        return Ok(());
    }
    let key = record::case(agency, &header.case_id);
    let Some(bytes) = tx.get(&key)? else {
        return Ok(());
    };
    let case = record::decode_case(&bytes).map_err(|e| Abort::Rejected(Stop::from(e)))?;
    let moved = case
        .step(&case::Event::ReferralReceipted)
        .map_err(|e| Abort::Rejected(Stop::refuse(Reason::Case, e)))?;
    tx.put(key, record::encode_case(&moved))?;
    Ok(())
}

/// A pause that doubles with each failure, up to a bound, less up to half at random.
fn backoff(failures: u32) -> Duration {
    let doubled =
        limit::BACKOFF_FIRST_MS.saturating_mul(1_u64 << failures.saturating_sub(1).min(20));
    let most = doubled.min(limit::BACKOFF_MOST_MS);
    let mut random = [0; 8];
    // Without random bytes the pause is only less even.
    let _ = rand::fill(&mut random);
    let less = u64::from_be_bytes(random) % (most / 2).max(1);
    Duration::from_millis(most - less)
}

impl Node {
    /// Offers a message to a peer and gives its evidence.
    async fn deliver_to(
        &self,
        peer: &waypost_proto::directory::NodeRecord,
        request: wire::DeliverRequest,
    ) -> Result<Answer, Stop> {
        let mut client = self.parties.client(peer)?;
        let reply = client.deliver(request).await.map_err(|status| {
            tracing::debug!(peer = %peer.id, code = ?status.code(), "no answer");
            Stop::refuse(Reason::Unavailable, "the recipient's node did not answer")
        })?;
        match reply.into_inner().result {
            Some(wire::deliver_reply::Result::Receipt(evidence)) => Ok(Answer::Evidence(evidence)),
            Some(wire::deliver_reply::Result::Refusal(refusal)) => refused_by_peer(&refusal),
            None => Err(Stop::refuse(Reason::Unavailable, "an empty answer")),
        }
    }
}

fn refused_by_peer(refusal: &wire::Refusal) -> Result<Answer, Stop> {
    match refusal.reason.parse() {
        Ok(Reason::LastSeenDiffers) => Err(Stop::LastSeen {
            size: refusal.last_seen,
        }),
        Ok(reason) => Ok(Answer::Refused(reason)),
        // A reason that this software does not know ends nothing.
        Err(_) => Ok(Answer::Refused(Reason::Unavailable)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_grows_and_stays_within_its_bound() {
        for failures in 1..40 {
            let pause = backoff(failures).as_millis();
            assert!(pause <= u128::from(limit::BACKOFF_MOST_MS));
            assert!(pause >= u128::from(limit::BACKOFF_FIRST_MS / 2));
        }
        assert!(backoff(30).as_millis() >= u128::from(limit::BACKOFF_MOST_MS / 2));
    }

    #[test]
    fn an_unknown_reason_of_a_peer_ends_nothing() {
        let refusal = wire::Refusal {
            reason: "because".into(),
            ..Default::default()
        };
        let Ok(Answer::Refused(reason)) = refused_by_peer(&refusal) else {
            panic!("not a refusal");
        };
        assert_eq!(reason.fate(), Fate::Later);
    }
}
