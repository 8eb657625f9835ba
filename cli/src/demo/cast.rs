//! Who plays: four agencies of two States, each with a node of its own.

use std::path::{Path, PathBuf};

use tokio::process::Child;
use waypost_proto::id::AgencyId;

use crate::output::Failure;

/// A State, with an operator of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct State {
    pub(super) country: &'static str,
    pub(super) jurisdiction: &'static str,
}

/// Where three of the agencies are.
pub(super) const HERE: State = State {
    country: "gb",
    jurisdiction: "GB-EAW",
};
/// An invented State, with policies of its own.
pub(super) const ABROAD: State = State {
    country: "xx",
    jurisdiction: "XX",
};

impl State {
    /// The home of its scheme operator.
    pub(super) fn operator(self, folder: &Path) -> PathBuf {
        folder.join(format!("operator-{}", self.country))
    }
}

/// One agency of the demonstration.
pub(super) struct Player {
    pub(super) id: AgencyId,
    pub(super) name: &'static str,
    pub(super) state: State,
    /// Its desks with their roles, the first one first.
    pub(super) desks: &'static [(&'static str, &'static str)],
    /// Other States that it writes to.
    pub(super) abroad: &'static [State],
    pub(super) folder: PathBuf,
    /// Where its node listens on the loopback interface: for peers, for desks.
    pub(super) ports: [u16; 2],
    pub(super) process: Option<Child>,
}

impl Player {
    /// The officer's home.
    pub(super) fn desk(&self) -> PathBuf {
        self.folder.join("desk")
    }

    /// The node's home: its configuration, and its data folder.
    pub(super) fn node(&self) -> PathBuf {
        self.folder.join("node")
    }

    /// The node's data folder.
    pub(super) fn data(&self) -> PathBuf {
        self.node().join("data")
    }

    /// Its node's id.
    pub(super) fn node_id(&self) -> String {
        format!("{}-node", self.id)
    }
}

/// Everybody.
pub(super) struct Cast {
    pub(super) school: Player,
    /// Child protection, which is a first responder and has a liaison desk as well.
    pub(super) children: Player,
    /// The authority that runs the National Referral Mechanism.
    pub(super) authority: Player,
    /// The liaison office of the other State.
    pub(super) liaison: Player,
}

impl Cast {
    /// The four, below `folder`.
    pub(super) fn new(folder: &Path, ports: [[u16; 2]; 4]) -> Result<Self, Failure> {
        let player = |id: &str, name, ports, state, desks, abroad| -> Result<Player, Failure> {
            let parsed = id.parse();
            Ok(Player {
                id: parsed.map_err(|e| Failure::error("a demo id").caused_by(&e))?,
                name,
                state,
                desks,
                abroad,
                folder: folder.join(id),
                ports,
                process: None,
            })
        };
        let [school, children, authority, liaison] = ports;
        Ok(Self {
            school: player(
                "gb.example-school",
                "Exampleton Secondary School",
                school,
                HERE,
                &[("safeguarding", "DSL")],
                &[],
            )?,
            children: player(
                "gb.example-children",
                "Exampleton Child Protection",
                children,
                HERE,
                &[("intake", "CPA"), ("liaison", "LIAI")],
                &[ABROAD],
            )?,
            authority: player(
                "gb.example-nrm",
                "Example NRM Authority",
                authority,
                HERE,
                &[("intake", "NRMCA")],
                &[],
            )?,
            liaison: player(
                "xx.example-liaison",
                "Liaison Office of Otherland",
                liaison,
                ABROAD,
                &[("liaison", "LIAI")],
                &[HERE],
            )?,
        })
    }

    /// All of them.
    pub(super) const fn all(&self) -> [&Player; 4] {
        [&self.school, &self.children, &self.authority, &self.liaison]
    }

    /// All of them, to change.
    pub(super) const fn all_mut(&mut self) -> [&mut Player; 4] {
        [
            &mut self.school,
            &mut self.children,
            &mut self.authority,
            &mut self.liaison,
        ]
    }

    /// One of them.
    pub(super) fn named(&self, id: &AgencyId) -> Option<&Player> {
        self.all().into_iter().find(|player| player.id == *id)
    }

    /// Those of a State.
    pub(super) fn of(&self, state: State) -> impl Iterator<Item = &Player> {
        self.all().into_iter().filter(move |p| p.state == state)
    }
}
