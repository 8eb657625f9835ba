//! What every bundle must keep, for all possible messages (DOMAIN f).
//!
//! A ceiling's policies are the most that may ever be allowed: whatever the bundle allows, the
//! ceiling allows. A floor's are the least: whatever the floor allows, the bundle allows. Theorems
//! belong to the build, not to a bundle.

/// What a theorem claims.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Nothing beyond its policies is ever allowed.
    Ceiling,
    /// Everything in its policies is always allowed.
    Floor,
    /// The bundle decides the same when `child` and `unknown` are exchanged.
    Equivalence,
    /// No policy of the bundle can fail to be evaluated.
    NeverErrs,
}

/// A claim about every bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Theorem {
    /// Its number in DOMAIN (f), or a name.
    pub id: &'static str,
    /// What is claimed.
    pub kind: Kind,
    /// The claim in plain words.
    pub statement: &'static str,
    /// Document and clause.
    pub source: &'static str,
    /// Actions that it speaks about; `disclose` stands for every purpose. Empty: all.
    pub(crate) actions: &'static [&'static str],
    /// The policies that say it.
    pub(crate) policies: &'static str,
}

macro_rules! ceiling {
    ($id:literal, $file:literal, $actions:expr, $source:literal, $statement:literal) => {
        Theorem {
            id: $id,
            kind: Kind::Ceiling,
            statement: $statement,
            source: $source,
            actions: $actions,
            policies: include_str!(concat!("../ceilings/", $file, ".cedar")),
        }
    };
}

macro_rules! floor {
    ($id:literal, $file:literal, $actions:expr, $source:literal, $statement:literal) => {
        Theorem {
            id: $id,
            kind: Kind::Floor,
            statement: $statement,
            source: $source,
            actions: $actions,
            policies: include_str!(concat!("../floors/", $file, ".cedar")),
        }
    };
}

const DISCLOSE: &[&str] = &["disclose"];
const IDENT: &[&str] = &["P-IDENT"];
const ONWARD: &[&str] = &["disclose", "forward", "use"];

/// Every theorem, in the order of DOMAIN (f).
pub const THEOREMS: &[Theorem] = &[
    ceiling!(
        "PROP-01",
        "prop-01-non-punishment",
        ONWARD,
        "SOP R10; CETS 197 Art 26; CoP P4",
        "Nothing is disclosed, passed on or used to prosecute or penalise the person; on a crime basis, or for an investigation, no offence, mental-health or sexual-harm data of theirs."
    ),
    ceiling!(
        "PROP-02",
        "prop-02-immigration-firewall",
        ONWARD,
        "SOP Roles, border; CoP P4, 3.1-7",
        "Nothing is disclosed, passed on or used for immigration enforcement; a desk of detention and return learns the stage and dates of a decision, to suspend a removal, and no more."
    ),
    ceiling!(
        "PROP-03",
        "prop-03-discipline-and-credit",
        ONWARD,
        "SOP Roles, education",
        "Nothing serves discipline or the policing of eligibility; a school learns what keeps the child safe, and no more."
    ),
    ceiling!(
        "PROP-04",
        "prop-04-no-publication",
        &["disclose", "publish"],
        "CoP 3.4-5 to 3.4-7",
        "Nothing about a child, or perhaps a child, is published; of an adult only what they agreed to, and never whereabouts, contact, family or immigration."
    ),
    ceiling!(
        "PROP-05",
        "prop-05-offence-isolation",
        DISCLOSE,
        "SOP R10; CETS 197 Art 26",
        "What the person is accused of reaches only lawyer, prosecutor and court, to invoke non-punishment; the compelled act, or a sign of it, also the NRM authority, for identification; a sign of it also child protection."
    ),
    ceiling!(
        "PROP-06",
        "prop-06-non-conditionality",
        DISCLOSE,
        "CETS 197 Art 12(6); CoP P5",
        "Co-operation and credibility reach only police, prosecution and lawyer, for an investigation or witness protection, with consent."
    ),
    ceiling!(
        "PROP-07",
        "prop-07-health-without-police",
        DISCLOSE,
        "SOP Roles, health",
        "Law enforcement receives no health, mental-health, sexual-harm or protected-characteristic data, but for an urgent need in immediate danger and for non-punishment with explicit consent."
    ),
    ceiling!(
        "PROP-08",
        "prop-08-clinical-notes",
        DISCLOSE,
        "DOMAIN b PSY",
        "Therapy notes reach only mental-health care, for care, with explicit consent."
    ),
    ceiling!(
        "PROP-09",
        "prop-09-withdrawal",
        DISCLOSE,
        "CoP 3.4-7; GDPR 7(3)",
        "After a withdrawal nothing rests on consent, and nothing more of an adult goes out, but an anonymous notification."
    ),
    ceiling!(
        "PROP-10",
        "prop-10-adult-consent",
        DISCLOSE,
        "SOP R5; CoP 3.1-3",
        "Nothing about an adult goes out without consent to it, or an override on a listed ground, but an anonymous notification, statistics and monitoring."
    ),
    Theorem {
        id: "PROP-11",
        kind: Kind::Equivalence,
        statement: "Whoever may be a child is treated as a child: `unknown` is decided exactly as `child`.",
        source: "CETS 197 Art 10(3); CoP P2",
        actions: &[],
        policies: "",
    },
    ceiling!(
        "PROP-12",
        "prop-12-override-minimum",
        DISCLOSE,
        "SOP R5",
        "An override releases the minimum safeguarding set only, and only to protect."
    ),
    ceiling!(
        "PROP-13",
        "prop-13-child-specialist",
        DISCLOSE,
        "SOP R3; CoP 3.1-11",
        "What concerns a child, or perhaps a child, goes to a desk where a child specialist answers, or in danger, the minimum, to police."
    ),
    ceiling!(
        "PROP-14",
        "prop-14-anonymous-notification",
        DISCLOSE,
        "Modern Slavery Act 2015 s.52",
        "A notification about an adult who refused goes to the NRM authority and names nobody."
    ),
    ceiling!(
        "PROP-15",
        "prop-15-legal-basis",
        DISCLOSE,
        "GDPR Arts 6, 9, 10; DPA 2018 Sch 1",
        "A legal basis is cited, fits the data, and where it is consent, consent was given."
    ),
    ceiling!(
        "PROP-16",
        "prop-16-confidentiality-first",
        DISCLOSE,
        "CoP 3.1-4, 3.1-10",
        "Beyond the envelope nothing goes to a desk without confidentiality policy, vetted staff and escalation contact."
    ),
    ceiling!(
        "PROP-17",
        "prop-17-account-by-reference",
        DISCLOSE,
        "SOP R6",
        "The text of an account is never in a message: it goes by reference."
    ),
    ceiling!(
        "PROP-18",
        "prop-18-onward",
        &["forward", "use"],
        "Europol handling codes; CoP 3.4-8",
        "What was disclosed is passed on for the purpose of its origin only, as its provider permits, and never where marked H2; what is marked H1 is not used in court without permission."
    ),
    ceiling!(
        "PROP-19",
        "prop-19-send-only",
        DISCLOSE,
        "SOP Roles, business, technology, finance",
        "Roles that only report receive the envelope; financial intelligence and labour inspection stay with what they work on."
    ),
    ceiling!(
        "PROP-20",
        "prop-20-conflict-of-interest",
        &["disclose", "forward", "request"],
        "CoP 3.3-7",
        "Nothing goes out unless the sender holds that no recipient is implicated."
    ),
    ceiling!(
        "PROP-22",
        "prop-22-transfer-basis",
        DISCLOSE,
        "GDPR Chapter V",
        "Nothing leaves the State without a basis of transfer, a derogation only to protect, trace or return the person, and not before somebody found that it adds no danger, but the minimum in immediate danger."
    ),
    ceiling!(
        "PROP-23",
        "prop-23-origin-and-consulates",
        DISCLOSE,
        "CoP 3.1-12",
        "Nothing goes out unless the sender holds that no recipient is in a State the person needs protection from; a consulate learns identity and documents, with consent, for a return; an exact address stays in the State."
    ),
    ceiling!(
        "PROP-25",
        "prop-25-monitoring",
        DISCLOSE,
        "CoP P8",
        "A monitor sees the envelope; statistics carry nothing that leads to a person."
    ),
    ceiling!(
        "XB-01",
        "cross-border",
        DISCLOSE,
        "CETS 197 Arts 32 to 34; DOMAIN a.1 M26, PROP-05, PROP-06, PROP-23",
        "Across a border things go to liaison offices, focal points, central authorities, international social service and consulates; and no offence, co-operation, immigration status, account, exploiter, address, money, and of health an urgent need alone."
    ),
    floor!(
        "FLOOR-01",
        "adult-referral",
        IDENT,
        "SOP R5; CETS 197 Art 10",
        "An adult who consents can be referred for identification, on public task or consent."
    ),
    floor!(
        "FLOOR-02",
        "child-referral",
        IDENT,
        "SOP R3; CETS 197 Art 10(4); DOMAIN PROP-12",
        "The referral of a child, or perhaps a child, to a child specialist is never blocked by any state of consent."
    ),
    floor!(
        "FLOOR-03",
        "reply",
        &["P-IDENT", "P-CHILD"],
        "SOP R6",
        "Those who refer, and the NRM authority, can always be answered."
    ),
    floor!(
        "FLOOR-04",
        "child-protection",
        &["P-CHILD"],
        "SOP R5; CETS 197 Art 10; DOMAIN PROP-12",
        "Anybody can always tell child protection the minimum about a child, or perhaps a child, whatever is said of consent."
    ),
    floor!(
        "FLOOR-05",
        "danger-abroad",
        &["P-PROTECT"],
        "CETS 197 Art 33; Hague 1996 Art 36",
        "A liaison office can always tell its counterpart the minimum about a person in immediate danger: a child, or an adult on a listed ground."
    ),
    floor!(
        "FLOOR-06",
        "liaison-answer",
        &["P-PROTECT", "P-CHILD", "P-TRACE", "P-RETURN"],
        "CETS 197 Art 34",
        "A request of another State can always be answered with its final result."
    ),
    Theorem {
        id: "SOUND-01",
        kind: Kind::NeverErrs,
        statement: "No policy can fail to be evaluated, whatever the message.",
        source: "DESIGN 5",
        actions: &[],
        policies: "",
    },
];
