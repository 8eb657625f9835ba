//! What a client needs to check a chain itself, and the agency's own roster.

use std::sync::Arc;

use prost::Message as _;
use waypost_proto::id::AgencyId;
use waypost_proto::openpgp::Certificate;
use waypost_proto::party::Party;
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
    let directory = node.directory();
    let unknown = || Stop::refuse(Reason::UnknownAgency, "not in the directory");
    let record = directory.agency(id).ok_or_else(unknown)?;
    let certificate = directory.certificate(id).ok_or_else(unknown)?;
    let counterpart = node.counterpart_now(&directory, id, node.now()).await?;
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
    let refuse = |e: waypost_proto::party::PartyError| Stop::refuse(Reason::Roster, e);
    let directory = node.directory();
    let unknown = || Stop::refuse(Reason::UnknownAgency, "not in the directory");
    let record = directory.agency(&agency.id).ok_or_else(unknown)?;
    let certificate = directory.certificate(&agency.id).ok_or_else(unknown)?;
    let now = node.now();
    let own = agency.own();
    // The signature first: what nobody vouches for costs one verification.
    let mut party = Party::assemble(
        record.clone(),
        certificate,
        roster,
        own.certificates().cloned(),
        now,
    )
    .map_err(refuse)?;
    let given: Result<Vec<Certificate>, _> =
        certificates.iter().map(|c| Certificate::parse(c)).collect();
    party.supply(given.map_err(|e| Stop::refuse(Reason::Malformed, e))?);
    let before = own.roster();
    party
        .check_not_older(before.roster().version, before.digest())
        .map_err(refuse)?;
    party.check_fresh(now).map_err(refuse)?;
    if let Some(digest) = party.missing().next() {
        return Err(Stop::refuse(
            Reason::Roster,
            format!("CHN-07: the certificate with digest {digest} is missing"),
        ));
    }
    if before.digest() == party.roster().digest() {
        return Ok(());
    }
    let owner = Arc::clone(agency);
    let accepted = party.clone();
    node.sequencer
        .run(&agency.id, move |tx| {
            if owner.own().roster().roster().version >= accepted.roster().roster().version {
                return Err(Abort::Rejected(Stop::refuse(Reason::Roster, "CHN-09")));
            }
            accept::accept_chain(
                tx,
                &owner.id,
                &accepted,
                (&owner.bundle, &owner.rules),
                Officers::All,
            )
        })
        .await?;
    tracing::info!(agency = %agency.id, version = party.roster().roster().version, "roster in force");
    agency.replace_own(party);
    Ok(())
}
