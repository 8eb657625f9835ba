//! The whole directory as a file: what an operator publishes, and a node or desk installs.

use std::collections::BTreeMap;

use prost::Message;

use crate::context::Context;
use crate::directory::{AgencyRecord, DirectoryError, NodeRecord, Record, VerifiedHead};
use crate::id::{AgencyId, Digest, Fingerprint, NodeId, Timestamp};
use crate::limit;
use crate::merkle;
use crate::openpgp::{Certificate, SignError, SigningKey, Suite};
use crate::strict;
use crate::wire;

/// A directory file whose head, records and agency certificates have all verified.
#[derive(Debug)]
pub struct VerifiedDirectory {
    head: VerifiedHead,
    signed_head: wire::Signed,
    operator: Certificate,
    records: Vec<Vec<u8>>,
    tree: merkle::Tree,
    agencies: BTreeMap<AgencyId, (usize, AgencyRecord, Certificate)>,
    nodes: BTreeMap<NodeId, (usize, NodeRecord)>,
    tls_keys: BTreeMap<Digest, NodeId>,
}

impl VerifiedDirectory {
    /// Verifies a directory file under the pinned operator fingerprint, judged at `at`.
    ///
    /// # Errors
    /// DIR-01 to DIR-06, DIR-08 to DIR-11 and DIR-13 of proto/spec/directory.md.
    pub fn verify(
        bytes: &[u8],
        pinned: &Fingerprint,
        at: Timestamp,
    ) -> Result<Self, DirectoryError> {
        let file: wire::Directory = strict::decode(bytes, limit::DIRECTORY_BYTES)?;
        let operator = Certificate::parse(&file.operator).map_err(|_| DirectoryError::Operator)?;
        if operator.fingerprint() != *pinned {
            return Err(DirectoryError::Operator);
        }
        let signed_head = file.head.ok_or(strict::StrictError::Malformed)?;
        let head = VerifiedHead::verify(&signed_head, &operator, at)?;
        if file.records.len() > limit::DIRECTORY_RECORDS {
            return Err(DirectoryError::Order);
        }
        let tree = merkle::Tree::of(file.records.iter().map(|r| merkle::leaf_hash(r)));
        if !head.proves(tree.size(), tree.root()) {
            return Err(DirectoryError::Proof);
        }
        let mut directory = Self {
            head,
            signed_head,
            operator,
            records: file.records,
            tree,
            agencies: BTreeMap::new(),
            nodes: BTreeMap::new(),
            tls_keys: BTreeMap::new(),
        };
        directory.index(&file.certificates)?;
        Ok(directory)
    }

    fn index(&mut self, certificates: &[Vec<u8>]) -> Result<(), DirectoryError> {
        let mut by_digest: BTreeMap<Digest, &Vec<u8>> =
            certificates.iter().map(|c| (Digest::of(c), c)).collect();
        let mut last: Option<(u8, String)> = None;
        for (index, bytes) in self.records.iter().enumerate() {
            let record = Record::parse(bytes)?;
            record.check_country(self.head.country())?;
            let key = record.sort_key();
            let key = (key.0, key.1.to_owned());
            if last.as_ref().is_some_and(|l| *l >= key) {
                return Err(DirectoryError::Order);
            }
            last = Some(key);
            match record {
                Record::Node(node) => {
                    for key in node.tls_keys() {
                        let holder = self.tls_keys.insert(key, node.id.clone());
                        if holder.is_some_and(|holder| holder != node.id) {
                            return Err(DirectoryError::TlsKey {
                                node: node.id.clone(),
                            });
                        }
                    }
                    self.nodes.insert(node.id.clone(), (index, node));
                }
                Record::Agency(agency) => {
                    let missing = || DirectoryError::Certificate {
                        agency: agency.id.clone(),
                    };
                    let bytes = by_digest
                        .remove(&agency.certificate.digest)
                        .ok_or_else(missing)?;
                    let certificate = Certificate::parse(bytes).map_err(|_| missing())?;
                    if !agency.certificate.names(&certificate) {
                        return Err(missing());
                    }
                    self.agencies
                        .insert(agency.id.clone(), (index, agency, certificate));
                }
            }
        }
        let homeless = self
            .agencies
            .values()
            .find(|(_, agency, _)| !self.nodes.contains_key(&agency.node));
        match homeless {
            Some((_, agency, _)) => Err(DirectoryError::Node {
                agency: agency.id.clone(),
                node: agency.node.clone(),
            }),
            None => Ok(()),
        }
    }

    /// The head.
    #[must_use]
    pub const fn head(&self) -> &VerifiedHead {
        &self.head
    }

    /// The head as signed.
    #[must_use]
    pub const fn signed_head(&self) -> &wire::Signed {
        &self.signed_head
    }

    /// The operator's certificate.
    #[must_use]
    pub const fn operator(&self) -> &Certificate {
        &self.operator
    }

    /// Every agency, by id.
    pub fn agencies(&self) -> impl Iterator<Item = &AgencyRecord> {
        self.agencies.values().map(|(_, agency, _)| agency)
    }

    /// Every node, by id.
    pub fn nodes(&self) -> impl Iterator<Item = &NodeRecord> {
        self.nodes.values().map(|(_, node)| node)
    }

    /// One agency.
    #[must_use]
    pub fn agency(&self, id: &AgencyId) -> Option<&AgencyRecord> {
        self.agencies.get(id).map(|(_, agency, _)| agency)
    }

    /// One agency's certificate.
    #[must_use]
    pub fn certificate(&self, id: &AgencyId) -> Option<&Certificate> {
        self.agencies.get(id).map(|(_, _, certificate)| certificate)
    }

    /// One node.
    #[must_use]
    pub fn node(&self, id: &NodeId) -> Option<&NodeRecord> {
        self.nodes.get(id).map(|(_, node)| node)
    }

    /// The node that holds a TLS key, by the digest of its SubjectPublicKeyInfo.
    #[must_use]
    pub fn node_of_tls_key(&self, key: &Digest) -> Option<&NodeRecord> {
        self.node(self.tls_keys.get(key)?)
    }

    /// The proof of one agency's record.
    #[must_use]
    pub fn agency_proof(&self, id: &AgencyId) -> Option<wire::RecordProof> {
        self.agencies
            .get(id)
            .and_then(|(index, ..)| self.proof(*index))
    }

    /// The proof of one node's record.
    #[must_use]
    pub fn node_proof(&self, id: &NodeId) -> Option<wire::RecordProof> {
        self.nodes.get(id).and_then(|(index, _)| self.proof(*index))
    }

    fn proof(&self, index: usize) -> Option<wire::RecordProof> {
        let position = u64::try_from(index).ok()?;
        let path = self.tree.inclusion_proof(position)?;
        Some(wire::RecordProof {
            record: self.records.get(index)?.clone(),
            index: position,
            path: path.iter().map(|h| h.as_bytes().to_vec()).collect(),
        })
    }
}

/// A directory as the operator keeps it, before it is signed.
#[derive(Debug)]
pub struct DirectoryDraft {
    /// Country whose ids the operator vouches for.
    pub country: String,
    /// Version of the head to sign.
    pub version: u64,
    /// Suite that its agencies use.
    pub suite: Suite,
    /// Records.
    pub records: Vec<wire::Record>,
    /// Agency certificates.
    pub certificates: Vec<Vec<u8>>,
}

/// A directory that cannot be signed.
#[derive(Debug, thiserror::Error)]
pub enum SignDirectoryError {
    /// A record that would not verify.
    #[error(transparent)]
    Record(#[from] DirectoryError),
    /// The operator's key does not sign.
    #[error(transparent)]
    Sign(#[from] SignError),
}

impl DirectoryDraft {
    /// Sorts, signs and returns the file's bytes, after verifying them as a reader would.
    ///
    /// # Errors
    /// A record that would not verify, or a key that does not sign.
    pub fn sign(
        mut self,
        operator: &SigningKey,
        created: Timestamp,
        valid_until: Timestamp,
    ) -> Result<Vec<u8>, SignDirectoryError> {
        let mut keyed = Vec::new();
        for record in self.records.drain(..) {
            let bytes = record.encode_to_vec();
            let parsed = Record::parse(&bytes)?;
            let (class, id) = parsed.sort_key();
            keyed.push((class, id.to_owned(), bytes));
        }
        keyed.sort();
        let records: Vec<Vec<u8>> = keyed.into_iter().map(|(_, _, bytes)| bytes).collect();
        let tree = merkle::Tree::of(records.iter().map(|r| merkle::leaf_hash(r)));
        let content = wire::DirectoryHead {
            country: self.country,
            version: self.version,
            created: created.0,
            valid_until: valid_until.0,
            records: tree.size(),
            root: tree.root().as_bytes().to_vec(),
            suite: i32::from(wire::Suite::from(self.suite)).unsigned_abs(),
        }
        .encode_to_vec();
        let signature = operator.sign(Context::Directory, &content, created)?;
        let bytes = wire::Directory {
            head: Some(wire::Signed { content, signature }),
            operator: operator.certificate().as_bytes().to_vec(),
            records,
            certificates: self.certificates,
        }
        .encode_to_vec();
        VerifiedDirectory::verify(&bytes, &operator.certificate().fingerprint(), created)?;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests;
