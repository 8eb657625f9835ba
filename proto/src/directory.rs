//! The directory: which agencies and nodes exist, under a head that the scheme operator signs.
//!
//! A head holds the root of an RFC 6962 tree over the sorted records, so that one record is checked
//! with a proof. An operator vouches only for ids under its own country.

use std::collections::BTreeSet;

use prost::Message;

use crate::context::Context;
use crate::id::{AgencyId, Country, Digest, IdError, NodeId, Timestamp};
use crate::limit;
use crate::merkle;
use crate::note::{KeyName, NoteError, Verifier};
use crate::openpgp::{Certificate, Suite, VerifyError};
use crate::roster::CertificateRef;
use crate::strict::{self, StrictError};
use crate::vocabulary::{AgencyAttestation, Role, UnknownCode};
use crate::wire;

/// A log key of an agency, for a time.
#[derive(Debug, Clone)]
pub struct LogKey {
    /// Verifies checkpoints.
    pub verifier: Verifier,
    /// From when.
    pub valid_from: Timestamp,
    /// Until when; none: still in use.
    pub valid_until: Option<Timestamp>,
    /// The log epoch that it signs.
    pub epoch: u32,
}

/// An agency, as the operator vouches for.
#[derive(Debug, Clone)]
pub struct AgencyRecord {
    /// Its id.
    pub id: AgencyId,
    /// Its name, for people.
    pub name: String,
    /// Its roles.
    pub roles: BTreeSet<Role>,
    /// Jurisdiction, such as `GB-EAW`.
    pub jurisdiction: String,
    /// The node that hosts it.
    pub node: NodeId,
    /// Its certificate.
    pub certificate: CertificateRef,
    /// Its log keys.
    pub log_keys: Vec<LogKey>,
    /// What it is attested for.
    pub attestations: BTreeSet<AgencyAttestation>,
    /// Signature of the previous agency key over this certificate's bytes; empty: none.
    pub succession: Vec<u8>,
}

/// A node, as the operator vouches for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeRecord {
    /// Its id.
    pub id: NodeId,
    /// `host:port` for peers.
    pub peer_endpoint: String,
    /// `host:port` for desks.
    pub desk_endpoint: String,
    /// SHA-256 of the TLS SubjectPublicKeyInfo in use.
    pub tls_key: Digest,
    /// The next one, during a change.
    pub tls_key_next: Option<Digest>,
}

/// One leaf of the directory.
#[derive(Debug, Clone)]
pub enum Record {
    /// An agency.
    Agency(AgencyRecord),
    /// A node.
    Node(NodeRecord),
}

/// A head, record or proof that does not verify.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// DIR-01: too long, malformed, unknown fields.
    #[error("DIR-01: {0}")]
    Encoding(#[from] StrictError),
    /// DIR-02: signed by another certificate than the pinned operator's.
    #[error("DIR-02: the directory's operator certificate is not the pinned one")]
    Operator,
    /// DIR-03: the operator's signature does not verify.
    #[error("DIR-03: the operator's signature on the directory head does not verify: {0}")]
    Signature(#[from] VerifyError),
    /// DIR-04: an id, digest or endpoint does not parse.
    #[error("DIR-04: {0}")]
    Id(#[from] IdError),
    /// DIR-04: a code is not in its vocabulary.
    #[error("DIR-04: {0}")]
    Code(#[from] UnknownCode),
    /// DIR-04: a log key does not parse, or is not named after the agency.
    #[error("DIR-04: log key of `{agency}`: {source}")]
    LogKey {
        /// The agency.
        agency: AgencyId,
        /// What is wrong.
        source: NoteError,
    },
    /// DIR-04: another text is not plain or too long.
    #[error("DIR-04: `{field}` is not plain text within its limit")]
    Text {
        /// The field.
        field: &'static str,
    },
    /// DIR-05: an id outside the operator's country.
    #[error("DIR-05: `{id}` is not under the operator's country `{country}`")]
    Country {
        /// The id.
        id: String,
        /// The operator's country.
        country: Country,
    },
    /// DIR-06: the record is not in the tree under this head.
    #[error("DIR-06: the record is not proved by the directory head")]
    Proof,
    /// DIR-07: older than one seen, or another one of the same version.
    #[error(
        "DIR-07: the directory has version {found}, version {seen} has been seen; fetch the current one from the scheme operator"
    )]
    Older {
        /// Version found.
        found: u64,
        /// Version seen.
        seen: u64,
    },
    /// DIR-08: valid for longer than allowed, not after it was created, or created in the future.
    #[error("DIR-08: a directory head is valid for at most {} days from its creation, which is not in the future", limit::DIRECTORY_VALID_SECONDS / 86_400)]
    Validity,
    /// DIR-09: records are not sorted or one stands twice.
    #[error("DIR-09: records are not sorted, repeat an id, or exceed their limit")]
    Order,
    /// DIR-09: a list within a record is not in order, repeats an entry, or is too long.
    #[error("DIR-09: `{list}` of a record is not in order, repeats an entry, or exceeds its limit")]
    List {
        /// The list.
        list: &'static str,
    },
    /// DIR-10: a certificate named by a record is missing.
    #[error(
        "DIR-10: the certificate of `{agency}` is missing or not the one that the record names"
    )]
    Certificate {
        /// The agency.
        agency: AgencyId,
    },
    /// DIR-11: an agency names a node that is not in the directory.
    #[error("DIR-11: `{agency}` names the node `{node}`, which the directory does not hold")]
    Node {
        /// The agency.
        agency: AgencyId,
        /// The node.
        node: NodeId,
    },
    /// DIR-12: another agency key, which the old one did not sign and which is too new.
    #[error(
        "DIR-12: `{agency}` has a new key that its old key did not sign: it is used from 7 days after it was first seen, in {} hours",
        wait_seconds.div_ceil(3600)
    )]
    Succession {
        /// The agency.
        agency: AgencyId,
        /// Seconds still to wait.
        wait_seconds: u64,
    },
    /// DIR-13: two nodes with one TLS key: neither could be told from the other.
    #[error("DIR-13: `{node}` has a TLS key that another node has")]
    TlsKey {
        /// The second node.
        node: NodeId,
    },
    /// DIR-14: a directory of another country than the one that its operator is pinned for.
    #[error("DIR-14: the directory is of `{found}`, its operator is pinned for `{pinned}`")]
    Pinned {
        /// The country that the head names.
        found: Country,
        /// The country that the operator is pinned for.
        pinned: Country,
    },
}

fn plain_text(field: &'static str, text: &str, limit: usize) -> Result<(), DirectoryError> {
    let ok =
        !text.is_empty() && text.chars().count() <= limit && !text.chars().any(char::is_control);
    if ok {
        Ok(())
    } else {
        Err(DirectoryError::Text { field })
    }
}

fn endpoint(field: &'static str, text: &str) -> Result<(), DirectoryError> {
    let ok = text.rsplit_once(':').is_some_and(|(host, port)| {
        !host.is_empty()
            && host.len() <= 253
            && host
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b':' | b'[' | b']'))
            // A colon in the host stands only in brackets, or the port would be ambiguous.
            && (!host.contains(':') || (host.starts_with('[') && host.ends_with(']')))
            && port.bytes().all(|b| b.is_ascii_digit())
            && port.parse::<u16>().is_ok_and(|port| port > 0)
    });
    if ok {
        Ok(())
    } else {
        Err(DirectoryError::Text { field })
    }
}

impl AgencyRecord {
    fn parse(wire: &wire::AgencyRecord) -> Result<Self, DirectoryError> {
        let id: AgencyId = wire.id.parse()?;
        plain_text("name", &wire.name, 200)?;
        plain_text("jurisdiction", &wire.jurisdiction, 16)?;
        ascending("roles", Role::ALL.len(), &wire.roles)?;
        ascending(
            "attestations",
            AgencyAttestation::ALL.len(),
            &wire.attestations,
        )?;
        if wire.succession.len() > limit::SIGNATURE_BYTES {
            return Err(DirectoryError::Text {
                field: "succession",
            });
        }
        let log_keys = parse_log_keys(&id, &wire.log_keys)?;
        Ok(Self {
            name: wire.name.clone(),
            roles: wire
                .roles
                .iter()
                .map(|r| r.parse())
                .collect::<Result<_, _>>()?,
            jurisdiction: wire.jurisdiction.clone(),
            node: wire.node.parse()?,
            certificate: CertificateRef::parse(wire.certificate.as_ref())?,
            log_keys,
            attestations: wire
                .attestations
                .iter()
                .map(|a| a.parse())
                .collect::<Result<_, _>>()?,
            succession: wire.succession.clone(),
            id,
        })
    }

    /// The key that signs the log at `at`, if one is valid.
    #[must_use]
    pub fn log_key(&self, at: Timestamp) -> Option<&LogKey> {
        self.log_keys.iter().find(|k| {
            k.valid_from.since(at) <= limit::CLOCK_SKEW_SECONDS
                && k.valid_until.is_none_or(|u| at < u)
        })
    }

    /// The name of its log: `waypost/<agency id>`.
    #[must_use]
    pub fn origin(&self) -> String {
        origin(&self.id)
    }
}

/// The name of an agency's log (tlog-checkpoint origin).
#[must_use]
pub fn origin(agency: &AgencyId) -> String {
    KeyName::of_log(agency).as_str().to_owned()
}

/// DIR-09: in order, each once; a set would hide the rest.
fn ascending(list: &'static str, limit: usize, codes: &[String]) -> Result<(), DirectoryError> {
    if codes.len() <= limit && codes.is_sorted_by(|a, b| a < b) {
        Ok(())
    } else {
        Err(DirectoryError::List { list })
    }
}

/// DIR-09: epochs grow and their times do not overlap, so that one key at most is valid at a time.
fn parse_log_keys(agency: &AgencyId, keys: &[wire::LogKey]) -> Result<Vec<LogKey>, DirectoryError> {
    let list = "log_keys";
    if keys.len() > limit::LOG_KEYS {
        return Err(DirectoryError::List { list });
    }
    let keys: Vec<LogKey> = keys
        .iter()
        .map(|key| parse_log_key(agency, key))
        .collect::<Result<_, _>>()?;
    let each = keys
        .iter()
        .all(|key| key.valid_until.is_none_or(|until| key.valid_from <= until));
    let follow = keys.is_sorted_by(|before, after| {
        before.epoch < after.epoch
            && before
                .valid_until
                .is_some_and(|until| until <= after.valid_from)
            && before.verifier != after.verifier
    });
    if each && follow {
        Ok(keys)
    } else {
        Err(DirectoryError::List { list })
    }
}

fn parse_log_key(agency: &AgencyId, wire: &wire::LogKey) -> Result<LogKey, DirectoryError> {
    let fail = |source| DirectoryError::LogKey {
        agency: agency.clone(),
        source,
    };
    let verifier: Verifier = wire.vkey.parse().map_err(fail)?;
    if verifier.name().as_str() != origin(agency) {
        return Err(DirectoryError::Text {
            field: "log key name",
        });
    }
    Ok(LogKey {
        verifier,
        valid_from: Timestamp(wire.valid_from),
        valid_until: wire.valid_until.map(Timestamp),
        epoch: wire.epoch,
    })
}

impl NodeRecord {
    fn parse(wire: &wire::NodeRecord) -> Result<Self, DirectoryError> {
        endpoint("peer_endpoint", &wire.peer_endpoint)?;
        endpoint("desk_endpoint", &wire.desk_endpoint)?;
        let tls_key_next = match wire.tls_key_next.as_slice() {
            [] => None,
            bytes => Some(Digest::try_from(bytes)?),
        };
        Ok(Self {
            id: wire.id.parse()?,
            peer_endpoint: wire.peer_endpoint.clone(),
            desk_endpoint: wire.desk_endpoint.clone(),
            tls_key: Digest::try_from(wire.tls_key.as_slice())?,
            tls_key_next,
        })
    }

    /// The TLS key in use and, during a change, the next one.
    pub fn tls_keys(&self) -> impl Iterator<Item = Digest> {
        [Some(self.tls_key), self.tls_key_next]
            .into_iter()
            .flatten()
    }
}

impl Record {
    /// Parses one record's exact bytes.
    ///
    /// # Errors
    /// DIR-01, DIR-04, DIR-09.
    pub fn parse(bytes: &[u8]) -> Result<Self, DirectoryError> {
        let wire: wire::Record = strict::decode(bytes, limit::RECORD_BYTES)?;
        match &wire.record {
            Some(wire::record::Record::Agency(agency)) => {
                AgencyRecord::parse(agency).map(Self::Agency)
            }
            Some(wire::record::Record::Node(node)) => NodeRecord::parse(node).map(Self::Node),
            None => Err(StrictError::Malformed.into()),
        }
    }

    /// Agencies before nodes, each by id.
    pub(crate) fn sort_key(&self) -> (u8, &str) {
        match self {
            Self::Agency(agency) => (0, agency.id.as_str()),
            Self::Node(node) => (1, node.id.as_str()),
        }
    }

    pub(crate) fn check_country(&self, country: &Country) -> Result<(), DirectoryError> {
        let (_, id) = self.sort_key();
        if id.split('.').next() == Some(country.as_str()) {
            Ok(())
        } else {
            Err(DirectoryError::Country {
                id: id.to_owned(),
                country: country.clone(),
            })
        }
    }
}

/// Whether `after` may stand for the agency that `before` stood for: the same key, or one that the
/// old key signed, or one that has been public for seven days (DESIGN 2).
///
/// `old` and `new` are the certificates that the two records name; `first_seen` is when the caller
/// first saw the new one in a directory.
///
/// # Errors
/// DIR-10 when a certificate is not the one that its record names; DIR-12.
pub fn check_succession(
    (before, old): (&AgencyRecord, &Certificate),
    (after, new): (&AgencyRecord, &Certificate),
    first_seen: Timestamp,
    now: Timestamp,
) -> Result<(), DirectoryError> {
    for (record, certificate) in [(before, old), (after, new)] {
        if !record.certificate.names(certificate) {
            return Err(DirectoryError::Certificate {
                agency: record.id.clone(),
            });
        }
    }
    let same = before.certificate.fingerprint == after.certificate.fingerprint;
    let signed = || {
        old.verify(Context::Succession, new.as_bytes(), &after.succession, now)
            .is_ok()
    };
    let waited = now.since(first_seen);
    if before.id == after.id && (same || waited >= limit::FINGERPRINT_WAIT_SECONDS || signed()) {
        Ok(())
    } else {
        Err(DirectoryError::Succession {
            agency: before.id.clone(),
            wait_seconds: limit::FINGERPRINT_WAIT_SECONDS.saturating_sub(waited),
        })
    }
}

/// A directory head whose signature has verified under the pinned operator.
#[derive(Debug, Clone)]
pub struct VerifiedHead {
    country: Country,
    version: u64,
    valid_until: Timestamp,
    records: u64,
    root: Digest,
    suite: Suite,
    digest: Digest,
}

impl VerifiedHead {
    /// Verifies a signed head under the pinned operator's certificate, judged at `at`.
    ///
    /// Whether it is expired or older than one seen is for the caller: [`Self::is_fresh`],
    /// [`Self::check_not_older`].
    ///
    /// # Errors
    /// DIR-01, DIR-03, DIR-04, DIR-08, DIR-09.
    pub fn verify(
        signed: &wire::Signed,
        operator: &Certificate,
        at: Timestamp,
    ) -> Result<Self, DirectoryError> {
        if signed.content.len() > limit::RECORD_BYTES {
            return Err(StrictError::TooLong {
                found: signed.content.len(),
                limit: limit::RECORD_BYTES,
            }
            .into());
        }
        operator.verify(Context::Directory, &signed.content, &signed.signature, at)?;
        let head: wire::DirectoryHead = strict::decode(&signed.content, limit::RECORD_BYTES)?;
        let (created, valid_until) = (Timestamp(head.created), Timestamp(head.valid_until));
        // One created in the future would stay valid for longer than 30 days from now.
        if valid_until <= created
            || valid_until.since(created) > limit::DIRECTORY_VALID_SECONDS
            || created.since(at) > limit::CLOCK_SKEW_SECONDS
        {
            return Err(DirectoryError::Validity);
        }
        if !usize::try_from(head.records).is_ok_and(|n| n <= limit::DIRECTORY_RECORDS) {
            return Err(DirectoryError::Order);
        }
        let suite = wire::Suite::try_from(i32::try_from(head.suite).unwrap_or_default())
            .ok()
            .and_then(|suite| Suite::try_from(suite).ok())
            .ok_or(DirectoryError::Text { field: "suite" })?;
        Ok(Self {
            country: head.country.parse()?,
            version: head.version,
            valid_until,
            records: head.records,
            root: Digest::try_from(head.root.as_slice())?,
            suite,
            digest: Digest::of(&signed.encode_to_vec()),
        })
    }

    /// Version, growing with each signing.
    #[must_use]
    pub const fn version(&self) -> u64 {
        self.version
    }

    /// The operator's country.
    #[must_use]
    pub const fn country(&self) -> &Country {
        &self.country
    }

    /// The suite that its agencies use.
    #[must_use]
    pub const fn suite(&self) -> Suite {
        self.suite
    }

    /// SHA-256 of the signed head.
    #[must_use]
    pub const fn digest(&self) -> Digest {
        self.digest
    }

    /// End of its validity.
    #[must_use]
    pub const fn valid_until(&self) -> Timestamp {
        self.valid_until
    }

    /// Whether `at` is before the end of its validity.
    #[must_use]
    pub fn is_fresh(&self, at: Timestamp) -> bool {
        at < self.valid_until
    }

    /// Refuses a head older than one seen, or another one of the same version.
    ///
    /// # Errors
    /// DIR-07.
    pub fn check_not_older(&self, seen: u64, seen_digest: Digest) -> Result<(), DirectoryError> {
        if self.version > seen || (self.version == seen && self.digest == seen_digest) {
            Ok(())
        } else {
            Err(DirectoryError::Older {
                found: self.version,
                seen,
            })
        }
    }

    pub(crate) fn proves(&self, records: u64, root: Digest) -> bool {
        self.records == records && self.root == root
    }

    fn prove(&self, proof: &wire::RecordProof) -> Result<Record, DirectoryError> {
        if proof.path.len() > limit::PROOF_HASHES {
            return Err(DirectoryError::Proof);
        }
        let path: Vec<Digest> = proof
            .path
            .iter()
            .map(|h| Digest::try_from(h.as_slice()))
            .collect::<Result<_, _>>()
            .map_err(|_| DirectoryError::Proof)?;
        let leaf = merkle::leaf_hash(&proof.record);
        merkle::verify_inclusion(&leaf, proof.index, self.records, &path, &self.root)
            .map_err(|_| DirectoryError::Proof)?;
        let record = Record::parse(&proof.record)?;
        record.check_country(&self.country)?;
        Ok(record)
    }

    /// One agency, by its proof.
    ///
    /// # Errors
    /// DIR-01, DIR-04 to DIR-06; DIR-06 too when the record is of another agency or of a node.
    pub fn agency(
        &self,
        id: &AgencyId,
        proof: &wire::RecordProof,
    ) -> Result<AgencyRecord, DirectoryError> {
        match self.prove(proof)? {
            Record::Agency(agency) if agency.id == *id => Ok(agency),
            _ => Err(DirectoryError::Proof),
        }
    }

    /// One node, by its proof.
    ///
    /// # Errors
    /// As [`Self::agency`].
    pub fn node(
        &self,
        id: &NodeId,
        proof: &wire::RecordProof,
    ) -> Result<NodeRecord, DirectoryError> {
        match self.prove(proof)? {
            Record::Node(node) if node.id == *id => Ok(node),
            _ => Err(DirectoryError::Proof),
        }
    }
}

#[cfg(test)]
mod tests;
