//! Connections: this node's TLS key, the two listeners, and calls to peers.
//!
//! What is secure is decided in `waypost_proto::tls`; here are the sockets, their bounds and the
//! names of who is at the other end.
//!
//! INVARIANT (named before served): a peer connection that reaches a service belongs to a node of the
//! directory; a desk connection carries its exporter and, after a log-in, exactly one officer.

pub mod connection;
pub mod connector;
pub mod key;
pub mod listener;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use waypost_proto::id::{Digest, NodeId};

/// Names the node to which the directory, as it is now, gives a TLS key.
pub type PeerNames = Arc<dyn Fn(&Digest) -> Option<NodeId> + Send + Sync>;
