//! Who sends and who receives, as the policies see them, and the translation of all facts to Cedar.

use std::collections::{BTreeMap, BTreeSet};

use cedar_policy::{Context, Entities, Entity, EntityUid, RestrictedExpression};
use waypost_proto::id::{AgencyId, DeskName};
use waypost_proto::manifest::Facts;
use waypost_proto::party::{Party, PartyError};
use waypost_proto::vocabulary::{AgencyAttestation, DeskAttestation, Purpose, Role};

use crate::schema::{Names, SchemaError, entity};

/// Where a recipient is, seen from the sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Zone {
    /// The same State.
    Domestic,
    /// Another State with an adequacy decision (GDPR Art 45).
    Adequate,
    /// Any other State.
    Other,
}

impl Zone {
    /// All of them.
    pub const ALL: &'static [Self] = &[Self::Domestic, Self::Adequate, Self::Other];

    /// The code as it stands in policies.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Domestic => "domestic",
            Self::Adequate => "adequate",
            Self::Other => "other",
        }
    }
}

/// The receiving desk: from its agency's roster and the directory.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecipientDesk {
    /// The desk's one role.
    pub role: Role,
    /// What the roster attests of the desk.
    pub desk: BTreeSet<DeskAttestation>,
    /// What the directory attests of its agency.
    pub agency: BTreeSet<AgencyAttestation>,
    /// Where it is, seen from the sender.
    pub zone: Zone,
}

impl RecipientDesk {
    /// The desk `desk` of a checked agency, seen from `sender`.
    ///
    /// # Errors
    /// CHN-05: the roster does not hold the desk.
    pub fn of(party: &Party, desk: &DeskName, sender: &AgencyId) -> Result<Self, PartyError> {
        let listed = party.desk(desk)?;
        let record = party.record();
        Ok(Self {
            role: listed.role,
            desk: listed.attestations.clone(),
            agency: record.attestations.clone(),
            // Nothing that both States' operators signed says which are adequate (docs/policies.md).
            zone: if record.id.country() == sender.country() {
                Zone::Domestic
            } else {
                Zone::Other
            },
        })
    }
}

/// The sending desk: from its agency's roster and the directory.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SenderFacts {
    /// The desk's one role.
    pub role: Role,
    /// What the roster attests of the desk.
    pub desk: BTreeSet<DeskAttestation>,
    /// What the directory attests of its agency.
    pub agency: BTreeSet<AgencyAttestation>,
}

/// Everything besides the part that a decision under one bundle depends on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Situation {
    pub(crate) facts: Facts,
    pub(crate) sender: SenderFacts,
    pub(crate) recipient: RecipientDesk,
}

/// A situation in Cedar's terms, checked against the schema: built once, asked for many parts.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) purpose: Purpose,
    pub(crate) context: Context,
    pub(crate) entities: Entities,
}

impl Situation {
    pub(crate) fn prepare(&self, names: &Names) -> Result<Prepared, SchemaError> {
        Ok(Prepared {
            purpose: self.facts.purpose,
            context: context(names, &self.sender, &self.facts)?,
            entities: entities(names, &self.recipient)?,
        })
    }
}

impl SenderFacts {
    /// The desk `desk` of a checked agency.
    ///
    /// # Errors
    /// CHN-05: the roster does not hold the desk.
    pub fn of(party: &Party, desk: &DeskName) -> Result<Self, PartyError> {
        let listed = party.desk(desk)?;
        Ok(Self {
            role: listed.role,
            desk: listed.attestations.clone(),
            agency: party.record().attestations.clone(),
        })
    }
}

/// Attribute name of an attestation: its code with underscores.
fn attribute(code: &str) -> String {
    code.replace('-', "_")
}

fn record(
    fields: impl IntoIterator<Item = (String, RestrictedExpression)>,
) -> Result<RestrictedExpression, SchemaError> {
    RestrictedExpression::new_record(fields).map_err(SchemaError::new)
}

fn attestations<T: Copy + Ord>(
    all: &[T],
    held: &BTreeSet<T>,
    code: fn(T) -> &'static str,
) -> Result<RestrictedExpression, SchemaError> {
    record(all.iter().map(|a| {
        (
            attribute(code(*a)),
            RestrictedExpression::new_bool(held.contains(a)),
        )
    }))
}

fn desk_record(desk: &BTreeSet<DeskAttestation>) -> Result<RestrictedExpression, SchemaError> {
    attestations(DeskAttestation::ALL, desk, DeskAttestation::code)
}

fn agency_record(
    agency: &BTreeSet<AgencyAttestation>,
) -> Result<RestrictedExpression, SchemaError> {
    attestations(AgencyAttestation::ALL, agency, AgencyAttestation::code)
}

fn literal(uid: EntityUid) -> RestrictedExpression {
    RestrictedExpression::new_entity_uid(uid)
}

/// The entities of every request to this recipient: the desk, and the actions of the schema.
fn entities(names: &Names, desk: &RecipientDesk) -> Result<Entities, SchemaError> {
    let attributes = [
        (
            "role".to_owned(),
            literal(entity(&names.role, desk.role.code())),
        ),
        (
            "zone".to_owned(),
            literal(entity(&names.zone, desk.zone.code())),
        ),
        ("desk".to_owned(), desk_record(&desk.desk)?),
        ("agency".to_owned(), agency_record(&desk.agency)?),
    ];
    let recipient = Entity::new(
        names.recipient(),
        attributes.into_iter().collect(),
        std::collections::HashSet::new(),
    )
    .map_err(SchemaError::new)?;
    Entities::from_entities([recipient], Some(&names.schema)).map_err(SchemaError::new)
}

/// The sender's half of the context.
fn sender(names: &Names, sender: &SenderFacts) -> Result<RestrictedExpression, SchemaError> {
    record([
        (
            "role".to_owned(),
            literal(entity(&names.role, sender.role.code())),
        ),
        ("desk".to_owned(), desk_record(&sender.desk)?),
        ("agency".to_owned(), agency_record(&sender.agency)?),
    ])
}

/// The manifest's half of the context.
///
/// `no_origin_conflict` and `no_implicated_party` are true in every manifest that parses (MAN-05);
/// they stand in the context so that policies and proofs can name them.
fn manifest(names: &Names, facts: &Facts) -> Result<RestrictedExpression, SchemaError> {
    let bases = facts
        .legal_bases
        .iter()
        .map(|b| literal(entity(&names.legal_basis, b.code())));
    let consented = facts
        .consented_parts
        .iter()
        .map(|p| literal(names.part(*p)));
    let flag = RestrictedExpression::new_bool;
    let mut fields = BTreeMap::from([
        ("legal_bases", RestrictedExpression::new_set(bases)),
        (
            "minor_status",
            literal(entity(&names.minor_status, facts.minor_status.code())),
        ),
        (
            "consent",
            literal(entity(&names.consent_state, facts.consent.code())),
        ),
        ("consented_parts", RestrictedExpression::new_set(consented)),
        ("danger", flag(facts.danger)),
        (
            "handling",
            literal(entity(&names.handling, facts.handling.code())),
        ),
        (
            "retention_days",
            RestrictedExpression::new_long(facts.retention_days.into()),
        ),
        ("represented", flag(facts.represented)),
        ("no_origin_conflict", flag(true)),
        ("no_implicated_party", flag(true)),
    ]);
    if let Some(ground) = facts.override_ground {
        fields.insert(
            "override_ground",
            literal(entity(&names.override_ground, ground.code())),
        );
    }
    if let Some(basis) = facts.transfer_basis {
        fields.insert(
            "transfer_basis",
            literal(entity(&names.legal_basis, basis.code())),
        );
    }
    record(
        fields
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value)),
    )
}

/// The context of one message, checked against the schema: built once, used for every part.
fn context(names: &Names, from: &SenderFacts, facts: &Facts) -> Result<Context, SchemaError> {
    let context = Context::from_pairs([
        ("sender".to_owned(), sender(names, from)?),
        ("manifest".to_owned(), manifest(names, facts)?),
    ])
    .map_err(SchemaError::new)?;
    context
        .validate(&names.schema, &names.disclose(facts.purpose))
        .map_err(|_| SchemaError::new("the context does not fit the schema"))?;
    Ok(context)
}
