//! What shares a commit, and who notices another writer.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::mpsc as std_mpsc;

use super::*;

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
