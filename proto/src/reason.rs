//! Why a message is refused: the closed list that stands in logs, receipts and answers.

use std::fmt;
use std::str::FromStr;

use crate::vocabulary::UnknownCode;

/// What the sender's node does about a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// The same bytes will never be accepted: the message is refused for good.
    Final,
    /// The same bytes may be accepted later: try again until it expires.
    Later,
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $fate:ident, $text:literal;)+) => {
        /// Why a message is refused (proto/spec/message.md, "Reasons").
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Reason {
            $($(#[$doc])* $name,)+
        }

        impl Reason {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The code on the wire and in logs.
            #[must_use]
            pub const fn code(self) -> &'static str {
                match self {
                    $(Self::$name => $code,)+
                }
            }

            /// What happened and what to do, for people.
            #[must_use]
            pub const fn text(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)+
                }
            }

            /// Whether trying again can help.
            #[must_use]
            pub const fn fate(self) -> Fate {
                match self {
                    $(Self::$name => Fate::$fate,)+
                }
            }
        }

        impl FromStr for Reason {
            type Err = UnknownCode;

            fn from_str(input: &str) -> Result<Self, UnknownCode> {
                match input {
                    $($code => Ok(Self::$name),)+
                    _ => Err(UnknownCode {
                        vocabulary: "reason",
                        input: input.chars().take(40).map(|c| if c.is_ascii_graphic() { c } else { '?' }).collect(),
                    }),
                }
            }
        }
    };
}

reasons! {
    /// Not one canonical message within its limits.
    Malformed = "malformed", Final, "the message is not well formed or exceeds a limit; update the sender's software";
    /// The recipient agency is not served by this node.
    NotHostedHere = "not-hosted-here", Final, "this node does not serve the recipient agency; update the directory and send again";
    /// The sender agency is not hosted by the node that delivered.
    NotHostedByPeer = "not-hosted-by-peer", Final, "the directory does not name this peer as the sender's node; update the directory";
    /// An agency is not in the directory.
    UnknownAgency = "unknown-agency", Later, "the directory does not hold this agency; ask the scheme operator";
    /// The officer is not in the cited roster, is revoked, or may not sign for the desk.
    Officer = "officer", Final, "the roster does not let this officer sign for this desk; ask the agency administrator";
    /// The signature does not verify.
    Signature = "signature", Final, "the officer's signature does not verify; sign and send again";
    /// The cited roster is not the current one, or could not be had.
    Roster = "roster", Final, "the message cites another roster than the current one; refresh and send again";
    /// The cited roster is past its validity.
    RosterExpired = "roster-expired", Final, "the roster has expired; the agency administrator renews it with `waypost roster sign`";
    /// A desk key is not the current one.
    Key = "key", Final, "a desk key is not the current one; refresh and send again";
    /// The body is not sealed to exactly the two desks.
    Recipients = "recipients", Final, "the body is not sealed to exactly the two desks; seal and send again";
    /// The suite is not the one that the directory names.
    Suite = "suite", Final, "the message uses another cryptographic suite than the directory names";
    /// The policy does not allow what the manifest declares.
    NotPermitted = "not-permitted", Final, "the sharing policy does not allow what the message declares; see `waypost policy explain`";
    /// A policy bundle that the manifest cites is not the current one.
    Bundle = "bundle", Final, "the message was decided under another policy bundle; refresh and send again";
    /// The catalogue or taxonomy that the manifest cites is not known.
    Lists = "lists", Final, "the message uses another field catalogue or taxonomy; update the software";
    /// Past its expiry.
    Expired = "expired", Final, "the message has expired; check that it is still true and send again";
    /// Created in the future.
    Clock = "clock", Final, "the message's times are out of bounds; check the sender's clock";
    /// The same id with other bytes.
    IdReused = "id-reused", Final, "a message with this id and other bytes exists; send under a new id";
    /// The case does not allow this message now.
    Case = "case", Final, "the case does not allow this message; see `waypost case show`";
    /// Not after the last one of the pair.
    Order = "order", Final, "the message's number is not after the last one of this pair of agencies";
    /// An earlier number of the pair has not come yet.
    Gap = "gap", Later, "an earlier message of this pair of agencies has not come yet; they will be offered in order";
    /// The log evidence does not prove the message.
    Evidence = "evidence", Final, "the log evidence does not prove the message; the sender's operator looks at the node";
    /// The consistency proof starts from another size than the last one seen.
    LastSeenDiffers = "last-seen-differs", Later, "the proof starts from another size than the last one seen here";
    /// Two signed checkpoints of one log contradict each other.
    Contradiction = "contradiction", Final, "two signed checkpoints of the log contradict each other; both are kept as proof";
    /// Directory or own roster past its validity.
    Degraded = "degraded", Later, "the directory or roster here is past its validity; telephone if it is urgent";
    /// Too much waits.
    Busy = "busy", Later, "too much waits here; the message will be offered again";
    /// Something here failed.
    Unavailable = "unavailable", Later, "this node could not finish; the message will be offered again";
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_parses_to_itself_and_tells_what_to_do() {
        for reason in Reason::ALL {
            assert_eq!(reason.code().parse::<Reason>().unwrap(), *reason);
            assert!(reason.text().len() > 20);
        }
    }
}
