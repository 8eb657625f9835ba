//! A listener: accepts, finishes the handshake, names the other end, and only then hands over.
//!
//! Everything is bounded: connections, handshakes at once, and the time of a handshake. Where a bound
//! is reached, new connections wait in the kernel's queue. What fails before it is authenticated is
//! only counted ([`Listener::refused`]): no log line that a stranger could repeat at will, no address.

use std::future::Future as _;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use rustls::{ServerConfig, ServerConnection};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::Sleep;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::server::Connected;
use waypost_proto::tls::{self, Identity, TlsError};

use super::PeerNames;
use super::connection::{DeskConnection, PeerConnection};

/// Pause after the operating system refuses to accept (out of descriptors), so as not to spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The bounds of one listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Connections at once, those in a handshake included.
    pub connections: usize,
    /// Handshakes at once.
    pub handshakes: usize,
    /// The time of one handshake.
    pub handshake: Duration,
    /// How long an officer's connection may go without a log-in.
    pub log_in: Duration,
}

/// What is known of the other end.
pub trait Named: Clone + Unpin + Send + Sync + 'static {
    /// Whether it may stay: one that is not known yet has [`Bounds::log_in`].
    fn is_known(&self) -> bool;
}

impl Named for PeerConnection {
    fn is_known(&self) -> bool {
        true
    }
}

impl Named for DeskConnection {
    fn is_known(&self) -> bool {
        self.session().is_some()
    }
}

type Naming<C> = Arc<dyn Fn(&ServerConnection) -> Option<C> + Send + Sync>;

/// A bound socket with everything needed to accept on it.
pub struct Listener<C> {
    socket: TcpListener,
    config: Arc<ServerConfig>,
    named: Naming<C>,
    bounds: Bounds,
    refused: Arc<AtomicU64>,
}

impl<C> std::fmt::Debug for Listener<C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Listener")
            .field("socket", &self.socket)
            .finish_non_exhaustive()
    }
}

impl Listener<PeerConnection> {
    /// For peers: a client whose key `names` does not name is refused during the handshake.
    ///
    /// # Errors
    /// [`TlsError`]: a bug.
    pub fn for_peers(
        socket: TcpListener,
        identity: &Identity,
        names: PeerNames,
        bounds: Bounds,
    ) -> Result<Self, TlsError> {
        let known = Arc::clone(&names);
        let config = tls::peer_server(identity, Arc::new(move |key| known(key).is_some()))?;
        let named: Naming<PeerConnection> = Arc::new(move |connection| {
            let [certificate] = connection.peer_certificates()? else {
                return None;
            };
            let key = tls::spki_digest(certificate).ok()?;
            names(&key).map(|node| PeerConnection { key, node })
        });
        Ok(Self::new(socket, config, named, bounds))
    }
}

impl Listener<DeskConnection> {
    /// For officers: anybody may connect, and must then log in.
    ///
    /// # Errors
    /// [`TlsError`]: a bug.
    pub fn for_desks(
        socket: TcpListener,
        identity: &Identity,
        bounds: Bounds,
    ) -> Result<Self, TlsError> {
        let config = tls::desk_server(identity)?;
        let named: Naming<DeskConnection> =
            Arc::new(|connection| tls::exporter(connection).ok().map(DeskConnection::new));
        Ok(Self::new(socket, config, named, bounds))
    }
}

impl<C: Named> Listener<C> {
    fn new(socket: TcpListener, config: ServerConfig, named: Naming<C>, bounds: Bounds) -> Self {
        Self {
            socket,
            config: Arc::new(config),
            named,
            bounds,
            refused: Arc::default(),
        }
    }

    /// The address it is bound to.
    ///
    /// # Errors
    /// When the operating system does not tell.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Counts the connections that failed before they were named.
    #[must_use]
    pub fn refused(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.refused)
    }

    /// Accepts until the stream is dropped; dropping it closes the socket and abandons handshakes.
    #[must_use]
    pub fn incoming(self) -> ReceiverStream<io::Result<Connection<C>>> {
        let (sender, receiver) = mpsc::channel(1);
        tokio::spawn(self.accept(sender));
        ReceiverStream::new(receiver)
    }

    async fn accept(self, sender: mpsc::Sender<io::Result<Connection<C>>>) {
        let connections = Arc::new(Semaphore::new(self.bounds.connections));
        let handshakes = Arc::new(Semaphore::new(self.bounds.handshakes));
        // Dropped with this task: unfinished handshakes end with it.
        let mut tasks = JoinSet::new();
        loop {
            let next = async {
                // Neither semaphore is ever closed.
                let connection = Arc::clone(&connections).acquire_owned().await.ok()?;
                let handshake = Arc::clone(&handshakes).acquire_owned().await.ok()?;
                Some((self.socket.accept().await, connection, handshake))
            };
            let (accepted, connection, handshake) = tokio::select! {
                () = sender.closed() => return,
                Some(_) = tasks.join_next() => continue,
                Some(next) = next => next,
            };
            let Ok((stream, _)) = accepted else {
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            };
            let (acceptor, named) = (
                TlsAcceptor::from(Arc::clone(&self.config)),
                Arc::clone(&self.named),
            );
            let (sender, refused, bounds) =
                (sender.clone(), Arc::clone(&self.refused), self.bounds);
            tasks.spawn(async move {
                let shaken = shake(acceptor, stream, &named);
                let shaken = tokio::time::timeout(bounds.handshake, shaken).await;
                drop(handshake);
                let Ok(Some((stream, info))) = shaken else {
                    refused.fetch_add(1, Ordering::Relaxed);
                    return;
                };
                // Fails only when nobody serves any more.
                let _ = sender
                    .send(Ok(Connection {
                        stream,
                        info,
                        probation: Some(Box::pin(tokio::time::sleep(bounds.log_in))),
                        _permit: connection,
                    }))
                    .await;
            });
        }
    }
}

async fn shake<C>(
    acceptor: TlsAcceptor,
    stream: TcpStream,
    named: &Naming<C>,
) -> Option<(TlsStream<TcpStream>, C)> {
    stream.set_nodelay(true).ok()?;
    let stream = acceptor.accept(stream).await.ok()?;
    let connection = stream.get_ref().1;
    if connection.alpn_protocol() != Some(tls::ALPN) {
        return None;
    }
    let info = named(connection)?;
    Some((stream, info))
}

/// A connection whose other end is named.
#[derive(Debug)]
pub struct Connection<C> {
    stream: TlsStream<TcpStream>,
    info: C,
    /// Runs out on a connection on which nobody logs in.
    probation: Option<Pin<Box<Sleep>>>,
    _permit: OwnedSemaphorePermit,
}

impl<C: Named> Connection<C> {
    /// Ends a connection that took too long to become somebody's.
    fn check(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if self.info.is_known() {
            self.probation = None;
        }
        match self.probation.as_mut().map(|limit| limit.as_mut().poll(cx)) {
            Some(Poll::Ready(())) => Err(io::ErrorKind::TimedOut.into()),
            Some(Poll::Pending) | None => Ok(()),
        }
    }
}

impl<C: Named> Connected for Connection<C> {
    type ConnectInfo = C;

    fn connect_info(&self) -> C {
        self.info.clone()
    }
}

impl<C: Named> AsyncRead for Connection<C> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check(cx)?;
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<C: Unpin> AsyncWrite for Connection<C> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
