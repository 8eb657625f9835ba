//! Strict decoding: what a peer sends is bounded, known and canonical, or refused.

use prost::Message;

/// Bytes that are not one canonical encoding of the expected message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StrictError {
    /// STR-01: longer than its limit.
    #[error("STR-01: {found} bytes, at most {limit} are accepted")]
    TooLong {
        /// Bytes found.
        found: usize,
        /// Bytes accepted.
        limit: usize,
    },
    /// STR-02: not a protobuf encoding of the message.
    #[error("STR-02: not an encoding of the expected message")]
    Malformed,
    /// STR-03: unknown fields, or another encoding than the canonical one.
    #[error("STR-03: holds unknown fields or is not canonically encoded")]
    NotCanonical,
}

/// Decodes `bytes` as `M`: at most `limit` bytes, no unknown field, canonical encoding.
///
/// The bytes themselves stay what is hashed and verified; this only refuses.
///
/// # Errors
/// STR-01 to STR-03 of proto/spec/message.md.
pub fn decode<M: Message + Default>(bytes: &[u8], limit: usize) -> Result<M, StrictError> {
    if bytes.len() > limit {
        return Err(StrictError::TooLong {
            found: bytes.len(),
            limit,
        });
    }
    let message = M::decode(bytes).map_err(|_| StrictError::Malformed)?;
    // Unknown fields are dropped by decoding, so they change the encoding.
    if message.encode_to_vec() == bytes {
        Ok(message)
    } else {
        Err(StrictError::NotCanonical)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire;

    /// STR-03.
    #[test]
    fn an_unknown_field_is_refused() {
        let mut bytes = wire::Refusal {
            reason: "signature".into(),
            ..Default::default()
        }
        .encode_to_vec();
        assert!(decode::<wire::Refusal>(&bytes, 100).is_ok());
        bytes.extend([0xf8, 0x01, 0x01]);
        assert_eq!(
            decode::<wire::Refusal>(&bytes, 100),
            Err(StrictError::NotCanonical)
        );
    }

    /// STR-03.
    #[test]
    fn a_default_that_is_written_out_is_refused() {
        // Field 1, a text of no characters.
        assert_eq!(
            decode::<wire::Refusal>(&[0x0a, 0x00], 100),
            Err(StrictError::NotCanonical)
        );
    }

    /// STR-02.
    #[test]
    fn bytes_that_are_not_the_message_are_refused() {
        for bytes in [&[0xff][..], &[0x0a, 0x05, b'x']] {
            assert_eq!(
                decode::<wire::Refusal>(bytes, 100),
                Err(StrictError::Malformed)
            );
        }
    }

    #[test]
    fn each_error_names_its_check() {
        let long = StrictError::TooLong { found: 2, limit: 1 };
        assert!(long.to_string().starts_with("STR-01"));
        assert!(StrictError::Malformed.to_string().starts_with("STR-02"));
        assert!(StrictError::NotCanonical.to_string().starts_with("STR-03"));
    }

    /// STR-01. The bytes would not decode either.
    #[test]
    fn the_limit_is_checked_before_decoding() {
        let bytes = [0xff; 11];
        assert_eq!(
            decode::<wire::Refusal>(&bytes, 10),
            Err(StrictError::TooLong {
                found: 11,
                limit: 10
            })
        );
    }
}
