//! A whole server with a peer service of one working call.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, oneshot};
use tonic::{Code, Request, Response, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use waypost_proto::id::NodeId;
use waypost_proto::{limit, wire};

use super::*;
use crate::rpc;
use crate::tls::{connector, key};

/// Answers [`Peer::last_seen`] when the gate opens; knows nothing else.
struct Gated {
    entered: Arc<Semaphore>,
    gate: Arc<Semaphore>,
}

#[tonic::async_trait]
impl rpc::peer_server::Peer for Gated {
    async fn last_seen(
        &self,
        request: Request<wire::LastSeenRequest>,
    ) -> Result<Response<wire::LastSeenReply>, Status> {
        let peer = request
            .extensions()
            .get::<PeerConnection>()
            .cloned()
            .unwrap();
        assert_eq!(peer.node.as_str(), "gb.known");
        self.entered.add_permits(1);
        let _open = self.gate.acquire().await.unwrap();
        Ok(Response::new(wire::LastSeenReply { size: 7 }))
    }

    async fn deliver(
        &self,
        _: Request<wire::DeliverRequest>,
    ) -> Result<Response<wire::DeliverReply>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn consistency(
        &self,
        _: Request<wire::ConsistencyRequest>,
    ) -> Result<Response<wire::ConsistencyReply>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn current(
        &self,
        _: Request<wire::CurrentRequest>,
    ) -> Result<Response<wire::CurrentReply>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn object(
        &self,
        _: Request<wire::ObjectRequest>,
    ) -> Result<Response<wire::ObjectReply>, Status> {
        Err(Status::unimplemented(""))
    }
}

/// A running server, a channel to it, and its strings.
struct Running {
    channel: tonic::transport::Channel,
    addresses: Addresses,
    stop: oneshot::Sender<()>,
    stopped: tokio::task::JoinHandle<Result<Stopped, ServeError>>,
    entered: Arc<Semaphore>,
    gate: Arc<Semaphore>,
}

fn identity() -> Identity {
    key::load_or_generate(tempfile::tempdir().unwrap().path()).unwrap()
}

async fn run(shutdown: Duration) -> Running {
    let text = format!(
        r#"
        node = "gb.example-host"
        data = "data"
        listen = {{ peers = "127.0.0.1:0", desks = "127.0.0.1:0" }}
        public = {{ peers = "a.example:1", desks = "a.example:2" }}
        directory = {{ operator = "{}", file = "directory.pb" }}
        limits = {{ shutdown_ms = {} }}
        "#,
        "01".repeat(32),
        shutdown.as_millis()
    );
    let config = Config::parse(&text, Path::new(""), []).unwrap();
    let (ours, peer) = (identity(), identity());
    let known = peer.digest();
    let names: PeerNames =
        Arc::new(move |key| (*key == known).then(|| "gb.known".parse::<NodeId>().unwrap()));
    let server = Server::bind(&config, &ours, names).await.unwrap();
    let addresses = server.addresses();
    let channel =
        connector::peer_channel(&addresses.peers.to_string(), &peer, &[ours.digest()]).unwrap();
    let (entered, gate) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let service = rpc::peer_service(Gated {
        entered: Arc::clone(&entered),
        gate: Arc::clone(&gate),
    });
    let services = Services {
        peers: Routes::new(service),
        desks: Routes::default(),
    };
    let (stop, stopping) = oneshot::channel();
    let stopped = tokio::spawn(server.run(services, async {
        let _ = stopping.await;
    }));
    Running {
        channel,
        addresses,
        stop,
        stopped,
        entered,
        gate,
    }
}

/// A call that is in flight: the service has it and does not answer yet.
async fn call_in_flight(node: &Running) -> tokio::task::JoinHandle<Result<u64, Status>> {
    let mut peer = rpc::peer(node.channel.clone());
    let call = tokio::spawn(async move {
        let reply = peer.last_seen(wire::LastSeenRequest::default()).await?;
        Ok(reply.into_inner().size)
    });
    node.entered.acquire().await.unwrap().forget();
    call
}

#[tokio::test]
async fn a_stopping_node_finishes_the_calls_in_flight_and_takes_no_new_ones() {
    let node = run(Duration::from_secs(30)).await;
    let call = call_in_flight(&node).await;
    node.stop.send(()).unwrap();
    let refused = async {
        while tokio::net::TcpStream::connect(node.addresses.peers)
            .await
            .is_ok()
        {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), refused)
        .await
        .expect("the socket stays open");
    assert!(
        !node.stopped.is_finished(),
        "the node stopped with a call in flight"
    );
    node.gate.add_permits(1);
    assert_eq!(call.await.unwrap().unwrap(), 7);
    assert_eq!(node.stopped.await.unwrap().unwrap(), Stopped::Finished);
}

#[tokio::test]
async fn a_call_that_outlasts_the_deadline_does_not_keep_the_node_from_stopping() {
    let node = run(Duration::from_millis(50)).await;
    let _call = call_in_flight(&node).await;
    node.stop.send(()).unwrap();
    assert_eq!(node.stopped.await.unwrap().unwrap(), Stopped::CutOff);
}

#[tokio::test]
async fn a_node_says_that_it_serves_and_then_that_it_does_not() {
    let node = run(Duration::from_secs(30)).await;
    let mut health = HealthClient::new(node.channel.clone());
    let mut watch = health
        .watch(HealthCheckRequest::default())
        .await
        .unwrap()
        .into_inner();
    let mut status = async || watch.message().await.unwrap().unwrap().status();
    assert_eq!(
        status().await,
        tonic_health::pb::health_check_response::ServingStatus::Serving
    );
    node.stop.send(()).unwrap();
    assert_eq!(
        status().await,
        tonic_health::pb::health_check_response::ServingStatus::NotServing
    );
    drop((watch, health, node.channel));
    assert_eq!(node.stopped.await.unwrap().unwrap(), Stopped::Finished);
}

#[tokio::test]
async fn a_message_above_its_limit_is_refused_before_it_is_decoded() {
    let node = run(Duration::from_secs(30)).await;
    // A client without our own bound.
    let mut peer = rpc::peer_client::PeerClient::new(node.channel.clone());
    let request = wire::LastSeenRequest {
        agency: "a".repeat(limit::PEER_CALL_BYTES),
        counterpart: String::new(),
    };
    let status = peer.last_seen(request).await.unwrap_err();
    assert_eq!(status.code(), Code::OutOfRange);
    assert_eq!(node.entered.available_permits(), 0);
}
