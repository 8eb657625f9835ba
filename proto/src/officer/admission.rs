//! The admission: the agency's roster and certificates, and the keys of the officer's desks, sealed to
//! the officer. It serves for the first time and for every new key after.

use prost::Message;

use super::Code;
use crate::context::Context;
use crate::directory::{AgencyRecord, DirectoryError, Record};
use crate::id::{DeskName, Fingerprint, IdError, Timestamp};
use crate::limit;
use crate::openpgp::{
    AcceptError, Certificate, CertificateError, DeskKey, SecretKey, SignError, SigningKey,
    VerifyError,
};
use crate::party::{Party, PartyError};
use crate::roster::{Officer, VerifiedRoster};
use crate::strict::{self, StrictError};
use crate::wire;

/// What an agency gives to one officer.
#[derive(Debug, Clone)]
pub struct Admission {
    /// The officer's key.
    pub officer: Fingerprint,
    /// The scheme operator that the agency has pinned.
    pub operator: Option<Fingerprint>,
    /// Record, roster and certificates.
    pub registration: wire::Registration,
    /// The keys of the officer's desks.
    pub keys: Vec<HandedKey>,
}

/// One encryption subkey of a desk, sealed to the officer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HandedKey {
    /// The desk.
    pub desk: DeskName,
    /// The subkey.
    pub key: Fingerprint,
    /// What [`DeskKey::hand_over`] made.
    pub sealed: Vec<u8>,
}

/// How an officer knows that an admission is their agency's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// The administrator read this code out: the first time.
    Told(Code),
    /// The agency's certificate is known.
    Pinned(Fingerprint),
}

/// An admission that is refused.
#[derive(Debug, thiserror::Error)]
pub enum AdmissionError {
    /// OFF-10: too long, malformed, unknown fields.
    #[error("OFF-10: {0}")]
    Encoding(#[from] StrictError),
    /// OFF-11: not the code that was read out.
    #[error(
        "OFF-11: the code of this file is `{found}`, not the one that was read out: it may be forged"
    )]
    Code {
        /// The file's.
        found: Code,
    },
    /// OFF-11: signed by another agency key than the one known.
    #[error("OFF-11: this is the admission of another agency: its key is {found}")]
    Agency {
        /// The file's.
        found: Fingerprint,
    },
    /// OFF-12: the agency's certificate is not accepted.
    #[error("OFF-12: the agency's certificate: {0}")]
    Certificate(#[from] CertificateError),
    /// OFF-12: the agency's signature does not verify.
    #[error("OFF-12: the agency's signature on the admission does not verify: {0}")]
    Signature(#[from] VerifyError),
    /// OFF-13: no agency record, or not a well-formed one.
    #[error("OFF-13: the agency's record: {0}")]
    Record(#[from] DirectoryError),
    /// OFF-13: an id does not parse.
    #[error("OFF-13: {0}")]
    Id(#[from] IdError),
    /// OFF-13: the chain does not hold.
    #[error("OFF-13: {0}")]
    Chain(#[from] PartyError),
    /// OFF-13: a certificate is missing, or is not accepted.
    #[error("OFF-13: a certificate of the roster is missing or not accepted")]
    Incomplete,
    /// OFF-14: for somebody else.
    #[error("OFF-14: this admission is for another officer: the key {found}")]
    Officer {
        /// The key that it is for.
        found: Fingerprint,
    },
    /// OFF-14: the roster does not hold the officer.
    #[error("OFF-14: the roster of this admission does not hold this officer")]
    NotListed,
    /// OFF-15: keys that are not sorted, stand twice, are too many, or of a desk that is not the
    /// officer's.
    #[error("OFF-15: the handed-over keys are not those of the officer's desks, sorted, each once")]
    Keys,
    /// OFF-15: the key in use of one of the officer's desks is not there.
    #[error("OFF-15: the key in use of the desk `{desk}` is not handed over")]
    NoKey {
        /// The desk.
        desk: DeskName,
    },
    /// OFF-16: a key that is not sealed to this officer by the agency.
    #[error("OFF-16: a key of the desk `{desk}`: {source}")]
    Key {
        /// The desk.
        desk: DeskName,
        /// Why.
        source: AcceptError,
    },
    /// OFF-16: another key than the one named, or of another certificate than the desk's.
    #[error("OFF-16: a key that is handed over for the desk `{desk}` is not that desk's")]
    OtherKey {
        /// The desk.
        desk: DeskName,
    },
}

/// An admission whose every part has been checked by the officer that it is for.
#[derive(Debug, Clone)]
pub struct VerifiedAdmission {
    admission: Admission,
    agency: Certificate,
    party: Party,
    officer: Officer,
}

impl Admission {
    /// Signs it with the agency's key. Gives the file.
    ///
    /// # Errors
    /// When the key cannot sign.
    pub fn sign(&self, agency: &SigningKey, at: Timestamp) -> Result<Vec<u8>, SignError> {
        let content = wire::Admission {
            certificate: agency.certificate().as_bytes().to_vec(),
            officer: self.officer.as_bytes().to_vec(),
            operator: self
                .operator
                .map_or_else(Vec::new, |pin| pin.as_bytes().to_vec()),
            registration: Some(self.registration.clone()),
            keys: self
                .keys
                .iter()
                .map(|handed| wire::HandedKey {
                    desk: handed.desk.to_string(),
                    key: handed.key.as_bytes().to_vec(),
                    sealed: handed.sealed.clone(),
                })
                .collect(),
        }
        .encode_to_vec();
        let signature = agency.sign(Context::Admission, &content, at)?;
        Ok(wire::Signed { content, signature }.encode_to_vec())
    }

    fn parse(wire: wire::Admission) -> Result<Self, AdmissionError> {
        let operator = match wire.operator.as_slice() {
            [] => None,
            bytes => Some(Fingerprint::try_from(bytes)?),
        };
        if wire.keys.len() > limit::HANDED_KEYS {
            return Err(AdmissionError::Keys);
        }
        let keys = wire.keys.into_iter().map(|handed| {
            Ok(HandedKey {
                desk: handed.desk.parse()?,
                key: Fingerprint::try_from(handed.key.as_slice())?,
                sealed: handed.sealed,
            })
        });
        Ok(Self {
            officer: Fingerprint::try_from(wire.officer.as_slice())?,
            operator,
            registration: wire.registration.unwrap_or_default(),
            keys: keys.collect::<Result<_, IdError>>()?,
        })
    }
}

impl VerifiedAdmission {
    /// Verifies an admission file for `officer`, judged at `at`. Whether its roster is older than one
    /// seen, and its operator the pinned one, is for the caller (OFF-17).
    ///
    /// # Errors
    /// OFF-10 to OFF-16 of proto/spec/officer.md.
    pub fn verify(
        bytes: &[u8],
        officer: &SecretKey,
        trust: Trust,
        at: Timestamp,
    ) -> Result<Self, AdmissionError> {
        let signed: wire::Signed = strict::decode(bytes, limit::ADMISSION_BYTES)?;
        let found = Code::of(Context::Admission, &signed.content);
        if matches!(trust, Trust::Told(told) if told != found) {
            return Err(AdmissionError::Code { found });
        }
        let wire: wire::Admission = strict::decode(&signed.content, limit::ADMISSION_BYTES)?;
        let agency = Certificate::parse(&wire.certificate)?;
        let found = agency.fingerprint();
        if matches!(trust, Trust::Pinned(pinned) if pinned != found) {
            return Err(AdmissionError::Agency { found });
        }
        agency.verify(Context::Admission, &signed.content, &signed.signature, at)?;
        let admission = Admission::parse(wire)?;
        let own = officer.certificate();
        if admission.officer != own.fingerprint() {
            return Err(AdmissionError::Officer {
                found: admission.officer,
            });
        }
        let party = party(&admission.registration, &agency, at)?;
        let listed = match party.any_officer(&own.fingerprint()) {
            Some((listed, certificate)) if certificate.digest() == own.digest() => listed.clone(),
            _ => return Err(AdmissionError::NotListed),
        };
        check_keys(&admission.keys, &listed, &party)?;
        for handed in &admission.keys {
            accept(handed, officer, &agency, &party, at)?;
        }
        Ok(Self {
            admission,
            agency,
            party,
            officer: listed,
        })
    }

    /// Its content.
    #[must_use]
    pub const fn admission(&self) -> &Admission {
        &self.admission
    }

    /// The agency's certificate.
    #[must_use]
    pub const fn agency(&self) -> &Certificate {
        &self.agency
    }

    /// The agency's record.
    #[must_use]
    pub const fn record(&self) -> &AgencyRecord {
        self.party.record()
    }

    /// The roster.
    #[must_use]
    pub const fn roster(&self) -> &VerifiedRoster {
        self.party.roster()
    }

    /// The officer, as the roster lists them.
    #[must_use]
    pub const fn officer(&self) -> &Officer {
        &self.officer
    }
}

impl Code {
    /// The code of what [`Admission::sign`] made, for the administrator to read out.
    ///
    /// # Errors
    /// When it is something else.
    pub fn of_admission(bytes: &[u8]) -> Result<Self, StrictError> {
        let signed: wire::Signed = strict::decode(bytes, limit::ADMISSION_BYTES)?;
        Ok(Self::of(Context::Admission, &signed.content))
    }
}

/// OFF-13: the chain from the agency's certificate down, whole and not expired.
fn party(
    registration: &wire::Registration,
    agency: &Certificate,
    at: Timestamp,
) -> Result<Party, AdmissionError> {
    let record = wire::Record {
        record: registration
            .record
            .clone()
            .map(wire::record::Record::Agency),
    };
    let Record::Agency(record) = Record::parse(&record.encode_to_vec())? else {
        return Err(AdmissionError::Incomplete);
    };
    let most = 2 * (limit::ROSTER_OFFICERS + limit::ROSTER_DESKS + 1);
    let certificates = registration.certificates.iter().take(most);
    let certificates = certificates
        .map(|bytes| Certificate::parse(bytes))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| AdmissionError::Incomplete)?;
    let roster = registration.roster.clone().unwrap_or_default();
    let party = Party::assemble(record, agency, &roster.encode_to_vec(), certificates, at)?;
    party.check_fresh(at)?;
    if party.missing().next().is_some() {
        return Err(AdmissionError::Incomplete);
    }
    Ok(party)
}

/// OFF-15: sorted, each once, of the officer's desks only, and the one in use of each.
fn check_keys(keys: &[HandedKey], officer: &Officer, party: &Party) -> Result<(), AdmissionError> {
    let sorted = keys.is_sorted_by(|a, b| (&a.desk, a.key) < (&b.desk, b.key));
    if !sorted || keys.iter().any(|k| !officer.desks.contains(&k.desk)) {
        return Err(AdmissionError::Keys);
    }
    for name in &officer.desks {
        let in_use = party.desk(name)?.encryption_key;
        if !keys.iter().any(|k| k.desk == *name && k.key == in_use) {
            return Err(AdmissionError::NoKey { desk: name.clone() });
        }
    }
    Ok(())
}

/// OFF-16: opens for this officer, and is the desk's.
fn accept(
    handed: &HandedKey,
    officer: &SecretKey,
    agency: &Certificate,
    party: &Party,
    at: Timestamp,
) -> Result<(), AdmissionError> {
    let desk = || handed.desk.clone();
    let key = DeskKey::accept(&handed.sealed, officer, agency, at).map_err(|source| {
        AdmissionError::Key {
            desk: desk(),
            source,
        }
    })?;
    let listed = party.desk(&handed.desk)?.certificate.fingerprint;
    if key.fingerprint() == handed.key && key.desk_certificate().fingerprint() == listed {
        Ok(())
    } else {
        Err(AdmissionError::OtherKey { desk: desk() })
    }
}
