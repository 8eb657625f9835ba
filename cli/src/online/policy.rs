//! What may go to whom: the judge between two desks, under the bundles of both, and the words for
//! what it takes out.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;
use waypost_policies::{Bundle, Judge, RecipientDesk, Rules, SenderFacts, Zone};
use waypost_proto::catalogue::{Catalogue, Shape};
use waypost_proto::draft::{Minimisation, Reason, Shared, Side, Withheld};
use waypost_proto::id::{AgencyId, DeskName, Digest};
use waypost_proto::kind::Kind;
use waypost_proto::manifest::Versions;
use waypost_proto::party::Party;
use waypost_proto::taxonomy::Taxonomy;
use waypost_proto::vocabulary::Part;

use crate::context::Context;
use crate::output::{Failure, Page};
use crate::policy::folder_files;

/// Folder below the home with the agency's own Cedar files; the built-in bundle if absent.
const FOLDER: &str = "bundle";

fn unusable(error: &dyn std::error::Error) -> Failure {
    Failure::error("the policy bundle cannot be used")
        .caused_by(error)
        .next("waypost policy check")
}

/// The own agency's bundle: the home's folder `bundle`, else the built-in one.
pub(crate) fn own_bundle(context: &Context) -> Result<Bundle, Failure> {
    let folder = context.home.root().join(FOLDER);
    if !folder.is_dir() {
        return Bundle::builtin().map_err(|e| unusable(&e));
    }
    Bundle::new(folder_files(&folder)?).map_err(|e| unusable(&e))
}

/// Compiles a bundle.
pub(crate) fn compile(bundle: &Bundle) -> Result<Arc<Rules>, Failure> {
    Rules::compile(bundle)
        .map(Arc::new)
        .map_err(|e| unusable(&e))
}

/// The rules of both sides.
#[derive(Debug, Clone)]
pub(crate) struct BothRules {
    /// The own agency's.
    pub(crate) own: Arc<Rules>,
    /// The recipient's.
    pub(crate) theirs: Arc<Rules>,
}

impl BothRules {
    /// What a manifest says that it was decided under.
    pub(crate) fn versions(&self) -> Result<Versions, Failure> {
        Ok(Versions {
            sender_bundle: self.own.digest(),
            recipient_bundle: self.theirs.digest(),
            catalogue: catalogue_digest()?,
            taxonomy: taxonomy_digest()?,
        })
    }

    /// The judge between two desks.
    pub(crate) fn judge(&self, recipient: RecipientDesk, sender: SenderFacts) -> Judge {
        Judge {
            sender_rules: Arc::clone(&self.own),
            recipient_rules: Arc::clone(&self.theirs),
            recipient,
            sender,
        }
    }
}

fn catalogue_digest() -> Result<Digest, Failure> {
    Ok(Catalogue::current().map_err(|e| unusable(e))?.digest())
}

fn taxonomy_digest() -> Result<Digest, Failure> {
    Ok(Taxonomy::current().map_err(|e| unusable(e))?.digest())
}

fn no_desk(error: &dyn std::error::Error) -> Failure {
    Failure::error("the desk is not in the roster")
        .caused_by(error)
        .next("name a desk of the agency: `--to AGENCY/DESK`")
}

/// Where an agency is, seen from another. No list of adequate States is kept yet, so that every
/// other State is one that nothing is assumed of.
pub(crate) fn zone(from: &AgencyId, to: &AgencyId) -> Zone {
    if from.country() == to.country() {
        Zone::Domestic
    } else {
        Zone::Other
    }
}

/// The receiving desk, as the policies see it.
pub(crate) fn recipient(
    party: &Party,
    desk: &DeskName,
    from: &AgencyId,
) -> Result<RecipientDesk, Failure> {
    let record = party.record();
    let desk = party.desk(desk).map_err(|e| no_desk(&e))?;
    Ok(RecipientDesk {
        role: desk.role,
        desk: desk.attestations.clone(),
        agency: record.attestations.clone(),
        zone: zone(from, &record.id),
    })
}

/// The sending desk, as the policies see it.
pub(crate) fn sender(party: &Party, desk: &DeskName) -> Result<SenderFacts, Failure> {
    let record = party.record();
    let desk = party.desk(desk).map_err(|e| no_desk(&e))?;
    Ok(SenderFacts {
        role: desk.role,
        desk: desk.attestations.clone(),
        agency: record.attestations.clone(),
    })
}

/// A field that goes along.
#[derive(Debug, Serialize)]
pub(crate) struct Going {
    path: &'static str,
    label: &'static str,
    part: &'static str,
    /// Whether people wrote it in their own words, which no rule reads.
    free_text: bool,
    rules: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<String>,
}

/// A field that stays, and why.
#[derive(Debug, Serialize)]
pub(crate) struct Staying {
    path: &'static str,
    label: &'static str,
    part: &'static str,
    /// Whose rules keep it: the `sender`'s, the `recipient`'s, those of `both`.
    #[serde(skip_serializing_if = "Option::is_none")]
    whose: Option<&'static str>,
    why: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<String>,
    /// What would change it.
    change: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<String>,
}

/// What goes and what stays, for people.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Selection {
    shared: Vec<Going>,
    withheld: Vec<Staying>,
}

impl Selection {
    /// Of a minimisation.
    pub(crate) fn of(minimisation: &Minimisation) -> Self {
        Self {
            shared: {
                let kind = minimisation.minimised.kind();
                let shared = minimisation.shared.iter();
                shared.map(|s| going(kind, s)).collect()
            },
            withheld: minimisation.withheld.iter().map(staying).collect(),
        }
    }

    /// Whether anything goes besides the envelope and who acts.
    pub(crate) fn says_something(&self) -> bool {
        let frame = [Part::Env.code(), Part::Pro.code()];
        self.shared.iter().any(|g| !frame.contains(&g.part))
    }

    /// In words: by category, then what stays, each reason once with what would change it.
    pub(crate) fn page(&self, page: &mut Page) {
        page.heading("Goes to the recipient");
        let mut categories: Vec<(&str, Vec<String>)> = Vec::new();
        for field in &self.shared {
            let (category, name) = split(field.label);
            add(
                &mut categories,
                category,
                words(name, field.code.as_deref()),
            );
        }
        for (category, names) in &categories {
            page.item(&format!("{category}: {}", names.join(", ")));
        }
        if categories.is_empty() {
            page.item("nothing");
        }
        let free: Vec<&str> = self
            .shared
            .iter()
            .filter(|g| g.free_text)
            .map(|g| g.label)
            .collect();
        if !free.is_empty() {
            page.warning(&format!(
                "Read these once more before they go. No rule reads free text; whatever stands there is sent: {}",
                free.join("; ")
            ));
        }
        if self.withheld.is_empty() {
            return;
        }
        page.heading("Stays with you");
        let mut reasons: BTreeMap<(&str, Option<&str>), Vec<&Staying>> = BTreeMap::new();
        for field in &self.withheld {
            let rule = field.rule.as_deref();
            reasons.entry((field.why, rule)).or_default().push(field);
        }
        for ((why, rule), fields) in &reasons {
            let names: Vec<String> = fields
                .iter()
                .map(|f| words(f.label, f.code.as_deref()))
                .collect();
            page.item(&names.join("; "));
            let first = fields.first();
            let source = first.and_then(|f| f.source.as_deref());
            let cite = match (rule, source) {
                (Some(rule), Some(source)) => format!("{why} (rule `{rule}`, {source})"),
                _ => (*why).to_owned(),
            };
            page.field("why", &cite);
            page.field("what would help", &first.map_or("", |f| f.change.as_str()));
        }
    }
}

fn split(label: &str) -> (&str, &str) {
    label.split_once(": ").unwrap_or(("Message", label))
}

fn add<'a>(categories: &mut Vec<(&'a str, Vec<String>)>, category: &'a str, name: String) {
    match categories.iter_mut().find(|(c, _)| *c == category) {
        Some((_, names)) => names.push(name),
        None => categories.push((category, vec![name])),
    }
}

/// A field's name, or what its code means.
fn words(name: &str, code: Option<&str>) -> String {
    let Some(code) = code else {
        return name.to_owned();
    };
    let taxonomy = Taxonomy::current().ok();
    let label = taxonomy.and_then(|t| t.label(code)).unwrap_or(code);
    format!("{name} ({label})")
}

/// Parts whose text fields invite sentences about the person, rather than names and addresses.
const SENTENCES: &[Part] = &[
    Part::FamContact,
    Part::FamRest,
    Part::Edu,
    Part::HltUrgent,
    Part::HltRest,
    Part::OffCompelled,
    Part::CnsRest,
    Part::CnsRefusal,
    Part::RskPlan,
    Part::RskRest,
    Part::ExpNotify,
    Part::ExpRest,
    Part::Ned,
];

/// Whether the field at `path` of a form may hold sentences.
fn is_free_text(kind: Kind, path: &str) -> bool {
    let fields = Catalogue::current().ok().and_then(|c| c.form(kind).ok());
    fields.and_then(|f| f.field(path)).is_some_and(|field| {
        matches!(field.shape(), Shape::Text { .. }) && SENTENCES.contains(&field.part())
    })
}

fn going(kind: Kind, shared: &Shared) -> Going {
    Going {
        path: shared.path,
        label: shared.label,
        part: shared.part.code(),
        free_text: is_free_text(kind, shared.path),
        rules: shared.rules.clone(),
        code: shared.code.clone(),
    }
}

const fn whose(by: Side) -> &'static str {
    match by {
        Side::Sender => "sender",
        Side::Recipient => "recipient",
        Side::Both => "both",
    }
}

fn staying(withheld: &Withheld) -> Staying {
    let (whose, why, rule, source, change) = match &withheld.reason {
        Reason::KindCeiling => (
            None,
            "this kind of message never carries it",
            None,
            None,
            "nothing: keep it in your own file; the recipient can ask you for what it needs"
                .to_owned(),
        ),
        Reason::Forbidden {
            by,
            rule,
            advice,
            source,
        } => (
            Some(whose(*by)),
            match by {
                Side::Sender => "a rule of your own agency forbids it",
                Side::Recipient => "a rule of the recipient forbids it",
                Side::Both => "a rule forbids it",
            },
            Some(rule.clone()),
            Some(source.clone()),
            advice.clone(),
        ),
        Reason::NotPermitted { by } => (
            Some(whose(*by)),
            match by {
                Side::Sender => {
                    "no rule of your own agency allows it for this purpose, role and recipient"
                }
                Side::Recipient => "no rule of the recipient allows it for this purpose and role",
                Side::Both => "no rule allows it for this purpose, role and recipient",
            },
            None,
            None,
            "another purpose or recipient; see `waypost policy explain`".to_owned(),
        ),
        Reason::Error => (
            None,
            "the rules could not be evaluated, so it stays",
            None,
            None,
            "waypost policy check".to_owned(),
        ),
    };
    Staying {
        path: withheld.path,
        label: withheld.label,
        part: withheld.part.code(),
        whose,
        why,
        rule,
        source,
        change,
        code: withheld.code.clone(),
    }
}

#[cfg(test)]
mod tests {
    use waypost_proto::draft::Draft;
    use waypost_proto::form::Form;
    use waypost_proto::kind::Kind;
    use waypost_proto::vocabulary::{AgencyAttestation, DeskAttestation, Role};

    use super::*;
    use crate::online::fixture;

    const FORM: &str = r#"{
        "pro": {"caseworker": "officer 7", "organisation": "an organisation"},
        "idn": {"given_name": "a name"},
        "age": {"minor_status": "unknown"},
        "nar": {"account_text": "the account"},
        "exp": {"types": ["ForcedLabour"]}
    }"#;

    fn selection(role: Role) -> Selection {
        let rules = compile(&Bundle::builtin().unwrap()).unwrap();
        let both = BothRules {
            own: Arc::clone(&rules),
            theirs: rules,
        };
        let recipient = RecipientDesk {
            role,
            desk: DeskAttestation::ALL.iter().copied().collect(),
            agency: AgencyAttestation::ALL.iter().copied().collect(),
            zone: Zone::Domestic,
        };
        let sender = SenderFacts {
            role: Role::Cpa,
            desk: DeskAttestation::ALL.iter().copied().collect(),
            agency: AgencyAttestation::ALL.iter().copied().collect(),
        };
        let judge = both.judge(recipient, sender);
        let form = Form::from_json(Kind::ReferralNrm, FORM).unwrap();
        let draft = Draft::new(form, fixture::request()).unwrap();
        Selection::of(&draft.minimise(&judge, both.versions().unwrap()).unwrap())
    }

    #[test]
    fn the_account_stays_and_the_page_says_why_and_what_would_help() {
        let selection = selection(Role::NrmCa);
        assert!(selection.says_something());
        let account = selection
            .withheld
            .iter()
            .find(|w| w.part == "NAR.text")
            .unwrap();
        assert_eq!(account.why, "a rule forbids it");
        assert!(account.rule.is_some() && account.source.is_some() && !account.change.is_empty());
        let mut page = Page::default();
        selection.page(&mut page);
        let text = format!("{page:?}");
        assert!(text.contains("Stays with you") && text.contains("what would help"));
        assert!(!text.contains("the account\""), "a value was shown");
    }

    #[test]
    fn a_desk_to_which_nothing_may_go_gets_nothing_about_the_referral() {
        assert!(!selection(Role::ImmEnf).says_something());
    }

    #[test]
    fn another_country_is_never_taken_for_the_own_one() {
        let gb: AgencyId = "gb.example".parse().unwrap();
        assert_eq!(zone(&gb, &"gb.other".parse().unwrap()), Zone::Domestic);
        assert_eq!(zone(&gb, &"fr.other".parse().unwrap()), Zone::Other);
    }
}
