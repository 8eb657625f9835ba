//! `policy`: explain, check and prove the rules.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use serde::Serialize;
use waypost_policies::prove::Outcome;
use waypost_policies::{Bundle, Rules, prove as prove_rules};
use waypost_proto::limit;

use crate::args::{BundleFolder, Prove};
use crate::environment;
use crate::home::read_file;
use crate::output::{Failure, Output, Page, Report, Status};

pub use explain::explain;

mod explain;

/// Steps from a bundle's folder to a file of it.
const DEPTH: usize = 4;

/// The bundle of a folder of Cedar files; the built-in one without.
///
/// # Errors
/// A folder that cannot be read, or that holds no bundle.
pub fn bundle(folder: Option<&Path>) -> Result<Bundle, Failure> {
    let Some(folder) = folder else {
        return Bundle::builtin()
            .map_err(|e| Failure::error("the built-in bundle is at fault").caused_by(&e));
    };
    Bundle::new(folder_files(folder)?).map_err(|e| {
        Failure::invalid(format!("`{}` holds no policy bundle", folder.display()))
            .caused_by(&e)
            .next("give a folder of `.cedar` files: `--bundle DIR`")
    })
}

/// The files of a bundle's folder, by name relative to it.
pub(crate) fn folder_files(folder: &Path) -> Result<Vec<(String, Vec<u8>)>, Failure> {
    let mut files = Vec::new();
    collect(folder, "", DEPTH, &mut files)?;
    Ok(files)
}

fn collect(
    folder: &Path,
    prefix: &str,
    depth: usize,
    files: &mut Vec<(String, Vec<u8>)>,
) -> Result<(), Failure> {
    let failed = |e: std::io::Error| {
        Failure::error(format!("`{}` cannot be read", folder.display()))
            .caused_by(&e)
            .next("give a folder of `.cedar` files: `--bundle DIR`")
    };
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let name = path
            .file_name()
            .map(|n| n.to_string_lossy().into_owned())
            .unwrap_or_default();
        // A folder too deep is refused as a file that cannot be read: a rule is never left out quietly.
        if let Some(depth) = depth.checked_sub(1).filter(|_| path.is_dir()) {
            collect(&path, &format!("{prefix}{name}/"), depth, files)?;
        } else if files.len() <= limit::BUNDLE_FILES {
            let content = read_file(&path, limit::BUNDLE_BYTES)?;
            files.push((format!("{prefix}{name}"), content.to_vec()));
        }
    }
    Ok(())
}

/// A bundle's rules.
///
/// # Errors
/// The bundle's faults.
pub fn rules(folder: Option<&Path>) -> Result<Arc<Rules>, Failure> {
    Rules::compile(&bundle(folder)?).map(Arc::new).map_err(|e| {
        Failure::invalid("the policy bundle cannot be used")
            .caused_by(&e)
            .next("waypost policy check")
    })
}

#[derive(Debug, Serialize)]
struct Checked {
    bundle: String,
    digest: String,
    files: usize,
    permits: usize,
    forbids: usize,
    faults: Vec<String>,
}

impl Report for Checked {
    const COMMAND: &'static str = "policy check";

    fn page(&self, page: &mut Page) {
        page.field("bundle", &self.bundle);
        page.field("digest", &self.digest);
        page.field("files", &self.files);
        if self.faults.is_empty() {
            page.field(
                "rules",
                &format!("{} permit, {} forbid", self.permits, self.forbids),
            );
            page.good("Every rule parses, fits the schema, and names its source.");
            page.line("Whether they keep what every bundle must keep: waypost policy prove");
        } else {
            page.bad(&format!("{} faults:", self.faults.len()));
            self.faults.iter().for_each(|fault| page.item(fault));
        }
    }

    fn status(&self) -> Status {
        if self.faults.is_empty() {
            Status::Done
        } else {
            Status::Invalid
        }
    }
}

fn name_of(wanted: &BundleFolder) -> String {
    wanted
        .bundle
        .as_ref()
        .map_or_else(|| "built in".to_owned(), |path| path.display().to_string())
}

/// Parses and validates a bundle.
///
/// # Errors
/// A folder that cannot be read, or that holds no bundle. Faults of rules are a result.
pub fn check(wanted: &BundleFolder) -> Result<Output, Failure> {
    let bundle = bundle(wanted.bundle.as_deref())?;
    let mut checked = Checked {
        bundle: name_of(wanted),
        digest: bundle.digest().to_string(),
        files: bundle.files().count(),
        permits: 0,
        forbids: 0,
        faults: Vec::new(),
    };
    match Rules::check(&bundle) {
        Ok(rules) => {
            checked.forbids = rules.rules().filter(|rule| rule.forbids).count();
            checked.permits = rules.rules().count().saturating_sub(checked.forbids);
        }
        Err(faults) => checked.faults = faults.iter().map(ToString::to_string).collect(),
    }
    Ok(Output::of(&checked))
}

#[derive(Debug, Serialize)]
struct Proved {
    bundle: String,
    digest: String,
    solver: String,
    theorems: Vec<ProvedTheorem>,
}

#[derive(Debug, Serialize)]
struct ProvedTheorem {
    id: &'static str,
    statement: &'static str,
    source: &'static str,
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
}

const PROVED: &str = "proved";
const REFUTED: &str = "refuted";
const UNDETERMINED: &str = "undetermined";

impl Report for Proved {
    const COMMAND: &'static str = "policy prove";

    fn page(&self, page: &mut Page) {
        page.field("bundle", &self.bundle);
        page.field("digest", &self.digest);
        page.field("solver", &self.solver);
        for theorem in &self.theorems {
            page.heading(&format!("{}: {}", theorem.id, theorem.statement));
            page.line(&format!("  {}", theorem.source));
            match theorem.outcome {
                PROVED => page.good("  proved, for every message that can be"),
                REFUTED => page.bad("  REFUTED: a message that breaks it:"),
                _ => page.warning("  undetermined, which is as bad:"),
            }
            if let Some(detail) = &theorem.detail {
                page.item(detail);
            }
        }
        let proved = self.theorems.iter().filter(|t| t.outcome == PROVED).count();
        page.heading(&format!("{proved} of {} proved", self.theorems.len()));
    }

    fn status(&self) -> Status {
        let any = |outcome: &str| self.theorems.iter().any(|t| t.outcome == outcome);
        if any(REFUTED) {
            Status::Error
        } else if any(UNDETERMINED) || self.theorems.is_empty() {
            Status::Undetermined
        } else {
            Status::Done
        }
    }
}

/// Proves every theorem about a bundle.
///
/// # Errors
/// A bundle at fault, or no solver. A refuted theorem is a result.
pub async fn prove(wanted: &Prove) -> Result<Output, Failure> {
    let rules = rules(wanted.bundle.bundle.as_deref())?;
    let solver = wanted.solver.clone().or_else(|| environment::program("cvc5")).ok_or_else(|| {
        Failure::undetermined("nothing can be proved without a solver")
            .because("`cvc5` is not on the search path")
            .next("install it (`apt-get install cvc5`, or https://cvc5.github.io), or give `--solver PATH`")
    })?;
    if !solver.is_file() {
        return Err(
            Failure::undetermined(format!("there is no solver at `{}`", solver.display()))
                .next("give the path of cvc5: `--solver PATH`"),
        );
    }
    crate::output::note("Proving; this takes a minute ..");
    let report = prove_rules(&rules, &solver).await;
    let theorems = report.proofs.into_iter().map(|proof| {
        let (outcome, detail) = match proof.outcome {
            Outcome::Proved => (PROVED, None),
            Outcome::Refuted { counterexample } => (REFUTED, Some(counterexample)),
            Outcome::Failed { detail } => (UNDETERMINED, Some(detail)),
        };
        let theorem = proof.theorem;
        ProvedTheorem {
            id: theorem.id,
            statement: theorem.statement,
            source: theorem.source,
            outcome,
            detail,
        }
    });
    Ok(Output::of(&Proved {
        bundle: name_of(&wanted.bundle),
        digest: rules.digest().to_string(),
        solver: solver.display().to_string(),
        theorems: theorems.collect(),
    }))
}

/// A set of what was given.
fn set<T: Ord + Copy>(values: &[T]) -> BTreeSet<T> {
    values.iter().copied().collect()
}

#[cfg(test)]
mod tests;
