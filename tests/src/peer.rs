//! A peer that does what a test wants: calls to a node with any TLS key.

use anyhow::{Context as _, Result, bail};
use tonic::transport::Channel;
use waypost_node::rpc::{self, peer_client::PeerClient};
use waypost_node::tls::connector;
use waypost_proto::tls::Identity;
use waypost_proto::wire::{self, offer_answer};

use crate::node::Node;
use crate::officer::Officer;

/// What a node answered to an offer.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// Its entry, with proof.
    Receipt(wire::Evidence),
    /// A reason.
    Refusal(String),
}

impl Answer {
    /// The receipt.
    ///
    /// # Errors
    /// When it is a refusal.
    pub fn receipt(self) -> Result<wire::Evidence> {
        match self {
            Self::Receipt(evidence) => Ok(evidence),
            Self::Refusal(reason) => bail!("refused: {reason}"),
        }
    }
}

/// A channel to a listener of a node, pinned to its key: past every link, as `identity`.
///
/// # Errors
/// When no channel can be made.
pub fn channel(
    listener: std::net::SocketAddr,
    node: &Node,
    identity: &Identity,
) -> Result<Channel> {
    Ok(connector::peer_channel(
        &listener.to_string(),
        identity,
        &[node.pin()?],
    )?)
}

/// A client of a node's peer service, past every link, as `identity`.
///
/// # Errors
/// When the node does not run.
pub fn client(node: &Node, identity: &Identity) -> Result<PeerClient<Channel>> {
    Ok(rpc::peer(channel(node.listening()?.peers, node, identity)?))
}

/// A request with one offer, by a sender who has seen nothing of the recipient's log.
#[must_use]
pub fn single(envelope: wire::Envelope, evidence: wire::Evidence) -> wire::DeliverRequest {
    let offer = wire::Offer {
        envelope: Some(envelope),
        evidence: Some(evidence),
    };
    wire::DeliverRequest {
        offers: vec![offer],
        recipient_log_seen: 0,
    }
}

/// Offers a message.
///
/// # Errors
/// When the node gives no answer.
pub async fn offer(
    client: &mut PeerClient<Channel>,
    request: wire::DeliverRequest,
) -> Result<Answer> {
    let mut reply = client.deliver(request).await?.into_inner();
    let answer = reply.answers.pop().context("an answer")?;
    match answer.result.context("a result")? {
        offer_answer::Result::Receipt(evidence) => Ok(Answer::Receipt(evidence)),
        offer_answer::Result::Refusal(refusal) => Ok(Answer::Refusal(refusal.reason)),
    }
}

/// What the sender's node would offer for a message that it holds, with evidence that starts from
/// the size `seen` of its log.
///
/// # Errors
/// What the sender's node says.
pub async fn request(
    sender: &mut Officer,
    fetched: &wire::FetchReply,
    seen: u64,
) -> Result<wire::DeliverRequest> {
    let evidence = fetched.evidence.clone().context("evidence")?;
    let proof = waypost_proto::tlog_proof::TlogProof::parse(&evidence.proof)?;
    let fresh = sender
        .desk
        .log_proof(wire::LogProofRequest { index: proof.index })
        .await?;
    let mut evidence = fresh.into_inner().evidence.context("evidence")?;
    let checkpoint = String::from_utf8(
        waypost_proto::tlog_proof::TlogProof::parse(&evidence.proof)?.checkpoint,
    )?;
    let size = checkpoint.lines().nth(1).context("a size")?.parse()?;
    // A desk asks about its own log.
    let request = wire::ConsistencyRequest {
        agency: sender.agency().to_string(),
        from: seen,
        to: size,
    };
    let path = sender
        .desk
        .log_consistency(request)
        .await?
        .into_inner()
        .path;
    evidence.consistency_from = seen;
    evidence.consistency = path;
    let envelope = fetched.envelope.clone().context("an envelope")?;
    Ok(single(envelope, evidence))
}
