//! The entry of a refusal.

use std::sync::Arc;

use waypost_proto::envelope::Authenticated;
use waypost_proto::evidence::BY_US;
use waypost_proto::id::{AgencyId, Digest};
use waypost_proto::reason::{Fate, Reason};
use waypost_proto::wire::{self, log_entry::Event};

use crate::host::{Agency, Node, Stop};
use crate::record;
use crate::sequencer::Abort;

/// What is logged when an authenticated message is refused.
pub(super) struct Refusal {
    sender: AgencyId,
    event: wire::Refused,
    header: Digest,
}

impl Refusal {
    pub(super) fn of(message: &Authenticated) -> Self {
        let header = message.header();
        Self {
            sender: header.sender.agency.clone(),
            header: message.header_digest(),
            event: wire::Refused {
                message_id: header.message_id.as_bytes().to_vec(),
                sender_agency: header.sender.agency.to_string(),
                recipient_agency: header.recipient.agency.to_string(),
                reason: String::new(),
                header_digest: message.header_digest().as_bytes().to_vec(),
                body_digest: message.body_digest().as_bytes().to_vec(),
                by: BY_US.to_owned(),
                // Its number is left to the gap notice.
                ..Default::default()
            },
        }
    }

    /// Logs a final refusal, within the peer's allowance. What may be accepted later is not logged.
    pub(super) async fn log(self: Box<Self>, node: &Arc<Node>, agency: &Arc<Agency>, stop: &Stop) {
        let reason = stop.reason();
        if reason.fate() == Fate::Later {
            return;
        }
        tracing::warn!(agency = %agency.id, counterpart = %self.sender, %reason, "refused");
        if !node.refusals.allow(&agency.id, &self.sender, node.now()) {
            return;
        }
        let owner = agency.id.clone();
        let logged = node
            .sequencer
            .run(&agency.id, move |tx| {
                tx.append(Event::Refused(wire::Refused {
                    reason: reason.code().to_owned(),
                    ..self.event.clone()
                }))?;
                if reason == Reason::IdReused {
                    let id = record::decode_message_id(&self.event.message_id)
                        .map_err(|e| Abort::Rejected(Stop::from(e)))?;
                    tx.put(
                        record::conflict(&owner, &id, &self.header),
                        self.event.body_digest.clone(),
                    )?;
                }
                Ok(())
            })
            .await;
        if let Err(error) = logged {
            tracing::error!(%error, "a refusal could not be logged");
        }
    }
}
