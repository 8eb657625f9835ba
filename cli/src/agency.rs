//! `agency init`: the keys of a new agency, its first desk and first officer, and what it hands out.
//!
//! ```text
//! agency key --signs--> roster --names--> desk key, officer key
//!      +-----hands over: the desk's subkey, sealed to the officer
//! ```

use std::collections::BTreeSet;
use std::net::SocketAddr;

use aws_lc_rs::rand;
use prost::Message as _;
use serde::Serialize;
use waypost_proto::id::{NodeId, Timestamp};
use waypost_proto::openpgp::{KeyError, KeyRole, SecretKey, SigningKey, Suite};
use waypost_proto::roster::{CertificateRef, Desk, Officer, Roster};
use waypost_proto::{limit, wire};

use crate::args::{AgencyInit, SuiteName};
use crate::clock::iso;
use crate::context::Context;
use crate::home::{AgencySettings, HomeFile, Seen, Settings};
use crate::output::{Failure, Output, Page, Report};
use crate::registration::Registered;

#[derive(Debug, Serialize)]
struct Made {
    agency: String,
    home: String,
    suite: &'static str,
    agency_fingerprint: String,
    desk: String,
    desk_encryption_key: String,
    officer: String,
    officer_fingerprint: String,
    roster_version: u64,
    roster_valid_until: String,
    registration: String,
    node_config: String,
    next: Vec<String>,
}

impl Report for Made {
    const COMMAND: &'static str = "agency init";

    fn page(&self, page: &mut Page) {
        page.good(&format!("The agency {} is set up.", self.agency));
        page.field("home", &self.home);
        page.field("suite", &self.suite);
        page.field("agency key", &self.agency_fingerprint);
        page.field("desk", &self.desk);
        page.field("officer", &self.officer);
        page.field("officer key", &self.officer_fingerprint);
        page.field(
            "roster",
            &format!(
                "version {}, valid until {}",
                self.roster_version, self.roster_valid_until
            ),
        );
        page.field("registration", &self.registration);
        page.field("node config", &self.node_config);
        page.next_steps(&self.next);
    }
}

/// The secret keys of a new agency, before anything is written.
struct Keys {
    agency: SecretKey,
    desk: SecretKey,
    officer: SecretKey,
    officer_name: String,
}

/// Makes an agency.
///
/// # Errors
/// The folder holds a home already, something given is malformed, the passphrase is weak.
pub fn init(wanted: &AgencyInit, context: &Context) -> Result<Output, Failure> {
    context.home.check_unused()?;
    let endpoints = Endpoints::of(wanted)?;
    let node = match &wanted.node {
        Some(node) => node.clone(),
        None => wanted
            .id
            .as_str()
            .parse()
            .map_err(|e| Failure::invalid("the node's id").caused_by(&e))?,
    };
    // What is malformed is found before a passphrase is asked for.
    check_texts(wanted)?;
    let passphrase = context.new_passphrase(&format!("the new keys of {}", wanted.id))?;
    let now = context.now();
    context.note("Making the keys ..");
    let keys = Keys::generate(wanted, now)?;
    let registration = keys.register(wanted, &node, now)?;
    let registered = Registered::verify(&registration.encode_to_vec(), now).map_err(|failure| {
        failure.next("correct the options and type the command again: nothing was written")
    })?;
    write(wanted, context, &keys, &passphrase, &registered, now)?;
    context.home.write(
        &HomeFile::NodeConfig,
        endpoints.node_config(wanted, &node).as_bytes(),
    )?;
    context
        .home
        .write_settings(&Settings::Agency(AgencySettings {
            agency: wanted.id.clone(),
            officer: keys.officer.certificate().fingerprint(),
            desk: wanted.desk.clone(),
            operators: wanted
                .operator
                .map(|pin| (wanted.id.country(), pin))
                .into_iter()
                .collect(),
        }))?;
    let seen = Seen {
        version: 1,
        digest: registered.roster().digest(),
    };
    context.home.update_state(|state| {
        state.rosters.insert(wanted.id.clone(), seen);
        Ok(())
    })?;
    Ok(Output::of(&made(wanted, context, &keys, &registered)))
}

pub(crate) fn key_failure(error: KeyError) -> Failure {
    Failure::error("the keys cannot be made").caused_by(&error)
}

impl From<SuiteName> for Suite {
    fn from(name: SuiteName) -> Self {
        match name {
            SuiteName::PostQuantum => Self::PostQuantum,
            SuiteName::Classical => Self::Classical,
        }
    }
}

/// The suite, as people write it.
#[must_use]
pub const fn suite_name(suite: Suite) -> &'static str {
    match suite {
        Suite::PostQuantum => "post-quantum",
        Suite::Classical => "classical",
    }
}

/// An opaque name: certificates are seen by counterparts, and say nothing of who the officer is.
pub(crate) fn officer_name() -> Result<String, Failure> {
    let mut bytes = [0; 4];
    rand::fill(&mut bytes).map_err(|_| Failure::error("the system gives no random bytes"))?;
    Ok(format!("officer-{}", hex::encode(bytes)))
}

impl Keys {
    fn generate(wanted: &AgencyInit, now: Timestamp) -> Result<Self, Failure> {
        let suite = wanted.suite.into();
        let make = |role, user_id: &str| {
            SecretKey::generate(role, suite, user_id, now).map_err(key_failure)
        };
        let officer_name = officer_name()?;
        Ok(Self {
            agency: make(KeyRole::Agency, wanted.id.as_str())?,
            desk: make(KeyRole::Desk, &format!("{}/{}", wanted.id, wanted.desk))?,
            officer: make(KeyRole::Officer, &officer_name)?,
            officer_name,
        })
    }

    fn admin(&self) -> Result<SigningKey, Failure> {
        self.agency
            .signing_key()
            .map_err(|e| Failure::error("the agency's key does not sign").caused_by(&e))
    }

    /// The first roster and the directory record, in one.
    fn register(
        &self,
        wanted: &AgencyInit,
        node: &NodeId,
        now: Timestamp,
    ) -> Result<wire::Registration, Failure> {
        let officer = CertificateRef::of(self.officer.certificate());
        let encryption_key = *self
            .desk
            .certificate()
            .encryption_keys()
            .last()
            .ok_or_else(|| Failure::error("the desk's key has no encryption subkey"))?;
        let desk = Desk {
            role: wanted.role,
            certificate: CertificateRef::of(self.desk.certificate()),
            encryption_key,
            attestations: wanted.desk_attest.iter().copied().collect(),
        };
        let roster = Roster {
            agency: wanted.id.clone(),
            version: 1,
            created: now,
            valid_until: now.plus(limit::ROSTER_VALID_SECONDS),
            officers: [(
                officer.fingerprint,
                Officer {
                    certificate: officer,
                    title: wanted.title.clone(),
                    desks: [wanted.desk.clone()].into(),
                },
            )]
            .into(),
            desks: [(wanted.desk.clone(), desk)].into(),
            revoked: BTreeSet::new(),
        };
        let signed = roster
            .sign(&self.admin()?)
            .map_err(|e| Failure::error("the roster cannot be signed").caused_by(&e))?;
        let signed = wire::Signed::decode(signed.as_slice())
            .map_err(|e| Failure::error("the roster cannot be encoded").caused_by(&e))?;
        let certificates = [&self.agency, &self.desk, &self.officer]
            .map(|key| key.certificate().as_bytes().to_vec());
        Ok(wire::Registration {
            record: Some(record(
                wanted,
                node,
                CertificateRef::of(self.agency.certificate()),
            )),
            roster: Some(signed),
            certificates: certificates.into(),
        })
    }
}

fn record(wanted: &AgencyInit, node: &NodeId, certificate: CertificateRef) -> wire::AgencyRecord {
    let attestations: BTreeSet<String> =
        wanted.attest.iter().map(|a| a.code().to_owned()).collect();
    wire::AgencyRecord {
        id: wanted.id.to_string(),
        name: wanted.name.clone(),
        roles: vec![wanted.role.code().to_owned()],
        jurisdiction: wanted.jurisdiction.clone(),
        node: node.to_string(),
        certificate: Some(wire::CertificateRef {
            fingerprint: certificate.fingerprint.as_bytes().to_vec(),
            digest: certificate.digest.as_bytes().to_vec(),
        }),
        // The node that hosts the agency makes its log key; the operator adds it to the record.
        log_keys: Vec::new(),
        attestations: attestations.into_iter().collect(),
        succession: Vec::new(),
    }
}

/// The settings come last: without them the folder is no home, and `agency init` can be typed again.
fn write(
    wanted: &AgencyInit,
    context: &Context,
    keys: &Keys,
    passphrase: &waypost_proto::openpgp::Passphrase,
    registered: &Registered,
    now: Timestamp,
) -> Result<(), Failure> {
    let desk = wanted.desk.clone();
    let desk_key = keys
        .desk
        .certificate()
        .encryption_keys()
        .last()
        .ok_or(KeyError::Malformed)
        .and_then(|subkey| keys.desk.desk_key(subkey))
        .map_err(key_failure)?;
    let sealed = desk_key
        .hand_over(&keys.admin()?, keys.officer.certificate(), now)
        .map_err(|e| Failure::error("the desk's key cannot be handed over").caused_by(&e))?;
    let home = &context.home;
    for (file, key) in [
        (HomeFile::AgencyKey, &keys.agency),
        (HomeFile::DeskKey(desk.clone()), &keys.desk),
        (HomeFile::OfficerKey, &keys.officer),
    ] {
        home.write(&file, &key.lock(passphrase).map_err(key_failure)?)?;
    }
    home.write(
        &HomeFile::DeskSealed(desk.clone(), desk_key.fingerprint()),
        &sealed,
    )?;
    for (file, key) in [
        (HomeFile::AgencyCertificate, &keys.agency),
        (HomeFile::DeskCertificate(desk), &keys.desk),
        (HomeFile::OfficerCertificate, &keys.officer),
    ] {
        home.write(&file, key.certificate().as_bytes())?;
    }
    home.write(&HomeFile::Roster, registered.roster().as_bytes())?;
    home.write(&HomeFile::Registration, registered.as_bytes())
}

fn made(wanted: &AgencyInit, context: &Context, keys: &Keys, registered: &Registered) -> Made {
    let registration = context.home.path_of(&HomeFile::Registration);
    let config = context.home.path_of(&HomeFile::NodeConfig);
    let roster = registered.roster().roster();
    let mut next = vec![format!(
        "Keep a copy of `{}` and of the passphrase, apart from each other, in a safe.",
        context.home.root().display()
    )];
    if wanted.operator.is_none() {
        next.push(format!(
            "Ask the scheme operator for its fingerprint and put it into `{}`.",
            config.display()
        ));
    }
    next.extend([
        format!(
            "On the node: waypost-node init --config {0}\nand: waypost-node agency add {1} \
             --registration {2} --config {0}",
            config.display(),
            wanted.id,
            registration.display(),
        ),
        format!(
            "Send `{}`, the node's `node-record.pb` and the log's `log.vkey` to the scheme operator, \
             and read this fingerprint to them on the telephone: {}",
            registration.display(),
            keys.agency.certificate().fingerprint(),
        ),
        "When the operator sends the directory: waypost directory install FILE --pin FINGERPRINT"
            .to_owned(),
    ]);
    Made {
        agency: wanted.id.to_string(),
        home: context.home.root().display().to_string(),
        suite: suite_name(wanted.suite.into()),
        agency_fingerprint: keys.agency.certificate().fingerprint().to_string(),
        desk: wanted.desk.to_string(),
        desk_encryption_key: roster
            .desks
            .get(&wanted.desk)
            .map_or_else(String::new, |desk| desk.encryption_key.to_string()),
        officer: keys.officer_name.clone(),
        officer_fingerprint: keys.officer.certificate().fingerprint().to_string(),
        roster_version: roster.version,
        roster_valid_until: iso(roster.valid_until),
        registration: registration.display().to_string(),
        node_config: config.display().to_string(),
        next,
    }
}

fn check_texts(wanted: &AgencyInit) -> Result<(), Failure> {
    let country = wanted.id.country();
    let (prefix, _) = wanted
        .jurisdiction
        .split_once('-')
        .unwrap_or((&wanted.jurisdiction, ""));
    let plain = wanted
        .jurisdiction
        .bytes()
        .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'-');
    if !plain || !prefix.eq_ignore_ascii_case(country.as_str()) || wanted.jurisdiction.len() > 16 {
        return Err(Failure::invalid("`--jurisdiction` does not fit the agency's id")
            .because(format!("an id that starts with `{country}` is under the law of that country"))
            .next(format!(
                "give the country's code in capitals, with a region if there is one, such as `{}-EAW`",
                country.as_str().to_ascii_uppercase()
            )));
    }
    Ok(())
}

/// Where the node is reached.
struct Endpoints {
    peers: String,
    desks: String,
}

fn port_of(endpoint: &str) -> Option<u16> {
    let (host, port) = endpoint.rsplit_once(':')?;
    port.parse()
        .ok()
        .filter(|port| *port != 0 && !host.is_empty())
}

impl Endpoints {
    fn of(wanted: &AgencyInit) -> Result<Self, Failure> {
        let bad = |option: &str| {
            Failure::invalid(format!("`{option}` is not `HOST:PORT`"))
                .next("give a host name or address and a port, such as `node.example.org:7443`")
        };
        let port = port_of(&wanted.endpoint).ok_or_else(|| bad("--endpoint"))?;
        let desks = match &wanted.desk_endpoint {
            Some(given) => given.clone(),
            None => {
                let (host, _) = wanted.endpoint.rsplit_once(':').unwrap_or_default();
                let next = port.checked_add(1).ok_or_else(|| bad("--endpoint"))?;
                format!("{host}:{next}")
            }
        };
        port_of(&desks).ok_or_else(|| bad("--desk-endpoint"))?;
        if desks == wanted.endpoint {
            return Err(
                Failure::invalid("`--endpoint` and `--desk-endpoint` are the same")
                    .next("give officers another port than peers"),
            );
        }
        Ok(Self {
            peers: wanted.endpoint.clone(),
            desks,
        })
    }

    /// On every address, except when the endpoint is this machine only.
    fn listen(endpoint: &str) -> String {
        match endpoint.parse::<SocketAddr>() {
            Ok(address) if address.ip().is_loopback() => address.to_string(),
            _ => format!("[::]:{}", port_of(endpoint).unwrap_or_default()),
        }
    }

    fn node_config(&self, wanted: &AgencyInit, node: &NodeId) -> String {
        let operator = wanted.operator.map_or_else(
            || "# operator = \"PUT THE FINGERPRINT HERE AND TAKE THE # AWAY\"".to_owned(),
            |fingerprint| format!("operator = \"{fingerprint}\""),
        );
        format!(
            "# The node of {id}, as `waypost agency init` proposes it.\n\
             node = \"{node}\"\n\
             data = \"node\"\n\
             \n\
             [listen]\n\
             peers = \"{listen_peers}\"\n\
             desks = \"{listen_desks}\"\n\
             \n\
             [public]\n\
             peers = \"{peers}\"\n\
             desks = \"{desks}\"\n\
             \n\
             [[directory]]\n\
             # Fingerprint of the scheme operator's certificate, as they read it to you.\n\
             {operator}\n\
             # The node takes a new directory from this file.\n\
             file = \"directory.pb\"\n\
             \n\
             [[agency]]\n\
             id = \"{id}\"\n",
            id = wanted.id,
            listen_peers = Self::listen(&self.peers),
            listen_desks = Self::listen(&self.desks),
            peers = self.peers,
            desks = self.desks,
        )
    }
}
