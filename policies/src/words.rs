//! Parts and purposes in plain words.

use waypost_proto::vocabulary::{Part, Purpose};

/// What people call a part.
#[must_use]
pub const fn part(part: Part) -> &'static str {
    match part {
        Part::Env => "the envelope: who writes to whom, and why",
        Part::Pro => "professionals and point of contact",
        Part::IdnGender => "gender",
        Part::IdnRest => "names and birth date",
        Part::Age => "age",
        Part::Doc => "identity documents and official references",
        Part::ImmCitizenship => "citizenship",
        Part::ImmStatus => "immigration status",
        Part::Com => "language and communication",
        Part::Saf => "safe ways to reach the person",
        Part::LocArea => "town or region",
        Part::LocExact => "exact address",
        Part::FamCount => "number of children",
        Part::FamContact => "contact of family abroad",
        Part::FamRest => "family, carers and dependants",
        Part::Edu => "education",
        Part::HltUrgent => "urgent health need",
        Part::HltRest => "physical health",
        Part::PsySelfHarm => "risk of self-harm",
        Part::PsyNotes => "therapy notes",
        Part::PsyRest => "mental health and trauma",
        Part::SexType => "type of sexual exploitation",
        Part::SexRest => "detail of sexual harm",
        Part::Pch => "protected characteristics",
        Part::CnsRefusal => "reason for refusing",
        Part::CnsRest => "consent, information given and wishes",
        Part::Ind => "indicators and vulnerabilities",
        Part::RskPlan => "safety plan",
        Part::RskRest => "risk and safety",
        Part::ExpNotify => "type, countries and year of the exploitation",
        Part::ExpRest => "summary of the exploitation",
        Part::NarRef => "reference to an account",
        Part::NarText => "text of an account",
        Part::Xpl => "exploiters and linked persons",
        Part::OffSign => "a sign of an offence that the person may have been made to commit",
        Part::OffCompelled => "the compelled act",
        Part::OffRest => "alleged or recorded offences of the person",
        Part::CopCrimeRef => "crime reference",
        Part::CopRest => "co-operation and credibility",
        Part::Fin => "financial and digital traces",
        Part::Ned => "needs, services and plan",
        Part::DecStage => "stage and outcome of a decision",
        Part::DecDates => "dates of a decision",
        Part::DecReasons => "reasons of a decision",
    }
}

/// What people call a purpose.
#[must_use]
pub const fn purpose(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Ident => "formal identification",
        Purpose::Protect => "immediate safety",
        Purpose::Child => "child protection",
        Purpose::Assist => "support services",
        Purpose::Health => "care",
        Purpose::Legal => "advice and representation",
        Purpose::NonPun => "invoking non-punishment",
        Purpose::Invest => "investigation of traffickers",
        Purpose::Witness => "witness protection",
        Purpose::Trace => "locating a missing person",
        Purpose::Return => "safe voluntary return",
        Purpose::Stay => "residence or suspension of removal",
        Purpose::Comp => "compensation",
        Purpose::Notify => "duty to notify",
        Purpose::Monitor => "independent monitoring",
        Purpose::Stat => "statistics",
        Purpose::XProsVic => "prosecuting or penalising the person",
        Purpose::XImmEnf => "immigration enforcement",
        Purpose::XDisc => "school or workplace discipline",
        Purpose::XCredit => "eligibility policing",
        Purpose::XPublish => "publication or media",
    }
}
