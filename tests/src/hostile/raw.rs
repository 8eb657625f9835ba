//! Calls with any bytes: no message is encoded or decoded here.

use std::net::SocketAddr;

use anyhow::Result;
use prost::bytes::{Buf as _, BufMut as _};
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::transport::Channel;
use tonic::{Request, Status};
use waypost_node::tls::connector;
use waypost_proto::id::Digest;
use waypost_proto::tls::Identity;

use super::order::Reply;

/// Bytes as they are.
#[derive(Debug, Clone, Copy, Default)]
struct Bytes;

impl Codec for Bytes {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for Bytes {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, item: Vec<u8>, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.put_slice(&item);
        Ok(())
    }
}

impl Decoder for Bytes {
    type Item = Vec<u8>;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
        let length = from.remaining();
        Ok(Some(from.copy_to_bytes(length).to_vec()))
    }
}

/// A channel to a listener that must hold the key `pin`, as `identity`.
///
/// # Errors
/// When no channel can be made.
pub fn channel(endpoint: &str, pin: Digest, identity: &Identity) -> Result<Channel> {
    let endpoint: SocketAddr = endpoint.parse()?;
    Ok(connector::peer_channel(
        &endpoint.to_string(),
        identity,
        &[pin],
    )?)
}

/// Calls `path` with `request`.
///
/// # Errors
/// When `path` is none.
pub async fn call(channel: Channel, path: &str, request: Vec<u8>) -> Result<Reply> {
    let path = path.parse()?;
    let mut client = tonic::client::Grpc::new(channel);
    let called = match client.ready().await {
        Ok(()) => client.unary(Request::new(request), path, Bytes).await,
        Err(error) => Err(Status::unavailable(error.to_string())),
    };
    Ok(match called {
        Ok(reply) => Reply {
            bytes: reply.into_inner(),
            ..Reply::default()
        },
        Err(status) => Reply {
            code: status.code() as i32,
            text: status.message().to_owned(),
            bytes: Vec::new(),
        },
    })
}
