//! The power is cut, at many moments of a recorded stream, and what was acknowledged is kept. The same
//! check finds out what is lost when a sync is taken out of the recording.
//!
//! Both nodes run under a tracer, twice, so that a start on a used store is recorded as well. A cut
//! leaves of a node's folder what its syncs had settled, and of the rest nothing, all, or some. Real
//! nodes start on what is left; the officers offer again what was not answered.
//!
//! `WAYPOST_CUTS` cuts (24) in `WAYPOST_CUT_STREAM` messages (120), from `WAYPOST_SEED` (the clock).

use std::path::PathBuf;

use tempfile::TempDir;
use tokio::task::JoinSet;
use waypost_node::start::VAULT_FILE;
use waypost_proto::id::MessageId;
use waypost_proto::openpgp::Suite;

use crate::disk::{self, Fate, Recording};
use crate::node::Listening;
use crate::officer::{Badge, Officer};
use crate::parameter::{note, parameter};
use crate::promise::{self, Broken};
use crate::scheme::{self, AUTHORITY, NGO, Scheme};
use crate::seeded::Seeded;
use crate::stream::{self, Client, Promised, Ready};
use crate::trace::{self, Call, Exchange};

/// Officers who submit at the same time, each on a connection.
const OFFICERS: usize = 4;
/// Times that both nodes are started while they are recorded.
const RUNS: usize = 2;
/// The file that the store keeps everything in.
const STORE_FILE: &str = "store/db";

/// What was recorded of one node.
struct Recorded {
    calls: Vec<Call>,
    disk: Recording,
    /// Where its listeners were, run by run.
    listening: Vec<Listening>,
}

/// A message of the recorded stream.
struct Sent {
    ready: Ready,
    promised: Promised,
    /// In the trace of the sender's node.
    exchange: Exchange,
}

/// A recorded stream, and what it ran on.
struct Session {
    scheme: Scheme,
    nodes: [Recorded; 2],
    /// In the order of their answers.
    sent: Vec<Sent>,
    badge: Badge,
    random: Seeded,
}

/// The traces of both nodes, run after run.
struct Traces {
    folder: TempDir,
    texts: [String; 2],
    listening: [Vec<Listening>; 2],
}

impl Traces {
    fn path(&self, node: usize) -> PathBuf {
        self.folder.path().join(node.to_string())
    }

    async fn start(&mut self, scheme: &mut Scheme) {
        for index in 0..2 {
            let recorder = trace::recorder(&self.path(index));
            let node = scheme.node_mut(index).unwrap();
            node.start_under(&recorder).await.unwrap();
            self.listening[index].push(node.listening().unwrap());
        }
    }

    async fn stop(&mut self, scheme: &mut Scheme) {
        for index in 0..2 {
            let node = scheme.node_mut(index).unwrap();
            let pid = node.pid().unwrap();
            assert!(node.stop().await.unwrap().success());
            self.texts[index] += &trace::whole(&self.path(index), pid).await.unwrap();
        }
    }
}

/// Each officer's messages, in the order in which they were submitted.
async fn submit(scheme: &Scheme, count: usize) -> Vec<Vec<(Ready, Promised)>> {
    let mut officers = Vec::new();
    // One after the other: so their connections are in this order.
    for _ in 0..OFFICERS {
        officers.push(Officer::of(scheme, &scheme.agencies[0]).await.unwrap());
    }
    let ends = officers[0].ends(&scheme.agencies[1].id).await.unwrap();
    let mut tasks = JoinSet::new();
    for (index, mut officer) in officers.into_iter().enumerate() {
        let ends = ends.clone();
        tasks.spawn(async move {
            let mut sent = Vec::new();
            for _ in 0..count / OFFICERS {
                let ready = stream::seal(&ends, &officer.signing).unwrap();
                let evidence = officer.send_sealed(ready.envelope.clone()).await.unwrap();
                let id = ready.id;
                sent.push((ready, Promised { id, evidence }));
            }
            (index, sent)
        });
    }
    let mut sent = tasks.join_all().await;
    sent.sort_by_key(|(index, _)| *index);
    sent.into_iter().map(|(_, sent)| sent).collect()
}

/// Joins what the officers know with what the trace of the sender's node shows.
fn exchanged(sender: &Recorded, runs: Vec<Vec<Vec<(Ready, Promised)>>>) -> Vec<Sent> {
    let mut found = Vec::new();
    for (run, listening) in runs.into_iter().zip(&sender.listening) {
        let exchanges = trace::exchanges(&sender.calls, listening.desks);
        let connections = trace::connections(&sender.calls, listening.desks);
        for (connection, sent) in connections.iter().zip(run) {
            let mut theirs = exchanges.iter().filter(|e| e.on == *connection);
            found.extend(sent.into_iter().map(|(ready, promised)| Sent {
                ready,
                promised,
                exchange: theirs.next().expect("an answer for each message").clone(),
            }));
            assert_eq!(theirs.next(), None, "an answer too many");
        }
    }
    found.sort_by_key(|sent| sent.exchange.answered);
    found
}

impl Session {
    async fn record(messages: usize, random: Seeded) -> Self {
        let mut scheme = Scheme::new(Suite::Classical, &[NGO, AUTHORITY])
            .await
            .unwrap();
        let disk = |index: usize| Recording::of(&scheme.agencies[index].node.data()).unwrap();
        let disks = [disk(0), disk(1)];
        let mut traces = Traces {
            folder: tempfile::tempdir().unwrap(),
            texts: Default::default(),
            listening: Default::default(),
        };
        let mut runs = Vec::new();
        for run in 1..=RUNS {
            traces.start(&mut scheme).await;
            runs.push(submit(&scheme, messages / RUNS).await);
            if run == RUNS {
                promise::settled(&scheme).await.unwrap();
            }
            traces.stop(&mut scheme).await;
        }
        let mut nodes = Vec::new();
        let listening = traces.listening.into_iter();
        for ((text, mut disk), listening) in traces.texts.iter().zip(disks).zip(listening) {
            let calls = trace::parse(text);
            disk.replay(&calls).unwrap();
            nodes.push(Recorded {
                calls,
                disk,
                listening,
            });
        }
        let Ok(nodes) = <[Recorded; 2]>::try_from(nodes) else {
            unreachable!()
        };
        let sent = exchanged(&nodes[0], runs);
        let badge = Badge::of(&scheme, &scheme.agencies[0], 0).unwrap();
        Self {
            scheme,
            nodes,
            sent,
            badge,
            random,
        }
    }

    /// A line of the node's trace at which a cut could matter: around a sync, or around an answer.
    fn moment(&mut self, node: usize) -> usize {
        let recorded = &self.nodes[node];
        let sends = recorded.calls.iter().filter(|call| trace::is_send(call));
        let mut lines: Vec<_> = sends.flat_map(|c| [c.start, c.start + 1]).collect();
        let sends = lines.len() as u64;
        for sync in recorded.disk.syncs() {
            lines.extend([sync.start, sync.start + 1, sync.end, sync.end + 1]);
        }
        // There are many more sends than syncs.
        let all = lines.len() as u64;
        let range = if self.random.coin() {
            0..sends
        } else {
            sends..all
        };
        let chosen = self.random.within(range);
        lines[usize::try_from(chosen).unwrap()]
    }

    /// How far the other node can have come when this one's power is cut before its line `cut`: to just
    /// before this one sends anything more.
    fn other_line(&self, node: usize, cut: usize) -> usize {
        let mut later = self.nodes[node].calls.iter();
        let next = later.find(|call| call.start >= cut && trace::is_send(call));
        let until = next.map_or(u64::MAX, |call| call.time_us);
        self.line_at(1 - node, until)
    }

    /// The first line of the node's trace at or after a time.
    fn line_at(&self, node: usize, time_us: u64) -> usize {
        let calls = self.nodes[node].calls.iter();
        let earlier = calls.filter(|call| call.time_us < time_us);
        earlier.map(|call| call.start + 1).max().unwrap_or_default()
    }

    /// When the line of the node's trace was.
    fn time_at(&self, node: usize, line: usize) -> u64 {
        let mut calls = self.nodes[node].calls.iter();
        let next = calls.find(|call| call.start >= line);
        next.map_or(u64::MAX, |call| call.time_us)
    }

    /// Starts both nodes on these disks.
    async fn restart(&mut self, disks: [disk::Disk; 2]) {
        // None may talk to the other as it was before.
        for index in 0..disks.len() {
            let node = self.scheme.node_mut(index).unwrap();
            if node.pid().is_ok() {
                node.kill().await.unwrap();
            }
        }
        for (index, disk) in disks.iter().enumerate() {
            let node = self.scheme.node_mut(index).unwrap();
            disk::install(disk, &node.data()).unwrap();
            node.start().await.unwrap();
        }
    }

    /// What was answered before this line of the sender's trace.
    fn promised(&self, line: usize) -> Vec<Promised> {
        let answered = self.sent.iter().filter(|s| s.exchange.answered < line);
        answered.map(|sent| sent.promised.clone()).collect()
    }

    /// Offers again what was on its way at this line, and offers some more.
    async fn offer_more(&self, line: usize, promised: &mut Vec<Promised>) {
        const MORE: usize = 2;
        let mut client = Client::new(self.badge.clone());
        let open = self.sent.iter().filter(|s| s.exchange.answered >= line);
        for sent in open.take(OFFICERS + MORE) {
            promised.push(client.submit(&sent.ready).await.unwrap());
        }
    }
}

/// The last few, and one of the others.
fn sample(promised: &[Promised], random: &mut Seeded) -> Vec<MessageId> {
    const LAST: usize = 8;
    let (others, last) = promised.split_at(promised.len().saturating_sub(LAST));
    let other = others.get(usize::try_from(random.within(0..others.len() as u64)).unwrap());
    last.iter().chain(other).map(|message| message.id).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_is_there_after_a_power_cut_at_any_moment_and_not_without_the_syncs()
{
    let messages = parameter("WAYPOST_CUT_STREAM", 120);
    let cuts = parameter("WAYPOST_CUTS", 24);
    let seed = parameter("WAYPOST_SEED", scheme::now().0);
    note(&format!(
        "WAYPOST_SEED={seed} WAYPOST_CUT_STREAM={messages} WAYPOST_CUTS={cuts}"
    ));
    let messages = usize::try_from(messages).unwrap();
    let mut session = Session::record(messages, Seeded::new(seed)).await;
    assert_eq!(session.sent.len(), messages);
    for cut in 0..cuts {
        survives_a_cut(&mut session, cut).await;
    }
    loses_without_its_syncs(&mut session).await;
}

/// Cuts the power of the sender, of the recipient, or of both.
async fn survives_a_cut(session: &mut Session, cut: u64) {
    let node = usize::try_from(cut % 2).unwrap();
    let both = cut % 3 == 2;
    let line = session.moment(node);
    let other = if both {
        session.line_at(1 - node, session.time_at(node, line))
    } else {
        session.other_line(node, line)
    };
    let mut fate = || match cut / 2 % 4 {
        0 => Fate::Lost,
        1 => Fate::Kept,
        _ => Fate::Mixed(Seeded::new(session.random.number())),
    };
    let mut fates = [fate(), if both { fate() } else { Fate::Kept }];
    let mut lines = [line, other];
    if node == 1 {
        fates.reverse();
        lines.reverse();
    }
    note(&format!("cut {cut}: before lines {lines:?}, {fates:?}"));
    let [ours, theirs] = &mut fates;
    let disks = [
        session.nodes[0].disk.after_cut(lines[0], ours),
        session.nodes[1].disk.after_cut(lines[1], theirs),
    ];
    session.restart(disks).await;
    let mut promised = session.promised(lines[0]);
    session.offer_more(lines[0], &mut promised).await;
    promise::settled(&session.scheme).await.unwrap();
    let sample = sample(&promised, &mut session.random);
    promise::check(&session.scheme, &promised, &sample)
        .await
        .unwrap();
}

/// The same recording, as if from the second run's first answers on a file had not been synced: of
/// either node, the store's and the vault's.
async fn loses_without_its_syncs(session: &mut Session) {
    let time = {
        let first = &session.sent[session.sent.len() / RUNS];
        session.time_at(0, first.exchange.answered)
    };
    let promised = session.promised(usize::MAX);
    let last = promised.last().unwrap().id;
    let whole = |recording: &Recording| recording.after_cut(usize::MAX, &mut Fate::Lost);
    for (node, file) in [
        (0, STORE_FILE),
        (1, STORE_FILE),
        (0, VAULT_FILE),
        (1, VAULT_FILE),
    ] {
        // Everything was answered and delivered when the power is cut.
        let from = session.line_at(node, time);
        let mut disks = [whole(&session.nodes[0].disk), whole(&session.nodes[1].disk)];
        disks[node] = whole(&session.nodes[node].disk.clone().without_syncs(file, from));
        session.restart(disks).await;
        let found = promise::check(&session.scheme, &promised, &[last]).await;
        let expected = match (node, file) {
            (0, STORE_FILE) => matches!(found, Err(Broken::Forgotten { .. })),
            (_, STORE_FILE) => matches!(found, Err(Broken::Unreceived { .. })),
            _ => matches!(&found, Err(Broken::Body { log, .. })
                if *log == session.scheme.agencies[node].id.to_string()),
        };
        assert!(expected, "{file} of node {node}: {found:?}");
    }
}
