//! What a manifest declares.

use waypost_proto::openpgp::Suite;

use super::stand::Stand;
use crate::hostile::order::Offer;

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
