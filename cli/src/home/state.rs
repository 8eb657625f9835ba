//! `state.json`: what was last seen, so that older ones are refused. Never holds a draft or a form.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use waypost_proto::id::{AgencyId, Digest, IdError};

use crate::output::Failure;

/// What was last seen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    /// The installed directory.
    pub directory: Option<Seen>,
    /// The newest directory head that a node has shown.
    pub head: Option<Seen>,
    /// Rosters, one's own included.
    pub rosters: BTreeMap<AgencyId, Seen>,
    /// The agency's own log.
    pub log: Option<LogMirror>,
}

/// A version and what it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// Version.
    pub version: u64,
    /// Digest: of the signed head, or of the signed roster.
    pub digest: Digest,
}

/// How far a log has been checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogMirror {
    /// Entries.
    pub size: u64,
    /// Roots of the complete subtrees that make up the tree, largest first.
    pub frontier: Vec<Digest>,
    /// Running digest of the messages that stood in both list and log.
    pub messages: Digest,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    waypost: u32,
    directory: Option<StoredSeen>,
    head: Option<StoredSeen>,
    #[serde(default)]
    rosters: BTreeMap<String, StoredSeen>,
    log: Option<StoredMirror>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredSeen {
    version: u64,
    digest: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredMirror {
    size: u64,
    frontier: Vec<String>,
    messages: String,
}

fn malformed(error: &dyn std::error::Error) -> Failure {
    Failure::error("the state of the home is malformed")
        .caused_by(error)
        .because("it is what refuses an older directory, roster or log, so it is not thrown away")
        .next("restore `state.json` from a backup")
}

impl StoredSeen {
    fn load(&self) -> Result<Seen, IdError> {
        Ok(Seen {
            version: self.version,
            digest: self.digest.parse()?,
        })
    }
}

impl From<Seen> for StoredSeen {
    fn from(seen: Seen) -> Self {
        Self {
            version: seen.version,
            digest: seen.digest.to_string(),
        }
    }
}

impl Stored {
    fn load(&self) -> Result<State, IdError> {
        let mirror = |log: &StoredMirror| -> Result<LogMirror, IdError> {
            let frontier = log
                .frontier
                .iter()
                .map(|h| h.parse())
                .collect::<Result<_, _>>()?;
            Ok(LogMirror {
                size: log.size,
                frontier,
                messages: log.messages.parse()?,
            })
        };
        Ok(State {
            directory: self.directory.as_ref().map(StoredSeen::load).transpose()?,
            head: self.head.as_ref().map(StoredSeen::load).transpose()?,
            rosters: self
                .rosters
                .iter()
                .map(|(agency, seen)| Ok((agency.parse()?, seen.load()?)))
                .collect::<Result<_, IdError>>()?,
            log: self.log.as_ref().map(mirror).transpose()?,
        })
    }
}

impl State {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Failure> {
        let stored: Stored = serde_json::from_slice(bytes).map_err(|e| malformed(&e))?;
        stored.load().map_err(|e| malformed(&e))
    }

    pub(super) fn to_bytes(&self) -> Result<Vec<u8>, Failure> {
        let stored = Stored {
            waypost: 1,
            directory: self.directory.map(Into::into),
            head: self.head.map(Into::into),
            rosters: self
                .rosters
                .iter()
                .map(|(id, seen)| (id.to_string(), (*seen).into()))
                .collect(),
            log: self.log.as_ref().map(|log| StoredMirror {
                size: log.size,
                frontier: log.frontier.iter().map(ToString::to_string).collect(),
                messages: log.messages.to_string(),
            }),
        };
        serde_json::to_vec_pretty(&stored).map_err(|e| malformed(&e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn state_survives_being_written() {
        let digest = Digest::of(b"x");
        let state = State {
            directory: Some(Seen { version: 2, digest }),
            head: None,
            rosters: [("gb.example".parse().unwrap(), Seen { version: 1, digest })].into(),
            log: Some(LogMirror {
                size: 3,
                frontier: vec![digest, digest],
                messages: digest,
            }),
        };
        assert_eq!(State::parse(&state.to_bytes().unwrap()).unwrap(), state);
        let empty = State::default();
        assert_eq!(State::parse(&empty.to_bytes().unwrap()).unwrap(), empty);
    }

    #[test]
    fn malformed_state_is_refused_and_not_thrown_away() {
        let failure = State::parse(b"{}").unwrap_err();
        assert!(failure.to_string().contains("backup"));
    }
}
