//! The agency's own log at its node, verified: checkpoints under the directory's key, entries by the
//! root, single entries by their proofs. Everything is held against what this client saw before.

use waypost_proto::checkpoint::{SignedCheckpoint, check_progress};
use waypost_proto::directory::AgencyRecord;
use waypost_proto::entry::Entry;
use waypost_proto::evidence::Proved;
use waypost_proto::id::{Digest, Timestamp};
use waypost_proto::note::Verifier;
use waypost_proto::{limit, wire};

use super::call;
use super::mirror::{Mirror, MirrorError};
use super::session::Session;
use crate::output::Failure;

/// Entries that one command reads.
const ENTRIES: u64 = 10_000_000;

/// Something about the log is not as it must be.
pub(crate) fn false_log(error: &dyn std::error::Error) -> Failure {
    Failure::error("the agency's log does not hold")
        .caused_by(error)
        .because("the node, or who runs it, has changed it or signs two versions of it")
        .next("keep what you have: `waypost log export DIR`; tell your administrator and the scheme operator")
}

impl From<MirrorError> for Failure {
    fn from(error: MirrorError) -> Self {
        match error {
            MirrorError::Kept => {
                Self::error(error.to_string()).next("restore `state.json` from a backup")
            }
            error => false_log(&error),
        }
    }
}

/// The key of the agency's log at `at`, as the directory names it.
pub(crate) fn verifier(record: &AgencyRecord, at: Timestamp) -> Result<&Verifier, Failure> {
    record.log_key(at).map(|key| &key.verifier).ok_or_else(|| {
        Failure::error(format!("the directory holds no log key of `{}`", record.id))
            .because("the scheme operator has not added the key that its node made")
            .next("give it to the operator, who runs `waypost directory add --registration FILE --log-key FILE`; then `waypost directory install FILE`")
    })
}

/// The node's checkpoint, verified.
pub(crate) async fn checkpoint(session: &mut Session<'_>) -> Result<SignedCheckpoint, Failure> {
    let reply = call::answer(session.client.log_checkpoint(wire::LogCheckpointRequest {})).await?;
    let verifier = verifier(session.record()?, session.now)?;
    SignedCheckpoint::verify(&reply.checkpoint, verifier).map_err(|e| false_log(&e))
}

/// What this home has seen of the log.
pub(crate) fn mirror(session: &Session<'_>) -> Result<Mirror, Failure> {
    match session.context.home.state()?.log {
        Some(kept) => Ok(Mirror::parse(&kept)?),
        None => Ok(Mirror::empty()),
    }
}

/// Proof that the log of `from` entries is the beginning of that of `to`, as the node gives it.
pub(crate) async fn consistency(
    session: &mut Session<'_>,
    from: u64,
    to: u64,
) -> Result<Vec<Digest>, Failure> {
    let request = wire::ConsistencyRequest {
        agency: session.agency.to_string(),
        from,
        to,
    };
    let reply = call::answer(session.client.log_consistency(request)).await?;
    let hashes = reply.path.iter().take(limit::PROOF_HASHES);
    hashes
        .map(|hash| Digest::try_from(hash.as_slice()).map_err(|e| false_log(&e)))
        .collect()
}

/// Holds a verified checkpoint against what this home has seen.
pub(crate) async fn check_consistent(
    session: &mut Session<'_>,
    checkpoint: &SignedCheckpoint,
) -> Result<(), Failure> {
    let mirror = mirror(session)?;
    let (seen, size) = (mirror.size(), checkpoint.size());
    if seen == 0 || size == 0 {
        return Ok(());
    }
    let path = if seen == size {
        Vec::new()
    } else {
        consistency(session, seen.min(size), seen.max(size)).await?
    };
    check_progress(Some((seen, mirror.root())), checkpoint.checkpoint(), &path)
        .map_err(|e| false_log(&e))?;
    Ok(())
}

/// Verifies evidence of one entry under the log keys of `agency`. Consistency with an earlier size is
/// for those who saw one, and is checked apart ([`check_consistent`]).
pub(crate) fn proved(
    evidence: &wire::Evidence,
    agency: &AgencyRecord,
    now: Timestamp,
) -> Result<Proved, Failure> {
    let alone = wire::Evidence {
        entry: evidence.entry.clone(),
        proof: evidence.proof.clone(),
        consistency_from: 0,
        consistency: Vec::new(),
    };
    Proved::verify(&alone, agency, None, now).map_err(|e| {
        Failure::error(format!("the entry in the log of `{}` is not proved", agency.id))
            .caused_by(&e)
            .next("type the command again; if it stays so, tell your administrator and the scheme operator")
    })
}

/// Evidence from the own log: the entry is proved, and the log still continues what was seen.
pub(crate) async fn own_entry(
    session: &mut Session<'_>,
    evidence: &wire::Evidence,
) -> Result<Proved, Failure> {
    let proved = proved(evidence, session.record()?, session.now)?;
    check_consistent(session, proved.signed_checkpoint()).await?;
    Ok(proved)
}

/// The log's entries from `mirror`'s size up to the checkpoint, in order, each given to `each`. The
/// mirror is afterwards at the checkpoint, and has been compared with it.
pub(crate) async fn replay(
    session: &mut Session<'_>,
    mirror: &mut Mirror,
    checkpoint: &SignedCheckpoint,
    mut each: impl FnMut(u64, &[u8], Entry) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let (from, to) = (mirror.size(), checkpoint.size());
    if to < from {
        return Err(MirrorError::Shorter {
            found: to,
            seen: from,
        }
        .into());
    }
    if to - from > ENTRIES {
        return Err(Failure::error(format!(
            "the log has {} entries that are not yet checked, more than {ENTRIES}",
            to - from
        )));
    }
    if from < to {
        let request = wire::LogEntriesRequest { from, to };
        let mut stream = call::answer(session.client.log_entries(request)).await?;
        while mirror.size() < to {
            let Some(reply) = call::next(&mut stream).await? else {
                break;
            };
            let entry = mirror.append(reply.index, &reply.entry)?;
            each(reply.index, &reply.entry, entry)?;
        }
    }
    Ok(mirror.check(checkpoint.checkpoint())?)
}
