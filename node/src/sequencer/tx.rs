//! One transaction: reads what was committed or is about to be, and stages changes with the log
//! entries that speak of them.

use std::fmt;

use waypost_proto::id::{AgencyId, MessageId, Timestamp};
use waypost_proto::limit::ENTRY_BYTES;
use waypost_proto::wire;

use super::log::encode_entry;
use crate::body::{self, Record};
use crate::limit;
use crate::store::{Key, KeyRange, Overlay, Page, Space, Store, StoreError, overlaid, rows};
use crate::vault::{Slot, Vault, VaultError};

/// Why a transaction could not read or stage.
#[derive(Debug, Clone, thiserror::Error)]
pub enum TxError {
    /// The store failed. Fatal, or a key is too long.
    #[error("the store refused")]
    Store(#[source] StoreError),
    /// The vault failed.
    #[error("the vault refused")]
    Vault(#[source] VaultError),
    /// An entry exceeds [`ENTRY_BYTES`].
    #[error("a log entry of {bytes} bytes exceeds the limit of {limit}", limit = ENTRY_BYTES)]
    Entry {
        /// Its size.
        bytes: usize,
    },
    /// The transaction stages too much.
    #[error("a transaction of {bytes} bytes exceeds the limit of {limit}", limit = limit::TRANSACTION_BYTES)]
    TooLarge {
        /// What it would stage.
        bytes: usize,
    },
    /// The key is another agency's: a bug of the caller.
    #[error("{key} is not open to this agency")]
    Foreign {
        /// The key.
        key: Key,
    },
    /// Only the sequencer writes to this space: a bug of the caller.
    #[error("{key} is written by the sequencer only")]
    Reserved {
        /// The key.
        key: Key,
    },
    /// The message has a body already: a body is never replaced.
    #[error("message {message} has a body already")]
    BodyExists {
        /// The message.
        message: MessageId,
    },
}

impl TxError {
    /// Whether the node must stop.
    #[must_use]
    pub const fn is_fatal(&self) -> bool {
        match self {
            Self::Store(error) => error.is_fatal(),
            Self::Vault(error) => error.is_fatal(),
            _ => false,
        }
    }
}

/// What a log entry costs besides its bytes: keys, and two nodes of the tree.
const ENTRY_OVERHEAD: usize = 1024;

/// What a transaction has staged.
#[derive(Default)]
pub(super) struct Staged {
    pub(super) writes: Overlay,
    pub(super) entries: Vec<Vec<u8>>,
    /// Slots of new bodies.
    pub(super) sealed: Vec<Slot>,
    /// Slots of bodies to erase once their records are gone.
    pub(super) erased: Vec<Slot>,
    pub(super) bytes: usize,
}

/// A transaction of one agency, while it runs on the sequencer's thread.
///
/// It sees what the transactions before it have staged, committed or not; the caller is answered only
/// after all of it is durable. It sees and changes records of its agency and of the node itself.
pub struct Tx<'a> {
    pub(super) agency: &'a AgencyId,
    pub(super) store: &'a dyn Store,
    pub(super) vault: &'a Vault,
    /// What the transactions before it in the same commit have staged.
    pub(super) earlier: &'a Overlay,
    pub(super) now: Timestamp,
    /// Index of its first entry.
    pub(super) first: u64,
    pub(super) staged: Staged,
    /// The first fatal error, whatever the caller made of it.
    pub(super) fatal: Option<TxError>,
}

impl Tx<'_> {
    /// Whose transaction it is.
    #[must_use]
    pub const fn agency(&self) -> &AgencyId {
        self.agency
    }

    /// The time of its entries: the clock's, never before that of an earlier entry.
    #[must_use]
    pub const fn now(&self) -> Timestamp {
        self.now
    }

    /// A key of its agency.
    #[must_use]
    pub fn key(&self, space: Space, rest: &[u8]) -> Key {
        Key::of(self.agency, space, rest)
    }

    /// The keys of its agency and `space` whose rest starts with `prefix`.
    #[must_use]
    pub fn range(&self, space: Space, prefix: &[u8]) -> KeyRange {
        KeyRange::of(self.agency, space, prefix)
    }

    /// The value of `key`.
    ///
    /// # Errors
    /// [`TxError::Foreign`] or [`TxError::Store`].
    pub fn get(&mut self, key: &Key) -> Result<Option<Vec<u8>>, TxError> {
        if !key.is_open_to(self.agency) {
            return Err(TxError::Foreign { key: key.clone() });
        }
        if let Some(value) = self
            .staged
            .writes
            .get(key)
            .or_else(|| self.earlier.get(key))
        {
            return Ok(value.clone());
        }
        let found = self.store.get(key).map_err(TxError::Store);
        self.noting(found)
    }

    /// The first rows of `range`, as [`Store::scan`] gives them.
    ///
    /// # Errors
    /// [`TxError::Foreign`] or [`TxError::Store`].
    pub fn scan(&mut self, range: &KeyRange, count: usize) -> Result<Page, TxError> {
        if !range.is_open_to(self.agency) {
            return Err(TxError::Foreign {
                key: range.first().clone(),
            });
        }
        let committed = rows(self.store, range);
        let earlier = overlaid(range, committed, self.earlier);
        let page = Page::collect(range, count, overlaid(range, earlier, &self.staged.writes));
        self.noting(page.map_err(TxError::Store))
    }

    /// Stages `value` at `key`.
    ///
    /// # Errors
    /// [`TxError::Foreign`], [`TxError::Reserved`], [`TxError::TooLarge`] or [`TxError::Store`] with
    /// [`StoreError::TooLarge`].
    pub fn put(&mut self, key: Key, value: Vec<u8>) -> Result<(), TxError> {
        self.may_write(&key)?;
        self.stage(key, Some(value))
    }

    /// Stages the deletion of what is at `key`, if anything.
    ///
    /// # Errors
    /// As [`Self::put`].
    pub fn delete(&mut self, key: Key) -> Result<(), TxError> {
        self.may_write(&key)?;
        self.stage(key, None)
    }

    /// Stages a log entry and returns the index that it will have.
    ///
    /// # Errors
    /// [`TxError::Entry`] or [`TxError::TooLarge`].
    pub fn append(&mut self, event: wire::log_entry::Event) -> Result<u64, TxError> {
        let entry = encode_entry(self.now, event);
        if entry.len() > ENTRY_BYTES {
            return Err(TxError::Entry { bytes: entry.len() });
        }
        self.count(entry.len().saturating_add(ENTRY_OVERHEAD))?;
        let index = self.first.saturating_add(self.staged.entries.len() as u64);
        self.staged.entries.push(entry);
        Ok(index)
    }

    /// Stages the sealed body of `message`, under a key of its own.
    ///
    /// # Errors
    /// [`TxError::BodyExists`], [`TxError::TooLarge`], [`TxError::Vault`] or [`TxError::Store`].
    pub fn put_body(&mut self, message: MessageId, body: Vec<u8>) -> Result<(), TxError> {
        let record_key = body::record_key(self.agency, message);
        if self.get(&record_key)?.is_some() {
            return Err(TxError::BodyExists { message });
        }
        // Not sealed only to find that it is too large.
        self.fits(body.len())?;
        let sealed = self
            .vault
            .put(self.agency, message, body)
            .map_err(TxError::Vault);
        let sealed = self.noting(sealed)?;
        self.staged.sealed.push(sealed.slot);
        let mut chunks = 0;
        for chunk in sealed.chunks {
            self.stage(body::chunk_key(self.agency, message, chunks), Some(chunk))?;
            chunks = chunks.saturating_add(1);
        }
        self.stage(
            record_key,
            Some(
                Record {
                    slot: sealed.slot,
                    chunks,
                }
                .to_bytes(),
            ),
        )
    }

    /// Stages the erasure of the body of `message`: its key is destroyed once the commit is durable,
    /// before the caller is answered. Returns whether there was one.
    ///
    /// # Errors
    /// [`TxError::TooLarge`] or [`TxError::Store`].
    pub fn erase_body(&mut self, message: MessageId) -> Result<bool, TxError> {
        let record_key = body::record_key(self.agency, message);
        let Some(found) = self.get(&record_key)? else {
            return Ok(false);
        };
        // A record that does not parse names no key; the key is an orphan, swept at start.
        if let Some(record) = Record::from_bytes(&found) {
            for chunk in 0..record.chunks {
                self.stage(body::chunk_key(self.agency, message, chunk), None)?;
            }
            self.staged.erased.push(record.slot);
        }
        self.stage(record_key, None)?;
        Ok(true)
    }

    fn may_write(&self, key: &Key) -> Result<(), TxError> {
        if !key.is_open_to(self.agency) {
            return Err(TxError::Foreign { key: key.clone() });
        }
        match key.space() {
            None
            | Some(
                Space::LogHead
                | Space::LogNode
                | Space::LogEntry
                | Space::Agency
                | Space::Body
                | Space::BodyChunk,
            ) => Err(TxError::Reserved { key: key.clone() }),
            Some(_) => Ok(()),
        }
    }

    fn stage(&mut self, key: Key, value: Option<Vec<u8>>) -> Result<(), TxError> {
        let too_large =
            |what, bytes, limit| Err(TxError::Store(StoreError::TooLarge { what, bytes, limit }));
        let key_bytes = key.as_bytes().len();
        let value_bytes = value.as_ref().map_or(0, Vec::len);
        // Found here, it costs this transaction and not its whole batch.
        if key_bytes > limit::KEY_BYTES {
            return too_large("a key", key_bytes, limit::KEY_BYTES);
        }
        if value_bytes > limit::VALUE_BYTES {
            return too_large("a value", value_bytes, limit::VALUE_BYTES);
        }
        self.count(key_bytes.saturating_add(value_bytes))?;
        self.staged.writes.insert(key, value);
        Ok(())
    }

    fn count(&mut self, more: usize) -> Result<(), TxError> {
        self.fits(more)?;
        self.staged.bytes = self.staged.bytes.saturating_add(more);
        Ok(())
    }

    const fn fits(&self, more: usize) -> Result<(), TxError> {
        let bytes = self.staged.bytes.saturating_add(more);
        if bytes <= limit::TRANSACTION_BYTES {
            Ok(())
        } else {
            Err(TxError::TooLarge { bytes })
        }
    }

    /// Passes `result` on; the sequencer looks at fatal errors even if the caller does not.
    fn noting<T>(&mut self, result: Result<T, TxError>) -> Result<T, TxError> {
        if let Err(error) = &result
            && error.is_fatal()
        {
            self.fatal.get_or_insert_with(|| error.clone());
        }
        result
    }
}

/// Shows whose it is and how much it has staged, not what.
impl fmt::Debug for Tx<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Staged {
            writes, entries, ..
        } = &self.staged;
        write!(
            f,
            "Tx {{ {}, {} writes, {} entries }}",
            self.agency,
            writes.len(),
            entries.len()
        )
    }
}
