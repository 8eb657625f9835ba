//! What a manifest declares.

use waypost_node::limit;
use waypost_proto::openpgp::Suite;
use waypost_proto::wire::log_entry::Event;

use super::stand::Stand;
use crate::hostile::order::Offer;
use crate::peer::Answer;

/// MAN-01, MAN-04.
#[tokio::test]
async fn a_manifest_without_purpose_or_basis_is_refused_and_counted() {
    let mut stand = Stand::new(Suite::Classical).await;
    let without_purpose = stand.forgery().declare(|m| m.purpose.clear()).unwrap();
    stand
        .assert_counted(without_purpose.seal().unwrap(), "malformed")
        .await;
    let without_basis = stand.forgery().declare(|m| m.legal_bases.clear()).unwrap();
    stand
        .assert_counted(without_basis.seal().unwrap(), "malformed")
        .await;
}

#[tokio::test]
async fn a_purpose_that_is_not_permitted_is_refused_and_logged() {
    let mut stand = Stand::new(Suite::Classical).await;
    for purpose in ["X-IMMENF", "P-INVEST"] {
        let forgery = stand.forgery().declare(|m| m.purpose = purpose.to_owned());
        stand
            .assert_logged(
                forgery.unwrap().seal().unwrap(),
                Offer::default(),
                "not-permitted",
            )
            .await;
    }
}

#[tokio::test]
async fn refusals_above_the_cap_have_no_entries_and_are_summed_up_when_the_node_stops() {
    let mut stand = Stand::new(Suite::Classical).await;
    let forgery = stand
        .forgery()
        .declare(|m| m.purpose = "X-IMMENF".to_owned());
    let envelope = forgery.unwrap().seal().unwrap();
    for _ in 0..limit::REFUSAL_ENTRIES + 3 {
        let answer = stand.offer(envelope.clone()).await;
        assert_eq!(answer, Answer::Refusal("not-permitted".to_owned()));
    }
    let refused = usize::try_from(limit::REFUSAL_ENTRIES).unwrap();
    assert_eq!(stand.ledger().await.count("refused"), refused);
    let node = stand.scheme.node_mut(1).unwrap();
    assert!(node.stop().await.unwrap().success());
    node.start().await.unwrap();
    stand.log_in().await;
    let ledger = stand.ledger().await;
    assert_eq!(ledger.count("refused"), refused);
    let sums = ledger
        .entries
        .iter()
        .filter_map(|entry| match &entry.event {
            Event::RefusalsCounted(sum) => Some((sum.peer.as_str(), sum.count)),
            _ => None,
        });
    assert_eq!(sums.collect::<Vec<_>>(), [(stand.sender().id.as_str(), 3)]);
    stand.unharmed().await;
}

/// MAN-01.
#[tokio::test]
async fn a_manifest_with_an_unknown_part_is_refused_and_counted() {
    let mut stand = Stand::new(Suite::Classical).await;
    // After every other one: the list is sorted.
    let forgery = stand.forgery().declare(|m| m.parts.push("ZZZ".to_owned()));
    stand
        .assert_counted(forgery.unwrap().seal().unwrap(), "malformed")
        .await;
}
