//! Lanes: messages of one agency to another are numbered in each by itself, so that danger waits for
//! nothing (DESIGN 3, Order; proto/spec/message.md).

use std::fmt;
use std::str::FromStr;

use crate::vocabulary::UnknownCode;

/// The lane that a message is numbered in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lane {
    /// Messages whose manifest says that a person is in immediate danger.
    Danger,
    /// All others.
    Ordinary,
}

impl Lane {
    /// Every lane, the most urgent first.
    pub const ALL: &'static [Self] = &[Self::Danger, Self::Ordinary];

    /// The code in logs.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Danger => "danger",
            Self::Ordinary => "ordinary",
        }
    }
}

impl FromStr for Lane {
    type Err = UnknownCode;

    fn from_str(input: &str) -> Result<Self, UnknownCode> {
        let found = Self::ALL.iter().copied().find(|lane| lane.code() == input);
        found.ok_or_else(|| UnknownCode {
            vocabulary: "lane",
            input: input
                .chars()
                .take(40)
                .map(|c| if c.is_ascii_graphic() { c } else { '?' })
                .collect(),
        })
    }
}

impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_lane_parses_to_itself_and_nothing_else_does() {
        for lane in Lane::ALL {
            assert_eq!(lane.code().parse::<Lane>().unwrap(), *lane);
        }
        assert!("attachment".parse::<Lane>().is_err());
        assert!("Danger".parse::<Lane>().is_err());
    }
}
