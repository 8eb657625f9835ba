//! The kinds of message, one row of a table each (DOMAIN a.1; proto/spec/vocabulary.md).
//!
//! A new kind is: a value in `message.proto`, a form in `form.proto`, a variant and a row here.

use std::fmt;
use std::str::FromStr;

use crate::vocabulary::{Part, UnknownCode};
use crate::wire;

/// The kind of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Referral to the authority that runs the National Referral Mechanism.
    ReferralNrm,
    /// A person has the message in hand.
    Acknowledgement,
    /// A short note in the case.
    Reply,
    /// A desk's report: the content discloses more than the manifest declares.
    ReportUnderstated,
    /// A desk's report: the body does not open, or does not verify.
    ReportUnreadable,
    /// Referral to the child protection authority.
    ReferralChild,
    /// Request of a liaison office to its counterpart in another State.
    LiaisonRequest,
    /// What came of such a request.
    LiaisonReply,
}

/// What a message is to its case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// It starts a case: it answers no message.
    Starts,
    /// It answers or reports a message of the case.
    Answers,
}

/// Which of the two agencies of a case may send it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sender {
    /// The one that started the case.
    ReferralSide,
    /// The other.
    RecipientSide,
    /// Both: the recipient of the message that it answers or reports.
    Either,
}

struct Row {
    wire: wire::Kind,
    code: &'static str,
    title: &'static str,
    message: &'static str,
    ceiling: &'static [Part],
    place: Place,
    sender: Sender,
}

/// What an NRM referral may carry at most: DOMAIN a.1 (M01, subtype NRM), and what DOMAIN b and
/// PROP-05 let the deciding authority see besides (the compelled act, the type of sexual
/// exploitation, health in summary, risk of self-harm). proto/spec/catalogue.md gives the reasons.
const NRM_CEILING: &[Part] = &[
    Part::Env,
    Part::Pro,
    Part::IdnGender,
    Part::IdnRest,
    Part::Age,
    Part::Doc,
    Part::ImmCitizenship,
    Part::Com,
    Part::Saf,
    Part::LocArea,
    Part::FamCount,
    Part::HltUrgent,
    Part::HltRest,
    Part::PsySelfHarm,
    Part::SexType,
    Part::CnsRefusal,
    Part::CnsRest,
    Part::Ind,
    Part::RskPlan,
    Part::RskRest,
    Part::ExpNotify,
    Part::ExpRest,
    Part::NarRef,
    Part::OffSign,
    Part::OffCompelled,
    Part::Ned,
];

/// What child protection may be sent at most: DOMAIN a.1 (M01, subtype CHILD), the minimum set that
/// PROP-12 makes a duty, and what DOMAIN b and PROP-05 let it see besides (health in summary, risk of
/// self-harm, an indicator that is a sign of an offence, needs).
const CHILD_CEILING: &[Part] = &[
    Part::Env,
    Part::Pro,
    Part::IdnGender,
    Part::IdnRest,
    Part::Age,
    Part::Com,
    Part::Saf,
    Part::LocArea,
    Part::FamCount,
    Part::FamRest,
    Part::Edu,
    Part::HltUrgent,
    Part::HltRest,
    Part::PsySelfHarm,
    Part::CnsRest,
    Part::Ind,
    Part::RskPlan,
    Part::RskRest,
    Part::OffSign,
    Part::Ned,
];

/// What crosses a border at most, whatever the type of request: no offence, no immigration status or
/// citizenship, no account, no address, of health an urgent need alone (PROP-05, PROP-23; DOMAIN b).
const LIAISON_CEILING: &[Part] = &[
    Part::Env,
    Part::Pro,
    Part::IdnGender,
    Part::IdnRest,
    Part::Age,
    Part::Doc,
    Part::Com,
    Part::Saf,
    Part::LocArea,
    Part::FamCount,
    Part::FamContact,
    Part::FamRest,
    Part::Edu,
    Part::HltUrgent,
    Part::CnsRest,
    Part::Ind,
    Part::RskPlan,
    Part::RskRest,
    Part::Ned,
];

/// The same, and where a decision stands.
const LIAISON_REPLY_CEILING: &[Part] = &[
    Part::Env,
    Part::Pro,
    Part::IdnGender,
    Part::IdnRest,
    Part::Age,
    Part::Doc,
    Part::Com,
    Part::Saf,
    Part::LocArea,
    Part::FamCount,
    Part::FamContact,
    Part::FamRest,
    Part::Edu,
    Part::HltUrgent,
    Part::CnsRest,
    Part::Ind,
    Part::RskPlan,
    Part::RskRest,
    Part::Ned,
    Part::DecStage,
    Part::DecDates,
];

const REFERRAL_NRM: Row = Row {
    wire: wire::Kind::ReferralNrm,
    code: "M01/NRM",
    title: "Referral to the National Referral Mechanism",
    message: "waypost.v1.NrmReferral",
    ceiling: NRM_CEILING,
    place: Place::Starts,
    sender: Sender::ReferralSide,
};

const ACKNOWLEDGEMENT: Row = Row {
    wire: wire::Kind::Acknowledgement,
    code: "M03",
    title: "Acknowledgement",
    message: "waypost.v1.Acknowledgement",
    ceiling: &[Part::Env, Part::Pro],
    place: Place::Answers,
    sender: Sender::RecipientSide,
};

const REPLY: Row = Row {
    wire: wire::Kind::Reply,
    code: "M10/REPLY",
    title: "Reply",
    message: "waypost.v1.Reply",
    ceiling: &[Part::Env, Part::Pro],
    place: Place::Answers,
    sender: Sender::Either,
};

const REPORT_UNDERSTATED: Row = Row {
    wire: wire::Kind::ReportUnderstated,
    code: "REPORT/UNDERSTATED",
    title: "Report of an understated message",
    message: "waypost.v1.DeskReport",
    ceiling: &[Part::Env],
    place: Place::Answers,
    sender: Sender::Either,
};

const REPORT_UNREADABLE: Row = Row {
    wire: wire::Kind::ReportUnreadable,
    code: "REPORT/UNREADABLE",
    title: "Report of an unreadable message",
    message: "waypost.v1.DeskReport",
    ceiling: &[Part::Env],
    place: Place::Answers,
    sender: Sender::Either,
};

const REFERRAL_CHILD: Row = Row {
    wire: wire::Kind::ReferralChild,
    code: "M01/CHILD",
    title: "Referral to child protection",
    message: "waypost.v1.ChildReferral",
    ceiling: CHILD_CEILING,
    place: Place::Starts,
    sender: Sender::ReferralSide,
};

const LIAISON_REQUEST: Row = Row {
    wire: wire::Kind::LiaisonRequest,
    code: "M26",
    title: "Request to another State",
    message: "waypost.v1.LiaisonRequest",
    ceiling: LIAISON_CEILING,
    place: Place::Starts,
    sender: Sender::ReferralSide,
};

const LIAISON_REPLY: Row = Row {
    wire: wire::Kind::LiaisonReply,
    code: "M27",
    title: "Reply to a request of another State",
    message: "waypost.v1.LiaisonReply",
    ceiling: LIAISON_REPLY_CEILING,
    place: Place::Answers,
    sender: Sender::RecipientSide,
};

impl Kind {
    /// Every kind.
    pub const ALL: &'static [Self] = &[
        Self::ReferralNrm,
        Self::Acknowledgement,
        Self::Reply,
        Self::ReportUnderstated,
        Self::ReportUnreadable,
        Self::ReferralChild,
        Self::LiaisonRequest,
        Self::LiaisonReply,
    ];

    /// The table: one row a kind.
    const fn row(self) -> &'static Row {
        match self {
            Self::ReferralNrm => &REFERRAL_NRM,
            Self::Acknowledgement => &ACKNOWLEDGEMENT,
            Self::Reply => &REPLY,
            Self::ReportUnderstated => &REPORT_UNDERSTATED,
            Self::ReportUnreadable => &REPORT_UNREADABLE,
            Self::ReferralChild => &REFERRAL_CHILD,
            Self::LiaisonRequest => &LIAISON_REQUEST,
            Self::LiaisonReply => &LIAISON_REPLY,
        }
    }

    /// The code as people and policies write it, such as `M01/NRM`.
    #[must_use]
    pub const fn code(self) -> &'static str {
        self.row().code
    }

    /// The name for people, such as `Acknowledgement`.
    #[must_use]
    pub const fn title(self) -> &'static str {
        self.row().title
    }

    /// The value on the wire.
    #[must_use]
    pub const fn to_wire(self) -> wire::Kind {
        self.row().wire
    }

    /// From the wire; none for `KIND_UNSPECIFIED`.
    #[must_use]
    pub fn from_wire(kind: wire::Kind) -> Option<Self> {
        Self::ALL.iter().copied().find(|k| k.to_wire() == kind)
    }

    /// Full name of the protobuf message that the body's payload is.
    #[must_use]
    pub const fn form_message(self) -> &'static str {
        self.row().message
    }

    /// The parts that it may carry at most, whatever a policy allows (DOMAIN a.1).
    #[must_use]
    pub const fn ceiling(self) -> &'static [Part] {
        self.row().ceiling
    }

    /// What it is to its case.
    #[must_use]
    pub const fn place(self) -> Place {
        self.row().place
    }

    /// Whether it starts a case.
    #[must_use]
    pub const fn opens_case(self) -> bool {
        matches!(self.place(), Place::Starts)
    }

    /// Whether it names a message that it answers or reports.
    #[must_use]
    pub const fn answers(self) -> bool {
        matches!(self.place(), Place::Answers)
    }

    /// Who may send it.
    #[must_use]
    pub const fn sender(self) -> Sender {
        self.row().sender
    }
}

impl FromStr for Kind {
    type Err = UnknownCode;

    fn from_str(input: &str) -> Result<Self, UnknownCode> {
        Self::ALL
            .iter()
            .copied()
            .find(|k| k.code() == input)
            .ok_or_else(|| UnknownCode {
                vocabulary: "kind",
                input: input
                    .chars()
                    .take(40)
                    .map(|c| if c.is_ascii_graphic() { c } else { '?' })
                    .collect(),
            })
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_kind_has_its_own_code_and_wire_value() {
        let codes: BTreeSet<_> = Kind::ALL.iter().map(|k| k.code()).collect();
        assert_eq!(codes.len(), Kind::ALL.len());
        for kind in Kind::ALL {
            assert_eq!(kind.code().parse::<Kind>().unwrap(), *kind);
            assert_eq!(Kind::from_wire(kind.to_wire()), Some(*kind));
        }
    }

    #[test]
    fn every_kind_on_the_wire_is_a_row_of_the_table() {
        for value in 1..100 {
            if let Ok(kind) = wire::Kind::try_from(value) {
                assert!(Kind::from_wire(kind).is_some(), "{kind:?} has no row");
            }
        }
        assert_eq!(Kind::from_wire(wire::Kind::Unspecified), None);
    }

    // CAT-06
    #[test]
    fn no_kind_carries_the_account_the_exploiters_or_the_co_operation() {
        for kind in Kind::ALL {
            for part in [
                Part::NarText,
                Part::Xpl,
                Part::OffRest,
                Part::CopRest,
                Part::CopCrimeRef,
                Part::PsyNotes,
                Part::ImmStatus,
                Part::LocExact,
            ] {
                assert!(!kind.ceiling().contains(&part), "{kind} carries {part}");
            }
        }
    }

    #[test]
    fn what_crosses_a_border_is_no_offence_no_status_and_of_health_an_urgent_need_alone() {
        for kind in [Kind::LiaisonRequest, Kind::LiaisonReply] {
            let groups = [
                "OFF.", "IMM.", "PSY.", "SEX.", "NAR.", "COP.", "HLT.rest", "PCH",
            ];
            for part in kind.ceiling() {
                assert!(!groups.iter().any(|g| part.code().starts_with(g)), "{part}");
            }
        }
        let reply = Kind::LiaisonReply.ceiling();
        assert!(
            Kind::LiaisonRequest
                .ceiling()
                .iter()
                .all(|p| reply.contains(p))
        );
    }

    #[test]
    fn referrals_and_requests_to_another_state_start_a_case() {
        let starts = [Kind::ReferralNrm, Kind::ReferralChild, Kind::LiaisonRequest];
        for kind in Kind::ALL {
            assert_eq!(kind.opens_case(), starts.contains(kind));
            assert_ne!(kind.opens_case(), kind.answers());
        }
    }
}
