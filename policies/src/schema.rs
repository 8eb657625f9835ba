//! The Cedar schema, and the names of its entities.

use std::str::FromStr as _;

use cedar_policy::{EntityId, EntityTypeName, EntityUid, Schema};
use waypost_proto::vocabulary::{Part, Purpose};

/// The schema as text: fixed by the protocol version, no part of a bundle.
pub const SCHEMA: &str = include_str!("../schema/waypost.cedarschema");

/// A policy engine's own failure: a bug of this build, never the fault of a bundle or a message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("bug: the policy schema or its names do not fit this build: {detail}")]
pub struct SchemaError {
    /// What did not fit.
    pub detail: String,
}

impl SchemaError {
    #[expect(
        clippy::needless_pass_by_value,
        reason = "handed to `map_err`, which passes the error by value"
    )]
    pub(crate) fn new(detail: impl ToString) -> Self {
        Self {
            detail: detail.to_string(),
        }
    }
}

/// The parsed schema and the names of its entity types.
#[derive(Debug)]
pub(crate) struct Names {
    pub(crate) schema: Schema,
    action: EntityTypeName,
    desk: EntityTypeName,
    pub(crate) part: EntityTypeName,
    pub(crate) role: EntityTypeName,
    pub(crate) legal_basis: EntityTypeName,
    pub(crate) minor_status: EntityTypeName,
    pub(crate) consent_state: EntityTypeName,
    pub(crate) override_ground: EntityTypeName,
    pub(crate) handling: EntityTypeName,
    pub(crate) zone: EntityTypeName,
}

fn type_name(name: &str) -> Result<EntityTypeName, SchemaError> {
    EntityTypeName::from_str(&format!("Waypost::{name}")).map_err(SchemaError::new)
}

/// The entity `code` of a closed vocabulary.
pub(crate) fn entity(kind: &EntityTypeName, code: &str) -> EntityUid {
    EntityUid::from_type_name_and_id(kind.clone(), EntityId::new(code))
}

impl Names {
    pub(crate) fn load() -> Result<Self, SchemaError> {
        let (schema, _warnings) = Schema::from_cedarschema_str(SCHEMA).map_err(SchemaError::new)?;
        Ok(Self {
            schema,
            action: type_name("Action")?,
            desk: type_name("Desk")?,
            part: type_name("Part")?,
            role: type_name("Role")?,
            legal_basis: type_name("LegalBasis")?,
            minor_status: type_name("MinorStatus")?,
            consent_state: type_name("ConsentState")?,
            override_ground: type_name("OverrideGround")?,
            handling: type_name("Handling")?,
            zone: type_name("Zone")?,
        })
    }

    /// The action that a disclosure for this purpose is.
    pub(crate) fn disclose(&self, purpose: Purpose) -> EntityUid {
        entity(&self.action, purpose.code())
    }

    /// The group of all disclosures.
    pub(crate) fn group(&self) -> EntityUid {
        entity(&self.action, "disclose")
    }

    /// Whether the action is a disclosure.
    pub(crate) fn is_disclosure(&self, action: &EntityUid) -> bool {
        action.type_name() == &self.action && action.id().unescaped().parse::<Purpose>().is_ok()
    }

    pub(crate) fn part(&self, part: Part) -> EntityUid {
        entity(&self.part, part.code())
    }

    /// The recipient: there is one in a request, and its attributes are all that counts.
    pub(crate) fn recipient(&self) -> EntityUid {
        entity(&self.desk, "recipient")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use cedar_policy::SchemaFragment;
    use prost_reflect::DescriptorPool;
    use serde_json::Value;
    use waypost_proto::vocabulary::{
        AgencyAttestation, ConsentState, DeskAttestation, Handling, LegalBasis, MinorStatus,
        OverrideGround, Role,
    };
    use waypost_proto::wire;

    use super::*;
    use crate::Zone;

    /// Fields of the protobuf `Manifest` that are no fact of the context, and why.
    const NOT_FACTS: &[(&str, &str)] = &[
        ("purpose", "the action"),
        ("parts", "the resources"),
        ("profile", "where clocks come from: no ground for sharing"),
        ("clocks", "started and stopped by the case, not by a rule"),
        ("due_at", "an instant: decisions have no clock"),
        ("calendar", "what due_at was reckoned with"),
        ("sender_bundle", "what is judged under, not what is judged"),
        (
            "recipient_bundle",
            "what is judged under, not what is judged",
        ),
        ("catalogue", "what is judged under, not what is judged"),
        ("taxonomy", "what is judged under, not what is judged"),
    ];

    fn waypost() -> Value {
        let (fragment, warnings) = SchemaFragment::from_cedarschema_str(SCHEMA).unwrap();
        assert_eq!(warnings.count(), 0);
        fragment.to_json_value().unwrap()["Waypost"].clone()
    }

    fn keys(object: &Value) -> BTreeSet<String> {
        object.as_object().unwrap().keys().cloned().collect()
    }

    fn attributes(common_type: &str) -> BTreeSet<String> {
        keys(&waypost()["commonTypes"][common_type]["attributes"])
    }

    fn codes<T: Copy>(all: &[T], code: fn(T) -> &'static str) -> Vec<String> {
        all.iter().map(|v| code(*v).to_owned()).collect()
    }

    #[test]
    fn every_vocabulary_of_the_schema_is_the_protocols() {
        let schema = waypost();
        let expected = [
            ("Part", codes(Part::ALL, Part::code)),
            ("Purpose", codes(Purpose::ALL, Purpose::code)),
            ("Role", codes(Role::ALL, Role::code)),
            ("LegalBasis", codes(LegalBasis::ALL, LegalBasis::code)),
            ("MinorStatus", codes(MinorStatus::ALL, MinorStatus::code)),
            ("ConsentState", codes(ConsentState::ALL, ConsentState::code)),
            (
                "OverrideGround",
                codes(OverrideGround::ALL, OverrideGround::code),
            ),
            ("Handling", codes(Handling::ALL, Handling::code)),
            ("Zone", codes(Zone::ALL, Zone::code)),
        ];
        for (name, codes) in &expected {
            let listed: Vec<String> =
                serde_json::from_value(schema["entityTypes"][name]["enum"].clone()).unwrap();
            assert_eq!(&listed, codes, "{name}");
        }
        // Whatever is not an enum is the desk.
        let names: BTreeSet<_> = expected.iter().map(|(n, _)| (*n).to_owned()).collect();
        let others: BTreeSet<_> = keys(&schema["entityTypes"])
            .difference(&names)
            .cloned()
            .collect();
        assert_eq!(others, BTreeSet::from(["Desk".to_owned()]));
    }

    #[test]
    fn there_is_one_disclosure_for_each_purpose_and_six_other_actions() {
        let schema = waypost();
        let mut expected: BTreeSet<String> =
            codes(Purpose::ALL, Purpose::code).into_iter().collect();
        for action in &expected {
            assert_eq!(
                schema["actions"][action]["memberOf"][0]["id"], "disclose",
                "{action}"
            );
        }
        let others = [
            "forward",
            "use",
            "request",
            "publish",
            "escalate",
            "reconsider",
            "disclose",
        ];
        expected.extend(others.map(str::to_owned));
        assert_eq!(keys(&schema["actions"]), expected);
        let groups = Names::load().unwrap().schema.action_groups().count();
        assert_eq!(groups, 1, "slices know one group");
    }

    #[test]
    fn attestations_of_the_schema_are_the_protocols() {
        let named = |codes: Vec<String>| codes.iter().map(|c| c.replace('-', "_")).collect();
        let desk: BTreeSet<_> = named(codes(DeskAttestation::ALL, DeskAttestation::code));
        let agency: BTreeSet<_> = named(codes(AgencyAttestation::ALL, AgencyAttestation::code));
        assert_eq!(attributes("DeskAttestations"), desk);
        assert_eq!(attributes("AgencyAttestations"), agency);
    }

    #[test]
    fn the_context_holds_exactly_the_facts_of_the_manifest() {
        let pool = DescriptorPool::decode(wire::DESCRIPTORS).unwrap();
        let manifest = pool.get_message_by_name("waypost.v1.Manifest").unwrap();
        let fields: BTreeSet<String> = manifest.fields().map(|f| f.name().to_owned()).collect();
        let left_out: BTreeSet<String> = NOT_FACTS.iter().map(|(n, _)| (*n).to_owned()).collect();
        assert!(
            left_out.is_subset(&fields),
            "a field that is left out exists"
        );
        let facts: BTreeSet<String> = fields.difference(&left_out).cloned().collect();
        assert_eq!(attributes("Manifest"), facts);
    }

    #[test]
    fn cooperation_is_no_fact_of_the_schema() {
        // PROP-06(b). COP is a part: it can be withheld, not asked.
        for common_type in keys(&waypost()["commonTypes"]) {
            for attribute in attributes(&common_type) {
                let attribute = attribute.to_lowercase();
                for word in ["coop", "co_op", "crime", "willing", "credib"] {
                    assert!(!attribute.contains(word), "{common_type}.{attribute}");
                }
            }
        }
    }
}
