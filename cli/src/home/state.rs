//! `state.json`: what was last seen, so that older ones are refused. Never holds a draft or a form.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use waypost_proto::id::{AgencyId, Country, Digest, IdError};

use crate::output::Failure;

/// What was last seen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    /// The installed directories.
    pub directories: BTreeMap<Country, Seen>,
    /// The newest directory heads that a node has shown.
    pub heads: BTreeMap<Country, Seen>,
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
    #[serde(default)]
    directories: BTreeMap<String, StoredSeen>,
    #[serde(default)]
    heads: BTreeMap<String, StoredSeen>,
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

fn load<Id: Ord + FromStr<Err = IdError>>(
    stored: &BTreeMap<String, StoredSeen>,
) -> Result<BTreeMap<Id, Seen>, IdError> {
    let entries = stored.iter();
    entries
        .map(|(id, seen)| Ok((id.parse()?, seen.load()?)))
        .collect()
}

fn store<Id: Display>(seen: &BTreeMap<Id, Seen>) -> BTreeMap<String, StoredSeen> {
    let entries = seen.iter();
    entries
        .map(|(id, seen)| (id.to_string(), (*seen).into()))
        .collect()
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
            directories: load(&self.directories)?,
            heads: load(&self.heads)?,
            rosters: load(&self.rosters)?,
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
            directories: store(&self.directories),
            heads: store(&self.heads),
            rosters: store(&self.rosters),
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
            directories: [("gb".parse().unwrap(), Seen { version: 2, digest })].into(),
            heads: BTreeMap::new(),
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
