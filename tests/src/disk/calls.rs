//! From the calls of a trace to changes of files, names and sizes.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::{Data, Named, Naming, Recording, Span};
use crate::trace::{self, Call};

/// A call on the recorded folder whose effect the recording does not know: nothing that was recorded
/// may be relied on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: `{name}` is not understood here")]
pub struct Unknown {
    /// The line of the trace.
    pub line: usize,
    /// The call.
    pub name: String,
}

impl Recording {
    /// Adds what the calls did, in the order of the trace.
    ///
    /// # Errors
    /// [`Unknown`].
    pub fn replay(&mut self, calls: &[Call]) -> Result<(), Unknown> {
        let mut calls: Vec<&Call> = calls.iter().collect();
        // As they took effect: before the call returned.
        calls.sort_by_key(|call| call.end);
        let mut places = HashMap::new();
        for call in calls {
            self.step(call, &mut places).ok_or_else(|| Unknown {
                line: call.start,
                name: call.name.clone(),
            })?;
        }
        Ok(())
    }

    /// One call; nothing if it is not understood. `places` are the descriptors' positions.
    fn step(&mut self, call: &Call, places: &mut HashMap<u64, u64>) -> Option<()> {
        let Some(result) = call.result else {
            return Some(());
        };
        match call.name.as_str() {
            "openat" => self.open(call, result, places),
            "rename" | "renameat" | "renameat2" => self.rename(call),
            "mkdir" | "mkdirat" => self.name(call, |path| Naming::Made(path, Named::Folder)),
            "unlink" | "unlinkat" | "rmdir" => self.name(call, Naming::Gone),
            // Known to change nothing.
            "recvfrom" | "recvmsg" | "sendto" | "sendmsg" => Some(()),
            // Paths that are no descriptors, or two descriptors: nothing here makes them.
            "open" | "creat" | "openat2" | "link" | "linkat" | "symlink" | "symlinkat"
            | "truncate" | "copy_file_range" | "sendfile" | "splice" | "sync" | "syncfs"
            | "io_uring_setup" => None,
            "mmap" => self.map(call),
            _ if self.inside(Path::new(&call.on)).is_none() => Some(()),
            "close" => {
                places.remove(&descriptor(call)?);
                Some(())
            }
            // A copy of a descriptor would share its place.
            "fcntl" => (!call.arguments.contains("F_DUPFD")).then_some(()),
            "lseek" => {
                places.insert(descriptor(call)?, result);
                Some(())
            }
            "write" => {
                let place = places.get_mut(&descriptor(call)?)?;
                let offset = *place;
                *place = offset.saturating_add(result);
                self.write(call, offset, result)
            }
            "pwrite64" => {
                let offset = call.arguments.rsplit_once(", ")?.1.trim();
                self.write(call, offset.parse().ok()?, result)
            }
            "ftruncate" => {
                let size = call.arguments.rsplit_once(", ")?.1.trim();
                self.change(call, Data::Size(size.parse().ok()?))
            }
            "fsync" | "fdatasync" => self.sync(call),
            // Promises nothing: neither the device's cache nor sizes and new blocks.
            "sync_file_range" => Some(()),
            _ => None,
        }
    }

    /// The path, if it is of the recorded folder.
    fn inside(&self, path: &Path) -> Option<PathBuf> {
        path.starts_with(&self.folder).then(|| path.to_owned())
    }

    fn open(&mut self, call: &Call, descriptor: u64, places: &mut HashMap<u64, u64>) -> Option<()> {
        let Some(path) = self.inside(strings(call)?.first()?) else {
            return Some(());
        };
        let has = |flag: &str| call.arguments.contains(flag);
        if has("O_APPEND") {
            return None;
        }
        places.insert(descriptor, 0);
        match self.now.get(&path) {
            None if has("O_CREAT") => {
                let content = self.content(Vec::new());
                self.naming(call, Naming::Made(path, Named::File(content)));
            }
            Some(Named::File(index)) if has("O_TRUNC") => {
                let content = self.contents.get_mut(*index)?;
                content.changes.push((span(call), Data::Size(0)));
            }
            Some(_) => {}
            None if path == self.folder => {}
            None => return None,
        }
        Some(())
    }

    fn rename(&mut self, call: &Call) -> Option<()> {
        let strings = strings(call)?;
        let [from, to] = strings.as_slice() else {
            return None;
        };
        match (self.inside(from), self.inside(to)) {
            (None, None) => {}
            // Within one folder it is one change of that folder.
            (Some(from), Some(to)) if from.parent() == to.parent() => {
                self.naming(call, Naming::Moved(from, to));
            }
            _ => return None,
        }
        Some(())
    }

    fn name(&mut self, call: &Call, made: impl Fn(PathBuf) -> Naming) -> Option<()> {
        let strings = strings(call)?;
        if let Some(path) = self.inside(strings.first()?) {
            self.naming(call, made(path));
        }
        Some(())
    }

    fn naming(&mut self, call: &Call, naming: Naming) {
        naming.apply(&mut self.now);
        self.namings.push((span(call), naming));
    }

    fn map(&self, call: &Call) -> Option<()> {
        let written =
            call.arguments.contains("MAP_SHARED") && call.arguments.contains("PROT_WRITE");
        let mut words = call.arguments.split('<').skip(1);
        let named = |word: &str| trace::hexadecimal(word.split('>').next().unwrap_or_default());
        let ours = words.any(|word| {
            named(word).is_some_and(|path| {
                self.inside(Path::new(&*String::from_utf8_lossy(&path)))
                    .is_some()
            })
        });
        (!(written && ours)).then_some(())
    }

    fn write(&mut self, call: &Call, offset: u64, count: u64) -> Option<()> {
        let (_, quoted) = call.arguments.split_once('"')?;
        let (text, rest) = quoted.split_once('"')?;
        if rest.starts_with("...") {
            return None;
        }
        let mut bytes = trace::hexadecimal(text)?;
        bytes.truncate(usize::try_from(count).ok()?);
        (bytes.len() as u64 == count).then_some(())?;
        self.change(call, Data::Write { offset, bytes })
    }

    fn change(&mut self, call: &Call, data: Data) -> Option<()> {
        let content = self.file(call)?;
        content.changes.push((span(call), data));
        Some(())
    }

    fn sync(&mut self, call: &Call) -> Option<()> {
        let path = PathBuf::from(&call.on);
        if path == self.folder || self.now.get(&path) == Some(&Named::Folder) {
            self.folder_syncs.push((path, span(call)));
        } else {
            self.file(call)?.syncs.push(span(call));
        }
        Some(())
    }

    fn file(&mut self, call: &Call) -> Option<&mut super::Content> {
        match self.now.get(Path::new(&call.on))? {
            Named::Folder => None,
            Named::File(index) => self.contents.get_mut(*index),
        }
    }
}

const fn span(call: &Call) -> Span {
    Span {
        start: call.start,
        end: call.end,
    }
}

fn descriptor(call: &Call) -> Option<u64> {
    call.arguments.split('<').next()?.parse().ok()
}

/// The quoted paths among the arguments; each is absolute, or relative to a folder that is named.
fn strings(call: &Call) -> Option<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut words = call.arguments.split('"');
    while let (Some(before), Some(text)) = (words.next(), words.next()) {
        let path = trace::hexadecimal(text)?;
        let path = PathBuf::from(String::from_utf8(path).ok()?);
        let folder = before.rsplit_once('<').map(|(_, folder)| folder);
        let folder = folder.and_then(|folder| trace::hexadecimal(folder.split('>').next()?));
        let folder = folder.and_then(|folder| String::from_utf8(folder).ok());
        found.push(Path::new(&folder.unwrap_or_default()).join(path));
    }
    Some(found)
}
