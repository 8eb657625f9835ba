//! How an officer comes to an agency (proto/spec/officer.md): the officer's own request, and the
//! agency's admission, which hands over the keys of the officer's desks.
//!
//! ```text
//! officer: OfficerRequest --sign--> file --VerifiedRequest::verify--> administrator
//! officer <--VerifiedAdmission::verify-- file <--sign-- Admission :administrator
//! ```
//!
//! Both files travel over any channel. What binds each to a person is a [`Code`] that is read out on
//! the telephone.

use std::fmt;
use std::str::FromStr;

use crate::context::Context;
use crate::id::Digest;

mod admission;
mod request;

pub use admission::{Admission, AdmissionError, HandedKey, Trust, VerifiedAdmission};
pub use request::{OfficerRequest, RequestError, VerifiedRequest};

const CODE_BYTES: usize = 10;

/// The first 80 bits of SHA-256 over a signed string: short enough to be read out, and too long for
/// anybody to make another file with the same one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Code([u8; CODE_BYTES]);

/// Not 20 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a code is 20 digits and letters a to f, such as `1a2b 3c4d 5e6f 7081 92a3`")]
pub struct NotACode;

impl Code {
    /// The code of what is signed under `context`.
    fn of(context: Context, content: &[u8]) -> Self {
        let digest = Digest::of_parts(&[context.line(), content]);
        let mut code = [0; CODE_BYTES];
        code.iter_mut()
            .zip(digest.as_bytes())
            .for_each(|(to, from)| *to = *from);
        Self(code)
    }
}

impl FromStr for Code {
    type Err = NotACode;

    /// Spaces, hyphens and capitals do not matter.
    fn from_str(text: &str) -> Result<Self, NotACode> {
        let digits: String = text
            .chars()
            .filter(|c| !c.is_whitespace() && *c != '-')
            .take(2 * CODE_BYTES + 1)
            .collect();
        let mut code = [0; CODE_BYTES];
        hex::decode_to_slice(digits, &mut code).map_err(|_| NotACode)?;
        Ok(Self(code))
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, pair) in self.0.chunks(2).enumerate() {
            let space = if index == 0 { "" } else { " " };
            write!(f, "{space}{}", hex::encode(pair))?;
        }
        Ok(())
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests;
