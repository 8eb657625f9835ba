//! A registration: what an agency hands to its operator and its host, checked as they check it.

use prost::Message as _;
use waypost_proto::directory::{AgencyRecord, Record};
use waypost_proto::id::Timestamp;
use waypost_proto::openpgp::{Certificate, Suite};
use waypost_proto::party::Party;
use waypost_proto::roster::{CertificateRef, VerifiedRoster};
use waypost_proto::{limit, strict, wire};

use crate::output::Failure;

/// A registration whose every part verifies under the agency's certificate.
#[derive(Debug, Clone)]
pub struct Registered {
    wire: wire::Registration,
    bytes: Vec<u8>,
    party: Party,
    agency: Certificate,
}

impl Registered {
    /// Verifies it: the record is well formed and names the certificate; the roster is signed by it;
    /// every desk and officer has its certificate, of one suite, with a usable key; desks have no
    /// role that the agency has not. Whether the roster is expired is for the caller.
    ///
    /// # Errors
    /// What does not verify.
    pub fn verify(bytes: &[u8], at: Timestamp) -> Result<Self, Failure> {
        let wire: wire::Registration =
            strict::decode(bytes, limit::REGISTRATION_BYTES).map_err(|e| refused(&e))?;
        let record = record_of(&wire)?;
        let certificates = wire
            .certificates
            .iter()
            .map(|bytes| Certificate::parse(bytes))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|e| refused(&e))?;
        let agency = certificates
            .iter()
            .find(|certificate| record.certificate.names(certificate))
            .cloned()
            .ok_or_else(|| refused_because("the agency's certificate is not in it"))?;
        if certificates.iter().any(|c| c.suite() != agency.suite()) {
            return Err(refused_because("its certificates are not all of one suite"));
        }
        let roster = wire
            .roster
            .as_ref()
            .ok_or_else(|| refused_because("the roster is not in it"))?
            .encode_to_vec();
        let party =
            Party::assemble(record, &agency, &roster, certificates, at).map_err(|e| refused(&e))?;
        if let Some(digest) = party.missing().next() {
            return Err(refused_because(&format!(
                "the certificate with digest {digest} is missing"
            )));
        }
        for desk in party.roster().roster().desks.keys() {
            party.recipient(desk, at).map_err(|e| refused(&e))?;
        }
        Ok(Self {
            wire,
            bytes: bytes.to_vec(),
            party,
            agency,
        })
    }

    /// The directory record.
    #[must_use]
    pub const fn record(&self) -> &AgencyRecord {
        self.party.record()
    }

    /// The agency's certificate.
    #[must_use]
    pub const fn agency(&self) -> &Certificate {
        &self.agency
    }

    /// The suite of all its certificates.
    #[must_use]
    pub fn suite(&self) -> Suite {
        self.agency.suite()
    }

    /// The roster.
    #[must_use]
    pub const fn roster(&self) -> &VerifiedRoster {
        self.party.roster()
    }

    /// The certificate that the roster names for an officer or desk.
    #[must_use]
    pub fn named(&self, certificate: &CertificateRef) -> Option<&Certificate> {
        self.party.certificates().find(|c| certificate.names(c))
    }

    /// The certificates of desks and officers, parsed.
    pub fn parsed(&self) -> impl Iterator<Item = &Certificate> {
        self.party.certificates()
    }

    /// The certificates of desks and officers, and the agency's.
    #[must_use]
    pub fn certificates(&self) -> &[Vec<u8>] {
        &self.wire.certificates
    }

    /// The wire form.
    #[must_use]
    pub const fn wire(&self) -> &wire::Registration {
        &self.wire
    }

    /// The exact bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The same registration with other log keys in its record.
    ///
    /// # Errors
    /// As [`Self::verify`].
    pub fn with_log_keys(
        &self,
        log_keys: Vec<wire::LogKey>,
        at: Timestamp,
    ) -> Result<Self, Failure> {
        let mut wire = self.wire.clone();
        if let Some(record) = &mut wire.record {
            record.log_keys = log_keys;
        }
        Self::verify(&wire.encode_to_vec(), at)
    }

    /// Refuses an expired roster.
    ///
    /// # Errors
    /// When it is.
    pub fn check_fresh(&self, at: Timestamp) -> Result<(), Failure> {
        self.party.check_fresh(at).map_err(|e| refused(&e))
    }
}

fn record_of(wire: &wire::Registration) -> Result<AgencyRecord, Failure> {
    let record = wire::Record {
        record: wire.record.clone().map(wire::record::Record::Agency),
    };
    match Record::parse(&record.encode_to_vec()).map_err(|e| refused(&e))? {
        Record::Agency(agency) => Ok(agency),
        Record::Node(_) => Err(refused_because("it holds no agency's record")),
    }
}

fn refused(error: &dyn std::error::Error) -> Failure {
    Failure::invalid("the registration does not verify").caused_by(error)
}

fn refused_because(why: &str) -> Failure {
    Failure::invalid("the registration does not verify").because(why)
}
