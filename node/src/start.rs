//! From a configuration to a running node: everything is checked before anything is served.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use waypost_policies::{Bundle, BundleError, RuleError, Rules};
use waypost_proto::directories::Directories;
use waypost_proto::directory::{AgencyRecord, DirectoryError};
use waypost_proto::id::{AgencyId, NodeId, Timestamp};
use waypost_proto::note::Verifier;
use waypost_proto::openpgp::{Certificate, CertificateError};
use waypost_proto::party::{Party, PartyError};
use waypost_proto::tls::Identity;
use waypost_proto::wire;

use crate::accept::{self, Officers};
use crate::clock::Clock;
use crate::config::Config;
use crate::directories;
use crate::files::{self, FileError};
use crate::host::{self, Agency, Node, Stop};
use crate::limit;
use crate::parties::Parties;
use crate::record;
use crate::sequencer::{self, Log, LogConfig, LogError, Sequencer};
use crate::setup::{self, SetupError};
use crate::store::sled::{OpenError, SledStore};
use crate::store::{Store, StoreError};
use crate::vault::{Vault, VaultError};

/// The store's folder in the node's data folder.
pub const STORE_FOLDER: &str = "store";
/// The vault's file in the node's data folder.
pub const VAULT_FILE: &str = "vault.slots";

/// Beside an agency's log key: its log was begun.
pub const LOG_BEGUN_FILE: &str = "log.begun";

/// Why a node does not start. Each text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A file cannot be read.
    #[error("cannot read what the node needs")]
    File(#[from] FileError),
    /// An agency is not set up.
    #[error("an agency is not set up")]
    Setup(#[from] SetupError),
    /// The directory does not verify.
    #[error("the directory `{}` does not hold; install the current one", path.display())]
    Directory {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: Box<DirectoryError>,
    },
    /// A new directory is past its validity.
    #[error("the directory `{}` has expired; get the current one from the scheme operator", path.display())]
    DirectoryExpired {
        /// The file.
        path: PathBuf,
    },
    /// A directory could not be read to its end: a bug.
    #[error("a directory could not be read to its end")]
    Reading(#[source] tokio::task::JoinError),
    /// The directory does not place the agency here.
    #[error("the directory does not name this node for `{agency}`; ask the scheme operator")]
    NotHere {
        /// The agency.
        agency: AgencyId,
    },
    /// The directory does not hold the agency's log key.
    #[error(
        "the directory does not hold the log key of `{agency}`; give its log.vkey to the scheme operator"
    )]
    LogKey {
        /// The agency.
        agency: AgencyId,
    },
    /// The agency's chain does not hold.
    #[error("the roster of `{agency}` does not hold")]
    Chain {
        /// The agency.
        agency: AgencyId,
        /// Why not.
        #[source]
        source: Box<PartyError>,
    },
    /// A certificate of the registration does not parse.
    #[error("a certificate of `{agency}` does not parse")]
    Certificate {
        /// The agency.
        agency: AgencyId,
        /// Why not.
        #[source]
        source: Box<CertificateError>,
    },
    /// A bundle does not load.
    #[error("the policy bundle of `{agency}` does not load; see `waypost policy check`")]
    Bundle {
        /// The agency.
        agency: AgencyId,
        /// Why not.
        #[source]
        source: BundleError,
    },
    /// A rule does not compile.
    #[error("the policy bundle of `{agency}` does not compile; see `waypost policy check`")]
    Rules {
        /// The agency.
        agency: AgencyId,
        /// Why not.
        #[source]
        source: Box<RuleError>,
    },
    /// The store does not open.
    #[error("the store does not open")]
    Open(#[from] OpenError),
    /// The store does not answer.
    #[error("the store cannot be read")]
    Store(#[from] StoreError),
    /// The vault does not open.
    #[error("the vault does not open")]
    Vault(#[from] VaultError),
    /// A log cannot be continued.
    #[error("a log cannot be continued")]
    Log(#[from] LogError),
    /// The log was begun, and is not there.
    #[error("the log of `{agency}` was begun and the store does not hold it: is the disk mounted? A node never begins a second log under the same key; restore `{}` from a backup", store.display())]
    LogLost {
        /// The agency.
        agency: AgencyId,
        /// The store's folder.
        store: PathBuf,
    },
    /// The sequencer does not start.
    #[error("the sequencer does not start")]
    Sequencer(#[from] sequencer::StartError),
    /// What is in force could not be accepted into a log.
    #[error("what is in force cannot be accepted into the log of `{agency}`")]
    Accept {
        /// The agency.
        agency: AgencyId,
        /// Why not.
        #[source]
        source: Stop,
    },
}

/// A node that is ready to serve.
#[derive(Debug)]
pub struct Started {
    /// The node.
    pub node: Arc<Node>,
    /// To be shut down last.
    pub sequencer: Sequencer,
}

/// Opens the store in the data folder of the configuration.
///
/// # Errors
/// [`StartError::Open`].
pub fn open_store(config: &Config) -> Result<Arc<dyn Store>, StartError> {
    Ok(Arc::new(SledStore::open(&config.data.join(STORE_FOLDER))?))
}

/// Opens the vault, checks every chain, continues every log of `store`, and accepts what is in force.
///
/// # Errors
/// [`StartError`].
pub async fn start(
    config: &Config,
    store: Arc<dyn Store>,
    identity: Identity,
    clock: Arc<dyn Clock>,
) -> Result<Started, StartError> {
    let now = clock.now();
    let directories = directories::load(config, now)?;
    let vault = Arc::new(Vault::open(&config.data.join(VAULT_FILE))?);
    let mut agencies = Vec::new();
    let mut logs = Vec::new();
    for listed in &config.agencies {
        let hosted = setup::load_agency(config, &listed.id)?;
        let verifier = hosted.log_key.verifier().clone();
        let own = own_party(
            config,
            &directories,
            store.as_ref(),
            &listed.id,
            &hosted.registration,
            &verifier,
            now,
        )?;
        let (bundle, rules) = policies(&listed.id, listed.bundle.as_deref())?;
        agencies.push(Agency::new(own, bundle, rules, verifier));
        let log = LogConfig::new(listed.id.clone(), 1, hosted.log_key)?;
        begin_log(config, &store, &log, &listed.id, now)?;
        logs.push(log);
    }
    let sequencer = Sequencer::start(
        Arc::clone(&store),
        Arc::clone(&vault),
        logs,
        Arc::clone(&clock),
    )?;
    let swept = sequencer.swept();
    if swept.missing > 0 {
        tracing::error!(
            bodies = swept.missing,
            "bodies in the store have no key in the vault: they cannot be read; restore the vault"
        );
    }
    if swept.orphans > 0 {
        tracing::info!(
            keys = swept.orphans,
            "keys of bodies that were never stored were destroyed"
        );
    }
    let node = Arc::new(Node::new(host::Parts {
        id: config.node.clone(),
        clock,
        store,
        vault,
        sequencer: sequencer.handle(),
        parties: Parties::new(identity),
        agencies,
        directories: Arc::new(directories),
    }));
    directories::warn_of_expired(&node);
    for agency in node.agencies() {
        accept_in_force(&node, agency)
            .await
            .map_err(|source| StartError::Accept {
                agency: agency.id.clone(),
                source,
            })?;
    }
    Ok(Started { node, sequencer })
}

/// Begins the log of an agency that has none, once: the marker beside its key says that it was begun.
///
/// INVARIANT (one log a key): a node that lost its store must not sign a second tree.
fn begin_log(
    config: &Config,
    store: &Arc<dyn Store>,
    log: &LogConfig,
    agency: &AgencyId,
    now: Timestamp,
) -> Result<(), StartError> {
    let marker = setup::agency_folder(config, agency).join(LOG_BEGUN_FILE);
    match Log::new(Arc::clone(store), agency.clone()).head() {
        Err(LogError::Absent { .. }) if marker.exists() => {
            return Err(StartError::LogLost {
                agency: agency.clone(),
                store: config.data.join(STORE_FOLDER),
            });
        }
        Err(LogError::Absent { .. }) => {
            sequencer::create_log(store.as_ref(), log, now)?;
        }
        head => {
            head?;
        }
    }
    // After the log: a crash between the two is mended at the next start.
    if !marker.exists() {
        files::write_public(&marker, b"begun\n")?;
    }
    Ok(())
}

/// The agency's own chain: with the roster of its registration, or a newer one published since.
fn own_party(
    config: &Config,
    directories: &Directories,
    store: &dyn Store,
    agency: &AgencyId,
    registration: &wire::Registration,
    verifier: &Verifier,
    now: Timestamp,
) -> Result<Party, StartError> {
    let (record, certificate) = placed(&config.node, directories, agency, verifier)?;
    let chain = |source| StartError::Chain {
        agency: agency.clone(),
        source: Box::new(source),
    };
    let roster = registration
        .roster
        .as_ref()
        .map(prost::Message::encode_to_vec)
        .unwrap_or_default();
    let certificates = registration
        .certificates
        .iter()
        .map(|bytes| Certificate::parse(bytes))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|source| StartError::Certificate {
            agency: agency.clone(),
            source: Box::new(source),
        })?;
    let registered =
        Party::assemble(record.clone(), certificate, &roster, certificates, now).map_err(chain)?;
    let Some(published) = record::published_roster(store, agency)? else {
        return Ok(registered);
    };
    let mut newer =
        Party::assemble(record.clone(), certificate, &published, [], now).map_err(chain)?;
    if newer.roster().roster().version <= registered.roster().roster().version {
        return Ok(registered);
    }
    newer.supply(registered.certificates().cloned());
    for digest in newer.missing().collect::<Vec<_>>() {
        let bytes = record::read_object(store, agency, wire::ObjectType::Certificate, &digest)?;
        newer.supply(bytes.and_then(|bytes| Certificate::parse(&bytes).ok()));
    }
    Ok(newer)
}

fn policies(
    agency: &AgencyId,
    folder: Option<&Path>,
) -> Result<(Arc<Bundle>, Arc<Rules>), StartError> {
    let bundle = match folder {
        None => Bundle::builtin(),
        Some(folder) => Bundle::new(files::read_folder(folder, limit::BUNDLE_FOLDER_BYTES)?),
    };
    let bundle = bundle.map_err(|source| StartError::Bundle {
        agency: agency.clone(),
        source,
    })?;
    let rules = Rules::compile(&bundle).map_err(|source| StartError::Rules {
        agency: agency.clone(),
        source: Box::new(source),
    })?;
    Ok((Arc::new(bundle), Arc::new(rules)))
}

/// Logs the directories, roster and bundle that this start put in force, where they are new.
async fn accept_in_force(node: &Arc<Node>, agency: &Arc<Agency>) -> Result<(), Stop> {
    let directories = node.directory();
    let owner = Arc::clone(agency);
    node.sequencer
        .run(&agency.id, move |tx| {
            for directory in directories.iter() {
                directories::accept(tx, &owner.id, directory)?;
            }
            accept::accept_chain(
                tx,
                &owner.id,
                &owner.own(),
                (&owner.bundle, &owner.rules),
                Officers::All,
            )
        })
        .await?;
    Ok(())
}

/// An agency's own chain, with the roster in force, under its record of another directory.
pub(crate) fn renewed(
    node: &NodeId,
    directories: &Directories,
    own: &Party,
    log_key: &Verifier,
    now: Timestamp,
) -> Result<Party, StartError> {
    let agency = &own.record().id;
    let (record, certificate) = placed(node, directories, agency, log_key)?;
    let certificates = own.certificates().cloned();
    Party::assemble(
        record.clone(),
        certificate,
        own.roster().as_bytes(),
        certificates,
        now,
    )
    .map_err(|source| StartError::Chain {
        agency: agency.clone(),
        source: Box::new(source),
    })
}

/// The record of an agency that the directory places at this node, with its log key.
fn placed<'d>(
    node: &NodeId,
    directories: &'d Directories,
    agency: &AgencyId,
    log_key: &Verifier,
) -> Result<(&'d AgencyRecord, &'d Certificate), StartError> {
    let not_here = || StartError::NotHere {
        agency: agency.clone(),
    };
    let record = directories
        .agency(agency)
        .filter(|r| r.node == *node)
        .ok_or_else(not_here)?;
    let certificate = directories.certificate(agency).ok_or_else(not_here)?;
    if record.log_keys.iter().any(|k| k.verifier == *log_key) {
        Ok((record, certificate))
    } else {
        Err(StartError::LogKey {
            agency: agency.clone(),
        })
    }
}
