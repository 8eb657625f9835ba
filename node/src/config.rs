//! The configuration: one typed TOML file, read and judged whole before anything starts.
//!
//! Unknown keys are errors, and every error is reported at once. `WAYPOST__SECTION__KEY` in the
//! environment stands in for `section.key` of the file (`WAYPOST__NODE` for `node`); [`Config::load`]
//! is the one place that reads the environment. Relative paths start at the file's folder.
//! `docs/configuration.md` lists the keys.

mod section;

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use self::section::Section;
use toml::{Table, Value};
use waypost_proto::id::{AgencyId, Country, Fingerprint, NodeId};

use crate::files::{self, FileError};
use crate::tls::listener::Bounds;

/// What the names of the environment's overrides start with.
pub const OVERRIDE_PREFIX: &str = "WAYPOST__";
/// The file, at most.
const FILE_BYTES: usize = 1024 * 1024;

/// The whole configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// `node`: this node's id.
    pub node: NodeId,
    /// `data`: the folder of its keys and its store.
    pub data: PathBuf,
    /// `[listen]`: where it listens.
    pub listen: Listen,
    /// `[public]`: where others reach it.
    pub public: Public,
    /// `[[directory]]`: whom it trusts for names, its own country's operator first.
    pub directories: Vec<Directory>,
    /// `[[agency]]`: the agencies that it serves.
    pub agencies: Vec<Agency>,
    /// `[log]`.
    pub log: Log,
    /// `[limits]`.
    pub limits: Limits,
}

/// Addresses to listen on; port 0 lets the system choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listen {
    /// For peers.
    pub peers: SocketAddr,
    /// For officers.
    pub desks: SocketAddr,
}

/// Endpoints, `host:port`, as the directory tells them to others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Public {
    /// For peers.
    pub peers: Endpoint,
    /// For officers.
    pub desks: Endpoint,
}

/// A country's directory and who signs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directory {
    /// The country; the node's own if absent.
    pub country: Country,
    /// Fingerprint of the operator's certificate: the root of trust.
    pub operator: Fingerprint,
    /// The file in which a new directory arrives.
    pub file: PathBuf,
}

/// One agency served here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agency {
    /// Its id.
    pub id: AgencyId,
    /// Folder of its policy bundle; the built-in one if absent.
    pub bundle: Option<PathBuf>,
}

/// What is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Log {
    /// How much.
    pub level: Level,
    /// For whom.
    pub format: Format,
}

/// Bounds of this installation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Of each listener.
    pub listener: Bounds,
    /// Calls at once on one connection.
    pub calls: usize,
    /// The time of one call.
    pub call: Duration,
    /// How long a stopping node waits for calls in flight.
    pub shutdown: Duration,
}

/// `host:port`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint(Box<str>);

impl Endpoint {
    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Endpoint {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if is_endpoint(text) {
            Ok(Self(text.into()))
        } else {
            Err("expected `host:port`")
        }
    }
}

/// A host name or address (IPv6 in brackets), a colon, and a port other than 0.
#[must_use]
pub fn is_endpoint(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else {
        return false;
    };
    let bracketed = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
    let host_ok = match bracketed {
        Some(inner) => inner.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            (1..=253).contains(&host.len())
                && host
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.')
        }
    };
    let port_ok =
        port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|p| p != 0);
    host_ok && port_ok
}

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)+
        }

        impl $name {
            /// As written in the file.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }
        }

        impl FromStr for $name {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                match text {
                    $($word => Ok(Self::$variant),)+
                    _ => Err(format!("expected one of {}", [$(concat!("`", $word, "`")),+].join(", "))),
                }
            }
        }
    };
}

words!(
    /// How much is logged.
    Level {
        /// Only what needs a person.
        Error = "error",
        /// And what may come to.
        Warn = "warn",
        /// And what happens.
        Info = "info",
        /// And why.
        Debug = "debug",
    }
);
words!(
    /// The form of log lines.
    Format {
        /// For people.
        Text = "text",
        /// For machines: one JSON object a line.
        Json = "json",
    }
);

/// One thing that is wrong, with the key that it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// `section.key`; empty for the file as a whole.
    pub key: String,
    /// What is wrong with it.
    pub problem: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.key.is_empty() {
            f.write_str(&self.problem)
        } else {
            write!(f, "`{}`: {}", self.key, self.problem)
        }
    }
}

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("the configuration cannot be read")]
    File {
        /// Why.
        #[source]
        source: FileError,
    },
    /// Everything that is wrong in it.
    #[error("the configuration has {} fault(s):\n{}", faults.len(), listed(faults))]
    Faults {
        /// In the order of the page `docs/configuration.md`.
        faults: Vec<Fault>,
    },
}

fn listed(faults: &[Fault]) -> String {
    faults
        .iter()
        .map(|fault| format!("  {fault}"))
        .collect::<Vec<_>>()
        .join("\n")
}

impl Config {
    /// Reads the file and the environment.
    ///
    /// # Errors
    /// [`ConfigError`], with every fault.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let bytes =
            files::read_public(path, FILE_BYTES).map_err(|source| ConfigError::File { source })?;
        let folder = path.parent().unwrap_or_else(|| Path::new(""));
        let overrides = std::env::vars_os().filter_map(|(name, value)| {
            let name = name
                .into_string()
                .ok()
                .filter(|name| name.starts_with(OVERRIDE_PREFIX))?;
            Some((name, value.to_string_lossy().into_owned()))
        });
        Self::parse(&String::from_utf8_lossy(&bytes), folder, overrides)
    }

    /// From the file's text, the folder that relative paths start at, and overrides by their full names.
    ///
    /// # Errors
    /// [`ConfigError::Faults`], with every fault.
    pub fn parse(
        text: &str,
        folder: &Path,
        overrides: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let mut table: Table =
            text.parse()
                .map_err(|error: toml::de::Error| ConfigError::Faults {
                    faults: vec![Fault {
                        key: String::new(),
                        problem: error.to_string(),
                    }],
                })?;
        let mut faults = Vec::new();
        for (name, value) in overrides {
            apply(&mut table, &name, value, &mut faults);
        }
        let config = read(table, folder, &mut faults);
        match config {
            Some(config) if faults.is_empty() => Ok(config),
            _ => Err(ConfigError::Faults { faults }),
        }
    }
}

/// Puts an override into its place; the reader then judges it like any other value.
fn apply(table: &mut Table, name: &str, value: String, faults: &mut Vec<Fault>) {
    let path = name
        .strip_prefix(OVERRIDE_PREFIX)
        .unwrap_or(name)
        .to_ascii_lowercase();
    match path.split("__").collect::<Vec<_>>().as_slice() {
        [key] if !key.is_empty() => {
            table.insert((*key).to_owned(), Value::String(value));
        }
        [section, key] => {
            let section = table
                .entry(*section)
                .or_insert_with(|| Value::Table(Table::new()));
            if let Value::Table(section) = section {
                section.insert((*key).to_owned(), Value::String(value));
                return;
            }
            faults.push(Fault {
                key: name.to_owned(),
                problem: "names no section".to_owned(),
            });
        }
        _ => faults.push(Fault {
            key: name.to_owned(),
            problem: format!("expected `{OVERRIDE_PREFIX}KEY` or `{OVERRIDE_PREFIX}SECTION__KEY`"),
        }),
    }
}

/// Reads every section before it looks whether any failed.
fn read(table: Table, folder: &Path, faults: &mut Vec<Fault>) -> Option<Config> {
    let mut top = Section::new(String::new(), table);
    let node = top.required("node", faults);
    let data = top
        .required("data", faults)
        .map(|path: PathBuf| folder.join(path));
    let listen = top.section("listen", faults, |s, faults| {
        let (peers, desks) = (s.required("peers", faults), s.required("desks", faults));
        Some(Listen {
            peers: peers?,
            desks: desks?,
        })
    });
    let public = top.section("public", faults, |s, faults| {
        let (peers, desks) = (s.required("peers", faults), s.required("desks", faults));
        Some(Public {
            peers: peers?,
            desks: desks?,
        })
    });
    let directories = directories(&mut top, node.as_ref(), folder, faults);
    let agencies = agencies(&mut top, folder, faults);
    let log = top.section("log", faults, |s, faults| {
        let level = s.optional("level", faults).unwrap_or(Level::Info);
        let format = s.optional("format", faults).unwrap_or(Format::Text);
        Some(Log { level, format })
    });
    let limits = top.section("limits", faults, |s, faults| Some(limits(s, faults)));
    top.finish(faults);
    Some(Config {
        node: node?,
        data: data?,
        listen: listen?,
        public: public?,
        directories,
        agencies,
        log: log?,
        limits: limits?,
    })
}

/// One of each country and operator, the node's own country's first.
fn directories(
    top: &mut Section,
    node: Option<&NodeId>,
    folder: &Path,
    faults: &mut Vec<Fault>,
) -> Vec<Directory> {
    let own = node.map(NodeId::country);
    let mut own_listed = false;
    let mut directories: Vec<Directory> = Vec::new();
    for (index, mut section) in top.sections("directory", faults).into_iter().enumerate() {
        let country = section.optional("country", faults).or_else(|| own.clone());
        own_listed |= country == own;
        let operator = section.required("operator", faults);
        let file = section
            .required("file", faults)
            .map(|path: PathBuf| folder.join(path));
        section.finish(faults);
        let (Some(country), Some(operator), Some(file)) = (country, operator, file) else {
            continue;
        };
        for (key, twice) in [
            ("country", directories.iter().any(|d| d.country == country)),
            (
                "operator",
                directories.iter().any(|d| d.operator == operator),
            ),
        ] {
            if twice {
                faults.push(Fault {
                    key: format!("directory[{index}].{key}"),
                    problem: "is listed twice: one operator vouches for one country".to_owned(),
                });
            }
        }
        directories.push(Directory {
            country,
            operator,
            file,
        });
    }
    directories.sort_by_key(|d| Some(&d.country) != own.as_ref());
    if own.is_some() && !own_listed {
        faults.push(Fault {
            key: "directory".to_owned(),
            problem: "is missing for the node's own country".to_owned(),
        });
    }
    directories
}

fn agencies(top: &mut Section, folder: &Path, faults: &mut Vec<Fault>) -> Vec<Agency> {
    let mut agencies: Vec<Agency> = Vec::new();
    for (index, mut section) in top.sections("agency", faults).into_iter().enumerate() {
        let id: Option<AgencyId> = section.required("id", faults);
        let bundle = section
            .optional("bundle", faults)
            .map(|path: PathBuf| folder.join(path));
        section.finish(faults);
        let Some(id) = id else { continue };
        if agencies.iter().any(|agency| agency.id == id) {
            faults.push(Fault {
                key: format!("agency[{index}].id"),
                problem: format!("`{id}` is listed twice"),
            });
        }
        agencies.push(Agency { id, bundle });
    }
    agencies
}

fn limits(section: &mut Section, faults: &mut Vec<Fault>) -> Limits {
    let mut number = |key, default, most| section.number(key, default, most, faults);
    Limits {
        listener: Bounds {
            connections: count(number("connections", 4096, 100_000)),
            handshakes: count(number("handshakes", 64, 10_000)),
            handshake: Duration::from_millis(number("handshake_ms", 10_000, 60_000)),
            log_in: Duration::from_millis(number("log_in_ms", 60_000, 600_000)),
        },
        calls: count(number("calls_per_connection", 32, 1000)),
        call: Duration::from_millis(number("call_ms", 30_000, 600_000)),
        shutdown: Duration::from_millis(number("shutdown_ms", 20_000, 600_000)),
    }
}

fn count(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests;
