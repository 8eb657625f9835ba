//! Stopping, starting, and what is kept.

use std::fs;

use waypost_proto::openpgp::Suite;
use waypost_proto::wire::{self, Outcome};

use crate::ledger::Ledger;
use crate::letter::{Letter, VALUES};
use crate::link::Passage;
use crate::officer::Officer;
use crate::scheme::{AUTHORITY, NGO, Scheme};
use crate::search;

#[tokio::test]
async fn a_node_that_is_told_to_stop_stops_in_time_and_keeps_everything() {
    let mut scheme = Scheme::running(Suite::Classical, &[NGO, AUTHORITY])
        .await
        .unwrap();
    let [ngo, authority] = &scheme.agencies[..] else {
        unreachable!()
    };
    let mut sender = Officer::of(&scheme, ngo).await.unwrap();
    let mut recipient = Officer::of(&scheme, authority).await.unwrap();
    let letter = Letter::referral().unwrap();
    sender.deliver(&authority.id, &letter).await.unwrap();
    let ends = sender.ends(&authority.id).await.unwrap();
    authority.node.peers.set(Passage::Cut);
    let queued = Letter::referral().unwrap();
    let sealed = ends.seal(&queued, &sender.signing).unwrap();
    sender.send_sealed(sealed.into_wire()).await.unwrap();
    let (listed, ours) = (
        sender.list().await.unwrap(),
        Ledger::read(&scheme, ngo, &mut sender).await.unwrap(),
    );
    let theirs = Ledger::read(&scheme, authority, &mut recipient)
        .await
        .unwrap();
    // A watcher that never goes away by itself holds nothing up.
    let _watching = recipient
        .desk
        .watch(wire::WatchRequest { after: 0 })
        .await
        .unwrap();

    for index in 0..2 {
        let ended = scheme.node_mut(index).unwrap().stop().await.unwrap();
        assert!(ended.success(), "{ended}");
    }
    for index in 0..2 {
        scheme.node_mut(index).unwrap().start().await.unwrap();
    }

    let [ngo, authority] = &scheme.agencies[..] else {
        unreachable!()
    };
    let mut sender = Officer::of(&scheme, ngo).await.unwrap();
    let mut recipient = Officer::of(&scheme, authority).await.unwrap();
    assert_eq!(sender.list().await.unwrap(), listed);
    for (agency, officer, before) in [
        (ngo, &mut sender, ours),
        (authority, &mut recipient, theirs),
    ] {
        let after = Ledger::read(&scheme, agency, officer).await.unwrap();
        assert!(after.bytes.starts_with(&before.bytes));
    }
    let fetched = recipient.fetch(&letter.id).await.unwrap();
    let (_, truthful) = recipient.open(&fetched).await.unwrap();
    assert_eq!(truthful.form().text("idn.given_name"), Some(VALUES[0]));
    // What waited is delivered.
    authority.node.peers.set(Passage::Open);
    sender
        .outcome(&queued.id, Outcome::Delivered)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_node_that_was_killed_keeps_what_it_answered() {
    let mut scheme = Scheme::running(Suite::Classical, &[NGO, AUTHORITY])
        .await
        .unwrap();
    let recipient_id = scheme.agencies[1].id.clone();
    let mut sent = Vec::new();
    for _ in 0..3 {
        let mut sender = Officer::of(&scheme, &scheme.agencies[0]).await.unwrap();
        let letter = Letter::referral().unwrap();
        sender.send(&recipient_id, &letter).await.unwrap();
        sent.push(letter.id);
        scheme.node_mut(0).unwrap().kill().await.unwrap();
        scheme.node_mut(0).unwrap().start().await.unwrap();
    }
    let mut sender = Officer::of(&scheme, &scheme.agencies[0]).await.unwrap();
    for id in &sent {
        sender.outcome(id, Outcome::Delivered).await.unwrap();
    }
    let authority = &scheme.agencies[1];
    let mut recipient = Officer::of(&scheme, authority).await.unwrap();
    let theirs = Ledger::read(&scheme, authority, &mut recipient)
        .await
        .unwrap();
    assert_eq!(theirs.received(), sent);
}

/// INVARIANT (one log a key).
#[tokio::test]
async fn a_node_that_lost_its_store_does_not_begin_a_second_log() {
    let mut scheme = Scheme::running(Suite::Classical, &[NGO]).await.unwrap();
    let node = scheme.node_mut(0).unwrap();
    node.kill().await.unwrap();
    let (store, aside) = (node.store(), node.data().join("store.aside"));
    fs::rename(&store, &aside).unwrap();
    assert!(node.start().await.is_err());
    fs::remove_dir_all(&store).unwrap();
    fs::rename(&aside, &store).unwrap();
    node.start().await.unwrap();
}

#[tokio::test]
async fn no_value_of_a_form_is_in_a_nodes_files_or_its_log_lines() {
    let mut scheme = Scheme::running(Suite::Classical, &[NGO, AUTHORITY])
        .await
        .unwrap();
    let [ngo, authority] = &scheme.agencies[..] else {
        unreachable!()
    };
    let mut sender = Officer::of(&scheme, ngo).await.unwrap();
    let mut recipient = Officer::of(&scheme, authority).await.unwrap();
    let letter = Letter::referral().unwrap();
    sender.send(&authority.id, &letter).await.unwrap();
    recipient
        .outcome(&letter.id, Outcome::Received)
        .await
        .unwrap();
    let fetched = recipient.fetch(&letter.id).await.unwrap();
    let (header, truthful) = recipient.open(&fetched).await.unwrap();
    for value in VALUES {
        assert!(
            truthful.form().to_json().contains(value),
            "`{value}` was not sent"
        );
    }
    let answer = Letter::acknowledgement(&header).unwrap();
    recipient.send(&ngo.id, &answer).await.unwrap();
    sender.outcome(&answer.id, Outcome::Received).await.unwrap();
    // What is refused is held and logged by nobody either.
    let again = sender.send(&authority.id, &letter).await.unwrap_err();
    assert!(again.to_string().contains("id-reused"), "{again}");

    for index in 0..2 {
        scheme.node_mut(index).unwrap().stop().await.unwrap();
        let node = &scheme.agencies[index].node;
        assert!(node.log().metadata().unwrap().len() > 0);
        assert_eq!(search::files_with(node.folder(), VALUES).unwrap(), []);
        // The same search finds what is there.
        let planted = node.store().join("planted");
        fs::write(&planted, format!("\0\x01{}\u{ff}", VALUES[0])).unwrap();
        let found = search::files_with(node.folder(), VALUES).unwrap();
        assert_eq!(found, [(planted, VALUES[0].to_owned())]);
    }
}
