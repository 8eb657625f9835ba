//! The stage: folders, keys, a directory, and two running nodes.

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use aws_lc_rs::rand;
use serde_json::Value;
use tokio::process::{Child, Command};
use waypost_proto::id::AgencyId;
use zeroize::Zeroizing;

use super::story::Story;
use crate::output::{self, Failure};

/// The invented submission that is referred.
pub(super) const SUBMISSION: &str = include_str!("../../../fixtures/uk-nrm/adult.json");
/// How long a node may take to be ready, or to stop.
const PATIENCE: Duration = Duration::from_secs(30);

/// One agency of the demonstration.
pub(super) struct Player {
    pub(super) id: AgencyId,
    pub(super) name: &'static str,
    pub(super) folder: PathBuf,
    role: &'static str,
    process: Option<Child>,
}

impl Player {
    fn new(
        folder: &Path,
        id: &str,
        name: &'static str,
        role: &'static str,
    ) -> Result<Self, Failure> {
        let id: AgencyId = id
            .parse()
            .map_err(|e| Failure::error("a demo id").caused_by(&e))?;
        Ok(Self {
            folder: folder.join(id.as_str()),
            id,
            name,
            role,
            process: None,
        })
    }

    /// The officer's home.
    pub(super) fn desk(&self) -> PathBuf {
        self.folder.join("desk")
    }

    /// The node's home: its configuration, and its data folder.
    pub(super) fn node(&self) -> PathBuf {
        self.folder.join("node")
    }

    /// The node's data folder.
    pub(super) fn data(&self) -> PathBuf {
        self.node().join("data")
    }
}

/// The whole stage.
pub(super) struct Stage {
    pub(super) folder: PathBuf,
    /// The first responder.
    pub(super) ngo: Player,
    /// The authority that runs the National Referral Mechanism.
    pub(super) authority: Player,
    programs: Programs,
}

struct Programs {
    client: PathBuf,
    node: PathBuf,
}

fn programs() -> Result<Programs, Failure> {
    let client = std::env::current_exe()
        .map_err(|e| Failure::error("this program does not find itself").caused_by(&e))?;
    let node = client.with_file_name("waypost-node");
    if node.is_file() {
        Ok(Programs { client, node })
    } else {
        Err(Failure::error("`waypost-node` is not beside `waypost`")
            .because("the demonstration runs real nodes")
            .next("build both: cargo build --workspace"))
    }
}

impl Stage {
    /// Makes keys and folders, signs the directory, starts the nodes.
    pub(super) async fn set(folder: &Path) -> Result<Self, Failure> {
        let programs = programs()?;
        let folder = std::path::absolute(folder)
            .map_err(|e| Failure::error("the demo's folder").caused_by(&e))?;
        let ngo = Player::new(
            &folder,
            "gb.example-outreach",
            "Example Outreach (NGO)",
            "NGO",
        )?;
        let authority = Player::new(&folder, "gb.example-nrm", "Example NRM Authority", "NRMCA")?;
        let mut stage = Self {
            folder,
            ngo,
            authority,
            programs,
        };
        write_secret(&stage.passphrase_file(), passphrase()?.as_bytes())?;
        output::note("Making the scheme operator's key and two agencies, post-quantum ..");
        let made = stage
            .waypost(&stage.operator(), &["directory", "new", "--country", "gb"])
            .await?;
        let operator = text(&made, "fingerprint")?;
        for player in [&stage.ngo, &stage.authority] {
            stage.found(player, &operator).await?;
        }
        output::note("Signing the directory ..");
        stage.directory(&operator).await?;
        output::note("Starting two nodes ..");
        let ngo = stage.start(&stage.ngo).await?;
        stage.ngo.process = Some(ngo);
        let authority = stage.start(&stage.authority).await?;
        stage.authority.process = Some(authority);
        Ok(stage)
    }

    fn operator(&self) -> PathBuf {
        self.folder.join("operator")
    }

    /// Where the passphrase of every key of the demonstration is.
    pub(super) fn passphrase_file(&self) -> PathBuf {
        self.folder.join("passphrase")
    }

    /// Runs `waypost` in `home`, as an officer would, and gives its JSON.
    pub(super) async fn waypost(&self, home: &Path, arguments: &[&str]) -> Result<Value, Failure> {
        let mut command = Command::new(&self.programs.client);
        command.arg("--json").arg("--home").arg(home);
        command.arg("--passphrase-file").arg(self.passphrase_file());
        command
            .args(arguments)
            .stdin(Stdio::null())
            .kill_on_drop(true);
        let ran = command
            .output()
            .await
            .map_err(|e| Failure::error("a command cannot be run").caused_by(&e))?;
        let said: Value = serde_json::from_slice(&ran.stdout).unwrap_or(Value::Null);
        if ran.status.success() {
            return Ok(said);
        }
        let shown = arguments
            .iter()
            .take(2)
            .copied()
            .collect::<Vec<_>>()
            .join(" ");
        Err(Failure::error(format!("`waypost {shown}` failed"))
            .because(String::from_utf8_lossy(&ran.stderr).into_owned()))
    }

    async fn waypost_node(&self, player: &Player, arguments: &[&str]) -> Result<(), Failure> {
        let mut command = Command::new(&self.programs.node);
        command
            .args(arguments)
            .arg("--config")
            .arg(player.node().join("node.toml"));
        let ran = command
            .stdin(Stdio::null())
            .output()
            .await
            .map_err(|e| Failure::error("`waypost-node` cannot be run").caused_by(&e))?;
        if ran.status.success() {
            return Ok(());
        }
        Err(
            Failure::error(format!("`waypost-node {}` failed", arguments.join(" ")))
                .because(String::from_utf8_lossy(&ran.stderr).into_owned()),
        )
    }

    /// One agency: keys, roster, node configuration, TLS key and log key.
    async fn found(&self, player: &Player, operator: &str) -> Result<(), Failure> {
        let [peers, desks] = free_ports()?;
        let (peers, desks) = (format!("127.0.0.1:{peers}"), format!("127.0.0.1:{desks}"));
        let node = format!("{}-node", player.id);
        let desk = player.desk();
        let arguments = [
            "agency",
            "init",
            player.id.as_str(),
            "--name",
            player.name,
            "--role",
            player.role,
            "--jurisdiction",
            "GB-EAW",
            "--endpoint",
            &peers,
            "--desk-endpoint",
            &desks,
            "--node",
            &node,
            "--operator",
            operator,
            "--attest",
            "confidentiality-policy,escalation-contact,policy-document,statutory",
            "--desk-attest",
            "child-specialist,vetted",
        ];
        self.waypost(&desk, &arguments).await?;
        let failed = |e: std::io::Error| Failure::error("the node's folder").caused_by(&e);
        std::fs::create_dir_all(player.node()).map_err(failed)?;
        let config = std::fs::read_to_string(desk.join("node.toml")).map_err(failed)?;
        let config = config.replace("data = \"node\"", "data = \"data\"");
        std::fs::write(player.node().join("node.toml"), config).map_err(failed)?;
        std::fs::remove_file(desk.join("node.toml")).map_err(failed)?;
        self.waypost_node(player, &["init"]).await?;
        let registration = desk.join("public/registration.pb");
        let registration = registration.to_string_lossy();
        let added = [
            "agency",
            "add",
            player.id.as_str(),
            "--registration",
            &registration,
        ];
        self.waypost_node(player, &added).await
    }

    /// The operator adds both agencies and nodes, signs, and everybody installs.
    async fn directory(&self, operator: &str) -> Result<(), Failure> {
        let home = self.operator();
        for player in [&self.ngo, &self.authority] {
            let record = player.data().join("node-record.pb");
            let registration = player.desk().join("public/registration.pb");
            let log_key = player
                .data()
                .join("agencies")
                .join(player.id.as_str())
                .join("log.vkey");
            let (record, registration) = (record.to_string_lossy(), registration.to_string_lossy());
            let log_key = log_key.to_string_lossy();
            self.waypost(&home, &["directory", "add", "--node", &record])
                .await?;
            let add = [
                "directory",
                "add",
                "--registration",
                &registration,
                "--log-key",
                &log_key,
            ];
            self.waypost(&home, &add).await?;
        }
        self.waypost(&home, &["directory", "sign"]).await?;
        let signed = home.join("operator/directory.pb");
        for player in [&self.ngo, &self.authority] {
            let install = [
                "directory",
                "install",
                &signed.to_string_lossy(),
                "--pin",
                operator,
            ];
            self.waypost(&player.desk(), &install).await?;
            std::fs::copy(&signed, player.node().join("directory.pb"))
                .map_err(|e| Failure::error("the directory cannot be copied").caused_by(&e))?;
        }
        Ok(())
    }

    async fn start(&self, player: &Player) -> Result<Child, Failure> {
        let failed = |e: std::io::Error| Failure::error("a node cannot be started").caused_by(&e);
        let ready = player.folder.join("ready");
        let log = std::fs::File::create(player.folder.join("node.log")).map_err(failed)?;
        let mut child = Command::new(&self.programs.node)
            .args(["run", "--config"])
            .arg(player.node().join("node.toml"))
            .arg("--ready-file")
            .arg(&ready)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .map_err(failed)?;
        let waited = tokio::time::timeout(PATIENCE, async {
            while !ready.is_file() {
                if child.try_wait().map_err(failed)?.is_some() {
                    return Err(not_ready(player));
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Ok(())
        });
        waited.await.map_err(|_| not_ready(player))??;
        Ok(child)
    }

    /// Stops the nodes in good order.
    pub(super) async fn strike(mut self) {
        for player in [&mut self.ngo, &mut self.authority] {
            let Some(mut child) = player.process.take() else {
                continue;
            };
            if let Some(id) = child.id() {
                // The shell has `kill` built in.
                let asked = Command::new("sh")
                    .args(["-c", &format!("kill -TERM {id}")])
                    .status()
                    .await;
                // If it cannot be asked, it goes unasked: its store is made for that.
                if !asked.is_ok_and(|status| status.success()) {
                    let _ = child.start_kill();
                }
                let _ = tokio::time::timeout(PATIENCE, child.wait()).await;
            }
        }
    }

    /// For `--keep`: a body with the key that opens it and its sender's certificate, for other tools.
    pub(super) async fn export(&self, story: &Story) -> Result<(), Failure> {
        let canaries = super::search::canaries(SUBMISSION).join("\n") + "\n";
        std::fs::write(self.folder.join("canaries.txt"), canaries)
            .map_err(|e| Failure::error("the list of canaries").caused_by(&e))?;
        for (player, message) in [
            (&self.authority, &story.referral.message),
            (&self.ngo, &story.reply),
        ] {
            let folder = player.folder.join("exported");
            std::fs::create_dir_all(&folder)
                .map_err(|e| Failure::error("the folder of exports").caused_by(&e))?;
            let path = |name: &str| folder.join(name).to_string_lossy().into_owned();
            let (body, sender, key) = (path("body.pgp"), path("sender.pgp"), path("desk-key.pgp"));
            let export = [
                "message",
                "export",
                message,
                "--out",
                &body,
                "--sender-cert",
                &sender,
            ];
            self.waypost(&player.desk(), &export).await?;
            let export = [
                "desk",
                "export-key",
                "--out",
                &key,
                "--yes-export-secret-key",
            ];
            self.waypost(&player.desk(), &export).await?;
        }
        Ok(())
    }
}

fn not_ready(player: &Player) -> Failure {
    let log = std::fs::read_to_string(player.folder.join("node.log")).unwrap_or_default();
    let last: Vec<&str> = log.lines().rev().take(3).collect();
    Failure::error(format!("the node of {} did not start", player.id)).because(last.join("; "))
}

/// A text of a command's JSON.
pub(super) fn text(value: &Value, key: &str) -> Result<String, Failure> {
    value
        .get(key)
        .and_then(Value::as_str)
        .map(str::to_owned)
        .ok_or_else(|| Failure::error(format!("a command did not tell `{key}`")))
}

/// Two ports that nobody listens on.
fn free_ports() -> Result<[u16; 2], Failure> {
    let free = || -> std::io::Result<(TcpListener, u16)> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = listener.local_addr()?.port();
        Ok((listener, port))
    };
    // Both are held until both are known, so that they differ.
    let found = free().and_then(|first| Ok((first, free()?)));
    let ((_first, one), (_second, two)) = found
        .map_err(|e| Failure::error("no free port on the loopback interface").caused_by(&e))?;
    Ok([one, two])
}

fn passphrase() -> Result<Zeroizing<String>, Failure> {
    let mut bytes = Zeroizing::new([0; 16]);
    rand::fill(bytes.as_mut())
        .map_err(|_| Failure::error("the operating system gives no random bytes"))?;
    Ok(Zeroizing::new(hex::encode(bytes.as_ref())))
}

fn write_secret(path: &Path, content: &[u8]) -> Result<(), Failure> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let opened = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path);
    opened
        .and_then(|mut file| file.write_all(content))
        .map_err(|e| Failure::error("the demo's passphrase cannot be kept").caused_by(&e))
}
