//! The desk service's client, as generated.

pub use self::generated::desk_client;

mod generated {
    #![expect(clippy::allow_attributes_without_reason, reason = "generated")]
    #![expect(unused_qualifications, reason = "generated")]

    include!(concat!(env!("OUT_DIR"), "/waypost.v1.rs"));
}
