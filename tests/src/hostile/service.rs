//! The peer service of a hostile node.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use prost::Message as _;
use tokio::sync::watch;
use tonic::body::Body;
use tonic::codegen::{BoxFuture, Service, http};
use tonic::server::NamedService;
use tonic::{Request, Response, Status};
use waypost_node::rpc::peer_server::Peer;
use waypost_proto::entry::Entry;
use waypost_proto::evidence::Gap;
use waypost_proto::id::{AgencyId, Digest};
use waypost_proto::limit;
use waypost_proto::note::{KeyName, NoteSigner};
use waypost_proto::reason::Reason;
use waypost_proto::tlog_proof::TlogProof;
use waypost_proto::wire::{self, log_entry::Event};

use super::DELIVER;
use super::history::History;
use super::order::{Chain, Conduct};
use crate::peer::{self, Answer};
use crate::scheme;

/// A gRPC frame that announces a hundred bytes and holds three.
const CUT_FRAME: &str = "\0\0\0\0dabc";

/// What a hostile node shows of its agency.
#[derive(Debug)]
pub struct Shown {
    /// The roster.
    pub roster: Vec<u8>,
    /// Every roster, certificate and bundle, by its digest.
    pub objects: BTreeMap<Digest, Vec<u8>>,
}

/// What a hostile node is: shared by its service and by what it sends.
#[derive(Debug)]
pub struct State {
    /// Signs its checkpoints: the key that the directory names.
    pub signer: NoteSigner,
    /// The agency that it stands for.
    pub agency: AgencyId,
    /// Its log.
    pub log: Mutex<History>,
    /// What it shows of the agency.
    pub shown: Mutex<Shown>,
    /// The policy bundle that it shows.
    pub bundle: Digest,
    /// Its own messages that were accepted.
    pub accepted: AtomicU64,
    /// What it does.
    pub conduct: watch::Sender<Conduct>,
}

impl State {
    /// Shows another chain, beside every object that it showed before.
    pub fn show(&self, chain: Chain) {
        let mut shown = self.shown();
        let objects = chain.certificates.into_iter().chain([chain.roster.clone()]);
        let objects = objects.map(|bytes| (Digest::of(&bytes), bytes));
        shown.objects.extend(objects);
        shown.roster = chain.roster;
    }

    fn shown(&self) -> std::sync::MutexGuard<'_, Shown> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn log(&self) -> std::sync::MutexGuard<'_, History> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The honest entry about what `evidence` says was submitted, or will not come.
    fn received(evidence: &wire::Evidence) -> Result<Event, Status> {
        let bad = |what| Status::invalid_argument(what);
        let entry = Entry::decode(&evidence.entry).map_err(|_| bad("an entry"))?;
        let proof = TlogProof::parse(&evidence.proof).map_err(|_| bad("a proof"))?;
        let (sender_index, sender_size) = (proof.index, proof.index + 1);
        let sender_root = vec![0; 32];
        if let Some(gap) = Gap::of(&entry.event) {
            return Ok(Event::Gap(wire::Gap {
                message_id: gap.message.as_bytes().to_vec(),
                sender_agency: gap.sender.to_string(),
                recipient_agency: gap.recipient.to_string(),
                lane: gap.lane.code().to_owned(),
                number: gap.number,
                sender_index,
                sender_size,
                sender_root,
            }));
        }
        let Event::Submitted(submitted) = entry.event else {
            return Err(bad("a submitted message"));
        };
        Ok(Event::Received(wire::Received {
            message: submitted.message,
            lane: submitted.lane,
            number: submitted.number,
            rules: submitted.rules,
            sender_index,
            sender_size,
            sender_root,
        }))
    }

    /// Enters what was received, and proves it from the size that the sender has seen.
    fn receipt(&self, received: Event, seen: u64) -> Result<wire::Evidence, Status> {
        let mut log = self.log();
        let index = log.append(received, scheme::now());
        self.prove(&log, index, seen)
    }

    fn prove(&self, log: &History, index: u64, seen: u64) -> Result<wire::Evidence, Status> {
        let evidence = log.evidence(index, seen, &self.signer);
        evidence.map_err(|error| Status::internal(error.to_string()))
    }

    /// A receipt from a history that leaves out the last `entries` of the true one, and goes on with
    /// `others` before the receipt.
    fn forked(
        &self,
        received: Event,
        seen: u64,
        entries: usize,
        others: usize,
    ) -> Result<wire::Evidence, Status> {
        let mut fork = self.log().without_last(entries);
        for number in 0..others {
            let event = wire::RosterAccepted {
                version: number as u64,
                ..Default::default()
            };
            fork.append(Event::RosterAccepted(event), scheme::now());
        }
        let index = fork.append(received, scheme::now());
        self.prove(&fork, index, seen)
    }

    /// What it answers to one offer.
    fn answer(
        &self,
        conduct: Conduct,
        evidence: &wire::Evidence,
        seen: u64,
    ) -> Result<Answer, Status> {
        let mut received = Self::received(evidence)?;
        let evidence = match conduct {
            Conduct::Huge => wire::Evidence {
                entry: vec![0; 2 * limit::PEER_CALL_BYTES],
                ..Default::default()
            },
            Conduct::OtherKey => {
                let other = NoteSigner::generate(KeyName::of_log(&self.agency))
                    .map_err(|error| Status::internal(error.to_string()))?;
                let mut log = self.log().clone();
                let index = log.append(received, scheme::now());
                log.evidence(index, seen, &other)
                    .map_err(|error| Status::internal(error.to_string()))?
            }
            Conduct::MadeUp => wire::Evidence {
                entry: Entry {
                    time: scheme::now(),
                    event: received,
                }
                .encode(),
                ..self.prove(&self.log(), 0, seen)?
            },
            Conduct::OtherMessage => {
                if let Event::Received(wire::Received {
                    message: Some(message),
                    ..
                }) = &mut received
                {
                    message.message_id = vec![7; 16];
                }
                self.receipt(received, seen)?
            }
            // The sender has seen the whole log: one entry fewer, and another in its place.
            Conduct::SameSize => self.forked(received, seen, 1, 0)?,
            Conduct::Smaller => self.forked(received, seen, 2, 0)?,
            Conduct::Rewritten => self.forked(received, seen, 1, 2)?,
            Conduct::Busy => return Ok(Answer::Refusal(Reason::Busy.code().to_owned())),
            _ => self.receipt(received, seen)?,
        };
        Ok(Answer::Receipt(evidence))
    }
}

/// Serves peers as it is told.
#[derive(Debug, Clone)]
pub struct HostileService {
    /// What it is.
    pub state: Arc<State>,
}

#[tonic::async_trait]
impl Peer for HostileService {
    async fn deliver(
        &self,
        request: Request<wire::DeliverRequest>,
    ) -> Result<Response<wire::DeliverReply>, Status> {
        let mut changes = self.state.conduct.subscribe();
        let conduct = *changes.borrow_and_update();
        match conduct {
            Conduct::Silent => {
                let _ = changes.changed().await;
                return Err(Status::aborted("never"));
            }
            Conduct::Dies => std::process::exit(0),
            _ => {}
        }
        let request = request.into_inner();
        let mut seen = request.recipient_log_seen;
        let mut answers = Vec::new();
        for offer in request.offers {
            let evidence = offer.evidence.unwrap_or_default();
            answers.push(self.state.answer(conduct, &evidence, seen)?);
            seen = self.state.log().size();
        }
        Ok(Response::new(peer::reply(answers)))
    }

    async fn last_seen(
        &self,
        _: Request<wire::LastSeenRequest>,
    ) -> Result<Response<wire::LastSeenReply>, Status> {
        Ok(Response::new(wire::LastSeenReply { size: 0 }))
    }

    async fn consistency(
        &self,
        _: Request<wire::ConsistencyRequest>,
    ) -> Result<Response<wire::ConsistencyReply>, Status> {
        Err(Status::unavailable("no"))
    }

    async fn current(
        &self,
        _: Request<wire::CurrentRequest>,
    ) -> Result<Response<wire::CurrentReply>, Status> {
        let roster = self.state.shown().roster.clone();
        let roster =
            wire::Signed::decode(roster.as_slice()).map_err(|_| Status::internal("a roster"))?;
        Ok(Response::new(wire::CurrentReply {
            roster: Some(roster),
            bundle: self.state.bundle.as_bytes().to_vec(),
        }))
    }

    async fn object(
        &self,
        request: Request<wire::ObjectRequest>,
    ) -> Result<Response<wire::ObjectReply>, Status> {
        let digest = Digest::try_from(request.into_inner().digest.as_slice())
            .map_err(|_| Status::invalid_argument("a digest"))?;
        let object = self.state.shown().objects.get(&digest).cloned();
        let object = object.ok_or_else(|| Status::not_found("no such object"))?;
        Ok(Response::new(wire::ObjectReply { object }))
    }
}

/// The peer service, but for deliveries that it cuts off in the middle of a frame.
#[derive(Debug, Clone)]
pub struct Cutting<S> {
    /// The whole service.
    pub inner: S,
    /// Whether it cuts.
    pub conduct: watch::Receiver<Conduct>,
}

impl<S: NamedService> NamedService for Cutting<S> {
    const NAME: &'static str = S::NAME;
}

impl<S> Service<http::Request<Body>> for Cutting<S>
where
    S: Service<http::Request<Body>, Response = http::Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<http::Response<Body>, Infallible>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let cut = *self.conduct.borrow() == Conduct::Truncated && request.uri().path() == DELIVER;
        if !cut {
            return Box::pin(self.inner.call(request));
        }
        let mut response = http::Response::new(Body::new(CUT_FRAME.to_owned()));
        let grpc = http::HeaderValue::from_static("application/grpc");
        response
            .headers_mut()
            .insert(http::header::CONTENT_TYPE, grpc);
        Box::pin(async { Ok(response) })
    }
}
