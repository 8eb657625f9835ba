//! The services' clients, as generated. The peer service is called by the demonstration only.

pub use self::generated::desk_client;
pub use self::generated::peer_client;

mod generated {
    #![expect(clippy::allow_attributes_without_reason, reason = "generated")]
    #![expect(unused_qualifications, reason = "generated")]

    include!(concat!(env!("OUT_DIR"), "/waypost.v1.rs"));
}
