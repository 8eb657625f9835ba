//! A node as a process of the built `waypost-node`.

use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use prost::Message as _;
use tokio::process::{Child, Command};
use waypost_node::setup::NODE_RECORD_FILE;
use waypost_node::start::STORE_FOLDER;
use waypost_node::tls::key;
use waypost_proto::id::{AgencyId, Country, Digest, Fingerprint, NodeId};
use waypost_proto::tls::Identity;
use waypost_proto::wire;

use crate::link::Link;
use crate::scheme::INVENTED_STATE;
use crate::wait;

/// The node.
pub const NODE: &str = "waypost-node";
/// A faulty node, which answers before it has written.
pub const LATE_NODE: &str = "waypost-node-late";

/// Commits to the embedded store alone.
pub const STORE_WRITER: &str = "waypost-store-writer";

/// How long a node may take to stop: its own deadline and some more.
const STOP: Duration = Duration::from_secs(60);

/// How a node is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    /// Over links that a test may cut.
    Links,
    /// Directly, for what is measured.
    Direct,
}

/// Two addresses that nobody listens on.
fn free_ports() -> Result<[SocketAddr; 2]> {
    let taken = [(); 2].map(|()| std::net::TcpListener::bind("127.0.0.1:0"));
    let [peers, desks] = taken;
    Ok([peers?.local_addr()?, desks?.local_addr()?])
}

/// A node, running or not, with a link before each of its listeners.
#[derive(Debug)]
pub struct Node {
    id: NodeId,
    folder: PathBuf,
    program: &'static str,
    /// The network before its peer listener.
    pub peers: Link,
    /// The network before its desk listener.
    pub desks: Link,
    process: Option<Process>,
}

#[derive(Debug)]
struct Process {
    child: Child,
    pid: u32,
    listening: Listening,
}

/// Where a running node really listens.
#[derive(Debug, Clone, Copy)]
pub struct Listening {
    /// For peers.
    pub peers: SocketAddr,
    /// For officers.
    pub desks: SocketAddr,
}

/// A program beside the tests, if it is not older than what it is made of.
///
/// # Errors
/// What to do about it.
pub fn binary(name: &str) -> Result<PathBuf> {
    const BUILD: &str =
        "run `cargo build --workspace` first (with `--release` for benchmarks), or `make test`";
    let this = std::env::current_exe()?;
    // target/PROFILE/deps/this
    let folder = this.ancestors().nth(2).context("the tests' own place")?;
    let path = folder.join(name);
    ensure!(path.exists(), "`{name}` is not built: {BUILD}");
    let built = fs::metadata(&path)?.modified()?;
    // What Cargo wrote of it: `target: source source ..`, spaces escaped.
    let sources = fs::read_to_string(path.with_extension("d"))?;
    let (_, sources) = sources.split_once(": ").context("the list of sources")?;
    for source in sources.replace("\\ ", "\0").split_whitespace() {
        let source = source.replace('\0', " ");
        let newer = fs::metadata(&source)
            .and_then(|found| found.modified())
            .is_ok_and(|changed| changed > built);
        ensure!(!newer, "`{name}` is older than `{source}`: {BUILD}");
    }
    Ok(path)
}

/// A directory that a node reads, and whom it trusts to sign it.
#[derive(Debug, Clone)]
pub struct Trusted {
    /// The country.
    pub country: Country,
    /// Its operator.
    pub operator: Fingerprint,
    /// The file.
    pub file: PathBuf,
}

/// An agency of the invented State decides by that State's policies.
fn bundle(agency: &AgencyId) -> String {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../policies/bundles/xx");
    if agency.country().as_str() == INVENTED_STATE {
        format!("bundle = \"{folder}\"")
    } else {
        String::new()
    }
}

impl Trusted {
    fn section(&self) -> String {
        let Self {
            country,
            operator,
            file,
        } = self;
        let file = file.display();
        format!(
            "[[directory]]\ncountry = \"{country}\"\noperator = \"{operator}\"\nfile = \"{file}\"\n"
        )
    }
}

impl Node {
    /// Writes the configuration of a node for one agency, and makes its keys and folders.
    ///
    /// # Errors
    /// What `waypost-node init` says.
    pub async fn init(
        folder: PathBuf,
        agency: &AgencyId,
        directories: &[Trusted],
        network: Network,
    ) -> Result<Self> {
        fs::create_dir_all(&folder)?;
        let node = Self {
            id: agency.as_str().parse()?,
            folder,
            program: NODE,
            peers: Link::open().await?,
            desks: Link::open().await?,
            process: None,
        };
        let ports = match network {
            Network::Links => [node.peers.address(), node.desks.address()],
            Network::Direct => free_ports()?,
        };
        let listen = match network {
            Network::Links => ["127.0.0.1:0".to_owned(), "127.0.0.1:0".to_owned()],
            Network::Direct => ports.map(|port| port.to_string()),
        };
        let text = format!(
            r#"
            node = "{id}"
            data = "data"
            listen = {{ peers = "{}", desks = "{}" }}
            public = {{ peers = "{peers}", desks = "{desks}" }}
            log = {{ level = "debug" }}
            {directories}
            [[agency]]
            id = "{agency}"
            {bundle}
            "#,
            listen[0],
            listen[1],
            id = node.id,
            bundle = bundle(agency),
            peers = ports[0],
            desks = ports[1],
            directories = directories.iter().map(Trusted::section).collect::<String>(),
        );
        fs::write(node.config(), text)?;
        node.command(&["init"]).await?;
        Ok(node)
    }

    /// The same node for one agency more, which it is to host: only the first one's starts it.
    ///
    /// # Errors
    /// When its configuration cannot be written.
    pub async fn hosting(&self, agency: &AgencyId) -> Result<Self> {
        let mut text = fs::read_to_string(self.config())?;
        text.push_str(&format!("\n[[agency]]\nid = \"{agency}\"\n"));
        fs::write(self.config(), text)?;
        Ok(Self {
            id: self.id.clone(),
            folder: self.folder.clone(),
            program: self.program,
            peers: Link::open().await?,
            desks: Link::open().await?,
            process: None,
        })
    }

    /// Its id.
    #[must_use]
    pub const fn id(&self) -> &NodeId {
        &self.id
    }

    /// Its configuration.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.folder.join("node.toml")
    }

    /// Its data folder.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// The folder of its store.
    #[must_use]
    pub fn store(&self) -> PathBuf {
        self.data().join(STORE_FOLDER)
    }

    /// What it wrote to standard error, over all its runs.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.folder.join("node.log")
    }

    /// Everything that it holds and wrote.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Its TLS key.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn identity(&self) -> Result<Identity> {
        Ok(key::load(&self.data())?)
    }

    /// What callers pin.
    ///
    /// # Errors
    /// When its key cannot be read.
    pub fn pin(&self) -> Result<Digest> {
        Ok(self.identity()?.digest())
    }

    /// Runs a command of `waypost-node` to its end, with this node's configuration.
    ///
    /// # Errors
    /// What it says on standard error.
    pub async fn command(&self, arguments: &[&str]) -> Result<String> {
        let output = Command::new(binary(NODE)?)
            .args(arguments)
            .arg("--config")
            .arg(self.config())
            .output()
            .await?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.success(),
            "waypost-node {arguments:?}: {said}"
        );
        Ok(String::from_utf8(output.stdout)?)
    }

    /// Runs as another program from the next start on.
    pub const fn become_program(&mut self, program: &'static str) {
        self.program = program;
    }

    /// Starts it and waits until it is ready.
    ///
    /// # Errors
    /// What it logged, if it ends instead.
    pub async fn start(&mut self) -> Result<()> {
        self.start_under(&[]).await
    }

    /// Starts it under another program, which must become its tracer and not its parent.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn start_under(&mut self, wrapper: &[OsString]) -> Result<()> {
        ensure!(self.process.is_none(), "`{}` runs already", self.id);
        let ready = self.folder.join("ready");
        if ready.exists() {
            fs::remove_file(&ready)?;
        }
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.log())?;
        let mut words = wrapper.to_vec();
        words.push(binary(self.program)?.into_os_string());
        let (program, first) = words.split_first().context("a program")?;
        let mut child = Command::new(program)
            .args(first)
            .args(["run", "--config"])
            .arg(self.config())
            .arg("--ready-file")
            .arg(&ready)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        let pid = child.id().context("a running process")?;
        let listening = wait::until("a node is ready", async || {
            if let Some(status) = child.try_wait()? {
                bail!("`{}` ended with {status}:\n{}", self.id, self.last_lines());
            }
            match fs::read_to_string(&ready) {
                Ok(text) => listening(&text).map(Some),
                Err(_) => Ok(None),
            }
        })
        .await?;
        self.peers.lead_to(Some(listening.peers));
        self.desks.lead_to(Some(listening.desks));
        self.process = Some(Process {
            child,
            pid,
            listening,
        });
        Ok(())
    }

    /// Reasons of the refusals that it only counted, in order, as its log lines tell them; without
    /// `busy`, after which a message is offered again.
    ///
    /// # Errors
    /// When the lines cannot be read.
    pub fn counted(&self) -> Result<Vec<String>> {
        let text = fs::read_to_string(self.log())?;
        let lines = text
            .lines()
            .filter(|line| line.contains("refused what nobody vouched for peer="));
        let reason = |line: &str| {
            let word = line
                .split_whitespace()
                .find_map(|w| w.strip_prefix("reason="));
            word.map(str::to_owned).context("a reason")
        };
        let reasons = lines.map(reason).collect::<Result<Vec<_>>>()?;
        Ok(reasons.into_iter().filter(|r| r != "busy").collect())
    }

    /// How many lines of its log hold this text.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn said(&self, text: &str) -> Result<usize> {
        let log = fs::read_to_string(self.log())?;
        Ok(log.lines().filter(|line| line.contains(text)).count())
    }

    fn last_lines(&self) -> String {
        let text = fs::read_to_string(self.log()).unwrap_or_default();
        let lines: Vec<_> = text.lines().rev().take(20).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }

    fn running(&self) -> Result<&Process> {
        self.process
            .as_ref()
            .ok_or_else(|| anyhow!("`{}` does not run", self.id))
    }

    /// Where it really listens.
    ///
    /// # Errors
    /// When it does not run.
    pub fn listening(&self) -> Result<Listening> {
        Ok(self.running()?.listening)
    }

    /// Where officers reach it: as the directory says.
    ///
    /// # Errors
    /// When its record cannot be read.
    pub fn desk_endpoint(&self) -> Result<String> {
        let record = fs::read(self.data().join(NODE_RECORD_FILE))?;
        Ok(wire::NodeRecord::decode(record.as_slice())?.desk_endpoint)
    }

    /// Its process.
    ///
    /// # Errors
    /// When it does not run.
    pub fn pid(&self) -> Result<u32> {
        Ok(self.running()?.pid)
    }

    /// Tells it to read the directory anew (SIGHUP).
    ///
    /// # Errors
    /// When it does not run.
    pub async fn reload(&self) -> Result<()> {
        signal("HUP", self.pid()?).await
    }

    /// Asks it to end, as a service manager does (SIGTERM), and waits until it has.
    ///
    /// # Errors
    /// When it does not run, or does not end in time.
    pub async fn stop(&mut self) -> Result<ExitStatus> {
        let mut process = self.process.take().context("a running node")?;
        signal("TERM", process.pid).await?;
        let ended = tokio::time::timeout(STOP, process.child.wait()).await;
        self.peers.lead_to(None);
        self.desks.lead_to(None);
        Ok(ended.with_context(|| format!("`{}` does not stop", self.id))??)
    }

    /// Waits until it has ended by itself.
    ///
    /// # Errors
    /// When it does not run, or does not end in time.
    pub async fn ended(&mut self) -> Result<ExitStatus> {
        let mut process = self.process.take().context("a running node")?;
        let ended = tokio::time::timeout(STOP, process.child.wait()).await;
        self.peers.lead_to(None);
        self.desks.lead_to(None);
        Ok(ended.with_context(|| format!("`{}` does not end", self.id))??)
    }

    /// Ends it at once, as a crash does (SIGKILL).
    ///
    /// # Errors
    /// When it does not run.
    pub async fn kill(&mut self) -> Result<()> {
        let mut process = self.process.take().context("a running node")?;
        self.peers.lead_to(None);
        self.desks.lead_to(None);
        Ok(process.child.kill().await?)
    }
}

async fn signal(name: &str, pid: u32) -> Result<()> {
    let command = format!("kill -{name} {pid}");
    let sent = Command::new("sh").arg("-c").arg(command).status().await?;
    ensure!(sent.success(), "no signal was sent");
    Ok(())
}

fn listening(text: &str) -> Result<Listening> {
    let address = |name: &str| -> Result<SocketAddr> {
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        Ok(line
            .with_context(|| format!("no `{name}` in {text:?}"))?
            .parse()?)
    };
    Ok(Listening {
        peers: address("peers")?,
        desks: address("desks")?,
    })
}
