//! Rosters that a hostile node shows.

use prost::Message as _;
use waypost_proto::openpgp::Suite;
use waypost_proto::wire::{self, offer_answer};

use super::stand::Stand;
use crate::forgery;
use crate::hostile::DELIVER;
use crate::hostile::order::Offer;
use crate::{scheme, wait};

const DAY: u64 = 86_400;

/// A roster of the sender made `age` days ago and valid for `valid` days.
fn roster(stand: &Stand, version: u64, age: u64, valid: u64, officers: &[usize]) -> Vec<u8> {
    let created = waypost_proto::id::Timestamp(scheme::now().0 - age * DAY);
    let until = created.plus(valid * DAY);
    let sender = stand.sender();
    sender.roster(version, created, until, officers).unwrap()
}

/// ENV-08, CHN-04.
#[tokio::test]
async fn a_signature_by_one_whom_the_roster_no_longer_holds_is_refused_and_counted() {
    let mut stand = Stand::new(Suite::Classical).await;
    let without = roster(&stand, 2, 0, 30, &[0]);
    stand.show(&without).await;
    let by_who_left = stand.forgery_under(&without, 1).seal().unwrap();
    stand.assert_counted(by_who_left, "officer").await;
    let by_who_stays = stand.forgery_under(&without, 0).seal().unwrap();
    stand.offer(by_who_stays).await.receipt().unwrap();
}

/// CHN-03.
#[tokio::test]
async fn a_message_under_an_expired_roster_is_refused_and_counted() {
    let mut stand = Stand::new(Suite::Classical).await;
    let expired = roster(&stand, 2, 10, 9, &[0]);
    stand.show(&expired).await;
    let envelope = stand.forgery_under(&expired, 0).seal().unwrap();
    stand.assert_counted(envelope, "roster-expired").await;
}

/// CHN-09.
#[tokio::test]
async fn a_message_under_a_roster_older_than_one_seen_is_refused_and_logged() {
    let mut stand = Stand::new(Suite::Classical).await;
    let (newer, older) = (
        roster(&stand, 3, 0, 30, &[0]),
        roster(&stand, 2, 1, 30, &[0]),
    );
    stand.show(&newer).await;
    let envelope = stand.forgery_under(&newer, 0).seal().unwrap();
    stand.offer(envelope).await.receipt().unwrap();
    stand.show(&older).await;
    let envelope = stand.forgery_under(&older, 0).seal().unwrap();
    stand
        .assert_logged(envelope, Offer::default(), "roster")
        .await;
}

/// ENV-10.
#[tokio::test]
async fn a_message_with_a_key_that_the_roster_is_missing_is_refused_and_counted() {
    let mut stand = Stand::new(Suite::Classical).await;
    let other = forgery::stranger(stand.sender().desk_key()).unwrap();
    let envelope = stand.forgery().from_key(other).seal().unwrap();
    stand.assert_counted(envelope, "key").await;
}

/// A request of offers that cite rosters which there are not makes the node ask its peer once.
#[tokio::test]
async fn a_peer_that_cites_unknown_rosters_is_asked_for_one_and_told_to_wait_with_the_others() {
    let mut stand = Stand::new(Suite::Classical).await;
    let offers = (0..8).map(|number| {
        let mut forgery = stand.forgery();
        forgery.header.sender_roster = vec![number; 32];
        wire::Offer {
            envelope: Some(forgery.seal().unwrap()),
            evidence: Some(wire::Evidence::default()),
        }
    });
    let request = wire::DeliverRequest {
        offers: offers.collect(),
        recipient_log_seen: 0,
    };
    let node = &stand.scheme.agencies[1].node;
    // Until a second has passed since the node asked for the honest message.
    let reasons = wait::until("the node asks again", async || {
        let reply = stand
            .hostile
            .call(node, DELIVER, request.encode_to_vec())
            .await?;
        let reply = wire::DeliverReply::decode(reply.bytes.as_slice())?;
        let reasons: Vec<_> = reply.answers.into_iter().map(reason).collect();
        Ok((reasons[0] != "busy").then_some(reasons))
    })
    .await
    .unwrap();
    assert_eq!(reasons[0], "roster");
    assert!(
        reasons[1..].iter().all(|reason| reason == "busy"),
        "{reasons:?}"
    );
    stand.unharmed().await;
}

fn reason(answer: wire::OfferAnswer) -> String {
    match answer.result.unwrap() {
        offer_answer::Result::Refusal(refusal) => refusal.reason,
        offer_answer::Result::Receipt(_) => panic!("a receipt"),
    }
}
