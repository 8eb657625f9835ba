//! The form of a delivery between nodes: what is offered, what is answered.

use anyhow::{Context as _, Result, bail};
use tonic::transport::Channel;
use waypost_node::tls::connector;
use waypost_proto::header::Header;
use waypost_proto::id::Digest;
use waypost_proto::reason::Reason;
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

/// Answers to offers, in their order.
#[must_use]
pub fn reply(answers: Vec<Answer>) -> wire::DeliverReply {
    let answers = answers.into_iter().map(|answer| {
        let result = match answer {
            Answer::Receipt(evidence) => offer_answer::Result::Receipt(evidence),
            Answer::Refusal(reason) => offer_answer::Result::Refusal(wire::Refusal {
                reason,
                ..Default::default()
            }),
        };
        wire::OfferAnswer {
            result: Some(result),
        }
    });
    wire::DeliverReply {
        answers: answers.collect(),
    }
}

/// The answer to a single offer.
///
/// # Errors
/// When there is none.
pub fn answer(mut reply: wire::DeliverReply) -> Result<Answer> {
    let answer = reply.answers.pop().context("an answer")?;
    match answer.result.context("a result")? {
        offer_answer::Result::Receipt(evidence) => Ok(Answer::Receipt(evidence)),
        offer_answer::Result::Refusal(refusal) => Ok(Answer::Refusal(refusal.reason)),
    }
}

/// The size of the sender's log from which the recipient wants it proved, if that is its answer.
#[must_use]
pub fn last_seen(reply: &wire::DeliverReply) -> Option<u64> {
    match reply.answers.last()?.result.as_ref()? {
        offer_answer::Result::Refusal(refusal)
            if refusal.reason == Reason::LastSeenDiffers.code() =>
        {
            Some(refusal.last_seen)
        }
        _ => None,
    }
}

/// The entry of a submission, as the sender's node logs it; of a header that does not parse, an empty
/// one.
#[must_use]
pub fn submitted(envelope: &wire::Envelope, number: u64) -> wire::Submitted {
    let Ok(header) = Header::decode(&envelope.header) else {
        return wire::Submitted::default();
    };
    wire::Submitted {
        message: Some(facts(&header, envelope)),
        lane: header.lane().code().to_owned(),
        number,
        rules: Vec::new(),
    }
}

fn facts(header: &Header, envelope: &wire::Envelope) -> wire::MessageFacts {
    let manifest = header.manifest.to_wire();
    let answered = header.in_reply_to.map(|id| id.as_bytes().to_vec());
    wire::MessageFacts {
        message_id: header.message_id.as_bytes().to_vec(),
        case_id: header.case_id.as_bytes().to_vec(),
        kind: header.kind.to_wire().into(),
        in_reply_to: answered.unwrap_or_default(),
        sender_agency: header.sender.agency.to_string(),
        sender_desk: header.sender.desk.to_string(),
        recipient_agency: header.recipient.agency.to_string(),
        recipient_desk: header.recipient.desk.to_string(),
        officer: header.officer.as_bytes().to_vec(),
        header_digest: Digest::of(&envelope.header).as_bytes().to_vec(),
        body_digest: Digest::of(&envelope.body).as_bytes().to_vec(),
        commitment: header.commitment.as_bytes().to_vec(),
        expires: header.expires.0,
        purpose: manifest.purpose,
        parts: manifest.parts,
        sender_roster: header.sender_roster.as_bytes().to_vec(),
        recipient_roster: header.recipient_roster.as_bytes().to_vec(),
        sender_bundle: manifest.sender_bundle,
        recipient_bundle: manifest.recipient_bundle,
        override_ground: manifest.override_ground,
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
