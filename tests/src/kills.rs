//! Nodes are killed at random while messages stream, and what was acknowledged is kept (issue: must
//! reach). The same check finds out a node that answers before it has written.
//!
//! `WAYPOST_STREAM` messages (2,000), `WAYPOST_KILLS` kills (24), from `WAYPOST_SEED` (the clock).

use std::time::Duration;

use waypost_proto::openpgp::Suite;
use waypost_proto::wire::Outcome;

use crate::ledger::Ledger;
use crate::letter::Letter;
use crate::node::{LATE_NODE, NODE};
use crate::officer::{Badge, Officer};
use crate::parameter::{note, parameter};
use crate::promise::{self, Broken};
use crate::scheme::{self, AUTHORITY, NGO, Scheme};
use crate::seeded::Seeded;
use crate::stream::{self, Client, Promised};
use crate::wait;

/// Officers who submit at the same time.
const OFFICERS: usize = 6;
/// Messages whose bodies are fetched and opened at the end.
const SAMPLE: usize = 20;
/// A kill comes up to so many milliseconds after its moment.
const JITTER_MS: u64 = 30;

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_is_delivered_once_and_in_order_though_both_nodes_are_killed() {
    let messages = parameter("WAYPOST_STREAM", 2000);
    let kills = parameter("WAYPOST_KILLS", 24);
    let seed = parameter("WAYPOST_SEED", scheme::now().0);
    note(&format!(
        "WAYPOST_SEED={seed} WAYPOST_STREAM={messages} WAYPOST_KILLS={kills}"
    ));
    let mut random = Seeded::new(seed);

    let mut scheme = Scheme::running(Suite::PostQuantum, &[NGO, AUTHORITY])
        .await
        .unwrap();
    let [ngo, authority] = &scheme.agencies[..] else {
        unreachable!()
    };
    let badge = Badge::of(&scheme, ngo, 0).unwrap();
    let mut officer = badge.log_in().await.unwrap();
    let ends = officer.ends(&authority.id).await.unwrap();
    let mut watcher = Client::new(badge.clone());
    let before = watcher.log_size().await.unwrap();
    let sending = tokio::spawn(stream::send(
        vec![badge; OFFICERS],
        ends,
        officer.signing.clone(),
        usize::try_from(messages).unwrap(),
    ));

    // The sender's log tells how far the stream is: it grows when a message is submitted, and when it
    // is delivered.
    let mut moments: Vec<_> = (0..kills).map(|_| random.within(0..2 * messages)).collect();
    moments.sort_unstable();
    for (kill, moment) in moments.into_iter().enumerate() {
        wait::until("the stream goes on", async || {
            Ok((watcher.log_size().await? >= before + moment).then_some(()))
        })
        .await
        .unwrap();
        tokio::time::sleep(Duration::from_millis(random.within(0..JITTER_MS))).await;
        // Either node as often as the other.
        let node = scheme.node_mut(kill % 2).unwrap();
        node.kill().await.unwrap();
        node.start().await.unwrap();
    }
    let promised = sending.await.unwrap().unwrap();
    assert_eq!(promised.len() as u64, messages);
    wait::until("everything is delivered", async || {
        Ok((watcher.log_size().await? >= before + 2 * messages).then_some(()))
    })
    .await
    .unwrap();

    let mut sample: Vec<_> = promised.iter().map(|message| message.id).collect();
    random.shuffle(&mut sample);
    promise::check(&scheme, &promised, &sample[..SAMPLE.min(sample.len())])
        .await
        .unwrap();
    let mut recipient = Officer::of(&scheme, &scheme.agencies[1]).await.unwrap();
    let theirs = Ledger::read(&scheme, &scheme.agencies[1], &mut recipient)
        .await
        .unwrap();
    assert_eq!(theirs.received().len() as u64, messages);
}

/// Two nodes, of which one answers before it has written; some messages, acknowledged; that node
/// killed. What an honest node then finds on its disk is checked.
async fn check_after_a_kill_of_a_late_node(late: usize) -> Result<(), Broken> {
    let mut scheme = Scheme::running(Suite::Classical, &[NGO, AUTHORITY])
        .await
        .unwrap();
    // The logs are begun, and both nodes know each other.
    let mut sender = Officer::of(&scheme, &scheme.agencies[0]).await.unwrap();
    let first = Letter::referral().unwrap();
    let recipient = scheme.agencies[1].id.clone();
    sender.deliver(&recipient, &first).await.unwrap();
    let node = scheme.node_mut(late).unwrap();
    node.stop().await.unwrap();
    node.become_program(LATE_NODE);
    node.start().await.unwrap();

    let mut sender = Officer::of(&scheme, &scheme.agencies[0]).await.unwrap();
    let ends = sender.ends(&recipient).await.unwrap();
    let mut promised = Vec::new();
    for _ in 0..5 {
        let ready = stream::seal(&ends, &sender.signing).unwrap();
        let evidence = sender.send_sealed(ready.envelope).await.unwrap();
        let id = ready.id;
        promised.push(Promised { id, evidence });
    }
    let last = promised.last().unwrap().id;
    sender.outcome(&last, Outcome::Delivered).await.unwrap();
    let node = scheme.node_mut(late).unwrap();
    node.kill().await.unwrap();
    node.become_program(NODE);
    node.start().await.unwrap();
    promise::check(&scheme, &promised, &[last]).await
}

#[tokio::test]
async fn a_sender_that_answers_before_it_has_written_is_found_out() {
    let found = check_after_a_kill_of_a_late_node(0).await;
    assert!(matches!(found, Err(Broken::Forgotten { .. })), "{found:?}");
}

#[tokio::test]
async fn a_recipient_that_answers_before_it_has_written_is_found_out() {
    let found = check_after_a_kill_of_a_late_node(1).await;
    assert!(matches!(found, Err(Broken::Unreceived { .. })), "{found:?}");
}
