//! `doctor`: what is wrong, or soon will be, in a home and in a node's data folder.

use serde::Serialize;

use crate::args::Doctor;
use crate::context::Context;
use crate::environment;
use crate::home::Settings;
use crate::output::{Failure, Output, Page, Report, Status};

mod agency;
mod medium;
mod node;
mod operator;

/// What a home holds.
const OWN: &[&str] = &[
    "home.toml",
    "state.json",
    "directory.pb",
    "admin",
    "officer",
    "public",
    "operator",
];

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Level {
    /// As it should be.
    Good,
    /// Worth knowing, or soon a problem.
    Note,
    /// Something does not work, or is not safe.
    Problem,
}

#[derive(Debug, Serialize)]
struct Finding {
    level: Level,
    what: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// What was found, in the order of looking.
#[derive(Debug, Default, Serialize)]
struct Findings {
    findings: Vec<Finding>,
}

impl Findings {
    fn good(&mut self, what: impl Into<String>) {
        self.findings.push(Finding {
            level: Level::Good,
            what: what.into(),
            next: None,
        });
    }

    fn note(&mut self, what: impl Into<String>, next: impl Into<String>) {
        let finding = Finding {
            level: Level::Note,
            what: what.into(),
            next: Some(next.into()),
        };
        self.findings.push(finding);
    }

    fn problem(&mut self, what: impl Into<String>, next: impl Into<String>) {
        let finding = Finding {
            level: Level::Problem,
            what: what.into(),
            next: Some(next.into()),
        };
        self.findings.push(finding);
    }

    /// A failure of a command is a problem here.
    fn failure(&mut self, failure: &Failure) {
        self.problem(failure.to_string(), String::new());
    }

    fn problems(&self) -> usize {
        self.findings
            .iter()
            .filter(|f| f.level == Level::Problem)
            .count()
    }
}

impl Report for Findings {
    const COMMAND: &'static str = "doctor";

    fn page(&self, page: &mut Page) {
        for finding in &self.findings {
            match finding.level {
                Level::Good => page.good(&format!("good     {}", finding.what)),
                Level::Note => page.warning(&format!("note     {}", finding.what)),
                Level::Problem => page.bad(&format!("problem  {}", finding.what)),
            }
            if let Some(next) = finding.next.as_ref().filter(|next| !next.is_empty()) {
                page.line(&format!("           next: {next}"));
            }
        }
        match self.problems() {
            0 => page.heading("No problem found."),
            1 => page.heading("1 problem found."),
            count => page.heading(&format!("{count} problems found.")),
        }
    }

    fn status(&self) -> Status {
        if self.problems() == 0 {
            Status::Done
        } else {
            Status::Error
        }
    }
}

/// Looks.
///
/// # Errors
/// None of what it finds is one; they are its result.
pub async fn run(wanted: &Doctor, context: &Context) -> Result<Output, Failure> {
    let mut findings = Findings::default();
    let settings = context.home.settings();
    match (&settings, &wanted.node) {
        (Ok(Settings::Agency(agency)), _) => {
            private(context, &mut findings);
            agency::look(agency, wanted.offline, context, &mut findings).await;
        }
        (Ok(Settings::Operator(operator)), _) => {
            private(context, &mut findings);
            operator::look(operator, context, &mut findings);
        }
        // On a node's machine there is no home to look at.
        (Err(_), Some(_)) if !context.home.root().exists() => {}
        (Err(failure), _) => findings.failure(failure),
    }
    if let Some(folder) = &wanted.node {
        node::look(folder, &mut findings);
    }
    solver(&mut findings);
    Ok(Output::of(&findings))
}

fn private(context: &Context, findings: &mut Findings) {
    // A node's folder may stand in the home too, with files that are made for others: see `--node`.
    let root = context.home.root();
    let exposed: Vec<_> = OWN
        .iter()
        .flat_map(|name| node::exposed(&root.join(name)))
        .collect();
    if exposed.is_empty() {
        findings.good("only you can look into the home");
    }
    for path in exposed {
        findings.problem(
            format!("others on this machine can look at `{}`", path.display()),
            format!("chmod go= {}", path.display()),
        );
    }
}

fn solver(findings: &mut Findings) {
    match environment::program("cvc5") {
        Some(path) => findings.good(format!(
            "cvc5 is at `{}`: policies can be proved",
            path.display()
        )),
        None => findings.note(
            "cvc5 is not on the search path: policies cannot be proved here",
            "apt-get install cvc5, if this machine is to prove policies",
        ),
    }
}

#[cfg(test)]
mod tests;
