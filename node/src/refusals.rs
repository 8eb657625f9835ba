//! Refusals: what is authenticated gets a log entry, capped per peer and then summed up, so that
//! nobody can grow another's log at will (DESIGN 3). What is not authenticated is only counted.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use waypost_proto::id::{AgencyId, NodeId, Timestamp};
use waypost_proto::reason::Reason;

use crate::limit;

/// What to write for one refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    /// Whether this refusal gets an entry of its own.
    pub entry: bool,
    /// Refusals of the window before that had none: to be summed up in one entry; 0: nothing.
    pub summed: u64,
}

#[derive(Debug, Clone, Copy)]
struct Window {
    start: Timestamp,
    seen: u64,
}

/// Counts refusals per agency and peer agency.
#[derive(Debug, Default)]
pub struct Refusals {
    unauthenticated: AtomicU64,
    /// When the last line about them was written.
    said: Mutex<Option<Timestamp>>,
    windows: Mutex<BTreeMap<(AgencyId, AgencyId), Window>>,
}

impl Refusals {
    /// Counts a refusal of something that nobody vouched for, and says so in a line of the node's own
    /// log: at most one in [`limit::REFUSAL_LINE_SECONDS`], so that a peer cannot fill that either.
    pub fn count_unauthenticated(&self, peer: &NodeId, reason: Reason, now: Timestamp) {
        let count = self.unauthenticated.fetch_add(1, Ordering::Relaxed) + 1;
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if said.is_none_or(|at| now.since(at) >= limit::REFUSAL_LINE_SECONDS) {
            *said = Some(now);
            tracing::warn!(%peer, %reason, count, "refused what nobody vouched for");
        } else {
            tracing::debug!(%peer, %reason, count, "refused what nobody vouched for");
        }
    }

    /// Refusals of things that nobody vouched for, since the node started.
    #[must_use]
    pub fn unauthenticated(&self) -> u64 {
        self.unauthenticated.load(Ordering::Relaxed)
    }

    /// Counts an authenticated refusal by `agency` of a message from `peer`, and says what to log.
    #[must_use]
    pub fn allow(&self, agency: &AgencyId, peer: &AgencyId, now: Timestamp) -> Allowance {
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        let window = windows
            .entry((agency.clone(), peer.clone()))
            .or_insert(Window {
                start: now,
                seen: 0,
            });
        let mut summed = 0;
        if now.since(window.start) >= limit::REFUSAL_WINDOW_SECONDS {
            summed = window.seen.saturating_sub(limit::REFUSAL_ENTRIES);
            *window = Window {
                start: now,
                seen: 0,
            };
        }
        window.seen = window.seen.saturating_add(1);
        Allowance {
            entry: window.seen <= limit::REFUSAL_ENTRIES,
            summed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_beyond_the_cap_are_summed_up_in_the_next_window() {
        let refusals = Refusals::default();
        let (agency, peer) = (
            "gb.example.a".parse().unwrap(),
            "gb.example.b".parse().unwrap(),
        );
        let entries = (0..limit::REFUSAL_ENTRIES + 5)
            .filter(|_| refusals.allow(&agency, &peer, Timestamp(1_000)).entry)
            .count();
        assert_eq!(u64::try_from(entries).unwrap(), limit::REFUSAL_ENTRIES);
        let later = Timestamp(1_000 + limit::REFUSAL_WINDOW_SECONDS);
        assert_eq!(
            refusals.allow(&agency, &peer, later),
            Allowance {
                entry: true,
                summed: 5
            }
        );
    }
}
