//! The Waypost protocol, pure: no clock, no disk, no network.
//!
//! In scope: what two agencies must agree on, byte for byte. Out of scope: which disclosures are
//! allowed (`waypost-policies`), how a node keeps and moves messages (`waypost-node`).

pub mod limit;

pub mod id;
pub mod vocabulary;

pub mod kind;
pub mod lane;

pub mod catalogue;
pub mod taxonomy;

pub mod form;

pub mod context;
pub mod manifest;

pub mod draft;
pub mod truthful;

pub mod openpgp;

pub mod roster;

pub mod directories;
pub mod directory;
pub mod directory_file;
pub mod party;

pub mod officer;

pub mod header;

pub mod envelope;

pub mod case;
pub mod reason;

pub mod merkle;

pub mod note;

pub mod checkpoint;
pub mod tiles;
pub mod tlog_proof;

pub mod entry;

pub mod evidence;

pub mod tls;

pub mod strict;

pub mod wire;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod vectors;
