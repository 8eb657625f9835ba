//! The crash table: where a commit is hit, and what the next start finds.

use super::*;

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

#[tokio::test]
async fn a_bug_in_a_transaction_stops_the_node_and_leaves_nothing() {
    let node = Node::new(&["gb.school"]);
    let sequencer = node.start();
    let handle = sequencer.handle();
    let gone = handle
        .run::<(), (), _>(&school(), |tx| {
            tx.put(tx.key(Space::Case, b"case"), b"open".to_vec())?;
            tx.append(opened(MESSAGE))?;
            panic!("a bug")
        })
        .await;
    assert!(matches!(gone, Err(Abort::Failed(SequenceError::Gone))));
    assert!(matches!(handle.failed().await, SequenceError::Gone));
    ended(sequencer).await;
    let node = node.restarted();
    node.check();
    assert_eq!(node.case(), None);
}
