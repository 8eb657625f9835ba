//! The data folder of a node on this machine.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::Findings;
use super::medium::{Overwriting, overwriting};

/// Steps below a folder, at most; no home or data folder is deeper.
const DEPTH: usize = 8;
/// Files that a node writes for others to read.
const PUBLIC: &[&str] = &[
    "tls.crt",
    "node-record.pb",
    "log.vkey",
    "registration.pb",
    "directory.pb",
];

pub(super) fn look(folder: &Path, findings: &mut Findings) {
    if !folder.is_dir() {
        return findings.problem(
            format!("there is no node folder `{}`", folder.display()),
            "give the folder that `data` names in `node.toml`: `--node DIR`",
        );
    }
    if !folder.join("tls.key").exists() {
        findings.problem(
            format!("`{}` holds no TLS key of a node", folder.display()),
            "waypost-node init --config node.toml",
        );
    }
    let secret = |path: &PathBuf| {
        !path
            .file_name()
            .is_some_and(|name| PUBLIC.iter().any(|public| name == *public))
    };
    let exposed: Vec<PathBuf> = reachable(folder).into_iter().filter(secret).collect();
    if exposed.is_empty() {
        findings.good("only the node's user can look at its keys and its store");
    }
    for path in exposed {
        findings.problem(
            format!("others on this machine can look at `{}`", path.display()),
            format!("chmod go= {}", path.display()),
        );
    }
    blobs(folder, findings);
    medium(folder, findings);
}

/// Large values would go to files that are never synced; the store keeps them small.
fn blobs(folder: &Path, findings: &mut Findings) {
    let blobs = folder.join("store").join("blobs");
    match fs::read_dir(&blobs).map(Iterator::count) {
        Ok(0) => {
            findings.good("the store keeps every value where it is synced (`blobs/` is empty)")
        }
        Ok(count) => findings.problem(
            format!(
                "`{}` holds {count} files that are never synced",
                blobs.display()
            ),
            "stop the node and restore the store from a backup",
        ),
        Err(_) => findings.note(
            format!("there is no store below `{}` yet", folder.display()),
            "waypost-node run",
        ),
    }
}

fn medium(folder: &Path, findings: &mut Findings) {
    let vault = "put the node's data on ext4 or xfs on a magnetic disk, or encrypt the disk";
    match overwriting(folder) {
        Overwriting::InPlace => findings.good(
            "erased keys are overwritten in place, unless the disk is virtual: ask your host",
        ),
        Overwriting::Elsewhere(medium) => findings.note(
            format!(
                "`{medium}` does not overwrite in place: erased keys may be recoverable from it"
            ),
            vault,
        ),
        Overwriting::Unknown => {
            findings.note(
                "it cannot be told whether erased keys are overwritten in place",
                vault,
            );
        }
    }
}

/// Everything in a folder, itself included, that others may look at, even where a private folder
/// above keeps them out: it may be copied elsewhere.
pub(super) fn exposed(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    walk(folder, DEPTH, |_| true, &mut found);
    found
}

/// Everything in a folder, itself included, that others can look at. The engine of a node's store
/// makes files that others may read, in a folder that they cannot enter.
fn reachable(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    walk(folder, DEPTH, |mode| mode & 0o077 != 0, &mut found);
    found
}

fn walk(path: &Path, depth: usize, enters: fn(u32) -> bool, found: &mut Vec<PathBuf>) {
    let Ok(metadata) = fs::symlink_metadata(path) else {
        return;
    };
    if metadata.is_symlink() {
        return;
    }
    let mode = metadata.permissions().mode();
    if mode & 0o077 != 0 {
        found.push(path.to_owned());
    }
    if let (true, true, Some(depth)) = (metadata.is_dir(), enters(mode), depth.checked_sub(1)) {
        for entry in fs::read_dir(path).into_iter().flatten().flatten() {
            walk(&entry.path(), depth, enters, found);
        }
    }
}
