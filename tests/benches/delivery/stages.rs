//! The stages of a message, each by itself in this process, with new messages.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tonic::{Request, Response, Status};
use waypost_node::clock::SystemClock;
use waypost_node::record;
use waypost_node::rpc::{self, peer_server::Peer};
use waypost_node::sequencer::{Abort, LogConfig, Sequencer, create_log};
use waypost_node::store::Store;
use waypost_node::store::sled::SledStore;
use waypost_node::tls::listener::{Bounds, Listener};
use waypost_node::tls::{connector, key};
use waypost_node::vault::Vault;
use waypost_policies::permit;
use waypost_proto::envelope::{Authenticated, Received};
use waypost_proto::evidence::Proved;
use waypost_proto::id::{MessageId, NodeId};
use waypost_proto::note::{KeyName, NoteSigner};
use waypost_proto::wire::{self, log_entry::Event};
use waypost_tests::ledger;
use waypost_tests::letter;
use waypost_tests::scheme::{self, Agency, NGO, Scheme};

use crate::report::Stages;
use crate::whole::{Inline, processor_time};

/// Messages of each stage.
const MESSAGES: usize = 200;

fn each(total: Duration, count: usize) -> f64 {
    total.as_secs_f64() * 1e3 / f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

/// Seal, outer form, signature check, policy, open. Gives the sealed messages as well.
pub(crate) fn of_messages(
    inline: &Inline,
    authority: &Agency,
    stages: &mut Stages,
) -> Result<Vec<wire::Envelope>> {
    let started = Instant::now();
    let mut sealed = Vec::new();
    for _ in 0..MESSAGES {
        sealed.push(inline.seal()?);
    }
    stages.add(
        "client: minimise and seal",
        each(started.elapsed(), MESSAGES),
        1,
    );
    let at = scheme::now();
    let started = Instant::now();
    let mut received = Vec::new();
    for envelope in sealed.clone() {
        received.push(Received::decode(envelope)?);
    }
    stages.add("outer form", each(started.elapsed(), MESSAGES), 2);

    let ends = &inline.ends;
    let started = Instant::now();
    let mut authenticated = Vec::new();
    for message in received {
        authenticated.push(message.authenticate(
            &ends.sender,
            &ends.recipient,
            inline.suite,
            at,
        )?);
    }
    stages.add(
        "signature check, with the chain",
        each(started.elapsed(), MESSAGES),
        2,
    );

    // Each message asks its own judge, as a node does; the rules keep their answers.
    let started = Instant::now();
    for message in &authenticated {
        permit(&ends.judge()?, message, |m: &&Authenticated| {
            &m.header().manifest
        })?;
    }
    stages.add("policy", each(started.elapsed(), MESSAGES), 2);

    let keys = authority.desk_key();
    let subkey = *keys
        .certificate()
        .encryption_keys()
        .last()
        .context("a subkey")?;
    let key = keys.desk_key(&subkey)?;
    let started = Instant::now();
    for message in &authenticated {
        message
            .open(&key, &ends.sender, &ends.recipient)?
            .truthful()?;
    }
    stages.add(
        "client: open (decrypt, verify, compare)",
        each(started.elapsed(), MESSAGES),
        1,
    );
    Ok(sealed)
}

/// The check of one entry's log evidence.
pub(crate) fn of_evidence(
    scheme: &Scheme,
    ngo: &Agency,
    evidence: &wire::Evidence,
    stages: &mut Stages,
) -> Result<()> {
    let record = ledger::record(scheme, ngo)?;
    let evidence = wire::Evidence {
        consistency_from: 0,
        consistency: Vec::new(),
        ..evidence.clone()
    };
    let at = scheme::now();
    let started = Instant::now();
    for _ in 0..MESSAGES {
        Proved::verify(&evidence, &record, None, at)?;
    }
    stages.add(
        "log: check of the other side's evidence",
        each(started.elapsed(), MESSAGES),
        2,
    );
    Ok(())
}

/// Entry, tree, record, body with its key, checkpoint, commit: in groups of as many as are in flight.
pub(crate) async fn of_commits(bytes: usize, in_flight: usize, stages: &mut Stages) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let agency: waypost_proto::id::AgencyId = NGO.id.parse()?;
    let store: Arc<dyn Store> = Arc::new(SledStore::open(&folder.path().join("store"))?);
    let vault = Arc::new(Vault::open(&folder.path().join("vault.slots"))?);
    let log_key = NoteSigner::generate(KeyName::of_log(&agency))?;
    let log = LogConfig::new(agency.clone(), 1, log_key)?;
    create_log(store.as_ref(), &log, scheme::now())?;
    let sequencer = Sequencer::start(store, vault, vec![log], Arc::new(SystemClock))?;
    let started = Instant::now();
    for _ in 0..MESSAGES.div_ceil(in_flight) {
        let mut group = Vec::new();
        for _ in 0..in_flight {
            let id = MessageId::new(letter::random()?);
            let key = record::message(&agency, &id);
            let body = vec![1; bytes];
            let queue = sequencer
                .handle()
                .queue(&agency, move |tx| -> Result<(), Abort<()>> {
                    tx.append(Event::Fetched(wire::Fetched {
                        message_id: id.as_bytes().to_vec(),
                        officer: vec![0; 32],
                    }))?;
                    tx.put(key, vec![2; 6144])?;
                    Ok(tx.put_body(id, body)?)
                });
            group.push(queue.await?);
        }
        for queued in group {
            if let Err(Abort::Failed(error)) = queued.committed().await {
                return Err(error.into());
            }
        }
    }
    let count = MESSAGES.div_ceil(in_flight) * in_flight;
    stages.add(
        "log and commit, syncs included",
        each(started.elapsed(), count),
        2,
    );
    sequencer.shutdown().await;
    Ok(())
}

/// TLS and gRPC by themselves, both ends in this process: a message goes, a receipt's worth comes back.
pub(crate) async fn of_transport(sealed: &[wire::Envelope], stages: &mut Stages) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let identity = key::load_or_generate(folder.path())?;
    let name: NodeId = "gb.example".parse()?;
    let socket = TcpListener::bind("127.0.0.1:0").await?;
    let address = socket.local_addr()?.to_string();
    let bounds = Bounds {
        connections: 8,
        handshakes: 8,
        handshake: Duration::from_secs(10),
        log_in: Duration::from_secs(60),
    };
    let listener = Listener::for_peers(
        socket,
        &identity,
        Arc::new(move |_| Some(name.clone())),
        bounds,
    )?;
    let serving = tonic::transport::Server::builder()
        .add_service(rpc::peer_service(Echo))
        .serve_with_incoming(listener.incoming());
    let server = tokio::spawn(serving);
    let client = rpc::peer(connector::peer_channel(
        &address,
        &identity,
        &[identity.digest()],
    )?);
    let before = processor_time(std::process::id())?;
    let mut calls = JoinSet::new();
    for envelope in sealed.iter().cycle().take(MESSAGES * 5).cloned() {
        let mut client = client.clone();
        calls.spawn(async move {
            let offer = wire::Offer {
                envelope: Some(envelope),
                evidence: Some(wire::Evidence {
                    entry: vec![1; 1024],
                    ..Default::default()
                }),
            };
            let request = wire::DeliverRequest {
                offers: vec![offer],
                recipient_log_seen: 0,
            };
            client.deliver(request).await
        });
    }
    while let Some(answer) = calls.join_next().await {
        answer??;
    }
    let took = processor_time(std::process::id())? - before;
    stages.add(
        "TLS and gRPC, both ends",
        each(Duration::from_secs_f64(took), MESSAGES * 5),
        2,
    );
    server.abort();
    Ok(())
}

/// Answers as a node does, and does nothing.
struct Echo;

#[tonic::async_trait]
impl Peer for Echo {
    async fn deliver(
        &self,
        request: Request<wire::DeliverRequest>,
    ) -> Result<Response<wire::DeliverReply>, Status> {
        let answers = request
            .into_inner()
            .offers
            .into_iter()
            .map(|offer| wire::OfferAnswer {
                result: offer.evidence.map(wire::offer_answer::Result::Receipt),
            });
        Ok(Response::new(wire::DeliverReply {
            answers: answers.collect(),
        }))
    }

    async fn last_seen(
        &self,
        _: Request<wire::LastSeenRequest>,
    ) -> Result<Response<wire::LastSeenReply>, Status> {
        Err(Status::unimplemented("not measured"))
    }

    async fn consistency(
        &self,
        _: Request<wire::ConsistencyRequest>,
    ) -> Result<Response<wire::ConsistencyReply>, Status> {
        Err(Status::unimplemented("not measured"))
    }

    async fn current(
        &self,
        _: Request<wire::CurrentRequest>,
    ) -> Result<Response<wire::CurrentReply>, Status> {
        Err(Status::unimplemented("not measured"))
    }

    async fn object(
        &self,
        _: Request<wire::ObjectRequest>,
    ) -> Result<Response<wire::ObjectReply>, Status> {
        Err(Status::unimplemented("not measured"))
    }
}
