//! The log is the commit (DESIGN 4): one thread that orders every change of every agency of the node.
//!
//! ```text
//! run(agency, closure) -> queue -> the closure stages changes and log entries
//!                               -> one checkpoint a touched log, signed
//!                               -> vault synced, one durable commit for all
//!                               -> all callers answered
//! ```
//!
//! INVARIANT (log is the commit): nothing is stored except in the commit that appends its log entry. A
//! transaction that stages a change and no entry is refused.
//!
//! INVARIANT (durable before answered): callers, checkpoints and notices leave after the commit.
//!
//! INVARIANT (one writer): a commit expects every touched head as this thread last saw it, so two
//! nodes on one store cannot sign two trees.
//!
//! After a failure whose outcome is unknown the thread stops, and the process must: the next start
//! reads the heads before anything is signed. There is no other recovery.

mod engine;
mod log;
mod tx;

use std::future::Future;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use tokio::sync::{broadcast, mpsc, oneshot, watch};
use waypost_proto::id::{AgencyId, Timestamp};

use self::engine::{Engine, Request, Work};
pub use self::log::{Head, Log, LogConfig, LogError, agencies, create_log};
pub use self::tx::{Tx, TxError};
use crate::clock::Clock;
use crate::limit;
use crate::store::{Store, StoreError};
use crate::vault::{Swept, Vault, VaultError};

/// Why a transaction was not committed, apart from its own rejection.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SequenceError {
    /// The node does not serve this agency.
    #[error("this node keeps no log of `{agency}`")]
    UnknownAgency {
        /// The agency.
        agency: AgencyId,
    },
    /// The transaction could not read or stage.
    #[error("the transaction failed")]
    Tx(#[source] TxError),
    /// It staged a change and no log entry: a bug of the caller.
    #[error("a change without a log entry was refused")]
    Unlogged,
    /// Nothing was written, because another writer was there; the caller may try again.
    #[error("nothing was written; try again")]
    Conflict(#[source] StoreError),
    /// A log could not be read anew. Fatal.
    #[error("a log failed")]
    Log(#[source] LogError),
    /// The outcome is unknown. Fatal.
    #[error("the store failed; whether the change was made is known after a restart")]
    Store(#[source] StoreError),
    /// The vault failed. Fatal.
    #[error("the vault failed")]
    Vault(#[source] VaultError),
    /// The sequencer has stopped: nothing of this transaction was done.
    #[error("the node is stopping")]
    Stopped,
    /// The sequencer's thread is gone, by a bug: the outcome is unknown.
    #[error("the sequencer is gone; whether the change was made is known after a restart")]
    Gone,
}

/// How a transaction ends without a commit.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Abort<R> {
    /// The closure decided against it; nothing is left of it.
    #[error("rejected")]
    Rejected(R),
    /// It failed.
    #[error("failed")]
    Failed(#[source] SequenceError),
}

impl<R> From<TxError> for Abort<R> {
    fn from(error: TxError) -> Self {
        Self::Failed(SequenceError::Tx(error))
    }
}

impl<R> From<SequenceError> for Abort<R> {
    fn from(error: SequenceError) -> Self {
        Self::Failed(error)
    }
}

/// A transaction that is durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed<T> {
    /// What the closure returned.
    pub value: T,
    /// Indices of its log entries; empty if it changed nothing.
    pub entries: Range<u64>,
    /// Time of its entries.
    pub time: Timestamp,
    /// Entries of the log, at least those of the transaction.
    pub size: u64,
    /// The signed checkpoint of that size.
    pub checkpoint: Arc<[u8]>,
}

/// A log has grown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appended {
    /// Whose log.
    pub agency: AgencyId,
    /// Its entries now, all of them durable.
    pub size: u64,
}

/// What the thread says of a transaction.
struct Done {
    entries: Range<u64>,
    time: Timestamp,
    size: u64,
    checkpoint: Arc<[u8]>,
}

/// How the thread is.
#[derive(Debug, Clone)]
enum Health {
    Running,
    Stopped,
    Failed(SequenceError),
}

/// Why the sequencer did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A log is missing, damaged, or another key's.
    #[error("a log cannot be continued")]
    Log(#[source] LogError),
    /// The store failed.
    #[error("the store cannot be read")]
    Store(#[source] StoreError),
    /// The vault failed.
    #[error("the vault cannot be swept")]
    Vault(#[from] VaultError),
    /// The operating system gave no thread.
    #[error("the sequencer's thread cannot be started")]
    Thread(#[source] io::Error),
}

/// The running sequencer. Dropping it leaves it running as long as there is a [`Handle`].
#[derive(Debug)]
pub struct Sequencer {
    handle: Handle,
    thread: JoinHandle<()>,
    swept: Swept,
}

impl Sequencer {
    /// Continues the logs of `logs` where the store has them, sweeps the vault, and starts the thread.
    ///
    /// # Errors
    /// See [`StartError`]. A log that does not exist is not made: see [`create_log`].
    pub fn start(
        store: Arc<dyn Store>,
        vault: Arc<Vault>,
        logs: Vec<LogConfig>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, StartError> {
        let (appended, _) = broadcast::channel(limit::NOTICES);
        // First: a store without these logs is not the one that the vault belongs to, and must not
        // be swept against.
        let engine =
            Engine::load(store, vault, clock, logs, appended.clone()).map_err(StartError::Log)?;
        let swept = engine.sweep()?;
        let (queue, requests) = mpsc::channel(limit::QUEUE_TRANSACTIONS);
        let (told, health) = watch::channel(Health::Running);
        let thread = thread::Builder::new()
            .name("sequencer".into())
            .spawn(move || engine.serve(requests, &told))
            .map_err(StartError::Thread)?;
        Ok(Self {
            handle: Handle {
                queue,
                appended,
                health,
            },
            thread,
            swept,
        })
    }

    /// To give it work.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// What the vault's sweep found at start. `missing` bodies are an operator's problem.
    #[must_use]
    pub const fn swept(&self) -> Swept {
        self.swept
    }

    /// Finishes what waits, refuses the rest, and ends.
    pub async fn shutdown(self) {
        // Both fail only if it has ended already.
        let _ = self.handle.queue.send(Request::Stop).await;
        let mut health = self.handle.health.clone();
        let _ = health
            .wait_for(|health| !matches!(health, Health::Running))
            .await;
        // The thread is at its last line.
        let _ = self.thread.join();
    }
}

/// Gives work to the sequencer.
#[derive(Debug, Clone)]
pub struct Handle {
    queue: mpsc::Sender<Request>,
    appended: broadcast::Sender<Appended>,
    health: watch::Receiver<Health>,
}

impl Handle {
    /// Runs `transaction` for `agency` on the sequencer's thread, and returns once what it staged is
    /// durable.
    ///
    /// The closure must be quick and do no I/O of its own: every agency waits for it. If it returns
    /// an error, nothing that it staged is left. It may change nothing and append nothing; its answer
    /// still waits until everything that it read is durable. A caller who stops waiting does not stop
    /// the transaction.
    ///
    /// # Errors
    /// [`Abort::Rejected`] with the closure's own reason, or [`Abort::Failed`].
    pub fn run<T, R, F>(
        &self,
        agency: &AgencyId,
        transaction: F,
    ) -> impl Future<Output = Result<Committed<T>, Abort<R>>> + Send + use<T, R, F>
    where
        T: Send + 'static,
        R: Send + 'static,
        F: FnOnce(&mut Tx<'_>) -> Result<T, Abort<R>> + Send + 'static,
    {
        let queued = self.queue(agency, transaction);
        async move { queued.await?.committed().await }
    }

    /// As [`Self::run`], but returns as soon as the transaction has its place: those that one caller
    /// queues one after the other run in that order, and mostly share a commit.
    ///
    /// # Errors
    /// [`SequenceError::Stopped`].
    pub fn queue<T, R, F>(
        &self,
        agency: &AgencyId,
        transaction: F,
    ) -> impl Future<Output = Result<Queued<T, R>, SequenceError>> + Send + use<T, R, F>
    where
        T: Send + 'static,
        R: Send + 'static,
        F: FnOnce(&mut Tx<'_>) -> Result<T, Abort<R>> + Send + 'static,
    {
        let queue = self.queue.clone();
        let agency = agency.clone();
        async move {
            let (reply, answer) = oneshot::channel();
            let work = Transaction {
                closure: Some(transaction),
                result: None,
                reply,
            };
            let sent = queue.send(Request::Run(agency, Box::new(work))).await;
            sent.map_err(|_| SequenceError::Stopped)?;
            Ok(Queued(answer))
        }
    }

    /// Tells of every log that grows, from now on. A subscriber that falls behind is told so by the
    /// channel, and looks at the logs themselves.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<Appended> {
        self.appended.subscribe()
    }

    /// Returns when the sequencer has failed: the process must end. Waits for ever if it was shut down.
    pub fn failed(&self) -> impl Future<Output = SequenceError> + Send + use<> {
        let mut health = self.health.clone();
        async move {
            let ended = health
                .wait_for(|health| !matches!(health, Health::Running))
                .await;
            match ended.map(|health| health.clone()) {
                Ok(Health::Failed(error)) => error,
                Ok(_) => std::future::pending().await,
                Err(_) => SequenceError::Gone,
            }
        }
    }
}

/// A transaction that has its place in the queue.
#[derive(Debug)]
pub struct Queued<T, R>(oneshot::Receiver<Result<Committed<T>, Abort<R>>>);

impl<T, R> Queued<T, R> {
    /// Returns once what the transaction staged is durable.
    ///
    /// # Errors
    /// As [`Handle::run`].
    pub async fn committed(self) -> Result<Committed<T>, Abort<R>> {
        let gone = Err(Abort::Failed(SequenceError::Gone));
        self.0.await.unwrap_or(gone)
    }
}

/// A closure on its way, and where its caller waits.
struct Transaction<T, R, F> {
    closure: Option<F>,
    result: Option<Result<T, Abort<R>>>,
    reply: oneshot::Sender<Result<Committed<T>, Abort<R>>>,
}

impl<T, R, F> Work for Transaction<T, R, F>
where
    T: Send,
    R: Send,
    F: FnOnce(&mut Tx<'_>) -> Result<T, Abort<R>> + Send,
{
    fn run(&mut self, tx: &mut Tx<'_>) -> bool {
        self.result = self.closure.take().map(|closure| closure(tx));
        matches!(self.result, Some(Ok(_)))
    }

    fn answer(self: Box<Self>, outcome: Result<Done, SequenceError>) {
        let answer = match (outcome, self.result) {
            (Ok(done), Some(Ok(value))) => Ok(Committed {
                value,
                entries: done.entries,
                time: done.time,
                size: done.size,
                checkpoint: done.checkpoint,
            }),
            (Ok(_), Some(Err(abort))) => Err(abort),
            (Ok(_), None) => Err(Abort::Failed(SequenceError::Stopped)),
            (Err(error), _) => Err(Abort::Failed(error)),
        };
        // The caller may have stopped waiting.
        let _ = self.reply.send(answer);
    }
}

#[cfg(test)]
mod tests;
