//! The stock client: the built `waypost`, with the home of an officer.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;

use anyhow::{Context as _, Result};
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Command;
use waypost_cli::home::{AgencySettings, Home, HomeFile, Settings};
use waypost_proto::openpgp::Passphrase;

use crate::node;
use crate::scheme::{self, Agency, DESK, Scheme};

/// The client.
const CLIENT: &str = "waypost";
const PASSPHRASE: &str = "five invented words in order";
const PASSPHRASE_FILE: &str = "passphrase";

/// An officer's home.
#[derive(Debug)]
pub struct Client {
    folder: TempDir,
}

/// What a command ended with.
#[derive(Debug)]
pub struct Ran {
    /// Its exit code.
    pub code: Option<i32>,
    /// Its JSON; null when it printed none.
    pub json: Value,
    /// Everything that it printed.
    pub text: String,
}

impl Client {
    /// Writes the home of the first officer of an agency, with the key of its desk.
    ///
    /// # Errors
    /// When a key does not serve.
    pub fn of(scheme: &Scheme, agency: &Agency) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let passphrase = folder.path().join(PASSPHRASE_FILE);
        fs::write(&passphrase, PASSPHRASE)?;
        fs::set_permissions(&passphrase, fs::Permissions::from_mode(0o600))?;
        let home = Home::locate(Some(&folder.path().join("home")))?;
        let officer = agency.officer(0)?;
        let desk: waypost_proto::id::DeskName = DESK.parse()?;
        home.write_settings(&Settings::Agency(AgencySettings {
            agency: agency.id.clone(),
            officer: officer.certificate().fingerprint(),
            desk: desk.clone(),
            operators: scheme
                .trusted()
                .into_iter()
                .map(|t| (t.country, t.operator))
                .collect(),
        }))?;
        let subkeys = agency.desk_key().certificate().encryption_keys();
        let subkey = subkeys.last().context("a subkey")?;
        let handed_over = agency.desk_key().desk_key(subkey)?.hand_over(
            &agency.key().signing_key()?,
            officer.certificate(),
            scheme::now(),
        )?;
        let locked = officer.lock(&Passphrase::new(PASSPHRASE.to_owned().into()))?;
        for (file, content) in [
            (HomeFile::OfficerKey, locked),
            (HomeFile::DeskSealed(desk, *subkey), handed_over),
            (
                HomeFile::Directory(agency.id.country()),
                fs::read(scheme.file(&agency.id.country())?)?,
            ),
            (
                HomeFile::AgencyCertificate,
                agency.key().certificate().as_bytes().to_vec(),
            ),
            (
                HomeFile::OfficerCertificate,
                officer.certificate().as_bytes().to_vec(),
            ),
        ] {
            home.write(&file, &content)?;
        }
        Ok(Self { folder })
    }

    /// Runs a command.
    ///
    /// # Errors
    /// When it cannot be started; how it ends is the answer.
    pub async fn run(&self, arguments: &[impl AsRef<OsStr>]) -> Result<Ran> {
        let output = Command::new(node::binary(CLIENT)?)
            .arg("--json")
            .arg("--home")
            .arg(self.folder.path().join("home"))
            .arg("--passphrase-file")
            .arg(self.folder.path().join(PASSPHRASE_FILE))
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .await?;
        let printed = [output.stdout.as_slice(), &output.stderr].concat();
        Ok(Ran {
            code: output.status.code(),
            json: serde_json::from_slice(&output.stdout).unwrap_or(Value::Null),
            text: String::from_utf8_lossy(&printed).into_owned(),
        })
    }
}
