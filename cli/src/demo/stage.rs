//! The stage: folders, keys, two directories, and four running nodes.

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use aws_lc_rs::rand;
use serde_json::Value;
use tokio::process::{Child, Command};
use waypost_policies::Bundle;
use zeroize::Zeroizing;

use super::cast::{ABROAD, Cast, HERE, Player, State};
use super::story::{Part, Story};
use crate::output::{self, Failure};

/// How long a node may take to be ready, or to stop.
const PATIENCE: Duration = Duration::from_secs(30);

/// The whole stage.
pub(super) struct Stage {
    pub(super) folder: PathBuf,
    pub(super) cast: Cast,
    /// Fingerprint of the operator of the agencies' own State.
    pub(super) pin: String,
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
    /// Makes keys and folders, signs the directories, starts the nodes.
    pub(super) async fn set(folder: &Path) -> Result<Self, Failure> {
        let programs = programs()?;
        let folder = std::path::absolute(folder)
            .map_err(|e| Failure::error("the demo's folder").caused_by(&e))?;
        let mut stage = Self {
            cast: Cast::new(&folder, free_ports()?)?,
            pin: String::new(),
            folder,
            programs,
        };
        write_secret(&stage.passphrase_file(), passphrase()?.as_bytes())?;
        output::note("Making two States with an operator each, and four agencies, post-quantum ..");
        stage.pin = stage.operator(HERE).await?;
        let abroad = stage.operator(ABROAD).await?;
        let pins = [(HERE, stage.pin.as_str()), (ABROAD, abroad.as_str())];
        stage
            .each(async |player| stage.found(player, &pins).await)
            .await?;
        output::note("Signing the two directories ..");
        tokio::try_join!(stage.sign(HERE), stage.sign(ABROAD))?;
        stage
            .each(async |player| stage.install(player, &pins).await)
            .await?;
        output::note("Starting four nodes ..");
        let started = stage.each(async |player| stage.start(player).await).await?;
        for (player, process) in stage.cast.all_mut().into_iter().zip(started) {
            player.process = Some(process);
        }
        Ok(stage)
    }

    /// Does the same for every agency, at once.
    pub(super) async fn each<T>(
        &self,
        act: impl AsyncFn(&Player) -> Result<T, Failure>,
    ) -> Result<[T; 4], Failure> {
        let [one, two, three, four] = self.cast.all();
        let done = tokio::try_join!(act(one), act(two), act(three), act(four))?;
        Ok(done.into())
    }

    /// The key of a State's operator; gives its fingerprint, which others pin.
    async fn operator(&self, state: State) -> Result<String, Failure> {
        let home = state.operator(&self.folder);
        let new = ["directory", "new", "--country", state.country];
        text(&self.waypost(&home, &new).await?, "fingerprint")
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

    /// One agency: keys, roster, desks, node configuration, TLS key and log key.
    async fn found(&self, player: &Player, pins: &[(State, &str)]) -> Result<(), Failure> {
        let [peers, desks] = player.ports.map(|port| format!("127.0.0.1:{port}"));
        let home = player.desk();
        for (index, (desk, role)) in player.desks.iter().enumerate() {
            let attested = "child-specialist,vetted";
            let add = ["desk", "add", desk, "--role", role, "--attest", attested];
            let (node, operator) = (player.node_id(), pin(pins, player.state)?);
            let init = [
                ["agency", "init"].as_slice(),
                &[player.id.as_str(), "--name", player.name],
                &["--role", role, "--desk", desk, "--desk-attest", attested],
                &["--jurisdiction", player.state.jurisdiction],
                &["--endpoint", &peers, "--desk-endpoint", &desks],
                &["--node", &node, "--operator", operator, "--attest"],
                &["confidentiality-policy,escalation-contact,policy-document,statutory"],
            ];
            let command = if index == 0 {
                init.concat()
            } else {
                add.to_vec()
            };
            self.waypost(&home, &command).await?;
        }
        self.configure(player, pins)?;
        self.waypost_node(player, &["init"]).await?;
        let registration = shown(&home.join("public/registration.pb"));
        let id = player.id.as_str();
        let added = ["agency", "add", id, "--registration", &registration];
        self.waypost_node(player, &added).await
    }

    /// The node's configuration: the proposed one, with the directories of other States and, abroad, the
    /// bundle of that State.
    fn configure(&self, player: &Player, pins: &[(State, &str)]) -> Result<(), Failure> {
        let failed = |e: std::io::Error| Failure::error("the node's folder").caused_by(&e);
        let (proposed, node) = (player.desk().join("node.toml"), player.node());
        std::fs::create_dir_all(&node).map_err(failed)?;
        let mut config = std::fs::read_to_string(&proposed).map_err(failed)?;
        std::fs::remove_file(&proposed).map_err(failed)?;
        config = config.replace("data = \"node\"", "data = \"data\"");
        if player.state == ABROAD {
            // It stands in the section of the agency, which is the last.
            config.push_str("bundle = \"bundle\"\n");
            for folder in [player.desk(), node.clone()] {
                write_bundle(&folder.join("bundle"))?;
            }
        }
        for state in player.abroad {
            let (country, pin) = (state.country, pin(pins, *state)?);
            config.push_str(&format!(
                "\n[[directory]]\ncountry = \"{country}\"\noperator = \"{pin}\"\nfile = \"directory-{country}.pb\"\n"
            ));
        }
        std::fs::write(node.join("node.toml"), config).map_err(failed)
    }

    /// A State's operator adds its agencies and their nodes, and signs.
    async fn sign(&self, state: State) -> Result<(), Failure> {
        let home = state.operator(&self.folder);
        for player in self.cast.of(state) {
            let record = shown(&player.data().join("node-record.pb"));
            self.waypost(&home, &["directory", "add", "--node", &record])
                .await?;
            let registration = shown(&player.desk().join("public/registration.pb"));
            let keys = player.data().join("agencies").join(player.id.as_str());
            let log_key = shown(&keys.join("log.vkey"));
            let add = ["directory", "add", "--registration", &registration];
            self.waypost(&home, &[&add, ["--log-key", &log_key].as_slice()].concat())
                .await?;
        }
        self.waypost(&home, &["directory", "sign"])
            .await
            .map(|_| ())
    }

    /// Installs the directories of a player's own State and of those that it writes to, at desk and node.
    async fn install(&self, player: &Player, pins: &[(State, &str)]) -> Result<(), Failure> {
        let own = std::iter::once((player.state, "directory.pb".to_owned()));
        let others = player.abroad.iter();
        let others = others.map(|state| (*state, format!("directory-{}.pb", state.country)));
        for (state, name) in own.chain(others) {
            let signed = self.signed(state);
            let install = [
                "directory",
                "install",
                &shown(&signed),
                "--pin",
                pin(pins, state)?,
            ];
            self.waypost(&player.desk(), &install).await?;
            std::fs::copy(&signed, player.node().join(name))
                .map_err(|e| Failure::error("the directory cannot be copied").caused_by(&e))?;
        }
        Ok(())
    }

    /// The directory file that a State's operator has signed.
    pub(super) fn signed(&self, state: State) -> PathBuf {
        state.operator(&self.folder).join("operator/directory.pb")
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
        for player in self.cast.all_mut() {
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

    /// For `--keep`: of each agency a body with the key that opens it and its sender's certificate, for
    /// other tools.
    pub(super) async fn export(&self, story: &Story) -> Result<(), Failure> {
        let values = story.canaries().join("\n") + "\n";
        std::fs::write(self.folder.join("canaries.txt"), values)
            .map_err(|e| Failure::error("the list of canaries").caused_by(&e))?;
        let mut exported = Vec::new();
        for Part { sent, to, desk, .. } in &story.parts {
            exported.push((to, desk, &sent.message));
        }
        if let Some(Part {
            from,
            from_desk,
            answer,
            ..
        }) = story.parts.first()
        {
            exported.push((from, from_desk, &answer.message));
        }
        for (id, desk, message) in exported {
            let Some(player) = self.cast.named(id) else {
                continue;
            };
            self.export_one(player, desk, message).await?;
        }
        Ok(())
    }

    async fn export_one(&self, player: &Player, desk: &str, message: &str) -> Result<(), Failure> {
        let folder = player.folder.join("exported");
        std::fs::create_dir_all(&folder)
            .map_err(|e| Failure::error("the folder of exports").caused_by(&e))?;
        let path = |name: &str| shown(&folder.join(name));
        let (body, sender, key) = (path("body.pgp"), path("sender.pgp"), path("desk-key.pgp"));
        let export = ["message", "export", message, "--out", &body];
        let export = [&export, ["--sender-cert", &sender].as_slice()].concat();
        self.waypost(&player.desk(), &export).await?;
        let export = ["desk", "export-key", "--desk", desk, "--out", &key];
        let export = [&export, ["--yes-export-secret-key"].as_slice()].concat();
        self.waypost(&player.desk(), &export).await.map(|_| ())
    }
}

/// A path as an argument. The demo's folders have plain names.
pub(super) fn shown(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

fn pin<'p>(pins: &[(State, &'p str)], of: State) -> Result<&'p str, Failure> {
    let mut pins = pins.iter();
    let found = pins.find(|(state, _)| *state == of);
    found
        .map(|(_, pin)| *pin)
        .ok_or_else(|| Failure::error("a State of the demo has no operator"))
}

/// The other State's policies, as files.
fn write_bundle(folder: &Path) -> Result<(), Failure> {
    let bundle = Bundle::of_invented_state()
        .map_err(|e| Failure::error("the other State's bundle").caused_by(&e))?;
    for (name, content) in bundle.files() {
        let path = folder.join(name);
        let parent = path.parent().unwrap_or(folder);
        std::fs::create_dir_all(parent)
            .and_then(|()| std::fs::write(&path, content))
            .map_err(|e| Failure::error("a bundle cannot be written").caused_by(&e))?;
    }
    Ok(())
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

/// Two ports for each agency that nobody listens on.
fn free_ports() -> Result<[[u16; 2]; 4], Failure> {
    let failed =
        |e: std::io::Error| Failure::error("no free port on the loopback interface").caused_by(&e);
    // All are held until all are known, so that they differ.
    let mut held = Vec::new();
    let mut ports = [[0; 2]; 4];
    for port in ports.iter_mut().flatten() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(failed)?;
        *port = listener.local_addr().map_err(failed)?.port();
        held.push(listener);
    }
    Ok(ports)
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
