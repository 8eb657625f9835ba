//! Strict packet framing: RFC 9580 headers with definite lengths, to the last byte (OPG-01).

use sequoia_openpgp as pgp;

use pgp::parse::Parse;
use pgp::serialize::MarshalInto;

/// Packet types (RFC 9580, 5).
pub(super) mod tag {
    pub(crate) const PKESK: u8 = 1;
    pub(crate) const SIGNATURE: u8 = 2;
    pub(crate) const ONE_PASS_SIGNATURE: u8 = 4;
    pub(crate) const SECRET_KEY: u8 = 5;
    pub(crate) const PUBLIC_KEY: u8 = 6;
    pub(crate) const SECRET_SUBKEY: u8 = 7;
    pub(crate) const COMPRESSED: u8 = 8;
    pub(crate) const LITERAL: u8 = 11;
    pub(crate) const USER_ID: u8 = 13;
    pub(crate) const PUBLIC_SUBKEY: u8 = 14;
    pub(crate) const SEIPD: u8 = 18;
    pub(crate) const PADDING: u8 = 21;
}

/// Bytes that are not a sequence of whole packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FramingError {
    /// Text, such as armor, or no OpenPGP at all.
    #[error("not binary OpenPGP at byte {offset}; armor is not accepted")]
    NotBinary {
        /// Where.
        offset: usize,
    },
    /// A header of the format before RFC 4880.
    #[error("packet header of the legacy format at byte {offset}")]
    LegacyHeader {
        /// Where.
        offset: usize,
    },
    /// A length in parts.
    #[error("packet of partial length at byte {offset}")]
    PartialLength {
        /// Where.
        offset: usize,
    },
    /// It ends within a packet.
    #[error("packet cut short at byte {offset}")]
    Truncated {
        /// Where the packet starts.
        offset: usize,
    },
    /// More packets than anything of ours has.
    #[error("more than {max} packets")]
    TooMany {
        /// The bound.
        max: usize,
    },
}

/// One packet: its type, its body, and all its bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame<'a> {
    pub(super) tag: u8,
    pub(super) body: &'a [u8],
    pub(super) bytes: &'a [u8],
}

/// No sequence of ours has more packets: a certificate with all its subkeys.
const MAX_PACKETS: usize = 4 + 2 * crate::limit::ENCRYPTION_KEYS;

/// Splits `bytes` into packets. The caller has bounded them.
pub(super) fn frames(bytes: &[u8]) -> Result<Vec<Frame<'_>>, FramingError> {
    let mut frames = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        if frames.len() == MAX_PACKETS {
            return Err(FramingError::TooMany { max: MAX_PACKETS });
        }
        let frame = first(rest, bytes.len() - rest.len())?;
        rest = rest.get(frame.bytes.len()..).unwrap_or_default();
        frames.push(frame);
    }
    Ok(frames)
}

fn first(bytes: &[u8], offset: usize) -> Result<Frame<'_>, FramingError> {
    let truncated = FramingError::Truncated { offset };
    let (&header, rest) = bytes.split_first().ok_or(truncated)?;
    if header & 0x80 == 0 {
        return Err(FramingError::NotBinary { offset });
    }
    if header & 0x40 == 0 {
        return Err(FramingError::LegacyHeader { offset });
    }
    let (length, header_bytes) = match *rest {
        [a @ 0..192, ..] => (usize::from(a), 2),
        [a @ 192..224, b, ..] => ((usize::from(a) - 192) * 256 + usize::from(b) + 192, 3),
        [224..=254, ..] => return Err(FramingError::PartialLength { offset }),
        [255, a, b, c, d, ..] => {
            let length = u32::from_be_bytes([a, b, c, d]);
            (usize::try_from(length).map_err(|_| truncated)?, 6)
        }
        _ => return Err(truncated),
    };
    let end = length.checked_add(header_bytes).ok_or(truncated)?;
    Ok(Frame {
        tag: header & 0x3f,
        body: bytes.get(header_bytes..end).ok_or(truncated)?,
        bytes: bytes.get(..end).ok_or(truncated)?,
    })
}

/// The packet in a frame, if sequoia reads it whole and would write the same bytes.
pub(super) fn canonical(frame: &Frame<'_>) -> Option<pgp::Packet> {
    let mut packets = pgp::PacketPile::from_bytes(frame.bytes)
        .ok()?
        .into_children();
    let packet = packets.next()?;
    let alone = packets.next().is_none();
    (alone && packet.to_vec().ok()? == frame.bytes).then_some(packet)
}

#[cfg(test)]
mod tests {
    use super::*;

    // OPG-01
    #[test]
    fn only_whole_packets_with_modern_headers_and_definite_lengths_are_framed() {
        let two = [0xcd, 1, b'a', 0xd5, 0xff, 0, 0, 0, 2, 7, 7];
        let framed = frames(&two).unwrap();
        assert_eq!(
            framed
                .iter()
                .map(|f| (f.tag, f.body.len()))
                .collect::<Vec<_>>(),
            [(13, 1), (21, 2)]
        );
        assert_eq!(
            frames(b"-----BEGIN PGP").unwrap_err(),
            FramingError::NotBinary { offset: 0 }
        );
        assert_eq!(
            frames(&[0xcd, 0, 0x99, 0]).unwrap_err(),
            FramingError::LegacyHeader { offset: 2 }
        );
        assert_eq!(
            frames(&[0xd2, 0xe4, 0]).unwrap_err(),
            FramingError::PartialLength { offset: 0 }
        );
        for cut in [&two[..2], &two[..10], &two[..1]] {
            assert!(matches!(
                frames(cut).unwrap_err(),
                FramingError::Truncated { .. }
            ));
        }
        assert!(matches!(
            frames(&[0xcd, 0].repeat(1000)).unwrap_err(),
            FramingError::TooMany { .. }
        ));
    }
}
