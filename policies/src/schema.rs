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
    pub(crate) fn new(detail: impl ToString) -> Self {
        Self { detail: detail.to_string() }
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
        let (schema, _warnings) =
            Schema::from_cedarschema_str(SCHEMA).map_err(SchemaError::new)?;
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

    pub(crate) fn part(&self, part: Part) -> EntityUid {
        entity(&self.part, part.code())
    }

    /// The recipient: there is one in a request, and its attributes are all that counts.
    pub(crate) fn recipient(&self) -> EntityUid {
        entity(&self.desk, "recipient")
    }
}
