use std::path::Path;

use super::*;
use crate::trace;

/// A line as a trace has it: what is quoted or in brackets is written as `\x2f\x74..`.
fn traced(line: &str) -> String {
    let mut text = "7 1.000001 ".to_owned();
    let mut inside = false;
    for c in line.chars() {
        let delimiter = matches!((c, inside), ('"', _) | ('<', false) | ('>', true));
        if delimiter {
            inside = !inside;
        }
        if inside && !delimiter {
            text += &format!("\\x{:02x}", u32::from(c));
        } else {
            text.push(c);
        }
    }
    text
}

/// Replays calls, one a line, on a folder that holds `old` with the content `before`. `FOLDER` stands
/// for its path.
fn recorded(lines: &[&str]) -> Result<Recording, Unknown> {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("old"), "before").unwrap();
    let mut recording = Recording::of(folder.path()).unwrap();
    let place = recording.folder.display().to_string();
    let lines = lines
        .iter()
        .map(|line| traced(&line.replace("FOLDER", &place)));
    let trace: Vec<_> = lines.collect();
    recording.replay(&trace::parse(&trace.join("\n")))?;
    Ok(recording)
}

fn content(disk: &Disk, name: &str) -> Option<String> {
    let bytes = disk.get(Path::new(name))?.clone().unwrap();
    Some(String::from_utf8(bytes).unwrap())
}

fn lost(recording: &Recording, cut: usize) -> Disk {
    recording.after_cut(cut, &mut Fate::Lost)
}

const OPEN_OLD: &str = r#"openat(AT_FDCWD</>, "FOLDER/old", O_RDWR|O_CLOEXEC) = 5<FOLDER/old>"#;
const WRITE_OLD: &str = r#"pwrite64(5<FOLDER/old>, "AFTER", 5, 1) = 5"#;
const SYNC_OLD: &str = "fdatasync(5<FOLDER/old>) = 0";

#[test]
fn what_was_written_is_there_after_its_sync_has_returned_and_not_before() {
    let recording = recorded(&[OPEN_OLD, WRITE_OLD, SYNC_OLD]).unwrap();
    for cut in 0..=2 {
        assert_eq!(content(&lost(&recording, cut), "old").unwrap(), "before");
    }
    assert_eq!(content(&lost(&recording, 3), "old").unwrap(), "bAFTER");
    let kept = recording.after_cut(2, &mut Fate::Kept);
    assert_eq!(content(&kept, "old").unwrap(), "bAFTER");
}

#[test]
fn a_sync_that_is_taken_out_settles_nothing() {
    let recording = recorded(&[OPEN_OLD, WRITE_OLD, SYNC_OLD]).unwrap();
    let without = recording.clone().without_syncs("old", 0);
    assert_eq!(content(&lost(&without, 9), "old").unwrap(), "before");
    let other = recording.clone().without_syncs("new", 0);
    assert_eq!(content(&lost(&other, 9), "old").unwrap(), "bAFTER");
    let later = recording.without_syncs("old", 3);
    assert_eq!(content(&lost(&later, 9), "old").unwrap(), "bAFTER");
}

#[test]
fn a_range_that_was_synced_or_a_sync_that_failed_settles_nothing() {
    for sync in [
        "sync_file_range(5<FOLDER/old>, 1, 5, SYNC_FILE_RANGE_WRITE) = 0",
        "fdatasync(5<FOLDER/old>) = -1 EIO (Input/output error)",
    ] {
        let recording = recorded(&[OPEN_OLD, WRITE_OLD, sync]).unwrap();
        assert_eq!(content(&lost(&recording, 9), "old").unwrap(), "before");
    }
}

#[test]
fn a_new_file_is_there_only_after_its_folder_was_synced() {
    let lines = [
        r#"openat(AT_FDCWD</>, "FOLDER/new", O_WRONLY|O_CREAT, 0600) = 6<FOLDER/new>"#,
        r#"write(6<FOLDER/new>, "one", 3) = 3"#,
        r#"write(6<FOLDER/new>, "two", 3) = 3"#,
        "fsync(6<FOLDER/new>) = 0",
        r#"renameat(AT_FDCWD</>, "FOLDER/new", AT_FDCWD</>, "FOLDER/old") = 0"#,
        r#"openat(AT_FDCWD</>, "FOLDER", O_RDONLY) = 7<FOLDER>"#,
        "fsync(7<FOLDER>) = 0",
    ];
    let recording = recorded(&lines).unwrap();
    let before = lost(&recording, 6);
    assert_eq!(content(&before, "new"), None);
    assert_eq!(content(&before, "old").unwrap(), "before");
    let after = lost(&recording, 7);
    assert_eq!(content(&after, "new"), None);
    assert_eq!(content(&after, "old").unwrap(), "onetwo");
}

#[test]
fn an_unsynced_write_may_be_torn_between_sectors_and_not_within() {
    let bytes = "x".repeat(4 * usize::try_from(SECTOR).unwrap());
    let write = format!(r#"pwrite64(5<FOLDER/old>, "{bytes}", 2048, 0) = 2048"#);
    let recording = recorded(&[OPEN_OLD, &write]).unwrap();
    let mut torn = 0;
    for seed in 0..20 {
        let disk = recording.after_cut(2, &mut Fate::Mixed(Seeded::new(seed)));
        let found = content(&disk, "old").unwrap();
        for sector in found.as_bytes().chunks(512) {
            assert!(sector.iter().all(|b| *b == b'x') || !sector.contains(&b'x'));
        }
        torn += usize::from(found.contains('x') && found != bytes);
    }
    assert!(torn > 5, "{torn} of 20");
}

#[test]
fn a_call_that_is_not_understood_is_not_passed_over() {
    let call = "fallocate(5<FOLDER/old>, 0, 0, 4096) = 0";
    let unknown = recorded(&[OPEN_OLD, call]).unwrap_err();
    assert_eq!((unknown.line, unknown.name.as_str()), (1, "fallocate"));
    let elsewhere = "fallocate(5</elsewhere>, 0, 0, 4096) = 0";
    recorded(&[OPEN_OLD, elsewhere]).unwrap();
}
