//! The gRPC services, as generated, and the bounds under which this node serves and calls them.

use tonic::transport::Channel;
use waypost_proto::limit;

pub use self::generated::{desk_client, desk_server, peer_client, peer_server};

use self::desk_server::{Desk, DeskServer};
use self::peer_client::PeerClient;
use self::peer_server::{Peer, PeerServer};

mod generated {
    #![expect(
        clippy::allow_attributes,
        clippy::allow_attributes_without_reason,
        reason = "generated"
    )]
    #![expect(unused_qualifications, clippy::too_many_lines, reason = "generated")]

    include!(concat!(env!("OUT_DIR"), "/waypost.v1.rs"));
}

/// The peer service, with its messages bounded before they are decoded.
pub fn peer_service<S: Peer>(service: S) -> PeerServer<S> {
    PeerServer::new(service)
        .max_decoding_message_size(limit::PEER_CALL_BYTES)
        .max_encoding_message_size(limit::PEER_CALL_BYTES)
}

/// The desk service, with its messages bounded before they are decoded.
pub fn desk_service<S: Desk>(service: S) -> DeskServer<S> {
    DeskServer::new(service)
        .max_decoding_message_size(limit::DESK_CALL_BYTES)
        .max_encoding_message_size(limit::DESK_CALL_BYTES)
}

/// A client of a peer's service, with its answers bounded before they are decoded.
#[must_use]
pub fn peer(channel: Channel) -> PeerClient<Channel> {
    PeerClient::new(channel)
        .max_decoding_message_size(limit::PEER_CALL_BYTES)
        .max_encoding_message_size(limit::PEER_CALL_BYTES)
}
