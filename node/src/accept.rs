//! What submitting and receiving share: authenticate, permit, and stage a message with its entry.

use std::sync::Arc;

use waypost_policies::{Bundle, Judge, Permitted, RecipientDesk, Rules, SenderFacts, permit};
use waypost_proto::case::{self, Case, Direction};
use waypost_proto::catalogue::Catalogue;
use waypost_proto::directories::Directories;
use waypost_proto::entry;
use waypost_proto::envelope::{Authenticated, Received};
use waypost_proto::header::Header;
use waypost_proto::id::{AgencyId, Digest, Fingerprint};
use waypost_proto::openpgp::{Certificate, Suite};
use waypost_proto::party::Party;
use waypost_proto::reason::Reason;
use waypost_proto::taxonomy::Taxonomy;
use waypost_proto::wire::{self, log_entry::Event};

use crate::host::{Agency, Stop};
use crate::limit;
use crate::record;
use crate::sequencer::{Abort, Tx};

/// Both sides of a message, checked.
#[derive(Debug, Clone)]
pub(crate) struct Sides {
    pub(crate) sender: Arc<Party>,
    pub(crate) sender_bundle: Arc<Bundle>,
    pub(crate) sender_rules: Arc<Rules>,
    pub(crate) recipient: Arc<Party>,
    pub(crate) recipient_bundle: Arc<Bundle>,
    pub(crate) recipient_rules: Arc<Rules>,
}

impl Sides {
    /// Accepts both chains into the log of `agency`.
    pub(crate) fn accept(
        &self,
        tx: &mut Tx<'_>,
        agency: &AgencyId,
        signer: &Fingerprint,
    ) -> Result<(), Abort<Stop>> {
        let sender = (self.sender_bundle.as_ref(), self.sender_rules.as_ref());
        let recipient = (
            self.recipient_bundle.as_ref(),
            self.recipient_rules.as_ref(),
        );
        accept_chain(tx, agency, &self.sender, sender, Officers::Signer(signer))?;
        accept_chain(tx, agency, &self.recipient, recipient, Officers::None)
    }
}

/// Asks the policy of both sides about everything that the manifest declares.
pub(crate) fn permitted(
    message: Authenticated,
    sides: &Sides,
) -> Result<Permitted<Authenticated>, Stop> {
    let header = message.header();
    let versions = &header.manifest.versions;
    let known = Catalogue::current().is_ok_and(|c| c.digest() == versions.catalogue)
        && Taxonomy::current().is_ok_and(|t| t.digest() == versions.taxonomy);
    if !known {
        return Err(Stop::refuse(Reason::Lists, "unknown catalogue or taxonomy"));
    }
    let judge = judge(header, sides)?;
    let ceiling = header.kind.ceiling();
    if let Some(part) = header.manifest.parts.iter().find(|p| !ceiling.contains(p)) {
        return Err(Stop::refuse(
            Reason::NotPermitted,
            format!("`{}` cannot carry `{part}`", header.kind.code()),
        ));
    }
    permit(&judge, message, |m| &m.header().manifest)
        .map_err(|denied| Stop::refuse(denied.reason(), denied))
}

fn judge(header: &Header, sides: &Sides) -> Result<Judge, Stop> {
    let desk = |e: waypost_proto::party::PartyError| Stop::refuse(Reason::Key, e);
    let principal = RecipientDesk::of(
        &sides.recipient,
        &header.recipient.desk,
        &header.sender.agency,
    )
    .map_err(desk)?;
    let sender = SenderFacts::of(&sides.sender, &header.sender.desk).map_err(desk)?;
    Ok(Judge {
        sender_rules: Arc::clone(&sides.sender_rules),
        recipient_rules: Arc::clone(&sides.recipient_rules),
        recipient: principal,
        sender,
    })
}

/// The suite of messages between two agencies: the one that both their directories name.
pub(crate) fn suite(
    directories: &Directories,
    sender: &AgencyId,
    recipient: &AgencyId,
) -> Result<Suite, Stop> {
    directories
        .suite(sender, recipient)
        .ok_or_else(|| Stop::refuse(Reason::Suite, "the two directories name different suites"))
}

/// Checks form, chain and signature.
pub(crate) fn authenticate(
    received: Received,
    sender: &Party,
    recipient: &Party,
    suite: Suite,
    now: waypost_proto::id::Timestamp,
) -> Result<Authenticated, Stop> {
    received
        .authenticate(sender, recipient, suite, now)
        .map_err(|e| Stop::refuse(e.reason(), e))
}

/// Refuses, in the commit, what was judged under another directory or roster than those in force, or
/// what has expired since: everything is judged at the time that the entry will carry.
pub(crate) fn check_still_holds(
    tx: &mut Tx<'_>,
    agency: &Agency,
    directories: &Directories,
    own_roster: Digest,
    header: &Header,
    sides: &Sides,
) -> Result<(), Abort<Stop>> {
    let busy = |detail: &str| Err(Abort::Rejected(Stop::refuse(Reason::Busy, detail)));
    for side in [&header.sender, &header.recipient] {
        let country = side.agency.country();
        let accepted = tx.get(&record::directory(&agency.id, country.as_str()))?;
        let accepted = accepted
            .as_deref()
            .map(record::Accepted::decode)
            .transpose();
        let accepted = accepted.map_err(|e| Abort::Rejected(Stop::from(e)))?;
        let judged = directories.of(&country).map(|d| d.head().digest());
        if judged.is_none() || accepted.map(|a| a.digest) != judged {
            return busy("a directory changed meanwhile");
        }
    }
    if agency.own().roster().digest() != own_roster {
        return busy("the roster changed meanwhile");
    }
    let at = tx.now();
    let fresh = sides.sender.roster().is_fresh(at) && sides.recipient.roster().is_fresh(at);
    if fresh && at < header.expires {
        Ok(())
    } else {
        busy("the message or a roster expired meanwhile")
    }
}

/// Moves the case by one message, or opens it.
pub(crate) fn step_case(
    tx: &mut Tx<'_>,
    agency: &AgencyId,
    header: &Header,
    direction: Direction,
    counterpart: &AgencyId,
) -> Result<Case, Abort<Stop>> {
    let refuse = |e: case::Illegal| Abort::Rejected(Stop::refuse(Reason::Case, e));
    let stored = tx.get(&record::case(agency, &header.case_id))?;
    match stored {
        None => {
            let case = Case::open(
                header.kind,
                header.message_id,
                direction,
                counterpart.clone(),
            );
            case.map_err(refuse)
        }
        Some(bytes) => {
            let case = record::decode_case(&bytes).map_err(|e| Abort::Rejected(Stop::from(e)))?;
            let event = case::Event::Message {
                direction,
                kind: header.kind,
                in_reply_to: header.in_reply_to,
                counterpart: counterpart.clone(),
            };
            case.step(&event).map_err(refuse)
        }
    }
}

/// A number kept in the store; 0 when absent.
pub(crate) fn number(tx: &mut Tx<'_>, key: &crate::store::Key) -> Result<u64, Abort<Stop>> {
    let stored = tx.get(key)?;
    record::decode_number(stored.as_deref()).map_err(|e| Abort::Rejected(Stop::from(e)))
}

/// Which certificates of officers are kept with an accepted roster. Those of its desks always are.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Officers<'a> {
    /// Every one: for the agency's own roster.
    All,
    /// The one who signed.
    Signer(&'a Fingerprint),
    /// None: the desk that is written to.
    None,
}

/// Accepts a counterpart's or the agency's own roster and bundle into the log, if they are new, and
/// keeps what a client needs to check the message by.
///
/// INVARIANT (log is the commit): what a message rests on is stored with the entries that accept it.
pub(crate) fn accept_chain(
    tx: &mut Tx<'_>,
    agency: &AgencyId,
    party: &Party,
    (bundle, rules): (&Bundle, &Rules),
    officers: Officers<'_>,
) -> Result<(), Abort<Stop>> {
    let whose = &party.record().id;
    let roster = party.roster();
    let accepted = record::Accepted {
        version: roster.roster().version,
        digest: roster.digest(),
    };
    let key = record::roster(agency, whose);
    let before = tx.get(&key)?;
    let before = before.as_deref().map(record::Accepted::decode).transpose();
    let before = before.map_err(|e| Abort::Rejected(Stop::from(e)))?;
    if let Some(before) = before {
        party
            .check_not_older(before.version, before.digest)
            .map_err(|e| Abort::Rejected(Stop::refuse(Reason::Roster, e)))?;
    }
    if before != Some(accepted) {
        tx.append(entry::roster_accepted(
            whose,
            accepted.version,
            accepted.digest,
        ))?;
        tx.put(key, accepted.encode())?;
        let kind = wire::ObjectType::Roster;
        put_object(tx, agency, kind, roster.digest(), roster.as_bytes())?;
    }
    for certificate in certificates(party, officers) {
        let (kind, bytes) = (wire::ObjectType::Certificate, certificate.as_bytes());
        put_object(tx, agency, kind, certificate.digest(), bytes)?;
    }
    let key = record::bundle(agency, whose);
    let digest = rules.digest();
    let accepted = record::Accepted { version: 0, digest }.encode();
    if tx.get(&key)?.as_ref() != Some(&accepted) {
        tx.append(Event::BundleAccepted(wire::BundleAccepted {
            agency: whose.to_string(),
            digest: digest.as_bytes().to_vec(),
        }))?;
        tx.put(key, accepted)?;
        let kind = wire::ObjectType::Bundle;
        put_object(tx, agency, kind, digest, &bundle.to_wire())?;
    }
    Ok(())
}

fn certificates<'p>(
    party: &'p Party,
    officers: Officers<'p>,
) -> impl Iterator<Item = &'p Certificate> {
    let roster = party.roster().roster();
    party.certificates().filter(move |certificate| {
        let digest = certificate.digest();
        let of_desk = roster
            .desks
            .values()
            .any(|d| d.certificate.digest == digest);
        of_desk
            || match officers {
                Officers::All => true,
                Officers::Signer(fingerprint) => certificate.fingerprint() == *fingerprint,
                Officers::None => false,
            }
    })
}

/// Stores a certificate, roster or bundle in chunks, under its digest, unless it is there. The digest is
/// given, because everybody who has such an object has hashed it before.
pub(crate) fn put_object(
    tx: &mut Tx<'_>,
    agency: &AgencyId,
    kind: wire::ObjectType,
    digest: Digest,
    bytes: &[u8],
) -> Result<(), Abort<Stop>> {
    if tx
        .get(&record::object_chunk(agency, kind, &digest, 0))?
        .is_some()
    {
        return Ok(());
    }
    for (chunk, index) in bytes.chunks(limit::VALUE_BYTES).zip(0_u16..) {
        tx.put(
            record::object_chunk(agency, kind, &digest, index),
            chunk.to_vec(),
        )?;
    }
    Ok(())
}

/// The stored message and its indexes, in the batch of its entry.
pub(crate) fn stage_message(
    tx: &mut Tx<'_>,
    agency: &Agency,
    message: &Authenticated,
    stored: &record::Message,
    outcome: wire::Outcome,
    case: &Case,
) -> Result<(), Abort<Stop>> {
    let header = message.header();
    let id = header.message_id;
    tx.put(record::message(&agency.id, &id), stored.encode())?;
    let signature = message.envelope().signature.clone();
    tx.put(record::signature(&agency.id, &id), signature)?;
    let state = record::State::new(outcome);
    tx.put(record::state(&agency.id, &id), state.encode())?;
    tx.put(
        record::list_item(&agency.id, stored.position),
        id.as_bytes().to_vec(),
    )?;
    tx.put(
        record::case_message(&agency.id, &header.case_id, stored.position),
        id.as_bytes().to_vec(),
    )?;
    tx.put(
        record::case(&agency.id, &header.case_id),
        record::encode_case(case),
    )?;
    Ok(())
}
