//! A node against peers that are not what they should be: processes with real TLS keys.

use prost::Message as _;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use waypost_proto::openpgp::Suite;
use waypost_proto::wire::{self, Outcome};

use crate::hostile::Hostile;
use crate::hostile::order::Conduct;
use crate::ledger::{self, Ledger};
use crate::letter::Letter;
use crate::link::Passage;
use crate::officer::{Officer, Submitted};
use crate::peer::{self, Answer};
use crate::scheme::{AUTHORITY, NGO, OTHER_AUTHORITY, Scheme};

/// The RPC that tells an agency's roster.
const CURRENT: &str = "/waypost.v1.Peer/Current";

/// Two agencies, and a first message delivered, so that each node knows the other.
async fn acquainted() -> (Scheme, Officer, Officer, Letter) {
    let scheme = Scheme::running(Suite::Classical, &[NGO, AUTHORITY])
        .await
        .unwrap();
    let [ngo, authority] = &scheme.agencies[..] else {
        unreachable!()
    };
    let mut sender = Officer::of(&scheme, ngo).await.unwrap();
    let recipient = Officer::of(&scheme, authority).await.unwrap();
    let letter = Letter::referral().unwrap();
    sender.deliver(&authority.id, &letter).await.unwrap();
    (scheme, sender, recipient, letter)
}

#[tokio::test]
async fn the_same_message_again_gets_the_original_entry_even_after_a_restart() {
    let (mut scheme, mut sender, _, letter) = acquainted().await;
    let fetched = sender.fetch(&letter.id).await.unwrap();
    let first = fetched.counterpart.clone().unwrap();
    let request = peer::request(&mut sender, &fetched, 0).await.unwrap();
    for restarted in [false, true] {
        if restarted {
            scheme.node_mut(1).unwrap().kill().await.unwrap();
            scheme.node_mut(1).unwrap().start().await.unwrap();
        }
        let [ngo, authority] = &scheme.agencies[..] else {
            unreachable!()
        };
        let mut peer = Hostile::beside(&ngo.node, Conduct::Honest).await.unwrap();
        let again = peer
            .deliver(&authority.node, &request)
            .await
            .unwrap()
            .receipt()
            .unwrap();
        assert_eq!(again.entry, first.entry);
        let record = ledger::record(&scheme, authority).unwrap();
        assert_eq!(
            ledger::prove(&again, &record).unwrap(),
            ledger::prove(&first, &record).unwrap()
        );
    }
    let authority = &scheme.agencies[1];
    let mut recipient = Officer::of(&scheme, authority).await.unwrap();
    let theirs = Ledger::read(&scheme, authority, &mut recipient)
        .await
        .unwrap();
    assert_eq!(theirs.story(&letter.id), ["received"]);
}

#[tokio::test]
async fn the_same_message_offered_many_times_at_once_is_logged_once() {
    let (scheme, mut sender, mut recipient, before) = acquainted().await;
    let [ngo, authority] = &scheme.agencies[..] else {
        unreachable!()
    };
    let ends = sender.ends(&authority.id).await.unwrap();
    authority.node.peers.set(Passage::Cut);
    let letter = Letter::referral().unwrap();
    let sealed = ends.seal(&letter, &sender.signing).unwrap();
    sender.send_sealed(sealed.into_wire()).await.unwrap();
    let fetched = sender.fetch(&letter.id).await.unwrap();
    let seen = last_seen(&scheme, &mut recipient, &before).await;
    let request = peer::request(&mut sender, &fetched, seen).await.unwrap();
    let mut peer = Hostile::beside(&ngo.node, Conduct::Honest).await.unwrap();
    let answers = peer
        .deliver_at_once(&authority.node, &request, 8)
        .await
        .unwrap();
    let mut entries: Vec<_> = answers
        .into_iter()
        .filter_map(|answer| match answer {
            Answer::Receipt(evidence) => Some(evidence.entry),
            // Whoever comes while the first is being judged may have to ask again.
            Answer::Refusal(reason) => {
                assert!(
                    ["busy", "last-seen-differs"].contains(&reason.as_str()),
                    "{reason}"
                );
                None
            }
        })
        .collect();
    entries.dedup();
    assert_eq!(entries.len(), 1);
    let theirs = Ledger::read(&scheme, authority, &mut recipient)
        .await
        .unwrap();
    assert_eq!(theirs.story(&letter.id), ["received"]);
    // The sender's node, which knows of none of this, gets the same entry.
    authority.node.peers.set(Passage::Open);
    sender
        .outcome(&letter.id, Outcome::Delivered)
        .await
        .unwrap();
}

/// The evidence of a request's only offer.
fn evidence(mut request: wire::DeliverRequest) -> wire::Evidence {
    request.offers.pop().unwrap().evidence.unwrap()
}

/// The size of the sender's log that the recipient last saw, when `letter` was the last it received.
async fn last_seen(scheme: &Scheme, recipient: &mut Officer, letter: &Letter) -> u64 {
    let fetched = recipient.fetch(&letter.id).await.unwrap();
    let proof =
        waypost_proto::tlog_proof::TlogProof::parse(&fetched.counterpart.unwrap().proof).unwrap();
    let key = &ledger::record(scheme, &scheme.agencies[0])
        .unwrap()
        .log_keys[0]
        .verifier
        .clone();
    waypost_proto::checkpoint::SignedCheckpoint::verify(&proof.checkpoint, key)
        .unwrap()
        .size()
}

#[tokio::test]
async fn the_same_id_with_other_bytes_is_refused_and_logged_as_such() {
    let (scheme, mut sender, mut recipient, letter) = acquainted().await;
    let [ngo, authority] = &scheme.agencies[..] else {
        unreachable!()
    };
    let ends = sender.ends(&authority.id).await.unwrap();
    // Sealed anew, so properly signed, under the same id.
    let other = ends.seal(&letter, &sender.signing).unwrap().into_wire();
    let answer = sender.submit(other.clone()).await.unwrap();
    assert!(
        matches!(&answer, Submitted::Refused(reason) if reason == "id-reused"),
        "{answer:?}"
    );

    let fetched = sender.fetch(&letter.id).await.unwrap();
    let request = peer::request(&mut sender, &fetched, 0).await.unwrap();
    let request = peer::single(other, evidence(request));
    let mut peer = Hostile::beside(&ngo.node, Conduct::Honest).await.unwrap();
    let answer = peer.deliver(&authority.node, &request).await.unwrap();
    assert_eq!(answer, Answer::Refusal("id-reused".to_owned()));
    let theirs = Ledger::read(&scheme, authority, &mut recipient)
        .await
        .unwrap();
    assert_eq!(theirs.refusals(), ["id-reused"]);
    assert_eq!(theirs.received(), [letter.id]);
}

/// ENV-09. What nobody vouches for leaves no trace in the log.
#[tokio::test]
async fn a_message_that_was_tampered_with_is_refused_and_not_logged() {
    let (scheme, mut sender, mut recipient, before) = acquainted().await;
    let [ngo, authority] = &scheme.agencies[..] else {
        unreachable!()
    };
    let ends = sender.ends(&authority.id).await.unwrap();
    authority.node.peers.set(Passage::Cut);
    let letter = Letter::referral().unwrap();
    let sealed = ends.seal(&letter, &sender.signing).unwrap();
    sender.send_sealed(sealed.into_wire()).await.unwrap();
    let fetched = sender.fetch(&letter.id).await.unwrap();
    let seen = last_seen(&scheme, &mut recipient, &before).await;
    let request = peer::request(&mut sender, &fetched, seen).await.unwrap();
    let untouched = request.offers[0].envelope.clone().unwrap();
    let size = Ledger::read(&scheme, authority, &mut recipient)
        .await
        .unwrap()
        .entries
        .len();

    let last = |bytes: &[u8]| {
        let mut bytes = bytes.to_vec();
        *bytes.last_mut().unwrap() ^= 1;
        bytes
    };
    // The header's last bytes are its commitment's.
    let changed = [
        wire::Envelope {
            header: last(&untouched.header),
            ..untouched.clone()
        },
        wire::Envelope {
            body: last(&untouched.body),
            ..untouched.clone()
        },
        wire::Envelope {
            signature: last(&untouched.signature),
            ..untouched.clone()
        },
    ];
    let mut peer = Hostile::beside(&ngo.node, Conduct::Honest).await.unwrap();
    for envelope in changed {
        let request = peer::single(envelope, evidence(request.clone()));
        let answer = peer.deliver(&authority.node, &request).await.unwrap();
        assert_eq!(answer, Answer::Refusal("signature".to_owned()));
    }
    let theirs = Ledger::read(&scheme, authority, &mut recipient)
        .await
        .unwrap();
    assert_eq!(theirs.entries.len(), size);
    // The same call untouched is accepted: it was refused for what was changed.
    peer.deliver(&authority.node, &request)
        .await
        .unwrap()
        .receipt()
        .unwrap();
}

/// EVI-03 to EVI-07: an authentic message whose log evidence does not prove it is refused, and logged.
#[tokio::test]
async fn evidence_that_proves_something_else_is_refused() {
    let (scheme, mut sender, mut recipient, before) = acquainted().await;
    let [ngo, authority] = &scheme.agencies[..] else {
        unreachable!()
    };
    let ends = sender.ends(&authority.id).await.unwrap();
    authority.node.peers.set(Passage::Cut);
    let letter = Letter::referral().unwrap();
    let sealed = ends.seal(&letter, &sender.signing).unwrap();
    sender.send_sealed(sealed.into_wire()).await.unwrap();
    let seen = last_seen(&scheme, &mut recipient, &before).await;
    let fetched = sender.fetch(&letter.id).await.unwrap();
    let good = peer::request(&mut sender, &fetched, seen).await.unwrap();
    let earlier = sender.fetch(&before.id).await.unwrap();
    let of_another = peer::request(&mut sender, &earlier, seen).await.unwrap();
    let evidence = evidence(good.clone());
    let mut forged = evidence.clone();
    *forged.entry.last_mut().unwrap() ^= 1;
    let from_start = wire::Evidence {
        consistency_from: 0,
        consistency: Vec::new(),
        ..evidence
    };
    let mut peer = Hostile::beside(&ngo.node, Conduct::Honest).await.unwrap();
    for (evidence, reason) in [
        (self::evidence(of_another), "evidence"),
        (forged, "evidence"),
        (from_start, "last-seen-differs"),
    ] {
        let mut request = good.clone();
        request.offers[0].evidence = Some(evidence);
        let answer = peer.deliver(&authority.node, &request).await.unwrap();
        assert_eq!(answer, Answer::Refusal(reason.to_owned()));
    }
    let theirs = Ledger::read(&scheme, authority, &mut recipient)
        .await
        .unwrap();
    assert_eq!(theirs.refusals(), ["evidence", "evidence"]);
    peer.deliver(&authority.node, &good)
        .await
        .unwrap()
        .receipt()
        .unwrap();
}

#[tokio::test]
async fn a_peer_whose_key_is_not_in_the_directory_does_not_get_a_connection() {
    let scheme = Scheme::running(Suite::Classical, &[NGO, AUTHORITY])
        .await
        .unwrap();
    let [ngo, authority] = &scheme.agencies[..] else {
        unreachable!()
    };
    // Registered, but with another operator.
    let elsewhere = Scheme::new(Suite::Classical, &[NGO]).await.unwrap();
    let request = wire::CurrentRequest {
        agency: authority.id.to_string(),
    }
    .encode_to_vec();
    for (node, answered) in [(&elsewhere.agencies[0].node, false), (&ngo.node, true)] {
        let mut peer = Hostile::beside(node, Conduct::Honest).await.unwrap();
        let reply = peer
            .call(&authority.node, CURRENT, request.clone())
            .await
            .unwrap();
        assert_eq!(reply.code == 0, answered, "{reply:?}");
    }
}

#[tokio::test]
async fn a_registered_peer_offers_messages_of_its_own_agencies_only() {
    let scheme = Scheme::running(Suite::Classical, &[NGO, AUTHORITY, OTHER_AUTHORITY])
        .await
        .unwrap();
    let [ngo, authority, other] = &scheme.agencies[..] else {
        unreachable!()
    };
    let mut sender = Officer::of(&scheme, ngo).await.unwrap();
    let letter = Letter::referral().unwrap();
    sender.send(&authority.id, &letter).await.unwrap();
    let fetched = sender.fetch(&letter.id).await.unwrap();
    let request = peer::request(&mut sender, &fetched, 0).await.unwrap();
    let mut peer = Hostile::beside(&other.node, Conduct::Honest).await.unwrap();
    let answer = peer.deliver(&authority.node, &request).await.unwrap();
    assert_eq!(answer, Answer::Refusal("not-hosted-by-peer".to_owned()));
    let mut peer = Hostile::beside(&ngo.node, Conduct::Honest).await.unwrap();
    let answer = peer.deliver(&other.node, &request).await.unwrap();
    assert_eq!(answer, Answer::Refusal("not-hosted-here".to_owned()));
}

#[tokio::test]
async fn both_listeners_tell_a_pinned_caller_that_they_serve() {
    let scheme = Scheme::running(Suite::Classical, &[NGO, AUTHORITY])
        .await
        .unwrap();
    let [ngo, authority] = &scheme.agencies[..] else {
        unreachable!()
    };
    let identity = ngo.node.identity().unwrap();
    let listening = authority.node.listening().unwrap();
    for listener in [listening.peers, listening.desks] {
        let channel = peer::channel(listener, &authority.node, &identity).unwrap();
        let reply = HealthClient::new(channel)
            .check(HealthCheckRequest::default())
            .await
            .unwrap();
        assert_eq!(reply.into_inner().status(), ServingStatus::Serving);
        // Who pins another key does not get through to it.
        let channel = peer::channel(listener, &ngo.node, &identity).unwrap();
        HealthClient::new(channel)
            .check(HealthCheckRequest::default())
            .await
            .unwrap_err();
    }
}
