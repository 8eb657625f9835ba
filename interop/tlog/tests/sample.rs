//! The sample log that Waypost's tests write, checked by foreign implementations.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tlog_tiles::{Hash, Tile};

fn testdata() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata")
}

/// A directory for one test to spoil.
fn scratch(name: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&directory);
    copy(&testdata(), &directory);
    directory
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for file in fs::read_dir(from).unwrap() {
        let (path, name) = file.map(|file| (file.path(), file.file_name())).unwrap();
        if path.is_dir() {
            copy(&path, &to.join(name));
        } else {
            fs::copy(&path, to.join(name)).unwrap();
        }
    }
}

fn spoil(file: &Path) {
    let mut bytes = fs::read(file).unwrap();
    bytes[5] ^= 1;
    fs::write(file, bytes).unwrap();
}

#[test]
fn the_log_is_that_of_its_checkpoint() {
    interop_tlog::check_log(&testdata().join("log")).unwrap();
}

#[test]
fn a_log_with_a_changed_or_missing_entry_is_not_that_of_its_checkpoint() {
    let log = scratch("entries").join("log");
    spoil(&log.join("entries/00000004"));
    interop_tlog::check_log(&log).unwrap_err();
    let log = scratch("entries").join("log");
    fs::remove_file(log.join("entries/00000012")).unwrap();
    interop_tlog::check_log(&log).unwrap_err();
}

#[test]
fn every_entry_is_proved_and_no_other_entry_is() {
    let log = testdata().join("log");
    for index in 0..13 {
        let proof = testdata().join(format!("proofs/{index:08}.tlog-proof"));
        let entry = |index: usize| log.join(format!("entries/{index:08}"));
        interop_tlog::check_proof(&log, &proof, &entry(index)).unwrap();
        interop_tlog::check_proof(&log, &proof, &entry((index + 1) % 13)).unwrap_err();
    }
}

#[test]
fn the_older_checkpoint_is_consistent_with_the_newer() {
    let log = testdata().join("log");
    let older = fs::read(testdata().join("older/checkpoint")).unwrap();
    let newer = fs::read(log.join("checkpoint")).unwrap();
    let text = fs::read_to_string(testdata().join("older/consistency")).unwrap();
    let mut path: Vec<_> = text.lines().map(|line| Hash(from_hex(line))).collect();
    interop_tlog::check_consistency(&log, &older, &newer, &path).unwrap();
    path.swap(0, 1);
    interop_tlog::check_consistency(&log, &older, &newer, &path).unwrap_err();
}

fn from_hex(line: &str) -> [u8; 32] {
    assert_eq!(line.len(), 64);
    std::array::from_fn(|i| u8::from_str_radix(&line[2 * i..2 * i + 2], 16).unwrap())
}

#[test]
fn the_tiles_hold_the_grown_log() {
    let log = testdata().join("log");
    let entries = interop_tlog::check_tiles(&log, &testdata().join("tiles")).unwrap();
    assert_eq!(entries.len(), 300);
    assert_eq!(entries[..13], interop_tlog::read_entries(&log).unwrap());
}

#[test]
fn a_changed_tile_or_bundle_is_found_out() {
    let names = [
        "tile/0/000",
        "tile/0/001.p/44",
        "tile/1/000.p/1",
        "tile/entries/000",
        "tile/entries/001.p/44",
    ];
    for name in names {
        let directory = scratch("tiles");
        spoil(&directory.join("tiles").join(name));
        let checked = interop_tlog::check_tiles(&directory.join("log"), &directory.join("tiles"));
        assert!(checked.is_err(), "{name}");
    }
}

/// The example index of C2SP's page, as the foreign implementation writes it.
#[test]
fn the_foreign_path_of_a_tile_is_c2sps_with_a_height() {
    assert_eq!(
        Tile::new(8, 0, 1_234_067, 256, false).path(),
        "tile/8/0/x001/x234/067"
    );
}

#[test]
fn the_program_says_what_it_checked() {
    let run = |arguments: &[PathBuf]| {
        let output = Command::new(env!("CARGO_BIN_EXE_check-log"))
            .args(arguments)
            .output()
            .unwrap();
        (
            output.status.code(),
            String::from_utf8(output.stdout).unwrap(),
        )
    };
    let log = testdata().join("log");
    let proof = testdata().join("proofs/00000003.tlog-proof");
    let (code, said) = run(&[log.clone(), proof.clone(), log.join("entries/00000003")]);
    assert_eq!(code, Some(0));
    let lines: Vec<_> = said.lines().collect();
    let origin = "waypost/gb.example-county.child-protection";
    assert!(
        lines[0].starts_with(&format!("ok: {origin}: 13 entries, root ")),
        "{said}"
    );
    assert_eq!(lines[1..], [format!("ok: {origin}: entry 3 of 13")]);
    let (code, said) = run(&[log.clone(), proof, log.join("entries/00000004")]);
    assert_eq!(code, Some(1));
    assert_eq!(said, "failed: entry 3: invalid transparency proof\n");
    assert_eq!(run(&[]).0, Some(1));
}
