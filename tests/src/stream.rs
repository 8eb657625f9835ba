//! A stream of messages from one agency to another, by officers who try again until they are answered.

use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;
use waypost_proto::checkpoint::SignedCheckpoint;
use waypost_proto::id::MessageId;
use waypost_proto::openpgp::SigningKey;
use waypost_proto::reason::{Fate, Reason};
use waypost_proto::wire;

use crate::letter::{Ends, Letter};
use crate::officer::{Badge, Officer, Submitted};
use crate::wait::Waiting;

/// Sealed messages that wait for an officer.
const SEALED_AHEAD: usize = 64;

/// A sealed message.
#[derive(Debug, Clone)]
pub struct Ready {
    /// Its id.
    pub id: MessageId,
    /// Its bytes.
    pub envelope: wire::Envelope,
}

/// A message whose submission was answered: from here on it must not be lost.
#[derive(Debug, Clone)]
pub struct Promised {
    /// Its id.
    pub id: MessageId,
    /// The answer: the entry of the sender's log, and its proof.
    pub evidence: wire::Evidence,
}

/// An officer whose connection may break at any time.
#[derive(Debug)]
pub struct Client {
    badge: Badge,
    officer: Option<Officer>,
}

impl Client {
    /// Nobody is logged in yet.
    #[must_use]
    pub const fn new(badge: Badge) -> Self {
        Self {
            badge,
            officer: None,
        }
    }

    /// Somebody who is logged in: over a new connection if the last one broke.
    async fn officer(&mut self) -> Result<&mut Officer> {
        let officer = match self.officer.take() {
            Some(officer) => officer,
            None => self.badge.log_in().await?,
        };
        Ok(self.officer.insert(officer))
    }

    /// Submits the same bytes until they are acknowledged.
    ///
    /// # Errors
    /// When they are refused for good, or not acknowledged in time.
    pub async fn submit(&mut self, ready: &Ready) -> Result<Promised> {
        let waiting = Waiting::for_this("a submission is acknowledged");
        loop {
            match self.submit_once(ready).await {
                Ok(Submitted::Logged(evidence)) => {
                    return Ok(Promised {
                        id: ready.id,
                        evidence,
                    });
                }
                Ok(Submitted::Refused(reason)) if is_passing(&reason) => {}
                Ok(Submitted::Refused(reason)) => bail!("{} was refused: {reason}", ready.id),
                Err(_) => self.officer = None,
            }
            waiting.pause().await?;
        }
    }

    async fn submit_once(&mut self, ready: &Ready) -> Result<Submitted> {
        let envelope = ready.envelope.clone();
        self.officer().await?.submit(envelope).await
    }

    /// The size of the agency's log.
    ///
    /// # Errors
    /// When the node does not answer in time.
    pub async fn log_size(&mut self) -> Result<u64> {
        let waiting = Waiting::for_this("a log tells its size");
        loop {
            match self.log_size_once().await {
                Ok(size) => return Ok(size),
                Err(_) => self.officer = None,
            }
            waiting.pause().await?;
        }
    }

    async fn log_size_once(&mut self) -> Result<u64> {
        let request = wire::LogCheckpointRequest {};
        let officer = self.officer().await?;
        let reply = officer.desk.log_checkpoint(request).await?.into_inner();
        let key = reply.vkey.trim_end().parse()?;
        Ok(SignedCheckpoint::verify(&reply.checkpoint, &key)?.size())
    }
}

fn is_passing(reason: &str) -> bool {
    reason
        .parse::<Reason>()
        .is_ok_and(|reason| reason.fate() == Fate::Later)
}

/// Seals a referral.
///
/// # Errors
/// When a key does not serve.
pub fn seal(ends: &Ends, signing: &SigningKey) -> Result<Ready> {
    let letter = Letter::referral_of(4096)?;
    Ok(Ready {
        id: letter.id,
        envelope: ends.seal(&letter, signing)?.into_wire(),
    })
}

/// Seals `count` messages and submits them, as one client a badge at the same time.
///
/// # Errors
/// What a client says.
pub async fn send(
    badges: Vec<Badge>,
    ends: Ends,
    signing: SigningKey,
    count: usize,
) -> Result<Vec<Promised>> {
    let (queue, sealed) = mpsc::channel(SEALED_AHEAD);
    let sealing = tokio::task::spawn_blocking(move || -> Result<()> {
        for _ in 0..count {
            let sent = queue.blocking_send(seal(&ends, &signing)?);
            sent.context("the clients are gone")?;
        }
        Ok(())
    });
    let sealed = Arc::new(Mutex::new(sealed));
    let mut clients = JoinSet::new();
    for badge in badges {
        let sealed = Arc::clone(&sealed);
        clients.spawn(async move {
            let mut client = Client::new(badge);
            let mut promised = Vec::new();
            loop {
                let next = sealed.lock().await.recv().await;
                let Some(ready) = next else {
                    return anyhow::Ok(promised);
                };
                promised.push(client.submit(&ready).await?);
            }
        });
    }
    let mut promised = Vec::new();
    while let Some(client) = clients.join_next().await {
        promised.extend(client??);
    }
    sealing.await??;
    Ok(promised)
}
