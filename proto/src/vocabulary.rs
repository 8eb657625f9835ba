//! The closed vocabularies of DOMAIN.md: the codes that stand on the wire and in the policies.
//!
//! A code that is not listed here does not parse; the policy schema lists the same codes (tested
//! there). Adding a code is a change of the protocol.

use std::fmt;
use std::str::FromStr;

/// A code that is not in its closed vocabulary.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{input}` is not a {vocabulary} code; see proto/spec/vocabulary.md")]
pub struct UnknownCode {
    /// The vocabulary, such as `purpose`.
    pub vocabulary: &'static str,
    /// What was given, shortened and with only printable characters.
    pub input: String,
}

impl UnknownCode {
    /// The same without what was given: a peer's bytes are not repeated in logs or answers.
    #[must_use]
    pub(crate) fn without_input(self) -> Self {
        Self {
            input: String::from(".."),
            ..self
        }
    }
}

macro_rules! vocabulary {
    ($(#[$doc:meta])* $name:ident, $noun:literal, { $($(#[$vdoc:meta])* $variant:ident = $code:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $($(#[$vdoc])* $variant,)+
        }

        impl $name {
            /// Every code, in order of declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The code as it stands on the wire and in policies.
            #[must_use]
            pub const fn code(self) -> &'static str {
                match self {
                    $(Self::$variant => $code,)+
                }
            }
        }

        impl FromStr for $name {
            type Err = UnknownCode;

            fn from_str(input: &str) -> Result<Self, UnknownCode> {
                match input {
                    $($code => Ok(Self::$variant),)+
                    _ => Err(UnknownCode {
                        vocabulary: $noun,
                        input: input.chars().take(40).map(|c| if c.is_ascii_graphic() { c } else { '?' }).collect(),
                    }),
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.code())
            }
        }
    };
}

vocabulary!(
    /// A data category part: the finest unit that a sharing rule names (DESIGN 3, DOMAIN b).
    Part, "part", {
        /// Envelope.
        Env = "ENV",
        /// Professionals and point of contact.
        Pro = "PRO",
        /// Gender.
        IdnGender = "IDN.gender",
        /// Names, aliases, birth date.
        IdnRest = "IDN.rest",
        /// Age and minority.
        Age = "AGE",
        /// Identity documents and official references.
        Doc = "DOC",
        /// Citizenship.
        ImmCitizenship = "IMM.citizenship",
        /// Immigration status.
        ImmStatus = "IMM.status",
        /// Language and communication.
        Com = "COM",
        /// Safe contact.
        Saf = "SAF",
        /// Current town or region.
        LocArea = "LOC.area",
        /// Exact address, accommodation, shelter.
        LocExact = "LOC.exact",
        /// Number of children.
        FamCount = "FAM.count",
        /// Contact of family abroad.
        FamContact = "FAM.contact",
        /// Other family, carers, dependants.
        FamRest = "FAM.rest",
        /// Education.
        Edu = "EDU",
        /// Urgent physical health need.
        HltUrgent = "HLT.urgent",
        /// Other physical health.
        HltRest = "HLT.rest",
        /// Risk of self-harm.
        PsySelfHarm = "PSY.self_harm",
        /// Therapy notes.
        PsyNotes = "PSY.notes",
        /// Other mental health and trauma.
        PsyRest = "PSY.rest",
        /// Type of sexual exploitation.
        SexType = "SEX.type",
        /// Sexual harm detail.
        SexRest = "SEX.rest",
        /// Protected characteristics.
        Pch = "PCH",
        /// Reason why the person refused.
        CnsRefusal = "CNS.refusal",
        /// Other consent, information given, wishes.
        CnsRest = "CNS.rest",
        /// Indicators and vulnerabilities.
        Ind = "IND",
        /// Safety plan.
        RskPlan = "RSK.plan",
        /// Other risk and safety.
        RskRest = "RSK.rest",
        /// What an anonymous notification may say of the exploitation.
        ExpNotify = "EXP.notify",
        /// Other exploitation summary.
        ExpRest = "EXP.rest",
        /// Reference to an account.
        NarRef = "NAR.ref",
        /// The account itself.
        NarText = "NAR.text",
        /// Exploiters and linked persons.
        Xpl = "XPL",
        /// Told by an indicator of an act that the person may have been made to do.
        OffSign = "OFF.sign",
        /// The compelled act.
        OffCompelled = "OFF.compelled",
        /// Other alleged or recorded offences of the victim.
        OffRest = "OFF.rest",
        /// Crime reference.
        CopCrimeRef = "COP.crime_ref",
        /// Other co-operation and credibility.
        CopRest = "COP.rest",
        /// Financial and digital traces.
        Fin = "FIN",
        /// Needs, services, plan.
        Ned = "NED",
        /// Stage and outcome of a decision.
        DecStage = "DEC.stage",
        /// Dates of a decision.
        DecDates = "DEC.dates",
        /// Reasons of a decision.
        DecReasons = "DEC.reasons",
    }
);

vocabulary!(
    /// What a disclosure is for (DOMAIN b). The `X-` purposes exist so that they can be denied.
    Purpose, "purpose", {
        /// Formal identification.
        Ident = "P-IDENT",
        /// Immediate safety.
        Protect = "P-PROTECT",
        /// Child protection.
        Child = "P-CHILD",
        /// Support services.
        Assist = "P-ASSIST",
        /// Care.
        Health = "P-HEALTH",
        /// Advice and representation.
        Legal = "P-LEGAL",
        /// Invoking non-punishment, criminal-record relief.
        NonPun = "P-NONPUN",
        /// Investigation of traffickers.
        Invest = "P-INVEST",
        /// Witness protection.
        Witness = "P-WITNESS",
        /// Locating a missing person, family tracing.
        Trace = "P-TRACE",
        /// Safe voluntary return.
        Return = "P-RETURN",
        /// Residence or suspension of removal.
        Stay = "P-STAY",
        /// Compensation.
        Comp = "P-COMP",
        /// Duty to notify.
        Notify = "P-NOTIFY",
        /// Independent monitoring.
        Monitor = "P-MONITOR",
        /// Statistics.
        Stat = "P-STAT",
        /// Prosecuting or penalising the person.
        XProsVic = "X-PROSVIC",
        /// Immigration enforcement.
        XImmEnf = "X-IMMENF",
        /// School or workplace discipline.
        XDisc = "X-DISC",
        /// Eligibility policing.
        XCredit = "X-CREDIT",
        /// Publication or media.
        XPublish = "X-PUBLISH",
    }
);

vocabulary!(
    /// The role of a desk (DOMAIN d).
    Role, "role", {
        /// National government.
        NatC = "NATC",
        /// Authority that decides identification under the NRM.
        NrmCa = "NRMCA",
        /// Local government social services.
        Lass = "LASS",
        /// Child protection authority.
        Cpa = "CPA",
        /// Ministry for education.
        Medu = "MEDU",
        /// School or college.
        Sch = "SCH",
        /// Ministry or agency of health and social care.
        Mhsc = "MHSC",
        /// Hospital and public health services.
        Hosp = "HOSP",
        /// Police: safeguarding and trafficker investigation.
        Pol = "POL",
        /// Other specialised law enforcement.
        PolX = "POLX",
        /// Prosecution service.
        Pros = "PROS",
        /// Courts.
        Crt = "CRT",
        /// Probation service.
        Prb = "PRB",
        /// Youth justice.
        Yj = "YJ",
        /// Lawyers, bar, free legal aid.
        Law = "LAW",
        /// Financial intelligence unit.
        Fiu = "FIU",
        /// Border and migration: screening and referral.
        Brd = "BRD",
        /// Border and migration: detention and return.
        ImmEnf = "IMMENF",
        /// Labour inspection.
        Lab = "LAB",
        /// Non-governmental organisation.
        Ngo = "NGO",
        /// Safe house or shelter.
        Shl = "SHL",
        /// Business. Send-only.
        Bus = "BUS",
        /// Technology company. Send-only.
        Tec = "TEC",
        /// Financial institution. Send-only.
        Fni = "FNI",
        /// Community group. Send-only.
        Cmg = "CMG",
        /// Medical identification: emergency care, general practice, paramedics.
        MedI = "MEDI",
        /// Patient-centred care.
        MedC = "MEDC",
        /// Health safeguarding lead.
        Hsg = "HSG",
        /// Mental health support.
        Mh = "MH",
        /// Education: early intervention, pastoral.
        Edi = "EDI",
        /// Designated safeguarding lead of a school.
        Dsl = "DSL",
        /// Curriculum and prevention education.
        Edc = "EDC",
        /// Hotline.
        Hot = "HOT",
        /// Vetted interpreter.
        Int = "INT",
        /// Child specialist or guardian.
        Chs = "CHS",
        /// Survivor victim advocate.
        Vad = "VAD",
        /// Survivor advisory body.
        Sab = "SAB",
        /// Independent monitor.
        Imon = "IMON",
        /// Liaison office.
        Liai = "LIAI",
        /// National focal point.
        Fpt = "FPT",
        /// Central authority (Hague 1996, Brussels IIb).
        Cau = "CAU",
        /// International social service.
        Iss = "ISS",
        /// Consulate or embassy.
        Emb = "EMB",
    }
);

vocabulary!(
    /// A legal basis that a message cites (DOMAIN b.2).
    LegalBasis, "legal basis", {
        /// GDPR 6(1)(a), consent.
        Lb6a = "LB-6A",
        /// GDPR 6(1)(c), legal obligation.
        Lb6c = "LB-6C",
        /// GDPR 6(1)(d), vital interests.
        Lb6d = "LB-6D",
        /// GDPR 6(1)(e), public task.
        Lb6e = "LB-6E",
        /// GDPR 6(1)(f), legitimate interests.
        Lb6f = "LB-6F",
        /// UK GDPR 6(1)(ea), safeguarding.
        Lb6eaSafe = "LB-6EA-SAFE",
        /// UK GDPR 6(1)(ea), emergencies.
        Lb6eaEmerg = "LB-6EA-EMERG",
        /// UK GDPR 6(1)(ea), disclosure request for a public task.
        Lb6eaPtd = "LB-6EA-PTD",
        /// UK GDPR 6(1)(ea), crime.
        Lb6eaCrime = "LB-6EA-CRIME",
        /// GDPR 9(2)(a), explicit consent.
        Lb9a = "LB-9A",
        /// GDPR 9(2)(c), vital interests if incapable.
        Lb9c = "LB-9C",
        /// GDPR 9(2)(f), legal claims.
        Lb9f = "LB-9F",
        /// GDPR 9(2)(g), substantial public interest.
        Lb9g = "LB-9G",
        /// GDPR 9(2)(h), health and social care.
        Lb9h = "LB-9H",
        /// GDPR 10, official authority or authorised by law.
        Lb10 = "LB-10",
        /// DPA 2018 Sch 1 para 6, statutory purposes.
        LbS1p6 = "LB-S1-6",
        /// DPA 2018 Sch 1 para 10, unlawful acts.
        LbS1p10 = "LB-S1-10",
        /// DPA 2018 Sch 1 para 18, safeguarding.
        LbS1p18 = "LB-S1-18",
        /// DPA 2018 Sch 1 para 30, vital interests.
        LbS1p30 = "LB-S1-30",
        /// DPA 2018 Sch 1 para 33, legal claims.
        LbS1p33 = "LB-S1-33",
        /// Directive (EU) 2016/680 Art 8.
        LbLed8 = "LB-LED8",
        /// Directive (EU) 2016/680 Art 10.
        LbLed10 = "LB-LED10",
        /// CETS 197 Art 10, identification.
        LbCoe10 = "LB-COE10",
        /// CETS 197 Art 11, private life.
        LbCoe11 = "LB-COE11",
        /// CETS 197 Art 12, assistance.
        LbCoe12 = "LB-COE12",
        /// CETS 197 Art 13, recovery.
        LbCoe13 = "LB-COE13",
        /// CETS 197 Art 16, return.
        LbCoe16 = "LB-COE16",
        /// CETS 197 Art 26, non-punishment.
        LbCoe26 = "LB-COE26",
        /// CETS 197 Art 33, danger on another Party's territory.
        LbCoe33 = "LB-COE33",
        /// CETS 197 Art 34, information and conditions.
        LbCoe34 = "LB-COE34",
        /// Directive 2011/36/EU Art 8.
        LbEu8 = "LB-EU8",
        /// Directive 2011/36/EU Art 11.
        LbEu11 = "LB-EU11",
        /// Directive 2011/36/EU Art 13.
        LbEu13 = "LB-EU13",
        /// Modern Slavery Act 2015 s.52.
        LbMsa52 = "LB-MSA52",
        /// Modern Slavery Act 2015 s.45.
        LbMsa45 = "LB-MSA45",
        /// Children Act 1989 s.47.
        LbCa47 = "LB-CA47",
        /// Children Act 1989 s.17.
        LbCa17 = "LB-CA17",
        /// Children Act 2004 ss.10-11.
        LbCa10 = "LB-CA10",
        /// Hague 1996 Art 31(c), locate child.
        LbH96p31c = "LB-H96-31C",
        /// Hague 1996 Art 32.
        LbH96p32 = "LB-H96-32",
        /// Hague 1996 Art 34.
        LbH96p34 = "LB-H96-34",
        /// Hague 1996 Art 36.
        LbH96p36 = "LB-H96-36",
        /// Hague 1996 Art 37.
        LbH96p37 = "LB-H96-37",
        /// Regulation 2019/1111 Art 80.
        LbBiib80 = "LB-BIIB80",
        /// Regulation 2019/1111 Art 82.
        LbBiib82 = "LB-BIIB82",
        /// Regulation 2024/1351 Art 48.
        LbAmmr48 = "LB-AMMR48",
        /// Regulation 2024/1351 Art 50.
        LbAmmr50 = "LB-AMMR50",
        /// GDPR 45, adequacy.
        LbT45 = "LB-T45",
        /// GDPR 46, safeguards.
        LbT46 = "LB-T46",
        /// GDPR 49(1)(d), public interest.
        LbT49d = "LB-T49D",
        /// GDPR 49(1)(f), vital interests.
        LbT49f = "LB-T49F",
    }
);

vocabulary!(
    /// Why an adult's refusal is overridden (SOP R5; closed list).
    OverrideGround, "override ground", {
        /// Significant harm.
        SignificantHarm = "SIGNIFICANT_HARM",
        /// Coercion or control.
        CoercionControl = "COERCION_CONTROL",
        /// Exploitation.
        Exploitation = "EXPLOITATION",
        /// Immediate danger.
        ImmediateDanger = "IMMEDIATE_DANGER",
        /// Lack of capacity.
        LackOfCapacity = "LACK_OF_CAPACITY",
    }
);

vocabulary!(
    /// Europol handling code.
    Handling, "handling", {
        /// Use only to prevent and combat crime.
        H0 = "H0",
        /// Not in judicial proceedings without permission of the provider.
        H1 = "H1",
        /// Not to be disseminated without permission of the provider.
        H2 = "H2",
        /// Other restrictions.
        H3 = "H3",
    }
);

vocabulary!(
    /// Whether the person is a child.
    MinorStatus, "minor status", {
        /// Under 18.
        Child = "child",
        /// 18 or over.
        Adult = "adult",
        /// Not known: every rule treats it as child.
        Unknown = "unknown",
    }
);

vocabulary!(
    /// Consent to one disclosure, as it stands for its recipient.
    ConsentState, "consent", {
        /// Not required: child or unknown, or nothing about the person is disclosed.
        NotRequired = "not_required",
        /// Given.
        Given = "given",
        /// Refused.
        Refused = "refused",
        /// Given and then withdrawn.
        Withdrawn = "withdrawn",
        /// Refused or absent, and overridden on a listed ground.
        Overridden = "overridden",
    }
);

vocabulary!(
    /// What a desk is attested for.
    DeskAttestation, "desk attestation", {
        /// A child specialist answers.
        ChildSpecialist = "child-specialist",
        /// Its staff are vetted.
        Vetted = "vetted",
        /// Answers at any hour.
        Emergency = "emergency",
    }
);

vocabulary!(
    /// What an agency is attested for.
    AgencyAttestation, "agency attestation", {
        /// A confidentiality policy is in force.
        ConfidentialityPolicy = "confidentiality-policy",
        /// An escalation contact is named.
        EscalationContact = "escalation-contact",
        /// An appropriate policy document exists (DPA 2018 Sch 1 Part 4).
        PolicyDocument = "policy-document",
        /// A statutory partner.
        Statutory = "statutory",
    }
);

impl LegalBasis {
    /// A basis of a transfer to another State (GDPR Chapter V).
    #[must_use]
    pub const fn is_transfer(self) -> bool {
        matches!(
            self,
            Self::LbT45 | Self::LbT46 | Self::LbT49d | Self::LbT49f
        )
    }
}

impl MinorStatus {
    /// Child or unknown (DOMAIN f, CHILDISH).
    #[must_use]
    pub const fn is_childish(self) -> bool {
        matches!(self, Self::Child | Self::Unknown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_parses_to_itself() {
        for part in Part::ALL {
            assert_eq!(part.code().parse::<Part>().unwrap(), *part);
        }
        for role in Role::ALL {
            assert_eq!(role.code().parse::<Role>().unwrap(), *role);
        }
        for basis in LegalBasis::ALL {
            assert_eq!(basis.code().parse::<LegalBasis>().unwrap(), *basis);
        }
    }

    #[test]
    fn a_code_in_the_wrong_case_is_refused() {
        assert!("p-ident".parse::<Purpose>().is_err());
        assert!("idn.rest".parse::<Part>().is_err());
    }
}
