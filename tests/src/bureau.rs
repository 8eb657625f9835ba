//! Agencies as people run them: every step is a command of the built `waypost`, in a home of its own;
//! the nodes are processes.

use std::ffi::OsStr;
use std::fmt::Debug;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use anyhow::{Context as _, Result, anyhow, ensure};
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Command;
use waypost_cli::clock::Clock;
use waypost_cli::context::Context;
use waypost_cli::home::Home;
use waypost_cli::passphrase::Source;
use waypost_node::setup::{AGENCIES_FOLDER, LOG_VKEY_FILE, NODE_RECORD_FILE};
use waypost_proto::id::AgencyId;

use crate::letter::VALUES;
use crate::node::{self, Network, Node, Trusted};
use crate::scheme::Wanted;
use crate::wait;

/// Agencies of one country, each on a node of its own, which runs.
#[derive(Debug)]
pub struct Country {
    /// In the order wanted.
    pub agencies: Vec<Bureau>,
    folder: TempDir,
}

/// An agency. Its administrator's home is `ID.admin`.
#[derive(Debug)]
pub struct Bureau {
    /// Its id.
    pub id: AgencyId,
    /// Its node.
    pub node: Node,
}

impl Bureau {
    /// The name of a home of one of its officers.
    #[must_use]
    pub fn home(&self, officer: &str) -> String {
        format!("{}.{officer}", self.id)
    }
}

impl Country {
    /// Sets everything up by command, with the classical suite, and starts the nodes.
    ///
    /// # Errors
    /// What could not be made.
    pub async fn running(wanted: &[Wanted]) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let passphrase = folder.path().join("passphrase");
        fs::write(&passphrase, "five random words in order\n")?;
        fs::set_permissions(&passphrase, fs::Permissions::from_mode(0o600))?;
        let mut country = Self {
            agencies: Vec::new(),
            folder,
        };
        let new = [
            "directory",
            "new",
            "--country",
            "gb",
            "--suite",
            "classical",
        ];
        let pin = text(&country.run("operator", &new).await?, "fingerprint")?;
        for wanted in wanted {
            let bureau = country.found(wanted, &pin).await?;
            country.agencies.push(bureau);
        }
        country.run("operator", &["directory", "sign"]).await?;
        fs::copy(
            country.path("operator/operator/directory.pb"),
            country.directory(),
        )?;
        for index in 0..country.agencies.len() {
            let home = country.agency(index)?.home("admin");
            country.install(&home, &["--pin", &pin]).await?;
            country.node_mut(index)?.start().await?;
        }
        Ok(country)
    }

    async fn found(&self, wanted: &Wanted, pin: &str) -> Result<Bureau> {
        let id: AgencyId = wanted.id.parse()?;
        let trusted = Trusted {
            country: id.country(),
            operator: pin.parse()?,
            file: self.directory(),
        };
        let folder = self.path(&format!("{id}.node"));
        let node = Node::init(folder, &id, &[trusted], Network::Links).await?;
        let bureau = Bureau { id, node };
        let admin = bureau.home("admin");
        let init = [
            "agency",
            "init",
            bureau.id.as_str(),
            "--name",
            bureau.id.as_str(),
            "--role",
            wanted.role.code(),
            "--jurisdiction",
            "GB-EAW",
            // Its node's configuration is the harness's own.
            "--endpoint",
            "127.0.0.1:1",
            "--operator",
            pin,
            "--suite",
            "classical",
            "--attest",
            "confidentiality-policy,escalation-contact,policy-document,statutory",
            "--desk-attest",
            "child-specialist,vetted",
        ];
        self.run(&admin, &init).await?;
        let registration = self.path(&admin).join("public/registration.pb");
        let registration = plain(&registration)?;
        let added = [
            "agency",
            "add",
            bureau.id.as_str(),
            "--registration",
            registration,
        ];
        bureau.node.command(&added).await?;
        let data = bureau.node.data();
        let record = data.join(NODE_RECORD_FILE);
        let log_key = data
            .join(AGENCIES_FOLDER)
            .join(bureau.id.as_str())
            .join(LOG_VKEY_FILE);
        let add = ["directory", "add", "--node", plain(&record)?];
        self.run("operator", &add).await?;
        let add = [
            "directory",
            "add",
            "--registration",
            registration,
            "--log-key",
            plain(&log_key)?,
        ];
        self.run("operator", &add).await?;
        Ok(bureau)
    }

    /// One of the agencies, in the order wanted.
    ///
    /// # Errors
    /// When there are fewer.
    pub fn agency(&self, index: usize) -> Result<&Bureau> {
        self.agencies.get(index).context("an agency")
    }

    /// The node of one of them.
    ///
    /// # Errors
    /// When there are fewer.
    pub fn node_mut(&mut self, index: usize) -> Result<&mut Node> {
        Ok(&mut self.agencies.get_mut(index).context("an agency")?.node)
    }

    /// A file or home by its name.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn directory(&self) -> PathBuf {
        self.path("directory.pb")
    }

    /// What a command would work with in a home.
    ///
    /// # Errors
    /// None with a name.
    pub fn context(&self, home: &str) -> Result<Context> {
        let home = Home::locate(Some(&self.path(home))).map_err(|e| anyhow!("{e}"))?;
        let passphrase = Source::File(self.path("passphrase"));
        Ok(Context::new(home, Clock::System, passphrase))
    }

    async fn ended<S: AsRef<OsStr>>(&self, home: &str, line: &[S]) -> Result<Output> {
        let ran = Command::new(node::binary("waypost")?)
            .arg("--json")
            .arg("--home")
            .arg(self.path(home))
            .arg("--passphrase-file")
            .arg(self.path("passphrase"))
            .args(line)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        Ok(ran.await?)
    }

    /// Runs a command that must be done, and gives its JSON.
    ///
    /// # Errors
    /// What it says.
    pub async fn run<S: AsRef<OsStr> + Debug>(&self, home: &str, line: &[S]) -> Result<Value> {
        let ended = self.ended(home, line).await?;
        let said = String::from_utf8_lossy(&ended.stderr);
        ensure!(ended.status.success(), "waypost {line:?}: {said}");
        Ok(serde_json::from_slice(&ended.stdout)?)
    }

    /// Runs a command that must not be done, and gives its exit code and JSON.
    ///
    /// # Errors
    /// When it is done.
    pub async fn refused<S: AsRef<OsStr> + Debug>(
        &self,
        home: &str,
        line: &[S],
    ) -> Result<(i32, Value)> {
        let ended = self.ended(home, line).await?;
        ensure!(!ended.status.success(), "waypost {line:?} was done");
        let code = ended.status.code().context("an exit code")?;
        Ok((code, serde_json::from_slice(&ended.stdout)?))
    }

    async fn install(&self, home: &str, more: &[&str]) -> Result<Value> {
        let file = self.directory();
        let install = ["directory", "install", plain(&file)?];
        self.run(home, &[&install, more].concat()).await
    }

    /// A new officer of an agency asks, is admitted, joins, and has the directory.
    ///
    /// # Errors
    /// What a command says.
    pub async fn join(&self, agency: &Bureau, officer: &str) -> Result<String> {
        let (home, admin) = (agency.home(officer), agency.home("admin"));
        let request = [
            "officer",
            "request",
            agency.id.as_str(),
            "--title",
            "Caseworker",
            "--desk",
            "intake",
            "--suite",
            "classical",
        ];
        let asked = self.run(&home, &request).await?;
        let (file, code) = (text(&asked, "file")?, text(&asked, "code")?);
        let admit = ["officer", "admit", &file, "--code", &code, "--publish"];
        let admitted = self.run(&admin, &admit).await?;
        let admission = admitted.get("admission").context("an admission")?;
        let (file, code) = (text(admission, "file")?, text(admission, "code")?);
        self.run(&home, &["officer", "join", &file, "--code", &code])
            .await?;
        self.install(&home, &[]).await?;
        Ok(home)
    }

    /// A file with the form of an adult who consents to all of it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn form(&self) -> Result<PathBuf> {
        let [given_name, family_name, birthdate, site, ..] = VALUES else {
            anyhow::bail!("values of a form");
        };
        let form = serde_json::json!({
            "idn": {"given_name": given_name, "family_name": family_name, "birthdate": birthdate},
            "age": {"minor_status": "adult"},
            "cns": {"participation_consent": "given", "sharing_consent": {"whole_referral": true}},
            "exp": {"types": ["ForcedLabour"], "site": site},
        });
        let path = self.path("form.json");
        fs::write(&path, form.to_string())?;
        Ok(path)
    }

    /// The command that refers an adult who consents to all of it, to one agency or several.
    ///
    /// # Errors
    /// When the form cannot be written.
    pub fn referral(&self, to: &[&str], more: &[&str]) -> Result<Vec<String>> {
        let form = self.form()?;
        let mut line = vec![
            "refer",
            "--form",
            plain(&form)?,
            "--purpose",
            "P-IDENT",
            "--basis",
            "LB-6E,LB-9G,LB-10",
            "--yes",
        ];
        line.extend(to.iter().flat_map(|to| ["--to", to]));
        line.extend(more);
        Ok(line.into_iter().map(str::to_owned).collect())
    }

    /// Refers. Gives what the command said.
    ///
    /// # Errors
    /// What it says.
    pub async fn refer(&self, home: &str, to: &[&str]) -> Result<Value> {
        self.run(home, &self.referral(to, &[])?).await
    }

    /// Waits until the own log says what became of a message that was sent: delivered, or refused.
    ///
    /// # Errors
    /// When that does not come to pass.
    pub async fn settled(&self, home: &str, message: &str) -> Result<Value> {
        self.row(home, message, &["delivered", "refused"]).await
    }

    /// Waits until the inbox of a home shows a message in a state.
    ///
    /// # Errors
    /// When that does not come to pass.
    pub async fn outcome(&self, home: &str, message: &str, outcome: &str) -> Result<Value> {
        self.row(home, message, &[outcome]).await
    }

    async fn row(&self, home: &str, message: &str, outcomes: &[&str]) -> Result<Value> {
        wait::until(
            &format!("{home} has {message} as {outcomes:?}"),
            async || {
                let inbox = self.run(home, &["inbox", "--all"]).await?;
                let rows = inbox.get("messages").and_then(Value::as_array);
                let found = rows.into_iter().flatten().find(|row| {
                    text(row, "id").is_ok_and(|id| id == message)
                        && text(row, "outcome")
                            .is_ok_and(|found| outcomes.contains(&found.as_str()))
                });
                Ok(found.cloned())
            },
        )
        .await
    }
}

/// A path as an argument.
///
/// # Errors
/// When it is not UTF-8.
pub fn plain(path: &Path) -> Result<&str> {
    path.to_str().context("a plain path")
}

/// A text of a command's JSON.
///
/// # Errors
/// When it is not there.
pub fn text(value: &Value, key: &str) -> Result<String> {
    let found = value.get(key).and_then(Value::as_str);
    found
        .map(str::to_owned)
        .with_context(|| format!("`{key}` in {value}"))
}
