//! A stretch of network in front of a listener, which a test may cut.

use std::net::SocketAddr;

use anyhow::Result;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What a link lets through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passage {
    /// Everything.
    Open,
    /// Nothing: connections break, and new ones are closed at once.
    Cut,
    /// What callers send, and no answer.
    NoAnswers,
}

#[derive(Debug, Clone, Copy)]
struct State {
    target: Option<SocketAddr>,
    passage: Passage,
}

/// A forwarding listener. Its address stays the same while what stands behind it comes and goes.
#[derive(Debug)]
pub struct Link {
    address: SocketAddr,
    state: watch::Sender<State>,
    task: JoinHandle<()>,
}

impl Link {
    /// A link that leads nowhere yet.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn open() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (state, watched) = watch::channel(State {
            target: None,
            passage: Passage::Open,
        });
        let task = tokio::spawn(serve(listener, watched));
        Ok(Self {
            address,
            state,
            task,
        })
    }

    /// Where callers connect.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it leads; nowhere: new connections are closed at once.
    pub fn lead_to(&self, target: Option<SocketAddr>) {
        self.state.send_modify(|state| state.target = target);
    }

    /// What it lets through, from now on, on connections that exist as well.
    pub fn set(&self, passage: Passage) {
        self.state.send_modify(|state| state.passage = passage);
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(listener: TcpListener, state: watch::Receiver<State>) {
    while let Ok((caller, _)) = listener.accept().await {
        let state = state.clone();
        tokio::spawn(async move {
            // A broken connection ends here; both ends see it.
            let _ = carry(caller, state).await;
        });
    }
}

async fn carry(caller: TcpStream, mut state: watch::Receiver<State>) -> std::io::Result<()> {
    let now = *state.borrow_and_update();
    let (Passage::Open | Passage::NoAnswers, Some(target)) = (now.passage, now.target) else {
        return Ok(());
    };
    let called = TcpStream::connect(target).await?;
    caller.set_nodelay(true)?;
    called.set_nodelay(true)?;
    let (from_caller, to_caller) = caller.into_split();
    let (from_called, to_called) = called.into_split();
    let answers = state.clone();
    tokio::select! {
        ended = copy(from_caller, to_called, || true) => ended,
        ended = copy(from_called, to_caller, || answers.borrow().passage == Passage::Open) => ended,
        _ = state.wait_for(|state| state.passage == Passage::Cut) => Ok(()),
    }
}

async fn copy(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    passes: impl Fn() -> bool,
) -> std::io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = from.read(&mut buffer).await?;
        let Some(bytes) = buffer.get(..read).filter(|bytes| !bytes.is_empty()) else {
            return Ok(());
        };
        if passes() {
            to.write_all(bytes).await?;
        }
    }
}
