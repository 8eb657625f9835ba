//! Cases, made from the messages that the agency holds: the state machine of `proto::case`, run again
//! over the list.

use std::collections::BTreeMap;

use waypost_proto::case::{self, Case, Event, Illegal};
use waypost_proto::id::CaseId;

use super::mail::{Direction, Item, Outcome};

/// A case and its messages, in order of the log.
#[derive(Debug)]
pub(crate) struct Grouped<'a> {
    /// The case's id.
    pub(crate) id: CaseId,
    /// Its messages.
    pub(crate) items: Vec<&'a Item>,
    /// Where it stands; or the move that the node should not have accepted.
    pub(crate) case: Result<Case, Illegal>,
}

/// Groups messages by case, the one with the latest message last.
pub(crate) fn group(items: &[Item]) -> Vec<Grouped<'_>> {
    let mut cases: BTreeMap<CaseId, Vec<&Item>> = BTreeMap::new();
    for item in items {
        cases.entry(item.header.case_id).or_default().push(item);
    }
    let mut grouped: Vec<_> = cases
        .into_iter()
        .map(|(id, items)| Grouped {
            id,
            case: replay(&items),
            items,
        })
        .collect();
    grouped.sort_by_key(|g| g.items.last().map(|i| i.position));
    grouped
}

/// Runs the state machine over the messages of one case. Messages that never took effect at the
/// recipient stay in it: they count at the side that sent them.
fn replay(items: &[&Item]) -> Result<Case, Illegal> {
    let mut items = items.iter();
    // A group is never empty; were it, it would be a case that does not exist.
    let first = items.next().ok_or(Illegal::Full)?;
    let counterpart = first.counterpart().agency.clone();
    let mut case = Case::open(first.header.kind, first.id(), first.direction, counterpart)?;
    if first.direction == Direction::Out && first.outcome == Outcome::Delivered {
        case = case.step(&Event::ReferralReceipted)?;
    }
    for item in items {
        case = case.step(&Event::Message {
            direction: item.direction,
            kind: item.header.kind,
            in_reply_to: item.header.in_reply_to,
            counterpart: item.counterpart().agency.clone(),
        })?;
    }
    Ok(case)
}

impl Grouped<'_> {
    /// Where it stands, in words.
    pub(crate) fn words(&self) -> String {
        let case = match &self.case {
            Ok(case) => case,
            Err(illegal) => return format!("not a lawful case: {illegal}"),
        };
        let referral = self.items.first();
        let text = match (case.side, case.state) {
            (_, case::State::Acknowledged) => "a person has it in hand",
            (case::Side::Recipient, _) => "received; nobody has acknowledged it yet",
            (case::Side::Referrer, case::State::Received) => {
                "at the recipient's node; no person has acknowledged it yet"
            }
            (case::Side::Referrer, case::State::Sent) => {
                return referral.map_or_else(String::new, |item| item.state_words());
            }
        };
        text.to_owned()
    }

    /// How many messages of the case this side holds: what the next one says it has seen.
    pub(crate) fn seen(&self) -> u32 {
        u32::try_from(self.items.len()).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use waypost_proto::kind::Kind;

    use super::*;
    use crate::online::fixture::{self, other, own};

    fn acknowledgement(position: u64, referral: &Item) -> Item {
        let mut header = fixture::header(Kind::Acknowledgement, 9, other(), own());
        header.in_reply_to = Some(referral.id());
        fixture::item(position, Direction::In, header, Outcome::Received)
    }

    #[test]
    fn a_referral_that_was_acknowledged_is_in_hand() {
        let referral = fixture::outgoing(0, Outcome::Delivered);
        let items = [referral.clone(), acknowledgement(4, &referral)];
        let cases = group(&items);
        assert_eq!(cases.len(), 1);
        assert_eq!(cases[0].words(), "a person has it in hand");
        assert_eq!(cases[0].seen(), 2);
    }

    #[test]
    fn a_referral_that_was_refused_says_why_and_what_to_do() {
        let mut referral = fixture::outgoing(0, Outcome::Refused);
        referral.reason = Some(waypost_proto::reason::Reason::RosterExpired);
        assert!(
            group(&[referral])[0]
                .words()
                .contains("waypost roster sign")
        );
    }

    #[test]
    fn a_case_that_starts_with_an_answer_is_told_as_unlawful() {
        let referral = fixture::outgoing(0, Outcome::Delivered);
        let items = [acknowledgement(4, &referral)];
        assert!(group(&items)[0].words().contains("CAS-01"));
    }

    #[test]
    fn messages_of_different_cases_are_kept_apart() {
        let one = fixture::incoming(1);
        let mut two = fixture::incoming(2);
        two.header.case_id = CaseId::new([8; 16]);
        let items = [one, two];
        let cases = group(&items);
        assert_eq!(
            cases.iter().map(|c| c.items.len()).collect::<Vec<_>>(),
            [1, 1]
        );
    }
}
