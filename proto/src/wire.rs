//! The protobuf types, as generated. They stop here: the other modules parse them into their own.

#![expect(missing_docs, reason = "generated; documented in the .proto files")]

include!(concat!(env!("OUT_DIR"), "/waypost.v1.rs"));

/// The descriptors of every message, with the field options: for reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/waypost.fds"));
