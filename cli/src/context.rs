//! What every command works with: the home, the clock, and the keys that the passphrase unlocks.

use std::io::{self, BufRead as _, IsTerminal as _};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use waypost_proto::directories::Directories;
use waypost_proto::directory_file::VerifiedDirectory;
use waypost_proto::id::{Country, DeskName, Fingerprint, Timestamp};
use waypost_proto::openpgp::{Certificate, DeskKey, KeyError, Passphrase, SecretKey};
use zeroize::Zeroizing;

use crate::clock::Clock;
use crate::home::{Home, HomeFile, Seen};
use crate::output::{self, Failure};
use crate::passphrase::Source;

/// What mends an installed directory.
const INSTALL: &str =
    "get the current file from the scheme operator, then: waypost directory install FILE";

/// What an agency of another country needs.
pub(crate) fn no_directory_of(country: &Country) -> Failure {
    Failure::error(format!("no directory of `{country}` is installed in this home"))
        .because("without it no agency of that country can be trusted")
        .next("get it from that country's scheme operator, then: waypost directory install FILE --pin FINGERPRINT")
}

/// What every command works with.
#[derive(Debug)]
pub struct Context {
    /// The home of this command.
    pub home: Home,
    clock: Clock,
    source: Source,
    /// Asked for once, since one passphrase locks every key of a home.
    passphrase: OnceLock<Zeroizing<String>>,
}

impl Context {
    /// Of a home, a clock, and a source of its passphrase.
    #[must_use]
    pub const fn new(home: Home, clock: Clock, source: Source) -> Self {
        Self {
            home,
            clock,
            source,
            passphrase: OnceLock::new(),
        }
    }

    /// The same command's context for another home with the same passphrase source.
    #[must_use]
    pub fn with_home(&self, home: Home) -> Self {
        Self::new(home, self.clock, self.source.clone())
    }

    /// The same context with the passphrase in a file.
    #[must_use]
    pub(crate) fn with_passphrase_file(self, file: PathBuf) -> Self {
        Self::new(self.home, self.clock, Source::File(file))
    }

    /// The time now.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Says what is going on, on standard error.
    pub fn note(&self, text: &str) {
        output::note(text);
    }

    /// The passphrase of new keys.
    ///
    /// # Errors
    /// No source to ask, or too weak.
    pub fn new_passphrase(&self, purpose: &str) -> Result<Passphrase, Failure> {
        let text = match self.passphrase.get() {
            Some(text) => text.clone(),
            None => self.source.create(purpose)?,
        };
        Ok(Passphrase::new(
            self.passphrase.get_or_init(|| text).clone(),
        ))
    }

    fn unlock(&self, file: &HomeFile, purpose: &str) -> Result<SecretKey, Failure> {
        let locked = self.home.read(file)?;
        let text = match self.passphrase.get() {
            Some(text) => text.clone(),
            None => self.source.ask(purpose)?,
        };
        let key = SecretKey::unlock(&locked, &Passphrase::new(text.clone())).map_err(|error| {
            let failure =
                Failure::error(format!("the key of {purpose} stays locked")).caused_by(&error);
            match error {
                KeyError::Passphrase => failure.next("type the command again"),
                _ => failure.next("restore the key file from a backup"),
            }
        })?;
        self.passphrase.get_or_init(|| text);
        Ok(key)
    }

    /// The officer's secret key.
    ///
    /// # Errors
    /// Not in this home, or it stays locked.
    pub fn officer_key(&self) -> Result<SecretKey, Failure> {
        self.unlock(&HomeFile::OfficerKey, "the officer")
    }

    /// The agency's secret key. Administrators only.
    ///
    /// # Errors
    /// Not in this home, or it stays locked.
    pub fn agency_key(&self) -> Result<SecretKey, Failure> {
        self.unlock(&HomeFile::AgencyKey, "the agency")
    }

    /// The scheme operator's secret key.
    ///
    /// # Errors
    /// Not in this home, or it stays locked.
    pub fn operator_key(&self) -> Result<SecretKey, Failure> {
        self.unlock(&HomeFile::OperatorKey, "the scheme operator")
    }

    /// A desk's secret key with its primary. Administrators only.
    ///
    /// # Errors
    /// Not in this home, or it stays locked.
    pub fn desk_secret(&self, desk: &DeskName) -> Result<SecretKey, Failure> {
        let file = HomeFile::DeskKey(desk.clone());
        self.unlock(&file, &format!("the desk `{desk}`"))
    }

    /// One of a desk's encryption subkeys, as the administrator handed it over to `officer`.
    ///
    /// # Errors
    /// Not in this home, or not handed over to this officer by this agency.
    pub fn desk_key(
        &self,
        desk: &DeskName,
        key: &Fingerprint,
        officer: &SecretKey,
    ) -> Result<DeskKey, Failure> {
        let file = HomeFile::DeskSealed(desk.clone(), *key);
        let sealed = self.home.read(&file)?;
        let agency = self.certificate(&HomeFile::AgencyCertificate)?;
        let unusable = || {
            Failure::error(format!("the key of the desk `{desk}` is not usable"))
                .next("ask the administrator for your admission again (`waypost officer admit`), then: waypost officer join FILE")
        };
        let accepted = DeskKey::accept(&sealed, officer, &agency, self.now())
            .map_err(|error| unusable().caused_by(&error))?;
        if accepted.fingerprint() == *key {
            Ok(accepted)
        } else {
            Err(unusable().because("the file holds another key than its name says"))
        }
    }

    /// A certificate of the home.
    ///
    /// # Errors
    /// Not in this home, or not one that is accepted.
    pub fn certificate(&self, file: &HomeFile) -> Result<Certificate, Failure> {
        let bytes = self.home.read(file)?;
        Certificate::parse(&bytes).map_err(|error| {
            Failure::error(format!(
                "`{}` is not an accepted certificate",
                file.path().display()
            ))
            .caused_by(&error)
            .next("restore the file from a backup")
        })
    }

    /// The installed directories, each verified under the operator that is pinned for its country and
    /// not older than one seen. Whether one is expired is for the caller.
    ///
    /// # Errors
    /// None is installed, or one does not verify.
    pub fn directory(&self) -> Result<Directories, Failure> {
        let countries: Vec<_> = self.home.agency()?.operators.into_keys().collect();
        if countries.is_empty() {
            return Err(Failure::error("no directory is installed in this home")
                .because("without it no other agency and no node can be trusted")
                .next("waypost directory install FILE --pin FINGERPRINT"));
        }
        self.directories_of(&countries)
    }

    /// The installed directories of some countries.
    pub(crate) fn directories_of(&self, countries: &[Country]) -> Result<Directories, Failure> {
        let mut all = Directories::default();
        for country in countries {
            let directory = Arc::new(self.directory_of(country)?);
            all = all.with(country, directory).map_err(|e| {
                Failure::error(format!(
                    "the installed directory of `{country}` does not hold"
                ))
                .caused_by(&e)
                .next(INSTALL)
            })?;
        }
        Ok(all)
    }

    /// The installed directory of one country.
    pub(crate) fn directory_of(&self, country: &Country) -> Result<VerifiedDirectory, Failure> {
        let pins = self.home.agency()?.operators;
        let pin = pins.get(country).ok_or_else(|| no_directory_of(country))?;
        let bytes = self.home.read(&HomeFile::Directory(country.clone()))?;
        let directory = VerifiedDirectory::verify(&bytes, pin, self.now()).map_err(|e| {
            Failure::error(format!(
                "the installed directory of `{country}` does not verify"
            ))
            .caused_by(&e)
            .next(INSTALL)
        })?;
        if let Some(Seen { version, digest }) = self.home.state()?.directories.get(country) {
            directory
                .head()
                .check_not_older(*version, *digest)
                .map_err(|e| {
                    Failure::error(format!(
                        "the installed directory of `{country}` is not the one last seen"
                    ))
                    .caused_by(&e)
                    .next(INSTALL)
                })?;
        }
        Ok(directory)
    }

    /// Asks at the terminal; `option` is what scripts give instead.
    ///
    /// # Errors
    /// No terminal, or one that cannot be read.
    pub fn ask(&self, question: &str, option: &str) -> Result<String, Failure> {
        if !io::stdin().is_terminal() {
            return Err(Failure::error(
                "this must be answered, and there is no terminal to ask at",
            )
            .because("nothing was done")
            .next(format!("add `{option}`")));
        }
        self.note(question);
        let mut answer = String::new();
        io::stdin()
            .lock()
            .read_line(&mut answer)
            .map_err(|e| Failure::error("the terminal cannot be read").caused_by(&e))?;
        Ok(answer.trim().to_owned())
    }

    /// Asks at the terminal for `word`; `option` is what scripts give instead.
    ///
    /// # Errors
    /// Another answer, or no terminal.
    pub fn confirm(&self, question: &str, word: &str, option: &str) -> Result<(), Failure> {
        let answer = self.ask(&format!("{question}\nType `{word}` to go on:"), option)?;
        if answer == word {
            return Ok(());
        }
        Err(Failure::error("not confirmed")
            .because("nothing was done")
            .next(format!("type the command again and answer `{word}`")))
    }
}
