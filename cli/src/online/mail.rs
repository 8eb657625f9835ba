//! The agency's messages as its node lists them, parsed. What the list says is the node's word until
//! `mirror` has compared it with the log.

use waypost_proto::header::{Header, HeaderError};
use waypost_proto::id::{CaseId, DeskAddress, Digest, MessageId, Timestamp};
use waypost_proto::reason::Reason;
use waypost_proto::wire;

use super::call::{self, CallError, Client};
use crate::output::Failure;

/// Items asked for at once.
const PAGE: u32 = 500;
/// The most items that one command reads.
const ITEMS: usize = 1_000_000;

/// Who sent a message, seen from here.
pub(crate) use waypost_proto::case::Direction;

/// What became of a message, as the node tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Waits at the own node.
    Queued,
    /// The recipient's node has receipted it.
    Delivered,
    /// Refused for good.
    Refused,
    /// Never accepted before its deadline.
    Expired,
    /// Past its deadline without an answer; still asked for.
    Unconfirmed,
    /// Came in.
    Received,
}

impl Outcome {
    const fn parse(wire: wire::Outcome) -> Option<Self> {
        match wire {
            wire::Outcome::Unspecified => None,
            wire::Outcome::Queued => Some(Self::Queued),
            wire::Outcome::Delivered => Some(Self::Delivered),
            wire::Outcome::Refused => Some(Self::Refused),
            wire::Outcome::Expired => Some(Self::Expired),
            wire::Outcome::Unconfirmed => Some(Self::Unconfirmed),
            wire::Outcome::Received => Some(Self::Received),
        }
    }

    /// One word, for JSON.
    pub(crate) const fn code(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Delivered => "delivered",
            Self::Refused => "refused",
            Self::Expired => "expired",
            Self::Unconfirmed => "unconfirmed",
            Self::Received => "received",
        }
    }
}

/// One message of the agency.
#[derive(Debug, Clone)]
pub(crate) struct Item {
    /// Index of the log entry that made it.
    pub(crate) position: u64,
    /// Who sent it.
    pub(crate) direction: Direction,
    /// Its header.
    pub(crate) header: Header,
    /// SHA-256 of the header's exact bytes.
    pub(crate) header_digest: Digest,
    /// What became of it.
    pub(crate) outcome: Outcome,
    /// Why it was refused.
    pub(crate) reason: Option<Reason>,
    /// Log time of the entry that made it.
    pub(crate) time: Timestamp,
    /// When it was first fetched.
    pub(crate) fetched_at: Option<Timestamp>,
    /// When it was first reported opened.
    pub(crate) opened_at: Option<Timestamp>,
    /// Bytes of the sealed body.
    pub(crate) body_bytes: u64,
}

/// A list that does not hold, or does not hold what was asked for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MailError {
    /// An item's header breaks a rule.
    #[error("the node lists something that is no message at position {position}: {source}")]
    Header {
        /// Where.
        position: u64,
        /// What is wrong.
        source: HeaderError,
    },
    /// An item without direction or outcome.
    #[error("the node lists a message without direction or outcome at position {position}")]
    Unspecified {
        /// Where.
        position: u64,
    },
    /// Positions that do not grow.
    #[error("the node's list goes back at position {position}")]
    Order {
        /// Where.
        position: u64,
    },
    /// More than one command reads.
    #[error("the node lists more than {ITEMS} messages")]
    TooMany,
    /// No message starts so.
    #[error("no {what} has an id that starts with `{prefix}`")]
    NotFound {
        /// `message` or `case`.
        what: &'static str,
        /// What was given.
        prefix: String,
    },
    /// More than one starts so.
    #[error("{found} {what}s have ids that start with `{prefix}`: give more digits")]
    Ambiguous {
        /// `message` or `case`.
        what: &'static str,
        /// What was given.
        prefix: String,
        /// How many.
        found: usize,
    },
    /// A call fails.
    #[error(transparent)]
    Call(#[from] CallError),
}

impl From<MailError> for Failure {
    fn from(error: MailError) -> Self {
        match error {
            MailError::Call(error) => error.into(),
            MailError::NotFound { .. } | MailError::Ambiguous { .. } => {
                Self::invalid(error.to_string()).next("waypost inbox --all, or waypost case list")
            }
            error => Self::error(error.to_string())
                .because("the node's list cannot be used")
                .next("type the command again; then tell who runs the node"),
        }
    }
}

impl Item {
    /// Parses what the node lists.
    pub(crate) fn parse(wire: &wire::ListItem) -> Result<Self, MailError> {
        let position = wire.position;
        let header = Header::decode(&wire.header)
            .map_err(|source| MailError::Header { position, source })?;
        let direction = match wire.direction() {
            wire::Direction::In => Direction::In,
            wire::Direction::Out => Direction::Out,
            wire::Direction::Unspecified => return Err(MailError::Unspecified { position }),
        };
        let outcome = Outcome::parse(wire.outcome()).ok_or(MailError::Unspecified { position })?;
        let moment = |seconds| (seconds != 0).then_some(Timestamp(seconds));
        Ok(Self {
            position,
            direction,
            header_digest: Digest::of(&wire.header),
            header,
            outcome,
            reason: wire.reason.parse().ok(),
            time: Timestamp(wire.time),
            fetched_at: moment(wire.fetched_at),
            opened_at: moment(wire.opened_at),
            body_bytes: wire.body_bytes,
        })
    }

    /// The other agency's desk.
    pub(crate) const fn counterpart(&self) -> &DeskAddress {
        match self.direction {
            Direction::In => &self.header.sender,
            Direction::Out => &self.header.recipient,
        }
    }

    /// This agency's desk.
    pub(crate) const fn own_desk(&self) -> &DeskAddress {
        match self.direction {
            Direction::In => &self.header.recipient,
            Direction::Out => &self.header.sender,
        }
    }

    /// Its id.
    pub(crate) const fn id(&self) -> MessageId {
        self.header.message_id
    }

    /// What became of it, in words.
    pub(crate) fn state_words(&self) -> String {
        match (self.direction, self.outcome) {
            (Direction::In, _) => match (self.opened_at, self.fetched_at) {
                (Some(_), _) => "opened".into(),
                (None, Some(_)) => "fetched, not yet reported opened".into(),
                (None, None) => "new".into(),
            },
            (_, Outcome::Queued) => "waiting to be delivered".into(),
            (_, Outcome::Delivered) => "delivered: the recipient's node has receipted it".into(),
            (_, Outcome::Refused) => self.reason.map_or_else(
                || "refused".into(),
                |reason| format!("refused: {}", reason.text()),
            ),
            (_, Outcome::Expired) => {
                "expired: never accepted before its deadline; telephone, and send again".into()
            }
            (_, Outcome::Unconfirmed) => {
                "unconfirmed: past its deadline without an answer, still asked for; telephone"
                    .into()
            }
            (_, Outcome::Received) => "received".into(),
        }
    }
}

/// Every message of the agency, or of one case, in order of the log.
pub(crate) async fn list(
    client: &mut Client,
    case: Option<CaseId>,
) -> Result<Vec<Item>, MailError> {
    let mut items: Vec<Item> = Vec::new();
    let mut after = 0;
    loop {
        let request = wire::ListRequest {
            case_id: case.map_or_else(Vec::new, |id| id.as_bytes().to_vec()),
            direction: wire::Direction::Unspecified.into(),
            after,
            limit: PAGE,
        };
        let reply = call::answer(client.list(request)).await?;
        append(&mut items, &reply)?;
        match items.last() {
            Some(last) if reply.more && last.position > after => after = last.position,
            _ if reply.more => return Err(MailError::Order { position: after }),
            _ => return Ok(items),
        }
    }
}

/// Adds a page. Positions grow, so that a list cannot go round in circles or show one twice.
fn append(items: &mut Vec<Item>, reply: &wire::ListReply) -> Result<(), MailError> {
    for wire in &reply.items {
        let item = Item::parse(wire)?;
        if items
            .last()
            .is_some_and(|last| item.position <= last.position)
        {
            return Err(MailError::Order {
                position: item.position,
            });
        }
        if items.len() >= ITEMS {
            return Err(MailError::TooMany);
        }
        items.push(item);
    }
    Ok(())
}

/// The one message whose id starts with `prefix`.
pub(crate) fn find<'a>(items: &'a [Item], prefix: &str) -> Result<&'a Item, MailError> {
    let mut found = items
        .iter()
        .filter(|item| item.id().to_string().starts_with(prefix));
    let (first, others) = (found.next(), found.count());
    one("message", prefix, first, others)
}

/// The one case whose id starts with `prefix`.
pub(crate) fn find_case(items: &[Item], prefix: &str) -> Result<CaseId, MailError> {
    let mut cases: Vec<CaseId> = items
        .iter()
        .map(|item| item.header.case_id)
        .filter(|id| id.to_string().starts_with(prefix))
        .collect();
    cases.sort_unstable();
    cases.dedup();
    one(
        "case",
        prefix,
        cases.first().copied(),
        cases.len().saturating_sub(1),
    )
}

fn one<T>(
    what: &'static str,
    prefix: &str,
    first: Option<T>,
    others: usize,
) -> Result<T, MailError> {
    let prefix = prefix.to_owned();
    match (first, others) {
        (Some(one), 0) => Ok(one),
        (None, _) => Err(MailError::NotFound { what, prefix }),
        (Some(_), others) => Err(MailError::Ambiguous {
            what,
            prefix,
            found: others.saturating_add(1),
        }),
    }
}

/// The start of an id that people read and type.
pub(crate) fn short(id: &impl ToString) -> String {
    id.to_string().chars().take(8).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::online::fixture;

    fn wire_item(item: &Item) -> wire::ListItem {
        wire::ListItem {
            position: item.position,
            direction: wire::Direction::In.into(),
            header: item.header.encode(),
            outcome: wire::Outcome::Received.into(),
            time: item.time.0,
            body_bytes: item.body_bytes,
            ..Default::default()
        }
    }

    #[test]
    fn an_item_is_parsed_with_its_header() {
        let item = fixture::incoming(1);
        let parsed = Item::parse(&wire_item(&item)).unwrap();
        assert_eq!(parsed.header, item.header);
        assert_eq!(parsed.header_digest, item.header_digest);
        assert_eq!(parsed.fetched_at, None);
        assert_eq!(parsed.state_words(), "new");
    }

    #[test]
    fn an_item_without_direction_or_header_is_refused() {
        let mut item = wire_item(&fixture::incoming(1));
        item.direction = 0;
        assert!(matches!(
            Item::parse(&item),
            Err(MailError::Unspecified { position: 1 })
        ));
        item.header.clear();
        assert!(matches!(
            Item::parse(&item),
            Err(MailError::Header { position: 1, .. })
        ));
    }

    #[test]
    fn a_page_that_goes_back_is_refused() {
        let page = |positions: [u64; 2]| wire::ListReply {
            items: positions.map(|p| wire_item(&fixture::incoming(p))).to_vec(),
            more: false,
        };
        let mut items = Vec::new();
        append(&mut items, &page([1, 2])).unwrap();
        assert!(matches!(
            append(&mut items, &page([2, 3])),
            Err(MailError::Order { position: 2 })
        ));
    }

    #[test]
    fn a_short_id_finds_its_message_only_if_it_is_the_only_one() {
        let mut twin = fixture::incoming(2);
        let mut bytes = *fixture::incoming(1).id().as_bytes();
        bytes[15] = 0xff;
        twin.header.message_id = MessageId::new(bytes);
        let items = [fixture::incoming(1), twin];
        assert_eq!(
            find(&items, "0202020202020202020202020202ff")
                .map(Item::id)
                .ok(),
            None
        );
        assert_eq!(
            find(&items, &items[0].id().to_string()).unwrap().position,
            1
        );
        assert!(matches!(
            find(&items, "020202"),
            Err(MailError::Ambiguous { found: 2, .. })
        ));
        assert!(matches!(
            find(&items, "030303"),
            Err(MailError::NotFound { .. })
        ));
        assert_eq!(find_case(&items, "070707").unwrap(), CaseId::new([7; 16]));
    }

    #[test]
    fn a_refusal_is_told_in_words_and_not_by_its_code() {
        let mut item = fixture::outgoing(1, Outcome::Refused);
        item.reason = Some(Reason::Officer);
        assert!(
            item.state_words()
                .contains("does not let this officer sign")
        );
    }
}
