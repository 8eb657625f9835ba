//! The contract as tests, which every store passes.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::contract::{Batch, Expected, Store, StoreError};
use super::key::{Key, KeyRange, Space};
use crate::limit;

pub(super) fn key(rest: &str) -> Key {
    Key::of(
        &"gb.school".parse().unwrap(),
        Space::Message,
        rest.as_bytes(),
    )
}

pub(super) fn put(rest: &str, value: &str) -> Batch {
    let mut batch = Batch::new();
    batch.put(key(rest), value.into());
    batch
}

fn everything() -> KeyRange {
    KeyRange::of(&"gb.school".parse().unwrap(), Space::Message, &[])
}

/// Every test of the contract on stores that `fresh` makes.
pub(super) fn all<S: Store>(fresh: impl Fn() -> S) {
    what_was_committed_is_read(&fresh());
    a_batch_is_made_whole_or_not_at_all(&fresh());
    a_precondition_that_does_not_hold_changes_nothing(&fresh());
    what_exceeds_a_bound_is_refused_and_the_store_goes_on(&fresh());
    a_scan_is_in_order_bounded_and_can_be_continued(&fresh());
    one_agency_never_sees_a_record_of_another(&fresh());
    a_reader_sees_all_of_a_batch_or_nothing(&fresh());
    it_behaves_like_a_map(fresh);
}

fn what_was_committed_is_read(store: &impl Store) {
    assert_eq!(store.get(&key("a")).unwrap(), None);
    store.commit(put("a", "1")).unwrap();
    assert_eq!(store.get(&key("a")).unwrap().as_deref(), Some(&b"1"[..]));
    let mut batch = put("b", "");
    batch.delete(key("a"));
    batch.delete(key("never there"));
    store.commit(batch).unwrap();
    assert_eq!(store.get(&key("a")).unwrap(), None);
    assert_eq!(store.get(&key("b")).unwrap().as_deref(), Some(&b""[..]));
}

fn a_batch_is_made_whole_or_not_at_all(store: &impl Store) {
    let mut batch = put("a", "1");
    batch.put(key("b"), vec![0; limit::VALUE_BYTES + 1]);
    assert!(matches!(
        store.commit(batch),
        Err(StoreError::TooLarge { .. })
    ));
    assert_eq!(store.get(&key("a")).unwrap(), None);
}

fn a_precondition_that_does_not_hold_changes_nothing(store: &impl Store) {
    let expecting = |expected| {
        let mut batch = put("a", "2");
        batch.expect(key("a"), expected);
        batch
    };
    let one = || Expected::Value(b"1".to_vec());
    assert!(matches!(
        store.commit(expecting(one())),
        Err(StoreError::Changed { .. })
    ));
    assert_eq!(store.get(&key("a")).unwrap(), None);
    store.commit(put("a", "1")).unwrap();
    assert!(matches!(
        store.commit(expecting(Expected::Absent)),
        Err(StoreError::Changed { .. })
    ));
    assert_eq!(store.get(&key("a")).unwrap().as_deref(), Some(&b"1"[..]));
    store.commit(expecting(one())).unwrap();
    assert_eq!(store.get(&key("a")).unwrap().as_deref(), Some(&b"2"[..]));
}

fn what_exceeds_a_bound_is_refused_and_the_store_goes_on(store: &impl Store) {
    let mut largest = Batch::new();
    largest.put(key("value"), vec![7; limit::VALUE_BYTES]);
    store.commit(largest).unwrap();
    assert_eq!(
        store.get(&key("value")).unwrap().map(|v| v.len()),
        Some(limit::VALUE_BYTES)
    );

    let mut long_key = Batch::new();
    long_key.put(key(&"k".repeat(limit::KEY_BYTES)), vec![]);
    assert!(matches!(
        store.commit(long_key),
        Err(StoreError::TooLarge { what: "a key", .. })
    ));

    let mut heavy = Batch::new();
    for number in 0..=limit::COMMIT_BYTES / limit::VALUE_BYTES {
        heavy.put(key(&format!("{number}")), vec![0; limit::VALUE_BYTES]);
    }
    assert!(matches!(
        store.commit(heavy),
        Err(StoreError::TooLarge {
            what: "a commit",
            ..
        })
    ));
    store.commit(put("a", "1")).unwrap();
}

fn a_scan_is_in_order_bounded_and_can_be_continued(store: &impl Store) {
    for chunk in (0..100_u32).collect::<Vec<_>>().chunks(30) {
        let mut batch = Batch::new();
        for number in chunk.iter().rev() {
            batch.put(key(&format!("{number:03}")), number.to_be_bytes().to_vec());
        }
        store.commit(batch).unwrap();
    }
    let mut found = Vec::new();
    let mut next = Some(everything());
    while let Some(range) = next {
        let page = store.scan(&range, 7).unwrap();
        assert!(page.rows.len() <= 7);
        found.extend(
            page.rows
                .into_iter()
                .map(|(key, _)| String::from_utf8(key.rest().to_vec()).unwrap()),
        );
        next = page.next;
    }
    assert_eq!(
        found,
        (0..100)
            .map(|number| format!("{number:03}"))
            .collect::<Vec<_>>()
    );

    let some = everything().from(key("010")).before(key("013"));
    assert_eq!(store.scan(&some, 100).unwrap().rows.len(), 3);
    assert_eq!(
        store
            .scan(&everything().after(&key("098")), 100)
            .unwrap()
            .rows
            .len(),
        1
    );
    let none = everything().from(key("5")).before(key("1"));
    assert!(store.scan(&none, 100).unwrap().rows.is_empty());

    let mut heavy = Batch::new();
    for number in 0..limit::SCAN_BYTES / limit::VALUE_BYTES + 9 {
        heavy.put(key(&format!("heavy {number}")), vec![0; limit::VALUE_BYTES]);
    }
    store.commit(heavy).unwrap();
    let page = store.scan(&everything().from(key("heavy")), 1000).unwrap();
    assert_eq!(page.rows.len(), limit::SCAN_BYTES / limit::VALUE_BYTES);
    assert!(page.next.is_some());
}

fn one_agency_never_sees_a_record_of_another(store: &impl Store) {
    // The id of one is a prefix of the other's.
    let school = "gb.school".parse().unwrap();
    let school_two = "gb.school-two".parse().unwrap();
    let mut batch = Batch::new();
    for agency in [&school, &school_two] {
        for space in Space::ALL {
            batch.put(Key::of(agency, *space, b"x"), agency.as_str().into());
            batch.put(Key::node(*space, b"x"), b"node".to_vec());
        }
    }
    store.commit(batch).unwrap();
    for space in Space::ALL {
        for (range, owner) in [
            (KeyRange::of(&school, *space, &[]), school.as_str()),
            (KeyRange::of(&school_two, *space, &[]), school_two.as_str()),
            (KeyRange::node(*space, &[]), "node"),
        ] {
            let rows = store.scan(&range, 10).unwrap().rows;
            assert_eq!(
                rows.into_iter().map(|(_, value)| value).collect::<Vec<_>>(),
                [owner.as_bytes()]
            );
        }
    }
}

fn a_reader_sees_all_of_a_batch_or_nothing(store: &impl Store) {
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            for round in 0..20 {
                let mut batch = Batch::new();
                for name in ["a", "b", "c", "d"] {
                    batch.put(key(name), format!("{round}").into_bytes());
                }
                store.commit(batch).unwrap();
            }
            done.store(true, Ordering::SeqCst);
        });
        loop {
            let last = done.load(Ordering::SeqCst);
            let rows = store.scan(&everything(), 10).unwrap().rows;
            assert!(
                rows.is_empty() || rows.len() == 4,
                "half of a batch was seen"
            );
            assert!(
                rows.windows(2).all(|two| two[0].1 == two[1].1),
                "two batches were mixed"
            );
            if last {
                break;
            }
        }
    });
}

fn it_behaves_like_a_map<S: Store>(fresh: impl Fn() -> S) {
    let writes = proptest::collection::btree_map("[a-e]{1,2}", any::<Option<u16>>(), 0..6);
    let mut runner = TestRunner::new(Config {
        cases: 16,
        failure_persistence: None,
        ..Config::default()
    });
    let batches = proptest::collection::vec(writes, 1..8);
    runner
        .run(&batches, |batches| {
            let store = fresh();
            let mut model = BTreeMap::new();
            for writes in batches {
                let mut batch = Batch::new();
                for (rest, value) in writes {
                    match value {
                        Some(value) => {
                            batch.put(key(&rest), value.to_be_bytes().to_vec());
                            model.insert(key(&rest), value.to_be_bytes().to_vec());
                        }
                        None => {
                            batch.delete(key(&rest));
                            model.remove(&key(&rest));
                        }
                    }
                }
                store.commit(batch).unwrap();
                let found: BTreeMap<_, _> = store
                    .scan(&everything(), 1000)
                    .unwrap()
                    .rows
                    .into_iter()
                    .collect();
                prop_assert_eq!(&found, &model);
            }
            Ok(())
        })
        .unwrap();
}
