//! The desk service (proto/spec/desk.md): the edge between gRPC and what officers may do.

use std::pin::Pin;
use std::sync::Arc;

use prost::Message as _;
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};
use waypost_proto::directory::VerifiedHead;
use waypost_proto::header::Header;
use waypost_proto::id::{AgencyId, Digest, Fingerprint, MessageId, SubjectRef};
use waypost_proto::openpgp::Certificate;
use waypost_proto::wire;

use crate::host::{Agency, Node};
use crate::limit;
use crate::peer::{consistency, own_object, refusal, status};
use crate::rpc::desk_server::Desk;
use crate::tls::connection::DeskConnection;
use crate::{fetch, login, lookup, outbound};

/// Serves officers.
#[derive(Debug, Clone)]
pub struct DeskService {
    node: Arc<Node>,
    stop: CancellationToken,
}

/// An officer who has logged in, and their agency.
struct Acting {
    agency: Arc<Agency>,
    officer: Fingerprint,
}

type Replies<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

impl DeskService {
    /// Serves officers of the agencies of `node`. Watchers are let go at `stop`.
    #[must_use]
    pub const fn new(node: Arc<Node>, stop: CancellationToken) -> Self {
        Self { node, stop }
    }

    /// INVARIANT (a session is checked on every call): the officer must still be in the roster.
    fn acting<T>(&self, request: &Request<T>) -> Result<Acting, Status> {
        let connection = connection(request)?;
        let session = connection
            .session()
            .ok_or_else(|| Status::unauthenticated("log in first"))?;
        let agency = self
            .node
            .agency(&session.agency)
            .ok_or_else(|| Status::not_found("the agency is not served here"))?;
        if agency.own().any_officer(&session.officer).is_none() {
            return Err(Status::unauthenticated(
                "the roster no longer holds this officer",
            ));
        }
        Ok(Acting {
            agency: Arc::clone(agency),
            officer: session.officer,
        })
    }
}

fn connection<T>(request: &Request<T>) -> Result<DeskConnection, Status> {
    request
        .extensions()
        .get::<DeskConnection>()
        .cloned()
        .ok_or_else(|| Status::internal("no connection"))
}

fn agency_id(text: &str) -> Result<AgencyId, Status> {
    text.parse()
        .map_err(|_| Status::invalid_argument("agency: not an id"))
}

fn message_id(bytes: &[u8]) -> Result<MessageId, Status> {
    MessageId::try_from(bytes).map_err(|_| Status::invalid_argument("message_id: not 16 bytes"))
}

#[tonic::async_trait]
impl Desk for DeskService {
    async fn challenge(
        &self,
        request: Request<wire::ChallengeRequest>,
    ) -> Result<Response<wire::ChallengeReply>, Status> {
        let connection = connection(&request)?;
        let request = request.into_inner();
        let agency = agency_id(&request.agency)?;
        let officer = Fingerprint::try_from(request.officer.as_slice())
            .map_err(|_| Status::invalid_argument("officer: not 32 bytes"))?;
        let nonce = login::challenge(&connection, agency, officer)
            .map_err(|e| Status::unavailable(e.to_string()))?;
        Ok(Response::new(wire::ChallengeReply {
            node: self.node.id.to_string(),
            nonce: nonce.to_vec(),
        }))
    }

    async fn log_in(
        &self,
        request: Request<wire::LogInRequest>,
    ) -> Result<Response<wire::LogInReply>, Status> {
        let connection = connection(&request)?;
        let session =
            login::log_in(&self.node, &connection, request.get_ref()).map_err(|error| {
                tracing::info!(%error, "log-in refused");
                Status::unauthenticated(error.to_string())
            })?;
        tracing::info!(agency = %session.agency, officer = %session.officer, "logged in");
        let agency = self
            .node
            .agency(&session.agency)
            .ok_or_else(|| Status::not_found("agency"))?;
        Ok(Response::new(wire::LogInReply {
            time: self.node.now().0,
            origin: waypost_proto::directory::origin(&session.agency),
            directories: directory_states(&self.node),
            degraded: self.node.is_degraded(agency),
        }))
    }

    async fn publish_roster(
        &self,
        request: Request<wire::PublishRosterRequest>,
    ) -> Result<Response<wire::PublishRosterReply>, Status> {
        let request = request.into_inner();
        let id = agency_id(&request.agency)?;
        let agency = self
            .node
            .agency(&id)
            .ok_or_else(|| Status::not_found("the agency is not served here"))?;
        let roster = request
            .roster
            .ok_or_else(|| Status::invalid_argument("no roster"))?
            .encode_to_vec();
        lookup::publish_roster(&self.node, agency, &roster, &request.certificates)
            .await
            .map_err(|s| status(&s))?;
        Ok(Response::new(wire::PublishRosterReply {}))
    }

    async fn look_up(
        &self,
        request: Request<wire::LookUpRequest>,
    ) -> Result<Response<wire::LookUpReply>, Status> {
        self.acting(&request)?;
        let id = agency_id(&request.get_ref().agency)?;
        lookup::look_up(&self.node, &id)
            .await
            .map(Response::new)
            .map_err(|s| status(&s))
    }

    async fn object(
        &self,
        request: Request<wire::ObjectRequest>,
    ) -> Result<Response<wire::ObjectReply>, Status> {
        let acting = self.acting(&request)?;
        let request = request.into_inner();
        let digest = Digest::try_from(request.digest.as_slice())
            .map_err(|_| Status::invalid_argument("digest: not 32 bytes"))?;
        let kind = request.r#type();
        let object = match own_object(&self.node, kind, &digest)
            .or_else(|| self.node.parties.object(kind, &digest))
        {
            Some(object) => Some(object),
            None => self
                .node
                .object(&acting.agency.id, kind, &digest)
                .map_err(|s| status(&s))?,
        };
        let object =
            object.ok_or_else(|| Status::not_found("no object with this digest is known here"))?;
        Ok(Response::new(wire::ObjectReply { object }))
    }

    async fn submit(
        &self,
        request: Request<wire::SubmitRequest>,
    ) -> Result<Response<wire::SubmitReply>, Status> {
        let acting = self.acting(&request)?;
        let request = request.into_inner();
        let envelope = request
            .envelope
            .ok_or_else(|| Status::invalid_argument("no envelope"))?;
        let subject = match request.subject_ref.as_slice() {
            [] => None,
            bytes => Some(
                SubjectRef::try_from(bytes)
                    .map_err(|_| Status::invalid_argument("subject_ref: not 16 bytes"))?,
            ),
        };
        let result = match outbound::submit(
            &self.node,
            &acting.agency,
            &acting.officer,
            envelope,
            subject,
        )
        .await
        {
            Ok(evidence) => wire::submit_reply::Result::Receipt(evidence),
            Err(stop) => {
                tracing::info!(agency = %acting.agency.id, reason = %stop.reason(), "submission refused");
                let mut refusal = refusal(&stop);
                // The sender's own officer is told which check failed: it holds no content.
                if let crate::host::Stop::Refused { detail, .. } = &stop {
                    refusal.text = format!("{} ({detail})", refusal.text);
                }
                wire::submit_reply::Result::Refusal(refusal)
            }
        };
        Ok(Response::new(wire::SubmitReply {
            result: Some(result),
        }))
    }

    async fn list(
        &self,
        request: Request<wire::ListRequest>,
    ) -> Result<Response<wire::ListReply>, Status> {
        let acting = self.acting(&request)?;
        fetch::list(&self.node, &acting.agency.id, request.get_ref())
            .map(Response::new)
            .map_err(|s| status(&s))
    }

    async fn fetch(
        &self,
        request: Request<wire::FetchRequest>,
    ) -> Result<Response<wire::FetchReply>, Status> {
        let acting = self.acting(&request)?;
        let id = message_id(&request.get_ref().message_id)?;
        let reply = fetch::fetch(&self.node, &acting.agency.id, &acting.officer, &id).await;
        reply
            .map_err(|s| status(&s))?
            .map(Response::new)
            .ok_or_else(|| Status::not_found("no such message"))
    }

    type WatchStream = Replies<wire::WatchEvent>;

    async fn watch(
        &self,
        request: Request<wire::WatchRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let acting = self.acting(&request)?;
        let (sender, receiver) = tokio::sync::mpsc::channel(limit::WATCH_EVENTS);
        let node = Arc::clone(&self.node);
        let after = request.get_ref().after;
        let stop = self.stop.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                // A watcher that goes away, or a log that cannot be read, ends the stream.
                ended = fetch::watch(&node, &acting.agency.id, after, &sender) => if let Err(status) = ended {
                    let _ = sender.send(Err(status)).await;
                },
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }

    async fn report_opened(
        &self,
        request: Request<wire::ReportOpenedRequest>,
    ) -> Result<Response<wire::ReportOpenedReply>, Status> {
        let acting = self.acting(&request)?;
        let id = message_id(&request.get_ref().message_id)?;
        let found = fetch::report_opened(&self.node, &acting.agency.id, &acting.officer, &id).await;
        if found.map_err(|s| status(&s))? {
            Ok(Response::new(wire::ReportOpenedReply {}))
        } else {
            Err(Status::not_found("no such message"))
        }
    }

    async fn log_checkpoint(
        &self,
        request: Request<wire::LogCheckpointRequest>,
    ) -> Result<Response<wire::LogCheckpointReply>, Status> {
        let acting = self.acting(&request)?;
        let checkpoint = self
            .node
            .log(&acting.agency.id)
            .checkpoint()
            .map_err(|error| {
                tracing::error!(%error, "no checkpoint");
                Status::unavailable("the log cannot be read")
            })?;
        let vkey = acting.agency.log_key.to_string();
        Ok(Response::new(wire::LogCheckpointReply {
            checkpoint: checkpoint.to_vec(),
            vkey,
        }))
    }

    type LogEntriesStream = Replies<wire::LogEntryReply>;

    async fn log_entries(
        &self,
        request: Request<wire::LogEntriesRequest>,
    ) -> Result<Response<Self::LogEntriesStream>, Status> {
        let acting = self.acting(&request)?;
        let (sender, receiver) = tokio::sync::mpsc::channel(limit::WATCH_EVENTS);
        let node = Arc::clone(&self.node);
        let wire::LogEntriesRequest { from, to } = *request.get_ref();
        tokio::spawn(async move {
            if let Err(status) = fetch::entries(&node, &acting.agency.id, from, to, &sender).await {
                let _ = sender.send(Err(status)).await;
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }

    async fn log_proof(
        &self,
        request: Request<wire::LogProofRequest>,
    ) -> Result<Response<wire::LogProofReply>, Status> {
        let acting = self.acting(&request)?;
        let evidence = self
            .node
            .evidence(&acting.agency.id, request.get_ref().index, 0);
        let evidence = evidence.map_err(|_| Status::out_of_range("index: not in this log"))?;
        Ok(Response::new(wire::LogProofReply {
            evidence: Some(evidence),
        }))
    }

    async fn log_consistency(
        &self,
        request: Request<wire::ConsistencyRequest>,
    ) -> Result<Response<wire::ConsistencyReply>, Status> {
        let acting = self.acting(&request)?;
        consistency(&self.node, &acting.agency.id, request.get_ref()).map(Response::new)
    }
}

/// The directories in force, as an officer is told at the log-in.
fn directory_states(node: &Node) -> Vec<wire::DirectoryState> {
    let now = node.now();
    let state = |head: &VerifiedHead| wire::DirectoryState {
        country: head.country().to_string(),
        version: head.version(),
        degraded: !head.is_fresh(now),
    };
    node.directory().iter().map(|d| state(d.head())).collect()
}

/// One item of a list, from a stored message.
pub(crate) fn list_item(
    stored: &crate::record::Message,
    state: &crate::record::State,
) -> Option<wire::ListItem> {
    // What is stored was parsed before: a header that does not is a damaged store.
    Header::decode(&stored.header).ok()?;
    Some(wire::ListItem {
        position: stored.position,
        direction: if stored.outgoing {
            wire::Direction::Out
        } else {
            wire::Direction::In
        }
        .into(),
        header: stored.header.clone(),
        outcome: state.outcome.into(),
        reason: state.reason.clone(),
        time: stored.time.0,
        fetched_at: state.fetched_at.map_or(0, |t| t.0),
        opened_at: state.opened_at.map_or(0, |t| t.0),
        body_bytes: stored.body_bytes,
    })
}

/// The exact bytes of certificates.
pub(crate) fn certificate_bytes<'a>(
    certificates: impl Iterator<Item = &'a Certificate>,
) -> Vec<Vec<u8>> {
    certificates.map(|c| c.as_bytes().to_vec()).collect()
}
