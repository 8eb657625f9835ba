//! `hostile-peer CONFIG`: a node that lies, for the tests (`waypost_tests::hostile`). It takes
//! the keys of the node whose configuration it is given, and orders from standard input; it ends with
//! that.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Write as _};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use prost::Message;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tonic::service::Routes;
use waypost_node::config::Config;
use waypost_node::rpc::peer_server::PeerServer;
use waypost_node::server::{Server, Services};
use waypost_node::tls::{PeerNames, key};
use waypost_node::{directories, setup};
use waypost_policies::Bundle;
use waypost_proto::id::{Digest, Timestamp};
use waypost_proto::reason::Reason;
use waypost_proto::tls::Identity;
use waypost_proto::wire::{self, log_entry::Event};
use waypost_tests::hostile::history::History;
use waypost_tests::hostile::order::{Call, Chain, Conduct, Offer, Order, Reply, Report, What};
use waypost_tests::hostile::service::{Cutting, HostileService, Shown, State};
use waypost_tests::hostile::{DELIVER, raw};
use waypost_tests::peer::Answer;
use waypost_tests::{letter, peer, scheme};

/// Before a message is offered again to a node that is busy, as a node does it.
const PAUSE: Duration = Duration::from_millis(250);

fn main() -> Result<()> {
    let config = std::env::args().nth(1).context("a configuration")?;
    let config = Config::load(Path::new(&config))?;
    let identity = key::load(&config.data)?;
    let runtime = Runtime::new()?;
    let state = Arc::new(state(&config)?);
    let ready = runtime.block_on(serve(&config, &identity, Arc::clone(&state)))?;
    say(&ready)?;
    let mut orders = BufReader::new(io::stdin());
    while let Some(order) = next(&mut orders)? {
        let report = match order.what.context("an order")? {
            What::Call(wanted) => runtime.block_on(call(wanted, &identity))?,
            What::Offer(wanted) => runtime.block_on(offer(wanted, &identity, &state))?,
            What::Conduct(conduct) => {
                state.conduct.send_replace(Conduct::try_from(conduct)?);
                Report::default()
            }
            What::Chain(chain) => {
                state.show(chain);
                Report::default()
            }
        };
        say(&report)?;
    }
    Ok(())
}

/// What the directory and the node's folder say of its first agency.
fn state(config: &Config) -> Result<State> {
    let agency = config.agencies.first().context("an agency")?.id.clone();
    let hosted = setup::load_agency(config, &agency)?;
    let registration = hosted.registration;
    let bundle = Bundle::builtin()?.to_wire();
    let digest = letter::rules()?.digest();
    let state = State {
        signer: hosted.log_key,
        log: Mutex::new(History::begin(&agency, scheme::now())),
        shown: Mutex::new(Shown {
            roster: Vec::new(),
            objects: BTreeMap::from([(digest, bundle)]),
        }),
        bundle: digest,
        accepted: AtomicU64::new(0),
        conduct: watch::Sender::new(Conduct::Honest),
        agency,
    };
    state.show(Chain {
        roster: registration.roster.context("a roster")?.encode_to_vec(),
        certificates: registration.certificates,
    });
    Ok(state)
}

/// Serves peers of the directory, for as long as the process lives.
async fn serve(config: &Config, identity: &Identity, state: Arc<State>) -> Result<Reply> {
    let directory = directories::load(config, scheme::now())?;
    let names: PeerNames = Arc::new(move |key| Some(directory.node_of_tls_key(key)?.id.clone()));
    let server = Server::bind(config, identity, names).await?;
    let address = server.addresses().peers;
    let conduct = state.conduct.subscribe();
    // Without a bound on what it sends.
    let inner = PeerServer::new(HostileService { state });
    let services = Services {
        peers: Routes::new(Cutting { inner, conduct }),
        desks: Routes::default(),
    };
    tokio::spawn(server.run(services, std::future::pending()));
    Ok(Reply {
        text: address.to_string(),
        ..Reply::default()
    })
}

async fn call(wanted: Call, identity: &Identity) -> Result<Report> {
    let pin = Digest::try_from(wanted.pin.as_slice())?;
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..wanted.at_once {
        let channel = raw::channel(&wanted.endpoint, pin, identity)?;
        let (path, request) = (wanted.path.clone(), wanted.request.clone());
        calls.spawn(async move { raw::call(channel, &path, request).await });
    }
    let replies = calls.join_all().await;
    Ok(Report {
        replies: replies.into_iter().collect::<Result<_>>()?,
    })
}

/// Enters the message into the log, proves that, and offers it; again from the size that the recipient
/// says it last saw, or when it is busy.
async fn offer(wanted: Offer, identity: &Identity, state: &State) -> Result<Report> {
    let envelope = wanted.envelope.unwrap_or_default();
    // Numbers follow each other without a gap: a refused one is given again.
    let submitted = peer::submitted(&envelope, state.accepted.load(Ordering::Relaxed) + 1);
    let now = scheme::now().0.saturating_add_signed(wanted.clock);
    let (log, index) = {
        let mut log = state.log.lock().unwrap_or_else(PoisonError::into_inner);
        if wanted.rewritten {
            *log = log.without_last(1);
        }
        let index = log.append(Event::Submitted(submitted), Timestamp(now));
        (log.clone(), index)
    };
    let pin = Digest::try_from(wanted.pin.as_slice())?;
    let channel = raw::channel(&wanted.endpoint, pin, identity)?;
    let mut seen = 0;
    loop {
        let evidence = log.evidence(index, seen, &state.signer)?;
        let request = peer::single(envelope.clone(), evidence);
        let reply = raw::call(channel.clone(), DELIVER, request.encode_to_vec()).await?;
        let decoded = wire::DeliverReply::decode(reply.bytes.as_slice())?;
        let answer = peer::answer(decoded.clone());
        match (peer::last_seen(&decoded), answer) {
            (Some(size), _) if size != seen => seen = size,
            (_, Ok(Answer::Refusal(reason))) if reason == Reason::Busy.code() => {
                tokio::time::sleep(PAUSE).await;
            }
            (_, answer) => {
                if answer.is_ok_and(|answer| answer.receipt().is_ok()) {
                    state.accepted.fetch_add(1, Ordering::Relaxed);
                }
                return Ok(Report {
                    replies: vec![reply],
                });
            }
        }
    }
}

/// The next order; none at the end of standard input.
fn next(from: &mut impl BufRead) -> Result<Option<Order>> {
    if from.fill_buf()?.is_empty() {
        return Ok(None);
    }
    let mut length = Vec::new();
    loop {
        let mut byte = [0];
        from.read_exact(&mut byte)?;
        length.extend_from_slice(&byte);
        if byte.iter().all(|byte| byte & 0x80 == 0) {
            break;
        }
    }
    let mut bytes = vec![0; prost::decode_length_delimiter(length.as_slice())?];
    from.read_exact(&mut bytes)?;
    Ok(Some(Order::decode(bytes.as_slice())?))
}

fn say(message: &impl Message) -> Result<()> {
    let mut out = io::stdout();
    out.write_all(&message.encode_length_delimited_to_vec())?;
    Ok(out.flush()?)
}
