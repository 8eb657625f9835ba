//! The `waypost` command: what officers and administrators of an agency work with.
//!
//! In scope: keys, forms, sealing and opening on the user's own machine, and talking to the agency's
//! node. It meets the node only over gRPC.

pub mod connection;
pub mod rpc;
