//! The order of a pair of agencies: lanes, strict numbers, gap notices.

use waypost_proto::id::MessageId;
use waypost_proto::openpgp::Suite;
use waypost_proto::wire::{self, Outcome};

use crate::hostile::Hostile;
use crate::hostile::order::Conduct;
use crate::ledger::Ledger;
use crate::letter::Letter;
use crate::link::Passage;
use crate::officer::Officer;
use crate::peer::{self, Answer};
use crate::rosters::publish;
use crate::scheme::{AUTHORITY, NGO, Scheme};

/// Messages of more requests than one.
const MANY: usize = 150;

async fn pair() -> (Scheme, Officer) {
    let scheme = Scheme::running(Suite::Classical, &[NGO, AUTHORITY])
        .await
        .unwrap();
    let sender = Officer::of(&scheme, &scheme.agencies[0]).await.unwrap();
    (scheme, sender)
}

/// Submits letters that cannot be delivered yet.
async fn waiting(scheme: &Scheme, sender: &mut Officer, count: usize) -> Vec<MessageId> {
    let authority = &scheme.agencies[1];
    let ends = sender.ends(&authority.id).await.unwrap();
    authority.node.peers.set(Passage::Cut);
    let mut ids = Vec::new();
    for _ in 0..count {
        let letter = Letter::referral().unwrap();
        let sealed = ends.seal(&letter, &sender.signing).unwrap();
        sender.send_sealed(sealed.into_wire()).await.unwrap();
        ids.push(letter.id);
    }
    ids
}

async fn theirs(scheme: &Scheme) -> Ledger {
    let authority = &scheme.agencies[1];
    let mut recipient = Officer::of(scheme, authority).await.unwrap();
    Ledger::read(scheme, authority, &mut recipient)
        .await
        .unwrap()
}

#[tokio::test]
async fn danger_overtakes_what_was_submitted_before_it_and_the_rest_keeps_its_order() {
    let (scheme, mut sender) = pair().await;
    let ids = waiting(&scheme, &mut sender, MANY).await;
    let authority = &scheme.agencies[1];
    let ends = sender.ends(&authority.id).await.unwrap();
    let letter = Letter::danger().unwrap();
    let sealed = ends.seal(&letter, &sender.signing).unwrap().into_wire();
    authority.node.peers.set(Passage::Open);
    sender.send_sealed(sealed).await.unwrap();
    sender
        .outcome(&letter.id, Outcome::Delivered)
        .await
        .unwrap();
    for id in &ids {
        sender.outcome(id, Outcome::Delivered).await.unwrap();
    }
    let mut received = theirs(&scheme).await.received();
    let place = received.iter().position(|id| *id == letter.id).unwrap();
    assert!(place < MANY, "danger came last");
    received.remove(place);
    assert_eq!(received, ids);
}

/// The recipient's roster changed while the message waited: it is refused for good, and the next one
/// does not wait for its number.
#[tokio::test]
async fn a_refused_message_leaves_a_gap_notice_and_the_next_one_is_delivered() {
    let (scheme, mut sender) = pair().await;
    let [refused] = waiting(&scheme, &mut sender, 1).await[..] else {
        unreachable!()
    };
    let authority = &scheme.agencies[1];
    let mut recipient = Officer::of(&scheme, authority).await.unwrap();
    publish(&mut recipient, authority, 2, 0, 30, &[0])
        .await
        .unwrap();
    authority.node.peers.set(Passage::Open);
    sender.outcome(&refused, Outcome::Refused).await.unwrap();
    let next = Letter::referral().unwrap();
    sender.send(&authority.id, &next).await.unwrap();
    sender.outcome(&next.id, Outcome::Delivered).await.unwrap();

    let ours = Ledger::read(&scheme, &scheme.agencies[0], &mut sender)
        .await
        .unwrap();
    assert_eq!(
        ours.story(&refused),
        ["submitted", "refused", "gap-delivered"]
    );
    let theirs = theirs(&scheme).await;
    // What the chain does not vouch for is only counted; the gap notice is in the log.
    assert_eq!(theirs.story(&refused), ["gap"]);
    assert_eq!(theirs.received(), [next.id]);
}

// ORD-02
#[tokio::test]
async fn a_later_number_is_not_taken_before_the_earlier_ones() {
    let (scheme, mut sender) = pair().await;
    let ids = waiting(&scheme, &mut sender, 3).await;
    let [ngo, authority] = &scheme.agencies[..] else {
        unreachable!()
    };
    let mut offers = Vec::new();
    for id in &ids {
        let fetched = sender.fetch(id).await.unwrap();
        let request = peer::request(&mut sender, &fetched, 0).await.unwrap();
        offers.extend(request.offers);
    }
    let mut hostile = Hostile::beside(&ngo.node, Conduct::Honest).await.unwrap();
    let request = |offers: &[wire::Offer]| wire::DeliverRequest {
        offers: offers.to_vec(),
        recipient_log_seen: 0,
    };
    let answer = hostile
        .deliver(&authority.node, &request(&offers[2..]))
        .await;
    assert_eq!(answer.unwrap(), Answer::Refusal("gap".to_owned()));
    let answer = hostile
        .deliver(&authority.node, &request(&offers[..1]))
        .await;
    answer.unwrap().receipt().unwrap();
    assert_eq!(theirs(&scheme).await.received(), ids[..1]);

    authority.node.peers.set(Passage::Open);
    for id in &ids {
        sender.outcome(id, Outcome::Delivered).await.unwrap();
    }
    let theirs = theirs(&scheme).await;
    assert_eq!(theirs.received(), ids);
    assert_eq!(theirs.refusals(), [] as [&str; 0]);
}
