//! A scheme: an operator and a directory of each State, and agencies with their keys, each on a node of
//! its own.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result};
use prost::Message as _;
use tempfile::TempDir;
use waypost_node::clock::{Clock as _, SystemClock};
use waypost_node::setup::{AGENCIES_FOLDER, LOG_VKEY_FILE, NODE_RECORD_FILE};
use waypost_proto::directories::Directories;
use waypost_proto::directory_file::{DirectoryDraft, VerifiedDirectory};
use waypost_proto::id::{AgencyId, Country, DeskAddress, DeskName, Timestamp};
use waypost_proto::limit;
use waypost_proto::openpgp::{Certificate, KeyRole, SecretKey, SigningKey, Suite};
use waypost_proto::party::Party;
use waypost_proto::roster::{CertificateRef, Desk, Officer, Roster};
use waypost_proto::vocabulary::{AgencyAttestation, DeskAttestation, Role};
use waypost_proto::wire;

use crate::letter::Ends;
use crate::node::{Network, Node, Trusted};

/// The one desk of every agency.
pub const DESK: &str = "intake";
/// Age of the keys when a test starts, so that rosters of the past can be signed.
const KEYS_AGE_SECONDS: u64 = 40 * 86_400;

/// An agency that a test wants.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    /// Its id, and its node's.
    pub id: &'static str,
    /// Its role, and its desk's.
    pub role: Role,
}

/// A first responder.
pub const NGO: Wanted = Wanted {
    id: "gb.example.ngo",
    role: Role::Ngo,
};
/// The authority that runs the National Referral Mechanism.
pub const AUTHORITY: Wanted = Wanted {
    id: "gb.example.nrm-authority",
    role: Role::NrmCa,
};
/// A school.
pub const SCHOOL: Wanted = Wanted {
    id: "gb.example.school",
    role: Role::Dsl,
};
/// Child protection.
pub const CHILD_PROTECTION: Wanted = Wanted {
    id: "gb.example.child-protection",
    role: Role::Cpa,
};
/// A second authority, so that a sender has two counterparts.
pub const OTHER_AUTHORITY: Wanted = Wanted {
    id: "gb.example.nrm-authority-north",
    role: Role::NrmCa,
};

/// A State with an operator and policies of its own.
pub const INVENTED_STATE: &str = "xx";
/// A liaison office.
pub const LIAISON: Wanted = Wanted {
    id: "gb.example.liaison",
    role: Role::Liai,
};
/// The liaison office of the invented State.
pub const FOREIGN_LIAISON: Wanted = Wanted {
    id: "xx.example.liaison",
    role: Role::Liai,
};

/// An agency with all its keys, and its node.
pub struct Agency {
    /// Its id.
    pub id: AgencyId,
    /// Its node.
    pub node: Node,
    role: Role,
    key: SecretKey,
    desk: SecretKey,
    officers: Vec<SecretKey>,
    record: wire::AgencyRecord,
}

impl std::fmt::Debug for Agency {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Agency")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// A State: its operator, and the file of its directory.
struct State {
    operator: SigningKey,
    file: PathBuf,
}

/// Everything that runs on this machine for one test. Dropping it ends the nodes.
pub struct Scheme {
    /// The agencies, in the order wanted.
    pub agencies: Vec<Agency>,
    states: BTreeMap<Country, State>,
    suite: Suite,
    folder: TempDir,
}

impl std::fmt::Debug for Scheme {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scheme")
            .field("folder", &self.folder)
            .finish_non_exhaustive()
    }
}

/// When the keys of a scheme that is made now are said to have been made.
#[must_use]
pub fn born() -> Timestamp {
    Timestamp(now().0.saturating_sub(KEYS_AGE_SECONDS))
}

/// The time now.
#[must_use]
pub fn now() -> Timestamp {
    SystemClock.now()
}

impl Scheme {
    /// Makes the scheme, and starts every node.
    ///
    /// # Errors
    /// What could not be made.
    pub async fn running(suite: Suite, wanted: &[Wanted]) -> Result<Self> {
        let mut scheme = Self::new(suite, wanted).await?;
        for agency in &mut scheme.agencies {
            agency.node.start().await?;
        }
        Ok(scheme)
    }

    /// Makes the scheme: keys, rosters, nodes, a signed directory of every country that an agency is of.
    /// Every node trusts every operator. No node runs yet.
    ///
    /// # Errors
    /// What could not be made.
    pub async fn new(suite: Suite, wanted: &[Wanted]) -> Result<Self> {
        Self::on(Network::Links, suite, wanted).await
    }

    /// The same, on either network.
    ///
    /// # Errors
    /// What could not be made.
    pub async fn on(network: Network, suite: Suite, wanted: &[Wanted]) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let born = born();
        let mut countries = BTreeSet::new();
        for wanted in wanted {
            countries.insert(wanted.id.parse::<AgencyId>()?.country());
        }
        let mut states = BTreeMap::new();
        for country in countries {
            let operator = SecretKey::generate(KeyRole::Operator, suite, "operator", born)?;
            let state = State {
                operator: operator.signing_key()?,
                file: folder.path().join(format!("directory-{country}.pb")),
            };
            states.insert(country, state);
        }
        let mut scheme = Self {
            agencies: Vec::new(),
            states,
            suite,
            folder,
        };
        for wanted in wanted {
            let agency = scheme.agency(wanted, born, network).await?;
            scheme.agencies.push(agency);
        }
        scheme.publish(1)?;
        Ok(scheme)
    }

    /// Puts one agency more on the node of the first, which must not run.
    ///
    /// # Errors
    /// What could not be made.
    pub async fn host(&mut self, wanted: &Wanted) -> Result<()> {
        let id: AgencyId = wanted.id.parse()?;
        let node = self.agency_at(0)?.node.hosting(&id).await?;
        let agency = self.agency_on(node, wanted, born()).await?;
        self.agencies.push(agency);
        Ok(())
    }

    async fn agency(&self, wanted: &Wanted, born: Timestamp, network: Network) -> Result<Agency> {
        let id: AgencyId = wanted.id.parse()?;
        let folder = self.folder.path().join(id.as_str());
        let node = Node::init(folder, &id, &self.trusted(), network).await?;
        self.agency_on(node, wanted, born).await
    }

    async fn agency_on(&self, node: Node, wanted: &Wanted, born: Timestamp) -> Result<Agency> {
        let id: AgencyId = wanted.id.parse()?;
        let make = |role, name: &str| SecretKey::generate(role, self.suite, name, born);
        let key = make(KeyRole::Agency, id.as_str())?;
        let agency = Agency {
            record: record(wanted, &node, CertificateRef::of(key.certificate())),
            desk: make(KeyRole::Desk, &format!("{id}/{DESK}"))?,
            officers: vec![
                make(KeyRole::Officer, "officer-1")?,
                make(KeyRole::Officer, "officer-2")?,
            ],
            role: wanted.role,
            id,
            node,
            key,
        };
        let at = now();
        let roster = agency.roster(1, at, at.plus(limit::ROSTER_VALID_SECONDS), &[0, 1])?;
        let registration = wire::Registration {
            record: Some(agency.record.clone()),
            roster: Some(wire::Signed::decode(roster.as_slice())?),
            certificates: agency.certificates(),
        };
        let path = agency.registration();
        fs::write(&path, registration.encode_to_vec())?;
        let path = path.to_str().context("a plain path")?;
        agency
            .node
            .command(&["agency", "add", agency.id.as_str(), "--registration", path])
            .await?;
        Ok(agency)
    }

    /// Signs the directories of all agencies and nodes, and puts them where the nodes read them.
    ///
    /// # Errors
    /// When one would not verify.
    pub fn publish(&self, version: u64) -> Result<()> {
        let at = now();
        let until = at.plus(limit::DIRECTORY_VALID_SECONDS);
        for (country, state) in &self.states {
            let signed = self.signed_directory(country, version, at, until, &state.operator)?;
            fs::write(&state.file, signed)?;
        }
        Ok(())
    }

    /// The directory of all agencies and nodes of a country as another operator, or at another time,
    /// would sign it.
    ///
    /// # Errors
    /// When it would not verify.
    pub fn signed_directory(
        &self,
        country: &Country,
        version: u64,
        at: Timestamp,
        valid_until: Timestamp,
        operator: &SigningKey,
    ) -> Result<Vec<u8>> {
        let mut draft = DirectoryDraft {
            country: country.to_string(),
            version,
            suite: self.suite,
            records: Vec::new(),
            certificates: Vec::new(),
        };
        let mut nodes = BTreeSet::new();
        for agency in self.of(country) {
            let data = agency.node.data();
            let folder = data.join(AGENCIES_FOLDER).join(agency.id.as_str());
            let vkey = fs::read_to_string(folder.join(LOG_VKEY_FILE))?;
            let log_key = wire::LogKey {
                vkey: vkey.trim_end().to_owned(),
                // Older than any entry: a directory that is signed anew proves the same log.
                valid_from: born().0,
                valid_until: None,
                epoch: 1,
            };
            let record = wire::AgencyRecord {
                log_keys: vec![log_key],
                ..agency.record.clone()
            };
            let node = fs::read(data.join(NODE_RECORD_FILE))?;
            let node = wire::NodeRecord::decode(node.as_slice())?;
            let first = nodes.insert(node.id.clone());
            let node = first.then_some(wire::record::Record::Node(node));
            let records = [Some(wire::record::Record::Agency(record)), node];
            let records = records.into_iter().flatten().map(Some);
            draft
                .records
                .extend(records.map(|record| wire::Record { record }));
            draft
                .certificates
                .push(agency.key.certificate().as_bytes().to_vec());
        }
        Ok(draft.sign(operator, at, valid_until)?)
    }

    /// The key of a State's operator.
    ///
    /// # Errors
    /// When there is no such State.
    pub fn operator(&self, country: &Country) -> Result<&SigningKey> {
        Ok(&self.state(country)?.operator)
    }

    fn state(&self, country: &Country) -> Result<&State> {
        self.states.get(country).context("a State")
    }

    fn of(&self, country: &Country) -> impl Iterator<Item = &Agency> {
        let agencies = self.agencies.iter();
        agencies.filter(move |agency| agency.id.country() == *country)
    }

    /// What everybody pins: an operator a country.
    #[must_use]
    pub fn trusted(&self) -> Vec<Trusted> {
        let states = self.states.iter();
        let trusted = states.map(|(country, state)| Trusted {
            country: country.clone(),
            operator: state.operator.certificate().fingerprint(),
            file: state.file.clone(),
        });
        trusted.collect()
    }

    /// The suite of every key.
    #[must_use]
    pub const fn suite(&self) -> Suite {
        self.suite
    }

    /// The directories in force, verified.
    ///
    /// # Errors
    /// When one does not verify.
    pub fn directory(&self) -> Result<Directories> {
        let mut all = Directories::default();
        for trusted in self.trusted() {
            let bytes = fs::read(&trusted.file)?;
            let directory = VerifiedDirectory::verify(&bytes, &trusted.operator, now())?;
            all = all.with(&trusted.country, Arc::new(directory))?;
        }
        Ok(all)
    }

    /// An agency's chain, as the directory and its registration tell it.
    ///
    /// # Errors
    /// When it does not hold.
    pub fn party(&self, agency: &Agency) -> Result<Party> {
        self.party_under(agency, &agency.registered()?)
    }

    /// The same under another roster.
    ///
    /// # Errors
    /// When it does not hold.
    pub fn party_under(&self, agency: &Agency, roster: &[u8]) -> Result<Party> {
        let directory = self.directory()?;
        let record = directory.agency(&agency.id).context("a record")?.clone();
        let certificate = directory.certificate(&agency.id).context("a certificate")?;
        let certificates = agency.certificates();
        let certificates = certificates.iter().map(|bytes| Certificate::parse(bytes));
        let certificates = certificates.collect::<Result<Vec<_>, _>>()?;
        Ok(Party::assemble(
            record,
            certificate,
            roster,
            certificates,
            now(),
        )?)
    }

    /// Both ends of a message, without asking any node.
    ///
    /// # Errors
    /// When a chain does not hold.
    pub fn ends(&self, sender: &Agency, recipient: &Agency) -> Result<Ends> {
        Ok(Ends {
            sender: self.party(sender)?,
            from: sender.desk()?,
            recipient: self.party(recipient)?,
            to: recipient.desk()?,
        })
    }

    /// The file of a country's directory, which every node reads.
    ///
    /// # Errors
    /// When there is no such State.
    pub fn file(&self, country: &Country) -> Result<&Path> {
        Ok(&self.state(country)?.file)
    }

    /// One of the agencies, in the order wanted.
    ///
    /// # Errors
    /// When there are fewer.
    pub fn agency_at(&self, index: usize) -> Result<&Agency> {
        self.agencies.get(index).context("an agency")
    }

    /// The node of one of the agencies, in the order wanted.
    ///
    /// # Errors
    /// When there are fewer.
    pub fn node_mut(&mut self, index: usize) -> Result<&mut Node> {
        Ok(&mut self.agencies.get_mut(index).context("an agency")?.node)
    }
}

fn record(wanted: &Wanted, node: &Node, certificate: CertificateRef) -> wire::AgencyRecord {
    let attestations: BTreeSet<_> = AgencyAttestation::ALL
        .iter()
        .map(|a| a.code().to_owned())
        .collect();
    let jurisdiction = match node.id().country().as_str() {
        "gb" => "GB-EAW".to_owned(),
        other => other.to_ascii_uppercase(),
    };
    wire::AgencyRecord {
        id: wanted.id.to_owned(),
        name: wanted.id.to_owned(),
        roles: vec![wanted.role.code().to_owned()],
        jurisdiction,
        node: node.id().to_string(),
        certificate: Some(wire::CertificateRef {
            fingerprint: certificate.fingerprint.as_bytes().to_vec(),
            digest: certificate.digest.as_bytes().to_vec(),
        }),
        attestations: attestations.into_iter().collect(),
        ..Default::default()
    }
}

impl Agency {
    /// Where what it handed to its host is kept.
    fn registration(&self) -> PathBuf {
        self.node.folder().join(format!("{}.pb", self.id))
    }

    /// Takes an attestation from its record; in force once the directory is published and read.
    pub fn withdraw(&mut self, attestation: AgencyAttestation) {
        let left = |code: &String| code != attestation.code();
        self.record.attestations.retain(left);
    }

    /// Its desk.
    ///
    /// # Errors
    /// None in a working harness.
    pub fn desk(&self) -> Result<DeskAddress> {
        Ok(DeskAddress {
            agency: self.id.clone(),
            desk: DESK.parse()?,
        })
    }

    /// The roster with which it was registered, signed.
    ///
    /// # Errors
    /// When the registration cannot be read.
    pub fn registered(&self) -> Result<Vec<u8>> {
        let bytes = fs::read(self.registration())?;
        let registration = wire::Registration::decode(bytes.as_slice())?;
        Ok(registration.roster.context("a roster")?.encode_to_vec())
    }

    /// The agency's own key, which signs its rosters.
    #[must_use]
    pub const fn key(&self) -> &SecretKey {
        &self.key
    }

    /// The desk's whole key.
    #[must_use]
    pub const fn desk_key(&self) -> &SecretKey {
        &self.desk
    }

    /// One of its officers' keys.
    ///
    /// # Errors
    /// When there are fewer.
    pub fn officer(&self, index: usize) -> Result<&SecretKey> {
        self.officers.get(index).context("an officer")
    }

    /// Every certificate of the agency.
    #[must_use]
    pub fn certificates(&self) -> Vec<Vec<u8>> {
        let keys = [&self.key, &self.desk].into_iter().chain(&self.officers);
        keys.map(|key| key.certificate().as_bytes().to_vec())
            .collect()
    }

    /// A signed roster with some of the officers.
    ///
    /// # Errors
    /// When it cannot be signed.
    pub fn roster(
        &self,
        version: u64,
        created: Timestamp,
        valid_until: Timestamp,
        officers: &[usize],
    ) -> Result<Vec<u8>> {
        let name: DeskName = DESK.parse()?;
        let desk = Desk {
            role: self.role,
            certificate: CertificateRef::of(self.desk.certificate()),
            encryption_key: *self
                .desk
                .certificate()
                .encryption_keys()
                .last()
                .context("a subkey")?,
            attestations: [DeskAttestation::Vetted, DeskAttestation::ChildSpecialist].into(),
        };
        let listed = |index: &usize| {
            let certificate = CertificateRef::of(self.officer(*index)?.certificate());
            let officer = Officer {
                certificate,
                title: "Caseworker".to_owned(),
                desks: [name.clone()].into(),
            };
            Ok((certificate.fingerprint, officer))
        };
        let roster = Roster {
            agency: self.id.clone(),
            version,
            created,
            valid_until,
            officers: officers.iter().map(listed).collect::<Result<_>>()?,
            desks: [(name.clone(), desk)].into(),
            revoked: BTreeSet::new(),
        };
        Ok(roster.sign(&self.key.signing_key()?)?)
    }
}
