//! The home: the folder of an officer, an administrator or a scheme operator.
//!
//! INVARIANT (own eyes only): folders have mode 700 and files mode 600; a home that others can look
//! into is refused, and so is a secret that others can read. Files are written whole or not at all.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use waypost_proto::id::{AgencyId, Country, DeskName, Fingerprint, NodeId};
use waypost_proto::limit;
use zeroize::Zeroizing;

use crate::environment;
use crate::output::Failure;

pub use settings::{AgencySettings, OperatorSettings, Settings};
pub use state::{LogMirror, Seen, State};

mod settings;
mod state;

/// Bytes of a locked secret key, a settings file, a state file.
const SMALL_BYTES: usize = 4 * 1024 * 1024;
/// Bytes of a directory file.
const DIRECTORY_BYTES: usize = 1 << 30;

/// A file of a home.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HomeFile {
    /// `home.toml`: what the home is.
    Settings,
    /// `state.json`: what was last seen.
    State,
    /// `directory-<country>.pb`: the installed directory of a country.
    Directory(Country),
    /// `node.toml`: the configuration proposed for the agency's node.
    NodeConfig,
    /// `admin/agency.key`: the agency's secret key, locked.
    AgencyKey,
    /// `admin/desk-<name>.key`: a desk's secret key with its primary, locked.
    DeskKey(DeskName),
    /// `officer/officer.key`: the officer's secret key, locked.
    OfficerKey,
    /// `officer/desk-<name>-<subkey>.sealed`: a desk's subkey secret, handed over to this officer.
    /// Those of former subkeys stay, for what was sealed to them.
    DeskSealed(DeskName, Fingerprint),
    /// `public/officer-request.pb`: what this officer asks of the agency's administrator.
    OfficerRequest,
    /// `admissions/<officer>.pb`: what the administrator sends to one officer.
    Admission(Fingerprint),
    /// `public/agency.pgp`.
    AgencyCertificate,
    /// `public/desk-<name>.pgp`.
    DeskCertificate(DeskName),
    /// `public/officer.pgp`.
    OfficerCertificate,
    /// `public/roster.pb`: an encoded `Signed` roster.
    Roster,
    /// `public/registration.pb`: what the agency hands to its operator and its host.
    Registration,
    /// `operator/operator.key`: the operator's secret key, locked.
    OperatorKey,
    /// `operator/operator.pgp`.
    OperatorCertificate,
    /// `operator/directory.pb`: the directory as last signed.
    OperatorDirectory,
    /// `operator/records/agency-<id>.pb`: one agency's registration, as added.
    OperatorAgency(AgencyId),
    /// `operator/records/node-<id>.pb`: one node's record, as added.
    OperatorNode(NodeId),
}

/// Folder of an operator's records, below its home.
pub const RECORDS: &str = "operator/records";

impl HomeFile {
    /// Its path below the home.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        match self {
            Self::Settings => "home.toml".into(),
            Self::State => "state.json".into(),
            Self::Directory(country) => format!("directory-{country}.pb").into(),
            Self::NodeConfig => "node.toml".into(),
            Self::AgencyKey => "admin/agency.key".into(),
            Self::DeskKey(desk) => format!("admin/desk-{desk}.key").into(),
            Self::OfficerKey => "officer/officer.key".into(),
            Self::DeskSealed(desk, key) => format!("officer/desk-{desk}-{key}.sealed").into(),
            Self::OfficerRequest => "public/officer-request.pb".into(),
            Self::Admission(officer) => format!("admissions/{officer}.pb").into(),
            Self::AgencyCertificate => "public/agency.pgp".into(),
            Self::DeskCertificate(desk) => format!("public/desk-{desk}.pgp").into(),
            Self::OfficerCertificate => "public/officer.pgp".into(),
            Self::Roster => "public/roster.pb".into(),
            Self::Registration => "public/registration.pb".into(),
            Self::OperatorKey => "operator/operator.key".into(),
            Self::OperatorCertificate => "operator/operator.pgp".into(),
            Self::OperatorDirectory => "operator/directory.pb".into(),
            Self::OperatorAgency(id) => format!("{RECORDS}/agency-{id}.pb").into(),
            Self::OperatorNode(id) => format!("{RECORDS}/node-{id}.pb").into(),
        }
    }

    /// Bytes that it may have.
    const fn limit(&self) -> usize {
        match self {
            Self::Directory(_) | Self::OperatorDirectory => DIRECTORY_BYTES,
            Self::Roster => limit::ROSTER_BYTES,
            Self::AgencyCertificate
            | Self::DeskCertificate(_)
            | Self::OfficerCertificate
            | Self::OperatorCertificate => limit::CERTIFICATE_BYTES,
            _ => SMALL_BYTES,
        }
    }

    /// What it is, for people.
    const fn noun(&self) -> &'static str {
        match self {
            Self::Settings => "the settings of the home",
            Self::State => "the state of the home",
            Self::Directory(_) | Self::OperatorDirectory => "the directory",
            Self::NodeConfig => "the node's configuration",
            Self::AgencyKey => "the agency's secret key",
            Self::DeskKey(_) => "the desk's secret key",
            Self::OfficerKey => "the officer's secret key",
            Self::DeskSealed(..) => "the desk's key",
            Self::OfficerRequest => "the officer's request",
            Self::Admission(_) => "the officer's admission",
            Self::AgencyCertificate => "the agency's certificate",
            Self::DeskCertificate(_) => "the desk's certificate",
            Self::OfficerCertificate => "the officer's certificate",
            Self::Roster => "the roster",
            Self::Registration => "the registration",
            Self::OperatorKey => "the operator's secret key",
            Self::OperatorCertificate => "the operator's certificate",
            Self::OperatorAgency(_) => "the agency's record",
            Self::OperatorNode(_) => "the node's record",
        }
    }

    /// What brings it into being.
    const fn remedy(&self) -> &'static str {
        match self {
            Self::Directory(_) => "waypost directory install FILE --pin FINGERPRINT",
            Self::OperatorDirectory => "waypost directory sign",
            Self::OperatorAgency(_) => "waypost directory add --registration FILE",
            Self::OperatorNode(_) => "waypost directory add --node FILE",
            Self::OperatorKey | Self::OperatorCertificate => {
                "use the home of the scheme operator: `--home DIR`; `waypost directory new` makes one"
            }
            Self::AgencyKey | Self::DeskKey(_) => {
                "use the home of the agency's administrator: `--home DIR`"
            }
            Self::DeskSealed(..) | Self::AgencyCertificate | Self::Roster | Self::Registration => {
                "ask the agency's administrator for your admission (`waypost officer admit`), then: waypost officer join FILE"
            }
            _ => "use the right home: `--home DIR`; `waypost agency init` makes one",
        }
    }
}

/// The folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home {
    root: PathBuf,
}

impl Home {
    /// `given`, else what the environment says.
    ///
    /// # Errors
    /// When neither is there.
    pub fn locate(given: Option<&Path>) -> Result<Self, Failure> {
        given
            .map(Path::to_path_buf)
            .or_else(environment::home_folder)
            .filter(|root| !root.as_os_str().is_empty())
            .map(|root| Self { root })
            .ok_or_else(|| Failure::error("no home folder is known").next("add `--home DIR`"))
    }

    /// The folder itself.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The path of a file.
    #[must_use]
    pub fn path_of(&self, file: &HomeFile) -> PathBuf {
        self.root.join(file.path())
    }

    /// Whether a file is there.
    #[must_use]
    pub fn holds(&self, file: &HomeFile) -> bool {
        self.path_of(file).exists()
    }

    /// Refuses a folder that already holds a home.
    ///
    /// # Errors
    /// When it does.
    pub fn check_unused(&self) -> Result<(), Failure> {
        if self.holds(&HomeFile::Settings) {
            return Err(
                Failure::error(format!("`{}` already holds a home", self.root.display()))
                    .because("its keys would be lost")
                    .next("choose another folder: `--home DIR`"),
            );
        }
        if self.root.exists() {
            check_folder(&self.root)?;
        }
        Ok(())
    }

    /// Refuses a home that is not there, or that others can look into.
    ///
    /// # Errors
    /// As said.
    pub fn check(&self) -> Result<(), Failure> {
        if !self.holds(&HomeFile::Settings) {
            return Err(
                Failure::error(format!("`{}` holds no home", self.root.display()))
                    .next("add `--home DIR`, or make one: `waypost agency init ID ..`, for an officer `waypost officer request ID ..`"),
            );
        }
        check_folder(&self.root)
    }

    /// Reads a file, and refuses one that others can read.
    ///
    /// # Errors
    /// Missing, exposed, too long, or unreadable.
    pub fn read(&self, file: &HomeFile) -> Result<Zeroizing<Vec<u8>>, Failure> {
        self.check()?;
        let path = self.path_of(file);
        if !path.exists() {
            let what = format!("{} is not in this home (`{}`)", file.noun(), path.display());
            return Err(Failure::error(what).next(file.remedy()));
        }
        check_private(&path)?;
        read_file(&path, file.limit())
    }

    /// Writes a file in place of the one before: mode 600, whole or not at all, durable.
    ///
    /// # Errors
    /// What the system refuses.
    pub fn write(&self, file: &HomeFile, content: &[u8]) -> Result<(), Failure> {
        let path = self.path_of(file);
        let failed = |e: &io::Error| {
            Failure::error(format!("`{}` cannot be written", path.display()))
                .caused_by(e)
                .next("look at the free space and the owner of the home: `waypost doctor`")
        };
        write_private(&path, content).map_err(|e| failed(&e))
    }

    /// What the home is.
    ///
    /// # Errors
    /// Missing, exposed or malformed settings.
    pub fn settings(&self) -> Result<Settings, Failure> {
        let bytes = self.read(&HomeFile::Settings)?;
        Settings::parse(&bytes).map_err(|failure| {
            failure.next(format!(
                "repair `{}`",
                self.path_of(&HomeFile::Settings).display()
            ))
        })
    }

    /// Writes what the home is.
    ///
    /// # Errors
    /// What the system refuses.
    pub fn write_settings(&self, settings: &Settings) -> Result<(), Failure> {
        self.write(&HomeFile::Settings, settings.to_text()?.as_bytes())
    }

    /// The settings of an agency's home.
    ///
    /// # Errors
    /// Not the home of an agency.
    pub fn agency(&self) -> Result<AgencySettings, Failure> {
        match self.settings()? {
            Settings::Agency(settings) => Ok(settings),
            Settings::Operator(_) => Err(Failure::error("this is the home of a scheme operator")
                .next("use the home of an agency: `--home DIR`")),
        }
    }

    /// The settings of an operator's home.
    ///
    /// # Errors
    /// Not the home of an operator.
    pub fn operator(&self) -> Result<OperatorSettings, Failure> {
        match self.settings()? {
            Settings::Operator(settings) => Ok(settings),
            Settings::Agency(_) => Err(Failure::error("this is the home of an agency")
                .next("use the home of the scheme operator: `--home DIR`")),
        }
    }

    /// What was last seen; nothing in a new home.
    ///
    /// # Errors
    /// Exposed or malformed state: it is never thrown away, since it is what refuses older ones.
    pub fn state(&self) -> Result<State, Failure> {
        if !self.holds(&HomeFile::State) {
            return Ok(State::default());
        }
        State::parse(&self.read(&HomeFile::State)?)
    }

    /// Changes what was last seen, alone: another command waits.
    ///
    /// # Errors
    /// As [`Self::state`], or what `change` fails with: nothing is written then.
    pub fn update_state<T>(
        &self,
        change: impl FnOnce(&mut State) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let lock = self.root.join("state.lock");
        let failed = |e: io::Error| {
            Failure::error(format!("`{}` cannot be locked", lock.display())).caused_by(&e)
        };
        let file = private_options()
            .create(true)
            .truncate(false)
            .open(&lock)
            .map_err(failed)?;
        file.lock().map_err(failed)?;
        let mut state = self.state()?;
        let result = change(&mut state)?;
        self.write(&HomeFile::State, &state.to_bytes()?)?;
        Ok(result)
    }
}

fn private_options() -> fs::OpenOptions {
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut options = File::options();
    options.read(true).write(true).mode(0o600);
    options
}

fn mode_of(path: &Path) -> Result<u32, Failure> {
    let metadata = fs::metadata(path).map_err(|e| {
        Failure::error(format!("`{}` cannot be examined", path.display())).caused_by(&e)
    })?;
    Ok(metadata.permissions().mode() & 0o777)
}

/// Refuses a folder that others can look into.
fn check_folder(path: &Path) -> Result<(), Failure> {
    let mode = mode_of(path)?;
    if mode & 0o077 == 0 {
        return Ok(());
    }
    Err(Failure::error(format!(
        "others on this machine can look into `{}` (mode {mode:03o})",
        path.display()
    ))
    .next(format!("chmod 700 {}", path.display())))
}

/// Refuses a file that others can read.
///
/// # Errors
/// When they can.
pub fn check_private(path: &Path) -> Result<(), Failure> {
    let mode = mode_of(path)?;
    if mode & 0o077 == 0 {
        return Ok(());
    }
    Err(Failure::error(format!(
        "others on this machine can read `{}` (mode {mode:03o})",
        path.display()
    ))
    .because("a key that others could read may be known to them")
    .next(format!(
        "chmod 600 {}, and run `waypost doctor`",
        path.display()
    )))
}

/// Reads a file of at most `limit` bytes. For files that a user names.
///
/// # Errors
/// Missing, too long, or unreadable.
pub fn read_file(path: &Path, limit: usize) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let failed = |e: io::Error| {
        Failure::error(format!("`{}` cannot be read", path.display()))
            .caused_by(&e)
            .next("look at the name of the file")
    };
    let file = File::open(path).map_err(failed)?;
    let size = usize::try_from(file.metadata().map_err(failed)?.len()).unwrap_or(usize::MAX);
    // Room for all of it at once, so that growing leaves no copies behind.
    let room = size.min(limit).saturating_add(1);
    let mut content = Zeroizing::new(Vec::with_capacity(room));
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    file.take(most).read_to_end(&mut content).map_err(failed)?;
    if content.len() > limit {
        return Err(Failure::invalid(format!(
            "`{}` is longer than the {limit} bytes that such a file may have",
            path.display()
        )));
    }
    Ok(content)
}

/// Writes a new file with mode 600 where a user says, and never over one that exists.
///
/// # Errors
/// It exists, or what the system refuses.
pub fn write_new_file(path: &Path, content: &[u8]) -> Result<(), Failure> {
    let written = private_options()
        .create_new(true)
        .open(path)
        .and_then(|mut file| {
            file.write_all(content)?;
            file.sync_all()
        });
    written.map_err(|e| {
        let failure =
            Failure::error(format!("`{}` cannot be written", path.display())).caused_by(&e);
        if e.kind() == io::ErrorKind::AlreadyExists {
            failure.next("choose a name that is free")
        } else {
            failure
        }
    })
}

fn write_private(path: &Path, content: &[u8]) -> io::Result<()> {
    #[cfg(test)]
    fault::before()?;
    let folder = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)?;
    // Temporary files are made with mode 600.
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(content)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    File::open(folder)?.sync_all()?;
    #[cfg(test)]
    fault::after()?;
    Ok(())
}

#[cfg(test)]
pub(crate) mod fault;

#[cfg(test)]
mod tests {
    use super::*;

    fn home() -> (tempfile::TempDir, Home) {
        let folder = tempfile::tempdir().unwrap();
        let home = Home {
            root: folder.path().join("home"),
        };
        home.write_settings(&Settings::Operator(OperatorSettings {
            country: "gb".into(),
            fingerprint: Fingerprint::new([7; 32]),
        }))
        .unwrap();
        (folder, home)
    }

    #[test]
    fn folders_and_files_are_for_their_owner_only() {
        let (_folder, home) = home();
        home.write(&HomeFile::OperatorKey, b"locked").unwrap();
        for (path, mode) in [
            (home.root.clone(), 0o700),
            (home.root.join("operator"), 0o700),
            (home.path_of(&HomeFile::OperatorKey), 0o600),
            (home.path_of(&HomeFile::Settings), 0o600),
        ] {
            assert_eq!(mode_of(&path).unwrap(), mode, "{}", path.display());
        }
        assert_eq!(
            home.read(&HomeFile::OperatorKey).unwrap().as_slice(),
            b"locked"
        );
    }

    #[test]
    fn a_home_or_key_that_others_can_read_is_refused() {
        let (_folder, home) = home();
        home.write(&HomeFile::OperatorKey, b"locked").unwrap();
        let key = home.path_of(&HomeFile::OperatorKey);
        for mode in [0o640, 0o604, 0o666] {
            fs::set_permissions(&key, fs::Permissions::from_mode(mode)).unwrap();
            let failure = home.read(&HomeFile::OperatorKey).unwrap_err();
            assert!(failure.to_string().contains("chmod 600"), "{mode:o}");
        }
        fs::set_permissions(&home.root, fs::Permissions::from_mode(0o750)).unwrap();
        assert!(
            home.settings()
                .unwrap_err()
                .to_string()
                .contains("chmod 700")
        );
    }

    #[test]
    fn a_missing_file_names_the_command_that_makes_it() {
        let (_folder, home) = home();
        let failure = home
            .read(&HomeFile::Directory("gb".parse().unwrap()))
            .unwrap_err();
        assert!(failure.to_string().contains("waypost directory install"));
        let nowhere = Home {
            root: home.root.join("none"),
        };
        assert!(
            nowhere
                .settings()
                .unwrap_err()
                .to_string()
                .contains("agency init")
        );
    }

    #[test]
    fn the_home_of_an_operator_is_not_that_of_an_agency() {
        let (_folder, home) = home();
        assert!(home.operator().is_ok());
        assert!(home.agency().is_err());
        assert!(home.check_unused().is_err());
    }

    #[test]
    fn a_change_of_state_that_fails_changes_nothing() {
        let (_folder, home) = home();
        let seen = Seen {
            version: 3,
            digest: waypost_proto::id::Digest::of(b"head"),
        };
        home.update_state(|state| {
            state.heads.insert("gb".parse().unwrap(), seen);
            Ok(())
        })
        .unwrap();
        let failed: Result<(), _> = home.update_state(|state| {
            state.heads.clear();
            Err(Failure::error("no"))
        });
        assert!(failed.is_err());
        let kept = home.state().unwrap().heads;
        assert_eq!(kept.into_values().collect::<Vec<_>>(), [seen]);
    }

    #[test]
    fn a_file_of_the_user_is_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        write_new_file(&path, b"first").unwrap();
        assert!(write_new_file(&path, b"second").is_err());
        assert_eq!(read_file(&path, 100).unwrap().as_slice(), b"first");
        assert_eq!(mode_of(&path).unwrap(), 0o600);
        assert!(read_file(&path, 4).is_err());
    }
}
