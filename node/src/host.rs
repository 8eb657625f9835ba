//! What a running node holds: the directory, the agencies that it hosts, and the parts that serve them.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use waypost_policies::{Bundle, Rules};
use waypost_proto::directories::Directories;
use waypost_proto::id::{AgencyId, NodeId, Timestamp};
use waypost_proto::note::Verifier;
use waypost_proto::party::Party;
use waypost_proto::reason::Reason;

use crate::clock::Clock;
use crate::inbound::Turns;
use crate::parties::Parties;
use crate::refusals::Refusals;
use crate::relay::Wake;
use crate::sequencer::{Abort, Handle};
use crate::store::{Store, StoreError};
use crate::tls::PeerNames;
use crate::vault::Vault;

/// An agency that this node hosts.
#[derive(Debug)]
pub struct Agency {
    /// Its id.
    pub id: AgencyId,
    /// Its current policy bundle.
    pub bundle: Arc<Bundle>,
    /// That bundle, compiled.
    pub rules: Arc<Rules>,
    /// Verifies its log's checkpoints.
    pub log_key: Verifier,
    own: RwLock<Arc<Party>>,
}

impl Agency {
    /// An agency with its current chain.
    #[must_use]
    pub fn new(own: Party, bundle: Arc<Bundle>, rules: Arc<Rules>, log_key: Verifier) -> Self {
        Self {
            id: own.record().id.clone(),
            bundle,
            rules,
            log_key,
            own: RwLock::new(Arc::new(own)),
        }
    }

    /// The agency's own chain: record, roster, certificates.
    #[must_use]
    pub fn own(&self) -> Arc<Party> {
        Arc::clone(&self.own.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts the same chain in force under another record of the directory. No roster comes between.
    pub(crate) fn renew_own<E>(
        &self,
        renew: impl FnOnce(&Party) -> Result<Party, E>,
    ) -> Result<(), E> {
        let mut own = self.own.write().unwrap_or_else(PoisonError::into_inner);
        *own = Arc::new(renew(&own)?);
        Ok(())
    }

    /// Puts a newer chain in force. Its acceptance is in the log before.
    pub(crate) fn replace_own(&self, own: Party) {
        let version = |party: &Party| party.roster().roster().version;
        let mut current = self.own.write().unwrap_or_else(PoisonError::into_inner);
        if version(&own) > version(&current) {
            *current = Arc::new(own);
        }
    }
}

/// A running node.
#[derive(Debug)]
pub struct Node {
    /// Its id.
    pub id: NodeId,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Durable records.
    pub store: Arc<dyn Store>,
    /// Body keys.
    pub vault: Arc<Vault>,
    /// The one writer.
    pub sequencer: Handle,
    /// Chains of counterparts.
    pub parties: Parties,
    /// Refusals, capped per peer.
    pub refusals: Refusals,
    /// Wakes the relay.
    pub wake: Wake,
    /// Keeps requests of one pair of agencies in order.
    pub turns: Turns,
    agencies: BTreeMap<AgencyId, Arc<Agency>>,
    directories: RwLock<Arc<Directories>>,
}

/// The parts of a [`Node`].
#[derive(Debug)]
pub struct Parts {
    /// Its id.
    pub id: NodeId,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Durable records.
    pub store: Arc<dyn Store>,
    /// Body keys.
    pub vault: Arc<Vault>,
    /// The one writer.
    pub sequencer: Handle,
    /// Chains of counterparts.
    pub parties: Parties,
    /// Agencies hosted.
    pub agencies: Vec<Agency>,
    /// The directories in force.
    pub directories: Arc<Directories>,
}

impl Node {
    /// Puts the parts together.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        Self {
            id: parts.id,
            clock: parts.clock,
            store: parts.store,
            vault: parts.vault,
            sequencer: parts.sequencer,
            parties: parts.parties,
            refusals: Refusals::default(),
            wake: Wake::default(),
            turns: Turns::default(),
            agencies: parts
                .agencies
                .into_iter()
                .map(|a| (a.id.clone(), Arc::new(a)))
                .collect(),
            directories: RwLock::new(parts.directories),
        }
    }

    /// The time now.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// A hosted agency.
    #[must_use]
    pub fn agency(&self, id: &AgencyId) -> Option<&Arc<Agency>> {
        self.agencies.get(id)
    }

    /// Every hosted agency.
    pub fn agencies(&self) -> impl Iterator<Item = &Arc<Agency>> {
        self.agencies.values()
    }

    /// The directories in force.
    #[must_use]
    pub fn directory(&self) -> Arc<Directories> {
        Arc::clone(
            &self
                .directories
                .read()
                .unwrap_or_else(PoisonError::into_inner),
        )
    }

    /// Names peers by their TLS keys, by the directories of the moment.
    #[must_use]
    pub fn peer_names(self: &Arc<Self>) -> PeerNames {
        let node = Arc::clone(self);
        Arc::new(move |key| {
            node.directory()
                .node_of_tls_key(key)
                .map(|record| record.id.clone())
        })
    }

    /// Puts newer directories in force. Their acceptance is in every agency's log before.
    pub(crate) fn replace_directories(&self, directories: Arc<Directories>) {
        *self
            .directories
            .write()
            .unwrap_or_else(PoisonError::into_inner) = directories;
    }

    /// Whether the agency's directory or its own roster is past its validity.
    #[must_use]
    pub fn is_degraded(&self, agency: &Agency) -> bool {
        let now = self.now();
        !self.directory().is_fresh(&agency.id.country(), now)
            || !agency.own().roster().is_fresh(now)
    }
}

/// Why a message was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Stop {
    /// For a reason that the other side is told.
    #[error("refused: {reason}")]
    Refused {
        /// The reason.
        reason: Reason,
        /// The numbered check or rule that failed, without content.
        detail: String,
    },
    /// The proof starts from another size than the one last seen.
    #[error("refused: last-seen-differs")]
    LastSeen {
        /// The size last seen.
        size: u64,
    },
    /// Something here failed; traced where it happened.
    #[error("this node could not finish")]
    Failed,
}

impl Stop {
    /// A refusal.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "errors are passed as they come"
    )]
    pub fn refuse(reason: Reason, detail: impl ToString) -> Self {
        Self::Refused {
            reason,
            detail: detail.to_string(),
        }
    }

    /// The reason that the other side is told.
    #[must_use]
    pub const fn reason(&self) -> Reason {
        match self {
            Self::Refused { reason, .. } => *reason,
            Self::LastSeen { .. } => Reason::LastSeenDiffers,
            Self::Failed => Reason::Unavailable,
        }
    }
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "the store failed");
        Self::Failed
    }
}

impl From<crate::record::Corrupt> for Stop {
    fn from(error: crate::record::Corrupt) -> Self {
        tracing::error!(%error, "the store holds something unreadable");
        Self::Failed
    }
}

impl From<crate::record::Corrupt> for Abort<Stop> {
    fn from(error: crate::record::Corrupt) -> Self {
        Self::Rejected(Stop::from(error))
    }
}

impl From<Abort<Self>> for Stop {
    fn from(abort: Abort<Self>) -> Self {
        match abort {
            Abort::Rejected(stop) => stop,
            Abort::Failed(error) => {
                tracing::error!(%error, "a transaction failed");
                Self::Failed
            }
        }
    }
}
