//! Receiving: a peer's message becomes durable before it is answered (proto/spec/peer.md).
//!
//! ```text
//! Received -> Authenticated -> Permitted -> Committed (log + inbox)
//! ```
//!
//! INVARIANT (durable before answered): the receipt is made from the commit's result.

use std::sync::Arc;

use prost::Message as _;
use waypost_policies::Permitted;
use waypost_proto::case::Direction;
use waypost_proto::directory::AgencyRecord;
use waypost_proto::directory_file::VerifiedDirectory;
use waypost_proto::envelope::{Authenticated, Received};
use waypost_proto::evidence::{EvidenceError, Proved};
use waypost_proto::id::{AgencyId, Digest, MessageId, NodeId, Timestamp};
use waypost_proto::reason::Reason;
use waypost_proto::wire::{self, log_entry::Event};

use crate::accept::{self, LANE, Sides};
use crate::contradiction;
use crate::host::{Agency, Node, Stop};
use crate::limit;
use crate::parties::Cited;
use crate::record;
use crate::sequencer::Abort;

/// Takes a message that the node `peer` offers, and answers with the `Received` entry, or with the
/// `Expired` tombstone.
///
/// # Errors
/// [`Stop`]: nothing was kept but, for what was authenticated, the entry of the refusal.
pub async fn deliver(
    node: &Arc<Node>,
    peer: &NodeId,
    request: wire::DeliverRequest,
) -> Result<wire::Evidence, Stop> {
    let directory = node.directory();
    let offer = match Offer::take(node, &directory, peer, request) {
        Ok(offer) => offer,
        Err(stop) => {
            node.refusals.count_unauthenticated();
            tracing::debug!(%peer, reason = %stop.reason(), "refused unauthenticated");
            return Err(stop);
        }
    };
    if let Known::Same(position) = offer.known(node)? {
        return node.evidence(&offer.agency.id, position, offer.seen_by_sender);
    }
    let now = node.now();
    if node.is_degraded(&offer.agency) {
        return Err(Stop::refuse(
            Reason::Degraded,
            "directory or roster past its validity",
        ));
    }
    let header = offer.received.header();
    let cited = Cited {
        roster: header.sender_roster,
        bundle: header.manifest.versions.sender_bundle,
        officer: Some(header.officer),
    };
    let counterpart = node
        .counterpart(&directory, &header.sender.agency, cited, now)
        .await
        .inspect_err(|_| node.refusals.count_unauthenticated())?;
    let sides = Sides {
        sender: counterpart.party,
        sender_bundle: counterpart.bundle,
        sender_rules: counterpart.rules,
        recipient: offer.agency.own(),
        recipient_bundle: Arc::clone(&offer.agency.bundle),
        recipient_rules: Arc::clone(&offer.agency.rules),
    };
    let message = accept::authenticate(
        offer.received.clone(),
        &sides,
        directory.head().suite(),
        now,
    )
    .inspect_err(|_| node.refusals.count_unauthenticated())?;
    let refusal = Refusal::of(&message);
    match offer.accept(node, directory, message, sides, now).await {
        Ok(position) => node.evidence(&offer.agency.id, position, offer.seen_by_sender),
        Err(stop) => {
            refusal.log(node, &offer.agency, &stop).await;
            Err(stop)
        }
    }
}

/// What is known of a message's id.
enum Known {
    /// Nothing.
    New,
    /// The same bytes were decided by the entry at this position.
    Same(u64),
    /// Other bytes.
    Other,
}

/// A message offered by the node that the directory names for its sender.
struct Offer {
    agency: Arc<Agency>,
    sender: AgencyRecord,
    received: Received,
    evidence: wire::Evidence,
    seen_by_sender: u64,
}

impl Offer {
    fn take(
        node: &Node,
        directory: &VerifiedDirectory,
        peer: &NodeId,
        request: wire::DeliverRequest,
    ) -> Result<Self, Stop> {
        let malformed = |part: &'static str| Stop::refuse(Reason::Malformed, part);
        let envelope = request.envelope.ok_or_else(|| malformed("no envelope"))?;
        let evidence = request.evidence.ok_or_else(|| malformed("no evidence"))?;
        // Stored with the message, in one value.
        if evidence.encoded_len() > limit::EVIDENCE_BYTES {
            return Err(malformed("evidence too long"));
        }
        let received = Received::decode(envelope).map_err(|e| Stop::refuse(e.reason(), e))?;
        let header = received.header();
        let agency = node
            .agency(&header.recipient.agency)
            .ok_or_else(|| Stop::refuse(Reason::NotHostedHere, "recipient agency"))?;
        let sender = directory
            .agency(&header.sender.agency)
            .ok_or_else(|| Stop::refuse(Reason::UnknownAgency, "sender agency"))?;
        if sender.node != *peer {
            return Err(Stop::refuse(Reason::NotHostedByPeer, "sender agency"));
        }
        Ok(Self {
            agency: Arc::clone(agency),
            sender: sender.clone(),
            received,
            evidence,
            seen_by_sender: request.recipient_log_seen,
        })
    }

    /// What was decided before about this id.
    fn known(&self, node: &Node) -> Result<Known, Stop> {
        let id = self.received.header().message_id;
        if let Some(stored) = node.message(&self.agency.id, &id)? {
            let same = !stored.outgoing
                && stored.header_digest == self.received.header_digest()
                && stored.body_digest == self.received.body_digest();
            return Ok(if same {
                Known::Same(stored.position)
            } else {
                Known::Other
            });
        }
        let stored = node.store.get(&record::tombstone(&self.agency.id, &id))?;
        Ok(
            match stored
                .as_deref()
                .map(record::Tombstone::decode)
                .transpose()?
            {
                None => Known::New,
                Some(tombstone) if tombstone.header_digest == self.received.header_digest() => {
                    Known::Same(tombstone.position)
                }
                Some(_) => Known::Other,
            },
        )
    }

    async fn accept(
        &self,
        node: &Arc<Node>,
        directory: Arc<VerifiedDirectory>,
        message: Authenticated,
        sides: Sides,
        now: Timestamp,
    ) -> Result<u64, Stop> {
        let id = message.header().message_id;
        match self.known(node)? {
            Known::New => {}
            // The same bytes, offered twice at once: the other offer was faster.
            Known::Same(position) => return Ok(position),
            Known::Other => {
                return Err(Stop::refuse(Reason::IdReused, "id known with other bytes"));
            }
        }
        let origin = self.evidence(node, &message, now).await?;
        if self.seen_by_sender > node.log(&self.agency.id).head().map_or(0, |head| head.size) {
            return Err(Stop::refuse(
                Reason::Unavailable,
                "the sender has seen more of this log than there is",
            ));
        }
        // Permitted first: a tombstone grows the log as well.
        let permitted = accept::permitted(message, &sides)?;
        if permitted.message().check_not_expired(now).is_err() {
            return self.entomb(node, permitted.into_message(), origin).await;
        }
        let position = self
            .commit(node, directory, permitted, sides, origin)
            .await?;
        tracing::info!(agency = %self.agency.id, message = %id, counterpart = %self.sender.id, "received");
        Ok(position)
    }

    /// Checks the sender's evidence against what was last seen of its log.
    async fn evidence(
        &self,
        node: &Arc<Node>,
        message: &Authenticated,
        now: Timestamp,
    ) -> Result<Origin, Stop> {
        let before = node.seen(&self.agency.id, &self.sender.id)?;
        let last = before.as_ref().map(|s| s.last);
        let proved = match Proved::verify(&self.evidence, &self.sender, last, now) {
            Ok(proved) => proved,
            Err(EvidenceError::From { seen, .. }) => return Err(Stop::LastSeen { size: seen }),
            Err(error) => {
                let (agency, sender) = (&self.agency.id, &self.sender);
                contradiction::keep(
                    node,
                    agency,
                    sender,
                    before.as_ref(),
                    &self.evidence,
                    &error,
                )
                .await;
                return Err(Stop::refuse(error.reason(), error));
            }
        };
        let submitted = proved
            .submitted(&message.facts())
            .map_err(|error| Stop::refuse(error.reason(), error))?
            .clone();
        if submitted.lane != LANE {
            return Err(Stop::refuse(Reason::Evidence, "unknown lane"));
        }
        let seen = proved.last_seen(last);
        let checkpoint = match &before {
            Some(before) if before.last == seen => before.checkpoint.clone(),
            _ => proved.signed_checkpoint().as_bytes().to_vec(),
        };
        Ok(Origin {
            before,
            seen: record::Seen {
                last: seen,
                checkpoint,
            },
            submitted,
            proved,
        })
    }

    async fn commit(
        &self,
        node: &Arc<Node>,
        directory: Arc<VerifiedDirectory>,
        permitted: Permitted<Authenticated>,
        sides: Sides,
        origin: Origin,
    ) -> Result<u64, Stop> {
        let owner = Arc::clone(&self.agency);
        let sender = self.sender.id.clone();
        let evidence = self.evidence.clone();
        let committed = node
            .sequencer
            .run(&self.agency.id, move |tx| {
                let message = permitted.message();
                let header = message.header();
                // What the permit was judged under is a precondition of the commit.
                let own = header.recipient_roster;
                accept::check_still_holds(tx, &owner, directory.head(), own, header, &sides)?;
                origin.check_unchanged(tx, &owner.id, &sender)?;
                check_undecided(tx, &owner.id, &header.message_id)?;
                let last = record::last_accepted(&owner.id, &sender, LANE);
                if origin.submitted.number <= accept::number(tx, &last)? {
                    return Err(Abort::Rejected(Stop::refuse(
                        Reason::Order,
                        "number not after the last one",
                    )));
                }
                sides.accept(tx, &owner.id, &header.officer)?;
                let case = accept::step_case(tx, &owner.id, header, Direction::In, &sender)?;
                let position = tx.append(origin.received(message, &permitted))?;
                let stored = origin.stored(message, position, tx.now(), evidence);
                accept::stage_message(tx, &owner, message, &stored, &case)?;
                tx.put_body(header.message_id, message.envelope().body.clone())?;
                tx.put(last, origin.submitted.number.to_be_bytes().to_vec())?;
                tx.put(record::seen(&owner.id, &sender), origin.seen.encode())?;
                Ok(position)
            })
            .await?;
        Ok(committed.value)
    }

    /// Logs that the message came too late. Its bytes are not kept.
    async fn entomb(
        &self,
        node: &Arc<Node>,
        message: Authenticated,
        origin: Origin,
    ) -> Result<u64, Stop> {
        let owner = self.agency.id.clone();
        let sender = self.sender.id.clone();
        let committed = node
            .sequencer
            .run(&self.agency.id, move |tx| {
                origin.check_unchanged(tx, &owner, &sender)?;
                let header = message.header();
                check_undecided(tx, &owner, &header.message_id)?;
                let position = tx.append(Event::Expired(wire::Expired {
                    message_id: header.message_id.as_bytes().to_vec(),
                    sender_agency: sender.to_string(),
                    recipient_agency: owner.to_string(),
                    header_digest: message.header_digest().as_bytes().to_vec(),
                }))?;
                let tombstone = record::Tombstone {
                    header_digest: message.header_digest(),
                    position,
                };
                tx.put(
                    record::tombstone(&owner, &header.message_id),
                    tombstone.encode(),
                )?;
                tx.put(record::seen(&owner, &sender), origin.seen.encode())?;
                Ok(position)
            })
            .await?;
        tracing::info!(agency = %self.agency.id, counterpart = %self.sender.id, "came too late");
        Ok(committed.value)
    }
}

/// INVARIANT (decided once): an id is received or entombed, never both and never twice. Offers of it
/// that cross ask again, and are answered by the entry of the one that was faster.
fn check_undecided(
    tx: &mut crate::sequencer::Tx<'_>,
    owner: &AgencyId,
    id: &MessageId,
) -> Result<(), Abort<Stop>> {
    let decided = tx.get(&record::message(owner, id))?.is_some()
        || tx.get(&record::tombstone(owner, id))?.is_some();
    if decided {
        let detail = "the same message was decided meanwhile";
        Err(Abort::Rejected(Stop::refuse(Reason::Busy, detail)))
    } else {
        Ok(())
    }
}

/// The sender's evidence, checked.
struct Origin {
    before: Option<record::Seen>,
    seen: record::Seen,
    submitted: wire::Submitted,
    proved: Proved,
}

impl Origin {
    /// Checkpoints of one log are checked one at a time: the last seen one is a precondition.
    fn check_unchanged(
        &self,
        tx: &mut crate::sequencer::Tx<'_>,
        owner: &AgencyId,
        sender: &AgencyId,
    ) -> Result<(), Abort<Stop>> {
        let now = tx.get(&record::seen(owner, sender))?;
        let now = now
            .as_deref()
            .map(record::Seen::decode)
            .transpose()
            .map_err(|e| Abort::Rejected(Stop::from(e)))?;
        if now == self.before {
            Ok(())
        } else {
            Err(Abort::Rejected(Stop::LastSeen {
                size: now.map_or(0, |s| s.last.size),
            }))
        }
    }

    fn received(&self, message: &Authenticated, permitted: &Permitted<Authenticated>) -> Event {
        let checkpoint = self.proved.checkpoint();
        Event::Received(wire::Received {
            message: Some(message.facts()),
            lane: self.submitted.lane.clone(),
            number: self.submitted.number,
            rules: permitted.rules().iter().cloned().collect(),
            sender_index: self.proved.index(),
            sender_size: checkpoint.size,
            sender_root: checkpoint.root.as_bytes().to_vec(),
        })
    }

    fn stored(
        &self,
        message: &Authenticated,
        position: u64,
        time: Timestamp,
        evidence: wire::Evidence,
    ) -> record::Message {
        record::Message {
            header: message.envelope().header.clone(),
            signature: message.envelope().signature.clone(),
            body_bytes: message.envelope().body.len() as u64,
            outgoing: false,
            position,
            time,
            lane: self.submitted.lane.clone(),
            number: self.submitted.number,
            outcome: wire::Outcome::Received,
            reason: String::new(),
            fetched_at: None,
            opened_at: None,
            counterpart: Some(evidence),
            header_digest: message.header_digest(),
            body_digest: message.body_digest(),
        }
    }
}

/// What is logged when an authenticated message is refused.
struct Refusal {
    sender: AgencyId,
    event: wire::Refused,
    header: Digest,
}

impl Refusal {
    fn of(message: &Authenticated) -> Self {
        let header = message.header();
        Self {
            sender: header.sender.agency.clone(),
            header: message.header_digest(),
            event: wire::Refused {
                message_id: header.message_id.as_bytes().to_vec(),
                sender_agency: header.sender.agency.to_string(),
                recipient_agency: header.recipient.agency.to_string(),
                reason: String::new(),
                header_digest: message.header_digest().as_bytes().to_vec(),
                body_digest: message.body_digest().as_bytes().to_vec(),
                by: "here".to_owned(),
            },
        }
    }

    /// Logs a final refusal, within the peer's allowance. What may be accepted later is not logged.
    async fn log(self, node: &Arc<Node>, agency: &Arc<Agency>, stop: &Stop) {
        let reason = stop.reason();
        if reason.fate() == waypost_proto::reason::Fate::Later {
            return;
        }
        tracing::warn!(agency = %agency.id, counterpart = %self.sender, %reason, "refused");
        let allowance = node.refusals.allow(&agency.id, &self.sender, node.now());
        if !allowance.entry && allowance.summed == 0 {
            return;
        }
        let owner = agency.id.clone();
        let logged = node
            .sequencer
            .run(&agency.id, move |tx| {
                if allowance.summed > 0 {
                    tx.append(Event::RefusalsCounted(wire::RefusalsCounted {
                        peer: self.sender.to_string(),
                        count: allowance.summed,
                    }))?;
                }
                if allowance.entry {
                    tx.append(Event::Refused(wire::Refused {
                        reason: reason.code().to_owned(),
                        ..self.event.clone()
                    }))?;
                    if reason == Reason::IdReused {
                        let id = record::decode_message_id(&self.event.message_id)
                            .map_err(|e| Abort::Rejected(Stop::from(e)))?;
                        tx.put(
                            record::conflict(&owner, &id, &self.header),
                            self.event.body_digest.clone(),
                        )?;
                    }
                }
                Ok(())
            })
            .await;
        if let Err(error) = logged {
            tracing::error!(%error, "a refusal could not be logged");
        }
    }
}
