//! Who signed, for whom, and from where.

use waypost_proto::openpgp::Suite;

use super::stand::Stand;
use crate::forgery;
use crate::hostile::order::Offer;
use crate::letter::Letter;
use crate::peer::Answer;
use crate::scheme::{self, OTHER_AUTHORITY};

/// ENV-09.
#[tokio::test]
async fn a_wrong_signature_is_refused_and_counted() {
    let mut stand = Stand::new(Suite::Classical).await;
    let mut changed = stand.forgery().seal().unwrap();
    *changed.signature.last_mut().unwrap() ^= 1;
    stand.assert_counted(changed, "signature").await;
    // A colleague's, under the officer's name.
    let mut forgery = stand.forgery();
    forgery.outer = stand.sender().officer(1).unwrap().signing_key().unwrap();
    stand
        .assert_counted(forgery.seal().unwrap(), "signature")
        .await;
}

/// ENV-08.
#[tokio::test]
async fn a_signature_by_an_officer_of_another_agency_is_refused_and_counted() {
    let mut stand = Stand::new(Suite::Classical).await;
    let other = stand.authority().officer(0).unwrap();
    let mut forgery = stand.forgery();
    let fingerprint = other.certificate().fingerprint();
    forgery.header.officer = fingerprint.as_bytes().to_vec();
    forgery.inner = other.signing_key().unwrap();
    forgery.outer = other.signing_key().unwrap();
    stand
        .assert_counted(forgery.seal().unwrap(), "officer")
        .await;
}

/// ENV-04.
#[tokio::test]
async fn a_body_sealed_to_a_wrong_set_of_recipients_is_refused_and_counted() {
    let mut stand = Stand::new(Suite::Classical).await;
    let other = forgery::stranger(stand.sender().desk_key()).unwrap();
    for wrong in 0..3 {
        let mut forgery = stand.forgery();
        match wrong {
            // Not to the sender's own desk; to one more; to one in the place of the addressed desk.
            0 => forgery.recipients.truncate(1),
            1 => forgery.recipients.push(other.clone()),
            _ => forgery.recipients[0] = other.clone(),
        }
        stand
            .assert_counted(forgery.seal().unwrap(), "recipients")
            .await;
    }
}

/// ENV-10.
#[tokio::test]
async fn a_body_that_is_not_intended_for_this_desk_is_refused_and_counted() {
    let mut stand = Stand::new(Suite::Classical).await;
    let other = forgery::stranger(stand.authority().desk_key()).unwrap();
    let forgery = stand.forgery().to_key(other);
    stand.assert_counted(forgery.seal().unwrap(), "key").await;
}

/// ENV-09. Signed anew, it is found on opening.
#[tokio::test]
async fn the_body_of_one_message_under_the_header_of_another_is_refused_and_counted() {
    let mut stand = Stand::new(Suite::Classical).await;
    let (one, other) = (stand.forgery(), stand.forgery());
    let (one, mut other) = (one.seal().unwrap(), other.seal().unwrap());
    other.body = one.body;
    stand.assert_counted(other, "signature").await;
}

/// ENV-12.
#[tokio::test]
async fn a_message_from_or_to_an_agency_that_is_not_in_the_directory_is_refused_and_counted() {
    let mut stand = Stand::new(Suite::Classical).await;
    let nowhere = "gb.example.nowhere".to_owned();
    let mut from = stand.forgery();
    from.header.sender_agency.clone_from(&nowhere);
    stand
        .assert_counted(from.seal().unwrap(), "unknown-agency")
        .await;
    let mut to = stand.forgery();
    to.header.recipient_agency = nowhere;
    stand
        .assert_counted(to.seal().unwrap(), "not-hosted-here")
        .await;
}

#[tokio::test]
async fn a_message_whose_sender_is_not_hosted_by_the_tls_peer_is_refused_and_counted() {
    let mut stand = Stand::with(Suite::Classical, &[OTHER_AUTHORITY]).await;
    // An agency of the directory, whose node is another.
    let mut forgery = stand.forgery();
    forgery.header.sender_agency = OTHER_AUTHORITY.id.to_owned();
    stand
        .assert_counted(forgery.seal().unwrap(), "not-hosted-by-peer")
        .await;
}

#[tokio::test]
async fn a_replay_gets_the_original_entry_within_a_run_and_after_a_restart() {
    let mut stand = Stand::new(Suite::Classical).await;
    let letter = Letter::referral().unwrap();
    let envelope = stand.forge(&letter).seal().unwrap();
    let first = stand.offer(envelope.clone()).await.receipt().unwrap();
    for restarted in [false, true] {
        if restarted {
            stand.restart().await;
        }
        let before = stand.ledger().await;
        let again = stand.offer(envelope.clone()).await.receipt().unwrap();
        assert_eq!(again.entry, first.entry);
        assert_eq!(stand.ledger().await.bytes, before.bytes);
        stand.unharmed().await;
    }
    assert_eq!(stand.ledger().await.story(&letter.id), ["received"]);
}

#[tokio::test]
async fn the_same_id_with_other_bytes_is_refused_and_logged_also_after_a_restart() {
    let mut stand = Stand::new(Suite::Classical).await;
    let letter = Letter::referral().unwrap();
    let honest = stand.forge(&letter).seal().unwrap();
    stand.offer(honest).await.receipt().unwrap();
    for restarted in [false, true] {
        if restarted {
            stand.restart().await;
        }
        let mut other = stand.forge(&letter);
        other.header.created = scheme::now().0 - 1;
        stand
            .assert_logged(other.seal().unwrap(), Offer::default(), "id-reused")
            .await;
    }
    assert_eq!(stand.ledger().await.received().len(), 2);
}

/// LOG-15: both checkpoints are kept.
#[tokio::test]
async fn a_sender_whose_checkpoint_contradicts_an_earlier_one_is_refused_and_both_are_logged() {
    let mut stand = Stand::new(Suite::Classical).await;
    let before = stand.ledger().await;
    let envelope = stand.forgery().seal().unwrap();
    let rewritten = Offer {
        rewritten: true,
        ..Offer::default()
    };
    let answer = stand.offer_as(envelope, rewritten).await;
    assert_eq!(answer, Answer::Refusal("contradiction".to_owned()));
    let after = stand.ledger().await;
    let names: Vec<_> = after.entries[before.entries.len()..]
        .iter()
        .map(waypost_proto::entry::Entry::name)
        .collect();
    assert_eq!(names, ["contradiction", "refused"]);
    stand.unharmed().await;
}
