//! `log ..`: the agency's log for people and for auditors. It holds no personal data.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;
use waypost_proto::entry::Entry;
use waypost_proto::id::{Digest, MessageId};
use waypost_proto::merkle;
use waypost_proto::note::Verifier;
use waypost_proto::tiles::{TileFile, Tiler, TilesError};
use waypost_proto::wire::{self, log_entry::Event};

use super::call;
use super::log_files::{self, Verified};
use super::mail::short;
use super::mirror::Mirror;
use super::own_log;
use super::session::{self, Session};
use crate::args::{
    CheckpointLog, ConsistencyLog, ExportLog, LogCommand, ProveLog, ShowLog, VerifyLog,
};
use crate::clock::iso;
use crate::context::Context;
use crate::home::write_new_file;
use crate::output::{Failure, Output, Page, Report};

/// Entries that are shown at once.
const SHOWN: u64 = 100_000;

/// `log ..`.
pub(crate) async fn run(command: &LogCommand, context: &Context) -> Result<Output, Failure> {
    match command {
        LogCommand::Checkpoint(wanted) => checkpoint(wanted, context).await,
        LogCommand::Show(wanted) => show(wanted, context).await,
        LogCommand::Prove(wanted) => prove(wanted, context).await,
        LogCommand::Verify(wanted) => verify(wanted, context),
        LogCommand::Consistency(wanted) => consistency(wanted, context).await,
        LogCommand::Export(wanted) => export(wanted, context).await,
    }
}

/// A verified checkpoint.
#[derive(Debug, Serialize)]
struct Head {
    origin: String,
    size: u64,
    root: String,
    note: String,
}

impl Report for Head {
    const COMMAND: &'static str = "log checkpoint";

    fn page(&self, page: &mut Page) {
        // The note itself, and nothing else, so that it can be piped to other tools.
        for line in self
            .note
            .strip_suffix('\n')
            .unwrap_or(&self.note)
            .split('\n')
        {
            page.line(line);
        }
    }
}

async fn checkpoint(wanted: &CheckpointLog, context: &Context) -> Result<Output, Failure> {
    let mut session = Session::open(context).await?;
    let signed = own_log::checkpoint(&mut session).await?;
    own_log::check_consistent(&mut session, &signed).await?;
    if let Some(file) = &wanted.out {
        write_new_file(file, signed.as_bytes())?;
    }
    Ok(Output::of(&Head {
        origin: signed.checkpoint().origin.to_string(),
        size: signed.size(),
        root: signed.root().to_string(),
        note: String::from_utf8_lossy(signed.as_bytes()).into_owned(),
    }))
}

/// One entry for people and for programs.
#[derive(Debug, Serialize)]
struct Row {
    index: u64,
    time: String,
    event: &'static str,
    words: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    digest: String,
}

/// Entries.
#[derive(Debug, Serialize)]
struct Rows {
    entries: Vec<Row>,
}

impl Report for Rows {
    const COMMAND: &'static str = "log show";

    fn page(&self, page: &mut Page) {
        for row in &self.entries {
            page.line(&format!("{:>8}  {}  {}", row.index, row.time, row.words));
        }
        if self.entries.is_empty() {
            page.line("no entries");
        }
    }
}

async fn show(wanted: &ShowLog, context: &Context) -> Result<Output, Failure> {
    let mut session = Session::open(context).await?;
    let signed = own_log::checkpoint(&mut session).await?;
    let to = wanted.to.map_or(signed.size(), |to| to.min(signed.size()));
    if to.saturating_sub(wanted.from) > SHOWN {
        return Err(Failure::invalid(format!("more than {SHOWN} entries"))
            .next("choose a range: `--from N --to N`; all of them: `waypost log export DIR`"));
    }
    // The whole log is replayed, so that what is shown is what was signed.
    let mut mirror = Mirror::empty();
    let mut entries = Vec::new();
    own_log::replay(&mut session, &mut mirror, &signed, |index, bytes, entry| {
        if (wanted.from..to).contains(&index) {
            entries.push(row(index, bytes, &entry));
        }
        Ok(())
    })
    .await?;
    own_log::check_consistent(&mut session, &signed).await?;
    Ok(Output::of(&Rows { entries }))
}

fn row(index: u64, bytes: &[u8], entry: &Entry) -> Row {
    Row {
        index,
        time: iso(entry.time),
        event: entry.name(),
        words: words(&entry.event),
        message: entry.message_id().map(|id| id.to_string()),
        digest: Digest::of(bytes).to_string(),
    }
}

fn id(bytes: &[u8]) -> String {
    MessageId::try_from(bytes).map_or_else(|_| "?".into(), |id| short(&id))
}

/// An entry in words.
fn words(event: &Event) -> String {
    match event {
        Event::Genesis(e) => format!("the log of {} begins (epoch {})", e.agency, e.epoch),
        Event::DirectoryAccepted(e) => {
            format!(
                "directory of `{}`, version {}, accepted",
                e.country, e.version
            )
        }
        Event::RosterAccepted(e) => {
            format!("roster of {}, version {}, accepted", e.agency, e.version)
        }
        Event::BundleAccepted(e) => format!("policy bundle of {} accepted", e.agency),
        Event::Submitted(e) => {
            let m = e.message.clone().unwrap_or_default();
            format!(
                "message {} sent to {}/{} for {} (rules {})",
                id(&m.message_id),
                m.recipient_agency,
                m.recipient_desk,
                m.purpose,
                e.rules.join(", ")
            )
        }
        Event::Received(e) => {
            let m = e.message.clone().unwrap_or_default();
            format!(
                "message {} received from {}/{} for {} (rules {})",
                id(&m.message_id),
                m.sender_agency,
                m.sender_desk,
                m.purpose,
                e.rules.join(", ")
            )
        }
        Event::Delivered(e) => {
            format!(
                "message {} delivered: receipt is entry {} of the recipient's log",
                id(&e.message_id),
                e.recipient_index
            )
        }
        Event::Refused(e) => format!(
            "message {} refused ({}): {}",
            id(&e.message_id),
            e.by,
            e.reason
        ),
        Event::Expired(e) => format!("message {} expired", id(&e.message_id)),
        Event::Unconfirmed(e) => format!("message {} unconfirmed", id(&e.message_id)),
        Event::Gap(e) => gap(e),
        Event::GapDelivered(e) => format!(
            "the recipient knows that message {} will not come",
            id(&e.message_id)
        ),
        Event::Fetched(e) => format!(
            "message {} fetched by officer {}",
            id(&e.message_id),
            officer(&e.officer)
        ),
        Event::Opened(e) => format!(
            "message {} reported opened by officer {}",
            id(&e.message_id),
            officer(&e.officer)
        ),
        Event::RefusalsCounted(e) => format!("{} more refusals to {}", e.count, e.peer),
        Event::Contradiction(e) => format!(
            "two signed checkpoints of {} contradict each other",
            e.origin
        ),
    }
}

fn gap(gap: &wire::Gap) -> String {
    let wire::Gap {
        number,
        sender_agency,
        lane,
        message_id,
        ..
    } = gap;
    let message = id(message_id);
    format!("number {number} of {sender_agency} ({lane}) will not come: message {message}")
}

fn officer(fingerprint: &[u8]) -> String {
    short(&hex::encode(fingerprint))
}

/// A proof that was written.
#[derive(Debug, Serialize)]
struct Proof {
    index: u64,
    size: u64,
    event: &'static str,
    proof: PathBuf,
    #[serde(skip_serializing_if = "Option::is_none")]
    entry: Option<PathBuf>,
}

impl Report for Proof {
    const COMMAND: &'static str = "log prove";

    fn page(&self, page: &mut Page) {
        page.good(&format!(
            "entry {} ({}) is in the log of {} entries; the proof is written",
            self.index, self.event, self.size
        ));
        page.field("proof", &self.proof.display());
        if let Some(entry) = &self.entry {
            page.field("entry", &entry.display());
            page.next_steps(&[format!(
                "waypost log verify --proof {} --entry {}",
                self.proof.display(),
                entry.display()
            )]);
        }
    }
}

async fn prove(wanted: &ProveLog, context: &Context) -> Result<Output, Failure> {
    let mut session = Session::open(context).await?;
    let request = wire::LogProofRequest {
        index: wanted.index,
    };
    let reply = call::answer(session.client.log_proof(request)).await?;
    let evidence = reply.evidence.unwrap_or_default();
    let proved = own_log::own_entry(&mut session, &evidence).await?;
    if proved.index() != wanted.index {
        return Err(
            Failure::error("the node proves another entry than the one asked for")
                .next("type the command again; then tell who runs the node"),
        );
    }
    write_new_file(&wanted.out, &evidence.proof)?;
    if let Some(file) = &wanted.entry {
        write_new_file(file, &evidence.entry)?;
    }
    Ok(Output::of(&Proof {
        index: proved.index(),
        size: proved.checkpoint().size,
        event: proved.entry().name(),
        proof: wanted.out.clone(),
        entry: wanted.entry.clone(),
    }))
}

/// What was verified, without a node.
#[derive(Debug, Serialize)]
struct Checked {
    origin: String,
    size: u64,
    root: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<u64>,
}

impl Report for Checked {
    const COMMAND: &'static str = "log verify";

    fn page(&self, page: &mut Page) {
        match self.index {
            Some(index) => page.good(&format!(
                "verified: the entry is entry {index} of the log, at {} entries",
                self.size
            )),
            None => page.good(&format!(
                "verified: all {} entries make the signed root",
                self.size
            )),
        }
        page.field("log", &self.origin);
        page.field("root", &self.root);
    }
}

fn verify(wanted: &VerifyLog, context: &Context) -> Result<Output, Failure> {
    let verified = match (&wanted.folder, &wanted.proof, &wanted.entry) {
        (Some(folder), ..) => {
            let key = key(wanted.vkey.as_deref(), Some(folder), context)?;
            log_files::verify_folder(folder, &key)?
        }
        (None, Some(proof), Some(entry)) => {
            let key = key(wanted.vkey.as_deref(), None, context)?;
            log_files::verify_proof(proof, entry, &key)?
        }
        _ => {
            return Err(Failure::invalid("nothing to verify is named")
                .next("waypost log verify DIR, or waypost log verify --proof FILE --entry FILE"));
        }
    };
    Ok(Output::of(&checked(&verified)))
}

fn checked(verified: &Verified) -> Checked {
    Checked {
        origin: verified.origin.clone(),
        size: verified.checkpoint.size(),
        root: verified.checkpoint.root().to_string(),
        index: verified.index,
    }
}

/// The key that was given; else the installed directory's key of the own log; else, in a machine
/// without a directory, the one that lies beside the log, which then vouches for itself.
fn key(
    given: Option<&Path>,
    folder: Option<&Path>,
    context: &Context,
) -> Result<Verifier, Failure> {
    if let Some(file) = given {
        return log_files::read_vkey(file);
    }
    let installed = context.home.agency().and_then(|settings| {
        let directory = context.directory()?;
        let record = session::record(&directory, &settings.agency)?;
        own_log::verifier(record, context.now()).cloned()
    });
    match (installed, folder) {
        (Ok(key), _) => Ok(key),
        (Err(_), Some(folder)) => {
            context.note("No directory is installed here: the log is verified with the key that lies beside it. Compare that key with one that you have from elsewhere.");
            log_files::read_vkey(&folder.join("vkey"))
        }
        (Err(failure), None) => Err(failure),
    }
}

/// Two sizes of the log, of which one continues the other.
#[derive(Debug, Serialize)]
struct Consistent {
    from: u64,
    to: u64,
    from_root: String,
    to_root: String,
    path: Vec<String>,
}

impl Report for Consistent {
    const COMMAND: &'static str = "log consistency";

    fn page(&self, page: &mut Page) {
        page.good(&format!(
            "the log of {} entries continues that of {}: nothing was changed or taken away",
            self.to, self.from
        ));
        page.field(&format!("root at {}", self.from), &self.from_root);
        page.field(&format!("root at {}", self.to), &self.to_root);
        for hash in &self.path {
            page.item(hash);
        }
    }
}

/// Replays the entries up to the signed checkpoint, takes the roots of both sizes on the way, and
/// checks the node's path between them.
async fn consistency(wanted: &ConsistencyLog, context: &Context) -> Result<Output, Failure> {
    let (from, to) = (wanted.from, wanted.to);
    let mut session = Session::open(context).await?;
    let signed = own_log::checkpoint(&mut session).await?;
    if from > to || to > signed.size() {
        return Err(Failure::invalid(format!(
            "the sizes must grow and be at most {}, the log's size",
            signed.size()
        )));
    }
    let mut mirror = Mirror::empty();
    let (mut from_root, mut to_root) = (mirror.root(), mirror.root());
    let mut running = Mirror::empty();
    own_log::replay(&mut session, &mut mirror, &signed, |index, bytes, _| {
        running.append(index, bytes)?;
        if running.size() == from {
            from_root = running.root();
        }
        if running.size() == to {
            to_root = running.root();
        }
        Ok(())
    })
    .await?;
    let path = own_log::consistency(&mut session, from, to).await?;
    merkle::verify_consistency((from, &from_root), (to, &to_root), &path)
        .map_err(|e| own_log::false_log(&e))?;
    Ok(Output::of(&Consistent {
        from,
        to,
        from_root: from_root.to_string(),
        to_root: to_root.to_string(),
        path: path.iter().map(ToString::to_string).collect(),
    }))
}

/// An exported log.
#[derive(Debug, Serialize)]
struct Exported {
    folder: PathBuf,
    size: u64,
    root: String,
}

impl Report for Exported {
    const COMMAND: &'static str = "log export";

    fn page(&self, page: &mut Page) {
        page.good(&format!(
            "{} entries, with checkpoint and key, are written and verified",
            self.size
        ));
        page.field("folder", &self.folder.display());
        page.next_steps(&[format!(
            "anyone checks it without a node: waypost log verify {}",
            self.folder.display()
        )]);
    }
}

async fn export(wanted: &ExportLog, context: &Context) -> Result<Output, Failure> {
    let folder = &wanted.folder;
    let mut session = Session::open(context).await?;
    let signed = own_log::checkpoint(&mut session).await?;
    let entries = log_files::entries_folder(folder);
    prepare(folder, &entries)?;
    let mut mirror = Mirror::empty();
    let mut tiler = Tiler::new();
    own_log::replay(&mut session, &mut mirror, &signed, |index, bytes, _| {
        write_tiles(folder, tiler.push(bytes))?;
        write_new_file(&entries.join(log_files::entry_name(index)), bytes)
    })
    .await?;
    write_tiles(folder, tiler.finish(&signed))?;
    let verifier = own_log::verifier(session.record()?, session.now)?;
    write_new_file(&folder.join("vkey"), format!("{verifier}\n").as_bytes())?;
    own_log::check_consistent(&mut session, &signed).await?;
    Ok(Output::of(&Exported {
        folder: folder.clone(),
        size: signed.size(),
        root: signed.root().to_string(),
    }))
}

/// Tiles, entry bundles and the checkpoint, where C2SP tlog-tiles has them below a log's prefix.
fn write_tiles(folder: &Path, tiles: Result<Vec<TileFile>, TilesError>) -> Result<(), Failure> {
    let failed = |e: &dyn std::error::Error| {
        Failure::error(format!("`{}` cannot be written", folder.display())).caused_by(e)
    };
    for tile in tiles.map_err(|e| failed(&e))? {
        let path = folder.join(&tile.path);
        if let Some(above) = path.parent() {
            fs::create_dir_all(above).map_err(|e| failed(&e))?;
        }
        write_new_file(&path, &tile.bytes)?;
    }
    Ok(())
}

/// Makes the folders, in an empty or absent one.
fn prepare(folder: &Path, entries: &Path) -> Result<(), Failure> {
    let failed = |e: &std::io::Error| {
        Failure::error(format!("`{}` cannot be written", folder.display()))
            .caused_by(e)
            .next("choose another folder")
    };
    if folder.exists()
        && fs::read_dir(folder)
            .map_err(|e| failed(&e))?
            .next()
            .is_some()
    {
        return Err(
            Failure::invalid(format!("`{}` is not empty", folder.display()))
                .next("choose an empty or absent folder"),
        );
    }
    fs::create_dir_all(entries).map_err(|e| failed(&e))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::online::fixture;

    #[test]
    fn an_entry_is_told_in_words_with_short_ids_and_its_digest() {
        let item = fixture::incoming(1);
        let entry = Entry {
            time: item.time,
            event: fixture::received(&item),
        };
        let row = row(1, &entry.encode(), &entry);
        assert!(
            row.words
                .starts_with("message 02020202 received from gb.example-school/")
        );
        assert_eq!(row.message, Some(item.id().to_string()));
        assert_eq!(row.digest, Digest::of(&entry.encode()).to_string());
    }

    #[test]
    fn a_folder_that_holds_something_is_not_written_to() {
        let folder = tempfile::tempdir().unwrap();
        let inside = folder.path().join("log");
        prepare(&inside, &log_files::entries_folder(&inside)).unwrap();
        assert!(prepare(&inside, &log_files::entries_folder(&inside)).is_err());
    }
}
