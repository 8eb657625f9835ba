//! Calls to a peer: gRPC over TLS pinned to the keys that the directory gives it.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::transport::{Channel, Endpoint};
use waypost_proto::id::Digest;
use waypost_proto::tls::{self, Identity, TlsError};

use crate::limit;

/// How long a connection with its handshake may take.
pub const CONNECT: Duration = Duration::from_secs(10);
/// How long one call may take.
pub const CALL: Duration = Duration::from_secs(30);
/// Calls at once to one peer.
pub const CALLS: usize = 32;
/// A silent connection is asked for a sign of life this often.
pub const KEEP_ALIVE: Duration = Duration::from_secs(30);
/// And given up after this long without an answer.
pub const KEEP_ALIVE_ANSWER: Duration = Duration::from_secs(10);

/// Why no channel can be made. Failures to connect show in the first call instead.
#[derive(Debug, thiserror::Error)]
pub enum ConnectorError {
    /// The directory's endpoint is not `host:port`.
    #[error("`{endpoint}` is not an endpoint: expected `host:port`")]
    Endpoint {
        /// As given.
        endpoint: String,
    },
    /// No client configuration.
    #[error("no TLS configuration for a peer")]
    Tls {
        /// Why.
        #[source]
        source: TlsError,
    },
}

/// A channel to the peer at `endpoint` (`host:port`), which must hold one of `pins`. Connects at the
/// first call and again when the connection breaks.
///
/// # Errors
/// [`ConnectorError`], before any packet is sent.
pub fn peer_channel(
    endpoint: &str,
    identity: &Identity,
    pins: &[Digest],
) -> Result<Channel, ConnectorError> {
    let wrong = || ConnectorError::Endpoint {
        endpoint: endpoint.to_owned(),
    };
    if !crate::config::is_endpoint(endpoint) {
        return Err(wrong());
    }
    let config = Arc::new(
        tls::peer_client(identity, pins).map_err(|source| ConnectorError::Tls { source })?,
    );
    let address: Arc<str> = endpoint.into();
    let connector = tower::service_fn(move |_| {
        let (address, config) = (Arc::clone(&address), Arc::clone(&config));
        async move { connect(&address, config).await.map(TokioIo::new) }
    });
    // `http`: tonic adds no TLS of its own to what the connector returns.
    let endpoint = Endpoint::from_shared(format!("http://{endpoint}")).map_err(|_| wrong())?;
    Ok(endpoint
        .connect_timeout(CONNECT)
        .timeout(CALL)
        .concurrency_limit(CALLS)
        .http2_keep_alive_interval(KEEP_ALIVE)
        .initial_stream_window_size(limit::HTTP2_WINDOW)
        .initial_connection_window_size(limit::HTTP2_WINDOW)
        .keep_alive_timeout(KEEP_ALIVE_ANSWER)
        .connect_with_connector_lazy(connector))
}

/// Connects and finishes the handshake; without HTTP/2 agreed there is no connection.
async fn connect(address: &str, config: Arc<ClientConfig>) -> io::Result<TlsStream<TcpStream>> {
    let connection = async {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        TlsConnector::from(config)
            .connect(tls::server_name(), stream)
            .await
    };
    let stream = tokio::time::timeout(CONNECT, connection).await??;
    if stream.get_ref().1.alpn_protocol() == Some(tls::ALPN) {
        Ok(stream)
    } else {
        Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "the peer does not speak HTTP/2",
        ))
    }
}
