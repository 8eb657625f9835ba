//! A recipient's node that lies about what it received.

use waypost_proto::openpgp::Suite;
use waypost_proto::wire::Outcome;

use crate::hostile::Hostile;
use crate::hostile::order::Conduct;
use crate::ledger::{self, Ledger};
use crate::letter::Letter;
use crate::officer::Officer;
use crate::scheme::{AUTHORITY, NGO, OTHER_AUTHORITY, Scheme};
use crate::wait;

/// A line of the sender's node: it does not believe what it was answered.
const DISBELIEVED: &str = "the recipient's evidence does not verify";
/// A line of the sender's node: a call ended without an answer.
const NO_ANSWER: &str = "no answer";

/// The node of a first responder, and a hostile one in the place of an authority's.
struct Lied {
    scheme: Scheme,
    hostile: Hostile,
    sender: Officer,
    before: Letter,
}

impl Lied {
    /// One message was honestly received.
    async fn new() -> Self {
        let mut scheme = Scheme::new(Suite::Classical, &[NGO, AUTHORITY])
            .await
            .unwrap();
        scheme.node_mut(0).unwrap().start().await.unwrap();
        let [ngo, authority] = &scheme.agencies[..] else {
            unreachable!()
        };
        let hostile = Hostile::instead_of(&authority.node, Conduct::Honest)
            .await
            .unwrap();
        let mut sender = Officer::of(&scheme, ngo).await.unwrap();
        let before = Letter::referral().unwrap();
        sender.deliver(&authority.id, &before).await.unwrap();
        Self {
            scheme,
            hostile,
            sender,
            before,
        }
    }

    async fn send(&mut self) -> Letter {
        let letter = Letter::referral().unwrap();
        let to = &self.scheme.agencies[1].id;
        self.sender.send(to, &letter).await.unwrap();
        letter
    }

    fn said(&self, text: &str) -> usize {
        self.scheme.agencies[0].node.said(text).unwrap()
    }

    async fn until_said(&self, text: &str, more_than: usize) {
        wait::until(text, async || {
            Ok((self.said(text) > more_than).then_some(()))
        })
        .await
        .unwrap();
    }

    async fn ledger(&mut self) -> Ledger {
        let ngo = &self.scheme.agencies[0];
        Ledger::read(&self.scheme, ngo, &mut self.sender)
            .await
            .unwrap()
    }

    /// The message waits, and what was delivered before is so, and proved.
    async fn still_queued(&mut self, letter: &Letter) {
        let item = self.sender.item(&letter.id).await.unwrap().unwrap();
        assert_eq!(item.outcome(), Outcome::Queued);
        assert_eq!(self.ledger().await.story(&letter.id), ["submitted"]);
        let item = self.sender.item(&self.before.id).await.unwrap().unwrap();
        assert_eq!(item.outcome(), Outcome::Delivered);
        let fetched = self.sender.fetch(&self.before.id).await.unwrap();
        let record = ledger::record(&self.scheme, &self.scheme.agencies[1]).unwrap();
        ledger::prove(&fetched.counterpart.unwrap(), &record).unwrap();
    }

    /// The node tells the truth again: the message is delivered, once.
    async fn resolved(&mut self, letter: &Letter) {
        self.hostile.behave(Conduct::Honest).await.unwrap();
        self.sender
            .outcome(&letter.id, Outcome::Delivered)
            .await
            .unwrap();
        let story = self.ledger().await.story(&letter.id);
        assert_eq!(story, ["submitted", "delivered"]);
    }

    /// An answer of this kind is not believed.
    async fn disbelieves(conducts: &[Conduct]) -> Self {
        let mut lied = Self::new().await;
        for conduct in conducts {
            lied.hostile.behave(*conduct).await.unwrap();
            let before = lied.said(DISBELIEVED);
            let letter = lied.send().await;
            lied.until_said(DISBELIEVED, before).await;
            lied.still_queued(&letter).await;
            lied.resolved(&letter).await;
        }
        lied
    }
}

/// EVI-03.
#[tokio::test]
async fn a_forged_receipt_settles_nothing() {
    let mut lied = Lied::disbelieves(&[Conduct::OtherKey, Conduct::MadeUp]).await;
    assert_eq!(lied.ledger().await.count("contradiction"), 0);
}

/// EVI-07.
#[tokio::test]
async fn a_receipt_for_another_message_settles_nothing() {
    Lied::disbelieves(&[Conduct::OtherMessage]).await;
}

/// LOG-14, LOG-15: two roots of one size are kept as proof, once.
#[tokio::test]
async fn a_receipt_with_a_checkpoint_that_contradicts_an_earlier_one_settles_nothing_and_is_kept() {
    let mut lied = Lied::disbelieves(&[Conduct::Smaller, Conduct::Rewritten]).await;
    assert_eq!(lied.ledger().await.count("contradiction"), 0);
    let mut lied = Lied::disbelieves(&[Conduct::SameSize]).await;
    assert_eq!(lied.ledger().await.count("contradiction"), 1);
}

#[tokio::test]
async fn an_answer_that_is_too_large_or_cut_off_settles_nothing() {
    let mut lied = Lied::new().await;
    for conduct in [Conduct::Huge, Conduct::Truncated] {
        lied.hostile.behave(conduct).await.unwrap();
        let before = lied.said(NO_ANSWER);
        let letter = lied.send().await;
        lied.until_said(NO_ANSWER, before).await;
        lied.still_queued(&letter).await;
        lied.resolved(&letter).await;
    }
}

#[tokio::test]
async fn a_peer_that_accepts_and_never_answers_is_given_up_and_delays_nobody_else() {
    let mut scheme = Scheme::new(Suite::Classical, &[NGO, AUTHORITY, OTHER_AUTHORITY])
        .await
        .unwrap();
    for index in [0, 2] {
        scheme.node_mut(index).unwrap().start().await.unwrap();
    }
    let [ngo, authority, other] = &scheme.agencies[..] else {
        unreachable!()
    };
    let mut hostile = Hostile::instead_of(&authority.node, Conduct::Silent)
        .await
        .unwrap();
    let mut sender = Officer::of(&scheme, ngo).await.unwrap();
    let waiting = Letter::referral().unwrap();
    sender.send(&authority.id, &waiting).await.unwrap();
    let elsewhere = Letter::referral().unwrap();
    sender.deliver(&other.id, &elsewhere).await.unwrap();
    assert_eq!(ngo.node.said(NO_ANSWER).unwrap(), 0);
    // The call has its deadline.
    wait::until("the call is given up", async || {
        Ok((ngo.node.said(NO_ANSWER)? > 0).then_some(()))
    })
    .await
    .unwrap();
    let item = sender.item(&waiting.id).await.unwrap().unwrap();
    assert_eq!(item.outcome(), Outcome::Queued);
    hostile.behave(Conduct::Honest).await.unwrap();
    sender
        .outcome(&waiting.id, Outcome::Delivered)
        .await
        .unwrap();
    let ours = Ledger::read(&scheme, ngo, &mut sender).await.unwrap();
    assert_eq!(ours.story(&waiting.id), ["submitted", "delivered"]);
    assert_eq!(ours.story(&elsewhere.id), ["submitted", "delivered"]);
}

#[tokio::test]
async fn a_peer_that_dies_in_the_middle_of_a_call_settles_nothing() {
    let mut scheme = Scheme::new(Suite::Classical, &[NGO, AUTHORITY])
        .await
        .unwrap();
    scheme.node_mut(0).unwrap().start().await.unwrap();
    let [ngo, authority] = &scheme.agencies[..] else {
        unreachable!()
    };
    let mut dying = Hostile::instead_of(&authority.node, Conduct::Dies)
        .await
        .unwrap();
    let mut sender = Officer::of(&scheme, ngo).await.unwrap();
    let letter = Letter::referral().unwrap();
    sender.send(&authority.id, &letter).await.unwrap();
    dying.ended().await.unwrap();
    let item = sender.item(&letter.id).await.unwrap().unwrap();
    assert_eq!(item.outcome(), Outcome::Queued);
    let _again = Hostile::instead_of(&authority.node, Conduct::Honest)
        .await
        .unwrap();
    sender
        .outcome(&letter.id, Outcome::Delivered)
        .await
        .unwrap();
    let ours = Ledger::read(&scheme, ngo, &mut sender).await.unwrap();
    assert_eq!(ours.story(&letter.id), ["submitted", "delivered"]);
}
