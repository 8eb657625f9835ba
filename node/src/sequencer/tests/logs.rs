//! Logs as they are begun, read and refused.

use waypost_proto::merkle::{leaf_hash, verify_consistency};

use super::*;

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
    let sealed = node.vault.put(&school, MESSAGE, BODY.to_vec()).unwrap();
    assert!(matches!(
        start(MemoryStore::new(), config(&school)),
        LogError::Absent { .. }
    ));
    // A store that is not this vault's has not cost it its keys.
    let opened = node
        .vault
        .open_body(&school, MESSAGE, sealed.slot, sealed.chunks.concat());
    assert_eq!(opened.unwrap(), BODY);
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
