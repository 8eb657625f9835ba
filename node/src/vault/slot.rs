//! The format of the file: a header of 4096 bytes, then slots of 64: ticket, key, zeros, check.
//!
//! A slot never crosses a disk sector. A slot of zeros is free. A slot whose check fails was torn by
//! a crash before its commit, or damaged: it is not a key.

use waypost_proto::id::Digest;
use zeroize::Zeroizing;

pub(super) const HEADER: &[u8; HEADER_BYTES] = &header();
pub(super) const HEADER_BYTES: usize = 4096;
pub(super) const SLOT_BYTES: usize = 64;
pub(super) const TICKET_BYTES: usize = 8;
pub(super) const KEY_BYTES: usize = 32;
const CHECK_AT: usize = 48;

const fn header() -> [u8; HEADER_BYTES] {
    let mut bytes = [0; HEADER_BYTES];
    let (start, _) = bytes.split_at_mut(24);
    start.copy_from_slice(b"waypost vault slots v01\n");
    bytes
}

/// Where a body's key is: stored with the body. The ticket tells this use of the slot from every
/// other, so a late or repeated erasure cannot destroy a key that came after.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot {
    pub(super) index: u32,
    pub(super) ticket: [u8; TICKET_BYTES],
}

impl Slot {
    /// Its size as bytes.
    pub const BYTES: usize = 4 + TICKET_BYTES;

    /// As bytes, for the store.
    #[must_use]
    pub fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        let (index, ticket) = bytes.split_at_mut(4);
        index.copy_from_slice(&self.index.to_be_bytes());
        ticket.copy_from_slice(&self.ticket);
        bytes
    }

    /// From bytes; nothing if there are too few or too many.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (index, ticket) = bytes.split_first_chunk::<4>()?;
        Some(Self {
            index: u32::from_be_bytes(*index),
            ticket: ticket.try_into().ok()?,
        })
    }

    /// Where it stands in the file.
    pub(super) const fn offset(self) -> u64 {
        HEADER_BYTES as u64 + self.index as u64 * SLOT_BYTES as u64
    }
}

/// A slot as it stands in the file.
pub(super) fn slot_bytes(slot: Slot, key: &[u8; KEY_BYTES]) -> Zeroizing<[u8; SLOT_BYTES]> {
    let check = Digest::of_parts(&[
        b"waypost/v1 slot\n",
        &slot.index.to_be_bytes(),
        &slot.ticket,
        key,
    ]);
    let mut bytes = Zeroizing::new([0; SLOT_BYTES]);
    let (ticket, rest) = bytes.split_at_mut(TICKET_BYTES);
    let (key_at, _) = rest.split_at_mut(KEY_BYTES);
    ticket.copy_from_slice(&slot.ticket);
    key_at.copy_from_slice(key);
    let (_, check_at) = bytes.split_at_mut(CHECK_AT);
    for (at, byte) in check_at.iter_mut().zip(check.as_bytes()) {
        *at = *byte;
    }
    bytes
}
