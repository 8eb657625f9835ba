//! A full disk: a real node under a file-size limit.

use waypost_proto::openpgp::Suite;
use waypost_proto::wire::Outcome;

use crate::ledger::Ledger;
use crate::letter::Letter;
use crate::officer::Officer;
use crate::scheme::{AUTHORITY, NGO, Scheme};
use crate::wait;

/// Bytes that a file of the node may have.
const FILE_BYTES: u64 = 24 * 1024 * 1024;
/// Bytes of a form that is sent: texts of a form have at most 15,000 characters.
const FORM_BYTES: usize = 14_000;
/// Messages that fill the disk, at most.
const MESSAGES: usize = 4_000;

#[tokio::test]
async fn a_node_whose_disk_is_full_says_so_and_stops_and_keeps_everything_that_it_accepted() {
    let mut scheme = Scheme::new(Suite::Classical, &[NGO, AUTHORITY])
        .await
        .unwrap();
    scheme.node_mut(1).unwrap().start().await.unwrap();
    // A write above the limit fails like one on a full disk, once its signal is ignored.
    let limited = format!("trap '' XFSZ; exec prlimit --fsize={FILE_BYTES} \"$@\"");
    let wrapper = ["sh", "-c", &limited, "sh"].map(Into::into);
    let node = scheme.node_mut(0).unwrap();
    node.start_under(&wrapper).await.unwrap();

    let [ngo, authority] = &scheme.agencies[..] else {
        unreachable!()
    };
    let mut sender = Officer::of(&scheme, ngo).await.unwrap();
    let ends = sender.ends(&authority.id).await.unwrap();
    let mut accepted = Vec::new();
    let refused = loop {
        assert!(accepted.len() < MESSAGES, "the disk does not fill");
        let letter = Letter::referral_of(FORM_BYTES).unwrap();
        let sealed = ends.seal(&letter, &sender.signing).unwrap();
        match sender.send_sealed(sealed.into_wire()).await {
            Ok(_) => accepted.push(letter.id),
            Err(error) => break error,
        }
    };
    assert!(!accepted.is_empty(), "{refused}");
    let node = scheme.node_mut(0).unwrap();
    let ended = node.ended().await.unwrap();
    assert_eq!(ended.code(), Some(1), "{ended}");
    for told in ["File too large", "make room"] {
        assert!(node.said(told).unwrap() > 0, "`{told}` is not said");
    }

    node.start().await.unwrap();
    let [ngo, authority] = &scheme.agencies[..] else {
        unreachable!()
    };
    let mut sender = Officer::of(&scheme, ngo).await.unwrap();
    let mut recipient = Officer::of(&scheme, authority).await.unwrap();
    let last = accepted.last().unwrap();
    sender.outcome(last, Outcome::Delivered).await.unwrap();
    wait::until("the recipient has all of them", async || {
        let theirs = Ledger::read(&scheme, authority, &mut recipient).await?;
        let received = theirs.received();
        // One more at most: the one whose outcome was unknown.
        Ok(received.starts_with(&accepted).then_some(received.len()))
    })
    .await
    .map(|received| assert!(received <= accepted.len() + 1))
    .unwrap();
    let ours = Ledger::read(&scheme, ngo, &mut sender).await.unwrap();
    for id in &accepted {
        assert_eq!(ours.story(id), ["submitted", "delivered"]);
    }
}
