//! What one message costs: two nodes in two processes on this machine, beside the limit of what any
//! node must do, in one run; and each stage by itself.
//!
//! ```text
//! cargo build --workspace --release && cargo bench --bench delivery -- [--messages N] [--rounds N]
//!     [--in-flight 1,8,64,256] [--suite post-quantum|classical] [--bytes N] [--json]
//! ```
//!
//! Every message is a new one. A message counts when the sender's node has verified its receipt and
//! logged it; with sealing and opening counted in, when it has been opened besides. Rounds alternate
//! between limit and nodes, and the ratios are of runs that stood side by side.

mod limit;
mod report;
mod stages;
mod syncs;
mod whole;

use std::collections::VecDeque;
use std::ffi::OsString;
use std::sync::{Arc, Mutex};

use anyhow::{Context as _, Result, bail};
use waypost_proto::header::Header;
use waypost_proto::id::MessageId;
use waypost_proto::openpgp::Suite;
use waypost_proto::wire;
use waypost_tests::letter::Letter;
use waypost_tests::node::Network;
use waypost_tests::officer::Officer;
use waypost_tests::scheme::{AUTHORITY, NGO, Scheme};

use self::limit::Limit;
use self::report::{Level, Report, Stages};
use self::whole::{Inline, Nodes, Source};

/// Receipts that are verified once more, offline, when everything is measured.
const RECEIPTS: usize = 300;

struct Options {
    messages: usize,
    rounds: usize,
    in_flight: Vec<usize>,
    bytes: usize,
    suite: Suite,
    json: bool,
}

impl Options {
    fn parse(words: impl Iterator<Item = String>) -> Result<Self> {
        let mut options = Self {
            messages: 600,
            rounds: 3,
            in_flight: vec![1, 8, 64, 256],
            bytes: 4096,
            suite: Suite::PostQuantum,
            json: false,
        };
        let mut words = words;
        while let Some(word) = words.next() {
            let mut value = || {
                words
                    .next()
                    .with_context(|| format!("`{word}` needs a value"))
            };
            match word.as_str() {
                // Cargo's own.
                "--bench" => {}
                "--json" => options.json = true,
                "--messages" => options.messages = value()?.parse()?,
                "--rounds" => options.rounds = value()?.parse::<usize>()?.max(1),
                "--bytes" => options.bytes = value()?.parse()?,
                "--in-flight" => {
                    let list = value()?;
                    options.in_flight =
                        list.split(',').map(str::parse).collect::<Result<_, _>>()?;
                }
                "--suite" => {
                    options.suite = match value()?.as_str() {
                        "post-quantum" => Suite::PostQuantum,
                        "classical" => Suite::Classical,
                        other => bail!("`{other}` is no suite: post-quantum or classical"),
                    }
                }
                other => bail!("`{other}` is not known: see the head of this file"),
            }
        }
        Ok(options)
    }

    /// Messages of one run: enough of them for many in flight, not too many one by one.
    fn count(&self, in_flight: usize) -> usize {
        match in_flight {
            0..=7 => self.messages.div_ceil(3),
            _ => self.messages.max(in_flight * 4),
        }
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let mut words = std::env::args().skip(1).peekable();
    if words.next_if(|word| word == limit::WORD).is_some() {
        return limit::process(words).await;
    }
    let options = Options::parse(words)?;
    let mut scheme = Scheme::on(Network::Direct, options.suite, &[NGO, AUTHORITY]).await?;
    for agency in &mut scheme.agencies {
        let quiet = ["env", "WAYPOST__LOG__LEVEL=warn"].map(OsString::from);
        agency.node.start_under(&quiet).await?;
    }
    let (ngo, authority) = (scheme.agency_at(0)?, scheme.agency_at(1)?);
    let mut sender = Officer::of(&scheme, ngo).await?;
    // Acquainted, with everything loaded that is loaded once.
    let first = Letter::referral()?;
    let evidence = sender.send(&authority.id, &first).await?;
    sender.outcome(&first.id, wire::Outcome::Delivered).await?;
    let inline = inline(&options, &scheme, &mut sender).await?;

    let mut stages = Stages::default();
    let sealed = stages::of_messages(&inline, authority, &mut stages)?;
    stages::of_evidence(&scheme, ngo, &evidence, &mut stages)?;
    let one = sealed.first().context("a message")?;
    stages::of_transport(&sealed, &mut stages).await?;
    stages::of_commits(one.body.len(), 64, &mut stages).await?;
    let form = Letter::referral_of(options.bytes)?;
    let mut report = Report {
        suite: format!("{:?}", options.suite),
        form_bytes: inline.ends.minimise(&form)?.payload().len(),
        sealed_bytes: one.header.len() + one.body.len() + one.signature.len(),
        levels: Vec::new(),
        stages,
        receipts: 0,
    };

    let folder = tempfile::tempdir()?;
    let limit = Arc::new(Limit::start(folder.path(), sender.signing.certificate()).await?);
    let nodes = Arc::new(Nodes::connect(&scheme).await?);
    let pids = [ngo.node.pid()?, authority.node.pid()?];
    let mut ids = Vec::new();
    for in_flight in &options.in_flight {
        let level = level(
            &options, *in_flight, &limit, &nodes, pids, &inline, &mut ids,
        )
        .await?;
        report.levels.push(level);
    }
    let step = ids.len().div_ceil(RECEIPTS).max(1);
    let some: Vec<_> = ids.into_iter().step_by(step).collect();
    report.receipts = whole::check_receipts(&scheme, &some).await?;
    if let Some(limit) = Arc::into_inner(limit) {
        limit.stop().await?;
    }
    drop(nodes);
    drop(scheme);
    for level in &mut report.levels {
        level.syncs = syncs::a_message(&options, level.in_flight).await?;
    }
    report.write(options.json)
}

async fn inline(options: &Options, scheme: &Scheme, sender: &mut Officer) -> Result<Arc<Inline>> {
    let authority = scheme.agency_at(1)?;
    let keys = authority.desk_key();
    let subkey = *keys
        .certificate()
        .encryption_keys()
        .last()
        .context("a subkey")?;
    Ok(Arc::new(Inline {
        ends: sender.ends(&authority.id).await?,
        signing: sender.signing.clone(),
        desk: keys.desk_key(&subkey)?,
        suite: options.suite,
        bytes: options.bytes,
        left: 0.into(),
    }))
}

/// New messages, and their ids.
fn seal(inline: &Inline, count: usize, ids: &mut Vec<MessageId>) -> Result<Source> {
    let mut sealed = VecDeque::new();
    for _ in 0..count {
        let envelope = inline.seal()?;
        ids.push(Header::decode(&envelope.header)?.message_id);
        sealed.push_back(envelope);
    }
    Ok(Source::Sealed(Arc::new(Mutex::new(sealed))))
}

async fn level(
    options: &Options,
    in_flight: usize,
    limit: &Arc<Limit>,
    nodes: &Arc<Nodes>,
    pids: [u32; 2],
    inline: &Arc<Inline>,
    ids: &mut Vec<MessageId>,
) -> Result<Level> {
    let count = options.count(in_flight);
    let mut level = Level {
        in_flight,
        limit: Vec::new(),
        sealed: Vec::new(),
        inline: Vec::new(),
        syncs: 0.0,
    };
    for _ in 0..options.rounds {
        let source = seal(inline, count, &mut Vec::new())?;
        let run = whole::run(limit, &source, in_flight, limit.pids()?).await?;
        level.limit.push(run);
        let source = seal(inline, count, ids)?;
        level
            .sealed
            .push(whole::run(nodes, &source, in_flight, pids).await?);
        inline
            .left
            .store(count, std::sync::atomic::Ordering::Relaxed);
        let source = Source::Inline(Arc::clone(inline));
        level
            .inline
            .push(whole::run(nodes, &source, in_flight, pids).await?);
    }
    Ok(level)
}
