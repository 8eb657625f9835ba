//! Log entries: what a leaf holds, decoded strictly. The exact bytes stored are the leaf.
//!
//! INVARIANT (no values in logs): an entry holds ids, digests, commitments, times, fingerprints and
//! codes, never a value from a form.

use prost::Message;

use crate::id::{AgencyId, Digest, MessageId, Timestamp};
use crate::limit;
use crate::strict::{self, StrictError};
use crate::wire::{self, log_entry::Event};

/// Entry format version.
pub const VERSION: u32 = 1;

/// An entry that breaks a rule of proto/spec/log.md.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// ENT-01: too long, malformed, unknown fields.
    #[error("ENT-01: {0}")]
    Encoding(#[from] StrictError),
    /// ENT-02: another version, or no event.
    #[error("ENT-02: version {version}, or an event that this software does not know")]
    Unknown {
        /// The version found.
        version: u32,
    },
}

/// One decoded entry.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Log time: the node's clock when it was appended.
    pub time: Timestamp,
    /// What happened.
    pub event: Event,
}

impl Entry {
    /// Decodes exact bytes.
    ///
    /// # Errors
    /// ENT-01, ENT-02.
    pub fn decode(bytes: &[u8]) -> Result<Self, EntryError> {
        let wire: wire::LogEntry = strict::decode(bytes, limit::ENTRY_BYTES)?;
        match (wire.version, wire.event) {
            (VERSION, Some(event)) => Ok(Self {
                time: Timestamp(wire.time),
                event,
            }),
            (version, _) => Err(EntryError::Unknown { version }),
        }
    }

    /// The exact bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        wire::LogEntry {
            version: VERSION,
            time: self.time.0,
            event: Some(self.event.clone()),
        }
        .encode_to_vec()
    }

    /// The message that it concerns, if one.
    #[must_use]
    pub fn message_id(&self) -> Option<MessageId> {
        let bytes = match &self.event {
            Event::Submitted(e) => e.message.as_ref()?.message_id.as_slice(),
            Event::Received(e) => e.message.as_ref()?.message_id.as_slice(),
            Event::Delivered(e) => &e.message_id,
            Event::Refused(e) => &e.message_id,
            Event::Expired(e) => &e.message_id,
            Event::Unconfirmed(e) => &e.message_id,
            Event::Fetched(e) => &e.message_id,
            Event::Opened(e) => &e.message_id,
            Event::Gap(e) => &e.message_id,
            Event::GapDelivered(e) => &e.message_id,
            Event::Genesis(_)
            | Event::DirectoryAccepted(_)
            | Event::RosterAccepted(_)
            | Event::BundleAccepted(_)
            | Event::RefusalsCounted(_)
            | Event::Contradiction(_) => return None,
        };
        MessageId::try_from(bytes).ok()
    }

    /// What happened, as one word for people and logs.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match &self.event {
            Event::Genesis(_) => "genesis",
            Event::DirectoryAccepted(_) => "directory-accepted",
            Event::RosterAccepted(_) => "roster-accepted",
            Event::BundleAccepted(_) => "bundle-accepted",
            Event::Submitted(_) => "submitted",
            Event::Received(_) => "received",
            Event::Delivered(_) => "delivered",
            Event::Refused(_) => "refused",
            Event::Expired(_) => "expired",
            Event::Unconfirmed(_) => "unconfirmed",
            Event::Fetched(_) => "fetched",
            Event::Opened(_) => "opened",
            Event::RefusalsCounted(_) => "refusals-counted",
            Event::Contradiction(_) => "contradiction",
            Event::Gap(_) => "gap",
            Event::GapDelivered(_) => "gap-delivered",
        }
    }
}

/// The event of an accepted roster.
#[must_use]
pub fn roster_accepted(agency: &AgencyId, version: u64, digest: Digest) -> Event {
    Event::RosterAccepted(wire::RosterAccepted {
        agency: agency.to_string(),
        version,
        digest: digest.as_bytes().to_vec(),
    })
}

#[cfg(test)]
mod tests;
