//! Reading what a node keeps: messages, last seen checkpoints, evidence, chains.

use prost::Message as _;
use waypost_proto::directory_file::VerifiedDirectory;
use waypost_proto::id::{AgencyId, Digest, MessageId, Timestamp};
use waypost_proto::openpgp::Certificate;
use waypost_proto::party::Party;
use waypost_proto::reason::Reason;
use waypost_proto::wire;

use crate::host::{Node, Stop};
use crate::limit;
use crate::parties::Counterpart;
use crate::record;
use crate::store::KeyRange;
use crate::vault::SealedBody;

impl Node {
    /// A message of the agency.
    ///
    /// # Errors
    /// When the store fails.
    pub fn message(&self, agency: &AgencyId, id: &MessageId) -> Result<Option<record::Message>, Stop> {
        let stored = self.store.get(&record::message(agency, id))?;
        Ok(stored.as_deref().map(record::Message::decode).transpose()?)
    }

    /// What was last seen of a counterpart's log.
    ///
    /// # Errors
    /// When the store fails.
    pub fn seen(&self, agency: &AgencyId, counterpart: &AgencyId) -> Result<Option<record::Seen>, Stop> {
        let stored = self.store.get(&record::seen(agency, counterpart))?;
        Ok(stored.as_deref().map(record::Seen::decode).transpose()?)
    }

    /// An entry of the agency's log, proved at its current checkpoint, consistent from `from`.
    ///
    /// # Errors
    /// When the store fails, or the other side claims a size that the log does not have.
    pub fn evidence(&self, agency: &AgencyId, index: u64, from: u64) -> Result<wire::Evidence, Stop> {
        self.log.evidence(agency, index, from).map_err(|error| {
            tracing::warn!(%agency, %error, "no evidence");
            Stop::refuse(Reason::Evidence, "the log does not reach that size")
        })
    }

    /// Seals a body for the vault. Its key becomes durable with the commit that stores it.
    ///
    /// # Errors
    /// When the vault fails.
    pub fn seal_body(&self, agency: &AgencyId, id: &MessageId, body: &[u8]) -> Result<SealedBody, Stop> {
        self.vault.put(agency, id, body).map_err(|error| {
            tracing::error!(%error, "the vault failed");
            Stop::Failed
        })
    }

    /// The body of a message.
    ///
    /// # Errors
    /// When the vault or the store fails, or the body was erased.
    pub fn open_body(&self, agency: &AgencyId, id: &MessageId) -> Result<Vec<u8>, Stop> {
        self.vault.read(self.store.as_ref(), agency, id).map_err(|error| {
            tracing::error!(%error, message = %id, "a body could not be read");
            Stop::Failed
        })
    }

    /// A counterpart with the roster that a message cites: hosted here, from its node, or, when that
    /// cannot be reached, as it was last accepted into this node's logs.
    ///
    /// # Errors
    /// As [`crate::parties::Parties::citing`].
    pub async fn counterpart(
        &self,
        directory: &VerifiedDirectory,
        agency: &AgencyId,
        cited: Digest,
        now: Timestamp,
    ) -> Result<Counterpart, Stop> {
        let counterpart = match self.hosted(agency) {
            Some(counterpart) => counterpart,
            None => return self.parties.citing(directory, agency, cited, now).await,
        };
        if counterpart.party.roster().digest() == cited {
            Ok(counterpart)
        } else {
            Err(Stop::refuse(Reason::Roster, "ENV-07"))
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
            None => self.parties.current(directory, agency, now).await,
        }
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
    pub fn object(&self, agency: &AgencyId, kind: wire::ObjectType, digest: &Digest) -> Result<Option<Vec<u8>>, Stop> {
        let rows = self.all_rows(record::object(agency, kind, digest))?;
        if rows.is_empty() {
            return Ok(None);
        }
        let bytes = rows.concat();
        if Digest::of(&bytes) == *digest { Ok(Some(bytes)) } else { Ok(None) }
    }

    fn all_rows(&self, range: KeyRange) -> Result<Vec<Vec<u8>>, Stop> {
        let mut values = Vec::new();
        let mut next = Some(range);
        while let Some(range) = next {
            let page = self.store.scan(&range, limit::SCAN_ROWS)?;
            values.extend(page.rows.into_iter().map(|(_, value)| value));
            next = page.next;
        }
        Ok(values)
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
    ) -> Result<Option<(wire::Signed, Vec<Vec<u8>>)>, Stop> {
        let Some(bytes) = self.object(agency, wire::ObjectType::Roster, roster)? else { return Ok(None) };
        let directory = self.directory();
        let (Some(record), Some(certificate)) = (directory.agency(whose), directory.certificate(whose)) else {
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
