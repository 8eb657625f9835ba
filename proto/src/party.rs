//! One agency, checked from the directory down to its desk keys: the chain that a message rests on.
//!
//! operator -> directory head -> agency record -> agency certificate -> roster -> officer, desk.
//! Nodes and clients build it alike; clients never take the node's word.

use std::collections::{BTreeMap, BTreeSet};

use crate::directory::AgencyRecord;
use crate::id::{DeskName, Digest, Fingerprint, Timestamp};
use crate::openpgp::{Certificate, CertificateError, Recipient};
use crate::roster::{CertificateRef, Desk, Officer, RosterError, VerifiedRoster};

/// A chain that does not hold.
#[derive(Debug, thiserror::Error)]
pub enum PartyError {
    /// CHN-01: the agency certificate is not the one that the directory names.
    #[error("CHN-01: the agency certificate is not the one that the directory names")]
    AgencyCertificate,
    /// CHN-02: the roster does not verify.
    #[error("CHN-02: {0}")]
    Roster(#[from] RosterError),
    /// CHN-03: the roster has expired.
    #[error(
        "CHN-03: the roster of `{agency}` has expired; its administrator renews it with `waypost roster sign`"
    )]
    RosterExpired {
        /// Whose roster.
        agency: crate::id::AgencyId,
    },
    /// CHN-04: the officer is not in the roster, is revoked, or may not sign for the desk.
    #[error("CHN-04: the roster does not let this officer sign for `{desk}`")]
    Officer {
        /// The desk.
        desk: DeskName,
    },
    /// CHN-05: the desk is not in the roster.
    #[error("CHN-05: the roster holds no desk `{desk}`")]
    Desk {
        /// The desk.
        desk: DeskName,
    },
    /// CHN-06: a role that the directory does not give to the agency.
    #[error("CHN-06: the directory does not give `{agency}` the role of its desk `{desk}`")]
    Role {
        /// The agency.
        agency: crate::id::AgencyId,
        /// The desk.
        desk: DeskName,
    },
    /// CHN-07: a certificate that the roster names is missing.
    #[error("CHN-07: the certificate with digest {digest} is missing or has another fingerprint")]
    Missing {
        /// SHA-256 of the certificate.
        digest: Digest,
    },
    /// CHN-08: the desk's subkey is not usable.
    #[error("CHN-08: {0}")]
    Key(#[from] CertificateError),
    /// CHN-08: the desk's certificate or subkey is revoked.
    #[error("CHN-08: the key of `{desk}` is revoked")]
    Revoked {
        /// The desk.
        desk: DeskName,
    },
    /// CHN-09: a roster older than one seen.
    #[error("CHN-09: the roster of `{agency}` has version {found}, version {seen} has been seen")]
    Older {
        /// Whose roster.
        agency: crate::id::AgencyId,
        /// Version found.
        found: u64,
        /// Version seen.
        seen: u64,
    },
}

/// One agency with the chain down to its roster checked, and the certificates that are at hand.
#[derive(Debug, Clone)]
pub struct Party {
    record: AgencyRecord,
    roster: VerifiedRoster,
    certificates: BTreeMap<Digest, Certificate>,
}

impl Party {
    /// Checks the chain from a proved record down to the roster, judged at `at`.
    ///
    /// `certificates` are those of officers and desks; a missing one matters when it is used.
    ///
    /// # Errors
    /// CHN-01, CHN-02, CHN-06.
    pub fn assemble(
        record: AgencyRecord,
        agency: &Certificate,
        roster: &[u8],
        certificates: impl IntoIterator<Item = Certificate>,
        at: Timestamp,
    ) -> Result<Self, PartyError> {
        if !record.certificate.names(agency) {
            return Err(PartyError::AgencyCertificate);
        }
        let roster = VerifiedRoster::verify(roster, &record.id, agency, at)?;
        if let Some((desk, _)) = roster
            .roster()
            .desks
            .iter()
            .find(|(_, d)| !record.roles.contains(&d.role))
        {
            return Err(PartyError::Role {
                agency: record.id,
                desk: desk.clone(),
            });
        }
        let certificates = certificates.into_iter().map(|c| (c.digest(), c)).collect();
        Ok(Self {
            record,
            roster,
            certificates,
        })
    }

    /// The agency's record.
    #[must_use]
    pub const fn record(&self) -> &AgencyRecord {
        &self.record
    }

    /// The roster.
    #[must_use]
    pub const fn roster(&self) -> &VerifiedRoster {
        &self.roster
    }

    /// Digests of certificates that the roster names and that are not at hand.
    pub fn missing(&self) -> impl Iterator<Item = Digest> {
        let roster = self.roster.roster();
        let desks = roster.desks.values().map(|d| d.certificate.digest);
        let officers = roster.officers.values().map(|o| o.certificate.digest);
        desks
            .chain(officers)
            .filter(|digest| !self.certificates.contains_key(digest))
    }

    /// Of those, the ones that a message needs: every desk's, and that of the officer who signed.
    #[must_use]
    pub fn missing_for(&self, officer: Option<&Fingerprint>) -> Vec<Digest> {
        let roster = self.roster.roster();
        let desks = roster.desks.values().map(|desk| desk.certificate.digest);
        let officer = officer.and_then(|fingerprint| roster.officers.get(fingerprint));
        let needed: BTreeSet<Digest> = desks
            .chain(officer.map(|officer| officer.certificate.digest))
            .collect();
        self.missing()
            .filter(|digest| needed.contains(digest))
            .collect()
    }

    /// Adds certificates that were missing.
    pub fn supply(&mut self, certificates: impl IntoIterator<Item = Certificate>) {
        self.certificates
            .extend(certificates.into_iter().map(|c| (c.digest(), c)));
    }

    /// Every certificate at hand.
    pub fn certificates(&self) -> impl Iterator<Item = &Certificate> {
        self.certificates.values()
    }

    /// Refuses an expired roster.
    ///
    /// # Errors
    /// CHN-03.
    pub fn check_fresh(&self, at: Timestamp) -> Result<(), PartyError> {
        if self.roster.is_fresh(at) {
            Ok(())
        } else {
            Err(PartyError::RosterExpired {
                agency: self.record.id.clone(),
            })
        }
    }

    /// Refuses a roster older than one seen, or another one of the same version.
    ///
    /// # Errors
    /// CHN-09.
    pub fn check_not_older(&self, seen: u64, seen_digest: Digest) -> Result<(), PartyError> {
        let found = self.roster.roster().version;
        if found > seen || (found == seen && self.roster.digest() == seen_digest) {
            Ok(())
        } else {
            Err(PartyError::Older {
                agency: self.record.id.clone(),
                found,
                seen,
            })
        }
    }

    /// A desk of the roster.
    ///
    /// # Errors
    /// CHN-05.
    pub fn desk(&self, name: &DeskName) -> Result<&Desk, PartyError> {
        self.roster
            .roster()
            .desks
            .get(name)
            .ok_or_else(|| PartyError::Desk { desk: name.clone() })
    }

    /// The officer, if the roster lets them sign for `desk`, with their certificate.
    ///
    /// # Errors
    /// CHN-04, CHN-07.
    pub fn officer(
        &self,
        fingerprint: &Fingerprint,
        desk: &DeskName,
    ) -> Result<(&Officer, &Certificate), PartyError> {
        let roster = self.roster.roster();
        let officer = roster
            .officers
            .get(fingerprint)
            .filter(|o| o.desks.contains(desk) && !roster.revoked.contains(fingerprint))
            .ok_or_else(|| PartyError::Officer { desk: desk.clone() })?;
        Ok((officer, self.certificate(&officer.certificate)?))
    }

    /// The officer, whichever desks they sign for: for a log-in.
    #[must_use]
    pub fn any_officer(&self, fingerprint: &Fingerprint) -> Option<(&Officer, &Certificate)> {
        let roster = self.roster.roster();
        let officer = roster
            .officers
            .get(fingerprint)
            .filter(|_| !roster.revoked.contains(fingerprint))?;
        Some((officer, self.certificate(&officer.certificate).ok()?))
    }

    /// By digest and fingerprint: a roster that names one key and the certificate of another would
    /// let a revoked or unlisted key sign under a listed name.
    fn certificate(&self, named: &CertificateRef) -> Result<&Certificate, PartyError> {
        let digest = named.digest;
        self.certificates
            .get(&digest)
            .filter(|certificate| named.names(certificate))
            .ok_or(PartyError::Missing { digest })
    }

    /// The key to seal to a desk, judged at `at`.
    ///
    /// # Errors
    /// CHN-05, CHN-07, CHN-08.
    pub fn recipient(&self, name: &DeskName, at: Timestamp) -> Result<Recipient, PartyError> {
        let desk = self.desk(name)?;
        let revoked = &self.roster.roster().revoked;
        if revoked.contains(&desk.encryption_key) || revoked.contains(&desk.certificate.fingerprint)
        {
            return Err(PartyError::Revoked { desk: name.clone() });
        }
        let certificate = self.certificate(&desk.certificate)?;
        Ok(certificate.recipient(&desk.encryption_key, at)?)
    }
}

#[cfg(test)]
mod tests;
