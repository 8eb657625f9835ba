//! The clock: the only place of this crate that reads the time.

use waypost_proto::id::Timestamp;

/// Where the time comes from.
#[derive(Debug, Clone, Copy)]
pub enum Clock {
    /// The machine.
    System,
    /// A given instant, for tests and for checking old files.
    Fixed(Timestamp),
}

impl Clock {
    /// The time now. A machine whose clock stands before 1970 is at its start.
    #[must_use]
    pub fn now(self) -> Timestamp {
        match self {
            Self::System => {
                let now = jiff::Timestamp::now().as_second();
                Timestamp(u64::try_from(now).unwrap_or_default())
            }
            Self::Fixed(at) => at,
        }
    }
}

/// As people and JSON readers write it: `2026-11-22T03:45:00Z`.
#[must_use]
pub fn iso(at: Timestamp) -> String {
    i64::try_from(at.0)
        .ok()
        .and_then(|seconds| jiff::Timestamp::from_second(seconds).ok())
        .map_or_else(|| "never".to_owned(), |at| at.to_string())
}

/// Whole days from `now` until `then`, rounded down; 0 once it is past.
#[must_use]
pub const fn days_until(then: Timestamp, now: Timestamp) -> u64 {
    then.since(now) / 86_400
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_shown_in_utc() {
        assert_eq!(iso(Timestamp(0)), "1970-01-01T00:00:00Z");
        assert_eq!(iso(Timestamp(u64::MAX)), "never");
    }

    #[test]
    fn days_left_are_whole_days() {
        assert_eq!(days_until(Timestamp(86_400 * 2 - 1), Timestamp(0)), 1);
        assert_eq!(days_until(Timestamp(0), Timestamp(5)), 0);
    }
}
