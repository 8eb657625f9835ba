//! A message fetched from the node and verified here: both chains as of its log entry, the officer's
//! signature at the entry's time, the entry in the own log, the counterpart's entry in theirs.

use prost::Message as _;
use waypost_proto::directory::AgencyRecord;
use waypost_proto::envelope::{Authenticated, Received};
use waypost_proto::evidence::{EvidenceError, Proved, Receipt};
use waypost_proto::id::{AgencyId, Timestamp};
use waypost_proto::openpgp::Certificate;
use waypost_proto::party::Party;
use waypost_proto::wire::{self, log_entry::Event};

use super::call;
use super::chain;
use super::mail::{Direction, Item};
use super::own_log;
use super::session::Session;
use crate::output::Failure;

/// What the counterpart's log says of the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Theirs {
    /// The sender's log holds that it was submitted, at this index.
    Submitted(u64),
    /// The recipient's log holds that it was received, at this index.
    Received(u64),
    /// The recipient's log holds that it came too late, at this index.
    Expired(u64),
    /// No receipt yet.
    NotYet,
}

/// A message whose sender, recipients and log entries have been verified. Not yet opened.
#[derive(Debug)]
pub(crate) struct Fetched {
    /// The message.
    pub(crate) message: Authenticated,
    /// The sender's chain, as of the entry.
    pub(crate) sender: Party,
    /// The recipient's chain, as of the entry.
    pub(crate) recipient: Party,
    /// The entry in the own log.
    pub(crate) own: Proved,
    /// The counterpart's log.
    pub(crate) theirs: Theirs,
}

fn untrue(item: &Item, error: &dyn std::error::Error) -> Failure {
    Failure::error(format!(
        "the message {} does not hold: it is not opened",
        item.id()
    ))
    .caused_by(error)
    .next("tell your administrator and who runs the node; telephone the sender to send it again")
}

fn lacking(item: &Item, what: &str) -> Failure {
    Failure::error(format!(
        "the node gives no {what} for the message {}",
        item.id()
    ))
    .because("without it the message cannot be verified, so it is not opened")
    .next("type the command again; then tell who runs the node")
}

/// Fetches a message. The node logs the fetch before it answers.
pub(crate) async fn fetch(session: &mut Session<'_>, item: &Item) -> Result<Fetched, Failure> {
    let request = wire::FetchRequest {
        message_id: item.id().as_bytes().to_vec(),
    };
    let mut reply = call::answer(session.client.fetch(request)).await?;
    let envelope = reply
        .envelope
        .take()
        .ok_or_else(|| lacking(item, "message"))?;
    let received = Received::decode(envelope).map_err(|e| untrue(item, &e))?;
    if received.header_digest() != item.header_digest {
        return Err(lacking(item, "message with the header that it lists"));
    }
    let evidence = reply
        .evidence
        .take()
        .ok_or_else(|| lacking(item, "log entry"))?;
    let own = own_log::own_entry(session, &evidence).await?;
    let at = own.entry().time;
    let certificates = chain::certificates(&item.counterpart().agency, &reply.certificates)?;
    let header = received.header();
    let (from, to) = (
        header.sender.agency.clone(),
        header.recipient.agency.clone(),
    );
    let sender = reply.sender_roster.as_ref();
    let sender = party(session, item, &from, sender, &certificates, at).await?;
    let recipient = reply.recipient_roster.as_ref();
    let recipient = party(session, item, &to, recipient, &certificates, at).await?;
    let suite = session.directory.suite(&from, &to);
    let suite = suite.ok_or_else(|| lacking(item, "suite that both directories name"))?;
    let message = received
        .authenticate(&sender, &recipient, suite, at)
        .map_err(|e| untrue(item, &e))?;
    let facts = message.facts();
    let other = match item.direction {
        Direction::In => &sender,
        Direction::Out => &recipient,
    };
    let theirs = check_logs(&own, &reply, &facts, item, other.record(), session.now)?;
    Ok(Fetched {
        message,
        sender,
        recipient,
        own,
        theirs,
    })
}

/// One side's chain as of the entry: the record and certificate of the directory, the roster that the
/// header cites.
async fn party(
    session: &mut Session<'_>,
    item: &Item,
    agency: &AgencyId,
    roster: Option<&wire::Signed>,
    certificates: &[Certificate],
    at: Timestamp,
) -> Result<Party, Failure> {
    let roster = roster.ok_or_else(|| lacking(item, "roster of one side"))?;
    let installed = session
        .directory
        .agency(agency)
        .cloned()
        .zip(session.directory.certificate(agency).cloned());
    let (record, certificate) = match installed {
        Some(found) => found,
        // An agency that joined after this home's directory was signed.
        None => {
            let found = chain::look_up(session, agency).await?;
            (found.party.record().clone(), found.certificate)
        }
    };
    let bytes = roster.encode_to_vec();
    let mut party = Party::assemble(
        record,
        &certificate,
        &bytes,
        certificates.iter().cloned(),
        at,
    )
    .map_err(|e| untrue(item, &e))?;
    // The one who signed, on the sender's side; on the other it is nobody's certificate.
    let officer = item.header.officer;
    chain::supply(&mut session.client, &mut party, Some(&officer)).await?;
    Ok(party)
}

/// The own entry is of exactly this message, and the counterpart's is its other half.
fn check_logs(
    own: &Proved,
    reply: &wire::FetchReply,
    facts: &wire::MessageFacts,
    item: &Item,
    other: &AgencyRecord,
    now: Timestamp,
) -> Result<Theirs, Failure> {
    let counterpart = reply.counterpart.as_ref();
    let proved = counterpart
        .map(|evidence| own_log::proved(evidence, other, now))
        .transpose()?;
    match item.direction {
        Direction::In => {
            let received = received(own, facts).map_err(|e| untrue(item, &e))?;
            let proved = proved.ok_or_else(|| lacking(item, "entry of the sender's log"))?;
            let submitted = proved
                .submitted(facts, item.header.lane())
                .map_err(|e| untrue(item, &e))?;
            let same = submitted.lane == received.lane && submitted.number == received.number;
            if same && proved.index() == received.sender_index {
                Ok(Theirs::Submitted(proved.index()))
            } else {
                Err(untrue(item, &EvidenceError::OtherMessage))
            }
        }
        Direction::Out => {
            let submitted = own
                .submitted(facts, item.header.lane())
                .map_err(|e| untrue(item, &e))?;
            let Some(proved) = proved else {
                return Ok(Theirs::NotYet);
            };
            match proved.receipt(submitted).map_err(|e| untrue(item, &e))? {
                Receipt::Accepted => Ok(Theirs::Received(proved.index())),
                Receipt::Tombstone => Ok(Theirs::Expired(proved.index())),
            }
        }
    }
}

/// The `Received` event, if the entry is that of exactly this message.
fn received<'p>(
    own: &'p Proved,
    facts: &wire::MessageFacts,
) -> Result<&'p wire::Received, EvidenceError> {
    match &own.entry().event {
        Event::Received(event) if event.message.as_ref() == Some(facts) => Ok(event),
        _ => Err(EvidenceError::OtherMessage),
    }
}
