//! The directories of the configuration: read, accepted into every agency's log, read anew.

use std::path::Path;
use std::sync::Arc;

use waypost_proto::directories::Directories;
use waypost_proto::directory::DirectoryError;
use waypost_proto::directory_file::VerifiedDirectory;
use waypost_proto::id::{AgencyId, Timestamp};
use waypost_proto::party::Party;
use waypost_proto::reason::Reason;
use waypost_proto::wire::{self, log_entry::Event};

use crate::config::{self, Config};
use crate::files;
use crate::host::{Agency, Node, Stop};
use crate::limit;
use crate::record;
use crate::sequencer::{Abort, Tx};
use crate::start::{self, StartError};

fn broken(path: &Path, source: DirectoryError) -> StartError {
    StartError::Directory {
        path: path.to_owned(),
        source: Box::new(source),
    }
}

/// Reads one directory and verifies it under its operator.
fn read(listed: &config::Directory, now: Timestamp) -> Result<VerifiedDirectory, StartError> {
    let bytes = files::read_public(&listed.file, limit::DIRECTORY_FILE_BYTES)?;
    VerifiedDirectory::verify(&bytes, &listed.operator, now).map_err(|e| broken(&listed.file, e))
}

/// Reads and verifies every directory of the configuration.
///
/// # Errors
/// [`StartError::File`], [`StartError::Directory`].
pub fn load(config: &Config, now: Timestamp) -> Result<Directories, StartError> {
    let mut directories = Directories::default();
    for listed in &config.directories {
        directories = directories
            .with(&listed.country, Arc::new(read(listed, now)?))
            .map_err(|e| broken(&listed.file, e))?;
    }
    Ok(directories)
}

/// Accepts a directory into the log of an agency, if it is new.
pub(crate) fn accept(
    tx: &mut Tx<'_>,
    agency: &AgencyId,
    directory: &VerifiedDirectory,
) -> Result<(), Abort<Stop>> {
    let head = directory.head();
    let (version, digest) = (head.version(), head.digest());
    let key = record::directory(agency, head.country().as_str());
    let before = tx.get(&key)?;
    let before = before
        .as_deref()
        .map(record::Accepted::decode)
        .transpose()
        .map_err(|e| Abort::Rejected(Stop::from(e)))?;
    if let Some(before) = before {
        head.check_not_older(before.version, before.digest)
            .map_err(|e| Abort::Rejected(Stop::refuse(Reason::Degraded, e)))?;
    }
    let accepted = record::Accepted { version, digest };
    if before != Some(accepted) {
        tx.append(Event::DirectoryAccepted(wire::DirectoryAccepted {
            country: head.country().to_string(),
            version,
            digest: digest.as_bytes().to_vec(),
        }))?;
        tx.put(key, accepted.encode())?;
    }
    Ok(())
}

/// Reads one directory anew and puts it in force if it is newer: logged first, in every agency's log.
///
/// # Errors
/// [`StartError`]; the one in force stays.
pub async fn reload(node: &Arc<Node>, listed: &config::Directory) -> Result<u64, StartError> {
    let (now, wanted) = (node.now(), listed.clone());
    // A large one takes its time to verify, and the node serves meanwhile.
    let fresh = tokio::task::spawn_blocking(move || read(&wanted, now)).await;
    let fresh = Arc::new(fresh.map_err(StartError::Reading)??);
    let before = node.directory();
    let after = before
        .with(&listed.country, Arc::clone(&fresh))
        .map_err(|e| broken(&listed.file, e))?;
    let (version, digest) = (fresh.head().version(), fresh.head().digest());
    let in_force = before.of(&listed.country);
    if in_force.is_some_and(|d| d.head().digest() == digest) {
        return Ok(version);
    }
    if !fresh.head().is_fresh(now) {
        let path = listed.file.clone();
        return Err(StartError::Expired { path });
    }
    let own = listed.country == node.id.country();
    let renewed = |agency: &Agency, party: &Party| {
        start::renewed(&node.id, &after, party, &agency.log_key, node.now())
    };
    // All that could be wrong with it is found before anything is logged.
    for agency in node.agencies().filter(|_| own) {
        renewed(agency, &agency.own())?;
    }
    for agency in node.agencies() {
        let (id, accepted) = (agency.id.clone(), Arc::clone(&fresh));
        node.sequencer
            .run(&agency.id, move |tx| accept(tx, &id, &accepted))
            .await
            .map_err(|abort| StartError::Accept {
                agency: agency.id.clone(),
                source: Stop::from(abort),
            })?;
    }
    // Roles and attestations of our own agencies are the new directory's as well.
    for agency in node.agencies().filter(|_| own) {
        agency.renew_own(|party| renewed(agency, party))?;
    }
    node.replace_directories(Arc::new(after));
    Ok(version)
}

/// Traces which directories are past their validity.
pub fn warn_of_expired(node: &Node) {
    let now = node.now();
    for head in node.directory().iter().map(|d| d.head()) {
        if !head.is_fresh(now) {
            tracing::warn!(
                country = %head.country(),
                version = head.version(),
                "degraded: the directory has expired, and no message goes to or comes from this country"
            );
        }
    }
}
