//! One connection to a node, pinned to the key that the directory gives it.
//!
//! A log-in holds for one TLS connection, so this one never connects again by itself: a call after it
//! broke fails, and the caller connects and logs in anew.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::transport::{Channel, Endpoint};
use waypost_proto::id::Digest;
use waypost_proto::limit;
use waypost_proto::tls::{self, EXPORTER_BYTES, Identity, TlsError};

use crate::rpc::desk_client::DeskClient;
use crate::rpc::peer_client::PeerClient;

/// How long connecting may take.
pub const CONNECT: Duration = Duration::from_secs(10);
/// How long one call may take.
pub const CALL: Duration = Duration::from_secs(60);
/// A silent node is asked for a sign of life this often.
pub const KEEP_ALIVE: Duration = Duration::from_secs(30);

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectionError {
    /// Not `host:port`.
    #[error("`{endpoint}` is not an endpoint: expected `host:port`")]
    Endpoint {
        /// As given.
        endpoint: String,
    },
    /// Nothing answers, or not with the pinned key.
    #[error("`{endpoint}` cannot be reached, or is not the node that the directory names")]
    Unreachable {
        /// As given.
        endpoint: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The node does not speak gRPC.
    #[error("`{endpoint}` does not answer like a node")]
    Transport {
        /// As given.
        endpoint: String,
        /// Why.
        #[source]
        source: tonic::transport::Error,
    },
    /// No TLS.
    #[error("the connection's TLS")]
    Tls {
        /// Why.
        #[source]
        source: TlsError,
    },
}

/// A connection on which nobody is logged in yet.
#[derive(Debug)]
pub struct Connection {
    /// The node's desk service.
    pub desk: DeskClient<Channel>,
    /// What the log-in on this connection signs.
    pub exporter: [u8; EXPORTER_BYTES],
}

/// Connects to the node at `endpoint` (`host:port`), which must hold one of `pins`.
///
/// # Errors
/// [`ConnectionError`].
pub async fn connect(endpoint: &str, pins: &[Digest]) -> Result<Connection, ConnectionError> {
    let config = tls::desk_client(pins).map_err(|source| ConnectionError::Tls { source })?;
    let (channel, exporter) = channel(endpoint, config).await?;
    let desk = DeskClient::new(channel)
        .max_decoding_message_size(limit::DESK_CALL_BYTES)
        .max_encoding_message_size(limit::DESK_CALL_BYTES);
    Ok(Connection { desk, exporter })
}

/// Connects to a node's peer service as another node: for the demonstration's attacks.
pub(crate) async fn connect_as_node(
    endpoint: &str,
    pins: &[Digest],
    identity: &Identity,
) -> Result<PeerClient<Channel>, ConnectionError> {
    let config =
        tls::peer_client(identity, pins).map_err(|source| ConnectionError::Tls { source })?;
    let (channel, _) = channel(endpoint, config).await?;
    Ok(PeerClient::new(channel))
}

async fn channel(
    endpoint: &str,
    config: ClientConfig,
) -> Result<(Channel, [u8; EXPORTER_BYTES]), ConnectionError> {
    let named = || endpoint.to_owned();
    // `http`: tonic adds no TLS of its own to the stream that it is handed.
    let target = Endpoint::from_shared(format!("http://{endpoint}"))
        .map_err(|_| ConnectionError::Endpoint { endpoint: named() })?
        .timeout(CALL)
        .http2_keep_alive_interval(KEEP_ALIVE);
    let handshake = async {
        let stream = TcpStream::connect(endpoint).await?;
        stream.set_nodelay(true)?;
        TlsConnector::from(Arc::new(config))
            .connect(tls::server_name(), stream)
            .await
    };
    let stream = match tokio::time::timeout(CONNECT, handshake).await {
        Ok(result) => result,
        Err(elapsed) => Err(elapsed.into()),
    };
    let stream = stream.map_err(|source| ConnectionError::Unreachable {
        endpoint: named(),
        source,
    })?;
    let exporter =
        tls::exporter(stream.get_ref().1).map_err(|source| ConnectionError::Tls { source })?;
    let mut once = Some(TokioIo::new(stream));
    let connector = tower::service_fn(move |_| {
        let stream = once
            .take()
            .ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected));
        async { stream }
    });
    let channel = target
        .connect_with_connector(connector)
        .await
        .map_err(|source| ConnectionError::Transport {
            endpoint: named(),
            source,
        })?;
    Ok((channel, exporter))
}
