use super::*;
use crate::store::Space;
use crate::store::conformance::{self, key, put};

fn open(folder: &tempfile::TempDir) -> SledStore {
    SledStore::open(&folder.path().join("store")).unwrap()
}

#[test]
fn the_sled_store_keeps_the_contract() {
    let folder = tempfile::tempdir().unwrap();
    let next = std::cell::Cell::new(0);
    conformance::all(|| {
        next.set(next.get() + 1);
        SledStore::open(&folder.path().join(next.get().to_string())).unwrap()
    });
}

#[test]
fn a_store_that_is_opened_again_has_everything() {
    let folder = tempfile::tempdir().unwrap();
    for round in 0..5_u8 {
        let store = open(&folder);
        for earlier in 0..round {
            let value = store.get(&key(&earlier.to_string())).unwrap().unwrap();
            assert_eq!(value, vec![earlier; limit::VALUE_BYTES]);
        }
        let mut batch = Batch::new();
        batch.put(key(&round.to_string()), vec![round; limit::VALUE_BYTES]);
        store.commit(batch).unwrap();
    }
}

#[test]
fn no_page_leaves_the_synced_file_however_large_its_values() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    for round in 0..12_u8 {
        let mut batch = Batch::new();
        for number in 0..100_u32 {
            // Scattered and rewritten, so that pages split, merge and are consolidated.
            let at = number.wrapping_mul(2_654_435_761) ^ u32::from(round % 3);
            batch.put(
                Key::node(Space::BodyChunk, &at.to_be_bytes()),
                vec![round; limit::VALUE_BYTES],
            );
        }
        store.commit(batch).unwrap();
        assert_eq!(store.blobs().unwrap(), 0);
    }
    assert!(store.bytes_on_disk().unwrap() > 0);
}

/// Overwrites the same records until the log has several segments of which only the last is needed.
fn overwritten(folder: &tempfile::TempDir) -> u8 {
    const ROUNDS: u8 = 48;
    let store = open(folder);
    for round in 1..=ROUNDS {
        let mut batch = Batch::new();
        for number in 0..24_u32 {
            batch.put(key(&number.to_string()), vec![round; limit::VALUE_BYTES]);
        }
        store.commit(batch).unwrap();
    }
    ROUNDS
}

#[test]
fn an_opening_that_a_power_cut_interrupted_is_undone() {
    let folder = tempfile::tempdir().unwrap();
    let round = overwritten(&folder);
    let path = folder.path().join("store");
    opening::begin(&path).unwrap();
    drop(
        sled::Config::new()
            .path(&path)
            .segment_size(SEGMENT_BYTES)
            .open()
            .unwrap(),
    );
    // The zeros have reached the disk, and the snapshot's name has not.
    let snapshots = fs::read_dir(&path).unwrap().map(|file| file.unwrap());
    let snapshots = snapshots.filter(|f| f.file_name().to_string_lossy().starts_with("snap."));
    assert_eq!(
        snapshots
            .map(|f| fs::remove_file(f.path()).unwrap())
            .count(),
        1
    );
    let store = open(&folder);
    for number in 0..24_u32 {
        let value = store.get(&key(&number.to_string())).unwrap().unwrap();
        assert_eq!(value, vec![round; limit::VALUE_BYTES]);
    }
    drop(store);
    // Nothing is put back once more.
    assert!(!path.join("opening").exists());
}

#[test]
fn a_folder_with_unsynced_pages_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    open(&folder).commit(put("a", "1")).unwrap();
    fs::write(folder.path().join("store/blobs/123"), b"page").unwrap();
    let refused = SledStore::open(&folder.path().join("store")).unwrap_err();
    assert!(
        matches!(refused, OpenError::Blobs { files: 1, .. }),
        "{refused}"
    );
}

#[test]
fn a_second_process_is_told_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let _store = open(&folder);
    let refused = SledStore::open(&folder.path().join("store")).unwrap_err();
    assert!(matches!(refused, OpenError::InUse { .. }));
    assert!(refused.to_string().contains("stop that node"), "{refused}");
}

#[test]
fn a_snapshot_that_a_crash_cut_short_is_no_obstacle() {
    let folder = tempfile::tempdir().unwrap();
    open(&folder).commit(put("a", "1")).unwrap();
    fs::write(
        folder.path().join("store/snap.FFFFFFFFFFFFFFFF.generating"),
        b"torn",
    )
    .unwrap();
    assert!(open(&folder).get(&key("a")).unwrap().is_some());
}

#[test]
fn a_file_that_ends_within_a_batch_has_lost_that_batch_whole() {
    for cut in 0..16 {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("store/db");
        let store = open(&folder);
        store.commit(put("a", "1")).unwrap();
        let whole = fs::metadata(&data).unwrap().len();
        let mut batch = Batch::new();
        for name in ["b", "c", "d"] {
            batch.put(key(name), vec![1; 1000]);
        }
        store.commit(batch).unwrap();
        let longer = fs::metadata(&data).unwrap().len();
        drop(store);

        // As if the power had gone before the last bytes reached the disk.
        let left = whole + (longer - whole) * cut / 16;
        File::options()
            .write(true)
            .open(&data)
            .unwrap()
            .set_len(left)
            .unwrap();
        let store = open(&folder);
        assert!(store.get(&key("a")).unwrap().is_some());
        for name in ["b", "c", "d"] {
            assert_eq!(
                store.get(&key(name)).unwrap(),
                None,
                "cut {cut}: half of a batch is left"
            );
        }
        store.commit(put("e", "5")).unwrap();
    }
}

#[test]
fn after_a_failure_every_call_fails_and_the_next_start_reads_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    store.commit(put("a", "1")).unwrap();
    let failed = Err::<(), _>(io("syncing a commit")(io::Error::other("injected")));
    store.fatal(failed).unwrap_err();
    assert!(matches!(store.get(&key("a")), Err(StoreError::Stopped)));
    assert!(matches!(
        store.commit(put("b", "2")),
        Err(StoreError::Stopped)
    ));
    drop(store);
    assert!(open(&folder).get(&key("a")).unwrap().is_some());
}

#[test]
fn what_a_running_commit_writes_is_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    store.commit(put("a", "old")).unwrap();
    // As in the middle of a commit: sled has the batch, the disk may not.
    *store.before.write().unwrap() =
        Overlay::from([(key("a"), Some(b"old".to_vec())), (key("b"), None)]);
    store.db.insert(key("a").as_bytes(), "new").unwrap();
    store.db.insert(key("b").as_bytes(), "new").unwrap();
    assert_eq!(store.get(&key("a")).unwrap().as_deref(), Some(&b"old"[..]));
    assert_eq!(store.get(&key("b")).unwrap(), None);
    let range = KeyRange::of(&"gb.school".parse().unwrap(), Space::Message, &[]);
    let page = store.scan(&range, 10).unwrap();
    assert_eq!(page.rows, [(key("a"), b"old".to_vec())]);
}
