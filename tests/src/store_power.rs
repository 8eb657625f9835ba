//! The power is cut under the embedded store alone, while it overwrites so much that it uses its space
//! again: after any cut it holds every commit that had returned, each whole.
//!
//! `WAYPOST_STORE_CUTS` cuts (40) in `WAYPOST_STORE_COMMITS` commits (180), from `WAYPOST_SEED`.

use std::fs::{self, File};
use std::ops::Range;
use std::path::Path;
use std::process::Stdio;

use tokio::process::Command;
use waypost_node::store::sled::SledStore;

use crate::disk::{self, Fate, Recording};
use crate::node::{STORE_WRITER, binary};
use crate::overwriting::Owner;
use crate::parameter::{note, parameter};
use crate::scheme;
use crate::seeded::Seeded;
use crate::trace;

/// The store's folder in what is recorded.
const STORE: &str = "store";

/// A recording of commits.
struct Written {
    recording: Recording,
    /// Commits that were there before.
    before: u64,
    /// The lines on which the writer was about to say that a commit had returned.
    answers: Vec<usize>,
    /// From the last answer of each run to the first of the next.
    opened: Vec<Range<usize>>,
}

impl Written {
    /// Runs the writer in `folder`, which holds `before` commits: once for each number of commits.
    async fn record(folder: &Path, before: u64, runs: &[u64]) -> Self {
        let traces = tempfile::tempdir().unwrap();
        let output = traces.path().join("trace");
        let mut recording = Recording::of(folder).unwrap();
        let mut text = String::new();
        let mut held = before;
        for commits in runs {
            let words = trace::recorder(&output);
            let mut child = Command::new(&words[0])
                .args(&words[1..])
                .arg(binary(STORE_WRITER).unwrap())
                .arg(folder.canonicalize().unwrap().join(STORE))
                .arg((held + 1).to_string())
                .arg((held + commits).to_string())
                .stdout(Stdio::from(File::create("/dev/null").unwrap()))
                .spawn()
                .unwrap();
            let pid = child.id().unwrap();
            assert!(child.wait().await.unwrap().success());
            text += &trace::whole(&output, pid).await.unwrap();
            held += commits;
        }
        let calls = trace::parse(&text);
        recording.replay(&calls).unwrap();
        let answers = calls.iter().filter(|call| call.on == "/dev/null");
        let answers: Vec<_> = answers.map(|call| call.start).collect();
        assert_eq!(before + answers.len() as u64, held);
        let mut opened = Vec::new();
        let mut first = 0;
        for commits in runs {
            if first > 0 {
                opened.push(answers[first - 1]..answers[first]);
            }
            first += usize::try_from(*commits).unwrap();
        }
        Self {
            recording,
            before,
            answers,
            opened,
        }
    }

    /// Cuts the power, opens what is left in `folder`, and returns how many commits it holds: all that
    /// had returned, and perhaps the one that ran.
    fn cut(&self, owner: &Owner, line: usize, fate: &mut Fate, folder: &Path) -> u64 {
        note(&format!("cut before line {line}, {fate:?}"));
        disk::install(&self.recording.after_cut(line, fate), folder).unwrap();
        let store = SledStore::open(&folder.join(STORE)).unwrap();
        let answered = self.answers.iter().filter(|answer| **answer < line).count();
        let answered = self.before + answered as u64;
        let held = owner.held(&store).unwrap();
        assert!(
            (answered..=answered + 1).contains(&held),
            "{held} of {answered}"
        );
        held
    }

    /// Lines before a sync, in the middle of it and after it.
    fn moments(&self) -> Vec<usize> {
        let syncs = self.recording.syncs().into_iter();
        syncs
            .flat_map(|sync| [sync.start, sync.end, sync.end + 1])
            .collect()
    }
}

#[tokio::test]
async fn the_store_holds_every_commit_that_returned_before_a_power_cut_whole() {
    let commits = parameter("WAYPOST_STORE_COMMITS", 180);
    let cuts = parameter("WAYPOST_STORE_CUTS", 40);
    let seed = parameter("WAYPOST_SEED", scheme::now().0);
    note(&format!("WAYPOST_SEED={seed}"));
    let mut random = Seeded::new(seed);
    let owner = Owner::new().unwrap();
    let (folder, place) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let place = place.path().join("data");
    fs::create_dir(&place).unwrap();
    let written = Written::record(folder.path(), 0, &[commits / 3; 3]).await;
    let moments = written.moments();
    // Every other cut while a used store is opened.
    let opening = |line: &usize| written.opened.iter().any(|opened| opened.contains(line));
    let (openings, others): (Vec<usize>, Vec<usize>) = moments.iter().copied().partition(opening);
    for cut in 0..cuts {
        let moments = if cut % 2 == 0 { &openings } else { &others };
        let chosen = random.within(0..moments.len() as u64);
        let line = moments[usize::try_from(chosen).unwrap()];
        let mut fate = match cut % 8 {
            0 | 1 => Fate::Lost,
            _ => Fate::Mixed(Seeded::new(random.number())),
        };
        let held = written.cut(&owner, line, &mut fate, &place);
        // It goes on from there.
        let store = SledStore::open(&place.join(STORE)).unwrap();
        owner.commit(&store, held + 1).unwrap();
        drop(store);
        let store = SledStore::open(&place.join(STORE)).unwrap();
        assert_eq!(owner.held(&store).unwrap(), held + 1);
    }

    // A second cut, while the store recovers from the first and just after.
    let line = moments[moments.len() * 2 / 3];
    let fate = Fate::Mixed(random.clone());
    let held = written.cut(&owner, line, &mut fate.clone(), &place);
    disk::install(
        &written.recording.after_cut(line, &mut fate.clone()),
        &place,
    )
    .unwrap();
    let again = Written::record(&place, held, &[3]).await;
    let other = folder.path().join("other");
    fs::create_dir(&other).unwrap();
    for line in again.moments() {
        let mut fate = Fate::Mixed(Seeded::new(random.number()));
        again.cut(&owner, line, &mut fate, &other);
    }

    // With the sync taken out in the middle of the last run, what came after it is lost.
    let from = written.answers[written.answers.len() * 5 / 6];
    let unsynced = written.recording.without_syncs("db", from);
    disk::install(&unsynced.after_cut(usize::MAX, &mut Fate::Lost), &place).unwrap();
    let store = SledStore::open(&place.join(STORE)).unwrap();
    assert!(owner.held(&store).unwrap() < commits);
}
