//! Receiving: what a peer offers becomes durable before it is answered (proto/spec/peer.md).
//!
//! ```text
//! Received -> Authenticated -> Permitted -> Committed (log + inbox)
//! ```
//!
//! A request holds offers of one pair of agencies and lane. Signatures are checked side by side; log
//! evidence, policy and commit go in the order of the numbers, and mostly share one commit.
//!
//! INVARIANT (durable before answered): the receipts are made from the commits' results.

mod commit;
mod refusal;

use std::collections::BTreeMap;
use std::num::NonZero;
use std::sync::{Arc, Mutex, PoisonError};

use prost::Message as _;
use waypost_proto::directories::Directories;
use waypost_proto::directory::AgencyRecord;
use waypost_proto::entry::Entry;
use waypost_proto::envelope::{Authenticated, Received};
use waypost_proto::evidence::{EvidenceError, Gap, Proved};
use waypost_proto::id::{AgencyId, NodeId, Timestamp};
use waypost_proto::lane::Lane;
use waypost_proto::openpgp::Suite;
use waypost_proto::reason::Reason;
use waypost_proto::wire;

use self::commit::{Known, Origin, Place, digests, id_reused, known};
use self::refusal::Refusal;
use crate::accept::{self, Sides};
use crate::contradiction;
use crate::host::{Agency, Node, Stop};
use crate::limit;
use crate::parties::Cited;
use crate::record;
use crate::sequencer::{Abort, Queued, Tx};
use crate::store::Key;

/// Takes what the node `peer` offers, and answers each offer: with the `Received` entry, the `Expired`
/// tombstone or the `Gap` entry, or with the reason why nothing was kept but, for what was
/// authenticated, the entry of the refusal.
///
/// # Errors
/// [`Stop`]: too many offers, or none.
pub async fn deliver(
    node: &Arc<Node>,
    peer: &NodeId,
    request: wire::DeliverRequest,
) -> Result<Vec<Result<wire::Evidence, Stop>>, Stop> {
    if request.offers.is_empty() || request.offers.len() > limit::OFFERS {
        let stop = Stop::refuse(Reason::Malformed, "number of offers");
        return Err(unauthenticated(node, peer, stop));
    }
    let offers: Vec<_> = request.offers.into_iter().map(Offer::decode).collect();
    let first = offers.iter().flatten().next().map(Offer::pair);
    let batch = match first {
        Some((sender, recipient)) => Batch::of(node, peer, sender, recipient),
        None => Err(Stop::refuse(Reason::Malformed, "no offer")),
    };
    let batch = match batch {
        Ok(batch) => batch,
        Err(stop) => {
            let each = offers.into_iter().map(Result::err);
            let each =
                each.map(|own| Err(unauthenticated(node, peer, own.unwrap_or(stop.clone()))));
            return Ok(each.collect());
        }
    };
    // Requests that come while this one is being checked are committed after it.
    let turn = tokio::spawn(node.turns.of(batch.pair()).lock_owned());
    let mut checking = Vec::new();
    for offer in offers {
        checking.push(match offer {
            Ok(offer) if offer.pair() == batch.pair() => batch.check(node, offer).await,
            Ok(_) => {
                let stop = Stop::refuse(Reason::Malformed, "offers of several pairs");
                Err(unauthenticated(node, peer, stop))
            }
            Err(stop) => Err(unauthenticated(node, peer, stop)),
        });
    }
    let checked = batch.authenticate(node, checking).await;
    let _turn = turn.await;
    Ok(batch
        .commit(node, checked, request.recipient_log_seen)
        .await)
}

/// Whose turn it is to judge and commit offers of a pair: one request after the other, in the order in
/// which they came, whatever the checks of their signatures take.
#[derive(Debug, Default)]
pub struct Turns(Mutex<BTreeMap<(AgencyId, AgencyId), Turn>>);

type Turn = Arc<tokio::sync::Mutex<()>>;

impl Turns {
    fn of(&self, (sender, recipient): (&AgencyId, &AgencyId)) -> Turn {
        let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if turns.len() >= limit::PARTIES {
            // What nobody waits for.
            turns.retain(|_, turn| Arc::strong_count(turn) > 1);
        }
        let pair = (sender.clone(), recipient.clone());
        Arc::clone(turns.entry(pair).or_default())
    }
}

/// Counts what nobody vouched for.
fn unauthenticated(node: &Node, peer: &NodeId, stop: Stop) -> Stop {
    let now = node.now();
    node.refusals
        .count_unauthenticated(peer, stop.reason(), now);
    stop
}

/// One offer, well formed.
struct Offer {
    what: What,
    evidence: wire::Evidence,
}

enum What {
    Message(Box<Received>),
    /// As its entry says, not yet proved.
    Gap(Gap),
}

impl Offer {
    fn decode(offer: wire::Offer) -> Result<Self, Stop> {
        let malformed = |part: &'static str| Stop::refuse(Reason::Malformed, part);
        let evidence = offer.evidence.ok_or_else(|| malformed("no evidence"))?;
        // Stored with the message, in one value.
        if evidence.encoded_len() > limit::EVIDENCE_BYTES {
            return Err(malformed("evidence too long"));
        }
        let what = match offer.envelope {
            Some(envelope) => What::Message(Box::new(
                Received::decode(envelope).map_err(|e| Stop::refuse(e.reason(), e))?,
            )),
            None => {
                let entry = Entry::decode(&evidence.entry);
                let gap = entry.ok().and_then(|entry| Gap::of(&entry.event));
                What::Gap(gap.ok_or_else(|| malformed("neither envelope nor gap notice"))?)
            }
        };
        Ok(Self { what, evidence })
    }

    /// The agencies from which and to which it goes.
    fn pair(&self) -> (&AgencyId, &AgencyId) {
        match &self.what {
            What::Message(received) => {
                let header = received.header();
                (&header.sender.agency, &header.recipient.agency)
            }
            What::Gap(gap) => (&gap.sender, &gap.recipient),
        }
    }
}

/// An offer whose signature may have to be checked.
enum Check {
    /// Nothing to check: a message decided before, or a gap notice.
    Done(Checked),
    Message {
        received: Box<Received>,
        sides: Box<Sides>,
        evidence: wire::Evidence,
    },
}

impl Check {
    fn authenticated(self, suite: Suite, now: Timestamp) -> Result<Checked, Stop> {
        match self {
            Self::Done(checked) => Ok(checked),
            Self::Message {
                received,
                sides,
                evidence,
            } => {
                let (sender, recipient) = (&sides.sender, &sides.recipient);
                let message = accept::authenticate(*received, sender, recipient, suite, now)?;
                Ok(Checked::Message {
                    message: Box::new(message),
                    sides,
                    evidence,
                })
            }
        }
    }
}

/// An offer, with the signature checked if it has one.
enum Checked {
    Known {
        position: u64,
        evidence: wire::Evidence,
    },
    Message {
        message: Box<Authenticated>,
        sides: Box<Sides>,
        evidence: wire::Evidence,
    },
    Gap {
        evidence: wire::Evidence,
    },
}

/// Offers of one agency to one agency, by the node that the directory names for the first.
struct Batch {
    agency: Arc<Agency>,
    sender: AgencyRecord,
    directory: Arc<Directories>,
    suite: Suite,
    now: Timestamp,
}

impl Batch {
    fn of(
        node: &Node,
        peer: &NodeId,
        sender: &AgencyId,
        recipient: &AgencyId,
    ) -> Result<Self, Stop> {
        let directory = node.directory();
        let agency = node
            .agency(recipient)
            .ok_or_else(|| Stop::refuse(Reason::NotHostedHere, "recipient agency"))?;
        let sender = directory
            .agency(sender)
            .ok_or_else(|| Stop::refuse(Reason::UnknownAgency, "sender agency"))?
            .clone();
        if sender.node != *peer {
            return Err(Stop::refuse(Reason::NotHostedByPeer, "sender agency"));
        }
        Ok(Self {
            suite: accept::suite(&directory, &sender.id, recipient)?,
            agency: Arc::clone(agency),
            sender,
            directory,
            now: node.now(),
        })
    }

    fn pair(&self) -> (&AgencyId, &AgencyId) {
        (&self.sender.id, &self.agency.id)
    }

    /// Starts to check the signature, on a thread of its own.
    async fn check(&self, node: &Arc<Node>, offer: Offer) -> Result<Check, Stop> {
        let evidence = offer.evidence;
        let received = match offer.what {
            What::Message(received) => received,
            What::Gap(_) => return Ok(Check::Done(Checked::Gap { evidence })),
        };
        let digests = (
            received.header().message_id,
            received.header_digest(),
            received.body_digest(),
        );
        let get = |key: &Key| node.store.get(key).map_err(Stop::from);
        if let Known::Same(position) = known(get, &self.agency.id, digests)? {
            return Ok(Check::Done(Checked::Known { position, evidence }));
        }
        if node.is_degraded(&self.agency) {
            return Err(Stop::refuse(
                Reason::Degraded,
                "directory or roster past its validity",
            ));
        }
        let header = received.header();
        let cited = Cited {
            roster: header.sender_roster,
            bundle: header.manifest.versions.sender_bundle,
            officer: Some(header.officer),
        };
        let counterpart = node
            .counterpart(&self.directory, &self.sender.id, cited, self.now)
            .await
            .map_err(|stop| unauthenticated(node, &self.sender.node, stop))?;
        let sides = Sides {
            sender: counterpart.party,
            sender_bundle: counterpart.bundle,
            sender_rules: counterpart.rules,
            recipient: self.agency.own(),
            recipient_bundle: Arc::clone(&self.agency.bundle),
            recipient_rules: Arc::clone(&self.agency.rules),
        };
        Ok(Check::Message {
            received,
            sides: Box::new(sides),
            evidence,
        })
    }

    /// Checks the signatures, side by side on as many threads as there are processors.
    async fn authenticate(
        &self,
        node: &Node,
        checks: Vec<Result<Check, Stop>>,
    ) -> Vec<Result<Checked, Stop>> {
        let (suite, now) = (self.suite, self.now);
        let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
        let share = checks.len().div_ceil(threads).max(1);
        let mut checks = checks.into_iter();
        let mut tasks = Vec::new();
        loop {
            let slice: Vec<_> = checks.by_ref().take(share).collect();
            if slice.is_empty() {
                break;
            }
            let count = slice.len();
            let check = move || -> Vec<(bool, Result<Checked, Stop>)> {
                let each = slice.into_iter();
                each.map(|check| match check {
                    Ok(check) => (true, check.authenticated(suite, now)),
                    Err(stop) => (false, Err(stop)),
                })
                .collect()
            };
            tasks.push((count, tokio::task::spawn_blocking(check)));
        }
        let mut checked = Vec::new();
        for (count, task) in tasks {
            let slice = task.await.unwrap_or_else(|error| {
                tracing::error!(%error, "a check ended early");
                (0..count).map(|_| (false, Err(Stop::Failed))).collect()
            });
            // What was refused before is counted.
            checked.extend(slice.into_iter().map(|(counts, result)| match result {
                Err(stop) if counts => Err(unauthenticated(node, &self.sender.node, stop)),
                result => result,
            }));
        }
        checked
    }

    /// Accepts what may be accepted, in order, and answers each once all of it is durable.
    async fn commit(
        &self,
        node: &Arc<Node>,
        offers: Vec<Result<Checked, Stop>>,
        seen_by_sender: u64,
    ) -> Vec<Result<wire::Evidence, Stop>> {
        let mut judging = match Judging::start(node, self, seen_by_sender) {
            Ok(judging) => judging,
            Err(stop) => return offers.into_iter().map(|_| Err(stop.clone())).collect(),
        };
        let mut waiting = Vec::new();
        for offer in offers {
            waiting.push(match offer {
                Ok(checked) => judging.judge(node, checked).await,
                Err(stop) => Waiting::Stopped(stop),
            });
        }
        let mut decided = Vec::new();
        for wait in waiting {
            decided.push(wait.position(node, &self.agency).await);
        }
        let positions = decided.iter().flatten().copied();
        let evidences = match node.evidences(&self.agency.id, positions, seen_by_sender) {
            Ok((_, evidences)) => evidences,
            // Durable, but not proved: the sender asks again.
            Err(stop) => {
                return decided
                    .into_iter()
                    .map(|d| d.and(Err(stop.clone())))
                    .collect();
            }
        };
        let mut evidences = evidences.into_iter();
        decided
            .into_iter()
            .map(|decided| decided.and_then(|_| evidences.next().ok_or(Stop::Failed)))
            .collect()
    }
}

type Position = Queued<u64, Stop>;

/// An offer that is decided, or waits for its commit.
enum Waiting {
    At(u64),
    Stopped(Stop),
    Refused(Box<Refusal>, Stop),
    Committing(Position, Option<Box<Refusal>>),
}

impl Waiting {
    /// The entry that decided it. A final refusal of something authenticated is logged.
    async fn position(self, node: &Arc<Node>, agency: &Arc<Agency>) -> Result<u64, Stop> {
        let (refusal, stop) = match self {
            Self::At(position) => return Ok(position),
            Self::Stopped(stop) => return Err(stop),
            Self::Refused(refusal, stop) => (Some(refusal), stop),
            Self::Committing(queued, refusal) => match queued.committed().await {
                Ok(committed) => return Ok(committed.value),
                Err(abort) => (refusal, Stop::from(abort)),
            },
        };
        if let Some(refusal) = refusal {
            refusal.log(node, agency, &stop).await;
        }
        Err(stop)
    }
}

/// The judging of one batch: log evidence is checked one after the other.
struct Judging<'b> {
    batch: &'b Batch,
    /// What was last seen of the sender's log, as stored.
    before: Option<record::Seen>,
    /// The same, with what the batch has proved so far.
    seen: Option<record::Seen>,
}

impl<'b> Judging<'b> {
    fn start(node: &Node, batch: &'b Batch, seen_by_sender: u64) -> Result<Self, Stop> {
        let size = node
            .log(&batch.agency.id)
            .head()
            .map_or(0, |head| head.size);
        if seen_by_sender > size {
            return Err(Stop::refuse(
                Reason::Unavailable,
                "the sender has seen more of this log than there is",
            ));
        }
        let before = node.seen(&batch.agency.id, &batch.sender.id)?;
        Ok(Self {
            batch,
            seen: before.clone(),
            before,
        })
    }

    async fn judge(&mut self, node: &Arc<Node>, offer: Checked) -> Waiting {
        match offer {
            Checked::Known { position, evidence } => {
                // What comes after it in the request may be proved from its checkpoint.
                let _ = self.prove(node, &evidence).await;
                Waiting::At(position)
            }
            Checked::Gap { evidence } => match self.gap(node, &evidence).await {
                Ok(queued) => Waiting::Committing(queued, None),
                Err(stop) => Waiting::Stopped(stop),
            },
            Checked::Message {
                message,
                sides,
                evidence,
            } => {
                let refusal = Box::new(Refusal::of(&message));
                match self.message(node, *message, *sides, evidence).await {
                    Ok(queued) => Waiting::Committing(queued, Some(refusal)),
                    Err(stop) => Waiting::Refused(refusal, stop),
                }
            }
        }
    }

    /// Checks the sender's evidence against what was last seen of its log.
    async fn prove(&mut self, node: &Arc<Node>, evidence: &wire::Evidence) -> Result<Proved, Stop> {
        let Batch {
            agency,
            sender,
            now,
            ..
        } = self.batch;
        let last = self.seen.as_ref().map(|s| s.last);
        let proved = match Proved::verify(evidence, sender, last, *now) {
            Ok(proved) => proved,
            Err(EvidenceError::From { seen, .. }) => return Err(Stop::LastSeen { size: seen }),
            Err(error) => {
                let before = self.seen.as_ref();
                contradiction::keep(node, &agency.id, sender, before, evidence, &error).await;
                return Err(Stop::refuse(error.reason(), error));
            }
        };
        self.seen = Some(record::Seen::after(self.seen.take(), &proved));
        Ok(proved)
    }

    async fn message(
        &mut self,
        node: &Arc<Node>,
        message: Authenticated,
        sides: Sides,
        evidence: wire::Evidence,
    ) -> Result<Position, Stop> {
        let get = |key: &Key| node.store.get(key).map_err(Stop::from);
        if let Known::Other = known(get, &self.batch.agency.id, digests(&message))? {
            return Err(id_reused());
        }
        let proved = self.prove(node, &evidence).await?;
        let submitted = proved
            .submitted(&message.facts(), message.header().lane())
            .map_err(|error| Stop::refuse(error.reason(), error))?
            .clone();
        let place = self.place(message.header().lane(), submitted.number);
        // Permitted first: a tombstone grows the log as well.
        let permitted = accept::permitted(message, &sides)?;
        let origin = Origin { place, proved };
        let queued = if permitted
            .message()
            .check_not_expired(self.batch.now)
            .is_err()
        {
            let message = permitted.into_message();
            let entomb = move |tx: &mut Tx<'_>| origin.entomb(tx, &message);
            node.sequencer.queue(&self.batch.agency.id, entomb).await
        } else {
            let (owner, directory) = (&self.batch.agency, &self.batch.directory);
            let (owner, directory) = (Arc::clone(owner), Arc::clone(directory));
            let accept = move |tx: &mut Tx<'_>| {
                origin.accept(tx, &owner, &directory, &permitted, &sides, &evidence)
            };
            node.sequencer.queue(&self.batch.agency.id, accept).await
        };
        queued.map_err(|error| Stop::from(Abort::Failed(error)))
    }

    async fn gap(&mut self, node: &Arc<Node>, evidence: &wire::Evidence) -> Result<Position, Stop> {
        let proved = self.prove(node, evidence).await?;
        let refuse = |error: EvidenceError| Stop::refuse(error.reason(), error);
        let gap = proved.gap().map_err(refuse)?;
        let place = self.place(gap.lane, gap.number);
        let origin = Origin { place, proved };
        let consume = move |tx: &mut Tx<'_>| origin.consume(tx, &gap);
        let queued = node.sequencer.queue(&self.batch.agency.id, consume).await;
        queued.map_err(|error| Stop::from(Abort::Failed(error)))
    }

    fn place(&self, lane: Lane, number: u64) -> Place {
        Place {
            owner: self.batch.agency.id.clone(),
            sender: self.batch.sender.id.clone(),
            lane,
            number,
            before: self.before.clone(),
            seen: self.seen.clone(),
        }
    }
}
