//! What one offer changes, in the transaction that logs it.

use prost::Message as _;
use waypost_policies::Permitted;
use waypost_proto::case::Direction;
use waypost_proto::directories::Directories;
use waypost_proto::envelope::Authenticated;
use waypost_proto::evidence::{Gap, Proved};
use waypost_proto::id::{AgencyId, Digest, MessageId, Timestamp};
use waypost_proto::lane::Lane;
use waypost_proto::reason::Reason;
use waypost_proto::wire::{self, log_entry::Event};

use crate::accept::{self, Sides};
use crate::host::{Agency, Stop};
use crate::record;
use crate::sequencer::{Abort, Tx};
use crate::store::Key;

/// What is known of a message's id.
pub(super) enum Known {
    /// Nothing.
    New,
    /// The same bytes were decided by the entry at this position.
    Same(u64),
    /// Other bytes.
    Other,
}

/// What is known of a message, by what `get` reads.
///
/// INVARIANT (decided once): an id is received or entombed, never both and never twice. Offers of it that
/// cross are answered by the entry of the one that was faster.
pub(super) fn known<E: From<record::Corrupt>>(
    mut get: impl FnMut(&Key) -> Result<Option<Vec<u8>>, E>,
    agency: &AgencyId,
    (id, header, body): (MessageId, Digest, Digest),
) -> Result<Known, E> {
    let (position, same) = if let Some(bytes) = get(&record::message(agency, &id))? {
        let stored = record::Message::decode(&bytes)?;
        let same = stored.header_digest == header && stored.body_digest == body;
        (stored.position, same && !stored.outgoing)
    } else if let Some(bytes) = get(&record::tombstone(agency, &id))? {
        let stored = record::Tombstone::decode(&bytes)?;
        (stored.position, stored.header_digest == header)
    } else {
        return Ok(Known::New);
    };
    Ok(if same {
        Known::Same(position)
    } else {
        Known::Other
    })
}

pub(super) fn digests(message: &Authenticated) -> (MessageId, Digest, Digest) {
    (
        message.header().message_id,
        message.header_digest(),
        message.body_digest(),
    )
}

pub(super) fn id_reused() -> Stop {
    Stop::refuse(Reason::IdReused, "id known with other bytes")
}

/// A number in the order of a pair and lane, and what was last seen of the sender's log.
pub(super) struct Place {
    pub(super) owner: AgencyId,
    pub(super) sender: AgencyId,
    pub(super) lane: Lane,
    pub(super) number: u64,
    /// As it was stored when the batch was judged.
    pub(super) before: Option<record::Seen>,
    /// As the offer has proved it.
    pub(super) seen: Option<record::Seen>,
}

impl Place {
    /// Checkpoints of one log are checked one at a time: the last seen one is a precondition. It may
    /// be the one that an earlier offer of the same batch has stored.
    fn see(&self, tx: &mut Tx<'_>) -> Result<(), Abort<Stop>> {
        let key = record::seen(&self.owner, &self.sender);
        let stored = tx.get(&key)?;
        let now = stored.as_deref().map(record::Seen::decode).transpose();
        let now = now.map_err(|e| Abort::Rejected(Stop::from(e)))?;
        if now == self.seen {
            return Ok(());
        }
        match &self.seen {
            Some(seen) if now == self.before => Ok(tx.put(key, seen.encode())?),
            _ => Err(Abort::Rejected(Stop::LastSeen {
                size: now.map_or(0, |s| s.last.size),
            })),
        }
    }

    /// Takes the number. ORD-02: it is the one after the last.
    fn take(&self, tx: &mut Tx<'_>) -> Result<(), Abort<Stop>> {
        let key = record::last_accepted(&self.owner, &self.sender, self.lane);
        let last = accept::number(tx, &key)?;
        let refuse = |reason| Err(Abort::Rejected(Stop::refuse(reason, "ORD-02")));
        if self.number <= last {
            refuse(Reason::Order)
        } else if self.number > last.saturating_add(1) {
            refuse(Reason::Gap)
        } else {
            Ok(tx.put(key, self.number.to_be_bytes().to_vec())?)
        }
    }
}

/// The sender's evidence, checked.
pub(super) struct Origin {
    pub(super) place: Place,
    pub(super) proved: Proved,
}

impl Origin {
    pub(super) fn accept(
        self,
        tx: &mut Tx<'_>,
        owner: &Agency,
        directory: &Directories,
        permitted: &Permitted<Authenticated>,
        sides: &Sides,
        evidence: &wire::Evidence,
    ) -> Result<u64, Abort<Stop>> {
        let message = permitted.message();
        let header = message.header();
        if let Some(position) = decided(tx, &owner.id, message)? {
            return Ok(position);
        }
        // What the permit was judged under is a precondition of the commit.
        let own = header.recipient_roster;
        accept::check_still_holds(tx, owner, directory, own, header, sides)?;
        self.place.see(tx)?;
        self.place.take(tx)?;
        sides.accept(tx, &owner.id, &header.officer)?;
        let case = accept::step_case(tx, &owner.id, header, Direction::In, &self.place.sender)?;
        let position = tx.append(self.received(message, permitted))?;
        let stored = self.stored(message, position, tx.now());
        let outcome = wire::Outcome::Received;
        accept::stage_message(tx, owner, message, &stored, outcome, &case)?;
        let place = record::evidence(&owner.id, &header.message_id);
        tx.put(place, evidence.encode_to_vec())?;
        tx.put_body(header.message_id, message.envelope().body.clone())?;
        tracing::info!(agency = %owner.id, message = %header.message_id, counterpart = %self.place.sender, "received");
        Ok(position)
    }

    /// Logs that the message came too late. Its bytes are not kept, and its number is left to the gap
    /// notice.
    pub(super) fn entomb(
        self,
        tx: &mut Tx<'_>,
        message: &Authenticated,
    ) -> Result<u64, Abort<Stop>> {
        let Place {
            owner,
            sender,
            lane,
            number,
            ..
        } = &self.place;
        if let Some(position) = decided(tx, owner, message)? {
            return Ok(position);
        }
        self.place.see(tx)?;
        let id = message.header().message_id;
        let position = tx.append(Event::Expired(wire::Expired {
            message_id: id.as_bytes().to_vec(),
            sender_agency: sender.to_string(),
            recipient_agency: owner.to_string(),
            header_digest: message.header_digest().as_bytes().to_vec(),
            lane: lane.code().to_owned(),
            number: *number,
        }))?;
        let tombstone = record::Tombstone {
            header_digest: message.header_digest(),
            position,
        };
        tx.put(record::tombstone(owner, &id), tombstone.encode())?;
        tracing::info!(agency = %owner, counterpart = %sender, "came too late");
        Ok(position)
    }

    /// Logs that a number will not come. The same notice again is answered with the same entry.
    pub(super) fn consume(self, tx: &mut Tx<'_>, gap: &Gap) -> Result<u64, Abort<Stop>> {
        let key = record::gap(&gap.recipient, &gap.sender, gap.lane, gap.number);
        if let Some(stored) = tx.get(&key)? {
            let position = record::decode_number(Some(&stored));
            return position.map_err(|e| Abort::Rejected(Stop::from(e)));
        }
        self.place.see(tx)?;
        self.place.take(tx)?;
        let checkpoint = self.proved.checkpoint();
        let position = tx.append(Event::Gap(wire::Gap {
            message_id: gap.message.as_bytes().to_vec(),
            sender_agency: gap.sender.to_string(),
            recipient_agency: gap.recipient.to_string(),
            lane: gap.lane.code().to_owned(),
            number: gap.number,
            sender_index: self.proved.index(),
            sender_size: checkpoint.size,
            sender_root: checkpoint.root.as_bytes().to_vec(),
        }))?;
        tx.put(key, position.to_be_bytes().to_vec())?;
        Ok(position)
    }

    fn received(&self, message: &Authenticated, permitted: &Permitted<Authenticated>) -> Event {
        let checkpoint = self.proved.checkpoint();
        Event::Received(wire::Received {
            message: Some(message.facts()),
            lane: self.place.lane.code().to_owned(),
            number: self.place.number,
            rules: permitted.rules().iter().cloned().collect(),
            sender_index: self.proved.index(),
            sender_size: checkpoint.size,
            sender_root: checkpoint.root.as_bytes().to_vec(),
        })
    }

    fn stored(&self, message: &Authenticated, position: u64, time: Timestamp) -> record::Message {
        record::Message {
            header: message.envelope().header.clone(),
            body_bytes: message.envelope().body.len() as u64,
            outgoing: false,
            position,
            time,
            lane: self.place.lane,
            number: self.place.number,
            header_digest: message.header_digest(),
            body_digest: message.body_digest(),
        }
    }
}

/// The position of the entry that decided the same message meanwhile, if one has.
fn decided(
    tx: &mut Tx<'_>,
    owner: &AgencyId,
    message: &Authenticated,
) -> Result<Option<u64>, Abort<Stop>> {
    let get = |key: &Key| tx.get(key).map_err(Abort::from);
    match known(get, owner, digests(message))? {
        Known::New => Ok(None),
        Known::Same(position) => Ok(Some(position)),
        Known::Other => Err(Abort::Rejected(id_reused())),
    }
}
