//! Attacks on a node, with the real keys of registered nodes.

use tonic::transport::Channel;
use waypost_proto::id::NodeId;
use waypost_proto::tls::Identity;
use waypost_proto::wire::{self, offer_answer};

use super::cast::Player;
use super::stage::Stage;
use crate::connection;
use crate::context::Context;
use crate::home::Home;
use crate::online::session::Session;
use crate::output::Failure;
use crate::rpc::peer_client::PeerClient;

/// A message's exact bytes, as the sender's own node gives them to its officer.
pub(super) async fn captured(
    stage: &Stage,
    sender: &Player,
    message: &str,
    context: &Context,
) -> Result<wire::Envelope, Failure> {
    let officer = officer(stage, sender, context)?;
    let mut session = Session::open(&officer).await?;
    let message_id =
        hex::decode(message).map_err(|e| Failure::error("a message id").caused_by(&e))?;
    let reply = session
        .client
        .fetch(wire::FetchRequest { message_id })
        .await
        .map_err(|e| Failure::error("the node gives no message").caused_by(&e))?;
    reply
        .into_inner()
        .envelope
        .ok_or_else(|| Failure::error("the node gives no message"))
}

fn officer(stage: &Stage, player: &Player, context: &Context) -> Result<Context, Failure> {
    let home = Home::locate(Some(&player.desk()))?;
    Ok(context
        .with_home(home)
        .with_passphrase_file(stage.passphrase_file()))
}

/// Offers `envelope` to the node of `target` with the TLS key of `attacker`, and gives the answer: the
/// receipt's index, or the reason of the refusal.
pub(super) async fn offer(
    stage: &Stage,
    attacker: &Player,
    target: &Player,
    envelope: wire::Envelope,
    context: &Context,
) -> Result<Result<u64, String>, Failure> {
    let mut peer = connect(stage, attacker, target, context).await?;
    let offer = wire::Offer {
        envelope: Some(envelope),
        evidence: Some(wire::Evidence::default()),
    };
    let request = wire::DeliverRequest {
        offers: vec![offer],
        recipient_log_seen: 0,
    };
    let reply = peer
        .deliver(request)
        .await
        .map_err(|e| Failure::error("the node does not answer").caused_by(&e))?;
    match reply.into_inner().answers.pop().and_then(|a| a.result) {
        Some(offer_answer::Result::Receipt(evidence)) => {
            let proof = waypost_proto::tlog_proof::TlogProof::parse(&evidence.proof)
                .map_err(|e| Failure::error("a receipt does not parse").caused_by(&e))?;
            Ok(Ok(proof.index))
        }
        Some(offer_answer::Result::Refusal(refusal)) => Ok(Err(refusal.reason)),
        None => Err(Failure::error("the node gives an empty answer")),
    }
}

/// Connects to the node of `target` as the node of `attacker`.
async fn connect(
    stage: &Stage,
    attacker: &Player,
    target: &Player,
    context: &Context,
) -> Result<PeerClient<Channel>, Failure> {
    let failed =
        |e: &dyn std::error::Error| Failure::error("a node's TLS key cannot be used").caused_by(e);
    let read = |name: &str| std::fs::read(attacker.data().join(name)).map_err(|e| failed(&e));
    let identity = Identity::new(&read("tls.crt")?, &read("tls.key")?).map_err(|e| failed(&e))?;
    let directory = officer(stage, target, context)?.directory()?;
    let node: NodeId = target
        .node_id()
        .parse()
        .map_err(|e| Failure::error("a demo id").caused_by(&e))?;
    let node = directory
        .node(&node)
        .ok_or_else(|| Failure::error("the directory does not hold the demo's node"))?;
    connection::connect_as_node(&node.peer_endpoint, &[node.tls_key], &identity)
        .await
        .map_err(|e| Failure::error("the node does not let its peer in").caused_by(&e))
}
