//! The case, as one side holds it: a state machine without I/O (DOMAIN a.2, T1 to T3).
//!
//! Each edge has one writer: the referrer sends, the recipient's node receives, a person at the
//! recipient acknowledges. Replies and reports change no state. A request to another State opens a
//! case as a referral does.

use crate::id::{AgencyId, MessageId};
use crate::kind::Kind;

/// Which side of the case this agency is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Sent the referral.
    Referrer,
    /// Was sent the referral.
    Recipient,
}

/// Lifecycle state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// The referral is on its way.
    Sent,
    /// The recipient's node holds it.
    Received,
    /// A person at the recipient has it in hand.
    Acknowledged,
}

impl State {
    /// The state's name, as in DOMAIN a.2, in lower case.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Received => "received",
            Self::Acknowledged => "acknowledged",
        }
    }
}

/// A case between this agency and one counterpart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// The other agency.
    pub counterpart: AgencyId,
    /// This agency's side.
    pub side: Side,
    /// Where it stands.
    pub state: State,
    /// The referral that opened it.
    pub referral: MessageId,
    /// Messages of this case that this side holds, both directions.
    pub messages: u32,
}

/// Who sent a message, seen from here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// By this agency.
    Out,
    /// By the counterpart.
    In,
}

/// What happens to a case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A message of the case, accepted here.
    Message {
        /// By whom.
        direction: Direction,
        /// Its kind.
        kind: Kind,
        /// The message that it answers.
        in_reply_to: Option<MessageId>,
        /// The other agency.
        counterpart: AgencyId,
    },
    /// A receipt for the referral has verified.
    ReferralReceipted,
}

/// A move that the case does not allow.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Illegal {
    /// CAS-01: the case does not exist here, and the message does not open one.
    #[error("CAS-01: `{}` needs a case that exists", kind.code())]
    NoCase {
        /// The kind.
        kind: Kind,
    },
    /// CAS-02: the case exists, and the message would open it again.
    #[error("CAS-02: the case exists already")]
    Exists,
    /// CAS-03: the case is with another agency.
    #[error("CAS-03: the case is with another agency")]
    Counterpart,
    /// CAS-04: only the recipient of the referral acknowledges it, once, and by its id.
    #[error("CAS-04: only the referral's recipient acknowledges it, once, by the referral's id")]
    Acknowledgement,
    /// CAS-06: only the recipient of the request replies to it, and by its id.
    #[error("CAS-06: only the request's recipient replies to it, by the request's id")]
    LiaisonReply,
    /// CAS-05: more messages than a case holds.
    #[error("CAS-05: the case holds too many messages")]
    Full,
}

impl Case {
    /// The first message of a case.
    ///
    /// # Errors
    /// CAS-01 when the kind does not open a case.
    pub fn open(
        kind: Kind,
        id: MessageId,
        direction: Direction,
        counterpart: AgencyId,
    ) -> Result<Self, Illegal> {
        if !kind.opens_case() {
            return Err(Illegal::NoCase { kind });
        }
        let (side, state) = match direction {
            Direction::Out => (Side::Referrer, State::Sent),
            Direction::In => (Side::Recipient, State::Received),
        };
        Ok(Self {
            counterpart,
            side,
            state,
            referral: id,
            messages: 1,
        })
    }

    /// The case after `event`.
    ///
    /// # Errors
    /// CAS-02 to CAS-05.
    pub fn step(self, event: &Event) -> Result<Self, Illegal> {
        match event {
            Event::ReferralReceipted => Ok(Self {
                state: self.state.max(State::Received),
                ..self
            }),
            Event::Message {
                direction,
                kind,
                in_reply_to,
                counterpart,
            } => {
                if *counterpart != self.counterpart {
                    return Err(Illegal::Counterpart);
                }
                if kind.opens_case() {
                    return Err(Illegal::Exists);
                }
                let messages = self.messages.checked_add(1).ok_or(Illegal::Full)?;
                let state = match kind {
                    Kind::Acknowledgement => self.acknowledged(*direction, *in_reply_to)?,
                    Kind::LiaisonReply if !self.answered(*direction, *in_reply_to) => {
                        return Err(Illegal::LiaisonReply);
                    }
                    _ => self.state,
                };
                Ok(Self {
                    state,
                    messages,
                    ..self
                })
            }
        }
    }

    fn acknowledged(
        &self,
        direction: Direction,
        in_reply_to: Option<MessageId>,
    ) -> Result<State, Illegal> {
        if self.answered(direction, in_reply_to) && self.state < State::Acknowledged {
            Ok(State::Acknowledged)
        } else {
            Err(Illegal::Acknowledgement)
        }
    }

    /// Whether a message comes from the recipient of what opened the case, and answers that.
    fn answered(&self, direction: Direction, in_reply_to: Option<MessageId>) -> bool {
        let by_recipient = matches!(
            (self.side, direction),
            (Side::Recipient, Direction::Out) | (Side::Referrer, Direction::In)
        );
        by_recipient && in_reply_to == Some(self.referral)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn referral() -> MessageId {
        MessageId::new([7; 16])
    }

    fn counterpart() -> AgencyId {
        "gb.example.authority".parse().unwrap()
    }

    fn message(direction: Direction, kind: Kind, in_reply_to: MessageId) -> Event {
        Event::Message {
            direction,
            kind,
            in_reply_to: Some(in_reply_to),
            counterpart: counterpart(),
        }
    }

    fn sent() -> Case {
        Case::open(Kind::ReferralNrm, referral(), Direction::Out, counterpart()).unwrap()
    }

    #[test]
    fn a_referral_is_sent_then_received_then_acknowledged() {
        let case = sent();
        assert_eq!(case.state, State::Sent);
        let case = case.step(&Event::ReferralReceipted).unwrap();
        assert_eq!(case.state, State::Received);
        let case = case
            .step(&message(Direction::In, Kind::Acknowledgement, referral()))
            .unwrap();
        assert_eq!((case.state, case.messages), (State::Acknowledged, 2));
    }

    #[test]
    fn a_receipt_that_comes_after_the_acknowledgement_changes_nothing() {
        let case = sent()
            .step(&message(Direction::In, Kind::Acknowledgement, referral()))
            .unwrap();
        assert_eq!(
            case.step(&Event::ReferralReceipted).unwrap().state,
            State::Acknowledged
        );
    }

    /// CAS-04.
    #[test]
    fn the_referrer_cannot_acknowledge_its_own_referral() {
        let step = sent().step(&message(Direction::Out, Kind::Acknowledgement, referral()));
        assert_eq!(step, Err(Illegal::Acknowledgement));
    }

    /// CAS-04.
    #[test]
    fn an_acknowledgement_of_another_message_is_refused() {
        let step = sent().step(&message(
            Direction::In,
            Kind::Acknowledgement,
            MessageId::new([8; 16]),
        ));
        assert_eq!(step, Err(Illegal::Acknowledgement));
    }

    /// CAS-04.
    #[test]
    fn a_second_acknowledgement_is_refused() {
        let ack = message(Direction::In, Kind::Acknowledgement, referral());
        assert_eq!(
            sent().step(&ack).unwrap().step(&ack),
            Err(Illegal::Acknowledgement)
        );
    }

    /// CAS-03.
    #[test]
    fn another_agency_cannot_join_a_case() {
        let event = Event::Message {
            direction: Direction::In,
            kind: Kind::Reply,
            in_reply_to: Some(referral()),
            counterpart: "gb.example.other".parse().unwrap(),
        };
        assert_eq!(sent().step(&event), Err(Illegal::Counterpart));
    }

    /// CAS-01.
    #[test]
    fn a_reply_does_not_open_a_case() {
        let open = Case::open(Kind::Reply, referral(), Direction::In, counterpart());
        assert_eq!(open, Err(Illegal::NoCase { kind: Kind::Reply }));
    }

    /// CAS-01.
    #[test]
    fn only_a_referral_or_a_request_to_another_state_opens_a_case() {
        for kind in Kind::ALL {
            let open = Case::open(*kind, referral(), Direction::In, counterpart());
            let opens = [Kind::ReferralNrm, Kind::ReferralChild, Kind::LiaisonRequest];
            assert_eq!(open.is_ok(), opens.contains(kind));
        }
    }

    /// CAS-02.
    #[test]
    fn a_second_referral_does_not_open_the_case_again() {
        let event = Event::Message {
            direction: Direction::Out,
            kind: Kind::ReferralNrm,
            in_reply_to: None,
            counterpart: counterpart(),
        };
        assert_eq!(sent().step(&event), Err(Illegal::Exists));
    }

    /// CAS-04.
    #[test]
    fn the_referrers_acknowledgement_is_refused_at_the_recipient_too() {
        let case = Case::open(Kind::ReferralNrm, referral(), Direction::In, counterpart()).unwrap();
        let ack = message(Direction::In, Kind::Acknowledgement, referral());
        assert_eq!(case.step(&ack), Err(Illegal::Acknowledgement));
    }

    #[test]
    fn whatever_opens_a_case_is_acknowledged_and_answered() {
        for kind in Kind::ALL.iter().filter(|kind| kind.opens_case()) {
            let case = Case::open(*kind, referral(), Direction::In, counterpart()).unwrap();
            let ack = message(Direction::Out, Kind::Acknowledgement, referral());
            let reply = message(Direction::In, Kind::Reply, MessageId::new([8; 16]));
            let case = case.step(&ack).unwrap().step(&reply).unwrap();
            assert_eq!(
                (case.state, case.messages),
                (State::Acknowledged, 3),
                "{kind}"
            );
        }
    }

    /// CAS-06.
    #[test]
    fn a_request_is_replied_to_by_its_recipient_and_by_its_id_as_often_as_it_takes() {
        let reply = |direction, id| message(direction, Kind::LiaisonReply, id);
        let case = sent();
        let case = case.step(&reply(Direction::In, referral())).unwrap();
        let case = case.step(&reply(Direction::In, referral())).unwrap();
        assert_eq!((case.state, case.messages), (State::Sent, 3));
        for (direction, id) in [
            (Direction::Out, referral()),
            (Direction::In, MessageId::new([8; 16])),
        ] {
            let refused = case.clone().step(&reply(direction, id));
            assert_eq!(refused, Err(Illegal::LiaisonReply));
        }
    }

    /// CAS-05.
    #[test]
    fn a_case_does_not_overflow() {
        let case = Case {
            messages: u32::MAX,
            ..sent()
        };
        let reply = message(Direction::In, Kind::Reply, referral());
        assert_eq!(case.step(&reply), Err(Illegal::Full));
    }

    #[test]
    fn each_error_names_its_check() {
        let kind = Kind::Reply;
        for (error, check) in [
            (Illegal::NoCase { kind }, "CAS-01"),
            (Illegal::Exists, "CAS-02"),
            (Illegal::Counterpart, "CAS-03"),
            (Illegal::Acknowledgement, "CAS-04"),
            (Illegal::Full, "CAS-05"),
            (Illegal::LiaisonReply, "CAS-06"),
        ] {
            assert!(error.to_string().starts_with(check));
        }
    }
}
