//! Looking for a form's values where none may be.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Length from which a run of capitals and digits counts as a canary: long enough never to be anything
/// else.
const CANARY_CHARS: usize = 20;

/// The random-looking values of an invented submission: runs of A-Z and 2-7.
pub(super) fn canaries(submission: &str) -> Vec<String> {
    submission
        .split(|c: char| !matches!(c, 'A'..='Z' | '2'..='7'))
        .filter(|run| run.len() >= CANARY_CHARS)
        .map(str::to_owned)
        .collect()
}

/// What a search found.
#[derive(Debug)]
pub(super) struct Searched {
    pub(super) files: usize,
    pub(super) bytes: u64,
    /// Files that hold one of the values.
    pub(super) hits: Vec<PathBuf>,
}

/// Looks for any of `values` in every file under `folder`.
pub(super) fn search(folder: &Path, values: &[String]) -> io::Result<Searched> {
    let mut searched = Searched {
        files: 0,
        bytes: 0,
        hits: Vec::new(),
    };
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let content = fs::read(&path)?;
            searched.files += 1;
            searched.bytes += content.len() as u64;
            if values.iter().any(|value| holds(&content, value.as_bytes())) {
                searched.hits.push(path);
            }
        }
    }
    Ok(searched)
}

fn holds(content: &[u8], value: &[u8]) -> bool {
    content.windows(value.len()).any(|window| window == value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_invented_submission_has_canaries_enough() {
        let canaries = canaries(include_str!("../../../fixtures/uk-nrm/child.json"));
        assert!(canaries.len() >= 12, "{}", canaries.len());
        let distinct: std::collections::BTreeSet<_> = canaries.iter().collect();
        assert_eq!(distinct.len(), canaries.len());
    }

    #[test]
    fn a_value_in_the_middle_of_a_file_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let value = vec!["O7NZQDG4W5LLTZQLI3N4FVU2".to_owned()];
        fs::create_dir(folder.path().join("deep")).unwrap();
        fs::write(
            folder.path().join("deep/file"),
            b"\0\xffO7NZQDG4W5LLTZQLI3N4FVU2\0",
        )
        .unwrap();
        fs::write(folder.path().join("other"), b"nothing").unwrap();
        let found = search(folder.path(), &value).unwrap();
        assert_eq!((found.files, found.hits.len()), (2, 1));
    }
}
