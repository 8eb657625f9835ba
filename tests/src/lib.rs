//! Tests of many agencies and nodes on one machine.
//!
//! In scope: whole nodes as processes of the built `waypost-node`, over real TLS, with real OpenPGP
//! keys and the embedded store; the network between them, which a test may cut; what the kernel saw
//! of their syncs. Nothing is mocked. Out of scope: what one crate can test alone.
//!
//! ```text
//! officer --TLS--> Link --> waypost-node ==TLS==> Link --> waypost-node <-- Link <--TLS-- officer
//!                           (a process)          (may be cut)
//! ```
//!
//! The harness is also the benchmark's (`benches/`), so it returns errors and does not
//! panic.

pub mod scheme;

pub mod link;
pub mod node;

pub mod bureau;
pub mod letter;
pub mod officer;
pub mod peer;
pub mod stream;

pub mod client;
pub mod forgery;
pub mod hostile;

pub mod growing_log;
pub mod ledger;
pub mod promise;
pub mod search;
pub mod trace;

pub mod disk;

pub mod late_store;
pub mod overwriting;
pub mod seeded;
pub mod wait;

#[cfg(test)]
mod bad_input;
#[cfg(test)]
mod delivery;
#[cfg(test)]
mod desk_connection;
#[cfg(test)]
mod durability;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod hosting;
#[cfg(test)]
mod kills;
#[cfg(test)]
mod logins;
#[cfg(test)]
mod memory;
#[cfg(test)]
mod officers;
#[cfg(test)]
mod order;
#[cfg(test)]
mod parameter;
#[cfg(test)]
mod peers;
#[cfg(test)]
mod power;
#[cfg(test)]
mod recipients;
#[cfg(test)]
mod restart;
#[cfg(test)]
mod rosters;
#[cfg(test)]
mod states;
#[cfg(test)]
mod store_power;
#[cfg(test)]
mod tidy;
