//! The peer service (proto/spec/peer.md): the edge between gRPC and [`inbound`](crate::inbound).

use std::sync::Arc;

use prost::Message as _;
use tonic::{Request, Response, Status};
use waypost_proto::id::{AgencyId, Digest};
use waypost_proto::openpgp::Certificate;
use waypost_proto::reason::Reason;
use waypost_proto::wire;

use crate::host::{Agency, Node, Stop};
use crate::inbound;
use crate::rpc::peer_server::Peer;
use crate::tls::connection::PeerConnection;

/// Serves peers.
#[derive(Debug, Clone)]
pub struct PeerService {
    node: Arc<Node>,
}

impl PeerService {
    /// Serves peers of `node`.
    #[must_use]
    pub const fn new(node: Arc<Node>) -> Self {
        Self { node }
    }

    fn hosted(&self, agency: &str) -> Result<&Arc<Agency>, Status> {
        let id: AgencyId = agency
            .parse()
            .map_err(|_| Status::invalid_argument("agency: not an id"))?;
        self.node
            .agency(&id)
            .ok_or_else(|| Status::not_found("the agency is not served here"))
    }

    /// An agency that the directory places at the asking peer.
    fn of_peer(&self, peer: &PeerConnection, agency: &str) -> Result<AgencyId, Status> {
        let id: AgencyId = agency
            .parse()
            .map_err(|_| Status::invalid_argument("counterpart: not an id"))?;
        let directory = self.node.directory();
        let at_peer = directory
            .agency(&id)
            .is_some_and(|record| record.node == peer.node);
        if at_peer {
            Ok(id)
        } else {
            Err(Status::permission_denied(
                "the directory names another node for it",
            ))
        }
    }
}

/// Who is at the other end. Every request on this listener has one.
fn connection<T>(request: &Request<T>) -> Result<PeerConnection, Status> {
    request
        .extensions()
        .get::<PeerConnection>()
        .cloned()
        .ok_or_else(|| Status::internal("no peer"))
}

/// A refusal as it goes back: reason and its text, without content.
pub(crate) fn refusal(stop: &Stop) -> wire::Refusal {
    let reason = stop.reason();
    wire::Refusal {
        reason: reason.code().to_owned(),
        text: reason.text().to_owned(),
        last_seen: match stop {
            Stop::LastSeen { size } => *size,
            _ => 0,
        },
    }
}

/// The one mapping from what stopped a query to a gRPC status.
pub(crate) fn status(stop: &Stop) -> Status {
    let reason = stop.reason();
    let text = format!("{reason}: {}", reason.text());
    match reason {
        Reason::UnknownAgency | Reason::NotHostedHere => Status::not_found(text),
        Reason::Unavailable | Reason::Busy | Reason::Degraded => Status::unavailable(text),
        Reason::NotPermitted | Reason::Officer | Reason::Signature | Reason::NotHostedByPeer => {
            Status::permission_denied(text)
        }
        Reason::Malformed => Status::invalid_argument(text),
        _ => Status::failed_precondition(text),
    }
}

#[tonic::async_trait]
impl Peer for PeerService {
    async fn deliver(
        &self,
        request: Request<wire::DeliverRequest>,
    ) -> Result<Response<wire::DeliverReply>, Status> {
        let peer = connection(&request)?;
        let answers = inbound::deliver(&self.node, &peer.node, request.into_inner())
            .await
            .map_err(|stop| status(&stop))?;
        let answers = answers.into_iter().map(|answer| wire::OfferAnswer {
            result: Some(match answer {
                Ok(evidence) => wire::offer_answer::Result::Receipt(evidence),
                Err(stop) => wire::offer_answer::Result::Refusal(refusal(&stop)),
            }),
        });
        Ok(Response::new(wire::DeliverReply {
            answers: answers.collect(),
        }))
    }

    async fn last_seen(
        &self,
        request: Request<wire::LastSeenRequest>,
    ) -> Result<Response<wire::LastSeenReply>, Status> {
        let peer = connection(&request)?;
        let request = request.into_inner();
        let agency = self.hosted(&request.counterpart)?;
        let theirs = self.of_peer(&peer, &request.agency)?;
        let seen = self
            .node
            .seen(&agency.id, &theirs)
            .map_err(|s| status(&s))?;
        Ok(Response::new(wire::LastSeenReply {
            size: seen.map_or(0, |s| s.last.size),
        }))
    }

    async fn consistency(
        &self,
        request: Request<wire::ConsistencyRequest>,
    ) -> Result<Response<wire::ConsistencyReply>, Status> {
        let request = request.into_inner();
        let agency = self.hosted(&request.agency)?;
        consistency(&self.node, &agency.id, &request).map(Response::new)
    }

    async fn current(
        &self,
        request: Request<wire::CurrentRequest>,
    ) -> Result<Response<wire::CurrentReply>, Status> {
        let agency = self.hosted(&request.into_inner().agency)?;
        let roster = wire::Signed::decode(agency.own().roster().as_bytes())
            .map_err(|_| Status::internal("the roster does not decode"))?;
        Ok(Response::new(wire::CurrentReply {
            roster: Some(roster),
            bundle: agency.rules.digest().as_bytes().to_vec(),
        }))
    }

    async fn object(
        &self,
        request: Request<wire::ObjectRequest>,
    ) -> Result<Response<wire::ObjectReply>, Status> {
        let request = request.into_inner();
        let digest = Digest::try_from(request.digest.as_slice())
            .map_err(|_| Status::invalid_argument("digest: not 32 bytes"))?;
        let object = own_object(&self.node, request.r#type(), &digest).ok_or_else(|| {
            Status::not_found("no agency served here uses an object with this digest")
        })?;
        Ok(Response::new(wire::ObjectReply { object }))
    }
}

/// Consistency between two sizes of a log served here.
pub(crate) fn consistency(
    node: &Node,
    agency: &AgencyId,
    request: &wire::ConsistencyRequest,
) -> Result<wire::ConsistencyReply, Status> {
    let path = node
        .log(agency)
        .consistency(request.from, request.to)
        .map_err(|_| Status::out_of_range("from and to: sizes of this log, the smaller first"))?;
    Ok(wire::ConsistencyReply {
        path: path.iter().map(|h| h.as_bytes().to_vec()).collect(),
    })
}

/// A certificate, roster or bundle that an agency hosted here uses now.
pub(crate) fn own_object(node: &Node, kind: wire::ObjectType, digest: &Digest) -> Option<Vec<u8>> {
    node.agencies().find_map(|agency| {
        let own = agency.own();
        match kind {
            wire::ObjectType::Certificate => own
                .certificates()
                .find(|c| c.digest() == *digest)
                .map(|c| Certificate::as_bytes(c).to_vec()),
            wire::ObjectType::Roster => {
                (own.roster().digest() == *digest).then(|| own.roster().as_bytes().to_vec())
            }
            wire::ObjectType::Bundle => {
                (agency.rules.digest() == *digest).then(|| agency.bundle.to_wire())
            }
            wire::ObjectType::Unspecified => None,
        }
    })
}
