//! What one message costs: two nodes in two processes on this machine, and each stage by itself.
//!
//! ```text
//! cargo build --workspace --release && cargo bench --bench delivery -- [--messages N] [--officers N]
//!     [--suite post-quantum|classical] [--bytes N] [--json]
//! ```
//!
//! Every message is new: verified signatures are remembered by their bytes, so the same message
//! offered again would cost nothing. A message counts as delivered when the sender's log says so.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::Instant;
use waypost_node::clock::SystemClock;
use waypost_node::record;
use waypost_node::sequencer::{Abort, LogConfig, Sequencer, create_log};
use waypost_node::store::Store;
use waypost_node::store::sled::SledStore;
use waypost_node::vault::Vault;
use waypost_policies::permit;
use waypost_proto::envelope::{Authenticated, Received};
use waypost_proto::evidence::Proved;
use waypost_proto::id::MessageId;
use waypost_proto::note::{KeyName, NoteSigner};
use waypost_proto::openpgp::Suite;
use waypost_proto::wire::{self, Outcome, log_entry::Event};
use waypost_tests::ledger;
use waypost_tests::letter::{self, Ends, Letter};
use waypost_tests::node::Node;
use waypost_tests::officer::Officer;
use waypost_tests::scheme::{self, AUTHORITY, Agency, NGO, Scheme};

/// Linux reports processor time in hundredths of a second, whatever the kernel's own tick.
const TICKS_PER_SECOND: f64 = 100.0;
/// Messages of a stage that is measured by itself.
const STAGE_MESSAGES: usize = 100;

struct Options {
    messages: usize,
    officers: usize,
    bytes: usize,
    suite: Suite,
    json: bool,
}

impl Options {
    fn parse() -> Result<Self> {
        let mut options = Self {
            messages: 200,
            officers: 8,
            bytes: 4096,
            suite: Suite::PostQuantum,
            json: false,
        };
        let mut words = std::env::args().skip(1);
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
                "--officers" => options.officers = value()?.parse::<usize>()?.max(1),
                "--bytes" => options.bytes = value()?.parse()?,
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
}

/// What was measured: for people and for machines, in this order.
#[derive(Default)]
struct Results(Vec<(&'static str, f64, &'static str)>);

impl Results {
    fn add(&mut self, name: &'static str, value: f64, unit: &'static str) {
        self.0.push((name, value, unit));
    }

    fn write(&self, options: &Options) -> Result<()> {
        let mut out = std::io::stdout().lock();
        if options.json {
            let values = self
                .0
                .iter()
                .map(|(name, value, unit)| (format!("{name}, {unit}"), json!(value)));
            let mut line: serde_json::Map<String, Value> = values.collect();
            line.insert("messages".to_owned(), json!(options.messages));
            line.insert("officers".to_owned(), json!(options.officers));
            line.insert("suite".to_owned(), json!(format!("{:?}", options.suite)));
            writeln!(out, "{}", Value::Object(line))?;
            return Ok(());
        }
        writeln!(
            out,
            "{} messages, {} officers, suite {:?}, two nodes",
            options.messages, options.officers, options.suite
        )?;
        for (name, value, unit) in &self.0 {
            writeln!(out, "{name:<44}{value:>12.2} {unit}")?;
        }
        Ok(())
    }
}

fn per(total: Duration, count: usize) -> f64 {
    total.as_secs_f64() * 1e6 / as_number(count)
}

fn as_number(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::NAN, f64::from)
}

#[tokio::main]
async fn main() -> Result<()> {
    let options = Options::parse()?;
    let mut scheme = Scheme::new(options.suite, &[NGO, AUTHORITY]).await?;
    for agency in &mut scheme.agencies {
        let quiet = ["env", "WAYPOST__LOG__LEVEL=warn"].map(OsString::from);
        agency.node.start_under(&quiet).await?;
    }
    let mut results = Results::default();
    let mut sender = Officer::of(&scheme, scheme.agency_at(0)?).await?;
    let recipient = scheme.agency_at(1)?.id.clone();
    let ends = sender.ends(&recipient).await?;
    // Acquainted, with everything loaded that is loaded once.
    let first = Letter::referral()?;
    sender.send(&recipient, &first).await?;
    sender.outcome(&first.id, Outcome::Delivered).await?;

    let sealed = seal(&options, &ends, &sender, options.messages, &mut results)?;
    let evidence = deliver(&options, &scheme, sealed, &mut results).await?;
    stages(&options, scheme.agency_at(1)?, &ends, &sender, &mut results)?;
    prove(&scheme, scheme.agency_at(0)?, &evidence, &mut results)?;
    commit(&options, &mut results).await?;
    results.write(&options)
}

fn seal(
    options: &Options,
    ends: &Ends,
    sender: &Officer,
    count: usize,
    results: &mut Results,
) -> Result<Vec<wire::Envelope>> {
    let started = Instant::now();
    let mut sealed = Vec::new();
    for _ in 0..count {
        let letter = Letter::referral_of(options.bytes)?;
        sealed.push(ends.seal(&letter, &sender.signing)?.into_wire());
    }
    results.add(
        "client: minimise and seal",
        per(started.elapsed(), count),
        "us/message",
    );
    let form = ends
        .minimise(&Letter::referral_of(options.bytes)?)?
        .payload()
        .len();
    let one = sealed.first().context("a message")?;
    let whole = one.header.len() + one.body.len() + one.signature.len();
    results.add("size: form", as_number(form), "bytes");
    results.add(
        "size: sealed, with header and signature",
        as_number(whole),
        "bytes",
    );
    Ok(sealed)
}

/// Submits everything from several officers at once, and waits until the sender's log says delivered.
async fn deliver(
    options: &Options,
    scheme: &Scheme,
    sealed: Vec<wire::Envelope>,
    results: &mut Results,
) -> Result<Vec<wire::Evidence>> {
    let (ngo, authority) = (scheme.agency_at(0)?, scheme.agency_at(1)?);
    let count = sealed.len();
    let mut shares: Vec<Vec<wire::Envelope>> = vec![Vec::new(); options.officers];
    for (index, envelope) in sealed.into_iter().enumerate() {
        let share = shares.get_mut(index % options.officers);
        share.context("a share")?.push(envelope);
    }
    let mut officers = Vec::new();
    for share in shares {
        officers.push((Officer::of(scheme, ngo).await?, share));
    }
    let watcher = Officer::of(scheme, ngo).await?;
    let before = (processor_time(&ngo.node)?, processor_time(&authority.node)?);
    let started = Instant::now();
    let submitted = async {
        let evidence = submit(officers).await?;
        anyhow::Ok((evidence, started.elapsed()))
    };
    let delivered = async {
        wait_for_delivery(watcher, count).await?;
        anyhow::Ok(started.elapsed())
    };
    let ((evidence, submitted), delivered) = tokio::try_join!(submitted, delivered)?;
    let after = (processor_time(&ngo.node)?, processor_time(&authority.node)?);
    let rate = |took: Duration| as_number(count) / took.as_secs_f64();
    results.add("submitted", rate(submitted), "messages/s");
    results.add("delivered", rate(delivered), "messages/s");
    let cost = |from: f64, to: f64| (to - from) * 1e6 / as_number(count);
    let (sender, recipient) = (cost(before.0, after.0), cost(before.1, after.1));
    results.add("sender's node: processor time", sender, "us/message");
    results.add("recipient's node: processor time", recipient, "us/message");
    Ok(evidence)
}

/// Every officer submits their share, one message after the other.
async fn submit(officers: Vec<(Officer, Vec<wire::Envelope>)>) -> Result<Vec<wire::Evidence>> {
    let mut submitting = JoinSet::new();
    for (mut officer, share) in officers {
        submitting.spawn(async move {
            let mut evidence = Vec::new();
            for envelope in share {
                evidence.push(officer.send_sealed(envelope).await?);
            }
            anyhow::Ok(evidence)
        });
    }
    let all = submitting.join_all().await;
    Ok(all.into_iter().collect::<Result<Vec<_>>>()?.concat())
}

/// Returns when the log says of `count` messages that they are delivered, besides the first one.
async fn wait_for_delivery(mut watcher: Officer, count: usize) -> Result<()> {
    let request = wire::WatchRequest { after: 0 };
    let mut events = watcher.desk.watch(request).await?.into_inner();
    let mut done = BTreeSet::new();
    while done.len() <= count {
        let event = events.message().await?.context("the watch ended")?;
        if event.outcome() == Outcome::Delivered {
            done.insert(event.message_id);
        }
    }
    Ok(())
}

/// Seconds of processor time that a node has used, in user and system mode.
fn processor_time(node: &Node) -> Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{}/stat", node.pid()?))?;
    // The name in brackets may hold anything; fields are counted from its end.
    let (_, fields) = stat.rsplit_once(") ").context("a process")?;
    let fields: Vec<&str> = fields.split(' ').collect();
    let ticks = |index: usize| -> Result<f64> {
        Ok(fields.get(index).context("a field")?.parse::<u32>()?.into())
    };
    Ok((ticks(11)? + ticks(12)?) / TICKS_PER_SECOND)
}

/// The stages of a message in this process, with new messages.
fn stages(
    options: &Options,
    authority: &Agency,
    ends: &Ends,
    sender: &Officer,
    results: &mut Results,
) -> Result<()> {
    let mut unused = Results::default();
    let sealed = seal(options, ends, sender, STAGE_MESSAGES, &mut unused)?;
    let at = scheme::now();
    let started = Instant::now();
    let mut received = Vec::new();
    for envelope in sealed {
        received.push(Received::decode(envelope)?);
    }
    results.add(
        "node: decode, check the outer form",
        per(started.elapsed(), STAGE_MESSAGES),
        "us/message",
    );

    let started = Instant::now();
    let mut authenticated = Vec::new();
    for message in received {
        authenticated.push(message.authenticate(
            &ends.sender,
            &ends.recipient,
            options.suite,
            at,
        )?);
    }
    results.add(
        "node: authenticate (signature)",
        per(started.elapsed(), STAGE_MESSAGES),
        "us/message",
    );

    // Each message asks its own judge, as a node does; the rules keep their answers.
    let started = Instant::now();
    for message in &authenticated {
        permit(&ends.judge()?, message, |m: &&Authenticated| {
            &m.header().manifest
        })?;
    }
    results.add(
        "node: policy, answers kept",
        per(started.elapsed(), STAGE_MESSAGES),
        "us/message",
    );

    let keys = authority.desk_key();
    let subkey = *keys
        .certificate()
        .encryption_keys()
        .last()
        .context("a subkey")?;
    let key = keys.desk_key(&subkey)?;
    let started = Instant::now();
    for message in &authenticated {
        message
            .open(&key, &ends.sender, &ends.recipient)?
            .truthful()?;
    }
    results.add(
        "client: open (decrypt, verify, compare)",
        per(started.elapsed(), STAGE_MESSAGES),
        "us/message",
    );
    Ok(())
}

fn prove(
    scheme: &Scheme,
    ngo: &Agency,
    evidence: &[wire::Evidence],
    results: &mut Results,
) -> Result<()> {
    let record = ledger::record(scheme, ngo)?;
    let at = scheme::now();
    let started = Instant::now();
    for one in evidence {
        Proved::verify(one, &record, None, at)?;
    }
    results.add(
        "node: verify log evidence",
        per(started.elapsed(), evidence.len()),
        "us/message",
    );
    Ok(())
}

/// A message's commit by itself, one after the other: entry, record, body and its key, two syncs.
async fn commit(options: &Options, results: &mut Results) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let agency: waypost_proto::id::AgencyId = NGO.id.parse()?;
    let store: Arc<dyn Store> = Arc::new(SledStore::open(&folder.path().join("store"))?);
    let vault = Arc::new(Vault::open(&folder.path().join("vault.slots"))?);
    let log_key = NoteSigner::generate(KeyName::of_log(&agency))?;
    let log = LogConfig::new(agency.clone(), 1, log_key)?;
    create_log(store.as_ref(), &log, scheme::now())?;
    let sequencer = Sequencer::start(store, vault, vec![log], Arc::new(SystemClock))?;
    let started = Instant::now();
    for _ in 0..STAGE_MESSAGES {
        let id = MessageId::new(letter::random()?);
        let key = record::message(&agency, &id);
        let body = vec![1; options.bytes * 2];
        let run = sequencer
            .handle()
            .run(&agency, move |tx| -> Result<(), Abort<()>> {
                tx.append(Event::Fetched(wire::Fetched {
                    message_id: id.as_bytes().to_vec(),
                    officer: vec![0; 32],
                }))?;
                tx.put(key, vec![2; 4096])?;
                Ok(tx.put_body(id, body)?)
            });
        if let Err(Abort::Failed(error)) = run.await {
            return Err(error.into());
        }
    }
    results.add(
        "node: commit alone, not shared",
        per(started.elapsed(), STAGE_MESSAGES),
        "us/message",
    );
    sequencer.shutdown().await;
    Ok(())
}
