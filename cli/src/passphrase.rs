//! Passphrases: from a prompt, a file or a command. Never from an argument, never printed.

use std::fs::File;
use std::io::{IsTerminal as _, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use zeroize::Zeroizing;

use crate::args::Global;
use crate::output::{Failure, note};

/// Characters that a new passphrase has at least.
pub const LEAST_CHARS: usize = 14;
/// Different characters that a new passphrase has at least.
const LEAST_DIFFERENT: usize = 6;
/// Bytes of a passphrase, at most.
const MOST_BYTES: usize = 1024;

/// Where the passphrase of a command comes from: one source for all keys of a home.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Asked at the terminal.
    Prompt,
    /// First line of a file.
    File(PathBuf),
    /// First line that a command prints.
    Command(String),
}

impl Source {
    /// As the options say.
    #[must_use]
    pub fn of(global: &Global) -> Self {
        match (&global.passphrase_file, &global.passphrase_command) {
            (Some(path), _) => Self::File(path.clone()),
            (None, Some(command)) => Self::Command(command.clone()),
            (None, None) => Self::Prompt,
        }
    }

    /// The passphrase of existing keys; `purpose` completes "Passphrase for ..".
    ///
    /// # Errors
    /// No terminal to ask at, a file that others can read, a command that fails.
    pub fn ask(&self, purpose: &str) -> Result<Zeroizing<String>, Failure> {
        match self {
            Self::Prompt => prompt(&format!("Passphrase for {purpose}: ")),
            Self::File(path) => from_file(path),
            Self::Command(command) => from_command(command),
        }
    }

    /// A passphrase for new keys: asked twice at a terminal, and refused when it is weak.
    ///
    /// # Errors
    /// As [`Self::ask`]; too short; typed differently the second time.
    pub fn create(&self, purpose: &str) -> Result<Zeroizing<String>, Failure> {
        if *self == Self::Prompt {
            note(&format!(
                "Choose a passphrase of at least {LEAST_CHARS} characters, such as five random words. \
                 Nobody can restore it."
            ));
        }
        let passphrase = self.ask(purpose)?;
        check_strength(&passphrase)?;
        if *self == Self::Prompt {
            let again = prompt("The same passphrase again: ")?;
            if *again != *passphrase {
                return Err(Failure::invalid("the two passphrases differ")
                    .because("nothing was written")
                    .next("type the command again"));
            }
        }
        Ok(passphrase)
    }
}

fn check_strength(passphrase: &str) -> Result<(), Failure> {
    let mut different: Vec<char> = passphrase.chars().collect();
    let length = different.len();
    different.sort_unstable();
    different.dedup();
    if length >= LEAST_CHARS && different.len() >= LEAST_DIFFERENT {
        return Ok(());
    }
    Err(Failure::invalid("the passphrase is too weak")
        .because(format!(
            "it protects every key of this home if the disk is stolen: at least {LEAST_CHARS} \
             characters, {LEAST_DIFFERENT} of them different"
        ))
        .next("choose five random words, write them down, and keep the paper in a safe"))
}

fn prompt(text: &str) -> Result<Zeroizing<String>, Failure> {
    let typed = rpassword::prompt_password(text).map(Zeroizing::new);
    typed.map_err(|_| {
        Failure::error("there is no terminal to ask for the passphrase")
            .next("add `--passphrase-file FILE` or `--passphrase-command COMMAND`")
    })
}

fn from_file(path: &Path) -> Result<Zeroizing<String>, Failure> {
    let what = || format!("the passphrase file `{}` cannot be read", path.display());
    let file = File::open(path).map_err(|e| Failure::error(what()).caused_by(&e))?;
    let metadata = file
        .metadata()
        .map_err(|e| Failure::error(what()).caused_by(&e))?;
    // A pipe or a terminal has no readers but its own.
    if metadata.is_file() && metadata.permissions().mode() & 0o077 != 0 {
        return Err(Failure::error(format!(
            "the passphrase file `{}` can be read by others on this machine",
            path.display()
        ))
        .next(format!("chmod 600 {}", path.display())));
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(MOST_BYTES + 1));
    let most = u64::try_from(MOST_BYTES).unwrap_or_default() + 1;
    file.take(most)
        .read_to_end(&mut bytes)
        .map_err(|e| Failure::error(what()).caused_by(&e))?;
    first_line(&bytes, "the passphrase file")
}

fn from_command(command: &str) -> Result<Zeroizing<String>, Failure> {
    let output = Command::new("sh")
        .args(["-c", command])
        .stdin(if std::io::stdin().is_terminal() {
            Stdio::inherit()
        } else {
            Stdio::null()
        })
        .stderr(Stdio::inherit())
        .output()
        .map_err(|e| Failure::error("the passphrase command cannot be started").caused_by(&e))?;
    let bytes = Zeroizing::new(output.stdout);
    if !output.status.success() {
        return Err(Failure::error("the passphrase command failed")
            .because(output.status.to_string())
            .next("run the command of `--passphrase-command` by itself and see what it says"));
    }
    first_line(&bytes, "the passphrase command")
}

fn first_line(bytes: &[u8], source: &str) -> Result<Zeroizing<String>, Failure> {
    let line = bytes.split(|b| *b == b'\n').next().unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    match std::str::from_utf8(line) {
        Ok("") => Err(Failure::invalid(format!(
            "{source} gives an empty first line"
        ))),
        Ok(text) if text.len() <= MOST_BYTES => Ok(Zeroizing::new(text.to_owned())),
        _ => Err(Failure::invalid(format!(
            "{source} gives a first line that is not UTF-8 or longer than {MOST_BYTES} bytes"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::output::Status;

    fn file(content: &[u8], mode: u32) -> (tempfile::TempDir, Source) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("passphrase");
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        (folder, Source::File(path))
    }

    #[test]
    fn the_first_line_of_a_file_is_the_passphrase() {
        let (_folder, source) = file(b"five random words in order\r\nand a note\n", 0o600);
        assert_eq!(*source.ask("a test").unwrap(), "five random words in order");
    }

    #[test]
    fn a_file_that_others_can_read_is_refused() {
        for mode in [0o640, 0o604, 0o660] {
            let (_folder, source) = file(b"five random words in order\n", mode);
            let failure = source.ask("a test").unwrap_err();
            assert!(failure.to_string().contains("chmod 600"), "{mode:o}");
        }
    }

    #[test]
    fn a_weak_passphrase_is_refused_with_advice_and_never_repeated() {
        for weak in [
            "short",
            "aaaaaaaaaaaaaaaaaaaaaaaa",
            "1234512345123451234512345",
        ] {
            let (_folder, source) = file(weak.as_bytes(), 0o600);
            let failure = source.create("a test").unwrap_err();
            assert_eq!(failure.status(), Status::Invalid);
            assert!(failure.to_string().contains("five random words"));
            assert!(!failure.to_string().contains(weak));
        }
    }

    #[test]
    fn a_command_that_fails_or_says_nothing_is_refused() {
        assert!(Source::Command("exit 3".into()).ask("a test").is_err());
        assert!(Source::Command("true".into()).ask("a test").is_err());
        let said = Source::Command("echo a secret that is long".into())
            .ask("a test")
            .unwrap();
        assert_eq!(*said, "a secret that is long");
    }
}
