//! A disk that forgets: every change that a process made to a folder, from its trace, and what a power
//! cut at any moment leaves of it (`docs/decisions/008-power-cuts-from-a-recording.md`).
//!
//! ```text
//! trace -> calls -> Recording: writes and sizes of files, names in folders, syncs of both
//!                    .after_cut(line, fate) -> what is on the disk
//! ```
//!
//! A change is *settled* when a sync of its file, or for a name of its folder, began after it had ended
//! and returned before the cut. What is settled is there. Of the rest, [`Fate`] decides.

mod calls;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::seeded::Seeded;

pub use self::calls::Unknown;

/// What a disk writes whole or not at all.
const SECTOR: u64 = 512;

/// What becomes of changes that were made and not synced.
#[derive(Debug, Clone)]
pub enum Fate {
    /// All of them are lost.
    Lost,
    /// All of them are there, as after a crash of the process alone.
    Kept,
    /// Of every write some sectors; some of the changed sizes; in each folder the first few changes of
    /// names, as a journal keeps them.
    Mixed(Seeded),
}

impl Fate {
    fn coin(&mut self) -> bool {
        match self {
            Self::Lost => false,
            Self::Kept => true,
            Self::Mixed(random) => random.coin(),
        }
    }

    fn first(&mut self, of: usize) -> usize {
        match self {
            Self::Lost => 0,
            Self::Kept => of,
            Self::Mixed(random) => {
                usize::try_from(random.within(0..of as u64 + 1)).unwrap_or_default()
            }
        }
    }
}

/// Lines of the trace between which something was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// It had not begun before.
    pub start: usize,
    /// It was over after.
    pub end: usize,
}

impl Span {
    /// Whether a sync in `self` settled, before the cut, what was done in `earlier`.
    const fn settles(&self, earlier: &Self, cut: usize) -> bool {
        earlier.end < self.start && self.end < cut
    }
}

#[derive(Debug, Clone)]
enum Data {
    Write { offset: u64, bytes: Vec<u8> },
    Size(u64),
}

/// The content of a file, whatever its name.
#[derive(Debug, Clone, Default)]
struct Content {
    before: Vec<u8>,
    changes: Vec<(Span, Data)>,
    syncs: Vec<Span>,
}

/// What a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Named {
    Folder,
    /// Index of a [`Content`].
    File(usize),
}

#[derive(Debug, Clone)]
enum Naming {
    Made(PathBuf, Named),
    Moved(PathBuf, PathBuf),
    Gone(PathBuf),
}

impl Naming {
    fn path(&self) -> &Path {
        match self {
            Self::Made(path, _) | Self::Moved(_, path) | Self::Gone(path) => path,
        }
    }

    fn apply(&self, names: &mut BTreeMap<PathBuf, Named>) {
        match self {
            Self::Made(path, named) => {
                names.insert(path.clone(), *named);
            }
            Self::Moved(from, to) => {
                if let Some(named) = names.remove(from) {
                    names.insert(to.clone(), named);
                }
            }
            Self::Gone(path) => {
                names.remove(path);
            }
        }
    }
}

/// A folder as it was, and everything that was done to it since.
#[derive(Debug, Clone)]
pub struct Recording {
    folder: PathBuf,
    before: BTreeMap<PathBuf, Named>,
    contents: Vec<Content>,
    namings: Vec<(Span, Naming)>,
    folder_syncs: Vec<(PathBuf, Span)>,
    /// The names after all of it.
    now: BTreeMap<PathBuf, Named>,
}

/// Paths in the folder, with their content; none for a folder.
pub type Disk = BTreeMap<PathBuf, Option<Vec<u8>>>;

impl Recording {
    /// Starts from what is in `folder` now, all of it taken as synced.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn of(folder: &Path) -> Result<Self> {
        let folder = folder.canonicalize()?;
        let mut recording = Self {
            folder: folder.clone(),
            before: BTreeMap::new(),
            contents: Vec::new(),
            namings: Vec::new(),
            folder_syncs: Vec::new(),
            now: BTreeMap::new(),
        };
        let mut folders = vec![folder];
        while let Some(folder) = folders.pop() {
            for found in fs::read_dir(&folder)? {
                let path = found?.path();
                let named = if path.is_dir() {
                    folders.push(path.clone());
                    Named::Folder
                } else {
                    Named::File(recording.content(fs::read(&path)?))
                };
                recording.before.insert(path, named);
            }
        }
        recording.now = recording.before.clone();
        Ok(recording)
    }

    fn content(&mut self, before: Vec<u8>) -> usize {
        self.contents.push(Content {
            before,
            ..Content::default()
        });
        self.contents.len() - 1
    }

    /// Every sync of a file or folder.
    #[must_use]
    pub fn syncs(&self) -> Vec<Span> {
        let files = self.contents.iter().flat_map(|content| &content.syncs);
        let folders = self.folder_syncs.iter().map(|(_, span)| span);
        files.chain(folders).copied().collect()
    }

    /// The same, as if the syncs of the file `name` that began on the line `from` or later had not been
    /// asked for.
    #[must_use]
    pub fn without_syncs(mut self, name: &str, from: usize) -> Self {
        let named = self.now.iter().filter(|(path, _)| path.ends_with(name));
        let files: Vec<_> = named.map(|(_, named)| *named).collect();
        for (index, content) in self.contents.iter_mut().enumerate() {
            if files.contains(&Named::File(index)) {
                content.syncs.retain(|sync| sync.start < from);
            }
        }
        self
    }

    /// What is on the disk when the power is cut before the line `cut`.
    #[must_use]
    pub fn after_cut(&self, cut: usize, fate: &mut Fate) -> Disk {
        let names = self.names(cut, fate);
        let whole = |path: &Path| {
            let mut above = path.ancestors().skip(1);
            // A folder that is lost takes with it what is in it.
            above.all(|above| {
                !above.starts_with(&self.folder)
                    || above == self.folder
                    || names.get(above) == Some(&Named::Folder)
            })
        };
        let mut disk = Disk::new();
        for (path, named) in names.iter().filter(|(path, _)| whole(path)) {
            let content = match named {
                Named::Folder => None,
                Named::File(index) => self.contents.get(*index).map(|c| c.after_cut(cut, fate)),
            };
            let inside = path.strip_prefix(&self.folder).unwrap_or(path);
            disk.insert(inside.to_owned(), content);
        }
        disk
    }

    fn names(&self, cut: usize, fate: &mut Fate) -> BTreeMap<PathBuf, Named> {
        let mut names = self.before.clone();
        let mut open: BTreeMap<&Path, Vec<&Naming>> = BTreeMap::new();
        for (span, naming) in &self.namings {
            let folder = naming.path().parent().unwrap_or(&self.folder);
            let mut syncs = self.folder_syncs.iter().filter(|(path, _)| path == folder);
            if syncs.any(|(_, sync)| sync.settles(span, cut)) {
                naming.apply(&mut names);
            } else if span.start < cut {
                open.entry(folder).or_default().push(naming);
            }
        }
        for namings in open.into_values() {
            for naming in namings.iter().take(fate.first(namings.len())) {
                naming.apply(&mut names);
            }
        }
        names
    }
}

impl Content {
    fn after_cut(&self, cut: usize, fate: &mut Fate) -> Vec<u8> {
        let mut bytes = self.before.clone();
        for (span, data) in &self.changes {
            if span.start >= cut {
                continue;
            }
            let settled = self.syncs.iter().any(|sync| sync.settles(span, cut));
            match data {
                Data::Size(size) if settled || fate.coin() => resize(&mut bytes, *size),
                Data::Size(_) => {}
                Data::Write {
                    offset,
                    bytes: written,
                } => {
                    for (start, part) in sectors(*offset, written) {
                        if settled || fate.coin() {
                            put(&mut bytes, start, part);
                        }
                    }
                }
            }
        }
        bytes
    }
}

fn resize(bytes: &mut Vec<u8>, size: u64) {
    bytes.resize(usize::try_from(size).unwrap_or(usize::MAX), 0);
}

fn put(bytes: &mut Vec<u8>, offset: u64, part: &[u8]) {
    let start = usize::try_from(offset).unwrap_or(usize::MAX);
    let end = start.saturating_add(part.len());
    if bytes.len() < end {
        bytes.resize(end, 0);
    }
    if let Some(place) = bytes.get_mut(start..end) {
        place.copy_from_slice(part);
    }
}

/// The parts of a write that lie in one sector each.
fn sectors(mut offset: u64, mut bytes: &[u8]) -> Vec<(u64, &[u8])> {
    let mut parts = Vec::new();
    while !bytes.is_empty() {
        let room = usize::try_from(SECTOR - offset % SECTOR).unwrap_or(usize::MAX);
        let (part, rest) = bytes.split_at(room.min(bytes.len()));
        parts.push((offset, part));
        offset = offset.saturating_add(part.len() as u64);
        bytes = rest;
    }
    parts
}

/// Puts `disk` in place of what is in `folder`.
///
/// # Errors
/// When it cannot be written.
pub fn install(disk: &Disk, folder: &Path) -> Result<()> {
    fs::remove_dir_all(folder)?;
    let mut private = fs::DirBuilder::new();
    private.mode(0o700);
    private.create(folder)?;
    for (path, content) in disk {
        let path = folder.join(path);
        let Some(content) = content else {
            private.create(&path)?;
            continue;
        };
        let mut options = fs::OpenOptions::new();
        let file = options.write(true).create_new(true).mode(0o600);
        let mut file = file
            .open(&path)
            .with_context(|| format!("cannot make {}", path.display()))?;
        std::io::Write::write_all(&mut file, content)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
