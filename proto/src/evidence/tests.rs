//! Evidence from a small log, and every way in which it does not prove what it should.

use super::*;
use crate::checkpoint::SignedCheckpoint;
use crate::directory::LogKey;
use crate::merkle::{self, Tree, leaf_hash};
use crate::note::{KeyName, NoteSigner};
use crate::roster::CertificateRef;

const NOW: Timestamp = Timestamp(1_780_000_000);

/// A sender's log of three entries, of which the second submits a message.
struct Sender {
    record: AgencyRecord,
    signer: NoteSigner,
    entries: Vec<Vec<u8>>,
    tree: Tree,
}

fn facts(id: u8) -> wire::MessageFacts {
    wire::MessageFacts {
        message_id: vec![id; 16],
        ..Default::default()
    }
}

fn submitted(id: u8) -> wire::Submitted {
    wire::Submitted {
        message: Some(facts(id)),
        lane: "ordinary".into(),
        number: 1,
        rules: Vec::new(),
    }
}

fn entry(time: Timestamp, event: Event) -> Vec<u8> {
    Entry { time, event }.encode()
}

fn sender(events: impl IntoIterator<Item = Vec<u8>>) -> Sender {
    let id: AgencyId = "gb.example.sender".parse().unwrap();
    let signer = NoteSigner::generate(KeyName::of_log(&id)).unwrap();
    let entries: Vec<_> = events.into_iter().collect();
    let log_key = LogKey {
        verifier: signer.verifier().clone(),
        valid_from: NOW,
        valid_until: Some(NOW.plus(1000)),
        epoch: 1,
    };
    let certificate = CertificateRef {
        fingerprint: crate::id::Fingerprint::new([1; 32]),
        digest: Digest::of(b""),
    };
    Sender {
        record: AgencyRecord {
            id,
            name: "sender".into(),
            roles: std::collections::BTreeSet::new(),
            jurisdiction: "GB".into(),
            node: "gb.example".parse().unwrap(),
            certificate,
            log_keys: vec![log_key],
            attestations: std::collections::BTreeSet::new(),
            succession: Default::default(),
        },
        signer,
        tree: Tree::of(entries.iter().map(|e| leaf_hash(e))),
        entries,
    }
}

fn three() -> Sender {
    let events = [submitted(1), submitted(2), submitted(3)];
    sender(events.map(|event| entry(NOW, Event::Submitted(event))))
}

impl Sender {
    fn evidence(&self, index: u64, from: u64) -> wire::Evidence {
        let size = self.tree.size();
        let checkpoint = SignedCheckpoint::sign(&self.signer, size, self.tree.root());
        let path = self.tree.inclusion_proof(index).unwrap();
        let consistency = match from {
            0 => Vec::new(),
            from => merkle::consistency_proof(&self.tree, from, size).unwrap(),
        };
        wire::Evidence {
            entry: self.entries[usize::try_from(index).unwrap()].clone(),
            proof: TlogProof::new(index, path, &checkpoint).encode(),
            consistency_from: from,
            consistency: consistency.iter().map(|h| h.as_bytes().to_vec()).collect(),
        }
    }

    fn seen(&self, size: usize) -> LastSeen {
        let tree = Tree::of(self.entries[..size].iter().map(|e| leaf_hash(e)));
        LastSeen {
            size: tree.size(),
            root: tree.root(),
        }
    }

    fn verify(
        &self,
        evidence: &wire::Evidence,
        seen: Option<LastSeen>,
    ) -> Result<Proved, EvidenceError> {
        Proved::verify(evidence, &self.record, seen, NOW)
    }
}

#[test]
fn evidence_proves_its_entry_from_whatever_was_last_seen() {
    let sender = three();
    for seen in 0..=3 {
        let last = (seen > 0).then(|| sender.seen(seen));
        let from = last.map_or(0, |last| last.size);
        // Consistency with itself has no path.
        let mut evidence = sender.evidence(1, if seen == 3 { 0 } else { from });
        evidence.consistency_from = from;
        let proved = sender.verify(&evidence, last).unwrap();
        assert_eq!(proved.index(), 1);
        assert_eq!(proved.last_seen(last).size, 3);
        assert_eq!(
            *proved.submitted(&facts(2), Lane::Ordinary).unwrap(),
            submitted(2)
        );
    }
}

/// EVI-01, ENT-01, ENT-02.
#[test]
fn an_entry_that_does_not_decode_is_refused() {
    let sender = three();
    let good = sender.evidence(0, 0);
    let unknown_field = [good.entry.as_slice(), &[0xf8, 0x07, 0x01]].concat();
    let too_long = vec![0; limit::ENTRY_BYTES + 1];
    let other_version = prost::Message::encode_to_vec(&wire::LogEntry {
        version: 2,
        time: NOW.0,
        event: None,
    });
    for (entry, check) in [
        (unknown_field, "ENT-01"),
        (too_long, "ENT-01"),
        (other_version, "ENT-02"),
    ] {
        let error = sender
            .verify(
                &wire::Evidence {
                    entry,
                    ..good.clone()
                },
                None,
            )
            .unwrap_err();
        assert!(matches!(error, EvidenceError::Entry(_)));
        assert!(
            error.to_string().starts_with(&format!("EVI-01: {check}")),
            "{error}"
        );
        assert_eq!(error.reason(), Reason::Evidence);
    }
}

/// EVI-02: a key is valid from five minutes before its date until its end.
#[test]
fn an_entry_from_outside_the_time_of_every_log_key_is_refused() {
    for (time, holds) in [
        (NOW.0 - limit::CLOCK_SKEW_SECONDS, true),
        (NOW.0 - limit::CLOCK_SKEW_SECONDS - 1, false),
        (NOW.0 + 999, true),
        (NOW.0 + 1000, false),
    ] {
        let sender = sender([entry(Timestamp(time), Event::Submitted(submitted(1)))]);
        let verified = Proved::verify(
            &sender.evidence(0, 0),
            &sender.record,
            None,
            Timestamp(time),
        );
        match verified {
            Ok(_) => assert!(holds, "{time}"),
            Err(error) => assert!(
                !holds && matches!(error, EvidenceError::NoKey),
                "{time}: {error}"
            ),
        }
    }
}

/// EVI-03: another log's key, another entry, a proof that does not parse.
#[test]
fn a_proof_that_does_not_verify_is_refused() {
    let (sender, other) = (three(), three());
    let good = sender.evidence(0, 0);
    let by_another_key = other.evidence(0, 0);
    let of_another_entry = wire::Evidence {
        entry: sender.entries[1].clone(),
        ..good.clone()
    };
    let no_proof = wire::Evidence {
        proof: b"c2sp".to_vec(),
        ..good
    };
    for evidence in [by_another_key, of_another_entry, no_proof] {
        let error = sender.verify(&evidence, None).unwrap_err();
        assert!(matches!(error, EvidenceError::Proof(_)), "{error}");
        assert_eq!(error.reason(), Reason::Evidence);
    }
}

/// EVI-04.
#[test]
fn a_proof_from_another_size_than_last_seen_is_sent_again_from_the_right_one() {
    let sender = three();
    for (seen, from) in [
        (Some(sender.seen(2)), 1),
        (Some(sender.seen(1)), 0),
        (None, 2),
    ] {
        let error = sender.verify(&sender.evidence(0, from), seen).unwrap_err();
        let expected = seen.map_or(0, |seen| seen.size);
        assert!(
            matches!(error, EvidenceError::From { seen, .. } if seen == expected),
            "{error}"
        );
        assert_eq!(error.reason(), Reason::LastSeenDiffers);
    }
}

/// EVI-05.
#[test]
fn a_log_that_was_rewritten_is_refused_and_a_contradiction_is_told_apart() {
    let sender = three();
    let other_root = LastSeen {
        size: 2,
        root: Digest::of(b"rewritten"),
    };
    let error = sender
        .verify(&sender.evidence(0, 2), Some(other_root))
        .unwrap_err();
    assert!(
        matches!(
            error,
            EvidenceError::Progress(ProgressError::NotConsistent { .. })
        ),
        "{error}"
    );
    assert_eq!(error.reason(), Reason::Evidence);
    let same_size = LastSeen {
        size: 3,
        ..other_root
    };
    let evidence = wire::Evidence {
        consistency_from: 3,
        ..sender.evidence(0, 0)
    };
    let error = sender.verify(&evidence, Some(same_size)).unwrap_err();
    assert_eq!(error.reason(), Reason::Contradiction);
}

/// EVI-06.
#[test]
fn a_path_with_too_many_hashes_or_a_hash_of_another_length_is_refused() {
    let sender = three();
    let good = sender.evidence(0, 2);
    let long = wire::Evidence {
        consistency: vec![vec![0; 32]; limit::PROOF_HASHES + 1],
        ..good.clone()
    };
    let error = sender.verify(&long, Some(sender.seen(2))).unwrap_err();
    assert!(matches!(error, EvidenceError::TooMany), "{error}");
    let short = wire::Evidence {
        consistency: vec![vec![0; 31]],
        ..good
    };
    let error = sender.verify(&short, Some(sender.seen(2))).unwrap_err();
    assert!(matches!(error, EvidenceError::Hash(_)), "{error}");
}

/// EVI-07.
#[test]
fn a_receipt_of_another_message_lane_or_number_proves_nothing() {
    let received = |message, lane: &str, number| {
        let lane = lane.to_owned();
        let event = wire::Received {
            message: Some(message),
            lane,
            number,
            ..Default::default()
        };
        entry(NOW, Event::Received(event))
    };
    let expired = |id: u8, number| {
        let event = wire::Expired {
            message_id: vec![id; 16],
            lane: "ordinary".into(),
            number,
            ..Default::default()
        };
        entry(NOW, Event::Expired(event))
    };
    let receipt_of = |entry: Vec<u8>| {
        let recipient = sender([entry]);
        recipient
            .verify(&recipient.evidence(0, 0), None)
            .unwrap()
            .receipt(&submitted(1))
    };
    assert_eq!(
        receipt_of(received(facts(1), "ordinary", 1)).unwrap(),
        Receipt::Accepted
    );
    assert_eq!(receipt_of(expired(1, 1)).unwrap(), Receipt::Tombstone);
    for entry in [
        received(facts(2), "ordinary", 1),
        received(facts(1), "danger", 1),
        received(facts(1), "ordinary", 2),
        expired(2, 1),
        expired(1, 2),
        entry(NOW, Event::Submitted(submitted(1))),
    ] {
        let error = receipt_of(entry).unwrap_err();
        assert!(matches!(error, EvidenceError::OtherMessage), "{error}");
    }
}

/// ORD-01.
#[test]
fn a_message_numbered_in_another_lane_than_its_manifest_calls_for_is_refused() {
    let sender = three();
    let proved = sender.verify(&sender.evidence(1, 0), None).unwrap();
    let error = proved.submitted(&facts(2), Lane::Danger).unwrap_err();
    assert!(matches!(error, EvidenceError::Lane), "{error}");
}

fn gap() -> Gap {
    Gap {
        message: MessageId::new([1; 16]),
        sender: "gb.example.sender".parse().unwrap(),
        recipient: "gb.example.recipient".parse().unwrap(),
        lane: Lane::Danger,
        number: 7,
    }
}

fn refused(by: &str) -> wire::Refused {
    wire::Refused {
        message_id: vec![1; 16],
        sender_agency: "gb.example.sender".into(),
        recipient_agency: "gb.example.recipient".into(),
        by: by.into(),
        lane: "danger".into(),
        number: 7,
        ..Default::default()
    }
}

/// ORD-03.
#[test]
fn only_the_senders_own_refused_or_expired_entry_with_a_number_is_a_gap_notice() {
    let notice = |event| {
        let sender = sender([entry(NOW, event)]);
        let proved = sender.verify(&sender.evidence(0, 0), None).unwrap();
        proved.gap()
    };
    let expired = wire::Expired {
        message_id: vec![1; 16],
        sender_agency: "gb.example.sender".into(),
        recipient_agency: "gb.example.recipient".into(),
        lane: "danger".into(),
        number: 7,
        ..Default::default()
    };
    assert_eq!(notice(Event::Expired(expired.clone())).unwrap(), gap());
    assert_eq!(
        notice(Event::Refused(refused(BY_RECIPIENT))).unwrap(),
        gap()
    );
    let other = [
        Event::Refused(refused(BY_US)),
        Event::Refused(wire::Refused {
            number: 0,
            ..refused(BY_RECIPIENT)
        }),
        Event::Refused(wire::Refused {
            lane: "fast".into(),
            ..refused(BY_RECIPIENT)
        }),
        Event::Expired(wire::Expired {
            message_id: vec![1; 15],
            ..expired
        }),
        Event::Submitted(submitted(1)),
    ];
    for event in other {
        let error = notice(event).unwrap_err();
        assert!(matches!(error, EvidenceError::NoGap), "{error}");
    }
}

/// EVI-07.
#[test]
fn a_receipt_of_another_gap_proves_nothing() {
    let noted = || wire::Gap {
        message_id: vec![1; 16],
        sender_agency: "gb.example.sender".into(),
        recipient_agency: "gb.example.recipient".into(),
        lane: "danger".into(),
        number: 7,
        ..Default::default()
    };
    let receipt = |event| {
        let recipient = sender([entry(NOW, event)]);
        let proved = recipient.verify(&recipient.evidence(0, 0), None).unwrap();
        proved.gap_receipt(&gap())
    };
    receipt(Event::Gap(noted())).unwrap();
    for event in [
        Event::Gap(wire::Gap {
            number: 8,
            ..noted()
        }),
        Event::Gap(wire::Gap {
            lane: "ordinary".into(),
            ..noted()
        }),
        Event::Gap(wire::Gap {
            message_id: vec![2; 16],
            ..noted()
        }),
        Event::Refused(refused(BY_RECIPIENT)),
    ] {
        assert!(receipt(event).is_err());
    }
}

/// EVI-08.
#[test]
fn an_entry_from_the_future_is_refused() {
    let at = |ahead| {
        let sender = sender([entry(NOW.plus(ahead), Event::Submitted(submitted(1)))]);
        sender.verify(&sender.evidence(0, 0), None).map(|_| ())
    };
    at(limit::CLOCK_SKEW_SECONDS).unwrap();
    let error = at(limit::CLOCK_SKEW_SECONDS + 1).unwrap_err();
    assert!(matches!(error, EvidenceError::Future), "{error}");
}
