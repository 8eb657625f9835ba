//! From one agency to another and back.

use waypost_proto::kind::Kind;
use waypost_proto::openpgp::Suite;
use waypost_proto::wire::{Outcome, log_entry::Event};

use crate::ledger::{self, Ledger};
use crate::letter::Letter;
use crate::officer::Officer;
use crate::scheme::{AUTHORITY, CHILD_PROTECTION, NGO, SCHOOL, Scheme};

#[tokio::test]
async fn a_referral_is_fetched_opened_acknowledged_and_answered_and_both_logs_prove_it() {
    let scheme = Scheme::running(Suite::PostQuantum, &[NGO, AUTHORITY])
        .await
        .unwrap();
    let [ngo, authority] = &scheme.agencies[..] else {
        unreachable!()
    };
    let mut sender = Officer::of(&scheme, ngo).await.unwrap();
    let mut recipient = Officer::of(&scheme, authority).await.unwrap();

    let referral = Letter::referral().unwrap();
    let submitted = sender.send(&authority.id, &referral).await.unwrap();
    let (_, entry) = ledger::prove(&submitted, &ledger::record(&scheme, ngo).unwrap()).unwrap();
    assert!(matches!(entry.event, Event::Submitted(_)));

    let (header, truthful) = recipient.receive(&referral.id).await.unwrap();
    assert_eq!(header.kind, Kind::ReferralNrm);
    assert_eq!(truthful.form().text("idn.given_name"), Some("Zelphinora"));

    let acknowledgement = Letter::acknowledgement(&header).unwrap();
    recipient.deliver(&ngo.id, &acknowledgement).await.unwrap();
    let (answer, _) = sender.receive(&acknowledgement.id).await.unwrap();
    assert_eq!(answer.in_reply_to, Some(referral.id));

    let reply = Letter::reply(&answer).unwrap();
    sender.deliver(&authority.id, &reply).await.unwrap();
    let (_, truthful) = recipient.receive(&reply.id).await.unwrap();
    let note = truthful.form().text("note").unwrap();
    assert!(note.contains("hawthornlike"));

    // The receipt is the recipient's own entry, proved in its log.
    sender
        .outcome(&referral.id, Outcome::Delivered)
        .await
        .unwrap();
    let receipt = sender
        .fetch(&referral.id)
        .await
        .unwrap()
        .counterpart
        .unwrap();
    let (index, _) = ledger::prove(&receipt, &ledger::record(&scheme, authority).unwrap()).unwrap();

    let theirs = Ledger::read(&scheme, authority, &mut recipient)
        .await
        .unwrap();
    assert_eq!(theirs.bytes[usize::try_from(index).unwrap()], receipt.entry);
    assert_eq!(
        theirs.story(&referral.id),
        ["received", "fetched", "opened"]
    );
    assert_eq!(
        theirs.story(&acknowledgement.id),
        ["submitted", "delivered"]
    );
    let ours = Ledger::read(&scheme, ngo, &mut sender).await.unwrap();
    assert_eq!(
        ours.story(&referral.id),
        ["submitted", "delivered", "fetched"]
    );
    assert_eq!(
        ours.story(&acknowledgement.id),
        ["received", "fetched", "opened"]
    );
}

#[tokio::test]
async fn a_pupil_made_to_carry_drugs_is_told_of_to_child_protection_and_the_offence_is_not() {
    let scheme = Scheme::running(Suite::Classical, &[SCHOOL, CHILD_PROTECTION])
        .await
        .unwrap();
    let [school, authority] = &scheme.agencies[..] else {
        unreachable!()
    };
    let mut sender = Officer::of(&scheme, school).await.unwrap();
    let mut recipient = Officer::of(&scheme, authority).await.unwrap();
    let referral = Letter::referral_of_pupil().unwrap();
    sender.deliver(&authority.id, &referral).await.unwrap();

    let (header, truthful) = recipient.receive(&referral.id).await.unwrap();
    assert_eq!(header.kind, Kind::ReferralChild);
    let form = truthful.form();
    assert!(form.texts("ind.codes").contains(&"IND-PHY-06"));
    for taken_out in ["off.convictions", "off.charge_status", "nar.account_text"] {
        assert_eq!(form.text(taken_out), None, "{taken_out}");
    }
    assert!(!form.texts("rsk.risk_codes").contains(&"RISK-11"));

    let acknowledgement = Letter::acknowledgement(&header).unwrap();
    recipient
        .deliver(&school.id, &acknowledgement)
        .await
        .unwrap();
    let (answer, _) = sender.receive(&acknowledgement.id).await.unwrap();
    assert_eq!(answer.in_reply_to, Some(referral.id));
}
