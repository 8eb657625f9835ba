//! The keys of sealed bodies, and the only place where a body can be destroyed (DESIGN 7).
//!
//! Bodies rest in the store, each under an AES-256-GCM key of its own; the keys rest here, in a file
//! of fixed slots that is overwritten in place, outside the store and outside ordinary backups. To
//! erase a body is to overwrite its key, because a log-structured store never really deletes.
//!
//! INVARIANT (a key before its body): [`Vault::sync`] returns before the commit that stores the body,
//! so a stored body always has its key. What a crash leaves the other way round, a key without a
//! body, is swept at start.

mod medium;
mod slot;

use std::fmt;
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use waypost_proto::id::{AgencyId, MessageId};
use zeroize::Zeroizing;

pub use self::medium::Overwriting;
pub use self::slot::Slot;
use self::slot::{HEADER, HEADER_BYTES, KEY_BYTES, SLOT_BYTES, TICKET_BYTES, slot_bytes};
use crate::limit;

/// Why the vault did not do what it was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum VaultError {
    /// Another process has it open.
    #[error("the vault `{}` is in use by another process: stop that node, or give this one another data folder", path.display())]
    InUse {
        /// The vault's file.
        path: PathBuf,
    },
    /// It is a file of another kind or version.
    #[error("`{}` is not a vault that this version reads: restore it, or install the version that wrote it", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// The body was erased, or its key never became durable.
    #[error("the key of this body is gone: it was erased")]
    Erased,
    /// The slot or the ciphertext is damaged, or belongs to another message.
    #[error("this body does not open with the key in the vault: one of them is damaged")]
    Damaged,
    /// Every slot that the file may have is taken.
    #[error("the vault is full: {slots} bodies are kept; erase what is past its retention")]
    Full {
        /// How many.
        slots: u32,
    },
    /// Encryption, or the random source, failed.
    #[error("a body could not be sealed")]
    Crypto,
    /// The disk. Fatal, as in the store: INVARIANT (the first failure is the last).
    #[error("the vault failed while it was {doing}")]
    Io {
        /// What it was doing.
        doing: &'static str,
        /// What went wrong.
        #[source]
        source: Arc<io::Error>,
    },
    /// An earlier call failed.
    #[error("the vault stopped after an earlier failure; restart the node")]
    Stopped,
}

impl VaultError {
    /// Whether the node must stop.
    #[must_use]
    pub const fn is_fatal(&self) -> bool {
        matches!(self, Self::Io { .. } | Self::Stopped)
    }
}

/// A body under its key, ready to be stored.
pub struct Sealed {
    /// Where the key is. It is durable only after [`Vault::sync`].
    pub slot: Slot,
    /// The ciphertext, in values that the store takes.
    pub chunks: Vec<Vec<u8>>,
}

/// Shows its size, not its bytes.
impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealed {{ {} chunks }}", self.chunks.len())
    }
}

/// What a sweep found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    /// Keys without a body: a crash before a commit, or before an erasure. They are destroyed now.
    pub orphans: usize,
    /// Bodies without a key. Not 0 means that the vault and the store do not belong together.
    pub missing: usize,
}

/// The file of slots. One process at a time has it open.
#[derive(Debug)]
pub struct Vault {
    path: PathBuf,
    file: File,
    state: Mutex<State>,
    /// Held through a sync: a second caller returns after the first one's keys are durable too.
    syncing: Mutex<()>,
    /// Syncs that still succeed.
    #[cfg(test)]
    syncs_left: std::sync::atomic::AtomicUsize,
}

#[derive(Debug, Default)]
struct State {
    /// By index: whether anything but zeros is there.
    taken: Vec<bool>,
    free: Vec<u32>,
    unsynced: bool,
    stopped: bool,
}

impl State {
    fn running(guard: MutexGuard<'_, Self>) -> Result<MutexGuard<'_, Self>, VaultError> {
        if guard.stopped {
            Err(VaultError::Stopped)
        } else {
            Ok(guard)
        }
    }
}

impl Vault {
    /// Opens the vault in the file `path`, or makes one there, readable by its owner only.
    ///
    /// # Errors
    /// [`VaultError::InUse`], [`VaultError::Foreign`] or [`VaultError::Io`].
    pub fn open(path: &Path) -> Result<Self, VaultError> {
        let mut options = OpenOptions::new();
        options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600);
        let file = options.open(path).map_err(io("opening its file"))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(VaultError::InUse {
                    path: path.to_owned(),
                });
            }
            Err(TryLockError::Error(source)) => return Err(io("locking its file")(source)),
        }
        let bytes = file.metadata().map_err(io("measuring its file"))?.len();
        if bytes < HEADER_BYTES as u64 {
            // New, or a crash while it was made: no slot was used.
            file.write_all_at(HEADER, 0)
                .map_err(io("writing its header"))?;
            file.sync_all().map_err(io("syncing its header"))?;
        } else {
            let mut found = [0; HEADER_BYTES];
            file.read_exact_at(&mut found, 0)
                .map_err(io("reading its header"))?;
            if found != *HEADER {
                return Err(VaultError::Foreign {
                    path: path.to_owned(),
                });
            }
        }
        sync_folder(path).map_err(io("syncing its folder"))?;
        let state = Mutex::new(read_slots(&file).map_err(io("reading its slots"))?);
        Ok(Self {
            path: path.to_owned(),
            file,
            state,
            syncing: Mutex::default(),
            #[cfg(test)]
            syncs_left: usize::MAX.into(),
        })
    }

    /// Encrypts `body`, in place, under a new key, and writes the key to a free slot.
    ///
    /// # Errors
    /// [`VaultError::Full`], [`VaultError::Crypto`], [`VaultError::Io`] or [`VaultError::Stopped`].
    pub fn put(
        &self,
        agency: &AgencyId,
        message: MessageId,
        mut body: Vec<u8>,
    ) -> Result<Sealed, VaultError> {
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        let mut ticket = [0; TICKET_BYTES];
        aws_lc_rs::rand::fill(&mut *key).map_err(|_| VaultError::Crypto)?;
        aws_lc_rs::rand::fill(&mut ticket).map_err(|_| VaultError::Crypto)?;
        cipher(&key)?
            .seal_in_place_append_tag(nonce(), Aad::from(aad(agency, message)), &mut body)
            .map_err(|_| VaultError::Crypto)?;

        let mut state = self.running()?;
        let slot = Slot {
            index: self.allocate(&mut state)?,
            ticket,
        };
        let written = self
            .file
            .write_all_at(&*slot_bytes(slot, &key), slot.offset());
        Self::fatal(&mut state, written, "writing a key")?;
        state.unsynced = true;
        drop(state);

        let chunks = if body.len() <= limit::VALUE_BYTES {
            vec![body]
        } else {
            body.chunks(limit::VALUE_BYTES)
                .map(<[u8]>::to_vec)
                .collect()
        };
        Ok(Sealed { slot, chunks })
    }

    /// Makes every key that was put durable. Called once a commit, before it.
    ///
    /// # Errors
    /// [`VaultError::Io`] or [`VaultError::Stopped`].
    pub fn sync(&self) -> Result<(), VaultError> {
        let _syncing = self.syncing.lock().map_err(|_| VaultError::Stopped)?;
        let mut state = self.running()?;
        if !std::mem::take(&mut state.unsynced) {
            return Ok(());
        }
        // Bodies may be opened meanwhile.
        drop(state);
        let synced = self.sync_file();
        Self::fatal(&mut *self.running()?, synced, "syncing keys")
    }

    /// Decrypts a body from its chunks.
    ///
    /// # Errors
    /// [`VaultError::Erased`], [`VaultError::Damaged`], [`VaultError::Io`] or [`VaultError::Stopped`].
    pub fn open_body(
        &self,
        agency: &AgencyId,
        message: MessageId,
        slot: Slot,
        mut sealed: Vec<u8>,
    ) -> Result<Vec<u8>, VaultError> {
        let key = {
            let mut state = self.running()?;
            self.key(&mut state, slot)?
        };
        let length = cipher(&key)?
            .open_in_place(nonce(), Aad::from(aad(agency, message)), &mut sealed)
            .map_err(|_| VaultError::Damaged)?
            .len();
        sealed.truncate(length);
        Ok(sealed)
    }

    /// Destroys the keys in `slots`, for good when it returns. Slots that were erased before are
    /// passed over.
    ///
    /// # Errors
    /// [`VaultError::Io`] or [`VaultError::Stopped`].
    pub fn erase(&self, slots: &[Slot]) -> Result<(), VaultError> {
        if slots.is_empty() {
            return Ok(());
        }
        self.discard(slots)?;
        self.sync()
    }

    /// Overwrites the keys in `slots`, of bodies that were never stored, without waiting for the disk.
    ///
    /// # Errors
    /// [`VaultError::Io`] or [`VaultError::Stopped`].
    pub fn discard(&self, slots: &[Slot]) -> Result<(), VaultError> {
        let mut state = self.running()?;
        for slot in slots {
            match self.key(&mut state, *slot) {
                Ok(_) => self.overwrite(&mut state, slot.index)?,
                Err(VaultError::Erased | VaultError::Damaged) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Destroys every key that is not one of `live`, for good when it returns. Called once, at start,
    /// before anything is put. Takes the slots as they come and keeps a byte of each.
    ///
    /// # Errors
    /// [`VaultError::Io`] or [`VaultError::Stopped`], or the first error of `live`: then nothing was
    /// destroyed.
    pub fn sweep<E: From<VaultError>>(
        &self,
        live: impl Iterator<Item = Result<Slot, E>>,
    ) -> Result<Swept, E> {
        let mut swept = Swept::default();
        let mut state = self.running()?;
        let mut orphaned = state.taken.clone();
        for slot in live {
            let slot = slot?;
            match self.key(&mut state, slot) {
                Ok(_) => {
                    if let Some(orphaned) = orphaned.get_mut(slot.index as usize) {
                        *orphaned = false;
                    }
                }
                Err(VaultError::Erased | VaultError::Damaged) => {
                    swept.missing = swept.missing.saturating_add(1);
                }
                Err(error) => return Err(error.into()),
            }
        }
        let orphans = orphaned.iter().zip(0_u32..);
        let orphans = orphans.filter_map(|(orphaned, index)| orphaned.then_some(index));
        let orphans: Vec<u32> = orphans.collect();
        swept.orphans = orphans.len();
        for index in orphans {
            self.overwrite(&mut state, index)?;
        }
        drop(state);
        self.sync()?;
        Ok(swept)
    }

    /// Whether overwriting a slot destroys what stood there, as far as the file system and the device
    /// tell: for `doctor`.
    #[must_use]
    pub fn overwriting(&self) -> Overwriting {
        Overwriting::of(&self.path)
    }

    fn sync_file(&self) -> io::Result<()> {
        #[cfg(test)]
        {
            use std::sync::atomic::Ordering::SeqCst;
            let left = |left: usize| left.checked_sub(1);
            self.syncs_left
                .fetch_update(SeqCst, SeqCst, left)
                .map_err(|_| io::Error::other("injected"))?;
        }
        self.file.sync_data()
    }

    /// Lets every sync after `more` further ones fail.
    #[cfg(test)]
    pub(crate) fn fail_syncs_after(&self, more: usize) {
        self.syncs_left
            .store(more, std::sync::atomic::Ordering::SeqCst);
    }

    fn running(&self) -> Result<MutexGuard<'_, State>, VaultError> {
        // No panic leaves the state half changed: a slot is taken before it is written.
        State::running(self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn fatal<T>(
        state: &mut State,
        result: io::Result<T>,
        doing: &'static str,
    ) -> Result<T, VaultError> {
        state.stopped |= result.is_err();
        result.map_err(io(doing))
    }

    /// A free slot, which counts as taken from now on.
    fn allocate(&self, state: &mut State) -> Result<u32, VaultError> {
        if state.free.is_empty() {
            let slots = u32::try_from(state.taken.len()).unwrap_or(u32::MAX);
            let grown = slots.saturating_add(limit::VAULT_GROWTH_SLOTS);
            if grown > limit::VAULT_SLOTS {
                return Err(VaultError::Full { slots });
            }
            // The file's size is made durable with the first key, by sync.
            let end = Slot {
                index: grown,
                ticket: [0; TICKET_BYTES],
            }
            .offset();
            Self::fatal(state, self.file.set_len(end), "growing its file")?;
            state.taken.resize(grown as usize, false);
            state.free.extend((slots..grown).rev());
        }
        let index = state.free.pop().ok_or(VaultError::Full { slots: 0 })?;
        if let Some(taken) = state.taken.get_mut(index as usize) {
            *taken = true;
        }
        Ok(index)
    }

    /// The key in `slot`, if it is there for this ticket.
    fn key(&self, state: &mut State, slot: Slot) -> Result<Zeroizing<[u8; KEY_BYTES]>, VaultError> {
        if !state
            .taken
            .get(slot.index as usize)
            .copied()
            .unwrap_or(false)
        {
            return Err(VaultError::Erased);
        }
        let mut found = Zeroizing::new([0; SLOT_BYTES]);
        let read = self.file.read_exact_at(&mut *found, slot.offset());
        Self::fatal(state, read, "reading a key")?;
        let (ticket, rest) = found.split_at(TICKET_BYTES);
        let (key, _) = rest.split_at(KEY_BYTES);
        let mut kept = Zeroizing::new([0; KEY_BYTES]);
        kept.copy_from_slice(key);
        let whole = ticket.try_into().is_ok_and(|ticket| {
            *found
                == *slot_bytes(
                    Slot {
                        index: slot.index,
                        ticket,
                    },
                    &kept,
                )
        });
        match (whole, ticket == slot.ticket) {
            (true, true) => Ok(kept),
            // The slot serves another body now.
            (true, false) => Err(VaultError::Erased),
            (false, _) => Err(VaultError::Damaged),
        }
    }

    fn overwrite(&self, state: &mut State, index: u32) -> Result<(), VaultError> {
        let slot = Slot {
            index,
            ticket: [0; TICKET_BYTES],
        };
        let written = self.file.write_all_at(&[0; SLOT_BYTES], slot.offset());
        Self::fatal(state, written, "erasing a key")?;
        state.unsynced = true;
        if let Some(taken) = state.taken.get_mut(index as usize) {
            *taken = false;
            state.free.push(index);
        }
        Ok(())
    }
}

fn io(doing: &'static str) -> impl FnOnce(io::Error) -> VaultError {
    move |source| VaultError::Io {
        doing,
        source: Arc::new(source),
    }
}

/// INVARIANT (one body a key): a key encrypts once, so its nonce can be constant.
fn nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; 12])
}

fn cipher(key: &[u8; KEY_BYTES]) -> Result<LessSafeKey, VaultError> {
    UnboundKey::new(&AES_256_GCM, key)
        .map(LessSafeKey::new)
        .map_err(|_| VaultError::Crypto)
}

fn aad(agency: &AgencyId, message: MessageId) -> Vec<u8> {
    [
        b"waypost/v1 vault\n",
        agency.as_str().as_bytes(),
        &[0],
        message.as_bytes(),
    ]
    .concat()
}

/// Which slots hold anything. A last slot that is cut short was never synced: it is free.
fn read_slots(file: &File) -> io::Result<State> {
    let slots = file.metadata()?.len().saturating_sub(HEADER_BYTES as u64) / SLOT_BYTES as u64;
    let slots = u32::try_from(slots)
        .unwrap_or(limit::VAULT_SLOTS)
        .min(limit::VAULT_SLOTS);
    let mut state = State {
        taken: Vec::with_capacity(slots as usize),
        ..State::default()
    };
    let mut page = Zeroizing::new([0; HEADER_BYTES]);
    let mut offset = HEADER_BYTES as u64;
    let mut left = slots as usize;
    while left > 0 {
        let count = left.min(HEADER_BYTES / SLOT_BYTES);
        let (found, _) = page.split_at_mut(count.saturating_mul(SLOT_BYTES));
        file.read_exact_at(found, offset)?;
        state.taken.extend(
            found
                .chunks(SLOT_BYTES)
                .map(|slot| slot.iter().any(|byte| *byte != 0)),
        );
        offset = offset.saturating_add(found.len() as u64);
        left = left.saturating_sub(count);
    }
    // The lowest index is popped first.
    state.free = (0..slots)
        .rev()
        .filter(|index| state.taken.get(*index as usize) == Some(&false))
        .collect();
    Ok(state)
}

fn sync_folder(path: &Path) -> io::Result<()> {
    match path.canonicalize()?.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
