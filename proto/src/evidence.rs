//! Evidence both ways: a log entry, proved, and consistent with what was seen before (DESIGN 4).
//!
//! Delivery carries the sender's `Submitted` entry; the receipt mirrors it with the recipient's
//! `Received` entry, or with the `Expired` tombstone. A receipt proves durable acceptance by the
//! node, neither opening nor reading.

use crate::checkpoint::{Checkpoint, Progress, ProgressError, SignedCheckpoint, check_progress};
use crate::directory::AgencyRecord;
use crate::entry::{Entry, EntryError};
use crate::id::{AgencyId, Digest, IdError, MessageId, Timestamp};
use crate::lane::Lane;
use crate::limit;
use crate::reason::Reason;
use crate::tlog_proof::{TlogProof, TlogProofError};
use crate::wire::{self, log_entry::Event};

/// The checkpoint of a counterpart's log that was last seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastSeen {
    /// Entries.
    pub size: u64,
    /// Root over them.
    pub root: Digest,
}

/// `by` of a `Refused` entry whose refusal is the recipient's answer.
pub const BY_RECIPIENT: &str = "recipient";
/// `by` of a `Refused` entry whose refusal was made here.
pub const BY_US: &str = "here";

/// Evidence that does not prove what it should.
#[derive(Debug, thiserror::Error)]
pub enum EvidenceError {
    /// EVI-01: the entry does not decode.
    #[error("EVI-01: {0}")]
    Entry(#[from] EntryError),
    /// EVI-02: no log key of the agency was valid at the entry's time.
    #[error("EVI-02: the directory holds no log key of the agency for the entry's time")]
    NoKey,
    /// EVI-03: the proof or its checkpoint does not verify.
    #[error("EVI-03: {0}")]
    Proof(#[from] TlogProofError),
    /// EVI-04: the consistency proof starts from another size than the one last seen.
    #[error("EVI-04: the proof starts from size {found}, size {seen} was last seen")]
    From {
        /// Size found.
        found: u64,
        /// Size last seen.
        seen: u64,
    },
    /// EVI-05: not consistent with the checkpoint last seen.
    #[error("EVI-05: {0}")]
    Progress(#[from] ProgressError),
    /// EVI-06: a hash has the wrong length, or there are too many.
    #[error("EVI-06: {0}")]
    Hash(#[from] IdError),
    /// EVI-06: too many hashes.
    #[error("EVI-06: more than {} hashes", limit::PROOF_HASHES)]
    TooMany,
    /// EVI-07: the entry says something else.
    #[error("EVI-07: the entry proves something else than this message")]
    OtherMessage,
    /// ORD-01: numbered in another lane than the manifest calls for.
    #[error("ORD-01: the entry numbers the message in another lane than its manifest calls for")]
    Lane,
    /// ORD-03: not a gap notice.
    #[error("ORD-03: the entry does not say that a number of the pair will not come")]
    NoGap,
    /// EVI-08: from the future.
    #[error("EVI-08: the entry's time is ahead of this clock")]
    Future,
}

impl EvidenceError {
    /// The reason that is logged and answered.
    #[must_use]
    pub const fn reason(&self) -> Reason {
        match self {
            Self::From { .. } => Reason::LastSeenDiffers,
            Self::Progress(ProgressError::Contradiction { .. }) => Reason::Contradiction,
            _ => Reason::Evidence,
        }
    }
}

/// An entry that is proved to be in its agency's log, consistent with what was seen before.
#[derive(Debug, Clone)]
pub struct Proved {
    entry: Entry,
    digest: Digest,
    index: u64,
    checkpoint: SignedCheckpoint,
    progress: Progress,
}

impl Proved {
    /// Checks evidence from `agency`'s log against the checkpoint last seen of it, at `at`.
    ///
    /// # Errors
    /// EVI-01 to EVI-06, EVI-08 of proto/spec/log.md.
    pub fn verify(
        evidence: &wire::Evidence,
        agency: &AgencyRecord,
        seen: Option<LastSeen>,
        at: Timestamp,
    ) -> Result<Self, EvidenceError> {
        let entry = Entry::decode(&evidence.entry)?;
        if entry.time.since(at) > limit::CLOCK_SKEW_SECONDS {
            return Err(EvidenceError::Future);
        }
        let key = agency.log_key(entry.time).ok_or(EvidenceError::NoKey)?;
        let proof = TlogProof::parse(&evidence.proof)?;
        let index = proof.index;
        let checkpoint = proof.verify(&evidence.entry, &key.verifier)?;
        let from = seen.map_or(0, |s| s.size);
        if evidence.consistency_from != from {
            return Err(EvidenceError::From {
                found: evidence.consistency_from,
                seen: from,
            });
        }
        if evidence.consistency.len() > limit::PROOF_HASHES {
            return Err(EvidenceError::TooMany);
        }
        let path: Vec<Digest> = evidence
            .consistency
            .iter()
            .map(|h| Digest::try_from(h.as_slice()))
            .collect::<Result<_, _>>()?;
        let progress = check_progress(
            seen.map(|s| (s.size, s.root)),
            checkpoint.checkpoint(),
            &path,
        )?;
        Ok(Self {
            digest: Digest::of(&evidence.entry),
            entry,
            index,
            checkpoint,
            progress,
        })
    }

    /// The entry.
    #[must_use]
    pub const fn entry(&self) -> &Entry {
        &self.entry
    }

    /// SHA-256 of the entry's exact bytes.
    #[must_use]
    pub const fn digest(&self) -> Digest {
        self.digest
    }

    /// Where it stands in the log.
    #[must_use]
    pub const fn index(&self) -> u64 {
        self.index
    }

    /// The checkpoint that proved it.
    #[must_use]
    pub const fn checkpoint(&self) -> &Checkpoint {
        self.checkpoint.checkpoint()
    }

    /// The same, as signed: to be kept as last seen.
    #[must_use]
    pub const fn signed_checkpoint(&self) -> &SignedCheckpoint {
        &self.checkpoint
    }

    /// The checkpoint to remember as last seen: the larger one.
    #[must_use]
    pub fn last_seen(&self, before: Option<LastSeen>) -> LastSeen {
        match (before, &self.progress) {
            (Some(before), Progress::Same | Progress::Older) => before,
            _ => LastSeen {
                size: self.checkpoint.size(),
                root: *self.checkpoint.root(),
            },
        }
    }

    /// The `Submitted` event, if the entry is that of exactly this message, in its lane.
    ///
    /// # Errors
    /// EVI-07, ORD-01.
    pub fn submitted(
        &self,
        message: &wire::MessageFacts,
        lane: Lane,
    ) -> Result<&wire::Submitted, EvidenceError> {
        match &self.entry.event {
            Event::Submitted(event) if event.message.as_ref() == Some(message) => {
                if event.lane == lane.code() {
                    Ok(event)
                } else {
                    Err(EvidenceError::Lane)
                }
            }
            _ => Err(EvidenceError::OtherMessage),
        }
    }

    /// The number that will not come, if the entry is a gap notice.
    ///
    /// # Errors
    /// ORD-03.
    pub fn gap(&self) -> Result<Gap, EvidenceError> {
        Gap::of(&self.entry.event).ok_or(EvidenceError::NoGap)
    }

    /// Checks that the recipient's entry consumes the number of `gap`.
    ///
    /// # Errors
    /// EVI-07.
    pub fn gap_receipt(&self, gap: &Gap) -> Result<(), EvidenceError> {
        match &self.entry.event {
            Event::Gap(event)
                if event.message_id == gap.message.as_bytes()
                    && event.sender_agency == gap.sender.as_str()
                    && event.recipient_agency == gap.recipient.as_str()
                    && event.lane == gap.lane.code()
                    && event.number == gap.number =>
            {
                Ok(())
            }
            _ => Err(EvidenceError::OtherMessage),
        }
    }

    /// What the recipient's entry says of a message submitted with `submitted`.
    ///
    /// # Errors
    /// EVI-07.
    pub fn receipt(&self, submitted: &wire::Submitted) -> Result<Receipt, EvidenceError> {
        let message = submitted
            .message
            .as_ref()
            .ok_or(EvidenceError::OtherMessage)?;
        match &self.entry.event {
            Event::Received(event)
                if event.message.as_ref() == Some(message)
                    && event.lane == submitted.lane
                    && event.number == submitted.number =>
            {
                Ok(Receipt::Accepted)
            }
            Event::Expired(event)
                if event.message_id == message.message_id
                    && event.header_digest == message.header_digest
                    && event.lane == submitted.lane
                    && event.number == submitted.number
                    && event.sender_agency == message.sender_agency
                    && event.recipient_agency == message.recipient_agency =>
            {
                Ok(Receipt::Tombstone)
            }
            _ => Err(EvidenceError::OtherMessage),
        }
    }
}

/// A number of a pair's order that will not come: what a gap notice says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// The message that had the number.
    pub message: MessageId,
    /// Whose number.
    pub sender: AgencyId,
    /// Towards whom.
    pub recipient: AgencyId,
    /// In which lane.
    pub lane: Lane,
    /// The number, from 1.
    pub number: u64,
}

impl Gap {
    /// From the sender's own entry that a message was refused by the recipient, or came too late.
    #[must_use]
    pub fn of(event: &Event) -> Option<Self> {
        let (message, sender, recipient, lane, number) = match event {
            Event::Refused(e) if e.by == BY_RECIPIENT => (
                &e.message_id,
                &e.sender_agency,
                &e.recipient_agency,
                &e.lane,
                e.number,
            ),
            Event::Expired(e) => (
                &e.message_id,
                &e.sender_agency,
                &e.recipient_agency,
                &e.lane,
                e.number,
            ),
            _ => return None,
        };
        Some(Self {
            message: MessageId::try_from(message.as_slice()).ok()?,
            sender: sender.parse().ok()?,
            recipient: recipient.parse().ok()?,
            lane: lane.parse().ok()?,
            number: (number > 0).then_some(number)?,
        })
    }
}

/// What a receipt says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Receipt {
    /// The recipient's node holds the message durably.
    Accepted,
    /// It came too late, and was never accepted.
    Tombstone,
}

#[cfg(test)]
mod tests;
