//! The Waypost protocol, pure: no clock, no disk, no network.
//!
//! In scope: what two agencies must agree on, byte for byte. Out of scope: which disclosures are
//! allowed (`waypost-policies`), how a node keeps and moves messages (`waypost-node`).

pub mod limit;

pub mod id;
pub mod vocabulary;

pub mod context;
pub mod manifest;

pub mod merkle;

pub mod note;

pub mod checkpoint;
pub mod tlog_proof;

pub mod tiles;

pub mod wire;

#[cfg(test)]
mod vectors;
