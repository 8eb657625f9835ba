//! Directory files that arrive at a running node: the one in force stays.

use std::fs;

use prost::Message as _;
use waypost_proto::id::{Country, Timestamp};
use waypost_proto::openpgp::{KeyRole, SecretKey, Suite};
use waypost_proto::wire;

use crate::ledger::Ledger;
use crate::officer::Officer;
use crate::scheme::{self, NGO, Scheme};
use crate::wait;

const DAY: u64 = 86_400;
/// What a node says of a directory that it does not put in force.
const STAYS: &str = "the directory in force stays";

fn gb() -> Country {
    "gb".parse().unwrap()
}

/// Gives a running node what `make` makes of the scheme, in the place of its directory's file.
async fn assert_stays(make: impl FnOnce(&Scheme) -> Vec<u8>, check: &str) {
    let scheme = Scheme::running(Suite::Classical, &[NGO]).await.unwrap();
    scheme.publish(2).unwrap();
    let ngo = &scheme.agencies[0];
    ngo.node.reload().await.unwrap();
    wait::until("the second directory is in force", async || {
        let mut officer = Officer::of(&scheme, ngo).await?;
        let ledger = Ledger::read(&scheme, ngo, &mut officer).await?;
        Ok((ledger.count("directory-accepted") == 2).then_some(()))
    })
    .await
    .unwrap();
    let mut officer = Officer::of(&scheme, ngo).await.unwrap();
    let before = Ledger::read(&scheme, ngo, &mut officer).await.unwrap();

    let good = fs::read(scheme.file(&gb()).unwrap()).unwrap();
    fs::write(scheme.file(&gb()).unwrap(), make(&scheme)).unwrap();
    ngo.node.reload().await.unwrap();
    wait::until(
        STAYS,
        async || Ok((ngo.node.said(STAYS)? > 0).then_some(())),
    )
    .await
    .unwrap();
    assert_eq!(ngo.node.said(check).unwrap(), 1, "{check}");
    // The node serves by the good one, and its log holds nothing of the other.
    fs::write(scheme.file(&gb()).unwrap(), good).unwrap();
    let mut officer = Officer::of(&scheme, ngo).await.unwrap();
    officer.look_up(&ngo.id).await.unwrap();
    let after = Ledger::read(&scheme, ngo, &mut officer).await.unwrap();
    assert_eq!(after.bytes, before.bytes);
}

/// DIR-03.
#[tokio::test]
async fn a_directory_that_is_unsigned_is_not_put_in_force() {
    let unsigned = |scheme: &Scheme| {
        let at = scheme::now();
        let signed =
            scheme.signed_directory(&gb(), 3, at, at.plus(DAY), scheme.operator(&gb()).unwrap());
        let mut directory = wire::Directory::decode(signed.unwrap().as_slice()).unwrap();
        directory.head.as_mut().unwrap().signature.clear();
        directory.encode_to_vec()
    };
    assert_stays(unsigned, "DIR-03").await;
}

/// DIR-07.
#[tokio::test]
async fn a_directory_that_is_older_is_not_put_in_force() {
    let older = |scheme: &Scheme| {
        let at = scheme::now();
        scheme
            .signed_directory(&gb(), 1, at, at.plus(DAY), scheme.operator(&gb()).unwrap())
            .unwrap()
    };
    assert_stays(older, "DIR-07").await;
}

#[tokio::test]
async fn a_directory_that_is_expired_is_not_put_in_force() {
    let expired = |scheme: &Scheme| {
        let at = Timestamp(scheme::now().0 - 2 * DAY);
        scheme
            .signed_directory(&gb(), 3, at, at.plus(DAY), scheme.operator(&gb()).unwrap())
            .unwrap()
    };
    assert_stays(expired, "has expired").await;
}

/// DIR-03: its signature is not of the past, so its own times (DIR-08) are not even looked at.
#[tokio::test]
async fn a_directory_from_a_clock_a_day_ahead_is_not_put_in_force() {
    let ahead = |scheme: &Scheme| {
        let at = scheme::now().plus(DAY);
        scheme
            .signed_directory(&gb(), 3, at, at.plus(DAY), scheme.operator(&gb()).unwrap())
            .unwrap()
    };
    assert_stays(ahead, "DIR-03").await;
}

/// DIR-02.
#[tokio::test]
async fn a_directory_signed_by_the_operator_of_another_country_is_not_put_in_force() {
    let of_another = |scheme: &Scheme| {
        let born = scheme::born();
        let other = SecretKey::generate(KeyRole::Operator, Suite::Classical, "fr", born).unwrap();
        let at = scheme::now();
        scheme
            .signed_directory(&gb(), 3, at, at.plus(DAY), &other.signing_key().unwrap())
            .unwrap()
    };
    assert_stays(of_another, "DIR-02").await;
}
