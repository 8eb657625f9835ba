//! Two signed checkpoints of one log that cannot both be true are kept as proof (DESIGN 4): in the log
//! of the agency that saw them, where nobody can take them out again.

use std::sync::Arc;

use waypost_proto::checkpoint::{ProgressError, SignedCheckpoint};
use waypost_proto::directory::AgencyRecord;
use waypost_proto::evidence::EvidenceError;
use waypost_proto::id::{AgencyId, Digest};
use waypost_proto::tlog_proof::TlogProof;
use waypost_proto::wire::{self, log_entry::Event};

use crate::host::{Node, Stop};
use crate::record::{self, Seen};
use crate::sequencer::Abort;

/// Logs both checkpoints, once, if `error` says that they contradict each other.
pub(crate) async fn keep(
    node: &Arc<Node>,
    agency: &AgencyId,
    counterpart: &AgencyRecord,
    before: Option<&Seen>,
    evidence: &wire::Evidence,
    error: &EvidenceError,
) {
    let EvidenceError::Progress(ProgressError::Contradiction { size }) = error else {
        return;
    };
    let Some(event) = before.and_then(|before| event(counterpart, before, evidence)) else {
        return;
    };
    tracing::error!(%agency, counterpart = %counterpart.id, size, "two signed checkpoints contradict each other: both are kept");
    let key = record::contradiction(agency, &counterpart.id, *size);
    let kept = node
        .sequencer
        .run(agency, move |tx| -> Result<(), Abort<Stop>> {
            if tx.get(&key)?.is_none() {
                let digest = Digest::of(&event.second_checkpoint);
                tx.append(Event::Contradiction(event))?;
                tx.put(key, digest.as_bytes().to_vec())?;
            }
            Ok(())
        })
        .await;
    if let Err(error) = kept {
        tracing::error!(%error, "a contradiction could not be logged");
    }
}

fn event(
    counterpart: &AgencyRecord,
    before: &Seen,
    evidence: &wire::Evidence,
) -> Option<wire::Contradiction> {
    let second = TlogProof::parse(&evidence.proof).ok()?.checkpoint;
    // Without signature lines of others, so that both fit in an entry.
    let bare = |note: &[u8]| {
        counterpart.log_keys.iter().find_map(|key| {
            let signed = SignedCheckpoint::verify(note, &key.verifier).ok()?;
            Some(signed.bare(&key.verifier).ok()?.as_bytes().to_vec())
        })
    };
    Some(wire::Contradiction {
        origin: counterpart.origin(),
        first_checkpoint: bare(&before.checkpoint)?,
        second_checkpoint: bare(&second)?,
    })
}
