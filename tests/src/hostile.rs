//! A hostile node: a process of its own, with the TLS key and the log key that the directory names for
//! an agency, that lies as it is told.
//!
//! The process (`hostile-peer`) stands beside the agency's real node or in its place. It serves the
//! peer service with a [`Conduct`], and calls other nodes with any bytes. It reads [`Order`]s from
//! standard input and writes a [`Report`] for each.
//!
//! ```text
//! test --Order--> hostile-peer ==TLS, registered key==> waypost-node
//! test <-Report-- hostile-peer <==TLS, registered key== waypost-node
//! ```

pub mod history;
pub mod order;
pub mod raw;
pub mod service;

use std::net::SocketAddr;
use std::process::Stdio;

use anyhow::{Context as _, Result, bail};
use prost::Message;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use waypost_proto::wire;

use crate::node::{self, Node};
use crate::peer::{self, Answer};
use order::{Call, Chain, Conduct, Offer, Order, Reply, Report, What};

/// The RPC of a delivery.
pub const DELIVER: &str = "/waypost.v1.Peer/Deliver";
/// Calls at once that a test asks for.
const ONCE: u32 = 1;

/// A running hostile node. Dropping it ends the process.
#[derive(Debug)]
pub struct Hostile {
    child: Child,
    orders: ChildStdin,
    reports: ChildStdout,
    address: SocketAddr,
}

impl Hostile {
    /// Starts it with the keys of `node`, which may run or not; nobody is led to it.
    ///
    /// # Errors
    /// What it says instead of its address.
    pub async fn beside(node: &Node, conduct: Conduct) -> Result<Self> {
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(node.folder().join("hostile.log"))?;
        let mut child = Command::new(node::binary("hostile-peer")?)
            .arg(node.config())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()?;
        let orders = child.stdin.take().context("standard input")?;
        let mut reports = child.stdout.take().context("standard output")?;
        let ready: Reply = read(&mut reports).await.with_context(|| {
            let said = std::fs::read_to_string(node.folder().join("hostile.log"));
            format!(
                "the hostile node does not start: {}",
                said.unwrap_or_default()
            )
        })?;
        let address = ready.text.parse()?;
        let mut hostile = Self {
            child,
            orders,
            reports,
            address,
        };
        hostile.behave(conduct).await?;
        Ok(hostile)
    }

    /// Starts it in the place of `node`: whoever calls that node's endpoint gets here.
    ///
    /// # Errors
    /// As [`Self::beside`].
    pub async fn instead_of(node: &Node, conduct: Conduct) -> Result<Self> {
        let hostile = Self::beside(node, conduct).await?;
        node.peers.lead_to(Some(hostile.address));
        Ok(hostile)
    }

    async fn tell(&mut self, what: What) -> Result<Vec<Reply>> {
        let order = Order { what: Some(what) };
        let bytes = order.encode_length_delimited_to_vec();
        self.orders.write_all(&bytes).await?;
        self.orders.flush().await?;
        let report: Report = read(&mut self.reports).await?;
        Ok(report.replies)
    }

    /// Changes what it does with what it is sent. Calls that it leaves unanswered are cut off.
    ///
    /// # Errors
    /// When the process is gone.
    pub async fn behave(&mut self, conduct: Conduct) -> Result<()> {
        self.tell(What::Conduct(conduct.into())).await?;
        Ok(())
    }

    /// Serves another roster than the registered one, and these certificates.
    ///
    /// # Errors
    /// When the process is gone.
    pub async fn show(&mut self, roster: Vec<u8>, certificates: Vec<Vec<u8>>) -> Result<()> {
        let chain = Chain {
            roster,
            certificates,
        };
        self.tell(What::Chain(chain)).await?;
        Ok(())
    }

    /// Calls a node past every link, with exactly these bytes.
    ///
    /// # Errors
    /// When the process is gone; what the node says is a reply.
    pub async fn call(&mut self, to: &Node, path: &str, request: Vec<u8>) -> Result<Reply> {
        let mut replies = self.call_at_once(to, path, request, ONCE).await?;
        replies.pop().context("a reply")
    }

    /// The same, several times at once, each on a connection of its own.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn call_at_once(
        &mut self,
        to: &Node,
        path: &str,
        request: Vec<u8>,
        at_once: u32,
    ) -> Result<Vec<Reply>> {
        let call = Call {
            endpoint: to.listening()?.peers.to_string(),
            pin: to.pin()?.as_bytes().to_vec(),
            path: path.to_owned(),
            request,
            at_once,
        };
        self.tell(What::Call(call)).await
    }

    /// Offers a message with evidence of another's making.
    ///
    /// # Errors
    /// When the node gives no answer to it.
    pub async fn deliver(&mut self, to: &Node, request: &wire::DeliverRequest) -> Result<Answer> {
        answer(&self.call(to, DELIVER, request.encode_to_vec()).await?)
    }

    /// The same offer, several times at once.
    ///
    /// # Errors
    /// As [`Self::deliver`].
    pub async fn deliver_at_once(
        &mut self,
        to: &Node,
        request: &wire::DeliverRequest,
        at_once: u32,
    ) -> Result<Vec<Answer>> {
        let request = request.encode_to_vec();
        let replies = self.call_at_once(to, DELIVER, request, at_once).await?;
        replies.iter().map(answer).collect()
    }

    /// Enters a message into the hostile log and offers it with honest evidence of that.
    ///
    /// # Errors
    /// When the node gives no answer to it.
    pub async fn offer(&mut self, to: &Node, envelope: wire::Envelope) -> Result<Answer> {
        self.offer_as(to, envelope, Offer::default()).await
    }

    /// The same, as `offer` says otherwise.
    ///
    /// # Errors
    /// As [`Self::offer`].
    pub async fn offer_as(
        &mut self,
        to: &Node,
        envelope: wire::Envelope,
        offer: Offer,
    ) -> Result<Answer> {
        let offer = Offer {
            endpoint: to.listening()?.peers.to_string(),
            pin: to.pin()?.as_bytes().to_vec(),
            envelope: Some(envelope),
            ..offer
        };
        let replies = self.tell(What::Offer(offer)).await?;
        answer(replies.last().context("a reply")?)
    }

    /// Waits until it has ended by itself, as [`Conduct::Dies`] makes it.
    ///
    /// # Errors
    /// When it cannot be waited for.
    pub async fn ended(&mut self) -> Result<()> {
        self.child.wait().await?;
        Ok(())
    }
}

/// What a node answered to an offer.
fn answer(reply: &Reply) -> Result<Answer> {
    if reply.code != 0 {
        bail!("status {}: {}", reply.code, reply.text);
    }
    peer::answer(wire::DeliverReply::decode(reply.bytes.as_slice())?)
}

/// Reads one message with its length before it.
async fn read<M: Message + Default>(from: &mut ChildStdout) -> Result<M> {
    let mut length = Vec::new();
    loop {
        let byte = from.read_u8().await?;
        length.push(byte);
        if byte & 0x80 == 0 {
            break;
        }
    }
    let length = prost::decode_length_delimiter(length.as_slice())?;
    let mut bytes = vec![0; length];
    from.read_exact(&mut bytes).await?;
    Ok(M::decode(bytes.as_slice())?)
}
