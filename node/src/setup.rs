//! Before a node runs: its key, its folders, and the log key of each agency that it hosts.
//!
//! ```text
//! data/
//!   tls.key, tls.crt           this node's TLS key (secret, public)
//!   node-record.pb             what `waypost directory add` needs of this node
//!   agencies/ID/
//!     log.seed                 the log's signing key (secret)
//!     log.vkey                 its public half, for the agency's directory record
//!     registration.pb          the agency's public parts, as it handed them over
//! ```

use std::io;
use std::path::{Path, PathBuf};

use prost::Message;
use waypost_proto::id::AgencyId;
use waypost_proto::note::{KeyName, NoteError, NoteSigner};
use waypost_proto::tls::Identity;
use waypost_proto::{limit, wire};
use zeroize::Zeroizing;

use crate::config::Config;
use crate::files::{self, FileError};
use crate::tls::key::{self, KeyError};

/// This node's record for the directory.
pub const NODE_RECORD_FILE: &str = "node-record.pb";
/// The folder of the agencies.
pub const AGENCIES_FOLDER: &str = "agencies";
/// The seed of an agency's log key.
pub const LOG_SEED_FILE: &str = "log.seed";
/// The public half of an agency's log key, as C2SP text.
pub const LOG_VKEY_FILE: &str = "log.vkey";
/// The agency's registration.
pub const REGISTRATION_FILE: &str = "registration.pb";
/// An Ed25519 seed.
const SEED_BYTES: usize = 32;

/// Why a node or an agency cannot be set up or loaded.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// A file or folder.
    #[error("the data folder")]
    File {
        /// Which, and why.
        #[source]
        source: FileError,
    },
    /// This node's TLS key.
    #[error("this node's TLS key")]
    Key {
        /// Why.
        #[source]
        source: KeyError,
    },
    /// The agency is not in the configuration.
    #[error("`{agency}` is not in the configuration: add `[[agency]]` with `id = \"{agency}\"`")]
    NotConfigured {
        /// The agency.
        agency: AgencyId,
    },
    /// The agency was never added.
    #[error("`{agency}` is not set up: run `waypost-node agency add {agency} --registration FILE`")]
    NotAdded {
        /// The agency.
        agency: AgencyId,
    },
    /// The registration is no such message.
    #[error("`{}` is not a registration", path.display())]
    Registration {
        /// The file.
        path: PathBuf,
    },
    /// The registration is another agency's, or for another node.
    #[error("the registration's {field} is `{found}`, expected `{expected}`")]
    Other {
        /// Which field differs.
        field: &'static str,
        /// What it says.
        found: String,
        /// What was expected.
        expected: String,
    },
    /// The log key.
    #[error("the log key of `{agency}`")]
    LogKey {
        /// Whose.
        agency: AgencyId,
        /// Why.
        #[source]
        source: NoteError,
    },
}

fn file(source: FileError) -> SetupError {
    SetupError::File { source }
}

/// An agency that this node hosts, as set up on disk.
#[derive(Debug)]
pub struct Hosted {
    /// Its id.
    pub agency: AgencyId,
    /// Signs the checkpoints of its log.
    pub log_key: NoteSigner,
    /// What it handed over: signed by itself, and still to be checked.
    pub registration: wire::Registration,
}

/// Makes this node's key and folders, and writes its record anew. Doing it twice keeps the key.
///
/// # Errors
/// [`SetupError`].
pub fn init(config: &Config) -> Result<Identity, SetupError> {
    files::create_folder(&config.data.join(AGENCIES_FOLDER)).map_err(file)?;
    let identity =
        key::load_or_generate(&config.data).map_err(|source| SetupError::Key { source })?;
    let record = wire::NodeRecord {
        id: config.node.to_string(),
        peer_endpoint: config.public.peers.as_str().to_owned(),
        desk_endpoint: config.public.desks.as_str().to_owned(),
        tls_key: identity.digest().as_bytes().to_vec(),
        tls_key_next: Vec::new(),
    };
    files::write_public(&config.data.join(NODE_RECORD_FILE), &record.encode_to_vec())
        .map_err(file)?;
    Ok(identity)
}

/// Makes the log key of an agency that the configuration lists, and keeps its registration. Doing it
/// twice keeps the key and replaces the registration.
///
/// # Errors
/// [`SetupError`].
pub fn add_agency(
    config: &Config,
    agency: &AgencyId,
    registration: &Path,
) -> Result<Hosted, SetupError> {
    if !config.agencies.iter().any(|listed| listed.id == *agency) {
        return Err(SetupError::NotConfigured {
            agency: agency.clone(),
        });
    }
    let bytes = files::read_public(registration, limit::REGISTRATION_BYTES).map_err(file)?;
    parse_registration(config, agency, registration, &bytes)?;

    let folder = agency_folder(config, agency);
    files::create_folder(&folder).map_err(file)?;
    let name = KeyName::of_log(agency);
    let fresh = NoteSigner::generate(name).map_err(|source| log_key_error(agency, source))?;
    match files::create_secret(&folder.join(LOG_SEED_FILE), fresh.seed().as_slice()) {
        Ok(()) => {}
        Err(FileError::Io { source, .. }) if source.kind() == io::ErrorKind::AlreadyExists => {}
        Err(source) => return Err(file(source)),
    }
    let log_key = load_log_key(&folder, agency)?;
    let vkey = format!("{}\n", log_key.verifier());
    files::write_public(&folder.join(LOG_VKEY_FILE), vkey.as_bytes()).map_err(file)?;
    files::write_public(&folder.join(REGISTRATION_FILE), &bytes).map_err(file)?;
    load_agency(config, agency)
}

/// Loads an agency that was added.
///
/// # Errors
/// [`SetupError`]; others' permission to read the seed is one.
pub fn load_agency(config: &Config, agency: &AgencyId) -> Result<Hosted, SetupError> {
    let folder = agency_folder(config, agency);
    let path = folder.join(REGISTRATION_FILE);
    if !path.exists() {
        return Err(SetupError::NotAdded {
            agency: agency.clone(),
        });
    }
    let bytes = files::read_public(&path, limit::REGISTRATION_BYTES).map_err(file)?;
    Ok(Hosted {
        agency: agency.clone(),
        log_key: load_log_key(&folder, agency)?,
        registration: parse_registration(config, agency, &path, &bytes)?,
    })
}

/// Where an agency's files are. An id is never a path: it has only letters, digits, `-` and dots
/// between them.
#[must_use]
pub fn agency_folder(config: &Config, agency: &AgencyId) -> PathBuf {
    config.data.join(AGENCIES_FOLDER).join(agency.as_str())
}

fn load_log_key(folder: &Path, agency: &AgencyId) -> Result<NoteSigner, SetupError> {
    let bytes = files::read_secret(&folder.join(LOG_SEED_FILE), SEED_BYTES).map_err(file)?;
    let mut seed = Zeroizing::new([0; SEED_BYTES]);
    if bytes.len() != SEED_BYTES {
        return Err(log_key_error(agency, NoteError::Seed));
    }
    seed.copy_from_slice(&bytes);
    NoteSigner::from_seed(KeyName::of_log(agency), seed)
        .map_err(|source| log_key_error(agency, source))
}

fn log_key_error(agency: &AgencyId, source: NoteError) -> SetupError {
    SetupError::LogKey {
        agency: agency.clone(),
        source,
    }
}

fn parse_registration(
    config: &Config,
    agency: &AgencyId,
    path: &Path,
    bytes: &[u8],
) -> Result<wire::Registration, SetupError> {
    let none = || SetupError::Registration {
        path: path.to_owned(),
    };
    let registration = wire::Registration::decode(bytes).map_err(|_| none())?;
    let record = registration.record.as_ref().ok_or_else(none)?;
    for (field, found, expected) in [
        ("agency", &record.id, agency.as_str()),
        ("node", &record.node, config.node.as_str()),
    ] {
        if found != expected {
            return Err(SetupError::Other {
                field,
                found: found
                    .chars()
                    .take(80)
                    .filter(char::is_ascii_graphic)
                    .collect(),
                expected: expected.to_owned(),
            });
        }
    }
    Ok(registration)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "gb.example-county.school";

    fn config(folder: &Path) -> Config {
        let text = r#"
            node = "gb.example-host"
            data = "data"
            listen = { peers = "127.0.0.1:0", desks = "127.0.0.1:0" }
            public = { peers = "a.example:1", desks = "a.example:2" }
            directory = { operator = "OPERATOR", file = "directory.pb" }
            [[agency]]
            id = "gb.example-county.school"
        "#;
        let text = text.replace("OPERATOR", &"01".repeat(32));
        Config::parse(&text, folder, []).unwrap()
    }

    fn registration(folder: &Path, id: &str, node: &str) -> PathBuf {
        let record = wire::AgencyRecord {
            id: id.to_owned(),
            node: node.to_owned(),
            ..Default::default()
        };
        let registration = wire::Registration {
            record: Some(record),
            ..Default::default()
        };
        let path = folder.join("school.pb");
        std::fs::write(&path, registration.encode_to_vec()).unwrap();
        path
    }

    #[test]
    fn a_node_writes_its_record_and_keeps_its_key() {
        let folder = tempfile::tempdir().unwrap();
        let config = config(folder.path());
        let identity = init(&config).unwrap();
        assert_eq!(init(&config).unwrap().digest(), identity.digest());
        let bytes = std::fs::read(config.data.join(NODE_RECORD_FILE)).unwrap();
        let record = wire::NodeRecord::decode(bytes.as_slice()).unwrap();
        assert_eq!(record.id, "gb.example-host");
        assert_eq!(record.peer_endpoint, "a.example:1");
        assert_eq!(record.tls_key, identity.digest().as_bytes());
    }

    #[test]
    fn an_agency_that_is_added_twice_keeps_its_log_key() {
        let folder = tempfile::tempdir().unwrap();
        let (config, id) = (config(folder.path()), ID.parse().unwrap());
        init(&config).unwrap();
        let missing = load_agency(&config, &id).unwrap_err();
        assert!(
            matches!(missing, SetupError::NotAdded { .. }),
            "{missing:?}"
        );
        let path = registration(folder.path(), ID, "gb.example-host");
        let vkey = |hosted: &Hosted| hosted.log_key.verifier().to_string();
        let first = add_agency(&config, &id, &path).unwrap();
        assert_eq!(
            vkey(&add_agency(&config, &id, &path).unwrap()),
            vkey(&first)
        );
        assert_eq!(vkey(&load_agency(&config, &id).unwrap()), vkey(&first));
        assert!(vkey(&first).starts_with("waypost/gb.example-county.school+"));
        let written =
            std::fs::read_to_string(agency_folder(&config, &id).join(LOG_VKEY_FILE)).unwrap();
        assert_eq!(written.trim_end(), vkey(&first));
    }

    #[test]
    fn a_registration_of_another_agency_or_for_another_node_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (config, id) = (config(folder.path()), ID.parse().unwrap());
        init(&config).unwrap();
        for (agency, node, wrong) in [
            ("gb.example-county.police", "gb.example-host", "agency"),
            (ID, "gb.other-host", "node"),
        ] {
            let path = registration(folder.path(), agency, node);
            let error = add_agency(&config, &id, &path).unwrap_err();
            assert!(
                matches!(error, SetupError::Other { field, .. } if field == wrong),
                "{error:?}"
            );
        }
        assert!(
            !agency_folder(&config, &id).exists(),
            "a key was made for a refused agency"
        );
    }

    #[test]
    fn an_agency_outside_the_configuration_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let config = config(folder.path());
        let id = "gb.example-county.police".parse().unwrap();
        let path = registration(folder.path(), "gb.example-county.police", "gb.example-host");
        let error = add_agency(&config, &id, &path).unwrap_err();
        assert!(
            matches!(error, SetupError::NotConfigured { .. }),
            "{error:?}"
        );
    }
}
