//! Refusals: what is authenticated gets a log entry, capped per peer and then summed up, so that
//! nobody can grow another's log at will (DESIGN 3). What is not authenticated is only counted.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use waypost_proto::id::{AgencyId, NodeId, Timestamp};
use waypost_proto::reason::Reason;
use waypost_proto::wire::{self, log_entry::Event};

use crate::host::{Node, Stop};
use crate::limit;
use crate::sequencer::{Abort, Tx};

/// Refusals of one peer that got no entry of their own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sum {
    /// Who refused.
    pub agency: AgencyId,
    /// Whose messages.
    pub peer: AgencyId,
    /// How many.
    pub count: u64,
}

#[derive(Debug, Clone, Copy)]
struct Window {
    start: Timestamp,
    /// Refusals since then.
    seen: u64,
    /// Of windows before: had no entry, and are not summed up yet.
    carried: u64,
}

impl Window {
    const fn begin(start: Timestamp, carried: u64) -> Self {
        Self {
            start,
            seen: 0,
            carried,
        }
    }

    fn is_over(&self, now: Timestamp) -> bool {
        now.since(self.start) >= limit::REFUSAL_WINDOW_SECONDS
    }

    const fn unlogged(&self) -> u64 {
        self.carried
            .saturating_add(self.seen.saturating_sub(limit::REFUSAL_ENTRIES))
    }
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

    /// Counts an authenticated refusal by `agency` of a message from `peer`, and says whether it gets an
    /// entry of its own.
    #[must_use]
    pub fn allow(&self, agency: &AgencyId, peer: &AgencyId, now: Timestamp) -> bool {
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        let window = windows
            .entry((agency.clone(), peer.clone()))
            .or_insert(Window::begin(now, 0));
        if window.is_over(now) {
            *window = Window::begin(now, window.unlogged());
        }
        window.seen = window.seen.saturating_add(1);
        window.seen <= limit::REFUSAL_ENTRIES
    }

    /// Ends the windows that are over, and gives what is to be summed up of them.
    #[must_use]
    pub fn over(&self, now: Timestamp) -> Vec<Sum> {
        self.end(|window| window.is_over(now))
    }

    /// Ends every window: the node stops.
    #[must_use]
    pub fn all(&self) -> Vec<Sum> {
        self.end(|_| true)
    }

    fn end(&self, ends: impl Fn(&Window) -> bool) -> Vec<Sum> {
        let mut sums = Vec::new();
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        windows.retain(|(agency, peer), window| {
            let ends = ends(window);
            if ends && window.unlogged() > 0 {
                sums.push(Sum {
                    agency: agency.clone(),
                    peer: peer.clone(),
                    count: window.unlogged(),
                });
            }
            !ends
        });
        sums
    }
}

/// Logs sums, each in the log of the agency that refused.
pub(crate) async fn sum_up(node: &Node, sums: Vec<Sum>) {
    for Sum {
        agency,
        peer,
        count,
    } in sums
    {
        let event = Event::RefusalsCounted(wire::RefusalsCounted {
            peer: peer.to_string(),
            count,
        });
        let append = move |tx: &mut Tx<'_>| -> Result<(), Abort<Stop>> {
            tx.append(event)?;
            Ok(())
        };
        if let Err(error) = node.sequencer.run(&agency, append).await {
            tracing::error!(%agency, %peer, count, %error, "refusals could not be summed up");
        }
    }
}

/// Sums up what is over, for ever.
pub(crate) async fn sum_up_for_ever(node: &Node) {
    let mut windows = tokio::time::interval(Duration::from_secs(limit::REFUSAL_WINDOW_SECONDS));
    loop {
        windows.tick().await;
        sum_up(node, node.refusals.over(node.now())).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_beyond_the_cap_are_summed_up_when_their_window_is_over() {
        let refusals = Refusals::default();
        let (agency, peer): (AgencyId, AgencyId) = (
            "gb.example.a".parse().unwrap(),
            "gb.example.b".parse().unwrap(),
        );
        let refuse = |count: u64, at: u64| {
            let entries = (0..count).filter(|_| refusals.allow(&agency, &peer, Timestamp(at)));
            u64::try_from(entries.count()).unwrap()
        };
        let sum = |count| Sum {
            agency: agency.clone(),
            peer: peer.clone(),
            count,
        };
        assert_eq!(
            refuse(limit::REFUSAL_ENTRIES + 5, 1_000),
            limit::REFUSAL_ENTRIES
        );
        let end = 1_000 + limit::REFUSAL_WINDOW_SECONDS;
        assert_eq!(refusals.over(Timestamp(end - 1)), []);
        // The next window has its own allowance, and forgets nothing of the one before.
        assert_eq!(refuse(1, end), 1);
        assert_eq!(refusals.over(Timestamp(end)), []);
        assert_eq!(refusals.all(), [sum(5)]);
        assert_eq!(refusals.all(), []);
    }
}
