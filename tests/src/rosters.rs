//! Rosters and directories: who may act for an agency now, and what it is attested for.

use tonic::Code;
use waypost_proto::id::Timestamp;
use waypost_proto::limit;
use waypost_proto::openpgp::Suite;
use waypost_proto::vocabulary::AgencyAttestation;
use waypost_proto::wire::{self, Outcome};

use crate::ledger::Ledger;
use crate::letter::Letter;
use crate::officer::{Officer, Submitted};
use crate::scheme::{self, AUTHORITY, Agency, NGO, Scheme};
use crate::wait;
use prost::Message as _;

const DAY: u64 = 86_400;

/// Publishes a roster made `days` ago and valid for `valid` days, without anybody's log-in.
pub(crate) async fn publish(
    officer: &mut Officer,
    agency: &Agency,
    version: u64,
    days: u64,
    valid: u64,
    officers: &[usize],
) -> Result<(), tonic::Status> {
    let created = Timestamp(scheme::now().0 - days * DAY);
    let roster = agency
        .roster(version, created, created.plus(valid * DAY), officers)
        .unwrap();
    let request = wire::PublishRosterRequest {
        agency: agency.id.to_string(),
        roster: Some(wire::Signed::decode(roster.as_slice()).unwrap()),
        certificates: agency.certificates(),
    };
    officer.desk.publish_roster(request).await.map(|_| ())
}

/// CHN-04: from the moment that the roster is in force, on connections that exist as well.
#[tokio::test]
async fn an_officer_who_was_taken_from_the_roster_submits_nothing_more() {
    let mut scheme = Scheme::running(Suite::Classical, &[NGO, AUTHORITY])
        .await
        .unwrap();
    let [ngo, authority] = &scheme.agencies[..] else {
        unreachable!()
    };
    let mut stays = Officer::log_in(&scheme, ngo, 0).await.unwrap();
    let mut leaves = Officer::log_in(&scheme, ngo, 1).await.unwrap();
    let before = Letter::referral().unwrap();
    leaves.send(&authority.id, &before).await.unwrap();
    stays.outcome(&before.id, Outcome::Delivered).await.unwrap();
    let ends = leaves.ends(&authority.id).await.unwrap();
    let sealed = ends
        .seal(&Letter::referral().unwrap(), &leaves.signing)
        .unwrap();
    let by_who_stays = ends
        .seal(&Letter::referral().unwrap(), &stays.signing)
        .unwrap();

    publish(&mut stays, ngo, 2, 0, 30, &[0]).await.unwrap();

    let refused = leaves.submit(sealed.into_wire()).await.unwrap_err();
    let status = refused.downcast_ref::<tonic::Status>().unwrap();
    assert_eq!(status.code(), Code::Unauthenticated, "{status:?}");
    Officer::log_in(&scheme, ngo, 1).await.unwrap_err();
    // Whoever stays seals anew, under the roster in force (ENV-07).
    let answer = stays.submit(by_who_stays.into_wire()).await.unwrap();
    assert!(
        matches!(&answer, Submitted::Refused(reason) if reason == "roster"),
        "{answer:?}"
    );
    let after = Letter::referral().unwrap();
    stays.send(&authority.id, &after).await.unwrap();
    stays.outcome(&after.id, Outcome::Delivered).await.unwrap();
    // It is in the log, and in force after a restart.
    let ledger = Ledger::read(&scheme, ngo, &mut stays).await.unwrap();
    assert_eq!(
        ledger.count("roster-accepted"),
        3,
        "both rosters of this agency and the counterpart's"
    );
    let node = scheme.node_mut(0).unwrap();
    node.stop().await.unwrap();
    node.start().await.unwrap();
    Officer::log_in(&scheme, &scheme.agencies[0], 1)
        .await
        .unwrap_err();
    Officer::log_in(&scheme, &scheme.agencies[0], 0)
        .await
        .unwrap();
}

/// CHN-03, CHN-09.
#[tokio::test]
async fn an_expired_or_older_roster_is_not_put_in_force() {
    let scheme = Scheme::running(Suite::Classical, &[NGO]).await.unwrap();
    let ngo = &scheme.agencies[0];
    let mut officer = Officer::of(&scheme, ngo).await.unwrap();
    publish(&mut officer, ngo, 5, 0, 30, &[0, 1]).await.unwrap();
    for (what, version, days, valid) in [
        ("older", 4, 0, 30),
        ("another of the same version", 5, 1, 30),
        ("expired", 6, 10, 9),
        ("valid for too long", 6, 0, 31),
    ] {
        let status = publish(&mut officer, ngo, version, days, valid, &[0])
            .await
            .unwrap_err();
        assert_eq!(
            status.code(),
            Code::FailedPrecondition,
            "{what}: {status:?}"
        );
    }
    assert_eq!(limit::ROSTER_VALID_SECONDS, 30 * DAY);
    // The second officer, whom none of them held, still is one.
    Officer::log_in(&scheme, ngo, 1).await.unwrap();
    let ledger = Ledger::read(&scheme, ngo, &mut officer).await.unwrap();
    assert_eq!(ledger.count("roster-accepted"), 2);
}

/// ROS-02: anybody may bring a roster, nobody but the agency may sign it.
#[tokio::test]
async fn a_roster_signed_by_another_agency_is_not_put_in_force() {
    let scheme = Scheme::running(Suite::Classical, &[NGO, AUTHORITY])
        .await
        .unwrap();
    let [ngo, authority] = &scheme.agencies[..] else {
        unreachable!()
    };
    let mut officer = Officer::of(&scheme, ngo).await.unwrap();
    let roster = authority
        .roster(2, scheme::now(), scheme::now().plus(DAY), &[0])
        .unwrap();
    let request = wire::PublishRosterRequest {
        agency: ngo.id.to_string(),
        roster: Some(wire::Signed::decode(roster.as_slice()).unwrap()),
        certificates: authority.certificates(),
    };
    let status = officer.desk.publish_roster(request).await.unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition);
}

/// DIR-07. What the operator withdraws counts from the next message on, without a restart.
#[tokio::test]
async fn an_attestation_that_was_withdrawn_stops_the_next_message() {
    let mut scheme = Scheme::running(Suite::Classical, &[NGO, AUTHORITY])
        .await
        .unwrap();
    let to = scheme.agencies[1].id.clone();
    let mut sender = Officer::of(&scheme, &scheme.agencies[0]).await.unwrap();
    let before = Letter::referral().unwrap();
    sender.deliver(&to, &before).await.unwrap();
    let ends = sender.ends(&to).await.unwrap();
    let sealed = ends.seal(&Letter::referral().unwrap(), &sender.signing);

    scheme.agencies[1].withdraw(AgencyAttestation::ConfidentialityPolicy);
    scheme.publish(2).unwrap();
    for agency in &scheme.agencies {
        agency.node.reload().await.unwrap();
        wait::until("the new directory is in force", async || {
            let mut officer = Officer::of(&scheme, agency).await?;
            let ledger = Ledger::read(&scheme, agency, &mut officer).await?;
            let record = officer.look_up(&to).await?.record().clone();
            let withdrawn = !record
                .attestations
                .contains(&AgencyAttestation::ConfidentialityPolicy);
            Ok((withdrawn && ledger.count("directory-accepted") == 2).then_some(()))
        })
        .await
        .unwrap();
    }
    let answer = sender.submit(sealed.unwrap().into_wire()).await.unwrap();
    assert!(
        matches!(&answer, Submitted::Refused(reason) if reason == "not-permitted"),
        "{answer:?}"
    );
    // An older directory does not come back.
    scheme.publish(1).unwrap();
    scheme.agencies[0].node.reload().await.unwrap();
    scheme.node_mut(0).unwrap().stop().await.unwrap();
    scheme.node_mut(0).unwrap().start().await.unwrap_err();
}
