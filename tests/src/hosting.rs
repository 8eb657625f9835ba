//! One node for many agencies, as a host runs it for schools.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::{JoinSet, LocalSet};
use waypost_proto::id::{AgencyId, MessageId};
use waypost_proto::openpgp::Suite;
use waypost_proto::vocabulary::Role;
use waypost_proto::wire::{self, Outcome};

use crate::ledger::Ledger;
use crate::letter::Letter;
use crate::officer::{Badge, Officer};
use crate::scheme::{AUTHORITY, NGO, Scheme, Wanted};

/// Agencies on the one node.
const AGENCIES: usize = 200;
/// Officers who work at once.
const AT_ONCE: usize = 16;

/// The authority's node, and one that hosts everybody else.
async fn scheme() -> Scheme {
    let mut scheme = Scheme::new(Suite::Classical, &[NGO, AUTHORITY])
        .await
        .unwrap();
    for number in 1..AGENCIES {
        let wanted = Wanted {
            id: format!("gb.example.ngo-{number}").leak(),
            role: Role::Ngo,
        };
        scheme.host(&wanted).await.unwrap();
    }
    scheme.publish(2).unwrap();
    for index in 0..2 {
        scheme.node_mut(index).unwrap().start().await.unwrap();
    }
    scheme
}

/// An officer of every hosted agency delivers one message to the authority.
async fn deliver(scheme: &Scheme, authority: &AgencyId) -> Vec<(usize, MessageId)> {
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let mut sending = JoinSet::new();
    for (index, agency) in scheme.agencies.iter().enumerate() {
        if agency.id == *authority {
            continue;
        }
        let badge = Badge::of(scheme, agency, 0).unwrap();
        let (places, authority) = (Arc::clone(&places), authority.clone());
        sending.spawn_local(async move {
            let _place = places.acquire_owned().await.unwrap();
            let mut officer = badge.log_in().await.unwrap();
            let letter = Letter::referral().unwrap();
            officer.deliver(&authority, &letter).await.unwrap();
            (index, letter.id)
        });
    }
    sending.join_all().await
}

#[tokio::test]
async fn one_node_hosts_two_hundred_agencies_each_with_its_own_log_queue_and_officers() {
    let mut scheme = scheme().await;
    let authority = scheme.agencies[1].id.clone();
    let sent = LocalSet::new()
        .run_until(deliver(&scheme, &authority))
        .await;
    assert_eq!(sent.len(), AGENCIES);

    let mut recipient = Officer::of(&scheme, &scheme.agencies[1]).await.unwrap();
    let theirs = Ledger::read(&scheme, &scheme.agencies[1], &mut recipient)
        .await
        .unwrap();
    let received: BTreeSet<_> = theirs.received().into_iter().collect();
    assert_eq!(received, sent.iter().map(|(_, id)| *id).collect());

    // After a crash every log is there, holds its own agency's messages only, and verifies.
    scheme.node_mut(0).unwrap().kill().await.unwrap();
    scheme.node_mut(0).unwrap().start().await.unwrap();
    let (_, of_another) = sent[0];
    for (index, id) in &sent {
        let agency = &scheme.agencies[*index];
        let mut officer = Officer::of(&scheme, agency).await.unwrap();
        let ours = Ledger::read(&scheme, agency, &mut officer).await.unwrap();
        assert_eq!(ours.story(id), ["submitted", "delivered"]);
        assert_eq!(ours.count("submitted"), 1);
        assert_eq!(officer.list().await.unwrap().len(), 1);
        if *id != of_another {
            let request = wire::FetchRequest {
                message_id: of_another.as_bytes().to_vec(),
            };
            let refused = officer.desk.fetch(request).await.unwrap_err();
            assert_eq!(refused.code(), tonic::Code::NotFound);
        }
    }

    // And it takes messages for each of them.
    let (index, first) = sent[AGENCIES / 2];
    let header = {
        let fetched = recipient.fetch(&first).await.unwrap();
        let (header, _) = recipient.open(&fetched).await.unwrap();
        header
    };
    let answer = Letter::acknowledgement(&header).unwrap();
    let sender = scheme.agencies[index].id.clone();
    recipient.deliver(&sender, &answer).await.unwrap();
    let mut officer = Officer::of(&scheme, &scheme.agencies[index]).await.unwrap();
    officer
        .outcome(&answer.id, Outcome::Received)
        .await
        .unwrap();
}
