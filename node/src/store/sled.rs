//! The embedded store: sled 0.34, used honestly (`docs/decisions/001-sled-with-a-second-sync.md`).
//!
//! One tree, one writer. sled makes a batch atomic; the contract's other terms are kept here: the
//! second sync, the preconditions, reads that do not run ahead of the disk, and the end after a failure.

mod opening;

use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::contract::{Batch, Expected, Page, Store, StoreError};
use super::key::{Key, KeyRange};
use super::overlay::{Overlay, overlaid};
use crate::limit;

/// sled keeps values above a quarter of it in files of their own, which it never syncs.
const SEGMENT_BYTES: usize = 8 * 1024 * 1024;

/// Why a sled store did not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it open.
    #[error("the store in `{}` is in use by another process: stop that node, or give this one another data folder", path.display())]
    InUse {
        /// The store's folder.
        path: PathBuf,
    },
    /// sled has put a page into a file that it does not sync; such a store was not written by us.
    #[error("`{}` holds {files} files, which are not safe from a power cut: restore the data folder from a backup", path.display())]
    Blobs {
        /// The folder that must be empty.
        path: PathBuf,
        /// How many files it holds.
        files: usize,
    },
    /// sled refuses what it found.
    #[error("the store in `{}` cannot be read: restore the data folder from a backup", path.display())]
    Damaged {
        /// The store's folder.
        path: PathBuf,
        /// What sled says.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The file system.
    #[error("cannot open the store in `{}`", path.display())]
    Io {
        /// The folder or file.
        path: PathBuf,
        /// What went wrong.
        #[source]
        source: io::Error,
    },
}

/// A store in one folder. Dropping it closes it.
pub struct SledStore {
    path: PathBuf,
    db: sled::Db,
    /// sled's only data file, by a descriptor of our own: a write-back error is reported once on each
    /// descriptor, so sled cannot take ours.
    file: File,
    /// Held through a commit: one writer at a time.
    writer: Mutex<Flusher>,
    /// The values that a running commit replaces: what readers see until it is durable.
    before: RwLock<Overlay>,
    stopped: AtomicBool,
    /// Let go last.
    _lock: File,
}

impl SledStore {
    /// Opens the store in the folder `path`, or makes one there.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        let at = |path: &Path| {
            let path = path.to_owned();
            move |source| OpenError::Io { path, source }
        };
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(at(path))?;
        let lock = lock(path)?;
        remove_torn_snapshots(path).map_err(at(path))?;
        match blobs(path).map_err(at(path))? {
            0 => {}
            files => {
                return Err(OpenError::Blobs {
                    path: path.join("blobs"),
                    files,
                });
            }
        }

        opening::begin(path).map_err(at(path))?;

        // No background thread: it would write between our syncs and swallow errors.
        let db = sled::Config::new()
            .path(path)
            .segment_size(SEGMENT_BYTES)
            .cache_capacity(limit::STORE_CACHE_BYTES)
            .flush_every_ms(None)
            .open()
            .map_err(|source| OpenError::Damaged {
                path: path.to_owned(),
                source: source.into(),
            })?;

        // sled syncs none of the files and names that it has just made.
        let data = path.join("db");
        let file = File::open(&data).map_err(at(&data))?;
        sync_names(path).map_err(at(path))?;
        file.sync_all().map_err(at(&data))?;
        opening::end(path).map_err(at(path))?;

        let flusher = Flusher::start(db.clone()).map_err(at(path))?;
        Ok(Self {
            path: path.to_owned(),
            db,
            file,
            writer: Mutex::new(flusher),
            before: RwLock::default(),
            stopped: AtomicBool::new(false),
            _lock: lock,
        })
    }

    /// How many files sled keeps outside its data file. Anything but 0 means that the store is not
    /// safe from a power cut; `doctor` reports it.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn blobs(&self) -> io::Result<usize> {
        blobs(&self.path)
    }

    /// The size of the data file in bytes.
    ///
    /// # Errors
    /// When the file system does not tell.
    pub fn bytes_on_disk(&self) -> io::Result<u64> {
        self.file.metadata().map(|found| found.len())
    }

    fn running(&self) -> Result<(), StoreError> {
        if self.stopped.load(Ordering::SeqCst) {
            Err(StoreError::Stopped)
        } else {
            Ok(())
        }
    }

    /// Passes `result` on; a fatal error stops the store.
    fn fatal<T>(&self, result: Result<T, StoreError>) -> Result<T, StoreError> {
        if result.as_ref().is_err_and(StoreError::is_fatal) {
            self.stopped.store(true, Ordering::SeqCst);
        }
        result
    }

    /// The steps of a commit; the caller holds the writer and stops the store after a failure.
    fn write(
        &self,
        flusher: &Flusher,
        expected: &[(Key, Expected)],
        writes: Overlay,
    ) -> Result<(), StoreError> {
        for (key, expected) in expected {
            let found = self
                .db
                .get(key.as_bytes())
                .map_err(io("checking a precondition"))?;
            if !expected.holds(found.as_deref()) {
                return Err(StoreError::Changed { key: key.clone() });
            }
        }
        let mut before = Overlay::new();
        let mut batch = sled::Batch::default();
        for (key, value) in writes {
            let old = self
                .db
                .get(key.as_bytes())
                .map_err(io("reading what a commit replaces"))?;
            match value {
                Some(value) => batch.insert(key.as_bytes(), value),
                None => batch.remove(key.as_bytes()),
            }
            before.insert(key, old.map(|value| value.to_vec()));
        }
        // INVARIANT (no read ahead of the disk): from here to the end readers see `before`.
        *self.before.write().map_err(|_| StoreError::Stopped)? = before;

        // Crash before or in this step: nothing, or a torn batch, is in the file. sled wrote the
        // batch's last position at its beginning and recovers none of a batch that it cannot read
        // to that position.
        self.db
            .apply_batch(batch)
            .map_err(io("applying a commit"))?;

        // Crash in this step: the same. After it all bytes were handed to the device, but they may
        // stand in its cache, and the file's new size in no journal (sync_file_range).
        flusher.flush()?;

        // Crash in this step: the batch is there whole or not at all; nobody was answered.
        self.file.sync_data().map_err(io("syncing a commit"))?;

        // Durable. Only now may it be read and answered.
        self.before
            .write()
            .map_err(|_| StoreError::Stopped)?
            .clear();
        Ok(())
    }
}

impl Store for SledStore {
    fn get(&self, key: &Key) -> Result<Option<Vec<u8>>, StoreError> {
        self.running()?;
        // Held while reading, so that no commit starts in between.
        let before = self.before.read().map_err(|_| StoreError::Stopped)?;
        if let Some(value) = before.get(key) {
            return Ok(value.clone());
        }
        let found = self.db.get(key.as_bytes()).map_err(io("reading"));
        self.fatal(found)
            .map(|value| value.map(|value| value.to_vec()))
    }

    fn scan(&self, range: &KeyRange, rows: usize) -> Result<Page, StoreError> {
        self.running()?;
        let Some((start, end)) = range.bounds() else {
            return Ok(Page::default());
        };
        let before = self.before.read().map_err(|_| StoreError::Stopped)?;
        let below = self
            .db
            .range::<&[u8], _>((start.map(Key::as_bytes), end.map(Key::as_bytes)))
            .map(|row| row.map(|(key, value)| (Key::from_stored(&key), value.to_vec())));
        let page =
            Page::collect(range, rows, overlaid(range, below, &before)).map_err(io("scanning"));
        self.fatal(page)
    }

    fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        let Batch { expected, writes } = batch.checked()?;
        let flusher = self.writer.lock().map_err(|_| StoreError::Stopped)?;
        self.running()?;
        self.fatal(self.write(&flusher, &expected, writes))
    }
}

/// Shows where it is, not what it holds.
impl fmt::Debug for SledStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SledStore {{ {} }}", self.path.display())
    }
}

impl Drop for SledStore {
    fn drop(&mut self) {
        // After a failure the thread may wait for ever, and sled writes nothing more on its own.
        if !self.stopped.load(Ordering::SeqCst) {
            self.writer
                .get_mut()
                .unwrap_or_else(PoisonError::into_inner)
                .join();
        }
    }
}

/// Flushes sled on a thread of its own, because sled may not come back: when a write fails on its
/// thread pool, the caller of `flush` is not always woken (`exit_reservation` in sled's sources).
#[derive(Debug)]
struct Flusher {
    ask: Option<Sender<()>>,
    answer: Receiver<sled::Result<usize>>,
    thread: Option<JoinHandle<()>>,
}

impl Flusher {
    fn start(db: sled::Db) -> io::Result<Self> {
        let (ask, asked) = mpsc::channel();
        let (reply, answer) = mpsc::channel();
        let thread = thread::Builder::new()
            .name("store-flush".into())
            .spawn(move || {
                for () in asked {
                    if reply.send(db.flush()).is_err() {
                        break;
                    }
                }
            })?;
        Ok(Self {
            ask: Some(ask),
            answer,
            thread: Some(thread),
        })
    }

    fn flush(&self) -> Result<(), StoreError> {
        let ask = self.ask.as_ref().ok_or(StoreError::Stopped)?;
        ask.send(()).map_err(io("starting to flush a commit"))?;
        self.answer
            .recv_timeout(Duration::from_secs(limit::FLUSH_SECONDS))
            .map_err(io("waiting for a commit to be flushed"))?
            .map_err(io("flushing a commit"))?;
        Ok(())
    }

    fn join(&mut self) {
        self.ask = None;
        if let Some(thread) = self.thread.take() {
            // It ends by returning; there is nobody to tell if it panicked.
            let _ = thread.join();
        }
    }
}

fn io<E: std::error::Error + Send + Sync + 'static>(
    doing: &'static str,
) -> impl FnOnce(E) -> StoreError {
    move |source| StoreError::Io {
        doing,
        source: Arc::new(source),
    }
}

/// Keeps other processes out, then waits until sled's lock is free: a store that this process has
/// just closed lets go of it a moment later, on sled's thread pool.
fn lock(path: &Path) -> Result<File, OpenError> {
    let at = |name: &str| {
        let path = path.join(name);
        let opened = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path);
        opened.map_err(|source| OpenError::Io { path, source })
    };
    let ours = at("lock")?;
    match ours.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(OpenError::InUse {
                path: path.to_owned(),
            });
        }
        Err(TryLockError::Error(source)) => {
            return Err(OpenError::Io {
                path: path.join("lock"),
                source,
            });
        }
    }
    let data = at("db")?;
    data.lock()
        .and_then(|()| data.unlock())
        .map_err(|source| OpenError::Io {
            path: path.join("db"),
            source,
        })?;
    Ok(ours)
}

/// sled writes a snapshot when it opens, and would take one that a crash cut short for the latest.
fn remove_torn_snapshots(path: &Path) -> io::Result<()> {
    for file in fs::read_dir(path)? {
        let file = file?;
        let name = file.file_name();
        let name = name.to_string_lossy();
        if name.starts_with("snap.") && name.ends_with(".generating") {
            fs::remove_file(file.path())?;
        }
    }
    Ok(())
}

fn blobs(path: &Path) -> io::Result<usize> {
    match fs::read_dir(path.join("blobs")) {
        Ok(files) => files.map(|file| file.map(|_| 1)).sum(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(error),
    }
}

/// Makes the store's file names durable: sled's configuration, its folder, and that folder's own name.
fn sync_names(path: &Path) -> io::Result<()> {
    File::open(path.join("conf"))?.sync_all()?;
    File::open(path.join("blobs"))?.sync_all()?;
    File::open(path)?.sync_all()?;
    match path.canonicalize()?.parent() {
        Some(parent) => File::open(parent)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
