//! Checks Waypost's logs with implementations that share no code with it: notes, keys and signatures
//! by `signed_note`; checkpoints, hashing, roots, inclusion, consistency and tiles by `tlog_tiles`
//! (both BSD-3-Clause, ported by Cloudflare from Go's `sumdb`).
//!
//! Neither crate reads a `tlog-proof` file or an entry bundle: those few lines are split here. Their
//! hashes, checkpoint and entries are then judged by the crates. `tlog_tiles` writes Go's tile paths,
//! `tile/8/..`, of which C2SP leaves out the height.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use signed_note::{Note, StandardVerifier, VerifierList};
use tlog_tiles::{
    Checkpoint, Error, Hash, HashReader, Tile, TileHashReader, TileReader, check_record,
    check_tree, prove_record, prove_tree, record_hash, stored_hash_index, stored_hashes, tree_hash,
};

/// Height of C2SP's tiles: 256 hashes.
const TILE_HEIGHT: u8 = 8;

/// What went wrong, for people.
pub type Outcome<T> = Result<T, String>;

fn read(path: &Path) -> Outcome<Vec<u8>> {
    fs::read(path).map_err(|error| format!("{}: {error}", path.display()))
}

fn read_text(path: &Path) -> Outcome<String> {
    String::from_utf8(read(path)?).map_err(|_| format!("{}: not text", path.display()))
}

/// Opens a checkpoint with the `vkey` of an exported log.
///
/// # Errors
///
/// It is malformed, not signed by the key, or of another origin.
pub fn open_checkpoint(log: &Path, note: &[u8]) -> Outcome<Checkpoint> {
    let vkey = read_text(&log.join("vkey"))?;
    let verifier = StandardVerifier::new(vkey.trim_end()).map_err(|e| format!("vkey: {e}"))?;
    let name = signed_note::Verifier::name(&verifier).to_owned();
    let note = Note::from_bytes(note).map_err(|e| format!("checkpoint: {e}"))?;
    note.verify(&VerifierList::new(vec![Box::new(verifier)]))
        .map_err(|e| format!("checkpoint: {e}"))?;
    let checkpoint = Checkpoint::from_bytes(note.text()).map_err(|e| format!("checkpoint: {e}"))?;
    if checkpoint.origin() != name {
        return Err(format!(
            "checkpoint: origin `{}` is not the key's name",
            checkpoint.origin()
        ));
    }
    Ok(checkpoint)
}

/// The stored hashes of a tree, computed by the foreign implementation from entries.
#[derive(Default)]
struct Stored(Vec<Hash>);

impl HashReader for Stored {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<Hash>, Error> {
        let hash = |index: &u64| self.0.get(usize::try_from(*index).ok()?).copied();
        indexes
            .iter()
            .map(|index| hash(index).ok_or(Error::IndexesNotInTree))
            .collect()
    }
}

impl Stored {
    fn of(entries: &[Vec<u8>]) -> Outcome<Self> {
        let mut stored = Self::default();
        for (number, entry) in (0..).zip(entries) {
            let new = stored_hashes(number, entry, &stored).map_err(|e| format!("hashing: {e}"))?;
            stored.0.extend(new);
        }
        Ok(stored)
    }
}

/// The entries of an exported log, in order: `entries/00000000` and so on, without a gap.
///
/// # Errors
///
/// One cannot be read, or a file is out of place.
pub fn read_entries(log: &Path) -> Outcome<Vec<Vec<u8>>> {
    let directory = log.join("entries");
    let shown = |error| format!("{}: {error}", directory.display());
    let mut names = Vec::new();
    for file in fs::read_dir(&directory).map_err(shown)? {
        names.push(file.map_err(shown)?.file_name());
    }
    names.sort();
    let mut entries = Vec::new();
    for (number, name) in names.iter().enumerate() {
        if name.to_str() != Some(&format!("{number:08}")) {
            return Err(format!(
                "{}: entry {number} is missing",
                directory.display()
            ));
        }
        entries.push(read(&directory.join(name))?);
    }
    Ok(entries)
}

/// Checks that an exported log's checkpoint is signed and is that of its entries.
///
/// # Errors
///
/// It is not.
pub fn check_log(log: &Path) -> Outcome<String> {
    let checkpoint = open_checkpoint(log, &read(&log.join("checkpoint"))?)?;
    let entries = read_entries(log)?;
    if u64::try_from(entries.len()) != Ok(checkpoint.size()) {
        let (found, signed) = (entries.len(), checkpoint.size());
        return Err(format!(
            "{found} entries, but the checkpoint is of {signed}"
        ));
    }
    let root = tree_hash(checkpoint.size(), &Stored::of(&entries)?).map_err(|e| e.to_string())?;
    if root != *checkpoint.hash() {
        return Err("the root of the entries is not that of the checkpoint".to_owned());
    }
    Ok(format!(
        "{}: {} entries, root {root}",
        checkpoint.origin(),
        checkpoint.size()
    ))
}

/// A `tlog-proof` file, split into its lines.
struct Proof {
    index: u64,
    path: Vec<Hash>,
    checkpoint: String,
}

impl Proof {
    fn read(file: &Path) -> Outcome<Self> {
        let text = read_text(file)?;
        let shown = |what: &str| format!("{}: {what}", file.display());
        let (head, checkpoint) = text
            .split_once("\n\n")
            .ok_or_else(|| shown("no blank line"))?;
        let mut lines = head.lines().peekable();
        if lines.next() != Some("c2sp.org/tlog-proof@v1") {
            return Err(shown("not a tlog-proof"));
        }
        lines.next_if(|line| line.starts_with("extra "));
        let index = lines
            .next()
            .and_then(|line| line.strip_prefix("index ")?.parse().ok());
        let path = lines.map(Hash::parse_hash).collect::<Result<_, _>>();
        Ok(Self {
            index: index.ok_or_else(|| shown("no index"))?,
            path: path.map_err(|e| shown(&e.to_string()))?,
            checkpoint: checkpoint.to_owned(),
        })
    }
}

/// Checks that a proof shows an entry to be in the log whose `vkey` is in `log`.
///
/// # Errors
///
/// It does not.
pub fn check_proof(log: &Path, proof: &Path, entry: &Path) -> Outcome<String> {
    let proof = Proof::read(proof)?;
    let checkpoint = open_checkpoint(log, proof.checkpoint.as_bytes())?;
    let leaf = record_hash(&read(entry)?);
    check_record(
        &proof.path,
        checkpoint.size(),
        *checkpoint.hash(),
        proof.index,
        leaf,
    )
    .map_err(|e| format!("entry {}: {e}", proof.index))?;
    Ok(format!(
        "{}: entry {} of {}",
        checkpoint.origin(),
        proof.index,
        checkpoint.size()
    ))
}

/// Checks a consistency path between two checkpoints of the log whose `vkey` is in `log`, and that
/// the foreign implementation makes the same path from the entries.
///
/// # Errors
///
/// The path does not show that `older` is the beginning of `newer`, or is another.
pub fn check_consistency(log: &Path, older: &[u8], newer: &[u8], path: &[Hash]) -> Outcome<()> {
    let (older, newer) = (open_checkpoint(log, older)?, open_checkpoint(log, newer)?);
    let path = path.to_vec();
    check_tree(
        &path,
        newer.size(),
        *newer.hash(),
        older.size(),
        *older.hash(),
    )
    .map_err(|e| format!("consistency: {e}"))?;
    let made = prove_tree(
        newer.size(),
        older.size(),
        &Stored::of(&read_entries(log)?)?,
    );
    if made.map_err(|e| e.to_string())? == path {
        Ok(())
    } else {
        Err("the path is not the one that the entries give".to_owned())
    }
}

/// Tiles in files, at C2SP's paths.
struct TileFiles {
    directory: PathBuf,
    /// Those that the foreign implementation found to be true.
    confirmed: RefCell<BTreeMap<String, Vec<u8>>>,
}

/// C2SP's path of a tile: Go's without the height.
fn tile_path(tile: &Tile) -> String {
    tile.path()
        .replacen(&format!("tile/{TILE_HEIGHT}/"), "tile/", 1)
}

impl TileReader for TileFiles {
    fn height(&self) -> u8 {
        TILE_HEIGHT
    }

    fn read_tiles(&self, tiles: &[Tile]) -> Result<Vec<Vec<u8>>, Error> {
        let read = |tile| fs::read(self.directory.join(tile_path(tile)));
        tiles
            .iter()
            .map(|tile| read(tile).map_err(|_| Error::InvalidTile))
            .collect()
    }

    fn save_tiles(&self, tiles: &[Tile], data: &[Vec<u8>]) {
        let paths = tiles.iter().map(tile_path).zip(data.iter().cloned());
        self.confirmed.borrow_mut().extend(paths);
    }
}

/// Checks an export in tiles: every tile that the checkpoint's size calls for is there and true, and
/// each entry in the bundles has its leaf. Returns the entries.
///
/// # Errors
///
/// A file is missing or false.
pub fn check_tiles(log: &Path, directory: &Path) -> Outcome<Vec<Vec<u8>>> {
    let checkpoint = open_checkpoint(log, &read(&directory.join("checkpoint"))?)?;
    let (size, root) = (checkpoint.size(), *checkpoint.hash());
    let files = TileFiles {
        directory: directory.to_owned(),
        confirmed: RefCell::default(),
    };
    let reader = TileHashReader::new(size, root, &files);
    let mut entries = Vec::new();
    for tile in Tile::new_tiles(TILE_HEIGHT, 0, size) {
        let path = tile_path(&tile);
        if tile.level() == 0 {
            let bundle = path.replacen("tile/0/", "tile/entries/", 1);
            entries.extend(split_bundle(&read(&directory.join(bundle))?)?);
        }
        // Reading a hash through the reader proves its tile.
        let first = stored_hash_index(
            tile.level() * TILE_HEIGHT,
            tile.level_index() << TILE_HEIGHT,
        );
        reader
            .read_hashes(&[first])
            .map_err(|e| format!("{path}: {e}"))?;
        let found = read(&directory.join(&path))?;
        if files
            .confirmed
            .borrow()
            .get(&path)
            .is_some_and(|confirmed| *confirmed != found)
        {
            return Err(format!("{path}: false"));
        }
    }
    for (number, entry) in (0..).zip(&entries) {
        let path =
            prove_record(size, number, &reader).map_err(|e| format!("entry {number}: {e}"))?;
        check_record(&path, size, root, number, record_hash(entry))
            .map_err(|e| format!("entry {number}: {e}"))?;
    }
    if u64::try_from(entries.len()) == Ok(size) {
        Ok(entries)
    } else {
        Err(format!(
            "{} entries in bundles, {size} signed",
            entries.len()
        ))
    }
}

/// An entry bundle: each entry after its length in two bytes, big-endian.
fn split_bundle(mut bundle: &[u8]) -> Outcome<Vec<Vec<u8>>> {
    let mut entries = Vec::new();
    while let Some((length, rest)) = bundle.split_first_chunk() {
        let length = usize::from(u16::from_be_bytes(*length));
        let (entry, rest) = rest.split_at_checked(length).ok_or("bundle: cut off")?;
        entries.push(entry.to_vec());
        bundle = rest;
    }
    if bundle.is_empty() {
        Ok(entries)
    } else {
        Err("bundle: cut off".to_owned())
    }
}
