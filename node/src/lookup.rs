//! What a client needs to check a chain itself, and the agency's own roster.

use std::collections::BTreeSet;
use std::sync::Arc;

use prost::Message as _;
use waypost_proto::id::{AgencyId, Digest};
use waypost_proto::openpgp::Certificate;
use waypost_proto::party::{Party, PartyError};
use waypost_proto::reason::Reason;
use waypost_proto::wire;

use crate::accept::{self, Officers};
use crate::desk::certificate_bytes;
use crate::host::{Agency, Node, Stop};
use crate::limit;
use crate::sequencer::Abort;

/// Head, record and proof, certificates, roster and bundle digest of one agency.
///
/// # Errors
/// When the directory does not hold it, or its node cannot be reached.
pub async fn look_up(node: &Node, id: &AgencyId) -> Result<wire::LookUpReply, Stop> {
    let directories = node.directory();
    let unknown = || Stop::refuse(Reason::UnknownAgency, "not in the directory");
    let directory = directories.of_agency(id).ok_or_else(unknown)?;
    let record = directory.agency(id).ok_or_else(unknown)?;
    let certificate = directory.certificate(id).ok_or_else(unknown)?;
    let counterpart = node.counterpart_now(directory, id, node.now()).await?;
    let roster =
        wire::Signed::decode(counterpart.party.roster().as_bytes()).map_err(|_| Stop::Failed)?;
    Ok(wire::LookUpReply {
        head: Some(directory.signed_head().clone()),
        operator: directory.operator().as_bytes().to_vec(),
        agency: directory.agency_proof(id),
        node: directory.node_proof(&record.node),
        agency_certificate: certificate.as_bytes().to_vec(),
        roster: Some(roster),
        certificates: certificate_bytes(counterpart.party.certificates()),
        bundle: counterpart.rules.digest().as_bytes().to_vec(),
    })
}

/// Puts a newer roster of a hosted agency in force. Signed by the agency itself, so that anybody may
/// bring it; logged before it is used.
///
/// # Errors
/// When it does not verify, is older than the current one, or certificates are missing.
pub async fn publish_roster(
    node: &Arc<Node>,
    agency: &Arc<Agency>,
    roster: &[u8],
    certificates: &[Vec<u8>],
) -> Result<(), Stop> {
    if certificates.len() > limit::ROSTER_CERTIFICATES {
        return Err(Stop::refuse(Reason::Malformed, "too many certificates"));
    }
    if Digest::of(roster) == agency.own().roster().digest() {
        return Ok(());
    }
    let (node, agency) = (Arc::clone(node), Arc::clone(agency));
    let (roster, certificates) = (roster.to_vec(), certificates.to_vec());
    // Of its own: once it is in the log it must come into force, whoever has gone away.
    let task =
        tokio::spawn(async move { put_in_force(&node, &agency, &roster, &certificates).await });
    task.await.map_err(|error| {
        tracing::error!(%error, "a publication ended early");
        Stop::Failed
    })?
}

/// Checks, logs, and puts in force.
async fn put_in_force(
    node: &Arc<Node>,
    agency: &Arc<Agency>,
    roster: &[u8],
    certificates: &[Vec<u8>],
) -> Result<(), Stop> {
    let party = published(node, agency, roster, certificates)?;
    let version = party.roster().roster().version;
    let (owner, accepted) = (Arc::clone(agency), party.clone());
    node.sequencer
        .run(&agency.id, move |tx| {
            if owner.own().roster().roster().version >= version {
                return Err(Abort::Rejected(Stop::refuse(Reason::Roster, "CHN-09")));
            }
            let policies = (owner.bundle.as_ref(), owner.rules.as_ref());
            accept::accept_chain(tx, &owner.id, &accepted, policies, Officers::All)
        })
        .await?;
    // Under the directory of the moment, which may have changed since; never behind a newer roster.
    let (directory, now) = (node.directory(), node.now());
    let record = directory
        .agency(&agency.id)
        .unwrap_or(party.record())
        .clone();
    let unknown = || Stop::refuse(Reason::UnknownAgency, "not in the directory");
    let certificate = directory.certificate(&agency.id).ok_or_else(unknown)?;
    let at_hand = party.certificates().cloned();
    let party = Party::assemble(record, certificate, party.roster().as_bytes(), at_hand, now);
    agency.replace_own(party.map_err(|e| Stop::refuse(Reason::Roster, e))?);
    tracing::info!(agency = %agency.id, version, "roster in force");
    Ok(())
}

/// The chain with the published roster, and exactly the certificates that it names.
fn published(
    node: &Node,
    agency: &Agency,
    roster: &[u8],
    certificates: &[Vec<u8>],
) -> Result<Party, Stop> {
    let refuse = |e: PartyError| Stop::refuse(Reason::Roster, e);
    let directory = node.directory();
    let unknown = || Stop::refuse(Reason::UnknownAgency, "not in the directory");
    let record = directory.agency(&agency.id).ok_or_else(unknown)?;
    let certificate = directory.certificate(&agency.id).ok_or_else(unknown)?;
    let (now, own) = (node.now(), agency.own());
    // The signature first: what nobody vouches for costs one verification.
    let mut party =
        Party::assemble(record.clone(), certificate, roster, [], now).map_err(refuse)?;
    let before = own.roster();
    party
        .check_not_older(before.roster().version, before.digest())
        .map_err(refuse)?;
    party.check_fresh(now).map_err(refuse)?;
    let named: BTreeSet<Digest> = party.missing().collect();
    party.supply(
        own.certificates()
            .filter(|c| named.contains(&c.digest()))
            .cloned(),
    );
    for bytes in certificates
        .iter()
        .filter(|bytes| named.contains(&Digest::of(bytes)))
    {
        let given = Certificate::parse(bytes).map_err(|e| Stop::refuse(Reason::Malformed, e))?;
        party.supply([given]);
    }
    let missing = party.missing().next();
    match missing {
        None => Ok(party),
        Some(digest) => Err(Stop::refuse(
            Reason::Roster,
            format!("CHN-07: the certificate with digest {digest} is missing"),
        )),
    }
}
