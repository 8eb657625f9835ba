//! The limit: what any node must do at least, and nothing else.
//!
//! The same bytes over the same TLS with the same grouped commits, and the unavoidable signature checks:
//! the officer's, once in each process, and one Ed25519 signature each way a group. A commit holds rows
//! of the number and the sizes that a node's have (`TAKEN`, `SETTLED`), and comes with the vault's sync and the
//! store's. No gRPC, no policy, no tree, no proofs, no order, no cases, no checks of form, nothing read.
//!
//! ```text
//! driver ==TLS==> first process ==TLS==> second process
//!        <= done =  commit, later outcome  <= signed =  commit
//! ```
//!
//! Both are this program again, in processes of their own, as nodes are.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result, ensure};
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::sync::{mpsc, oneshot};
use tokio_rustls::{TlsAcceptor, TlsConnector, client, server};
use waypost_node::store::sled::SledStore;
use waypost_node::store::{Batch, Key, Space, Store};
use waypost_node::tls::key;
use waypost_node::vault::Vault;
use waypost_proto::context::Context;
use waypost_proto::id::{AgencyId, Digest, MessageId, NodeId};
use waypost_proto::openpgp::Certificate;
use waypost_proto::tls::{self, Identity};
use waypost_proto::wire;

/// The word that makes this program a process of the limit.
pub(crate) const WORD: &str = "--limit-process";
/// Messages of one commit, at most: as in a node.
const GROUP: usize = 256;
const SIGNATURE_BYTES: usize = 64;
/// Sizes of the rows that a node writes when it takes a message, besides header with signature and body:
/// entry, two hashes of the tree, state, list, case's list, case, order, queue or last seen.
const TAKEN: &[usize] = &[1100, 32, 32, 8, 16, 16, 64, 8, 64];
/// The same when the sender's node settles it: entry, two hashes, state, case, and the receipt.
const SETTLED: &[usize] = &[150, 32, 32, 8, 64, 1900];
/// The sender's evidence, which the recipient's node keeps besides.
const EVIDENCE: usize = 1900;
const ID_BYTES: usize = 16;

/// One message: an id of its own and the three parts.
struct Message {
    id: [u8; ID_BYTES],
    header: Vec<u8>,
    body: Vec<u8>,
    signature: Vec<u8>,
}

impl Message {
    fn encode(&self) -> Vec<u8> {
        let length = |part: &Vec<u8>| u32::try_from(part.len()).unwrap_or_default().to_be_bytes();
        [
            self.id.as_slice(),
            &length(&self.header),
            &length(&self.body),
            &self.header,
            &self.body,
            &self.signature,
        ]
        .concat()
    }

    fn decode(frame: &[u8]) -> Option<Self> {
        let (id, rest) = frame.split_first_chunk()?;
        let (header, rest) = rest.split_first_chunk()?;
        let (body, rest) = rest.split_first_chunk()?;
        let length = |bytes: &[u8; 4]| usize::try_from(u32::from_be_bytes(*bytes)).ok();
        let (header, rest) = rest.split_at_checked(length(header)?)?;
        let (body, signature) = rest.split_at_checked(length(body)?)?;
        Some(Self {
            id: *id,
            header: header.to_vec(),
            body: body.to_vec(),
            signature: signature.to_vec(),
        })
    }

    /// The officer's signature, checked as the stock node checks it.
    fn verify(&self, officer: &Certificate) -> Result<()> {
        let parts = [Digest::of(&self.header), Digest::of(&self.body)];
        let content = parts.map(|digest| *digest.as_bytes()).concat();
        let at = waypost_tests::scheme::now();
        officer.verify(Context::Envelope, &content, &self.signature, at)?;
        Ok(())
    }
}

/// Both processes, and a connection to the first.
pub(crate) struct Limit {
    first: Child,
    second: Child,
    client: Arc<Client>,
}

struct Client {
    frames: mpsc::Sender<Vec<u8>>,
    waiting: Mutex<HashMap<[u8; ID_BYTES], oneshot::Sender<()>>>,
}

impl Limit {
    /// Starts both processes in `folder`. Messages are signed with `officer`.
    pub(crate) async fn start(folder: &Path, officer: &Certificate) -> Result<Self> {
        std::fs::write(folder.join("officer.pgp"), officer.as_bytes())?;
        let (second, address) = spawn(folder, "second", None).await?;
        let (first, address) = spawn(folder, "first", Some(address)).await?;
        let (frames, queue) = mpsc::channel(GROUP);
        let client = Arc::new(Client {
            frames,
            waiting: Mutex::default(),
        });
        let stream = connect(
            address,
            &identity(folder, "driver")?,
            &identity(folder, "first")?,
        )
        .await?;
        let (reader, writer) = tokio::io::split(stream);
        tokio::spawn(write_frames(writer, queue));
        let answers = Arc::clone(&client);
        tokio::spawn(async move {
            let mut reader = BufReader::new(reader);
            while let Ok(frame) = read_frame(&mut reader).await {
                for id in frame.chunks_exact(ID_BYTES) {
                    let mut waiting = answers
                        .waiting
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner);
                    if let Some(done) = <[u8; ID_BYTES]>::try_from(id)
                        .ok()
                        .and_then(|id| waiting.remove(&id))
                    {
                        let _ = done.send(());
                    }
                }
            }
        });
        Ok(Self {
            first,
            second,
            client,
        })
    }

    /// Their processes.
    pub(crate) fn pids(&self) -> Result<[u32; 2]> {
        Ok([
            self.first.id().context("a process")?,
            self.second.id().context("a process")?,
        ])
    }

    /// Hands one message over, and waits until its receipt is verified and committed.
    pub(crate) async fn deliver(&self, envelope: wire::Envelope) -> Result<()> {
        let id = waypost_tests::letter::random()?;
        let message = Message {
            id,
            header: envelope.header,
            body: envelope.body,
            signature: envelope.signature,
        };
        let (done, waiting) = oneshot::channel();
        self.client
            .waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(id, done);
        self.client.frames.send(message.encode()).await?;
        Ok(waiting.await?)
    }

    /// Ends both.
    pub(crate) async fn stop(mut self) -> Result<()> {
        self.first.kill().await?;
        Ok(self.second.kill().await?)
    }
}

async fn spawn(folder: &Path, name: &str, next: Option<SocketAddr>) -> Result<(Child, SocketAddr)> {
    identity(folder, name)?;
    identity(folder, if name == "first" { "driver" } else { "first" })?;
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(WORD).arg(folder).arg(name);
    if let Some(next) = next {
        command.arg(next.to_string());
    }
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let mut lines = BufReader::new(child.stdout.take().context("its output")?).lines();
    let address = lines.next_line().await?.context("an address")?.parse()?;
    Ok((child, address))
}

/// The TLS key of a process, made when it is first asked for.
fn identity(folder: &Path, name: &str) -> Result<Identity> {
    let folder = folder.join(name);
    std::fs::create_dir_all(&folder)?;
    Ok(key::load_or_generate(&folder)?)
}

async fn connect(
    address: SocketAddr,
    own: &Identity,
    theirs: &Identity,
) -> Result<client::TlsStream<TcpStream>> {
    let config = tls::peer_client(own, &[theirs.digest()])?;
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let connector = TlsConnector::from(Arc::new(config));
    Ok(connector.connect(tls::server_name(), stream).await?)
}

async fn accept(
    listener: &TcpListener,
    own: &Identity,
    theirs: &Identity,
) -> Result<server::TlsStream<TcpStream>> {
    let (known, name): (_, NodeId) = (theirs.digest(), "gb.example".parse()?);
    let config = tls::peer_server(
        own,
        Arc::new(move |key: &Digest| (*key == known).then(|| name.clone()).is_some()),
    )?;
    let (stream, _) = listener.accept().await?;
    stream.set_nodelay(true)?;
    Ok(TlsAcceptor::from(Arc::new(config)).accept(stream).await?)
}

async fn read_frame(reader: &mut (impl AsyncReadExt + Unpin)) -> io::Result<Vec<u8>> {
    let length = reader.read_u32().await?;
    let mut frame = vec![0; usize::try_from(length).unwrap_or_default()];
    reader.read_exact(&mut frame).await?;
    Ok(frame)
}

/// Writes what waits, and flushes when nothing more does.
async fn write_frames(
    mut writer: impl AsyncWriteExt + Unpin,
    mut queue: mpsc::Receiver<Vec<u8>>,
) -> io::Result<()> {
    while let Some(mut frame) = queue.recv().await {
        loop {
            let length = u32::try_from(frame.len()).unwrap_or_default().to_be_bytes();
            writer
                .write_all(&[length.as_slice(), &frame].concat())
                .await?;
            match queue.try_recv() {
                Ok(next) => frame = next,
                Err(_) => break,
            }
        }
        writer.flush().await?;
    }
    Ok(())
}

/// What the commit thread does.
enum Work {
    /// A verified message.
    Message(Box<Message>),
    /// A group of ids with the second process's signature.
    Receipt(Vec<u8>),
}

/// One process of the limit: `folder name [address of the next]`.
pub(crate) async fn process(mut words: impl Iterator<Item = String>) -> Result<()> {
    let folder = words.next().context("a folder")?;
    let folder = Path::new(&folder);
    let name = words.next().context("a name")?;
    let next: Option<SocketAddr> = words.next().map(|word| word.parse()).transpose()?;
    let officer = Arc::new(Certificate::parse(&std::fs::read(
        folder.join("officer.pgp"),
    )?)?);
    let own = identity(folder, &name)?;
    let before = identity(folder, if name == "first" { "driver" } else { "first" })?;
    let forward = match next {
        Some(address) => Some(connect(address, &own, &identity(folder, "second")?).await?),
        None => None,
    };
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    announce(&listener)?;
    let stream = accept(&listener, &own, &before).await?;
    let (reader, writer) = tokio::io::split(stream);

    let (work, queue) = mpsc::channel(GROUP);
    let (back, answers) = mpsc::channel(GROUP);
    tokio::spawn(write_frames(writer, answers));
    let (on, forwarded) = mpsc::channel(GROUP);
    if let Some(stream) = forward {
        let (reader, writer) = tokio::io::split(stream);
        tokio::spawn(write_frames(writer, forwarded));
        let work = work.clone();
        tokio::spawn(async move {
            let mut reader = BufReader::new(reader);
            while let Ok(receipt) = read_frame(&mut reader).await {
                if work.send(Work::Receipt(receipt)).await.is_err() {
                    break;
                }
            }
        });
    }
    let committer = Committer::open(&folder.join(&name), next.is_some())?;
    let committing = std::thread::spawn(move || committer.run(queue, &back, &on));
    let mut reader = BufReader::new(reader);
    while let Ok(frame) = read_frame(&mut reader).await {
        let (officer, work) = (Arc::clone(&officer), work.clone());
        tokio::task::spawn_blocking(move || {
            let message = Message::decode(&frame).context("a message")?;
            message.verify(&officer)?;
            work.blocking_send(Work::Message(Box::new(message)))?;
            anyhow::Ok(())
        });
    }
    drop(work);
    let _ = committing.join();
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the driver reads where to connect")]
fn announce(listener: &TcpListener) -> Result<()> {
    println!("{}", listener.local_addr()?);
    Ok(())
}

/// The one writer: takes what waits, commits it at once, and hands it on.
struct Committer {
    store: SledStore,
    vault: Vault,
    agency: AgencyId,
    key: Ed25519KeyPair,
    forwards: bool,
    count: AtomicU64,
}

impl Committer {
    fn open(folder: &Path, forwards: bool) -> Result<Self> {
        // Both processes have the same key: what is counted is signing and checking.
        let key = Ed25519KeyPair::from_seed_unchecked(&[7; 32])
            .ok()
            .context("a key")?;
        Ok(Self {
            store: SledStore::open(&folder.join("store"))?,
            vault: Vault::open(&folder.join("vault.slots"))?,
            agency: "gb.example".parse()?,
            key,
            forwards,
            count: AtomicU64::new(0),
        })
    }

    fn run(
        self,
        mut queue: mpsc::Receiver<Work>,
        back: &mpsc::Sender<Vec<u8>>,
        on: &mpsc::Sender<Vec<u8>>,
    ) -> Result<()> {
        while let Some(first) = queue.blocking_recv() {
            let mut group = vec![first];
            while group.len() < GROUP {
                match queue.try_recv() {
                    Ok(work) => group.push(work),
                    Err(_) => break,
                }
            }
            self.commit(group, back, on)?;
        }
        Ok(())
    }

    fn commit(
        &self,
        group: Vec<Work>,
        back: &mpsc::Sender<Vec<u8>>,
        on: &mpsc::Sender<Vec<u8>>,
    ) -> Result<()> {
        let mut batch = Batch::new();
        let (mut messages, mut settled) = (Vec::new(), Vec::new());
        for work in group {
            match work {
                Work::Message(message) => {
                    let id = MessageId::new(message.id);
                    let rest = [message.header.as_slice(), &message.signature].concat();
                    batch.put(Key::of(&self.agency, Space::Message, &message.id), rest);
                    let sealed = self.vault.put(&self.agency, id, message.body.clone())?;
                    for (chunk, index) in sealed.chunks.into_iter().zip(0_u8..) {
                        let place = [message.id.as_slice(), &[index]].concat();
                        batch.put(Key::of(&self.agency, Space::BodyChunk, &place), chunk);
                    }
                    self.rows(&mut batch, Space::LogEntry, &message.id, TAKEN);
                    if !self.forwards {
                        self.rows(&mut batch, Space::Evidence, &message.id, &[EVIDENCE]);
                    }
                    messages.push(message);
                }
                Work::Receipt(receipt) => {
                    let (signature, ids) = receipt
                        .split_at_checked(SIGNATURE_BYTES)
                        .context("a receipt")?;
                    self.check(ids, signature)?;
                    for id in ids.chunks_exact(ID_BYTES) {
                        self.rows(&mut batch, Space::List, id, SETTLED);
                    }
                    settled.extend_from_slice(ids);
                }
            }
        }
        if !messages.is_empty() {
            self.vault.sync()?;
        }
        self.store.commit(batch)?;
        if self.forwards {
            for message in messages {
                on.blocking_send(message.encode())?;
            }
            if !settled.is_empty() {
                back.blocking_send(settled)?;
            }
        } else if !messages.is_empty() {
            let ids = messages.iter().flat_map(|m| m.id).collect::<Vec<_>>();
            let signature = self.key.sign(digest(&SHA256, &ids).as_ref());
            back.blocking_send([signature.as_ref(), &ids].concat())?;
        }
        Ok(())
    }

    /// Rows like a node's. Those of a log or a list have keys that grow, the others random ones.
    fn rows(&self, batch: &mut Batch, space: Space, id: &[u8], sizes: &[usize]) {
        let count = self.count.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        for (size, index) in sizes.iter().zip(0_u8..) {
            let key = match index {
                0..=2 => [count.as_slice(), &[index]].concat(),
                _ => [id, &[index]].concat(),
            };
            batch.put(Key::of(&self.agency, space, &key), vec![7; *size]);
        }
    }

    fn check(&self, ids: &[u8], signature: &[u8]) -> Result<()> {
        let key = UnparsedPublicKey::new(&ED25519, self.key.public_key().as_ref());
        let checked = key.verify(digest(&SHA256, ids).as_ref(), signature);
        ensure!(checked.is_ok(), "a receipt does not verify");
        Ok(())
    }
}
