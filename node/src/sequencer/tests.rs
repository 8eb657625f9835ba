//! A node with a store in memory, and what one transaction does.

mod commit;
mod crash;
mod logs;
mod model;

use std::path::PathBuf;

use prost::Message;
use waypost_proto::checkpoint::SignedCheckpoint;
use waypost_proto::id::{Digest, MessageId};
use waypost_proto::note::{KeyName, NoteSigner, Verifier};
use waypost_proto::tlog_proof::TlogProof;
use waypost_proto::wire;
use waypost_proto::wire::log_entry::Event;
use zeroize::Zeroizing;

use super::*;
use crate::body;
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
