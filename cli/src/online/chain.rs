//! Chains, checked here: operator, directory head, record, certificate, roster. The node relays what
//! is needed; nothing is believed because the node says it (proto/spec/directory.md).

use prost::Message as _;
use waypost_policies::Bundle;
use waypost_proto::directory::{DirectoryError, VerifiedHead};
use waypost_proto::id::{AgencyId, Digest, Fingerprint};
use waypost_proto::openpgp::Certificate;
use waypost_proto::party::Party;
use waypost_proto::roster::VerifiedRoster;
use waypost_proto::{limit, wire};

use super::call::{self, CallError, Client};
use super::session::Session;
use crate::home::{HomeFile, Seen};
use crate::output::Failure;

/// An agency as it is now, checked along the chain.
#[derive(Debug)]
pub(crate) struct Counterpart {
    /// Its record, roster and certificates.
    pub(crate) party: Party,
    /// Its own certificate.
    pub(crate) certificate: Certificate,
    /// The directory head that its record is proved by.
    pub(crate) head: VerifiedHead,
    /// Digest of the policy bundle that its node decides by: the node's word, and harmless, since
    /// both bundles must allow and the own one is not the node's.
    pub(crate) bundle: Digest,
}

/// An object that is not what was asked for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ObjectError {
    /// Another digest.
    #[error("the node gave an object with another digest than {digest}")]
    Digest {
        /// Asked for.
        digest: Digest,
    },
    /// A call fails.
    #[error(transparent)]
    Call(#[from] CallError),
}

/// A certificate, roster or bundle by its digest, hashed before it is used.
pub(crate) async fn object(
    client: &mut Client,
    kind: wire::ObjectType,
    digest: Digest,
) -> Result<Vec<u8>, ObjectError> {
    let request = wire::ObjectRequest {
        r#type: kind.into(),
        digest: digest.as_bytes().to_vec(),
    };
    let reply = call::answer(client.object(request)).await?;
    if Digest::of(&reply.object) == digest {
        Ok(reply.object)
    } else {
        Err(ObjectError::Digest { digest })
    }
}

fn broken(agency: &AgencyId, error: &dyn std::error::Error) -> Failure {
    Failure::error(format!(
        "the chain of `{agency}` does not hold: it is not used"
    ))
    .caused_by(error)
    .next("type the command again later; if it stays so, tell the scheme operator")
}

fn absent(agency: &AgencyId, what: &str) -> Failure {
    Failure::error(format!("the node gives no {what} of `{agency}`"))
        .because("without it the chain cannot be checked")
        .next("type the command again later; then ask who runs the node")
}

/// Looks an agency up and checks its whole chain, that nothing is older than what was seen, and that
/// nothing has expired. Remembers what was seen.
pub(crate) async fn look_up(
    session: &mut Session<'_>,
    agency: &AgencyId,
) -> Result<Counterpart, Failure> {
    let request = wire::LookUpRequest {
        agency: agency.to_string(),
    };
    let reply = call::answer(session.client.look_up(request)).await?;
    let head = check_head(session, agency, &reply)?;
    let proof = reply
        .agency
        .as_ref()
        .ok_or_else(|| absent(agency, "record"))?;
    let record = head.agency(agency, proof).map_err(|e| broken(agency, &e))?;
    let certificate =
        Certificate::parse(&reply.agency_certificate).map_err(|e| broken(agency, &e))?;
    let roster = reply
        .roster
        .as_ref()
        .ok_or_else(|| absent(agency, "roster"))?;
    let certificates = certificates(agency, &reply.certificates)?;
    let roster = roster.encode_to_vec();
    let mut party = Party::assemble(record, &certificate, &roster, certificates, session.now)
        .map_err(|e| broken(agency, &e))?;
    let officer = session.signing.certificate().fingerprint();
    supply(&mut session.client, &mut party, Some(&officer)).await?;
    party.check_fresh(session.now).map_err(|e| {
        Failure::error(e.to_string()).because("nothing is sealed to its keys").next(
            "if it is your agency: waypost roster sign --publish; otherwise telephone the agency",
        )
    })?;
    if *agency == session.agency {
        check_own(session, &party, &certificate)?;
    }
    remember(session, &party, &head)?;
    let bundle = Digest::try_from(reply.bundle.as_slice()).map_err(|e| broken(agency, &e))?;
    Ok(Counterpart {
        party,
        certificate,
        head,
        bundle,
    })
}

/// The head under the operator who is pinned for the agency's country, not older than the installed
/// directory, not expired.
fn check_head(
    session: &Session<'_>,
    agency: &AgencyId,
    reply: &wire::LookUpReply,
) -> Result<VerifiedHead, Failure> {
    let signed = reply
        .head
        .as_ref()
        .ok_or_else(|| absent(agency, "directory head"))?;
    let operator = Certificate::parse(&reply.operator).map_err(|e| broken(agency, &e))?;
    let country = agency.country();
    let installed = session.installed(&country)?;
    if operator.fingerprint() != installed.operator().fingerprint() {
        return Err(Failure::error(format!("the node's directory of `{country}` is signed by another scheme operator than the pinned one"))
            .because("it is not used")
            .next("tell who runs the node; if the operator has changed, verify the new fingerprint in person: waypost directory install FILE --pin FINGERPRINT"));
    }
    let head =
        VerifiedHead::verify(signed, &operator, session.now).map_err(|e| broken(agency, &e))?;
    // A pin holds for one country: the installed directory has passed DIR-14.
    if *head.country() != country {
        let (found, pinned) = (head.country().clone(), country);
        return Err(broken(agency, &DirectoryError::Pinned { found, pinned }));
    }
    let installed = installed.head();
    head.check_not_older(installed.version(), installed.digest())
        .map_err(|e| {
            Failure::error("the node uses an older directory than this home")
                .caused_by(&e)
                .next("ask who runs the node to install the current directory")
        })?;
    if head.is_fresh(session.now) {
        Ok(head)
    } else {
        Err(Failure::error(format!("the directory of `{country}` has expired"))
            .because("who is who can no longer be told for sure, so nothing is sealed")
            .next("get the current file from the scheme operator; if somebody is in danger, telephone"))
    }
}

/// Parses certificates that the node gave. Which of them count, the roster says by their digests.
pub(crate) fn certificates(
    agency: &AgencyId,
    given: &[Vec<u8>],
) -> Result<Vec<Certificate>, Failure> {
    let most = 2 * (limit::ROSTER_OFFICERS + limit::ROSTER_DESKS + 1);
    let parsed = given
        .iter()
        .take(most)
        .map(|bytes| Certificate::parse(bytes));
    parsed
        .collect::<Result<_, _>>()
        .map_err(|e| broken(agency, &e))
}

/// Fetches certificates that are needed and that the node did not send along: the desks', and that of
/// the officer who signed.
pub(crate) async fn supply(
    client: &mut Client,
    party: &mut Party,
    officer: Option<&Fingerprint>,
) -> Result<(), Failure> {
    let agency = party.record().id.clone();
    for digest in party.missing_for(officer) {
        let bytes = object(client, wire::ObjectType::Certificate, digest)
            .await
            .map_err(|e| broken(&agency, &e))?;
        let certificate = Certificate::parse(&bytes).map_err(|e| broken(&agency, &e))?;
        party.supply([certificate]);
    }
    Ok(())
}

/// The own roster in the home must not be newer than what the node shows to others.
fn check_own(
    session: &Session<'_>,
    party: &Party,
    certificate: &Certificate,
) -> Result<(), Failure> {
    if !session.context.home.holds(&HomeFile::Roster) {
        return Ok(());
    }
    let bytes = session.context.home.read(&HomeFile::Roster)?;
    let kept = VerifiedRoster::verify(&bytes, &session.agency, certificate, session.now)
        .map_err(|e| broken(&session.agency, &e))?;
    party
        .check_not_older(kept.roster().version, kept.digest())
        .map_err(|e| {
            Failure::error("the node does not use your agency's current roster")
                .caused_by(&e)
                .next("your administrator gives it to the node: waypost roster sign --publish")
        })
}

/// Refuses a roster older than one seen, and remembers this one.
fn remember(session: &Session<'_>, party: &Party, head: &VerifiedHead) -> Result<(), Failure> {
    let agency = &party.record().id;
    let seen_head = Seen {
        version: head.version(),
        digest: head.digest(),
    };
    let seen = Seen {
        version: party.roster().roster().version,
        digest: party.roster().digest(),
    };
    session.context.home.update_state(|state| {
        if let Some(before) = state.heads.get(head.country()) {
            head.check_not_older(before.version, before.digest)
                .map_err(|e| broken(agency, &e))?;
        }
        if let Some(before) = state.rosters.get(agency) {
            party
                .check_not_older(before.version, before.digest)
                .map_err(|e| broken(agency, &e))?;
        }
        state.heads.insert(head.country().clone(), seen_head);
        state.rosters.insert(agency.clone(), seen);
        Ok(())
    })
}

/// A policy bundle by its digest.
pub(crate) async fn bundle(
    client: &mut Client,
    agency: &AgencyId,
    digest: Digest,
) -> Result<Bundle, Failure> {
    let failed = |e: &dyn std::error::Error| {
        Failure::error(format!("the policy bundle of `{agency}` cannot be used"))
            .caused_by(e)
            .next("type the command again later; then ask who runs the node")
    };
    let bytes = object(client, wire::ObjectType::Bundle, digest)
        .await
        .map_err(|e| failed(&e))?;
    Bundle::from_wire(&bytes).map_err(|e| failed(&e))
}
