//! The desk client's connection against a running node's desk listener.

use std::path::Path;
use std::sync::Arc;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tonic::Code;
use waypost_cli::connection::{ConnectionError, connect};
use waypost_node::config::Config;
use waypost_node::server::{Server, Services, Stopped};
use waypost_node::tls::key;
use waypost_proto::id::Digest;
use waypost_proto::tls::Identity;
use waypost_proto::wire;

/// An address that the system chooses.
const ANY: &str = "127.0.0.1:0";

/// A node that serves no desk yet: its listener answers that it does not know the call.
struct Running {
    desks: String,
    stop: oneshot::Sender<()>,
    stopped: JoinHandle<Stopped>,
}

fn identity() -> Identity {
    key::load_or_generate(tempfile::tempdir().unwrap().path()).unwrap()
}

async fn run(identity: &Identity, desks: &str) -> Running {
    let operator = "01".repeat(32);
    let text = format!(
        r#"
        node = "gb.example-host"
        data = "data"
        listen = {{ peers = "127.0.0.1:0", desks = "{desks}" }}
        public = {{ peers = "a.example:1", desks = "a.example:2" }}
        directory = {{ operator = "{operator}", file = "directory.pb" }}
        "#
    );
    let config = Config::parse(&text, Path::new(""), []).unwrap();
    let server = Server::bind(&config, identity, Arc::new(|_| None))
        .await
        .unwrap();
    let desks = server.addresses().desks.to_string();
    let (stop, stopping) = oneshot::channel::<()>();
    let stopped = tokio::spawn(async move {
        let stopping = async {
            let _ = stopping.await;
        };
        server.run(Services::default(), stopping).await.unwrap()
    });
    Running {
        desks,
        stop,
        stopped,
    }
}

#[tokio::test]
async fn a_desk_reaches_the_pinned_node_and_no_other() {
    let (ours, other) = (identity(), identity());
    let node = run(&ours, ANY).await;
    let mut connection = connect(&node.desks, &[ours.digest()]).await.unwrap();
    let status = connection
        .desk
        .challenge(wire::ChallengeRequest::default())
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::Unimplemented);
    let error = connect(&node.desks, &[other.digest(), Digest::of(b"")])
        .await
        .unwrap_err();
    assert!(
        matches!(error, ConnectionError::Unreachable { .. }),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_connection_that_broke_does_not_come_back_by_itself() {
    let ours = identity();
    let node = run(&ours, ANY).await;
    let mut connection = connect(&node.desks, &[ours.digest()]).await.unwrap();
    node.stop.send(()).unwrap();
    assert_eq!(node.stopped.await.unwrap(), Stopped::Finished);
    // The same node again, at the same address.
    let again = run(&ours, &node.desks).await;
    for _ in 0..2 {
        let status = connection
            .desk
            .challenge(wire::ChallengeRequest::default())
            .await
            .unwrap_err();
        assert!(
            matches!(status.code(), Code::Cancelled | Code::Unavailable),
            "{status:?}"
        );
    }
    let mut connection = connect(&again.desks, &[ours.digest()]).await.unwrap();
    let status = connection
        .desk
        .challenge(wire::ChallengeRequest::default())
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::Unimplemented);
}

#[tokio::test]
async fn an_endpoint_without_a_port_is_refused() {
    for bad in ["", "node.example", "node.example:x", "a b:1"] {
        let error = connect(bad, &[]).await.unwrap_err();
        assert!(
            matches!(
                error,
                ConnectionError::Endpoint { .. } | ConnectionError::Unreachable { .. }
            ),
            "{error:?}"
        );
    }
}
