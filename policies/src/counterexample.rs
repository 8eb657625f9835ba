//! A counterexample of the solver, as a sentence that a person can read.

use std::collections::BTreeSet;

use cedar_policy::{
    Authorizer, Decision, Entities, Entity, EntityUid, EvalResult, Request, Response,
};
use cedar_policy_symcc::Env;

use crate::rules::Rules;
use crate::schema::Names;

/// What the counterexample breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Claim {
    /// The bundle allows what it must not.
    Ceiling,
    /// The bundle does not allow what it must.
    Floor,
    /// The bundle tells `child` and `unknown` apart.
    Equivalence,
}

/// Says who receives what, when, and by which rule.
pub(crate) fn describe(rules: &Rules, found: &Env, claim: Claim) -> String {
    let request = &found.request;
    let id =
        |uid: Option<&EntityUid>| uid.map_or_else(String::new, |u| u.id().unescaped().to_owned());
    let (action, part) = (id(request.action()), id(request.resource()));
    let desk = request.principal().and_then(|uid| found.entities.get(uid));
    let role = desk.map_or_else(String::new, |d| text(&attribute(d, "role")));
    let response = decide(rules, found);
    let verb = match claim {
        Claim::Ceiling => "receives",
        Claim::Floor => "does not receive",
        Claim::Equivalence if response.decision() == Decision::Allow => {
            "receives, and with `child` and `unknown` exchanged would not receive,"
        }
        Claim::Equivalence => {
            "does not receive, and with `child` and `unknown` exchanged would receive,"
        }
    };
    format!(
        "the desk with role `{role}` {verb} `{part}` {} when {}; {}",
        purpose(rules.names(), request, &action),
        circumstances(desk, request),
        by(&response),
    )
}

fn purpose(names: &Names, request: &Request, action: &str) -> String {
    if request.action().is_some_and(|uid| names.is_disclosure(uid)) {
        return format!("for purpose `{action}`");
    }
    let purpose = request.context().and_then(|c| c.get("purpose"));
    format!("by `{action}` for purpose `{}`", text(&purpose))
}

fn decide(rules: &Rules, found: &Env) -> Response {
    // The concrete entities of the solver, over the schema's action group.
    let actions = rules
        .names()
        .schema
        .action_entities()
        .unwrap_or_else(|_| Entities::empty());
    let entities = actions
        .clone()
        .upsert_entities(
            found
                .entities
                .iter()
                .filter(|e| actions.get(&e.uid()).is_none())
                .cloned(),
            None,
        )
        .unwrap_or_else(|_| Entities::empty());
    Authorizer::new().is_authorized(&found.request, rules.policies(), &entities)
}

fn by(response: &Response) -> String {
    let ids: BTreeSet<String> = response
        .diagnostics()
        .reason()
        .map(|id| format!("`{id}`"))
        .collect();
    let ids: Vec<String> = ids.into_iter().collect();
    match response.decision() {
        Decision::Allow => format!("permitted by {}", ids.join(", ")),
        Decision::Deny if ids.is_empty() => "no rule permits it".to_owned(),
        Decision::Deny => format!("forbidden by {}", ids.join(", ")),
    }
}

fn attribute(entity: &Entity, name: &str) -> Option<EvalResult> {
    entity.attr(name).and_then(Result::ok)
}

fn text(value: &Option<EvalResult>) -> String {
    match value {
        Some(EvalResult::EntityUid(uid)) => uid.id().unescaped().to_owned(),
        Some(EvalResult::Bool(flag)) => flag.to_string(),
        Some(EvalResult::Long(number)) => number.to_string(),
        Some(EvalResult::Set(set)) => {
            let items: Vec<String> = set.iter().map(|v| text(&Some(v.clone()))).collect();
            if items.is_empty() {
                "none".to_owned()
            } else {
                items.join("+")
            }
        }
        _ => String::new(),
    }
}

/// The attributes of a record that are worth a word: what is false or a plain number is left out.
fn members(prefix: &str, value: Option<&EvalResult>, words: &mut Vec<String>) {
    let Some(EvalResult::Record(record)) = value else {
        return;
    };
    for (name, value) in record.iter() {
        match value {
            EvalResult::Record(_) => members(&format!("{prefix}{name}."), Some(value), words),
            EvalResult::Bool(false) | EvalResult::Long(_) => {}
            EvalResult::Bool(true) => words.push(format!("{prefix}{name}")),
            _ => words.push(format!(
                "{prefix}{name} is `{}`",
                text(&Some(value.clone()))
            )),
        }
    }
}

fn circumstances(desk: Option<&Entity>, request: &Request) -> String {
    let mut words = Vec::new();
    let context = |name| request.context().and_then(|c| c.get(name));
    members("", context("manifest").as_ref(), &mut words);
    members("sender.", context("sender").as_ref(), &mut words);
    if let Some(desk) = desk {
        words.push(format!(
            "recipient.zone is `{}`",
            text(&attribute(desk, "zone"))
        ));
        members(
            "recipient.desk.",
            attribute(desk, "desk").as_ref(),
            &mut words,
        );
        members(
            "recipient.agency.",
            attribute(desk, "agency").as_ref(),
            &mut words,
        );
    }
    words.join(", ")
}
