//! Undoing an opening of sled that a power cut interrupted.
//!
//! When it opens, sled writes a snapshot, renames it into place, and then overwrites with zeros every
//! segment that the snapshot does not need; all that without a sync of the name. A power cut may keep the
//! zeros and lose the name. The next opening then reads the log without the snapshot, and from the
//! newest segment that was stable on, it needs each one: where one is missing, it takes everything for
//! torn and overwrites the whole store.
//!
//! So these last segments are kept aside, durably, until the snapshot's name is durable. An opening that
//! finds them was preceded by one that was cut short, and puts them back first.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use super::SEGMENT_BYTES;

/// The segments: of each its offset and length, 8 bytes big-endian, and its bytes.
const KEPT: &str = "opening";
/// The same while it is written.
const UNFINISHED: &str = "opening.unfinished";
const DATA: &str = "db";
/// sled's segment header: a checksum of 4 bytes, its position in the log, the last stable one.
const HEADER_BYTES: usize = 20;
/// Both positions are written with these bits turned over.
const MASK: u64 = i64::MAX as u64;

/// Before sled opens what is in `folder`.
pub(super) fn begin(folder: &Path) -> io::Result<()> {
    if folder.join(KEPT).exists() {
        return put_back(folder);
    }
    let data = File::open(folder.join(DATA))?;
    let offsets = needed(&data)?;
    if offsets.is_empty() {
        return Ok(());
    }
    let mut options = OpenOptions::new();
    let options = options.write(true).create(true).truncate(true).mode(0o600);
    let unfinished = folder.join(UNFINISHED);
    let mut kept = options.open(&unfinished)?;
    let end = data.metadata()?.len();
    for offset in offsets {
        let length = end.saturating_sub(offset).min(SEGMENT_BYTES as u64);
        kept.write_all(&offset.to_be_bytes())?;
        kept.write_all(&length.to_be_bytes())?;
        for (start, mut chunk) in chunks(length) {
            data.read_exact_at(&mut chunk, offset.saturating_add(start))?;
            kept.write_all(&chunk)?;
        }
    }
    kept.sync_all()?;
    fs::rename(&unfinished, folder.join(KEPT))?;
    File::open(folder)?.sync_all()
}

/// After sled has opened it, and all that it wrote and named is durable.
pub(super) fn end(folder: &Path) -> io::Result<()> {
    match fs::remove_file(folder.join(KEPT)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(()) => File::open(folder)?.sync_all(),
    }
}

fn put_back(folder: &Path) -> io::Result<()> {
    let mut kept = File::open(folder.join(KEPT))?;
    let data = OpenOptions::new().write(true).open(folder.join(DATA))?;
    let mut left = kept.metadata()?.len();
    while left > 0 {
        let (mut offset, mut length) = ([0; 8], [0; 8]);
        kept.read_exact(&mut offset)?;
        kept.read_exact(&mut length)?;
        let (offset, length) = (u64::from_be_bytes(offset), u64::from_be_bytes(length));
        for (start, mut chunk) in chunks(length) {
            kept.read_exact(&mut chunk)?;
            data.write_all_at(&chunk, offset.saturating_add(start))?;
        }
        left = left.saturating_sub(length.saturating_add(16));
    }
    data.sync_all()
}

/// Where each part of `length` bytes starts, and room for it: a start is to leave no large holes in the
/// process's memory.
fn chunks(length: u64) -> impl Iterator<Item = (u64, Vec<u8>)> {
    const CHUNK_BYTES: usize = 64 * 1024;
    let starts = (0..length).step_by(CHUNK_BYTES);
    starts.map(move |start| {
        let left = usize::try_from(length.saturating_sub(start)).unwrap_or(CHUNK_BYTES);
        (start, vec![0; left.min(CHUNK_BYTES)])
    })
}

/// Where the segments stand that sled reads as the end of the log, in which none may be missing: from
/// the one on that was stable when the newest was begun.
fn needed(data: &File) -> io::Result<Vec<u64>> {
    let mut segments = Vec::new();
    let mut newest_stable = 0;
    for offset in (0..data.metadata()?.len()).step_by(SEGMENT_BYTES) {
        let mut header = [0; HEADER_BYTES];
        match data.read_exact_at(&mut header, offset) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => break,
            read => read?,
        }
        let Some((position, stable)) = positions(&header) else {
            continue;
        };
        newest_stable = newest_stable.max(stable);
        segments.push((offset, position));
    }
    let from = newest_stable - newest_stable % SEGMENT_BYTES as u64;
    segments.retain(|(_, position)| *position >= from);
    Ok(segments.into_iter().map(|(offset, _)| offset).collect())
}

/// A segment's position in the log and the last stable one; nothing if it is no segment.
fn positions(header: &[u8; HEADER_BYTES]) -> Option<(u64, u64)> {
    let (_, positions) = header.split_first_chunk::<4>()?;
    let (position, rest) = positions.split_first_chunk::<8>()?;
    let (stable, _) = rest.split_first_chunk::<8>()?;
    let position = u64::from_le_bytes(*position) ^ MASK;
    let stable = i64::from_le_bytes(*stable) ^ i64::MAX;
    let whole = position.is_multiple_of(SEGMENT_BYTES as u64);
    // Before anything was stable it is negative.
    whole.then(|| (position, u64::try_from(stable).unwrap_or(0)))
}
