//! The operator's records: checked when they are added, signed together.

use std::path::{Path, PathBuf};
use std::{fs, io};

use prost::Message as _;
use serde::Serialize;
use waypost_proto::context::Context as SignatureContext;
use waypost_proto::directory::{NodeRecord, Record};
use waypost_proto::directory_file::DirectoryDraft;
use waypost_proto::id::Timestamp;
use waypost_proto::note::Verifier;
use waypost_proto::{limit, strict, wire};

use super::read;
use crate::args::DirectoryAdd;
use crate::clock::iso;
use crate::context::Context;
use crate::home::{HomeFile, OperatorSettings, RECORDS, read_file};
use crate::output::{Failure, Output, Page, Report};
use crate::registration::Registered;

/// Start of the names of nodes' records; agencies' start with `agency-`.
const NODE_PREFIX: &str = "node-";

#[derive(Debug, Serialize)]
struct Added {
    what: &'static str,
    id: String,
    changed: bool,
    fingerprint: String,
    log_keys: usize,
    next: Vec<String>,
}

impl Report for Added {
    const COMMAND: &'static str = "directory add";

    fn page(&self, page: &mut Page) {
        let verb = if self.changed { "changed" } else { "added" };
        page.good(&format!("The {} {} is {verb}.", self.what, self.id));
        page.field("fingerprint", &self.fingerprint);
        page.line("Read this fingerprint to them on the telephone before you sign.");
        if self.what == "agency" && self.log_keys == 0 {
            page.warning(
                "It has no log key: nobody can verify its log, and no node will deliver to it. \
                 Add the registration again with `--log-key FILE`.",
            );
        }
        page.next_steps(&self.next);
    }
}

pub(super) fn add(wanted: &DirectoryAdd, context: &Context) -> Result<Output, Failure> {
    let operator = context.home.operator()?;
    let added = match (&wanted.registration, &wanted.node) {
        (Some(path), _) => add_registration(path, wanted, &operator, context)?,
        (None, Some(path)) => add_node(path, &operator, context)?,
        (None, None) => return Err(Failure::new(crate::output::Status::Usage, "nothing to add")),
    };
    Ok(Output::of(&added))
}

fn check_country(id: &str, country: &str) -> Result<(), Failure> {
    if id.split('.').next() == Some(country) {
        return Ok(());
    }
    Err(
        Failure::invalid(format!("`{id}` is not under your country `{country}`"))
            .because("a scheme operator vouches only for ids of its own country")
            .next("send it to the operator of that country"),
    )
}

fn next_step() -> Vec<String> {
    vec!["When all is added: waypost directory sign".to_owned()]
}

fn add_registration(
    path: &Path,
    wanted: &DirectoryAdd,
    operator: &OperatorSettings,
    context: &Context,
) -> Result<Added, Failure> {
    let now = context.now();
    let bytes = read_file(path, limit::REGISTRATION_BYTES)?;
    let registered = Registered::verify(&bytes, now)?;
    registered.check_fresh(now)?;
    let id = registered.record().id.clone();
    check_country(id.as_str(), &operator.country)?;
    let certificate = context.certificate(&HomeFile::OperatorCertificate)?;
    if registered.suite() != certificate.suite() {
        return Err(
            Failure::invalid(format!("`{id}` uses another suite than this directory"))
                .because("everyone under one directory uses its suite")
                .next(format!(
                    "ask the agency to make its keys with `--suite {}`",
                    crate::agency::suite_name(certificate.suite())
                )),
        );
    }
    let file = HomeFile::OperatorAgency(id.clone());
    let before = match context.home.holds(&file) {
        true => Some(Registered::verify(&context.home.read(&file)?, now)?),
        false => None,
    };
    if let Some(before) = &before {
        check_successor(before, &registered, wanted.accept_new_certificate, now)?;
    }
    // The log keys are the operator's to say: what the registration says of them does not count.
    let mut keys = before
        .as_ref()
        .and_then(|b| b.wire().record.clone())
        .map_or_else(Vec::new, |r| r.log_keys);
    if let Some(path) = &wanted.log_key {
        add_log_key(&mut keys, path, &id.to_string(), now)?;
    }
    let registered = registered.with_log_keys(keys, now)?;
    context.home.write(&file, registered.as_bytes())?;
    Ok(Added {
        what: "agency",
        id: id.to_string(),
        changed: before.is_some(),
        fingerprint: registered.agency().fingerprint().to_string(),
        log_keys: registered.record().log_keys.len(),
        next: next_step(),
    })
}

/// A known agency keeps its certificate, unless the old key signed the new one.
fn check_successor(
    before: &Registered,
    after: &Registered,
    accepted: bool,
    now: Timestamp,
) -> Result<(), Failure> {
    let (old, new) = (before.agency(), after.agency());
    if old.fingerprint() == new.fingerprint() || accepted {
        return Ok(());
    }
    let succession = after
        .wire()
        .record
        .as_ref()
        .map_or(&[][..], |r| &r.succession);
    old.verify(
        SignatureContext::Succession,
        new.as_bytes(),
        succession,
        now,
    )
    .map_err(|_| {
        Failure::error(format!(
            "`{}` comes with another key than before",
            after.record().id
        ))
        .because(format!(
            "the old one, {}, has not signed the new one, {}",
            old.fingerprint(),
            new.fingerprint()
        ))
        .next("meet the agency in person; if the change is theirs, add `--accept-new-certificate`")
    })
}

/// A new log key ends the one before, and starts the log's next epoch.
fn add_log_key(
    keys: &mut Vec<wire::LogKey>,
    path: &Path,
    agency: &str,
    now: Timestamp,
) -> Result<(), Failure> {
    let bytes = read_file(path, limit::NOTE_BYTES)?;
    let bad = |why: &dyn std::error::Error| {
        Failure::invalid(format!("`{}` is not a log's verifier key", path.display()))
            .caused_by(why)
            .next("give the file `log.vkey` that the agency's node wrote")
    };
    let text = std::str::from_utf8(&bytes).map_err(|e| bad(&e))?;
    let verifier: Verifier = text.trim_end().parse().map_err(|e| bad(&e))?;
    let expected = format!("waypost/{agency}");
    if verifier.name().as_str() != expected {
        return Err(
            Failure::invalid(format!("`{}` is the key of another log", path.display())).because(
                format!("it is of `{}`, expected `{expected}`", verifier.name()),
            ),
        );
    }
    let vkey = verifier.to_string();
    if keys.last().is_some_and(|key| key.vkey == vkey) {
        return Ok(());
    }
    let epoch = keys.last().map_or(0, |key| key.epoch.saturating_add(1));
    if let Some(last) = keys.last_mut() {
        last.valid_until = Some(now.0);
    }
    keys.push(wire::LogKey {
        vkey,
        valid_from: now.0,
        valid_until: None,
        epoch,
    });
    Ok(())
}

fn parse_node(bytes: &[u8]) -> Result<(wire::NodeRecord, NodeRecord), Failure> {
    let bad = |why: &dyn std::error::Error| {
        Failure::invalid("this is not a node's record")
            .caused_by(why)
            .next("give the file `node-record.pb` that `waypost-node init` wrote")
    };
    let wire: wire::NodeRecord = strict::decode(bytes, limit::RECORD_BYTES).map_err(|e| bad(&e))?;
    match Record::parse(&node_leaf(&wire).encode_to_vec()).map_err(|e| bad(&e))? {
        Record::Node(node) => Ok((wire, node)),
        Record::Agency(_) => Err(Failure::invalid("this is not a node's record")),
    }
}

fn node_leaf(node: &wire::NodeRecord) -> wire::Record {
    wire::Record {
        record: Some(wire::record::Record::Node(node.clone())),
    }
}

fn add_node(path: &Path, operator: &OperatorSettings, context: &Context) -> Result<Added, Failure> {
    let bytes = read_file(path, limit::RECORD_BYTES)?;
    let (_, node) = parse_node(&bytes)?;
    check_country(node.id.as_str(), &operator.country)?;
    let file = HomeFile::OperatorNode(node.id.clone());
    let changed = context.home.holds(&file);
    context.home.write(&file, &bytes)?;
    Ok(Added {
        what: "node",
        id: node.id.to_string(),
        changed,
        fingerprint: node.tls_key.to_string(),
        log_keys: 0,
        next: next_step(),
    })
}

#[derive(Debug, Serialize)]
struct Signed {
    version: u64,
    valid_until: String,
    agencies: usize,
    nodes: usize,
    fingerprint: String,
    file: String,
    without_log_key: Vec<String>,
    next: Vec<String>,
}

impl Report for Signed {
    const COMMAND: &'static str = "directory sign";

    fn page(&self, page: &mut Page) {
        page.good("The directory is signed.");
        page.field("version", &self.version);
        page.field("valid until", &self.valid_until);
        page.field(
            "holds",
            &format!("{} agencies, {} nodes", self.agencies, self.nodes),
        );
        page.field("file", &self.file);
        page.field("fingerprint", &self.fingerprint);
        for agency in &self.without_log_key {
            page.warning(&format!(
                "{agency} has no log key: nobody can verify its log."
            ));
        }
        page.next_steps(&self.next);
    }
}

pub(super) fn sign(days: u64, context: &Context) -> Result<Output, Failure> {
    let operator = context.home.operator()?;
    let now = context.now();
    let version = if context.home.holds(&HomeFile::OperatorDirectory) {
        let bytes = context.home.read(&HomeFile::OperatorDirectory)?;
        read(&bytes, &operator.fingerprint, now)?
            .head()
            .version()
            .saturating_add(1)
    } else {
        1
    };
    let added = collect(context, now)?;
    let key = context.operator_key()?;
    let signer = key
        .signing_key()
        .map_err(|e| Failure::error("the operator's key does not sign").caused_by(&e))?;
    let (agencies, nodes) = (added.agencies, added.nodes);
    let draft = DirectoryDraft {
        country: operator.country,
        version,
        suite: signer.certificate().suite(),
        records: added.records,
        certificates: added.certificates,
    };
    let valid_until = now.plus(days.saturating_mul(86_400));
    let bytes = draft.sign(&signer, now, valid_until).map_err(|e| {
        Failure::invalid("the directory cannot be signed as it stands")
            .caused_by(&e)
            .next("add what is missing: waypost directory add")
    })?;
    context.home.write(&HomeFile::OperatorDirectory, &bytes)?;
    Ok(Output::of(&Signed {
        version,
        valid_until: iso(valid_until),
        agencies,
        nodes,
        fingerprint: operator.fingerprint.to_string(),
        file: context
            .home
            .path_of(&HomeFile::OperatorDirectory)
            .display()
            .to_string(),
        without_log_key: added.without_log_key,
        next: vec![
            "Send the file to every node and every agency.".to_owned(),
            "They install it with: waypost directory install FILE".to_owned(),
        ],
    }))
}

#[derive(Default)]
struct Collected {
    records: Vec<wire::Record>,
    certificates: Vec<Vec<u8>>,
    agencies: usize,
    nodes: usize,
    without_log_key: Vec<String>,
}

/// Every record, checked again: a file may have been changed since it was added.
fn collect(context: &Context, now: Timestamp) -> Result<Collected, Failure> {
    let mut all = Collected::default();
    for path in record_files(&context.home.root().join(RECORDS))? {
        crate::home::check_private(&path)?;
        let bytes = read_file(&path, limit::REGISTRATION_BYTES)?;
        let in_file = |failure: Failure| failure.because(format!("in `{}`", path.display()));
        let is_node = path
            .file_name()
            .is_some_and(|n| n.to_string_lossy().starts_with(NODE_PREFIX));
        if is_node {
            let (node, _) = parse_node(&bytes).map_err(in_file)?;
            all.records.push(node_leaf(&node));
            all.nodes = all.nodes.saturating_add(1);
            continue;
        }
        let registered = Registered::verify(&bytes, now).map_err(in_file)?;
        if registered.record().log_keys.is_empty() {
            all.without_log_key.push(registered.record().id.to_string());
        }
        let record = registered
            .wire()
            .record
            .clone()
            .map(wire::record::Record::Agency);
        all.records.push(wire::Record { record });
        all.certificates
            .push(registered.agency().as_bytes().to_vec());
        all.agencies = all.agencies.saturating_add(1);
    }
    if all.agencies == 0 {
        return Err(Failure::invalid("there is no agency to vouch for")
            .next("waypost directory add --registration FILE --log-key FILE"));
    }
    Ok(all)
}

fn record_files(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let failed = |e: io::Error| {
        Failure::error(format!("`{}` cannot be read", folder.display()))
            .caused_by(&e)
            .next("waypost directory add --registration FILE --log-key FILE")
    };
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|e| e == "pb") {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}
