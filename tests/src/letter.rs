//! Messages to send: forms of nobody, minimised and sealed as the stock client does it.

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};

use anyhow::{Context as _, Result};
use aws_lc_rs::rand;
use serde_json::json;
use waypost_policies::{Bundle, BundleError, Judge, RecipientDesk, Rules, SenderFacts};
use waypost_proto::catalogue::Catalogue;
use waypost_proto::draft::{Draft, Minimised, Request};
use waypost_proto::envelope::{self, Addressing, Sealed};
use waypost_proto::form::Form;
use waypost_proto::header::Header;
use waypost_proto::id::{AgencyId, CaseId, DeskAddress, MessageId};
use waypost_proto::kind::Kind;
use waypost_proto::limit;
use waypost_proto::manifest::Versions;
use waypost_proto::openpgp::SigningKey;
use waypost_proto::party::Party;
use waypost_proto::taxonomy::Taxonomy;
use waypost_proto::vocabulary::{Handling, LegalBasis, Purpose, Role};

use crate::scheme::{self, INVENTED_STATE};

/// Values of [`Letter::referral`] that nobody but the two desks may see.
pub const VALUES: &[&str] = &[
    "Zelphinora",
    "Quandrelish",
    "1999-12-31",
    "Ulmbrecht car wash",
    "Vortigan",
    "hawthornlike",
];

/// 16 random bytes.
///
/// # Errors
/// When the system gives none.
pub fn random() -> Result<[u8; 16]> {
    let mut bytes = [0; 16];
    rand::fill(&mut bytes).context("random bytes")?;
    Ok(bytes)
}

/// Random bytes of any number.
///
/// # Errors
/// When the system gives none.
pub fn noise(count: usize) -> Result<Vec<u8>> {
    let mut bytes = vec![0; count];
    rand::fill(&mut bytes).context("random bytes")?;
    Ok(bytes)
}

/// A message before it is sealed.
#[derive(Debug, Clone)]
pub struct Letter {
    /// Its id.
    pub id: MessageId,
    /// Its case.
    pub case: CaseId,
    /// The message that it answers.
    pub answers: Option<MessageId>,
    /// What it is.
    pub kind: Kind,
    /// Its form, as people write it.
    pub form: String,
    /// Seconds until it expires.
    pub lasts: u64,
}

impl Letter {
    /// A referral of an adult who consents to all of it.
    ///
    /// # Errors
    /// When the system gives no random bytes.
    pub fn referral() -> Result<Self> {
        Self::referral_with(&VALUES.join(", "))
    }

    /// A referral of a person in immediate danger.
    ///
    /// # Errors
    /// When the system gives no random bytes.
    pub fn danger() -> Result<Self> {
        let mut letter = Self::referral()?;
        let mut form: serde_json::Value = serde_json::from_str(&letter.form)?;
        if let Some(fields) = form.as_object_mut() {
            fields.insert("rsk".to_owned(), json!({"immediate_danger": true}));
        }
        letter.form = form.to_string();
        Ok(letter)
    }

    /// The same with a longer text, so that its form has about `bytes` bytes.
    ///
    /// # Errors
    /// When the system gives no random bytes.
    pub fn referral_of(bytes: usize) -> Result<Self> {
        Self::referral_with(&"hawthornlike ".repeat(bytes / 13))
    }

    fn referral_with(text: &str) -> Result<Self> {
        let [given_name, family_name, birthdate, site, caseworker, ..] = VALUES else {
            anyhow::bail!("values of a form");
        };
        let form = json!({
            "pro": {"caseworker": caseworker},
            "idn": {"given_name": given_name, "family_name": family_name, "birthdate": birthdate},
            "age": {"minor_status": "adult"},
            "cns": {"participation_consent": "given", "sharing_consent": {"whole_referral": true}},
            "exp": {"types": ["ForcedLabour"], "site": site, "recruitment": text},
        });
        Ok(Self {
            id: MessageId::new(random()?),
            case: CaseId::new(random()?),
            answers: None,
            kind: Kind::ReferralNrm,
            form: form.to_string(),
            lasts: limit::EXPIRY_SECONDS,
        })
    }

    /// A school's referral of an invented pupil to child protection, with more in it than may go.
    ///
    /// # Errors
    /// When the system gives no random bytes.
    pub fn referral_of_pupil() -> Result<Self> {
        Ok(Self {
            kind: Kind::ReferralChild,
            form: include_str!("../../fixtures/school/found-with-drugs.json").to_owned(),
            ..Self::referral()?
        })
    }

    /// A request to the liaison office of another State, about an invented child.
    ///
    /// # Errors
    /// When the system gives no random bytes.
    pub fn request_abroad() -> Result<Self> {
        Ok(Self {
            kind: Kind::LiaisonRequest,
            form: include_str!("../../fixtures/liaison/locate-child.json").to_owned(),
            ..Self::referral()?
        })
    }

    /// The acknowledgement of a referral.
    ///
    /// # Errors
    /// When the system gives no random bytes.
    pub fn acknowledgement(of: &Header) -> Result<Self> {
        Self::answer(
            of,
            Kind::Acknowledgement,
            &json!({"pro": {"caseworker": "Vortigan"}}),
        )
    }

    /// A short note in the case of a message.
    ///
    /// # Errors
    /// When the system gives no random bytes.
    pub fn reply(to: &Header) -> Result<Self> {
        Self::answer(
            to,
            Kind::Reply,
            &json!({"note": "Please call about the hawthornlike matter."}),
        )
    }

    fn answer(of: &Header, kind: Kind, form: &serde_json::Value) -> Result<Self> {
        Ok(Self {
            id: MessageId::new(random()?),
            case: of.case_id,
            answers: Some(of.message_id),
            kind,
            form: form.to_string(),
            lasts: limit::EXPIRY_SECONDS,
        })
    }
}

/// Both ends of a message, checked along their chains.
#[derive(Debug, Clone)]
pub struct Ends {
    /// The sending agency.
    pub sender: Party,
    /// Its desk.
    pub from: DeskAddress,
    /// The addressed agency.
    pub recipient: Party,
    /// Its desk.
    pub to: DeskAddress,
}

/// The built-in rules, which every node of the tests uses, except those abroad.
///
/// # Errors
/// None in a build that passed its tests.
pub fn rules() -> Result<Arc<Rules>> {
    static RULES: OnceLock<Arc<Rules>> = OnceLock::new();
    compiled(&RULES, Bundle::builtin)
}

/// The rules of an agency's State.
fn rules_of(agency: &AgencyId) -> Result<Arc<Rules>> {
    static ABROAD: OnceLock<Arc<Rules>> = OnceLock::new();
    if agency.country().as_str() == INVENTED_STATE {
        compiled(&ABROAD, Bundle::of_invented_state)
    } else {
        rules()
    }
}

fn compiled(
    once: &OnceLock<Arc<Rules>>,
    bundle: impl FnOnce() -> Result<Bundle, BundleError>,
) -> Result<Arc<Rules>> {
    if let Some(rules) = once.get() {
        return Ok(Arc::clone(rules));
    }
    let rules = Arc::new(Rules::compile(&bundle()?)?);
    Ok(Arc::clone(once.get_or_init(|| rules)))
}

impl Ends {
    /// What decides about these two desks.
    ///
    /// # Errors
    /// When a roster does not hold its desk.
    pub fn judge(&self) -> Result<Judge> {
        Ok(Judge {
            sender_rules: rules_of(&self.from.agency)?,
            recipient_rules: rules_of(&self.to.agency)?,
            recipient: RecipientDesk::of(&self.recipient, &self.to.desk, &self.from.agency)?,
            sender: SenderFacts::of(&self.sender, &self.from.desk)?,
        })
    }

    /// Takes out of the letter what may not go.
    ///
    /// # Errors
    /// When the form is refused.
    pub fn minimise(&self, letter: &Letter) -> Result<Minimised> {
        let judge = self.judge()?;
        // What is written to child protection, or by it, is for child protection.
        let purpose = match (judge.sender.role, judge.recipient.role) {
            (Role::Cpa, _) | (_, Role::Cpa) => Purpose::Child,
            (Role::Liai, _) => Purpose::Trace,
            _ => Purpose::Ident,
        };
        let mut legal_bases =
            BTreeSet::from([LegalBasis::Lb6e, LegalBasis::Lb9g, LegalBasis::Lb10]);
        let abroad = self.from.agency.country() != self.to.agency.country();
        // The danger test was made (Hague 1996 Art 37).
        legal_bases.extend(abroad.then_some(LegalBasis::LbH96p37));
        let request = Request {
            purpose,
            legal_bases,
            handling: Handling::H0,
            retention_days: 365,
            transfer_basis: abroad.then_some(LegalBasis::LbT46),
            override_ground: None,
            represented: false,
            no_origin_conflict: true,
            no_implicated_party: true,
            profile: "GB-EAW-NRM".to_owned(),
        };
        let versions = Versions {
            sender_bundle: judge.sender_rules.digest(),
            recipient_bundle: judge.recipient_rules.digest(),
            catalogue: Catalogue::current()?.digest(),
            taxonomy: Taxonomy::current()?.digest(),
        };
        let form = Form::from_json(letter.kind, &letter.form)?;
        let draft = Draft::new(form, request)?;
        Ok(draft.minimise(&judge, versions)?.minimised)
    }

    /// Minimises and seals the letter, signed by `officer`.
    ///
    /// # Errors
    /// When the form is refused, or a key does not serve.
    pub fn seal(&self, letter: &Letter, officer: &SigningKey) -> Result<Sealed> {
        let created = scheme::now();
        let addressing = Addressing {
            message_id: letter.id,
            case_id: letter.case,
            in_reply_to: letter.answers,
            sender: self.from.clone(),
            recipient: self.to.clone(),
            created,
            expires: created.plus(letter.lasts),
            case_seen: 0,
        };
        let minimised = self.minimise(letter)?;
        Ok(envelope::seal(
            &minimised,
            addressing,
            officer,
            &self.sender,
            &self.recipient,
        )?)
    }
}
