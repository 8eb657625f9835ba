//! A node's whole run: it starts, serves peers and desks, and ends when it is told to or has failed.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::{io, iter};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;

use crate::clock::SystemClock;
use crate::config::Config;
use crate::desk::DeskService;
use crate::files::{self, FileError};
use crate::host::Node;
use crate::peer::PeerService;
use crate::sequencer::SequenceError;
use crate::server::{Addresses, ServeError, Server, Services, Stopped};
use crate::start::{self, StartError};
use crate::store::Store;
use crate::tls::key::{self, KeyError};
use crate::{directories, refusals, relay, rpc};

/// Why a node did not run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// It has no TLS key.
    #[error("run `waypost-node init` first")]
    Key(#[from] KeyError),
    /// The operating system lets no signal be caught.
    #[error("no signal can be caught")]
    Signal(#[source] io::Error),
    /// It does not start.
    #[error("the node does not start")]
    Start(#[from] StartError),
    /// It does not serve.
    #[error("the node does not serve")]
    Serve(#[from] ServeError),
    /// Nobody can be told that it is ready.
    #[error("the ready file")]
    Ready(#[source] FileError),
    /// It stopped, because the disk or something on it failed.
    #[error(
        "the node stopped; what it accepted is kept: make room on the disk of its data folder, or repair it, and start the node again"
    )]
    Failed(#[source] SequenceError),
    /// It stopped, because a queue ended by itself.
    #[error("the node stopped, because its relay failed; start it again")]
    Relay,
}

/// Runs the node of `config` on the store that `open` opens, until SIGTERM or SIGINT. Once it listens,
/// `ready_file` holds the bound addresses.
///
/// # Errors
/// [`RunError`].
pub async fn run(
    config: &Config,
    open: impl FnOnce(&Config) -> Result<Arc<dyn Store>, StartError>,
    ready_file: Option<&Path>,
) -> Result<(), RunError> {
    let identity = key::load(&config.data)?;
    // Signals are caught from here on: one that arrives while starting stops the node as well.
    let stop = stop_signal().map_err(RunError::Signal)?;
    let mut reload = signal(SignalKind::hangup()).map_err(RunError::Signal)?;
    let store = open(config)?;
    let started = start::start(config, store, identity.clone(), Arc::new(SystemClock)).await?;
    let node = Arc::clone(&started.node);
    let names = node.peer_names();
    let server = Server::bind(config, &identity, names).await?;
    let addresses = server.addresses();
    let stopping = CancellationToken::new();
    let mut relay = Some(tokio::spawn(relay::run(
        Arc::clone(&node),
        stopping.clone(),
    )));
    let services = Services {
        peers: Routes::new(rpc::peer_service(PeerService::new(Arc::clone(&node)))),
        desks: Routes::new(rpc::desk_service(DeskService::new(
            Arc::clone(&node),
            stopping.clone(),
        ))),
    };
    if let Some(path) = ready_file {
        files::write_public(path, ready(addresses).as_bytes()).map_err(RunError::Ready)?;
    }
    tracing::info!(node = %config.node, peers = %addresses.peers, desks = %addresses.desks, "ready");
    let failed = node.sequencer.failed();
    let mut outcome = Ok(());
    let serving = server.run(services, async {
        tokio::select! {
            () = stop => {}
            error = failed => outcome = Err(RunError::Failed(error)),
            () = reload_directories(&node, config, &mut reload) => {}
            () = refusals::sum_up_for_ever(&node) => {}
            () = ended(&mut relay) => outcome = Err(RunError::Relay),
        }
        if let Err(error) = &outcome {
            tracing::error!(error = %causes(error), "stopping");
        }
        stopping.cancel();
    });
    match serving.await? {
        Stopped::Finished => tracing::info!("stopped"),
        Stopped::CutOff => tracing::warn!("stopped at the deadline with calls in flight"),
    }
    let count = node.refusals.unauthenticated();
    tracing::info!(count, "refused what nobody vouched for, in all");
    refusals::sum_up(&node, node.refusals.all()).await;
    if let Some(relay) = relay {
        // Told to stop: its queues end after the offer that they are at.
        let _ = relay.await;
    }
    drop(node);
    started.sequencer.shutdown().await;
    outcome
}

/// Waits for a task that should not end, and takes it away.
async fn ended<T>(task: &mut Option<JoinHandle<T>>) {
    if let Some(running) = task.as_mut() {
        let _ = running.await;
        *task = None;
    }
}

/// Reads every directory anew at every SIGHUP, for ever. One that does not hold changes nothing, and
/// holds up no other.
async fn reload_directories(node: &Arc<Node>, config: &Config, signal: &mut Signal) {
    while signal.recv().await.is_some() {
        for listed in &config.directories {
            let country = &listed.country;
            match directories::reload(node, listed).await {
                Ok(version) => tracing::info!(%country, version, "directory in force"),
                Err(error) => {
                    tracing::error!(%country, error = %causes(&error), "the directory in force stays");
                }
            }
        }
        directories::warn_of_expired(node);
    }
    std::future::pending().await
}

/// An error with what caused it, in one line.
fn causes(error: &dyn Error) -> String {
    let causes = iter::successors(Some(error), |&error| error.source());
    let texts: Vec<_> = causes.map(ToString::to_string).collect();
    texts.join(": ")
}

/// One `name=host:port` a line.
fn ready(addresses: Addresses) -> String {
    format!("peers={}\ndesks={}\n", addresses.peers, addresses.desks)
}

fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
