//! The decision: may this part go to this desk? What both bundles allow, goes.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use cedar_policy::{Context, Entities, RestrictedExpression};
use waypost_proto::manifest::Facts;
use waypost_proto::vocabulary::{Part, Purpose};

use crate::facts::{self, RecipientDesk, SenderFacts};
use crate::rules::{Answer, Rule, Rules};
use crate::schema::SchemaError;

/// Whose bundle objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// The sender's bundle.
    Sender,
    /// The recipient's bundle.
    Recipient,
    /// One bundle that both use.
    Both,
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sender => "the sender's policies",
            Self::Recipient => "the recipient's policies",
            Self::Both => "the policies of both",
        })
    }
}

/// Why a bundle objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// No rule permits it; none forbids it by name.
    NothingPermits,
    /// These rules forbid it.
    Forbidden(Vec<Arc<Rule>>),
    /// These rules could not be evaluated; empty when it is the engine that failed.
    Failed(Vec<Arc<Rule>>),
}

/// One bundle's objection to one part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Objection {
    /// Whose bundle.
    pub side: Side,
    /// Why.
    pub cause: Cause,
}

/// The decision on one part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Both bundles allow it: by these rules, sorted by id, each once.
    Allow(Vec<Arc<Rule>>),
    /// At least one bundle objects.
    Deny(Vec<Objection>),
}

impl Decision {
    /// Whether the part may go.
    #[must_use]
    pub const fn allows(&self) -> bool {
        matches!(self, Self::Allow(_))
    }
}

/// Decides what one desk may send to another, under the bundles of both.
#[derive(Debug)]
pub struct Judge {
    sender_rules: Arc<Rules>,
    recipient_rules: Arc<Rules>,
    recipient: RecipientDesk,
    sender: SenderFacts,
    entities: Entities,
    sender_record: RestrictedExpression,
    /// The context of the message judged last: a message's parts are asked one after the other.
    last: Mutex<Option<(Facts, Context)>>,
}

impl Judge {
    /// A judge between two desks.
    ///
    /// # Errors
    /// Only when the schema does not fit this build.
    pub fn new(
        sender_rules: Arc<Rules>,
        recipient_rules: Arc<Rules>,
        recipient: RecipientDesk,
        sender: SenderFacts,
    ) -> Result<Self, SchemaError> {
        let entities = facts::entities(sender_rules.names(), &recipient)?;
        let sender_record = facts::sender(sender_rules.names(), &sender)?;
        Ok(Self {
            sender_rules,
            recipient_rules,
            recipient,
            sender,
            entities,
            sender_record,
            last: Mutex::new(None),
        })
    }

    /// The rules of the sender.
    #[must_use]
    pub fn sender_rules(&self) -> &Rules {
        &self.sender_rules
    }

    /// The rules of the recipient.
    #[must_use]
    pub fn recipient_rules(&self) -> &Rules {
        &self.recipient_rules
    }

    /// The receiving desk.
    #[must_use]
    pub const fn recipient(&self) -> &RecipientDesk {
        &self.recipient
    }

    /// The sending desk.
    #[must_use]
    pub const fn sender(&self) -> &SenderFacts {
        &self.sender
    }

    /// The same judge for another recipient desk.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub(crate) fn with_recipient(&self, recipient: RecipientDesk) -> Result<Self, SchemaError> {
        Self::new(
            Arc::clone(&self.sender_rules),
            Arc::clone(&self.recipient_rules),
            recipient,
            self.sender.clone(),
        )
    }

    /// Decides on one part. Whatever cannot be evaluated is denied.
    #[must_use]
    pub fn judge(&self, facts: &Facts, part: Part) -> Decision {
        let Ok(context) = self.context(facts) else {
            return Decision::Deny(vec![Objection {
                side: Side::Both,
                cause: Cause::Failed(Vec::new()),
            }]);
        };
        if self.sender_rules.digest() == self.recipient_rules.digest() {
            let answer = self.ask(&self.sender_rules, facts.purpose, part, &context);
            return combine([(Side::Both, answer)]);
        }
        combine([
            (Side::Sender, self.ask(&self.sender_rules, facts.purpose, part, &context)),
            (Side::Recipient, self.ask(&self.recipient_rules, facts.purpose, part, &context)),
        ])
    }

    fn context(&self, facts: &Facts) -> Result<Context, SchemaError> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((judged, context)) = last.as_ref().filter(|(judged, _)| judged == facts) {
            debug_assert_eq!(judged, facts);
            return Ok(context.clone());
        }
        let context = facts::context(self.sender_rules.names(), &self.sender_record, facts)?;
        *last = Some((facts.clone(), context.clone()));
        Ok(context)
    }

    fn ask(&self, rules: &Rules, purpose: Purpose, part: Part, context: &Context) -> Answer {
        rules.ask(purpose, part, context, &self.entities).unwrap_or(Answer::Failed(Vec::new()))
    }
}

/// INVARIANT (both allow): one objection denies.
fn combine(answers: impl IntoIterator<Item = (Side, Answer)>) -> Decision {
    let mut rules = Vec::new();
    let mut objections = Vec::new();
    for (side, answer) in answers {
        let cause = match answer {
            Answer::Allow(by) => {
                rules.extend(by);
                continue;
            }
            Answer::NothingPermits => Cause::NothingPermits,
            Answer::Forbidden(by) => Cause::Forbidden(by),
            Answer::Failed(by) => Cause::Failed(by),
        };
        objections.push(Objection { side, cause });
    }
    if objections.is_empty() {
        rules.sort();
        rules.dedup();
        Decision::Allow(rules)
    } else {
        Decision::Deny(objections)
    }
}
