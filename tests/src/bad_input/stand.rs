//! A hostile sender before a real node, and what must be true after each refusal.

use waypost_proto::id::MessageId;
use waypost_proto::openpgp::{KeyRole, SecretKey, Suite};
use waypost_proto::wire::{self, log_entry::Event};

use crate::forgery::{self, Forgery};
use crate::hostile::Hostile;
use crate::hostile::order::{Conduct, Offer};
use crate::ledger::{self, Ledger};
use crate::letter::{Letter, VALUES};
use crate::officer::Officer;
use crate::peer::Answer;
use crate::scheme::{self, AUTHORITY, Agency, NGO, Scheme, Wanted};

/// The node of an authority, a hostile node in the place of a first responder's, and one message that
/// was honestly delivered.
pub(super) struct Stand {
    pub(super) scheme: Scheme,
    pub(super) hostile: Hostile,
    pub(super) recipient: Officer,
    before: Letter,
}

impl Stand {
    pub(super) async fn new(suite: Suite) -> Self {
        Self::with(suite, &[]).await
    }

    /// With more agencies, whose nodes do not run.
    pub(super) async fn with(suite: Suite, others: &[Wanted]) -> Self {
        let wanted = [&[NGO, AUTHORITY], others].concat();
        let mut scheme = Scheme::new(suite, &wanted).await.unwrap();
        scheme.node_mut(1).unwrap().start().await.unwrap();
        let hostile = Hostile::instead_of(&scheme.agencies[0].node, Conduct::Honest)
            .await
            .unwrap();
        let recipient = Officer::of(&scheme, &scheme.agencies[1]).await.unwrap();
        let before = Letter::referral().unwrap();
        let mut stand = Self {
            scheme,
            hostile,
            recipient,
            before: before.clone(),
        };
        let honest = stand.forge(&before).seal().unwrap();
        stand.offer(honest).await.receipt().unwrap();
        stand.unharmed().await;
        stand
    }

    pub(super) fn sender(&self) -> &Agency {
        &self.scheme.agencies[0]
    }

    pub(super) fn authority(&self) -> &Agency {
        &self.scheme.agencies[1]
    }

    /// An honest message, to change one thing of.
    pub(super) fn forge(&self, letter: &Letter) -> Forgery {
        let ends = self.scheme.ends(self.sender(), self.authority()).unwrap();
        Forgery::of(&ends, letter, self.sender().officer(0).unwrap()).unwrap()
    }

    /// An honest referral, to change one thing of.
    pub(super) fn forgery(&self) -> Forgery {
        self.forge(&Letter::referral().unwrap())
    }

    /// The same, sent under another roster.
    pub(super) fn forgery_under(&self, roster: &[u8], officer: usize) -> Forgery {
        let mut ends = self.scheme.ends(self.sender(), self.authority()).unwrap();
        ends.sender = self.scheme.party_under(self.sender(), roster).unwrap();
        let letter = Letter::referral().unwrap();
        Forgery::of(&ends, &letter, self.sender().officer(officer).unwrap()).unwrap()
    }

    /// A message whose officer and desks have keys of the classical suite, whatever the directory
    /// names.
    pub(super) fn classical(&self) -> Forgery {
        let make = |role| SecretKey::generate(role, Suite::Classical, "other", scheme::born());
        let (officer, desk) = (
            make(KeyRole::Officer).unwrap(),
            make(KeyRole::Desk).unwrap(),
        );
        let mut forgery = self.forgery();
        forgery.header.officer = officer.certificate().fingerprint().as_bytes().to_vec();
        forgery.header.suite = wire::Suite::Classical.into();
        forgery.inner = officer.signing_key().unwrap();
        forgery.outer = officer.signing_key().unwrap();
        forgery
            .to_key(forgery::stranger(&desk).unwrap())
            .from_key(forgery::stranger(&desk).unwrap())
    }

    /// The node is killed and started again.
    pub(super) async fn restart(&mut self) {
        let node = self.scheme.node_mut(1).unwrap();
        node.kill().await.unwrap();
        node.start().await.unwrap();
        self.log_in().await;
    }

    /// The officer of the authority logs in anew.
    pub(super) async fn log_in(&mut self) {
        self.recipient = Officer::of(&self.scheme, self.authority()).await.unwrap();
    }

    /// The hostile node shows `roster` from now on.
    pub(super) async fn show(&mut self, roster: &[u8]) {
        let certificates = self.sender().certificates();
        let shown = self.hostile.show(roster.to_vec(), certificates).await;
        shown.unwrap();
    }

    pub(super) async fn offer(&mut self, envelope: wire::Envelope) -> Answer {
        self.offer_as(envelope, Offer::default()).await
    }

    pub(super) async fn offer_as(&mut self, envelope: wire::Envelope, offer: Offer) -> Answer {
        let node = &self.scheme.agencies[1].node;
        self.hostile.offer_as(node, envelope, offer).await.unwrap()
    }

    pub(super) async fn ledger(&mut self) -> Ledger {
        let authority = &self.scheme.agencies[1];
        Ledger::read(&self.scheme, authority, &mut self.recipient)
            .await
            .unwrap()
    }

    /// Reasons of the refusals that the node only counted, in order.
    pub(super) fn counted(&self) -> Vec<String> {
        self.authority().node.counted().unwrap()
    }

    /// Nobody vouched for it: refused for this reason, counted, and not logged.
    pub(super) async fn assert_counted(&mut self, envelope: wire::Envelope, reason: &str) {
        let (before, mut counted) = (self.ledger().await, self.counted());
        let answer = self.offer(envelope).await;
        assert_eq!(answer, Answer::Refusal(reason.to_owned()));
        counted.push(reason.to_owned());
        assert_eq!(self.counted(), counted);
        assert_eq!(self.ledger().await.bytes, before.bytes);
        self.unharmed().await;
    }

    /// An officer vouched for it: refused for this reason, and logged as such.
    pub(super) async fn assert_logged(
        &mut self,
        envelope: wire::Envelope,
        offer: Offer,
        reason: &str,
    ) {
        let (before, counted) = (self.ledger().await, self.counted());
        let answer = self.offer_as(envelope, offer).await;
        assert_eq!(answer, Answer::Refusal(reason.to_owned()));
        let after = self.ledger().await;
        assert!(after.bytes.starts_with(&before.bytes));
        let [entry] = &after.entries[before.entries.len()..] else {
            panic!("not one entry: {:?}", after.entries);
        };
        let Event::Refused(refused) = &entry.event else {
            panic!("not a refusal: {entry:?}");
        };
        assert_eq!(
            (refused.reason.as_str(), refused.by.as_str()),
            (reason, "here")
        );
        assert_eq!(self.counted(), counted);
        self.unharmed().await;
    }

    /// What was accepted before is there, is proved, and opens.
    pub(super) async fn unharmed(&mut self) {
        let fetched = self.recipient.fetch(&self.before.id).await.unwrap();
        let record = ledger::record(&self.scheme, self.authority()).unwrap();
        let (_, entry) = ledger::prove(fetched.evidence.as_ref().unwrap(), &record).unwrap();
        assert_eq!(entry.message_id(), Some(self.before.id));
        let (_, truthful) = self.recipient.open(&fetched).await.unwrap();
        assert_eq!(truthful.form().text("idn.given_name"), Some(VALUES[0]));
    }

    /// Whether the authority's list shows the message.
    pub(super) async fn holds(&mut self, id: &MessageId) -> bool {
        self.recipient.item(id).await.unwrap().is_some()
    }
}
