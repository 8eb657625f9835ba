//! Clocks that are wrong, and messages that come too late.

use waypost_proto::id::Timestamp;
use waypost_proto::openpgp::Suite;
use waypost_proto::wire::log_entry::Event;

use super::stand::Stand;
use crate::hostile::order::Offer;
use crate::ledger;
use crate::letter::Letter;
use crate::scheme;

const DAY: u64 = 86_400;

/// ENV-06.
#[tokio::test]
async fn a_message_past_its_expiry_gets_a_tombstone_and_is_never_accepted() {
    let mut stand = Stand::new(Suite::Classical).await;
    let letter = Letter::referral().unwrap();
    let mut forgery = stand.forge(&letter);
    forgery.header.created = scheme::now().0 - 2 * DAY;
    forgery.header.expires = scheme::now().0 - DAY;
    let envelope = forgery.seal().unwrap();
    let tombstone = stand.offer(envelope.clone()).await.receipt().unwrap();
    let record = ledger::record(&stand.scheme, stand.authority()).unwrap();
    let (_, entry) = ledger::prove(&tombstone, &record).unwrap();
    assert!(matches!(entry.event, Event::Expired(_)), "{entry:?}");
    assert!(!stand.holds(&letter.id).await);
    stand.unharmed().await;
    // Asked again, and after a restart: the same.
    stand.restart().await;
    let again = stand.offer(envelope).await.receipt().unwrap();
    assert_eq!(again.entry, tombstone.entry);
    assert_eq!(stand.ledger().await.story(&letter.id), ["expired"]);
}

/// ENV-05, EVI-08, ROS-05.
#[tokio::test]
async fn what_a_clock_made_that_is_a_day_ahead_is_refused() {
    let mut stand = Stand::new(Suite::Classical).await;
    let mut message = stand.forgery();
    message.header.created += DAY;
    message.header.expires += DAY;
    stand.assert_counted(message.seal().unwrap(), "clock").await;

    let roster = stand
        .sender()
        .roster(
            2,
            scheme::now().plus(DAY),
            scheme::now().plus(2 * DAY),
            &[0],
        )
        .unwrap();
    stand.show(&roster).await;
    let mut under_it = stand.forgery();
    under_it.header.sender_roster = waypost_proto::id::Digest::of(&roster).as_bytes().to_vec();
    stand
        .assert_counted(under_it.seal().unwrap(), "roster")
        .await;

    let registered = stand.sender().registered().unwrap();
    stand.show(&registered).await;
    let ahead = Offer {
        clock: DAY.cast_signed(),
        ..Offer::default()
    };
    let honest = stand.forgery().seal().unwrap();
    stand.assert_logged(honest, ahead, "evidence").await;
}

/// The recipient's clock decides: nothing that is a day behind counts for longer.
#[tokio::test]
async fn what_a_clock_made_that_is_a_day_behind_is_judged_by_the_recipients_clock() {
    let mut stand = Stand::new(Suite::Classical).await;
    let behind = Offer {
        clock: -DAY.cast_signed(),
        ..Offer::default()
    };
    for (lasts, story) in [(DAY + 3600, "received"), (DAY - 3600, "expired")] {
        let letter = Letter::referral().unwrap();
        let mut forgery = stand.forge(&letter);
        forgery.header.created = scheme::now().0 - DAY;
        forgery.header.expires = forgery.header.created + lasts;
        let before = scheme::now();
        let envelope = forgery.seal().unwrap();
        let answer = stand.offer_as(envelope, behind.clone()).await;
        let record = ledger::record(&stand.scheme, stand.authority()).unwrap();
        let (_, entry) = ledger::prove(&answer.receipt().unwrap(), &record).unwrap();
        assert!(entry.time >= Timestamp(before.0 - 1), "{entry:?}");
        assert_eq!(stand.ledger().await.story(&letter.id), [story]);
    }
    stand.unharmed().await;
}
