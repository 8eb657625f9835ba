//! Reading what a node keeps: messages, last seen checkpoints, evidence, chains.

use prost::Message as _;
use tonic::Status;
use waypost_proto::directories::Directories;
use waypost_proto::directory_file::VerifiedDirectory;
use waypost_proto::id::{AgencyId, Digest, MessageId, Timestamp};
use waypost_proto::openpgp::Certificate;
use waypost_proto::party::Party;
use waypost_proto::reason::Reason;
use waypost_proto::wire;

use crate::body;
use crate::host::{Node, Stop};
use crate::parties::{Cited, Counterpart};
use crate::record;
use crate::sequencer::{Log, LogError};

/// A signed roster, and the exact bytes of certificates.
pub type AcceptedChain = (wire::Signed, Vec<Vec<u8>>);

impl Node {
    /// A message of the agency.
    ///
    /// # Errors
    /// When the store fails.
    pub fn message(
        &self,
        agency: &AgencyId,
        id: &MessageId,
    ) -> Result<Option<record::Message>, Stop> {
        let stored = self.store.get(&record::message(agency, id))?;
        Ok(stored.as_deref().map(record::Message::decode).transpose()?)
    }

    /// Where a message of the agency stands.
    ///
    /// # Errors
    /// When the store fails.
    pub fn state(&self, agency: &AgencyId, id: &MessageId) -> Result<Option<record::State>, Stop> {
        let stored = self.store.get(&record::state(agency, id))?;
        Ok(stored.as_deref().map(record::State::decode).transpose()?)
    }

    /// The detached signature of a message.
    ///
    /// # Errors
    /// When the store fails, or there is no such message.
    pub fn signature(&self, agency: &AgencyId, id: &MessageId) -> Result<Vec<u8>, Stop> {
        let stored = self.store.get(&record::signature(agency, id))?;
        stored.ok_or_else(|| {
            tracing::error!(message = %id, "the signature of a message is missing");
            Stop::Failed
        })
    }

    /// What was last seen of a counterpart's log.
    ///
    /// # Errors
    /// When the store fails.
    pub fn seen(
        &self,
        agency: &AgencyId,
        counterpart: &AgencyId,
    ) -> Result<Option<record::Seen>, Stop> {
        let stored = self.store.get(&record::seen(agency, counterpart))?;
        Ok(stored.as_deref().map(record::Seen::decode).transpose()?)
    }

    /// An entry of the agency's log, proved at its current checkpoint, consistent from `from`.
    ///
    /// # Errors
    /// When the store fails, or the other side claims a size that the log does not have.
    pub fn evidence(
        &self,
        agency: &AgencyId,
        index: u64,
        from: u64,
    ) -> Result<wire::Evidence, Stop> {
        let evidence = self.log(agency).evidence(index, from);
        evidence.map_err(|error| unproved(agency, &error))
    }

    /// Entries of the agency's log, all proved at its current checkpoint: the first consistent from
    /// `from`, the others from that checkpoint. Gives its size besides.
    ///
    /// # Errors
    /// As [`Self::evidence`].
    pub fn evidences(
        &self,
        agency: &AgencyId,
        indexes: impl IntoIterator<Item = u64>,
        from: u64,
    ) -> Result<(u64, Vec<wire::Evidence>), Stop> {
        let evidences = self.log(agency).evidences(indexes, from);
        evidences.map_err(|error| unproved(agency, &error))
    }

    /// The body of a message.
    ///
    /// # Errors
    /// When the vault or the store fails, or the body was erased.
    pub fn open_body(&self, agency: &AgencyId, id: &MessageId) -> Result<Vec<u8>, Stop> {
        let read = body::read(self.store.as_ref(), &self.vault, agency, *id).map_err(|error| {
            tracing::error!(%error, message = %id, "a body could not be read");
            Stop::Failed
        })?;
        read.ok_or_else(|| Stop::refuse(Reason::Unavailable, "the body was erased"))
    }

    /// The agency's log.
    #[must_use]
    pub fn log(&self, agency: &AgencyId) -> Log {
        Log::new(std::sync::Arc::clone(&self.store), agency.clone())
    }

    /// Entries of the agency's log.
    ///
    /// # Errors
    /// As a status: the log cannot be read.
    pub fn log_size(&self, agency: &AgencyId) -> Result<u64, Status> {
        self.log(agency)
            .head()
            .map(|head| head.size)
            .map_err(|error| unreadable(&error))
    }

    /// The first entries of a range of the agency's log.
    ///
    /// # Errors
    /// As a status: the log cannot be read.
    pub fn log_entries(
        &self,
        agency: &AgencyId,
        range: std::ops::Range<u64>,
    ) -> Result<Vec<Vec<u8>>, Status> {
        self.log(agency)
            .entries(range)
            .map_err(|error| unreadable(&error))
    }

    /// A counterpart as a message cites it: hosted here, from its node, or, when that cannot be
    /// reached, as it was last accepted into this node's logs.
    ///
    /// # Errors
    /// As [`crate::parties::Parties::citing`]; [`Reason::Degraded`] when its country's directory is
    /// past its validity.
    pub async fn counterpart(
        &self,
        directories: &Directories,
        agency: &AgencyId,
        cited: Cited,
        now: Timestamp,
    ) -> Result<Counterpart, Stop> {
        let country = agency.country();
        let Some(directory) = directories.of(&country) else {
            return Err(Stop::refuse(
                Reason::UnknownAgency,
                "no directory of its country",
            ));
        };
        if !directory.head().is_fresh(now) {
            let detail = format!("the directory of `{country}` is past its validity");
            return Err(Stop::refuse(Reason::Degraded, detail));
        }
        if let Some(hosted) = self.hosted(agency) {
            return if hosted.party.roster().digest() == cited.roster {
                Ok(hosted)
            } else {
                Err(Stop::refuse(Reason::Roster, "ENV-07"))
            };
        }
        match self.parties.citing(directory, agency, cited, now).await {
            // What was accepted before serves only if it is what the message means: an outage must
            // not end a message.
            Err(stop) if stop.reason() == Reason::Unavailable => self
                .last_accepted(directory, agency, now)?
                .filter(|counterpart| cited.fits(counterpart))
                .ok_or(stop),
            other => other,
        }
    }

    /// A counterpart as it is now.
    ///
    /// # Errors
    /// As [`crate::parties::Parties::current`].
    pub async fn counterpart_now(
        &self,
        directory: &VerifiedDirectory,
        agency: &AgencyId,
        now: Timestamp,
    ) -> Result<Counterpart, Stop> {
        match self.hosted(agency) {
            Some(counterpart) => Ok(counterpart),
            None => match self.parties.current(directory, agency, now).await {
                Err(stop) if stop.reason() == Reason::Unavailable => {
                    self.last_accepted(directory, agency, now)?.ok_or(stop)
                }
                other => other,
            },
        }
    }

    /// A counterpart whose node cannot be reached, as it was last accepted into a log of this node:
    /// its chain is checked anew, and an expired roster does not serve.
    fn last_accepted(
        &self,
        directory: &VerifiedDirectory,
        whose: &AgencyId,
        now: Timestamp,
    ) -> Result<Option<Counterpart>, Stop> {
        let (Some(record), Some(certificate)) =
            (directory.agency(whose), directory.certificate(whose))
        else {
            return Ok(None);
        };
        for agency in self.agencies() {
            let store = self.store.as_ref();
            let roster = record::accepted(store, &record::roster(&agency.id, whose))?;
            let bundle = record::accepted(store, &record::bundle(&agency.id, whose))?;
            let (Some(roster), Some(bundle)) = (roster, bundle) else {
                continue;
            };
            let roster = self.object(&agency.id, wire::ObjectType::Roster, &roster.digest)?;
            let bundle = self.object(&agency.id, wire::ObjectType::Bundle, &bundle.digest)?;
            let (Some(roster), Some(bundle)) = (roster, bundle) else {
                continue;
            };
            let Ok(mut party) = Party::assemble(record.clone(), certificate, &roster, [], now)
            else {
                continue;
            };
            if !party.roster().is_fresh(now) {
                continue;
            }
            for digest in party.missing().collect::<Vec<_>>() {
                let bytes = self.object(&agency.id, wire::ObjectType::Certificate, &digest)?;
                party.supply(bytes.and_then(|bytes| Certificate::parse(&bytes).ok()));
            }
            let (bundle, rules) = self.parties.compile(&bundle)?;
            let party = std::sync::Arc::new(party);
            return Ok(Some(Counterpart {
                party,
                bundle,
                rules,
            }));
        }
        Ok(None)
    }

    fn hosted(&self, agency: &AgencyId) -> Option<Counterpart> {
        self.agency(agency).map(|hosted| Counterpart {
            party: hosted.own(),
            bundle: std::sync::Arc::clone(&hosted.bundle),
            rules: std::sync::Arc::clone(&hosted.rules),
        })
    }

    /// A certificate, roster or bundle that the agency's entries cite.
    ///
    /// # Errors
    /// When the store fails.
    pub fn object(
        &self,
        agency: &AgencyId,
        kind: wire::ObjectType,
        digest: &Digest,
    ) -> Result<Option<Vec<u8>>, Stop> {
        Ok(record::read_object(
            self.store.as_ref(),
            agency,
            kind,
            digest,
        )?)
    }

    /// A roster and the certificates that it names, as accepted into the agency's log, for a client
    /// to check a message by.
    ///
    /// # Errors
    /// When the store fails.
    pub fn accepted_chain(
        &self,
        agency: &AgencyId,
        whose: &AgencyId,
        roster: &Digest,
    ) -> Result<Option<AcceptedChain>, Stop> {
        let Some(bytes) = self.object(agency, wire::ObjectType::Roster, roster)? else {
            return Ok(None);
        };
        let directory = self.directory();
        let (Some(record), Some(certificate)) =
            (directory.agency(whose), directory.certificate(whose))
        else {
            return Ok(None);
        };
        let Ok(party) = Party::assemble(record.clone(), certificate, &bytes, [], self.now()) else {
            return Ok(None);
        };
        let mut certificates = vec![Certificate::as_bytes(certificate).to_vec()];
        for digest in party.missing().collect::<Vec<_>>() {
            certificates.extend(self.object(agency, wire::ObjectType::Certificate, &digest)?);
        }
        let signed = wire::Signed::decode(bytes.as_slice()).unwrap_or_default();
        Ok(Some((signed, certificates)))
    }
}

fn unreadable(error: &LogError) -> Status {
    tracing::error!(%error, "a log cannot be read");
    Status::unavailable("the log cannot be read")
}

fn unproved(agency: &AgencyId, error: &LogError) -> Stop {
    if matches!(error, LogError::Beyond { .. }) {
        // The other side claims to have seen more than there is: it asks again, or its operator finds
        // out that this log was cut.
        return Stop::refuse(
            Reason::Unavailable,
            "the log does not reach the size that the other side has seen",
        );
    }
    tracing::error!(%agency, %error, "a log cannot be read");
    Stop::Failed
}
