//! The promise, checked from outside: what was acknowledged is there, once, in order, and proved.
//!
//! Everything is read from the two nodes as any officer reads it, and judged from the two logs and the
//! bytes alone.

use std::collections::{BTreeMap, BTreeSet};

use waypost_proto::directory::AgencyRecord;
use waypost_proto::id::{Digest, MessageId};
use waypost_proto::merkle;
use waypost_proto::wire::{self, log_entry::Event};

use crate::ledger::{self, Ledger};
use crate::officer::Officer;
use crate::scheme::Scheme;
use crate::stream::Promised;
use crate::wait;

/// How the promise was broken.
#[derive(Debug, thiserror::Error)]
pub enum Broken {
    /// A node does not say what its officers may know, or a log is not the one that was signed.
    #[error("a log does not hold")]
    Log(#[source] anyhow::Error),
    /// A submission was acknowledged, and the sender's log does not hold that entry.
    #[error("{id} was acknowledged and is not in the sender's log")]
    Forgotten {
        /// The message.
        id: MessageId,
    },
    /// The sender holds a receipt, and the recipient's log does not hold that entry.
    #[error("{id} was receipted and is not in the recipient's log")]
    Unreceived {
        /// The message.
        id: MessageId,
    },
    /// A message was submitted, received or settled twice.
    #[error("{id} is in the log of `{log}` twice")]
    Doubled {
        /// The message.
        id: MessageId,
        /// Whose log.
        log: String,
    },
    /// A log does not hold the pair's messages in their order, without gaps.
    #[error("{id} has number {number} in the log of `{log}`, where {expected} was next")]
    Disordered {
        /// The message.
        id: MessageId,
        /// Whose log.
        log: String,
        /// Its number.
        number: u64,
        /// The one after the last.
        expected: u64,
    },
    /// A message was submitted and is not delivered.
    #[error("{id} was submitted and is not delivered")]
    Undelivered {
        /// The message.
        id: MessageId,
    },
    /// What one log says of the other is not so.
    #[error("{id}: what `{log}` says of the other log is not so")]
    Contradicted {
        /// The message.
        id: MessageId,
        /// Whose entry says it.
        log: String,
    },
    /// A body is gone, or another.
    #[error("the body of {id} at `{log}`")]
    Body {
        /// The message.
        id: MessageId,
        /// Whose copy.
        log: String,
        /// What is wrong with it.
        #[source]
        source: anyhow::Error,
    },
}

/// What a log says of one message of the pair.
struct Entry {
    id: MessageId,
    index: u64,
    facts: wire::MessageFacts,
    lane: String,
    number: u64,
}

/// A log, as one of the two sides of the pair.
struct Side<'l> {
    record: AgencyRecord,
    ledger: &'l Ledger,
    /// `Submitted` of the sender, `Received` of the recipient, in the order of the log.
    messages: Vec<Entry>,
}

impl<'l> Side<'l> {
    fn new(
        record: AgencyRecord,
        ledger: &'l Ledger,
        event: impl Fn(&Event) -> Option<(wire::MessageFacts, String, u64)>,
    ) -> Result<Self, Broken> {
        let mut messages = Vec::new();
        let mut seen = BTreeSet::new();
        for (entry, index) in ledger.entries.iter().zip(0_u64..) {
            let (Some(id), Some((facts, lane, number))) = (entry.message_id(), event(&entry.event))
            else {
                continue;
            };
            if !seen.insert(id) {
                let log = record.id.to_string();
                return Err(Broken::Doubled { id, log });
            }
            messages.push(Entry {
                id,
                index,
                facts,
                lane,
                number,
            });
        }
        Ok(Self {
            record,
            ledger,
            messages,
        })
    }

    fn log(&self) -> String {
        self.record.id.to_string()
    }

    fn message(&self, id: &MessageId) -> Option<&Entry> {
        self.messages.iter().find(|entry| entry.id == *id)
    }

    /// The numbers of each lane are 1, 2, 3, ... in the order of the log.
    fn check_order(&self) -> Result<(), Broken> {
        let mut last: BTreeMap<&str, u64> = BTreeMap::new();
        for entry in &self.messages {
            let last = last.entry(&entry.lane).or_default();
            *last = last.saturating_add(1);
            if entry.number != *last {
                return Err(Broken::Disordered {
                    id: entry.id,
                    log: self.log(),
                    number: entry.number,
                    expected: *last,
                });
            }
        }
        Ok(())
    }

    /// Whether the log's entry at `index` has this digest, and its first `size` entries this root.
    fn has(&self, index: u64, digest: Option<&[u8]>, size: u64, root: &[u8]) -> bool {
        let found = usize::try_from(index).ok();
        let found = found.and_then(|index| self.ledger.bytes.get(index));
        let there = found.is_some_and(|bytes| {
            digest.is_none_or(|digest| Digest::of(bytes).as_bytes() == digest)
        });
        let rooted = merkle::root(&self.ledger.tree, size);
        there && index < size && rooted.is_ok_and(|found| found.as_bytes() == root)
    }
}

/// Checks what became of `promised`, sent from the first agency of the scheme to the second. Bodies
/// are fetched for the messages of `sample` on both sides, and opened by the recipient.
///
/// # Errors
/// The first way in which the promise was broken.
pub async fn check(
    scheme: &Scheme,
    promised: &[Promised],
    sample: &[MessageId],
) -> Result<(), Broken> {
    let (mut sender, ours, our_record) = read(scheme, 0).await.map_err(Broken::Log)?;
    let (mut recipient, theirs, their_record) = read(scheme, 1).await.map_err(Broken::Log)?;
    let sent = Side::new(our_record, &ours, |event| match event {
        Event::Submitted(e) => Some((e.message.clone()?, e.lane.clone(), e.number)),
        _ => None,
    })?;
    let received = Side::new(their_record, &theirs, |event| match event {
        Event::Received(e) => Some((e.message.clone()?, e.lane.clone(), e.number)),
        _ => None,
    })?;
    check_acknowledged(&sent, promised)?;
    let delivered = check_receipts(&sent, &received)?;
    // Of what is acknowledged, no body may be gone, whether or not it was delivered.
    for id in sample {
        check_body(&mut sender, &sent, id, None).await?;
    }
    sent.check_order()?;
    received.check_order()?;
    check_origins(&sent, &received)?;
    if let Some(entry) = sent.messages.iter().find(|m| !delivered.contains(&m.id)) {
        return Err(Broken::Undelivered { id: entry.id });
    }
    for id in sample {
        check_body(&mut sender, &sent, id, Some(&received)).await?;
        check_body(&mut recipient, &received, id, Some(&sent)).await?;
        open(&mut recipient, &received, id).await?;
    }
    Ok(())
}

/// Waits until the first agency's log says of everything submitted that it is delivered.
///
/// # Errors
/// When that does not come to pass.
pub async fn settled(scheme: &Scheme) -> anyhow::Result<()> {
    let agency = scheme.agency_at(0)?;
    let mut officer = Officer::of(scheme, agency).await?;
    wait::until("everything is delivered", async || {
        let log = Ledger::read(scheme, agency, &mut officer).await?;
        Ok((log.count("submitted") == log.count("delivered")).then_some(()))
    })
    .await
}

async fn read(scheme: &Scheme, index: usize) -> anyhow::Result<(Officer, Ledger, AgencyRecord)> {
    let agency = scheme.agency_at(index)?;
    let mut officer = Officer::of(scheme, agency).await?;
    let ledger = Ledger::read(scheme, agency, &mut officer).await?;
    Ok((officer, ledger, ledger::record(scheme, agency)?))
}

/// Every acknowledgement is an entry of the sender's log, at its place, and proved.
fn check_acknowledged(sent: &Side<'_>, promised: &[Promised]) -> Result<(), Broken> {
    for Promised { id, evidence } in promised {
        let (index, _) = ledger::prove(evidence, &sent.record).map_err(Broken::Log)?;
        let there = sent.message(id).is_some_and(|entry| entry.index == index);
        let digest = Digest::of(&evidence.entry);
        let size = sent.ledger.tree.size();
        let root = sent.ledger.tree.root();
        if !there || !sent.has(index, Some(digest.as_bytes()), size, root.as_bytes()) {
            return Err(Broken::Forgotten { id: *id });
        }
    }
    Ok(())
}

/// Every receipt that the sender logged is the recipient's entry, in the recipient's tree, once.
fn check_receipts(sent: &Side<'_>, received: &Side<'_>) -> Result<BTreeSet<MessageId>, Broken> {
    let mut delivered = BTreeSet::new();
    for entry in &sent.ledger.entries {
        let (Event::Delivered(receipt), Some(id)) = (&entry.event, entry.message_id()) else {
            continue;
        };
        if !delivered.insert(id) {
            let log = sent.log();
            return Err(Broken::Doubled { id, log });
        }
        let index = receipt.recipient_index;
        let there = received.message(&id).is_some_and(|m| m.index == index);
        let (size, root) = (receipt.recipient_size, &receipt.recipient_root);
        if !there || !received.has(index, Some(&receipt.receipt_entry), size, root) {
            return Err(Broken::Unreceived { id });
        }
    }
    Ok(delivered)
}

/// Every message received is the one submitted, from its place in the sender's tree.
fn check_origins(sent: &Side<'_>, received: &Side<'_>) -> Result<(), Broken> {
    for entry in &received.ledger.entries {
        let (Event::Received(origin), Some(id)) = (&entry.event, entry.message_id()) else {
            continue;
        };
        let same = sent.message(&id).is_some_and(|submitted| {
            submitted.index == origin.sender_index
                && origin.message.as_ref() == Some(&submitted.facts)
                && (&submitted.lane, submitted.number) == (&origin.lane, origin.number)
        });
        let (size, root) = (origin.sender_size, &origin.sender_root);
        if !same || !sent.has(origin.sender_index, None, size, root) {
            let log = received.log();
            return Err(Broken::Contradicted { id, log });
        }
    }
    Ok(())
}

/// Fetches a message: header and body are those of the log; with `other`, the counterpart's evidence
/// is proved in the counterpart's log.
async fn check_body(
    officer: &mut Officer,
    side: &Side<'_>,
    id: &MessageId,
    other: Option<&Side<'_>>,
) -> Result<(), Broken> {
    let broken = |source| Broken::Body {
        id: *id,
        log: side.log(),
        source,
    };
    let fetched = officer.fetch(id).await.map_err(broken)?;
    let envelope = fetched.envelope.unwrap_or_default();
    let expected = side.message(id).map(|entry| &entry.facts);
    let same = expected.is_some_and(|facts| {
        Digest::of(&envelope.header).as_bytes() == facts.header_digest.as_slice()
            && Digest::of(&envelope.body).as_bytes() == facts.body_digest.as_slice()
    });
    if !same {
        return Err(broken(anyhow::anyhow!("not the bytes of the log")));
    }
    let Some(other) = other else { return Ok(()) };
    let evidence = fetched.counterpart.unwrap_or_default();
    let (index, _) = ledger::prove(&evidence, &other.record).map_err(broken)?;
    let there = other.message(id).is_some_and(|entry| entry.index == index);
    let held = usize::try_from(index).ok();
    let held = held.and_then(|index| other.ledger.bytes.get(index));
    if !there || held != Some(&evidence.entry) {
        let log = side.log();
        return Err(Broken::Contradicted { id: *id, log });
    }
    Ok(())
}

async fn open(officer: &mut Officer, side: &Side<'_>, id: &MessageId) -> Result<(), Broken> {
    let opened = async {
        let fetched = officer.fetch(id).await?;
        officer.open(&fetched).await
    };
    let opened = opened.await.map_err(|source| Broken::Body {
        id: *id,
        log: side.log(),
        source,
    })?;
    debug_assert_eq!(opened.0.message_id, *id);
    Ok(())
}
