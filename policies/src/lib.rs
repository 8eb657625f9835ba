//! Which disclosures Waypost allows, and why: Cedar policies, decided, explained and proved.
//!
//! In scope: the schema, the default bundle, the ceilings and floors that every bundle must keep, and
//! what decides by them. Out of scope: who is who (`waypost-proto`), and keeping, signing and
//! fetching bundles (`waypost-node`). Pure: no clock, disk, network or environment; files come in as
//! bytes, and [`prove`] is handed the path of its solver. The engine is named in this crate only.
//!
//! ```text
//! Bundle --compile--> Rules --+
//!                             +--> Judge --judge--> Decision --permit--> Permitted
//!         desks, facts -------+              explain --> text for people
//! Rules --prove (cvc5)--> Report
//! ```

pub mod bundle;
pub mod rules;

pub mod facts;
pub mod judge;
pub mod permit;

pub mod explain;
pub mod words;

mod counterexample;
pub mod prove;
pub mod theorem;

pub mod schema;

#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod flows;
#[cfg(test)]
mod matrix;
#[cfg(test)]
mod referral;

pub use bundle::{Bundle, BundleError};
pub use facts::{RecipientDesk, SenderFacts, Zone};
pub use judge::{Cause, Decision, Judge, Objection};
pub use permit::{Denied, Permitted, permit};
pub use prove::prove;
pub use rules::{Rule, RuleError, Rules};
