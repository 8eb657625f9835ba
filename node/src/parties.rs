//! Chains of counterparts: fetched from their nodes, checked, kept for a while.
//!
//! A counterpart's roster, certificates and bundle are named by digest and fetched once; whatever
//! comes back is hashed and checked along the chain. Nothing here is state: what a message rested on
//! is stored with the entry that accepts the message.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use prost::Message as _;
use tonic::transport::Channel;
use waypost_policies::{Bundle, Rules};
use waypost_proto::directory::NodeRecord;
use waypost_proto::directory_file::VerifiedDirectory;
use waypost_proto::id::{AgencyId, Digest, Fingerprint, NodeId, Timestamp};
use waypost_proto::openpgp::Certificate;
use waypost_proto::party::{Party, PartyError};
use waypost_proto::reason::Reason;
use waypost_proto::tls::Identity;
use waypost_proto::wire;

use crate::host::Stop;
use crate::limit;
use crate::rpc::{self, peer_client::PeerClient};
use crate::tls::connector;

/// A counterpart as it is now: its chain, and its policy bundle.
#[derive(Debug, Clone)]
pub struct Counterpart {
    /// The checked chain.
    pub party: Arc<Party>,
    /// Its policy bundle.
    pub bundle: Arc<Bundle>,
    /// The bundle, compiled.
    pub rules: Arc<Rules>,
}

/// What a message says of a counterpart.
#[derive(Debug, Clone, Copy)]
pub struct Cited {
    /// The roster that its header cites.
    pub roster: Digest,
    /// The policy bundle that its manifest cites.
    pub bundle: Digest,
    /// The officer who signed, if the counterpart sent it.
    pub officer: Option<Fingerprint>,
}

impl Cited {
    /// Whether this is the counterpart that the message means, with the certificate that it needs.
    #[must_use]
    pub fn fits(&self, counterpart: &Counterpart) -> bool {
        let party = &counterpart.party;
        let officer = self.officer.is_none_or(|fingerprint| {
            party.any_officer(&fingerprint).is_some()
                || !party.roster().roster().officers.contains_key(&fingerprint)
        });
        party.roster().digest() == self.roster
            && counterpart.rules.digest() == self.bundle
            && officer
    }
}

type Compiled = (Arc<Bundle>, Arc<Rules>);

#[derive(Debug, Clone)]
struct Kept {
    counterpart: Counterpart,
    fetched: Timestamp,
    /// The directory whose record it rests on: another directory may say otherwise.
    directory: Digest,
}

/// Fetches and keeps chains of counterparts.
#[derive(Debug)]
pub struct Parties {
    identity: Identity,
    channels: Mutex<BTreeMap<NodeId, (NodeRecord, Channel)>>,
    kept: Mutex<BTreeMap<AgencyId, Kept>>,
    rules: Mutex<BTreeMap<Digest, Compiled>>,
    flights: Mutex<BTreeMap<AgencyId, Flight>>,
}

/// Held while a counterpart's node is asked; inside is when it was last asked for an offer of its own.
type Flight = Arc<tokio::sync::Mutex<Option<Timestamp>>>;

fn unavailable(detail: impl ToString) -> Stop {
    Stop::refuse(Reason::Unavailable, detail)
}

impl Parties {
    /// Connects as `identity`.
    #[must_use]
    pub fn new(identity: Identity) -> Self {
        Self {
            identity,
            channels: Mutex::default(),
            kept: Mutex::default(),
            rules: Mutex::default(),
            flights: Mutex::default(),
        }
    }

    /// A policy bundle that a counterpart uses.
    #[must_use]
    pub fn object(&self, kind: wire::ObjectType, digest: &Digest) -> Option<Vec<u8>> {
        let rules = self.rules.lock().unwrap_or_else(PoisonError::into_inner);
        match kind {
            wire::ObjectType::Bundle => rules.get(digest).map(|(bundle, _)| bundle.to_wire()),
            _ => None,
        }
    }

    /// A client of the node, over a connection pinned to its record.
    ///
    /// # Errors
    /// When no connection can be set up from the record.
    pub fn client(&self, node: &NodeRecord) -> Result<PeerClient<Channel>, Stop> {
        let mut channels = self.channels.lock().unwrap_or_else(PoisonError::into_inner);
        let channel = match channels.get(&node.id) {
            Some((record, channel)) if record == node => channel.clone(),
            _ => {
                let pins: Vec<Digest> = node.tls_keys().collect();
                let channel = connector::peer_channel(&node.peer_endpoint, &self.identity, &pins)
                    .map_err(unavailable)?;
                if channels.len() >= limit::PEER_CHANNELS {
                    channels.clear();
                }
                channels.insert(node.id.clone(), (node.clone(), channel.clone()));
                channel
            }
        };
        Ok(rpc::peer(channel))
    }

    /// The counterpart as a message cites it, from what is kept or from its node. That is asked by one
    /// at a time, and for offers of its own at most once in [`limit::PARTY_ASK_SECONDS`]: whoever cites
    /// what there is not cannot make this node ask at will.
    ///
    /// # Errors
    /// [`Reason::UnknownAgency`], [`Reason::Roster`], [`Reason::Unavailable`], [`Reason::Busy`].
    pub async fn citing(
        &self,
        directory: &VerifiedDirectory,
        agency: &AgencyId,
        cited: Cited,
        now: Timestamp,
    ) -> Result<Counterpart, Stop> {
        let fitting = || {
            let kept = self.kept(directory, agency)?;
            cited.fits(&kept.counterpart).then_some(kept.counterpart)
        };
        if let Some(counterpart) = fitting() {
            return Ok(counterpart);
        }
        let flight = self.flight(agency);
        let mut asked = flight.lock().await;
        // Whoever was before may have fetched it.
        if let Some(counterpart) = fitting() {
            return Ok(counterpart);
        }
        if cited.officer.is_some() {
            if asked.is_some_and(|at| now.since(at) < limit::PARTY_ASK_SECONDS) {
                let detail = "its node was asked a moment ago";
                return Err(Stop::refuse(Reason::Busy, detail));
            }
            *asked = Some(now);
        }
        let counterpart = self.fetch(directory, agency, cited.officer, now).await?;
        if counterpart.party.roster().digest() == cited.roster {
            Ok(counterpart)
        } else {
            Err(Stop::refuse(Reason::Roster, "ENV-07"))
        }
    }

    fn flight(&self, agency: &AgencyId) -> Flight {
        let mut flights = self.flights.lock().unwrap_or_else(PoisonError::into_inner);
        if flights.len() >= limit::PARTIES {
            flights.clear();
        }
        Arc::clone(flights.entry(agency.clone()).or_default())
    }

    /// The counterpart as it is now: what is kept, if it is recent, or from its node.
    ///
    /// # Errors
    /// As [`Self::citing`].
    pub async fn current(
        &self,
        directory: &VerifiedDirectory,
        agency: &AgencyId,
        now: Timestamp,
    ) -> Result<Counterpart, Stop> {
        match self.kept(directory, agency) {
            Some(kept) if now.since(kept.fetched) < limit::PARTY_SECONDS => Ok(kept.counterpart),
            _ => self.fetch(directory, agency, None, now).await,
        }
    }

    /// Forgets what is kept of a counterpart: it said that it has another roster, key or bundle now.
    pub fn forget(&self, agency: &AgencyId) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.remove(agency);
    }

    fn kept(&self, directory: &VerifiedDirectory, agency: &AgencyId) -> Option<Kept> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.get(agency)
            .filter(|k| k.directory == directory.head().digest())
            .cloned()
    }

    async fn fetch(
        &self,
        directory: &VerifiedDirectory,
        agency: &AgencyId,
        officer: Option<Fingerprint>,
        now: Timestamp,
    ) -> Result<Counterpart, Stop> {
        let unknown = || Stop::refuse(Reason::UnknownAgency, "not in the directory");
        let record = directory.agency(agency).ok_or_else(unknown)?;
        let certificate = directory.certificate(agency).ok_or_else(unknown)?;
        let node = directory.node(&record.node).ok_or_else(unknown)?;
        let mut client = self.client(node)?;
        let request = wire::CurrentRequest {
            agency: agency.to_string(),
        };
        let current = client
            .current(request)
            .await
            .map_err(|s| unavailable(s.code()))?
            .into_inner();
        let roster = current
            .roster
            .ok_or_else(|| unavailable("no roster"))?
            .encode_to_vec();
        let chain = |e: PartyError| Stop::refuse(Reason::Roster, e);
        let at_hand = self
            .kept(directory, agency)
            .map(|kept| kept.counterpart.party);
        let at_hand = at_hand
            .iter()
            .flat_map(|party| party.certificates().cloned());
        let mut party =
            Party::assemble(record.clone(), certificate, &roster, at_hand, now).map_err(chain)?;
        party
            .check_fresh(now)
            .map_err(|e| Stop::refuse(Reason::RosterExpired, e))?;
        supply(&mut client, &mut party, officer).await?;
        let digest = Digest::try_from(current.bundle.as_slice()).map_err(unavailable)?;
        let (bundle, rules) = self.bundle(&mut client, digest).await?;
        let counterpart = Counterpart {
            party: Arc::new(party),
            bundle,
            rules,
        };
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= limit::PARTIES {
            kept.clear();
        }
        let directory = directory.head().digest();
        kept.insert(
            agency.clone(),
            Kept {
                counterpart: counterpart.clone(),
                fetched: now,
                directory,
            },
        );
        Ok(counterpart)
    }

    async fn bundle(
        &self,
        client: &mut PeerClient<Channel>,
        digest: Digest,
    ) -> Result<Compiled, Stop> {
        match self.compiled(&digest) {
            Some(known) => Ok(known),
            None => self.compile(&object(client, wire::ObjectType::Bundle, digest).await?),
        }
    }

    fn compiled(&self, digest: &Digest) -> Option<Compiled> {
        let rules = self.rules.lock().unwrap_or_else(PoisonError::into_inner);
        rules.get(digest).cloned()
    }

    /// Compiles a bundle, once.
    ///
    /// # Errors
    /// [`Reason::Bundle`].
    pub(crate) fn compile(&self, bytes: &[u8]) -> Result<Compiled, Stop> {
        if let Some(known) = self.compiled(&Digest::of(bytes)) {
            return Ok(known);
        }
        let bundle = Bundle::from_wire(bytes).map_err(|e| Stop::refuse(Reason::Bundle, e))?;
        let rules = Rules::compile(&bundle).map_err(|e| Stop::refuse(Reason::Bundle, e))?;
        let compiled = (Arc::new(bundle), Arc::new(rules));
        let mut known = self.rules.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= limit::BUNDLES {
            known.clear();
        }
        known.insert(Digest::of(bytes), compiled.clone());
        Ok(compiled)
    }
}

/// Fetches the certificates of the desks, and of the officer who matters, that are not at hand.
async fn supply(
    client: &mut PeerClient<Channel>,
    party: &mut Party,
    officer: Option<Fingerprint>,
) -> Result<(), Stop> {
    for digest in party.missing_for(officer.as_ref()) {
        let bytes = object(client, wire::ObjectType::Certificate, digest).await?;
        let certificate =
            Certificate::parse(&bytes).map_err(|e| Stop::refuse(Reason::Roster, e))?;
        party.supply([certificate]);
    }
    Ok(())
}

async fn object(
    client: &mut PeerClient<Channel>,
    kind: wire::ObjectType,
    digest: Digest,
) -> Result<Vec<u8>, Stop> {
    let request = wire::ObjectRequest {
        r#type: kind.into(),
        digest: digest.as_bytes().to_vec(),
    };
    let reply = client
        .object(request)
        .await
        .map_err(|s| unavailable(s.code()))?
        .into_inner();
    if Digest::of(&reply.object) == digest {
        Ok(reply.object)
    } else {
        Err(unavailable("an object with another digest than asked for"))
    }
}
