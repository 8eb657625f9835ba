//! A log as static files: C2SP `tlog-tiles` (`spec/log.md`, LOG-16).
//!
//! [`Tiler`] takes the entries in order and gives each file as soon as it is full, so that a log of
//! any size is exported in the memory of one bundle. [`Tiler::finish`] gives the partial files and
//! the checkpoint, and refuses a checkpoint of anything else than these entries.

use crate::checkpoint::SignedCheckpoint;
use crate::limit;
use crate::merkle::{self, Frontier};

/// Hashes of a full tile, and entries of a full bundle.
pub const TILE_WIDTH: u64 = 256;

/// An export that cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TilesError {
    /// LOG-13: the entry is longer than any.
    #[error("entry {index} has {found} bytes, more than {max}", max = limit::ENTRY_BYTES)]
    EntryTooLong {
        /// Index of the entry.
        index: u64,
        /// Bytes found.
        found: usize,
    },
    /// LOG-16: the checkpoint is not of these entries.
    #[error("the checkpoint is of {signed} entries and their root, not of these {found}")]
    Checkpoint {
        /// Entries that the checkpoint speaks of.
        signed: u64,
        /// Entries given.
        found: u64,
    },
}

/// One file of the export.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TileFile {
    /// Path below the log's prefix, with `/`: `tile/0/x001/067`, `tile/entries/000.p/5`, `checkpoint`.
    pub path: String,
    /// Its exact bytes.
    pub bytes: Vec<u8>,
}

/// One level of hash tiles: the one that is being filled.
#[derive(Debug, Clone)]
struct Level {
    /// Number of the tile in its level.
    index: u64,
    hashes: Vec<u8>,
    /// Over the tile's hashes as if they were leaves: its root is the tile's hash one level up.
    frontier: Frontier,
}

impl Level {
    const fn new(index: u64) -> Self {
        Self {
            index,
            hashes: Vec::new(),
            frontier: Frontier::empty(),
        }
    }
}

/// Computes the files of a log from its entries.
#[derive(Debug, Clone)]
pub struct Tiler {
    log: Frontier,
    levels: Vec<Level>,
    bundle: Vec<u8>,
}

impl Default for Tiler {
    fn default() -> Self {
        Self::new()
    }
}

impl Tiler {
    /// For a log without entries yet.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            log: Frontier::empty(),
            levels: Vec::new(),
            bundle: Vec::new(),
        }
    }

    /// Adds the next entry, and gives the files that this fills.
    ///
    /// # Errors
    ///
    /// [`TilesError::EntryTooLong`].
    pub fn push(&mut self, entry: &[u8]) -> Result<Vec<TileFile>, TilesError> {
        let index = self.log.size();
        let too_long = TilesError::EntryTooLong {
            index,
            found: entry.len(),
        };
        let length = u16::try_from(entry.len()).map_err(|_| too_long.clone())?;
        if entry.len() > limit::ENTRY_BYTES {
            return Err(too_long);
        }
        let mut files = Vec::new();
        self.bundle.extend(length.to_be_bytes());
        self.bundle.extend(entry);
        if (index + 1).is_multiple_of(TILE_WIDTH) {
            let bytes = std::mem::take(&mut self.bundle);
            files.push(TileFile {
                path: path("entries", index / TILE_WIDTH, TILE_WIDTH),
                bytes,
            });
        }
        let mut hash = merkle::leaf_hash(entry);
        self.log.append(hash);
        for number in 0.. {
            if number == self.levels.len() {
                self.levels.push(Level::new(0));
            }
            let Some(level) = self.levels.get_mut(number) else {
                break;
            };
            level.hashes.extend(hash.as_bytes());
            level.frontier.append(hash);
            if level.frontier.size() < TILE_WIDTH {
                break;
            }
            let full = std::mem::replace(level, Level::new(level.index + 1));
            hash = full.frontier.root();
            let path = path(&number.to_string(), full.index, TILE_WIDTH);
            files.push(TileFile {
                path,
                bytes: full.hashes,
            });
        }
        Ok(files)
    }

    /// Ends the export: the partial files, and the checkpoint last.
    ///
    /// # Errors
    ///
    /// [`TilesError::Checkpoint`]: it speaks of other entries than those given.
    pub fn finish(self, checkpoint: &SignedCheckpoint) -> Result<Vec<TileFile>, TilesError> {
        let (size, root) = (self.log.size(), self.log.root());
        if checkpoint.size() != size || *checkpoint.root() != root {
            return Err(TilesError::Checkpoint {
                signed: checkpoint.size(),
                found: size,
            });
        }
        let mut files = Vec::new();
        if !self.bundle.is_empty() {
            let path = path("entries", size / TILE_WIDTH, size % TILE_WIDTH);
            files.push(TileFile {
                path,
                bytes: self.bundle,
            });
        }
        for (number, level) in self.levels.into_iter().enumerate() {
            if !level.hashes.is_empty() {
                let path = path(&number.to_string(), level.index, level.frontier.size());
                files.push(TileFile {
                    path,
                    bytes: level.hashes,
                });
            }
        }
        files.push(TileFile {
            path: "checkpoint".to_owned(),
            bytes: checkpoint.as_bytes().to_vec(),
        });
        Ok(files)
    }
}

/// `tile/<level>/<index>[.p/<width>]`, the index in groups of three digits, all but the last marked
/// by an `x`.
fn path(level: &str, index: u64, width: u64) -> String {
    let mut groups = format!("{:03}", index % 1000);
    let mut rest = index / 1000;
    while rest > 0 {
        groups = format!("x{:03}/{groups}", rest % 1000);
        rest /= 1000;
    }
    let partial = if width == TILE_WIDTH {
        String::new()
    } else {
        format!(".p/{width}")
    };
    format!("tile/{level}/{groups}{partial}")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use zeroize::Zeroizing;

    use super::*;
    use crate::merkle::{leaf_hash, node_hash};
    use crate::note::NoteSigner;

    fn signed(log: &Frontier) -> SignedCheckpoint {
        let name = "waypost/gb.example-school".parse().unwrap();
        let signer = NoteSigner::from_seed(name, Zeroizing::new([9; 32])).unwrap();
        SignedCheckpoint::sign(&signer, log.size(), log.root())
    }

    fn export(size: u64) -> BTreeMap<String, Vec<u8>> {
        let mut tiler = Tiler::new();
        let mut files = BTreeMap::new();
        let mut add = |file: TileFile| assert!(files.insert(file.path, file.bytes).is_none());
        for index in 0..size {
            tiler
                .push(&index.to_be_bytes())
                .unwrap()
                .into_iter()
                .for_each(&mut add);
        }
        let checkpoint = signed(&tiler.log);
        tiler
            .finish(&checkpoint)
            .unwrap()
            .into_iter()
            .for_each(&mut add);
        files
    }

    /// LOG-16: the examples of C2SP's page.
    #[test]
    fn indexes_become_groups_of_three_digits() {
        assert_eq!(path("0", 1_234_067, TILE_WIDTH), "tile/0/x001/x234/067");
        assert_eq!(path("entries", 0, 5), "tile/entries/000.p/5");
        assert_eq!(path("1", 1067, 17), "tile/1/x001/067.p/17");
    }

    /// LOG-16: the page's example of 70,000 entries.
    #[test]
    fn seventy_thousand_entries_have_the_tiles_that_the_c2sp_page_names() {
        let files = export(70_000);
        let count = |prefix: &str, full: bool| {
            files
                .keys()
                .filter(|p| p.starts_with(prefix) && p.contains(".p/") != full)
                .count()
        };
        assert_eq!((count("tile/0/", true), count("tile/0/", false)), (273, 1));
        assert_eq!((count("tile/1/", true), count("tile/1/", false)), (1, 1));
        assert_eq!((count("tile/2/", true), count("tile/2/", false)), (0, 1));
        assert_eq!(
            (count("tile/entries/", true), count("tile/entries/", false)),
            (273, 1)
        );
        assert_eq!(files["tile/0/273.p/112"].len(), 112 * 32);
        assert_eq!(files["tile/1/001.p/17"].len(), 17 * 32);
        assert_eq!(files["tile/2/000.p/1"].len(), 32);
        assert!(files.contains_key("tile/entries/273.p/112"));
    }

    /// LOG-16: a full tile's hash stands in the level above, and entries carry their length.
    #[test]
    fn two_hundred_and_fifty_six_entries_fill_one_tile_and_start_the_next_level() {
        let files = export(256);
        let paths: Vec<_> = files.keys().map(String::as_str).collect();
        assert_eq!(
            paths,
            [
                "checkpoint",
                "tile/0/000",
                "tile/1/000.p/1",
                "tile/entries/000"
            ]
        );
        let mut row: Vec<_> = (0..256_u64)
            .map(|index| leaf_hash(&index.to_be_bytes()))
            .collect();
        let leaves: Vec<u8> = row.iter().flat_map(|hash| *hash.as_bytes()).collect();
        assert_eq!(files["tile/0/000"], leaves);
        while row.len() > 1 {
            row = row
                .chunks(2)
                .map(|pair| node_hash(&pair[0], &pair[1]))
                .collect();
        }
        assert_eq!(files["tile/1/000.p/1"], row[0].as_bytes());
        assert_eq!(
            files["tile/entries/000"][..20],
            [0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 1]
        );
    }

    #[test]
    fn a_log_without_entries_is_only_its_checkpoint() {
        assert_eq!(export(0).into_keys().collect::<Vec<_>>(), ["checkpoint"]);
    }

    /// LOG-16, LOG-13.
    #[test]
    fn a_checkpoint_of_other_entries_and_too_long_an_entry_are_refused() {
        let mut tiler = Tiler::new();
        let other = signed(&Frontier::empty());
        tiler.push(b"entry").unwrap();
        let long = vec![0; limit::ENTRY_BYTES + 1];
        let refused = tiler.push(&long);
        assert_eq!(
            refused,
            Err(TilesError::EntryTooLong {
                index: 1,
                found: long.len()
            })
        );
        assert_eq!(
            tiler.finish(&other),
            Err(TilesError::Checkpoint {
                signed: 0,
                found: 1
            })
        );
    }
}
