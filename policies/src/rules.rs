//! A bundle compiled: parsed, validated, sliced. A [`Rules`] exists only if every policy is sound.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cedar_policy::{
    ActionConstraint, AuthorizationError, Authorizer, Decision, Effect, EntityUid, Policy,
    PolicyId, PolicySet, Request, ResourceConstraint, ValidationMode, Validator,
};
use waypost_proto::id::Digest;
use waypost_proto::vocabulary::{Part, Purpose};

use crate::bundle::Bundle;
use crate::facts::{Prepared, Situation};
use crate::schema::{Names, SchemaError};

/// One policy of a bundle, by its annotations.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rule {
    /// `@id`: unique in the bundle, and what logs and explanations name.
    pub id: String,
    /// `@source`: document and clause.
    pub source: String,
    /// `@basis`: legal basis codes, for people.
    pub basis: String,
    /// `@advice` of a forbid: what to do instead. Empty for a permit.
    pub advice: String,
    /// `@remedy` of a forbid that can be met: what would have to be true, for people. Empty if none.
    pub remedy: String,
    /// The file that it stands in.
    pub file: String,
    /// Whether it forbids.
    pub forbids: bool,
}

/// A fault in a bundle. Where one policy is at fault, both its file and its id are named.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// The file does not parse.
    #[error("`{file}` does not parse: {detail}")]
    Syntax {
        /// The file.
        file: String,
        /// The parser's words.
        detail: String,
    },
    /// The file holds a template: they would be ignored, by the engine and by the proofs.
    #[error("`{file}` holds a template, `{template}`: write the policy out")]
    Template {
        /// The file.
        file: String,
        /// The template, as the parser named it.
        template: String,
    },
    /// An annotation is missing or empty.
    #[error("`{file}`, policy `{policy}`: `@{annotation}` is missing or empty")]
    Annotation {
        /// The file.
        file: String,
        /// The policy.
        policy: String,
        /// Which one.
        annotation: &'static str,
    },
    /// An `@id` that is not lower-case words joined by hyphens, at most 64 characters.
    #[error("`{file}`, policy `{policy}`: `@id` must be lower-case words joined by hyphens")]
    Id {
        /// The file.
        file: String,
        /// The policy.
        policy: String,
    },
    /// An id that stands twice.
    #[error("`{file}`, policy `{policy}`: `{other}` holds a policy of that id")]
    Repeated {
        /// The file.
        file: String,
        /// The policy.
        policy: String,
        /// The file of the other one.
        other: String,
    },
    /// Strict validation against the schema fails, or warns.
    #[error("`{file}`, policy `{policy}`: {detail}")]
    Invalid {
        /// The file.
        file: String,
        /// The policy.
        policy: String,
        /// The validator's words.
        detail: String,
    },
    /// The schema of this build is at fault.
    #[error(transparent)]
    Schema(#[from] SchemaError),
}

/// What one bundle says to one part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Permitted, by these rules.
    Allow(Vec<Arc<Rule>>),
    /// No rule permits it, and none forbids it by name.
    NothingPermits,
    /// Forbidden, by these rules.
    Forbidden(Vec<Arc<Rule>>),
    /// A rule could not be evaluated. Cedar would skip it; here it denies.
    Failed(Vec<Arc<Rule>>),
}

/// A compiled bundle.
#[derive(Debug)]
pub struct Rules {
    names: Arc<Names>,
    digest: Digest,
    rules: BTreeMap<String, Arc<Rule>>,
    whole: PolicySet,
    slices: BTreeMap<(Purpose, Part), Arc<PolicySet>>,
    kept: Mutex<HashMap<Situation, BTreeMap<Part, Answer>>>,
}

/// Situations whose answers are kept: the facts, desks and senders of messages repeat.
const KEPT_SITUATIONS: usize = 1024;

fn annotation(
    policy: &Policy,
    name: &'static str,
    file: &str,
    id: &str,
) -> Result<String, RuleError> {
    match policy.annotation(name) {
        Some(text) if !text.trim().is_empty() => Ok(text.to_owned()),
        _ => Err(RuleError::Annotation {
            file: file.to_owned(),
            policy: id.to_owned(),
            annotation: name,
        }),
    }
}

fn is_id(id: &str) -> bool {
    id.len() <= 64
        && id.split('-').all(|word| {
            !word.is_empty()
                && word
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        })
}

fn describe(policy: &Policy, file: &str) -> Result<Rule, RuleError> {
    let position = policy.id().to_string();
    let id = annotation(policy, "id", file, &position)?;
    if !is_id(&id) {
        return Err(RuleError::Id {
            file: file.to_owned(),
            policy: position,
        });
    }
    let forbids = policy.effect() == Effect::Forbid;
    let advice = if forbids {
        annotation(policy, "advice", file, &id)?
    } else {
        String::new()
    };
    Ok(Rule {
        source: annotation(policy, "source", file, &id)?,
        basis: annotation(policy, "basis", file, &id)?,
        advice,
        remedy: policy.annotation("remedy").unwrap_or_default().to_owned(),
        file: file.to_owned(),
        forbids,
        id,
    })
}

/// The policies of one file, each under the id that its annotation gives it.
fn parse(file: &str, text: &str) -> Result<Vec<(Rule, Policy)>, RuleError> {
    let set: PolicySet =
        text.parse()
            .map_err(|e: cedar_policy::ParseErrors| RuleError::Syntax {
                file: file.to_owned(),
                detail: e.to_string(),
            })?;
    if let Some(template) = set.templates().next() {
        return Err(RuleError::Template {
            file: file.to_owned(),
            template: template.id().to_string(),
        });
    }
    set.policies()
        .map(|policy| {
            let rule = describe(policy, file)?;
            let policy = policy.new_id(PolicyId::new(&rule.id));
            Ok((rule, policy))
        })
        .collect()
}

impl Rules {
    /// Compiles a bundle.
    ///
    /// # Errors
    /// The first fault of the bundle; see [`Self::check`] for all of them.
    pub fn compile(bundle: &Bundle) -> Result<Self, RuleError> {
        Self::check(bundle).map_err(|mut faults| faults.swap_remove(0))
    }

    /// Compiles a bundle, and reports every fault at once.
    ///
    /// # Errors
    /// Files that do not parse, templates, missing annotations, ids that repeat, policies that do
    /// not pass strict validation. At least one.
    pub fn check(bundle: &Bundle) -> Result<Self, Vec<RuleError>> {
        let names = Arc::new(Names::load().map_err(|e| vec![e.into()])?);
        let mut faults = Vec::new();
        let mut rules: BTreeMap<String, Arc<Rule>> = BTreeMap::new();
        let mut whole = PolicySet::new();
        for (file, text) in bundle.files() {
            let parsed = parse(file, text).unwrap_or_else(|fault| {
                faults.push(fault);
                Vec::new()
            });
            for (rule, policy) in parsed {
                if let Some(other) = rules.get(&rule.id) {
                    faults.push(RuleError::Repeated {
                        file: file.to_owned(),
                        policy: rule.id,
                        other: other.file.clone(),
                    });
                    continue;
                }
                if let Err(error) = whole.add(policy) {
                    faults.push(SchemaError::new(error).into());
                }
                rules.insert(rule.id.clone(), Arc::new(rule));
            }
        }
        faults.extend(validate(&names, &whole, &rules));
        if !faults.is_empty() {
            return Err(faults);
        }
        let slices = slice(&names, &whole).map_err(|e| vec![e.into()])?;
        Ok(Self {
            names,
            digest: bundle.digest(),
            rules,
            whole,
            slices,
            kept: Mutex::new(HashMap::new()),
        })
    }

    /// The bundle's digest.
    #[must_use]
    pub const fn digest(&self) -> Digest {
        self.digest
    }

    /// Every rule, by id.
    pub fn rules(&self) -> impl Iterator<Item = &Rule> {
        self.rules.values().map(AsRef::as_ref)
    }

    /// The rule of this id.
    #[must_use]
    pub fn rule(&self, id: &str) -> Option<&Rule> {
        self.rules.get(id).map(AsRef::as_ref)
    }

    pub(crate) fn names(&self) -> &Names {
        &self.names
    }

    pub(crate) const fn policies(&self) -> &PolicySet {
        &self.whole
    }

    /// What the bundle says to `part`, kept from the last time that it was asked the same.
    ///
    /// INVARIANT (a kept answer is the answer): a situation and a part are all that an answer depends
    /// on, besides the bundle, which never changes within a `Rules`. Failures are not kept.
    pub(crate) fn ask(&self, situation: &Situation, part: Part) -> Answer {
        let kept = self
            .lock()
            .get(situation)
            .and_then(|answers| answers.get(&part).cloned());
        if let Some(answer) = kept {
            return answer;
        }
        let Ok(answers) = self.ask_all(situation) else {
            return Answer::Failed(Vec::new());
        };
        let answer = answers
            .get(&part)
            .cloned()
            .unwrap_or(Answer::Failed(Vec::new()));
        let mut kept = self.lock();
        if kept.len() >= KEPT_SITUATIONS {
            kept.clear();
        }
        kept.insert(situation.clone(), answers);
        answer
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Situation, BTreeMap<Part, Answer>>> {
        // A panic elsewhere cannot leave a half-made answer behind: answers are inserted whole.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ask_all(&self, situation: &Situation) -> Result<BTreeMap<Part, Answer>, SchemaError> {
        let prepared = situation.prepare(&self.names)?;
        Part::ALL
            .iter()
            .map(|part| Ok((*part, self.ask_slice(&prepared, *part)?)))
            .collect()
    }

    fn ask_slice(&self, prepared: &Prepared, part: Part) -> Result<Answer, SchemaError> {
        // A pair that has no slice has no policy that can apply.
        match self.slices.get(&(prepared.purpose, part)) {
            Some(policies) => self.ask_of(policies, prepared, part),
            None => Ok(Answer::NothingPermits),
        }
    }

    /// INVARIANT (an error denies): Cedar skips a policy that errors, so an erring forbid would fail
    /// open. Here any error is a denial.
    fn ask_of(
        &self,
        policies: &PolicySet,
        prepared: &Prepared,
        part: Part,
    ) -> Result<Answer, SchemaError> {
        let request = Request::new(
            self.names.recipient(),
            self.names.disclose(prepared.purpose),
            self.names.part(part),
            prepared.context.clone(),
            None, // The context was validated once, when it was built.
        )
        .map_err(SchemaError::new)?;
        let response = Authorizer::new().is_authorized(&request, policies, &prepared.entities);
        let failed: Vec<_> = response
            .diagnostics()
            .errors()
            .filter_map(|AuthorizationError::PolicyEvaluationError(e)| self.by_id(e.policy_id()))
            .collect();
        if response.diagnostics().errors().next().is_some() {
            return Ok(Answer::Failed(failed));
        }
        let mut reasons: Vec<_> = response
            .diagnostics()
            .reason()
            .filter_map(|id| self.by_id(id))
            .collect();
        reasons.sort();
        Ok(match response.decision() {
            Decision::Allow => Answer::Allow(reasons),
            Decision::Deny if reasons.is_empty() => Answer::NothingPermits,
            Decision::Deny => Answer::Forbidden(reasons),
        })
    }

    fn by_id(&self, id: &PolicyId) -> Option<Arc<Rule>> {
        self.rules.get(AsRef::<str>::as_ref(id)).cloned()
    }
}

fn validate(
    names: &Names,
    policies: &PolicySet,
    rules: &BTreeMap<String, Arc<Rule>>,
) -> Vec<RuleError> {
    let result = Validator::new(names.schema.clone()).validate(policies, ValidationMode::Strict);
    let invalid = |id: &PolicyId, detail: String| RuleError::Invalid {
        file: rules
            .get(AsRef::<str>::as_ref(id))
            .map_or_else(String::new, |r| r.file.clone()),
        policy: id.to_string(),
        detail,
    };
    // A warning tells of a policy that can never apply, or of confusable characters: a fault here.
    let errors = result
        .validation_errors()
        .map(|e| invalid(e.policy_id(), e.to_string()));
    let warnings = result
        .validation_warnings()
        .map(|w| invalid(w.policy_id(), w.to_string()));
    errors.chain(warnings).collect()
}

fn action_fits(constraint: &ActionConstraint, action: &EntityUid, group: &EntityUid) -> bool {
    match constraint {
        ActionConstraint::Any => true,
        ActionConstraint::Eq(uid) => uid == action,
        ActionConstraint::In(uids) => uids.iter().any(|uid| uid == action || uid == group),
    }
}

fn resource_fits(constraint: &ResourceConstraint, part: &EntityUid) -> bool {
    match constraint {
        ResourceConstraint::Any => true,
        // Parts are enum entities, without parents: `in` is `==`.
        ResourceConstraint::Eq(uid) | ResourceConstraint::In(uid) => uid == part,
        ResourceConstraint::Is(kind) => kind == part.type_name(),
        ResourceConstraint::IsIn(kind, uid) => kind == part.type_name() && uid == part,
    }
}

/// For each purpose and part, the policies whose scope can match. Pairs with the same policies share
/// one set. INVARIANT (a slice is the whole): tested on a matrix in `judge`.
fn slice(
    names: &Names,
    whole: &PolicySet,
) -> Result<BTreeMap<(Purpose, Part), Arc<PolicySet>>, SchemaError> {
    let group = names.group();
    let policies: Vec<_> = whole
        .policies()
        .map(|policy| {
            (
                policy,
                policy.action_constraint(),
                policy.resource_constraint(),
            )
        })
        .collect();
    let mut shared: BTreeMap<BTreeSet<PolicyId>, Arc<PolicySet>> = BTreeMap::new();
    let mut slices = BTreeMap::new();
    for purpose in Purpose::ALL {
        let action = names.disclose(*purpose);
        for part in Part::ALL {
            let resource = names.part(*part);
            let fitting: Vec<_> = policies
                .iter()
                .filter(|(_, a, r)| action_fits(a, &action, &group) && resource_fits(r, &resource))
                .map(|(policy, ..)| *policy)
                .collect();
            let key: BTreeSet<_> = fitting.iter().map(|p| p.id().clone()).collect();
            let set = match shared.get(&key) {
                Some(set) => Arc::clone(set),
                None => Arc::new(
                    PolicySet::from_policies(fitting.into_iter().cloned())
                        .map_err(SchemaError::new)?,
                ),
            };
            shared.entry(key).or_insert_with(|| Arc::clone(&set));
            slices.insert((*purpose, *part), set);
        }
    }
    Ok(slices)
}

#[cfg(test)]
mod tests;
