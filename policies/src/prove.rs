//! Proofs: every theorem of [`crate::theorem`], for every message that the schema can express.
//!
//! The symbolic compiler turns a policy set into SMT for each action; cvc5 says whether a message
//! exists that breaks the claim. `unknown` and any error are failures, and a solver that erred is
//! discarded: its next answer could be stale.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use cedar_policy::{EntityUid, PolicyId, PolicySet, RequestEnv, Schema};
use cedar_policy_symcc::solver::LocalSolver;
use cedar_policy_symcc::{CedarSymCompiler, CompiledPolicy, CompiledPolicySet, Env};
use tokio::process::Command;
use waypost_proto::vocabulary::MinorStatus;

use crate::counterexample::{Claim, describe};
use crate::rules::Rules;
use crate::schema::{Names, entity};
use crate::theorem::{Kind, THEOREMS, Theorem};

/// Longest time for one question to the solver, in milliseconds.
const QUESTION_MS: u32 = 20_000;

/// What became of one theorem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It holds for all messages.
    Proved,
    /// It does not: a message that breaks it, in words.
    Refuted {
        /// The counterexample.
        counterexample: String,
    },
    /// Not known, which is as bad.
    Failed {
        /// What went wrong.
        detail: String,
    },
}

/// One theorem and what became of it.
#[derive(Debug, Clone)]
pub struct Proof {
    /// The theorem.
    pub theorem: &'static Theorem,
    /// What became of it.
    pub outcome: Outcome,
}

/// What became of all theorems.
#[derive(Debug, Clone)]
pub struct Report {
    /// One for each theorem, in order.
    pub proofs: Vec<Proof>,
}

impl Report {
    /// Whether every theorem is proved.
    #[must_use]
    pub fn holds(&self) -> bool {
        !self.proofs.is_empty() && self.proofs.iter().all(|p| p.outcome == Outcome::Proved)
    }

    /// The proofs that did not succeed.
    pub fn failures(&self) -> impl Iterator<Item = &Proof> {
        self.proofs.iter().filter(|p| p.outcome != Outcome::Proved)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Proof { theorem, outcome } in &self.proofs {
            match outcome {
                Outcome::Proved => writeln!(f, "proved   {}: {}", theorem.id, theorem.statement)?,
                Outcome::Refuted { counterexample } => {
                    writeln!(f, "REFUTED  {}: {}", theorem.id, theorem.statement)?;
                    writeln!(f, "         {counterexample} ({})", theorem.source)?;
                }
                Outcome::Failed { detail } => {
                    writeln!(f, "FAILED   {}: {}", theorem.id, theorem.statement)?;
                    writeln!(f, "         {detail}")?;
                }
            }
        }
        Ok(())
    }
}

/// Proves every theorem about a compiled bundle. `solver` is the path of cvc5. Needs a tokio runtime
/// with I/O enabled, for the solver's process. Never gives up early: the report is whole.
pub async fn prove(rules: &Rules, solver: &Path) -> Report {
    prove_only(rules, solver, |_| true).await
}

async fn prove_only(rules: &Rules, solver: &Path, wanted: fn(&Theorem) -> bool) -> Report {
    let mut prover = Prover::new(rules, solver);
    let mut proofs = Vec::new();
    for theorem in THEOREMS.iter().filter(|t| wanted(t)) {
        let outcome = match prover.theorem(theorem).await {
            Ok(None) => Outcome::Proved,
            Ok(Some(counterexample)) => Outcome::Refuted { counterexample },
            Err(Unproved(detail)) => Outcome::Failed { detail },
        };
        proofs.push(Proof { theorem, outcome });
    }
    Report { proofs }
}

/// Why a question has no answer, for people.
struct Unproved(String);

impl<E: std::error::Error> From<E> for Unproved {
    fn from(error: E) -> Self {
        let mut text = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            text = format!("{text}: {cause}");
            source = cause.source();
        }
        Self(text)
    }
}

struct Prover<'a> {
    rules: &'a Rules,
    schema: &'a Schema,
    solver: PathBuf,
    running: Option<CedarSymCompiler<LocalSolver>>,
    /// The bundle, compiled for each action.
    bundle: BTreeMap<String, CompiledPolicySet>,
}

impl<'a> Prover<'a> {
    fn new(rules: &'a Rules, solver: &Path) -> Self {
        Self {
            rules,
            schema: &rules.names().schema,
            solver: solver.to_owned(),
            running: None,
            bundle: BTreeMap::new(),
        }
    }

    async fn theorem(&mut self, theorem: &Theorem) -> Result<Option<String>, Unproved> {
        match theorem.kind {
            Kind::Ceiling => self.bound(theorem, Claim::Ceiling).await,
            Kind::Floor => self.bound(theorem, Claim::Floor).await,
            Kind::Equivalence => self.equivalence().await,
            Kind::NeverErrs => self.never_errs().await,
        }
    }

    /// The request environments that a theorem speaks about.
    fn environments(&self, theorem: &Theorem) -> Vec<RequestEnv> {
        let names = self.rules.names();
        let speaks_of = |action: &EntityUid| {
            theorem.actions.is_empty()
                || theorem.actions.iter().any(|named| {
                    *named == AsRef::<str>::as_ref(action.id())
                        || (*named == "disclose" && names.is_disclosure(action))
                })
        };
        self.schema
            .request_envs()
            .filter(|env| speaks_of(env.action()))
            .collect()
    }

    fn compiled(&mut self, env: &RequestEnv) -> Result<CompiledPolicySet, Unproved> {
        let key = env.action().to_string();
        if let Some(set) = self.bundle.get(&key) {
            return Ok(set.clone());
        }
        let set = CompiledPolicySet::compile(self.rules.policies(), env, self.schema)?;
        self.bundle.insert(key, set.clone());
        Ok(set)
    }

    /// A solver that has not erred yet.
    fn solver(&mut self) -> Result<CedarSymCompiler<LocalSolver>, Unproved> {
        if let Some(running) = self.running.take() {
            return Ok(running);
        }
        let mut command = Command::new(&self.solver);
        command
            .args(["--lang", "smt", &format!("--tlimit-per={QUESTION_MS}")])
            .kill_on_drop(true);
        let solver = LocalSolver::from_command(&mut command).map_err(|error| {
            let path = self.solver.display();
            Unproved(format!(
                "the solver `{path}` does not start: {error}; install cvc5"
            ))
        })?;
        Ok(CedarSymCompiler::new(solver)?)
    }

    /// A message that `lower` allows and `upper` does not. INVARIANT (no stale answers): the solver
    /// is kept only after an answer.
    async fn beyond(
        &mut self,
        lower: &CompiledPolicySet,
        upper: &CompiledPolicySet,
    ) -> Result<Option<Env>, Unproved> {
        let mut solver = self.solver()?;
        let found = solver
            .check_implies_with_counterexample_opt(lower, upper)
            .await?;
        self.running = Some(solver);
        Ok(found)
    }

    async fn bound(&mut self, theorem: &Theorem, claim: Claim) -> Result<Option<String>, Unproved> {
        let bound: PolicySet = named(&theorem.policies.parse()?)?;
        let mut asks_for_something = false;
        for env in self.environments(theorem) {
            let bundle = self.compiled(&env)?;
            let bound = CompiledPolicySet::compile(&bound, &env, self.schema)?;
            let found = if claim == Claim::Floor {
                let mut solver = self.solver()?;
                asks_for_something |= !solver.check_always_denies_opt(&bound).await?;
                self.running = Some(solver);
                self.beyond(&bound, &bundle).await?
            } else {
                self.beyond(&bundle, &bound).await?
            };
            if let Some(found) = found {
                return Ok(Some(describe(self.rules, &found, claim)));
            }
        }
        if claim == Claim::Floor && !asks_for_something {
            return Err(Unproved(
                "the floor asks for nothing, so it proves nothing".to_owned(),
            ));
        }
        Ok(None)
    }

    /// PROP-11. Let σ exchange `child` and `unknown`. Cedar can only compare entities, never look
    /// into their names, so evaluation commutes with σ: σ(bundle) decides m as the bundle decides
    /// σ(m). (Both are members of one enum, which has no attributes and no parents, so σ leaves the
    /// entities as they are.) If the bundle and σ(bundle) decide every message alike, the bundle
    /// decides m and σ(m) alike: `unknown` exactly as `child`. The only place in a request where a
    /// minor status stands is `context.manifest.minor_status` (tested).
    async fn equivalence(&mut self) -> Result<Option<String>, Unproved> {
        let exchanged = exchange(self.rules)?;
        for env in self.schema.request_envs().collect::<Vec<_>>() {
            let bundle = self.compiled(&env)?;
            let exchanged = CompiledPolicySet::compile(&exchanged, &env, self.schema)?;
            // What one allows and the other does not, in either direction, is one message twice.
            for (lower, upper) in [(&bundle, &exchanged), (&exchanged, &bundle)] {
                if let Some(found) = self.beyond(lower, upper).await? {
                    return Ok(Some(describe(self.rules, &found, Claim::Equivalence)));
                }
            }
        }
        Ok(None)
    }

    async fn never_errs(&mut self) -> Result<Option<String>, Unproved> {
        for env in self.schema.request_envs().collect::<Vec<_>>() {
            for policy in self.rules.policies().policies() {
                let compiled = CompiledPolicy::compile(policy, &env, self.schema)?;
                let mut solver = self.solver()?;
                let sound = solver.check_never_errors_opt(&compiled).await?;
                self.running = Some(solver);
                if !sound {
                    let (id, action) = (policy.id(), env.action().id().unescaped());
                    return Ok(Some(format!("policy `{id}` can fail for `{action}`")));
                }
            }
        }
        Ok(None)
    }
}

/// Gives the policies of a theorem their `@id`s.
fn named(set: &PolicySet) -> Result<PolicySet, Unproved> {
    let policies: Vec<_> = set
        .policies()
        .map(|policy| {
            let id = policy
                .annotation("id")
                .map_or_else(|| policy.id().clone(), PolicyId::new);
            policy.new_id(id)
        })
        .collect();
    Ok(PolicySet::from_policies(policies)?)
}

/// The bundle with `child` and `unknown` exchanged, in one simultaneous substitution.
fn exchange(rules: &Rules) -> Result<PolicySet, Unproved> {
    let names: &Names = rules.names();
    let child = entity(&names.minor_status, MinorStatus::Child.code());
    let unknown = entity(&names.minor_status, MinorStatus::Unknown.code());
    let mapping = BTreeMap::from([(child.clone(), unknown.clone()), (unknown, child)]);
    let policies = rules
        .policies()
        .policies()
        .map(|policy| {
            policy
                .sub_entity_literals(mapping.clone())
                .map_err(Unproved::from)
        })
        .collect::<Result<Vec<_>, _>>()?;
    Ok(PolicySet::from_policies(policies)?)
}

#[cfg(test)]
mod tests;
