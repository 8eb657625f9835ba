//! Where each key of a submission goes.

/// What becomes of an answer. Paths are those of an NRM referral (proto/spec/catalogue.md).
#[derive(Debug)]
pub(super) enum To {
    /// The text, as it is; one of the values, if the field is a list.
    Text(&'static str),
    /// A text that other keys share in, in the order of the table.
    Joined(&'static str),
    /// A date.
    Date(&'static str),
    /// A whole number.
    Number(&'static str),
    /// Yes or no.
    YesNo(&'static str),
    /// One of the choices, as the value beside it.
    Choice(&'static str, &'static [(&'static str, &'static str)]),
    /// These values, if the answer is yes.
    IfYes(&'static [(&'static str, &'static str)]),
    /// Says which of two forms it is.
    ReferralOrDuty,
    /// Nothing, and why.
    NotCarried(&'static str),
}

pub(super) const YES_NO: &[(&str, &str)] = &[("Yes", "yes"), ("No", "no")];
pub(super) const REFERRAL_OR_DUTY: &[(&str, &str)] = &[
    ("NRM", "referral"),
    ("Duty to notify", "duty"),
    ("DTN", "duty"),
    ("Duty", "duty"),
];
pub(super) const ADULT_OR_CHILD: &[(&str, &str)] = &[
    ("Adult", "adult"),
    ("Child", "child"),
    ("Not sure", "unknown"),
    ("Unknown", "unknown"),
];
const DURING_EXPLOITATION: &[(&str, &str)] = &[
    ("Adult", "no"),
    ("Child", "yes"),
    ("Not sure", "unknown"),
    ("Unknown", "unknown"),
];
const YES_NO_NOT_SURE: &[(&str, &str)] = &[
    ("Yes", "yes"),
    ("No", "no"),
    ("Not sure", "unknown"),
    ("I don't know", "unknown"),
];
// The form's option `unknown` reads "They do not identify as male or female".
const GENDER: &[(&str, &str)] = &[
    ("Female", "female"),
    ("Male", "male"),
    ("They do not identify as male or female", "other"),
    ("Other", "other"),
    ("Unknown", "other"),
];
const WHERE: &[(&str, &str)] = &[
    ("UK", "home"),
    ("Overseas", "abroad"),
    ("UK and Overseas", "both"),
];
const DECISION_TO: &[(&str, &str)] = &[
    ("PV", "person"),
    ("Potential victim", "person"),
    ("Someone else", "someone-else"),
];
const LAST_CONTACT: &[(&str, &str)] = &[
    ("within-the-last-week", "within-the-last-week"),
    ("within-the-last-month", "within-the-last-month"),
    ("within-the-last-3-month", "within-the-last-3-month"),
    ("Within the last 3 months", "within-the-last-3-month"),
    ("within-the-last-6-month", "within-the-last-6-month"),
    ("Within the last 6 months", "within-the-last-6-month"),
    ("within-the-last-6-12-month", "within-the-last-6-12-month"),
    ("Within the last 6-12 months", "within-the-last-6-12-month"),
    ("over-a-year-ago", "over-a-year-ago"),
    ("not-sure", "not-sure"),
];

const FORCED_LABOUR: &[(&str, &str)] = &[("exp.types", "ForcedLabour")];

const JURISDICTION: &str = "the directory says in which jurisdiction the sending agency is";
const SYSTEM: &str = "a constant of the receiving case system, not an answer";

/// Every key of the submission, in the order of its source.
pub(super) const TABLE: &[(&str, To)] = &[
    ("Type", To::NotCarried(SYSTEM)),
    ("Customer.Forename1", To::Text("idn.given_name")),
    ("Customer.Surname", To::Text("idn.family_name")),
    ("Customer.Address", To::Text("saf.postal_street")),
    ("Customer.Town", To::Text("saf.postal_town")),
    ("Customer.County", To::Text("saf.postal_county")),
    ("Customer.Postcode", To::Text("saf.postal_postcode")),
    ("Customer.ContactMethod", To::Text("saf.contact_method")),
    ("Customer.Alias", To::Text("idn.alias")),
    ("Case.Jurisdiction", To::NotCarried(JURISDICTION)),
    ("Customer.Custom7", To::NotCarried(SYSTEM)),
    ("Customer.DOB", To::Date("idn.birthdate")),
    ("Customer.Custom17", To::Choice("idn.gender", GENDER)),
    ("Customer.Email", To::Text("saf.email")),
    ("Customer.Phone", To::Text("saf.phone")),
    ("Customer.Custom9", To::YesNo("fam.has_children")),
    ("Customer.Custom10", To::Number("fam.number_of_children")),
    ("Customer.Nationality", To::Text("imm.citizenship")),
    ("Customer.Custom11", To::Text("imm.second_citizenship")),
    ("Customer.Custom13", To::YesNo("com.interpreter_needed")),
    ("Customer.Custom14", To::Text("com.primary_language")),
    (
        "Customer.Custom15",
        To::YesNo("com.communication_help_needed"),
    ),
    ("Customer.Custom16", To::Text("com.communication_aid")),
    (
        "AdultOrChild",
        To::Choice("age.minor_status", ADULT_OR_CHILD),
    ),
    (
        "AdultOrChildDuringExploitation",
        To::Choice("age.minor_at_exploitation", DURING_EXPLOITATION),
    ),
    ("VictimAccount", To::Text("nar.account_text")),
    (
        "ExploitationLocationPresented",
        To::Choice("exp.home_or_abroad", WHERE),
    ),
    ("City1", To::Text("exp.places")),
    ("City2", To::Text("exp.places")),
    ("City3", To::Text("exp.places")),
    ("City4", To::Text("exp.places")),
    ("City5", To::Text("exp.places")),
    ("City6", To::Text("exp.places")),
    ("City7", To::Text("exp.places")),
    ("City8", To::Text("exp.places")),
    ("City9", To::Text("exp.places")),
    ("City10", To::Text("exp.places")),
    ("ExploitationUKAddress", To::Text("exp.site")),
    ("Country1", To::Text("exp.countries")),
    ("Country2", To::Text("exp.countries")),
    ("Country3", To::Text("exp.countries")),
    ("Country4", To::Text("exp.countries")),
    ("Country5", To::Text("exp.countries")),
    ("Country6", To::Text("exp.countries")),
    ("Country7", To::Text("exp.countries")),
    ("Country8", To::Text("exp.countries")),
    ("Country9", To::Text("exp.countries")),
    ("Country10", To::Text("exp.countries")),
    ("ExploitationOverseasAddress", To::Text("exp.site_abroad")),
    ("PVCurrentCityTown", To::Text("loc.current_area")),
    ("PVCurrentCounty", To::Text("loc.current_region")),
    ("ExploiterDetails", To::Text("xpl.description")),
    (
        "ExploitersLocationInformationPresent",
        To::YesNo("xpl.whereabouts_known"),
    ),
    ("ExploitersInUK", To::YesNo("xpl.in_this_country")),
    (
        "InformationOnExploitersCurrentLocation",
        To::Text("xpl.whereabouts"),
    ),
    (
        "ConcernsOfFurtherExploitationToPV",
        To::YesNo("rsk.re_trafficking_concern"),
    ),
    (
        "ReasonForConcernsReFurtherExploitation",
        To::Text("rsk.re_trafficking_reasons"),
    ),
    ("WillingToCooperate", To::YesNo("cop.willing_to_cooperate")),
    ("CollaborationInfo", To::Text("cop.cooperation_detail")),
    ("ComponentForcedToWorkForNothing", To::IfYes(FORCED_LABOUR)),
    ("ComponentWagesTaken", To::IfYes(FORCED_LABOUR)),
    (
        "ComponentFraud",
        To::IfYes(&[
            ("exp.types", "ForcedCriminality"),
            ("off.compelled_act", "made to commit fraud"),
        ]),
    ),
    (
        "ComponentProstitution",
        To::IfYes(&[
            ("exp.types", "SexualExploitation"),
            ("sex.sexual_exploitation_type", "prostitution"),
        ]),
    ),
    (
        "ComponentChildExploitation",
        To::IfYes(&[
            ("exp.types", "SexualExploitation"),
            ("sex.sexual_exploitation_type", "child-sexual-exploitation"),
        ]),
    ),
    (
        "ComponentSexuallyassaulted",
        To::IfYes(&[
            ("exp.types", "SexualExploitation"),
            ("sex.sexual_exploitation_type", "held-and-assaulted"),
        ]),
    ),
    (
        "ComponentForcedCrime",
        To::IfYes(&[
            ("exp.types", "ForcedCriminality"),
            ("off.compelled_act", "made to commit a crime"),
        ]),
    ),
    (
        "ComponentOrgansRemoved",
        To::IfYes(&[("exp.types", "OrganRemoval")]),
    ),
    (
        "ComponentDomesticServitude",
        To::IfYes(&[("exp.types", "Servitude")]),
    ),
    ("ExploitationOther", To::Text("exp.other_type")),
    (
        "OtherVictims",
        To::Choice("xpl.other_victims", YES_NO_NOT_SURE),
    ),
    (
        "OtherVictimsFurtherInfo",
        To::Text("xpl.other_victims_details"),
    ),
    ("ReportedCase", To::YesNo("cop.reported_to_police")),
    ("PoliceForce", To::Text("cop.police_force")),
    ("LocalAuthority", To::Text("pro.local_authority")),
    ("LAFirstName", To::Joined("pro.local_authority_contact")),
    ("LALastName", To::Joined("pro.local_authority_contact")),
    ("LAPhone", To::Text("pro.local_authority_phone")),
    ("LAEmail", To::Text("pro.local_authority_email")),
    ("SafeToEmail", To::YesNo("saf.safe_to_email")),
    ("SafeToPostal", To::YesNo("saf.safe_to_post")),
    ("Country", To::NotCarried(JURISDICTION)),
    ("CountryLabel", To::NotCarried(JURISDICTION)),
    (
        "HowToNotify",
        To::NotCarried("the same answer as `Customer.ContactMethod`"),
    ),
    ("PoliceForceCRN", To::Text("cop.crime_reference")),
    ("CIDReference", To::Text("doc.authority_reference")),
    ("NRMOrDuty", To::ReferralOrDuty),
    ("DTNReason", To::Text("cns.refusal_reason")),
    ("NeedSupport", To::YesNo("ned.support_wanted")),
    ("AlternativePhoneNumber", To::Text("saf.alternative_phone")),
    (
        "AlternativePhoneRelationshipToPV",
        To::Text("saf.alternative_contact_relationship"),
    ),
    (
        "CannotProvideContactDetails",
        To::Text("saf.no_contact_reason"),
    ),
    (
        "WhoToSendDecisionTo",
        To::Choice("saf.decision_to", DECISION_TO),
    ),
    ("Agent.Forename1", To::Joined("pro.caseworker")),
    ("Agent.Name", To::Joined("pro.caseworker")),
    ("Agent.Email", To::Text("pro.email")),
    ("Agent.Phone", To::Text("pro.phone")),
    ("Agent.Jobtitle", To::Text("pro.role_title")),
    ("Agent.Organisation", To::Text("pro.organisation")),
    ("AlternateFREmail", To::Text("pro.deputy_contact")),
    (
        "AltContactFirstName",
        To::Joined("saf.alternative_contact_name"),
    ),
    ("AltContactName", To::Joined("saf.alternative_contact_name")),
    (
        "AltContactAddress",
        To::Text("saf.alternative_contact_street"),
    ),
    ("AltContactTown", To::Text("saf.alternative_contact_town")),
    (
        "AltContactCounty",
        To::Text("saf.alternative_contact_county"),
    ),
    (
        "AltContactPostcode",
        To::Text("saf.alternative_contact_postcode"),
    ),
    ("AltContactEmail", To::Text("saf.alternative_contact_email")),
    (
        "AltContactPermissionToSend",
        To::YesNo("saf.alternative_contact_permission"),
    ),
    ("ExternalId", To::Text("nar.account_ref")),
    ("PVBirthplace", To::Text("nar.birthplace")),
    ("PVFamily", To::Text("fam.family_details")),
    ("PVEducation", To::Text("edu.highest_level")),
    ("PVEmploymentHistory", To::Text("nar.employment_history")),
    (
        "MultipleExploitationSituations",
        To::Text("exp.further_periods"),
    ),
    (
        "MoreThanOneExploitationSituations",
        To::Choice("exp.more_than_one_situation", YES_NO_NOT_SURE),
    ),
    ("ExploitationDates", To::Text("exp.period")),
    ("HowExploitationStarted", To::Text("nar.how_it_started")),
    (
        "ExploitationTakenSomewhere",
        To::YesNo("exp.taken_somewhere"),
    ),
    ("ExploitationJourneyDetails", To::Text("nar.journey")),
    ("ExploitationAverageDay", To::Text("nar.average_day")),
    (
        "ExploitationLivingConditions",
        To::Text("nar.living_conditions"),
    ),
    ("ExploitationTreatment", To::Text("nar.treatment")),
    ("ExploitationWhyTheyStayed", To::Text("nar.why_they_stayed")),
    (
        "PVStillInExploitativeSituation",
        To::YesNo("rsk.still_in_exploitation"),
    ),
    ("KeepingPVInSituation", To::Text("nar.what_keeps_them")),
    ("ExploitationReasonTheyLeft", To::Text("nar.how_they_left")),
    (
        "PVExploitersLastContact",
        To::Choice("rsk.last_contact_band", LAST_CONTACT),
    ),
    ("DetailsLastContact", To::Text("nar.last_contact_details")),
    (
        "FirstChanceToReport",
        To::Choice("cop.reported_before", YES_NO_NOT_SURE),
    ),
    (
        "ReportedBeforeFurtherInfo",
        To::Text("nar.reported_before_details"),
    ),
    (
        "ReasonForReportingNow",
        To::Text("nar.what_prevented_reporting"),
    ),
    (
        "ReasonForMakingReferral",
        To::Text("nar.reason_for_referral"),
    ),
    (
        "IdentifiedModernSlaveryIndicators",
        To::YesNo("ind.identified"),
    ),
    (
        "IdentifiedModernSlaveryIndicatorsDetails",
        To::Text("nar.indicator_details"),
    ),
    ("ProfessionalInsight", To::Text("nar.professional_insight")),
    ("DetailsAboutInterview", To::Text("nar.interview_context")),
    ("EvidenceOfDishonesty", To::YesNo("cop.credibility_concern")),
    (
        "DetailsOfEvidenceOfDishonesty",
        To::Text("cop.credibility_concern_details"),
    ),
    ("ProfessionalsInvolved", To::YesNo("pro.others_involved")),
    (
        "DetailsOfProfessionalsInvolved",
        To::Text("pro.other_professionals"),
    ),
    ("EvidenceSubmitted", To::Text("nar.attachment_descriptions")),
];
