//! The network and the other node fail; nothing is lost or doubled, and nobody else waits.

use waypost_proto::openpgp::Suite;
use waypost_proto::wire::{Outcome, log_entry::Event};

use crate::ledger::{self, Ledger};
use crate::letter::Letter;
use crate::link::Passage;
use crate::officer::Officer;
use crate::scheme::{AUTHORITY, NGO, OTHER_AUTHORITY, Scheme};

#[tokio::test]
async fn a_message_whose_receipt_was_lost_is_offered_again_and_logged_once() {
    let scheme = Scheme::running(Suite::Classical, &[NGO, AUTHORITY])
        .await
        .unwrap();
    let [ngo, authority] = &scheme.agencies[..] else {
        unreachable!()
    };
    let mut sender = Officer::of(&scheme, ngo).await.unwrap();
    let mut recipient = Officer::of(&scheme, authority).await.unwrap();
    let before = Letter::referral().unwrap();
    sender.deliver(&authority.id, &before).await.unwrap();

    // The connection stands; from here on no answer comes back over it.
    authority.node.peers.set(Passage::NoAnswers);
    let letter = Letter::referral().unwrap();
    sender.send(&authority.id, &letter).await.unwrap();
    recipient
        .outcome(&letter.id, Outcome::Received)
        .await
        .unwrap();
    let queued = sender.item(&letter.id).await.unwrap().unwrap();
    assert_eq!(queued.outcome(), Outcome::Queued);
    authority.node.peers.set(Passage::Cut);
    authority.node.peers.set(Passage::Open);

    sender
        .outcome(&letter.id, Outcome::Delivered)
        .await
        .unwrap();
    let theirs = Ledger::read(&scheme, authority, &mut recipient)
        .await
        .unwrap();
    assert_eq!(theirs.story(&letter.id), ["received"]);
    assert_eq!(theirs.received(), [before.id, letter.id]);
    // The receipt is the original entry.
    let receipt = sender.fetch(&letter.id).await.unwrap().counterpart.unwrap();
    let (index, entry) =
        ledger::prove(&receipt, &ledger::record(&scheme, authority).unwrap()).unwrap();
    assert_eq!(theirs.entries[usize::try_from(index).unwrap()], entry);
}

#[tokio::test]
async fn a_sender_that_crashed_before_the_receipt_offers_again_and_the_message_is_logged_once() {
    let mut scheme = Scheme::running(Suite::Classical, &[NGO, AUTHORITY])
        .await
        .unwrap();
    let [ngo, authority] = &scheme.agencies[..] else {
        unreachable!()
    };
    let mut sender = Officer::of(&scheme, ngo).await.unwrap();
    let mut recipient = Officer::of(&scheme, authority).await.unwrap();
    let before = Letter::referral().unwrap();
    sender.deliver(&authority.id, &before).await.unwrap();

    authority.node.peers.set(Passage::NoAnswers);
    let letter = Letter::referral().unwrap();
    sender.send(&authority.id, &letter).await.unwrap();
    recipient
        .outcome(&letter.id, Outcome::Received)
        .await
        .unwrap();
    scheme.node_mut(0).unwrap().kill().await.unwrap();
    scheme.agencies[1].node.peers.set(Passage::Cut);
    scheme.agencies[1].node.peers.set(Passage::Open);
    scheme.node_mut(0).unwrap().start().await.unwrap();

    let [ngo, authority] = &scheme.agencies[..] else {
        unreachable!()
    };
    let mut sender = Officer::of(&scheme, ngo).await.unwrap();
    sender
        .outcome(&letter.id, Outcome::Delivered)
        .await
        .unwrap();
    let theirs = Ledger::read(&scheme, authority, &mut recipient)
        .await
        .unwrap();
    assert_eq!(theirs.story(&letter.id), ["received"]);
    let ours = Ledger::read(&scheme, ngo, &mut sender).await.unwrap();
    assert_eq!(ours.story(&letter.id), ["submitted", "delivered"]);
}

#[tokio::test]
async fn a_dead_peer_delays_nobody_else_and_gets_its_messages_in_order_later() {
    let mut scheme = Scheme::running(Suite::Classical, &[NGO, AUTHORITY, OTHER_AUTHORITY])
        .await
        .unwrap();
    let ids: Vec<_> = scheme
        .agencies
        .iter()
        .map(|agency| agency.id.clone())
        .collect();
    let mut sender = Officer::of(&scheme, &scheme.agencies[0]).await.unwrap();
    let to_dead = sender.ends(&ids[2]).await.unwrap();
    scheme.node_mut(2).unwrap().kill().await.unwrap();

    let mut waiting = Vec::new();
    for _ in 0..3 {
        let letter = Letter::referral().unwrap();
        let sealed = to_dead.seal(&letter, &sender.signing).unwrap();
        sender.send_sealed(sealed.into_wire()).await.unwrap();
        waiting.push(letter.id);
        let other = Letter::referral().unwrap();
        sender.send(&ids[1], &other).await.unwrap();
        sender.outcome(&other.id, Outcome::Delivered).await.unwrap();
    }
    for id in &waiting {
        let item = sender.item(id).await.unwrap().unwrap();
        assert_eq!(item.outcome(), Outcome::Queued);
    }

    scheme.node_mut(2).unwrap().start().await.unwrap();
    for id in &waiting {
        sender.outcome(id, Outcome::Delivered).await.unwrap();
    }
    let dead = &scheme.agencies[2];
    let mut recipient = Officer::of(&scheme, dead).await.unwrap();
    let theirs = Ledger::read(&scheme, dead, &mut recipient).await.unwrap();
    assert_eq!(theirs.received(), waiting);
}

/// ENV-06 and the tombstone of proto/spec/peer.md.
#[tokio::test]
async fn a_message_that_expires_undelivered_is_unconfirmed_until_the_recipients_tombstone() {
    let scheme = Scheme::running(Suite::Classical, &[NGO, AUTHORITY])
        .await
        .unwrap();
    let [ngo, authority] = &scheme.agencies[..] else {
        unreachable!()
    };
    let mut sender = Officer::of(&scheme, ngo).await.unwrap();
    let ends = sender.ends(&authority.id).await.unwrap();
    authority.node.peers.set(Passage::Cut);

    // Two: the one that waits behind the other is told of by its deadline as well.
    let letters = [(); 2].map(|()| Letter {
        lasts: 6,
        ..Letter::referral().unwrap()
    });
    for letter in &letters {
        let sealed = ends.seal(letter, &sender.signing).unwrap();
        sender.send_sealed(sealed.into_wire()).await.unwrap();
    }
    for letter in &letters {
        sender
            .outcome(&letter.id, Outcome::Unconfirmed)
            .await
            .unwrap();
    }
    authority.node.peers.set(Passage::Open);
    for letter in &letters {
        sender.outcome(&letter.id, Outcome::Expired).await.unwrap();
    }

    // Nothing stands in the way of the next one: gap notices have taken their places.
    let next = Letter::referral().unwrap();
    sender.send(&authority.id, &next).await.unwrap();
    sender.outcome(&next.id, Outcome::Delivered).await.unwrap();
    let ours = Ledger::read(&scheme, ngo, &mut sender).await.unwrap();
    for letter in &letters {
        assert_eq!(
            ours.story(&letter.id),
            ["submitted", "unconfirmed", "expired", "gap-delivered"]
        );
    }
    let [letter, _] = &letters;
    let mut recipient = Officer::of(&scheme, authority).await.unwrap();
    let theirs = Ledger::read(&scheme, authority, &mut recipient)
        .await
        .unwrap();
    assert_eq!(theirs.story(&letter.id), ["expired", "gap"]);
    assert!(recipient.item(&letter.id).await.unwrap().is_none());
    // What settled it is the recipient's entry, proved.
    let tombstone = sender.fetch(&letter.id).await.unwrap().counterpart.unwrap();
    let (_, entry) =
        ledger::prove(&tombstone, &ledger::record(&scheme, authority).unwrap()).unwrap();
    assert!(matches!(entry.event, Event::Expired(_)));
}
