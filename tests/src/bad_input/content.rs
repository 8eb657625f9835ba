//! What only the desk can see: an officer with a client of their own making submits it at a real node,
//! another real node takes it, and the stock client finds it on opening. Both logs hold the report.

use waypost_proto::id::{Digest, MessageId};
use waypost_proto::openpgp::Suite;
use waypost_proto::wire::{self, Outcome, log_entry::Event};

use crate::client::{Client, Ran};
use crate::forgery::Forgery;
use crate::ledger::Ledger;
use crate::letter::{Letter, VALUES};
use crate::officer::Officer;
use crate::scheme::{AUTHORITY, NGO, Scheme};
use crate::wait;

/// Delivers what `change` makes of an honest referral, and opens it with the stock client: it fails with
/// `check`, and a report of `kind` is in both logs. Returns what the client printed.
async fn found_on_opening(
    change: impl FnOnce(&Scheme, Forgery) -> Forgery,
    check: &str,
    kind: wire::Kind,
) -> Ran {
    let scheme = Scheme::running(Suite::Classical, &[NGO, AUTHORITY])
        .await
        .unwrap();
    let [ngo, authority] = &scheme.agencies[..] else {
        unreachable!()
    };
    let mut sender = Officer::of(&scheme, ngo).await.unwrap();
    let mut recipient = Officer::of(&scheme, authority).await.unwrap();
    let client = Client::of(&scheme, authority).unwrap();
    let before = Letter::referral().unwrap();
    sender.deliver(&authority.id, &before).await.unwrap();

    let letter = Letter::referral().unwrap();
    let ends = scheme.ends(ngo, authority).unwrap();
    let honest = Forgery::of(&ends, &letter, ngo.officer(0).unwrap()).unwrap();
    let envelope = change(&scheme, honest).seal().unwrap();
    sender.send_sealed(envelope).await.unwrap();
    sender
        .outcome(&letter.id, Outcome::Delivered)
        .await
        .unwrap();

    let opened = client.run(&["open", &letter.id.to_string()]).await.unwrap();
    assert_eq!(opened.code, Some(1), "{}", opened.text);
    assert!(opened.text.contains(check), "{}", opened.text);
    let what = format!("both logs hold the report of {}", letter.id);
    wait::until(&what, async || {
        let theirs = Ledger::read(&scheme, authority, &mut recipient).await?;
        let ours = Ledger::read(&scheme, ngo, &mut sender).await?;
        let reported = reports(&theirs, &letter.id) == [("submitted", kind)]
            && reports(&ours, &letter.id) == [("received", kind)];
        Ok(reported.then_some(()))
    })
    .await
    .unwrap();

    let opened_before = client.run(&["open", &before.id.to_string()]).await.unwrap();
    assert_eq!(opened_before.code, Some(0), "{}", opened_before.text);
    assert!(opened_before.text.contains(VALUES[0]));
    opened
}

/// The entries about reports of a message.
fn reports(ledger: &Ledger, of: &MessageId) -> Vec<(&'static str, wire::Kind)> {
    let facts = ledger.entries.iter().filter_map(|entry| {
        let facts = match &entry.event {
            Event::Submitted(submitted) => submitted.message.as_ref()?,
            Event::Received(received) => received.message.as_ref()?,
            _ => return None,
        };
        (facts.in_reply_to == of.as_bytes()).then_some((entry.name(), facts.kind()))
    });
    facts.collect()
}

/// TRU-03.
#[tokio::test]
async fn a_manifest_that_understates_the_content_is_found_on_opening_and_reported_to_both_logs() {
    let opened = found_on_opening(
        |_, forgery| {
            let names = |part: &String| part != "IDN.rest";
            forgery.declare(|m| m.parts.retain(names)).unwrap()
        },
        "TRU-03",
        wire::Kind::ReportUnderstated,
    )
    .await;
    // What was declared is shown, what was not is not.
    let form = &opened.json["form"];
    assert_eq!(form["exp"]["site"], VALUES[3]);
    assert!(form["idn"].is_null(), "{form}");
}

/// OPN-02.
#[tokio::test]
async fn an_inner_signer_that_differs_from_the_outer_one_is_found_on_opening_and_reported() {
    let opened = found_on_opening(
        |scheme, mut forgery| {
            let colleague = scheme.agencies[0].officer(1).unwrap();
            forgery.inner = colleague.signing_key().unwrap();
            forgery
        },
        "OPN-02",
        wire::Kind::ReportUnreadable,
    )
    .await;
    assert!(!opened.text.contains(VALUES[0]), "{}", opened.text);
}

/// OPN-03.
#[tokio::test]
async fn the_body_of_one_message_signed_under_the_header_of_another_is_found_on_opening_and_reported()
 {
    let opened = found_on_opening(
        |_, mut forgery| {
            forgery.names = Some(Digest::of(b"another header"));
            forgery
        },
        "OPN-03",
        wire::Kind::ReportUnreadable,
    )
    .await;
    assert!(!opened.text.contains(VALUES[0]), "{}", opened.text);
}

/// TRU-01, FORM-11.
#[tokio::test]
async fn a_body_with_unknown_fields_is_found_on_opening_and_reported() {
    let opened = found_on_opening(
        |_, forgery| {
            let unknown = [forgery.payload.as_slice(), &[0xc0, 0x3e, 1]].concat();
            forgery.carry(unknown)
        },
        "TRU-01",
        wire::Kind::ReportUnreadable,
    )
    .await;
    assert!(!opened.text.contains(VALUES[0]), "{}", opened.text);
}
