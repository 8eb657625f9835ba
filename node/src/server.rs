//! The two listeners, each with one service and its health, from readiness to the last call.
//!
//! Shutdown: health says so, the sockets close, calls in flight finish within their deadline. What
//! lies below (the sequencer) may be drained once [`Server::run`] has returned.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tonic::service::Routes;
use tonic_health::ServingStatus;
use waypost_proto::tls::{Identity, TlsError};

use crate::config::{Config, Limits};
use crate::limit;
use crate::tls::PeerNames;
use crate::tls::connection::{DeskConnection, PeerConnection};
use crate::tls::connector::{KEEP_ALIVE, KEEP_ALIVE_ANSWER};
use crate::tls::listener::Listener;

/// A peer's connection is closed after this, and its key looked up again: see [`PeerConnection`].
pub const MAX_AGE: Duration = Duration::from_secs(15 * 60);
/// A desk's connection is closed after this, and its officer logs in again: a working day.
pub const DESK_MAX_AGE: Duration = Duration::from_secs(12 * 3600);
/// The headers of one call, in bytes: Waypost itself uses none.
const CALL_HEADER_BYTES: u32 = 16 * 1024;
/// Streams that a client may open and reset at once before its connection is closed.
const PENDING_RESETS: usize = 32;

/// Why a node does not serve.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// An address cannot be bound.
    #[error("cannot listen on {address}")]
    Bind {
        /// As configured.
        address: SocketAddr,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A bug: rustls refuses our configuration.
    #[error("no TLS configuration for a listener")]
    Tls {
        /// Why.
        #[source]
        source: TlsError,
    },
    /// A listener ended by itself.
    #[error("a listener failed")]
    Transport {
        /// Why.
        #[source]
        source: tonic::transport::Error,
    },
}

/// Where a node really listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Addresses {
    /// For peers.
    pub peers: SocketAddr,
    /// For officers.
    pub desks: SocketAddr,
}

/// What each listener serves, beside its health.
#[derive(Debug, Clone, Default)]
pub struct Services {
    /// To peers: finds a [`PeerConnection`] in the extensions of each request.
    pub peers: Routes,
    /// To officers: finds a [`DeskConnection`] in the extensions of each request.
    pub desks: Routes,
}

/// How a server stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// Every call was answered.
    Finished,
    /// The deadline came first: calls or streams were still open.
    CutOff,
}

/// A node that is bound to its addresses and does not answer yet.
#[derive(Debug)]
pub struct Server {
    peers: Listener<PeerConnection>,
    desks: Listener<DeskConnection>,
    addresses: Addresses,
    limits: Limits,
}

impl Server {
    /// Binds both addresses.
    ///
    /// # Errors
    /// [`ServeError::Bind`], [`ServeError::Tls`].
    pub async fn bind(
        config: &Config,
        identity: &Identity,
        names: PeerNames,
    ) -> Result<Self, ServeError> {
        let tls = |source| ServeError::Tls { source };
        let (peers, peers_address) = bind(config.listen.peers).await?;
        let (desks, desks_address) = bind(config.listen.desks).await?;
        let bounds = config.limits.listener;
        Ok(Self {
            peers: Listener::for_peers(peers, identity, names, bounds).map_err(tls)?,
            desks: Listener::for_desks(desks, identity, bounds).map_err(tls)?,
            addresses: Addresses {
                peers: peers_address,
                desks: desks_address,
            },
            limits: config.limits,
        })
    }

    /// Where it listens: with the port that the system chose, where the configuration says 0.
    #[must_use]
    pub const fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// Serves until `stop` is ready, then finishes the calls in flight.
    ///
    /// # Errors
    /// [`ServeError::Transport`].
    pub async fn run(
        self,
        services: Services,
        stop: impl Future<Output = ()>,
    ) -> Result<Stopped, ServeError> {
        let (health, health_service) = tonic_health::server::health_reporter();
        let (stopping, stopped) = watch::channel(());
        let (refused_peers, refused_desks) = (self.peers.refused(), self.desks.refused());
        // Only who is registered may have that much under way.
        let peers = builder(&self.limits, MAX_AGE)
            .initial_stream_window_size(limit::HTTP2_WINDOW)
            .initial_connection_window_size(limit::HTTP2_WINDOW)
            .add_routes(services.peers.add_service(health_service.clone()))
            .serve_with_incoming_shutdown(self.peers.incoming(), dropped(stopped.clone()));
        let desks = builder(&self.limits, DESK_MAX_AGE)
            .add_routes(services.desks.add_service(health_service))
            .serve_with_incoming_shutdown(self.desks.incoming(), dropped(stopped));
        let serving = async {
            let served = tokio::try_join!(peers, desks);
            served
                .map(|_| Stopped::Finished)
                .map_err(|source| ServeError::Transport { source })
        };
        tokio::pin!(serving);
        tokio::select! {
            ended = &mut serving => return ended,
            () = stop => {}
        }
        health
            .set_service_status("", ServingStatus::NotServing)
            .await;
        drop(stopping);
        let ended = tokio::time::timeout(self.limits.shutdown, serving).await;
        tracing::info!(
            peers = refused_peers.load(Ordering::Relaxed),
            desks = refused_desks.load(Ordering::Relaxed),
            "connections that were refused before they were named"
        );
        ended.unwrap_or(Ok(Stopped::CutOff))
    }
}

async fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr), ServeError> {
    let failed = |source| ServeError::Bind { address, source };
    let socket = TcpListener::bind(address).await.map_err(failed)?;
    let bound = socket.local_addr().map_err(failed)?;
    Ok((socket, bound))
}

/// Ready when the sender is dropped.
async fn dropped(mut receiver: watch::Receiver<()>) {
    while receiver.changed().await.is_ok() {}
}

fn builder(limits: &Limits, age: Duration) -> tonic::transport::Server {
    let calls = u32::try_from(limits.calls).unwrap_or(u32::MAX);
    tonic::transport::Server::builder()
        .timeout(limits.call)
        .concurrency_limit_per_connection(limits.calls)
        .max_concurrent_streams(calls)
        .http2_max_pending_accept_reset_streams(Some(PENDING_RESETS))
        .http2_max_header_list_size(CALL_HEADER_BYTES)
        .http2_keepalive_interval(Some(KEEP_ALIVE))
        .http2_keepalive_timeout(Some(KEEP_ALIVE_ANSWER))
        .max_connection_age(age)
}

#[cfg(test)]
mod tests;
