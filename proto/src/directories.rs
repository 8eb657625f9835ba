//! The directories in force: one of each country, each by that country's own operator.
//!
//! INVARIANT (one operator a country): a record is looked up in the directory of the country that its
//! id starts with, and nowhere else.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::directory::{AgencyRecord, DirectoryError, NodeRecord};
use crate::directory_file::VerifiedDirectory;
use crate::id::{AgencyId, Country, Digest, NodeId, Timestamp};
use crate::openpgp::{Certificate, Suite};

/// One directory of each country.
#[derive(Debug, Clone, Default)]
pub struct Directories {
    by_country: BTreeMap<Country, Arc<VerifiedDirectory>>,
}

impl Directories {
    /// The same, with `directory` as the one of the country that its operator is pinned for, in place
    /// of an older one.
    ///
    /// # Errors
    /// DIR-14; DIR-07 against the one that it replaces; DIR-13 against those of other countries.
    pub fn with(
        &self,
        pinned: &Country,
        directory: Arc<VerifiedDirectory>,
    ) -> Result<Self, DirectoryError> {
        let head = directory.head();
        if head.country() != pinned {
            return Err(DirectoryError::Pinned {
                found: head.country().clone(),
                pinned: pinned.clone(),
            });
        }
        if let Some(before) = self.of(pinned) {
            head.check_not_older(before.head().version(), before.head().digest())?;
        }
        let mut all = self.clone();
        all.by_country.remove(pinned);
        let taken = |node: &&NodeRecord| {
            let mut keys = node.tls_keys();
            keys.any(|key| all.node_of_tls_key(&key).is_some())
        };
        if let Some(node) = directory.nodes().find(taken) {
            return Err(DirectoryError::TlsKey {
                node: node.id.clone(),
            });
        }
        all.by_country.insert(pinned.clone(), directory);
        Ok(all)
    }

    /// The directory of a country.
    #[must_use]
    pub fn of(&self, country: &Country) -> Option<&Arc<VerifiedDirectory>> {
        self.by_country.get(country)
    }

    /// The directory that an agency must stand in.
    #[must_use]
    pub fn of_agency(&self, id: &AgencyId) -> Option<&Arc<VerifiedDirectory>> {
        self.of(&id.country())
    }

    /// Every directory, by country.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<VerifiedDirectory>> {
        self.by_country.values()
    }

    /// One agency.
    #[must_use]
    pub fn agency(&self, id: &AgencyId) -> Option<&AgencyRecord> {
        self.of_agency(id)?.agency(id)
    }

    /// One agency's certificate.
    #[must_use]
    pub fn certificate(&self, id: &AgencyId) -> Option<&Certificate> {
        self.of_agency(id)?.certificate(id)
    }

    /// One node.
    #[must_use]
    pub fn node(&self, id: &NodeId) -> Option<&NodeRecord> {
        self.of(&id.country())?.node(id)
    }

    /// The node that holds a TLS key, by the digest of its SubjectPublicKeyInfo.
    #[must_use]
    pub fn node_of_tls_key(&self, key: &Digest) -> Option<&NodeRecord> {
        self.iter().find_map(|d| d.node_of_tls_key(key))
    }

    /// The suite of messages between two agencies: the one that both their directories name.
    #[must_use]
    pub fn suite(&self, one: &AgencyId, other: &AgencyId) -> Option<Suite> {
        let suite = self.of_agency(one)?.head().suite();
        (self.of_agency(other)?.head().suite() == suite).then_some(suite)
    }

    /// Whether the directory of this country is there and not past its validity.
    #[must_use]
    pub fn is_fresh(&self, country: &Country, at: Timestamp) -> bool {
        self.of(country).is_some_and(|d| d.head().is_fresh(at))
    }
}

#[cfg(test)]
mod tests;
