//! The Waypost node: keeps what was accepted, logs every change, and carries messages to its peers.
//!
//! In scope: the store, the vault of body keys, the sequencer of the agencies' logs, and everything
//! that does I/O around them. Out of scope: what a valid message is (`waypost-proto`) and which
//! disclosures are allowed (`waypost-policies`).

pub mod config;
pub mod directories;
pub mod files;
pub mod serve;
pub mod setup;
pub mod start;

pub mod host;

pub mod inbound;
pub mod peer;

pub mod desk;
pub mod fetch;
pub mod login;
pub mod lookup;
pub mod outbound;

pub mod parties;
pub mod relay;

mod accept;
mod contradiction;
pub mod queries;
pub mod record;
pub mod refusals;

pub mod rpc;
pub mod server;
pub mod tls;

pub mod clock;
pub mod limit;

pub mod body;
pub mod sequencer;
pub mod store;
pub mod vault;
