//! Real TLS over loopback, between this node's listeners and clients good and bad.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::{ClientConfig, NamedGroup, ProtocolVersion};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_stream::StreamExt;
use tonic::transport::server::Connected;
use waypost_proto::id::{Fingerprint, NodeId};
use waypost_proto::tls::{self, Identity};

use super::connection::{DeskConnection, PeerConnection, Session};
use super::listener::{Bounds, Connection, Listener, Named};
use super::{PeerNames, key};

const BOUNDS: Bounds = Bounds {
    connections: 8,
    handshakes: 4,
    handshake: Duration::from_secs(30),
    log_in: Duration::from_secs(30),
};

fn identity() -> Identity {
    let folder = tempfile::tempdir().unwrap();
    key::load_or_generate(folder.path()).unwrap()
}

fn node(name: &str) -> NodeId {
    name.parse().unwrap()
}

/// A directory with one node in it.
fn only(known: &Identity) -> PeerNames {
    let digest = known.digest();
    Arc::new(move |key| (*key == digest).then(|| node("gb.known")))
}

async fn peers(
    identity: &Identity,
    names: PeerNames,
    bounds: Bounds,
) -> (SocketAddr, Listener<PeerConnection>) {
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let listener = Listener::for_peers(socket, identity, names, bounds).unwrap();
    (listener.address().unwrap(), listener)
}

async fn desks(identity: &Identity, bounds: Bounds) -> (SocketAddr, Listener<DeskConnection>) {
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let listener = Listener::for_desks(socket, identity, bounds).unwrap();
    (listener.address().unwrap(), listener)
}

/// Connects and waits for one byte: in TLS 1.3 a client learns only then that it was refused.
async fn connect(address: SocketAddr, config: ClientConfig) -> io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(address).await?;
    let mut stream = TlsConnector::from(Arc::new(config))
        .connect(tls::server_name(), stream)
        .await?;
    stream.read_u8().await?;
    Ok(stream)
}

/// Serves one connection: greets it with one byte.
async fn greet<C: Named>(listener: Listener<C>) -> Connection<C> {
    let mut connection = listener.incoming().next().await.unwrap().unwrap();
    connection.write_u8(1).await.unwrap();
    connection.flush().await.unwrap();
    connection
}

/// The client is refused, and nothing reaches a service.
async fn assert_refused(
    listener: Listener<PeerConnection>,
    address: SocketAddr,
    config: ClientConfig,
) {
    let refused = listener.refused();
    let mut incoming = listener.incoming();
    tokio::select! {
        _ = incoming.next() => panic!("the connection was accepted"),
        result = connect(address, config) => assert!(result.is_err(), "the client was greeted"),
    }
    let counted = async {
        while refused.load(Ordering::Relaxed) != 1 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(BOUNDS.handshake, counted)
        .await
        .expect("the refusal was not counted");
    drop(incoming);
}

/// Offers TLS 1.3 and HTTP/2, with the classical X25519 only.
fn classical_client() -> ClientConfig {
    let provider = CryptoProvider {
        kx_groups: vec![aws_lc_rs::kx_group::X25519],
        ..aws_lc_rs::default_provider()
    };
    let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    config.alpn_protocols = vec![tls::ALPN.to_vec()];
    config
}

#[tokio::test]
async fn a_peer_connection_is_tls13_with_the_post_quantum_group_and_named() {
    let (server, client) = (identity(), identity());
    let (address, listener) = peers(&server, only(&client), BOUNDS).await;
    let config = tls::peer_client(&client, &[server.digest()]).unwrap();
    let (connection, stream) = tokio::join!(greet(listener), connect(address, config));
    let stream = stream.unwrap();
    let session = stream.get_ref().1;
    assert_eq!(session.protocol_version(), Some(ProtocolVersion::TLSv1_3));
    assert_eq!(
        session.negotiated_key_exchange_group().unwrap().name(),
        NamedGroup::X25519MLKEM768
    );
    assert_eq!(session.alpn_protocol(), Some(tls::ALPN));
    assert_eq!(
        connection.connect_info(),
        PeerConnection {
            key: client.digest(),
            node: node("gb.known")
        }
    );
}

#[tokio::test]
async fn both_ends_of_a_desk_connection_have_one_exporter_that_no_other_connection_has() {
    let server = identity();
    let mut exporters = Vec::new();
    for _ in 0..2 {
        let (address, listener) = desks(&server, BOUNDS).await;
        let config = tls::desk_client(&[server.digest()]).unwrap();
        let (connection, stream) = tokio::join!(greet(listener), connect(address, config));
        let ours = tls::exporter(stream.unwrap().get_ref().1).unwrap();
        assert_eq!(connection.connect_info().exporter(), &ours);
        exporters.push(ours);
    }
    assert_ne!(exporters[0], exporters[1]);
}

#[tokio::test]
async fn a_client_without_the_post_quantum_group_is_refused() {
    let server = identity();
    let (address, listener) = desks(&server, BOUNDS).await;
    let config = classical_client();
    let mut incoming = listener.incoming();
    let stream = TcpStream::connect(address).await.unwrap();
    let handshake = TlsConnector::from(Arc::new(config)).connect(tls::server_name(), stream);
    let error = tokio::select! {
        _ = incoming.next() => panic!("the connection was accepted"),
        result = handshake => result.unwrap_err(),
    };
    let alert = rustls::Error::AlertReceived(rustls::AlertDescription::HandshakeFailure);
    assert_eq!(reason(&error), Some(&alert));
}

#[tokio::test]
async fn a_server_with_another_key_than_the_pinned_one_is_refused() {
    let (server, other) = (identity(), identity());
    let (address, listener) = desks(&server, BOUNDS).await;
    let mut incoming = listener.incoming();
    let result = tokio::select! {
        _ = incoming.next() => panic!("the connection was accepted"),
        result = connect(address, tls::desk_client(&[other.digest()]).unwrap()) => result,
    };
    let refused =
        rustls::Error::InvalidCertificate(rustls::CertificateError::ApplicationVerificationFailure);
    assert_eq!(reason(&result.unwrap_err()), Some(&refused));
}

#[tokio::test]
async fn the_next_key_of_a_server_is_accepted_during_a_change() {
    let (server, other) = (identity(), identity());
    let (address, listener) = desks(&server, BOUNDS).await;
    let config = tls::desk_client(&[other.digest(), server.digest()]).unwrap();
    let (_connection, stream) = tokio::join!(greet(listener), connect(address, config));
    stream.unwrap();
}

#[tokio::test]
async fn a_peer_without_a_certificate_is_refused() {
    let (server, client) = (identity(), identity());
    let (address, listener) = peers(&server, only(&client), BOUNDS).await;
    assert_refused(
        listener,
        address,
        tls::desk_client(&[server.digest()]).unwrap(),
    )
    .await;
}

#[tokio::test]
async fn a_peer_that_the_directory_does_not_name_is_refused() {
    let (server, client, stranger) = (identity(), identity(), identity());
    let (address, listener) = peers(&server, only(&client), BOUNDS).await;
    assert_refused(
        listener,
        address,
        tls::peer_client(&stranger, &[server.digest()]).unwrap(),
    )
    .await;
}

#[tokio::test]
async fn a_peer_with_anothers_certificate_and_its_own_key_is_refused() {
    let (server, client) = (identity(), identity());
    let (named, thief) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let victim = key::load_or_generate(named.path()).unwrap();
    key::load_or_generate(thief.path()).unwrap();
    let config = stolen_certificate(named.path(), thief.path(), &server, &client);
    let (address, listener) = peers(&server, only(&victim), BOUNDS).await;
    assert_refused(listener, address, config).await;
}

/// Presents the certificate in `named` but signs with the key in `thief`.
fn stolen_certificate(
    named: &Path,
    thief: &Path,
    server: &Identity,
    any: &Identity,
) -> ClientConfig {
    let certificate = std::fs::read(named.join(key::CERTIFICATE_FILE)).unwrap();
    let secret = std::fs::read(thief.join(key::SECRET_FILE)).unwrap();
    let secret = rustls::pki_types::PrivatePkcs8KeyDer::from(secret);
    let signing = aws_lc_rs::sign::any_eddsa_type(&secret).unwrap();
    let certified = rustls::sign::CertifiedKey::new(vec![certificate.into()], signing);
    let mut config = tls::peer_client(any, &[server.digest()]).unwrap();
    config.client_auth_cert_resolver = Arc::new(rustls::sign::SingleCertAndKey::from(certified));
    config
}

#[tokio::test]
async fn a_client_that_does_not_agree_on_http2_is_refused() {
    let (server, client) = (identity(), identity());
    let (address, listener) = peers(&server, only(&client), BOUNDS).await;
    let mut config = tls::peer_client(&client, &[server.digest()]).unwrap();
    config.alpn_protocols.clear();
    assert_refused(listener, address, config).await;
}

#[tokio::test]
async fn a_node_that_leaves_the_directory_is_refused_from_its_next_connection_on() {
    let (server, client) = (identity(), identity());
    let directory = Arc::new(std::sync::Mutex::new(Some(client.digest())));
    let names: PeerNames = {
        let directory = Arc::clone(&directory);
        Arc::new(move |key| (*directory.lock().unwrap() == Some(*key)).then(|| node("gb.known")))
    };
    let config = tls::peer_client(&client, &[server.digest()]).unwrap();
    let (address, listener) = peers(&server, Arc::clone(&names), BOUNDS).await;
    let (_connection, stream) = tokio::join!(greet(listener), connect(address, config.clone()));
    stream.unwrap();
    *directory.lock().unwrap() = None;
    let (address, listener) = peers(&server, names, BOUNDS).await;
    assert_refused(listener, address, config).await;
}

#[tokio::test]
async fn a_connection_that_never_finishes_its_handshake_is_dropped_and_blocks_nobody() {
    let (server, client) = (identity(), identity());
    let bounds = Bounds {
        handshakes: 1,
        handshake: Duration::from_secs(1),
        ..BOUNDS
    };
    let (address, listener) = peers(&server, only(&client), bounds).await;
    let refused = listener.refused();
    let served = tokio::spawn(greet(listener));
    let mut silent = TcpStream::connect(address).await.unwrap();
    // Ends when the listener gives up: nothing was ever sent.
    assert_eq!(silent.read(&mut [0]).await.unwrap(), 0);
    assert_eq!(refused.load(Ordering::Relaxed), 1);
    let config = tls::peer_client(&client, &[server.digest()]).unwrap();
    connect(address, config).await.unwrap();
    assert_eq!(served.await.unwrap().connect_info().node, node("gb.known"));
}

#[tokio::test]
async fn a_connection_above_the_bound_waits_until_another_is_closed() {
    let (server, client) = (identity(), identity());
    let bounds = Bounds {
        connections: 1,
        ..BOUNDS
    };
    let (address, listener) = peers(&server, only(&client), bounds).await;
    let mut incoming = listener.incoming();
    let config = tls::peer_client(&client, &[server.digest()]).unwrap();
    let first = TlsConnector::from(Arc::new(config.clone()));
    let second = TlsConnector::from(Arc::new(config));
    let (accepted, _open) = tokio::join!(incoming.next(), async {
        first
            .connect(
                tls::server_name(),
                TcpStream::connect(address).await.unwrap(),
            )
            .await
            .unwrap()
    });
    let waiting = second.connect(
        tls::server_name(),
        TcpStream::connect(address).await.unwrap(),
    );
    tokio::pin!(waiting);
    let early = tokio::time::timeout(Duration::from_millis(100), &mut waiting).await;
    assert!(early.is_err(), "the second connection did not wait");
    drop(accepted);
    let (next, handshake) = tokio::join!(incoming.next(), waiting);
    next.unwrap().unwrap();
    handshake.unwrap();
}

fn reason(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

#[tokio::test]
async fn a_desk_connection_on_which_nobody_logs_in_is_closed() {
    let server = identity();
    let bounds = Bounds {
        log_in: Duration::from_millis(100),
        ..BOUNDS
    };
    let (address, listener) = desks(&server, bounds).await;
    let mut incoming = listener.incoming();
    let mut both = Vec::new();
    for _ in 0..2 {
        let client = TlsConnector::from(Arc::new(tls::desk_client(&[server.digest()]).unwrap()));
        let stream = TcpStream::connect(address).await.unwrap();
        let (accepted, client) =
            tokio::join!(incoming.next(), client.connect(tls::server_name(), stream));
        both.push((accepted.unwrap().unwrap(), client.unwrap()));
    }
    let (mut idle, _idle_client) = both.pop().unwrap();
    let (mut ours, mut client) = both.pop().unwrap();
    let session = Session {
        agency: "gb.example-county.school".parse().unwrap(),
        officer: Fingerprint::new([1; 32]),
    };
    ours.connect_info().log_in(session).unwrap();
    let error = idle.read_u8().await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    // The older one belongs to an officer, and stays.
    client.write_u8(7).await.unwrap();
    client.flush().await.unwrap();
    assert_eq!(ours.read_u8().await.unwrap(), 7);
}
