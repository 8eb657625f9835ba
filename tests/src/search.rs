//! Looks for a text in every file of a folder, byte by byte.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;

/// Files below `folder` that hold one of `texts`, each with the text found.
///
/// # Errors
/// When something cannot be read.
pub fn files_with(folder: &Path, texts: &[&str]) -> Result<Vec<(PathBuf, String)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(files_with(&path, texts)?);
            continue;
        }
        let bytes = fs::read(&path)?;
        for text in texts {
            let holds = bytes
                .windows(text.len())
                .any(|window| window == text.as_bytes());
            if holds {
                found.push((path.clone(), (*text).to_owned()));
            }
        }
    }
    Ok(found)
}
