//! What a signature is for: every signed string starts with one of these lines (DESIGN 2).
//!
//! INVARIANT (one meaning per signature): no key signs a string that does not start with a context
//! line, and no two uses share one.

macro_rules! contexts {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)+) => {
        /// The use of a signature or commitment.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Context {
            $($(#[$doc])* $name,)+
        }

        impl Context {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The line that the signed string starts with, newline included.
            #[must_use]
            pub const fn line(self) -> &'static [u8] {
                match self {
                    $(Self::$name => concat!("waypost/v1 ", $text, "\n").as_bytes(),)+
                }
            }
        }
    };
}

contexts! {
    /// An envelope, by the officer.
    Envelope = "envelope",
    /// A sealed body's content, by the officer, inside the encryption.
    Body = "body",
    /// A payload's commitment, hashed and not signed.
    Commitment = "commitment",
    /// A roster, by the agency.
    Roster = "roster",
    /// A directory head, by the operator.
    Directory = "directory",
    /// A successor certificate, by the agency's old key.
    Succession = "succession",
    /// A log-in, by the officer.
    Login = "login",
    /// A desk key handed over to an officer, by the administrator.
    HandOver = "hand-over",
    /// A request to be admitted, by the officer.
    OfficerRequest = "officer-request",
    /// An admission, by the agency.
    Admission = "admission",
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::Context;

    #[test]
    fn no_two_contexts_share_a_line_and_none_is_a_prefix_of_another() {
        let lines: BTreeSet<_> = Context::ALL.iter().map(|c| c.line()).collect();
        assert_eq!(lines.len(), Context::ALL.len());
        for a in &lines {
            assert_eq!(lines.iter().filter(|b| b.starts_with(a)).count(), 1);
        }
    }
}
