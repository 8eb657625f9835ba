//! Random transactions with crashes, against a model.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

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
