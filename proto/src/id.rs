//! Identifiers: each a type of its own, parsed once at the edge.
//!
//! Agency and node ids are `country.label[.label..]`, lower case (DESIGN 2). Message, case and
//! subject ids are 128 random bits, written as 32 hexadecimal digits. All of them are safe for logs,
//! except [`SubjectRef`], which is agency-local and never leaves its own node.

use std::fmt;
use std::str::FromStr;

/// An identifier that does not parse.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Not `country.label[.label..]`.
    #[error(
        "`{input}` is not an id: expected lower-case labels joined by dots, the country first, such as `gb.example-county.child-protection`"
    )]
    Dotted {
        /// What was given, shortened and with only printable characters.
        input: String,
    },
    /// Not a country.
    #[error("`{input}` is not a country: expected two lower-case letters, such as `gb`")]
    Country {
        /// What was given, shortened and with only printable characters.
        input: String,
    },
    /// Not a desk name.
    #[error("`{input}` is not a desk name: expected 1 to 32 of a-z, 0-9 and `-`, such as `intake`")]
    Desk {
        /// What was given, shortened and with only printable characters.
        input: String,
    },
    /// Not the expected number of hexadecimal digits.
    #[error(
        "expected {expected} hexadecimal digits, found {found} characters or another character"
    )]
    Hex {
        /// Digits expected.
        expected: usize,
        /// Characters found.
        found: usize,
    },
    /// Not the expected number of bytes.
    #[error("expected {expected} bytes, found {found}")]
    Length {
        /// Bytes expected.
        expected: usize,
        /// Bytes found.
        found: usize,
    },
}

impl IdError {
    /// The same without what was given: a peer's bytes are not repeated in logs or answers.
    #[must_use]
    pub(crate) fn without_input(self) -> Self {
        let input = String::from("..");
        match self {
            Self::Dotted { .. } => Self::Dotted { input },
            Self::Country { .. } => Self::Country { input },
            Self::Desk { .. } => Self::Desk { input },
            Self::Hex { .. } | Self::Length { .. } => self,
        }
    }
}

fn shown(input: &str) -> String {
    input
        .chars()
        .take(80)
        .map(|c| if c.is_ascii_graphic() { c } else { '?' })
        .collect()
}

fn is_label(label: &str) -> bool {
    (1..=32).contains(&label.len())
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

fn is_country(text: &str) -> bool {
    text.len() == 2 && text.bytes().all(|b| b.is_ascii_lowercase())
}

fn is_dotted(id: &str) -> bool {
    let mut labels = id.split('.');
    let country_ok = labels.next().is_some_and(is_country);
    let rest: Vec<&str> = labels.collect();
    country_ok && (1..=5).contains(&rest.len()) && rest.iter().all(|l| is_label(l))
}

/// A country, by its two letters: what an id starts with, and what one scheme operator vouches for.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Country(Box<str>);

impl Country {
    /// The letters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Country {
    type Err = IdError;

    fn from_str(input: &str) -> Result<Self, IdError> {
        if is_country(input) {
            Ok(Self(input.into()))
        } else {
            Err(IdError::Country {
                input: shown(input),
            })
        }
    }
}

impl fmt::Display for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

macro_rules! dotted_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Box<str>);

        impl $name {
            /// The id as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// The country that it starts with.
            #[must_use]
            pub fn country(&self) -> Country {
                Country(self.0.split('.').next().unwrap_or_default().into())
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(input: &str) -> Result<Self, IdError> {
                if is_dotted(input) {
                    Ok(Self(input.into()))
                } else {
                    Err(IdError::Dotted { input: shown(input) })
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

dotted_id!(
    /// An agency: `gb.example-county.child-protection`.
    AgencyId
);
dotted_id!(
    /// A node, which hosts one or many agencies: `gb.example-host`.
    NodeId
);

/// A desk of an agency: `intake`, `child-specialist`, `liaison` ...
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeskName(Box<str>);

impl DeskName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for DeskName {
    type Err = IdError;

    fn from_str(input: &str) -> Result<Self, IdError> {
        if is_label(input) {
            Ok(Self(input.into()))
        } else {
            Err(IdError::Desk {
                input: shown(input),
            })
        }
    }
}

impl fmt::Display for DeskName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for DeskName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One desk of one agency, written `AGENCY/DESK`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeskAddress {
    /// The agency.
    pub agency: AgencyId,
    /// Its desk.
    pub desk: DeskName,
}

impl fmt::Display for DeskAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.agency, self.desk)
    }
}

macro_rules! bytes_id {
    ($(#[$doc:meta])* $name:ident, $len:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; $len]);

        impl $name {
            /// Its size in bytes.
            pub const BYTES: usize = $len;

            /// From its bytes.
            #[must_use]
            pub const fn new(bytes: [u8; $len]) -> Self {
                Self(bytes)
            }

            /// Its bytes.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; $len] {
                &self.0
            }
        }

        impl TryFrom<&[u8]> for $name {
            type Error = IdError;

            fn try_from(bytes: &[u8]) -> Result<Self, IdError> {
                bytes.try_into().map(Self).map_err(|_| IdError::Length {
                    expected: $len,
                    found: bytes.len(),
                })
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(input: &str) -> Result<Self, IdError> {
                let mut bytes = [0; $len];
                hex::decode_to_slice(input, &mut bytes).map_err(|_| IdError::Hex {
                    expected: $len * 2,
                    found: input.chars().count(),
                })?;
                Ok(Self(bytes))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&hex::encode(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}

bytes_id!(
    /// One message, for ever.
    MessageId,
    16
);
bytes_id!(
    /// One case between two agencies. Another pair's case about the same person has another id.
    CaseId,
    16
);
bytes_id!(
    /// One person's file at one agency. Random, agency-local, never sent to a peer.
    SubjectRef,
    16
);
bytes_id!(
    /// An OpenPGP v6 fingerprint of a primary key or subkey (RFC 9580, 5.5.4.3).
    Fingerprint,
    32
);
bytes_id!(
    /// A SHA-256 digest.
    Digest,
    32
);

impl Digest {
    /// SHA-256 of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self::of_parts(&[bytes])
    }

    /// SHA-256 of the concatenation of `parts`.
    #[must_use]
    pub fn of_parts(parts: &[&[u8]]) -> Self {
        let mut context = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
        for part in parts {
            context.update(part);
        }
        let mut bytes = [0; 32];
        bytes.copy_from_slice(context.finish().as_ref());
        Self(bytes)
    }
}

/// Seconds since 1970-01-01T00:00:00Z, without leap seconds. Always an argument, never read here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// This instant `seconds` later; stays at the end of time rather than overflow.
    #[must_use]
    pub const fn plus(self, seconds: u64) -> Self {
        Self(self.0.saturating_add(seconds))
    }

    /// Seconds from `earlier` to this instant; 0 if `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agency_id_starts_with_its_country() {
        let id: AgencyId = "gb.example-county.child-protection".parse().unwrap();
        assert_eq!(id.country().as_str(), "gb");
    }

    #[test]
    fn ids_that_could_be_paths_or_injections_are_refused() {
        for bad in [
            "", "gb", "gb.", "GB.x", "gbr.x", "gb.-x", "gb.x-", "gb.a/b", "gb..x", "gb.a b",
            "gb.é", "../x",
        ] {
            assert!(bad.parse::<AgencyId>().is_err(), "`{bad}` was accepted");
        }
    }

    #[test]
    fn a_digest_of_parts_is_the_digest_of_their_concatenation() {
        assert_eq!(
            Digest::of(b"waypost"),
            Digest::of_parts(&[b"way", b"", b"post"])
        );
    }
}
