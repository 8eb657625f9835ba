//! Sealed bodies at rest: ciphertext in the store, its key in the vault, and the record that joins
//! them, by message id.
//!
//! INVARIANT (a slot is live when the store says so): a body's record is written in the commit that
//! stores the body and deleted in the commit that erases it. Whatever the vault holds beyond is an
//! orphan, and is swept at start.

use waypost_proto::id::{AgencyId, MessageId};

use crate::store::{Key, KeyRange, Space, Store, StoreError, rows};
use crate::vault::{Slot, Vault, VaultError};

/// Why a body was not read.
#[derive(Debug, Clone, thiserror::Error)]
pub enum BodyError {
    /// The store failed.
    #[error("the body of message {message} was not read")]
    Store {
        /// The message.
        message: MessageId,
        /// Why.
        #[source]
        source: StoreError,
    },
    /// The vault failed, or has no key for it.
    #[error("the body of message {message} was not opened")]
    Vault {
        /// The message.
        message: MessageId,
        /// Why.
        #[source]
        source: VaultError,
    },
    /// Its record in the store does not parse.
    #[error("the record of the body of message {message} is damaged")]
    Damaged {
        /// The message.
        message: MessageId,
    },
}

/// What the store keeps of a body besides its ciphertext.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) slot: Slot,
    pub(crate) chunks: u32,
}

impl Record {
    pub(crate) fn to_bytes(self) -> Vec<u8> {
        [&self.slot.to_bytes()[..], &self.chunks.to_be_bytes()].concat()
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (slot, chunks) = bytes.split_at_checked(Slot::BYTES)?;
        Some(Self {
            slot: Slot::from_bytes(slot)?,
            chunks: u32::from_be_bytes(chunks.try_into().ok()?),
        })
    }
}

pub(crate) fn record_key(agency: &AgencyId, message: MessageId) -> Key {
    Key::of(agency, Space::Body, message.as_bytes())
}

pub(crate) fn chunk_key(agency: &AgencyId, message: MessageId, chunk: u32) -> Key {
    let rest = [&message.as_bytes()[..], &chunk.to_be_bytes()].concat();
    Key::of(agency, Space::BodyChunk, &rest)
}

/// The sealed body of `message`, as it was stored; nothing if there is none or it was erased.
///
/// # Errors
/// See [`BodyError`].
pub fn read(
    store: &dyn Store,
    vault: &Vault,
    agency: &AgencyId,
    message: MessageId,
) -> Result<Option<Vec<u8>>, BodyError> {
    let store_error = |source| BodyError::Store { message, source };
    let Some(record) = store
        .get(&record_key(agency, message))
        .map_err(store_error)?
    else {
        return Ok(None);
    };
    let record = Record::from_bytes(&record).ok_or(BodyError::Damaged { message })?;
    let mut sealed = Vec::new();
    for chunk in 0..record.chunks {
        let found = store
            .get(&chunk_key(agency, message, chunk))
            .map_err(store_error)?;
        let Some(found) = found else {
            // Erased between two reads, or lost.
            let still = store
                .get(&record_key(agency, message))
                .map_err(store_error)?;
            return if still.is_none() {
                Ok(None)
            } else {
                Err(BodyError::Damaged { message })
            };
        };
        sealed.extend_from_slice(&found);
    }
    match vault.open_body(agency, message, record.slot, sealed) {
        Ok(body) => Ok(Some(body)),
        Err(source) => Err(BodyError::Vault { message, source }),
    }
}

/// The slots of every body in the store, as they are read: what [`Vault::sweep`] keeps.
pub(crate) fn live_slots(
    store: &dyn Store,
    agencies: &[AgencyId],
) -> impl Iterator<Item = Result<Slot, StoreError>> {
    let bodies = |agency| rows(store, &KeyRange::of(agency, Space::Body, &[]));
    // A record that does not parse has no slot to keep; reading it says that it is damaged.
    let slot = |value: Vec<u8>| Record::from_bytes(&value).map(|record| record.slot);
    let slots = agencies.iter().flat_map(bodies);
    slots.filter_map(move |row| row.map(|(_, value)| slot(value)).transpose())
}
