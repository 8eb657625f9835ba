//! Files of the data folder: written whole or not at all, secrets for their owner only.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;
use zeroize::Zeroizing;

/// What can go wrong with a file.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The operating system refuses.
    #[error("cannot {action} `{}`", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// With which file or folder.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Larger than its kind may be.
    #[error("`{}` is larger than {limit} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The limit in bytes.
        limit: usize,
    },
    /// A secret that others on this machine could read.
    #[error("`{}` can be read by others (mode {mode:03o}): run `chmod 600` on it, and consider its key as known", path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
}

fn failed<'a>(action: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> FileError + 'a {
    move |source| FileError::Io {
        action,
        path: path.to_owned(),
        source,
    }
}

/// Makes a folder and those above it, for their owner only. One that exists is left as it is.
///
/// # Errors
/// [`FileError::Io`].
pub fn create_folder(path: &Path) -> Result<(), FileError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(failed("create the folder", path))
}

/// Writes a secret that must not exist yet: mode 600 from the start, durable when it returns.
///
/// # Errors
/// [`FileError::Io`], with [`io::ErrorKind::AlreadyExists`] if there is one.
pub fn create_secret(path: &Path, content: &[u8]) -> Result<(), FileError> {
    // Temporary files are made with mode 600.
    let file = temporary(path, content)?;
    file.persist_noclobber(path)
        .map_err(|error| failed("create", path)(error.error))?;
    sync_folder_of(path)
}

/// Writes a public file, in place of the one before; durable when it returns.
///
/// # Errors
/// [`FileError::Io`].
pub fn write_public(path: &Path, content: &[u8]) -> Result<(), FileError> {
    let file = temporary(path, content)?;
    file.as_file()
        .set_permissions(fs::Permissions::from_mode(0o644))
        .map_err(failed("set the permissions of", path))?;
    file.persist(path)
        .map_err(|error| failed("write", path)(error.error))?;
    sync_folder_of(path)
}

/// Reads a secret, and refuses one that others can read.
///
/// # Errors
/// [`FileError`].
pub fn read_secret(path: &Path, limit: usize) -> Result<Zeroizing<Vec<u8>>, FileError> {
    let file = File::open(path).map_err(failed("open", path))?;
    // Asked of the open file: the name may come to mean another one.
    let mode = file
        .metadata()
        .map_err(failed("examine", path))?
        .permissions()
        .mode()
        & 0o777;
    if mode & 0o077 != 0 {
        return Err(FileError::Exposed {
            path: path.to_owned(),
            mode,
        });
    }
    // Room for all of it at once, so that growing leaves no copies behind.
    let mut content = Zeroizing::new(Vec::with_capacity(limit.saturating_add(1)));
    read_into(file, path, limit, &mut content)?;
    Ok(content)
}

/// Reads a public file.
///
/// # Errors
/// [`FileError::Io`], [`FileError::TooLarge`].
pub fn read_public(path: &Path, limit: usize) -> Result<Vec<u8>, FileError> {
    let file = File::open(path).map_err(failed("open", path))?;
    let mut content = Vec::new();
    read_into(file, path, limit, &mut content)?;
    Ok(content)
}

fn read_into(
    file: File,
    path: &Path,
    limit: usize,
    content: &mut Vec<u8>,
) -> Result<(), FileError> {
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    file.take(most)
        .read_to_end(content)
        .map_err(failed("read", path))?;
    if content.len() > limit {
        return Err(FileError::TooLarge {
            path: path.to_owned(),
            limit,
        });
    }
    Ok(())
}

fn temporary(path: &Path, content: &[u8]) -> Result<NamedTempFile, FileError> {
    let mut file =
        NamedTempFile::new_in(folder_of(path)).map_err(failed("create a file beside", path))?;
    file.write_all(content)
        .and_then(|()| file.as_file().sync_all())
        .map_err(failed("write", path))?;
    Ok(file)
}

fn sync_folder_of(path: &Path) -> Result<(), FileError> {
    let folder = folder_of(path);
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(failed("sync the folder", folder))
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Files of a folder and of its folders, by name relative to it, sorted: at most `limit` bytes in all.
///
/// # Errors
/// [`FileError`].
pub fn read_folder(path: &Path, limit: usize) -> Result<Vec<(String, Vec<u8>)>, FileError> {
    let mut files = Vec::new();
    let mut left = limit;
    let mut folders = vec![path.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).map_err(failed("read the folder", &folder))? {
            let found = entry.map_err(failed("read the folder", &folder))?.path();
            if found.is_dir() {
                folders.push(found);
                continue;
            }
            let content = read_public(&found, left)?;
            left = left.saturating_sub(content.len());
            let name = found
                .strip_prefix(path)
                .unwrap_or(&found)
                .to_string_lossy()
                .into_owned();
            files.push((name, content));
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_for_its_owner_only_and_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        create_secret(&path, b"first").unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600);
        let FileError::Io { source, .. } = create_secret(&path, b"second").unwrap_err() else {
            panic!("another error");
        };
        assert_eq!(source.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(read_secret(&path, 10).unwrap().as_slice(), b"first");
        assert_eq!(
            fs::read_dir(folder.path()).unwrap().count(),
            1,
            "a temporary file was left"
        );
    }

    #[test]
    fn a_secret_that_others_can_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        create_secret(&path, b"secret").unwrap();
        for mode in [0o640, 0o604, 0o660, 0o644] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            assert!(
                matches!(read_secret(&path, 10), Err(FileError::Exposed { .. })),
                "{mode:o}"
            );
        }
    }

    #[test]
    fn a_file_above_its_limit_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("record");
        write_public(&path, b"12345").unwrap();
        assert_eq!(read_public(&path, 5).unwrap(), b"12345");
        assert!(matches!(
            read_public(&path, 4),
            Err(FileError::TooLarge { limit: 4, .. })
        ));
    }
}
