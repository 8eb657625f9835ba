//! Reading: lists, messages, the log. A message is handed over only after the fetch is in the log.

use std::sync::Arc;

use prost::Message as _;
use tokio::sync::mpsc::Sender;
use tonic::Status;
use waypost_proto::entry::Entry;
use waypost_proto::header::Header;
use waypost_proto::id::{AgencyId, CaseId, Digest, Fingerprint, MessageId};
use waypost_proto::reason::Reason;
use waypost_proto::wire::{self, log_entry::Event};

use crate::desk::list_item;
use crate::host::{Node, Stop};
use crate::limit;
use crate::record;
use crate::sequencer::Abort;

/// The agency's messages in the order of its log.
///
/// # Errors
/// When the store fails.
pub fn list(
    node: &Node,
    agency: &AgencyId,
    request: &wire::ListRequest,
) -> Result<wire::ListReply, Stop> {
    let most = usize::try_from(request.limit)
        .unwrap_or(usize::MAX)
        .clamp(1, limit::LIST_ITEMS);
    let after = request.after;
    let (range, start) = match request.case_id.as_slice() {
        [] => (record::list(agency), record::list_item(agency, after)),
        bytes => {
            let case = CaseId::try_from(bytes)
                .map_err(|_| Stop::refuse(Reason::Malformed, "case_id: not 16 bytes"))?;
            (
                record::case_messages(agency, &case),
                record::case_message(agency, &case, after),
            )
        }
    };
    let mut next = Some(if after == 0 {
        range
    } else {
        range.after(&start)
    });
    let mut items = Vec::new();
    while let Some(range) = next {
        let page = node.store.scan(&range, limit::SCAN_ROWS)?;
        for (_, id) in &page.rows {
            if items.len() == most {
                return Ok(wire::ListReply { items, more: true });
            }
            let id = record::decode_message_id(id)?;
            let Some(stored) = node.message(agency, &id)? else {
                continue;
            };
            let wanted = match request.direction() {
                wire::Direction::Unspecified => true,
                wire::Direction::In => !stored.outgoing,
                wire::Direction::Out => stored.outgoing,
            };
            if wanted {
                let state = node.state(agency, &id)?.ok_or(Stop::Failed)?;
                items.extend(list_item(&stored, &state));
            }
        }
        next = page.next;
    }
    Ok(wire::ListReply { items, more: false })
}

/// One message with everything that its proof rests on; none if it is not known.
///
/// INVARIANT (logged before handed over): the `Fetched` entry is durable first.
///
/// # Errors
/// When the store fails.
pub async fn fetch(
    node: &Arc<Node>,
    agency: &AgencyId,
    officer: &Fingerprint,
    id: &MessageId,
) -> Result<Option<wire::FetchReply>, Stop> {
    if node.message(agency, id)?.is_none() {
        return Ok(None);
    }
    let event = Event::Fetched(wire::Fetched {
        message_id: id.as_bytes().to_vec(),
        officer: officer.as_bytes().to_vec(),
    });
    note(node, agency, id, event, |state, time| {
        state.fetched_at = state.fetched_at.or(Some(time))
    })
    .await?;
    let Some(stored) = node.message(agency, id)? else {
        return Ok(None);
    };
    let header = Header::decode(&stored.header).map_err(|_| Stop::Failed)?;
    let body = node.open_body(agency, id)?;
    let (sender_roster, mut certificates) =
        chain(node, agency, &header.sender.agency, &header.sender_roster)?;
    let (recipient_roster, theirs) = chain(
        node,
        agency,
        &header.recipient.agency,
        &header.recipient_roster,
    )?;
    certificates.extend(theirs);
    Ok(Some(wire::FetchReply {
        envelope: Some(wire::Envelope {
            header: stored.header,
            body,
            signature: node.signature(agency, id)?,
        }),
        evidence: Some(node.evidence(agency, stored.position, 0)?),
        counterpart: counterpart(node, agency, id)?,
        sender_roster,
        recipient_roster,
        certificates,
    }))
}

/// The counterpart's evidence of a message, if there is any yet.
fn counterpart(
    node: &Node,
    agency: &AgencyId,
    id: &MessageId,
) -> Result<Option<wire::Evidence>, Stop> {
    let stored = node.store.get(&record::evidence(agency, id))?;
    let evidence = stored.as_deref().map(wire::Evidence::decode).transpose();
    evidence.map_err(|_| {
        Stop::from(record::Corrupt {
            what: "counterpart's evidence",
        })
    })
}

type Chain = (Option<wire::Signed>, Vec<Vec<u8>>);

fn chain(node: &Node, agency: &AgencyId, whose: &AgencyId, roster: &Digest) -> Result<Chain, Stop> {
    Ok(match node.accepted_chain(agency, whose, roster)? {
        Some((roster, certificates)) => (Some(roster), certificates),
        None => (None, Vec::new()),
    })
}

/// Logs that an officer says a message was opened; false if it is not known.
///
/// # Errors
/// When the store fails.
pub async fn report_opened(
    node: &Arc<Node>,
    agency: &AgencyId,
    officer: &Fingerprint,
    id: &MessageId,
) -> Result<bool, Stop> {
    if node.message(agency, id)?.is_none() {
        return Ok(false);
    }
    let event = Event::Opened(wire::Opened {
        message_id: id.as_bytes().to_vec(),
        officer: officer.as_bytes().to_vec(),
    });
    note(node, agency, id, event, |state, time| {
        state.opened_at = state.opened_at.or(Some(time))
    })
    .await?;
    Ok(true)
}

/// Appends an event about a message and changes its state in the same commit.
async fn note(
    node: &Arc<Node>,
    agency: &AgencyId,
    id: &MessageId,
    event: Event,
    change: impl FnOnce(&mut record::State, waypost_proto::id::Timestamp) + Send + 'static,
) -> Result<(), Stop> {
    let key = record::state(agency, id);
    node.sequencer
        .run(agency, move |tx| {
            let bytes = tx.get(&key)?.ok_or_else(|| Abort::Rejected(Stop::Failed))?;
            let mut state = record::State::decode(&bytes)?;
            tx.append(event)?;
            change(&mut state, tx.now());
            tx.put(key, state.encode())?;
            Ok(())
        })
        .await?;
    Ok(())
}

/// Sends entries `from..to` of the agency's log.
///
/// # Errors
/// A status for the stream's end: the range is not in the log, or the log cannot be read.
pub(crate) async fn entries(
    node: &Node,
    agency: &AgencyId,
    from: u64,
    to: u64,
    sender: &Sender<Result<wire::LogEntryReply, Status>>,
) -> Result<(), Status> {
    let size = node.log_size(agency)?;
    if from > to || to > size {
        return Err(Status::out_of_range(
            "from and to: indexes of this log, the smaller first",
        ));
    }
    let mut next = from;
    while next < to {
        let page = node.log_entries(agency, next..to)?;
        if page.is_empty() {
            return Err(Status::unavailable("the log cannot be read"));
        }
        for entry in page {
            if sender
                .send(Ok(wire::LogEntryReply { index: next, entry }))
                .await
                .is_err()
            {
                return Ok(());
            }
            next += 1;
        }
    }
    Ok(())
}

/// Sends an event for every later entry that concerns a message, until the watcher goes away.
///
/// # Errors
/// A status for the stream's end.
pub(crate) async fn watch(
    node: &Node,
    agency: &AgencyId,
    after: u64,
    sender: &Sender<Result<wire::WatchEvent, Status>>,
) -> Result<(), Status> {
    let mut notices = node.sequencer.subscribe();
    let mut next = after.saturating_add(1);
    loop {
        let size = node.log_size(agency)?;
        while next < size {
            let page = node.log_entries(agency, next..size)?;
            if page.is_empty() {
                return Err(Status::unavailable("the log cannot be read"));
            }
            for bytes in page {
                let event =
                    event(node, agency, next, &bytes).map_err(|s| crate::peer::status(&s))?;
                if let Some(event) = event
                    && sender.send(Ok(event)).await.is_err()
                {
                    return Ok(());
                }
                next += 1;
            }
        }
        tokio::select! {
            () = sender.closed() => return Ok(()),
            // Falling behind is no harm: the log is read again from where we were.
            notice = notices.recv() => if matches!(notice, Err(tokio::sync::broadcast::error::RecvError::Closed)) {
                return Ok(());
            },
        }
    }
}

fn event(
    node: &Node,
    agency: &AgencyId,
    position: u64,
    bytes: &[u8],
) -> Result<Option<wire::WatchEvent>, Stop> {
    let Some(id) = Entry::decode(bytes)
        .ok()
        .and_then(|entry| entry.message_id())
    else {
        return Ok(None);
    };
    let outcome = node
        .state(agency, &id)?
        .map_or(wire::Outcome::Unspecified, |state| state.outcome);
    Ok(Some(wire::WatchEvent {
        position,
        message_id: id.as_bytes().to_vec(),
        outcome: outcome.into(),
    }))
}
