//! `home.toml`: what a home is.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use waypost_proto::id::{AgencyId, Country, DeskName, Fingerprint, IdError};

use crate::output::Failure;

/// What a home is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settings {
    /// Of an agency's officer, its administrator, or both.
    Agency(AgencySettings),
    /// Of a scheme operator.
    Operator(OperatorSettings),
}

/// Settings of an agency's home.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgencySettings {
    /// The agency.
    pub agency: AgencyId,
    /// Fingerprint of the officer's certificate.
    pub officer: Fingerprint,
    /// The officer's usual desk.
    pub desk: DeskName,
    /// Fingerprints of the scheme operators' certificates, one a country: each pinned when a directory
    /// of its country is first installed.
    pub operators: BTreeMap<Country, Fingerprint>,
}

impl AgencySettings {
    /// The pin of the operator of the agency's own country.
    #[must_use]
    pub fn own_operator(&self) -> Option<Fingerprint> {
        self.operators.get(&self.agency.country()).copied()
    }
}

/// Settings of an operator's home.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperatorSettings {
    /// Country whose ids it vouches for.
    pub country: String,
    /// Fingerprint of its certificate.
    pub fingerprint: Fingerprint,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
enum Stored {
    Agency {
        agency: String,
        officer: String,
        desk: String,
        #[serde(default)]
        operators: BTreeMap<String, String>,
    },
    Operator {
        country: String,
        fingerprint: String,
    },
}

fn malformed(error: &dyn std::error::Error) -> Failure {
    Failure::error("the settings of the home are malformed").caused_by(error)
}

impl Settings {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Failure> {
        let text = std::str::from_utf8(bytes).map_err(|e| malformed(&e))?;
        let stored: Stored = toml::from_str(text).map_err(|e| malformed(&e))?;
        let fingerprint = |text: String| text.parse::<Fingerprint>().map_err(|e| malformed(&e));
        Ok(match stored {
            Stored::Agency {
                agency,
                officer,
                desk,
                operators,
            } => Self::Agency(AgencySettings {
                agency: agency.parse().map_err(|e| malformed(&e))?,
                officer: fingerprint(officer)?,
                desk: desk.parse().map_err(|e| malformed(&e))?,
                operators: operators
                    .into_iter()
                    .map(|(country, pin)| Ok((country.parse()?, pin.parse()?)))
                    .collect::<Result<_, IdError>>()
                    .map_err(|e| malformed(&e))?,
            }),
            Stored::Operator {
                country,
                fingerprint: text,
            } => Self::Operator(OperatorSettings {
                country,
                fingerprint: fingerprint(text)?,
            }),
        })
    }

    pub(super) fn to_text(&self) -> Result<String, Failure> {
        let stored = match self {
            Self::Agency(settings) => Stored::Agency {
                agency: settings.agency.to_string(),
                officer: settings.officer.to_string(),
                desk: settings.desk.to_string(),
                operators: settings
                    .operators
                    .iter()
                    .map(|(country, pin)| (country.to_string(), pin.to_string()))
                    .collect(),
            },
            Self::Operator(settings) => Stored::Operator {
                country: settings.country.clone(),
                fingerprint: settings.fingerprint.to_string(),
            },
        };
        toml::to_string(&stored).map_err(|e| malformed(&e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agency(operators: &[(&str, u8)]) -> Settings {
        let pin = |(country, byte): &(&str, u8)| {
            (country.parse().unwrap(), Fingerprint::new([*byte; 32]))
        };
        Settings::Agency(AgencySettings {
            agency: "gb.example-school".parse().unwrap(),
            officer: Fingerprint::new([1; 32]),
            desk: "intake".parse().unwrap(),
            operators: operators.iter().map(pin).collect(),
        })
    }

    #[test]
    fn settings_survive_being_written() {
        for settings in [agency(&[]), agency(&[("fr", 3), ("gb", 2)])] {
            let text = settings.to_text().unwrap();
            assert_eq!(Settings::parse(text.as_bytes()).unwrap(), settings);
        }
    }

    #[test]
    fn an_unknown_key_is_refused() {
        let text = format!("colour = \"red\"\n{}", agency(&[]).to_text().unwrap());
        assert!(Settings::parse(text.as_bytes()).is_err());
    }
}
