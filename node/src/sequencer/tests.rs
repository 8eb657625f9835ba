//! The crash table, group commit, and random transactions with crashes against a model.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::mpsc as std_mpsc;

use proptest::prelude::*;
use prost::Message;
use waypost_proto::checkpoint::SignedCheckpoint;
use waypost_proto::id::{Digest, MessageId};
use waypost_proto::merkle::{leaf_hash, verify_consistency};
use waypost_proto::note::{KeyName, NoteSigner, Verifier};
use waypost_proto::tlog_proof::TlogProof;
use waypost_proto::wire;
use waypost_proto::wire::log_entry::Event;
use zeroize::Zeroizing;

use super::*;
use crate::clock::ManualClock;
use crate::store::memory::{Fault, MemoryStore};
use crate::store::sled::SledStore;
use crate::store::{Batch, Key, KeyRange, Page, Space};

const MESSAGE: MessageId = MessageId::new([7; 16]);
const BODY: &[u8] = &[42; 100_000];

fn agency(name: &str) -> AgencyId {
    name.parse().unwrap()
}

fn school() -> AgencyId {
    agency("gb.school")
}

fn signer(agency: &AgencyId) -> NoteSigner {
    let seed = Zeroizing::new(*Digest::of(agency.as_str().as_bytes()).as_bytes());
    NoteSigner::from_seed(KeyName::of_log(agency), seed).unwrap()
}

fn verifier(agency: &AgencyId) -> Verifier {
    signer(agency).verifier().clone()
}

fn config(agency: &AgencyId) -> LogConfig {
    LogConfig::new(agency.clone(), 1, signer(agency)).unwrap()
}

fn opened(message: MessageId) -> Event {
    let message_id = message.as_bytes().to_vec();
    Event::Opened(wire::Opened {
        message_id,
        officer: vec![0; 32],
    })
}

/// A node's data folder, with a store in memory.
struct Node {
    folder: tempfile::TempDir,
    clock: Arc<ManualClock>,
    store: MemoryStore,
    vault: Arc<Vault>,
    agencies: Vec<AgencyId>,
}

impl Node {
    fn new(agencies: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let vault = Arc::new(Vault::open(&folder.path().join("vault.slots")).unwrap());
        let clock = Arc::new(ManualClock::new(Timestamp(1000)));
        let store = MemoryStore::new();
        let agencies: Vec<_> = agencies.iter().map(|name| agency(name)).collect();
        for agency in &agencies {
            create_log(&store, &config(agency), clock.now()).unwrap();
        }
        Self {
            folder,
            clock,
            store,
            vault,
            agencies,
        }
    }

    fn start(&self) -> Sequencer {
        self.start_on(Arc::new(self.store.clone())).unwrap()
    }

    fn start_on(&self, store: Arc<dyn Store>) -> Result<Sequencer, StartError> {
        let logs = self.agencies.iter().map(config).collect();
        Sequencer::start(
            store,
            Arc::clone(&self.vault),
            logs,
            Arc::clone(&self.clock) as _,
        )
    }

    fn vault_path(&self) -> PathBuf {
        self.folder.path().join("vault.slots")
    }

    /// The machine after a crash: what the disk holds, and nothing else.
    fn restarted(self) -> Self {
        let Self {
            folder,
            clock,
            store,
            vault,
            agencies,
        } = self;
        assert_eq!(Arc::strong_count(&vault), 1, "the sequencer is still there");
        drop(vault);
        let vault = Arc::new(Vault::open(&folder.path().join("vault.slots")).unwrap());
        Self {
            folder,
            clock,
            store: store.restarted(),
            vault,
            agencies,
        }
    }

    fn log(&self, agency: &AgencyId) -> Log {
        Log::new(Arc::new(self.store.clone()), agency.clone())
    }

    fn body(&self) -> Option<Vec<u8>> {
        body::read(&self.store, &self.vault, &school(), MESSAGE).unwrap()
    }

    fn case(&self) -> Option<Vec<u8>> {
        self.store
            .get(&Key::of(&school(), Space::Case, b"case"))
            .unwrap()
    }

    /// Every log is whole: its key signed the root, and each entry and each past size is proved.
    fn check(&self) {
        for agency in &self.agencies {
            let log = self.log(agency);
            let head = log.head().unwrap();
            let signed = SignedCheckpoint::verify(&head.checkpoint, &verifier(agency)).unwrap();
            assert_eq!((signed.size(), *signed.root()), (head.size, head.root));
            let entries = log.entries(0..u64::MAX).unwrap();
            assert_eq!(entries.len() as u64, head.size);
            let mut last = 0;
            for (index, entry) in (0..).zip(&entries) {
                let evidence = log.evidence(index, 0).unwrap();
                assert_eq!(evidence.entry, *entry);
                TlogProof::parse(&evidence.proof)
                    .unwrap()
                    .verify(entry, &verifier(agency))
                    .unwrap();
                let time = wire::LogEntry::decode(entry.as_slice()).unwrap().time;
                assert!(time >= last);
                last = time;
            }
        }
    }
}

/// Stores a body and a case, logged.
async fn store_body(handle: &Handle) -> Result<Committed<u64>, Abort<()>> {
    handle
        .run(&school(), |tx| {
            tx.put_body(MESSAGE, BODY.to_vec())?;
            tx.put(tx.key(Space::Case, b"case"), b"open".to_vec())?;
            Ok(tx.append(opened(MESSAGE))?)
        })
        .await
}

async fn erase_body(handle: &Handle) -> Result<Committed<bool>, Abort<()>> {
    handle
        .run(&school(), |tx| {
            let erased = tx.erase_body(MESSAGE)?;
            tx.append(opened(MESSAGE))?;
            Ok(erased)
        })
        .await
}

async fn ended(sequencer: Sequencer) {
    sequencer.shutdown().await;
}

#[tokio::test]
async fn what_was_answered_is_stored_logged_and_proved() {
    let node = Node::new(&["gb.school"]);
    let sequencer = node.start();
    let done = store_body(&sequencer.handle()).await.unwrap();
    assert_eq!((done.value, done.entries.clone(), done.size), (1, 1..2, 2));
    assert_eq!(node.body().as_deref(), Some(BODY));
    assert_eq!(node.case().as_deref(), Some(&b"open"[..]));
    let head = node.log(&school()).head().unwrap();
    assert_eq!(head.checkpoint, done.checkpoint);
    node.check();
    ended(sequencer).await;
}

#[tokio::test]
async fn a_change_without_a_log_entry_is_refused() {
    let node = Node::new(&["gb.school"]);
    let sequencer = node.start();
    let refused = sequencer
        .handle()
        .run::<(), (), _>(&school(), |tx| {
            tx.put_body(MESSAGE, BODY.to_vec())?;
            Ok(tx.put(tx.key(Space::Case, b"case"), b"open".to_vec())?)
        })
        .await;
    assert!(matches!(
        refused,
        Err(Abort::Failed(SequenceError::Unlogged))
    ));
    assert_eq!((node.case(), node.body()), (None, None));
    assert_eq!(node.log(&school()).head().unwrap().size, 1);
    ended(sequencer).await;
    assert_eq!(node.start().swept(), Swept::default());
}

#[tokio::test]
async fn a_rejected_transaction_leaves_nothing() {
    let node = Node::new(&["gb.school"]);
    let sequencer = node.start();
    let commits = node.store.commits();
    let rejected = sequencer
        .handle()
        .run::<(), _, _>(&school(), |tx| {
            tx.put_body(MESSAGE, BODY.to_vec())?;
            tx.put(tx.key(Space::Case, b"case"), b"open".to_vec())?;
            tx.append(opened(MESSAGE))?;
            Err(Abort::Rejected("no"))
        })
        .await;
    assert!(matches!(rejected, Err(Abort::Rejected("no"))));
    assert_eq!((node.case(), node.body()), (None, None));
    assert_eq!(node.store.commits(), commits);
    ended(sequencer).await;
    assert_eq!(node.start().swept(), Swept::default());
}

#[tokio::test]
async fn a_transaction_keeps_to_its_agency_and_away_from_the_log() {
    let node = Node::new(&["gb.school", "gb.other"]);
    let sequencer = node.start();
    let tried = sequencer
        .handle()
        .run::<_, (), _>(&school(), |tx| {
            let other = agency("gb.other");
            assert!(matches!(
                tx.get(&Key::of(&other, Space::Case, b"x")),
                Err(TxError::Foreign { .. })
            ));
            let range = KeyRange::of(&other, Space::Case, b"");
            assert!(matches!(tx.scan(&range, 1), Err(TxError::Foreign { .. })));
            for space in [
                Space::LogHead,
                Space::LogEntry,
                Space::LogNode,
                Space::Body,
                Space::Agency,
            ] {
                let refused = tx.put(tx.key(space, b"x"), vec![]);
                assert!(matches!(refused, Err(TxError::Reserved { .. })));
            }
            let big = tx.put(tx.key(Space::Case, b"x"), vec![0; limit::VALUE_BYTES + 1]);
            assert!(matches!(
                big,
                Err(TxError::Store(StoreError::TooLarge { .. }))
            ));
            tx.put(Key::node(Space::Directory, b"head"), vec![1])?;
            tx.append(opened(MESSAGE))?;
            Ok(())
        })
        .await;
    assert_eq!(tried.unwrap().entries, 1..2);
    let unknown = sequencer
        .handle()
        .run::<(), (), _>(&agency("gb.third"), |_| Ok(()))
        .await;
    assert!(matches!(
        unknown,
        Err(Abort::Failed(SequenceError::UnknownAgency { .. }))
    ));
    ended(sequencer).await;
}

#[tokio::test]
async fn time_in_a_log_never_steps_back() {
    let node = Node::new(&["gb.school"]);
    let sequencer = node.start();
    for now in [2000, 1500, 2500] {
        node.clock.move_to(Timestamp(now));
        let logged = sequencer
            .handle()
            .run::<_, (), _>(&school(), |tx| Ok(tx.append(opened(MESSAGE))?));
        assert_eq!(logged.await.unwrap().time, Timestamp(now.max(2000)));
    }
    node.check();
    ended(sequencer).await;
}

#[tokio::test]
async fn an_erased_body_is_gone_before_the_caller_is_answered() {
    let node = Node::new(&["gb.school"]);
    let sequencer = node.start();
    store_body(&sequencer.handle()).await.unwrap();
    assert!(erase_body(&sequencer.handle()).await.unwrap().value);
    assert_eq!(node.body(), None);
    let slots = std::fs::read(node.vault_path()).unwrap().split_off(4096);
    assert!(slots.iter().all(|byte| *byte == 0));
    assert!(!erase_body(&sequencer.handle()).await.unwrap().value);
    ended(sequencer).await;
}

#[tokio::test]
async fn a_subscriber_hears_of_what_is_durable() {
    let node = Node::new(&["gb.school"]);
    let sequencer = node.start();
    let mut appended = sequencer.handle().subscribe();
    store_body(&sequencer.handle()).await.unwrap();
    assert_eq!(
        appended.recv().await.unwrap(),
        Appended {
            agency: school(),
            size: 2
        }
    );
    ended(sequencer).await;
}

/// Where a commit is hit, and what a restart must find.
#[derive(Debug, Clone, Copy)]
enum Crash {
    /// The vault fails to make the new key durable.
    BeforeTheKeyIsDurable,
    /// The store fails, and the batch is not there.
    AfterTheKeyBeforeTheCommit,
    /// The store fails, and the batch is there.
    AfterTheCommitBeforeTheAnswer,
}

#[tokio::test]
async fn crash_table_of_a_stored_body() {
    for (crash, stored, orphans) in [
        (Crash::BeforeTheKeyIsDurable, false, 1),
        (Crash::AfterTheKeyBeforeTheCommit, false, 1),
        (Crash::AfterTheCommitBeforeTheAnswer, true, 0),
    ] {
        let node = Node::new(&["gb.school"]);
        let sequencer = node.start();
        let handle = sequencer.handle();
        match crash {
            Crash::BeforeTheKeyIsDurable => node.vault.fail_syncs_after(0),
            Crash::AfterTheKeyBeforeTheCommit => node.store.fail_after(0, Fault::NotPersisted),
            Crash::AfterTheCommitBeforeTheAnswer => node.store.fail_after(0, Fault::Persisted),
        }
        let failed = store_body(&handle).await;
        assert!(matches!(failed, Err(Abort::Failed(_))), "{crash:?}");
        // The process is told to end, and nothing is run any more.
        handle.failed().await;
        let after = handle.run::<(), (), _>(&school(), |_| Ok(())).await;
        assert!(
            matches!(after, Err(Abort::Failed(SequenceError::Stopped))),
            "{crash:?}"
        );
        ended(sequencer).await;

        let node = node.restarted();
        let sequencer = node.start();
        assert_eq!(
            sequencer.swept(),
            Swept {
                orphans,
                missing: 0
            },
            "{crash:?}"
        );
        node.check();
        assert_eq!(node.body().is_some(), stored, "{crash:?}");
        assert_eq!(node.case().is_some(), stored, "{crash:?}");
        assert_eq!(
            node.log(&school()).head().unwrap().size,
            if stored { 2 } else { 1 }
        );
        // The caller asks again and either finds it done or does it.
        let again = store_body(&sequencer.handle()).await;
        let exists = matches!(
            again,
            Err(Abort::Failed(SequenceError::Tx(TxError::BodyExists { .. })))
        );
        assert_eq!(exists, stored, "{crash:?}");
        assert_eq!(node.body().as_deref(), Some(BODY));
        node.check();
        ended(sequencer).await;
    }
}

#[tokio::test]
async fn crash_table_of_an_erased_body() {
    #[derive(Debug)]
    enum Hit {
        Store(Fault),
        Vault,
    }
    for (hit, erased) in [
        (Hit::Store(Fault::NotPersisted), false),
        (Hit::Store(Fault::Persisted), true),
        // The record is gone and the key was not made sure to be.
        (Hit::Vault, true),
    ] {
        let node = Node::new(&["gb.school"]);
        let sequencer = node.start();
        store_body(&sequencer.handle()).await.unwrap();
        match hit {
            Hit::Store(fault) => node.store.fail_after(0, fault),
            Hit::Vault => node.vault.fail_syncs_after(0),
        }
        erase_body(&sequencer.handle()).await.unwrap_err();
        sequencer.handle().failed().await;
        ended(sequencer).await;

        let node = node.restarted();
        let sequencer = node.start();
        assert_eq!(sequencer.swept().missing, 0, "{hit:?}");
        node.check();
        assert_eq!(node.body().is_none(), erased, "{hit:?}");
        let slots = std::fs::read(node.vault_path()).unwrap().split_off(4096);
        assert_eq!(slots.iter().all(|byte| *byte == 0), erased, "{hit:?}");
        ended(sequencer).await;
    }
}

/// Holds every commit until it is let through.
#[derive(Debug)]
struct Gate {
    store: MemoryStore,
    entered: Mutex<std_mpsc::Sender<()>>,
    pass: Mutex<std_mpsc::Receiver<()>>,
}

impl Store for Gate {
    fn get(&self, key: &Key) -> Result<Option<Vec<u8>>, StoreError> {
        self.store.get(key)
    }

    fn scan(&self, range: &KeyRange, rows: usize) -> Result<Page, StoreError> {
        self.store.scan(range, rows)
    }

    fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        self.entered.lock().unwrap().send(()).unwrap();
        self.pass.lock().unwrap().recv().unwrap();
        self.store.commit(batch)
    }
}

impl Gate {
    fn of(store: &MemoryStore) -> (Arc<Self>, std_mpsc::Receiver<()>, std_mpsc::Sender<()>) {
        let (entered, entering) = std_mpsc::channel();
        let (open, pass) = std_mpsc::channel();
        let gate = Self {
            store: store.clone(),
            entered: Mutex::new(entered),
            pass: Mutex::new(pass),
        };
        (Arc::new(gate), entering, open)
    }
}

/// Starts a transaction that logs one entry, and returns once it is in the queue.
async fn sent(handle: &Handle, agency: &AgencyId) -> tokio::task::JoinHandle<Committed<u64>> {
    let left = handle.queue.capacity();
    let run = handle.run::<_, (), _>(agency, |tx| Ok(tx.append(opened(MESSAGE))?));
    let task = tokio::spawn(async { run.await.unwrap() });
    // The first may be taken out again at once.
    tokio::task::yield_now().await;
    assert!(handle.queue.capacity() <= left);
    task
}

#[tokio::test]
async fn what_waits_while_a_commit_runs_shares_the_next_one() {
    let node = Node::new(&["gb.school", "gb.other"]);
    let (gate, entering, open) = Gate::of(&node.store);
    let sequencer = node.start_on(gate).unwrap();
    let handle = sequencer.handle();
    let before = node.store.commits();

    let mut tasks = vec![sent(&handle, &school()).await];
    entering.recv().unwrap();
    for agency in [school(), agency("gb.other")].iter().cycle().take(64) {
        tasks.push(sent(&handle, agency).await);
    }
    assert_eq!(handle.queue.max_capacity() - handle.queue.capacity(), 64);
    // Nobody is answered before the commit returns.
    assert!(tasks.iter().all(|task| !task.is_finished()));
    assert_eq!(node.log(&school()).head().unwrap().size, 1);
    open.send(()).unwrap();
    entering.recv().unwrap();
    open.send(()).unwrap();

    let mut indices: BTreeMap<Arc<[u8]>, Vec<u64>> = BTreeMap::new();
    for task in tasks {
        let done = task.await.unwrap();
        indices.entry(done.checkpoint).or_default().push(done.value);
    }
    assert_eq!(node.store.commits() - before, 2);
    // One checkpoint for the first, and one a log for the 64 that waited.
    assert_eq!(indices.len(), 3);
    assert_eq!(node.log(&school()).head().unwrap().size, 34);
    assert_eq!(node.log(&agency("gb.other")).head().unwrap().size, 33);
    node.check();
    ended(sequencer).await;
}

#[tokio::test]
async fn a_shutdown_finishes_what_waits_and_refuses_the_rest() {
    let node = Node::new(&["gb.school"]);
    let (gate, entering, open) = Gate::of(&node.store);
    let sequencer = node.start_on(gate).unwrap();
    let handle = sequencer.handle();
    let first = sent(&handle, &school()).await;
    entering.recv().unwrap();
    let waiting = sent(&handle, &school()).await;
    let ending = tokio::spawn(sequencer.shutdown());
    tokio::task::yield_now().await;
    open.send(()).unwrap();
    open.send(()).unwrap();
    assert_eq!(first.await.unwrap().value, 1);
    assert_eq!(waiting.await.unwrap().value, 2);
    ending.await.unwrap();
    let late = handle.run::<(), (), _>(&school(), |_| Ok(())).await;
    assert!(matches!(late, Err(Abort::Failed(SequenceError::Stopped))));
}

#[tokio::test]
async fn another_writer_is_noticed_and_the_head_read_anew() {
    let node = Node::new(&["gb.school"]);
    let one = node.start();
    let two = node.start();
    let log =
        |handle: Handle| handle.run::<_, (), _>(&school(), |tx| Ok(tx.append(opened(MESSAGE))?));
    assert_eq!(log(one.handle()).await.unwrap().value, 1);
    let conflict = log(two.handle()).await;
    assert!(matches!(
        conflict,
        Err(Abort::Failed(SequenceError::Conflict(_)))
    ));
    assert_eq!(log(two.handle()).await.unwrap().value, 2);
    node.check();
    ended(one).await;
    ended(two).await;
}

#[tokio::test]
async fn a_log_grows_consistently_and_a_size_never_reached_is_refused() {
    let node = Node::new(&["gb.school"]);
    let sequencer = node.start();
    let log = node.log(&school());
    let mut roots = vec![log.head().unwrap()];
    for _ in 0..12 {
        sequencer
            .handle()
            .run::<_, (), _>(&school(), |tx| Ok(tx.append(opened(MESSAGE))?))
            .await
            .unwrap();
        roots.push(log.head().unwrap());
    }
    let now = roots.last().unwrap();
    for then in &roots {
        let path = log.consistency(then.size, now.size).unwrap();
        verify_consistency((then.size, &then.root), (now.size, &now.root), &path).unwrap();
    }
    assert_eq!(
        log.evidence(3, 5).unwrap().consistency.len(),
        log.consistency(5, 13).unwrap().len()
    );
    assert!(log.evidence(3, 13).unwrap().consistency.is_empty());
    assert!(matches!(
        log.evidence(3, 14),
        Err(LogError::Beyond {
            size: 13,
            asked: 14,
            ..
        })
    ));
    assert!(matches!(log.evidence(13, 0), Err(LogError::Beyond { .. })));
    assert_eq!(log.entries(4..7).unwrap().len(), 3);
    assert_eq!(leaf_hash(&log.entry(0).unwrap()), roots[0].root);
    ended(sequencer).await;
}

#[test]
fn a_log_is_begun_once_an_epoch_and_a_new_epoch_cites_the_old() {
    let store = MemoryStore::new();
    let school = school();
    let old = create_log(&store, &config(&school), Timestamp(5)).unwrap();
    assert!(matches!(
        create_log(&store, &config(&school), Timestamp(6)),
        Err(LogError::Exists { epoch: 1, .. })
    ));
    let next = LogConfig::new(school.clone(), 2, signer(&school)).unwrap();
    create_log(&store, &next, Timestamp(4)).unwrap();
    let entry = Log::new(Arc::new(store.clone()), school.clone())
        .entry(0)
        .unwrap();
    let entry = wire::LogEntry::decode(entry.as_slice()).unwrap();
    assert_eq!(entry.time, 5);
    let Some(Event::Genesis(genesis)) = entry.event else {
        panic!("no genesis")
    };
    assert_eq!(
        (genesis.epoch, genesis.previous_checkpoint.as_slice()),
        (2, &*old.checkpoint)
    );
    assert_eq!(agencies(&store).unwrap(), [school]);
}

#[test]
fn a_log_that_is_missing_or_not_its_keys_does_not_start() {
    let node = Node::new(&["gb.school"]);
    let start = |store: MemoryStore, config: LogConfig| {
        let clock = Arc::clone(&node.clock) as _;
        match Sequencer::start(
            Arc::new(store),
            Arc::clone(&node.vault),
            vec![config],
            clock,
        ) {
            Err(StartError::Log(error)) => error,
            other => panic!("started: {other:?}"),
        }
    };
    let school = school();
    assert!(matches!(
        start(MemoryStore::new(), config(&school)),
        LogError::Absent { .. }
    ));
    let epoch = LogConfig::new(school.clone(), 2, signer(&school)).unwrap();
    assert!(matches!(
        start(node.store.clone(), epoch),
        LogError::Epoch {
            stored: 1,
            configured: 2,
            ..
        }
    ));
    let other_key = NoteSigner::generate(KeyName::of_log(&school)).unwrap();
    let other = LogConfig::new(school.clone(), 1, other_key).unwrap();
    assert!(matches!(
        start(node.store.clone(), other),
        LogError::Checkpoint { .. }
    ));
    let mut batch = Batch::new();
    batch.put(log::node_key(&school, 1, 0, 0), vec![0; 32]);
    node.store.commit(batch).unwrap();
    assert!(matches!(
        start(node.store.clone(), config(&school)),
        LogError::Damaged { .. }
    ));
    assert!(matches!(
        LogConfig::new(school, 1, signer(&agency("gb.other"))),
        Err(LogError::Key { .. })
    ));
}

#[tokio::test]
async fn a_node_on_sled_that_is_opened_again_has_everything() {
    let node = Node::new(&[]);
    let path = node.folder.path().join("store");
    let sled = || Arc::new(SledStore::open(&path).unwrap());
    let start = |store: Arc<SledStore>| {
        let clock = Arc::clone(&node.clock) as _;
        Sequencer::start(
            store,
            Arc::clone(&node.vault),
            vec![config(&school())],
            clock,
        )
        .unwrap()
    };
    let store = sled();
    create_log(&*store, &config(&school()), Timestamp(1)).unwrap();
    let sequencer = start(Arc::clone(&store));
    let done = store_body(&sequencer.handle()).await.unwrap();
    ended(sequencer).await;
    assert_eq!(store.blobs().unwrap(), 0);
    drop(store);

    let store = sled();
    let sequencer = start(Arc::clone(&store));
    assert_eq!(sequencer.swept(), Swept::default());
    let found = body::read(&*store, &node.vault, &school(), MESSAGE).unwrap();
    assert_eq!(found.as_deref(), Some(BODY));
    let log = Log::new(store, school());
    assert_eq!(log.checkpoint().unwrap(), done.checkpoint);
    ended(sequencer).await;
}

/// A transaction of the model: what it writes, whether it is rejected, and how its commit fails.
#[derive(Debug, Clone)]
struct Step {
    agency: usize,
    writes: BTreeMap<u8, Option<u8>>,
    entries: u8,
    reject: bool,
    fault: Option<bool>,
}

fn step() -> impl Strategy<Value = Step> {
    let writes = proptest::collection::btree_map(0..6_u8, any::<Option<u8>>(), 0..4);
    let fault = proptest::option::weighted(0.15, any::<bool>());
    (
        0..2_usize,
        writes,
        1..4_u8,
        proptest::bool::weighted(0.2),
        fault,
    )
        .prop_map(|(agency, writes, entries, reject, fault)| Step {
            agency,
            writes,
            entries,
            reject,
            fault,
        })
}

type Model = [(BTreeMap<u8, u8>, u64); 2];

fn apply(model: &mut Model, step: &Step) {
    let (records, size) = &mut model[step.agency];
    for (key, value) in &step.writes {
        match value {
            Some(value) => records.insert(*key, *value),
            None => records.remove(key),
        };
    }
    *size += u64::from(step.entries);
}

fn read(node: &Node) -> Model {
    [0, 1].map(|index| {
        let agency = &node.agencies[index];
        let page = node
            .store
            .scan(&KeyRange::of(agency, Space::Case, b""), 100)
            .unwrap();
        let records = page
            .rows
            .into_iter()
            .map(|(key, value)| (key.rest()[0], value[0]))
            .collect();
        (records, node.log(agency).head().unwrap().size)
    })
}

async fn take(
    node: Node,
    sequencer: Sequencer,
    model: &mut Model,
    step: &Step,
) -> (Node, Sequencer) {
    // A rejection makes no commit that could fail.
    if let Some(persisted) = step.fault.filter(|_| !step.reject) {
        let fault = if persisted {
            Fault::Persisted
        } else {
            Fault::NotPersisted
        };
        node.store.fail_after(0, fault);
    }
    let moved = step.clone();
    let run = sequencer
        .handle()
        .run(&node.agencies[step.agency], move |tx| {
            for (key, value) in &moved.writes {
                let key = tx.key(Space::Case, &[*key]);
                match value {
                    Some(value) => tx.put(key, vec![*value])?,
                    None => tx.delete(key)?,
                }
            }
            for (key, value) in &moved.writes {
                let key = tx.key(Space::Case, &[*key]);
                assert_eq!(tx.get(&key)?, value.map(|value| vec![value]));
            }
            for _ in 0..moved.entries {
                tx.append(opened(MESSAGE))?;
            }
            if moved.reject {
                Err(Abort::Rejected(()))
            } else {
                Ok(())
            }
        });
    match (run.await, step.reject) {
        (Err(Abort::Rejected(())), true) => (node, sequencer),
        (Ok(_), false) => {
            apply(model, step);
            (node, sequencer)
        }
        (Err(Abort::Failed(_)), false) => {
            ended(sequencer).await;
            let node = node.restarted();
            if step.fault == Some(true) {
                apply(model, step);
            }
            let sequencer = node.start();
            (node, sequencer)
        }
        other => panic!("{other:?}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_transactions_with_crashes_leave_what_the_model_says(
        steps in proptest::collection::vec(step(), 1..24)
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut node = Node::new(&["gb.school", "gb.other"]);
            let mut sequencer = node.start();
            let mut model: Model = [(BTreeMap::new(), 1), (BTreeMap::new(), 1)];
            for step in &steps {
                (node, sequencer) = take(node, sequencer, &mut model, step).await;
                assert_eq!(read(&node), model);
            }
            node.check();
            ended(sequencer).await;
        });
    }
}
