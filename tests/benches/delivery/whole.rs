//! Both nodes at work: so many messages in flight, each counted when its receipt has verified.

use std::collections::{HashMap, VecDeque};
use std::fs;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::Instant;
use waypost_proto::envelope::Received;
use waypost_proto::header::Header;
use waypost_proto::id::MessageId;
use waypost_proto::openpgp::{DeskKey, Suite};
use waypost_proto::wire::{self, Outcome};
use waypost_tests::letter::{Ends, Letter};
use waypost_tests::officer::Officer;
use waypost_tests::scheme::{self, Scheme};

use crate::limit::Limit;

/// Linux reports processor time in hundredths of a second, whatever the kernel's own tick.
const TICKS_PER_SECOND: f64 = 100.0;
/// Connections of the driver, each of an officer who has logged in.
const CONNECTIONS: usize = 8;

/// One measurement.
#[derive(Debug, Clone, Default)]
pub(crate) struct Run {
    /// Messages a second.
    pub(crate) rate: f64,
    /// Time of one message, sorted.
    pub(crate) latencies: Vec<Duration>,
    /// Processor time of the sender's node, the recipient's and this process, in seconds a message.
    pub(crate) processor: [f64; 3],
    /// Bytes on the loopback interface a message.
    pub(crate) wire: f64,
}

impl Run {
    /// The time that this share of the messages did not exceed, in milliseconds.
    pub(crate) fn percentile(&self, share: f64) -> f64 {
        let last = self.latencies.len().saturating_sub(1);
        let place = (share * f64::from(u32::try_from(last).unwrap_or(u32::MAX))).round();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "within the list"
        )]
        let found = self.latencies.get(place as usize);
        found.map_or(f64::NAN, |latency| latency.as_secs_f64() * 1e3)
    }
}

/// What a driver does with one message.
pub(crate) trait Path: Send + Sync + 'static {
    /// Returns when the message counts.
    fn deliver(&self, envelope: wire::Envelope) -> impl Future<Output = Result<()>> + Send;
}

impl Path for Limit {
    async fn deliver(&self, envelope: wire::Envelope) -> Result<()> {
        Self::deliver(self, envelope).await
    }
}

/// Both nodes, with officers who have logged in.
pub(crate) struct Nodes {
    officers: Vec<Officer>,
    next: std::sync::atomic::AtomicUsize,
    waiting: Arc<Mutex<HashMap<Vec<u8>, oneshot::Sender<()>>>>,
}

impl Nodes {
    pub(crate) async fn connect(scheme: &Scheme) -> Result<Self> {
        let agency = scheme.agency_at(0)?;
        let mut officers = Vec::new();
        for _ in 0..CONNECTIONS {
            officers.push(Officer::of(scheme, agency).await?);
        }
        let waiting: Arc<Mutex<HashMap<Vec<u8>, oneshot::Sender<()>>>> = Arc::default();
        let mut watcher = Officer::of(scheme, agency).await?;
        let request = wire::WatchRequest { after: 0 };
        let mut events = watcher.desk.watch(request).await?.into_inner();
        let told = Arc::clone(&waiting);
        tokio::spawn(async move {
            // The log-in holds as long as its connection.
            let _watcher = watcher;
            while let Ok(Some(event)) = events.message().await {
                if event.outcome() == Outcome::Delivered {
                    let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
                    if let Some(done) = told.remove(&event.message_id) {
                        let _ = done.send(());
                    }
                }
            }
        });
        Ok(Self {
            officers,
            next: 0.into(),
            waiting,
        })
    }
}

impl Path for Nodes {
    async fn deliver(&self, envelope: wire::Envelope) -> Result<()> {
        let id = Header::decode(&envelope.header)?.message_id;
        let (done, delivered) = oneshot::channel();
        self.waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(id.as_bytes().to_vec(), done);
        let turn = self.next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let officer = self
            .officers
            .get(turn % self.officers.len())
            .context("an officer")?;
        let mut desk = officer.desk.clone();
        let request = wire::SubmitRequest {
            envelope: Some(envelope),
            subject_ref: waypost_tests::letter::random()?.to_vec(),
        };
        match desk.submit(request).await?.into_inner().result {
            Some(wire::submit_reply::Result::Receipt(_)) => {}
            Some(wire::submit_reply::Result::Refusal(refusal)) => {
                bail!("refused: {}", refusal.reason)
            }
            None => bail!("an empty answer"),
        }
        Ok(delivered.await?)
    }
}

/// Where the messages come from.
#[derive(Clone)]
pub(crate) enum Source {
    /// Sealed beforehand.
    Sealed(Arc<Mutex<VecDeque<wire::Envelope>>>),
    /// Sealed when their turn comes, and opened when they are delivered.
    Inline(Arc<Inline>),
}

/// What sealing and opening take.
pub(crate) struct Inline {
    pub(crate) ends: Ends,
    pub(crate) signing: waypost_proto::openpgp::SigningKey,
    pub(crate) desk: DeskKey,
    pub(crate) suite: Suite,
    pub(crate) bytes: usize,
    pub(crate) left: std::sync::atomic::AtomicUsize,
}

impl Inline {
    pub(crate) fn seal(&self) -> Result<wire::Envelope> {
        let letter = Letter::referral_of(self.bytes)?;
        Ok(self.ends.seal(&letter, &self.signing)?.into_wire())
    }

    fn open(&self, envelope: wire::Envelope) -> Result<()> {
        let (sender, recipient) = (&self.ends.sender, &self.ends.recipient);
        Received::decode(envelope)?
            .authenticate(sender, recipient, self.suite, scheme::now())?
            .open(&self.desk, sender, recipient)?
            .truthful()?;
        Ok(())
    }
}

/// One message after the other, until there is none left.
async fn work<P: Path>(path: Arc<P>, source: Source) -> Result<Vec<Duration>> {
    let mut took = Vec::new();
    loop {
        let started = Instant::now();
        match &source {
            Source::Sealed(sealed) => {
                let next = sealed
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .pop_front();
                let Some(envelope) = next else {
                    return Ok(took);
                };
                path.deliver(envelope).await?;
            }
            Source::Inline(inline) => {
                let order = std::sync::atomic::Ordering::Relaxed;
                if inline
                    .left
                    .fetch_update(order, order, |left| left.checked_sub(1))
                    .is_err()
                {
                    return Ok(took);
                }
                let with = Arc::clone(inline);
                let envelope = tokio::task::spawn_blocking(move || with.seal()).await??;
                path.deliver(envelope.clone()).await?;
                let with = Arc::clone(inline);
                tokio::task::spawn_blocking(move || with.open(envelope)).await??;
            }
        }
        took.push(started.elapsed());
    }
}

/// Runs `in_flight` messages at a time until the source is empty.
pub(crate) async fn run<P: Path>(
    path: &Arc<P>,
    source: &Source,
    in_flight: usize,
    pids: [u32; 2],
) -> Result<Run> {
    let [sender, recipient] = pids;
    let pids = [sender, recipient, std::process::id()];
    let times = || -> Result<Vec<f64>> { pids.iter().map(|pid| processor_time(*pid)).collect() };
    let (before, bytes) = (times()?, loopback_bytes()?);
    let started = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..in_flight {
        tasks.spawn(work(Arc::clone(path), source.clone()));
    }
    let mut latencies = Vec::new();
    while let Some(done) = tasks.join_next().await {
        latencies.extend(done??);
    }
    let took = started.elapsed().as_secs_f64();
    let (after, more) = (times()?, loopback_bytes()?);
    latencies.sort_unstable();
    ensure!(!latencies.is_empty(), "nothing was measured");
    let count = f64::from(u32::try_from(latencies.len())?);
    let mut processor = [0.0; 3];
    for ((cost, before), after) in processor.iter_mut().zip(before).zip(after) {
        *cost = (after - before) / count;
    }
    Ok(Run {
        rate: count / took,
        latencies,
        processor,
        wire: (more - bytes) / count,
    })
}

/// Seconds of processor time that a process has used, in user and system mode.
pub(crate) fn processor_time(pid: u32) -> Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name in brackets may hold anything; fields are counted from its end.
    let (_, fields) = stat.rsplit_once(") ").context("a process")?;
    let fields: Vec<&str> = fields.split(' ').collect();
    let ticks = |index: usize| -> Result<f64> {
        Ok(fields.get(index).context("a field")?.parse::<u32>()?.into())
    };
    Ok((ticks(11)? + ticks(12)?) / TICKS_PER_SECOND)
}

/// Bytes that the loopback interface has sent: everything between the processes, headers included.
fn loopback_bytes() -> Result<f64> {
    let text = fs::read_to_string("/sys/class/net/lo/statistics/tx_bytes")?;
    Ok(text.trim().parse()?)
}

/// Verifies the receipts of all that the sender's agency has delivered, offline. Returns how many.
pub(crate) async fn check_receipts(scheme: &Scheme, ids: &[MessageId]) -> Result<usize> {
    let record = waypost_tests::ledger::record(scheme, scheme.agency_at(1)?)?;
    let mut officer = Officer::of(scheme, scheme.agency_at(0)?).await?;
    for id in ids {
        let receipt = officer.fetch(id).await?.counterpart.context("a receipt")?;
        let (_, entry) = waypost_tests::ledger::prove(&receipt, &record)?;
        ensure!(
            entry.message_id() == Some(*id),
            "the receipt of another message"
        );
    }
    Ok(ids.len())
}
