//! A small scheme with real keys, for tests: an operator, two agencies and their nodes.
//!
//! Made once per test program. A test takes a draft, changes one thing, and signs again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use prost::Message;

use crate::context::Context;
use crate::directory::{AgencyRecord, Record, VerifiedHead};
use crate::directory_file::{DirectoryDraft, VerifiedDirectory};
use crate::id::{AgencyId, DeskName, Timestamp};
use crate::note::{KeyName, NoteSigner};
use crate::openpgp::{Certificate, KeyRole, SecretKey, SigningKey, Suite};
use crate::party::Party;
use crate::roster::{CertificateRef, Desk, Officer, Roster};
use crate::vocabulary::{DeskAttestation, Role};
use crate::wire;

/// The time of judgement: everything of the scheme is signed now.
pub(crate) const NOW: Timestamp = Timestamp(1_800_000_000);
/// When the keys were made.
pub(crate) const BORN: Timestamp = Timestamp(NOW.0 - 40 * DAY);
/// Seconds.
pub(crate) const DAY: u64 = 24 * 3600;

/// The scheme. Its agencies, by id: the recipient, then the sender.
pub(crate) struct Scheme {
    pub(crate) operator: SigningKey,
    pub(crate) sender: Agency,
    pub(crate) recipient: Agency,
    /// The directory file, of version 1.
    pub(crate) file: Vec<u8>,
    pub(crate) directory: VerifiedDirectory,
    pub(crate) head: VerifiedHead,
}

/// An agency with one desk, `intake`, and one officer, who signs for it.
pub(crate) struct Agency {
    pub(crate) id: AgencyId,
    pub(crate) record: AgencyRecord,
    pub(crate) record_wire: wire::AgencyRecord,
    pub(crate) node: wire::NodeRecord,
    pub(crate) key: SigningKey,
    pub(crate) certificate: Certificate,
    pub(crate) desk: SecretKey,
    pub(crate) officer: SecretKey,
    pub(crate) log: NoteSigner,
    pub(crate) roster: Roster,
    /// The signed roster.
    pub(crate) roster_bytes: Vec<u8>,
}

/// The one scheme of this test program.
pub(crate) fn scheme() -> &'static Scheme {
    static SCHEME: OnceLock<Scheme> = OnceLock::new();
    SCHEME.get_or_init(|| {
        let operator = key(KeyRole::Operator, "operator").signing_key().unwrap();
        let sender = agency("gb.example.ngo", Role::Ngo, 1);
        let recipient = agency("gb.example.authority", Role::NrmCa, 2);
        let file = draft_of([&sender, &recipient])
            .sign(&operator, NOW, NOW.plus(30 * DAY))
            .unwrap();
        let pinned = operator.certificate().fingerprint();
        let directory = VerifiedDirectory::verify(&file, &pinned, NOW).unwrap();
        Scheme {
            head: directory.head().clone(),
            operator,
            sender,
            recipient,
            file,
            directory,
        }
    })
}

/// A new key of the classical suite.
pub(crate) fn key(role: KeyRole, user_id: &str) -> SecretKey {
    SecretKey::generate(role, Suite::Classical, user_id, BORN).unwrap()
}

/// The one desk of every agency.
pub(crate) fn intake() -> DeskName {
    "intake".parse().unwrap()
}

fn draft_of(agencies: [&Agency; 2]) -> DirectoryDraft {
    let records = agencies.iter().flat_map(|agency| {
        [
            wire::record::Record::Agency(agency.record_wire.clone()),
            wire::record::Record::Node(agency.node.clone()),
        ]
    });
    DirectoryDraft {
        country: "gb".into(),
        version: 1,
        suite: Suite::Classical,
        records: records.map(record).collect(),
        certificates: agencies
            .map(|agency| agency.certificate.as_bytes().to_vec())
            .into(),
    }
}

pub(crate) const fn record(record: wire::record::Record) -> wire::Record {
    wire::Record {
        record: Some(record),
    }
}

/// The record, by way of its bytes.
pub(crate) fn parsed(wire: &wire::AgencyRecord) -> AgencyRecord {
    let bytes = record(wire::record::Record::Agency(wire.clone())).encode_to_vec();
    match Record::parse(&bytes).unwrap() {
        Record::Agency(agency) => agency,
        Record::Node(_) => unreachable!(),
    }
}

/// `content` with a signature over it.
pub(crate) fn signed(signer: &SigningKey, context: Context, content: Vec<u8>) -> wire::Signed {
    let signature = signer.sign(context, &content, NOW).unwrap();
    wire::Signed { content, signature }
}

fn agency(id: &str, role: Role, number: u8) -> Agency {
    let id: AgencyId = id.parse().unwrap();
    let key_of = |role, name: &str| key(role, &format!("{id}/{name}"));
    let agency_key = key_of(KeyRole::Agency, "agency").signing_key().unwrap();
    let certificate = agency_key.certificate().clone();
    let (desk, officer) = (
        key_of(KeyRole::Desk, "intake"),
        key_of(KeyRole::Officer, "officer 1"),
    );
    let log = NoteSigner::generate(KeyName::of_log(&id)).unwrap();
    let record_wire = wire::AgencyRecord {
        id: id.to_string(),
        name: format!("Agency {number}"),
        roles: vec![role.code().to_owned()],
        jurisdiction: "GB-EAW".into(),
        node: format!("gb.node{number}"),
        certificate: Some(CertificateRef::of(&certificate).to_wire()),
        log_keys: vec![wire::LogKey {
            vkey: log.verifier().to_string(),
            valid_from: BORN.0,
            valid_until: None,
            epoch: 1,
        }],
        ..Default::default()
    };
    let roster = roster(&id, role, &desk, &officer);
    Agency {
        record: parsed(&record_wire),
        node: wire::NodeRecord {
            id: record_wire.node.clone(),
            peer_endpoint: format!("node{number}.example:443"),
            desk_endpoint: format!("node{number}.example:444"),
            tls_key: vec![number; 32],
            tls_key_next: Vec::new(),
        },
        record_wire,
        roster_bytes: roster.sign(&agency_key).unwrap(),
        roster,
        key: agency_key,
        certificate,
        desk,
        officer,
        log,
        id,
    }
}

fn roster(agency: &AgencyId, role: Role, desk: &SecretKey, officer: &SecretKey) -> Roster {
    let of_officer = Officer {
        certificate: CertificateRef::of(officer.certificate()),
        title: "duty officer".into(),
        desks: BTreeSet::from([intake()]),
    };
    let of_desk = Desk {
        role,
        certificate: CertificateRef::of(desk.certificate()),
        encryption_key: desk.certificate().encryption_keys()[0],
        attestations: DeskAttestation::ALL.iter().copied().collect(),
    };
    Roster {
        agency: agency.clone(),
        version: 1,
        created: NOW,
        valid_until: NOW.plus(30 * DAY),
        officers: BTreeMap::from([(officer.certificate().fingerprint(), of_officer)]),
        desks: BTreeMap::from([(intake(), of_desk)]),
        revoked: BTreeSet::new(),
    }
}

impl Scheme {
    /// The directory, to change and sign again.
    pub(crate) fn draft(&self) -> DirectoryDraft {
        draft_of([&self.sender, &self.recipient])
    }
}

impl Agency {
    /// Its desk's and its officer's certificates.
    pub(crate) fn certificates(&self) -> [Certificate; 2] {
        [&self.desk, &self.officer].map(|key| key.certificate().clone())
    }

    /// Its chain, with every certificate at hand.
    pub(crate) fn party(&self) -> Party {
        self.party_with(&self.roster)
    }

    /// Its chain with another roster.
    pub(crate) fn party_with(&self, roster: &Roster) -> Party {
        Party::assemble(
            self.record.clone(),
            &self.certificate,
            &roster.sign(&self.key).unwrap(),
            self.certificates(),
            NOW,
        )
        .unwrap()
    }

    /// The officer's key.
    pub(crate) fn signer(&self) -> SigningKey {
        self.officer.signing_key().unwrap()
    }
}
