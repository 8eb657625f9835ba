//! The relay: offers queued messages to their recipients' nodes, in order per pair of agencies and lane.
//!
//! One task a pair and lane, so that a dead peer delays nobody else and danger waits for nothing. A
//! request holds the first messages of a queue. A message leaves the queue only when its outcome is in
//! the log: delivered (the receipt has verified), or refused or expired (the recipient's tombstone has
//! verified): then a gap notice has its place, until the recipient knows that the number will not come.
//! Past its expiry without an answer a message is logged as unconfirmed, and asked for until it is
//! resolved.

mod settle;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_lc_rs::rand;
use tokio::sync::Notify;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;
use waypost_proto::directory::{AgencyRecord, NodeRecord};
use waypost_proto::entry::Entry;
use waypost_proto::header::Header;
use waypost_proto::id::AgencyId;
use waypost_proto::lane::Lane;
use waypost_proto::reason::Reason;
use waypost_proto::tlog_proof::TlogProof;
use waypost_proto::wire::{self, log_entry::Event};

use self::settle::{Settled, Settling};
use crate::host::{Node, Stop};
use crate::limit;
use crate::record;

/// The messages of one agency to another in one lane.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Line {
    agency: AgencyId,
    counterpart: AgencyId,
    lane: Lane,
}

/// Tells the relay that something was queued.
#[derive(Debug, Default)]
pub struct Wake {
    lines: Mutex<BTreeSet<Line>>,
    notify: Notify,
}

impl Wake {
    /// Something was queued from `agency` to `counterpart`.
    pub fn queue(&self, agency: &AgencyId, counterpart: &AgencyId, lane: Lane) {
        self.line(Line {
            agency: agency.clone(),
            counterpart: counterpart.clone(),
            lane,
        });
    }

    fn line(&self, line: Line) {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.insert(line);
        self.notify.notify_one();
    }

    async fn next(&self) -> BTreeSet<Line> {
        loop {
            let lines =
                std::mem::take(&mut *self.lines.lock().unwrap_or_else(PoisonError::into_inner));
            if !lines.is_empty() {
                return lines;
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
    for line in waiting(&node)? {
        node.wake.line(line);
    }
    let mut tasks = JoinSet::new();
    let mut running: BTreeMap<Line, Arc<Notify>> = BTreeMap::new();
    loop {
        let lines = tokio::select! {
            () = stop.cancelled() => break,
            lines = node.wake.next() => lines,
            // A queue runs until it is told to stop: one that ended has failed.
            Some(_) = tasks.join_next() => {
                tracing::error!("a queue ended by itself");
                return Err(Stop::Failed);
            }
        };
        for line in lines {
            let notify = running.entry(line.clone()).or_insert_with(|| {
                let notify = Arc::new(Notify::new());
                let queue = Queue {
                    node: Arc::clone(&node),
                    line,
                    notify: Arc::clone(&notify),
                    under_way: VecDeque::new(),
                    offered: 0,
                    seen_by_peer: 0,
                    corrections: 0,
                };
                tasks.spawn(queue.run(stop.clone()));
                notify
            });
            notify.notify_one();
        }
    }
    while tasks.join_next().await.is_some() {}
    Ok(())
}

/// The lines that hold something, found by stepping from one to the next.
fn waiting(node: &Node) -> Result<BTreeSet<Line>, Stop> {
    let mut lines = BTreeSet::new();
    for agency in node.agencies() {
        let mut next = Some(record::outboxes(&agency.id));
        while let Some(range) = next {
            let page = node.store.scan(&range, 1)?;
            let found = page.rows.first();
            let found = found.and_then(|(key, _)| record::outbox_queue(key));
            next = found.map(|(counterpart, lane)| {
                let after = record::after_outbox(&agency.id, &counterpart, lane);
                lines.insert(Line {
                    agency: agency.id.clone(),
                    counterpart,
                    lane,
                });
                record::outboxes(&agency.id).from(after)
            });
        }
    }
    Ok(lines)
}

/// The queue of one line.
struct Queue {
    node: Arc<Node>,
    line: Line,
    notify: Arc<Notify>,
    /// Requests that were sent, in the order of their numbers.
    under_way: VecDeque<Flight>,
    /// The last number that they hold.
    offered: u64,
    /// The size of our log that the recipient will have seen after them, as far as we know: it corrects
    /// us.
    seen_by_peer: u64,
    /// How often it has corrected us since something was settled.
    corrections: u32,
}

/// A request that was sent.
struct Flight {
    items: Vec<Item>,
    /// Our own entries, as it proves them.
    entries: Vec<Event>,
    recipient: AgencyRecord,
    peer: NodeRecord,
    /// Size of the recipient's log that its answers are proved from.
    from: u64,
    answers: JoinHandle<Result<Vec<Answer>, Stop>>,
}

enum Step {
    /// Some outcome is in the log.
    Settled,
    /// Nothing waits.
    Empty,
    /// Try again after a pause.
    Again(Reason),
}

impl Queue {
    async fn run(mut self, stop: CancellationToken) {
        let mut failures: u32 = 0;
        loop {
            let reason = match self.step().await {
                Ok(Step::Settled) => {
                    failures = 0;
                    continue;
                }
                Ok(Step::Empty) => {
                    failures = 0;
                    None
                }
                Ok(Step::Again(reason)) => Some(reason),
                Err(stop) => Some(stop.reason()),
            };
            let Line {
                agency,
                counterpart,
                lane,
            } = &self.line;
            let woken = async {
                let Some(reason) = reason else {
                    return self.notify.notified().await;
                };
                failures = failures.saturating_add(1);
                tracing::info!(%agency, %counterpart, %lane, %reason, failures, "will try again");
                let pause = tokio::time::sleep(backoff(*lane, failures));
                match lane {
                    // Danger waits for nothing.
                    Lane::Danger => tokio::select! {
                        () = pause => {}
                        () = self.notify.notified() => {}
                    },
                    // A new message does not cut a dead peer's pause short.
                    Lane::Ordinary => pause.await,
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = woken => {}
            }
        }
    }

    async fn step(&mut self) -> Result<Step, Stop> {
        if let Err(stop) = self.fill() {
            self.under_way.clear();
            return self.wait(stop.reason()).await;
        }
        let room = self.under_way.len() < limit::REQUESTS;
        let Some(first) = self.under_way.front_mut() else {
            return Ok(Step::Empty);
        };
        let answers = tokio::select! {
            answers = &mut first.answers => answers,
            () = self.notify.notified(), if room => return Ok(Step::Settled),
        };
        let Some(flight) = self.under_way.pop_front() else {
            return Ok(Step::Empty);
        };
        let answers = answers.unwrap_or_else(|error| {
            tracing::error!(%error, "a request ended early");
            Err(Stop::Failed)
        });
        let settled = match answers {
            Ok(answers) => self.settle(&flight, answers).await,
            Err(stop) => Err(stop),
        };
        match settled {
            Ok(Settled { whole: true, .. }) => {
                self.corrections = 0;
                Ok(Step::Settled)
            }
            // What stays comes first again, so what was sent after it is sent again.
            Ok(Settled { count, stop, .. }) => {
                self.start_over();
                match stop {
                    Some(stop @ Stop::LastSeen { .. }) => self.again(stop).await,
                    Some(stop) if count == 0 => self.again(stop).await,
                    _ => Ok(Step::Settled),
                }
            }
            // Only the recipient's own word ends a message; what fails here is tried again.
            Err(stop) => {
                self.start_over();
                self.again(stop).await
            }
        }
    }

    fn start_over(&mut self) {
        for flight in self.under_way.drain(..) {
            flight.answers.abort();
        }
        self.offered = 0;
    }

    async fn again(&mut self, stop: Stop) -> Result<Step, Stop> {
        // The recipient has seen another size than we thought: it says so, and we prove from there.
        if let Stop::LastSeen { size } = stop {
            self.seen_by_peer = size;
            self.corrections = self.corrections.saturating_add(1);
            if self.corrections < limit::OFFER_ATTEMPTS {
                return Ok(Step::Settled);
            }
            self.corrections = 0;
        }
        self.wait(stop.reason()).await
    }

    /// Sends what waits, as long as there is room.
    fn fill(&mut self) -> Result<(), Stop> {
        while self.under_way.len() < limit::REQUESTS {
            if self.under_way.is_empty() {
                self.offered = 0;
            }
            let items = self.next()?;
            let Some(last) = items.last() else {
                return Ok(());
            };
            self.offered = last.message.number;
            let flight = self.send(items)?;
            self.under_way.push_back(flight);
        }
        Ok(())
    }

    /// What the next request holds: the first places of the queue after those that were offered.
    fn next(&self) -> Result<Vec<Item>, Stop> {
        let Line {
            agency,
            counterpart,
            lane,
        } = &self.line;
        let first = self.offered.saturating_add(1);
        let range = record::outbox(agency, counterpart, *lane);
        let range = range.from(record::outbox_item(agency, counterpart, *lane, first));
        let page = self.node.store.scan(&range, limit::OFFERS)?;
        let mut items = Vec::new();
        let mut bytes = 0_usize;
        for (_, value) in &page.rows {
            let queued = record::Queued::decode(value)?;
            let Some(message) = self.node.message(agency, &queued.message)? else {
                tracing::error!(message = %queued.message, "a queued message is missing");
                return Err(Stop::Failed);
            };
            bytes = bytes.saturating_add(usize::try_from(message.body_bytes).unwrap_or(usize::MAX));
            items.push(Item { queued, message });
            if bytes >= limit::OFFER_BYTES {
                break;
            }
        }
        Ok(items)
    }

    /// Tries again later. Of every message of the queue that is past its expiry, that is said once.
    async fn wait(&self, reason: Reason) -> Result<Step, Stop> {
        let Line {
            agency,
            counterpart,
            lane,
        } = &self.line;
        let mut next = Some(record::outbox(agency, counterpart, *lane));
        while let Some(range) = next {
            let page = self.node.store.scan(&range, limit::SCAN_ROWS)?;
            for (_, value) in &page.rows {
                let id = record::Queued::decode(value)?.message;
                let Some(message) = self.node.message(agency, &id)? else {
                    continue;
                };
                let header = Header::decode(&message.header).map_err(|_| Stop::Failed)?;
                if self.node.now() < header.expires {
                    continue;
                }
                let state = self.node.state(agency, &id)?;
                if state.is_some_and(|state| state.outcome == wire::Outcome::Queued) {
                    settle::unconfirmed(&self.node, &self.line, id).await?;
                }
            }
            next = page.next;
        }
        Ok(Step::Again(reason))
    }

    /// Settles what the answers prove.
    async fn settle(&mut self, flight: &Flight, mut answers: Vec<Answer>) -> Result<Settled, Stop> {
        if answers.len() != flight.items.len() {
            let detail = "the answers are not as many as the offers";
            return Err(Stop::refuse(Reason::Unavailable, detail));
        }
        let node = Arc::clone(&self.node);
        let before = node.seen(&self.line.agency, &self.line.counterpart)?;
        let seen = before.as_ref().map_or(0, |s| s.last.size);
        let first = answers.iter_mut().find_map(|answer| match answer {
            Answer::Evidence(evidence) => Some(evidence),
            _ => None,
        });
        if let Some(evidence) = first
            && seen != flight.from
        {
            // More was seen of the recipient's log since the request was sent.
            node.prove_from(seen, evidence, &flight.recipient, &flight.peer)
                .await?;
        }
        let mut settling = Settling::new(&node, &self.line, &flight.recipient, before);
        let mut later = None;
        for ((item, entry), answer) in flight.items.iter().zip(&flight.entries).zip(answers) {
            let settled = match answer {
                Answer::Evidence(evidence) => settling.proved(item, entry, evidence).await,
                Answer::Refused(reason) => settling.refused(item, reason).await,
                Answer::LastSeen(size) => Err(Stop::LastSeen { size }),
            };
            if let Err(stop) = settled {
                later.get_or_insert(stop);
            }
        }
        let mut settled = settling.finish().await;
        settled.whole &= later.is_none();
        settled.stop = later.or(settled.stop);
        Ok(settled)
    }

    /// Sends one request.
    fn send(&mut self, items: Vec<Item>) -> Result<Flight, Stop> {
        let Line {
            agency,
            counterpart,
            ..
        } = &self.line;
        let node = Arc::clone(&self.node);
        let directory = node.directory();
        let unknown = || Stop::refuse(Reason::UnknownAgency, "not in the directory");
        let recipient = directory.agency(counterpart).ok_or_else(unknown)?;
        let peer = directory.node(&recipient.node).ok_or_else(unknown)?;
        let from = node
            .seen(agency, counterpart)?
            .map_or(0, |seen| seen.last.size);
        let positions = items.iter().map(Item::position);
        let (size, evidences) = node.evidences(agency, positions, self.seen_by_peer)?;
        let mut offers = Vec::new();
        let mut entries = Vec::new();
        for (item, evidence) in items.iter().zip(evidences) {
            let entry = Entry::decode(&evidence.entry).map_err(|_| Stop::Failed)?;
            entries.push(entry.event);
            let envelope = match item.queued.gap {
                Some(_) => None,
                None => Some(wire::Envelope {
                    header: item.message.header.clone(),
                    body: node.open_body(agency, &item.queued.message)?,
                    signature: node.signature(agency, &item.queued.message)?,
                }),
            };
            offers.push(wire::Offer {
                envelope,
                evidence: Some(evidence),
            });
        }
        self.seen_by_peer = size;
        let request = wire::DeliverRequest {
            offers,
            recipient_log_seen: from,
        };
        let (recipient, peer) = (recipient.clone(), peer.clone());
        let to = peer.clone();
        let answers = tokio::spawn(async move { node.deliver_to(&to, request).await });
        Ok(Flight {
            items,
            entries,
            recipient,
            peer,
            from,
            answers,
        })
    }
}

/// A place of the queue, with the message that has it.
pub(super) struct Item {
    queued: record::Queued,
    message: record::Message,
}

impl Item {
    /// Index of the entry that is offered.
    fn position(&self) -> u64 {
        self.queued.gap.unwrap_or(self.message.position)
    }
}

/// What the recipient's node answers to an offer.
#[derive(Debug)]
enum Answer {
    /// Its evidence, not yet verified.
    Evidence(wire::Evidence),
    /// A refusal.
    Refused(Reason),
    /// It has seen another size of our log than we proved from.
    LastSeen(u64),
}

impl Answer {
    fn of(answer: wire::OfferAnswer) -> Self {
        match answer.result {
            Some(wire::offer_answer::Result::Receipt(evidence)) => Self::Evidence(evidence),
            Some(wire::offer_answer::Result::Refusal(refusal)) => match refusal.reason.parse() {
                Ok(Reason::LastSeenDiffers) => Self::LastSeen(refusal.last_seen),
                Ok(reason) => Self::Refused(reason),
                // A reason that this software does not know ends nothing.
                Err(_) => Self::Refused(Reason::Unavailable),
            },
            None => Self::Refused(Reason::Unavailable),
        }
    }
}

/// A pause that doubles with each failure, up to a bound, less up to half at random.
fn backoff(lane: Lane, failures: u32) -> Duration {
    let doubled =
        limit::BACKOFF_FIRST_MS.saturating_mul(1_u64 << failures.saturating_sub(1).min(20));
    let most = doubled.min(longest(lane));
    let mut random = [0; 8];
    // Without random bytes the pause is only less even.
    let _ = rand::fill(&mut random);
    let less = u64::from_be_bytes(random) % (most / 2).max(1);
    Duration::from_millis(most - less)
}

const fn longest(lane: Lane) -> u64 {
    match lane {
        Lane::Danger => limit::BACKOFF_DANGER_MS,
        Lane::Ordinary => limit::BACKOFF_MOST_MS,
    }
}

impl Node {
    /// Asks the peer to prove the checkpoint of `evidence` from the size `seen` of its log. What it
    /// answers is verified with the evidence.
    async fn prove_from(
        &self,
        seen: u64,
        evidence: &mut wire::Evidence,
        recipient: &AgencyRecord,
        peer: &NodeRecord,
    ) -> Result<(), Stop> {
        let unproved = || {
            Stop::refuse(
                Reason::Unavailable,
                "the recipient's evidence does not parse",
            )
        };
        let proof = TlogProof::parse(&evidence.proof).map_err(|_| unproved())?;
        let size = proof.claimed_size().ok_or_else(unproved)?;
        evidence.consistency_from = seen;
        evidence.consistency = Vec::new();
        if seen != 0 && size != seen {
            let request = wire::ConsistencyRequest {
                agency: recipient.id.to_string(),
                from: seen.min(size),
                to: seen.max(size),
            };
            let reply = self.parties.client(peer)?.consistency(request).await;
            evidence.consistency = reply.map_err(|_| unproved())?.into_inner().path;
        }
        Ok(())
    }

    /// Makes a peer offers and gives its answers.
    async fn deliver_to(
        &self,
        peer: &NodeRecord,
        request: wire::DeliverRequest,
    ) -> Result<Vec<Answer>, Stop> {
        let mut client = self.parties.client(peer)?;
        let reply = client.deliver(request).await.map_err(|status| {
            tracing::debug!(peer = %peer.id, code = ?status.code(), "no answer");
            Stop::refuse(Reason::Unavailable, "the recipient's node did not answer")
        })?;
        let answers = reply.into_inner().answers;
        Ok(answers.into_iter().map(Answer::of).collect())
    }
}

#[cfg(test)]
mod tests {
    use waypost_proto::reason::Fate;

    use super::*;

    #[test]
    fn the_pause_grows_and_stays_within_its_bound() {
        for lane in Lane::ALL {
            for failures in 1..40 {
                let pause = backoff(*lane, failures).as_millis();
                assert!(pause <= u128::from(longest(*lane)));
                assert!(pause >= u128::from(limit::BACKOFF_FIRST_MS / 2));
            }
            assert!(backoff(*lane, 30).as_millis() >= u128::from(longest(*lane) / 2));
        }
        assert!(longest(Lane::Danger) < longest(Lane::Ordinary));
    }

    #[test]
    fn an_unknown_reason_of_a_peer_ends_nothing() {
        let refusal = wire::Refusal {
            reason: "because".into(),
            ..Default::default()
        };
        let answer = wire::OfferAnswer {
            result: Some(wire::offer_answer::Result::Refusal(refusal)),
        };
        for answer in [answer, wire::OfferAnswer::default()] {
            let Answer::Refused(reason) = Answer::of(answer) else {
                panic!("not a refusal");
            };
            assert_eq!(reason.fate(), Fate::Later);
        }
    }
}
