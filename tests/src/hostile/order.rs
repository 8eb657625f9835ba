//! What a test tells a hostile node, and what that answers: messages on its standard input and
//! output, each with its length before it.

use waypost_proto::wire;

/// One order.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Order {
    /// What to do.
    #[prost(oneof = "What", tags = "1, 2, 3, 4")]
    pub what: Option<What>,
}

/// What to do.
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum What {
    /// Call a node with any bytes.
    #[prost(message, tag = "1")]
    Call(Call),
    /// Offer a message with evidence of one's own log.
    #[prost(message, tag = "2")]
    Offer(Offer),
    /// Behave so from now on.
    #[prost(enumeration = "Conduct", tag = "3")]
    Conduct(i32),
    /// Serve this chain from now on.
    #[prost(message, tag = "4")]
    Chain(Chain),
}

/// A call with any bytes.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Call {
    /// `host:port`.
    #[prost(string, tag = "1")]
    pub endpoint: String,
    /// The key that is expected there.
    #[prost(bytes = "vec", tag = "2")]
    pub pin: Vec<u8>,
    /// The RPC.
    #[prost(string, tag = "3")]
    pub path: String,
    /// The request's bytes, as they are.
    #[prost(bytes = "vec", tag = "4")]
    pub request: Vec<u8>,
    /// How often at once.
    #[prost(uint32, tag = "5")]
    pub at_once: u32,
}

/// A message to offer, entered into the hostile log.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Offer {
    /// `host:port`.
    #[prost(string, tag = "1")]
    pub endpoint: String,
    /// The key that is expected there.
    #[prost(bytes = "vec", tag = "2")]
    pub pin: Vec<u8>,
    /// The message.
    #[prost(message, tag = "3")]
    pub envelope: Option<wire::Envelope>,
    /// Seconds that the log's clock is ahead.
    #[prost(sint64, tag = "4")]
    pub clock: i64,
    /// Offer it from a log that says something else of the last thing that it proved.
    #[prost(bool, tag = "5")]
    pub rewritten: bool,
}

/// The chain of the agency that the hostile node stands for.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Chain {
    /// A signed roster.
    #[prost(bytes = "vec", tag = "1")]
    pub roster: Vec<u8>,
    /// Certificates.
    #[prost(bytes = "vec", repeated, tag = "2")]
    pub certificates: Vec<Vec<u8>>,
}

/// What came of an order.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Report {
    /// One for each call made.
    #[prost(message, repeated, tag = "1")]
    pub replies: Vec<Reply>,
}

/// What a node replied.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Reply {
    /// The gRPC status; 0 with a reply.
    #[prost(int32, tag = "1")]
    pub code: i32,
    /// The status in words.
    #[prost(string, tag = "2")]
    pub text: String,
    /// The reply's bytes.
    #[prost(bytes = "vec", tag = "3")]
    pub bytes: Vec<u8>,
}

/// What a hostile node does with a message that it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
pub enum Conduct {
    /// Receives it as a node should.
    Honest = 0,
    /// Accepts the connection and never answers.
    Silent = 1,
    /// Ends in the middle of the call.
    Dies = 2,
    /// Answers with more bytes than any reply has.
    Huge = 3,
    /// Answers with fewer bytes than the reply announces.
    Truncated = 4,
    /// A receipt whose checkpoint another key signed.
    OtherKey = 5,
    /// A receipt whose entry is not in the log.
    MadeUp = 6,
    /// A receipt that is in the log and of another message.
    OtherMessage = 7,
    /// A checkpoint of the size last seen, with another root.
    SameSize = 8,
    /// A checkpoint smaller than the one last seen, of another history.
    Smaller = 9,
    /// A larger checkpoint that does not continue the one last seen.
    Rewritten = 10,
    /// A reason that ends nothing, for ever.
    Busy = 11,
}
